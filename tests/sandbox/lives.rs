//! What becomes of authorizations, played by the sandbox against the built program.

use std::path::Path;

use countersign::cold::sandbox::scenarios::SCENARIOS;
use countersign::cold::sandbox::shape::Shape;
use serde_json::Value;

use crate::commands::{LUNCH, Server, countersign, refused};

/// What every scenario sends in every shape, what is answered, and the books after each delivery.
const PLAYED: &str = include_str!("scenarios.txt");

/// Exit code, stdout and stderr.
pub(crate) fn told(data_dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = countersign(data_dir, arguments);
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn json(data_dir: &Path, arguments: &[&str]) -> Value {
    let (code, text, error) = told(data_dir, &[arguments, &["--json"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {text}{error}");
    serde_json::from_str(&text).unwrap()
}

/// Ids are drawn anew each time.
fn without_ids(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| match line.split_once("authorization ") {
            Some((indent, _id)) if indent.trim().is_empty() => format!("{indent}authorization …"),
            _ => line.to_owned(),
        });
    lines.map(|line| line + "\n").collect()
}

/// One table: each scenario in each shape, its replies and its books.
#[test]
fn every_scenario_plays_in_every_shape_and_the_books_follow() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Server::start(dir.path());
    let mut played = String::new();
    for scenario in SCENARIOS {
        for shape in Shape::ALL {
            let arguments = [
                "sandbox",
                "trigger",
                scenario.name,
                "--issuer",
                shape.name(),
            ];
            let (code, text, error) = told(dir.path(), &arguments);
            if scenario.is_for(shape) {
                assert_eq!((code, error.as_str()), (0, ""), "{text}");
                assert!(text.contains("the books agree"), "{text}");
                played.push_str(&without_ids(&text));
            } else {
                assert_eq!((code, text.as_str()), (2, ""));
                assert!(error.contains("asks no such question"), "{error}");
            }
        }
    }
    let differs = PLAYED.lines().zip(played.lines()).find(|(a, b)| a != b);
    assert_eq!(differs, None, "{played}");
    assert_eq!(PLAYED.lines().count(), played.lines().count(), "{played}");
    let wide = played.lines().find(|line| line.chars().count() > 100);
    assert_eq!(wide, None);
}

#[test]
fn the_list_has_a_line_for_each_scenario() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text, _) = told(dir.path(), &["sandbox", "trigger", "--list"]);
    assert_eq!((code, text.lines().count()), (0, SCENARIOS.len()));
    for (line, scenario) in text.lines().zip(SCENARIOS) {
        assert!(line.starts_with(scenario.name) && line.ends_with(scenario.telling));
        assert!(line.chars().count() <= 100, "{line}");
    }
    for wanted in [
        "approve-and-clear",
        "multi-clearing",
        "clear-after-expiry",
        "clear-without-authorization",
        "reversal-first",
        "declined-increment",
        "issuer-stand-in",
        "timed-out",
    ] {
        assert!(SCENARIOS.iter().any(|it| it.name == wanted), "{wanted}");
    }
}

#[test]
fn what_nobody_knows_is_named_with_what_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Server::start(dir.path());
    let rows: [(&[&str], i32, &str); 12] = [
        (
            &["trigger", "tips"],
            2,
            "unknown scenario `tips`: known are approve-and-clear, ",
        ),
        (
            &["trigger", "atm", "--issuer", "acme"],
            2,
            "one of: lithic, stripe, marqeta",
        ),
        (
            &["trigger", "atm", "--override", "price=1"],
            2,
            "unknown field `price`: known are amount, card, country, currency, mcc, merchant",
        ),
        (
            &["trigger", "atm", "--override", "amount"],
            2,
            "FIELD=VALUE",
        ),
        (
            &["trigger", "atm", "--override", "amount=1.234"],
            2,
            "more decimals",
        ),
        (
            &["trigger", "atm", "--override", "mcc=12"],
            2,
            "four digits",
        ),
        (
            &["trigger", "atm", "--override", "country=US"],
            2,
            "three letters",
        ),
        (
            &["trigger", "atm", "--override", "merchant=\u{1}x"],
            2,
            "no control characters",
        ),
        (
            &["trigger", "atm", "--override", "card=card_nobody"],
            1,
            "has no card `card_nobody` on the connection `sandbox`",
        ),
        (&["clear"], 1, "has asked for nothing yet"),
        (
            &["clear", "--authorization", "nobody"],
            1,
            "knows no authorization `nobody`",
        ),
        (&["trigger"], 2, "SCENARIO"),
    ];
    for (arguments, code, words) in rows {
        let (ended, text, error) = told(dir.path(), &[&["sandbox"], arguments].concat());
        assert_eq!((ended, text.as_str()), (code, ""), "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
}

#[test]
fn overrides_take_the_place_of_the_scenarios_values() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Server::start(dir.path());
    for (shape, merchant, mcc, amount) in [
        (
            "lithic",
            "/merchant/descriptor",
            "/merchant/mcc",
            "/amounts/cardholder/amount",
        ),
        (
            "stripe",
            "/data/object/merchant_data/name",
            "/data/object/merchant_data/category_code",
            "/data/object/pending_request/amount",
        ),
        (
            "marqeta",
            "/card_acceptor/name",
            "/card_acceptor/mcc",
            "/amount",
        ),
    ] {
        let told = json(
            dir.path(),
            &[
                "sandbox",
                "trigger",
                "approve-and-clear",
                "--issuer",
                shape,
                "--override",
                "amount=12.30",
                "--override",
                "merchant=CAF\u{c9} \"7\"",
                "--override",
                "mcc=5814",
            ],
        );
        let question = &told["steps"][0]["sent"];
        assert_eq!(question.pointer(merchant).unwrap(), "CAF\u{c9} \"7\"");
        assert_eq!(question.pointer(mcc).unwrap(), "5814");
        let amount = question.pointer(amount).unwrap();
        let expected = if shape == "marqeta" { "12.3" } else { "1230" };
        assert_eq!(amount.to_string(), expected);
        assert_eq!(told["issuerBooks"]["posted"], 1_230);
        assert_eq!(told["agrees"], true);
        let spent = |at: &str| told[at]["spent"].as_i64().unwrap();
        assert_eq!(spent("after") - spent("before"), 1_230);
    }
}

