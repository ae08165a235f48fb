//! Senders that are slow, or say nothing (behaviour 2.1, 11.4; G5). The time-outs are set to 400 ms.

use std::thread;
use std::time::Duration;

use crate::http::{CARD, Parts, assert_answers, assert_refused, home};
use crate::server::{Client, authorization, millis_since, now};

/// Sends the pieces with pauses until it is answered or cut off.
fn trickle(client: &mut Client, bytes: &[u8], pause: Duration) {
    for byte in bytes.chunks(1) {
        if !client.try_send(byte) || !client.is_silent_for(pause) {
            return;
        }
    }
}

const PAUSE: Duration = Duration::from_millis(20);

#[test]
fn g5_headers_that_come_slowly_are_a_408() {
    let home = home();
    let server = home.start();
    let request = authorization("slow", CARD, 100);
    // Cut off in the request line, in a header, before the empty line.
    for end in [1, 30, 100, 250] {
        let since = now();
        let mut client = server.client();
        client.send(&request[..end]);
        assert_refused("stalled headers", &client.response(), 408, "too_slow");
        assert!((300..5_000).contains(&millis_since(since)));
        assert!(client.is_closed());
    }
    let since = now();
    let mut client = server.client();
    trickle(&mut client, &request, PAUSE);
    assert_refused("trickling headers", &client.response(), 408, "too_slow");
    assert!((300..5_000).contains(&millis_since(since)));
    assert_answers(&server, "slow headers");
    assert!(server.terminate().success());
}

#[test]
fn g5_a_body_that_comes_slowly_is_a_408() {
    let home = home();
    let server = home.start();
    let whole = Parts::good("slow");
    let chunked = whole.clone().chunked(100);
    for parts in [whole, chunked] {
        for end in [0, 1, parts.body.len() - 1] {
            let since = now();
            let mut client = server.client();
            client.send(&[&parts.head(), &parts.body[..end]].concat());
            assert_refused("stalled body", &client.response(), 408, "too_slow");
            assert!((300..5_000).contains(&millis_since(since)));
            assert!(client.is_closed());
        }
        let mut client = server.client();
        client.send(&parts.head());
        trickle(&mut client, &parts.body, PAUSE);
        assert_refused("trickling body", &client.response(), 408, "too_slow");
    }
    assert_answers(&server, "slow bodies");
    assert!(server.terminate().success());
}

/// In pieces with pauses, but inside the time: as good as any.
#[test]
fn a_request_in_pieces_is_decided() {
    let home = home();
    let server = home.start();
    let request = authorization("pieces", CARD, 100);
    let mut client = server.client();
    for piece in request.chunks(request.len() / 8 + 1) {
        client.send(piece);
        thread::sleep(Duration::from_millis(10));
    }
    assert!(client.response().is_approval());
    assert!(server.terminate().success());
}

/// A sender that breaks off mid-body is told so if it still listens.
#[test]
fn a_body_that_breaks_off_is_a_400() {
    let home = home();
    let server = home.start();
    let parts = Parts::good("broken-off");
    for end in [0, 1, parts.body.len() - 1] {
        let mut client = server.client();
        client.send(&[&parts.head(), &parts.body[..end]].concat());
        client.finish_sending();
        assert_refused("broken off", &client.response(), 400, "body_incomplete");
        assert!(client.is_closed());
    }
    assert_answers(&server, "broken bodies");
    assert!(server.terminate().success());
}

/// Issuers keep connections between purchases. One that waits for its next request is not slow: it
/// hears nothing that it could take for the next answer, and stays open.
#[test]
fn a_connection_that_waits_for_its_next_request_is_left_alone() {
    let home = home();
    let server = home.start();
    let mut client = server.client();
    for n in 0..3 {
        let response = client.ask(&authorization(&format!("kept-{n}"), CARD, 100));
        assert!(response.is_approval());
        assert!(
            client.is_silent_for(Duration::from_millis(1_300)),
            "round {n}"
        );
    }
    // Slow headers on such a connection are slow all the same.
    client.send(b"POST /issuers/acme");
    assert_refused("after a while", &client.response(), 408, "too_slow");
    assert!(client.is_closed());
    assert!(server.terminate().success());
}

/// Whoever has not shown a signature is not waited for, and is told nothing: nothing was asked.
#[test]
fn g5_a_connection_that_says_nothing_is_closed() {
    let home = home();
    let server = home.start();
    let since = now();
    let mut silent = server.client();
    assert!(silent.is_closed());
    assert!((300..5_000).contains(&millis_since(since)));
    let mut stranger = server.client();
    let mut parts = Parts::good("stranger");
    parts.signature.clear();
    assert_eq!(stranger.ask(&parts.bytes()).status, 401);
    assert!(stranger.is_closed());
    assert!(server.terminate().success());
}

#[test]
fn g5_a_thousand_slow_connections_do_not_hold_up_the_others() {
    let home = home();
    let server = home.start();
    let begun = |_| {
        let mut client = server.client();
        client.send(b"POST /issuers/acme/authorizations HTTP/1.1\r\nhost: x\r\n");
        client
    };
    let slow: Vec<Client> = (0..1_000).map(begun).collect();
    for n in 0..50 {
        let since = now();
        let token = format!("beside-{n}");
        assert!(
            server
                .client()
                .ask(&authorization(&token, CARD, 100))
                .is_approval()
        );
        assert!(millis_since(since) < 2_000);
    }
    for mut client in slow {
        assert_eq!(client.response().status, 408);
    }
    assert!(server.terminate().success());
}

/// Whoever fills the listeners of people and operators and says nothing is gone after a while, and
/// whoever comes after him waits no longer than that. Issuers do not notice.
#[test]
fn g5_those_who_say_nothing_to_the_other_listeners_do_not_keep_them() {
    const SILENT: usize = 120;
    const GONE_MS: i64 = 5_000;
    let home = home();
    let server = home.start();
    let people = server.ready["listen"].as_str().unwrap();
    let people = people.strip_prefix("http://").unwrap().parse().unwrap();
    let since = now();
    let mut silent: Vec<Client> = Vec::new();
    for address in [people, server.ops] {
        silent.extend((0..SILENT).map(|_| Client::connect(address)));
    }
    silent[0].send(b"GET /healthz HTTP/1.1\r\n");
    assert_answers(&server, "beside the silent");
    assert!(millis_since(since) < GONE_MS, "issuers waited");
    for address in [people, server.ops] {
        let mut client = Client::connect(address);
        client.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(client.response().status, 200);
        // All that were there first had to go, or a place would not have been free.
        assert!(millis_since(since) >= GONE_MS - 500, "there was no limit");
    }
    assert!(silent.iter_mut().take(1).all(Client::is_closed));
    assert!(server.terminate().success());
}
