//! Our reasons in a reply to Stripe, which has no words for them: they go into the authorization's
//! metadata (behaviour 2.11).

use crate::domain::decision::DeclineReason as R;

macro_rules! declined {
    ($code:literal) => {
        concat!(
            r#"{"approved":false,"metadata":{"countersign_reason":""#,
            $code,
            r#""}}"#
        )
    };
}

/// The reply to what is not understood.
pub(super) const NOT_UNDERSTOOD: &str = declined!("not_understood");

/// The reply that declines for `reason`.
pub(super) const fn reply_body(reason: R) -> &'static str {
    match reason {
        R::CardUnknown => declined!("card_unknown"),
        R::CardCanceled => declined!("card_canceled"),
        R::CardLocked => declined!("card_locked"),
        R::CardExpired => declined!("card_expired"),
        R::AgentSuspended => declined!("agent_suspended"),
        R::CustomerSuspended => declined!("customer_suspended"),
        R::CardFrozenByRisk => declined!("card_frozen_by_risk"),
        R::CurrencyNotSupported => declined!("currency_not_supported"),
        R::TransactionTypeNotAllowed => declined!("transaction_type_not_allowed"),
        R::CountryNotAllowed => declined!("country_not_allowed"),
        R::MccBlocked => declined!("mcc_blocked"),
        R::MccNotAllowed => declined!("mcc_not_allowed"),
        R::MerchantBlocked => declined!("merchant_blocked"),
        R::MerchantNotAllowed => declined!("merchant_not_allowed"),
        R::OutsideActiveHours => declined!("outside_active_hours"),
        R::RiskScoreTooHigh => declined!("risk_score_too_high"),
        R::AmountOverPerAuth => declined!("amount_over_per_auth"),
        R::AttestationRequired => declined!("attestation_required"),
        R::IntentRequired => declined!("intent_required"),
        R::IntentPendingApproval => declined!("intent_pending_approval"),
        R::IntentExpired => declined!("intent_expired"),
        R::IntentMismatch => declined!("intent_mismatch"),
        R::SingleUseConsumed => declined!("single_use_consumed"),
        R::MerchantLockMismatch => declined!("merchant_lock_mismatch"),
        R::CooldownActive => declined!("cooldown_active"),
        R::CountLimitReached => declined!("count_limit_reached"),
        R::CardLimitExceeded => declined!("card_limit_exceeded"),
        R::AgentLimitExceeded => declined!("agent_limit_exceeded"),
        R::CustomerLimitExceeded => declined!("customer_limit_exceeded"),
        R::LedgerUnavailable => declined!("ledger_unavailable"),
        R::DeadlineExceeded => declined!("deadline_exceeded"),
        R::Overloaded => declined!("overloaded"),
        R::ConflictingDuplicate => declined!("conflicting_duplicate"),
    }
}
