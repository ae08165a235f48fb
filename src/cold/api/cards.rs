//! `/v1/cards` (behaviour 4.1, 4.3): made at an issuer, kept, in force, and only then answered.

mod aside;
mod change;
mod new;
mod order;
mod replace;
mod reveal;
mod shipping;
mod standing;
mod view;

use std::sync::Arc;

use super::about::{About, CURSOR, Given, LIMIT, OF_AGENT, OF_CUSTOMER, shape};
use super::code::Code;
use super::exchange::{Ask, Reply};
use super::problem::Problem;
use super::query::{Page, narrow};
use super::text;
use crate::cold::api::Api;
use crate::cold::issuers::IssuerClient;
use crate::cold::issuers::rules::{Above, Rules};
use crate::cold::ops::cards::policy::{Look, PolicyShown};
use crate::cold::stands::Unseen;
use crate::cold::store::outward::{Errand, OutboxRow};
use crate::cold::store::{Card, Change, Mode};
use crate::domain::time::Timestamp;
use change::CardChange;
use new::NewCard;
use replace::Replacement;
use reveal::Shown;
use view::CardShown;

pub use aside::tend;
use change::told_of;
pub(super) use change::{Nothing, cancel, change, freeze, refuse_purchase_card, ruled, unfreeze};
pub(super) use new::{Draft, agent, create, keep, order, owner, refuse_unenforced};
pub(super) use order::{Ordered, order_card};
pub(super) use replace::replace;
pub(super) use reveal::{
    A_MINUTE_MAX as REVEALS_A_MINUTE, Revealing, pass, refuse_stopped, reveal, shown_to,
};
pub(super) use view::LimitShown;

/// Of both forms in which a card is made.
pub(super) const MAKE_PROBLEMS: &[Code] = &[
    Code::NotFound,
    Code::BeyondReach,
    Code::AgentDisabled,
    Code::FleetCapReached,
    Code::NotSupported,
    Code::NoRoomForCard,
    Code::NotEnforced,
    Code::IssuerRefused,
    Code::IssuerUnavailable,
    Code::IssuerDenied,
];
pub(super) const CREATE: About = About {
    takes: Some(shape::<NewCard>),
    gives: &[Given::created(shape::<CardShown>)],
    problems: MAKE_PROBLEMS,
    ..About::new(
        "createCard",
        "Makes a card, which can be used when the call returns.",
    )
};
pub(super) const LIST: About = About {
    query: &[LIMIT, CURSOR, OF_CUSTOMER, OF_AGENT],
    gives: &[Given::list(shape::<CardShown>)],
    ..About::new("listCards", "Cards; an agent sees its own.")
};
pub(super) const ONE: About = About {
    gives: &[Given::ok(shape::<CardShown>)],
    ..About::new("getCard", "One card.")
};
pub(super) const CHANGE: About = About {
    takes: Some(shape::<CardChange>),
    gives: &[Given::ok(shape::<CardShown>)],
    problems: &[
        Code::CardCanceled,
        Code::NoRoomForCard,
        Code::NotEnforced,
        Code::PurchaseCard,
    ],
    ..About::new(
        "changeCard",
        "Changes a card, in force when the call returns.",
    )
};
pub(super) const CANCEL: About = About {
    gives: &[Given::ok(shape::<CardShown>)],
    ..About::new(
        "cancelCard",
        "Cancels a card for ever. What is authorized already stays, and its clearings are booked.",
    )
};
pub(super) const FREEZE: About = About {
    takes: Some(shape::<Nothing>),
    gives: &[Given::ok(shape::<CardShown>)],
    problems: &[Code::CardCanceled],
    ..About::new(
        "freezeCard",
        "Freezes a card: everything declines until it is unfrozen.",
    )
};
pub(super) const UNFREEZE: About = About {
    takes: Some(shape::<Nothing>),
    gives: &[Given::ok(shape::<CardShown>)],
    problems: &[Code::CardCanceled],
    ..About::new("unfreezeCard", "Lifts a card's freeze, whoever has set it.")
};
pub(super) const REPLACE: About = About {
    takes: Some(shape::<Replacement>),
    gives: &[Given::created(shape::<CardShown>)],
    problems: &[
        Code::CardCanceled,
        Code::PurchaseCard,
        Code::AgentDisabled,
        Code::FleetCapReached,
        Code::NotSupported,
        Code::NoRoomForCard,
        Code::NotEnforced,
        Code::IssuerRefused,
        Code::IssuerUnavailable,
        Code::IssuerDenied,
    ],
    ..About::new(
        "replaceCard",
        "Makes a card like this one, and cancels this one: at once, or later.",
    )
};
/// Of both forms in which a card is shown.
pub(super) const REVEAL_PROBLEMS: &[Code] = &[
    Code::BeyondReach,
    Code::CardCanceled,
    Code::CardStopped,
    Code::RevealGated,
    Code::SnapshotFileRules,
    Code::TooManyReveals,
    Code::NotSupported,
    Code::IssuerRefused,
    Code::IssuerUnavailable,
    Code::IssuerDenied,
];
pub(super) const REVEAL: About = About {
    takes: Some(shape::<Nothing>),
    gives: &[Given::ok(shape::<Shown<'static>>)],
    problems: REVEAL_PROBLEMS,
    ..About::new(
        "revealCard",
        "Shows a card's number, expiry and CVV, where its connection is set to; kept nowhere, and told in the audit log.",
    )
};
pub(super) const POLICY: About = About {
    gives: &[Given::ok(shape::<PolicyShown>)],
    problems: &[Code::SnapshotFileRules],
    ..About::new(
        "getCardPolicy",
        "What is in force on a card: each value with its level, each limit with what is left.",
    )
};

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let mut listed = ask.query.listed(&ask.caller)?;
    let customer = ask.query.take("customerId")?;
    let agent = ask.query.take("agentId")?;
    ask.query.finish()?;
    let in_reach = narrow(&mut listed.customer_id, customer) && narrow(&mut listed.agent_id, agent);
    if !in_reach {
        return Reply::ok(&<Page<CardShown>>::empty());
    }
    let limit = listed.limit;
    let rows = ask.api.store.cards(listed).await?;
    let (rows, page) = Page::of(rows, limit, |row| &row.id);
    let mut data = Vec::with_capacity(rows.len());
    for row in rows {
        data.push(ask.api.card_shown(row).await?);
    }
    Reply::ok(&page.with(data))
}

pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let row = find(&ask, &ask.id).await?;
    Reply::ok(&ask.api.card_shown(row).await?)
}

