//! Texts that owners choose: checked, so that they can be shown anywhere.

use super::problem::Problem;

/// Characters of a name; [`NAME_RULE`] says it.
const NAME_LEN_MAX: usize = 200;
/// Characters of an id that is not ours.
const EXTERNAL_ID_LEN_MAX: usize = 128;

/// What a name has to be.
pub(in crate::cold) const NAME_RULE: &str =
    "must be 1 to 200 characters, none of them a control one";

/// Whether it is a name.
pub(in crate::cold) fn is_name(text: &str) -> bool {
    (1..=NAME_LEN_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// A name, where there is one.
pub(super) fn name(text: Option<String>, field: &str) -> Result<Option<String>, Problem> {
    if text.as_deref().is_some_and(|text| !is_name(text)) {
        return Err(Problem::invalid_field(field, NAME_RULE));
    }
    Ok(text)
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

/// Digits of a card number, at least and at most.
const NUMBER_LEN: std::ops::RangeInclusive<usize> = 13..=19;

/// Whether digits stand in it, one after the other or in groups, that can be the number of a payment
/// card: as many as one has, with the check digit that it has to have (ISO 7812).
pub(in crate::cold) fn looks_like_a_card_number(text: &str) -> bool {
    let mut digits: Vec<u32> = Vec::new();
    for character in text.chars().chain(['x']) {
        match character.to_digit(10) {
            Some(digit) => digits.push(digit),
            None if matches!(character, ' ' | '-') && !digits.is_empty() => {}
            None => {
                if has_number(&digits) {
                    return true;
                }
                digits.clear();
            }
        }
    }
    false
}

/// Every run of the length counts, also within a longer one.
fn has_number(digits: &[u32]) -> bool {
    let mut lens = NUMBER_LEN;
    lens.any(|len| digits.windows(len).any(passes))
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
