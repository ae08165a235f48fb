//! A database belongs to the journal that counts its limits: a start with another one, or with an older
//! copy, is refused until it is adopted (behaviour 4).

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::plane::{Plane, refused};
use crate::server::{Home, binary, millis_since, now, said};

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Another data directory with the same secrets and rows, and without a journal.
fn twin(plane: &Plane) -> Plane {
    let home = Home::new("strict", &json!({}));
    // With the sandbox's cards, so that the same ones can be used.
    for name in ["control", "sandbox"] {
        let folder = |home: &Home| home.data_dir().join(name);
        copy_folder(&folder(&plane.home), &folder(&home));
    }
    let database = plane.database.clone();
    Plane::of(home, database, plane.owner.clone(), plane.customer.clone())
}

fn adopt(plane: &Plane, instead_of: &str) -> (Option<i32>, String) {
    let mut command = binary();
    command.args(["ledger", "adopt", "--instead-of", instead_of, "--data-dir"]);
    command.arg(plane.home.data_dir());
    said(command.envs(plane.database.environment()).output())
}

/// The journal that the database belongs to, and what the audit log says of adoptions.
fn bound(plane: &Plane) -> (Option<String>, Vec<Value>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = plane.database.open(&plane.home.data_dir()).await.unwrap();
        let row = store.ledger().await.unwrap();
        let entries = store.audit_entries(0, None, 1_000).await.unwrap();
        store.close().await.unwrap();
        let entries = entries.iter().map(|it| serde_json::from_str(&it.text));
        let entries = entries.map(|entry: Result<Value, _>| entry.unwrap());
        let adopted = |entry: &Value| entry["action"] == "countersign ledger adopt";
        (
            row.map(|row| row.journal),
            entries.filter(adopted).collect(),
        )
    })
}

#[test]
fn c20_a_start_with_another_journal_is_refused_until_the_database_is_adopted() {
    let mut first = Plane::start();
    let card = first.card(&json!({"policy": {"limits": {"total": 1000}}}));
    assert_eq!(first.buy(&card, 800), "APPROVED");
    assert!(first.stop().success());
    let (theirs, _) = bound(&first);
    let theirs = theirs.unwrap();
    let mut second = twin(&first);
    // Twice: what a refused start leaves in the directory is not taken for the right journal.
    for _ in 0..2 {
        let (status, message) = refused(&second);
        assert_eq!(status, Some(3), "{message}");
        let place = fs::canonicalize(first.home.data_dir()).unwrap();
        let place = place.display().to_string();
        let wanted = format!("countersign ledger adopt --instead-of {theirs}");
        for words in [&*theirs, &*place, &*wanted] {
            assert!(message.contains(words), "{words}: {message}");
        }
    }
    // The right one counts on.
    first.restart();
    assert_ne!(first.buy(&card, 800), "APPROVED");
    assert!(first.stop().success());
    let (status, message) = adopt(&second, "00000000000000000000000000000000");
    assert_eq!(status, Some(2), "{message}");
    assert!(message.contains(&theirs), "{message}");
    assert_eq!(refused(&second).0, Some(3), "nothing was adopted");
    let (status, message) = adopt(&second, &theirs);
    assert_eq!(status, Some(0), "{message}");
    let (ours, adopted) = bound(&second);
    let ours = ours.unwrap();
    assert_ne!(ours, theirs);
    let [entry] = &*adopted else {
        panic!("{adopted:?}");
    };
    assert_eq!(entry["who"]["kind"], "commandLine");
    let changes = json!([
        {"id": theirs, "kind": "ledger", "what": "given up"},
        {"id": ours, "kind": "ledger", "what": "adopted"},
    ]);
    assert_eq!(entry["changes"], changes);
    let (status, message) = adopt(&second, &ours);
    assert_eq!(status, Some(2), "{message}");
    assert!(message.contains("already"), "{message}");
    second.restart();
    assert_eq!(second.buy(&card, 800), "APPROVED", "it counts from zero");
    assert!(second.stop().success());
    if first.database.environment().is_some() {
        let (status, message) = refused(&first);
        assert_eq!(status, Some(3), "{message}");
        assert!(message.contains(&ours), "{message}");
    }
}

#[test]
fn c20_an_older_copy_of_the_journal_is_refused_until_it_is_adopted() {
    let mut plane = Plane::start();
    let card = plane.card(&json!({"policy": {"limits": {"total": 1000}}}));
    assert!(plane.stop().success());
    let journal = plane.home.data_dir().join("journal");
    let (older, newer) = (plane.home.path("older"), plane.home.path("newer"));
    copy_folder(&journal, &older);
    plane.restart();
    assert_eq!(plane.buy(&card, 900), "APPROVED");
    // That a share of the limit was reached, so that the database knows how far the journal has come.
    let since = now();
    while plane.get("/v1/alerts")["data"] == json!([]) {
        assert!(millis_since(since) < 60_000, "no alert");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(plane.stop().success());
    fs::rename(&journal, &newer).unwrap();
    copy_folder(&older, &journal);
    let (status, message) = refused(&plane);
    assert_eq!(status, Some(3), "{message}");
    assert!(message.contains("is an older copy"), "{message}");
    // The newest one is not.
    fs::remove_dir_all(&journal).unwrap();
    copy_folder(&newer, &journal);
    plane.restart();
    assert_ne!(plane.buy(&card, 900), "APPROVED");
    assert!(plane.stop().success());
    fs::remove_dir_all(&journal).unwrap();
    copy_folder(&older, &journal);
    let ours = bound(&plane).0.unwrap();
    assert!(message.contains(&ours), "{message}");
    let (status, message) = adopt(&plane, &ours);
    assert_eq!(status, Some(0), "{message}");
    plane.restart();
    assert_eq!(plane.buy(&card, 900), "APPROVED", "what is lost is lost");
    assert!(plane.stop().success());
}

#[test]
fn a_database_of_before_takes_the_journal_of_its_first_start() {
    let mut plane = Plane::initialised();
    assert_eq!(bound(&plane), (None, vec![]));
    plane.restart();
    assert!(plane.stop().success());
    let first = bound(&plane).0.unwrap();
    let data_dir = plane.home.data_dir();
    // As an earlier version has left it.
    plane.database.change(&data_dir, "DELETE FROM ledger");
    fs::remove_dir_all(data_dir.join("journal")).unwrap();
    let (status, message) = adopt(&plane, &first);
    assert_eq!(status, Some(2), "{message}");
    assert!(
        message.contains("the first start gives it one"),
        "{message}"
    );
    plane.restart();
    assert!(plane.stop().success());
    assert!(bound(&plane).0.is_some_and(|it| it != first));
}

/// The one segment of a journal without a record has its name, and nothing else has.
#[test]
fn a_start_that_ends_early_leaves_an_empty_journal_its_name() {
    let mut plane = Plane::start();
    assert!(plane.stop().success());
    let (theirs, _) = bound(&plane);
    plane.home.write("broken.json", "{");
    let mut command = crate::plane::program("serve", &plane.home, &plane.database);
    command
        .arg("--snapshot")
        .arg(plane.home.path("broken.json"));
    let (status, message) = said(command.output());
    assert_eq!(status, Some(2), "{message}");
    plane.restart();
    assert!(plane.stop().success());
    assert_eq!(bound(&plane).0, theirs);
}
