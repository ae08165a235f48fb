//! The stateless part of one decision: finding the card, asking its rules.
//!
//! Cards are asked in random order, so that the large snapshot pays for its cache misses. What the
//! snapshots take in memory is printed beside; `SNAPSHOT_CARDS` sets the size of the large one.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench stops where its inputs are wrong"
)]

use std::borrow::Cow;
use std::hint::black_box;

use countersign::decide::compile::{AgentRow, Builder, CardRow, CustomerRow};
use countersign::decide::document::{DocumentContext, read_snapshot};
use countersign::decide::evaluate::evaluate;
use countersign::decide::policy::{Cascade, Policy};
use countersign::decide::snapshot::Snapshot;
use countersign::domain::acceptor::{CardAcceptor, Country};
use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key, Usage};
use countersign::domain::currency::Currency;
use countersign::domain::identity::{KeySpace, Keys};
use countersign::domain::mcc::Mcc;
use countersign::domain::time::Timestamp;
use countersign::fingerprint::Fingerprinter;
use countersign::seam::snapshot::CurrentSnapshot;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZE: usize = 1_000;
const LARGE_SIZE: usize = 1_000_000;
const CARDS_PER_AGENT: usize = 10;
const CARDS_PER_CUSTOMER: usize = 100;
const NOW: Timestamp = Timestamp::from_secs(1_780_079_400);

fn token(card: usize) -> String {
    format!("7ef7d65c-9023-4da3-b113-{card:012}")
}

/// The rules of a level, taken from a document of their own.
fn policy(text: &str) -> Policy {
    let document =
        format!(r#"{{"customers": [{{"id": "c", "policy": {text}}}], "agents": [], "cards": []}}"#);
    let context = DocumentContext {
        file: "bench",
        connections: &[],
        version: 0,
    };
    let snapshot = read_snapshot(document.as_bytes(), context, &Fingerprinter::new(0)).unwrap();
    snapshot
        .customer_by_id("c")
        .unwrap()
        .policy()
        .unwrap()
        .clone()
}

/// Fields of a policy that this version has and the first one had not.
const FIELDS: &str = r#""cooldownMinutes": 5, "maxRiskScore": 70, "blockedCountries": ["KP"],
    "activeHours": {"timezone": "Europe/Berlin", "from": "00:00", "to": "24:00"}"#;
const MERCHANTS: &str = r#""allowedMerchants": ["SQ *Rockland Books", "Blue Bottle"],
    "blockedMerchants": ["casino", "poker stars"]"#;

/// Bytes of this process in memory.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}

fn large_size() -> usize {
    let size = std::env::var("SNAPSHOT_CARDS").ok();
    size.map_or(LARGE_SIZE, |size| size.parse().unwrap())
}

/// One card with further fields in its policy.
fn one_card(keys: &Fingerprinter, further: &str) -> Snapshot {
    let text = format!(r#"{{"limits": {{"perDay": 90000}}, "allowedMccs": ["5942"], {further}}}"#);
    let mut builder = Builder::new(keys, &["acme"]);
    let customer = CustomerRow {
        id: "c",
        status: CustomerStatus::Active,
        timezone: "UTC",
        currency: Currency::USD,
        cascade: Cascade::Tighten,
        policy: policy(&text),
        shadow: None,
        held_max: None,
    };
    builder.add_customer(customer).unwrap();
    let card = CardRow {
        id: "k",
        connection: "acme",
        issuer_token: "t",
        customer_id: "c",
        agent_id: None,
        usage: Usage::Multi,
        status: CardStatus::Active,
        frozen: false,
        created_at: None,
        merchant_lock: None,
        policy: policy(&text),
        shadow: None,
    };
    builder.add_card(card).unwrap();
    builder.finish(1)
}

fn snapshot(cards: usize, keys: &Fingerprinter) -> Snapshot {
    let of_customer = policy(r#"{"limits": {"perMonth": 900000000}, "blockedMccs": ["7995"]}"#);
    let of_agent = policy(r#"{"limits": {"perDay": 90000000, "perAuth": 50000}}"#);
    let of_card = policy(
        r#"{"limits": {"perDay": 90000, "perMonth": 900000}, "allowedMccs": ["5942", "3000-3350"]}"#,
    );
    let mut builder = Builder::new(keys, &["acme"]);
    for card in 0..cards {
        let customer = format!("cus_{}", card / CARDS_PER_CUSTOMER);
        let agent = format!("agt_{}", card / CARDS_PER_AGENT);
        if card % CARDS_PER_CUSTOMER == 0 {
            let row = CustomerRow {
                id: &customer,
                status: CustomerStatus::Active,
                timezone: ["America/New_York", "Europe/Paris", "UTC"]
                    [card / CARDS_PER_CUSTOMER % 3],
                currency: Currency::USD,
                cascade: Cascade::Tighten,
                policy: of_customer.clone(),
                shadow: None,
                held_max: None,
            };
            builder.add_customer(row).unwrap();
        }
        if card % CARDS_PER_AGENT == 0 {
            let row = AgentRow {
                id: &agent,
                customer_id: &customer,
                status: AgentStatus::Active,
                policy: of_agent.clone(),
                shadow: None,
            };
            builder.add_agent(row).unwrap();
        }
        let row = CardRow {
            id: &format!("card_{card:012}"),
            connection: "acme",
            issuer_token: &token(card),
            customer_id: &customer,
            agent_id: Some(&agent),
            usage: Usage::Multi,
            status: CardStatus::Active,
            frozen: false,
            created_at: None,
            merchant_lock: None,
            policy: of_card.clone(),
            shadow: None,
        };
        builder.add_card(row).unwrap();
    }
    builder.finish(1)
}

/// Keys of cards in an order that no prefetcher guesses.
fn shuffled_keys(cards: usize, keys: &Fingerprinter) -> Vec<Key> {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(state >> 33).unwrap() % cards
    };
    let key = |card| keys.key(KeySpace::Card, &[b"acme", token(card).as_bytes()]);
    (0..cards.max(100_000)).map(|_| key(next())).collect()
}

fn purchase() -> AuthorizationRequest<'static> {
    AuthorizationRequest {
        authorization: Cow::Borrowed("3fa85f64-5717-4562-b3fc-2c963f66afa6"),
        step: None,
        delivery: None,
        kind: AuthorizationKind::Authorization,
        card_token: Cow::Borrowed("7ef7d65c-9023-4da3-b113-3b8583fd7951"),
        amount: Amount {
            minor: Minor::new(2_000).unwrap(),
            currency: Currency::USD,
        },
        cash: Minor::ZERO,
        merchant_amount: None,
        acceptor: CardAcceptor {
            acquirer_id: Some(Cow::Borrowed("333301802529120")),
            acceptor_id: Some(Cow::Borrowed("174030075991")),
            descriptor: Cow::Borrowed("SQ *ROCKLAND BOOKS #1204"),
            mcc: Mcc::parse("5942").ok(),
            city: Cow::Borrowed("PORTLAND"),
            country: Country::parse_alpha2("US"),
        },
        partial_approval_capable: false,
        card_present: None,
        merchant_initiated: false,
        risk_score: None,
    }
}

fn bench(criterion: &mut Criterion) {
    let keys = Fingerprinter::new(42);
    let request = purchase();
    for size in [SIZE, large_size()] {
        let before = resident();
        let snapshot = snapshot(size, &keys);
        let bytes = resident().saturating_sub(before) / size;
        println!("snapshot of {size} cards: {bytes} bytes a card");
        let order = shuffled_keys(size, &keys);
        let mut at = 0;
        let mut next_key = || {
            at = if at + 1 < order.len() { at + 1 } else { 0 };
            order[at]
        };
        let mut group = criterion.benchmark_group("snapshot_lookup");
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| snapshot.card(black_box(next_key())).unwrap().card.status());
        });
        group.finish();
        let mut group = criterion.benchmark_group("evaluate");
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("lookup and evaluate", size), |bencher| {
            bencher.iter(|| {
                let card = snapshot.card(black_box(next_key())).unwrap();
                evaluate(&card, black_box(&request), black_box(NOW), &keys)
            });
        });
        let card = snapshot.card(next_key()).unwrap();
        group.bench_function(BenchmarkId::new("one card", size), |bencher| {
            bencher.iter(|| evaluate(black_box(&card), black_box(&request), black_box(NOW), &keys));
        });
        group.finish();
        publish_one_card(criterion, size, snapshot, &keys);
    }
}

