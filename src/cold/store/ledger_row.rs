//! Which journal counts what a database's limits have let through, as its one row.

use super::StoreError;
use super::rows::{instant, text};
use super::sql::{Columns, Statement};
use crate::domain::time::Timestamp;

/// Its table.
pub(super) const TABLE: &str = "
CREATE TABLE ledger (
    slot INTEGER NOT NULL PRIMARY KEY,
    journal TEXT NOT NULL,
    place TEXT NOT NULL,
    since_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";
/// The row.
pub(super) const ROW: &str = "SELECT * FROM ledger WHERE slot = 0";

/// The journal that a database belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Its name: the same in all files of the journal, drawn when it was made.
    pub journal: String,
    /// Where it was when that was written, for people.
    pub place: String,
    /// Since when.
    pub since: Timestamp,
}

pub(super) fn row(row: &dyn Columns) -> Result<LedgerRow, StoreError> {
    Ok(LedgerRow {
        journal: text(row, "journal")?,
        place: text(row, "place")?,
        since: instant(row, "since_us")?,
    })
}

/// Writes the row where there is none, or in place of the one that names this journal.
pub(super) fn put(row: LedgerRow, instead_of: Option<String>) -> Statement {
    let LedgerRow {
        journal,
        place,
        since,
    } = row;
    let sql = if instead_of.is_some() {
        "UPDATE ledger SET journal = $1, place = $2, since_us = $3 WHERE slot = 0 AND journal = $4"
    } else {
        "INSERT INTO ledger (slot, journal, place, since_us) VALUES (0, $1, $2, $3)"
    };
    let statement = Statement::of(sql)
        .bind(journal)
        .bind(place)
        .bind(since.micros());
    match instead_of {
        Some(before) => statement.bind(before),
        None => statement,
    }
}
