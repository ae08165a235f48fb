//! Where a new physical card is sent, as the API takes it (behaviour 4.1). What an issuer prints and what
//! a carrier needs is checked here, so that no order fails on its way.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::cold::api::problem::Problem;
use crate::cold::issuers::shipping::{Service, Shipping};
use crate::domain::acceptor::Country;

/// Characters of both names together: more are not embossed.
const NAMES_LEN_MAX: usize = 25;
/// Characters of a line of an address.
const LINE_LEN_MAX: usize = 100;
/// Characters of a state or province that has no two letters.
const STATE_LEN_MAX: usize = 24;
/// Characters of a postal code.
const POSTAL_LEN_MAX: usize = 16;
/// Digits of an E.164 number.
const PHONE_LEN: std::ops::RangeInclusive<usize> = 7..=15;

/// To whom and where.
#[derive(Deserialize, ToSchema)]
#[schema(as = Shipping)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewShipping {
    /// Printed on the card; both names together have 25 characters at most.
    #[schema(min_length = 1, max_length = 25)]
    first_name: String,
    /// Printed on the card.
    #[schema(min_length = 1, max_length = 25)]
    last_name: String,
    /// Street and number.
    #[schema(min_length = 1, max_length = 100)]
    line1: String,
    /// Flat, floor, or care of.
    #[schema(min_length = 1, max_length = 100)]
    line2: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    city: String,
    /// Two letters in the United States and Canada, where it is needed; some issuers want it everywhere.
    #[schema(min_length = 1, max_length = 24)]
    state: Option<String>,
    #[schema(min_length = 1, max_length = 16)]
    postal_code: String,
    /// ISO 3166-1, two letters in upper case.
    #[schema(pattern = "^[A-Z]{2}$")]
    country: String,
    /// E.164: `+` and 7 to 15 digits.
    #[schema(pattern = "^\\+[0-9]{7,15}$")]
    phone: Option<String>,
    /// How fast it is sent; `standard` where it is absent.
    service: Option<ServiceWord>,
}

/// The address that merchants compare. All of it can be left out.
#[derive(Deserialize, ToSchema)]
#[schema(as = Billing)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewBilling {
    #[schema(min_length = 1, max_length = 100)]
    first_name: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    last_name: Option<String>,
    /// Street and number.
    #[schema(min_length = 1, max_length = 100)]
    line1: Option<String>,
    /// Flat, floor, or care of.
    #[schema(min_length = 1, max_length = 100)]
    line2: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    city: Option<String>,
    #[schema(min_length = 1, max_length = 24)]
    state: Option<String>,
    #[schema(min_length = 1, max_length = 16)]
    postal_code: Option<String>,
    /// ISO 3166-1, two letters in upper case.
    #[schema(pattern = "^[A-Z]{2}$")]
    country: Option<String>,
}

/// How fast a card is sent.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[schema(as = ShippingService)]
#[serde(rename_all = "lowercase")]
enum ServiceWord {
    Standard,
    Priority,
    Express,
}

impl From<ServiceWord> for Service {
    fn from(word: ServiceWord) -> Self {
        match word {
            ServiceWord::Standard => Self::Standard,
            ServiceWord::Priority => Self::Priority,
            ServiceWord::Express => Self::Express,
        }
    }
}

/// A line that can be printed on a label.
fn line(field: &str, text: String, len_max: usize) -> Result<String, Problem> {
    check_line(&format!("shipping.{field}"), &text, len_max)?;
    Ok(text)
}

fn check_line(field: &str, text: &str, len_max: usize) -> Result<(), Problem> {
    let count = text.chars().count();
    if text.trim().is_empty() || count > len_max || text.chars().any(char::is_control) {
        let message = format!(
            "must be 1 to {len_max} characters, not spaces alone, none of them a control one"
        );
        return Err(Problem::invalid_field(field, message));
    }
    Ok(())
}

impl NewBilling {
    /// Refuses what is no address.
    pub(super) fn check(&self) -> Result<(), Problem> {
        for (field, text, len_max) in [
            ("billing.firstName", &self.first_name, LINE_LEN_MAX),
            ("billing.lastName", &self.last_name, LINE_LEN_MAX),
            ("billing.line1", &self.line1, LINE_LEN_MAX),
            ("billing.line2", &self.line2, LINE_LEN_MAX),
            ("billing.city", &self.city, LINE_LEN_MAX),
            ("billing.state", &self.state, STATE_LEN_MAX),
            ("billing.postalCode", &self.postal_code, POSTAL_LEN_MAX),
        ] {
            let text = text.as_deref();
            text.map_or(Ok(()), |text| check_line(field, text, len_max))?;
        }
        match &self.country {
            Some(country) if !is_country(country) => {
                Err(Problem::invalid_field("billing.country", NO_COUNTRY))
            }
            Some(_) | None => Ok(()),
        }
    }
}

const NO_COUNTRY: &str = "must be the two upper-case letters of a country (ISO 3166-1)";

fn is_country(text: &str) -> bool {
    let is_upper = text.bytes().all(|byte| byte.is_ascii_uppercase());
    is_upper && Country::parse_alpha2(text).is_some_and(|it| it.is_listed())
}

impl NewShipping {
    /// The address, where a card can be sent to it.
    pub(super) fn read(self) -> Result<Shipping, Problem> {
        let first_name = line("firstName", self.first_name, NAMES_LEN_MAX)?;
        let last_name = line("lastName", self.last_name, NAMES_LEN_MAX)?;
        if first_name.chars().count() + last_name.chars().count() > NAMES_LEN_MAX {
            let message = format!("has more than {NAMES_LEN_MAX} characters with `firstName`");
            return Err(Problem::invalid_field("shipping.lastName", message));
        }
        let (state, country) = place(self.state, self.country)?;
        let is_number = |text: &String| {
            let digits = text.strip_prefix('+').unwrap_or_default();
            PHONE_LEN.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        if self.phone.as_ref().is_some_and(|text| !is_number(text)) {
            let message = "must be `+` and 7 to 15 digits";
            return Err(Problem::invalid_field("shipping.phone", message));
        }
        let line2 = self.line2.map(|text| line("line2", text, LINE_LEN_MAX));
        Ok(Shipping {
            first_name,
            last_name,
            line1: line("line1", self.line1, LINE_LEN_MAX)?,
            line2: line2.transpose()?,
            city: line("city", self.city, LINE_LEN_MAX)?,
            state,
            postal_code: line("postalCode", self.postal_code, POSTAL_LEN_MAX)?,
            country,
            phone: self.phone,
            service: self.service.map(Into::into).unwrap_or_default(),
        })
    }
}

/// The state and the country, as carriers know them.
fn place(state: Option<String>, country: String) -> Result<(Option<String>, String), Problem> {
    if !is_country(&country) {
        return Err(Problem::invalid_field("shipping.country", NO_COUNTRY));
    }
    let needs_letters = matches!(&*country, "US" | "CA");
    let is_letters =
        |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    if needs_letters && !state.as_deref().is_some_and(is_letters) {
        let message = "must be two upper-case letters in this country";
        return Err(Problem::invalid_field("shipping.state", message));
    }
    let state = state.map(|text| line("state", text, STATE_LEN_MAX));
    Ok((state.transpose()?, country))
}
