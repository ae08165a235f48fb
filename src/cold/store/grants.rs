//! What people have allowed programs to do in an agent's name (behaviour 7.1): registered programs,
//! grants, and the codes and tokens of each. The rows and their tables.

use super::people::digest;
use super::rows::{MODES, instant, maybe_number, maybe_text, text, word};
use super::sql::{BEHIND_ALL, Columns, Statement, most};
use super::{Listed, Mode, StoreError};
use crate::domain::time::Timestamp;

/// Tokens are kept until they end by themselves, so that one that was used is known again.
pub(super) const TABLES: &str = "
CREATE TABLE oauth_clients (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    uri TEXT,
    redirect_uris TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    used_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE oauth_grants (
    id TEXT NOT NULL PRIMARY KEY,
    mode TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    customer_id TEXT NOT NULL REFERENCES customers (id),
    agent_id TEXT NOT NULL REFERENCES agents (id),
    client_id TEXT NOT NULL,
    client_name TEXT,
    resource TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    revoked_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_grants_of_agent ON oauth_grants (agent_id, id);
CREATE INDEX oauth_grants_of_customer ON oauth_grants (customer_id, id);
CREATE INDEX oauth_grants_of_client ON oauth_grants (client_id);
CREATE TABLE oauth_tokens (
    hash BLOB NOT NULL PRIMARY KEY,
    grant_id TEXT NOT NULL REFERENCES oauth_grants (id),
    kind TEXT NOT NULL,
    challenge TEXT,
    redirect_uri TEXT,
    expires_us INTEGER NOT NULL,
    used_us INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_tokens_of_grant ON oauth_tokens (grant_id);
CREATE INDEX oauth_tokens_by_end ON oauth_tokens (expires_us);
";

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;
/// A program that registered and was never let in is forgotten after a day, any other long after it
/// was let in last.
const UNUSED_KEPT_US: i64 = DAY_US;
const USED_KEPT_US: i64 = 400 * DAY_US;

/// Grants that are in force at the instant of a parameter, of people who stand for them: those of
/// `User::stands_for`.
macro_rules! in_force {
    ($now:literal) => {
        concat!(
            "oauth_grants.revoked_us IS NULL AND oauth_grants.expires_us > ",
            $now,
            " AND users.disabled_us IS NULL AND oauth_grants.created_us > users.password_us"
        )
    };
}

/// A program that has registered itself (RFC 7591). What it says of itself is data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Client {
    pub id: String,
    pub name: Option<String>,
    /// Its page.
    pub uri: Option<String>,
    /// Where its users are sent back to, one a line.
    pub redirect_uris: String,
    pub created_at: Timestamp,
    /// When somebody last let it in.
    pub used_at: Option<Timestamp>,
}

/// One person's word that a program may act as one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Grant {
    pub id: String,
    pub mode: Mode,
    pub user_id: String,
    pub customer_id: String,
    pub agent_id: String,
    pub client_id: String,
    pub client_name: Option<String>,
    /// For which address its tokens are good (RFC 8707).
    pub resource: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

/// What a text of OAuth is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An authorization code.
    Code,
    /// Opens the agents' door.
    Access,
    /// Gets the next two.
    Refresh,
}

impl TokenKind {
    const ALL: [Self; 3] = [Self::Code, Self::Access, Self::Refresh];

    /// The word in columns.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Access => "access",
            Self::Refresh => "refresh",
        }
    }
}

/// A code or token, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Token {
    pub hash: [u8; 32],
    pub grant_id: String,
    pub kind: TokenKind,
    /// Of a code: the hash of what whoever asked has to show (RFC 7636).
    pub challenge: Option<String>,
    /// Of a code: where it was sent.
    pub redirect_uri: Option<String>,
    pub expires_at: Timestamp,
    /// Codes and refresh tokens are good once.
    pub used_at: Option<Timestamp>,
}

