//! Many clients at once, each with a connection of its own and one request under way at a time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use countersign::domain::time::Timestamp;

use crate::server::{Client, authorization, now};

/// One authorization as a client saw it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) token: String,
    pub(crate) card: String,
    pub(crate) amount: u64,
    /// After the last byte was handed to the kernel.
    pub(crate) sent: Timestamp,
    /// What Lithic would have read, and when; absent where the connection ended first.
    pub(crate) answer: Option<(Timestamp, String)>,
}

impl Asked {
    pub(crate) fn is_approved(&self) -> bool {
        self.answer.as_ref().is_some_and(|(_, it)| it == "APPROVED")
    }

    pub(crate) fn request(&self) -> Vec<u8> {
        authorization(&self.token, &self.card, self.amount)
    }
}

/// Clients that run until the server is gone or they are told to stop.
pub(crate) struct Load {
    pub(crate) clients: usize,
    /// Distinguishes the authorizations of this load from those of another.
    pub(crate) name: String,
    /// The cards that the clients use in turn.
    pub(crate) cards: Vec<String>,
}

impl Load {
    /// Runs the load beside `disturb`, which gets the flag that stops the clients. Everything that
    /// was asked, client by client.
    pub(crate) fn run(
        &self,
        address: SocketAddr,
        disturb: impl FnOnce(&AtomicBool),
    ) -> Vec<Vec<Asked>> {
        self.run_and_tell_addresses(address, disturb)
            .into_values()
            .collect()
    }

    /// The same, by the addresses of the clients.
    pub(crate) fn run_and_tell_addresses(
        &self,
        address: SocketAddr,
        disturb: impl FnOnce(&AtomicBool),
    ) -> BTreeMap<SocketAddr, Vec<Asked>> {
        let stop = AtomicBool::new(false);
        let all_connected = Barrier::new(self.clients + 1);
        thread::scope(|scope| {
            let clients: Vec<_> = (0..self.clients)
                .map(|number| {
                    let (stop, all_connected) = (&stop, &all_connected);
                    scope.spawn(move || {
                        let client = Client::connect(address);
                        let local = client.local();
                        all_connected.wait();
                        (local, self.one_client(client, number, stop))
                    })
                })
                .collect();
            all_connected.wait();
            disturb(&stop);
            let joined = clients.into_iter().map(|client| client.join().unwrap());
            joined.collect()
        })
    }

    fn one_client(&self, mut client: Client, number: usize, stop: &AtomicBool) -> Vec<Asked> {
        let mut all = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let at = all.len();
            let mut asked = Asked {
                // The end is marked, so that no token is the beginning of another.
                token: format!("{}-{number}-{at}_", self.name),
                card: self.cards[(number + at) % self.cards.len()].clone(),
                amount: 100 + (at % 97) as u64,
                sent: now(),
                answer: None,
            };
            if !client.try_send(&asked.request()) {
                all.push(asked);
                break;
            }
            asked.sent = now();
            let response = client.try_response();
            asked.answer = response.as_ref().map(|it| (now(), it.result()));
            all.push(asked);
            let closes = |it: &crate::server::Response| it.header("connection") == Some("close");
            if response.as_ref().is_none_or(closes) {
                break;
            }
        }
        all
    }
}

/// Asks all of it again, over several connections; the results in the same order.
pub(crate) fn redeliver(address: SocketAddr, asked: &[Asked]) -> Vec<String> {
    const CONNECTIONS: usize = 16;
    let share = asked.len().div_ceil(CONNECTIONS).max(1);
    thread::scope(|scope| {
        let running: Vec<_> = asked
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    let ask = |it: &Asked| client.ask(&it.request()).result();
                    part.iter().map(ask).collect::<Vec<String>>()
                })
            })
            .collect();
        running
            .into_iter()
            .flat_map(|it| it.join().unwrap())
            .collect()
    })
}
