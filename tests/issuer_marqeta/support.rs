//! What the tests share.

use countersign::domain::authorization::AuthorizationRequest;
use countersign::domain::time::Timestamp;
use countersign::issuer::delivery::{Header, Unsigned};
use countersign::issuer::marqeta::Verifier;
use countersign::issuer::{Issuer, NotUnderstood, Question};

use crate::fixture_files::Fixtures;
pub(crate) use crate::fixture_files::{amount, minor};

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(1_795_194_000)
}

/// Decodes what came without credentials, over a connection that takes that.
pub(crate) fn question(body: &[u8]) -> Result<Question<'_>, NotUnderstood> {
    let open = Verifier::new(Vec::new(), Vec::new(), Unsigned::Accept).unwrap();
    let open = Issuer::Marqeta(open);
    let presented = open.present(|_name| Header::Absent);
    let verified = open.verify(&presented, body, now()).unwrap();
    open.decode(&verified)
}

pub(crate) fn decode(body: &[u8]) -> Result<AuthorizationRequest<'_>, NotUnderstood> {
    question(body).map(|question| question.request)
}

pub(crate) const FIXTURES: Fixtures = Fixtures("marqeta");

pub(crate) fn fixture(name: &str) -> String {
    FIXTURES.get(name)
}

pub(crate) fn fixture_names() -> Vec<String> {
    FIXTURES.names()
}