pub(super) fn client(row: &dyn Columns) -> Result<Client, StoreError> {
    Ok(Client {
        id: text(row, "id")?,
        name: maybe_text(row, "name")?,
        uri: maybe_text(row, "uri")?,
        redirect_uris: text(row, "redirect_uris")?,
        created_at: instant(row, "created_us")?,
        used_at: maybe_number(row, "used_us")?.map(Timestamp::from_micros),
    })
}

pub(super) fn grant(row: &dyn Columns) -> Result<Grant, StoreError> {
    Ok(Grant {
        id: text(row, "id")?,
        mode: word(row, "mode", MODES)?,
        user_id: text(row, "user_id")?,
        customer_id: text(row, "customer_id")?,
        agent_id: text(row, "agent_id")?,
        client_id: text(row, "client_id")?,
        client_name: maybe_text(row, "client_name")?,
        resource: text(row, "resource")?,
        created_at: instant(row, "created_us")?,
        expires_at: instant(row, "expires_us")?,
        revoked_at: maybe_number(row, "revoked_us")?.map(Timestamp::from_micros),
    })
}

pub(super) fn token(row: &dyn Columns) -> Result<Token, StoreError> {
    Ok(Token {
        hash: digest(row, "hash")?,
        grant_id: text(row, "grant_id")?,
        kind: word(row, "kind", TokenKind::ALL.map(|it| (it.name(), it)))?,
        challenge: maybe_text(row, "challenge")?,
        redirect_uri: maybe_text(row, "redirect_uri")?,
        expires_at: instant(row, "expires_us")?,
        used_at: maybe_number(row, "used_us")?.map(Timestamp::from_micros),
    })
}

pub(super) fn client_of(id: String) -> Statement {
    Statement::of("SELECT * FROM oauth_clients WHERE id = $1").bind(id)
}

pub(super) fn clients() -> Statement {
    Statement::of("SELECT COUNT(*) AS number FROM oauth_clients")
}

pub(super) fn grant_of(id: String) -> Statement {
    Statement::of("SELECT * FROM oauth_grants WHERE id = $1").bind(id)
}

pub(super) fn token_of(hash: [u8; 32]) -> Statement {
    Statement::of("SELECT * FROM oauth_tokens WHERE hash = $1").bind(hash.to_vec())
}

pub(super) fn list(listed: Listed, now: Timestamp) -> Statement {
    Statement::of(concat!(
        "SELECT oauth_grants.* FROM oauth_grants JOIN users ON users.id = oauth_grants.user_id
         WHERE oauth_grants.mode = $1 AND oauth_grants.id < $2
            AND ($3 = '' OR oauth_grants.customer_id = $3)
            AND ($4 = '' OR oauth_grants.agent_id = $4)
            AND ",
        in_force!("$5"),
        " ORDER BY oauth_grants.id DESC LIMIT $6",
    ))
    .bind(listed.mode.name())
    .bind(listed.after.unwrap_or_else(|| BEHIND_ALL.to_owned()))
    .bind(listed.customer_id.unwrap_or_default())
    .bind(listed.agent_id.unwrap_or_default())
    .bind(now.micros())
    .bind(most(listed.limit))
}

pub(super) fn of_agent(agent_id: String, now: Timestamp) -> Statement {
    let sql = concat!(
        "SELECT COUNT(*) AS number FROM oauth_grants
            JOIN users ON users.id = oauth_grants.user_id
         WHERE oauth_grants.agent_id = $1 AND ",
        in_force!("$2"),
    );
    Statement::of(sql).bind(agent_id).bind(now.micros())
}

/// Everything that a token rests on is asked for each time, so that what ends any of it ends it at once.
pub(super) fn bearer(hash: [u8; 32], now: Timestamp) -> Statement {
    Statement::of(concat!(
        "SELECT oauth_grants.* FROM oauth_tokens
            JOIN oauth_grants ON oauth_grants.id = oauth_tokens.grant_id
            JOIN users ON users.id = oauth_grants.user_id
            JOIN agents ON agents.id = oauth_grants.agent_id
         WHERE oauth_tokens.hash = $1 AND oauth_tokens.kind = 'access'
            AND oauth_tokens.expires_us > $2 AND agents.status = 'active'
            AND ",
        in_force!("$2"),
    ))
    .bind(hash.to_vec())
    .bind(now.micros())
}

