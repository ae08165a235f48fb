//! What happens to cards at their issuer comes back to us, and cards that it had before are taken over
//! (behaviour 3.7, 3.8).

use std::fs;

use serde_json::{Value, json};

use crate::desk::{APPROVED, Desk};
use crate::far_side::Speech;
use crate::plane::{code, request};
use crate::server::{now, signature};

#[test]
fn what_is_paused_or_closed_there_is_so_here() {
    for (speech, field, [open, paused, closed]) in [
        (Speech::Lithic, "state", ["OPEN", "PAUSED", "CLOSED"]),
        (Speech::Stripe, "status", ["active", "inactive", "canceled"]),
        (Speech::Privacy, "state", ["OPEN", "PAUSED", "CLOSED"]),
    ] {
        let desk = Desk::start(speech);
        // More than one page.
        let cards: Vec<String> = (0..3).map(|_| desk.plane.card(&json!({}))).collect();
        let card = &cards[2];
        desk.far.set(card, field, &json!(paused));
        desk.until_status(card, "locked");
        if speech == Speech::Lithic {
            assert_eq!(desk.buy(card, 100), "CARD_PAUSED");
        }
        desk.far.set(card, field, &json!(open));
        desk.until_status(card, "active");
        if speech == Speech::Lithic {
            assert_eq!(desk.buy(card, 100), APPROVED);
        }
        desk.far.set(card, field, &json!(closed));
        desk.until_status(card, "canceled");
        // Whose doing it was stands in the audit log, behind the ledger's word.
        desk.until("noted", |_| {
            let entries = desk.plane.get("/v1/audit")["data"].clone();
            let entries = entries.as_array().unwrap().iter().map(|it| &it["entry"]);
            let of_issuer =
                entries.filter(|it| it["who"]["kind"] == "issuer" && it["who"]["id"] == "acme");
            let outcomes: Vec<&Value> = of_issuer.map(|it| &it["outcome"]).collect();
            outcomes == ["locked", "active", "canceled"]
        });
        let path = format!("/v1/cards/{card}");
        let body = json!({"status": "active"});
        let refused = desk.plane.ask(&desk.plane.owner, "PATCH", &path, &body);
        assert_eq!(code(&refused, 409), "card_canceled");
        desk.until_status(&cards[0], "active");
        desk.far.is_content();
    }
}

#[test]
fn what_we_have_stopped_is_opened_there_by_nobody() {
    let desk = Desk::start(Speech::Lithic);
    let card = desk.plane.card(&json!({}));
    let state = || desk.far.card_of(&card)["state"].clone();
    let patch = |status: &str| {
        let body = json!({"status": status});
        desk.plane
            .owner_asks("PATCH", &format!("/v1/cards/{card}"), &body, 200);
    };
    patch("locked");
    desk.until("paused", |_| state() == "PAUSED");
    desk.far.set(&card, "state", &json!("OPEN"));
    desk.until("paused again", |_| state() == "PAUSED");
    desk.until_status(&card, "locked");
    // A card that its issuer has paused and that we stop as well stays stopped when it lets it go.
    patch("active");
    desk.until("open", |_| state() == "OPEN");
    desk.far.set(&card, "state", &json!("PAUSED"));
    desk.until_status(&card, "locked");
    patch("locked");
    desk.until("told", |_| {
        desk.plane.server().admin("/admin/outbox")["rows"] == json!([])
    });
    desk.far.set(&card, "state", &json!("OPEN"));
    desk.until("paused again", |_| state() == "PAUSED");
    desk.until_status(&card, "locked");
}

/// What an operator has locked is in the ledger alone, where no look at the issuer reaches.
#[test]
fn an_operators_lock_outlasts_a_pause_at_the_issuer() {
    let desk = Desk::start(Speech::Lithic);
    let (card, other) = (desk.plane.card(&json!({})), desk.plane.card(&json!({})));
    let path = format!("/admin/cards/{card}/lock");
    assert_eq!(desk.plane.server().post(&path).status, 200);
    // The other card tells that both were looked at.
    for (there, here) in [
        ("PAUSED", "locked"),
        ("OPEN", "active"),
        ("PAUSED", "locked"),
        ("OPEN", "active"),
    ] {
        desk.far.set(&card, "state", &json!(there));
        desk.far.set(&other, "state", &json!(there));
        desk.until_status(&other, here);
        desk.until_status(&card, "locked");
    }
    assert_eq!(desk.buy(&other, 100), APPROVED);
    assert_eq!(desk.buy(&card, 100), "CARD_PAUSED");
}

