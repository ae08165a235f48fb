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
fn nodes_approve_exactly_what_there_is_room_for() {
    let more = ["--nodes", "2", "--connections", "16", "--room", "60"];
    let (figures, text) = figures("exact.json", "exactness", &more);
    let [ours, theirs] = figures["exactness"].as_array().unwrap().as_slice() else {
        panic!("{figures}");
    };
    let count = |of: &Value, name: &str| of[name].as_u64().unwrap();
    assert!(count(ours, "asked") > 60, "{text}");
    assert_eq!(count(ours, "approved"), 60, "{text}");
    // How many more depends on the machine, and so does whether it is any.
    assert!(count(theirs, "approved") >= 60, "{text}");
}

#[test]
fn nodes_are_measured_beside_the_function_alone() {
    let more = ["--nodes", "1", "--connections", "8"];
    let (figures, text) = figures("throughput.json", "throughput", &more);
    let round = &figures["rounds"][0];
    let (nodes, floor) = (&round["countersign"], &round["floor"]);
    let count = |of: &Value, name: &str| of[name].as_u64().unwrap();
    // One call a decision, but for what a node looks up by itself; and what a call costs was told by Redis.
    let (calls, decisions) = (count(&nodes["calls"], "count"), count(nodes, "decisions"));
    let most = decisions + decisions / 10 + 10;
    assert!((decisions..=most).contains(&calls), "{text}");
    assert!(count(&floor["calls"], "p50_ns") > 0, "{text}");
    assert_eq!(count(nodes, "entry_size"), count(floor, "entry_size"));
    assert!(count(nodes, "entry_size") > 49, "{text}");
    assert!(
        count(floor, "per_second") > count(nodes, "per_second"),
        "{text}"
    );
    assert!(
        count(nodes, "nodes_ns") > count(nodes, "redis_ns"),
        "{text}"
    );
}
