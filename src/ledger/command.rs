//! What is asked of the ledger. Each command carries the identity by which a repetition is known.

use crate::domain::acceptor::CardAcceptor;
use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key};
use crate::domain::claims::{MerchantKeys, Proposal};
use crate::domain::currency::Currency;
use crate::domain::decision::Decision;
use crate::domain::explanation::Explanation;
use crate::domain::hold_time::HoldTime;
use crate::domain::identity::StepIdentity;
use crate::domain::lifecycle::{BookStatus, BookTerms, Flags};
use crate::domain::time::Timestamp;
use crate::domain::window::Calendar;
use crate::ledger::event::{Facts, Owner};
use crate::ledger::intent::{IntentTerms, IntentVerdict};
use crate::ledger::life::{Fact, Told};

/// Which state a command belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route<'a> {
    /// The owner's key, by which the store finds the state.
    pub key: Key,
    /// Who the owner is, for a state that has to be opened.
    pub owner: Owner<'a>,
}

/// A card that the snapshot or the ledger knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardRef<'a> {
    /// Connection and issuer's token, hashed.
    pub key: Key,
    /// Our id of the card.
    pub id: &'a str,
    /// The connection it is used through.
    pub connection: &'a str,
    /// The agent that holds it.
    pub agent: Option<AgentRef<'a>>,
}

/// An agent that the snapshot knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentRef<'a> {
    /// The id, hashed.
    pub key: Key,
    /// Our id of the agent.
    pub id: &'a str,
}

/// What the stateless rules of documents that are tried out say (behaviour 8.3).
#[derive(Clone, Copy, Debug)]
pub struct Shadowed<'a> {
    /// Their versions, in the order of [`crate::domain::card::Level::ALL`]; 0 where a level has none.
    pub versions: [u32; 3],
    /// What they say.
    pub proposal: &'a Proposal,
}

/// Decide one step of an authorization.
#[derive(Clone, Debug)]
pub struct Authorize<'a> {
    /// Our clock at receipt.
    pub at: Timestamp,
    /// By what the step is known.
    pub step: StepIdentity,
    /// The issuer's id of the authorization.
    pub authorization: &'a str,
    /// What is asked.
    pub kind: AuthorizationKind,
    /// How much is asked.
    pub amount: Amount,
    /// The card; absent where nobody knows it.
    pub card: Option<CardRef<'a>>,
    /// The card's key, known or not: it may have been used before it left the snapshot.
    pub card_key: Key,
    /// The issuer's token of the card.
    pub card_token: &'a str,
    /// The merchant.
    pub acceptor: &'a CardAcceptor<'a>,
    /// What the stateless rules say; absent where the snapshot does not know the card.
    pub proposal: Option<&'a Proposal>,
    /// What documents that are tried out say; it changes neither the answer nor a counter.
    pub shadow: Option<Shadowed<'a>>,
    /// What was asked, for whoever decides it again on paper; absent where it is too long to keep.
    pub facts: Option<Facts<'a>>,
    /// The policy snapshot that made the proposal.
    pub snapshot_version: u64,
    /// Microseconds since the request arrived.
    pub latency_us: u32,
}

/// Take back an approval that could not leave in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrule {
    /// The authorization.
    pub authorization: Key,
    /// The journal position of the approval.
    pub decided_at: u64,
    /// Our clock.
    pub at: Timestamp,
}

/// Book what an issuer reports about one authorization (behaviour 2.16).
#[derive(Clone, Debug)]
pub struct Book<'a> {
    /// Our clock at receipt.
    pub at: Timestamp,
    /// The authorization.
    pub authorization: Key,
    /// The issuer's id of it.
    pub external: &'a str,
    /// The card by connection and issuer's token, hashed.
    pub card_key: Key,
    /// The card as the snapshot knows it; absent where it does not.
    pub card: Option<CardRef<'a>>,
    /// The windows under way, by the customer's zone.
    pub calendar: Calendar,
    /// Of all amounts.
    pub currency: Currency,
    /// What has happened.
    pub facts: &'a [Fact],
    /// Where the authorization stands, where the issuer tells.
    pub told: Option<Told>,
    /// What the policies in force say about it.
    pub terms: BookTerms,
    /// How long it may be held, by the category of the merchant that the report names.
    pub hold_time: HoldTime,
    /// Whether another merchant posted than the one that the card is locked to; asked of the lock
    /// with this merchant's keys.
    pub merchant: Option<MerchantKeys>,
    /// That merchant as the report names it.
    pub acceptor: Option<&'a CardAcceptor<'a>>,
    /// What the step asked for that the report tells last as declined; zero where it tells of none.
    pub declined: Minor,
}

