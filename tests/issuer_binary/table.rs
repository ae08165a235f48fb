//! Every row of docs/lifecycle.md, with the program that is built: the messages are sent in their
//! order, and each has its reply; then the books stand as the row says.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::post::{
    CREDENTIALS, fixture, home, marqeta_headers, post, post_event, post_marqeta, post_stripe,
    stripe_header,
};
use crate::server::{Response, Server, now, signature};

const LITHIC_ID: &str = "0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a01";
const STRIPE_ID: &str = "iauth_1AuThOrIzAtIoNoFtHeTeSt";
const MARQETA_ID: &str = "607d9e40-3164-5fec-b5fd-69951f0b7bfc";

/// What one row of the document says.
struct Row {
    line: String,
    what: String,
    issuer: String,
    messages: Vec<String>,
    replies: Vec<String>,
    books: Vec<String>,
}

const ISSUERS: [&str; 3] = ["lithic", "stripe", "marqeta"];

fn document() -> String {
    let path = format!("{}/docs/lifecycle.md", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).unwrap()
}

fn rows() -> Vec<Row> {
    let text = document();
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [what, issuer, messages, replies, books] = cells[..] else {
            return None;
        };
        let words = |cell: &str| {
            let words = cell.split(',').map(|it| it.trim().trim_matches('`'));
            words.map(str::to_owned).collect()
        };
        ISSUERS.contains(&issuer).then(|| Row {
            line: line.to_owned(),
            what: what.to_owned(),
            issuer: issuer.to_owned(),
            messages: words(messages),
            replies: words(replies),
            books: words(books),
        })
    };
    text.lines().filter_map(row).collect()
}

/// What happens and issuer of the cells for which the document says why there is no row.
fn reasons() -> Vec<(String, String)> {
    let text = document();
    let reason = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        match cells[..] {
            [what, issuer, why] if ISSUERS.contains(&issuer) && why.len() > 5 => {
                Some((what.to_owned(), issuer.to_owned()))
            }
            _ => None,
        }
    };
    text.lines().filter_map(reason).collect()
}

/// One authorization of its own for each row.
struct Life<'s> {
    server: &'s Server,
    issuer: &'s str,
    number: usize,
}

impl Life<'_> {
    /// The issuer's ids in a body, changed for this row alone.
    fn own(&self, body: &str) -> String {
        let n = self.number;
        let id = |old: &str| {
            let kept: String = old.chars().take(old.len() - 3).collect();
            format!("{kept}{n:03}")
        };
        body.replace(LITHIC_ID, &id(LITHIC_ID))
            .replace(STRIPE_ID, &id(STRIPE_ID))
            .replace("iauth_120FE6gGECGgjRQhQ95Zf26Km", &id(STRIPE_ID))
            .replace("iauth_1FDyzZWs1NuBZrZf4CfTkK5BW", &id(STRIPE_ID))
            .replace("487e27ac-8672-5a30-bf5f-fe0de4a4b35c", "j2")
            .replace(MARQETA_ID, &id(MARQETA_ID))
            .replace("\"ipi_1", &format!("\"ipi_{n}x"))
            .replace("\"token\": \"j", &format!("\"token\": \"j{n}x"))
            .replace("\"token\": \"t", &format!("\"token\": \"t{n}x"))
            .replace("_token\": \"t", &format!("_token\": \"t{n}x"))
            .replace("\"idp_1", &format!("\"idp_{n}x"))
            .replace("\"d15b07e0", &format!("\"d1{n:03}7e0"))
            .replace("b911ccd4-a376", &format!("b911c{n:03}-a376"))
    }

    /// A question, or another one that adds to it.
    fn ask(&self, more: bool) -> Response {
        let name = if more {
            "purchase.increment"
        } else {
            "purchase"
        };
        match self.issuer {
            "stripe" => post_stripe(self.server, &self.own(&fixture(&format!("stripe/{name}")))),
            "marqeta" => post_marqeta(self.server, &self.own(&fixture(&format!("marqeta/{name}")))),
            _ => {
                let body = self.own(&fixture("lithic/purchase"));
                let body = if more {
                    body.replace("2599", "500")
                } else {
                    body
                };
                let id = format!("ask_{}_{more}", self.number);
                let signed = signature("acme", &id, now(), body.as_bytes());
                post(self.server, "lit", &signed, &body)
            }
        }
    }

    fn event(&self, name: &str) -> Response {
        let body = self.own(&fixture(&format!("{}/event.{name}", self.issuer)));
        let (connection, headers) = match self.issuer {
            "stripe" => ("striped", stripe_header(now(), &body)),
            "marqeta" => ("mq", marqeta_headers(CREDENTIALS)),
            _ => ("lit", signature("acme", "msg", now(), body.as_bytes())),
        };
        post_event(self.server, connection, &headers, &body)
    }

    fn send(&self, message: &str) -> String {
        let answer = match message {
            "ask" => self.ask(false),
            "ask more" => self.ask(true),
            name => self.event(name),
        };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(json!(null));
        if let Some(status) = body["status"].as_str() {
            return status.to_owned();
        }
        let approved = answer.status == 200
            && (body["result"] == "APPROVED"
                || body["approved"] == true
                || body["jit_funding"]["decline_reason"] == json!(null));
        if approved { "approved" } else { "declined" }.to_owned()
    }

    /// The name under which the books of the row stand: where money moved without an
    /// authorization, that of the movement.
    fn id(&self, messages: &[String]) -> String {
        let last = messages.last().unwrap();
        let body = match last.as_str() {
            "ask" | "ask more" => String::new(),
            name => self.own(&fixture(&format!("{}/event.{name}", self.issuer))),
        };
        let body: Value = serde_json::from_str(&body).unwrap_or(json!(null));
        let object = &body["data"]["object"];
        let transaction = &body["transactions"][0];
        let funding = ["gpa_order", "gpa_order_unload"].map(|it| &transaction[it]["jit_funding"]);
        let named = match self.issuer {
            "lithic" => body["transaction_token"]
                .as_str()
                .or_else(|| body["transaction_series"]["related_transaction_token"].as_str())
                .or_else(|| body["token"].as_str()),
            "stripe" if object["object"] == "issuing.dispute" && messages.len() > 1 => None,
            "stripe" if object["object"] == "issuing.authorization" => object["id"].as_str(),
            "stripe" => object["authorization"]
                .as_str()
                .or_else(|| object["id"].as_str()),
            _ => funding[0]["original_jit_funding_token"]
                .as_str()
                .or_else(|| funding[1]["original_jit_funding_token"].as_str())
                .or_else(|| funding[0]["token"].as_str())
                .filter(|_| !["force_post", "refund"].contains(&last.as_str()))
                .or_else(|| transaction["token"].as_str()),
        };
        let own = match self.issuer {
            "lithic" => LITHIC_ID,
            "stripe" => STRIPE_ID,
            _ => MARQETA_ID,
        };
        // One that names only what it follows is found there.
        let follows = ["clearing_without_funding", "chargeback_of_clearing"];
        let named = named.filter(|_| !follows.contains(&last.as_str()));
        named.map_or_else(|| self.own(own), str::to_owned)
    }

    /// State, held, posted, refunded and flags, as the document writes them.
    fn books(&self, messages: &[String]) -> Vec<String> {
        let connection = match self.issuer {
            "stripe" => "striped",
            "marqeta" => "mq",
            _ => "lit",
        };
        let id = self.id(messages);
        let client = crate::server::Client::connect(self.server.ops);
        let found = get(client, &format!("/admin/authorizations/{connection}/{id}"));
        let outcome = &found["outcome"];
        if outcome.is_null() {
            return vec!["nothing".to_owned()];
        }
        let word = |it: &Value| it.to_string().trim_matches('"').to_owned();
        let names = ["state", "held", "posted", "refunded"];
        let mut books: Vec<String> = names.map(|name| word(&outcome[name])).into();
        books.extend(outcome["flags"].as_array().unwrap().iter().map(word));
        books
    }
}

