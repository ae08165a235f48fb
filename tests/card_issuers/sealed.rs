//! Issuers' keys: set through the API or the command line, sealed at rest, never shown again
//! (behaviour 4.7, 8.4).

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::desk::{Desk, files_with};
use crate::far_side::{KEY, Speech};
use crate::plane::{code, value};
use crate::server::{binary, said};

const PATH: &str = "/v1/connections/acme/key";

fn set_key(desk: &Desk, key: &str) {
    let set = desk
        .plane
        .owner_asks("POST", PATH, &json!({"key": key}), 200);
    assert!(set["keySetAt"].is_string());
    assert!(!set.to_string().contains(key), "{set}");
}

fn makes_cards(desk: &Desk) -> bool {
    let body = json!({"customerId": desk.plane.customer});
    let response = desk
        .plane
        .ask(&desk.plane.owner, "POST", "/v1/cards", &body);
    if response.status == 201 {
        return true;
    }
    assert_eq!(code(&response, 503), "issuer_denied");
    false
}

/// Runs a command on the data directory while no server does.
fn run(desk: &mut Desk, words: &[&str], input: &str) -> (Option<i32>, String) {
    desk.plane.kill();
    let mut command = binary();
    command.args(words);
    command.arg("--data-dir").arg(desk.plane.home.data_dir());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    said(child.wait_with_output())
}

#[test]
fn a_key_goes_in_works_and_never_comes_out() {
    for speech in [Speech::Lithic, Speech::Stripe, Speech::Privacy] {
        let mut desk = Desk::with(speech, "");
        assert!(!makes_cards(&desk));
        let none = &desk.plane.get("/v1/connections")["data"][0];
        assert_eq!(
            (&none["name"], &none["keySetAt"]),
            (&json!("acme"), &Value::Null)
        );
        assert_eq!(none["decides"], json!(speech != Speech::Privacy));
        set_key(&desk, "sk_wrong");
        assert!(!makes_cards(&desk));
        set_key(&desk, KEY);
        assert!(makes_cards(&desk));
        desk.plane.kill();
        for place in ["data", "stderr.log"] {
            let path = desk.plane.home.path(place);
            let leaks = if path.is_dir() {
                files_with(&path, KEY)
            } else {
                let log = fs::read_to_string(&path).unwrap();
                log.lines()
                    .filter(|it| it.contains(KEY))
                    .map(str::to_owned)
                    .collect()
            };
            assert_eq!(leaks, [""; 0], "{place}");
        }
        desk.restart();
        assert!(makes_cards(&desk), "it is opened again");
    }
}

#[test]
fn a_key_that_is_refused_is_not_repeated() {
    let desk = Desk::with(Speech::Lithic, "");
    for body in [
        json!({"key": 4_111_111_111_u64}),
        json!({"key": "a secret with spaces"}),
        json!({"key": ["secret"]}),
        json!({"key": ""}),
    ] {
        let response = desk.plane.ask(&desk.plane.owner, "POST", PATH, &body);
        assert_eq!(code(&response, 400), "invalid_request");
        let text = response.text();
        assert!(!text.contains("secret") && !text.contains("4111"), "{text}");
        assert_eq!(value(&response)["errors"][0]["field"], "key");
    }
    let configured = Desk::start(Speech::Lithic);
    let body = json!({"key": KEY});
    let response = configured
        .plane
        .ask(&configured.plane.owner, "POST", PATH, &body);
    assert_eq!(code(&response, 422), "not_supported");
}

