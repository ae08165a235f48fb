//! A server with a connection of each kind, and requests to it.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign::domain::time::Timestamp;
use countersign::issuer::stripe;
use serde_json::{Value, json};

use crate::server::{Home, Response, Server, millis_since, now, said};

pub(crate) const STRIPE_SECRET: &str = "whsec_4f1c2d3e4b5a69788796a5b4c3d2e1f0";
pub(crate) const CREDENTIALS: &str = "countersign:Correct-Horse-Battery-9";
pub(crate) const HEADER_VALUE: &str = "a-fixed-value-of-one-header";
pub(crate) const STRIPE_CARD: &str = "ic_1QwErTyUiOpAsDfGhJkLzXcV";
pub(crate) const MARQETA_CARD: &str = "5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142";

/// One customer in US dollars with a card at each issuer, which may spend 250.00 at once and 300.00 a
/// day; `more` are further rules of both cards.
fn snapshot(more: &Value) -> Value {
    let card = |id: &str, connection: &str, token: &str| {
        let mut policy = json!({"limits": {"perAuth": 25_000, "perDay": 30_000}});
        for (name, value) in more.as_object().unwrap() {
            policy[name] = value.clone();
        }
        json!({
            "id": id, "connection": connection, "issuerToken": token, "customerId": "cus_1",
            "policy": policy,
        })
    };
    json!({
        "schema": 1,
        "customers": [{"id": "cus_1", "currency": "USD", "timezone": crate::server::zone_at_noon()}],
        "agents": [],
        "cards": [
            card("card_stripe", "striped", STRIPE_CARD),
            card("card_marqeta", "mq", MARQETA_CARD),
            card("card_lithic", "lit", MARQETA_CARD),
        ],
    })
}

/// A home with the connections `striped` and `mq`; `more` are further keys of theirs.
pub(crate) fn home(durability: &'static str, keys: [&str; 2]) -> Home {
    home_with(durability, keys, &json!({}))
}

/// The same, where both cards have further rules.
pub(crate) fn home_with(
    durability: &'static str,
    [stripe, marqeta]: [&str; 2],
    rules: &Value,
) -> Home {
    let home = Home::new(durability, &snapshot(rules));
    home.write("stripe.secret", STRIPE_SECRET);
    home.write("mq.secret", CREDENTIALS);
    home.write("mq.header", HEADER_VALUE);
    let file = |name: &str| home.path(name).display().to_string();
    let config = format!(
        "[[issuer]]\nname = \"striped\"\nkind = \"stripe\"\nsecrets = [\"file:{}\"]\n\
         deadline_ms = 1500\n{stripe}\n\
         [[issuer]]\nname = \"mq\"\nkind = \"marqeta\"\nsecrets = [\"file:{}\"]\n\
         deadline_ms = 2500\nheaders = {{ x-countersign = [\"file:{}\"] }}\n{marqeta}\n\
         [[issuer]]\nname = \"lit\"\nkind = \"lithic\"\nsecrets = [\"file:{}\"]\n\
         deadline_ms = 5000\n",
        file("stripe.secret"),
        file("mq.secret"),
        file("mq.header"),
        file("acme.secret"),
    );
    home.write("config.toml", &config);
    home
}

pub(crate) fn fixture(path: &str) -> String {
    let path = format!("{}/fixtures/{path}.json", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn stripe_header(at: Timestamp, body: &str) -> String {
    let secret = stripe::Secret::from_text(STRIPE_SECRET.to_owned()).unwrap();
    format!(
        "Stripe-Signature: {}\r\n",
        stripe::sign(&secret, at, body.as_bytes())
    )
}

pub(crate) fn marqeta_headers(credentials: &str) -> String {
    format!(
        "Authorization: Basic {}\r\nX-Countersign: {HEADER_VALUE}\r\n",
        STANDARD.encode(credentials)
    )
}

/// One request on a connection of its own.
pub(crate) fn post(server: &Server, connection: &str, headers: &str, body: &str) -> Response {
    post_to(
        server,
        &format!("{connection}/authorizations"),
        headers,
        body,
    )
}

/// One event on a connection of its own.
pub(crate) fn post_event(server: &Server, connection: &str, headers: &str, body: &str) -> Response {
    post_to(server, &format!("{connection}/events"), headers, body)
}

fn post_to(server: &Server, path: &str, headers: &str, body: &str) -> Response {
    let request = format!(
        "POST /issuers/{path} HTTP/1.1\r\nhost: countersign\r\n\
         content-type: application/json; charset=utf-8\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    server.client().ask(request.as_bytes())
}

pub(crate) fn post_stripe(server: &Server, body: &str) -> Response {
    post(server, "striped", &stripe_header(now(), body), body)
}

pub(crate) fn post_marqeta(server: &Server, body: &str) -> Response {
    post(server, "mq", &marqeta_headers(CREDENTIALS), body)
}

pub(crate) fn parsed(response: &Response) -> Value {
    serde_json::from_slice(&response.body)
        .unwrap_or_else(|error| panic!("{error}: {}", response.text()))
}

/// Runs `serve`, which must refuse to start: its exit code and what it said. One that starts after all
/// is ended, and that it did is the failure.
pub(crate) fn refused(home: &Home) -> (Option<i32>, String) {
    let mut command = home.serve();
    let (stdout, stderr) = (Stdio::piped(), Stdio::piped());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .unwrap();
    let since = now();
    while child.try_wait().unwrap().is_none() {
        if millis_since(since) > 20_000 {
            child.kill().unwrap();
            drop(child.wait());
            panic!("the server started");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    said(child.wait_with_output())
}
