//! Where the rows are: in a file of the data directory.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use countersign::cold::store::{Store, StoreError, sqlite};
use countersign::config::CONTROL_DATABASE;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, raw_sql};

/// The database of one plane.
pub(crate) struct Database;

impl Database {
    pub(crate) fn fresh() -> Self {
        Self
    }

    /// What the program is told.
    pub(crate) fn environment(&self) -> Option<(&'static str, &str)> {
        None
    }

    pub(crate) async fn open(&self, data_dir: &Path) -> Result<Arc<dyn Store>, StoreError> {
        sqlite::open(&data_dir.join(CONTROL_DATABASE)).await
    }

    /// What a program of this version has left.
    pub(crate) async fn restore(&self, data_dir: &Path, version: usize) {
        let path = format!("fixtures/store/{version}.sqlite.sql");
        let options = SqliteConnectOptions::new()
            .filename(data_dir.join(CONTROL_DATABASE))
            .create_if_missing(true)
            .foreign_keys(false);
        let mut connection = options.connect().await.unwrap();
        let statements = fs::read_to_string(path).unwrap();
        let done = raw_sql(AssertSqlSafe(statements)).execute(&mut connection);
        done.await.unwrap();
        connection.close().await.unwrap();
    }

    /// As a newer program would leave it.
    pub(crate) fn set_version(&self, data_dir: &Path, version: u32) {
        let path = data_dir.join(CONTROL_DATABASE);
        let mut bytes = fs::read(&path).unwrap();
        // The header's field of the user's version, in big-endian.
        bytes[60..64].copy_from_slice(&version.to_be_bytes());
        fs::write(&path, &bytes).unwrap();
    }

    /// Every byte that is kept.
    pub(crate) fn kept(&self, data_dir: &Path) -> Vec<u8> {
        let folder = data_dir.join("control");
        let mut kept = fs::read(folder.join("control.db")).unwrap();
        // Gone where the file was closed.
        kept.extend(fs::read(folder.join("control.db-wal")).unwrap_or_default());
        kept
    }
}
