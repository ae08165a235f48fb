//! A Redis that lost what it knew gets it back from what nodes have kept, and then every limit stands where
//! it stood.

use std::thread;
use std::time::Duration;

use super::{AMOUNT, Machine, founded, ledger, pair, spent, with_room};
use crate::redis::RedisServer;
use crate::server::{Server, authorization, binary, said};

/// More than all losses let be spent.
const ROOM: u64 = 400;
const CLIENTS: usize = 4;
const EACH: usize = 5;

fn ask(node: &Server, token: &str) -> bool {
    node.client()
        .ask(&authorization(token, "card-0", AMOUNT))
        .is_approval()
}

/// Both nodes at once; how much is approved.
fn race(nodes: &[Server; 2], name: &str) -> u64 {
    thread::scope(|scope| {
        let asking: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn(move || {
                    let token = |round| format!("{name}-{number}-{round}");
                    let approved = |round: &usize| ask(&nodes[number % 2], &token(*round));
                    (0..EACH).filter(approved).count() as u64
                })
            })
            .collect();
        asking.into_iter().map(|it| it.join().unwrap()).sum()
    })
}

fn repair(redis: &RedisServer, machine: &Machine) -> (Option<i32>, String) {
    let mut command = binary();
    command.args(["ledger", "repair", "--ledger", &redis.url(), "--data-dir"]);
    said(command.arg(machine.home.data_dir()).output())
}

/// Every node gives what it kept, then somebody says that nothing is missing, and both decide again.
fn is_repaired(redis: &RedisServer, machines: &[Machine; 2], nodes: &[Server; 2], loss: &str) {
    assert!(
        !ask(&nodes[0], &format!("{loss}-lost")) && !ask(&nodes[1], &format!("{loss}-lost-too"))
    );
    for machine in machines {
        let (code, told) = repair(redis, machine);
        assert_eq!(code, Some(0), "{loss}: {told}");
    }
    let (_, told) = repair(redis, &machines[0]);
    assert!(
        told.contains(": 0 entries put back, "),
        "a second time changes nothing: {told}"
    );
    assert!(
        !ask(&nodes[0], &format!("{loss}-unarmed")),
        "{loss}: not armed yet"
    );
    let (code, told) = ledger(redis, &["arm", "--nothing-was-lost"]);
    assert_eq!(code, Some(0), "{loss}: {told}");
    let is_ready = |number: usize| {
        (0..400).any(|round| {
            thread::sleep(Duration::from_millis(10));
            ask(&nodes[number], &format!("{loss}-again-{number}-{round}"))
        })
    };
    assert!(is_ready(0) && is_ready(1), "{loss}");
}

/// What the other node's last approval came to is told to this one behind it: whether it has heard in time.
fn has_heard_of(node: &Server, sum: u64) -> bool {
    (0..2_000).any(|_| {
        thread::sleep(Duration::from_millis(5));
        spent(node, "card-0") == sum
    })
}

/// What happens to a Redis.
type Loss = fn(&mut RedisServer);

#[test]
fn e1_e2_e13_what_redis_lost_comes_back_from_the_nodes_and_nothing_can_be_spent_twice() {
    let mut redis = founded(&[]);
    let (machines, nodes) = pair(&redis, &with_room(ROOM, 2));
    // What was approved when each loss was over, beside what races approve.
    let mut approved = 0;
    let losses: [(&str, Loss); 3] = [
        ("flushed", |redis| {
            assert_eq!(redis.ask(&["FLUSHALL"]), "+OK")
        }),
        ("empty", |redis| {
            redis.crash();
            assert!(redis.run_again());
        }),
        ("older", |redis| {
            redis.crash();
            assert!(
                redis.run_again(),
                "with the file that was saved before the last approvals"
            );
        }),
    ];
    for (loss, lose) in losses {
        if loss == "older" {
            assert_eq!(redis.ask(&["SAVE"]), "+OK");
        }
        let more = race(&nodes, loss);
        assert_eq!(more, (CLIENTS * EACH) as u64, "{loss}");
        approved += more;
        lose(&mut redis);
        is_repaired(&redis, &machines, &nodes, loss);
        // One of each node once it was armed; what was asked before that stays declined.
        approved += 2;
        assert!(
            has_heard_of(&nodes[0], approved * AMOUNT),
            "{loss}: {}",
            spent(&nodes[0], "card-0")
        );
        assert!(
            ask(&nodes[1], &format!("{loss}-0-0")),
            "what was approved before is known"
        );
    }
    // A node that knows nothing but the log comes to the same, and the rest is approved exactly.
    let third = Machine::new(&redis, &with_room(ROOM, 2)).start();
    let rest = (0..=ROOM).find(|number| !ask(&third, &format!("rest-{number}")));
    assert_eq!(rest, Some(ROOM - approved));
    assert_eq!(spent(&third, "card-0"), ROOM * AMOUNT);
}

