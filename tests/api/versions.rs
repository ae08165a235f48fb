//! Versions of rules (behaviour 8.3): drafts, shadows, what is in force, and the way back.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::plane::{Plane, code, id};
use crate::server::{millis_since, now};

/// The three that have rules, each with the path of one and the card that it rules.
struct World {
    plane: Plane,
    card: String,
    subjects: [String; 3],
}

impl World {
    fn start() -> Self {
        let plane = Plane::start();
        let agent = plane.agent(&json!({}));
        let card = plane.card(&json!({"agentId": agent}));
        let subjects = [
            format!("/v1/customers/{}", plane.customer),
            format!("/v1/agents/{agent}"),
            format!("/v1/cards/{card}"),
        ];
        Self {
            plane,
            card,
            subjects,
        }
    }

    fn draft(&self, subject: &str, policy: &Value) -> u64 {
        let path = format!("{subject}/policy/versions");
        let body = json!({"policy": policy});
        let made = self.plane.owner_asks("POST", &path, &body, 201);
        assert_eq!(made["state"], "draft");
        made["version"].as_u64().unwrap()
    }

    fn order(&self, subject: &str, version: u64, what: &str, body: &Value, status: u16) -> Value {
        let path = format!("{subject}/policy/versions/{version}/{what}");
        self.plane.owner_asks("POST", &path, body, status)
    }

    fn refusal(&self, method: &str, path: &str, body: &Value) -> (String, String) {
        let refused = self.plane.ask(&self.plane.owner, method, path, body);
        (code(&refused, 409), refused.text())
    }

    /// Version and state of each, newest first, over pages of two.
    fn history(&self, subject: &str) -> Vec<(u64, String)> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("{subject}/policy/versions?limit=2{cursor}");
            let page = self.plane.get(&path);
            for row in page["data"].as_array().unwrap() {
                let state = row["state"].as_str().unwrap().to_owned();
                all.push((row["version"].as_u64().unwrap(), state));
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }

    /// What the rules say to a table of requests: amounts, categories, countries, merchants, scores.
    fn verdicts(&self) -> Vec<(Value, Value, Value)> {
        let mut said = Vec::new();
        for amount in [0, 1, 500, 501, 2_000, 2_001, 90_000] {
            for (mcc, country, name) in [
                ("5812", "US", "BLUE BOTTLE #12"),
                ("5812", "DE", "SQ *GRAND CASINO"),
                ("7995", "US", "BLUE BOTTLE"),
                ("6011", "GB", "ATM 7"),
            ] {
                let score = amount % 7 * 14;
                let body = json!({"cardId": self.card, "amount": amount, "currency": "USD",
                    "riskScore": score,
                    "merchant": {"descriptor": name, "mcc": mcc, "country": country}});
                let path = "/v1/spend/evaluate";
                let mut told = self.plane.owner_asks("POST", path, &body, 200);
                said.push((
                    told["decision"].take(),
                    told["reason"].take(),
                    told["approvedAmount"].take(),
                ));
            }
        }
        said
    }

