//! Putting other policies in force while the process runs (behaviour 3.4, 11.3, 11.5).

use serde_json::{Value, json};

use crate::router::Ops;
use crate::store::{Ask, RULES};

/// The rules, changed.
fn rules(change: impl FnOnce(&mut Value)) -> String {
    let mut rules: Value = serde_json::from_str(RULES).unwrap();
    change(&mut rules);
    rules.to_string()
}

fn reload(ops: &Ops, text: &str, path: &str) -> (u16, Value) {
    std::fs::write(ops.rules_path(), text).unwrap();
    let reply = ops.post(path);
    (reply.status, reply.json())
}

fn warnings(ops: &Ops) -> Value {
    let ready = ops.get("/readyz");
    assert_eq!(ready.status, 200, "a warning is no reason: {}", ready.body);
    ready.json()["warnings"].clone()
}

#[test]
fn what_the_file_says_is_in_force_under_the_next_version() {
    let ops = Ops::ready();
    let per_auth =
        |ops: &Ops| ops.get("/admin/cards/crd_1").json()["policy"]["perAuth"]["value"].clone();
    assert_eq!(per_auth(&ops), 4_000);
    let tighter = rules(|rules| rules["cards"][0]["policy"]["limits"]["perAuth"] = json!(3_000));
    assert_eq!(
        reload(&ops, &tighter, "/admin/reload"),
        (200, json!({"version": 2}))
    );
    assert_eq!(per_auth(&ops), 3_000);
    assert_eq!(ops.get("/readyz").json()["snapshotVersion"], 2);
    // The same once more, the same in other words, and what was before.
    assert_eq!(
        reload(&ops, &tighter, "/admin/reload"),
        (200, json!({"version": 2}))
    );
    let spaced = tighter.replace(',', " ,\n");
    assert_eq!(
        reload(&ops, &spaced, "/admin/reload"),
        (200, json!({"version": 2}))
    );
    assert_eq!(
        reload(&ops, RULES, "/admin/reload"),
        (200, json!({"version": 3}))
    );
    assert_eq!(per_auth(&ops), 4_000);
    let metrics = ops.get("/metrics").body;
    for line in [
        "countersign_snapshot_version 3",
        "countersign_snapshot_waiting 0",
        "countersign_snapshot_reloads_total{outcome=\"published\"} 2",
        "countersign_snapshot_reloads_total{outcome=\"unchanged\"} 2",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn json_lines_are_taken_too() {
    let ops = Ops::ready();
    let lines = "{\"customer\":{\"id\":\"cus_1\"}}\n{\"customer\":{\"id\":\"cus_2\"}}\n\
        {\"card\":{\"id\":\"crd_1\",\"connection\":\"acme\",\"issuerToken\":\"tok_1\",\"customerId\":\"cus_1\"}}\n\
        {\"card\":{\"id\":\"crd_2\",\"connection\":\"beta\",\"issuerToken\":\"tok_2\",\"customerId\":\"cus_2\"}}\n";
    assert_eq!(
        reload(&ops, lines, "/admin/reload"),
        (200, json!({"version": 2}))
    );
    assert_eq!(
        ops.get("/admin/cards/crd_1").json()["policy"]["perAuth"],
        Value::Null
    );
    let cut = lines.replace("\"customerId\":\"cus_2\"}}", "\"customerId\":");
    let (status, body) = reload(&ops, &cut, "/admin/reload");
    assert_eq!((status, &body["errors"][0]["line"]), (422, &json!(4)));
}

#[test]
fn f1_a_file_that_is_wrong_is_refused_whole_and_said_everywhere() {
    let ops = Ops::ready();
    let path = ops.rules_path().display().to_string();
    let wrong = RULES
        .replace("\"perDay\": 5000", "\"perDay\": 50.5")
        .replace("\"usage\": \"single\"", "\"usage\": \"twice\"");
    let (status, body) = reload(&ops, &wrong, "/admin/reload");
    assert_eq!(status, 422, "{body}");
    let errors = body["errors"].as_array().unwrap();
    let places: Vec<_> = errors
        .iter()
        .map(|it| (&it["file"], &it["line"], &it["field"]))
        .collect();
    let expected = [
        (
            &json!(path),
            &json!(11),
            &json!("cards[0].policy.limits.perDay"),
        ),
        (&json!(path), &json!(13), &json!("cards[2].usage")),
    ];
    assert_eq!(places, expected);
    assert!(
        errors[0]["message"]
            .as_str()
            .unwrap()
            .contains("minor units")
    );
    assert_eq!(errors[0].as_object().unwrap().len(), 4, "{body}");
    assert_eq!(body["more"], 0);
    assert_eq!(warnings(&ops), json!(["snapshot_refused"]));
    assert_eq!(ops.get("/readyz").json()["snapshotVersion"], 1);
    assert!(
        ops.get("/metrics")
            .body
            .contains("countersign_snapshot_waiting 1")
    );

    // Of many errors the first are told and the others counted.
    let many = "{\"customer\": {}}\n".repeat(50);
    let (_, body) = reload(&ops, &many, "/admin/reload");
    let told = body["errors"].as_array().unwrap().len();
    assert_eq!((told, &body["more"]), (20, &json!(30)));

    let cases = [
        ("", "is empty"),
        ("{", "not JSON"),
        ("[]", "must be an object"),
    ];
    for (text, message) in cases {
        let (status, body) = reload(&ops, text, "/admin/reload?confirm=true");
        let said = body["errors"][0]["message"].as_str().unwrap();
        assert!(
            status == 422 && said.contains(message),
            "{text}: {status} {body}"
        );
    }
    assert_eq!(
        ops.get("/admin/cards/crd_1").json()["policy"]["perAuth"]["value"],
        4_000
    );
}

/// What an operator canceled, and what was spent, is the ledger's under the card's key and the customer's.
#[test]
fn what_was_used_is_not_begun_anew_under_another_name() {
    let ops = Ops::ready();
    let refused = |what: &str, text: &str, field: &str| {
        let (status, body) = reload(&ops, text, "/admin/reload?confirm=true");
        assert_eq!(status, 422, "{what}: {body}");
        assert_eq!(body["errors"][0]["field"], field, "{what}: {body}");
    };
    let token = |card: usize, token: &'static str| {
        rules(move |rules| rules["cards"][card]["issuerToken"] = json!(token))
    };
    let in_force = |text: &str| {
        let (status, body) = reload(&ops, text, "/admin/reload?confirm=true");
        assert_eq!(status, 200, "{body}");
    };
    // Of a card that nobody has used yet a wrong token may be put right, and a wrong currency.
    in_force(&token(1, "tok_typed"));
    in_force(&rules(|rules| {
        rules["customers"][1]["currency"] = json!("EUR")
    }));
    in_force(RULES);
    assert_eq!(ops.post("/admin/cards/crd_2/cancel").status, 200);
    refused(
        "another token",
        &token(1, "tok_new"),
        "cards[1].issuerToken",
    );
    let elsewhere = rules(|rules| rules["cards"][1]["connection"] = json!("acme"));
    refused("another connection", &elsewhere, "cards[1].issuerToken");
    let swapped = rules(|rules| {
        rules["cards"][1]["connection"] = json!("acme");
        rules["cards"][1]["issuerToken"] = json!("tok_3");
        rules["cards"][2]["issuerToken"] = json!("tok_9");
    });
    refused("another card's", &swapped, "cards[1].issuerToken");
    let yen = rules(|rules| rules["customers"][1]["currency"] = json!("JPY"));
    refused("another currency", &yen, "customers[1].currency");
    // Nor once it was away.
    in_force(&rules(|rules| {
        drop(rules["cards"].as_array_mut().unwrap().remove(1))
    }));
    refused(
        "back under another token",
        &token(1, "tok_new"),
        "cards[1].issuerToken",
    );
    in_force(RULES);
    assert_eq!(ops.get("/admin/cards/crd_2").json()["status"], "canceled");
}

#[test]
fn f3_a_file_that_is_gone_is_said_and_what_is_in_force_stays() {
    let ops = Ops::ready();
    let path = ops.rules_path().display().to_string();
    std::fs::remove_file(ops.rules_path()).unwrap();
    let gone = ops.post("/admin/reload");
    assert_eq!(gone.status, 422);
    let error = &gone.json()["errors"][0];
    assert_eq!(
        (&error["file"], &error["line"], &error["field"]),
        (&json!(path), &Value::Null, &json!(""))
    );
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("cannot be read"),
        "{error}"
    );
    assert_eq!(warnings(&ops), json!(["snapshot_unreadable"]));

    // What is in force has not changed by any of it, and the file's return ends the warning.
    assert_eq!(
        ops.get("/admin/cards/crd_1").json()["policy"]["perAuth"]["value"],
        4_000
    );
    assert_eq!(
        reload(&ops, RULES, "/admin/reload"),
        (200, json!({"version": 1}))
    );
    assert_eq!(warnings(&ops), json!([]));
}

