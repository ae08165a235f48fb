//! Texts that owners choose: checked, so that they can be shown anywhere.

use super::problem::Problem;

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
    if !(1..=WORDS_LEN_MAX).contains(&text.chars().count()) || !text.chars().all(is_plain) {
        let message =
            format!("must be 1 to {WORDS_LEN_MAX} characters, none but line feeds control ones");
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
