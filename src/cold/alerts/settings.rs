//! By which settings a customer's cards are watched.

use std::collections::HashMap;

use crate::cold::store::alert_settings::AlertSettings;
use crate::cold::store::{Store, StoreError};
use crate::config::AlertsConfig;
use crate::domain::time::Timestamp;

/// Between two looks at what customers want.
const READ_EVERY_US: i64 = 1_000_000;

/// The server's settings, and those of customers who want others.
pub(super) struct Settings {
    general: AlertsConfig,
    of_customers: HashMap<String, AlertsConfig>,
    read_at: Option<Timestamp>,
}

impl Settings {
    pub(super) fn new(general: AlertsConfig) -> Self {
        Self {
            general,
            of_customers: HashMap::new(),
            read_at: None,
        }
    }

    /// Reads what customers want, where the last look is long ago: as many rows as want something.
    pub(super) async fn refresh(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let is_new = |at: Timestamp| (0..READ_EVERY_US).contains(&now.micros_since(at));
        if self.read_at.is_some_and(is_new) {
            return Ok(());
        }
        let wanted = store.alert_settings().await?.into_iter();
        let merged = wanted.map(|(id, wants)| (id, merged(&self.general, wants)));
        self.of_customers = merged.collect();
        self.read_at = Some(now);
        Ok(())
    }

    pub(super) fn of(&self, customer: &str) -> &AlertsConfig {
        self.of_customers.get(customer).unwrap_or(&self.general)
    }
}

fn merged(general: &AlertsConfig, wants: AlertSettings) -> AlertsConfig {
    let storm = wants.decline_storm_count.map(usize::try_from);
    let storm = storm.and_then(Result::ok);
    AlertsConfig {
        limit_share_percent: wants
            .limit_share_percent
            .unwrap_or(general.limit_share_percent),
        decline_storm_count: storm.unwrap_or(general.decline_storm_count),
        spend_spike_factor: wants
            .spend_spike_factor
            .unwrap_or(general.spend_spike_factor),
        freeze_on: wants.freeze_on.unwrap_or_else(|| general.freeze_on.clone()),
        is_dry_run: general.stays_dry || wants.dry_run.unwrap_or(general.is_dry_run),
        ..general.clone()
    }
}
