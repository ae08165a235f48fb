//! What makes two messages the same message (behaviour 2.4, 2.5).

use super::card::Key;

/// What a hashed id names, so that equal texts of different kinds never share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the kind of the same name")]
pub enum KeySpace {
    Connection = 1,
    Customer = 2,
    Agent = 3,
    Card = 4,
    Authorization = 5,
    Step = 6,
    Delivery = 7,
    Content = 8,
    Merchant = 9,
    Intent = 10,
}

/// Hashes ids under a secret seed that lives as long as the data directory (`fingerprint.rs`).
///
/// Passed as an argument, so that decisions stay the same function of their inputs everywhere.
pub trait Keys {
    /// The key of the parts; no two lists of parts of one space share one.
    fn key(&self, space: KeySpace, parts: &[&[u8]]) -> Key;

    /// The first half of the key, where 64 bits are enough.
    fn short(&self, space: KeySpace, parts: &[&[u8]]) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.key(space, parts).0.to_be_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// Fingerprints by which the ledger recognises one step of one authorization.
///
/// Where the issuer names the step, the name decides. Where it does not, the content does: the same
/// content is the same step, and so is the same delivery with another content, which is a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepIdentity {
    /// Connection and authorization.
    pub authorization: Key,
    /// The issuer's own name of the step, hashed.
    pub name: Option<u64>,
    /// The delivery that brought it (a webhook id), hashed.
    pub delivery: Option<u64>,
    /// The message's content, hashed.
    pub content: u64,
}

/// How a stored step relates to one that has just arrived under the same authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognition {
    /// The same step with the same content.
    Same,
    /// The same step with another content.
    Conflict,
    /// Another step.
    Other,
}

impl StepIdentity {
    /// Compares an arriving step with a stored one of the same authorization.
    #[must_use]
    pub fn recognise(&self, stored: &StoredStep) -> Recognition {
        let same_content = self.content == stored.content;
        match (self.name, stored.name) {
            (Some(name), Some(stored_name)) if name == stored_name => {
                if same_content {
                    Recognition::Same
                } else {
                    Recognition::Conflict
                }
            }
            (Some(_), Some(_)) => Recognition::Other,
            _ if same_content => Recognition::Same,
            _ if self.delivery.is_some() && self.delivery == stored.delivery => {
                Recognition::Conflict
            }
            _ => Recognition::Other,
        }
    }
}

/// The fingerprints that are kept of a decided step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredStep {
    /// As in [`StepIdentity`].
    pub name: Option<u64>,
    /// As in [`StepIdentity`].
    pub delivery: Option<u64>,
    /// As in [`StepIdentity`].
    pub content: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arriving(name: Option<u64>, delivery: Option<u64>, content: u64) -> StepIdentity {
        StepIdentity {
            authorization: Key(1),
            name,
            delivery,
            content,
        }
    }

    fn stored(name: Option<u64>, delivery: Option<u64>, content: u64) -> StoredStep {
        StoredStep {
            name,
            delivery,
            content,
        }
    }

    #[test]
    fn b3_b4_a_step_is_recognised_by_its_name_else_by_content_else_by_delivery() {
        use Recognition::{Conflict, Other, Same};
        let cases = [
            (
                arriving(Some(1), Some(7), 5),
                stored(Some(1), Some(8), 5),
                Same,
            ),
            (
                arriving(Some(1), Some(7), 5),
                stored(Some(1), Some(7), 6),
                Conflict,
            ),
            (
                arriving(Some(1), Some(7), 5),
                stored(Some(2), Some(7), 5),
                Other,
            ),
            (arriving(None, Some(7), 5), stored(None, Some(8), 5), Same),
            (
                arriving(None, Some(7), 5),
                stored(None, Some(7), 6),
                Conflict,
            ),
            (arriving(None, Some(7), 5), stored(None, Some(8), 6), Other),
            (arriving(None, None, 5), stored(None, None, 6), Other),
            (arriving(None, None, 5), stored(None, None, 5), Same),
        ];
        for (at, (new, old, expected)) in cases.into_iter().enumerate() {
            assert_eq!(new.recognise(&old), expected, "case {at}");
        }
    }
}
