//! When something is tried again.

use std::time::Duration;

const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 3_600;
/// After the first attempt in vain, the second and so on, in seconds. What has been tried so often in
/// vain, over about three days, is dead.
pub(super) const PAUSES_S: [i64; 10] = [
    5,
    30,
    2 * MINUTE_S,
    10 * MINUTE_S,
    30 * MINUTE_S,
    2 * HOUR_S,
    6 * HOUR_S,
    12 * HOUR_S,
    24 * HOUR_S,
    24 * HOUR_S,
];
/// An endpoint that was away is asked again after a second, two, four and so on up to a minute.
const REST_US: i64 = 1_000_000;
const REST_US_MAX: i64 = 60_000_000;
/// Up to this share of a pause is added by chance, so that not all ask in the same moment.
const JITTER_SHARE: i64 = 5;

/// How long after this many attempts in vain the next one is; none where there is none. A receiver
/// may ask for more patience.
pub(super) fn pause_us(attempts: u32, asked: Option<Duration>, chance: u64) -> Option<i64> {
    let at = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let full = PAUSES_S.get(at)?.saturating_mul(1_000_000);
    let asked = asked.map_or(0, |it| i64::try_from(it.as_micros()).unwrap_or(i64::MAX));
    let full = full.max(asked);
    let jitter = u64::try_from(full / JITTER_SHARE).unwrap_or(0);
    let jitter = chance % jitter.saturating_add(1);
    Some(full.saturating_add(i64::try_from(jitter).unwrap_or(0)))
}

/// How long an endpoint rests after this many rounds in vain.
pub(super) fn rest_us(rounds: u32) -> i64 {
    let doubled = rounds.saturating_sub(1).min(16);
    (REST_US << doubled).min(REST_US_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_in_vain_is_tried_over_three_days_and_then_dead() {
        let pauses: Vec<i64> = (1..=10).map(|it| pause_us(it, None, 0).unwrap()).collect();
        assert!(pauses.is_sorted());
        let hours = pauses.iter().sum::<i64>() / 3_600_000_000;
        assert_eq!(hours, 68);
        assert_eq!(pause_us(11, None, 0), None);
        assert_eq!(pause_us(0, None, 0), None);
        for (at, full) in pauses.iter().enumerate() {
            let attempts = u32::try_from(at + 1).unwrap();
            for chance in [0, 1, 12_345_678_901, u64::MAX] {
                let pause = pause_us(attempts, None, chance).unwrap();
                assert!((*full..=full + full / 5).contains(&pause), "{attempts}");
            }
        }
    }

    #[test]
    fn a_receiver_that_asks_for_patience_gets_it() {
        let asked = Some(Duration::from_secs(3_600));
        assert_eq!(pause_us(1, asked, 0), Some(3_600_000_000));
        assert_eq!(pause_us(8, asked, 0), Some(12 * 3_600_000_000));
        assert_eq!(pause_us(11, asked, 0), None);
    }

    #[test]
    fn an_endpoint_rests_longer_each_time_up_to_a_minute() {
        let seconds: Vec<i64> = (1..9).map(|it| rest_us(it) / 1_000_000).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(rest_us(u32::MAX), REST_US_MAX);
    }
}
