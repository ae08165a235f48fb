//! The index of records over a real journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use countersign::cold::records::{Begin, Cursor, DecisionId, DecisionRecord, Filter, Records};
use countersign::domain::decision::DeclineReason;
use countersign::domain::time::Timestamp;
use serde_json::json;

use crate::store::{Ask, NOON, Store, directory, rules, wait_until};

fn all(records: &Records, filter: &Filter<'_>) -> Vec<DecisionRecord> {
    let page = records.page(filter, 500, None).unwrap();
    assert_eq!(page.next, None);
    page.decisions
}

fn authorizations(decisions: &[DecisionRecord]) -> Vec<&str> {
    decisions
        .iter()
        .map(|it| it.authorization.as_str())
        .collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "two records in full")]
fn a_record_has_exactly_these_members() {
    let dir = directory();
    let store = Store::open(dir.path());
    let snapshot = rules(&store.keys);
    let records = store.records();
    let approved = store.authorize(
        &snapshot,
        Ask {
            minor: 3_700,
            ..Ask::default()
        },
    );
    let uuid = "0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a01";
    let declined = store.authorize(
        &snapshot,
        Ask {
            authorization: uuid,
            minor: 1_301,
            at: Timestamp::from_micros(NOON + 1_234),
            ..Ask::default()
        },
    );
    let shown = serde_json::to_value(all(&records, &Filter::default())).unwrap();
    let expected = json!([
        {
            "id": DecisionId(declined.position).to_string(),
            "at": "2026-05-29T12:00:00.001234Z",
            "connection": "acme",
            "authorization": uuid,
            "step": 1,
            "card": "crd_1",
            "agent": "agt_1",
            "customer": "cus_1",
            "amount": 1_301,
            "approvedAmount": 0,
            "currency": "USD",
            "decision": "decline",
            "reason": "card_limit_exceeded",
            "explanation": {
                "text": "The card's daily limit of 50.00 USD would be exceeded: 37.00 are spent, \
                         13.00 remain until 2026-05-30T00:00:00Z.",
                "level": "card",
                "field": "limits.perDay",
                "observed": 1_301,
                "limit": 5_000,
                "remaining": 1_300,
                "resetsAt": "2026-05-30T00:00:00Z",
            },
            "shadow": null,
            "attestation": "unattested",
            "standIn": false,
            "snapshotVersion": 7,
            "latencyUs": 37,
            "deliveries": 1,
        },
        {
            "id": format!("dec_{:016x}", approved.position),
            "at": "2026-05-29T12:00:00.000000Z",
            "connection": "acme",
            "authorization": "auth_1",
            "step": 1,
            "card": "crd_1",
            "agent": "agt_1",
            "customer": "cus_1",
            "amount": 3_700,
            "approvedAmount": 3_700,
            "currency": "USD",
            "decision": "approve",
            "reason": null,
            "explanation": null,
            "shadow": null,
            "attestation": "unattested",
            "standIn": false,
            "snapshotVersion": 7,
            "latencyUs": 37,
            "deliveries": 1,
        },
    ]);
    assert_eq!(shown, expected);
    let found = records
        .find(DecisionId(declined.position))
        .unwrap()
        .unwrap();
    assert_eq!(serde_json::to_value(found).unwrap(), expected[0]);
    assert_eq!(
        records.find(DecisionId(declined.position + 1)).unwrap(),
        None
    );
}

