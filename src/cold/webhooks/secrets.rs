//! An endpoint's secrets: drawn here, shown once, sealed at rest.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};

use crate::cold::seal::{MasterKeys, SealError};
use crate::cold::store::Store;
use crate::cold::store::outward::SealedRow;
use crate::cold::store::webhook::{Webhook, sealed_names};
use crate::domain::time::Timestamp;
use crate::issuer::standard_webhooks::{Secret, SignedHeaders, sign};

const PREFIX: &str = "whsec_";
const SIZE: usize = 32;

/// A new secret, as its owner gets it.
///
/// # Errors
/// Where the system gives no randomness.
pub fn draw() -> io::Result<SecretString> {
    let mut bytes = SecretBox::new(Box::new([0; SIZE]));
    getrandom::fill(secrecy::ExposeSecretMut::expose_secret_mut(&mut bytes))
        .map_err(|error| io::Error::other(error.to_string()))?;
    let text = STANDARD.encode(bytes.expose_secret());
    Ok(SecretString::from(format!("{PREFIX}{text}")))
}

/// Seals the secret that signs from now on; of a rotation, also the one before.
///
/// # Errors
/// [`SealError`] where it cannot be sealed, or the one before cannot be opened.
pub fn seal(
    keys: &MasterKeys,
    webhook_id: &str,
    secret: &SecretString,
    before: Option<&SealedRow>,
    now: Timestamp,
) -> Result<Vec<SealedRow>, SealError> {
    let [current, previous] = sealed_names(webhook_id);
    let mut rows = vec![keys.seal(&current, secret, now)?];
    if let Some(before) = before {
        let secret = keys.open(before)?;
        rows.push(keys.seal(&previous, &secret, now)?);
    }
    Ok(rows)
}

/// The address of a chat, which is its secret.
pub(super) async fn address(
    store: &dyn Store,
    keys: Option<&MasterKeys>,
    webhook: &Webhook,
) -> Result<SecretString, String> {
    let [current, _] = sealed_names(&webhook.id);
    let row = store.sealed_as(current).await;
    let row = row.map_err(|error| error.to_string())?;
    let (row, keys) = row
        .zip(keys)
        .ok_or("there is no address, or no master key")?;
    keys.open(&row).map_err(|error| error.to_string())
}

/// Those that sign what the endpoint is told, the newest first. Cannot be printed.
pub(super) struct Signers(Vec<Secret>);

/// Why there are none. Says nothing of them.
pub(super) const UNSIGNED: &str = "its secret does not open here: see the server's log";

impl Signers {
    pub(super) async fn of(
        store: &dyn Store,
        keys: Option<&MasterKeys>,
        webhook: &Webhook,
        now: Timestamp,
    ) -> Result<Self, String> {
        let [current, previous] = sealed_names(&webhook.id);
        let is_rotating = webhook.previous_until.is_some_and(|until| now < until);
        let mut secrets = Vec::new();
        for name in [Some(current), is_rotating.then_some(previous)] {
            let Some(name) = name else { continue };
            let row = store.sealed_as(name).await;
            let row = row.map_err(|error| error.to_string())?;
            let (row, keys) = row
                .zip(keys)
                .ok_or("there is no secret, or no master key")?;
            let text = keys.open(&row).map_err(|error| error.to_string())?;
            let secret = Secret::from_text(text.expose_secret().to_owned());
            secrets.push(secret.map_err(|error| error.to_string())?);
        }
        Ok(Self(secrets))
    }

    /// Signed by each of them.
    pub(super) fn sign(&self, id: &str, now: Timestamp, body: &str) -> SignedHeaders {
        let mut signed = self.0.iter().map(|it| sign(it, id, now, body.as_bytes()));
        let first = signed.next();
        let empty = || SignedHeaders {
            id: id.to_owned(),
            timestamp: now.secs().to_string(),
            signature: String::new(),
        };
        let first = first.unwrap_or_else(empty);
        signed.fold(first, |all, next| SignedHeaders {
            signature: format!("{} {}", all.signature, next.signature),
            ..all
        })
    }
}
