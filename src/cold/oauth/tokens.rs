//! Codes and tokens: their texts, under what they are kept, how long they are good.

use std::io;

use secrecy::{ExposeSecret as _, SecretString};

use crate::cold::store::grants::{Token, TokenKind};
use crate::cold::tokens::{TokenSecret, draw_opaque};
use crate::domain::time::Timestamp;

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;
/// For a program to come for its tokens.
pub(in crate::cold) const CODE_LIFE_US: i64 = 60 * SECOND_US;
/// Short: what ends a grant ends it at once, and this is for a token that was lost unnoticed.
pub(in crate::cold) const ACCESS_LIFE_US: i64 = 15 * 60 * SECOND_US;
/// A program that does not come back for so long has to ask again.
pub(in crate::cold) const REFRESH_LIFE_US: i64 = 30 * DAY_US;
/// However often it comes, its user is asked again after so long.
pub(in crate::cold) const GRANT_LIFE_US: i64 = 90 * DAY_US;

const ACCESS_PREFIX: &str = "cs_at_";
/// The longest text that is hashed to look for a token.
const TEXT_LEN_MAX: usize = 128;

fn prefix(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Code => "cs_ac_",
        TokenKind::Access => ACCESS_PREFIX,
        TokenKind::Refresh => "cs_rt_",
    }
}

/// A new text of a grant, and its row; of a code, what belongs to it is put in by its maker.
///
/// # Errors
/// Where the system gives no randomness.
pub(in crate::cold) fn issue(
    secret: &TokenSecret,
    kind: TokenKind,
    grant_id: &str,
    expires_at: Timestamp,
) -> io::Result<(SecretString, Token)> {
    let text = draw_opaque(prefix(kind))?;
    let row = Token {
        hash: secret.digest(kind.name(), &[text.expose_secret().as_bytes()]),
        grant_id: grant_id.to_owned(),
        kind,
        challenge: None,
        redirect_uri: None,
        expires_at,
        used_at: None,
    };
    Ok((text, row))
}

/// Under what a text is kept, if it is one of this kind.
pub(in crate::cold) fn hash_of(
    secret: &TokenSecret,
    kind: TokenKind,
    text: &str,
) -> Option<[u8; 32]> {
    let is_lawful = text.len() <= TEXT_LEN_MAX && text.starts_with(prefix(kind));
    is_lawful.then(|| secret.digest(kind.name(), &[text.as_bytes()]))
}

/// Under what an access token is kept; none for a text that is none.
pub(in crate::cold) fn hash_of_access(secret: &TokenSecret, text: &str) -> Option<[u8; 32]> {
    hash_of(secret, TokenKind::Access, text)
}
