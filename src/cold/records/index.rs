//! Where the records of decisions stand in the journal, and how to find some of them.
//!
//! Records come in blocks of equal size, so that growing never moves what is there. Chains run
//! within a block, newest first, one through the records of like authorization and one through those
//! of like card (both by hash), and one through each connection; a link is two bytes. The price is
//! that a search visits every block: some ten nanoseconds for each 32 768 records. A hash can say
//! yes to a stranger, so whoever reads the record compares.

/// Records in one block.
const BLOCK_LEN: usize = 1 << 15;
/// Chains of one kind in one block.
const HEADS: u16 = 1 << 14;

/// A record to be noted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    pub(super) sequence: u64,
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// Hash of the issuer's id of the authorization.
    pub(super) authorization: u32,
    /// Hash of our id of the card; absent where the card is unknown.
    pub(super) card: Option<u32>,
    /// Number of the connection.
    pub(super) connection: u16,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) sequence: u64,
    pub(super) segment: u64,
    pub(super) offset: u64,
}

/// Which records are wanted; absent means any.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) authorization: Option<u32>,
    pub(super) card: Option<u32>,
    pub(super) connection: Option<u16>,
}

/// One record. Links are the number of the entry before, counted from one; zero ends the chain.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Sequence number, from the block's first.
    sequence: u32,
    /// Segment, from the block's first.
    segment: u32,
    offset: u32,
    authorization: Link,
    card: Link,
    before_on_connection: u16,
    connection: u16,
}

const _: () = assert!(size_of::<Entry>() == 24, "there may be many millions");

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    before: u16,
    /// The part of the hash that did not choose the chain.
    tag: u16,
}

#[derive(Debug)]
struct Block {
    first_sequence: u64,
    first_segment: u64,
    entries: Vec<Entry>,
    authorizations: Heads,
    cards: Heads,
    /// By number of connection.
    connections: Vec<u16>,
}

/// The newest entry of each chain.
#[derive(Debug)]
struct Heads(Box<[u16]>);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    blocks: Vec<Block>,
}

impl Heads {
    fn new() -> Self {
        Self(vec![0; usize::from(HEADS)].into())
    }

    fn head(&self, hash: u32) -> u16 {
        self.0.get(chain_of(hash)).copied().unwrap_or(0)
    }

    /// Puts the entry with this number at the head; its link to the one before.
    fn push(&mut self, hash: u32, number: u16) -> Link {
        let tag = tag_of(hash);
        match self.0.get_mut(chain_of(hash)) {
            Some(head) => Link {
                before: std::mem::replace(head, number),
                tag,
            },
            None => Link { before: 0, tag },
        }
    }
}

fn chain_of(hash: u32) -> usize {
    let [_, _, a, b] = hash.to_be_bytes();
    usize::from(u16::from_be_bytes([a, b]) % HEADS)
}

fn tag_of(hash: u32) -> u16 {
    let [a, b, _, _] = hash.to_be_bytes();
    u16::from_be_bytes([a, b])
}

impl Index {
    /// Notes the next record. Sequence numbers grow. Whether that took a new block.
    pub(super) fn push(&mut self, noted: &Noted) -> bool {
        let fits = |block: &Block| block.entries.len() < BLOCK_LEN && block.spans(noted);
        let is_full = !self.blocks.last().is_some_and(fits);
        if is_full {
            self.blocks.push(Block::new(noted));
        }
        if let Some(block) = self.blocks.last_mut() {
            block.push(noted);
        }
        is_full
    }

    /// Takes in an index of later records.
    pub(super) fn append(&mut self, later: &mut Self) {
        self.blocks.append(&mut later.blocks);
    }

    /// Forgets the oldest block. Whether there was one.
    pub(super) fn forget_oldest(&mut self) -> bool {
        let any = !self.blocks.is_empty();
        self.blocks.drain(..usize::from(any));
        any
    }

