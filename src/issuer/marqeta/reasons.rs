//! Our reasons in Marqeta's words.

use crate::domain::decision::DeclineReason as R;

/// What a body that is not understood is declined with.
pub(super) const NOT_UNDERSTOOD: &str = "TRANSACTION_NOT_PERMITTED";

/// The `decline_reason` that stands for `reason` (behaviour 2.11).
///
/// Words of Marqeta's that are never sent, because nothing of ours means them: `INVALID_AMOUNT`,
/// `NO_CREDIT_ACCOUNT`, `NO_CHECKING_ACCOUNT`, `NO_SAVINGS_ACCOUNT`, `STOP_PAYMENT`,
/// `REVOCATION_AUTHORIZATION_ORDER`, `REVOCATION_ALL_AUTHORIZATION_ORDER`, `BLOCKED_BY_ISSUER`,
/// `BLOCKED_BY_CARDHOLDER`, `BLOCKED_MERCHANT_BY_CARDHOLDER`, `INVALID_DRIVER_NUMBER`,
/// `INVALID_VEHICLE_NUMBER`; and `SOFT_DECLINE_AUTHENTICATION_REQUIRED` and
/// `SOFT_DECLINE_PIN_REQUIRED`, which would ask a cardholder where there is an agent.
pub(super) const fn word(reason: R) -> &'static str {
    match reason {
        R::CardUnknown => "INVALID_CARD",
        R::CardCanceled => "CLOSED_ACCOUNT",
        R::CardLocked | R::AgentSuspended => "CARD_NOT_ACTIVE",
        R::CardExpired => "EXPIRED_CARD",
        R::CustomerSuspended => "CARDHOLDER_NOT_ACTIVE",
        R::CardFrozenByRisk
        | R::RiskScoreTooHigh
        | R::AttestationRequired
        | R::IntentRequired
        | R::IntentPendingApproval
        | R::IntentExpired
        | R::IntentMismatch => "SUSPECTED_FRAUD",
        R::CurrencyNotSupported
        | R::TransactionTypeNotAllowed
        | R::CountryNotAllowed
        | R::OutsideActiveHours => "TRANSACTION_NOT_PERMITTED",
        R::MccBlocked
        | R::MccNotAllowed
        | R::MerchantBlocked
        | R::MerchantNotAllowed
        | R::MerchantLockMismatch => "INVALID_MERCHANT",
        R::AmountOverPerAuth => "AMOUNT_LIMIT_EXCEEDED",
        // A merchant may try these again later.
        R::SingleUseConsumed
        | R::CooldownActive
        | R::CountLimitReached
        | R::LedgerUnavailable
        | R::DeadlineExceeded
        | R::Overloaded => "TRANSACTION_COUNT_LIMIT_EXCEEDED",
        R::CardLimitExceeded | R::AgentLimitExceeded | R::CustomerLimitExceeded => {
            "INSUFFICIENT_FUNDS"
        }
        R::ConflictingDuplicate => "DUPLICATE_TRANSACTION",
    }
}
