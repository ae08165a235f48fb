//! How the process ends where it cannot start, and what it says (behaviour 3.4, 11.1).

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::http::{CARD, home};
use crate::server::{Home, authorization, binary, said, segments};

/// It exits with this code, and what it says names all of these.
fn assert_says(what: &str, (code, text): &(Option<i32>, String), exit: i32, wanted: &[&str]) {
    assert_eq!(*code, Some(exit), "{what}: {text}");
    for word in wanted {
        assert!(text.contains(word), "{what}: `{word}` is not in: {text}");
    }
    assert!(!text.contains("panicked"), "{what}: {text}");
}

#[test]
fn flags_that_are_wrong_exit_with_2() {
    #[rustfmt::skip]
    let rows: [(&str, &[&str], &str); 7] = [
        ("no command", &[], "Usage"),
        ("unknown command", &["server"], "server"),
        ("unknown flag", &["serve", "--config-file", "x"], "--config-file"),
        ("flag without value", &["serve", "--config"], "--config"),
        ("no address", &["serve", "--issuer-listen", "here"], "here"),
        ("unknown durability", &["serve", "--sandbox", "--durability", "lax"], "--durability"),
        ("unknown ledger", &["serve", "--sandbox", "--ledger", "sqlite"], "--ledger"),
    ];
    for (what, arguments, word) in rows {
        let home = home();
        let mut command = binary();
        command.args(arguments).current_dir(home.path("."));
        assert_says(what, &said(command.output()), 2, &[word]);
        assert!(!home.path("countersign-data").exists(), "{what}: it began");
    }
}

/// It would otherwise be read as a module's name and silence everything.
#[test]
fn a_level_of_logging_that_is_mistyped_exits_with_2() {
    let mut command = home().serve();
    command.env("COUNTERSIGN_LOG", "infoo");
    let (code, text) = said(command.output());
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("COUNTERSIGN_LOG: `infoo` must be one of error, warn"),
        "{text}"
    );
}

#[test]
fn o2_a_configuration_that_is_wrong_exits_with_2_and_names_the_line_and_the_key() {
    let home = home();
    let good = fs::read_to_string(home.path("config.toml")).unwrap();
    let secret = home.path("acme.secret").display().to_string();
    #[rustfmt::skip]
    let rows: Vec<(&str, String, &[&str])> = vec![
        ("unknown key", good.replacen("name = \"acme\"", "name = \"acme\"\nsecret = \"x\"", 1), &["config.toml:6", "`secret`"]),
        ("unknown server key", good.replacen("[server]", "[server]\nheader_timeout = 1", 1), &["config.toml:2", "`header_timeout`"]),
        ("unknown table", format!("[limits]\n{good}"), &["config.toml:1", "`limits`"]),
        ("not TOML", good.replacen("[server]", "[server", 1), &["config.toml:1"]),
        ("wrong type", good.replacen("deadline_ms = 5000", "deadline_ms = \"5000\"", 1), &["config.toml:8", "u32"]),
        ("zero deadline", good.replacen("deadline_ms = 5000", "deadline_ms = 0", 1), &["config.toml:8: issuer[0].deadline_ms"]),
        ("deadline beyond the issuer's", good.replacen("deadline_ms = 5000", "deadline_ms = 6000", 1), &["issuer[0].deadline_ms"]),
        ("name twice", good.replacen("\"beta\"", "\"acme\"", 1), &["config.toml:10: issuer[1].name"]),
        ("name in upper case", good.replacen("\"acme\"", "\"ACME\"", 1), &["issuer[0].name"]),
        ("unknown kind", good.replacen("\"lithic\"", "\"lithium\"", 1), &["issuer[0].kind", "lithium"]),
        ("policy for unknown cards", good.replacen("name = \"acme\"", "name = \"acme\"\nunmanaged_cards = \"policy: x\"", 1), &["issuer[0].unmanaged_cards", "decline"]),
        ("policy for unknown cards, by its other name", good.replacen("name = \"acme\"", "name = \"acme\"\nunmanagedCards = \"x\"", 1), &["issuer[0].unmanaged_cards", "decline"]),
        ("no secret", good.replacen(&format!("\"file:{secret}\""), "", 1), &["issuer[0].secrets"]),
        ("secret in the file", good.replacen("file:", "", 1), &["config.toml:7: issuer[0].secrets[0]", "file:PATH"]),
        ("secret's file is gone", good.replacen("acme.secret", "other.secret", 1), &["issuer[0].secrets[0]", "other.secret"]),
        ("variable is not set", good.replacen(&format!("file:{secret}"), "env:COUNTERSIGN_TEST_UNSET", 1), &["COUNTERSIGN_TEST_UNSET"]),
        ("header time below", good.replacen("header_timeout_ms = 400", "header_timeout_ms = 99", 1), &["config.toml:2: server.header_timeout_ms", "100"]),
        ("body time above", good.replacen("body_timeout_ms = 400", "body_timeout_ms = 60001", 1), &["server.body_timeout_ms", "60000"]),
        ("no connections", good.replacen("[server]", "[server]\nconnections_max = 0", 1), &["server.connections_max", "at least 1"]),
        ("more connections than the budget has work for", good.replacen("[server]", "[server]\nconnections_max = 100000000", 1), &["server.connections_max", "at most", "deadline_ms"]),
        ("short retention", format!("{good}\n[ledger]\nretention_days = 31\n"), &["config.toml:16: ledger.retention_days", "32"]),
    ];
    for (what, config, words) in rows {
        assert_ne!(config, good, "{what}");
        home.write("config.toml", &config);
        assert_says(what, &home.refused(), 2, words);
    }
    home.write("config.toml", &good);
    home.write(
        "acme.secret",
        "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHMsIDMyIGJ5dGVz\n",
    );
    let refused = home.refused();
    assert_says(
        "secret with a newline",
        &refused,
        2,
        &["issuer[0].secrets[0]", "white space"],
    );
    assert!(!refused.1.contains("dGhlIHNl"), "the secret is told");
    assert!(
        home.serve()
            .arg("--config=/nowhere")
            .output()
            .unwrap()
            .status
            .code()
            == Some(2)
    );
}

