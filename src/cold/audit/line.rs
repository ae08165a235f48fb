//! The log as JSON lines: entries in order, each checkpoint behind the entry that it covers. A line has
//! one form, so that a byte that was changed anywhere is found.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Entry;

/// A signed statement: up to this entry, the chain ends in this hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last entry that it covers.
    pub seq: i64,
    /// JSON in canonical form.
    pub text: String,
    /// Ed25519, over the text.
    pub signature: [u8; 64],
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// What happened: its text and its hash.
    Entry(String, [u8; 32]),
    /// Its text and its signature.
    Checkpoint(String, [u8; 64]),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryLine<'a> {
    #[serde(borrow)]
    entry: &'a RawValue,
    hash: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointLine<'a> {
    #[serde(borrow)]
    checkpoint: &'a RawValue,
    signature: &'a str,
}

impl From<&Entry> for Line {
    fn from(entry: &Entry) -> Self {
        Self::Entry(entry.text.clone(), entry.hash)
    }
}

impl From<&Checkpoint> for Line {
    fn from(checkpoint: &Checkpoint) -> Self {
        Self::Checkpoint(checkpoint.text.clone(), checkpoint.signature)
    }
}

impl Line {
    /// Reads one; nothing where it is none, or not in the one form.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let line = if let Ok(EntryLine { entry, hash }) = serde_json::from_str(text) {
            Self::Entry(entry.get().to_owned(), unhex(hash)?)
        } else {
            let CheckpointLine {
                checkpoint,
                signature,
            } = serde_json::from_str(text).ok()?;
            Self::Checkpoint(checkpoint.get().to_owned(), unhex(signature)?)
        };
        (line.write() == text).then_some(line)
    }

    /// Its one form, without the end of the line.
    #[must_use]
    pub fn write(&self) -> String {
        match self {
            Self::Entry(text, hash) => {
                format!("{{\"entry\":{text},\"hash\":\"{}\"}}", hex(hash))
            }
            Self::Checkpoint(text, signature) => {
                let signature = hex(signature);
                format!("{{\"checkpoint\":{text},\"signature\":\"{signature}\"}}")
            }
        }
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A String takes everything.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of as many lower-case digits as they need.
#[must_use]
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (hex(&bytes) == text).then_some(bytes)
}
