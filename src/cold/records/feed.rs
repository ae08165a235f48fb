//! The same records for whoever has to see each of them once, in order, over restarts.
//!
//! A reader keeps a mark of how far it has come, where it keeps what it has made of what it read. It
//! reads files, behind the index and behind the disk: what it has seen cannot vanish. It goes at its
//! own pace; whoever writes does not know that it is there.

use std::sync::Arc;

use super::logs::Logs;
use super::names::Names;
use super::record::{self, Aftermath};
use super::{Cursor, DecisionRecord, Filter, PAGE_LEN_MAX, Records, lock};
use crate::cold::store::nodes::LogMark;
use crate::cold::store::webhook::Mark;
use crate::decide::compile::parse_instant;
use crate::domain::time::Timestamp;
use crate::ledger::embedded::follow::{FollowFault, Follower};
use crate::ledger::embedded::io::Storage;
use crate::ledger::event::{Booked, CardNo, Decided, Event, StateNo, events_of};

/// One reader.
pub struct Feed {
    storage: Arc<dyn Storage>,
    follower: Follower,
    /// The last record that was handed over.
    mark: Mark,
    /// Records before this one are of processes that have ended.
    own_from: u64,
    /// Segments that were given up in their middle.
    lost: u64,
    /// Where it is in the logs of owners, where nodes share them.
    logs: Option<Logs>,
}

/// One event of the journal, with the names of its numbers.
pub struct Seen<'a> {
    /// The number of its record.
    pub sequence: u64,
    /// What happened.
    pub event: Event<'a>,
    names: &'a Names,
}

/// Whose an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the id of the same name")]
pub struct Whose<'a> {
    pub customer: &'a str,
    pub card: Option<&'a str>,
}

