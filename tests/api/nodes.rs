//! Several processes on one database and one ledger: one of them changes rules, the others answer issuers
//! by them (decision 0032).

use std::fs;
use std::thread;
use std::time::Duration;

use countersign::issuer::standard_webhooks::{Secret, sign};
use serde_json::{Value, json};

use crate::database::Database;
use crate::pg::PgServer;
use crate::plane::{Plane, code, program, refused, request};
use crate::purchases::buyer;
use crate::server::{Home, Server, millis_since, now, purchase, said};
use crate::webhooks::{Came, HERE, Receiver, restart, webhook};

const ANYWHERE: &str = "127.0.0.1:0";
/// Rules reach the others within this time, on a machine with much else to do.
const FOLLOWED_MS: i64 = 5_000;

/// A process that answers issuers.
struct Authorizer {
    home: Home,
    server: Server,
}

fn command(home: &Home, database: &Database) -> std::process::Command {
    let mut command = program("serve", home, database);
    for listener in ["--issuer-listen", "--listen", "--ops-listen"] {
        command.args([listener, ANYWHERE]);
    }
    command.args(["--roles", "authorizer"]);
    command
}

impl Authorizer {
    fn start(database: &Database) -> Self {
        let home = Home::new("strict", &json!({}));
        let server = home.spawn(command(&home, database));
        Self { server, home }
    }

    /// A purchase with the card of this token.
    fn decides(&self, id: &str, token: &str, amount: u64) -> bool {
        let body = purchase(id, token, amount);
        let secret = fs::read_to_string(self.home.data_dir().join("sandbox/secret")).unwrap();
        let secret = Secret::from_text(secret.trim_end().to_owned()).unwrap();
        let signed = sign(&secret, id, now(), body.as_bytes());
        let headers = format!(
            "webhook-id: {}\r\nwebhook-timestamp: {}\r\nwebhook-signature: {}\r\n",
            signed.id, signed.timestamp, signed.signature
        );
        let asked = request("POST", "/issuers/sandbox/authorizations", &headers, &body);
        self.server.client().ask(asked.as_bytes()).is_approval()
    }

    /// The same, until it comes to this: after how many milliseconds.
    fn comes_to(&self, is_approval: bool, token: &str, amount: u64) -> i64 {
        let since = now();
        loop {
            let id = format!("until-{}", now().micros());
            let took = millis_since(since);
            if self.decides(&id, token, amount) == is_approval {
                return took;
            }
            assert!(
                took < FOLLOWED_MS,
                "{amount} is not decided by the new rules"
            );
        }
    }

    /// Where a busy machine has missed the sandbox's deadline, it is asked for again. By what name it was
    /// approved.
    fn approves(&self, id: &str, token: &str, amount: u64) -> String {
        let since = now();
        let mut number = 0;
        loop {
            let name = format!("{id}-{number}");
            if self.decides(&name, token, amount) {
                return name;
            }
            assert!(millis_since(since) < FOLLOWED_MS, "{id}");
            number += 1;
        }
    }

    fn declines(&self, id: &str, token: &str, amount: u64) {
        assert!(!self.decides(id, token, amount), "{id}");
    }
}

/// A process that changes rules, and so many that answer issuers.
fn nodes<const COUNT: usize>() -> (Plane, [Authorizer; COUNT]) {
    let mut plane = Plane::initialised();
    plane.restart_with(&["--roles", "control"]);
    let others = [(); COUNT].map(|()| Authorizer::start(&plane.database));
    (plane, others)
}

fn patched(plane: &Plane, path: &str, body: &Value) {
    plane.owner_asks("PATCH", path, body, 200);
}

#[test]
fn rules_that_one_process_changes_are_in_force_at_all_others() {
    let (plane, [one, two]) = nodes();
    let agent = plane.agent(&json!({}));
    let card = plane.card(&json!({"agentId": agent, "policy": {"limits": {"perAuth": 1000}}}));
    let token = plane.token_of(&card);
    let mut took = vec![
        one.comes_to(true, &token, 900),
        two.comes_to(true, &token, 900),
    ];
    for (number, limit) in [(0, 500_u64), (1, 300), (2, 800), (3, 100)] {
        let policy = json!({"policy": {"limits": {"perAuth": limit}}});
        patched(&plane, &format!("/v1/cards/{card}"), &policy);
        for node in [&one, &two] {
            let is_more = number == 2;
            let asked = if is_more { limit } else { limit + 1 };
            took.push(node.comes_to(is_more, &token, asked));
            node.declines(&format!("over-{number}"), &token, limit + 1);
        }
    }
    // A level above the card, and one more customer with a card.
    patched(
        &plane,
        &format!("/v1/customers/{}", plane.customer),
        &json!({"status": "suspended"}),
    );
    took.push(two.comes_to(false, &token, 1));
    patched(
        &plane,
        &format!("/v1/customers/{}", plane.customer),
        &json!({"status": "active"}),
    );
    took.push(one.comes_to(true, &token, 1));
    println!("ms until a change was in force elsewhere: {took:?}");
    for node in [&one, &two] {
        assert_eq!(node.server.admin("/readyz")["warnings"], json!([]));
    }
}

