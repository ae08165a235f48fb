//! Query parameters, and pages of lists: each parameter known, each at most once.

use axum::extract::Query;
use axum::http::Uri;
use serde::Serialize;

use super::caller::Caller;
use super::problem::Problem;
use crate::cold::ids::is_id;
use crate::cold::store::{Listed, PAGE_LEN_MAX};

/// The longest value.
const VALUE_LEN_MAX: usize = 256;
const PAGE_LEN_DEFAULT: usize = 50;

/// The parameters of a request. What nobody took is refused by its name.
#[derive(Clone)]
pub(super) struct Parameters(Vec<(String, String)>);

/// One page of a list.
#[derive(Serialize)]
pub(super) struct Page<T> {
    data: Vec<T>,
    /// What `cursor` is for the page behind this one; null on the last page.
    next: Option<String>,
}

impl Parameters {
    /// None at all.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn read(query: Option<&str>) -> Result<Self, Problem> {
        let unreadable = || Problem::invalid_field("", "the query is not URL-encoded text");
        let uri = format!("/?{}", query.unwrap_or_default());
        let uri: Uri = uri.parse().map_err(|_no_uri| unreadable())?;
        let Query(pairs) = Query::try_from_uri(&uri).map_err(|_no_query| unreadable())?;
        Ok(Self(pairs))
    }

    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let Some(at) = self.0.iter().position(|(known, _)| known == name) else {
            return Ok(None);
        };
        let (_, value) = self.0.swap_remove(at);
        if self.0.iter().any(|(known, _)| known == name) {
            return Err(Problem::invalid_field(name, "is given more than once"));
        }
        if value.is_empty() || value.len() > VALUE_LEN_MAX {
            let message = format!("must have 1 to {VALUE_LEN_MAX} bytes");
            return Err(Problem::invalid_field(name, message));
        }
        Ok(Some(value))
    }

    pub(super) fn limit(&mut self) -> Result<usize, Problem> {
        let Some(text) = self.take("limit")? else {
            return Ok(PAGE_LEN_DEFAULT);
        };
        let limit = text.parse().ok();
        let limit = limit.filter(|limit| (1..=PAGE_LEN_MAX).contains(limit));
        limit.ok_or_else(|| {
            let message = format!("must be a number from 1 to {PAGE_LEN_MAX}");
            Problem::invalid_field("limit", message)
        })
    }

    /// What a list of the caller's objects is asked for: one row more than fit on the page, which
    /// tells whether there is another page.
    pub(super) fn listed(&mut self, caller: &Caller) -> Result<Listed, Problem> {
        let after = self.take("cursor")?;
        if after.as_deref().is_some_and(|after| !is_id(after)) {
            return Err(Problem::invalid_field(
                "cursor",
                "is none that was given out",
            ));
        }
        Ok(Listed {
            mode: caller.mode(),
            customer_id: caller.key.customer_id.clone(),
            agent_id: caller.key.agent_id.clone(),
            after,
            limit: self.limit()? + 1,
        })
    }

    /// Refuses what was not taken.
    pub(super) fn finish(&self) -> Result<(), Problem> {
        match self.0.first() {
            Some((name, _)) => Err(Problem::invalid_field(name, "is not known here")),
            None => Ok(()),
        }
    }
}

/// Narrows a list to a wanted id. False where it lies outside the caller's reach, so that the list is
/// empty, as it is for an id that nobody has.
pub(super) fn narrow(reach: &mut Option<String>, wanted: Option<String>) -> bool {
    match (&*reach, wanted) {
        (Some(own), Some(wanted)) => *own == wanted,
        (None, Some(wanted)) => {
            *reach = Some(wanted);
            true
        }
        (_, None) => true,
    }
}

impl<T> Page<T> {
    /// Of rows that were asked for with [`Parameters::listed`].
    pub(super) fn of<R>(mut rows: Vec<R>, limit: usize, id: impl Fn(&R) -> &str) -> (Vec<R>, Self) {
        let is_last = rows.len() < limit;
        if !is_last {
            rows.truncate(limit.saturating_sub(1));
        }
        let next = rows
            .last()
            .filter(|_| !is_last)
            .map(|row| id(row).to_owned());
        let data = Vec::with_capacity(rows.len());
        (rows, Self { data, next })
    }

    pub(super) fn with(self, data: Vec<T>) -> Self {
        Self { data, ..self }
    }

    pub(super) fn empty() -> Self {
        Self {
            data: Vec::new(),
            next: None,
        }
    }
}
