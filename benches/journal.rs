//! Figures of the journal: `cargo bench --profile ci --bench journal -- [directory/] [name …]`.
//! The directory decides which disk is measured; the default is the build's. Names: append, scan,
//! allocate, strict, relaxed, start.

#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use countersign::ledger::embedded::checkpoint::merge::{Sealed, merge};
use countersign::ledger::embedded::checkpoint::{load, verify};
use countersign::ledger::embedded::files::Files;
use countersign::ledger::embedded::frame::{Cursor, JournalId};
use countersign::ledger::embedded::io::Io;
use countersign::ledger::embedded::journal::{Class, Config, Durability, Journal, Lane};
use countersign::ledger::embedded::recover::recover;
use countersign::ledger::embedded::scan::Scan;
use countersign::ledger::embedded::writer::{Timing, Writer};

const ID: JournalId = JournalId([5; 16]);
/// An approval's frame is at most 96 bytes.
const PAYLOAD: [u8; 80] = [0x5a; 80];

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let (paths, names): (Vec<_>, Vec<_>) = args.into_iter().partition(|arg| arg.contains('/'));
    let default = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let directory = paths.first().map_or(default, PathBuf::from);
    let wants = |name: &str| names.is_empty() || names.iter().any(|asked| asked == name);
    if wants("append") {
        append();
    }
    if wants("scan") {
        scan();
    }
    if wants("allocate") {
        for round in 1..=3 {
            for how in [Prepare::Nothing, Prepare::Allocate, Prepare::Zeros] {
                write_and_sync(&directory, how, round);
            }
        }
    }
    if wants("strict") {
        for waiting in [1, 8, 64] {
            strict_batches(&directory, waiting);
        }
    }
    if wants("relaxed") {
        relaxed_load(&directory);
    }
    if wants("start") {
        start_and_merge(&directory);
    }
}

fn percentiles(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |per_mille: usize| {
        times
            .get((times.len() - 1) * per_mille / 1000)
            .map_or(0, Duration::as_micros)
    };
    let max = at(1000);
    let (p50, p99, p999) = (at(500), at(990), at(999));
    println!("{what}: p50 {p50} p99 {p99} p99.9 {p999} max {max} us");
}

/// A journal whose operations succeed without being executed.
fn journal(config: Config) -> Journal {
    let mut seed = 0;
    let seeds = Box::new(move || {
        seed += 1;
        seed
    });
    let mut journal = Journal::new(config, ID, Cursor::GENESIS, seeds);
    serve(&mut journal, &mut Vec::new());
    journal
}

fn serve(journal: &mut Journal, file: &mut Vec<u8>) {
    for lane in [Lane::Create, Lane::Write] {
        while let Some(io) = journal.next_io(lane) {
            if let Io::Create { header, .. } = &io
                && file.is_empty()
            {
                file.extend_from_slice(header);
                file.resize(4096, 0);
            }
            if let Io::Write { bytes, .. } = &io {
                file.extend_from_slice(bytes);
            }
            journal.complete(io, Ok(()));
        }
    }
}

fn append() {
    const COUNT: u32 = 5_000_000;
    for batch in [1, 10, 100] {
        let mut journal = journal(Config::new(Durability::Strict));
        let mut spent = Duration::ZERO;
        for _ in 0..COUNT / batch {
            let start = Instant::now();
            for _ in 0..batch {
                black_box(journal.append(black_box(&PAYLOAD), Class::Reserve)).unwrap();
            }
            spent += start.elapsed();
            serve(&mut journal, &mut Vec::new());
        }
        let each = spent.as_nanos() / u128::from(COUNT);
        println!(
            "append of 80 bytes, {batch} a batch: {each} ns (a clock reading per batch in it)"
        );
    }
}

fn scan() {
    let config = Config {
        segment_size: 1 << 40,
        ..Config::new(Durability::Strict)
    };
    let mut seeded = Journal::new(config, ID, Cursor::GENESIS, Box::new(|| 1));
    let mut file = Vec::new();
    serve(&mut seeded, &mut file);
    while file.len() < 64 << 20 {
        for _ in 0..20 {
            seeded.append(&PAYLOAD, Class::Reserve).unwrap();
        }
        serve(&mut seeded, &mut file);
    }
    for _ in 0..3 {
        let start = Instant::now();
        let mut scan = Scan::new(Some(ID), Cursor::GENESIS);
        let count = scan.segment(1, &file).unwrap().map(black_box).count();
        assert!(!scan.finish().unwrap().torn);
        let each = start.elapsed().as_nanos() / count as u128;
        let rate = 1_000_000_000 / each;
        println!("scan of {count} records of 80 bytes: {each} ns each, {rate} records/s");
    }
    file.truncate(8192);
    file.resize(64 << 20, 0);
    let start = Instant::now();
    let mut scan = Scan::new(Some(ID), Cursor::GENESIS);
    scan.segment(1, &file).unwrap().for_each(drop);
    println!(
        "search behind the end of an almost empty 64 MiB segment: {:?}",
        start.elapsed()
    );
}

#[derive(Clone, Copy, Debug)]
enum Prepare {
    Nothing,
    Allocate,
    Zeros,
}

