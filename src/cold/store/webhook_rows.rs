//! Outgoing webhooks as rows.

use super::rows::{flag, instant, maybe_number, maybe_text, mode, number, text, unknown, word};
use super::sql::{Columns, Statement, Writing, most};
use super::webhook::{
    Alert, Channel, DeliveriesAsked, Delivery, DeliveryCount, DeliveryState, Due, Mark, Notice,
    Webhook, WebhookChange, sealed_names,
};
use super::{Listed, StoreError, nodes, review_links};
use crate::cold::webhooks::notice::family;
use crate::domain::time::Timestamp;

/// Their tables.
pub(super) const TABLES: &str = "
CREATE TABLE webhooks (
    id TEXT NOT NULL PRIMARY KEY,
    mode TEXT NOT NULL,
    customer_id TEXT REFERENCES customers (id),
    url TEXT NOT NULL,
    name TEXT,
    kinds TEXT NOT NULL,
    is_enabled INTEGER NOT NULL,
    disabled_because TEXT,
    previous_until_us INTEGER,
    failing_since_us INTEGER,
    is_full INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries (
    webhook_id TEXT NOT NULL REFERENCES webhooks (id),
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    due_us INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    tried_us INTEGER,
    last_status INTEGER,
    last_error TEXT,
    version INTEGER NOT NULL,
    PRIMARY KEY (webhook_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (webhook_id, state, due_us);
CREATE INDEX deliveries_by_state ON deliveries (webhook_id, state, id);
CREATE TABLE read_marks (
    reader TEXT NOT NULL PRIMARY KEY,
    segment INTEGER NOT NULL,
    sequence INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What owners wanted to know.
pub(super) const ALERTS: &str = "
CREATE TABLE alerts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    mode TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    card_id TEXT NOT NULL REFERENCES cards (id),
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    created_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alerts_of_customer ON alerts (customer_id, id);
";

/// Behind every id, in the order of texts.
const BEHIND_ALL: &str = "~";
pub(super) fn webhook(row: &dyn Columns) -> Result<Webhook, StoreError> {
    let kinds = text(row, "kinds")?;
    Ok(Webhook {
        id: text(row, "id")?,
        mode: mode(row)?,
        customer_id: maybe_text(row, "customer_id")?,
        channel: word(row, "channel", Channel::ALL.map(|it| (it.name(), it)))?,
        has_links: flag(row, "has_links")?,
        url: text(row, "url")?,
        name: maybe_text(row, "name")?,
        kinds: kinds.split_whitespace().map(str::to_owned).collect(),
        is_enabled: flag(row, "is_enabled")?,
        disabled_because: maybe_text(row, "disabled_because")?,
        previous_until: maybe_number(row, "previous_until_us")?.map(Timestamp::from_micros),
        failing_since: maybe_number(row, "failing_since_us")?.map(Timestamp::from_micros),
        is_full: flag(row, "is_full")?,
        dropped: number(row, "dropped")?,
        created_at: instant(row, "created_us")?,
        revision: number(row, "revision")?,
    })
}

pub(super) fn delivery(row: &dyn Columns) -> Result<Delivery, StoreError> {
    let attempts = u32::try_from(number(row, "attempts")?);
    let status = maybe_number(row, "last_status")?.map(u16::try_from);
    Ok(Delivery {
        webhook_id: text(row, "webhook_id")?,
        id: text(row, "id")?,
        kind: text(row, "kind")?,
        body: text(row, "body")?,
        state: word(row, "state", DeliveryState::ALL.map(|it| (it.name(), it)))?,
        created_at: instant(row, "created_us")?,
        due_at: instant(row, "due_us")?,
        attempts: attempts.map_err(|_too_large| unknown("attempts"))?,
        tried_at: maybe_number(row, "tried_us")?.map(Timestamp::from_micros),
        last_status: status
            .transpose()
            .map_err(|_too_large| unknown("last_status"))?,
        last_error: maybe_text(row, "last_error")?,
        version: number(row, "version")?,
    })
}

pub(super) fn delivery_count(row: &dyn Columns) -> Result<DeliveryCount, StoreError> {
    Ok(DeliveryCount {
        webhook_id: text(row, "webhook_id")?,
        state: word(row, "state", DeliveryState::ALL.map(|it| (it.name(), it)))?,
        count: number(row, "row_count")?,
        oldest_at: instant(row, "oldest_us")?,
    })
}

pub(super) fn is_due(row: &dyn Columns) -> Result<Due, StoreError> {
    Ok(Due {
        webhook_id: text(row, "id")?,
        is_failing: maybe_number(row, "failing_since_us")?.is_some(),
    })
}

pub(super) fn mark(row: &dyn Columns) -> Result<Mark, StoreError> {
    let whole = |column| u64::try_from(number(row, column)?).map_err(|_negative| unknown(column));
    Ok(Mark {
        segment: whole("segment")?,
        sequence: whole("sequence")?,
    })
}

/// Endpoints, newest first.
pub(super) fn listed(asked: Listed) -> Statement {
    let of_customer = "SELECT * FROM webhooks WHERE mode = $1 AND id < $2 AND customer_id = $3
         ORDER BY id DESC LIMIT $4";
    let all = "SELECT * FROM webhooks WHERE mode = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    newest_first(of_customer, all, asked)
}

/// A page by the statement for one customer's rows, or by that for everybody's.
fn newest_first(of_customer: &'static str, all: &'static str, asked: Listed) -> Statement {
    let after = asked.after.unwrap_or_else(|| BEHIND_ALL.to_owned());
    let statement = match asked.customer_id {
        Some(id) => Statement::of(of_customer)
            .bind(asked.mode.name())
            .bind(after)
            .bind(id),
        None => Statement::of(all).bind(asked.mode.name()).bind(after),
    };
    statement.bind(most(asked.limit))
}

/// Whom something waits for that is to be tried now.
pub(super) fn due(now: Timestamp) -> Statement {
    Statement::of(
        "SELECT id, failing_since_us FROM webhooks WHERE is_enabled = 1 AND EXISTS (
            SELECT 1 FROM deliveries WHERE webhook_id = webhooks.id AND state = 'waiting'
                AND due_us <= $1)",
    )
    .bind(now.micros())
}

/// By endpoint and state.
pub(super) fn counts() -> Statement {
    Statement::of(
        "SELECT webhook_id, state, COUNT(*) AS row_count, MIN(created_us) AS oldest_us
         FROM deliveries WHERE state <> 'done' GROUP BY webhook_id, state",
    )
}

pub(super) fn deliveries(asked: DeliveriesAsked) -> Statement {
    match asked {
        DeliveriesAsked::Due(webhook_id, now, limit) => Statement::of(
            "SELECT * FROM deliveries WHERE webhook_id = $1 AND state = 'waiting' AND due_us <= $2
             ORDER BY due_us LIMIT $3",
        )
        .bind(webhook_id)
        .bind(now.micros())
        .bind(most(limit)),
        DeliveriesAsked::One(webhook_id, id) => {
            Statement::of("SELECT * FROM deliveries WHERE webhook_id = $1 AND id = $2")
                .bind(webhook_id)
                .bind(id)
        }
        DeliveriesAsked::Of {
            webhook_id,
            state,
            after,
            limit,
        } => {
            let after = after.unwrap_or_else(|| BEHIND_ALL.to_owned());
            let statement = match state {
                None => Statement::of(
                    "SELECT * FROM deliveries WHERE webhook_id = $1 AND id < $2
                     ORDER BY id DESC LIMIT $3",
                )
                .bind(webhook_id)
                .bind(after),
                Some(state) => Statement::of(
                    "SELECT * FROM deliveries WHERE webhook_id = $1 AND id < $2 AND state = $3
                     ORDER BY id DESC LIMIT $4",
                )
                .bind(webhook_id)
                .bind(after)
                .bind(state.name()),
            };
            statement.bind(most(limit))
        }
    }
}

/// Makes a change.
///
/// # Errors
/// [`StoreError::Conflict`] where a row is not as its author has read it.
pub(super) async fn change(
    writing: &mut impl Writing,
    change: WebhookChange,
) -> Result<(), StoreError> {
    let must_touch = matches!(
        change,
        WebhookChange::Webhook(_)
            | WebhookChange::Again(_)
            | WebhookChange::LinkUsed(..)
            | WebhookChange::Read(..)
            | WebhookChange::ReadLog(..)
    );
    for statement in statements(change) {
        if writing.execute(statement).await? != 1 && must_touch {
            return Err(StoreError::Conflict);
        }
    }
    Ok(())
}

fn statements(change: WebhookChange) -> Vec<Statement> {
    match change {
        WebhookChange::Webhook(row) => vec![put(row)],
        WebhookChange::Gone(id) => gone(&id),
        WebhookChange::Told(notice) => told(notice),
        WebhookChange::ToldTo(webhook_id, notice) => vec![told_to(webhook_id, notice)],
        WebhookChange::Alert(row) => vec![new_alert(row)],
        WebhookChange::Tried(row) => vec![tried(row)],
        WebhookChange::Again(row) => vec![again(row)],
        WebhookChange::Failing(id, since) => vec![
            Statement::of("UPDATE webhooks SET failing_since_us = $1 WHERE id = $2")
                .bind(since.map(Timestamp::micros))
                .bind(id),
        ],
        WebhookChange::Disabled(id, because) => vec![
            Statement::of(
                "UPDATE webhooks SET is_enabled = 0, disabled_because = $1, revision = revision + 1
                 WHERE id = $2 AND is_enabled = 1",
            )
            .bind(because)
            .bind(id),
        ],
        WebhookChange::Full(id, is_full) => vec![
            Statement::of("UPDATE webhooks SET is_full = $1 WHERE id = $2")
                .bind(is_full)
                .bind(id),
        ],
        WebhookChange::TooOld(before) => vec![too_old(before)],
        WebhookChange::Forget(id, state, before, most) => forget(id, state, before, most),
        WebhookChange::ForgetAlerts(before) => vec![forget_alerts(before)],
        WebhookChange::Link(row) => vec![review_links::new(row)],
        WebhookChange::LinkUsed(hash, _, at) => vec![review_links::used(&hash, at)],
        WebhookChange::ForgetLinks(before) => vec![review_links::forget(before)],
        WebhookChange::ForgetLinksOf(webhook_id) => vec![review_links::forget_of(webhook_id)],
        WebhookChange::Read(reader, from, to) => vec![read(reader, from, to)],
        WebhookChange::ReadLog(reader, before, mark) => {
            vec![nodes::read_log(reader, before, mark)]
        }
    }
}

fn put(row: Webhook) -> Statement {
    // What the deliveries have told stays as it is, but for what the owner's word ends.
    let sql = if row.revision == 0 {
        "INSERT INTO webhooks (mode, customer_id, url, name, kinds, is_enabled, disabled_because,
            previous_until_us, created_us, id, revision, channel, has_links, is_full, dropped)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 + 1, $12, $13, 0, 0)"
    } else {
        "UPDATE webhooks SET mode = $1, customer_id = $2, url = $3, name = $4, kinds = $5,
            is_enabled = $6, disabled_because = $7, previous_until_us = $8, created_us = $9,
            failing_since_us = CASE WHEN is_enabled = $6 THEN failing_since_us ELSE NULL END,
            channel = $12, has_links = $13, revision = revision + 1
         WHERE id = $10 AND revision = $11"
    };
    // With a space on both sides of each.
    let kinds = format!(" {} ", row.kinds.join(" "));
    Statement::of(sql)
        .bind(row.mode.name())
        .bind(row.customer_id)
        .bind(row.url)
        .bind(row.name)
        .bind(kinds)
        .bind(row.is_enabled)
        .bind(row.disabled_because)
        .bind(row.previous_until.map(Timestamp::micros))
        .bind(row.created_at.micros())
        .bind(row.id)
        .bind(row.revision)
        .bind(row.channel.name())
        .bind(row.has_links)
}

fn gone(id: &str) -> Vec<Statement> {
    let sealed = sealed_names(id);
    let sealed = sealed
        .map(|name| Statement::of("DELETE FROM issuer_keys WHERE connection = $1").bind(name));
    let own = [
        "DELETE FROM review_links WHERE webhook_id = $1",
        "DELETE FROM deliveries WHERE webhook_id = $1",
        "DELETE FROM webhooks WHERE id = $1",
    ];
    let own = own.map(|sql| Statement::of(sql).bind(id));
    own.into_iter().chain(sealed).collect()
}

/// One delivery for each endpoint that wants it. For whom too much waits, it is counted.
fn told(notice: Notice) -> Vec<Statement> {
    let wanted = format!("% {} %", notice.kind);
    let family = format!("% {} %", family(notice.kind));
    let kept = Statement::of(
        "INSERT INTO deliveries (webhook_id, id, kind, body, state, created_us, due_us, attempts,
            version)
         SELECT id, $1, $2, $3, 'waiting', $4, $4, 0, 1 FROM webhooks
         WHERE mode = $5 AND is_enabled = 1 AND is_full = 0 AND (kinds LIKE $6 OR kinds LIKE $7)
            AND (customer_id IS NULL OR customer_id = $8)",
    )
    .bind(notice.id)
    .bind(notice.kind)
    .bind(notice.body)
    .bind(notice.at.micros())
    .bind(notice.mode.name())
    .bind(wanted.clone())
    .bind(family.clone())
    .bind(notice.customer_id.clone());
    let dropped = Statement::of(
        "UPDATE webhooks SET dropped = dropped + 1
         WHERE mode = $1 AND is_enabled = 1 AND is_full = 1 AND (kinds LIKE $2 OR kinds LIKE $3)
            AND (customer_id IS NULL OR customer_id = $4)",
    )
    .bind(notice.mode.name())
    .bind(wanted)
    .bind(family)
    .bind(notice.customer_id);
    vec![kept, dropped]
}

