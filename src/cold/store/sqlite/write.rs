//! A batch as one transaction.

use sqlx::query;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection, SqlitePool};

use super::outward;
use super::rows::{cascade_name, usage_name};
use crate::cold::store::{Agent, ApiKey, Batch, Card, Change, Customer, StoreError, StoredReply};
use crate::domain::time::Timestamp;

type Statement = Query<'static, Sqlite, SqliteArguments>;

/// Keeps all of it or nothing. Nothing is waited for in here but the database.
pub(super) async fn apply(pool: &SqlitePool, batch: Batch) -> Result<(), StoreError> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    for change in batch {
        // An error drops the transaction, which takes back what was done.
        write(&mut transaction, change).await?;
    }
    Ok(transaction.commit().await?)
}

async fn write(connection: &mut SqliteConnection, change: Change) -> Result<(), StoreError> {
    // Rows that others may have changed lawfully, so that there may be none left to write.
    let mut may_miss = false;
    let written = match change {
        Change::Customer(row) => customer(row),
        Change::Agent(row) => agent(row),
        Change::Card(row) => card(row),
        Change::ApiKey(row, hash) => new_api_key(row, hash),
        Change::ApiKeyChanged(row) => changed_api_key(row),
        Change::Reply(row) => reply(row),
        Change::Outbox(row) => outward::put_outbox(row),
        Change::OutboxTried(row) => {
            may_miss = true;
            outward::outbox_tried(row)
        }
        Change::OutboxDone(id, version) => {
            may_miss = true;
            outward::outbox_done(id, version)
        }
        Change::Sealed(row) => outward::sealed(row),
        Change::Origin(row) => outward::origin(row),
    };
    let done = written.execute(connection).await?;
    if done.rows_affected() == 1 || may_miss {
        Ok(())
    } else {
        // The row is not of the revision that its author read.
        Err(StoreError::Conflict)
    }
}

fn customer(row: Customer) -> Statement {
    let sql = if row.revision == 0 {
        "INSERT INTO customers (external_id, name, status, timezone, currency, cascade_kind, policy,
            created_us, mode, id, revision)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? + 1)"
    } else {
        "UPDATE customers SET external_id = ?, name = ?, status = ?, timezone = ?, currency = ?,
            cascade_kind = ?, policy = ?, created_us = ?, mode = ?, revision = revision + 1
         WHERE id = ? AND revision = ?"
    };
    query(sql)
        .bind(row.external_id)
        .bind(row.name)
        .bind(row.status.name())
        .bind(row.timezone)
        .bind(row.currency.to_string())
        .bind(cascade_name(row.cascade))
        .bind(row.policy)
        .bind(row.created_at.micros())
        .bind(row.mode.name())
        .bind(row.id)
        .bind(row.revision)
}

fn agent(row: Agent) -> Statement {
    let sql = if row.revision == 0 {
        "INSERT INTO agents (customer_id, external_id, name, status, policy, created_us, mode, id,
            revision)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ? + 1)"
    } else {
        "UPDATE agents SET customer_id = ?, external_id = ?, name = ?, status = ?, policy = ?,
            created_us = ?, mode = ?, revision = revision + 1
         WHERE id = ? AND revision = ?"
    };
    query(sql)
        .bind(row.customer_id)
        .bind(row.external_id)
        .bind(row.name)
        .bind(row.status.name())
        .bind(row.policy)
        .bind(row.created_at.micros())
        .bind(row.mode.name())
        .bind(row.id)
        .bind(row.revision)
}

fn card(row: Card) -> Statement {
    let sql = if row.revision == 0 {
        "INSERT INTO cards (customer_id, agent_id, connection, issuer_token, is_physical, usage,
            status, is_frozen, last4, exp_month, exp_year, limit_amount, limit_currency,
            limit_interval, policy, created_us, mode, id, revision)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? + 1)"
    } else {
        "UPDATE cards SET customer_id = ?, agent_id = ?, connection = ?, issuer_token = ?,
            is_physical = ?, usage = ?, status = ?, is_frozen = ?, last4 = ?, exp_month = ?,
            exp_year = ?, limit_amount = ?, limit_currency = ?, limit_interval = ?, policy = ?,
            created_us = ?, mode = ?, revision = revision + 1
         WHERE id = ? AND revision = ?"
    };
    query(sql)
        .bind(row.customer_id)
        .bind(row.agent_id)
        .bind(row.connection)
        .bind(row.issuer_token)
        .bind(row.is_physical)
        .bind(usage_name(row.usage))
        .bind(row.status.name())
        .bind(row.is_frozen)
        .bind(row.last4)
        .bind(row.exp_month)
        .bind(row.exp_year)
        .bind(row.limit.map(|limit| limit.amount.minor.get()))
        .bind(row.limit.map(|limit| limit.amount.currency.to_string()))
        .bind(row.limit.map(|limit| limit.interval.name()))
        .bind(row.policy)
        .bind(row.created_at.micros())
        .bind(row.mode.name())
        .bind(row.id)
        .bind(row.revision)
}

fn new_api_key(row: ApiKey, hash: [u8; 32]) -> Statement {
    query(
        "INSERT INTO api_keys (id, mode, scope, customer_id, agent_id, name, hash, created_us,
            revoked_us, revision)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
    )
    .bind(row.id)
    .bind(row.mode.name())
    .bind(row.scope.name())
    .bind(row.customer_id)
    .bind(row.agent_id)
    .bind(row.name)
    .bind(hash.to_vec())
    .bind(row.created_at.micros())
    .bind(row.revoked_at.map(Timestamp::micros))
}

/// What a key may do never changes; its name and its end do.
fn changed_api_key(row: ApiKey) -> Statement {
    query(
        "UPDATE api_keys SET name = ?, revoked_us = ?, revision = revision + 1
         WHERE id = ? AND revision = ?",
    )
    .bind(row.name)
    .bind(row.revoked_at.map(Timestamp::micros))
    .bind(row.id)
    .bind(row.revision)
}

fn reply(row: StoredReply) -> Statement {
    query(
        "INSERT INTO replies (api_key_id, idempotency_key, fingerprint, status, body, is_problem,
            at_us)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row.key.api_key_id)
    .bind(row.key.idempotency_key)
    .bind(row.fingerprint.to_vec())
    .bind(i64::from(row.status))
    .bind(row.body)
    .bind(row.is_problem)
    .bind(row.at.micros())
}
