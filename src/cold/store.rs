//! What the control plane keeps: customers, agents, cards, API keys, answers to idempotent requests.
//!
//! One trait over what a database has to do, so that one that several nodes share can stand behind it
//! as well. Reads see what was committed. A change is a [`Batch`]: all of it or nothing, and only
//! where every row still has the revision that its author has read, so that whoever changes a row on
//! another node in the same moment is noticed. The hot path never comes here.

pub mod access;
pub mod alert_settings;
mod errands;
mod faults;
pub mod grants;
pub mod ledger_row;
pub mod nodes;
pub mod outward;
pub mod people;
pub mod postgres;
pub mod purchases;
pub mod review_links;
mod rows;
pub mod set_aside;
mod sql;
pub mod sqlite;
mod steps;
pub mod versions;
pub mod webhook;
mod webhook_rows;
mod write;

use std::fmt;
use std::pin::Pin;

use self::access::{AccessRequest, AccessState};
use self::alert_settings::AlertSettings;
use self::ledger_row::LedgerRow;
use self::nodes::Nodes;
pub use self::outward::OutboxAsked;
use self::outward::{CardOrigin, OutboxCounts, OutboxRow, SealedRow};
use self::people::{People, PeopleChange};
use self::purchases::{InAdvance, Purchase, PurchaseState, PurchaseWanted};
use self::review_links::ReviewLink;
use self::set_aside::{SetAside, SetAsideChange};
use self::versions::{PolicyVersion, VersionState, Versions, VersionsAsked};
use self::webhook::{
    Alert, DeliveriesAsked, Delivery, DeliveryCount, Due, Mark, Webhook, WebhookChange,
};
use crate::cold::audit::line::Checkpoint;
use crate::cold::audit::{Entry, Event};
use crate::decide::policy::{Cascade, LimitField};
use crate::domain::amount::{Amount, Minor};
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Usage};
use crate::domain::currency::Currency;
use crate::domain::time::Timestamp;

/// What a store will have answered.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The version of the tables that this program makes.
pub const TABLES_VERSION: usize = steps::STEPS.len();

/// Rows that one page may have.
pub const PAGE_LEN_MAX: usize = 200;

/// Why a store has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// A row was changed, or made, by somebody else in between. Nothing of the batch is kept.
    Conflict,
    /// The database cannot be asked, or what it holds is not understood. Whether a batch is kept is
    /// not known.
    Fault(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => f.write_str("a row was changed in between"),
            Self::Fault(why) => write!(f, "the database: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// Whether an object is for trying things out. Keys of one kind never see objects of the other
/// (behaviour 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// For trying things out.
    Test,
    /// With money.
    Live,
}

impl Mode {
    /// The word in prefixes and columns.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

/// What a key may do (behaviour 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Owner,
    /// Looks, reviews and stops.
    Reviewer,
    /// Looks.
    Viewer,
    /// What an agent does for itself.
    Agent,
}

impl Scope {
    /// Every scope, from the most powerful on.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Reviewer, Self::Viewer, Self::Agent];

    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Reviewer => "reviewer",
            Self::Viewer => "viewer",
            Self::Agent => "agent",
        }
    }
}

/// One customer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Customer {
    pub id: String,
    pub mode: Mode,
    pub external_id: Option<String>,
    pub name: Option<String>,
    pub status: CustomerStatus,
    pub timezone: String,
    pub currency: Currency,
    pub cascade: Cascade,
    pub fleet: Fleet,
    pub alerts: Option<AlertSettings>,
    /// The document as its owner wrote it.
    pub policy: Option<String>,
    pub versions: Versions,
    pub created_at: Timestamp,
    /// Counts the changes; 0 is a row that is not kept yet.
    pub revision: i64,
}

/// What a customer's agents may have and do (behaviour 4.4). Absent caps cap nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Agents that are not disabled.
    pub agents_max: Option<i64>,
    /// Cards of one agent that are not canceled.
    pub cards_per_agent_max: Option<i64>,
    /// What is held at one time over all its cards, in its currency.
    pub held_max: Option<Minor>,
    /// Whether agents' keys make cards for their own agent.
    pub agent_may_create_cards: bool,
}

