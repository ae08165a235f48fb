//! Small worlds: a customer or two, few agents, few cards, tight limits. What the owner wrote, as
//! plain values, and as the document that the engine reads.

use countersign::domain::card::{AgentStatus, CardStatus};

use crate::disk::Chance;
use crate::past_rules::{Habits, PastRules};

/// The connection's name.
pub(crate) const CONNECTION: &str = "acme";

/// Zones with a fixed offset, in seconds, so that the calendar here stays a division.
pub(crate) const ZONES: [(&str, i64); 4] = [
    ("UTC", 0),
    ("Asia/Kathmandu", 20_700),
    ("Pacific/Kiritimati", 50_400),
    ("Pacific/Pago_Pago", -39_600),
];

/// A merchant as networks carry it.
pub(crate) struct Merchant {
    pub(crate) acquirer: &'static str,
    pub(crate) acceptor: &'static str,
    pub(crate) descriptor: &'static str,
    pub(crate) mcc: u16,
}

const fn merchant(
    acquirer: &'static str,
    acceptor: &'static str,
    descriptor: &'static str,
    mcc: u16,
) -> Merchant {
    Merchant {
        acquirer,
        acceptor,
        descriptor,
        mcc,
    }
}

/// 0 and 2 are one merchant under two names; 3 and 4 are two shops behind one aggregator.
pub(crate) const MERCHANTS: [Merchant; 5] = [
    merchant("400001", "CUMULUS00000001", "CUMULUS HOSTING", 5734),
    merchant("400001", "NIMBUS000000001", "NIMBUS BOOKS", 7011),
    merchant("400001", "CUMULUS00000001", "CUMULUS SUPPORT", 5734),
    merchant("400002", "AGGREGATOR00001", "SQ *ALPHA", 5812),
    merchant("400002", "AGGREGATOR00001", "SQ *BETA", 5812),
];

/// Whether a lock on one merchant lets the other pass.
pub(crate) fn is_same_merchant(one: usize, other: usize) -> bool {
    one == other || [one, other] == [0, 2] || [one, other] == [2, 0]
}

/// Whether a lock that the owner set on a merchant's ids lets another pass: ids are all it compares.
pub(crate) fn has_same_ids(one: usize, other: usize) -> bool {
    let [one, other] = [one, other].map(|at| &MERCHANTS[at]);
    (one.acquirer, one.acceptor) == (other.acquirer, other.acceptor)
}

/// What a policy says. Amounts in minor units.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) per_auth: Option<i64>,
    /// By day, week, month, and for ever.
    pub(crate) sums: [Option<i64>; 4],
    /// Whether day, week and month are trailing spans.
    pub(crate) rolling: [bool; 3],
    pub(crate) lock_to_first: Option<bool>,
    pub(crate) allowed: Vec<u16>,
    pub(crate) blocked: Vec<u16>,
    pub(crate) past: PastRules,
}

#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) suspended: bool,
    pub(crate) zone: usize,
    pub(crate) overrides: bool,
    pub(crate) rules: Rules,
}

#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) customer: usize,
    pub(crate) status: AgentStatus,
    pub(crate) rules: Rules,
}

#[derive(Clone, Debug)]
pub(crate) struct Card {
    pub(crate) customer: usize,
    pub(crate) agent: Option<usize>,
    pub(crate) single_use: bool,
    pub(crate) status: CardStatus,
    pub(crate) frozen: bool,
    pub(crate) preset: Option<usize>,
    /// Whether the document names it.
    pub(crate) present: bool,
    pub(crate) rules: Rules,
}

/// What the document says, at one version.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) customers: Vec<Customer>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) cards: Vec<Card>,
    pub(crate) habits: Habits,
}

/// How a document differs from what the owner wrote; all but `Plain` are planted bugs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Twist {
    Plain,
    /// Every limit one minor unit higher.
    Raised,
    /// Every limit one minor unit lower.
    Lowered,
    /// No limit at all.
    Unlimited,
    /// Trailing spans are calendar windows.
    ByCalendar,
    /// One approval more under every count.
    CountsRaised,
    /// Cooldowns end a minute early.
    CooldownShort,
    /// Attestations stay fresh a minute longer.
    AttestationLong,
    /// No human is asked about intents.
    NobodyAsked,
    /// Parts are approved wherever nobody has forbidden it.
    PartUnasked,
}

impl Twist {
    fn of(self, limit: i64) -> Option<i64> {
        let by = i64::from(self == Self::Raised) - i64::from(self == Self::Lowered);
        (self != Self::Unlimited).then(|| (limit + by).max(0))
    }

    pub(crate) fn of_count(self, count: u32) -> Option<u32> {
        let more = u32::from(self == Self::CountsRaised);
        (self != Self::Unlimited).then_some(count + more)
    }
}

