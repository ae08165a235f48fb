//! Strangers in large numbers (G3, G5): they are slow, or they talk nonsense, and those whose
//! signature is known do not notice. Client and server have the whole machine between them, so the
//! figures with and without the crowd are taken in the same minute.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::alone;
use crate::open_loop::{Outcome, Phase, Ran, drive};
use crate::overload::{assert_all_valid, home, requests};
use crate::server::{Client, Home, Server, SnapshotOf, authorization, millis_since, now};

const BUDGET_MS: u32 = 5_000;
/// Nobody is ended for being slow while it is measured.
const PATIENT: &str = "header_timeout_ms = 60000";
/// Signed requests a second, far below what even a debug build can do.
const RATE: u64 = 200;
const ISSUERS_CONNECTIONS: usize = 8;
const MEASURED: Duration = Duration::from_secs(2);
/// A neighbour may take the machine for a while.
const ATTEMPTS: usize = 3;

/// The signed traffic alone, then beside the crowd that is there once `begin` returns; p99 of both.
fn beside<T>(server: &Server, name: &str, begin: impl FnOnce() -> T) -> (i64, i64, T) {
    let requests = requests(name, 2_000);
    let mut crowd = None;
    let mut begin = Some(begin);
    let ran = drive(server.issuer, ISSUERS_CONNECTIONS, &requests, |ran| {
        if ran.len() == 2 {
            crowd = begin.take().map(|begin| begin());
        }
        (ran.len() < 3).then(|| Phase::open(RATE, MEASURED))
    });
    assert_all_valid(&ran);
    let approved = |ran: &Ran| ran.samples.iter().all(|it| it.outcome == Outcome::Approved);
    assert!(ran.iter().all(approved), "some were declined");
    let p99 = |at: usize| ran[at].percentile_us(99, ran[at].began);
    (p99(1), p99(2), crowd.unwrap())
}

/// Twice as slow and 10 ms are noise of a machine that client, crowd and server share.
fn is_alike(alone_us: i64, beside_us: i64) -> bool {
    println!("p99 of signed requests: {alone_us} us alone, {beside_us} us beside the crowd");
    beside_us <= 2 * alone_us + 10_000
}

/// Each has begun a request, and goes on with it byte by byte.
#[test]
fn g5_ten_thousand_slow_connections_do_not_hold_up_the_others() {
    const SLOW: usize = 10_000;
    // With buffers for whole requests it would be 25 KiB.
    const KIB_EACH_MAX: u64 = 8;
    let _alone = alone();
    let home = home(PATIENT, BUDGET_MS);
    let alike = (0..ATTEMPTS).any(|attempt| {
        let server = home.start();
        let over = AtomicBool::new(false);
        let name = format!("slow-{attempt}");
        let alike = thread::scope(|scope| {
            let before_kib = server.resident_kib();
            let (alone_us, beside_us, slow) = beside(&server, &name, || {
                let slow = connect_slowly(&server, SLOW);
                let over = &over;
                scope.spawn(move || trickle(slow, over))
            });
            let grown_kib = server.resident_kib() - before_kib;
            println!("{grown_kib} KiB for {SLOW} connections");
            assert!(grown_kib < SLOW as u64 * KIB_EACH_MAX, "{grown_kib} KiB");
            over.store(true, Ordering::Relaxed);
            let open = slow.join().unwrap();
            assert!(
                open > SLOW * 9 / 10,
                "only {open} were left while it was measured"
            );
            is_alike(alone_us, beside_us)
        });
        assert!(server.terminate().success());
        alike
    });
    assert!(alike, "in none of {ATTEMPTS} attempts");
}

fn connect_slowly(server: &Server, count: usize) -> Vec<Client> {
    let begun = |_| {
        let mut client = server.client();
        client.send(b"POST /issuers/acme/");
        client
    };
    (0..count).map(begun).collect()
}

/// One more byte on each connection, about every second; how many still took it.
fn trickle(mut slow: Vec<Client>, over: &AtomicBool) -> usize {
    const PIECES: usize = 100;
    let size = slow.len().div_ceil(PIECES);
    let mut open = 0;
    while !over.load(Ordering::Relaxed) {
        open = 0;
        for piece in slow.chunks_mut(size) {
            open += piece
                .iter_mut()
                .filter_map(|it| it.try_send(b"x").then_some(()))
                .count();
            thread::sleep(Duration::from_millis(10));
        }
    }
    open
}

