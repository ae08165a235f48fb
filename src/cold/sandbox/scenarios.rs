//! What can become of an authorization, as scenarios that are played from their first question to
//! their last report.

mod run;

use super::life::{EntryKind, Verdict};
use super::shape::Shape;

pub use run::{PlayError, Played, Setting, Stage, Step, Unplayable};

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The word of the command line.
    pub name: &'static str,
    /// What it is about, in a line.
    pub telling: &'static str,
    /// Which of the play cards it is for.
    pub card: PlayCard,
    /// Its merchant's category.
    pub mcc: &'static str,
    /// Its merchant.
    pub merchant: &'static str,
    /// What happens, in order.
    pub acts: &'static [Act],
}

/// A card that the demo snapshot has in each shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayCard {
    /// For any number of purchases.
    Multi,
    /// For one.
    Single,
}

impl PlayCard {
    /// Its id in the demo snapshot.
    #[must_use]
    pub fn id(self, shape: Shape) -> &'static str {
        match (self, shape) {
            (Self::Multi, Shape::Lithic) => "card_play_lithic",
            (Self::Multi, Shape::Stripe) => "card_play_stripe",
            (Self::Multi, Shape::Marqeta) => "card_play_marqeta",
            (Self::Single, Shape::Lithic) => "card_once_lithic",
            (Self::Single, Shape::Stripe) => "card_once_stripe",
            (Self::Single, Shape::Marqeta) => "card_once_marqeta",
        }
    }
}

/// How much.
#[derive(Clone, Copy, Debug)]
pub enum Sum {
    /// Of the scenario's amount, in percent.
    Part(i64),
    /// In minor units.
    Minor(i64),
}

/// One thing that the issuer does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Asks, and reports what was decided.
    Ask(EntryKind, Sum),
    /// Asks on top of everything that is held: so much that the play card's limits cannot allow it.
    AskTooMuch(EntryKind),
    /// Asks, and then decides otherwise than it was told.
    AskThen(Verdict),
    /// Asks the last question once more, with the same bytes.
    AskAgain,
    /// Books a step without asking.
    StandIn,
    /// Makes a step, to ask for it later.
    Plan,
    /// Asks what was planned.
    AskPlanned,
    /// Something happens that nobody asks about.
    Happen(EntryKind, Sum),
    /// The merchant claims the rest: whatever is held then is free.
    ClearLast(Sum),
    /// From here on, reports are kept back.
    KeepBack,
    /// What was kept back is reported, the newest first.
    ReportReversed,
    /// The newest report is delivered once more.
    Repeat,
    /// The same purchase once more, as another authorization.
    AnotherPurchase,
}

const SHOP: (&str, &str) = ("5734", "CUMULUS HOSTING");
const WHOLE: Sum = Sum::Part(100);

const fn shop(name: &'static str, telling: &'static str, acts: &'static [Act]) -> Scenario {
    Scenario {
        name,
        telling,
        card: PlayCard::Multi,
        mcc: SHOP.0,
        merchant: SHOP.1,
        acts,
    }
}

const ASK: Act = Act::Ask(EntryKind::Authorization, WHOLE);

