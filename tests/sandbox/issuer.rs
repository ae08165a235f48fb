//! The sandbox issuer against a stand-in for the engine.

use std::net::{SocketAddr, TcpListener};

use countersign::clock::Clock;
use countersign::cold::sandbox::{Alpha3, Answer, Purchase, Sandbox, SandboxError};
use countersign::domain::amount::Amount;
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::currency::Currency;
use countersign::domain::mcc::Mcc;
use countersign::issuer::Issuer;
use countersign::issuer::delivery::{Header, Unsigned};
use countersign::issuer::standard_webhooks::{Secret, Verifier};

use crate::stand_in::{APPROVED, NO_RECORDS, Reply, Seen, StandIn, record};

const SECRET: &str = "whsec_c2FuZGJveCBzZWNyZXQgb2YgMzIgYnl0ZXMgbG9uZyE=";

fn ok(text: &str) -> Reply {
    Some((200, text.to_owned()))
}

fn sandbox(issuer: SocketAddr, ops: SocketAddr) -> Sandbox {
    let secret = Secret::from_text(SECRET.to_owned()).unwrap();
    Sandbox::new(issuer, ops, "sandbox", secret, Clock::start())
}

fn purchase(amount: &str, currency: &str) -> Purchase {
    let currency = Currency::parse(currency).unwrap();
    Purchase {
        card_token: "5a4db0c5-0000-4000-8000-000000000001".to_owned(),
        amount: Amount::parse_major(amount, currency).unwrap(),
        mcc: Mcc::parse("5812").unwrap(),
        merchant: "CAFÉ \"ÜBER\\ALL\"".to_owned(),
        country: Alpha3::parse("deu").unwrap(),
        increment_of: None,
    }
}

async fn pair(
    issuer: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
    ops: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static,
) -> (StandIn, StandIn, Sandbox) {
    let (issuer, ops) = (StandIn::start(issuer).await, StandIn::start(ops).await);
    let sandbox = sandbox(issuer.address, ops.address);
    (issuer, ops, sandbox)
}

/// What the engine makes of a request.
fn with_verified(
    seen: &Seen,
    check: impl FnOnce(&countersign::domain::authorization::AuthorizationRequest<'_>),
) {
    let secret = Secret::from_text(SECRET.to_owned()).unwrap();
    let verifier = Verifier::new(vec![secret], 300, Unsigned::Refuse).unwrap();
    let issuer = Issuer::Sandbox(verifier);
    let presented = issuer.present(|name| Header::Once(seen.header(name).as_bytes()));
    let now = Clock::start().now();
    let body = issuer.verify(&presented, &seen.body, now).unwrap();
    check(&issuer.decode(&body).unwrap().request);
}

#[tokio::test]
async fn a_purchase_arrives_signed_and_whole() {
    let (issuer, ops, mut sandbox) =
        pair(|_, _| ok(APPROVED), |_, _| ok(&record("r1", None))).await;
    let (outcome, delivery) = sandbox.authorize(&purchase("12.34", "USD")).await.unwrap();

    let [seen] = &issuer.seen()[..] else {
        panic!("one request");
    };
    assert_eq!(seen.target, "POST /issuers/sandbox/authorizations");
    assert_eq!(seen.header("content-type"), "application/json");
    assert_eq!(seen.header("host"), issuer.address.to_string());
    with_verified(seen, |request| {
        assert_eq!(request.authorization, outcome.authorization);
        assert_eq!(request.delivery.as_deref(), Some(delivery.id()));
        assert_eq!(request.kind, AuthorizationKind::Authorization);
        assert_eq!(request.card_token, "5a4db0c5-0000-4000-8000-000000000001");
        assert_eq!(request.amount.minor.get(), 1_234);
        assert_eq!(request.amount.currency, Currency::USD);
        assert!(request.cash.is_zero());
        assert_eq!(request.acceptor.descriptor, "CAFÉ \"ÜBER\\ALL\"");
        assert_eq!(request.acceptor.mcc, Mcc::parse("5812").ok());
        assert_eq!(request.acceptor.country.unwrap().letters(), ['D', 'E']);
        assert_eq!(request.acceptor.acceptor_id.as_ref().unwrap().len(), 15);
        assert_eq!(request.card_present, Some(false));
        assert!(!request.partial_approval_capable);
    });

    assert_eq!(outcome.answer, Answer::Approved);
    assert!(outcome.round_trip_us > 0);
    let [looked] = &ops.seen()[..] else {
        panic!("one look");
    };
    let authorization = &outcome.authorization;
    let target =
        format!("GET /admin/decisions?connection=sandbox&authorization={authorization}&limit=1");
    assert_eq!(looked.target, target);
    let recorded = outcome.record.unwrap();
    assert_eq!(
        (recorded.decision.as_str(), recorded.reason),
        ("approve", None)
    );
    assert_eq!(recorded.latency_us, Some(87));
}

/// The members that the issuer's document calls required, by the object that they stand in.
const REQUIRED: [(&str, &[&str]); 6] = [
    (
        "",
        &[
            "token",
            "status",
            "amounts",
            "amount",
            "authorization_amount",
            "settled_amount",
            "merchant_amount",
            "merchant_currency",
            "cardholder_currency",
            "acquirer_fee",
            "cash_amount",
            "card",
            "merchant",
            "avs",
            "created",
            "transaction_initiator",
            "name_validation",
            "service_location",
            "event_type",
        ],
    ),
    (
        "/amounts",
        &["cardholder", "merchant", "hold", "settlement"],
    ),
    (
        "/amounts/cardholder",
        &["amount", "currency", "conversion_rate"],
    ),
    (
        "/card",
        &[
            "token",
            "last_four",
            "memo",
            "spend_limit",
            "spend_limit_duration",
            "state",
            "type",
        ],
    ),
    (
        "/merchant",
        &[
            "acceptor_id",
            "acquiring_institution_id",
            "city",
            "country",
            "descriptor",
            "mcc",
            "state",
            "postal_code",
            "street_address",
            "phone_number",
        ],
    ),
    ("/avs", &["address", "zipcode", "address_on_file_match"]),
];

#[tokio::test]
async fn a_body_has_every_documented_member() {
    let (issuer, _ops, mut sandbox) =
        pair(|_, _| ok(APPROVED), |_, _| ok(&record("r1", None))).await;
    sandbox.authorize(&purchase("1.00", "USD")).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&issuer.seen()[0].body).unwrap();
    for (object, members) in REQUIRED {
        for member in members {
            let path = format!("{object}/{member}");
            assert!(body.pointer(&path).is_some(), "{path}");
        }
    }
}

