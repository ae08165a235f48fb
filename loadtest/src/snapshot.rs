//! A policy snapshot for the fleet: limits at every level, all high enough to approve.

use serde::Serialize;

use crate::clock;
use crate::fleet::{self, Fleet};

/// Several zones, so that windows are not all the same.
const ZONES: [&str; 4] = ["UTC", "America/New_York", "Europe/Berlin", "Asia/Tokyo"];
/// Cards older than any window.
const CREATED_AT_UNIX_S: u64 = 1_767_225_600;
const PER_AUTH_MINOR: u64 = 1_000_000;
/// A hundred million dollars a day: no run of any length reaches it with amounts below 100.00.
const PER_DAY_MINOR: u64 = 10_000_000_000;
const PER_MONTH_MINOR: u64 = 30 * PER_DAY_MINOR;
/// An agent stands above many cards and a customer above many agents.
const AGENT_FACTOR: u64 = 100;
const CUSTOMER_FACTOR: u64 = 1_000;

#[derive(Debug, Serialize)]
pub(crate) struct Snapshot {
    schema: u8,
    customers: Vec<Customer>,
    agents: Vec<Agent>,
    cards: Vec<Card>,
}

#[derive(Debug, Serialize)]
struct Customer {
    id: String,
    status: &'static str,
    timezone: &'static str,
    currency: &'static str,
    cascade: &'static str,
    policy: Policy,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Agent {
    id: String,
    customer_id: String,
    status: &'static str,
    policy: Policy,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Card {
    id: String,
    connection: String,
    issuer_token: String,
    customer_id: String,
    agent_id: String,
    usage: &'static str,
    status: &'static str,
    created_at: String,
    policy: Policy,
}

#[derive(Debug, Serialize)]
struct Policy {
    limits: Limits,
}

/// In minor units of the customer's currency.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    per_auth: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_day: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_month: Option<u64>,
    /// How many may be approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    count_total: Option<u64>,
}

impl Snapshot {
    /// The same, and no customer has room for more approvals than this.
    pub(crate) fn with_room(fleet: Fleet, connection: &str, room: u64) -> Self {
        let mut snapshot = Self::new(fleet, connection);
        for customer in &mut snapshot.customers {
            customer.policy.limits.count_total = Some(room);
        }
        snapshot
    }

    pub(crate) fn new(fleet: Fleet, connection: &str) -> Self {
        Self {
            schema: 1,
            customers: (0..fleet.customers).map(customer).collect(),
            agents: (0..fleet.agents).map(|index| agent(fleet, index)).collect(),
            cards: (0..fleet.cards)
                .map(|index| card(fleet, connection, index))
                .collect(),
        }
    }
}

fn customer(index: u64) -> Customer {
    let zone = usize::try_from(index).unwrap_or_default() % ZONES.len();
    let limits = Limits {
        per_day: Some(CUSTOMER_FACTOR * PER_DAY_MINOR),
        per_month: Some(CUSTOMER_FACTOR * PER_MONTH_MINOR),
        ..Limits::default()
    };
    Customer {
        id: customer_id(index),
        status: "active",
        timezone: ZONES.get(zone).copied().unwrap_or("UTC"),
        currency: "USD",
        cascade: "tighten",
        policy: Policy { limits },
    }
}

fn agent(fleet: Fleet, index: u64) -> Agent {
    let limits = Limits {
        per_day: Some(AGENT_FACTOR * PER_DAY_MINOR),
        ..Limits::default()
    };
    Agent {
        id: agent_id(index),
        customer_id: customer_id(fleet.customer_of(index)),
        status: "active",
        policy: Policy { limits },
    }
}

fn card(fleet: Fleet, connection: &str, index: u64) -> Card {
    let agent = fleet.agent_of(index);
    let limits = Limits {
        per_auth: Some(PER_AUTH_MINOR),
        per_day: Some(PER_DAY_MINOR),
        per_month: Some(PER_MONTH_MINOR),
        ..Limits::default()
    };
    Card {
        id: format!("card_{index:08}"),
        connection: connection.to_owned(),
        issuer_token: fleet::card_token(index)
            .iter()
            .copied()
            .map(char::from)
            .collect(),
        customer_id: customer_id(fleet.customer_of(agent)),
        agent_id: agent_id(agent),
        usage: "multi",
        status: "active",
        created_at: clock::rfc3339(CREATED_AT_UNIX_S),
        policy: Policy { limits },
    }
}

fn customer_id(index: u64) -> String {
    format!("cus_{index:08}")
}

fn agent_id(index: u64) -> String {
    format!("agt_{index:08}")
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use serde_json::Value;

    use super::{Fleet, Snapshot};

    const AMOUNT_MAX: u64 = (1 << 53) - 1;

    fn written() -> Value {
        let fleet = Fleet {
            cards: 500,
            agents: 50,
            customers: 7,
        };
        serde_json::to_value(Snapshot::new(fleet, "acme")).unwrap()
    }

    fn texts<'a>(rows: &'a Value, key: &str) -> Vec<&'a str> {
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row[key].as_str().unwrap())
            .collect()
    }

    #[test]
    fn every_reference_has_its_parent_and_every_key_is_unique() {
        let snapshot = written();
        let customers: HashSet<_> = texts(&snapshot["customers"], "id").into_iter().collect();
        let agents: HashMap<_, _> = texts(&snapshot["agents"], "id")
            .into_iter()
            .zip(texts(&snapshot["agents"], "customerId"))
            .collect();
        assert_eq!((customers.len(), agents.len()), (7, 50));
        assert!(agents.values().all(|customer| customers.contains(customer)));
        for card in snapshot["cards"].as_array().unwrap() {
            let agent = card["agentId"].as_str().unwrap();
            assert_eq!(
                agents[agent], card["customerId"],
                "a card and its agent have one customer"
            );
            assert_eq!(card["connection"], "acme");
        }
        for key in ["id", "issuerToken"] {
            let keys: HashSet<_> = texts(&snapshot["cards"], key).into_iter().collect();
            assert_eq!(keys.len(), 500, "{key}");
        }
    }

    #[test]
    fn has_the_limits_that_the_figures_promise() {
        let snapshot = written();
        let promised = [
            ("cards", ["perAuth", "perDay", "perMonth"].as_slice()),
            ("agents", &["perDay"]),
            ("customers", &["perDay", "perMonth"]),
        ];
        for (level, fields) in promised {
            for row in snapshot[level].as_array().unwrap() {
                let limits = row["policy"]["limits"].as_object().unwrap();
                assert_eq!(limits.len(), fields.len());
                for field in fields {
                    let amount = limits[*field].as_u64().unwrap();
                    assert!(
                        (1..=AMOUNT_MAX).contains(&amount),
                        "{level} {field} {amount}"
                    );
                }
            }
        }
    }
}
