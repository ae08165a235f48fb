//! What an issuer has declined by itself (behaviour 3.8).

use super::{Life, approvals, count};
use crate::domain::lifecycle::MovementKind;
use crate::ledger::authorization::Step;

impl Life {
    /// How many steps the issuer has declined that we have approved, or were not asked about.
    #[must_use]
    pub fn declines_there(&self, steps: &[Step]) -> u32 {
        match &self.told {
            Some(told) => {
                let ours = steps.len().saturating_sub(approvals(steps).count());
                let declines = told.asks.saturating_sub(told.approvals);
                declines.saturating_sub(count(0..ours))
            }
            None => count(self.facts.iter().filter(|fact| {
                let is_ours =
                    |it: &&Step| it.stored.name == Some(fact.id) && !it.decision.is_approval();
                fact.kind == MovementKind::Declined && !steps.iter().any(|it| is_ours(&it))
            })),
        }
    }
}
