//! The decoder's meaning once more: slow, on a tree, and sharing no code with it. The fuzz targets
//! use it too.

use countersign::domain::acceptor::Country;
use countersign::domain::amount::AMOUNT_MINOR_MAX;
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::currency::Currency;
use countersign::domain::mcc::Mcc;

use super::tree::Tree;

/// What the engine takes from a request, in plain types.
#[derive(Debug, PartialEq)]
pub(crate) struct Plain {
    ids: [Option<String>; 3],
    kind: AuthorizationKind,
    amount: (i64, String),
    cash: i64,
    merchant_amount: Option<(i64, String)>,
    acceptor: [Option<String>; 4],
    mcc: Option<String>,
    country: Option<[char; 2]>,
    partial: bool,
    present: Option<bool>,
    risk: Option<i64>,
}

pub(crate) fn plain(request: &AuthorizationRequest<'_>) -> Plain {
    let pair = |amount: countersign::domain::amount::Amount| {
        (amount.minor.get(), amount.currency.to_string())
    };
    let acceptor = &request.acceptor;
    Plain {
        ids: [
            Some(request.authorization.to_string()),
            request.step.as_ref().map(ToString::to_string),
            Some(request.card_token.to_string()),
        ],
        kind: request.kind,
        amount: pair(request.amount),
        cash: request.cash.get(),
        merchant_amount: request.merchant_amount.map(pair),
        acceptor: [
            acceptor.acquirer_id.as_ref().map(ToString::to_string),
            acceptor.acceptor_id.as_ref().map(ToString::to_string),
            Some(acceptor.descriptor.to_string()),
            Some(acceptor.city.to_string()),
        ],
        mcc: acceptor.mcc.map(|mcc| mcc.to_string()),
        country: acceptor.country.map(Country::letters),
        partial: request.partial_approval_capable,
        present: request.card_present,
        risk: request.risk_score.map(i64::from),
    }
}

/// Not understood; which field is the other tests' business.
struct No;

/// A member that stands at most once; null is absent.
fn member<'t>(object: Option<&'t Tree>, name: &str) -> Result<Option<&'t Tree>, No> {
    let members = match object {
        None => return Ok(None),
        Some(Tree::Object(members)) => members,
        Some(_) => return Err(No),
    };
    let mut named = members.iter().filter(|(key, _)| key == name);
    match (named.next(), named.next()) {
        (_, Some(_)) => Err(No),
        (Some((_, Tree::Null)) | None, None) => Ok(None),
        (Some((_, value)), None) => Ok(Some(value)),
    }
}

fn object<'t>(of: Option<&'t Tree>, name: &str) -> Result<Option<&'t Tree>, No> {
    match member(of, name)? {
        None => Ok(None),
        Some(object @ Tree::Object(_)) => Ok(Some(object)),
        Some(_) => Err(No),
    }
}

fn text(of: Option<&Tree>, name: &str) -> Result<Option<String>, No> {
    match member(of, name)? {
        None => Ok(None),
        Some(Tree::Text(text)) => Ok(Some(text.clone())),
        Some(_) => Err(No),
    }
}

fn integer(of: Option<&Tree>, name: &str) -> Result<Option<i64>, No> {
    match member(of, name)? {
        None => Ok(None),
        Some(Tree::Integer(integer)) => Ok(Some(*integer)),
        Some(_) => Err(No),
    }
}

fn ensure(holds: bool) -> Result<(), No> {
    if holds { Ok(()) } else { Err(No) }
}

fn id(text: String) -> Result<String, No> {
    ensure(!text.is_empty() && text.len() <= 128)?;
    ensure(text.chars().all(|c| ('!'..='~').contains(&c)))?;
    Ok(text)
}

fn money(kind: AuthorizationKind, stated: i64) -> Result<i64, No> {
    let magnitude = match kind {
        AuthorizationKind::Credit => i128::from(stated).abs(),
        AuthorizationKind::BalanceInquiry if stated != 0 => -1,
        AuthorizationKind::Authorization
        | AuthorizationKind::SingleMessage
        | AuthorizationKind::BalanceInquiry => i128::from(stated),
    };
    ensure((0..=i128::from(AMOUNT_MINOR_MAX)).contains(&magnitude))?;
    i64::try_from(magnitude).map_err(|_too_large| No)
}

fn currency(code: &str) -> Option<String> {
    Currency::parse(code).ok().map(|known| known.to_string())
}

/// Amount and currency text, both required.
fn stated(of: &Tree) -> Result<(i64, String), No> {
    let amount = integer(Some(of), "amount")?.ok_or(No)?;
    Ok((amount, text(Some(of), "currency")?.ok_or(No)?))
}

type Stated = Option<(i64, String)>;

