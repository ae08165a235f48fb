//! The life of one authorization, without a socket, a disk or a clock of its own.
//!
//! `begin` verifies, decodes, decides and books; what it books is on its way to the disk when it
//! returns. `finish` is called once that is durable (or will never be) and makes the answer. The
//! server is one shell around the two, the simulator another.

pub mod events;
mod shared;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use crate::decide::evaluate::{evaluate, is_agreed};
use crate::decide::snapshot::{CardView, Snapshot};
use crate::domain::acceptor::Country;
use crate::domain::authorization::AuthorizationRequest;
use crate::domain::card::Key;
use crate::domain::claims::Proposal;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::identity::{KeySpace, Keys, StepIdentity};
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::fingerprint::Fingerprinter;
use crate::issuer::delivery::{Presented, SignatureRefused, VerifiedBody};
use crate::issuer::{Issuer, NotUnderstood, Question, Reply, ReplyForm, SameBy};
use crate::ledger::command::{
    AgentRef, Answer, Authorize, CardRef, Novelty, Overrule, Route, Shadowed,
};
use crate::ledger::embedded::store::{EmbeddedLedger, Unavailable};
use crate::ledger::event::{Facts, Owner};
use crate::seam::snapshot::CurrentSnapshot;
pub use shared::{Drafted, Rested};
use shared::{Judge, Word, said, takes_cash};

/// One configured account at an issuer.
pub struct Connection {
    /// The segment of its URL.
    pub name: Box<str>,
    /// How it speaks, and what it accepts as the issuer's.
    pub issuer: Issuer,
    /// What it accepts as the issuer's events; absent where that is the same.
    pub events: Option<Issuer>,
    /// From the first byte of a request until its answer has to be on its way, in microseconds.
    pub deadline_us: i64,
    /// Its place in the configuration, by which metrics count it.
    pub index: usize,
}

/// One delivery as it came from the socket.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    /// Through which connection.
    pub connection: &'a Connection,
    /// What proves who sent it.
    pub headers: Presented<'a>,
    /// Its raw body.
    pub body: &'a [u8],
    /// When its first byte was there.
    pub received: Timestamp,
    /// How long whoever has to wait waits for a turn at present, in microseconds.
    pub behind_us: i64,
}

/// How far `begin` came.
pub enum Begun {
    /// Not the issuer's: 401, and nothing was done.
    Refused(SignatureRefused),
    /// The issuer's, but no question that we understand.
    NotUnderstood(NotUnderstood, Reply),
    /// The answer can leave at once.
    Decided(Finished),
    /// The answer rests on a journal frame that is on its way to the disk.
    Waiting(Waiting),
    /// The answer holds once the log that several nodes share has taken the draft (decision 0028).
    Drafted(Box<Drafted>),
}

/// A decision and its answer in the issuer's words.
pub struct Finished {
    /// For metrics.
    pub decision: Decision,
    /// For the socket.
    pub reply: Reply,
    /// Whether a frame was appended that somebody has to write.
    pub appended: bool,
    /// An approval of this owner that the shared log still has to be told was not given.
    pub takes_back: Option<(Key, Overrule)>,
}

/// A recorded decision that must not leave before it is durable (behaviour 2.8).
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The journal position to wait for.
    pub position: u64,
    /// When the answer would be too late.
    pub deadline: Timestamp,
    form: ReplyForm,
    answer: Answer,
    owner: Key,
    authorization: Key,
}

/// What became of the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The position is durable at the configured level.
    Durable,
    /// It will never be.
    Poisoned,
    /// The deadline came first.
    TimedOut,
}

/// What decisions are made with, once the ledger is recovered.
pub struct Core {
    /// Hashes ids under the data directory's seed.
    pub keys: Fingerprinter,
    /// Holds and limits.
    pub ledger: Arc<EmbeddedLedger>,
    /// Policies.
    pub snapshots: Arc<CurrentSnapshot>,
}

/// See the module.
#[derive(Default)]
pub struct Pipeline {
    core: OnceLock<Core>,
    clock_is_doubted: AtomicBool,
    card_bell: Arc<watch::Sender<u64>>,
}

impl Pipeline {
    /// A pipeline that declines `ledger_unavailable` until it is [armed](Self::arm).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the pipeline what it decides with. Once; a second time changes nothing.
    pub fn arm(&self, core: Core) {
        // The first core stays in force; the second is dropped.
        let _second = self.core.set(core);
    }

    /// Counts the events in which an issuer says that a card itself has changed; whoever looks after
    /// cards waits for it.
    #[must_use]
    pub fn card_bell(&self) -> watch::Receiver<u64> {
        self.card_bell.subscribe()
    }

