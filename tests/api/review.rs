//! The pages on which a human decides (behaviour 5.7, 5.12, 7.2).

use std::thread;

use serde_json::{Value, json};

use crate::browser::{Browser, field, person};
use crate::notices::is_refused_once;
use crate::plane::{Plane, value};
use crate::purchases::{act, buyer};
use crate::server::Response;
use crate::sign_in::is_guarded;
use crate::waiting::task;

const PASSWORD: &str = "correct horse battery";

/// Somebody of this scope, signed in.
pub(crate) fn reviewer(plane: &Plane, scope: &str) -> Browser {
    let email = format!("{scope}@example.com");
    person(plane, &email, scope, PASSWORD);
    let mut browser = Browser::new(plane);
    assert_eq!(browser.sign_in(&email, PASSWORD).status, 303);
    browser
}

fn path(request: &Value) -> String {
    format!("/reviews/{}", request["id"].as_str().unwrap())
}

/// Sends a form of the page as it was read, with these fields beside.
fn send(browser: &mut Browser, page: &Response, to: &str, more: &[(&str, &str)]) -> Response {
    let (csrf, version) = (field(page, "csrf"), field(page, "version"));
    let mut fields = vec![("csrf", &*csrf), ("version", &*version)];
    fields.extend(more);
    browser.post(to, &fields)
}

/// Behaviour 5.7.
#[test]
fn s11_a_reviewer_approves_by_typing_the_amount_and_the_card_is_there() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({"autoApproveBelow": 500}));
    let waits = buyer.asks(&plane, &json!({}));
    assert_eq!(waits["status"], "pending_review");
    let mut browser = reviewer(&plane, "reviewer");
    let queue = browser.get("/reviews");
    assert_eq!(queue.status, 200, "{}", queue.text());
    assert!(queue.text().contains(&format!("href=\"{}\"", path(&waits))));
    let page = browser.get(&path(&waits));
    let approve = format!("{}/approve", path(&waits));
    for wrong in ["", "12", "12.01", "1200"] {
        let refused = send(&mut browser, &page, &approve, &[("amount", wrong)]);
        assert_eq!(refused.status, 400, "{wrong}: {}", refused.text());
    }
    assert_eq!(
        buyer.sees(&plane, &waits["id"]),
        waits,
        "nothing was changed"
    );
    let done = send(&mut browser, &page, &approve, &[("amount", " 12.00 ")]);
    assert_eq!(done.status, 303, "{}", done.text());
    assert_eq!(done.header("location"), Some(&*path(&waits)));
    let after = buyer.sees(&plane, &waits["id"]);
    assert_eq!(after["status"], "approved", "{after}");
    assert!(after["decidedBy"].as_str().unwrap().starts_with("usr_"));
    // Pressed twice, or by somebody else later: it stays as it is.
    let again = send(&mut browser, &page, &approve, &[("amount", "12.00")]);
    assert_eq!(again.status, 303);
    let deny = format!("{}/deny", path(&waits));
    let late = send(&mut browser, &page, &deny, &[("reason", "no")]);
    assert_eq!(late.status, 409);
    assert!(late.text().contains("had been approved"), "{}", late.text());
    assert_eq!(buyer.sees(&plane, &waits["id"]), after);
    let page = browser.get(&path(&waits)).text();
    assert!(page.contains("data-field=\"status\">approved<"), "{page}");
    assert!(!page.contains("<form"), "{page}");
}

#[test]
fn whoever_approves_what_the_agent_has_given_up_is_told_so() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({"autoApproveBelow": 500}));
    let waits = buyer.asks(&plane, &json!({}));
    let mut browser = reviewer(&plane, "owner");
    let page = browser.get(&path(&waits));
    task(&plane, &buyer, "tasks/cancel", &waits["id"]);
    let approve = format!("{}/approve", path(&waits));
    let late = send(&mut browser, &page, &approve, &[("amount", "12.00")]);
    assert_eq!(late.status, 409);
    assert!(
        late.text().contains("had given the request up"),
        "{}",
        late.text()
    );
    assert_eq!(buyer.sees(&plane, &waits["id"])["status"], "denied");
}

