//! The result of one run, in integers.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::latency::Quantiles;
use crate::usage::Usage;

/// A generator that waited longer than this for its core measured its neighbours.
const QUIET_WAITING_PERCENT: u64 = 5;

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
    pub(crate) seed: u64,
}

impl Measurement {
    /// How long the generator waited for its core, if that was too long.
    pub(crate) fn disturbed_percent(&self) -> Option<u64> {
        let waiting = self.generator?.waiting_percent;
        (waiting > QUIET_WAITING_PERCENT).then_some(waiting)
    }
}
