//! SIGTERM and what a later start knows (behaviour 2.4, 11.1; B1, G7).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::exits::verify;
use crate::http::CARD;
use crate::load::{Load, redeliver};
use crate::reload::wait_until;
use crate::server::{
    Home, Server, SnapshotOf, authorization, delivery, millis_since, now, purchase,
};

const LEVELS: [&str; 2] = ["strict", "relaxed"];
const LIMIT: u64 = 1_000_000_000;

fn home(durability: &'static str) -> Home {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    let policy = json!({"limits": {"total": LIMIT, "perAuth": 10_000}, "blockedMccs": ["7995"]});
    snapshot.card(CARD, "cus", None, &policy);
    Home::new(durability, &snapshot.build())
}

/// What the card's lifetime limit has been charged.
fn spent(server: &Server) -> u64 {
    let card = server.admin(&format!("/admin/cards/{CARD}"));
    let limits = card["limits"].as_array().unwrap();
    let total = |it: &&Value| it["level"] == "card" && it["field"] == "limits.total";
    let limit = limits
        .iter()
        .find(total)
        .unwrap_or_else(|| panic!("{card}"));
    assert_eq!(limit["limit"], LIMIT, "{card}");
    limit["spent"].as_u64().unwrap()
}

/// The number behind this word in what `ledger verify` printed.
fn counted(report: &str, word: &str) -> usize {
    let line = report
        .lines()
        .find_map(|line| line.trim().strip_prefix(word));
    line.unwrap_or("0").trim().parse().unwrap()
}

#[test]
fn g7_sigterm_under_load_answers_what_was_sent_and_loses_nothing() {
    for durability in LEVELS {
        let home = home(durability);
        let mut server = home.start();
        let load = Load {
            clients: 16,
            name: durability.to_owned(),
            cards: vec![CARD.to_owned(), "card_of_nobody".to_owned()],
        };
        let asked = load.run(server.issuer, |_| {
            thread::sleep(Duration::from_millis(300));
            server.signal(Signal::TERM);
        });
        let ended = server.wait();
        assert_eq!(ended.code(), Some(0), "{durability}");
        let asked = asked.concat();
        let unanswered: Vec<_> = asked.iter().filter(|it| it.answer.is_none()).collect();
        assert!(unanswered.is_empty(), "{durability}: {unanswered:?}");
        let approved: Vec<_> = asked.iter().filter(|it| it.is_approved()).collect();
        assert!(
            approved.len() > 50,
            "{durability}: {} approvals",
            approved.len()
        );

        let (code, report) = verify(&home);
        assert_eq!(code, Some(0), "{report}");
        assert_eq!(counted(&report, "approved"), approved.len(), "{report}");
        assert_eq!(
            counted(&report, "declined"),
            asked.len() - approved.len(),
            "{report}"
        );
        let server = home.start();
        let sum: u64 = approved.iter().map(|it| it.amount).sum();
        assert_eq!(spent(&server), sum, "{durability}");
        for (it, result) in asked.iter().zip(redeliver(server.issuer, &asked)) {
            let (_, answer) = it.answer.as_ref().unwrap();
            assert_eq!(result, *answer, "{}", it.token);
        }
        assert_eq!(
            spent(&server),
            sum,
            "{durability}: redeliveries were charged"
        );
        assert!(server.terminate().success());
        println!(
            "{durability}: {} asked, {} approved",
            asked.len(),
            approved.len()
        );
    }
}

#[test]
fn g7_a_request_that_is_half_sent_at_sigterm_is_answered() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = home("strict");
        let mut server = home.start();
        let request = authorization("half", CARD, 100);
        let mut client = server.client();
        let mut late = server.client();
        let (first, second) = request.split_at(request.len() - 500);
        client.send(first);
        // It must have begun to be read; whether it has cannot be seen from outside.
        thread::sleep(Duration::from_millis(100));
        let since = now();
        server.signal(signal);
        thread::sleep(Duration::from_millis(100));
        client.send(second);
        let response = client.response();
        assert!(response.is_approval());
        assert_eq!(response.header("connection"), Some("close"));
        assert!(client.is_closed());
        assert!(late.is_closed());
        assert_eq!(server.wait().code(), Some(0));
        assert!(millis_since(since) < 5_000, "nothing was left to wait for");
        let server = home.start();
        assert_eq!(spent(&server), 100);
        assert!(server.terminate().success());
    }
}

