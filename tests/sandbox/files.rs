//! What the sandbox keeps in the data directory, and the demo cards.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use countersign::clock::Clock;
use countersign::cold::sandbox::cards::Cards;
use countersign::cold::sandbox::files::{DEMO_SNAPSHOT, NotFound, announce, find, prepare};
use countersign::cold::sandbox::story::{Holder, STORY};
use countersign::decide::document::{DocumentContext, read_snapshot};
use countersign::fingerprint::Fingerprinter;
use countersign::issuer::standard_webhooks::sign;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_secret_is_its_owners_alone_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let first = prepare(dir.path()).unwrap();
    let path = dir.path().join("sandbox/secret");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&dir.path().join("sandbox")), 0o700);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("whsec_") && text.len() == "whsec_".len() + 44 + 1);

    let second = prepare(dir.path()).unwrap();
    let now = Clock::start().now();
    let signed = |secret| sign(secret, "id", now, b"body");
    assert_eq!(signed(&first.keys.lithic), signed(&second.keys.lithic));
    let other = tempfile::tempdir().unwrap();
    let other = prepare(other.path()).unwrap();
    assert_ne!(signed(&first.keys.lithic), signed(&other.keys.lithic));
}

#[test]
fn the_snapshot_is_the_users_to_edit() {
    let dir = tempfile::tempdir().unwrap();
    let path = prepare(dir.path()).unwrap().snapshot_path;
    assert_eq!(fs::read_to_string(&path).unwrap(), DEMO_SNAPSHOT);
    fs::write(&path, "edited").unwrap();
    prepare(dir.path()).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "edited");
}

#[test]
fn another_process_finds_what_was_announced() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(find(dir.path()), Err(NotFound::NeverStarted(_))));
    let setup = prepare(dir.path()).unwrap();
    let told = find(dir.path()).err().unwrap().to_string();
    assert!(told.contains("start `countersign serve` first"), "{told}");

    let snapshot = &setup.snapshot_path;
    announce(
        dir.path(),
        "http://127.0.0.1:43121",
        "http://0.0.0.0:43122",
        snapshot,
    )
    .unwrap();
    let found = find(dir.path()).unwrap();
    assert_eq!(found.issuer.to_string(), "127.0.0.1:43121");
    assert_eq!(found.ops.to_string(), "127.0.0.1:43122");
    assert!(found.snapshot.is_absolute());
    let now = Clock::start().now();
    let signed = |secret| sign(secret, "id", now, b"body");
    assert_eq!(signed(&found.keys.lithic), signed(&setup.keys.lithic));

    announce(dir.path(), "http://127.0.0.1:1", "http://[::1]:2", snapshot).unwrap();
    assert_eq!(find(dir.path()).unwrap().ops.to_string(), "[::1]:2");
    let left: Vec<_> = fs::read_dir(dir.path().join("sandbox"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".new"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = prepare(dir.path()).unwrap().snapshot_path;
    let url = "http://127.0.0.1:1";
    announce(dir.path(), url, url, &snapshot).unwrap();
    let at = |name: &str| dir.path().join("sandbox").join(name);

    for state in ["", "{}", r#"{"issuer":"nowhere","ops":"x","snapshot":"y"}"#] {
        fs::write(at("state.json"), state).unwrap();
        let error = find(dir.path()).err().unwrap().to_string();
        assert!(error.contains("sandbox/state.json`"), "{error}");
    }
    announce(dir.path(), url, url, &snapshot).unwrap();
    fs::write(at("secret"), "whsec_short\n").unwrap();
    for error in [
        find(dir.path()).err().unwrap().to_string(),
        prepare(dir.path()).err().unwrap().to_string(),
    ] {
        assert!(error.contains("sandbox/secret`"), "{error}");
        assert!(
            !error.contains("short\n") && !error.contains("whsec_short"),
            "{error}"
        );
    }
    let error = Cards::read(&at("gone.json"), "sandbox")
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("gone.json"), "{error}");

    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = prepare(&file).err().unwrap().to_string();
    assert!(error.contains("file/sandbox`"), "{error}");
}

#[test]
fn the_demo_snapshot_is_lawful_and_has_the_storys_cards() {
    let context = DocumentContext {
        file: "demo",
        connections: &["sandbox", "sandbox-stripe", "sandbox-marqeta"],
        version: 1,
    };
    let snapshot =
        read_snapshot(DEMO_SNAPSHOT.as_bytes(), context, &Fingerprinter::new(1)).unwrap();
    assert_eq!(snapshot.customer_count(), 2);
    assert_eq!(snapshot.agent_count(), 2);
    assert_eq!(snapshot.card_count(), 12);

    let dir = tempfile::tempdir().unwrap();
    let cards = Cards::read(&prepare(dir.path()).unwrap().snapshot_path, "sandbox").unwrap();
    assert_eq!(cards.ids().count(), 8);
    for chapter in STORY {
        match chapter.holder {
            Holder::Card(id) => assert!(cards.token_of(id).is_some(), "{id}"),
            Holder::Stranger(token) => assert!(!cards.has_token(token), "{token}"),
        }
    }
}
