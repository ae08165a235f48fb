//! Why a decline happened, in one plain sentence and as values (behaviour 2.12).
//!
//! The sentence is made when somebody reads it; the journal holds numbers only. So a better
//! sentence also explains what was declined last year.

mod sentence;
mod shown;

use serde::Serialize;
use utoipa::ToSchema;

use self::sentence::sentence;
use self::shown::shown;
use crate::domain::card::Level;
use crate::domain::currency::Currency;
use crate::domain::explanation::Explanation;

/// What an explanation needs of the authorization that it is about.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// The currency of the amounts in it.
    pub currency: Currency,
}

/// An explanation as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Explanation)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// One sentence.
    pub text: String,
    /// Where the rule stands.
    #[schema(pattern = "^(card|agent|customer)$")]
    pub level: Option<&'static str>,
    /// The rule's path as owners write it.
    pub field: Option<&'static str>,
    /// What the authorization brought.
    pub observed: Option<Shown>,
    /// What the rule allows.
    pub limit: Option<Shown>,
    /// What would still have passed, in minor units.
    pub remaining: Option<i64>,
    /// When the limit's window ends.
    #[schema(format = DateTime)]
    pub resets_at: Option<String>,
}

/// A value that was observed or allowed: minor units as a number, all else in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ExplainedValue)]
#[serde(untagged)]
pub enum Shown {
    /// Minor units, or a count.
    Number(i64),
    /// A code, a word or an instant.
    Text(String),
}

/// What there is to say where an issuer has declined by itself.
pub(in crate::cold) fn declined_by_issuer() -> Explained {
    Explained {
        text: "The issuer has declined it by itself.".to_owned(),
        level: None,
        field: None,
        observed: None,
        limit: None,
        remaining: None,
        resets_at: None,
    }
}

/// The explanation in words and values.
#[must_use]
pub fn explain(explanation: &Explanation, context: Context) -> Explained {
    Explained {
        text: sentence(explanation, context),
        level: explanation.level.map(Level::name),
        field: explanation.field.path(),
        observed: explanation.observed.map(|value| shown(explanation, value)),
        limit: explanation.limit.map(|value| shown(explanation, value)),
        remaining: explanation.remaining,
        resets_at: explanation
            .resets_at
            .map(|at| at.rfc3339_seconds().to_string()),
    }
}

#[cfg(test)]
mod tests;
