//! Cards made at an issuer over the network: one for each order, whatever becomes of the answers
//! (behaviour 4.5, 4.8).

use std::thread;

use serde_json::{Value, json};

use crate::desk::{APPROVED, Desk};
use crate::far_side::{Fault, Speech};
use crate::plane::{bearer, code, id, value};

const ALL: [Speech; 3] = [Speech::Lithic, Speech::Stripe, Speech::Privacy];

#[test]
fn a_card_is_made_in_the_issuers_words_and_used_at_once() {
    for speech in [Speech::Lithic, Speech::Stripe] {
        let desk = Desk::start(speech);
        let card = desk.plane.card(&json!({
            "limits": {"amount": 3000, "currency": "USD", "interval": "per_authorization"},
        }));
        let shown = desk.plane.get(&format!("/v1/cards/{card}"));
        assert_eq!(shown["last4"], "1234");
        assert_eq!(
            (&shown["expMonth"], &shown["expYear"]),
            (&json!(7), &json!(2031))
        );
        if speech == Speech::Lithic {
            assert_eq!(desk.buy(&card, 3001), "VELOCITY_EXCEEDED");
            assert_eq!(desk.buy(&card, 3000), APPROVED);
            let there = desk.far.card_of(&card);
            assert_eq!(
                (&there["type"], &there["state"]),
                (&json!("VIRTUAL"), &json!("OPEN"))
            );
            assert_eq!(there["spend_limit"], 3000);
            assert_eq!(there["spend_limit_duration"], "TRANSACTION");
        } else {
            let there = desk.far.card_of(&card);
            assert_eq!(there["status"], "active");
            let limits = &there["spending_controls"]["spending_limits"];
            assert_eq!(
                *limits,
                json!([{"amount": "3000", "interval": "per_authorization"}])
            );
        }
        desk.far.is_content();
    }
}

/// Asks for a card under one key until it is there, as a patient caller would.
fn patiently(desk: &Desk, key: &str) -> Value {
    let body = json!({"customerId": desk.plane.customer}).to_string();
    let headers = format!("{}idempotency-key: {key}\r\n", bearer(&desk.plane.owner));
    for _ in 0..5 {
        let response = desk.plane.ask_with("POST", "/v1/cards", &headers, &body);
        if response.status != 503 {
            assert_eq!(response.status, 201, "{}", response.text());
            return value(&response);
        }
        assert!(response.header("retry-after").is_some());
    }
    panic!("no card after five requests");
}

#[test]
fn whatever_becomes_of_an_answer_an_order_is_one_card() {
    let faults = [
        Fault::DropsAfter,
        Fault::DropsBefore,
        Fault::SlowAfter,
        Fault::Fails,
        Fault::FailsAfter,
        Fault::Garbage,
        Fault::Limited,
    ];
    for speech in [Speech::Lithic, Speech::Stripe] {
        let desk = Desk::start(speech);
        for (at, fault) in faults.into_iter().enumerate() {
            // Twice in a row, so that the second try inside one request fails as well.
            for count in 1..=2 {
                let before = desk.far.cards().len();
                for _ in 0..count {
                    desk.far.fault(fault);
                }
                let card = patiently(&desk, &format!("key-{at}-{count}"));
                assert_eq!(
                    desk.far.cards().len(),
                    before + 1,
                    "{speech:?} {fault:?} {count}"
                );
                desk.far.card_of(&id(&card));
                desk.far.kept().faults.clear();
            }
        }
        desk.far.is_content();
    }
}

/// The first call may have made a card, whatever was said to the second.
#[test]
fn an_order_whose_outcome_is_unknown_stays_whatever_comes_after_it() {
    let desk = Desk::start(Speech::Lithic);
    desk.far.fault(Fault::DropsBefore);
    desk.far.fault(Fault::Limited);
    let body = json!({"customerId": desk.plane.customer});
    let answer = desk
        .plane
        .ask(&desk.plane.owner, "POST", "/v1/cards", &body);
    assert_eq!(code(&answer, 503), "issuer_unavailable");
    let rows = desk.plane.server().admin("/admin/outbox")["rows"].clone();
    let id = rows[0]["id"].as_str().unwrap();
    assert!(id.starts_with("order:"), "{rows}");
}

