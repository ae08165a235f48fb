//! Decides: reads the state, never changes it. The events it returns are what `fold` will apply.

use crate::domain::amount::Minor;
use crate::domain::authorization::AuthorizationKind;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::hold_time::HoldTime;
use crate::domain::identity::Recognition;
use crate::domain::time::Timestamp;
use crate::ledger::authorization::{Authorization, Step};
use crate::ledger::codec::ExternalId;
use crate::ledger::command::{
    AgentRef, Answer, Authorize, CardRef, Novelty, Overrule, Refused, Shadowed,
};
use crate::ledger::event::{
    AgentNo, AttestationClass, CardNo, Decided, Event, LockedMerchant, ShadowVerdict,
};
use crate::ledger::fold::any_lapsed;
use crate::ledger::rolling::SeriesSet;
use crate::ledger::state::{AgentState, CardState, State};

pub mod book;
pub mod earmarks;
#[cfg(test)]
pub(super) mod harness;
pub mod intents;
mod limits;
pub mod stand_in;
pub mod standing;
mod verdict;
mod windows;

use verdict::Verdict;

/// The events of one command: what it opens, and what it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events<'a> {
    /// Nearly always empty, and then without a place in memory.
    opened: Vec<Event<'a>>,
    done: Option<Event<'a>>,
}

impl<'a> Events<'a> {
    fn only(event: Event<'a>) -> Self {
        Self {
            done: Some(event),
            ..Self::default()
        }
    }

    /// The events in the order in which they are applied.
    pub fn iter(&self) -> impl Iterator<Item = &Event<'a>> {
        self.opened.iter().chain(&self.done)
    }
}

/// What the ledger says, before its events have a position in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked<'a> {
    /// The answer. For a new decision `position` is zero until the journal has given one.
    pub answer: Answer,
    /// What has to be recorded.
    pub events: Events<'a>,
}

/// The card and the agent of a command within this state, as far as they were used before.
struct Parties<'s> {
    card_no: CardNo,
    card: Option<&'s CardState>,
    agent_no: Option<AgentNo>,
    agent: Option<&'s AgentState>,
}

/// Decides one step of an authorization (behaviour 2.4, 2.10, 2.13).
///
/// # Errors
/// [`Refused`] where the state has no number left for a new card or agent.
pub fn authorize<'a>(state: &State, command: &Authorize<'a>) -> Result<Checked<'a>, Refused> {
    let known = state.authorization(command.step.authorization);
    if let Some(mut checked) = known.and_then(|known| recognise(state, known, command)) {
        if checked.answer.decision.is_approval() {
            checked.answer.available = available(state, known, command);
        }
        return Ok(checked);
    }
    let (Some(card), Some(proposal)) = (command.card, command.proposal) else {
        return Ok(unknown_card(state, known, command));
    };
    let parties = parties(state, &card)?;
    // An authorization that was declined while nobody knew its card has none to contradict.
    let known_card = known.and_then(Authorization::card);
    if known_card.is_some_and(|card| card != parties.card_no) {
        return Ok(conflict(state, known, command, None));
    }
    let verdict = Verdict::new(state, command, known, &parties, &proposal.claims);
    let finding = verdict.finding(proposal);
    let mut decided = decided(state, known, command, finding.decision);
    decided.card = Some(parties.card_no);
    decided.agent = parties.agent_no;
    decided.explanation = finding.explanation;
    decided.facts = command.facts;
    verdict.place(&mut decided);
    if finding.decision.is_approval() && spends(command.kind) {
        decided.amount = proposal.claims.amount;
    }
    let mut events = open(state, &card, &parties);
    if !decided.reserved().is_zero() {
        decided.probes = verdict.probes();
        decided.consumes = verdict.consumes();
        decided.intent = finding.intent.filter(|_| !decided.probes);
        decided.flagged = finding.flagged;
        decided.attestation = verdict.attestation();
        let unlocked = parties.card.is_none_or(|card| card.lock.is_none());
        if unlocked && proposal.claims.lock_to_first_merchant.is_some() {
            let merchant = proposal.claims.merchant;
            decided.locks = Some(LockedMerchant::of(merchant, command.acceptor));
        }
    }
    if verdict.charges(&decided) {
        events.opened.extend(verdict.windows_opened());
    }
    let tried = command
        .shadow
        .as_ref()
        .map(|it| Tried::new(state, command, known, &parties, it));
    decided.shadow = tried.as_ref().map(|tried| tried.verdict);
    let wanted = tried.map(|tried| tried.series).unwrap_or_default();
    events.opened.extend(verdict.series_opened(wanted));
    let answer = Answer {
        decision: finding.decision,
        novelty: Novelty::New,
        position: 0,
        explanation: finding.explanation,
        available: inquired(command).and_then(|()| verdict.smallest_room()),
    };
    events.done = Some(Event::Decided(decided));
    Ok(Checked { answer, events })
}

/// What documents that are tried out come to, by the state as it is; nothing of it is booked.
struct Tried {
    verdict: ShadowVerdict,
    /// The trailing sums that they ask for: kept from now on, so that they are walked for once and
    /// not with every request.
    series: SeriesSet,
}

