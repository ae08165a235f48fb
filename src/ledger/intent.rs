//! Intents: what an agent says that it is about to buy (behaviour 6.1, 6.2).
//!
//! An intent is compared as integers and hashes; its words stay outside. It is open until an
//! authorization takes it, somebody ends it, or its time is over, which is a matter of looking at
//! the clock and no event.

use crate::domain::amount::Minor;
use crate::domain::card::Key;
use crate::domain::claims::{CardRules, IntentRule};
use crate::domain::currency::Currency;
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::ledger::event::CardNo;
use crate::ledger::key_map::KeyMap;

/// Intents of one card that may wait at a time; more are refused.
pub const OPEN_INTENTS_MAX: usize = 32;
/// Categories that one intent may list.
pub const INTENT_MCCS_MAX: usize = 64;

/// What an intent says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentTerms {
    /// The expected amount; absent where the agent named none.
    pub expected: Option<Minor>,
    /// The largest amount that still matches: the expected one with its tolerance. Absent: any.
    pub cap: Option<Minor>,
    /// The currency of both; absent: any.
    pub currency: Option<Currency>,
    /// Hash of the merchant's leading tokens (behaviour 2.14 e); absent: any.
    pub merchant: Option<u64>,
    /// The categories, in order; empty: any. At most [`INTENT_MCCS_MAX`].
    pub mccs: Box<[Mcc]>,
    /// From this instant on the intent is over.
    pub expires_at: Timestamp,
    /// Whether a human must approve it before it can match.
    pub awaits_approval: bool,
}

/// What a human or an agent does with an open intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IntentVerdict {
    /// A human approves.
    Approve = 0,
    /// A human rejects.
    Reject = 1,
    /// It is withdrawn.
    Cancel = 2,
}

impl IntentVerdict {
    /// Every verdict, by number.
    pub const ALL: [Self; 3] = [Self::Approve, Self::Reject, Self::Cancel];
}

/// Where an intent stands, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentStatus {
    /// A human has to decide.
    PendingApproval,
    /// It waits for its authorization.
    Pending,
    /// An authorization took it and kept to it.
    Matched,
    /// An authorization took it and did not keep to it.
    Mismatched,
    /// Its time was over first.
    Expired,
    /// A human rejected it.
    Rejected,
    /// It was withdrawn.
    Canceled,
}

/// What has become of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Fate {
    Open,
    /// By an authorization, until that is forgotten.
    Taken {
        by: Option<Key>,
        mismatched: bool,
    },
    Rejected,
    Canceled,
}

/// One intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The card it is for.
    pub card: CardNo,
    /// When it was declared.
    pub at: Timestamp,
    /// Its journal position, by which older ones are preferred.
    pub position: u64,
    /// What it says.
    pub terms: IntentTerms,
    /// Whether a human approved it.
    pub approved: bool,
    pub(in crate::ledger) fate: Fate,
}

/// What an authorization brings to be compared.
#[derive(Clone, Copy, Debug)]
pub(in crate::ledger) struct Candidate<'c> {
    pub(in crate::ledger) amount: Minor,
    pub(in crate::ledger) currency: Currency,
    pub(in crate::ledger) rules: &'c CardRules,
}

impl Intent {
    /// Where it stands at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> IntentStatus {
        match self.fate {
            Fate::Taken {
                mismatched: false, ..
            } => IntentStatus::Matched,
            Fate::Taken {
                mismatched: true, ..
            } => IntentStatus::Mismatched,
            Fate::Rejected => IntentStatus::Rejected,
            Fate::Canceled => IntentStatus::Canceled,
            Fate::Open if !self.is_live(now) => IntentStatus::Expired,
            Fate::Open if self.terms.awaits_approval && !self.approved => {
                IntentStatus::PendingApproval
            }
            Fate::Open => IntentStatus::Pending,
        }
    }

    /// The authorization that took it, as long as that is remembered.
    #[must_use]
    pub fn taken_by(&self) -> Option<Key> {
        match self.fate {
            Fate::Taken { by, .. } => by,
            Fate::Open | Fate::Rejected | Fate::Canceled => None,
        }
    }

    /// At the instant of its end it is over.
    pub(in crate::ledger) fn is_live(&self, now: Timestamp) -> bool {
        now < self.terms.expires_at
    }

    /// Whether a human has yet to approve it under this rule. Strictly below the threshold nobody
    /// has to; an intent without an expected amount never is.
    pub(in crate::ledger) fn awaits(&self, rule: &IntentRule) -> bool {
        let below = rule.auto_approve_below.zip(self.terms.expected);
        let small = below.is_some_and(|(threshold, expected)| expected < threshold);
        let asked = self.terms.awaits_approval || (rule.requires_approval && !small);
        asked && !self.approved
    }

    /// Whether amount, currency, merchant and category are what it says.
    pub(in crate::ledger) fn admits(&self, candidate: &Candidate<'_>) -> bool {
        let terms = &self.terms;
        let rules = candidate.rules;
        terms.cap.is_none_or(|cap| candidate.amount <= cap)
            && terms.currency.is_none_or(|it| it == candidate.currency)
            && terms
                .merchant
                .is_none_or(|it| rules.merchant_prefixes.contains(&it))
            && (terms.mccs.is_empty() || rules.mcc.is_some_and(|mcc| terms.mccs.contains(&mcc)))
    }
}

