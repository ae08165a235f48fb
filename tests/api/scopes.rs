//! Every route by every kind of caller, from one table (behaviour 4.7; S2, S3, S4). A route of the
//! description that is not listed here fails the test, and so does one that is listed and not there.

use countersign::cold::api::openapi::document;
use countersign::cold::store::Scope;
use serde_json::{Value, json};

use crate::database::Database;
use crate::plane::{Plane, code, id, init, value, word_after};
use crate::purchases::wish;
use crate::server::Home;

/// What a caller with a key of the other mode gets, where its scope allows the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Other {
    /// What the path or the body names is not there for it.
    NotFound,
    /// A list without what it must not see.
    Empty,
    /// Something of its own mode.
    Own,
}
use Other::{Empty, NotFound, Own};

/// Method, path, whether owner, reviewer, viewer and agent may, and what keys of the other mode get.
/// No key and a revoked one get 401 everywhere here.
const TABLE: [(&str, &str, [bool; 4], Other); 89] = [
    ("POST", "/v1/customers", OWNER, Own),
    ("GET", "/v1/customers", PEOPLE, Empty),
    ("GET", "/v1/customers/{id}", PEOPLE, NotFound),
    ("PATCH", "/v1/customers/{id}", OWNER, NotFound),
    ("POST", "/v1/agents", OWNER, NotFound),
    ("GET", "/v1/agents", ALL, Empty),
    ("GET", "/v1/agents/{id}", ALL, NotFound),
    ("PATCH", "/v1/agents/{id}", OWNER, NotFound),
    ("POST", "/v1/cards", MAKERS, NotFound),
    ("GET", "/v1/cards", ALL, Empty),
    ("GET", "/v1/cards/{id}", ALL, NotFound),
    ("PATCH", "/v1/cards/{id}", OWNER, NotFound),
    ("DELETE", "/v1/cards/{id}", OWNER, NotFound),
    ("POST", "/v1/cards/{id}/freeze", STOPPERS, NotFound),
    ("POST", "/v1/cards/{id}/unfreeze", OWNER, NotFound),
    ("POST", "/v1/cards/{id}/replace", OWNER, NotFound),
    ("POST", "/v1/cards/{id}/reveal", SPENDERS, NotFound),
    ("GET", "/v1/cards/{id}/policy", ALL, NotFound),
    (
        "POST",
        "/v1/customers/{id}/policy/versions",
        OWNER,
        NotFound,
    ),
    (
        "GET",
        "/v1/customers/{id}/policy/versions",
        PEOPLE,
        NotFound,
    ),
    (
        "GET",
        "/v1/customers/{id}/policy/versions/{version}",
        PEOPLE,
        NotFound,
    ),
    (
        "DELETE",
        "/v1/customers/{id}/policy/versions/{version}",
        OWNER,
        NotFound,
    ),
    (
        "POST",
        "/v1/customers/{id}/policy/versions/{version}/shadow",
        OWNER,
        NotFound,
    ),
    (
        "POST",
        "/v1/customers/{id}/policy/versions/{version}/activate",
        OWNER,
        NotFound,
    ),
    (
        "POST",
        "/v1/customers/{id}/policy/versions/{version}/rollback",
        OWNER,
        NotFound,
    ),
    (
        "POST",
        "/v1/customers/{id}/policy/versions/{version}/backtest",
        OWNER,
        NotFound,
    ),
    ("POST", "/v1/agents/{id}/policy/versions", OWNER, NotFound),
    ("GET", "/v1/agents/{id}/policy/versions", PEOPLE, NotFound),
    (
        "GET",
        "/v1/agents/{id}/policy/versions/{version}",
        PEOPLE,
        NotFound,
    ),
    (
        "DELETE",
        "/v1/agents/{id}/policy/versions/{version}",
        OWNER,
        NotFound,
    ),
    (
        "POST",
        "/v1/agents/{id}/policy/versions/{version}/shadow",
        OWNER,
        NotFound,
    ),
    (
        "POST",
        "/v1/agents/{id}/policy/versions/{version}/activate",
        OWNER,
        NotFound,
    ),
    (
        "POST",
        "/v1/agents/{id}/policy/versions/{version}/rollback",
        OWNER,
        NotFound,
    ),
    (
        "POST",
        "/v1/agents/{id}/policy/versions/{version}/backtest",
        OWNER,
        NotFound,
    ),
    ("POST", "/v1/cards/{id}/policy/versions", OWNER, NotFound),
    ("GET", "/v1/cards/{id}/policy/versions", PEOPLE, NotFound),
    (
        "GET",
        "/v1/cards/{id}/policy/versions/{version}",
        PEOPLE,
        NotFound,
    ),
    (
        "DELETE",
        "/v1/cards/{id}/policy/versions/{version}",
        OWNER,
        NotFound,
    ),
    (
        "POST",
        "/v1/cards/{id}/policy/versions/{version}/shadow",
        OWNER,
        NotFound,
    ),
    (
        "POST",
        "/v1/cards/{id}/policy/versions/{version}/activate",
        OWNER,
        NotFound,
    ),
    (
        "POST",
        "/v1/cards/{id}/policy/versions/{version}/rollback",
        OWNER,
        NotFound,
    ),
    (
        "POST",
        "/v1/cards/{id}/policy/versions/{version}/backtest",
        OWNER,
        NotFound,
    ),
    ("POST", "/v1/cards/{id}/intents", SPENDERS, NotFound),
    ("GET", "/v1/cards/{id}/intents", ALL, NotFound),
    ("GET", "/v1/cards/{id}/intents/{intentId}", ALL, NotFound),
    (
        "DELETE",
        "/v1/cards/{id}/intents/{intentId}",
        SPENDERS,
        NotFound,
    ),
    (
        "POST",
        "/v1/cards/{id}/intents/{intentId}/approve",
        STOPPERS,
        NotFound,
    ),
    (
        "POST",
        "/v1/cards/{id}/intents/{intentId}/reject",
        STOPPERS,
        NotFound,
    ),
    ("POST", "/v1/cards/{id}/attestations", SPENDERS, NotFound),
    ("GET", "/v1/cards/{id}/attestations", ALL, NotFound),
    ("GET", "/v1/transactions", ALL, Empty),
    ("GET", "/v1/decisions", ALL, Empty),
    ("GET", "/v1/decisions/{id}", ALL, NotFound),
    ("POST", "/v1/spend/evaluate", ALL, NotFound),
    ("POST", "/v1/purchase-requests", AGENT, Own),
    ("GET", "/v1/purchase-requests", ALL, Empty),
    ("GET", "/v1/purchase-requests/{id}", ALL, NotFound),
    (
        "POST",
        "/v1/purchase-requests/{id}/approve",
        STOPPERS,
        NotFound,
    ),
    (
        "POST",
        "/v1/purchase-requests/{id}/deny",
        STOPPERS,
        NotFound,
    ),
    ("GET", "/v1/agents/{id}/spending", ALL, NotFound),
    ("GET", "/v1/connections", OWNER, Empty),
    ("GET", "/v1/connections/{id}", OWNER, NotFound),
    ("POST", "/v1/connections/{id}/key", OWNER, NotFound),
    ("POST", "/v1/connections/{id}/import", OWNER, NotFound),
    ("POST", "/api/v1/cards", MAKERS, NotFound),
    ("GET", "/api/v1/cards", ALL, Empty),
    ("GET", "/api/v1/cards/{id}", ALL, NotFound),
    ("POST", "/api/v1/cards/{id}/reveal", SPENDERS, NotFound),
    ("DELETE", "/api/v1/cards/{id}", OWNER, NotFound),
    ("GET", "/v1/alerts", PEOPLE, Empty),
    ("POST", "/v1/webhooks", OWNER, Own),
    ("GET", "/v1/webhooks", OWNER, Empty),
    ("GET", "/v1/webhooks/{id}", OWNER, NotFound),
    ("PATCH", "/v1/webhooks/{id}", OWNER, NotFound),
    ("DELETE", "/v1/webhooks/{id}", OWNER, NotFound),
    ("POST", "/v1/webhooks/{id}/rotate", OWNER, NotFound),
    ("POST", "/v1/webhooks/{id}/test", OWNER, NotFound),
    ("GET", "/v1/webhooks/{id}/deliveries", OWNER, NotFound),
    (
        "POST",
        "/v1/webhooks/{id}/deliveries/{deliveryId}/replay",
        OWNER,
        NotFound,
    ),
    ("GET", "/v1/audit", OWNER, Empty),
    ("POST", "/v1/api-keys", OWNER, Own),
    ("GET", "/v1/api-keys", OWNER, Empty),
    ("GET", "/v1/api-keys/{id}", OWNER, NotFound),
    ("DELETE", "/v1/api-keys/{id}", OWNER, NotFound),
    // Behind the others, since they pause the agents.
    ("POST", "/v1/access-requests", AGENT, Own),
    ("GET", "/v1/access-requests", ALL, Empty),
    ("GET", "/v1/access-requests/{id}", ALL, NotFound),
    ("POST", "/v1/access-requests/{id}/grant", OWNER, NotFound),
    ("POST", "/v1/access-requests/{id}/refuse", OWNER, NotFound),
];
const OWNER: [bool; 4] = [true, false, false, false];
const AGENT: [bool; 4] = [false, false, false, true];
const MAKERS: [bool; 4] = [true, false, false, true];
const SPENDERS: [bool; 4] = [true, false, false, true];
const STOPPERS: [bool; 4] = [true, true, false, false];
const PEOPLE: [bool; 4] = [true, true, true, false];
const ALL: [bool; 4] = [true; 4];
/// One whose key can be set; nobody is asked there.
const CONNECTION: &str = "[[issuer]]\nname = \"priv\"\nkind = \"privacy\"\n[issuer.cards]\n\
     mode = \"test\"\nurl = \"http://127.0.0.1:9\"\npoll_s = 0\n";
