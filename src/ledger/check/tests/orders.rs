//! Every order and every repetition of what is asked and reported ends alike (behaviour 2.16).

use std::fmt;

use crate::domain::lifecycle::MovementKind::{
    self, Authorized, AuthorizedAndPosted, Declined, Disputed, Expired, Posted, RefundReversed,
    Refunded, Released, Replaced,
};
use crate::domain::lifecycle::StandingStatus::{self, Closed, Pending, Settled, Voided};
use crate::ledger::check::harness::report::Report;
use crate::ledger::check::harness::{Ask, Ledger};

const PART: MovementKind = Posted { is_last: false };
const LAST: MovementKind = Posted { is_last: true };

/// A message of a sequence.
#[derive(Clone, Debug)]
enum Message {
    Ask(Box<Ask>),
    Report(Report),
}

type Sequence = (&'static str, Vec<Message>);

impl Message {
    fn send(&self, ledger: &mut Ledger) {
        match self {
            Self::Ask(ask) => {
                ledger.ask(ask);
            }
            Self::Report(report) => {
                ledger.report(report);
            }
        }
    }
}

/// Where everything stands in the end: the books, all sums and counts, the card.
fn end_of(order: &[&Message]) -> impl PartialEq + fmt::Debug + use<> {
    let mut ledger = Ledger::new();
    for message in order {
        message.send(&mut ledger);
    }
    let card = ledger.card(1);
    let consumed_by = card.consumed.map(|(_, by)| by);
    let of_card = (consumed_by, card.lock.is_some(), card.recent.last());
    (ledger.books(1), ledger.all_sums(), of_card)
}

fn orders_of(messages: &[Message]) -> Vec<Vec<&Message>> {
    let mut orders = vec![Vec::new()];
    for message in messages {
        let mut longer = Vec::new();
        for order in &orders {
            for place in 0..=order.len() {
                let mut one: Vec<&Message> = order.clone();
                one.insert(place, message);
                longer.push(one);
            }
        }
        orders = longer;
    }
    orders
}

/// Every order of the messages, then every order with one of them sent again at every place.
fn assert_same_in_every_order((what, messages): &Sequence) {
    let in_order: Vec<&Message> = messages.iter().collect();
    let expected = end_of(&in_order);
    for order in &orders_of(messages) {
        assert_eq!(end_of(order), expected, "{what}: {order:#?}");
        for again in 0..order.len() {
            for place in again + 1..=order.len() {
                let mut repeated = order.clone();
                repeated.insert(place, order[again]);
                assert_eq!(end_of(&repeated), expected, "{what}: {repeated:#?}");
            }
        }
    }
}

fn asked(amount: i64, name: u64) -> Message {
    let ask = Ask::new(1, amount).step(name);
    let ask = ask.with(|it| it.name = Some(name)).single_use().locking();
    Message::Ask(Box::new(ask))
}

fn first() -> Message {
    asked(100, 1)
}

fn single(id: u64, kind: MovementKind, amount: i64, s: i64) -> Message {
    Message::Report(Report::of(1).fact(id, kind, amount, s).restoring())
}

fn approved(id: u64, amount: i64, s: i64) -> Message {
    single(id, Authorized, amount, s)
}

fn posted(amounts: &[i64]) -> Report {
    let posted = |report: Report, (id, amount): (u64, &i64)| report.posted(id, *amount);
    (7..).zip(amounts).fold(Report::of(1), posted)
}

/// The whole account: status; steps, approved ones, other movements that it knows; what is held.
fn account(report: Report, status: StandingStatus, knows: (u32, u32, u32), held: i64) -> Message {
    Message::Report(report.told(status, knows, held).restoring())
}

fn pending(held: i64) -> Message {
    account(Report::of(1), Pending, (1, 1, 0), held)
}

/// Marqeta's way: one movement in each message, ordered by the issuer's clock.
#[test]
fn b7_single_movements_end_alike_in_every_order() {
    #[rustfmt::skip]
    let sequences: Vec<Sequence> = vec![
        ("cleared", vec![first(), approved(1, 100, 10), single(7, LAST, 100, 20)]),
        ("cleared in parts", vec![first(), single(7, PART, 30, 20), single(8, PART, 30, 21), single(9, LAST, 20, 22)]),
        ("cleared above", vec![first(), single(7, LAST, 130, 20), single(8, Refunded, 40, 30)]),
        ("increment and partial reversal", vec![first(), approved(2, 50, 12), single(7, Released, 30, 14), single(8, PART, 90, 20), single(9, Refunded, 20, 30)]),
        ("reversed", vec![first(), approved(1, 100, 10), single(7, Released, 100, 20)]),
        ("reversed too much", vec![first(), single(7, Released, 70, 20), single(8, Released, 70, 21)]),
        ("reversed and posted all the same", vec![first(), single(7, Released, 100, 20), single(8, LAST, 100, 30)]),
        ("declined there", vec![first(), single(1, Declined, 100, 10)]),
        ("expired and cleared late", vec![first(), single(7, Expired, 100, 20), single(8, LAST, 100, 30)]),
        ("advised", vec![first(), single(7, Replaced, 140, 12), single(8, Replaced, 90, 14), single(9, PART, 30, 20)]),
        ("refund taken back", vec![first(), single(7, LAST, 100, 20), single(8, Refunded, 60, 30), single(9, RefundReversed, 60, 40)]),
        ("cash", vec![first(), single(1, AuthorizedAndPosted, 100, 10), single(8, Refunded, 100, 30)]),
        ("forced", vec![single(7, PART, 80, 20), single(8, Refunded, 30, 30)]),
        ("charged back, refunded too", vec![first(), single(7, LAST, 100, 20), single(9, Disputed, 70, 40), single(8, Refunded, 60, 30)]),
        ("charged back and represented", vec![first(), single(7, LAST, 100, 20), single(9, Disputed, 100, 40), single(10, Disputed, 100, 60)]),
        ("a dispute and nothing else", vec![first(), single(9, Disputed, 70, 40)]),
    ];
    sequences.iter().for_each(assert_same_in_every_order);
}

/// An increment cannot be decided before what it adds to, or it is the first itself; whatever is
/// reported may come anywhere between.
#[test]
fn b7_increments_end_alike_wherever_reports_come_between() {
    let steps = [first(), asked(50, 2)];
    let reports = [
        single(7, PART, 120, 20),
        approved(2, 50, 12),
        single(8, Expired, 30, 30),
    ];
    let all: Vec<Message> = steps.iter().chain(&reports).cloned().collect();
    let expected = end_of(&all.iter().collect::<Vec<_>>());
    let is_first = |message: &Message| matches!(message, Message::Ask(ask) if ask.name == Some(1));
    let is_second = |message: &Message| matches!(message, Message::Ask(ask) if ask.name == Some(2));
    let mut tried = 0;
    for order in orders_of(&all) {
        let at = |wanted: &dyn Fn(&Message) -> bool| order.iter().position(|it| wanted(it));
        if at(&is_first) < at(&is_second) {
            assert_eq!(end_of(&order), expected, "{order:#?}");
            tried += 1;
        }
    }
    assert_eq!(tried, 60);
}

/// Lithic's way: each message is the whole account.
#[test]
fn b7_whole_accounts_end_alike_in_every_order() {
    let expired = StandingStatus::Expired;
    let declined = StandingStatus::Declined;
    let returned = || posted(&[130]).fact(20, Refunded, 50, 90);
    #[rustfmt::skip]
    let sequences: Vec<Sequence> = vec![
        ("cleared", vec![first(), pending(100), account(posted(&[100]), Settled, (1, 1, 1), 0)]),
        ("cleared in parts", vec![
            first(), pending(100),
            account(posted(&[40]), Settled, (1, 1, 1), 60),
            account(posted(&[40, 30]), Settled, (1, 1, 2), 30),
            account(posted(&[40, 30]), expired, (1, 1, 3), 0),
        ]),
        ("cleared above and returned", vec![first(), account(posted(&[130]), Settled, (1, 1, 1), 0), account(returned(), Settled, (1, 1, 2), 0)]),
        ("disputed", vec![first(), single(9, Disputed, 70, 95), account(posted(&[100]), Settled, (1, 1, 1), 0), single(9, Disputed, 90, 99)]),
        ("voided", vec![first(), pending(100), account(Report::of(1), Voided, (1, 1, 1), 0)]),
        ("declined there", vec![first(), account(Report::of(1), declined, (1, 0, 0), 0)]),
        ("declined by advice", vec![first(), pending(100), account(Report::of(1), declined, (2, 1, 0), 0)]),
        ("raised by advice", vec![first(), pending(100), account(Report::of(1), Pending, (1, 1, 1), 160)]),
        ("expired and cleared late", vec![first(), account(Report::of(1), expired, (1, 1, 1), 0), account(posted(&[90]), Settled, (1, 1, 2), 0)]),
        ("forced", vec![account(posted(&[40]), Settled, (0, 0, 1), 0), account(posted(&[40, 5]), Settled, (0, 0, 2), 0)]),
    ];
    sequences.iter().for_each(assert_same_in_every_order);
}

/// Stripe's way: accounts, and each posting by itself too.
#[test]
fn b7_accounts_and_single_postings_end_alike_in_every_order() {
    let alone = |id, kind, amount| single(id, kind, amount, 50);
    #[rustfmt::skip]
    let sequences: Vec<Sequence> = vec![
        ("captured", vec![first(), pending(100), alone(7, PART, 90), account(posted(&[90]), Closed, (1, 1, 1), 0)]),
        ("captured twice, above, refunded", vec![first(), alone(7, PART, 40), alone(8, PART, 70), account(posted(&[40, 70]), Closed, (1, 1, 2), 0), alone(9, Refunded, 30)]),
        ("reversed in part, then in full", vec![first(), pending(100), pending(60), account(Report::of(1), Voided, (1, 1, 0), 0)]),
        ("expired and captured late", vec![first(), pending(100), account(Report::of(1), StandingStatus::Expired, (1, 1, 0), 0), alone(7, PART, 100)]),
        ("reversed in part, twice", vec![first(), pending(100), pending(60), pending(45)]),
        ("captured and disputed", vec![first(), alone(7, PART, 90), alone(20, Disputed, 0), alone(20, Disputed, 90), account(posted(&[90]), Closed, (1, 1, 1), 0)]),
        ("captured in part", vec![first(), pending(100), alone(7, PART, 30), account(posted(&[30]), Pending, (1, 1, 1), 70)]),
    ];
    sequences.iter().for_each(assert_same_in_every_order);
}
