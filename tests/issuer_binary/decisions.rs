//! Requests of each kind are verified, decided, and answered in the issuer's words.

use serde_json::json;

use crate::post::{
    CREDENTIALS, fixture, home, home_with, marqeta_headers, parsed, post, post_marqeta,
    post_stripe, refused, stripe_header,
};
use crate::server::{Response, Server, millis_since, now};

const NO_KEYS: [&str; 2] = ["", ""];

fn assert_stripe(what: &str, response: &Response, expected: &serde_json::Value) {
    assert_eq!(response.status, 200, "{what}: {}", response.text());
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(
        response.header("stripe-version"),
        Some("2026-10-28.endive"),
        "{what}"
    );
    assert_eq!(&parsed(response), expected, "{what}");
}

/// What operators see of a connection, once there are so many decisions: they appear within 100 ms.
fn decisions(server: &Server, of: &str, count: usize) -> serde_json::Value {
    let since = now();
    loop {
        let found = server.admin(&format!("/admin/decisions?connection={of}"));
        let seen = found["decisions"].as_array().unwrap().len();
        if seen >= count || millis_since(since) > 5_000 {
            return found["decisions"].clone();
        }
        std::thread::yield_now();
    }
}

fn declined(reason: &str) -> serde_json::Value {
    json!({"approved": false, "metadata": {"countersign_reason": reason}})
}

