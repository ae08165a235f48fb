//! A real journal in a directory, written through the ledger by commands made here.

use std::borrow::Cow;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use countersign::cold::records::{Begin, Records};
use countersign::decide::document::{DocumentContext, read_snapshot};
use countersign::decide::evaluate::evaluate;
use countersign::decide::snapshot::Snapshot;
use countersign::domain::acceptor::{CardAcceptor, Country};
use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::card::Key;
use countersign::domain::currency::Currency;
use countersign::domain::identity::{KeySpace, Keys, StepIdentity};
use countersign::domain::mcc::Mcc;
use countersign::domain::time::Timestamp;
use countersign::fingerprint::Fingerprinter;
use countersign::ledger::command::{AgentRef, Answer, Authorize, CardRef, Overrule, Route};
use countersign::ledger::embedded::checkpoint;
use countersign::ledger::embedded::checkpoint::merge::{Sealed, merge};
use countersign::ledger::embedded::files::Files;
use countersign::ledger::embedded::frame::{Cursor, JournalId};
use countersign::ledger::embedded::io::Storage;
use countersign::ledger::embedded::journal::{Class, Config, Durability, Journal, Refusal};
use countersign::ledger::embedded::rebuild::{Rebuild, advance, state_of};
use countersign::ledger::embedded::recover::recover;
use countersign::ledger::embedded::store::{EmbeddedLedger, Unavailable};
use countersign::ledger::embedded::writer::{Timing, Writer};
use countersign::ledger::event::Owner;
use tempfile::TempDir;

const ID: JournalId = JournalId([5; 16]);
/// Some blocks of the index.
pub(crate) const INDEXED_MAX: usize = 100_000;

/// Two connections, two customers, three cards.
pub(crate) const RULES: &str = r#"{ "schema": 1,
  "customers": [
    {"id": "cus_1", "currency": "USD", "policy": {"limits": {"perMonth": 900000}, "blockedMccs": ["7995"]}},
    {"id": "cus_2", "currency": "USD"}
  ],
  "agents": [
    {"id": "agt_1", "customerId": "cus_1", "policy": {"lockToFirstMerchant": true, "limits": {"perWeek": 800000}}}
  ],
  "cards": [
    {"id": "crd_1", "connection": "acme", "issuerToken": "tok_1", "customerId": "cus_1", "agentId": "agt_1",
     "policy": {"limits": {"perAuth": 4000, "perDay": 5000, "total": 70000}, "allowedMccs": ["5812", "3000-3350"]}},
    {"id": "crd_2", "connection": "beta", "issuerToken": "tok_2", "customerId": "cus_2"},
    {"id": "crd_3", "connection": "acme", "issuerToken": "tok_3", "customerId": "cus_2", "usage": "single", "status": "locked",
     "merchantLock": {"acquirerId": "aq", "acceptorId": "ac"}}
  ]
}"#;

/// 2026-05-29T12:00:00Z, a Friday.
pub(crate) const NOON: i64 = 1_780_056_000_000_000;

pub(crate) struct Store {
    pub(crate) files: Arc<Files>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) ledger: Arc<EmbeddedLedger>,
    pub(crate) keys: Fingerprinter,
    begin: Mutex<Option<Begin>>,
}

/// One step of an authorization; the rest is the same for all.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) card: &'a str,
    pub(crate) authorization: &'a str,
    pub(crate) step: &'a str,
    pub(crate) content: u64,
    pub(crate) minor: i64,
    pub(crate) mcc: u16,
    pub(crate) at: Timestamp,
}

impl<'a> Ask<'a> {
    /// The first step of this authorization on this card.
    pub(crate) fn on(card: &'a str, authorization: &'a str) -> Self {
        Self {
            card,
            authorization,
            ..Self::default()
        }
    }
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self {
            card: "crd_1",
            authorization: "auth_1",
            step: "first",
            content: 1,
            minor: 1_000,
            mcc: 5812,
            at: Timestamp::from_micros(NOON),
        }
    }
}

