//! Reports and lapses, side by side.

use std::borrow::Cow;

use countersign::domain::acceptor::CardAcceptor;
use countersign::domain::amount::Minor;
use countersign::domain::currency::Currency;
use countersign::domain::hold_time::HoldTime;
use countersign::domain::lifecycle::{BookStatus, BookTerms, MovementKind};
use countersign::domain::mcc::Mcc;
use countersign::domain::time::Timestamp;
use countersign::domain::window::{Calendar, LocalDay};
use countersign::ledger::authorization::Authorization;
use countersign::ledger::check;
use countersign::ledger::check::book;
use countersign::ledger::command::{AgentRef, Book, CardRef};
use countersign::ledger::life::{Fact, Told};
use proptest::sample::Index;

use crate::after::Found;
use crate::commands::{Ask, CARDS, Heard, Report};
use crate::earmarks::is_earmark;
use crate::lives::{Books, Happened};
use crate::lockstep::{Lockstep, card_ref, key, merchant_keys, minor, preset_lock, zone_table};
use crate::sheet::Scope;

/// Sums beyond this are no matter of these tests: `countable` lets no approval near the largest
/// sum, but what was posted without us has to be booked.
const TIGHT: i128 = 1 << 52;

fn fact(it: &Happened) -> Fact {
    Fact {
        id: it.id,
        kind: it.kind,
        amount: minor(it.amount),
        at: Timestamp::from_micros(it.at.unwrap_or(i64::MAX)),
    }
}

fn told(report: &Report) -> Option<Told> {
    let account = report.account?;
    let (posted, refunded) = report.listed();
    let listed = |sum: i128| minor(i64::try_from(sum).unwrap());
    Some(Told {
        held: minor(account.held),
        posted: account.posted.map(minor),
        refunded: account.refunded.map(minor),
        status: account.status,
        revision: account.asks + account.others,
        made_at: account.made_at.map(Timestamp::from_micros),
        asks: account.asks,
        approvals: account.approvals,
        listed_posted: listed(posted),
        listed_refunded: listed(refunded),
    })
}

/// What is known of a life before and after something.
#[derive(Clone, Debug, Default)]
struct Glance {
    books: Option<Books>,
    restored: i128,
    charged: i128,
    held: i128,
    is_undone: bool,
    has_lapsed: bool,
    locks: usize,
    consumed: usize,
    consumed_alone: bool,
}

/// What is shown of any merchant.
fn acceptor() -> CardAcceptor<'static> {
    CardAcceptor {
        acquirer_id: None,
        acceptor_id: None,
        descriptor: Cow::Borrowed("ACME"),
        mcc: None,
        city: Cow::Borrowed(""),
        country: None,
    }
}

