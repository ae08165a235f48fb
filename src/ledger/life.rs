//! What became of an authorization after it was decided (behaviour 2.13 e to h, 2.16).
//!
//! Facts come in any order and more than once. They are kept as a set, by the issuer's ids, beside
//! the newest of its whole accounts; what is held and what is posted is a function of that set and of
//! our own steps, so that every order and repetition ends alike. `Life::settle_to` then moves the
//! portions that were charged until they come to it.

use std::cmp::Reverse;

use crate::domain::amount::Minor;
use crate::domain::lifecycle::{Flags, MovementKind, OnReversal, StandingStatus};
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour};
use crate::ledger::authorization::Step;
use crate::ledger::counters::{Booking, WindowIds};
use crate::ledger::event::AgentNo;

mod coverage;
mod declined;
mod uses;

pub(in crate::ledger) use coverage::may_be_known;
pub(in crate::ledger) use uses::{Taken, Uses};

/// Facts that are kept of one authorization; a message that would bring more is not taken.
pub const FACTS_MAX: usize = 1_024;

/// One thing that the issuer says has happened. Known by its id, so that it counts once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The issuer's id of it, hashed as the names of steps are.
    pub id: u64,
    /// What has happened.
    pub kind: MovementKind,
    /// How much of it.
    pub amount: Minor,
    /// When, by the issuer's clock; the end of time where it does not say.
    pub at: Timestamp,
}

impl Fact {
    /// The number of a kind in storage. Numbers are never used again.
    pub(in crate::ledger) fn number(kind: MovementKind) -> u8 {
        match kind {
            MovementKind::Authorized => 0,
            MovementKind::AuthorizedAndPosted => 1,
            MovementKind::Replaced => 2,
            MovementKind::Released => 3,
            MovementKind::Posted { is_last: false } => 4,
            MovementKind::Posted { is_last: true } => 5,
            MovementKind::Expired => 6,
            MovementKind::Refunded => 7,
            MovementKind::RefundReversed => 8,
            MovementKind::Noted => 9,
            MovementKind::Declined => 10,
            MovementKind::Disputed => 11,
        }
    }

    pub(in crate::ledger) fn kind_of(number: u8) -> Option<MovementKind> {
        Some(match number {
            0 => MovementKind::Authorized,
            1 => MovementKind::AuthorizedAndPosted,
            2 => MovementKind::Replaced,
            3 => MovementKind::Released,
            4 => MovementKind::Posted { is_last: false },
            5 => MovementKind::Posted { is_last: true },
            6 => MovementKind::Expired,
            7 => MovementKind::Refunded,
            8 => MovementKind::RefundReversed,
            9 => MovementKind::Noted,
            10 => MovementKind::Declined,
            11 => MovementKind::Disputed,
            _ => return None,
        })
    }

    /// Of two words on the same thing, whatever their order: the later kind, the larger amount.
    fn joined(self, other: Self) -> Self {
        let rank = |it: &Self| (Self::number(it.kind), it.amount, Reverse(it.at));
        if rank(&other) > rank(&self) {
            other
        } else {
            self
        }
    }

    /// The order in which things have happened: by the issuer's clock, and at one instant what is
    /// asked before what follows from it.
    fn order(&self) -> (Timestamp, u8, Minor, u64) {
        (self.at, Self::number(self.kind), self.amount, self.id)
    }
}

/// A whole account of an authorization, as an issuer that sends those has last given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// What the issuer holds.
    pub held: Minor,
    /// What it has posted; absent where the account does not tell.
    pub posted: Option<Minor>,
    /// What has come back; absent where the account does not tell.
    pub refunded: Option<Minor>,
    /// Its word for it.
    pub status: StandingStatus,
    /// How many steps and movements the account knows.
    pub revision: u32,
    /// When the issuer made it, by its clock; absent where it does not tell.
    pub made_at: Option<Timestamp>,
    /// How many steps it knows; one that ends the authorization knows those that we had decided.
    pub asks: u32,
    /// How many of them the issuer approved.
    pub approvals: u32,
    /// The sum of the postings that it lists.
    pub listed_posted: Minor,
    /// The sum of the refunds that it lists, less those taken back.
    pub listed_refunded: Minor,
}