/// What anybody may ask.
const OPEN: [&str; 4] = ["/docs", "/docs/style.css", "/healthz", "/openapi.json"];

#[test]
fn s2_every_route_of_the_description_is_listed() {
    let document = document();
    let mut described: Vec<(String, String)> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().keys();
        described.extend(methods.map(|method| (method.to_uppercase(), path.clone())));
    }
    let keyed = TABLE.iter().map(|(method, path, ..)| (*method, *path));
    let open = OPEN.iter().map(|path| ("GET", *path));
    let mut listed: Vec<(String, String)> = keyed
        .chain(open)
        .map(|(method, path)| (method.to_owned(), path.to_owned()))
        .collect();
    described.sort_unstable();
    listed.sort_unstable();
    assert_eq!(described, listed);
}

#[test]
fn s2_s3_every_route_takes_the_callers_of_the_table_and_no_other() {
    let world = World::new();
    let plane = &world.plane;
    for (method, path, may, other) in TABLE {
        for ((scope, may), keys) in Scope::ALL.iter().zip(may).zip(&world.keys) {
            let name = format!("{}: {method} {path}", scope.name());
            let (path, body) = world.example(method, path);
            let response = plane.ask(&keys.own, method, &path, &body);
            if may {
                let is_good = (200..300).contains(&response.status);
                assert!(is_good, "{name}: {}", response.text());
            } else {
                assert_eq!(code(&response, 403), "scope_not_allowed", "{name}");
            }
            let response = plane.ask(&keys.other_mode, method, &path, &body);
            match other {
                _ if !may => assert_eq!(code(&response, 403), "scope_not_allowed", "live {name}"),
                NotFound => assert_eq!(code(&response, 404), "not_found", "live {name}"),
                Own => assert_eq!(response.status, 201, "live {name}: {}", response.text()),
                Empty => world.sees_nothing(&response, &name),
            }
        }
        let (path, body) = world.example(method, path);
        let revoked = plane.ask(&world.revoked, method, &path, &body);
        assert_eq!(
            code(&revoked, 401),
            "unauthorized",
            "revoked: {method} {path}"
        );
        let without = plane.ask_with(method, &path, "", &body.to_string());
        assert_eq!(
            code(&without, 401),
            "unauthorized",
            "no key: {method} {path}"
        );
    }
    for path in OPEN {
        assert_eq!(plane.ask_with("GET", path, "", "").status, 200, "{path}");
    }
}

