//! kill -9 under load (C1, B1): whatever an issuer was told stands after the restart, and the
//! counters are the sum of it.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::alone;
use crate::load::{Asked, Load, redeliver};
use crate::server::{Client, Home, Server, SnapshotOf, authorization, now};

const KILLS: usize = 20;
const CLIENTS: usize = 24;
const WITH_REQUESTS_IN_FLIGHT: usize = 15;
/// One limit a level, each with room of its own above the one below.
const CARD_LIMIT: u64 = 1_000_000_000;
const AGENT_LIMIT: u64 = 2_000_000_000;
const CUSTOMER_LIMIT: u64 = 3_000_000_000;

/// One customer a kill: a card with a limit, a second one of the same agent, a third without agent.
fn snapshot() -> Value {
    let mut snapshot = SnapshotOf::default();
    let total = |limit: u64| json!({"limits": {"total": limit}});
    for kill in 0..KILLS {
        let [customer, agent] = [format!("cus-{kill}"), format!("agt-{kill}")];
        let [first, second, third] = cards(kill);
        snapshot.customer(&customer, &total(CUSTOMER_LIMIT));
        snapshot.agent(&agent, &customer, &total(AGENT_LIMIT));
        snapshot.card(&first, &customer, Some(&agent), &total(CARD_LIMIT));
        snapshot.card(&second, &customer, Some(&agent), &json!({}));
        snapshot.card(&third, &customer, None, &json!({}));
    }
    snapshot.build()
}

fn cards(kill: usize) -> [String; 3] {
    [0, 1, 2].map(|number| format!("card-{kill}-{number}"))
}

#[test]
fn c1_b1_what_was_read_before_a_kill_stands_after_it() {
    let _alone = alone();
    let mut home = Home::new("strict", &snapshot());
    let mut approved_before: Vec<Asked> = Vec::new();
    let (mut kills_in_flight, mut in_flight_in_all, mut unread_approvals) = (0, 0, 0);
    for kill in 0..KILLS {
        let durability = if kill % 2 == 0 { "strict" } else { "relaxed" };
        home.set_durability(durability);
        let mut server = Some(home.start());
        let load = Load {
            clients: CLIENTS,
            name: format!("kill-{kill}"),
            cards: cards(kill).to_vec(),
        };
        let mut killed_at = now();
        let address = server.as_ref().unwrap().issuer;
        let asked = load.run(address, |_| {
            // Some kills come before the first answers, some amid hundreds.
            thread::sleep(Duration::from_millis(5 + 13 * (kill as u64 % 10)));
            killed_at = now();
            server.take().unwrap().kill();
        });
        let asked = asked.concat();
        let (answered, unanswered): (Vec<_>, Vec<_>) =
            asked.into_iter().partition(|it| it.answer.is_some());
        assert!(answered.iter().all(Asked::is_approved), "{answered:?}");
        let in_flight = unanswered.iter().filter(|it| it.sent < killed_at).count();
        kills_in_flight += usize::from(in_flight > 0);
        in_flight_in_all += in_flight;

        let server = home.start();
        // Before anything is asked again: a lost approval would be approved anew, and look kept.
        let charged_to_customer = || {
            let card = server.admin(&format!("/admin/cards/{}", cards(kill)[2]));
            charged(&card, "customer")
        };
        let before = charged_to_customer();
        let read: u64 = answered.iter().map(|it| it.amount).sum();
        assert!(before >= read, "kill {kill}: {before} of {read} survived");
        assert_all_stand(&server, &answered);
        assert_eq!(charged_to_customer(), before, "kill {kill}: booked anew");
        // What had no answer gets one now, whichever it is; if it was booked before, once.
        let mut all = answered;
        let results = redeliver(server.issuer, &unanswered);
        let both = unanswered.into_iter().zip(results);
        let late: Vec<_> = both
            .filter(|(_, result)| result == "APPROVED")
            .map(|(it, _)| it)
            .collect();
        let late_sum: u64 = late.iter().map(|it| it.amount).sum();
        assert!(before <= read + late_sum, "kill {kill}: {before} of nobody");
        unread_approvals += usize::from(before > read);
        all.extend(late);
        assert_exact_room(&server, kill, &all);
        assert!(server.terminate().success());
        println!(
            "kill {kill} ({durability}): {} approved, {in_flight} in flight",
            all.len()
        );
        approved_before.extend(all);
    }
    println!(
        "{kills_in_flight} of {KILLS} kills had requests in flight, {in_flight_in_all} in all; \
         after {unread_approvals} there were approvals that nobody had read"
    );
    assert!(kills_in_flight >= WITH_REQUESTS_IN_FLIGHT);

    // Twenty kills later all of it is known still.
    let server = home.start();
    let tokens: BTreeSet<_> = approved_before.iter().map(|it| &it.token).collect();
    assert_eq!(tokens.len(), approved_before.len());
    assert_all_stand(&server, &approved_before);
    assert!(server.terminate().success());
}

/// Each is approved again.
fn assert_all_stand(server: &Server, approved: &[Asked]) {
    let results = redeliver(server.issuer, approved);
    for (it, result) in approved.iter().zip(results) {
        assert_eq!(result, "APPROVED", "{it:?}");
    }
}

fn charged(card: &Value, level: &str) -> u64 {
    let limits = card["limits"].as_array().unwrap();
    let limit = limits.iter().find(|it| it["level"] == level);
    let limit = limit.unwrap_or_else(|| panic!("no limit of the {level}: {card}"));
    limit["spent"].as_u64().unwrap()
}

/// The counters are the sum of the approvals, at every level: as operators see them, and as the
/// exact room that is left lets one more pass and nothing beyond it.
fn assert_exact_room(server: &Server, kill: usize, approved: &[Asked]) {
    let cards = cards(kill);
    let sum = |card: &String| -> u64 {
        let of_card = approved.iter().filter(|it| it.card == *card);
        of_card.map(|it| it.amount).sum()
    };
    let [first, second, third] = [0, 1, 2].map(|number: usize| sum(&cards[number]));
    let shown = server.admin(&format!("/admin/cards/{}", cards[0]));
    assert_eq!(charged(&shown, "card"), first, "kill {kill}: {shown}");
    assert_eq!(
        charged(&shown, "agent"),
        first + second,
        "kill {kill}: {shown}"
    );
    assert_eq!(
        charged(&shown, "customer"),
        first + second + third,
        "kill {kill}: {shown}"
    );

    let mut client = server.client();
    let room = [
        CARD_LIMIT - first,
        AGENT_LIMIT - CARD_LIMIT - second,
        CUSTOMER_LIMIT - AGENT_LIMIT - third,
    ];
    for (card, room) in cards.iter().zip(room) {
        let mut probe = |what: &str, amount: u64| {
            let token = format!("{what}-{card}");
            client_ask(&mut client, &token, card, amount)
        };
        assert_eq!(probe("over", room + 1), "INSUFFICIENT_FUNDS", "{card}");
        assert_eq!(probe("room", room), "APPROVED", "{card}");
        assert_eq!(probe("more", 1), "INSUFFICIENT_FUNDS", "{card}");
    }
}

fn client_ask(client: &mut Client, token: &str, card: &str, amount: u64) -> String {
    client.ask(&authorization(token, card, amount)).result()
}
