//! Latency counted from the intended send time.
//!
//! A generator that starts its stopwatch when it gets to send hides the wait behind a stalled
//! server. Here each value is `done - intended`, so one stall of a second shows in every request
//! that should have been sent during it.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::error::Error;

/// One minute; anything longer is shown as this.
const LATENCY_NS_MAX: u64 = 60_000_000_000;
/// Three significant digits: an error of at most 0.1 %.
const DIGITS: u8 = 3;

#[derive(Debug)]
pub(crate) struct Latency {
    histogram: Histogram<u64>,
}

/// What is reported, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) p999_ns: u64,
    pub(crate) max_ns: u64,
}

impl Latency {
    pub(crate) fn new() -> Result<Self, Error> {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS)
            .map_err(|fault| Error::Usage(format!("bounds of the histogram: {fault}")))?;
        Ok(Self { histogram })
    }

    pub(crate) fn record(&mut self, intended_ns: u64, done_ns: u64) {
        self.histogram
            .saturating_record(done_ns.saturating_sub(intended_ns));
    }

    pub(crate) fn quantiles(&self) -> Quantiles {
        let at = |quantile| self.histogram.value_at_quantile(quantile);
        Quantiles {
            p50_ns: at(0.5),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: self.histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Latency;

    const MILLISECOND: u64 = 1_000_000;

    #[test]
    fn a_stall_shows_in_every_request_that_was_due_during_it() {
        // One request per millisecond for a second; the server answers in 0.1 ms, but stands still
        // from 400 ms to 500 ms.
        let mut latency = Latency::new().unwrap();
        for index in 0..1_000 {
            let intended = index * MILLISECOND;
            let stalled = (400..500).contains(&index);
            let done = if stalled { 500 * MILLISECOND } else { intended } + MILLISECOND / 10;
            latency.record(intended, done);
        }
        let quantiles = latency.quantiles();
        assert!(quantiles.p50_ns < MILLISECOND, "{quantiles:?}");
        assert!(quantiles.p99_ns > 85 * MILLISECOND, "{quantiles:?}");
        assert!(quantiles.max_ns >= 100 * MILLISECOND, "{quantiles:?}");
    }

    #[test]
    fn a_reply_before_its_intended_time_counts_as_zero() {
        let mut latency = Latency::new().unwrap();
        latency.record(10, 5);
        assert_eq!(latency.quantiles().max_ns, 0);
    }
}