#[test]
#[rustfmt::skip]
fn deliveries_conflicts_and_overruled_approvals_show_on_their_records() {
    let dir = directory();
    let store = Store::open(dir.path());
    let snapshot = rules(&store.keys);
    let records = store.records();
    let first = store.authorize(&snapshot, Ask::default());
    for _ in 0..3 {
        assert_eq!(store.authorize(&snapshot, Ask::default()).position, first.position);
    }
    store.authorize(&snapshot, Ask { content: 2, ..Ask::default() });
    store.authorize(&snapshot, Ask { step: "second", content: 3, minor: 50, ..Ask::default() });
    let late = Ask { content: 4, ..Ask::on("crd_1", "auth_2") };
    let overruled = store.authorize(&snapshot, late);
    store.overrule(&snapshot, late, overruled.position);
    store.authorize_unknown("beta", Ask::on("", "auth_3"));

    let shown = all(&records, &Filter::default());
    let brief: Vec<_> = shown
        .iter()
        .map(|it| (it.authorization.as_str(), it.step, it.decision, it.reason, it.deliveries))
        .collect();
    let reason = |reason: DeclineReason| Some(reason.code());
    let expected = [
        ("auth_3", 1, "decline", reason(DeclineReason::CardUnknown), 1),
        ("auth_2", 1, "decline", reason(DeclineReason::DeadlineExceeded), 1),
        ("auth_1", 2, "approve", None, 1),
        ("auth_1", 1, "decline", reason(DeclineReason::ConflictingDuplicate), 1),
        ("auth_1", 1, "approve", None, 4),
    ];
    assert_eq!(brief, expected);
    assert_eq!(shown[1].approved_amount, 0, "nothing left");
    let text = &shown[1].explanation.as_ref().unwrap().text;
    assert!(text.contains("in time"), "{text}");
    let unknown = &shown[0];
    assert_eq!(unknown.connection.as_deref(), Some("beta"));
    assert_eq!((&unknown.card, &unknown.agent, &unknown.customer), (&None, &None, &None));
}