pub(super) fn new_client(row: Client) -> Statement {
    let sql = "INSERT INTO oauth_clients (id, name, uri, redirect_uris, created_us, used_us)
         VALUES ($1, $2, $3, $4, $5, $6)";
    Statement::of(sql)
        .bind(row.id)
        .bind(row.name)
        .bind(row.uri)
        .bind(row.redirect_uris)
        .bind(row.created_at.micros())
        .bind(row.used_at.map(Timestamp::micros))
}

/// Makes room for one more: the oldest that was never let in goes, if it is older than this.
pub(super) fn room_for_client(before: Timestamp) -> Statement {
    let sql = "DELETE FROM oauth_clients WHERE id = (
            SELECT id FROM oauth_clients WHERE used_us IS NULL AND created_us < $1
            ORDER BY created_us, id LIMIT 1)";
    Statement::of(sql).bind(before.micros())
}

pub(super) fn client_used(id: String, at: Timestamp) -> Statement {
    let sql = "UPDATE oauth_clients SET used_us = $1 WHERE id = $2";
    Statement::of(sql).bind(at.micros()).bind(id)
}

pub(super) fn new_grant(row: Grant) -> Statement {
    Statement::of(
        "INSERT INTO oauth_grants (id, mode, user_id, customer_id, agent_id, client_id, client_name,
            resource, created_us, expires_us, revoked_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(row.id)
    .bind(row.mode.name())
    .bind(row.user_id)
    .bind(row.customer_id)
    .bind(row.agent_id)
    .bind(row.client_id)
    .bind(row.client_name)
    .bind(row.resource)
    .bind(row.created_at.micros())
    .bind(row.expires_at.micros())
    .bind(row.revoked_at.map(Timestamp::micros))
}

pub(super) fn revoked(id: String, at: Timestamp) -> Statement {
    let sql = "UPDATE oauth_grants SET revoked_us = $1 WHERE id = $2 AND revoked_us IS NULL";
    Statement::of(sql).bind(at.micros()).bind(id)
}

pub(super) fn new_token(row: Token) -> Statement {
    Statement::of(
        "INSERT INTO oauth_tokens (hash, grant_id, kind, challenge, redirect_uri, expires_us, used_us)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(row.hash.to_vec())
    .bind(row.grant_id)
    .bind(row.kind.name())
    .bind(row.challenge)
    .bind(row.redirect_uri)
    .bind(row.expires_at.micros())
    .bind(row.used_at.map(Timestamp::micros))
}

/// Only one of two who use it at once does.
pub(super) fn used(hash: [u8; 32], at: Timestamp) -> Statement {
    let sql = "UPDATE oauth_tokens SET used_us = $1 WHERE hash = $2 AND used_us IS NULL";
    Statement::of(sql).bind(at.micros()).bind(hash.to_vec())
}

/// Forgets what is over. A grant is over once no token of it is left.
pub(super) fn swept(now: Timestamp) -> Vec<Statement> {
    let tokens = Statement::of("DELETE FROM oauth_tokens WHERE expires_us < $1");
    let grants = Statement::of(
        "DELETE FROM oauth_grants WHERE created_us < $1
            AND NOT EXISTS (SELECT 1 FROM oauth_tokens WHERE grant_id = oauth_grants.id)",
    );
    let clients = Statement::of(
        "DELETE FROM oauth_clients WHERE (used_us IS NULL AND created_us < $1 OR used_us < $2)
            AND NOT EXISTS (SELECT 1 FROM oauth_grants WHERE client_id = oauth_clients.id)",
    );
    let since = |length_us: i64| now.plus_micros(-length_us).micros();
    vec![
        tokens.bind(now.micros()),
        grants.bind(since(HOUR_US)),
        clients
            .bind(since(UNUSED_KEPT_US))
            .bind(since(USED_KEPT_US)),
    ]
}
