//! Where the rows are: in a PostgreSQL server.

use std::fs;
use std::future::{Ready, ready};
use std::path::Path;
use std::sync::Arc;

use countersign::cold::store::{Store, StoreError, postgres};
use secrecy::SecretString;

use crate::pg::{dump, fresh_database, sql};

/// The database of one plane.
pub(crate) struct Database {
    pub(crate) address: String,
}

impl Database {
    pub(crate) fn fresh() -> Self {
        let address = fresh_database();
        Self { address }
    }

    /// What the program is told.
    pub(crate) fn environment(&self) -> Option<(&'static str, &str)> {
        Some(("COUNTERSIGN_DATABASE", &self.address))
    }

    pub(crate) async fn open(&self, _data_dir: &Path) -> Result<Arc<dyn Store>, StoreError> {
        postgres::open(&SecretString::from(self.address.clone())).await
    }

    /// What a program of this version has left.
    pub(crate) fn restore(&self, _data_dir: &Path, version: usize) -> Ready<()> {
        let path = format!("fixtures/store/{version}.postgres.sql");
        sql(&self.address, &fs::read_to_string(path).unwrap());
        ready(())
    }

    /// As a newer program would leave it.
    pub(crate) fn set_version(&self, _data_dir: &Path, version: u32) {
        let statement = format!("INSERT INTO countersign_schema VALUES ({version})");
        sql(&self.address, &statement);
    }

    /// Every byte that is kept.
    pub(crate) fn kept(&self, _data_dir: &Path) -> Vec<u8> {
        dump(&self.address)
    }
}
