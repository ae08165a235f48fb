//! More than the machine can do (behaviour 3.3; G1, G2, G4): the server on one core, the client on
//! another where there is one. What the machine can do is measured in the same minute.
//!
//! `COUNTERSIGN_OVERLOAD_SECONDS=600 cargo test --profile ci --test binary_load g1_` is the long form.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::json;

use crate::alone;
use crate::load::{Load, redeliver};
use crate::open_loop::{Outcome, Phase, Ran, Sample, drive};
use crate::server::{Home, Server, SnapshotOf, authorization};

const CARDS: usize = 1_000;
/// A card whose sum can be read.
const COUNTED: &str = "card-counted";
const CONNECTIONS: usize = 1_500;
const BUDGET_MS: u32 = 1_000;
/// A busy neighbour may spoil a figure; none may make an answer late or wrong.
const ATTEMPTS: usize = 3;

/// Pins this thread, and what it starts, to one of the cores that it had at first.
pub(crate) struct Cores(CpuSet);

impl Cores {
    pub(crate) fn of_this_thread() -> Self {
        Self(sched_getaffinity(None).unwrap())
    }

    fn pin(&self, choose: impl FnOnce(&[usize]) -> usize) {
        let ours: Vec<usize> = (0..CpuSet::MAX_CPU)
            .filter(|cpu| self.0.is_set(*cpu))
            .collect();
        let mut one = CpuSet::new();
        one.set(choose(&ours));
        sched_setaffinity(None, &one).unwrap();
    }

    /// A server with one hot thread on the first core; the client goes to the last.
    pub(crate) fn start(&self, home: &Home) -> Server {
        self.pin(|ours| ours[0]);
        let server = home.start();
        self.pin(|ours| *ours.last().unwrap());
        server
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        sched_setaffinity(None, &self.0).unwrap();
    }
}

pub(crate) fn home(server_keys: &str, budget_ms: u32) -> Home {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    for card in 0..CARDS {
        snapshot.card(&format!("card-{card}"), "cus", None, &json!({}));
    }
    let limit = json!({"limits": {"total": 1_000_000_000}});
    snapshot.card(COUNTED, "cus", None, &limit);
    Home::with_config("relaxed", &snapshot.build(), server_keys, budget_ms)
}

/// Signed in advance, because a client that signs is slower than the server.
pub(crate) fn requests(name: &str, count: usize) -> Vec<Vec<u8>> {
    let one = |at: usize| {
        let (token, card) = (format!("{name}-{at}"), format!("card-{}", at % CARDS));
        authorization(&token, &card, 100)
    };
    (0..count).map(one).collect()
}

pub(crate) fn assert_all_valid(ran: &[Ran]) {
    let mut samples = ran.iter().flat_map(|ran| &ran.samples);
    let invalid = samples.find(|it| matches!(it.outcome, Outcome::Invalid(_)));
    assert!(invalid.is_none(), "{invalid:?}");
}

fn late(ran: &[Ran], budget_ms: u32) -> Vec<&Sample> {
    let budget_us = i64::from(budget_ms) * 1_000;
    let samples = ran.iter().flat_map(|ran| &ran.samples);
    samples.filter(|it| it.took_us > budget_us).collect()
}

/// Seconds of each phase that the issue is about.
#[expect(clippy::disallowed_methods, reason = "the long form is asked for")]
fn seconds() -> u64 {
    let set = std::env::var("COUNTERSIGN_OVERLOAD_SECONDS").ok();
    set.map_or(2, |text| text.parse().expect("it is a number"))
}

#[test]
fn g1_g4_overload_makes_no_answer_late_and_goes_as_it_came() {
    let _alone = alone();
    let cores = Cores::of_this_thread();
    let home = home("", BUDGET_MS);
    let mut spoilt = Vec::new();
    for attempt in 0..ATTEMPTS {
        let server = cores.start(&home);
        let requests = requests(&format!("attempt-{attempt}"), 30_000);
        let ran = drive(server.issuer, CONNECTIONS, &requests, plan());
        assert!(server.terminate().success());
        assert_all_valid(&ran);
        assert!(
            late(&ran, BUDGET_MS).is_empty(),
            "{:?}",
            late(&ran, BUDGET_MS)
        );
        match judge(&ran) {
            Ok(()) => return,
            Err(why) => spoilt.push(why),
        }
    }
    panic!("{spoilt:#?}");
}

const SECOND: Duration = Duration::from_secs(1);
/// In the order in which they run.
const WARM: usize = 0;
const CAPACITY: usize = 1;
const BEFORE: usize = 2;
const THREE_TIMES: usize = 3;
const AFTER: usize = 4;
const TEN_TIMES: usize = 5;
const AT_LAST: usize = 6;

fn plan() -> impl FnMut(&[Ran]) -> Option<Phase> {
    let long = Duration::from_secs(seconds());
    move |ran| {
        let capacity = || ran[CAPACITY].approved_per_second();
        Some(match ran.len() {
            WARM => Phase::closed(SECOND),
            CAPACITY => Phase::closed(2 * SECOND),
            BEFORE | AT_LAST => Phase::open(capacity() * 8 / 10, SECOND),
            AFTER => Phase::open(capacity() * 8 / 10, 3 * SECOND),
            THREE_TIMES => Phase::open(capacity() * 3, long),
            TEN_TIMES => Phase::open(capacity() * 10, long),
            _ => return None,
        })
    }
}

