//! Locking, freezing, canceling cards; pausing agents; cards that have left the snapshot
//! (behaviour 2.14 j, 11.3, 11.5).

use countersign::domain::decision::{Decision, DeclineReason};
use serde_json::{Value, json};

use crate::router::Ops;
use crate::store::{Ask, RULES};

/// What an authorization on this card is told.
fn ask(ops: &Ops, card: &str, name: &str) -> Decision {
    let snapshot = std::sync::Arc::clone(&ops.snapshots.load());
    let ask = Ask {
        card,
        authorization: name,
        minor: 100,
        ..ops.ask()
    };
    ops.store.authorize(&snapshot, ask).decision
}

fn set(ops: &Ops, path: &str) -> Value {
    let reply = ops.post(path);
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    reply.json()
}

fn card(id: &str, status: (&str, &str), frozen: Option<&str>, changed: bool) -> Value {
    let (status, source) = status;
    json!({"id": id, "status": status, "statusSource": source, "frozen": frozen.is_some(),
           "frozenSource": frozen, "changed": changed})
}

fn declined(reason: DeclineReason) -> Decision {
    Decision::Decline(reason)
}

#[test]
fn a_card_is_locked_and_unlocked_frozen_and_unfrozen_and_canceled_for_ever() {
    let ops = Ops::ready();
    let active = ("active", "snapshot");
    let locked = ("locked", "ledger");
    // Never used before, and nothing to change: nothing changes.
    assert_eq!(
        set(&ops, "/admin/cards/crd_1/unlock"),
        card("crd_1", active, None, false)
    );
    assert_eq!(ask(&ops, "crd_1", "a"), Decision::Approve);
    assert_eq!(
        set(&ops, "/admin/cards/crd_1/lock"),
        card("crd_1", locked, None, true)
    );
    assert_eq!(
        set(&ops, "/admin/cards/crd_1/lock"),
        card("crd_1", locked, None, false)
    );
    assert_eq!(ask(&ops, "crd_1", "b"), declined(DeclineReason::CardLocked));
    assert_eq!(
        set(&ops, "/admin/cards/crd_1/freeze"),
        card("crd_1", locked, Some("ledger"), true)
    );
    assert_eq!(
        set(&ops, "/admin/cards/crd_1/unlock"),
        card("crd_1", active, Some("ledger"), true)
    );
    assert_eq!(
        ask(&ops, "crd_1", "c"),
        declined(DeclineReason::CardFrozenByRisk)
    );
    assert_eq!(
        set(&ops, "/admin/cards/crd_1/unfreeze"),
        card("crd_1", active, None, true)
    );
    assert_eq!(ask(&ops, "crd_1", "d"), Decision::Approve);

    let canceled = ("canceled", "ledger");
    assert_eq!(
        set(&ops, "/admin/cards/crd_1/cancel"),
        card("crd_1", canceled, None, true)
    );
    assert_eq!(
        set(&ops, "/admin/cards/crd_1/cancel"),
        card("crd_1", canceled, None, false)
    );
    for action in ["lock", "unlock", "freeze", "unfreeze"] {
        let reply = ops.post(&format!("/admin/cards/crd_1/{action}"));
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (409, &json!("card_canceled")),
            "{action}"
        );
    }
    assert_eq!(
        ask(&ops, "crd_1", "e"),
        declined(DeclineReason::CardCanceled)
    );
    // What was approved before stays on hold, and its redelivery keeps its answer.
    assert_eq!(ask(&ops, "crd_1", "a"), Decision::Approve);
    let shown = ops.get("/admin/cards/crd_1").json();
    assert_eq!(
        (&shown["status"], &shown["holds"].as_array().unwrap().len()),
        (&json!("canceled"), &2)
    );
}

#[test]
fn a_card_that_was_never_used_can_be_locked_before_it_is() {
    let ops = Ops::ready();
    assert_eq!(set(&ops, "/admin/cards/crd_2/lock")["changed"], true);
    assert_eq!(ask(&ops, "crd_2", "a"), declined(DeclineReason::CardLocked));
    assert_eq!(
        ops.get("/admin/cards/crd_2").json()["statusSource"],
        "ledger"
    );
}

