//! Keys, and who sees what with them (behaviour 4.7; S1, S3, S4, S24).

use std::fs;

use serde_json::{Value, json};

use crate::database::Database;
use crate::plane::{Plane, bearer, code, id, init, program, value, word_after};
use crate::server::find;

#[test]
fn s1_a_key_is_long_shown_once_and_kept_as_a_hash() {
    let plane = Plane::start();
    assert!(plane.owner.starts_with("cs_test_"), "{}", plane.owner);
    // 24 random bytes in base64.
    assert_eq!(plane.owner.len(), "cs_test_".len() + 32);
    let body = json!({"scope": "viewer", "name": "dashboard"});
    let made = plane.owner_asks("POST", "/v1/api-keys", &body, 201);
    let text = made["key"].as_str().unwrap().to_owned();
    let path = format!("/v1/api-keys/{}", id(&made));
    let shown = plane.get(&path);
    assert!(
        shown["key"].is_null() && shown["name"] == "dashboard",
        "{shown}"
    );
    let kept = plane.database.kept(&plane.home.data_dir());
    assert!(find(&kept, b"dashboard").is_some(), "the row is there");
    for secret in [&text, &plane.owner] {
        assert!(find(&kept, secret.as_bytes()).is_none());
    }
    let log = fs::read(plane.home.path("stderr.log")).unwrap();
    assert!(find(&log, text.as_bytes()).is_none());
}

#[test]
fn s1_a_revoked_key_opens_nothing_from_the_answer_on_and_not_after_a_restart() {
    let mut plane = Plane::start();
    let made = plane.owner_asks("POST", "/v1/api-keys", &json!({"scope": "viewer"}), 201);
    let text = made["key"].as_str().unwrap().to_owned();
    assert_eq!(
        plane.ask(&text, "GET", "/v1/cards", &Value::Null).status,
        200
    );
    let path = format!("/v1/api-keys/{}", id(&made));
    let revoked = plane.owner_asks("DELETE", &path, &Value::Null, 200);
    assert!(revoked["revokedAt"].is_string());
    let again = plane.owner_asks("DELETE", &path, &Value::Null, 200);
    assert_eq!(again, revoked, "revoking again changes nothing");
    for _ in 0..2 {
        let refused = plane.ask(&text, "GET", "/v1/cards", &Value::Null);
        assert_eq!(code(&refused, 401), "unauthorized");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        plane.kill();
        plane.restart();
    }
}

#[test]
fn who_has_no_lawful_key_gets_one_answer() {
    let plane = Plane::start();
    let twice = format!("{0}{0}", bearer(&plane.owner));
    let basic = format!("authorization: Basic {}\r\n", plane.owner);
    let cut = bearer(plane.owner.split_at(plane.owner.len() - 1).0);
    let long = bearer(&format!("cs_test_{}", "x".repeat(500)));
    for headers in [
        "",
        &twice,
        &basic,
        &cut,
        &long,
        "authorization: Bearer \r\n",
    ] {
        let refused = plane.ask_with("GET", "/v1/cards", headers, "");
        assert_eq!(code(&refused, 401), "unauthorized", "{headers}");
    }
}

/// Two customers, with agents, cards, and keys of the first.
struct Tenants {
    plane: Plane,
    other: String,
    foreign_agent: String,
    foreign_card: String,
    own_card: String,
    plain_card: String,
    of_customer: String,
    of_agent: String,
}

impl Tenants {
    fn new() -> Self {
        let plane = Plane::start();
        let made = |path: &str, body: Value| id(&plane.owner_asks("POST", path, &body, 201));
        let other = made("/v1/customers", json!({}));
        let foreign_agent = made("/v1/agents", json!({"customerId": other}));
        let card = json!({"customerId": other, "agentId": foreign_agent});
        let own_agent = plane.agent(&json!({}));
        Self {
            foreign_card: made("/v1/cards", card),
            own_card: plane.card(&json!({"agentId": own_agent})),
            plain_card: plane.card(&json!({})),
            of_customer: plane.key(&json!({"scope": "owner", "customerId": plane.customer})),
            of_agent: plane.key(&json!({"scope": "agent", "agentId": own_agent})),
            other,
            foreign_agent,
            plane,
        }
    }
}

#[test]
fn s4_s24_what_is_out_of_reach_is_the_404_of_what_is_not_there() {
    let world = Tenants::new();
    let (plane, of_customer, of_agent) = (&world.plane, &world.of_customer, &world.of_agent);
    for key in [of_customer, of_agent] {
        let path = format!("/v1/cards/{}", world.own_card);
        assert_eq!(plane.ask(key, "GET", &path, &Value::Null).status, 200);
    }
    let Tenants {
        other,
        foreign_agent,
        foreign_card,
        plain_card,
        ..
    } = &world;
    let unknown = |kind: &str| format!("/v1/{kind}_00000000000000000000000000000000");
    for (key, path, nobody) in [
        (
            of_customer,
            format!("/v1/customers/{other}"),
            unknown("customers/cus"),
        ),
        (
            of_customer,
            format!("/v1/agents/{foreign_agent}"),
            unknown("agents/agt"),
        ),
        (
            of_customer,
            format!("/v1/cards/{foreign_card}"),
            unknown("cards/card"),
        ),
        (
            of_agent,
            format!("/v1/cards/{foreign_card}"),
            unknown("cards/card"),
        ),
        (
            of_agent,
            format!("/v1/cards/{plain_card}"),
            unknown("cards/card"),
        ),
        (
            of_agent,
            format!("/v1/agents/{foreign_agent}"),
            unknown("agents/agt"),
        ),
    ] {
        let refused = plane.ask(key, "GET", &path, &Value::Null);
        assert_eq!(code(&refused, 404), "not_found", "{path}");
        let missing = plane.ask(key, "GET", &nobody, &Value::Null);
        assert_eq!(
            (refused.status, refused.body),
            (missing.status, missing.body),
            "{path}"
        );
    }
    let path = format!("/v1/cards/{foreign_card}");
    let refused = plane.ask(of_customer, "DELETE", &path, &Value::Null);
    assert_eq!(code(&refused, 404), "not_found");
    assert_eq!(plane.buy(foreign_card, 100), "APPROVED");
}

