//! Locking, freezing, canceling cards; pausing agents (behaviour 2.14 j).
//!
//! A change is made where authorizations are decided, on a hot thread, and the answer leaves once it
//! is durable. So whoever has the answer knows: what is asked from now on is declined, also after a
//! crash. What the snapshot says stays beside it, and the stricter of the two is in force.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use serde::Serialize;

use super::OpsState;
use super::cards::in_time;
use super::decisions::ask as search;
use super::problem::Problem;
use super::query::Parameters;
use crate::cold::durable::becomes_durable;
use crate::cold::outbox::teller::Subject;
use crate::cold::records::Named;
use crate::cold::stands;
use crate::decide::snapshot::Snapshot;
use crate::domain::card::{AgentStatus, CardStatus, Key};
use crate::domain::time::Timestamp;
use crate::ledger::command::{AgentRef, CardRef, Route, SetStanding};
use crate::ledger::embedded::journal::Position;
use crate::ledger::embedded::store::{EmbeddedLedger, Unavailable};
use crate::ledger::event::{AgentNo, CardNo, Owner};
use crate::seam::commands::Made;

/// What can be done to a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CardAction {
    Lock,
    Unlock,
    Freeze,
    Unfreeze,
    Cancel,
}

/// What can be done to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AgentAction {
    Pause,
    Resume,
}

impl CardAction {
    /// Whether it lets go what was stopped.
    fn lets_go(self) -> bool {
        match self {
            Self::Unlock | Self::Unfreeze => true,
            Self::Lock | Self::Freeze | Self::Cancel => false,
        }
    }
}

pub(super) fn routes() -> Router<OpsState> {
    let card = |action| {
        post(move |state, id, parameters| async move {
            change_card(state, id, parameters, action).await
        })
    };
    let agent = |action| {
        post(move |state, id, parameters| async move {
            change_agent(state, id, parameters, action).await
        })
    };
    Router::new()
        .route("/admin/cards/{id}/lock", card(CardAction::Lock))
        .route("/admin/cards/{id}/unlock", card(CardAction::Unlock))
        .route("/admin/cards/{id}/freeze", card(CardAction::Freeze))
        .route("/admin/cards/{id}/unfreeze", card(CardAction::Unfreeze))
        .route("/admin/cards/{id}/cancel", card(CardAction::Cancel))
        .route("/admin/agents/{id}/pause", agent(AgentAction::Pause))
        .route("/admin/agents/{id}/resume", agent(AgentAction::Resume))
}

/// What is in force on a card after a change.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardStanding {
    id: String,
    /// The stricter of what the snapshot and what the ledger says.
    status: &'static str,
    /// Which of them it is.
    status_source: &'static str,
    frozen: bool,
    /// Absent where it is not frozen.
    frozen_source: Option<&'static str>,
    /// Whether the call changed anything.
    changed: bool,
}

/// What is in force on an agent after a change.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentStanding {
    id: String,
    status: &'static str,
    status_source: &'static str,
    changed: bool,
}

async fn change_card(
    State(state): State<OpsState>,
    Path(id): Path<String>,
    parameters: Parameters,
    action: CardAction,
) -> Result<Json<CardStanding>, Problem> {
    parameters.finish()?;
    let snapshot = Arc::clone(&state.running()?.snapshots.load());
    let target = match CardTarget::in_snapshot(&snapshot, &id) {
        Some(target) => target,
        None => {
            let name = id.clone();
            let named = search(&state, move |records| Ok(records.card_named(&name))).await?;
            CardTarget::in_ledger(named)
                .ok_or_else(|| Problem::not_found("There is no such card"))?
        }
    };
    let (declared, frozen) = target.declared.unwrap_or_default();
    let subject = Subject::Card(id.clone());
    let owner = target.customer.key;
    let change = move |ledger: &EmbeddedLedger, at| target.change(ledger, action, at);
    let Changed { now, is_new, .. } =
        make(&state, (subject, action.lets_go()), owner, change).await?;
    let (in_ledger, is_frozen) = now;
    tracing::info!(card = id, ?action, is_new, "an operator has changed a card");
    let (status, status_source) = strictest(declared, in_ledger);
    Ok(Json(CardStanding {
        id,
        status: status.name(),
        status_source,
        frozen: frozen || is_frozen,
        frozen_source: match (frozen, is_frozen) {
            (true, _) => Some("snapshot"),
            (false, true) => Some("ledger"),
            (false, false) => None,
        },
        changed: is_new,
    }))
}

