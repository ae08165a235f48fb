//! What every database has to do behind the store's trait, whichever it is.

use std::sync::Arc;

use countersign::cold::store::outward::{Errand, OutboxRow};
use countersign::cold::store::set_aside::SetAside;
use countersign::cold::store::versions::Versions;
use countersign::cold::store::{
    Agent, ApiKey, Card, CardLimit, Change, Customer, Fleet, Listed, Mode, ReplyKey, Scope, Store,
    StoreError, StoredReply, TABLES_VERSION,
};
use countersign::decide::policy::{Cascade, LimitField};
use countersign::domain::amount::{Amount, Minor};
use countersign::domain::card::{AgentStatus, CardStatus, CustomerStatus, Usage};
use countersign::domain::currency::Currency;
use countersign::domain::time::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Handle;

use crate::database::Database;
use crate::plane::{Plane, program};
use crate::server::said;

/// Versions of the tables that were released: each has its dumps in `fixtures/store`.
const RELEASED: usize = 1;
/// The largest amount.
const MINOR_MAX: i64 = (1 << 53) - 1;
/// What a text may be: it comes back as it was.
const ODD: &str = "Zoë \u{1f4b3} '; DROP TABLE cards; -- \\ \" %_ \u{202e}";

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + micros)
}

fn usd() -> Currency {
    Currency::parse("USD").unwrap()
}

fn customer(id: &str) -> Customer {
    Customer {
        id: id.to_owned(),
        mode: Mode::Test,
        external_id: None,
        name: Some(ODD.to_owned()),
        status: CustomerStatus::Suspended,
        timezone: "Europe/Berlin".to_owned(),
        currency: usd(),
        cascade: Cascade::Override,
        fleet: Fleet::default(),
        alerts: None,
        policy: Some("{\"limits\":{\"perAuth\":1}}".to_owned()),
        versions: Versions::default(),
        created_at: at(1),
        revision: 0,
    }
}

fn agent(id: &str, customer: &str) -> Agent {
    Agent {
        id: id.to_owned(),
        mode: Mode::Test,
        customer_id: customer.to_owned(),
        external_id: Some(format!("ext-{id}")),
        name: None,
        status: AgentStatus::Paused,
        policy: None,
        versions: Versions::default(),
        created_at: at(2),
        revision: 0,
    }
}

fn card(id: &str, customer: &str, agent: Option<&str>) -> Card {
    Card {
        id: id.to_owned(),
        mode: Mode::Test,
        customer_id: customer.to_owned(),
        agent_id: agent.map(str::to_owned),
        connection: "sandbox".to_owned(),
        issuer_token: format!("token-{id}"),
        is_physical: true,
        usage: Usage::Single,
        status: CardStatus::Locked,
        is_frozen: true,
        last4: Some("0042".to_owned()),
        exp_month: Some(12),
        exp_year: Some(2_031),
        limit: Some(CardLimit {
            amount: Amount {
                minor: Minor::new(MINOR_MAX).unwrap(),
                currency: usd(),
            },
            interval: LimitField::ALL[0],
        }),
        label: None,
        policy: None,
        versions: Versions::default(),
        created_at: at(3),
        revision: 0,
    }
}

fn api_key(id: &str, customer: Option<&str>) -> ApiKey {
    ApiKey {
        id: id.to_owned(),
        mode: Mode::Test,
        scope: Scope::Reviewer,
        customer_id: customer.map(str::to_owned),
        agent_id: None,
        name: None,
        created_at: at(4),
        revoked_at: None,
        revision: 0,
    }
}

fn reply(key: &str, at: Timestamp) -> StoredReply {
    StoredReply {
        key: reply_key(key),
        fingerprint: [7; 32],
        status: 201,
        body: vec![0, 255, b'{'],
        is_problem: false,
        at,
    }
}

fn reply_key(key: &str) -> ReplyKey {
    ReplyKey {
        api_key_id: "key_1".to_owned(),
        idempotency_key: key.to_owned(),
    }
}

fn listed(customer: Option<&str>, agent: Option<&str>, after: Option<&str>) -> Listed {
    Listed {
        mode: Mode::Test,
        customer_id: customer.map(str::to_owned),
        agent_id: agent.map(str::to_owned),
        after: after.map(str::to_owned),
        limit: 2,
    }
}

/// A store without rows, and what keeps it.
struct Empty {
    dir: TempDir,
    database: Database,
    store: Arc<dyn Store>,
}

impl Empty {
    async fn open() -> Self {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        std::fs::create_dir(dir.path().join("control")).unwrap();
        let database = Database::fresh();
        let store = database.open(dir.path()).await.unwrap();
        Self {
            dir,
            database,
            store,
        }
    }

