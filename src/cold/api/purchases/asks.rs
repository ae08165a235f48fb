//! How often an agent asks, so that one that runs wild leaves room for the others (behaviour 7.1).

use crate::cold::api::problem::Problem;
use crate::cold::per_minute::PerMinute;
use crate::domain::time::Timestamp;

/// Messages at the door, and looks through the API, for each request to buy.
const LOOKS: u32 = 4;

/// What agents have asked in this minute.
pub(in crate::cold::api) struct Asks {
    /// Requests to buy, through both doors together; the same one again counts, too.
    buys_max: u32,
    to_buy: PerMinute,
    looks_max: u32,
    to_look: PerMinute,
}

impl Asks {
    /// So many requests to buy of one agent in a minute.
    pub(in crate::cold::api) fn new(buys_max: u32) -> Self {
        let looks_max = buys_max.saturating_mul(LOOKS);
        Self {
            buys_max,
            to_buy: PerMinute::new(buys_max),
            looks_max,
            to_look: PerMinute::new(looks_max),
        }
    }

    /// Counts a request to buy.
    ///
    /// # Errors
    /// `too_many_requests` where the agent asks too often.
    pub(super) fn to_buy(&self, agent: &str, now: Timestamp) -> Result<(), Problem> {
        let taken = self.to_buy.take(agent, now);
        taken.map_err(|after_s| Problem::too_many_requests(self.buys_max, after_s))
    }

    /// Counts anything else that an agent's key asks. Of other keys nobody counts.
    ///
    /// # Errors
    /// `too_many_requests` where the agent asks too often.
    pub(in crate::cold::api) fn to_look(
        &self,
        agent: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let taken = agent.map_or(Ok(()), |agent| self.to_look.take(agent, now));
        taken.map_err(|after_s| Problem::too_many_requests(self.looks_max, after_s))
    }
}
