//! The result of one run, in integers.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::latency::Quantiles;
use crate::usage::Usage;

/// A larger share of a core in other hands makes the figures those of the neighbours.
const DISTURBANCE_PERCENT_MAX: u64 = 5;

#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Measurement {
    pub(crate) connections: u64,
    /// Zero in a closed loop.
    pub(crate) offered_per_second: u64,
    pub(crate) requests_per_second: u64,
    pub(crate) window_ms: u64,
    /// True when the prepared requests did not last for the whole time asked for.
    pub(crate) cut_short: bool,
    pub(crate) scheduled: u64,
    pub(crate) sent: u64,
    pub(crate) replies: u64,
    pub(crate) approved: u64,
    pub(crate) declined: BTreeMap<String, u64>,
    pub(crate) non_200: BTreeMap<u16, u64>,
    pub(crate) faults: BTreeMap<String, u64>,
    pub(crate) duplicate_tokens: u64,
    pub(crate) latency: Quantiles,
    pub(crate) send_lag: Quantiles,
    /// Of the generator's thread over the whole run; an open loop spins, so there it is full.
    pub(crate) generator: Option<Usage>,
    /// Of all threads of the server, where it is a child of ours.
    pub(crate) server: Option<Usage>,
    /// At least this much of the server's core was spent on other work.
    pub(crate) server_core_foreign_percent: Option<u64>,
    pub(crate) seed: u64,
}

impl Measurement {
    /// How much of a core others had while it was needed, if that was too much.
    pub(crate) fn disturbed_percent(&self) -> Option<u64> {
        let waiting = self.generator.map(|usage| usage.waiting_percent);
        let disturbance = waiting.max(self.server_core_foreign_percent)?;
        (disturbance > DISTURBANCE_PERCENT_MAX).then_some(disturbance)
    }
}

#[cfg(test)]
mod tests {
    use super::{Measurement, Usage};

    #[test]
    fn either_core_can_be_disturbed() {
        let run = |waiting_percent, foreign| Measurement {
            generator: Some(Usage {
                busy_percent: 60,
                waiting_percent,
            }),
            server_core_foreign_percent: foreign,
            ..Measurement::default()
        };
        assert_eq!(run(5, Some(5)).disturbed_percent(), None);
        assert_eq!(run(6, None).disturbed_percent(), Some(6));
        assert_eq!(run(0, Some(30)).disturbed_percent(), Some(30));
        assert_eq!(Measurement::default().disturbed_percent(), None);
    }
}
