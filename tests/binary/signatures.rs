//! Who is let in (behaviour 2.2; W1 to W3, W6, W8, W11): a 401 that looks like no decision, and
//! nothing is counted.

use std::fs;

use serde_json::json;

use crate::http::{CARD, Parts, assert_answers, assert_refused, home};
use crate::server::{authorization, delivery, now, purchase, signature};

const TOKEN: &str = "unsigned";

/// Names, and signature headers that are not those of the issuer for this body.
fn refused_headers(good: &Parts) -> Vec<(&'static str, String)> {
    let signed_at = |seconds: i64| {
        let at = now().plus_micros(seconds * 1_000_000);
        signature("acme", TOKEN, at, &good.body)
    };
    let lines = || good.signature.split_inclusive("\r\n");
    let without = |name: &str| -> String { lines().filter(|it| !it.starts_with(name)).collect() };
    let line = |name: &str| lines().find(|it| it.starts_with(name)).unwrap();
    let replaced = |from: &str, to: &str| good.signature.replacen(from, to, 1);
    let mac = line("webhook-signature").trim_end();
    let (_, value) = mac.split_once("v1,").unwrap();
    let (first, rest) = value.split_at(1);
    let flipped = if first == "A" { "B" } else { "A" };
    let (cut, _) = value.split_at(value.len() - 2);
    #[rustfmt::skip]
    let rows = vec![
        ("no headers", String::new()),
        ("no id", without("webhook-id")),
        ("no timestamp", without("webhook-timestamp")),
        ("no signature", without("webhook-signature")),
        ("empty signature", format!("{}webhook-signature: \r\n", without("webhook-signature"))),
        ("two signature headers", format!("{}{mac}\r\n", good.signature)),
        ("two ids", format!("{}webhook-id: {TOKEN}\r\n", good.signature)),
        ("two timestamps", format!("{}{}", good.signature, line("webhook-timestamp"))),
        ("another's secret", signature("beta", TOKEN, now(), &good.body)),
        ("another id", replaced("webhook-id: unsigned", "webhook-id: unsignee")),
        ("six minutes ago", signed_at(-360)),
        ("in six minutes", signed_at(360)),
        ("in 1970", signed_at(-now().secs())),
        ("version 2", replaced("v1,", "v2,")),
        ("no version", replaced("v1,", "")),
        ("hexadecimal", replaced(value, &"ab".repeat(32))),
        ("first letter", replaced(value, &format!("{flipped}{rest}"))),
        ("cut off", replaced(value, cut)),
        ("nine signatures", replaced(&format!("v1,{value}"), &format!("v1,{value} ").repeat(9))),
        ("another body", signature("acme", TOKEN, now(), purchase(TOKEN, CARD, 1).as_bytes())),
        ("letters for a timestamp", format!("{}webhook-timestamp: now\r\n", without("webhook-timestamp"))),
        ("legacy header", "x-lithic-hmac: AAAA\r\n".to_owned()),
    ];
    rows
}

#[test]
fn w1_w8_w11_what_is_not_signed_by_the_issuer_is_a_401() {
    let home = home();
    let server = home.start();
    let good = Parts::good(TOKEN);
    let mut client = server.client();
    let mut refused = |name: &str, parts: &Parts| {
        let response = client.ask(&parts.bytes());
        assert_refused(name, &response, 401, "signature_refused");
        assert!(!response.text().contains("result"), "{name}");
    };
    for (name, headers) in refused_headers(&good) {
        let mut parts = good.clone();
        parts.signature = headers;
        refused(name, &parts);
    }
    let mut altered = good.clone();
    *altered.body.last_mut().unwrap() = b' ';
    refused("altered", &altered);
    let mut elsewhere = good.clone();
    elsewhere.line = elsewhere.line.replace("acme", "beta");
    refused("elsewhere", &elsewhere);

    assert_answers(&server, "all these");
    let path = format!("/admin/decisions?connection=acme&authorization={TOKEN}");
    assert_eq!(server.admin(&path)["decisions"], json!([]));
    assert!(server.terminate().success());
}

#[test]
fn w2_one_good_signature_among_others_is_enough() {
    let home = home();
    let server = home.start();
    #[rustfmt::skip]
    let rows = [
        ("behind another version", "v1,", "v2,AAAA v1a,BBBB v1,"),
        ("behind another secret's", "v1,", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= v1,"),
    ];
    for (name, from, to) in rows {
        let mut parts = Parts::good(&name.replace([' ', '\''], "-"));
        parts.signature = parts.signature.replacen(from, to, 1);
        let response = server.client().ask(&parts.bytes());
        assert_eq!(response.result(), "APPROVED", "{name}");
    }
    assert!(server.terminate().success());
}

/// The tolerance is 300 seconds both ways; a machine that is slow by seconds stays inside.
#[test]
fn w3_clocks_may_differ_by_less_than_the_tolerance() {
    let home = home();
    let server = home.start();
    for seconds in [-290, 290] {
        let mut parts = Parts::good(&format!("clock-{seconds}"));
        let at = now().plus_micros(seconds * 1_000_000);
        parts.signature = signature("acme", &format!("clock-{seconds}"), at, &parts.body);
        assert!(server.client().ask(&parts.bytes()).is_approval());
    }
    assert!(
        server
            .client()
            .ask(&authorization("clock", CARD, 1))
            .is_approval()
    );
    assert!(server.terminate().success());
}

/// An operator whose secret is wrong learns it from the log, and a flood of strangers does not fill it.
#[test]
fn what_comes_to_nothing_is_told_once_in_a_while() {
    let home = home();
    let server = home.start();
    let body = purchase("told", CARD, 100);
    for _ in 0..3 {
        let mut client = server.client();
        let unsigned = format!(
            "POST /issuers/acme/authorizations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(client.ask(unsigned.as_bytes()).status, 401);
    }
    let nonsense = server
        .client()
        .ask(&delivery("nonsense", b"{\"token\": 1}"));
    assert_eq!(nonsense.status, 400);
    let cards = format!("/admin/cards/{CARD}/lock");
    assert_eq!(server.post(&cards).status, 200);
    let metrics = server.admin_text("/metrics");
    let refused = "countersign_deliveries_refused_total{connection=\"acme\",why=\"missing\"} 3";
    assert!(metrics.contains(refused), "{metrics}");
    assert!(server.terminate().success());
    let log = fs::read_to_string(home.path("stderr.log")).unwrap();
    let told = |what: &str| log.matches(what).count();
    assert_eq!(told("a request is refused"), 1, "{log}");
    assert!(log.contains("connection=\"acme\" why=\"missing\""), "{log}");
    // Of the same ten seconds.
    assert_eq!(told("an authorization is not understood"), 0, "{log}");
    assert_eq!(told("an operator has changed a card"), 1, "{log}");
}
