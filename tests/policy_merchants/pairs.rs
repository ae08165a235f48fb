//! Compiled lists against the dull reading of them, on random pairs of an entry and a name.

use countersign::decide::merchant_text::list::ListKind;

use crate::corpus::names;
use crate::dice::{Dice, pair_count};
use crate::oracle::{allows, blocks, coarse, without_mark, words};

const WORDS: [&str; 30] = [
    "BLUE",
    "BOTTLE",
    "blue",
    "Bottle",
    "BLUEBOTTLE",
    "BLUE-BOTTLE",
    "BLUE.BOTTLE",
    "NETFLIX.COM",
    "NETFLIX",
    "APPLE.COM/BILL",
    "COM",
    "O'NEIL",
    "ONEIL",
    "#12",
    "12",
    "123",
    "#",
    "4567",
    "US*2X",
    "*",
    "CAF\u{c9}",
    "\u{ff22}LUE",
    "BL\u{200b}UE",
    "stra\u{df}e",
    "A",
    "(A)",
    "A,",
    "CASINO",
    "CASI",
    "&",
];
const MARKS: [&str; 12] = [
    "SQ *", "SQ*", "sq * ", "PAYPAL *", "PP*", "TST* ", "SP ", "SP * ", "GOOGLE *", "IN *",
    "2CO.COM*", "AMZ*",
];
const GAPS: [&str; 8] = [" ", " ", " ", "  ", "\t", "*", "-", "\u{a0}"];

fn name(dice: &mut Dice) -> String {
    let mut name = String::new();
    if dice.one_in(3) {
        name.push_str(dice.pick(&MARKS));
    }
    for at in 0..1 + dice.below(5) {
        if at > 0 {
            name.push_str(dice.pick(&GAPS));
        }
        name.push_str(dice.pick(&WORDS));
    }
    if dice.one_in(4) {
        let end = if dice.one_in(2) { 22 } else { 25 };
        name = name.chars().take(end).collect();
        while name.chars().count() < end {
            name.push_str(dice.pick(&["X", " B", "LONG "]));
        }
        name = name.chars().take(end).collect();
    }
    name
}

/// An entry, often the beginning or a piece of the name.
fn entry(dice: &mut Dice, of: &str) -> String {
    if dice.one_in(3) {
        return name(dice);
    }
    let chars: Vec<char> = of.chars().collect();
    let from = if dice.one_in(2) {
        0
    } else {
        dice.below(chars.len())
    };
    let to = from + 1 + dice.below(chars.len() - from);
    let mut piece: String = chars[from..to].iter().collect();
    if dice.one_in(4) {
        piece.push_str(dice.pick(&WORDS));
    }
    piece
}

/// A pair that a list can be compiled from.
fn pair(dice: &mut Dice) -> (String, String) {
    loop {
        let name = name(dice);
        let entry = entry(dice, &name);
        let has_letter = coarse(&without_mark(&entry).1, false)
            .iter()
            .any(|word| word.chars().any(char::is_alphabetic));
        let is_domain = entry.contains('.') && !entry.trim().contains(char::is_whitespace);
        if has_letter && !is_domain && entry.len() <= 128 {
            return (entry, name);
        }
    }
}

#[test]
fn m5_compiled_lists_and_the_dull_reading_agree() {
    let seed = 0x5eed_0001;
    let mut dice = Dice(seed);
    let (mut allowed, mut blocked) = (0, 0);
    let count = pair_count();
    for at in 0..count {
        let (entry, name) = pair(&mut dice);
        let context = || format!("pair {at} of seed {seed:#x}: entry {entry:?}, name {name:?}");
        let expected = allows(&entry, &name);
        let found = names(ListKind::Allows, &entry, &name, None);
        assert_eq!(found, expected, "allow, {}", context());
        allowed += usize::from(expected);
        let expected = blocks(&entry, &name);
        let found = names(ListKind::Blocks, &entry, &name, None);
        assert_eq!(found, expected, "block, {}", context());
        blocked += usize::from(expected);
    }
    println!("{count} pairs, {allowed} allowed, {blocked} blocked");
    assert!(allowed > count / 20 && blocked > count / 20);
    assert!(allowed < count / 2 && blocked < count / 2);
}

/// Whatever a cut name allows, the whole name allows too, unless the entry ends in what was left of
/// the last word, letter for letter.
#[test]
fn m5_a_cut_name_allows_no_more_than_the_whole_or_what_stands_there() {
    let mut dice = Dice(0x5eed_0002);
    let mut cut_count = 0;
    for _ in 0..pair_count() {
        let (entry, whole) = pair(&mut dice);
        let cut: String = whole.chars().take(22).collect();
        if cut == whole || cut.trim_end() != cut || !names(ListKind::Allows, &entry, &cut, None) {
            continue;
        }
        cut_count += 1;
        let left = words(&cut).pop().unwrap();
        let left = left.rsplit('*').next().unwrap();
        let of_entry = coarse(&without_mark(&entry).1, false);
        assert!(
            names(ListKind::Allows, &entry, &whole, None) || of_entry.last().unwrap() == left,
            "{entry:?} {cut:?} {whole:?}"
        );
    }
    assert!(cut_count > 20, "{cut_count}");
}
