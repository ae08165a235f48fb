//! The real threads on real files.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use countersign::ledger::embedded::files::{Files, OpenError};
use countersign::ledger::embedded::frame::{Cursor, JournalId};
use countersign::ledger::embedded::io::{Io, IoFault, Name, Storage};
use countersign::ledger::embedded::journal::{
    Class, Config, Durability, Journal, Position, Refusal,
};
use countersign::ledger::embedded::recover::{Recovered, recover};
use countersign::ledger::embedded::writer::{Published, Timing, Writer};
use tempfile::TempDir;

use crate::disk::{Chance, Disk};
use crate::harness::small;

const ID: JournalId = JournalId([3; 16]);

/// A directory that is not on a memory file system, where syncs cost something.
fn directory() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn config(durability: Durability, segment_size: u64) -> Config {
    Config {
        segment_size,
        release_size: 4 << 10,
        ..Config::new(durability)
    }
}

fn timing() -> Timing {
    Timing {
        retry_after: Duration::from_millis(5),
        ..Timing::default()
    }
}

struct Waiter {
    last: Mutex<Option<Published>>,
    changed: Condvar,
    calls: AtomicU64,
}

impl Waiter {
    fn new() -> Arc<Self> {
        let (last, changed) = (Mutex::new(None), Condvar::new());
        Arc::new(Self {
            last,
            changed,
            calls: AtomicU64::new(0),
        })
    }

    fn notify(self: &Arc<Self>) -> Box<dyn Fn(Published) + Send + Sync> {
        let waiter = Arc::clone(self);
        Box::new(move |published| {
            waiter.calls.fetch_add(1, Ordering::Relaxed);
            *waiter.last.lock().unwrap() = Some(published);
            waiter.changed.notify_all();
        })
    }

    /// Waits until what was published satisfies this; fails the test after 20 seconds.
    fn until(&self, writer: &Writer, what: impl Fn(Published) -> bool) {
        let mut last = self.last.lock().unwrap();
        let mut patience = 200;
        while !what(writer.published()) {
            assert!(patience > 0, "waited in vain; {last:?}");
            let waited = self
                .changed
                .wait_timeout(last, Duration::from_millis(100))
                .unwrap();
            patience -= u32::from(waited.1.timed_out());
            last = waited.0;
        }
    }
}

fn start(path: &Path, config: Config) -> (Writer, Arc<Waiter>, Vec<Vec<u8>>) {
    let (files, recovered, records) = reopen(path);
    let seeds = Box::new(|| getrandom::u64().unwrap());
    let journal = Journal::new(config, ID, recovered.next, seeds);
    let waiter = Waiter::new();
    let writer = Writer::start(journal, Arc::new(files), timing(), waiter.notify()).unwrap();
    (writer, waiter, records)
}

fn reopen(path: &Path) -> (Files, Recovered, Vec<Vec<u8>>) {
    let files = Files::open(path).unwrap();
    let mut records = Vec::new();
    let recovered = recover(&files, Some(ID), Cursor::GENESIS, |record| {
        records.push(record.payload.to_vec());
    })
    .unwrap();
    (files, recovered, records)
}

#[test]
fn c15_second_opener_is_refused_until_the_first_is_gone() {
    let dir = directory();
    let first = Files::open(dir.path()).unwrap();
    assert!(matches!(Files::open(dir.path()), Err(OpenError::InUse)));
    drop(first);
    assert!(Files::open(dir.path()).is_ok());
}

#[test]
fn closing_leaves_every_record_durable_and_a_start_opens_a_fresh_segment() {
    for durability in [Durability::Strict, Durability::Relaxed] {
        let dir = directory();
        for round in 0..3_u8 {
            let (writer, _, before) = start(dir.path(), config(durability, 64 << 10));
            assert_eq!(before.len(), usize::from(round) * 10);
            for n in 0..10 {
                writer.append(&[round, n], Class::Reserve).unwrap();
            }
            let published = writer.close();
            assert_eq!(published.durable, published.written);
            assert_eq!(writer.append(b"late", Class::Release), Err(Refusal::Closed));
        }
        let (files, recovered, records) = reopen(dir.path());
        assert_eq!(recovered.torn, None);
        assert_eq!(recovered.next.segment, 4);
        let expected: Vec<_> = (0..3)
            .flat_map(|r| (0..10).map(move |n| vec![r, n]))
            .collect();
        assert_eq!(records, expected);
        let names: Vec<_> = (1..4).map(Name::Segment).collect();
        assert_eq!(
            files.list().unwrap(),
            names,
            "the spare is gone, the used ones are there"
        );
    }
}

type Kick = fn(&Writer);

