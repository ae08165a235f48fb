//! What a server says instead of doing what it was sent.

use std::fmt;
use std::sync::Arc;

use redis::{ErrorKind, RedisError};

/// Why a server did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(&'static str);

/// What servers say of themselves, as operators see it counted; everything else is `other`, and `unreachable`
/// where they say nothing.
const CODES: [&str; 15] = [
    "READONLY",
    "NOREPLICAS",
    "LOADING",
    "OOM",
    "MISCONF",
    "MASTERDOWN",
    "NOAUTH",
    "WRONGPASS",
    "NOPERM",
    "BUSY",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MOVED",
    "ASK",
    "EXECABORT",
];
const TOO_MANY_CLIENTS: &str = "max number of clients reached";

impl Code {
    /// By what the server says.
    #[must_use]
    pub fn of(error: &RedisError) -> Self {
        if !is_refusal(error) {
            return Self("unreachable");
        }
        let code = error.code().unwrap_or_default();
        if let Some(known) = CODES.into_iter().find(|known| *known == code) {
            return Self(known);
        }
        if error.to_string().contains(TOO_MANY_CLIENTS) {
            return Self("MAXCLIENTS");
        }
        Self("other")
    }

    /// Whether another connection may lead to a server that does it: this one is no primary any more, or does
    /// not know us any more.
    #[must_use]
    pub fn is_elsewhere(self) -> bool {
        ["READONLY", "MASTERDOWN", "NOAUTH"].contains(&self.0)
    }
}

/// Counts refusals by their code.
#[derive(Clone)]
pub struct Refusals(Arc<dyn Fn(&'static str) + Send + Sync>);

impl Refusals {
    /// Told of each code.
    #[must_use]
    pub fn new(count: impl Fn(&'static str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(count))
    }

    /// Counts what the server says.
    pub(super) fn of(&self, error: &RedisError) -> Code {
        let code = Code::of(error);
        (self.0)(code.0);
        code
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refusals")
    }
}

/// Whether the server has lost our functions, and with them the memory of who armed them.
pub(super) fn is_unknown_function(error: &RedisError) -> bool {
    let detail = error.detail().unwrap_or_default();
    is_refusal(error) && detail.contains("Function not found")
}

/// Whether the server is reading its data.
pub(super) fn is_loading(error: &RedisError) -> bool {
    Code::of(error) == Code("LOADING")
}

/// Whether the server says that it did not do it. An error of the way there and back says nothing.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    /// What the library makes of a line of a server.
    fn said(line: &str) -> RedisError {
        let value = parse_redis_value(format!("-{line}\r\n").as_bytes()).unwrap();
        Value::extract_error(value).unwrap_err()
    }

    #[test]
    fn e8_what_a_server_says_of_itself_has_a_code_and_is_a_refusal() {
        for code in CODES {
            let error = said(&format!("{code} for some reason"));
            assert_eq!(Code::of(&error), Code(code));
            assert!(is_refusal(&error), "{code}");
        }
        let full = said("ERR max number of clients reached");
        assert_eq!(Code::of(&full), Code("MAXCLIENTS"));
        let lost = RedisError::from(std::io::Error::other("no route"));
        assert_eq!(Code::of(&lost), Code("unreachable"));
        assert_eq!(Code::of(&said("NEWS of tomorrow")), Code("other"));
        let elsewhere = |code| Code::of(&said(code)).is_elsewhere();
        assert!(elsewhere("READONLY x") && elsewhere("MASTERDOWN x") && elsewhere("NOAUTH x"));
        assert!(!elsewhere("OOM x") && !elsewhere("NOREPLICAS x"));
    }
}
