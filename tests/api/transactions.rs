//! Authorizations with what became of them, and decisions by agent and time (behaviour 4.3).

use serde_json::{Value, json};

use crate::plane::{Plane, code, id, value};

fn data(page: &Value) -> &Vec<Value> {
    page["data"].as_array().unwrap()
}

#[test]
fn a_transaction_shows_what_it_holds_and_who_made_it() {
    let mut plane = Plane::start();
    let agent = plane.agent(&json!({}));
    let card = plane.card(&json!({"agentId": agent, "policy": {"limits": {"perAuth": 500}}}));
    assert_eq!(plane.buy(&card, 400), "APPROVED");
    assert_eq!(plane.buy(&card, 501), "VELOCITY_EXCEEDED");
    let check = |plane: &Plane| {
        let page = plane.get(&format!("/v1/transactions?cardId={card}"));
        let of = |amount: u64| {
            let mut found = data(&page).iter().filter(|it| it["amount"] == amount);
            found
                .next()
                .unwrap_or_else(|| panic!("no {amount}: {page}"))
        };
        let approved = of(400);
        for (field, expected) in [
            ("status", json!("open")),
            ("held", json!(400)),
            ("approvedAmount", json!(400)),
            ("posted", json!(0)),
            ("restored", json!(0)),
            ("currency", json!("USD")),
            ("cardId", json!(card)),
            ("agentId", json!(agent)),
            ("customerId", json!(plane.customer)),
            ("reason", Value::Null),
        ] {
            assert_eq!(approved[field], expected, "{field}: {approved}");
        }
        let declined = of(501);
        assert_eq!(declined["status"], "declined");
        assert_eq!(declined["held"], 0);
        assert_eq!(declined["reason"], "amount_over_per_auth");
    };
    check(&plane);
    plane.kill();
    plane.restart();
    check(&plane);
}

#[test]
fn what_the_issuer_reports_shows_in_the_transaction() {
    let plane = Plane::start();
    let card = plane.card(&json!({}));
    assert_eq!(plane.buy(&card, 400), "APPROVED");
    let path = format!("/v1/transactions?cardId={card}");
    let before = plane.get(&path)["data"][0].clone();
    let event = plane.clear(&card, before["authorization"].as_str().unwrap(), 300);
    assert_eq!(event, 200);
    let after = plane.get(&path)["data"][0].clone();
    assert_eq!(after["posted"], 300, "{after}");
    assert!(after["reportedAt"].is_string());
    assert_eq!(after["id"], before["id"]);
}

/// What was authorized before a card was canceled is still to be paid.
#[test]
fn i11_a_clearing_on_a_canceled_card_is_booked_and_nothing_new_is_authorized() {
    let plane = Plane::start();
    let card = plane.card(&json!({}));
    assert_eq!(plane.buy(&card, 400), "APPROVED");
    let path = format!("/v1/transactions?cardId={card}");
    let before = plane.get(&path)["data"][0].clone();
    let gone = plane.owner_asks("DELETE", &format!("/v1/cards/{card}"), &Value::Null, 200);
    assert_eq!(gone["status"], "canceled");
    let held = plane.get(&path)["data"][0].clone();
    assert_eq!((&held["held"], &held["posted"]), (&json!(400), &json!(0)));
    let event = plane.clear(&card, before["authorization"].as_str().unwrap(), 400);
    assert_eq!(event, 200);
    let after = plane.get(&path)["data"][0].clone();
    assert_eq!((&after["held"], &after["posted"]), (&json!(0), &json!(400)));
    assert_ne!(plane.buy(&card, 1), "APPROVED");
    let decisions = plane.get(&format!("/v1/decisions?cardId={card}&limit=1"));
    assert_eq!(decisions["data"][0]["reason"], "card_canceled");
}

#[test]
fn what_the_issuer_declines_by_itself_is_a_decision_and_a_transaction() {
    let mut plane = Plane::start();
    let agent = plane.agent(&json!({}));
    let card = plane.card(&json!({"agentId": agent, "policy": {"limits": {"perDay": 500}}}));
    assert_eq!(plane.declines(&card, "nobody-asked", 400), 200);
    assert_eq!(plane.declines(&card, "nobody-asked", 400), 200, "again");
    let check = |plane: &Plane| {
        let decisions = plane.get(&format!("/v1/decisions?cardId={card}"));
        let [decision] = &**data(&decisions) else {
            panic!("once: {decisions}");
        };
        for (field, expected) in [
            ("authorization", json!("nobody-asked")),
            ("step", json!(1)),
            ("agent", json!(agent)),
            ("customer", json!(plane.customer)),
            ("amount", json!(400)),
            ("approvedAmount", json!(0)),
            ("currency", json!("USD")),
            ("decision", json!("decline")),
            ("reason", json!("declined_by_issuer")),
            ("snapshotVersion", json!(0)),
        ] {
            assert_eq!(decision[field], expected, "{field}: {decision}");
        }
        let text = "The issuer has declined it by itself.";
        assert_eq!(decision["explanation"]["text"], text, "{decision}");
        let one = plane.get(&format!("/v1/decisions/{}", id(decision)));
        assert_eq!(one, *decision);
        let transactions = plane.get(&format!("/v1/transactions?cardId={card}"));
        let [transaction] = &**data(&transactions) else {
            panic!("once: {transactions}");
        };
        assert_eq!(transaction["status"], "declined", "{transaction}");
        assert_eq!(transaction["reason"], "declined_by_issuer");
        assert_eq!(transaction["flags"], json!(["declined_by_issuer"]));
        assert_eq!(transaction["held"], 0);
    };
    check(&plane);
    plane.kill();
    plane.restart();
    check(&plane);
    assert_eq!(
        plane.buy(&card, 500),
        "APPROVED",
        "the whole limit is there"
    );
}

