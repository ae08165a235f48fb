//! One database, one server: another one is refused, and who has lost it changes nothing any more
//! (behaviour 4).

use std::fs;
use std::thread;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use countersign::cold::store::postgres;

use crate::database::Database;
use crate::pg::{PASSWORD, PgServer, sql};
use crate::plane::{Plane, code, program, refused};
use crate::server::{Home, find, millis_since, now, said};
use crate::wire::Wire;

const LOCK_SESSIONS: &str = "SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
const LOCK: &str = "SELECT pg_advisory_lock(('x636e747273676e02')::bit(64)::bigint)";

/// Another data directory with the same secrets, on the same database.
fn twin(plane: &Plane, address: &str) -> Plane {
    let home = Home::new("strict", &json!({}));
    let (from, to) = (
        plane.home.data_dir().join("control"),
        home.data_dir().join("control"),
    );
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
    let address = address.to_owned();
    let (owner, customer) = (plane.owner.clone(), plane.customer.clone());
    Plane::of(home, Database { address }, owner, customer)
}

fn run(plane: &Plane, words: &[&str]) -> (Option<i32>, String) {
    let mut command = program(words[0], &plane.home, &plane.database);
    said(command.args(&words[1..]).output())
}

/// The second one's journal counts from now on, and not the first one's.
fn adopt(plane: &Plane) {
    let row = sql(&plane.database.address, "SELECT journal FROM ledger");
    let journal = String::from_utf8(row).unwrap().trim().to_owned();
    let mut command = crate::server::binary();
    command.args(["ledger", "adopt", "--instead-of", &journal, "--data-dir"]);
    command.arg(plane.home.data_dir());
    let (status, message) = said(command.envs(plane.database.environment()).output());
    assert_eq!(status, Some(0), "{message}");
}

fn keys(plane: &Plane, action: &str) -> (Option<i32>, String) {
    let mut command = crate::server::binary();
    command
        .args(["keys", action, "--data-dir"])
        .arg(plane.home.data_dir());
    said(command.envs(plane.database.environment()).output())
}

#[test]
fn c15_a_second_server_on_one_database_is_refused_until_the_first_is_gone() {
    let mut first = Plane::start();
    let mut second = twin(&first, &first.database.address);
    let (status, message) = refused(&second);
    assert_eq!(status, Some(3), "{message}");
    let place = fs::canonicalize(first.home.data_dir()).unwrap();
    assert!(message.contains("another server works on it"), "{message}");
    assert!(
        message.contains(&place.display().to_string()),
        "whose it is: {message}"
    );
    assert!(message.contains("stop that one first"), "{message}");
    assert!(!message.contains(PASSWORD), "{message}");
    // What changes rows is kept away as well; what looks is not.
    for (status, message) in [
        run(&second, &["init", "--new-key"]),
        keys(&second, "rotate"),
        keys(&second, "rewrap"),
    ] {
        assert_eq!(status, Some(3), "{message}");
        assert!(message.contains("stop it first"), "{message}");
    }
    let mut export = crate::server::binary();
    export
        .args(["audit", "export", "--data-dir"])
        .arg(second.home.data_dir());
    let (status, message) = said(export.envs(second.database.environment()).output());
    assert_eq!(status, Some(0), "{message}");
    assert_eq!(first.buy(&first.card(&json!({})), 100), "APPROVED");
    // However the first one ends, the second one need not wait.
    first.kill();
    adopt(&second);
    second.restart();
    second.card(&json!({}));
    assert_eq!(refused(&first).0, Some(3));
    assert!(second.stop().success());
    adopt(&first);
    first.restart();
    first.card(&json!({}));
}

