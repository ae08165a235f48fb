//! The whole way of a decision: an issuer's body and a document of policies go in, are decoded,
//! compiled, evaluated, checked against the ledger and recorded, and a reason with its sentence comes
//! out (behaviour 2.10, 2.12), and the issuer's word for it (2.11). One row for each cause, in the
//! order of the reasons. What needs an agent, a human or a risk rule goes through the ledger's
//! commands.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use countersign::cold::explain::{Context, explain};
use countersign::decide::document::{DocumentContext, read_snapshot};
use countersign::domain::amount::Minor;
use countersign::domain::card::Key;
use countersign::domain::currency::Currency;
use countersign::domain::decision::{Decision, DeclineReason as Reason};
use countersign::domain::explanation::{Explanation, RuleField as Field};
use countersign::domain::identity::{KeySpace, Keys};
use countersign::domain::time::Timestamp;
use countersign::fingerprint::Fingerprinter;
use countersign::hot::pipeline::{Arrival, Begun, Connection, Core, Finished, Pipeline, Waited};
use countersign::issuer::Issuer;
use countersign::issuer::delivery::{Presented, Unsigned};
use countersign::issuer::standard_webhooks::Verifier;
use countersign::ledger::command::{
    AgentRef, Attest, Authority, CardRef, DeclareIntent, Route, SetStanding,
};
use countersign::ledger::embedded::frame::{Cursor, JournalId};
use countersign::ledger::embedded::io::Storage;
use countersign::ledger::embedded::journal::{Config, Durability, Journal, Lane};
use countersign::ledger::embedded::recover::examine;
use countersign::ledger::embedded::store::EmbeddedLedger;
use countersign::ledger::event::{Event, Owner, events_of};
use countersign::ledger::intent::IntentTerms;
use countersign::seam::snapshot::CurrentSnapshot;
use serde_json::{Value, json};

use crate::disk::Disk;

#[path = "path/rows.rs"]
mod rows;

use rows::{Row, rows};

/// 25.99 USD at API HOST GMBH in Germany, MCC 7372, a score of 12.
const PURCHASE: &str = include_str!("../../fixtures/lithic/purchase.json");
const TOKEN: &str = "5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142";
/// 2026-11-20T17:30:00Z, a Friday.
const AT: Timestamp = Timestamp::from_secs(1_795_195_800);
const MINUTE_US: i64 = 60_000_000;
const DEADLINE_US: i64 = 300_000;

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

impl Rules {
    fn document(self) -> String {
        let [card, agent, customer] = self.policies;
        let own = self.own.map(|own| {
            if own.is_empty() {
                String::new()
            } else {
                format!(", {own}")
            }
        });
        format!(
            r#"{{"customers": [{{"id": "c", "policy": {{{customer}}} {}}}],
                "agents": [{{"id": "a", "customerId": "c", "policy": {{{agent}}} {}}}],
                "cards": [{{"id": "k", "connection": "acme", "issuerToken": "{TOKEN}",
                    "customerId": "c", "agentId": "a", "createdAt": "2026-11-19T17:30:00Z",
                    "policy": {{{card}}} {}}}]}}"#,
            own[2], own[1], own[0]
        )
    }
}

/// How long the last question takes, and what its answer waits for.
#[derive(Clone, Copy)]
struct Course {
    begun_after_us: i64,
    waited: Waited,
}

const IN_TIME: Course = Course {
    begun_after_us: 100,
    waited: Waited::Durable,
};

/// The real pipeline over a disk in memory.
struct Engine {
    pipeline: Pipeline,
    ledger: Arc<EmbeddedLedger>,
    disk: Disk,
    connection: Connection,
    keys: Fingerprinter,
}