#[test]
fn a_reviewer_denies_with_a_reason_that_the_agent_is_told() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({"autoApproveBelow": 500}));
    let waits = buyer.asks(&plane, &json!({}));
    let mut browser = reviewer(&plane, "owner");
    let page = browser.get(&path(&waits));
    let deny = format!("{}/deny", path(&waits));
    let refused = send(&mut browser, &page, &deny, &[("reason", "")]);
    assert_eq!(refused.status, 400, "no reason");
    let why = "We have one.\r\nLook in the cupboard & <b>ask</b>";
    let done = send(&mut browser, &page, &deny, &[("reason", why)]);
    assert_eq!(done.status, 303, "{}", done.text());
    let after = buyer.sees(&plane, &waits["id"]);
    assert_eq!(
        (&after["status"], &after["reason"]),
        (&json!("denied"), &json!("denied_by_reviewer"))
    );
    assert_eq!(after["message"], why.replace("\r\n", "\n"));
    assert!(browser.get("/reviews").text().contains("Nothing waits."));
    let late = send(
        &mut browser,
        &page,
        &format!("{}/approve", path(&waits)),
        &[("amount", "12.00")],
    );
    assert_eq!(late.status, 409);
    assert!(late.text().contains("had been denied"), "{}", late.text());
    let page = browser.get(&path(&waits)).text();
    assert!(page.contains("&#60;b&#62;ask&#60;/b&#62;"), "{page}");
}

#[test]
fn s9_s11_nothing_is_decided_by_looking_by_a_foreign_form_or_by_an_old_version() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({"autoApproveBelow": 500}));
    let waits = buyer.asks(&plane, &json!({}));
    let approve = format!("{}/approve", path(&waits));
    let mut nobody = Browser::new(&plane);
    assert_eq!(nobody.get(&path(&waits)).status, 303, "sign in first");
    let mut browser = reviewer(&plane, "owner");
    let page = browser.get(&path(&waits));
    assert_eq!(browser.get(&approve).status, 405, "a link does nothing");
    let (csrf, version) = (field(&page, "csrf"), field(&page, "version"));
    let good = [
        ("csrf", &*csrf),
        ("version", &*version),
        ("amount", "12.00"),
    ];
    let evil = browser.post_from(Some("https://evil.example"), &approve, &good);
    assert_eq!(evil.status, 400);
    let bare = browser.post(&approve, &good[1..]);
    assert_eq!(bare.status, 400, "no token");
    let next = (version.parse::<i64>().unwrap() + 1).to_string();
    let old = [("csrf", &*csrf), ("version", &*next), ("amount", "12.00")];
    let stale = browser.post(&approve, &old);
    assert_eq!(stale.status, 409, "{}", stale.text());
    let unversioned = browser.post(&approve, &[good[0], good[2]]);
    assert_eq!(unversioned.status, 400);
    assert_eq!(buyer.sees(&plane, &waits["id"]), waits);
    // Whoever only looks sees no form, and decides nothing with one of his own.
    let mut viewer = reviewer(&plane, "viewer");
    let seen = viewer.get(&path(&waits));
    assert!(seen.status == 200 && !seen.text().contains("<form"));
    let csrf = field(&viewer.get("/logout"), "csrf");
    let own = [
        ("csrf", &*csrf),
        ("version", &*version),
        ("amount", "12.00"),
    ];
    assert_eq!(viewer.post(&approve, &own).status, 403);
    assert_eq!(buyer.sees(&plane, &waits["id"]), waits);
    // Behaviour 8.1: failed attempts are entries, too.
    for outcome in [
        "foreign_origin",
        "csrf_token",
        "no_form",
        "scope_not_allowed",
    ] {
        is_refused_once(&plane, "POST /reviews/{id}/approve", outcome);
    }
}

