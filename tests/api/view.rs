//! The link of an approved purchase, and the page behind it (behaviour 5.12, 7.2).

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::plane::{Plane, code, value};
use crate::purchases::{Buyer, buyer};
use crate::server::{Response, find, millis_since, now};
use crate::webhooks::{HERE, plane as plane_with};

const PATIENCE_MS: i64 = 20_000;
const MINUTE_S: u32 = 60;

struct Story {
    plane: Plane,
    buyer: Buyer,
    /// The approved request.
    made: Value,
}

impl Story {
    fn of(plane: Plane, policy: &Value) -> Self {
        let buyer = buyer(&plane, policy);
        let made = buyer.asks(&plane, &json!({"categoryHint": "software"}));
        assert_eq!(made["status"], "approved", "{made}");
        Self { plane, buyer, made }
    }

    fn start() -> Self {
        Self::of(Plane::start(), &json!({"autoApproveBelow": 5000}))
    }

    fn card(&self) -> &str {
        self.made["virtualCard"]["id"].as_str().unwrap()
    }

    /// The path of the link.
    fn path(&self) -> String {
        let url = self.made["virtualCard"]["viewUrl"].as_str().unwrap();
        let here = format!("http://{}", self.plane.listen());
        url.strip_prefix(&here).expect(url).to_owned()
    }

    fn look(&self) -> Response {
        self.plane.ask_with("GET", &self.path(), "", "")
    }

    fn press(&self, headers: &str) -> Response {
        self.plane.ask_with("POST", &self.path(), headers, "")
    }

    /// As a program asks.
    fn open(&self) -> Response {
        self.press("content-type: application/json\r\n")
    }

    fn audited(&self) -> Vec<(Value, String)> {
        let log = self.plane.get("/v1/audit?limit=200");
        let entries = log["data"].as_array().unwrap().iter().rev();
        let of_links = entries.filter(|it| it["entry"]["action"] == "POST /view/{token}");
        of_links
            .map(|it| {
                let outcome = it["entry"]["outcome"].as_str().unwrap().to_owned();
                (it["entry"]["who"].clone(), outcome)
            })
            .collect()
    }
}

/// Behaviour 5.12, 7.2.
#[test]
fn s12_a_link_shows_a_button_and_only_pressing_it_the_card() {
    let story = Story::start();
    let before = story.plane.get("/v1/audit?limit=200")["data"].clone();
    for _ in 0..12 {
        let page = story.look();
        assert_eq!(page.status, 200, "{}", page.text());
        let text = page.text();
        assert!(text.contains("<form method=\"post\">"), "{text}");
        assert!(text.contains("shop.example.com") && text.contains("12.00 USD"));
        assert!(!text.contains("4242424242"), "{text}");
    }
    let after = story.plane.get("/v1/audit?limit=200")["data"].clone();
    assert_eq!(after, before, "looking changes nothing");
    let shown = story.press("content-type: application/x-www-form-urlencoded\r\n");
    assert_eq!(shown.status, 200, "{}", shown.text());
    let known = value(&story.open());
    let text = shown.text();
    for field in ["number", "cvv", "name"] {
        let wanted = known[field].as_str().unwrap();
        assert!(
            text.contains(&format!("data-field=\"{field}\">{wanted}<")),
            "{text}"
        );
    }
    assert!(known["billingAddress"].as_str().unwrap().contains('\n'));
    let expiry = format!(
        "{:02}/{:02}",
        known["expMonth"].as_u64().unwrap(),
        known["expYear"].as_u64().unwrap() % 100
    );
    assert!(text.contains(&format!(">{expiry}<")), "{text}");
    // It is what the API shows.
    let path = format!("/v1/cards/{}/reveal", story.card());
    let owner = &story.plane.owner;
    assert_eq!(
        known,
        value(&story.plane.ask(owner, "POST", &path, &Value::Null))
    );
    let link = json!({"kind": "link", "id": story.made["id"], "scope": "agent"});
    let twice = vec![(link.clone(), "200".to_owned()), (link, "200".to_owned())];
    assert_eq!(story.audited(), twice);
}

