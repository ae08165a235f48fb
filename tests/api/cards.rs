//! Cards: made, used at once, shown, changed, stopped (behaviour 2.14 j, 4.1, 4.3; A and F hazards).

use serde_json::{Value, json};

use crate::plane::{Plane, code, id, value};
use crate::server::find;

const APPROVED: &str = "APPROVED";

fn members(object: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn a_new_card_is_used_at_once_and_shows_exactly_its_members() {
    let plane = Plane::start();
    let agent = plane.agent(&json!({"limits": {"perDay": 5000}}));
    let body = json!({
        "customerId": plane.customer, "agentId": agent, "usage": "multi", "type": "virtual",
        "limits": {"amount": 3000, "currency": "USD", "interval": "per_authorization"},
        "policy": {"limits": {"perDay": 9000}, "ttlDays": 2},
    });
    let response = plane.ask(&plane.owner, "POST", "/v1/cards", &body);
    assert_eq!(response.status, 201, "{}", response.text());
    let card = value(&response);
    let path = format!("/v1/cards/{}", id(&card));
    assert_eq!(response.header("location"), Some(&*path));
    let mut expected = [
        "id",
        "customerId",
        "agentId",
        "type",
        "usage",
        "status",
        "last4",
        "expMonth",
        "expYear",
        "limits",
        "merchantLock",
        "expiresAt",
        "lastSpendAt",
        "firstSpendAt",
        "singleUseConsumedAt",
        "policy",
        "createdAt",
    ];
    expected.sort_unstable();
    assert_eq!(members(&card), expected);
    assert_eq!(card["status"], "active");
    assert_eq!(card["policy"], body["policy"]);
    assert_eq!(card["limits"], body["limits"]);
    assert!(card["expiresAt"].as_str() > card["createdAt"].as_str());
    for absent in [
        "merchantLock",
        "lastSpendAt",
        "firstSpendAt",
        "singleUseConsumedAt",
    ] {
        assert!(card[absent].is_null(), "{absent}");
    }
    let card_id = id(&card);
    // Equal to the one limit passes, one cent more does not; the agent's day holds both purchases.
    assert_eq!(plane.buy(&card_id, 3001), "VELOCITY_EXCEEDED");
    assert_eq!(plane.buy(&card_id, 3000), APPROVED);
    assert_eq!(plane.buy(&card_id, 2001), "INSUFFICIENT_FUNDS");
    assert_eq!(plane.buy(&card_id, 2000), APPROVED);
    let used = plane.get(&path);
    assert_eq!(members(&used), expected);
    // Received by two threads in the same moment, they may have the same time.
    assert!(used["firstSpendAt"].as_str().unwrap() <= used["lastSpendAt"].as_str().unwrap());
}

#[test]
fn a_single_use_card_tells_when_it_was_consumed_and_a_locked_one_its_merchant() {
    let plane = Plane::start();
    let single = plane.card(&json!({"usage": "single"}));
    let locked = plane.card(&json!({"policy": {"lockToFirstMerchant": true}}));
    for card in [&single, &locked] {
        assert_eq!(plane.buy(card, 100), APPROVED);
    }
    let single = plane.get(&format!("/v1/cards/{single}"));
    assert_eq!(single["singleUseConsumedAt"], single["lastSpendAt"]);
    let locked = plane.get(&format!("/v1/cards/{locked}"));
    assert_eq!(locked["merchantLock"]["source"], "first_use");
}

#[test]
fn what_stops_a_card_holds_for_whatever_is_asked_after_the_call() {
    let mut plane = Plane::start();
    let card = plane.card(&json!({}));
    let path = format!("/v1/cards/{card}");
    let act = |plane: &Plane, method: &str, rest: &str, body: Value| {
        let path = format!("{path}{rest}");
        plane.owner_asks(method, &path, &body, 200)["status"].clone()
    };
    assert_eq!(plane.buy(&card, 100), APPROVED);
    assert_eq!(act(&plane, "POST", "/freeze", Value::Null), "frozen");
    assert_eq!(plane.buy(&card, 100), "SUSPECTED_FRAUD");
    assert_eq!(
        act(&plane, "PATCH", "", json!({"status": "locked"})),
        "frozen"
    );
    assert_eq!(act(&plane, "POST", "/unfreeze", json!({})), "locked");
    assert_eq!(plane.buy(&card, 100), "CARD_PAUSED");
    // What stood before a kill stands after it, in the database and on the hot path.
    plane.kill();
    plane.restart();
    assert_eq!(plane.get(&path)["status"], "locked");
    assert_eq!(plane.buy(&card, 100), "CARD_PAUSED");
    assert_eq!(
        act(&plane, "PATCH", "", json!({"status": "active"})),
        "active"
    );
    assert_eq!(plane.buy(&card, 100), APPROVED);
    assert_eq!(act(&plane, "DELETE", "", Value::Null), "canceled");
    assert_eq!(plane.buy(&card, 100), "CARD_PAUSED");
    assert_eq!(act(&plane, "DELETE", "", Value::Null), "canceled", "again");
    for (method, rest, body) in [
        ("PATCH", "", json!({"status": "active"})),
        ("POST", "/freeze", Value::Null),
        ("PATCH", "", json!({"policy": null})),
    ] {
        let refused = plane.ask(&plane.owner, method, &format!("{path}{rest}"), &body);
        assert_eq!(code(&refused, 409), "card_canceled");
    }
    plane.kill();
    plane.restart();
    assert_eq!(plane.buy(&card, 100), "CARD_PAUSED");
}

#[test]
fn an_operators_lock_shows_and_the_owner_lifts_it() {
    let plane = Plane::start();
    let card = plane.card(&json!({}));
    let locked = plane.server().post(&format!("/admin/cards/{card}/lock"));
    assert_eq!(locked.status, 200);
    let path = format!("/v1/cards/{card}");
    assert_eq!(plane.get(&path)["status"], "locked");
    let body = json!({"status": "active"});
    assert_eq!(
        plane.owner_asks("PATCH", &path, &body, 200)["status"],
        "active"
    );
    assert_eq!(plane.buy(&card, 100), APPROVED);
}

#[test]
fn other_limits_and_policies_hold_once_the_call_returns() {
    let plane = Plane::start();
    let agent = plane.agent(&json!({}));
    let card = plane.card(&json!({"agentId": agent, "policy": {"limits": {"perAuth": 100}}}));
    let path = format!("/v1/cards/{card}");
    assert_eq!(plane.buy(&card, 200), "VELOCITY_EXCEEDED");
    let body = json!({"policy": null});
    assert!(plane.owner_asks("PATCH", &path, &body, 200)["policy"].is_null());
    assert_eq!(plane.buy(&card, 200), APPROVED);
    let limits = json!({"amount": 150, "currency": "USD", "interval": "per_authorization"});
    let body = json!({"limits": limits});
    assert_eq!(
        plane.owner_asks("PATCH", &path, &body, 200)["limits"],
        limits
    );
    assert_eq!(plane.buy(&card, 151), "VELOCITY_EXCEEDED");
    plane.owner_asks("PATCH", &path, &json!({"limits": null}), 200);
    assert_eq!(plane.buy(&card, 151), APPROVED);
    // The agent's rules, and the customer's, hold for the card from their call on.
    let rules = json!({"policy": {"blockedMccs": ["0000-9999"]}});
    let agent_path = format!("/v1/agents/{agent}");
    plane.owner_asks("PATCH", &agent_path, &rules, 200);
    assert_eq!(plane.buy(&card, 10), "UNAUTHORIZED_MERCHANT");
    plane.owner_asks(
        "PATCH",
        &agent_path,
        &json!({"policy": null, "status": "paused"}),
        200,
    );
    assert_eq!(plane.buy(&card, 10), "CARD_PAUSED");
    plane.owner_asks("PATCH", &agent_path, &json!({"status": "active"}), 200);
    assert_eq!(plane.buy(&card, 10), APPROVED);
    let customer_path = format!("/v1/customers/{}", plane.customer);
    plane.owner_asks(
        "PATCH",
        &customer_path,
        &json!({"status": "suspended"}),
        200,
    );
    assert_eq!(plane.buy(&card, 10), "CARD_PAUSED");
}

#[test]
fn what_is_wrong_with_a_card_is_a_400_that_names_the_field() {
    let plane = Plane::start();
    let customer = &plane.customer;
    let limit = |amount: Value, currency: &str| {
        json!({"customerId": customer,
            "limits": {"amount": amount, "currency": currency, "interval": "daily"}})
    };
    let cases = [
        (json!({}), "customerId"),
        (json!({"customerId": customer, "nickname": "x"}), "nickname"),
        (
            json!({"customerId": customer, "status": "canceled"}),
            "status",
        ),
        (json!({"customerId": customer, "usage": "double"}), "usage"),
        (
            json!({"customerId": customer, "type": "physical"}),
            "shipping",
        ),
        (limit(json!(10.5), "USD"), "limits.amount"),
        (limit(json!("10"), "USD"), "limits.amount"),
        (limit(json!(-1), "USD"), "limits.amount"),
        (
            limit(json!(9_007_199_254_740_992_u64), "USD"),
            "limits.amount",
        ),
        (limit(json!(1), "EUR"), "limits.currency"),
        (
            json!({"customerId": customer, "policy": {"perDay": 1}}),
            "policy.perDay",
        ),
        (
            json!({"customerId": customer, "policy": {"limits": {"perDay": 1.5}}}),
            "policy.limits.perDay",
        ),
        (
            json!({"customerId": customer, "policy": {"allowedMerchants": ["amazon.com"]}}),
            "policy.allowedMerchants[0]",
        ),
        (
            json!({"customerId": customer, "policy": {"agentMayCreateCards": true}}),
            "policy.agentMayCreateCards",
        ),
        (
            json!({"customerId": customer, "policy": {"unscopedRequests": "allow"}}),
            "policy.unscopedRequests",
        ),
        (
            json!({"customerId": customer,
            "limits": {"amount": 1, "currency": "USD", "interval": "daily"},
            "policy": {"limits": {"perDay": {"amount": 1, "window": "rolling"}}}}),
            "limits.interval",
        ),
    ];
    for (body, field) in cases {
        let response = plane.ask(&plane.owner, "POST", "/v1/cards", &body);
        assert_eq!(code(&response, 400), "invalid_request", "{body}");
        assert_eq!(
            value(&response)["errors"][0]["field"],
            field,
            "{}",
            response.text()
        );
    }
    let list = plane.get("/v1/cards");
    assert_eq!(list, json!({"data": [], "next": null}), "nothing was made");
}

/// Behaviour 4.1: the address is checked, and shown nowhere.
#[test]
fn a_billing_address_is_checked_and_a_card_shows_nothing_of_it() {
    let plane = Plane::start();
    let make = |billing: &Value| {
        let body = json!({"customerId": plane.customer, "billing": billing});
        plane.ask(&plane.owner, "POST", "/v1/cards", &body)
    };
    let whole = json!({"firstName": "Ada", "lastName": "Byron", "line1": "1 Main Street",
        "line2": null, "city": "Springfield", "state": "IL", "postalCode": "62701", "country": "US"});
    for billing in [Value::Null, json!({}), whole] {
        let made = make(&billing);
        assert_eq!(made.status, 201, "{}", made.text());
        assert!(value(&made).get("billing").is_none());
        assert!(!made.text().contains("Byron"));
    }
    for (billing, field) in [
        (json!({"country": "USA"}), "billing.country"),
        (json!({"country": "us"}), "billing.country"),
        (json!({"line1": " "}), "billing.line1"),
        (json!({"city": "x".repeat(101)}), "billing.city"),
        (json!({"postalCode": "1\n2"}), "billing.postalCode"),
        (json!({"street": "1 Main Street"}), "billing.street"),
        (json!("1 Main Street"), "billing"),
    ] {
        let refused = make(&billing);
        assert_eq!(code(&refused, 400), "invalid_request", "{billing}");
        assert_eq!(value(&refused)["errors"][0]["field"], field, "{billing}");
    }
}

#[test]
fn what_nobody_can_do_yet_is_refused_and_not_ignored() {
    let plane = Plane::start();
    let customer = &plane.customer;
    let body = json!({"customerId": customer, "configuration": {"connection": "acme"}});
    let response = plane.ask(&plane.owner, "POST", "/v1/cards", &body);
    assert_eq!(code(&response, 422), "not_supported", "{body}");
    assert_eq!(
        value(&response)["errors"][0]["field"],
        "configuration.connection"
    );
}

#[test]
fn bodies_that_are_none_are_told_so() {
    let plane = Plane::start();
    let bearer = crate::plane::bearer(&plane.owner);
    let send = |headers: &str, body: &str| {
        let length = body.len();
        let head = format!(
            "POST /v1/cards HTTP/1.1\r\nhost: x\r\n{bearer}{headers}content-length: {length}"
        );
        let request = format!("{head}\r\n\r\n{body}");
        crate::server::Client::connect(plane.listen()).ask(request.as_bytes())
    };
    let json = "content-type: application/json\r\n";
    assert_eq!(code(&send("", "{}"), 415), "unsupported_media_type");
    assert_eq!(
        code(&send("content-type: text/plain\r\n", "{}"), 415),
        "unsupported_media_type"
    );
    let encoded = format!("{json}content-encoding: gzip\r\n");
    assert_eq!(code(&send(&encoded, "{}"), 415), "unsupported_media_type");
    for body in ["{", "[]", "{} {}", "\u{fffd}"] {
        assert_eq!(code(&send(json, body), 400), "invalid_request", "{body}");
    }
    let large = format!("{{\"customerId\":\"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(code(&send(json, &large), 413), "too_large");
}

#[test]
fn lists_are_read_page_by_page_newest_first() {
    let plane = Plane::start();
    let agent = plane.agent(&json!({}));
    let mut made: Vec<String> = (0..7)
        .map(|at| {
            let more = if at % 2 == 0 {
                json!({"agentId": agent})
            } else {
                json!({})
            };
            plane.card(&more)
        })
        .collect();
    made.reverse();
    let read = |filter: &str| {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = plane.get(&format!("/v1/cards?limit=2{filter}{cursor}"));
            let data = page["data"].as_array().unwrap();
            assert!((1..=2).contains(&data.len()), "{page}");
            found.extend(data.iter().map(id));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    };
    assert_eq!(read(""), made);
    let of_agent: Vec<String> = made.iter().step_by(2).cloned().collect();
    assert_eq!(read(&format!("&agentId={agent}")), of_agent);
    assert_eq!(
        read(&format!("&agentId={agent}&customerId={}", plane.customer)),
        of_agent
    );
    let empty = plane.get("/v1/cards?customerId=cus_nobody");
    assert_eq!(empty, json!({"data": [], "next": null}));
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=%27", "cursor"),
        ("limit=1&limit=2", "limit"),
        ("colour=red", "colour"),
    ] {
        let response = plane.ask(
            &plane.owner,
            "GET",
            &format!("/v1/cards?{query}"),
            &Value::Null,
        );
        assert_eq!(code(&response, 400), "invalid_request", "{query}");
        assert_eq!(value(&response)["errors"][0]["field"], field, "{query}");
    }
}

#[test]
fn an_external_id_is_one_agent_and_one_customer() {
    let plane = Plane::start();
    let body = json!({"customerId": plane.customer, "externalId": "bot-7", "name": "first"});
    let first = plane.owner_asks("POST", "/v1/agents", &body, 201);
    let again = json!({"customerId": plane.customer, "externalId": "bot-7", "name": "second"});
    assert_eq!(plane.owner_asks("POST", "/v1/agents", &again, 200), first);
    let body = json!({"externalId": "team-a", "currency": "EUR", "timezone": "Europe/Berlin"});
    let customer = plane.owner_asks("POST", "/v1/customers", &body, 201);
    assert_eq!(customer["currency"], "EUR");
    assert_eq!(
        plane.owner_asks("POST", "/v1/customers", &body, 200),
        customer
    );
    let other = json!({"customerId": id(&customer), "externalId": "bot-7"});
    assert_ne!(
        id(&plane.owner_asks("POST", "/v1/agents", &other, 201)),
        id(&first)
    );
    let wrong = json!({"timezone": "Mars/Olympus"});
    let response = plane.ask(&plane.owner, "POST", "/v1/customers", &wrong);
    assert_eq!(code(&response, 400), "invalid_request");
}

#[test]
fn changes_that_meet_on_one_card_are_all_made() {
    let plane = Plane::start();
    let card = plane.card(&json!({}));
    let path = format!("/v1/cards/{card}");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (plane, path) = (&plane, &path);
            scope.spawn(move || {
                let body = if n % 2 == 0 {
                    json!({"policy": {"limits": {"perDay": 1000 + n}}})
                } else {
                    json!({"limits": {"amount": n, "currency": "USD", "interval": "all_time"}})
                };
                let response = plane.ask(&plane.owner, "PATCH", path, &body);
                let settled = response.status == 200 || code(&response, 409) == "conflict";
                assert!(settled, "{}", response.text());
            });
        }
    });
    let card = plane.get(&path);
    assert!(
        !card["policy"].is_null() && !card["limits"].is_null(),
        "none undid the other: {card}"
    );
}