#[tokio::test]
async fn amounts_are_minor_units_of_their_currency() {
    let (issuer, _ops, mut sandbox) =
        pair(|_, _| ok(APPROVED), |_, _| ok(&record("r1", None))).await;
    for (amount, currency, minor) in [
        ("12.3", "USD", 1_230),
        ("500", "JPY", 500),
        ("0.005", "KWD", 5),
    ] {
        sandbox
            .authorize(&purchase(amount, currency))
            .await
            .unwrap();
        with_verified(issuer.seen().last().unwrap(), |request| {
            assert_eq!(request.amount.minor.get(), minor);
            assert_eq!(request.amount.currency, Currency::parse(currency).unwrap());
        });
    }
}

#[tokio::test]
async fn a_redelivery_is_the_same_bytes_and_another_purchase_is_not() {
    let (issuer, _ops, mut sandbox) =
        pair(|_, _| ok(APPROVED), |_, _| ok(&record("r1", None))).await;
    let asked = purchase("12.34", "USD");
    let (first, delivery) = sandbox.authorize(&asked).await.unwrap();
    let again = sandbox.redeliver(&delivery).await.unwrap();
    let (other, _) = sandbox.authorize(&asked).await.unwrap();

    let seen = issuer.seen();
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(seen[0].headers, seen[1].headers);
    assert_eq!(first.authorization, again.authorization);
    assert_ne!(seen[0].body, seen[2].body);
    assert_ne!(seen[0].header("webhook-id"), seen[2].header("webhook-id"));
    assert_ne!(first.authorization, other.authorization);
    assert_eq!(issuer.connection_count(), 1, "the connection is kept");
}