#[test]
fn the_stricter_of_the_snapshots_and_the_operators_word_is_in_force() {
    let ops = Ops::ready();
    // The snapshot has it locked: unlocking here does not outrank that, and the answer says so.
    let by_snapshot = ("locked", "snapshot");
    assert_eq!(
        set(&ops, "/admin/cards/crd_3/unlock"),
        card("crd_3", by_snapshot, None, false)
    );
    assert_eq!(
        set(&ops, "/admin/cards/crd_3/lock"),
        card("crd_3", by_snapshot, None, true)
    );
    assert_eq!(ask(&ops, "crd_3", "a"), declined(DeclineReason::CardLocked));
    let unlocked = RULES.replace(r#""status": "locked""#, r#""status": "active""#);
    std::fs::write(ops.rules_path(), unlocked).unwrap();
    assert_eq!(ops.post("/admin/reload").status, 200);
    assert_eq!(ask(&ops, "crd_3", "b"), declined(DeclineReason::CardLocked));
    let active = ("active", "snapshot");
    assert_eq!(
        set(&ops, "/admin/cards/crd_3/unlock"),
        card("crd_3", active, None, true)
    );
    // It is locked to a merchant, which is another matter.
    assert_eq!(
        ask(&ops, "crd_3", "c"),
        declined(DeclineReason::MerchantLockMismatch)
    );

    let canceled = RULES.replace(
        r#""status": "locked""#,
        r#""status": "canceled", "frozen": true"#,
    );
    std::fs::write(ops.rules_path(), canceled).unwrap();
    assert_eq!(ops.post("/admin/reload?confirm=true").status, 200);
    assert_eq!(ops.post("/admin/cards/crd_3/unlock").status, 409);
    let cancel = set(&ops, "/admin/cards/crd_3/cancel");
    assert_eq!(
        cancel,
        card("crd_3", ("canceled", "snapshot"), Some("snapshot"), true)
    );
}

#[test]
fn an_agent_is_paused_and_resumed_with_all_its_cards() {
    let ops = Ops::ready();
    let agent = |status: (&str, &str), changed: bool| {
        let (status, source) = status;
        json!({"id": "agt_1", "status": status, "statusSource": source, "changed": changed})
    };
    assert_eq!(
        set(&ops, "/admin/agents/agt_1/pause"),
        agent(("paused", "ledger"), true)
    );
    assert_eq!(
        set(&ops, "/admin/agents/agt_1/pause"),
        agent(("paused", "ledger"), false)
    );
    assert_eq!(
        ask(&ops, "crd_1", "a"),
        declined(DeclineReason::AgentSuspended)
    );
    assert_eq!(ask(&ops, "crd_2", "b"), Decision::Approve);
    assert_eq!(
        ops.get("/admin/cards/crd_1").json()["agentStatus"],
        "paused"
    );
    assert_eq!(
        set(&ops, "/admin/agents/agt_1/resume"),
        agent(("active", "snapshot"), true)
    );
    assert_eq!(ask(&ops, "crd_1", "c"), Decision::Approve);

    let disabled = RULES.replace(
        r#""id": "agt_1","#,
        r#""id": "agt_1", "status": "disabled","#,
    );
    std::fs::write(ops.rules_path(), disabled).unwrap();
    assert_eq!(ops.post("/admin/reload?confirm=true").status, 200);
    assert_eq!(
        set(&ops, "/admin/agents/agt_1/resume"),
        agent(("disabled", "snapshot"), false)
    );
    assert_eq!(
        set(&ops, "/admin/agents/agt_1/pause"),
        agent(("disabled", "snapshot"), true)
    );
    assert_eq!(
        ask(&ops, "crd_1", "d"),
        declined(DeclineReason::AgentSuspended)
    );
}

#[test]
fn what_nobody_knows_is_not_found_and_other_methods_are_not_taken() {
    let ops = Ops::ready();
    for path in [
        "/admin/cards/crd_9/lock",
        "/admin/cards/agt_1/lock",
        "/admin/agents/agt_9/pause",
        "/admin/agents/crd_1/pause",
        "/admin/cards/crd_1/explode",
        "/admin/agents/agt_1/cancel",
    ] {
        let reply = ops.post(path);
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (404, &json!("not_found")),
            "{path}"
        );
    }
    for (method, path) in [
        ("GET", "/admin/cards/crd_1/lock"),
        ("PUT", "/admin/agents/agt_1/pause"),
        ("POST", "/admin/cards/crd_1"),
    ] {
        let reply = ops.request(method, path);
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (405, &json!("method_not_allowed")),
            "{path}"
        );
    }
    assert_eq!(ops.post("/admin/cards/crd_1/lock?hard=true").status, 400);
    let origin = "origin: http://evil.example\r\n";
    assert_eq!(
        ops.request_with("POST", "/admin/cards/crd_1/cancel", origin)
            .status,
        403
    );
    assert_eq!(ops.get("/admin/cards/crd_1").json()["status"], "active");
}

