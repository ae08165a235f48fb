//! The agents' door, byte by byte (behaviour 7.1). The official client speaks to it in tests/interop.

use serde_json::{Value, json};

use crate::plane::{Plane, bearer, code, value};
use crate::purchases::buyer;
use crate::server::{Client, Response};
use crate::webhooks::plane as plane_with;

const PATH: &str = "/api/mcp";
const ACCEPTS: &str = "accept: application/json, text/event-stream\r\n";

/// One message, with these headers beside the usual ones.
pub(crate) fn post(plane: &Plane, host: &str, headers: &str, message: &Value) -> Response {
    let body = message.to_string();
    let length = body.len();
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{ACCEPTS}{headers}\
         content-length: {length}\r\n\r\n{body}"
    );
    Client::connect(plane.listen()).ask(request.as_bytes())
}

pub(crate) fn message(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// What the door answers to a message in the older revision.
pub(crate) fn result(plane: &Plane, key: &str, method: &str, params: &Value) -> Value {
    let headers = format!("{}mcp-protocol-version: 2025-11-25\r\n", bearer(key));
    let answer = post(plane, "localhost", &headers, &message(method, params));
    assert_eq!(answer.status, 200, "{}", answer.text());
    value(&answer)["result"].clone()
}

pub(crate) fn call(plane: &Plane, key: &str, tool: &str, arguments: &Value) -> Value {
    let called = json!({"name": tool, "arguments": arguments});
    result(plane, key, "tools/call", &called)
}

pub(crate) fn told(plane: &Plane, key: &str, tool: &str, arguments: &Value) -> Value {
    let answer = call(plane, key, tool, arguments);
    assert_ne!(answer["isError"], true, "{answer}");
    answer["structuredContent"].clone()
}

#[test]
fn s5_the_door_opens_to_an_agents_key_from_a_known_host_alone() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({}));
    let list = message("tools/list", &json!({}));
    let status = |host: &str, headers: &str| post(&plane, host, headers, &list).status;
    let own = bearer(&buyer.key);
    assert_eq!(status("localhost", &own), 200);
    assert_eq!(status("127.0.0.1:8701", &own), 200);
    assert_eq!(status("evil.example", &own), 403, "rebound to this machine");
    let page = format!("{own}origin: https://evil.example\r\n");
    assert_eq!(status("localhost", &page), 403);
    // A session is nobody's key.
    let session = "mcp-session-id: 00000000-0000-0000-0000-000000000000\r\n";
    for nobody in ["", session, "authorization: Bearer cs_test_nonsense\r\n"] {
        assert_eq!(status("localhost", nobody), 401, "{nobody}");
    }
    assert_eq!(
        status("localhost", &bearer(&plane.owner)),
        403,
        "agents alone"
    );
    let unknown = post(
        &plane,
        "localhost",
        &own,
        &message("tools/call", &json!({"name": "approve"})),
    );
    assert!(value(&unknown)["error"].is_object(), "{}", unknown.text());
    let large = message("tools/list", &json!({"cursor": "x".repeat(70_000)}));
    assert_eq!(post(&plane, "localhost", &own, &large).status, 413);
}

/// Behaviour 5.15, 7.1.
#[test]
fn the_tools_ask_and_look_and_nothing_else() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({}));
    let tools = result(&plane, &buyer.key, "tools/list", &json!({}));
    let tools = tools["tools"].as_array().unwrap().clone();
    let mut names: Vec<&str> = tools
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "check_status",
            "explain_decline",
            "get_spending_summary",
            "list_my_cards",
            "request_purchase"
        ]
    );
    for tool in &tools {
        let asks = tool["name"] == "request_purchase";
        assert_eq!(tool["annotations"]["readOnlyHint"], !asks, "{tool}");
        assert!(
            tool["outputSchema"].is_object()
                && tool["inputSchema"]["additionalProperties"] == false
        );
        let text = tool.to_string();
        let names_an_agent = text.contains("agent_id") || text.contains("customer_id");
        assert!(!names_an_agent, "{tool}");
    }
    // What is not in the schema is refused, and nobody else's request is there.
    let mut foreign = tool_wish(&json!({}));
    foreign["agent_id"] = json!(buyer.agent);
    assert_eq!(
        call(&plane, &buyer.key, "request_purchase", &foreign)["isError"],
        true
    );
    let unknown = call(
        &plane,
        &buyer.key,
        "check_status",
        &json!({"request_id": "preq_1"}),
    );
    assert!(
        unknown["content"][0]["text"]
            .as_str()
            .unwrap()
            .contains("not_found")
    );
}

/// Models go by these words: they change on purpose, with this file.
#[test]
fn s5_the_tools_are_told_word_by_word_as_they_are_kept() {
    const KEPT: &str = include_str!("../../fixtures/mcp/tools.json");
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({}));
    let tools = result(&plane, &buyer.key, "tools/list", &json!({}))["tools"].clone();
    let kept: Value = serde_json::from_str(KEPT).unwrap();
    let told = serde_json::to_string_pretty(&tools).unwrap();
    assert!(
        tools == kept,
        "fixtures/mcp/tools.json is not what is told:\n{told}"
    );
}

