//! What an authorization does to its card and may have to give back.

use crate::domain::time::Timestamp;
use crate::ledger::state::MerchantLock;

/// What a card had of an authorization that was undone, should it be posted after all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Taken {
    pub(in crate::ledger) consumed_at: Option<Timestamp>,
    pub(in crate::ledger) probe: Option<u64>,
    pub(in crate::ledger) was_under_lock: bool,
    pub(in crate::ledger) lock: Option<Box<MerchantLock>>,
}

/// What an authorization does to its card where the issuer has approved it and no approval of ours
/// stands: there was none, or it turned out not to have left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Uses {
    /// Whether it consumes the card, which is for a single use.
    pub(in crate::ledger) consumes: bool,
    /// When it has.
    pub(in crate::ledger) consumed_at: Option<Timestamp>,
    /// The merchant that it locks the card to.
    pub(in crate::ledger) lock: Option<Box<MerchantLock>>,
}
