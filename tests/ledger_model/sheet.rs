//! The sheet of paper: one line for each amount that was put on hold, posted or given back, and
//! every sum added up from the lines.

use std::collections::{BTreeMap, BTreeSet};

use crate::calendar::{DAY, Date, MINUTE};

/// Whose sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    Card(u8),
    Agent(u8),
    Customer,
}

/// Where and when something was charged, and to which agent beside card and customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) day: Date,
    pub(crate) hour: i32,
    /// Not before what was booked before it.
    pub(crate) at: i64,
    pub(crate) agent: Option<u8>,
}

/// One line.
#[derive(Clone, Copy, Debug)]
struct Line {
    life: usize,
    card: Option<u8>,
    /// Whether it counts on the card alone, because an earmark counts above.
    is_alone: bool,
    place: Place,
    held: i128,
    posted: i128,
}

impl Line {
    fn is_of(&self, scope: Scope) -> bool {
        match scope {
            Scope::Card(card) => self.card == Some(card),
            Scope::Agent(agent) => self.place.agent == Some(agent) && !self.is_alone,
            Scope::Customer => !self.is_alone,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    lines: Vec<Line>,
    /// Authorizations that are forgotten: what they held counts as spent for ever.
    forgotten: BTreeSet<usize>,
    /// The lines that each trailing sum is over, from when it was first asked for.
    spans: BTreeMap<(Scope, usize), BTreeSet<usize>>,
    /// The cards with an earmark.
    backed: BTreeSet<u8>,
}

/// Microseconds of a span's buckets; a span has 1440 of them.
pub(crate) fn bucket(span: usize) -> i64 {
    [1, 7, 30][span] * MINUTE
}

pub(crate) fn length(span: usize) -> i64 {
    [1, 7, 30][span] * DAY
}

impl Sheet {
    /// Writes a line; amounts that are taken away are negative.
    pub(crate) fn write(
        &mut self,
        life: usize,
        card: Option<u8>,
        place: Place,
        (held, posted): (i128, i128),
    ) {
        if (held, posted) == (0, 0) {
            return;
        }
        let line = Line {
            life,
            card,
            is_alone: card.is_some_and(|card| self.backed.contains(&card)),
            place,
            held,
            posted,
        };
        let number = self.lines.len();
        for ((scope, _), members) in &mut self.spans {
            if line.is_of(*scope) {
                members.insert(number);
            }
        }
        self.lines.push(line);
    }

    /// From now on, what is written of the card counts on it alone. What was written before comes to
    /// nothing.
    pub(crate) fn back(&mut self, card: u8) {
        self.backed.insert(card);
    }

    pub(crate) fn forget(&mut self, life: usize) {
        self.forgotten.insert(life);
    }

    /// Spent and held, added up.
    pub(crate) fn sums(&self, scope: Scope, window: usize, day: Date) -> (i128, i128) {
        let (mut spent, mut held) = (0, 0);
        for line in self.lines.iter().filter(|line| line.is_of(scope)) {
            if line.place.day.is_with(day, window) {
                spent += line.held + line.posted;
                let is_over = self.forgotten.contains(&line.life);
                held += if is_over { 0 } else { line.held };
            }
        }
        (spent, held)
    }

    /// What was ever spent.
    pub(crate) fn spent(&self, scope: Scope) -> i128 {
        let of_it = self.lines.iter().filter(|line| line.is_of(scope));
        of_it.map(|line| line.held + line.posted).sum()
    }

    /// The lines that a trailing sum is over; those that one would be over that began now.
    fn members(&self, scope: Scope, span: usize) -> BTreeSet<usize> {
        if let Some(members) = self.spans.get(&(scope, span)) {
            return members.clone();
        }
        let lines = self.lines.iter().enumerate();
        let alive = lines.filter(|(_, line)| !self.forgotten.contains(&line.life));
        let of_it = alive.filter(|(_, line)| line.is_of(scope));
        of_it.map(|(at, _)| at).collect()
    }

    pub(crate) fn begin(&mut self, scope: Scope, span: usize) {
        let members = self.members(scope, span);
        self.spans.entry((scope, span)).or_insert(members);
    }

    /// Whether a trailing sum is kept.
    pub(crate) fn is_kept(&self, scope: Scope, span: usize) -> bool {
        self.spans.contains_key(&(scope, span))
    }

    /// What each bucket holds that has not left the span by `now`, by the bucket's beginning.
    pub(crate) fn span(&self, scope: Scope, span: usize, now: i64) -> BTreeMap<i64, i128> {
        let mut buckets = BTreeMap::new();
        for at in self.members(scope, span) {
            let line = &self.lines[at];
            let begins = line.place.at - line.place.at.rem_euclid(bucket(span));
            if begins + bucket(span) + length(span) > now {
                *buckets.entry(begins).or_insert(0) += line.held + line.posted;
            }
        }
        buckets.retain(|_, amount| *amount != 0);
        buckets
    }
}
