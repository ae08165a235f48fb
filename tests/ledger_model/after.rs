//! What comes after a decision, on a sheet of paper: approvals that are taken back, what issuers
//! report, holds that lapse, authorizations that are forgotten.

use std::collections::BTreeSet;

use countersign::domain::decision::{Decision, DeclineReason};
use countersign::domain::lifecycle::{BookStatus, OnReversal};

use crate::commands::{Preset, Report};
use crate::earmarks::PLACEHOLDER;
use crate::lives::{Books, Own, POSTINGS};
use crate::model::{Fact, Life, Lock, Model, Moment, Taken, is_same_merchant};
use crate::sheet::Place;

/// Who a report finds: the agent that holds the card now, whether the snapshot knows the card, and
/// whether the card was ever used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) agent: Option<u8>,
    /// The merchant that its owner has locked it to.
    pub(crate) preset: Option<Preset>,
    pub(crate) in_snapshot: bool,
    pub(crate) single_use: bool,
    pub(crate) locks_to_first: bool,
    pub(crate) was_used: bool,
}

fn posts(report: &Report) -> bool {
    report.happened.iter().any(|it| POSTINGS.contains(&it.kind))
}

/// Whether somebody posts whom the owner's lock does not admit.
fn preset_refuses(report: &Report, preset: Option<Preset>) -> bool {
    let merchant = report.merchant.filter(|_| posts(report));
    merchant.is_some_and(|merchant| match preset {
        None => false,
        Some(Preset::Strong(strong)) => merchant.strong != Some(strong),
        Some(Preset::Weak(weak)) => merchant.weak != weak,
    })
}

impl Model {
    /// The steps of a life.
    pub(crate) fn steps(&self, life: usize) -> Vec<Own> {
        let of_it = self.facts.iter().filter(|fact| fact.life == life);
        of_it.map(Fact::own).collect()
    }

    /// Takes a report down; what became of it.
    pub(crate) fn book(&mut self, report: &Report, found: Found, moment: Moment) -> BookStatus {
        let number = self.life_of(report.authorization);
        let known = number.map(|number| &self.known[number]);
        let named = (found.in_snapshot || found.was_used).then_some(report.card);
        let of_it = known.and_then(|known| known.card);
        let elsewhere = preset_refuses(report, found.preset);
        let drifts = elsewhere
            || self.drifts(
                report,
                of_it.or_else(|| found.was_used.then_some(report.card)),
            );
        let steps = number.map(|number| self.steps(number)).unwrap_or_default();
        let old = known.and_then(|known| known.life.clone());
        let is_first = old.is_none();
        let mut life = old.unwrap_or_else(|| self.begin(number));
        let learns = known.is_some_and(|known| known.named.would_learn(report.mcc));
        let status = life.hear(report, &steps, number.is_some(), (drifts, learns));
        if status != BookStatus::Applied {
            return if is_first {
                BookStatus::Ignored
            } else {
                status
            };
        }
        life.at = life.at.max(moment.at);
        let first = number.and_then(|it| self.facts.iter().find(|fact| fact.life == it));
        let agent = match first {
            Some(first) => first.place.agent,
            None => found.agent.filter(|_| found.in_snapshot),
        };
        let number = self.remember(report.authorization);
        let known = &mut self.known[number];
        known.card = known.card.or(named);
        known.named.name(report.mcc);
        let books = life.ought(&steps);
        if books.held + books.posted > 0 {
            known.uses.consumes |= found.single_use;
            let lock = report.merchant.filter(|_| found.locks_to_first);
            known.uses.lock = known.uses.lock.or(lock);
        }
        known.life = Some(life);
        let open = Place {
            day: self.day_of(moment),
            hour: self.hour_of(moment),
            at: self.latest().map_or(moment.at, |it| it.max(moment.at)),
            agent,
        };
        self.settle(number, open, moment);
        self.hear(self.known[number].card, moment);
        status
    }

    /// A life before its first report: what its steps hold.
    pub(crate) fn begin(&self, number: Option<usize>) -> Life {
        let mut life = Life::default();
        let facts = self.facts.iter().filter(|fact| Some(fact.life) == number);
        for fact in facts.filter(|fact| fact.stands()) {
            life.put(fact.place, fact.amount, 0);
        }
        life
    }

    /// Whether somebody posts whom the card's lock does not admit.
    fn drifts(&self, report: &Report, card: Option<u8>) -> bool {
        let Some(merchant) = report.merchant.filter(|_| posts(report)) else {
            return false;
        };
        let lock = card.and_then(|card| self.lock_of(card));
        lock.is_some_and(|lock| !is_same_merchant(&lock, &merchant))
    }