#[test]
fn nothing_that_is_answered_holds_a_number_of_a_card() {
    let plane = Plane::start();
    let card = plane.card(&json!({}));
    let response = plane.ask(
        &plane.owner,
        "GET",
        &format!("/v1/cards/{card}"),
        &Value::Null,
    );
    for word in ["pan", "cvv", "issuerToken", "sbx_"] {
        assert!(find(&response.body, word.as_bytes()).is_none(), "{word}");
    }
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

/// Changes that wait for each other are made together, and each has its own answer: what does not fit,
/// or has met another one's row, spoils nothing beside it.
#[test]
fn many_changes_at_once_are_each_answered_for_itself_and_in_force() {
    const CARDS: usize = 24;
    let plane = Plane::start();
    let cards: Vec<String> = (0..CARDS).map(|_| plane.card(&json!({}))).collect();
    let limit = |amount: usize| json!({"limits": {"amount": amount, "currency": "USD", "interval": "per_authorization"}});
    let called = json!({"customerId": plane.customer, "externalId": "one of many"});
    let change = |at: usize| {
        let path = format!("/v1/cards/{}", cards[at]);
        let answers = [
            plane.ask(&plane.owner, "PATCH", &path, &limit(1_000 + at)),
            // What is no policy.
            plane.ask(
                &plane.owner,
                "PATCH",
                &path,
                &json!({"policy": {"limits": {"perAuth": -1}}}),
            ),
            // Everybody's row.
            plane.ask(&plane.owner, "POST", "/v1/agents", &called),
        ];
        let own = plane.buy(&cards[at], 1_000 + at as u64);
        let more = plane.buy(&cards[at], 1_001 + at as u64);
        (answers.map(|it| it.status), own, more)
    };
    let change = &change;
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..CARDS)
            .map(|at| scope.spawn(move || change(at)))
            .collect();
        asking.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let mut made = 0;
    for ([limited, refused, called], own, more) in outcomes {
        assert_eq!((limited, refused), (200, 400));
        assert!([200, 201, 409].contains(&called), "{called}");
        made += usize::from(called == 201);
        assert_eq!(own, "APPROVED");
        assert_ne!(more, "APPROVED", "beyond the limit of the answer");
    }
    assert_eq!(made, 1, "one row of this name");
    assert_eq!(plane.get("/v1/agents")["data"].as_array().unwrap().len(), 1);
}

/// The tests' own purchases: tokens are random, and one in two thousand holds the fixture's amount.
#[test]
fn a_name_that_holds_the_fixtures_amount_stays_as_it_is() {
    let body = crate::server::purchase("buy-12599", "sbx_2599d1", 100);
    assert!(body.contains("buy-12599") && body.contains("sbx_2599d1"));
    assert!(
        !body
            .replace("12599", "")
            .replace("_2599", "")
            .contains("2599")
    );
}
