//! What issuers report, in the model: charges, counts, locks and uses follow what is known of an
//! authorization.

use std::collections::BTreeSet;

use countersign::domain::lifecycle::BookStatus;

use super::{Authorization, Book, Charge, Lock, Step, windows};
use crate::lives::{self, Books, Own, POSTINGS};
use crate::world::{has_same_ids, is_same_merchant};

/// Where and when something is charged, and to which agent beside card and customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) at: i64,
    pub(crate) agent: Option<usize>,
}

/// What a card had of an authorization that was undone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    consumed: bool,
    was_under_lock: bool,
    /// The merchant of the lock that went with it.
    lock: Option<usize>,
}

pub(crate) type Life = lives::Life<Place, Taken>;
/// With the number of the merchant.
pub(crate) type Report = lives::Report<usize>;

/// How a report reached its book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Which authorization.
    pub(crate) number: u32,
    pub(crate) at: i64,
    /// The card, where anybody knows or knew it.
    pub(crate) card: Option<usize>,
    /// The agent that holds it now.
    pub(crate) agent: Option<usize>,
    /// The merchant that the owner has locked the card to, where the snapshot knows it.
    pub(crate) preset: Option<usize>,
    /// Whether the policies make it a card for a single use, and lock it to the first merchant.
    pub(crate) single_use: bool,
    pub(crate) locks_to_first: bool,
    /// Of the customer's zone, in seconds.
    pub(crate) offset: i64,
}

/// Takes off what is held at a place; how much there was.
pub(super) fn drop_hold(life: &mut Life, place: Place, amount: i64) -> i64 {
    let pile = life.piles.iter_mut().find(|pile| pile.place == place);
    pile.map_or(0, |pile| {
        let back = i128::from(amount).min(pile.held);
        pile.held -= back;
        i64::try_from(back).unwrap()
    })
}

impl Authorization {
    fn own(&self) -> Vec<Own> {
        let own = |step: &Step| Own {
            name: step.message.step.map(u64::from),
            approves: step.decision.is_approval(),
            amount: i128::from(step.reserved),
            at: step.received,
        };
        self.steps.iter().map(own).collect()
    }

    /// A life before its first report: what the steps hold.
    fn begin(&self) -> Life {
        let mut life = Life::default();
        for step in self.steps.iter().filter(|step| step.stands()) {
            life.put(step.place, i128::from(step.reserved), 0);
        }
        life
    }

    fn books(&self) -> Option<Books> {
        Some(self.life.as_ref()?.ought(&self.own()))
    }
}

impl Book {
    /// What a report would come to.
    pub(crate) fn hears(&self, report: &Report, received: &Received) -> BookStatus {
        let known = self.authorizations.get(&received.number);
        let unknown = Authorization::default();
        let of_it = known.unwrap_or(&unknown);
        let mut life = of_it.life.clone().unwrap_or_default();
        let learns = of_it.named.would_learn(report.mcc);
        let notes = (self.drifts(report, received), learns);
        let status = life.hear(report, &of_it.own(), known.is_some(), notes);
        if of_it.life.is_none() && status != BookStatus::Applied {
            return BookStatus::Ignored;
        }
        status
    }

    /// Whether somebody posts whom a lock of the card does not admit.
    fn drifts(&self, report: &Report, received: &Received) -> bool {
        let posts = report.happened.iter().any(|it| POSTINGS.contains(&it.kind));
        let Some(merchant) = report.merchant.filter(|_| posts) else {
            return false;
        };
        let known = self.authorizations.get(&received.number);
        let card = known.and_then(|known| known.card).or(received.card);
        let lock = card.and_then(|card| self.locks.get(&card));
        let preset = received.preset;
        preset.is_some_and(|preset| !has_same_ids(preset, merchant))
            || lock.is_some_and(|lock| !is_same_merchant(lock.merchant, merchant))
    }

    pub(super) fn reported(&mut self, report: &Report, received: &Received) {
        let number = received.number;
        let is_known = self.authorizations.contains_key(&number);
        let drifts = self.drifts(report, received);
        let known = self.authorizations.entry(number).or_default();
        let steps = known.own();
        let mut life = known.life.clone().unwrap_or_else(|| known.begin());
        let learns = known.named.would_learn(report.mcc);
        life.hear(report, &steps, is_known, (drifts, learns));
        known.named.name(report.mcc);
        life.at = life.at.max(received.at);
        let books = life.ought(&steps);
        if books.held + books.posted > 0 {
            known.uses.consumes |= received.single_use;
            let lock = report.merchant.filter(|_| received.locks_to_first);
            known.uses.lock = known.uses.lock.or(lock);
        }
        known.card = known.card.or(received.card);
        known.life = Some(life);
        let agent = known
            .steps
            .first()
            .map_or(received.agent, |step| step.place.agent);
        let second = received.at.div_euclid(1_000_000);
        let today = (second + received.offset).div_euclid(86_400);
        let day = if received.at >= self.day_ends {
            today.max(self.day)
        } else {
            self.day
        };
        let day_ends = ((day + 1) * 86_400 - received.offset) * 1_000_000;
        let (hour, hour_ends) = self.past.hour_at(received.offset, received.at);
        let at = self.past.now(received.at);
        let open = Place {
            day,
            hour,
            at,
            agent,
        };
        self.settle(number, open, (day_ends, hour_ends));
    }

