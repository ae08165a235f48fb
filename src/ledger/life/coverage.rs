//! Which of our steps an issuer's account knows (behaviour 2.16).

use super::{Fact, Life, Told, count, is_ask};
use crate::ledger::authorization::Step;

impl Life {
    /// Whether an account knows all of our steps. Steps that were never asked about here, because the
    /// issuer declined them by itself or approved them in our place, count in it like ours: where it names
    /// any of ours, it knows those that it names, and none instead of another one. An end is one of all
    /// that were decided by then, whatever it names.
    pub(super) fn knows_all(&self, told: &Told, steps: &[Step]) -> bool {
        if told.asks < count(steps.iter()) {
            return false;
        }
        let is_named = |step: &Step| {
            let found = step.stored.name.and_then(|name| self.fact(name));
            found.is_some_and(|fact| is_ask(fact.kind))
        };
        let is_nameless = |step: &Step| step.stored.name.is_none();
        told.status.is_final()
            || steps.iter().all(|it| is_nameless(it) || is_named(it))
            || !steps.iter().any(is_named)
    }

    fn fact(&self, id: u64) -> Option<&Fact> {
        let at = self.facts.binary_search_by_key(&id, |it| it.id).ok()?;
        self.facts.get(at)
    }
}
