//! The story that shows the engine at work: purchases of the demo snapshot's agents, and what an
//! empty ledger answers to each.
//!
//! The amounts build on one another, so that the chapters also show what cannot be seen in one
//! answer: that a redelivery is counted once, and that one purchase is held against the card, its
//! agent and its customer together.

use super::cards::Cards;
use super::{Alpha3, Answer, Delivery, Outcome, Purchase, Sandbox, SandboxError};
use crate::domain::amount::Amount;
use crate::domain::currency::Currency;
use crate::domain::decision::DeclineReason;
use crate::domain::mcc::Mcc;

/// One card's part of the story.
#[derive(Clone, Copy, Debug)]
pub struct Chapter {
    /// Whose card.
    pub holder: Holder,
    /// The rules on it, in plain words.
    pub rules: &'static str,
    /// What happens, in order.
    pub steps: &'static [Step],
}

/// The card that a chapter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A card of the snapshot, by our id.
    Card(&'static str),
    /// A card that only the issuer knows, by its token.
    Stranger(&'static str),
}

impl Holder {
    /// The name in the story.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Card(id) => id,
            Self::Stranger(_) => "an unknown card",
        }
    }
}

/// One delivery of the story.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What happens, in plain words.
    pub telling: &'static str,
    /// What is sent.
    pub action: Action,
    /// What an empty ledger answers.
    pub expected: Expected,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// A new authorization.
    Buy {
        /// In dollars.
        amount: &'static str,
        /// The merchant's category.
        mcc: &'static str,
        /// The merchant's name.
        merchant: &'static str,
    },
    /// The chapter's first delivery, once more.
    Redeliver,
}

/// What an empty ledger answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The whole amount.
    Approve,
    /// Nothing, and why.
    Decline(DeclineReason),
}

impl Expected {
    /// Whether both the issuer's answer and the engine's record say so.
    #[must_use]
    pub fn is_met_by(self, outcome: &Outcome) -> bool {
        let record = outcome.record.as_ref();
        let decision = record.map(|record| record.decision.as_str());
        let reason = record.and_then(|record| record.reason.as_deref());
        match (self, &outcome.answer) {
            (Self::Approve, Answer::Approved) => decision == Some("approve") && reason.is_none(),
            (Self::Decline(why), Answer::Declined(_)) => {
                decision == Some("decline") && reason == Some(why.code())
            }
            (
                Self::Approve | Self::Decline(_),
                Answer::Approved | Answer::PartlyApproved(_) | Answer::Declined(_),
            ) => false,
        }
    }
}

const fn buy(
    telling: &'static str,
    amount: &'static str,
    mcc: &'static str,
    merchant: &'static str,
    expected: Expected,
) -> Step {
    Step {
        telling,
        action: Action::Buy {
            amount,
            mcc,
            merchant,
        },
        expected,
    }
}

const APPROVE: Expected = Expected::Approve;
const RESEARCH: &str = "7372";
const HOSTING: &str = "4816";