#[test]
fn an_older_database_is_not_brought_up_beside_its_server() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = crate::pg::fresh_database();
    let dump = fs::read_to_string("fixtures/store/1.postgres.sql").unwrap();
    sql(&address, &dump);
    let opened = runtime.block_on(async {
        let mut server = PgConnection::connect(&address).await.unwrap();
        sqlx::raw_sql(LOCK).execute(&mut server).await.unwrap();
        let address = SecretString::from(address.clone());
        let beside = postgres::open(&address).await.err().unwrap();
        server.close().await.unwrap();
        (beside.to_string(), postgres::open(&address).await.is_ok())
    });
    assert!(opened.0.contains("tables are of version 1"), "{}", opened.0);
    assert!(opened.1, "nobody works on it any more");
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let since = now();
    while !is_so() {
        assert!(millis_since(since) < 60_000, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn warnings(plane: &Plane) -> Value {
    plane.server().admin("/readyz")["warnings"].clone()
}

#[test]
fn while_the_lock_is_lost_nothing_is_changed_and_issuers_notice_nothing() {
    let plane = Plane::start();
    let card = plane.card(&json!({}));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let address = plane.database.address.clone();
    // Somebody else has the lock, and has not written his name.
    let another = runtime.block_on(async {
        let mut another = PgConnection::connect(&address).await.unwrap();
        sqlx::raw_sql(LOCK_SESSIONS)
            .execute(&mut another)
            .await
            .unwrap();
        sqlx::raw_sql(LOCK).execute(&mut another).await.unwrap();
        another
    });
    until("it is never noticed", || {
        warnings(&plane) == json!(["database_not_held"])
    });
    let agent = json!({"customerId": plane.customer});
    let answer = plane.ask(&plane.owner, "POST", "/v1/agents", &agent);
    assert_eq!(code(&answer, 503), "store_unavailable");
    assert_eq!(plane.get("/v1/agents")["data"], json!([]), "it looks still");
    assert_eq!(plane.buy(&card, 100), "APPROVED");
    runtime.block_on(another.close()).unwrap();
    until("the lock is never had again", || {
        warnings(&plane) == json!([])
    });
    let agent = plane.owner_asks("POST", "/v1/agents", &agent, 201);
    assert_eq!(agent["status"], "active");
}

#[test]
fn who_believes_to_have_a_database_that_is_anothers_changes_nothing_and_ends() {
    let mut plane = Plane::start();
    let address = plane.database.address.clone();
    let customer = plane.customer.clone();
    // As another server does that has the lock, before this one has looked.
    sql(&address, "UPDATE countersign_writers SET owner = 'another'");
    let body = json!({"customerId": customer});
    let answer = plane.ask(&plane.owner, "POST", "/v1/agents", &body);
    assert_eq!(code(&answer, 503), "store_unavailable");
    assert_eq!(plane.ended().code(), Some(3));
    let count = sql(&address, "SELECT COUNT(*) FROM agents");
    assert_eq!(String::from_utf8(count).unwrap().trim(), "0");
    let log = fs::read(plane.home.path("stderr.log")).unwrap();
    assert!(find(&log, b"another server works on the database").is_some());
}

#[test]
fn a_server_that_was_cut_off_ends_when_it_finds_another_one_in_its_place() {
    let server = PgServer::start();
    let (database, direct, wire) = Wire::to(&server);
    let mut first = Plane::initialised_in(database);
    first.restart();
    let card = first.card(&json!({}));
    wire.cut();
    let mut second = twin(&first, &direct);
    // Its server notices that the first one's sessions are gone.
    adopt(&second);
    second.restart();
    second.card(&json!({}));
    assert_eq!(first.buy(&card, 100), "APPROVED", "issuers notice nothing");
    wire.mend();
    assert_eq!(first.ended().code(), Some(3));
    second.card(&json!({}));
    assert!(second.stop().success());
}

#[test]
fn whose_a_database_is_need_not_be_known_for_a_start_to_be_refused() {
    let plane = Plane::start();
    let address = &plane.database.address;
    // Of another user's session PostgreSQL tells neither place nor age.
    let made = format!("CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'");
    sql(address, &made);
    let guest = twin(&plane, &address.replace("keeper:", "guest:"));
    let (status, message) = refused(&guest);
    assert_eq!(status, Some(3), "{message}");
    assert!(message.contains("since an unknown instant"), "{message}");
}