/// A document of the operators' listener; null where there is none.
fn get(mut client: crate::server::Client, path: &str) -> Value {
    client.send(format!("GET {path} HTTP/1.1\r\nhost: ops\r\n\r\n").as_bytes());
    let answer = client.response();
    serde_json::from_slice(&answer.body).unwrap_or(json!(null))
}

#[test]
fn i1_i10_every_row_of_the_life_cycle_is_as_it_says() {
    let home = home("relaxed", ["", ""]);
    // One authorization after the other, all on the same cards.
    let snapshot = fs::read_to_string(home.path("snapshot.json")).unwrap();
    home.write("snapshot.json", &snapshot.replace("30000", "90000000"));
    let server = home.start();
    let rows = rows();
    assert!(rows.len() >= 40, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let life = Life {
            server: &server,
            issuer: &row.issuer,
            number,
        };
        let replies: Vec<String> = row.messages.iter().map(|it| life.send(it)).collect();
        let books = life.books(&row.messages);
        if (&replies, &books) != (&row.replies, &row.books) {
            let (replies, books) = (replies.join(", "), books.join(", "));
            wrong.push(format!("{}\n    is: {replies} | {books}", row.line));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(server.terminate().success());
}

/// Kinds of messages times issuers: none is forgotten, and nothing is sent that never comes.
#[test]
fn every_cell_of_the_life_cycle_has_a_row_or_a_reason() {
    let (rows, reasons) = (rows(), reasons());
    let kinds: BTreeSet<&str> = rows.iter().map(|row| row.what.as_str()).collect();
    assert!(kinds.len() >= 30, "{kinds:?}");
    let mut wrong = Vec::new();
    for what in &kinds {
        for issuer in ISSUERS {
            let is_cell = |row: &&Row| row.what == *what && row.issuer == issuer;
            let has_row = rows.iter().any(|row| is_cell(&row));
            let has_reason = reasons.contains(&((*what).to_owned(), issuer.to_owned()));
            if has_row == has_reason {
                wrong.push(format!(
                    "{what} | {issuer}: row {has_row}, reason {has_reason}"
                ));
            }
        }
    }
    let unknown = reasons.iter().filter(|(what, _)| !kinds.contains(&**what));
    wrong.extend(unknown.map(|(what, _)| format!("{what}: no such kind")));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Every event that is kept as a fixture stands in some row.
#[test]
fn every_event_of_the_fixtures_stands_in_a_row() {
    // Other currencies, expanded objects and lists: the same movements once more.
    let variants = [
        "lithic/cleared_abroad",
        "marqeta/several",
        "stripe/capture_expanded",
        "stripe/capture_updated",
        "stripe/krona",
        "stripe/without_transactions",
    ];
    let rows = rows();
    let mut left = Vec::new();
    for issuer in ISSUERS {
        let path = format!("{}/fixtures/{issuer}", env!("CARGO_MANIFEST_DIR"));
        for entry in fs::read_dir(path).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let event = name
                .strip_prefix("event.")
                .and_then(|it| it.strip_suffix(".json"));
            let Some(event) = event else { continue };
            let is_sent = |row: &&Row| {
                row.issuer == issuer && row.messages.iter().any(|message| message == event)
            };
            let path = format!("{issuer}/{event}");
            if !rows.iter().any(|row| is_sent(&row)) && !variants.contains(&&*path) {
                left.push(path);
            }
        }
    }
    assert!(left.is_empty(), "{left:?}");
}
