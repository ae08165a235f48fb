//! What an issuer reports about an authorization after it has asked: what was held, posted, released
//! and refunded, with us or without us (behaviour 2.16).
//!
//! Issuers report in two ways. Some send the whole authorization each time, others one movement of
//! money. An observation holds both: every movement with an id of its own, so that each is booked once,
//! and where the issuer tells it, where the authorization stands now.

use std::borrow::Cow;

use super::acceptor::CardAcceptor;
use super::amount::Minor;
use super::claims::PresetLock;
use super::currency::Currency;
use super::time::Timestamp;

/// One report about one authorization, or about money that moved without any. Borrowed from the body
/// it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation<'a> {
    /// The delivery or event that brought the report, where the issuer names it: the same one is
    /// delivered again until it is acknowledged.
    pub delivery: Option<Cow<'a, str>>,
    /// The issuer's id of the authorization, the same that its question carried; absent where the
    /// report names none.
    pub authorization: Option<Cow<'a, str>>,
    /// The message that this one follows, by the delivery's id of the question; absent where the
    /// report names none.
    pub follows: Option<Cow<'a, str>>,
    /// The issuer's token of the card; absent where the report names only the authorization.
    pub card_token: Option<Cow<'a, str>>,
    /// The merchant, where the report names one.
    pub acceptor: Option<CardAcceptor<'a>>,
    /// When it happened, by the issuer's clock, where what it comes to depends on the order.
    pub at: Option<Timestamp>,
    /// Of all amounts in the report; absent where it does not tell.
    pub currency: Option<Currency>,
    /// What has happened, in the order in which the report tells it.
    pub movements: Vec<Movement<'a>>,
    /// Where the authorization stands; absent in a report of one movement.
    pub standing: Option<Standing>,
    /// Whether money was posted that the issuer itself links to no authorization: a force post, an
    /// offline purchase.
    pub is_forced: bool,
}

/// One thing that has happened to an authorization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement<'a> {
    /// The issuer's id of it, unique within the authorization: it is booked once. Where the issuer
    /// names a step in its question, the movement of that step has the same name.
    pub id: Cow<'a, str>,
    /// What has happened.
    pub kind: MovementKind,
    /// How much of it, without a sign.
    pub amount: Minor,
}

/// What has happened to an authorization's money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MovementKind {
    /// The issuer approved a step: so much more is held.
    Authorized,
    /// The issuer approved a step and posted it in one message.
    AuthorizedAndPosted,
    /// The issuer declined a step: nothing is held for it, whatever we had answered.
    Declined,
    /// So much is held now, whatever was held before (advice).
    Replaced,
    /// So much of the hold is given back (reversal).
    Released,
    /// What is left of the hold has lapsed (expiry).
    Expired,
    /// So much was posted, from the hold as far as that reaches (clearing).
    Posted {
        /// Whether the issuer says that nothing will follow, so that the rest of the hold is free.
        is_last: bool,
    },
    /// So much came back after posting (refund).
    Refunded,
    /// A refund was taken back.
    RefundReversed,
    /// So much is disputed, or was charged back: it moves nothing that is held, posted or counted
    /// (behaviour 2.13 g).
    Disputed,
    /// Nothing that moves money of the authorization.
    Noted,
}

impl MovementKind {
    /// Whether it is a word on a purchase that somebody contests, which moves nothing.
    #[must_use]
    pub fn is_dispute(self) -> bool {
        self == Self::Disputed
    }
}

/// Where an authorization stands, as its issuer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What is held.
    pub held: Minor,
    /// What was posted in all, refunds not taken off; absent where the report does not tell.
    pub posted: Option<Minor>,
    /// What came back in all; absent where the report does not tell.
    pub refunded: Option<Minor>,
    /// The issuer's word for it.
    pub status: StandingStatus,
    /// How many steps and movements the report knows of: one that knows fewer is older.
    pub revision: usize,
    /// When the issuer made the report, by its clock, where it tells: of two that know as much, the
    /// one that was made later is newer.
    pub made_at: Option<Timestamp>,
}