/// From a changed row to the moment from which it is in force. What was replaced is freed apart from
/// that, as the server does it.
fn publish_one_card(
    criterion: &mut Criterion,
    size: usize,
    snapshot: Snapshot,
    keys: &Fingerprinter,
) {
    let current = CurrentSnapshot::new(snapshot);
    let of_card = policy(r#"{"limits": {"perDay": 80000}}"#);
    let mut number = 0;
    let mut group = criterion.benchmark_group("publish_one_card");
    group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
        let free = || current.free_retired();
        let publish = |_freed| {
            number += 7_919;
            let (card, base) = (number % size, current.load());
            let mut change = Builder::changing(&base, keys);
            let row = CardRow {
                id: &format!("card_{card:012}"),
                connection: "acme",
                issuer_token: &token(card),
                customer_id: &format!("cus_{}", card / CARDS_PER_CUSTOMER),
                agent_id: Some(&format!("agt_{}", card / CARDS_PER_AGENT)),
                usage: Usage::Multi,
                status: if number % 2 == 0 {
                    CardStatus::Active
                } else {
                    CardStatus::Locked
                },
                frozen: false,
                created_at: None,
                merchant_lock: None,
                policy: of_card.clone(),
                shadow: None,
            };
            change.add_card(row).unwrap();
            let next = change.finish(base.version() + 1);
            drop(base);
            current.publish(next);
        };
        bencher.iter_batched(free, publish, BatchSize::PerIteration);
    });
    group.finish();
}

fn bench_fields(criterion: &mut Criterion) {
    let keys = Fingerprinter::new(42);
    let request = purchase();
    let mut group = criterion.benchmark_group("evaluate");
    let both = format!("{FIELDS}, {MERCHANTS}");
    for (name, further) in [("further fields", FIELDS), ("and merchants", &both)] {
        let snapshot = one_card(&keys, further);
        let card = snapshot.card_by_id("k").unwrap();
        assert!(evaluate(&card, &request, NOW, &keys).rule.is_none());
        group.bench_function(name, |bencher| {
            bencher.iter(|| evaluate(black_box(&card), black_box(&request), black_box(NOW), &keys));
        });
    }
    group.finish();
}

criterion_group!(benches, bench, bench_fields);
criterion_main!(benches);
