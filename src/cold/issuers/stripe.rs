//! Stripe Issuing's cards API: <https://docs.stripe.com/api/issuing/cards>. Forms in, JSON out.
//!
//! Its days and months begin at midnight UTC: where the customer's do not, they would cut one of ours
//! in two and refuse what we approve, so that only the other caps are sent. Its week begins on
//! another day than ours. `cancel_after` counts penny authorizations, which consume nothing here.

use hyper::Method;
use serde::Deserialize;

use super::http::{Body, Call, encoded};
use super::lithic::not_understood;
use super::remote::Account;
use super::rules::Rules;
use super::shipping::{Service, Shipping};
use super::{CardOrder, CardThere, CardsThere, IssuerError, State};
use crate::domain::time::Timestamp;

const VERSION: (&str, &str) = ("stripe-version", "2026-10-28.endive");
const PAGE_SIZE: usize = 100;
const MARK: &str = "countersign_card";

#[derive(Deserialize)]
struct WireCard {
    id: String,
    status: String,
    #[serde(default)]
    r#type: String,
    last4: Option<String>,
    exp_month: Option<u8>,
    exp_year: Option<u16>,
    #[serde(default)]
    metadata: WireMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireMetadata {
    countersign_card: Option<String>,
}

#[derive(Deserialize)]
struct WirePage {
    data: Vec<WireCard>,
    has_more: bool,
}

#[derive(Deserialize)]
pub(super) struct WireNumber {
    pub(super) number: Option<String>,
    pub(super) cvc: Option<String>,
    cardholder: Option<WireHolderOf>,
}

/// The holder, or the id alone where it is not written out.
#[derive(Deserialize)]
#[serde(untagged)]
enum WireHolderOf {
    Whole(WireHolder),
    Id(#[expect(dead_code, reason = "only its shape counts")] String),
}

/// Whose card it is: the issuer compares this address.
#[derive(Deserialize)]
struct WireHolder {
    name: Option<String>,
    billing: Option<WireBilling>,
}

#[derive(Deserialize)]
struct WireBilling {
    address: Option<WireAddress>,
}

#[derive(Deserialize)]
struct WireAddress {
    line1: Option<String>,
    line2: Option<String>,
    city: Option<String>,
    state: Option<String>,
    postal_code: Option<String>,
    country: Option<String>,
}

impl WireNumber {
    /// What the holder is called, and the address in lines.
    pub(super) fn holder(self) -> (Option<String>, Option<String>) {
        let Some(WireHolderOf::Whole(holder)) = self.cardholder else {
            return (None, None);
        };
        let address = holder.billing.and_then(|billing| billing.address);
        let lines = address.map(|it| {
            let place = [it.city, it.state, it.postal_code];
            let place: Vec<String> = place.into_iter().flatten().collect();
            let place = Some(place.join(" ")).filter(|place| !place.is_empty());
            let lines = [it.line1, it.line2, place, it.country];
            lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
        });
        (holder.name, lines.filter(|lines| !lines.is_empty()))
    }
}

/// Names and values, as a form writes them.
#[derive(Default)]
struct Form(String);

impl Form {
    fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(&encoded(name));
        self.0.push('=');
        self.0.push_str(&encoded(value));
        self
    }

    fn with_plastic(self, shipping: &Shipping, account: &Account) -> Self {
        let name = shipping.name();
        let service = match shipping.service {
            Service::Standard => "standard",
            Service::Priority => "priority",
            Service::Express => "express",
        };
        let fields = [
            ("personalization_design", account.product.as_deref()),
            ("shipping[name]", Some(&*name)),
            ("shipping[service]", Some(service)),
            ("shipping[phone_number]", shipping.phone.as_deref()),
            ("shipping[address][line1]", Some(&*shipping.line1)),
            ("shipping[address][line2]", shipping.line2.as_deref()),
            ("shipping[address][city]", Some(&*shipping.city)),
            ("shipping[address][state]", shipping.state.as_deref()),
            (
                "shipping[address][postal_code]",
                Some(&*shipping.postal_code),
            ),
            ("shipping[address][country]", Some(&*shipping.country)),
        ];
        fields
            .into_iter()
            .fold(self, |form, (name, value)| match value {
                Some(value) => form.with(name, value),
                None => form,
            })
    }

