//! The customer, agent or card whose rules are looked at or changed.

use super::history::Of;
use crate::cold::api::cards::{refuse_purchase_card, ruled};
use crate::cold::api::exchange::Ask;
use crate::cold::api::problem::Problem;
use crate::cold::api::{agents, cards, customers};
use crate::cold::control::{card_policy, policy};
use crate::cold::store::versions::{PolicyVersion, Ruled, VersionState, Versions};
use crate::cold::store::{Agent, Card, Change, Customer};
use crate::decide::policy::Policy;
use crate::domain::card::Level;

/// What has rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noun {
    Customer,
    Agent,
    Card,
}

impl Noun {
    pub(super) fn level(self) -> Level {
        match self {
            Self::Customer => Level::Customer,
            Self::Agent => Level::Agent,
            Self::Card => Level::Card,
        }
    }

    pub(super) fn path(self, id: &str) -> String {
        let noun = match self {
            Self::Customer => "customers",
            Self::Agent => "agents",
            Self::Card => "cards",
        };
        format!("/v1/{noun}/{id}")
    }
}

/// One of them.
pub(super) enum Subject {
    Customer(Customer),
    Agent(Agent),
    Card(Card),
}

impl Subject {
    /// The one that the path names, where the caller may know of it.
    pub(super) async fn find(ask: &Ask, noun: Noun) -> Result<Self, Problem> {
        Ok(match noun {
            Noun::Customer => Self::Customer(customers::find(ask, &ask.id).await?),
            Noun::Agent => Self::Agent(agents::find(ask, &ask.id).await?),
            Noun::Card => Self::Card(cards::find(ask, &ask.id).await?),
        })
    }

    fn of(&self) -> Of {
        match self {
            Self::Customer(row) => row.into(),
            Self::Agent(row) => row.into(),
            Self::Card(row) => row.into(),
        }
    }

    pub(super) fn id(&self) -> &str {
        match self {
            Self::Customer(row) => &row.id,
            Self::Agent(row) => &row.id,
            Self::Card(row) => &row.id,
        }
    }

    pub(super) fn customer_id(&self) -> &str {
        match self {
            Self::Customer(row) => &row.id,
            Self::Agent(row) => &row.customer_id,
            Self::Card(row) => &row.customer_id,
        }
    }

    /// The rules of a version, with the limit that stood, or stands, beside a card's.
    pub(super) fn compiled(&self, version: &PolicyVersion) -> Result<Policy, Problem> {
        let document = version.ruled.policy.as_deref();
        let compiled = match self {
            Self::Customer(_) | Self::Agent(_) => policy(document)?,
            Self::Card(row) => {
                let was_in_force = version.active_at.is_some();
                let limit = if was_in_force {
                    version.ruled.limit
                } else {
                    row.limit
                };
                card_policy(document, limit.as_ref())?
            }
        };
        Ok(compiled)
    }

    fn versions(&self) -> &Versions {
        match self {
            Self::Customer(row) => &row.versions,
            Self::Agent(row) => &row.versions,
            Self::Card(row) => &row.versions,
        }
    }

    pub(super) fn versions_mut(&mut self) -> &mut Versions {
        match self {
            Self::Customer(row) => &mut row.versions,
            Self::Agent(row) => &mut row.versions,
            Self::Card(row) => &mut row.versions,
        }
    }

    pub(super) fn ruled(&self) -> Ruled {
        self.of().ruled
    }

    pub(super) fn set_policy(&mut self, policy: Option<String>) {
        match self {
            Self::Customer(row) => row.policy = policy,
            Self::Agent(row) => row.policy = policy,
            Self::Card(row) => row.policy = policy,
        }
    }

    /// Brings everything back that an earlier version ruled. One that was tried out and never in
    /// force ruled by its document alone.
    pub(super) fn restore(&mut self, old: &PolicyVersion) {
        let Ruled {
            policy,
            cascade,
            limit,
        } = old.ruled.clone();
        self.set_policy(policy);
        if old.active_at.is_none() {
            return;
        }
        match self {
            Self::Customer(row) => row.cascade = cascade.unwrap_or(row.cascade),
            Self::Agent(_) => {}
            Self::Card(row) => row.limit = limit,
        }
    }

