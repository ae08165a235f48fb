//! `countersign policy check`, `explain` and `diff` on files, without a server (behaviour 7.3, 3.4).

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{binary, said};

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// What `countersign policy …` ends with and says.
    fn policy(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = binary();
        command.arg("policy").args(arguments);
        command.current_dir(self.0.path());
        command
            .env_remove("COUNTERSIGN_SNAPSHOT")
            .env_remove("COUNTERSIGN_DATA_DIR");
        said(command.output())
    }
}

/// Two customers, an agent, three cards of two connections that no configuration names.
fn rules(change: impl FnOnce(&mut Value)) -> String {
    let mut rules = json!({
        "customers": [
            {"id": "cus_1", "timezone": "Europe/Rome", "policy": {
                "limits": {"perDay": 50_000, "perAuth": 9_000}, "blockedMccs": ["7995"],
            }},
            {"id": "cus_2"},
        ],
        "agents": [{"id": "agt_1", "customerId": "cus_1", "policy": {"limits": {"perMonth": 700_000}}}],
        "cards": [
            {"id": "crd_1", "connection": "acme", "issuerToken": "t1", "customerId": "cus_1", "agentId": "agt_1",
             "policy": {"limits": {"perAuth": 5_000, "perDay": {"amount": 20_000, "window": "rolling"}},
                        "allowedMccs": ["5812", "3000-3350"], "lockToFirstMerchant": true}},
            {"id": "crd_2", "connection": "beta", "issuerToken": "t2", "customerId": "cus_1"},
            {"id": "crd_3", "connection": "acme", "issuerToken": "t3", "customerId": "cus_2"},
        ],
    });
    change(&mut rules);
    rules.to_string()
}

fn unchanged(_: &mut Value) {}

#[test]
fn f1_a_check_says_everything_that_is_wrong_with_its_place() {
    let files = Files::new();
    let good = files.write("good.json", &rules(unchanged));
    let (code, text) = files.policy(&["check", &good]);
    assert_eq!(
        (code, text),
        (
            Some(0),
            format!("{good}: ok, 2 customers, 1 agent, 3 cards\n")
        )
    );
    let (code, text) = files.policy(&["check", &good, "--json"]);
    let checked: Value = serde_json::from_str(&text).unwrap();
    let expected =
        json!({"ok": true, "errors": [], "more": 0, "customers": 2, "agents": 1, "cards": 3});
    assert_eq!((code, checked), (Some(0), expected));

    // More than a server says at once: one for each line.
    let mut lines = vec![json!({"customer": {"id": "c"}}).to_string()];
    lines.extend((0..200).map(|number| {
        let (id, token) = (format!("k{number}"), format!("t{number}"));
        json!({"card": {"id": id, "connection": "any", "issuerToken": token, "customerId": "c", "colour": 1}}).to_string()
    }));
    let wrong = files.write("wrong.jsonl", &lines.join("\n"));
    let (code, text) = files.policy(&["check", &wrong]);
    assert_eq!(code, Some(2));
    let said: Vec<&str> = text.lines().collect();
    assert_eq!(said.len(), 200);
    for (number, line) in said.iter().enumerate() {
        let expected = format!("{wrong}:{}: card.colour: unknown field", number + 2);
        assert_eq!(*line, expected);
    }
    let (code, text) = files.policy(&["check", &wrong, "--json"]);
    let checked: Value = serde_json::from_str(&text).unwrap();
    let last =
        json!({"file": wrong, "line": 201, "field": "card.colour", "message": "unknown field"});
    assert_eq!((code, &checked["errors"][199]), (Some(2), &last));
    assert_eq!(
        (&checked["ok"], &checked["cards"]),
        (&json!(false), &Value::Null)
    );

    // A file that is not there has no line, and a program is told in its own words too.
    let (code, text) = files.policy(&["check", "nowhere.json"]);
    let full = std::fs::canonicalize(files.0.path()).unwrap();
    let full = full.join("nowhere.json").display().to_string();
    let expected =
        format!("nowhere.json: cannot be read: No such file or directory (os error 2) ({full})");
    assert_eq!((code, text.as_str()), (Some(2), &*format!("{expected}\n")));
    let (code, text) = files.policy(&["check", "nowhere.json", "--json"]);
    let checked: Value = serde_json::from_str(&text).unwrap();
    let error = &checked["errors"][0];
    assert_eq!((code, &error["line"]), (Some(2), &Value::Null));
    assert_eq!(error["file"], "nowhere.json");
}

