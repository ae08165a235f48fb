//! Checkpoints: those that were written and damaged, and those whose checksums are right and whose
//! sizes lie. What is loaded is what was written, whole (hazard C14).
//!
//! Input: flags; entries as a piece; then the damage, or the body of a forged file.

use countersign::ledger::embedded::checkpoint::{self, Builder, Loaded};
use countersign::ledger::embedded::frame::{Cursor, JournalId};
use countersign::ledger::embedded::io::Name;
use countersign::ledger::embedded::recover::RecoverError;

use super::input::Input;
use super::medium::{Medium, damage};

const ID: JournalId = JournalId(*b"a journal's name");
const HEADER_SIZE: usize = 64;

type Entries = Vec<(u64, Vec<u8>)>;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let medium = Medium::default();
    let mut written = Vec::new();
    for sequence in [20, 40].into_iter().take(1 + usize::from(flags & 1)) {
        let entries = entries(input.long_piece());
        let (name, file) = build(sequence, &entries, usize::from(flags >> 3) * 16);
        medium.files().insert(name, file);
        written.push((name, entries));
    }
    if flags & 2 != 0 {
        let name = Name::Checkpoint(60);
        medium.files().insert(name, forged(&mut input));
        if let Ok(read) = contents(&medium, name) {
            assert!(read.is_sorted_by(|(one, _), (other, _)| one < other));
        }
        medium.files().remove(&name);
    }
    let undamaged = input.is_empty();
    damage(&mut medium.files(), &mut input, &[0xa5; 600]);
    check_loaded(&medium, &written, undamaged);
}

/// The newest that verifies is one that was written, as it was written; those passed over are named.
fn check_loaded(medium: &Medium, written: &[(Name, Entries)], undamaged: bool) {
    let Loaded {
        checkpoint,
        skipped,
    } = match checkpoint::load(medium) {
        Ok(loaded) => loaded,
        Err(error) => {
            assert!(!undamaged, "{error}");
            return;
        }
    };
    assert!(
        skipped
            .iter()
            .all(|(name, _)| matches!(name, Name::Checkpoint(_)))
    );
    let Some(checkpoint) = checkpoint else {
        assert!(!undamaged && !written.is_empty());
        return;
    };
    let name = checkpoint.name();
    let (_, entries) = written.iter().find(|(known, _)| *known == name).unwrap();
    assert_eq!(checkpoint.count, entries.len() as u64);
    assert_eq!(checkpoint.journal, ID);
    let read = contents(medium, name).expect("verified before");
    assert!(read == *entries, "another checkpoint than was written");
    if undamaged {
        assert_eq!(Some(name), written.last().map(|(name, _)| *name));
    }
}

fn contents(medium: &Medium, name: Name) -> Result<Entries, RecoverError> {
    let checkpoint = checkpoint::verify(medium, name)?;
    let mut entries = checkpoint.entries(medium)?;
    let mut read = Vec::new();
    while let Some((key, state)) = entries.next()? {
        read.push((key, state.to_vec()));
    }
    Ok(read)
}

/// Keys that ascend, with their states.
fn entries(bytes: &[u8]) -> Entries {
    let mut input = Input::new(bytes);
    let mut entries: Entries = Vec::new();
    while !input.is_empty() {
        let before = entries.last().map_or(0, |(key, _)| *key);
        let key = before + 1 + u64::from(input.byte());
        let state = match input.byte() {
            255 => vec![0x5a; 70_000],
            _ => input.piece().to_vec(),
        };
        entries.push((key, state));
    }
    entries
}

fn build(sequence: u64, entries: &Entries, at_least: usize) -> (Name, Vec<u8>) {
    let covers = Cursor {
        segment: 3,
        sequence,
        chain: 0x1234_5678,
    };
    let mut builder = Builder::new(ID, covers);
    let mut file = Vec::new();
    for (key, state) in entries {
        builder.push(*key, state).unwrap();
        assert!(builder.push(*key, state).is_err(), "a key was taken twice");
        if let Some((offset, bytes)) = builder.take(at_least) {
            assert_eq!(offset, file.len() as u64);
            file.extend(bytes);
        }
    }
    let (offset, bytes, count) = builder.finish();
    assert_eq!((offset, count), (file.len() as u64, entries.len() as u64));
    file.extend(bytes);
    (Name::Checkpoint(sequence), file)
}

/// A file of blocks with right checksums: each its size, right or lying, and its body.
fn forged(input: &mut Input<'_>) -> Vec<u8> {
    let covers = Cursor {
        segment: 3,
        sequence: 60,
        chain: 0,
    };
    let (_, start, _) = Builder::new(ID, covers).finish();
    let mut file = start[..HEADER_SIZE].to_vec();
    let mut chain = u32::from_le_bytes(start[HEADER_SIZE - 4..HEADER_SIZE].try_into().unwrap());
    let mut blocks = Input::new(input.long_piece());
    while !blocks.is_empty() {
        let kind = blocks.byte();
        let body = blocks.piece();
        let size = match kind {
            0..=199 => u32::try_from(body.len()).unwrap(),
            200..=219 => 0,
            _ => u32::from(kind) << 24,
        };
        let crc = crc32c::crc32c_append(chain, &size.to_le_bytes());
        chain = crc32c::crc32c_append(crc, body);
        file.extend_from_slice(&size.to_le_bytes());
        file.extend_from_slice(&chain.to_le_bytes());
        file.extend_from_slice(body);
    }
    file
}
