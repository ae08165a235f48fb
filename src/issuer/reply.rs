//! An answer, ready for the socket.

use std::borrow::Cow;

use super::NotUnderstood;

/// Status, headers and body of an answer to an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// Further headers, their names in lower case.
    pub headers: &'static [(&'static str, &'static str)],
    /// The body; borrowed for the plain approval and every decline that repeats nothing.
    pub body: Cow<'static, [u8]>,
}

impl Reply {
    /// A decision in JSON that never changes.
    pub(super) const fn interned(body: &'static str) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            headers: &[],
            body: Cow::Borrowed(body.as_bytes()),
        }
    }

    /// A decision in JSON with something of the question in it.
    pub(super) fn json(body: String) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            headers: &[],
            body: Cow::Owned(body.into_bytes()),
        }
    }

    /// Problem details (RFC 9457).
    #[must_use]
    pub fn problem(status: u16, body: impl Into<Cow<'static, str>>) -> Self {
        let body = match body.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self {
            status,
            content_type: "application/problem+json",
            headers: &[],
            body,
        }
    }

    /// A status below 500, for issuers that decline then and do not ask again.
    pub(super) fn not_understood(cause: &NotUnderstood) -> Self {
        // Both parts of the detail are words of ours that need no escapes.
        Self::problem(
            400,
            format!(
                concat!(
                    r#"{{"type":"about:blank","title":"The authorization request was not understood","#,
                    r#""status":400,"code":"not_understood","detail":"{}"}}"#
                ),
                cause
            ),
        )
    }
}