/// Both levels, written by the writer's thread, and by the callers where the level allows it.
const WAYS: [(Durability, Kick); 4] = [
    (Durability::Strict, Writer::kick),
    (Durability::Relaxed, Writer::kick),
    (Durability::Strict, Writer::write_or_kick),
    (Durability::Relaxed, Writer::write_or_kick),
];

/// Several threads append and wait for each record before the next, across many segments.
#[test]
fn threads_under_load_lose_nothing_and_see_their_own_order() {
    const THREADS: u64 = 6;
    const EACH: u64 = 2_000;
    for (durability, kick) in WAYS {
        let dir = directory();
        let (writer, waiter, _) = start(dir.path(), config(durability, 64 << 10));
        let level = |p: Published| match durability {
            Durability::Strict => p.durable,
            Durability::Relaxed => p.written,
        };
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (writer, waiter) = (&writer, &waiter);
                scope.spawn(move || {
                    let mut last = Position(0);
                    for n in 0..EACH {
                        let mut payload = [0_u8; 80];
                        payload[..8].copy_from_slice(&thread.to_le_bytes());
                        payload[8..16].copy_from_slice(&n.to_le_bytes());
                        let position = loop {
                            match writer.append(&payload, Class::Reserve) {
                                Ok(position) => break position,
                                // The next segment is not made yet; it comes.
                                Err(Refusal::Full) => thread::yield_now(),
                                Err(refusal) => panic!("{refusal}"),
                            }
                        };
                        assert!(position > last);
                        last = position;
                        kick(writer);
                        if n % 16 == 0 {
                            waiter.until(writer, |p| level(p) >= position);
                        }
                    }
                    waiter.until(writer, |p| level(p) >= last);
                });
            }
        });
        drop(writer);
        let (_, recovered, records) = reopen(dir.path());
        assert_eq!(recovered.torn, None);
        assert!(recovered.next.segment > 15, "{recovered:?}");
        for thread in 0..THREADS {
            let own: Vec<u64> = records
                .iter()
                .filter(|record| record[..8] == thread.to_le_bytes())
                .map(|record| u64::from_le_bytes(record[8..16].try_into().unwrap()))
                .collect();
            assert_eq!(own, (0..EACH).collect::<Vec<_>>());
        }
    }
}

#[test]
fn relaxed_records_become_durable_without_anybody_asking() {
    let dir = directory();
    let (writer, waiter, _) = start(dir.path(), config(Durability::Relaxed, 64 << 10));
    for _ in 0..3 {
        let position = writer.append(b"payload", Class::Reserve).unwrap();
        writer.kick();
        waiter.until(&writer, |p| p.written >= position);
        waiter.until(&writer, |p| p.durable >= position);
    }
}

/// The threads on a simulated disk, which can fail on demand.
fn start_on(disk: &Arc<Disk>, durability: Durability) -> (Writer, Arc<Waiter>) {
    start_over(Arc::<Disk>::clone(disk), durability)
}

fn start_over(storage: Arc<dyn Storage>, durability: Durability) -> (Writer, Arc<Waiter>) {
    let mut seeds = Chance::new(1);
    let config = small(durability);
    let journal = Journal::new(config, ID, Cursor::GENESIS, Box::new(move || seeds.next()));
    let waiter = Waiter::new();
    let writer = Writer::start(journal, storage, timing(), waiter.notify()).unwrap();
    (writer, waiter)
}

#[test]
fn a_relaxed_caller_writes_by_itself_and_its_writes_share_a_batch() {
    let disk = Arc::new(Disk::new());
    let (writer, waiter) = start_on(&disk, Durability::Relaxed);
    let first = writer.append(b"first", Class::Reserve).unwrap();
    let second = writer.append(b"second", Class::Reserve).unwrap();
    writer.write_or_kick();
    assert_eq!(writer.published().written, second, "no thread was asked");
    assert_eq!(first.0 + 1, second.0, "no mark between them");
    assert!(waiter.calls.load(Ordering::Relaxed) >= 1);
    waiter.until(&writer, |p| p.durable >= second);
}

/// A disk whose syncs wait until they are let go, and which knows who wrote last.
#[derive(Default)]
struct Stalling {
    disk: Disk,
    stalls: Mutex<bool>,
    changed: Condvar,
    waiting: AtomicU64,
    wrote: Mutex<Option<thread::ThreadId>>,
}

impl Stalling {
    fn stall(&self, stalls: bool) {
        *self.stalls.lock().unwrap() = stalls;
        self.changed.notify_all();
    }
}

impl Storage for Stalling {
    fn list(&self) -> Result<Vec<Name>, IoFault> {
        self.disk.list()
    }

    fn size(&self, name: Name) -> Result<u64, IoFault> {
        self.disk.size(name)
    }

    fn read(&self, name: Name, offset: u64, into: &mut [u8]) -> Result<usize, IoFault> {
        self.disk.read(name, offset, into)
    }

