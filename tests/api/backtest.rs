//! Backtests of versions and `countersign policy replay` (behaviour 8.3), over purchases that were
//! really signed, asked and recorded.

use serde_json::{Value, json};

use crate::plane::{Plane, code, program};
use crate::server::said;

/// Five purchases on one card and one on another: the last one on each is declined.
struct World {
    plane: Plane,
    card: String,
}

impl World {
    fn start() -> Self {
        let plane = Plane::start();
        let policy = json!({"policy": {"limits": {"perAuth": 3_000}}});
        let card = plane.card(&policy);
        let other = plane.card(&json!({}));
        for (card, amount, said) in [
            (&card, 1_000, "APPROVED"),
            (&other, 700, "APPROVED"),
            (&card, 2_000, "APPROVED"),
            (&card, 3_000, "APPROVED"),
            (&card, 500, "APPROVED"),
            (&card, 4_000, "VELOCITY_EXCEEDED"),
        ] {
            assert_eq!(plane.buy(card, amount), said);
        }
        Self { plane, card }
    }

    fn draft(&self, subject: &str, policy: &Value) -> String {
        let path = format!("{subject}/policy/versions");
        let body = json!({"policy": policy});
        let made = self.plane.owner_asks("POST", &path, &body, 201);
        format!("{path}/{}/backtest", made["version"])
    }

    /// Each change as kind, amount and the reason on trial.
    fn backtest(&self, path: &str, body: &Value) -> (Value, Vec<(String, i64, Value)>) {
        let told = self.plane.owner_asks("POST", path, body, 200);
        let rows = told["data"].as_array().unwrap();
        let row = |row: &Value| {
            (
                row["change"].as_str().unwrap().to_owned(),
                row["amount"].as_i64().unwrap(),
                row["tried"]["reason"].clone(),
            )
        };
        let changes = rows.iter().map(row).collect();
        (told, changes)
    }
}

fn change(kind: &str, amount: i64, reason: Value) -> (String, i64, Value) {
    (kind.to_owned(), amount, reason)
}

#[test]
fn a_backtest_lists_what_would_change_with_amounts_and_changes_nothing() {
    let world = World::start();
    let card = format!("/v1/cards/{}", world.card);
    let rules = || world.plane.get(&format!("{card}/policy"))["policy"].clone();
    let before = rules();
    // 1000 and 2000 fit under it, 3000 does not, 500 does; what was too much for one passes.
    let path = world.draft(&card, &json!({"limits": {"total": 3_500}}));
    let (told, changes) = world.backtest(&path, &json!({}));
    let too_much = change("approve_to_decline", 3_000, json!("card_limit_exceeded"));
    assert_eq!(changes, [too_much]);
    assert_eq!(
        (&told["decisions"], &told["unchanged"]),
        (&json!(5), &json!(4))
    );
    assert_eq!((&told["unknown"], &told["next"]), (&json!(0), &Value::Null));
    assert_eq!(told["countersAreWhole"], true);
    let row = &told["data"][0];
    assert_eq!(row["recorded"]["decision"], "approve");
    assert!(
        row["explanation"]["text"]
            .as_str()
            .unwrap()
            .contains("total"),
        "{row}"
    );
    let record = world.plane.get(&format!(
        "/v1/decisions/{}",
        row["decision"].as_str().unwrap()
    ));
    assert_eq!(
        (&record["amount"], &record["at"]),
        (&json!(3_000), &row["at"])
    );
    // Nothing at all rules: the one that was declined passes.
    let free = world.draft(&card, &json!({}));
    let (told, changes) = world.backtest(&free, &Value::Null);
    assert_eq!(changes, [change("decline_to_approve", 4_000, Value::Null)]);
    let totals =
        json!([{"change": "decline_to_approve", "count": 1, "amount": 4_000, "currency": "USD"}]);
    assert_eq!(told["totals"], totals);
    // The merchant is recorded: its category, its country, its name.
    for policy in [
        json!({"allowedMccs": ["0742"]}),
        json!({"blockedCountries": ["DE"]}),
        json!({"allowedMerchants": ["Nobody"]}),
    ] {
        let path = world.draft(&card, &policy);
        let (told, changes) = world.backtest(&path, &json!({}));
        assert_eq!(changes.len(), 4, "{told}");
        assert_eq!(told["totals"][0]["amount"], 6_500);
    }
    // What is in force has decided so.
    let active = format!("{card}/policy/versions/1/backtest");
    let (told, changes) = world.backtest(&active, &json!({}));
    assert_eq!((changes.len(), &told["unchanged"]), (0, &json!(5)));
    assert_eq!(rules(), before);
}