/// Looks once an hour by itself.
pub(crate) fn without_polling(desk: &mut Desk) {
    let path = desk.plane.home.path("plane.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("poll_s = 1", "poll_s = 3600")).unwrap();
    desk.plane.kill();
    desk.restart();
}

#[test]
fn an_event_about_a_card_is_looked_into_at_once() {
    let mut desk = Desk::start(Speech::Lithic);
    let card = desk.plane.card(&json!({}));
    without_polling(&mut desk);
    desk.until("the look at the start", |far| {
        far.seen("GET")
            .iter()
            .any(|it| it.path.contains("page_size"))
    });
    desk.far.set(&card, "state", &json!("PAUSED"));
    let body = json!({"event_type": "card.updated", "token": desk.far.token_of(&card)});
    let body = body.to_string();
    let id = format!("msg-{}", now().micros());
    let signed = signature("acme", &id, now(), body.as_bytes());
    let event = request("POST", "/issuers/acme/events", &signed, &body);
    let answer = desk.plane.server().client().ask(event.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("ignored"), "{}", answer.text());
    desk.until_status(&card, "locked");
    // It is kept, and in force a moment later.
    desk.until("in force", |_| desk.buy(&card, 100) == "CARD_PAUSED");
}

/// Cards that the issuer had before it was ours.
pub(crate) fn strangers(desk: &Desk) -> [Value; 3] {
    let card = |number: usize, state: &str| {
        json!({
            "token": format!("5a0f2c1e-9d34-4b7e-8f7c-{number:012}"), "state": state,
            "type": "VIRTUAL", "memo": "lunch", "last_four": format!("{number:04}"),
            "exp_month": "03", "exp_year": "2029", "pan": crate::far_side::NUMBER,
        })
    };
    let cards = [card(1, "OPEN"), card(2, "PAUSED"), card(3, "CLOSED")];
    desk.far.kept().cards.extend(cards.clone());
    cards
}

#[test]
fn cards_that_an_issuer_had_before_are_counted_and_taken_over_once() {
    let mut desk = Desk::start(Speech::Lithic);
    let ours = desk.plane.card(&json!({}));
    let [open, paused, _] = strangers(&desk);
    let buy = |desk: &Desk, card: &Value| desk.buy_with(card["token"].as_str().unwrap(), 100);
    assert_eq!(buy(&desk, &open), "CARD_PAUSED", "nobody knows it");
    desk.plane.kill();
    desk.restart();
    let log = desk.plane.home.path("stderr.log");
    desk.until("the count at the start", |_| {
        let log = fs::read_to_string(&log).unwrap();
        log.contains("cards that are not known here") && log.contains("unknown=2")
    });
    let body = json!({"customerId": desk.plane.customer});
    let path = "/v1/connections/acme/import";
    let dry = desk.plane.owner_asks("POST", path, &body, 200);
    let count = |outcome: &Value, field: &str| outcome[field].as_u64().unwrap();
    assert_eq!(dry["dryRun"], true);
    for (field, expected) in [
        ("found", 4),
        ("known", 1),
        ("passedOver", 1),
        ("imported", 2),
    ] {
        assert_eq!(count(&dry, field), expected, "{field}: {dry}");
    }
    assert!(dry["cards"][0]["id"].is_null());
    assert_eq!(
        desk.plane.get("/v1/cards")["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(buy(&desk, &open), "CARD_PAUSED");

    let (status, said) = desk.import(&["--apply"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("2 taken over"), "{said}");
    assert_eq!(
        buy(&desk, &open),
        APPROVED,
        "in force when the command has ended"
    );
    assert_eq!(buy(&desk, &paused), "CARD_PAUSED");
    let (_, said) = desk.import(&["--apply"]);
    assert!(said.contains("0 taken over"), "{said}");
    let all = desk.plane.get("/v1/cards")["data"].clone();
    assert_eq!(all.as_array().unwrap().len(), 3);
    // Those of one import are of one instant, in any order.
    let taken_over = |last4: &str| {
        let mut all = all.as_array().unwrap().iter();
        all.find(|it| it["last4"] == last4).unwrap().clone()
    };
    assert_eq!(taken_over("0001")["status"], "active");
    assert_eq!(taken_over("0002")["status"], "locked");
    assert!(all.as_array().unwrap().iter().any(|it| it["id"] == *ours));

    // The issuer's sum of such a card is not ours: a limit on its life is not sent.
    let card = taken_over("0001");
    let card = card["id"].as_str().unwrap();
    let body = json!({"limits": {"amount": 5000, "currency": "USD", "interval": "all_time"}});
    desk.plane
        .owner_asks("PATCH", &format!("/v1/cards/{card}"), &body, 200);
    desk.until("told", |_| {
        desk.plane.server().admin("/admin/outbox")["rows"] == json!([])
    });
    assert!(
        desk.far
            .cards()
            .iter()
            .all(|it| it["spend_limit_duration"] != "FOREVER")
    );
    desk.far.is_content();
}
