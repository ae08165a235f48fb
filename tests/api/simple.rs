//! Cards in a few words (behaviour 4.6).

use serde_json::{Value, json};

use crate::plane::{Plane, code, id, value};

#[test]
fn a_card_in_a_few_words_holds_what_they_say() {
    let plane = Plane::start();
    let body = json!({"label": "Datasets", "limit_usd": 12, "max_per_charge_usd": 7,
        "merchant": "API HOST", "expires_in_days": 3});
    let made = plane.ask(&plane.owner, "POST", "/api/v1/cards", &body);
    assert_eq!(made.status, 201, "{}", made.text());
    let card = value(&made);
    let path = format!("/api/v1/cards/{}", id(&card));
    assert_eq!(made.header("location"), Some(&*path));
    for (field, expected) in [
        ("label", json!("Datasets")),
        ("limit_usd", json!(12)),
        ("max_per_charge_usd", json!(7)),
        ("merchant", json!("API HOST")),
        ("single_use", json!(false)),
        ("status", json!("active")),
    ] {
        assert_eq!(card[field], expected, "{field}: {card}");
    }
    assert!(card["expires_at"].is_string());
    for secret in ["number", "cvv", "pan", "balance"] {
        assert!(card.get(secret).is_none(), "{secret}");
    }
    // Seven dollars are a charge, one cent more is none; twelve are all.
    let card_id = id(&card);
    assert_eq!(plane.buy(&card_id, 701), "VELOCITY_EXCEEDED");
    assert_eq!(plane.buy(&card_id, 700), "APPROVED");
    assert_eq!(plane.buy(&card_id, 501), "INSUFFICIENT_FUNDS");
    assert_eq!(plane.buy(&card_id, 500), "APPROVED");
    assert_eq!(plane.get(&path)["status"], "active");
    let elsewhere = json!({"label": "Food", "limit_usd": 12, "merchant": "BLUE BOTTLE"});
    let elsewhere = plane.owner_asks("POST", "/api/v1/cards", &elsewhere, 201);
    assert_eq!(plane.buy(&id(&elsewhere), 100), "UNAUTHORIZED_MERCHANT");
    let once = json!({"label": "Once", "limit_usd": 50_000, "single_use": true});
    let once = id(&plane.owner_asks("POST", "/api/v1/cards", &once, 201));
    assert_eq!(plane.buy(&once, 100), "APPROVED");
    assert_eq!(plane.buy(&once, 100), "VELOCITY_EXCEEDED");
    // A card without a label is not one of these; these are cards like any other.
    let plain = plane.card(&json!({}));
    let missing = plane.ask(
        &plane.owner,
        "GET",
        &format!("/api/v1/cards/{plain}"),
        &Value::Null,
    );
    assert_eq!(code(&missing, 404), "not_found");
    let list = plane.get("/api/v1/cards");
    assert_eq!(list["data"].as_array().unwrap().len(), 3);
    assert_eq!(plane.get("/v1/cards")["data"].as_array().unwrap().len(), 4);
    assert_eq!(
        plane.owner_asks("DELETE", &path, &Value::Null, 200)["status"],
        "canceled"
    );
    assert_eq!(plane.buy(&card_id, 1), "CARD_PAUSED");
}

#[test]
fn what_is_wrong_with_a_few_words_is_told_in_them() {
    let plane = Plane::start();
    for (body, field) in [
        (json!({"limit_usd": 5}), "label"),
        (json!({"label": "", "limit_usd": 5}), "label"),
        (json!({"label": "x"}), "limit_usd"),
        (json!({"label": "x", "limit_usd": 0}), "limit_usd"),
        (json!({"label": "x", "limit_usd": 50_001}), "limit_usd"),
        (json!({"label": "x", "limit_usd": 9.5}), "limit_usd"),
        (
            json!({"label": "x", "limit_usd": 9, "max_per_charge_usd": 0}),
            "max_per_charge_usd",
        ),
        (
            json!({"label": "x", "limit_usd": 9, "expires_in_days": 0}),
            "expires_in_days",
        ),
        (
            json!({"label": "x", "limit_usd": 9, "merchant": "amazon.com"}),
            "merchant",
        ),
        (
            json!({"label": "x", "limit_usd": 9, "policy": {}}),
            "policy",
        ),
    ] {
        let refused = plane.ask(&plane.owner, "POST", "/api/v1/cards", &body);
        assert_eq!(code(&refused, 400), "invalid_request", "{body}");
        assert_eq!(value(&refused)["errors"][0]["field"], field, "{body}");
    }
    let body = json!({"label": "x", "limit_usd": 9});
    let other = plane.owner_asks("POST", "/v1/customers", &json!({"currency": "EUR"}), 201);
    let refused = plane.ask(&plane.owner, "POST", "/api/v1/cards", &body);
    assert_eq!(value(&refused)["errors"][0]["field"], "customer_id");
    let euros = json!({"label": "x", "limit_usd": 9, "customer_id": id(&other)});
    let refused = plane.ask(&plane.owner, "POST", "/api/v1/cards", &euros);
    assert_eq!(code(&refused, 422), "not_supported");
    let key = plane.key(&json!({"scope": "owner", "customerId": plane.customer}));
    assert_eq!(plane.ask(&key, "POST", "/api/v1/cards", &body).status, 201);
    assert_eq!(
        code(&plane.ask(&key, "POST", "/api/v1/cards", &euros), 404),
        "not_found"
    );
}