impl Seen<'_> {
    /// A decision as it is shown.
    #[must_use]
    pub fn decision(&self, decided: &Decided<'_>) -> DecisionRecord {
        let fresh = Aftermath {
            is_overruled: false,
            deliveries: 1,
        };
        record::show(self.sequence, decided, self.names.called(decided), fresh)
    }

    /// What the issuer has declined by itself, as it is shown; absent where it tells of nothing like it.
    #[must_use]
    pub fn declined(&self, booked: &Booked<'_>) -> Option<DecisionRecord> {
        record::show_declined(self.sequence, booked, self.names.called_in(booked))
    }

    /// Whose a card of this number is; nobody's where no customer is known.
    #[must_use]
    pub fn whose(&self, state: StateNo, card: Option<CardNo>) -> Option<Whose<'_>> {
        self.names.whose(state, card)
    }

    /// Whose the decision is.
    #[must_use]
    pub fn whose_decision(&self, decided: &Decided<'_>) -> Option<Whose<'_>> {
        self.whose(decided.state, decided.card)
    }

    /// Whose the report is.
    #[must_use]
    pub fn whose_report(&self, booked: &Booked<'_>) -> Option<Whose<'_>> {
        self.whose(booked.state, booked.card)
    }
}

impl Feed {
    /// How far it has come.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Goes back to a mark, because what was made of what was read since may not be kept.
    pub fn go_back(&mut self, mark: Mark) {
        self.follower = Follower::of_segments_from(mark.segment);
        self.mark = mark;
    }

    /// Where it is in the logs of owners, where nodes share them.
    #[must_use]
    pub fn logs(&self) -> Option<&Logs> {
        self.logs.as_ref()
    }

    /// What was made of what was read is kept.
    pub(super) fn logs_are_kept(&mut self) {
        if let Some(logs) = &mut self.logs {
            logs.are_kept();
        }
    }

    /// Goes back to the mark at which the places in the logs were kept last, which were found to be these.
    pub(super) fn logs_go_back(&mut self, mark: Mark, marks: Vec<LogMark>) {
        self.go_back(mark);
        if let Some(logs) = &mut self.logs {
            logs.go_back(marks);
        }
    }

    /// How many segments were given up since it was last asked.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Goes on behind a segment of before that is damaged.
    fn step_over(&mut self, first_lost: u64) -> bool {
        if first_lost >= self.own_from {
            return false;
        }
        self.follower = Follower::of_segments_from(self.mark.segment + 1);
        self.mark.segment += 1;
        self.lost += 1;
        true
    }
}

impl Records {
    /// A reader that goes on behind this mark; where there is none, it begins with what is decided
    /// from this start on. A mark that the journal has not reached is of records that a power loss
    /// took.
    #[must_use]
    pub fn feed(&self, mark: Option<Mark>) -> Feed {
        let core = lock(&self.core);
        let begin = Mark {
            segment: core.own_segment,
            sequence: core.past_through,
        };
        let mark = mark.filter(|mark| mark.sequence <= core.past_through);
        let mark = mark.unwrap_or(begin);
        Feed {
            storage: Arc::clone(&core.storage),
            follower: Follower::of_segments_from(mark.segment),
            mark,
            own_from: core.past_through + 1,
            lost: 0,
            logs: None,
        }
    }

    /// A reader of a journal that was made anew from the logs of all owners: it hands over what these
    /// places do not cover.
    #[must_use]
    pub fn feed_of_logs(&self, logs: Logs) -> Feed {
        Feed {
            logs: Some(logs),
            ..self.feed(None)
        }
    }

    /// Whether the records of the processes before this one are known, too.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        lock(&self.core).past.is_none()
    }

    /// When a card's decisions before this one were made, whether each was an approval, and what was
    /// approved; oldest first, the newest so many of them.
    ///
    /// # Errors
    /// [`FollowFault`] where a record cannot be read.
    pub fn before(
        &self,
        card: &str,
        sequence: u64,
        limit: usize,
    ) -> Result<Vec<(Timestamp, bool, i64)>, FollowFault> {
        let filter = Filter {
            card: Some(card),
            ..Filter::default()
        };
        let page = self.page(&filter, limit, Some(Cursor(sequence)))?;
        let decided = page.decisions.into_iter().rev().filter_map(|it| {
            let at = parse_instant(&it.at)?;
            Some((at, it.reason.is_none(), it.approved_amount))
        });
        // What approves nothing says nothing about spending.
        let says = decided.filter(|(_, is_approval, amount)| !is_approval || *amount > 0);
        Ok(says.collect())
    }

    /// Whether a step of the authorization was approved here.
    ///
    /// # Errors
    /// [`FollowFault`] where a record cannot be read.
    pub fn was_approved(&self, card: &str, authorization: &str) -> Result<bool, FollowFault> {
        let filter = Filter {
            card: Some(card),
            authorization: Some(authorization),
            ..Filter::default()
        };
        let page = self.page(&filter, PAGE_LEN_MAX, None)?;
        Ok(page.decisions.iter().any(|it| it.reason.is_none()))
    }

    /// How many records this reader has not seen yet.
    #[must_use]
    pub fn unseen(&self, feed: &Feed, durable: u64) -> u64 {
        let through = durable.min(lock(&self.core).follower.read_through());
        through.saturating_sub(feed.mark.sequence)
    }

    /// Hands over the events of the next chunk, those that are on the disk up to this number and whose
    /// names are known. Whether there is more.
    ///
    /// # Errors
    /// [`FollowFault`]; a later call tries again from the same place.
    pub fn read_on(
        &self,
        feed: &mut Feed,
        durable: u64,
        mut see: impl FnMut(&Seen<'_>),
    ) -> Result<bool, FollowFault> {
        let core = lock(&self.core);
        let through = durable.min(core.follower.read_through());
        if through <= feed.mark.sequence {
            return Ok(false);
        }
        let Feed {
            storage,
            follower,
            mark,
            logs,
            ..
        } = feed;
        let names = &core.known.names;
        let polled = follower.poll(&**storage, through, |record| {
            if record.sequence <= mark.sequence {
                return;
            }
            *mark = Mark {
                segment: record.segment,
                sequence: record.sequence,
            };
            if let Some(logs) = logs
                && !is_new_in(logs, names, record.payload)
            {
                return;
            }
            for event in events_of(record.payload).filter_map(Result::ok) {
                see(&Seen {
                    sequence: record.sequence,
                    event,
                    names,
                });
            }
        });
        match polled {
            Err(FollowFault::Lost(first)) if feed.step_over(first) => Ok(true),
            polled => polled,
        }
    }
}

/// Whether a record is an entry of a log that was not taken in before. One without events is of nobody.
fn is_new_in(logs: &mut Logs, names: &Names, payload: &[u8]) -> bool {
    let first = events_of(payload).find_map(Result::ok);
    let state = first.map(|event| event.state());
    let owned = state.and_then(|state| Some((state, names.key(state)?)));
    owned.is_some_and(|(state, owner)| logs.read(state, owner))
}
