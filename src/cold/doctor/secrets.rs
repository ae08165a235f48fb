//! The configured secrets: strong enough, hidden from others, not too old. None is ever shown.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;

use super::Check;
use crate::config::SecretSource;
use crate::domain::time::Timestamp;

const NAME: &str = "secret";
const STANDARD_PREFIX: &str = "whsec_";
/// 24 bytes are what Standard Webhooks asks for.
const STRENGTH_MIN: usize = 16;
const STRENGTH_GOOD: usize = 24;
/// Fewer different bytes are no chance's work.
const DIFFERENT_MIN: usize = 8;
const AGE_DAYS_MAX: u64 = 365;

pub(super) fn checks(sources: &[SecretSource], now: Timestamp) -> Vec<Check> {
    sources.iter().map(|source| check(source, now)).collect()
}

fn check(source: &SecretSource, now: Timestamp) -> Check {
    let place = &source.place;
    let text = match source.read() {
        Ok(text) => text,
        Err(why) => return Check::fail(NAME, format!("{place}: {why}"), "put the secret there"),
    };
    let strength = strength(text.expose_secret());
    if strength < STRENGTH_MIN {
        let seen = format!("{place}: weak, worth {strength} bytes at most");
        return Check::fail(NAME, seen, "have the issuer make a new one");
    }
    if strength < STRENGTH_GOOD {
        let seen = format!("{place}: short, worth {strength} bytes at most");
        return Check::warn(NAME, seen, "have the issuer make a longer one, if it can");
    }
    let remedies = Remedies {
        anew: "chmod 0400, and have the issuer make a new one",
        rotate: "rotate it: put the new one beside the old one in `secrets`, then take the old one away",
    };
    place_of(source, &remedies, now)
}

/// The password of the mail server: its strength is for whoever runs that to judge.
pub(super) fn of_mail(source: &SecretSource, now: Timestamp) -> Check {
    if let Err(why) = source.read() {
        let seen = format!("{}: {why}", source.place);
        return Check::fail(NAME, seen, "put the password there");
    }
    let remedies = Remedies {
        anew: "chmod 0400, and set another password at the mail server",
        rotate: "set another password at the mail server and in this file",
    };
    place_of(source, &remedies, now)
}

/// What to do where others can read a secret, and where it is old.
struct Remedies {
    anew: &'static str,
    rotate: &'static str,
}

fn place_of(source: &SecretSource, remedies: &Remedies, now: Timestamp) -> Check {
    let place = &source.place;
    let Some(path) = source.path() else {
        let seen = format!("{place}: in the environment, which the process's user can read");
        return Check::ok(NAME, seen);
    };
    match fs::metadata(path) {
        Ok(meta) => judge_file(place, &meta, remedies, now),
        Err(error) => Check::fail(NAME, format!("{place}: {error}"), "put the secret there"),
    }
}

fn judge_file(place: &str, meta: &Metadata, remedies: &Remedies, now: Timestamp) -> Check {
    let mode = meta.mode() & 0o777;
    if mode & 0o007 != 0 {
        let seen = format!("{place}: mode {mode:04o}, anybody on the machine has it");
        return Check::fail(NAME, seen, remedies.anew);
    }
    if mode & 0o020 != 0 {
        let seen = format!("{place}: mode {mode:04o}, its group may change it");
        return Check::fail(NAME, seen, "chmod 0400");
    }
    let written = meta.modified().ok();
    let written = written.and_then(|it| it.duration_since(UNIX_EPOCH).ok());
    let now_s = u64::try_from(now.secs()).unwrap_or_default();
    let age_days = written.map_or(0, |it| now_s.saturating_sub(it.as_secs()) / 86_400);
    let seen = format!("{place}: mode {mode:04o}, {age_days} days old");
    if age_days > AGE_DAYS_MAX {
        return Check::warn(NAME, seen, remedies.rotate);
    }
    Check::ok(NAME, seen)
}

/// How many bytes of chance the text may be worth: what it encodes, and no more than its different
/// bytes allow.
fn strength(text: &str) -> usize {
    let text = text.trim();
    let decoded = text
        .strip_prefix(STANDARD_PREFIX)
        .and_then(|encoded| STANDARD.decode(encoded).ok());
    let bytes = decoded.as_deref().unwrap_or(text.as_bytes());
    let mut different = bytes.to_vec();
    different.sort_unstable();
    different.dedup();
    if different.len() < DIFFERENT_MIN {
        different.len()
    } else {
        bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strength_counts_what_is_encoded_and_what_differs() {
        let encoded = |bytes: &[u8]| format!("{STANDARD_PREFIX}{}", STANDARD.encode(bytes));
        let bytes: Vec<u8> = (0..32).collect();
        assert_eq!(strength(&encoded(&bytes)), 32);
        assert_eq!(strength(&encoded(&bytes[..24])), 24);
        assert_eq!(strength(&encoded(&[7; 32])), 1);
        assert_eq!(strength("a password of thirty letters.."), 30);
        assert_eq!(strength("aaaaaaaaaaaaaaaaaaaaaaaa"), 1);
        assert_eq!(strength(""), 0);
    }
}
