//! Intents and attestations on a sheet of paper.

use std::collections::BTreeMap;

use countersign::domain::decision::DeclineReason;

use crate::commands::{Ask, Declare, Wants};
use crate::lives::HELD_LONG;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Open,
    Taken { by: usize, mismatched: bool },
    Rejected,
    Canceled,
}

#[derive(Clone, Debug)]
pub(crate) struct Intent {
    terms: Declare,
    at: i64,
    expires: i64,
    order: usize,
    approved: bool,
    pub(crate) fate: Fate,
}

/// What the intents say to an authorization.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Finding {
    pub(crate) takes: Option<u8>,
    pub(crate) is_flagged: bool,
    pub(crate) refusal: Option<DeclineReason>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Book {
    intents: BTreeMap<u8, Intent>,
    attested: BTreeMap<u8, i64>,
    declared: usize,
}

/// The merchant's hash, as an intent and an authorization have it.
pub(crate) fn prefix_of(weak: u64) -> u64 {
    1_000 + weak
}

/// The merchant's category: a shop or a hotel.
pub(crate) fn mcc_of(weak: u64) -> u16 {
    if weak == 0 { 5_812 } else { HELD_LONG[0] }
}

/// The same, where the question names it.
pub(crate) fn named_by(ask: &Ask) -> Option<u16> {
    (ask.content != 0).then(|| mcc_of(ask.merchant.weak))
}

impl Intent {
    fn admits(&self, ask: &Ask, total: i128) -> bool {
        let terms = &self.terms;
        let cap = terms
            .expected
            .map(|expected| i128::from(expected + terms.tolerance));
        cap.is_none_or(|cap| total <= cap)
            && !terms.euros
            && terms.merchant.is_none_or(|it| it == ask.merchant.weak)
            && terms
                .mcc
                .is_none_or(|it| u64::from(it) == ask.merchant.weak)
    }

    fn cap(&self) -> Option<i128> {
        let terms = &self.terms;
        terms
            .expected
            .map(|expected| i128::from(expected + terms.tolerance))
    }

    fn waits(&self, wants: Wants) -> bool {
        let small = match (wants.below, self.terms.expected) {
            (Some(below), Some(expected)) => expected < below,
            _ => false,
        };
        !self.approved && (self.terms.awaits || (wants.approval && !small))
    }
}

impl Book {
    /// Absent where it is refused, else whether it is a new one.
    pub(crate) fn declare(&mut self, declare: &Declare, now: i64) -> Option<bool> {
        let expires = now + declare.ttl;
        if let Some(known) = self.intents.get(&declare.intent) {
            let old = &known.terms;
            let same = old.card == declare.card
                && old.expected == declare.expected
                && known.cap()
                    == declare
                        .expected
                        .map(|it| i128::from(it + declare.tolerance))
                && old.euros == declare.euros
                && old.merchant == declare.merchant
                && old.mcc == declare.mcc
                && old.awaits == declare.awaits
                && known.expires == expires;
            return same.then_some(false);
        }
        self.declared += 1;
        let intent = Intent {
            terms: declare.clone(),
            at: now,
            expires,
            order: self.declared,
            approved: false,
            fate: Fate::Open,
        };
        self.intents.insert(declare.intent, intent);
        Some(true)
    }

    /// The open ones of a card, oldest first.
    pub(crate) fn open(&self, card: u8) -> Vec<u8> {
        let of_card = self.intents.iter().filter(|(_, it)| it.terms.card == card);
        let mut open: Vec<_> = of_card.filter(|(_, it)| it.fate == Fate::Open).collect();
        open.sort_by_key(|(_, it)| it.order);
        open.into_iter().map(|(id, _)| *id).collect()
    }

    /// Absent where it is refused, else whether it changes anything. Approve, reject, withdraw.
    pub(crate) fn settle(&mut self, intent: u8, verdict: u8, now: i64) -> Option<bool> {
        let intent = self.intents.get_mut(&intent)?;
        let done = match verdict {
            0 => intent.approved && intent.fate == Fate::Open,
            1 => intent.fate == Fate::Rejected,
            _ => intent.fate == Fate::Canceled,
        };
        if done {
            return Some(false);
        }
        if intent.fate != Fate::Open || now >= intent.expires {
            return None;
        }
        match verdict {
            0 => intent.approved = true,
            1 => intent.fate = Fate::Rejected,
            _ => intent.fate = Fate::Canceled,
        }
        Some(true)
    }

