//! Deliveries through the whole pipeline, from raw bytes to the reply, on one ledger in memory.
//!
//! Whatever comes: no panic; a reply in the issuer's words; refused only where the signature is wrong;
//! never an approval of what the oracle does not understand, nor above a limit; and the journal says
//! what the memory says.
//!
//! Input: deliveries. Each is a kind, how it ends, the time since the one before, and then a raw body
//! as a piece, an index of an earlier one, or the fields of a plain purchase.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use countersign::decide::document::{DocumentContext, read_snapshot};
use countersign::decide::snapshot::Snapshot;
use countersign::domain::decision::Decision;
use countersign::domain::time::Timestamp;
use countersign::domain::window::WindowKind;
use countersign::fingerprint::Fingerprinter;
use countersign::hot::pipeline::{Arrival, Begun, Connection, Core, Pipeline, Waited};
use countersign::issuer::delivery::{Header, Presented, Unsigned};
use countersign::issuer::standard_webhooks::{Secret, SignedHeaders, Verifier, sign};
use countersign::issuer::{Issuer, Reply};
use countersign::ledger::embedded::frame::{Cursor, JournalId};
use countersign::ledger::embedded::journal::{Config, Durability, Journal};
use countersign::ledger::embedded::rebuild::Rebuild;
use countersign::ledger::embedded::recover::examine;
use countersign::ledger::embedded::store::EmbeddedLedger;
use countersign::ledger::image;
use countersign::ledger::state::State;
use countersign::seam::snapshot::CurrentSnapshot;

use super::input::Input;
use super::medium::Medium;
use super::reading::reading;

const DELIVERIES_MAX: usize = 24;
const BEGIN_S: i64 = 1_795_194_000;
const DEADLINE_US: i64 = 300_000;
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The limits of every card and of the customer, in minor units.
const CARD_TOTAL: i64 = 900;
const CUSTOMER_DAY: i64 = 1_500;
const PER_AUTH: i64 = 400;

/// Cards c0 to c4: plain, single use, locked to a merchant, with lists, of an agent.
const DOCUMENT: &str = r#"{"schema": 1,
  "customers": [{"id": "cus", "timezone": "America/New_York", "policy": {"limits": {"perDay": 1500, "perAuth": 400}}}],
  "agents": [{"id": "agt", "customerId": "cus", "policy": {"limits": {"perWeek": 1200}}}],
  "cards": [
    {"id": "c0", "connection": "acme", "issuerToken": "c0", "customerId": "cus", "policy": {"limits": {"total": 900}}},
    {"id": "c1", "connection": "acme", "issuerToken": "c1", "customerId": "cus", "usage": "single", "policy": {"limits": {"total": 900}}},
    {"id": "c2", "connection": "acme", "issuerToken": "c2", "customerId": "cus", "policy": {"limits": {"total": 900}, "lockToFirstMerchant": true}},
    {"id": "c3", "connection": "acme", "issuerToken": "c3", "customerId": "cus", "policy": {"limits": {"total": 900}, "allowedMccs": ["5812"], "blockedMccs": ["7995"]}},
    {"id": "c4", "connection": "acme", "issuerToken": "c4", "customerId": "cus", "agentId": "agt", "policy": {"limits": {"total": 900}}}
  ]}"#;

/// Made once: only the ledger differs from input to input.
struct World {
    snapshot: Snapshot,
    keys: Fingerprinter,
    open: Connection,
    closed: Connection,
    secret: Secret,
}

thread_local! {
    static WORLD: OnceCell<World> = const { OnceCell::new() };
}

impl World {
    fn new() -> Self {
        let keys = Fingerprinter::new(1);
        let context = DocumentContext {
            file: "snapshot.json",
            connections: &["acme"],
            version: 7,
        };
        let connection = |secrets, unsigned| Connection {
            name: "acme".into(),
            issuer: Issuer::Lithic(Verifier::new(secrets, 300, unsigned).unwrap()),
            events: None,
            deadline_us: DEADLINE_US,
            index: 0,
        };
        let secret = Secret::from_text(SECRET.to_owned()).unwrap();
        Self {
            snapshot: read_snapshot(DOCUMENT.as_bytes(), context, &keys).unwrap(),
            keys,
            open: connection(vec![], Unsigned::Accept),
            closed: connection(vec![secret.clone()], Unsigned::Refuse),
            secret,
        }
    }
}

