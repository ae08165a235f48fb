//! The audit log (behaviour 8.1): what stands in it, and that it is whole.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::plane::{Plane, bearer, code, id, program, request, value};
use crate::server::{find, millis_since, now, said};

/// Every entry of the log in the database, once the command finds it in order.
fn entries(plane: &Plane) -> Vec<Value> {
    let (status, lines) = command(plane, &["export"]);
    assert_eq!(status, Some(0), "{lines}");
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter(|line| !line["entry"].is_null())
        .map(|line| line["entry"].clone())
        .collect()
}

fn command(plane: &Plane, words: &[&str]) -> (Option<i32>, String) {
    let mut command = program("audit", &plane.home, &plane.database);
    // The subcommand's own flags stand behind its name.
    let flags: Vec<_> = command.get_args().skip(1).map(ToOwned::to_owned).collect();
    let environment = plane.database.environment();
    let mut again = std::process::Command::new(command.get_program());
    again.arg("audit").args(words).args(flags).envs(environment);
    command = again;
    said(command.output())
}

fn verify(plane: &Plane, words: &[&str]) -> (Option<i32>, String) {
    command(plane, &[&["verify"], words].concat())
}

/// The newest entry of this action; what is noted beside a change is there at once, but not before.
fn newest(plane: &Plane, action: &str) -> Value {
    let since = now();
    while millis_since(since) < 20_000 {
        let found = entries(plane)
            .into_iter()
            .rfind(|it| it["action"] == action);
        if let Some(found) = found {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("nothing of `{action}`: {:?}", entries(plane));
}

/// Who, from where, when.
fn check_heads(found: &[Value], owner: &Value) {
    for (at, entry) in found.iter().enumerate() {
        assert_eq!(entry["seq"], at + 1);
        assert_eq!(entry["mode"], "test");
        let who = if at == 0 {
            json!("commandLine")
        } else {
            json!("key")
        };
        assert_eq!(entry["who"]["kind"], who);
        if at > 0 {
            assert_eq!(
                entry["who"],
                json!({"id": owner, "kind": "key", "scope": "owner"})
            );
            assert!(
                entry["from"].as_str().unwrap().starts_with("127.0.0.1:"),
                "{entry}"
            );
            assert!(
                entry["requestId"].as_str().unwrap().starts_with("req_"),
                "{entry}"
            );
        }
        assert!(entry["at"].as_str().unwrap().ends_with('Z'), "{entry}");
    }
}

/// The same over the API, page by page.
fn check_pages(plane: &Plane, found: &[Value]) {
    let shown = plane.get("/v1/audit?limit=3");
    let first: Vec<Value> = shown["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["entry"].clone())
        .collect();
    assert_eq!(first, found[..3]);
    let cursor = shown["next"].as_str().unwrap();
    let rest = plane.get(&format!("/v1/audit?limit=200&cursor={cursor}"));
    assert_eq!(rest["data"].as_array().unwrap().len(), found.len() - 3);
    assert_eq!(rest["next"], Value::Null);
}

#[test]
fn every_change_is_told_with_who_what_when_from_where_and_how_it_ended() {
    let plane = Plane::start();
    let owner = plane.get("/v1/api-keys")["data"][0]["id"].clone();
    let agent = plane.agent(&json!({"limits": {"perDay": 5_000}}));
    let card = plane.card(&json!({"agentId": agent}));
    let path = format!("/v1/cards/{card}");
    plane.owner_asks(
        "PATCH",
        &path,
        &json!({"policy": {"limits": {"total": 900}}}),
        200,
    );
    let asked = plane.ask(
        &plane.owner,
        "POST",
        &format!("{path}/freeze"),
        &Value::Null,
    );
    assert_eq!(asked.status, 200);
    let key = plane.owner_asks("POST", "/v1/api-keys", &json!({"scope": "viewer"}), 201);
    plane.owner_asks(
        "DELETE",
        &format!("/v1/api-keys/{}", id(&key)),
        &Value::Null,
        200,
    );
    plane.owner_asks("DELETE", &path, &Value::Null, 200);
    let found = entries(&plane);
    let actions: Vec<&str> = found
        .iter()
        .map(|it| it["action"].as_str().unwrap())
        .collect();
    assert_eq!(
        actions,
        [
            "init",
            "POST /v1/agents",
            "POST /v1/cards",
            &format!("PATCH {path}"),
            &format!("POST {path}/freeze"),
            "POST /v1/api-keys",
            &format!("DELETE /v1/api-keys/{}", id(&key)),
            &format!("DELETE {path}"),
        ]
    );
    check_heads(&found, &owner);
    let made = &found[2]["changes"][0];
    assert_eq!(
        (&made["kind"], &made["what"]),
        (&json!("card"), &json!("made"))
    );
    assert_eq!(
        (&made["id"], &made["agentId"]),
        (&json!(card), &json!(agent))
    );
    assert_eq!(found[2]["outcome"], "201");
    let policy = found[3]["changes"][0]["policySha256"].as_str().unwrap();
    assert_eq!(policy.len(), 64);
    assert_eq!(found[4]["requestId"], asked.header("x-request-id").unwrap());
    assert_eq!(found[4]["changes"][0]["frozen"], true);
    assert_eq!(found[6]["changes"][0]["what"], "revoked");
    assert_eq!(found[7]["changes"][0]["status"], "canceled");
    check_pages(&plane, &found);
}

#[test]
fn what_is_declared_is_told_also_when_it_is_declared_again() {
    let plane = Plane::start();
    let card = plane.card(&json!({"policy": {"requireApproval": true}}));
    let path = format!("/v1/cards/{card}/intents");
    let body = json!({"purpose": "a train", "intentId": "trip", "expectedAmount": 900});
    plane.owner_asks("POST", &path, &body, 201);
    plane.owner_asks("POST", &path, &body, 200);
    plane.owner_asks("POST", &format!("{path}/trip/approve"), &Value::Null, 200);
    let said = json!({"statement": "I buy a ticket"});
    let attested = format!("/v1/cards/{card}/attestations");
    plane.owner_asks("POST", &attested, &said, 201);
    let told: Vec<[Value; 3]> = entries(&plane)
        .iter()
        .skip(2)
        .map(|it| {
            let change = &it["changes"][0];
            [&it["outcome"], &change["kind"], &change["what"]].map(Value::clone)
        })
        .collect();
    let expected = [
        json!(["201", "intent", "made"]),
        json!(["200", null, null]),
        json!(["200", "intent", "changed"]),
        json!(["201", "attestation", "made"]),
    ];
    assert_eq!(json!(told), json!(expected));
}

#[test]
fn attempts_and_what_operators_do_are_told_too() {
    let plane = Plane::start();
    let card = plane.card(&json!({}));
    let wrong = "cs_test_canary-of-a-key-that-nobody-has";
    assert_eq!(
        plane.ask(wrong, "GET", "/v1/cards", &Value::Null).status,
        401
    );
    let entry = newest(&plane, "GET /v1/cards");
    assert_eq!(
        (&entry["who"]["kind"], &entry["outcome"]),
        (&json!("nobody"), &json!("unauthorized"))
    );
    let viewer = plane.key(&json!({"scope": "viewer"}));
    let path = format!("/v1/cards/{card}/freeze");
    assert_eq!(plane.ask(&viewer, "POST", &path, &Value::Null).status, 403);
    let entry = newest(&plane, &format!("POST {path}"));
    assert_eq!(
        (&entry["who"]["scope"], &entry["outcome"]),
        (&json!("viewer"), &json!("scope_not_allowed"))
    );
    let path = format!("/admin/cards/{card}/lock");
    assert_eq!(plane.server().post(&path).status, 200);
    let entry = newest(&plane, &format!("POST {path}"));
    assert_eq!(
        (&entry["who"]["kind"], &entry["outcome"]),
        (&json!("operator"), &json!("200"))
    );
    assert!(entry["from"].as_str().unwrap().starts_with("127.0.0.1:"));
    // What belongs to no mode is not shown to a test key; nor is anything to one customer's owner.
    let shown = plane.get("/v1/audit?limit=200").to_string();
    assert!(
        !shown.contains("operator") && shown.contains("scope_not_allowed"),
        "{shown}"
    );
    let narrow = plane.key(&json!({"scope": "owner", "customerId": plane.customer}));
    let refused = plane.ask(&narrow, "GET", "/v1/audit", &Value::Null);
    assert_eq!(code(&refused, 403), "beyond_reach");
    let kept = plane.database.kept(&plane.home.data_dir());
    assert!(
        find(&kept, wrong.as_bytes()).is_none(),
        "a wrong key was kept"
    );
}

#[test]
fn who_tries_many_keys_costs_few_rows_and_is_counted() {
    let plane = Plane::start();
    let tries = 200;
    for at in 0..tries {
        let refused = plane.ask(&format!("cs_test_{at}"), "GET", "/v1/cards", &Value::Null);
        assert_eq!(refused.status, 401);
    }
    let entry = newest(&plane, "attempts that are not written one by one");
    let mut counted = 0;
    let since = now();
    while counted < tries && millis_since(since) < 20_000 {
        let found = entries(&plane);
        let one_by_one = found
            .iter()
            .filter(|it| it["outcome"] == "unauthorized")
            .count();
        let sums = found.iter().filter(|it| it["action"] == entry["action"]);
        let sums = sums.map(|it| it["outcome"].as_str().unwrap().parse::<usize>().unwrap());
        counted = one_by_one + sums.sum::<usize>();
        assert!(found.len() < tries, "every one was written");
    }
    assert_eq!(counted, tries);
}

#[test]
fn s17_the_log_is_whole_after_kills_and_any_row_that_is_changed_is_found() {
    let mut plane = Plane::start();
    let body = json!({"customerId": plane.customer}).to_string();
    for _ in 0..4 {
        let text = request("POST", "/v1/cards", &bearer(&plane.owner), &body);
        let mut stream = TcpStream::connect(plane.listen()).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        plane.kill();
        plane.restart();
        plane.card(&json!({}));
    }
    let cards = plane.get("/v1/cards?limit=200")["data"]
        .as_array()
        .unwrap()
        .len();
    let made = entries(&plane);
    let made = made.iter().filter(|it| it["action"] == "POST /v1/cards");
    assert_eq!(
        made.count(),
        cards,
        "an entry for each card, and none without one"
    );
    // The end of a process signs what it wrote.
    assert!(plane.stop().success());
    let (status, told) = verify(&plane, &[]);
    assert_eq!(status, Some(0), "{told}");
    assert!(told.ends_with("ok\n"), "{told}");
    let lines = entries(&plane).len();
    assert!(told.contains(&format!("covered      {lines}\n")), "{told}");
    let exported = command(&plane, &["export"]).1;
    plane.home.write("export.jsonl", &exported);
    let file = plane.home.path("export.jsonl").display().to_string();
    let of_file = verify(&plane, &["--from", &file]);
    assert_eq!(of_file, (Some(0), told));
    for (change, expected) in [
        (
            "UPDATE audit SET entry = REPLACE(entry, '201', '200') WHERE seq = 3",
            "hash of entry 3",
        ),
        ("UPDATE audit SET mode = 'live' WHERE seq = 2", "entry 2"),
        (
            "DELETE FROM audit WHERE seq = 2",
            "entry 3 stands where 2 belongs",
        ),
        ("DELETE FROM audit WHERE seq > 2", "stands behind 2"),
        (
            "DELETE FROM audit WHERE seq > 2; DELETE FROM audit_checkpoints",
            "ends at entry 2",
        ),
        ("DELETE FROM audit_checkpoints", "its checkpoints at 0"),
    ] {
        let restore = plane.database.change(&plane.home.data_dir(), change);
        let (status, told) = verify(&plane, &[]);
        assert_eq!(status, Some(4), "{change}: {told}");
        assert!(told.contains(expected), "{change}: {told}");
        plane.database.restore_rows(&plane.home.data_dir(), restore);
        assert_eq!(verify(&plane, &[]).0, Some(0), "{change}");
    }
    let witness = plane.home.data_dir().join("control/audit.checkpoints");
    assert!(!fs::read_to_string(witness).unwrap().is_empty());
    plane.restart();
    assert_eq!(
        value(&plane.ask(&plane.owner, "GET", "/v1/audit", &Value::Null))["data"][0]["entry"]["seq"],
        1
    );
}
