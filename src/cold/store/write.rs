//! Changes as statements.

use super::rows::{cascade_name, entry, seq, usage_name};
use super::sql::{Statement, Writing, most};
use super::{
    Agent, ApiKey, Attestation, Batch, Card, Change, Customer, Intent, StoreError, StoredReply,
    access, alert_settings, errands, ledger_row, nodes, people, purchases, set_aside, versions,
    webhook_rows,
};
use crate::cold::audit::line::Checkpoint;
use crate::cold::audit::{self, Entry, Event};
use crate::domain::amount::Minor;
use crate::domain::time::Timestamp;

/// Whether there may be no row for the change: somebody else has made a newer one meanwhile.
fn may_miss(change: &Change) -> bool {
    matches!(
        change,
        Change::OutboxTried(_) | Change::OutboxDone(..) | Change::SetAside(_)
    )
}

/// Makes all changes of a batch.
pub(super) async fn all(writing: &mut impl Writing, batch: Batch) -> Result<(), StoreError> {
    let mut chain = Chain::take(writing, &batch).await?;
    let rules = nodes::rules_of(&batch);
    for one in batch {
        change(writing, &mut chain, one).await?;
    }
    nodes::note(writing, rules).await
}

/// Makes a change: it touches one row, or it has met another one.
async fn change(
    writing: &mut impl Writing,
    chain: &mut Chain,
    change: Change,
) -> Result<(), StoreError> {
    let may_miss = may_miss(&change);
    let statement = match change {
        Change::Webhooks(change) => return webhook_rows::change(writing, *change).await,
        Change::People(change) => return people::change(writing, *change).await,
        Change::Customer(row) => customer(row),
        Change::Agent(row) => agent(row),
        Change::Card(row) => card(row),
        Change::ApiKey(row, hash) => new_api_key(row, hash),
        Change::ApiKeyChanged(row) => changed_api_key(row),
        Change::Reply(row) => reply(row),
        Change::Outbox(row) => errands::put_outbox(row),
        Change::OutboxTried(row) => errands::outbox_tried(row),
        Change::OutboxDone(id, version) => errands::outbox_done(id, version),
        Change::Sealed(row) => errands::sealed(row),
        Change::Origin(row) => errands::origin(row),
        Change::SetAside(change) => set_aside::put(change),
        Change::Intent(row) => intent(row),
        Change::Attestation(row) => attestation(row),
        Change::Purchase(row) => purchases::put(*row),
        Change::Access(row) => access::put(row),
        Change::PolicyVersion(row, before) => versions::put(row, before),
        Change::Audit(event) => new_entry(chain.append(&event)),
        Change::Checkpoint(row) => new_checkpoint(row),
        Change::Ledger(row, before) => ledger_row::put(row, before),
    };
    match writing.execute(statement).await? {
        1 => Ok(()),
        _ if may_miss => Ok(()),
        // The row is not of the revision that its author read.
        _ => Err(StoreError::Conflict),
    }
}

/// The end of the audit log, while a batch is written.
struct Chain {
    last_seq: i64,
    last_hash: [u8; 32],
}

impl Chain {
    /// Takes the places for all entries of a batch at once. Whoever else appends waits for the end of
    /// this transaction, since all change the one row that counts.
    async fn take(writing: &mut impl Writing, batch: &[Change]) -> Result<Self, StoreError> {
        let entries = batch.iter().filter(|it| matches!(it, Change::Audit(_)));
        let count = most(entries.count());
        let start = Self {
            last_seq: 0,
            last_hash: audit::BEFORE_ALL,
        };
        if count == 0 {
            return Ok(start);
        }
        let taken = Statement::of("UPDATE audit_head SET seq = seq + $1").bind(count);
        writing.execute(taken).await?;
        let heads = writing.rows(Statement::of("SELECT seq FROM audit_head"), seq);
        let &[head] = heads.await?.as_slice() else {
            return Err(broken("has not one head"));
        };
        let last_seq = head - count;
        if last_seq == 0 {
            return Ok(start);
        }
        let last = Statement::of("SELECT * FROM audit WHERE seq = $1").bind(last_seq);
        let last = writing.rows(last, entry).await?;
        let last = last.first().ok_or_else(|| broken("lacks its last entry"))?;
        Ok(Self {
            last_seq,
            last_hash: last.hash,
        })
    }

