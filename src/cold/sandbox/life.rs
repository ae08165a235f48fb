//! What the sandbox knows of one authorization, as its issuer: what it asked and what has happened
//! since. It is kept in a file, so that a later command plays on where an earlier one stopped.

use serde::{Deserialize, Serialize};

use super::shape::Shape;
use crate::domain::amount::{Amount, Minor};
use crate::domain::currency::Currency;
use crate::domain::time::Timestamp;

/// One authorization in its issuer's books.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Life {
    /// In whose words it is told.
    pub shape: Shape,
    /// The issuer's id of it.
    pub id: String,
    /// The issuer's token of the card.
    pub card_token: String,
    /// ISO 4217.
    pub currency: String,
    /// The merchant's name.
    pub merchant: String,
    /// Four digits.
    pub mcc: String,
    /// Three letters.
    pub country: String,
    /// When it was made, in microseconds since the epoch.
    pub created_us: i64,
    /// Whether it began with a question to us; an issuer can book without one.
    pub is_asked: bool,
    /// What has happened, in the issuer's order.
    pub entries: Vec<Entry>,
}

/// One thing that has happened.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Entry {
    /// The issuer's id of it.
    pub id: String,
    /// What it is.
    pub kind: EntryKind,
    /// In minor units, never below zero.
    pub amount: i64,
    /// Who decided, and how.
    pub verdict: Verdict,
    /// In microseconds since the epoch.
    pub at_us: i64,
}

/// What can happen to an authorization.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// The first step.
    Authorization,
    /// The first step of a single message: what is approved is posted.
    Financial,
    /// Cash at a machine, in a single message.
    Cash,
    /// A question about what is left.
    Inquiry,
    /// A later step that asks for more.
    Increment,
    /// The new total, decided elsewhere.
    Advice,
    /// So much of the hold is given back.
    Reversal,
    /// What is left of the hold has lapsed.
    Expiry,
    /// The merchant's claim; more may follow.
    Clearing,
    /// The merchant's last claim.
    LastClearing,
    /// Credit after clearing.
    Refund,
}

/// Who decided, and how.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Approved by whoever was asked; of what asks nobody, that it has happened.
    Approved,
    /// Declined by us.
    Declined,
    /// Declined by the issuer after our approval.
    DeclinedThere,
    /// Declined because no answer came in time.
    TimedOut,
    /// Approved without asking us.
    StoodIn,
}

impl Verdict {
    /// Whether the issuer holds or books it.
    #[must_use]
    pub fn counts(self) -> bool {
        matches!(self, Self::Approved | Self::StoodIn)
    }
}

/// What the issuer's books come to, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Books {
    /// On hold.
    pub held: i64,
    /// Posted in all, refunds not taken off.
    pub posted: i64,
    /// What came back.
    pub refunded: i64,
}

/// Where an authorization stands for its issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Held, and nothing posted.
    Pending,
    /// Posted, and something may be held still.
    Settled,
    /// Posted, and nothing will follow.
    Closed,
    /// Reversed in full.
    Reversed,
    /// Lapsed.
    Expired,
    /// Never approved, or taken back.
    Declined,
}

impl Life {
    /// The same authorization as it stood after its first `count` entries.
    #[must_use]
    pub fn as_of(&self, count: usize) -> Self {
        Self {
            entries: self.entries.iter().take(count).cloned().collect(),
            ..self.clone()
        }
    }

    /// The currency. One that a file made up is dollars.
    #[must_use]
    pub fn currency(&self) -> Currency {
        Currency::parse(&self.currency).unwrap_or(Currency::USD)
    }

    /// Minor units in decimal major units: 12.34.
    #[must_use]
    pub fn major(&self, minor: i64) -> String {
        let minor = Minor::new(minor).unwrap_or(Minor::ZERO);
        let currency = self.currency();
        Amount { minor, currency }.to_string()
    }

    /// When it was made.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        Timestamp::from_micros(self.created_us)
    }

    /// What the issuer holds, has posted and has given back.
    #[must_use]
    pub fn books(&self) -> Books {
        let mut books = Books::default();
        for entry in &self.entries {
            books.take(entry);
        }
        books
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let books = self.books();
        let has = |wanted: EntryKind| {
            let mut counted = self.entries.iter().filter(|entry| entry.verdict.counts());
            counted.any(|entry| entry.kind == wanted)
        };
        let is_posted = books.posted > 0 || has(EntryKind::Refund);
        if has(EntryKind::LastClearing) {
            Status::Closed
        } else if is_posted {
            Status::Settled
        } else if has(EntryKind::Expiry) {
            Status::Expired
        } else if books.held == 0 && has(EntryKind::Reversal) {
            Status::Reversed
        } else if self.is_approved() || has(EntryKind::Advice) {
            Status::Pending
        } else {
            Status::Declined
        }
    }

    /// Whether the issuer approved a step of it. A question about what is left approves nothing.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        let mut steps = self.steps();
        steps.any(|step| step.verdict.counts() && step.kind != EntryKind::Inquiry)
    }

    /// What was asked, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.kind.is_step())
    }
}

