//! `countersign user`, as the command asks a running server and as the server answers.
//!
//! The operators' listener knows nobody, so the command proves that it can read the data directory: it
//! sends the keyed hash of what it asks, with the instant. A password never travels, only its hash.

use serde::{Deserialize, Serialize};

use super::{email, password};
use crate::clock::Clock;
use crate::cold::api::{Api, NAME_RULE, is_name};
use crate::cold::audit::{self, Event, line};
use crate::cold::control::{Failed, Work};
use crate::cold::ids::draw;
use crate::cold::store::people::{PasswordHash, PeopleChange, User};
use crate::cold::store::{Change, Mode, Scope, StoreError};
use crate::cold::tokens::TokenSecret;
use crate::domain::time::Timestamp;

/// Where a server is asked.
pub const PATH: &str = "/admin/users";
/// Says that whoever asks can read the data directory.
pub const PROOF_HEADER: &str = "x-countersign-proof";
/// The clock of who asks may differ by as much.
const PROOF_LIFE_US: i64 = 120_000_000;
/// People that one list shows.
const SHOWN_MAX: usize = 1_000;

/// What the command asks.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "each is the flag of the same name")]
pub struct Asked {
    /// When, in microseconds since 1970.
    pub at_us: i64,
    pub order: Order,
    /// Of whom; empty for everybody.
    pub email: String,
    /// The hash of a password, where there is a new one.
    pub password: Option<String>,
    pub new: Option<New>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each is the action of the same name")]
pub enum Order {
    Add,
    Password,
    Disable,
    Enable,
    List,
}

/// What somebody new is.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(missing_docs, reason = "each is the flag of the same name")]
pub struct New {
    pub name: Option<String>,
    pub scope: String,
    pub customer_id: Option<String>,
    pub is_live: bool,
}

impl Order {
    fn action(self) -> &'static str {
        match self {
            Self::Add => "countersign user add",
            Self::Password => "countersign user password",
            Self::Disable => "countersign user disable",
            Self::Enable => "countersign user enable",
            Self::List => "countersign user list",
        }
    }
}

/// Somebody, as the command shows him.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "each is the column of the same name")]
pub struct UserShown {
    pub id: String,
    pub email: String,
    pub name: Option<String>,
    pub mode: String,
    pub scope: String,
    pub customer_id: Option<String>,
    pub is_disabled: bool,
}

impl From<User> for UserShown {
    fn from(row: User) -> Self {
        Self {
            id: row.id,
            email: row.email,
            name: row.name,
            mode: row.mode.name().to_owned(),
            scope: row.scope.name().to_owned(),
            customer_id: row.customer_id,
            is_disabled: row.disabled_at.is_some(),
        }
    }
}

/// Why it was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What was asked is wrong.
    Wrong(String),
    /// It cannot be done now.
    Fault(String),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.to_string())
    }
}

/// What proves that whoever sends these bytes can read the data directory.
#[must_use]
pub fn proof(secret: &TokenSecret, body: &[u8]) -> String {
    line::hex(&secret.digest("user command", &[body]))
}