/// The whole story, in the order in which it is played.
pub const STORY: &[Chapter] = &[
    Chapter {
        holder: Holder::Card("card_research_tools"),
        rules: "at most 50.00 each and 120.00 a day",
        steps: &[
            buy(
                "buys a dataset for 45.00",
                "45.00",
                RESEARCH,
                "ATLAS DATASETS",
                APPROVE,
            ),
            Step {
                telling: "the issuer asks again: same answer, counted once",
                action: Action::Redeliver,
                expected: APPROVE,
            },
            buy(
                "tries a bundle for 60.00",
                "60.00",
                RESEARCH,
                "ATLAS DATASETS",
                Expected::Decline(DeclineReason::AmountOverPerAuth),
            ),
            buy(
                "rents a search index for 45.00",
                "45.00",
                RESEARCH,
                "INDEX & SONS",
                APPROVE,
            ),
            buy(
                "tries 30.01, one cent over what the day has left",
                "30.01",
                RESEARCH,
                "INDEX & SONS",
                Expected::Decline(DeclineReason::CardLimitExceeded),
            ),
            buy(
                "spends exactly the 30.00 that are left",
                "30.00",
                RESEARCH,
                "INDEX & SONS",
                APPROVE,
            ),
        ],
    },
    Chapter {
        holder: Holder::Card("card_no_gambling"),
        rules: "bars, liquor, tobacco, lotteries and betting are blocked",
        steps: &[
            buy(
                "orders office supplies for 35.00",
                "35.00",
                "5943",
                "PAPER MOON SUPPLIES",
                APPROVE,
            ),
            buy(
                "tries 5.00 at an online casino (7801)",
                "5.00",
                "7801",
                "LUCKY DICE ONLINE",
                Expected::Decline(DeclineReason::MccBlocked),
            ),
        ],
    },
    Chapter {
        holder: Holder::Card("card_cloud_hosting"),
        rules: "locks to the first merchant; its agent has 200.00 a day over all its cards",
        steps: &[
            buy(
                "rents a server for 25.00: the card is locked to it",
                "25.00",
                HOSTING,
                "CUMULUS HOSTING",
                APPROVE,
            ),
            buy(
                "tries another host for 10.00",
                "10.00",
                HOSTING,
                "NIMBUS SERVERS",
                Expected::Decline(DeclineReason::MerchantLockMismatch),
            ),
            buy(
                "rents a disk for 10.00 where it is locked to",
                "10.00",
                HOSTING,
                "CUMULUS HOSTING",
                APPROVE,
            ),
            buy(
                "tries 12.00: the agent has 10.00 left today",
                "12.00",
                HOSTING,
                "CUMULUS HOSTING",
                Expected::Decline(DeclineReason::AgentLimitExceeded),
            ),
        ],
    },
    Chapter {
        holder: Holder::Card("card_one_book"),
        rules: "single use",
        steps: &[
            buy(
                "buys a book for 30.00",
                "30.00",
                "5942",
                "PAPER MOON BOOKS",
                APPROVE,
            ),
            buy(
                "tries a second one for 5.00",
                "5.00",
                "5942",
                "PAPER MOON BOOKS",
                Expected::Decline(DeclineReason::SingleUseConsumed),
            ),
        ],
    },
    Chapter {
        holder: Holder::Card("card_team_lunch"),
        rules: "restaurants only; its customer has 300.00 a day over all agents",
        steps: &[
            buy(
                "orders lunch for 24.50",
                "24.50",
                "5812",
                "PEPPER & BASIL",
                APPROVE,
            ),
            buy(
                "tries a book for 12.00 (5942)",
                "12.00",
                "5942",
                "PAPER MOON BOOKS",
                Expected::Decline(DeclineReason::MccNotAllowed),
            ),
            buy(
                "tries a banquet for 90.00: the customer has 55.50",
                "90.00",
                "5812",
                "PEPPER & BASIL",
                Expected::Decline(DeclineReason::CustomerLimitExceeded),
            ),
        ],
    },
    Chapter {
        holder: Holder::Card("card_lost"),
        rules: "locked by its owner",
        steps: &[buy(
            "tries groceries for 8.00",
            "8.00",
            "5411",
            "NORTHWIND GROCERY",
            Expected::Decline(DeclineReason::CardLocked),
        )],
    },
    Chapter {
        holder: Holder::Stranger("5a4db0c5-0000-4000-8000-00000000ffff"),
        rules: "the issuer asks about a card that is not in the snapshot",
        steps: &[buy(
            "tries groceries for 8.00",
            "8.00",
            "5411",
            "NORTHWIND GROCERY",
            Expected::Decline(DeclineReason::CardUnknown),
        )],
    },
];

/// What is told while the story is played.
pub enum Told<'a> {
    /// A chapter begins.
    Chapter(&'a Chapter),
    /// A step was answered; the flag says whether as an empty ledger does.
    Step(&'a Step, &'a Outcome, bool),
}

/// How the story went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Approved steps.
    pub approved_count: usize,
    /// Declined steps.
    pub declined_count: usize,
    /// Steps that an empty ledger answers in another way.
    pub surprise_count: usize,
    /// Half of the round trips took no longer than this.
    pub median_round_trip_us: i64,
}

/// Why the story could not be played to its end.
#[derive(Debug)]
pub enum StoryError {
    /// The server's snapshot has no such card.
    CardMissing(&'static str),
    /// A step has no answer.
    Sandbox(SandboxError),
    /// A step of the story names no amount, category or country: a mistake of ours.
    Malformed(&'static str),
    /// What happened could not be told.
    Telling(std::io::Error),
}

impl std::fmt::Display for StoryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::CardMissing(card) => write!(
                f,
                "the story is about the demo cards, and the server's snapshot has no card `{card}`"
            ),
            Self::Sandbox(error) => error.fmt(f),
            Self::Malformed(telling) => write!(f, "the step `{telling}` is malformed"),
            Self::Telling(error) => write!(f, "cannot write: {error}"),
        }
    }
}

