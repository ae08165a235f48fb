//! The decoder against a second, slow one that walks a tree (H2: both agree on every input).

use countersign::domain::acceptor::Country;
use countersign::domain::amount::AMOUNT_MINOR_MAX;
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::currency::Currency;
use countersign::domain::mcc::Mcc;

use crate::oracle::{No, Plain, currency, ensure, flag, id, integer, member, named, object, text};
use crate::support::{FIXTURES, decode};
use crate::tree::Tree;
use crate::two_readers::{Readers, differential_tests};

/// A number's sign, digits and the power of ten of the last one.
fn parts(value: &Tree) -> Result<(bool, String, i64), No> {
    let text = match value {
        Tree::Integer(integer) => integer.to_string(),
        Tree::Number(text) => text.clone(),
        Tree::Null
        | Tree::Bool(_)
        | Tree::Text(_)
        | Tree::List(_)
        | Tree::Object(_)
        | Tree::Raw(_) => return Err(No),
    };
    let negative = text.starts_with('-');
    let text = text.trim_start_matches('-').to_lowercase();
    ensure(text.len() <= 64)?;
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    ensure(exponent.trim_start_matches(['+', '-']).len() <= 4)?;
    let exponent: i64 = exponent.parse().map_err(|_too_long| No)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let last = exponent - i64::try_from(fraction.len()).unwrap();
    Ok((negative, format!("{whole}{fraction}"), last))
}

/// Shifts the decimal point digit by digit.
fn money(value: &Tree, code: &str, either_sign: bool) -> Result<i64, No> {
    let (negative, mut digits, mut last) = parts(value)?;
    ensure(!negative || either_sign)?;
    last += i64::from(Currency::parse(code).unwrap().exponent());
    if digits.chars().all(|digit| digit == '0') {
        return Ok(0);
    }
    while last < 0 {
        ensure(digits.pop() == Some('0'))?;
        last += 1;
    }
    while last > 0 {
        digits.push('0');
        ensure(digits.trim_start_matches('0').len() <= 16)?;
        last -= 1;
    }
    let minor: i64 = digits.parse().map_err(|_too_long| No)?;
    ensure(minor <= AMOUNT_MINOR_MAX)?;
    Ok(minor)
}

fn method(name: &str) -> Result<(AuthorizationKind, bool, bool), No> {
    use AuthorizationKind::{Authorization, BalanceInquiry, Credit, SingleMessage};
    Ok(match name.strip_prefix("pgfs.").ok_or(No)? {
        "authorization"
        | "authorization.cashback"
        | "authorization.incremental"
        | "pindebit.authorization" => (Authorization, false, false),
        "authorization.quasi.cash" => (Authorization, true, false),
        "authorization.account_verification" | "product.inquiry" => (Authorization, false, true),
        "auth_plus_capture" | "pindebit" | "pindebit.cashback" => (SingleMessage, false, false),
        "atm.withdrawal" | "pindebit.atm.withdrawal" | "pindebit.quasi.cash" => {
            (SingleMessage, true, false)
        }
        "balanceinquiry" | "pindebit.balanceinquiry" => (BalanceInquiry, false, true),
        "refund.authorization"
        | "original.credit.authorization"
        | "original.credit.auth_plus_capture" => (Credit, false, false),
        _ => return Err(No),
    })
}

fn merchant_amount(root: Option<&Tree>) -> Result<Option<(i64, String)>, No> {
    let network = object(object(root, "currency_conversion")?, "network")?;
    let stated = member(network, "original_amount")?;
    if let Some(stated) = stated {
        ensure(matches!(stated, Tree::Integer(_) | Tree::Number(_)))?;
    }
    let code = match member(network, "original_currency_code")? {
        Some(Tree::Text(text)) => Some(text.clone()),
        Some(Tree::Integer(number)) => Some(number.to_string()),
        _ => None,
    };
    let known = code
        .and_then(|code| Currency::parse_numeric(&code).or_else(|| Currency::parse(&code).ok()));
    let (Some(stated), Some(code)) = (stated, known) else {
        return Ok(None);
    };
    let code = code.to_string();
    Ok(Some((money(stated, &code, true)?, code)))
}

fn order(root: Option<&Tree>) -> Result<(&Tree, bool), No> {
    match (
        object(root, "gpa_order")?,
        object(root, "gpa_order_unload")?,
    ) {
        (Some(order), None) => Ok((order, false)),
        (None, Some(order)) => Ok((order, true)),
        (None, None) | (Some(_), Some(_)) => Err(No),
    }
}

/// The order's currency, which the transaction may repeat.
fn code(root: Option<&Tree>, order: Option<&Tree>) -> Result<String, No> {
    let read = |of| match text(of, "currency_code")? {
        Some(code) => Ok(Some(currency(&code).ok_or(No)?)),
        None => Ok(None),
    };
    match (read(order)?, read(root)?) {
        (Some(order), Some(transaction)) => {
            ensure(order == transaction)?;
            Ok(order)
        }
        (Some(code), None) | (None, Some(code)) => Ok(code),
        (None, None) => Err(No),
    }
}

