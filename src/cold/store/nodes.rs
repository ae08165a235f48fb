//! What several nodes know of one database: which rules have changed, and how far readers have come in a
//! log that nodes share (decisions 0028 and 0032).
//!
//! Every change of a rule gets the next number, in the transaction that keeps it. Whoever writes one takes
//! the number from a row that is everybody's, so that numbers are committed in their order: once one is
//! seen, so is every change below it. Of each row only the newest number is kept.

use super::rows::{number, seq, text};
use super::sql::{Columns, Driver, SqlStore, Statement, Writing, most};
use super::{Answer, Change, Rule, StoreError};
use crate::domain::card::Key;

/// Its tables.
pub(super) const TABLES: &str = "
CREATE TABLE changed_head (
    seq INTEGER NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
INSERT INTO changed_head (seq) VALUES (0);
CREATE TABLE changed (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX changed_by_seq ON changed (seq);
CREATE TABLE log_marks (
    reader TEXT NOT NULL,
    owner TEXT NOT NULL,
    taken INTEGER NOT NULL,
    PRIMARY KEY (reader, owner)
) STRICT, WITHOUT ROWID;
";

/// Which table a changed row is in. In the order in which rows refer to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A customer.
    Customer,
    /// An agent of a customer.
    Agent,
    /// A card of a customer.
    Card,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Customer, Self::Agent, Self::Card];

    fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Agent => "agent",
            Self::Card => "card",
        }
    }
}

/// A row of the rules that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Which table it is in.
    pub kind: Kind,
    /// Its id.
    pub id: String,
}

/// See the module.
pub trait Nodes: Send + Sync {
    /// The number of the newest change of a rule; 0 where there was none.
    fn changed_head(&self) -> Answer<'_, i64>;
    /// The rows that have changed since this number, at most so many.
    fn changed_since(&self, number: i64, limit: usize) -> Answer<'_, Vec<Changed>>;
    /// How many entries of each owner's log this reader has taken in, of owners behind this one.
    fn log_marks(&self, reader: String, after: String, limit: usize) -> Answer<'_, Vec<LogMark>>;
}

/// How far a reader has come in the log of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogMark {
    /// Whose log.
    pub owner: Key,
    /// So many entries were taken in.
    pub taken: u64,
}

impl LogMark {
    /// The owner, as it is kept.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{:032x}", self.owner.0)
    }
}

impl<D: Driver> Nodes for SqlStore<D> {
    fn changed_head(&self) -> Answer<'_, i64> {
        let asked = Statement::of("SELECT seq FROM changed_head");
        Box::pin(async move {
            let head = self.one(asked, seq).await?;
            head.ok_or_else(|| StoreError::Fault("the changes have no head".to_owned()))
        })
    }

    fn changed_since(&self, number: i64, limit: usize) -> Answer<'_, Vec<Changed>> {
        let sql = "SELECT * FROM changed WHERE seq > $1 ORDER BY seq LIMIT $2";
        let asked = Statement::of(sql).bind(number).bind(most(limit));
        Box::pin(self.0.rows(asked, changed))
    }

    fn log_marks(&self, reader: String, after: String, limit: usize) -> Answer<'_, Vec<LogMark>> {
        let sql =
            "SELECT * FROM log_marks WHERE reader = $1 AND owner > $2 ORDER BY owner LIMIT $3";
        let asked = Statement::of(sql)
            .bind(reader)
            .bind(after)
            .bind(most(limit));
        Box::pin(self.0.rows(asked, log_mark))
    }
}

fn changed(row: &dyn Columns) -> Result<Changed, StoreError> {
    let kind = text(row, "kind")?;
    let kind = Kind::ALL.into_iter().find(|it| it.name() == kind);
    Ok(Changed {
        kind: kind.ok_or_else(|| super::rows::unknown("kind"))?,
        id: text(row, "id")?,
    })
}

fn log_mark(row: &dyn Columns) -> Result<LogMark, StoreError> {
    let owner = u128::from_str_radix(&text(row, "owner")?, 16);
    let owner = owner.map_err(|_strange| super::rows::unknown("owner"))?;
    let taken = u64::try_from(number(row, "taken")?);
    Ok(LogMark {
        owner: Key(owner),
        taken: taken.map_err(|_negative| super::rows::unknown("taken"))?,
    })
}

/// Notes which rules a batch has changed. Whoever else changes rules waits for the end of this transaction,
/// since all change the one row that counts.
pub(super) async fn note(
    writing: &mut impl Writing,
    changed: Vec<(Kind, String)>,
) -> Result<(), StoreError> {
    if changed.is_empty() {
        return Ok(());
    }
    let count = most(changed.len());
    let taken = Statement::of("UPDATE changed_head SET seq = seq + $1").bind(count);
    writing.execute(taken).await?;
    let heads = writing.rows(Statement::of("SELECT seq FROM changed_head"), seq);
    let &[head] = heads.await?.as_slice() else {
        return Err(StoreError::Fault(
            "the changes have not one head".to_owned(),
        ));
    };
    for (number, (kind, id)) in (head - count + 1..).zip(changed) {
        let put = Statement::of(
            "INSERT INTO changed (id, kind, seq) VALUES ($1, $2, $3)
             ON CONFLICT (id) DO UPDATE SET seq = excluded.seq",
        );
        let put = put.bind(id).bind(kind.name()).bind(number);
        writing.execute(put).await?;
    }
    Ok(())
}

/// The rows of the rules that a batch changes.
pub(super) fn rules_of(batch: &[Change]) -> Vec<(Kind, String)> {
    let rules = batch.iter().filter_map(Change::rule);
    let named = rules.map(|rule| match rule {
        Rule::Customer(row) => (Kind::Customer, row.id.clone()),
        Rule::Agent(row) => (Kind::Agent, row.id.clone()),
        Rule::Card(row) => (Kind::Card, row.id.clone()),
    });
    named.collect()
}

/// The reader has come from here on: it touches one row, or it has met another reader.
pub(super) fn read_log(reader: String, before: u64, mark: LogMark) -> Statement {
    let whole = |number| i64::try_from(number).unwrap_or(i64::MAX);
    Statement::of(
        "INSERT INTO log_marks (reader, owner, taken) VALUES ($1, $2, $3)
         ON CONFLICT (reader, owner) DO UPDATE SET taken = excluded.taken
         WHERE log_marks.taken = $4",
    )
    .bind(reader)
    .bind(mark.name())
    .bind(whole(mark.taken))
    .bind(whole(before))
}