/// The intents of one customer.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Intents {
    by_key: KeyMap<Intent>,
    of_authorization: KeyMap<Key>,
}

impl Intents {
    pub(in crate::ledger) fn get(&self, key: Key) -> Option<&Intent> {
        self.by_key.get(key)
    }

    pub(in crate::ledger) fn get_mut(&mut self, key: Key) -> Option<&mut Intent> {
        self.by_key.get_mut(key)
    }

    pub(in crate::ledger) fn taken_by(&self, authorization: Key) -> Option<(Key, &Intent)> {
        let key = *self.of_authorization.get(authorization)?;
        Some((key, self.by_key.get(key)?))
    }

    /// Puts a new intent in place; false where the key is in use.
    pub(in crate::ledger) fn insert(&mut self, key: Key, intent: Intent) -> bool {
        let taken_by = intent.taken_by();
        let mut is_new = false;
        self.by_key.get_or_insert_with(key, || {
            is_new = true;
            intent
        });
        if let Some(by) = taken_by.filter(|_| is_new) {
            self.of_authorization.get_or_insert_with(by, || key);
        }
        is_new
    }

    /// An authorization takes an open intent.
    pub(in crate::ledger) fn take(&mut self, key: Key, by: Key, mismatched: bool) {
        if let Some(intent) = self.by_key.get_mut(key).filter(|it| it.fate == Fate::Open) {
            intent.fate = Fate::Taken {
                by: Some(by),
                mismatched,
            };
            self.of_authorization.get_or_insert_with(by, || key);
        }
    }

    /// Notes whether the authorization that took it keeps to it.
    pub(in crate::ledger) fn mark(&mut self, authorization: Key, is_mismatch: bool) {
        let key = self.of_authorization.get(authorization).copied();
        if let Some(intent) = key.and_then(|key| self.by_key.get_mut(key))
            && let Fate::Taken { mismatched, .. } = &mut intent.fate
        {
            *mismatched = is_mismatch;
        }
    }

    /// The authorization gives its intent back: the intent's key and card.
    pub(in crate::ledger) fn give_back(&mut self, authorization: Key) -> Option<(Key, CardNo)> {
        let key = self.of_authorization.remove(authorization)?;
        let intent = self.by_key.get_mut(key)?;
        intent.fate = Fate::Open;
        Some((key, intent.card))
    }

    /// Lets go of the authorizations of the named part that are forgotten, then forgets the intents
    /// of that part that are over since `cut`, unless an authorization has taken them.
    pub(in crate::ledger) fn sweep(
        &mut self,
        part: u16,
        cut: Timestamp,
        remembers: impl Fn(Key) -> bool,
    ) -> Vec<(Key, CardNo)> {
        let mut free = Vec::new();
        self.of_authorization.retain_part(part, |by, key| {
            let kept = remembers(by);
            if !kept {
                free.push(*key);
            }
            kept
        });
        for key in free {
            if let Some(intent) = self.by_key.get_mut(key)
                && let Fate::Taken { by, .. } = &mut intent.fate
            {
                *by = None;
            }
        }
        let mut forgotten = Vec::new();
        self.by_key.retain_part(part, |key, intent| {
            let kept = !is_over(intent, cut);
            if !kept {
                forgotten.push((key, intent.card));
            }
            kept
        });
        forgotten
    }

    /// Whether a sweep of the named part would forget any that no authorization has taken.
    pub(in crate::ledger) fn any_over(&self, part: u16, cut: Timestamp) -> bool {
        self.by_key.any_named(part, |intent| is_over(intent, cut))
    }

    pub(in crate::ledger) fn sorted(&self) -> Vec<(Key, &Intent)> {
        self.by_key.sorted()
    }
}

fn is_over(intent: &Intent, cut: Timestamp) -> bool {
    intent.at < cut && intent.terms.expires_at < cut && intent.taken_by().is_none()
}
