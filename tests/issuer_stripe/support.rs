//! What the tests share.

use std::fs;
use std::path::PathBuf;

use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::AuthorizationRequest;
use countersign::domain::currency::Currency;
use countersign::domain::time::Timestamp;
use countersign::issuer::delivery::{Header, Unsigned};
use countersign::issuer::stripe::{Account, Secret, Verifier};
use countersign::issuer::{Issuer, NotUnderstood, Question};

/// 2026-11-20T17:00:00Z.
pub(crate) const NOW_S: i64 = 1_795_194_000;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(NOW_S)
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::from_text(text.to_owned()).unwrap()
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

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/stripe")
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
