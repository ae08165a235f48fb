//! One decision as it is shown (behaviour 11.5). Absent values are null.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use super::names::Called;
use crate::cold::explain::{Context, Explained, Shown, declined_by_issuer, explain};
use crate::cold::schema::Reason;
use crate::domain::amount::Minor;
use crate::domain::currency::Currency;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::explanation::Explanation;
use crate::ledger::event::{AttestationClass, Booked, Decided, Event, ShadowVerdict};

/// The public name of a decision: its position in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionId(pub u64);

impl DecisionId {
    /// Reads `dec_` and sixteen digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("dec_")?;
        parse_hex(digits).map(Self)
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dec_{:016x}", self.0)
    }
}

/// Exactly sixteen lower-case hexadecimal digits.
pub(super) fn parse_hex(digits: &str) -> Option<u64> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (digits.len() == 16 && digits.bytes().all(is_digit))
        .then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
}

/// One decision. Amounts are in minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Decision)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// Its name.
    pub id: String,
    /// Our clock at receipt.
    #[schema(format = DateTime)]
    pub at: String,
    /// The issuer connection that asked.
    pub connection: Option<String>,
    /// The issuer's id of the authorization.
    pub authorization: String,
    /// Which message of the authorization it is, from one on; what the issuer has declined by itself is
    /// counted behind those that it has asked about.
    pub step: u32,
    /// The card's id; null where nobody knows the card.
    pub card: Option<String>,
    /// The id of the agent that held the card then.
    pub agent: Option<String>,
    /// The customer's id.
    pub customer: Option<String>,
    /// Minor units that were asked for.
    pub amount: i64,
    /// Minor units that were approved.
    pub approved_amount: i64,
    /// Of both amounts.
    pub currency: String,
    /// The word for it.
    #[schema(pattern = "^(approve|partial|decline)$")]
    pub decision: &'static str,
    /// Why it was declined; null where it was not.
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<&'static str>,
    /// The reason in words and values; null where it was not declined.
    pub explanation: Option<Explained>,
    /// What a version that is tried out would have decided; null where none is, or none was yet.
    pub shadow: Option<ShadowRecord>,
    /// Whether the agent had said, within the window, what it was doing with the card.
    #[schema(pattern = "^(attested|stale|unattested)$")]
    pub attestation: &'static str,
    /// Whether a node approved it by itself while the ledger that nodes share did not answer; booked afterwards.
    pub stand_in: bool,
    /// The rules that decided; 0 where the issuer has.
    pub snapshot_version: u64,
    /// Microseconds from receipt to decision; 0 where the issuer has decided.
    pub latency_us: u32,
    /// How often the issuer has sent the message.
    pub deliveries: u32,
}

/// The connection of the ledger's own authorizations: earmarks of purchase requests (behaviour 5.8). No
/// configured connection can have this name.
pub const EARMARKS: &str = ":purchases";

impl DecisionRecord {
    /// Whether it is about an earmark, and not about a card of an issuer.
    #[must_use]
    pub fn is_earmark(&self) -> bool {
        self.connection.as_deref() == Some(EARMARKS)
    }
}

/// What versions that are tried out would have decided, by the counters as they were then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ShadowVerdict)]
#[serde(rename_all = "camelCase")]
pub struct ShadowRecord {
    /// The version that was tried out on the card; null where none was.
    pub card_version: Option<u32>,
    /// The same on its agent.
    pub agent_version: Option<u32>,
    /// The same on its customer.
    pub customer_version: Option<u32>,
    /// Minor units that would have been approved.
    pub approved_amount: i64,
    /// The word for it.
    #[schema(pattern = "^(approve|partial|decline)$")]
    pub decision: &'static str,
    /// Why it would have been declined; null where it would not.
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<&'static str>,
}

impl ShadowRecord {
    fn new(verdict: &ShadowVerdict, amount: Minor) -> Self {
        let [card, agent, customer] = verdict.versions.map(|it| Some(it).filter(|it| *it > 0));
        let (decision, approved, reason) = told(verdict.decision, amount);
        Self {
            card_version: card,
            agent_version: agent,
            customer_version: customer,
            approved_amount: approved.get(),
            decision,
            reason: reason.map(DeclineReason::code),
        }
    }
}

/// A decision in a word, with what it approves and why it declines.
fn told(decision: Decision, amount: Minor) -> (&'static str, Minor, Option<DeclineReason>) {
    match decision {
        Decision::Approve => ("approve", amount, None),
        Decision::ApprovePartial(part) => ("partial", part, None),
        Decision::Decline(reason) => ("decline", Minor::ZERO, Some(reason)),
    }
}

/// The reason of what an issuer has declined by itself (behaviour 3.8).
pub const DECLINED_BY_ISSUER: &str = "declined_by_issuer";

