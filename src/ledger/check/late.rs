//! A question that comes after its issuer has told what it comes to (behaviour 2.16).

use crate::domain::amount::Minor;
use crate::domain::decision::Decision;
use crate::domain::identity::StoredStep;
use crate::domain::window::{LocalDay, LocalHour};
use crate::ledger::authorization::{Authorization, Lag, Step};
use crate::ledger::check::spends;
use crate::ledger::command::Authorize;
use crate::ledger::life::Place;

/// Whether less would be charged than was approved and is asked for, were it of the most that there can
/// be: the issuer has told already what it comes to, and what comes of the answer beside that would be
/// counted nowhere. A reversal that comes first is no such word: it takes off no more than it says.
pub(super) fn is_over(known: &Authorization, command: &Authorize<'_>, amount: Minor) -> bool {
    let Some(life) = known.life() else {
        return false;
    };
    if amount.is_zero() || !spends(command.kind) {
        return false;
    }
    // As the largest approval would be booked; where it would be charged to is no matter here.
    let step = Step {
        stored: StoredStep {
            name: command.step.name,
            delivery: command.step.delivery,
            content: command.step.content,
        },
        decision: Decision::Approve,
        reserved: Minor::MAX,
        day: LocalDay(i32::MAX),
        hour: LocalHour(i32::MAX),
        lag: Lag::default(),
        counted: false,
        counted_above: false,
        flagged: false,
        position: u64::MAX,
        at: command.at,
        agent: None,
    };
    let mut life = life.clone();
    life.has_lapsed = false;
    life.add(Place::of(&step), Minor::MAX, Minor::ZERO);
    let steps: Vec<Step> = known.steps().chain([step]).collect();
    let books = life.books(&steps);
    let charged = books.held.saturating_plus(books.posted);
    charged < known.approved().saturating_plus(amount)
}
