//! Which journal a database belongs to: the one that counts what its limits have let through
//! (behaviour 4).
//!
//! With another journal every sum would begin at zero, with an older copy where that copy ends. So the
//! database keeps the name of the journal that a start has found first, and a start with another one is
//! refused until somebody says that this is meant.

use std::fmt;

use crate::cold::audit::{self, Event};
use crate::cold::store::ledger_row::LedgerRow;
use crate::cold::store::webhook::{Mark, WebhookChange};
use crate::cold::store::{Batch, Change, Store, StoreError};
use crate::domain::time::Timestamp;
use crate::ledger::embedded::frame::{Cursor, JournalId};

/// What the command that takes a database over is called in the audit log.
pub const ADOPT: &str = "countersign ledger adopt";

/// What counts what a database's limits have let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// The journal of a data directory.
    Journal,
    /// A ledger that several nodes share, whose name their journals have.
    SharedLedger,
}

/// A journal, and the database that is to belong to it.
pub struct Binding<'s> {
    /// The database.
    pub store: &'s dyn Store,
    /// The journal. Its files have this name already.
    pub journal: JournalId,
    /// Whether it is one of several that follow a shared ledger.
    pub counts: Counts,
    /// Where it goes on.
    pub next: Cursor,
    /// Where it is, for people.
    pub place: String,
}

/// Why a database is not a journal's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOurs {
    /// It is another one's.
    Other {
        /// That one.
        theirs: LedgerRow,
        /// The name of this one.
        ours: String,
        /// What this one is.
        counts: Counts,
    },
    /// The journal is the right one, and lacks records that the database has seen.
    Older {
        /// Its name.
        ours: String,
        /// The number of its last record.
        last: u64,
        /// The number of the last record that the database has seen.
        seen: u64,
    },
    /// The database cannot be asked.
    Store(StoreError),
}

impl From<StoreError> for NotOurs {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for NotOurs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = match self {
            Self::Other {
                theirs,
                ours,
                counts: Counts::SharedLedger,
            } => {
                write!(
                    f,
                    "the database belongs to the ledger {} (of {}, since {}), and the Redis holds the \
                     ledger {ours}: what was spent would not be counted here. Start with that ledger",
                    theirs.journal,
                    theirs.place,
                    theirs.since.rfc3339()
                )?;
                &theirs.journal
            }
            Self::Other {
                theirs,
                ours,
                counts: Counts::Journal,
            } => {
                write!(
                    f,
                    "the database belongs to the journal {} (of {}, since {}), and this data directory \
                     has the journal {ours}: what was spent would not be counted here. Start with that \
                     data directory",
                    theirs.journal,
                    theirs.place,
                    theirs.since.rfc3339()
                )?;
                &theirs.journal
            }
            Self::Older { ours, last, seen } => {
                write!(
                    f,
                    "the journal {ours} of this data directory is an older copy: it ends at record \
                     {last}, and the database has seen record {seen}. What was spent in between would \
                     not be counted. Start with the newest data directory"
                )?;
                ours
            }
            Self::Store(error) => return error.fmt(f),
        };
        write!(
            f,
            "; where that one is lost, and no server works with it: `countersign ledger adopt \
             --instead-of {before}`"
        )
    }
}

/// Why a database was not taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotAdopted {
    /// It belongs to no journal yet.
    Unbound,
    /// It is this journal's already.
    Ours,
    /// It belongs to this one, which is not the one that was named.
    Another(LedgerRow),
    /// The database cannot be asked.
    Store(StoreError),
}

impl From<StoreError> for NotAdopted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl fmt::Display for NotAdopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unbound => {
                f.write_str("the database belongs to no journal yet; the first start gives it one")
            }
            Self::Ours => f.write_str("the database belongs to this journal or ledger already"),
            Self::Another(row) => write!(
                f,
                "--instead-of: the database belongs to the journal {} (of {}, since {})",
                row.journal,
                row.place,
                row.since.rfc3339()
            ),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl Binding<'_> {
    /// Whether the database is this journal's. One that is nobody's becomes this one's.
    ///
    /// # Errors
    /// [`NotOurs`] says whose it is, and what to do.
    pub async fn bind(&self, now: Timestamp) -> Result<(), NotOurs> {
        let ours = self.journal.name();
        let counts = self.counts;
        match self.store.ledger().await? {
            Some(theirs) if theirs.journal != ours => {
                return Err(NotOurs::Other {
                    theirs,
                    ours,
                    counts,
                });
            }
            Some(_) => {}
            None => {
                let change = Change::Ledger(self.row(now), None);
                self.store.apply(vec![change]).await?;
            }
        }
        let ahead = self.marks_ahead().await?;
        let seen = ahead.iter().map(|(_, mark)| mark.sequence).max();
        match seen {
            None => Ok(()),
            Some(seen) => Err(NotOurs::Older {
                ours,
                last: self.last(),
                seen,
            }),
        }
    }

    /// Makes the database this journal's, in place of the named one; what has read further than this
    /// journal goes reads on from its end.
    ///
    /// # Errors
    /// [`NotAdopted`] where nothing was changed.
    pub async fn adopt(&self, instead_of: &str, at: Timestamp) -> Result<(), NotAdopted> {
        let ours = self.journal.name();
        let theirs = self.store.ledger().await?.ok_or(NotAdopted::Unbound)?;
        if theirs.journal != instead_of {
            return Err(NotAdopted::Another(theirs));
        }
        let ahead = self.marks_ahead().await?;
        if theirs.journal == ours && ahead.is_empty() {
            return Err(NotAdopted::Ours);
        }
        let end = Mark {
            segment: self.next.segment,
            sequence: self.last(),
        };
        let gone = audit::ledger(&theirs.journal, "given up");
        let made = vec![gone, audit::ledger(&ours, "adopted")];
        let mut batch: Batch = vec![Change::Ledger(self.row(at), Some(theirs.journal))];
        let back = ahead.into_iter();
        batch.extend(back.map(|(reader, mark)| WebhookChange::Read(reader, mark, end).into()));
        batch.push(Change::Audit(Event::of_command(at, ADOPT, made, "ok")));
        Ok(self.store.apply(batch).await?)
    }

    fn row(&self, since: Timestamp) -> LedgerRow {
        LedgerRow {
            journal: self.journal.name(),
            place: self.place.clone(),
            since,
        }
    }

    /// The number of the last record.
    fn last(&self) -> u64 {
        self.next.sequence.saturating_sub(1)
    }

    /// Who has read records of this journal that it does not have: only durable ones are read.
    async fn marks_ahead(&self) -> Result<Vec<(String, Mark)>, StoreError> {
        let mut ahead = Vec::new();
        for reader in [self.journal.name(), alerts_reader(self.journal)] {
            let mark = self.store.read_mark(reader.clone()).await?;
            let mark = mark.filter(|mark| mark.sequence > self.last());
            ahead.extend(mark.map(|mark| (reader, mark)));
        }
        Ok(ahead)
    }
}

/// Under which name it is kept how far alerts have read this journal.
#[must_use]
pub fn alerts_reader(journal: JournalId) -> String {
    format!("alerts:{}", journal.name())
}