impl Lockstep {
    pub(crate) const WORTH_SEEING: &[&str] = &[
        "Approve",
        "ApprovePartial",
        "Decline(CardUnknown)",
        "Decline(CardCanceled)",
        "Decline(CardLocked)",
        "Decline(CardExpired)",
        "Decline(AgentSuspended)",
        "Decline(CardFrozenByRisk)",
        "Decline(MccBlocked)",
        "Decline(OutsideActiveHours)",
        "Decline(RiskScoreTooHigh)",
        "Decline(AmountOverPerAuth)",
        "Decline(AttestationRequired)",
        "Decline(IntentRequired)",
        "Decline(IntentPendingApproval)",
        "Decline(IntentExpired)",
        "Decline(IntentMismatch)",
        "Decline(SingleUseConsumed)",
        "Decline(MerchantLockMismatch)",
        "Decline(CooldownActive)",
        "Decline(CountLimitReached)",
        "Decline(CardLimitExceeded)",
        "Decline(AgentLimitExceeded)",
        "Decline(CustomerLimitExceeded)",
        "Decline(DeadlineExceeded)",
        "Decline(ConflictingDuplicate)",
        "Known",
        "approved increment",
        "approved on another day than the zone's",
        "approved in another hour than the zone's",
        "approved after a later booking",
        "approval of nothing",
        "declined by a rolling limit",
        "declined by what a rolling limit began from",
        "expired by use",
        "probed",
        "added to a probe",
        "declined by what is held",
        "intent taken",
        "mismatch flagged",
        "intent declared",
        "intent settled",
        "attested",
        "frozen by a risk rule",
        "overruled",
        "consumption given back",
        "lock given back",
        "lock kept at an overrule",
        "probe given back",
        "intent given back",
        "cooldown given back",
        "swept",
        "report Applied",
        "report Duplicate",
        "report Stale",
        "report Ignored",
        "posted without us",
        "consumed without us",
        "locked without us",
        "use given back that was taken without us",
        "posted above what was approved",
        "declined there",
        "drifted",
        "disputed",
        "refund restored",
        "held again after a hold had lapsed",
        "undone",
        "done again",
        "charged above what was held",
        "asked after a report",
        "lock given back by a report",
        "use given back by a report",
        "use kept at a reversal",
        "probe posted",
        "lapsed",
        "lapsed: usual",
        "outlived the usual time",
        "word after a lapse",
        "earmark behind a card",
        "bought with an earmark",
        "earmark given back",
        "counted beside an earmark",
    ];

    pub(crate) fn hear(&mut self, heard: &Heard) {
        match heard {
            Heard::Report(report) => self.report(&self.dated(report)),
            Heard::ReportOn(index, report) => {
                if let Some((ask, _)) = self.earlier(index) {
                    self.report_on(&ask, &self.dated(report));
                }
            }
            Heard::Undo(report, is_reversed) => {
                if let Some((ask, _)) = self.asked.last().cloned() {
                    self.undo(&ask, &self.dated(report), *is_reversed);
                }
            }
            Heard::ReportAgain(index) => {
                let count = self.reported.len();
                if let Some(report) = (count > 0).then(|| self.reported[index.index(count)].clone())
                {
                    self.report(&report);
                }
            }
            Heard::Lapse(back, is_usual) => self.lapse(self.now - back, *is_usual),
        }
    }

    /// With an instant about now in place of how many times four seconds it is from then.
    fn dated(&self, report: &Report) -> Report {
        let mut report = report.clone();
        if let Some(account) = &mut report.account {
            account.made_at = account.made_at.map(|it| self.now + (it - 3) * 4_000_000);
        }
        report
    }

    fn earlier(&self, index: &Index) -> Option<(Ask, u64)> {
        let known = self.asked.len();
        (known > 0).then(|| self.asked[index.index(known)].clone())
    }

    fn report(&mut self, report: &Report) {
        if self.model.sheet.spent(Scope::Customer) > TIGHT {
            return;
        }
        let policy = self.policy.cards[usize::from(report.card)].clone();
        let id = format!("card_{}", report.card);
        let agent = policy.agent.map(|n| (n, format!("agent_{n}")));
        let external = format!("a{}", report.authorization);
        let card = CardRef {
            agent: agent.as_ref().map(|(n, id)| AgentRef {
                key: key(3, *n),
                id,
            }),
            ..card_ref(report.card, &id)
        };
        let facts: Vec<Fact> = report.happened.iter().map(fact).collect();
        let zone = zone_table(self.policy.zone);
        let second = self.now.div_euclid(1_000_000);
        let (day, ends) = zone.windows_at(second);
        let (hour, hour_ends) = zone.hour_at(second);
        let command = Book {
            at: Timestamp::from_micros(self.now),
            authorization: key(1, report.authorization),
            external: &external,
            card_key: card.key,
            card: policy.in_snapshot.then_some(card),
            calendar: Calendar {
                day,
                resets_at: ends.map(Timestamp::from_secs),
                hour,
                hour_resets_at: Timestamp::from_secs(hour_ends),
            },
            currency: Currency::USD,
            facts: &facts,
            told: told(report),
            terms: BookTerms {
                refunds_restore: report.refunds_restore,
                on_reversal: report.on_reversal,
                preset_lock: preset_lock(policy.preset),
                single_use: policy.single_use,
                locks_to_first: policy.lock,
            },
            hold_time: HoldTime::of(report.mcc.map(|it| Mcc::from_number(it).unwrap())),
            merchant: report.merchant.as_ref().map(merchant_keys),
            acceptor: Some(&acceptor()),
            declined: Minor::ZERO,
        };
        let found = Found {
            agent: policy.agent,
            preset: policy.preset,
            in_snapshot: policy.in_snapshot,
            single_use: policy.single_use,
            locks_to_first: policy.lock,
            was_used: self.state.card_by_key(card.key).is_some(),
        };
        let before = self.glance(report.authorization);
        let checked = book::book(&self.state, &command).unwrap();
        let applied = self.apply_any(&checked.events);
        let moment = self.moment();
        let expected = self.model.book(report, found, moment);
        assert_eq!(checked.answer.status, expected, "{report:?}");
        assert_eq!(applied, expected == BookStatus::Applied, "{report:?}");
        self.reported.push(report.clone());
        let after = self.glance(report.authorization);
        self.note_report(report, expected, &before, &after);
    }