struct Keys {
    own: String,
    other_mode: String,
}

/// Objects of one mode, and keys of every scope of both.
struct World {
    plane: Plane,
    agent: String,
    live_customer: String,
    /// An owner's key and an agent of the other mode.
    live: [String; 2],
    /// By scope.
    keys: Vec<Keys>,
    revoked: String,
}

impl World {
    fn new() -> Self {
        let (home, database) = (Home::new("strict", &json!({})), Database::fresh());
        let said = init(&home, &database, &["--live"]);
        let (live_customer, live) = (
            word_after(&said, "customer"),
            word_after(&said, "owner key"),
        );
        let test = word_after(&init(&home, &database, &["--new-key"]), "owner key");
        let mut plane = Plane::of(home, database, test, String::new());
        plane.home.write("plane.toml", CONNECTION);
        let config = plane.home.path("plane.toml").display().to_string();
        plane.restart_with(&["--sandbox", "--config", &config]);
        plane.customer = {
            let body = json!({"fleet": {"agentMayCreateCards": true}});
            id(&plane.owner_asks("POST", "/v1/customers", &body, 201))
        };
        let agent = plane.agent(&json!({}));
        let body = json!({"customerId": live_customer});
        let live_agent = id(&value(&plane.ask(&live, "POST", "/v1/agents", &body)));
        let key = |maker: &str, agent: &str, scope: &Scope| {
            let body = match scope {
                Scope::Agent => json!({"scope": "agent", "agentId": agent}),
                Scope::Owner | Scope::Reviewer | Scope::Viewer => json!({"scope": scope.name()}),
            };
            value(&plane.ask(maker, "POST", "/v1/api-keys", &body))
        };
        let text = |made: &Value| made["key"].as_str().unwrap().to_owned();
        let keys = Scope::ALL.iter().map(|scope| Keys {
            own: text(&key(&plane.owner, &agent, scope)),
            other_mode: text(&key(&live, &live_agent, scope)),
        });
        let keys = keys.collect();
        let over = key(&plane.owner, &agent, &Scope::Owner);
        let path = format!("/v1/api-keys/{}", id(&over));
        plane.owner_asks("DELETE", &path, &Value::Null, 200);
        Self {
            revoked: text(&over),
            plane,
            agent,
            live_customer,
            live: [live, live_agent],
            keys,
        }
    }

