//! The decoder against a second, slow one that walks a tree (H2: both agree on every input).

use countersign::domain::acceptor::Country;
use countersign::domain::amount::AMOUNT_MINOR_MAX;
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::mcc::Mcc;

use crate::oracle::{No, Plain, currency, ensure, flag, id, integer, member, named, object, text};
use crate::support::{FIXTURES, decode};
use crate::tree::Tree;
use crate::two_readers::{Readers, differential_tests};

/// Stripe's unit in minor units: hundredths too many of two currencies, too few of one.
fn money(stated: i64, currency: &str) -> Result<i64, No> {
    let stated = i128::from(stated);
    let minor = match currency {
        "ISK" | "UGX" => {
            ensure(stated % 100 == 0)?;
            stated / 100
        }
        "MGA" => stated * 100,
        _ => stated,
    };
    ensure((0..=i128::from(AMOUNT_MINOR_MAX)).contains(&minor))?;
    i64::try_from(minor).map_err(|_too_large| No)
}

fn cash(details: Option<&Tree>, whole: i64, currency: &str) -> Result<i64, No> {
    let read = |name| integer(details, name)?.map_or(Ok(0), |stated| money(stated, currency));
    let (fee, back) = (read("atm_fee")?, read("cashback_amount")?);
    Ok(if fee == 0 { back } else { whole })
}

fn oracle(event: &Tree) -> Result<Plain, No> {
    ensure(matches!(event, Tree::Object(_)))?;
    let root = Some(event);
    let delivery = id(text(root, "id")?.ok_or(No)?)?;
    ensure(text(root, "type")?.as_deref() == Some("issuing_authorization.request"))?;
    let live = flag(root, "livemode")?.ok_or(No)?;
    text(root, "account")?;
    let data = object(root, "data")?.ok_or(No)?;
    let authorization = object(Some(data), "object")?.ok_or(No)?;
    let it = Some(authorization);
    ensure(flag(it, "livemode")?.is_none_or(|stated| stated == live))?;
    let card = object(it, "card")?.ok_or(No)?;
    let merchant = object(it, "merchant_data")?.ok_or(No)?;
    let network = object(it, "network_data")?;
    let pending = Some(object(it, "pending_request")?.ok_or(No)?);
    let Some(Tree::List(history)) = member(it, "request_history")? else {
        return Err(No);
    };
    let code = currency(&text(pending, "currency")?.ok_or(No)?).ok_or(No)?;
    let whole = money(integer(pending, "amount")?.ok_or(No)?, &code)?;
    let asked = cash(object(pending, "amount_details")?, whole, &code)?;
    let stated = cash(object(it, "amount_details")?, whole, &code)?;
    let cash = asked.max(stated);
    let merchant_amount = integer(pending, "merchant_amount")?;
    let merchant_code = text(pending, "merchant_currency")?.and_then(|code| currency(&code));
    let merchant_amount = match merchant_amount.zip(merchant_code) {
        Some((amount, code)) => Some((money(amount, &code)?, code)),
        None => None,
    };
    let risk = integer(pending, "network_risk_score")?;
    ensure(risk.is_none_or(|risk| (1..100).contains(&risk)))?;
    let controllable = flag(pending, "is_amount_controllable")? == Some(true);
    let of_merchant = |name| text(Some(merchant), name);
    let (presence, method) = (
        text(it, "card_presence")?,
        text(it, "authorization_method")?,
    );
    let present = match (presence.as_deref(), method.as_deref()) {
        (Some("present"), _) => Some(true),
        (Some("not_present"), _) => Some(false),
        (_, Some("chip" | "contactless" | "swipe")) => Some(true),
        (_, Some("online")) => Some(false),
        _ => None,
    };
    Ok(Plain {
        ids: [
            Some(id(text(it, "id")?.ok_or(No)?)?),
            Some(history.len().to_string()),
            Some(id(text(Some(card), "id")?.ok_or(No)?)?),
            Some(delivery),
        ],
        kind: AuthorizationKind::Authorization,
        amount: (whole, code),
        cash,
        merchant_amount,
        acceptor: [
            named(text(network, "acquiring_institution_id")?),
            named(of_merchant("network_id")?),
            Some(of_merchant("name")?.unwrap_or_default()),
            Some(of_merchant("city")?.unwrap_or_default()),
        ],
        mcc: of_merchant("category_code")?.filter(|mcc| Mcc::parse(mcc).is_ok() && mcc != "0000"),
        country: of_merchant("country")?
            .and_then(|text| Country::parse_alpha2(&text).filter(|it| it.is_listed()))
            .map(Country::letters),
        partial: controllable && cash == 0,
        present,
        by_merchant: false,
        risk,
    })
}

fn reading(body: &str) -> Option<Option<Plain>> {
    Tree::parse(body).map(|tree| oracle(&tree).ok())
}

/// Names that mean something somewhere.
const NAMES: [&str; 22] = [
    "account",
    "amount",
    "amount_details",
    "atm_fee",
    "card",
    "card_presence",
    "cashback_amount",
    "category_code",
    "country",
    "currency",
    "data",
    "id",
    "is_amount_controllable",
    "livemode",
    "merchant_amount",
    "merchant_currency",
    "merchant_data",
    "network_data",
    "network_risk_score",
    "pending_request",
    "request_history",
    "type",
];

const TEXTS: [&str; 20] = [
    "",
    " ",
    "a",
    "issuing_authorization.request",
    "issuing_authorization.created",
    "usd",
    "EUR",
    "jpy",
    "isk",
    "MGA",
    "xxx",
    "5542",
    "6011",
    "12A4",
    "US",
    "USA",
    "present",
    "chip",
    "é\"\\\n\u{0}",
    "2599",
];

const READERS: Readers = Readers {
    fixtures: FIXTURES,
    decode,
    reading,
    texts: &TEXTS,
};

differential_tests!(READERS, NAMES);

#[test]
fn h3_each_value_replaced_is_read_as_the_oracle_reads_it() {
    let (understood, refused) = READERS.replace_each_value(&["purchase.everything", "atm"]);
    assert!(
        understood > 1500 && refused > 1000,
        "{understood} {refused}"
    );
}