#[test]
fn s4_lists_of_decisions_and_transactions_stay_in_reach() {
    let plane = Plane::start();
    let (mine, theirs) = (plane.agent(&json!({})), plane.agent(&json!({})));
    let own = plane.card(&json!({"agentId": mine}));
    let other = plane.card(&json!({"agentId": theirs}));
    let customer = id(&plane.owner_asks("POST", "/v1/customers", &json!({}), 201));
    let foreign = json!({"customerId": customer});
    let foreign = id(&plane.owner_asks("POST", "/v1/cards", &foreign, 201));
    for card in [&own, &other, &foreign] {
        assert_eq!(plane.buy(card, 100), "APPROVED");
    }
    let agent_key = plane.key(&json!({"scope": "agent", "agentId": mine}));
    let narrow = plane.key(&json!({"scope": "viewer", "customerId": plane.customer}));
    for (path, card) in [("/v1/decisions", "card"), ("/v1/transactions", "cardId")] {
        let seen = |key: &str, query: &str| {
            let page = value(&plane.ask(key, "GET", &format!("{path}{query}"), &Value::Null));
            let mut cards: Vec<_> = data(&page).iter().map(|it| it[card].clone()).collect();
            cards.sort_by_key(Value::to_string);
            cards.dedup();
            cards.len()
        };
        assert_eq!(seen(&plane.owner, ""), 3);
        assert_eq!(seen(&narrow, ""), 2);
        assert_eq!(seen(&agent_key, ""), 1);
        assert_eq!(seen(&plane.owner, &format!("?agentId={mine}")), 1);
        assert_eq!(seen(&plane.owner, &format!("?customerId={customer}")), 1);
        for (key, query) in [
            (&agent_key, format!("?agentId={theirs}")),
            (&agent_key, format!("?cardId={other}")),
            (&narrow, format!("?cardId={foreign}")),
            (&narrow, format!("?customerId={customer}")),
            (&plane.owner, "?cardId=card_nobody".to_owned()),
        ] {
            let refused = plane.ask(key, "GET", &format!("{path}{query}"), &Value::Null);
            assert_eq!(code(&refused, 404), "not_found", "{path}{query}");
        }
    }
}

#[test]
fn records_are_found_by_time_and_pages_are_stable_while_more_come() {
    let plane = Plane::start();
    let card = plane.card(&json!({}));
    for _ in 0..5 {
        assert_eq!(plane.buy(&card, 100), "APPROVED");
    }
    let all = plane.get(&format!("/v1/decisions?cardId={card}"));
    let at = |row: &Value| row["at"].as_str().unwrap().to_owned();
    // Two threads may have received them in another order than they were booked.
    let mut times: Vec<String> = data(&all).iter().map(at).collect();
    times.sort_unstable();
    times.dedup();
    let (first, last) = (&times[0], &times[times.len() - 1]);
    let rows = data(&all).len();
    let of_last = data(&all).iter().filter(|row| at(row) == **last).count();
    let count =
        |query: &str| data(&plane.get(&format!("/v1/decisions?cardId={card}{query}"))).len();
    assert_eq!(count(&format!("&from={first}")), rows);
    assert_eq!(count(&format!("&from={last}")), of_last);
    assert_eq!(
        count(&format!("&from={first}&to={last}")),
        rows - of_last,
        "`to` is not in it"
    );
    assert_eq!(count(&format!("&to={first}")), 0);
    assert_eq!(count("&from=2099-01-01T00:00:00Z"), 0);
    for query in [
        "&from=yesterday",
        "&from=2030-01-01T00:00:00Z&to=2029-01-01T00:00:00Z",
    ] {
        let path = format!("/v1/decisions?cardId={card}{query}");
        let refused = plane.ask(&plane.owner, "GET", &path, &Value::Null);
        assert_eq!(code(&refused, 400), "invalid_request", "{query}");
    }
    // What comes between two pages is on neither, and moves nothing.
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = plane.get(&format!("/v1/transactions?cardId={card}&limit=2{cursor}"));
        found.extend(data(&page).iter().map(id));
        assert_eq!(plane.buy(&card, 100), "APPROVED");
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: Vec<_> = data(&all).iter().map(id).collect();
    assert_eq!(found, expected);
}
