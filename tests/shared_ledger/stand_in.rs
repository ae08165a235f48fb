//! With a budget of their own nodes approve a little while Redis does not answer (behaviour 3.1): never more
//! than it, never what depends on a card's next use, never beside a Redis that forgot; and the log has exactly
//! that afterwards.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::changes::{TOLD, TOLD_CARD, event, fixture};
use super::forgets::{says_forgot, until};
use super::{AMOUNT, founded, ledger, spent};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::redis::RedisServer;
use crate::server::{Home, Server, SnapshotOf, authorization, delivery, now, purchase};

/// For an answer, in milliseconds.
const DEADLINE_MS: u32 = 1_000;
/// What one node may approve by itself: four times [`AMOUNT`].
const BUDGET: &str = "100.00";
const ROOM_OF_BUDGET: u64 = 4;
/// Of the customer's limit.
const ROOM: u64 = 20;
/// The answer where nobody knows.
const UNKNOWN: &str = "VELOCITY_EXCEEDED";

fn snapshot() -> Value {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({"limits": {"total": ROOM * AMOUNT}}));
    for card in ["plain", TOLD_CARD] {
        snapshot.card(card, "cus", None, &json!({}));
    }
    for card in ["locked", "not-locked"] {
        snapshot.card(card, "cus", None, &json!({"lockToFirstMerchant": true}));
    }
    snapshot.card("intent", "cus", None, &json!({"requireIntent": true}));
    snapshot.card(
        "attested",
        "cus",
        None,
        &json!({"requireAttestation": true}),
    );
    snapshot.card("cash", "cus", None, &json!({"allowCash": true}));
    snapshot.single_use_card("single", "cus");
    snapshot.build()
}

/// A node with a budget of its own, whose way to Redis can be cut.
struct Node {
    proxy: FaultProxy,
    home: Home,
}

impl Node {
    fn new(redis: &RedisServer) -> Self {
        let budget = format!("[stand_in]\nbudget = \"{BUDGET}\"\ncurrency = \"USD\"\nnodes = 2\n");
        Self {
            proxy: FaultProxy::start(redis.port()),
            home: Home::with_config("relaxed", &snapshot(), &budget, DEADLINE_MS),
        }
    }

    fn start(&self) -> Server {
        let mut command = self.home.serve();
        command.args(["--ledger", &self.proxy.url()]);
        self.home.spawn(command)
    }

    fn cut_off(&self) {
        self.proxy.set(Fault::Refused);
        self.proxy.cut();
    }

    fn let_back(&self) {
        self.proxy.set(Fault::None);
    }
}

fn ask(node: &Server, token: &str, card: &str) -> String {
    node.client()
        .ask(&authorization(token, card, AMOUNT))
        .result()
}

/// A number that operators see.
fn metric(node: &Server, name: &str) -> u64 {
    let told = node.admin_text("/metrics");
    let begins = format!("countersign_{name} ");
    let value = told.lines().find_map(|line| line.strip_prefix(&*begins));
    value
        .unwrap_or_else(|| panic!("{name} is not in {told}"))
        .parse()
        .unwrap()
}

fn unbooked(node: &Server) -> u64 {
    metric(node, "stand_in_unbooked")
}

/// Records that say so.
fn stood_in(node: &Server) -> u64 {
    let records = node.admin("/admin/decisions");
    let records = records["decisions"].as_array().unwrap();
    records.iter().filter(|it| it["standIn"] == true).count() as u64
}

fn warns(node: &Server) -> bool {
    node.admin_text("/readyz").contains("\"stand_in_unbooked\"")
}

/// Asks until the budget is used up: what was approved.
fn uses_up_its_budget(node: &Server, name: &str) -> Vec<String> {
    let tokens = (0..ROOM_OF_BUDGET + 2).map(|number| format!("{name}-{number}"));
    let approved: Vec<String> = tokens
        .filter(|token| match &*ask(node, token, "plain") {
            "APPROVED" => true,
            other => {
                assert_eq!(other, UNKNOWN);
                false
            }
        })
        .collect();
    assert_eq!(approved.len() as u64, ROOM_OF_BUDGET, "{approved:?}");
    approved
}

