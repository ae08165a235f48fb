//! Physical cards: sent in the issuer's words, and good for nobody before their owner has them
//! (behaviour 4.1).

use serde_json::{Value, json};

use crate::desk::{APPROVED, Desk};
use crate::far_side::Speech;
use crate::plane::{Plane, code, id, value};

fn address() -> Value {
    json!({
        "firstName": "Ada", "lastName": "Byron", "line1": "12 St James Square", "city": "Boston",
        "state": "MA", "postalCode": "02110", "country": "US", "phone": "+16175550100",
        "service": "priority",
    })
}

fn wanted(plane: &Plane, shipping: &Value) -> Value {
    json!({"customerId": plane.customer, "type": "physical", "shipping": shipping})
}

fn sent(plane: &Plane) -> Value {
    plane.owner_asks("POST", "/v1/cards", &wanted(plane, &address()), 201)
}

#[test]
fn plastic_is_sent_in_the_issuers_words_and_locked_until_it_has_arrived() {
    let desk = Desk::start(Speech::Lithic);
    let made = sent(&desk.plane);
    assert_eq!(
        (&made["type"], &made["status"]),
        (&json!("physical"), &json!("locked"))
    );
    assert!(!made.to_string().contains("St James"), "{made}");
    let card = id(&made);
    let there = || desk.far.card_of(&card);
    assert_eq!(there()["type"], "PHYSICAL");
    assert_eq!(there()["shipping_method"], "PRIORITY");
    assert_eq!(
        there()["shipping_address"],
        json!({
            "first_name": "Ada", "last_name": "Byron", "address1": "12 St James Square",
            "city": "Boston", "state": "MA", "postal_code": "02110", "country": "USA",
            "phone_number": "+16175550100",
        })
    );
    assert_eq!(desk.buy(&card, 100), "CARD_PAUSED");
    // Too early for the issuer: it is told again, until it has been sent.
    let path = format!("/v1/cards/{card}");
    desk.plane
        .owner_asks("PATCH", &path, &json!({"status": "active"}), 200);
    desk.until("refused", |far| !far.seen("PATCH").is_empty());
    assert_eq!(there()["state"], "PENDING_FULFILLMENT");
    desk.far.set(&card, "state", &json!("PENDING_ACTIVATION"));
    desk.until("open", |_| there()["state"] == "OPEN");
    assert_eq!(desk.buy(&card, 100), APPROVED);
    desk.far.is_content();
}

#[test]
fn plastic_that_is_stopped_on_its_way_is_no_failure() {
    let desk = Desk::start(Speech::Lithic);
    let card = id(&sent(&desk.plane));
    let path = format!("/v1/cards/{card}/freeze");
    desk.plane.owner_asks("POST", &path, &json!({}), 200);
    desk.until("told", |far| !far.seen("PATCH").is_empty());
    // It was refused and asked about; then there is nothing more to tell.
    let looks = |far: &crate::far_side::FarSide| {
        let token = far.token_of(&card);
        far.seen("GET").iter().any(|it| it.path.ends_with(&token))
    };
    desk.until("asked", looks);
    desk.until("settled", |_| {
        desk.plane.server().admin("/admin/outbox")["rows"] == json!([])
    });
}

#[test]
fn plastic_at_stripe_begins_inactive_and_is_sent_by_name() {
    let desk = Desk::start(Speech::Stripe);
    let card = id(&sent(&desk.plane));
    let there = || desk.far.card_of(&card);
    assert_eq!(
        (&there()["type"], &there()["status"]),
        (&json!("physical"), &json!("inactive"))
    );
    assert_eq!(
        there()["shipping"],
        json!({
            "name": "Ada Byron", "service": "priority", "phone_number": "+16175550100",
            "address": {"line1": "12 St James Square", "city": "Boston", "state": "MA",
                "postal_code": "02110", "country": "US"},
        })
    );
    let path = format!("/v1/cards/{card}");
    desk.plane
        .owner_asks("PATCH", &path, &json!({"status": "active"}), 200);
    desk.until("active", |_| there()["status"] == "active");
    desk.far.is_content();
}

