//! Texts that owners choose: checked, so that they can be shown anywhere.

pub(in crate::cold) mod spelling;

use std::ops::RangeInclusive;

use serde_json::Value;

use super::problem::Problem;
use crate::cold::ids::is_id;

/// Characters of a name; [`NAME_RULE`] says it.
const NAME_LEN_MAX: usize = 200;
/// Characters of what somebody has to say.
const WORDS_LEN_MAX: usize = 1_000;
/// Characters of an id that is not ours.
const EXTERNAL_ID_LEN_MAX: usize = 128;

/// What a name has to be.
pub(in crate::cold) const NAME_RULE: &str =
    "must be 1 to 200 characters, none of them a control one";

/// Whether it is a name.
pub(in crate::cold) fn is_name(text: &str) -> bool {
    (1..=NAME_LEN_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// What somebody has to say, in a sentence or some.
pub(super) fn words(text: &str, field: &str) -> Result<String, Problem> {
    let is_plain = |char: char| !char.is_control() || char == '\n';
    let count = text.chars().count();
    if text.trim().is_empty() || count > WORDS_LEN_MAX || !text.chars().all(is_plain) {
        let message = format!(
            "must be 1 to {WORDS_LEN_MAX} characters, not spaces alone, and none but line feeds control ones"
        );
        return Err(Problem::invalid_field(field, message));
    }
    Ok(text.to_owned())
}

/// A name, where there is one.
pub(super) fn name(text: Option<String>, field: &str) -> Result<Option<String>, Problem> {
    if text.as_deref().is_some_and(|text| !is_name(text)) {
        return Err(Problem::invalid_field(field, NAME_RULE));
    }
    Ok(text)
}

/// An id that is looked up. What can be none is there for nobody.
pub(super) fn id(text: &str) -> Result<String, Problem> {
    let id = is_id(text).then(|| text.to_owned());
    id.ok_or_else(Problem::not_found)
}

/// An id of the owner's own.
pub(super) fn external_id(text: Option<String>) -> Result<Option<String>, Problem> {
    let is_lawful = |text: &String| {
        (1..=EXTERNAL_ID_LEN_MAX).contains(&text.len())
            && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    if text.as_ref().is_some_and(|text| !is_lawful(text)) {
        let message = format!("must be 1 to {EXTERNAL_ID_LEN_MAX} printable ASCII characters");
        return Err(Problem::invalid_field("externalId", message));
    }
    Ok(text)
}

/// What is told of a text that may hold one.
pub(super) const NO_CARD_NUMBER: &str = "looks like a card number, and none is kept here";
/// The first four digits of the numbers that card networks give out, and how many digits those have. Without
/// them one of ten timestamps would be taken for a card.
const NETWORKS: [(RangeInclusive<u32>, RangeInclusive<usize>); 15] = [
    // Mir, Mastercard.
    (2200..=2204, 16..=19),
    (2221..=2720, 16..=16),
    // Diners Club, American Express, JCB.
    (3000..=3059, 14..=19),
    (3095..=3095, 14..=19),
    (3400..=3499, 15..=15),
    (3528..=3589, 16..=19),
    (3600..=3699, 14..=19),
    (3700..=3799, 15..=15),
    (3800..=3999, 14..=19),
    // Visa.
    (4000..=4999, 13..=13),
    (4000..=4999, 16..=19),
    // Maestro and others, Mastercard.
    (5000..=5099, 13..=19),
    (5100..=5599, 16..=16),
    (5600..=5899, 13..=19),
    // Discover, Maestro, RuPay, UnionPay.
    (6000..=6999, 13..=19),
];

/// Whether a number stands in it that can be a payment card's: in one piece or in groups, it begins as a
/// network's numbers do, has as many digits as those have, and the check digit that it has to have (ISO
/// 7812). Digits that are part of a word, as in our ids, are none.
pub(in crate::cold) fn looks_like_a_card_number(text: &str) -> bool {
    is_written_plainly(text) || spelling::is_grouped(text)
}

/// The same, and whether one is part of a word or written as addresses of pages write what is special in
/// them. For what an agent writes, which people are told and which holds no ids of ours.
pub(super) fn hides_a_card_number(text: &str) -> bool {
    spelling::is_in_a_word(text) || {
        let decoded = spelling::of_address(text);
        decoded.is_some_and(|text| looks_like_a_card_number(&text) || spelling::is_in_a_word(&text))
    }
}

fn is_written_plainly(text: &str) -> bool {
    let is_part =
        |character: char| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_');
    let mut pieces = text.split(|character| !is_part(character));
    pieces.any(|piece| {
        let words = piece.split([' ', '-']).filter(|word| !word.is_empty());
        let mut digits: Vec<u32> = Vec::new();
        for word in words.chain(["end"]) {
            match word
                .chars()
                .map(|it| it.to_digit(10))
                .collect::<Option<Vec<u32>>>()
            {
                Some(more) => digits.extend(more),
                None if is_card_number(&digits) => return true,
                None => digits.clear(),
            }
        }
        false
    })
}

/// The member in which callers keep what they like.
const FREE: &str = "metadata";

/// Refuses a body in which a card number stands as a text, in the name of a member, or as a number in
/// what is free: it would be kept, and shown.
pub(super) fn refuse_card_numbers(body: &[u8]) -> Result<(), Problem> {
    // What is no JSON is refused by whoever reads it.
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return Ok(());
    };
    match place_of_number(&value, "") {
        None => Ok(()),
        Some(field) => Err(Problem::invalid_field(&field, NO_CARD_NUMBER)),
    }
}

fn place_of_number(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::String(text) => looks_like_a_card_number(text).then(|| path.to_owned()),
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(at, item)| place_of_number(item, &format!("{path}[{at}]")))
        }
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            if looks_like_a_card_number(name) {
                return Some(path.to_owned());
            }
            let dot = if path.is_empty() { "" } else { "." };
            place_of_number(member, &format!("{path}{dot}{name}"))
        }),
        // What is free may say it as a number; elsewhere numbers are amounts.
        Value::Number(number) if path.starts_with(FREE) => {
            looks_like_a_card_number(&number.to_string()).then(|| path.to_owned())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

pub(super) fn is_card_number(digits: &[u32]) -> bool {
    let Some(first) = digits.first_chunk::<4>() else {
        return false;
    };
    let first = first.iter().fold(0, |number, digit| number * 10 + digit);
    let mut networks = NETWORKS.iter();
    networks.any(|(begin, lens)| begin.contains(&first) && lens.contains(&digits.len()))
        && passes(digits)
}

/// The check of Luhn. Numbers of one digit repeated are nobody's.
fn passes(digits: &[u32]) -> bool {
    let reversed = digits.iter().rev().enumerate();
    let sum: u32 = reversed
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    let first = digits.first();
    sum.is_multiple_of(10) && digits.iter().any(|digit| Some(digit) != first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number with the check digit that it has to have.
    fn checked(digits: &str) -> String {
        let whole = |last: u32| format!("{digits}{last}");
        let is_right = |text: &String| {
            let digits: Vec<u32> = text.chars().filter_map(|it| it.to_digit(10)).collect();
            passes(&digits)
        };
        (0..10).map(whole).find(is_right).unwrap()
    }

    #[test]
    fn s15_a_card_number_begins_and_is_as_long_as_its_networks() {
        for digits in [
            "222100000000001",
            "272099999999999",
            "220012345678901",
            "3056930902590",
            "34123456789012",
            "37828224631000",
            "352800000000001",
            "3600000000001",
            "3852000002323",
            "411111111111",
            "401288888888188",
            "401288888888188123",
            "555555555555444",
            "500000000000001",
            "5893000000001",
            "601111111111111",
            "620000000000000001",
        ] {
            let number = checked(digits);
            assert!(looks_like_a_card_number(&number), "{number}");
            let said = format!("pay {number} now");
            assert!(looks_like_a_card_number(&said), "{said}");
        }
        for digits in [
            "178000000000",       // A time in milliseconds.
            "178000000012345",    // In microseconds.
            "178000000012345678", // In nanoseconds.
            "2026112712000",      // As a date.
            "222099999999999",
            "272100000000000",
            "306000000000001",
            "341234567890123",
            "352700000000001",
            "4111111111111",
            "5555555555554444",
            "700000000000001",
            "900000000000001",
            "000000000000001",
        ] {
            let number = checked(digits);
            assert!(!looks_like_a_card_number(&number), "{number}");
        }
    }

    #[test]
    fn s15_no_time_is_taken_for_a_card() {
        for step in 0..10_000_u64 {
            let seconds = 1_600_000_000 + step * 39_191;
            for time in [seconds * 1_000 + step % 1_000, seconds * 1_000_000 + step] {
                assert!(!looks_like_a_card_number(&time.to_string()), "{time}");
            }
        }
    }
}