#[test]
fn the_master_key_is_made_checked_and_rotated() {
    let mut desk = Desk::with(Speech::Lithic, "");
    let master = desk.plane.home.data_dir().join("control/master.key");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&master), 0o600);
    set_key(&desk, KEY);
    let before = fs::read_to_string(&master).unwrap();
    let (status, said) = run(&mut desk, &["keys", "rotate"], "");
    assert_eq!(
        (status, &*said),
        (Some(0), "1 sealed keys are wrapped by a new master key\n")
    );
    let after = fs::read_to_string(&master).unwrap();
    assert_ne!(before, after);
    let id = |text: &str| text.split('_').nth(1).unwrap().to_owned();
    let rotated = json!({"id": "acme", "kind": "issuerKey", "what": "rewrapped"});
    assert_eq!(
        commands(&mut desk, "countersign keys rotate"),
        [
            json!([{"id": id(&after), "kind": "masterKey", "what": "made"}]),
            json!([rotated]),
            json!([{"id": id(&before), "kind": "masterKey", "what": "removed"}]),
        ]
        .map(|changes| (changes, "ok".to_owned()))
    );
    assert_eq!((after.lines().count(), mode(&master)), (1, 0o600));
    desk.restart();
    assert!(makes_cards(&desk));
    // A server that runs has the directory to itself.
    let mut command = binary();
    command.args(["keys", "rotate", "--data-dir"]);
    let (status, _) = crate::server::said(command.arg(desk.plane.home.data_dir()).output());
    assert_eq!(status, Some(3));
    // Set from the command line, too.
    let (status, said) = run(
        &mut desk,
        &["keys", "set", "--connection", "acme"],
        "sk_other\n",
    );
    assert_eq!(status, Some(0), "{said}");
    let (status, told) = run(&mut desk, &["audit", "export"], "");
    assert_eq!(status, Some(0), "{told}");
    let told = told
        .lines()
        .rfind(|line| line.starts_with("{\"entry\""))
        .unwrap();
    assert!(
        told.contains("countersign keys set") && told.contains("\"kind\":\"issuerKey\""),
        "{told}"
    );
    desk.restart();
    assert!(!makes_cards(&desk));
    let (_, _) = run(&mut desk, &["keys", "set", "--connection", "acme"], KEY);
    desk.restart();
    assert!(makes_cards(&desk));
    // With another key in the file nothing opens, and nothing is made up.
    desk.plane.kill();
    let (_, new) = said_of(&["keys", "new"]);
    fs::write(&master, &new).unwrap();
    desk.restart();
    assert!(!makes_cards(&desk));
    desk.plane.kill();
    fs::write(&master, new.clone() + &after).unwrap();
    fs::set_permissions(&master, fs::Permissions::from_mode(0o644)).unwrap();
    let (_, report) = run(&mut desk, &["doctor"], "");
    let line = report.lines().find(|it| it.contains("master key"));
    assert!(line.unwrap().starts_with("fail"), "{report}");
    fs::set_permissions(&master, fs::Permissions::from_mode(0o600)).unwrap();
    let (_, report) = run(&mut desk, &["doctor"], "");
    let line = report.lines().find(|it| it.contains("master key"));
    assert!(line.unwrap().starts_with("ok"), "{report}");
    assert!(!report.contains(new.trim()), "{report}");
    desk.restart();
    assert!(makes_cards(&desk));
}

/// What the command has told the audit log, which is whole and signed to its end: what was changed,
/// and how it ended.
fn commands(desk: &mut Desk, action: &str) -> Vec<(Value, String)> {
    let (status, told) = run(desk, &["audit", "export"], "");
    assert_eq!(status, Some(0), "{told}");
    let last = told.lines().last().unwrap();
    assert!(last.starts_with("{\"checkpoint\""), "{last}");
    let (status, verified) = run(desk, &["audit", "verify"], "");
    assert_eq!(status, Some(0), "{verified}");
    let lines = told
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["entry"].clone());
    let entries = lines.filter(|entry| entry["action"] == action);
    let told = entries.map(|entry| {
        assert_eq!(entry["who"]["kind"], "commandLine");
        let outcome = entry["outcome"].as_str().unwrap().to_owned();
        (entry["changes"].clone(), outcome)
    });
    told.collect()
}

fn said_of(words: &[&str]) -> (Option<i32>, String) {
    let mut command = binary();
    said(command.args(words).output())
}

#[test]
fn a_master_key_that_the_configuration_names_is_wrapped_by() {
    let mut desk = Desk::with(Speech::Lithic, "");
    set_key(&desk, KEY);
    desk.plane.kill();
    let home = &desk.plane.home;
    let master = home.data_dir().join("control/master.key");
    let (_, new) = said_of(&["keys", "new"]);
    let folder = home.path("credentials");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("master"), &new).unwrap();
    let config = fs::read_to_string(home.path("plane.toml")).unwrap();
    let old = format!("file:{}", master.display());
    let with = |sources: &str| format!("[keys]\nmaster = [{sources}]\n{config}");
    home.write(
        "plane.toml",
        &with(&format!("\"credential:master\", \"{old}\"")),
    );
    let (config, data_dir) = (home.path("plane.toml"), home.data_dir());
    let rewrap = || {
        let mut command = binary();
        command.env("CREDENTIALS_DIRECTORY", &folder);
        command.args(["keys", "rewrap", "--config"]).arg(&config);
        said(command.arg("--data-dir").arg(&data_dir).output())
    };
    let rewrapped = |count: usize| {
        let told = format!("{count} sealed keys are wrapped by the first master key\n");
        (Some(0), told)
    };
    assert_eq!(rewrap(), rewrapped(1));
    assert_eq!(rewrap(), rewrapped(0));
    // One that has sealed nothing opens nothing.
    let (_, stranger) = said_of(&["keys", "new"]);
    fs::write(folder.join("master"), stranger).unwrap();
    assert_eq!(rewrap().0, Some(1));
    fs::write(folder.join("master"), new).unwrap();
    let row = json!([{"id": "acme", "kind": "issuerKey", "what": "rewrapped"}]);
    let told = [
        (row, "ok"),
        (json!([]), "ok"),
        (
            json!([]),
            "a row is sealed under a master key that is not here",
        ),
    ];
    let told = told.map(|(changes, outcome)| (changes, outcome.to_owned()));
    assert_eq!(commands(&mut desk, "countersign keys rewrap"), told);
    let home = &desk.plane.home;
    // The old one is not needed any more.
    fs::remove_file(&master).unwrap();
    let named = format!("\"file:{}\"", folder.join("master").display());
    home.write("plane.toml", &with(&named));
    desk.restart();
    assert!(makes_cards(&desk));
}
