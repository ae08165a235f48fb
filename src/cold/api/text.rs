//! Texts that owners choose: checked, so that they can be shown anywhere.

pub(in crate::cold) mod spelling;

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
/// Digits of a card number, at least and at most.
const NUMBER_LEN: std::ops::RangeInclusive<usize> = 13..=19;

/// Whether a number stands in it that can be a payment card's: as many digits as one has, in one piece
/// or in groups, with the check digit that it has to have (ISO 7812). Digits that are part of a word,
/// as in our ids, are none.
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
    NUMBER_LEN.contains(&digits.len()) && passes(digits)
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
