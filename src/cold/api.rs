//! The cards API on the listener for people and agents (behaviour 4): customers, agents, cards, keys.
//!
//! Every route stands in one table with the scopes that it takes (`routes`), every request goes one
//! way from its bytes to its answer (`exchange`), and a change is in force before it is answered
//! (`cold::control`).

mod about;
mod access;
mod agents;
mod alert_settings;
mod alerts;
mod attestations;
mod audit;
mod body;
mod caller;
pub mod cards;
pub mod code;
mod connections;
mod customers;
mod decisions;
mod evaluate;
mod exchange;
mod fields;
mod fleet;
mod imports;
mod intents;
mod keys;
pub mod mcp;
pub(in crate::cold) mod notices;
pub mod openapi;
mod problem;
pub mod purchases;
mod query;
pub(super) mod review;
pub mod routes;
mod simple;
mod text;
mod transactions;
mod versions;
pub(super) mod view;
mod webhooks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::cold::control::Control;
use crate::cold::durable::JournalProgress;
use crate::cold::issuers::IssuerClient;
use crate::cold::per_minute::PerMinute;
use crate::cold::records::Records;
use crate::cold::seal::MasterKeys;
use crate::cold::stands::Stands;
use crate::cold::store::Store;
use crate::cold::tokens::TokenSecret;
use crate::cold::webhooks::address::Reach;
use crate::config::PurchasesConfig;
use crate::fingerprint::Fingerprinter;
use crate::seam::commands::LedgerPort;
use crate::seam::snapshot::CurrentSnapshot;
use cards::REVEALS_A_MINUTE;
use exchange::InFlight;

pub(in crate::cold) use caller::Caller;
pub(in crate::cold) use purchases::{SpendingLine, spending_lines};
pub(in crate::cold) use routes::Unrouted;
pub use routes::router;
pub(in crate::cold) use text::spelling::plain_bytes;
pub(in crate::cold) use text::{NAME_RULE, is_name, looks_like_a_card_number};

/// What the API works with.
pub struct Api {
    pub(super) store: Arc<dyn Store>,
    pub(super) secret: TokenSecret,
    pub(super) control: Control,
    pub(super) issuers: Vec<Arc<dyn IssuerClient>>,
    /// Absent where there is none to seal with.
    pub(super) master_keys: Option<Arc<MasterKeys>>,
    /// Where webhooks may lead.
    pub(super) reach: Reach,
    /// Whether there is a mail server.
    has_mail: bool,
    pub(super) snapshots: Arc<CurrentSnapshot>,
    pub(super) ledger: LedgerPort,
    /// How a card stands with all that is above it.
    pub(super) stands: Stands,
    pub(super) records: Arc<Records>,
    pub(super) clock: Clock,
    /// Hashes as the ledger does.
    pub(super) keys: Fingerprinter,
    /// Whether what is kept here is in force.
    pub(super) rows_rule: bool,
    /// Tells when what the ledger took is durable.
    pub(super) journal: JournalProgress,
    /// How people and agents reach the listener: scheme and host, without a slash at the end.
    pub(super) public_url: String,
    /// One journey through the journal at a time.
    pub(super) trials: Semaphore,
    in_flight: InFlight,
    /// Purchase requests that are being looked for, or made.
    buying: purchases::Buying,
    /// How often each card was shown lately.
    reveals: PerMinute,
    /// How often each agent asked, to buy and otherwise.
    asks: purchases::Asks,
    /// Requests of one agent that may wait for a human, so that it cannot bury the others'.
    reviews_max: i64,
    /// How often each address has opened one-time links that are none.
    links: PerMinute,
    /// When cards were first used: it never changes.
    first_spends: Mutex<HashMap<String, String>>,
}

/// What an [`Api`] is made of.
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Parts {
    pub store: Arc<dyn Store>,
    pub secret: TokenSecret,
    pub control: Control,
    pub issuers: Vec<Arc<dyn IssuerClient>>,
    pub master_keys: Option<Arc<MasterKeys>>,
    pub reach: Reach,
    pub has_mail: bool,
    pub snapshots: Arc<CurrentSnapshot>,
    pub ledger: LedgerPort,
    pub stands: Stands,
    pub records: Arc<Records>,
    pub clock: Clock,
    pub keys: Fingerprinter,
    pub rows_rule: bool,
    pub journal: JournalProgress,
    pub public_url: String,
    pub purchases: PurchasesConfig,
}

/// The API once the server has started; nothing inside where the data directory has no database.
pub type Served = Arc<OnceLock<Option<Arc<Api>>>>;

impl Api {
    /// An API that has answered nothing yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            store: parts.store,
            secret: parts.secret,
            control: parts.control,
            issuers: parts.issuers,
            master_keys: parts.master_keys,
            reach: parts.reach,
            has_mail: parts.has_mail,
            snapshots: parts.snapshots,
            ledger: parts.ledger,
            stands: parts.stands,
            records: parts.records,
            clock: parts.clock,
            keys: parts.keys,
            rows_rule: parts.rows_rule,
            journal: parts.journal,
            public_url: parts.public_url,
            buying: purchases::Buying::default(),
            trials: Semaphore::new(1),
            in_flight: InFlight::default(),
            reveals: PerMinute::new(REVEALS_A_MINUTE),
            asks: purchases::Asks::new(parts.purchases.requests_per_minute_max),
            reviews_max: parts.purchases.reviews_waiting_max,
            links: PerMinute::new(review::LINKS_A_MINUTE),
            first_spends: Mutex::default(),
        }
    }

    /// Writes and signs what the audit log waits for: the process ends.
    pub async fn settle(&self) {
        self.control.settle().await;
    }

    fn first_spends(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.first_spends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
