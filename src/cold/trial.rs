//! What recorded decisions would have been under another document (behaviour 8.3).
//!
//! The journal of one customer is gone through again, with a ledger of its own: what the document does
//! not concern happens as it is recorded; what it concerns is decided anew, by the code that decides,
//! from what was asked then. So counters, cards that are used up, locks and intents are those that
//! would have been. What a trial cannot know it says: records without what was asked, which earlier
//! versions wrote; what happened before the oldest record; and what agents, merchants and issuers
//! would have done otherwise after another answer. Rules of the other levels are those in force now.

use std::collections::{BTreeMap, HashMap};

use crate::decide::evaluate::evaluate_under;
use crate::decide::policy::Policy;
use crate::decide::snapshot::{CardView, Snapshot};
use crate::domain::acceptor::{CardAcceptor, Country};
use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::AuthorizationRequest;
use crate::domain::card::{Key, Level};
use crate::domain::currency::Currency;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::explanation::Explanation;
use crate::domain::identity::Keys;
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::ledger::check::{self, Checked};
use crate::ledger::command::{AgentRef, Authorize, CardRef, Novelty};
use crate::ledger::event::{AgentNo, CardNo, Decided, Event, Facts, Owner, StateNo, events_of};
use crate::ledger::fold::fold;
use crate::ledger::state::State;

/// Decisions that one trial makes at most.
const DECISIONS_MAX: u64 = 500_000;

/// Who has been seen in a customer's part of the journal, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cast {
    /// The customer's state.
    pub state: StateNo,
    /// Its key.
    pub key: Key,
    /// The customer's id.
    pub customer: String,
    /// Its cards in the order of their numbers: id and connection.
    pub cards: Vec<(Box<str>, Box<str>)>,
    /// Its agents in the order of their numbers.
    pub agents: Vec<Box<str>>,
}

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// Where the document would stand.
    pub level: Level,
    /// The id of the card, agent or customer.
    pub id: &'q str,
    /// The document.
    pub policy: &'q Policy,
    /// It decides what was received from this instant on; absent: everything.
    pub from: Option<Timestamp>,
    /// And before this one.
    pub to: Option<Timestamp>,
    /// Changes up to this record are counted and not listed.
    pub after: Option<u64>,
    /// Changes that are listed at most.
    pub limit: usize,
}

/// How a decision would have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Approved, and would have been declined.
    ApproveToDecline,
    /// Declined, and would have been approved.
    DeclineToApprove,
    /// Approved, and would have been approved with another amount.
    OtherAmount,
}

impl Kind {
    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ApproveToDecline => "approve_to_decline",
            Self::DeclineToApprove => "decline_to_approve",
            Self::OtherAmount => "other_amount",
        }
    }
}

/// One decision that would have been another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The record's position.
    pub sequence: u64,
    /// When it was received.
    pub at: Timestamp,
    /// The card's id.
    pub card: String,
    /// How it would have changed.
    pub kind: Kind,
    /// What was asked for.
    pub amount: Amount,
    /// What was said.
    pub recorded: Decision,
    /// What would have been said.
    pub tried: Decision,
    /// Why, where it would have been declined by a rule.
    pub explanation: Option<Explanation>,
}

/// How many, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Decisions.
    pub count: u64,
    /// What was asked for with them, in minor units.
    pub amount: i64,
}

/// What a trial came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Recorded decisions that the document concerns.
    pub decision_count: u64,
    /// Those of them that could not be decided anew, and count as they were.
    pub unknown_count: u64,
    /// All changes, by kind and currency.
    pub totals: BTreeMap<(Kind, String), Total>,
    /// The changes that were asked for, oldest first.
    pub changed: Vec<Changed>,
    /// Whether more follow.
    pub has_more: bool,
    /// Receipt of the oldest record of the customer: counters begin there.
    pub begins_at: Option<Timestamp>,
    /// Whether that is the customer's first one, so that counters are whole.
    pub is_whole: bool,
    /// Whether there were more decisions than one trial makes, so that the rest was left out.
    pub is_cut: bool,
}

/// See the module. It is fed frame by frame, in the order of the journal.
pub struct Trial<'t, K> {
    snapshot: &'t Snapshot,
    keys: &'t K,
    cast: &'t Cast,
    question: Question<'t>,
    state: State,
    /// Authorizations that the document would have declined: what came of them did not happen.
    dropped: HashMap<Key, DeclineReason>,
    outcome: Outcome,
}