#[test]
fn s8_s10_every_page_forbids_what_it_does_not_need() {
    let story = Story::start();
    let gone = story.plane.ask_with("GET", "/view/nothing", "", "");
    assert_eq!(gone.status, 404);
    let of_form = "content-type: application/x-www-form-urlencoded\r\n";
    for page in [story.look(), story.press(of_form), gone] {
        let policy = page.header("content-security-policy").unwrap().to_owned();
        for part in [
            "default-src 'none'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"));
        for (name, wanted) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("content-type", "text/html; charset=utf-8"),
        ] {
            assert_eq!(page.header(name), Some(wanted), "{}", page.head);
        }
        let text = page.text();
        assert!(
            !text.contains("<script") && !text.contains("style="),
            "{text}"
        );
    }
    let program = story.open();
    assert_eq!(program.status, 200);
    assert_eq!(program.header("referrer-policy"), Some("no-referrer"));
    let style = story.plane.ask_with("GET", "/assets/style.css", "", "");
    assert_eq!(
        style.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    assert_eq!(style.header("x-content-type-options"), Some("nosniff"));
}

#[test]
fn s12_a_link_that_was_altered_or_sent_by_another_site_opens_nothing() {
    let story = Story::start();
    let path = story.path();
    let (id_and_end, hash) = path.rsplit_once('.').unwrap();
    let (id, end) = id_and_end.rsplit_once('.').unwrap();
    let later = end.parse::<i64>().unwrap() + 600;
    let other = Story::of(Plane::start(), &json!({"autoApproveBelow": 5000}));
    let json = "content-type: application/json\r\n";
    for altered in [
        format!("{id}.{later}.{hash}"),
        format!("{id}.{end}."),
        format!("{id}.{end}.{}", "A".repeat(43)),
        format!("{id_and_end}.{}", hash.get(1..).unwrap()),
        other.path(),
    ] {
        let refused = story.plane.ask_with("POST", &altered, json, "");
        assert_eq!(code(&refused, 404), "not_found", "{altered}");
        assert_eq!(story.plane.ask_with("GET", &altered, "", "").status, 404);
    }
    assert!(
        story
            .audited()
            .iter()
            .all(|(who, outcome)| { who["kind"] == "nobody" && outcome == "not_found" })
    );
    for elsewhere in [
        "origin: https://evil.example\r\n",
        "sec-fetch-site: cross-site\r\norigin: null\r\n",
    ] {
        let refused = story.press(&format!("{json}{elsewhere}"));
        assert_eq!(code(&refused, 403), "beyond_reach");
    }
    let own = "sec-fetch-site: same-origin\r\norigin: null\r\n";
    assert_eq!(story.press(&format!("{json}{own}")).status, 200);
}

/// Behaviour 5.12: the same gates as the API's.
#[test]
fn nothing_is_shown_by_a_link_once_its_card_or_agent_is_stopped() {
    let story = Story::start();
    let card = format!("/v1/cards/{}", story.card());
    let agent = format!("/v1/agents/{}", story.buyer.agent);
    let owner = |method: &str, path: &str, body: &Value| {
        story.plane.owner_asks(method, path, body, 200);
    };
    owner("POST", &format!("{card}/freeze"), &Value::Null);
    assert_eq!(code(&story.open(), 409), "card_stopped");
    let page = story.press("");
    assert_eq!(page.status, 409);
    assert!(page.text().contains("frozen"), "{}", page.text());
    let looked = |status: u16, word: &str| {
        let page = story.look();
        let text = page.text();
        assert_eq!(page.status, status, "{text}");
        assert!(text.contains(word) && !text.contains("<form"), "{text}");
    };
    looked(409, "frozen");
    owner("POST", &format!("{card}/unfreeze"), &Value::Null);
    owner("PATCH", &agent, &json!({"status": "paused"}));
    assert_eq!(code(&story.open(), 409), "card_stopped");
    looked(409, "agent is paused");
    owner("PATCH", &agent, &json!({"status": "active"}));
    assert_eq!(story.look().status, 200);
    assert_eq!(story.open().status, 200);
    owner("DELETE", &card, &Value::Null);
    assert_eq!(code(&story.open(), 409), "card_canceled");
    looked(409, "canceled");
}

#[test]
fn what_gates_the_api_gates_the_link() {
    let policy = json!({"autoApproveBelow": 5000, "requireAttestation": true});
    let story = Story::of(Plane::start(), &policy);
    assert_eq!(code(&story.open(), 409), "reveal_gated");
    let path = format!("/v1/cards/{}/attestations", story.card());
    let said = json!({"statement": "I buy a licence"});
    let attested = story.plane.ask(&story.buyer.key, "POST", &path, &said);
    assert_eq!(attested.status, 201, "{}", attested.text());
    assert_eq!(story.open().status, 200);
}