    /// The record of the newest decision, once it is there.
    fn newest(&self, count: usize) -> Value {
        let since = now();
        while millis_since(since) < 20_000 {
            let list = self
                .plane
                .get(&format!("/v1/decisions?cardId={}", self.card));
            let rows = list["data"].as_array().unwrap();
            if rows.len() == count {
                return rows[0].clone();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("not {count} records");
    }
}

fn states(pairs: &[(u64, &str)]) -> Vec<(u64, String)> {
    let owned = |(version, state): &(u64, &str)| (*version, (*state).to_owned());
    pairs.iter().map(owned).collect()
}

#[test]
fn every_change_of_rules_is_a_version_and_nothing_else_is() {
    let world = World::start();
    for subject in &world.subjects {
        assert_eq!(world.history(subject), states(&[(1, "active")]));
        let change = |body: Value| world.plane.owner_asks("PATCH", subject, &body, 200);
        change(json!({"policy": {"limits": {"perAuth": 7}}}));
        change(json!({"policy": {"limits": {"perAuth": 7}}}));
        change(json!({"policy": {"limits": {"perAuth": 8}}}));
        change(json!({"policy": null}));
        let expected = [
            (4, "active"),
            (3, "retired"),
            (2, "retired"),
            (1, "retired"),
        ];
        assert_eq!(world.history(subject), states(&expected));
        let second = world.plane.get(&format!("{subject}/policy/versions/2"));
        assert_eq!(second["policy"]["limits"]["perAuth"], 7);
        assert_eq!(second["basedOn"], 1);
        assert!(second["madeBy"].as_str().unwrap().starts_with("key_"));
        let third = world.plane.get(&format!("{subject}/policy/versions/3"));
        assert_eq!(second["endedAt"], third["activeAt"]);
        for missing in ["0", "5", "01", "x", "4294967297"] {
            let path = format!("{subject}/policy/versions/{missing}");
            let answer = world
                .plane
                .ask(&world.plane.owner, "GET", &path, &Value::Null);
            assert_eq!(code(&answer, 404), "not_found", "{path}");
        }
    }
    let [customer, agent, card] = &world.subjects;
    let change = |subject: &str, body: Value| world.plane.owner_asks("PATCH", subject, &body, 200);
    // What rules beside the document is part of a version.
    change(customer, json!({"cascade": "override"}));
    let limit = json!({"amount": 900, "currency": "USD", "interval": "daily"});
    change(card, json!({"limits": limit}));
    for (subject, field) in [(customer, "cascade"), (card, "limits")] {
        let newest = world.plane.get(&format!("{subject}/policy/versions/5"));
        assert_eq!(newest["state"], "active");
        assert!(!newest[field].is_null(), "{newest}");
    }
    // A replacement writes its end into the old card's policy, and begins a history of its own.
    let until = now().plus_micros(86_400_000_000).rfc3339().to_string();
    let body = json!({"oldCardUntil": until});
    let path = format!("{card}/replace");
    let new = world.plane.owner_asks("POST", &path, &body, 201);
    assert_eq!(world.history(card)[0], (6, "active".to_owned()));
    let new = format!("/v1/cards/{}", id(&new));
    assert_eq!(world.history(&new), states(&[(1, "active")]));
    change(customer, json!({"name": "Eve", "status": "active"}));
    change(agent, json!({"name": "Bot"}));
    assert_eq!(world.history(customer).len(), 5);
    assert_eq!(world.history(agent).len(), 4);
}

#[test]
fn a_draft_decides_nothing_until_it_is_activated() {
    let world = World::start();
    for subject in &world.subjects {
        let before = world.verdicts();
        let version = world.draft(subject, &json!({"limits": {"perAuth": 400}}));
        assert_eq!(version, 2);
        assert_eq!(world.verdicts(), before);
        let body = json!({"reason": "the office asked"});
        let active = world.order(subject, version, "activate", &body, 200);
        assert_eq!(active["state"], "active");
        assert_eq!(active["reason"], "the office asked");
        assert_ne!(world.verdicts(), before);
        assert_eq!(world.plane.get(subject)["policy"]["limits"]["perAuth"], 400);
        let history = states(&[(2, "active"), (1, "retired")]);
        assert_eq!(world.history(subject), history);
        world.order(subject, 1, "rollback", &json!({}), 201);
        assert_eq!(world.verdicts(), before);
    }
}

#[test]
fn f8_a_roll_back_decides_exactly_as_the_old_rules_did() {
    let mut world = World::start();
    let [customer, agent, card] = world.subjects.clone();
    let change = |world: &World, subject: &str, body: Value| {
        world.plane.owner_asks("PATCH", subject, &body, 200);
    };
    let old = [
        (
            &customer,
            json!({"policy": {"limits": {"perAuth": 2_000}, "blockedMccs": ["7995"]}, "cascade": "override"}),
        ),
        (
            &agent,
            json!({"policy": {"allowedCountries": ["US", "GB"], "maxRiskScore": 60, "allowCash": true}}),
        ),
        (
            &card,
            json!({"policy": {"blockedMerchants": ["casino"]},
                   "limits": {"amount": 2_000, "currency": "USD", "interval": "all_time"}}),
        ),
    ];
    for (subject, body) in &old {
        change(&world, subject, body.clone());
    }
    let before = world.verdicts();
    let new = [
        (&customer, json!({"policy": {}, "cascade": "tighten"})),
        (&agent, json!({"policy": {"limits": {"perAuth": 500}}})),
        (
            &card,
            json!({"policy": {"allowedMccs": ["5812"]}, "limits": null}),
        ),
    ];
    for (subject, body) in &new {
        change(&world, subject, body.clone());
    }
    let changed = world.verdicts();
    assert_ne!(changed, before);
    for (subject, _) in &new {
        let back = world.order(subject, 2, "rollback", &json!({"activeVersion": 3}), 201);
        assert_eq!(
            (back["version"].as_u64(), &back["restores"]),
            (Some(4), &json!(2))
        );
    }
    assert_eq!(world.verdicts(), before);
    assert_eq!(world.plane.get(&customer)["cascade"], "override");
    // And forward again, over a restart.
    world.plane.kill();
    world.plane.restart();
    assert_eq!(world.verdicts(), before);
    for (subject, _) in &new {
        world.order(subject, 3, "rollback", &json!({}), 201);
    }
    assert_eq!(world.verdicts(), changed);
    let history = [
        (5, "active"),
        (4, "retired"),
        (3, "retired"),
        (2, "retired"),
        (1, "retired"),
    ];
    assert_eq!(world.history(&card), states(&history));
}

#[test]
fn a_stale_version_is_refused_by_its_number_and_two_at_once_are_one() {
    let world = World::start();
    let subject = &world.subjects[1];
    let first = world.draft(subject, &json!({"limits": {"perAuth": 1}}));
    let second = world.draft(subject, &json!({"limits": {"perAuth": 2}}));
    world.order(subject, second, "activate", &json!({}), 200);
    let path = format!("{subject}/policy/versions/{first}/activate");
    let (word, text) = world.refusal("POST", &path, &json!({}));
    assert_eq!(word, "stale_version");
    assert!(
        text.contains("version 3 is in force, and not version 1"),
        "{text}"
    );
    let (word, _) = world.refusal("POST", &path, &json!({"activeVersion": 2}));
    assert_eq!(word, "stale_version");
    let path_back = format!("{subject}/policy/versions/1/rollback");
    let (word, _) = world.refusal("POST", &path_back, &json!({"activeVersion": 1}));
    assert_eq!(word, "stale_version");
    assert_eq!(world.plane.get(subject)["policy"]["limits"]["perAuth"], 2);
    // Two who have read the same version: one of them is told.
    let other = world.draft(subject, &json!({"limits": {"perAuth": 3}}));
    let paths = [first, other].map(|it| format!("{subject}/policy/versions/{it}/activate"));
    let answers = thread::scope(|scope| {
        let asking = paths.each_ref().map(|path| {
            let body = json!({"activeVersion": 3});
            let plane = &world.plane;
            scope.spawn(move || plane.ask(&plane.owner, "POST", path, &body).status)
        });
        asking.map(|it| it.join().unwrap())
    });
    let mut sorted = answers;
    sorted.sort_unstable();
    assert_eq!(sorted, [200, 409]);
    let active = world.history(subject).into_iter();
    assert_eq!(active.filter(|(_, state)| state == "active").count(), 1);
}

#[test]
fn states_that_do_not_allow_it_and_documents_that_cannot_rule_are_refused() {
    let world = World::start();
    for subject in &world.subjects {
        let versions = format!("{subject}/policy/versions");
        for (policy, field) in [
            (json!({"perAuth": 1}), "policy.perAuth"),
            (json!({"limits": {"perDay": -1}}), "policy.limits.perDay"),
        ] {
            let body = json!({"policy": policy});
            let refused = world
                .plane
                .ask(&world.plane.owner, "POST", &versions, &body);
            assert_eq!(code(&refused, 400), "invalid_request");
            assert!(refused.text().contains(field), "{}", refused.text());
        }
        let without = world
            .plane
            .ask(&world.plane.owner, "POST", &versions, &json!({}));
        assert_eq!(code(&without, 400), "invalid_request");
        assert!(without.text().contains("policy"), "{}", without.text());
        let draft = world.draft(subject, &json!({}));
        let gone = world.draft(subject, &Value::Null);
        let path = format!("{versions}/{gone}");
        let deleted = world.plane.owner_asks("DELETE", &path, &Value::Null, 200);
        assert_eq!(deleted["state"], "deleted");
        let answer = world
            .plane
            .ask(&world.plane.owner, "GET", &path, &Value::Null);
        assert_eq!(code(&answer, 404), "not_found");
        // Its number is not given again.
        assert_eq!(world.draft(subject, &json!({})), gone + 1);
        for (method, path) in [
            ("DELETE", "1"),
            ("POST", "1/activate"),
            ("POST", "1/shadow"),
            ("POST", "1/rollback"),
            ("POST", &format!("{draft}/rollback")),
        ] {
            let path = format!("{versions}/{path}");
            let (word, _) = world.refusal(method, &path, &Value::Null);
            assert_eq!(word, "version_state", "{method} {path}");
        }
        for _ in 0..30 {
            world.draft(subject, &json!({}));
        }
        let (word, _) = world.refusal("POST", &versions, &json!({"policy": {}}));
        assert_eq!(word, "too_many_drafts");
    }
}

#[test]
fn a_shadow_stands_beside_the_real_verdict_and_changes_neither_answer_nor_counter() {
    let mut world = World::start();
    let [customer, agent, card] = world.subjects.clone();
    assert_eq!(world.plane.buy(&world.card, 100), "APPROVED");
    assert_eq!(world.newest(1)["shadow"], Value::Null);
    // By the counters: one purchase fits under it, and one was made already.
    let of_card = world.draft(&card, &json!({"limits": {"total": 250}}));
    let shadow = world.order(&card, of_card, "shadow", &Value::Null, 200);
    assert_eq!(shadow["state"], "shadow");
    assert_eq!(world.plane.get(&card)["policy"], Value::Null);
    assert_eq!(world.plane.buy(&world.card, 100), "APPROVED");
    let verdict = |record: &Value| record["shadow"].clone();
    let approves = json!({"cardVersion": of_card, "agentVersion": null, "customerVersion": null,
        "approvedAmount": 100, "decision": "approve", "reason": null});
    assert_eq!(verdict(&world.newest(2)), approves);
    assert_eq!(world.plane.buy(&world.card, 100), "APPROVED");
    let record = world.newest(3);
    assert_eq!(
        (&record["decision"], &record["approvedAmount"]),
        (&json!("approve"), &json!(100))
    );
    let declines = json!({"cardVersion": of_card, "agentVersion": null, "customerVersion": null,
        "approvedAmount": 0, "decision": "decline", "reason": "card_limit_exceeded"});
    assert_eq!(verdict(&record), declines);
    // On other levels beside it, over a restart.
    let of_customer = world.draft(&customer, &json!({"limits": {"perAuth": 50}}));
    world.order(&customer, of_customer, "shadow", &json!({}), 200);
    world.plane.kill();
    world.plane.restart();
    assert_eq!(world.plane.buy(&world.card, 40), "APPROVED");
    let both = verdict(&world.newest(4));
    assert_eq!(
        (&both["cardVersion"], &both["customerVersion"]),
        (&json!(of_card), &json!(of_customer))
    );
    // A second trial at one level ends the first; a retired one may be tried again.
    let next = world.draft(&card, &json!({}));
    world.order(&card, next, "shadow", &json!({}), 200);
    assert_eq!(world.history(&card)[1], (of_card, "retired".to_owned()));
    world.order(&card, of_card, "shadow", &json!({}), 200);
    // What is declined in force passes on trial.
    let strict = json!({"policy": {"limits": {"perAuth": 10}}});
    world.plane.owner_asks("PATCH", &agent, &strict, 200);
    let lax = world.draft(&agent, &json!({}));
    world.order(&agent, lax, "shadow", &json!({}), 200);
    let end = format!("{customer}/policy/versions/{of_customer}");
    let ended = world.plane.owner_asks("DELETE", &end, &Value::Null, 200);
    assert_eq!(ended["state"], "retired");
    let end = format!("{card}/policy/versions/{of_card}");
    world.plane.owner_asks("DELETE", &end, &Value::Null, 200);
    assert_eq!(world.plane.buy(&world.card, 40), "VELOCITY_EXCEEDED");
    let record = world.newest(5);
    assert_eq!(record["reason"], "amount_over_per_auth");
    let passes = json!({"cardVersion": null, "agentVersion": lax, "customerVersion": null,
        "approvedAmount": 40, "decision": "approve", "reason": null});
    assert_eq!(verdict(&record), passes);
    // Activated, it is in force and no shadow any more.
    world.order(&agent, lax, "activate", &json!({}), 200);
    assert_eq!(world.plane.buy(&world.card, 40), "APPROVED");
    assert_eq!(verdict(&world.newest(6)), Value::Null);
}

#[test]
fn s3_an_agents_key_changes_no_rules_and_reads_no_drafts() {
    let world = World::start();
    let agent_id = world.subjects[1].rsplit('/').next().unwrap();
    let body = json!({"scope": "agent", "agentId": agent_id});
    let key = world.plane.key(&body);
    for subject in &world.subjects {
        let draft = world.draft(subject, &json!({}));
        let versions = format!("{subject}/policy/versions");
        for (method, path) in [
            ("GET", versions.clone()),
            ("POST", versions.clone()),
            ("GET", format!("{versions}/{draft}")),
            ("POST", format!("{versions}/{draft}/shadow")),
            ("POST", format!("{versions}/{draft}/activate")),
            ("POST", format!("{versions}/1/rollback")),
            ("DELETE", format!("{versions}/{draft}")),
        ] {
            let refused = world.plane.ask(&key, method, &path, &json!({"policy": {}}));
            assert_eq!(code(&refused, 403), "scope_not_allowed", "{method} {path}");
        }
        assert_eq!(world.history(subject)[0], (draft, "draft".to_owned()));
    }
}

#[test]
fn every_step_of_a_version_stands_in_the_audit_log() {
    let world = World::start();
    let subject = &world.subjects[0];
    let version = world.draft(subject, &json!({"limits": {"perAuth": 9}}));
    world.order(subject, version, "shadow", &json!({}), 200);
    world.order(subject, version, "activate", &json!({}), 200);
    world.order(subject, 1, "rollback", &json!({}), 201);
    let log = world.plane.get("/v1/audit?limit=200");
    let mut said = Vec::new();
    for row in log["data"].as_array().unwrap() {
        for change in row["entry"]["changes"].as_array().unwrap() {
            if change["kind"] == "policyVersion" {
                assert_eq!(change["id"], id(&world.plane.get(subject)));
                let version = change["version"].as_u64().unwrap();
                said.push((version, change["what"].as_str().unwrap().to_owned()));
            }
        }
    }
    said.sort_unstable();
    let expected = [
        (1, "active"),
        (1, "retired"),
        (2, "active"),
        (2, "draft"),
        (2, "retired"),
        (2, "shadow"),
        (3, "active"),
    ];
    assert_eq!(said, states(&expected));
}
