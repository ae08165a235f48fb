//! A Redis that refuses to do what it is sent lets nothing be approved, and nothing is counted then; the
//! metrics say which word it used.

use std::thread;
use std::time::Duration;

use super::forgets::{is_ready, says_forgot, until};
use super::{AMOUNT, founded, ledger, pair, spent, with_room};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::redis::{Line, RedisServer};
use crate::server::{Client, Home, Server, authorization, millis_since, now};

/// For an answer, in milliseconds.
const DEADLINE_MS: u32 = 1_000;
/// Until a client has it, on a machine that is busy.
const ANSWERED_WITHIN_MS: i64 = 1_500;

fn ask(node: &Server, token: &str) -> bool {
    let since = now();
    let answer = node.client().ask(&authorization(token, "card-0", AMOUNT));
    let took = millis_since(since);
    assert!(took < ANSWERED_WITHIN_MS, "{token}: {took} ms");
    answer.is_approval()
}

pub(super) fn counted(node: &Server, code: &str) -> u64 {
    let mut client = Client::connect(node.ops);
    client.send(b"GET /metrics HTTP/1.1\r\nhost: ops\r\n\r\n");
    let text = client.response().text();
    let head = format!("countersign_ledger_refusals_total{{code=\"{code}\"}} ");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(&*head));
    lines.next().map_or(0, |count| count.parse().unwrap())
}

/// What approves as soon as it may.
struct Field {
    redis: RedisServer,
    /// Whose commands are done while others are refused.
    line: Line,
    proxy: FaultProxy,
    _home: Home,
    node: Server,
    approved: u64,
    asked: u64,
}

impl Field {
    fn new() -> Self {
        let redis = founded(&[]);
        let proxy = FaultProxy::start(redis.port());
        let home = Home::with_config("relaxed", &with_room(1_000, 1), "", DEADLINE_MS);
        let mut command = home.serve();
        command.args(["--ledger", &proxy.url()]);
        let node = home.spawn(command);
        Self {
            line: redis.line(),
            redis,
            proxy,
            _home: home,
            node,
            approved: 0,
            asked: 0,
        }
    }

    fn ask(&mut self) -> bool {
        self.asked += 1;
        let is_approved = ask(&self.node, &format!("a-{}", self.asked));
        self.approved += u64::from(is_approved);
        is_approved
    }

    /// A server that has too many clients closes the connection while it says so, which may come first.
    fn counts(&self, code: &str) -> bool {
        let others = ["MAXCLIENTS", "unreachable"];
        let codes = if code == others[0] {
            &others[..]
        } else {
            &[code]
        };
        codes.iter().any(|code| counted(&self.node, code) > 0)
    }

    fn until_approved(&mut self) -> bool {
        (0..200).any(|_| {
            thread::sleep(Duration::from_millis(20));
            self.ask()
        })
    }

    /// Nothing is approved while it refuses with this word, and after that everything is as before.
    fn refuses(&mut self, code: &str, begin: impl FnOnce(&mut Self), end: impl FnOnce(&mut Self)) {
        assert!(self.until_approved(), "before {code}");
        begin(self);
        // A connection that was made anew may be refused before anything is sent over it.
        for round in 0..100 {
            assert!(!self.ask(), "{code}, {round}");
            if self.counts(code) {
                break;
            }
        }
        assert!(self.counts(code), "{code}");
        assert!(is_ready(&self.node), "nothing was forgotten: {code}");
        end(self);
        assert!(self.until_approved(), "after {code}");
        assert_eq!(
            spent(&self.node, "card-0"),
            self.approved * AMOUNT,
            "{code}"
        );
    }
}

fn set(line: &mut Line, what: &str, value: &str) {
    assert_eq!(line.ask(&["CONFIG", "SET", what, value]), "+OK", "{what}");
}

fn cut(line: &mut Line) {
    for kind in ["normal", "pubsub"] {
        line.ask(&["CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"]);
    }
}

fn saves(line: &mut Line, wanted: &str) -> bool {
    line.ask(&["BGSAVE"]);
    let wanted = format!("rdb_last_bgsave_status:{wanted}");
    (0..200).any(|_| {
        thread::sleep(Duration::from_millis(20));
        let told = line.ask(&["INFO", "persistence"]);
        told.contains(&wanted) && told.contains("rdb_bgsave_in_progress:0")
    })
}

