//! `[purchases]`: how much one agent may ask, so that it leaves room for the others (behaviour 5.4, 7.1).

use super::ConfigError;
use super::file::PurchasesFile;

/// How much one agent may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PurchasesConfig {
    /// Requests to buy in a minute; of other questions four times as many.
    pub requests_per_minute_max: u32,
    /// Requests that wait for a human.
    pub reviews_waiting_max: i64,
}

const REQUESTS_DEFAULT: u32 = 600;
const REVIEWS_DEFAULT: i64 = 1_000;
const MOST: u32 = 1_000_000;

pub(super) fn read(typed: &PurchasesFile, place: &str) -> Result<PurchasesConfig, ConfigError> {
    let requests = typed.requests_per_minute_max.unwrap_or(REQUESTS_DEFAULT);
    let reviews = typed.reviews_waiting_max.unwrap_or(REVIEWS_DEFAULT);
    for (key, value) in [
        ("requests_per_minute_max", i64::from(requests)),
        ("reviews_waiting_max", reviews),
    ] {
        if !(1..=i64::from(MOST)).contains(&value) {
            let message = format!("must lie between 1 and {MOST}");
            return Err(ConfigError::new(
                format!("{place}: purchases.{key}"),
                message,
            ));
        }
    }
    Ok(PurchasesConfig {
        requests_per_minute_max: requests,
        reviews_waiting_max: reviews,
    })
}
