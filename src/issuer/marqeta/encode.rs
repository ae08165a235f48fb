//! Our decision as a reply to Marqeta: 200 funds, 402 declines, and both repeat the request's ids.

use super::{reasons, wire};
use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::AuthorizationKind;
use crate::domain::decision::{Decision, DeclineReason};
use crate::issuer::question::ReplyForm;
use crate::issuer::wire::{Object, Text};
use crate::issuer::{Fault, NotUnderstood, Reply};

/// "Payment required" is Marqeta's status for a decline.
const DECLINED: u16 = 402;

/// Longer ids are nobody's, and are not repeated.
const ID_SIZE_MAX: usize = 255;

/// Whose account the request is about, as the request names it.
pub(super) struct Holder<'t, 'a> {
    pub(super) user: Option<&'t Text<'a>>,
    pub(super) business: Option<&'t Text<'a>>,
    /// The transaction's user, where the funding names nobody.
    pub(super) transaction_user: Option<&'t Text<'a>>,
}

/// The beginning of every reply, up to the amount; absent where nobody's account is named.
pub(super) fn echo(
    token: &Text<'_>,
    method: &Text<'_>,
    holder: &Holder<'_, '_>,
) -> Option<Box<str>> {
    let (name, holder) = match (holder.user, holder.business, holder.transaction_user) {
        (Some(user), _, _) | (None, None, Some(user)) => ("user_token", user),
        (None, Some(business), _) => ("business_token", business),
        (None, None, None) => return None,
    };
    let quoted = |text: &Text<'_>| {
        let short = text.0.len() <= ID_SIZE_MAX;
        short.then(|| serde_json::to_string(text.0.as_ref()).ok())?
    };
    let (token, method, holder) = (quoted(token)?, quoted(method)?, quoted(holder)?);
    let echo = format!(
        r#"{{"jit_funding":{{"token":{token},"method":{method},"{name}":{holder},"amount":"#
    );
    Some(echo.into())
}

/// The reply to a decision. A partial approval is a lower amount.
pub(in crate::issuer) fn decision(
    form: &ReplyForm,
    decision: Decision,
    available: Option<Minor>,
) -> Reply {
    // Every question of Marqeta's has its echo.
    let echo = form
        .echo
        .as_deref()
        .unwrap_or(r#"{"jit_funding":{"amount":"#);
    let currency = form.amount.currency;
    match (decision, form.kind) {
        (Decision::Decline(reason), _) => declined(echo, form.amount, reason),
        // Nothing may be funded of something: it would read as an approval.
        (Decision::ApprovePartial(Minor::ZERO), _) => {
            declined(echo, form.amount, DeclineReason::CardLimitExceeded)
        }
        (Decision::ApprovePartial(minor), _) => {
            let part = Amount { minor, currency };
            Reply::json(format!("{echo}{part}}}}}"))
        }
        (Decision::Approve, AuthorizationKind::BalanceInquiry) => {
            let balances = available.map(|minor| balances(Amount { minor, currency }));
            let balances = balances.unwrap_or_default();
            Reply::json(format!("{echo}{}{balances}}}}}", form.amount))
        }
        (
            Decision::Approve,
            AuthorizationKind::Authorization
            | AuthorizationKind::SingleMessage
            | AuthorizationKind::Credit,
        ) => Reply::json(format!("{echo}{}}}}}", form.amount)),
    }
}

/// A card of ours has limits but no account behind it, so that what may still be spent is both
/// figures; without limits there is none.
fn balances(left: Amount) -> String {
    let code = left.currency;
    format!(
        r#","balances":{{"{code}":{{"currency_code":"{code}","ledger_balance":{left},"available_balance":{left},"credit_balance":0,"pending_credits":0}}}}"#
    )
}

fn declined(echo: &str, amount: Amount, reason: DeclineReason) -> Reply {
    refused(
        echo,
        &amount.to_string(),
        reasons::word(reason),
        reason.code(),
    )
}

/// `memo` keeps our own reason, which Marqeta stores with the transaction.
fn refused(echo: &str, amount: &str, word: &str, memo: &str) -> Reply {
    let body = format!(r#"{echo}{amount},"decline_reason":"{word}","memo":"{memo}"}}}}"#);
    Reply {
        status: DECLINED,
        ..Reply::json(body)
    }
}

/// A decline where the ids can be read; else there is no answer that Marqeta could read either.
pub(in crate::issuer) fn not_understood(cause: &NotUnderstood, body: &[u8]) -> Reply {
    unread(body, reasons::NOT_UNDERSTOOD, "not_understood")
        .unwrap_or_else(|| Reply::not_understood(cause))
}

/// A decline of a body that was not, or not wholly, decoded.
pub(in crate::issuer) fn decline_lost(body: &[u8], reason: DeclineReason) -> Reply {
    let lost = NotUnderstood {
        field: "body",
        why: Fault::Unknown,
    };
    unread(body, reasons::word(reason), reason.code())
        .unwrap_or_else(|| Reply::not_understood(&lost))
}

fn unread(body: &[u8], word: &str, memo: &str) -> Option<Reply> {
    let addressed = wire::parse_addressed(body)?;
    let Object(order) = match addressed.gpa_order {
        Some(_) if addressed.gpa_order_unload.is_some() => return None,
        Some(order) => order,
        None => addressed.gpa_order_unload?,
    };
    let Object(funding) = order.jit_funding;
    let holder = Holder {
        user: funding.user_token.as_ref(),
        business: funding.business_token.as_ref(),
        transaction_user: addressed.user_token.as_ref(),
    };
    let echo = echo(&funding.token, &funding.method, &holder)?;
    Some(refused(&echo, "0", word, memo))
}
