//! Our decision as a reply to Lithic.

use super::reasons;
use crate::domain::amount::Minor;
use crate::domain::authorization::AuthorizationKind;
use crate::domain::decision::{Decision, DeclineReason};
use crate::issuer::Reply;
use crate::issuer::question::ReplyForm;

/// The reply to a decision. Lithic tells an approval of the whole amount by the absence of
/// `approved_amount`.
pub(in crate::issuer) fn decision(
    form: &ReplyForm,
    decision: Decision,
    available: Option<Minor>,
) -> Reply {
    match (decision, form.kind) {
        (Decision::Decline(reason), _) => decline(reason),
        // Nothing may be approved of nothing: Lithic would read it as a whole approval or as an
        // error, depending on the member it looks at first.
        (Decision::ApprovePartial(Minor::ZERO), _) => decline(DeclineReason::CardLimitExceeded),
        (Decision::ApprovePartial(amount), _) => Reply::json(format!(
            r#"{{"result":"APPROVED","approved_amount":{amount}}}"#
        )),
        (Decision::Approve, AuthorizationKind::BalanceInquiry) => balance(available),
        (
            Decision::Approve,
            AuthorizationKind::Authorization
            | AuthorizationKind::SingleMessage
            | AuthorizationKind::Credit,
        ) => Reply::interned(r#"{"result":"APPROVED"}"#),
    }
}

/// Lithic asks for two figures and has $0 shown where one is missing. A card of ours has limits
/// but no account behind it, so that what may still be spent is both.
fn balance(available: Option<Minor>) -> Reply {
    available.map_or_else(
        || Reply::interned(r#"{"result":"APPROVED","balance":{"amount":null,"available":null}}"#),
        |left| {
            Reply::json(format!(
                r#"{{"result":"APPROVED","balance":{{"amount":{left},"available":{left}}}}}"#
            ))
        },
    )
}

pub(in crate::issuer) fn decline(reason: DeclineReason) -> Reply {
    Reply::interned(reasons::reply_body(reason))
}