fn told_to(webhook_id: String, notice: Notice) -> Statement {
    Statement::of(
        "INSERT INTO deliveries (webhook_id, id, kind, body, state, created_us, due_us, attempts,
            version)
         VALUES ($1, $2, $3, $4, 'waiting', $5, $5, 0, 1)",
    )
    .bind(webhook_id)
    .bind(notice.id)
    .bind(notice.kind)
    .bind(notice.body)
    .bind(notice.at.micros())
}

fn new_alert(row: Alert) -> Statement {
    Statement::of(
        "INSERT INTO alerts (id, name, mode, customer_id, card_id, kind, body, created_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(row.id)
    .bind(row.name)
    .bind(row.mode.name())
    .bind(row.customer_id)
    .bind(row.card_id)
    .bind(row.kind)
    .bind(row.body)
    .bind(row.created_at.micros())
}

/// The oldest first; a name ends so where its limit has no window.
fn forget_alerts(before: String) -> Statement {
    Statement::of(
        "DELETE FROM alerts WHERE id IN (
            SELECT id FROM alerts
            WHERE id < $1 AND NOT (kind = 'limit_share' AND name LIKE '%:')
            ORDER BY id LIMIT 10000)",
    )
    .bind(before)
}

pub(super) fn alert(row: &dyn Columns) -> Result<Alert, StoreError> {
    Ok(Alert {
        id: text(row, "id")?,
        name: text(row, "name")?,
        mode: mode(row)?,
        customer_id: text(row, "customer_id")?,
        card_id: text(row, "card_id")?,
        kind: text(row, "kind")?,
        body: text(row, "body")?,
        created_at: instant(row, "created_us")?,
    })
}

