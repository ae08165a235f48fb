//! What the slow second decoders have in common: how they read a tree, and what they say. The fuzz
//! targets use it too.

use countersign::domain::acceptor::Country;
use countersign::domain::amount::Amount;
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::currency::Currency;

use super::tree::Tree;

/// What the engine takes from a request, in plain types.
#[derive(Debug, PartialEq)]
pub(crate) struct Plain {
    /// Authorization, step, card, and the delivery where it stands in the body.
    pub(crate) ids: [Option<String>; 4],
    pub(crate) kind: AuthorizationKind,
    pub(crate) amount: (i64, String),
    pub(crate) cash: i64,
    pub(crate) merchant_amount: Option<(i64, String)>,
    /// Acquirer, acceptor, descriptor, city.
    pub(crate) acceptor: [Option<String>; 4],
    pub(crate) mcc: Option<String>,
    pub(crate) country: Option<[char; 2]>,
    pub(crate) partial: bool,
    pub(crate) present: Option<bool>,
    pub(crate) by_merchant: bool,
    pub(crate) risk: Option<i64>,
}

pub(crate) fn plain(request: &AuthorizationRequest<'_>) -> Plain {
    let pair = |amount: Amount| (amount.minor.get(), amount.currency.to_string());
    let acceptor = &request.acceptor;
    Plain {
        ids: [
            Some(request.authorization.to_string()),
            request.step.as_ref().map(ToString::to_string),
            Some(request.card_token.to_string()),
            request.delivery.as_ref().map(ToString::to_string),
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
        by_merchant: request.merchant_initiated,
        risk: request.risk_score.map(i64::from),
    }
}

/// Not understood; which field is the other tests' business.
#[derive(Debug)]
pub(crate) struct No;

/// A member that stands at most once; null is absent.
pub(crate) fn member<'t>(object: Option<&'t Tree>, name: &str) -> Result<Option<&'t Tree>, No> {
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

pub(crate) fn object<'t>(of: Option<&'t Tree>, name: &str) -> Result<Option<&'t Tree>, No> {
    match member(of, name)? {
        None => Ok(None),
        Some(object @ Tree::Object(_)) => Ok(Some(object)),
        Some(_) => Err(No),
    }
}

pub(crate) fn text(of: Option<&Tree>, name: &str) -> Result<Option<String>, No> {
    match member(of, name)? {
        None => Ok(None),
        Some(Tree::Text(text)) => Ok(Some(text.clone())),
        Some(_) => Err(No),
    }
}

pub(crate) fn integer(of: Option<&Tree>, name: &str) -> Result<Option<i64>, No> {
    match member(of, name)? {
        None => Ok(None),
        Some(Tree::Integer(integer)) => Ok(Some(*integer)),
        Some(_) => Err(No),
    }
}

pub(crate) fn flag(of: Option<&Tree>, name: &str) -> Result<Option<bool>, No> {
    match member(of, name)? {
        None => Ok(None),
        Some(Tree::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(No),
    }
}

pub(crate) fn ensure(holds: bool) -> Result<(), No> {
    if holds { Ok(()) } else { Err(No) }
}

pub(crate) fn id(text: String) -> Result<String, No> {
    ensure(!text.is_empty() && text.len() <= 128)?;
    ensure(text.chars().all(|c| ('!'..='~').contains(&c)))?;
    Ok(text)
}

pub(crate) fn named(text: Option<String>) -> Option<String> {
    text.filter(|id| !id.trim().is_empty())
}

pub(crate) fn currency(code: &str) -> Option<String> {
    Currency::parse(code).ok().map(|known| known.to_string())
}