#[test]
fn a_backtest_of_a_customer_is_over_all_cards_in_pages_and_in_time() {
    let world = World::start();
    let customer = format!("/v1/customers/{}", world.plane.customer);
    let path = world.draft(&customer, &json!({"limits": {"countTotal": 1}}));
    let mut seen = Vec::new();
    let mut body = json!({"limit": 2});
    loop {
        let (told, changes) = world.backtest(&path, &body);
        assert_eq!(told["totals"][0]["count"], 4);
        assert_eq!(told["decisions"], 6);
        seen.extend(changes.into_iter().map(|(_, amount, _)| amount));
        match told["next"].as_str() {
            Some(next) => body["cursor"] = json!(next),
            None => break,
        }
    }
    assert_eq!(seen, [700, 2_000, 3_000, 500]);
    let list = world.plane.get("/v1/decisions");
    let third = list["data"][2]["at"].clone();
    let (told, changes) = world.backtest(&path, &json!({"from": third}));
    assert_eq!((told["decisions"].clone(), changes.len()), (json!(3), 2));
    let (told, changes) = world.backtest(&path, &json!({"to": third}));
    assert_eq!((told["decisions"].clone(), changes.len()), (json!(3), 2));
    for (body, field) in [
        (json!({"from": "yesterday"}), "from"),
        (json!({"from": third, "to": third}), "to"),
        (json!({"limit": 0}), "limit"),
        (json!({"cursor": "x"}), "cursor"),
        (json!({"until": third}), "until"),
    ] {
        let refused = world.plane.ask(&world.plane.owner, "POST", &path, &body);
        assert_eq!(code(&refused, 400), "invalid_request", "{body}");
        assert!(refused.text().contains(field), "{}", refused.text());
    }
}

#[test]
fn policy_replay_says_offline_what_a_backtest_says() {
    let mut world = World::start();
    let card = format!("/v1/cards/{}", world.card);
    let policy = json!({"limits": {"perAuth": 1_500}});
    let path = world.draft(&card, &policy);
    let (told, _) = world.backtest(&path, &json!({}));
    world.plane.home.write("policy.json", &policy.to_string());
    world
        .plane
        .home
        .write("same.json", r#"{"limits": {"perAuth": 3000}}"#);
    world.plane.home.write("wrong.json", r#"{"perAuth": 1}"#);
    let replay = |world: &World, file: &str, more: &[&str]| {
        let mut command = program("policy", &world.plane.home, &world.plane.database);
        let flags: Vec<_> = command.get_args().skip(1).map(ToOwned::to_owned).collect();
        let mut again = std::process::Command::new(command.get_program());
        again.envs(world.plane.database.environment());
        again.args(["policy", "replay"]).args(flags);
        again.arg("--policy").arg(world.plane.home.path(file));
        again.args(more);
        command = again;
        said(command.output())
    };
    let on_card = ["--card", &*world.card.clone()].map(str::to_owned);
    let on_card = on_card.each_ref().map(String::as_str);
    let (status, text) = replay(&world, "policy.json", &on_card);
    assert_eq!(status, Some(3), "a server runs: {text}");
    assert!(world.plane.stop().success());
    let (status, text) = replay(&world, "policy.json", &on_card);
    assert_eq!(status, Some(1), "{text}");
    let changes: Vec<&str> = text.lines().filter(|line| line.contains(" -> ")).collect();
    assert_eq!(changes.len(), 2, "{text}");
    assert!(
        changes[0].ends_with("20.00  approve -> amount_over_per_auth"),
        "{text}"
    );
    assert!(
        text.contains("5 decisions, 2 changed, 0 not known"),
        "{text}"
    );
    let (_, lines) = replay(&world, "policy.json", &[&on_card[..], &["--json"]].concat());
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ids = lines.iter().filter_map(|line| line["decision"].as_str());
    let backtested = told["data"].as_array().unwrap();
    let expected = backtested.iter().filter_map(|row| row["decision"].as_str());
    assert_eq!(ids.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert_eq!(lines.last().unwrap()["totals"], told["totals"]);
    let (status, text) = replay(&world, "same.json", &on_card);
    assert_eq!(status, Some(0), "{text}");
    let (status, text) = replay(&world, "wrong.json", &on_card);
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("perAuth"), "{text}");
    let (status, text) = replay(&world, "same.json", &["--card", "nobody"]);
    assert_eq!(status, Some(2), "{text}");
    let (status, _) = replay(&world, "same.json", &[]);
    assert_eq!(status, Some(2));
}