/// What depends on the machine: the work that is done, and how soon all is as before.
fn judge(ran: &[Ran]) -> Result<(), String> {
    let capacity = ran[CAPACITY].approved_per_second();
    let goodput = ran[THREE_TIMES].approved_per_second();
    let normal_us = ran[BEFORE].percentile_us(99, ran[BEFORE].began);
    let recovered = ran[AFTER].began.plus_micros(1_000_000);
    let after_us = ran[AFTER].percentile_us(99, recovered);
    let said = format!(
        "capacity {capacity}/s, goodput at 3 x {goodput}/s, at 10 x {}/s, slowest {} us; \
         p99 at 0.8 x {normal_us} us before and {after_us} us a second after",
        ran[TEN_TIMES].approved_per_second(),
        ran.iter().map(Ran::slowest_us).max().unwrap(),
    );
    println!("{said}");
    let is_good = goodput * 10 >= capacity * 9;
    let is_normal = after_us <= 2 * normal_us + 20_000;
    if is_good && is_normal {
        Ok(())
    } else {
        Err(said)
    }
}

/// Threads that want the server's core for themselves.
fn crowd_core<T>(cores: &Cores, threads: usize, run: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                cores.pin(|ours| ours[0]);
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let result = run();
        over.store(true, Ordering::Relaxed);
        result
    })
}

/// A server that others have slowed down so far that a full turn of all connections takes most of its
/// budget: what cannot be done in time is declined in time. The others are threads of this test, so
/// that a strange neighbour may make it worse: it has to work once.
#[test]
fn g2_what_cannot_be_done_in_time_is_declined_in_time() {
    let _alone = alone();
    let cores = Cores::of_this_thread();
    let spoilt: Vec<String> = (0..ATTEMPTS)
        .map_while(|_| slowed_down(&cores).err())
        .collect();
    assert!(spoilt.len() < ATTEMPTS, "{spoilt:#?}");
}

fn slowed_down(cores: &Cores) -> Result<(), String> {
    const BUDGET_MS: u32 = 500;
    // So many connections are not made in the usual time.
    let home = home("header_timeout_ms = 60000", BUDGET_MS);
    let server = cores.start(&home);
    let requests = requests("slowed", 20_000);
    let closed =
        |phases: usize| move |ran: &[Ran]| (ran.len() < phases).then(|| Phase::closed(SECOND));
    let ran = crowd_core(cores, 2, || {
        let ran = drive(server.issuer, 64, &requests, closed(2));
        let capacity = ran[1].approved_per_second();
        let turn = capacity * u64::from(BUDGET_MS) / 1_000 * 65 / 100;
        let connections = usize::try_from(turn).unwrap().clamp(64, 9_000);
        drive(server.issuer, connections, &requests, closed(4))
    });
    assert!(server.terminate().success());
    assert_all_valid(&ran);
    let late = late(&ran, BUDGET_MS);
    let samples = || ran.iter().flat_map(|ran| &ran.samples);
    let declined = samples()
        .filter(|it| it.outcome == Outcome::Declined)
        .count();
    let said = format!(
        "{} asked, {declined} declined, {} late, slowest {} us",
        samples().count(),
        late.len(),
        ran.iter().map(Ran::slowest_us).max().unwrap(),
    );
    println!("{said}");
    let is_good = declined > 0 && late.is_empty();
    if is_good { Ok(()) } else { Err(said) }
}

/// As many as can be: whatever was sent is answered, and nothing of it is lost.
#[test]
fn g7_sigterm_under_overload_answers_what_was_sent_and_loses_nothing() {
    const CLIENTS: usize = 200;
    let _alone = alone();
    let home = home("", 5_000);
    let mut server = home.start();
    let load = Load {
        clients: CLIENTS,
        name: "ended".to_owned(),
        cards: vec![COUNTED.to_owned()],
    };
    let asked = load.run(server.issuer, |_| {
        thread::sleep(SECOND);
        server.signal(Signal::TERM);
    });
    assert_eq!(server.wait().code(), Some(0));
    let asked = asked.concat();
    let unanswered: Vec<_> = asked.iter().filter(|it| it.answer.is_none()).collect();
    assert!(unanswered.is_empty(), "{unanswered:?}");
    let approved: Vec<_> = asked
        .iter()
        .filter(|it| it.is_approved())
        .cloned()
        .collect();
    assert!(approved.len() > 2 * CLIENTS, "{} approvals", approved.len());
    println!("{} asked, {} approved", asked.len(), approved.len());
    let server = home.start();
    let sum: u64 = approved.iter().map(|it| it.amount).sum();
    assert_eq!(spent(&server), sum);
    let again = redeliver(server.issuer, &approved);
    assert!(again.iter().all(|it| it == "APPROVED"));
    assert_eq!(spent(&server), sum, "redeliveries were booked");
    assert!(server.terminate().success());
}

/// What the card has spent.
fn spent(server: &Server) -> u64 {
    let card = server.admin(&format!("/admin/cards/{COUNTED}"));
    card["limits"][0]["spent"].as_u64().unwrap()
}
