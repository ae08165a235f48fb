//! A node that answers issuers by rules which another process changes (decision 0032).

use std::sync::Arc;

use secrecy::SecretString;
use tokio::runtime::Runtime;

use crate::app::StartError;
use crate::app::ownership::Rows;
use crate::cold::control::{self, Followed};
use crate::cold::store::{Store, StoreError, postgres};
use crate::config::Config;
use crate::ledger::embedded::frame::JournalId;

/// The database of another process, of which this one reads the rules.
pub(super) struct Follower {
    store: Arc<dyn Store>,
    /// The newest change before the rules were read.
    head: i64,
}

impl Follower {
    /// Opens the database where this process answers issuers only; absent where it does not, or where a
    /// file rules.
    ///
    /// # Errors
    /// [`StartError`] where the database cannot be read, or is not the ledger's.
    pub(super) fn open(
        cold: &Runtime,
        config: &Config,
        ledger: JournalId,
    ) -> Result<Option<Self>, StartError> {
        let address = config.database.as_ref();
        let Some(address) = address.filter(|_| !config.roles.control) else {
            return Ok(None);
        };
        let opened = cold.block_on(open(address));
        let (follower, theirs) = opened.map_err(|error| StartError::Control(error.to_string()))?;
        let ours = ledger.name();
        match theirs {
            Some(theirs) if theirs == ours => Ok(Some(follower)),
            Some(theirs) => Err(StartError::NotOurs(format!(
                "the database belongs to the ledger {theirs}, and the Redis holds the ledger {ours}: what was \
                 spent would not be counted here. Start with that ledger"
            ))),
            None => Err(StartError::Control(
                "the database belongs to no ledger yet: start a process with `--roles control` first"
                    .to_owned(),
            )),
        }
    }

    /// Has the rules follow those of the database.
    ///
    /// # Errors
    /// [`StartError::Io`] where the system gives no thread.
    pub(super) fn start(
        self,
        followed: impl FnOnce(Arc<dyn Store>, i64) -> Followed,
    ) -> Result<(), StartError> {
        let followed = followed(self.store, self.head);
        let started = control::follow(followed);
        started.map_err(|error| StartError::Io("cannot start the thread of the rules", error))
    }
}

/// Where the rules are read that a database has: this process's own, or another one's.
pub(super) fn rows_of<'r>(
    own: Option<&'r Rows>,
    others: Option<&'r Follower>,
) -> Option<&'r dyn Store> {
    let own = own.map(|rows| &*rows.store);
    own.or_else(|| others.map(|follower| &*follower.store))
}

/// With the name of the ledger that the database belongs to.
async fn open(address: &SecretString) -> Result<(Follower, Option<String>), StoreError> {
    let store = postgres::open(address).await?;
    let theirs = store.ledger().await?.map(|row| row.journal);
    let head = store.nodes().changed_head().await?;
    Ok((Follower { store, head }, theirs))
}
