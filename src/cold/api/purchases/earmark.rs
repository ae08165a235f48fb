//! The earmark: a hold of the ledger on agent and customer, made by the same atomic step that decides
//! authorizations (behaviour 5.8), so that two requests never share the last headroom.
//!
//! To the ledger it is an authorization on a card that no issuer has: one for each agent, on which all
//! its earmarks stand, so that counts of requests are that card's.

use std::sync::Arc;

use crate::cold::api::Api;
use crate::cold::api::problem::Problem;
use crate::cold::durable::becomes_durable;
use crate::cold::records::EARMARKS;
use crate::cold::store::purchases::Purchase;
use crate::cold::store::set_aside::SetAside;
use crate::decide::policy::Policy;
use crate::decide::purchase::tier::Over;
use crate::decide::snapshot::{AgentSlot, CustomerSlot, Snapshot};
use crate::domain::acceptor::CardAcceptor;
use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{Key, Level};
use crate::domain::claims::{CardRules, Claims, MerchantKeys, Proposal, ScopeLimits};
use crate::domain::decision::Decision;
use crate::domain::explanation::Explanation;
use crate::domain::hold_time::HoldTime;
use crate::domain::identity::{KeySpace, Keys as _, StepIdentity};
use crate::domain::lifecycle::{BookTerms, MovementKind};
use crate::domain::time::Timestamp;
use crate::fingerprint::Fingerprinter;
use crate::ledger::check;
use crate::ledger::command::{AgentRef, Answer, Authorize, Book, CardRef, Route};
use crate::ledger::embedded::journal::Position;
use crate::ledger::embedded::store::EmbeddedLedger;
use crate::ledger::event::{Owner, StateNo};
use crate::ledger::life::Fact;
use crate::ledger::state::State;

/// What the ledger says to an earmark.
pub(in crate::cold::api) enum Held {
    /// It stands.
    Stands,
    /// A limit leaves no room for it.
    Declined(Explanation),
}

/// One earmark that is asked for.
#[derive(Clone)]
pub(in crate::cold::api) struct Earmark {
    api: Arc<Api>,
    snapshot: Arc<Snapshot>,
    customer_id: String,
    /// Absent for a card that no agent uses.
    agent_id: Option<String>,
    /// Whether it counts as a request of the agent.
    is_request: bool,
    /// The id of the earmark.
    called: String,
    amount: Amount,
    /// Limits that a human has waived, and how much each allowed then.
    waived: Vec<(Level, String, i64)>,
    at: Timestamp,
}

/// The id of a request's earmark: each attempt has its own.
pub(super) fn name(row: &Purchase) -> String {
    format!("{}.{}", row.id, row.terms.attempt)
}

/// The key of a request's earmark in the ledger.
pub(in crate::cold) fn key(keys: &Fingerprinter, called: &str) -> Key {
    let parts = [EARMARKS.as_bytes(), called.as_bytes()];
    keys.key(KeySpace::Authorization, &parts)
}

fn wanted(api: &Arc<Api>, row: &Purchase, at: Timestamp) -> Earmark {
    let minor = Minor::new(row.terms.earmark).unwrap_or(Minor::MAX);
    let waived = row.terms.causes.iter().filter_map(|broken| {
        let level = broken.level.as_deref()?;
        let level = Level::ALL.into_iter().find(|it| it.name() == level)?;
        Some((level, broken.field.clone()?, broken.cap?))
    });
    Earmark {
        api: Arc::clone(api),
        snapshot: Arc::clone(&api.snapshots.load()),
        customer_id: row.customer_id.clone(),
        agent_id: Some(row.agent_id.clone()),
        is_request: true,
        called: name(row),
        amount: Amount {
            minor,
            currency: row.amount.currency,
        },
        waived: waived.collect(),
        at,
    }
}

/// What the ledger would say; nothing is recorded.
pub(super) async fn would_stand(
    api: &Arc<Api>,
    row: &Purchase,
    at: Timestamp,
) -> Result<Option<Explanation>, Problem> {
    let wanted = wanted(api, row, at);
    let asked = api.ask_ledger(move |ledger| wanted.ask(ledger, true));
    let (answer, _) = asked.await?.ok_or_else(Problem::not_ready)?;
    Ok(declined(&answer))
}

/// Makes the earmark; whatever it says is durable when this returns.
pub(super) async fn hold(api: &Arc<Api>, row: &Purchase, at: Timestamp) -> Result<Held, Problem> {
    wanted(api, row, at).hold().await
}

fn declined(answer: &Answer) -> Option<Explanation> {
    match answer.decision {
        Decision::Approve | Decision::ApprovePartial(_) => None,
        Decision::Decline(reason) => Some(
            answer
                .explanation
                .unwrap_or_else(|| Explanation::bare(reason)),
        ),
    }
}

/// Gives an earmark back behind which no card stands: as if its issuer had not approved it.
pub(super) async fn release(api: &Arc<Api>, row: &Purchase, at: Timestamp) -> Result<(), Problem> {
    wanted(api, row, at).end(Minor::ZERO).await
}

