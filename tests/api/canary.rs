//! Card numbers, CVVs, keys, secrets and bodies pushed through every input and every refusal, and then
//! looked for in everything that is kept or said (behaviour 8.4; S15).

use std::fs;
use std::path::Path;

use countersign::cold::api::routes::routes;
use countersign::issuer::standard_webhooks::{Secret, sign};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::plane::{Plane, bearer, code, program, request};
use crate::purchases::{Buyer, buyer, wish};
use crate::server::{Client, find, now, purchase, said};
use crate::webhooks::{HERE, Receiver, plane as plane_with, webhook};

/// With the check digit that a card number has; in one piece and as people write it.
const NUMBER: &str = "4539578763621486";
const SPACED: &str = "4539 5787 6362 1486";
const CVV: &str = "cvv-canary-7391";
const BODY: &str = "body-canary-c41d";
const KEY: &str = "cs_test_canary-of-a-key-0123456789";
const SECRET: &str = "whsec_Y2FuYXJ5LW9mLWEtd2ViaG9vay1zZWNyZXQh";
const CANARIES: [&str; 6] = [NUMBER, SPACED, CVV, BODY, KEY, SECRET];

/// Where a secret is meant to be: its own file.
const SECRET_FILES: [&str; 4] = ["secret", "secret-stripe", "secret-marqeta", "token.secret"];

/// The first canary in these bytes.
fn found(bytes: &[u8], more: &[&str]) -> Option<String> {
    let mut canaries = CANARIES.iter().chain(more);
    let canary = canaries.find(|canary| find(bytes, canary.as_bytes()).is_some());
    canary.map(|canary| (*canary).to_owned())
}

/// Every file below, but for those where a secret belongs.
fn scan(folder: &Path, more: &[&str], places: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            scan(&path, more, places);
        } else if !SECRET_FILES.contains(&&*name)
            && let Some(canary) = found(&fs::read(&path).unwrap(), more)
        {
            places.push(format!("{}: {canary}", path.display()));
        }
    }
}

