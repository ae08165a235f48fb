//! The cascade: what the policies of card, agent and customer come to (behaviour 2.15).

use super::policy::{Cascade, LimitField, Policy};
use super::snapshot::CardView;
use crate::domain::amount::Minor;
use crate::domain::card::Level;
use crate::domain::claims::ScopeLimits;
use crate::domain::mcc::MccSet;

/// The cap on one authorization and the level it comes from: the smallest, or overriding the
/// lowest. Of equal caps the lowest level is named.
#[must_use]
pub fn per_auth(card: &CardView<'_>) -> Option<(Minor, Level)> {
    let caps = card
        .policies()
        .map(|policy| policy.and_then(|policy| policy.limit(LimitField::PerAuth)));
    let mut set = caps.into_iter().zip(Level::ALL);
    let mut set = set.by_ref().filter_map(|(cap, level)| Some((cap?, level)));
    match card.customer.cascade() {
        Cascade::Tighten => set.min(),
        Cascade::Override => set.next(),
    }
}

/// The level that locks the card to its first merchant: any that says so, or overriding the lowest
/// that speaks. Silence is not "no".
#[must_use]
pub fn lock_to_first_merchant(card: &CardView<'_>) -> Option<Level> {
    let words = card
        .policies()
        .map(|policy| policy.and_then(Policy::lock_to_first_merchant));
    let mut set = words.into_iter().zip(Level::ALL);
    let found = match card.customer.cascade() {
        Cascade::Tighten => set.find(|(word, _)| *word == Some(true)),
        Cascade::Override => set.find(|(word, _)| word.is_some()),
    };
    found
        .filter(|(word, _)| *word == Some(true))
        .map(|(_, level)| level)
}

/// A list of categories and the level where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeveledMccs<'s> {
    /// Where it stands.
    pub level: Level,
    /// The categories.
    pub mccs: &'s MccSet,
}

/// Every value that is enforced on a card, with the level it comes from; for operators and owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectivePolicy<'s> {
    /// The cap on one authorization.
    pub per_auth: Option<(Minor, Level)>,
    /// The caps on sums; all levels' are enforced, in the order of [`Level::ALL`].
    pub limits: [ScopeLimits; 3],
    /// The allow lists that are asked.
    pub allowed_mccs: Vec<LeveledMccs<'s>>,
    /// The block lists that are asked.
    pub blocked_mccs: Vec<LeveledMccs<'s>>,
    /// The level that locks the card to its first merchant.
    pub lock_to_first_merchant: Option<Level>,
}

/// What is enforced on the card.
#[must_use]
pub fn effective<'s>(card: &CardView<'s>) -> EffectivePolicy<'s> {
    let limits = card
        .policies()
        .map(|policy| policy.map(Policy::scope_limits).unwrap_or_default());
    EffectivePolicy {
        per_auth: per_auth(card),
        limits,
        allowed_mccs: asked_lists(card, Policy::allowed_mccs).collect(),
        blocked_mccs: asked_lists(card, Policy::blocked_mccs).collect(),
        lock_to_first_merchant: lock_to_first_merchant(card),
    }
}

/// The lists of one kind that a request must pass, lowest level first: every level's, so that
/// disjoint allow lists allow nothing (behaviour 2.14 d); overriding, the lowest one alone.
pub(super) fn asked_lists<'s>(
    card: &CardView<'s>,
    list: impl Fn(&'s Policy) -> Option<&'s MccSet>,
) -> impl Iterator<Item = LeveledMccs<'s>> {
    let count = match card.customer.cascade() {
        Cascade::Tighten => Level::ALL.len(),
        Cascade::Override => 1,
    };
    let lists = Level::ALL.into_iter().zip(card.policies());
    lists
        .filter_map(move |(level, policy)| {
            let mccs = list(policy?)?;
            Some(LeveledMccs { level, mccs })
        })
        .take(count)
}
