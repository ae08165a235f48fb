//! What an agent asks: read once, the same for REST and MCP (behaviour 5.1).

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::cold::api::problem::Problem;
use crate::cold::api::text;
use crate::cold::store::purchases::PurchaseAsked;
use crate::decide::purchase::CardUse;
use crate::decide::purchase::host::Host;
use crate::domain::amount::{Amount, Minor};
use crate::domain::currency::Currency;

/// Characters of an idempotency key.
const KEY_LEN_MAX: usize = 255;
/// Characters of a category.
const SLUG_LEN_MAX: usize = 64;

/// A purchase that an agent asks for. Every name may also be written with underscores, as the tool of
/// the Model Context Protocol has it.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewPurchaseRequest)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::cold::api) struct NewPurchase {
    /// The page where it is bought, or the merchant's domain.
    #[serde(alias = "merchant_url")]
    #[schema(min_length = 1, max_length = 2048)]
    merchant_url: String,
    /// Decimal major units, like "12.34": a text, or a number.
    #[schema(value_type = String, pattern = "^[0-9]+([.][0-9]+)?$")]
    amount: Box<RawValue>,
    /// What is bought.
    #[schema(min_length = 1, max_length = 1000)]
    description: String,
    /// Why. Without it a human decides.
    #[schema(max_length = 1000)]
    justification: String,
    /// What the merchant is called. It decides nothing.
    #[serde(alias = "merchant_name")]
    #[schema(min_length = 1, max_length = 200)]
    merchant_name: Option<String>,
    /// Of ISO 4217; USD where it is absent.
    currency: Option<String>,
    /// The kind of shop, which binds the card to its categories.
    #[serde(alias = "category_hint")]
    #[schema(max_length = 64)]
    category_hint: Option<String>,
    /// How often the card may be used: once, or until its amount is spent, at one merchant, where the
    /// policy allows it.
    #[serde(alias = "card_use")]
    #[schema(pattern = "^(single|until_spent)$", default = "single")]
    card_use: Option<String>,
    /// The same for every attempt at this purchase.
    #[serde(alias = "idempotency_key")]
    #[schema(min_length = 1, max_length = 255)]
    idempotency_key: Option<String>,
}

/// The same as the tool of the Model Context Protocol has it: these names and no others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cold::api) struct ToolPurchase {
    merchant_url: String,
    amount: Box<RawValue>,
    description: String,
    justification: String,
    merchant_name: Option<String>,
    currency: Option<String>,
    category_hint: Option<String>,
    card_use: Option<String>,
    idempotency_key: Option<String>,
}

impl From<ToolPurchase> for NewPurchase {
    fn from(asked: ToolPurchase) -> Self {
        Self {
            merchant_url: asked.merchant_url,
            amount: asked.amount,
            description: asked.description,
            justification: asked.justification,
            merchant_name: asked.merchant_name,
            currency: asked.currency,
            category_hint: asked.category_hint,
            card_use: asked.card_use,
            idempotency_key: asked.idempotency_key,
        }
    }
}

/// The same, once it is understood.
pub(super) struct Wanted {
    pub(super) host: Host,
    pub(super) amount: Amount,
    pub(super) asked: PurchaseAsked,
    pub(super) card_use: CardUse,
    pub(super) called: Option<String>,
}

impl NewPurchase {
    pub(super) fn read(self) -> Result<Wanted, Problem> {
        self.refuse_card_numbers()?;
        let host = Host::of_url(&self.merchant_url)
            .map_err(|refused| Problem::invalid_field("merchantUrl", refused.message()))?;
        let code = self.currency.as_deref().unwrap_or("USD");
        let currency = Currency::parse(code).map_err(|_unknown| {
            Problem::invalid_field("currency", "must be a currency of ISO 4217")
        })?;
        let amount = amount(&self.amount, currency)?;
        let description = text::words(&self.description, "description")?;
        let justification = match self.justification.trim() {
            "" => String::new(),
            _ => text::words(&self.justification, "justification")?,
        };
        let category = self.category_hint.filter(|slug| !slug.is_empty());
        if let Some(slug) = &category
            && (slug.chars().count() > SLUG_LEN_MAX || slug.chars().any(char::is_control))
        {
            let message = format!("must have at most {SLUG_LEN_MAX} characters");
            return Err(Problem::invalid_field("categoryHint", message));
        }
        let card_use = self.card_use.as_deref().map(card_use).transpose()?;
        Ok(Wanted {
            host,
            amount,
            card_use: card_use.unwrap_or_default(),
            called: self.idempotency_key.map(key).transpose()?,
            asked: PurchaseAsked {
                merchant_url: self.merchant_url.trim().to_owned(),
                merchant_name: text::name(self.merchant_name, "merchantName")?,
                description,
                justification,
                category_hint: category,
            },
        })
    }

