use super::*;

impl Copy {
    /// One that takes nothing.
    pub(in crate::ledger::redis) fn unwritable() -> Self {
        Self {
            file: File::open("/dev/null").unwrap(),
            record: Vec::new(),
            place: None,
        }
    }
}

#[test]
fn a_copy_is_read_as_it_was_written_and_no_further_than_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let generation = Generation([7; 16]);
    let mut copy = Copy::begin(&path, &generation).unwrap();
    let kept = |number: u64| Kept {
        owner: Key(5),
        number,
        entry: vec![u8::try_from(number).unwrap(); 40],
    };
    for number in 0..3 {
        copy.keep(Key(5), number, &kept(number).entry).unwrap();
    }
    assert!(!path.exists(), "it does not hold everything yet");
    copy.stand().unwrap();
    copy.stand().unwrap();
    assert!(!unfinished(&path).exists());
    let whole = std::fs::read(&path).unwrap();
    let record = (whole.len() - 40) / 3;
    for size in 0..=whole.len() {
        std::fs::write(&path, &whole[..size]).unwrap();
        let Ok(mut reader) = Reader::open(&path) else {
            assert!(size < 40, "{size}");
            continue;
        };
        assert_eq!(reader.generation, generation);
        let mut read = Vec::new();
        while let Some(next) = reader.next_kept().unwrap() {
            read.push(next);
        }
        let wanted: Vec<Kept> = (0..3).map(kept).take((size - 40) / record).collect();
        assert_eq!(read, wanted, "{size}");
        assert_eq!(reader.is_cut_short, (size - 40) % record != 0, "{size}");
    }
    let mut flipped = whole;
    flipped[40 + 2 * record + 30] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(reader.next_kept().unwrap(), Some(kept(0)));
    assert_eq!(reader.next_kept().unwrap(), Some(kept(1)));
    assert_eq!(reader.next_kept().unwrap(), None);
    assert!(reader.is_cut_short, "nothing whole stands behind it");
    // Processes that end before they know all leave the former, and the next one keeps it.
    drop(Copy::begin(&path, &generation).unwrap());
    let mut copy = Copy::begin(&path, &generation).unwrap();
    copy.keep(Key(5), 0, &kept(0).entry).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), flipped);
    copy.stand().unwrap();
    copy.keep(Key(5), 1, &kept(1).entry).unwrap();
    let before = std::fs::read(path.with_extension("before")).unwrap();
    assert_eq!(before, flipped);
    assert_eq!(std::fs::read(&path).unwrap().len(), 40 + 2 * record);
}

/// A record that is not whole with whole ones behind it is no end: what stands behind would be lost in silence.
#[test]
fn e13_damage_in_the_middle_of_a_copy_is_an_error_that_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut copy = Copy::begin(&path, &Generation([7; 16])).unwrap();
    for number in 0..4 {
        copy.keep(Key(5), number, &[9; 40]).unwrap();
    }
    copy.stand().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let record = (whole.len() - 40) / 4;
    let damaged = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        assert_eq!(reader.next_kept().unwrap().unwrap().number, 0);
        loop {
            match reader.next_kept() {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidData);
                    assert!(!reader.is_cut_short);
                    return Some(error.to_string());
                }
            }
        }
    };
    let second = 40 + record;
    let told = format!("it is damaged at byte {second}, and goes on behind that");
    for at in second..second + record {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x80;
        assert_eq!(damaged(&flipped).as_ref(), Some(&told), "{at}");
    }
    // Pages that never came are zeros; pages that came twice too.
    let mut zeros = whole.clone();
    zeros[second..second + 2 * record].fill(0);
    assert_eq!(damaged(&zeros).as_ref(), Some(&told));
    let mut longer = whole.clone();
    longer.splice(
        second..second,
        vec![0; usize::try_from(SEARCH_SIZE).unwrap()],
    );
    assert_eq!(damaged(&longer).as_ref(), Some(&told));
    // Where nothing whole follows it is the end, however long.
    let mut torn = whole[..second + record - 1].to_vec();
    assert_eq!(damaged(&torn), None);
    torn.resize(second + 2 * RECORD_SIZE_MAX, 0);
    assert_eq!(damaged(&torn), None);
}

#[test]
fn an_entry_that_would_not_be_read_again_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut copy = Copy::begin(&path, &Generation([7; 16])).unwrap();
    let longest = vec![3; ENTRY_SIZE_MAX];
    copy.keep(Key(5), 0, &longest).unwrap();
    assert!(
        copy.keep(Key(5), 1, &[&longest[..], &[3]].concat())
            .is_err()
    );
    copy.keep(Key(5), 1, &[4]).unwrap();
    copy.stand().unwrap();
    let mut reader = Reader::open(&path).unwrap();
    assert_eq!(reader.next_kept().unwrap().unwrap().entry, longest);
    assert_eq!(reader.next_kept().unwrap().unwrap().entry, [4]);
    assert_eq!(reader.next_kept().unwrap(), None);
    assert!(!reader.is_cut_short);
}