    async fn again(&self) -> Result<Arc<dyn Store>, StoreError> {
        self.database.open(self.dir.path()).await
    }

    async fn keep(&self, changes: impl IntoIterator<Item = Change>) {
        let batch = changes.into_iter().collect();
        self.store.apply(batch).await.unwrap();
    }
}

#[tokio::test]
async fn every_row_comes_back_as_it_was_also_from_another_connection() {
    let empty = Empty::open().await;
    let (customer, agent) = (customer("cus_1"), agent("agt_1", "cus_1"));
    let mut card = card("card_1", "cus_1", Some("agt_1"));
    let mut bare = Card {
        last4: None,
        exp_month: None,
        exp_year: None,
        limit: None,
        is_physical: false,
        is_frozen: false,
        agent_id: None,
        ..card.clone()
    };
    bare.id = "card_2".to_owned();
    bare.issuer_token = ODD.to_owned();
    let key = api_key("key_1", Some("cus_1"));
    let kept = reply(ODD, at(-5));
    empty
        .keep([
            Change::Customer(customer.clone()),
            Change::Agent(agent.clone()),
            Change::Card(card.clone()),
            Change::Card(bare.clone()),
            Change::ApiKey(key.clone(), [9; 32]),
            Change::Reply(kept.clone()),
        ])
        .await;
    card.status = CardStatus::Active;
    card.revision = 1;
    empty.keep([Change::Card(card.clone())]).await;
    card.revision = 2;
    bare.revision = 1;
    let other = empty.again().await.unwrap();
    for store in [&empty.store, &other] {
        let expected = Customer {
            revision: 1,
            ..customer.clone()
        };
        assert_eq!(store.customer("cus_1".into()).await, Ok(Some(expected)));
        let expected = Agent {
            revision: 1,
            ..agent.clone()
        };
        let found = store.agent("agt_1".into()).await;
        assert_eq!(found, Ok(Some(expected.clone())));
        let called = store.agent_called("cus_1".into(), "ext-agt_1".into()).await;
        assert_eq!(called, Ok(Some(expected)));
        assert_eq!(store.card("card_1".into()).await, Ok(Some(card.clone())));
        assert_eq!(store.card("card_2".into()).await, Ok(Some(bare.clone())));
        let expected = ApiKey {
            revision: 1,
            ..key.clone()
        };
        let found = store.api_key_by_hash([9; 32]).await;
        assert_eq!(found, Ok(Some(expected.clone())));
        assert_eq!(store.api_key("key_1".into()).await, Ok(Some(expected)));
        assert_eq!(store.reply(reply_key(ODD)).await, Ok(Some(kept.clone())));
        assert_eq!(store.card("card_3".into()).await, Ok(None));
        assert_eq!(store.api_key_by_hash([8; 32]).await, Ok(None));
    }
}

#[tokio::test]
async fn a_batch_is_kept_whole_or_not_at_all() {
    let empty = Empty::open().await;
    empty.keep([Change::Customer(customer("cus_1"))]).await;
    let mut stale = customer("cus_1");
    stale.revision = 7;
    let mut twin = card("card_9", "cus_1", None);
    twin.issuer_token = "token-card_1".to_owned();
    for (bad, expected_conflict) in [
        (Change::Customer(stale), true),
        (Change::Customer(customer("cus_1")), true),
        (Change::Card(twin), true),
        // Whose row is not there.
        (Change::Card(card("card_8", "cus_none", None)), false),
    ] {
        let batch = vec![
            Change::Card(card("card_1", "cus_1", None)),
            Change::Reply(reply("k", at(0))),
            bad,
        ];
        let refused = empty.store.apply(batch).await.unwrap_err();
        let is_conflict = refused == StoreError::Conflict;
        assert_eq!(is_conflict, expected_conflict, "{refused}");
        assert_eq!(empty.store.card("card_1".into()).await, Ok(None));
        assert_eq!(empty.store.reply(reply_key("k")).await, Ok(None));
    }
}

#[tokio::test]
async fn of_many_who_change_one_row_at_a_time_each_success_is_one_revision() {
    let empty = Empty::open().await;
    empty.keep([Change::Customer(customer("cus_1"))]).await;
    let other = empty.again().await.unwrap();
    let mut running = Vec::new();
    for at in 0..16 {
        let store = Arc::clone(if at % 2 == 0 { &empty.store } else { &other });
        running.push(Handle::current().spawn(async move {
            let mut won = 0;
            for _ in 0..10 {
                let row = store.customer("cus_1".into()).await.unwrap().unwrap();
                match store.apply(vec![Change::Customer(row)]).await {
                    Ok(()) => won += 1,
                    Err(error) => assert_eq!(error, StoreError::Conflict),
                }
            }
            won
        }));
    }
    let mut won = 0;
    for one in running {
        won += one.await.unwrap();
    }
    assert!(won > 0);
    let row = empty.store.customer("cus_1".into()).await.unwrap().unwrap();
    assert_eq!(row.revision, 1 + won);
}

