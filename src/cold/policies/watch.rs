//! When to read a file that others write: once it has been at rest from one look to the next.

use super::source::Stamp;

/// Looks without a file before that is said: a file that is replaced may be away for a moment.
const GONE_LOOKS: u32 = 3;

/// What a look comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing to do.
    Nothing,
    /// The file is another than the one read, and at rest.
    Read,
    /// The file is away, for the third look in a row.
    Gone,
}

/// Remembers what the looks before have seen.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// At the look before.
    seen: Option<Stamp>,
    /// When it was read last, at rest.
    read: Option<Stamp>,
    /// Looks in a row that saw no file.
    missed: u32,
}

impl Watch {
    /// Takes a look. A file that is told to be read counts as read from then on.
    pub(super) fn look(&mut self, stamp: Option<Stamp>) -> Look {
        let before = std::mem::replace(&mut self.seen, stamp);
        let Some(now) = stamp else {
            self.read = None;
            self.missed = self.missed.saturating_add(1);
            return if self.missed == GONE_LOOKS {
                Look::Gone
            } else {
                Look::Nothing
            };
        };
        self.missed = 0;
        // A writer that is at work between two looks moves the time of the change; one that comes
        // after the file has rested for a whole interval does too, whatever the clock's grain.
        if before == stamp && self.read != stamp {
            self.read = Some(now);
            Look::Read
        } else {
            Look::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(stamps: &[u64]) -> Vec<Look> {
        let mut watch = Watch::default();
        let stamp = |number: &u64| (*number > 0).then(|| Stamp::numbered(*number));
        stamps.iter().map(|it| watch.look(stamp(it))).collect()
    }

    #[test]
    fn a_file_is_read_once_it_rests_and_then_not_again() {
        use Look::{Nothing, Read};
        assert_eq!(looks(&[1, 1, 1, 1]), [Nothing, Read, Nothing, Nothing]);
        let written_bit_by_bit = looks(&[1, 1, 2, 3, 4, 4, 4]);
        let expected = [Nothing, Read, Nothing, Nothing, Nothing, Read, Nothing];
        assert_eq!(written_bit_by_bit, expected);
    }

    #[test]
    fn a_file_that_is_away_for_long_is_told_once_and_read_when_it_is_back() {
        use Look::{Gone, Nothing, Read};
        let replaced = looks(&[1, 1, 0, 1, 1]);
        assert_eq!(replaced, [Nothing, Read, Nothing, Nothing, Read]);
        let gone = looks(&[1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0]);
        let expected = [
            Nothing, Read, Nothing, Nothing, Gone, Nothing, Nothing, Nothing, Read, Nothing,
            Nothing, Gone,
        ];
        assert_eq!(gone, expected);
    }
}