/// Each value with its level, each limit with what is spent, held and left.
pub(super) async fn policy(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let row = find(&ask, &ask.id).await?;
    let snapshot = Arc::clone(&ask.api.snapshots.load());
    // A card that is not in force has no policy that is.
    let look = Look::at(snapshot, &row.id, ask.now).ok_or_else(Problem::file_rules)?;
    let seen = ask.api.ask_ledger(look.in_ledger()).await?;
    let mut policy = look.shown(&seen).ok_or_else(Problem::internal)?;
    policy.unenforced = unenforced(&ask, &row).await?;
    Reply::ok(&policy)
}

async fn unenforced(ask: &Ask, row: &Card) -> Result<Vec<String>, Problem> {
    let Some(issuer) = ask.api.issuer_of(&row.connection) else {
        return Ok(Vec::new());
    };
    if issuer.manner().asks {
        return Ok(Vec::new());
    }
    Ok(issuer.unenforced(&ask.api.rules_of(row).await?))
}

impl Api {
    /// Who makes the cards of a connection.
    pub(super) fn issuer_of(&self, connection: &str) -> Option<&dyn IssuerClient> {
        let mut issuers = self.issuers.iter().map(|issuer| &**issuer);
        issuers.find(|it| it.connection() == connection)
    }

    /// What issuers are told where an agent's or a customer's status changes: how each of its cards
    /// stands.
    pub(super) fn told_of_owner(
        &self,
        errand: Errand,
        (id, mode): (&str, Mode),
        now: Timestamp,
    ) -> Vec<Change> {
        let issuers = self.issuers.iter();
        let remote = issuers.filter(|it| it.manner().is_remote && it.mode() == mode);
        let row = |issuer: &Arc<dyn IssuerClient>| {
            OutboxRow::of_owner(errand, id, issuer.connection(), now)
        };
        remote.map(row).map(Change::Outbox).collect()
    }

    /// What an issuer may hold of a card's rules, with every field that is set.
    pub(super) async fn rules_of(&self, row: &Card) -> Result<Rules, Problem> {
        let above = self.above(row).await?;
        above.rules(row).ok_or_else(Problem::internal)
    }

    /// What the card's rules rest on beside its row, read once for a whole call.
    pub(super) async fn above(&self, row: &Card) -> Result<Above, Problem> {
        let above = Above::of(&*self.store, row).await?;
        above.ok_or_else(Problem::internal)
    }
}

/// The card of this id, where the caller may know of it.
pub(super) async fn find(ask: &Ask, id: &str) -> Result<Card, Problem> {
    let found = ask.api.store.card(text::id(id)?).await?;
    ask.caller.card(found)
}

/// New cards of one owner that something above them stops, by a row or by the word of an operator, are
/// stopped at their issuer, too. Where nobody knows, it is told of as well: an errand reads how things
/// stand by itself.
pub(super) async fn stopped_above(ask: &Ask, rows: &[Card]) -> Result<Vec<Change>, Problem> {
    let is_stopped: Vec<bool> = match ask.api.stands.of_one_owner(rows).await {
        Ok(stands) => {
            let both = stands.into_iter().zip(rows);
            both.map(|(stand, row)| stand.adds_to(row)).collect()
        }
        Err(Unseen::Ledger) => vec![true; rows.len()],
        Err(Unseen::Store(error)) => return Err(error.into()),
    };
    let stopped = rows.iter().zip(is_stopped).filter(|(_, is_so)| *is_so);
    let told = stopped.filter_map(|(row, _)| told_of(ask, row, Errand::State));
    Ok(told.collect())
}
