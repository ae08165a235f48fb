//! What happened, in the only words that change the ledger's state.
//!
//! Events are versioned by their tag: a tag is never reused and never changes its layout, so that
//! every journal ever written stays readable. One journal frame holds the events of one command.

use crate::domain::acceptor::CardAcceptor;
use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key};
use crate::domain::claims::MerchantKeys;
use crate::domain::decision::Decision;
use crate::domain::explanation::Explanation;
use crate::domain::hold_time::HoldTime;
use crate::domain::identity::StepIdentity;
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour};
use crate::ledger::codec::{ExternalId, Malformed, Put, Reader};
use crate::ledger::intent::{IntentTerms, IntentVerdict};
use crate::ledger::rolling::SeriesSet;

#[cfg(test)]
pub(super) mod arbitrary;
mod booked;
mod decided;
#[cfg(test)]
mod golden;
mod later;
mod restated;
mod seen;

pub use booked::{Booked, DeclinedThere};
use booked::{decode_booked, encode_booked};
pub(in crate::ledger) use booked::{decode_fact, decode_told, encode_fact, encode_told};
use decided::{decode_decided, encode_conflicted, encode_decided};
pub(in crate::ledger) use decided::{decode_locked, encode_locked};
use later::{decode_later, encode_later};
pub(in crate::ledger) use later::{decode_terms, encode_terms};
pub use seen::{Facts, ShadowVerdict};

/// One state of the ledger: a customer's, or a connection's for cards that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateNo(pub u32);

/// A card within its state, numbered by first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardNo(pub u32);

/// An agent within its state, numbered by first use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentNo(pub u32);

/// Whose state it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A customer, by id.
    Customer(&'a str),
    /// Authorizations of one connection whose card is in no snapshot.
    Unattributed(&'a str),
}

/// A merchant that a card is locked to: hashes to compare, texts to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of domain's CardAcceptor")]
pub struct LockedMerchant<'a> {
    pub keys: MerchantKeys,
    pub acquirer_id: &'a str,
    pub acceptor_id: &'a str,
    pub descriptor: &'a str,
    pub mcc: Option<u16>,
    pub country: Option<u16>,
}

impl<'a> LockedMerchant<'a> {
    /// Of a message that names this merchant.
    pub(in crate::ledger) fn of(keys: MerchantKeys, acceptor: &'a CardAcceptor<'a>) -> Self {
        Self {
            keys,
            acquirer_id: acceptor.acquirer_id.as_deref().unwrap_or_default(),
            acceptor_id: acceptor.acceptor_id.as_deref().unwrap_or_default(),
            descriptor: &acceptor.descriptor,
            mcc: acceptor.mcc.map(|mcc| mcc.get()),
            country: acceptor.country.map(|country| country.packed()),
        }
    }
}

/// Whether the agent had said what it was doing (behaviour 6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttestationClass {
    /// It never had.
    #[default]
    Unattested,
    /// It had, within the attestation window.
    Attested,
    /// It had, but before that.
    Stale,
}

