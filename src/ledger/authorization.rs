//! One authorization and its steps, in as little memory as they take: there are many millions.
//!
//! Nearly every authorization has one step, in the windows of its own hour, known by one fingerprint
//! beside its content. That takes 64 bytes; what the others have besides stands in a box of its own.
//! A step is unpacked to be looked at and packed again when it changes.

use crate::domain::amount::Minor;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::hold_time::HoldTime;
use crate::domain::identity::StoredStep;
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour};
use crate::ledger::counters::{Booking, WindowIds};
use crate::ledger::event::{AgentNo, CardNo, Decided};
use crate::ledger::life::{Books, Life, Place, Portion};

/// One decided step of an authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// By what it is known again.
    pub stored: StoredStep,
    /// Our answer; a decline where the approval was overruled.
    pub decision: Decision,
    /// What its approval has put on hold; what has become of that says [`Life`].
    pub reserved: Minor,
    /// The day whose windows it was charged to.
    pub day: LocalDay,
    /// The hour whose count it was charged to.
    pub hour: LocalHour,
    /// How far its booking is later than its receipt, because one with a later receipt had been
    /// booked: see [`Lag`].
    pub(in crate::ledger) lag: Lag,
    /// Whether it is the step by which its authorization was counted as approved.
    pub(in crate::ledger) counted: bool,
    /// Of one on a card with an earmark: whether it counts at agent and customer as well, because the
    /// earmark's own count stands for another one.
    pub(in crate::ledger) counted_above: bool,
    /// Whether it was approved although no intent matched.
    pub flagged: bool,
    /// The journal position of the decision.
    pub position: u64,
    /// Our clock at receipt.
    pub at: Timestamp,
    /// The agent that held the card then.
    pub agent: Option<AgentNo>,
}

impl Step {
    /// Where it was booked.
    pub(in crate::ledger) fn booking(&self) -> Booking {
        Booking {
            windows: WindowIds::of(self.day),
            hour: self.hour,
            at: self.lag.after(self.at),
        }
    }

    pub(in crate::ledger) fn stands(&self) -> bool {
        self.decision.is_approval() && !self.reserved.is_zero()
    }
}

/// The time by which a booking is later than its receipt: exact up to half an hour, beyond that in
/// whole seconds, rounded up. Bookings of one customer never go back in time, though receipts may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Lag(u32);

impl Lag {
    const SECONDS: u32 = 1 << 31;

    /// From `at` to `latest`, where that is later.
    pub(in crate::ledger) fn between(at: Timestamp, latest: Timestamp) -> Self {
        let micros = latest.micros_since(at).max(0);
        let exact = u32::try_from(micros)
            .ok()
            .filter(|micros| *micros < Self::SECONDS);
        Self(exact.unwrap_or_else(|| {
            let seconds = micros.saturating_add(999_999) / 1_000_000;
            let bounded = u32::try_from(seconds).unwrap_or(u32::MAX);
            Self::SECONDS | bounded.min(Self::SECONDS - 1)
        }))
    }

    pub(in crate::ledger) fn after(self, at: Timestamp) -> Timestamp {
        let micros = if self.0 < Self::SECONDS {
            i64::from(self.0)
        } else {
            i64::from(self.0 & !Self::SECONDS).saturating_mul(1_000_000)
        };
        at.plus_micros(micros)
    }

    pub(in crate::ledger) fn bits(self) -> u32 {
        self.0
    }

    pub(in crate::ledger) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// A step as it is kept, without what few steps have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedStep {
    /// Our clock at receipt.
    pub at: Timestamp,
    content: u64,
    /// The name; where there is none, the delivery.
    fingerprint: u64,
    /// What it holds, its decision, and flags.
    word: u64,
    position: u64,
    day: LocalDay,
    /// Of [`NOBODY`] where there is none.
    agent: u32,
}

/// What few steps have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rare {
    /// The delivery of a step that has a name too.
    delivery: Option<u64>,
    hour: LocalHour,
    lag: Lag,
    counted_above: bool,
}

/// What few authorizations have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct More {
    first: Option<Rare>,
    steps: Vec<(PackedStep, Option<Rare>)>,
    /// Present from the first message on that came after a decision, or without one.
    life: Option<Box<Life>>,
}