#[test]
#[rustfmt::skip]
fn filters_find_their_own_and_nothing_else() {
    let dir = directory();
    let store = Store::open(dir.path());
    let snapshot = rules(&store.keys);
    let records = store.records();
    for (card, authorization) in [("crd_1", "a"), ("crd_2", "a"), ("crd_2", "b"), ("crd_3", "c")] {
        store.authorize(&snapshot, Ask::on(card, authorization));
    }
    let any = Filter::default();
    let cases: [(Filter<'_>, &[&str]); 9] = [
        (any, &["c", "b", "a", "a"]),
        (Filter { connection: Some("acme"), ..any }, &["c", "a"]),
        (Filter { connection: Some("nobody"), ..any }, &[]),
        (Filter { authorization: Some("a"), ..any }, &["a", "a"]),
        (Filter { authorization: Some("A"), ..any }, &[]),
        (Filter { card: Some("crd_2"), ..any }, &["b", "a"]),
        (Filter { card: Some("crd_9"), ..any }, &[]),
        (Filter { card: Some("crd_2"), authorization: Some("a"), ..any }, &["a"]),
        (Filter { card: Some("crd_2"), connection: Some("acme"), ..any }, &[]),
    ];
    for (filter, expected) in cases {
        assert_eq!(authorizations(&all(&records, &filter)), expected, "{filter:?}");
    }
}

#[test]
fn pages_neither_repeat_nor_skip_while_new_records_arrive() {
    let dir = directory();
    let store = Store::open(dir.path());
    let snapshot = rules(&store.keys);
    let records = store.records();
    let mut number = 0_u64;
    let mut arrive = |count: u64| {
        for _ in 0..count {
            let authorization = format!("auth_{number}");
            let ask = Ask {
                card: "crd_2",
                authorization: &authorization,
                ..Ask::default()
            };
            store.authorize(&snapshot, ask);
            number += 1;
        }
    };
    arrive(25);
    let mut seen = Vec::new();
    let mut from = None;
    loop {
        let page = records.page(&Filter::default(), 10, from).unwrap();
        seen.extend(page.decisions.iter().map(|it| it.authorization.clone()));
        arrive(3);
        let Some(next) = page.next else { break };
        assert_eq!(Cursor::parse(&next.text()), Some(next));
        from = Some(next);
    }
    let expected: Vec<String> = (0..25).rev().map(|n| format!("auth_{n}")).collect();
    assert_eq!(seen, expected);
    let exact = records.page(&Filter::default(), 34, None).unwrap();
    assert_eq!(
        (exact.decisions.len(), exact.next),
        (34, None),
        "no empty last page"
    );
}

#[test]
fn a_restart_catches_up_from_the_first_segment() {
    let dir = directory();
    let mut positions = Vec::new();
    for round in 0..3 {
        let store = Store::open(dir.path());
        let snapshot = rules(&store.keys);
        let authorization = format!("auth_{round}");
        let ask = Ask {
            authorization: &authorization,
            minor: 100,
            ..Ask::default()
        };
        positions.push(store.authorize(&snapshot, ask).position);
        // A step of the first process is delivered again to each later one.
        let again = Ask {
            authorization: "auth_0",
            minor: 100,
            ..Ask::default()
        };
        store.authorize(&snapshot, again);
        let records = store.records();
        let shown = all(
            &records,
            &Filter {
                card: Some("crd_1"),
                ..Filter::default()
            },
        );
        let ids: Vec<&str> = shown.iter().map(|it| it.id.as_str()).collect();
        let expected: Vec<String> = positions
            .iter()
            .rev()
            .map(|at| DecisionId(*at).to_string())
            .collect();
        assert_eq!(ids, expected);
        assert_eq!(shown.last().unwrap().deliveries, 2 + round);
        records.stop();
        store.writer.close();
    }
}

#[test]
fn the_thread_catches_up_without_being_asked_and_ends_when_told() {
    let dir = directory();
    let store = Store::open(dir.path());
    let snapshot = rules(&store.keys);
    let records = store.records();
    store.authorize(&snapshot, Ask::default());
    wait_until("a record is indexed", || records.indexed() > 0);
    records.stop();
    records.stop();
    store.authorize(
        &snapshot,
        Ask {
            authorization: "auth_2",
            ..Ask::default()
        },
    );
    let shown = all(&records, &Filter::default());
    assert_eq!(
        authorizations(&shown),
        ["auth_2", "auth_1"],
        "a search reads by itself"
    );
}

/// Thousands of decisions over several segments from two threads, with searches beside them.
#[test]
fn every_decision_is_found_as_soon_as_it_is_written() {
    const EACH: u32 = 1_500;
    let dir = directory();
    let store = Store::open(dir.path());
    let snapshot = rules(&store.keys);
    let records = store.records();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = ["crd_1", "crd_2"]
            .into_iter()
            .map(|card| {
                let (store, snapshot, records) = (&store, &snapshot, Arc::clone(&records));
                scope.spawn(move || {
                    for n in 0..EACH {
                        let authorization = format!("{card}-{n}");
                        let ask = Ask {
                            card,
                            authorization: &authorization,
                            ..Ask::default()
                        };
                        store.decide(snapshot, ask);
                        if n % 50 == 0 {
                            store.write_out();
                            let filter = Filter {
                                authorization: Some(&authorization),
                                ..Filter::default()
                            };
                            let found = all(&records, &filter);
                            assert_eq!(authorizations(&found), [authorization.as_str()]);
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let page = records.page(&Filter::default(), 500, None).unwrap();
                assert!(
                    page.decisions
                        .windows(2)
                        .all(|pair| pair[0].id > pair[1].id)
                );
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    store.writer.close();
    for card in ["crd_1", "crd_2"] {
        let mut seen = 0;
        let mut from = None;
        loop {
            let filter = Filter {
                card: Some(card),
                ..Filter::default()
            };
            let page = records.page(&filter, 500, from).unwrap();
            for (at, decision) in (seen..).zip(&page.decisions) {
                assert_eq!(decision.authorization, format!("{card}-{}", EACH - 1 - at));
                seen = at + 1;
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(seen, EACH);
    }
}

/// A journal that was made anew from the logs of all customers stands by customer.
#[test]
fn a_search_goes_on_behind_old_records_where_they_are_in_no_order() {
    let dir = directory();
    let store = Store::open(dir.path());
    let snapshot = rules(&store.keys);
    let at = |seconds: i64| Timestamp::from_micros(NOON + seconds * 1_000_000);
    for (authorization, seconds) in [("new", 7_200), ("old", 0)] {
        store.authorize(
            &snapshot,
            Ask {
                at: at(seconds),
                ..Ask::on("crd_1", authorization)
            },
        );
    }
    let filter = Filter {
        since: Some(at(3_600)),
        ..Filter::default()
    };
    let found = |is_in_order| {
        let records = store.records_from(Begin::default().in_order(is_in_order));
        let page = records.page(&filter, 500, None).unwrap();
        page.decisions.len()
    };
    assert_eq!(found(false), 1, "it is there");
    assert_eq!(found(true), 0, "where they are in order, nothing is behind");
}
