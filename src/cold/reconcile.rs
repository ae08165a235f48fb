//! Compares an issuer's list of transactions with our books (docs/decisions/0013).
//!
//! Our side is what the running server tells its operators: only the process that folds the journal
//! knows what counts. The list is read twice, so that memory holds a few dozen bytes for each of its
//! authorizations and none of its text.

pub mod list;
mod ours;
mod verdict;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

use self::list::{ListError, for_each};
use self::ours::{Ours, OursError};
pub use self::verdict::{Books, Class, Difference};
use self::verdict::{Here, There};
use crate::domain::card::Key;
use crate::domain::identity::{KeySpace, Keys as _};
use crate::domain::time::Timestamp;
use crate::fingerprint::Fingerprinter;
use crate::issuer::listed::{Listed, NotListed, listed};

/// Authorizations in one list; each takes about 150 bytes.
const LISTED_MAX: usize = 10_000_000;
/// Authorizations of ours that a list lacks. With more it is the list of something else.
const MISSING_THERE_MAX: usize = 100_000;
/// An issuer's clock and ours are this close.
const SLACK_US: i64 = 3_600_000_000;

/// What is compared with what.
#[derive(Clone, Debug)]
pub struct Task {
    /// The server's operators' listener.
    pub ops: SocketAddr,
    /// The issuer connection that the list is of.
    pub connection: String,
    /// The list.
    pub from: PathBuf,
    /// What the list is said to cover; from its first to its last element where it is not said.
    pub since: Option<Timestamp>,
    /// The end of that, included.
    pub until: Option<Timestamp>,
}

/// How it came out, in authorizations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// In the list.
    pub listed: u64,
    /// The same on both sides.
    pub agree: u64,
    /// Declined by the issuer, which did not ask: no money moved.
    pub declined_there: u64,
    /// Ours, without money, and not in the list.
    pub without_money: u64,
    /// Ours, from before or after what the list covers.
    pub outside: u64,
    /// Money there that we know nothing of.
    pub missing_here: u64,
    /// Money here that the list does not have.
    pub missing_there: u64,
    /// Another amount.
    pub amount: u64,
    /// Another state.
    pub state: u64,
}

impl Totals {
    /// What nothing explains.
    #[must_use]
    pub fn differences(&self) -> u64 {
        let found = [
            self.missing_here,
            self.missing_there,
            self.amount,
            self.state,
        ];
        found.into_iter().fold(0, u64::saturating_add)
    }

    fn count(&mut self, class: Class) {
        let counted = match class {
            Class::MissingHere => &mut self.missing_here,
            Class::MissingThere => &mut self.missing_there,
            Class::Amount => &mut self.amount,
            Class::State => &mut self.state,
        };
        *counted = counted.saturating_add(1);
    }
}

/// Why the two could not be compared.
#[derive(Debug)]
pub enum ReconcileError {
    /// The list cannot be read.
    List(ListError),
    /// The server does not tell its side.
    Ours(OursError),
    /// The list has no element, and nobody said what it covers.
    Empty,
    /// There is more than fits.
    TooMany(&'static str, usize),
    /// What was found cannot be told.
    Telling(io::Error),
}

impl fmt::Display for ReconcileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(error) => error.fmt(f),
            Self::Ours(error) => error.fmt(f),
            Self::Empty => f.write_str(
                "the list is empty: say what it covers with --since, so that nothing is missing there",
            ),
            Self::TooMany(what, most) => write!(f, "more than {most} {what}"),
            Self::Telling(error) => write!(f, "cannot write: {error}"),
        }
    }
}

impl std::error::Error for ReconcileError {}

impl From<ListError> for ReconcileError {
    fn from(error: ListError) -> Self {
        Self::List(error)
    }
}

impl From<OursError> for ReconcileError {
    fn from(error: OursError) -> Self {
        Self::Ours(error)
    }
}

/// One authorization of the list, and what we have of it.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    there: There,
    here: Option<Here>,
    is_told: bool,
}

/// The whole comparison under way.
struct Ledgers {
    keys: Fingerprinter,
    pairs: HashMap<Key, Pair>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
}

/// Compares, and tells each difference.
///
/// # Errors
/// [`ReconcileError`] where one of the sides cannot be read to its end.
pub async fn reconcile(
    task: &Task,
    tell: &mut dyn FnMut(&Difference) -> io::Result<()>,
) -> Result<Totals, ReconcileError> {
    let mut ledgers = Ledgers {
        keys: Fingerprinter::new(0),
        pairs: HashMap::new(),
        first: None,
        last: None,
    };
    ledgers.read_theirs(task)?;
    let since = task.since.or(ledgers.first).ok_or(ReconcileError::Empty)?;
    // An issuer may tell whole seconds.
    let last = ledgers.last.map(|last| last.plus_micros(999_999));
    let until = task.until.or(last);
    let until = until.unwrap_or(Timestamp::from_micros(i64::MAX));
    let mut ours = Ours::at(task.ops, &task.connection);
    let mut totals = Totals::default();
    let lonely = ledgers
        .read_ours(&mut ours, since, until, &mut totals)
        .await?;
    ledgers.compare(task, &mut ours, &mut totals, tell).await?;
    for (authorization, here) in lonely {
        if here.has_money() {
            let difference = Difference::missing_there(authorization, here);
            totals.count(difference.class);
            tell(&difference).map_err(ReconcileError::Telling)?;
        } else {
            totals.without_money = totals.without_money.saturating_add(1);
        }
    }
    Ok(totals)
}

