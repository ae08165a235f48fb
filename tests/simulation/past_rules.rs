//! The half of a policy that looks back: counts, cooldowns, ends, intents, attestations, parts.

use std::fmt::Write as _;

use crate::disk::Chance;
use crate::world::{Twist, amount};

/// What the owners of one world are given to. Whoever asks for intents everywhere approves little,
/// so most worlds ask for none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) intents: bool,
    pub(crate) attestations: bool,
    counts: bool,
}

impl Habits {
    pub(crate) fn random(chance: &mut Chance) -> Self {
        Self {
            intents: chance.one_in(4),
            attestations: chance.one_in(6),
            counts: chance.one_in(2),
        }
    }
}

/// See the module. Absent is silent.
#[derive(Clone, Debug, Default)]
pub(crate) struct PastRules {
    /// Approvals by hour, by day, and for ever.
    pub(crate) counts: [Option<u32>; 3],
    pub(crate) expire_count: Option<u32>,
    pub(crate) expire_spend: Option<i64>,
    pub(crate) cooldown_minutes: Option<u32>,
    pub(crate) partial: Option<bool>,
    pub(crate) intent: Option<bool>,
    pub(crate) approval: Option<bool>,
    pub(crate) approve_below: Option<i64>,
    pub(crate) flags: Option<bool>,
    pub(crate) attest: Option<bool>,
    pub(crate) attest_minutes: Option<u32>,
}

fn count(chance: &mut Chance, up_to: u64) -> u32 {
    u32::try_from(1 + chance.below(up_to)).unwrap()
}

fn mostly(chance: &mut Chance, word: bool) -> Option<bool> {
    [None, Some(word), Some(word), Some(!word)][chance.index(4)]
}

impl PastRules {
    pub(crate) fn random(chance: &mut Chance, scale: i64, habits: Habits) -> Self {
        let mut rules = Self::default();
        for _ in 0..8 {
            rules.change(chance, scale, habits);
        }
        rules
    }

    /// One field anew.
    pub(crate) fn change(&mut self, chance: &mut Chance, scale: i64, habits: Habits) {
        let some = habits.counts;
        match chance.below(14) {
            0 => self.counts[0] = (some && chance.one_in(2)).then(|| count(chance, 3)),
            1 => self.counts[1] = (some && chance.one_in(2)).then(|| count(chance, 5)),
            2 => self.counts[2] = (some && chance.one_in(3)).then(|| count(chance, 12)),
            3 => self.expire_count = (some && chance.one_in(3)).then(|| count(chance, 8)),
            4 => self.expire_spend = chance.one_in(5).then(|| amount(chance, scale * 3)),
            5 => self.cooldown_minutes = chance.one_in(4).then(|| count(chance, 3)),
            6 | 7 => self.partial = mostly(chance, true),
            8 if habits.intents => self.intent = mostly(chance, true),
            9 if habits.intents => self.approval = mostly(chance, true),
            10 if habits.intents => {
                self.approve_below = chance.one_in(2).then(|| amount(chance, 60));
            }
            11 if habits.intents => self.flags = mostly(chance, true),
            12 if habits.attestations => self.attest = mostly(chance, true),
            13 if habits.attestations => {
                self.attest_minutes = chance.one_in(2).then(|| count(chance, 20));
            }
            _ => {}
        }
    }

    /// The fields that stand among the limits.
    pub(crate) fn counts(&self, twist: Twist) -> Vec<String> {
        let names = ["countPerHour", "countPerDay", "countTotal"];
        let counts = names.iter().zip(self.counts);
        let counts = counts.filter_map(|(name, count)| Some((name, twist.of_count(count?)?)));
        counts
            .map(|(name, count)| format!(r#""{name}":{count}"#))
            .collect()
    }

    /// All other fields, each behind a comma.
    pub(crate) fn render(&self, twist: Twist) -> String {
        let mut text = String::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                write!(text, r#","{name}":{value}"#).unwrap();
            }
        };
        fn of<T: ToString>(value: Option<T>) -> Option<String> {
            value.map(|value| value.to_string())
        }
        let ends = [
            ("count", of(self.expire_count)),
            ("spend", of(self.expire_spend)),
        ];
        let ends: Vec<String> = ends
            .into_iter()
            .filter_map(|(name, value)| Some(format!(r#""{name}":{}"#, value?)))
            .collect();
        let some_ends = !ends.is_empty();
        put(
            "expireAfter",
            some_ends.then(|| format!("{{{}}}", ends.join(","))),
        );
        let less = u32::from(twist == Twist::CooldownShort);
        put(
            "cooldownMinutes",
            of(self.cooldown_minutes.map(|it| it - less)),
        );
        let unasked = (twist == Twist::PartUnasked).then_some(true);
        let part = self.partial.or(unasked);
        put("allowPartial", of(part));
        put("requireIntent", of(self.intent));
        let approval = self.approval.filter(|_| twist != Twist::NobodyAsked);
        put("requireApproval", of(approval));
        put("autoApproveBelow", of(self.approve_below));
        let word = |flags| if flags { r#""flag""# } else { r#""decline""# };
        put("onIntentMismatch", of(self.flags.map(word)));
        put("requireAttestation", of(self.attest));
        let more = u32::from(twist == Twist::AttestationLong);
        put(
            "attestationWindowMinutes",
            of(self.attest_minutes.map(|it| it + more)),
        );
        text
    }
}