/// The issuer's word for where an authorization stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandingStatus {
    /// Held, and nothing posted yet.
    Pending,
    /// Posted at least once; more may be posted while something is held.
    Settled,
    /// Reversed in full.
    Voided,
    /// Lapsed; it may be posted all the same.
    Expired,
    /// Never approved, or taken back by the issuer.
    Declined,
    /// Over; nothing is held any more.
    Closed,
}

impl StandingStatus {
    /// Whether the issuer holds nothing any more, and will not hold again.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Settled => false,
            Self::Voided | Self::Expired | Self::Declined | Self::Closed => true,
        }
    }
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BookStatus {
    /// It says nothing that the books keep.
    Ignored,
    /// A newer account is in the books.
    Stale,
    /// The books have all of it.
    Duplicate,
    /// The books have moved, or know more.
    Applied,
}

impl BookStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Ignored, Self::Stale, Self::Duplicate, Self::Applied];

    /// The word in answers and metrics (behaviour 11.4).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Stale => "stale",
            Self::Duplicate => "duplicate",
            Self::Applied => "applied",
        }
    }
}

/// What is worth an operator's look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Nothing is.
    pub const NONE: Self = Self(0);
    /// The issuer approved something without us.
    pub const FORCED: Self = Self(1);
    /// More was posted than we had approved.
    pub const EXCESS: Self = Self(2);
    /// The issuer declined what we had approved, or what we were not asked.
    pub const DECLINED_BY_ISSUER: Self = Self(4);
    /// Another merchant posted than the one that the card is locked to.
    pub const DRIFT: Self = Self(8);

    /// A report in another currency than the customer's, which the books cannot hold.
    pub const OTHER_CURRENCY: Self = Self(16);

    /// The purchase is disputed, or was charged back.
    pub const DISPUTED: Self = Self(32);

    /// A report on an authorization of one customer names a card of somebody else: it is not booked.
    pub const OTHER_CARD: Self = Self(64);

    /// Each flag and its word in metrics and answers.
    pub const NAMES: [(Self, &'static str); 7] = [
        (Self::FORCED, "forced"),
        (Self::EXCESS, "excess"),
        (Self::DECLINED_BY_ISSUER, "declined_by_issuer"),
        (Self::DRIFT, "drift"),
        (Self::OTHER_CURRENCY, "other_currency"),
        (Self::DISPUTED, "disputed"),
        (Self::OTHER_CARD, "other_card"),
    ];

    /// The words of those that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let set = move |(flag, _): &(Self, &str)| self.has(*flag);
        Self::NAMES.into_iter().filter(set).map(|(_, name)| name)
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the flag is set.
    #[must_use]
    pub fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    /// With this flag too, if it is set.
    #[must_use]
    pub fn with(self, flag: Self, is_set: bool) -> Self {
        Self(self.0 | if is_set { flag.0 } else { 0 })
    }

    /// Those that are set here and not in `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self(self.0 & !before.0)
    }
}

/// What policies say about what comes after an authorization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BookTerms {
    /// Whether a linked refund restores the budget (behaviour 2.13 g).
    pub refunds_restore: bool,
    /// What a full reversal gives back of a single-use card (behaviour 2.14 a).
    pub on_reversal: OnReversal,
    /// The merchant that the owner has locked the card to: another one that posts has drifted.
    pub preset_lock: Option<PresetLock>,
    /// Whether the card is for a single use, which what the issuer approves without us is too.
    pub single_use: bool,
    /// Whether the first merchant locks the card.
    pub locks_to_first: bool,
}

/// What a full reversal gives back of a single-use card (behaviour 2.14 a).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum OnReversal {
    /// Everything: any merchant may ask again.
    #[default]
    GiveBack = 0,
    /// The use, but not the lock: the same merchant may ask again.
    KeepLock = 1,
    /// Neither: nobody may ask again.
    KeepUse = 2,
}

impl OnReversal {
    /// The value of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        let mut known = [Self::GiveBack, Self::KeepLock, Self::KeepUse].into_iter();
        known.find(|it| *it as u8 == number)
    }
}