#[test]
fn what_is_stopped_while_its_successor_is_made_does_not_come_back_in_it() {
    let desk = Desk::start(Speech::Lithic);
    let card = desk.plane.card(&json!({}));
    desk.far.fault(Fault::SlowAfter);
    let path = format!("/v1/cards/{card}");
    let new = thread::scope(|scope| {
        let replaced = scope.spawn(|| {
            let path = format!("{path}/replace");
            desk.plane.owner_asks("POST", &path, &Value::Null, 201)
        });
        desk.until("the order", |far| far.seen("POST").len() == 2);
        let body = json!({"status": "locked"});
        desk.plane.owner_asks("PATCH", &path, &body, 200);
        replaced.join().unwrap()
    });
    assert_eq!(new["status"], "locked");
    assert_eq!(desk.buy(&id(&new), 100), "CARD_PAUSED");
    let state = |card: &str| desk.far.card_of(card)["state"].clone();
    desk.until("paused there", |_| state(&id(&new)) == "PAUSED");
}

#[test]
fn an_issuer_without_keys_is_looked_through_and_never_asked_twice_in_a_minute() {
    let desk = Desk::start(Speech::Privacy);
    let body = json!({"customerId": desk.plane.customer}).to_string();
    let ask = |key: &str| {
        let headers = format!("{}idempotency-key: {key}\r\n", bearer(&desk.plane.owner));
        desk.plane.ask_with("POST", "/v1/cards", &headers, &body)
    };
    // Made, and the answer lost: the list has it.
    desk.far.fault(Fault::DropsAfter);
    let made = ask("lost");
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(desk.far.cards().len(), 1);
    // Not made as far as the list shows: nothing is made again before a minute has passed.
    desk.far.fault(Fault::DropsBefore);
    for _ in 0..3 {
        assert_eq!(code(&ask("unknown"), 503), "issuer_unavailable");
    }
    assert_eq!(desk.far.seen("POST").len(), 2);
    // What was certainly not done is asked for again at once.
    desk.far.fault(Fault::Limited);
    let limited = ask("limited");
    assert_eq!(limited.header("retry-after"), Some("2"));
    assert_eq!(ask("limited").status, 201);
    desk.far.is_content();
}

#[test]
fn a_crash_after_the_order_leaves_no_second_card() {
    let mut desk = Desk::start(Speech::Lithic);
    desk.far.fault(Fault::SlowAfter);
    let body = json!({"customerId": desk.plane.customer}).to_string();
    let headers = format!("{}idempotency-key: crash\r\n", bearer(&desk.plane.owner));
    let request = crate::plane::request("POST", "/v1/cards", &headers, &body);
    let mut client = crate::server::Client::connect(desk.plane.listen());
    client.send(request.as_bytes());
    desk.until("the order is there", |far| !far.cards().is_empty());
    desk.plane.kill();
    desk.restart();
    let card = patiently(&desk, "crash");
    assert_eq!(desk.far.cards().len(), 1);
    desk.far.card_of(&id(&card));
    // It was found, and not asked for again.
    let asked = desk.far.seen("POST");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/v1/cards");
    assert_eq!(asked[0].key.as_ref().map(String::len), Some(36), "a UUID");
    assert_eq!(desk.buy(&id(&card), 100), APPROVED);
}

#[test]
fn what_the_issuer_refuses_is_told_and_kept_what_it_denies_is_neither() {
    let desk = Desk::start(Speech::Lithic);
    let body = json!({"customerId": desk.plane.customer}).to_string();
    let headers = format!("{}idempotency-key: no\r\n", bearer(&desk.plane.owner));
    desk.far.fault(Fault::Refuses);
    let refused = desk.plane.ask_with("POST", "/v1/cards", &headers, &body);
    assert_eq!(code(&refused, 422), "issuer_refused");
    assert_eq!(value(&refused)["detail"], "400 not this one");
    let again = desk.plane.ask_with("POST", "/v1/cards", &headers, &body);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(desk.far.cards().len(), 0);
}

