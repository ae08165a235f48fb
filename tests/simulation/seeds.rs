//! Many seeds, one seed, and the bugs that must be found.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use crate::covered::COVERED;
use crate::planted::Planted;
use crate::run::Run;
use crate::trace::{Coverage, Violation};

/// What happens in one run.
const STEPS: u32 = 600;
/// Under plain `cargo test`, where nothing is optimised.
const SEEDS: u64 = 60;
/// One seed in so many is run twice, and must run the same way.
const TWICE: u64 = 20;
/// Seeds in which a planted bug must show.
const SEEDS_TO_FIND: u64 = 2_000;

#[expect(clippy::disallowed_methods, reason = "knobs of the test alone")]
fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn threads() -> usize {
    thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8)
}

/// How a run ended.
struct Ended {
    hash: u64,
    cover: Coverage,
    lines: Vec<String>,
    violation: Option<Violation>,
}

fn run(seed: u64, planted: Planted, keeps_lines: bool) -> Ended {
    let mut run = Run::new(seed, planted, keeps_lines);
    let checked = catch_unwind(AssertUnwindSafe(|| run.run(STEPS)));
    let violation = match checked {
        Ok(checked) => checked.err(),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(Violation {
                law: "no panic",
                text: text.unwrap_or_default(),
            })
        }
    };
    Ended {
        hash: run.trace.hash(),
        lines: run.trace.take_lines(),
        cover: run.cover,
        violation,
    }
}

fn replay(seed: u64) -> String {
    format!("SIM_SEED={seed} cargo test --test simulation one_seed -- --nocapture")
}

#[test]
fn one_seed() {
    let seed = asked("SIM_SEED").unwrap_or(0);
    let ended = run(seed, Planted::Nothing, true);
    for line in &ended.lines {
        println!("{line}");
    }
    let again = run(seed, Planted::Nothing, false);
    assert_eq!(ended.hash, again.hash, "one seed, two runs");
    if let Some(Violation { law, text }) = ended.violation {
        panic!("seed {seed}, {law}: {text}\n{}", replay(seed));
    }
}

#[test]
fn every_seed_obeys_the_laws() {
    let count = asked("SIM_SEEDS").unwrap_or(SEEDS);
    let next = AtomicU64::new(asked("SIM_FIRST").unwrap_or(0));
    let end = next.load(Ordering::Relaxed) + count;
    let failed = AtomicBool::new(false);
    let total = Mutex::new(Coverage::default());
    let failures = Mutex::new(Vec::new());
    let threads = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut cover = Coverage::default();
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        break;
                    }
                    let mut ended = run(seed, Planted::Nothing, false);
                    cover.add(&ended.cover);
                    let twice = seed.is_multiple_of(TWICE);
                    if twice && run(seed, Planted::Nothing, false).hash != ended.hash {
                        let text = "one seed, two runs".to_owned();
                        let law = "determinism";
                        ended.violation = Some(Violation { law, text });
                    }
                    if let Some(violation) = ended.violation {
                        failed.store(true, Ordering::Relaxed);
                        failures.lock().unwrap().push((seed, violation));
                    }
                }
                total.lock().unwrap().add(&cover);
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort_by_key(|(seed, _)| *seed);
    if let Some((seed, Violation { law, text })) = failures.first() {
        panic!("seed {seed}, {law}: {text}\n{}", replay(*seed));
    }
    let total = total.into_inner().unwrap();
    println!("{count} seeds, each of {STEPS} steps\n{total}");
    let seldom: Vec<_> = COVERED
        .iter()
        .filter(|(what, least)| total.count(what) < least * count / 10_000)
        .collect();
    assert!(
        seldom.is_empty(),
        "seldom or never in {count} seeds: {seldom:?}"
    );
}

/// The simulation would be worth nothing if it let these pass.
#[test]
fn every_planted_bug_is_found() {
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| {
                while let Some(bug) = Planted::BUGS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = find(*bug) {
                        missed.lock().unwrap().push(format!("{bug:?}: {why}"));
                    }
                }
            });
        }
    });
    let missed = missed.into_inner().unwrap();
    assert!(missed.is_empty(), "{missed:#?}");
}

fn find(bug: Planted) -> Result<(), String> {
    for seed in 0..SEEDS_TO_FIND {
        let Some(Violation { law, text }) = run(seed, bug, false).violation else {
            continue;
        };
        println!("{bug:?}: found by {law} after {} seeds: {text}", seed + 1);
        let rightly = bug.laws().contains(&law);
        return if rightly {
            Ok(())
        } else {
            Err(format!("seed {seed}, {law}: {text}"))
        };
    }
    Err(format!("not found in {SEEDS_TO_FIND} seeds"))
}