/// Bodies that carry canaries where fields are known, where they are not, and where nothing is read.
fn bodies(plane: &Plane) -> Vec<String> {
    let customer = &plane.customer;
    let mut bodies = vec![
        format!(r#"{{"{BODY}":"{NUMBER}","cvv":"{CVV}"}}"#),
        format!(r#"{{"customerId":"{customer}","number":"{NUMBER}","cvv":"{CVV}"}}"#),
        format!(r#"{{"name":"{CVV}" "{BODY}""#),
        format!(r#"["{NUMBER}"]"#),
        NUMBER.to_owned(),
    ];
    for number in [NUMBER, SPACED] {
        for field in [
            "name",
            "externalId",
            "cardId",
            "agentId",
            "scope",
            "timezone",
            "status",
        ] {
            bodies.push(json!({"customerId": customer, field: number}).to_string());
            bodies.push(json!({field: number, "scope": "viewer"}).to_string());
        }
        for list in [
            "allowedMerchants",
            "blockedMerchants",
            "allowedMccs",
            "activeHours",
        ] {
            let policy = json!({list: [format!("SHOP {number}")]});
            bodies.push(json!({"customerId": customer, "policy": policy}).to_string());
            bodies.push(json!({"policy": {number: 1}}).to_string());
        }
        let merchant = json!({"descriptor": number, "mcc": "5812", "country": "USA"});
        bodies.push(json!({"merchant": merchant, "amount": 1, "currency": "USD"}).to_string());
    }
    bodies
}

/// Every route, with an owner's key and without one.
fn push_through_the_api(plane: &Plane) {
    let good = bearer(&plane.owner);
    let bad = bearer(KEY);
    for route in routes() {
        let method = route.method.as_str();
        let card = plane.card(&json!({}));
        for id in [NUMBER, &card, CVV] {
            let path = route.path.replace("{id}", id);
            let query = format!("{path}?cursor={NUMBER}&{BODY}={CVV}");
            for body in bodies(plane) {
                let keyed = format!(
                    "{good}idempotency-key: {}\r\nx-card: {NUMBER}\r\n",
                    body.len()
                );
                plane.ask_with(method, &path, &keyed, &body);
            }
            for headers in [
                bad.clone(),
                format!("authorization: Basic {KEY}\r\n"),
                format!("{good}idempotency-key: {NUMBER}\r\n"),
                format!("{good}cookie: {CVV}\r\nuser-agent: {NUMBER}\r\n"),
            ] {
                plane.ask_with(method, &path, &headers, "{}");
                plane.ask_with(method, &query, &headers, "");
            }
        }
    }
    plane.ask_with("GET", &format!("/v1/{NUMBER}"), &good, "");
    plane.ask_with(NUMBER, "/v1/cards", &good, "");
}

/// Every shape of an issuer, signed and not, whole and broken; and the operators' paths.
fn push_through_issuers_and_operators(plane: &Plane) {
    let card = plane.card(&json!({}));
    let path = plane.home.data_dir().join("sandbox/secret");
    let own = fs::read_to_string(path).unwrap().trim_end().to_owned();
    let token = plane.token_of(&card);
    let id = format!("canary-{}", now().micros());
    let whole = purchase(&id, &token, 100);
    let mut with_more: Value = serde_json::from_str(&whole).unwrap();
    with_more["card"]["pan"] = json!(NUMBER);
    with_more["card"]["cvv"] = json!(CVV);
    with_more[BODY] = json!([SPACED, {NUMBER: SECRET}]);
    with_more["merchant"]["descriptor"] = json!(format!("SHOP {NUMBER}"));
    let mut broken = with_more.clone();
    broken["amount"] = json!(BODY);
    let bodies = [
        with_more.to_string(),
        broken.to_string(),
        format!("{{{BODY}{NUMBER}"),
    ];
    for connection in ["sandbox", "sandbox-stripe", "sandbox-marqeta", NUMBER] {
        for kind in ["authorizations", "events", BODY] {
            let path = format!("/issuers/{connection}/{kind}");
            for body in &bodies {
                for secret in [own.as_str(), SECRET] {
                    let secret = Secret::from_text(secret.to_owned()).unwrap();
                    let signed = sign(&secret, CVV, now(), body.as_bytes());
                    let headers = format!(
                        "webhook-id: {}\r\nwebhook-timestamp: {}\r\nwebhook-signature: {}\r\n\
                         stripe-signature: {SECRET}\r\nauthorization: Basic {KEY}\r\n",
                        signed.id, signed.timestamp, signed.signature
                    );
                    let text = request("POST", &path, &headers, body);
                    plane.server().client().ask(text.as_bytes());
                }
            }
        }
    }
    for (method, path) in [
        (
            "GET",
            format!("/admin/decisions?card={NUMBER}&{BODY}={CVV}"),
        ),
        ("GET", format!("/admin/cards/{NUMBER}")),
        ("POST", format!("/admin/cards/{NUMBER}/lock")),
        ("POST", format!("/admin/agents/{NUMBER}/pause?{BODY}={CVV}")),
        ("POST", format!("/admin/reload?{BODY}={NUMBER}")),
    ] {
        let text = request(method, &path, &bearer(KEY), "");
        Client::connect(plane.server().ops).ask(text.as_bytes());
    }
}

/// What a command says of a configuration that has a secret where none belongs.
fn refusals(plane: &Plane) -> String {
    let mut all = String::new();
    for config in [
        format!("[[issuer]]\nname = \"a\"\nkind = \"lithic\"\nsecrets = [\"{SECRET}\"]\n"),
        format!("[[issuer]]\nname = \"a\"\nkind = \"lithic\"\nsecrets = \"{SECRET}\"\n"),
        format!("database = \"postgres://a:{KEY}@127.0.0.1/x\"\n"),
        format!("database = \"{SECRET}\"\n"),
    ] {
        plane.home.write("canary.toml", &config);
        let mut command = program("serve", &plane.home, &plane.database);
        command.env_remove("COUNTERSIGN_DATABASE").arg("--config");
        let (status, text) = said(command.arg(plane.home.path("canary.toml")).output());
        assert_eq!(status, Some(2), "{text}");
        all.push_str(&text);
    }
    fs::remove_file(plane.home.path("canary.toml")).unwrap();
    all
}

#[test]
fn s15_canaries_pushed_through_every_input_are_found_nowhere() {
    let mut plane = Plane::start();
    push_through_the_api(&plane);
    push_through_issuers_and_operators(&plane);
    let mut told = refusals(&plane);
    told.push_str(&plane.server().admin_text("/metrics"));
    told.push_str(&plane.server().admin_text("/admin/decisions?limit=100"));
    told.push_str(&plane.get("/v1/audit?limit=200").to_string());
    told.push_str(&plane.get("/v1/customers?limit=200").to_string());
    // As whoever looks at what a killed process has left.
    plane.kill();
    let owner = plane.owner.clone();
    let own = [owner.as_str()];
    let mut places = Vec::new();
    scan(plane.home.path("data").parent().unwrap(), &own, &mut places);
    let kept = plane.database.kept(&plane.home.data_dir());
    places.extend(found(&kept, &own).map(|canary| format!("the database: {canary}")));
    places.extend(found(told.as_bytes(), &own).map(|canary| format!("an answer: {canary}")));
    assert!(places.is_empty(), "{places:#?}");
}

#[test]
fn s15_a_card_number_is_refused_where_it_would_be_kept() {
    let plane = Plane::start();
    for (path, body, field) in [
        (
            "/v1/customers",
            json!({"name": format!("Ada {SPACED}")}),
            "name",
        ),
        (
            "/v1/agents",
            json!({"customerId": plane.customer, "externalId": NUMBER}),
            "externalId",
        ),
        (
            "/v1/cards",
            json!({"customerId": plane.customer,
            "policy": {"allowedMerchants": ["x", NUMBER]}}),
            "policy.allowedMerchants[1]",
        ),
    ] {
        let refused = plane.ask(&plane.owner, "POST", path, &body);
        assert_eq!(code(&refused, 400), "invalid_request");
        let text = refused.text();
        assert!(text.contains(&format!("\"field\":\"{field}\"")), "{text}");
        assert!(found(text.as_bytes(), &[]).is_none(), "{text}");
    }
    let path = format!("/v1/cards/{}/intents", plane.card(&json!({})));
    let number: u64 = NUMBER.parse().unwrap();
    let free = |value: Value| json!({"purpose": "x", "metadata": {"order": [value]}});
    for value in [json!(number), json!(NUMBER)] {
        let refused = plane.ask(&plane.owner, "POST", &path, &free(value));
        assert_eq!(code(&refused, 400), "invalid_request");
        assert!(refused.text().contains("metadata.order[0]"));
    }
    plane.owner_asks("POST", &path, &free(json!(number + 1)), 201);
    // Digits that are no card number are a name like any other.
    for name in [
        "4539578763621487",
        "0000000000000000",
        "12",
        "a4539578763621486b",
    ] {
        plane.owner_asks("POST", "/v1/customers", &json!({"name": name}), 201);
    }
}

/// Card numbers as programs copy them, and as people disguise them.
const SPELLINGS: [&str; 11] = [
    NUMBER,
    SPACED,
    "4539-5787-6362-1486",
    "4539.5787.6362.1486",
    "4539/5787/6362/1486",
    "4539_5787_6362_1486",
    "4539\u{a0}5787\u{a0}6362\u{a0}1486",
    "4539\u{200b}5787\u{200b}6362\u{200b}1486",
    "pay4539578763621486now",
    "\u{ff14}\u{ff15}\u{ff13}\u{ff19}\u{ff15}\u{ff17}\u{ff18}\u{ff17}\u{ff16}\u{ff13}\u{ff16}\u{ff12}\u{ff11}\u{ff14}\u{ff18}\u{ff16}",
    "4539, 5787, 6362, 1486",
];
/// Where addresses of pages have them.
const ADDRESSES: [&str; 7] = [
    "https://shop.example.com/4539578763621486",
    "https://shop.example.com/pay?pan=4539578763621486",
    "https://shop.example.com/4539%205787%206362%201486",
    "https://shop.example.com/pay?pan=4539+5787+6362+1486",
    "https://shop.example.com/item4539578763621486.html#x",
    "https://shop.example.com/%34%35%33%39%35%37%38%37%36%33%36%32%31%34%38%36",
    "https://a4539578763621486.example.com/",
];

/// Whether the digits of the canary stand in it, whatever stands between them.
fn has_canary(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.contains(NUMBER) || CANARIES.iter().any(|it| text.contains(it))
}

/// Behaviour 5.13, 8.4: nobody is told a card number that an agent has written, and no page shows one.
#[test]
fn s15_a_card_number_of_an_agents_reaches_no_notice_and_no_page() {
    let plane = plane_with(HERE, &[]);
    let (chat, program) = (Receiver::start(), Receiver::start());
    webhook(
        &plane,
        &chat.url(),
        &json!({"channel": "slack", "oneTimeLinks": true}),
    );
    webhook(&plane, &program.url(), &json!({"events": ["purchase.*"]}));
    let buyer = buyer(&plane, &json!({"autoApproveBelow": 500}));
    let fields = [
        "merchantName",
        "description",
        "justification",
        "categoryHint",
        "idempotencyKey",
    ];
    let texts = fields
        .iter()
        .flat_map(|field| SPELLINGS.map(|text| (*field, text)));
    let texts = texts.chain(ADDRESSES.map(|address| ("merchantUrl", address)));
    // One agent asks 60 times in a minute.
    let agents: Vec<Buyer> = (0..2).map(|_| self::buyer(&plane, &json!({}))).collect();
    for (at, (field, text)) in texts.enumerate() {
        let body = wish(&json!({field: text}));
        let refused = plane.ask(&agents[at % 2].key, "POST", "/v1/purchase-requests", &body);
        assert_eq!(code(&refused, 400), "invalid_request", "{field}: {text}");
        assert!(
            refused.text().contains(&format!("\"field\":\"{field}\"")),
            "{}",
            refused.text()
        );
        assert!(!has_canary(&refused.text()), "{}", refused.text());
    }
    // What is told of one that nothing is wrong with.
    let waits = buyer.asks(&plane, &json!({"description": "Order 12345, 2 pieces"}));
    let came = chat.until("a message", |came| !came.is_empty());
    let event = program.until("an event", |came| !came.is_empty());
    assert_eq!((came.len(), event.len()), (1, 1), "of nothing else");
    let text = came[0].event().to_string();
    let (_, rest) = text.split_once("/review/").unwrap();
    let token = rest.get(..43).unwrap();
    let page = Browser::new(&plane).get(&format!("/review/{token}")).text();
    for told in [
        &text,
        &event[0].event().to_string(),
        &page,
        &waits.to_string(),
    ] {
        assert!(told.contains("Order 12345") && !has_canary(told), "{told}");
    }
    let kept = plane.database.kept(&plane.home.data_dir());
    assert_eq!(found(&kept, &[]), None);
}

#[test]
fn s15_a_crash_leaves_no_core_however_the_limit_stands() {
    let Rlimit { current, maximum } = getrlimit(Resource::Core);
    let current = maximum.or(current);
    setrlimit(Resource::Core, Rlimit { current, maximum }).unwrap();
    let plane = Plane::start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", plane.server().id())).unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{limits}");
    plane.server().signal(Signal::SEGV);
}
