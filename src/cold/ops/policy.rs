//! A card's effective policy as it is shown: each value with the level that it comes from.

use serde::Serialize;

use crate::decide::effective::{EffectivePolicy, LeveledMccs};
use crate::decide::policy::Cascade;
use crate::domain::amount::Minor;
use crate::domain::card::Level;
use crate::domain::mcc::{Mcc, MccSet};

/// A value and the level that it comes from.
#[derive(Serialize)]
struct Leveled<T> {
    value: T,
    level: &'static str,
}

/// What is enforced on a card beside its limits on sums.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyView {
    cascade: &'static str,
    per_auth: Option<Leveled<i64>>,
    allowed_mccs: Vec<Leveled<Vec<String>>>,
    blocked_mccs: Vec<Leveled<Vec<String>>>,
    lock_to_first_merchant: Option<Leveled<bool>>,
}

impl PolicyView {
    pub(super) fn new(cascade: Cascade, policy: &EffectivePolicy<'_>) -> Self {
        let leveled = |(cap, level): (Minor, Level)| Leveled {
            value: cap.get(),
            level: level.name(),
        };
        Self {
            cascade: match cascade {
                Cascade::Tighten => "tighten",
                Cascade::Override => "override",
            },
            per_auth: policy.per_auth.map(leveled),
            allowed_mccs: policy.allowed_mccs.iter().map(list).collect(),
            blocked_mccs: policy.blocked_mccs.iter().map(list).collect(),
            lock_to_first_merchant: policy.lock_to_first_merchant.map(|level| Leveled {
                value: true,
                level: level.name(),
            }),
        }
    }
}

fn list(mccs: &LeveledMccs<'_>) -> Leveled<Vec<String>> {
    Leveled {
        value: ranges(mccs.mccs),
        level: mccs.level.name(),
    }
}

/// `5812` for one code, `3000-3350` for several in a row: as owners write them.
fn ranges(set: &MccSet) -> Vec<String> {
    let mut ranges: Vec<(Mcc, Mcc)> = Vec::new();
    let codes = (0..=9999).filter_map(|number| Mcc::from_number(number).ok());
    for code in codes.filter(|code| set.contains(*code)) {
        match ranges.last_mut() {
            Some((_, last)) if last.get() + 1 == code.get() => *last = code,
            _ => ranges.push((code, code)),
        }
    }
    let text = |(first, last): (Mcc, Mcc)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    ranges.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_in_a_row_are_shown_as_a_range() {
        let mcc = |n| Mcc::from_number(n).unwrap();
        let mut set = MccSet::new();
        for (first, last) in [(0, 1), (42, 42), (3000, 3350), (3351, 3351), (9999, 9999)] {
            set.insert_range(mcc(first), mcc(last));
        }
        assert_eq!(ranges(&set), ["0000-0001", "0042", "3000-3351", "9999"]);
        assert_eq!(ranges(&MccSet::new()), Vec::<String>::new());
    }
}
