//! How often an agent asks, so that one that runs wild leaves room for the others (behaviour 7.1).

use crate::cold::api::problem::Problem;
use crate::cold::per_minute::PerMinute;
use crate::domain::time::Timestamp;

/// Requests to buy, through both doors together; the same one again counts, too.
const TO_BUY_MAX: u32 = 60;
/// Messages at the door, and looks through the API.
const TO_LOOK_MAX: u32 = 240;

/// What agents have asked in this minute.
pub(in crate::cold::api) struct Asks {
    to_buy: PerMinute,
    to_look: PerMinute,
}

impl Default for Asks {
    fn default() -> Self {
        Self {
            to_buy: PerMinute::new(TO_BUY_MAX),
            to_look: PerMinute::new(TO_LOOK_MAX),
        }
    }
}

impl Asks {
    /// Counts a request to buy.
    ///
    /// # Errors
    /// `too_many_requests` where the agent asks too often.
    pub(super) fn to_buy(&self, agent: &str, now: Timestamp) -> Result<(), Problem> {
        let taken = self.to_buy.take(agent, now);
        taken.map_err(|after_s| Problem::too_many_requests(TO_BUY_MAX, after_s))
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
        taken.map_err(|after_s| Problem::too_many_requests(TO_LOOK_MAX, after_s))
    }
}