#[test]
fn f1_a_snapshot_that_is_wrong_exits_with_2_and_names_line_and_field() {
    let home = home();
    let good = "{\n\"schema\": 1,\n\"customers\": [{\"id\": \"c\"}], \"agents\": [],\n\"cards\": [\n\
        {\"id\": \"k\", \"connection\": \"acme\", \"issuerToken\": \"t\", \"customerId\": \"c\", \"usage\": \"multi\"}\n]\n}";
    #[rustfmt::skip]
    let rows: [(&str, &str, &str, &[&str]); 9] = [
        ("empty", good, "", &["snapshot.json"]),
        ("cut off", "\n]\n}", "", &["snapshot.json"]),
        ("unknown field", "\"id\": \"k\"", "\"id\": \"k\", \"colour\": 1", &["snapshot.json:5", "cards[0].colour"]),
        ("unknown customer", "\"customerId\": \"c\"", "\"customerId\": \"d\"", &["snapshot.json:5", "cards[0].customerId"]),
        ("unknown connection", "\"acme\"", "\"nobody\"", &["snapshot.json:5", "cards[0].connection"]),
        ("decimal limit", "\"multi\"", "\"multi\", \"policy\": {\"limits\": {\"total\": 1.5}}", &["snapshot.json:5", "cards[0].policy.limits.total"]),
        ("field of later", "\"multi\"", "\"multi\", \"policy\": {\"agentMayCreateCards\": true}", &["cards[0].policy.agentMayCreateCards", "fleet.agentMayCreateCards"]),
        ("unknown zone", "\"id\": \"c\"", "\"id\": \"c\", \"timezone\": \"Mars/Olympus\"", &["snapshot.json:3", "customers[0].timezone"]),
        ("schema of later", "\"schema\": 1", "\"schema\": 2", &["snapshot.json:2", "schema"]),
    ];
    for (what, from, to, words) in rows {
        let snapshot = good.replacen(from, to, 1);
        assert_ne!(snapshot, good, "{what}");
        home.write("snapshot.json", &snapshot);
        assert_says(what, &home.refused(), 2, words);
    }
    home.write("snapshot.json", good);
    assert!(home.start().terminate().success());
}

