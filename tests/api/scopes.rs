//! Every route by every scope, from one table (behaviour 4.7; S2). A route that is served and not
//! listed here fails the test, and so does one that is listed and not served.

use countersign::cold::api::routes::routes;
use countersign::cold::store::Scope;
use serde_json::{Value, json};

use crate::plane::{Plane, code, id};

/// Method, path, and who may: owner, reviewer, viewer, agent.
const TABLE: [(&str, &str, [bool; 4]); 26] = [
    ("POST", "/v1/customers", [true, false, false, false]),
    ("GET", "/v1/customers", [true, true, true, false]),
    ("GET", "/v1/customers/{id}", [true, true, true, false]),
    ("PATCH", "/v1/customers/{id}", [true, false, false, false]),
    ("POST", "/v1/agents", [true, false, false, false]),
    ("GET", "/v1/agents", [true, true, true, true]),
    ("GET", "/v1/agents/{id}", [true, true, true, true]),
    ("PATCH", "/v1/agents/{id}", [true, false, false, false]),
    ("POST", "/v1/cards", [true, false, false, false]),
    ("GET", "/v1/cards", [true, true, true, true]),
    ("GET", "/v1/cards/{id}", [true, true, true, true]),
    ("PATCH", "/v1/cards/{id}", [true, false, false, false]),
    ("DELETE", "/v1/cards/{id}", [true, false, false, false]),
    ("POST", "/v1/cards/{id}/freeze", [true, true, false, false]),
    (
        "POST",
        "/v1/cards/{id}/unfreeze",
        [true, false, false, false],
    ),
    ("GET", "/v1/cards/{id}/policy", [true, true, true, true]),
    ("GET", "/v1/decisions", [true, true, true, true]),
    ("GET", "/v1/decisions/{id}", [true, true, true, true]),
    ("POST", "/v1/spend/evaluate", [true, true, true, true]),
    ("GET", "/v1/connections", [true, false, false, false]),
    (
        "POST",
        "/v1/connections/{id}/key",
        [true, false, false, false],
    ),
    (
        "POST",
        "/v1/connections/{id}/import",
        [true, false, false, false],
    ),
    ("POST", "/v1/api-keys", [true, false, false, false]),
    ("GET", "/v1/api-keys", [true, false, false, false]),
    ("GET", "/v1/api-keys/{id}", [true, false, false, false]),
    ("DELETE", "/v1/api-keys/{id}", [true, false, false, false]),
];

/// One whose key can be set; nobody is asked there.
const CONNECTION: &str = "[[issuer]]\nname = \"priv\"\nkind = \"privacy\"\n[issuer.cards]\n\
     mode = \"test\"\nurl = \"http://127.0.0.1:9\"\npoll_s = 0\n";

#[test]
fn s2_every_route_that_is_served_is_listed() {
    let mut served: Vec<(String, &str)> = routes()
        .iter()
        .map(|route| (route.method.to_string(), route.path))
        .collect();
    let mut listed: Vec<(String, &str)> = TABLE
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), *path))
        .collect();
    served.sort_unstable();
    listed.sort_unstable();
    assert_eq!(served, listed);
}

#[test]
fn s2_s3_every_route_takes_the_scopes_of_the_table_and_no_other() {
    let mut plane = Plane::initialised();
    plane.home.write("plane.toml", CONNECTION);
    let config = plane.home.path("plane.toml").display().to_string();
    plane.restart_with(&["--sandbox", "--config", &config]);
    let agent = plane.agent(&json!({}));
    let keys: Vec<String> = Scope::ALL
        .iter()
        .map(|scope| match scope {
            Scope::Agent => plane.key(&json!({"scope": "agent", "agentId": agent})),
            Scope::Owner | Scope::Reviewer | Scope::Viewer => {
                plane.key(&json!({"scope": scope.name()}))
            }
        })
        .collect();
    for (method, path, may) in TABLE {
        for ((scope, key), may) in Scope::ALL.iter().zip(&keys).zip(may) {
            let (path, body) = example(&plane, &agent, method, path);
            let response = plane.ask(key, method, &path, &body);
            let name = scope.name();
            if may {
                let is_good = (200..300).contains(&response.status);
                assert!(is_good, "{name}: {method} {path}: {}", response.text());
            } else {
                let refused = code(&response, 403);
                assert_eq!(refused, "scope_not_allowed", "{name}: {method} {path}");
            }
        }
    }
}

/// A request that is well for whoever may make it.
fn example(plane: &Plane, agent: &str, method: &str, path: &str) -> (String, Value) {
    let customer = &plane.customer;
    let body = match (method, path) {
        ("POST", "/v1/agents") => json!({"customerId": customer}),
        ("POST", "/v1/cards") => json!({"customerId": customer, "agentId": agent}),
        ("POST", "/v1/connections/{id}/import") => json!({"customerId": customer}),
        ("POST", "/v1/connections/{id}/key") => json!({"key": "sk_of_nobody"}),
        ("POST", "/v1/api-keys") => json!({"scope": "viewer"}),
        ("POST", "/v1/spend/evaluate") => json!({
            "cardId": plane.card(&json!({"agentId": agent})), "amount": 1, "currency": "USD",
            "merchant": {"descriptor": "SHOP"},
        }),
        ("POST" | "PATCH", _) => json!({}),
        _ => Value::Null,
    };
    let object = match path.split('/').nth(2) {
        Some("decisions") => return (decisions_example(plane, agent, path), body),
        _ if !path.contains("{id}") => String::new(),
        Some("customers") => customer.clone(),
        Some("agents") => agent.to_owned(),
        Some("connections") if path.ends_with("/import") => "sandbox".to_owned(),
        Some("connections") => "priv".to_owned(),
        Some("cards") => plane.card(&json!({"agentId": agent})),
        Some("api-keys") => {
            let made = plane.owner_asks("POST", "/v1/api-keys", &json!({"scope": "viewer"}), 201);
            id(&made)
        }
        _ => panic!("no example for {path}"),
    };
    (path.replace("{id}", &object), body)
}

/// A list of decisions, or one of them.
fn decisions_example(plane: &Plane, agent: &str, path: &str) -> String {
    let card = plane.card(&json!({"agentId": agent}));
    let list = format!("/v1/decisions?cardId={card}");
    if !path.contains("{id}") {
        return list;
    }
    plane.buy(&card, 100);
    path.replace("{id}", &id(&plane.get(&list)["data"][0]))
}