    /// Pauses the agents of both modes.
    fn pause(&self) {
        let [live, live_agent] = &self.live;
        for (owner, agent) in [(&self.plane.owner, &self.agent), (live, live_agent)] {
            let (path, paused) = (format!("/v1/agents/{agent}"), json!({"status": "paused"}));
            let response = self.plane.ask(owner, "PATCH", &path, &paused);
            assert_eq!(response.status, 200, "{}", response.text());
        }
    }

    /// A list that holds nothing but what is of the other mode.
    fn sees_nothing(&self, response: &crate::server::Response, name: &str) {
        assert_eq!(response.status, 200, "live {name}: {}", response.text());
        for row in value(response)["data"].as_array().unwrap() {
            let is_own = row["mode"] == "live"
                || row["entry"].is_object() && row["entry"]["mode"] != "test"
                || row["customerId"] == *self.live_customer
                || row["id"] == *self.live_customer
                || row["name"] == "made by the table";
            assert!(is_own, "live {name} sees {row}");
        }
    }

    /// What such a request holds.
    fn body(&self, method: &str, path: &str) -> Value {
        let (plane, agent, customer) = (&self.plane, &self.agent, &self.plane.customer);
        match (method, path) {
            ("POST", "/v1/access-requests") => json!({"reason": "made by the table"}),
            ("POST", "/v1/customers") => json!({"name": "made by the table"}),
            ("POST", "/v1/agents") => json!({"customerId": customer}),
            ("POST", "/v1/cards") => json!({"customerId": customer, "agentId": agent}),
            ("POST", "/v1/connections/{id}/key") => json!({"key": "sk_of_nobody"}),
            ("POST", "/v1/connections/{id}/import") => json!({"customerId": customer}),
            ("POST", "/api/v1/cards") => {
                json!({"label": "x", "limit_usd": 5, "customer_id": customer})
            }
            ("POST", "/v1/api-keys") => json!({"scope": "viewer"}),
            ("POST", "/v1/webhooks") => json!({"url": "https://hooks.invalid/made"}),
            ("POST", "/v1/spend/evaluate") => json!({
                "cardId": plane.card(&json!({"agentId": agent})), "amount": 1, "currency": "USD",
                "merchant": {"descriptor": "SHOP"},
            }),
            ("POST", "/v1/cards/{id}/intents") => json!({"purpose": "made by the table"}),
            ("POST", "/v1/purchase-requests") => wish(&json!({})),
            ("POST", "/v1/cards/{id}/attestations") => json!({"statement": "made by the table"}),
            ("POST", path) if path.ends_with("/versions") => json!({"policy": {}}),
            ("POST" | "PATCH", _) => json!({}),
            _ => Value::Null,
        }
    }

