//! Waiting for a human in the protocol's own ways (behaviour 7.1). Clients that others wrote wait in
//! tests/interop.

use serde_json::{Value, json};

use crate::mcp::{call, message, post, told, tool_wish};
use crate::plane::{Plane, bearer, value};
use crate::purchases::{Buyer, act, buyer};
use crate::webhooks::plane as plane_with;

const TASKS: &str = "io.modelcontextprotocol/tasks";
/// A client that did not say that it knows what it asks for.
const CAPABILITY_MISSING: i64 = -32_021;
const INVALID: i64 = -32_602;

fn knows_tasks() -> Value {
    json!({"extensions": {TASKS: {}}, "elicitation": {"url": {}}})
}

fn has_a_user() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}})
}

/// What the door answers in the newer revision to a client that is capable of this.
fn answer(plane: &Plane, key: &str, can: &Value, method: &str, params: Value) -> Value {
    answer_in("2026-07-28", plane, key, (can, method, params))
}

fn answer_in(
    revision: &str,
    plane: &Plane,
    key: &str,
    (can, method, mut params): (&Value, &str, Value),
) -> Value {
    let named = ["name", "taskId"]
        .iter()
        .find_map(|it| params[*it].as_str());
    let name = named.map_or_else(String::new, |it| format!("mcp-name: {it}\r\n"));
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": revision,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": can,
    });
    let headers = format!(
        "{}mcp-protocol-version: {revision}\r\nmcp-method: {method}\r\n{name}",
        bearer(key)
    );
    value(&post(
        plane,
        "localhost",
        &headers,
        &message(method, &params),
    ))
}

fn asks(plane: &Plane, buyer: &Buyer, can: &Value, more: &Value) -> Value {
    let mut params = json!({"name": "request_purchase", "arguments": tool_wish(&json!({}))});
    let more = more.as_object().unwrap().clone();
    params.as_object_mut().unwrap().extend(more);
    let answer = answer(plane, &buyer.key, can, "tools/call", params);
    answer["result"].clone()
}

pub(crate) fn task(plane: &Plane, buyer: &Buyer, method: &str, id: &Value) -> Value {
    let params = json!({"taskId": id, "inputResponses": {}});
    answer(plane, &buyer.key, &knows_tasks(), method, params)
}

fn looks(plane: &Plane, buyer: &Buyer, id: &Value) -> Value {
    let answer = task(plane, buyer, "tasks/get", id);
    assert_eq!(answer["result"]["taskId"], *id, "{answer}");
    answer["result"].clone()
}

fn error(answer: &Value) -> i64 {
    answer["error"]["code"].as_i64().unwrap_or_default()
}

#[test]
fn what_waits_is_a_task_to_a_client_that_knows_tasks() {
    let mut plane = Plane::start();
    let buyer = buyer(&plane, &json!({}));
    let can = knows_tasks();
    let server = answer(&plane, &buyer.key, &can, "server/discover", json!({}));
    let announced = &server["result"]["capabilities"]["extensions"][TASKS];
    assert_eq!(*announced, json!({}), "{server}");
    let begun = asks(&plane, &buyer, &can, &json!({}));
    assert_eq!(
        (&begun["resultType"], &begun["status"], &begun["ttlMs"]),
        (&json!("task"), &json!("working"), &Value::Null),
        "{begun}"
    );
    let id = begun["taskId"].clone();
    // The same request again is the same task, to whoever knows tasks.
    assert_eq!(asks(&plane, &buyer, &can, &json!({}))["taskId"], id);
    let plain = asks(&plane, &buyer, &json!({}), &json!({}));
    let waits = &plain["structuredContent"];
    assert_eq!(
        (&waits["status"], &waits["request_id"]),
        (&json!("pending_review"), &id)
    );
    let looked = looks(&plane, &buyer, &id);
    assert_eq!(
        (
            &looked["status"],
            &looked["result"],
            &looked["statusMessage"]
        ),
        (&json!("working"), &Value::Null, &waits["message"])
    );
    // Nothing is kept of it but the request.
    plane.restart();
    assert_eq!(looks(&plane, &buyer, &id), looked);
    act(&plane, &id, "approve", &Value::Null);
    let done = looks(&plane, &buyer, &id);
    assert_eq!(
        (&done["status"], &done["resultType"]),
        (&json!("completed"), &json!("complete"))
    );
    let outcome = &done["result"]["structuredContent"];
    assert_eq!(outcome["status"], "approved", "{done}");
    assert!(outcome["virtual_card"]["card_id"].is_string(), "{done}");
    // It is what the call answers from now on, to everybody.
    for can in [&can, &json!({})] {
        let again = asks(&plane, &buyer, can, &json!({}));
        assert_eq!(again["structuredContent"], *outcome, "{again}");
        assert_eq!(again, done["result"]);
    }
}

#[test]
fn a_task_is_its_agents_alone_and_nobodys_who_does_not_know_tasks() {
    let plane = Plane::start();
    let own = buyer(&plane, &json!({}));
    let other = buyer(&plane, &json!({}));
    let id = asks(&plane, &own, &knows_tasks(), &json!({}))["taskId"].clone();
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        for unknown in [&json!("preq_1"), &json!("no id"), &id] {
            let refused = task(&plane, &other, method, unknown);
            assert_eq!(error(&refused), INVALID, "{method} {refused}");
        }
        let params = json!({"taskId": id, "inputResponses": {}});
        let refused = answer(&plane, &own.key, &has_a_user(), method, params);
        assert_eq!(error(&refused), CAPABILITY_MISSING, "{method} {refused}");
    }
    assert_eq!(looks(&plane, &own, &id)["status"], "working");
    // No task asks for anything, so that telling it something changes nothing.
    let told = task(&plane, &own, "tasks/update", &id);
    assert_eq!(told["result"]["resultType"], "complete", "{told}");
    assert_eq!(looks(&plane, &own, &id)["status"], "working");
    act(&plane, &id, "deny", &json!({"reason": "No"}));
    let denied = looks(&plane, &own, &id);
    assert_eq!(denied["status"], "completed");
    let outcome = &denied["result"]["structuredContent"];
    assert_eq!(
        (&outcome["status"], &outcome["message"]),
        (&json!("denied"), &json!("No"))
    );
}

