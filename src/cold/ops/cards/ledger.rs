//! What is looked at in the ledger, on a hot thread: lookups by key, a small owned answer.

use super::view::HoldView;
use crate::cold::records::Approval;
use crate::domain::amount::Minor;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key};
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour, WindowKind};
use crate::ledger::counters::{Counters, Sum};
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::ledger::event::CardNo;
use crate::ledger::rolling::Series;
use crate::ledger::state::{AgentState, CardState, MerchantLock, State};

/// A card by the keys of its state.
#[derive(Clone, Copy)]
pub(super) struct Owned {
    pub(super) customer: Key,
    pub(super) card: Key,
    pub(super) agent: Option<Key>,
}

/// When a card is looked at. Day and hour are those of its customer's zone; absent where nobody
/// knows the customer.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Timestamp,
    pub(super) day: Option<LocalDay>,
    pub(super) hour: Option<LocalHour>,
}

/// One trailing span as it stands.
#[derive(Clone, Copy)]
pub(super) struct SpanSeen {
    pub(super) spent: Minor,
    /// When the oldest charge leaves it; absent where it holds none.
    pub(super) frees_at: Option<Timestamp>,
}

/// A card as the ledger has it; one that was never used has nothing.
pub(super) struct CardInLedger {
    /// The id that its records have: what it was called when it was first used.
    pub(super) id: Option<Box<str>>,
    /// The day whose windows are open: today, or the day that was charged and is not over.
    pub(super) day: LocalDay,
    /// When that day ends at the earliest, where it was charged.
    pub(super) day_ends: Option<Timestamp>,
    /// The hour that is counted, likewise.
    pub(super) hour: LocalHour,
    /// By level.
    pub(super) counters: [Counters; 3],
    /// By level and kind of span; absent where none is kept yet.
    pub(super) spans: [[Option<SpanSeen>; 3]; 3],
    pub(super) status: CardStatus,
    pub(super) is_frozen: bool,
    pub(super) agent_status: AgentStatus,
    pub(super) customer_status: CustomerStatus,
    pub(super) consumed_at: Option<Timestamp>,
    pub(super) lock: Option<Box<MerchantLock>>,
}

/// A card that the ledger knows by its number.
pub(super) struct UsedCard {
    pub(super) key: Key,
    pub(super) connection: String,
    pub(super) in_ledger: CardInLedger,
}

impl SpanSeen {
    pub(super) const EMPTY: Self = Self {
        spent: Minor::ZERO,
        frees_at: None,
    };

    /// What is on hold of it, where that follows from `all` that the scope was ever charged with: in a span with
    /// all of it, or with nothing that could be on hold.
    pub(super) fn held(self, all: Sum) -> Option<Minor> {
        if self.spent.is_zero() || all.held.is_zero() {
            return Some(Minor::ZERO);
        }
        (self.spent == all.spent).then_some(all.held)
    }

    fn of(series: &Series, now: Timestamp) -> Self {
        // The least amount leaves with the oldest charge.
        let least = Minor::new(1).unwrap_or_default();
        Self {
            spent: series.spent(now),
            frees_at: series.frees(now, least),
        }
    }
}

impl CardInLedger {
    /// What the card's authorizations hold, in minor units.
    pub(super) fn held(&self) -> i64 {
        let [card, ..] = &self.counters;
        card.total().held.get()
    }

    fn unused(moment: Moment) -> Self {
        Self {
            id: None,
            day: moment.day.unwrap_or(LocalDay(i32::MIN)),
            day_ends: None,
            hour: moment.hour.unwrap_or(LocalHour(i32::MIN)),
            counters: [Counters::default(); 3],
            spans: [[None; 3]; 3],
            status: CardStatus::Active,
            is_frozen: false,
            agent_status: AgentStatus::Active,
            customer_status: CustomerStatus::Active,
            consumed_at: None,
            lock: None,
        }
    }
}

pub(super) fn look_at_card(ledger: &EmbeddedLedger, owned: Owned, moment: Moment) -> CardInLedger {
    let looked = ledger.with_state(owned.customer, |state| {
        let card = state.card_by_key(owned.card).map(|(_, card)| card);
        let agent = owned.agent.and_then(|key| state.agent_by_key(key));
        seen(state, card, agent.map(|(_, agent)| agent), moment)
    });
    looked.unwrap_or_else(|| CardInLedger::unused(moment))
}