    /// Gives back what is held of which nothing was heard since `cut`, of the usual holds or of all;
    /// whether there was anything.
    pub(crate) fn lapse(&mut self, cut: i64, is_usual: bool, moment: Moment) -> bool {
        let mut any = false;
        for number in self.quiet(cut) {
            if is_usual && !self.known[number].named.is_usual() {
                continue;
            }
            let mut life = match self.known[number].life.clone() {
                Some(life) => life,
                None => self.begin(Some(number)),
            };
            // Whose holds lapse is a matter of the connection.
            let of_issuer = self.known[number].card.filter(|card| *card != PLACEHOLDER);
            if life.held() == 0 || of_issuer.is_none() {
                continue;
            }
            any = true;
            life.has_lapsed = true;
            self.known[number].life = Some(life);
            let open = Place {
                day: self.day().unwrap(),
                hour: self.hour().unwrap(),
                at: self.latest().unwrap(),
                agent: None,
            };
            self.settle(number, open, moment);
            self.follow(of_issuer, moment);
        }
        any
    }

    /// Where a life ought to stand.
    pub(crate) fn books(&self, number: usize) -> Option<Books> {
        let life = self.known[number].life.as_ref()?;
        Some(life.ought(&self.steps(number)))
    }

    /// Brings a life to where it ought to stand.
    pub(crate) fn settle(&mut self, number: usize, open: Place, moment: Moment) {
        let books = self.books(number).unwrap();
        let life = self.known[number].life.as_ref().unwrap();
        let (was_undone, card) = (life.taken.is_some(), self.known[number].card);
        if card.is_some() {
            self.move_to(number, &books, open, moment);
        }
        let of_it = |fact: &&Fact| fact.life == number;
        let mut steps = self.facts.iter().filter(of_it);
        let is_undone = books.is_undone && steps.any(Fact::stands);
        let is_counted = self.facts.iter().filter(of_it).any(|fact| fact.counted);
        if is_undone && (!was_undone || is_counted) {
            self.undo(number, books.is_reversed);
        } else if was_undone && !is_undone {
            self.redo(number);
        }
        if !self.facts.iter().filter(of_it).any(Fact::stands) {
            self.settle_alone(number, &books, open);
        }
        if books.posted > 0
            && let Some(card) = card
        {
            let probe = self.probe_of(card);
            let mut steps = self.facts.iter().filter(of_it);
            if steps.any(|fact| Some(fact.position) == probe) {
                let by = (number, open.at);
                self.consumed.entry(card).or_insert(by);
            }
        }
    }

    /// What its issuer approved without us uses the card as an approval would.
    fn settle_alone(&mut self, number: usize, books: &Books, open: Place) {
        let known = self.known[number].clone();
        let Some(card) = known.card else {
            return;
        };
        if books.held + books.posted > 0 {
            if known.uses.consumes && !self.consumed.contains_key(&card) {
                self.consumed.insert(card, (number, open.at));
                self.known[number].uses.consumed_at = Some(open.at);
            }
            if let Some(merchant) = known.uses.lock {
                let lock = self.locks.entry(card).or_insert_with(|| Lock {
                    merchant,
                    holders: BTreeSet::new(),
                });
                if is_same_merchant(&lock.merchant, &merchant) {
                    lock.holders.insert(number);
                }
            }
        } else if books.is_undone {
            let on_reversal = known.life.unwrap().on_reversal;
            let keeps_use = books.is_reversed && on_reversal == OnReversal::KeepUse;
            if self.has_consumed_alone(number) && !keeps_use {
                self.consumed.remove(&card);
            }
            if !books.is_reversed || on_reversal == OnReversal::GiveBack {
                self.leave_locks(number);
            }
        }
    }

    /// Whether its card is consumed by what its issuer approved without us.
    pub(crate) fn has_consumed_alone(&self, number: usize) -> bool {
        let known = &self.known[number];
        let by = known.uses.consumed_at.map(|at| (number, at));
        let card = known.card.and_then(|card| self.consumed.get(&card));
        by.is_some() && card.copied() == by
    }