    pub(crate) fn attest(&mut self, card: u8, now: i64) {
        let at = self.attested.entry(card).or_insert(now);
        *at = now.max(*at);
    }

    pub(crate) fn attested_at(&self, card: u8) -> Option<i64> {
        self.attested.get(&card).copied()
    }

    pub(crate) fn fate(&self, intent: u8) -> Option<(Fate, bool)> {
        self.intents.get(&intent).map(|it| (it.fate, it.approved))
    }

    /// What they say to a total; `life` where it adds to an authorization that has its intent.
    pub(crate) fn find(
        &self,
        ask: &Ask,
        wants: Option<Wants>,
        total: i128,
        life: Option<usize>,
        now: i64,
    ) -> Finding {
        let refused = |reason| Finding {
            refusal: Some(reason),
            ..Finding::default()
        };
        let Some(wants) = wants else {
            return Finding::default();
        };
        if let Some(life) = life {
            let mut all = self.intents.values();
            let taken = all.find(|it| matches!(it.fate, Fate::Taken { by, .. } if by == life));
            let over = taken.and_then(Intent::cap).is_some_and(|cap| total > cap);
            return match (over, wants.flags) {
                (false, _) => Finding::default(),
                (true, true) => Finding {
                    is_flagged: true,
                    ..Finding::default()
                },
                (true, false) => refused(DeclineReason::IntentMismatch),
            };
        }
        let open = self.open(ask.card);
        if open.is_empty() {
            return refused(DeclineReason::IntentRequired);
        }
        let (mut waiting, mut expired, mut usable) = (false, false, None);
        for id in open {
            let intent = &self.intents[&id];
            let live = now < intent.expires;
            let admits = intent.admits(ask, total);
            if live && !intent.waits(wants) {
                if admits {
                    return Finding {
                        takes: Some(id),
                        ..Finding::default()
                    };
                }
                usable = usable.or(Some(id));
            }
            waiting |= admits && live;
            expired |= admits && !live;
        }
        if waiting {
            refused(DeclineReason::IntentPendingApproval)
        } else if expired {
            refused(DeclineReason::IntentExpired)
        } else if wants.flags && usable.is_some() {
            Finding {
                takes: usable,
                is_flagged: true,
                refusal: None,
            }
        } else {
            refused(DeclineReason::IntentMismatch)
        }
    }

    pub(crate) fn take(&mut self, intent: u8, by: usize, mismatched: bool) {
        self.intents.get_mut(&intent).unwrap().fate = Fate::Taken { by, mismatched };
    }

    pub(crate) fn mark(&mut self, life: usize, is_mismatch: bool) {
        for intent in self.intents.values_mut() {
            if let Fate::Taken { by, mismatched } = &mut intent.fate
                && *by == life
            {
                *mismatched = is_mismatch;
            }
        }
    }

    pub(crate) fn give_back(&mut self, life: usize) {
        for intent in self.intents.values_mut() {
            if matches!(intent.fate, Fate::Taken { by, .. } if by == life) {
                intent.fate = Fate::Open;
            }
        }
    }

    fn is_over(intent: &Intent, cut: i64, remembers: &impl Fn(usize) -> bool) -> bool {
        let kept = matches!(intent.fate, Fate::Taken { by, .. } if remembers(by));
        intent.at < cut && intent.expires < cut && !kept
    }

    pub(crate) fn any_over(&self, cut: i64, remembers: impl Fn(usize) -> bool) -> bool {
        let mut all = self.intents.values();
        all.any(|intent| Self::is_over(intent, cut, &remembers))
    }

    pub(crate) fn forget(&mut self, cut: i64, remembers: impl Fn(usize) -> bool) {
        self.intents
            .retain(|_, intent| !Self::is_over(intent, cut, &remembers));
    }
}