/// One agent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Agent {
    pub id: String,
    pub mode: Mode,
    pub customer_id: String,
    pub external_id: Option<String>,
    pub name: Option<String>,
    pub status: AgentStatus,
    pub policy: Option<String>,
    pub versions: Versions,
    pub created_at: Timestamp,
    pub revision: i64,
}

/// The one limit beside those of a card's policy (behaviour 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardLimit {
    /// How much, in the customer's currency.
    pub amount: Amount,
    /// Over what.
    pub interval: LimitField,
}

/// One card.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Card {
    pub id: String,
    pub mode: Mode,
    pub customer_id: String,
    pub agent_id: Option<String>,
    pub connection: String,
    pub issuer_token: String,
    pub is_physical: bool,
    pub usage: Usage,
    pub status: CardStatus,
    pub is_frozen: bool,
    pub last4: Option<String>,
    pub exp_month: Option<u8>,
    pub exp_year: Option<u16>,
    pub limit: Option<CardLimit>,
    pub label: Option<String>,
    pub policy: Option<String>,
    pub versions: Versions,
    pub created_at: Timestamp,
    pub revision: i64,
}

/// One API key, without its text: that is shown once and kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct ApiKey {
    pub id: String,
    pub mode: Mode,
    pub scope: Scope,
    /// Absent where it reaches every customer of its mode.
    pub customer_id: Option<String>,
    /// The agent whose key it is.
    pub agent_id: Option<String>,
    pub name: Option<String>,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub revision: i64,
}

/// An intent as it was declared (behaviour 6.1). What becomes of it, the ledger knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Intent {
    pub id: String,
    pub mode: Mode,
    pub card_id: String,
    /// What the declarer calls it, once on each card.
    pub called: String,
    pub purpose: String,
    /// What it expects, as JSON.
    pub expects: String,
    pub metadata: Option<String>,
    /// Whether the rules wanted a human's word when it was declared.
    pub awaits_approval: bool,
    pub expires_at: Timestamp,
    /// The key whose word it was.
    pub decided_by: Option<String>,
    pub decided_at: Option<Timestamp>,
    /// Why it was rejected.
    pub note: Option<String>,
    pub created_at: Timestamp,
    pub revision: i64,
}

/// What an agent said that it is doing with a card (behaviour 6.2). Never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Attestation {
    pub id: String,
    pub mode: Mode,
    pub card_id: String,
    pub statement: String,
    /// The intent that it belongs to, as its declarer calls it.
    pub intent: Option<String>,
    /// The key that attested.
    pub attested_by: String,
    pub created_at: Timestamp,
}

/// By what an answer is known again: the caller's key and its idempotency key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct ReplyKey {
    pub api_key_id: String,
    pub idempotency_key: String,
}

/// The answer to an idempotent request (behaviour 4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReply {
    /// By what it is known.
    pub key: ReplyKey,
    /// Keyed hash of method, path and canonical body.
    pub fingerprint: [u8; 32],
    /// The status.
    pub status: u16,
    /// The body, as it was sent.
    pub body: Vec<u8>,
    /// Whether the body is a problem document.
    pub is_problem: bool,
    /// When it was made.
    pub at: Timestamp,
}

/// One change of one row. Where the row's revision is 0 it is new, else it replaces the row of that
/// revision.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is the row of the same name")]
pub enum Change {
    Customer(Customer),
    Agent(Agent),
    Card(Card),
    /// With the keyed hash of its text, which never changes.
    ApiKey(ApiKey, [u8; 32]),
    /// A key as it is from now on.
    ApiKeyChanged(ApiKey),
    Reply(StoredReply),
    /// Something that an issuer is to be told; where it waits already, it is asked for anew.
    Outbox(OutboxRow),
    /// What is set aside for a card whose issuer never asks.
    SetAside(SetAsideChange),
    /// A row that was tried in vain, unless it was asked for anew in between.
    OutboxTried(OutboxRow),
    /// The row of this id and version is done, unless it was asked for anew in between.
    OutboxDone(String, i64),
    /// An issuer's key in place of the one that was there.
    Sealed(SealedRow),
    Origin(CardOrigin),
    Intent(Intent),
    Attestation(Attestation),
    Purchase(Box<Purchase>),
    Access(AccessRequest),
    /// A version of rules; new where there is no state that it was in before.
    PolicyVersion(PolicyVersion, Option<VersionState>),
    /// An entry of the audit log, which gets its place when the batch is kept.
    Audit(Event),
    /// A signed statement about the audit log.
    Checkpoint(Checkpoint),
    /// The journal that the database belongs to, in place of the one of this name; of none where it is
    /// the first.
    Ledger(LedgerRow, Option<String>),
    /// Of outgoing webhooks.
    Webhooks(Box<WebhookChange>),
    /// Of people and what they have allowed.
    People(Box<PeopleChange>),
}

