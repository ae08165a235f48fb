//! What is set aside for cards whose issuer never asks (behaviour 4.8). The rows and their table.

use super::StoreError;
use super::rows::{instant, maybe_text, number, text};
use super::sql::{Columns, Statement, most};
use crate::domain::amount::{Amount, Minor};
use crate::domain::currency::Currency;
use crate::domain::time::Timestamp;

/// One row for each earmark of a card: the first, and one more each time its limit was raised.
pub(super) const TABLE: &str = "
CREATE TABLE set_aside (
    called TEXT NOT NULL PRIMARY KEY,
    card_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    agent_id TEXT,
    connection TEXT NOT NULL,
    minor INTEGER NOT NULL,
    currency TEXT NOT NULL,
    is_held INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    due_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX set_aside_of_card ON set_aside (card_id, called);
";

/// One earmark.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct SetAside {
    /// Its name in the ledger.
    pub called: String,
    pub card_id: String,
    /// The row of the outbox that keeps the card's order until the card is kept.
    pub order_id: String,
    pub customer_id: String,
    pub agent_id: Option<String>,
    pub connection: String,
    pub amount: Amount,
    /// Whether the ledger is known to hold it. It may where a crash has kept the answer back.
    pub is_held: bool,
    pub created_at: Timestamp,
    /// When it is looked at next, once its card is over.
    pub due_at: Timestamp,
}

pub(super) fn row(row: &dyn Columns) -> Result<SetAside, StoreError> {
    let fault = |what: &str| StoreError::Fault(format!("set_aside has another {what} than may be"));
    let currency = Currency::parse(&text(row, "currency")?);
    let minor = Minor::new(number(row, "minor")?);
    Ok(SetAside {
        called: text(row, "called")?,
        card_id: text(row, "card_id")?,
        order_id: text(row, "order_id")?,
        customer_id: text(row, "customer_id")?,
        agent_id: maybe_text(row, "agent_id")?,
        connection: text(row, "connection")?,
        amount: Amount {
            minor: minor.map_err(|_out_of_range| fault("amount"))?,
            currency: currency.map_err(|_unknown| fault("currency"))?,
        },
        is_held: number(row, "is_held")? != 0,
        created_at: instant(row, "created_us")?,
        due_at: instant(row, "due_us")?,
    })
}

/// A new one, or what is known of one by now.
pub(super) fn put(row: SetAside) -> Statement {
    let sql = "INSERT INTO set_aside (called, card_id, order_id, customer_id, agent_id, connection,
            minor, currency, created_us, due_us, is_held)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (called) DO UPDATE SET due_us = EXCLUDED.due_us, is_held = EXCLUDED.is_held";
    Statement::of(sql)
        .bind(row.called)
        .bind(row.card_id)
        .bind(row.order_id)
        .bind(row.customer_id)
        .bind(row.agent_id)
        .bind(row.connection)
        .bind(row.amount.minor.get())
        .bind(row.amount.currency.to_string())
        .bind(row.created_at.micros())
        .bind(row.due_at.micros())
        .bind(row.is_held)
}

/// Takes one away.
pub(super) fn over(called: String) -> Statement {
    Statement::of("DELETE FROM set_aside WHERE called = $1").bind(called)
}

/// Those of a card, oldest first.
pub(super) fn of_card(card_id: String) -> Statement {
    let sql = "SELECT * FROM set_aside WHERE card_id = $1 ORDER BY created_us, called";
    Statement::of(sql).bind(card_id)
}

/// Those whose card is canceled, or was never made and is ordered no more.
pub(super) fn due(now: Timestamp, limit: usize) -> Statement {
    let sql = "SELECT s.* FROM set_aside s LEFT JOIN cards c ON c.id = s.card_id
         WHERE s.due_us <= $1 AND (c.status = 'canceled' OR (c.id IS NULL
            AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.id = s.order_id)))
         ORDER BY s.due_us LIMIT $2";
    Statement::of(sql).bind(now.micros()).bind(most(limit))
}