impl Tried {
    fn new(
        state: &State,
        command: &Authorize<'_>,
        known: Option<&Authorization>,
        parties: &Parties<'_>,
        shadow: &Shadowed<'_>,
    ) -> Self {
        let verdict = Verdict::new(state, command, known, parties, &shadow.proposal.claims);
        let finding = verdict.finding(shadow.proposal);
        Self {
            verdict: ShadowVerdict {
                versions: shadow.versions,
                decision: finding.decision,
            },
            series: verdict.series_wanted(),
        }
    }
}

fn spends(kind: AuthorizationKind) -> bool {
    matches!(
        kind,
        AuthorizationKind::Authorization | AuthorizationKind::SingleMessage
    )
}

fn inquired(command: &Authorize<'_>) -> Option<()> {
    (command.kind == AuthorizationKind::BalanceInquiry).then_some(())
}

/// The smallest room under any limit, which the answer to a balance inquiry tells. A repeated
/// inquiry is told what is left when it is answered.
fn available(
    state: &State,
    known: Option<&Authorization>,
    command: &Authorize<'_>,
) -> Option<Minor> {
    inquired(command)?;
    let (card, proposal) = (command.card?, command.proposal?);
    let parties = parties(state, &card).ok()?;
    Verdict::new(state, command, known, &parties, &proposal.claims).smallest_room()
}

/// Whether the state has a word on the step: its decision, or that it came with another content.
#[must_use]
pub fn knows(state: &State, command: &Authorize<'_>) -> bool {
    let known = state.authorization(command.step.authorization);
    known.is_some_and(|known| recognise(state, known, command).is_some())
}

/// The recorded decision of a known step, or the refusal of a known step with another content.
fn recognise<'a>(
    state: &State,
    known: &Authorization,
    command: &Authorize<'a>,
) -> Option<Checked<'a>> {
    let name = command.step.name;
    let of_its_name = |step: &Step| name.is_some() && step.stored.name == name;
    let of = |wanted| {
        let mut steps = known.steps();
        steps.find(|step| command.step.recognise(&step.stored) == wanted)
    };
    // A message may resemble several steps. Its name decides, then its content, then its delivery;
    // never the order in which the steps came.
    let step = known
        .steps()
        .find(of_its_name)
        .or_else(|| of(Recognition::Same))
        .or_else(|| of(Recognition::Conflict))?;
    if command.step.recognise(&step.stored) == Recognition::Conflict {
        let mut steps = known.steps().zip(1..);
        let ordinal = steps.find(|(it, _)| it.position == step.position);
        return Some(conflict(
            state,
            Some(known),
            command,
            ordinal.map(|it| it.1),
        ));
    }
    // What one node had declined another one may have let go while the log did not answer (decision
    // 0042), and the approval counts.
    let let_go = |it: &Step| it.stored == step.stored && it.decision.is_approval();
    let step = match step.decision.is_approval() {
        true => step,
        false => known.steps().find(let_go).unwrap_or(step),
    };
    let answer = Answer {
        decision: step.decision,
        novelty: Novelty::Known,
        position: step.position,
        explanation: None,
        available: None,
    };
    let again = Event::Redelivered {
        state: state.no,
        decided_at: step.position,
        at: command.at,
    };
    Some(Checked {
        answer,
        events: Events::only(again),
    })
}

fn conflict<'a>(
    state: &State,
    known: Option<&Authorization>,
    command: &Authorize<'a>,
    contradicted: Option<u32>,
) -> Checked<'a> {
    let explanation = Explanation::bare(DeclineReason::ConflictingDuplicate);
    let decision = Decision::Decline(explanation.reason);
    let mut record = decided(state, known, command, decision);
    let first_card = || known.and_then(Authorization::card);
    record.card = used_card(state, command).or_else(first_card);
    record.agent = used_agent(state, command, known);
    record.ordinal = contradicted.unwrap_or(record.ordinal);
    record.explanation = Some(explanation);
    let answer = Answer {
        decision,
        novelty: Novelty::Conflict,
        position: 0,
        explanation: Some(explanation),
        available: None,
    };
    Checked {
        answer,
        events: Events::only(Event::Conflicted(record)),
    }
}

fn used_card(state: &State, command: &Authorize<'_>) -> Option<CardNo> {
    state.card_by_key(command.card_key).map(|(no, _)| no)
}

/// The agent that holds the card now; where nobody holds it, the one that asked first.
fn used_agent(
    state: &State,
    command: &Authorize<'_>,
    known: Option<&Authorization>,
) -> Option<AgentNo> {
    let Some(card) = command.card else {
        return known?.steps().next()?.agent;
    };
    state.agent_by_key(card.agent?.key).map(|(no, _)| no)
}

