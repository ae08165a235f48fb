//! What people order does not wait until nobody decides any more.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use countersign::domain::card::Key;
use countersign::ledger::embedded::store::Draft;
use countersign::ledger::redis::wire::{Commands, Generation};
use countersign::ledger::shared::EntryId;
use serde_json::{Value, json};

use super::{AMOUNT, founded, pair};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::redis::Line;
use crate::server::{Home, SnapshotOf, authorization, millis_since, now};

/// Clients of each node that is near to Redis.
const CLIENTS: usize = 3;
/// Milliseconds of an answer to the node that is told to freeze: the others append many times meanwhile.
const LATE: u64 = 15;
const FREEZES: usize = 8;
/// Of each client; the orders are given within far fewer.
const ROUNDS_MAX: usize = 3_000;
/// For one of them, on a machine that is busy.
const FROZEN_WITHIN_MS: i64 = 2_000;

fn snapshot() -> Value {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    for card in ["busy", "told"] {
        let policy = json!({"limits": {"perDay": 1_000_000_000}});
        snapshot.card(card, "cus", None, &policy);
    }
    snapshot.build()
}

#[test]
fn a_freeze_does_not_wait_for_nodes_that_decide_faster_than_it_can_be_offered() {
    let redis = founded(&[]);
    let (_machines, near) = pair(&redis, &snapshot());
    let proxy = FaultProxy::start(redis.port());
    let home = Home::new("relaxed", &snapshot());
    let mut command = home.serve();
    command.args(["--ledger", &proxy.url()]);
    let far = home.spawn(command);
    proxy.set(Fault::Late(LATE));
    let approved = AtomicU32::new(0);
    let is_over = AtomicBool::new(false);
    let took = thread::scope(|scope| {
        for number in 0..2 * CLIENTS {
            let mut client = near[number % 2].client();
            let (approved, is_over) = (&approved, &is_over);
            scope.spawn(move || {
                for round in 0..ROUNDS_MAX {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let asked = authorization(&format!("b-{number}-{round}"), "busy", AMOUNT);
                    approved.fetch_add(client.ask(&asked).is_approval().into(), Ordering::SeqCst);
                }
            });
        }
        let mut took = Vec::new();
        for round in 0..FREEZES {
            let before = approved.load(Ordering::SeqCst);
            while approved.load(Ordering::SeqCst) < before + 10 {
                thread::sleep(Duration::from_millis(1));
            }
            for (word, is_approved) in [("freeze", false), ("unfreeze", true)] {
                let since = now();
                let response = far.post(&format!("/admin/cards/told/{word}"));
                took.push(millis_since(since));
                assert_eq!(response.status, 200, "{word}: {}", response.text());
                for node in &near {
                    let token = format!("{word}-{round}-{}", node.issuer.port());
                    let answer = node.client().ask(&authorization(&token, "told", AMOUNT));
                    assert_eq!(answer.is_approval(), is_approved, "{token}");
                }
            }
        }
        is_over.store(true, Ordering::SeqCst);
        took
    });
    let slowest = took.iter().max().unwrap();
    println!(
        "{} approved beside; each order took, in ms: {took:?}",
        approved.load(Ordering::SeqCst)
    );
    assert!(*slowest < FROZEN_WITHIN_MS, "{took:?}");
}

/// One node of these, as the log sees it.
struct Writer {
    number: u64,
    count: u64,
}

impl Writer {
    /// Has an entry appended behind `after`, where so many are.
    fn appends(&mut self, line: &mut Line, of: &Commands, at: &mut (u64, EntryId)) -> String {
        self.count += 1;
        let id = EntryId(u128::from(self.number) << 64 | u128::from(self.count));
        let draft = Draft {
            owner: OWNER,
            expected: at.0,
            after: at.1,
            authorization: Key(0),
            events: Vec::new(),
        };
        let said = line.call(&of.append(&draft, id, &of.channel()).get_packed_command());
        if said == "appended" {
            *at = (at.0 + 1, id);
        }
        said
    }
}

const OWNER: Key = Key(77);
/// Longer than a claim lasts, and shorter than it and the rest after it.
const OVER: Duration = Duration::from_millis(130);

#[test]
fn a_claim_ends_by_itself_and_is_not_had_again_at_once() {
    let redis = founded(&[]);
    let mut line = redis.line();
    let name = line.ask(&["GET", "countersign:ledger"]);
    let of = Commands::new(&Generation::parse(&name).unwrap());
    let [mut one, mut two] = [1, 2].map(|number| Writer { number, count: 0 });
    let mut at = (0, EntryId::NONE);
    assert_eq!(two.appends(&mut line, &of, &mut at), "appended");
    let claims = |line: &mut Line, at: (u64, EntryId)| {
        let said = line.call(&of.claim(OWNER, at, 1).get_packed_command());
        assert_eq!(said, "newer");
    };
    claims(&mut line, at);
    assert_eq!(two.appends(&mut line, &of, &mut at), "claimed");
    // Another customer's log is not claimed, and whoever claims appends, which ends it.
    assert_eq!(one.appends(&mut line, &of, &mut at), "appended");
    assert_eq!(two.appends(&mut line, &of, &mut at), "appended");
    claims(&mut line, at);
    assert_eq!(two.appends(&mut line, &of, &mut at), "claimed");
    thread::sleep(OVER);
    assert_eq!(two.appends(&mut line, &of, &mut at), "appended");
    // The others have it for as long.
    claims(&mut line, at);
    assert_eq!(two.appends(&mut line, &of, &mut at), "appended");
    thread::sleep(OVER);
    claims(&mut line, at);
    assert_eq!(two.appends(&mut line, &of, &mut at), "claimed");
    // What the claimed log has already is said all the same, so that whoever is in doubt learns it.
    let mut behind = (0, EntryId::NONE);
    assert_eq!(two.appends(&mut line, &of, &mut behind), "newer");
}
