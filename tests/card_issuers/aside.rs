//! What a card could spend whose issuer never asks is set aside while it is good (behaviour 4.8).

use serde_json::{Value, json};

use crate::desk::Desk;
use crate::far_side::{Fault, Speech};
use crate::plane::{bearer, code, id, value};

/// An agent that may spend 100.00 in its life, and nothing on its cards but that.
struct Spender {
    desk: Desk,
    agent: String,
}

impl Spender {
    fn start() -> Self {
        let desk = Desk::start(Speech::Privacy);
        let agent = desk.plane.agent(&json!({"limits": {"total": 10_000}}));
        Self { desk, agent }
    }

    fn wanted(&self, cents: u64) -> Value {
        json!({
            "customerId": self.desk.plane.customer, "agentId": self.agent,
            "limits": {"amount": cents, "currency": "USD", "interval": "all_time"},
        })
    }

    fn card(&self, cents: u64) -> String {
        let made = self
            .desk
            .plane
            .owner_asks("POST", "/v1/cards", &self.wanted(cents), 201);
        id(&made)
    }

    fn is_refused(&self, method: &str, path: &str, body: &Value) {
        let plane = &self.desk.plane;
        let refused = plane.ask(&plane.owner, method, path, body);
        assert_eq!(code(&refused, 422), "no_room_for_card");
        let detail = value(&refused)["detail"].clone();
        assert!(detail.as_str().unwrap().contains("100.00 USD"), "{detail}");
    }

    fn spent(&self) -> Value {
        let path = format!("/v1/agents/{}/spending", self.agent);
        self.desk.plane.get(&path)["total_budget_spent"].clone()
    }

    fn until_spent(&self, amount: &str) {
        self.desk.until(amount, |_| self.spent() == amount);
    }

    /// A purchase on the card, of which the issuer tells nobody.
    fn buys(&self, card: &str, status: &str, authorized: u64, settled: u64) {
        let token = self.desk.far.token_of(card);
        let result = if status == "DECLINED" {
            "DECLINED"
        } else {
            "APPROVED"
        };
        self.desk.far.kept().transactions.push(json!({
            "token": "t", "card": {"token": token}, "status": status, "result": result,
            "amount": authorized, "authorization_amount": authorized, "settled_amount": settled,
        }));
    }

    fn cancel(&self, card: &str) {
        let path = format!("/v1/cards/{card}");
        self.desk.plane.owner_asks("DELETE", &path, &json!({}), 200);
    }
}

#[test]
fn what_a_card_could_spend_is_set_aside_and_what_it_did_not_comes_back() {
    let spender = Spender::start();
    let card = spender.card(6_000);
    assert_eq!(spender.spent(), "60.00");
    // Nobody would ask us about this one, so that there has to be room for all of it now.
    spender.is_refused("POST", "/v1/cards", &spender.wanted(4_100));
    assert_eq!(spender.desk.far.cards().len(), 1, "it was not ordered");
    let other = spender.card(4_000);
    assert_eq!(spender.spent(), "100.00");

    spender.buys(&card, "SETTLED", 1_000, 1_150);
    spender.buys(&card, "VOIDED", 500, 0);
    spender.buys(&card, "DECLINED", 900, 0);
    spender.buys(&other, "SETTLED", 100, 100);
    spender.cancel(&card);
    spender.until_spent("51.50");
    // One that is pending may come to more: nothing comes back before it is settled.
    spender.buys(&other, "PENDING", 100, 0);
    spender.cancel(&other);
    let last = spender.card(4_000);
    spender.cancel(&last);
    spender.until_spent("51.50");
    spender.desk.far.is_content();
}

#[test]
fn a_limit_is_raised_only_where_there_is_room_for_it() {
    let spender = Spender::start();
    let card = spender.card(6_000);
    let path = format!("/v1/cards/{card}");
    let limit = |cents: u64| json!({"limits": spender.wanted(cents)["limits"]});
    spender.is_refused("PATCH", &path, &limit(10_100));
    assert_eq!(spender.desk.plane.get(&path)["limits"]["amount"], 6_000);
    spender
        .desk
        .plane
        .owner_asks("PATCH", &path, &limit(9_000), 200);
    assert_eq!(spender.spent(), "90.00");
    // What was spent meanwhile is not known: nothing comes back before the card is over.
    spender
        .desk
        .plane
        .owner_asks("PATCH", &path, &limit(2_000), 200);
    spender
        .desk
        .plane
        .owner_asks("PATCH", &path, &limit(9_000), 200);
    assert_eq!(spender.spent(), "90.00");
    spender.buys(&card, "SETTLED", 7_000, 7_000);
    spender.cancel(&card);
    spender.until_spent("70.00");
}