impl<'t, K: Keys> Trial<'t, K> {
    /// A trial before the first frame.
    pub fn new(
        snapshot: &'t Snapshot,
        keys: &'t K,
        cast: &'t Cast,
        question: Question<'t>,
    ) -> Self {
        let mut state = State::new(cast.state, cast.key, Owner::Customer(&cast.customer));
        let key_of = |no: usize, known: Option<Key>| known.unwrap_or(Key(no as u128));
        for (no, (id, connection)) in cast.cards.iter().enumerate() {
            let known = snapshot.card_by_id(id).map(|view| view.card.key());
            let opened = Event::CardOpened {
                state: cast.state,
                card: CardNo(u32::try_from(no).unwrap_or(u32::MAX)),
                key: key_of(no, known),
                id,
                connection,
            };
            fold(&mut state, &opened, 0);
        }
        for (no, id) in cast.agents.iter().enumerate() {
            let known = snapshot.agent_by_id(id).map(|agent| agent.key());
            let opened = Event::AgentOpened {
                state: cast.state,
                agent: AgentNo(u32::try_from(no).unwrap_or(u32::MAX)),
                key: key_of(no, known),
                id,
            };
            fold(&mut state, &opened, 0);
        }
        Self {
            snapshot,
            keys,
            cast,
            question,
            state,
            dropped: HashMap::new(),
            outcome: Outcome::default(),
        }
    }

    /// Whether it needs no more frames.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.outcome.is_cut
    }

    /// Goes through one frame.
    pub fn take(&mut self, sequence: u64, frame: &[u8]) {
        for event in events_of(frame) {
            // Whoever reads the journal has checked its frames; one that is not understood says nothing.
            let Ok(event) = event else { return };
            if event.state() == self.cast.state && !self.is_over() {
                self.event(sequence, &event);
            }
        }
    }

    /// What it came to.
    #[must_use]
    pub fn finish(self) -> Outcome {
        self.outcome
    }

    fn event(&mut self, sequence: u64, event: &Event<'_>) {
        match event {
            // Who is opened stands in the cast already.
            Event::StateOpened { .. } => {
                self.outcome.is_whole = true;
                return;
            }
            Event::CardOpened { .. } | Event::AgentOpened { .. } => return,
            Event::Decided(decided) => {
                self.outcome.begins_at.get_or_insert(decided.at);
                if let Some(view) = self.concerned(decided) {
                    return self.decide(sequence, event, decided, &view);
                }
            }
            Event::Booked(booked) if self.dropped.contains_key(&booked.authorization) => return,
            Event::Overruled { authorization, .. } if self.dropped.contains_key(authorization) => {
                return;
            }
            Event::Booked(_)
            | Event::Overruled { .. }
            | Event::Conflicted(_)
            | Event::Redelivered { .. }
            | Event::StandingSet { .. }
            | Event::Swept { .. }
            | Event::Lapsed { .. }
            | Event::WindowsOpened { .. }
            | Event::RollingOpened { .. }
            | Event::RiskFrozen { .. }
            | Event::IntentDeclared { .. }
            | Event::IntentSettled { .. }
            | Event::Attested { .. }
            | Event::Backed { .. } => {}
        }
        fold(&mut self.state, event, sequence);
    }

    /// The card of a decision that the document would have made, where that can be told.
    fn concerned(&mut self, decided: &Decided<'_>) -> Option<CardView<'t>> {
        let Question { from, to, .. } = self.question;
        let is_early = from.is_some_and(|from| decided.at < from);
        if is_early || to.is_some_and(|to| decided.at >= to) || !self.is_under(decided) {
            return None;
        }
        if self.outcome.decision_count >= DECISIONS_MAX {
            self.outcome.is_cut = true;
            return None;
        }
        self.outcome.decision_count += 1;
        let id = decided.card.and_then(|no| self.card_id(no))?;
        let view = self.snapshot.card_by_id(id);
        if view.is_none() {
            self.outcome.unknown_count += 1;
        }
        view
    }

    fn card_id(&self, no: CardNo) -> Option<&'t str> {
        let at = usize::try_from(no.0).ok()?;
        self.cast.cards.get(at).map(|(id, _)| &**id)
    }

    fn agent_id(&self, no: AgentNo) -> Option<&'t str> {
        let at = usize::try_from(no.0).ok()?;
        self.cast.agents.get(at).map(|id| &**id)
    }

    /// Whether the document would have ruled the card of this decision.
    fn is_under(&self, decided: &Decided<'_>) -> bool {
        match self.question.level {
            Level::Card => {
                let id = decided.card.and_then(|no| self.card_id(no));
                id == Some(self.question.id)
            }
            Level::Agent => {
                let id = decided.agent.and_then(|no| self.agent_id(no));
                id == Some(self.question.id)
            }
            Level::Customer => decided.card.is_some(),
        }
    }

    fn decide(
        &mut self,
        sequence: u64,
        event: &Event<'_>,
        decided: &Decided<'_>,
        view: &CardView<'t>,
    ) {
        let authorization = decided.step.authorization;
        if let Some(reason) = self.dropped.get(&authorization).copied() {
            let tried = Decision::Decline(reason);
            return self.compare(sequence, decided, view, (tried, None));
        }
        let Some(facts) = decided.facts.filter(|_| !is_of_standing(decided.decision)) else {
            // A card that was locked stays so; what was not kept cannot be asked again.
            if !is_of_standing(decided.decision) {
                self.outcome.unknown_count += 1;
            }
            fold(&mut self.state, event, sequence);
            return;
        };
        let Some(tried) = self.again(sequence, decided, &facts, view) else {
            self.outcome.unknown_count += 1;
            fold(&mut self.state, event, sequence);
            return;
        };
        if let Decision::Decline(reason) = tried.0
            && decided.decision.is_approval()
        {
            let stands = self.state.authorization(authorization);
            let stands = stands.is_some_and(|it| it.steps().any(|it| it.decision.is_approval()));
            if !stands {
                self.dropped.insert(authorization, reason);
            }
        }
        self.compare(sequence, decided, view, tried);
    }

    /// Decides anew, and books it. Absent where the trial's ledger cannot tell.
    fn again(
        &mut self,
        sequence: u64,
        decided: &Decided<'_>,
        facts: &Facts<'_>,
        view: &CardView<'t>,
    ) -> Option<(Decision, Option<Explanation>)> {
        let authorization = decided.authorization.to_string();
        let request = request(&authorization, decided, facts);
        let mut policies = view.policies();
        *policies.get_mut(self.question.level as usize)? = Some(self.question.policy);
        let mut proposal = evaluate_under(view, policies, &request, decided.at, self.keys);
        // What the card's status was then, the record has said.
        proposal.standing = None;
        let agent = match decided.agent {
            Some(no) => Some(AgentRef {
                key: self.state.agent(no)?.key,
                id: self.agent_id(no)?,
            }),
            None => None,
        };
        let card = CardRef {
            key: self.state.card(decided.card?)?.key,
            id: view.card.id(),
            connection: view.connection,
            agent,
        };
        let command = Authorize {
            at: decided.at,
            step: decided.step,
            authorization: &authorization,
            kind: decided.kind,
            amount: request.amount,
            card: Some(card),
            card_key: card.key,
            card_token: "",
            acceptor: &request.acceptor,
            proposal: Some(&proposal),
            shadow: None,
            facts: None,
            snapshot_version: decided.snapshot_version,
            latency_us: decided.latency_us,
        };
        let Checked { answer, events } = check::authorize(&self.state, &command).ok()?;
        if answer.novelty != Novelty::New {
            return None;
        }
        for event in events.iter() {
            fold(&mut self.state, event, sequence);
        }
        Some((answer.decision, answer.explanation))
    }

    fn compare(
        &mut self,
        sequence: u64,
        decided: &Decided<'_>,
        view: &CardView<'t>,
        (tried, explanation): (Decision, Option<Explanation>),
    ) {
        let recorded = decided.decision;
        let kind = match (recorded.is_approval(), tried.is_approval()) {
            (true, false) => Kind::ApproveToDecline,
            (false, true) => Kind::DeclineToApprove,
            (true, true) if recorded != tried => Kind::OtherAmount,
            _ => return,
        };
        let currency = decided.amount.currency;
        let minor = decided.facts.map_or(decided.amount.minor, |it| it.amount);
        let total = self.outcome.totals.entry((kind, currency.to_string()));
        let total = total.or_default();
        total.count += 1;
        total.amount = total.amount.saturating_add(minor.get());
        if self.question.after.is_some_and(|after| sequence <= after) {
            return;
        }
        if self.outcome.changed.len() >= self.question.limit {
            self.outcome.has_more = true;
            return;
        }
        self.outcome.changed.push(Changed {
            sequence,
            at: decided.at,
            card: view.card.id().to_owned(),
            kind,
            amount: amount(minor, currency),
            recorded,
            tried,
            explanation,
        });
    }
}

