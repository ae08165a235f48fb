//! What a customer wants of alerts, as it is checked (behaviour 8.2).

use super::problem::Problem;
use crate::cold::store::alert_settings::AlertSettings;
use crate::config::{RISK_KINDS, SHARES, SPIKES, STORMS};

/// The settings, where each is one that an alert can go by.
pub(super) fn checked(settings: Option<AlertSettings>) -> Result<Option<AlertSettings>, Problem> {
    let Some(wanted) = &settings else {
        return Ok(None);
    };
    for (field, value, (least, most)) in [
        (
            "alerts.limitSharePercent",
            wanted.limit_share_percent,
            SHARES,
        ),
        (
            "alerts.declineStormCount",
            wanted.decline_storm_count,
            STORMS,
        ),
        ("alerts.spendSpikeFactor", wanted.spend_spike_factor, SPIKES),
    ] {
        if value.is_some_and(|it| it != 0 && !(least..=most).contains(&it)) {
            let message = format!("must be from {least} to {most}, or 0 for never");
            return Err(Problem::invalid_field(field, message));
        }
    }
    let kinds = wanted.freeze_on.as_deref().unwrap_or_default();
    let is_kind = |it: &String| RISK_KINDS.contains(&&**it);
    if kinds.len() > RISK_KINDS.len() || !kinds.iter().all(is_kind) {
        let message = format!("must be of {}", RISK_KINDS.join(", "));
        return Err(Problem::invalid_field("alerts.freezeOn", message));
    }
    Ok(settings)
}