/// A node whose data is gone is written off by whoever arms; what it alone knew cannot be known. And what
/// fits together no more is not mixed.
#[test]
fn e13_a_redis_that_is_armed_or_went_on_after_a_loss_is_not_repaired() {
    let redis = founded(&[]);
    let (machines, nodes) = pair(&redis, &with_room(ROOM, 2));
    assert!(ask(&nodes[0], "one") && ask(&nodes[1], "two"));
    let (code, told) = repair(&redis, &machines[0]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("it is armed"), "{told}");
    // Somebody begins anew although there was something.
    assert_eq!(redis.ask(&["FLUSHALL"]), "+OK");
    assert_eq!(ledger(&redis, &["found"]).0, Some(0));
    let (code, told) = repair(&redis, &machines[0]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("a ledger is in it already"), "{told}");
    // A log that lost its end and grew again, before it was found out.
    let redis = founded(&[]);
    let (machines, nodes) = pair(&redis, &with_room(ROOM, 2));
    assert!(ask(&nodes[0], "one") && ask(&nodes[1], "two") && ask(&nodes[1], "three"));
    // The other node has heard of all of them, so that its copy has them.
    assert!(has_heard_of(&nodes[0], 3 * AMOUNT));
    drop(nodes);
    super::forgets::cut_log(&redis);
    let third = Machine::new(&redis, &with_room(ROOM, 2));
    let running = third.start();
    assert!(ask(&running, "four"));
    let mut redis = redis;
    assert_eq!(redis.ask(&["SAVE"]), "+OK");
    redis.crash();
    assert!(redis.run_again());
    let (code, told) = repair(&redis, &machines[0]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("do not fit together"), "{told}");
    let none = Machine::new(&redis, &with_room(ROOM, 2));
    let (code, told) = repair(&redis, &none);
    assert_eq!(code, Some(2), "{told}");
    let copy = none.home.data_dir().join("shared-log");
    let named = format!("--data-dir: the copy of the log in {} ", copy.display());
    assert!(told.contains(&named), "{told}");
}

/// What a damaged copy has before the damage is given, and somebody is told that it is not all.
#[test]
fn e13_a_copy_that_is_damaged_in_the_middle_gives_what_stands_before_and_says_so() {
    let redis = founded(&[]);
    let (machines, nodes) = pair(&redis, &with_room(ROOM, 2));
    assert!(ask(&nodes[0], "one") && ask(&nodes[1], "two") && ask(&nodes[0], "three"));
    drop(nodes);
    let copy = machines[0].home.data_dir().join("shared-log");
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&copy, &bytes).unwrap();
    assert_eq!(redis.ask(&["FLUSHALL"]), "+OK");
    let (code, told) = repair(&redis, &machines[0]);
    assert_eq!(code, Some(4), "{told}");
    for part in [": 1 entries put back, ", "--data-dir: ", "damaged at byte "] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // Another node has kept all.
    let (code, told) = repair(&redis, &machines[1]);
    assert_eq!(code, Some(0), "{told}");
    let rest = ": 2 entries put back, 1 were there";
    assert!(told.contains(rest), "{told}");
}

/// A node whose start came half way has one copy that is whole and one that is newer; both count.
#[test]
fn e13_what_a_node_was_learning_when_redis_was_lost_is_given_back_too() {
    let redis = founded(&[]);
    let (machines, nodes) = pair(&redis, &with_room(ROOM, 2));
    assert!(ask(&nodes[0], "one") && ask(&nodes[1], "two") && ask(&nodes[0], "three"));
    drop(nodes);
    let data = machines[0].home.data_dir();
    let (standing, new) = (data.join("shared-log"), data.join("shared-log.new"));
    assert!(!new.exists(), "it holds everything since the node started");
    let whole = std::fs::read(&standing).unwrap();
    let half = &whole[..whole.len() / 2];
    for (stands, is_new) in [(half, &whole[..]), (&whole[..], half), (&whole[..], &[])] {
        std::fs::write(&standing, stands).unwrap();
        std::fs::write(&new, is_new).unwrap();
        assert_eq!(redis.ask(&["FLUSHALL"]), "+OK");
        let (code, told) = repair(&redis, &machines[0]);
        assert_eq!(code, Some(0), "{told}");
        assert!(told.contains(": 3 entries put back, "), "{told}");
    }
    // Of another ledger it is not this one's.
    let mut other = whole.clone();
    other[30] ^= 1;
    std::fs::write(&new, &other).unwrap();
    let (code, told) = repair(&redis, &machines[0]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains(": 0 entries put back, 3 were there"),
        "{told}"
    );
}

/// Functions of another release remember by themselves who armed them.
#[test]
fn e13_nothing_is_repaired_under_nodes_of_another_release_that_may_approve() {
    let redis = founded(&[]);
    let (machines, nodes) = pair(&redis, &with_room(ROOM, 2));
    assert!(ask(&nodes[0], "one"));
    drop(nodes);
    assert_eq!(redis.ask(&["FUNCTION", "FLUSH"]), "+OK");
    let other = "countersign_00000000000000ff";
    let library = |answer: &str| {
        format!(
            "#!lua name={other}\nredis.register_function{{function_name = '{other}_standing', \
             callback = function() return {{'{answer}'}} end, flags = {{'no-writes'}}}}"
        )
    };
    let load = |answer| redis.ask(&["FUNCTION", "LOAD", "REPLACE", &library(answer)]);
    assert_eq!(load("it is"), other);
    let (code, told) = repair(&redis, &machines[0]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("it is armed"), "{told}");
    assert_eq!(load("unarmed"), other);
    let (code, told) = repair(&redis, &machines[0]);
    assert_eq!(code, Some(0), "{told}");
}
