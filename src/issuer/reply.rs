//! An answer, ready for the socket.

use std::borrow::Cow;

/// Status, content type and body of an answer to an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The body; borrowed for the plain approval and every decline.
    pub body: Cow<'static, [u8]>,
}

impl Reply {
    /// A decision in JSON that never changes.
    pub(super) const fn interned(body: &'static str) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            body: Cow::Borrowed(body.as_bytes()),
        }
    }

    /// A decision in JSON with a number in it.
    pub(super) fn json(body: String) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            body: Cow::Owned(body.into_bytes()),
        }
    }

    /// Problem details (RFC 9457).
    pub(super) fn problem(status: u16, body: String) -> Self {
        Self {
            status,
            content_type: "application/problem+json",
            body: Cow::Owned(body.into_bytes()),
        }
    }
}
