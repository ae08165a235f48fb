//! New ids: a prefix that says what it names, and a UUID of version 7, so that their texts sort by age.

use uuid::{NoContext, Uuid};

use crate::domain::time::Timestamp;

/// `card_` and 32 hexadecimal digits, as the instant and chance make them.
pub(super) fn draw(prefix: &str, now: Timestamp) -> String {
    let seconds = u64::try_from(now.secs()).unwrap_or(0);
    let nanos = u32::try_from(now.micros().rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    let id = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos));
    format!("{prefix}_{}", id.simple())
}

/// Whether it has the form of an id of ours: a word, and digits that nobody chose.
pub(super) fn is_ours(text: &str) -> bool {
    let parts = text.rsplit_once('_');
    parts.is_some_and(|(word, digits)| {
        let is_drawn = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_drawn && digits.len() >= 16 && word.bytes().all(|byte| byte.is_ascii_lowercase())
    })
}

/// Whether a text can be an id at all, so that nothing else is looked up.
pub(super) fn is_id(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=128).contains(&text.len()) && text.bytes().all(is_part)
}