#[test]
fn f2_a_file_that_would_decline_many_cards_waits_for_a_humans_word() {
    let ops = Ops::ready();
    let suspended = rules(|rules| rules["customers"][0]["status"] = json!("suspended"));
    let (status, body) = reload(&ops, &suspended, "/admin/reload");
    assert_eq!(status, 409, "{body}");
    assert_eq!(body["code"], "confirmation_required");
    let detail = body["detail"].as_str().unwrap();
    assert!(
        detail.contains("1 of 2 active cards would newly decline"),
        "{detail}"
    );
    assert!(detail.contains("/admin/reload?confirm=true"), "{detail}");
    assert_eq!(warnings(&ops), json!(["snapshot_unconfirmed"]));
    let empty = r#"{"customers": [], "agents": [], "cards": []}"#;
    let (status, body) = reload(&ops, empty, "/admin/reload?confirm=false");
    assert_eq!(status, 409, "{body}");
    assert_eq!(ops.get("/readyz").json()["snapshotVersion"], 1);

    assert_eq!(
        reload(&ops, &suspended, "/admin/reload?confirm=true"),
        (200, json!({"version": 2}))
    );
    assert_eq!(
        ops.get("/admin/cards/crd_1").json()["customerStatus"],
        "suspended"
    );
    assert_eq!(warnings(&ops), json!([]));
    // What declines already declines newly no more, and nobody minds a card that may be used again.
    let unlocked = rules(|rules| rules["cards"][2]["status"] = json!("active"));
    assert_eq!(
        reload(&ops, &unlocked, "/admin/reload"),
        (200, json!({"version": 3}))
    );
    assert_eq!(
        reload(&ops, empty, "/admin/reload?confirm=true"),
        (200, json!({"version": 4}))
    );
}

