//! The issuer's question, decoded: may this purchase happen now?

use std::borrow::Cow;

use super::acceptor::CardAcceptor;
use super::amount::{Amount, Minor};

/// What kind of question it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum AuthorizationKind {
    /// A purchase that a clearing follows.
    Authorization = 0,
    /// Authorization and clearing in one message [MTI x2xx].
    SingleMessage = 1,
    /// Money back to the card; approved in any status of the card (behaviour 2.14 i).
    Credit = 2,
    /// A question about the available balance, without an amount.
    BalanceInquiry = 3,
}

impl AuthorizationKind {
    /// The kind of a number read back from storage.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [
            Self::Authorization,
            Self::SingleMessage,
            Self::Credit,
            Self::BalanceInquiry,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == number)
    }

    /// Whether money would leave the card.
    #[must_use]
    pub fn spends(self) -> bool {
        match self {
            Self::Authorization | Self::SingleMessage => true,
            Self::BalanceInquiry | Self::Credit => false,
        }
    }
}

/// One authentic, understood step of an authorization. Borrowed from the body it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationRequest<'a> {
    /// The issuer's id of the authorization; later messages about it carry the same one.
    pub authorization: Cow<'a, str>,
    /// The issuer's own name of this step, where it has one (behaviour 2.5).
    pub step: Option<Cow<'a, str>>,
    /// The delivery that brought the message (a webhook id), where the issuer names it.
    pub delivery: Option<Cow<'a, str>>,
    /// What is asked.
    pub kind: AuthorizationKind,
    /// The issuer's token of the card.
    pub card_token: Cow<'a, str>,
    /// What an approval reserves, in the card's billing currency: the larger of the cardholder's
    /// amount and the issuer's hold (behaviour 2.6).
    pub amount: Amount,
    /// The part of it that comes out as cash.
    pub cash: Minor,
    /// The merchant's amount in the merchant's currency; informative.
    pub merchant_amount: Option<Amount>,
    /// The merchant.
    pub acceptor: CardAcceptor<'a>,
    /// Whether the terminal can take a partial approval.
    pub partial_approval_capable: bool,
    /// Whether the card itself was read; absent where the message does not say.
    pub card_present: Option<bool>,
    /// Whether the merchant asks by itself, by an agreement with the cardholder; false where the message
    /// does not say.
    pub merchant_initiated: bool,
    /// The network's risk score, 0 (none) to 99; absent where the message has none.
    pub risk_score: Option<u8>,
}