impl Told {
    /// Whether this account is newer than the other. Where both know as much, the one that was made
    /// later is; where that is not known or was within one instant, an end is later than what it
    /// ends, and a smaller hold than a larger, because most holds grow by steps only.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.order() > other.order()
    }

    fn order(&self) -> impl Ord {
        (
            self.revision,
            self.made_at,
            self.status.is_final(),
            Reverse(self.held),
            self.posted,
            self.refunded,
            self.approvals,
            Reverse(self.status as u8),
        )
    }
}

/// Where and when something was charged, and to which agent beside card and customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Place {
    pub(in crate::ledger) day: LocalDay,
    pub(in crate::ledger) hour: LocalHour,
    pub(in crate::ledger) at: Timestamp,
    pub(in crate::ledger) agent: Option<AgentNo>,
}

impl Place {
    pub(in crate::ledger) fn of(step: &Step) -> Self {
        let Booking { hour, at, .. } = step.booking();
        Self {
            day: step.day,
            hour,
            at,
            agent: step.agent,
        }
    }

    pub(in crate::ledger) fn booking(&self) -> Booking {
        Booking {
            windows: WindowIds::of(self.day),
            hour: self.hour,
            at: self.at,
        }
    }
}

/// A part of an authorization and the windows that it stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Portion {
    pub(in crate::ledger) held: Minor,
    /// Less what was given back.
    pub(in crate::ledger) posted: Minor,
    pub(in crate::ledger) place: Place,
}

/// What is done to the sums of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Move {
    /// Charged, and held.
    Hold,
    /// Charged, and posted at once.
    Charge,
    /// No longer held, because it is posted.
    Post,
    /// No longer held, and given back.
    Release,
    /// No longer posted, and given back.
    Restore,
}

/// One move of an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Moved {
    pub(in crate::ledger) what: Move,
    pub(in crate::ledger) amount: Minor,
    pub(in crate::ledger) place: Place,
}

/// Where an authorization ought to stand, by everything that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// What is on hold.
    pub held: Minor,
    /// What was posted, refunds not taken off.
    pub posted: Minor,
    /// What came back.
    pub refunded: Minor,
    /// Whether the issuer did not approve it after all: declined, or reversed before any posting.
    pub is_undone: bool,
    /// Whether that is by a reversal.
    pub is_reversed: bool,
    /// Whether the hold has lapsed.
    pub is_expired: bool,
    /// Whether the issuer has given its final signal.
    pub is_closed: bool,
    /// What is worth a look.
    pub flags: Flags,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// In order of their ids.
    pub(in crate::ledger) facts: Vec<Fact>,
    pub(in crate::ledger) told: Option<Told>,
    /// In the order in which they were charged.
    pub(in crate::ledger) portions: Vec<Portion>,
    /// What has come back while the policy let it restore the budget.
    pub(in crate::ledger) restorable: Minor,
    pub(in crate::ledger) has_drifted: bool,
    /// Whether what was held has been given back, because the issuer said nothing for too long.
    pub(in crate::ledger) has_lapsed: bool,
    /// What the policy in force at the latest booking leaves used after a reversal.
    pub(in crate::ledger) on_reversal: OnReversal,
    /// Present while the authorization is undone.
    pub(in crate::ledger) taken: Option<Box<Taken>>,
    /// Present from the first report on that found money on the move, on a card of whose use
    /// something depends. It has its effect while no approval of ours stands.
    pub(in crate::ledger) uses: Option<Box<Uses>>,
    /// When something was booked last.
    pub(in crate::ledger) at: Timestamp,
    /// The journal position of the latest booking.
    pub(in crate::ledger) position: u64,
}

impl Life {
    /// What is on hold of it.
    #[must_use]
    pub fn held(&self) -> Minor {
        sum(self.portions.iter().map(|it| it.held))
    }

