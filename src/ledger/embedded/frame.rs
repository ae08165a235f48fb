//! How bytes lie in a segment: one header, then frames.
//!
//! ```text
//! header  magic 8 | format u32 | journal 16 | segment u64 | seed u64 | synced through u64 | 0 u64 | crc u32
//! frame   len u32 | crc u32 | sequence u64 | payload | zeros up to a multiple of 8
//! mark    a frame with the top bit of len set; payload: kind u32 | chain u32 | synced through u64
//! ```
//!
//! Numbers are little-endian. `len` counts sequence and payload, so it is never 0 in a frame and
//! 0 means "nothing written here". The CRC runs over the header's CRC (and with it journal,
//! segment and random seed), the frame's offset, `len`, sequence, payload and padding: a block
//! that is stale, misdirected or copied from another place never verifies.

/// Bytes before the first frame. A whole disk block, so that no later write touches the header.
pub const HEADER_SIZE: usize = 4096;
/// Offset of the first frame in its segment.
pub const FIRST_OFFSET: u64 = HEADER_SIZE as u64;
/// Bytes of the header that carry something.
pub const HEADER_USED_SIZE: usize = 64;
/// Bytes of a frame before its payload.
pub const FRAME_OVERHEAD_SIZE: usize = 16;
/// Largest payload of one frame, in bytes.
pub const PAYLOAD_SIZE_MAX: usize = 64 * 1024;
/// Bytes of a mark.
pub const MARK_SIZE: usize = 32;
/// Frames begin at multiples of this many bytes.
pub const ALIGNMENT: usize = 8;
/// Version of the layout above; a larger one is refused.
pub const FORMAT: u32 = 1;

const MAGIC: [u8; 8] = *b"CSJRNL\r\n";
const CONTROL: u32 = 1 << 31;
const KIND_MARK: u32 = 1;
/// A mark's length word: sequence number and 16 bytes of payload.
const MARK_LEN: u32 = CONTROL | 24;

/// Identity of a journal: random at its first start, the same in all its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalId(pub [u8; 16]);

impl JournalId {
    /// Seeds the fingerprints of everything in the data directory, for its whole life.
    #[must_use]
    pub fn fingerprint_seed(self) -> u64 {
        let Self([a, b, c, d, e, f, g, h, ..]) = self;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// The same for people and databases: in hexadecimal digits.
    #[must_use]
    pub fn name(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Where the next frame is expected. Genesis is segment 1, sequence 1, chain 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The segment that the frame opens.
    pub segment: u64,
    /// The frame's sequence number.
    pub sequence: u64,
    /// CRC of the frame before it.
    pub chain: u32,
}

impl Cursor {
    /// Where an empty journal begins.
    pub const GENESIS: Self = Self {
        segment: 1,
        sequence: 1,
        chain: 0,
    };
}

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The journal it belongs to.
    pub journal: JournalId,
    /// Its number, counted from 1 without gaps.
    pub segment: u64,
    /// Random at each creation, so that bytes of an earlier file never verify.
    pub seed: u64,
    /// Every frame up to this sequence number was durable when the segment was created.
    pub synced_through: u64,
}

/// Why a header was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderFault {
    /// Shorter than a header, wrong magic or wrong CRC.
    Damaged,
    /// Written by a newer version of this program, in the format with this number.
    Newer(u32),
}

