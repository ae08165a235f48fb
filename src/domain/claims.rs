//! What an approval would need: how much, from which counters, under which conditions.
//!
//! Claims are made by `decide` from policy and request; the ledger compares them with its state in
//! one atomic step. They hold integers and hashes only, so that the ledger never looks at text.

use super::amount::{Amount, Minor};
use super::card::Level;
use super::explanation::Explanation;
use super::time::Timestamp;
use super::window::{LocalDay, WindowKind};

/// The limits of one level on the sums that the ledger keeps. Absent means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScopeLimits {
    /// By calendar day of the customer's zone.
    pub per_day: Option<Minor>,
    /// By ISO week.
    pub per_week: Option<Minor>,
    /// By calendar month.
    pub per_month: Option<Minor>,
    /// For ever.
    pub total: Option<Minor>,
}

impl ScopeLimits {
    /// The limit over windows of this kind.
    #[must_use]
    pub fn of_window(&self, kind: WindowKind) -> Option<Minor> {
        match kind {
            WindowKind::Day => self.per_day,
            WindowKind::Week => self.per_week,
            WindowKind::Month => self.per_month,
        }
    }
}

/// A merchant's identity as hashes (behaviour 2.14 c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MerchantKeys {
    /// Acquirer id and acceptor id; absent where either is missing.
    pub strong: Option<u64>,
    /// Normalised descriptor, category code and country.
    pub weak: u64,
    /// The sub-merchant that an aggregator's descriptor names.
    pub sub_merchant: Option<u64>,
}

impl MerchantKeys {
    /// Whether `other` is the same merchant as this one.
    #[must_use]
    pub fn is_same_merchant(&self, other: &Self) -> bool {
        let same_strong = self.strong.is_some() && self.strong == other.strong;
        let other_sub_merchant = self.sub_merchant.is_some()
            && other.sub_merchant.is_some()
            && self.sub_merchant != other.sub_merchant;
        (same_strong && !other_sub_merchant) || self.weak == other.weak
    }
}

/// A merchant lock that an owner set when the card was made: the named half decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresetLock {
    /// Acquirer id and acceptor id, hashed as [`MerchantKeys::strong`].
    Strong(u64),
    /// Descriptor, category code and country, hashed as [`MerchantKeys::weak`].
    Weak(u64),
}

impl PresetLock {
    /// Whether the merchant passes the lock.
    #[must_use]
    pub fn admits(&self, merchant: &MerchantKeys) -> bool {
        match self {
            Self::Strong(key) => merchant.strong == Some(*key),
            Self::Weak(key) => merchant.weak == *key,
        }
    }
}

/// Everything the atomic step needs to know about one authorization that the stateless rules let
/// pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// What an approval reserves, in the limits' currency.
    pub amount: Amount,
    /// The day under way in the customer's zone; weeks and months follow from it.
    pub day: LocalDay,
    /// When the day, the week and the month under way end, for explanations.
    pub resets_at: [Timestamp; 3],
    /// The limits by level, in the order of [`Level::ALL`].
    pub limits: [ScopeLimits; 3],
    /// The cap on the whole authorization, all its steps together, and the level it stands at.
    pub per_auth: Option<(Minor, Level)>,
    /// Whether the first approval consumes the card.
    pub single_use: bool,
    /// Whether the first approval locks the card to its merchant, and the level that says so.
    pub lock_to_first_merchant: Option<Level>,
    /// A lock set when the card was made.
    pub preset_lock: Option<PresetLock>,
    /// The merchant that asks.
    pub merchant: MerchantKeys,
}

/// What the stateless rules say. A proposal until identity and current status have spoken, because
/// a known step keeps its first decision and a locked card outranks a blocked merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Reasons 2 to 7 as the snapshot has them.
    pub standing: Option<Explanation>,
    /// The first of reasons 8 to 17 that applies.
    pub rule: Option<Explanation>,
    /// What an approval would need. Without meaning where `rule` is `currency_not_supported`.
    pub claims: Claims,
}
