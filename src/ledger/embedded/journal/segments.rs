//! The segment that frames go to, the spare behind it, and the making of the next spare.

use super::Seeds;
use crate::ledger::embedded::frame::{FIRST_OFFSET, JournalId, SegmentHeader, SegmentKey};
use crate::ledger::embedded::io::{Io, IoFault};

/// A segment that frames go to, or will.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) segment: u64,
    pub(super) key: SegmentKey,
    /// Where the next frame goes.
    pub(super) end: u64,
}

#[derive(Debug)]
enum Creation {
    Idle,
    Creating(Room),
    /// The file stands; its name must become durable.
    Created(Room),
    Naming(Room),
    /// Waits for `retry`.
    Failed,
}

pub(super) struct Segments {
    journal: JournalId,
    size: u64,
    seeds: Seeds,
    current: Option<Room>,
    spare: Option<Room>,
    creation: Creation,
    next_segment: u64,
}

impl Segments {
    pub(super) fn new(journal: JournalId, size: u64, seeds: Seeds, next_segment: u64) -> Self {
        Self {
            journal,
            size,
            seeds,
            current: None,
            spare: None,
            creation: Creation::Idle,
            next_segment,
        }
    }

    pub(super) fn current(&mut self) -> Option<&mut Room> {
        self.current.as_mut()
    }

    /// Bytes left in the current segment; 0 if there is none.
    pub(super) fn left(&self) -> u64 {
        self.current
            .as_ref()
            .map_or(0, |room| self.size.saturating_sub(room.end))
    }

    pub(super) fn has_spare(&self) -> bool {
        self.spare.is_some()
    }

    /// Goes on in the spare, if there is one.
    pub(super) fn advance(&mut self) -> bool {
        let spare = self.spare.take();
        let advanced = spare.is_some();
        if advanced {
            self.current = spare;
        }
        advanced
    }

    pub(super) fn next_io(&mut self, synced_through: u64) -> Option<Io> {
        match std::mem::replace(&mut self.creation, Creation::Idle) {
            Creation::Idle if self.spare.is_none() => Some(self.create(synced_through)),
            Creation::Created(room) => {
                self.creation = Creation::Naming(room);
                Some(Io::SyncDir)
            }
            unchanged @ (Creation::Idle
            | Creation::Creating(_)
            | Creation::Naming(_)
            | Creation::Failed) => {
                self.creation = unchanged;
                None
            }
        }
    }

    fn create(&mut self, synced_through: u64) -> Io {
        let segment = self.next_segment;
        let seed = (self.seeds)();
        let header = SegmentHeader {
            journal: self.journal,
            segment,
            seed,
            synced_through,
        };
        self.creation = Creation::Creating(Room {
            segment,
            key: header.key(),
            end: FIRST_OFFSET,
        });
        Io::Create {
            segment,
            size: self.size,
            header: header.encode().to_vec(),
        }
    }

    /// A failed create leaves nothing that counts: the next attempt makes another file.
    pub(super) fn complete_create(&mut self, result: Result<(), IoFault>) {
        match (
            std::mem::replace(&mut self.creation, Creation::Failed),
            result,
        ) {
            (Creation::Creating(room), Ok(())) => self.creation = Creation::Created(room),
            (_, Ok(())) => debug_assert!(false, "a create completed that was not given out"),
            (_, Err(_)) => {}
        }
    }

    /// Whether the name is durable; if not, the journal cannot go on.
    pub(super) fn complete_naming(&mut self, result: Result<(), IoFault>) -> bool {
        let Creation::Naming(room) = std::mem::replace(&mut self.creation, Creation::Idle) else {
            return false;
        };
        if result.is_err() {
            return false;
        }
        self.next_segment = room.segment + 1;
        let place = if self.current.is_none() {
            &mut self.current
        } else {
            &mut self.spare
        };
        *place = Some(room);
        true
    }

    pub(super) fn retry(&mut self) {
        if self.is_failed() {
            self.creation = Creation::Idle;
        }
    }

    pub(super) fn is_failed(&self) -> bool {
        matches!(self.creation, Creation::Failed)
    }

    pub(super) fn wants_io(&self) -> bool {
        match self.creation {
            Creation::Idle => self.spare.is_none(),
            Creation::Created(_) => true,
            Creation::Creating(_) | Creation::Naming(_) | Creation::Failed => false,
        }
    }
}