#[test]
fn s11_of_two_reviewers_who_race_one_decides() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({"autoApproveBelow": 500}));
    let (mut one, mut other) = (reviewer(&plane, "owner"), reviewer(&plane, "reviewer"));
    for round in 0..6 {
        let waits = buyer.asks(&plane, &json!({"amount": format!("{}.00", 20 + round)}));
        let (path, amount) = (path(&waits), waits["amount"].as_str().unwrap());
        let (page, same) = (one.get(&path), other.get(&path));
        let (approve, deny) = (format!("{path}/approve"), format!("{path}/deny"));
        let statuses = thread::scope(|scope| {
            let yes = scope.spawn(|| send(&mut one, &page, &approve, &[("amount", amount)]));
            let no = scope.spawn(|| send(&mut other, &same, &deny, &[("reason", "no")]));
            [yes.join().unwrap().status, no.join().unwrap().status]
        });
        // Whoever was second sees what the first has decided, or that it has changed.
        assert!(
            statuses.iter().all(|it| [303, 409].contains(it)),
            "{statuses:?}"
        );
        let decided = |it: &Value| ["approved", "denied"].contains(&it["status"].as_str().unwrap());
        let after = buyer.sees(&plane, &waits["id"]);
        assert!(decided(&after), "{after}");
        let log = plane.get("/v1/audit?limit=200")["data"].clone();
        let id = &waits["id"];
        let says = |it: &&Value| {
            let changes = it["entry"]["changes"].as_array().unwrap().iter();
            let mut of_row = changes.filter(|change| change["id"] == *id);
            let action = it["entry"]["action"].as_str().unwrap();
            action.starts_with("POST /reviews/") && of_row.next().is_some()
        };
        let actions: Vec<String> = { log.as_array().unwrap().iter().filter(says) }
            .map(|it| it["entry"]["action"].as_str().unwrap().to_owned())
            .collect();
        let verbs = |verb: &str| actions.iter().any(|it| it.ends_with(verb));
        assert!(verbs("/approve") != verbs("/deny"), "{actions:?}");
    }
}

/// The names of a page's elements, in their order.
fn structure(page: &str) -> Vec<String> {
    page.split('<')
        .skip(1)
        .map(|it| it.split(['>', ' ', '\n']).next().unwrap().to_owned())
        .collect()
}

fn corpus() -> Vec<String> {
    let parts = include_str!("../interop/xss.txt").lines();
    parts
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Hazards S7, S8: whatever an agent writes, the page is the same page.
#[test]
fn s7_s8_no_words_of_an_agent_change_the_page_or_the_decision() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({"autoApproveBelow": 500}));
    let mut browser = reviewer(&plane, "owner");
    let page_of = |browser: &mut Browser, text: &str, amount: usize| {
        let more = json!({"description": text, "justification": text, "amount": format!("{amount}.00"),
            "merchantName": text.chars().take(150).collect::<String>()});
        let waits = buyer.asks(&plane, &more);
        assert_eq!(waits["status"], "pending_review", "{text}");
        let page = browser.get(&path(&waits));
        assert_eq!(page.status, 200);
        // So that there is room for the next one.
        act(&plane, &waits["id"], "deny", &json!({}));
        page.text()
    };
    let plain = structure(&page_of(&mut browser, "plain", 20));
    assert!(plain.len() > 40, "{plain:?}");
    let corpus = corpus();
    assert!(corpus.len() >= 40);
    for (at, text) in corpus.iter().take(40).enumerate() {
        let page = page_of(&mut browser, text, 21 + at);
        assert_eq!(structure(&page), plain, "{text}\n{page}");
        assert!(
            !page.contains("<script") && !page.contains("\u{202e}"),
            "{page}"
        );
    }
}

/// Not by looking, by another page, without the token, on other words, or by somebody else.
fn nobody_else_answers(plane: &Plane, browser: &mut Browser, path: &str, page: &Response) {
    let grant = format!("{path}/grant");
    assert_eq!(browser.get(&grant).status, 405);
    let (csrf, revision) = (field(page, "csrf"), field(page, "revision"));
    let good = [("csrf", &*csrf), ("revision", &*revision)];
    let evil = browser.post_from(Some("https://evil.example"), &grant, &good);
    assert_eq!(evil.status, 400);
    assert_eq!(browser.post(&grant, &good[1..]).status, 400);
    assert_eq!(browser.post(&grant, &good[..1]).status, 400);
    let next = (revision.parse::<i64>().unwrap() + 1).to_string();
    let stale = browser.post(&grant, &[good[0], ("revision", &*next)]);
    assert_eq!(stale.status, 409, "{}", stale.text());
    assert!(stale.text().contains("has changed"), "{}", stale.text());
    for scope in ["reviewer", "viewer"] {
        let mut other = reviewer(plane, scope);
        let seen = other.get(path);
        assert!(seen.status == 200 && !seen.text().contains("<form"));
        let csrf = field(&other.get("/logout"), "csrf");
        let own = [("csrf", &*csrf), good[1]];
        assert_eq!(other.post(&grant, &own).status, 403, "{scope}");
    }
}

