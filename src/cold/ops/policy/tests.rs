use serde_json::{Value as Json, json};

use super::*;
use crate::decide::document::{DocumentContext, read_snapshot};
use crate::decide::effective::effective;
use crate::fingerprint::Fingerprinter;

#[test]
fn codes_in_a_row_are_shown_as_a_range() {
    let mcc = |n| Mcc::from_number(n).unwrap();
    let mut set = MccSet::new();
    for (first, last) in [(0, 1), (42, 42), (3000, 3350), (3351, 3351), (9999, 9999)] {
        set.insert_range(mcc(first), mcc(last));
    }
    assert_eq!(ranges(&set), ["0000-0001", "0042", "3000-3351", "9999"]);
    assert_eq!(ranges(&MccSet::new()), Vec::<String>::new());
}

/// The view of a card whose levels have these policies.
fn view(customer: &str, agent: &str, card: &str) -> Json {
    let document = format!(
        r#"{{"customers": [{{"id": "c", "timezone": "Europe/Rome", "policy": {customer}}}],
            "agents": [{{"id": "a", "customerId": "c", "policy": {agent}}}],
            "cards": [{{"id": "k", "connection": "acme", "issuerToken": "t", "customerId": "c",
                "agentId": "a", "createdAt": "2026-05-01T00:00:00Z", "policy": {card}}}]}}"#
    );
    let context = DocumentContext {
        file: "view.json",
        connections: &["acme"],
        version: 1,
    };
    let snapshot = read_snapshot(document.as_bytes(), context, &Fingerprinter::new(1)).unwrap();
    let card = snapshot.card_by_id("k").unwrap();
    serde_json::to_value(PolicyView::new(card.customer, &effective(&card))).unwrap()
}

fn of(level: &str, value: impl Into<Json>) -> Json {
    let value = value.into();
    json!({"value": value, "level": level})
}

#[test]
fn every_field_is_shown_with_the_level_that_it_comes_from() {
    let customer = r#"{"limits": {"perAuth": 900}, "allowCash": false, "ttlDays": 30,
        "blockedCountries": ["KP", "IR"], "maxRiskScore": 70, "requireAttestation": true,
        "activeHours": {"from": "08:00", "to": "24:00"}, "probePolicy": "allow_one_probe"}"#;
    let agent = r#"{"allowedMccs": ["5812"], "allowedMerchants": ["SQ *Blue", {"acceptorId": "m"}],
        "match": "any", "cooldownMinutes": 5, "requireApproval": true, "autoApproveBelow": 2000,
        "expireAfter": {"count": 9, "spend": 500}, "allowPartial": true, "fuelHold": 10000,
        "refundsRestore": true, "reauthorizeSameMerchant": false}"#;
    let card = r#"{"limits": {"perAuth": 800}, "allowedCountries": ["us"], "ttlMinutes": 60,
        "blockedMerchants": ["Casino"], "blockedMccs": ["7995", "7996"], "requireIntent": true,
        "validFrom": "2026-05-01T00:00:00Z", "validUntil": "2026-06-01T00:00:00.5Z",
        "lockToFirstMerchant": true, "requireRiskScore": true, "attestationWindowMinutes": 30,
        "activeHours": {"timezone": "Asia/Tokyo", "days": ["sun", "mon"], "from": "22:00",
        "to": "06:30"}}"#;
    let all_days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let expected = json!({
        "cascade": "tighten",
        "perAuth": of("card", json!(800)),
        "ttlMinutes": of("card", json!(60)),
        "ttlDays": of("customer", json!(30)),
        "validFrom": of("card", json!("2026-05-01T00:00:00.000000Z")),
        "validUntil": of("card", json!("2026-06-01T00:00:00.500000Z")),
        "expireAfterCount": of("agent", json!(9)),
        "expireAfterSpend": of("agent", json!(500)),
        "cooldownMinutes": of("agent", json!(5)),
        "lockToFirstMerchant": of("card", json!(true)),
        "maxRiskScore": of("customer", json!(70)),
        "requireRiskScore": of("card", json!(true)),
        "allowCash": of("customer", json!(false)),
        "allowPartial": of("agent", json!(true)),
        "fuelHold": of("agent", json!(10_000)),
        "probePolicy": of("customer", json!("allow_one_probe")),
        "refundsRestore": of("agent", json!(true)),
        "reauthorizeSameMerchant": of("agent", json!(false)),
        "requireIntent": of("card", json!(true)),
        "onIntentMismatch": {"value": "decline", "level": null},
        "requireApproval": of("agent", json!(true)),
        "autoApproveBelow": of("agent", json!(2_000)),
        "requireAttestation": of("customer", json!(true)),
        "attestationWindowMinutes": of("card", json!(30)),
        "allowedMccs": [of("agent", json!(["5812"]))],
        "blockedMccs": [of("card", json!(["7995-7996"]))],
        "allowedMerchants": [{
            "value": ["SQ *Blue", {"acceptorId": "m"}], "level": "agent", "weak": true,
        }],
        "blockedMerchants": [of("card", json!(["Casino"]))],
        "allowedCountries": [of("card", json!(["US"]))],
        "blockedCountries": [of("customer", json!(["IR", "KP"]))],
        "match": [of("agent", json!("any"))],
        "activeHours": [
            of("card", json!({
                "timezone": "Asia/Tokyo", "days": ["mon", "sun"], "from": "22:00", "to": "06:30",
            })),
            of("customer", json!({
                "timezone": "Europe/Rome", "days": all_days, "from": "08:00", "to": "24:00",
            })),
        ],
    });
    assert_eq!(view(customer, agent, card), expected);
}

#[test]
fn m6_names_that_no_category_narrows_are_shown_as_weak() {
    let weak =
        |agent: &str, card: &str| view("{}", agent, card)["allowedMerchants"][0]["weak"].clone();
    let by_name = r#"{"allowedMerchants": ["Blue Bottle", {"acceptorId": "m"}]}"#;
    let by_id = r#"{"allowedMerchants": [{"acceptorId": "m"}]}"#;
    assert_eq!(weak("{}", by_name), true);
    assert_eq!(weak("{}", by_id), false);
    assert_eq!(weak(r#"{"allowedMccs": ["5814"]}"#, by_name), false);
    let any = r#"{"allowedMccs": ["5814"], "match": "any"}"#;
    assert_eq!(weak(any, by_name), true);
}