pub(crate) fn tool_wish(more: &Value) -> Value {
    let mut wish = json!({"merchant_url": "https://shop.example.com/", "amount": "12.00",
        "description": "A thing", "justification": "It is needed", "category_hint": "software"});
    wish.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    wish
}

/// Behaviour 5.3, 5.7, 5.10.
#[test]
fn what_was_asked_through_one_door_is_seen_through_the_other() {
    let plane = Plane::start();
    let rules = json!({"autoApproveBelow": 2000, "limits": {"perDay": 10000}});
    let buyer = buyer(&plane, &rules);
    let small = told(
        &plane,
        &buyer.key,
        "request_purchase",
        &tool_wish(&json!({})),
    );
    assert_eq!(small["status"], "approved", "{small}");
    let large = tool_wish(&json!({"amount": 50, "idempotency_key": "large"}));
    let waits = told(&plane, &buyer.key, "request_purchase", &large);
    assert_eq!(
        (&waits["status"], &waits["virtual_card"]),
        (&json!("pending_review"), &Value::Null)
    );
    let id = waits["request_id"].as_str().unwrap();
    let path = format!("/v1/purchase-requests/{id}/approve");
    plane.owner_asks("POST", &path, &Value::Null, 200);
    let seen = told(
        &plane,
        &buyer.key,
        "check_status",
        &json!({"request_id": id}),
    );
    assert_eq!(seen["status"], "approved");
    // What is asked for most stands outside, too.
    let mut alike = seen.clone();
    for field in ["last4", "view_url", "card_expires_at"] {
        assert!(seen[field].is_string(), "{seen}");
        assert_eq!(seen[field], seen["virtual_card"][field], "{field}");
        alike.as_object_mut().unwrap().remove(field);
    }
    assert_eq!(
        told(&plane, &buyer.key, "request_purchase", &large),
        alike,
        "asked again"
    );
    let left = told(&plane, &buyer.key, "get_spending_summary", &json!({}));
    assert_eq!(
        (&left["daily_spent"], &left["daily_remaining"]),
        (&json!("62.00"), &json!("38.00"))
    );
    let card = seen["virtual_card"]["card_id"].as_str().unwrap();
    let cards = told(&plane, &buyer.key, "list_my_cards", &json!({}));
    assert_eq!(cards["cards"][0]["card_id"], card);
    let nothing = told(&plane, &buyer.key, "explain_decline", &json!({}));
    assert_eq!(nothing["found"], false);
    assert_ne!(plane.buy(card, 5_001), "APPROVED");
    let why = told(
        &plane,
        &buyer.key,
        "explain_decline",
        &json!({"card_id": card}),
    );
    assert_eq!(
        (&why["found"], &why["reason"]),
        (&json!(true), &json!("amount_over_per_auth"))
    );
    assert_eq!(plane.buy(card, 5_000), "APPROVED");
    // The same words over REST are the same request.
    let again = buyer.asks(
        &plane,
        &json!({"merchantUrl": "shop.example.com", "categoryHint": "software"}),
    );
    assert_eq!(again["id"], small["request_id"]);
}

/// What the door refuses to the model, in the words of its tools.
fn refused(plane: &Plane, key: &str, more: &Value) -> Value {
    let answer = call(plane, key, "request_purchase", &tool_wish(more));
    assert_eq!(answer["isError"], true, "{answer}");
    let text = answer["content"][0]["text"].as_str().unwrap();
    serde_json::from_str(text).unwrap()
}

/// Behaviour 5.1, 7.1: the names that the tool has, and no others.
#[test]
fn a_tools_mistakes_are_told_by_the_names_of_its_own_fields() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({}));
    for (field, wrong) in [
        ("merchant_url", json!("https://10.0.0.1/")),
        ("merchant_url", json!(7)),
        ("merchant_name", json!("a\tb")),
        ("category_hint", json!("x".repeat(65))),
        ("idempotency_key", json!("")),
        ("card_use", json!("often")),
    ] {
        let told = refused(&plane, &buyer.key, &json!({field: wrong}));
        assert_eq!(told["errors"][0]["field"], field, "{told}");
        assert!(!told.to_string().contains("merchantUrl"), "{told}");
    }
    let told = refused(&plane, &buyer.key, &json!({"merchantUrl": "a.example"}));
    assert_eq!(told["errors"][0]["field"], "merchantUrl", "no such field");
}