/// One decided step: the decision's record (behaviour 2.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided<'a> {
    /// Where it is booked.
    pub state: StateNo,
    /// Our clock at receipt.
    pub at: Timestamp,
    /// By what the step will be known again.
    pub step: StepIdentity,
    /// 1 for the authorization's first step.
    pub ordinal: u32,
    /// The issuer's id of the authorization.
    pub authorization: ExternalId<'a>,
    /// Absent where the card is unknown.
    pub card: Option<CardNo>,
    /// Absent where the card belongs to no agent.
    pub agent: Option<AgentNo>,
    /// What was asked.
    pub kind: AuthorizationKind,
    /// How long an approval of it may be held, by the merchant's category.
    pub hold_time: HoldTime,
    /// How much was asked; of an approval that reserves, how much was checked against the limits,
    /// so that nothing is ever booked that was not checked.
    pub amount: Amount,
    /// Our answer.
    pub decision: Decision,
    /// The day whose windows are charged.
    pub day: LocalDay,
    /// The hour whose count is charged. Where nobody says so, the hour of [`Self::utc_hour`].
    pub hour: LocalHour,
    /// Whether this approval consumes a single-use card.
    pub consumes: bool,
    /// Whether this approval is the card's one probe.
    pub probes: bool,
    /// The intent that this approval takes.
    pub intent: Option<Key>,
    /// Whether it was approved although no intent matched.
    pub flagged: bool,
    /// Whether one node approved it while the shared log did not answer (decision 0042); booked afterwards,
    /// whatever the limits said by then.
    pub stood_in: bool,
    /// What the agent had attested.
    pub attestation: AttestationClass,
    /// The merchant that this approval locks the card to.
    pub locks: Option<LockedMerchant<'a>>,
    /// Why it was declined.
    pub explanation: Option<Explanation>,
    /// The issuer's token of a card that nobody knows.
    pub card_token: Option<ExternalId<'a>>,
    /// What documents that are tried out would have decided.
    pub shadow: Option<ShadowVerdict>,
    /// What was asked; absent where nobody knows the card, or earlier versions wrote the record.
    pub facts: Option<Facts<'a>>,
    /// The policy snapshot that was in force.
    pub snapshot_version: u64,
    /// From the request's arrival to this decision, without the wait for durability, in µs.
    pub latency_us: u32,
}

impl Decided<'_> {
    /// The hour of universal time at which the step was received.
    #[must_use]
    pub fn utc_hour(at: Timestamp) -> LocalHour {
        let hour = at.secs().div_euclid(3_600);
        let bounded = hour.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        LocalHour(i32::try_from(bounded).unwrap_or(i32::MAX))
    }

    /// What the decision puts on hold.
    #[must_use]
    pub fn reserved(&self) -> Minor {
        match (self.kind, self.decision) {
            (_, Decision::Decline(_))
            | (AuthorizationKind::Credit | AuthorizationKind::BalanceInquiry, _) => Minor::ZERO,
            (_, Decision::Approve) => self.amount.minor,
            (_, Decision::ApprovePartial(amount)) => amount,
        }
    }
}

/// What an operator set on a card, an agent or a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandingChange {
    /// A card's status and its freeze flag.
    Card(CardNo, CardStatus, bool),
    /// An agent's status.
    Agent(AgentNo, AgentStatus),
    /// The status of the customer whose state it is.
    Customer(CustomerStatus),
}

