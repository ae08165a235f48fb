//! Lithic's cards API: <https://docs.lithic.com/docs/cards>.
//!
//! Always VIRTUAL: SINGLE_USE closes on the first approval, a probe's or a verification's too, and
//! MERCHANT_LOCKED knows merchants by other rules than ours; both would be tighter than we are. One
//! limit of theirs stands for ours: the card's life (FOREVER), else one authorization (TRANSACTION).
//! MONTHLY trails and never stands for a calendar month. The memo is our id of the card, by which the
//! list finds what a lost answer has made.

use hyper::Method;
use serde::{Deserialize, Serialize};

use super::http::{Body, Call, encoded};
use super::remote::Account;
use super::rules::Rules;
use super::{CardOrder, CardThere, CardsThere, IssuerError, State};
use crate::domain::time::Timestamp;

/// Stands for "none": 0 says so as well, and by a slip would open what was closed.
pub(super) const NO_LIMIT: i64 = 2_147_483_647;
const PAGE_SIZE: usize = 100;

#[derive(Serialize)]
struct WireNew<'a> {
    r#type: &'static str,
    memo: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    card_program_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spend_limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spend_limit_duration: Option<&'static str>,
}

#[derive(Serialize)]
struct WireState {
    state: &'static str,
}

#[derive(Serialize)]
struct WireLimit {
    spend_limit: i64,
    spend_limit_duration: &'static str,
}

/// A card, as Lithic and Privacy write it. Unknown fields are passed over.
#[derive(Deserialize)]
pub(super) struct WireCard {
    token: String,
    state: String,
    #[serde(default)]
    r#type: String,
    memo: Option<String>,
    last_four: Option<String>,
    exp_month: Option<String>,
    exp_year: Option<String>,
}

#[derive(Deserialize)]
struct WirePage {
    data: Vec<WireCard>,
    has_more: bool,
}

#[derive(Deserialize)]
pub(super) struct WireNumber {
    pub(super) pan: Option<String>,
    pub(super) cvv: Option<String>,
}

/// The limit that stands for ours, and over what.
fn limit(rules: &Rules) -> Option<(i64, &'static str)> {
    let total = rules.total.filter(|_| !rules.has_past);
    let total = total.map(|amount| (amount, "FOREVER"));
    let per_auth = rules.per_auth.map(|amount| (amount, "TRANSACTION"));
    total.or(per_auth).filter(|(amount, _)| *amount > 0)
}

/// Its word for a state.
pub(super) fn state_word(state: State) -> &'static str {
    match state {
        State::Open => "OPEN",
        State::Paused | State::Other => "PAUSED",
        State::Closed => "CLOSED",
    }
}

pub(super) fn create(order: &CardOrder, account: &Account, key: &str) -> Result<Call, IssuerError> {
    let limit = limit(&order.rules);
    let state = if order.is_paused { "PAUSED" } else { "OPEN" };
    let new = WireNew {
        r#type: "VIRTUAL",
        memo: &order.card_id,
        state,
        account_token: account.account.as_deref(),
        card_program_token: account.program.as_deref(),
        spend_limit: limit.map(|(amount, _)| amount),
        spend_limit_duration: limit.map(|(_, duration)| duration),
    };
    let mut call = json(Method::POST, "/v1/cards".to_owned(), &new)?;
    call.headers.push(("idempotency-key", key.to_owned()));
    Ok(call)
}

pub(super) fn set_state(token: &str, state: State) -> Result<Call, IssuerError> {
    let state = state_word(state);
    json(Method::PATCH, card_path(token), &WireState { state })
}

pub(super) fn set_rules(token: &str, rules: &Rules) -> Result<Call, IssuerError> {
    set_limit(token, limit(rules).unwrap_or((NO_LIMIT, "TRANSACTION")))
}

/// In Lithic's words, which Privacy shares.
pub(super) fn set_limit(
    token: &str,
    (spend_limit, spend_limit_duration): (i64, &'static str),
) -> Result<Call, IssuerError> {
    let limit = WireLimit {
        spend_limit,
        spend_limit_duration,
    };
    json(Method::PATCH, card_path(token), &limit)
}

/// The cards of one order: those whose memo has our id in it, made since then.
pub(super) fn find(order: &CardOrder, since: Timestamp) -> Call {
    Call::get(format!(
        "/v1/cards?memo={}&begin={}&page_size={PAGE_SIZE}",
        encoded(&order.card_id),
        encoded(&since.rfc3339_seconds().to_string()),
    ))
}

pub(super) fn list(after: Option<&str>) -> Call {
    let after = after.map(|token| format!("&starting_after={}", encoded(token)));
    let after = after.unwrap_or_default();
    Call::get(format!("/v1/cards?page_size={PAGE_SIZE}{after}"))
}

pub(super) fn fetch(token: &str) -> Call {
    Call::get(card_path(token))
}

fn card_path(token: &str) -> String {
    format!("/v1/cards/{}", encoded(token))
}

/// A call with a JSON body.
pub(super) fn json(
    method: Method,
    path: String,
    body: &impl Serialize,
) -> Result<Call, IssuerError> {
    let bytes = serde_json::to_vec(body);
    let bytes = bytes.map_err(|error| IssuerError::Refused(error.to_string()))?;
    Ok(Call {
        method,
        path,
        headers: Vec::new(),
        body: Body::Json(bytes),
    })
}

impl WireCard {
    pub(super) fn there(self) -> CardThere {
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        CardThere {
            card_id: self.memo.filter(|memo| memo.starts_with("card_")),
            state: match &*self.state {
                "OPEN" => State::Open,
                "PAUSED" => State::Paused,
                "CLOSED" => State::Closed,
                _ => State::Other,
            },
            is_physical: self.r#type == "PHYSICAL",
            last4: self.last_four,
            exp_month: number(self.exp_month).and_then(|it: u16| u8::try_from(it).ok()),
            exp_year: number(self.exp_year),
            token: self.token,
        }
    }
}

pub(super) fn read_card(bytes: &[u8]) -> Result<CardThere, IssuerError> {
    serde_json::from_slice(bytes)
        .map(WireCard::there)
        .map_err(not_understood)
}

pub(super) fn read_page(bytes: &[u8]) -> Result<CardsThere, IssuerError> {
    let page: WirePage = serde_json::from_slice(bytes).map_err(not_understood)?;
    let last = page.data.last().map(|card| card.token.clone());
    Ok(CardsThere {
        next: last.filter(|_| page.has_more),
        cards: page.data.into_iter().map(WireCard::there).collect(),
    })
}

/// The complaint tells the place and not the text, which may hold anything.
#[expect(
    clippy::needless_pass_by_value,
    reason = "passed to map_err, which hands the error over"
)]
pub(super) fn not_understood(error: serde_json::Error) -> IssuerError {
    IssuerError::Unknown(format!(
        "an answer is not understood, line {} column {}",
        error.line(),
        error.column()
    ))
}
