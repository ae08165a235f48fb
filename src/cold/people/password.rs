//! Passwords: argon2id, with the parameters that OWASP names first (19 MiB, two passes).
//!
//! Whoever is unknown costs as much as whoever has mistyped, and two at a time are hashed, so that a
//! crowd at the door takes neither the memory nor the processors of those inside. A seat is given back
//! by the work itself, and not by whoever has asked and gone away.

use std::io;
use std::sync::Arc;

use argon2::password_hash::phc;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::cold::store::people::PasswordHash;

/// Fewer characters are guessed.
pub const LEN_MIN: usize = 12;
/// More are hashed by nobody.
pub const LEN_MAX: usize = 256;
/// Hashed at a time.
const AT_ONCE: usize = 2;
/// That wait for those; more are sent away.
const WAITING_MAX: usize = 20;
/// Random bytes of a password that a command draws: 120 bits.
const DRAWN_SIZE: usize = 15;

/// Checks passwords, a few at a time.
pub struct Passwords {
    seats: Arc<Semaphore>,
    /// For those at work, and those who wait.
    places: Arc<Semaphore>,
    /// Of a password that nobody has.
    nobody: PasswordHash,
}

/// So many wait that one more would wait for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowded;

impl Passwords {
    /// Hashes once, for those who are unknown.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            seats: Arc::new(Semaphore::new(AT_ONCE)),
            places: Arc::new(Semaphore::new(AT_ONCE + WAITING_MAX)),
            nobody: hash(&draw()?)?,
        })
    }

    /// Whether it is the password with this hash. Without one, it takes as long to say that it is not.
    ///
    /// # Errors
    /// [`Crowded`] where too many wait.
    pub async fn is(
        &self,
        password: SecretString,
        of: Option<&PasswordHash>,
    ) -> Result<bool, Crowded> {
        let is_known = of.is_some();
        let kept = of.unwrap_or(&self.nobody).clone();
        let verified = self.seated(move || verify(&password, &kept)).await?;
        Ok(verified && is_known)
    }

    async fn seated(&self, work: impl FnOnce() -> bool + Send + 'static) -> Result<bool, Crowded> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_full| Crowded)?;
        let seat = Arc::clone(&self.seats).acquire_owned().await;
        let seat = seat.map_err(|_closed| Crowded)?;
        let worked = spawn_blocking(move || {
            let _held = (place, seat);
            work()
        });
        Ok(worked.await.unwrap_or(false))
    }
}

fn verify(password: &SecretString, kept: &PasswordHash) -> bool {
    let Ok(kept) = phc::PasswordHash::new(&kept.0) else {
        return false;
    };
    let password = password.expose_secret();
    password.len() <= LEN_MAX
        && Argon2::default()
            .verify_password(password.as_bytes(), &kept)
            .is_ok()
}

/// The hash under which a password is kept.
///
/// # Errors
/// Where the system gives no randomness.
pub fn hash(password: &SecretString) -> io::Result<PasswordHash> {
    let other = |error: &dyn std::fmt::Display| io::Error::other(error.to_string());
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
    let hashed = hasher.hash_password(password.expose_secret().as_bytes());
    let hashed: phc::PasswordHash = hashed.map_err(|error| other(&error))?;
    Ok(PasswordHash(hashed.to_string()))
}

/// A new password that nobody chose.
///
/// # Errors
/// Where the system gives no randomness.
pub fn draw() -> io::Result<SecretString> {
    let mut bytes = [0; DRAWN_SIZE];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(SecretString::from(URL_SAFE_NO_PAD.encode(bytes)))
}

/// Whether a text is the hash of a password as this module makes them: nothing else is kept.
#[must_use]
pub fn is_hash(text: &str) -> bool {
    let parsed = phc::PasswordHash::new(text);
    text.len() <= LEN_MAX && parsed.is_ok() && text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    #[test]
    fn a_password_is_known_by_its_hash_alone_and_none_is_like_another() {
        let password = draw().unwrap();
        let [first, second] = [hash(&password).unwrap(), hash(&password).unwrap()];
        assert_ne!(first, second, "salted");
        assert!(is_hash(&first.0), "{}", first.0);
        assert!(verify(&password, &first) && verify(&password, &second));
        assert!(!verify(&draw().unwrap(), &first));
        assert!(!is_hash(
            "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"
        ));
        assert!(!format!("{first:?}").contains("argon2"));
    }

    #[test]
    fn nobody_has_a_password() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let passwords = Passwords::new().unwrap();
        let password = draw().unwrap();
        let kept = hash(&password).unwrap();
        let is = |of| runtime.block_on(passwords.is(password.clone(), of));
        assert_eq!(is(Some(&kept)), Ok(true));
        assert_eq!(is(None), Ok(false));
    }

    #[test]
    fn whoever_goes_away_keeps_his_seat_until_the_work_is_done_and_a_crowd_is_sent_away() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let passwords = Passwords::new().unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let (done, wait) = mpsc::channel::<()>();
        let _inside = runtime.enter();
        // It begins, and whoever asked hangs up.
        let mut gone = Box::pin(passwords.seated(move || wait.recv().is_ok()));
        assert!(gone.as_mut().poll(&mut context).is_pending());
        drop(gone);
        assert_eq!(passwords.seats.available_permits(), AT_ONCE - 1);
        // Another one works, and so many wait.
        let (other_done, other_wait) = mpsc::channel::<()>();
        let mut other = Box::pin(passwords.seated(move || other_wait.recv().is_ok()));
        assert!(other.as_mut().poll(&mut context).is_pending());
        let waiting: Vec<_> = { 0..WAITING_MAX }
            .map(|_| {
                let mut next = Box::pin(passwords.seated(|| true));
                assert!(next.as_mut().poll(&mut context).is_pending());
                next
            })
            .collect();
        assert_eq!(
            runtime.block_on(passwords.seated(|| true)),
            Err(Crowded),
            "one more"
        );
        done.send(()).unwrap();
        other_done.send(()).unwrap();
        assert_eq!(runtime.block_on(other), Ok(true));
        for next in waiting {
            assert_eq!(runtime.block_on(next), Ok(true));
        }
    }
}
