//! Other policies and statuses while the server runs, by every way there is (behaviour 2.14 j, 3.4,
//! 11.3, 11.5; F1, F2).

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::http::CARD;
use crate::server::{Home, Server, SnapshotOf, authorization, millis_since, now};

const LEVELS: [&str; 2] = ["strict", "relaxed"];
const CARDS: usize = 20;

/// A customer whose agent has the card, and some more cards, so that one of them is no tenth.
fn rules(per_auth: u64, change: impl FnOnce(&mut Value)) -> Value {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.agent("agt", "cus", &json!({}));
    let policy = json!({"limits": {"perAuth": per_auth}});
    snapshot.card(CARD, "cus", Some("agt"), &policy);
    snapshot.customer("other", &json!({}));
    for number in 1..CARDS {
        snapshot.card(&format!("card-{number}"), "other", None, &json!({}));
    }
    let mut rules = snapshot.build();
    change(&mut rules);
    rules
}

fn unchanged(_: &mut Value) {}

/// A server that looks at its file every `poll_ms`.
fn home(durability: &'static str, poll_ms: u64, rules: &Value) -> Home {
    let home = Home::new(durability, rules);
    home.set_snapshot_poll(poll_ms);
    home
}

/// In place of the file, as a careful writer does it.
fn replace(home: &Home, rules: &Value) {
    home.write("next.json", &rules.to_string());
    fs::rename(home.path("next.json"), home.path("snapshot.json")).unwrap();
}

fn version(server: &Server) -> u64 {
    server.admin("/readyz")["snapshotVersion"].as_u64().unwrap()
}

fn warnings(server: &Server) -> Value {
    server.admin("/readyz")["warnings"].clone()
}