    /// Forgets the blocks all of whose records stand in segments before this one.
    pub(super) fn forget_segments_before(&mut self, segment: u64) {
        let gone = |block: &Block| block.last_segment() < segment;
        let count = self.blocks.iter().take_while(|block| gone(block)).count();
        self.blocks.drain(..count);
    }

    /// The sequence number of the oldest record.
    pub(super) fn first_sequence(&self) -> Option<u64> {
        self.blocks.first().map(|block| block.first_sequence)
    }

    /// The record with this sequence number.
    pub(super) fn find(&self, sequence: u64) -> Option<Spot> {
        let after = self
            .blocks
            .partition_point(|block| block.first_sequence <= sequence);
        let block = self.blocks.get(after.checked_sub(1)?)?;
        let relative = u32::try_from(sequence - block.first_sequence).ok()?;
        let at = block
            .entries
            .binary_search_by_key(&relative, |entry| entry.sequence)
            .ok()?;
        block.entries.get(at).map(|entry| block.spot(entry))
    }

    /// The wanted records before this sequence number, newest first.
    pub(super) fn newest_before(
        &self,
        before: u64,
        wanted: Wanted,
    ) -> impl Iterator<Item = Spot> + '_ {
        let end = self
            .blocks
            .partition_point(|block| block.first_sequence < before);
        let blocks = self.blocks.get(..end).unwrap_or_default();
        let spots = blocks
            .iter()
            .rev()
            .flat_map(move |block| block.newest(wanted));
        spots.filter(move |spot| spot.sequence < before)
    }

    /// The wanted records behind this sequence number, oldest first. It looks at every record behind,
    /// because chains run the other way: some nanoseconds each.
    pub(super) fn oldest_after(
        &self,
        after: u64,
        wanted: Wanted,
    ) -> impl Iterator<Item = Spot> + '_ {
        // The block in which it stands may have later ones.
        let behind = self
            .blocks
            .partition_point(|block| block.first_sequence <= after);
        let blocks = self.blocks.get(behind.saturating_sub(1)..);
        let blocks = blocks.unwrap_or_default().iter();
        blocks.flat_map(move |block| block.oldest_after(after, wanted))
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.entries.len()).sum()
    }
}

impl Block {
    fn new(first: &Noted) -> Self {
        Self {
            first_sequence: first.sequence,
            first_segment: first.segment,
            entries: Vec::with_capacity(BLOCK_LEN),
            authorizations: Heads::new(),
            cards: Heads::new(),
            connections: Vec::new(),
        }
    }

    /// Whether the record's place can be said relative to the block's first.
    fn spans(&self, noted: &Noted) -> bool {
        u32::try_from(noted.sequence.saturating_sub(self.first_sequence)).is_ok()
            && u32::try_from(noted.segment.saturating_sub(self.first_segment)).is_ok()
    }

    fn push(&mut self, noted: &Noted) {
        let relative = |number: u64, first: u64| u32::try_from(number.saturating_sub(first)).ok();
        let place = relative(noted.sequence, self.first_sequence)
            .zip(relative(noted.segment, self.first_segment))
            .zip(u32::try_from(noted.offset).ok());
        let number = u16::try_from(self.entries.len() + 1);
        let (Some(((sequence, segment), offset)), Ok(number)) = (place, number) else {
            debug_assert!(
                false,
                "segments are smaller than 4 GiB and blocks than 65 536"
            );
            return;
        };
        let connection = usize::from(noted.connection);
        if self.connections.len() <= connection {
            self.connections.resize(connection + 1, 0);
        }
        let newest = self.connections.get_mut(connection);
        let before_on_connection = newest.map_or(0, |head| std::mem::replace(head, number));
        let card = noted.card.map(|hash| self.cards.push(hash, number));
        self.entries.push(Entry {
            sequence,
            segment,
            offset,
            authorization: self.authorizations.push(noted.authorization, number),
            card: card.unwrap_or_default(),
            before_on_connection,
            connection: noted.connection,
        });
    }