/// The id that a card's records have; absent where it was never used.
pub(super) fn name_in_records(
    ledger: &EmbeddedLedger,
    customer: Key,
    card: Key,
) -> Option<Box<str>> {
    let looked = ledger.with_state(customer, |state| {
        state.card_by_key(card).map(|(_, card)| card.id.clone())
    });
    looked.flatten()
}

/// The same for a card that no snapshot knows; absent where the ledger does not either.
pub(super) fn look_at_used_card(
    ledger: &EmbeddedLedger,
    customer: Key,
    no: CardNo,
    moment: Moment,
) -> Option<UsedCard> {
    let looked = ledger.with_state(customer, |state| {
        let card = state.card(no)?;
        Some(UsedCard {
            key: card.key,
            connection: card.connection.to_string(),
            in_ledger: seen(state, Some(card), None, moment),
        })
    });
    looked.flatten()
}

fn seen(
    state: &State,
    card: Option<&CardState>,
    agent: Option<&AgentState>,
    moment: Moment,
) -> CardInLedger {
    let of_card = |card: &CardState| card.counters;
    let of_agent = |agent: &AgentState| agent.counters;
    // As authorizations are booked (behaviour 2.13 e): no window reopens, and none ends sooner than
    // it did when it was opened.
    let is_over = moment.now >= state.day_ends;
    let today = moment.day.filter(|today| is_over && *today > state.day);
    let series = [
        card.and_then(|card| card.rolling.as_deref()),
        agent.and_then(|agent| agent.rolling.as_deref()),
        state.rolling.as_deref(),
    ];
    CardInLedger {
        id: card.map(|card| card.id.clone()),
        day: today.unwrap_or(state.day),
        day_ends: today.is_none().then_some(state.day_ends),
        hour: moment.hour.map_or(state.hour, |hour| hour.max(state.hour)),
        spans: series.map(|kept| {
            WindowKind::ALL.map(|kind| {
                let series = kept?.series(kind)?;
                Some(SpanSeen::of(series, moment.now))
            })
        }),
        counters: [
            card.map(of_card).unwrap_or_default(),
            agent.map(of_agent).unwrap_or_default(),
            state.counters,
        ],
        status: card.map(|card| card.status).unwrap_or_default(),
        is_frozen: card.is_some_and(|card| card.frozen),
        agent_status: agent.map(|agent| agent.status).unwrap_or_default(),
        customer_status: state.status,
        consumed_at: card.and_then(|card| card.consumed).map(|(at, _)| at),
        lock: card.and_then(|card| card.lock.clone()),
    }
}

/// Those of the approvals whose authorizations still hold something on the card.
pub(super) fn look_at_holds(
    ledger: &EmbeddedLedger,
    owned: Owned,
    approvals: Vec<Approval>,
) -> Vec<HoldView> {
    let looked = ledger.with_state(owned.customer, |state| {
        let no = state.card_by_key(owned.card).map(|(no, _)| no);
        let hold = |approval: Approval| {
            let authorization = state.authorization(approval.key)?;
            let held = authorization.reserved();
            let ours = authorization.card() == no && !held.is_zero();
            ours.then(|| HoldView {
                authorization: approval.authorization,
                amount: held.get(),
                at: authorization.first.at.rfc3339().to_string(),
                steps: authorization.steps().count(),
            })
        };
        approvals.into_iter().filter_map(hold).collect()
    });
    looked.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Behaviour 2.15.
    #[test]
    fn what_is_held_of_a_span_is_told_where_the_sums_say_it() {
        let minor = |amount| Minor::new(amount).unwrap();
        let held = |in_span, spent, held| {
            let seen = SpanSeen {
                spent: minor(in_span),
                frees_at: None,
            };
            let all = Sum {
                spent: minor(spent),
                held: minor(held),
            };
            seen.held(all).map(Minor::get)
        };
        assert_eq!(held(900, 900, 400), Some(400), "all of it lies in the span");
        assert_eq!(held(0, 900, 400), Some(0), "nothing was charged in it");
        assert_eq!(held(500, 900, 0), Some(0), "nothing is on hold");
        assert_eq!(held(500, 900, 400), None, "some of it may have left");
    }
}
