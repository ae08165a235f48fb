use super::*;
use crate::ledger::embedded::frame::{Cursor, JournalId};
use crate::ledger::embedded::journal::{Config, Durability, Journal, Lane};
use crate::ledger::embedded::store::Learned;
use crate::ledger::event::{Event, Owner, StateNo};
use crate::ledger::redis::link::Keeper;

const OWNER: Key = Key(9);

/// A ledger whose disk takes everything at once.
fn ledger() -> Arc<EmbeddedLedger> {
    let config = Config {
        segment_size: 1 << 20,
        ..Config::new(Durability::Relaxed)
    };
    let id = JournalId(*b"a journal's name");
    let mut journal = Journal::new(config, id, Cursor::GENESIS, Box::new(|| 5));
    let lanes = [Lane::Create, Lane::Write, Lane::Sync];
    while let Some(io) = lanes.into_iter().find_map(|lane| journal.next_io(lane)) {
        journal.complete(io, Ok(()));
    }
    let journal = Arc::new(std::sync::Mutex::new(journal));
    Arc::new(EmbeddedLedger::of_shared_log(journal))
}

fn node(copy: Copy) -> Rc<Node> {
    let commands = Commands::new(&Generation([1; 16]));
    let remote = Remote::at("redis://127.0.0.1:1", None).unwrap();
    let (joint, _pushed) = Joint::new(1, Refusals::new(|_| {}));
    let (_keeper, links) = Keeper::new(remote, None, &commands.channel(), joint);
    Rc::new(Node {
        number: 1,
        commands,
        routes: Routes::One(links),
        ledger: ledger(),
        pending: RefCell::default(),
        copy: RefCell::new(copy),
        kick: Box::new(|| {}),
        catching: RefCell::default(),
        tell: Box::new(|_, _| {}),
        count: Refusals::new(|_| {}),
        progress: std::sync::mpsc::channel().0,
        is_known: Arc::default(),
        has_forgotten: Cell::new(false),
        refusals: Cell::new(0),
        looking: Cell::new(0),
        connected: Cell::new(0),
        learned: Cell::new(0),
        proofs: mpsc::unbounded_channel().0,
    })
}

/// Other threads answer on what is folded, and the process may end at any moment.
#[test]
fn nothing_is_folded_that_the_copy_does_not_hold() {
    let mut events = Vec::new();
    let opened = Event::StateOpened {
        state: StateNo(0),
        key: OWNER,
        owner: Owner::Customer("cus"),
    };
    opened.encode(&mut events);
    let entry = Entry {
        id: EntryId(1),
        after: EntryId::NONE,
        authorization: Key(3),
        events: &events,
    };
    runtime().unwrap().block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let copy = Copy::begin(&dir.path().join("log"), &Generation([1; 16])).unwrap();
        let well = node(copy);
        let learned = well.learn(OWNER, 0, &entry).await;
        assert!(matches!(learned, Ok(Learned::Now(_))));
        assert_eq!(well.ledger.known_of(OWNER), (1, EntryId(1)));
        let full = node(Copy::unwritable());
        assert!(full.learn(OWNER, 0, &entry).await.is_err());
        assert_eq!(full.ledger.known_of(OWNER), (0, EntryId::NONE));
        assert!(full.ledger.is_poisoned());
    });
}