#[test]
fn what_stops_holds_everywhere_when_the_call_has_returned() {
    let (plane, [one, two]) = nodes();
    let agent = plane.agent(&json!({}));
    let cards: Vec<(String, String)> = (0..4)
        .map(|_| {
            let card = plane.card(&json!({"agentId": agent}));
            let token = plane.token_of(&card);
            for node in [&one, &two] {
                node.comes_to(true, &token, 1);
            }
            (card, token)
        })
        .collect();
    let [frozen, locked, canceled, paused] = &cards[..] else {
        panic!("four cards");
    };
    let stops = [
        (
            frozen,
            "POST",
            format!("/v1/cards/{}/freeze", frozen.0),
            Value::Null,
        ),
        (
            locked,
            "PATCH",
            format!("/v1/cards/{}", locked.0),
            json!({"status": "locked"}),
        ),
        (
            canceled,
            "DELETE",
            format!("/v1/cards/{}", canceled.0),
            Value::Null,
        ),
        (
            paused,
            "PATCH",
            format!("/v1/agents/{agent}"),
            json!({"status": "paused"}),
        ),
    ];
    for (number, ((_, token), method, path, body)) in stops.iter().enumerate() {
        plane.owner_asks(method, path, body, 200);
        one.declines(&format!("one-{number}"), token, 1);
        two.declines(&format!("two-{number}"), token, 1);
    }
    let other = plane.card(&json!({}));
    let token = plane.token_of(&other);
    one.comes_to(true, &token, 1);
    two.comes_to(true, &token, 1);
    let customer = format!("/v1/customers/{}", plane.customer);
    for round in 0..3 {
        let shown = plane.owner_asks("PATCH", &customer, &json!({"status": "suspended"}), 200);
        assert_eq!(shown["status"], "suspended", "{shown}");
        for (node, name) in [(&one, "one"), (&two, "two")] {
            node.declines(&format!("suspended-{name}-{round}"), &token, 1);
            let card = node.server.admin(&format!("/admin/cards/{other}"));
            assert_eq!(card["customerStatus"], "suspended", "{card}");
        }
        plane.owner_asks("PATCH", &customer, &json!({"status": "active"}), 200);
        one.comes_to(true, &token, 1);
        two.comes_to(true, &token, 1);
    }
    // A key that is revoked is one nowhere: one process serves all who have keys.
    let made = plane.owner_asks("POST", "/v1/api-keys", &json!({"scope": "viewer"}), 201);
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert_eq!(plane.ask(key, "GET", "/v1/cards", &Value::Null).status, 200);
    plane.owner_asks("DELETE", &format!("/v1/api-keys/{id}"), &Value::Null, 200);
    let refused = plane.ask(key, "GET", "/v1/cards", &Value::Null);
    assert_eq!(refused.status, 401, "{}", refused.text());
}

#[test]
fn what_is_earmarked_at_one_process_is_not_spent_at_another() {
    let (plane, [node]) = nodes();
    let buyer = buyer(
        &plane,
        &json!({"autoApproveBelow": 5000, "limits": {"perDay": 3000}}),
    );
    let card = plane.card(&json!({"agentId": buyer.agent}));
    let token = plane.token_of(&card);
    node.comes_to(true, &token, 1000);
    let made = buyer.asks(&plane, &json!({"amount": "12.00"}));
    assert_eq!(made["status"], "approved", "{made}");
    node.declines("more", &token, 801);
    node.approves("rest", &token, 800);
    let refused = buyer.asks(&plane, &json!({"amount": "0.01"}));
    assert_eq!(refused["reason"], "agent_limit_exceeded", "{refused}");
    // The card of the request is used at the other process.
    let bought = made["virtualCard"]["id"].as_str().unwrap();
    plane.owner_asks("DELETE", &format!("/v1/cards/{bought}"), &Value::Null, 200);
    node.approves("given-back", &token, 1200);
}

