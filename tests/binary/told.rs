//! What the program says where something is wrong: by the name that was used for it, with the place
//! and the remedy (behaviour 11.1, 11.2).

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::exits::verify;
use crate::http::{CARD, home};
use crate::server::{Home, SnapshotOf, authorization, binary, said};

fn here() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn run(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = binary();
    command.args(arguments).current_dir(directory);
    command.envs(variables.iter().copied());
    said(command.output())
}

#[test]
fn what_the_environment_says_wrong_is_told_by_the_variables_name() {
    let here = here();
    #[rustfmt::skip]
    let rows: [(&[&str], &str, &str, &str); 5] = [
        (&["serve"], "COUNTERSIGN_DURABILITY", "lax", "must be `strict` or `relaxed`"),
        (&["serve"], "COUNTERSIGN_ISSUER_LISTEN", "localhost:8700", "not an address with a port, like 127.0.0.1:8700"),
        (&["serve"], "COUNTERSIGN_SANDBOX", "maybe", "not a boolean"),
        (&["decisions"], "COUNTERSIGN_OPS_LISTEN", "8702", "not an address with a port"),
        (&["sandbox", "demo"], "COUNTERSIGN_DATA_DIR", "", "a value is required"),
    ];
    for (arguments, variable, value, message) in rows {
        let (code, text) = run(here.path(), arguments, &[(variable, value)]);
        let place = format!("'{variable}'");
        assert_eq!(code, Some(2), "{variable}: {text}");
        assert!(text.contains(&place) && text.contains(message), "{text}");
    }
    // What may hold a password is looked at later, by the name of the flag, and not repeated.
    let (code, text) = run(here.path(), &["serve"], &[("COUNTERSIGN_LEDGER", "sqlite")]);
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("--ledger: must be `embedded`, redis:"),
        "{text}"
    );
    assert!(!text.contains("sqlite"), "{text}");
    // A flag that was typed is told as it was typed.
    let typed = ["serve", "--durability=lax"];
    let (code, text) = run(here.path(), &typed, &[("COUNTERSIGN_DURABILITY", "strict")]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--durability <LEVEL>"), "{text}");
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0, "it began");
}

#[test]
fn a_variable_that_switches_something_on_may_be_a_number() {
    for (value, is_on) in [("1", true), ("true", true), ("0", false), ("false", false)] {
        let home = home();
        let mut command = home.serve();
        command.env("COUNTERSIGN_SANDBOX", value);
        let server = home.spawn(command);
        assert!(server.terminate().success());
        let made = home.data_dir().join("sandbox").exists();
        assert_eq!(made, is_on, "{value}");
    }
}

#[test]
fn f1_a_snapshot_that_is_not_there_is_said_before_anything_is_made() {
    let here = here();
    let (code, text) = run(here.path(), &["serve", "--snapshot", "nope.json"], &[]);
    let full = fs::canonicalize(here.path()).unwrap().join("nope.json");
    let expected = format!(
        "countersign: the snapshot is refused\n  nope.json: cannot be read: No such file or directory \
         (os error 2) ({})\n",
        full.display()
    );
    assert_eq!((code, text), (Some(2), expected));
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0, "it began");
}

#[test]
fn o2_two_listeners_of_one_address_are_told_by_their_keys() {
    let home = home();
    let keys = "[server]\nissuer_listen = \"127.0.0.1:18700\"\n\
                ops_listen = \"0.0.0.0:18700\"";
    let good = fs::read_to_string(home.path("config.toml")).unwrap();
    home.write("config.toml", &good.replacen("[server]", keys, 1));
    let config = home.path("config.toml");
    let serve = ["serve", "--config", config.to_str().unwrap(), "--snapshot"];
    let snapshot = home.path("snapshot.json");
    let arguments = [&serve[..], &[snapshot.to_str().unwrap()]].concat();
    let (code, text) = run(&home.path("."), &arguments, &[]);
    let expected = format!(
        "countersign: {}:3: server.ops_listen: 0.0.0.0:18700 is the address of \
         server.issuer_listen already\n",
        config.display()
    );
    assert_eq!((code, text), (Some(2), expected));
}

#[test]
fn c15_whoever_has_the_data_directory_is_named() {
    let home = home();
    let server = home.start();
    let expected = format!(
        "countersign: {}: the data directory is in use by process {}; stop that one, or name another \
         --data-dir\n",
        home.data_dir().join("journal").display(),
        server.id()
    );
    let (code, text) = home.refused();
    assert_eq!(code, Some(3), "{text}");
    assert!(text.ends_with(&expected), "{text}");
    assert_eq!(verify(&home), (Some(3), expected));
    assert!(server.terminate().success());
}