/// Cardholder's, hold's, merchant's amounts, wherever they stand.
fn amounts(root: Option<&Tree>) -> Result<[Stated; 3], No> {
    let flat = (
        integer(root, "amount")?,
        text(root, "cardholder_currency")?,
        integer(root, "merchant_amount")?,
        text(root, "merchant_currency")?,
    );
    if let Some(amounts) = object(root, "amounts")? {
        let of = |name| object(Some(amounts), name)?.map(stated).transpose();
        return Ok([of("cardholder")?, of("hold")?, of("merchant")?]);
    }
    Ok([flat.0.zip(flat.1), None, flat.2.zip(flat.3)])
}

fn oracle(tree: &Tree) -> Result<Plain, No> {
    ensure(matches!(tree, Tree::Object(_)))?;
    let root = Some(tree);
    let event_type = text(root, "event_type")?;
    ensure(event_type.is_none_or(|event| event == "card_authorization.approval_request"))?;
    let kind = match text(root, "status")?.ok_or(No)?.as_str() {
        "AUTHORIZATION" => AuthorizationKind::Authorization,
        "FINANCIAL_AUTHORIZATION" => AuthorizationKind::SingleMessage,
        "CREDIT_AUTHORIZATION" | "FINANCIAL_CREDIT_AUTHORIZATION" => AuthorizationKind::Credit,
        "BALANCE_INQUIRY" => AuthorizationKind::BalanceInquiry,
        _ => return Err(No),
    };
    let [cardholder, hold, merchant_amount] = amounts(root)?;
    let (cardholder, code) = cardholder.ok_or(No)?;
    let cardholder = money(kind, cardholder)?;
    let billing = currency(&code).ok_or(No)?;
    let hold = match hold {
        Some((hold, code)) => {
            ensure(currency(&code).as_ref() == Some(&billing))?;
            money(kind, hold)?
        }
        None => 0,
    };
    let merchant_amount = match merchant_amount {
        Some((amount, code)) => {
            let amount = money(kind, amount)?;
            currency(&code).map(|currency| (amount, currency))
        }
        None => None,
    };
    let (cash, cashback) = (integer(root, "cash_amount")?, integer(root, "cashback")?);
    let cash = money(kind, cash.or(cashback).unwrap_or(0))?;
    let fee = integer(root, "acquirer_fee")?.unwrap_or(0);
    let risk = integer(root, "network_risk_score")?;
    ensure(risk.is_none_or(|risk| (0..1000).contains(&risk)))?;
    let merchant = object(root, "merchant")?.ok_or(No)?;
    let merchant = Some(merchant);
    let of_merchant = |name| text(merchant, name);
    let named = |name| Ok(of_merchant(name)?.filter(|id| !id.trim().is_empty()));
    let mcc = of_merchant("mcc")?.filter(|mcc| Mcc::parse(mcc).is_ok());
    let country = of_merchant("country")?.and_then(|text| Country::parse_alpha3(&text));
    let (partial, present) = at_the_terminal(root)?;
    let purchase = matches!(
        kind,
        AuthorizationKind::Authorization | AuthorizationKind::SingleMessage
    );
    let exact = cash == 0 && fee == 0 && (hold <= cardholder || mcc.as_deref() == Some("5542"));
    let card = object(root, "card")?.ok_or(No)?;
    Ok(Plain {
        ids: [
            Some(id(text(root, "token")?.ok_or(No)?)?),
            text(root, "event_token")?.map(id).transpose()?,
            Some(id(text(Some(card), "token")?.ok_or(No)?)?),
        ],
        kind,
        amount: (cardholder.max(hold), billing),
        cash,
        merchant_amount,
        acceptor: [
            named("acquiring_institution_id")?,
            named("acceptor_id")?,
            Some(of_merchant("descriptor")?.ok_or(No)?),
            Some(of_merchant("city")?.unwrap_or_default()),
        ],
        mcc,
        country: country.map(Country::letters),
        partial: partial && exact && purchase,
        present,
        risk: risk.map(|risk| risk / 10),
    })
}

fn at_the_terminal(root: Option<&Tree>) -> Result<(bool, Option<bool>), No> {
    let pos = object(root, "pos")?;
    let terminal = object(pos, "terminal")?;
    let partial = match member(terminal, "partial_approval_capable")? {
        None => false,
        Some(Tree::Bool(partial)) => *partial,
        Some(_) => return Err(No),
    };
    let present = match text(object(pos, "entry_mode")?, "card")?.as_deref() {
        Some("PRESENT") => Some(true),
        Some("NOT_PRESENT") => Some(false),
        _ => None,
    };
    Ok((partial, present))
}

/// What the body means; within, absent where it is not understood. Absent where the oracle's parser
/// gives up (depth, strange numbers in fields that nobody reads) and there is nothing to compare.
pub(crate) fn reading(body: &str) -> Option<Option<Plain>> {
    let tree = Tree::parse(body)?;
    Some(oracle(&tree).ok())
}