#[test]
fn a_card_does_not_change_its_customer_by_a_reload() {
    let ops = Ops::ready();
    ops.authorize(Ask { ..ops.ask() });
    let moved = rules(|rules| {
        rules["cards"][0]["customerId"] = json!("cus_2");
        rules["cards"][0]["agentId"] = Value::Null;
    });
    let refused = |text: &str| {
        let (status, body) = reload(&ops, text, "/admin/reload?confirm=true");
        assert_eq!(status, 422, "{body}");
        assert_eq!(body["errors"].as_array().unwrap().len(), 1, "{body}");
        let error = &body["errors"][0];
        assert_eq!(error["field"], "cards[0].customerId");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("cannot change its customer"),
            "{error}"
        );
    };
    // While the snapshot in force has it, and after it has left.
    refused(&moved);
    let left = rules(|rules| drop(rules["cards"].as_array_mut().unwrap().remove(0)));
    assert_eq!(reload(&ops, &left, "/admin/reload?confirm=true").0, 200);
    refused(&moved);
    // Back with its own customer it is the card that it was.
    assert_eq!(reload(&ops, RULES, "/admin/reload").0, 200);
    assert_eq!(
        ops.get("/admin/cards/crd_1").json()["limits"][0]["spent"],
        1_000
    );
}

#[test]
fn what_a_reload_does_not_take_is_refused_by_its_name() {
    let ops = Ops::ready();
    for path in [
        "/admin/reload?confirm=yes",
        "/admin/reload?confirm=",
        "/admin/reload?force=true",
    ] {
        let reply = ops.post(path);
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (400, &json!("invalid_parameter")),
            "{path}"
        );
    }
    assert_eq!(ops.get("/admin/reload").status, 405);
    // A page that an operator looks at must not be able to do it.
    for header in [
        "origin: http://evil.example\r\n",
        "sec-fetch-site: cross-site\r\n",
    ] {
        let reply = ops.request_with("POST", "/admin/reload", header);
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (403, &json!("from_a_page"))
        );
        assert_eq!(ops.request_with("GET", "/readyz", header).status, 200);
    }
}
