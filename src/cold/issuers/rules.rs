//! What of a card's rules an issuer may hold beside us (behaviour 4.8).
//!
//! The fence is a second one: it must never be tighter than ours, or it declines what we would
//! approve. So it is made of the card's own caps alone, which hold whatever the levels above say, and
//! of calendar windows only where the issuer's days begin when ours do. A cap of nothing is no limit:
//! at some issuers 0 means "none", so that the card is paused instead.

use serde::{Deserialize, Serialize};

use crate::cold::control::card_policy;
use crate::cold::store::outward::CardOrigin;
use crate::cold::store::{Agent, Card, CardLimit, Customer, Store, StoreError};
use crate::decide::policy::{LimitField, Policy, ProbePolicy};
use crate::domain::card::{CardStatus, Usage};

use super::State;

/// See the module. Amounts are in minor units of the currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Upper case.
    pub currency: String,
    /// How many of its minor units make a major one: the power of ten.
    pub exponent: u8,
    /// Whether the customer's days begin when those of UTC do.
    pub is_utc: bool,
    /// On one authorization.
    pub per_auth: Option<i64>,
    /// On a calendar day.
    pub per_day: Option<i64>,
    /// On a calendar month.
    pub per_month: Option<i64>,
    /// On the card's life.
    pub total: Option<i64>,
    /// Whether the card was used before it was ours, so that the issuer's sums are not ours.
    pub has_past: bool,
    /// Whether one purchase is all it is for.
    pub is_single: bool,
    /// Whether another authorization may come before that purchase, or in its place.
    pub has_probe: bool,
    /// Whether its first merchant is its only one.
    pub locks_merchant: bool,
    /// Whether the issuer does not hold that lock: the card was made without it.
    #[serde(default)]
    pub lacks_lock: bool,
    /// Every field that is set at any level, by its path.
    pub fields: Vec<String>,
}

impl Rules {
    /// Those of a card with this compiled policy.
    pub(in crate::cold) fn of(policy: &Policy, usage: Usage, customer: &Customer) -> Self {
        let cap = |field: LimitField| {
            let cap = policy.limit(field).filter(|_| !policy.is_rolling(field));
            cap.map(|minor| minor.get())
        };
        let terms = policy.terms();
        let probes = terms.and_then(|terms| terms.probe_policy) == Some(ProbePolicy::AllowOneProbe);
        let again = terms.and_then(|terms| terms.reauthorize_same_merchant) == Some(true);
        Self {
            currency: customer.currency.to_string(),
            exponent: customer.currency.exponent(),
            is_utc: matches!(&*customer.timezone, "UTC" | "Etc/UTC"),
            per_auth: cap(LimitField::PerAuth),
            per_day: cap(LimitField::PerDay),
            per_month: cap(LimitField::PerMonth),
            total: cap(LimitField::Total),
            has_past: false,
            is_single: usage == Usage::Single,
            has_probe: probes || again,
            lacks_lock: false,
            locks_merchant: policy.lock_to_first_merchant() == Some(true),
            fields: Vec::new(),
        }
    }

    /// With the fields that are set at each level, for a connection where only the issuer holds them.
    #[must_use]
    pub(in crate::cold) fn with_fields(
        mut self,
        (document, limit): (Option<&str>, Option<&CardLimit>),
        agent: Option<&Agent>,
        customer: &Customer,
    ) -> Self {
        let levels = [
            ("policy", document),
            ("agent.policy", agent.and_then(|it| it.policy.as_deref())),
            ("customer.policy", customer.policy.as_deref()),
        ];
        for (level, document) in levels {
            fields_of(level, document, &mut self.fields);
        }
        // The one limit beside the policy's is a field of the policy in all but place.
        if let Some(limit) = limit {
            let field = format!("policy.limits.{}", limit.interval.name());
            if !self.fields.contains(&field) {
                self.fields.push(field);
            }
        }
        self
    }

    /// Whether no purchase can pass, so that the card is paused where it is made.
    #[must_use]
    pub fn allow_nothing(&self) -> bool {
        let caps = [self.per_auth, self.per_day, self.per_month, self.total];
        caps.contains(&Some(0))
    }

    /// The state that a card with these rules has where it is made.
    #[must_use]
    pub fn state(&self, status: CardStatus, is_frozen: bool) -> State {
        match status {
            CardStatus::Canceled => State::Closed,
            CardStatus::Locked => State::Paused,
            CardStatus::Active if is_frozen || self.allow_nothing() => State::Paused,
            CardStatus::Active => State::Open,
        }
    }
}

/// What the rules of a card rest on beside its own row.
pub(in crate::cold) struct Above {
    /// Whose it is.
    pub(in crate::cold) customer: Customer,
    /// Who uses it.
    pub(in crate::cold) agent: Option<Agent>,
    /// What is known of it at its issuer.
    pub(in crate::cold) origin: Option<CardOrigin>,
}

impl Above {
    /// As the rows stand now. None where the card's customer is not there.
    pub(in crate::cold) async fn of(
        store: &dyn Store,
        row: &Card,
    ) -> Result<Option<Self>, StoreError> {
        let Some(customer) = store.customer(row.customer_id.clone()).await? else {
            return Ok(None);
        };
        let agent = match &row.agent_id {
            Some(id) => store.agent(id.clone()).await?,
            None => None,
        };
        let origin = store.card_origin(row.id.clone()).await?;
        Ok(Some(Self {
            customer,
            agent,
            origin,
        }))
    }

    /// The rules of the card, with every field that is set. None where its policy is none.
    pub(in crate::cold) fn rules(&self, row: &Card) -> Option<Rules> {
        let own = (row.policy.as_deref(), row.limit.as_ref());
        let policy = card_policy(own.0, own.1).ok()?;
        let rules = Rules::of(&policy, row.usage, &self.customer);
        let rules = rules.with_fields(own, self.agent.as_ref(), &self.customer);
        let origin = self.origin.as_ref();
        Some(Rules {
            has_past: origin.is_some_and(|origin| origin.has_past),
            lacks_lock: origin.is_some_and(|origin| origin.lacks_lock),
            ..rules
        })
    }
}

/// Those of a card as its rows stand now, with every field that is set. None where its customer is
/// not there, or its policy is none.
pub(in crate::cold) async fn of_card(
    store: &dyn Store,
    row: &Card,
) -> Result<Option<Rules>, StoreError> {
    let above = Above::of(store, row).await?;
    Ok(above.and_then(|above| above.rules(row)))
}

/// `limits` is told by what is inside it, everything else by its name.
fn fields_of(level: &str, document: Option<&str>, into: &mut Vec<String>) {
    let Some(text) = document else { return };
    // It was compiled, so it is an object; absent and null are the same there.
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) else {
        return;
    };
    for (name, value) in &fields {
        match value {
            serde_json::Value::Null => {}
            serde_json::Value::Object(inner) if name == "limits" => {
                let set = inner.iter().filter(|(_, value)| !value.is_null());
                into.extend(set.map(|(inner, _)| format!("{level}.limits.{inner}")));
            }
            serde_json::Value::Array(items) if items.is_empty() => {}
            serde_json::Value::Bool(false) => {}
            serde_json::Value::Bool(true)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_) => into.push(format!("{level}.{name}")),
        }
    }
}