/// With words that the agent is told.
fn is_refused_with_words(browser: &mut Browser, path: &str) {
    let page = browser.get(path);
    let (csrf, revision) = (field(&page, "csrf"), field(&page, "revision"));
    let no = [
        ("csrf", &*csrf),
        ("revision", &*revision),
        ("note", "Not\r\ntoday"),
    ];
    let done = browser.post(&format!("{path}/refuse"), &no);
    assert_eq!(done.status, 303, "{}", done.text());
}

/// Behaviour 4.4, 7.2.
#[test]
fn an_owner_puts_an_agent_to_work_that_asks_for_it() {
    let plane = Plane::start();
    let buyer = buyer(&plane, &json!({"limits": {"perDay": 3000}}));
    let agent = format!("/v1/agents/{}", buyer.agent);
    let pause = || plane.owner_asks("PATCH", &agent, &json!({"status": "paused"}), 200);
    let asks = |reason: &str| {
        let body = json!({"reason": reason});
        let asked = plane.ask(&buyer.key, "POST", "/v1/access-requests", &body);
        assert_eq!(asked.status, 201, "{}", asked.text());
        let path = format!("/access-requests/{}", value(&asked)["id"].as_str().unwrap());
        (path.clone(), format!("/v1{path}"))
    };
    let state = |path: &str| plane.get(path)["status"].clone();
    pause();
    let (path, api) = asks("to buy <b>\u{202e}paper</b>");
    let grant = format!("{path}/grant");
    assert_eq!(Browser::new(&plane).get(&path).status, 303, "sign in first");
    let sent = Browser::new(&plane).post(&grant, &[]);
    let page = path.replace('/', "%2F");
    assert_eq!(
        sent.header("location"),
        Some(&*format!("/login?next={page}"))
    );
    let mut browser = reviewer(&plane, "owner");
    let queue = browser.get("/reviews").text();
    assert!(queue.contains(&format!("href=\"{path}\"")), "{queue}");
    let page = browser.get(&path);
    let text = page.text();
    assert!(
        text.contains("to buy &#60;b&#62;\u{fffd}paper&#60;/b&#62;"),
        "{text}"
    );
    assert!(
        text.contains("of 30.00 USD spent") && text.contains(">paused<"),
        "{text}"
    );
    is_guarded(&page, false);
    nobody_else_answers(&plane, &mut browser, &path, &page);
    let (csrf, revision) = (field(&page, "csrf"), field(&page, "revision"));
    let good = [("csrf", &*csrf), ("revision", &*revision)];
    assert_eq!(state(&api), "pending");
    assert_eq!(plane.get(&agent)["status"], "paused");
    let done = browser.post(&grant, &good);
    assert_eq!((done.status, done.header("location")), (303, Some(&*path)));
    assert_eq!(state(&api), "granted");
    assert_eq!(plane.get(&agent)["status"], "active");
    let decided_by = plane.get(&api)["decidedBy"].clone();
    assert!(decided_by.as_str().unwrap().starts_with("usr_"));
    assert_eq!(browser.post(&grant, &good).status, 409, "once");
    let after = browser.get(&path).text();
    assert!(
        after.contains(">granted<") && !after.contains("<form"),
        "{after}"
    );
    assert!(browser.get("/reviews").text().contains("Nothing waits."));
    pause();
    let (path, api) = asks("again");
    is_refused_with_words(&mut browser, &path);
    let told = value(&plane.ask(&buyer.key, "GET", &api, &Value::Null));
    assert_eq!(
        (&told["status"], &told["note"]),
        (&json!("refused"), &json!("Not\ntoday"))
    );
    assert_eq!(plane.get(&agent)["status"], "paused");
    let log = plane.get("/v1/audit?limit=200").to_string();
    assert!(log.contains(&format!("POST {path}/refuse")), "{log}");
}
