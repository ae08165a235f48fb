//! What is counted while a run is under way.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::error::Error;
use crate::latency::Latency;
use crate::verdict::Verdict;

#[derive(Debug)]
pub(crate) struct Tally {
    /// The span whose requests are measured; the warm-up lies before it.
    window_ns: Range<u64>,
    pub(crate) sent: u64,
    pub(crate) replies: u64,
    pub(crate) replies_in_window: u64,
    pub(crate) approved: u64,
    pub(crate) declined: BTreeMap<String, u64>,
    pub(crate) non_200: BTreeMap<u16, u64>,
    pub(crate) faults: BTreeMap<String, u64>,
    /// From the intended send time to the end of the reply.
    pub(crate) latency: Latency,
    /// From the intended send time to the send: waiting for a free connection or for the generator.
    pub(crate) send_lag: Latency,
}

/// The three moments of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    pub(crate) intended_ns: u64,
    pub(crate) sent_ns: u64,
    pub(crate) done_ns: u64,
}

impl Tally {
    pub(crate) fn new(window_ns: Range<u64>) -> Result<Self, Error> {
        Ok(Self {
            window_ns,
            sent: 0,
            replies: 0,
            replies_in_window: 0,
            approved: 0,
            declined: BTreeMap::new(),
            non_200: BTreeMap::new(),
            faults: BTreeMap::new(),
            latency: Latency::new()?,
            send_lag: Latency::new()?,
        })
    }

    pub(crate) fn reply(&mut self, at: Moments, verdict: Verdict<'_>) {
        self.replies += 1;
        if self.window_ns.contains(&at.done_ns) {
            self.replies_in_window += 1;
        }
        if self.window_ns.contains(&at.intended_ns) {
            self.latency.record(at.intended_ns, at.done_ns);
            self.send_lag.record(at.intended_ns, at.sent_ns);
        }
        match verdict {
            Verdict::Approved => self.approved += 1,
            Verdict::Declined(result) => count(&mut self.declined, result.into_owned()),
            Verdict::NotOk(status) => count(&mut self.non_200, status),
            Verdict::Malformed => self.fault("reply is not understood".to_owned()),
            Verdict::Foreign => self.fault("reply to another authorization".to_owned()),
        }
    }

    pub(crate) fn fault(&mut self, text: String) {
        count(&mut self.faults, text);
    }

    /// Ends the window early: the prepared requests are used up.
    pub(crate) fn close_window(&mut self, at_ns: u64) {
        self.window_ns.end = self.window_ns.end.min(at_ns);
    }

    pub(crate) fn window_size_ns(&self) -> u64 {
        self.window_ns.end.saturating_sub(self.window_ns.start)
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    *counts.entry(key).or_default() += 1;
}
