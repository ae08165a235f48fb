//! Lithic's `card_transaction.updated`: whole transactions.

use serde_json::Value;

use crate::support::{fixture, in_short, lithic, names, observe};

const CARD: &str = "5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142";
const TRANSACTION: &str = "0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a01";

type Row = (&'static str, &'static [&'static str], &'static str, bool);

/// Name, movements, standing, whether it is forced.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("advice", &["authorized 100", "replaced 4200"], "pending 4200 0 0", false),
    ("authorized", &["authorized 2599"], "pending 2599 0 0", false),
    ("cleared", &["authorized 2599", "posted 2599"], "settled 0 2599 0", false),
    ("cleared_above", &["authorized 2599", "posted 3000"], "settled 0 3000 0", false),
    // The settlement is in another currency than the card's: it tells nothing.
    ("cleared_abroad", &["authorized 2599", "posted 2600"], "settled 0 - -", false),
    ("cleared_after_expiry", &["authorized 2599", "expired 2599", "posted 2599"], "settled 0 2599 0", false),
    ("cleared_partly", &["authorized 2599", "posted 1000"], "settled 1599 1000 0", false),
    // Credit that is yet to come gives no room.
    ("credit_pending", &["noted 1999"], "pending 0 0 0", false),
    ("declined", &["declined 2599"], "declined 0 0 0", false),
    ("expired", &["authorized 2599", "expired 2599"], "expired 0 0 0", false),
    ("financial", &["authorized and posted 3125"], "settled 0 3125 0", false),
    ("forced", &["posted 1200"], "settled 0 1200 0", true),
    ("increment_declined", &["authorized 2599", "declined 90000"], "pending 2599 0 0", false),
    ("incremented", &["authorized 2599", "authorized 500"], "pending 3099 0 0", false),
    ("inquiry", &["noted 0"], "declined 0 0 0", false),
    ("offline", &["replaced 700"], "pending 700 0 0", false),
    ("refund_alone", &["refunded 1999"], "settled 0 0 1999", false),
    ("refund_reversed", &["authorized 2599", "posted 2599", "refunded 1000", "refund reversed 1000"], "settled 0 2599 0", false),
    ("refunded", &["authorized 2599", "posted 2599", "refunded 1000"], "settled 0 2599 1000", false),
    ("return_not_found", &["noted 1999"], "declined 0 0 0", false),
    ("reversed", &["authorized 2599", "released 2599"], "voided 0 0 0", false),
    ("reversed_partly", &["authorized 2599", "released 1000"], "pending 1599 0 0", false),
    ("timed_out", &["authorized 2599", "declined 2599"], "declined 0 0 0", false),
    // The network stood in for an answer that came too late.
    ("timed_out_stood_in", &["declined 2599", "replaced 2599"], "pending 2599 0 0", false),
];

#[test]
fn every_event_is_observed_as_its_row_says() {
    let named: Vec<_> = names("lithic");
    let rows: Vec<_> = ROWS.iter().map(|(name, ..)| *name).collect();
    let others = ["dispute", "dispute_transaction", "dispute_won", "other"];
    let known: Vec<_> = named
        .iter()
        .filter(|name| !others.contains(&name.as_str()))
        .collect();
    assert_eq!(known, rows, "a fixture without a row, or a row without one");
    for (name, movements, standing, is_forced) in ROWS {
        let body = fixture("lithic", name);
        let observed = observe(&lithic(), &body).unwrap_or_else(|error| panic!("{name}: {error}"));
        let [one] = &observed[..] else {
            panic!("{name}: {observed:?}");
        };
        let expected: Vec<_> = movements.iter().map(|it| (*it).to_owned()).collect();
        let standing = Some((*standing).to_owned());
        assert_eq!(in_short(one), (expected, standing), "{name}");
        assert_eq!(one.is_forced, *is_forced, "{name}");
        assert_eq!(one.card_token.as_deref(), Some(CARD));
        assert!(one.authorization.is_some() && one.follows.is_none());
        let revision = one.standing.map(|it| it.revision);
        assert_eq!(revision, Some(one.movements.len()), "{name}");
        // Each movement has an id of its own.
        let mut ids: Vec<_> = one.movements.iter().map(|it| &it.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), one.movements.len());
    }
}

/// The older kind of dispute names the transaction alone, the newer one the card too.
#[test]
fn i7_a_dispute_names_its_transaction() {
    let rows = [
        ("dispute", "d15b07e0-0000-4000-8000-000000000001", None),
        (
            "dispute_transaction",
            "d15b07e0-0000-4000-8000-000000000002",
            Some(CARD),
        ),
    ];
    for (name, id, card) in rows {
        let body = fixture("lithic", name);
        let observed = observe(&lithic(), &body).unwrap_or_else(|error| panic!("{name}: {error}"));
        let [one] = &observed[..] else {
            panic!("{name}: {observed:?}");
        };
        let disputed = vec!["disputed 2599".to_owned()];
        assert_eq!(in_short(one), (disputed, None), "{name}");
        assert_eq!(one.movements[0].id, id, "{name}");
        assert_eq!(one.authorization.as_deref(), Some(TRANSACTION), "{name}");
        assert_eq!(one.card_token.as_deref(), card, "{name}");
        assert_eq!(one.currency.is_some(), card.is_some(), "{name}");
        assert!(one.follows.is_none() && one.acceptor.is_none(), "{name}");
    }
    let mut alone: Value = serde_json::from_str(&fixture("lithic", "dispute_transaction")).unwrap();
    alone["transaction_series"] = Value::Null;
    let alone = alone.to_string();
    let observed = observe(&lithic(), &alone).unwrap();
    assert_eq!(observed[0].authorization, None, "one that names none");
}

/// A later report of the same transaction knows the movements of the earlier one by the same ids.
#[test]
fn b7_the_same_movement_has_the_same_id_in_every_report() {
    let (first, later) = (
        fixture("lithic", "authorized"),
        fixture("lithic", "refunded"),
    );
    let first = observe(&lithic(), &first).unwrap();
    let later = observe(&lithic(), &later).unwrap();
    assert_eq!(first[0].authorization, later[0].authorization);
    assert_eq!(first[0].movements[0], later[0].movements[0]);
}

#[test]
fn what_is_about_something_else_reports_nothing() {
    assert_eq!(observe(&lithic(), &fixture("lithic", "other")), Ok(vec![]));
}
