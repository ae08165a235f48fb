//! What an issuer reports, for tests.

use crate::domain::amount::Minor;
use crate::domain::currency::Currency;
use crate::domain::hold_time::HoldTime;
use crate::domain::lifecycle::{BookStatus, BookTerms, Flags, MovementKind, StandingStatus};
use crate::domain::time::Timestamp;
use crate::domain::window::{Calendar, LocalDay, LocalHour};
use crate::ledger::check;
use crate::ledger::check::book::{self, CheckedBook};
use crate::ledger::check::harness::{
    Ledger, TODAY, acceptor, agent_key, authorization_key, card_key, merchant, minor,
};
use crate::ledger::command::{AgentRef, Book, BookAnswer, CardRef, Refused};
use crate::ledger::life::{Books, Fact, Told, is_posting};

/// One report about an authorization on card 1 of agent 1.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Report {
    pub(in crate::ledger) authorization: u32,
    pub(in crate::ledger) at: i64,
    pub(in crate::ledger) day: i32,
    pub(in crate::ledger) is_known: bool,
    pub(in crate::ledger) facts: Vec<Fact>,
    pub(in crate::ledger) told: Option<Told>,
    pub(in crate::ledger) terms: BookTerms,
    pub(in crate::ledger) merchant: Option<u64>,
    pub(in crate::ledger) hold_time: HoldTime,
}

impl Report {
    pub(in crate::ledger) fn of(authorization: u32) -> Self {
        Self {
            authorization,
            at: 1_780_000_000_000_000,
            day: TODAY,
            is_known: true,
            facts: Vec::new(),
            told: None,
            terms: BookTerms::default(),
            merchant: None,
            hold_time: HoldTime::Unknown,
        }
    }

    pub(in crate::ledger) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Something has happened at this second of the issuer's clock.
    pub(in crate::ledger) fn fact(self, id: u64, kind: MovementKind, amount: i64, s: i64) -> Self {
        self.with(|it| {
            it.facts.push(Fact {
                id,
                kind,
                amount: minor(amount),
                at: Timestamp::from_secs(s),
            });
        })
    }

    pub(in crate::ledger) fn posted(self, id: u64, amount: i64) -> Self {
        self.fact(id, MovementKind::Posted { is_last: false }, amount, 50)
    }

    /// The whole account: how many steps and further movements it knows, and what is held. What was
    /// posted and refunded follows from the facts.
    pub(in crate::ledger) fn told(
        self,
        status: StandingStatus,
        (asks, approvals, others): (u32, u32, u32),
        held: i64,
    ) -> Self {
        self.with(|it| {
            let sum = |wanted: &dyn Fn(MovementKind) -> bool| {
                let of_kind = it.facts.iter().filter(|it| wanted(it.kind));
                of_kind.fold(Minor::ZERO, |sum, it| sum.saturating_plus(it.amount))
            };
            let posted = sum(&is_posting);
            let refunded = sum(&|kind| kind == MovementKind::Refunded);
            it.told = Some(Told {
                held: minor(held),
                posted: Some(posted),
                refunded: Some(refunded),
                status,
                revision: asks + others,
                made_at: None,
                asks,
                approvals,
                listed_posted: posted,
                listed_refunded: refunded,
            });
        })
    }

    /// The account was made at this second of the issuer's clock.
    pub(in crate::ledger) fn made(self, s: i64) -> Self {
        self.with(|it| it.told.as_mut().unwrap().made_at = Some(Timestamp::from_secs(s)))
    }

    pub(in crate::ledger) fn later(self, days: i32) -> Self {
        self.with(|it| {
            it.day += days;
            it.at += i64::from(days) * 86_400_000_000;
        })
    }

    pub(in crate::ledger) fn restoring(self) -> Self {
        self.with(|it| it.terms.refunds_restore = true)
    }
}

/// As the program reads it off a report.
fn declined_in(facts: &[Fact]) -> Minor {
    let mut declined = facts.iter().rev();
    let last = declined.find(|it| it.kind == MovementKind::Declined);
    last.map_or(Minor::ZERO, |it| it.amount)
}

impl Report {
    /// As a command about a card of agent 1.
    pub(in crate::ledger) fn with_command<T>(
        &self,
        card: u32,
        book: impl FnOnce(&Book<'_>) -> T,
    ) -> T {
        let report = self;
        let hour = report.at.div_euclid(3_600_000_000);
        let day_ends = Timestamp::from_secs((i64::from(report.day) + 1) * 86_400);
        let agent = AgentRef {
            key: agent_key(1),
            id: "id_1",
        };
        let id = format!("id_{card}");
        let card_ref = CardRef {
            key: card_key(card),
            id: &id,
            connection: "acme",
            agent: Some(agent),
        };
        let external = format!("id_{}", report.authorization);
        let command = Book {
            at: Timestamp::from_micros(report.at),
            authorization: authorization_key(report.authorization),
            external: &external,
            card_key: card_key(card),
            card: report.is_known.then_some(card_ref),
            calendar: Calendar {
                day: LocalDay(report.day),
                resets_at: [day_ends; 3],
                hour: LocalHour(i32::try_from(hour).unwrap()),
                hour_resets_at: Timestamp::from_secs((hour + 1) * 3_600),
            },
            currency: Currency::USD,
            facts: &report.facts,
            told: report.told,
            terms: report.terms,
            hold_time: report.hold_time,
            merchant: report.merchant.map(merchant),
            acceptor: Some(&acceptor()),
            declined: declined_in(&report.facts),
        };
        book(&command)
    }
}

impl Ledger {
    pub(in crate::ledger) fn try_report(&mut self, report: &Report) -> Result<BookAnswer, Refused> {
        report.with_command(1, |command| {
            let CheckedBook { mut answer, events } = book::book(&self.state, command)?;
            if answer.status == BookStatus::Applied {
                answer.position = Some(self.apply(&events));
            } else {
                assert_eq!(events.iter().count(), 0, "nothing to record");
            }
            Ok(answer)
        })
    }

    /// Gives back what was held since before this many days after the first report's; whether there
    /// was anything.
    pub(in crate::ledger) fn lapse(&mut self, connection: &str, days: i64) -> bool {
        self.lapse_of(HoldTime::Long, connection, days)
    }

    /// Of the holds of this time.
    pub(in crate::ledger) fn lapse_of(
        &mut self,
        time: HoldTime,
        connection: &str,
        days: i64,
    ) -> bool {
        let cut = Timestamp::from_micros(1_780_000_000_000_001 + days * 86_400_000_000);
        let events = check::lapse(&self.state, 0, connection, (cut, time));
        events.map(|events| self.apply(&events)).is_some()
    }

    pub(in crate::ledger) fn report(&mut self, report: &Report) -> BookStatus {
        self.try_report(report).unwrap().status
    }

    /// Held, posted and given back, as the portions have it, and what else is known.
    pub(in crate::ledger) fn books(&self, authorization: u32) -> ([i64; 3], Books) {
        let found = self.state.authorization(authorization_key(authorization));
        let found = found.unwrap();
        let (life, books) = (found.life().unwrap(), found.books().unwrap());
        let restored = life.restored(&books).get();
        if found.card().is_some() {
            assert_eq!(
                life.held(),
                books.held,
                "the books are where they ought to be"
            );
            assert_eq!(life.charged().get(), books.posted.get() - restored);
        }
        ([books.held.get(), books.posted.get(), restored], books)
    }

    pub(in crate::ledger) fn flags(&self, authorization: u32) -> Flags {
        self.books(authorization).1.flags
    }
}
