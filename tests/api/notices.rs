//! What people are told of a review, and the link that decides it once (behaviour 5.13; S7, S9, S12). The mail
//! server and the browser play in tests/interop.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::{Browser, field};
use crate::plane::{Plane, code, id};
use crate::purchases::{Buyer, act, buyer};
use crate::server::{Response, find, millis_since, now};
use crate::webhooks::{HERE, Receiver, plane as plane_with, restart, webhook};

/// A plane with a chat whose notices decide, and an agent whose requests wait.
fn told(flags: &[&str], more: &Value) -> (Plane, Receiver, Buyer, Value) {
    let plane = plane_with(HERE, flags);
    let receiver = Receiver::start();
    let mut wanted = json!({"channel": "slack", "oneTimeLinks": true});
    wanted
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let chat = webhook(&plane, &receiver.url(), &wanted);
    let buyer = buyer(&plane, &json!({"autoApproveBelow": 500}));
    (plane, receiver, buyer, chat)
}

/// The message of this number.
fn message(receiver: &Receiver, at: usize) -> Value {
    let came = receiver.until("a message", |came| came.len() > at);
    came[at].event()
}

/// The path of the link that decides.
fn link(message: &Value) -> String {
    let text = message["text"].as_str().unwrap();
    let (_, rest) = text
        .split_once("/review/")
        .unwrap_or_else(|| panic!("{text}"));
    let token = rest.split(['|', '>']).next().unwrap();
    assert_eq!(token.len(), 43, "{text}");
    format!("/review/{token}")
}

/// What a scanner of mail sends; its whole answer.
fn raw(plane: &Plane, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(plane.listen()).unwrap();
    let (host, close) = (plane.listen(), "connection: close");
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{close}\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Sends a form of the page as it was read, with these fields beside.
fn send(browser: &mut Browser, page: &Response, to: &str, more: &[(&str, &str)]) -> Response {
    let csrf = field(page, "csrf");
    let mut fields = vec![("csrf", &*csrf)];
    fields.extend(more);
    browser.post(to, &fields)
}

/// By another site's page, without the form's token, or without the amount.
fn forms_of_others_are_refused(browser: &mut Browser, approve: &str, good: &[(&str, &str); 2]) {
    let evil = browser.post_from(Some("https://evil.example"), approve, good);
    assert_eq!(evil.status, 400);
    assert_eq!(browser.post(approve, &good[1..]).status, 400);
    assert_eq!(browser.post(approve, &good[..1]).status, 400);
    let twice = [good[0], good[0]];
    assert_eq!(browser.post(approve, &twice).status, 400);
}

/// Behaviour 5.13.
#[test]
fn s12_a_link_out_of_a_notice_decides_once_and_looking_changes_nothing() {
    let (plane, receiver, buyer, chat) = told(&[], &json!({}));
    let waits = buyer.asks(&plane, &json!({}));
    let link = link(&message(&receiver, 0));
    let mut browser = Browser::new(&plane);
    let (approve, deny) = (format!("{link}/approve"), format!("{link}/deny"));
    for method in ["HEAD", "GET", "HEAD", "GET"] {
        assert!(raw(&plane, method, &link).starts_with("HTTP/1.1 200 "));
    }
    for path in [&approve, &deny] {
        assert_eq!(browser.get(path).status, 405);
    }
    assert_eq!(
        buyer.sees(&plane, &waits["id"]),
        waits,
        "nothing was decided"
    );
    let page = browser.get(&link);
    assert_eq!(page.status, 200, "{}", page.text());
    for (name, value) in [
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(page.header(name), Some(value));
    }
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .starts_with("default-src 'none'")
    );
    let csrf = field(&page, "csrf");
    let good = [("csrf", &*csrf), ("amount", "12.00")];
    forms_of_others_are_refused(&mut browser, &approve, &good);
    assert_eq!(buyer.sees(&plane, &waits["id"]), waits);
    let done = browser.post(&approve, &good);
    assert_eq!(
        (done.status, done.header("location")),
        (303, Some(&*link)),
        "{}",
        done.text()
    );
    let after = buyer.sees(&plane, &waits["id"]);
    assert_eq!(
        (&after["status"], &after["decidedBy"]),
        (&json!("approved"), &chat["id"]),
        "{after}"
    );
    // Used: it shows what was decided, and decides nothing more.
    let seen = browser.get(&link).text();
    assert!(
        seen.contains("data-field=\"status\">approved<") && !seen.contains("<form"),
        "{seen}"
    );
    let late = send(&mut browser, &page, &deny, &[("reason", "no")]);
    assert_eq!(late.status, 409);
    assert!(late.text().contains("had been approved"), "{}", late.text());
    let same = send(&mut browser, &page, &approve, &[("amount", "12.00")]);
    assert_eq!(same.status, 303, "the same word twice is no news");
    assert_eq!(buyer.sees(&plane, &waits["id"]), after);
    refused_words_are_told_to_the_audit_log(&plane);
    is_told_to_the_audit_log(&plane, &chat, link.strip_prefix("/review/").unwrap());
}