impl More {
    const NOTHING: Self = Self {
        first: None,
        steps: Vec::new(),
        life: None,
    };
}

const NOBODY: u32 = u32::MAX;

fn number_of(card: Option<CardNo>) -> u32 {
    card.map_or(NOBODY, |card| card.0)
}

/// Of a step's word: 53 bits of money, 6 of the decision, then flags.
const RESERVED_BITS: u32 = 53;
const RESERVED: u64 = (1 << RESERVED_BITS) - 1;
const DECISION: u64 = 0x3F;
const COUNTED: u64 = 1 << 59;
const FLAGGED: u64 = 1 << 60;
const HAS_NAME: u64 = 1 << 61;
const HAS_DELIVERY: u64 = 1 << 62;
/// Of the first step's word: the authorization was approved while its card was locked.
const UNDER_LOCK: u64 = 1 << 63;

/// Decisions that are no reason to decline.
const APPROVE: u8 = 0;
const APPROVE_PARTIAL: u8 = 63;
/// Of a first step that has not come: a message about the authorization came before it.
const NOT_COME: u64 = 62;

const _: () = assert!(
    size_of::<Authorization>() == 64,
    "there may be many millions"
);

impl PackedStep {
    fn pack(step: &Step) -> (Self, Option<Rare>) {
        let StoredStep {
            name,
            delivery,
            content,
        } = step.stored;
        let decision = match step.decision {
            Decision::Approve => APPROVE,
            Decision::ApprovePartial(_) => APPROVE_PARTIAL,
            Decision::Decline(reason) => reason.number(),
        };
        let flag = |set: bool, bit: u64| if set { bit } else { 0 };
        let word = u64::try_from(step.reserved.get()).unwrap_or_default()
            | u64::from(decision) << RESERVED_BITS
            | flag(step.counted, COUNTED)
            | flag(step.flagged, FLAGGED)
            | flag(name.is_some(), HAS_NAME)
            | flag(delivery.is_some(), HAS_DELIVERY);
        let usual = Rare {
            delivery: None,
            hour: Decided::utc_hour(step.at),
            lag: Lag::default(),
            counted_above: false,
        };
        let rare = Rare {
            delivery: delivery.filter(|_| name.is_some()),
            hour: step.hour,
            lag: step.lag,
            counted_above: step.counted_above,
        };
        let packed = Self {
            at: step.at,
            content,
            fingerprint: name.or(delivery).unwrap_or_default(),
            word,
            position: step.position,
            day: step.day,
            agent: step.agent.map_or(NOBODY, |agent| agent.0),
        };
        (packed, (rare != usual).then_some(rare))
    }

    fn unpack(&self, rare: Option<&Rare>) -> Step {
        let has = |bit: u64| self.word & bit != 0;
        let reserved = i64::try_from(self.word & RESERVED).unwrap_or_default();
        let reserved = Minor::new(reserved).unwrap_or(Minor::MAX);
        let decision = u8::try_from(self.word >> RESERVED_BITS & DECISION).unwrap_or_default();
        let decision = match decision {
            APPROVE_PARTIAL => Decision::ApprovePartial(reserved),
            number => {
                DeclineReason::from_number(number).map_or(Decision::Approve, Decision::Decline)
            }
        };
        let delivery = if has(HAS_NAME) {
            rare.and_then(|rare| rare.delivery)
        } else {
            has(HAS_DELIVERY).then_some(self.fingerprint)
        };
        Step {
            stored: StoredStep {
                name: has(HAS_NAME).then_some(self.fingerprint),
                delivery,
                content: self.content,
            },
            decision,
            reserved,
            day: self.day,
            hour: rare.map_or_else(|| Decided::utc_hour(self.at), |rare| rare.hour),
            lag: rare.map_or_else(Lag::default, |rare| rare.lag),
            counted: has(COUNTED),
            counted_above: rare.is_some_and(|rare| rare.counted_above),
            flagged: has(FLAGGED),
            position: self.position,
            at: self.at,
            agent: Some(self.agent)
                .filter(|agent| *agent != NOBODY)
                .map(AgentNo),
        }
    }
}

