//! Nodes that share a ledger, as `loadtest shared` loads them: real nodes on a real Redis. The workspace's
//! tests have built the server beside this binary.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, which clippy does not know as such"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn figures(name: &str, what: &str, more: &[&str]) -> (Value, String) {
    let binary = Path::new(env!("CARGO_BIN_EXE_loadtest"));
    let json = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::remove_file(&json).unwrap_or_default();
    let output = Command::new(binary)
        .args(["shared", what, "--rounds", "1", "--seconds", "1"])
        .args(["--warmup", "0", "--prepared-per-second", "20000"])
        .args(["--cards", "100", "--agents", "10", "--customers", "20"])
        .args(["--server-core", "0", "--generator-core", "0"])
        .args(more)
        .arg("--server-bin")
        .arg(binary.with_file_name("countersign"))
        .arg("--json")
        .arg(&json)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    let figures = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    (figures, String::from_utf8(output.stdout).unwrap())
}

#[test]
fn nodes_approve_no_more_than_there_is_room_for() {
    let more = ["--nodes", "2", "--connections", "8", "--room", "20"];
    let (figures, text) = figures("exact.json", "exactness", &more);
    let [ours, theirs] = figures["exactness"].as_array().unwrap().as_slice() else {
        panic!("{figures}");
    };
    let count = |of: &Value, name: &str| of[name].as_u64().unwrap();
    // On a machine that is busy some are declined because their time was over.
    assert!((1..=20).contains(&count(ours, "approved")), "{text}");
    assert!(count(ours, "asked") > count(ours, "approved"), "{text}");
    // How many more depends on the machine, and so does whether it is any.
    assert!(count(theirs, "approved") >= 20, "{text}");
}

#[test]
fn an_entry_takes_the_memory_of_its_bytes_and_little_more() {
    let (figures, text) = figures("memory.json", "memory", &["--entry-size", "200"]);
    let count = |name: &str| figures["growth"][name].as_u64().unwrap();
    assert!((200..260).contains(&count("more")), "{text}");
    assert!(count("first") > count("more"), "{text}");
}

#[test]
fn a_redis_that_lost_everything_gets_it_back() {
    let (figures, text) = figures("rebuild.json", "rebuild", &["--connections", "4"]);
    let [rebuilt] = figures["rebuilds"].as_array().unwrap().as_slice() else {
        panic!("{figures}");
    };
    let count = |name: &str| rebuilt[name].as_u64().unwrap();
    assert!((1..=100).contains(&count("cards")), "{text}");
    assert!(count("entries") >= count("cards"), "{text}");
    // An entry has a head of 49 bytes and an event.
    assert!(count("copy_bytes") > count("entries") * 100, "{text}");
    assert!(count("redis_bytes") > count("entries") * 100, "{text}");
}