#[test]
fn a_process_that_is_killed_while_it_changes_rules_leaves_all_others_with_those_of_the_database() {
    let (mut plane, [node]) = nodes();
    let card = plane.card(&json!({}));
    let token = plane.token_of(&card);
    node.comes_to(true, &token, 1);
    let path = format!("/v1/cards/{card}");
    for round in 0..6_u64 {
        thread::scope(|scope| {
            let changing = scope.spawn(|| {
                // Until the process is gone.
                for step in 1.. {
                    let limit = 1_000 * (round + 1) + step;
                    let body = json!({"policy": {"limits": {"perAuth": limit}}}).to_string();
                    let headers = crate::plane::bearer(&plane.owner);
                    let asked = request("PATCH", &path, &headers, &body);
                    let mut client = crate::server::Client::connect(plane.listen());
                    if !client.try_send(asked.as_bytes()) || client.try_response().is_none() {
                        return;
                    }
                    if step > 20 {
                        plane.server().signal(rustix::process::Signal::KILL);
                    }
                }
            });
            changing.join().unwrap();
        });
        plane.kill();
        plane.restart_with(&["--roles", "control"]);
        let kept = plane.get(&path)["policy"]["limits"]["perAuth"]
            .as_u64()
            .unwrap();
        assert!(kept > 1_000 * (round + 1), "{kept}");
        node.comes_to(true, &token, kept);
        node.declines(&format!("over-{round}"), &token, kept + 1);
    }
}

#[test]
fn without_the_database_issuers_are_answered_by_what_is_known() {
    let mut server = PgServer::start();
    let mut plane = Plane::initialised_in(Database::at(server.fresh_database()));
    plane
        .home
        .write("hooks.toml", "[webhooks]\nunread_max = 50\n");
    restart(&mut plane, &["--roles", "control"]);
    let node = Authorizer::start(&plane.database);
    let card = plane.card(&json!({"policy": {"limits": {"perDay": 1000}}}));
    let token = plane.token_of(&card);
    node.comes_to(true, &token, 100);
    server.crash();
    let warned = |wanted: bool| {
        let since = now();
        while node.server.admin_text("/readyz").contains("rules_stale") != wanted {
            assert!(millis_since(since) < 30_000, "rules_stale: {wanted}");
            thread::sleep(Duration::from_millis(20));
        }
    };
    warned(true);
    node.approves("away", &token, 400);
    node.declines("beyond", &token, 501);
    let metrics = node.server.admin_text("/metrics");
    let age = metrics
        .lines()
        .find_map(|line| line.strip_prefix("countersign_rules_age_milliseconds "));
    assert!(age.unwrap().parse::<i64>().unwrap() > 2_000, "{age:?}");
    // A stop needs no database.
    let frozen = node.server.post(&format!("/admin/cards/{card}/freeze"));
    assert_eq!(frozen.status, 200, "{}", frozen.text());
    node.declines("frozen", &token, 1);
    let unfrozen = node.server.post(&format!("/admin/cards/{card}/unfreeze"));
    assert_eq!(unfrozen.status, 200, "{}", unfrozen.text());
    // What nobody reads waits, and somebody is to see it.
    let unread = |wanted: bool| {
        let since = now();
        while plane
            .server()
            .admin_text("/readyz")
            .contains("records_unread")
            != wanted
        {
            assert!(millis_since(since) < 30_000, "records_unread: {wanted}");
            thread::sleep(Duration::from_millis(20));
        }
    };
    unread(false);
    for number in 0..60 {
        node.declines(&format!("unread-{number}"), &token, 2_000);
    }
    unread(true);
    assert!(server.run_again());
    warned(false);
    unread(false);
    let since = now();
    loop {
        let answer = plane.ask(
            &plane.owner,
            "PATCH",
            &format!("/v1/cards/{card}"),
            &json!({"policy": {"limits": {"perDay": 600}}}),
        );
        if answer.status == 200 {
            break;
        }
        assert!(millis_since(since) < 30_000, "{}", answer.text());
        thread::sleep(Duration::from_millis(50));
    }
    node.comes_to(true, &token, 50);
    node.comes_to(false, &token, 51);
}

