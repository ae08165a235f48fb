//! The whole way of a decision: an issuer's body and a document of policies go in, are decoded,
//! compiled, evaluated and checked against the ledger, and a reason with its sentence comes out
//! (behaviour 2.10, 2.12). One row for each cause, in the order of the reasons.

use countersign::cold::explain::{Context, explain};
use countersign::decide::document::{DocumentContext, read_snapshot};
use countersign::decide::evaluate::evaluate;
use countersign::decide::snapshot::Snapshot;
use countersign::domain::card::{Key, Level};
use countersign::domain::currency::Currency;
use countersign::domain::decision::DeclineReason as Reason;
use countersign::domain::explanation::{Explanation, RuleField as Field};
use countersign::domain::identity::{KeySpace, Keys, StepIdentity};
use countersign::domain::time::Timestamp;
use countersign::fingerprint::Fingerprinter;
use countersign::issuer::Issuer;
use countersign::issuer::delivery::{Presented, Unsigned};
use countersign::issuer::standard_webhooks::Verifier;
use countersign::ledger::check::authorize;
use countersign::ledger::command::{AgentRef, Answer, Authorize, CardRef};
use countersign::ledger::event::{Owner, StateNo};
use countersign::ledger::fold::fold;
use countersign::ledger::state::State;
use serde_json::{Value, json};

/// 25.99 USD at API HOST GMBH in Germany, MCC 7372, a score of 12.
const PURCHASE: &str = include_str!("../../fixtures/lithic/purchase.json");
const TOKEN: &str = "5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142";
/// 2026-11-20T17:00:00Z, a Friday.
const AT: Timestamp = Timestamp::from_secs(1_795_194_000);
const MINUTE_US: i64 = 60_000_000;

/// The purchase under another name, with changes.
fn purchase(name: &str, change: fn(&mut Value)) -> String {
    let mut body: Value = serde_json::from_str(PURCHASE).unwrap();
    body["token"] = json!(name);
    change(&mut body);
    body.to_string()
}

fn same(_: &mut Value) {}

fn amount(body: &mut Value, minor: i64) {
    body["amounts"]["cardholder"]["amount"] = json!(minor);
}

/// What stands in the document beside the names.
#[derive(Clone, Copy, Default)]
struct Rules {
    /// Policies of card, agent and customer.
    policies: [&'static str; 3],
    /// Fields of card, agent and customer themselves.
    own: [&'static str; 3],
}

struct Engine {
    snapshot: Snapshot,
    keys: Fingerprinter,
    state: State,
    position: u64,
}

impl Engine {
    fn new(rules: Rules) -> Self {
        let [card, agent, customer] = rules.policies;
        let own = rules.own.map(|own| {
            if own.is_empty() {
                String::new()
            } else {
                format!(", {own}")
            }
        });
        let document = format!(
            r#"{{"customers": [{{"id": "c", "policy": {{{customer}}} {}}}],
                "agents": [{{"id": "a", "customerId": "c", "policy": {{{agent}}} {}}}],
                "cards": [{{"id": "k", "connection": "acme", "issuerToken": "{TOKEN}",
                    "customerId": "c", "agentId": "a", "createdAt": "2026-11-20T12:00:00Z",
                    "policy": {{{card}}} {}}}]}}"#,
            own[2], own[1], own[0]
        );
        let keys = Fingerprinter::new(77);
        let context = DocumentContext {
            file: "path.json",
            connections: &["acme"],
            version: 1,
        };
        Self {
            snapshot: read_snapshot(document.as_bytes(), context, &keys).unwrap(),
            state: State::new(StateNo(0), Key(9), Owner::Customer("c")),
            position: 0,
            keys,
        }
    }

