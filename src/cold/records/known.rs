//! What the events of the journal have told so far about the decisions in it.

use std::collections::{BTreeMap, BTreeSet};

use super::Filter;
use super::index::{Index, Noted, Spot, Wanted};
use super::names::{self, Names};
use super::record::Aftermath;
use crate::ledger::codec::ExternalId;
use crate::ledger::embedded::scan::Record;
use crate::ledger::event::{CardNo, Event, StateNo, events_of};

/// What the events have told so far.
pub(super) struct Known {
    /// Records of before this process, until all are known; then they are in `index`.
    past: Index,
    index: Index,
    indexed_max: usize,
    pub(super) names: Names,
    /// Records that came more than once.
    deliveries: BTreeMap<u64, u32>,
    pub(super) overruled: BTreeSet<u64>,
}

impl Known {
    /// Nothing yet but names, and an index of at most about this many records.
    pub(super) fn new(names: Names, indexed_max: usize) -> Self {
        Self {
            past: Index::default(),
            index: Index::default(),
            indexed_max,
            names,
            deliveries: BTreeMap::new(),
            overruled: BTreeSet::new(),
        }
    }

    pub(super) fn take_in(&mut self, record: &Record<'_>, is_past: bool) {
        for event in events_of(record.payload) {
            match event {
                Ok(Event::Decided(decided) | Event::Conflicted(decided)) => {
                    let place = (decided.state, decided.card);
                    self.note(record, &decided.authorization, place, is_past);
                }
                Ok(Event::Booked(booked)) => {
                    // What the issuer has declined by itself is a record, too.
                    if booked.declined.is_some() {
                        let place = (booked.state, booked.card);
                        self.note(record, &booked.external, place, is_past);
                    }
                }
                Ok(Event::Redelivered { decided_at, .. }) => {
                    *self.deliveries.entry(decided_at).or_insert(1) += 1;
                }
                Ok(Event::Overruled { decided_at, .. }) => {
                    self.overruled.insert(decided_at);
                }
                Ok(Event::StateOpened { state, key, owner }) => {
                    self.names.open_state(state, key, owner);
                }
                Ok(Event::CardOpened {
                    state,
                    card,
                    id,
                    connection,
                    ..
                }) => {
                    self.names.open_card(state, card, id, connection);
                }
                Ok(Event::AgentOpened {
                    state, agent, id, ..
                }) => {
                    self.names.open_agent(state, agent, id);
                }
                Ok(
                    Event::StandingSet { .. }
                    | Event::Swept { .. }
                    | Event::Lapsed { .. }
                    | Event::WindowsOpened { .. }
                    | Event::RollingOpened { .. }
                    | Event::RiskFrozen { .. }
                    | Event::IntentDeclared { .. }
                    | Event::IntentSettled { .. }
                    | Event::Attested { .. }
                    | Event::Backed { .. },
                ) => {}
                Err(malformed) => {
                    tracing::error!(sequence = record.sequence, %malformed, "record");
                }
            }
        }
    }

    fn note(
        &mut self,
        record: &Record<'_>,
        authorization: &ExternalId<'_>,
        (state, card): (StateNo, Option<CardNo>),
        is_past: bool,
    ) {
        let (card, connection) = self.names.card_and_connection(state, card);
        let index = if is_past {
            &mut self.past
        } else {
            &mut self.index
        };
        let took_a_block = index.push(&Noted {
            sequence: record.sequence,
            segment: record.segment,
            offset: record.offset,
            authorization: names::hash_of_id(authorization),
            card,
            connection,
        });
        while took_a_block && self.len() > self.indexed_max {
            if !self.past.forget_oldest() && !self.index.forget_oldest() {
                break;
            }
            self.forget_aftermath();
        }
    }

    /// Everything of before is known: one index is enough.
    pub(super) fn join(&mut self) {
        self.past.append(&mut self.index);
        self.index = std::mem::take(&mut self.past);
    }

    pub(super) fn len(&self) -> usize {
        self.past.len() + self.index.len()
    }

    pub(super) fn find(&self, sequence: u64) -> Option<Spot> {
        let past = || self.past.find(sequence);
        self.index.find(sequence).or_else(past)
    }

    pub(super) fn newest_before(
        &self,
        before: u64,
        wanted: Wanted,
    ) -> impl Iterator<Item = Spot> + '_ {
        let past = self.past.newest_before(before, wanted);
        self.index.newest_before(before, wanted).chain(past)
    }

    pub(super) fn oldest_after(
        &self,
        after: u64,
        wanted: Wanted,
    ) -> impl Iterator<Item = Spot> + '_ {
        let own = self.index.oldest_after(after, wanted);
        self.past.oldest_after(after, wanted).chain(own)
    }

    pub(super) fn forget_segments_before(&mut self, segment: u64) {
        self.past.forget_segments_before(segment);
        self.index.forget_segments_before(segment);
        self.forget_aftermath();
    }

    /// What became of records that are not indexed any more is not asked for.
    fn forget_aftermath(&mut self) {
        let past = self.past.first_sequence();
        let Some(first) = past.or_else(|| self.index.first_sequence()) else {
            return;
        };
        self.deliveries = self.deliveries.split_off(&first);
        self.overruled = self.overruled.split_off(&first);
    }

    /// What to look for; absent where nothing can match.
    pub(super) fn wanted(&self, filter: &Filter<'_>) -> Option<Wanted> {
        let connection = match filter.connection {
            Some(name) => Some(self.names.connection_number(name)?),
            None => None,
        };
        let hash_of_id = |id| names::hash_of_id(&ExternalId::new(id));
        Some(Wanted {
            authorization: filter.authorization.map(hash_of_id),
            card: filter.card.map(names::hash_of_text),
            connection,
        })
    }

    pub(super) fn aftermath(&self, sequence: u64) -> Aftermath {
        Aftermath {
            is_overruled: self.overruled.contains(&sequence),
            deliveries: self.deliveries.get(&sequence).copied().unwrap_or(1),
        }
    }
}
