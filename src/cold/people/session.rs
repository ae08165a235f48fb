//! Sessions: what a browser holds, and who stands behind it.

use std::io;

use secrecy::{ExposeSecret as _, SecretString};

use crate::cold::store::people::{Session, User};
use crate::cold::store::{Store, StoreError};
use crate::cold::tokens::{self, TokenSecret};
use crate::domain::time::Timestamp;

const MINUTE_US: i64 = 60_000_000;
/// Without a request for so long, a session is over.
pub const IDLE_US: i64 = 60 * MINUTE_US;
/// However busy it is, it is over after so long.
pub const LIFE_US: i64 = 12 * 60 * MINUTE_US;
/// How often it is written down that it was used.
const SEEN_EVERY_US: i64 = MINUTE_US;

/// What the hash of a session's text is for.
const PURPOSE: &str = "session";

/// A session that has just begun: the text for the cookie, and the row.
///
/// # Errors
/// Where the system gives no randomness.
pub fn begin(
    secret: &TokenSecret,
    user: &User,
    now: Timestamp,
) -> io::Result<(SecretString, Session)> {
    let text = tokens::draw_opaque("cs_se_")?;
    let session = Session {
        hash: hash_of(secret, text.expose_secret()),
        user_id: user.id.clone(),
        created_at: now,
        seen_at: now,
    };
    Ok((text, session))
}

/// Under what a session's text is kept.
#[must_use]
pub fn hash_of(secret: &TokenSecret, text: &str) -> [u8; 32] {
    secret.digest(PURPOSE, &[text.as_bytes()])
}

/// Somebody with a session that is in force.
#[derive(Clone, Debug)]
pub struct Present {
    /// Who.
    pub user: User,
    /// By what.
    pub session: Session,
    /// Whether it is time to write down that it was used.
    pub is_news: bool,
}

/// Who stands behind a session's hash; nobody where it is over, or he may not come in any more.
///
/// # Errors
/// [`StoreError`] where the rows cannot be read.
pub async fn present(
    store: &dyn Store,
    hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<Present>, StoreError> {
    let Some(session) = store.people().session(hash).await? else {
        return Ok(None);
    };
    let user = store.people().user(session.user_id.clone()).await?;
    Ok(user
        .filter(|user| is_in_force(&session, user, now))
        .map(|user| Present {
            is_news: now.micros_since(session.seen_at) > SEEN_EVERY_US,
            user,
            session,
        }))
}

fn is_in_force(session: &Session, user: &User, now: Timestamp) -> bool {
    user.stands_for(session.created_at)
        && now.micros_since(session.created_at) < LIFE_US
        && now.micros_since(session.seen_at) < IDLE_US
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold::store::people::PasswordHash;
    use crate::cold::store::{Mode, Scope};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + second)
    }

    fn user() -> User {
        User {
            id: "usr_1".to_owned(),
            mode: Mode::Test,
            email: "ada@example.com".to_owned(),
            name: None,
            scope: Scope::Owner,
            customer_id: None,
            password: PasswordHash("none".to_owned()),
            password_at: at(0),
            disabled_at: None,
            created_at: at(0),
            revision: 1,
        }
    }

    fn session(created: i64, seen: i64) -> Session {
        Session {
            hash: [1; 32],
            user_id: "usr_1".to_owned(),
            created_at: at(created),
            seen_at: at(seen),
        }
    }

    #[test]
    fn a_session_ends_by_silence_by_age_by_a_new_password_and_with_its_owner() {
        assert!(is_in_force(&session(1, 1), &user(), at(3_600)));
        assert!(!is_in_force(&session(1, 1), &user(), at(3_601)), "idle");
        let busy = session(1, 43_000);
        assert!(is_in_force(&busy, &user(), at(43_200)));
        assert!(!is_in_force(&busy, &user(), at(43_201)), "old");
        let changed = User {
            password_at: at(1),
            ..user()
        };
        assert!(!is_in_force(&session(1, 1), &changed, at(2)));
        let disabled = User {
            disabled_at: Some(at(2)),
            ..user()
        };
        assert!(!is_in_force(&session(1, 1), &disabled, at(2)));
    }
}