pub(crate) fn run(bytes: &[u8]) {
    WORLD.with(|world| deliver_all(world.get_or_init(World::new), &mut Input::new(bytes)));
}

fn deliver_all(world: &World, input: &mut Input<'_>) {
    let mut shop = Shop::new(world);
    for _ in 0..DELIVERIES_MAX {
        if input.is_empty() {
            break;
        }
        shop.deliver(input);
        shop.medium.settle(&mut shop.ledger.journal());
        shop.ledger.each_state(check_limits);
    }
    shop.check_journal();
}

struct Shop<'w> {
    world: &'w World,
    pipeline: Pipeline,
    ledger: Arc<EmbeddedLedger>,
    medium: Medium,
    now: Timestamp,
    sent: Vec<Vec<u8>>,
}

impl<'w> Shop<'w> {
    fn new(world: &'w World) -> Self {
        let config = Config {
            segment_size: 32 << 10,
            release_size: 256,
            ..Config::new(Durability::Strict)
        };
        let id = JournalId(*b"a journal's name");
        let journal = Journal::new(config, id, Cursor::GENESIS, Box::new(|| 5));
        let medium = Medium::default();
        let ledger = EmbeddedLedger::new(Vec::new(), Arc::new(Mutex::new(journal)));
        medium.settle(&mut ledger.journal());
        let ledger = Arc::new(ledger);
        let pipeline = Pipeline::new();
        pipeline.arm(Core {
            keys: world.keys.clone(),
            ledger: Arc::clone(&ledger),
            snapshots: Arc::new(CurrentSnapshot::new(world.snapshot.clone())),
        });
        Self {
            world,
            pipeline,
            ledger,
            medium,
            now: Timestamp::from_secs(BEGIN_S),
            sent: Vec::new(),
        }
    }

    fn deliver(&mut self, input: &mut Input<'_>) {
        let (kind, end) = (input.byte(), input.byte());
        // From nothing to half a day.
        self.now = self
            .now
            .plus_micros(i64::from(input.byte()).pow(2) * 700_000);
        let body = match kind & 3 {
            0 => input.long_piece().to_vec(),
            1 if !self.sent.is_empty() => self.sent[input.index(self.sent.len())].clone(),
            _ => purchase(input),
        };
        let delivery = format!("msg_{}", input.byte());
        let signed = sign(&self.world.secret, &delivery, self.now, &body);
        self.answer(kind, end, &signed, &body);
        self.sent.push(body);
    }

    fn answer(&self, kind: u8, end: u8, signed: &SignedHeaders, body: &[u8]) {
        let forged = kind & 8 != 0;
        let received = signed.received();
        let signed = |name: &str| match name {
            "webhook-id" => received.id,
            "webhook-timestamp" if forged => Some(b"1795194001".as_slice()),
            "webhook-timestamp" => received.timestamp,
            _ => received.signature,
        };
        let connection = if kind & 4 == 0 {
            &self.world.open
        } else {
            &self.world.closed
        };
        let headers = if kind & 4 == 0 {
            Presented::default()
        } else {
            let find = |name: &str| signed(name).map_or(Header::Absent, Header::Once);
            connection.issuer.present(find)
        };
        let arrival = Arrival {
            connection,
            headers,
            body,
            received: self.now,
            behind_us: 0,
        };
        // Seldom it has waited for long before anybody looked.
        let waited_us = if end & 7 == 7 { DEADLINE_US + 1 } else { 40 };
        let understood = str::from_utf8(body).ok().and_then(reading);
        match self
            .pipeline
            .begin(&arrival, || self.now.plus_micros(waited_us))
        {
            Begun::Drafted(_) => panic!("nobody shares this log"),
            Begun::Refused(_) => {
                assert!(
                    connection.name.as_ref() == "acme" && kind & 12 == 12,
                    "refused"
                );
            }
            Begun::NotUnderstood(_, reply) => {
                assert_eq!(reply.status, 400);
                assert!(matches!(understood, None | Some(None)), "not understood");
            }
            Begun::Decided(finished) => {
                assert!(!finished.decision.is_approval());
                check_reply(&finished.reply, finished.decision);
                // What comes too late is declined unread.
                assert!(understood != Some(None) || waited_us > DEADLINE_US);
            }
            Begun::Waiting(waiting) => {
                assert_ne!(understood, Some(None));
                let (waited, late) = match end >> 3 & 3 {
                    0 | 1 => (Waited::Durable, 0),
                    2 => (Waited::Durable, DEADLINE_US + 1),
                    _ => (Waited::TimedOut, DEADLINE_US + 1),
                };
                self.medium.settle(&mut self.ledger.journal());
                let at = self.now.plus_micros(waited_us + late);
                let finished = self.pipeline.finish(connection, &waiting, waited, at);
                check_reply(&finished.reply, finished.decision);
                assert!(late == 0 || !finished.decision.is_approval(), "late");
            }
        }
    }