#[test]
fn a_link_shows_its_card_a_few_times_a_minute() {
    let story = Story::start();
    let answers: Vec<u16> = (0..12).map(|_| story.open().status).collect();
    // However the minute turns meanwhile.
    assert!(
        answers.contains(&200) && answers.contains(&429),
        "{answers:?}"
    );
    assert!(answers.iter().filter(|it| **it == 200).count() <= 10);
}

/// Behaviour 5.9, 5.12: the link is the same whenever it is asked for, and ends twenty minutes after the
/// approval.
#[test]
fn behaviour_5_12_a_link_that_was_used_ends_to_the_second_and_its_card_lives_on() {
    let plane = plane_with(HERE, &["--sandbox-clock"]);
    let story = Story::of(plane, &json!({"autoApproveBelow": 5000}));
    let card = &story.made["virtualCard"];
    assert_eq!(story.open().status, 200);
    story.plane.advance(18 * MINUTE_S);
    assert_eq!(story.open().status, 200);
    let again = story.buyer.sees(&story.plane, &story.made["id"]);
    for field in ["viewUrl", "viewExpiresAt", "expiresAt"] {
        assert_eq!(again["virtualCard"][field], card[field], "{again}");
    }
    story.plane.advance(2 * MINUTE_S);
    assert_eq!(code(&story.open(), 410), "view_ended");
    assert_eq!(story.look().status, 410);
    // The server has looked at what is due since.
    story.plane.advance(MINUTE_S);
    let since = now();
    while millis_since(since) < 1_500 {
        let after = story.buyer.sees(&story.plane, &story.made["id"]);
        assert_eq!(after["status"], "approved", "{after}");
        thread::sleep(Duration::from_millis(100));
    }
    let card = story.plane.get(&format!("/v1/cards/{}", story.card()));
    assert_eq!(card["status"], "active");
    let after = story.buyer.sees(&story.plane, &story.made["id"]);
    assert_eq!(after["status"], "approved", "{after}");
}

/// Behaviour 5.6.
#[test]
fn a_card_that_nobody_looks_at_is_canceled_when_its_link_dies() {
    let plane = plane_with(HERE, &["--sandbox-clock"]);
    let policy = json!({"autoApproveBelow": 5000, "limits": {"perDay": 3000}});
    let story = Story::of(plane, &policy);
    assert_eq!(story.buyer.spending(&story.plane)["daily_spent"], "12.00");
    story.plane.advance(19 * MINUTE_S);
    let seen = story.buyer.sees(&story.plane, &story.made["id"]);
    assert_eq!(seen["status"], "approved");
    story.plane.advance(MINUTE_S + 1);
    let since = now();
    let over = loop {
        let seen = story.buyer.sees(&story.plane, &story.made["id"]);
        if seen["reason"] == "not_revealed" {
            break seen;
        }
        assert!(millis_since(since) < PATIENCE_MS, "{seen}");
        thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(over["status"], "expired");
    assert_eq!(story.buyer.spending(&story.plane)["daily_spent"], "0.00");
    let card = story.plane.get(&format!("/v1/cards/{}", story.card()));
    assert_eq!(card["status"], "canceled");
}

/// Behaviour 8.4.
#[test]
fn s15_what_a_link_has_shown_and_the_link_itself_stand_nowhere() {
    let mut story = Story::start();
    let known = value(&story.open());
    assert_eq!(story.press("").status, 200);
    let number = known["number"].as_str().unwrap().to_owned();
    let hash = story.path().rsplit_once('.').unwrap().1.to_owned();
    story.plane.stop();
    let mut places = Vec::new();
    scan(&story.plane.home.path("."), &[&number, &hash], &mut places);
    assert!(places.is_empty(), "{places:?}");
    let kept = story.plane.database.kept(&story.plane.home.data_dir());
    for secret in [&number, &hash] {
        assert!(find(&kept, secret.as_bytes()).is_none());
    }
}

fn scan(folder: &Path, secrets: &[&str], places: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scan(&path, secrets, places);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let is_there = |secret: &str| find(&bytes, secret.as_bytes()).is_some();
        if secrets.iter().any(|it| is_there(it)) {
            places.push(path.display().to_string());
        }
    }
}
