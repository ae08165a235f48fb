//! One entry of a log that several nodes share (decision 0028).
//!
//! Each owner has a log of its own. An entry holds the events of one command; it is appended only where
//! the log is as long as whoever decided the command knew it to be. Numbers that every node gives for
//! itself do not stand in it: states have none, and a step is named by its place in its authorization.

use crate::domain::card::Key;
use crate::ledger::codec::{Malformed, Put as _, Reader};

/// By what an entry is known again when it is sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryId(pub u128);

impl EntryId {
    /// What stands before the first entry.
    pub const NONE: Self = Self(0);

    /// Its bytes, as entries have them.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// By what it is known again.
    pub id: EntryId,
    /// The entry that stands before it in the log, so that a log that lost its end and grew again is known
    /// to be another one; [`EntryId::NONE`] before the first.
    pub after: EntryId,
    /// The authorization that the events are about.
    pub authorization: Key,
    /// The events, as journals have them.
    pub events: &'a [u8],
}

/// The layout; another one gets another number.
const LAYOUT: u8 = 2;
/// Of what stands before the events.
pub const HEAD_SIZE: usize = 49;

impl<'a> Entry<'a> {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_SIZE + self.events.len());
        out.push(LAYOUT);
        out.put_key(Key(self.id.0));
        out.put_key(Key(self.after.0));
        out.put_key(self.authorization);
        out.extend_from_slice(self.events);
        out
    }

    /// Reads what [`Entry::encode`] made. The events are looked at when they are applied.
    ///
    /// # Errors
    /// [`Malformed`] where it is none of this layout.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != LAYOUT {
            return Err(Malformed);
        }
        Ok(Self {
            id: EntryId(reader.key()?.0),
            after: EntryId(reader.key()?.0),
            authorization: reader.key()?,
            events: reader.rest(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let entry = Entry {
            id: EntryId(u128::MAX - 7),
            after: EntryId(9),
            authorization: Key(5),
            events: b"events",
        };
        let bytes = entry.encode();
        assert_eq!(Entry::decode(&bytes), Ok(entry));
        assert_eq!(
            bytes[1..17],
            entry.id.to_bytes(),
            "where the function looks for it"
        );
        for size in 0..49 {
            assert_eq!(Entry::decode(&bytes[..size]), Err(Malformed), "{size}");
        }
        let mut newer = bytes;
        newer[0] = 3;
        assert_eq!(Entry::decode(&newer), Err(Malformed));
    }
}