/// Both ways in which an issuer repeats itself: the same delivery, and a new one of the same body.
#[test]
fn b1_a_decision_outlives_restarts_and_policies() {
    for durability in LEVELS {
        let home = home(durability);
        let mut server = home.start();
        let gamble = |token: &str| purchase(token, CARD, 100).replace("\"7372\"", "\"7995\"");
        let rows = [
            ("approved", purchase("approved", CARD, 5_000), "APPROVED"),
            (
                "too-much",
                purchase("too-much", CARD, 10_001),
                "VELOCITY_EXCEEDED",
            ),
            ("blocked", gamble("blocked"), "UNAUTHORIZED_MERCHANT"),
            (
                "nobody",
                purchase("nobody", "card_of_nobody", 1),
                "CARD_PAUSED",
            ),
        ];
        let mut delivered = 0;
        let mut ask_all = |server: &Server| {
            let mut client = server.client();
            for (token, body, expected) in &rows {
                delivered += 1;
                for id in [(*token).to_owned(), format!("{token}-{delivered}")] {
                    let response = client.ask(&delivery(&id, body.as_bytes()));
                    assert_eq!(response.result(), *expected, "{durability} {id}");
                }
            }
            assert_eq!(spent(server), 5_000);
        };
        ask_all(&server);
        assert!(server.terminate().success());
        server = home.start();
        ask_all(&server);

        // Another policy: what was decided stays, what is new falls under it.
        assert!(server.terminate().success());
        let mut snapshot = SnapshotOf::default();
        snapshot.customer("cus", &json!({}));
        let policy = json!({"limits": {"total": LIMIT}, "blockedMccs": ["7372"]});
        snapshot.card(CARD, "cus", None, &policy);
        snapshot.card("card_of_nobody", "cus", None, &json!({}));
        home.write("snapshot.json", &snapshot.build().to_string());
        server = home.start();
        ask_all(&server);
        let mut client = server.client();
        let fresh = |token: &str| authorization(token, CARD, 1);
        assert_eq!(
            client.ask(&fresh("fresh")).result(),
            "UNAUTHORIZED_MERCHANT"
        );
        let known = authorization("known", "card_of_nobody", 1);
        assert_eq!(client.ask(&known).result(), "APPROVED");
        // Another content under a known delivery is no redelivery, and changes nothing.
        let other = delivery("approved", purchase("approved", CARD, 1).as_bytes());
        assert_eq!(client.ask(&other).result(), "SUSPECTED_FRAUD");
        ask_all(&server);
        server.kill();
        server = home.start();
        ask_all(&server);
        assert!(server.terminate().success());
    }
}

#[test]
fn the_ready_line_says_where_and_how() {
    for durability in LEVELS {
        let home = home(durability);
        let server = home.start();
        let ready = &server.ready;
        assert_eq!(ready["durability"], durability, "{ready}");
        assert_eq!(ready["snapshotVersion"], 1, "{ready}");
        assert_ne!(server.issuer.port(), 0);
        assert_ne!(server.ops.port(), 0);
        assert_eq!(server.admin("/readyz")["recovered"], true);
        assert!(server.terminate().success());
    }
}

#[test]
fn a_start_that_is_relaxed_says_what_a_power_loss_takes() {
    for (durability, says) in [("strict", false), ("relaxed", true)] {
        let home = home(durability);
        // It ends before it is ready, and has said by then what it says.
        home.write("snapshot.json", "{");
        let (code, text) = home.refused();
        assert_eq!(code, Some(2), "{text}");
        assert_eq!(text.contains("a power loss may take"), says, "{text}");
    }
}