async fn change_agent(
    State(state): State<OpsState>,
    Path(id): Path<String>,
    parameters: Parameters,
    action: AgentAction,
) -> Result<Json<AgentStanding>, Problem> {
    parameters.finish()?;
    let snapshot = Arc::clone(&state.running()?.snapshots.load());
    let target = match AgentTarget::in_snapshot(&snapshot, &id) {
        Some(target) => target,
        None => {
            let name = id.clone();
            let named = search(&state, move |records| Ok(records.agent_named(&name))).await?;
            AgentTarget::in_ledger(named)
                .ok_or_else(|| Problem::not_found("There is no such agent"))?
        }
    };
    let declared = target.declared;
    let subject = Subject::Agent(id.clone());
    let lets_go = action == AgentAction::Resume;
    let owner = target.customer.key;
    let change = move |ledger: &EmbeddedLedger, at| target.change(ledger, action, at);
    let Changed { now, is_new, .. } = make(&state, (subject, lets_go), owner, change).await?;
    tracing::info!(
        agent = id,
        ?action,
        is_new,
        "an operator has changed an agent"
    );
    let (status, status_source) = if now as u8 > declared as u8 {
        (now, "ledger")
    } else {
        (declared, "snapshot")
    };
    Ok(Json(AgentStanding {
        id,
        status: status.name(),
        status_source,
        changed: is_new,
    }))
}

/// What a change has come to.
struct Changed<T> {
    /// What the ledger holds now.
    now: T,
    /// Whether it held something else before.
    is_new: bool,
    position: Position,
}

/// Makes a change of an owner's state where authorizations are decided, durable when this returns, and has issuers told of
/// it: of what lets go before, of everything after.
async fn make<T: Send + 'static>(
    state: &OpsState,
    (subject, lets_go): (Subject, bool),
    owner: Key,
    change: impl Fn(&EmbeddedLedger, Timestamp) -> Result<Changed<T>, NotMade> + Clone + Send + 'static,
) -> Result<Changed<T>, Problem> {
    announce(state, lets_go, &subject).await?;
    let made = async {
        let at = state.clock.now();
        let asked = state.ledger.change(owner, move |ledger| change(ledger, at));
        let Made { said, taken } = in_time(asked).await??;
        wait_until_durable(state, taken.unwrap_or(said.position)).await?;
        Ok(said)
    };
    let made = made.await;
    tell(state, subject)?;
    made
}

/// Before something is let go, it is kept that its issuer is to be told: see the teller.
async fn announce(state: &OpsState, lets_go: bool, subject: &Subject) -> Result<(), Problem> {
    let Some(teller) = state.running()?.teller.as_ref().filter(|_| lets_go) else {
        return Ok(());
    };
    teller.announce(subject).await.map_err(|error| {
        tracing::error!(%error, "what an issuer is to be told cannot be kept");
        Problem::store_unavailable()
    })
}

/// Also where nobody knows what came of it: the issuer is told how things stand then.
fn tell(state: &OpsState, subject: Subject) -> Result<(), Problem> {
    if let Some(teller) = &state.running()?.teller {
        teller.tell(subject);
    }
    Ok(())
}

/// The change stands already; the answer waits until a crash cannot take it back.
async fn wait_until_durable(state: &OpsState, position: Position) -> Result<(), Problem> {
    let is_durable = becomes_durable(&state.running()?.journal, position).await;
    is_durable.then_some(()).ok_or_else(Problem::not_durable)
}

/// Canceled outranks locked outranks active; of equals the snapshot is named.
pub(super) fn strictest(snapshot: CardStatus, ledger: CardStatus) -> (CardStatus, &'static str) {
    let strictest = stands::strictest(snapshot, ledger);
    let is_declared = strictest == snapshot;
    (strictest, if is_declared { "snapshot" } else { "ledger" })
}

/// Why a change was not made, on the hot thread.
enum NotMade {
    Canceled,
    /// What was there when it was asked for is not there any more.
    Gone,
    Unavailable(Unavailable),
}

impl From<NotMade> for Problem {
    fn from(why: NotMade) -> Self {
        match why {
            NotMade::Canceled => Self::card_canceled(),
            NotMade::Gone => Self::not_found("There is no such card or agent"),
            NotMade::Unavailable(
                Unavailable::Journal(_)
                | Unavailable::Shared
                | Unavailable::NotUnderstood
                | Unavailable::Contradicted,
            ) => Self::ledger_unavailable(),
            NotMade::Unavailable(Unavailable::Refused) => Self::internal(),
        }
    }
}

impl From<Unavailable> for NotMade {
    fn from(why: Unavailable) -> Self {
        Self::Unavailable(why)
    }
}

/// Whose it is, by key and by name.
#[derive(Clone)]
struct OwnedBy {
    key: Key,
    id: String,
}

impl OwnedBy {
    fn route(&self) -> Route<'_> {
        Route {
            key: self.key,
            owner: Owner::Customer(&self.id),
        }
    }
}

#[derive(Clone)]
struct CardTarget {
    customer: OwnedBy,
    card: CardHandle,
    agent: Option<(Key, String)>,
    /// What the snapshot says; absent where it does not know the card.
    declared: Option<(CardStatus, bool)>,
}

#[derive(Clone)]
enum CardHandle {
    Known {
        key: Key,
        id: String,
        connection: String,
    },
    /// By its number in its customer's state.
    Used(CardNo),
}

