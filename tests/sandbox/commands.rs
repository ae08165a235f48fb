//! `countersign sandbox` and `countersign demo` against a stand-in for the engine.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use countersign::cli::Exit;
use countersign::cli::demo::page::Style;
use countersign::cli::demo::{Running, run};
use countersign::cold::sandbox::files::{announce, prepare};
use countersign::cold::sandbox::story::{Expected, STORY};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::stand_in::{APPROVED, Reply, Seen, StandIn, record};

const DECLINED: &str = r#"{"result":"VELOCITY_EXCEEDED"}"#;

fn expected() -> Vec<Expected> {
    let steps = STORY.iter().flat_map(|chapter| chapter.steps);
    steps.map(|step| step.expected).collect()
}

/// An engine that answers the n-th authorization with the n-th of `answers`.
fn engine(runtime: &Runtime, answers: Vec<Expected>) -> (StandIn, StandIn) {
    let answers = Arc::new(answers);
    let issuer = {
        let answers = Arc::clone(&answers);
        move |at: usize, _: &Seen| -> Reply {
            let body = match answers[at] {
                Expected::Approve => APPROVED,
                Expected::Decline(_) => DECLINED,
            };
            Some((200, body.to_owned()))
        }
    };
    let ops = move |at: usize, _: &Seen| -> Reply {
        let reason = match answers[at] {
            Expected::Approve => None,
            Expected::Decline(reason) => Some(reason.code()),
        };
        Some((200, record(&format!("r{at}"), reason)))
    };
    runtime.block_on(async { (StandIn::start(issuer).await, StandIn::start(ops).await) })
}

/// Plays `countersign demo`; tells how it ended, what it wrote, and where its directory was.
fn demo(answers: Vec<Expected>) -> (Exit, String, PathBuf) {
    let runtime = Runtime::new().unwrap();
    let (issuer, ops) = engine(&runtime, answers);
    let ended = Arc::new(AtomicBool::new(false));
    let has_ended = Arc::clone(&ended);
    let place = Arc::new(Mutex::new(PathBuf::new()));
    let used = Arc::clone(&place);
    let start = move |data_dir: &Path| {
        used.lock().unwrap().push(data_dir);
        Ok(Running {
            issuer: issuer.address,
            ops: ops.address,
            snapshot: prepare(data_dir).unwrap().snapshot_path,
            shutdown: Box::new(move || {
                has_ended.store(true, Ordering::SeqCst);
                Ok(())
            }),
        })
    };
    let mut out = Vec::new();
    let exit = run(&mut out, Style::Plain, start).unwrap();
    assert!(ended.load(Ordering::SeqCst), "the server was ended");
    let place = place.lock().unwrap().clone();
    (exit, String::from_utf8(out).unwrap(), place)
}

