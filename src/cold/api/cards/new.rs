//! Making a card: checked first, then ordered at the issuer under a key that an attempt after this one
//! would use again, then kept and in force.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::aside::aside_for;
use super::order::{Ordered, order_card};
use super::shipping::{NewBilling, NewShipping};
use super::standing::CardHeld;
use super::stopped_above;
use crate::cold::api::body::read;
use crate::cold::api::exchange::{Ask, Reply, Tries};
use crate::cold::api::fields::{Interval, Usage, document};
use crate::cold::api::problem::Problem;
use crate::cold::api::{agents, customers, fleet, text};
use crate::cold::audit::line::hex;
use crate::cold::control::{Work, card_policy};
use crate::cold::ids::draw;
use crate::cold::issuers::rules::Rules;
use crate::cold::issuers::shipping::Shipping;
use crate::cold::issuers::{CardOrder, IssuerClient, State};
use crate::cold::schema::PolicyDocument;
use crate::cold::store::OutboxAsked;
use crate::cold::store::outward::OutboxRow;
use crate::cold::store::versions::Versions;
use crate::cold::store::{Agent, Card, CardLimit, Change, Customer, Scope};
use crate::decide::policy::Cascade;
use crate::domain::amount::{Amount, Minor};
use crate::domain::card::{self, AgentStatus, CardStatus};
use crate::domain::currency::Currency;

/// A new card.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewCard {
    customer_id: String,
    /// The agent that uses it.
    agent_id: Option<String>,
    /// `virtual` where it is absent.
    #[serde(rename = "type")]
    kind: Option<Kind>,
    /// `multi` where it is absent.
    usage: Option<Usage>,
    /// `active` where it is absent; not `canceled`.
    status: Option<Status>,
    /// One cap beside the policy's; both hold.
    limits: Option<Limit>,
    /// The rules of this card alone.
    #[schema(value_type = Option<PolicyDocument>)]
    policy: Option<Box<RawValue>>,
    configuration: Option<Configuration>,
    /// Where a physical card is sent; needed for one.
    shipping: Option<NewShipping>,
    /// The address that merchants compare. It is checked and kept nowhere: no issuer takes one for a card.
    billing: Option<NewBilling>,
}

/// What a card is made of.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq, ToSchema)]
#[schema(as = CardType)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Virtual,
    Physical,
}

/// What a card can be from the start, or be set to.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq, ToSchema)]
#[schema(as = CardStatus)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Active,
    Locked,
    Canceled,
}

impl From<Status> for CardStatus {
    fn from(word: Status) -> Self {
        match word {
            Status::Active => Self::Active,
            Status::Locked => Self::Locked,
            Status::Canceled => Self::Canceled,
        }
    }
}

/// The one limit beside the policy's.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Limit {
    /// Minor units; equal to it passes.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    amount: i64,
    /// The customer's.
    currency: String,
    interval: Interval,
}

/// Where the card is made.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Configuration {
    /// The issuer connection; where it is absent, the one that there is.
    connection: Option<String>,
    /// Take rules that nobody holds, where the connection's issuer never asks.
    allow_unenforced: bool,
}

impl Limit {
    /// Whether it caps one authorization, and counts nothing.
    fn is_of_one(&self) -> bool {
        self.interval == Interval::PerAuthorization
    }

    /// The limit, in the customer's currency.
    pub(super) fn read(&self, customer: &Customer) -> Result<CardLimit, Problem> {
        let minor = Minor::new(self.amount).map_err(|_out_of_range| {
            Problem::invalid_field("limits.amount", "must be from 0 to 2^53 - 1 minor units")
        })?;
        let currency = Currency::parse(&self.currency).ok();
        let currency = currency
            .filter(|it| *it == customer.currency)
            .ok_or_else(|| {
                let message = format!("must be the customer's currency, {}", customer.currency);
                Problem::invalid_field("limits.currency", message)
            })?;
        Ok(CardLimit {
            amount: Amount { minor, currency },
            interval: self.interval.field(),
        })
    }
}

