//! Agents that are paused ask to be at work (behaviour 4.4).

use std::thread;

use serde_json::{Value, json};

use crate::plane::{Plane, code, id, value};
use crate::webhooks::{HERE, Receiver, plane as plane_with};

const APPROVED: &str = "APPROVED";
const PATH: &str = "/v1/access-requests";

/// An agent with its key and a card of its own.
struct Paused {
    plane: Plane,
    agent: String,
    key: String,
    card: String,
}

impl Paused {
    fn start() -> Self {
        Self::on(Plane::start())
    }

    fn on(plane: Plane) -> Self {
        let agent = plane.agent(&json!({}));
        let key = plane.key(&json!({"scope": "agent", "agentId": agent}));
        let card = plane.card(&json!({"agentId": agent}));
        let paused = Self {
            plane,
            agent,
            key,
            card,
        };
        paused.is_now("paused");
        paused
    }

    fn is_now(&self, status: &str) {
        let path = format!("/v1/agents/{}", self.agent);
        let body = json!({"status": status});
        self.plane.owner_asks("PATCH", &path, &body, 200);
    }

    fn asks(&self, reason: &str) -> crate::server::Response {
        let body = json!({"reason": reason});
        self.plane.ask(&self.key, "POST", PATH, &body)
    }

    fn decided(&self, request: &str, word: &str, body: &Value, status: u16) -> Value {
        let path = format!("{PATH}/{request}/{word}");
        self.plane.owner_asks("POST", &path, body, status)
    }
}

#[test]
fn a_paused_agent_asks_to_be_at_work_and_an_owner_decides_once() {
    let mut world = Paused::start();
    assert_ne!(world.plane.buy(&world.card, 100), APPROVED);
    let long = "x".repeat(1001);
    for reason in ["", " \n", long.as_str(), "a\u{7}b"] {
        assert_eq!(code(&world.asks(reason), 400), "invalid_request");
    }
    let asked = world.asks("to book the train");
    assert_eq!(asked.status, 201, "{}", asked.text());
    let request = id(&value(&asked));
    // Another one is the same as long as it waits, over a crash too.
    world.plane.kill();
    world.plane.restart();
    let again = world.asks("please");
    assert_eq!((again.status, id(&value(&again))), (200, request.clone()));
    assert_eq!(value(&again)["reason"], "to book the train");
    let refused = world.decided(&request, "refuse", &json!({"note": "not today"}), 200);
    assert_eq!(refused["status"], "refused");
    let seen = world.plane.ask(
        &world.key,
        "GET",
        &format!("{PATH}/{request}"),
        &Value::Null,
    );
    assert_eq!(value(&seen)["note"], "not today");
    assert_ne!(world.plane.buy(&world.card, 100), APPROVED);
    let late = world.decided(&request, "grant", &json!({}), 409);
    assert_eq!(late["code"], "access_decided");
    assert_ne!(world.plane.buy(&world.card, 100), APPROVED);
    // The next one is another one, and in force when the call returns.
    let next = id(&value(&world.asks("tomorrow then")));
    assert_ne!(next, request);
    let granted = world.decided(&next, "grant", &json!({}), 200);
    assert_eq!(granted["status"], "granted");
    assert_eq!(world.plane.buy(&world.card, 100), APPROVED);
    let agent = world.plane.get(&format!("/v1/agents/{}", world.agent));
    assert_eq!(agent["status"], "active");
    assert_eq!(code(&world.asks("more"), 409), "agent_active");
    // What an owner does by other ways settles the one that waits.
    world.is_now("paused");
    let third = id(&value(&world.asks("again")));
    world.is_now("active");
    let settled = world.plane.get(&format!("{PATH}/{third}"));
    assert_eq!(settled["status"], "granted");
    world.is_now("paused");
    assert_ne!(id(&value(&world.asks("once more"))), third);
    world.is_now("active");
    let listed = world.plane.get(&format!("{PATH}?limit=4"));
    let states = listed["data"].as_array().unwrap().iter();
    let states: Vec<_> = states.map(|row| row["status"].clone()).collect();
    assert_eq!(states[2..], ["granted", "refused"], "newest first");
    world.is_now("disabled");
    assert_eq!(code(&world.asks("and now?"), 409), "agent_disabled");
}

#[test]
fn of_two_who_decide_on_access_one_does() {
    let world = Paused::start();
    let request = id(&value(&world.asks("to work")));
    let said: Vec<u16> = thread::scope(|scope| {
        let words = ["grant", "refuse"].repeat(4);
        let asking: Vec<_> = words
            .into_iter()
            .map(|word| {
                let (plane, path) = (&world.plane, format!("{PATH}/{request}/{word}"));
                scope.spawn(move || plane.ask(&plane.owner, "POST", &path, &json!({})).status)
            })
            .collect();
        asking.into_iter().map(|it| it.join().unwrap()).collect()
    });
    assert_eq!(said.iter().filter(|it| **it == 200).count(), 1, "{said:?}");
    assert!(said.iter().all(|it| [200, 409].contains(it)), "{said:?}");
    let ended = world.plane.get(&format!("{PATH}/{request}"))["status"].clone();
    let approves = world.plane.buy(&world.card, 100) == APPROVED;
    assert_eq!(approves, ended == "granted");
}

/// Who asks in other words within the hour is told of the request that waits; later the new words stand
/// in their place, and owners hear of them.
#[test]
fn a_request_that_has_waited_for_an_hour_takes_new_words() {
    let receiver = Receiver::start();
    let world = Paused::on(plane_with(HERE, &["--sandbox-clock"]));
    let hook = json!({"url": receiver.url(), "events": ["access.requested"]});
    world.plane.owner_asks("POST", "/v1/webhooks", &hook, 201);
    let first = value(&world.asks("to book"));
    assert_eq!(value(&world.asks("to sell"))["reason"], "to book");
    world.plane.advance(3_601);
    let renewed = value(&world.asks("to sell"));
    assert_eq!(
        (&renewed["id"], &renewed["reason"]),
        (&first["id"], &json!("to sell"))
    );
    let came = receiver.until("both", |came| came.len() == 2);
    let told = came
        .iter()
        .map(|it| it.event()["data"]["saidByAgent"]["reason"].clone());
    assert_eq!(told.collect::<Vec<_>>(), ["to book", "to sell"]);
}