    /// Whether the time is in doubt: a decision by the wrong day could spend a limit twice, so that
    /// nothing is decided then.
    pub fn doubt_clock(&self, is_doubted: bool) {
        self.clock_is_doubted.store(is_doubted, Ordering::Release);
    }

    /// What decisions are made with; absent before recovery.
    #[must_use]
    pub fn core(&self) -> Option<&Core> {
        self.core.get()
    }

    /// Verifies, decodes, decides and books one delivery. A signature's age is judged at receipt;
    /// `now` is read when the decision is made.
    pub fn begin(&self, arrival: &Arrival<'_>, now: impl Fn() -> Timestamp) -> Begun {
        self.begin_by(Judge::Log, arrival, now)
    }

    /// The same by this judge. What a node judges in the log's place is a draft as well; its events are a
    /// [`StoodIn`](crate::ledger::stand_in::StoodIn) then.
    fn begin_by(
        &self,
        judge: Judge<'_>,
        arrival: &Arrival<'_>,
        now: impl Fn() -> Timestamp,
    ) -> Begun {
        let connection = arrival.connection;
        let issuer = &connection.issuer;
        let verified = issuer.verify(&arrival.headers, arrival.body, arrival.received);
        let body = match verified {
            Ok(body) => body,
            Err(why) => return Begun::Refused(why),
        };
        // Work that has waited past its budget, or would have by the time it is done, is not begun
        // (behaviour 3.3). Its answer leaves at once, and so in time.
        let budget_us = connection.deadline_us - arrival.behind_us;
        if now() > arrival.received.plus_micros(budget_us) {
            return decline_unread(connection, body.bytes(), DeclineReason::Overloaded);
        }
        let question = match issuer.decode(&body) {
            Ok(question) => question,
            Err(cause) => {
                let reply = issuer.kind().not_understood(&cause, body.bytes());
                return Begun::NotUnderstood(cause, reply);
            }
        };
        let Some(core) = self.core.get() else {
            return decline(connection, &question.form, DeclineReason::LedgerUnavailable);
        };
        if core.ledger.is_poisoned() || self.clock_is_doubted.load(Ordering::Acquire) {
            return decline(connection, &question.form, DeclineReason::LedgerUnavailable);
        }
        core.decide(judge, (arrival, &body), question, now)
    }

    /// Makes the answer of a decision whose wait is over. The deadline is looked at once more,
    /// because an approval that leaves late may meet a merchant who has given up (behaviour 2.8).
    pub fn finish(
        &self,
        connection: &Connection,
        waiting: &Waiting,
        waited: Waited,
        now: Timestamp,
    ) -> Finished {
        let (decision, takes_back) = match waited {
            Waited::Poisoned => (Decision::Decline(DeclineReason::LedgerUnavailable), None),
            Waited::Durable if now <= waiting.deadline => (self.release(waiting, now), None),
            Waited::Durable | Waited::TimedOut => self.too_late(waiting, now),
        };
        let reply =
            connection
                .issuer
                .kind()
                .encode(&waiting.form, decision, waiting.answer.available);
        let appended = match waited {
            Waited::Poisoned => false,
            Waited::Durable => now > waiting.deadline,
            Waited::TimedOut => true,
        };
        Finished {
            decision,
            reply,
            appended,
            takes_back,
        }
    }

    /// Lets an approval leave. A redelivered one asks whether it still stands, and from then on it
    /// cannot be overruled by the first delivery, which may still be waiting.
    fn release(&self, waiting: &Waiting, now: Timestamp) -> Decision {
        if waiting.answer.novelty == Novelty::New {
            return waiting.answer.decision;
        }
        let stands = self.core.get().is_some_and(|core| {
            core.ledger
                .confirm(waiting.owner, waiting.authorization, waiting.position, now)
        });
        if stands {
            waiting.answer.decision
        } else {
            Decision::Decline(DeclineReason::DeadlineExceeded)
        }
    }

    /// Only the delivery that made the approval takes it back; a redelivery that comes too late
    /// says nothing about the first one, whose answer may have left.
    fn too_late(&self, waiting: &Waiting, now: Timestamp) -> (Decision, Option<(Key, Overrule)>) {
        let mut takes_back = None;
        if waiting.answer.novelty == Novelty::New
            && let Some(core) = self.core.get()
        {
            let overrule = Overrule {
                authorization: waiting.authorization,
                decided_at: waiting.position,
                at: now,
            };
            if core.ledger.is_shared() {
                takes_back = Some((waiting.owner, overrule));
            } else {
                core.take_back(waiting.owner, &overrule);
            }
        }
        (
            Decision::Decline(DeclineReason::DeadlineExceeded),
            takes_back,
        )
    }
}

