//! However many nodes decide at once, they approve what one would.

use std::io::BufRead as _;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{AMOUNT, Machine, founded, pair, spent, with_room};
use crate::redis::RedisServer;
use crate::server::{Client, Server, authorization, delivery, purchase};

const CLIENTS: usize = 32;
const EACH: usize = 12;
/// Between two cuts of all connections.
const CUT_EVERY: Duration = Duration::from_millis(100);
/// How often connections are cut while clients ask, at least, and how often that is tried.
const CUTS: u32 = 4;
const PASSES: u32 = 600;
/// Of all that is asked, about a quarter.
const ROOM: u64 = 100;
/// More than is approved while connections are cut, so that every cut meets approvals.
const ROOM_FOR_CUTS: u64 = 10_000;

/// Sends `each` authorizations from every client, half of them to each node, all at once: how many
/// are approved, and how many are declined for lack of room.
fn race(nodes: [&Server; 2], name: &str, each: usize) -> (u64, u64) {
    let all = results(nodes, name, each);
    let count = |wanted: &str| all.iter().filter(|it| *it == wanted).count() as u64;
    let (approved, declined) = (count("APPROVED"), count("INSUFFICIENT_FUNDS"));
    assert_eq!(approved + declined, all.len() as u64, "{all:?}");
    (approved, declined)
}

fn results(nodes: [&Server; 2], name: &str, each: usize) -> Vec<String> {
    let barrier = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        let running: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let barrier = &barrier;
                let mut client = nodes[number % 2].client();
                scope.spawn(move || {
                    barrier.wait();
                    let one = |round| {
                        let token = format!("{name}-{number}-{round}");
                        let card = format!("card-{}", (number + round) % 4);
                        client.ask(&authorization(&token, &card, AMOUNT)).result()
                    };
                    (0..each).map(one).collect::<Vec<String>>()
                })
            })
            .collect();
        let results = running.into_iter().flat_map(|it| it.join().unwrap());
        results.collect()
    })
}

#[test]
fn of_two_nodes_racing_for_one_limit_exactly_as_much_is_approved_as_it_lets() {
    let redis = founded(&[]);
    let snapshot = with_room(ROOM, 4);
    let (_machines, [one, two]) = pair(&redis, &snapshot);
    let (approved, declined) = race([&one, &two], "race", EACH);
    assert_eq!(approved, ROOM);
    assert_eq!(declined, (CLIENTS * EACH) as u64 - ROOM);
    // A third that comes later learns all of it.
    let third = Machine::new(&redis, &snapshot).start();
    for node in [&one, &two, &third] {
        let one_more = node.client().ask(&authorization("one-more", "card-0", 1));
        assert_eq!(one_more.result(), "INSUFFICIENT_FUNDS");
        assert_eq!(spent(node, "card-0"), ROOM * AMOUNT);
    }
    assert!(one.terminate().success() && two.terminate().success());
}

#[test]
fn a_redelivery_to_another_node_gets_the_answer_of_the_first() {
    let redis = founded(&[]);
    let snapshot = with_room(2, 4);
    let (_machines, nodes) = pair(&redis, &snapshot);
    let mut clients = [nodes[0].client(), nodes[1].client()];
    for (token, wanted) in [
        ("a", "APPROVED"),
        ("b", "APPROVED"),
        ("c", "INSUFFICIENT_FUNDS"),
    ] {
        for client in [0, 1, 1, 0] {
            let answer = clients[client].ask(&authorization(token, "card-1", AMOUNT));
            assert_eq!(answer.result(), wanted, "{token} at {client}");
        }
    }
    // The same authorization for another amount contradicts, wherever it is asked.
    let other = delivery("a-again", purchase("a", "card-1", AMOUNT + 1).as_bytes());
    assert!(!clients[1].ask(&other).is_approval());
    for token in ["d", "c"] {
        for client in [1, 0] {
            let answer = clients[client].ask(&authorization(token, "nobodys", 1));
            assert!(!answer.is_approval());
        }
    }
    assert_eq!(spent(&nodes[0], "card-0"), 2 * AMOUNT);
    assert_eq!(spent(&nodes[1], "card-0"), 2 * AMOUNT);
}

#[test]
fn a_node_that_was_killed_goes_on_from_the_log() {
    let redis = founded(&[]);
    let snapshot = with_room(ROOM, 4);
    let (machines, [mut one, two]) = pair(&redis, &snapshot);
    let mut approved = 0;
    for round in 0..3 {
        approved += race([&one, &two], &format!("before-{round}"), 1).0;
        one.kill();
        one = machines[0].start();
    }
    assert_eq!(approved, 3 * CLIENTS as u64);
    assert_eq!(spent(&one, "card-0"), approved * AMOUNT);
    let again = one
        .client()
        .ask(&authorization("before-0-1-0", "card-1", AMOUNT));
    assert!(
        again.is_approval(),
        "what the other node approved before is known"
    );
    let (last, _) = race([&one, &two], "after", 1);
    assert_eq!(approved + last, ROOM);
}

