//! Card numbers that are not written as people usually do: with other marks between their groups, in other
//! digits, or as a part of a word.
//!
//! Only shapes and first digits that cards have count here, so that lists of years, prices and ids are none.
//! Whoever wants to can still write a number in words; what is kept out is what a program copies.

use std::string::FromUtf8Error;

use super::is_card_number;

/// Groups in which card numbers are printed.
const SHAPES: [&[usize]; 5] = [
    &[4, 4, 4, 4],
    &[4, 6, 5],
    &[4, 6, 4],
    &[4, 4, 4, 4, 3],
    &[4, 4, 5],
];
/// Marks between two groups, the same between all of them.
const MARKS_MAX: usize = 3;
/// The digit zero in scripts other than ours, and in forms of ours.
const ZEROS: [char; 12] = [
    '\u{0660}',
    '\u{06f0}',
    '\u{0966}',
    '\u{09e6}',
    '\u{0e50}',
    '\u{ff10}',
    '\u{1d7ce}',
    '\u{1d7d8}',
    '\u{1d7e2}',
    '\u{1d7ec}',
    '\u{1d7f6}',
    '\u{1fbf0}',
];

/// Digits that stand together, and what stands between them and the group before.
#[derive(Default)]
struct Group {
    before: String,
    digits: Vec<u32>,
}

/// Whether one stands in it in groups, with the same marks between them: `4539.5787.…`.
pub(super) fn is_grouped(text: &str) -> bool {
    let groups = groups(text);
    SHAPES.iter().any(|shape| {
        groups.windows(shape.len()).any(|some| {
            let is_shaped = some
                .iter()
                .map(|it| it.digits.len())
                .eq(shape.iter().copied());
            let mut between = some.iter().skip(1).map(|it| &it.before);
            let marks = between.next();
            let is_even =
                marks.is_some_and(|marks| are_marks(marks)) && between.all(|it| Some(it) == marks);
            let digits: Vec<u32> = some
                .iter()
                .flat_map(|it| it.digits.iter().copied())
                .collect();
            is_shaped && is_even && begins_like_a_card(&digits) && is_card_number(&digits)
        })
    })
}

/// Whether one stands in it in one piece, whatever stands around it: `order4539…x`.
pub(super) fn is_in_a_word(text: &str) -> bool {
    let groups = groups(text);
    let mut all = groups.iter().map(|it| &it.digits);
    all.any(|digits| begins_like_a_card(digits) && is_card_number(digits))
}

/// The text with what `%20` and `+` stand for; none where it has neither, or what they stand for is no text.
pub(super) fn of_address(text: &str) -> Option<String> {
    let is_written_so = text.contains(['%', '+']);
    is_written_so
        .then(|| plain_bytes(&text.replace('+', " ")))?
        .ok()
}

/// An address's text, with what each `%20` in it stands for.
///
/// # Errors
/// Where that is no text.
pub(in crate::cold) fn plain_bytes(address: &str) -> Result<String, FromUtf8Error> {
    let mut bytes = Vec::with_capacity(address.len());
    let mut rest = address.as_bytes();
    while let [first, more @ ..] = rest {
        let (byte, left) = escaped(*first, more).unwrap_or((*first, more));
        bytes.push(byte);
        rest = left;
    }
    String::from_utf8(bytes)
}

/// The byte for which a percent sign and two digits stand, and what follows.
fn escaped(first: u8, more: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, left @ ..] = more else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = digit(*high)?.checked_mul(16)?.checked_add(digit(*low)?)?;
    let byte = u8::try_from(byte).ok()?;
    (first == b'%').then_some((byte, left))
}

/// All digits of a text, in their groups. What is not seen is not there.
fn groups(text: &str) -> Vec<Group> {
    let mut all: Vec<Group> = Vec::new();
    let mut between = String::new();
    let mut is_open = false;
    for character in text.chars().filter(|it| !is_unseen(*it)) {
        let Some(digit) = digit_of(character) else {
            between.push(character);
            is_open = false;
            continue;
        };
        match all.last_mut() {
            Some(group) if is_open => group.digits.push(digit),
            Some(_) | None => all.push(Group {
                before: std::mem::take(&mut between),
                digits: vec![digit],
            }),
        }
        is_open = true;
    }
    all
}

fn digit_of(character: char) -> Option<u32> {
    let of_zero = |zero: &char| {
        let digit = u32::from(character).checked_sub(u32::from(*zero))?;
        (digit < 10).then_some(digit)
    };
    let ours = character.to_digit(10);
    ours.or_else(|| ZEROS.iter().find_map(of_zero))
}

fn are_marks(text: &str) -> bool {
    (1..=MARKS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_alphanumeric)
}

fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// By the networks whose cards are issued: 30 to 69, and 2221 to 2720.
fn begins_like_a_card(digits: &[u32]) -> bool {
    let number = |count: usize| {
        let first = digits.iter().take(count);
        first.fold(0_u32, |sum, digit| {
            sum.saturating_mul(10).saturating_add(*digit)
        })
    };
    matches!(number(2), 30..=69) || matches!(number(4), 2221..=2720)
}

#[cfg(test)]
mod tests {
    use super::super::{hides_a_card_number, looks_like_a_card_number};

    #[test]
    fn s15_a_card_number_is_known_with_other_marks_and_in_other_digits() {
        for text in [
            "4539578763621486",
            "4539 5787 6362 1486",
            "4539.5787.6362.1486",
            "4539/5787/6362/1486",
            "4539_5787_6362_1486",
            "4539\u{a0}5787\u{a0}6362\u{a0}1486",
            "4539\n5787\n6362\n1486",
            "4539, 5787, 6362, 1486",
            "4539\u{2013}5787\u{2013}6362\u{2013}1486",
            "4539\u{200b}5787\u{200b}6362\u{200b}1486",
            "3782.822463.10005",
            "\u{ff14}\u{ff15}\u{ff13}\u{ff19}\u{ff15}\u{ff17}\u{ff18}\u{ff17}\u{ff16}\u{ff13}\u{ff16}\u{ff12}\u{ff11}\u{ff14}\u{ff18}\u{ff16}",
            "\u{664}\u{665}\u{663}\u{669}.\u{665}\u{667}\u{668}\u{667}.\u{666}\u{663}\u{666}\u{662}.\u{661}\u{664}\u{668}\u{666}",
            "pay with 4539.5787.6362.1486, please",
        ] {
            assert!(
                looks_like_a_card_number(text) || hides_a_card_number(text),
                "{text:?}"
            );
        }
        for text in [
            "a4539578763621486b",
            "https://shop.example.com/4539%205787%206362%201486",
            "https://shop.example.com/?to=4539+5787+6362+1486",
            "https://shop.example.com/item4539578763621486.html",
            "https://shop.example.com/?a=%34%35%33%39%35%37%38%37%36%33%36%32%31%34%38%36",
        ] {
            assert!(hides_a_card_number(text), "{text:?}");
        }
    }

    #[test]
    fn digits_of_other_things_are_no_card_number() {
        for text in [
            "2019, 2020, 2021, 2022",
            "4539.5787.6362.1487",
            "4539.5787/6362.1486",
            "192.168.100.123 and 10.0.0.1",
            "2026-11-27T10:00:00.123456Z",
            "1234.56 2345.67 3456.78 4567.89",
            "agt_01a21c57582875d29393f0585ef014d9",
            "https://shop.example.com/?a=1&b=2+3%20x",
        ] {
            assert!(
                !looks_like_a_card_number(text) && !hides_a_card_number(text),
                "{text:?}"
            );
        }
    }
}
