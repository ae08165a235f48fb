//! What operators see: records of decisions, cards, health.

#[cfg(test)]
#[path = "ops_admin/limits.rs"]
mod limits;
#[cfg(test)]
#[path = "ops_admin/records.rs"]
mod records;
#[cfg(test)]
#[path = "ops_admin/reload.rs"]
mod reload;
#[cfg(test)]
#[path = "ops_admin/retention.rs"]
mod retention;
#[cfg(test)]
#[path = "ops_admin/router.rs"]
mod router;
#[cfg(test)]
#[path = "ops_admin/standing.rs"]
mod standing;
#[cfg(test)]
#[path = "ops_admin/store.rs"]
mod store;
#[cfg(test)]
#[path = "ops_admin/time.rs"]
mod time;
