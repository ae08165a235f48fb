//! Marqeta's funding request as the engine's question: what the wire says is checked once, here.

use std::borrow::Cow;

use super::decimal::Decimal;
use super::encode::{Holder, echo};
use super::method::Method;
use super::wire::{self, GpaOrder, Transaction};
use crate::domain::acceptor::{CardAcceptor, Country};
use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use crate::domain::currency::Currency;
use crate::domain::mcc::Mcc;
use crate::issuer::delivery::VerifiedBody;
use crate::issuer::question::{Question, ReplyForm, SameBy};
use crate::issuer::wire::{Object, Text, id, not_blank, refuse};
use crate::issuer::{Fault, NotUnderstood};

const RISK_SCORE_MAX: i64 = 99;

/// Decodes a verified body (behaviour 2.3).
pub(in crate::issuer) fn authorization<'a>(
    body: &VerifiedBody<'a>,
) -> Result<Question<'a>, NotUnderstood> {
    let mut wire = wire::parse(body.bytes())?;
    let (order, named) = order(&mut wire)?;
    let Object(funding) = order.jit_funding;
    let Some(method) = Method::parse(&funding.method.0) else {
        return refuse(named.method, Fault::Unknown);
    };
    if method.kind != AuthorizationKind::Credit && named.unload {
        return refuse("gpa_order_unload", Fault::Unknown);
    }
    let currency = currency(&wire, order.currency_code.as_ref(), &named)?;
    let minor = money(named.amount, &funding.amount, currency, method)?;
    let amount = Amount { minor, currency };
    let cash = cash(&wire, amount, method)?;
    let holder = Holder {
        user: funding.user_token.as_ref(),
        business: funding.business_token.as_ref(),
        transaction_user: wire.user_token.as_ref(),
    };
    let Some(echo) = echo(&funding.token, &funding.method, &holder) else {
        return refuse(named.user_token, Fault::Missing);
    };
    let original = funding
        .original_jit_funding_token
        .map(|text| id(named.original, text))
        .transpose()?;
    if method.increment && original.is_none() {
        return refuse(named.original, Fault::Missing);
    }
    // Each message has a token of its own; later ones name the first (behaviour 2.5).
    let step = id(named.token, funding.token)?;
    let capable = wire
        .pos
        .as_ref()
        .and_then(|Object(pos)| pos.partial_approval_capable);
    let purchase = method.kind != AuthorizationKind::Credit && !method.zero;
    let request = AuthorizationRequest {
        authorization: original.unwrap_or_else(|| step.clone()),
        step: Some(step),
        kind: method.kind,
        amount,
        cash,
        partial_approval_capable: capable == Some(true) && cash.is_zero() && purchase,
        merchant_amount: merchant_amount(&wire)?,
        card_present: wire.pos.as_ref().and_then(|Object(pos)| pos.card_presence),
        merchant_initiated: false,
        risk_score: risk_score(&wire)?,
        delivery: Some(id("token", wire.token)?),
        card_token: id("card_token", wire.card_token)?,
        acceptor: acceptor(
            wire.card_acceptor.map(|Object(acceptor)| acceptor),
            wire.acquirer
                .and_then(|Object(acquirer)| acquirer.institution_id_code),
        ),
    };
    let form = ReplyForm {
        echo: Some(echo),
        ..ReplyForm::new(method.kind, amount)
    };
    Ok(Question {
        request,
        same_by: SameBy::Purchase,
        form,
    })
}

/// The paths of the order's fields, which differ by the object that it stands in.
struct Named {
    unload: bool,
    currency: &'static str,
    token: &'static str,
    method: &'static str,
    user_token: &'static str,
    amount: &'static str,
    original: &'static str,
}

/// Loads ask for money, unloads give it back; a message is one of the two.
fn order<'a>(wire: &mut Transaction<'a>) -> Result<(GpaOrder<'a>, Named), NotUnderstood> {
    match (wire.gpa_order.take(), wire.gpa_order_unload.take()) {
        (Some(Object(order)), None) => Ok((
            order,
            Named {
                unload: false,
                currency: "gpa_order.currency_code",
                token: "gpa_order.jit_funding.token",
                method: "gpa_order.jit_funding.method",
                user_token: "gpa_order.jit_funding.user_token",
                amount: "gpa_order.jit_funding.amount",
                original: "gpa_order.jit_funding.original_jit_funding_token",
            },
        )),
        (None, Some(Object(order))) => Ok((
            order,
            Named {
                unload: true,
                currency: "gpa_order_unload.currency_code",
                token: "gpa_order_unload.jit_funding.token",
                method: "gpa_order_unload.jit_funding.method",
                user_token: "gpa_order_unload.jit_funding.user_token",
                amount: "gpa_order_unload.jit_funding.amount",
                original: "gpa_order_unload.jit_funding.original_jit_funding_token",
            },
        )),
        (None, None) => refuse("gpa_order", Fault::Missing),
        (Some(_), Some(_)) => refuse("gpa_order", Fault::Repeated),
    }
}