    fn execute(&self, io: &Io) -> Result<(), IoFault> {
        if matches!(io, Io::Sync { .. }) {
            self.waiting.fetch_add(1, Ordering::AcqRel);
            let stalls = self.stalls.lock().unwrap();
            drop(self.changed.wait_while(stalls, |stalls| *stalls).unwrap());
            self.waiting.fetch_sub(1, Ordering::AcqRel);
        }
        if matches!(io, Io::Write { .. }) {
            *self.wrote.lock().unwrap() = Some(thread::current().id());
        }
        self.disk.execute(io)
    }
}

#[test]
fn c11_while_a_sync_stalls_the_caller_does_not_write() {
    let disk = Arc::<Stalling>::default();
    let (writer, waiter) = start_over(Arc::<Stalling>::clone(&disk), Durability::Relaxed);
    let own = Some(thread::current().id());
    disk.stall(true);
    let first = writer.append(b"first", Class::Reserve).unwrap();
    writer.write_or_kick();
    assert_eq!(*disk.wrote.lock().unwrap(), own);
    let mut patience = 2_000;
    while disk.waiting.load(Ordering::Acquire) == 0 {
        assert!(patience > 0, "nobody syncs");
        patience -= 1;
        thread::park_timeout(Duration::from_millis(10));
    }
    let second = writer.append(b"second", Class::Reserve).unwrap();
    writer.write_or_kick();
    waiter.until(&writer, |p| p.written >= second);
    let (wrote, durable) = (*disk.wrote.lock().unwrap(), writer.published().durable);
    disk.stall(false);
    assert_ne!(wrote, own, "the writer's thread did");
    assert!(durable < first);
    waiter.until(&writer, |p| p.durable >= second);
}

#[test]
fn c8_a_caller_whose_write_fails_poisons_the_journal() {
    let disk = Arc::new(Disk::new());
    let (writer, waiter) = start_on(&disk, Durability::Relaxed);
    let kept = writer.append(b"kept", Class::Reserve).unwrap();
    writer.write_or_kick();
    waiter.until(&writer, |p| p.durable >= kept);
    disk.fail_all(Some((|io| matches!(io, Io::Write { .. }), IoFault::EIO)));
    writer.append(b"lost", Class::Reserve).unwrap();
    writer.write_or_kick();
    assert!(writer.published().poisoned);
    waiter.until(&writer, |p| p.poisoned);
    let more = writer.append(b"more", Class::Release);
    assert_eq!(more, Err(Refusal::Poisoned));
}

#[test]
fn c8_waiters_learn_that_a_sync_failed_and_nothing_is_taken_after_it() {
    for (durability, kick) in WAYS {
        let disk = Arc::new(Disk::new());
        let (writer, waiter) = start_on(&disk, durability);
        let kept = writer.append(b"kept", Class::Reserve).unwrap();
        kick(&writer);
        waiter.until(&writer, |p| p.durable >= kept);
        disk.fail_all(Some((|io| matches!(io, Io::Sync { .. }), IoFault::EIO)));
        writer.append(b"lost", Class::Reserve).unwrap();
        kick(&writer);
        waiter.until(&writer, |p| p.poisoned);
        disk.fail_all(None);
        writer.kick();
        assert_eq!(
            writer.append(b"more", Class::Release),
            Err(Refusal::Poisoned)
        );
        let closed = writer.close();
        assert!(closed.poisoned && closed.durable == kept, "{closed:?}");
    }
}

#[test]
fn c9_a_full_disk_is_published_and_heals_by_itself() {
    let disk = Arc::new(Disk::new());
    let (writer, waiter) = start_on(&disk, Durability::Strict);
    disk.fail_all(Some((
        |io| matches!(io, Io::Create { .. }),
        IoFault::ENOSPC,
    )));
    let last = loop {
        match writer.append(&[1; 50], Class::Reserve) {
            Ok(_) => writer.kick(),
            Err(Refusal::Full) => break writer.append(&[2; 50], Class::Release).unwrap(),
            Err(Refusal::Behind) => thread::yield_now(),
            Err(other) => panic!("{other}"),
        }
    };
    writer.kick();
    waiter.until(&writer, |p| p.full && p.create_failed && p.durable >= last);
    disk.fail_all(None);
    waiter.until(&writer, |p| !p.full && !p.create_failed);
    let after = writer.append(&[3; 50], Class::Reserve).unwrap();
    writer.kick();
    waiter.until(&writer, |p| p.durable >= after);
}

