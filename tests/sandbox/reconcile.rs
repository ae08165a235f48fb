//! `countersign reconcile` on lists that the sandbox has written, whole and with planted differences.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::commands::{Server, countersign};
use crate::lives::told;

/// A server on which a little of everything has happened.
fn played(issuer: &str) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    for scenario in [
        "approve-and-clear",
        "multi-clearing",
        "clear-after-expiry",
        "clear-without-authorization",
        "partial-reversal",
        "full-reversal",
        "increment",
        "refund-linked",
        "refund-unlinked",
        "declined-there",
        "atm",
        "issuer-stand-in",
        "reversal-first",
    ] {
        let arguments = ["sandbox", "trigger", scenario, "--issuer", issuer];
        let (code, text, error) = told(dir.path(), &arguments);
        assert_eq!(code, 0, "{text}{error}");
    }
    (dir, server)
}

fn list(dir: &Path, issuer: &str) -> Value {
    let output = countersign(dir, &["sandbox", "transactions", "--issuer", issuer]);
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn reconcile(dir: &Path, issuer: &str, text: &str, more: &[&str]) -> (i32, String, String) {
    let path: PathBuf = dir.join("list.json");
    std::fs::write(&path, text).unwrap();
    let connection = match issuer {
        "lithic" => "sandbox",
        _ => "sandbox-stripe",
    };
    let arguments = [
        "reconcile",
        "--connection",
        connection,
        "--from",
        path.to_str().unwrap(),
    ];
    told(dir, &[&arguments, more].concat())
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn i13_what_agrees_is_explained_in_pages_arrays_and_lines() {
    for issuer in ["lithic", "stripe"] {
        let (dir, _server) = played(issuer);
        let page = list(dir.path(), issuer);
        let elements = page["data"].as_array().unwrap();
        assert_eq!(elements.len(), 13);
        let array = Value::from(elements.clone()).to_string();
        let one_a_line = |it: &Value| format!("{it}\n");
        let lines: String = elements.iter().map(one_a_line).collect();
        for text in [page.to_string(), array, lines] {
            let (code, told, error) = reconcile(dir.path(), issuer, &text, &[]);
            assert_eq!((code, error.as_str()), (0, ""), "{told}");
            let expected = "no difference: 0 missing here, 0 missing there, 0 amount, 0 state\n\
                explained: 13 agree, 0 declined there without us, 0 here without money, 0 outside the list's time\n";
            assert_eq!(told, expected);
        }
    }
}

/// The element of a list that this wants.
fn find(elements: &mut [Value], wanted: impl Fn(&Value) -> bool) -> &mut Value {
    elements.iter_mut().find(|it| wanted(it)).unwrap()
}

/// A list of Lithic's with one difference of each class, and the ids of their authorizations.
struct Planted {
    page: String,
    amount: Value,
    state: Value,
    missing_here: Value,
    missing_there: Value,
}

fn planted(mut page: Value) -> Planted {
    let elements = page["data"].as_array_mut().unwrap();
    // Newest first; both ends stay, so that the list covers the same time.
    let gone = elements.remove(2);
    assert_eq!(gone["events"][0]["type"], "FINANCIAL_AUTHORIZATION");
    // The oldest is the first scenario: one clearing.
    let mut alien = elements.last().unwrap().clone();
    alien["token"] = json!("0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a99");
    alien["amounts"]["settlement"]["amount"] = json!(-777);
    let unasked = json!({
        "token": "0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a98", "card_token": "c", "status": "DECLINED",
        "created": alien["created"], "events": [],
        "amounts": {
            "cardholder": {"amount": 0, "currency": "USD", "conversion_rate": "1"},
            "hold": {"amount": 0, "currency": "USD"}, "merchant": {"amount": 0, "currency": "USD"},
            "settlement": {"amount": 0, "currency": "USD"},
        },
    });
    let missing_here = alien["token"].clone();
    elements.extend([alien, unasked]);
    let cleared = find(elements, |it| it["events"].as_array().unwrap().len() == 4);
    cleared["amounts"]["settlement"]["amount"] = json!(-2_600);
    let amount = cleared["token"].clone();
    let voided = find(elements, |it| it["status"] == "VOIDED");
    voided["status"] = json!("PENDING");
    voided["amounts"]["hold"]["amount"] = json!(-2_500);
    let state = voided["token"].clone();
    Planted {
        amount,
        state,
        missing_here,
        missing_there: gone["token"].clone(),
        page: page.to_string(),
    }
}

#[test]
fn i13_planted_differences_are_found_and_classified_at_lithic() {
    let (dir, _server) = played("lithic");
    let planted = planted(list(dir.path(), "lithic"));
    let (code, text, error) = reconcile(dir.path(), "lithic", &planted.page, &["--json"]);
    assert_eq!((code, error.as_str()), (1, ""), "{text}");
    let told = lines(&text);
    let found = told
        .iter()
        .map(|it| (it["class"].as_str(), &it["authorization"]));
    let found: Vec<_> = found.collect();
    for wanted in [
        (Some("amount"), &planted.amount),
        (Some("state"), &planted.state),
        (Some("missing_here"), &planted.missing_here),
        (Some("missing_there"), &planted.missing_there),
    ] {
        assert!(found.contains(&wanted), "{wanted:?} in {text}");
    }
    let totals = &told.last().unwrap()["totals"];
    assert_eq!(told.len(), 5, "{text}");
    assert_eq!(totals["agree"], 10);
    assert_eq!(totals["declinedThere"], 1);
    assert_eq!(totals["listed"], 14);
    let (_, text, _) = reconcile(dir.path(), "lithic", &planted.page, &[]);
    let nothing = "held 0.00, posted 0.00, refunded 0.00";
    for (class, id, here, there) in [
        (
            "missing here ",
            &planted.missing_here,
            "nothing",
            "settled: held 0.00, posted 7.77, refunded 0.00",
        ),
        (
            "amount       ",
            &planted.amount,
            "closed: held 0.00, posted 25.00, refunded 0.00",
            "settled: held 0.00, posted 26.00, refunded 0.00",
        ),
        (
            "state        ",
            &planted.state,
            &format!("reversed: {nothing}"),
            "pending: held 25.00, posted 0.00, refunded 0.00",
        ),
        (
            "missing there",
            &planted.missing_there,
            "closed: held 0.00, posted 40.00, refunded 0.00",
            "nothing",
        ),
    ] {
        let id = id.as_str().unwrap();
        let line = format!("{class}  {id}  here {here}; there {there} (USD)\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
    let totals = "4 differences: 1 missing here, 1 missing there, 1 amount, 1 state\n";
    assert!(text.contains(totals), "{text}");
}

#[test]
fn i13_planted_differences_are_found_and_classified_at_stripe() {
    let (dir, _server) = played("stripe");
    let mut page = list(dir.path(), "stripe");
    let elements = page["data"].as_array_mut().unwrap();
    let gone = elements.remove(2);
    let reversed = find(elements, |it| it["status"] == "reversed");
    reversed["status"] = json!("expired");
    let reversed = reversed["id"].clone();
    let forced = find(elements, |it| {
        it["object"] == "issuing.transaction" && it["type"] == "capture"
    });
    forced["amount"] = json!(-2_501);
    let forced = forced["id"].clone();
    let mut alien = forced_capture("ipi_alien");
    alien["created"] = gone["created"].clone();
    elements.push(alien);
    let (code, text, error) = reconcile(dir.path(), "stripe", &page.to_string(), &["--json"]);
    assert_eq!((code, error.as_str()), (1, ""), "{text}");
    let told = lines(&text);
    let found: Vec<_> = told
        .iter()
        .map(|it| (it["class"].as_str(), &it["authorization"]))
        .collect();
    let alien = json!("ipi_alien");
    for wanted in [
        (Some("state"), &reversed),
        (Some("amount"), &forced),
        (Some("missing_here"), &alien),
        (Some("missing_there"), &gone["id"]),
    ] {
        assert!(found.contains(&wanted), "{wanted:?} in {text}");
    }
    assert_eq!(told.len(), 5, "{text}");
    assert_eq!(told.last().unwrap()["totals"]["agree"], 10);
}

fn forced_capture(id: &str) -> Value {
    json!({
        "id": id, "object": "issuing.transaction", "type": "capture", "amount": -100,
        "currency": "usd", "authorization": null, "card": "ic_x", "created": 0,
    })
}

#[test]
fn a_list_covers_a_time_and_what_is_outside_of_it_is_no_difference() {
    let (dir, _server) = played("lithic");
    let page = list(dir.path(), "lithic");
    let newest = page["data"][0].to_string();
    let (code, text, _) = reconcile(dir.path(), "lithic", &newest, &[]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("1 agree") && text.contains("outside the list's time"),
        "{text}"
    );
    assert!(!text.contains(" 0 outside"), "{text}");
    // Said to cover more, it lacks what has money.
    let since = ["--since", "2020-01-01T00:00:00Z"];
    let (code, text, _) = reconcile(dir.path(), "lithic", &newest, &since);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(" 0 outside the list's time"), "{text}");
    // Force posts and refunds alone have no decision, and two were undone.
    assert!(text.contains("missing there, 0 amount, 0 state"), "{text}");
    let (code, _, error) = reconcile(dir.path(), "lithic", "[]", &[]);
    assert_eq!(code, 1);
    assert!(error.contains("the list is empty"), "{error}");
}

#[test]
fn what_is_no_list_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Server::start(dir.path());
    for (text, words) in [
        (
            "{\"data\":[{\"token\":\"t\"}]}",
            "element 1: of no known shape: known are",
        ),
        (
            "[{\"object\":\"issuing.card\"}]",
            "element 1: of no known shape",
        ),
        (
            "[{\"object\":\"issuing.transaction\",\"id\":\"i\",\"created\":1}]",
            "element 1: field type: missing",
        ),
        (
            "[{\"token\":\"t\",\"card_token\":\"c\",\"events\":[],\"created\":1,\"status\":\"OPEN\"}]",
            "element 1: field amounts: missing",
        ),
        ("date,amount\n1,2\n", "not a list in JSON"),
        ("[", "not a list in JSON"),
    ] {
        let (code, told, error) = reconcile(dir.path(), "lithic", text, &[]);
        assert_eq!((code, told.as_str()), (1, ""), "{text}");
        assert!(
            error.contains("list.json`: ") && error.contains(words),
            "{error}"
        );
    }
    let nobody = [
        "reconcile",
        "--connection",
        "x",
        "--from",
        "y",
        "--ops",
        "nowhere",
    ];
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(nobody)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