    /// People are told of all of these, and none of them holds an id of ours.
    fn refuse_card_numbers(&self) -> Result<(), Problem> {
        let texts = [
            ("merchantUrl", Some(&self.merchant_url)),
            ("merchantName", self.merchant_name.as_ref()),
            ("description", Some(&self.description)),
            ("justification", Some(&self.justification)),
            ("categoryHint", self.category_hint.as_ref()),
            ("idempotencyKey", self.idempotency_key.as_ref()),
        ];
        let mut texts = texts.into_iter();
        match texts.find(|(_, text)| text.is_some_and(|text| text::hides_a_card_number(text))) {
            None => Ok(()),
            Some((field, _)) => Err(Problem::invalid_field(field, text::NO_CARD_NUMBER)),
        }
    }
}

fn card_use(word: &str) -> Result<CardUse, Problem> {
    let known = CardUse::ALL.into_iter().find(|it| it.name() == word);
    known.ok_or_else(|| Problem::invalid_field("cardUse", "must be single or until_spent"))
}

fn key(text: String) -> Result<String, Problem> {
    let is_printable = text.chars().all(|char| !char.is_control());
    if (1..=KEY_LEN_MAX).contains(&text.chars().count()) && is_printable {
        return Ok(text);
    }
    let message = format!("must have 1 to {KEY_LEN_MAX} printable characters");
    Err(Problem::invalid_field("idempotencyKey", message))
}

/// Read as decimal text, so that no digit is rounded (behaviour 1.3).
fn amount(raw: &RawValue, currency: Currency) -> Result<Amount, Problem> {
    let wrong = |message: String| Problem::invalid_field("amount", message);
    let written = if raw.get().starts_with('"') {
        let text: Result<String, _> = serde_json::from_str(raw.get());
        text.map_err(|error| wrong(error.to_string()))?
    } else {
        raw.get().to_owned()
    };
    let amount =
        Amount::parse_major(&written, currency).map_err(|invalid| wrong(invalid.to_string()))?;
    if amount.minor == Minor::ZERO {
        return Err(wrong("must be more than nothing".to_owned()));
    }
    Ok(amount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(amount: &str, currency: &str) -> Result<i64, String> {
        let body = format!(
            r#"{{"merchant_url":"shop.example.com","amount":{amount},"description":"a","justification":"","currency":"{currency}"}}"#
        );
        let new: NewPurchase = serde_json::from_str(&body).unwrap();
        let wanted = new.read().map_err(|problem| problem.code().to_owned())?;
        Ok(wanted.amount.minor.get())
    }

    /// Behaviour 1.3, 5.1.
    #[test]
    fn amounts_are_decimal_text_of_their_currency() {
        assert_eq!(read("\"12.34\"", "USD"), Ok(1234));
        assert_eq!(read("0.99", "USD"), Ok(99));
        assert_eq!(read("12", "USD"), Ok(1200));
        assert_eq!(read("12", "JPY"), Ok(12));
        assert_eq!(read("\"1.234\"", "KWD"), Ok(1234));
        for (amount, currency) in [
            ("12.345", "USD"),
            ("1.5", "JPY"),
            ("1e2", "USD"),
            ("-1", "USD"),
            ("0", "USD"),
            ("\"1,5\"", "USD"),
            ("true", "USD"),
            ("1", "USX"),
        ] {
            let refused = read(amount, currency);
            assert_eq!(
                refused,
                Err("invalid_request".to_owned()),
                "{amount} {currency}"
            );
        }
    }
}
