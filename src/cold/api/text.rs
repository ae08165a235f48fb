//! Texts that owners choose: checked, so that they can be shown anywhere.

use super::problem::Problem;

/// Characters of a name.
const NAME_LEN_MAX: usize = 200;
/// Characters of an id that is not ours.
const EXTERNAL_ID_LEN_MAX: usize = 128;

/// A name, without control characters.
pub(super) fn name(text: Option<String>, field: &str) -> Result<Option<String>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    let length = text.chars().count();
    if !(1..=NAME_LEN_MAX).contains(&length) || text.chars().any(char::is_control) {
        let message = format!("must be 1 to {NAME_LEN_MAX} characters, none of them a control one");
        return Err(Problem::invalid_field(field, message));
    }
    Ok(Some(text))
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
