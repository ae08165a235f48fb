//! Our decision as a reply to Stripe. Every reply is a 200 that Stripe can read, because what it
//! cannot read is decided by the account's own settings, which may approve.

use super::{money, reasons};
use crate::domain::amount::Amount;
use crate::domain::decision::{Decision, DeclineReason};
use crate::issuer::Reply;
use crate::issuer::question::ReplyForm;

/// The version of Stripe's interface whose reply this is. Without the header a reply is an error.
const HEADERS: &[(&str, &str)] = &[("stripe-version", "2026-10-28.endive")];

/// The reply to a decision. Stripe tells an approval of the whole amount by the absence of `amount`.
pub(in crate::issuer) fn decision(form: &ReplyForm, decision: Decision) -> Reply {
    match decision {
        Decision::Decline(reason) => decline(reason),
        Decision::Approve => with_version(Reply::interned(r#"{"approved":true}"#)),
        Decision::ApprovePartial(minor) => {
            let currency = form.amount.currency;
            match money::write(Amount { minor, currency }) {
                // Nothing may be approved of nothing: Stripe refuses the reply.
                0 => decline(DeclineReason::CardLimitExceeded),
                amount => with_version(Reply::json(format!(
                    r#"{{"approved":true,"amount":{amount}}}"#
                ))),
            }
        }
    }
}

pub(in crate::issuer) fn decline(reason: DeclineReason) -> Reply {
    with_version(Reply::interned(reasons::reply_body(reason)))
}

/// A decline of ours, and no error: an error may be taken for an approval.
pub(in crate::issuer) fn not_understood() -> Reply {
    with_version(Reply::interned(reasons::NOT_UNDERSTOOD))
}

fn with_version(reply: Reply) -> Reply {
    Reply {
        headers: HEADERS,
        ..reply
    }
}
