//! How often somebody may do something in a minute. Counted on this node, in minutes of the clock, and
//! forgotten with the process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::time::Timestamp;

/// Those whose times are remembered.
const KNOWN_MAX: usize = 10_000;
const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;

/// So often in a minute, each for itself.
pub(in crate::cold) struct PerMinute {
    most: u32,
    /// The minute, and how often in it.
    known: Mutex<HashMap<String, (i64, u32)>>,
}

impl PerMinute {
    pub(in crate::cold) fn new(most: u32) -> Self {
        let known = Mutex::default();
        Self { most, known }
    }

    /// Whether one more would be let through; it is not counted.
    ///
    /// # Errors
    /// As [`PerMinute::take`].
    pub(in crate::cold) fn has_room(&self, who: &str, now: Timestamp) -> Result<(), u32> {
        let minute = now.micros().div_euclid(MINUTE_US);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(who) {
            Some((of, count)) if *of == minute && *count >= self.most => Err(left_s(now)),
            Some(_) | None => Ok(()),
        }
    }

    /// Counts one more.
    ///
    /// # Errors
    /// Where that is too often: the seconds until it is not.
    pub(in crate::cold) fn take(&self, who: &str, now: Timestamp) -> Result<(), u32> {
        let minute = now.micros().div_euclid(MINUTE_US);
        let left_s = left_s(now);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.retain(|_, (of, _)| *of == minute);
        }
        // Where so many ask in one minute, it is nobody's ordinary use.
        if known.len() >= KNOWN_MAX && !known.contains_key(who) {
            return Err(left_s);
        }
        let (of, count) = known.entry(who.to_owned()).or_insert((minute, 0));
        if *of != minute {
            (*of, *count) = (minute, 0);
        }
        *count = count.saturating_add(1);
        if *count <= self.most {
            Ok(())
        } else {
            Err(left_s)
        }
    }
}

/// Until the minute is over.
fn left_s(now: Timestamp) -> u32 {
    let gone_s = now.micros().rem_euclid(MINUTE_US) / SECOND_US;
    u32::try_from(60 - gone_s).unwrap_or(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_too_often_is_told_when_the_minute_is_over() {
        let asks = PerMinute::new(3);
        let at = |second: i64| Timestamp::from_secs(1_800_000_000 + second);
        for second in 0..3 {
            assert_eq!(asks.take("a", at(second)), Ok(()));
        }
        assert_eq!(asks.has_room("a", at(3)), Err(57));
        assert_eq!(asks.has_room("a", at(60)), Ok(()), "and another minute");
        assert_eq!(asks.take("a", at(3)), Err(57));
        assert_eq!(asks.take("a", at(59)), Err(1));
        assert_eq!(asks.take("b", at(59)), Ok(()), "each for itself");
        assert_eq!(asks.take("a", at(60)), Ok(()));
    }

    #[test]
    fn where_too_many_ask_nobody_new_does_and_those_known_go_on() {
        let asks = PerMinute::new(3);
        let at = |second: i64| Timestamp::from_secs(1_800_000_000 + second);
        for who in 0..KNOWN_MAX {
            assert_eq!(asks.take(&who.to_string(), at(0)), Ok(()));
        }
        assert_eq!(asks.take("one more", at(1)), Err(59));
        assert_eq!(asks.take("7", at(1)), Ok(()));
        assert_eq!(asks.take("one more", at(60)), Ok(()));
    }
}
