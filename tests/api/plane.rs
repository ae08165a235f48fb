//! A server whose database rules, and who asks it: people with keys, and the sandbox issuer with
//! signatures.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use countersign::issuer::standard_webhooks::{Secret, sign};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::database::Database;
use crate::server::{
    Client, Home, Response, Server, binary, millis_since, now, purchase, said, with_names,
};

const ANYWHERE: &str = "127.0.0.1:0";
const LISTENERS: [&str; 3] = ["--issuer-listen", "--listen", "--ops-listen"];

/// A data directory that was initialised, and perhaps a server on it.
pub(crate) struct Plane {
    pub(crate) home: Home,
    pub(crate) database: Database,
    pub(crate) owner: String,
    pub(crate) customer: String,
    server: Option<Server>,
}

impl Plane {
    /// Initialised and running.
    pub(crate) fn start() -> Self {
        let mut plane = Self::initialised();
        plane.restart();
        plane
    }

    pub(crate) fn initialised() -> Self {
        Self::initialised_in(Database::fresh())
    }

    pub(crate) fn initialised_in(database: Database) -> Self {
        let home = Home::new("strict", &json!({}));
        let said = init(&home, &database, &["--name", "Ada"]);
        Self {
            database,
            owner: word_after(&said, "owner key"),
            customer: word_after(&said, "customer"),
            home,
            server: None,
        }
    }

    /// Of what is there already.
    pub(crate) fn of(home: Home, database: Database, owner: String, customer: String) -> Self {
        Self {
            home,
            database,
            owner,
            customer,
            server: None,
        }
    }

    pub(crate) fn restart(&mut self) {
        self.restart_with(&[]);
    }

    /// Starts a server, on what the one before has left.
    pub(crate) fn restart_with(&mut self, flags: &[&str]) {
        self.server = None;
        let mut command = program("serve", &self.home, &self.database);
        for listener in LISTENERS {
            command.args([listener, ANYWHERE]);
        }
        self.server = Some(self.home.spawn({
            command.args(flags);
            command
        }));
    }

    pub(crate) fn kill(&mut self) {
        if let Some(server) = self.server.take() {
            server.kill();
        }
    }

