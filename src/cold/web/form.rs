//! Forms of pages: small, each field known and given once, and sent by a page of ours.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use tokio::time::timeout;

/// The largest form.
const SIZE_MAX: usize = 16 * 1024;
/// For it to arrive.
const WITHIN: Duration = Duration::from_secs(10);

/// Whether a browser says that another site's page has sent this. What is no browser says nothing, and brings
/// no cookie of a person either. A page without a referrer sends the origin `null`, also to its own server:
/// what the browser says of the site decides then, where it says it.
pub(in crate::cold) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |value: &HeaderValue| value.to_str().unwrap_or("?").to_owned();
    let site = headers.get("sec-fetch-site").map(text);
    let is_near = match site.as_deref() {
        Some("same-origin" | "none") => true,
        Some(_) => return true,
        None => false,
    };
    let host = headers.get(HOST).map(text).unwrap_or_default();
    let mut origins = headers.get_all(ORIGIN).iter().map(text);
    let is_ours = |origin: String| {
        let named = origin.split_once("://").map(|(_, rest)| rest);
        let is_same = named.is_some_and(|named| named.eq_ignore_ascii_case(&host));
        is_same || (is_near && origin == "null")
    };
    !origins.all(is_ours)
}

/// Whether the body is of this kind, whatever its parameters.
pub(in crate::cold) fn is_of_kind(headers: &HeaderMap, wanted: &str) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let kind = kind.and_then(|it| it.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

/// The body, where it is small and comes in time.
pub(in crate::cold) async fn read(body: Body) -> Option<Bytes> {
    timeout(WITHIN, to_bytes(body, SIZE_MAX)).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elsewhere(pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "pay.example.com".parse().unwrap());
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        is_from_elsewhere(&headers)
    }

    #[test]
    fn s9_only_a_page_of_ours_sends_forms() {
        assert!(!elsewhere(&[]), "no browser");
        assert!(!elsewhere(&[("origin", "https://pay.example.com")]));
        assert!(!elsewhere(&[("sec-fetch-site", "same-origin")]));
        let near = |origin| elsewhere(&[("sec-fetch-site", "same-origin"), ("origin", origin)]);
        assert!(!near("null"), "what a page without a referrer sends");
        assert!(near("https://evil.example"));
        for far in [
            ("origin", "https://evil.example"),
            ("origin", "https://pay.example.com.evil.example"),
            ("origin", "https://pay.example.com:8443"),
            ("origin", "null"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(elsewhere(&[far]), "{far:?}");
        }
        let two = [
            ("origin", "https://pay.example.com"),
            ("origin", "https://evil.example"),
        ];
        assert!(elsewhere(&two));
    }
}
