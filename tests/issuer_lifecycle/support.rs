//! A connection of each kind that takes what nobody signed, and observations in short.

use std::fs;
use std::path::PathBuf;

use countersign::domain::lifecycle::{MovementKind, Observation, StandingStatus};
use countersign::domain::time::Timestamp;
use countersign::issuer::delivery::{Header, Unsigned};
use countersign::issuer::{Issuer, NotUnderstood, marqeta, standard_webhooks, stripe};

pub(crate) fn lithic() -> Issuer {
    let verifier = standard_webhooks::Verifier::new(Vec::new(), 300, Unsigned::Accept);
    Issuer::Lithic(verifier.unwrap())
}

pub(crate) fn stripe(livemode: Option<bool>) -> Issuer {
    Issuer::Stripe(stripe::Account {
        verifier: stripe::Verifier::new(Vec::new(), 300, Unsigned::Accept).unwrap(),
        livemode,
        account: None,
    })
}

pub(crate) fn marqeta() -> Issuer {
    let verifier = marqeta::Verifier::new(Vec::new(), Vec::new(), Unsigned::Accept);
    Issuer::Marqeta(verifier.unwrap())
}

pub(crate) fn observe<'a>(
    issuer: &Issuer,
    body: &'a str,
) -> Result<Vec<Observation<'a>>, NotUnderstood> {
    let presented = issuer.present(|_name| Header::Absent);
    let now = Timestamp::from_secs(1_795_194_000);
    let verified = issuer.verify(&presented, body.as_bytes(), now).unwrap();
    issuer.observe(&verified)
}

fn directory(issuer: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{issuer}"))
}

pub(crate) fn fixture(issuer: &str, name: &str) -> String {
    let path = directory(issuer).join(format!("event.{name}.json"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fixtures that are events, by name, in order.
pub(crate) fn names(issuer: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory(issuer))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| {
            let name = name.strip_prefix("event.")?.strip_suffix(".json")?;
            Some(name.to_owned())
        })
        .collect();
    names.sort();
    names
}

/// A movement as `kind amount`; a standing as `status held posted refunded`, with dashes for what is
/// not told.
pub(crate) fn in_short(observation: &Observation<'_>) -> (Vec<String>, Option<String>) {
    let kind = |kind| match kind {
        MovementKind::Authorized => "authorized",
        MovementKind::AuthorizedAndPosted => "authorized and posted",
        MovementKind::Declined => "declined",
        MovementKind::Replaced => "replaced",
        MovementKind::Released => "released",
        MovementKind::Expired => "expired",
        MovementKind::Posted { is_last: false } => "posted",
        MovementKind::Posted { is_last: true } => "posted last",
        MovementKind::Refunded => "refunded",
        MovementKind::RefundReversed => "refund reversed",
        MovementKind::Noted => "noted",
        MovementKind::Disputed => "disputed",
    };
    let status = |status| match status {
        StandingStatus::Pending => "pending",
        StandingStatus::Settled => "settled",
        StandingStatus::Voided => "voided",
        StandingStatus::Expired => "expired",
        StandingStatus::Declined => "declined",
        StandingStatus::Closed => "closed",
    };
    let movements = observation.movements.iter();
    let movements = movements.map(|it| format!("{} {}", kind(it.kind), it.amount));
    let told = |amount: Option<countersign::domain::amount::Minor>| {
        amount.map_or_else(|| "-".to_owned(), |amount| amount.to_string())
    };
    let standing = observation.standing.map(|it| {
        let (posted, refunded) = (told(it.posted), told(it.refunded));
        format!("{} {} {posted} {refunded}", status(it.status), it.held)
    });
    (movements.collect(), standing)
}