/// A row of what decides authorizations.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "each is the row of the same name")]
pub enum Rule<'r> {
    Customer(&'r Customer),
    Agent(&'r Agent),
    Card(&'r Card),
}

impl Change {
    /// Of a purchase request.
    #[must_use]
    pub fn purchase(row: Purchase) -> Self {
        Self::Purchase(Box::new(row))
    }

    /// The id of the row that it changes, where two changes of it exclude each other.
    #[must_use]
    pub fn row(&self) -> Option<&str> {
        match self {
            Self::Customer(row) => Some(&row.id),
            Self::Agent(row) => Some(&row.id),
            Self::Card(row) => Some(&row.id),
            Self::ApiKey(row, _) | Self::ApiKeyChanged(row) => Some(&row.id),
            Self::Intent(row) => Some(&row.id),
            Self::Outbox(row) | Self::OutboxTried(row) => Some(&row.id),
            Self::OutboxDone(id, _) => Some(id),
            Self::Sealed(row) => Some(&row.connection),
            Self::Origin(row) => Some(&row.card_id),
            Self::SetAside(change) => Some(change.called()),
            Self::Attestation(row) => Some(&row.id),
            Self::Purchase(row) => Some(&row.id),
            Self::Access(row) => Some(&row.id),
            // A version stands beside the row of its subject, which excludes others.
            Self::PolicyVersion(..)
            | Self::Reply(_)
            | Self::Audit(_)
            | Self::Checkpoint(_)
            | Self::Ledger(..)
            | Self::People(_)
            | Self::Webhooks(_) => None,
        }
    }

    /// What it changes of the rules; absent where it decides nothing.
    #[must_use]
    pub fn rule(&self) -> Option<Rule<'_>> {
        match self {
            Self::Customer(row) => Some(Rule::Customer(row)),
            Self::Agent(row) => Some(Rule::Agent(row)),
            Self::Card(row) => Some(Rule::Card(row)),
            Self::ApiKey(..)
            | Self::ApiKeyChanged(_)
            | Self::Reply(_)
            | Self::Audit(_)
            | Self::Checkpoint(_)
            | Self::Outbox(_)
            | Self::OutboxTried(_)
            | Self::OutboxDone(..)
            | Self::Sealed(_)
            | Self::Origin(_)
            | Self::SetAside(_)
            | Self::Intent(_)
            | Self::Attestation(_)
            | Self::Purchase(_)
            | Self::Access(_)
            | Self::PolicyVersion(..)
            | Self::Ledger(..)
            | Self::People(_)
            | Self::Webhooks(_) => None,
        }
    }
}

impl From<PeopleChange> for Change {
    fn from(change: PeopleChange) -> Self {
        Self::People(Box::new(change))
    }
}

impl From<WebhookChange> for Change {
    fn from(change: WebhookChange) -> Self {
        Self::Webhooks(Box::new(change))
    }
}

/// What is kept whole or not at all.
pub type Batch = Vec<Change>;

/// Which rows of a list are asked for, newest first.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Of this kind.
    pub mode: Mode,
    /// Of this customer alone.
    pub customer_id: Option<String>,
    /// Of this agent alone; of a list of agents, this agent.
    pub agent_id: Option<String>,
    /// Behind the row of this id.
    pub after: Option<String>,
    /// At most this many.
    pub limit: usize,
}

/// Which rows of a card are asked for, newest first.
#[derive(Clone, Debug)]
pub struct OfCard {
    /// The card.
    pub card_id: String,
    /// Behind the row of this id.
    pub after: Option<String>,
    /// At most this many.
    pub limit: usize,
}

