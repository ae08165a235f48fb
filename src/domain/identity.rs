//! What makes two messages the same message (behaviour 2.4, 2.5).

use super::card::Key;

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