#[test]
fn the_fence_is_never_tighter_than_ours_and_never_nothing() {
    let limit = |amount: u64, interval: &str| json!({"limits": {"amount": amount, "currency": "USD", "interval": interval}});
    let desk = Desk::start(Speech::Lithic);
    // A limit of 0 means "none" there: the card is paused instead.
    let there = |more: &Value| desk.far.card_of(&desk.plane.card(more));
    let nothing = there(&limit(0, "all_time"));
    assert_eq!(nothing["state"], "PAUSED");
    assert!(nothing.get("spend_limit").is_none());
    // Its month trails, ours is the calendar's; it has no day.
    for interval in ["monthly", "daily", "weekly"] {
        assert!(there(&limit(5000, interval)).get("spend_limit").is_none());
    }
    let life = there(&limit(5000, "all_time"));
    assert_eq!(
        (&life["spend_limit"], &life["spend_limit_duration"]),
        (&json!(5000), &json!("FOREVER"))
    );
    // A verification of nothing, or a probe, would close a SINGLE_USE card.
    let single = there(&json!({"usage": "single", "policy": {"probePolicy": "allow_one_probe"}}));
    assert_eq!(single["type"], "VIRTUAL");
    let locked = there(&json!({"status": "locked"}));
    assert_eq!(locked["state"], "PAUSED");
    desk.far.is_content();

    // Stripe's days are UTC's: where the customer's are not, the day is ours alone.
    let desk = Desk::start(Speech::Stripe);
    let limits = |card: &Value| card["spending_controls"]["spending_limits"].clone();
    let daily = desk.far.card_of(&desk.plane.card(&limit(5000, "daily")));
    assert_eq!(
        limits(&daily),
        json!([{"amount": "5000", "interval": "daily"}])
    );
    let body = json!({"timezone": "America/New_York"});
    let elsewhere = id(&desk.plane.owner_asks("POST", "/v1/customers", &body, 201));
    let mut card = limit(5000, "daily");
    card["customerId"] = json!(elsewhere);
    let card = id(&desk.plane.owner_asks("POST", "/v1/cards", &card, 201));
    assert!(desk.far.card_of(&card).get("spending_controls").is_none());
    desk.far.is_content();
}

#[test]
fn what_nobody_would_enforce_is_refused_unless_it_is_taken_so() {
    let desk = Desk::start(Speech::Privacy);
    let mut body = json!({
        "customerId": desk.plane.customer,
        "policy": {"limits": {"total": 5000, "perDay": 1000}, "allowedMccs": ["5812"]},
    });
    let refused = desk
        .plane
        .ask(&desk.plane.owner, "POST", "/v1/cards", &body);
    assert_eq!(code(&refused, 422), "not_enforced");
    let errors = value(&refused)["errors"].clone();
    let fields: Vec<&str> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["policy.allowedMccs", "policy.limits.perDay"]);
    assert_eq!(desk.far.cards().len(), 0);
    body["configuration"] = json!({"allowUnenforced": true});
    let card = id(&desk.plane.owner_asks("POST", "/v1/cards", &body, 201));
    let there = desk.far.card_of(&card);
    assert_eq!(
        (&there["spend_limit"], &there["spend_limit_duration"]),
        (&json!(5000), &json!("FOREVER"))
    );
    let shown = desk.plane.get(&format!("/v1/cards/{card}/policy"));
    assert_eq!(shown["unenforced"], json!(fields));
    let single = desk.plane.card(&json!({"usage": "single"}));
    assert_eq!(desk.far.card_of(&single)["type"], "SINGLE_USE");
    desk.far.is_content();
}

