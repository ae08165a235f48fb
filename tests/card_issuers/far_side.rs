//! The issuer, played by a small HTTP server on real sockets: it keeps cards, holds every request
//! against the issuer's documentation, and has faults when told to.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::schemas::Schemas;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Lithic,
    Stripe,
    Privacy,
}

impl Speech {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Lithic => "lithic",
            Self::Stripe => "stripe",
            Self::Privacy => "privacy",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Lithic | Self::Privacy => "/v1/cards",
            Self::Stripe => "/v1/issuing/cards",
        }
    }

    fn authorization(self) -> &'static str {
        match self {
            Self::Lithic => KEY,
            Self::Stripe => "Bearer sk_test_far_side",
            Self::Privacy => "api-key sk_test_far_side",
        }
    }
}

pub(crate) const KEY: &str = "sk_test_far_side";
/// Shown to whoever asks for it, and to nobody else.
pub(crate) const NUMBER: &str = "4111110000001234";

/// What goes wrong with the next request that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Done, and the connection is closed without an answer.
    DropsAfter,
    /// Closed without an answer, and nothing is done.
    DropsBefore,
    /// Done, and answered after longer than anybody waits.
    SlowAfter,
    /// 429 with `Retry-After`; nothing is done.
    Limited,
    /// 500, and nothing is done.
    Fails,
    /// Done, and answered with 502.
    FailsAfter,
    /// Done, and answered with what is no JSON.
    Garbage,
    /// 400; nothing is done.
    Refuses,
}

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) body: Value,
}

#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) cards: Vec<Value>,
    by_key: HashMap<String, usize>,
    pub(crate) faults: VecDeque<Fault>,
    /// Purchases, as Privacy lists them.
    pub(crate) transactions: Vec<Value>,
    pub(crate) seen: Vec<Seen>,
    wrong: Vec<String>,
    is_deaf: bool,
}

pub(crate) struct FarSide {
    pub(crate) address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
}

impl FarSide {
    pub(crate) fn start(speech: Speech) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Arc::<Mutex<Kept>>::default();
        let shared = Arc::clone(&kept);
        let schemas = Arc::new(Mutex::new(Schemas::of(speech.name())));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, schemas) = (Arc::clone(&shared), Arc::clone(&schemas));
                thread::spawn(move || serve(stream, speech, &kept, &schemas));
            }
        });
        Self { address, kept }
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.kept().faults.push_back(fault);
    }

    /// Answers every request with 503 from now on, or does its work again.
    pub(crate) fn set_deaf(&self, is_deaf: bool) {
        self.kept().is_deaf = is_deaf;
    }

    pub(crate) fn cards(&self) -> Vec<Value> {
        self.kept().cards.clone()
    }

    pub(crate) fn seen(&self, method: &str) -> Vec<Seen> {
        let kept = self.kept();
        let seen = kept.seen.iter().filter(|it| it.method == method);
        seen.cloned().collect()
    }

    /// The card that was made under our id.
    pub(crate) fn card_of(&self, id: &str) -> Value {
        let cards = self.cards();
        let mut found = cards.iter().filter(|card| {
            [&card["memo"], &card["metadata"]["countersign_card"]].contains(&&json!(id))
        });
        let card = found.next().unwrap_or_else(|| panic!("no {id}: {cards:?}"));
        assert!(found.next().is_none(), "{id} was made twice");
        card.clone()
    }

    /// What the issuer calls the card.
    pub(crate) fn token_of(&self, id: &str) -> String {
        let card = self.card_of(id);
        let token = card["token"].as_str().or_else(|| card["id"].as_str());
        token.unwrap().to_owned()
    }

    /// Sets a field of a card, as somebody at the issuer would.
    pub(crate) fn set(&self, id: &str, field: &str, value: &Value) {
        let token = self.token_of(id);
        let mut kept = self.kept();
        let card = kept
            .cards
            .iter_mut()
            .find(|it| it["token"] == *token || it["id"] == *token);
        card.unwrap()[field] = value.clone();
    }

    /// Nothing was asked that the issuer's documentation does not know.
    pub(crate) fn is_content(&self) {
        assert_eq!(self.kept().wrong, [""; 0]);
    }
}

