//! What one node approved while the shared log did not answer (decision 0042), as it is kept until the log has
//! it: everything that the log has to be told, so that nothing has to be asked or evaluated again.

use crate::domain::amount::Amount;
use crate::domain::time::Timestamp;
use crate::ledger::codec::Malformed;
use crate::ledger::command::{AgentRef, CardRef, Route};
use crate::ledger::event::{AgentNo, CardNo, Decided, Event, Owner, StateNo, events_of};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoodIn<'a> {
    /// In whose log it belongs.
    pub owner: Route<'a>,
    /// The card and its agent.
    pub card: CardRef<'a>,
    /// When the day ended that was under way.
    pub day_ends: Timestamp,
    /// Seconds by which the hour under way began before the full hour of universal time.
    pub hour_offset_s: u16,
    /// The approval. Its state, card and agent have no number yet; its day and hour are those that were
    /// under way.
    pub decided: Decided<'a>,
}

const STATE: StateNo = StateNo(0);
const CARD: CardNo = CardNo(0);
const AGENT: AgentNo = AgentNo(0);

impl<'a> StoodIn<'a> {
    /// How much of the node's budget it takes.
    #[must_use]
    pub fn amount(&self) -> Amount {
        Amount {
            minor: self.decided.reserved(),
            currency: self.decided.amount.currency,
        }
    }

    /// Its bytes: the events that a log would begin with.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let Route { key, owner } = self.owner;
        let state = STATE;
        Event::StateOpened { state, key, owner }.encode(&mut out);
        if let Some(AgentRef { key, id }) = self.card.agent {
            let agent = AGENT;
            Event::AgentOpened {
                state,
                agent,
                key,
                id,
            }
            .encode(&mut out);
        }
        let CardRef {
            key,
            id,
            connection,
            ..
        } = self.card;
        Event::CardOpened {
            state,
            card: CARD,
            key,
            id,
            connection,
        }
        .encode(&mut out);
        Event::WindowsOpened {
            state,
            day: self.decided.day,
            day_ends: self.day_ends,
            hour_offset_s: self.hour_offset_s,
        }
        .encode(&mut out);
        let mut decided = self.decided.clone();
        (decided.state, decided.card) = (STATE, Some(CARD));
        decided.agent = self.card.agent.map(|_| AGENT);
        Event::Decided(decided).encode(&mut out);
        out
    }

    /// Reads what [`Self::encode`] has written.
    ///
    /// # Errors
    /// [`Malformed`] for anything else.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut events = events_of(bytes);
        let mut next = || events.next().transpose()?.ok_or(Malformed);
        let Event::StateOpened { key, owner, .. } = next()? else {
            return Err(Malformed);
        };
        if !matches!(owner, Owner::Customer(_)) {
            return Err(Malformed);
        }
        let owner = Route { key, owner };
        let mut opened = next()?;
        let mut agent = None;
        if let Event::AgentOpened { key, id, .. } = opened {
            agent = Some(AgentRef { key, id });
            opened = next()?;
        }
        let Event::CardOpened {
            key,
            id,
            connection,
            ..
        } = opened
        else {
            return Err(Malformed);
        };
        let card = CardRef {
            key,
            id,
            connection,
            agent,
        };
        let Event::WindowsOpened {
            day_ends,
            hour_offset_s,
            ..
        } = next()?
        else {
            return Err(Malformed);
        };
        let Event::Decided(decided) = next()? else {
            return Err(Malformed);
        };
        if events.next().is_some() || !decided.decision.is_approval() || !decided.stood_in {
            return Err(Malformed);
        }
        Ok(Self {
            owner,
            card,
            day_ends,
            hour_offset_s,
            decided,
        })
    }
}