/// Alerts, newest first.
pub(super) fn alerts(asked: Listed) -> Statement {
    let of_customer = "SELECT * FROM alerts WHERE mode = $1 AND id < $2 AND customer_id = $3
         ORDER BY id DESC LIMIT $4";
    let all = "SELECT * FROM alerts WHERE mode = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
    newest_first(of_customer, all, asked)
}

fn tried(row: Delivery) -> Statement {
    Statement::of(
        "UPDATE deliveries SET state = $1, due_us = $2, attempts = $3, tried_us = $4,
            last_status = $5, last_error = $6, version = version + 1
         WHERE webhook_id = $7 AND id = $8 AND version = $9",
    )
    .bind(row.state.name())
    .bind(row.due_at.micros())
    .bind(i64::from(row.attempts))
    .bind(row.tried_at.map(Timestamp::micros))
    .bind(row.last_status.map(i64::from))
    .bind(row.last_error)
    .bind(row.webhook_id)
    .bind(row.id)
    .bind(row.version)
}

/// What is being tried meanwhile is of the version before, and counts no more.
fn again(row: Delivery) -> Statement {
    Statement::of(
        "UPDATE deliveries SET state = 'waiting', due_us = $1, created_us = $1, attempts = 0,
            version = version + 1
         WHERE webhook_id = $2 AND id = $3",
    )
    .bind(row.due_at.micros())
    .bind(row.webhook_id)
    .bind(row.id)
}

