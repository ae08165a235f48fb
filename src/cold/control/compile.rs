//! Rows of the store as rows of a snapshot.

use std::fmt;

use crate::cold::store::versions::Versions;
use crate::cold::store::{
    Agent, Answer, Card, CardLimit, Change, Customer, Rule, Store, StoreError,
};
use crate::decide::compile::{AgentRow, Builder, CardRow, CustomerRow, RowRefused};
use crate::decide::document::{DocumentError, read_policy_alone};
use crate::decide::past::Past;
use crate::decide::policy::{Policy, Shadow};
use crate::decide::snapshot::Snapshot;
use crate::fingerprint::Fingerprinter;

/// Rows that are read at a time.
const PAGE_LEN: usize = 1_000;
/// The file that complaints about stored rows name.
const FILE: &str = "database";

/// What is wrong with a row, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Path of the field from the object on, and what is wrong with it.
    pub faults: Vec<(String, String)>,
}

impl From<RowRefused> for Refused {
    fn from(refused: RowRefused) -> Self {
        let faults = vec![(refused.field.to_owned(), refused.message)];
        Self { faults }
    }
}

/// Why what the store holds cannot be put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The store has no answer.
    Store(StoreError),
    /// Its rows do not fit this version.
    Rows(Vec<DocumentError>),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Rows(errors) => {
                f.write_str("rows do not fit this version")?;
                errors.iter().try_for_each(|error| write!(f, "\n  {error}"))
            }
        }
    }
}

impl std::error::Error for LoadError {}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The compiled policy of a customer or an agent.
///
/// # Errors
/// Everything that is wrong with it, by field.
pub fn policy(document: Option<&str>) -> Result<Policy, Refused> {
    let Some(text) = document else {
        return Ok(Policy::default());
    };
    read_policy_alone(text, FILE).map_err(|errors| {
        let fault = |error: DocumentError| {
            let dot = if error.field.is_empty() { "" } else { "." };
            (format!("policy{dot}{}", error.field), error.message)
        };
        let faults = errors.into_iter().map(fault).collect();
        Refused { faults }
    })
}

/// The compiled policy of a card with the one limit that stands beside it (behaviour 4.1).
///
/// # Errors
/// Everything that is wrong with it, by field.
pub fn card_policy(document: Option<&str>, limit: Option<&CardLimit>) -> Result<Policy, Refused> {
    let mut policy = policy(document)?;
    if let Some(CardLimit { amount, interval }) = limit
        && !policy.also_cap(*interval, amount.minor)
    {
        let name = interval.name();
        let message = format!(
            "`policy.limits.{name}` has a rolling window, and this one a calendar's: write one of \
             them, or both on different levels"
        );
        let faults = vec![("limits.interval".to_owned(), message)];
        return Err(Refused { faults });
    }
    Ok(policy)
}

/// What is tried out on a customer or an agent.
fn shadow(versions: &Versions) -> Result<Option<Shadow>, Refused> {
    tried(versions, policy)
}

/// The same on a card, with the limit that stands beside its policy.
fn card_shadow(row: &Card) -> Result<Option<Shadow>, Refused> {
    tried(&row.versions, |document| {
        card_policy(document, row.limit.as_ref())
    })
}

fn tried(
    versions: &Versions,
    compile: impl FnOnce(Option<&str>) -> Result<Policy, Refused>,
) -> Result<Option<Shadow>, Refused> {
    let Some(document) = &versions.shadow else {
        return Ok(None);
    };
    Ok(Some(Shadow {
        version: document.version,
        policy: compile(document.policy.as_deref())?,
    }))
}

/// Adds a changed row to a builder. What decides nothing is passed over.
pub(super) fn put(
    builder: &mut Builder<'_, Fingerprinter>,
    change: &Change,
) -> Result<(), Refused> {
    match change.rule() {
        Some(Rule::Customer(row)) => put_customer(builder, row),
        Some(Rule::Agent(row)) => put_agent(builder, row),
        Some(Rule::Card(row)) => put_card(builder, row),
        None => Ok(()),
    }
}

fn put_customer(builder: &mut Builder<'_, Fingerprinter>, row: &Customer) -> Result<(), Refused> {
    builder.add_customer(CustomerRow {
        id: &row.id,
        status: row.status,
        timezone: &row.timezone,
        currency: row.currency,
        cascade: row.cascade,
        policy: policy(row.policy.as_deref())?,
        shadow: shadow(&row.versions)?,
        held_max: row.fleet.held_max,
    })?;
    Ok(())
}

fn put_agent(builder: &mut Builder<'_, Fingerprinter>, row: &Agent) -> Result<(), Refused> {
    builder.add_agent(AgentRow {
        id: &row.id,
        customer_id: &row.customer_id,
        status: row.status,
        policy: policy(row.policy.as_deref())?,
        shadow: shadow(&row.versions)?,
    })?;
    Ok(())
}

fn put_card(builder: &mut Builder<'_, Fingerprinter>, row: &Card) -> Result<(), Refused> {
    builder.add_card(CardRow {
        id: &row.id,
        connection: &row.connection,
        issuer_token: &row.issuer_token,
        customer_id: &row.customer_id,
        agent_id: row.agent_id.as_deref(),
        usage: row.usage,
        status: row.status,
        frozen: row.is_frozen,
        created_at: Some(row.created_at),
        merchant_lock: None,
        policy: card_policy(row.policy.as_deref(), row.limit.as_ref())?,
        shadow: card_shadow(row)?,
    })?;
    Ok(())
}

/// Compiles everything that the store holds into the snapshot that follows `before`. `past` knows
/// what was used.
///
/// # Errors
/// [`LoadError`] where that is not possible as a whole.
pub async fn load(
    store: &dyn Store,
    connections: &[String],
    keys: &Fingerprinter,
    before: (&Snapshot, u64),
    past: &Past,
) -> Result<Snapshot, LoadError> {
    let names: Vec<&str> = connections.iter().map(String::as_str).collect();
    let (base, version) = before;
    let mut builder = Builder::replacing(base, keys, &names).knowing(past);
    let mut errors = Vec::new();
    let mut note = |id: &str, put: Result<(), Refused>| {
        let faults = put.err().into_iter().flat_map(|refused| refused.faults);
        errors.extend(faults.map(|(field, message)| complaint(id, &field, message)));
    };
    let customers = |after| store.all_customers(after, PAGE_LEN);
    each(customers, |row: &Customer| {
        note(&row.id, put_customer(&mut builder, row));
        row.id.clone()
    })
    .await?;
    let agents = |after| store.all_agents(after, PAGE_LEN);
    each(agents, |row: &Agent| {
        note(&row.id, put_agent(&mut builder, row));
        row.id.clone()
    })
    .await?;
    let cards = |after| store.all_cards(after, PAGE_LEN);
    each(cards, |row: &Card| {
        note(&row.id, put_card(&mut builder, row));
        row.id.clone()
    })
    .await?;
    if errors.is_empty() {
        Ok(builder.finish(version))
    } else {
        Err(LoadError::Rows(errors))
    }
}

/// Takes every row of a table in turn; `take` tells its id.
async fn each<'s, T>(
    page: impl Fn(String) -> Answer<'s, Vec<T>>,
    mut take: impl FnMut(&T) -> String,
) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let rows = page(after).await?;
        let Some(last) = rows.iter().map(&mut take).last() else {
            return Ok(());
        };
        after = last;
    }
}

fn complaint(id: &str, field: &str, message: String) -> DocumentError {
    DocumentError {
        file: FILE.to_owned(),
        line: None,
        field: format!("{id}.{field}"),
        message,
    }
}