/// One authorization: its card and its steps in order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// Of [`NOBODY`] where the card was unknown.
    card: u32,
    /// The longest that anybody has named.
    hold_time: HoldTime,
    /// The first step, which nearly always is the only one.
    pub first: PackedStep,
    /// Increments, and what else is rare.
    more: Option<Box<More>>,
}

impl Authorization {
    /// An authorization of one step.
    pub(in crate::ledger) fn new(card: Option<CardNo>, first: &Step) -> Self {
        let (first, rare) = PackedStep::pack(first);
        let more = rare.map(|rare| {
            Box::new(More {
                first: Some(rare),
                ..More::NOTHING
            })
        });
        Self {
            card: number_of(card),
            hold_time: HoldTime::default(),
            first,
            more,
        }
    }

    /// An authorization of which something is known before any step of it has come.
    pub(in crate::ledger) fn parked(card: Option<CardNo>, at: Timestamp) -> Self {
        let first = PackedStep {
            at,
            content: 0,
            fingerprint: 0,
            word: NOT_COME << RESERVED_BITS,
            position: 0,
            day: LocalDay(i32::MIN),
            agent: NOBODY,
        };
        Self {
            card: number_of(card),
            hold_time: HoldTime::default(),
            first,
            more: None,
        }
    }

    /// Absent where the card was unknown.
    #[must_use]
    pub fn card(&self) -> Option<CardNo> {
        (self.card != NOBODY).then_some(CardNo(self.card))
    }

    /// Binds it to a card; to the first that is named.
    pub(in crate::ledger) fn bind(&mut self, card: Option<CardNo>) {
        self.card = number_of(self.card().or(card));
    }

    /// How long its issuer lets it hold something, by the merchant's category.
    #[must_use]
    pub fn hold_time(&self) -> HoldTime {
        self.hold_time
    }

    /// Somebody has named the merchant's category.
    pub(in crate::ledger) fn learn_hold_time(&mut self, named: HoldTime) {
        self.hold_time = self.hold_time.and(named);
    }

    /// Whether no step of it has come.
    #[must_use]
    pub fn is_parked(&self) -> bool {
        self.first.word >> RESERVED_BITS & DECISION == NOT_COME
    }

    /// What has become of it after it was decided; absent where nothing was reported.
    #[must_use]
    pub fn life(&self) -> Option<&Life> {
        self.more.as_ref()?.life.as_deref()
    }

    pub(in crate::ledger) fn life_mut(&mut self) -> Option<&mut Life> {
        self.more.as_mut()?.life.as_deref_mut()
    }

    /// Begins the life, with the portions that the steps hold.
    pub(in crate::ledger) fn begin_life(&mut self) {
        if self.life().is_some() {
            return;
        }
        let mut life = Life::default();
        for step in self.steps().filter(Step::stands) {
            life.add(Place::of(&step), step.reserved, Minor::ZERO);
        }
        self.set_life(life);
    }

    pub(in crate::ledger) fn set_life(&mut self, life: Life) {
        let more = self.more.get_or_insert_with(|| Box::new(More::NOTHING));
        more.life = Some(Box::new(life));
    }

    /// Where it ought to stand by what was reported; absent where nothing was.
    #[must_use]
    pub fn books(&self) -> Option<Books> {
        let steps: Vec<Step> = self.steps().collect();
        self.life().map(|life| life.books(&steps))
    }

    /// What it is charged with, and where.
    pub(in crate::ledger) fn portions(&self) -> Vec<Portion> {
        let of_step = |step: Step| Portion {
            held: step.reserved,
            posted: Minor::ZERO,
            place: Place::of(&step),
        };
        match self.life() {
            Some(life) => life.portions.clone(),
            None => self.steps().filter(Step::stands).map(of_step).collect(),
        }
    }

    /// Adds a step.
    pub(in crate::ledger) fn push(&mut self, step: &Step) {
        let (packed, rare) = PackedStep::pack(step);
        if self.is_parked() {
            let lock = self.first.word & UNDER_LOCK;
            self.first = packed;
            self.first.word |= lock;
            if rare.is_some() || self.more.is_some() {
                let more = self.more.get_or_insert_with(|| Box::new(More::NOTHING));
                more.first = rare;
            }
            return;
        }
        let more = self.more.get_or_insert_with(|| Box::new(More::NOTHING));
        more.steps.push((packed, rare));
    }