fn oracle(tree: &Tree) -> Result<Plain, No> {
    ensure(matches!(tree, Tree::Object(_)))?;
    let root = Some(tree);
    let (order, unload) = order(root)?;
    let funding = Some(object(Some(order), "jit_funding")?.ok_or(No)?);
    let name = text(funding, "method")?.ok_or(No)?;
    let (kind, all_cash, zero) = method(&name)?;
    ensure(!unload || kind == AuthorizationKind::Credit)?;
    let either_sign = kind == AuthorizationKind::Credit;
    let code = code(root, Some(order))?;
    let amount = money(member(funding, "amount")?.ok_or(No)?, &code, either_sign)?;
    ensure(!zero || amount == 0)?;
    let back = match member(root, "cash_back_amount")? {
        Some(value) => money(value, &code, either_sign)?,
        None => 0,
    };
    ensure(!zero || back == 0)?;
    let holders = [
        text(funding, "user_token")?,
        text(funding, "business_token")?,
        text(root, "user_token")?,
    ];
    let holder = holders.into_iter().flatten().next().ok_or(No)?;
    let token = text(funding, "token")?.ok_or(No)?;
    ensure(holder.len() <= 255)?;
    let original = text(funding, "original_jit_funding_token")?
        .map(id)
        .transpose()?;
    ensure(original.is_some() || name != "pgfs.authorization.incremental")?;
    let step = id(token)?;
    let (pos, acceptor) = (object(root, "pos")?, object(root, "card_acceptor")?);
    let risk = integer(
        object(object(root, "fraud")?, "network")?,
        "transaction_risk_score",
    )?;
    ensure(risk.is_none_or(|risk| (0..100).contains(&risk)))?;
    let cash = if all_cash { amount.max(back) } else { back };
    let capable = flag(pos, "partial_approval_capable")? == Some(true);
    let country = text(acceptor, "country")?.or(text(acceptor, "country_code")?);
    let country = country.and_then(|text| {
        Country::parse_alpha3(&text)
            .or_else(|| Country::parse_alpha2(&text).filter(|it| it.is_listed()))
    });
    Ok(Plain {
        ids: [
            Some(original.unwrap_or_else(|| step.clone())),
            Some(step),
            Some(id(text(root, "card_token")?.ok_or(No)?)?),
            Some(id(text(root, "token")?.ok_or(No)?)?),
        ],
        kind,
        amount: (amount, code),
        cash,
        merchant_amount: merchant_amount(root)?,
        acceptor: [
            named(text(object(root, "acquirer")?, "institution_id_code")?),
            named(text(acceptor, "mid")?),
            Some(text(acceptor, "name")?.unwrap_or_default()),
            Some(text(acceptor, "city")?.unwrap_or_default()),
        ],
        mcc: text(acceptor, "mcc")?.filter(|mcc| Mcc::parse(mcc).is_ok() && mcc != "0000"),
        country: country.map(Country::letters),
        partial: capable && cash == 0 && !zero && kind != AuthorizationKind::Credit,
        present: flag(pos, "card_presence")?,
        by_merchant: false,
        risk,
    })
}

/// The oracle leaves out what is read only for the reply; these must be right as well.
fn fields_of_the_other_order_are_right(tree: &Tree) -> Result<(), No> {
    let root = Some(tree);
    text(root, "user_token")?;
    for name in ["country", "country_code"] {
        text(object(root, "card_acceptor")?, name)?;
    }
    Ok(())
}

fn reading(body: &str) -> Option<Option<Plain>> {
    let tree = Tree::parse(body)?;
    let read = fields_of_the_other_order_are_right(&tree).and_then(|()| oracle(&tree));
    Some(read.ok())
}

/// Names that mean something somewhere.
const NAMES: [&str; 24] = [
    "acquirer",
    "amount",
    "business_token",
    "card_acceptor",
    "card_presence",
    "card_token",
    "cash_back_amount",
    "country",
    "country_code",
    "currency_code",
    "currency_conversion",
    "gpa_order",
    "gpa_order_unload",
    "jit_funding",
    "mcc",
    "method",
    "network",
    "original_amount",
    "original_currency_code",
    "original_jit_funding_token",
    "partial_approval_capable",
    "pos",
    "token",
    "user_token",
];

const TEXTS: [&str; 24] = [
    "",
    " ",
    "a",
    "pgfs.authorization",
    "pgfs.authorization.incremental",
    "pgfs.authorization.account_verification",
    "pgfs.authorization.clearing",
    "pgfs.atm.withdrawal",
    "pgfs.balanceinquiry",
    "pgfs.refund.authorization",
    "USD",
    "eur",
    "JPY",
    "KWD",
    "XXX",
    "978",
    "5542",
    "12A4",
    "USA",
    "US",
    "QZZ",
    "25.99",
    "é\"\\\n\u{0}",
    "\u{202e}\u{1b}[0m",
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
    let (understood, refused) = READERS.replace_each_value(&["purchase.increment"]);
    assert!(understood > 1000 && refused > 500, "{understood} {refused}");
}
