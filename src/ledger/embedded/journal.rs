//! The journal as a state machine: frames go in, operations come out, results go in.
//!
//! `append` only copies into the open batch; one `Write` takes a whole batch (group commit without
//! a timer). The frame's sequence number is its position, and position order is append order.
//!
//! Three lanes give out operations, each at most one at a time. `Write` writes batches and, in
//! strict mode, syncs after each. `Sync` syncs in relaxed mode, while writes go on. `Create` makes
//! the next segment while the current one fills, so that a full disk shows there, long before
//! room runs out.
//!
//! INVARIANT: the first write to a segment is given out only when every frame of the segments
//! before it is durable. Recovery rests on it: a frame in a later segment proves the earlier ones.
//! The cost is one stalled batch per segment in relaxed mode.

mod batch;
mod segments;

use std::collections::VecDeque;
use std::fmt;

use super::frame::{self, Cursor, FIRST_OFFSET, JournalId, MARK_SIZE};
use super::io::{Io, IoFault, Name};
use batch::{Batch, Pool};
use segments::Segments;

/// Sequence number of a frame. "Durable through p" means every frame up to and including p.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// When a frame counts: after `fdatasync`, or once the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The write lane syncs after each batch.
    Strict,
    /// The sync lane syncs beside the writes; the shell decides how often.
    Relaxed,
}

/// What a payload is for, which matters when the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Takes room for spending: refused when only the emergency room is left.
    Reserve,
    /// Gives back, freezes or records what happened anyway: may use the emergency room.
    Release,
}

/// Sizes and mode of a journal. All sizes in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// See [`Durability`].
    pub durability: Durability,
    /// Size of a segment file, header included; at least 8 KiB.
    pub segment_size: u64,
    /// A write takes at most this much, or one frame.
    pub batch_size_max: usize,
    /// Frames not yet given to a write, and the write in flight, take at most this much memory.
    pub pending_size_max: usize,
    /// Room kept for [`Class::Release`] in the last segment and in memory.
    pub release_size: usize,
}

impl Config {
    /// The defaults in this mode: 64 MiB segments, writes of 1 MiB, 16 MiB of memory, 256 KiB kept.
    #[must_use]
    pub fn new(durability: Durability) -> Self {
        Self {
            durability,
            segment_size: 64 << 20,
            batch_size_max: 1 << 20,
            pending_size_max: 16 << 20,
            release_size: 256 << 10,
        }
    }
}

/// Why a frame was not taken. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No room in the segments and no new one to be had. Passes when space returns.
    Full,
    /// The disk does not keep up: too much is pending. Passes when it catches up.
    Behind,
    /// A write or sync failed, or the writer died. Never passes.
    Poisoned,
    /// The journal is being closed.
    Closed,
    /// The payload is above [`frame::PAYLOAD_SIZE_MAX`] or does not fit a segment.
    TooLarge,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "no room left for the journal",
            Self::Behind => "the disk does not keep up with the journal",
            Self::Poisoned => "an earlier write or sync of the journal failed",
            Self::Closed => "the journal is being closed",
            Self::TooLarge => "the payload is too large for a frame",
        })
    }
}

impl std::error::Error for Refusal {}

/// Which kind of operation to give out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Batches; in strict mode and when closing also syncs and the last mark.
    Write,
    /// Syncs in relaxed mode.
    Sync,
    /// The next segment and its directory entry.
    Create,
}

/// A place in the journal: everything through a frame, and where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The segment of the last frame; the one before the first segment if nothing was written.
    pub segment: u64,
    /// Offset in bytes behind the last frame. A reader may take all frames before it.
    pub offset: u64,
    /// The last frame.
    pub through: Position,
}

/// How far a reader may follow the files. Segments before a point's are complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Handed to the kernel; may vanish at a power loss beyond `durable`.
    pub written: Point,
    /// Synced.
    pub durable: Point,
}

/// Gives a new random number at each call; a segment's seed.
pub type Seeds = Box<dyn FnMut() -> u64 + Send>;

