//! The cards that the snapshot declares and the generator uses: one numbering for both.

use crate::ids::{self, Domain, UUID_SIZE};

/// The tokens must be the same in two processes, so their seed is a constant.
const CARD_SEED: u64 = 0x0c0f_fee0_ca4d_5eed;

/// How many there are. A card belongs to the agent `card mod agents`, an agent to the customer
/// `agent mod customers`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    pub(crate) cards: u64,
    pub(crate) agents: u64,
    pub(crate) customers: u64,
}

impl Fleet {
    /// As many cards, all of them one customer's.
    pub(crate) fn of_one_customer(self) -> Self {
        Self {
            customers: 1,
            ..self
        }
    }

    pub(crate) fn agent_of(&self, card: u64) -> u64 {
        card % self.agents.max(1)
    }

    pub(crate) fn customer_of(&self, agent: u64) -> u64 {
        agent % self.customers.max(1)
    }
}

/// The issuer's tokens of so many cards.
pub(crate) fn card_tokens(cards: u64) -> Vec<[u8; UUID_SIZE]> {
    (0..cards).map(card_token).collect()
}

/// The issuer's token of a card.
pub(crate) fn card_token(card: u64) -> [u8; UUID_SIZE] {
    ids::uuid(CARD_SEED, Domain::Card, card)
}
