//! Lithic's cards API: <https://docs.lithic.com/docs/cards>.
//!
//! VIRTUAL, or PHYSICAL where it is sent: SINGLE_USE closes on the first approval, a probe's or a verification's too, and
//! MERCHANT_LOCKED knows merchants by other rules than ours; both would be tighter than we are. One
//! limit of theirs stands for ours: the card's life (FOREVER), else one authorization (TRANSACTION).
//! MONTHLY trails and never stands for a calendar month. The memo is our id of the card, by which the
//! list finds what a lost answer has made.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::http::{Body, Call, encoded};
use super::remote::Account;
use super::rules::Rules;
use super::shipping::{Service, Shipping};
use super::{CardOrder, CardThere, CardsThere, Framed, IssuerError, State};
use crate::domain::acceptor::Country;
use crate::domain::time::Timestamp;

/// Stands for "none": 0 says so as well, and by a slip would open what was closed.
pub(super) const NO_LIMIT: i64 = 2_147_483_647;
const PAGE_SIZE: usize = 100;

#[derive(Serialize)]
struct WireNew<'a> {
    r#type: &'static str,
    memo: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    card_program_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spend_limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    spend_limit_duration: Option<&'static str>,
    #[serde(flatten)]
    plastic: Option<WirePlastic<'a>>,
}

/// What a card that is sent has beside the others.
#[derive(Serialize)]
struct WirePlastic<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<&'a str>,
    shipping_method: &'static str,
    shipping_address: WireAddress<'a>,
}

#[derive(Serialize)]
struct WireAddress<'a> {
    first_name: &'a str,
    last_name: &'a str,
    address1: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address2: Option<&'a str>,
    city: &'a str,
    state: &'a str,
    postal_code: &'a str,
    country: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<&'a str>,
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
        State::Paused | State::Coming | State::Other => "PAUSED",
        State::Closed => "CLOSED",
    }
}

pub(super) fn create(order: &CardOrder, account: &Account, key: &str) -> Result<Call, IssuerError> {
    let limit = limit(&order.rules);
    let state = if order.is_paused { "PAUSED" } else { "OPEN" };
    let plastic = order.shipping.as_ref().map(|it| plastic(it, account));
    let plastic = plastic.transpose()?;
    let new = WireNew {
        r#type: if plastic.is_some() {
            "PHYSICAL"
        } else {
            "VIRTUAL"
        },
        memo: &order.card_id,
        // Plastic begins as PENDING_FULFILLMENT, whatever is asked for.
        state: plastic.is_none().then_some(state),
        account_token: account.account.as_deref(),
        card_program_token: account.program.as_deref(),
        spend_limit: limit.map(|(amount, _)| amount),
        spend_limit_duration: limit.map(|(_, duration)| duration),
        plastic,
    };
    let mut call = json(Method::POST, "/v1/cards".to_owned(), &new)?;
    call.headers.push(("idempotency-key", key.to_owned()));
    Ok(call)
}

fn plastic<'a>(
    shipping: &'a Shipping,
    account: &'a Account,
) -> Result<WirePlastic<'a>, IssuerError> {
    let refused = |why: &str| IssuerError::Refused(why.to_owned());
    let missing = "`shipping.state` is missing: this issuer wants one for every country";
    let country = Country::parse_alpha2(&shipping.country).and_then(Country::alpha3);
    Ok(WirePlastic {
        product_id: account.product.as_deref(),
        shipping_method: match shipping.service {
            Service::Standard => "STANDARD",
            Service::Priority => "PRIORITY",
            Service::Express => "EXPRESS",
        },
        shipping_address: WireAddress {
            first_name: &shipping.first_name,
            last_name: &shipping.last_name,
            address1: &shipping.line1,
            address2: shipping.line2.as_deref(),
            city: &shipping.city,
            state: shipping.state.as_deref().ok_or_else(|| refused(missing))?,
            postal_code: &shipping.postal_code,
            country: country.ok_or_else(|| refused("`shipping.country` is none that it knows"))?,
            phone_number: shipping.phone.as_deref(),
        },
    })
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

/// What its page is asked for. In the order of the names, as its own libraries write it.
#[derive(Serialize)]
struct WireEmbed<'a> {
    expiration: String,
    token: &'a str,
}

/// Its own page of a card: the browser asks for it there, with what we have signed by our key, so that the
/// number never comes here.
pub(super) fn frame(
    url: &str,
    key: &SecretString,
    token: &str,
    until: Timestamp,
) -> Result<Framed, IssuerError> {
    let refused = |why: String| IssuerError::Refused(why);
    let asked = WireEmbed {
        expiration: until.rfc3339_seconds().to_string(),
        token,
    };
    let asked = serde_json::to_string(&asked).map_err(|error| refused(error.to_string()))?;
    let mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes());
    let mut mac = mac.map_err(|error| refused(error.to_string()))?;
    mac.update(asked.as_bytes());
    let (asked, mac) = (
        STANDARD.encode(asked),
        STANDARD.encode(mac.finalize().into_bytes()),
    );
    let (asked, mac) = (encoded(&asked), encoded(&mac));
    let address = format!("{url}/v1/embed/card?embed_request={asked}&hmac={mac}");
    Ok(Framed {
        url: SecretString::from(address),
        origin: url.to_owned(),
    })
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
                "PENDING_ACTIVATION" | "PENDING_FULFILLMENT" => State::Coming,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Behaviour 5.12; what Lithic's own Python library makes of the same key, card and end.
    #[test]
    fn the_issuers_page_is_asked_for_as_its_own_library_asks() {
        let until = Timestamp::from_secs(1_800_000_000);
        let key = SecretString::from("a-key/of=ours+".to_owned());
        let token = "5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142";
        let framed = frame("https://sandbox.lithic.com", &key, token, until)
            .ok()
            .unwrap();
        assert_eq!(framed.origin, "https://sandbox.lithic.com");
        assert_eq!(
            framed.url.expose_secret(),
            "https://sandbox.lithic.com/v1/embed/card?embed_request=eyJleHBpcmF0aW9uIjoiMjAyNy0wMS0xNVQwODowMDowMFoiLCJ0b2tlbiI6IjVhMGYyYzFlLTlkMzQtNGI3ZS04ZjdjLTJmNmYxYzllNDE0MiJ9&hmac=rBP3p1c1wc5%2BzfDuRu7XwS9%2F8Ymba01YYUecb2d3EFg%3D"
        );
    }
}
