//! The sandbox as an issuer of cards: it keeps them in a file of its own, one line each.
//!
//! The lines are those of a snapshot (behaviour 11.3), so that `countersign sandbox` finds the tokens
//! there as it finds them in a snapshot.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::rules::Rules;
use super::{
    Answer, CardOrder, CardThere, CardsThere, IssuedCard, IssuerClient, IssuerError, Manner,
    Revealed, Spent, State,
};
use crate::cold::ids::draw;
use crate::cold::store::Mode;
use crate::config::Reveal;

/// Cards are good for this many years.
const LIFE_YEARS: u16 = 4;

/// See the module.
pub struct SandboxClient {
    connection: String,
    file: Arc<Mutex<Kept>>,
}

struct Kept {
    file: File,
    /// By the key of the order.
    cards: HashMap<String, WireCard>,
}

#[derive(Deserialize, Serialize)]
struct WireLine {
    card: WireCard,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct WireCard {
    id: String,
    connection: String,
    issuer_token: String,
    order_key: String,
    last4: String,
    exp_month: u8,
    exp_year: u16,
    #[serde(default)]
    is_physical: bool,
}

impl SandboxClient {
    /// Opens the file, making it where it is absent. A last line that a crash has cut off is a card
    /// that nobody was told of: it is taken away.
    ///
    /// # Errors
    /// Where the file cannot be used.
    pub fn open(path: &Path, connection: &str) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(path)?;
        let text = fs::read_to_string(path)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(u64::try_from(whole).unwrap_or(0))?;
        let mut cards = HashMap::new();
        for line in text.lines().take(text.matches('\n').count()) {
            let WireLine { card } = serde_json::from_str(line)?;
            cards.insert(card.order_key.clone(), card);
        }
        Ok(Self {
            connection: connection.to_owned(),
            file: Arc::new(Mutex::new(Kept { file, cards })),
        })
    }
}

impl WireCard {
    fn issued(&self) -> IssuedCard {
        IssuedCard {
            card_id: self.id.clone(),
            token: self.issuer_token.clone(),
            last4: Some(self.last4.clone()),
            exp_month: Some(self.exp_month),
            exp_year: Some(self.exp_year),
        }
    }
}

impl Kept {
    fn create(&mut self, connection: String, order: CardOrder) -> io::Result<IssuedCard> {
        if let Some(known) = self.cards.get(&order.key) {
            return Ok(known.issued());
        }
        let (year, month) = year_and_month(&order.at.rfc3339().to_string());
        let number = getrandom::u32().map_err(|error| io::Error::other(error.to_string()))?;
        let card = WireCard {
            id: order.card_id,
            connection,
            issuer_token: draw("sbx", order.at),
            order_key: order.key,
            last4: format!("{:04}", number % 10_000),
            exp_month: month,
            exp_year: year.saturating_add(LIFE_YEARS),
            is_physical: order.shipping.is_some(),
        };
        let line = WireLine { card };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        let before = self.file.metadata()?.len();
        let written = self.file.write_all(text.as_bytes());
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            // Half a line would end the next start.
            self.file.set_len(before)?;
            return Err(error);
        }
        let issued = line.card.issued();
        self.cards.insert(line.card.order_key.clone(), line.card);
        Ok(issued)
    }
}

fn there(card: &WireCard) -> CardThere {
    CardThere {
        token: card.issuer_token.clone(),
        card_id: Some(card.id.clone()),
        state: State::Open,
        is_physical: card.is_physical,
        last4: Some(card.last4.clone()),
        exp_month: Some(card.exp_month),
        exp_year: Some(card.exp_year),
    }
}

/// A number that no card has, of a range for tests, with the card's last four digits; the digit before
/// them makes it pass the check of such numbers. The CVV comes from the token.
fn made_up(card: &WireCard) -> Revealed {
    let last4 = &card.last4;
    let numbers = (0..10).map(|digit| format!("42424242424{digit}{last4}"));
    let number = numbers.into_iter().find(|number| passes_check(number));
    let sum: u32 = card.issuer_token.bytes().map(u32::from).sum();
    Revealed {
        number: SecretString::from(number.unwrap_or_default()),
        cvv: SecretString::from(format!("{:03}", sum % 1_000)),
        name: Some("Sandbox Cardholder".to_owned()),
        billing_address: Some("1 Main Street\nSpringfield 62701\nUS".to_owned()),
    }
}

