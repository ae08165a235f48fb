//! Where the rows are: in a file of the data directory.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use countersign::cold::store::{Store, StoreError, sqlite};
use countersign::config::CONTROL_DATABASE;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, raw_sql};

/// The database of one plane.
#[derive(Clone)]
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

    /// Changes rows behind the program's back; what undoes it.
    pub(crate) fn change(&self, data_dir: &Path, statements: &'static str) -> Vec<u8> {
        let path = data_dir.join(CONTROL_DATABASE);
        let before = fs::read(&path).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let options = SqliteConnectOptions::new().filename(&path);
            let mut connection = options.connect().await.unwrap();
            raw_sql(statements).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
        before
    }

    pub(crate) fn restore_rows(&self, data_dir: &Path, before: Vec<u8>) {
        fs::write(data_dir.join(CONTROL_DATABASE), before).unwrap();
        for log in ["control/control.db-wal", "control/control.db-shm"] {
            drop(fs::remove_file(data_dir.join(log)));
        }
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
