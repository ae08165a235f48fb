//! The binary as its users run it: real processes, real sockets, a second or so each.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which clippy does not know as such"
)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

const SECRET: &str = "aDeFC3Zn55XB3PDD2zF0JP9cyrDHdV/18VOmkTcuyto=";
const OTHER_SECRET: &str = "b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIhISE=";

fn loadtest(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(arguments);
    command
}

fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A baseline that ends with the test.
struct Server {
    process: Child,
    target: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut process = loadtest(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(line.strip_prefix("ready ").unwrap()).unwrap();
        let target = format!(
            "{}/issuers/load/authorizations",
            ready["issuer"].as_str().unwrap()
        );
        Self { process, target }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Runs for a second and returns the exit status, the text, and the figures if there are any.
fn run(target: &str, name: &str, more: &[&str]) -> (Output, Option<Value>) {
    let json = scratch(name);
    fs::remove_file(&json).unwrap_or_default();
    let output = loadtest(&["run", "--target", target, "--secret", SECRET])
        .args([
            "--duration",
            "1",
            "--warmup",
            "0",
            "--connections",
            "8",
            "--cards",
            "500",
        ])
        .args(["--prepared-per-second", "5000", "--json"])
        .arg(&json)
        .args(more)
        .output()
        .unwrap();
    let figures = fs::read(&json)
        .ok()
        .map(|bytes| serde_json::from_slice(&bytes).unwrap());
    (output, figures)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_closed_loop_is_reported_for_every_baseline() {
    let baselines: [&[&str]; 3] = [
        &["baseline", "raw"],
        &["baseline", "bare"],
        &["baseline", "verified", "--secret", SECRET],
    ];
    for arguments in baselines {
        let server = Server::start(arguments);
        let (output, figures) = run(&server.target, "closed.json", &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        let figures = figures.unwrap();
        let count = |name: &str| figures[name].as_u64().unwrap();
        assert!(count("requests_per_second") > 100);
        assert_eq!(count("sent"), count("replies"));
        assert_eq!(count("approved"), count("replies"));
        assert_eq!(count("duplicate_tokens"), 0);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("throughput"), "{text}");
    }
}

#[test]
fn an_open_loop_sends_every_request_that_was_scheduled() {
    let server = Server::start(&["baseline", "verified", "--secret", SECRET]);
    let (output, figures) = run(
        &server.target,
        "open.json",
        &["--mode", "open", "--rate", "500"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let figures = figures.unwrap();
    for name in ["scheduled", "sent", "replies", "approved"] {
        assert_eq!(figures[name], 500, "{name}");
    }
}

#[test]
fn figures_are_withheld_when_the_server_answers_with_errors() {
    let server = Server::start(&["baseline", "verified", "--secret", OTHER_SECRET]);
    let (output, figures) = run(&server.target, "refused.json", &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(figures.is_none() && output.stdout.is_empty());
    let text = stderr(&output);
    assert!(
        text.contains("HTTP status 401") && text.contains("fewer than 90 %"),
        "{text}"
    );
}

/// Answers each request; before the hundredth it stands still.
fn stall_once(mut stream: TcpStream, stall: Duration) {
    let mut buffer = vec![0; 65_536];
    let mut pending = Vec::new();
    let mut answered = 0;
    while let Ok(size @ 1..) = stream.read(&mut buffer) {
        pending.extend_from_slice(&buffer[..size]);
        // Every body ends in this field, and nothing else does.
        if pending.ends_with(b"\"ttl\":null}") {
            pending.clear();
            answered += 1;
            if answered == 100 {
                thread::sleep(stall);
            }
            let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"result\":\"APPROVED\"}";
            stream.write_all(reply).unwrap();
        }
    }
}

#[test]
fn a_stall_is_counted_for_the_requests_that_queued_behind_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        stall_once(listener.accept().unwrap().0, Duration::from_millis(400));
    });
    let open = ["--mode", "open", "--rate", "500", "--connections", "1"];
    let output = loadtest(&[
        "run", "--target", &target, "--secret", SECRET, "--warmup", "0",
    ])
    .args(["--duration", "1", "--cards", "10", "--json"])
    .arg(scratch("stall.json"))
    .args(open)
    .output()
    .unwrap();
    server.join().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let figures: Value = serde_json::from_slice(&fs::read(scratch("stall.json")).unwrap()).unwrap();
    // One reply in five hundred was late by itself: only the queue behind it moves the 99th
    // percentile.
    assert!(
        figures["latency"]["p99_ns"].as_u64().unwrap() > 300_000_000,
        "{figures}"
    );
    assert!(
        figures["send_lag"]["p99_ns"].as_u64().unwrap() > 300_000_000,
        "{figures}"
    );
}

#[test]
fn a_comparison_measures_all_three_and_leaves_nothing_behind() {
    let work_dir = scratch("compare");
    fs::create_dir_all(&work_dir).unwrap();
    // Stands in for the server: it takes its arguments and its secret, and serves a baseline.
    let server = work_dir.join("server");
    let script = format!(
        "#!/bin/sh\ntest \"$1\" = serve || exit 2\n\
         exec '{}' baseline verified --secret \"$LOADTEST_ISSUER_SECRET\"\n",
        env!("CARGO_BIN_EXE_loadtest")
    );
    fs::write(&server, script).unwrap();
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();

    let json = scratch("compare.json");
    let output = loadtest(&[
        "compare",
        "--rounds",
        "1",
        "--seconds",
        "1",
        "--warmup",
        "0",
        "--retries",
        "0",
        "--allow-disturbed",
    ])
    .args([
        "--cards",
        "500",
        "--connections",
        "8",
        "--prepared-per-second",
        "5000",
    ])
    .args([
        "--durability",
        "strict",
        "--server-core",
        "0",
        "--generator-core",
        "0",
    ])
    .arg("--server-bin")
    .arg(&server)
    .arg("--work-dir")
    .arg(&work_dir)
    .arg("--json")
    .arg(&json)
    .output()
    .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("countersign / verified"), "{text}");
    let figures: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    assert!(
        figures["rounds"][0]["countersign"]["requests_per_second"]
            .as_u64()
            .unwrap()
            > 0
    );
    assert!(figures["disk"]["fdatasync_p50_ns"].as_u64().unwrap() > 0);
    let left: Vec<_> = fs::read_dir(&work_dir)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    assert_eq!(left, [server]);
}