/// A merchant of nobody: what a card is spent on is asked when it is spent.
fn nobody() -> CardAcceptor<'static> {
    CardAcceptor {
        acquirer_id: None,
        acceptor_id: None,
        descriptor: "".into(),
        mcc: None,
        city: "".into(),
        country: None,
    }
}

/// Whether the limit of this path can be waived for one request. A cap on what is held cannot
/// (behaviour 4.4).
pub(super) fn is_waivable(path: &str) -> bool {
    waive(&mut ScopeLimits::default(), path, 0)
}

/// Takes away the limit of this path, unless it allows less than the one that was shown; whether there is
/// such a path.
fn waive(limits: &mut ScopeLimits, path: &str, shown: i64) -> bool {
    let amount = |limit: &mut Option<Minor>| *limit = limit.filter(|it| it.get() < shown);
    let count = |limit: &mut Option<u32>| *limit = limit.filter(|it| i64::from(*it) < shown);
    match path {
        "limits.perDay" => {
            amount(&mut limits.per_day);
            amount(&mut limits.rolling_day);
        }
        "limits.perWeek" => {
            amount(&mut limits.per_week);
            amount(&mut limits.rolling_week);
        }
        "limits.perMonth" => {
            amount(&mut limits.per_month);
            amount(&mut limits.rolling_month);
        }
        "limits.total" => amount(&mut limits.total),
        "limits.countPerHour" => count(&mut limits.count_per_hour),
        "limits.countPerDay" => count(&mut limits.count_per_day),
        "limits.countTotal" => count(&mut limits.count_total),
        _ => return false,
    }
    true
}

impl Earmark {
    /// What a card could spend whose issuer never asks (behaviour 4.8).
    pub(in crate::cold::api) fn aside(api: &Arc<Api>, row: &SetAside, at: Timestamp) -> Self {
        Self {
            api: Arc::clone(api),
            snapshot: Arc::clone(&api.snapshots.load()),
            customer_id: row.customer_id.clone(),
            agent_id: row.agent_id.clone(),
            is_request: false,
            called: row.called.clone(),
            amount: row.amount,
            waived: Vec::new(),
            at,
        }
    }

    /// Makes it; whatever the ledger says is durable when this returns.
    pub(in crate::cold::api) async fn hold(self) -> Result<Held, Problem> {
        let api = Arc::clone(&self.api);
        let owner = self.owner_key();
        let asked = api.change_ledger(owner, move |ledger| self.ask(ledger, false));
        let (answer, position) = asked.await?;
        if !becomes_durable(&api.journal, position).await {
            return Err(Problem::ledger_unavailable());
        }
        Ok(declined(&answer).map_or(Held::Stands, Held::Declined))
    }

    /// So much of it was spent, and the rest comes back; durable when this returns.
    pub(in crate::cold::api) async fn end(self, spent: Minor) -> Result<(), Problem> {
        let api = Arc::clone(&self.api);
        let owner = self.owner_key();
        let asked = api.change_ledger(owner, move |ledger| {
            Some(((), self.book_end(ledger, spent)?))
        });
        let ((), position) = asked.await?;
        if becomes_durable(&api.journal, position).await {
            Ok(())
        } else {
            Err(Problem::ledger_unavailable())
        }
    }

    fn parties(&self) -> Option<(Option<&AgentSlot>, &CustomerSlot)> {
        let Some(id) = &self.agent_id else {
            return Some((None, self.snapshot.customer_by_id(&self.customer_id)?));
        };
        let agent = self.snapshot.agent_by_id(id)?;
        Some((Some(agent), self.snapshot.customer_of(agent)?))
    }

    /// Whose earmarks stand on one card of the ledger: an agent's, or those of a customer's cards that no
    /// agent uses.
    fn owner_id(&self) -> &str {
        self.agent_id.as_deref().unwrap_or(&self.customer_id)
    }

    /// Whose state holds it.
    fn owner_key(&self) -> Key {
        let customer = self.customer_id.as_bytes();
        self.keys().key(KeySpace::Customer, &[customer])
    }

    fn keys(&self) -> &Fingerprinter {
        &self.api.keys
    }

    fn card_id(&self) -> String {
        format!("earmarks_{}", self.owner_id())
    }

    fn card_key(&self) -> Key {
        let parts = [EARMARKS.as_bytes(), self.owner_id().as_bytes()];
        self.keys().key(KeySpace::Card, &parts)
    }

