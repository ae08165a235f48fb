//! A decoded question, with what its answer will need of it.

use crate::domain::amount::Amount;
use crate::domain::authorization::{AuthorizationKind, AuthorizationRequest};

/// One authentic, understood body.
#[derive(Debug)]
pub struct Question<'a> {
    /// What is asked.
    pub request: AuthorizationRequest<'a>,
    /// What makes two messages of one step the same message.
    pub same_by: SameBy,
    /// What an answer repeats of the question.
    pub form: ReplyForm,
}

/// What makes two messages of one step the same message (behaviour 2.4, 2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameBy {
    /// The same bytes: the issuer delivers the body again as it was.
    Body,
    /// The same card, amount and merchant: around them the issuer puts an envelope that is made anew
    /// for each delivery.
    Purchase,
}

/// What an answer needs to know of its question. Outlives the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyForm {
    /// What kind of question it was.
    pub kind: AuthorizationKind,
    /// What was asked for.
    pub amount: Amount,
    /// The beginning of the reply, where the issuer wants its own ids repeated. Only such an issuer's
    /// questions allocate for it.
    pub(super) echo: Option<Box<str>>,
}

impl ReplyForm {
    /// For an issuer that wants nothing repeated.
    #[must_use]
    pub fn new(kind: AuthorizationKind, amount: Amount) -> Self {
        Self {
            kind,
            amount,
            echo: None,
        }
    }
}