    /// The authorizations that hold something of which nothing was heard since `cut`, for the usual
    /// time or at all.
    fn quiet(&self, cut: i64, is_usual: bool) -> Vec<u32> {
        let holds = |it: &Authorization| match &it.life {
            Some(life) => life.held() > 0,
            None => it.steps.iter().any(Step::stands),
        };
        let all = self.authorizations.iter();
        let of_time = all.filter(|(_, it)| !is_usual || it.named.is_usual());
        let quiet = of_time.filter(|(_, it)| it.card.is_some() && it.last_at() < cut && holds(it));
        quiet.map(|(number, _)| *number).collect()
    }

    pub(crate) fn any_quiet(&self, cut: i64, is_usual: bool) -> bool {
        !self.quiet(cut, is_usual).is_empty()
    }

    /// Gives back what is held and was not spoken of since `cut`.
    pub(super) fn lapsed(&mut self, cut: i64, is_usual: bool) {
        for number in self.quiet(cut, is_usual) {
            let known = self.authorizations.get_mut(&number).unwrap();
            let mut life = known.life.clone().unwrap_or_else(|| known.begin());
            life.has_lapsed = true;
            known.life = Some(life);
            let open = self.under_way(None);
            self.settle(number, open, (self.day_ends, i64::MIN));
        }
    }

    /// The windows under way.
    pub(super) fn under_way(&self, agent: Option<usize>) -> Place {
        Place {
            day: self.day,
            hour: self.hour(),
            at: self.past.now(i64::MIN),
            agent,
        }
    }

    pub(super) fn charge(
        &mut self,
        number: u32,
        card: Option<usize>,
        place: Place,
        (held, posted): (i64, i64),
    ) {
        if (held, posted) != (0, 0) {
            self.charges.push(Charge {
                number,
                card,
                agent: place.agent,
                windows: windows(place.day),
                booked_at: place.at,
                held,
                posted,
                is_over: false,
            });
        }
    }

    /// Brings an authorization to where it ought to stand; what is charged now opens windows that
    /// end then.
    pub(super) fn settle(&mut self, number: u32, open: Place, ends: (i64, i64)) {
        let known = &self.authorizations[&number];
        let books = known.books().unwrap();
        let was_undone = known.life.as_ref().is_some_and(|life| life.taken.is_some());
        if known.card.is_some() {
            self.move_to(number, &books, open, ends);
        }
        let known = &self.authorizations[&number];
        let is_undone = books.is_undone && known.steps.iter().any(Step::stands);
        if is_undone && (!was_undone || self.past.is_counted(number)) {
            self.undo(number);
        } else if was_undone && !is_undone {
            self.redo(number);
        }
        if !self.authorizations[&number].steps.iter().any(Step::stands) {
            self.settle_alone(number, &books);
        }
    }

    /// What its issuer approved without us uses the card as an approval would.
    fn settle_alone(&mut self, number: u32, books: &Books) {
        let known = self.authorizations.get_mut(&number).unwrap();
        let Some(card) = known.card else {
            return;
        };
        if books.held + books.posted > 0 {
            if known.uses.consumes && !self.consumed.contains_key(&card) {
                self.consumed.insert(card, number);
                known.uses.has_consumed = true;
            }
            if let Some(merchant) = known.uses.lock {
                let lock = self.locks.entry(card).or_insert_with(|| Lock {
                    merchant,
                    authorizations: BTreeSet::new(),
                });
                if is_same_merchant(lock.merchant, merchant) {
                    lock.authorizations.insert(number);
                }
            }
        } else if books.is_undone {
            if known.uses.has_consumed && self.consumed.get(&card) == Some(&number) {
                self.consumed.remove(&card);
            }
            known.uses.has_consumed = false;
            if let Some(lock) = self.locks.get_mut(&card) {
                lock.authorizations.remove(&number);
                if lock.authorizations.is_empty() {
                    self.locks.remove(&card);
                }
            }
        }
    }

    /// Whether its card is consumed by what its issuer approved without us, and locked by it alone.
    pub(crate) fn uses_alone(&self, number: u32) -> (bool, bool) {
        let Some(known) = self.authorizations.get(&number) else {
            return (false, false);
        };
        let lock = known.card.and_then(|card| self.locks.get(&card));
        let is_alone = known.uses.lock.is_some() && !known.steps.iter().any(Step::stands);
        let locks = lock.filter(|_| is_alone);
        let alone = locks.is_some_and(|it| it.authorizations.iter().eq([&number]));
        (known.uses.has_consumed, alone)
    }

