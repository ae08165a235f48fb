//! What issuers are to be told, their sealed keys, and where cards come from, as rows.

use super::outward::{CardOrigin, Errand, OutboxCounts, OutboxRow, SealedRow};
use super::rows::{flag, instant, maybe_text, number, text, unknown, word};
use super::sql::{Columns, Statement, most};
use super::{OutboxAsked, StoreError};
use crate::domain::time::Timestamp;

/// Their tables.
pub(super) const TABLES: &str = "
CREATE TABLE outbox (
    id TEXT NOT NULL PRIMARY KEY,
    errand TEXT NOT NULL,
    card_id TEXT NOT NULL,
    connection TEXT NOT NULL,
    payload TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    due_us INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    is_dead INTEGER NOT NULL,
    last_error TEXT,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_due ON outbox (connection, is_dead, due_us);
CREATE TABLE issuer_keys (
    connection TEXT NOT NULL PRIMARY KEY,
    master_id TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    sealed BLOB NOT NULL,
    set_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE card_origins (
    card_id TEXT NOT NULL PRIMARY KEY REFERENCES cards (id),
    has_past INTEGER NOT NULL,
    is_paused_there INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

pub(super) fn outbox_row(row: &dyn Columns) -> Result<OutboxRow, StoreError> {
    let attempts = u32::try_from(number(row, "attempts")?);
    Ok(OutboxRow {
        id: text(row, "id")?,
        errand: word(row, "errand", Errand::ALL.map(|it| (it.name(), it)))?,
        card_id: text(row, "card_id")?,
        connection: text(row, "connection")?,
        payload: text(row, "payload")?,
        created_at: instant(row, "created_us")?,
        due_at: instant(row, "due_us")?,
        attempts: attempts.map_err(|_too_large| unknown("attempts"))?,
        is_dead: flag(row, "is_dead")?,
        last_error: maybe_text(row, "last_error")?,
        version: number(row, "version")?,
    })
}

pub(super) fn sealed_row(row: &dyn Columns) -> Result<SealedRow, StoreError> {
    Ok(SealedRow {
        connection: text(row, "connection")?,
        master_id: text(row, "master_id")?,
        wrapped: row.bytes("wrapped")?,
        sealed: row.bytes("sealed")?,
        set_at: instant(row, "set_us")?,
    })
}

pub(super) fn origin_row(row: &dyn Columns) -> Result<CardOrigin, StoreError> {
    Ok(CardOrigin {
        card_id: text(row, "card_id")?,
        has_past: flag(row, "has_past")?,
        is_paused_there: flag(row, "is_paused_there")?,
        lacks_lock: flag(row, "lacks_lock")?,
    })
}

/// Asked for anew, a row is as if it had never been tried.
pub(super) fn put_outbox(row: OutboxRow) -> Statement {
    Statement::of(
        "INSERT INTO outbox (id, errand, card_id, connection, payload, created_us, due_us, attempts,
            is_dead, last_error, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, NULL, 1)
         ON CONFLICT (id) DO UPDATE SET due_us = excluded.due_us, attempts = 0, is_dead = 0,
            last_error = NULL, version = outbox.version + 1",
    )
    .bind(row.id)
    .bind(row.errand.name())
    .bind(row.card_id)
    .bind(row.connection)
    .bind(row.payload)
    .bind(row.created_at.micros())
    .bind(row.due_at.micros())
}

/// Unless it was asked for anew in between.
pub(super) fn outbox_tried(row: OutboxRow) -> Statement {
    Statement::of(
        "UPDATE outbox SET due_us = $1, attempts = $2, is_dead = $3, last_error = $4
         WHERE id = $5 AND version = $6",
    )
    .bind(row.due_at.micros())
    .bind(i64::from(row.attempts))
    .bind(row.is_dead)
    .bind(row.last_error)
    .bind(row.id)
    .bind(row.version)
}

/// Unless it was asked for anew in between.
pub(super) fn outbox_done(id: String, version: i64) -> Statement {
    Statement::of("DELETE FROM outbox WHERE id = $1 AND version = $2")
        .bind(id)
        .bind(version)
}

pub(super) fn sealed(row: SealedRow) -> Statement {
    Statement::of(
        "INSERT INTO issuer_keys (connection, master_id, wrapped, sealed, set_us)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (connection) DO UPDATE SET master_id = excluded.master_id,
            wrapped = excluded.wrapped, sealed = excluded.sealed, set_us = excluded.set_us",
    )
    .bind(row.connection)
    .bind(row.master_id)
    .bind(row.wrapped)
    .bind(row.sealed)
    .bind(row.set_at.micros())
}

pub(super) fn origin(row: CardOrigin) -> Statement {
    Statement::of(
        "INSERT INTO card_origins (card_id, has_past, is_paused_there, lacks_lock)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (card_id) DO UPDATE SET has_past = excluded.has_past,
            is_paused_there = excluded.is_paused_there, lacks_lock = excluded.lacks_lock",
    )
    .bind(row.card_id)
    .bind(row.has_past)
    .bind(row.is_paused_there)
    .bind(row.lacks_lock)
}

pub(super) fn outbox(asked: OutboxAsked) -> Statement {
    let all = "SELECT * FROM outbox WHERE id > $1 AND is_dead >= $2 ORDER BY id LIMIT $3";
    match asked {
        OutboxAsked::Due(connection, now, limit) => Statement::of(
            "SELECT * FROM outbox WHERE connection = $1 AND is_dead = 0 AND due_us <= $2
             ORDER BY CASE errand WHEN 'rules' THEN 1 WHEN 'order' THEN 2 ELSE 0 END, due_us LIMIT $3",
        )
        .bind(connection)
        .bind(now.micros())
        .bind(most(limit)),
        OutboxAsked::One(id) => Statement::of("SELECT * FROM outbox WHERE id = $1").bind(id),
        OutboxAsked::All(after, limit) => {
            Statement::of(all).bind(after).bind(false).bind(most(limit))
        }
        OutboxAsked::Dead(after, limit) => {
            Statement::of(all).bind(after).bind(true).bind(most(limit))
        }
    }
}

/// By whether they are tried no more: how many, and the oldest. Orders wait by design, and so do ends
/// that have not been tried: they wait for their time.
pub(super) fn outbox_counts() -> Statement {
    Statement::of(
        "SELECT is_dead, COUNT(*) AS row_count, MIN(created_us) AS oldest_us FROM outbox
         WHERE errand IN ('state', 'rules', 'agent', 'customer') OR is_dead = 1
            OR (errand = 'end' AND attempts > 0)
         GROUP BY is_dead",
    )
}

pub(super) fn outbox_count(row: &dyn Columns) -> Result<OutboxCounts, StoreError> {
    let count = number(row, "row_count")?;
    if flag(row, "is_dead")? {
        return Ok(OutboxCounts {
            dead: count,
            ..OutboxCounts::default()
        });
    }
    let oldest = number(row, "oldest_us")?;
    Ok(OutboxCounts {
        waiting: count,
        dead: 0,
        oldest_at: Some(Timestamp::from_micros(oldest)),
    })
}

impl OutboxCounts {
    /// Of both.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            waiting: self.waiting + other.waiting,
            dead: self.dead + other.dead,
            oldest_at: self.oldest_at.or(other.oldest_at),
        }
    }
}
