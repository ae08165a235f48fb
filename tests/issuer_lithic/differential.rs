//! The decoder against a second, slow one that walks a tree (H2: both agree on every input).

use proptest::prelude::{ProptestConfig, any, proptest};
use proptest::sample::{Index, select};
use proptest::test_runner::TestCaseError;

use crate::mutation::{BYTES, apply, mutation, spoil, values};
use crate::oracle::plain;
use crate::reading::reading;
use crate::support::{decode, fixture, fixture_names};
use crate::tree::Tree;

/// Both readings of one body. Where the oracle's parser gives up (depth, strange numbers in fields
/// that nobody reads) there is nothing to compare.
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn h2_changed_trees_are_read_as_the_oracle_reads_them(
        name in select(fixture_names()),
        changes in proptest::collection::vec((any::<Index>(), any::<Index>(), mutation(&NAMES, &TEXTS)), 1..4),
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
        changes in proptest::collection::vec((any::<Index>(), select(BYTES), 0..3u8), 1..4),
    ) {
        let bytes = spoil(fixture(&name), &changes);
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
    let values = values(&TEXTS);
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