impl Core {
    fn take_back(&self, owner: Key, overrule: &Overrule) {
        match self.ledger.overrule(owner, overrule) {
            Ok(true) => {}
            Ok(false) => tracing::warn!("a late approval stands: a redelivery let it go"),
            Err(why) => {
                tracing::error!(
                    ?why,
                    "an approval that did not leave could not be taken back"
                );
            }
        }
    }

    fn decide(
        &self,
        judge: Judge<'_>,
        (arrival, body): (&Arrival<'_>, &VerifiedBody<'_>),
        question: Question<'_>,
        now: impl Fn() -> Timestamp,
    ) -> Begun {
        let connection = arrival.connection;
        let request = &question.request;
        if judge.is_node() && takes_cash(request) {
            return decline(connection, &question.form, DeclineReason::LedgerUnavailable);
        }
        let parts = [connection.name.as_bytes(), request.card_token.as_bytes()];
        let card_key = self.keys.key(KeySpace::Card, &parts);
        let step = self.identify(connection, &question, body);
        let authorization = step.authorization;
        let mut command = Authorize {
            at: arrival.received,
            step,
            authorization: &request.authorization,
            kind: request.kind,
            amount: request.amount,
            card: None,
            card_key,
            card_token: &request.card_token,
            acceptor: &request.acceptor,
            proposal: None,
            shadow: None,
            facts: facts(request),
            snapshot_version: 0,
            latency_us: 0,
        };
        let elapsed = |at: Timestamp| {
            u32::try_from(at.micros_since(arrival.received).max(0)).unwrap_or(u32::MAX)
        };
        loop {
            let snapshot = self.snapshots.load();
            command.snapshot_version = snapshot.version();
            let (owner, word) = match snapshot.card(card_key) {
                Some(view) => {
                    let proposal = evaluate(&view, request, arrival.received, &self.keys);
                    if is_agreed(&view, request) {
                        command.facts = None;
                    }
                    let tried = view.in_shadow().map(|(shadow, versions)| {
                        let proposal = evaluate(&shadow, request, arrival.received, &self.keys);
                        (versions, proposal)
                    });
                    command.latency_us = elapsed(now());
                    let proposals = (&proposal, tried.as_ref());
                    let word = self.on_known_card((judge, connection), &view, proposals, &command);
                    (view.customer.key(), word.map(Some))
                }
                None if judge.is_node() => (card_key, Err(Unavailable::Refused)),
                None => {
                    command.latency_us = elapsed(now());
                    self.on_unknown_card(connection, card_key, &snapshot, &command)
                }
            };
            let word = match word {
                Ok(Some(word)) => word,
                // The card was published while we decided that nobody knows it.
                Ok(None) => continue,
                Err(_nothing_recorded) => {
                    return decline(connection, &question.form, DeclineReason::LedgerUnavailable);
                }
            };
            return said(arrival, question.form, (owner, authorization), word);
        }
    }

    fn identify(
        &self,
        connection: &Connection,
        question: &Question<'_>,
        body: &VerifiedBody<'_>,
    ) -> StepIdentity {
        let request = &question.request;
        let parts = [connection.name.as_bytes(), request.authorization.as_bytes()];
        let short = |space, text: &str| self.keys.short(space, &[text.as_bytes()]);
        StepIdentity {
            authorization: self.keys.key(KeySpace::Authorization, &parts),
            name: request
                .step
                .as_ref()
                .map(|step| short(KeySpace::Step, step)),
            delivery: request
                .delivery
                .as_ref()
                .map(|id| short(KeySpace::Delivery, id)),
            content: match question.same_by {
                SameBy::Body => self.keys.short(KeySpace::Content, &[body.bytes()]),
                SameBy::Purchase => self.purchase(request),
            },
        }
    }

    /// What a step asks for, without the envelope that brought it.
    fn purchase(&self, request: &AuthorizationRequest<'_>) -> u64 {
        let acceptor = &request.acceptor;
        fn bytes<'t>(text: &'t Option<Cow<'_, str>>) -> &'t [u8] {
            text.as_deref().unwrap_or_default().as_bytes()
        }
        let parts: [&[u8]; 10] = [
            &[request.kind as u8],
            request.card_token.as_bytes(),
            &request.amount.minor.get().to_be_bytes(),
            &request.amount.currency.packed().to_be_bytes(),
            &request.cash.get().to_be_bytes(),
            bytes(&acceptor.acquirer_id),
            bytes(&acceptor.acceptor_id),
            acceptor.descriptor.as_bytes(),
            &acceptor.mcc.map_or(0, Mcc::get).to_be_bytes(),
            &acceptor.country.map_or(0, Country::packed).to_be_bytes(),
        ];
        self.keys.short(KeySpace::Content, &parts)
    }