/// Does what was asked.
///
/// # Errors
/// [`Refusal`] says why not.
pub async fn carry_out(api: &Api, given: &str, body: &[u8]) -> Result<Vec<UserShown>, Refusal> {
    let now = api.clock.now();
    // Both sides are hashed, so that the time it takes says nothing of where they differ.
    let hashed = |text: &str| api.secret.digest("proof", &[text.as_bytes()]);
    let is_proven = hashed(given) == hashed(&proof(&api.secret, body));
    let asked = serde_json::from_slice::<Asked>(body)
        .ok()
        .filter(|_| is_proven);
    let asked =
        asked.ok_or_else(|| wrong("what was sent does not come from this data directory"))?;
    // By the wall: the clock that decides may have been moved forward for trying things out.
    let wall = Clock::start().now();
    let age_us = wall.micros_since(Timestamp::from_micros(asked.at_us));
    if age_us.checked_abs().is_none_or(|age| age > PROOF_LIFE_US) {
        return Err(wrong(
            "the clocks of command and server differ by more than two minutes",
        ));
    }
    let action = asked.order.action();
    let people = api.store.people();
    let row = match asked.order {
        Order::List => {
            let all = people.users(String::new(), SHOWN_MAX).await?;
            return Ok(all.into_iter().map(UserShown::from).collect());
        }
        Order::Add => added(api, asked, now).await?,
        Order::Password => User {
            password: hash_of(asked.password)?,
            password_at: now,
            ..found(api, &asked.email).await?
        },
        Order::Disable => User {
            disabled_at: Some(now),
            ..found(api, &asked.email).await?
        },
        Order::Enable => User {
            disabled_at: None,
            // What was open before stays shut.
            password_at: now,
            ..found(api, &asked.email).await?
        },
    };
    keep(api, row.clone(), action, now).await?;
    Ok(vec![UserShown::from(row)])
}

async fn keep(api: &Api, row: User, action: &str, now: Timestamp) -> Result<(), Refusal> {
    let mode = Some(row.mode);
    let mut batch: Vec<Change> = vec![PeopleChange::User(row).into()];
    let event = Event::of_command(now, action, audit::made(&batch), "done");
    batch.push(Change::Audit(Event { mode, ..event }));
    let work = Work {
        batch,
        ..Work::default()
    };
    api.control.make(work).await.map_err(|failed| {
        if failed == Failed::Conflict {
            return wrong("somebody has this address, or was changed in this moment");
        }
        Refusal::Fault(format!("the change was not made: {failed:?}"))
    })
}

async fn added(api: &Api, asked: Asked, now: Timestamp) -> Result<User, Refusal> {
    let address = email(&asked.email);
    let address =
        address.ok_or_else(|| wrong("--email: must be an address like ada@example.com"))?;
    let new = asked
        .new
        .ok_or_else(|| wrong("the new person is missing"))?;
    let mode = if new.is_live { Mode::Live } else { Mode::Test };
    if new.name.as_deref().is_some_and(|name| !is_name(name)) {
        return Err(wrong(format!("--name: {NAME_RULE}")));
    }
    let mut scopes = Scope::ALL.into_iter();
    let scope = scopes.find(|it| it.name() == new.scope && *it != Scope::Agent);
    let scope = scope.ok_or_else(|| wrong("--scope: must be owner, reviewer or viewer"))?;
    if let Some(id) = &new.customer_id {
        let customer = api.store.customer(id.clone()).await?;
        if customer.is_none_or(|it| it.mode != mode) {
            return Err(wrong("--customer: there is none with this id in this mode"));
        }
    }
    if api
        .store
        .people()
        .user_called(address.clone())
        .await?
        .is_some()
    {
        return Err(wrong(format!("--email: {address} is there already")));
    }
    Ok(User {
        id: draw("usr", now),
        mode,
        email: address,
        name: new.name,
        scope,
        customer_id: new.customer_id,
        password: hash_of(asked.password)?,
        password_at: now,
        disabled_at: None,
        created_at: now,
        revision: 0,
    })
}

async fn found(api: &Api, text: &str) -> Result<User, Refusal> {
    let nobody = || wrong(format!("--email: nobody is called {text}"));
    let address = email(text).ok_or_else(nobody)?;
    let found = api.store.people().user_called(address).await?;
    found.ok_or_else(nobody)
}

fn hash_of(text: Option<String>) -> Result<PasswordHash, Refusal> {
    let hash = text.filter(|text| password::is_hash(text));
    let unknown = || wrong("the password's hash is none that this version makes");
    hash.map(PasswordHash).ok_or_else(unknown)
}

fn wrong(message: impl Into<String>) -> Refusal {
    Refusal::Wrong(message.into())
}