    pub(super) fn into_change(self) -> Change {
        match self {
            Self::Customer(row) => Change::Customer(row),
            Self::Agent(row) => Change::Agent(row),
            Self::Card(row) => Change::Card(row),
        }
    }

    /// The version of a subject whose rules were never changed.
    pub(super) fn only_version(&self) -> PolicyVersion {
        self.of().first()
    }

    /// The version that the path names.
    pub(super) async fn version(&self, ask: &Ask) -> Result<PolicyVersion, Problem> {
        let named: Option<u32> = ask.inner_id.parse().ok();
        let number = named.filter(|number| number.to_string() == ask.inner_id);
        let number = number.ok_or_else(Problem::not_found)?;
        let of = self.of();
        if of.is_alone() && number == 1 {
            return Ok(of.first());
        }
        let found = ask.api.store.policy_version(of.id, number).await?;
        let found = found.filter(|row| row.state != VersionState::Deleted);
        found.ok_or_else(Problem::not_found)
    }

    /// Whether a document can rule it.
    pub(super) fn check(&self, document: Option<&str>) -> Result<(), Problem> {
        match self {
            Self::Customer(_) | Self::Agent(_) => policy(document)?,
            Self::Card(row) => card_policy(document, row.limit.as_ref())?,
        };
        Ok(())
    }

    /// Writes down the version in force where it is the only one so far, so that another can follow.
    pub(super) fn begun(&mut self) -> Vec<Change> {
        let of = self.of();
        if !of.is_alone() {
            return Vec::new();
        }
        vec![Change::PolicyVersion(of.first(), None)]
    }

    /// The version that follows the last one, in force, with its number taken.
    pub(super) fn next_version(&mut self, ask: &Ask) -> PolicyVersion {
        let next = self.of().next(ask);
        self.versions_mut().last = next.number;
        next
    }

    /// The end of what is tried out, where there is something.
    pub(super) async fn unshadow(&mut self, ask: &Ask) -> Result<Option<Change>, Problem> {
        let Some(shadow) = self.versions_mut().shadow.take() else {
            return Ok(None);
        };
        let id = self.id().to_owned();
        let found = ask.api.store.policy_version(id, shadow.version).await?;
        let mut row = found.ok_or_else(Problem::internal)?;
        let before = row.state;
        row.state = VersionState::Retired;
        row.ended_at = Some(ask.now);
        Ok(Some(Change::PolicyVersion(row, Some(before))))
    }

    /// Refuses a change by somebody who has read an older version.
    pub(super) fn refuse_stale(&self, wanted: Option<u32>) -> Result<(), Problem> {
        let active = self.versions().active;
        match wanted {
            Some(wanted) if wanted != active => Err(Problem::stale_version(wanted, active)),
            _ => Ok(()),
        }
    }

    /// Lets other rules of it be in force: the end of those that were, and what follows at its issuer.
    pub(super) async fn put_in_force(
        &mut self,
        ask: &Ask,
        allow_unenforced: bool,
        change: impl FnOnce(&mut Self),
    ) -> Result<Vec<Change>, Problem> {
        let before = self.card();
        if let Some(card) = &before {
            let why = "`policy` is its purchase request's, and stays";
            refuse_purchase_card(ask, card, why).await?;
        }
        let mut batch = vec![self.of().retire(ask).await?];
        change(self);
        self.check(self.ruled().policy.as_deref())?;
        batch.extend(self.held(ask, before, allow_unenforced).await?);
        Ok(batch)
    }

    /// The card as it is, where it is one.
    fn card(&self) -> Option<Card> {
        match self {
            Self::Card(row) => Some(row.clone()),
            Self::Customer(_) | Self::Agent(_) => None,
        }
    }

    /// What follows at its issuer from a card's new rules. They are refused where the issuer cannot
    /// hold them and nothing else would, and where the card is canceled.
    async fn held(
        &self,
        ask: &Ask,
        before: Option<Card>,
        is_allowed: bool,
    ) -> Result<Vec<Change>, Problem> {
        match (self, before) {
            (Self::Card(row), Some(before)) => ruled(ask, &before, row, is_allowed).await,
            (Self::Card(_) | Self::Customer(_) | Self::Agent(_), _) => Ok(Vec::new()),
        }
    }
}