/// What left the snapshot is still there, can be looked at, and can be locked before it returns.
#[test]
#[expect(clippy::too_many_lines, reason = "one answer in full")]
fn a_card_that_left_the_snapshot_is_shown_and_changed_by_what_the_ledger_knows() {
    let ops = Ops::ready();
    let at = ops.clock().now();
    let position = ops.authorize(Ask {
        at,
        minor: 1_500,
        ..ops.ask()
    });
    assert!(position > 0);
    let mut rules: Value = serde_json::from_str(RULES).unwrap();
    rules["cards"].as_array_mut().unwrap().remove(0);
    rules["agents"] = json!([]);
    std::fs::write(ops.rules_path(), rules.to_string()).unwrap();
    assert_eq!(ops.post("/admin/reload?confirm=true").status, 200);

    let mut shown = ops.get("/admin/cards/crd_1").json();
    let limits = shown["limits"].take();
    let counts = shown["counts"].take();
    let expected = json!({
        "id": "crd_1",
        "connection": "acme",
        "inSnapshot": false,
        "customerId": "cus_1",
        "customerStatus": "active",
        "agentId": null,
        "agentStatus": null,
        "usage": null,
        "status": "active",
        "statusSource": "ledger",
        "frozen": false,
        "currency": "USD",
        "policy": null,
        "limits": null,
        "counts": null,
        "holds": [{"authorization": "auth_1", "amount": 1_500, "at": at.rfc3339().to_string(), "steps": 1}],
        "holdsComplete": true,
        "merchantLock": {
            "source": "first_use", "acquirerId": "acq_1", "acceptorId": "shop_1",
            "descriptor": "COFFEE SHOP", "mcc": "5812", "country": "IT",
        },
        "singleUseConsumedAt": null,
    });
    assert_eq!(shown, expected);
    let used = |it: &Value| {
        let field = it["field"].as_str().unwrap().to_owned();
        (field, it["limit"].is_null(), it["used"].as_u64().unwrap())
    };
    let used: Vec<_> = counts.as_array().unwrap().iter().map(used).collect();
    assert_eq!(
        used[2],
        ("limits.countTotal".to_owned(), true, 1),
        "{used:?}"
    );
    assert_eq!(used.len(), 3);
    let limits = limits.as_array().unwrap();
    let fields: Vec<_> = limits
        .iter()
        .map(|it| it["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        [
            "limits.perDay",
            "limits.perWeek",
            "limits.perMonth",
            "limits.total"
        ]
    );
    for limit in limits {
        let (sums, caps) = (&limit["spent"], (&limit["limit"], &limit["remaining"]));
        assert_eq!(
            (sums, caps),
            (&json!(1_500), (&Value::Null, &Value::Null)),
            "{limit}"
        );
    }

    assert_eq!(
        set(&ops, "/admin/cards/crd_1/lock"),
        card("crd_1", ("locked", "ledger"), None, true)
    );
    assert_eq!(set(&ops, "/admin/agents/agt_1/pause")["changed"], true);
    std::fs::write(ops.rules_path(), RULES).unwrap();
    assert_eq!(ops.post("/admin/reload").status, 200);
    assert_eq!(ask(&ops, "crd_1", "b"), declined(DeclineReason::CardLocked));
    assert_eq!(set(&ops, "/admin/cards/crd_1/unlock")["changed"], true);
    assert_eq!(
        ask(&ops, "crd_1", "c"),
        declined(DeclineReason::AgentSuspended)
    );
    // One that was never used leaves no trace.
    assert_eq!(ops.get("/admin/cards/crd_2").status, 200);
    rules["cards"] = json!([]);
    std::fs::write(ops.rules_path(), rules.to_string()).unwrap();
    assert_eq!(ops.post("/admin/reload?confirm=true").status, 200);
    assert_eq!(ops.get("/admin/cards/crd_2").status, 404);
    assert_eq!(ops.post("/admin/cards/crd_2/lock").status, 404);
}

#[test]
fn a_journal_that_takes_nothing_changes_nothing() {
    let ops = Ops::ready();
    ops.store.writer.poison();
    let reply = ops.post("/admin/cards/crd_1/lock");
    assert_eq!(
        (reply.status, &reply.json()["code"]),
        (503, &json!("ledger_unavailable"))
    );
    assert_eq!(ops.get("/admin/cards/crd_1").json()["status"], "active");
}
