//! What issuers are to be told, their sealed keys, and where cards come from.

use sqlx::sqlite::{Sqlite, SqliteArguments, SqlitePool, SqliteRow};
use sqlx::{Row as _, query, query::Query};

use super::rows::{flag, instant, maybe_text, number, text, unknown, word};
use crate::cold::store::outward::{CardOrigin, Errand, OutboxCounts, OutboxRow, SealedRow};
use crate::cold::store::{OutboxAsked, StoreError};
use crate::domain::time::Timestamp;

type Statement = Query<'static, Sqlite, SqliteArguments>;

/// The tables.
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
PRAGMA user_version = 2;
";

fn outbox_row(row: &SqliteRow) -> Result<OutboxRow, StoreError> {
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

/// Asked for anew, a row is as if it had never been tried.
pub(super) fn put_outbox(row: OutboxRow) -> Statement {
    query(
        "INSERT INTO outbox (id, errand, card_id, connection, payload, created_us, due_us, attempts,
            is_dead, last_error, version)
         VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, NULL, 1)
         ON CONFLICT (id) DO UPDATE SET due_us = excluded.due_us, attempts = 0, is_dead = 0,
            last_error = NULL, version = version + 1",
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
    query(
        "UPDATE outbox SET due_us = ?, attempts = ?, is_dead = ?, last_error = ?
         WHERE id = ? AND version = ?",
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
    query("DELETE FROM outbox WHERE id = ? AND version = ?")
        .bind(id)
        .bind(version)
}

pub(super) fn sealed(row: SealedRow) -> Statement {
    query(
        "INSERT INTO issuer_keys (connection, master_id, wrapped, sealed, set_us)
         VALUES (?, ?, ?, ?, ?)
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
    query(
        "INSERT INTO card_origins (card_id, has_past, is_paused_there) VALUES (?, ?, ?)
         ON CONFLICT (card_id) DO UPDATE SET has_past = excluded.has_past,
            is_paused_there = excluded.is_paused_there",
    )
    .bind(row.card_id)
    .bind(row.has_past)
    .bind(row.is_paused_there)
}

pub(super) async fn outbox(
    pool: &SqlitePool,
    asked: OutboxAsked,
) -> Result<Vec<OutboxRow>, StoreError> {
    let of_all = "SELECT * FROM outbox WHERE id > ? AND is_dead >= ? ORDER BY id LIMIT ?";
    let most = |limit: usize| i64::try_from(limit).unwrap_or(i64::MAX);
    let asked = match asked {
        OutboxAsked::Due(connection, now, limit) => query::<Sqlite>(
            "SELECT * FROM outbox WHERE connection = ? AND is_dead = 0 AND due_us <= ?
             ORDER BY errand DESC, due_us LIMIT ?",
        )
        .bind(connection)
        .bind(now.micros())
        .bind(most(limit)),
        OutboxAsked::One(id) => query::<Sqlite>("SELECT * FROM outbox WHERE id = ?").bind(id),
        OutboxAsked::All(after, limit) => query::<Sqlite>(of_all)
            .bind(after)
            .bind(0)
            .bind(most(limit)),
        OutboxAsked::Dead(after, limit) => query::<Sqlite>(of_all)
            .bind(after)
            .bind(1)
            .bind(most(limit)),
    };
    let found = asked.fetch_all(pool).await?;
    found.iter().map(outbox_row).collect()
}

pub(super) async fn outbox_counts(pool: &SqlitePool) -> Result<OutboxCounts, StoreError> {
    let sql = "SELECT is_dead, COUNT(*) AS rows, MIN(created_us) AS oldest FROM outbox
               WHERE errand <> 'order' OR is_dead = 1 GROUP BY is_dead";
    let mut counts = OutboxCounts::default();
    for row in query::<Sqlite>(sql).fetch_all(pool).await? {
        if flag(&row, "is_dead")? {
            counts.dead = number(&row, "rows")?;
        } else {
            counts.waiting = number(&row, "rows")?;
            let oldest = number(&row, "oldest")?;
            counts.oldest_at = Some(Timestamp::from_micros(oldest));
        }
    }
    Ok(counts)
}

pub(super) async fn sealed_rows(pool: &SqlitePool) -> Result<Vec<SealedRow>, StoreError> {
    let found = query::<Sqlite>("SELECT * FROM issuer_keys ORDER BY connection")
        .fetch_all(pool)
        .await?;
    let read = |row: &SqliteRow| {
        Ok(SealedRow {
            connection: text(row, "connection")?,
            master_id: text(row, "master_id")?,
            wrapped: row.try_get::<Vec<u8>, _>("wrapped")?,
            sealed: row.try_get::<Vec<u8>, _>("sealed")?,
            set_at: instant(row, "set_us")?,
        })
    };
    found.iter().map(read).collect()
}

pub(super) async fn card_origin(
    pool: &SqlitePool,
    id: String,
) -> Result<Option<CardOrigin>, StoreError> {
    let asked = query::<Sqlite>("SELECT * FROM card_origins WHERE card_id = ?").bind(id);
    let found = asked.fetch_optional(pool).await?;
    let read = |row: &SqliteRow| {
        Ok(CardOrigin {
            card_id: text(row, "card_id")?,
            has_past: flag(row, "has_past")?,
            is_paused_there: flag(row, "is_paused_there")?,
        })
    };
    found.as_ref().map(read).transpose()
}