    /// As the hot path does it, without the journal's waiting.
    fn ask(&mut self, body: &str, at: Timestamp) -> Answer {
        let open = Verifier::new(Vec::new(), 300, Unsigned::Accept).unwrap();
        let issuer = Issuer::Lithic(open);
        let verified = issuer.verify(&Presented::default(), body.as_bytes(), at);
        let verified = verified.unwrap();
        let request = issuer.decode(&verified).unwrap().request;
        let parts = |name: &str| [b"acme".to_vec(), name.as_bytes().to_vec()];
        let key = |space, name: &str| {
            let [connection, name] = parts(name);
            self.keys.key(space, &[&connection, &name])
        };
        let card = self.snapshot.card(key(KeySpace::Card, &request.card_token));
        let proposal = card.map(|card| evaluate(&card, &request, at, &self.keys));
        let agent = |card: &countersign::decide::snapshot::CardView<'_>| {
            let agent = self.snapshot.agent_by_id(card.agent?.id())?;
            Some((agent.key(), "a"))
        };
        let card_ref = card.map(|card| CardRef {
            key: card.card.key(),
            id: "k",
            connection: "acme",
            agent: agent(&card).map(|(key, id)| AgentRef { key, id }),
        });
        let command = Authorize {
            at,
            step: StepIdentity {
                authorization: key(KeySpace::Authorization, &request.authorization),
                name: None,
                delivery: None,
                content: self.keys.short(KeySpace::Content, &[body.as_bytes()]),
            },
            authorization: &request.authorization,
            kind: request.kind,
            amount: request.amount,
            card: card_ref,
            card_token: &request.card_token,
            acceptor: &request.acceptor,
            proposal: proposal.as_ref(),
            snapshot_version: 1,
            latency_us: 0,
        };
        let checked = authorize(&self.state, &command).unwrap();
        self.position += 1;
        for event in checked.events.iter() {
            fold(&mut self.state, event, self.position);
        }
        checked.answer
    }
}

