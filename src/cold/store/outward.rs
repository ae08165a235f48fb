//! Rows about what issuers are to be told, and about how they are spoken to.

use std::fmt;

use crate::domain::time::Timestamp;

/// What an issuer is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// A card that was ordered, and is nowhere yet: it is looked for, and closed.
    Order,
    /// Whether a card works, as it stands when the issuer is told.
    State,
    /// What limits a card has, as they stand then.
    Rules,
    /// That a card is over, once the end that its policy sets has come.
    End,
    /// Whether each card of an agent works: it becomes one `State` for each of them.
    Agent,
    /// The same for each card of a customer.
    Customer,
}

impl Errand {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Order,
        Self::State,
        Self::Rules,
        Self::End,
        Self::Agent,
        Self::Customer,
    ];

    /// Whether it tells whether cards work.
    #[must_use]
    pub fn tells_of_standing(self) -> bool {
        match self {
            Self::State | Self::Agent | Self::Customer => true,
            Self::Order | Self::Rules | Self::End => false,
        }
    }

    /// The word in columns and views.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::State => "state",
            Self::Rules => "rules",
            Self::End => "end",
            Self::Agent => "agent",
            Self::Customer => "customer",
        }
    }
}

/// What is announced is done within this time, or not at all.
const ANNOUNCED_US: i64 = 60 * 1_000_000;

/// One thing that an issuer is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// One for each card and errand; of an order, its key.
    pub id: String,
    /// What it is about.
    pub errand: Errand,
    /// Our id of the card; of the agent or the customer where it is about all of its cards.
    pub card_id: String,
    /// Whose issuer is told.
    pub connection: String,
    /// The order as it was made; empty for the others.
    pub payload: String,
    /// Since when it waits.
    pub created_at: Timestamp,
    /// When it is tried next.
    pub due_at: Timestamp,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// Whether it is tried no more.
    pub is_dead: bool,
    /// Why it was in vain.
    pub last_error: Option<String>,
    /// Counts how often it was asked for; 0 is a row that is not kept yet.
    pub version: i64,
}

impl OutboxRow {
    /// The errand of a card, due at once.
    #[must_use]
    pub fn of_card(errand: Errand, card_id: &str, connection: &str, now: Timestamp) -> Self {
        Self {
            id: format!("{}:{card_id}", errand.name()),
            errand,
            card_id: card_id.to_owned(),
            connection: connection.to_owned(),
            payload: String::new(),
            created_at: now,
            due_at: now,
            attempts: 0,
            is_dead: false,
            last_error: None,
            version: 0,
        }
    }

    /// The errand of all cards that an agent or a customer has at a connection.
    #[must_use]
    pub fn of_owner(errand: Errand, owner_id: &str, connection: &str, now: Timestamp) -> Self {
        Self {
            id: Self::id_of_owner(errand, owner_id, connection),
            ..Self::of_card(errand, owner_id, connection, now)
        }
    }

    /// Its row's id: one for each connection.
    #[must_use]
    pub fn id_of_owner(errand: Errand, owner_id: &str, connection: &str) -> String {
        format!("{}:{owner_id}:{connection}", errand.name())
    }

    /// The same, kept before that which it is about: it is asked for anew once that is done, and is
    /// told by itself a minute later where nobody does.
    #[must_use]
    pub fn announced(self) -> Self {
        Self {
            due_at: self.due_at.plus_micros(ANNOUNCED_US),
            ..self
        }
    }

    /// The row's id of the order with this key.
    #[must_use]
    pub fn id_of_order(key: &str) -> String {
        format!("{}:{key}", Errand::Order.name())
    }
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxCounts {
    /// Rows that are tried again, orders apart.
    pub waiting: i64,
    /// Rows that are tried no more.
    pub dead: i64,
    /// Since when the oldest of the waiting ones waits.
    pub oldest_at: Option<Timestamp>,
}

/// The key of an issuer's API, sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedRow {
    /// Whose key it is.
    pub connection: String,
    /// Which of the master keys has wrapped the row's own.
    pub master_id: String,
    /// The row's own key, wrapped.
    pub wrapped: Vec<u8>,
    /// What is sealed with it.
    pub sealed: Vec<u8>,
    /// When it was set.
    pub set_at: Timestamp,
}

impl fmt::Debug for SealedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("SealedRow");
        shown
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// What we know of a card's life at its issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardOrigin {
    /// Our id of the card.
    pub card_id: String,
    /// Whether it was used before it was ours.
    pub has_past: bool,
    /// Whether it is locked here because its issuer has paused it.
    pub is_paused_there: bool,
    /// Whether its issuer does not hold the lock to its first merchant: the card was made without it.
    pub lacks_lock: bool,
}

/// Which rows of what issuers are to be told are asked for.
#[derive(Clone, Debug)]
pub enum OutboxAsked {
    /// Those of a connection that are to be tried now: what stops cards first.
    Due(String, Timestamp, usize),
    /// The one of this id.
    One(String),
    /// All behind this id.
    All(String, usize),
    /// Those behind this id that are tried no more.
    Dead(String, usize),
}