/// A card that is wanted, of which all but its owner is checked.
pub(in crate::cold::api) struct Draft {
    pub(in crate::cold::api) agent_id: Option<String>,
    pub(in crate::cold::api) usage: card::Usage,
    pub(in crate::cold::api) status: CardStatus,
    pub(in crate::cold::api) limit: Option<CardLimit>,
    pub(in crate::cold::api) policy: Option<String>,
    /// The issuer connection; where it is absent, the only one there is.
    pub(in crate::cold::api) connection: Option<String>,
    /// Whether rules that nobody holds are taken so.
    pub(in crate::cold::api) allows_unenforced: bool,
    /// Where it is sent; absent for a card without plastic.
    pub(in crate::cold::api) shipping: Option<Shipping>,
    /// What people see of a card of the simple form.
    pub(in crate::cold::api) label: Option<String>,
}

pub(in crate::cold::api) async fn create(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let new: NewCard = read(&ask.body)?;
    refuse_what_nobody_makes(&new)?;
    let caps_each = new.limits.as_ref().is_some_and(Limit::is_of_one);
    let shipping = new.shipping.map(NewShipping::read).transpose()?;
    let loosens = new.policy.is_some() || caps_each;
    let customer = owner(&ask, &new.customer_id, loosens).await?;
    let limit = new
        .limits
        .as_ref()
        .map(|it| it.read(&customer))
        .transpose()?;
    let policy = document(new.policy);
    card_policy(policy.as_deref(), limit.as_ref())?;
    let configuration = new.configuration.unwrap_or_default();
    if configuration.allow_unenforced && ask.caller.key.scope == Scope::Agent {
        let what = "an owner alone may do without rules that nobody enforces";
        return Err(Problem::beyond_reach(what));
    }
    let own = ask.caller.key.agent_id.clone();
    let draft = Draft {
        agent_id: new.agent_id.or(own),
        usage: new.usage.map(Into::into).unwrap_or_default(),
        status: match new.status {
            Some(status) => status.into(),
            None if shipping.is_some() => CardStatus::Locked,
            None => CardStatus::default(),
        },
        limit,
        policy,
        connection: configuration.connection,
        allows_unenforced: configuration.allow_unenforced,
        shipping,
        label: None,
    };
    let row = order(&ask, customer, draft).await?;
    let path = format!("/v1/cards/{}", row.id);
    let new_card = CardHeld::default();
    let shown = ask.api.card_shown_with(row.clone(), new_card).await?;
    let reply = Reply::created(path, &shown)?;
    keep(&ask, row, reply).await
}

/// Orders a card at its issuer; it is not kept yet.
pub(in crate::cold::api) async fn order(
    ask: &Ask,
    customer: Customer,
    draft: Draft,
) -> Result<Card, Problem> {
    let agent = agent(ask, draft.agent_id.as_deref(), &customer).await?;
    let issuer = issuer(ask, draft.connection.as_deref())?;
    let own = (draft.policy.as_deref(), draft.limit.as_ref());
    let mut rules = Rules::of(&card_policy(own.0, own.1)?, draft.usage, &customer);
    if !issuer.manner().asks {
        rules = rules.with_fields(own, agent.as_ref(), &customer);
        refuse_unenforced(issuer, &rules, draft.allows_unenforced)?;
    }
    // A file that rules leaves the issuer alone, too.
    if !ask.api.rows_rule {
        return Err(Problem::file_rules());
    }
    let agent_id = agent.map(|agent| agent.id);
    let is_physical = draft.shipping.is_some();
    refuse_unsent(issuer, is_physical)?;
    // Counted before a card is ordered, and again with what makes it count.
    fleet::room_for_card(&ask.api, customer.clone(), agent_id.as_deref()).await?;
    let card_id = draw("card", ask.now);
    let aside = aside_for(issuer, &rules, (&customer.id, agent_id.as_deref()));
    let order = CardOrder {
        key: order_key(ask, &card_id),
        card_id,
        at: ask.now,
        is_paused: rules.state(draft.status, false) != State::Open,
        rules,
        request: ask.fingerprint(),
        shipping: draft.shipping,
        aside,
    };
    let Ordered { issued, .. } = order_card(&ask.api, ask.now, issuer, order).await?;
    Ok(Card {
        id: issued.card_id,
        mode: customer.mode,
        customer_id: customer.id,
        agent_id,
        connection: issuer.connection().to_owned(),
        issuer_token: issued.token,
        is_physical,
        usage: draft.usage,
        status: draft.status,
        is_frozen: false,
        last4: issued.last4,
        exp_month: issued.exp_month,
        exp_year: issued.exp_year,
        limit: draft.limit,
        policy: draft.policy,
        versions: Versions::default(),
        label: draft.label,
        created_at: ask.now,
        revision: 0,
    })
}