pub(crate) fn customer_id(at: usize) -> String {
    format!("cus_{at}")
}

pub(crate) fn agent_id(at: usize) -> String {
    format!("agt_{at}")
}

pub(crate) fn card_id(at: usize) -> String {
    format!("card_{at}")
}

pub(crate) fn card_token(at: usize) -> String {
    format!("tok_{at}")
}

impl Rules {
    fn random(chance: &mut Chance, scale: i64, habits: Habits) -> Self {
        let mut rules = Self::default();
        if chance.one_in(4) {
            rules.per_auth = Some(40 + amount(chance, scale));
        }
        for (at, sum) in rules.sums.iter_mut().enumerate() {
            if chance.one_in([3, 4, 5, 6][at]) {
                let share = i64::try_from(at).unwrap() + 2;
                *sum = Some(amount(chance, scale * share));
            }
        }
        rules.rolling = [chance.one_in(3), chance.one_in(3), chance.one_in(3)];
        rules.lock_to_first = [None, None, None, None, Some(true), Some(false)][chance.index(6)];
        if chance.one_in(8) {
            rules.allowed = vec![5734, 7011];
        }
        if chance.one_in(8) {
            rules.blocked = vec![5812];
        }
        rules.past = PastRules::random(chance, scale, habits);
        rules
    }