    fn on_known_card(
        &self,
        (judge, connection): (Judge<'_>, &Connection),
        view: &CardView<'_>,
        (proposal, tried): (&Proposal, Option<&([u32; 3], Proposal)>),
        command: &Authorize<'_>,
    ) -> Result<Word, Unavailable> {
        let customer = view.customer;
        let route = Route {
            key: customer.key(),
            owner: Owner::Customer(customer.id()),
        };
        let card = CardRef {
            key: view.card.key(),
            id: view.card.id(),
            connection: &connection.name,
            agent: view.agent.map(|agent| AgentRef {
                key: agent.key(),
                id: agent.id(),
            }),
        };
        let command = Authorize {
            card: Some(card),
            proposal: Some(proposal),
            shadow: tried.map(|(versions, proposal)| Shadowed {
                versions: *versions,
                proposal,
            }),
            ..command.clone()
        };
        let unattributed = self.unattributed(connection);
        match judge {
            Judge::Log => self.ask(&route, unattributed, &command),
            Judge::Node(owner, unbooked) => {
                self.stand_in(&route, unattributed, (owner, unbooked), &command)
            }
        }
    }

    /// A card that is in no snapshot: booked with the customer whose card it was, else with the
    /// connection.
    fn on_unknown_card(
        &self,
        connection: &Connection,
        card: Key,
        seen: &Arc<Snapshot>,
        command: &Authorize<'_>,
    ) -> (Key, Result<Option<Word>, Unavailable>) {
        if let Some(owner) = self.ledger.owner_of_card(card) {
            // The state exists, so its owner's name is not needed.
            let route = Route {
                key: owner,
                owner: Owner::Customer(""),
            };
            let word = self.ask(&route, self.unattributed(connection), command);
            return (owner, word.map(Some));
        }
        let key = self.unattributed(connection);
        let route = Route {
            key,
            owner: Owner::Unattributed(&connection.name),
        };
        let still_unknown = || {
            let latest = self.snapshots.load();
            Arc::ptr_eq(&latest, seen) || latest.card(card).is_none()
        };
        if self.ledger.is_shared() {
            let proposed = self.ledger.propose_unknown(&route, command);
            let word = proposed.map(|it| Some(Word::Proposed(Box::new(it))));
            return (key, word);
        }
        let ledger = &self.ledger;
        let answer = ledger.authorize_unknown(&route, command, still_unknown);
        (key, answer.map(|answer| answer.map(Word::Recorded)))
    }

    /// The key of the state for cards of this connection that nobody knows.
    fn unattributed(&self, connection: &Connection) -> Key {
        self.keys
            .key(KeySpace::Connection, &[connection.name.as_bytes()])
    }
}

/// What the record keeps of a request, so that it can be decided again on paper (behaviour 8.3).
fn facts<'r>(request: &'r AuthorizationRequest<'_>) -> Option<Facts<'r>> {
    let acceptor = &request.acceptor;
    let (acquirer_id, acceptor_id) = (&acceptor.acquirer_id, &acceptor.acceptor_id);
    let facts = Facts {
        amount: request.amount.minor,
        cash: request.cash,
        acquirer_id: acquirer_id.as_deref(),
        acceptor_id: acceptor_id.as_deref(),
        descriptor: &acceptor.descriptor,
        mcc: acceptor.mcc.map(Mcc::get),
        country: acceptor.country.map(Country::packed),
        partial_approval_capable: request.partial_approval_capable,
        card_present: request.card_present,
        risk_score: request.risk_score,
    };
    facts.may_be_kept().then_some(facts)
}

/// An approval waits for the frame that it rests on; anything else may leave at once.
fn rests(connection: &Connection, mut waiting: Waiting) -> Rested {
    let answer = waiting.answer;
    if !answer.decision.is_approval() {
        let issuer = connection.issuer.kind();
        return Rested::Now(Finished {
            decision: answer.decision,
            reply: issuer.encode(&waiting.form, answer.decision, None),
            appended: true,
            takes_back: None,
        });
    }
    waiting.position = answer.position;
    Rested::Waiting(waiting)
}

fn decline_unread(connection: &Connection, body: &[u8], reason: DeclineReason) -> Begun {
    Begun::Decided(Finished {
        decision: Decision::Decline(reason),
        reply: connection.issuer.kind().decline_lost(body, reason),
        appended: false,
        takes_back: None,
    })
}

fn decline(connection: &Connection, form: &ReplyForm, reason: DeclineReason) -> Begun {
    let decision = Decision::Decline(reason);
    let reply = connection.issuer.kind().encode(form, decision, None);
    Begun::Decided(Finished {
        decision,
        reply,
        appended: false,
        takes_back: None,
    })
}
