//! What two snapshots say differently: rows that come, go and change, and what is in force on cards.
//!
//! A customer's edit changes what is in force on all its cards; cards that change alike stand
//! together, so that a reader sees one change and how many it hits.

use std::collections::{BTreeMap, BTreeSet};

use super::values::Told;
use crate::decide::effective::{EffectivePolicy, effective, of_level};
use crate::decide::policy::{Cascade, Policy};
use crate::decide::snapshot::{AgentSlot, CardView, CustomerSlot, Snapshot};
use crate::domain::card::{Level, Usage};

/// One value, before and after; absent where it does not stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Change {
    pub(super) field: &'static str,
    pub(super) before: Option<Leveled>,
    pub(super) after: Option<Leveled>,
}

/// A value, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Leveled {
    pub(super) told: Told,
    pub(super) origin: Origin,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// It is written on the row.
    Row,
    /// This level's policy has it; none: it holds without a word of any.
    Policy(Option<Level>),
}

impl Origin {
    /// In the order in which levels are asked.
    const OF_POLICIES: [Self; 4] = [
        Self::Policy(Some(Level::Card)),
        Self::Policy(Some(Level::Agent)),
        Self::Policy(Some(Level::Customer)),
        Self::Policy(None),
    ];
}

/// What became of the rows of one kind.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
    /// Those that change alike, by what changes.
    changed: BTreeMap<Vec<Change>, Vec<String>>,
}

/// All of it.
#[derive(Default)]
pub(super) struct Differences {
    pub(super) customers: Rows,
    pub(super) agents: Rows,
    pub(super) cards: Rows,
    /// Cards that change their customer, which a server that has them in force refuses.
    pub(super) moved: Vec<String>,
}

impl Rows {
    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// Those that change alike, in the order of the first of each.
    pub(super) fn groups(&self) -> Vec<(&[Change], &[String])> {
        let groups = self.changed.iter();
        let mut groups: Vec<_> = groups.map(|(changes, ids)| (&**changes, &**ids)).collect();
        groups.sort_unstable_by_key(|(_, ids)| *ids);
        groups
    }

    fn note(&mut self, id: &str, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.changed.entry(changes).or_default().push(id.to_owned());
        }
    }

    fn sort(&mut self) {
        self.added.sort_unstable();
        self.removed.sort_unstable();
        self.changed
            .values_mut()
            .for_each(|ids| ids.sort_unstable());
    }
}

impl Differences {
    pub(super) fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let mut found = Self::default();
        let mut parents = BTreeSet::new();
        found.compare_customers(before, after, &mut parents);
        found.compare_agents(before, after, &mut parents);
        found.compare_cards(before, after, &parents);
        for rows in [&mut found.customers, &mut found.agents, &mut found.cards] {
            rows.sort();
        }
        found.moved.sort_unstable();
        found
    }

    pub(super) fn is_empty(&self) -> bool {
        self.customers.is_empty() && self.agents.is_empty() && self.cards.is_empty()
    }

    fn compare_customers<'s>(
        &mut self,
        before: &'s Snapshot,
        after: &'s Snapshot,
        parents: &mut BTreeSet<(Level, &'s str)>,
    ) {
        for now in after.customers() {
            match before.customer_by_id(now.id()) {
                None => self.customers.added.push(now.id().to_owned()),
                Some(was) if was == now => {}
                Some(was) => {
                    parents.insert((Level::Customer, now.id()));
                    let mut changes = customer_changes(was, now);
                    changes.extend(policy_changes(
                        Level::Customer,
                        (was, was.policy()),
                        (now, now.policy()),
                    ));
                    self.customers.note(now.id(), changes);
                }
            }
        }
        let gone = before.customers().map(CustomerSlot::id);
        let gone = gone.filter(|id| after.customer_by_id(id).is_none());
        self.customers.removed = gone.map(str::to_owned).collect();
    }

    fn compare_agents<'s>(
        &mut self,
        before: &'s Snapshot,
        after: &'s Snapshot,
        parents: &mut BTreeSet<(Level, &'s str)>,
    ) {
        for now in after.agents() {
            let Some(was) = before.agent_by_id(now.id()) else {
                self.agents.added.push(now.id().to_owned());
                continue;
            };
            let (Some(owner_before), Some(owner)) =
                (before.customer_of(was), after.customer_of(now))
            else {
                continue;
            };
            let mut changes = vec![
                word("customerId", owner_before.id(), owner.id()),
                word("status", was.status().name(), now.status().name()),
            ];
            changes.retain(|change| change.before != change.after);
            changes.extend(policy_changes(
                Level::Agent,
                (owner_before, was.policy()),
                (owner, now.policy()),
            ));
            if !changes.is_empty() {
                parents.insert((Level::Agent, now.id()));
            }
            self.agents.note(now.id(), changes);
        }
        let gone = before.agents().map(AgentSlot::id);
        let gone = gone.filter(|id| after.agent_by_id(id).is_none());
        self.agents.removed = gone.map(str::to_owned).collect();
    }

    fn compare_cards(
        &mut self,
        before: &Snapshot,
        after: &Snapshot,
        parents: &BTreeSet<(Level, &str)>,
    ) {
        for now in after.cards() {
            let id = now.card.id();
            let Some(was) = before.card_by_id(id) else {
                self.cards.added.push(id.to_owned());
                continue;
            };
            if was.customer.id() != now.customer.id() && was.card.key() == now.card.key() {
                self.moved.push(id.to_owned());
            }
            let mut changes = card_changes(&was, &now);
            let agent = now.agent.map(AgentSlot::id);
            let has_other_parents = changes.iter().any(|it| it.field.ends_with("Id"))
                || parents.contains(&(Level::Customer, now.customer.id()))
                || agent.is_some_and(|agent| parents.contains(&(Level::Agent, agent)));
            // Values are compared only where they can differ: there may be millions of cards.
            if has_other_parents || was.card.policy() != now.card.policy() {
                changes.extend(value_changes(
                    (was.customer, &effective(&was)),
                    (now.customer, &effective(&now)),
                ));
            }
            self.cards.note(id, changes);
        }
        let gone = before.cards().map(|view| view.card.id());
        let gone = gone.filter(|id| after.card_by_id(id).is_none());
        self.cards.removed = gone.map(str::to_owned).collect();
    }
}

