//! The tables, step by step. A step that was released is never changed; the next one follows it.
//!
//! A step is written once, in SQLite's words. PostgreSQL's are the same with three words exchanged
//! ([`for_postgres`]), so that no table can be of two shapes.

use super::{
    StoreError, access, alert_settings, errands, grants, ledger_row, nodes, people, purchases,
    review_links, set_aside, versions, webhook_rows,
};

/// Each leads from its place's number to the next one. The number is kept in the database.
pub(super) const STEPS: [&str; 22] = [
    FIRST,
    SECOND,
    errands::TABLES,
    AUDIT,
    webhook_rows::TABLES,
    LACKS_LOCK,
    webhook_rows::ALERTS,
    versions::TABLES,
    purchases::TABLES,
    HELD_MAX,
    ledger_row::TABLE,
    access::TABLES,
    alert_settings::COLUMN,
    purchases::IN_REVIEW,
    purchases::STANDING,
    alert_settings::INDEX,
    people::TABLES,
    grants::TABLES,
    set_aside::TABLE,
    review_links::TABLES,
    nodes::TABLES,
    purchases::GIVEN_UP,
];

/// Texts of ids sort by age: they are UUIDs of version 7 behind a prefix.
const FIRST: &str = "
CREATE TABLE customers (
    id TEXT NOT NULL PRIMARY KEY,
    mode TEXT NOT NULL,
    external_id TEXT,
    name TEXT,
    status TEXT NOT NULL,
    timezone TEXT NOT NULL,
    currency TEXT NOT NULL,
    cascade_kind TEXT NOT NULL,
    policy TEXT,
    created_us INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX customers_called ON customers (mode, external_id) WHERE external_id IS NOT NULL;
CREATE TABLE agents (
    id TEXT NOT NULL PRIMARY KEY,
    mode TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    external_id TEXT,
    name TEXT,
    status TEXT NOT NULL,
    policy TEXT,
    created_us INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX agents_of_customer ON agents (customer_id, id);
CREATE UNIQUE INDEX agents_called ON agents (customer_id, external_id)
    WHERE external_id IS NOT NULL;
CREATE TABLE cards (
    id TEXT NOT NULL PRIMARY KEY,
    mode TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    agent_id TEXT REFERENCES agents (id),
    connection TEXT NOT NULL,
    issuer_token TEXT NOT NULL,
    is_physical INTEGER NOT NULL,
    usage TEXT NOT NULL,
    status TEXT NOT NULL,
    is_frozen INTEGER NOT NULL,
    last4 TEXT,
    exp_month INTEGER,
    exp_year INTEGER,
    limit_amount INTEGER,
    limit_currency TEXT,
    limit_interval TEXT,
    policy TEXT,
    created_us INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX cards_of_customer ON cards (customer_id, id);
CREATE INDEX cards_of_agent ON cards (agent_id, id);
CREATE UNIQUE INDEX cards_at_issuer ON cards (connection, issuer_token);
CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    mode TEXT NOT NULL,
    scope TEXT NOT NULL,
    customer_id TEXT REFERENCES customers (id),
    agent_id TEXT REFERENCES agents (id),
    name TEXT,
    hash BLOB NOT NULL UNIQUE,
    created_us INTEGER NOT NULL,
    revoked_us INTEGER,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE replies (
    api_key_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    is_problem INTEGER NOT NULL,
    at_us INTEGER NOT NULL,
    PRIMARY KEY (api_key_id, idempotency_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX replies_by_age ON replies (at_us);
";

/// What agents say that they will do and are doing; what a customer's agents may have; what people
/// call a card.
const SECOND: &str = "
CREATE TABLE intents (
    id TEXT NOT NULL PRIMARY KEY,
    mode TEXT NOT NULL,
    card_id TEXT NOT NULL REFERENCES cards (id),
    called TEXT NOT NULL,
    purpose TEXT NOT NULL,
    expects TEXT NOT NULL,
    metadata TEXT,
    awaits_approval INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    decided_by TEXT,
    decided_us INTEGER,
    note TEXT,
    created_us INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX intents_called ON intents (card_id, called);
CREATE INDEX intents_of_card ON intents (card_id, id);
CREATE TABLE attestations (
    id TEXT NOT NULL PRIMARY KEY,
    mode TEXT NOT NULL,
    card_id TEXT NOT NULL REFERENCES cards (id),
    statement TEXT NOT NULL,
    intent TEXT,
    attested_by TEXT NOT NULL,
    created_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX attestations_of_card ON attestations (card_id, id);
ALTER TABLE customers ADD COLUMN agents_max INTEGER;
ALTER TABLE customers ADD COLUMN cards_per_agent_max INTEGER;
ALTER TABLE customers ADD COLUMN agent_may_create_cards INTEGER NOT NULL DEFAULT 0;
ALTER TABLE cards ADD COLUMN label TEXT;
";

/// The audit log. One row counts its entries, so that two who append wait for each other.
const AUDIT: &str = "
CREATE TABLE audit (
    seq INTEGER NOT NULL PRIMARY KEY,
    mode TEXT,
    entry TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE audit_head (
    seq INTEGER NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
INSERT INTO audit_head (seq) VALUES (0);
CREATE TABLE audit_checkpoints (
    seq INTEGER NOT NULL PRIMARY KEY,
    checkpoint TEXT NOT NULL,
    signature BLOB NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Whether a card's issuer does not hold the lock to its first merchant.
const LACKS_LOCK: &str = "
ALTER TABLE card_origins ADD COLUMN lacks_lock INTEGER NOT NULL DEFAULT 0;
";

/// How much may be held at one time over all of a customer's cards.
const HELD_MAX: &str = "
ALTER TABLE customers ADD COLUMN held_max INTEGER;
";

/// The step that a database of this version needs next; none where it is up to date.
///
/// # Errors
/// [`StoreError::Fault`] where a newer program has been at it.
pub(super) fn after(version: i64) -> Result<Option<&'static str>, StoreError> {
    let at = usize::try_from(version).unwrap_or(usize::MAX);
    if at > STEPS.len() {
        let why = format!(
            "its tables are of version {version}, and this program knows {} at most; run the \
             version that wrote them, or a newer one",
            STEPS.len()
        );
        return Err(StoreError::Fault(why));
    }
    Ok(STEPS.get(at).copied())
}

/// A step in PostgreSQL's words. Texts are ordered by their bytes there too, whatever the language of
/// the database is; its `INTEGER` has 32 bits.
pub(super) fn for_postgres(step: &str) -> String {
    step.replace(") STRICT, WITHOUT ROWID;", ");")
        .replace(" TEXT", " TEXT COLLATE \"C\"")
        .replace(" INTEGER", " BIGINT")
        .replace(" BLOB", " BYTEA")
}
