//! Outgoing webhooks, told to a receiver that checks every signature (behaviour 8.5; S13).

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use countersign::issuer::delivery::Unsigned;
use countersign::issuer::standard_webhooks::{Secret, SignatureHeaders, Verifier};
use serde_json::{Value, json};

use crate::plane::{Plane, code, id};
use crate::server::{find, millis_since, now};

/// What one delivery brought.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Somebody who takes deliveries, or does not.
pub(crate) struct Receiver {
    port: u16,
    status: Arc<AtomicU16>,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Came {
    pub(crate) fn id(&self) -> String {
        self.headers["webhook-id"].clone()
    }

    pub(crate) fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap().to_owned()
    }

    /// Whether it is signed with this secret, an instant ago.
    fn is_signed_with(&self, secret: &str) -> bool {
        let secret = Secret::from_text(secret.to_owned()).unwrap();
        let verifier = Verifier::new(vec![secret], 300, Unsigned::Refuse).unwrap();
        let header = |name: &str| self.headers.get(name).map(String::as_bytes);
        let headers = SignatureHeaders {
            id: header("webhook-id"),
            timestamp: header("webhook-timestamp"),
            signature: header("webhook-signature"),
            repeated: false,
        };
        verifier.verify(&headers, &self.body, now()).is_ok()
    }
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            port: listener.local_addr().unwrap().port(),
            status: Arc::new(AtomicU16::new(200)),
            came: Arc::default(),
        };
        let (status, came) = (Arc::clone(&receiver.status), Arc::clone(&receiver.came));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (status, came) = (Arc::clone(&status), Arc::clone(&came));
                // Whoever hangs up in the middle has said nothing.
                thread::spawn(move || drop(serve(stream.unwrap(), &status, &came)));
            }
        });
        receiver
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hooks?of=ours", self.port)
    }

    pub(crate) fn answers(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }

    /// Waits until this is so of what came.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&[Came]) -> bool) -> Vec<Came> {
        let since = now();
        while millis_since(since) < 30_000 {
            let came = self.came();
            if is_so(&came) {
                return came;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("{what}: {:?}", self.kinds());
    }

    pub(crate) fn until_kind(&self, kind: &str) -> Came {
        let came = self.until(kind, |came| came.iter().any(|it| it.kind() == kind));
        came.into_iter().find(|it| it.kind() == kind).unwrap()
    }

    pub(crate) fn kinds(&self) -> Vec<String> {
        self.came().iter().map(Came::kind).collect()
    }
}

fn serve(stream: TcpStream, status: &AtomicU16, came: &Mutex<Vec<Came>>) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        assert_eq!(line.trim_end(), "POST /hooks?of=ours HTTP/1.1");
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        reader.read_exact(&mut body)?;
        let status = status.load(Ordering::Relaxed);
        came.lock().unwrap().push(Came { headers, body });
        let answer = format!(
            "HTTP/1.1 {status} X\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 4\r\n\r\nbody"
        );
        writer.write_all(answer.as_bytes())?;
    }
}

pub(crate) const HERE: &str = "[webhooks]\nallow_loopback = true\n";

/// A plane whose webhooks may lead here.
pub(crate) fn plane(config: &str, flags: &[&str]) -> Plane {
    let mut plane = Plane::initialised();
    plane.home.write("hooks.toml", config);
    restart(&mut plane, flags);
    plane
}

pub(crate) fn restart(plane: &mut Plane, flags: &[&str]) {
    let config = plane.home.path("hooks.toml").display().to_string();
    let flags = [&["--config", &*config], flags].concat();
    plane.restart_with(&flags);
}

pub(crate) fn webhook(plane: &Plane, url: &str, more: &Value) -> Value {
    let mut body = json!({"url": url});
    let fields = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(fields);
    plane.owner_asks("POST", "/v1/webhooks", &body, 201)
}

fn secret(made: &Value) -> String {
    made["secret"].as_str().unwrap().to_owned()
}

fn post(plane: &Plane, path: &str) -> Value {
    plane.owner_asks("POST", path, &Value::Null, 200)
}