fn too_old(before: Timestamp) -> Statement {
    Statement::of(
        "UPDATE deliveries SET state = 'dead', version = version + 1,
            last_error = COALESCE(last_error, 'it has waited too long')
         WHERE state = 'waiting' AND created_us < $1",
    )
    .bind(before.micros())
}

fn forget(id: String, state: DeliveryState, before: Timestamp, most: i64) -> Vec<Statement> {
    let by_age = "DELETE FROM deliveries WHERE webhook_id = $1 AND state = $2 AND created_us < $3";
    // Ids sort by age.
    let by_count = "DELETE FROM deliveries WHERE webhook_id = $1 AND state = $2 AND id <= (
            SELECT id FROM deliveries WHERE webhook_id = $1 AND state = $2
            ORDER BY id DESC LIMIT 1 OFFSET $3)";
    vec![
        Statement::of(by_age)
            .bind(id.clone())
            .bind(state.name())
            .bind(before.micros()),
        Statement::of(by_count)
            .bind(id)
            .bind(state.name())
            .bind(most),
    ]
}

fn read(reader: String, from: Mark, to: Mark) -> Statement {
    let whole = |number| i64::try_from(number).unwrap_or(i64::MAX);
    Statement::of(
        "INSERT INTO read_marks (reader, segment, sequence) VALUES ($1, $2, $3)
         ON CONFLICT (reader) DO UPDATE SET segment = excluded.segment,
            sequence = excluded.sequence
         WHERE read_marks.segment = $4 AND read_marks.sequence = $5",
    )
    .bind(reader)
    .bind(whole(to.segment))
    .bind(whole(to.sequence))
    .bind(whole(from.segment))
    .bind(whole(from.sequence))
}
