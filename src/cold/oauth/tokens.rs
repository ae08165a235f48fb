//! Codes and tokens: their texts, and under what they are kept.

use crate::cold::store::grants::TokenKind;
use crate::cold::tokens::TokenSecret;

const ACCESS_PREFIX: &str = "cs_at_";
/// The longest text that is hashed to look for a token.
const TEXT_LEN_MAX: usize = 128;

/// Under what an access token is kept; none for a text that is none.
pub(in crate::cold) fn hash_of_access(secret: &TokenSecret, text: &str) -> Option<[u8; 32]> {
    let is_lawful = text.len() <= TEXT_LEN_MAX && text.starts_with(ACCESS_PREFIX);
    is_lawful.then(|| secret.digest(TokenKind::Access.name(), &[text.as_bytes()]))
}
