//! A field's value for people, and for programs.

use crate::cold::ops::policy::{HoursShown, MerchantShown, Shown, shown};
use crate::decide::effective::{EffectiveValue, Value};
use crate::decide::snapshot::CustomerSlot;
use crate::domain::amount::{Amount, Minor};
use crate::domain::card::Level;

/// A value in both forms.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Told {
    /// For people.
    pub(super) text: String,
    /// As JSON; amounts are in minor units.
    pub(super) json: String,
}

/// A trailing span's limit, as owners write it.
#[derive(serde::Serialize)]
struct Rolling {
    amount: i64,
    window: &'static str,
}

impl Told {
    /// A word is its own text.
    pub(super) fn word(word: &str) -> Self {
        Self {
            text: printable(word),
            json: json(&word),
        }
    }

    pub(super) fn of(customer: &CustomerSlot, it: &EffectiveValue<'_>) -> Self {
        let shown = shown(customer, &it.value);
        let json = match &it.value {
            Value::Windowed {
                amount,
                rolling: true,
            } => json(&Rolling {
                amount: amount.get(),
                window: "rolling",
            }),
            Value::Windowed { rolling: false, .. }
            | Value::Amount(_)
            | Value::Flag(_)
            | Value::Number(_)
            | Value::Instant(_)
            | Value::Word(_)
            | Value::Name(_)
            | Value::Mccs(_)
            | Value::Countries(_)
            | Value::Merchants(_)
            | Value::Hours(_) => json(&shown),
        };
        Self {
            text: text(customer, &it.value, &shown),
            json,
        }
    }
}

/// Plain data always has a JSON form.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// The level's word, or what stands where no level speaks.
pub(super) fn level_name(level: Option<Level>) -> &'static str {
    level.map_or("default", Level::name)
}

fn text(customer: &CustomerSlot, value: &Value<'_>, shown: &Shown) -> String {
    match value {
        Value::Amount(amount) => money(customer, *amount),
        Value::Windowed {
            amount,
            rolling: false,
        } => money(customer, *amount),
        Value::Windowed {
            amount,
            rolling: true,
        } => format!("{} rolling", money(customer, *amount)),
        Value::Flag(_)
        | Value::Number(_)
        | Value::Instant(_)
        | Value::Word(_)
        | Value::Name(_)
        | Value::Mccs(_)
        | Value::Countries(_)
        | Value::Merchants(_)
        | Value::Hours(_) => shown_text(shown),
    }
}

fn money(customer: &CustomerSlot, minor: Minor) -> String {
    let currency = customer.currency();
    format!("{} {currency}", Amount { minor, currency })
}

fn shown_text(shown: &Shown) -> String {
    match shown {
        Shown::Flag(flag) => flag.to_string(),
        Shown::Number(number) => number.to_string(),
        Shown::Text(text) => text.clone(),
        Shown::Texts(texts) => texts.join(" "),
        Shown::Merchants(merchants) => {
            let texts: Vec<String> = merchants.iter().map(merchant).collect();
            texts.join(", ")
        }
        Shown::Hours(HoursShown {
            timezone,
            days,
            from,
            to,
        }) => format!("{} {from}-{to} {timezone}", days.join(" ")),
    }
}

fn merchant(shown: &MerchantShown) -> String {
    match shown {
        MerchantShown::Name(name) => format!("`{}`", printable(name)),
        MerchantShown::Id { acceptor_id } => format!("id {}", printable(acceptor_id)),
    }
}

/// `1 card`, `2 cards`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{s}")
}

/// Fit for a terminal: what would move its cursor does not reach it.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}