impl Ledgers {
    fn key(&self, id: &str) -> Key {
        self.keys.key(KeySpace::Authorization, &[id.as_bytes()])
    }

    /// The first reading: what the issuer has.
    fn read_theirs(&mut self, task: &Task) -> Result<(), ReconcileError> {
        let mut is_full = false;
        let read = for_each(&task.from, |element| {
            let listed = listed(element).map_err(told)?;
            let id = id_of(&listed).ok_or("names no authorization and no movement")?;
            let key = self.key(&id);
            let at = Some(listed.created);
            self.first = self.first.min(at).or(at);
            self.last = self.last.max(at);
            self.pairs.entry(key).or_default().there.take(&listed);
            is_full = self.pairs.len() > LISTED_MAX;
            if is_full {
                return Err("too many".to_owned());
            }
            Ok(())
        });
        if is_full {
            let what = "authorizations in one list; split it by time";
            return Err(ReconcileError::TooMany(what, LISTED_MAX));
        }
        Ok(read?)
    }

    /// What we have, newest first; ours that the list lacks come back.
    async fn read_ours(
        &mut self,
        ours: &mut Ours,
        since: Timestamp,
        until: Timestamp,
        totals: &mut Totals,
    ) -> Result<Vec<(String, Here)>, ReconcileError> {
        let mut lonely: HashMap<Key, (String, Here)> = HashMap::new();
        let mut outside: HashMap<Key, ()> = HashMap::new();
        let earliest = since.plus_micros(-SLACK_US);
        while let Some(page) = ours.next_page().await? {
            let mut is_past = false;
            for decision in page {
                is_past = decision.at < earliest;
                let key = self.key(&decision.authorization);
                if let Some(pair) = self.pairs.get_mut(&key) {
                    pair.here.get_or_insert_default().take(&decision);
                } else if (since..=until).contains(&decision.at) {
                    if lonely.len() >= MISSING_THERE_MAX {
                        let what = "authorizations that the list lacks: is it of this connection?";
                        return Err(ReconcileError::TooMany(what, MISSING_THERE_MAX));
                    }
                    let fresh = || (decision.authorization.clone(), Here::default());
                    let (_, here) = lonely.entry(key).or_insert_with(fresh);
                    here.take(&decision);
                } else if outside.len() < MISSING_THERE_MAX {
                    outside.insert(key, ());
                }
            }
            if is_past {
                break;
            }
        }
        totals.outside = u64::try_from(outside.len()).unwrap_or(u64::MAX);
        let mut lonely: Vec<_> = lonely.into_values().collect();
        lonely.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok(lonely)
    }

    /// The second reading, which brings the ids back: each authorization is compared once.
    async fn compare(
        &mut self,
        task: &Task,
        ours: &mut Ours,
        totals: &mut Totals,
        tell: &mut dyn FnMut(&Difference) -> io::Result<()>,
    ) -> Result<(), ReconcileError> {
        let mut unknown = Vec::new();
        let mut telling = Ok(());
        for_each(&task.from, |element| {
            let listed = listed(element).map_err(told)?;
            let id = id_of(&listed).ok_or("names no authorization and no movement")?;
            let key = self.key(&id);
            let Some(pair) = self.pairs.get_mut(&key).filter(|pair| !pair.is_told) else {
                return Ok(());
            };
            pair.is_told = true;
            totals.listed = totals.listed.saturating_add(1);
            match pair.here {
                Some(here) => {
                    if telling.is_ok() {
                        telling = settle(totals, tell, &id, Some(here), pair.there);
                    }
                }
                None if !pair.there.has_money() => {
                    totals.declined_there = totals.declined_there.saturating_add(1);
                }
                None => unknown.push((id, pair.there)),
            }
            if unknown.len() > MISSING_THERE_MAX {
                return Err(format!(
                    "more than {MISSING_THERE_MAX} of them have no decision here"
                ));
            }
            Ok(())
        })?;
        telling.map_err(ReconcileError::Telling)?;
        // Money that moved without a question has no decision, but it is in the books.
        for (id, there) in unknown {
            let here = ours.find(&id).await?;
            settle(totals, tell, &id, here, there).map_err(ReconcileError::Telling)?;
        }
        Ok(())
    }
}

fn settle(
    totals: &mut Totals,
    tell: &mut dyn FnMut(&Difference) -> io::Result<()>,
    id: &str,
    here: Option<Here>,
    there: There,
) -> io::Result<()> {
    match Difference::between(id, here, there) {
        None => {
            totals.agree = totals.agree.saturating_add(1);
            Ok(())
        }
        Some(difference) => {
            totals.count(difference.class);
            tell(&difference)
        }
    }
}

/// The authorization's id; of money that moved without one, the movement's own, as in our books.
fn id_of(listed: &Listed<'_>) -> Option<String> {
    let observation = &listed.observation;
    let own = observation.movements.first().map(|movement| &movement.id);
    let id = observation.authorization.as_ref().or(own)?;
    Some(id.clone().into_owned())
}

fn told(cause: NotListed) -> String {
    match cause {
        NotListed::UnknownShape => {
            "of no known shape: known are transactions as Lithic lists them, and \
             issuing.authorization and issuing.transaction as Stripe does"
                .to_owned()
        }
        NotListed::NotUnderstood(cause) => cause.to_string(),
    }
}