/// What the preallocation is worth: writes of one batch, each with its `fdatasync`.
fn write_and_sync(directory: &Path, how: Prepare, round: u32) {
    const SIZE: u64 = 64 << 20;
    let dir = tempfile::tempdir_in(directory).unwrap();
    let start = Instant::now();
    let file = File::create(dir.path().join("file")).unwrap();
    match how {
        Prepare::Nothing => {}
        Prepare::Allocate => {
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, SIZE).unwrap();
        }
        Prepare::Zeros => {
            let zeros = vec![0; 1 << 20];
            for offset in (0..SIZE).step_by(zeros.len()) {
                file.write_all_at(&zeros, offset).unwrap();
            }
        }
    }
    file.sync_all().unwrap();
    let made = start.elapsed();
    let batch = [1; 1024];
    let mut times = Vec::new();
    for n in 0..2_000 {
        let start = Instant::now();
        file.write_all_at(&batch, 4096 + n * batch.len() as u64)
            .unwrap();
        file.sync_data().unwrap();
        times.push(start.elapsed());
    }
    let what = format!("write of 1 KiB + fdatasync, {how:?}, round {round}, made in {made:?}");
    percentiles(&what, times);
}

fn writer(directory: &Path, durability: Durability) -> Writer {
    let files = Arc::new(Files::open(directory).unwrap());
    let seeds = Box::new(|| getrandom::u64().unwrap());
    let journal = Journal::new(Config::new(durability), ID, Cursor::GENESIS, seeds);
    let main = thread::current();
    let notify = Box::new(move |_| main.unpark());
    Writer::start(journal, files, Timing::default(), notify).unwrap()
}

/// A hot thread with this many requests waiting at a time: append, kick, wait for the disk.
fn strict_batches(directory: &Path, waiting: usize) {
    let dir = tempfile::tempdir_in(directory).unwrap();
    let writer = writer(dir.path(), Durability::Strict);
    let mut times = Vec::new();
    for _ in 0..5_000 {
        let start = Instant::now();
        let mut last = None;
        for _ in 0..waiting {
            last = Some(writer.append(&PAYLOAD, Class::Reserve).unwrap());
        }
        writer.kick();
        while last.is_some_and(|last| writer.published().durable < last) {
            thread::park_timeout(Duration::from_millis(100));
        }
        times.push(start.elapsed());
    }
    percentiles(&format!("strict, {waiting} waiting: append to wake"), times);
}

/// Appends at full speed, in lots as a hot thread would; what it costs that thread.
fn relaxed_load(directory: &Path) {
    const COUNT: u32 = 2_000_000;
    let dir = tempfile::tempdir_in(directory).unwrap();
    let writer = writer(dir.path(), Durability::Relaxed);
    let (mut refused, mut times) = (0, Vec::new());
    let start = Instant::now();
    for _ in 0..COUNT / 16 {
        let lot = Instant::now();
        for _ in 0..16 {
            while writer.append(&PAYLOAD, Class::Reserve).is_err() {
                refused += 1;
                thread::sleep(Duration::from_micros(50));
            }
        }
        writer.kick();
        times.push(lot.elapsed());
    }
    let appended = start.elapsed();
    writer.close();
    let each = appended.as_nanos() / u128::from(COUNT);
    println!(
        "relaxed, one thread at full speed: {each} ns a record with lock and kick, {refused} \
         waits for room; all durable after {:?}",
        start.elapsed()
    );
    percentiles("relaxed, a lot of 16 appends and a kick", times);
}

fn start_and_merge(directory: &Path) {
    const COUNT: u64 = 2_000_000;
    let dir = tempfile::tempdir_in(directory).unwrap();
    let writer = writer(dir.path(), Durability::Relaxed);
    for n in 0..COUNT {
        let mut payload = PAYLOAD;
        payload[..8].copy_from_slice(&(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44).to_le_bytes());
        while writer.append(&payload, Class::Reserve).is_err() {
            writer.kick();
            thread::sleep(Duration::from_micros(50));
        }
        if n % 64 == 0 {
            writer.kick();
        }
    }
    drop(writer);
    let files = Files::open(dir.path()).unwrap();
    let mut count = 0_u64;
    let start = Instant::now();
    let recovered = recover(&files, Some(ID), Cursor::GENESIS, |_| count += 1).unwrap();
    println!("start over {count} records in files: {:?}", start.elapsed());
    let start = Instant::now();
    let sealed = Sealed {
        before: recovered.next.segment,
        count_max: 100,
    };
    let key_of = |payload: &[u8]| payload.first_chunk().map(|key| u64::from_le_bytes(*key));
    let merged = merge(&files, ID, sealed, key_of, |_, old, payloads| {
        let last = payloads.last().map(|(_, payload)| payload.to_vec());
        Ok::<_, std::convert::Infallible>(last.or_else(|| old.map(<[u8]>::to_vec)))
    });
    let keys = merged.unwrap().unwrap().count;
    println!(
        "merge of them into a checkpoint of {keys} keys: {:?}",
        start.elapsed()
    );
    let start = Instant::now();
    let found = load(&files).unwrap().checkpoint.unwrap();
    println!("verifying it: {:?}", start.elapsed());
    assert_eq!(verify(&files, found.name()).unwrap(), found);
}