/// Behaviour 8.1: failed attempts are entries, too.
fn refused_words_are_told_to_the_audit_log(plane: &Plane) {
    for (verb, outcome) in [
        ("approve", "foreign_origin"),
        ("approve", "csrf_token"),
        ("approve", "no_form"),
        ("approve", "invalid_request"),
        ("deny", "decided_before"),
    ] {
        is_refused_once(plane, &format!("POST /review/{{token}}/{verb}"), outcome);
    }
}

/// Waits until the audit log says that this was refused so: once, and to somebody who is known.
pub(crate) fn is_refused_once(plane: &Plane, action: &str, outcome: &str) {
    let since = now();
    loop {
        let log = plane.get("/v1/audit?limit=100")["data"].clone();
        let entries = log.as_array().unwrap().iter().map(|it| &it["entry"]);
        let is_it = |it: &&Value| it["action"] == *action && it["outcome"] == outcome;
        let found: Vec<&Value> = entries.filter(is_it).collect();
        if let Some(entry) = found.first() {
            assert_eq!(found.len(), 1, "{outcome}: {log}");
            assert!(entry["who"]["id"].is_string(), "{entry}");
            return;
        }
        assert!(millis_since(since) < 10_000, "{outcome}: {log}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The act once, by link and through which chat; the link itself nowhere.
fn is_told_to_the_audit_log(plane: &Plane, chat: &Value, token: &str) {
    let log = plane.get("/v1/audit?limit=50")["data"].clone();
    let of_link = |it: &&Value| {
        it["entry"]["action"] == "POST /review/{token}/approve" && it["entry"]["outcome"] == "200"
    };
    let used = json!({"id": chat["id"], "kind": "reviewLink", "what": "used"});
    // The card that is made by the same word has an entry of its own.
    let has_used = |it: &&Value| {
        let changes = it["entry"]["changes"].as_array().unwrap();
        changes.contains(&used)
    };
    let entries = log.as_array().unwrap().iter().filter(of_link);
    let entries: Vec<&Value> = entries.filter(has_used).collect();
    assert_eq!(entries.len(), 1, "{log}");
    assert_eq!(
        entries[0]["entry"]["who"],
        json!({"id": chat["id"], "kind": "link", "scope": "reviewer"})
    );
    assert!(
        !log.to_string().contains(token),
        "the link itself is told nowhere"
    );
    assert_eq!(
        find(
            &plane.database.kept(&plane.home.data_dir()),
            token.as_bytes()
        ),
        None,
        "nor kept"
    );
}

/// Behaviour 5.13: kept in the transaction of the decision, so that nothing that happens to the request later
/// makes the link good again.
#[test]
fn s12_a_link_that_was_used_stays_used_whatever_becomes_of_the_request() {
    let (plane, receiver, buyer, _) = told(&[], &json!({}));
    let waits = buyer.asks(&plane, &json!({}));
    let link = link(&message(&receiver, 0));
    let mut browser = Browser::new(&plane);
    let page = browser.get(&link);
    let deny = format!("{link}/deny");
    let done = send(&mut browser, &page, &deny, &[("reason", "no")]);
    assert_eq!(done.status, 303, "{}", done.text());
    assert_eq!(buyer.sees(&plane, &waits["id"])["status"], "denied");
    // As if an older copy of the row had been put back.
    plane.database.change(
        &plane.home.data_dir(),
        "UPDATE purchases SET state = 'pending_review', reason = NULL, note = NULL, decided_by = NULL,
             decided_us = NULL, due_us = created_us + 3600000000, revision = revision - 1",
    );
    assert_eq!(buyer.sees(&plane, &waits["id"])["status"], "pending_review");
    let seen = browser.get(&link).text();
    assert!(
        seen.contains("has been used") && !seen.contains("<form"),
        "{seen}"
    );
    let again = send(&mut browser, &page, &deny, &[("reason", "no")]);
    assert_eq!(again.status, 410, "{}", again.text());
    assert_eq!(buyer.sees(&plane, &waits["id"])["status"], "pending_review");
}

#[test]
fn s12_no_other_link_opens_and_one_that_has_lost_its_ground_is_dead() {
    let (mut plane, receiver, buyer, chat) = told(&[], &json!({}));
    let waits = buyer.asks(&plane, &json!({}));
    let link = link(&message(&receiver, 0));
    let mut browser = Browser::new(&plane);
    let page = browser.get(&link);
    let token = link.strip_prefix("/review/").unwrap();
    let last = if token.ends_with('A') { 'B' } else { 'A' };
    let changed = format!("{}{last}", token.get(..42).unwrap());
    for other in [
        &*changed,
        "x",
        token.get(1..).unwrap(),
        &*"A".repeat(43),
        &*format!("{token}A"),
        "%00",
    ] {
        let path = format!("/review/{other}");
        assert_eq!(browser.get(&path).status, 404, "{other}");
        let refused = send(
            &mut browser,
            &page,
            &format!("{path}/approve"),
            &[("amount", "12.00")],
        );
        assert_eq!(refused.status, 404, "{other}");
    }
    // After a restart it is still good, so that what follows says something.
    restart(&mut plane, &[]);
    let mut browser = Browser::new(&plane);
    let page = browser.get(&link);
    assert_eq!(page.status, 200);
    // Its owner wants no links any more, or disables the endpoint, or removes it.
    let path = format!("/v1/webhooks/{}", id(&chat));
    for (off, on) in [("oneTimeLinks", true), ("enabled", true)] {
        plane.owner_asks("PATCH", &path, &json!({off: !on}), 200);
        assert_eq!(browser.get(&link).status, 404, "{off}");
        let refused = send(
            &mut browser,
            &page,
            &format!("{link}/approve"),
            &[("amount", "12.00")],
        );
        assert_eq!(refused.status, 404, "{off}");
        plane.owner_asks("PATCH", &path, &json!({off: on}), 200);
        assert_eq!(browser.get(&link).status, 200, "{off}");
    }
    plane.owner_asks("DELETE", &path, &Value::Null, 200);
    assert_eq!(browser.get(&link).status, 404);
    assert_eq!(buyer.sees(&plane, &waits["id"]), waits);
}

#[test]
fn s12_a_link_decides_the_version_that_was_told_and_ends_with_the_review() {
    let (plane, receiver, buyer, _) = told(&["--sandbox-clock"], &json!({}));
    let waits = buyer.asks(&plane, &json!({}));
    let link_of = |at| link(&message(&receiver, at));
    let mut browser = Browser::new(&plane);
    let (first, path) = (link_of(0), format!("{}/approve", link_of(0)));
    let page = browser.get(&first);
    // As another node may have changed it since.
    plane.database.change(
        &plane.home.data_dir(),
        "UPDATE purchases SET revision = revision + 1",
    );
    let seen = browser.get(&first).text();
    assert!(
        seen.contains("has changed") && !seen.contains("<form"),
        "{seen}"
    );
    let stale = send(&mut browser, &page, &path, &[("amount", "12.00")]);
    assert_eq!(stale.status, 410, "{}", stale.text());
    assert_eq!(buyer.sees(&plane, &waits["id"])["status"], "pending_review");
    act(&plane, &waits["id"], "deny", &json!({}));
    let second = buyer.asks(&plane, &json!({"amount": "13.00"}));
    let link = link_of(1);
    let page = browser.get(&link);
    plane.advance(24 * 3_600 + 60);
    let late = send(
        &mut browser,
        &page,
        &format!("{link}/approve"),
        &[("amount", "13.00")],
    );
    assert!([303, 410].contains(&late.status), "{}", late.text());
    let after = buyer.sees(&plane, &second["id"]);
    assert_eq!(
        (&after["status"], &after["reason"]),
        (&json!("denied"), &json!("review_expired"))
    );
}

#[test]
fn s11_of_two_who_race_with_a_link_one_decides() {
    let (plane, receiver, buyer, chat) = told(&[], &json!({}));
    for round in 0..6 {
        let amount = format!("{}.00", 20 + round);
        let waits = buyer.asks(&plane, &json!({"amount": amount}));
        let link = link(&message(&receiver, round));
        let mut browsers = [Browser::new(&plane), Browser::new(&plane)];
        let pages = browsers.each_mut().map(|it| it.get(&link));
        let [one, other] = &mut browsers;
        let [page, same] = &pages;
        let statuses = thread::scope(|scope| {
            let yes = scope.spawn(|| {
                send(
                    one,
                    page,
                    &format!("{link}/approve"),
                    &[("amount", &amount)],
                )
                .status
            });
            let no = scope
                .spawn(|| send(other, same, &format!("{link}/deny"), &[("reason", "no")]).status);
            [yes.join().unwrap(), no.join().unwrap()]
        });
        assert!(
            statuses.iter().all(|it| [303, 409, 410].contains(it)),
            "{statuses:?}"
        );
        let after = buyer.sees(&plane, &waits["id"]);
        assert_eq!(after["decidedBy"], chat["id"]);
        let log = plane.get("/v1/audit?limit=50")["data"].to_string();
        let of_row = log.matches(r#""kind":"reviewLink""#).count();
        assert_eq!(of_row, round + 1, "{log}");
    }
}

/// Behaviour 5.13, 8.5: the address of a chat is a secret.
#[test]
fn s13_the_address_of_a_chat_is_sealed_and_never_shown_again() {
    let (plane, receiver, buyer, chat) = told(&[], &json!({}));
    let shown = chat["url"].as_str().unwrap();
    assert!(
        shown.ends_with("/***") && shown.starts_with("http://127.0.0.1:"),
        "{chat}"
    );
    assert_eq!(chat["secret"], Value::Null);
    assert_eq!(chat["events"], json!(["purchase.pending_review"]));
    buyer.asks(&plane, &json!({}));
    let decides = link(&message(&receiver, 0));
    let path = format!("/v1/webhooks/{}", id(&chat));
    let all = [
        plane.get("/v1/webhooks"),
        plane.get(&path),
        plane.get(&format!("{path}/deliveries")),
    ];
    for shown in &all {
        assert!(!shown.to_string().contains("of=ours"), "{shown}");
    }
    assert_eq!(
        find(&plane.database.kept(&plane.home.data_dir()), b"of=ours"),
        None
    );
    let log = plane.get("/v1/audit?limit=50").to_string();
    assert!(
        !log.contains("of=ours") && log.contains("webhookSecret"),
        "{log}"
    );
    // It is exchanged, and not signed.
    let next = Receiver::start();
    let mut browser = Browser::new(&plane);
    assert_eq!(browser.get(&decides).status, 200);
    let changed = plane.owner_asks("PATCH", &path, &json!({"url": next.url()}), 200);
    assert!(changed["url"].as_str().unwrap().ends_with("/***"));
    assert_eq!(browser.get(&decides).status, 404, "it leads elsewhere");
    let shown = json!({"url": changed["url"]});
    let refused = plane.ask(&plane.owner, "PATCH", &path, &shown);
    assert_eq!(code(&refused, 400), "invalid_request");
    assert!(
        refused.text().contains("\"field\":\"url\""),
        "{}",
        refused.text()
    );
    plane.owner_asks("POST", &format!("{path}/test"), &Value::Null, 200);
    assert_eq!(
        message(&next, 0)["text"],
        "countersign: a test of notices\n"
    );
    let rotated = plane.ask(&plane.owner, "POST", &format!("{path}/rotate"), &json!({}));
    assert_eq!(code(&rotated, 422), "not_supported");
    wrong_ones_are_refused(&plane, &receiver);
}

fn wrong_ones_are_refused(plane: &Plane, receiver: &Receiver) {
    for (wrong, field) in [
        (json!({"channel": "fax", "url": receiver.url()}), "channel"),
        (
            json!({"channel": "slack", "url": receiver.url(), "events": ["decision.declined"]}),
            "events[0]",
        ),
        (
            json!({"url": receiver.url(), "oneTimeLinks": true}),
            "oneTimeLinks",
        ),
        (
            json!({"channel": "slack", "url": "https://10.0.0.1/x"}),
            "url",
        ),
    ] {
        let refused = plane.ask(&plane.owner, "POST", "/v1/webhooks", &wrong);
        assert_eq!(code(&refused, 400), "invalid_request", "{wrong}");
        assert!(
            refused.text().contains(&format!("\"field\":\"{field}\"")),
            "{}",
            refused.text()
        );
    }
    let mail = json!({"channel": "email", "url": "mailto:ada@example.com"});
    let refused = plane.ask(&plane.owner, "POST", "/v1/webhooks", &mail);
    assert_eq!(
        code(&refused, 422),
        "not_supported",
        "there is no mail server"
    );
}

/// A chat that is away is told later, of what is so by then; without a link where nothing waits any more.
#[test]
fn a_notice_survives_an_outage_and_a_restart_and_tells_how_it_stands_by_then() {
    let (mut plane, receiver, buyer, _) = told(&[], &json!({}));
    receiver.answers(503);
    let first = buyer.asks(&plane, &json!({}));
    receiver.until("an attempt in vain", |came| !came.is_empty());
    act(&plane, &first["id"], "deny", &json!({}));
    restart(&mut plane, &[]);
    receiver.answers(200);
    let came = receiver.until("another attempt", |came| came.len() > 1);
    let text = came.last().unwrap().event()["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        text.contains("12.00 USD") && text.contains(": denied"),
        "{text}"
    );
    assert!(!text.contains("/review/"), "{text}");
}

/// Hazards S7, S8: what the agent wrote is told as data, and never as markup or links.
#[test]
fn s7_the_agents_words_are_marked_up_nowhere_in_a_chat() {
    let (plane, receiver, buyer, _) = told(&[], &json!({}));
    let evil = "<!channel> *now* <https://evil.example|approve> https://evil.example/a @here\nAmount: 1.00 USD";
    let more =
        json!({"description": evil, "justification": evil, "merchantName": "<script>evil.example"});
    buyer.asks(&plane, &more);
    let told = message(&receiver, 0);
    let marked = |it: &&Value| it["text"]["type"] == "mrkdwn";
    let blocks = told["blocks"].as_array().unwrap();
    assert_eq!(blocks.iter().filter(marked).count(), 1, "{told}");
    for text in [
        &told["text"],
        &blocks.iter().find(marked).unwrap()["text"]["text"],
    ] {
        assert!(!text.as_str().unwrap().contains("evil"), "{text}");
    }
    let all = told.to_string();
    assert!(
        !all.contains("<!") && !all.contains("://evil") && !all.contains("evil.example"),
        "{all}"
    );
    assert!(
        all.contains("evil[.]example") && all.contains("&lt;!channel&gt;"),
        "{all}"
    );
}

/// Behaviour 5.13: guesses are counted, and links of ours are not.
#[test]
fn links_are_opened_so_often_in_a_minute() {
    let (plane, receiver, buyer, _) = told(&[], &json!({}));
    buyer.asks(&plane, &json!({}));
    let good = link(&message(&receiver, 0));
    let mut browser = Browser::new(&plane);
    let path = format!("/review/{}", "A".repeat(43));
    let statuses: Vec<u16> = (0..130).map(|_| browser.get(&path).status).collect();
    assert!(
        statuses.contains(&404) && statuses.contains(&429),
        "{statuses:?}"
    );
    assert_eq!(browser.get(&good).status, 200);
}