#[test]
fn a_data_directory_that_is_a_file_is_no_directory() {
    let here = here();
    fs::write(here.path().join("taken"), "").unwrap();
    let (code, text) = run(here.path(), &["serve", "--data-dir", "taken"], &[]);
    let expected = "countersign: taken: is no directory\n";
    assert_eq!((code, text.as_str()), (Some(1), expected));
}

/// One customer's card and one that nobody knows: the second is no customer.
#[test]
fn c1_what_was_recovered_is_told_in_words() {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.card(CARD, "cus", None, &json!({}));
    let home = Home::new("strict", &snapshot.build());
    let server = home.start();
    for (id, card) in [("a", CARD), ("b", CARD), ("c", "nobody's")] {
        let answer = server.client().ask(&authorization(id, card, 1));
        assert_eq!(answer.status, 200);
    }
    assert!(server.terminate().success());
    assert!(home.start().terminate().success());
    let log = fs::read_to_string(home.path("stderr.log")).unwrap();
    assert!(
        log.contains("checkpoint=0 after_checkpoint=3 customers=1"),
        "{log}"
    );
    for debug in ["Some(", "None", "Operator"] {
        assert!(!log.contains(debug), "{debug}: {log}");
    }
}

#[test]
fn decisions_that_are_not_there_are_said_beside_the_list() {
    let home = home();
    let server = home.start();
    let ops = server.ops.to_string();
    let list = |more: &[&str]| {
        let mut command: Command = binary();
        command.args(["decisions", "--ops-listen", &ops]).args(more);
        command.output().unwrap()
    };
    for more in [&["--card", "nope"][..], &["--connection", "nope", "--json"]] {
        let output = list(more);
        assert!(output.status.success() && output.stdout.is_empty());
        let note = String::from_utf8(output.stderr).unwrap();
        assert_eq!(note, "countersign: no such decision is recorded\n");
    }
    assert!(
        server
            .client()
            .ask(&authorization("a", CARD, 1))
            .is_approval()
    );
    let output = list(&["--card", CARD]);
    assert!(!output.stdout.is_empty() && output.stderr.is_empty());
    assert!(server.terminate().success());
}

/// Each event of the journal is a line of words, ids as the owner and the issuer write them.
#[test]
fn the_journals_events_are_told_in_words() {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.card(CARD, "cus", None, &json!({"limits": {"perAuth": 500}}));
    let home = Home::new("strict", &snapshot.build());
    let server = home.start();
    for (id, card, amount) in [("a", CARD, 123), ("c", CARD, 501), ("d", "nobody's", 7)] {
        let answer = server.client().ask(&authorization(id, card, amount));
        assert_eq!(answer.status, 200);
    }
    assert_eq!(
        server.post(&format!("/admin/cards/{CARD}/lock")).status,
        200
    );
    assert!(server.terminate().success());
    let mut command = binary();
    command.args(["ledger", "verify", "--events", "--data-dir"]);
    let (code, text) = said(command.arg(home.data_dir()).output());
    assert_eq!(code, Some(0), "{text}");
    let (directory, _) = text.split_once('\n').unwrap();
    assert!(directory.starts_with("directory "), "{text}");
    let events: Vec<&str> = text
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with(' '))
        .collect();
    for (wanted, what) in [
        ("state_opened state=0 key=", " customer=\"cus\""),
        (
            "card_opened state=0 card=0 key=",
            &*format!(" id=\"{CARD}\" connection=\"acme\""),
        ),
        ("decided state=0 at=", " amount=1.23USD decision=approve "),
        (
            "decided state=0 at=",
            " decision=decline reason=amount_over_per_auth ",
        ),
        (
            "decided state=0 at=",
            " level=card field=limits.perAuth observed=501 limit=500 ",
        ),
        ("state_opened state=1 key=", " unknown_cards_of=\"acme\""),
        ("decided state=1 at=", " reason=card_unknown "),
        (
            "status_set state=0 at=",
            " card=0 status=locked frozen=false",
        ),
    ] {
        let found = |line: &&&str| line.contains(&format!("  {wanted}")) && line.contains(what);
        assert!(
            events.iter().any(|line| found(&line)),
            "{wanted} {what}: {text}"
        );
    }
    for debug in ["Key(", "Some(", "{"] {
        assert!(!events.concat().contains(debug), "{debug}: {text}");
    }
}