    /// What counts as posted: what was given back is taken off.
    #[must_use]
    pub fn charged(&self) -> Minor {
        sum(self.portions.iter().map(|it| it.posted))
    }

    /// What has been given back after posting.
    #[must_use]
    pub fn restored(&self, books: &Books) -> Minor {
        self.restorable.min(books.posted)
    }

    /// When something new was reported last.
    #[must_use]
    pub fn last_at(&self) -> Timestamp {
        self.at
    }

    /// Whether it has consumed its card at this instant, approved without us.
    pub(in crate::ledger) fn has_consumed_at(&self, at: Timestamp) -> bool {
        let uses = self.uses.as_deref();
        uses.is_some_and(|uses| uses.consumed_at == Some(at))
    }

    /// Whether the issuer did not approve it after all.
    #[must_use]
    pub fn is_undone(&self) -> bool {
        self.taken.is_some()
    }

    /// The fact as it stands once `fact` is known too; absent where nothing changes.
    pub(in crate::ledger) fn news(&self, fact: Fact) -> Option<Fact> {
        match self.facts.binary_search_by_key(&fact.id, |it| it.id) {
            Err(_unknown) => Some(fact),
            Ok(at) => {
                let known = self.facts.get(at)?;
                let joined = known.joined(fact);
                (joined != *known).then_some(joined)
            }
        }
    }

    /// Whether there was room for it.
    pub(in crate::ledger) fn learn(&mut self, fact: Fact) -> bool {
        match self.facts.binary_search_by_key(&fact.id, |it| it.id) {
            Err(_) if self.facts.len() >= FACTS_MAX => return false,
            Err(place) => self.facts.insert(place, fact),
            Ok(at) => {
                if let Some(known) = self.facts.get_mut(at) {
                    *known = known.joined(fact);
                }
            }
        }
        true
    }

    /// Whether `told` is newer than what is known.
    pub(in crate::ledger) fn is_news(&self, told: &Told) -> bool {
        self.told.is_none_or(|known| told.is_newer_than(&known))
    }

    /// Where the authorization of these steps ought to stand.
    #[must_use]
    pub fn books(&self, steps: &[Step]) -> Books {
        let mut books = match &self.told {
            Some(told) => self.by_account(told, steps),
            None => self.by_facts(steps),
        };
        if self.has_lapsed {
            books.held = Minor::ZERO;
            (books.is_undone, books.is_expired, books.is_closed) = (false, true, true);
        }
        let approved = sum(approvals(steps).map(|step| step.reserved));
        let moves = books.moves();
        let forced = match &self.told {
            Some(told) => count(approvals(steps)) < told.approvals,
            None => self.facts.iter().any(|fact| {
                is_approval(fact.kind)
                    && !approvals(steps).any(|it| it.stored.name == Some(fact.id))
            }),
        };
        let forced = forced || (moves && approvals(steps).next().is_none());
        let declined = self.declines_there(steps) > 0;
        let is_disputed = self.facts.iter().any(|it| it.kind.is_dispute());
        books.flags = Flags::default()
            .with(Flags::FORCED, forced)
            .with(Flags::EXCESS, !forced && books.posted > approved)
            .with(Flags::DECLINED_BY_ISSUER, declined)
            .with(Flags::DRIFT, self.has_drifted)
            .with(Flags::DISPUTED, is_disputed);
        books
    }