    fn render(&self, twist: Twist) -> String {
        let windows = ["perDay", "perWeek", "perMonth", "total"];
        let mut limits = Vec::new();
        for (at, (name, limit)) in windows.iter().zip(self.sums).enumerate() {
            let Some(limit) = limit.and_then(|limit| twist.of(limit)) else {
                continue;
            };
            let rolls = self.rolling.get(at) == Some(&true) && twist != Twist::ByCalendar;
            limits.push(if rolls {
                format!(r#""{name}":{{"amount":{limit},"window":"rolling"}}"#)
            } else {
                format!(r#""{name}":{limit}"#)
            });
        }
        let per_auth = self.per_auth.and_then(|limit| twist.of(limit));
        limits.extend(per_auth.map(|limit| format!(r#""perAuth":{limit}"#)));
        limits.extend(self.past.counts(twist));
        let list = |codes: &[u16]| {
            let codes: Vec<String> = codes.iter().map(|code| format!(r#""{code}""#)).collect();
            codes.join(",")
        };
        let lock = self
            .lock_to_first
            .map(|word| format!(r#","lockToFirstMerchant":{word}"#))
            .unwrap_or_default();
        format!(
            r#"{{"limits":{{{}}},"allowedMccs":[{}],"blockedMccs":[{}]{lock}{}}}"#,
            limits.join(","),
            list(&self.allowed),
            list(&self.blocked),
            self.past.render(twist)
        )
    }

    fn change(&mut self, chance: &mut Chance, scale: i64, habits: Habits) {
        match chance.below(12) {
            0..4 => {
                let at = chance.index(4);
                self.sums[at] = match self.sums[at] {
                    Some(limit) if chance.one_in(3) => Some(limit / 2),
                    _ if chance.one_in(3) => None,
                    _ => Some(amount(chance, scale * 8)),
                };
            }
            4 => self.per_auth = chance.one_in(3).then(|| 20 + amount(chance, scale)),
            5 => self.lock_to_first = [None, Some(true), Some(false)][chance.index(3)],
            6 => self.allowed = if chance.one_in(2) { vec![5734] } else { vec![] },
            7 => self.blocked = if chance.one_in(3) { vec![7011] } else { vec![] },
            8 => {
                let at = chance.index(3);
                self.rolling[at] = !self.rolling[at];
            }
            _ => self.past.change(chance, scale, habits),
        }
    }
}

/// The first customer's refunds restore the budget.
fn restoring(policy: &str, restores: bool) -> String {
    let rest = policy.strip_prefix('{').unwrap();
    format!(r#"{{"refundsRestore":{restores},{rest}"#)
}

pub(crate) fn amount(chance: &mut Chance, up_to: i64) -> i64 {
    let bound = u64::try_from(up_to).unwrap();
    i64::try_from(10 + chance.below(bound)).unwrap()
}

impl World {
    pub(crate) fn random(chance: &mut Chance) -> Self {
        let habits = Habits::random(chance);
        let customers: Vec<Customer> = (0..1 + chance.index(2))
            .map(|_| Customer {
                suspended: false,
                zone: chance.index(ZONES.len()),
                overrides: chance.one_in(5),
                rules: Rules::random(chance, 400, habits),
            })
            .collect();
        let agents: Vec<Agent> = (0..1 + chance.index(3))
            .map(|_| Agent {
                customer: chance.index(customers.len()),
                status: AgentStatus::Active,
                rules: Rules::random(chance, 200, habits),
            })
            .collect();
        let cards = (0..2 + chance.index(4))
            .map(|_| {
                let customer = chance.index(customers.len());
                let agent = chance.index(agents.len());
                let agent =
                    (agents[agent].customer == customer && !chance.one_in(4)).then_some(agent);
                Card {
                    customer,
                    agent,
                    single_use: chance.one_in(4),
                    status: CardStatus::Active,
                    frozen: false,
                    preset: chance.one_in(8).then(|| chance.index(MERCHANTS.len())),
                    present: !chance.one_in(12),
                    rules: Rules::random(chance, 150, habits),
                }
            })
            .collect();
        Self {
            customers,
            agents,
            cards,
            habits,
        }
    }

    /// One edit by the owner, as any reload may bring it.
    pub(crate) fn change(&mut self, chance: &mut Chance) -> &'static str {
        let customer = chance.index(self.customers.len());
        let agent = chance.index(self.agents.len());
        let card = chance.index(self.cards.len());
        let habits = self.habits;
        let (customer, agent, card) = (
            &mut self.customers[customer],
            &mut self.agents[agent],
            &mut self.cards[card],
        );
        match chance.below(12) {
            0 | 1 => {
                customer.rules.change(chance, 400, habits);
                "reload: customer's rules"
            }
            2 | 3 => {
                agent.rules.change(chance, 200, habits);
                "reload: agent's rules"
            }
            4 | 5 => {
                card.rules.change(chance, 150, habits);
                "reload: card's rules"
            }
            6 | 7 => {
                card.present = !card.present || !chance.one_in(5);
                "reload: card added or removed"
            }
            8 => {
                let locks = card.status == CardStatus::Active && chance.one_in(6);
                card.status = if locks {
                    CardStatus::Locked
                } else {
                    CardStatus::Active
                };
                "reload: card's status"
            }
            9 => {
                card.frozen = !card.frozen && chance.one_in(6);
                "reload: card's freeze"
            }
            10 => {
                customer.suspended = !customer.suspended && chance.one_in(8);
                let pauses = agent.status == AgentStatus::Active && chance.one_in(8);
                agent.status = if pauses {
                    AgentStatus::Disabled
                } else {
                    AgentStatus::Active
                };
                "reload: status of customer and agent"
            }
            _ => {
                customer.zone = chance.index(ZONES.len());
                "reload: customer's zone"
            }
        }
    }

    /// The document.
    pub(crate) fn render(&self, twist: Twist) -> String {
        let customers: Vec<String> = self
            .customers
            .iter()
            .enumerate()
            .map(|(at, it)| {
                format!(
                    r#"{{"id":"{}","status":"{}","timezone":"{}","cascade":"{}","policy":{}}}"#,
                    customer_id(at),
                    if it.suspended { "suspended" } else { "active" },
                    ZONES[it.zone].0,
                    if it.overrides { "override" } else { "tighten" },
                    restoring(&it.rules.render(twist), at == 0),
                )
            })
            .collect();
        let agents: Vec<String> = self
            .agents
            .iter()
            .enumerate()
            .map(|(at, it)| {
                format!(
                    r#"{{"id":"{}","customerId":"{}","status":"{}","policy":{}}}"#,
                    agent_id(at),
                    customer_id(it.customer),
                    it.status.name(),
                    it.rules.render(twist),
                )
            })
            .collect();
        let cards: Vec<String> = self
            .cards
            .iter()
            .enumerate()
            .filter(|(_, it)| it.present)
            .map(|(at, it)| it.render(at, twist))
            .collect();
        format!(
            r#"{{"schema":1,"customers":[{}],"agents":[{}],"cards":[{}]}}"#,
            customers.join(","),
            agents.join(","),
            cards.join(",")
        )
    }
}

impl Card {
    fn render(&self, at: usize, twist: Twist) -> String {
        let agent = self
            .agent
            .map(|agent| format!(r#","agentId":"{}""#, agent_id(agent)))
            .unwrap_or_default();
        let preset = self
            .preset
            .map(|merchant| {
                let Merchant {
                    acquirer, acceptor, ..
                } = MERCHANTS[merchant];
                format!(
                    r#","merchantLock":{{"acquirerId":"{acquirer}","acceptorId":"{acceptor}"}}"#
                )
            })
            .unwrap_or_default();
        format!(
            r#"{{"id":"{}","connection":"{CONNECTION}","issuerToken":"{}","customerId":"{}"{agent}{preset},"usage":"{}","status":"{}","frozen":{},"policy":{}}}"#,
            card_id(at),
            card_token(at),
            customer_id(self.customer),
            if self.single_use { "single" } else { "multi" },
            self.status.name(),
            self.frozen,
            self.rules.render(twist),
        )
    }
}
