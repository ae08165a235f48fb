//! Which issuer token belongs to which card of ours, as the snapshot says.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::files::FileError;

/// The cards of one connection, in the order of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cards {
    pairs: Vec<(String, String)>,
}

/// A whole snapshot, or one of its lines. Everything else in them is the engine's to judge.
#[derive(Deserialize)]
struct WirePiece {
    #[serde(default)]
    cards: Vec<WireCard>,
    card: Option<WireCard>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCard {
    id: String,
    connection: String,
    issuer_token: String,
}

impl Cards {
    /// Reads the cards of `connection` from a snapshot file, be it one document or lines.
    ///
    /// # Errors
    /// [`FileError`] names the file and what is wrong with it.
    pub fn read(snapshot: &Path, connection: &str) -> Result<Self, FileError> {
        let text = fs::read_to_string(snapshot)
            .map_err(|cause| FileError::new("read", snapshot, &cause))?;
        Self::parse(&text, connection)
            .map_err(|cause| FileError::new("understand the snapshot", snapshot, &cause))
    }

    fn parse(text: &str, connection: &str) -> Result<Self, serde_json::Error> {
        let mut pairs = Vec::new();
        for piece in serde_json::Deserializer::from_str(text).into_iter::<WirePiece>() {
            let WirePiece { cards, card } = piece?;
            let ours = cards
                .into_iter()
                .chain(card)
                .filter(|card| card.connection == connection);
            pairs.extend(ours.map(|card| (card.id, card.issuer_token)));
        }
        Ok(Self { pairs })
    }

    /// The issuer token of the card with our id `card`.
    #[must_use]
    pub fn token_of(&self, card: &str) -> Option<&str> {
        let (_, token) = self.pairs.iter().find(|(id, _)| id == card)?;
        Some(token)
    }

    /// Our id of the card with this issuer token.
    #[must_use]
    pub fn id_of(&self, token: &str) -> Option<&str> {
        let (id, _) = self.pairs.iter().find(|(_, known)| known == token)?;
        Some(id)
    }

    /// Whether a card has this issuer token.
    #[must_use]
    pub fn has_token(&self, token: &str) -> bool {
        self.pairs.iter().any(|(_, known)| known == token)
    }

    /// Our ids of the cards.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(id, _)| id.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_and_its_lines_name_the_same_cards() {
        let document = r#"{"schema":1,"customers":[{"id":"c"}],"agents":[],"cards":[
            {"id":"a","connection":"sandbox","issuerToken":"t1","policy":{"limits":{}}},
            {"id":"b","connection":"acme","issuerToken":"t2"}]}"#;
        let lines = "{\"schema\":1}\n{\"customer\":{\"id\":\"c\"}}\n\
            {\"card\":{\"id\":\"a\",\"connection\":\"sandbox\",\"issuerToken\":\"t1\"}}\n\
            {\"card\":{\"id\":\"b\",\"connection\":\"acme\",\"issuerToken\":\"t2\"}}\n";
        for text in [document, lines] {
            let cards = Cards::parse(text, "sandbox").unwrap();
            assert_eq!(cards.ids().collect::<Vec<_>>(), ["a"]);
            assert_eq!(cards.token_of("a"), Some("t1"));
            assert_eq!(cards.token_of("b"), None);
            assert!(cards.has_token("t1") && !cards.has_token("t2"));
        }
        assert!(Cards::parse("{\"cards\":", "sandbox").is_err());
    }
}