#[test]
fn a_number_comes_out_where_it_is_asked_for_alone() {
    use countersign::cold::issuers::IssuerClient as _;
    use countersign::cold::issuers::remote::RemoteClient;
    use countersign::cold::issuers::rules::Rules;
    use countersign::config::{CardMaker, CardsConfig, Reveal};
    use countersign::domain::time::Timestamp;
    use secrecy::{ExposeSecret as _, SecretString};

    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (speech, maker) in [
        (Speech::Lithic, CardMaker::Lithic),
        (Speech::Stripe, CardMaker::Stripe),
        (Speech::Privacy, CardMaker::Privacy),
    ] {
        let far = crate::far_side::FarSide::start(speech);
        let client = RemoteClient::new(CardsConfig {
            connection: "acme".to_owned(),
            maker,
            is_test: true,
            url: format!("http://{}", far.address),
            key: Some(SecretString::from(crate::far_side::KEY.to_owned())),
            account: Some("ich_1".to_owned()),
            program: None,
            product: None,
            timeout: std::time::Duration::from_secs(5),
            poll: None,
            reveal: Reveal::Off,
            reveals_to_agents: false,
        });
        let order = countersign::cold::issuers::CardOrder {
            key: "0123456789abcdef0123456789abcdef".to_owned(),
            card_id: "card_1".to_owned(),
            at: Timestamp::from_secs(1_780_000_000),
            rules: Rules {
                currency: "USD".to_owned(),
                ..Rules::default()
            },
            is_paused: false,
            shipping: None,
            aside: None,
            request: None,
        };
        let made = runtime.block_on(client.create(order)).unwrap();
        assert!(!format!("{made:?}").contains(crate::far_side::NUMBER));
        let revealed = runtime.block_on(client.reveal(made.token)).unwrap();
        assert_eq!(revealed.number.expose_secret(), crate::far_side::NUMBER);
        assert_eq!(revealed.cvv.expose_secret(), "987");
    }
}

#[test]
fn s15_what_an_issuer_shows_is_passed_on_where_it_is_switched_on_and_kept_nowhere() {
    let none = Desk::start(Speech::Lithic);
    let card = none.plane.card(&json!({}));
    let ask = |desk: &Desk, key: &str, card: &str| {
        let path = format!("/v1/cards/{card}/reveal");
        desk.plane.ask(key, "POST", &path, &Value::Null)
    };
    let refused = ask(&none, &none.plane.owner, &card);
    assert_eq!(code(&refused, 422), "not_supported");
    for speech in ALL {
        let mut desk = Desk::with(speech, "reveal = \"details\"\nkey = \"file:");
        let agent = desk.plane.agent(&json!({}));
        let agents = desk.plane.key(&json!({"scope": "agent", "agentId": agent}));
        let card = desk.plane.card(&json!({"agentId": agent}));
        let shown = ask(&desk, &desk.plane.owner, &card);
        assert_eq!(shown.status, 200, "{}", shown.text());
        assert_eq!(value(&shown)["number"], crate::far_side::NUMBER);
        assert_eq!(value(&shown)["cvv"], "987");
        let refused = ask(&desk, &agents, &card);
        assert_eq!(code(&refused, 403), "beyond_reach");
        desk.plane.kill();
        let leaks = crate::desk::files_with(desk.plane.home.path("."), crate::far_side::NUMBER);
        assert_eq!(leaks, [""; 0]);
    }
}

#[test]
fn no_number_that_an_issuer_shows_is_kept_or_told() {
    for speech in ALL {
        let mut desk = Desk::start(speech);
        let card = desk.plane.card(&json!({}));
        desk.plane.get(&format!("/v1/cards/{card}"));
        desk.plane.kill();
        let leaks = crate::desk::files_with(desk.plane.home.path("."), crate::far_side::NUMBER);
        assert_eq!(leaks, [""; 0]);
        let keys = crate::desk::files_with(desk.plane.home.path("data"), crate::far_side::KEY);
        assert_eq!(keys, [""; 0]);
    }
}