/// The ledger's word on one report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookAnswer {
    /// What became of it.
    pub status: BookStatus,
    /// It is in the books once the journal is durable up to here; absent where it rests on nothing.
    pub position: Option<u64>,
    /// What an operator should look at now and had no reason to before.
    pub raised: Flags,
}

/// In whose name a command comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// An owner, or the operator of this program.
    Owner,
    /// A rule that watches for risk.
    Risk,
}

/// Set a card's status and freeze flag, or the status of an agent or of a customer, above what the snapshot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetStanding<'a> {
    /// Of a card, in the owner's name.
    Card {
        /// Which one.
        card: CardRef<'a>,
        /// Absent leaves the status.
        status: Option<CardStatus>,
        /// Absent leaves the flag.
        frozen: Option<bool>,
    },
    /// Of an agent.
    Agent {
        /// Which one.
        agent: AgentRef<'a>,
        /// The new status.
        status: AgentStatus,
    },
    /// Of the customer whose state it is.
    Customer(CustomerStatus),
    /// The freeze flag of a card. What a risk rule froze, only an owner unfreezes.
    Freeze {
        /// Which one.
        card: CardRef<'a>,
        /// The new flag.
        frozen: bool,
        /// In whose name.
        by: Authority,
    },
}

/// Declare an intent (behaviour 6.1). The same intent again is no second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeclareIntent<'a> {
    /// The card it is for.
    pub card: CardRef<'a>,
    /// Its id, hashed together with the card.
    pub intent: Key,
    /// What it says.
    pub terms: &'a IntentTerms,
    /// Our clock.
    pub at: Timestamp,
}

/// Approve, reject or withdraw an open intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettleIntent {
    /// Which one.
    pub intent: Key,
    /// What to do.
    pub verdict: IntentVerdict,
    /// Our clock.
    pub at: Timestamp,
}

/// An agent says what it is doing with a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attest<'a> {
    /// The card.
    pub card: CardRef<'a>,
    /// Our clock.
    pub at: Timestamp,
}

/// Put an earmark behind a card before its first use (behaviour 5.8). What is unused of it goes back
/// when the card is canceled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Back<'a> {
    /// The purchase card.
    pub card: CardRef<'a>,
    /// The authorization that holds the earmark.
    pub earmark: Key,
    /// Our clock.
    pub at: Timestamp,
}

/// Why a command about an intent was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentRefused {
    /// No intent has this key.
    Unknown,
    /// The key is in use for another card or other terms.
    Conflict,
    /// As many wait on this card as may.
    TooMany,
    /// It is not open any more: taken, rejected, withdrawn or expired.
    Closed,
    /// The command contradicts the state.
    Refused,
}

impl From<Refused> for IntentRefused {
    fn from(_: Refused) -> Self {
        Self::Refused
    }
}

/// How the ledger knew the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// Never seen before.
    New,
    /// The recorded decision of a known step.
    Known,
    /// A known step with another content.
    Conflict,
}

/// The ledger's word on one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What to tell the issuer.
    pub decision: Decision,
    /// Whether the step was known.
    pub novelty: Novelty,
    /// Nothing may leave before the journal is durable up to here.
    pub position: u64,
    /// Why it was declined, where it was declined now.
    pub explanation: Option<Explanation>,
    /// The smallest room left under any amount limit, for balance inquiries; absent without limits.
    pub available: Option<Minor>,
}

/// The command contradicts the state: a card that belongs to another customer, numbers used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;