    /// The wanted records, newest first, along the rarest chain.
    fn newest(&self, wanted: Wanted) -> impl Iterator<Item = Spot> + '_ {
        let first = match wanted {
            Wanted {
                authorization: Some(hash),
                ..
            } => self.authorizations.head(hash),
            Wanted {
                card: Some(hash), ..
            } => self.cards.head(hash),
            Wanted {
                connection: Some(number),
                ..
            } => self
                .connections
                .get(usize::from(number))
                .copied()
                .unwrap_or(0),
            Wanted { .. } => u16::try_from(self.entries.len()).unwrap_or(u16::MAX),
        };
        let mut next = first;
        let walk = std::iter::from_fn(move || {
            let at = next.checked_sub(1)?;
            let entry = self.entries.get(usize::from(at))?;
            next = match wanted {
                Wanted {
                    authorization: Some(_),
                    ..
                } => entry.authorization.before,
                Wanted { card: Some(_), .. } => entry.card.before,
                Wanted {
                    connection: Some(_),
                    ..
                } => entry.before_on_connection,
                Wanted { .. } => at,
            };
            Some(entry)
        });
        walk.filter(move |entry| entry.is_wanted(wanted))
            .map(|entry| self.spot(entry))
    }

    fn oldest_after(&self, after: u64, wanted: Wanted) -> impl Iterator<Item = Spot> + '_ {
        let sequence_of = |entry: &Entry| self.first_sequence + u64::from(entry.sequence);
        let start = self
            .entries
            .partition_point(|entry| sequence_of(entry) <= after);
        let behind = self.entries.get(start..).unwrap_or_default();
        let found = behind.iter().filter(move |entry| entry.is_wanted(wanted));
        found.map(|entry| self.spot(entry))
    }

    fn last_segment(&self) -> u64 {
        let last = self.entries.last().map_or(0, |entry| entry.segment);
        self.first_segment + u64::from(last)
    }

    fn spot(&self, entry: &Entry) -> Spot {
        Spot {
            sequence: self.first_sequence + u64::from(entry.sequence),
            segment: self.first_segment + u64::from(entry.segment),
            offset: u64::from(entry.offset),
        }
    }
}