/// An authorization that `authorize` asked for, played on by single commands.
#[test]
fn an_authorization_is_played_on_by_single_commands() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Server::start(dir.path());
    let asked = json(dir.path(), &LUNCH);
    let id = asked["authorization"].as_str().unwrap();
    let on = |what: &str, amount: Option<&str>| {
        let mut arguments = vec!["sandbox", what, "--authorization", id];
        arguments.extend(amount.into_iter().flat_map(|amount| ["--amount", amount]));
        let told = json(dir.path(), &arguments);
        assert_eq!(told["authorizations"][0], id);
        let answers = told["steps"].as_array().unwrap().iter();
        let answers: Vec<_> = answers
            .map(|it| it["answer"].as_str().unwrap().to_owned())
            .collect();
        let delta = |field: &str| {
            told["after"][field].as_i64().unwrap() - told["before"][field].as_i64().unwrap()
        };
        (answers, delta("held"), delta("spent"))
    };
    let applied = || "applied".to_owned();
    let asked = vec!["APPROVE".to_owned(), applied()];
    assert_eq!(on("increment", Some("7.66")), (asked, 766, 766));
    assert_eq!(on("reverse", Some("5.00")), (vec![applied()], -500, -500));
    assert_eq!(on("advice", Some("18.00")), (vec![applied()], 300, 300));
    assert_eq!(on("clear", None), (vec![applied()], -1_800, 0));
    assert_eq!(on("refund", Some("3.00")), (vec![applied()], 0, 0));
    let (code, _, error) = told(dir.path(), &["sandbox", "expire", "--authorization", id]);
    assert_eq!(code, 2);
    assert!(error.contains("nothing is held any more"), "{error}");
    let (code, _, error) = told(dir.path(), &["sandbox", "increment"]);
    assert_eq!(code, 2);
    assert!(error.contains("--amount"), "{error}");
}

/// Time moves where the process was started for it, and nowhere else (behaviour 2.13).
#[test]
fn d3_time_moves_forward_for_a_sandbox_alone_and_stays_moved() {
    let dir = tempfile::tempdir().unwrap();
    {
        let _server = Server::start(dir.path());
        let (code, text, error) = told(dir.path(), &["sandbox", "clock", "--advance", "36h"]);
        assert_eq!((code, text.as_str()), (1, ""));
        assert!(
            error.contains("status 409") && error.contains("--sandbox-clock"),
            "{error}"
        );
    }
    let remaining = |at: &Value| at["before"]["remaining"].as_i64().unwrap();
    let trigger = |amount: &str| {
        json(
            dir.path(),
            &[
                "sandbox",
                "trigger",
                "approve-and-clear",
                "--override",
                amount,
                "--override",
                "card=card_research_tools",
            ],
        )
    };
    {
        let _server = Server::start_with(dir.path(), &["--sandbox-clock"]);
        assert_eq!(remaining(&trigger("amount=30.00")), 12_000);
        assert_eq!(remaining(&trigger("amount=1.00")), 9_000);
        let (code, text, error) = told(dir.path(), &["sandbox", "clock", "--advance", "36h"]);
        assert_eq!(code, 0, "{error}");
        assert!(
            text.ends_with("129600 s ahead of the wall clock\n"),
            "{text}"
        );
        // Another day, and the signatures are of that day too.
        assert_eq!(remaining(&trigger("amount=2.00")), 12_000);
    }
    {
        let _server = Server::start_with(dir.path(), &["--sandbox-clock"]);
        assert_eq!(remaining(&trigger("amount=1.00")), 11_800);
    }
    let (code, error) = refused(dir.path(), &[]);
    assert_eq!(code, Some(2), "{error}");
    assert!(
        error.contains("time was moved forward by 129600 s"),
        "{error}"
    );
    for wrong in ["36", "-1h", "500d", "soon"] {
        let arguments = ["sandbox", "clock", &format!("--advance={wrong}")];
        let (code, _, error) = told(dir.path(), &arguments);
        assert_eq!(code, 2, "{wrong}");
        assert!(error.contains("like 36h"), "{error}");
    }
}

#[test]
fn time_cannot_be_moved_beside_a_real_connection() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("countersign.toml");
    std::fs::write(
        dir.path().join("secret"),
        "whsec_c2FuZGJveCBzZWNyZXQgb2YgMzIgYnl0ZXMgbG9uZyE=",
    )
    .unwrap();
    let config = format!(
        "[[issuer]]\nname = \"acme\"\nkind = \"lithic\"\nsecrets = [\"file:{}/secret\"]\n",
        dir.path().display()
    );
    std::fs::write(&path, config).unwrap();
    let path = path.to_str().unwrap();
    let arguments = ["--sandbox", "--sandbox-clock", "--config", path];
    let (code, error) = refused(dir.path(), &arguments);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("`acme` is of kind lithic"), "{error}");
}
