//! How many connections fit into the shortest budget (behaviour 3.3).
//!
//! A connection has one request under way. If all of them ask at once, the last one waits for the work
//! of all the others on its thread, and that must end well inside the budget: by half of it, so that
//! the other half is left for a disk that is slow and a thread that is held up.

use super::ConfigError;

/// What a request takes of its hot thread from its first byte to the last of its answer, in
/// microseconds: 20 measured (docs/performance.md), and a quarter on top.
const REQUEST_COST_US: u64 = 25;
/// More is not useful: issuers keep few connections.
const DEFAULT_MAX: u64 = 12_000;

/// The most connections that a process holds open, given the shortest budget.
pub(super) fn max(
    typed: Option<usize>,
    budget_ms: u32,
    threads: usize,
    place: &str,
) -> Result<usize, ConfigError> {
    let half_us = u64::from(budget_ms) * 1_000 / 2;
    let threads = u64::try_from(threads).unwrap_or(u64::MAX);
    let fit = (half_us / REQUEST_COST_US).saturating_mul(threads).max(1);
    let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    match typed {
        None => Ok(count(fit.min(DEFAULT_MAX))),
        Some(0) => Err(ConfigError::new(place, "must be at least 1")),
        Some(typed) if typed <= count(fit) => Ok(typed),
        Some(_) => {
            let message = format!(
                "must be at most {fit}: with more, requests of all connections at once would take \
                 longer ({REQUEST_COST_US} \u{b5}s each on {threads} threads) than half of the shortest \
                 deadline_ms, {budget_ms}"
            );
            Err(ConfigError::new(place, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_half_the_budget_has_work_for() {
        let max = |typed, budget_ms, threads| max(typed, budget_ms, threads, "place");
        assert_eq!(max(None, 300, 1), Ok(6_000));
        assert_eq!(max(None, 300, 2), Ok(12_000));
        assert_eq!(max(None, 5_000, 8), Ok(12_000), "enough for everybody");
        assert_eq!(max(None, 1, 1), Ok(20));
        assert_eq!(max(Some(6_000), 300, 1), Ok(6_000));
        assert_eq!(max(Some(50_000), 5_000, 1), Ok(50_000));
        let refused = max(Some(6_001), 300, 1).unwrap_err();
        assert!(refused.message.contains("at most 6000"), "{refused}");
        assert!(max(Some(0), 300, 1).is_err());
    }
}
