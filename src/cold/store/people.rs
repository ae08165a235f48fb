//! People who sign in, and their sessions: the rows and their tables (behaviour 7.1).

use super::grants::{self, Client, Grant, Token};
use super::rows::{MODES, instant, maybe_number, maybe_text, number, text, unknown, word};
use super::sql::{Columns, Driver, SqlStore, Statement, Writing, most};
use super::{Answer, Listed, Mode, Scope, StoreError};
use crate::domain::time::Timestamp;

/// One address is one person, whatever the mode.
pub(super) const TABLES: &str = "
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    mode TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE,
    name TEXT,
    scope TEXT NOT NULL,
    customer_id TEXT REFERENCES customers (id),
    password TEXT NOT NULL,
    password_us INTEGER NOT NULL,
    disabled_us INTEGER,
    created_us INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (
    hash BLOB NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id),
    created_us INTEGER NOT NULL,
    seen_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_user ON sessions (user_id, created_us);
CREATE INDEX sessions_by_use ON sessions (seen_us);
";

/// Sessions of one person at a time; a new one ends the oldest.
const SESSIONS_MAX: i64 = 20;

/// Somebody who signs in. What he reaches is what a key of this scope and customer does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct User {
    pub id: String,
    pub mode: Mode,
    /// In lower case.
    pub email: String,
    pub name: Option<String>,
    /// Never that of an agent.
    pub scope: Scope,
    /// Absent where he reaches every customer of his mode.
    pub customer_id: Option<String>,
    /// The hash of his password, in the form of PHC strings.
    pub password: PasswordHash,
    /// Sessions and grants that are not newer are over.
    pub password_at: Timestamp,
    pub disabled_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub revision: i64,
}

impl User {
    /// Whether he stands for what he has begun or allowed at an instant: he may still come in, and has
    /// the password of then.
    #[must_use]
    pub fn stands_for(&self, begun_at: Timestamp) -> bool {
        self.disabled_at.is_none() && begun_at > self.password_at
    }
}

/// The hash of a password. It is printed nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(***)")
    }
}

/// A session, without its text: only the browser has that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Session {
    pub hash: [u8; 32],
    pub user_id: String,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
}

/// A change of one row of people, their sessions, or what they have allowed programs.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is the row of the same name")]
pub enum PeopleChange {
    User(User),
    /// A new one, of somebody whose password is still the one of this instant.
    Session(Session, Timestamp),
    /// It was used at this instant.
    Seen([u8; 32], Timestamp),
    /// It is over.
    SignedOut([u8; 32]),
    /// A new one.
    Client(Client),
    /// The oldest client that was never let in is forgotten; none that is newer than this.
    RoomForClient(Timestamp),
    /// Somebody let the client do something.
    ClientUsed(String, Timestamp),
    /// A new one.
    Grant(Grant),
    /// It is over, if it was not.
    Revoked(Grant, Timestamp),
    /// A new one.
    Token(Token),
    /// Used, which it was not before.
    Used([u8; 32], Timestamp),
    /// What is over by now is forgotten: sessions that were last used before the second instant.
    Swept(Timestamp, Timestamp),
}

/// What is kept of people.
pub trait People: Send + Sync {
    /// The person of this id.
    fn user(&self, id: String) -> Answer<'_, Option<User>>;
    /// The person of this address, in lower case.
    fn user_called(&self, email: String) -> Answer<'_, Option<User>>;
    /// People in the order of their addresses, behind this one.
    fn users(&self, after: String, limit: usize) -> Answer<'_, Vec<User>>;
    /// The session with this keyed hash.
    fn session(&self, hash: [u8; 32]) -> Answer<'_, Option<Session>>;
    /// The program of this id that has registered itself.
    fn client(&self, id: String) -> Answer<'_, Option<Client>>;
    /// How many have.
    fn count_clients(&self) -> Answer<'_, i64>;
    /// The grant of this id, also one that is over.
    fn grant(&self, id: String) -> Answer<'_, Option<Grant>>;
    /// Grants that are not over, newest first.
    fn grants(&self, listed: Listed, now: Timestamp) -> Answer<'_, Vec<Grant>>;
    /// How many of an agent are not over.
    fn count_grants(&self, agent_id: String, now: Timestamp) -> Answer<'_, i64>;
    /// The token with this keyed hash, used or not.
    fn token(&self, hash: [u8; 32]) -> Answer<'_, Option<Token>>;
    /// What the access token with this keyed hash stands for, where everything that it rests on is in
    /// force: token, grant, person and agent.
    fn bearer(&self, hash: [u8; 32], now: Timestamp) -> Answer<'_, Option<Grant>>;
}