/// See the module's description.
pub struct Journal {
    config: Config,
    segments: Segments,
    poisoned: bool,
    closing: bool,
    next_sequence: u64,
    chain: u32,
    /// The batch that frames go to; belongs to the current segment.
    open: Batch,
    /// Closed batches, oldest first.
    queue: VecDeque<Batch>,
    pool: Pool,
    pending_size: usize,
    writing: Option<Writing>,
    syncing: Option<Point>,
    written: Point,
    /// The last data frame handed to the kernel.
    written_data: u64,
    durable: Point,
    /// What the last mark or header says has been synced.
    marked: u64,
}

#[derive(Clone, Copy, Debug)]
struct Writing {
    end: Point,
    last_data: Option<u64>,
    says: u64,
}

impl Journal {
    /// A journal that continues at the cursor, with everything before it durable. It has no
    /// segment until the create lane has been served; until then appends are refused as full.
    #[must_use]
    pub fn new(config: Config, journal: JournalId, next: Cursor, seeds: Seeds) -> Self {
        let through = next.sequence.saturating_sub(1);
        let start = Point {
            segment: next.segment.saturating_sub(1),
            offset: 0,
            through: Position(through),
        };
        Self {
            config,
            segments: Segments::new(journal, config.segment_size, seeds, next.segment),
            poisoned: false,
            closing: false,
            next_sequence: next.sequence,
            chain: next.chain,
            open: Batch::default(),
            queue: VecDeque::new(),
            pool: Pool::default(),
            pending_size: 0,
            writing: None,
            syncing: None,
            written: start,
            written_data: through,
            durable: start,
            marked: through,
        }
    }

    /// Takes a copy of the payload and gives it the next position. Cheap: no system call, and in
    /// steady state no allocation.
    ///
    /// # Errors
    /// See [`Refusal`]; a refused payload has left no trace.
    pub fn append(&mut self, payload: &[u8], class: Class) -> Result<Position, Refusal> {
        let size = frame::size(payload.len()).ok_or(Refusal::TooLarge)?;
        self.make_room(size, class)?;
        let room = self.segments.current().ok_or(Refusal::Full)?;
        if self.open.is_empty() {
            self.open
                .begin(self.pool.take(), room, &mut self.next_sequence, self.chain);
            self.pending_size += MARK_SIZE;
        }
        let sequence = self.next_sequence;
        self.chain = self.open.push(room, sequence, payload);
        self.next_sequence += 1;
        self.pending_size += size;
        Ok(Position(sequence))
    }

    /// Sees to it that the current segment and `open` can take a frame of this size, or changes nothing.
    fn make_room(&mut self, size: usize, class: Class) -> Result<(), Refusal> {
        if self.poisoned {
            return Err(Refusal::Poisoned);
        }
        if self.closing {
            return Err(Refusal::Closed);
        }
        // Room for the mark that may close the segment stays free.
        let fresh = (MARK_SIZE + size + MARK_SIZE) as u64;
        if FIRST_OFFSET + fresh > self.config.segment_size {
            return Err(Refusal::TooLarge);
        }
        let kept = match class {
            Class::Reserve => self.config.release_size,
            Class::Release => 0,
        };
        let memory_max = self.config.pending_size_max + self.config.release_size - kept;
        if self.pending_size + size > memory_max {
            return Err(Refusal::Behind);
        }
        let joins = self.open.takes(size, self.config.batch_size_max);
        let need = if joins {
            (size + MARK_SIZE) as u64
        } else {
            fresh
        };
        let left = self.segments.left();
        let has_spare = self.segments.has_spare();
        let enough = if has_spare {
            left >= need
        } else {
            left >= need + kept as u64
        };
        if enough {
            if !joins {
                self.close_batch();
            }
            return Ok(());
        }
        if !self.segments.advance() {
            return Err(Refusal::Full);
        }
        self.close_batch();
        Ok(())
    }

    fn close_batch(&mut self) {
        if !self.open.is_empty() {
            self.queue.push_back(std::mem::take(&mut self.open));
        }
    }

    /// The next operation of this lane, if it has one to give. The shell executes it and hands it
    /// back to [`Journal::complete`]; the lane gives nothing until then.
    pub fn next_io(&mut self, lane: Lane) -> Option<Io> {
        if self.poisoned {
            return None;
        }
        match lane {
            Lane::Write => self.next_write(),
            Lane::Sync => {
                let ours = self.config.durability == Durability::Relaxed && !self.closing;
                (ours && self.is_sync_due()).then(|| self.begin_sync())
            }
            Lane::Create if self.closing => None,
            Lane::Create => self.segments.next_io(self.durable.through.0),
        }
    }

