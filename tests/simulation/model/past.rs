//! What the model keeps beside sums: hours, counts, cooldowns, intents and attestations.

use std::collections::BTreeMap;

use countersign::domain::decision::DeclineReason;

use super::life::Place;
use super::limits::levels;
use super::{Authorization, Book, Charge, Decided, Scope, overrides, rules};
use crate::issuer::Message;
use crate::past_rules::PastRules;
use crate::world::{MERCHANTS, World};

pub(crate) const MINUTE_US: i64 = 60_000_000;
/// An attestation is fresh for so long where nobody says for how long.
const ATTESTATION_MINUTES: u32 = 15;
/// Intents that may wait on a card.
pub(crate) const WAITING_MAX: usize = 32;
/// Approvals of a card that are remembered one by one.
const REMEMBERED: usize = 3;

/// Merchants that intents expect, and whom each of them names.
pub(crate) const EXPECTED: [(&str, &[usize]); 4] = [
    ("Cumulus", &[0, 2]),
    ("NIMBUS  books", &[1]),
    ("Sq *Alpha", &[3]),
    ("SQ *BETA", &[4]),
];

/// How fresh the agent's word was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attested {
    Fresh,
    Stale,
    Never,
}

/// What an intent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) expected: Option<i64>,
    pub(crate) cap: Option<i64>,
    pub(crate) euros: Option<bool>,
    /// Which of [`EXPECTED`].
    pub(crate) merchant: Option<usize>,
    pub(crate) mccs: Vec<u16>,
    pub(crate) expires_at: i64,
    pub(crate) awaits: bool,
}

/// What is done with an intent that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Approve,
    Reject,
    Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    /// By whom, while that is remembered, and whether it did not keep to it.
    Taken(Option<u32>, bool),
    Rejected,
    Canceled,
}

#[derive(Clone, Debug)]
struct Intent {
    card: usize,
    number: u32,
    at: i64,
    terms: Terms,
    approved: bool,
    fate: Fate,
    /// Whether it is still looked at; one that is over makes room for others.
    listed: bool,
}

/// Why a command about intents is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unknown,
    Conflict,
    TooMany,
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    number: u32,
    card: Option<usize>,
    agent: Option<usize>,
    hour: i64,
    day: i64,
}

/// The latest approvals of a card: instant, line and authorization, oldest first.
#[derive(Clone, Debug, Default)]
struct Latest {
    each: Vec<(i64, usize, u32)>,
    /// The latest instant of those that are not remembered one by one; it stays.
    older: Option<i64>,
}

