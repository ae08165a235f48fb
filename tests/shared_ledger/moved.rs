//! A ledger moves from one process into a Redis and back, with everything that it knows.

use super::arming::follows;
use super::changes::{TOLD, event, fixture};
use super::{AMOUNT, Machine, founded, pair, spent, with_room};
use crate::redis::RedisServer;
use crate::server::{Server, authorization, binary, delivery, purchase, said, with_names};

const ROOM: u64 = 20;

/// What is asked of a ledger that moved: how much room is left, which answers stand, and who is frozen.
fn knows(node: &Server, approved: u64, round: &str) -> u64 {
    let mut client = node.client();
    assert_eq!(spent(node, "card-0"), approved * AMOUNT, "{round}");
    // What was answered before is answered so again, and is counted once.
    for (token, wanted) in [
        ("first-0", "APPROVED"),
        ("first-1", "APPROVED"),
        ("too-much", "INSUFFICIENT_FUNDS"),
    ] {
        let card = if token == "too-much" {
            "card-0"
        } else {
            "card-1"
        };
        let amount = if token == "too-much" {
            ROOM * AMOUNT
        } else {
            AMOUNT
        };
        let again = delivery(
            &format!("{token}-{round}"),
            purchase(token, card, amount).as_bytes(),
        );
        assert_eq!(client.ask(&again).result(), wanted, "{token} in {round}");
    }
    // The same delivery for another amount contradicts.
    let contradicts = client.ask(&authorization("first-0", "card-1", AMOUNT + 1));
    assert!(!contradicts.is_approval(), "{round}");
    let told = node.admin(&format!("/admin/authorizations/acme/{TOLD}"));
    assert_eq!(told["outcome"]["posted"], 1_000, "{round}");
    let frozen = client.ask(&authorization(&format!("frozen-{round}"), "card-2", AMOUNT));
    assert!(!frozen.is_approval());
    let nobodys = client.ask(&authorization("nobodys-0", "nobodys", 1));
    assert!(!nobodys.is_approval());
    assert_eq!(spent(node, "card-0"), approved * AMOUNT, "{round}");
    let more = client.ask(&authorization(&format!("more-{round}"), "card-0", AMOUNT));
    assert!(more.is_approval(), "{round}");
    approved + 1
}

/// Until there is no room: how many were approved.
fn use_up(node: &Server, name: &str) -> u64 {
    let mut client = node.client();
    let asks =
        (0..2 * ROOM).map(|number| authorization(&format!("{name}-{number}"), "card-1", AMOUNT));
    asks.filter(|asked| client.ask(asked).is_approval()).count() as u64
}

fn moves(word: &str, redis: &RedisServer, machine: &Machine) -> (Option<i32>, String) {
    moves_with(&[word], redis, machine)
}

fn moves_with(words: &[&str], redis: &RedisServer, machine: &Machine) -> (Option<i32>, String) {
    let mut command = binary();
    command.arg("ledger").args(words);
    command.args(["--ledger", &redis.url(), "--data-dir"]);
    said(command.arg(machine.home.data_dir()).output())
}

/// Approvals, declines, a report and a freeze: how many are approved.
fn fill(own: &Server) -> u64 {
    let mut client = own.client();
    for number in 0..3 {
        let asked = authorization(&format!("first-{number}"), "card-1", AMOUNT);
        assert!(client.ask(&asked).is_approval());
    }
    // One of them is reported on: a part is posted, the rest is still held.
    assert!(
        client
            .ask(&authorization(TOLD, "card-1", AMOUNT))
            .is_approval()
    );
    let cleared = with_names(&fixture("cleared_partly"), TOLD, "card-1", AMOUNT);
    let cleared = cleared.replace("1599", &(AMOUNT - 1_000).to_string());
    assert_eq!(event(own, &cleared).status, 200);
    let too_much = authorization("too-much", "card-0", ROOM * AMOUNT);
    assert_eq!(client.ask(&too_much).result(), "INSUFFICIENT_FUNDS");
    assert!(
        !client
            .ask(&authorization("nobodys-0", "nobodys", 1))
            .is_approval()
    );
    assert_eq!(own.post("/admin/cards/card-2/freeze").status, 200);
    4
}