fn log(home: &Home) -> String {
    fs::read_to_string(home.path("stderr.log")).unwrap()
}

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = now();
    while !is_so() {
        assert!(millis_since(since) < 30_000, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The result of a purchase that nobody has asked for before.
fn buy(server: &Server, amount: u64) -> String {
    let token = format!("buy-{}", now().micros());
    let request = authorization(&token, CARD, amount);
    server.client().ask(&request).result()
}

#[test]
fn a_hang_up_has_the_file_read_and_never_ends_the_process() {
    let home = home("strict", 0, &rules(1_000, unchanged));
    let server = home.start();
    assert_eq!(buy(&server, 2_000), "VELOCITY_EXCEEDED");
    replace(&home, &rules(5_000, unchanged));
    server.signal(Signal::HUP);
    wait_until("the new snapshot is in force", || version(&server) == 2);
    assert_eq!(buy(&server, 2_000), "APPROVED");

    // Refused, with the place in the log; and what would hit many cards waits for a word.
    home.write(
        "snapshot.json",
        "{\"customers\": [],\n\"agents\": [], \"cards\": 7}",
    );
    server.signal(Signal::HUP);
    wait_until("the file is refused", || {
        warnings(&server) == json!(["snapshot_refused"])
    });
    let place = format!(
        "{}:2: cards: must be a list",
        home.path("snapshot.json").display()
    );
    assert!(log(&home).contains(&place), "{}", log(&home));
    let suspended = rules(5_000, |rules| {
        rules["customers"][1]["status"] = json!("suspended")
    });
    replace(&home, &suspended);
    server.signal(Signal::HUP);
    wait_until("the file waits", || {
        warnings(&server) == json!(["snapshot_unconfirmed"])
    });
    let command = format!(
        "curl -X POST 'http://{}/admin/reload?confirm=true'",
        server.ops
    );
    assert!(log(&home).contains(&command), "{}", log(&home));
    assert_eq!(version(&server), 2);
    assert_eq!(buy(&server, 2_001), "APPROVED");
    assert_eq!(server.post("/admin/reload?confirm=true").status, 200);
    assert_eq!((version(&server), warnings(&server)), (3, json!([])));
    for _ in 0..20 {
        server.signal(Signal::HUP);
    }
    assert_eq!(buy(&server, 2_002), "APPROVED");
    assert!(server.terminate().success());
}

#[test]
fn a_file_that_changes_is_in_force_once_it_is_at_rest() {
    let home = home("strict", 50, &rules(1_000, unchanged));
    let server = home.start();
    replace(&home, &rules(5_000, unchanged));
    wait_until("the file is in force", || version(&server) == 2);
    assert_eq!(buy(&server, 2_000), "APPROVED");

    // Written again with the same content, and in place: nothing is new.
    let same = fs::read(home.path("snapshot.json")).unwrap();
    fs::write(home.path("snapshot.json"), &same).unwrap();
    // Bit by bit, with pauses that are shorter than the watch's, and with one that is longer.
    let next = rules(9_000, unchanged).to_string();
    let (first, rest) = next.split_at(next.len() / 2);
    home.write("snapshot.json", first);
    wait_until("the half is refused", || {
        warnings(&server) == json!(["snapshot_refused"])
    });
    assert_eq!(
        (version(&server), buy(&server, 8_000).as_str()),
        (2, "VELOCITY_EXCEEDED")
    );
    for end in (0..rest.len()).step_by(200) {
        home.write("snapshot.json", &format!("{first}{}", rest.split_at(end).0));
        thread::sleep(Duration::from_millis(2));
        assert_eq!(version(&server), 2);
    }
    home.write("snapshot.json", &next);
    // It is in force a moment before nothing is warned of any more.
    wait_until("the whole is in force", || {
        version(&server) == 3 && warnings(&server) == json!([])
    });
    assert_eq!(buy(&server, 8_000), "APPROVED");

    // What the watch may not put in force it says once, however often it looks.
    let nothing = json!({"customers": [], "agents": [], "cards": []});
    replace(&home, &nothing);
    wait_until("the file waits", || {
        warnings(&server) == json!(["snapshot_unconfirmed"])
    });
    fs::remove_file(home.path("snapshot.json")).unwrap();
    let both = json!(["snapshot_unconfirmed", "snapshot_unreadable"]);
    wait_until("the file is missed", || warnings(&server) == both);
    let said = log(&home).matches("waits for a confirmation").count();
    assert_eq!((version(&server), said), (3, 1));
    assert!(server.terminate().success());
}

/// A pipe was read at the start; it has nothing more to say, and nobody waits for it.
#[test]
fn what_is_no_file_is_read_once() {
    let home = home("strict", 50, &rules(1_000, unchanged));
    let made = Command::new("mkfifo").arg(home.path("pipe")).status();
    assert!(made.unwrap().success());
    fs::rename(home.path("snapshot.json"), home.path("content.json")).unwrap();
    fs::rename(home.path("pipe"), home.path("snapshot.json")).unwrap();
    let (pipe, content) = (home.path("snapshot.json"), home.path("content.json"));
    let server = thread::scope(|scope| {
        scope.spawn(|| fs::write(pipe, fs::read(content).unwrap()).unwrap());
        home.start()
    });
    let reply = server.post("/admin/reload");
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.text().contains("is no file"), "{}", reply.text());
    assert_eq!(buy(&server, 100), "APPROVED");
    assert!(server.terminate().success());
}

/// Behaviour 2.14 j for what the snapshot says: suspension of a customer, pausing of an agent.
#[test]
fn suspending_and_pausing_in_the_snapshot_take_force_by_a_reload() {
    for durability in LEVELS {
        let home = home(durability, 0, &rules(1_000, unchanged));
        let server = home.start();
        let reload = |change: fn(&mut Value)| {
            replace(&home, &rules(1_000, change));
            let reply = server.post("/admin/reload");
            assert_eq!(reply.status, 200, "{}", reply.text());
            buy(&server, 100)
        };
        assert_eq!(reload(unchanged), "APPROVED");
        let suspended = reload(|rules| rules["customers"][0]["status"] = json!("suspended"));
        assert_eq!(suspended, "CARD_PAUSED");
        assert_eq!(reload(unchanged), "APPROVED");
        let paused = reload(|rules| rules["agents"][0]["status"] = json!("paused"));
        assert_eq!(paused, "CARD_PAUSED");
        let frozen = reload(|rules| rules["cards"][0]["frozen"] = json!(true));
        assert_eq!(frozen, "SUSPECTED_FRAUD");
        assert_eq!(reload(unchanged), "APPROVED");
        assert!(server.terminate().success());
    }
}

/// An operator's word is durable before the answer to it leaves: a kill right behind changes nothing.
#[test]
fn what_an_operator_has_set_outlives_a_kill_at_once() {
    for durability in LEVELS {
        let home = home(durability, 0, &rules(1_000, unchanged));
        let steps = [
            (format!("/admin/cards/{CARD}/lock"), "CARD_PAUSED"),
            (format!("/admin/cards/{CARD}/unlock"), "APPROVED"),
            (format!("/admin/cards/{CARD}/freeze"), "SUSPECTED_FRAUD"),
            ("/admin/agents/agt/pause".to_owned(), "CARD_PAUSED"),
            (format!("/admin/cards/{CARD}/cancel"), "CARD_PAUSED"),
        ];
        let mut server = home.start();
        for (path, expected) in steps {
            let reply = server.post(&path);
            assert_eq!(reply.status, 200, "{path}: {}", reply.text());
            server.kill();
            server = home.start();
            assert_eq!(buy(&server, 100), expected, "{durability} {path}");
        }
        assert!(server.terminate().success());
    }
}

/// A card is its connection and its issuer's token: another id is another name for it.
#[test]
fn a_card_that_is_renamed_keeps_its_holds_and_its_records_in_view() {
    let home = home("strict", 0, &rules(5_000, unchanged));
    let server = home.start();
    let ask = authorization("renamed", CARD, 2_000);
    assert!(server.client().ask(&ask).is_approval());
    let seen = |server: &Server, id: &str| {
        let card = server.admin(&format!("/admin/cards/{id}"));
        let path = format!("/admin/decisions?card={id}");
        let decisions = server.admin(&path)["decisions"].clone();
        (
            card["holds"].clone(),
            card["holdsComplete"].clone(),
            decisions,
        )
    };
    let is_there = || seen(&server, CARD).2.as_array().unwrap().len() == 1;
    wait_until("it is recorded", is_there);
    let before = seen(&server, CARD);
    assert_eq!(before.0.as_array().unwrap().len(), 1);
    assert_eq!(before.2.as_array().unwrap().len(), 1);
    let renamed = rules(5_000, |rules| rules["cards"][0]["id"] = json!("new-name"));
    replace(&home, &renamed);
    assert_eq!(server.post("/admin/reload?confirm=true").status, 200);
    assert_eq!(seen(&server, "new-name"), before);
    assert!(server.terminate().success());
    let server = home.start();
    assert_eq!(seen(&server, "new-name"), before);
    assert!(server.terminate().success());
}

/// What a rule has seen stands in the record: how the card stood, whoever has set it, and the merchant.
#[test]
fn what_a_rule_has_seen_is_recorded_of_statuses_and_of_merchants() {
    let rules = rules(5_000, |rules| {
        rules["cards"][1]["policy"] = json!({"blockedMerchants": ["API HOST"]});
        rules["cards"][2]["policy"] = json!({"allowedMerchants": ["SOMEBODY ELSE"]});
    });
    let home = home("strict", 0, &rules);
    let server = home.start();
    let declined = |card: &str, reason: &str| {
        let token = format!("seen-{}", now().micros());
        let reply = server.client().ask(&authorization(&token, card, 100));
        assert!(!reply.is_approval(), "{reason}");
        let path = format!("/admin/decisions?authorization={token}&connection=acme");
        let record = || server.admin(&path)["decisions"][0].clone();
        wait_until("it is recorded", || !record().is_null());
        assert_eq!(record()["reason"], reason, "{}", record());
        record()["explanation"]["observed"].clone()
    };
    for (path, back, card, reason, observed) in [
        (
            format!("cards/{CARD}/lock"),
            "unlock",
            CARD,
            "card_locked",
            json!("locked"),
        ),
        (
            format!("cards/{CARD}/freeze"),
            "unfreeze",
            CARD,
            "card_frozen_by_risk",
            json!("true"),
        ),
        (
            "agents/agt/pause".to_owned(),
            "resume",
            CARD,
            "agent_suspended",
            json!("paused"),
        ),
        (
            "cards/card-3/cancel".to_owned(),
            "cancel",
            "card-3",
            "card_canceled",
            json!("canceled"),
        ),
    ] {
        assert_eq!(server.post(&format!("/admin/{path}")).status, 200, "{path}");
        assert_eq!(declined(card, reason), observed, "{path}");
        let (whose, _) = path.rsplit_once('/').unwrap();
        assert_eq!(server.post(&format!("/admin/{whose}/{back}")).status, 200);
    }
    let blocked = declined("card-1", "merchant_blocked");
    assert!(
        blocked.as_str().unwrap().starts_with("API HOST"),
        "{blocked}"
    );
    assert_eq!(declined("card-2", "merchant_not_allowed"), blocked);
    assert!(server.terminate().success());
}

/// In which currency a customer's sums are is known to the ledger, so that no start lets them go on in another.
#[test]
fn a_customer_that_has_spent_keeps_its_currency_over_a_start() {
    let home = home("strict", 0, &rules(5_000, unchanged));
    let server = home.start();
    assert_eq!(buy(&server, 2_000), "APPROVED");
    assert!(server.terminate().success());
    let euros = |at: usize| {
        rules(5_000, |rules| {
            rules["customers"][at]["currency"] = json!("EUR")
        })
    };
    // From the journal alone, then from a checkpoint too.
    for _ in 0..2 {
        replace(&home, &euros(0));
        let (code, error) = home.refused();
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains("customers[0].currency: "), "{error}");
        replace(&home, &euros(1));
        let server = home.start();
        assert_eq!(buy(&server, 2_001), "APPROVED");
        assert!(server.terminate().success());
    }
}