#[test]
fn a_node_approves_out_of_its_budget_while_redis_is_gone_and_the_log_has_it_afterwards() {
    let redis = founded(&[]);
    let (node, other) = (Node::new(&redis), Node::new(&redis));
    let (one, two) = (node.start(), other.start());
    assert_eq!(
        one.ready["standIn"],
        json!({"budget": BUDGET, "currency": "USD", "nodes": 2, "most": "200.00"})
    );
    assert_eq!(ask(&one, "before", "plain"), "APPROVED");
    node.cut_off();
    let approved = uses_up_its_budget(&one, "gone");
    assert_eq!(metric(&one, "stand_in_used"), ROOM_OF_BUDGET * AMOUNT);
    assert_eq!(unbooked(&one), ROOM_OF_BUDGET);
    assert!(warns(&one));
    // The same question again is no other one.
    assert_eq!(ask(&one, &approved[0], "plain"), "APPROVED");
    let other_amount = purchase(&approved[0], "plain", AMOUNT + 1);
    let contradicts = delivery("other", other_amount.as_bytes());
    assert!(!one.client().ask(&contradicts).is_approval());
    assert_eq!(spent(&two, "plain"), AMOUNT);
    node.let_back();
    assert!(until(|| unbooked(&one) == 0));
    assert!(!warns(&one));
    assert_eq!(metric(&one, "stand_in_used"), 0);
    let sum = (ROOM_OF_BUDGET + 1) * AMOUNT;
    for server in [&one, &two] {
        assert!(
            until(|| spent(server, "plain") == sum),
            "{}",
            spent(server, "plain")
        );
        // Wherever it is asked again.
        assert_eq!(ask(server, &approved[1], "plain"), "APPROVED");
        let path = format!("/admin/authorizations/acme/{}", approved[1]);
        let shown = server.admin(&path);
        let steps = shown["steps"].as_array().unwrap();
        assert_eq!(steps.len(), 1, "{shown}");
        // The first was under way when the connection was cut, and is sent again: if the log takes it then, it
        // is an approval as any other.
        let marked = ROOM_OF_BUDGET - 1..=ROOM_OF_BUDGET;
        assert!(until(|| marked.contains(&stood_in(server))));
    }
    assert_eq!(spent(&one, "plain"), sum);
    // The budget is there again.
    node.cut_off();
    uses_up_its_budget(&one, "again");
}

#[test]
fn nothing_that_depends_on_a_cards_next_use_is_approved_without_redis() {
    let redis = founded(&[]);
    let node = Node::new(&redis);
    let one = node.start();
    assert_eq!(ask(&one, "locks", "locked"), "APPROVED");
    node.cut_off();
    thread::scope(|scope| {
        for card in ["single", "not-locked", "intent", "attested"] {
            let one = &one;
            scope.spawn(move || assert_ne!(ask(one, card, card), "APPROVED", "{card}"));
        }
        let cash = purchase("cash", "cash", AMOUNT).replace("\"7372\"", "\"6011\"");
        let cash = delivery("cash", cash.as_bytes());
        assert_eq!(one.client().ask(&cash).result(), UNKNOWN);
    });
    assert_eq!(unbooked(&one), 0);
    // What adds to an approval, or brings a customer above a limit.
    assert_eq!(
        one.client()
            .ask(&authorization("above", "plain", ROOM * AMOUNT))
            .result(),
        UNKNOWN
    );
    assert_eq!(ask(&one, "locked", "locked"), "APPROVED");
    let elsewhere = purchase("elsewhere", "locked", AMOUNT)
        .replace("API HOST GMBH", "SOMEWHERE ELSE")
        .replace("ACC000000000001", "ACC000000000002");
    let elsewhere = delivery("elsewhere", elsewhere.as_bytes());
    assert_eq!(one.client().ask(&elsewhere).result(), UNKNOWN);
    node.let_back();
    // With the log all of that is what it always is.
    assert!(until(|| unbooked(&one) == 0));
    for card in ["single", "not-locked"] {
        assert_eq!(
            ask(&one, &format!("{card}-again"), card),
            "APPROVED",
            "{card}"
        );
    }
    assert_eq!(spent(&one, "plain"), 4 * AMOUNT);
}