#[test]
fn a_ledger_moves_into_redis_and_back_and_knows_what_it_knew() {
    let redis = RedisServer::start(&[]);
    let snapshot = with_room(ROOM, 4);
    let machine = Machine::new(&redis, &snapshot);
    let own = machine.home.start();
    let approved = fill(&own);
    let (code, why) = moves("export", &redis, &machine);
    assert_eq!(code, Some(3), "a server runs on it: {why}");
    let mut approved = knows(&own, approved, "alone");
    assert!(own.terminate().success());

    let (code, told) = moves("export", &redis, &machine);
    assert_eq!(code, Some(0), "{told}");
    let spent = approved * AMOUNT;
    let line = format!(
        "{approved} approvals, {} held, {spent} spent",
        spent - 1_000
    );
    assert!(
        told.contains("customer cus: 3 cards") && told.contains(&line),
        "{told}"
    );
    // It is in one place.
    let (code, why) = machine.home.refused();
    assert_eq!(code, Some(2), "{why}");
    assert!(why.contains("journal.moved"), "{why}");
    let (code, why) = moves("export", &redis, &machine);
    assert_eq!(code, Some(2), "{why}");
    let other = Machine::new(&redis, &snapshot);
    let nodes = [machine.start(), other.start()];
    for (node, round) in nodes.iter().zip(["one", "two"]) {
        approved = knows(node, approved, round);
    }
    let (code, why) = moves("import", &redis, &Machine::new(&redis, &snapshot));
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("2 nodes are connected to it"), "{why}");
    for node in nodes {
        assert!(node.terminate().success());
    }

    let back = Machine::new(&redis, &snapshot);
    let (code, why) = moves("import", &redis, &machine);
    assert_eq!(code, Some(2), "a data directory that has a journal: {why}");
    let (code, told) = moves("import", &redis, &back);
    assert_eq!(code, Some(0), "{told}");
    let line = format!("{approved} approvals");
    assert!(told.contains(&line), "{told}");
    // The Redis approves nothing any more.
    let (code, why) = other.refused();
    assert_eq!(code, Some(1), "{why}");
    let own = back.home.start();
    approved = knows(&own, approved, "back");
    assert_eq!(approved + use_up(&own, "last"), ROOM);
    assert!(own.terminate().success());
    let mut verify = binary();
    verify.args(["ledger", "verify", "--data-dir"]);
    let (code, told) = said(verify.arg(back.home.data_dir()).output());
    assert_eq!(code, Some(0), "{told}");
}

/// One that stands still, and could be promoted. People may say that it is gone.
#[test]
fn a_ledger_does_not_move_past_a_replica_that_cannot_be_told() {
    let more = ["--repl-diskless-sync-delay", "0"];
    let [redis, replica] = [(); 2].map(|()| RedisServer::start(&more));
    follows(&replica, &redis);
    let snapshot = with_room(ROOM, 1);
    let machine = Machine::new(&redis, &snapshot);
    let own = machine.home.start();
    let asked = authorization("a", "card-0", AMOUNT);
    assert!(own.client().ask(&asked).is_approval());
    assert!(own.terminate().success());
    let place = format!("127.0.0.1:{}", replica.port());
    let is_refused = |word: &str, machine: &Machine| {
        let (code, told) = moves(word, &redis, machine);
        assert_eq!(code, Some(1), "{told}");
        let advice = format!("`countersign ledger {word}` takes `--without {place}`");
        assert!(told.contains(&advice), "{told}");
    };
    replica.signal_stop();
    is_refused("export", &machine);
    // The journal is in use where it was.
    let own = machine.home.start();
    assert_eq!(spent(&own, "card-0"), AMOUNT);
    assert!(own.terminate().success());
    let (code, told) = moves_with(&["export", "--without", &place], &redis, &machine);
    assert_eq!(code, Some(0), "{told}");
    let back = Machine::new(&redis, &snapshot);
    is_refused("import", &back);
    let (code, told) = moves_with(&["import", "--without", &place], &redis, &back);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("1 approvals"), "{told}");
    replica.signal_continue();
}

/// Where something is there already nothing is put beside it, and the journal goes on.
#[test]
fn a_ledger_moves_into_an_empty_redis_alone() {
    let redis = founded(&[]);
    let snapshot = with_room(ROOM, 2);
    let machine = Machine::new(&redis, &snapshot);
    let own = machine.home.start();
    assert!(
        own.client()
            .ask(&authorization("a", "card-0", AMOUNT))
            .is_approval()
    );
    assert!(own.terminate().success());
    let (code, why) = moves("export", &redis, &machine);
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("a ledger is in it already"), "{why}");
    let own = machine.home.start();
    assert_eq!(spent(&own, "card-0"), AMOUNT);
    assert!(own.terminate().success());
    // What follows it in Redis is not lost by a look.
    let (_machines, [one, two]) = pair(&redis, &snapshot);
    assert!(
        one.client()
            .ask(&authorization("b", "card-0", AMOUNT))
            .is_approval()
    );
    assert_eq!(spent(&two, "card-0"), AMOUNT);
}
