//! What a form or a query holds: each field once, and no more than a page of ours sends.

use std::fmt;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use tokio::time::timeout;

use super::page::Refused;

/// The largest form.
const SIZE_MAX: usize = 32 * 1024;
/// Fields of one form.
const FIELDS_MAX: usize = 40;
/// For a form to arrive.
const WITHIN: Duration = Duration::from_secs(10);

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
    pub(in crate::cold) fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(bytes) {
            let is_twice = fields.iter().any(|(known, _)| *known == name);
            if is_twice || fields.len() >= FIELDS_MAX {
                return Err(Refused::Form);
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    /// Out of a request's body.
    ///
    /// # Errors
    /// Where it is no form, too large, or too slow.
    pub(in crate::cold) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Refused> {
        let kind = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let kind = kind
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default();
        if !kind
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        {
            return Err(Refused::Form);
        }
        let read = timeout(WITHIN, to_bytes(body, SIZE_MAX)).await;
        let read = read.map_err(|_elapsed| Refused::Form)?;
        Self::parse(&read.map_err(|_too_large| Refused::Form)?)
    }

    /// A field; none where it is absent or empty.
    pub(in crate::cold) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found
            .map(|(_, value)| &**value)
            .filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
