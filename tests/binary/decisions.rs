//! `countersign decisions` beside a running server.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::http::CARD;
use crate::reload::wait_until;
use crate::server::{
    Home, Server, SnapshotOf, authorization, binary, find, millis_since, now, said, segments,
};

fn home() -> Home {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    let limits = json!({"limits": {"perAuth": 10_000, "total": 1_000_000}});
    snapshot.card(CARD, "cus", None, &limits);
    snapshot.card("other", "cus", None, &json!({}));
    Home::new("strict", &snapshot.build())
}

fn decisions(server: &Server, arguments: &[&str]) -> Command {
    let mut command = binary();
    command.args(["decisions", "--ops-listen", &server.ops.to_string()]);
    command.args(arguments);
    command
}

/// The words of a line that do not change from run to run.
fn words(line: &str) -> Vec<&str> {
    let words = line.split_whitespace().skip(1);
    words
        .take_while(|word| word.parse::<u64>().is_err())
        .collect()
}

fn ask(server: &Server, token: &str, card: &str, amount: u64) {
    assert_eq!(
        server
            .client()
            .ask(&authorization(token, card, amount))
            .status,
        200
    );
}

/// A child that is ended with the value.
struct Following {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Following {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_newest_are_shown_oldest_first_one_line_each() {
    let home = home();
    let server = home.start();
    for number in 0..3 {
        ask(&server, &format!("a{number}"), CARD, 1_000 + number);
    }
    ask(&server, "too-much", CARD, 10_001);
    ask(&server, "elsewhere", "other", 5);
    ask(&server, "nobody", "card_of_nobody", 7);
    let (code, text) = said(decisions(&server, &["--limit", "4"]).output());
    assert_eq!(code, Some(0), "{text}");
    let lines: Vec<_> = text.lines().map(words).collect();
    let expected = [
        vec!["APPROVE", "10.02", "USD", CARD],
        vec!["DECLINE", "amount_over_per_auth", "100.01", "USD", CARD],
        vec!["APPROVE", "0.05", "USD", "other"],
        vec![
            "DECLINE",
            "card_unknown",
            "0.07",
            "USD",
            "(unknown",
            "card)",
        ],
    ];
    assert_eq!(lines, expected);
    let columns: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
    assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "{text}");

    let (code, text) = said(decisions(&server, &["--card", "other", "--json"]).output());
    assert_eq!(code, Some(0), "{text}");
    let record: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(
        (&record["authorization"], &record["amount"]),
        (&json!("elsewhere"), &json!(5))
    );
    let (code, text) = said(decisions(&server, &["--card", "nobody"]).output());
    let note = "countersign: no such decision is recorded\n";
    assert_eq!((code, text.as_str()), (Some(0), note));

    let gone = decisions(&server, &[]);
    assert!(server.terminate().success());
    let (code, text) = said({ gone }.output());
    assert!(
        code == Some(1) && text.contains("nothing can be asked"),
        "{code:?} {text}"
    );
    let (code, text) = said(binary().args(["decisions", "--limit", "501"]).output());
    assert!(
        code == Some(2) && text.contains("--limit"),
        "{code:?} {text}"
    );
}

/// Waits until everything of earlier processes is in a checkpoint.
fn wait_for_checkpoint(home: &Home) {
    let journal = home.data_dir().join("journal");
    let is_checkpoint = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path();
        path.extension().is_some_and(|end| end == "ckp")
    };
    // One is made every half minute.
    let since = now();
    while !fs::read_dir(&journal).unwrap().any(is_checkpoint) {
        assert!(millis_since(since) < 120_000, "no checkpoint is made");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn c5_a_damaged_record_is_told_and_hides_no_other() {
    let home = home();
    let server = home.start();
    // So long that no number in the journal reads by chance as one of them.
    let id = |number: u64| format!("authorization-{number}");
    for number in 0..5 {
        ask(&server, &id(number), CARD, 1_000 + number);
    }
    assert!(server.terminate().success());
    // The next process makes a checkpoint of what this one has written.
    let server = home.start();
    ask(&server, "later", CARD, 2_000);
    wait_for_checkpoint(&home);
    assert!(server.terminate().success());
    let path = segments(&home.data_dir()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let at = find(&bytes, id(2).as_bytes()).expect("the record holds the issuer's id");
    bytes[at] ^= 0x20;
    fs::write(&path, bytes).unwrap();

    let server = home.start();
    wait_until("it is warned", || {
        server.admin("/readyz")["warnings"] == json!(["records_damaged"])
    });
    let shown = || {
        let answer = server.admin("/admin/decisions?limit=10");
        let decisions = answer["decisions"].as_array().unwrap().clone();
        let id = |decision: Value| decision["authorization"].as_str().unwrap().to_owned();
        decisions.into_iter().map(id).collect::<Vec<_>>()
    };
    let others = [4, 3, 1, 0].map(id);
    let expected = [&["later".to_owned()], &others[..]].concat();
    wait_until("the others are shown", || shown() == expected);
    // What limits rest on is whole: it came from the checkpoint.
    let card = server.admin(&format!("/admin/cards/{CARD}"));
    assert_eq!(card["limits"][0]["spent"], json!(7_010), "{card}");
    assert!(server.terminate().success());
}

#[test]
fn following_shows_what_comes_over_a_restart_and_ends_cleanly() {
    let mut home = home();
    let server = home.start();
    home.set_ops_listen(server.ops);
    ask(&server, "before", CARD, 1_000);
    let mut all = Following::start(decisions(&server, &["--follow"]));
    let mut of_card = Following::start(decisions(
        &server,
        &["--follow", "--card", "other", "--json"],
    ));
    assert_eq!(words(&all.next()), ["APPROVE", "10.00", "USD", CARD]);
    for number in 0..3 {
        ask(&server, &format!("first-{number}"), CARD, 2_000 + number);
    }
    ask(&server, "on-other", "other", 9);
    for cents in ["20.00", "20.01", "20.02"] {
        assert_eq!(words(&all.next()), ["APPROVE", cents, "USD", CARD]);
    }
    assert_eq!(words(&all.next()), ["APPROVE", "0.09", "USD", "other"]);
    let record: Value = serde_json::from_str(&of_card.next()).unwrap();
    assert_eq!(record["authorization"], "on-other");

    server.kill();
    let server = home.start();
    ask(&server, "after", "other", 11);
    assert_eq!(words(&all.next()), ["APPROVE", "0.11", "USD", "other"]);
    let record: Value = serde_json::from_str(&of_card.next()).unwrap();
    assert_eq!(record["authorization"], "after");

    kill_process(Pid::from_child(&all.child), Signal::INT).unwrap();
    assert_eq!(all.child.wait().unwrap().code(), Some(0));
    // A reader that has gone away is noticed at the next line.
    let Following { child, lines } = &mut of_card;
    let unread = std::mem::replace(lines, BufReader::new(closed()));
    drop(unread);
    ask(&server, "unread", "other", 12);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(server.terminate().success());
}

/// An output of nobody.
fn closed() -> ChildStdout {
    let mut child = binary()
        .arg("--version")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    child.wait().unwrap();
    stdout
}