#[test]
fn what_any_process_decides_is_told_once_however_often_the_one_that_tells_is_killed() {
    let receiver = Receiver::start();
    let mut plane = Plane::initialised();
    plane.home.write("hooks.toml", HERE);
    restart(&mut plane, &["--roles", "control"]);
    let others = [(); 2].map(|()| Authorizer::start(&plane.database));
    webhook(&plane, &receiver.url(), &json!({"events": ["decision.*"]}));
    let card = plane.card(&json!({}));
    let token = plane.token_of(&card);
    let mut asked = Vec::new();
    for round in 0..4 {
        for number in 0..10_usize {
            let id = format!("told-{round}-{number}");
            let node = &others[number % 2];
            // The card may not be known there yet.
            if round == 0 && number < 2 {
                node.comes_to(true, &token, 1);
            }
            asked.push(node.approves(&id, &token, 1));
            if number == 5 {
                plane.kill();
            }
        }
        restart(&mut plane, &["--roles", "control"]);
    }
    let told = |came: &[Came]| {
        let mut told: Vec<(String, String)> = came
            .iter()
            .filter(|it| it.kind() == "decision.approved")
            .map(|it| {
                let name = it.event()["data"]["authorization"]
                    .as_str()
                    .unwrap()
                    .to_owned();
                (name, it.id())
            })
            .filter(|(name, _)| name.starts_with("told-"))
            .collect();
        // An attempt may be made twice, under its one id.
        told.sort();
        told.dedup();
        told
    };
    receiver.until("every decision", |came| told(came).len() >= asked.len());
    thread::sleep(Duration::from_secs(2));
    let names: Vec<String> = told(&receiver.came()).into_iter().map(|it| it.0).collect();
    asked.sort();
    assert_eq!(names, asked);
}

#[test]
fn processes_have_the_listeners_of_their_roles_and_one_at_a_time_changes_rules() {
    let (plane, [node]) = nodes();
    let ready = &plane.server().ready;
    assert_eq!(
        (ready.get("issuer"), ready["listen"].is_string()),
        (None, true)
    );
    let ready = &node.server.ready;
    assert_eq!(
        (ready.get("listen"), ready["issuer"].is_string()),
        (None, true)
    );
    let second = Home::new("strict", &json!({}));
    let folder = |home: &Home| home.data_dir().join("control");
    fs::create_dir_all(folder(&second)).unwrap();
    for entry in fs::read_dir(folder(&plane.home)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder(&second).join(path.file_name().unwrap())).unwrap();
    }
    let (owner, customer) = (plane.owner.clone(), plane.customer.clone());
    let second = Plane::of(second, plane.database.clone(), owner, customer);
    let (status, told) = refused(&second);
    assert_eq!(status, Some(3), "{told}");
    assert!(told.contains("another server works on it"), "{told}");
    // A ledger of its own is not one of several.
    let mut alone = command(&second.home, &plane.database);
    let (status, told) = said(alone.args(["--ledger", "embedded"]).output());
    assert_eq!(status, Some(2), "{told}");
    assert!(told.contains("--roles: "), "{told}");
    // Another ledger would begin every sum anew.
    let other = Database::fresh();
    let wrong = plane.database.with_ledger_of(&other);
    let home = Home::new("strict", &json!({}));
    let (status, told) = said(command(&home, &wrong).output());
    assert_eq!(status, Some(3), "{told}");
    assert!(
        told.contains("the database belongs to the ledger"),
        "{told}"
    );
    // Nobody has begun on this one.
    let (status, told) = said(command(&home, &other).output());
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("--roles control"), "{told}");
    let unknown = plane.ask("cs_test_nobody", "GET", "/v1/cards", &Value::Null);
    assert_eq!(code(&unknown, 401), "unauthorized");
}

#[test]
fn c20_a_database_whose_shared_ledger_is_lost_is_given_to_another_one() {
    let mut plane = Plane::start();
    let card = plane.card(&json!({"policy": {"limits": {"total": 1000}}}));
    assert_eq!(plane.buy(&card, 800), "APPROVED");
    assert!(plane.stop().success());
    let other = Database::fresh();
    plane.database = plane.database.with_ledger_of(&other);
    let (status, told) = refused(&plane);
    assert_eq!(status, Some(3), "{told}");
    let wanted = "countersign ledger adopt --instead-of ";
    let (_, theirs) = told.split_once(wanted).expect(&told);
    let theirs = theirs.split('`').next().unwrap();
    let adopt = |instead_of: &str| {
        let mut command = crate::server::binary();
        command.args(["ledger", "adopt", "--instead-of", instead_of, "--data-dir"]);
        command.arg(plane.home.data_dir());
        said(command.envs(plane.database.environment()).output())
    };
    let (status, told) = adopt("00000000000000000000000000000000");
    assert_eq!(status, Some(2), "{told}");
    assert!(told.contains(theirs), "{told}");
    let (status, told) = adopt(theirs);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("belongs to the shared ledger"), "{told}");
    assert_eq!(adopt(theirs).0, Some(2), "it is not theirs any more");
    plane.restart();
    assert_eq!(plane.buy(&card, 800), "APPROVED", "it counts from zero");
}
