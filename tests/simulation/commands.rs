//! The calls of operators, risk rules and agents on one life of the engine.

use countersign::decide::merchant_text::intent_key;
use countersign::domain::amount::Minor;
use countersign::domain::card::{AgentStatus, CardStatus, Key};
use countersign::domain::currency::Currency;
use countersign::domain::identity::{KeySpace, Keys};
use countersign::domain::mcc::Mcc;
use countersign::domain::time::Timestamp;
use countersign::ledger::command::{
    AgentRef, Attest, CardRef, DeclareIntent, Route, SetStanding, SettleIntent,
};
use countersign::ledger::embedded::journal::Position;
use countersign::ledger::embedded::store::Unavailable;
use countersign::ledger::embedded::store::commands::IntentUnavailable;
use countersign::ledger::event::Owner;
use countersign::ledger::intent::{IntentTerms, IntentVerdict};

use crate::engine::{Engine, keys};
use crate::model::past::{EXPECTED, Terms, Verb};
use crate::world::{CONNECTION, Card, agent_id, card_id, card_token, customer_id};

/// The key of a card's intent.
pub(crate) fn intent_of(card: usize, number: u32) -> Key {
    let token = card_token(card);
    let parts = [
        CONNECTION.as_bytes(),
        token.as_bytes(),
        &number.to_be_bytes(),
    ];
    keys().key(KeySpace::Card, &parts)
}

/// Does with a card as commands name it.
fn with_card<T>(card: &Card, at: usize, act: impl FnOnce(CardRef<'_>) -> T) -> T {
    let (keys, token, id) = (keys(), card_token(at), card_id(at));
    let agent = card.agent.map(agent_id);
    act(CardRef {
        key: keys.key(KeySpace::Card, &[CONNECTION.as_bytes(), token.as_bytes()]),
        id: &id,
        connection: CONNECTION,
        agent: agent.as_ref().map(|id| AgentRef {
            key: keys.key(KeySpace::Agent, &[id.as_bytes()]),
            id,
        }),
    })
}

fn with_route<T>(customer: usize, act: impl FnOnce(&Route<'_>) -> T) -> T {
    let id = customer_id(customer);
    act(&Route {
        key: keys().key(KeySpace::Customer, &[id.as_bytes()]),
        owner: Owner::Customer(&id),
    })
}

fn number(position: Option<Position>) -> Option<u64> {
    position.map(|position| position.0)
}

/// The terms as the engine takes them.
pub(crate) fn terms_of(terms: &Terms) -> IntentTerms {
    let minor = |amount: i64| Minor::new(amount).unwrap();
    let mcc = |code: &u16| Mcc::parse(&code.to_string()).unwrap();
    IntentTerms {
        expected: terms.expected.map(minor),
        cap: terms.cap.map(minor),
        currency: terms
            .euros
            .map(|euros| if euros { Currency::EUR } else { Currency::USD }),
        merchant: terms
            .merchant
            .map(|at| intent_key(&keys(), EXPECTED[at].0).unwrap()),
        mccs: terms.mccs.iter().map(mcc).collect(),
        expires_at: Timestamp::from_micros(terms.expires_at),
        awaits_approval: terms.awaits,
    }
}

pub(crate) fn verdict_of(verb: Verb) -> IntentVerdict {
    match verb {
        Verb::Approve => IntentVerdict::Approve,
        Verb::Reject => IntentVerdict::Reject,
        Verb::Cancel => IntentVerdict::Cancel,
    }
}

impl Engine {
    /// An operator's command on a card; the position at which it is durable.
    pub(crate) fn set_card(
        &self,
        card: &Card,
        at: usize,
        (status, frozen): (Option<CardStatus>, Option<bool>),
        now: Timestamp,
    ) -> Result<Option<u64>, Unavailable> {
        with_card(card, at, |card_ref| {
            let command = SetStanding::Card {
                card: card_ref,
                status,
                frozen,
            };
            self.set(card.customer, &command, now)
        })
    }

    /// A risk rule's command on a card.
    pub(crate) fn set_by_risk(
        &self,
        card: &Card,
        at: usize,
        frozen: bool,
        now: Timestamp,
    ) -> Result<Option<u64>, Unavailable> {
        let by = self.planted.risk_speaks_as(frozen);
        with_card(card, at, |card_ref| {
            let command = SetStanding::Freeze {
                card: card_ref,
                frozen,
                by,
            };
            self.set(card.customer, &command, now)
        })
    }

    /// An operator's command on an agent.
    pub(crate) fn set_agent(
        &self,
        customer: usize,
        agent: usize,
        status: AgentStatus,
        now: Timestamp,
    ) -> Result<Option<u64>, Unavailable> {
        let id = agent_id(agent);
        let agent = AgentRef {
            key: keys().key(KeySpace::Agent, &[id.as_bytes()]),
            id: &id,
        };
        self.set(customer, &SetStanding::Agent { agent, status }, now)
    }

    fn set(
        &self,
        customer: usize,
        command: &SetStanding<'_>,
        now: Timestamp,
    ) -> Result<Option<u64>, Unavailable> {
        with_route(customer, |route| {
            self.ledger.set_standing(route, command, now).map(number)
        })
    }

    /// An agent declares an intent.
    pub(crate) fn declare(
        &self,
        card: &Card,
        at: usize,
        intent: Key,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Option<u64>, IntentUnavailable> {
        let terms = terms_of(&self.planted.terms(terms));
        with_card(card, at, |card_ref| {
            let command = DeclareIntent {
                card: card_ref,
                intent,
                terms: &terms,
                at: now,
            };
            with_route(card.customer, |route| {
                self.ledger.declare_intent(route, &command).map(number)
            })
        })
    }

    /// Somebody settles an intent.
    pub(crate) fn settle_intent(
        &self,
        customer: usize,
        intent: Key,
        verb: Verb,
        now: Timestamp,
    ) -> Result<Option<u64>, IntentUnavailable> {
        let command = SettleIntent {
            intent,
            verdict: verdict_of(verb),
            at: now,
        };
        let id = customer_id(customer);
        let owner = keys().key(KeySpace::Customer, &[id.as_bytes()]);
        self.ledger.settle_intent(owner, &command).map(number)
    }

    /// An agent attests what it is doing.
    pub(crate) fn attest(
        &self,
        card: &Card,
        at: usize,
        now: Timestamp,
    ) -> Result<Option<u64>, Unavailable> {
        with_card(card, at, |card_ref| {
            let command = Attest {
                card: card_ref,
                at: now,
            };
            with_route(card.customer, |route| {
                self.ledger.attest(route, &command).map(number)
            })
        })
    }
}
