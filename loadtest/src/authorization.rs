//! Lithic authorization requests, whole HTTP messages, signed, with every field realistic.
//!
//! One text per merchant is rendered once. What differs from request to request has a fixed width,
//! is made and signed before the clock starts (about 170 bytes each), and is patched into a copy of
//! the text when the request is sent. Whole prebuilt messages were tried first: at 3 KB each, the
//! page faults of a few million of them took longer than the run, and reading them from memory that
//! no cache holds cost the generator as much as the patching does.

mod merchant;
mod template;

use crate::clock;
use crate::error::Error;
use crate::ids::{self, Domain, UUID_SIZE};
use crate::signature::{Key, SIGNATURE_SIZE};
use template::{AMOUNT_SIZE, Constants, RISK_SIZE, Template};

/// The amounts asked for, in minor units: four digits each.
const AMOUNT_MINOR: std::ops::Range<u64> = 1_000..10_000;
/// Scores of the network (0–999) that no sensible policy declines: three digits each.
const RISK_SCORE: std::ops::Range<u64> = 100..600;

/// Where the requests go and how they are told apart.
pub(crate) struct Recipe<'a> {
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    pub(crate) key: &'a Key,
    /// The issuer's tokens of the cards that are used.
    pub(crate) cards: &'a [[u8; UUID_SIZE]],
    pub(crate) seed: u64,
}

/// What one request has of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variables {
    template: usize,
    pub(crate) token: [u8; UUID_SIZE],
    webhook_id: [u8; UUID_SIZE],
    card: [u8; UUID_SIZE],
    signature: [u8; SIGNATURE_SIZE],
    amount: [u8; AMOUNT_SIZE],
    risk_score: [u8; RISK_SIZE],
}

/// Makes requests that bear the wall time of its own making.
#[derive(Debug)]
pub(crate) struct Press {
    templates: Vec<Template>,
    timestamp: String,
}

impl Press {
    pub(crate) fn new(recipe: &Recipe<'_>) -> Result<Self, Error> {
        let unix_s = clock::unix_now().as_secs();
        let timestamp = unix_s.to_string();
        let created = clock::rfc3339(unix_s);
        let constants = Constants {
            host: recipe.host,
            path: recipe.path,
            created: &created,
            timestamp: &timestamp,
        };
        let templates: Result<_, Error> = merchant::all()
            .map(|merchant| Template::new(&constants, &merchant))
            .collect();
        Ok(Self {
            templates: templates?,
            timestamp,
        })
    }

    /// Chooses and signs request `index`. The scratch buffer spares an allocation.
    pub(crate) fn sign(
        &self,
        recipe: &Recipe<'_>,
        index: u64,
        scratch: &mut Vec<u8>,
    ) -> Option<Variables> {
        let seed = recipe.seed;
        let choose = |salt, bound| ids::choose(seed, index, salt, bound);
        let between =
            |salt, range: std::ops::Range<u64>| range.start + choose(salt, range.end - range.start);
        let card = choose(1, recipe.cards.len() as u64);
        let mut variables = Variables {
            template: usize::try_from(choose(0, self.templates.len() as u64)).ok()?,
            token: ids::uuid(seed, Domain::Authorization, index),
            webhook_id: ids::uuid(seed, Domain::WebhookId, index),
            card: *recipe.cards.get(usize::try_from(card).ok()?)?,
            signature: [b'-'; SIGNATURE_SIZE],
            amount: digits(between(2, AMOUNT_MINOR)),
            risk_score: digits(between(3, RISK_SCORE)),
        };
        let body_at = self.write(&variables, scratch)?;
        let body = scratch.get(body_at..)?;
        let timestamp = self.timestamp.as_bytes();
        variables.signature = recipe.key.sign(&variables.webhook_id, timestamp, body);
        Some(variables)
    }

    /// Replaces the buffer by the message and returns where its body begins.
    pub(crate) fn write(&self, variables: &Variables, buffer: &mut Vec<u8>) -> Option<usize> {
        let template = self.templates.get(variables.template)?;
        buffer.clear();
        buffer.extend_from_slice(template.bytes());
        template.token.put(buffer, &variables.token);
        template.webhook_id.put(buffer, &variables.webhook_id);
        template.card.put(buffer, &variables.card);
        template.signature.put(buffer, &variables.signature);
        template.amounts.put(buffer, &variables.amount);
        template.risk_score.put(buffer, &variables.risk_score);
        Some(template.body_at())
    }
}

/// The last digits of a number, with zeros in front.
fn digits<const N: usize>(mut number: u64) -> [u8; N] {
    let mut text = [b'0'; N];
    for place in text.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
    text
}

/// A body and its token, for tests of the parsers.
#[cfg(test)]
pub(crate) fn example_body() -> (Vec<u8>, String) {
    let key = Key::from_secret("c2VjcmV0").unwrap();
    let recipe = Recipe {
        host: "h",
        path: "/",
        key: &key,
        cards: &crate::fleet::card_tokens(10),
        seed: 1,
    };
    let press = Press::new(&recipe).unwrap();
    let mut bytes = Vec::new();
    let variables = press.sign(&recipe, 0, &mut bytes).unwrap();
    let body_at = press.write(&variables, &mut bytes).unwrap();
    let body = bytes.split_off(body_at);
    (body, String::from_utf8(variables.token.to_vec()).unwrap())
}

#[cfg(test)]
mod tests;