/// An operator's word stands in the ledger; the row follows once the card is closed there.
#[test]
fn what_an_operator_cancels_comes_back_once_it_is_closed_there() {
    let spender = Spender::start();
    let card = spender.card(6_000);
    spender.buys(&card, "SETTLED", 1_000, 1_000);
    let canceled = format!("/admin/cards/{card}/cancel");
    let answer = spender.desk.plane.server().post(&canceled);
    assert_eq!(answer.status, 200, "{}", answer.text());
    spender.until_spent("10.00");
    assert_eq!(spender.desk.far.card_of(&card)["state"], "CLOSED");
    let page = spender.desk.plane.get("/v1/audit?limit=200");
    let entries = page["data"].as_array().unwrap().iter();
    let followed = |it: &&Value| it["action"] == "a card is here what it is there";
    let followed: Vec<&Value> = entries.map(|it| &it["entry"]).filter(followed).collect();
    let who: Vec<&Value> = followed.iter().map(|it| &it["who"]["kind"]).collect();
    assert_eq!(who, ["server"], "{followed:?}");
}

#[test]
fn what_is_set_aside_survives_a_crash_and_an_order_that_fails_gives_it_back() {
    let mut spender = Spender::start();
    spender.desk.far.fault(Fault::Refuses);
    let plane = &spender.desk.plane;
    let refused = plane.ask(&plane.owner, "POST", "/v1/cards", &spender.wanted(9_000));
    assert_eq!(code(&refused, 422), "issuer_refused");
    spender.until_spent("0.00");
    // Nobody could be asked, and what was set aside has come back: the same order once more is another.
    spender.desk.far.fault(Fault::Limited);
    let headers = format!("{}idempotency-key: limited\r\n", bearer(&plane.owner));
    let body = spender.wanted(3_000).to_string();
    let limited = plane.ask_with("POST", "/v1/cards", &headers, &body);
    assert_eq!(limited.status, 503, "{}", limited.text());
    spender.until_spent("0.00");
    let made = plane.ask_with("POST", "/v1/cards", &headers, &body);
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(spender.spent(), "30.00");
    spender.cancel(&id(&value(&made)));
    spender.until_spent("0.00");

    // The answer is lost: whoever comes back under the same key has one card, set aside once.
    spender.desk.far.fault(Fault::DropsAfter);
    let headers = format!("{}idempotency-key: again\r\n", bearer(&plane.owner));
    let body = spender.wanted(8_000).to_string();
    let mut made = plane.ask_with("POST", "/v1/cards", &headers, &body);
    while made.status == 503 {
        made = plane.ask_with("POST", "/v1/cards", &headers, &body);
    }
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(spender.spent(), "80.00");
    let card = id(&value(&made));
    spender.desk.plane.kill();
    spender.desk.restart();
    assert_eq!(spender.spent(), "80.00");
    // Before its issuer has closed the card, all of it may still be spent.
    for _ in 0..3 {
        spender.desk.far.fault(Fault::Fails);
    }
    spender.cancel(&card);
    let is_open = || spender.desk.far.card_of(&card)["state"] == "OPEN";
    spender.desk.until("looked at", |far| {
        let token = far.token_of(&card);
        far.seen("GET").iter().any(|it| it.path.ends_with(&token))
    });
    assert!(spender.spent() == "80.00" || !is_open());
    spender.until_spent("0.00");
    assert!(!is_open());
    assert_eq!(spender.desk.far.cards().len(), 2);
}

#[test]
fn cards_that_no_agent_uses_are_set_aside_at_their_customer() {
    let desk = Desk::start(Speech::Privacy);
    let plane = &desk.plane;
    let path = format!("/v1/customers/{}", plane.customer);
    let policy = json!({"policy": {"limits": {"total": 5_000}}});
    plane.owner_asks("PATCH", &path, &policy, 200);
    let card = |cents: u64, usage: &str| {
        json!({"customerId": plane.customer, "usage": usage,
            "limits": {"amount": cents, "currency": "USD", "interval": "per_authorization"}})
    };
    // Nothing caps the sum of these, so that nobody holds the customer's limit.
    let refused = plane.ask(&plane.owner, "POST", "/v1/cards", &card(4_000, "multi"));
    assert_eq!(code(&refused, 422), "not_enforced");
    assert_eq!(
        value(&refused)["errors"][0]["field"],
        "customer.policy.limits.total"
    );
    plane.owner_asks("POST", "/v1/cards", &card(4_000, "single"), 201);
    let refused = plane.ask(&plane.owner, "POST", "/v1/cards", &card(1_100, "single"));
    assert_eq!(code(&refused, 422), "no_room_for_card");
    plane.owner_asks("POST", "/v1/cards", &card(1_000, "single"), 201);
}