    /// Posts the oldest first, gives back the latest first, and charges what is missing now.
    pub(crate) fn move_to(&mut self, number: usize, books: &Books, open: Place, moment: Moment) {
        let card = self.known[number].card;
        let mut life = self.known[number].life.clone().unwrap();
        let charged = books.posted - life.restored(books);
        let mut lines = Vec::new();
        let mut to_post = (charged - life.charged()).max(0);
        for pile in &mut life.piles {
            let amount = to_post.min(pile.held);
            pile.held -= amount;
            pile.posted += amount;
            to_post -= amount;
            lines.push((pile.place, (-amount, amount)));
        }
        let mut anew = (0, to_post);
        life.put(open, 0, to_post);
        let mut to_restore = (life.charged() - charged).max(0);
        let mut to_release = (life.held() - books.held).max(0);
        for pile in life.piles.iter_mut().rev() {
            let restored = to_restore.min(pile.posted);
            let released = to_release.min(pile.held);
            pile.posted -= restored;
            pile.held -= released;
            to_restore -= restored;
            to_release -= released;
            lines.push((pile.place, (-released, -restored)));
        }
        anew.0 = (books.held - life.held()).max(0);
        life.put(open, anew.0, 0);
        life.piles.retain(|pile| pile.held + pile.posted > 0);
        if anew != (0, 0) {
            self.open(open, moment);
            lines.push((open, anew));
        }
        for (place, amounts) in lines {
            self.sheet.write(number, card, place, amounts);
        }
        self.known[number].life = Some(life);
    }

    /// Its issuer did not approve it after all.
    fn undo(&mut self, number: usize, is_reversed: bool) {
        let life = self.known[number].life.as_mut().unwrap();
        let gives_back = !is_reversed || life.on_reversal == OnReversal::GiveBack;
        let keeps_use = is_reversed && life.on_reversal == OnReversal::KeepUse;
        let mut taken = life.taken.take().unwrap_or_default();
        life.taken = Some(Taken::default());
        self.uncount(number);
        let card = self.known[number].card.unwrap();
        if let Some((by, at)) = self.consumed.get(&card)
            && *by == number
        {
            taken.consumed_at = taken.consumed_at.or(Some(*at));
        }
        let steps = self.facts.iter().filter(|fact| fact.life == number);
        let positions: Vec<u64> = steps.map(|fact| fact.position).collect();
        let probe = self.probe_of(card).filter(|it| positions.contains(it));
        taken.probe = taken.probe.or(probe);
        let lock = self.locks.get(&card).cloned();
        let held_lock = lock.filter(|lock| lock.holders.contains(&number));
        if let Some(lock) = held_lock.filter(|_| gives_back) {
            taken.was_under_lock = true;
            taken.lock = taken.lock.or(Some(lock));
            self.leave_locks(number);
        }
        self.unmark(number);
        self.probes.retain(|_, at| !positions.contains(at));
        if let Some(at) = taken.consumed_at.filter(|_| keeps_use) {
            self.consumed.insert(card, (number, at));
        }
        self.intents.give_back(number);
        self.known[number].life.as_mut().unwrap().taken = Some(taken);
    }

    /// Its issuer posted it all the same.
    fn redo(&mut self, number: usize) {
        let life = self.known[number].life.as_mut().unwrap();
        let taken = life.taken.take().unwrap();
        let card = self.known[number].card.unwrap();
        let mut steps = self.facts.iter_mut().filter(|fact| fact.life == number);
        if steps.any(|fact| fact.counted) {
            return;
        }
        let mut steps = self.facts.iter_mut().filter(|fact| fact.life == number);
        let Some(first) = steps.find(|fact| fact.stands()) else {
            return;
        };
        first.counted = true;
        let (at, position) = (first.at, first.position);
        if let Some(at) = taken.consumed_at {
            self.consumed.entry(card).or_insert((number, at));
        }
        match taken.probe {
            Some(probe) => {
                self.probes.entry(card).or_insert(probe);
            }
            None => {
                self.recent.entry(card).or_default().note(at, position);
                self.count_beside(position);
            }
        }
        if taken.was_under_lock {
            if let Some(lock) = taken.lock {
                let holders = BTreeSet::new();
                self.locks.entry(card).or_insert(Lock { holders, ..lock });
            }
            if let Some(lock) = self.locks.get_mut(&card) {
                lock.holders.insert(number);
            }
        }
    }

