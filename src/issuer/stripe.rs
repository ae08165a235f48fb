//! Stripe Issuing's real-time authorizations: the request on the synchronous webhook, and its reply.

pub(super) mod decode;
mod disputes;
pub(super) mod encode;
pub(super) mod events;
mod money;
mod reasons;
mod signature;
mod wire;

use super::delivery::{Header, Presented, SignatureRefused, VerifiedBody};
use super::wire::refuse;
use super::{Fault, NotUnderstood};
pub use signature::{HEADER, Secret, SecretInvalid, Verifier, sign};

use crate::domain::time::Timestamp;

/// One account at Stripe, as a connection is configured for it. Cannot be printed: it holds secrets.
pub struct Account {
    /// What is accepted as Stripe's.
    pub verifier: Verifier,
    /// Whether live or test events belong here; where the configuration does not say, the secret
    /// decides, because Stripe has one per endpoint and mode.
    pub livemode: Option<bool>,
    /// The connected account (`acct_…`) whose events belong here; where the configuration does not
    /// say, any.
    pub account: Option<Box<str>>,
}

impl Account {
    /// Another mode or another account than the connection's: authentic, and not ours.
    fn check_addressee(&self, livemode: bool, account: Option<&str>) -> Result<(), NotUnderstood> {
        if self.livemode.is_some_and(|live| live != livemode) {
            return refuse("livemode", Fault::OtherAddressee);
        }
        if self.account.is_some() && self.account.as_deref() != account {
            return refuse("account", Fault::OtherAddressee);
        }
        Ok(())
    }

    /// Finds the one header by its name.
    pub(super) fn present<'a>(find: impl Fn(&str) -> Header<'a>) -> Presented<'a> {
        let absent = Header::Absent;
        Presented {
            headers: [find(HEADER), absent, absent, absent, absent],
        }
    }

    pub(super) fn verify<'a>(
        &self,
        presented: &Presented<'a>,
        body: &'a [u8],
        now: Timestamp,
    ) -> Result<VerifiedBody<'a>, SignatureRefused> {
        let [signature, ..] = presented.headers;
        self.verifier.verify(signature, body, now)
    }
}