#[tokio::test]
async fn lists_are_pages_in_the_order_of_bytes_newest_first() {
    let empty = Empty::open().await;
    // Languages order these otherwise: "_" and case before digits, or after them.
    let ids = ["card_0a", "card_0b", "card_A", "card__", "card_a"];
    empty
        .keep([
            Change::Customer(customer("cus_1")),
            Change::Customer(customer("cus_2")),
            Change::Agent(agent("agt_1", "cus_1")),
        ])
        .await;
    for (at, id) in ids.iter().enumerate() {
        let agent = (at % 2 == 0).then_some("agt_1");
        empty.keep([Change::Card(card(id, "cus_1", agent))]).await;
    }
    let ids_of = async |asked| {
        let rows = empty.store.cards(asked).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(ids_of(listed(None, None, None)).await, ["card_a", "card__"]);
    let second = listed(Some("cus_1"), None, Some("card__"));
    assert_eq!(ids_of(second).await, ["card_A", "card_0b"]);
    let of_agent = listed(None, Some("agt_1"), Some("card_a"));
    assert_eq!(ids_of(of_agent).await, ["card_A", "card_0a"]);
    let of_both = listed(Some("cus_1"), Some("agt_1"), None);
    assert_eq!(ids_of(of_both).await, ["card_a", "card_A"]);
    assert!(ids_of(listed(Some("cus_2"), None, None)).await.is_empty());
    let all = empty.store.all_cards("card_0a".into(), 3).await.unwrap();
    let all: Vec<_> = all.into_iter().map(|row| row.id).collect();
    assert_eq!(all, ["card_0b", "card_A", "card__"]);
    let live = Listed {
        mode: Mode::Live,
        ..listed(None, None, None)
    };
    assert!(ids_of(live).await.is_empty());
}

#[tokio::test]
async fn old_answers_are_forgotten_and_newer_ones_kept() {
    let empty = Empty::open().await;
    empty.keep([Change::Reply(reply("old", at(0)))]).await;
    empty.keep([Change::Reply(reply("new", at(10)))]).await;
    empty.store.forget_replies(at(10)).await.unwrap();
    assert_eq!(empty.store.reply(reply_key("old")).await, Ok(None));
    let found = empty.store.reply(reply_key("new")).await;
    assert_eq!(found, Ok(Some(reply("new", at(10)))));
    let twice = empty
        .store
        .apply(vec![Change::Reply(reply("new", at(11)))])
        .await;
    assert_eq!(twice, Err(StoreError::Conflict));
}

fn aside(card: &str, made_at: Timestamp) -> SetAside {
    SetAside {
        called: format!("aside_{card}"),
        card_id: card.to_owned(),
        order_id: OutboxRow::id_of_order(card),
        customer_id: "cus_1".to_owned(),
        agent_id: None,
        connection: "acme".to_owned(),
        amount: Amount {
            minor: Minor::new(MINOR_MAX).unwrap(),
            currency: usd(),
        },
        is_held: false,
        created_at: made_at,
        due_at: made_at,
    }
}

/// Due is what was set aside for a card that is canceled, and for one that is ordered no more and was
/// never made.
#[tokio::test]
async fn what_is_set_aside_is_due_once_its_card_is_over() {
    let empty = Empty::open().await;
    let made = |id: &str, status| Card {
        status,
        is_frozen: false,
        ..card(id, "cus_1", None)
    };
    let ordered = OutboxRow {
        id: OutboxRow::id_of_order("card_3"),
        ..OutboxRow::of_card(Errand::Order, "card_3", "acme", at(0))
    };
    let changes = [
        Change::Customer(customer("cus_1")),
        Change::Card(made("card_1", CardStatus::Active)),
        Change::Card(made("card_2", CardStatus::Canceled)),
        Change::Outbox(ordered.clone()),
    ];
    let rows = ["card_1", "card_2", "card_3", "card_4"].map(|card| aside(card, at(9)));
    let set_aside = rows.clone().map(Change::SetAside);
    empty.keep(changes.into_iter().chain(set_aside)).await;

    assert_eq!(empty.store.set_aside_due(at(8), 9).await, Ok(Vec::new()));
    let due = empty.store.set_aside_due(at(9), 9).await.unwrap();
    assert_eq!(due.len(), 2);
    assert!(due.contains(&rows[1]) && due.contains(&rows[3]), "{due:?}");
    // The order is settled without a card; the canceled one is looked at later.
    let later = SetAside {
        due_at: at(20),
        is_held: true,
        ..rows[1].clone()
    };
    empty
        .keep([
            Change::OutboxDone(ordered.id, 1),
            Change::SetAside(later.clone()),
            Change::SetAsideOver(rows[3].called.clone()),
            // It may have gone already.
            Change::SetAsideOver(rows[3].called.clone()),
        ])
        .await;
    let due = empty.store.set_aside_due(at(9), 9).await;
    assert_eq!(due, Ok(vec![rows[2].clone()]));
    let again = empty.again().await.unwrap();
    let of_card = again.set_aside_of("card_2".to_owned()).await;
    assert_eq!(of_card, Ok(vec![later]));
}

#[tokio::test]
async fn of_many_that_open_an_empty_database_at_once_each_finds_its_tables() {
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    std::fs::create_dir(dir.path().join("control")).unwrap();
    let database = Arc::new(Database::fresh());
    let mut running = Vec::new();
    for at in 0..8 {
        let (database, path) = (Arc::clone(&database), dir.path().to_owned());
        running.push(Handle::current().spawn(async move {
            let store = database.open(&path).await.unwrap();
            let id = format!("cus_{at}");
            let batch = vec![Change::Customer(customer(&id))];
            store.apply(batch).await.unwrap();
            store.close().await.unwrap();
        }));
    }
    for one in running {
        one.await.unwrap();
    }
    let store = database.open(dir.path()).await.unwrap();
    let rows = store.all_customers(String::new(), 100).await.unwrap();
    assert_eq!(rows.len(), 8);
}

/// The rows of `fixtures/store`, which every version has left.
async fn check_dumped(store: &dyn Store) {
    let mut expected = customer("cus_1");
    expected.external_id = Some("ext-1".to_owned());
    expected.policy = Some(r#"{"limits":{"perDay":5000}}"#.to_owned());
    expected.revision = 3;
    assert_eq!(store.customer("cus_1".into()).await, Ok(Some(expected)));
    let live = store.customer("cus_2".into()).await.unwrap().unwrap();
    assert_eq!(
        (live.mode, live.currency.to_string()),
        (Mode::Live, "JPY".to_owned())
    );
    let agent = store.agent("agt_1".into()).await.unwrap().unwrap();
    assert_eq!((agent.status, agent.revision), (AgentStatus::Paused, 2));
    let found = store.card("card_1".into()).await.unwrap().unwrap();
    let expected = Card {
        issuer_token: "token-1".to_owned(),
        policy: Some(r#"{"limits":{"perDay":5000}}"#.to_owned()),
        limit: found.limit,
        created_at: at(4),
        revision: 5,
        ..card("card_1", "cus_1", Some("agt_1"))
    };
    assert_eq!(found, expected);
    let limit = found.limit.unwrap();
    assert_eq!(limit.amount.minor.get(), MINOR_MAX);
    let bare = store.card("card_2".into()).await.unwrap().unwrap();
    assert_eq!((bare.status, bare.limit), (CardStatus::Active, None));
    let key = store.api_key_by_hash([9; 32]).await.unwrap().unwrap();
    assert_eq!((key.scope, key.revoked_at), (Scope::Owner, None));
    let revoked = store.api_key("key_2".into()).await.unwrap().unwrap();
    assert_eq!(revoked.revoked_at, Some(at(8)));
    let mut kept = reply("k", at(9));
    kept.body = vec![0, 255, b'{'];
    assert_eq!(store.reply(reply_key("k")).await, Ok(Some(kept)));
}

#[tokio::test]
async fn what_every_released_version_has_left_is_brought_up_and_goes_on() {
    const { assert!(RELEASED <= TABLES_VERSION) };
    for version in 1..=RELEASED {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        std::fs::create_dir(dir.path().join("control")).unwrap();
        let database = Database::fresh();
        database.restore(dir.path(), version).await;
        // Twice: what was brought up stays so.
        for round in 0..2 {
            let store = database.open(dir.path()).await.unwrap();
            check_dumped(&*store).await;
            let id = format!("card_new_{round}");
            let batch = vec![Change::Card(card(&id, "cus_1", Some("agt_1")))];
            store.apply(batch).await.unwrap();
            store.close().await.unwrap();
        }
    }
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let plane = Plane::initialised();
    let data_dir = plane.home.data_dir();
    plane.database.set_version(&data_dir, 99);
    let before = plane.database.kept(&data_dir);
    let mut command = program("serve", &plane.home, &plane.database);
    for listener in ["--issuer-listen", "--listen", "--ops-listen"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    let (status, said) = said(command.output());
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("version 99"), "{said}");
    let is_same = plane.database.kept(&data_dir) == before;
    assert!(is_same, "something was written");
}
