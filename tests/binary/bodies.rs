//! Signed bodies that are wrong, strange or hostile (behaviour 2.3; H1 to H4, H10). None of them is
//! approved and none gets a 5xx; text of any kind is decided as ever.

use serde_json::Value;

use crate::http::{CARD, assert_answers, assert_refused, home};
use crate::server::{Client, Response, Server, delivery, find, now, purchase};

const MONEY: &str = r#""cardholder": {"amount": 100, "currency": "USD""#;
const DESCRIPTOR: &str = "API HOST GMBH";
const LAST: &str = r#""funding": []"#;
const TOKEN: &str = "not-understood";
const QUOTED_TOKEN: &str = "\"not-understood\"";

/// The purchase with `from`, which must stand in it, replaced.
fn with(token: &str, from: &str, to: &str) -> String {
    let body = purchase(token, CARD, 100);
    assert!(body.contains(from), "`{from}` is not there");
    body.replacen(from, to, 1)
}

fn money(amount: &str) -> String {
    format!(r#""cardholder": {{"amount": {amount}, "currency": "USD""#)
}

/// Sends it on the connection that is there, as an issuer would.
fn ask(client: &mut Client, name: &str, body: &[u8]) -> Response {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().map(word).collect();
    let id = format!("{name}-{}", now().micros());
    client.ask(&delivery(&id, body))
}

/// What stands for the amount.
const AMOUNTS: [&str; 16] = [
    "-100",
    "-0",
    "9007199254740992",
    "9223372036854775808",
    "18446744073709551616",
    "1e400",
    "1e2",
    "100.0",
    "\"100\"",
    "null",
    "true",
    "[100]",
    "0100",
    "NaN",
    "100, \"amount\": 1",
    "100, \"am\\u006funt\": 1",
];

/// What stands in the purchase, and what stands there now.
#[rustfmt::skip]
const REPLACED: [(&str, &str, &str); 22] = [
    ("unknown currency", MONEY, r#""cardholder": {"amount": 100, "currency": "ABC""#),
    ("number currency", MONEY, r#""cardholder": {"amount": 100, "currency": 840"#),
    ("currency twice", MONEY, r#""cardholder": {"amount": 100, "currency": "JPY", "currency": "USD""#),
    ("card twice", LAST, r#""card": {"token": "other"}"#),
    ("token twice", LAST, r#""token": "other""#),
    ("status twice", LAST, r#""status": "BALANCE_INQUIRY""#),
    ("amounts twice", LAST, r#""amounts": null"#),
    ("unknown status", "\"AUTHORIZATION\"", "\"AUTHORISATION\""),
    ("other event", "card_authorization.approval_request", "card.created"),
    ("no token", "\"token\"", "\"taken\""),
    ("no card", "\"card\": {", "\"cart\": {"),
    ("no amounts, other amount", "\"amounts\": {", "\"amount\": 1, \"amuonts\": {"),
    ("empty token", QUOTED_TOKEN, "\"\""),
    ("null token", QUOTED_TOKEN, "null"),
    ("NUL in token", QUOTED_TOKEN, "\"a\\u0000\""),
    ("space in token", QUOTED_TOKEN, "\"a b\""),
    ("number descriptor", "\"API HOST GMBH\"", "7"),
    ("lone surrogate", DESCRIPTOR, "\\ud800"),
    ("raw newline", DESCRIPTOR, "a\nb"),
    ("unknown escape", DESCRIPTOR, "\\x41"),
    ("trailing comma", LAST, "\"funding\": [],"),
    ("comment", LAST, "\"funding\": [] /* none */"),
];

fn not_understood() -> Vec<(String, Vec<u8>)> {
    let plain = || purchase(TOKEN, CARD, 100);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let amounts = AMOUNTS
        .iter()
        .map(|it| (*it, with(TOKEN, MONEY, &money(it))));
    let replaced = REPLACED
        .iter()
        .map(|(name, from, to)| (*name, with(TOKEN, from, to)));
    #[rustfmt::skip]
    let rows = [
        ("deep amount", with(TOKEN, MONEY, &money(&deep))),
        ("40 digits", with(TOKEN, MONEY, &money(&"9".repeat(40)))),
        ("token of 129", with(TOKEN, TOKEN, &"t".repeat(129))),
        ("trailing text", format!("{}x", plain())),
        ("two documents", plain().repeat(2)),
        ("cut off", plain().chars().take(900).collect()),
        ("byte order mark", format!("\u{feff}{}", plain())),
        ("in a list", format!("[{}]", plain())),
        ("empty", String::new()),
        ("white space", " \r\n".to_owned()),
        ("empty object", "{}".to_owned()),
        ("null", "null".to_owned()),
        ("number", "17".to_owned()),
        ("open list", "[".repeat(200_000)),
        ("open object", "{\"a\":".repeat(50_000)),
    ];
    let texts = amounts.chain(replaced).chain(rows);
    let mut bodies: Vec<_> = texts
        .map(|(name, body)| (name.to_owned(), body.into_bytes()))
        .collect();
    let mut invalid = plain().into_bytes();
    let at = find(&invalid, DESCRIPTOR.as_bytes()).unwrap();
    invalid[at] = 0xff;
    bodies.push(("invalid UTF-8".to_owned(), invalid));
    let wide = plain().encode_utf16().flat_map(u16::to_le_bytes).collect();
    bodies.push(("UTF-16".to_owned(), wide));
    bodies
}

#[test]
fn h1_h4_what_is_not_understood_is_a_400_and_no_decision() {
    let home = home();
    let server = home.start();
    let mut client = server.client();
    for (name, body) in &not_understood() {
        let response = ask(&mut client, name, body);
        assert_refused(name, &response, 400, "not_understood");
        let text = response.text();
        assert!(
            !text.contains(DESCRIPTOR),
            "{name}: it is told back: {text}"
        );
    }
    assert_answers(&server, "all these");
    let path = format!("/admin/decisions?connection=acme&authorization={TOKEN}");
    assert_eq!(server.admin(&path)["decisions"], Value::Array(Vec::new()));
    assert!(server.terminate().success());
}

#[test]
fn h3_h10_text_of_any_kind_and_unknown_fields_are_decided_as_ever() {
    let home = home();
    let server = home.start();
    let mut client = server.client();
    let deep = format!("{}1{}", "[{\"a\":".repeat(15_000), "}]".repeat(15_000));
    let wide = format!("[{}0]", "0,".repeat(100_000));
    let unknown = |content: &str| (LAST, format!("\"unknown\": {content}, {LAST}"));
    let descriptor = |text: &str| (DESCRIPTOR, text.to_owned());
    #[rustfmt::skip]
    let rows = [
        ("quotes", descriptor(r#"JOE\"S \\ \/ CAFE"#)),
        ("escapes", descriptor(r"A\u0042\n\t\r\b\f\u0000C")),
        ("escaped pair", descriptor(r"\ud83c\udf55 PIZZA")),
        ("non-ASCII", descriptor("CAFÉ ZÜRICH 寿司 🍕")),
        ("right to left", descriptor("\u{202e}GNITSET")),
        ("ANSI", descriptor(r"\u001b[31mRED")),
        ("empty", descriptor("")),
        ("10 000 letters", descriptor(&"M".repeat(10_000))),
        ("looks like JSON", descriptor(r#"\"},\"amounts\":{\"cardholder\":{\"amount\":1"#)),
        ("escaped key", ("\"descriptor\"", "\"d\\u0065scriptor\"".to_owned())),
        ("unknown deep", unknown(&deep)),
        ("unknown wide", unknown(&wide)),
        ("unknown huge number", unknown(&"9".repeat(10_000))),
        ("unknown 1e400", unknown("1e400")),
        ("unknown twice", unknown("1, \"unknown\": {\"a\": 1, \"a\": 2}")),
        ("unknown long text", unknown(&format!("\"{}\"", "x".repeat(200_000)))),
        ("letters for an MCC", ("\"7372\"", "\"ABCD\"".to_owned())),
        ("unknown country", ("\"DEU\"", "\"ZZZ\"".to_owned())),
        ("null country", ("\"DEU\"", "null".to_owned())),
    ];
    for (name, (from, to)) in rows {
        let token = format!("text-{}", name.replace(' ', "-"));
        let response = ask(&mut client, name, with(&token, from, &to).as_bytes());
        assert_eq!(response.result(), "APPROVED", "{name}");
        let path = format!("/admin/decisions?connection=acme&authorization={token}");
        let record = shown(&server, &path);
        assert_eq!(record["decision"], "approve", "{name}: {record}");
        assert_eq!(record["amount"], 100, "{name}: {record}");
    }
    // White space around, and members in another order, are nothing to an issuer.
    let spaced = format!("\r\n\t {} \r\n", purchase("spaced", CARD, 100));
    assert!(ask(&mut client, "spaced", spaced.as_bytes()).is_approval());
    let parsed: Value = serde_json::from_str(&purchase("sorted", CARD, 100)).unwrap();
    assert!(ask(&mut client, "sorted", parsed.to_string().as_bytes()).is_approval());
    assert!(server.terminate().success());
}

/// The only record; it may take a moment to show.
fn shown(server: &Server, path: &str) -> Value {
    for _ in 0..200 {
        let mut answer = server.admin(path);
        if let Some(records) = answer["decisions"].as_array_mut()
            && let Some(record) = records.pop()
        {
            assert!(records.is_empty());
            return record;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("no record shows at {path}");
}