#[test]
fn e1_e12_beside_a_redis_that_forgot_no_budget_is_used() {
    let mut redis = founded(&["--appendonly", "yes", "--appendfsync", "always"]);
    let node = Node::new(&redis);
    let one = node.start();
    assert_eq!(ask(&one, "before", "plain"), "APPROVED");
    redis.crash();
    node.proxy.cut();
    assert_eq!(ask(&one, "gone", "plain"), "APPROVED");
    // It comes back, and may have forgotten.
    assert!(redis.run_again());
    assert!(until(|| says_forgot(&one)));
    assert_eq!(ask(&one, "not-armed", "plain"), UNKNOWN);
    assert_eq!(unbooked(&one), 1);
    // Nor when it goes again.
    node.cut_off();
    assert_eq!(ask(&one, "gone-again", "plain"), UNKNOWN);
    node.let_back();
    let (code, told) = ledger(&redis, &["arm", "--nothing-was-lost"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(until(|| unbooked(&one) == 0));
    assert_eq!(spent(&one, "plain"), 2 * AMOUNT);
    assert_eq!(redis.ask(&["FLUSHALL"]), "+OK");
    assert_eq!(ask(&one, "flushed", "plain"), UNKNOWN);
    redis.signal_stop();
    assert_eq!(ask(&one, "flushed-and-still", "plain"), UNKNOWN);
    redis.signal_continue();
}

#[test]
fn a_node_that_is_killed_before_the_log_has_it_books_it_once() {
    let redis = founded(&[]);
    let (node, other) = (Node::new(&redis), Node::new(&redis));
    let (one, two) = (node.start(), other.start());
    node.cut_off();
    let approved = uses_up_its_budget(&one, "killed");
    let file = node.home.data_dir().join("shared-stand-in");
    let kept = std::fs::read(&file).unwrap();
    one.kill();
    node.let_back();
    let sum = ROOM_OF_BUDGET * AMOUNT;
    // As if it had been killed after the log had it, and before its own file said so; and with the end of the
    // file torn.
    let torn = [&kept[..], &[7, 0, 0]].concat();
    for content in [None, Some(&kept), Some(&torn)] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let one = node.start();
        assert_eq!(ask(&one, &approved[0], "plain"), "APPROVED");
        assert!(until(|| unbooked(&one) == 0));
        for server in [&one, &two] {
            assert!(
                until(|| spent(server, "plain") == sum),
                "{}",
                spent(server, "plain")
            );
        }
        one.kill();
    }
    assert_eq!(ask(&two, &approved[0], "plain"), "APPROVED");
    let mut damaged = kept;
    damaged[60] ^= 1;
    std::fs::write(&file, damaged).unwrap();
    let (code, told) = node.home.refused_with(&["--ledger", &node.proxy.url()]);
    assert_eq!(code, Some(4), "{told}");
    assert!(
        told.contains("shared-stand-in is damaged at byte 40"),
        "{told}"
    );
}

#[test]
fn what_the_log_took_unheard_counts_once() {
    let redis = founded(&[]);
    let node = Node::new(&redis);
    let one = node.start();
    assert_eq!(ask(&one, "before", "plain"), "APPROVED");
    // What is sent arrives, and nobody hears of it.
    node.proxy.set(Fault::CutAfterSending);
    assert_eq!(ask(&one, "unheard", "plain"), "APPROVED");
    node.let_back();
    assert!(until(|| unbooked(&one) == 0));
    assert_eq!(ask(&one, "unheard", "plain"), "APPROVED");
    assert_eq!(spent(&one, "plain"), 2 * AMOUNT);
    let shown = one.admin("/admin/authorizations/acme/unheard");
    assert_eq!(shown["steps"].as_array().unwrap().len(), 1, "{shown}");
}

#[test]
fn what_the_issuer_reports_to_another_node_first_is_the_same_money() {
    let redis = founded(&[]);
    let (node, other) = (Node::new(&redis), Node::new(&redis));
    let (one, two) = (node.start(), other.start());
    node.cut_off();
    let asked = authorization(TOLD, TOLD_CARD, 2_599);
    assert!(one.client().ask(&asked).is_approval());
    for name in ["authorized", "cleared_partly"] {
        // What an account was made before it does not know.
        let made = now().rfc3339().to_string();
        let told = event(&two, &fixture(name).replace("2026-11-20T17:05:00Z", &made));
        assert_eq!(told.status, 200, "{name}: {}", told.text());
    }
    assert_eq!(spent(&two, TOLD_CARD), 2_599);
    node.let_back();
    assert!(until(|| unbooked(&one) == 0));
    for server in [&one, &two] {
        assert!(
            until(|| spent(server, TOLD_CARD) == 2_599),
            "{}",
            spent(server, TOLD_CARD)
        );
        let shown = server.admin(&format!("/admin/authorizations/acme/{TOLD}"));
        let outcome = &shown["outcome"];
        assert_eq!(
            [&outcome["held"], &outcome["posted"]],
            [1_599, 1_000],
            "{shown}"
        );
    }
}

#[test]
fn an_approval_counts_although_another_node_has_declined_it_meanwhile() {
    let redis = founded(&[]);
    let (node, other) = (Node::new(&redis), Node::new(&redis));
    let (one, two) = (node.start(), other.start());
    node.cut_off();
    assert_eq!(ask(&one, "both", "plain"), "APPROVED");
    let rest = authorization("rest", "plain", ROOM * AMOUNT);
    assert!(two.client().ask(&rest).is_approval());
    assert_eq!(ask(&two, "both", "plain"), "INSUFFICIENT_FUNDS");
    node.let_back();
    assert!(until(|| unbooked(&one) == 0));
    for server in [&one, &two] {
        let sum = (ROOM + 1) * AMOUNT;
        assert!(
            until(|| spent(server, "plain") == sum),
            "{}",
            spent(server, "plain")
        );
        assert_eq!(ask(server, "both", "plain"), "APPROVED");
        assert_eq!(ask(server, "one-more", "plain"), "INSUFFICIENT_FUNDS");
    }
}

#[test]
fn nodes_overspend_by_their_budgets_at_most_and_the_log_has_all_of_it() {
    let redis = founded(&[]);
    let (node, other) = (Node::new(&redis), Node::new(&redis));
    let nodes = [node.start(), other.start()];
    let (approved, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        for number in 0..8 {
            let (nodes, approved, is_over) = (&nodes, &approved, &is_over);
            scope.spawn(move || {
                let mut client = nodes[number % 2].client();
                for round in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    let token = format!("load-{number}-{round}");
                    let answer = client.ask(&authorization(&token, "plain", AMOUNT));
                    approved.fetch_add(u64::from(answer.is_approval()), Ordering::SeqCst);
                    thread::sleep(std::time::Duration::from_millis(5));
                }
            });
        }
        while approved.load(Ordering::SeqCst) < ROOM / 2 {
            thread::sleep(std::time::Duration::from_millis(1));
        }
        redis.signal_stop();
        thread::sleep(std::time::Duration::from_secs(3));
        redis.signal_continue();
        assert!(until(|| nodes.iter().all(|it| unbooked(it) == 0)));
        thread::sleep(std::time::Duration::from_millis(200));
        is_over.store(true, Ordering::SeqCst);
    });
    let approved = approved.load(Ordering::SeqCst);
    println!("{approved} approved where {ROOM} have room");
    assert!(
        (ROOM..=ROOM + 2 * ROOM_OF_BUDGET).contains(&approved),
        "{approved}"
    );
    for server in &nodes {
        let is_exact = until(|| spent(server, "plain") == approved * AMOUNT);
        assert!(is_exact, "{approved}: {}", spent(server, "plain"));
    }
}