#[test]
fn what_is_made_in_the_data_directory_is_for_nobody_else() {
    let home = home("strict");
    let server = home.start();
    let mode = fs::metadata(home.data_dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "{mode:o}");
    assert!(server.terminate().success());
}

/// The same id for the card of another customer, or for one that nobody knows: that contradicts the
/// decision, which stays as it is (behaviour 2.4).
#[test]
fn b4_an_authorization_is_decided_once_for_all_customers() {
    let mut snapshot = SnapshotOf::default();
    for customer in ["one", "other"] {
        snapshot.customer(customer, &json!({}));
        snapshot.card(&format!("card-{customer}"), customer, None, &json!({}));
    }
    let home = Home::new("strict", &snapshot.build());
    let ask = |server: &Server, card| server.client().ask(&authorization("shared", card, 700));
    let newest = |server: &Server| server.admin("/admin/decisions?limit=1")["decisions"][0].clone();
    let conflicts = |server: &Server, card| {
        let before = newest(server);
        assert_ne!(ask(server, card).result(), "APPROVED", "{card}");
        wait_until("it is shown", || newest(server)["id"] != before["id"]);
        let shown = newest(server);
        assert_eq!(shown["reason"], "conflicting_duplicate", "{shown}");
    };
    let server = home.start();
    assert_eq!(ask(&server, "card-one").result(), "APPROVED");
    wait_until("it is shown", || newest(&server)["id"].is_string());
    for card in ["card-other", "card-nobody"] {
        conflicts(&server, card);
    }
    server.kill();
    let server = home.start();
    for card in ["card-nobody", "card-other"] {
        conflicts(&server, card);
    }
    assert_eq!(ask(&server, "card-one").result(), "APPROVED");
    let holds = &server.admin("/admin/cards/card-one")["holds"];
    assert_eq!(holds.as_array().unwrap().len(), 1, "{holds}");
    assert_eq!(server.admin("/admin/cards/card-other")["holds"], json!([]));
    // Another id is nobody's yet.
    let fresh = server
        .client()
        .ask(&authorization("own", "card-other", 700));
    assert_eq!(fresh.result(), "APPROVED");
    assert!(server.terminate().success());
}

/// What is asked for a card that has left the snapshot is found by the card and by its connection.
#[test]
fn a_decline_of_a_card_that_left_the_snapshot_is_found_under_its_name() {
    let home = home("strict");
    let server = home.start();
    assert!(
        server
            .client()
            .ask(&authorization("before", CARD, 700))
            .is_approval()
    );
    assert!(server.terminate().success());
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.card("another", "cus", None, &json!({}));
    home.write("snapshot.json", &snapshot.build().to_string());
    let server = home.start();
    assert!(
        !server
            .client()
            .ask(&authorization("after", CARD, 700))
            .is_approval()
    );
    for filter in [
        format!("card={CARD}"),
        "connection=acme&authorization=after".to_owned(),
    ] {
        let path = format!("/admin/decisions?{filter}&limit=1");
        // The index is behind the journal by a moment.
        let is_there = || {
            thread::sleep(Duration::from_millis(5));
            server.admin(&path)["decisions"][0]["authorization"] == "after"
        };
        assert!((0..1_000).any(|_| is_there()), "{filter}");
        let found = server.admin(&path);
        let newest = &found["decisions"][0];
        assert_eq!(newest["reason"], "card_unknown", "{newest}");
        assert_eq!(
            (&newest["card"], &newest["connection"]),
            (&json!(CARD), &json!("acme"))
        );
    }
    assert!(server.terminate().success());
}

/// With another customer a card's limits would begin anew (behaviour 11.3).
#[test]
fn a_card_that_was_used_cannot_change_its_customer() {
    let home = home("strict");
    let server = home.start();
    let response = server.client().ask(&authorization("first", CARD, 5_000));
    assert_eq!(response.result(), "APPROVED");
    assert!(server.terminate().success());
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.customer("other", &json!({}));
    snapshot.card(CARD, "other", None, &json!({}));
    home.write("snapshot.json", &snapshot.build().to_string());
    let (code, said) = home.refused();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("cannot change its customer"), "{said}");
}