/// See the module. Borrowed from the command that caused it or from the journal's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are explained by the variants")]
pub enum Event<'a> {
    /// A customer's (or connection's) first command.
    StateOpened {
        state: StateNo,
        key: Key,
        owner: Owner<'a>,
    },
    /// A card's first command.
    CardOpened {
        state: StateNo,
        card: CardNo,
        key: Key,
        id: &'a str,
        connection: &'a str,
    },
    /// An agent's first command.
    AgentOpened {
        state: StateNo,
        agent: AgentNo,
        key: Key,
        id: &'a str,
    },
    /// A step was decided.
    Decided(Decided<'a>),
    /// A known step came with another content; its first decision stands.
    Conflicted(Decided<'a>),
    /// A known step came again.
    Redelivered {
        state: StateNo,
        decided_at: u64,
        at: Timestamp,
    },
    /// An approval could not leave in time: released, and remembered as declined.
    Overruled {
        state: StateNo,
        authorization: Key,
        decided_at: u64,
        at: Timestamp,
    },
    /// An operator set a status.
    StandingSet {
        state: StateNo,
        change: StandingChange,
        at: Timestamp,
    },
    /// Authorizations without a step since `cut` are forgotten, those whose keys begin with the byte
    /// `part`, or all where it is 256; what they still held counts as spent.
    Swept {
        state: StateNo,
        part: u16,
        cut: Timestamp,
    },
    /// The step that follows in the frame opens a day, which ends at `day_ends` at the earliest, or
    /// an hour that begins by `hour_offset_s` before the full hour of universal time.
    WindowsOpened {
        state: StateNo,
        day: LocalDay,
        day_ends: Timestamp,
        hour_offset_s: u16,
    },
    /// Rolling limits stand for the first time: the trailing sums of this card, this agent and the
    /// customer begin, from what is remembered.
    RollingOpened {
        state: StateNo,
        card: Option<CardNo>,
        agent: Option<AgentNo>,
        series: SeriesSet,
    },
    /// A risk rule froze a card.
    RiskFrozen {
        state: StateNo,
        card: CardNo,
        at: Timestamp,
    },
    /// An agent said what it is about to buy.
    IntentDeclared {
        state: StateNo,
        card: CardNo,
        intent: Key,
        terms: IntentTerms,
        at: Timestamp,
    },
    /// An open intent was approved, rejected or withdrawn.
    IntentSettled {
        state: StateNo,
        intent: Key,
        verdict: IntentVerdict,
        at: Timestamp,
    },
    /// An agent attested what it is doing.
    Attested {
        state: StateNo,
        card: CardNo,
        at: Timestamp,
    },
    /// A card is backed by an earmark from its first use on.
    Backed {
        state: StateNo,
        card: CardNo,
        earmark: Key,
        at: Timestamp,
    },
    /// The issuer said nothing about authorizations of this connection since `cut`: what they still
    /// hold is given back. Of those whose keys begin with the byte `part`, or of all where it is 256;
    /// where `time` is the usual one, of those alone that are held for so long.
    Lapsed {
        state: StateNo,
        part: u16,
        connection: &'a str,
        cut: Timestamp,
        time: HoldTime,
    },
    /// An issuer reported what became of an authorization.
    Booked(Booked<'a>),
}

const STATE_OPENED: u8 = 1;
const CARD_OPENED: u8 = 2;
const AGENT_OPENED: u8 = 3;
const DECIDED: u8 = 4;
const CONFLICTED: u8 = 5;
const REDELIVERED: u8 = 6;
const OVERRULED: u8 = 7;
const STANDING_SET: u8 = 8;
const SWEPT: u8 = 9;
/// A decided step of which more has to be said than [`DECIDED`] has flags for.
const DECIDED_MORE: u8 = 10;
const WINDOWS_OPENED: u8 = 11;
const ROLLING_OPENED: u8 = 12;
const RISK_FROZEN: u8 = 13;
const INTENT_DECLARED: u8 = 14;
const INTENT_SETTLED: u8 = 15;
const ATTESTED: u8 = 16;
const BOOKED: u8 = 17;
const LAPSED: u8 = 18;
/// Holds of the usual time alone; [`LAPSED`] is of every hold.
const LAPSED_USUAL: u8 = 19;
/// A decided step of which more has to be said than [`DECIDED_MORE`] has flags for.
const DECIDED_WIDE: u8 = 20;
/// An earmark stands behind a card.
const BACKED: u8 = 21;

/// The number of the state that an event concerns, borrowed as the event is.
macro_rules! state_of {
    ($event:expr) => {
        match $event {
            Event::StateOpened { state, .. }
            | Event::CardOpened { state, .. }
            | Event::AgentOpened { state, .. }
            | Event::Redelivered { state, .. }
            | Event::Overruled { state, .. }
            | Event::StandingSet { state, .. }
            | Event::Swept { state, .. }
            | Event::Lapsed { state, .. }
            | Event::WindowsOpened { state, .. }
            | Event::RollingOpened { state, .. }
            | Event::RiskFrozen { state, .. }
            | Event::IntentDeclared { state, .. }
            | Event::IntentSettled { state, .. }
            | Event::Attested { state, .. }
            | Event::Backed { state, .. }
            | Event::Decided(Decided { state, .. })
            | Event::Conflicted(Decided { state, .. })
            | Event::Booked(Booked { state, .. }) => state,
        }
    };
}
use state_of;

impl<'a> Event<'a> {
    /// The state that the event concerns.
    #[must_use]
    pub fn state(&self) -> StateNo {
        *state_of!(self)
    }

    /// Appends the event's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::StateOpened { state, key, owner } => {
                head(out, STATE_OPENED, *state);
                out.put_key(*key);
                let (kind, id) = match owner {
                    Owner::Customer(id) => (0, id),
                    Owner::Unattributed(connection) => (1, connection),
                };
                out.push(kind);
                out.put_text(id);
            }
            Self::CardOpened {
                state,
                card,
                key,
                id,
                connection,
            } => {
                head(out, CARD_OPENED, *state);
                out.put_u64(u64::from(card.0));
                out.put_key(*key);
                out.put_text(id);
                out.put_text(connection);
            }
            Self::AgentOpened {
                state,
                agent,
                key,
                id,
            } => {
                head(out, AGENT_OPENED, *state);
                out.put_u64(u64::from(agent.0));
                out.put_key(*key);
                out.put_text(id);
            }
            Self::Decided(decided) => encode_decided(out, decided),
            Self::Conflicted(decided) => encode_conflicted(out, decided),
            Self::Booked(booked) => encode_booked(out, booked),
            Self::Redelivered { .. }
            | Self::Overruled { .. }
            | Self::StandingSet { .. }
            | Self::Swept { .. }
            | Self::Lapsed { .. }
            | Self::WindowsOpened { .. }
            | Self::RollingOpened { .. }
            | Self::RiskFrozen { .. }
            | Self::IntentDeclared { .. }
            | Self::IntentSettled { .. }
            | Self::Attested { .. }
            | Self::Backed { .. } => encode_later(out, self),
        }
    }

    /// Reads the next event of a frame; absent at its end.
    ///
    /// # Errors
    /// [`Malformed`] where the bytes are no event that this version knows.
    pub(in crate::ledger) fn decode(reader: &mut Reader<'a>) -> Result<Option<Self>, Malformed> {
        if reader.is_empty() {
            return Ok(None);
        }
        let tag = reader.u8()?;
        let state = StateNo(reader.u32()?);
        Ok(Some(match tag {
            STATE_OPENED => {
                let key = reader.key()?;
                let owner = match reader.u8()? {
                    0 => Owner::Customer(reader.text()?),
                    1 => Owner::Unattributed(reader.text()?),
                    _ => return Err(Malformed),
                };
                Self::StateOpened { state, key, owner }
            }
            CARD_OPENED => Self::CardOpened {
                state,
                card: CardNo(reader.u32()?),
                key: reader.key()?,
                id: reader.text()?,
                connection: reader.text()?,
            },
            AGENT_OPENED => Self::AgentOpened {
                state,
                agent: AgentNo(reader.u32()?),
                key: reader.key()?,
                id: reader.text()?,
            },
            DECIDED => Self::Decided(decode_decided(reader, state, DECIDED)?),
            DECIDED_MORE | DECIDED_WIDE => Self::Decided(decode_decided(reader, state, tag)?),
            CONFLICTED => Self::Conflicted(decode_decided(reader, state, tag)?),
            BOOKED => Self::Booked(decode_booked(reader, state)?),
            LAPSED | LAPSED_USUAL => Self::Lapsed {
                state,
                part: reader.u16()?,
                connection: reader.text()?,
                cut: Timestamp::from_micros(reader.i64()?),
                time: if tag == LAPSED {
                    HoldTime::Long
                } else {
                    HoldTime::Usual
                },
            },
            _ => decode_later(reader, tag, state)?,
        }))
    }
}

/// The events of one journal frame.
///
/// # Errors
/// Each item is [`Malformed`] where the bytes are no event that this version knows.
pub fn events_of(frame: &[u8]) -> impl Iterator<Item = Result<Event<'_>, Malformed>> {
    let mut reader = Reader::new(frame);
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let next = Event::decode(&mut reader).transpose();
        failed = matches!(next, Some(Err(_)));
        next
    })
}

fn head(out: &mut Vec<u8>, tag: u8, state: StateNo) {
    out.push(tag);
    out.put_u64(u64::from(state.0));
}

#[cfg(test)]
mod tests;