#[test]
fn the_demo_tells_every_step_and_leaves_nothing_behind() {
    let (exit, text, place) = demo(expected());
    assert_eq!(exit, Exit::Ok, "{text}");
    assert!(place.is_absolute() && !place.exists());
    for step in STORY.iter().flat_map(|chapter| chapter.steps) {
        assert!(text.contains(step.telling), "{text}");
        if let Expected::Decline(reason) = step.expected {
            assert!(
                text.contains(&format!("DECLINE  {}", reason.code())),
                "{text}"
            );
        }
    }
    assert!(
        text.contains("\n9 approved, 10 declined; every answer as expected; median "),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn the_demo_fails_when_an_answer_is_not_the_expected_one() {
    let mut answers = expected();
    answers[1] = answers[2];
    let (exit, text, _) = demo(answers);
    assert_eq!(exit, Exit::Other);
    assert!(
        text.contains("! an empty ledger answers APPROVE\n"),
        "{text}"
    );
    assert!(
        text.contains("; 1 answer differs from an empty ledger's; "),
        "{text}"
    );
}

#[test]
fn a_server_that_does_not_start_is_told() {
    let mut out = Vec::new();
    let failed = run(
        &mut out,
        Style::Plain,
        |_| Err("no port is free".to_owned()),
    );
    assert_eq!(failed.err().unwrap().to_string(), "no port is free");
}

fn announced(issuer: &StandIn, ops: &StandIn) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = prepare(dir.path()).unwrap().snapshot_path;
    let (issuer, ops) = (
        format!("http://{}", issuer.address),
        format!("http://{}", ops.address),
    );
    announce(dir.path(), &issuer, &ops, &snapshot).unwrap();
    dir
}

/// The whole of it, with the real engine.
#[test]
fn the_demo_runs_without_anything_prepared() {
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .arg("demo")
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains("9 approved, 10 declined; every answer as expected"),
        "{text}"
    );
    assert!(!text.contains("shows no record"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

/// A server in another process, found through its data directory, and another one after it.
#[test]
fn a_running_server_is_found_and_asked() {
    let dir = tempfile::tempdir().unwrap();
    for expected in ["every answer as expected", "differ from an empty ledger's"] {
        let server = Server::start(dir.path());
        let output = countersign(dir.path(), &["sandbox", "demo"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(expected), "{text}");
        drop(server);
    }
    let output = countersign(dir.path(), &LUNCH);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("start `countersign serve` first"), "{told}");
}

#[test]
fn an_increment_adds_to_its_authorization() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Server::start(dir.path());
    let text = countersign(dir.path(), &[&LUNCH[..], &["--json"]].concat()).stdout;
    let first: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(first["decision"], "approve", "{first}");
    let id = first["authorization"].as_str().unwrap();
    let more = |amount| {
        let mut more = LUNCH;
        more[5] = amount;
        let output = countersign(dir.path(), &[&more[..], &["--increment-of", id]].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = more("7.66");
    assert!(
        text.starts_with("APPROVE  7.66 USD more at ") && text.contains(id),
        "{text}"
    );
    // The customer has 300.00 a day, and 20.00 of it are held.
    let text = more("280.01");
    assert!(
        text.starts_with("DECLINE  customer_limit_exceeded  "),
        "{text}"
    );
    let text = more("280.00");
    assert!(text.starts_with("APPROVE"), "{text}");
}

pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &[])
    }

    pub(crate) fn start_with(data_dir: &Path, more: &[&str]) -> Self {
        let mut server = serve(data_dir, more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        let stdout = server.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut ready).unwrap();
        assert!(ready.starts_with("ready "), "{ready}");
        Self(server)
    }
}

/// `countersign serve` on free ports.
fn serve(data_dir: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("serve");
    for listener in ["--issuer-listen", "--ops-listen", "--listen"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    command.arg("--data-dir").arg(data_dir).args(more);
    command
}

/// Exit code and stderr of a server that does not start; one that does is ended.
pub(crate) fn refused(data_dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut server = serve(data_dir, arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let stdout = server.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut ready).unwrap();
    if !ready.is_empty() {
        server.kill().unwrap();
    }
    let output = server.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), told)
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

pub(crate) fn countersign(data_dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(arguments)
        .arg("--data-dir")
        .arg(data_dir)
        .output()
        .unwrap()
}

pub(crate) const LUNCH: [&str; 10] = [
    "sandbox",
    "authorize",
    "--card",
    "card_team_lunch",
    "--amount",
    "12.34",
    "--mcc",
    "5812",
    "--merchant",
    "Blue Bottle",
];

#[test]
fn one_purchase_is_asked_for_and_printed() {
    let runtime = Runtime::new().unwrap();
    let (issuer, ops) = engine(&runtime, expected());
    let dir = announced(&issuer, &ops);
    let output = countersign(dir.path(), &LUNCH);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let first = text.lines().next().unwrap();
    assert_eq!(
        first,
        "APPROVE  12.34 USD at Blue Bottle (MCC 5812, USA) with card_team_lunch"
    );
    assert!(
        text.contains("round trip ") && text.contains("authorization "),
        "{text}"
    );
    let body = String::from_utf8(issuer.seen()[0].body.to_vec()).unwrap();
    assert!(
        body.contains("\"token\":\"5a4db0c5-0000-4000-8000-000000000004\""),
        "{body}"
    );
}

#[test]
fn scripts_get_one_line_of_json() {
    let runtime = Runtime::new().unwrap();
    let declined = expected()
        .into_iter()
        .filter(|step| *step != Expected::Approve);
    let (issuer, ops) = engine(&runtime, declined.collect());
    let dir = announced(&issuer, &ops);
    let output = countersign(dir.path(), &[&LUNCH[..], &["--json"]].concat());
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["decision"], "decline");
    assert_eq!(json["reason"], "amount_over_per_auth");
    assert_eq!(json["explanation"], "Because of amount_over_per_auth.");
    assert_eq!(json["result"], "VELOCITY_EXCEEDED");
    assert_eq!(
        (&json["amount"], &json["approvedAmount"]),
        (&1_234.into(), &0.into())
    );
    assert_eq!(json["currency"], "USD");
    assert!(json["roundTripUs"].as_i64().unwrap() > 0);
}

#[test]
fn a_card_that_the_snapshot_lacks_is_asked_for_as_a_token_and_said() {
    let runtime = Runtime::new().unwrap();
    let (issuer, ops) = engine(&runtime, expected());
    let dir = announced(&issuer, &ops);
    let mut arguments = LUNCH;
    arguments[3] = "card_tem_lunch";
    let output = countersign(dir.path(), &arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("no such card"), "{text}");
    assert!(text.contains("card_research_tools, "), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

#[test]
fn the_story_on_a_used_ledger_says_what_differs() {
    let runtime = Runtime::new().unwrap();
    let mut answers = expected();
    answers[0] = answers[4];
    let (issuer, ops) = engine(&runtime, answers);
    let dir = announced(&issuer, &ops);
    let output = countersign(dir.path(), &["sandbox", "demo"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("! an empty ledger answers APPROVE"), "{text}");
    assert!(text.contains("This ledger is not empty"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

#[test]
fn what_was_typed_wrongly_is_told_with_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let told = |arguments: &[&str]| {
        let output = countersign(dir.path(), arguments);
        assert!(output.stdout.is_empty());
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, text) = told(&LUNCH);
    assert_eq!(code, 1);
    assert!(text.contains("start `countersign serve` first"), "{text}");
    for (at, wrong, word) in [
        (5, "12.345", "more decimals"),
        (5, "twelve", "digits"),
        (7, "581", "four digits"),
        (9, " ", "name"),
        (3, "", "visible"),
    ] {
        let mut arguments = LUNCH;
        arguments[at] = wrong;
        let (code, text) = told(&arguments);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(word), "{text}");
    }
    for (flag, wrong) in [
        ("--currency", "XYZ"),
        ("--country", "US"),
        ("--increment-of", "a b"),
    ] {
        let (code, text) = told(&[&LUNCH[..], &[flag, wrong]].concat());
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(flag), "{text}");
    }
}
