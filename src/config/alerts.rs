//! `[alerts]` and `[risk]`: what owners are told of, and what freezes a card (behaviour 8.2).

use super::ConfigError;
use super::file::{AlertsFile, RiskFile};

/// When alerts are raised, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertsConfig {
    /// Of a limit, in percent; 0 raises none.
    pub limit_share_percent: i64,
    /// Declines of one card within ten minutes; 0 raises none.
    pub decline_storm_count: usize,
    /// How many times a card's usual amount; 0 raises none.
    pub spend_spike_factor: i64,
    /// For how many days they are shown; 0 for ever.
    pub kept_days: i64,
    /// Kinds of alerts that freeze the card.
    pub freeze_on: Vec<String>,
    /// Whether it is only told that the card would have been frozen.
    pub is_dry_run: bool,
    /// Whether nobody can say otherwise.
    pub stays_dry: bool,
}

impl AlertsConfig {
    /// Where a file rules, no row can freeze a card.
    #[must_use]
    pub fn of(self, rows_rule: bool) -> Self {
        Self {
            is_dry_run: self.is_dry_run || !rows_rule,
            stays_dry: self.stays_dry || !rows_rule,
            ..self
        }
    }
}

/// As long as the records of decisions, unless told otherwise. A share of a limit is told once for its
/// window, of which the longest are months.
const KEPT_DAYS_DEFAULT: i64 = 400;
const KEPT_DAYS_MIN: i64 = 32;
const KEPT_DAYS_MAX: i64 = 3_650;
/// The least and the most of each, beside 0 for never.
pub const SHARES: (i64, i64) = (1, 100);
/// The same of declines in a storm.
pub const STORMS: (i64, i64) = (2, 100);
/// The same of how many times the usual amount.
pub const SPIKES: (i64, i64) = (2, 1_000);
/// Alerts that can freeze a card.
pub const RISK_KINDS: [&str; 4] = [
    "decline_storm",
    "forced_posting",
    "merchant_drift",
    "spend_spike",
];
const FREEZE_ON_DEFAULT: [&str; 2] = ["decline_storm", "spend_spike"];

pub(super) fn read(
    alerts: &AlertsFile,
    risk: &RiskFile,
    place: &str,
) -> Result<AlertsConfig, ConfigError> {
    let within = |value: i64, (least, most): (i64, i64), key: &str| {
        if value == 0 || (least..=most).contains(&value) {
            return Ok(value);
        }
        let message = format!("must lie between {least} and {most}, or be 0 for never");
        Err(ConfigError::new(format!("{place}: alerts.{key}"), message))
    };
    let count = alerts.decline_storm_count.unwrap_or(10);
    let count = within(count, STORMS, "decline_storm_count")?;
    let default = || FREEZE_ON_DEFAULT.map(str::to_owned).to_vec();
    let freeze_on = risk.freeze_on.clone().unwrap_or_else(default);
    if let Some(at) = freeze_on.iter().position(|it| !RISK_KINDS.contains(&&**it)) {
        let message = format!("must be one of {}", RISK_KINDS.join(", "));
        let place = format!("{place}: risk.freeze_on[{at}]");
        return Err(ConfigError::new(place, message));
    }
    let share = alerts.limit_share_percent.unwrap_or(80);
    let factor = alerts.spend_spike_factor.unwrap_or(5);
    let kept_days = alerts.kept_days.unwrap_or(KEPT_DAYS_DEFAULT);
    Ok(AlertsConfig {
        kept_days: within(kept_days, (KEPT_DAYS_MIN, KEPT_DAYS_MAX), "kept_days")?,
        limit_share_percent: within(share, SHARES, "limit_share_percent")?,
        decline_storm_count: usize::try_from(count).unwrap_or(0),
        spend_spike_factor: within(factor, SPIKES, "spend_spike_factor")?,
        freeze_on,
        is_dry_run: risk.dry_run.unwrap_or(true),
        stays_dry: false,
    })
}