/// Whether the event is shown as a decision.
pub(super) fn is_record(event: &Event<'_>) -> bool {
    match event {
        Event::Decided(_) | Event::Conflicted(_) => true,
        Event::Booked(booked) => booked.declined.is_some(),
        Event::StateOpened { .. }
        | Event::CardOpened { .. }
        | Event::AgentOpened { .. }
        | Event::Redelivered { .. }
        | Event::Overruled { .. }
        | Event::StandingSet { .. }
        | Event::Swept { .. }
        | Event::Lapsed { .. }
        | Event::WindowsOpened { .. }
        | Event::RollingOpened { .. }
        | Event::RiskFrozen { .. }
        | Event::IntentDeclared { .. }
        | Event::IntentSettled { .. }
        | Event::Attested { .. }
        | Event::Backed { .. } => false,
    }
}

/// What an issuer has declined by itself; absent where the report tells of nothing like it.
pub(super) fn show_declined(
    sequence: u64,
    booked: &Booked<'_>,
    called: Called<'_>,
) -> Option<DecisionRecord> {
    let declined = booked.declined?;
    Some(DecisionRecord {
        id: DecisionId(sequence).to_string(),
        at: booked.at.rfc3339().to_string(),
        connection: called.connection.map(str::to_owned),
        authorization: booked.external.to_string(),
        step: declined.ordinal,
        card: called.card.map(str::to_owned),
        agent: called.agent.map(str::to_owned),
        customer: called.customer.map(str::to_owned),
        amount: declined.amount.get(),
        approved_amount: 0,
        currency: booked.currency.to_string(),
        decision: "decline",
        reason: Some(DECLINED_BY_ISSUER),
        explanation: Some(declined_by_issuer()),
        shadow: None,
        attestation: "unattested",
        stand_in: false,
        snapshot_version: 0,
        latency_us: 0,
        deliveries: 1,
    })
}

/// What later events say about a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aftermath {
    pub(super) is_overruled: bool,
    pub(super) deliveries: u32,
}

pub(super) fn show(
    sequence: u64,
    decided: &Decided<'_>,
    called: Called<'_>,
    aftermath: Aftermath,
) -> DecisionRecord {
    let (decision, explanation) = if aftermath.is_overruled {
        let reason = DeclineReason::DeadlineExceeded;
        (Decision::Decline(reason), Some(Explanation::bare(reason)))
    } else {
        (decided.decision, decided.explanation)
    };
    let currency = decided.amount.currency;
    let (word, approved, reason) = told(decision, decided.amount.minor);
    let asked = decided
        .facts
        .map_or(decided.amount.minor, |facts| facts.amount);
    let shadow = decided.shadow.as_ref();
    // A decline always explains itself, also where nothing but its cause was recorded.
    let explanation = reason.map(|reason| explanation.unwrap_or_else(|| Explanation::bare(reason)));
    DecisionRecord {
        id: DecisionId(sequence).to_string(),
        at: decided.at.rfc3339().to_string(),
        connection: called.connection.map(str::to_owned),
        authorization: decided.authorization.to_string(),
        step: decided.ordinal,
        card: called.card.map(str::to_owned),
        agent: called.agent.map(str::to_owned),
        customer: called.customer.map(str::to_owned),
        amount: decided.amount.minor.get(),
        // What reserves nothing is no spending, whoever adds up (behaviour 2.14 b, i).
        approved_amount: if decided.kind.spends() {
            approved.get()
        } else {
            0
        },
        currency: currency.to_string(),
        decision: word,
        reason: reason.map(DeclineReason::code),
        explanation: explanation.map(|it| explained(&it, decided, currency)),
        shadow: shadow.map(|verdict| ShadowRecord::new(verdict, asked)),
        attestation: match decided.attestation {
            AttestationClass::Attested => "attested",
            AttestationClass::Stale => "stale",
            AttestationClass::Unattested => "unattested",
        },
        stand_in: decided.stood_in,
        snapshot_version: decided.snapshot_version,
        latency_us: decided.latency_us,
        deliveries: aftermath.deliveries,
    }
}

/// A rule about merchants has observed a name, which is kept beside the numbers.
fn explained(it: &Explanation, decided: &Decided<'_>, currency: Currency) -> Explained {
    let mut explained = explain(it, Context { currency });
    let is_about_merchant = matches!(
        it.reason,
        DeclineReason::MerchantBlocked
            | DeclineReason::MerchantNotAllowed
            | DeclineReason::MerchantLockMismatch
    );
    let named = decided.facts.map(|facts| facts.descriptor);
    if let Some(name) = named.filter(|name| is_about_merchant && !name.is_empty()) {
        explained.observed = Some(Shown::Text(name.to_owned()));
    }
    explained
}