fn amount(minor: Minor, currency: Currency) -> Amount {
    Amount { minor, currency }
}

/// Reasons that say how a card, its agent or its customer stood, whatever the documents were.
fn is_of_standing(decision: Decision) -> bool {
    matches!(
        decision,
        Decision::Decline(
            DeclineReason::CardUnknown
                | DeclineReason::CardCanceled
                | DeclineReason::CardLocked
                | DeclineReason::AgentSuspended
                | DeclineReason::CustomerSuspended
                | DeclineReason::CardFrozenByRisk
        )
    )
}

/// The question as it was asked.
fn request<'f>(
    authorization: &'f str,
    decided: &Decided<'_>,
    facts: &Facts<'f>,
) -> AuthorizationRequest<'f> {
    AuthorizationRequest {
        authorization: authorization.into(),
        step: None,
        delivery: None,
        kind: decided.kind,
        card_token: "".into(),
        amount: amount(facts.amount, decided.amount.currency),
        cash: facts.cash,
        merchant_amount: None,
        acceptor: CardAcceptor {
            acquirer_id: facts.acquirer_id.map(Into::into),
            acceptor_id: facts.acceptor_id.map(Into::into),
            descriptor: facts.descriptor.into(),
            mcc: facts.mcc.and_then(|code| Mcc::from_number(code).ok()),
            city: "".into(),
            country: facts.country.and_then(Country::from_packed),
        },
        partial_approval_capable: facts.partial_approval_capable,
        card_present: facts.card_present,
        // Where that has decided something, no facts are kept.
        merchant_initiated: false,
        risk_score: facts.risk_score,
    }
}

#[cfg(test)]
mod tests;
