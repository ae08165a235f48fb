//! Clients released together, each on a connection of its own (A1, A2, A4).

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};

use crate::alone;
use crate::server::{Client, Home, Server, SnapshotOf, delivery, millis_since, now, purchase};

const LEVELS: [&str; 2] = ["strict", "relaxed"];
const CLIENTS: usize = 64;
const ROUNDS: usize = 200;
const ROOM: u64 = 4;
const AMOUNT: u64 = 2_500;
/// Cards that an agent or a customer has in a race.
const CARDS: usize = 8;
/// All windows and the lifetime take their turns.
const FIELDS: [&str; 4] = ["total", "perDay", "perWeek", "perMonth"];

/// Sends every round's requests, one of each client, released together; the results by round.
/// `request` says what a client sends in a round.
fn race(
    server: &Server,
    clients: usize,
    rounds: usize,
    request: impl Fn(usize, usize) -> Vec<u8> + Sync,
) -> Vec<Vec<String>> {
    let barrier = Barrier::new(clients);
    let by_client: Vec<Vec<String>> = thread::scope(|scope| {
        let running: Vec<_> = (0..clients)
            .map(|number| {
                let (barrier, request) = (&barrier, &request);
                let mut client = server.client();
                scope.spawn(move || {
                    let one = |round| {
                        let bytes = request(round, number);
                        barrier.wait();
                        client.ask(&bytes).result()
                    };
                    (0..rounds).map(one).collect::<Vec<String>>()
                })
            })
            .collect();
        running.into_iter().map(|it| it.join().unwrap()).collect()
    });
    (0..rounds)
        .map(|round| by_client.iter().map(|it| it[round].clone()).collect())
        .collect()
}

fn count(results: &[String], wanted: &str) -> usize {
    results.iter().filter(|it| *it == wanted).count()
}

fn limits(round: usize) -> Value {
    json!({"limits": {FIELDS[round % FIELDS.len()]: ROOM * AMOUNT}})
}

/// The names that the races at one level use.
fn add_level(snapshot: &mut SnapshotOf, level: &str, round: usize) {
    let name = format!("{level}-{round}");
    let nothing = || json!({});
    match level {
        "card" => {
            snapshot.customer(&name, &nothing());
            snapshot.card(&format!("{name}-0"), &name, None, &limits(round));
        }
        "agent" => {
            snapshot.customer(&name, &nothing());
            snapshot.agent(&name, &name, &limits(round));
            for card in 0..CARDS {
                snapshot.card(&format!("{name}-{card}"), &name, Some(&name), &nothing());
            }
        }
        _ => {
            snapshot.customer(&name, &limits(round));
            for agent in 0..2 {
                snapshot.agent(&format!("{name}-{agent}"), &name, &nothing());
            }
            for card in 0..CARDS {
                // With one agent, with the other, with none.
                let agent = (card % 3 < 2).then(|| format!("{name}-{}", card % 3));
                let card = format!("{name}-{card}");
                snapshot.card(&card, &name, agent.as_deref(), &nothing());
            }
        }
    }
}

#[test]
fn a1_of_64_racing_for_room_for_4_exactly_4_are_approved() {
    let _alone = alone();
    let levels = [("card", 1), ("agent", CARDS), ("customer", CARDS)];
    let mut snapshot = SnapshotOf::default();
    for (level, _) in levels {
        (0..ROUNDS).for_each(|round| add_level(&mut snapshot, level, round));
    }
    let snapshot = snapshot.build();
    for durability in LEVELS {
        let home = Home::new(durability, &snapshot);
        let server = home.start();
        for (level, cards) in levels {
            let since = now();
            let rounds = race(&server, CLIENTS, ROUNDS, |round, client| {
                let card = format!("{level}-{round}-{}", client % cards);
                let token = format!("{level}-{round}-by-{client}");
                delivery(&token, purchase(&token, &card, AMOUNT).as_bytes())
            });
            let mut exact = 0;
            for (round, results) in rounds.iter().enumerate() {
                let approved = count(results, "APPROVED");
                let declined = count(results, "INSUFFICIENT_FUNDS");
                assert_eq!(approved + declined, CLIENTS, "{level} {round}: {results:?}");
                assert_eq!(approved as u64, ROOM, "{durability} {level} {round}");
                exact += 1;
                if round % 40 == 0 {
                    assert_full(&server, level, round);
                }
            }
            let took = millis_since(since);
            println!("{durability}, {level}: {exact} rounds, 4 of {CLIENTS} each, {took} ms");
        }
        assert!(server.terminate().success());
    }
}

/// What the operators see: the whole limit is charged, nothing is left, nothing below zero.
fn assert_full(server: &Server, level: &str, round: usize) {
    let card = server.admin(&format!("/admin/cards/{level}-{round}-0"));
    let limit = card["limits"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["level"] == level && it["limit"] == ROOM * AMOUNT);
    let limit = limit.unwrap_or_else(|| panic!("{card}"));
    assert_eq!(limit["spent"], ROOM * AMOUNT, "{card}");
    assert_eq!(limit["remaining"], 0, "{card}");
}

