//! Stripe's `issuing_authorization.*` and `issuing_transaction.*`.

use countersign::issuer::{Fault, NotUnderstood};
use serde_json::Value;

use crate::support::{fixture, in_short, names, observe, stripe};

const AUTHORIZATION: &str = "iauth_1AuThOrIzAtIoNoFtHeTeSt";

type Row = (
    &'static str,
    &'static [&'static str],
    Option<&'static str>,
    bool,
);

/// Name, movements, standing, whether it is forced.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("capture", &["posted 2599"], None, false),
    // How much of it is disputed, only the dispute says.
    ("capture_disputed", &["posted 2599", "disputed 0"], None, false),
    ("capture_expanded", &["posted 2599"], None, false),
    ("capture_updated", &["posted 2599"], None, false),
    ("captured_partly", &["authorized 2599", "posted 1000"], Some("pending 1599 1000 0"), false),
    ("closed", &["authorized 2599", "posted 2599"], Some("closed 0 2599 0"), false),
    ("closed_partly", &["authorized 2599", "posted 1000"], Some("closed 0 1000 0"), false),
    ("created", &["authorized 2599"], Some("pending 2599 0 0"), false),
    ("declined", &["declined 2599"], Some("declined 0 0 0"), false),
    // Every event of a dispute is a word on the same thing.
    ("dispute", &["disputed 2599"], None, false),
    ("dispute_reinstated", &["disputed 2599"], None, false),
    ("dispute_rescinded", &["disputed 2599"], None, false),
    // What is left may still be captured; it is not held any more.
    ("expired", &["authorized 2599"], Some("expired 0 0 0"), false),
    ("forced_capture", &["posted 1200"], None, true),
    ("increment_declined", &["authorized 2599", "declined 90000"], Some("pending 2599 0 0"), false),
    ("incremented", &["authorized 2599", "authorized 500"], Some("pending 3099 0 0"), false),
    // Two and a half thousand krona, which Stripe writes with two decimals.
    ("krona", &["posted 2500"], None, false),
    // Raised without a question, as an advice does it.
    ("raised", &["authorized 2599"], Some("pending 4200 0 0"), false),
    ("refund", &["refunded 500"], None, false),
    ("refunded", &["authorized 2599", "posted 1000", "posted 2000", "refunded 500"], Some("closed 0 3000 500"), false),
    ("reversed", &["authorized 2599"], Some("voided 0 0 0"), false),
    ("reversed_partly", &["authorized 2599"], Some("pending 1599 0 0"), false),
    // Approved without us.
    ("timed_out", &["authorized 2599"], Some("pending 2599 0 0"), false),
    ("timed_out_declined", &["declined 2599"], Some("declined 0 0 0"), false),
    ("unlinked_refund", &["refunded 1999"], None, false),
    ("without_transactions", &["authorized 2599"], Some("pending 2599 - -"), false),
];

#[test]
fn every_event_is_observed_as_its_row_says() {
    let named: Vec<_> = names("stripe");
    let rows: Vec<_> = ROWS.iter().map(|(name, ..)| *name).collect();
    let known: Vec<_> = named.iter().filter(|name| *name != "other").collect();
    assert_eq!(known, rows, "a fixture without a row, or a row without one");
    for (name, movements, standing, is_forced) in ROWS {
        let body = fixture("stripe", name);
        let observed = observe(&stripe(Some(true)), &body);
        let observed = observed.unwrap_or_else(|error| panic!("{name}: {error}"));
        let [one] = &observed[..] else {
            panic!("{name}: {observed:?}");
        };
        let expected: Vec<_> = movements.iter().map(|it| (*it).to_owned()).collect();
        let standing = standing.map(str::to_owned);
        assert_eq!(in_short(one), (expected, standing), "{name}");
        assert_eq!(one.is_forced, *is_forced, "{name}");
        let created = serde_json::from_str::<Value>(&body).unwrap()["created"].as_i64();
        let made_at = one
            .standing
            .map(|it| it.made_at.unwrap().micros() / 1_000_000);
        assert_eq!(
            made_at,
            created.filter(|_| one.standing.is_some()),
            "{name}"
        );
        let is_dispute = name.starts_with("dispute");
        let card = Some("ic_1QwErTyUiOpAsDfGhJkLzXcV").filter(|_| !is_dispute);
        assert_eq!(one.card_token.as_deref(), card);
        let follows = is_dispute.then_some("ipi_1TxNq00000000000000000001");
        assert_eq!(one.follows.as_deref(), follows, "{name}");
        let unlinked = is_dispute || ["forced_capture", "unlinked_refund"].contains(name);
        let authorization = (!unlinked).then_some(AUTHORIZATION);
        assert_eq!(one.authorization.as_deref(), authorization, "{name}");
        let delivery = format!("evt_1{name}");
        assert_eq!(one.delivery.as_deref(), Some(delivery.as_str()));
    }
}

/// Steps are named by their place, as the questions were; captures and refunds by their own ids.
#[test]
fn b7_movements_are_named_alike_wherever_they_are_reported() {
    let (whole, alone) = (fixture("stripe", "refunded"), fixture("stripe", "refund"));
    let whole = observe(&stripe(None), &whole).unwrap();
    let alone = observe(&stripe(None), &alone).unwrap();
    let ids: Vec<_> = whole[0]
        .movements
        .iter()
        .map(|it| it.id.to_string())
        .collect();
    assert_eq!(ids[0], "0");
    assert!(ids[1..].iter().all(|id| id.starts_with("ipi_")), "{ids:?}");
    assert_eq!(alone[0].movements[0], whole[0].movements[3]);
}

#[test]
fn h11_events_of_another_mode_are_not_ours() {
    let body = fixture("stripe", "created");
    let refused = observe(&stripe(Some(false)), &body).err();
    let expected = NotUnderstood {
        field: "livemode",
        why: Fault::OtherAddressee,
    };
    assert_eq!(refused, Some(expected));
}

#[test]
fn what_is_about_something_else_reports_nothing() {
    let issuer = stripe(None);
    assert_eq!(observe(&issuer, &fixture("stripe", "other")), Ok(vec![]));
}
