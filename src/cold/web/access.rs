//! The page on which an owner answers an agent that is paused and asks to be at work (behaviour 4.4, 7.2).

use askama::Template;

use crate::cold::api::SpendingLine;

/// One request, with the forms that answer it.
#[derive(Template)]
#[template(path = "web/access.html")]
pub(in crate::cold) struct AccessPage<'a> {
    pub(in crate::cold) id: &'a str,
    pub(in crate::cold) csrf: &'a str,
    /// Of the request as it is shown: its words may change while it waits.
    pub(in crate::cold) revision: i64,
    pub(in crate::cold) status: &'static str,
    pub(in crate::cold) agent: String,
    pub(in crate::cold) agent_status: &'static str,
    pub(in crate::cold) limits: Vec<SpendingLine>,
    pub(in crate::cold) asked_at: String,
    /// The owner's words.
    pub(in crate::cold) note: Option<String>,
    pub(in crate::cold) waits: bool,
    pub(in crate::cold) may_decide: bool,
    /// The agent's words.
    pub(in crate::cold) reason: String,
}
