//! The model's limits: every one in force on a card, and what has been charged to it.

use countersign::domain::decision::DeclineReason;

use super::past::{MINUTE_US, Past};
use super::{Book, Charge, Decided, Scope, rules, windows};
use crate::world::World;

/// What a limit is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// Day, week, month or life, and the day under way.
    Window(usize, i64),
    /// The trailing day, week or month, and the instant at which it ends.
    Span(usize, i64),
}

/// A limit in force.
pub(super) struct Limit {
    scope: Scope,
    kind: usize,
    rolls: bool,
    limit: i64,
    reason: DeclineReason,
}

impl Limit {
    fn over(&self, day: i64, now: i64) -> Over {
        if self.rolls {
            Over::Span(self.kind, now)
        } else {
            Over::Window(self.kind, day)
        }
    }
}

/// The levels over a card, lowest first, and the reasons that their limits have.
pub(super) fn levels(world: &World, card: usize) -> [(Scope, DeclineReason); 3] {
    [
        (Scope::Card(card), DeclineReason::CardLimitExceeded),
        (
            Scope::Agent(world.cards[card].agent.unwrap_or_default()),
            DeclineReason::AgentLimitExceeded,
        ),
        (Scope::Customer, DeclineReason::CustomerLimitExceeded),
    ]
}

/// Every limit on a card's sums, in the order in which they are checked.
pub(super) fn limits(world: &World, card: usize) -> Vec<Limit> {
    let mut found = Vec::new();
    for (rules, (scope, reason)) in rules(world, card).into_iter().zip(levels(world, card)) {
        let Some(rules) = rules else {
            continue;
        };
        for (kind, limit) in rules.sums.into_iter().enumerate() {
            found.extend(limit.map(|limit| Limit {
                scope,
                kind,
                rolls: rules.rolling.get(kind) == Some(&true),
                limit,
                reason,
            }));
        }
    }
    found
}

/// A resolution of 1/1440 of the span: a minute, seven, thirty.
fn bucket(kind: usize, at: i64) -> i64 {
    at.div_euclid([1, 7, 30][kind] * MINUTE_US)
}

impl Decided {
    /// The instant at which trailing spans end.
    pub(super) fn now(&self, past: &Past) -> i64 {
        past.now(self.received)
    }
}

impl Charge {
    pub(super) fn is_in(&self, scope: Scope) -> bool {
        match scope {
            Scope::Card(card) => self.card == Some(card),
            Scope::Agent(agent) => self.agent == Some(agent),
            Scope::Customer => true,
        }
    }

    /// Held and posted together.
    pub(super) fn amount(&self) -> i64 {
        self.held + self.posted
    }

    fn counts(&self, over: Over) -> bool {
        match over {
            Over::Window(kind, day) => self.windows[kind] == windows(day)[kind],
            // Whole buckets, so that a charge counts a little too long and never too short.
            Over::Span(kind, now) => bucket(kind, self.booked_at) >= bucket(kind, now) - 1_440,
        }
    }
}

impl Book {
    pub(super) fn sum(&self, scope: Scope, over: Over, held_only: bool) -> i64 {
        let counts = |charge: &&Charge| {
            charge.is_in(scope) && charge.counts(over) && !(charge.is_over && held_only)
        };
        let counted = self.charges.iter().filter(counts);
        let amount = |charge: &Charge| charge.held + if held_only { 0 } else { charge.posted };
        counted.map(amount).sum()
    }

    pub(super) fn over_limit(&self, world: &World, decided: &Decided) -> Option<DeclineReason> {
        let (day, now) = (decided.day, decided.now(&self.past));
        let amount = decided.message.amount;
        let exceeds = |it: &Limit| self.sum(it.scope, it.over(day, now), false) + amount > it.limit;
        let limits = limits(world, decided.message.card);
        limits.into_iter().find(exceeds).map(|it| it.reason)
    }

    /// The smallest room under any limit; absent without limits.
    pub(super) fn room(&self, world: &World, card: usize, day: i64, now: i64) -> Option<i64> {
        let room = |it: Limit| (it.limit - self.sum(it.scope, it.over(day, now), false)).max(0);
        limits(world, card).into_iter().map(room).min()
    }

    /// What a trailing span of exact length would hold with this approval, if that is too much.
    pub(super) fn span_above(&self, world: &World, decided: &Decided) -> Option<i64> {
        let now = decided.now(&self.past);
        let held = |it: &Limit| -> i64 {
            let length = [1, 7, 30][it.kind] * 1_440 * MINUTE_US;
            let inside =
                |charge: &&Charge| charge.is_in(it.scope) && charge.booked_at > now - length;
            let charged = self.charges.iter().filter(inside);
            charged.map(Charge::amount).sum::<i64>() + decided.reserved
        };
        let mut rolling = limits(world, decided.message.card).into_iter();
        rolling.find_map(|it| (it.rolls && held(&it) > it.limit).then(|| held(&it)))
    }

    /// What the trailing span of this kind that ends now holds.
    pub(crate) fn trailing(&self, scope: Scope, kind: usize, now: i64) -> i64 {
        self.sum(scope, Over::Span(kind, now), false)
    }
}
