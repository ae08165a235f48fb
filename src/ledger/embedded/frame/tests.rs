use super::*;

fn header() -> SegmentHeader {
    SegmentHeader {
        journal: JournalId([7; 16]),
        segment: 3,
        seed: 0x1234_5678,
        synced_through: 9,
    }
}

/// A segment's bytes with these payloads in it, sequence numbers from 10.
fn segment(payloads: &[&[u8]]) -> Vec<u8> {
    let mut bytes = header().encode().to_vec();
    bytes.resize(HEADER_SIZE, 0);
    for (sequence, payload) in (10..).zip(payloads) {
        let offset = bytes.len() as u64;
        push_data(&mut bytes, header().key(), offset, sequence, payload);
    }
    bytes
}

#[test]
fn fingerprints_are_seeded_by_the_first_half_of_the_journals_identity() {
    let id = JournalId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
    assert_eq!(id.fingerprint_seed(), 0x0807_0605_0403_0201);
}

#[test]
fn header_is_read_back_and_every_flipped_bit_is_refused() {
    let bytes = header().encode();
    assert_eq!(SegmentHeader::decode(&bytes), Ok(header()));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            SegmentHeader::decode(&flipped),
            Err(HeaderFault::Damaged),
            "bit {bit}"
        );
    }
    assert_eq!(
        SegmentHeader::decode(&bytes[..63]),
        Err(HeaderFault::Damaged)
    );
}

#[test]
fn c16_newer_format_is_told_apart_from_damage() {
    let mut bytes = header().encode();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..60]).to_le_bytes();
    bytes[60..].copy_from_slice(&crc);
    assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderFault::Newer(2)));
}

#[test]
fn frames_are_read_back_at_every_payload_size() {
    for payload_size in (0..70).chain([PAYLOAD_SIZE_MAX - 1, PAYLOAD_SIZE_MAX]) {
        let payload = vec![0xa5; payload_size];
        let bytes = segment(&[&payload]);
        let Found::Frame(frame) = read(&bytes, HEADER_SIZE, header().key()) else {
            panic!("no frame at payload size {payload_size}");
        };
        assert_eq!((frame.sequence, frame.body), (10, Body::Data(&payload[..])));
        assert_eq!(Some(frame.size), size(payload_size));
        assert_eq!(bytes.len(), HEADER_SIZE + frame.size);
    }
    assert_eq!(size(PAYLOAD_SIZE_MAX + 1), None);
}

#[test]
fn mark_is_read_back_and_no_data_frame_is_one() {
    let said = Mark {
        chain: 0xdead_beef,
        synced_through: 41,
    };
    let bytes = mark(header().key(), FIRST_OFFSET, 42, said);
    let crc = u32_at(&bytes, 4).unwrap();
    let mut file = segment(&[]);
    file.extend_from_slice(&bytes);
    let expected = Frame {
        sequence: 42,
        crc,
        size: MARK_SIZE,
        body: Body::Mark(said),
    };
    assert_eq!(
        read(&file, HEADER_SIZE, header().key()),
        Found::Frame(expected)
    );
    file[HEADER_SIZE + 3] ^= 0x80;
    assert_eq!(read(&file, HEADER_SIZE, header().key()), Found::Damage);
}

/// A frame with this length word and payload, whose CRC is right whatever they say.
fn forged(len: u32, payload: &[u8]) -> Vec<u8> {
    let mut covered = 10_u64.to_le_bytes().to_vec();
    covered.extend_from_slice(payload);
    covered.resize(covered.len().next_multiple_of(ALIGNMENT), 0);
    let crc = header().key().crc(FIRST_OFFSET, len, &covered);
    let mut file = segment(&[]);
    file.extend_from_slice(&len.to_le_bytes());
    file.extend_from_slice(&crc.to_le_bytes());
    file.extend_from_slice(&covered);
    file
}

fn found(file: &[u8]) -> Found<'_> {
    read(file, HEADER_SIZE, header().key())
}

#[test]
fn a_frame_above_the_largest_payload_is_damage_though_its_crc_is_right() {
    for (payload_size, stands) in [(PAYLOAD_SIZE_MAX, true), (PAYLOAD_SIZE_MAX + 1, false)] {
        let len = u32::try_from(payload_size + 8).unwrap();
        let file = forged(len, &vec![7; payload_size]);
        assert_eq!(matches!(found(&file), Found::Frame(_)), stands);
    }
}

#[test]
fn a_frame_of_the_journals_own_is_a_mark_or_damage() {
    let said = |kind: u32, size: usize| {
        let mut payload = kind.to_le_bytes().to_vec();
        payload.resize(size, 0);
        forged(CONTROL | u32::try_from(size + 8).unwrap(), &payload)
    };
    let mark = MARK_SIZE - FRAME_OVERHEAD_SIZE;
    assert!(matches!(found(&said(KIND_MARK, mark)), Found::Frame(_)));
    for (kind, size) in [
        (KIND_MARK + 1, mark),
        (0, mark),
        (KIND_MARK, mark + 8),
        (KIND_MARK, 8),
    ] {
        assert_eq!(
            found(&said(kind, size)),
            Found::Damage,
            "kind {kind}, {size} bytes"
        );
    }
}

#[test]
fn c5_every_flipped_bit_of_a_frame_is_seen() {
    let bytes = segment(&[b"thirteen bytes", b"behind"]);
    let start = HEADER_SIZE;
    let end = start + size(14).unwrap();
    for bit in start * 8..end * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(
            read(&flipped, start, header().key()),
            Found::Damage,
            "bit {bit}"
        );
    }
}

#[test]
fn c6_c7_frame_of_another_place_segment_creation_or_journal_does_not_verify() {
    let bytes = segment(&[b"payload", b"payload"]);
    let (first, second) = (HEADER_SIZE, HEADER_SIZE + 24);
    let mut moved = bytes.clone();
    moved.copy_within(first..second, second);
    assert_eq!(read(&moved, second, header().key()), Found::Damage);
    for other in [
        SegmentHeader {
            segment: 4,
            ..header()
        },
        SegmentHeader {
            seed: 0x1234_5679,
            ..header()
        },
        SegmentHeader {
            journal: JournalId([8; 16]),
            ..header()
        },
    ] {
        assert_eq!(read(&bytes, first, other.key()), Found::Damage, "{other:?}");
    }
}

#[test]
fn zeros_and_the_end_of_the_file_are_nothing() {
    let bytes = [0; 64];
    assert_eq!(read(&bytes, 0, header().key()), Found::Nothing);
    assert_eq!(read(&bytes, 56, header().key()), Found::Nothing);
    assert_eq!(read(&bytes, 64, header().key()), Found::Nothing);
    assert_eq!(read(&bytes, 99, header().key()), Found::Nothing);
}