impl SegmentHeader {
    /// The header's bytes; the rest of [`HEADER_SIZE`] is zero.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_USED_SIZE] {
        let mut bytes = Vec::with_capacity(HEADER_USED_SIZE);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.journal.0);
        for number in [self.segment, self.seed, self.synced_through, 0] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        let mut header = [0; HEADER_USED_SIZE];
        for (to, from) in header.iter_mut().zip(bytes) {
            *to = from;
        }
        header
    }

    /// Reads the header at the start of a segment.
    ///
    /// # Errors
    /// [`HeaderFault::Damaged`] unless magic and CRC are right, [`HeaderFault::Newer`] if they
    /// are and the format is not ours: magic, format and CRC keep their places for ever.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let header = bytes
            .first_chunk::<HEADER_USED_SIZE>()
            .ok_or(HeaderFault::Damaged)?;
        let (covered, crc) = header.split_at(HEADER_USED_SIZE - 4);
        if !covered.starts_with(&MAGIC) || u32_at(crc, 0) != Some(crc32c::crc32c(covered)) {
            return Err(HeaderFault::Damaged);
        }
        let format = u32_at(covered, 8).ok_or(HeaderFault::Damaged)?;
        if format != FORMAT {
            return Err(HeaderFault::Newer(format));
        }
        let journal = covered.get(12..28).and_then(|id| id.try_into().ok());
        Ok(Self {
            journal: JournalId(journal.ok_or(HeaderFault::Damaged)?),
            segment: u64_at(covered, 28).ok_or(HeaderFault::Damaged)?,
            seed: u64_at(covered, 36).ok_or(HeaderFault::Damaged)?,
            synced_through: u64_at(covered, 44).ok_or(HeaderFault::Damaged)?,
        })
    }

    /// What the CRCs of this segment's frames start from.
    #[must_use]
    pub fn key(&self) -> SegmentKey {
        let [.., a, b, c, d] = self.encode();
        SegmentKey(u32::from_le_bytes([a, b, c, d]))
    }
}

/// Start value of the CRCs of one segment's frames; differs for every file ever created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentKey(u32);

impl SegmentKey {
    fn crc(self, offset: u64, len: u32, covered: &[u8]) -> u32 {
        let [a, b, c, d, e, f, g, h] = offset.to_le_bytes();
        let [i, j, k, l] = len.to_le_bytes();
        let place = crc32c::crc32c_append(self.0, &[a, b, c, d, e, f, g, h, i, j, k, l]);
        crc32c::crc32c_append(place, covered)
    }
}

/// What stands at the start of each batch: evidence of what had been synced before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// CRC of the frame before this one, in this segment or the one before.
    pub chain: u32,
    /// Every frame up to this sequence number was durable before the mark was written.
    pub synced_through: u64,
}

/// A frame's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'b> {
    /// A caller's payload.
    Data(&'b [u8]),
    /// The journal's own.
    Mark(Mark),
}

/// A frame that verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'b> {
    /// Its sequence number.
    pub sequence: u64,
    /// Its CRC, the chain value of the next mark.
    pub crc: u32,
    /// Bytes from its start to the next frame's.
    pub size: usize,
    /// Its content.
    pub body: Body<'b>,
}

/// What stands at an offset where a frame could begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'b> {
    /// A length of zero, or too little room for a frame.
    Nothing,
    /// Something that does not verify.
    Damage,
    /// A frame that verifies.
    Frame(Frame<'b>),
}

/// Bytes that a frame with a payload of this size takes; `None` above [`PAYLOAD_SIZE_MAX`].
#[must_use]
pub fn size(payload_size: usize) -> Option<usize> {
    (payload_size <= PAYLOAD_SIZE_MAX)
        .then(|| (FRAME_OVERHEAD_SIZE + payload_size).next_multiple_of(ALIGNMENT))
}