/// Waits until the webhook's deliveries are so.
fn until_deliveries(plane: &Plane, path: &str, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let since = now();
    loop {
        let page = plane.get(path);
        let rows = page["data"].as_array().unwrap().clone();
        if is_so(&rows) {
            return rows;
        }
        assert!(millis_since(since) < 30_000, "{rows:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_receiver_is_told_of_cards_and_declines_and_can_check_who_says_so() {
    let receiver = Receiver::start();
    let plane = plane(HERE, &[]);
    let made = webhook(&plane, &receiver.url(), &json!({"name": "ours"}));
    let card = plane.card(&json!({"policy": {"limits": {"perDay": 500}}}));
    assert_eq!(plane.buy(&card, 400), "APPROVED");
    assert_ne!(plane.buy(&card, 400), "APPROVED");
    let path = format!("/v1/cards/{card}");
    plane.owner_asks("PATCH", &path, &json!({"status": "locked"}), 200);
    plane.owner_asks("PATCH", &path, &json!({"status": "active"}), 200);
    post(&plane, &format!("{path}/freeze"));
    post(&plane, &format!("{path}/unfreeze"));
    plane.owner_asks("DELETE", &path, &Value::Null, 200);
    let declined = receiver.until_kind("decision.declined");
    for kind in [
        "card.created",
        "card.locked",
        "card.unlocked",
        "card.frozen",
        "card.unfrozen",
        "card.canceled",
    ] {
        let came = receiver.until_kind(kind);
        assert_eq!(came.event()["data"]["cardId"], card, "{kind}");
        assert_eq!(came.event()["data"]["customerId"], plane.customer, "{kind}");
    }
    // What is told of a decision is what is shown of it.
    let data = declined.event()["data"].clone();
    let decision = plane.get(&format!("/v1/decisions/{}", id(&data)));
    assert_eq!(data, decision);
    assert_eq!(data["decision"], "decline");
    for came in receiver.came() {
        assert!(came.is_signed_with(&secret(&made)), "{came:?}");
        assert_eq!(came.headers["content-type"], "application/json");
        assert_ne!(came.kind(), "decision.approved", "nobody asked for it");
        assert!(came.event()["timestamp"].is_string());
    }
}

#[test]
fn a_receiver_is_told_of_what_the_issuer_declines_by_itself() {
    let receiver = Receiver::start();
    let plane = plane(HERE, &[]);
    webhook(&plane, &receiver.url(), &json!({}));
    let card = plane.card(&json!({}));
    assert_eq!(plane.declines(&card, "nobody-asked", 400), 200);
    let data = receiver.until_kind("decision.declined").event()["data"].clone();
    assert_eq!(data["reason"], "declined_by_issuer", "{data}");
    let decision = plane.get(&format!("/v1/decisions/{}", id(&data)));
    assert_eq!(data, decision);
}

#[test]
fn approvals_are_told_to_whoever_asks_for_them_alone() {
    let (all, few) = (Receiver::start(), Receiver::start());
    let plane = plane(HERE, &[]);
    webhook(&plane, &all.url(), &json!({"events": ["decision.*"]}));
    webhook(&plane, &few.url(), &json!({"events": ["card.locked"]}));
    let card = plane.card(&json!({}));
    assert_eq!(plane.buy(&card, 400), "APPROVED");
    let path = format!("/v1/cards/{card}");
    plane.owner_asks("PATCH", &path, &json!({"status": "locked"}), 200);
    let approved = all.until_kind("decision.approved").event();
    assert_eq!(approved["data"]["approvedAmount"], 400);
    few.until_kind("card.locked");
    assert_eq!(few.kinds(), ["card.locked"]);
    assert!(!all.kinds().iter().any(|it| it.starts_with("card.")));
}

#[test]
fn an_intent_that_waits_for_a_human_is_told_with_the_agents_words_apart() {
    let receiver = Receiver::start();
    let plane = plane(HERE, &[]);
    webhook(&plane, &receiver.url(), &json!({}));
    let rules = json!({"requireIntent": true, "requireApproval": true});
    let card = plane.card(&json!({"policy": rules}));
    let intent = json!({"purpose": "a book", "intentId": "book"});
    plane.owner_asks("POST", &format!("/v1/cards/{card}/intents"), &intent, 201);
    let told = receiver.until_kind("intent.pending_approval").event()["data"].clone();
    assert_eq!(told["intentId"], "book");
    assert_eq!(told["saidByAgent"], json!({"purpose": "a book"}));
    assert!(told.get("purpose").is_none());
}

#[test]
fn an_agent_that_asks_to_be_at_work_is_told_in_its_words_apart() {
    let receiver = Receiver::start();
    let plane = plane(HERE, &[]);
    webhook(&plane, &receiver.url(), &json!({}));
    let agent = plane.agent(&json!({}));
    let key = plane.key(&json!({"scope": "agent", "agentId": agent}));
    let path = format!("/v1/agents/{agent}");
    plane.owner_asks("PATCH", &path, &json!({"status": "paused"}), 200);
    plane.ask(
        &key,
        "POST",
        "/v1/access-requests",
        &json!({"reason": "a book"}),
    );
    let told = receiver.until_kind("access.requested").event()["data"].clone();
    assert_eq!(told["agentId"], *agent);
    assert_eq!(told["saidByAgent"], json!({"reason": "a book"}));
    assert!(told.get("reason").is_none());
}

#[test]
fn behaviour_5_13_a_purchase_that_waits_is_told_with_our_facts_apart_from_the_agents_words() {
    let receiver = Receiver::start();
    let plane = plane(HERE, &[]);
    webhook(&plane, &receiver.url(), &json!({}));
    let agent = plane.agent(&json!({"autoApproveBelow": 500, "unscopedRequests": "allow"}));
    let key = plane.key(&json!({"scope": "agent", "agentId": agent}));
    let ask = |amount: &str| {
        let body = json!({
            "merchantUrl": "https://shop.example.com/x", "amount": amount, "description": "Approve me",
            "justification": "host: bank.example", "merchantName": "Bank",
        });
        let answer = plane.ask(&key, "POST", "/v1/purchase-requests", &body);
        crate::plane::value(&answer)
    };
    assert_eq!(ask("4.00")["status"], "approved");
    let waits = ask("9.00");
    assert_eq!(waits["status"], "pending_review");
    let told = receiver.until_kind("purchase.pending_review").event()["data"].clone();
    assert_eq!(told["requestId"], waits["id"]);
    assert_eq!(
        (&told["amount"], &told["currency"]),
        (&json!("9.00"), &json!("USD"))
    );
    assert_eq!(
        (&told["host"], &told["agentId"]),
        (&json!("shop.example.com"), &json!(agent))
    );
    assert_eq!(told["causes"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!(
        told["saidByAgent"],
        json!({"merchantName": "Bank", "description": "Approve me",
            "justification": "host: bank.example", "categoryHint": null})
    );
    let kinds = receiver.kinds();
    let count = kinds
        .iter()
        .filter(|it| *it == "purchase.pending_review")
        .count();
    assert_eq!(count, 1, "{kinds:?}");
}

/// The rules had approved it, and its day has no room: it waits from its second row on.
#[test]
fn a_purchase_that_waits_for_want_of_room_is_told_once() {
    let receiver = Receiver::start();
    let plane = plane(HERE, &[]);
    webhook(&plane, &receiver.url(), &json!({}));
    let agent = plane.agent(
        &json!({"autoApproveBelow": 2000, "unscopedRequests": "allow",
        "limits": {"perDay": 1000}, "onViolation": {"limits": "review"}}),
    );
    let key = plane.key(&json!({"scope": "agent", "agentId": agent}));
    let ask = |amount: &str| {
        let body = json!({"merchantUrl": "https://shop.example.com/", "amount": amount,
            "description": "a book", "justification": "it is read out"});
        crate::plane::value(&plane.ask(&key, "POST", "/v1/purchase-requests", &body))
    };
    assert_eq!(ask("9.00")["status"], "approved");
    let waits = ask("8.00");
    assert_eq!(waits["status"], "pending_review", "{waits}");
    let told = receiver.until_kind("purchase.pending_review").event()["data"].clone();
    assert_eq!(told["requestId"], waits["id"]);
    // Once something later has been told, it will not be told of a second time.
    let path = format!(
        "/v1/purchase-requests/{}/deny",
        waits["id"].as_str().unwrap()
    );
    plane.owner_asks("POST", &path, &json!({}), 200);
    plane.card(&json!({}));
    receiver.until_kind("card.created");
    let kinds = receiver.kinds();
    let told = kinds.iter().filter(|it| *it == "purchase.pending_review");
    assert_eq!(told.count(), 1, "{kinds:?}");
}

#[test]
fn s13_a_webhook_that_leads_inside_is_refused_by_name_of_the_field() {
    let plane = Plane::start();
    for url in [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/",
        "https://user:pass@example.com/",
        "nonsense",
    ] {
        let refused = plane.ask(&plane.owner, "POST", "/v1/webhooks", &json!({"url": url}));
        assert_eq!(code(&refused, 400), "invalid_request", "{url}");
        assert!(refused.text().contains("\"field\":\"url\""), "{url}");
    }
    for events in [json!([]), json!(["card.nonsense"]), json!(["*"])] {
        let body = json!({"url": "https://example.com/", "events": events});
        let refused = plane.ask(&plane.owner, "POST", "/v1/webhooks", &body);
        assert_eq!(code(&refused, 400), "invalid_request", "{events}");
        assert!(refused.text().contains("\"field\":\"events"), "{events}");
    }
}

#[test]
fn s13_a_webhook_that_leads_inside_by_now_is_not_connected_to() {
    let receiver = Receiver::start();
    let mut plane = plane(HERE, &[]);
    let made = webhook(&plane, &receiver.url(), &json!({}));
    // Loopback is not allowed any more.
    plane.restart();
    let path = format!("/v1/webhooks/{}", id(&made));
    post(&plane, &format!("{path}/test"));
    let rows = until_deliveries(&plane, &format!("{path}/deliveries"), |rows| {
        rows.iter().any(|row| row["attempts"] == 1)
    });
    let error = rows[0]["lastError"].as_str().unwrap();
    assert!(error.contains("must"), "{error}");
    assert!(receiver.came().is_empty());
}

#[test]
fn a_secret_is_shown_once_kept_sealed_and_rotates_with_an_overlap() {
    let receiver = Receiver::start();
    let mut plane = plane(HERE, &[]);
    let body = json!({"url": receiver.url()});
    let headers = format!(
        "idempotency-key: once\r\n{}",
        crate::plane::bearer(&plane.owner)
    );
    let ask = || plane.ask_with("POST", "/v1/webhooks", &headers, &body.to_string());
    let made: Value = crate::plane::value(&ask());
    let again: Value = crate::plane::value(&ask());
    let first = secret(&made);
    assert!(first.starts_with("whsec_"), "{first}");
    assert_eq!(again["id"], made["id"]);
    assert_eq!(again["secret"], Value::Null);
    let path = format!("/v1/webhooks/{}", id(&made));
    assert_eq!(plane.get(&path)["secret"], Value::Null);
    let rotated = plane.owner_asks("POST", &format!("{path}/rotate"), &json!({}), 200);
    let second = secret(&rotated);
    post(&plane, &format!("{path}/test"));
    let both = receiver.until_kind("webhook.test");
    assert!(both.is_signed_with(&first) && both.is_signed_with(&second));
    let at_once = json!({"overlapHours": 0});
    let third = plane.owner_asks("POST", &format!("{path}/rotate"), &at_once, 200);
    post(&plane, &format!("{path}/test"));
    let came = receiver.until("the third", |came| came.len() == 2);
    assert!(came[1].is_signed_with(&secret(&third)));
    assert!(!came[1].is_signed_with(&first) && !came[1].is_signed_with(&second));
    plane.stop();
    let kept = plane.database.kept(plane.home.data_dir().as_path());
    for secret in [first, second, secret(&third)] {
        assert_eq!(find(&kept, secret.as_bytes()), None);
        let bare = secret.trim_start_matches("whsec_");
        assert_eq!(find(&kept, bare.as_bytes()), None);
    }
}

/// Three days of attempts, moved through in seconds.
#[test]
fn what_nobody_takes_for_days_is_dead_and_can_be_replayed() {
    let receiver = Receiver::start();
    let plane = plane(HERE, &["--sandbox-clock"]);
    let made = webhook(&plane, &receiver.url(), &json!({}));
    let path = format!("/v1/webhooks/{}", id(&made));
    receiver.answers(500);
    let test = id(&post(&plane, &format!("{path}/test")));
    let deliveries = format!("{path}/deliveries");
    let pauses = [
        5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400, 86_400,
    ];
    for (attempts, pause) in (1..).zip(pauses) {
        let rows = until_deliveries(&plane, &deliveries, |rows| rows[0]["attempts"] == attempts);
        assert_eq!(rows[0]["state"], "waiting", "{attempts}");
        assert_eq!(rows[0]["lastStatus"], 500);
        assert_eq!(rows[0]["lastError"], "it answered 500");
        // The longest that chance adds, and a second.
        plane.advance(pause + pause / 5 + 1);
    }
    until_deliveries(&plane, &deliveries, |rows| rows[0]["state"] == "dead");
    let dead = plane.get(&format!("{deliveries}?state=dead"));
    assert_eq!(dead["data"][0]["id"], test.as_str());
    assert_eq!(
        plane.get(&format!("{deliveries}?state=waiting"))["data"],
        json!([])
    );
    let came = receiver.came();
    assert_eq!(came.len(), 11);
    assert!(
        came.iter().all(|it| it.id() == test),
        "the same id each time"
    );
    let shown = plane.get(&path);
    assert_eq!(shown["enabled"], true);
    assert!(shown["failingSince"].is_string());
    // It takes nothing for longer than five days.
    plane.advance(3 * 86_400);
    post(&plane, &format!("{path}/test"));
    until_deliveries(&plane, &deliveries, |rows| rows[0]["attempts"] == 1);
    let shown = plane.get(&path);
    assert_eq!(shown["enabled"], false);
    let because = shown["disabledBecause"].as_str().unwrap();
    assert!(because.contains("five days"), "{because}");
    let replay = format!("{deliveries}/{test}/replay");
    let refused = plane.ask(&plane.owner, "POST", &replay, &Value::Null);
    assert_eq!(code(&refused, 409), "webhook_disabled");
    until_metric(&plane, "countersign_webhook_disabled 1");
    until_metric(&plane, "countersign_webhook_dead 1");
    receiver.answers(204);
    let enabled = plane.owner_asks("PATCH", &path, &json!({"enabled": true}), 200);
    assert_eq!(enabled["failingSince"], Value::Null);
    post(&plane, &replay);
    let done = format!("{deliveries}?state=done");
    let done = until_deliveries(&plane, &done, |rows| rows.len() == 2);
    assert_eq!(done[1]["id"], test.as_str());
    assert_eq!(done[1]["lastStatus"], 204);
    assert_eq!(done[1]["lastError"], Value::Null);
    until_metric(&plane, "countersign_webhook_dead 0");
}

pub(crate) fn until_metric(plane: &Plane, line: &str) {
    let since = now();
    while !plane.server().admin_text("/metrics").contains(line) {
        assert!(millis_since(since) < 20_000, "no `{line}`");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_redirect_is_not_followed_and_gone_is_taken_at_its_word() {
    let receiver = Receiver::start();
    let plane = plane(HERE, &[]);
    let made = webhook(&plane, &receiver.url(), &json!({}));
    let path = format!("/v1/webhooks/{}", id(&made));
    receiver.answers(302);
    post(&plane, &format!("{path}/test"));
    let deliveries = format!("{path}/deliveries");
    let rows = until_deliveries(&plane, &deliveries, |rows| rows[0]["attempts"] == 1);
    assert_eq!(rows[0]["lastError"], "it redirects, which is not followed");
    receiver.answers(410);
    until_deliveries(&plane, &deliveries, |rows| rows[0]["state"] == "dead");
    let shown = plane.get(&path);
    assert_eq!(shown["enabled"], false);
    assert_eq!(shown["disabledBecause"], "the receiver answered 410 Gone");
    // Nothing more is kept for it.
    plane.card(&json!({}));
    assert_eq!(plane.get(&deliveries)["data"].as_array().unwrap().len(), 1);
}

#[test]
fn what_waits_is_bounded_and_what_is_not_kept_is_counted() {
    let plane = plane("[webhooks]\nallow_loopback = true\nbacklog_max = 10\n", &[]);
    // Nobody listens on this port.
    let made = webhook(&plane, "http://127.0.0.1:9/hooks", &json!({}));
    for _ in 0..10 {
        plane.card(&json!({}));
    }
    let path = format!("/v1/webhooks/{}", id(&made));
    let since = now();
    while plane.get(&path)["backlogFull"] != true {
        assert!(millis_since(since) < 20_000);
        thread::sleep(Duration::from_millis(50));
    }
    for _ in 0..3 {
        plane.card(&json!({}));
    }
    assert_eq!(plane.get(&path)["dropped"], 3);
    let rows = plane.get(&format!("{path}/deliveries"));
    assert_eq!(rows["data"].as_array().unwrap().len(), 10);
    until_metric(&plane, "countersign_webhook_dropped 3");
    assert!(
        plane
            .server()
            .admin_text("/readyz")
            .contains("webhook_backlog_full")
    );
}

#[test]
fn a_kill_loses_no_decision_and_doubles_none() {
    let receiver = Receiver::start();
    let mut plane = plane(HERE, &[]);
    let made = webhook(&plane, &receiver.url(), &json!({"events": ["decision.*"]}));
    let card = plane.card(&json!({}));
    let mut bought = 0;
    for _ in 0..4 {
        for _ in 0..5 {
            assert_eq!(plane.buy(&card, 1), "APPROVED");
            bought += 1;
        }
        plane.kill();
        restart(&mut plane, &[]);
    }
    let decisions = |came: &[Came]| {
        let mut by_decision: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for came in came {
            let decision = &came.event()["data"]["authorization"];
            let decision = decision.as_str().unwrap().to_owned();
            by_decision.entry(decision).or_default().push(came.id());
        }
        by_decision
    };
    let approved = |came: &[Came]| {
        let all = came.iter().filter(|it| it.kind() == "decision.approved");
        decisions(&all.cloned().collect::<Vec<_>>()).len()
    };
    let came = receiver.until("every approval", |came| approved(came) == bought);
    for (decision, ids) in decisions(&came) {
        let once = ids.iter().all(|it| *it == ids[0]);
        assert!(once, "{decision} came under {ids:?}");
    }
    assert!(came.iter().all(|it| it.is_signed_with(&secret(&made))));
}

#[test]
fn a_key_of_one_customer_sees_and_tells_its_own_alone() {
    let (own, all) = (Receiver::start(), Receiver::start());
    let plane = plane(HERE, &[]);
    let other = id(&plane.owner_asks("POST", "/v1/customers", &json!({}), 201));
    let key = plane.key(&json!({"scope": "owner", "customerId": other}));
    let made = plane.ask(&key, "POST", "/v1/webhooks", &json!({"url": own.url()}));
    assert_eq!(made.status, 201, "{}", made.text());
    let of_all = webhook(&plane, &all.url(), &json!({}));
    let path = format!("/v1/webhooks/{}", id(&of_all));
    for (method, path) in [
        ("GET", path.clone()),
        ("DELETE", path.clone()),
        ("GET", format!("{path}/deliveries")),
        ("POST", format!("{path}/test")),
        ("POST", format!("{path}/rotate")),
    ] {
        let refused = plane.ask(&key, method, &path, &Value::Null);
        assert_eq!(code(&refused, 404), "not_found", "{method} {path}");
    }
    plane.card(&json!({}));
    plane.card(&json!({"customerId": other}));
    all.until("both cards", |came| came.len() == 2);
    own.until("its own card", |came| came.len() == 1);
    assert_eq!(own.came()[0].event()["data"]["customerId"], other.as_str());
    plane.owner_asks("DELETE", &path, &Value::Null, 200);
    let gone = plane.ask(&plane.owner, "GET", &path, &Value::Null);
    assert_eq!(code(&gone, 404), "not_found");
}