    /// SIGTERM, and how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.server().signal(Signal::TERM);
        self.ended()
    }

    /// How it has ended by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.server.take().unwrap().wait()
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        let url = self.server().ready["listen"].as_str().unwrap().to_owned();
        url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// Asks with these headers, each ended by a line break.
    pub(crate) fn ask_with(&self, method: &str, path: &str, headers: &str, body: &str) -> Response {
        Client::connect(self.listen()).ask(request(method, path, headers, body).as_bytes())
    }

    pub(crate) fn ask(&self, key: &str, method: &str, path: &str, body: &Value) -> Response {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.ask_with(method, path, &bearer(key), &body)
    }

    /// Moves the server's time forward; it has to run with `--sandbox-clock`.
    pub(crate) fn advance(&self, seconds: u32) {
        let path = format!("/admin/clock/advance?seconds={seconds}");
        let advanced = self.server().post(&path);
        assert_eq!(advanced.status, 200, "{}", advanced.text());
    }

    /// Asks as the owner; the answer must have this status.
    pub(crate) fn owner_asks(&self, method: &str, path: &str, body: &Value, status: u16) -> Value {
        let response = self.ask(&self.owner, method, path, body);
        assert_eq!(
            response.status,
            status,
            "{method} {path}: {}",
            response.text()
        );
        value(&response)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.owner_asks("GET", path, &Value::Null, 200)
    }

    /// A card of the first customer.
    pub(crate) fn card(&self, more: &Value) -> String {
        let mut body = json!({"customerId": self.customer});
        let fields = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        let card = self.owner_asks("POST", "/v1/cards", &body, 201);
        id(&card)
    }

    pub(crate) fn agent(&self, policy: &Value) -> String {
        let body = json!({"customerId": self.customer, "policy": policy});
        id(&self.owner_asks("POST", "/v1/agents", &body, 201))
    }

    pub(crate) fn key(&self, body: &Value) -> String {
        let made = self.owner_asks("POST", "/v1/api-keys", body, 201);
        made["key"].as_str().unwrap().to_owned()
    }

    /// The sandbox's name of a card.
    pub(crate) fn token_of(&self, card: &str) -> String {
        let lines = fs::read_to_string(self.home.data_dir().join("sandbox/cards.jsonl")).unwrap();
        let cards = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut cards = cards.filter(|line| line["card"]["id"] == card);
        let line = cards
            .next()
            .unwrap_or_else(|| panic!("the sandbox has no {card}"));
        line["card"]["issuerToken"].as_str().unwrap().to_owned()
    }

    /// A purchase with the card, signed, at the issuers' listener: the result in Lithic's words. Where
    /// a busy machine has missed the sandbox's deadline, it is asked for again.
    pub(crate) fn buy(&self, card: &str, amount: u64) -> String {
        let since = now();
        while millis_since(since) < 60_000 {
            let (id, result) = self.charge_once(card, amount, &[]);
            if result == "APPROVED" || self.was_decided_by_a_rule(&id) {
                return result;
            }
        }
        panic!("no purchase was decided in time");
    }

    /// One purchase with these words changed; its id, and the answer, which may have come too late.
    pub(crate) fn charge_once(
        &self,
        card: &str,
        amount: u64,
        changes: &[(&str, &str)],
    ) -> (String, String) {
        // Two threads may buy in one microsecond, and an id is one purchase.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("buy-{}-{count}", now().micros());
        let mut body = purchase(&id, &self.token_of(card), amount);
        for (from, to) in changes {
            assert!(body.contains(from), "{from}");
            body = body.replace(from, to);
        }
        let result = self.sandbox_sends("authorizations", &id, &body).result();
        (id, result)
    }

    /// Tells that the whole authorization was posted; the answer's status.
    pub(crate) fn clear(&self, card: &str, authorization: &str, amount: u64) -> u16 {
        self.tells(&self.cleared(card, authorization, amount))
    }

    /// The same, by another shop.
    pub(crate) fn clear_elsewhere(&self, card: &str, authorization: &str, amount: u64) -> u16 {
        let mut event: Value =
            serde_json::from_str(&self.cleared(card, authorization, amount)).unwrap();
        event["merchant"]["acceptor_id"] = json!("ANOTHER00000001");
        event["merchant"]["descriptor"] = json!("ANOTHER SHOP");
        self.tells(&event.to_string())
    }

    /// Tells that the issuer has declined it by itself.
    pub(crate) fn declines(&self, card: &str, authorization: &str, amount: u64) -> u16 {
        const FIXTURE: &str = include_str!("../../fixtures/lithic/event.declined.json");
        self.tells(&with_names(
            FIXTURE,
            authorization,
            &self.token_of(card),
            amount,
        ))
    }

    fn cleared(&self, card: &str, authorization: &str, amount: u64) -> String {
        const FIXTURE: &str = include_str!("../../fixtures/lithic/event.cleared.json");
        with_names(FIXTURE, authorization, &self.token_of(card), amount)
    }

    fn tells(&self, event: &str) -> u16 {
        let id = format!("clear-{}", now().micros());
        self.sandbox_sends("events", &id, event).status
    }

    fn sandbox_sends(&self, what: &str, id: &str, body: &str) -> Response {
        let path = self.home.data_dir().join("sandbox/secret");
        let secret = fs::read_to_string(path).unwrap().trim_end().to_owned();
        let secret = Secret::from_text(secret).unwrap();
        let signed = sign(&secret, id, now(), body.as_bytes());
        let headers = format!(
            "webhook-id: {}\r\nwebhook-timestamp: {}\r\nwebhook-signature: {}\r\n",
            signed.id, signed.timestamp, signed.signature
        );
        let request = request("POST", &format!("/issuers/sandbox/{what}"), &headers, body);
        self.server().client().ask(request.as_bytes())
    }

    /// What came too late is recorded so, or not at all; a record is there within 100 ms.
    fn was_decided_by_a_rule(&self, authorization: &str) -> bool {
        let path = format!("/admin/decisions?authorization={authorization}");
        let late = ["deadline_exceeded", "overloaded", "ledger_unavailable"];
        let since = now();
        while millis_since(since) < 1_000 {
            let decisions = self.server().admin(&path)["decisions"].clone();
            if let Some(reason) = decisions[0]["reason"].as_str() {
                return !late.contains(&reason);
            }
            thread::sleep(Duration::from_millis(2));
        }
        false
    }
}

/// How a server that should not start has ended, and what it has said.
pub(crate) fn refused(plane: &Plane) -> (Option<i32>, String) {
    let mut command = program("serve", &plane.home, &plane.database);
    for flag in LISTENERS {
        command.args([flag, ANYWHERE]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let since = now();
    while child.try_wait().unwrap().is_none() {
        if millis_since(since) > 60_000 {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(5));
    }
    said(child.wait_with_output())
}

/// A subcommand, told where its data is.
pub(crate) fn program(name: &str, home: &Home, database: &Database) -> Command {
    let mut command = binary();
    command.arg(name).arg("--data-dir").arg(home.data_dir());
    command.envs(database.environment());
    command
}

pub(crate) fn init(home: &Home, database: &Database, flags: &[&str]) -> String {
    let mut command = program("init", home, database);
    let (status, said) = said(command.args(flags).output());
    assert_eq!(status, Some(0), "{said}");
    said
}

pub(crate) fn word_after(said: &str, label: &str) -> String {
    let line = said.lines().find_map(|line| line.strip_prefix(label));
    line.unwrap_or_else(|| panic!("no `{label}`: {said}"))
        .trim()
        .to_owned()
}

pub(crate) fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}\r\n")
}

pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let kind = if body.is_empty() {
        ""
    } else {
        "content-type: application/json\r\n"
    };
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nhost: countersign\r\n{kind}{headers}content-length: \
         {length}\r\n\r\n{body}"
    )
}

pub(crate) fn value(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{}", response.text()))
}

pub(crate) fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

/// The code of a problem, which must be of this status.
pub(crate) fn code(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(
        response.header("content-type"),
        Some("application/problem+json")
    );
    let problem = value(response);
    assert_eq!(problem["status"], status);
    assert_eq!(problem["type"], "about:blank");
    problem["code"].as_str().unwrap().to_owned()
}
