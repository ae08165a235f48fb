//! The decoder against a second, slow one that walks a tree (H2: both agree on every input).

use countersign::domain::amount::AMOUNT_MINOR_MAX;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::{Index, select};
use proptest::test_runner::TestCaseError;

use crate::oracle::{plain, reading};
use crate::support::{decode, fixture, fixture_names};
use crate::tree::Tree;

/// Both readings of one body, and whether it was understood.
fn compare(body: &str) -> Result<bool, TestCaseError> {
    let Some(expected) = reading(body) else {
        return Ok(false);
    };
    let decoded = decode(body.as_bytes());
    let found = decoded.as_ref().ok().map(plain);
    if found == expected {
        Ok(found.is_some())
    } else {
        Err(TestCaseError::fail(format!(
            "{body}\ndecoded {decoded:?}\noracle {expected:?}"
        )))
    }
}

#[derive(Clone, Debug)]
enum Mutation {
    Replace(Tree),
    Remove,
    Repeat(Tree),
    RepeatSame,
    Insert(&'static str, Tree),
    Rename(&'static str),
    Wrap,
    TakeFrom(Index),
}

/// Names that mean something somewhere.
const NAMES: [&str; 22] = [
    "acquirer_fee",
    "amount",
    "amounts",
    "card",
    "cardholder",
    "cardholder_currency",
    "cash_amount",
    "cashback",
    "currency",
    "entry_mode",
    "event_token",
    "event_type",
    "hold",
    "merchant",
    "merchant_amount",
    "merchant_currency",
    "network_risk_score",
    "partial_approval_capable",
    "pos",
    "status",
    "terminal",
    "token",
];

const TEXTS: [&str; 24] = [
    "",
    " ",
    "a",
    "AUTHORIZATION",
    "FINANCIAL_AUTHORIZATION",
    "CREDIT_AUTHORIZATION",
    "FINANCIAL_CREDIT_AUTHORIZATION",
    "BALANCE_INQUIRY",
    "card_authorization.approval_request",
    "USD",
    "eur",
    "JPY",
    "XXX",
    "5542",
    "6011",
    "0000",
    "12A4",
    "USA",
    "QZZ",
    "PRESENT",
    "NOT_PRESENT",
    "é\"\\\n\u{0}",
    "\u{202e}\u{1b}[0m",
    "2599",
];

const RAW: [&str; 12] = [
    "-0",
    "1.0",
    "26e2",
    "1e400",
    "9223372036854775808",
    "18446744073709551616",
    "0.1",
    "\"\\u0055SD\"",
    "\"\\ud800\"",
    "\"\\/\"",
    "[[[[[[]]]]]]",
    "{\"a\":1,\"a\":2}",
];

const INTEGERS: [i64; 12] = [
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

fn value() -> impl Strategy<Value = Tree> {
    prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        select(&INTEGERS[..]).prop_map(Tree::Integer),
        select(&TEXTS[..]).prop_map(|text| Tree::Text(text.to_owned())),
        select(&RAW[..]).prop_map(Tree::Raw),
        Just(Tree::List(vec![])),
        Just(Tree::Object(vec![])),
        Just(Tree::List(vec![
            Tree::Integer(1),
            Tree::Text("USD".to_owned())
        ])),
        (select(&INTEGERS[..]), select(&TEXTS[..])).prop_map(|(amount, currency)| {
            let amount = ("amount".to_owned(), Tree::Integer(amount));
            Tree::Object(vec![
                amount,
                ("currency".to_owned(), Tree::Text(currency.to_owned())),
            ])
        }),
    ]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        6 => value().prop_map(Mutation::Replace),
        2 => Just(Mutation::Remove),
        1 => value().prop_map(Mutation::Repeat),
        1 => Just(Mutation::RepeatSame),
        2 => (select(&NAMES[..]), value()).prop_map(|(name, value)| Mutation::Insert(name, value)),
        1 => select(&NAMES[..]).prop_map(Mutation::Rename),
        1 => Just(Mutation::Wrap),
        1 => any::<Index>().prop_map(Mutation::TakeFrom),
    ]
}

fn apply(tree: &mut Tree, at: Index, member_at: Index, mutation: Mutation) {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn h2_changed_trees_are_read_as_the_oracle_reads_them(
        name in select(fixture_names()),
        changes in proptest::collection::vec((any::<Index>(), any::<Index>(), mutation()), 1..4),
    ) {
        let mut tree = Tree::parse(&fixture(&name)).unwrap();
        for (at, member_at, mutation) in changes {
            apply(&mut tree, at, member_at, mutation);
        }
        compare(&tree.to_string())?;
    }

    #[test]
    fn h1_changed_bytes_are_read_as_the_oracle_reads_them(
        name in select(fixture_names()),
        changes in proptest::collection::vec(
            (any::<Index>(), select(&b"0123456789-+.eE\"\\{}[]:, \nunltrfas\x00\x7f\xc3\xa9"[..]), 0..3u8),
            1..4,
        ),
    ) {
        let mut bytes = fixture(&name).into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        match str::from_utf8(&bytes) {
            Ok(text) => drop(compare(text)?),
            Err(_) => assert!(decode(&bytes).is_err()),
        }
    }

    #[test]
    fn h1_any_bytes_are_no_request(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        assert!(decode(&bytes).is_err());
    }
}

#[test]
fn the_oracle_understands_every_fixture() {
    for name in fixture_names() {
        assert!(compare(&fixture(&name)).unwrap(), "{name}");
    }
}

/// Every value of every fixture, replaced by every kind of value and removed: without chance.
#[test]
fn h3_each_value_replaced_is_read_as_the_oracle_reads_it() {
    let texts = TEXTS.iter().map(|text| Tree::Text((*text).to_owned()));
    let integers = INTEGERS.iter().copied().map(Tree::Integer);
    let others = [
        Tree::Null,
        Tree::Bool(true),
        Tree::List(vec![]),
        Tree::Object(vec![]),
    ];
    let raw = RAW.iter().copied().map(Tree::Raw);
    let values: Vec<Tree> = texts.chain(integers).chain(others).chain(raw).collect();
    let (mut understood, mut refused) = (0, 0);
    for name in [
        "purchase.everything",
        "credit",
        "balance_inquiry",
        "purchase.2021_shape",
    ] {
        let whole = Tree::parse(&fixture(name)).unwrap();
        for index in 0..whole.size() {
            for value in &values {
                let mut tree = whole.clone();
                *tree.at(index).unwrap() = value.clone();
                if compare(&tree.to_string()).unwrap() {
                    understood += 1;
                } else {
                    refused += 1;
                }
            }
        }
    }
    assert!(
        understood > 2000 && refused > 2000,
        "{understood} {refused}"
    );
}
