//! What the tests share.

use countersign::domain::authorization::AuthorizationRequest;
use countersign::domain::time::Timestamp;
use countersign::issuer::delivery::{Header, Unsigned};
use countersign::issuer::stripe::{Account, Secret, Verifier};
use countersign::issuer::{Issuer, NotUnderstood, Question};

use crate::fixture_files::Fixtures;
pub(crate) use crate::fixture_files::{amount, minor};

/// 2026-11-20T17:00:00Z.
pub(crate) const NOW_S: i64 = 1_795_194_000;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(NOW_S)
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::from_text(text.to_owned()).unwrap()
}

/// A connection that takes what nobody signed, of these modes and accounts.
pub(crate) fn open(livemode: Option<bool>, account: Option<&str>) -> Issuer {
    Issuer::Stripe(Account {
        verifier: Verifier::new(Vec::new(), 300, Unsigned::Accept).unwrap(),
        livemode,
        account: account.map(Into::into),
    })
}

pub(crate) fn question_of<'a>(
    issuer: &Issuer,
    body: &'a [u8],
) -> Result<Question<'a>, NotUnderstood> {
    let presented = issuer.present(|_name| Header::Absent);
    let verified = issuer.verify(&presented, body, now()).unwrap();
    issuer.decode(&verified)
}

pub(crate) fn question(body: &[u8]) -> Result<Question<'_>, NotUnderstood> {
    question_of(&open(None, None), body)
}

pub(crate) fn decode(body: &[u8]) -> Result<AuthorizationRequest<'_>, NotUnderstood> {
    question(body).map(|question| question.request)
}

pub(crate) const FIXTURES: Fixtures = Fixtures("stripe");

pub(crate) fn fixture(name: &str) -> String {
    FIXTURES.get(name)
}

pub(crate) fn fixture_names() -> Vec<String> {
    FIXTURES.names()
}