/// Appends a data frame that will stand at `offset` of its segment; returns its CRC.
/// The caller has checked the size with [`size`].
pub fn push_data(
    out: &mut Vec<u8>,
    key: SegmentKey,
    offset: u64,
    sequence: u64,
    payload: &[u8],
) -> u32 {
    debug_assert!(
        payload.len() <= PAYLOAD_SIZE_MAX,
        "payload size is checked by the caller"
    );
    let start = out.len();
    let len = u32::try_from(payload.len() + 8).unwrap_or(CONTROL - 1);
    out.extend_from_slice(&u64::from(len).to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(payload);
    let padded = (out.len() - start).next_multiple_of(ALIGNMENT);
    out.resize(start + padded, 0);
    let crc = key.crc(offset, len, out.get(start + 8..).unwrap_or_default());
    if let Some(place) = out.get_mut(start + 4..start + 8) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
    crc
}

/// The bytes of a mark that will stand at `offset` of its segment.
#[must_use]
pub fn mark(key: SegmentKey, offset: u64, sequence: u64, mark: Mark) -> [u8; MARK_SIZE] {
    let said = u64::from(KIND_MARK) | u64::from(mark.chain) << 32;
    let words = [u64::from(MARK_LEN), sequence, said, mark.synced_through];
    let mut bytes = [0; MARK_SIZE];
    for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    let (head, covered) = bytes.split_at_mut(8);
    let crc = key.crc(offset, MARK_LEN, covered);
    let (_, place) = head.split_at_mut(4);
    place.copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The sequence number that stands at this offset, whether it verifies or not.
pub(in crate::ledger::embedded) fn sequence_at(segment: &[u8], offset: usize) -> Option<u64> {
    u64_at(segment.get(offset..)?, 8)
}

/// Reads what stands at `offset` of a segment whose bytes these are.
#[must_use]
pub fn read(segment: &[u8], offset: usize, key: SegmentKey) -> Found<'_> {
    read_at(segment, offset, offset as u64, key)
}

/// Reads what stands at `at` of these bytes, which is `file_offset` of their segment. A frame that
/// goes on behind the bytes is [`Found::Damage`].
#[must_use]
pub fn read_at(bytes: &[u8], at: usize, file_offset: u64, key: SegmentKey) -> Found<'_> {
    let rest = bytes.get(at..).unwrap_or_default();
    let (Some(len), Some(crc), Some(sequence)) =
        (u32_at(rest, 0), u32_at(rest, 4), u64_at(rest, 8))
    else {
        return Found::Nothing;
    };
    if len == 0 {
        return Found::Nothing;
    }
    let covered_size = usize::try_from(len & !CONTROL).unwrap_or(usize::MAX);
    if !(8..=PAYLOAD_SIZE_MAX + 8).contains(&covered_size) {
        return Found::Damage;
    }
    let size = (covered_size + 8).next_multiple_of(ALIGNMENT);
    let Some(covered) = rest.get(8..size) else {
        return Found::Damage;
    };
    if key.crc(file_offset, len, covered) != crc {
        return Found::Damage;
    }
    let Some(payload) = covered.get(8..covered_size) else {
        return Found::Damage;
    };
    let body = if len & CONTROL == 0 {
        Some(Body::Data(payload))
    } else {
        read_mark(payload)
    };
    body.map_or(Found::Damage, |body| {
        Found::Frame(Frame {
            sequence,
            crc,
            size,
            body,
        })
    })
}

fn read_mark(payload: &[u8]) -> Option<Body<'static>> {
    if payload.len() != MARK_SIZE - FRAME_OVERHEAD_SIZE || u32_at(payload, 0)? != KIND_MARK {
        return None;
    }
    Some(Body::Mark(Mark {
        chain: u32_at(payload, 4)?,
        synced_through: u64_at(payload, 8)?,
    }))
}

/// The little-endian number at this index.
pub(super) fn u32_at(bytes: &[u8], index: usize) -> Option<u32> {
    bytes
        .get(index..)?
        .first_chunk()
        .map(|chunk| u32::from_le_bytes(*chunk))
}

/// The little-endian number at this index.
pub(super) fn u64_at(bytes: &[u8], index: usize) -> Option<u64> {
    bytes
        .get(index..)?
        .first_chunk()
        .map(|chunk| u64::from_le_bytes(*chunk))
}

/// The checksum of what lies on disks, over parts that follow each other.
#[must_use]
pub fn checksum(parts: &[&[u8]]) -> u32 {
    let add = |crc, part: &&[u8]| crc32c::crc32c_append(crc, part);
    parts.iter().fold(0, add)
}

#[cfg(test)]
mod tests;