/// A question before the last one, which is approved: its authorization, and how it differs.
type Before = (&'static str, fn(&mut Value));

struct Row {
    reason: Reason,
    level: Option<Level>,
    field: Field,
    rules: Rules,
    before: &'static [Before],
    change: fn(&mut Value),
}

/// A row of one policy at one level.
fn ruled(reason: Reason, level: Level, field: Field, policy: &'static str) -> Row {
    let mut rules = Rules::default();
    rules.policies[level as usize] = policy;
    Row {
        reason,
        level: Some(level),
        field,
        rules,
        before: &[],
        change: same,
    }
}

/// A row of a field of card, agent or customer itself.
fn own(reason: Reason, level: Level, field: Field, own: &'static str) -> Row {
    let mut row = ruled(reason, level, field, "");
    row.rules.own[level as usize] = own;
    row
}

const ONE: &[Before] = &[("first", same)];

impl Row {
    fn after(self, before: &'static [Before]) -> Self {
        Self { before, ..self }
    }

    fn with(self, change: fn(&mut Value)) -> Self {
        Self { change, ..self }
    }
}

/// Reasons that a first question meets.
#[expect(clippy::too_many_lines, reason = "a table")]
fn rows_of_rules() -> Vec<Row> {
    use Level::{Agent, Card, Customer};
    let unknown = Row {
        level: None,
        ..ruled(Reason::CardUnknown, Card, Field::IssuerToken, "")
    };
    let cash = Row {
        level: None,
        ..ruled(
            Reason::TransactionTypeNotAllowed,
            Card,
            Field::AllowCash,
            "",
        )
    };
    vec![
        unknown.with(|body| body["card"]["token"] = json!("another")),
        own(
            Reason::CardCanceled,
            Card,
            Field::Status,
            r#""status": "canceled""#,
        ),
        own(
            Reason::CardLocked,
            Card,
            Field::Status,
            r#""status": "locked""#,
        ),
        own(
            Reason::AgentSuspended,
            Agent,
            Field::Status,
            r#""status": "paused""#,
        ),
        own(
            Reason::CustomerSuspended,
            Customer,
            Field::Status,
            r#""status": "suspended""#,
        ),
        own(
            Reason::CardFrozenByRisk,
            Card,
            Field::Frozen,
            r#""frozen": true"#,
        ),
        own(
            Reason::CurrencyNotSupported,
            Customer,
            Field::Currency,
            r#""currency": "EUR""#,
        ),
        cash.with(|body| body["cash_amount"] = json!(500)),
        ruled(
            Reason::TransactionTypeNotAllowed,
            Agent,
            Field::AllowCash,
            r#""allowCash": false"#,
        )
        .with(|body| body["merchant"]["mcc"] = json!("6011")),
        ruled(
            Reason::CountryNotAllowed,
            Card,
            Field::BlockedCountries,
            r#""blockedCountries": ["DE"]"#,
        ),
        ruled(
            Reason::CountryNotAllowed,
            Customer,
            Field::AllowedCountries,
            r#""allowedCountries": ["US"]"#,
        ),
        ruled(
            Reason::MccBlocked,
            Agent,
            Field::BlockedMccs,
            r#""blockedMccs": ["7300-7399"]"#,
        ),
        ruled(
            Reason::MccNotAllowed,
            Card,
            Field::AllowedMccs,
            r#""allowedMccs": ["5812"]"#,
        ),
        ruled(
            Reason::MerchantBlocked,
            Customer,
            Field::BlockedMerchants,
            r#""blockedMerchants": ["Host"]"#,
        ),
        ruled(
            Reason::MerchantNotAllowed,
            Card,
            Field::AllowedMerchants,
            r#""allowedMerchants": ["Host", {"acceptorId": "ACC000000000002"}]"#,
        ),
        ruled(
            Reason::RiskScoreTooHigh,
            Agent,
            Field::MaxRiskScore,
            r#""maxRiskScore": 11"#,
        ),
        ruled(
            Reason::RiskScoreTooHigh,
            Card,
            Field::RequireRiskScore,
            r#""requireRiskScore": true"#,
        )
        .with(|body| body["network_risk_score"] = Value::Null),
        ruled(
            Reason::AmountOverPerAuth,
            Customer,
            Field::PerAuth,
            r#""limits": {"perAuth": 2598}"#,
        ),
    ]
}

/// Reasons that depend on what the ledger has booked before.
fn rows_of_ledger() -> Vec<Row> {
    use Level::{Agent, Card, Customer};
    let caps = r#""limits": {"perAuth": 5000}"#;
    let locks = r#""lockToFirstMerchant": true"#;
    let other_merchant = |body: &mut Value| {
        body["merchant"]["acceptor_id"] = json!("ACC000000000002");
        body["merchant"]["descriptor"] = json!("OTHER HOST");
    };
    let day = r#""limits": {"perDay": 5000}"#;
    let week = r#""limits": {"perWeek": 5197}"#;
    let month = r#""limits": {"perMonth": 5197}"#;
    let total = r#""limits": {"total": 2599}"#;
    vec![
        ruled(Reason::AmountOverPerAuth, Agent, Field::PerAuth, caps)
            .after(&[("last", same)])
            .with(|body| amount(body, 2_402)),
        own(
            Reason::SingleUseConsumed,
            Card,
            Field::Usage,
            r#""usage": "single""#,
        )
        .after(ONE),
        Row {
            level: Some(Customer),
            ..ruled(
                Reason::MerchantLockMismatch,
                Customer,
                Field::MerchantLock,
                locks,
            )
        }
        .after(ONE)
        .with(other_merchant),
        ruled(Reason::CardLimitExceeded, Card, Field::PerDay, day).after(ONE),
        ruled(Reason::CardLimitExceeded, Card, Field::Total, total)
            .after(ONE)
            .with(|body| amount(body, 1)),
        ruled(Reason::AgentLimitExceeded, Agent, Field::PerWeek, week).after(ONE),
        ruled(
            Reason::CustomerLimitExceeded,
            Customer,
            Field::PerMonth,
            month,
        )
        .after(ONE),
    ]
}

fn decline(row: &Row) -> Explanation {
    let mut engine = Engine::new(row.rules);
    for (at, (name, change)) in (0_i64..).zip(row.before) {
        let at = AT.plus_micros((at - 10) * MINUTE_US);
        let answer = engine.ask(&purchase(name, *change), at);
        assert!(
            answer.decision.is_approval(),
            "{:?}: {answer:?}",
            row.reason
        );
    }
    let answer = engine.ask(&purchase("last", row.change), AT);
    assert!(
        !answer.decision.is_approval(),
        "{:?} {:?}",
        row.reason,
        row.field
    );
    answer.explanation.unwrap()
}

#[test]
fn every_cause_declines_from_the_document_to_the_sentence_in_order() {
    let mut last = None;
    for row in rows_of_rules().iter().chain(&rows_of_ledger()) {
        let why = decline(row);
        let found = (why.reason, why.level, why.field);
        assert_eq!(found, (row.reason, row.level, row.field));
        assert!(last <= Some(row.reason), "{:?} is out of order", row.reason);
        last = Some(row.reason);
        let context = Context {
            currency: Currency::USD,
        };
        let explained = explain(&why, context);
        assert!(explained.text.ends_with('.'), "{}", explained.text);
        assert_eq!(explained.field, row.field.path());
    }
}

#[test]
fn f1_without_the_cause_every_row_is_approved() {
    for row in rows_of_rules().iter().chain(&rows_of_ledger()) {
        let mut engine = Engine::new(Rules::default());
        for (name, change) in row.before {
            assert!(
                engine
                    .ask(&purchase(name, *change), AT)
                    .decision
                    .is_approval()
            );
        }
        let answer = engine.ask(&purchase("last", row.change), AT);
        // What is wrong with the question itself stays wrong.
        let by_request = row.level.is_none() || row.field == Field::AllowCash;
        assert_eq!(
            answer.decision.is_approval(),
            !by_request,
            "{:?}",
            row.reason
        );
    }
}
