//! The rows by SQL: the statements once, whatever database carries them out.
//!
//! SQL is text that stands here and in `write`, in the words that SQLite and PostgreSQL share; values
//! are parameters, and there is no other way in. What differs between the two is a [`Driver`]: how a
//! connection is had, how a transaction begins, what an error means. `docs/decisions/0018` says why.

use super::access::{self, AccessRequest, AccessState};
use super::alert_settings::{self, AlertSettings};
use super::ledger_row::{self, LedgerRow};
use super::nodes::Nodes;
use super::outward::{CardOrigin, OutboxCounts, OutboxRow, SealedRow};
use super::people::People;
use super::purchases::{self, InAdvance, Purchase, PurchaseState, PurchaseWanted};
use super::review_links::ReviewLink;
use super::rows::{
    agent, api_key, attestation, card, checkpoint, count, customer, entry, intent, reply, seq,
};
use super::set_aside::{self, SetAside};
use super::versions::{PolicyVersion, VersionsAsked};
use super::webhook::{Alert, DeliveriesAsked, Delivery, DeliveryCount, Due, Mark, Webhook};
use super::{
    Agent, Answer, ApiKey, Attestation, Batch, Card, Customer, Intent, Listed, Mode, OfCard,
    OutboxAsked, ReplyKey, Store, StoreError, StoredReply, errands, review_links, versions,
    webhook_rows, write,
};
use crate::cold::audit::Entry;
use crate::cold::audit::line::Checkpoint;
use crate::domain::time::Timestamp;

mod value;

pub(super) use self::value::Value;

/// Behind every id, in the order of texts.
pub(super) const BEHIND_ALL: &str = "~";

/// SQL with its parameters, `$1` and on.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) sql: &'static str,
    pub(super) values: Vec<Value>,
}

impl Statement {
    pub(super) fn of(sql: &'static str) -> Self {
        let values = Vec::new();
        Self { sql, values }
    }

    /// The same with the next parameter.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }
}

/// A row, by the names of its columns.
pub(super) trait Columns {
    /// A text, or null.
    fn text(&self, column: &str) -> Result<Option<String>, StoreError>;
    /// An integer, or null.
    fn number(&self, column: &str) -> Result<Option<i64>, StoreError>;
    /// Bytes.
    fn bytes(&self, column: &str) -> Result<Vec<u8>, StoreError>;
}

/// Reads a value out of a row.
pub(super) type Read<T> = fn(&dyn Columns) -> Result<T, StoreError>;