#[test]
fn c15_a_second_process_exits_with_3_and_the_first_goes_on() {
    let home = home();
    let server = home.start();
    assert_says("second server", &home.refused(), 3, &["in use"]);
    assert_says("verify", &verify(&home), 3, &["in use"]);
    assert!(
        server
            .client()
            .ask(&authorization("first", CARD, 1))
            .is_approval()
    );
    server.kill();
    // Whatever end the first had, its lock went with it.
    let server = home.start();
    assert!(
        server
            .client()
            .ask(&authorization("second", CARD, 1))
            .is_approval()
    );
    assert!(server.terminate().success());
}

#[test]
fn an_address_that_is_taken_exits_with_1() {
    let home = home();
    let taken = home.start();
    let other = crate::http::home();
    let mut command = other.serve();
    let position = format!("--issuer-listen={}", taken.issuer);
    // The last of a repeated flag would be ambiguous, so the arguments are built again.
    let arguments: Vec<_> = command.get_args().map(|it| it.to_owned()).collect();
    command = binary();
    let mut skip = false;
    for argument in arguments {
        if argument == "--issuer-listen" {
            skip = true;
        } else if !std::mem::take(&mut skip) {
            command.arg(argument);
        }
    }
    let refused = said(command.arg(position).output());
    let address = taken.issuer.to_string();
    let wanted = [&*address, "--issuer-listen", "server.issuer_listen"];
    assert_says("taken", &refused, 1, &wanted);
}

/// Damage with whole frames behind it is no torn end: nobody guesses what the counters were.
#[test]
fn c5_a_journal_that_is_corrupt_in_the_middle_exits_with_4() {
    let home = Home::new("strict", &{
        let mut snapshot = crate::server::SnapshotOf::default();
        snapshot.customer("cus", &json!({}));
        snapshot.card(CARD, "cus", None, &json!({}));
        snapshot.build()
    });
    let server = home.start();
    let mut client = server.client();
    for n in 0..50 {
        assert!(
            client
                .ask(&authorization(&format!("kept-{n}"), CARD, 1))
                .is_approval()
        );
    }
    drop(client);
    assert!(server.terminate().success());
    let (code, text) = verify(&home);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.ends_with("ok\n"), "{text}");

    let segment = segments(&home.data_dir()).first().unwrap().clone();
    let name = segment.file_name().unwrap().to_str().unwrap().to_owned();
    let offset = 4_096 + 700;
    flip(&segment, offset);
    let journal = home.data_dir().join("journal").display().to_string();
    let wanted = ["corrupt", &journal, &name, "at byte", "keep a copy"];
    assert_says("serve", &home.refused(), 4, &wanted);
    assert_says("verify", &verify(&home), 4, &wanted);
    assert_says("serve again", &home.refused(), 4, &wanted);
    // Nothing was changed by looking.
    flip(&segment, offset);
    let server = home.start();
    assert!(
        server
            .client()
            .ask(&authorization("kept-0", CARD, 1))
            .is_approval()
    );
    assert!(server.terminate().success());
}

pub(crate) fn verify(home: &Home) -> (Option<i32>, String) {
    let mut command = binary();
    command.args(["ledger", "verify", "--data-dir"]);
    said(command.arg(home.data_dir()).output())
}

fn flip(path: &Path, offset: u64) {
    let mut file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(&[byte[0] ^ 0x10]).unwrap();
}

/// The process takes all descriptors that it may, and says so; where that is too few for its
/// connections, it says that as well and has fewer.
#[test]
fn g7_the_limit_of_open_files_is_raised_and_told() {
    let home = home();
    let mut limited = Command::new("sh");
    let serve = home.serve();
    limited
        .args(["-c", "ulimit -Sn 300; ulimit -Hn 3000; exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args());
    let server = home.spawn(limited);
    assert!(server.terminate().success());
    let log = fs::read_to_string(home.path("stderr.log")).unwrap();
    for said in [
        "limit of open files",
        "300",
        "3000",
        "fewer connections than configured",
        "2744",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
}