#[test]
fn a_replacement_of_plastic_is_sent_to_where_its_owner_says() {
    let desk = Desk::start(Speech::Stripe);
    let old = id(&sent(&desk.plane));
    desk.plane.owner_asks(
        "PATCH",
        &format!("/v1/cards/{old}"),
        &json!({"status": "active"}),
        200,
    );
    let path = format!("/v1/cards/{old}/replace");
    let refused = desk.plane.ask(&desk.plane.owner, "POST", &path, &json!({}));
    assert_eq!(code(&refused, 400), "invalid_request");
    assert_eq!(value(&refused)["errors"][0]["field"], "shipping");
    let elsewhere = json!({"shipping": {
        "firstName": "Ada", "lastName": "King", "line1": "Unter den Linden 1", "city": "Berlin",
        "postalCode": "10117", "country": "DE",
    }});
    let new = desk.plane.owner_asks("POST", &path, &elsewhere, 201);
    assert_eq!(
        (&new["type"], &new["status"]),
        (&json!("physical"), &json!("locked")),
        "whatever the old one was"
    );
    let there = desk.far.card_of(&id(&new));
    assert_eq!(there["shipping"]["address"]["country"], "DE");
    assert_eq!(there["status"], "inactive");
    desk.far.is_content();
}

#[test]
fn an_issuer_without_plastic_and_one_that_wants_a_state_say_so() {
    let desk = Desk::start(Speech::Privacy);
    let body = wanted(&desk.plane, &address());
    let refused = desk
        .plane
        .ask(&desk.plane.owner, "POST", "/v1/cards", &body);
    assert_eq!(code(&refused, 422), "not_supported");
    assert_eq!(value(&refused)["errors"][0]["field"], "type");
    let desk = Desk::start(Speech::Lithic);
    let mut abroad = address();
    abroad["country"] = json!("DE");
    abroad.as_object_mut().unwrap().remove("state");
    let body = wanted(&desk.plane, &abroad);
    let refused = desk
        .plane
        .ask(&desk.plane.owner, "POST", "/v1/cards", &body);
    assert!(
        refused.text().contains("shipping.state"),
        "{}",
        refused.text()
    );
    assert!(desk.far.cards().is_empty(), "nothing was asked for");
}

#[test]
fn an_address_that_no_carrier_finds_is_a_400_that_names_the_field() {
    let plane = Plane::start();
    let cases = [
        ("firstName", json!(null), "shipping.firstName"),
        ("firstName", json!("  "), "shipping.firstName"),
        (
            "lastName",
            json!("Byron-King-Noel of Lovelace"),
            "shipping.lastName",
        ),
        (
            "lastName",
            json!("Byron-King of Lovelace."),
            "shipping.lastName",
        ),
        ("line1", json!("x".repeat(101)), "shipping.line1"),
        ("city", json!("Bos\nton"), "shipping.city"),
        ("state", json!("Mass."), "shipping.state"),
        ("postalCode", json!(2110), "shipping.postalCode"),
        ("country", json!("us"), "shipping.country"),
        ("country", json!("USA"), "shipping.country"),
        ("country", json!("UK"), "shipping.country"),
        ("phone", json!("617 555 0100"), "shipping.phone"),
        ("service", json!("teleport"), "shipping.service"),
        ("door", json!("red"), "shipping.door"),
    ];
    for (field, bad, named) in cases {
        let mut shipping = address();
        shipping[field] = bad.clone();
        let body = wanted(&plane, &shipping);
        let refused = plane.ask(&plane.owner, "POST", "/v1/cards", &body);
        assert_eq!(code(&refused, 400), "invalid_request", "{field}: {bad}");
        assert_eq!(value(&refused)["errors"][0]["field"], named, "{bad}");
    }
    let mut early = wanted(&plane, &address());
    early["status"] = json!("active");
    let refused = plane.ask(&plane.owner, "POST", "/v1/cards", &early);
    assert_eq!(value(&refused)["errors"][0]["field"], "status");
    // The built-in issuer sends plastic as well, so that it can be tried.
    let made = sent(&plane);
    assert_eq!(plane.buy(&id(&made), 100), "CARD_PAUSED");
    let path = format!("/v1/cards/{}", id(&made));
    plane.owner_asks("PATCH", &path, &json!({"status": "active"}), 200);
    assert_eq!(plane.buy(&id(&made), 100), "APPROVED");
}