/// The currency of the order, which is that of the transaction.
fn currency(
    wire: &Transaction<'_>,
    of_order: Option<&Text<'_>>,
    named: &Named,
) -> Result<Currency, NotUnderstood> {
    let parse = |field, text: &Text<'_>| match Currency::parse(&text.0) {
        Ok(currency) => Ok(currency),
        Err(_unknown) => refuse(field, Fault::Unknown),
    };
    let of_order = of_order
        .map(|text| parse(named.currency, text))
        .transpose()?;
    let of_transaction = wire
        .currency_code
        .as_ref()
        .map(|text| parse("currency_code", text))
        .transpose()?;
    match (of_order, of_transaction) {
        (Some(order), Some(transaction)) if order != transaction => {
            refuse("currency_code", Fault::OtherCurrency)
        }
        (Some(currency), _) | (None, Some(currency)) => Ok(currency),
        (None, None) => refuse(named.currency, Fault::Missing),
    }
}

/// A credit's sign is not documented, so that either is taken there: a credit reserves nothing.
fn money(
    field: &'static str,
    stated: &Decimal<'_>,
    currency: Currency,
    method: Method,
) -> Result<Minor, NotUnderstood> {
    if stated.is_negative() && method.kind != AuthorizationKind::Credit {
        return refuse(field, Fault::Negative);
    }
    let minor = stated
        .magnitude(currency)
        .map_err(|why| NotUnderstood { field, why })?;
    if method.zero && !minor.is_zero() {
        return refuse(field, Fault::NotZero);
    }
    Ok(minor)
}

fn cash(wire: &Transaction<'_>, whole: Amount, method: Method) -> Result<Minor, NotUnderstood> {
    let back = match &wire.cash_back_amount {
        Some(stated) => money("cash_back_amount", stated, whole.currency, method)?,
        None => Minor::ZERO,
    };
    Ok(if method.all_cash {
        back.max(whole.minor)
    } else {
        back
    })
}

/// What the merchant asks in its own currency, which need not be one that we know.
fn merchant_amount(wire: &Transaction<'_>) -> Result<Option<Amount>, NotUnderstood> {
    let network = wire
        .currency_conversion
        .as_ref()
        .and_then(|Object(conversion)| conversion.network.as_ref());
    let Some(Object(network)) = network else {
        return Ok(None);
    };
    let currency = network
        .original_currency_code
        .as_ref()
        .and_then(|text| text.currency());
    let (Some(stated), Some(currency)) = (&network.original_amount, currency) else {
        return Ok(None);
    };
    match stated.magnitude(currency) {
        Ok(minor) => Ok(Some(Amount { minor, currency })),
        Err(why) => refuse("currency_conversion.network.original_amount", why),
    }
}

pub(super) fn acceptor<'a>(
    acceptor: Option<wire::CardAcceptor<'a>>,
    acquirer: Option<Text<'a>>,
) -> CardAcceptor<'a> {
    fn text<'a>(text: Option<Text<'a>>) -> Cow<'a, str> {
        text.map(|text| text.0).unwrap_or_default()
    }
    let acquirer_id = acquirer.and_then(not_blank);
    let Some(acceptor) = acceptor else {
        return CardAcceptor {
            acquirer_id,
            acceptor_id: None,
            descriptor: Cow::Borrowed(""),
            mcc: None,
            city: Cow::Borrowed(""),
            country: None,
        };
    };
    CardAcceptor {
        acquirer_id,
        acceptor_id: acceptor.mid.and_then(not_blank),
        descriptor: text(acceptor.name),
        mcc: acceptor.mcc.and_then(|text| Mcc::of_message(&text.0)),
        city: text(acceptor.city),
        country: acceptor
            .country
            .or(acceptor.country_code)
            .and_then(|text| country(&text.0)),
    }
}

/// Three letters, or two in the second version of the transaction's model.
fn country(text: &str) -> Option<Country> {
    Country::parse_alpha3(text).or_else(|| Country::of_message(text))
}

fn risk_score(wire: &Transaction<'_>) -> Result<Option<u8>, NotUnderstood> {
    let network = wire
        .fraud
        .as_ref()
        .and_then(|Object(fraud)| fraud.network.as_ref());
    let Some(score) = network.and_then(|Object(network)| network.transaction_risk_score) else {
        return Ok(None);
    };
    match u8::try_from(score) {
        Ok(small) if score <= RISK_SCORE_MAX => Ok(Some(small)),
        _ => refuse("fraud.network.transaction_risk_score", Fault::OutOfRange),
    }
}
