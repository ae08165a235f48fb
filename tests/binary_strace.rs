//! What the kernel saw (behaviour 2.8, 3.5): in `strict` an fdatasync that covers an approval's
//! frame has returned before the approval is written to the socket.
//!
//! Needs strace, so `cargo test` builds it only with `--features system-tests`; scripts/test does.

#![cfg(test)]

#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "support/load.rs"]
mod load;
#[expect(dead_code, reason = "shared; each target uses a part")]
#[path = "support/server.rs"]
mod server;
#[path = "binary_strace/trace.rs"]
mod trace;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::load::{Asked, Load};
use crate::server::{Home, SnapshotOf};
use crate::trace::{Call, Trace};

const CLIENTS: usize = 16;
const CARD: &str = "card_traced";

/// Everything that is asked of a traced server, by the client's address, and the trace.
fn traced(durability: &'static str) -> (BTreeMap<SocketAddr, Vec<Asked>>, Trace) {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.card(CARD, "cus", None, &json!({}));
    let home = Home::new(durability, &snapshot.build());
    let log = home.path("strace.log");
    let serve = home.serve();
    let mut strace = Command::new("strace");
    // -D keeps the server our own child, and its process id the one that is signalled.
    strace
        .args(["-D", "-f", "-yy", "-xx", "-s", "1000000", "-e"])
        .arg("trace=pwrite64,pwritev,fdatasync,fsync,write,writev,sendto,sendmsg")
        .arg("-o")
        .arg(&log)
        .arg(serve.get_program())
        .args(serve.get_args());
    let server = home.spawn(strace);
    let load = Load {
        clients: CLIENTS,
        name: durability.to_owned(),
        cards: vec![CARD.to_owned(), "card_of_nobody".to_owned()],
    };
    let asked = load.run_and_tell_addresses(server.issuer, |stop| {
        thread::sleep(Duration::from_secs(1));
        stop.store(true, Ordering::Relaxed);
    });
    assert!(server.terminate().success());
    (asked, Trace::parse(&read_whole(&log)))
}

/// The tracer outlives the server by a moment, in which it writes the end.
fn read_whole(log: &std::path::Path) -> String {
    for _ in 0..500 {
        let text = fs::read_to_string(log).unwrap();
        if text
            .lines()
            .last()
            .is_some_and(|it| it.contains("+++ exited with 0 +++"))
        {
            return text;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the trace has no end");
}

/// How many approvals left, and how many of them before an fdatasync had covered their frame.
struct Verdict {
    approvals: usize,
    declines: usize,
    uncovered: Vec<String>,
    syncs: usize,
}

fn examine(asked: &BTreeMap<SocketAddr, Vec<Asked>>, trace: &Trace) -> Verdict {
    let syncs: Vec<&Call> = trace.calls.iter().filter(|it| it.is_sync()).collect();
    let tokens = asked.values().flatten().map(|it| it.token.as_str());
    let frames = trace.frames(&tokens.collect());
    let mut verdict = Verdict {
        approvals: 0,
        declines: 0,
        uncovered: Vec::new(),
        syncs: syncs.len(),
    };
    for (address, asked) in asked {
        let answers: Vec<&Call> = trace.answers_to(*address).collect();
        assert_eq!(answers.len(), asked.len(), "answers to {address}");
        for (asked, answer) in asked.iter().zip(answers) {
            assert_eq!(answer.has("\"APPROVED\""), asked.is_approved(), "{asked:?}");
            if !asked.is_approved() {
                verdict.declines += 1;
                continue;
            }
            verdict.approvals += 1;
            let frame = frames.get(asked.token.as_str());
            let frame = frame.unwrap_or_else(|| panic!("no frame of {asked:?}"));
            let covered = syncs.iter().any(|sync| {
                sync.succeeded
                    && sync.file == frame.file
                    && frame.returned < sync.entered
                    && sync.returned < answer.entered
            });
            if !covered {
                verdict.uncovered.push(asked.token.clone());
            }
        }
    }
    verdict
}

#[test]
fn in_strict_every_approval_is_synced_before_it_is_written_to_the_socket() {
    require_strace();
    let (asked, trace) = traced("strict");
    let verdict = examine(&asked, &trace);
    println!(
        "strict: {} approvals and {} declines on {CLIENTS} connections, {} syncs, {} uncovered",
        verdict.approvals,
        verdict.declines,
        verdict.syncs,
        verdict.uncovered.len()
    );
    assert!(verdict.approvals > 200, "{}", verdict.approvals);
    assert!(verdict.uncovered.is_empty(), "{:?}", verdict.uncovered);

    // The examination finds what it looks for: in `relaxed` approvals do not wait for the sync.
    let (asked, trace) = traced("relaxed");
    let verdict = examine(&asked, &trace);
    println!(
        "relaxed: {} approvals, {} of them before a sync",
        verdict.approvals,
        verdict.uncovered.len()
    );
    assert!(verdict.uncovered.len() * 2 > verdict.approvals);
}

fn require_strace() {
    let found = Command::new("strace")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(
        found.is_ok_and(|status| status.success()),
        "strace is missing: sudo apt-get install --yes strace"
    );
}
