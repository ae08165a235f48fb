//! The answer, and the one list of reasons to decline.

use super::amount::Minor;

/// Why an authorization is declined. The numbers are fixed for ever and are the order in which
/// the reasons are checked (behaviour 2.10); 30 to 33 have no place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(
    missing_docs,
    reason = "docs/behaviour.md 2.10 describes each, the code is its name"
)]
pub enum DeclineReason {
    CardUnknown = 1,
    CardCanceled = 2,
    CardLocked = 3,
    CardExpired = 4,
    AgentSuspended = 5,
    CustomerSuspended = 6,
    CardFrozenByRisk = 7,
    CurrencyNotSupported = 8,
    TransactionTypeNotAllowed = 9,
    CountryNotAllowed = 10,
    MccBlocked = 11,
    MccNotAllowed = 12,
    MerchantBlocked = 13,
    MerchantNotAllowed = 14,
    OutsideActiveHours = 15,
    RiskScoreTooHigh = 16,
    AmountOverPerAuth = 17,
    AttestationRequired = 18,
    IntentRequired = 19,
    IntentPendingApproval = 20,
    IntentExpired = 21,
    IntentMismatch = 22,
    SingleUseConsumed = 23,
    MerchantLockMismatch = 24,
    CooldownActive = 25,
    CountLimitReached = 26,
    CardLimitExceeded = 27,
    AgentLimitExceeded = 28,
    CustomerLimitExceeded = 29,
    LedgerUnavailable = 30,
    DeadlineExceeded = 31,
    Overloaded = 32,
    ConflictingDuplicate = 33,
}

impl DeclineReason {
    /// Every reason, in order of its number.
    pub const ALL: [Self; 33] = [
        Self::CardUnknown,
        Self::CardCanceled,
        Self::CardLocked,
        Self::CardExpired,
        Self::AgentSuspended,
        Self::CustomerSuspended,
        Self::CardFrozenByRisk,
        Self::CurrencyNotSupported,
        Self::TransactionTypeNotAllowed,
        Self::CountryNotAllowed,
        Self::MccBlocked,
        Self::MccNotAllowed,
        Self::MerchantBlocked,
        Self::MerchantNotAllowed,
        Self::OutsideActiveHours,
        Self::RiskScoreTooHigh,
        Self::AmountOverPerAuth,
        Self::AttestationRequired,
        Self::IntentRequired,
        Self::IntentPendingApproval,
        Self::IntentExpired,
        Self::IntentMismatch,
        Self::SingleUseConsumed,
        Self::MerchantLockMismatch,
        Self::CooldownActive,
        Self::CountLimitReached,
        Self::CardLimitExceeded,
        Self::AgentLimitExceeded,
        Self::CustomerLimitExceeded,
        Self::LedgerUnavailable,
        Self::DeadlineExceeded,
        Self::Overloaded,
        Self::ConflictingDuplicate,
    ];

    /// The reason of a number read back from storage.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The fixed number.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The code on the wire.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::CardUnknown => "card_unknown",
            Self::CardCanceled => "card_canceled",
            Self::CardLocked => "card_locked",
            Self::CardExpired => "card_expired",
            Self::AgentSuspended => "agent_suspended",
            Self::CustomerSuspended => "customer_suspended",
            Self::CardFrozenByRisk => "card_frozen_by_risk",
            Self::CurrencyNotSupported => "currency_not_supported",
            Self::TransactionTypeNotAllowed => "transaction_type_not_allowed",
            Self::CountryNotAllowed => "country_not_allowed",
            Self::MccBlocked => "mcc_blocked",
            Self::MccNotAllowed => "mcc_not_allowed",
            Self::MerchantBlocked => "merchant_blocked",
            Self::MerchantNotAllowed => "merchant_not_allowed",
            Self::OutsideActiveHours => "outside_active_hours",
            Self::RiskScoreTooHigh => "risk_score_too_high",
            Self::AmountOverPerAuth => "amount_over_per_auth",
            Self::AttestationRequired => "attestation_required",
            Self::IntentRequired => "intent_required",
            Self::IntentPendingApproval => "intent_pending_approval",
            Self::IntentExpired => "intent_expired",
            Self::IntentMismatch => "intent_mismatch",
            Self::SingleUseConsumed => "single_use_consumed",
            Self::MerchantLockMismatch => "merchant_lock_mismatch",
            Self::CooldownActive => "cooldown_active",
            Self::CountLimitReached => "count_limit_reached",
            Self::CardLimitExceeded => "card_limit_exceeded",
            Self::AgentLimitExceeded => "agent_limit_exceeded",
            Self::CustomerLimitExceeded => "customer_limit_exceeded",
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Overloaded => "overloaded",
            Self::ConflictingDuplicate => "conflicting_duplicate",
        }
    }
}

/// Our answer to one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The whole amount is reserved.
    Approve,
    /// Less than asked is reserved: this much.
    ApprovePartial(Minor),
    /// Nothing is reserved.
    Decline(DeclineReason),
}

impl Decision {
    /// Whether anything was approved.
    #[must_use]
    pub fn is_approval(self) -> bool {
        !matches!(self, Self::Decline(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_keep_their_numbers_and_codes_are_unique() {
        for (at, reason) in DeclineReason::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reason.number()), at + 1);
            assert_eq!(DeclineReason::from_number(reason.number()), Some(reason));
        }
        assert_eq!(DeclineReason::from_number(0), None);
        assert_eq!(DeclineReason::from_number(34), None);
        let mut codes: Vec<_> = DeclineReason::ALL
            .iter()
            .map(|reason| reason.code())
            .collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), 33);
    }
}