    /// From an issuer's account, and what has been posted since. One that knows fewer steps than
    /// were decided may raise the hold and never lowers it (behaviour 2.16).
    fn by_account(&self, told: &Told, steps: &[Step]) -> Books {
        let facts = self.sums();
        let posted = match told.posted {
            Some(posted) => {
                posted.saturating_plus(facts.posted.saturating_minus(told.listed_posted))
            }
            None => facts.posted,
        };
        let refunded = match told.refunded {
            Some(refunded) => {
                refunded.saturating_plus(facts.refunded.saturating_minus(told.listed_refunded))
            }
            None => facts.refunded,
        };
        let unlisted = told
            .posted
            .map_or(Minor::ZERO, |it| posted.saturating_minus(it));
        let mut held = told.held.saturating_minus(unlisted);
        let knows_all = self.knows_all(told, steps);
        if !knows_all {
            let restored = self.restorable.min(posted);
            let newly = posted
                .saturating_minus(restored)
                .saturating_minus(self.charged());
            held = held.max(self.held().saturating_minus(newly));
        }
        let ended = matches!(
            told.status,
            StandingStatus::Voided | StandingStatus::Declined
        );
        let moved = !(posted.is_zero() && refunded.is_zero());
        Books {
            held,
            posted,
            refunded,
            is_undone: ended && knows_all && posted.is_zero(),
            is_reversed: told.status == StandingStatus::Voided,
            is_expired: told.status == StandingStatus::Expired,
            is_closed: told.status.is_final() || (held.is_zero() && moved),
            flags: Flags::default(),
        }
    }

    /// From single movements: in the order in which they happened, with our own steps in between
    /// where the issuer has not reported those.
    fn by_facts(&self, steps: &[Step]) -> Books {
        let mut facts = self.facts.clone();
        let is_reported = |name: Option<u64>| {
            let mut asked = self.facts.iter().filter(|it| is_ask(it.kind));
            name.is_some_and(|name| asked.any(|fact| fact.id == name))
        };
        for (at, step) in steps.iter().enumerate() {
            if step.decision.is_approval() && !is_reported(step.stored.name) {
                facts.push(Fact {
                    id: step.stored.name.unwrap_or_default(),
                    kind: MovementKind::Authorized,
                    amount: step.reserved,
                    // The first step is the first of all, whatever the issuer's clock says.
                    at: if at == 0 {
                        Timestamp::from_micros(i64::MIN)
                    } else {
                        step.at
                    },
                });
            }
        }
        facts.sort_unstable_by_key(Fact::order);
        let mut books = Books::default();
        for fact in &facts {
            books.follow(fact);
        }
        // A dispute does not say that the issuer had not approved.
        let is_told = self.facts.iter().any(|it| !it.kind.is_dispute());
        books.is_undone = is_told && !books.moves() && !books.is_expired;
        books.is_closed = books.held.is_zero();
        books
    }

    /// The sums alone, which must not depend on how the ids lie.
    fn sums(&self) -> Books {
        let mut books = Books::default();
        let mut facts = self.facts.clone();
        facts.sort_unstable_by_key(Fact::order);
        facts.iter().for_each(|fact| books.follow(fact));
        books
    }

    /// Moves the portions until they hold and have posted this much; what has to be charged anew is
    /// charged to `open`.
    pub(in crate::ledger) fn settle_to(
        &mut self,
        held: Minor,
        charged: Minor,
        open: Place,
    ) -> Vec<Moved> {
        let mut moved = Vec::new();
        let mut left = charged.saturating_minus(self.charged());
        // What is posted is taken from the hold, the oldest first.
        for portion in &mut self.portions {
            let amount = left.min(portion.held);
            portion.held = portion.held.saturating_minus(amount);
            portion.posted = portion.posted.saturating_plus(amount);
            left = left.saturating_minus(amount);
            note(&mut moved, Move::Post, amount, portion.place);
        }
        if !left.is_zero() {
            self.add(open, Minor::ZERO, left);
            note(&mut moved, Move::Charge, left, open);
        }
        let mut above = self.charged().saturating_minus(charged);
        let mut free = self.held().saturating_minus(held);
        // What is given back is taken from the latest.
        for portion in self.portions.iter_mut().rev() {
            let amount = above.min(portion.posted);
            portion.posted = portion.posted.saturating_minus(amount);
            above = above.saturating_minus(amount);
            note(&mut moved, Move::Restore, amount, portion.place);
            let amount = free.min(portion.held);
            portion.held = portion.held.saturating_minus(amount);
            free = free.saturating_minus(amount);
            note(&mut moved, Move::Release, amount, portion.place);
        }
        let more = held.saturating_minus(self.held());
        if !more.is_zero() {
            self.add(open, more, Minor::ZERO);
            note(&mut moved, Move::Hold, more, open);
        }
        self.portions
            .retain(|it| !(it.held.is_zero() && it.posted.is_zero()));
        moved
    }