impl Entry {
    fn is_wanted(&self, wanted: Wanted) -> bool {
        let is_like = |hash: Option<u32>, tag| hash.is_none_or(|hash| tag_of(hash) == tag);
        is_like(wanted.authorization, self.authorization.tag)
            && is_like(wanted.card, self.card.tag)
            && wanted
                .connection
                .is_none_or(|number| number == self.connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(n: u32) -> Noted {
        Noted {
            sequence: u64::from(n) * 3 + 7,
            segment: 5 + u64::from(n / 1_000),
            offset: u64::from(n % 1_000) * 96 + 4_096,
            // Every tenth shares a chain with strangers, tag and all.
            authorization: if n.is_multiple_of(10) {
                0
            } else {
                n.wrapping_mul(0x9E37_79B9)
            },
            card: (!n.is_multiple_of(7)).then_some((n % 50).wrapping_mul(0x85EB_CA6B)),
            connection: u16::from(n.is_multiple_of(100)),
        }
    }

    fn is_wanted(noted: &Noted, wanted: Wanted) -> bool {
        wanted
            .authorization
            .is_none_or(|it| it == noted.authorization)
            && wanted.card.is_none_or(|it| noted.card == Some(it))
            && wanted.connection.is_none_or(|it| it == noted.connection)
    }

    /// Forwards there are no chains, so strangers of the same tag are found too.
    fn is_like(noted: &Noted, wanted: Wanted) -> bool {
        let tag = |hash: Option<u32>| hash.map(tag_of);
        let is = |wanted: Option<u32>, has: Option<u32>| {
            wanted.is_none() || tag(wanted) == Some(tag(has).unwrap_or_default())
        };
        is(wanted.authorization, Some(noted.authorization))
            && is(wanted.card, noted.card)
            && wanted.connection.is_none_or(|it| it == noted.connection)
    }

    #[test]
    fn a_search_finds_what_a_look_at_every_record_finds() {
        const COUNT: u32 = 80_000;
        let mut index = Index::default();
        let all: Vec<Noted> = (0..COUNT).map(noted).collect();
        for noted in &all {
            index.push(noted);
        }
        assert_eq!(index.len(), all.len());
        let any = Wanted::default();
        let cases = [
            any,
            Wanted {
                authorization: Some(0),
                ..any
            },
            Wanted {
                authorization: Some(all[33_333].authorization),
                ..any
            },
            Wanted {
                card: all[1].card,
                ..any
            },
            Wanted {
                card: all[1].card,
                connection: Some(1),
                ..any
            },
            Wanted {
                connection: Some(1),
                ..any
            },
            Wanted {
                connection: Some(9),
                ..any
            },
            Wanted {
                authorization: Some(0),
                card: all[30].card,
                connection: Some(0),
            },
        ];
        for wanted in cases {
            for before in [u64::MAX, all[70_000].sequence, all[3].sequence, 0] {
                let found: Vec<u64> = index
                    .newest_before(before, wanted)
                    .map(|spot| spot.sequence)
                    .collect();
                let expected: Vec<u64> = all
                    .iter()
                    .rev()
                    .filter(|it| it.sequence < before && is_wanted(it, wanted))
                    .map(|it| it.sequence)
                    .collect();
                assert!(found == expected, "{wanted:?} before {before}");
                let found: Vec<u64> = index
                    .oldest_after(before, wanted)
                    .map(|spot| spot.sequence)
                    .collect();
                let expected: Vec<u64> = all
                    .iter()
                    .filter(|it| it.sequence > before && is_like(it, wanted))
                    .map(|it| it.sequence)
                    .collect();
                assert!(found == expected, "{wanted:?} after {before}");
            }
        }
    }

    #[test]
    fn whole_blocks_are_forgotten_and_what_is_left_is_found() {
        let mut index = Index::default();
        let blocks = (0..100_000).filter(|n| index.push(&noted(*n))).count();
        assert_eq!((blocks, index.len()), (4, 100_000));
        let newest = || Wanted::default();
        // The first block ends in the middle of a segment, which may have records in the second.
        let last = noted(u32::try_from(BLOCK_LEN).unwrap() - 1);
        index.forget_segments_before(last.segment);
        assert_eq!(index.len(), 100_000);
        index.forget_segments_before(last.segment + 1);
        assert_eq!(index.len(), 100_000 - BLOCK_LEN);
        assert_eq!(index.find(last.sequence), None);
        assert_eq!(index.first_sequence(), Some(last.sequence + 3));
        assert!(index.forget_oldest());
        assert_eq!(index.newest_before(u64::MAX, newest()).count(), index.len());
        let mut later = Index::default();
        later.push(&noted(100_000));
        index.append(&mut later);
        assert_eq!(index.find(noted(100_000).sequence).unwrap().segment, 105);
        while index.forget_oldest() {}
        assert_eq!((index.len(), index.first_sequence()), (0, None));
    }

    #[test]
    fn a_record_is_found_by_its_number() {
        let mut index = Index::default();
        for n in 0..40_000 {
            index.push(&noted(n));
        }
        for n in [0, 1, 32_767, 32_768, 39_999] {
            let Noted {
                sequence,
                segment,
                offset,
                ..
            } = noted(n);
            let spot = Spot {
                sequence,
                segment,
                offset,
            };
            assert_eq!(index.find(sequence), Some(spot));
            assert_eq!(index.find(sequence + 1), None);
        }
        assert_eq!(index.find(0), None);
        assert_eq!(index.find(u64::MAX), None);
    }
}