    /// A request that is well for whoever may make it.
    fn example(&self, method: &str, path: &str) -> (String, Value) {
        let (plane, agent, customer) = (&self.plane, &self.agent, &self.plane.customer);
        if path.starts_with("/v1/access-requests") {
            self.pause();
        }
        let body = self.body(method, path);
        let object = match path.trim_start_matches("/api").split('/').nth(2) {
            _ if !path.contains("{id}") => String::new(),
            Some("customers") => customer.clone(),
            Some("agents") => agent.clone(),
            Some("connections") if path.ends_with("/import") => "sandbox".to_owned(),
            Some("connections") => "priv".to_owned(),
            Some("cards") if path.starts_with("/api") => {
                let body = json!({"label": "x", "limit_usd": 5, "customer_id": customer});
                // The agent's own, so that the agent sees it.
                let agent = &self.keys[3].own;
                id(&value(&plane.ask(agent, "POST", "/api/v1/cards", &body)))
            }
            Some("cards") => plane.card(&json!({"agentId": agent})),
            Some("decisions") => self.decision(),
            Some("purchase-requests") => {
                let agent = &self.keys[3].own;
                let asked = plane.ask(agent, "POST", "/v1/purchase-requests", &wish(&json!({})));
                id(&value(&asked))
            }
            Some("access-requests") => {
                let body = json!({"reason": "made by the table"});
                let agent = &self.keys[3].own;
                id(&value(&plane.ask(
                    agent,
                    "POST",
                    "/v1/access-requests",
                    &body,
                )))
            }
            Some("webhooks") => {
                let body = json!({"url": "https://hooks.invalid/made"});
                id(&plane.owner_asks("POST", "/v1/webhooks", &body, 201))
            }
            Some("api-keys") => {
                let body = json!({"scope": "viewer"});
                id(&plane.owner_asks("POST", "/v1/api-keys", &body, 201))
            }
            _ => panic!("no example for {path}"),
        };
        let path = path.replace("{id}", &object);
        if path.contains("{deliveryId}") {
            let test = format!("/v1/webhooks/{object}/test");
            let made = id(&plane.owner_asks("POST", &test, &Value::Null, 200));
            return (path.replace("{deliveryId}", &made), body);
        }
        if path.contains("{intentId}") {
            let intents = format!("/v1/cards/{object}/intents");
            let intent = json!({"purpose": "made by the table", "intentId": "made"});
            plane.owner_asks("POST", &intents, &intent, 201);
        }
        let path = if path.contains("{version}") {
            self.with_version(&path)
        } else {
            path
        };
        (path.replace("{intentId}", "made"), body)
    }

    /// A version that the request is well for: a draft, or one that was in force.
    fn with_version(&self, path: &str) -> String {
        let (versions, _) = path.split_once("/{version}").unwrap();
        let draft = json!({"policy": {"limits": {"perAuth": 1_000_000}}});
        let made = self.plane.owner_asks("POST", versions, &draft, 201);
        let mut number = made["version"].to_string();
        if path.ends_with("/rollback") {
            let activate = format!("{versions}/{number}/activate");
            self.plane.owner_asks("POST", &activate, &json!({}), 200);
            "1".clone_into(&mut number);
        }
        path.replace("{version}", &number)
    }

    /// A decision on a card of the agent.
    fn decision(&self) -> String {
        let card = self.plane.card(&json!({"agentId": self.agent}));
        self.plane.buy(&card, 100);
        let list = self.plane.get(&format!("/v1/decisions?cardId={card}"));
        id(&list["data"][0])
    }
}