    /// A report about an earlier question's authorization, of the amount that it asked for.
    fn report_on(&mut self, ask: &Ask, report: &Report) {
        let mut report = Report {
            authorization: ask.authorization,
            card: ask.card,
            ..report.clone()
        };
        for it in report.happened.iter_mut().take(1) {
            (it.amount, it.at) = (ask.amount.min(45), Some(self.now));
        }
        self.report(&report);
    }

    /// Reversed, or declined by the issuer after all.
    fn undo(&mut self, ask: &Ask, report: &Report, is_reversed: bool) {
        let kind = if is_reversed {
            MovementKind::Released
        } else {
            MovementKind::Declined
        };
        let happened = Happened {
            id: ask.name.unwrap_or(7),
            kind,
            amount: 45,
            at: None,
        };
        let report = Report {
            happened: vec![happened],
            account: None,
            ..report.clone()
        };
        self.report_on(ask, &report);
    }

    fn glance(&self, authorization: u8) -> Glance {
        let cards = |it: &dyn Fn(u8) -> bool| (0..CARDS).filter(|card| it(*card)).count();
        let of_cards = Glance {
            locks: cards(&|card| self.model.lock_of(card).is_some()),
            consumed: cards(&|card| self.model.is_consumed(card)),
            ..Glance::default()
        };
        let Some(number) = self.model.life_of(authorization) else {
            return of_cards;
        };
        let books = self.model.books(number);
        let life = self.model.known[number].life.as_ref();
        Glance {
            books,
            restored: books.zip(life).map_or(0, |(it, life)| life.restored(&it)),
            charged: life.map_or(0, |life| life.charged()),
            held: self.model.total_of(authorization) - life.map_or(0, |life| life.charged()),
            consumed_alone: self.model.has_consumed_alone(number),
            is_undone: life.is_some_and(|life| life.taken.is_some()),
            has_lapsed: life.is_some_and(|life| life.has_lapsed),
            ..of_cards
        }
    }