    fn next_write(&mut self) -> Option<Io> {
        if self.writing.is_some() {
            return None;
        }
        if self.config.durability == Durability::Strict || self.closing {
            if self.syncing.is_some() {
                return None;
            }
            if self.is_sync_due() {
                return Some(self.begin_sync());
            }
        }
        if self.is_leaving() {
            return None;
        }
        if self.queue.is_empty() {
            self.close_batch();
        }
        if let Some(batch) = self.queue.pop_front() {
            return Some(self.begin_write(batch));
        }
        if self.closing {
            return self.close_with_mark();
        }
        None
    }

    /// What remains once all is written and synced: the last mark, and its own sync.
    fn close_with_mark(&mut self) -> Option<Io> {
        if let Some(mark) = self.idle_mark() {
            return Some(mark);
        }
        (self.written.through > self.durable.through).then(|| self.begin_sync())
    }

    /// A write of a mark alone, if what it would say is news. Shells ask when nothing has been
    /// pending for a while; nobody waits for it and it is not synced.
    pub fn idle_mark(&mut self) -> Option<Io> {
        let busy = self.writing.is_some() || !self.queue.is_empty() || !self.open.is_empty();
        if busy || !self.wants_mark() {
            return None;
        }
        let room = self.segments.current()?;
        let fits = room.end + MARK_SIZE as u64 <= self.config.segment_size;
        if !fits || room.segment != self.written.segment {
            return None;
        }
        let mut batch = Batch::default();
        batch.begin(self.pool.take(), room, &mut self.next_sequence, self.chain);
        self.pending_size += MARK_SIZE;
        let io = self.begin_write(batch);
        // The next frame's chain is this mark's CRC, known only now that the mark is filled in.
        if let Io::Write { bytes, .. } = &io {
            self.chain = frame::u32_at(bytes, 4).unwrap_or_default();
        }
        Some(io)
    }

    fn begin_write(&mut self, batch: Batch) -> Io {
        let says = self.durable.through.0;
        let end = Point {
            segment: batch.segment(),
            offset: batch.end(),
            through: Position(batch.last_sequence()),
        };
        self.writing = Some(Writing {
            end,
            last_data: batch.last_data(),
            says,
        });
        let (name, offset, bytes) = batch.seal(says);
        Io::Write {
            name,
            offset,
            bytes,
        }
    }

    /// Whether data is written and not synced, or a segment must be synced to be left.
    fn is_sync_due(&self) -> bool {
        self.syncing.is_none() && (self.written_data > self.durable.through.0 || self.is_leaving())
    }

    /// Whether the next batch opens a segment and must wait for the sync of the one before.
    fn is_leaving(&self) -> bool {
        let next = self.queue.front().unwrap_or(&self.open);
        !next.is_empty()
            && next.segment() != self.written.segment
            && self.durable.through < self.written.through
    }

    fn begin_sync(&mut self) -> Io {
        self.syncing = Some(self.written);
        Io::Sync {
            name: Name::Segment(self.written.segment),
        }
    }

    /// Takes back an operation that [`Journal::next_io`] gave out, with its result. A failed
    /// write or sync, of a file or of the directory, poisons the journal for ever: what the
    /// kernel holds is then unknown and a second sync could claim success for lost bytes.
    pub fn complete(&mut self, io: Io, result: Result<(), IoFault>) {
        match io {
            Io::Write { bytes, .. } => self.complete_write(bytes, result),
            Io::Sync { .. } => self.complete_sync(result),
            Io::Create { .. } => self.segments.complete_create(result),
            Io::SyncDir => {
                if !self.segments.complete_naming(result) {
                    self.poison();
                }
            }
            Io::CreateEmpty { .. }
            | Io::Truncate { .. }
            | Io::Rewrite { .. }
            | Io::Rename { .. }
            | Io::Remove { .. } => debug_assert!(false, "the journal gives out no such operation"),
        }
    }

    fn complete_write(&mut self, bytes: Vec<u8>, result: Result<(), IoFault>) {
        let writing = self.writing.take();
        self.pending_size = self.pending_size.saturating_sub(bytes.len());
        self.pool.give(bytes);
        match (writing, result) {
            (Some(writing), Ok(())) if !self.poisoned => {
                self.written = writing.end;
                self.written_data = writing.last_data.unwrap_or(self.written_data);
                self.marked = self.marked.max(writing.says);
            }
            _ => self.poison(),
        }
    }