fn unknown_card<'a>(
    state: &State,
    known: Option<&Authorization>,
    command: &Authorize<'a>,
) -> Checked<'a> {
    let mut explanation = Explanation::bare(DeclineReason::CardUnknown);
    explanation.field = RuleField::IssuerToken;
    let decision = Decision::Decline(explanation.reason);
    let mut record = decided(state, known, command, decision);
    // One that has left the snapshot is still known by what it did.
    record.card = used_card(state, command);
    record.explanation = Some(explanation);
    record.card_token = Some(ExternalId::new(command.card_token));
    let answer = Answer {
        decision,
        novelty: Novelty::New,
        position: 0,
        explanation: Some(explanation),
        available: None,
    };
    Checked {
        answer,
        events: Events::only(Event::Decided(record)),
    }
}

fn decided<'a>(
    state: &State,
    known: Option<&Authorization>,
    command: &Authorize<'a>,
    decision: Decision,
) -> Decided<'a> {
    let ordinal = known
        .map_or(0, |known| known.steps().count())
        .saturating_add(1);
    Decided {
        state: state.no,
        at: command.at,
        step: command.step,
        ordinal: u32::try_from(ordinal).unwrap_or(u32::MAX),
        authorization: ExternalId::new(command.authorization),
        card: None,
        agent: None,
        kind: command.kind,
        hold_time: if decision.is_approval() {
            HoldTime::of(command.acceptor.mcc)
        } else {
            HoldTime::Unknown
        },
        amount: command.amount,
        decision,
        day: state.day,
        hour: Decided::utc_hour(command.at),
        consumes: false,
        probes: false,
        intent: None,
        flagged: false,
        stood_in: false,
        attestation: AttestationClass::Unattested,
        locks: None,
        explanation: None,
        card_token: None,
        shadow: None,
        facts: None,
        snapshot_version: command.snapshot_version,
        latency_us: command.latency_us,
    }
}

fn parties<'s>(state: &'s State, card: &CardRef<'_>) -> Result<Parties<'s>, Refused> {
    let (card_no, card_state) = match state.card_by_key(card.key) {
        Some((no, found)) => (no, Some(found)),
        None => (CardNo(next_number(state.cards.len())?), None),
    };
    let (agent_no, agent_state) = match card.agent {
        None => (None, None),
        Some(agent) => match state.agent_by_key(agent.key) {
            Some((no, found)) => (Some(no), Some(found)),
            None => (Some(AgentNo(next_number(state.agents.len())?)), None),
        },
    };
    Ok(Parties {
        card_no,
        card: card_state,
        agent_no,
        agent: agent_state,
    })
}

fn next_number(used: usize) -> Result<u32, Refused> {
    u32::try_from(used)
        .ok()
        .filter(|no| *no < u32::MAX)
        .ok_or(Refused)
}

fn open<'a>(state: &State, card: &CardRef<'a>, parties: &Parties<'_>) -> Events<'a> {
    let mut events = Events::default();
    let new_agent = card.agent.zip(parties.agent_no);
    if let Some((agent, no)) = new_agent.filter(|_| parties.agent.is_none()) {
        events.opened.push(agent_opened(state, &agent, no));
    }
    if parties.card.is_none() {
        events.opened.push(Event::CardOpened {
            state: state.no,
            card: parties.card_no,
            key: card.key,
            id: card.id,
            connection: card.connection,
        });
    }
    events
}

fn agent_opened<'a>(state: &State, agent: &AgentRef<'a>, no: AgentNo) -> Event<'a> {
    Event::AgentOpened {
        state: state.no,
        agent: no,
        key: agent.key,
        id: agent.id,
    }
}

/// Takes back an approval; nothing where it was taken back before or is unknown.
#[must_use]
pub fn overrule(state: &State, command: &Overrule) -> Option<Events<'static>> {
    let authorization = state.authorization(command.authorization)?;
    let standing = authorization
        .steps()
        .any(|step| step.position == command.decided_at && step.decision.is_approval());
    standing.then(|| {
        Events::only(Event::Overruled {
            state: state.no,
            authorization: command.authorization,
            decided_at: command.decided_at,
            at: command.at,
        })
    })
}

/// Forgets the authorizations of one of the state's [`State::part_count`] parts whose latest step
/// is older than `cut`; nothing where there are none.
#[must_use]
pub fn sweep(state: &State, part: u16, cut: Timestamp) -> Option<Events<'static>> {
    let stale = state
        .authorizations
        .any_in_part(part, |it| it.last_at() < cut);
    let part = state.authorizations.part_name(part);
    let stale = stale || intents::any_over(state, part, cut);
    stale.then(|| {
        Events::only(Event::Swept {
            state: state.no,
            part,
            cut,
        })
    })
}

/// Gives back what authorizations of a connection hold about which nothing was heard since `cut`: of
/// those that are held for the usual time, or of all; nothing where there are none.
#[must_use]
pub fn lapse<'a>(
    state: &State,
    part: u16,
    connection: &'a str,
    (cut, time): (Timestamp, HoldTime),
) -> Option<Events<'a>> {
    any_lapsed(state, part, connection, (cut, time)).then(|| {
        Events::only(Event::Lapsed {
            state: state.no,
            part: state.authorizations.part_name(part),
            connection,
            cut,
            time,
        })
    })
}

#[cfg(test)]
mod tests;
