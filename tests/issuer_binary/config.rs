//! Which configurations are taken, and what is said of them at the start (behaviour 3.6, 11.2).

use std::fs;

use crate::post::{fixture, home, marqeta_headers, post, post_stripe, refused};

const NO_KEYS: [&str; 2] = ["", ""];

#[test]
fn o2_a_connection_that_could_not_work_is_refused_by_its_key() {
    let home = home("strict", NO_KEYS);
    let good = fs::read_to_string(home.path("config.toml")).unwrap();
    let with = |from: &str, to: &str| good.replacen(from, to, 1);
    let (stripe, marqeta) = ("deadline_ms = 1500", "deadline_ms = 2500");
    #[rustfmt::skip]
    let rows: Vec<(&str, String, &[&str])> = vec![
        ("beyond Stripe's deadline", with(stripe, "deadline_ms = 1501"), &["issuer[0].deadline_ms", "1500", "2000"]),
        ("beyond Marqeta's deadline", with(marqeta, "deadline_ms = 2501"), &["issuer[1].deadline_ms", "2500", "3000"]),
        ("no tolerance", with(stripe, "tolerance_s = 0"), &["issuer[0].tolerance_s", "3600"]),
        ("tolerance of days", with(stripe, "tolerance_s = 86400"), &["issuer[0].tolerance_s", "3600"]),
        ("no account", with(stripe, "account = \"ca_1\""), &["issuer[0].account", "acct_"]),
        ("Stripe's key at Marqeta's", with(marqeta, "livemode = true"), &["issuer[1].livemode", "stripe"]),
        ("Stripe's account at Marqeta's", with(marqeta, "account = \"acct_1\""), &["issuer[1].account", "stripe"]),
        ("Marqeta's key at Stripe's", with(stripe, "headers = { x-a = [\"env:A\"] }"), &["issuer[0].headers", "marqeta"]),
        ("a header in capitals", with("x-countersign =", "X-Countersign ="), &["issuer[1].headers.X-Countersign", "lower case"]),
        ("the header that is taken", with("x-countersign =", "authorization ="), &["issuer[1].headers.authorization"]),
        ("a header without a value", with("mq.header\"]", "mq.header\"], x-b = []").replacen("headers = { x-countersign = [", "headers = { x-b = [], x-countersign = [", 1).replacen(", x-b = []", "", 1), &["issuer[1].headers.x-b"]),
        ("no secret", with("secrets = [", "secrets = [] #"), &["issuer[0].secrets"]),
        ("a key of nobody's", with(stripe, "mode = \"live\""), &["config.toml:5", "`mode`"]),
    ];
    for (what, config, words) in rows {
        assert_ne!(config, good, "{what}");
        home.write("config.toml", &config);
        assert_refused(what, &refused(&home), words);
    }
}

#[test]
fn w9_what_is_no_secret_of_its_issuer_stops_the_start() {
    let home = home("strict", NO_KEYS);
    let stripe = "issuer[0].secrets[0]";
    let (marqeta, header) = ("issuer[1].secrets[0]", "issuer[1].headers.x-countersign[0]");
    let restore = |name: &str| fs::read_to_string(home.path(name)).unwrap();
    for (file, text, place, words) in [
        ("stripe.secret", "", stripe, "empty"),
        ("stripe.secret", "whsec_", stripe, "empty"),
        (
            "stripe.secret",
            "4f1c2d3e4b5a69788796a5b4c3d2e1f0",
            stripe,
            "whsec_",
        ),
        ("stripe.secret", "whsec_4f1c2d3e", stripe, "shorter"),
        (
            "stripe.secret",
            "whsec_4f1c2d3e4b5a69788796\n",
            stripe,
            "white space",
        ),
        ("mq.secret", "", marqeta, "empty"),
        ("mq.secret", "no-colon-anywhere", marqeta, "user:password"),
        ("mq.secret", ":Correct-Horse-Battery-9", marqeta, "no user"),
        (
            "mq.secret",
            "countersign:fifteen-charac",
            marqeta,
            "shorter",
        ),
        (
            "mq.secret",
            "countersign:Correct-Horse-Battery-9\n",
            marqeta,
            "white space",
        ),
        ("mq.header", "short", header, "shorter"),
        (
            "mq.header",
            "a-fixed-value-of-one-header\n",
            header,
            "white space",
        ),
    ] {
        let before = restore(file);
        home.write(file, text);
        let refused = refused(&home);
        assert_refused(text, &refused, &[place, words]);
        let told = text.trim();
        assert!(
            told.len() < 8 || !refused.1.contains(told),
            "{} tells it",
            refused.1
        );
        home.write(file, &before);
    }
    assert!(home.start().terminate().success());
}

fn assert_refused(what: &str, (code, text): &(Option<i32>, String), words: &[&str]) {
    assert_eq!(*code, Some(2), "{what:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{what:?}: `{word}` is not in: {text}");
    }
    assert!(!text.contains("panicked"), "{what:?}: {text}");
}