    fn complete_sync(&mut self, result: Result<(), IoFault>) {
        match (self.syncing.take(), result) {
            (Some(point), Ok(())) if !self.poisoned => self.durable = point,
            _ => self.poison(),
        }
    }

    /// Lets the create lane try again after a failure. The shell calls it in its own time.
    pub fn retry_create(&mut self) {
        self.segments.retry();
    }

    /// Stops appends. The write lane then gives what is pending, a sync, a last mark and its sync;
    /// when it has nothing more to give and nothing is in flight, all is durable.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// Stops the journal for ever; for shells whose thread dies.
    pub fn poison(&mut self) {
        self.poisoned = true;
    }

    /// Whether [`Journal::close`] was called.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Whether closing is done: nothing is pending or in flight, and all is durable or never will.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let idle = self.writing.is_none() && self.syncing.is_none();
        let drained = self.open.is_empty()
            && self.queue.is_empty()
            && self.written.through == self.durable.through;
        self.closing && idle && (self.poisoned || drained)
    }

    /// The last position that was given out, written or not.
    #[must_use]
    pub fn appended(&self) -> Position {
        Position(self.next_sequence.saturating_sub(1))
    }

    /// The configured mode.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.config.durability
    }

    /// Through which frame the kernel has everything.
    #[must_use]
    pub fn written(&self) -> Position {
        self.written.through
    }

    /// Through which frame everything survives a power loss.
    #[must_use]
    pub fn durable(&self) -> Position {
        self.durable.through
    }

    /// Whether a write or sync failed; no frame becomes durable any more.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Whether a [`Class::Reserve`] payload of 256 bytes would be refused for lack of room; smaller
    /// ones may find some a little longer.
    #[must_use]
    pub fn is_full(&self) -> bool {
        const PAYLOAD_SIZE: usize = 256;
        let frame = frame::FRAME_OVERHEAD_SIZE + PAYLOAD_SIZE;
        let least = MARK_SIZE + frame + MARK_SIZE + self.config.release_size;
        !self.segments.has_spare() && self.segments.left() < least as u64
    }

    /// Whether the last attempt at a new segment failed: an alarm, long before [`Journal::is_full`].
    #[must_use]
    pub fn is_create_failed(&self) -> bool {
        self.segments.is_failed()
    }

    /// Whether the create lane has something to give.
    #[must_use]
    pub fn wants_create(&self) -> bool {
        !self.poisoned && !self.closing && self.segments.wants_io()
    }

    /// Whether a sync is under way.
    #[must_use]
    pub fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// Whether frames wait for a write that nobody has been given.
    #[must_use]
    pub fn is_write_pending(&self) -> bool {
        let pends = !self.open.is_empty() || !self.queue.is_empty();
        pends && self.writing.is_none() && !self.poisoned
    }

    /// Whether something written is not synced, in relaxed mode: the shell's period begins.
    #[must_use]
    pub fn wants_sync(&self) -> bool {
        self.config.durability == Durability::Relaxed && !self.poisoned && self.is_sync_due()
    }

    /// Whether writes wait for a sync, in relaxed mode: the shell must not let its period pass.
    #[must_use]
    pub fn wants_sync_at_once(&self) -> bool {
        self.wants_sync() && self.is_leaving()
    }

    /// Whether [`Journal::idle_mark`] would have news once everything pending is out.
    #[must_use]
    pub fn wants_mark(&self) -> bool {
        // That a mark was synced is no news, or every mark would ask for the next.
        !self.poisoned && self.durable.through.0.min(self.written_data) > self.marked
    }

    /// How far readers may follow the files.
    #[must_use]
    pub fn tail(&self) -> Tail {
        Tail {
            written: self.written,
            durable: self.durable,
        }
    }

    /// Segments below this number are complete and durable: they may be merged.
    #[must_use]
    pub fn sealed_before(&self) -> u64 {
        // Everything recovered was sealed by its recovery; `offset` 0 means nothing written since.
        if self.written.offset == 0 {
            self.written.segment + 1
        } else {
            self.written.segment
        }
    }
}