/// What one database does in its own way.
pub(super) trait Driver: Send + Sync + 'static {
    /// A transaction that writes.
    type Writing: Writing;

    /// Rows as they are committed.
    fn rows<T: Send>(
        &self,
        asked: Statement,
        read: Read<T>,
    ) -> impl Future<Output = Result<Vec<T>, StoreError>> + Send;
    /// Begins a transaction that writes. What is not committed is taken back.
    fn begin(&self) -> impl Future<Output = Result<Self::Writing, StoreError>> + Send;
    /// Returns once it is known of every transaction whether it was kept.
    fn settled(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
    /// Ends every connection.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// A transaction that writes.
pub(super) trait Writing: Send {
    /// Carries a statement out: how many rows it touched.
    fn execute(
        &mut self,
        statement: Statement,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
    /// Rows, those of this transaction among them.
    fn rows<T: Send>(
        &mut self,
        asked: Statement,
        read: Read<T>,
    ) -> impl Future<Output = Result<Vec<T>, StoreError>> + Send;
    /// Takes everything back. Where a writing ends without a word, it is taken back too.
    fn roll_back(self) -> impl Future<Output = ()> + Send;
    /// Keeps everything, durably. After an error it is not known whether it is kept.
    fn commit(self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// What both databases say in sqlx's types: statements with their parameters bound, and rows.
macro_rules! speaks {
    ($database:ty, $arguments:ty, $row:ty) => {
        fn bound(
            statement: $crate::cold::store::sql::Statement,
        ) -> sqlx::query::Query<'static, $database, $arguments> {
            use $crate::cold::store::sql::Value;
            let query = sqlx::query::<$database>(statement.sql);
            let values = statement.values.into_iter();
            values.fold(query, |query, value| match value {
                Value::Text(text) => query.bind(text),
                Value::Number(number) => query.bind(number),
                Value::Bytes(bytes) => query.bind(bytes),
            })
        }

        impl $crate::cold::store::sql::Columns for $row {
            fn text(&self, column: &str) -> Result<Option<String>, StoreError> {
                Ok(sqlx::Row::try_get::<Option<String>, _>(self, column)?)
            }

            fn number(&self, column: &str) -> Result<Option<i64>, StoreError> {
                Ok(sqlx::Row::try_get::<Option<i64>, _>(self, column)?)
            }

            fn bytes(&self, column: &str) -> Result<Vec<u8>, StoreError> {
                Ok(sqlx::Row::try_get::<Vec<u8>, _>(self, column)?)
            }
        }
    };
}
pub(super) use speaks;

/// A page of a table, newest first, with one condition more or none.
macro_rules! page {
    ($table:literal) => {
        concat!(
            "SELECT * FROM ",
            $table,
            " WHERE mode = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
        )
    };
    ($table:literal, $column:literal) => {
        concat!(
            "SELECT * FROM ",
            $table,
            " WHERE mode = $1 AND id < $2 AND ",
            $column,
            " = $3 ORDER BY id DESC LIMIT $4"
        )
    };
    ($table:literal, $column:literal, $other:literal) => {
        concat!(
            "SELECT * FROM ",
            $table,
            " WHERE mode = $1 AND id < $2 AND ",
            $column,
            " = $3 AND ",
            $other,
            " = $4 ORDER BY id DESC LIMIT $5"
        )
    };
}

/// The statement of a list.
fn listed(listed: Listed, [all, of_customer, of_agent, of_both]: [&'static str; 4]) -> Statement {
    let sql = match (&listed.customer_id, &listed.agent_id) {
        (None, None) => all,
        (Some(_), None) => of_customer,
        (None, Some(_)) => of_agent,
        (Some(_), Some(_)) => of_both,
    };
    let after = listed.after.unwrap_or_else(|| BEHIND_ALL.to_owned());
    let start = Statement::of(sql).bind(listed.mode.name()).bind(after);
    let conditions = listed.customer_id.into_iter().chain(listed.agent_id);
    conditions
        .fold(start, Statement::bind)
        .bind(most(listed.limit))
}

fn of_card(sql: &'static str, asked: OfCard) -> Statement {
    let after = asked.after.unwrap_or_else(|| BEHIND_ALL.to_owned());
    Statement::of(sql)
        .bind(asked.card_id)
        .bind(after)
        .bind(most(asked.limit))
}

pub(super) fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Every row of a table behind an id, in the order of ids.
fn behind(sql: &'static str, after: String, limit: usize) -> Statement {
    Statement::of(sql).bind(after).bind(most(limit))
}

/// The store over one database or the other.
pub(super) struct SqlStore<D>(pub(super) D);

impl<D: Driver> SqlStore<D> {
    pub(super) async fn one<T: Send>(
        &self,
        asked: Statement,
        read: Read<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.0.rows(asked, read).await?.into_iter().next())
    }
}

impl<D: Driver> Store for SqlStore<D> {
    fn people(&self) -> &dyn People {
        self
    }

    fn nodes(&self) -> &dyn Nodes {
        self
    }

    fn api_key_by_hash(&self, hash: [u8; 32]) -> Answer<'_, Option<ApiKey>> {
        let asked = Statement::of("SELECT * FROM api_keys WHERE hash = $1").bind(hash.to_vec());
        Box::pin(self.one(asked, api_key))
    }

    fn api_key(&self, id: String) -> Answer<'_, Option<ApiKey>> {
        let asked = Statement::of("SELECT * FROM api_keys WHERE id = $1").bind(id);
        Box::pin(self.one(asked, api_key))
    }

    fn api_keys(&self, asked: Listed) -> Answer<'_, Vec<ApiKey>> {
        let asked = listed(
            asked,
            [
                page!("api_keys"),
                page!("api_keys", "customer_id"),
                page!("api_keys", "agent_id"),
                page!("api_keys", "customer_id", "agent_id"),
            ],
        );
        Box::pin(self.0.rows(asked, api_key))
    }

    fn customer(&self, id: String) -> Answer<'_, Option<Customer>> {
        let asked = Statement::of("SELECT * FROM customers WHERE id = $1").bind(id);
        Box::pin(self.one(asked, customer))
    }

    fn customer_called(&self, mode: Mode, external_id: String) -> Answer<'_, Option<Customer>> {
        let sql = "SELECT * FROM customers WHERE mode = $1 AND external_id = $2";
        let asked = Statement::of(sql).bind(mode.name()).bind(external_id);
        Box::pin(self.one(asked, customer))
    }

    fn customers(&self, mut asked: Listed) -> Answer<'_, Vec<Customer>> {
        // A customer has no agent above it.
        asked.agent_id = None;
        let with_id = page!("customers", "id");
        let asked = listed(asked, [page!("customers"), with_id, with_id, with_id]);
        Box::pin(self.0.rows(asked, customer))
    }

    fn agent(&self, id: String) -> Answer<'_, Option<Agent>> {
        let asked = Statement::of("SELECT * FROM agents WHERE id = $1").bind(id);
        Box::pin(self.one(asked, agent))
    }

    fn agent_called(&self, customer_id: String, external_id: String) -> Answer<'_, Option<Agent>> {
        let sql = "SELECT * FROM agents WHERE customer_id = $1 AND external_id = $2";
        let asked = Statement::of(sql).bind(customer_id).bind(external_id);
        Box::pin(self.one(asked, agent))
    }

    fn agents(&self, asked: Listed) -> Answer<'_, Vec<Agent>> {
        let asked = listed(
            asked,
            [
                page!("agents"),
                page!("agents", "customer_id"),
                page!("agents", "id"),
                page!("agents", "customer_id", "id"),
            ],
        );
        Box::pin(self.0.rows(asked, agent))
    }

    fn count_agents(&self, customer_id: String) -> Answer<'_, i64> {
        let sql = "SELECT COUNT(*) AS number FROM agents
             WHERE customer_id = $1 AND status <> 'disabled'";
        let asked = Statement::of(sql).bind(customer_id);
        Box::pin(async move { Ok(self.one(asked, count).await?.unwrap_or(0)) })
    }

    fn count_cards(&self, agent_id: String) -> Answer<'_, i64> {
        let sql = "SELECT COUNT(*) AS number FROM cards
             WHERE agent_id = $1 AND status <> 'canceled'";
        let asked = Statement::of(sql).bind(agent_id);
        Box::pin(async move { Ok(self.one(asked, count).await?.unwrap_or(0)) })
    }

    fn card(&self, id: String) -> Answer<'_, Option<Card>> {
        let asked = Statement::of("SELECT * FROM cards WHERE id = $1").bind(id);
        Box::pin(self.one(asked, card))
    }

    fn cards(&self, asked: Listed) -> Answer<'_, Vec<Card>> {
        let asked = listed(
            asked,
            [
                page!("cards"),
                page!("cards", "customer_id"),
                page!("cards", "agent_id"),
                page!("cards", "customer_id", "agent_id"),
            ],
        );
        Box::pin(self.0.rows(asked, card))
    }

    fn intent(&self, card_id: String, called: String) -> Answer<'_, Option<Intent>> {
        let sql = "SELECT * FROM intents WHERE card_id = $1 AND called = $2";
        let asked = Statement::of(sql).bind(card_id).bind(called);
        Box::pin(self.one(asked, intent))
    }

    fn intents(&self, asked: OfCard) -> Answer<'_, Vec<Intent>> {
        let sql = "SELECT * FROM intents WHERE card_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
        Box::pin(self.0.rows(of_card(sql, asked), intent))
    }

    fn attestations(&self, asked: OfCard) -> Answer<'_, Vec<Attestation>> {
        let sql =
            "SELECT * FROM attestations WHERE card_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
        Box::pin(self.0.rows(of_card(sql, asked), attestation))
    }

    fn policy_versions(&self, asked: VersionsAsked) -> Answer<'_, Vec<PolicyVersion>> {
        Box::pin(self.0.rows(versions::asked(asked), versions::version))
    }

    fn policy_version(&self, subject_id: String, number: u32) -> Answer<'_, Option<PolicyVersion>> {
        Box::pin(self.one(versions::one(subject_id, number), versions::version))
    }

    fn count_drafts(&self, subject_id: String) -> Answer<'_, i64> {
        let asked = versions::drafts(subject_id);
        Box::pin(async move { Ok(self.one(asked, count).await?.unwrap_or(0)) })
    }

    fn all_customers(&self, after: String, limit: usize) -> Answer<'_, Vec<Customer>> {
        let sql = "SELECT * FROM customers WHERE id > $1 ORDER BY id LIMIT $2";
        Box::pin(self.0.rows(behind(sql, after, limit), customer))
    }

    fn all_agents(&self, after: String, limit: usize) -> Answer<'_, Vec<Agent>> {
        let sql = "SELECT * FROM agents WHERE id > $1 ORDER BY id LIMIT $2";
        Box::pin(self.0.rows(behind(sql, after, limit), agent))
    }

    fn all_cards(&self, after: String, limit: usize) -> Answer<'_, Vec<Card>> {
        let sql = "SELECT * FROM cards WHERE id > $1 ORDER BY id LIMIT $2";
        Box::pin(self.0.rows(behind(sql, after, limit), card))
    }

    fn reply(&self, key: ReplyKey) -> Answer<'_, Option<StoredReply>> {
        let sql = "SELECT * FROM replies WHERE api_key_id = $1 AND idempotency_key = $2";
        let asked = Statement::of(sql)
            .bind(key.api_key_id)
            .bind(key.idempotency_key);
        Box::pin(self.one(asked, reply))
    }

    fn card_at(&self, connection: String, token: String) -> Answer<'_, Option<Card>> {
        let sql = "SELECT * FROM cards WHERE connection = $1 AND issuer_token = $2";
        let asked = Statement::of(sql).bind(connection).bind(token);
        Box::pin(self.one(asked, card))
    }

    fn outbox(&self, asked: OutboxAsked) -> Answer<'_, Vec<OutboxRow>> {
        Box::pin(self.0.rows(errands::outbox(asked), errands::outbox_row))
    }

    fn outbox_counts(&self) -> Answer<'_, OutboxCounts> {
        Box::pin(async move {
            let asked = errands::outbox_counts();
            let counts = self.0.rows(asked, errands::outbox_count).await?;
            let none = OutboxCounts::default();
            Ok(counts.into_iter().fold(none, OutboxCounts::plus))
        })
    }

    fn sealed(&self) -> Answer<'_, Vec<SealedRow>> {
        let asked = Statement::of("SELECT * FROM issuer_keys ORDER BY connection");
        Box::pin(self.0.rows(asked, errands::sealed_row))
    }

    fn sealed_as(&self, name: String) -> Answer<'_, Option<SealedRow>> {
        let asked = Statement::of("SELECT * FROM issuer_keys WHERE connection = $1").bind(name);
        Box::pin(self.one(asked, errands::sealed_row))
    }

    fn alert_settings(&self) -> Answer<'_, Vec<(String, AlertSettings)>> {
        let asked = Statement::of(alert_settings::ALL);
        Box::pin(self.0.rows(asked, alert_settings::with_id))
    }

    fn ledger(&self) -> Answer<'_, Option<LedgerRow>> {
        Box::pin(self.one(Statement::of(ledger_row::ROW), ledger_row::row))
    }

    fn webhook(&self, id: String) -> Answer<'_, Option<Webhook>> {
        let asked = Statement::of("SELECT * FROM webhooks WHERE id = $1").bind(id);
        Box::pin(self.one(asked, webhook_rows::webhook))
    }

    fn review_link(&self, hash: [u8; 32]) -> Answer<'_, Option<ReviewLink>> {
        Box::pin(self.one(review_links::of_hash(&hash), review_links::link))
    }

    fn webhooks(&self, asked: Listed) -> Answer<'_, Vec<Webhook>> {
        let asked = webhook_rows::listed(asked);
        Box::pin(self.0.rows(asked, webhook_rows::webhook))
    }

    fn all_webhooks(&self) -> Answer<'_, Vec<Webhook>> {
        let asked = Statement::of("SELECT * FROM webhooks ORDER BY id");
        Box::pin(self.0.rows(asked, webhook_rows::webhook))
    }

    fn webhooks_due(&self, now: Timestamp) -> Answer<'_, Vec<Due>> {
        Box::pin(self.0.rows(webhook_rows::due(now), webhook_rows::is_due))
    }

    fn deliveries(&self, asked: DeliveriesAsked) -> Answer<'_, Vec<Delivery>> {
        let asked = webhook_rows::deliveries(asked);
        Box::pin(self.0.rows(asked, webhook_rows::delivery))
    }

    fn delivery_counts(&self) -> Answer<'_, Vec<DeliveryCount>> {
        Box::pin(
            self.0
                .rows(webhook_rows::counts(), webhook_rows::delivery_count),
        )
    }

    fn alerts(&self, asked: Listed) -> Answer<'_, Vec<Alert>> {
        Box::pin(
            self.0
                .rows(webhook_rows::alerts(asked), webhook_rows::alert),
        )
    }

    fn is_alert(&self, name: String) -> Answer<'_, bool> {
        let asked = Statement::of("SELECT * FROM alerts WHERE name = $1").bind(name);
        Box::pin(async move { Ok(self.one(asked, webhook_rows::alert).await?.is_some()) })
    }

    fn read_mark(&self, reader: String) -> Answer<'_, Option<Mark>> {
        let asked = Statement::of("SELECT * FROM read_marks WHERE reader = $1").bind(reader);
        Box::pin(self.one(asked, webhook_rows::mark))
    }

    fn card_origin(&self, id: String) -> Answer<'_, Option<CardOrigin>> {
        let asked = Statement::of("SELECT * FROM card_origins WHERE card_id = $1").bind(id);
        Box::pin(self.one(asked, errands::origin_row))
    }

    fn set_aside_of(&self, card_id: String) -> Answer<'_, Vec<SetAside>> {
        Box::pin(self.0.rows(set_aside::of_card(card_id), set_aside::row))
    }

    fn set_aside_due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<SetAside>> {
        Box::pin(self.0.rows(set_aside::due(now, limit), set_aside::row))
    }

    fn access_request(&self, id: String) -> Answer<'_, Option<AccessRequest>> {
        Box::pin(self.one(access::one(id), access::request))
    }

    fn access_waiting(&self, agent_id: String) -> Answer<'_, Option<AccessRequest>> {
        Box::pin(self.one(access::waiting(agent_id), access::request))
    }

    fn access_requests(
        &self,
        listed: Listed,
        state: Option<AccessState>,
    ) -> Answer<'_, Vec<AccessRequest>> {
        Box::pin(self.0.rows(access::list(listed, state), access::request))
    }

    fn purchase(&self, wanted: PurchaseWanted) -> Answer<'_, Option<Purchase>> {
        Box::pin(self.one(purchases::one(wanted), purchases::row))
    }

    fn purchases(&self, listed: Listed, state: Option<PurchaseState>) -> Answer<'_, Vec<Purchase>> {
        Box::pin(self.0.rows(purchases::list(listed, state), purchases::row))
    }

    fn count_in_review(&self, agent_id: String, given_up_since: Timestamp) -> Answer<'_, i64> {
        let asked = purchases::in_review(agent_id, given_up_since);
        Box::pin(async move { Ok(self.one(asked, count).await?.unwrap_or(0)) })
    }

    fn purchases_due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<Purchase>> {
        Box::pin(self.0.rows(purchases::due(now, limit), purchases::row))
    }

    fn purchases_in_advance(&self, asked: InAdvance, limit: usize) -> Answer<'_, Vec<Purchase>> {
        let asked = purchases::in_advance(asked, limit);
        Box::pin(self.0.rows(asked, purchases::row))
    }

    fn apply(&self, batch: Batch) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut writing = self.0.begin().await?;
            match write::all(&mut writing, batch).await {
                Ok(()) => writing.commit().await,
                Err(error) => {
                    writing.roll_back().await;
                    Err(error)
                }
            }
        })
    }

    fn audit_entries(
        &self,
        after: i64,
        mode: Option<Mode>,
        limit: usize,
    ) -> Answer<'_, Vec<Entry>> {
        // What belongs to no mode is shown with what is live.
        let sql = match mode {
            None => "SELECT * FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2",
            Some(Mode::Test) => {
                "SELECT * FROM audit WHERE seq > $1 AND mode = 'test' ORDER BY seq LIMIT $2"
            }
            Some(Mode::Live) => {
                "SELECT * FROM audit WHERE seq > $1 AND (mode IS NULL OR mode = 'live')
                 ORDER BY seq LIMIT $2"
            }
        };
        let asked = Statement::of(sql).bind(after).bind(most(limit));
        Box::pin(self.0.rows(asked, entry))
    }

    fn audit_last(&self) -> Answer<'_, Option<Entry>> {
        let asked = Statement::of("SELECT * FROM audit ORDER BY seq DESC LIMIT 1");
        Box::pin(self.one(asked, entry))
    }

    fn audit_checkpoints(&self, after: i64, limit: usize) -> Answer<'_, Vec<Checkpoint>> {
        let sql = "SELECT * FROM audit_checkpoints WHERE seq > $1 ORDER BY seq LIMIT $2";
        let asked = Statement::of(sql).bind(after).bind(most(limit));
        Box::pin(self.0.rows(asked, checkpoint))
    }

    fn audit_covered(&self) -> Answer<'_, i64> {
        let sql = "SELECT seq FROM audit_checkpoints ORDER BY seq DESC LIMIT 1";
        Box::pin(async move { Ok(self.one(Statement::of(sql), seq).await?.unwrap_or_default()) })
    }

    fn forget_replies(&self, before: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move {
            let mut writing = self.0.begin().await?;
            let asked = Statement::of("DELETE FROM replies WHERE at_us < $1");
            writing.execute(asked.bind(before.micros())).await?;
            writing.commit().await
        })
    }

    fn settled(&self) -> Answer<'_, ()> {
        Box::pin(self.0.settled())
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            self.0.close().await;
            Ok(())
        })
    }
}