#[test]
fn of_more_errors_than_are_told_the_others_are_counted() {
    let files = Files::new();
    let row = json!({"customer": {"id": "c", "colour": 1}}).to_string();
    // Each but the first has another's id too.
    let wrong = files.write("wrong.jsonl", &format!("{row}\n").repeat(6_000));
    let (code, text) = files.policy(&["check", &wrong]);
    assert_eq!((code, text.lines().count()), (Some(2), 10_001));
    assert_eq!(text.lines().last(), Some("and 1999 more"));
    let (_, text) = files.policy(&["check", &wrong, "--json"]);
    let checked: Value = serde_json::from_str(&text).unwrap();
    let told = checked["errors"].as_array().unwrap().len();
    assert_eq!((told, &checked["more"]), (10_000, &json!(1_999)));
}

#[test]
fn a_snapshot_may_come_from_standard_input() {
    let files = Files::new();
    let good = files.write("good.json", &rules(unchanged));
    let piped = |arguments: &[&str]| {
        let mut command = binary();
        command.arg("policy").args(arguments);
        command.stdin(std::fs::File::open(&good).unwrap());
        said(command.output())
    };
    let said = "standard input: ok, 2 customers, 1 agent, 3 cards\n".to_owned();
    assert_eq!(piped(&["check", "-"]), (Some(0), said));
    let explain = ["explain", "--card", "crd_2", "--snapshot", "-"];
    let (code, text) = piped(&explain);
    assert!(
        code == Some(0) && text.starts_with("crd_2: active"),
        "{text}"
    );
    let same = (Some(0), "no difference\n".to_owned());
    assert_eq!(piped(&["diff", "-", &good]), same);
    assert_eq!(piped(&["diff", "-", "-"]).0, Some(2));
}

#[test]
fn what_is_in_force_on_a_card_is_explained_with_its_level() {
    let files = Files::new();
    let counted = rules(|rules| {
        rules["agents"][0]["policy"]["limits"]["countPerDay"] = json!(20);
        rules["customers"][0]["policy"]["limits"]["countPerHour"] = json!(9);
    });
    let snapshot = files.write("rules.json", &counted);
    let (code, text) = files.policy(&["explain", "--card", "crd_1", "--snapshot", &snapshot]);
    let expected = "\
crd_1: active, multi use, through acme, of agent agt_1 (active) of customer cus_1 (active)
in USD, with the days of Europe/Rome, cascade tighten
  limits.perAuth              card      50.00 USD
  limits.perDay               card      200.00 USD rolling
  limits.perDay               customer  500.00 USD
  limits.perMonth             agent     7000.00 USD
  limits.countPerHour         customer  9
  limits.countPerDay          agent     20
  allowedMccs                 card      3000-3350 5812
  blockedMccs                 customer  7995
  lockToFirstMerchant         card      true
  allowCash                   default   false
  allowPartial                default   false
  probePolicy                 default   consume
";
    assert_eq!((code, text.as_str()), (Some(0), expected));
    let (code, text) = files.policy(&[
        "explain",
        "--card",
        "crd_1",
        "--snapshot",
        &snapshot,
        "--json",
    ]);
    let explained: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, Some(0));
    let names = [
        "card",
        "connection",
        "customer",
        "agent",
        "currency",
        "cascade",
        "declines",
    ];
    let values: Vec<&Value> = names.iter().map(|name| &explained[name]).collect();
    let expected = json!(["crd_1", "acme", "cus_1", "agt_1", "USD", "tighten", null]);
    assert_eq!(json!(values), expected);
    let mccs = json!({"field": "allowedMccs", "level": "card", "value": ["3000-3350", "5812"]});
    let cap = json!({"field": "limits.perAuth", "level": "card", "value": 5_000});
    let values = explained["values"].as_array().unwrap();
    let trailing = json!({"amount": 20_000, "window": "rolling"});
    let trailing = json!({"field": "limits.perDay", "level": "card", "value": trailing});
    let calendar = json!({"field": "limits.perDay", "level": "customer", "value": 50_000});
    let count = json!({"field": "limits.countPerDay", "level": "agent", "value": 20});
    for expected in [&mccs, &cap, &trailing, &calendar, &count] {
        assert!(values.contains(expected), "{expected} in {explained}");
    }
}