/// In memory where the system has such a place: nothing here is about syncs, and a busy disk takes
/// its time for them.
pub(crate) fn directory() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_no_such_place| TempDir::new())
        .unwrap()
}

pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let mut patience = 20_000;
    while !is_so() {
        assert!(patience > 0, "waited in vain until {what}");
        patience -= 1;
        thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn rules(keys: &Fingerprinter) -> Snapshot {
    let context = DocumentContext {
        file: "rules.json",
        connections: &["acme", "beta"],
        version: 7,
    };
    read_snapshot(RULES.as_bytes(), context, keys).unwrap()
}

impl Store {
    pub(crate) fn open(path: &Path) -> Self {
        let files = Arc::new(Files::open(path).unwrap());
        let mut rebuild = Rebuild::new();
        let mut from = Cursor::GENESIS;
        if let Some(checkpoint) = checkpoint::load(&*files).unwrap().checkpoint {
            let mut entries = checkpoint.entries(&*files).unwrap();
            while let Some((_, image)) = entries.next().unwrap() {
                rebuild.restore(image).unwrap();
            }
            from = checkpoint.covers;
        }
        let recovered = recover(&*files, Some(ID), from, |record| {
            rebuild.take(record.sequence, record.payload);
        })
        .unwrap();
        let config = Config {
            segment_size: 256 << 10,
            release_size: 4 << 10,
            ..Config::new(Durability::Relaxed)
        };
        let seeds = Box::new(|| getrandom::u64().unwrap());
        let journal = Journal::new(config, ID, recovered.next, seeds);
        let storage: Arc<dyn Storage> = Arc::clone(&files) as _;
        let writer = Writer::start(journal, storage, Timing::default(), Box::new(|_| {})).unwrap();
        let states = rebuild.finish().unwrap();
        let begin = Begin::recovered(&states, recovered.next, INDEXED_MAX);
        let ledger = EmbeddedLedger::new(states, writer.share_journal());
        Self {
            files,
            writer: Arc::new(writer),
            ledger: Arc::new(ledger),
            keys: Fingerprinter::new(3),
            begin: Mutex::new(Some(begin)),
        }
    }

    /// Folds what is sealed into the next checkpoint, a segment at a time.
    pub(crate) fn checkpoint(&self) -> usize {
        let before = self.writer.journal().sealed_before();
        let one = Sealed {
            before,
            count_max: 1,
        };
        let fold = || {
            merge(&*self.files, ID, one, state_of, |_, image, payloads| {
                advance(image, payloads)
            })
        };
        std::iter::from_fn(|| fold().unwrap()).count()
    }

    /// The records of this journal, as the process that opened it sees them at its start.
    pub(crate) fn records_of_this_process(&self) -> Arc<Records> {
        let begin = self.begin.lock().unwrap().take().unwrap();
        self.records_from(begin)
    }

    /// The records of this journal.
    pub(crate) fn records(&self) -> Arc<Records> {
        self.records_from(Begin::default())
    }

    pub(crate) fn records_from(&self, begin: Begin) -> Arc<Records> {
        let writer = Arc::clone(&self.writer);
        let storage: Arc<dyn Storage> = Arc::clone(&self.files) as _;
        Records::start(storage, begin, move || writer.published().written.0)
    }

    /// Waits until the kernel has everything that was recorded.
    pub(crate) fn write_out(&self) {
        // A frame without events stands behind all others.
        let last = self.writer.append(&[], Class::Release).unwrap();
        self.writer.kick();
        wait_until("the journal is written", || {
            self.writer.published().written >= last
        });
    }

    /// Decides one step as the hot path does, and writes it.
    pub(crate) fn authorize(&self, snapshot: &Snapshot, ask: Ask<'_>) -> Answer {
        let answer = self.decide(snapshot, ask);
        self.write_out();
        answer
    }

    /// The same without waiting for the journal.
    pub(crate) fn decide(&self, snapshot: &Snapshot, ask: Ask<'_>) -> Answer {
        let view = snapshot.card_by_id(ask.card).unwrap();
        let request = request(ask);
        let proposal = evaluate(&view, &request, ask.at, &self.keys);
        let card = CardRef {
            key: view.card.key(),
            id: view.card.id(),
            connection: view.connection,
            agent: view.agent.map(|agent| AgentRef {
                key: agent.key(),
                id: agent.id(),
            }),
        };
        let route = Route {
            key: view.customer.key(),
            owner: Owner::Customer(view.customer.id()),
        };
        let command = Authorize {
            at: ask.at,
            step: self.step(view.connection, ask),
            authorization: ask.authorization,
            kind: request.kind,
            amount: request.amount,
            card: Some(card),
            card_key: view.card.key(),
            card_token: "tok",
            acceptor: &request.acceptor,
            proposal: Some(&proposal),
            shadow: None,
            facts: None,
            snapshot_version: snapshot.version(),
            latency_us: 37,
        };
        let nobody = self.keys.key(KeySpace::Connection, &[b"nobody"]);
        loop {
            match self.ledger.authorize(&route, nobody, &command) {
                // The next segment is not made yet; it comes.
                Err(Unavailable::Journal(Refusal::Full | Refusal::Behind)) => thread::yield_now(),
                answer => return answer.unwrap(),
            }
        }
    }

    /// A step on a card that nobody knows.
    pub(crate) fn authorize_unknown(&self, connection: &str, ask: Ask<'_>) -> Answer {
        let request = request(ask);
        let command = Authorize {
            at: ask.at,
            step: self.step(connection, ask),
            authorization: ask.authorization,
            kind: request.kind,
            amount: request.amount,
            card: None,
            card_key: Key(0),
            card_token: "stranger",
            acceptor: &request.acceptor,
            proposal: None,
            shadow: None,
            facts: None,
            snapshot_version: 7,
            latency_us: 37,
        };
        let route = Route {
            key: self
                .keys
                .key(KeySpace::Connection, &[connection.as_bytes()]),
            owner: Owner::Unattributed(connection),
        };
        let answer = self.ledger.authorize_unknown(&route, &command, || true);
        self.write_out();
        answer.unwrap().unwrap()
    }

    pub(crate) fn overrule(&self, snapshot: &Snapshot, ask: Ask<'_>, decided_at: u64) {
        let view = snapshot.card_by_id(ask.card).unwrap();
        let command = Overrule {
            authorization: self.step(view.connection, ask).authorization,
            decided_at,
            at: ask.at,
        };
        assert!(self.ledger.overrule(view.customer.key(), &command).unwrap());
        self.write_out();
    }

    fn step(&self, connection: &str, ask: Ask<'_>) -> StepIdentity {
        let parts = [connection.as_bytes(), ask.authorization.as_bytes()];
        StepIdentity {
            authorization: self.key(&parts),
            name: Some(self.keys.short(KeySpace::Step, &[ask.step.as_bytes()])),
            delivery: None,
            content: ask.content,
        }
    }

    fn key(&self, parts: &[&[u8]]) -> Key {
        self.keys.key(KeySpace::Authorization, parts)
    }
}

fn request(ask: Ask<'_>) -> AuthorizationRequest<'_> {
    AuthorizationRequest {
        authorization: Cow::Borrowed(ask.authorization),
        step: Some(Cow::Borrowed(ask.step)),
        delivery: None,
        kind: AuthorizationKind::Authorization,
        card_token: Cow::Borrowed("tok"),
        amount: Amount {
            minor: Minor::new(ask.minor).unwrap(),
            currency: Currency::USD,
        },
        cash: Minor::ZERO,
        merchant_amount: None,
        acceptor: CardAcceptor {
            acquirer_id: Some(Cow::Borrowed("acq_1")),
            acceptor_id: Some(Cow::Borrowed("shop_1")),
            descriptor: Cow::Borrowed("COFFEE SHOP"),
            mcc: Some(Mcc::from_number(ask.mcc).unwrap()),
            city: Cow::Borrowed("Rome"),
            country: Country::parse_alpha2("IT"),
        },
        partial_approval_capable: false,
        card_present: None,
        merchant_initiated: false,
        risk_score: None,
    }
}
