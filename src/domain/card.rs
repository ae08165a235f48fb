//! Customers, agents, cards, connections: their ids and states.

/// A hash of an id that is stable for the life of a data directory; two ids never share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u128);

/// Whether a card may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum CardStatus {
    /// In use.
    #[default]
    Active = 0,
    /// Refused until unlocked.
    Locked = 1,
    /// Refused for ever.
    Canceled = 2,
}

impl CardStatus {
    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Canceled => "canceled",
        }
    }

    /// The status that is kept as this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        let all = [Self::Active, Self::Locked, Self::Canceled];
        all.into_iter().find(|known| *known as u8 == number)
    }
}

/// Whether an agent's cards may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum AgentStatus {
    /// At work.
    #[default]
    Active = 0,
    /// Halted by its owner for a while.
    Paused = 1,
    /// Halted for good.
    Disabled = 2,
}

impl AgentStatus {
    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }

    /// The status that is kept as this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        let all = [Self::Active, Self::Paused, Self::Disabled];
        all.into_iter().find(|known| *known as u8 == number)
    }
}

/// Whether a customer's cards may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum CustomerStatus {
    /// In good standing.
    #[default]
    Active = 0,
    /// All cards refused.
    Suspended = 1,
}

impl CustomerStatus {
    /// Suspended where either says so.
    #[must_use]
    pub fn stricter(self, other: Self) -> Self {
        if self == Self::Active { other } else { self }
    }

    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    /// The status that is kept as this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        let all = [Self::Active, Self::Suspended];
        all.into_iter().find(|known| *known as u8 == number)
    }
}

/// How many authorizations a card is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Usage {
    /// As many as the limits allow.
    #[default]
    Multi = 0,
    /// The first approved one consumes the card (behaviour 2.14 a).
    Single = 1,
}

/// The levels at which a policy may stand, widest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// One card.
    Card = 0,
    /// All cards of an agent.
    Agent = 1,
    /// All agents of a customer.
    Customer = 2,
}

impl Level {
    /// The levels in the order in which their limits are checked.
    pub const ALL: [Self; 3] = [Self::Card, Self::Agent, Self::Customer];

    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Agent => "agent",
            Self::Customer => "customer",
        }
    }
}