#[test]
fn what_declines_everything_is_said_and_what_cannot_be_found_too() {
    let files = Files::new();
    let snapshot = files.write("rules.json", &rules(unchanged));
    let locked = rules(|rules| rules["agents"][0]["status"] = json!("paused"));
    let locked = files.write("locked.json", &locked);
    let (_, text) = files.policy(&["explain", "--card", "crd_1", "--snapshot", &locked]);
    assert!(
        text.contains("\ndeclines whatever is asked: agent_suspended\n"),
        "{text}"
    );
    let (code, text) = files.policy(&["explain", "--card", "crd_9", "--snapshot", &snapshot]);
    assert!(
        code == Some(2) && text.contains("no card has the id `crd_9`"),
        "{text}"
    );
    for (directory, named) in [
        ("./countersign-data", None),
        ("elsewhere", Some("elsewhere")),
    ] {
        let mut arguments = vec!["explain", "--card", "crd_1"];
        arguments.extend(named.into_iter().flat_map(|named| ["--data-dir", named]));
        let (code, text) = files.policy(&arguments);
        let expected = format!(
            "countersign: no --snapshot is named, and no server with a sandbox was started on the \
             data directory `{directory}`; start `countersign serve` first, or name its --data-dir\n"
        );
        assert_eq!((code, text), (Some(2), expected));
    }
}

