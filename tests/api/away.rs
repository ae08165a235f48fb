//! A database that is away: before the start, and in the middle of everything.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::database::Database;
use crate::pg::{PASSWORD, PgServer};
use crate::plane::{Plane, bearer, id, program, request, value};
use crate::server::{Client, find, said};

fn on(server: &PgServer) -> Database {
    let address = server.fresh_database();
    Database { address }
}

fn refused(plane: &Plane) -> String {
    let mut command = program("serve", &plane.home, &plane.database);
    for listener in ["--issuer-listen", "--listen", "--ops-listen"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    let (status, said) = said(command.output());
    assert_eq!(status, Some(1), "{said}");
    said
}

#[test]
fn a_start_without_the_database_says_which_one_and_nothing_secret() {
    let mut server = PgServer::start();
    let plane = Plane::initialised_in(on(&server));
    server.crash();
    let said = refused(&plane);
    let (_, place) = plane.database.address.split_once('@').unwrap();
    assert!(said.contains(&format!("postgres://{place}: ")), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
    assert!(!said.contains(PASSWORD), "{said}");
}

#[test]
fn nothing_that_is_wrong_with_the_address_is_told_with_its_password() {
    let plane = Plane::initialised();
    let good = plane.database.address.clone();
    let wrong_password = good.replace(PASSWORD, "canary-of-another-password");
    for (address, expected) in [
        (wrong_password, "password authentication failed"),
        (good.replace("/plane_", "/none_"), "does not exist"),
        (format!("{good}?passwd={PASSWORD}"), "parameter"),
        (format!("{good}?sslmode={PASSWORD}"), "postgres://USER"),
        (good.replace("@127", "@@:x127"), "postgres://USER"),
    ] {
        let mut broken = Plane::initialised();
        broken.database = Database { address };
        let said = refused(&broken);
        assert!(said.contains(expected), "{expected}: {said}");
        for secret in [PASSWORD, "canary-of-another"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    let help = said(
        program("serve", &plane.home, &plane.database)
            .arg("--help")
            .output(),
    );
    assert!(help.1.contains("COUNTERSIGN_DATABASE"), "{}", help.1);
    assert!(!help.1.contains(PASSWORD), "{}", help.1);
}

#[test]
fn a_data_directory_without_the_secret_of_the_databases_keys_is_refused() {
    let plane = Plane::initialised();
    let secret = plane.home.data_dir().join("control/token.secret");
    std::fs::remove_file(&secret).unwrap();
    let message = refused(&plane);
    assert!(message.contains("token.secret: is not there"), "{message}");
    let again = said(program("init", &plane.home, &plane.database).output());
    assert_eq!(again.0, Some(1), "{}", again.1);
    assert!(!secret.exists(), "one that does not fit was made");
}

/// Asks until it is done, whatever happens to the database meanwhile: the card's id.
fn make_card(listen: SocketAddr, owner: &str, customer: &str, key: &str) -> String {
    let headers = format!("{}idempotency-key: {key}\r\n", bearer(owner));
    let body = json!({"customerId": customer}).to_string();
    let request = request("POST", "/v1/cards", &headers, &body);
    for _ in 0..600 {
        let response = Client::connect(listen).ask(request.as_bytes());
        match response.status {
            201 => return id(&value(&response)),
            409 | 503 => thread::sleep(Duration::from_millis(100)),
            _ => panic!("{}", response.text()),
        }
    }
    panic!("never done");
}

#[test]
fn a_server_that_dies_in_the_middle_loses_nothing_and_doubles_nothing() {
    const MAKERS: usize = 4;
    let mut server = PgServer::start();
    let mut plane = Plane::initialised_in(on(&server));
    plane.restart();
    let old = plane.card(&json!({}));
    let (listen, done) = (plane.listen(), AtomicBool::new(false));
    let made_count = AtomicUsize::new(0);
    let made: Vec<(String, String)> = thread::scope(|scope| {
        let maker = |maker: usize| {
            let (plane, done, made_count) = (&plane, &done, &made_count);
            move || {
                let mut made = Vec::new();
                while !done.load(Ordering::Acquire) {
                    let key = format!("k-{maker}-{}", made.len());
                    let card = make_card(listen, &plane.owner, &plane.customer, &key);
                    // In force once the call has returned, whatever happened before.
                    assert_eq!(plane.buy(&card, 100), "APPROVED");
                    made.push((key, card));
                    made_count.fetch_add(1, Ordering::Relaxed);
                }
                made
            }
        };
        let makers: Vec<_> = (0..MAKERS).map(|at| scope.spawn(maker(at))).collect();
        for _ in 0..4 {
            let before = made_count.load(Ordering::Relaxed);
            while made_count.load(Ordering::Relaxed) < before + 2 * MAKERS {
                thread::sleep(Duration::from_millis(1));
            }
            server.crash();
            assert_eq!(plane.buy(&old, 100), "APPROVED", "issuers notice nothing");
            assert!(server.run_again(), "PostgreSQL does not come back");
        }
        done.store(true, Ordering::Release);
        let made = makers.into_iter().map(|maker| maker.join().unwrap());
        made.flatten().collect()
    });
    let mut cards: Vec<&String> = made.iter().map(|(_, card)| card).collect();
    cards.sort();
    cards.dedup();
    assert_eq!(cards.len(), made.len(), "two keys, one card");
    for (key, card) in &made {
        let again = make_card(listen, &plane.owner, &plane.customer, key);
        assert_eq!(&again, card, "{key} had another answer");
    }
    let path = plane.home.data_dir().join("sandbox/cards.jsonl");
    let lines = std::fs::read_to_string(path).unwrap();
    assert_eq!(lines.lines().count(), made.len() + 1, "no orphan");
    let log = std::fs::read(plane.home.path("stderr.log")).unwrap();
    assert!(find(&log, b"the database").is_some(), "the fault was told");
    assert!(find(&log, PASSWORD.as_bytes()).is_none());
}