/// See the module.
pub trait Store: Send + Sync {
    /// People who sign in, and what they have allowed.
    fn people(&self) -> &dyn People;
    /// What several nodes know of one database.
    fn nodes(&self) -> &dyn Nodes;
    /// The key with this keyed hash, revoked or not.
    fn api_key_by_hash(&self, hash: [u8; 32]) -> Answer<'_, Option<ApiKey>>;
    /// The key of this id.
    fn api_key(&self, id: String) -> Answer<'_, Option<ApiKey>>;
    /// Keys, newest first.
    fn api_keys(&self, listed: Listed) -> Answer<'_, Vec<ApiKey>>;
    /// The customer of this id.
    fn customer(&self, id: String) -> Answer<'_, Option<Customer>>;
    /// The customer that its owner calls so.
    fn customer_called(&self, mode: Mode, external_id: String) -> Answer<'_, Option<Customer>>;
    /// Customers, newest first.
    fn customers(&self, listed: Listed) -> Answer<'_, Vec<Customer>>;
    /// The agent of this id.
    fn agent(&self, id: String) -> Answer<'_, Option<Agent>>;
    /// The agent of a customer that its owner calls so.
    fn agent_called(&self, customer_id: String, external_id: String) -> Answer<'_, Option<Agent>>;
    /// Agents, newest first.
    fn agents(&self, listed: Listed) -> Answer<'_, Vec<Agent>>;
    /// How many agents a customer has that are not disabled.
    fn count_agents(&self, customer_id: String) -> Answer<'_, i64>;
    /// How many cards an agent has that are not canceled.
    fn count_cards(&self, agent_id: String) -> Answer<'_, i64>;
    /// The card of this id.
    fn card(&self, id: String) -> Answer<'_, Option<Card>>;
    /// The card that its issuer calls so.
    fn card_at(&self, connection: String, token: String) -> Answer<'_, Option<Card>>;
    /// Cards, newest first.
    fn cards(&self, listed: Listed) -> Answer<'_, Vec<Card>>;
    /// The intent of a card that its declarer calls so.
    fn intent(&self, card_id: String, called: String) -> Answer<'_, Option<Intent>>;
    /// The intents of a card, newest first.
    fn intents(&self, of_card: OfCard) -> Answer<'_, Vec<Intent>>;
    /// The attestations of a card, newest first.
    fn attestations(&self, of_card: OfCard) -> Answer<'_, Vec<Attestation>>;
    /// The history of a subject's rules, newest first.
    fn policy_versions(&self, asked: VersionsAsked) -> Answer<'_, Vec<PolicyVersion>>;
    /// One version of it, deleted ones too.
    fn policy_version(&self, subject_id: String, number: u32) -> Answer<'_, Option<PolicyVersion>>;
    /// How many drafts wait at a subject.
    fn count_drafts(&self, subject_id: String) -> Answer<'_, i64>;
    /// Customers of both modes in the order of their ids, behind this id: for whoever reads all.
    fn all_customers(&self, after: String, limit: usize) -> Answer<'_, Vec<Customer>>;
    /// The same of agents.
    fn all_agents(&self, after: String, limit: usize) -> Answer<'_, Vec<Agent>>;
    /// The same of cards.
    fn all_cards(&self, after: String, limit: usize) -> Answer<'_, Vec<Card>>;
    /// The answer that was given under this key.
    fn reply(&self, key: ReplyKey) -> Answer<'_, Option<StoredReply>>;
    /// Rows of what issuers are to be told.
    fn outbox(&self, asked: OutboxAsked) -> Answer<'_, Vec<OutboxRow>>;
    /// How many of them there are.
    fn outbox_counts(&self) -> Answer<'_, OutboxCounts>;
    /// The sealed keys of issuers, in the order of their connections.
    fn sealed(&self) -> Answer<'_, Vec<SealedRow>>;
    /// The secret that is sealed under this name.
    fn sealed_as(&self, name: String) -> Answer<'_, Option<SealedRow>>;
    /// What customers want of alerts, of those who want anything, by their ids.
    fn alert_settings(&self) -> Answer<'_, Vec<(String, AlertSettings)>>;
    /// The journal that the database belongs to.
    fn ledger(&self) -> Answer<'_, Option<LedgerRow>>;
    /// The endpoint of this id.
    fn webhook(&self, id: String) -> Answer<'_, Option<Webhook>>;
    /// The link with this keyed hash, used or not.
    fn review_link(&self, hash: [u8; 32]) -> Answer<'_, Option<ReviewLink>>;
    /// Endpoints, newest first.
    fn webhooks(&self, listed: Listed) -> Answer<'_, Vec<Webhook>>;
    /// All of them, of both modes.
    fn all_webhooks(&self) -> Answer<'_, Vec<Webhook>>;
    /// Whom something waits for that is to be tried now.
    fn webhooks_due(&self, now: Timestamp) -> Answer<'_, Vec<Due>>;
    /// Deliveries to one endpoint.
    fn deliveries(&self, asked: DeliveriesAsked) -> Answer<'_, Vec<Delivery>>;
    /// How many wait, and how many are dead, by endpoint.
    fn delivery_counts(&self) -> Answer<'_, Vec<DeliveryCount>>;
    /// Alerts, newest first.
    fn alerts(&self, listed: Listed) -> Answer<'_, Vec<Alert>>;
    /// Whether there is an alert of this name.
    fn is_alert(&self, name: String) -> Answer<'_, bool>;
    /// How far this reader has come; absent where it has not begun.
    fn read_mark(&self, reader: String) -> Answer<'_, Option<Mark>>;
    /// Where a card comes from, where it is not an ordinary one of ours.
    fn card_origin(&self, id: String) -> Answer<'_, Option<CardOrigin>>;
    /// What is set aside for a card, oldest first.
    fn set_aside_of(&self, card_id: String) -> Answer<'_, Vec<SetAside>>;
    /// What was set aside for cards that are over by now.
    fn set_aside_due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<SetAside>>;
    /// A request to be at work.
    fn access_request(&self, id: String) -> Answer<'_, Option<AccessRequest>>;
    /// The one of an agent that nobody has decided.
    fn access_waiting(&self, agent_id: String) -> Answer<'_, Option<AccessRequest>>;
    /// Requests to be at work, of this state where one is named, newest first.
    fn access_requests(
        &self,
        listed: Listed,
        state: Option<AccessState>,
    ) -> Answer<'_, Vec<AccessRequest>>;
    /// A purchase request.
    fn purchase(&self, wanted: PurchaseWanted) -> Answer<'_, Option<Purchase>>;
    /// Purchase requests in this state, or all, newest first.
    fn purchases(&self, listed: Listed, state: Option<PurchaseState>) -> Answer<'_, Vec<Purchase>>;
    /// How many of an agent's wait for a human, or were given up by it since an instant.
    fn count_in_review(&self, agent_id: String, given_up_since: Timestamp) -> Answer<'_, i64>;
    /// Purchase requests that have to be looked at by now, those that wait longest first.
    fn purchases_due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<Purchase>>;
    /// Requests that an approval in advance has answered since an instant and that stand, the newest
    /// first.
    fn purchases_in_advance(&self, asked: InAdvance, limit: usize) -> Answer<'_, Vec<Purchase>>;
    /// Keeps all of a batch, durably, or nothing of it. After a [`StoreError::Fault`] it is not known
    /// which, and may be decided later, until [`Store::settled`] returns.
    fn apply(&self, batch: Batch) -> Answer<'_, ()>;
    /// Entries of the audit log behind this number, in order; of one mode alone, or all.
    fn audit_entries(&self, after: i64, mode: Option<Mode>, limit: usize)
    -> Answer<'_, Vec<Entry>>;
    /// The last entry of the audit log.
    fn audit_last(&self) -> Answer<'_, Option<Entry>>;
    /// Checkpoints behind this entry, in order.
    fn audit_checkpoints(&self, after: i64, limit: usize) -> Answer<'_, Vec<Checkpoint>>;
    /// What the last checkpoint covers; 0 where there is none.
    fn audit_covered(&self) -> Answer<'_, i64>;
    /// Forgets the answers that were given before an instant.
    fn forget_replies(&self, before: Timestamp) -> Answer<'_, ()>;
    /// Returns once it is known of every batch whether it was kept, so that none is any more after what
    /// is read from then on.
    fn settled(&self) -> Answer<'_, ()>;
    /// Ends every connection; what was committed is there already.
    fn close(&self) -> Answer<'_, ()>;
}
