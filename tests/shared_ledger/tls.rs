//! A Redis that is spoken to under TLS: its certificate is always looked at.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::cluster::{CUSTOMERS, ROOM, ask, homes, snapshot};
use super::exact::of_ten_decisions;
use super::forgets::until;
use super::refusals::counted;
use super::{AMOUNT, Machine, with_room};
use crate::redis::RedisServer;
use crate::redis_cluster::RedisCluster;
use crate::server::{authorization, binary, said};

/// For whom a certificate is.
const HERE: &str = "IP:127.0.0.1";
const ELSEWHERE: &str = "DNS:redis.example.com";

/// Roots and certificates, made for one test.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let authority = Self(TempDir::new().unwrap());
        for root in ["root", "stranger"] {
            authority.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={root} \
                 -keyout {root}.key -out {root}.pem"
            ));
        }
        authority
    }

    /// A certificate of the root, and its key.
    fn certificate(&self, file: &str, name: &str) -> [String; 2] {
        let usage = format!("subjectAltName={name}\nbasicConstraints=CA:FALSE\n");
        std::fs::write(self.path("usage"), usage).unwrap();
        self.openssl(&format!(
            "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={file} \
             -keyout {file}.key -out {file}.request"
        ));
        self.openssl(&format!(
            "x509 -req -in {file}.request -CA root.pem -CAkey root.key -CAcreateserial -days 2 \
             -extfile usage -out {file}.pem"
        ));
        ["pem", "key"].map(|end| self.path(&format!("{file}.{end}")).display().to_string())
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn openssl(&self, words: &str) {
        let mut command = Command::new("openssl");
        let made = command
            .args(words.split_whitespace())
            .current_dir(self.0.path());
        let (code, told) = said(made.output());
        assert_eq!(code, Some(0), "{told}");
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A Redis with a second port, for TLS.
fn under_tls([certificate, key]: &[String; 2]) -> (RedisServer, u16) {
    let port = free_port();
    let redis = RedisServer::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        certificate,
        "--tls-key-file",
        key,
    ]);
    (redis, port)
}

fn ledger(words: &[&str], url: &str, root: Option<&Path>) -> (Option<i32>, String) {
    let mut command = binary();
    command.arg("ledger").args(words).args(["--ledger", url]);
    if let Some(root) = root {
        command.arg("--ledger-ca").arg(root);
    }
    said(command.output())
}

#[test]
fn under_tls_a_decision_is_one_round_trip() {
    let authority = Authority::new();
    let (redis, port) = under_tls(&authority.certificate("here", HERE));
    let (url, root) = (
        format!("rediss://127.0.0.1:{port}"),
        authority.path("root.pem"),
    );
    let (code, told) = ledger(&["found"], &url, Some(&root));
    assert_eq!(code, Some(0), "{told}");
    let machine = Machine::new(&redis, &with_room(10, 1));
    let mut command = machine.home.serve();
    command
        .args(["--ledger", &url])
        .env("COUNTERSIGN_LEDGER_CA", root);
    let node = machine.home.spawn(command);
    let mut client = node.client();
    of_ten_decisions(&redis, &mut client);
    // A connection that breaks is made anew the same way.
    let killed = redis.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    assert_eq!(killed, ":1");
    let declined = client.ask(&authorization("full", "card-0", AMOUNT));
    assert_eq!(declined.result(), "INSUFFICIENT_FUNDS");
}

#[test]
fn a_certificate_for_another_name_or_from_another_root_is_refused() {
    let authority = Authority::new();
    let (redis, port) = under_tls(&authority.certificate("here", HERE));
    let [certificate, key] = authority.certificate("elsewhere", ELSEWHERE);
    let url = format!("rediss://:hunter2@127.0.0.1:{port}");
    let (root, stranger) = (authority.path("root.pem"), authority.path("stranger.pem"));
    let refused = |root: Option<&Path>, why: &str| {
        let (code, told) = ledger(&["found"], &url, root);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains("its certificate is not accepted"), "{told}");
        assert!(told.contains(why), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    };
    refused(None, "UnknownIssuer");
    refused(Some(&stranger), "UnknownIssuer");
    let set = [
        "CONFIG",
        "SET",
        "tls-cert-file",
        &certificate,
        "tls-key-file",
        &key,
    ];
    assert_eq!(redis.ask(&set), "+OK");
    refused(Some(&root), "not valid for name");
    // Neither side takes the other's language for its own.
    let open = ledger(&["found"], &format!("redis://127.0.0.1:{port}"), None);
    assert_eq!(open.0, Some(1), "{}", open.1);
    let plain = format!("rediss://127.0.0.1:{}", redis.port());
    let closed = ledger(&["found"], &plain, Some(&root));
    assert_eq!(closed.0, Some(1), "{}", closed.1);
    println!("{}{}", open.1, closed.1);
    assert_eq!(redis.ask(&["DBSIZE"]), ":0");
}