impl CardTarget {
    fn in_snapshot(snapshot: &Snapshot, id: &str) -> Option<Self> {
        let view = snapshot.card_by_id(id)?;
        Some(Self {
            customer: OwnedBy {
                key: view.customer.key(),
                id: view.customer.id().to_owned(),
            },
            card: CardHandle::Known {
                key: view.card.key(),
                id: id.to_owned(),
                connection: view.connection.to_owned(),
            },
            agent: view.agent.map(|agent| (agent.key(), agent.id().to_owned())),
            declared: Some((view.card.status(), view.card.is_frozen())),
        })
    }

    fn in_ledger(named: Option<Named<CardNo>>) -> Option<Self> {
        let Named { customer, key, no } = named?;
        let customer = OwnedBy { key, id: customer };
        Some(Self {
            customer,
            card: CardHandle::Used(no),
            agent: None,
            declared: None,
        })
    }

    /// Runs on a hot thread.
    fn change(
        &self,
        ledger: &EmbeddedLedger,
        action: CardAction,
        at: Timestamp,
    ) -> Result<Changed<(CardStatus, bool)>, NotMade> {
        let (key, id, connection) = match &self.card {
            CardHandle::Known {
                key,
                id,
                connection,
            } => (*key, id.clone(), connection.clone()),
            CardHandle::Used(no) => {
                let looked = ledger.with_state(self.customer.key, |state| {
                    let card = state.card(*no)?;
                    Some((card.key, card.id.to_string(), card.connection.to_string()))
                });
                looked.flatten().ok_or(NotMade::Gone)?
            }
        };
        let looked = ledger.with_state(self.customer.key, |state| {
            let (_, card) = state.card_by_key(key)?;
            Some((card.status, card.frozen))
        });
        let before = looked.flatten().unwrap_or_default();
        let (declared, _) = self.declared.unwrap_or_default();
        let (now, _) = strictest(declared, before.0);
        if now == CardStatus::Canceled && action != CardAction::Cancel {
            return Err(NotMade::Canceled);
        }
        let (status, frozen) = match action {
            CardAction::Lock => (Some(CardStatus::Locked), None),
            CardAction::Unlock => (Some(CardStatus::Active), None),
            CardAction::Cancel => (Some(CardStatus::Canceled), None),
            CardAction::Freeze => (None, Some(true)),
            CardAction::Unfreeze => (None, Some(false)),
        };
        let agent = self.agent.as_ref();
        let command = SetStanding::Card {
            card: CardRef {
                key,
                id: &id,
                connection: &connection,
                agent: agent.map(|(key, id)| AgentRef { key: *key, id }),
            },
            status,
            frozen,
        };
        let made = ledger.set_standing(&self.customer.route(), &command, at)?;
        Ok(Changed {
            now: (status.unwrap_or(before.0), frozen.unwrap_or(before.1)),
            is_new: made.is_some(),
            position: stands_from(ledger, made)?,
        })
    }
}

/// A change that was made before rests on a frame that may not be durable yet: it is, once one that
/// comes after it is.
fn stands_from(ledger: &EmbeddedLedger, made: Option<Position>) -> Result<Position, Unavailable> {
    match made {
        Some(position) => Ok(position),
        None => ledger.barrier(),
    }
}

#[derive(Clone)]
struct AgentTarget {
    customer: OwnedBy,
    agent: AgentHandle,
    declared: AgentStatus,
}

#[derive(Clone)]
enum AgentHandle {
    Known { key: Key, id: String },
    Used(AgentNo),
}

impl AgentTarget {
    fn in_snapshot(snapshot: &Snapshot, id: &str) -> Option<Self> {
        let agent = snapshot.agent_by_id(id)?;
        let customer = snapshot.customer_of(agent)?;
        Some(Self {
            customer: OwnedBy {
                key: customer.key(),
                id: customer.id().to_owned(),
            },
            agent: AgentHandle::Known {
                key: agent.key(),
                id: id.to_owned(),
            },
            declared: agent.status(),
        })
    }

    fn in_ledger(named: Option<Named<AgentNo>>) -> Option<Self> {
        let Named { customer, key, no } = named?;
        Some(Self {
            customer: OwnedBy { key, id: customer },
            agent: AgentHandle::Used(no),
            declared: AgentStatus::Active,
        })
    }

    /// Runs on a hot thread.
    fn change(
        &self,
        ledger: &EmbeddedLedger,
        action: AgentAction,
        at: Timestamp,
    ) -> Result<Changed<AgentStatus>, NotMade> {
        let (key, id) = match &self.agent {
            AgentHandle::Known { key, id } => (*key, id.clone()),
            AgentHandle::Used(no) => {
                let looked = ledger.with_state(self.customer.key, |state| {
                    let agent = state.agent(*no)?;
                    Some((agent.key, agent.id.to_string()))
                });
                looked.flatten().ok_or(NotMade::Gone)?
            }
        };
        let status = match action {
            AgentAction::Pause => AgentStatus::Paused,
            AgentAction::Resume => AgentStatus::Active,
        };
        let agent = AgentRef { key, id: &id };
        let command = SetStanding::Agent { agent, status };
        let made = ledger.set_standing(&self.customer.route(), &command, at)?;
        Ok(Changed {
            now: status,
            is_new: made.is_some(),
            position: stands_from(ledger, made)?,
        })
    }
}