    /// Counts what was interesting.
    fn note_report(
        &mut self,
        report: &Report,
        status: BookStatus,
        before: &Glance,
        after: &Glance,
    ) {
        self.saw(&format!("report {status:?}"));
        if status != BookStatus::Applied {
            return;
        }
        let books = after.books.unwrap();
        let newly_undone = !before.is_undone && after.is_undone;
        let more = after.charged - before.charged;
        let interesting = [
            ("posted without us", books.forced && books.posted > 0),
            ("posted above what was approved", books.excess),
            ("declined there", books.declined_there),
            ("drifted", books.drift),
            ("disputed", books.disputed),
            (
                "consumed without us",
                !before.consumed_alone && after.consumed_alone,
            ),
            (
                "use given back that was taken without us",
                before.consumed_alone && !after.consumed_alone,
            ),
            ("locked without us", before.locks < after.locks),
            ("refund restored", after.restored > before.restored),
            (
                "held again after a hold had lapsed",
                before.has_lapsed && after.held > 0,
            ),
            ("undone", newly_undone),
            ("done again", before.is_undone && !after.is_undone),
            ("charged above what was held", more > before.held),
            ("lock given back by a report", after.locks < before.locks),
            (
                "use given back by a report",
                after.consumed < before.consumed,
            ),
            (
                "use kept at a reversal",
                newly_undone && self.model.is_consumed(report.card),
            ),
            ("probe posted", after.consumed > before.consumed),
            ("word after a lapse", before.has_lapsed && !after.has_lapsed),
        ];
        for (what, _) in interesting.iter().filter(|(_, happened)| *happened) {
            self.saw(what);
        }
    }

    fn lapse(&mut self, cut: i64, is_usual: bool) {
        // Maps of this size are in one part.
        let time = if is_usual {
            HoldTime::Usual
        } else {
            HoldTime::Long
        };
        let cut_at = (Timestamp::from_micros(cut), time);
        assert!(check::lapse(&self.state, 0, "beta", cut_at).is_none());
        let events = check::lapse(&self.state, 0, "acme", cut_at);
        let lapsed = events.map(|events| self.apply(&events)).is_some();
        let moment = self.moment();
        assert_eq!(lapsed, self.model.lapse(cut, is_usual, moment));
        if lapsed {
            self.saw(if is_usual { "lapsed: usual" } else { "lapsed" });
        }
        let outlives = |number: usize| {
            let known = &self.model.known[number];
            known.card.is_some()
                && !known.named.is_usual()
                && self.model.total_of(known.authorization) > 0
        };
        if is_usual && self.model.quiet(cut).into_iter().any(outlives) {
            self.saw("outlived the usual time");
        }
    }

    /// Every authorization stands where the model says.
    pub(crate) fn compare_books(&self) {
        for known in self.model.known.iter().filter(|it| !it.is_forgotten) {
            let found = self.state.authorization(key(1, known.authorization));
            let found = found.unwrap();
            let number = self.model.life_of(known.authorization).unwrap();
            let expected = self.model.books(number);
            assert_eq!(
                books_of(found),
                expected,
                "books of {}: {:?}",
                known.authorization,
                known.life
            );
            let held = known.life.as_ref().map(|life| life.held());
            let held = held.unwrap_or_else(|| self.model.total_of(known.authorization));
            assert_eq!(i128::from(found.reserved().get()), held);
            let total = i128::from(found.total().get());
            assert_eq!(total, self.model.total_of(known.authorization));
            let Some((life, books)) = known.life.as_ref().zip(expected) else {
                continue;
            };
            if known.card.is_some() && !is_earmark(known.authorization) {
                assert_eq!(held, books.held, "the hold is where it ought to be");
                assert_eq!(total - held, books.posted - life.restored(&books));
            }
        }
        let day = self.model.day().map(|day| LocalDay(day.number()));
        assert_eq!(day.is_some(), self.model.latest().is_some());
    }
}

fn books_of(found: &Authorization) -> Option<Books> {
    let books = found.books()?;
    let names: Vec<&str> = books.flags.names().collect();
    Some(Books {
        held: i128::from(books.held.get()),
        posted: i128::from(books.posted.get()),
        refunded: i128::from(books.refunded.get()),
        is_undone: books.is_undone,
        is_reversed: books.is_reversed,
        is_expired: books.is_expired,
        is_closed: books.is_closed,
        forced: names.contains(&"forced"),
        excess: names.contains(&"excess"),
        declined_there: names.contains(&"declined_by_issuer"),
        drift: names.contains(&"drift"),
        disputed: names.contains(&"disputed"),
    })
}