/// Whoever is called back and panics kills the thread, or the caller's write; the journal then says
/// so, and the caller goes on.
#[test]
fn c18_a_writer_that_panics_poisons_the_journal() {
    for (durability, kick) in WAYS {
        let disk: Arc<dyn Storage> = Arc::new(Disk::new());
        let journal = Journal::new(small(durability), ID, Cursor::GENESIS, Box::new(|| 4));
        let notify = Box::new(|p: Published| assert!(p.poisoned, "a test's panic"));
        let writer = Writer::start(journal, disk, timing(), notify).unwrap();
        writer.append(b"payload", Class::Reserve).unwrap();
        kick(&writer);
        let mut patience = 2_000;
        while !writer.published().poisoned {
            assert!(patience > 0, "the death of the thread went unsaid");
            patience -= 1;
            thread::park_timeout(Duration::from_millis(10));
        }
        assert_eq!(
            writer.append(b"more", Class::Release),
            Err(Refusal::Poisoned)
        );
    }
}

#[test]
fn c9_a_file_above_the_limit_of_the_file_system_fails_as_a_create() {
    let dir = directory();
    let files = Files::open(dir.path()).unwrap();
    let create = Io::Create {
        segment: 1,
        size: 1 << 62,
        header: vec![1; 64],
    };
    assert!(files.execute(&create).is_err());
    assert_eq!(files.list().unwrap(), Vec::new(), "nothing is left");
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        1,
        "but the lock"
    );
}

#[test]
fn real_files_do_what_each_operation_says() {
    let dir = directory();
    let files = Files::open(dir.path()).unwrap();
    let read = |name| {
        let mut bytes = vec![7; 20_000];
        let count = files.read(name, 0, &mut bytes).unwrap();
        bytes.truncate(count);
        bytes
    };
    let name = Name::Segment(1);
    let create = Io::Create {
        segment: 1,
        size: 10_000,
        header: vec![1; 64],
    };
    files.execute(&create).unwrap();
    let mut expected = vec![0; 10_000];
    expected[..64].fill(1);
    assert_eq!(
        (read(name), files.size(name)),
        (expected.clone(), Ok(10_000))
    );
    let write = Io::Write {
        name,
        offset: 5_000,
        bytes: vec![2; 10],
    };
    for io in [
        write,
        Io::Rewrite {
            name,
            from: 4_990,
            to: 5_005,
        },
        Io::Sync { name },
    ] {
        files.execute(&io).unwrap();
    }
    expected[5_000..5_010].fill(2);
    assert_eq!(read(name), expected);
    files.execute(&Io::Truncate { name, size: 5_005 }).unwrap();
    assert_eq!(read(name), expected[..5_005]);
    // A second creation under the same name replaces the file, open or not.
    files.execute(&create).unwrap();
    assert_eq!(read(name).len(), 10_000);
    let (draft, done) = (Name::Draft(9), Name::Checkpoint(9));
    let write = Io::Write {
        name: draft,
        offset: 0,
        bytes: b"state".to_vec(),
    };
    let rename = Io::Rename {
        from: draft,
        to: done,
    };
    for io in [
        Io::CreateEmpty { name: draft },
        write,
        Io::Sync { name: draft },
        rename,
    ] {
        files.execute(&io).unwrap();
    }
    files.execute(&Io::SyncDir).unwrap();
    assert_eq!(read(done), b"state");
    assert_eq!(files.list().unwrap(), vec![name, done]);
    for _ in 0..2 {
        files.execute(&Io::Remove { name }).unwrap();
    }
    assert_eq!(files.list().unwrap(), vec![done]);
    assert!(files.execute(&Io::Sync { name }).is_err());
}

#[test]
fn an_idle_journal_marks_what_was_synced() {
    let dir = directory();
    let (writer, waiter, _) = start(dir.path(), config(Durability::Strict, 64 << 10));
    let position = writer.append(b"payload", Class::Reserve).unwrap();
    writer.kick();
    waiter.until(&writer, |p| p.durable >= position);
    waiter.until(&writer, |p| p.written > position);
    let last = writer.journal().tail();
    assert_eq!(
        last.written.through,
        Position(position.0 + 1),
        "one mark and no more"
    );
    assert_eq!(last.durable.through, position, "nobody syncs for a mark");
}

/// Between two batches the writer goes idle and writes a mark, which nobody syncs; the next batch
/// may have to open a segment, and waits for exactly that sync.
#[test]
fn a_batch_that_opens_a_segment_after_a_pause_is_written() {
    for (durability, kick) in WAYS {
        let dir = directory();
        let (writer, waiter, _) = start(dir.path(), config(durability, 16 << 10));
        for _ in 0..60 {
            let position = writer.append(&[7; 600], Class::Reserve).unwrap();
            kick(&writer);
            waiter.until(&writer, |published| published.written >= position);
            thread::sleep(Duration::from_millis(40));
        }
        assert_eq!(writer.close().written, writer.published().durable);
    }
}
