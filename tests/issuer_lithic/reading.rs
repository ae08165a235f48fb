//! The decoder's meaning once more: slow, on a tree, and sharing no code with it. The fuzz targets
//! use it too.

use countersign::domain::acceptor::Country;
use countersign::domain::amount::AMOUNT_MINOR_MAX;
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::mcc::Mcc;

use super::oracle::{No, Plain, currency, ensure, flag, id, integer, named, object, text};
use super::tree::Tree;

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

/// A machine may ask for a fee where nothing is asked of the card.
fn merchants(kind: AuthorizationKind) -> AuthorizationKind {
    if kind == AuthorizationKind::BalanceInquiry {
        return AuthorizationKind::Authorization;
    }
    kind
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
            let amount = money(merchants(kind), amount)?;
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
    let mcc = of_merchant("mcc")?.filter(|mcc| Mcc::parse(mcc).is_ok() && mcc != "0000");
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
            None,
        ],
        kind,
        amount: (cardholder.max(hold), billing),
        cash,
        merchant_amount,
        acceptor: [
            named(of_merchant("acquiring_institution_id")?),
            named(of_merchant("acceptor_id")?),
            Some(of_merchant("descriptor")?.ok_or(No)?),
            Some(of_merchant("city")?.unwrap_or_default()),
        ],
        mcc,
        country: country.map(Country::letters),
        partial: partial && exact && purchase,
        present,
        by_merchant: by_merchant(root)?,
        risk: risk.map(|risk| (risk / 10 + i64::from(risk % 10 > 0)).min(99)),
    })
}

fn by_merchant(root: Option<&Tree>) -> Result<bool, No> {
    let initiator = text(root, "transaction_initiator")?;
    Ok(initiator.is_some_and(|it| it == "MERCHANT"))
}

fn at_the_terminal(root: Option<&Tree>) -> Result<(bool, Option<bool>), No> {
    let pos = object(root, "pos")?;
    let terminal = object(pos, "terminal")?;
    let partial = flag(terminal, "partial_approval_capable")?.unwrap_or(false);
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
