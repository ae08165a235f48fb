//! Which of our steps an issuer's account knows (behaviour 2.16).

use super::{Fact, Life, Told, count, is_ask};
use crate::domain::time::Timestamp;
use crate::ledger::authorization::Step;

/// How far an issuer's clock may be from ours, in microseconds.
const CLOCKS_APART_US: i64 = 5_000_000;

/// Whether what we had decided at this instant can be known to an account of this one: to one that does not
/// say when it was made, always.
pub(in crate::ledger) fn may_be_known(at: Timestamp, made_at: Option<Timestamp>) -> bool {
    made_at.is_none_or(|made_at| at <= made_at.plus_micros(CLOCKS_APART_US))
}

impl Life {
    /// Whether an account knows all of our steps. Steps that were never asked about here, because the
    /// issuer declined them by itself or approved them in our place, count in it like ours: where it names
    /// any of ours, it knows those that it names, and none instead of another one. What was added after it
    /// was made it does not know, unless it names that; our first step is what it is about. An end is one
    /// of all that were decided by then, whatever it names.
    pub(super) fn knows_all(&self, told: &Told, steps: &[Step]) -> bool {
        let is_named = |step: &Step| {
            let found = step.stored.name.and_then(|name| self.fact(name));
            found.is_some_and(|fact| is_ask(fact.kind))
        };
        let may_be_known = |step: &Step| may_be_known(step.at, told.made_at) || is_named(step);
        if told.asks < count(steps.iter()) || !steps.iter().skip(1).all(may_be_known) {
            return false;
        }
        let is_nameless = |step: &Step| step.stored.name.is_none();
        told.status.is_final()
            || steps.iter().all(|it| is_nameless(it) || is_named(it))
            || !steps.iter().any(is_named)
    }

    pub(in crate::ledger) fn fact(&self, id: u64) -> Option<&Fact> {
        let at = self.facts.binary_search_by_key(&id, |it| it.id).ok()?;
        self.facts.get(at)
    }
}
