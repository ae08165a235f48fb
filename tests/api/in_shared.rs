//! Where the rows are: in a PostgreSQL server, with holds and limits in a Redis that nodes share.

use std::path::Path;
use std::sync::Arc;

use countersign::cold::store::{Store, StoreError, postgres};
use secrecy::SecretString;

use crate::pg::{dump, fresh_database};
use crate::redis::RedisServer;
use crate::server::{binary, said};

/// The database of one plane, and its ledger.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) address: String,
    /// It ends with the last plane that uses it.
    _redis: Arc<RedisServer>,
    ledger: String,
}

impl Database {
    pub(crate) fn fresh() -> Self {
        Self::at(fresh_database())
    }

    /// The database of this address, with a ledger of its own.
    pub(crate) fn at(address: String) -> Self {
        let redis = RedisServer::start(&[]);
        let mut found = binary();
        found.args(["ledger", "found", "--ledger", &redis.url()]);
        let (code, told) = said(found.output());
        assert_eq!(code, Some(0), "{told}");
        Self {
            address,
            ledger: redis.url(),
            _redis: Arc::new(redis),
        }
    }

    /// With the ledger of another one.
    pub(crate) fn with_ledger_of(&self, other: &Self) -> Self {
        Self {
            address: self.address.clone(),
            ..other.clone()
        }
    }

    /// What the program is told.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 2] {
        [
            ("COUNTERSIGN_DATABASE", &self.address),
            ("COUNTERSIGN_LEDGER", &self.ledger),
        ]
    }

    pub(crate) async fn open(&self, _data_dir: &Path) -> Result<Arc<dyn Store>, StoreError> {
        postgres::open(&SecretString::from(self.address.clone())).await
    }

    /// Every byte that is kept.
    pub(crate) fn kept(&self, _data_dir: &Path) -> Vec<u8> {
        dump(&self.address)
    }
}
