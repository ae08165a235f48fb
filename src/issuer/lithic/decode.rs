//! Lithic's request as the engine's question: what the wire says is checked once, here.

mod money;

use std::borrow::Cow;

use self::money::Asked;
use super::wire::{self, Merchant, Pos};
use crate::domain::acceptor::{CardAcceptor, Country};
use crate::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use crate::domain::mcc::Mcc;
use crate::issuer::delivery::VerifiedBody;
use crate::issuer::question::{Question, ReplyForm, SameBy};
use crate::issuer::wire::{Object, Text, id, not_blank, refuse};
use crate::issuer::{Fault, NotUnderstood};

/// The only event that this endpoint answers. Requests of 2021 have no event type.
const EVENT_TYPE: &str = "card_authorization.approval_request";
/// Visa's scores times ten.
const RISK_SCORE_MAX: i64 = 999;
/// The largest one of the policies.
const RISK_SCORE_TENTH_MAX: i64 = 99;

/// Decodes a verified body (behaviour 2.3).
pub(in crate::issuer) fn authorization<'a>(
    body: &VerifiedBody<'a>,
) -> Result<Question<'a>, NotUnderstood> {
    let wire = wire::parse(body.bytes())?;
    if wire.event_type.as_ref().is_some_and(|t| t.0 != EVENT_TYPE) {
        return refuse("event_type", Fault::Unknown);
    }
    let kind = kind(&wire.status)?;
    let asked = Asked::read(&wire, kind)?;
    let acceptor = acceptor(wire.merchant.0);
    let partial_approval_capable =
        terminal_takes_partial(wire.pos.as_ref()) && asked.partial_is_exact(kind, acceptor.mcc);
    let form = ReplyForm::new(kind, asked.reserved);
    let request = AuthorizationRequest {
        authorization: id("token", wire.token)?,
        step: wire
            .event_token
            .map(|step| id("event_token", step))
            .transpose()?,
        delivery: body.delivery().map(Cow::Borrowed),
        kind,
        card_token: id("card.token", wire.card.0.token)?,
        amount: asked.reserved,
        cash: asked.cash,
        merchant_amount: asked.merchant,
        acceptor,
        partial_approval_capable,
        card_present: card_present(wire.pos.as_ref()),
        merchant_initiated: wire
            .transaction_initiator
            .is_some_and(|it| it.0 == "MERCHANT"),
        risk_score: wire.network_risk_score.map(risk_score).transpose()?,
    };
    Ok(Question {
        request,
        same_by: SameBy::Body,
        form,
    })
}

fn kind(status: &Text<'_>) -> Result<AuthorizationKind, NotUnderstood> {
    match status.0.as_ref() {
        "AUTHORIZATION" => Ok(AuthorizationKind::Authorization),
        "FINANCIAL_AUTHORIZATION" => Ok(AuthorizationKind::SingleMessage),
        "CREDIT_AUTHORIZATION" | "FINANCIAL_CREDIT_AUTHORIZATION" => Ok(AuthorizationKind::Credit),
        "BALANCE_INQUIRY" => Ok(AuthorizationKind::BalanceInquiry),
        _ => refuse("status", Fault::Unknown),
    }
}

pub(super) fn acceptor(merchant: Merchant<'_>) -> CardAcceptor<'_> {
    CardAcceptor {
        acquirer_id: merchant.acquiring_institution_id.and_then(not_blank),
        acceptor_id: merchant.acceptor_id.and_then(not_blank),
        descriptor: merchant.descriptor.0,
        mcc: merchant.mcc.and_then(|text| Mcc::of_message(&text.0)),
        city: merchant.city.map(|text| text.0).unwrap_or_default(),
        country: merchant
            .country
            .and_then(|text| Country::parse_alpha3(&text.0)),
    }
}

fn terminal_takes_partial(pos: Option<&Object<Pos<'_>>>) -> bool {
    pos.and_then(|Object(pos)| pos.terminal.as_ref())
        .and_then(|Object(terminal)| terminal.partial_approval_capable)
        .unwrap_or(false)
}

/// An entry mode that we do not know says as little as `UNKNOWN`.
fn card_present(pos: Option<&Object<Pos<'_>>>) -> Option<bool> {
    let Object(entry_mode) = pos?.0.entry_mode.as_ref()?;
    match entry_mode.card.as_ref()?.0.as_ref() {
        "PRESENT" => Some(true),
        "NOT_PRESENT" => Some(false),
        _ => None,
    }
}

/// Lithic sends 0 to 999; a tenth of it is the scale of the policies (behaviour 2.14 g). A part of a
/// point counts as a whole one, so that a score above a cap is never taken for one at it.
fn risk_score(score: i64) -> Result<u8, NotUnderstood> {
    if !(0..=RISK_SCORE_MAX).contains(&score) {
        return refuse("network_risk_score", Fault::OutOfRange);
    }
    let tenth = (score + 9) / 10;
    u8::try_from(tenth.min(RISK_SCORE_TENTH_MAX)).map_err(|_bounded_above| NotUnderstood {
        field: "network_risk_score",
        why: Fault::OutOfRange,
    })
}