#[test]
fn a_budget_is_for_nodes_that_share_a_ledger() {
    let redis = founded(&[]);
    let node = Node::new(&redis);
    let (code, told) = node.home.refused();
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.contains("config.toml:2: stand_in: is for nodes that share a ledger"),
        "{told}"
    );
    let typed = std::fs::read_to_string(node.home.path("config.toml")).unwrap();
    for (right, wrong, wanted) in [
        (
            "\"100.00\"",
            "\"1e2\"",
            "config.toml:3: stand_in.budget: an amount is written in digits",
        ),
        (
            "\"100.00\"",
            "\"0\"",
            "config.toml:3: stand_in.budget: must be more than nothing",
        ),
        ("\"100.00\"", "100", "config.toml:3: invalid type: integer"),
        (
            "\"USD\"",
            "\"USDT\"",
            "config.toml:4: stand_in.currency: must be a currency",
        ),
        (
            "nodes = 2",
            "nodes = 0",
            "config.toml:5: stand_in.nodes: must lie between 1 and 1000",
        ),
        ("nodes = 2", "", "missing field `nodes`"),
    ] {
        node.home.write("config.toml", &typed.replace(right, wrong));
        let (code, told) = node.home.refused_with(&["--ledger", &node.proxy.url()]);
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(wanted), "{told}");
    }
}