impl Latest {
    fn note(&mut self, received: i64, line: usize, number: u32) {
        self.each.push((received, line, number));
        self.each.sort_unstable();
        if self.each.len() > REMEMBERED {
            let (gone, ..) = self.each.remove(0);
            self.older = self.older.max(Some(gone));
        }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Past {
    hour: i64,
    hour_ends: i64,
    latest: i64,
    counts: Vec<Count>,
    approvals: BTreeMap<usize, Latest>,
    attested: BTreeMap<usize, i64>,
    intents: Vec<Intent>,
}

/// What an intent's rule asks.
struct IntentRule {
    approval: bool,
    below: Option<i64>,
    flags: bool,
}

/// The value over the levels of a card: the tightest, or the lowest that speaks.
fn effective<T: Copy>(
    world: &World,
    card: usize,
    get: impl Fn(&PastRules) -> Option<T>,
    tightest: fn(T, T) -> T,
) -> Option<T> {
    let rules = rules(world, card).into_iter().flatten();
    let mut said = rules.filter_map(|rules| get(&rules.past));
    if overrides(world, card) {
        said.next()
    } else {
        said.reduce(tightest)
    }
}

fn any(one: bool, other: bool) -> bool {
    one || other
}

fn all(one: bool, other: bool) -> bool {
    one && other
}

pub(super) fn allows_part(world: &World, card: usize) -> bool {
    effective(world, card, |it| it.partial, all) == Some(true)
}

fn cooldown_us(world: &World, card: usize) -> Option<i64> {
    let minutes = effective(world, card, |it| it.cooldown_minutes, u32::max)?;
    Some(i64::from(minutes) * MINUTE_US)
}

/// For how long an attestation is fresh, and whether one is required.
fn attestation(world: &World, card: usize) -> (i64, bool) {
    let required = effective(world, card, |it| it.attest, any) == Some(true);
    let minutes = effective(world, card, |it| it.attest_minutes, u32::min);
    let minutes = minutes.filter(|_| required).unwrap_or(ATTESTATION_MINUTES);
    (i64::from(minutes) * MINUTE_US, required)
}

fn intent_rule(world: &World, card: usize) -> Option<IntentRule> {
    let intent = effective(world, card, |it| it.intent, any) == Some(true);
    let approval = effective(world, card, |it| it.approval, any) == Some(true);
    (intent || approval).then(|| IntentRule {
        approval,
        below: effective(world, card, |it| it.approve_below, i64::min),
        flags: effective(world, card, |it| it.flags, all) == Some(true),
    })
}

impl Intent {
    fn is_live(&self, now: i64) -> bool {
        now < self.terms.expires_at
    }

    /// Whether a human has yet to say yes.
    fn awaits(&self, rule: &IntentRule) -> bool {
        let small =
            matches!((rule.below, self.terms.expected), (Some(below), Some(it)) if it < below);
        !self.approved && (self.terms.awaits || (rule.approval && !small))
    }

    fn fits(&self, message: &Message, amount: i64) -> bool {
        let terms = &self.terms;
        let mcc = MERCHANTS[message.merchant].mcc;
        terms.cap.is_none_or(|cap| amount <= cap)
            && terms.euros.is_none_or(|euros| euros == message.euros)
            && terms
                .merchant
                .is_none_or(|at| EXPECTED[at].1.contains(&message.merchant))
            && (terms.mccs.is_empty() || terms.mccs.contains(&mcc))
    }

    /// Forgotten at a sweep, unless somebody who is remembered has taken it.
    fn is_over(&self, cut: i64) -> bool {
        let taken = matches!(self.fate, Fate::Taken(Some(_), _));
        !taken && self.at < cut && self.terms.expires_at < cut
    }
}

impl Past {
    pub(super) fn new() -> Self {
        Self {
            hour: i64::MIN,
            hour_ends: i64::MIN,
            latest: i64::MIN,
            counts: Vec::new(),
            approvals: BTreeMap::new(),
            attested: BTreeMap::new(),
            intents: Vec::new(),
        }
    }

    /// Bookings of one customer never go back in time.
    pub(super) fn now(&self, received: i64) -> i64 {
        received.max(self.latest)
    }

    /// Which hour a step is counted in, and when it is booked. The hours of a zone begin where its
    /// clock shows a full hour; none ends sooner than it did when it was opened.
    pub(super) fn place(&self, offset: i64, decided: &mut Decided) {
        (decided.hour, decided.hour_ends) = self.hour_at(offset, decided.received);
        // How much later a booking is than its receipt is kept exactly up to half an hour, above
        // that in whole seconds, rounded up.
        let late = (self.latest.max(decided.received)) - decided.received;
        let kept = if late < 1 << 31 {
            late
        } else {
            (late + 999_999) / 1_000_000 * 1_000_000
        };
        decided.booked_at = decided.received + kept;
    }

    /// The hour that something is booked in that comes now, and when it ends.
    pub(super) fn hour_at(&self, offset: i64, received: i64) -> (i64, i64) {
        let second = received.div_euclid(1_000_000);
        let offset = offset.rem_euclid(3_600);
        let hour = (second + offset).div_euclid(3_600);
        if hour > self.hour && received >= self.hour_ends {
            (hour, ((hour + 1) * 3_600 - offset) * 1_000_000)
        } else {
            (self.hour, self.hour_ends)
        }
    }

    /// Something is booked here: the hour is open, and nothing is booked before this any more.
    pub(super) fn open(&mut self, place: Place, hour_ends: i64) {
        if place.hour > self.hour {
            (self.hour, self.hour_ends) = (place.hour, hour_ends);
        }
        self.latest = self.latest.max(place.at);
    }

    /// Whether an authorization counts as approved.
    pub(super) fn is_counted(&self, number: u32) -> bool {
        self.counts.iter().any(|count| count.number == number)
    }

    /// An authorization counts again by a step of it, which was received then.
    pub(super) fn count_again(
        &mut self,
        number: u32,
        card: usize,
        place: Place,
        (line, received): (usize, i64),
    ) {
        self.counts.push(Count {
            number,
            card: Some(card),
            agent: place.agent,
            hour: place.hour,
            day: place.day,
        });
        self.approvals
            .entry(card)
            .or_default()
            .note(received, line, number);
    }

    pub(super) fn booked(&mut self, line: usize, decided: &Decided, is_first: bool) {
        if decided.hour > self.hour {
            (self.hour, self.hour_ends) = (decided.hour, decided.hour_ends);
        }
        self.latest = self.latest.max(decided.booked_at);
        let number = decided.message.authorization;
        if is_first {
            self.counts.push(Count {
                number,
                card: decided.card,
                agent: decided.agent,
                hour: decided.hour,
                day: decided.day,
            });
            if let Some(card) = decided.card {
                let latest = self.approvals.entry(card).or_default();
                latest.note(decided.received, line, number);
            }
        }
        if let Some(taken) = decided.takes {
            for intent in &mut self.intents {
                if intent.number == taken && intent.fate == Fate::Open {
                    intent.fate = Fate::Taken(Some(number), decided.flagged);
                }
            }
        } else if decided.flagged {
            self.marked(number, true);
        }
    }

    /// Whether the authorization that has taken an intent keeps to it.
    pub(super) fn marked(&mut self, number: u32, mismatched: bool) {
        for intent in &mut self.intents {
            if matches!(intent.fate, Fate::Taken(Some(by), _) if by == number) {
                intent.fate = Fate::Taken(Some(number), mismatched);
            }
        }
    }

    /// Count, cooldown and intent of an authorization that holds nothing any more.
    pub(super) fn given_back(&mut self, number: u32) {
        self.counts.retain(|count| count.number != number);
        for latest in self.approvals.values_mut() {
            latest.each.retain(|(_, _, of)| *of != number);
        }
        for intent in &mut self.intents {
            if matches!(intent.fate, Fate::Taken(Some(by), _) if by == number) {
                (intent.fate, intent.listed) = (Fate::Open, true);
            }
        }
    }

    pub(super) fn swept(&mut self, cut: i64, gone: &[u32]) {
        for intent in &mut self.intents {
            if let Fate::Taken(Some(by), mismatched) = intent.fate
                && gone.contains(&by)
            {
                intent.fate = Fate::Taken(None, mismatched);
            }
        }
        self.intents.retain(|intent| !intent.is_over(cut));
    }

    pub(super) fn any_over(&self, cut: i64) -> bool {
        self.intents.iter().any(|intent| intent.is_over(cut))
    }

    pub(super) fn declared(&mut self, card: usize, number: u32, terms: &Terms, at: i64) {
        let waits = |it: &&mut Intent| it.card == card && it.fate == Fate::Open && it.listed;
        if self.intents.iter_mut().filter(waits).count() >= WAITING_MAX {
            for intent in self.intents.iter_mut().filter(waits) {
                intent.listed = intent.is_live(at);
            }
        }
        self.intents.push(Intent {
            card,
            number,
            at,
            terms: terms.clone(),
            approved: false,
            fate: Fate::Open,
            listed: true,
        });
    }

    pub(super) fn settled(&mut self, number: u32, verb: Verb) {
        let open = |it: &&mut Intent| it.number == number && it.fate == Fate::Open;
        for intent in self.intents.iter_mut().filter(open) {
            match verb {
                Verb::Approve => intent.approved = true,
                Verb::Reject => intent.fate = Fate::Rejected,
                Verb::Cancel => intent.fate = Fate::Canceled,
            }
        }
    }

    pub(super) fn attested(&mut self, card: usize, at: i64) {
        let latest = self.attested.entry(card).or_insert(at);
        *latest = (*latest).max(at);
    }

    /// How fresh the agent's word is, for the record.
    pub(super) fn class(&self, world: &World, card: usize, now: i64) -> Attested {
        let (window_us, _) = attestation(world, card);
        match self.attested.get(&card) {
            None => Attested::Never,
            Some(at) if (0..window_us).contains(&(now - at)) => Attested::Fresh,
            Some(_) => Attested::Stale,
        }
    }

    fn last_approval(&self, card: usize) -> Option<i64> {
        let latest = self.approvals.get(&card)?;
        let last = latest.each.last().map(|(at, ..)| *at);
        last.or(latest.older)
    }

    fn waiting_on(&self, card: usize) -> impl Iterator<Item = &Intent> {
        let waits = move |it: &&Intent| it.card == card && it.fate == Fate::Open && it.listed;
        self.intents.iter().filter(waits)
    }
}

impl Book {
    /// Reasons 18 to 22; notes which intent an approval takes.
    pub(super) fn agents_word(
        &self,
        world: &World,
        decided: &mut Decided,
        known: Option<&Authorization>,
        is_increment: bool,
    ) -> Option<DeclineReason> {
        let (card, now) = (decided.message.card, decided.received);
        let (_, required) = attestation(world, card);
        let fresh = self.past.class(world, card, now) == Attested::Fresh;
        if required && !is_increment && !fresh {
            return Some(DeclineReason::AttestationRequired);
        }
        let rule = intent_rule(world, card)?;
        let message = &decided.message;
        let amount = known.map_or(0, Authorization::total) + message.amount;
        if is_increment {
            let of = Some(message.authorization);
            let is_its = |it: &&Intent| matches!(it.fate, Fate::Taken(by, _) if by == of);
            let taken = self.past.intents.iter().find(is_its);
            let above = taken.is_some_and(|it| it.terms.cap.is_some_and(|cap| amount > cap));
            decided.flagged = above && rule.flags;
            return (above && !rule.flags).then_some(DeclineReason::IntentMismatch);
        }
        let waiting: Vec<&Intent> = self.past.waiting_on(card).collect();
        if waiting.is_empty() {
            return Some(DeclineReason::IntentRequired);
        }
        let is_usable = |it: &Intent| it.is_live(now) && !it.awaits(&rule);
        let fits = |it: &Intent| it.fits(message, amount);
        let found = waiting.iter().find(|it| is_usable(it) && fits(it));
        if let Some(found) = found {
            decided.takes = Some(found.number);
            return None;
        }
        if waiting.iter().any(|it| fits(it) && it.is_live(now)) {
            return Some(DeclineReason::IntentPendingApproval);
        }
        if waiting.iter().any(|it| fits(it)) {
            return Some(DeclineReason::IntentExpired);
        }
        let usable = waiting.iter().find(|it| is_usable(it));
        if let Some(taken) = usable.filter(|_| rule.flags) {
            (decided.takes, decided.flagged) = (Some(taken.number), true);
            return None;
        }
        Some(DeclineReason::IntentMismatch)
    }

    /// Reasons 25 and 26.
    pub(super) fn too_soon_or_often(
        &self,
        world: &World,
        decided: &Decided,
    ) -> Option<DeclineReason> {
        let card = decided.message.card;
        let cooldown = cooldown_us(world, card);
        let last = self.past.last_approval(card);
        if let (Some(cooldown), Some(last)) = (cooldown, last)
            && decided.received - last < cooldown
        {
            return Some(DeclineReason::CooldownActive);
        }
        let levels = levels(world, card).into_iter().zip(rules(world, card));
        for ((scope, _), rules) in levels {
            let counts = rules.map_or([None; 3], |rules| rules.past.counts);
            let found = self.counted(scope, decided.hour, decided.day);
            let reached = |(limit, found): (Option<u32>, u32)| limit.is_some_and(|it| found >= it);
            if counts.into_iter().zip(found).any(reached) {
                return Some(DeclineReason::CountLimitReached);
            }
        }
        None
    }

    /// Approvals of a scope in an hour, on a day, and ever.
    pub(crate) fn counted(&self, scope: Scope, hour: i64, day: i64) -> [u32; 3] {
        let is_in = |count: &&Count| match scope {
            Scope::Card(card) => count.card == Some(card),
            Scope::Agent(agent) => count.agent == Some(agent),
            Scope::Customer => true,
        };
        let counts = || self.past.counts.iter().filter(is_in);
        let numbers = [
            counts().filter(|count| count.hour == hour).count(),
            counts().filter(|count| count.day == day).count(),
            counts().count(),
        ];
        numbers.map(|number| u32::try_from(number).unwrap())
    }

    /// Reason 4: so many approvals, or so much spent on the card.
    pub(super) fn used_up(&self, world: &World, card: usize) -> bool {
        let count = effective(world, card, |it| it.expire_count, u32::min);
        let spend = effective(world, card, |it| it.expire_spend, i64::min);
        let [.., approvals] = self.counted(Scope::Card(card), 0, 0);
        let charges = self.charges.iter();
        let spent: i64 = charges
            .filter(|charge| charge.is_in(Scope::Card(card)))
            .map(Charge::amount)
            .sum();
        count.is_some_and(|count| approvals >= count) || spend.is_some_and(|spend| spent >= spend)
    }

    /// No booking is before the latest one.
    pub(crate) fn now(&self, clock: i64) -> i64 {
        self.past.now(clock)
    }

    /// The hour under way, as the latest booking left it.
    pub(crate) fn hour(&self) -> i64 {
        self.past.hour
    }

    /// What a declaration comes to: news, a repetition, or a refusal.
    pub(crate) fn declares(
        &self,
        card: usize,
        number: u32,
        terms: &Terms,
        now: i64,
    ) -> Result<bool, Refusal> {
        if let Some(known) = self.past.intents.iter().find(|it| it.number == number) {
            let same = known.card == card && known.terms == *terms;
            return if same {
                Ok(false)
            } else {
                Err(Refusal::Conflict)
            };
        }
        let live = self.past.waiting_on(card).filter(|it| it.is_live(now));
        if live.count() >= WAITING_MAX {
            return Err(Refusal::TooMany);
        }
        Ok(true)
    }

    /// What settling an intent comes to, likewise.
    pub(crate) fn settles(&self, number: u32, verb: Verb, now: i64) -> Result<bool, Refusal> {
        let known = self.past.intents.iter().find(|it| it.number == number);
        let intent = known.ok_or(Refusal::Unknown)?;
        let done = match verb {
            Verb::Approve => intent.fate == Fate::Open && intent.approved,
            Verb::Reject => intent.fate == Fate::Rejected,
            Verb::Cancel => intent.fate == Fate::Canceled,
        };
        if done {
            return Ok(false);
        }
        if intent.fate == Fate::Open && intent.is_live(now) {
            Ok(true)
        } else {
            Err(Refusal::Closed)
        }
    }

    /// The card and the terms of an intent that is remembered.
    pub(crate) fn intent(&self, number: u32) -> Option<(usize, Terms)> {
        let known = self.past.intents.iter().find(|it| it.number == number)?;
        Some((known.card, known.terms.clone()))
    }

    /// Intents that are remembered: card, number, and a word for where each stands.
    pub(crate) fn intents(&self, now: i64) -> Vec<(usize, u32, &'static str)> {
        let word = |it: &Intent| match it.fate {
            Fate::Taken(_, false) => "matched",
            Fate::Taken(_, true) => "mismatched",
            Fate::Rejected => "rejected",
            Fate::Canceled => "canceled",
            Fate::Open if !it.is_live(now) => "expired",
            Fate::Open if it.terms.awaits && !it.approved => "pending approval",
            Fate::Open => "pending",
        };
        let intents = self.past.intents.iter();
        intents.map(|it| (it.card, it.number, word(it))).collect()
    }

    /// A live intent of the card, if one waits.
    pub(crate) fn live_intent(&self, card: usize, now: i64) -> Option<&Terms> {
        let mut live = self.past.waiting_on(card).filter(|it| it.is_live(now));
        live.next().map(|it| &it.terms)
    }

    pub(crate) fn attested_at(&self, card: usize) -> Option<i64> {
        self.past.attested.get(&card).copied()
    }

    /// Instants at which something begins or ends for a card.
    pub(crate) fn edges(&self, world: &World, card: usize) -> Vec<i64> {
        let cooldown = self.past.last_approval(card).zip(cooldown_us(world, card));
        let attested = self.past.attested.get(&card).copied();
        let window = attested.map(|at| at + attestation(world, card).0);
        let mut edges = vec![self.past.hour_ends, self.day_ends];
        edges.extend(cooldown.map(|(last, cooldown)| last + cooldown));
        edges.extend(window);
        edges.extend(self.past.waiting_on(card).map(|it| it.terms.expires_at));
        let latest = self.charges.iter().rev().take(3);
        for charge in latest {
            for (kind, minutes) in [1, 7, 30].into_iter().enumerate() {
                let leaves = (charge.booked_at.div_euclid(minutes * MINUTE_US) + 1_441) * minutes;
                edges.extend((kind < 2).then_some(leaves * MINUTE_US));
            }
        }
        edges
    }
}
