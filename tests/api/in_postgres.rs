//! Where the rows are: in a PostgreSQL server.

use std::fs;
use std::future::{Ready, ready};
use std::path::Path;
use std::sync::Arc;

use countersign::cold::store::{Store, StoreError, postgres};
use secrecy::SecretString;

use crate::pg::{dump, fresh_database, sql};

/// The database of one plane.
#[derive(Clone)]
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

    /// Changes rows behind the program's back; what undoes it.
    pub(crate) fn change(&self, _data_dir: &Path, statements: &'static str) -> &'static str {
        let keep = "CREATE TABLE kept AS SELECT * FROM audit;
                    CREATE TABLE kept_checkpoints AS SELECT * FROM audit_checkpoints;";
        sql(&self.address, &format!("{keep}{statements}"));
        "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept;
         DELETE FROM audit_checkpoints;
         INSERT INTO audit_checkpoints SELECT * FROM kept_checkpoints;
         DROP TABLE kept; DROP TABLE kept_checkpoints;"
    }

    pub(crate) fn restore_rows(&self, _data_dir: &Path, statements: &str) {
        sql(&self.address, statements);
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