fn serve(stream: TcpStream, speech: Speech, kept: &Mutex<Kept>, schemas: &Mutex<Schemas>) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some((head, body)) = read(&mut reader) {
        let Some(answer) = answer(&head, &body, speech, kept, schemas) else {
            return;
        };
        if writer.write_all(&answer).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = header(&head, "content-length").map_or(0, |it| it.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

fn http(status: u16, more: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn answer(
    head: &str,
    bytes: &[u8],
    speech: Speech,
    kept: &Mutex<Kept>,
    schemas: &Mutex<Schemas>,
) -> Option<Vec<u8>> {
    let line = head.lines().next().unwrap();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = body_of(speech, head, bytes);
    let key = header(head, "idempotency-key");
    let mut kept_now = kept.lock().unwrap();
    kept_now.seen.push(Seen {
        method: method.to_owned(),
        path: target.to_owned(),
        key: key.clone(),
        body: body.clone(),
    });
    if header(head, "authorization").as_deref() != Some(speech.authorization()) {
        return Some(http(401, "", r#"{"message":"no such key"}"#));
    }
    if kept_now.is_deaf {
        return Some(http(503, "", "{}"));
    }
    if speech == Speech::Privacy && path == "/v1/transactions" {
        return Some(http(200, "", &transactions(&kept_now, query).to_string()));
    }
    let Some(rest) = path.strip_prefix(speech.path()) else {
        kept_now.wrong.push(format!("no such path: {path}"));
        return Some(http(404, "", "{}"));
    };
    if method == "GET" {
        let found = look(speech, &kept_now, rest, query);
        return Some(
            found.map_or_else(|| http(404, "", "{}"), |it| http(200, "", &it.to_string())),
        );
    }
    let kind = if rest.is_empty() { "create" } else { "change" };
    if let Err(error) = schemas.lock().unwrap().check(kind, &body) {
        kept_now
            .wrong
            .push(format!("{method} {path} {body}: {error}"));
    }
    let fault = kept_now.faults.pop_front();
    match fault {
        Some(Fault::DropsBefore) => return None,
        Some(Fault::Limited) => return Some(http(429, "retry-after: 2\r\n", "{}")),
        Some(Fault::Fails) => return Some(http(500, "", "{}")),
        Some(Fault::Refuses) => {
            let body = json!({"message": "not this one", "error": {"message": "not this one"}});
            return Some(http(400, "", &body.to_string()));
        }
        _ => {}
    }
    if is_early(&kept_now, rest) && body["state"] != "CLOSED" {
        return Some(http(400, "", r#"{"message":"the card is not sent yet"}"#));
    }
    let card = match rest.strip_prefix('/') {
        None => Some(make(speech, &mut kept_now, key, &body)),
        Some(token) => change(&mut kept_now, token, &body),
    };
    drop(kept_now);
    match fault {
        Some(Fault::DropsAfter) => None,
        Some(Fault::SlowAfter) => {
            thread::sleep(Duration::from_secs(4));
            None
        }
        Some(Fault::FailsAfter) => Some(http(502, "", "<html>")),
        Some(Fault::Garbage) => Some(http(200, "", "{\"token\":")),
        _ => Some(card.map_or_else(
            || http(404, "", "{}"),
            |card| http(200, "", &shown(&card).to_string()),
        )),
    }
}

/// Whether it is plastic at Lithic that is not sent yet.
fn is_early(kept: &Kept, rest: &str) -> bool {
    let token = rest.trim_start_matches('/');
    let mut cards = kept.cards.iter();
    cards.any(|it| it["token"] == token && it["state"] == "PENDING_FULFILLMENT")
}

/// Numbers are shown only where they are asked for.
fn shown(card: &Value) -> Value {
    let mut card = card.clone();
    let fields = card.as_object_mut().unwrap();
    for secret in ["pan", "cvv", "number", "cvc"] {
        fields.remove(secret);
    }
    card
}

fn body_of(speech: Speech, head: &str, bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    let kind = header(head, "content-type").unwrap_or_default();
    if speech == Speech::Stripe {
        assert_eq!(kind, "application/x-www-form-urlencoded");
        assert!(header(head, "stripe-version").is_some());
        return form(std::str::from_utf8(bytes).unwrap());
    }
    assert_eq!(kind, "application/json");
    serde_json::from_slice(bytes).unwrap()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next().unwrap(), rest.next().unwrap()];
            let pair = std::str::from_utf8(&pair).unwrap().to_owned();
            bytes.push(u8::from_str_radix(&pair, 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// `a[b][0][c]=1` as nested objects and arrays.
fn form(text: &str) -> Value {
    let mut root = Value::Object(Map::new());
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=').unwrap();
        let name = decoded(name).replace(']', "");
        let mut at = &mut root;
        for part in name.split('[') {
            at = match part.parse::<usize>() {
                Ok(index) => {
                    if !at.is_array() {
                        *at = json!([]);
                    }
                    let items = at.as_array_mut().unwrap();
                    if items.len() == index {
                        items.push(json!({}));
                    }
                    &mut items[index]
                }
                Err(_) => {
                    if !at.is_object() {
                        *at = json!({});
                    }
                    at.as_object_mut().unwrap().entry(part).or_insert(json!({}))
                }
            };
        }
        *at = json!(decoded(value));
    }
    root
}

fn make(speech: Speech, kept: &mut Kept, key: Option<String>, body: &Value) -> Value {
    let number = kept.cards.len();
    if let Some(known) = key.as_ref().and_then(|key| kept.by_key.get(key)) {
        return kept.cards[*known].clone();
    }
    if let Some(key) = key {
        kept.by_key.insert(key, number);
    }
    let mut card = body.clone();
    let fields = card.as_object_mut().unwrap();
    let more = match speech {
        Speech::Stripe => json!({
            "id": format!("ic_{number:06}"), "object": "issuing.card", "last4": "1234",
            "exp_month": 7, "exp_year": 2031, "number": NUMBER, "cvc": "987",
        }),
        Speech::Lithic | Speech::Privacy => json!({
            "token": format!("0b1f7c52-6b7a-4c5d-9f51-{number:012}"), "last_four": "1234",
            "exp_month": "07", "exp_year": "2031", "pan": NUMBER, "cvv": "987",
        }),
    };
    fields.extend(more.as_object().unwrap().clone());
    let open = match speech {
        Speech::Stripe => ("status", "inactive"),
        Speech::Lithic | Speech::Privacy => ("state", "OPEN"),
    };
    fields.entry(open.0).or_insert(json!(open.1));
    if speech == Speech::Lithic && fields["type"] == "PHYSICAL" {
        fields.insert("state".to_owned(), json!("PENDING_FULFILLMENT"));
    }
    kept.cards.push(card.clone());
    card
}

fn change(kept: &mut Kept, token: &str, body: &Value) -> Option<Value> {
    let mut cards = kept.cards.iter_mut();
    let card = cards.find(|card| card["token"] == token || card["id"] == token)?;
    let is_closed = card["state"] == "CLOSED" || card["status"] == "canceled";
    if !is_closed {
        let fields = body.as_object().unwrap().clone();
        card.as_object_mut().unwrap().extend(fields);
    }
    Some(card.clone())
}

/// Pages of two, and none of another result or card.
fn transactions(kept: &Kept, query: &str) -> Value {
    let parameters = parameters(query);
    let of = |name: &str| parameters.get(name).map(|it| json!(it));
    let found: Vec<&Value> = kept
        .transactions
        .iter()
        .filter(|it| Some(it["card"]["token"].clone()) == of("card_token"))
        .filter(|it| of("result").is_none_or(|result| it["result"] == result))
        .collect();
    let page: usize = parameters.get("page").map_or(1, |it| it.parse().unwrap());
    let pages = found.len().div_ceil(2);
    let data: Vec<&&Value> = found.iter().skip((page - 1) * 2).take(2).collect();
    json!({"data": data, "page": page, "total_entries": found.len(), "total_pages": pages})
}

fn parameters(query: &str) -> HashMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn look(speech: Speech, kept: &Kept, rest: &str, query: &str) -> Option<Value> {
    let parameters = parameters(query);
    if let Some(token) = rest.strip_prefix('/') {
        let mut cards = kept.cards.iter();
        let card = cards.find(|card| card["token"] == token || card["id"] == token)?;
        let is_stripe_asked = parameters.contains_key("expand[]");
        let reveals = speech != Speech::Stripe || is_stripe_asked;
        let mut card = if reveals { card.clone() } else { shown(card) };
        // Stripe writes the holder out.
        if is_stripe_asked && card["cardholder"] == "ich_1" {
            card["cardholder"] = json!({"id": "ich_1", "name": "Ada Byron", "billing": {"address": {
                "line1": "12 St James Square", "line2": null, "city": "Boston", "state": "MA",
                "postal_code": "02110", "country": "US",
            }}});
        }
        return Some(card);
    }
    let memo = parameters.get("memo");
    let cards: Vec<Value> = kept
        .cards
        .iter()
        .filter(|card| {
            memo.is_none_or(|memo| card["memo"].as_str().is_some_and(|it| it.contains(memo)))
        })
        .map(shown)
        .collect();
    // Pages of two, whatever was asked for: an issuer's page is at most as long as it was asked for.
    let first = match speech {
        Speech::Privacy => {
            let page: usize = parameters.get("page").map_or(1, |it| it.parse().unwrap());
            (page - 1) * 2
        }
        Speech::Lithic | Speech::Stripe => parameters.get("starting_after").map_or(0, |after| {
            let is_it = |card: &Value| card["token"] == **after || card["id"] == **after;
            cards.iter().position(is_it).unwrap() + 1
        }),
    };
    let page: Vec<Value> = cards.iter().skip(first).take(2).cloned().collect();
    let has_more = first + page.len() < cards.len();
    Some(match speech {
        Speech::Privacy => json!({
            "data": page, "page": first / 2 + 1, "total_entries": cards.len(),
            "total_pages": cards.len().div_ceil(2),
        }),
        Speech::Lithic | Speech::Stripe => json!({"data": page, "has_more": has_more}),
    })
}