/// Where silence or an open door may approve, each start says so.
#[test]
fn the_start_warns_where_silence_would_approve() {
    let quiet = home("strict", NO_KEYS);
    assert!(quiet.start().terminate().success());
    let log = fs::read_to_string(quiet.path("stderr.log")).unwrap();
    let of = |name: &str, log: &str| {
        let lines = log.lines().filter(|line| line.contains("WARN"));
        let of_one = lines.filter(|line| line.contains(&format!("connection=\"{name}\"")));
        of_one.collect::<Vec<_>>().join("\n")
    };
    let (stripe, marqeta) = (of("striped", &log), of("mq", &log));
    assert!(
        stripe.contains("timeout setting, which may approve"),
        "{log}"
    );
    assert!(marqeta.contains("Commando Mode"), "{log}");
    assert!(!log.contains("accept"), "{log}");
    assert!(!stripe.contains("carries no time"), "{log}");
    assert!(marqeta.contains("carries no time"), "{log}");

    let open = home("strict", ["unsigned = \"accept\"", "unsigned = \"accept\""]);
    let server = open.start();
    let log = fs::read_to_string(open.path("stderr.log")).unwrap();
    for name in ["striped", "mq"] {
        assert!(of(name, &log).contains("unsigned = "), "{log}");
    }

    // The door is open for what comes without any proof, and for that alone.
    let (purchase, funding) = (fixture("stripe/purchase"), fixture("marqeta/purchase"));
    assert_eq!(
        post(&server, "striped", "", &purchase).text(),
        r#"{"approved":true}"#
    );
    assert_eq!(post(&server, "mq", "", &funding).status, 200);
    let wrong = "Stripe-Signature: t=1,v1=00\r\n";
    assert_eq!(post(&server, "striped", wrong, &purchase).status, 401);
    let wrong = marqeta_headers("countersign:Wrong-Horse-Battery-9");
    assert_eq!(post(&server, "mq", &wrong, &funding).status, 401);
    assert!(server.terminate().success());
}

#[test]
fn an_account_that_is_named_is_the_only_one() {
    let home = home("relaxed", ["account = \"acct_1AbCdEfGhIjKlMnO\"", ""]);
    let server = home.start();
    let of = |account: &str| {
        let purchase = fixture("stripe/purchase");
        let id = format!("\"account\": {account},\n  \"object\": \"event\"");
        post_stripe(&server, &purchase.replacen("\"object\": \"event\"", &id, 1)).text()
    };
    let declined = r#"{"approved":false,"metadata":{"countersign_reason":"not_understood"}}"#;
    assert_eq!(of("\"acct_other\""), declined);
    assert_eq!(of("null"), declined);
    assert_eq!(of("\"acct_1AbCdEfGhIjKlMnO\""), r#"{"approved":true}"#);
    assert!(server.terminate().success());
}

/// The table of warnings in an issuer's document: where each stands, and its words.
fn documented(document: &str) -> Vec<(String, String)> {
    let (_, section) = document.split_once("## What the start warns of").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    let cells = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim));
    let rows = cells.map(|cells| cells.collect::<Vec<_>>());
    let rows = rows.filter(|cells| cells[1].starts_with('`'));
    rows.map(|cells| (cells[0].to_owned(), cells[1].trim_matches('`').to_owned()))
        .collect()
}

/// What the documents say about warnings is what the start says, word by word, and nothing else.
#[test]
fn the_documents_name_the_warnings_that_the_start_prints() {
    let home = home("strict", NO_KEYS);
    let file = |name: &str| home.path(name).display().to_string();
    home.write("lithic.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    home.write("lithic.key", "an-api-key-that-is-long-enough");
    let config = fs::read_to_string(home.path("config.toml")).unwrap();
    let connection = |name: &str, kind: &str, secret: &str, more: &str| {
        let secret = file(secret);
        format!(
            "[[issuer]]\nname = \"{name}\"\nkind = \"{kind}\"\nsecrets = [\"file:{secret}\"]\n{more}\n"
        )
    };
    let old = "signature = \"x-lithic-hmac\"\nevent_secrets = [\"file:EVENTS\"]";
    let old = old.replace("EVENTS", &file("lithic.secret"));
    let open = "unsigned = \"accept\"";
    let more = [
        connection("lithic-plain", "lithic", "lithic.secret", ""),
        connection("lithic-old", "lithic", "lithic.key", &old),
        connection("lithic-open", "lithic", "lithic.secret", open),
        connection("striped-open", "stripe", "stripe.secret", open),
        connection("mq-open", "marqeta", "mq.secret", open),
    ];
    home.write("config.toml", &format!("{config}{}", more.concat()));
    assert!(home.start().terminate().success());
    let log = fs::read_to_string(home.path("stderr.log")).unwrap();
    let [lithic, stripe, marqeta] = [
        include_str!("../../docs/issuers/lithic.md"),
        include_str!("../../docs/issuers/stripe.md"),
        include_str!("../../docs/issuers/marqeta.md"),
    ]
    .map(documented);
    assert_eq!([lithic.len(), stripe.len(), marqeta.len()], [2, 2, 3]);
    let (accept, hmac) = ("`unsigned = \"accept\"`", "`signature = \"x-lithic-hmac\"`");
    for (name, documented, set) in [
        ("lithic-plain", &lithic, ""),
        ("lithic-old", &lithic, hmac),
        ("lithic-open", &lithic, accept),
        ("striped", &stripe, ""),
        ("striped-open", &stripe, accept),
        ("mq", &marqeta, ""),
        ("mq-open", &marqeta, accept),
    ] {
        let stated = documented.iter();
        let stated = stated.filter(|(place, _)| place == "always" || place == set);
        let mut expected: Vec<_> = stated.map(|(_, words)| words.as_str()).collect();
        let suffix = format!(" connection=\"{name}\"");
        let lines = log.lines().filter(|line| line.contains(" WARN "));
        let of_one = lines.filter_map(|line| line.strip_suffix(&suffix));
        let mut printed: Vec<_> = of_one
            .map(|line| line.split_once("countersign::app: ").unwrap().1)
            .collect();
        expected.sort_unstable();
        printed.sort_unstable();
        assert_eq!(printed, expected, "{name}: {log}");
    }
}
