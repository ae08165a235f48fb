//! The page that shows a purchase card (behaviour 5.12): first a button, then what buys.

use askama::Template;
use axum::body::Body;
use axum::http::{Response, StatusCode};

use super::{page, page_framing};

/// What is told before anything is shown. All of it is ours.
#[derive(Template)]
#[template(path = "web/reveal.html")]
pub(in crate::cold) struct Asking {
    pub(in crate::cold) last4: String,
    /// The merchant's host, in A-labels.
    pub(in crate::cold) host: String,
    /// With its currency.
    pub(in crate::cold) amount: String,
    /// RFC 3339.
    pub(in crate::cold) ends_at: String,
}

/// What buys. Cannot be printed; lives for one answer.
#[derive(Template)]
#[template(path = "web/revealed.html")]
pub(in crate::cold) struct Showing<'a> {
    pub(in crate::cold) last4: String,
    pub(in crate::cold) number: &'a str,
    /// `MM/YY`.
    pub(in crate::cold) expiry: String,
    pub(in crate::cold) cvv: &'a str,
    /// Where the issuer tells it.
    pub(in crate::cold) name: Option<&'a str>,
    /// Lines; where the issuer tells it.
    pub(in crate::cold) billing: Option<&'a str>,
    pub(in crate::cold) host: String,
    pub(in crate::cold) amount: String,
}

/// The issuer's page in ours. Cannot be printed; lives for one answer.
#[derive(Template)]
#[template(path = "web/framed.html")]
pub(in crate::cold) struct Framing<'a> {
    pub(in crate::cold) last4: String,
    /// Whoever has it sees the card.
    pub(in crate::cold) url: &'a str,
    pub(in crate::cold) host: String,
    pub(in crate::cold) amount: String,
}

/// The page with the issuer's in it. `origin` is where that is.
pub(in crate::cold) fn framing(origin: &str, page_of: &Framing<'_>) -> Response<Body> {
    page_framing(origin, StatusCode::OK, page_of)
}

/// The page with the button.
pub(in crate::cold) fn asking(page_of: &Asking) -> Response<Body> {
    page(StatusCode::OK, page_of)
}

/// The page with the number.
pub(in crate::cold) fn showing(page_of: &Showing<'_>) -> Response<Body> {
    page(StatusCode::OK, page_of)
}