#[test]
fn a_task_that_is_cancelled_gives_the_request_up_unless_it_is_decided() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({}));
    let wish = |amount: &str| json!({"arguments": tool_wish(&json!({"amount": amount}))});
    let id = asks(&plane, &buyer, &knows_tasks(), &wish("12.00"))["taskId"].clone();
    let cancelled = task(&plane, &buyer, "tasks/cancel", &id);
    assert_eq!(cancelled["result"]["resultType"], "complete", "{cancelled}");
    assert_eq!(looks(&plane, &buyer, &id)["status"], "cancelled");
    let seen = buyer.sees(&plane, &id);
    assert_eq!(
        (&seen["status"], &seen["reason"], &seen["virtualCard"]),
        (&json!("denied"), &json!("given_up_by_agent"), &Value::Null)
    );
    // Whoever comes later with a word for it gets no card made.
    assert_eq!(act(&plane, &id, "approve", &Value::Null), seen);
    let id = asks(&plane, &buyer, &knows_tasks(), &wish("13.00"))["taskId"].clone();
    let approved = act(&plane, &id, "approve", &Value::Null);
    task(&plane, &buyer, "tasks/cancel", &id);
    assert_eq!(looks(&plane, &buyer, &id)["status"], "completed");
    assert_eq!(buyer.sees(&plane, &id)["status"], approved["status"]);
}

#[test]
fn a_client_with_a_user_sends_him_to_the_review_and_calls_again() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({}));
    let can = has_a_user();
    let asked = asks(&plane, &buyer, &can, &json!({}));
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let id = asked["requestState"].clone();
    let review = &asked["inputRequests"]["review"];
    let page = format!("http://{}/reviews/{}", plane.listen(), id.as_str().unwrap());
    assert_eq!(
        (
            &review["method"],
            &review["params"]["mode"],
            &review["params"]["url"]
        ),
        (&json!("elicitation/create"), &json!("url"), &json!(page)),
        "{asked}"
    );
    let said = review["params"]["message"].as_str().unwrap();
    assert!(!said.contains("A thing"), "an agent's words: {said}");
    // He may say what he likes: nobody has decided yet.
    let back = |state: &Value| json!({"requestState": state, "inputResponses": {"review": {"action": "accept"}}});
    let waits = asks(&plane, &buyer, &can, &back(&id));
    assert_eq!(
        waits["structuredContent"]["status"], "pending_review",
        "{waits}"
    );
    act(&plane, &id, "approve", &Value::Null);
    let bought = asks(&plane, &buyer, &can, &back(&id));
    let outcome = &bought["structuredContent"];
    assert_eq!(
        (&outcome["status"], &outcome["request_id"]),
        (&json!("approved"), &id)
    );
    assert_eq!(
        plane.get("/v1/purchase-requests")["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let other = crate::purchases::buyer(&plane, &json!({}));
    let refused = asks(&plane, &other, &can, &back(&id));
    assert_eq!(refused["isError"], true, "{refused}");
    let text = refused["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("not_found"), "{text}");
    assert!(text.find("virtual_card").is_none(), "{text}");
}

#[test]
fn a_client_that_can_do_neither_asks_check_status() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({}));
    for can in [
        json!({}),
        json!({"elicitation": {}}),
        json!({"elicitation": {"form": {}}}),
    ] {
        let answer = asks(&plane, &buyer, &can, &json!({}));
        assert_eq!(
            answer["structuredContent"]["status"], "pending_review",
            "{can} {answer}"
        );
    }
    for can in [knows_tasks(), has_a_user()] {
        let params = json!({"name": "request_purchase", "arguments": tool_wish(&json!({}))});
        let called = (&can, "tools/call", params);
        let older = answer_in("2025-11-25", &plane, &buyer.key, called);
        let told = &older["result"]["structuredContent"];
        assert_eq!(told["status"], "pending_review", "{older}");
    }
    // In the older revision a client says what it can do once, and nobody here remembers it.
    let older = call(
        &plane,
        &buyer.key,
        "request_purchase",
        &tool_wish(&json!({})),
    );
    let id = &older["structuredContent"]["request_id"];
    let status = told(
        &plane,
        &buyer.key,
        "check_status",
        &json!({"request_id": id}),
    );
    assert_eq!(status["status"], "pending_review");
}

/// Behaviour 5.4: an agent buries nobody in notices by giving up what it has asked for.
#[test]
fn what_an_agent_has_given_up_counts_as_waiting_for_an_hour() {
    let plane = plane_with(
        "[purchases]\nreviews_waiting_max = 3\n",
        &["--sandbox-clock"],
    );
    let buyer = buyer(&plane, &json!({}));
    let ask = |amount: u32| {
        let wish = tool_wish(&json!({"amount": amount}));
        asks(&plane, &buyer, &knows_tasks(), &json!({"arguments": wish}))
    };
    for amount in 1..=3 {
        let begun = ask(amount);
        assert_eq!(begun["status"], "working", "{begun}");
        task(&plane, &buyer, "tasks/cancel", &begun["taskId"]);
    }
    let refused = ask(4);
    let text = refused["content"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("too_many_reviews"), "{refused}");
    plane.advance(3_601);
    assert_eq!(ask(4)["status"], "working");
}
