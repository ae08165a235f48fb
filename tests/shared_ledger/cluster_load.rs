//! Clients that ask both nodes for every customer of a cluster, and what they were told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use countersign::domain::time::Timestamp;

use super::AMOUNT;
use super::cluster::CUSTOMERS;
use crate::server::{Server, authorization, millis_since, now};

/// Clients, half of them at each node.
const CLIENTS: usize = 6;

/// Asks both nodes at once for every customer, each so often; how much each customer was approved.
pub(super) fn race(nodes: &[Server; 2], name: &str, each: u64) -> Vec<u64> {
    thread::scope(|scope| {
        let asking: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let node = &nodes[number % 2];
                scope.spawn(move || {
                    let mut client = node.client();
                    let mut approved = vec![0; CUSTOMERS];
                    for round in 0..each {
                        for (customer, approved) in approved.iter_mut().enumerate() {
                            if (customer + usize::try_from(round).unwrap()) % CLIENTS / 2
                                != number / 2
                            {
                                continue;
                            }
                            let token = format!("{name}-{number}-{customer}-{round}");
                            let card = format!("card-{customer}");
                            let asked = authorization(&token, &card, AMOUNT);
                            *approved += u64::from(client.ask(&asked).is_approval());
                        }
                    }
                    approved
                })
            })
            .collect();
        let mut sum = vec![0; CUSTOMERS];
        for one in asking {
            let approved = one.join().unwrap();
            sum.iter_mut()
                .zip(approved)
                .for_each(|(sum, it)| *sum += it);
        }
        sum
    })
}

/// What came of one customer's authorizations.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) approved: u64,
    pub(super) declined: u64,
    /// The longest time in which nothing was approved, in milliseconds.
    pub(super) longest_ms: i64,
}

/// Asks for every customer until `meanwhile` has ended, on both nodes in turn.
pub(super) fn while_it_lasts<T>(
    nodes: &[Server; 2],
    name: &str,
    meanwhile: impl FnOnce() -> T,
) -> (T, Vec<Told>) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let is_over = &is_over;
                scope.spawn(move || {
                    let mut clients = nodes.each_ref().map(Server::client);
                    let mut told = vec![Told::default(); CUSTOMERS];
                    let mut last = [now(); CUSTOMERS];
                    let mut round = 0;
                    while !is_over.load(Ordering::SeqCst) {
                        for customer in (number..CUSTOMERS).step_by(CLIENTS) {
                            let token = format!("{name}-{customer}-{round}");
                            let card = format!("card-{customer}");
                            let asked = authorization(&token, &card, AMOUNT);
                            let is_approved = clients[round % 2].ask(&asked).is_approval();
                            counts(&mut told[customer], &mut last[customer], is_approved);
                        }
                        round += 1;
                    }
                    told
                })
            })
            .collect();
        let done = meanwhile();
        is_over.store(true, Ordering::SeqCst);
        let mut all = vec![Told::default(); CUSTOMERS];
        for (number, one) in asking.into_iter().enumerate() {
            let told = one.join().unwrap();
            for customer in (number..CUSTOMERS).step_by(CLIENTS) {
                all[customer] = told[customer].clone();
            }
        }
        (done, all)
    })
}

fn counts(told: &mut Told, last: &mut Timestamp, is_approved: bool) {
    if is_approved {
        told.approved += 1;
        told.longest_ms = told.longest_ms.max(millis_since(*last));
        *last = now();
    } else {
        told.declined += 1;
    }
}