impl Engine {
    fn new(rules: Rules) -> Self {
        let keys = Fingerprinter::new(77);
        let context = DocumentContext {
            file: "path.json",
            connections: &["acme"],
            version: 1,
        };
        let snapshot = read_snapshot(rules.document().as_bytes(), context, &keys).unwrap();
        let id = JournalId(*b"one whole path..");
        let config = Config {
            segment_size: 1 << 20,
            ..Config::new(Durability::Strict)
        };
        let mut journal = Journal::new(config, id, Cursor::GENESIS, Box::new(|| 1));
        let disk = Disk::new();
        while let Some(io) = journal.next_io(Lane::Create) {
            let result = disk.execute(&io);
            journal.complete(io, result);
        }
        let journal = Arc::new(Mutex::new(journal));
        let ledger = Arc::new(EmbeddedLedger::new(Vec::new(), journal));
        let pipeline = Pipeline::new();
        pipeline.arm(Core {
            keys: keys.clone(),
            ledger: Arc::clone(&ledger),
            snapshots: Arc::new(CurrentSnapshot::new(snapshot)),
        });
        let open = Verifier::new(Vec::new(), 300, Unsigned::Accept).unwrap();
        let connection = Connection {
            name: "acme".into(),
            issuer: Issuer::Lithic(open),
            events: None,
            deadline_us: DEADLINE_US,
            index: 0,
        };
        Self {
            pipeline,
            ledger,
            disk,
            connection,
            keys,
        }
    }

    fn ask(&self, body: &str, at: Timestamp, course: Course) -> Finished {
        let arrival = Arrival {
            connection: &self.connection,
            headers: Presented::default(),
            body: body.as_bytes(),
            received: at,
            behind_us: 0,
        };
        let now = at.plus_micros(course.begun_after_us);
        let begun = self.pipeline.begin(&arrival, || now);
        self.write();
        match begun {
            Begun::Decided(finished) => finished,
            Begun::Waiting(waiting) => {
                let (pipeline, connection) = (&self.pipeline, &self.connection);
                let finished = pipeline.finish(connection, &waiting, course.waited, now);
                self.write();
                finished
            }
            Begun::Refused(why) => panic!("{why}"),
            Begun::NotUnderstood(why, _) => panic!("{why}"),
            Begun::Drafted(_) => panic!("nobody shares this log"),
        }
    }

    /// Everything that was appended reaches the disk.
    fn write(&self) {
        let mut journal = self.ledger.journal();
        while let Some(io) = journal.next_io(Lane::Write) {
            let result = self.disk.execute(&io);
            journal.complete(io, result);
        }
    }

    /// What the last record on the disk says of its decision; nothing where it is of none.
    fn explanation(&self) -> Option<Explanation> {
        let mut last = None;
        examine(&self.disk, None, Cursor::GENESIS, |record| {
            let events = events_of(record.payload).map(|event| event.unwrap());
            last = events.fold(None, |_, event| {
                if let Event::Decided(decided) | Event::Conflicted(decided) = event {
                    decided.explanation
                } else {
                    None
                }
            });
        })
        .unwrap();
        last
    }

    fn with_card<T>(&self, act: impl FnOnce(&Route<'_>, CardRef<'_>) -> T) -> T {
        let key = |space, parts: &[&[u8]]| self.keys.key(space, parts);
        let route = Route {
            key: key(KeySpace::Customer, &[b"c"]),
            owner: Owner::Customer("c"),
        };
        let card = CardRef {
            key: key(KeySpace::Card, &[b"acme", TOKEN.as_bytes()]),
            id: "k",
            connection: "acme",
            agent: Some(AgentRef {
                key: key(KeySpace::Agent, &[b"a"]),
                id: "a",
            }),
        };
        act(&route, card)
    }

    /// The agent declares an intent of at most so much, ten minutes ago, to live so long.
    fn declare(&self, cap: i64, minutes: i64) {
        let at = AT.plus_micros(-10 * MINUTE_US);
        let terms = IntentTerms {
            expected: Minor::new(cap).ok(),
            cap: Minor::new(cap).ok(),
            currency: Some(Currency::USD),
            merchant: None,
            mccs: Box::default(),
            expires_at: at.plus_micros(minutes * MINUTE_US),
            awaits_approval: false,
        };
        let declared = self.with_card(|route, card| {
            let command = DeclareIntent {
                card,
                intent: Key(1),
                terms: &terms,
                at,
            };
            self.ledger.declare_intent(route, &command)
        });
        assert!(declared.unwrap().is_some());
        self.write();
    }

