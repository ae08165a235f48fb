//! What an approval would need: how much, from which counters, under which conditions.
//!
//! Claims are made by `decide` from policy and request; the ledger compares them with its state in
//! one atomic step. They hold integers and hashes only, so that the ledger never looks at text.

use super::amount::{Amount, Minor};
use super::card::Level;
use super::explanation::Explanation;
use super::mcc::Mcc;
use super::time::Timestamp;
use super::window::{Calendar, LocalDay, LocalHour, WindowKind};

/// The limits of one level on the sums and counts that the ledger keeps (behaviour 2.13 b, c).
/// Absent means no limit.
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
    /// In any 24 hours.
    pub rolling_day: Option<Minor>,
    /// In any 7 days.
    pub rolling_week: Option<Minor>,
    /// In any 30 days.
    pub rolling_month: Option<Minor>,
    /// Approved authorizations by hour of the customer's zone.
    pub count_per_hour: Option<u32>,
    /// Approved authorizations by calendar day of the customer's zone.
    pub count_per_day: Option<u32>,
    /// Approved authorizations for ever.
    pub count_total: Option<u32>,
    /// Approved authorizations by a calendar window: what an approval in advance lets its own card have.
    pub count_of_period: Option<(WindowKind, u32)>,
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

    /// The limit over trailing spans of this kind's length.
    #[must_use]
    pub fn of_rolling(&self, kind: WindowKind) -> Option<Minor> {
        match kind {
            WindowKind::Day => self.rolling_day,
            WindowKind::Week => self.rolling_week,
            WindowKind::Month => self.rolling_month,
        }
    }
}

/// What a card with `requireIntent` asks of an authorization (behaviour 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntentRule {
    /// The level that requires an intent.
    pub level: Level,
    /// Whether a human must have approved the intent.
    pub requires_approval: bool,
    /// Intents whose expected amount is strictly below this need no human; absent: all need one.
    pub auto_approve_below: Option<Minor>,
    /// Record that no intent matched, and approve nevertheless (`onIntentMismatch: "flag"`).
    pub flags_mismatch: bool,
}

/// The effective values of rules that compare with what happened on the card before (behaviour
/// 2.14 a, g; 6.2). All of them are silent by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CardRules {
    /// Microseconds that must have passed since the card's last approval, and the level.
    pub cooldown_us: Option<(i64, Level)>,
    /// Approved authorizations after which the card has expired.
    pub expire_after_count: Option<(u32, Level)>,
    /// What is spent on the card once it has expired.
    pub expire_after_spend: Option<(Minor, Level)>,
    /// Whether this authorization may be the one probe that does not consume a single-use card.
    pub may_probe: bool,
    /// Whether the smallest headroom may be approved where the whole amount has no room: the policy
    /// allows it, and so does the terminal.
    pub may_approve_part: bool,
    /// Microseconds for which an attestation stays fresh, where one is required, and the level.
    pub attestation_us: Option<(i64, Level)>,
    /// Whether an intent is required.
    pub intent: Option<IntentRule>,
    /// Hashes of the descriptor's leading tokens, one for each count of tokens from one on, which
    /// intents compare with theirs (behaviour 2.14 e). Empty where no intent is required.
    pub merchant_prefixes: Vec<u64>,
    /// The category, which intents compare with theirs.
    pub mcc: Option<Mcc>,
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
    /// The hour under way in the customer's zone.
    pub hour: LocalHour,
    /// When that hour ends.
    pub hour_resets_at: Timestamp,
    /// The limits by level, in the order of [`Level::ALL`].
    pub limits: [ScopeLimits; 3],
    /// The cap on what is held at one time over all of the customer's cards (behaviour 4.4).
    pub held_max: Option<Minor>,
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
    /// What depends on the card's past.
    pub rules: CardRules,
}

impl Claims {
    /// The windows under way.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        Calendar {
            day: self.day,
            resets_at: self.resets_at,
            hour: self.hour,
            hour_resets_at: self.hour_resets_at,
        }
    }
}

/// What the stateless rules say. A proposal until identity and current status have spoken, because
/// a known step keeps its first decision and a locked card outranks a blocked merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Reasons 2, 3 and 5 to 7 as the snapshot has them.
    pub standing: Option<Explanation>,
    /// Reason 4: the card's time is over or has not come. Increments skip it (behaviour 2.14 h).
    pub expired: Option<Explanation>,
    /// The first of reasons 8 to 14, 16 and 17 that applies.
    pub rule: Option<Explanation>,
    /// Reason 15: outside the active hours. Increments skip it (behaviour 2.14 h).
    pub hours: Option<Explanation>,
    /// What an approval would need. Without meaning where `rule` is `currency_not_supported`.
    pub claims: Claims,
}
