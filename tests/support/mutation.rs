//! How trees and texts are changed before both decoders see them.

use countersign::domain::amount::AMOUNT_MINOR_MAX;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};

use crate::tree::Tree;

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