/// Keeps a card that was ordered, where there is room for it.
pub(in crate::cold::api) async fn keep(
    ask: &Ask,
    row: Card,
    reply: Reply,
) -> Result<Reply, Problem> {
    let order = OutboxRow::id_of_order(&order_key(ask, &row.id));
    let kept = ask.api.store.outbox(OutboxAsked::One(order)).await?.pop();
    let settled = kept.map(|order| Change::OutboxDone(order.id, order.version));
    let mut tries = Tries::default();
    loop {
        let customer = customers::of_card(ask, &row).await?;
        let room = fleet::room_for_card(&ask.api, customer, row.agent_id.as_deref()).await?;
        let batch = [Change::Card(row.clone())]
            .into_iter()
            .chain(room)
            .chain(stopped_above(ask, std::slice::from_ref(&row)).await?)
            .chain(settled.clone());
        let work = Work {
            batch: batch.collect(),
            ..Work::default()
        };
        let outcome = ask.make(work, reply.clone()).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}

/// Whose the card is to be. An agent makes cards for itself, where its customer allows it; never
/// where what it writes could loosen what stands above it.
pub(in crate::cold::api) async fn owner(
    ask: &Ask,
    id: &str,
    may_loosen: bool,
) -> Result<Customer, Problem> {
    if ask.caller.key.scope != Scope::Agent {
        return customers::find(ask, id).await;
    }
    let is_own = ask.caller.key.customer_id.as_deref() == Some(id);
    let found = ask.api.store.customer(text::id(id)?).await?;
    let customer = found.filter(|_| is_own).ok_or_else(Problem::not_found)?;
    if !customer.fleet.agent_may_create_cards {
        let what = "the customer's agents make no cards; an owner can allow it: \
                    `fleet.agentMayCreateCards`";
        return Err(Problem::beyond_reach(what));
    }
    if has_domain_rules(ask) {
        let what = "domain rules stand on the agent, which no card can hold: ask to buy, with \
                    `POST /v1/purchase-requests`";
        return Err(Problem::beyond_reach(what));
    }
    if customer.cascade == Cascade::Override && may_loosen {
        let what = "under the customer's cascade, a policy or a limit on one authorization of the card would \
                    outrank the agent's";
        return Err(Problem::beyond_reach(what));
    }
    Ok(customer)
}

/// Whether domains are named in what is in force on the caller's agent. A card that it makes itself would
/// go round them (behaviour 4.4).
fn has_domain_rules(ask: &Ask) -> bool {
    let snapshot = Arc::clone(&ask.api.snapshots.load());
    let own = ask.caller.key.agent_id.as_deref();
    let agent = own.and_then(|id| snapshot.agent_by_id(id));
    let customer = agent.and_then(|agent| snapshot.customer_of(agent));
    let policies = [
        agent.and_then(|it| it.policy()),
        customer.and_then(|it| it.policy()),
    ];
    let requests = policies
        .into_iter()
        .filter_map(|policy| policy?.terms()?.requests.as_deref());
    requests
        .into_iter()
        .any(|it| it.allowed_domains.is_some() || it.blocked_domains.is_some())
}

/// What an issuer that never asks cannot hold is held by nobody (behaviour 4.8).
pub(in crate::cold::api) fn refuse_unenforced(
    issuer: &dyn IssuerClient,
    rules: &Rules,
    is_allowed: bool,
) -> Result<(), Problem> {
    let missing = issuer.unenforced(rules);
    if missing.is_empty() || is_allowed {
        return Ok(());
    }
    Err(Problem::unenforced(missing))
}

/// Refuses plastic where none is made.
pub(super) fn refuse_unsent(issuer: &dyn IssuerClient, is_physical: bool) -> Result<(), Problem> {
    if !is_physical || issuer.manner().ships {
        return Ok(());
    }
    let connection = issuer.connection();
    let message = format!("the connection `{connection}` makes no physical cards");
    Err(Problem::not_supported("type", message))
}

/// What the API knows of and no issuer of this version makes; refused, so that nobody waits for it.
fn refuse_what_nobody_makes(new: &NewCard) -> Result<(), Problem> {
    if new.status == Some(Status::Canceled) {
        return Err(Problem::invalid_field(
            "status",
            "a new card is active or locked",
        ));
    }
    if new.kind == Some(Kind::Physical) {
        if new.shipping.is_none() {
            return Err(Problem::invalid_field(
                "shipping",
                "is missing; a physical card needs it",
            ));
        }
        if new.status == Some(Status::Active) {
            let message =
                "a physical card is locked at first: set it to active when it has arrived";
            return Err(Problem::invalid_field("status", message));
        }
    } else if new.shipping.is_some() {
        return Err(Problem::invalid_field(
            "shipping",
            "only a physical card is shipped",
        ));
    }
    new.billing.as_ref().map_or(Ok(()), NewBilling::check)
}

pub(in crate::cold::api) async fn agent(
    ask: &Ask,
    id: Option<&str>,
    customer: &Customer,
) -> Result<Option<Agent>, Problem> {
    let Some(id) = id else {
        return Ok(None);
    };
    let agent = agents::find(ask, id).await?;
    if agent.customer_id != customer.id {
        let message = "the agent is another customer's";
        return Err(Problem::invalid_field("agentId", message));
    }
    if agent.status == AgentStatus::Disabled {
        return Err(Problem::agent_disabled());
    }
    Ok(Some(agent))
}

/// The issuer of the named connection; where none is named, the only one there is.
pub(super) fn issuer<'a>(
    ask: &'a Ask,
    wanted: Option<&str>,
) -> Result<&'a dyn IssuerClient, Problem> {
    let field = "configuration.connection";
    let all = ask.api.issuers.iter().map(|issuer| &**issuer);
    let mut issuers = all.filter(|it| it.mode() == ask.caller.mode());
    let found = match wanted {
        Some(name) => issuers.find(|it| it.connection() == name),
        None => issuers.next(),
    };
    found.ok_or_else(|| {
        let message = match wanted {
            Some(name) => format!("`{name}` makes no cards for keys of this kind"),
            None => "there is no connection that makes cards for keys of this kind".to_owned(),
        };
        Problem::not_supported(field, message)
    })
}

/// The same for each attempt under one idempotency key.
pub(super) fn order_key(ask: &Ask, card_id: &str) -> String {
    let of_caller = ask.keep.as_ref().map(|keep| {
        let key = &keep.key;
        [key.api_key_id.as_bytes(), key.idempotency_key.as_bytes()]
    });
    let parts = of_caller.unwrap_or([b"", card_id.as_bytes()]);
    let digest = ask.api.secret.digest("order of a card", &parts);
    hex(&digest)
}