    /// The entry in the place behind the last one.
    fn append(&mut self, event: &Event) -> Entry {
        self.last_seq += 1;
        let entry = audit::entry(event, self.last_seq, &self.last_hash);
        self.last_hash = entry.hash;
        entry
    }
}

fn broken(why: &str) -> StoreError {
    StoreError::Fault(format!(
        "the audit log {why}; `countersign audit verify` says more"
    ))
}

fn new_entry(row: Entry) -> Statement {
    Statement::of("INSERT INTO audit (seq, mode, entry, hash) VALUES ($1, $2, $3, $4)")
        .bind(row.seq)
        .bind(row.mode)
        .bind(row.text)
        .bind(row.hash.to_vec())
}

fn new_checkpoint(row: Checkpoint) -> Statement {
    Statement::of("INSERT INTO audit_checkpoints (seq, checkpoint, signature) VALUES ($1, $2, $3)")
        .bind(row.seq)
        .bind(row.text)
        .bind(row.signature.to_vec())
}

fn intent(row: Intent) -> Statement {
    let sql = if row.revision == 0 {
        "INSERT INTO intents (card_id, called, purpose, expects, metadata, awaits_approval, expires_us,
            decided_by, decided_us, note, created_us, mode, id, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 + 1)"
    } else {
        "UPDATE intents SET card_id = $1, called = $2, purpose = $3, expects = $4, metadata = $5,
            awaits_approval = $6, expires_us = $7, decided_by = $8, decided_us = $9, note = $10,
            created_us = $11, mode = $12, revision = revision + 1
         WHERE id = $13 AND revision = $14"
    };
    Statement::of(sql)
        .bind(row.card_id)
        .bind(row.called)
        .bind(row.purpose)
        .bind(row.expects)
        .bind(row.metadata)
        .bind(row.awaits_approval)
        .bind(row.expires_at.micros())
        .bind(row.decided_by)
        .bind(row.decided_at.map(Timestamp::micros))
        .bind(row.note)
        .bind(row.created_at.micros())
        .bind(row.mode.name())
        .bind(row.id)
        .bind(row.revision)
}

fn attestation(row: Attestation) -> Statement {
    let sql =
        "INSERT INTO attestations (id, mode, card_id, statement, intent, attested_by, created_us)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    Statement::of(sql)
        .bind(row.id)
        .bind(row.mode.name())
        .bind(row.card_id)
        .bind(row.statement)
        .bind(row.intent)
        .bind(row.attested_by)
        .bind(row.created_at.micros())
}

fn customer(row: Customer) -> Statement {
    let sql = if row.revision == 0 {
        "INSERT INTO customers (external_id, name, status, timezone, currency, cascade_kind, policy,
            created_us, mode, agents_max, cards_per_agent_max, agent_may_create_cards,
            version_active, version_last, shadow_version, shadow_policy, held_max, alerts, id, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
            $20 + 1)"
    } else {
        "UPDATE customers SET external_id = $1, name = $2, status = $3, timezone = $4, currency = $5,
            cascade_kind = $6, policy = $7, created_us = $8, mode = $9, agents_max = $10,
            cards_per_agent_max = $11, agent_may_create_cards = $12, version_active = $13,
            version_last = $14, shadow_version = $15, shadow_policy = $16, held_max = $17,
            alerts = $18, revision = revision + 1
         WHERE id = $19 AND revision = $20"
    };
    let statement = Statement::of(sql)
        .bind(row.external_id)
        .bind(row.name)
        .bind(row.status.name())
        .bind(row.timezone)
        .bind(row.currency.to_string())
        .bind(cascade_name(row.cascade))
        .bind(row.policy)
        .bind(row.created_at.micros())
        .bind(row.mode.name())
        .bind(row.fleet.agents_max)
        .bind(row.fleet.cards_per_agent_max)
        .bind(row.fleet.agent_may_create_cards);
    versions::bind(statement, row.versions)
        .bind(row.fleet.held_max.map(Minor::get))
        .bind(alert_settings::kept(row.alerts.as_ref()))
        .bind(row.id)
        .bind(row.revision)
}

