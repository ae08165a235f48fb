//! Forms of pages, and queries: small, each field given once, and sent by a page of ours.

use std::fmt;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, ORIGIN};
use bytes::Bytes;
use tokio::time::timeout;

/// The largest form.
const SIZE_MAX: usize = 32 * 1024;
/// Fields of one form.
const FIELDS_MAX: usize = 40;
/// For it to arrive.
const WITHIN: Duration = Duration::from_secs(10);

/// It is none that a page of ours sends: of another kind, too large, too slow, or with a field twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cold) struct NoForm;

/// Fields by their names. Names that nobody asks for are passed over.
#[derive(Clone, Default)]
pub(in crate::cold) struct Form(Vec<(String, String)>);

/// Names alone: values are passwords and tokens.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|(name, _)| name);
        f.write_str("Form ")?;
        f.debug_list().entries(names).finish()
    }
}

impl Form {
    /// Out of the bytes of a query or a body.
    ///
    /// # Errors
    /// Where a field is there twice, or there are too many.
    pub(in crate::cold) fn parse(bytes: &[u8]) -> Result<Self, NoForm> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            let is_twice = fields.iter().any(|(known, _)| *known == name);
            if is_twice || fields.len() >= FIELDS_MAX {
                return Err(NoForm);
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    /// Out of a request's body.
    ///
    /// # Errors
    /// Where it is no form, too large, or too slow.
    pub(in crate::cold) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, NoForm> {
        if !is_of_kind(headers, "application/x-www-form-urlencoded") {
            return Err(NoForm);
        }
        Self::parse(&read(body).await?)
    }

    /// A field; none where it is absent or empty.
    pub(in crate::cold) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| &**value)
            .filter(|value| !value.is_empty())
    }

    /// A field of several lines, which browsers end with two characters; none where it is absent or empty.
    pub(in crate::cold) fn lines(&self, name: &str) -> Option<String> {
        self.get(name).map(|it| it.replace("\r\n", "\n"))
    }
}

/// The body, where it is small and comes in time.
///
/// # Errors
/// Where it is not, or does not.
pub(in crate::cold) async fn read(body: Body) -> Result<Bytes, NoForm> {
    let read = timeout(WITHIN, to_bytes(body, SIZE_MAX)).await;
    let read = read.map_err(|_elapsed| NoForm)?;
    read.map_err(|_too_large| NoForm)
}

/// Whether the body is of this kind, whatever its parameters.
pub(in crate::cold) fn is_of_kind(headers: &HeaderMap, wanted: &str) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let kind = kind.and_then(|it| it.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

/// What is told of the page that has sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cold) enum Sender {
    /// A page of ours.
    Ours,
    /// Another page, or one that the browser keeps to itself.
    Elsewhere,
    /// Nothing is told, as programs do that are no browser.
    Untold,
}

/// Which page has sent this, as a browser tells it, to the server of this origin; none where the request
/// names another server. A page without a referrer sends the origin `null`, also to its own server: what
/// the browser says of the site decides then, where it says it.
pub(in crate::cold) fn sender(headers: &HeaderMap, own: Option<&str>) -> Sender {
    let mut origins = headers.get_all(ORIGIN).iter();
    let (origin, more) = (origins.next(), origins.next());
    let site = headers.get("sec-fetch-site").map(|it| it.as_bytes());
    let is_near = site == Some(b"same-origin");
    let is_ours = match (origin, site) {
        (None, None) => return Sender::Untold,
        (None, Some(_)) => is_near,
        (Some(origin), site) => match origin.as_bytes() {
            b"null" => is_near,
            origin => {
                own.is_some_and(|own| own.as_bytes() == origin) && (is_near || site.is_none())
            }
        },
    };
    if is_ours && more.is_none() {
        Sender::Ours
    } else {
        Sender::Elsewhere
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const OWN: &str = "https://pay.example.com";

    #[test]
    fn a_field_is_there_once_or_the_form_is_refused() {
        let form = Form::parse(b"a=1&b=%20x%26&c=").unwrap();
        assert_eq!(form.get("a"), Some("1"));
        assert_eq!(form.get("b"), Some(" x&"));
        assert_eq!(form.get("c"), None);
        assert_eq!(format!("{form:?}"), "Form [\"a\", \"b\", \"c\"]");
        assert!(Form::parse(b"a=1&a=2").is_err());
        let many: Vec<String> = (0..=FIELDS_MAX).map(|it| format!("f{it}=1")).collect();
        assert!(Form::parse(many.join("&").as_bytes()).is_err());
    }

    fn sent(pairs: &[(&'static str, &'static str)]) -> Sender {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        sender(&headers, Some(OWN))
    }

    #[test]
    fn s9_a_form_is_ours_where_the_browser_says_so() {
        let near = ("sec-fetch-site", "same-origin");
        for ours in [
            &[("origin", OWN)][..],
            &[("origin", OWN), near],
            &[("origin", "null"), near],
            &[near],
        ] {
            assert_eq!(sent(ours), Sender::Ours, "{ours:?}");
        }
        assert_eq!(sent(&[]), Sender::Untold, "no browser");
        for foreign in [
            &[("origin", "null")][..],
            &[("origin", "")],
            &[("origin", "https://evil.example")],
            &[("origin", "https://evil.example"), near],
            &[("origin", "http://pay.example.com")],
            &[("origin", "https://pay.example.com:8443")],
            &[("origin", "https://pay.example.com.evil.example")],
            &[("origin", OWN), ("sec-fetch-site", "cross-site")],
            &[("origin", "null"), ("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            // Somebody has typed the address: no form does that.
            &[("sec-fetch-site", "none")],
            &[("origin", OWN), ("origin", OWN)],
            &[("origin", OWN), ("origin", "https://evil.example")],
        ] {
            assert_eq!(sent(foreign), Sender::Elsewhere, "{foreign:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static(OWN));
        let of_another = sender(&headers, None);
        assert_eq!(of_another, Sender::Elsewhere, "a name that is not ours");
    }
}