/// What docs/scaling.md says is enough for the user of nodes in a cluster.
const USER: &str = "node on >hunter2 ~countersign:* &countersign:* -@all +fcall +fcall_ro +function|list \
                    +function|load +info +scan +subscribe +publish +time +@read +@write +asking +cluster|nodes \
                    +cluster|myid";

/// Settings of a server of a cluster under TLS: certificate, key and root.
fn of_cluster([certificate, key, root]: [&str; 3]) -> Vec<String> {
    let mut words = vec!["--tls-cert-file", certificate, "--tls-key-file", key];
    words.extend(["--tls-ca-cert-file", root, "--tls-auth-clients", "no"]);
    words.extend(["--tls-cluster", "yes"]);
    words.extend(["--cluster-announce-hostname", "localhost", "--user"]);
    words.extend(USER.split_whitespace());
    words.into_iter().map(str::to_owned).collect()
}

/// Certificates are for the announced name, redirections name addresses, and the user may do no more than it has to.
#[test]
fn e10_a_cluster_under_tls_and_a_password_is_one_ledger_wherever_a_slot_goes() {
    let authority = Authority::new();
    let [certificate, key] = authority.certificate("here", "DNS:localhost");
    let root = authority.path("root.pem");
    let more = of_cluster([&certificate, &key, &root.display().to_string()]);
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let of_tls = || vec!["--tls-port".to_owned(), free_port().to_string()];
    let cluster = RedisCluster::start_with(3, &more, of_tls);
    let port = |at: usize| {
        let mut line = cluster.servers[at].line();
        line.list(&["CONFIG", "GET", "tls-port"]).remove(1)
    };
    let url = |password: &str| {
        let places = format!("localhost:{},localhost:{}", port(0), port(1));
        format!("rediss+cluster://node:{password}@{places}")
    };
    let (code, told) = ledger(&["found"], &url("hunter3"), Some(&root));
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("WRONGPASS") || told.contains("invalid username"),
        "{told}"
    );
    assert!(!told.contains("hunter3"), "{told}");
    let (code, told) = ledger(
        &["found"],
        &url("hunter2"),
        Some(&authority.path("stranger.pem")),
    );
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("its certificate is not accepted"), "{told}");
    let (code, told) = ledger(&["found"], &url("hunter2"), Some(&root));
    assert_eq!(code, Some(0), "{told}");
    let machines = [(); 2].map(|()| Machine::of(&url("hunter2"), &snapshot(ROOM)));
    let nodes = machines.each_ref().map(|machine| {
        let mut command = machine.home.serve();
        let command_at = command.args(["--ledger", &machine.url]);
        command_at.env("COUNTERSIGN_LEDGER_CA", &root);
        machine.home.spawn(command)
    });
    let homes = homes(&cluster, &nodes[0]);
    // One customer's slot goes, key by key.
    let (log, from) = &homes[0];
    let (slot, to) = (cluster.slot(log), (from + 1) % 3);
    cluster.opens(slot, *from, to);
    for key in cluster.keys(slot, *from) {
        let moved = ["MIGRATE", "127.0.0.1", &port(to), &key, "0", "1000"];
        assert_eq!(cluster.servers[*from].ask(&moved), "+OK", "{key}");
    }
    assert_eq!(ask(&nodes[0], "asked", 0), "APPROVED");
    assert!(counted(&nodes[0], "ASK") > 0);
    cluster.closes(slot, *from, to);
    assert_eq!(ask(&nodes[0], "moved", 0), "APPROVED");
    // One server forgets who armed it, and its customers are served again when all was given back.
    let gone = (1..CUSTOMERS).find(|it| homes[*it].1 == 2).unwrap();
    assert_eq!(cluster.servers[2].ask(&["FUNCTION", "FLUSH"]), "+OK");
    assert_eq!(ask(&nodes[1], "forgotten", gone), "VELOCITY_EXCEEDED");
    is_repaired(&machines, &root);
    let mut round = 0;
    assert!(until(|| {
        round += 1;
        ask(&nodes[1], &format!("armed-{round}"), gone) == "APPROVED"
    }));
}

fn is_repaired(machines: &[Machine; 2], root: &Path) {
    for machine in machines {
        let dir = machine.home.data_dir().display().to_string();
        let (code, told) = ledger(&["repair", "--data-dir", &dir], &machine.url, Some(root));
        assert_eq!(code, Some(0), "{told}");
    }
    let (code, told) = ledger(&["arm", "--nothing-was-lost"], &machines[0].url, Some(root));
    assert_eq!(code, Some(0), "{told}");
}