    /// Adds to the portion at this place.
    pub(in crate::ledger) fn add(&mut self, place: Place, held: Minor, posted: Minor) {
        match self.portions.iter_mut().find(|it| it.place == place) {
            Some(portion) => {
                portion.held = portion.held.saturating_plus(held);
                portion.posted = portion.posted.saturating_plus(posted);
            }
            None => self.portions.push(Portion {
                held,
                posted,
                place,
            }),
        }
    }

    /// Takes as much of `amount` off the hold at this place as there is.
    pub(in crate::ledger) fn drop_hold(&mut self, place: Place, amount: Minor) -> Minor {
        let portion = self.portions.iter_mut().find(|it| it.place == place);
        portion.map_or(Minor::ZERO, |portion| {
            let taken = amount.min(portion.held);
            portion.held = portion.held.saturating_minus(taken);
            taken
        })
    }
}

impl Books {
    /// Whether money is held or posted.
    #[must_use]
    pub fn moves(&self) -> bool {
        !(self.held.is_zero() && self.posted.is_zero())
    }

    /// One more thing has happened.
    fn follow(&mut self, fact: &Fact) {
        let amount = fact.amount;
        match fact.kind {
            MovementKind::Authorized => self.held = self.held.saturating_plus(amount),
            MovementKind::AuthorizedAndPosted => {
                self.posted = self.posted.saturating_plus(amount);
            }
            // The new total, of which a part may be posted.
            MovementKind::Replaced => self.held = amount.saturating_minus(self.posted),
            MovementKind::Released => {
                self.held = self.held.saturating_minus(amount);
                self.is_reversed = true;
            }
            MovementKind::Posted { is_last } => {
                self.posted = self.posted.saturating_plus(amount);
                let rest = self.held.saturating_minus(amount);
                self.held = if is_last { Minor::ZERO } else { rest };
            }
            MovementKind::Expired => {
                self.held = Minor::ZERO;
                self.is_expired = true;
            }
            MovementKind::Refunded => self.refunded = self.refunded.saturating_plus(amount),
            MovementKind::RefundReversed => self.refunded = self.refunded.saturating_minus(amount),
            MovementKind::Noted | MovementKind::Declined | MovementKind::Disputed => {}
        }
    }
}

/// Whether the issuer was asked for it, by us or without us.
#[must_use]
pub fn is_ask(kind: MovementKind) -> bool {
    is_approval(kind) || kind == MovementKind::Declined
}

/// Whether it is an approval of the issuer.
#[must_use]
pub fn is_approval(kind: MovementKind) -> bool {
    matches!(
        kind,
        MovementKind::Authorized | MovementKind::AuthorizedAndPosted
    )
}

/// Whether it posts money.
#[must_use]
pub fn is_posting(kind: MovementKind) -> bool {
    matches!(
        kind,
        MovementKind::Posted { .. } | MovementKind::AuthorizedAndPosted
    )
}

fn approvals(steps: &[Step]) -> impl Iterator<Item = &Step> {
    steps.iter().filter(|step| step.decision.is_approval())
}

fn sum(amounts: impl Iterator<Item = Minor>) -> Minor {
    amounts.fold(Minor::ZERO, Minor::saturating_plus)
}

fn count<T>(items: impl Iterator<Item = T>) -> u32 {
    u32::try_from(items.count()).unwrap_or(u32::MAX)
}

fn note(moved: &mut Vec<Moved>, what: Move, amount: Minor, place: Place) {
    if !amount.is_zero() {
        moved.push(Moved {
            what,
            amount,
            place,
        });
    }
}