/// The check digit of card numbers (ISO/IEC 7812-1, annex B).
fn passes_check(number: &str) -> bool {
    let digits = number.bytes().rev().map(|byte| u32::from(byte - b'0'));
    let sum: u32 = digits
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => digit,
            _ => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Of `2026-05-30T…`.
fn year_and_month(text: &str) -> (u16, u8) {
    let mut parts = text.split('-');
    let mut next = || parts.next().unwrap_or_default();
    let year = next().parse().unwrap_or_default();
    (year, next().parse().unwrap_or(1))
}

impl IssuerClient for SandboxClient {
    fn connection(&self) -> &str {
        &self.connection
    }

    fn mode(&self) -> Mode {
        Mode::Test
    }

    fn manner(&self) -> Manner {
        Manner {
            reveal: Reveal::Details,
            reveals_to_agents: true,
            is_remote: false,
            knows_keys: true,
            asks: true,
            ships: true,
            takes_key: false,
        }
    }

    fn unenforced(&self, _rules: &Rules) -> Vec<String> {
        Vec::new()
    }

    fn whole_limit(&self, _rules: &Rules) -> Option<i64> {
        None
    }

    fn spent(&self, _token: String) -> Answer<'_, Spent> {
        let error = IssuerError::Unsupported("sums of what it asks us about");
        Box::pin(std::future::ready(Err(error)))
    }

    fn find(&self, order: CardOrder) -> Answer<'_, Option<IssuedCard>> {
        let kept = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.cards.get(&order.key).map(WireCard::issued);
        Box::pin(std::future::ready(Ok(found)))
    }

    // It keeps nothing of a card that could be stopped: whether it works, we alone say.

    fn set_state(&self, _token: String, _state: State) -> Answer<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn set_rules(&self, _token: String, _rules: Rules) -> Answer<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn fetch(&self, token: String) -> Answer<'_, Option<CardThere>> {
        let kept = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.cards.values().find(|card| card.issuer_token == token);
        Box::pin(std::future::ready(Ok(found.map(there))))
    }

    fn list(&self, _from: Option<String>) -> Answer<'_, CardsThere> {
        let kept = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cards: Vec<CardThere> = kept.cards.values().map(there).collect();
        cards.sort_by(|one, other| one.token.cmp(&other.token));
        Box::pin(std::future::ready(Ok(CardsThere { cards, next: None })))
    }

    fn reveal(&self, token: String) -> Answer<'_, Revealed> {
        let kept = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.cards.values().find(|card| card.issuer_token == token);
        let shown = found.map(made_up);
        let unknown = || IssuerError::Refused("it has no such card".to_owned());
        Box::pin(std::future::ready(shown.ok_or_else(unknown)))
    }

    fn poll(&self) -> Option<Duration> {
        None
    }

    fn set_key(&self, _key: SecretString) {}

    fn create(&self, order: CardOrder) -> Answer<'_, IssuedCard> {
        let (kept, connection) = (Arc::clone(&self.file), self.connection.clone());
        Box::pin(async move {
            let made = tokio::task::spawn_blocking(move || {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.create(connection, order)
            });
            let unavailable =
                |why: &dyn std::fmt::Display| IssuerError::Unavailable(why.to_string());
            match made.await {
                Ok(Ok(card)) => Ok(card),
                Ok(Err(error)) => Err(unavailable(&error)),
                Err(error) => Err(unavailable(&error)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold::sandbox::cards::Cards;
    use crate::domain::time::Timestamp;

    fn order(key: &str) -> CardOrder {
        CardOrder {
            key: key.to_owned(),
            card_id: format!("card_{key}"),
            at: Timestamp::from_secs(1_780_000_000),
            rules: Rules::default(),
            is_paused: false,
            request: None,
            shipping: None,
            aside: None,
        }
    }

    #[test]
    fn one_key_is_one_card_also_after_a_crash_in_the_middle_of_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cards.jsonl");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let create = |client: &SandboxClient, key| runtime.block_on(client.create(order(key)));
        let client = SandboxClient::open(&path, "sandbox").unwrap();
        let first = create(&client, "a").unwrap();
        assert_eq!(create(&client, "a").unwrap(), first);
        let second = create(&client, "b").unwrap();
        assert_ne!(first.token, second.token);
        assert_eq!((first.exp_month, first.exp_year), (Some(5), Some(2030)));
        drop(client);

        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"card\":{\"id\":\"card_c\",");
        fs::write(&path, &text).unwrap();
        let client = SandboxClient::open(&path, "sandbox").unwrap();
        assert_eq!(create(&client, "a").unwrap(), first);
        let third = create(&client, "c").unwrap();
        let cards = Cards::read(&path, "sandbox").unwrap();
        assert_eq!(cards.token_of("card_b"), Some(&*second.token));
        assert_eq!(cards.token_of("card_c"), Some(&*third.token));
    }
}
