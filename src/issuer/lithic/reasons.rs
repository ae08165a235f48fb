//! Our reasons in Lithic's words.

use crate::domain::decision::DeclineReason as R;

/// The reply whose result stands for `reason` (behaviour 2.11).
///
/// Results of Lithic's that are never sent, because nothing of ours means them: `AVS_INVALID`,
/// `DRIVER_NUMBER_INVALID`, `VEHICLE_NUMBER_INVALID`, and `CHALLENGE`, which would ask a cardholder
/// where there is an agent. A string outside Lithic's list would be taken as a decline and recorded
/// as `CUSTOM_ASA_RESULT`; none is sent.
pub(super) const fn reply_body(reason: R) -> &'static str {
    match reason {
        R::CardUnknown
        | R::CardCanceled
        | R::CardLocked
        | R::CardExpired
        | R::AgentSuspended
        | R::CustomerSuspended => r#"{"result":"CARD_PAUSED"}"#,
        R::CardFrozenByRisk
        | R::RiskScoreTooHigh
        | R::AttestationRequired
        | R::IntentRequired
        | R::IntentPendingApproval
        | R::IntentExpired
        | R::IntentMismatch
        | R::ConflictingDuplicate => r#"{"result":"SUSPECTED_FRAUD"}"#,
        R::CurrencyNotSupported
        | R::TransactionTypeNotAllowed
        | R::CountryNotAllowed
        | R::MccBlocked
        | R::MccNotAllowed
        | R::MerchantBlocked
        | R::MerchantNotAllowed
        | R::OutsideActiveHours
        | R::MerchantLockMismatch => r#"{"result":"UNAUTHORIZED_MERCHANT"}"#,
        R::AmountOverPerAuth
        | R::SingleUseConsumed
        | R::CooldownActive
        | R::CountLimitReached
        | R::LedgerUnavailable
        | R::DeadlineExceeded
        | R::Overloaded => r#"{"result":"VELOCITY_EXCEEDED"}"#,
        R::CardLimitExceeded | R::AgentLimitExceeded | R::CustomerLimitExceeded => {
            r#"{"result":"INSUFFICIENT_FUNDS"}"#
        }
    }
}
