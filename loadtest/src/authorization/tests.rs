use std::collections::HashSet;

use serde_json::Value;

use super::{Press, Recipe};
use crate::http;
use crate::signature::Key;

fn key() -> Key {
    Key::from_secret("aDeFC3Zn55XB3PDD2zF0JP9cyrDHdV/18VOmkTcuyto=").unwrap()
}

/// Header values by name, and the body.
fn read(request: &[u8]) -> (Vec<(String, String)>, Value, Vec<u8>) {
    let message = http::message(request).unwrap().unwrap();
    assert!(message.rest.is_empty());
    let head = String::from_utf8(request[..request.len() - message.body.len()].to_vec()).unwrap();
    let headers = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    (
        headers,
        serde_json::from_slice(message.body).unwrap(),
        message.body.to_vec(),
    )
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    headers
        .iter()
        .find(|(candidate, _)| candidate == name)
        .map(|(_, value)| value)
        .unwrap()
}

#[test]
fn prints_signed_requests_of_the_documented_shape_and_size() {
    let key = key();
    let path = "/issuers/acme/authorizations";
    let recipe = Recipe {
        host: "127.0.0.1:1",
        path,
        key: &key,
        cards: &crate::fleet::card_tokens(50),
        seed: 3,
    };
    let press = Press::new(&recipe).unwrap();
    for index in 0..2_000 {
        let mut bytes = b"an earlier request".to_vec();
        let variables = press.sign(&recipe, index, &mut bytes).unwrap();
        press.write(&variables, &mut bytes).unwrap();
        let (headers, json, body) = read(&bytes);
        let text = std::str::from_utf8(&body).unwrap();
        assert!((2_500..3_000).contains(&body.len()), "{} bytes", body.len());
        assert!(
            !text.contains('@') && !text.contains("----"),
            "a marker is left in {text}"
        );
        assert_eq!(json["token"].as_str().unwrap().as_bytes(), variables.token);
        let amount = json["amounts"]["cardholder"]["amount"].as_i64().unwrap();
        assert!((1_000..10_000).contains(&amount));
        assert_eq!(json["amount"], amount);
        let signed = key.verifies(
            header(&headers, "webhook-id").as_bytes(),
            header(&headers, "webhook-timestamp").as_bytes(),
            header(&headers, "webhook-signature").as_bytes(),
            &body,
        );
        assert!(signed, "request {index} is not signed");
    }
}

#[test]
fn spreads_over_tokens_cards_merchants_and_mccs() {
    let key = key();
    let recipe = Recipe {
        host: "h",
        path: "/",
        key: &key,
        cards: &crate::fleet::card_tokens(50),
        seed: 3,
    };
    let press = Press::new(&recipe).unwrap();
    let [mut tokens, mut cards, mut merchants, mut mccs] = [const { Vec::new() }; 4];
    for index in 0..3_000 {
        let mut bytes = Vec::new();
        press.sign(&recipe, index, &mut bytes).unwrap();
        let (_, json, _) = read(&bytes);
        tokens.push(json["token"].to_string());
        cards.push(json["card"]["token"].to_string());
        merchants.push(json["merchant"]["acceptor_id"].to_string());
        mccs.push(json["merchant"]["mcc"].to_string());
    }
    let distinct = |values: &[String]| values.iter().collect::<HashSet<_>>().len();
    assert_eq!(distinct(&tokens), 3_000);
    assert_eq!(distinct(&cards), 50);
    assert_eq!(distinct(&merchants), 128);
    assert!(distinct(&mccs) >= 12);
}