impl<D: Driver> People for SqlStore<D> {
    fn user(&self, id: String) -> Answer<'_, Option<User>> {
        let asked = Statement::of("SELECT * FROM users WHERE id = $1").bind(id);
        Box::pin(self.one(asked, user))
    }

    fn user_called(&self, email: String) -> Answer<'_, Option<User>> {
        let asked = Statement::of("SELECT * FROM users WHERE email = $1").bind(email);
        Box::pin(self.one(asked, user))
    }

    fn users(&self, after: String, limit: usize) -> Answer<'_, Vec<User>> {
        let sql = "SELECT * FROM users WHERE email > $1 ORDER BY email LIMIT $2";
        let asked = Statement::of(sql).bind(after).bind(most(limit));
        Box::pin(self.0.rows(asked, user))
    }

    fn session(&self, hash: [u8; 32]) -> Answer<'_, Option<Session>> {
        let asked = Statement::of("SELECT * FROM sessions WHERE hash = $1").bind(hash.to_vec());
        Box::pin(self.one(asked, session))
    }

    fn client(&self, id: String) -> Answer<'_, Option<Client>> {
        Box::pin(self.one(grants::client_of(id), grants::client))
    }

    fn count_clients(&self) -> Answer<'_, i64> {
        let asked = self.one(grants::clients(), super::rows::count);
        Box::pin(async move { Ok(asked.await?.unwrap_or(0)) })
    }

    fn grant(&self, id: String) -> Answer<'_, Option<Grant>> {
        Box::pin(self.one(grants::grant_of(id), grants::grant))
    }

    fn grants(&self, listed: Listed, now: Timestamp) -> Answer<'_, Vec<Grant>> {
        Box::pin(self.0.rows(grants::list(listed, now), grants::grant))
    }

    fn count_grants(&self, agent_id: String, now: Timestamp) -> Answer<'_, i64> {
        let asked = self.one(grants::of_agent(agent_id, now), super::rows::count);
        Box::pin(async move { Ok(asked.await?.unwrap_or(0)) })
    }

    fn token(&self, hash: [u8; 32]) -> Answer<'_, Option<Token>> {
        Box::pin(self.one(grants::token_of(hash), grants::token))
    }

    fn bearer(&self, hash: [u8; 32], now: Timestamp) -> Answer<'_, Option<Grant>> {
        Box::pin(self.one(grants::bearer(hash, now), grants::grant))
    }
}

fn user(row: &dyn Columns) -> Result<User, StoreError> {
    Ok(User {
        id: text(row, "id")?,
        mode: word(row, "mode", MODES)?,
        email: text(row, "email")?,
        name: maybe_text(row, "name")?,
        scope: word(row, "scope", Scope::ALL.map(|it| (it.name(), it)))?,
        customer_id: maybe_text(row, "customer_id")?,
        password: PasswordHash(text(row, "password")?),
        password_at: instant(row, "password_us")?,
        disabled_at: maybe_number(row, "disabled_us")?.map(Timestamp::from_micros),
        created_at: instant(row, "created_us")?,
        revision: number(row, "revision")?,
    })
}

fn session(row: &dyn Columns) -> Result<Session, StoreError> {
    Ok(Session {
        hash: digest(row, "hash")?,
        user_id: text(row, "user_id")?,
        created_at: instant(row, "created_us")?,
        seen_at: instant(row, "seen_us")?,
    })
}