    fn attest(&self, minutes_ago: i64) {
        let at = AT.plus_micros(-minutes_ago * MINUTE_US);
        let attested =
            self.with_card(|route, card| self.ledger.attest(route, &Attest { card, at }));
        assert!(attested.unwrap().is_some());
        self.write();
    }

    fn freeze(&self, by: Authority) {
        let frozen = self.with_card(|route, card| {
            let command = SetStanding::Freeze {
                card,
                frozen: true,
                by,
            };
            self.ledger.set_standing(route, &command, AT)
        });
        assert!(frozen.unwrap().is_some());
        self.write();
    }

    /// Asks what the row asks, and what came before.
    fn meet(&self, row: &Row) -> Finished {
        for (nth, (name, change)) in (0_i64..).zip(row.before) {
            let at = AT.plus_micros((nth - 10) * MINUTE_US);
            let finished = self.ask(&purchase(name, *change), at, IN_TIME);
            assert_eq!(finished.decision, Decision::Approve, "{:?}", row.reason);
        }
        (row.prepare)(self);
        self.ask(&purchase("last", row.change), AT, row.course)
    }
}

/// What Lithic is told (behaviour 2.11), by number of the reason.
fn told(reason: Reason) -> &'static str {
    match reason.number() {
        1..=6 => "CARD_PAUSED",
        7 | 16 | 18..=22 | 33 => "SUSPECTED_FRAUD",
        8..=15 | 24 => "UNAUTHORIZED_MERCHANT",
        17 | 23 | 25 | 26 | 30..=32 => "VELOCITY_EXCEEDED",
        _ => "INSUFFICIENT_FUNDS",
    }
}

#[test]
fn every_cause_declines_from_the_document_to_the_sentence_in_order() {
    let mut last = None;
    for row in rows() {
        let engine = Engine::new(row.rules);
        let finished = engine.meet(&row);
        let reason = row.reason;
        assert_eq!(
            finished.decision,
            Decision::Decline(reason),
            "{:?}",
            row.field
        );
        assert!(last <= Some(reason), "{reason:?} is out of order");
        last = Some(reason);
        let recorded = engine.explanation();
        // What was not recorded, or was taken back, is shown by its reason alone.
        let why = recorded.unwrap_or_else(|| Explanation::bare(reason));
        assert_eq!(recorded.is_some(), row.is_recorded(), "{reason:?}");
        assert_eq!(
            (why.reason, why.level, why.field),
            (reason, row.level, row.field)
        );
        let context = Context {
            currency: Currency::USD,
        };
        let explained = explain(&why, context);
        assert_eq!(explained.text, row.sentence, "{reason:?} {:?}", row.field);
        assert_eq!(explained.field, row.field.path());
        let reply: Value = serde_json::from_slice(&finished.reply.body).unwrap();
        assert_eq!(reply["result"], told(reason));
    }
}

#[test]
fn f1_without_the_cause_every_row_is_approved() {
    for row in rows() {
        let engine = Engine::new(Rules::default());
        let finished = engine.meet(&row);
        // What is wrong with the question itself or with its course stays wrong.
        let by_request = row.reason == Reason::CardUnknown
            || row.field == Field::AllowCash
            || row.is_frozen_by_risk()
            || row.reason >= Reason::LedgerUnavailable;
        assert_eq!(
            finished.decision.is_approval(),
            !by_request,
            "{:?} {:?}",
            row.reason,
            row.field
        );
    }
}

/// Whoever adds a reason or a field of a rule adds its row.
#[test]
fn every_reason_and_every_field_has_a_row_of_the_whole_path() {
    let shown: BTreeSet<_> = rows().iter().map(|row| row.reason).collect();
    let missing: Vec<_> = Reason::ALL
        .into_iter()
        .filter(|reason| !shown.contains(reason))
        .collect();
    assert_eq!(missing, [], "reasons without a row");
    let fields: Vec<_> = rows().iter().map(|row| row.field).collect();
    let missing: Vec<_> = Field::ALL
        .into_iter()
        .filter(|field| !fields.contains(field))
        .collect();
    // Nothing declines by what is asked alone but cash, which is the field of a policy; what a customer's
    // fleet may hold is in no document.
    assert_eq!(
        missing,
        [Field::Kind, Field::HeldMax],
        "fields without a row"
    );
}
