//! Query parameters: each known, each at most once, each of a sane length.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use super::problem::Problem;

/// The longest value.
const VALUE_SIZE_MAX: usize = 256;

/// The parameters of a request. What nobody took is refused by its name.
pub(super) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let refused =
            |_not_decodable| Problem::invalid_parameter("", "the query is not URL-encoded text");
        query.map(|Query(pairs)| Self(pairs)).map_err(refused)
    }
}

impl Parameters {
    /// The value of this parameter; absent where the request has none. Empty is no value.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let Some(at) = self.0.iter().position(|(known, _)| known == name) else {
            return Ok(None);
        };
        let (_, value) = self.0.swap_remove(at);
        if self.0.iter().any(|(known, _)| known == name) {
            return Err(Problem::invalid_parameter(name, "is given more than once"));
        }
        if value.is_empty() || value.len() > VALUE_SIZE_MAX {
            let detail = format!("must have 1 to {VALUE_SIZE_MAX} bytes");
            return Err(Problem::invalid_parameter(name, detail));
        }
        Ok(Some(value))
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.0.first() {
            Some((name, _)) => Err(Problem::invalid_parameter(name, "is not known here")),
            None => Ok(()),
        }
    }
}