#[test]
fn e6_a_connection_that_dies_after_sending_counts_nothing_twice() {
    let redis = founded(&[]);
    let snapshot = with_room(ROOM_FOR_CUTS, 4);
    let (_machines, [one, two]) = pair(&redis, &snapshot);
    let mut all = Vec::new();
    let mut cuts = 0;
    // However fast the machine is, they ask until enough was cut.
    let is_enough = AtomicBool::new(false);
    thread::scope(|scope| {
        let racing = scope.spawn(|| {
            let mut all = Vec::new();
            for round in 0.. {
                all.extend(results([&one, &two], &format!("cut-{round}"), 1));
                if is_enough.load(Ordering::SeqCst) {
                    break;
                }
            }
            all
        });
        let mut passes = 0;
        while !racing.is_finished() {
            // Every connection but this one, again and again.
            let killed = ["normal", "pubsub"].map(|kind| {
                let killed = redis.ask(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
                killed.trim_start_matches(':').parse::<u32>().unwrap()
            });
            passes += 1;
            cuts += u32::from(killed.iter().any(|it| *it > 0));
            is_enough.store(cuts >= CUTS || passes >= PASSES, Ordering::SeqCst);
            thread::sleep(CUT_EVERY);
        }
        all = racing.join().unwrap();
    });
    assert!(cuts >= CUTS, "{cuts}");
    let approved = all.iter().filter(|it| *it == "APPROVED").count() as u64;
    let unknown = all.iter().filter(|it| *it == "VELOCITY_EXCEEDED").count();
    println!(
        "{cuts} cuts: {approved} approved, {unknown} not decided, of {}",
        all.len()
    );
    assert!(approved > 0 && approved < ROOM_FOR_CUTS);
    assert_eq!(
        approved + unknown as u64,
        all.len() as u64,
        "there was room"
    );
    // What had to be answered before its outcome was known is taken back as soon as that is.
    let settled = |node: &Server| {
        (0..200).any(|_| {
            thread::sleep(Duration::from_millis(50));
            spent(node, "card-0") == approved * AMOUNT
        })
    };
    assert!(
        settled(&one) && settled(&two),
        "{approved}: {} {}",
        spent(&one, "card-0"),
        spent(&two, "card-0")
    );
    let mut rest = 0;
    for round in 0.. {
        let (approved, declined) = race([&one, &two], &format!("rest-{round}"), 4 * EACH);
        rest += approved;
        if declined > 0 {
            break;
        }
    }
    assert_eq!(approved + rest, ROOM_FOR_CUTS);
}

/// What Redis was sent while `act` ran, but for what is told to everybody within a function.
fn sent(redis: &RedisServer, act: impl FnOnce()) -> Vec<String> {
    let lines = redis.monitor();
    act();
    redis.ask(&["PING"]);
    let lines = lines.lines().map(Result::unwrap);
    let until = lines.take_while(|line| !line.contains("\"PING\""));
    until.filter(|line| !line.contains(" lua]")).collect()
}

/// What Redis was sent for ten approvals, each of them one command.
pub(super) fn of_ten_decisions(redis: &RedisServer, client: &mut Client) -> Vec<String> {
    let commands = sent(redis, || {
        for number in 0..10 {
            let asked = authorization(&format!("one-{number}"), "card-0", AMOUNT);
            assert!(client.ask(&asked).is_approval());
        }
    });
    assert_eq!(commands.len(), 10, "{commands:?}");
    commands
}

#[test]
fn a_decision_is_one_round_trip() {
    let redis = founded(&[]);
    let machine = Machine::new(&redis, &with_room(ROOM, 4));
    let node = machine.start();
    let mut client = node.client();
    let commands = of_ten_decisions(&redis, &mut client);
    assert!(
        commands.iter().all(|it| it.contains("_append\"")),
        "{commands:?}"
    );
}

/// What Redis does within one decision: looks at the record, at the entry before, at the length; appends,
/// tells.
#[test]
fn a_decision_is_five_commands_within_its_function() {
    let redis = founded(&[]);
    let machine = Machine::new(&redis, &with_room(ROOM, 4));
    let node = machine.start();
    let mut client = node.client();
    let mut lines = redis.monitor().lines().map(Result::unwrap);
    assert_eq!(
        redis.ask(&["CONFIG", "SET", "latency-tracking", "yes"]),
        "+OK"
    );
    assert_eq!(redis.ask(&["CONFIG", "RESETSTAT"]), "+OK");
    for number in 0..ROOM {
        let asked = authorization(&format!("cost-{number}"), "card-0", AMOUNT);
        assert!(client.ask(&asked).is_approval());
    }
    // Its time depends on what else the machine does, so that it is said and not judged here.
    let told = redis.ask(&["INFO", "latencystats"]);
    let mut times = told.lines().filter(|line| line.contains("fcall"));
    println!("{}", times.next().unwrap_or_else(|| panic!("{told}")));
    redis.ask(&["PING"]);
    let all = lines.by_ref().take_while(|line| !line.contains("\"PING\""));
    let within: Vec<String> = all.filter(|line| line.contains(" lua]")).collect();
    // The first of a log has no entry before it.
    assert_eq!(within.len() as u64, 5 * ROOM - 1, "{within:?}");
}
