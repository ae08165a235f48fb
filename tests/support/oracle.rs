//! What the slow second decoders have in common: how they read a tree, what they say, and how trees
//! are changed before both decoders see them.

use countersign::domain::acceptor::Country;
use countersign::domain::amount::{AMOUNT_MINOR_MAX, Amount};
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::currency::Currency;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};

use crate::tree::Tree;

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

#[derive(Clone, Debug)]
pub(crate) enum Mutation {
    Replace(Tree),
    Remove,
    Repeat(Tree),
    RepeatSame,
    Insert(&'static str, Tree),
    Rename(&'static str),
    Wrap,
    TakeFrom(Index),
}

/// Numbers and texts that are written in strange ways.
pub(crate) const RAW: [&str; 16] = [
    "-0",
    "-0.0",
    "1.0",
    "26e2",
    "2.599e1",
    "1e400",
    "0e400",
    "9223372036854775808",
    "18446744073709551616",
    "0.1",
    "0.005",
    "\"\\u0055SD\"",
    "\"\\ud800\"",
    "\"\\/\"",
    "[[[[[[]]]]]]",
    "{\"a\":1,\"a\":2}",
];

pub(crate) const INTEGERS: [i64; 12] = [
    0,
    1,
    -1,
    100,
    999,
    1000,
    2599,
    AMOUNT_MINOR_MAX,
    AMOUNT_MINOR_MAX + 1,
    -AMOUNT_MINOR_MAX,
    i64::MAX,
    i64::MIN,
];

/// Any value: of the texts, or of those that every issuer may send.
pub(crate) fn value(texts: &'static [&'static str]) -> impl Strategy<Value = Tree> {
    prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        select(&INTEGERS[..]).prop_map(Tree::Integer),
        select(texts).prop_map(|text| Tree::Text(text.to_owned())),
        select(&RAW[..]).prop_map(Tree::Raw),
        Just(Tree::List(vec![])),
        Just(Tree::Object(vec![])),
        Just(Tree::List(vec![
            Tree::Integer(1),
            Tree::Text("USD".to_owned())
        ])),
        (select(&INTEGERS[..]), select(texts)).prop_map(|(amount, currency)| {
            let amount = ("amount".to_owned(), Tree::Integer(amount));
            Tree::Object(vec![
                amount,
                ("currency".to_owned(), Tree::Text(currency.to_owned())),
            ])
        }),
    ]
}

/// Every value that [`value`] may choose, but for the made-up objects.
pub(crate) fn values(texts: &'static [&'static str]) -> Vec<Tree> {
    let texts = texts.iter().map(|text| Tree::Text((*text).to_owned()));
    let integers = INTEGERS.iter().copied().map(Tree::Integer);
    let others = [
        Tree::Null,
        Tree::Bool(true),
        Tree::List(vec![]),
        Tree::Object(vec![]),
    ];
    let raw = RAW.iter().copied().map(Tree::Raw);
    texts.chain(integers).chain(others).chain(raw).collect()
}

/// `names` mean something somewhere.
pub(crate) fn mutation(
    names: &'static [&'static str],
    texts: &'static [&'static str],
) -> impl Strategy<Value = Mutation> {
    prop_oneof![
        6 => value(texts).prop_map(Mutation::Replace),
        2 => Just(Mutation::Remove),
        1 => value(texts).prop_map(Mutation::Repeat),
        1 => Just(Mutation::RepeatSame),
        2 => (select(names), value(texts)).prop_map(|(name, value)| Mutation::Insert(name, value)),
        1 => select(names).prop_map(Mutation::Rename),
        1 => Just(Mutation::Wrap),
        1 => any::<Index>().prop_map(Mutation::TakeFrom),
    ]
}

pub(crate) fn apply(tree: &mut Tree, at: Index, member_at: Index, mutation: Mutation) {
    let size = tree.size();
    let whole = tree.clone();
    let Some(target) = tree.at(at.index(size)) else {
        return;
    };
    match (target, mutation) {
        (target, Mutation::Replace(value)) => *target = value,
        (target, Mutation::Wrap) => *target = Tree::List(vec![target.clone()]),
        (target, Mutation::TakeFrom(from)) => {
            let mut whole = whole;
            if let Some(other) = whole.at(from.index(size)) {
                *target = other.clone();
            }
        }
        (Tree::Object(members), Mutation::Insert(name, value)) => {
            members.insert(member_at.index(members.len() + 1), (name.to_owned(), value));
        }
        (Tree::Object(members), mutation) if !members.is_empty() => {
            let at = member_at.index(members.len());
            let (name, value) = members[at].clone();
            match mutation {
                Mutation::Remove => drop(members.remove(at)),
                Mutation::Repeat(value) => members.push((name, value)),
                Mutation::RepeatSame => members.push((name, value)),
                Mutation::Rename(name) => members[at].0 = name.to_owned(),
                Mutation::Replace(_)
                | Mutation::Insert(..)
                | Mutation::Wrap
                | Mutation::TakeFrom(_) => {}
            }
        }
        _ => {}
    }
}

/// What is put into a body byte by byte.
pub(crate) const BYTES: &[u8] = b"0123456789-+.eE\"\\{}[]:, \nunltrfas\x00\x7f\xc3\xa9";

/// Changes some bytes: replaced, inserted or removed.
pub(crate) fn spoil(body: String, changes: &[(Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = body.into_bytes();
    for (at, byte, how) in changes {
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] = *byte,
            1 => bytes.insert(at, *byte),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}