/// Behaviour 1.3, 5.1: no digit of an amount is rounded.
#[test]
fn a_tools_amount_is_what_was_written_or_refused() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({}));
    let asked = |amount: &Value| {
        let wish = tool_wish(&json!({"amount": amount}));
        told(&plane, &buyer.key, "request_purchase", &wish)["request_id"].clone()
    };
    let path = |id: Value| format!("/v1/purchase-requests/{}", id.as_str().unwrap());
    for (amount, written) in [
        (json!(12.34), "12.34"),
        (json!(15), "15.00"),
        (json!("9999999999999.99"), "9999999999999.99"),
        (json!(9_999_999_999_999.99), "9999999999999.99"),
    ] {
        assert_eq!(plane.get(&path(asked(&amount)))["amount"], written);
    }
    // 99999999999999.994 would be read as 99999999999999.99.
    for amount in [json!(99_999_999_999_999.99), json!(0.1 + 0.2)] {
        let told = refused(&plane, &buyer.key, &json!({"amount": amount}));
        assert_eq!(told["errors"][0]["field"], "amount");
        assert!(told["detail"].as_str().unwrap().contains("text"), "{told}");
    }
}

/// Behaviour 7.1: a browser lets the pages of `[mcp] origins` call, and read what they are told.
#[test]
fn a_browser_is_told_which_pages_may_call() {
    let settings = "[mcp]\norigins = [\"https://app.example.com:443\", \"http://[::1]:3000\"]\n";
    let plane = plane_with(settings, &[]);
    let buyer = buyer(&plane, &json!({}));
    let list = message("tools/list", &json!({}));
    let told = |answer: &Response, name: &str| answer.header(name).map(ToOwned::to_owned);
    let before = |page: &str| {
        let request = format!(
            "OPTIONS {PATH} HTTP/1.1\r\nhost: localhost\r\norigin: {page}\r\n\
             access-control-request-method: POST\r\ncontent-length: 0\r\n\r\n"
        );
        Client::connect(plane.listen()).ask(request.as_bytes())
    };
    for page in ["https://app.example.com", "http://[::1]:3000"] {
        let answer = before(page);
        assert_eq!(answer.status, 204, "{}", answer.text());
        let methods = told(&answer, "access-control-allow-methods");
        assert_eq!(methods.as_deref(), Some("POST"));
        let sent = told(&answer, "access-control-allow-headers").unwrap();
        assert!(sent.contains("authorization"), "{sent}");
        for key in [bearer(&buyer.key), String::new()] {
            let answer = post(
                &plane,
                "localhost",
                &format!("{key}origin: {page}\r\n"),
                &list,
            );
            assert_eq!(answer.status, if key.is_empty() { 401 } else { 200 });
            let allowed = told(&answer, "access-control-allow-origin");
            assert_eq!(allowed.as_deref(), Some(page));
        }
    }
    for page in [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "null",
    ] {
        let answer = before(page);
        assert_ne!(answer.status, 204, "{page}");
        assert_eq!(told(&answer, "access-control-allow-origin"), None);
    }
}

/// Asks until it is refused for being too often, the status being `taken` before; how often that was.
fn until_too_often(most: usize, taken: u16, ask: impl Fn() -> Response) -> usize {
    // A minute may begin meanwhile, and hardly two.
    let mut answers = (0..=3 * most).map(|count| (count, ask()));
    let refused = answers.find(|(_, it)| it.status != taken);
    let (count, answer) = refused.unwrap();
    assert_eq!(code(&answer, 429), "too_many_requests");
    let after_s: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after_s), "{after_s}");
    count
}

/// Behaviour 7.1: an agent that runs wild leaves room for the others.
#[test]
fn an_agent_that_asks_too_often_is_told_when_to_ask_again() {
    let plane = plane_with("[purchases]\nrequests_per_minute_max = 60\n", &[]);
    let (one, other) = (buyer(&plane, &json!({})), buyer(&plane, &json!({})));
    let body = tool_wish(&json!({"idempotency_key": "the same"}));
    let path = "/v1/purchase-requests";
    let buys = || plane.ask(&one.key, "POST", path, &body);
    assert!(until_too_often(60, 201, buys) >= 60);
    // Both doors count together.
    let again = (0..200).find_map(|_| {
        let answer = call(&plane, &one.key, "request_purchase", &body);
        (answer["isError"] == true).then_some(answer)
    });
    let told = again.unwrap()["content"][0]["text"].clone();
    assert!(told.as_str().unwrap().contains("too_many_requests"));
    // Nobody else waits for it, and its owner looks as often as he likes.
    assert_eq!(plane.ask(&other.key, "POST", path, &body).status, 201);
    let list = message("tools/list", &json!({}));
    let looks = || post(&plane, "localhost", &bearer(&one.key), &list);
    assert!(until_too_often(240, 200, looks) > 0);
    let looks = || plane.ask(&one.key, "GET", path, &Value::Null);
    until_too_often(240, 200, looks);
    let own = bearer(&other.key);
    assert_eq!(post(&plane, "localhost", &own, &list).status, 200);
    for _ in 0..250 {
        plane.get(path);
    }
}
