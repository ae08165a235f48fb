//! Figures of the ledger's state machine: `cargo bench --profile ci --bench ledger`.
//!
//! The processor time of one ordinary authorization in memory (check, encode, fold), and the resident
//! memory that a remembered one takes. Processor time, so that other work on the machine counts less.

#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::borrow::Cow;
use std::hint::black_box;

use countersign::domain::acceptor::CardAcceptor;
use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::card::{Key, Level};
use countersign::domain::claims::{CardRules, Claims, MerchantKeys, Proposal, ScopeLimits};
use countersign::domain::currency::Currency;
use countersign::domain::identity::StepIdentity;
use countersign::domain::time::Timestamp;
use countersign::domain::window::{LocalDay, LocalHour};
use countersign::ledger::check;
use countersign::ledger::command::{AgentRef, Authorize, CardRef};
use countersign::ledger::event::{Owner, StateNo};
use countersign::ledger::fold::fold;
use countersign::ledger::state::State;

const AUTHORIZATIONS: u64 = 1_000_000;
const CARDS: u64 = 1_000;
const ROUNDS: u64 = 5;
/// 2026-05-29T18:30:00Z.
const NOW: i64 = 1_780_079_400_000_000;

fn key(space: u64, n: u64) -> Key {
    let n = u128::from(space) << 100 | u128::from(n);
    Key((n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

fn minor(n: i64) -> Minor {
    Minor::new(n).unwrap()
}

/// Day and month on the card, day on the agent, month on the customer: all with room.
fn proposal() -> Proposal {
    let day = Some(Minor::MAX);
    let of = |per_day, per_month| ScopeLimits {
        per_day,
        per_month,
        ..ScopeLimits::default()
    };
    let claims = Claims {
        amount: Amount {
            minor: minor(1_250),
            currency: Currency::USD,
        },
        day: LocalDay(20_602),
        resets_at: [1, 3, 3].map(|days| Timestamp::from_secs((20_602 + days) * 86_400)),
        hour: LocalHour(494_466),
        hour_resets_at: Timestamp::from_secs(494_467 * 3_600),
        limits: [of(day, day), of(day, None), of(None, day)],
        held_max: None,
        per_auth: Some((minor(50_000), Level::Agent)),
        single_use: false,
        lock_to_first_merchant: None,
        preset_lock: None,
        merchant: MerchantKeys {
            strong: Some(7),
            weak: 8,
            sub_merchant: None,
        },
        rules: CardRules::default(),
    };
    Proposal {
        standing: None,
        expired: None,
        rule: None,
        hours: None,
        claims,
    }
}

/// Pages that are in memory, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

/// What this process has had of the processor, in nanoseconds.
fn processor_ns() -> u64 {
    let schedstat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    schedstat.split(' ').next().unwrap().parse().unwrap()
}

fn main() {
    let proposal = proposal();
    let acceptor = CardAcceptor {
        acquirer_id: Some(Cow::Borrowed("400001")),
        acceptor_id: Some(Cow::Borrowed("CUMULUS00000001")),
        descriptor: Cow::Borrowed("CUMULUS HOSTING"),
        mcc: None,
        city: Cow::Borrowed(""),
        country: None,
    };
    let mut best = u64::MAX;
    let mut states = Vec::new();
    for round in 0..ROUNDS {
        let mut state = State::new(StateNo(0), key(0, 0), Owner::Customer("cus_1"));
        let mut frame = Vec::with_capacity(1_024);
        let mut bytes = 0;
        let before = resident();
        let started = processor_ns();
        for n in 0..AUTHORIZATIONS {
            let card = n % CARDS;
            let command = Authorize {
                at: Timestamp::from_micros(NOW + n as i64),
                step: StepIdentity {
                    authorization: key(1, n),
                    name: None,
                    delivery: Some(n),
                    content: n,
                },
                authorization: "0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a01",
                kind: AuthorizationKind::Authorization,
                amount: proposal.claims.amount,
                card: Some(CardRef {
                    key: key(2, card),
                    id: "card_research_tools",
                    connection: "acme",
                    agent: Some(AgentRef {
                        key: key(3, card / 10),
                        id: "agt_research",
                    }),
                }),
                card_key: key(2, card),
                card_token: "tok_1",
                acceptor: &acceptor,
                proposal: Some(&proposal),
                shadow: None,
                facts: None,
                snapshot_version: 12,
                latency_us: 40,
            };
            let checked = check::authorize(&state, &command).unwrap();
            assert!(checked.answer.decision.is_approval());
            frame.clear();
            for event in checked.events.iter() {
                event.encode(&mut frame);
                fold(&mut state, event, n + 1);
            }
            bytes += black_box(&frame).len();
        }
        best = best.min(processor_ns() - started);
        let taken = resident().saturating_sub(before);
        println!(
            "round {round}: {} B resident and {} B of journal for an authorization",
            taken / AUTHORIZATIONS,
            bytes as u64 / AUTHORIZATIONS,
        );
        states.push(state);
    }
    let nanos = best / AUTHORIZATIONS;
    println!("check, encode and fold: {nanos} ns, best of {ROUNDS} rounds of {AUTHORIZATIONS}");
}