fn agent(row: Agent) -> Statement {
    let sql = if row.revision == 0 {
        "INSERT INTO agents (customer_id, external_id, name, status, policy, created_us, mode,
            version_active, version_last, shadow_version, shadow_policy, id, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 + 1)"
    } else {
        "UPDATE agents SET customer_id = $1, external_id = $2, name = $3, status = $4, policy = $5,
            created_us = $6, mode = $7, version_active = $8, version_last = $9, shadow_version = $10,
            shadow_policy = $11, revision = revision + 1
         WHERE id = $12 AND revision = $13"
    };
    let statement = Statement::of(sql)
        .bind(row.customer_id)
        .bind(row.external_id)
        .bind(row.name)
        .bind(row.status.name())
        .bind(row.policy)
        .bind(row.created_at.micros())
        .bind(row.mode.name());
    versions::bind(statement, row.versions)
        .bind(row.id)
        .bind(row.revision)
}

fn card(row: Card) -> Statement {
    let sql = if row.revision == 0 {
        "INSERT INTO cards (customer_id, agent_id, connection, issuer_token, is_physical, usage,
            status, is_frozen, last4, exp_month, exp_year, limit_amount, limit_currency,
            limit_interval, policy, created_us, mode, label, version_active, version_last,
            shadow_version, shadow_policy, id, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
            $20, $21, $22, $23, $24 + 1)"
    } else {
        "UPDATE cards SET customer_id = $1, agent_id = $2, connection = $3, issuer_token = $4,
            is_physical = $5, usage = $6, status = $7, is_frozen = $8, last4 = $9, exp_month = $10,
            exp_year = $11, limit_amount = $12, limit_currency = $13, limit_interval = $14, policy = $15,
            created_us = $16, mode = $17, label = $18, version_active = $19, version_last = $20,
            shadow_version = $21, shadow_policy = $22, revision = revision + 1
         WHERE id = $23 AND revision = $24"
    };
    let statement = Statement::of(sql)
        .bind(row.customer_id)
        .bind(row.agent_id)
        .bind(row.connection)
        .bind(row.issuer_token)
        .bind(row.is_physical)
        .bind(usage_name(row.usage))
        .bind(row.status.name())
        .bind(row.is_frozen)
        .bind(row.last4)
        .bind(row.exp_month.map(i64::from))
        .bind(row.exp_year.map(i64::from))
        .bind(row.limit.map(|limit| limit.amount.minor.get()))
        .bind(row.limit.map(|limit| limit.amount.currency.to_string()))
        .bind(row.limit.map(|limit| limit.interval.name()))
        .bind(row.policy)
        .bind(row.created_at.micros())
        .bind(row.mode.name())
        .bind(row.label);
    versions::bind(statement, row.versions)
        .bind(row.id)
        .bind(row.revision)
}

fn new_api_key(row: ApiKey, hash: [u8; 32]) -> Statement {
    Statement::of(
        "INSERT INTO api_keys (id, mode, scope, customer_id, agent_id, name, hash, created_us,
            revoked_us, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)",
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
    Statement::of(
        "UPDATE api_keys SET name = $1, revoked_us = $2, revision = revision + 1
         WHERE id = $3 AND revision = $4",
    )
    .bind(row.name)
    .bind(row.revoked_at.map(Timestamp::micros))
    .bind(row.id)
    .bind(row.revision)
}

fn reply(row: StoredReply) -> Statement {
    Statement::of(
        "INSERT INTO replies (api_key_id, idempotency_key, fingerprint, status, body, is_problem,
            at_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(row.key.api_key_id)
    .bind(row.key.idempotency_key)
    .bind(row.fingerprint.to_vec())
    .bind(i64::from(row.status))
    .bind(row.body)
    .bind(row.is_problem)
    .bind(row.at.micros())
}