    /// The steps in order of arrival.
    pub fn steps(&self) -> impl Iterator<Item = Step> + '_ {
        let rare = self.more.as_ref().and_then(|more| more.first.as_ref());
        let first = (!self.is_parked()).then(|| self.first.unpack(rare));
        let more = self.more.iter().flat_map(|more| &more.steps);
        first
            .into_iter()
            .chain(more.map(|(step, rare)| step.unpack(rare.as_ref())))
    }

    /// Changes each step; what identifies it stays. Whether the authorization was approved under a
    /// lock is no matter of a step.
    pub(in crate::ledger) fn change(&mut self, mut act: impl FnMut(&mut Step)) {
        let lock = self.first.word & UNDER_LOCK;
        let mut steps: Vec<Step> = self.steps().collect();
        steps.iter_mut().for_each(&mut act);
        if let Some((first, more)) = steps.split_first() {
            let (card, hold_time) = (self.card(), self.hold_time);
            let life = self.more.as_mut().and_then(|more| more.life.take());
            *self = Self::new(card, first);
            more.iter().for_each(|step| self.push(step));
            self.first.word |= lock;
            self.hold_time = hold_time;
            if let Some(life) = life {
                self.set_life(*life);
            }
        }
    }

    /// Whether it was approved while its card was locked to a merchant.
    pub(in crate::ledger) fn is_under_lock(&self) -> bool {
        self.first.word & UNDER_LOCK != 0
    }

    pub(in crate::ledger) fn set_under_lock(&mut self, is: bool) {
        self.first.word &= !UNDER_LOCK;
        self.first.word |= if is { UNDER_LOCK } else { 0 };
    }

    /// What it holds.
    #[must_use]
    pub fn reserved(&self) -> Minor {
        match self.life() {
            Some(life) => life.held(),
            None => self
                .steps()
                .fold(Minor::ZERO, |sum, step| sum.saturating_plus(step.reserved)),
        }
    }

    /// What its steps approved, whatever has become of it.
    #[must_use]
    pub(in crate::ledger) fn approved(&self) -> Minor {
        let standing = self.steps().filter(Step::stands);
        standing.fold(Minor::ZERO, |sum, step| sum.saturating_plus(step.reserved))
    }

    /// What it comes to: held and posted together.
    #[must_use]
    pub fn total(&self) -> Minor {
        let posted = self.life().map_or(Minor::ZERO, Life::charged);
        self.reserved().saturating_plus(posted)
    }

    /// Whether something was reported that counts nowhere yet, because nobody knew the card: the
    /// step that names a card has it charged.
    #[must_use]
    pub fn is_uncharged(&self) -> bool {
        let counts = |life: &Life| {
            let books = self.books().unwrap_or_default();
            let posted = books.posted.saturating_minus(life.restored(&books));
            !(books.held.is_zero() && posted.is_zero())
        };
        self.card == NOBODY && self.life().is_some_and(counts)
    }

    /// Whether any step stands approved with an amount, and its issuer has not taken that back:
    /// what later steps are increments of, and what consumption and lock rest on. An approval of
    /// nothing (a verification, a balance inquiry, a credit) is none of these.
    #[must_use]
    pub fn is_purchase(&self) -> bool {
        self.stands_beside(None)
    }

    /// Whether anything stands beside the step at the position `probe`: a probe alone consumes
    /// neither the card nor an intent.
    #[must_use]
    pub(in crate::ledger) fn stands_beside(&self, probe: Option<u64>) -> bool {
        !self.life().is_some_and(Life::is_undone)
            && self
                .steps()
                .any(|step| step.stands() && Some(step.position) != probe)
    }

    /// When anything about it arrived last.
    #[must_use]
    pub fn last_at(&self) -> Timestamp {
        let steps = self.steps().map(|step| step.at);
        let life = self.life().map(|life| life.at);
        steps.chain(life).max().unwrap_or(self.first.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(n: u64) -> Step {
        let odd = |bit: u64| n >> bit & 1 == 1;
        let at = Timestamp::from_micros(1_780_000_000_123_456);
        let reserved = [0, 1, 999, Minor::MAX.get()][usize::try_from(n >> 8 & 3).unwrap()];
        let reserved = Minor::new(reserved).unwrap();
        Step {
            stored: StoredStep {
                name: odd(0).then_some(u64::MAX - n),
                delivery: odd(1).then_some(n),
                content: n << 32,
            },
            decision: [
                Decision::Approve,
                Decision::ApprovePartial(reserved),
                Decision::Decline(DeclineReason::CardUnknown),
                Decision::Decline(DeclineReason::ConflictingDuplicate),
            ][usize::try_from(n >> 10 & 3).unwrap()],
            reserved,
            day: LocalDay(if odd(2) { i32::MIN } else { 20_602 }),
            hour: LocalHour(if odd(3) {
                i32::MAX
            } else {
                Decided::utc_hour(at).0
            }),
            lag: Lag(if odd(4) { u32::MAX } else { 0 }),
            counted: odd(5),
            counted_above: odd(13),
            flagged: odd(6),
            position: if odd(7) { u64::MAX } else { n },
            at,
            agent: odd(12).then_some(AgentNo(7)),
        }
    }

    #[test]
    fn steps_come_back_from_where_they_are_packed() {
        for n in 0..1 << 14 {
            let mut packed = Authorization::new(Some(CardNo(3)), &step(n));
            packed.set_under_lock(n % 3 == 0);
            packed.learn_hold_time(HoldTime::Usual);
            assert_eq!(packed.steps().collect::<Vec<_>>(), [step(n)]);
            packed.push(&step(n * 7 % (1 << 14)));
            packed.push(&step(n ^ 0x155));
            let steps = [step(n), step(n * 7 % (1 << 14)), step(n ^ 0x155)];
            assert_eq!(packed.steps().collect::<Vec<_>>(), steps);
            assert_eq!(packed.is_under_lock(), n % 3 == 0);
            packed.change(|step| step.reserved = Minor::ZERO);
            assert_eq!(packed.reserved(), Minor::ZERO);
            assert_eq!(packed.steps().count(), 3);
            assert_eq!(packed.card(), Some(CardNo(3)));
            assert_eq!(packed.hold_time(), HoldTime::Usual);
            assert_eq!(packed.is_under_lock(), n % 3 == 0);
        }
    }

    #[test]
    fn a_lag_is_exact_up_to_half_an_hour_and_never_too_short() {
        let at = Timestamp::from_micros(7);
        let half_an_hour = 1 << 31;
        let longest = i64::from(u32::MAX >> 1) * 1_000_000;
        for (lag, kept) in [
            (-1, 0),
            (0, 0),
            (1, 1),
            (half_an_hour - 1, half_an_hour - 1),
            (half_an_hour, 2_148_000_000),
            (2_148_000_001, 2_149_000_000),
            (longest, longest),
            (longest + 1, longest),
            (longest + 2_000_000, longest),
            (i64::MAX - 7, longest),
        ] {
            let found = Lag::between(at, at.plus_micros(lag));
            assert_eq!(found.after(at), at.plus_micros(kept), "{lag}");
        }
        assert_eq!(Lag::from_bits(1 << 31).after(at), at, "of no seconds");
    }

    #[test]
    fn the_first_step_of_a_parked_authorization_comes_back_as_it_is() {
        for n in 0..1 << 14 {
            let mut parked = Authorization::parked(Some(CardNo(3)), Timestamp::from_micros(1));
            parked.push(&step(n));
            assert_eq!(parked.steps().collect::<Vec<_>>(), [step(n)]);
        }
    }

    #[test]
    fn an_ordinary_authorization_has_no_box() {
        // Known by its delivery, held by an agent, in the windows of its own hour.
        let usual = Step {
            lag: Lag::default(),
            ..step(0b1_0000_0010_0010)
        };
        assert!(Authorization::new(Some(CardNo(1)), &usual).more.is_none());
    }
}
