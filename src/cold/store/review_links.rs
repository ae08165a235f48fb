//! Links that decide one purchase request once (behaviour 5.13), without their texts: only whoever got the
//! notice has those.

use super::StoreError;
use super::people::digest;
use super::rows::{instant, maybe_number, maybe_text, number, text};
use super::sql::{Columns, Statement};
use crate::domain::time::Timestamp;

/// Their table, and what an endpoint is since people are told too.
pub(super) const TABLES: &str = "
ALTER TABLE webhooks ADD COLUMN channel TEXT NOT NULL DEFAULT 'webhook';
ALTER TABLE webhooks ADD COLUMN has_links INTEGER NOT NULL DEFAULT 0;
CREATE TABLE review_links (
    hash BLOB NOT NULL PRIMARY KEY,
    purchase_id TEXT NOT NULL REFERENCES purchases (id),
    purchase_version INTEGER NOT NULL,
    webhook_id TEXT NOT NULL REFERENCES webhooks (id),
    user_id TEXT REFERENCES users (id),
    ends_us INTEGER NOT NULL,
    used_us INTEGER,
    created_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX review_links_by_end ON review_links (ends_us);
CREATE INDEX review_links_of_webhook ON review_links (webhook_id);
";

/// One link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewLink {
    /// Keyed hash of its text.
    pub hash: [u8; 32],
    /// What it decides.
    pub purchase_id: String,
    /// The version that the notice tells of: no other one is decided.
    pub purchase_version: i64,
    /// Through which endpoint it was sent.
    pub webhook_id: String,
    /// To whom; absent where it went to a chat.
    pub user_id: Option<String>,
    /// It decides nothing from then on.
    pub ends_at: Timestamp,
    /// When it has decided.
    pub used_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

pub(super) fn link(row: &dyn Columns) -> Result<ReviewLink, StoreError> {
    Ok(ReviewLink {
        hash: digest(row, "hash")?,
        purchase_id: text(row, "purchase_id")?,
        purchase_version: number(row, "purchase_version")?,
        webhook_id: text(row, "webhook_id")?,
        user_id: maybe_text(row, "user_id")?,
        ends_at: instant(row, "ends_us")?,
        used_at: maybe_number(row, "used_us")?.map(Timestamp::from_micros),
        created_at: instant(row, "created_us")?,
    })
}

pub(super) fn of_hash(hash: &[u8; 32]) -> Statement {
    Statement::of("SELECT * FROM review_links WHERE hash = $1").bind(hash.to_vec())
}

pub(super) fn new(row: ReviewLink) -> Statement {
    Statement::of(
        "INSERT INTO review_links (hash, purchase_id, purchase_version, webhook_id, user_id, ends_us,
            created_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (hash) DO NOTHING",
    )
    .bind(row.hash.to_vec())
    .bind(row.purchase_id)
    .bind(row.purchase_version)
    .bind(row.webhook_id)
    .bind(row.user_id)
    .bind(row.ends_at.micros())
    .bind(row.created_at.micros())
}

pub(super) fn used(hash: &[u8; 32], at: Timestamp) -> Statement {
    // Looked at once more here: what it rests on may have changed while its form was being sent.
    Statement::of(
        "UPDATE review_links SET used_us = $1
         WHERE hash = $2 AND used_us IS NULL AND ends_us > $1
            AND EXISTS (SELECT 1 FROM webhooks WHERE webhooks.id = review_links.webhook_id
                AND is_enabled = 1 AND has_links = 1)
            AND (user_id IS NULL OR EXISTS (SELECT 1 FROM users
                WHERE users.id = review_links.user_id AND disabled_us IS NULL))",
    )
    .bind(at.micros())
    .bind(hash.to_vec())
}

pub(super) fn forget_of(webhook_id: String) -> Statement {
    Statement::of("DELETE FROM review_links WHERE webhook_id = $1").bind(webhook_id)
}

pub(super) fn forget(before: Timestamp) -> Statement {
    Statement::of("DELETE FROM review_links WHERE ends_us < $1").bind(before.micros())
}
