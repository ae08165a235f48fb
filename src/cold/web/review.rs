//! The pages on which a human decides (behaviour 5.7, 7.2): our facts above, the agent's words below and
//! marked as its own.

use askama::Template;

use super::shown_words;
use crate::cold::api::SpendingLine;

/// One request that waits.
pub(in crate::cold) struct Waiting {
    pub(in crate::cold) id: String,
    /// With its currency.
    pub(in crate::cold) amount: String,
    pub(in crate::cold) host: String,
    pub(in crate::cold) agent: String,
    pub(in crate::cold) ends: String,
}

/// An agent that is paused and asks to be at work.
pub(in crate::cold) struct WaitingAccess {
    pub(in crate::cold) path: String,
    pub(in crate::cold) agent: String,
    pub(in crate::cold) asked_at: String,
}

/// What waits.
#[derive(Template)]
#[template(path = "web/queue.html")]
pub(in crate::cold) struct Queue {
    pub(in crate::cold) waiting: Vec<Waiting>,
    pub(in crate::cold) access: Vec<WaitingAccess>,
    /// The id behind which the next page begins.
    pub(in crate::cold) next: Option<String>,
}

/// One request, with the forms that decide on it.
#[derive(Template)]
#[template(path = "web/review.html")]
pub(in crate::cold) struct Review<'a> {
    pub(in crate::cold) id: &'a str,
    /// The page's path: what decides lies below it.
    pub(in crate::cold) at: &'a str,
    pub(in crate::cold) by_link: bool,
    /// Why a link decides nothing.
    pub(in crate::cold) spent: Option<&'a str>,
    pub(in crate::cold) csrf: &'a str,
    pub(in crate::cold) version: i64,
    pub(in crate::cold) status: &'a str,
    /// With its currency.
    pub(in crate::cold) amount: String,
    pub(in crate::cold) bare_amount: &'a str,
    pub(in crate::cold) earmark: String,
    pub(in crate::cold) card_use: &'a str,
    pub(in crate::cold) bound_to: &'a str,
    pub(in crate::cold) host: &'a str,
    pub(in crate::cold) agent: String,
    pub(in crate::cold) limits: Vec<SpendingLine>,
    pub(in crate::cold) asked_at: &'a str,
    pub(in crate::cold) ends: Option<&'a str>,
    pub(in crate::cold) causes: Vec<String>,
    pub(in crate::cold) note: Option<String>,
    pub(in crate::cold) waits: bool,
    pub(in crate::cold) may_decide: bool,
    pub(in crate::cold) must_retype: bool,
    pub(in crate::cold) merchant_url: String,
    pub(in crate::cold) merchant_name: String,
    pub(in crate::cold) description: String,
    pub(in crate::cold) justification: String,
    pub(in crate::cold) category: String,
}

/// Words of somebody else, where there are any.
pub(in crate::cold) fn words_of(text: Option<&str>) -> String {
    text.map_or_else(|| "not said".to_owned(), shown_words)
}
