//! Stripe's event as the engine's question: what the wire says is checked once, here.

use std::borrow::Cow;

use super::wire::{self, AmountDetails, Authorization, Event, MerchantData, NetworkData};
use super::{Account, money};
use crate::domain::acceptor::{CardAcceptor, Country};
use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use crate::domain::currency::Currency;
use crate::domain::mcc::Mcc;
use crate::issuer::delivery::VerifiedBody;
use crate::issuer::question::{Question, ReplyForm, SameBy};
use crate::issuer::wire::{Object, Text, id, not_blank, refuse};
use crate::issuer::{Fault, NotUnderstood};

/// The only event that is answered.
const EVENT_TYPE: &str = "issuing_authorization.request";
const RISK_SCORES: std::ops::RangeInclusive<i64> = 1..=99;

/// Decodes a verified body (behaviour 2.3).
pub(in crate::issuer) fn authorization<'a>(
    account: &Account,
    body: &VerifiedBody<'a>,
) -> Result<Question<'a>, NotUnderstood> {
    let event = wire::parse(body.bytes())?;
    check_addressee(account, &event)?;
    let Object(data) = event.data;
    let Object(authorization) = data.object;
    let (amount, cash, merchant_amount) = amounts(&authorization)?;
    let Object(pending) = &authorization.pending_request;
    let form = ReplyForm::new(AuthorizationKind::Authorization, amount);
    let request = AuthorizationRequest {
        // Approving a part of an amount with cash in it would have to keep the cash whole.
        partial_approval_capable: pending.is_amount_controllable == Some(true) && cash.is_zero(),
        risk_score: pending.network_risk_score.map(risk_score).transpose()?,
        card_present: card_present(&authorization),
        merchant_initiated: false,
        // The messages of one authorization are numbered by what came before them.
        step: Some(Cow::Owned(authorization.request_history.0.to_string())),
        authorization: id("data.object.id", authorization.id)?,
        delivery: Some(id("id", event.id)?),
        kind: AuthorizationKind::Authorization,
        card_token: id("data.object.card.id", authorization.card.0.id)?,
        amount,
        cash,
        merchant_amount,
        acceptor: acceptor(authorization.merchant_data.0, authorization.network_data),
    };
    Ok(Question {
        request,
        same_by: SameBy::Purchase,
        form,
    })
}

/// Another kind of event, another mode, another account: authentic, and not ours to approve.
fn check_addressee(account: &Account, event: &Event<'_>) -> Result<(), NotUnderstood> {
    if event.event_type.0 != EVENT_TYPE {
        return refuse("type", Fault::Unknown);
    }
    let Object(data) = &event.data;
    let Object(authorization) = &data.object;
    if authorization
        .livemode
        .is_some_and(|live| live != event.livemode)
    {
        return refuse("data.object.livemode", Fault::OtherAddressee);
    }
    let named = event.account.as_ref().map(|text| text.0.as_ref());
    account.check_addressee(event.livemode, named)
}

/// What is asked on top of what was approved before, the cash in it, and the merchant's amount.
fn amounts(
    authorization: &Authorization<'_>,
) -> Result<(Amount, Minor, Option<Amount>), NotUnderstood> {
    let Object(pending) = &authorization.pending_request;
    let Ok(currency) = Currency::parse(&pending.currency.0) else {
        return refuse("data.object.pending_request.currency", Fault::Unknown);
    };
    let amount = money::read(
        "data.object.pending_request.amount",
        pending.amount,
        currency,
    )?;
    let asked = details(
        pending.amount_details.as_ref(),
        [
            "data.object.pending_request.amount_details.atm_fee",
            "data.object.pending_request.amount_details.cashback_amount",
        ],
        amount,
    )?;
    // Older versions of the interface have them in the authorization alone.
    let stated = details(
        authorization.amount_details.as_ref(),
        [
            "data.object.amount_details.atm_fee",
            "data.object.amount_details.cashback_amount",
        ],
        amount,
    )?;
    let merchant = match (pending.merchant_amount, &pending.merchant_currency) {
        // The merchant's currency need not be one that we know.
        (Some(stated), Some(code)) => Currency::parse(&code.0)
            .ok()
            .map(|currency| {
                money::read(
                    "data.object.pending_request.merchant_amount",
                    stated,
                    currency,
                )
            })
            .transpose()?,
        _ => None,
    };
    Ok((amount, asked.max(stated), merchant))
}

/// The part that comes out as cash: at a machine, which asks a fee, all of it.
fn details(
    details: Option<&Object<AmountDetails>>,
    [atm_fee, cashback]: [&'static str; 2],
    whole: Amount,
) -> Result<Minor, NotUnderstood> {
    let Some(Object(details)) = details else {
        return Ok(Minor::ZERO);
    };
    let read = |field, stated: Option<i64>| match stated {
        Some(stated) => Ok(money::read(field, stated, whole.currency)?.minor),
        None => Ok(Minor::ZERO),
    };
    let fee = read(atm_fee, details.atm_fee)?;
    let back = read(cashback, details.cashback_amount)?;
    Ok(if fee.is_zero() { back } else { whole.minor })
}

pub(super) fn acceptor<'a>(
    merchant: MerchantData<'a>,
    network: Option<Object<NetworkData<'a>>>,
) -> CardAcceptor<'a> {
    let text = |text: Option<Text<'a>>| text.map(|text| text.0).unwrap_or_default();
    CardAcceptor {
        acquirer_id: network
            .and_then(|Object(network)| network.acquiring_institution_id)
            .and_then(not_blank),
        acceptor_id: merchant.network_id.and_then(not_blank),
        descriptor: text(merchant.name),
        mcc: merchant
            .category_code
            .and_then(|text| Mcc::of_message(&text.0)),
        city: text(merchant.city),
        country: merchant
            .country
            .and_then(|text| Country::of_message(&text.0)),
    }
}

/// How the card was used says it where `card_presence` is absent; typed digits may come from either.
fn card_present(authorization: &Authorization<'_>) -> Option<bool> {
    fn stated<'t>(text: &'t Option<Text<'_>>) -> Option<&'t str> {
        text.as_ref().map(|text| text.0.as_ref())
    }
    match stated(&authorization.card_presence) {
        Some("present") => return Some(true),
        Some("not_present") => return Some(false),
        _ => {}
    }
    match stated(&authorization.authorization_method) {
        Some("chip" | "contactless" | "swipe") => Some(true),
        Some("online") => Some(false),
        _ => None,
    }
}

fn risk_score(score: i64) -> Result<u8, NotUnderstood> {
    let field = "data.object.pending_request.network_risk_score";
    match u8::try_from(score) {
        Ok(small) if RISK_SCORES.contains(&score) => Ok(small),
        _ => refuse(field, Fault::OutOfRange),
    }
}
