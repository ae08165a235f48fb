//! Refusals that are no decision: problem details (RFC 9457) with a stable code.

use crate::issuer::{NotUnderstood, Reply};

macro_rules! problem {
    ($status:literal, $code:literal, $title:literal) => {
        concat!(
            "{\"type\":\"about:blank\",\"title\":\"",
            $title,
            "\",\"status\":",
            $status,
            ",\"code\":\"",
            $code,
            "\"}"
        )
    };
}

/// What is wrong with a request before anybody looks at its content (behaviour 11.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its code in words")]
pub enum Problem {
    NotFound,
    MethodNotAllowed,
    SignatureRefused,
    TooSlow,
    BodyTooLarge,
    NotJson,
    ContentEncoding,
    HeadersTooLarge,
    BodyIncomplete,
    EventNotBooked,
    Internal,
}

impl Problem {
    /// The answer.
    #[must_use]
    pub fn reply(self) -> Reply {
        let (status, body) = match self {
            Self::NotFound => (
                404,
                problem!(404, "not_found", "No such connection or path"),
            ),
            Self::MethodNotAllowed => (
                405,
                problem!(405, "method_not_allowed", "This path takes POST only"),
            ),
            Self::SignatureRefused => (
                401,
                problem!(
                    401,
                    "signature_refused",
                    "Signature or credentials were not accepted"
                ),
            ),
            Self::TooSlow => (
                408,
                problem!(408, "too_slow", "The request took too long to arrive"),
            ),
            Self::BodyTooLarge => (
                413,
                problem!(413, "body_too_large", "The body is larger than 256 KiB"),
            ),
            Self::NotJson => (
                415,
                problem!(415, "not_json", "The content type is not application/json"),
            ),
            Self::ContentEncoding => (
                415,
                problem!(415, "content_encoding", "Encoded bodies are not taken"),
            ),
            Self::HeadersTooLarge => (
                431,
                problem!(
                    431,
                    "headers_too_large",
                    "The headers are larger than 16 KiB"
                ),
            ),
            Self::BodyIncomplete => (
                400,
                problem!(
                    400,
                    "body_incomplete",
                    "The body did not arrive as announced"
                ),
            ),
            Self::EventNotBooked => (
                503,
                problem!(
                    503,
                    "event_not_booked",
                    "The event could not be booked; send it again"
                ),
            ),
            Self::Internal => (500, problem!(500, "internal", "Something went wrong here")),
        };
        Reply::problem(status, body)
    }
}

/// An authentic event that ought to be understood and is not. The detail's words are ours and need
/// no escapes.
#[must_use]
pub fn event_not_understood(cause: &NotUnderstood) -> Reply {
    let head = concat!(
        r#"{"type":"about:blank","title":"The event was not understood","#,
        r#""status":400,"code":"not_understood","detail":""#
    );
    Reply::problem(400, format!("{head}{cause}\"}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_json_with_its_own_status_and_code() {
        for problem in [
            Problem::NotFound,
            Problem::MethodNotAllowed,
            Problem::SignatureRefused,
            Problem::TooSlow,
            Problem::BodyTooLarge,
            Problem::NotJson,
            Problem::ContentEncoding,
            Problem::HeadersTooLarge,
            Problem::BodyIncomplete,
            Problem::EventNotBooked,
            Problem::Internal,
        ] {
            let reply = problem.reply();
            let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
            assert_eq!(body["status"], reply.status);
            assert!(body["code"].is_string());
        }
    }
}
