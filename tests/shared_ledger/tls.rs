//! A Redis that is spoken to under TLS: its certificate is always looked at.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::exact::of_ten_decisions;
use super::{AMOUNT, Machine, with_room};
use crate::redis::RedisServer;
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

/// A Redis with a second port, for TLS.
fn under_tls([certificate, key]: &[String; 2]) -> (RedisServer, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
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
