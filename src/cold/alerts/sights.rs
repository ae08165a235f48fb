//! What of the journal's events alerts are about, and what they say.

use serde::Serialize;

use crate::cold::ops::cards::view::CapView;
use crate::cold::records::DecisionId;
use crate::cold::records::feed::{Seen, Whose};
use crate::cold::store::Card;
use crate::domain::lifecycle::MovementKind;
use crate::domain::time::Timestamp;
use crate::ledger::event::Event;

/// Something that may be a reason.
pub(super) enum Sight {
    Decided(Decided),
    Booked(Booked),
}

pub(super) struct Decided {
    pub(super) sequence: u64,
    pub(super) at: Timestamp,
    pub(super) card: String,
    pub(super) customer: String,
    pub(super) is_approval: bool,
    /// What was reserved.
    pub(super) amount: i64,
}

pub(super) struct Booked {
    at: Timestamp,
    pub(super) card: String,
    pub(super) customer: String,
    pub(super) authorization: String,
    pub(super) has_drifted: bool,
    pub(super) has_posted: bool,
}

/// An alert that is raised unless one of its name is there.
pub(super) struct Raised {
    pub(super) kind: &'static str,
    /// What it is about: the same reason has the same name.
    pub(super) name: String,
    pub(super) card: String,
    pub(super) at: Timestamp,
    facts: Facts,
}

/// What it says; absent values are left out.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_id: Option<String>,
    /// Minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
    /// Minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    usual_amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    declines: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<CapView>,
}

/// The alert with the card that it is about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Told<'a> {
    card_id: &'a str,
    customer_id: &'a str,
    agent_id: Option<&'a str>,
    alert: &'static str,
    #[serde(flatten)]
    facts: &'a Facts,
}

fn is_posting(kind: MovementKind) -> bool {
    matches!(
        kind,
        MovementKind::Posted { .. } | MovementKind::AuthorizedAndPosted
    )
}

/// The ids of a card and its customer.
fn named(whose: Whose<'_>) -> Option<(String, String)> {
    Some((whose.card?.to_owned(), whose.customer.to_owned()))
}

/// Takes in an event of the journal.
pub(super) fn look(seen: &Seen<'_>, sights: &mut Vec<Sight>) {
    match &seen.event {
        Event::Decided(decided) => {
            let whose = seen.whose_decision(decided).and_then(named);
            let reserved = decided.reserved().get();
            let is_approval = decided.decision.is_approval();
            // What holds nothing says nothing about spending.
            let says = whose.filter(|_| !is_approval || reserved > 0);
            sights.extend(says.map(|(card, customer)| {
                Sight::Decided(Decided {
                    sequence: seen.sequence,
                    at: decided.at,
                    card,
                    customer,
                    is_approval,
                    amount: reserved,
                })
            }));
        }
        Event::Booked(booked) => {
            let whose = seen.whose_report(booked).and_then(named);
            let told = booked.told.as_ref().and_then(|told| told.posted);
            let has_posted = booked.facts.iter().any(|fact| is_posting(fact.kind))
                || told.is_some_and(|posted| !posted.is_zero());
            // An issuer that declines much itself is told of as one that is declined much.
            let declined = whose.clone().filter(|_| booked.declined.is_some());
            sights.extend(declined.map(|(card, customer)| {
                Sight::Decided(Decided {
                    sequence: seen.sequence,
                    at: booked.at,
                    card,
                    customer,
                    is_approval: false,
                    amount: 0,
                })
            }));
            sights.extend(whose.map(|(card, customer)| {
                Sight::Booked(Booked {
                    at: booked.at,
                    card,
                    customer,
                    authorization: booked.external.to_string(),
                    has_drifted: booked.has_drifted,
                    has_posted,
                })
            }));
        }
        Event::Conflicted(_)
        | Event::Overruled { .. }
        | Event::StateOpened { .. }
        | Event::CardOpened { .. }
        | Event::AgentOpened { .. }
        | Event::Redelivered { .. }
        | Event::StandingSet { .. }
        | Event::Swept { .. }
        | Event::Lapsed { .. }
        | Event::WindowsOpened { .. }
        | Event::RollingOpened { .. }
        | Event::Backed { .. }
        | Event::RiskFrozen { .. }
        | Event::IntentDeclared { .. }
        | Event::IntentSettled { .. }
        | Event::Attested { .. } => {}
    }
}

impl Decided {
    /// Once for each hour.
    pub(super) fn storm(&self, count: usize) -> Raised {
        let hour = self.at.secs().div_euclid(3_600);
        let facts = Facts {
            declines: Some(count),
            decision_id: Some(DecisionId(self.sequence).to_string()),
            ..Facts::default()
        };
        Raised::new("decline_storm", (&self.card, &hour), self.at, facts)
    }

    /// Once for each decision.
    pub(super) fn spike(&self, usual: i64) -> Raised {
        let id = DecisionId(self.sequence).to_string();
        let facts = Facts {
            amount: Some(self.amount),
            usual_amount: Some(usual),
            decision_id: Some(id.clone()),
            ..Facts::default()
        };
        Raised::new("spend_spike", (&self.card, &id), self.at, facts)
    }
}

impl Booked {
    /// Once for each authorization.
    pub(super) fn drift(&self) -> Raised {
        self.raised("merchant_drift")
    }

    /// Once for each authorization.
    pub(super) fn forced(&self) -> Raised {
        self.raised("forced_posting")
    }

    fn raised(&self, kind: &'static str) -> Raised {
        let facts = Facts {
            authorization: Some(self.authorization.clone()),
            ..Facts::default()
        };
        Raised::new(kind, (&self.card, &self.authorization), self.at, facts)
    }
}

impl Raised {
    fn new(
        kind: &'static str,
        (card, what): (&str, &dyn std::fmt::Display),
        at: Timestamp,
        facts: Facts,
    ) -> Self {
        Self {
            kind,
            name: format!("{kind}:{card}:{what}"),
            card: card.to_owned(),
            at,
            facts,
        }
    }

    /// Once for each limit and window.
    pub(super) fn share(card: &str, percent: i64, limit: CapView, at: Timestamp) -> Self {
        let name = format!("{percent}:{}", limit.window_name(at));
        let facts = Facts {
            percent: Some(percent),
            limit: Some(limit),
            ..Facts::default()
        };
        Self::new("limit_share", (card, &name), at, facts)
    }

    /// The kind of its notice.
    pub(super) fn event(&self) -> &'static str {
        match self.kind {
            "limit_share" => "alert.limit_share",
            "decline_storm" => "alert.decline_storm",
            "merchant_drift" => "alert.merchant_drift",
            "spend_spike" => "alert.spend_spike",
            _ => "alert.forced_posting",
        }
    }

    pub(super) fn told<'a>(&'a self, card: &'a Card) -> Told<'a> {
        Told {
            card_id: &card.id,
            customer_id: &card.customer_id,
            agent_id: card.agent_id.as_deref(),
            alert: self.kind,
            facts: &self.facts,
        }
    }
}