    /// What the journal holds comes to what the memory holds.
    fn check_journal(&self) {
        let mut rebuild = Rebuild::new();
        examine(&self.medium, None, Cursor::GENESIS, |record| {
            rebuild.take(record.sequence, record.payload);
        })
        .expect("nothing is damaged");
        let recovered = rebuild.finish().expect("our own records");
        let by_number = |state: &State| (state.no, image::encode(state));
        let recovered: BTreeMap<_, _> = recovered.iter().map(by_number).collect();
        let mut held = BTreeMap::new();
        self.ledger
            .each_state(|state| held.extend([by_number(state)]));
        assert!(held == recovered, "memory and journal differ");
    }
}

fn check_limits(state: &State) {
    let spent = |kind| state.counters.window(kind, state.day).spent.get();
    assert!(spent(WindowKind::Day) <= CUSTOMER_DAY);
    for card in state.cards() {
        assert!(card.counters.total().spent.get() <= CARD_TOTAL);
        let holds = state
            .card_by_key(card.key)
            .map(|(no, _)| state.holds_of(no));
        for hold in holds.unwrap_or_default() {
            assert!(hold.reserved().get() <= PER_AUTH);
            assert!(card.id.as_ref() != "c1" || card.consumed.is_some());
        }
    }
}

fn check_reply(reply: &Reply, decision: Decision) {
    assert_eq!(reply.status, 200);
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let result = body["result"].as_str().unwrap();
    assert_eq!(result == "APPROVED", decision.is_approval(), "{result}");
}

/// A plain purchase: card, amount, authorization, step, status, merchant.
fn purchase(input: &mut Input<'_>) -> Vec<u8> {
    let (card, amount) = (input.byte() % 6, input.word() % 1_024);
    let (authorization, step) = (input.byte() % 16, input.byte() % 4);
    let status = [
        "AUTHORIZATION",
        "FINANCIAL_AUTHORIZATION",
        "CREDIT_AUTHORIZATION",
        "BALANCE_INQUIRY",
    ];
    let status = status[usize::from(input.byte().saturating_sub(200) / 16 % 4)];
    let amount = if status == "BALANCE_INQUIRY" {
        0
    } else {
        amount
    };
    let merchant = input.byte();
    let mcc = [5_812, 7_995, 6_011, 5_542][usize::from(merchant >> 6)];
    let step = match step {
        0 => String::new(),
        step => format!(r#""event_token":"s{step}","#),
    };
    format!(
        r#"{{"token":"a{authorization}",{step}"status":"{status}","amount":{amount},"cardholder_currency":"USD","card":{{"token":"c{card}"}},"merchant":{{"acceptor_id":"m{}","acquiring_institution_id":"q","descriptor":"SHOP","mcc":"{mcc}","country":"USA"}}}}"#,
        merchant & 3
    )
    .into_bytes()
}
