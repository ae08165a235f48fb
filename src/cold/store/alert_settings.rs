//! What a customer wants of alerts and risk rules where it is not what the server is told (behaviour 8.2).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::StoreError;
use super::rows::{maybe_text, text, unknown};
use super::sql::Columns;

/// Its column.
pub(super) const COLUMN: &str = "
ALTER TABLE customers ADD COLUMN alerts TEXT;
";
/// By which they are found among all customers.
pub(super) const INDEX: &str = "
CREATE INDEX customers_with_alerts ON customers (id) WHERE alerts IS NOT NULL;
";
/// Those of all customers who want something.
pub(super) const ALL: &str = "SELECT id, alerts FROM customers WHERE alerts IS NOT NULL";

/// What is absent or null is as the server is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AlertSettings {
    /// The share of a limit that is told, in percent; 0 for never.
    #[schema(minimum = 0, maximum = 100)]
    pub limit_share_percent: Option<i64>,
    /// Declines of one card within ten minutes, from 2 on; 0 for never.
    #[schema(minimum = 0, maximum = 100)]
    pub decline_storm_count: Option<i64>,
    /// How many times a card's usual amount, from 2 on; 0 for never.
    #[schema(minimum = 0, maximum = 1_000)]
    pub spend_spike_factor: Option<i64>,
    /// Kinds of alerts that freeze the card: `decline_storm`, `forced_posting`, `merchant_drift`,
    /// `spend_spike`.
    #[schema(max_items = 4)]
    pub freeze_on: Option<Vec<String>>,
    /// Whether it is only told that a card would have been frozen.
    pub dry_run: Option<bool>,
}

/// As it is kept.
pub(super) fn kept(settings: Option<&AlertSettings>) -> Option<String> {
    // A struct of integers and texts always has a JSON form.
    settings.and_then(|it| serde_json::to_string(it).ok())
}

pub(super) fn of_row(row: &dyn Columns) -> Result<Option<AlertSettings>, StoreError> {
    let text = maybe_text(row, "alerts")?;
    let read = text.map(|text| serde_json::from_str(&text)).transpose();
    read.map_err(|_malformed| unknown("alerts"))
}

pub(super) fn with_id(row: &dyn Columns) -> Result<(String, AlertSettings), StoreError> {
    Ok((text(row, "id")?, of_row(row)?.unwrap_or_default()))
}