/// Every scenario, in the order of the list.
pub const SCENARIOS: &[Scenario] = &[
    shop(
        "approve-and-clear",
        "approved, and cleared as approved",
        &[ASK, Act::ClearLast(WHOLE)],
    ),
    shop(
        "multi-clearing",
        "approved, and cleared in three parts",
        &[
            ASK,
            Act::Happen(EntryKind::Clearing, Sum::Part(40)),
            Act::Happen(EntryKind::Clearing, Sum::Part(40)),
            Act::ClearLast(Sum::Part(20)),
        ],
    ),
    Scenario {
        mcc: "5812",
        merchant: "BLUE BOTTLE COFFEE",
        ..shop(
            "clear-above-tip",
            "a restaurant clears a tip on top of what was approved",
            &[ASK, Act::ClearLast(Sum::Part(120))],
        )
    },
    Scenario {
        mcc: "5542",
        merchant: "NORTH ROAD FUEL",
        ..shop(
            "clear-above-fuel",
            "a pump asks for 1.00, advises the real amount and clears it",
            &[
                Act::Ask(EntryKind::Authorization, Sum::Minor(100)),
                Act::Happen(EntryKind::Advice, WHOLE),
                Act::ClearLast(WHOLE),
            ],
        )
    },
    shop(
        "clear-below",
        "cleared below what was approved: the rest is free",
        &[ASK, Act::ClearLast(Sum::Part(80))],
    ),
    shop(
        "clear-after-expiry",
        "the hold lapses, and the merchant clears all the same",
        &[
            ASK,
            Act::Happen(EntryKind::Expiry, WHOLE),
            Act::ClearLast(WHOLE),
        ],
    ),
    shop(
        "clear-without-authorization",
        "a force post: money moves that nobody was asked about",
        &[Act::Happen(EntryKind::Clearing, WHOLE)],
    ),
    shop(
        "partial-reversal",
        "a part of the hold is given back, and the rest is cleared",
        &[
            ASK,
            Act::Happen(EntryKind::Reversal, Sum::Part(40)),
            Act::ClearLast(Sum::Part(60)),
        ],
    ),
    shop(
        "full-reversal",
        "the whole hold is given back",
        &[ASK, Act::Happen(EntryKind::Reversal, WHOLE)],
    ),
    shop(
        "reversal-first",
        "the reversal comes before the authorization that it reverses",
        &[
            Act::Plan,
            Act::Happen(EntryKind::Reversal, WHOLE),
            Act::AskPlanned,
        ],
    ),
    shop(
        "over-reversal",
        "more is given back than was held",
        &[ASK, Act::Happen(EntryKind::Reversal, Sum::Part(150))],
    ),
    shop(
        "increment",
        "more is asked for, approved, and cleared",
        &[
            ASK,
            Act::Ask(EntryKind::Increment, Sum::Part(20)),
            Act::ClearLast(Sum::Part(120)),
        ],
    ),
    shop(
        "declined-increment",
        "more is asked for than the limit has: the first hold stays",
        &[
            ASK,
            Act::AskTooMuch(EntryKind::Increment),
            Act::ClearLast(WHOLE),
        ],
    ),
    shop(
        "advice",
        "the network advises another total than was asked for",
        &[
            ASK,
            Act::Happen(EntryKind::Advice, Sum::Part(115)),
            Act::ClearLast(Sum::Part(115)),
        ],
    ),
    shop(
        "refund-linked",
        "cleared, and partly refunded: the budget does not grow",
        &[
            ASK,
            Act::ClearLast(WHOLE),
            Act::Happen(EntryKind::Refund, Sum::Part(40)),
        ],
    ),
    shop(
        "refund-unlinked",
        "a refund that belongs to no authorization",
        &[Act::Happen(EntryKind::Refund, WHOLE)],
    ),
    Scenario {
        mcc: "6011",
        merchant: "CITY BANK ATM",
        ..shop(
            "atm",
            "cash at a machine, posted as soon as it is approved",
            &[Act::Ask(EntryKind::Cash, Sum::Minor(4_000))],
        )
    },
    Scenario {
        mcc: "6011",
        merchant: "CITY BANK ATM",
        ..shop(
            "balance-inquiry",
            "a question about what is left (not at stripe)",
            &[Act::Ask(EntryKind::Inquiry, Sum::Minor(0))],
        )
    },
    Scenario {
        card: PlayCard::Single,
        ..shop(
            "probe-then-capture",
            "1.00 probes a single-use card; capturing it uses the card up",
            &[
                Act::Ask(EntryKind::Authorization, Sum::Minor(100)),
                Act::ClearLast(Sum::Minor(100)),
                Act::AnotherPurchase,
                Act::Ask(EntryKind::Authorization, WHOLE),
            ],
        )
    },
    shop(
        "issuer-stand-in",
        "the issuer approves without asking, and the merchant clears",
        &[Act::StandIn, Act::ClearLast(WHOLE)],
    ),
    shop(
        "declined-there",
        "we approve, and the issuer declines all the same",
        &[Act::AskThen(Verdict::DeclinedThere)],
    ),
    shop(
        "timed-out",
        "our approval comes too late for the issuer, which declines",
        &[Act::AskThen(Verdict::TimedOut)],
    ),
    shop(
        "duplicates",
        "question and reports are delivered again and again",
        &[
            ASK,
            Act::AskAgain,
            Act::Repeat,
            Act::ClearLast(WHOLE),
            Act::Repeat,
            Act::Repeat,
        ],
    ),
    shop(
        "reordered",
        "two clearings and a refund are reported in reverse",
        &[
            ASK,
            Act::KeepBack,
            Act::Happen(EntryKind::Clearing, Sum::Part(60)),
            Act::Happen(EntryKind::Refund, Sum::Part(20)),
            Act::ClearLast(Sum::Part(40)),
            Act::ReportReversed,
        ],
    ),
];

/// The scenario of this name.
#[must_use]
pub fn scenario(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name == name)
}

impl Scenario {
    /// Whether an issuer of this shape has what the scenario is about.
    #[must_use]
    pub fn is_for(&self, shape: Shape) -> bool {
        let asks_balance = |act: &Act| matches!(act, Act::Ask(EntryKind::Inquiry, _));
        shape != Shape::Stripe || !self.acts.iter().any(asks_balance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_that_come_once_and_tellings_fit_a_line() {
        for (at, one) in SCENARIOS.iter().enumerate() {
            let lawful = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(one.name.chars().all(lawful), "{}", one.name);
            assert!(
                one.name.len() <= 27 && one.telling.len() <= 68,
                "{}",
                one.name
            );
            let same = SCENARIOS.iter().position(|other| other.name == one.name);
            assert_eq!(same, Some(at), "{}", one.name);
            assert!(!one.acts.is_empty());
        }
        assert!(scenario("atm").is_some() && scenario("atms").is_none());
    }
}