    /// Takes an approval back; whether there was one.
    pub(crate) fn overrule(&mut self, authorization: u8, position: u64, moment: Moment) -> bool {
        let Some(life) = self.life_of(authorization) else {
            return false;
        };
        let is_it = |fact: &Fact| fact.life == life && fact.position == position;
        let fact = self.facts.iter_mut().find(|fact| is_it(fact));
        let Some(fact) = fact.filter(|fact| fact.decision.is_approval()) else {
            return false;
        };
        let (stood, flagged, place) = (fact.stands(), fact.flagged, fact.place);
        let amount = if stood { fact.amount } else { 0 };
        fact.taken_back = true;
        fact.decision = Decision::Decline(DeclineReason::DeadlineExceeded);
        let card = self.known[life].card;
        let back = match &mut self.known[life].life {
            None => amount,
            Some(life) => {
                let pile = life.piles.iter_mut().find(|pile| pile.place == place);
                pile.map_or(0, |pile| {
                    let back = amount.min(pile.held);
                    pile.held -= back;
                    back
                })
            }
        };
        self.sheet.write(life, card, place, (-back, 0));
        if !self.stands_beside(life, None) {
            self.uncount(life);
            self.leave_locks(life);
        }
        let probe = card.and_then(|card| self.probe_of(card));
        if self.stands_beside(life, probe) {
            if flagged {
                let mut standing = self.facts.iter().filter(|fact| fact.life == life);
                let flagged = standing.any(|fact| fact.flagged && fact.decision.is_approval());
                self.intents.mark(life, flagged);
            }
        } else {
            self.unmark(life);
            self.intents.give_back(life);
        }
        self.probes.retain(|_, at| *at != position);
        if self.known[life].life.is_some() {
            let open = Place {
                day: self.day().unwrap_or(place.day),
                hour: self.hour().unwrap_or(place.hour),
                at: self.latest.unwrap_or(moment.at),
                ..place
            };
            self.settle(life, open, moment);
        }
        self.follow(card, moment);
        true
    }

    pub(crate) fn uncount(&mut self, life: usize) {
        let of_it = |fact: &&mut Fact| fact.life == life && fact.counted;
        let mut counted = Vec::new();
        for fact in self.facts.iter_mut().filter(of_it) {
            counted.push(fact.position);
            (fact.counted, fact.above) = (false, false);
        }
        self.leave_earmarks(&counted);
    }

    pub(crate) fn leave_locks(&mut self, life: usize) {
        for lock in self.locks.values_mut() {
            lock.holders.remove(&life);
        }
        self.locks.retain(|_, lock| !lock.holders.is_empty());
    }

    /// Takes back that a life consumed its card and started its cooldown.
    pub(crate) fn unmark(&mut self, life: usize) {
        let of_it = |fact: &&Fact| fact.life == life;
        let steps: Vec<&Fact> = self.facts.iter().filter(of_it).collect();
        let own_instant = |at: i64| steps.iter().any(|fact| fact.at == at);
        self.consumed
            .retain(|_, (by, at)| *by != life || !own_instant(*at));
        let gone: BTreeSet<u64> = steps.iter().map(|it| it.position).collect();
        for recent in self.recent.values_mut() {
            recent
                .latest
                .retain(|(_, position)| !gone.contains(position));
        }
    }

    /// When anything was heard of a life last.
    pub(crate) fn last_at(&self, life: usize) -> i64 {
        let steps = self.facts.iter().filter(|fact| fact.life == life);
        let reported = self.known[life].life.iter().map(|life| life.at);
        steps.map(|fact| fact.at).chain(reported).max().unwrap()
    }

    /// How many authorizations are remembered.
    pub(crate) fn remembered(&self) -> usize {
        self.known.iter().filter(|it| !it.is_forgotten).count()
    }

    /// The lives of which nothing was heard since `cut`.
    pub(crate) fn quiet(&self, cut: i64) -> Vec<usize> {
        let remembered = (0..self.known.len()).filter(|life| !self.known[*life].is_forgotten);
        remembered
            .filter(|life| self.last_at(*life) < cut)
            .collect()
    }

    /// Forgets the authorizations and intents that are over since `cut`; whether there were any.
    pub(crate) fn sweep(&mut self, cut: i64, moment: Moment) -> bool {
        let remembers = |life: usize| !self.known[life].is_forgotten;
        let any_intent = self.intents.any_over(cut, remembers);
        let quiet = self.quiet(cut);
        for life in &quiet {
            self.known[*life].is_forgotten = true;
            self.sheet.forget(*life);
        }
        for life in &quiet {
            self.follow(self.known[*life].card, moment);
        }
        let any = !quiet.is_empty() || any_intent;
        if any {
            let known = &self.known;
            self.intents.forget(cut, |life| !known[life].is_forgotten);
        }
        any
    }
}