#[test]
fn s4_lists_and_new_objects_stay_in_reach_too() {
    let world = Tenants::new();
    let (plane, of_customer) = (&world.plane, &world.of_customer);
    let (other, foreign_agent) = (&world.other, &world.foreign_agent);
    let listed = |key: &str, path: &str| {
        let page = value(&plane.ask(key, "GET", path, &Value::Null));
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(listed(&plane.owner, "/v1/cards"), 3);
    assert_eq!(listed(of_customer, "/v1/cards"), 2);
    assert_eq!(listed(&world.of_agent, "/v1/cards"), 1);
    assert_eq!(
        listed(of_customer, &format!("/v1/cards?customerId={other}")),
        0
    );
    assert_eq!(
        listed(of_customer, &format!("/v1/agents?customerId={other}")),
        0
    );
    for body in [
        json!({"scope": "owner", "customerId": other}),
        json!({"scope": "agent", "agentId": foreign_agent}),
    ] {
        let refused = plane.ask(of_customer, "POST", "/v1/api-keys", &body);
        assert_eq!(code(&refused, 404), "not_found");
    }
    let refused = plane.ask(of_customer, "POST", "/v1/customers", &json!({}));
    assert_eq!(code(&refused, 403), "beyond_reach");
    // A key that a customer's key makes reaches no further than that.
    let body = json!({"scope": "viewer"});
    let narrow = value(&plane.ask(of_customer, "POST", "/v1/api-keys", &body));
    assert_eq!(narrow["customerId"], Value::from(plane.customer.clone()));
}

#[test]
fn an_agent_of_another_customer_gets_no_card_of_this_one() {
    let plane = Plane::start();
    let other = id(&plane.owner_asks("POST", "/v1/customers", &json!({}), 201));
    let agent = json!({"customerId": other});
    let agent = id(&plane.owner_asks("POST", "/v1/agents", &agent, 201));
    let body = json!({"customerId": plane.customer, "agentId": agent});
    let refused = plane.ask(&plane.owner, "POST", "/v1/cards", &body);
    assert_eq!(value(&refused)["errors"][0]["field"], "agentId");
}

/// A name that the API would refuse.
#[test]
fn init_takes_no_name_that_is_none() {
    let home = tempfile::tempdir().unwrap();
    let data_dir = home.path().join("data");
    for name in ["", "a\nb", &"a".repeat(201)] {
        let mut command = crate::server::binary();
        command.arg("init").arg("--data-dir").arg(&data_dir);
        let (status, said) = crate::server::said(command.args(["--name", name]).output());
        assert_eq!(status, Some(2), "{said}");
        assert!(
            said.contains("--name: must be 1 to 200 characters"),
            "{said}"
        );
        assert!(!data_dir.join("control").exists(), "something was made");
    }
}

#[test]
fn init_makes_one_customer_and_further_keys_on_request() {
    let mut plane = Plane::initialised();
    let again = |plane: &Plane, flags: &[&str]| {
        let mut command = program("init", &plane.home, &plane.database);
        crate::server::said(command.args(flags).output())
    };
    let (status, said) = again(&plane, &[]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("--new-key"), "{said}");
    let second = word_after(
        &init(&plane.home, &plane.database, &["--new-key"]),
        "owner key",
    );
    assert_ne!(second, plane.owner);
    plane.restart();
    for key in [&second, &plane.owner] {
        assert_eq!(
            plane.ask(key, "GET", "/v1/customers", &Value::Null).status,
            200
        );
    }
    let (status, said) = again(&plane, &["--new-key"]);
    assert_eq!(status, Some(3), "a server runs: {said}");
    let live = again(&plane, &["--currency", "XYZ"]);
    assert_eq!(live.0, Some(2), "{}", live.1);
}

#[test]
fn test_keys_never_see_live_objects() {
    let home = crate::server::Home::new("strict", &json!({}));
    let database = Database::fresh();
    let said = init(&home, &database, &["--live"]);
    let live_customer = word_after(&said, "customer");
    let live = word_after(&said, "owner key");
    assert!(live.starts_with("cs_live_"), "{live}");
    let test = word_after(&init(&home, &database, &["--new-key"]), "owner key");
    let mut plane = Plane::of(home, database, test, live_customer.clone());
    plane.restart();
    let path = format!("/v1/customers/{live_customer}");
    assert_eq!(plane.ask(&live, "GET", &path, &Value::Null).status, 200);
    let refused = plane.ask(&plane.owner, "GET", &path, &Value::Null);
    assert_eq!(code(&refused, 404), "not_found");
    assert_eq!(
        plane.get("/v1/customers"),
        json!({"data": [], "next": null})
    );
    // The sandbox moves no money, so it makes nothing live.
    let refused = plane.ask(
        &live,
        "POST",
        "/v1/cards",
        &json!({"customerId": live_customer}),
    );
    assert_eq!(code(&refused, 422), "not_supported");
}