    fn with_limits(mut self, rules: &Rules) -> Self {
        for (at, (amount, interval)) in limits(rules).into_iter().enumerate() {
            let name = |field: &str| format!("spending_controls[spending_limits][{at}][{field}]");
            self = self
                .with(&name("amount"), &amount.to_string())
                .with(&name("interval"), interval);
        }
        self
    }
}

/// The caps that can stand there as they stand here.
fn limits(rules: &Rules) -> Vec<(i64, &'static str)> {
    let in_utc = |cap: Option<i64>| cap.filter(|_| rules.is_utc);
    let caps = [
        (rules.per_auth, "per_authorization"),
        (in_utc(rules.per_day), "daily"),
        (in_utc(rules.per_month), "monthly"),
        (rules.total.filter(|_| !rules.has_past), "all_time"),
    ];
    let set = caps
        .into_iter()
        .filter_map(|(cap, interval)| Some((cap?, interval)));
    set.filter(|(amount, _)| *amount > 0).collect()
}

fn status(state: State) -> &'static str {
    match state {
        State::Open => "active",
        State::Paused | State::Coming | State::Other => "inactive",
        State::Closed => "canceled",
    }
}

fn post(path: String, form: Form) -> Call {
    let (name, value) = VERSION;
    Call {
        method: Method::POST,
        path,
        headers: vec![(name, value.to_owned())],
        body: Body::Form(form.0),
    }
}

fn get(path: String) -> Call {
    let (name, value) = VERSION;
    let mut call = Call::get(path);
    call.headers.push((name, value.to_owned()));
    call
}

pub(super) fn create(order: &CardOrder, account: &Account, key: &str) -> Call {
    let form = Form::default()
        .with("currency", &order.rules.currency.to_ascii_lowercase())
        .with(
            "type",
            if order.shipping.is_some() {
                "physical"
            } else {
                "virtual"
            },
        )
        .with("cardholder", account.account.as_deref().unwrap_or_default())
        .with(
            "status",
            if order.is_paused {
                "inactive"
            } else {
                "active"
            },
        )
        .with(&format!("metadata[{MARK}]"), &order.card_id)
        .with_limits(&order.rules);
    let form = match &order.shipping {
        Some(shipping) => form.with_plastic(shipping, account),
        None => form,
    };
    let mut call = post("/v1/issuing/cards".to_owned(), form);
    call.headers.push(("idempotency-key", key.to_owned()));
    call
}

pub(super) fn set_state(token: &str, state: State) -> Call {
    post(
        card_path(token),
        Form::default().with("status", status(state)),
    )
}

/// The whole list of limits; an empty one takes them away.
pub(super) fn set_rules(token: &str, rules: &Rules) -> Call {
    let form = if limits(rules).is_empty() {
        Form::default().with("spending_controls[spending_limits]", "")
    } else {
        Form::default().with_limits(rules)
    };
    post(card_path(token), form)
}

/// Cards made since then; the mark is compared here.
pub(super) fn find(since: Timestamp, after: Option<&str>) -> Call {
    let name = encoded("created[gte]");
    let after = starting_after(after);
    get(format!(
        "/v1/issuing/cards?limit={PAGE_SIZE}&{name}={}{after}",
        since.secs()
    ))
}

pub(super) fn list(after: Option<&str>) -> Call {
    let after = starting_after(after);
    get(format!("/v1/issuing/cards?limit={PAGE_SIZE}{after}"))
}

fn starting_after(after: Option<&str>) -> String {
    let after = after.map(|id| format!("&starting_after={}", encoded(id)));
    after.unwrap_or_default()
}

pub(super) fn fetch(token: &str) -> Call {
    get(card_path(token))
}

pub(super) fn reveal(token: &str) -> Call {
    let name = encoded("expand[]");
    get(format!("{}?{name}=number&{name}=cvc", card_path(token)))
}

fn card_path(token: &str) -> String {
    format!("/v1/issuing/cards/{}", encoded(token))
}

impl WireCard {
    fn there(self) -> CardThere {
        CardThere {
            token: self.id,
            card_id: self.metadata.countersign_card,
            state: match &*self.status {
                "active" => State::Open,
                "inactive" => State::Paused,
                "canceled" => State::Closed,
                _ => State::Other,
            },
            is_physical: self.r#type == "physical",
            last4: self.last4,
            exp_month: self.exp_month,
            exp_year: self.exp_year,
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
    let last = page.data.last().map(|card| card.id.clone());
    Ok(CardsThere {
        next: last.filter(|_| page.has_more),
        cards: page.data.into_iter().map(WireCard::there).collect(),
    })
}