impl std::error::Error for StoryError {}

/// Plays the story and tells each step as soon as it is answered.
///
/// # Errors
/// [`StoryError`] at the first step that has no answer. A surprising answer is no error.
pub async fn play(
    sandbox: &mut Sandbox,
    cards: &Cards,
    mut tell: impl FnMut(Told<'_>) -> std::io::Result<()>,
) -> Result<Summary, StoryError> {
    let mut tokens = Vec::with_capacity(STORY.len());
    for chapter in STORY {
        tokens.push(token_of(chapter.holder, cards)?);
    }
    let mut summary = Summary::default();
    let mut round_trips_us = Vec::new();
    for (chapter, token) in STORY.iter().zip(tokens) {
        tell(Told::Chapter(chapter)).map_err(StoryError::Telling)?;
        let mut first: Option<Delivery> = None;
        for step in chapter.steps {
            let outcome = perform(sandbox, step, token, &mut first).await?;
            let is_met = step.expected.is_met_by(&outcome);
            summary.count(&outcome, is_met);
            round_trips_us.push(outcome.round_trip_us);
            tell(Told::Step(step, &outcome, is_met)).map_err(StoryError::Telling)?;
        }
    }
    summary.median_round_trip_us = median(round_trips_us);
    Ok(summary)
}

impl Summary {
    fn count(&mut self, outcome: &Outcome, is_met: bool) {
        if outcome.answer.is_approval() {
            self.approved_count += 1;
        } else {
            self.declined_count += 1;
        }
        self.surprise_count += usize::from(!is_met);
    }
}

fn token_of(holder: Holder, cards: &Cards) -> Result<&str, StoryError> {
    match holder {
        Holder::Card(id) => cards.token_of(id).ok_or(StoryError::CardMissing(id)),
        Holder::Stranger(token) => Ok(token),
    }
}

/// Sends what the step says. The chapter's first delivery is kept for asking again.
async fn perform(
    sandbox: &mut Sandbox,
    step: &Step,
    token: &str,
    first: &mut Option<Delivery>,
) -> Result<Outcome, StoryError> {
    let malformed = StoryError::Malformed(step.telling);
    match step.action {
        Action::Buy {
            amount,
            mcc,
            merchant,
        } => {
            let purchase = purchase(token, amount, mcc, merchant).ok_or(malformed)?;
            let answered = sandbox.authorize(&purchase).await;
            let (outcome, delivery) = answered.map_err(StoryError::Sandbox)?;
            first.get_or_insert(delivery);
            Ok(outcome)
        }
        Action::Redeliver => {
            let first = first.as_ref().ok_or(malformed)?;
            let answered = sandbox.redeliver(first).await;
            answered.map_err(StoryError::Sandbox)
        }
    }
}

fn purchase(token: &str, amount: &str, mcc: &str, merchant: &str) -> Option<Purchase> {
    Some(Purchase {
        card_token: token.to_owned(),
        amount: Amount::parse_major(amount, Currency::USD).ok()?,
        mcc: Mcc::parse(mcc).ok()?,
        merchant: merchant.to_owned(),
        country: Alpha3::parse("USA")?,
        increment_of: None,
    })
}

/// The lower one of the two in the middle.
fn median(mut round_trips_us: Vec<i64>) -> i64 {
    round_trips_us.sort_unstable();
    let middle = round_trips_us.len().saturating_sub(1) / 2;
    round_trips_us.get(middle).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_can_be_sent() {
        for chapter in STORY {
            let mut is_first = true;
            for step in chapter.steps {
                match step.action {
                    Action::Buy {
                        amount,
                        mcc,
                        merchant,
                    } => assert!(purchase("t", amount, mcc, merchant).is_some(), "{step:?}"),
                    Action::Redeliver => assert!(!is_first, "{step:?}"),
                }
                is_first = false;
            }
        }
    }

    #[test]
    fn the_median_is_a_round_trip_that_happened() {
        assert_eq!(median(vec![]), 0);
        assert_eq!(median(vec![9, 1, 5]), 5);
        assert_eq!(median(vec![9, 1, 5, 2]), 2);
    }
}