#[test]
fn e8_a_redis_that_refuses_lets_nothing_be_approved_until_it_does_not_any_more() {
    let mut field = Field::new();
    let replica = |field: &mut Field, host: &str, port: &str| {
        assert_eq!(field.line.ask(&["REPLICAOF", host, port]), "+OK");
    };
    field.refuses(
        "READONLY",
        |field| replica(field, "127.0.0.1", "1"),
        |field| replica(field, "NO", "ONE"),
    );
    for (code, what, value, before) in [
        ("NOREPLICAS", "min-replicas-to-write", "1", "0"),
        ("OOM", "maxmemory", "1", "0"),
    ] {
        let (begin, end) = (
            |field: &mut Field| set(&mut field.line, what, value),
            |field: &mut Field| set(&mut field.line, what, before),
        );
        field.refuses(code, begin, end);
    }
    let acl = |field: &mut Field, rule: &str| {
        assert_eq!(field.line.ask(&["ACL", "SETUSER", "default", rule]), "+OK");
    };
    field.refuses(
        "NOPERM",
        |field| acl(field, "-fcall"),
        |field| acl(field, "+fcall"),
    );
    let mut caught = Vec::new();
    field.refuses(
        "BUSY",
        |field| {
            set(&mut field.line, "busy-reply-threshold", "20");
            let mut line = field.redis.line();
            line.send(&["EVAL", "while true do end", "0"]).unwrap();
            caught.push(line);
        },
        |field| assert_eq!(field.line.ask(&["SCRIPT", "KILL"]), "+OK"),
    );
    drop(caught);
    // The file that it saves to cannot be replaced.
    let file = field.redis.dir().join("dump.rdb");
    field.refuses(
        "MISCONF",
        |field| {
            std::fs::create_dir(&file).unwrap();
            set(&mut field.line, "save", "3600 1");
            assert!(saves(&mut field.line, "err"));
        },
        |field| {
            std::fs::remove_dir(&file).unwrap();
            assert!(saves(&mut field.line, "ok"));
        },
    );
    field.refuses(
        "NOAUTH",
        |field| {
            set(&mut field.line, "requirepass", "secret");
            cut(&mut field.line);
        },
        |field| set(&mut field.line, "requirepass", ""),
    );
    field.refuses(
        "MAXCLIENTS",
        |field| {
            set(&mut field.line, "maxclients", "1");
            cut(&mut field.line);
        },
        |field| set(&mut field.line, "maxclients", "1000"),
    );
}

/// What only a server says that loads, follows nobody, or is one of several is said by the proxy.
#[test]
fn e8_e10_words_of_other_servers_are_refusals_too() {
    let mut field = Field::new();
    for (code, says) in [
        ("LOADING", "LOADING Redis is loading the dataset in memory"),
        ("MASTERDOWN", "MASTERDOWN Link with MASTER is down"),
        ("CLUSTERDOWN", "CLUSTERDOWN The cluster is down"),
        (
            "TRYAGAIN",
            "TRYAGAIN Multiple keys request during rehashing of slot",
        ),
        ("MOVED", "MOVED 3999 127.0.0.1:1"),
        ("ASK", "ASK 3999 127.0.0.1:1"),
        ("EXECABORT", "EXECABORT Transaction discarded"),
    ] {
        let begin = |field: &mut Field| field.proxy.set(Fault::Says(says));
        field.refuses(code, begin, |field| field.proxy.set(Fault::None));
    }
}

/// Functions of two releases stand beside each other; where ours are missing nobody knows who was armed.
#[test]
fn e9_functions_that_are_missing_are_loaded_by_arming_and_those_of_others_do_no_harm() {
    let redis = founded(&[]);
    let (_machines, nodes) = pair(&redis, &with_room(1_000, 1));
    let other = "#!lua name=countersign_00000000000000fe\n\
                 redis.register_function('countersign_00000000000000fe_append', function() end)";
    assert_eq!(
        redis.ask(&["FUNCTION", "LOAD", other]),
        "countersign_00000000000000fe"
    );
    assert!(ask(&nodes[0], "one") && ask(&nodes[1], "two"));
    let ours = redis.ask(&[
        "EVAL",
        "return redis.call('GET', 'countersign:ledger')",
        "0",
    ]);
    assert_eq!(ours.len(), 32, "{ours}");
    assert_eq!(redis.ask(&["FUNCTION", "FLUSH"]), "+OK");
    for round in 0..5 {
        let token = |node| format!("missing-{node}-{round}");
        assert!(!ask(&nodes[0], &token(0)) && !ask(&nodes[1], &token(1)));
    }
    assert!(nodes.iter().all(|node| until(|| says_forgot(node))));
    let (code, told) = ledger(&redis, &["arm", "--nothing-was-lost"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(nodes.iter().all(|node| until(|| is_ready(node))));
    assert!(ask(&nodes[0], "three") && ask(&nodes[1], "four"));
    assert!(until(|| nodes
        .iter()
        .all(|node| spent(node, "card-0") == 4 * AMOUNT)));
}