impl EntryKind {
    /// Whether it asks, where an issuer asks at all.
    #[must_use]
    pub fn is_step(self) -> bool {
        matches!(
            self,
            Self::Authorization | Self::Financial | Self::Cash | Self::Inquiry | Self::Increment
        )
    }
}

impl Books {
    fn take(&mut self, entry: &Entry) {
        if !entry.verdict.counts() {
            return;
        }
        let amount = entry.amount;
        let less_held = |held: i64| held.saturating_sub(amount).max(0);
        match entry.kind {
            EntryKind::Authorization | EntryKind::Increment => {
                self.held = self.held.saturating_add(amount);
            }
            EntryKind::Financial | EntryKind::Cash => {
                self.posted = self.posted.saturating_add(amount);
            }
            EntryKind::Inquiry => {}
            EntryKind::Advice => self.held = amount.saturating_sub(self.posted).max(0),
            EntryKind::Reversal => self.held = less_held(self.held),
            EntryKind::Expiry => self.held = 0,
            EntryKind::Clearing => {
                self.held = less_held(self.held);
                self.posted = self.posted.saturating_add(amount);
            }
            EntryKind::LastClearing => {
                self.held = 0;
                self.posted = self.posted.saturating_add(amount);
            }
            EntryKind::Refund => self.refunded = self.refunded.saturating_add(amount),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: (EntryKind, i64, Verdict) = (EntryKind::Authorization, 2_599, Verdict::Approved);

    /// What has happened, the books that come of it, and where it stands.
    type Row = (&'static [(EntryKind, i64, Verdict)], [i64; 3], Status);

    fn life(entries: &[(EntryKind, i64, Verdict)]) -> Life {
        let entry = |(at, &(kind, amount, verdict)): (usize, &(EntryKind, i64, Verdict))| Entry {
            id: at.to_string(),
            kind,
            amount,
            verdict,
            at_us: 0,
        };
        Life {
            shape: Shape::Lithic,
            id: "a".to_owned(),
            card_token: "c".to_owned(),
            currency: "USD".to_owned(),
            merchant: "m".to_owned(),
            mcc: "5734".to_owned(),
            country: "USA".to_owned(),
            created_us: 0,
            is_asked: true,
            entries: entries.iter().enumerate().map(entry).collect(),
        }
    }

    #[test]
    fn books_and_status_follow_what_has_happened() {
        use EntryKind::{
            Advice, Authorization, Cash, Clearing, Expiry, Increment, LastClearing, Refund,
            Reversal,
        };
        use Verdict::{Approved, Declined, DeclinedThere, StoodIn};
        #[rustfmt::skip]
        let rows: &[Row] = &[
            (&[FIRST], [2_599, 0, 0], Status::Pending),
            (&[FIRST, (Clearing, 2_599, Approved)], [0, 2_599, 0], Status::Settled),
            (&[FIRST, (Clearing, 1_000, Approved)], [1_599, 1_000, 0], Status::Settled),
            (&[FIRST, (LastClearing, 1_000, Approved)], [0, 1_000, 0], Status::Closed),
            (&[FIRST, (Expiry, 0, Approved), (Clearing, 2_599, Approved)], [0, 2_599, 0], Status::Settled),
            (&[FIRST, (Expiry, 0, Approved)], [0, 0, 0], Status::Expired),
            (&[FIRST, (Reversal, 9_999, Approved)], [0, 0, 0], Status::Reversed),
            (&[FIRST, (Reversal, 99, Approved)], [2_500, 0, 0], Status::Pending),
            (&[FIRST, (Increment, 1, Approved), (Increment, 5, Declined)], [2_600, 0, 0], Status::Pending),
            (&[FIRST, (Advice, 3_000, Approved)], [3_000, 0, 0], Status::Pending),
            (&[(Advice, 3_000, StoodIn)], [3_000, 0, 0], Status::Pending),
            (&[(Authorization, 1, DeclinedThere)], [0, 0, 0], Status::Declined),
            (&[(Cash, 500, Approved)], [0, 500, 0], Status::Settled),
            (&[(EntryKind::Inquiry, 0, Approved)], [0, 0, 0], Status::Declined),
            (&[FIRST, (Clearing, 2_599, Approved), (Refund, 599, Approved)], [0, 2_599, 599], Status::Settled),
        ];
        for (entries, [held, posted, refunded], status) in rows {
            let life = life(entries);
            let expected = Books {
                held: *held,
                posted: *posted,
                refunded: *refunded,
            };
            assert_eq!(
                (life.books(), life.status()),
                (expected, *status),
                "{entries:?}"
            );
            assert_eq!(life.as_of(0).books(), Books::default());
        }
    }
}