/// Wrong signatures as fast as they are answered: on connections that are kept, and each on a new one.
#[test]
fn g3_junk_with_bad_signatures_does_not_hold_up_the_others() {
    const KEPT: usize = 48;
    const ANEW: usize = 8;
    let _alone = alone();
    let home = home("", BUDGET_MS);
    let alike = (0..ATTEMPTS).any(|attempt| {
        let server = home.start();
        let (over, refused) = (AtomicBool::new(false), AtomicU64::new(0));
        let name = format!("junk-{attempt}");
        let alike = thread::scope(|scope| {
            let (alone_us, beside_us, ()) = beside(&server, &name, || {
                for number in 0..KEPT + ANEW {
                    let (server, over, refused) = (&server, &over, &refused);
                    scope.spawn(move || talk_nonsense(server, number < KEPT, over, refused));
                }
            });
            over.store(true, Ordering::Relaxed);
            is_alike(alone_us, beside_us)
        });
        let refused = refused.into_inner();
        println!("{refused} refused");
        assert!(refused > 500, "{refused}");
        assert!(server.terminate().success());
        alike
    });
    assert!(alike, "in none of {ATTEMPTS} attempts");
}

fn talk_nonsense(server: &Server, keeps: bool, over: &AtomicBool, refused: &AtomicU64) {
    let text = String::from_utf8(authorization("junk", "card-1", 100)).unwrap();
    let junk = text.replace("webhook-signature: v1,", "webhook-signature: v1,AAAA");
    assert_ne!(text, junk);
    let mut client = server.client();
    while !over.load(Ordering::Relaxed) {
        assert_eq!(client.ask(junk.as_bytes()).status, 401);
        refused.fetch_add(1, Ordering::Relaxed);
        if !keeps {
            client = server.client();
        }
    }
}

/// A stranger who is refused again and again waits for it; one mistake costs nothing, and whoever
/// shows a signature starts afresh.
#[test]
fn g3_who_is_refused_again_and_again_waits_longer_and_longer() {
    let home = home("", BUDGET_MS);
    let server = home.start();
    let good = |token: &str| authorization(token, "card-1", 100);
    let bad = String::from_utf8(good("bad")).unwrap();
    let bad = bad.replace("webhook-signature: v1,", "webhook-signature: v1,AAAA");
    let mut client = server.client();
    let refuse = |client: &mut Client| {
        let since = now();
        assert_eq!(client.ask(bad.as_bytes()).status, 401);
        millis_since(since)
    };
    // A pause of so many ticks of 100 ms lasts at least one tick less.
    for ticks in 0..5 {
        let took = refuse(&mut client);
        assert!(took >= (ticks - 1) * 100, "{ticks}: {took} ms");
    }
    assert!(client.ask(&good("good")).is_approval());
    let first: i64 = (0..2).map(|_| refuse(&mut client)).sum();
    let sixth: i64 = (2..6).map(|_| refuse(&mut client)).sum();
    assert!(sixth > first, "{first} ms, {sixth} ms");
    assert!(server.terminate().success());
}

/// Connections come while nobody accepts any, more than a listener of the standard library holds: they
/// are there at once, and each is answered.
#[test]
fn g7_a_burst_of_connections_waits_in_the_kernel_and_none_is_lost() {
    const BURST: usize = 200;
    const AT_ONCE_MS: i64 = 900;
    let _alone = alone();
    let home = home(PATIENT, BUDGET_MS);
    let server = home.start();
    server.signal(Signal::STOP);
    let since = now();
    let mut clients: Vec<Client> = (0..BURST).map(|_| server.client()).collect();
    // What the kernel has no place for, it tries again after a second.
    let took_ms = millis_since(since);
    server.signal(Signal::CONT);
    assert!(took_ms < AT_ONCE_MS, "{took_ms} ms");
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&authorization(&format!("burst-{number}"), "card-1", 100));
    }
    for client in &mut clients {
        assert!(client.response().is_approval());
    }
    assert!(server.terminate().success());
}

/// Where all seats are taken, a stranger gives up its own; an issuer does not.
#[test]
fn g7_an_issuer_finds_a_seat_among_strangers() {
    const SEATS: usize = 40;
    let _alone = alone();
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.card("card-1", "cus", None, &json!({}));
    let seats = format!("connections_max = {SEATS}\n{PATIENT}");
    let home = Home::with_config("relaxed", &snapshot.build(), &seats, BUDGET_MS);
    let server = home.start();
    let ask = |client: &mut Client, token: &str| {
        assert!(
            client
                .ask(&authorization(token, "card-1", 100))
                .is_approval()
        );
    };
    let mut issuers: Vec<Client> = (0..SEATS / 2).map(|_| server.client()).collect();
    for (number, issuer) in issuers.iter_mut().enumerate() {
        ask(issuer, &format!("first-{number}"));
    }
    // Twice as many strangers as there are seats: the later ones take the place of the earlier ones.
    let mut strangers = connect_slowly(&server, 2 * SEATS);
    for stranger in &mut strangers[..SEATS] {
        assert!(stranger.is_closed());
    }
    for (number, issuer) in issuers.iter_mut().enumerate() {
        ask(issuer, &format!("second-{number}"));
    }
    let mut late: Vec<Client> = (0..SEATS / 2).map(|_| server.client()).collect();
    for (number, issuer) in late.iter_mut().enumerate() {
        ask(issuer, &format!("late-{number}"));
    }
    // Now all seats are issuers': there is none for anybody.
    assert!(server.client().is_closed());
    assert!(server.terminate().success());
}
