//! Programs: those that have registered themselves, and those that describe themselves elsewhere.

use super::documents::{Documents, is_address};
use super::redirect;
use crate::cold::api::Api;
use crate::cold::ids::is_id;
use crate::cold::store::StoreError;
use crate::domain::time::Timestamp;

/// A program, as it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) redirect_uris: Vec<String>,
    /// Whether it has a row here.
    pub(super) is_registered: bool,
}

/// Why there is no such program.
pub(super) enum Unknown {
    /// What is wrong, for people.
    Why(&'static str),
    Store(StoreError),
}

impl Program {
    /// The program of an id, which somebody asks for.
    pub(super) async fn find(
        api: &Api,
        documents: &Documents,
        id: &str,
        for_whom: &str,
        now: Timestamp,
    ) -> Result<Self, Unknown> {
        if is_address(id) {
            let found = documents.program(id, for_whom, now).await;
            return found.map_err(Unknown::Why);
        }
        let found = match is_id(id) {
            true => api.store.people().client(id.to_owned()).await,
            false => Ok(None),
        };
        let row = found.map_err(Unknown::Store)?;
        let row = row.ok_or(Unknown::Why("it is not known here, or no more"))?;
        Ok(Self {
            id: row.id,
            name: row.name,
            redirect_uris: row.redirect_uris.lines().map(str::to_owned).collect(),
            is_registered: true,
        })
    }

    /// Whether its user may be sent back to this address.
    pub(super) fn comes_back_to(&self, uri: &str) -> bool {
        self.redirect_uris
            .iter()
            .any(|known| redirect::is_same(known, uri))
    }
}