#[test]
fn f2_a_difference_says_what_changes_for_whom_and_how_many_would_decline() {
    let files = Files::new();
    let before = files.write("before.json", &rules(unchanged));
    let spaced = files.write("spaced.json", &rules(unchanged).replace(',', ",\n"));
    let (code, text) = files.policy(&["diff", &before, &spaced]);
    assert_eq!((code, text.as_str()), (Some(0), "no difference\n"));

    let after = rules(|rules| {
        rules["customers"][0]["policy"]["limits"]["perAuth"] = json!(4_000);
        rules["agents"][0]["status"] = json!("paused");
        rules["cards"][2]["usage"] = json!("single");
        rules["cards"][2]["policy"] = json!({"allowedMccs": ["5812"], "allowCash": true});
        rules["customers"][1]["policy"] = json!({"allowCash": true});
        rules["cards"].as_array_mut().unwrap().push(json!({
            "id": "crd_4", "connection": "acme", "issuerToken": "t4", "customerId": "cus_2",
        }));
    });
    let after = files.write("after.json", &after);
    let (code, text) = files.policy(&["diff", &before, &after]);
    let expected = "\
1 of 3 active cards would newly decline; a reload wants that confirmed
  agent_suspended             crd_1

customer cus_1
  limits.perAuth              90.00 USD → 40.00 USD

customer cus_2
  allowCash                   none → true

agent agt_1
  status                      active → paused

new card crd_4

card crd_1
  limits.perAuth              50.00 USD (card) → 40.00 USD (customer)

card crd_2
  limits.perAuth              90.00 USD (customer) → 40.00 USD (customer)

card crd_3
  usage                       multi → single
  allowedMccs                 none → 5812 (card)
  allowCash                   false (default) → true (card)
";
    assert_eq!((code, text.as_str()), (Some(1), expected));

    let (code, text) = files.policy(&["diff", &after, &before, "--json"]);
    let diff: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, Some(1));
    let head = json!([
        diff["same"],
        diff["activeCards"],
        diff["newlyDeclining"],
        diff["wantsConfirmation"]
    ]);
    assert_eq!(head, json!([false, 3, 1, true]), "{diff}");
    let gone = json!({"card_unknown": ["crd_4"]});
    assert_eq!(diff["newlyDecliningCards"], gone);
    // Where no level says it, the level is null here as it is in `explain`.
    let changed = diff["cards"]["changed"].as_array().unwrap();
    let changes = changed
        .iter()
        .flat_map(|group| group["changes"].as_array().unwrap());
    let cash = changes.filter(|change| change["field"] == "allowCash");
    let after: Vec<&Value> = cash.map(|change| &change["after"]).collect();
    assert_eq!(after, [&json!({"value": false, "level": null})]);
    assert_eq!(diff["cards"]["removed"], json!(["crd_4"]));
    let group = json!({"ids": ["crd_1"], "changes": [{
        "field": "limits.perAuth",
        "before": {"value": 4_000, "level": "customer"},
        "after": {"value": 5_000, "level": "card"},
    }]});
    assert!(
        diff["cards"]["changed"]
            .as_array()
            .unwrap()
            .contains(&group),
        "{diff}"
    );
}

#[test]
fn a_difference_that_a_server_would_refuse_says_so() {
    let files = Files::new();
    let before = files.write("before.json", &rules(unchanged));
    let moved = rules(|rules| {
        rules["cards"][1]["customerId"] = json!("cus_2");
        rules["cards"][1]["agentId"] = Value::Null;
    });
    let moved = files.write("moved.json", &moved);
    let (_, text) = files.policy(&["diff", &before, &moved]);
    let refused = "a server refuses this: a card cannot change its customer, as here crd_2\n";
    assert!(text.starts_with(refused), "{text}");
    assert!(!text.contains("reload"), "{text}");
    let (_, text) = files.policy(&["diff", &before, &moved, "--json"]);
    let diff: Value = serde_json::from_str(&text).unwrap();
    let head = json!([diff["refusedCards"], diff["wantsConfirmation"]]);
    assert_eq!(head, json!([["crd_2"], false]));
    let wrong = files.write("wrong.json", "{}");
    let (code, text) = files.policy(&["diff", &before, &wrong]);
    assert!(
        code == Some(2) && text.contains("wrong.json:1: customers: is missing"),
        "{text}"
    );
}

#[test]
fn cards_that_change_alike_stand_together() {
    let files = Files::new();
    let many = |cap: u64| {
        let cards: Vec<Value> = (0..1_000)
            .map(|n| json!({"id": format!("k{n:03}"), "connection": "acme", "issuerToken": format!("t{n}"), "customerId": "c"}))
            .collect();
        let policy = json!({"limits": {"perAuth": cap}});
        json!({"customers": [{"id": "c", "policy": policy}], "agents": [], "cards": cards})
            .to_string()
    };
    let (before, after) = (
        files.write("a.json", &many(100)),
        files.write("b.json", &many(200)),
    );
    let (code, text) = files.policy(&["diff", &before, &after]);
    let expected = "\
0 of 1000 active cards would newly decline; a reload puts that in force

customer c
  limits.perAuth              1.00 USD → 2.00 USD

1000 cards: k000, k001, k002, k003, k004 and 995 more
  limits.perAuth              1.00 USD (customer) → 2.00 USD (customer)
";
    assert_eq!((code, text.as_str()), (Some(1), expected));
}