pub(super) fn digest(row: &dyn Columns, column: &str) -> Result<[u8; 32], StoreError> {
    let bytes = row.bytes(column)?;
    bytes.try_into().map_err(|_length| unknown(column))
}

/// Makes a change; where it is of one row, it has met it as its author read it.
pub(super) async fn change(
    writing: &mut impl Writing,
    change: PeopleChange,
) -> Result<(), StoreError> {
    let (statement, may_miss) = match change {
        PeopleChange::User(row) => (put_user(row), false),
        PeopleChange::Session(row, password_at) => {
            writing.execute(trimmed(row.user_id.clone())).await?;
            (new_session(row, password_at), false)
        }
        PeopleChange::Seen(hash, at) => {
            let sql = "UPDATE sessions SET seen_us = $1 WHERE hash = $2 AND seen_us < $1";
            let seen = Statement::of(sql).bind(at.micros()).bind(hash.to_vec());
            (seen, true)
        }
        PeopleChange::SignedOut(hash) => {
            let sql = "DELETE FROM sessions WHERE hash = $1";
            (Statement::of(sql).bind(hash.to_vec()), true)
        }
        PeopleChange::Client(row) => (grants::new_client(row), false),
        PeopleChange::RoomForClient(before) => (grants::room_for_client(before), false),
        PeopleChange::ClientUsed(id, at) => (grants::client_used(id, at), true),
        PeopleChange::Grant(row) => (grants::new_grant(row), false),
        PeopleChange::Revoked(row, at) => (grants::revoked(row.id, at), true),
        PeopleChange::Token(row) => (grants::new_token(row), false),
        PeopleChange::Used(hash, at) => (grants::used(hash, at), false),
        PeopleChange::Swept(now, idle_since) => {
            for statement in swept(now, idle_since) {
                writing.execute(statement).await?;
            }
            return Ok(());
        }
    };
    match writing.execute(statement).await? {
        1 => Ok(()),
        _ if may_miss => Ok(()),
        _ => Err(StoreError::Conflict),
    }
}

fn put_user(row: User) -> Statement {
    let sql = if row.revision == 0 {
        "INSERT INTO users (mode, email, name, scope, customer_id, password, password_us,
            disabled_us, created_us, id, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 + 1)"
    } else {
        "UPDATE users SET mode = $1, email = $2, name = $3, scope = $4, customer_id = $5,
            password = $6, password_us = $7, disabled_us = $8, created_us = $9,
            revision = revision + 1
         WHERE id = $10 AND revision = $11"
    };
    Statement::of(sql)
        .bind(row.mode.name())
        .bind(row.email)
        .bind(row.name)
        .bind(row.scope.name())
        .bind(row.customer_id)
        .bind(row.password.0)
        .bind(row.password_at.micros())
        .bind(row.disabled_at.map(Timestamp::micros))
        .bind(row.created_at.micros())
        .bind(row.id)
        .bind(row.revision)
}

/// Makes room for one more.
fn trimmed(user_id: String) -> Statement {
    let sql = "DELETE FROM sessions WHERE user_id = $1 AND hash NOT IN (
            SELECT hash FROM sessions WHERE user_id = $1 ORDER BY created_us DESC LIMIT $2)";
    Statement::of(sql).bind(user_id).bind(SESSIONS_MAX - 1)
}

/// Nobody gets in by a password that was changed while it was checked.
fn new_session(row: Session, password_at: Timestamp) -> Statement {
    let sql = "INSERT INTO sessions (hash, user_id, created_us, seen_us)
         SELECT $1, id, $3, $4 FROM users
         WHERE id = $2 AND password_us = $5 AND disabled_us IS NULL";
    Statement::of(sql)
        .bind(row.hash.to_vec())
        .bind(row.user_id)
        .bind(row.created_at.micros())
        .bind(row.seen_at.micros())
        .bind(password_at.micros())
}

fn swept(now: Timestamp, idle_since: Timestamp) -> Vec<Statement> {
    let sessions = Statement::of("DELETE FROM sessions WHERE seen_us < $1");
    let mut all = vec![sessions.bind(idle_since.micros())];
    all.extend(grants::swept(now));
    all
}