    /// Runs on a hot thread. Absent where the agent is in force no more, or the journal takes nothing.
    fn ask(&self, ledger: &EmbeddedLedger, is_dry: bool) -> Option<(Answer, Position)> {
        let (agent, customer) = self.parties()?;
        let proposal = self.proposal(agent, customer);
        let card_id = self.card_id();
        let card = self.card(&card_id, agent);
        let acceptor = nobody();
        let command = Authorize {
            at: self.at,
            step: StepIdentity {
                authorization: key(self.keys(), &self.called),
                name: Some(0),
                delivery: None,
                content: self.amount.minor.get().unsigned_abs(),
            },
            authorization: &self.called,
            kind: AuthorizationKind::Authorization,
            amount: self.amount,
            card: Some(card),
            card_key: card.key,
            card_token: self.owner_id(),
            acceptor: &acceptor,
            proposal: Some(&proposal),
            shadow: None,
            facts: None,
            snapshot_version: self.snapshot.version(),
            latency_us: 0,
        };
        let owner = Owner::Customer(customer.id());
        if is_dry {
            let answer = |state: &State| check::authorize(state, &command).ok();
            let looked = ledger.with_state(customer.key(), answer);
            let checked =
                looked.unwrap_or_else(|| answer(&State::new(StateNo(0), customer.key(), owner)));
            return Some((checked?.answer, Position(0)));
        }
        let route = Route {
            key: customer.key(),
            owner,
        };
        let unattributed = self
            .keys()
            .key(KeySpace::Connection, &[EARMARKS.as_bytes()]);
        let answer = ledger
            .authorize_as_command(&route, unattributed, &command)
            .ok()?;
        // One that was known may rest on a frame that is not durable yet.
        let position = ledger.barrier().ok()?;
        Some((answer, position))
    }

    fn card<'a>(&self, id: &'a str, agent: Option<&'a AgentSlot>) -> CardRef<'a> {
        CardRef {
            key: self.card_key(),
            id,
            connection: EARMARKS,
            agent: agent.map(|agent| AgentRef {
                key: agent.key(),
                id: agent.id(),
            }),
        }
    }

    /// The limits of agent and customer, less what was waived, and the counts of requests in the
    /// place of the card's.
    fn proposal(&self, agent: Option<&AgentSlot>, customer: &CustomerSlot) -> Proposal {
        let policy = agent.and_then(AgentSlot::policy);
        let over = Over {
            agent: policy,
            customer: customer.policy(),
            cascade: customer.cascade(),
        };
        let (count_per_hour, count_per_day) = if self.is_request {
            over.counts()
        } else {
            (None, None)
        };
        let scope = |policy: Option<&Policy>| {
            policy.map_or_else(ScopeLimits::default, |policy| policy.scope_limits())
        };
        let mut limits = [
            ScopeLimits {
                count_per_hour,
                count_per_day,
                ..ScopeLimits::default()
            },
            scope(policy),
            scope(customer.policy()),
        ];
        for (level, field, shown) in &self.waived {
            if let Some(limits) = limits.get_mut(*level as usize) {
                waive(limits, field, *shown);
            }
        }
        let zone = customer.zone();
        let (day, ends) = zone.windows_at(self.at.secs());
        let (hour, hour_ends) = zone.hour_at(self.at.secs());
        Proposal {
            standing: None,
            expired: None,
            rule: None,
            hours: None,
            claims: Claims {
                amount: self.amount,
                day,
                resets_at: ends.map(Timestamp::from_secs),
                hour,
                hour_resets_at: Timestamp::from_secs(hour_ends),
                limits,
                held_max: customer.held_max(),
                per_auth: None,
                single_use: false,
                lock_to_first_merchant: None,
                preset_lock: None,
                merchant: MerchantKeys {
                    strong: None,
                    weak: 0,
                    sub_merchant: None,
                },
                rules: CardRules::default(),
            },
        }
    }

    /// Runs on a hot thread.
    fn book_end(&self, ledger: &EmbeddedLedger, spent: Minor) -> Option<Position> {
        let (agent, customer) = self.parties()?;
        let authorization = key(self.keys(), &self.called);
        let is_known = |state: &State| state.authorization(authorization).is_some();
        // What the ledger has forgotten counts as spent already.
        if !self.is_request && ledger.with_state(customer.key(), is_known) != Some(true) {
            return ledger.barrier().ok();
        }
        let claims = self.proposal(agent, customer).claims;
        let card_id = self.card_id();
        let (kind, amount) = if spent == Minor::ZERO {
            (MovementKind::Released, self.amount.minor)
        } else {
            (MovementKind::Posted { is_last: true }, spent)
        };
        let facts = [Fact {
            id: 1,
            kind,
            amount,
            at: self.at,
        }];
        let card = self.card(&card_id, agent);
        let command = Book {
            at: self.at,
            authorization,
            external: &self.called,
            card_key: card.key,
            card: Some(card),
            calendar: claims.calendar(),
            currency: self.amount.currency,
            facts: &facts,
            told: None,
            terms: BookTerms::default(),
            hold_time: HoldTime::Unknown,
            merchant: None,
            acceptor: None,
            declined: Minor::ZERO,
        };
        let route = Route {
            key: customer.key(),
            owner: Owner::Customer(customer.id()),
        };
        ledger.book(&route, &command).ok()?;
        ledger.barrier().ok()
    }
}
