//! The merchant that a card was made for, to compare and to show (behaviour 2.14 c).

use crate::domain::acceptor::Country;
use crate::domain::claims::PresetLock;
use crate::domain::mcc::Mcc;

/// A merchant lock that was set when the card was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresetMerchant {
    /// What an authorization's merchant is compared with.
    pub lock: PresetLock,
    /// What the document says of it.
    pub named: PresetName,
}

/// A merchant as a document names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresetName {
    /// By the network's own identity.
    #[expect(missing_docs, reason = "each is the field of the same name")]
    Ids {
        acquirer_id: Box<str>,
        acceptor_id: Box<str>,
    },
    /// By what the message says about it.
    #[expect(missing_docs, reason = "each is the field of the same name")]
    Text {
        descriptor: Box<str>,
        mcc: Mcc,
        country: Country,
    },
}