#[tokio::test]
async fn an_increment_is_another_step_and_waits_for_its_own_record() {
    let ops = |at: usize, _: &Seen| match at {
        0 | 1 => ok(&record("old", None)),
        _ => ok(&record("new", Some("amount_over_per_auth"))),
    };
    let (issuer, ops, mut sandbox) =
        pair(|_, _| ok(r#"{"result":"VELOCITY_EXCEEDED"}"#), ops).await;
    let mut asked = purchase("12.34", "USD");
    asked.increment_of = Some("auth/1&x".to_owned());
    let (first, _) = sandbox.authorize(&asked).await.unwrap();

    assert_eq!(first.authorization, "auth/1&x");
    assert_eq!(
        first.answer,
        Answer::Declined("VELOCITY_EXCEEDED".to_owned())
    );
    let recorded = first.record.unwrap();
    assert_eq!(recorded.id, "new");
    assert_eq!(recorded.reason.as_deref(), Some("amount_over_per_auth"));
    assert_eq!(
        recorded.explanation.as_deref(),
        Some("Because of amount_over_per_auth.")
    );
    assert!(ops.seen()[0].target.contains("authorization=auth%2F1%26x&"));
    with_verified(&issuer.seen()[0], |request| {
        assert_eq!(request.authorization, "auth/1&x");
    });
    // The same amount once more is other content, or the engine would take it for the same step.
    sandbox.authorize(&asked).await.unwrap();
    let seen = issuer.seen();
    assert_ne!(seen[0].body, seen[1].body);
    assert_ne!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
}

#[tokio::test]
async fn a_partial_approval_names_its_amount() {
    let part = r#"{"result":"APPROVED","approved_amount":250,"token":"x"}"#;
    let (_issuer, _ops, mut sandbox) = pair(|_, _| ok(part), |_, _| ok(NO_RECORDS)).await;
    let (outcome, _) = sandbox.authorize(&purchase("5.00", "USD")).await.unwrap();
    assert!(matches!(outcome.answer, Answer::PartlyApproved(minor) if minor.get() == 250));
}

#[tokio::test]
async fn a_record_that_shows_late_is_waited_for_but_not_for_ever() {
    let late = |at: usize, _: &Seen| match at {
        0..3 => ok(NO_RECORDS),
        _ => ok(&record("r1", None)),
    };
    let (_issuer, ops, mut sandbox) = pair(|_, _| ok(APPROVED), late).await;
    let (outcome, _) = sandbox.authorize(&purchase("5.00", "USD")).await.unwrap();
    assert!(outcome.record.is_some());
    assert_eq!(ops.seen().len(), 4);

    let (_issuer, _ops, mut sandbox) = pair(|_, _| ok(APPROVED), |_, _| ok(NO_RECORDS)).await;
    let (outcome, _) = sandbox.authorize(&purchase("5.00", "USD")).await.unwrap();
    assert!(outcome.record.is_none());
    assert_eq!(outcome.answer, Answer::Approved);
}

async fn failure(issuer: Reply, ops: Reply) -> (String, SandboxError) {
    let (_issuer, _ops, mut sandbox) =
        pair(move |_, _| issuer.clone(), move |_, _| ops.clone()).await;
    let error = sandbox
        .authorize(&purchase("5.00", "USD"))
        .await
        .err()
        .unwrap();
    (error.to_string(), error)
}

#[tokio::test]
async fn an_engine_that_does_not_answer_the_question_is_told_apart() {
    let recorded = ok(&record("r1", None));
    let refused = |status, text: &str| Some((status, text.to_owned()));

    let (text, error) = failure(refused(401, "{}"), recorded.clone()).await;
    assert!(matches!(error, SandboxError::SignatureRefused(_)), "{text}");
    let (text, error) = failure(refused(404, "no such path"), recorded.clone()).await;
    assert!(
        matches!(error, SandboxError::ConnectionUnknown(..)),
        "{text}"
    );
    assert!(text.contains("no connection `sandbox`"), "{text}");
    let problem = r#"{"title":"not understood","status":400,"detail":"field token: missing"}"#;
    let (text, _) = failure(refused(400, problem), recorded.clone()).await;
    assert!(text.ends_with("status 400: field token: missing"), "{text}");
    let (text, _) = failure(refused(503, ""), recorded.clone()).await;
    assert!(text.ends_with("status 503"), "{text}");
    let garbage = [
        "",
        "APPROVED",
        "{}",
        r#"{"result":1}"#,
        r#"{"result":"APPROVED","approved_amount":-1}"#,
    ];
    for text in garbage {
        let (_, error) = failure(ok(text), recorded.clone()).await;
        assert!(matches!(error, SandboxError::Garbage(_)), "{text}");
    }
    let (_, error) = failure(None, recorded.clone()).await;
    assert!(matches!(error, SandboxError::Broken(..)), "{error}");
    let (_, error) = failure(ok(APPROVED), ok("{}")).await;
    assert!(matches!(error, SandboxError::Garbage(_)), "{error}");
    let (_, error) = failure(ok(APPROVED), refused(500, "")).await;
    assert!(matches!(error, SandboxError::Refused(_, 500, _)), "{error}");
}

#[tokio::test]
async fn nobody_there_says_what_to_start() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = sandbox(nobody, nobody)
        .authorize(&purchase("5.00", "USD"))
        .await;
    let text = error.err().unwrap().to_string();
    assert!(text.contains(&nobody.to_string()), "{text}");
    assert!(text.ends_with("start `countersign serve` first"), "{text}");
}

#[tokio::test]
async fn a_connection_that_broke_off_is_opened_anew() {
    let once = |at: usize, _: &Seen| if at == 0 { None } else { ok(APPROVED) };
    let (issuer, _ops, mut sandbox) = pair(once, |_, _| ok(&record("r1", None))).await;
    let asked = purchase("5.00", "USD");
    assert!(sandbox.authorize(&asked).await.is_err());
    assert!(sandbox.authorize(&asked).await.is_ok());
    assert_eq!(issuer.connection_count(), 2);
}