    /// Posts the oldest first, gives back the latest first, and charges what is missing now.
    fn move_to(&mut self, number: u32, books: &Books, open: Place, ends: (i64, i64)) {
        let known = &self.authorizations[&number];
        let (card, mut life) = (known.card, known.life.clone().unwrap());
        let charged = books.posted - life.restored(books);
        let mut moved = Vec::new();
        let mut to_post = (charged - life.charged()).max(0);
        for pile in &mut life.piles {
            let amount = to_post.min(pile.held);
            pile.held -= amount;
            pile.posted += amount;
            to_post -= amount;
            moved.push((pile.place, -amount, amount));
        }
        life.put(open, 0, to_post);
        let mut to_restore = (life.charged() - charged).max(0);
        let mut to_release = (life.held() - books.held).max(0);
        for pile in life.piles.iter_mut().rev() {
            let (restored, released) = (to_restore.min(pile.posted), to_release.min(pile.held));
            pile.posted -= restored;
            pile.held -= released;
            to_restore -= restored;
            to_release -= released;
            moved.push((pile.place, -released, -restored));
        }
        let to_hold = (books.held - life.held()).max(0);
        life.put(open, to_hold, 0);
        life.piles.retain(|pile| pile.held + pile.posted > 0);
        if to_hold + to_post > 0 {
            if open.day > self.day {
                (self.day, self.day_ends) = (open.day, ends.0);
            }
            self.past.open(open, ends.1);
            moved.push((open, to_hold, to_post));
        }
        for (place, held, posted) in moved {
            let amounts = [held, posted].map(|it| i64::try_from(it).unwrap());
            self.charge(number, card, place, amounts.into());
        }
        self.authorizations.get_mut(&number).unwrap().life = Some(life);
    }

    /// Its issuer did not approve it after all: it gives back what it did to its card.
    fn undo(&mut self, number: u32) {
        let known = self.authorizations.get_mut(&number).unwrap();
        let card = known.card.unwrap();
        let life = known.life.as_mut().unwrap();
        let mut taken = life.taken.take().unwrap_or_default();
        life.taken = Some(Taken::default());
        taken.consumed |= self.consumed.get(&card) == Some(&number);
        let lock = self.locks.get(&card);
        if let Some(lock) = lock.filter(|lock| lock.authorizations.contains(&number)) {
            taken.was_under_lock = true;
            let alone = lock.authorizations.len() == 1;
            taken.lock = taken.lock.or_else(|| alone.then_some(lock.merchant));
        }
        self.taken_back(number, false);
        let known = self.authorizations.get_mut(&number).unwrap();
        known.life.as_mut().unwrap().taken = Some(taken);
    }

    /// Its issuer posted it all the same.
    fn redo(&mut self, number: u32) {
        let known = self.authorizations.get_mut(&number).unwrap();
        let card = known.card.unwrap();
        let taken = known.life.as_mut().unwrap().taken.take().unwrap();
        let first = known.steps.iter().find(|step| step.stands());
        let Some(first) = first.filter(|_| !self.past.is_counted(number)) else {
            return;
        };
        let (place, said) = (first.place, (first.line, first.received));
        self.past.count_again(number, card, place, said);
        if taken.consumed {
            self.consumed.entry(card).or_insert(number);
        }
        if !taken.was_under_lock {
            return;
        }
        if let Some(merchant) = taken.lock {
            let authorizations = BTreeSet::new();
            self.locks.entry(card).or_insert(Lock {
                merchant,
                authorizations,
            });
        }
        if let Some(lock) = self.locks.get_mut(&card) {
            lock.authorizations.insert(number);
        }
    }

    /// Held, posted and refunded of an authorization, where anything was reported about it; and
    /// whether its hold has lapsed.
    pub(crate) fn books_of(&self, number: u32) -> Option<(Books, bool)> {
        let known = self.authorizations.get(&number)?;
        Some((known.books()?, known.life.as_ref()?.has_lapsed))
    }

    /// How many steps of an authorization were decided, and what its approvals came to, one by one.
    pub(crate) fn steps_of(&self, number: u32) -> Vec<(Option<u32>, bool, i64)> {
        let known = self.authorizations.get(&number);
        let steps = known.into_iter().flat_map(|known| &known.steps);
        let said = |step: &Step| {
            let approves = step.decision.is_approval();
            (step.message.step, approves, step.reserved)
        };
        steps.map(said).collect()
    }

    /// The authorizations about which something was reported.
    pub(crate) fn reported_on(&self) -> Vec<u32> {
        let reported = self
            .authorizations
            .iter()
            .filter(|(_, it)| it.life.is_some());
        reported.map(|(number, _)| *number).collect()
    }
}