#[test]
fn a_stripe_authorization_is_approved_once_and_its_increments_count() {
    let home = home("strict", NO_KEYS);
    let server = home.start();
    let approved = json!({"approved": true});
    let purchase = fixture("stripe/purchase");
    assert_stripe("first", &post_stripe(&server, &purchase), &approved);
    // Another event around the same step: the same answer, counted once (B2).
    let again = purchase
        .replace("\"evt_1", "\"evt_2")
        .replace("\"created\": 1795194000", "\"created\": 1795194001");
    assert_ne!(again, purchase);
    assert_stripe("again", &post_stripe(&server, &again), &approved);
    let other = purchase.replace("2599", "2600");
    assert_stripe(
        "other amount",
        &post_stripe(&server, &other),
        &declined("conflicting_duplicate"),
    );
    // 25.99 of 250.00 are held; an increment may bring them to exactly 250.00.
    let id = purchase
        .split("\"iauth_")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let increment = |history: usize, amount: u32| {
        let entries = vec![r#"{"amount":2599,"approved":true}"#; history].join(",");
        purchase
            .replace(
                "\"request_history\": []",
                &format!("\"request_history\": [{entries}]"),
            )
            .replace("2599,\n", &format!("{amount},\n"))
    };
    let (fits, exceeds) = (increment(1, 22_401), increment(2, 1));
    assert_ne!(fits, purchase);
    assert_stripe("increment", &post_stripe(&server, &fits), &approved);
    assert_stripe(
        "one too much",
        &post_stripe(&server, &exceeds),
        &declined("amount_over_per_auth"),
    );
    let decisions = decisions(&server, &format!("striped&authorization=iauth_{id}"), 4);
    let seen = decisions.as_array().unwrap();
    let outcomes: Vec<_> = seen
        .iter()
        .map(|it| (&it["reason"], &it["deliveries"]))
        .collect();
    let expected = [
        (&json!("amount_over_per_auth"), &json!(1)),
        (&json!(null), &json!(1)),
        (&json!("conflicting_duplicate"), &json!(1)),
        (&json!(null), &json!(2)),
    ];
    assert_eq!(outcomes, expected, "{decisions}");
    assert!(server.terminate().success());
}

#[test]
fn a_marqeta_request_is_funded_once_and_its_increments_count() {
    let home = home("strict", NO_KEYS);
    let server = home.start();
    let purchase = fixture("marqeta/purchase");
    let first = post_marqeta(&server, &purchase);
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(first.header("stripe-version"), None);
    assert_eq!(first.text(), fixture("marqeta/purchase.reply").trim_end());
    assert_eq!(post_marqeta(&server, &purchase).text(), first.text());

    // 5.00 more of the same authorization pass, 300.00 more do not.
    let increment = fixture("marqeta/purchase.increment");
    assert_eq!(post_marqeta(&server, &increment).status, 200);
    let exceeding = increment
        .replace("5.00", "219.02")
        .replace("\"token\": \"", "\"token\": \"f");
    let over = post_marqeta(
        &server,
        &exceeding.replace("\"card_token\": \"f", "\"card_token\": \""),
    );
    assert_eq!(over.status, 402, "{}", over.text());
    let funding = &parsed(&over)["jit_funding"];
    assert_eq!(funding["decline_reason"], "AMOUNT_LIMIT_EXCEEDED");
    assert_eq!(funding["memo"], "amount_over_per_auth");

    let inquiry = post_marqeta(&server, &fixture("marqeta/balance_inquiry"));
    assert_eq!(inquiry.status, 200, "{}", inquiry.text());
    let balances = &parsed(&inquiry)["jit_funding"]["balances"];
    assert_eq!(balances["USD"]["available_balance"], json!(269.01));
    assert!(server.terminate().success());
}

/// Where less is left than is asked, and the terminal can take a part, that part is approved in the
/// issuer's own way; elsewhere nothing is.
#[test]
fn h8_a_part_is_approved_in_each_issuers_words() {
    let home = home_with(
        "strict",
        NO_KEYS,
        &json!({"allowPartial": true, "allowCash": true}),
    );
    let server = home.start();
    // 250.00 of the 300.00 are held first.
    let purchase = fixture("stripe/purchase");
    let large = purchase.replace("2599", "25000");
    assert_stripe(
        "large",
        &post_stripe(&server, &large),
        &json!({"approved": true}),
    );
    let controllable = post_stripe(&server, &fixture("stripe/purchase.controllable"));
    assert_stripe(
        "a part",
        &controllable,
        &json!({"approved": true, "amount": 5000}),
    );
    // Nothing is left, and a part of nothing is a decline.
    let again = fixture("stripe/purchase.fuel");
    assert_stripe(
        "nothing left",
        &post_stripe(&server, &again),
        &declined("card_limit_exceeded"),
    );

    let large = fixture("marqeta/purchase").replace("25.99", "250.00");
    assert_eq!(post_marqeta(&server, &large).status, 200);
    // Cash comes whole or not at all, whatever the terminal says.
    let cashback = post_marqeta(&server, &fixture("marqeta/purchase.cashback"));
    assert_eq!(cashback.status, 402, "{}", cashback.text());
    let part = post_marqeta(&server, &fixture("marqeta/purchase.partial_capable"));
    assert_eq!(part.status, 200, "{}", part.text());
    assert!(
        part.text().ends_with("\"amount\":50.00}}"),
        "{}",
        part.text()
    );
    assert!(server.terminate().success());
}

/// Not understood is never an approval, and in the issuer's own form (behaviour 2.3).
#[test]
fn h1_what_is_not_understood_is_declined_in_the_issuers_form() {
    let home = home("relaxed", ["livemode = true", ""]);
    let server = home.start();
    let purchase = fixture("stripe/purchase");
    let not_understood = declined("not_understood");
    for (what, body) in [
        ("no JSON", "approved".to_owned()),
        ("empty", String::new()),
        (
            "another event",
            purchase.replace(
                "issuing_authorization.request",
                "issuing_authorization.created",
            ),
        ),
        ("test mode", fixture("stripe/purchase.test_mode")),
        ("an amount with a point", purchase.replace("2599", "2599.0")),
        (
            "a negative amount",
            purchase.replace("\"amount\": 2599", "\"amount\": -2599"),
        ),
    ] {
        assert_stripe(what, &post_stripe(&server, &body), &not_understood);
    }
    let purchase = fixture("marqeta/purchase");
    for (what, body) in [
        ("three decimals", purchase.replace("25.99", "25.999")),
        ("as text", purchase.replace("25.99", "\"25.99\"")),
        (
            "a notification",
            purchase.replace("\"pgfs.authorization\"", "\"pgfs.authorization.clearing\""),
        ),
        (
            "no card",
            purchase.replace("\"card_token\"", "\"cards_token\""),
        ),
    ] {
        let response = post_marqeta(&server, &body);
        assert_eq!(response.status, 402, "{what}: {}", response.text());
        let funding = &parsed(&response)["jit_funding"];
        assert_eq!(
            funding["decline_reason"], "TRANSACTION_NOT_PERMITTED",
            "{what}"
        );
        assert_eq!(funding["memo"], "not_understood", "{what}");
        assert_eq!(
            funding["token"], "607d9e40-3164-5fec-b5fd-69951f0b7bfc",
            "{what}"
        );
    }
    let lost = post_marqeta(&server, &purchase.replace("\"jit_funding\"", "\"jit\""));
    assert_eq!(
        (lost.status, lost.code().as_deref()),
        (400, Some("not_understood"))
    );
    assert!(server.terminate().success());
}

#[test]
fn w1_w8_w11_only_the_issuer_is_heard() {
    let home = home("relaxed", NO_KEYS);
    let server = home.start();
    let stripe = fixture("stripe/purchase");
    let marqeta = fixture("marqeta/purchase");
    let good = stripe_header(now(), &stripe);
    let basic = marqeta_headers(CREDENTIALS);
    let line = |headers: &str, name: &str| {
        let kept = headers
            .split_inclusive("\r\n")
            .filter(|line| line.starts_with(name));
        kept.collect::<String>()
    };
    #[rustfmt::skip]
    let rows = [
        ("stripe, nothing", "striped", String::new(), &stripe),
        ("stripe, twice", "striped", format!("{good}{good}"), &stripe),
        ("stripe, another body", "striped", good, &marqeta),
        ("stripe, too old", "striped", stripe_header(now().plus_micros(-301_000_000), &stripe), &stripe),
        ("stripe, in the future", "striped", stripe_header(now().plus_micros(302_000_000), &stripe), &stripe),
        ("stripe, by Basic", "striped", basic.clone(), &stripe),
        ("marqeta, nothing", "mq", String::new(), &marqeta),
        ("marqeta, signed as Stripe does", "mq", stripe_header(now(), &marqeta), &marqeta),
        ("marqeta, no fixed header", "mq", line(&basic, "Authorization"), &marqeta),
        ("marqeta, no credentials", "mq", line(&basic, "X-Countersign"), &marqeta),
        ("marqeta, fixed header twice", "mq", format!("{basic}X-Countersign: x\r\n"), &marqeta),
        ("marqeta, another password", "mq", marqeta_headers("countersign:Correct-Horse-Battery-8"), &marqeta),
        ("marqeta, bearer", "mq", basic.replace("Basic", "Bearer"), &marqeta),
    ];
    for (what, connection, headers, body) in rows {
        let response = post(&server, connection, &headers, body);
        assert_eq!(response.status, 401, "{what}: {}", response.text());
        assert_eq!(
            response.code().as_deref(),
            Some("signature_refused"),
            "{what}"
        );
        assert!(!response.text().contains("approved"), "{what}");
    }
    for connection in ["striped", "mq"] {
        let decisions = server.admin(&format!("/admin/decisions?connection={connection}"));
        assert_eq!(decisions["decisions"], json!([]), "{connection}");
    }
    assert!(server.terminate().success());
}

/// The older scheme of Lithic's is taken where the connection says so, and nowhere else.
#[test]
fn a_lithic_connection_may_ask_for_the_older_scheme() {
    let home = home("relaxed", NO_KEYS);
    home.write("old.secret", "6a1f0e9d-8c7b-4a59-b846-372615f4e3d2");
    home.write("new.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let issuer = |name: &str, more: &str| {
        let secret = home.path(&format!("{name}.secret"));
        format!(
            "[[issuer]]\nname = \"{name}\"\nkind = \"lithic\"\nsecrets = [\"file:{}\"]\n{more}\n",
            secret.display()
        )
    };
    let config = std::fs::read_to_string(home.path("config.toml")).unwrap();
    let older = issuer("old", "signature = \"x-lithic-hmac\"");
    let named = issuer("new", "signature = \"standard-webhooks\"");
    home.write("config.toml", &format!("{config}{older}{named}"));
    let server = home.start();
    let log = std::fs::read_to_string(home.path("stderr.log")).unwrap();
    assert!(
        log.contains("connection=\"old\"") && !log.contains("connection=\"new\""),
        "{log}"
    );
    // Signed by Python's hmac and json.
    let header = "X-Lithic-HMAC: ldx/PA3lwGC72fl+nsNb3n0BcdfASDk77N4o+qA3upg=\r\n";
    let purchase = fixture("lithic/purchase");
    let known = post(&server, "old", header, &purchase);
    assert_eq!(known.text(), r#"{"result":"CARD_PAUSED"}"#, "nobody's card");
    assert_eq!(post(&server, "new", header, &purchase).status, 401);
    let other = purchase.replace("2599", "2600");
    assert_eq!(post(&server, "old", header, &other).status, 401);
    assert!(server.terminate().success());

    home.write(
        "config.toml",
        &format!("{config}{}", issuer("old", "signature = \"none\"")),
    );
    let (code, text) = refused(&home);
    assert_eq!(code, Some(2));
    assert!(
        text.contains("issuer[3].signature") && text.contains("x-lithic-hmac"),
        "{text}"
    );
}
