//! What cannot be worked with is refused at the start, and what does not work yet is never done wrong.

use super::{AMOUNT, Machine, founded, ledger, with_room};
use crate::redis::RedisServer;
use crate::server::{authorization, binary, said};

#[test]
fn e12_a_redis_that_evicts_is_refused() {
    let redis = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]);
    let (code, told) = ledger(&redis, &["found"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("set `noeviction`"), "{told}");
    let (code, told) = Machine::new(&redis, &with_room(10, 1)).refused();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("set `noeviction`"), "{told}");
}

#[test]
fn e1_a_redis_without_a_ledger_is_refused_and_a_ledger_is_founded_once() {
    let redis = RedisServer::start(&[]);
    let (code, told) = Machine::new(&redis, &with_room(10, 1)).refused();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("countersign ledger found"), "{told}");
    assert_eq!(ledger(&redis, &["found"]).0, Some(0));
    let (code, told) = ledger(&redis, &["found"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("a ledger is in it already"), "{told}");
}

#[test]
fn a_data_directory_belongs_to_one_kind_of_ledger() {
    let redis = founded(&[]);
    let machine = Machine::new(&redis, &with_room(10, 1));
    assert!(machine.start().terminate().success());
    let (code, told) = machine.home.refused();
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.contains("belongs to a ledger of the other kind"),
        "{told}"
    );
    let own = Machine::new(&redis, &with_room(10, 1));
    assert!(own.home.start().terminate().success());
    let (code, told) = own.refused();
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.contains("belongs to a ledger of the other kind"),
        "{told}"
    );
}

/// A command that looks for the journal of a data directory finds that of a shared ledger too.
#[test]
fn commands_find_what_a_node_has_learned() {
    let redis = founded(&[]);
    let machine = Machine::new(&redis, &with_room(10, 1));
    assert!(machine.start().terminate().success());
    let told = |words: &[&str]| {
        let mut command = binary();
        command.args(words).arg("--data-dir");
        said(command.arg(machine.home.data_dir()).output())
    };
    let (code, said) = told(&["ledger", "verify"]);
    assert_eq!(code, Some(0), "{said}");
    let found = "shared-journal, what a node has learned of the log in Redis since its last start";
    assert!(said.contains(found), "{said}");
    let node = machine.start();
    let approved = node.client().ask(&authorization("a", "card-0", AMOUNT));
    assert!(approved.is_approval());
    let (code, why) = told(&["init"]);
    assert_eq!(code, Some(3), "{why}");
    assert!(why.contains("a server runs on it"), "{why}");
    assert!(node.terminate().success());
    let (code, said) = told(&["ledger", "verify"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(found) && said.contains("1 segment, "),
        "{said}"
    );
    assert!(!machine.home.data_dir().join("journal").exists());
}

/// What a node may do at most, so that whoever has its password cannot do more.
const RULES: [&str; 16] = [
    "on",
    ">a secret",
    "resetkeys",
    "~countersign:*",
    "resetchannels",
    "&countersign:*",
    "-@all",
    "+fcall",
    "+fcall_ro",
    "+function|list",
    "+function|load",
    "+info",
    "+scan",
    "+subscribe",
    "+@write",
    "+@read",
];

#[test]
fn a_user_who_may_do_little_is_enough_and_a_wrong_password_is_refused() {
    let redis = RedisServer::start(&[]);
    let mut line = redis.line();
    let rules = [&["ACL", "SETUSER", "node"], &RULES[..]].concat();
    assert_eq!(line.ask(&rules), "+OK");
    let more = ["ACL", "SETUSER", "node", "+publish", "+time"];
    assert_eq!(line.ask(&more), "+OK");
    assert_eq!(line.ask(&["ACL", "SETUSER", "default", "off"]), "+OK");
    let url = |password: &str| format!("redis://node:{password}@127.0.0.1:{}", redis.port());
    let told = |words: &[&str], password: &str| {
        let mut command = binary();
        command.arg("ledger").args(words);
        said(command.env("COUNTERSIGN_LEDGER", url(password)).output())
    };
    let (code, why) = told(&["found"], "another");
    assert_eq!(code, Some(1), "{why}");
    assert!(
        why.contains("WRONGPASS") || why.contains("invalid"),
        "{why}"
    );
    assert!(!why.contains("another"), "{why}");
    let (code, why) = told(&["found"], "a%20secret");
    assert_eq!(code, Some(0), "{why}");
    let machine = Machine::new(&redis, &with_room(10, 1));
    let mut command = machine.home.serve();
    command.env("COUNTERSIGN_LEDGER", url("a%20secret"));
    let node = machine.home.spawn(command);
    let asked = |token: &str| node.client().ask(&authorization(token, "card-0", AMOUNT));
    assert!(asked("a").is_approval());
    // The functions are no way around what the user may not do.
    let (code, why) = told(&["arm", "--nothing-was-lost"], "a%20secret");
    assert_eq!(code, Some(0), "{why}");
    assert!(asked("b").is_approval());
}