fn word(field: &'static str, before: &str, after: &str) -> Change {
    let told = |word| {
        Some(Leveled {
            told: Told::word(word),
            origin: Origin::Row,
        })
    };
    Change {
        field,
        before: told(before),
        after: told(after),
    }
}

fn customer_changes(was: &CustomerSlot, now: &CustomerSlot) -> Vec<Change> {
    let cascade = |slot: &CustomerSlot| match slot.cascade() {
        Cascade::Tighten => "tighten",
        Cascade::Override => "override",
    };
    let currency = |slot: &CustomerSlot| slot.currency().to_string();
    let mut changes = vec![
        word("status", was.status().name(), now.status().name()),
        word("timezone", was.timezone(), now.timezone()),
        word("currency", &currency(was), &currency(now)),
        word("cascade", cascade(was), cascade(now)),
    ];
    changes.retain(|change| change.before != change.after);
    changes
}

fn card_changes(was: &CardView<'_>, now: &CardView<'_>) -> Vec<Change> {
    let usage = |view: &CardView<'_>| match view.card.usage() {
        Usage::Single => "single",
        Usage::Multi => "multi",
    };
    let frozen = |view: &CardView<'_>| view.card.is_frozen().to_string();
    let agent = |view: &CardView<'_>| view.agent.map_or("none", AgentSlot::id).to_owned();
    let created = |view: &CardView<'_>| match view.card.created_at() {
        Some(at) => at.rfc3339().to_string(),
        None => "none".to_owned(),
    };
    let (card, card_before) = (now.card, was.card);
    let mut changes = vec![
        word("connection", was.connection, now.connection),
        word("customerId", was.customer.id(), now.customer.id()),
        word("agentId", &agent(was), &agent(now)),
        word("usage", usage(was), usage(now)),
        word("status", card_before.status().name(), card.status().name()),
        word("frozen", &frozen(was), &frozen(now)),
        word("createdAt", &created(was), &created(now)),
    ];
    changes.retain(|change| change.before != change.after);
    // Of tokens and locks only fingerprints are kept.
    if was.connection == now.connection && card_before.key() != card.key() {
        changes.push(word("issuerToken", "one", "another"));
    }
    if card_before.preset_lock() != card.preset_lock() {
        changes.push(word("merchantLock", "one", "another"));
    }
    changes
}

/// What changes in the policy of one level, for itself.
fn policy_changes(
    level: Level,
    (owner_before, before): (&CustomerSlot, Option<&Policy>),
    (owner, after): (&CustomerSlot, Option<&Policy>),
) -> Vec<Change> {
    if before == after && owner_before.currency() == owner.currency() {
        return Vec::new();
    }
    let of = |policy| of_level(level, policy);
    let mut changes = value_changes((owner_before, &of(before)), (owner, &of(after)));
    for side in changes
        .iter_mut()
        .flat_map(|it| [&mut it.before, &mut it.after])
    {
        // A default is what holds without this level's word, and no word of it.
        *side = side.take().filter(|it| it.origin != Origin::Policy(None));
        side.iter_mut().for_each(|it| it.origin = Origin::Row);
    }
    changes.retain(|change| change.before != change.after);
    changes
}

/// What changes among values that are in force, field by field. A field that stands once has one
/// change, whatever levels it comes from; another one a change for each level.
fn value_changes(
    (owner_before, before): (&CustomerSlot, &EffectivePolicy<'_>),
    (owner, after): (&CustomerSlot, &EffectivePolicy<'_>),
) -> Vec<Change> {
    let mut fields: Vec<&'static str> = Vec::new();
    for it in after.values().iter().chain(before.values()) {
        if !fields.contains(&it.field) {
            fields.push(it.field);
        }
    }
    // What is shown of a value depends on these too.
    let is_shown_alike =
        owner_before.currency() == owner.currency() && owner_before.timezone() == owner.timezone();
    let mut changes = Vec::new();
    for field in fields {
        if is_shown_alike && before.of(field).eq(after.of(field)) {
            continue;
        }
        let was = leveled(owner_before, before, field);
        let now = leveled(owner, after, field);
        if was == now {
            continue;
        }
        if was.len() <= 1 && now.len() <= 1 {
            let (before, after) = (was.into_iter().next(), now.into_iter().next());
            changes.push(Change {
                field,
                before,
                after,
            });
            continue;
        }
        for origin in Origin::OF_POLICIES {
            let from_there = |all: &[Leveled]| all.iter().find(|it| it.origin == origin).cloned();
            let (before, after) = (from_there(&was), from_there(&now));
            if before != after {
                changes.push(Change {
                    field,
                    before,
                    after,
                });
            }
        }
    }
    changes
}

fn leveled(
    owner: &CustomerSlot,
    policy: &EffectivePolicy<'_>,
    field: &'static str,
) -> Vec<Leveled> {
    let of_field = policy.of(field).map(|it| Leveled {
        told: Told::of(owner, it),
        origin: Origin::Policy(it.level),
    });
    of_field.collect()
}