#[test]
fn a2_of_64_racing_on_a_single_use_card_exactly_one_is_approved() {
    let _alone = alone();
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    (0..ROUNDS).for_each(|round| snapshot.single_use_card(&format!("once-{round}"), "cus"));
    let snapshot = snapshot.build();
    for durability in LEVELS {
        let home = Home::new(durability, &snapshot);
        let server = home.start();
        let rounds = race(&server, CLIENTS, ROUNDS, |round, client| {
            let token = format!("once-{round}-by-{client}");
            let body = purchase(&token, &format!("once-{round}"), AMOUNT);
            delivery(&token, body.as_bytes())
        });
        for (round, results) in rounds.iter().enumerate() {
            assert_eq!(count(results, "APPROVED"), 1, "{durability} {round}");
            assert_eq!(
                count(results, "VELOCITY_EXCEEDED"),
                CLIENTS - 1,
                "{results:?}"
            );
        }
        let card = server.admin("/admin/cards/once-0");
        assert!(card["singleUseConsumedAt"].is_string(), "{card}");
        assert!(server.terminate().success());
    }
}

/// All are sent but for the last byte, which then goes out to all from a few threads at once.
#[test]
fn a2_of_1_000_at_once_on_a_single_use_card_exactly_one_is_approved() {
    const CONNECTIONS: usize = 1_000;
    const THREADS: usize = 8;
    let _alone = alone();
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.single_use_card("once", "cus");
    let snapshot = snapshot.build();
    for durability in LEVELS {
        let home = Home::new(durability, &snapshot);
        let server = home.start();
        let barrier = Barrier::new(THREADS);
        let results: Vec<String> = thread::scope(|scope| {
            let running: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (server, barrier) = (&server, &barrier);
                    scope.spawn(move || {
                        let mut waiting = Vec::new();
                        for number in 0..CONNECTIONS / THREADS {
                            let token = format!("{thread}-{number}");
                            let body = purchase(&token, "once", AMOUNT);
                            let request = delivery(&token, body.as_bytes());
                            let (last, most) = request.split_last().unwrap();
                            let mut client = server.client();
                            client.send(most);
                            waiting.push((client, *last));
                        }
                        barrier.wait();
                        for (client, last) in &mut waiting {
                            client.send(&[*last]);
                        }
                        let answer = |(mut client, _): (Client, u8)| client.response().result();
                        waiting.into_iter().map(answer).collect::<Vec<_>>()
                    })
                })
                .collect();
            running
                .into_iter()
                .flat_map(|it| it.join().unwrap())
                .collect()
        });
        assert_eq!(count(&results, "APPROVED"), 1, "{durability}");
        assert_eq!(count(&results, "VELOCITY_EXCEEDED"), CONNECTIONS - 1);
        assert!(server.terminate().success());
    }
}

/// The same authorization from all sides at once: by the same delivery, or each by its own. All get
/// one decision, and it is booked once.
#[test]
fn a4_one_authorization_on_several_connections_at_once_is_reserved_once() {
    const TWINS: usize = 2;
    let _alone = alone();
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    for round in 0..ROUNDS {
        let policy = json!({"limits": {"total": 2 * AMOUNT}});
        snapshot.card(&format!("twin-{round}"), "cus", None, &policy);
    }
    let snapshot = snapshot.build();
    for durability in LEVELS {
        let home = Home::new(durability, &snapshot);
        let server = home.start();
        // The third round has no room left.
        for (nth, expected) in ["APPROVED", "APPROVED", "INSUFFICIENT_FUNDS"]
            .iter()
            .enumerate()
        {
            let rounds = race(&server, TWINS, ROUNDS, |round, client| {
                let token = format!("twin-{round}-{nth}");
                let body = purchase(&token, &format!("twin-{round}"), AMOUNT);
                let own = format!("{token}-{client}");
                let id = if round % 2 == 0 { &token } else { &own };
                delivery(id, body.as_bytes())
            });
            for (round, results) in rounds.iter().enumerate() {
                assert_eq!(
                    count(results, expected),
                    TWINS,
                    "{durability} {nth} {round}: {results:?}"
                );
            }
        }
        for round in (0..ROUNDS).step_by(20) {
            let card = server.admin(&format!("/admin/cards/twin-{round}"));
            assert_eq!(card["limits"][0]["spent"], 2 * AMOUNT, "{card}");
        }
        assert!(server.terminate().success());
    }
}

/// One authorization belongs to one card: of two customers who are asked for it at once one is the
/// first, and the other's question contradicts it.
#[test]
fn b4_one_authorization_for_the_cards_of_two_customers_is_approved_once() {
    const SIDES: usize = 2;
    let _alone = alone();
    let mut snapshot = SnapshotOf::default();
    for side in 0..SIDES {
        snapshot.customer(&format!("cus-{side}"), &json!({}));
        for round in 0..ROUNDS {
            let card = format!("side-{side}-{round}");
            snapshot.card(&card, &format!("cus-{side}"), None, &json!({}));
        }
    }
    let home = Home::new("relaxed", &snapshot.build());
    let server = home.start();
    let rounds = race(&server, SIDES, ROUNDS, |round, side| {
        let body = purchase(
            &format!("both-{round}"),
            &format!("side-{side}-{round}"),
            AMOUNT,
        );
        delivery(&format!("both-{round}-{side}"), body.as_bytes())
    });
    for (round, results) in rounds.iter().enumerate() {
        assert_eq!(count(results, "APPROVED"), 1, "{round}: {results:?}");
    }
    assert!(server.terminate().success());
}
