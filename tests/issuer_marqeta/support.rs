//! What the tests share.

use std::fs;
use std::path::PathBuf;

use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::AuthorizationRequest;
use countersign::domain::currency::Currency;
use countersign::domain::time::Timestamp;
use countersign::issuer::delivery::{Header, Unsigned};
use countersign::issuer::marqeta::Verifier;
use countersign::issuer::{Issuer, NotUnderstood, Question};

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(1_795_194_000)
}

pub(crate) fn minor(minor: i64) -> Minor {
    Minor::new(minor).unwrap()
}

pub(crate) fn amount(count: i64, currency: &str) -> Amount {
    Amount {
        minor: minor(count),
        currency: Currency::parse(currency).unwrap(),
    }
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

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/marqeta")
}

pub(crate) fn fixture(name: &str) -> String {
    let path = directory().join(format!("{name}.json"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fixtures that are requests, by name, in order.
pub(crate) fn fixture_names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".reply.json") && !name.starts_with("event."))
        .map(|name| name.strip_suffix(".json").unwrap().to_owned())
        .collect();
    names.sort();
    names
}
