//! What the sandbox signs with, one secret for each shape, drawn once and kept in the data directory.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

use super::files::{FileError, exists, read_text, replace};
use super::shape::Shape;
use crate::domain::time::Timestamp;
use crate::issuer::delivery::{Unsigned, VerifierInvalid};
use crate::issuer::{Issuer, marqeta, standard_webhooks, stripe};

const SECRET_SIZE: usize = 32;
/// In seconds, into the past and the future.
const TOLERANCE_S: u32 = 300;

/// The sandbox's secrets. Cannot be printed.
#[derive(Clone)]
pub struct Keys {
    /// Of the connection that speaks as Lithic does.
    pub lithic: standard_webhooks::Secret,
    stripe: stripe::Secret,
    /// `user:password`.
    marqeta: SecretString,
}

/// The headers that prove who sends a body, by name.
pub(super) type Proof = Vec<(&'static str, String)>;

impl Keys {
    /// Draws what is absent in `folder`, and reads all.
    pub(super) fn prepare(folder: &Path) -> Result<Self, FileError> {
        for shape in Shape::ALL {
            let path = folder.join(file_of(shape));
            if !exists(&path)? {
                let text = draw(shape, &path)?;
                replace(&path, text.expose_secret().as_bytes(), 0o600)?;
            }
        }
        Self::read(folder)
    }

    /// Reads all of them. Those that an older version did not draw are drawn by the server's start.
    pub(super) fn read(folder: &Path) -> Result<Self, FileError> {
        let lithic = folder.join(file_of(Shape::Lithic));
        let stripe = folder.join(file_of(Shape::Stripe));
        let marqeta = folder.join(file_of(Shape::Marqeta));
        Ok(Self {
            lithic: standard_webhooks::Secret::from_text(line(&lithic)?)
                .map_err(|cause| FileError::new("use", &lithic, &cause))?,
            stripe: stripe::Secret::from_text(line(&stripe)?)
                .map_err(|cause| FileError::new("use", &stripe, &cause))?,
            marqeta: SecretString::from(line(&marqeta)?),
        })
    }

    /// The connection of each shape: its name, and what is accepted as the sandbox's there.
    ///
    /// # Errors
    /// [`VerifierInvalid`] where nothing could be verified.
    pub fn connections(&self) -> Result<Vec<(&'static str, Issuer)>, VerifierInvalid> {
        let issuer = |shape| -> Result<Issuer, VerifierInvalid> {
            Ok(match shape {
                Shape::Lithic => Issuer::Sandbox(standard_webhooks::Verifier::new(
                    vec![self.lithic.clone()],
                    TOLERANCE_S,
                    Unsigned::Refuse,
                )?),
                Shape::Stripe => Issuer::Stripe(stripe::Account {
                    verifier: stripe::Verifier::new(
                        vec![self.stripe.clone()],
                        TOLERANCE_S,
                        Unsigned::Refuse,
                    )?,
                    livemode: Some(false),
                    account: None,
                }),
                Shape::Marqeta => {
                    let text = self.marqeta.expose_secret().to_owned();
                    let credentials = marqeta::Credentials::from_text(text)
                        .map_err(|_not_ours| VerifierInvalid::NoSecret)?;
                    let credentials = vec![credentials];
                    Issuer::Marqeta(marqeta::Verifier::new(
                        credentials,
                        Vec::new(),
                        Unsigned::Refuse,
                    )?)
                }
            })
        };
        let named = |shape: Shape| Ok((shape.connection(), issuer(shape)?));
        Shape::ALL.into_iter().map(named).collect()
    }

    /// Signs a body as the issuer of this shape does; `delivery` stays the same when it is delivered
    /// again.
    pub(super) fn sign(&self, shape: Shape, delivery: &str, at: Timestamp, body: &[u8]) -> Proof {
        match shape {
            Shape::Lithic => {
                let signed = standard_webhooks::sign(&self.lithic, delivery, at, body);
                vec![
                    (standard_webhooks::HEADER_ID, signed.id),
                    (standard_webhooks::HEADER_TIMESTAMP, signed.timestamp),
                    (standard_webhooks::HEADER_SIGNATURE, signed.signature),
                ]
            }
            Shape::Stripe => vec![(stripe::HEADER, stripe::sign(&self.stripe, at, body))],
            Shape::Marqeta => {
                let encoded = STANDARD.encode(self.marqeta.expose_secret());
                vec![("authorization", format!("Basic {encoded}"))]
            }
        }
    }
}

fn file_of(shape: Shape) -> &'static str {
    match shape {
        Shape::Lithic => "secret",
        Shape::Stripe => "secret-stripe",
        Shape::Marqeta => "secret-marqeta",
    }
}

fn line(path: &Path) -> Result<String, FileError> {
    let text = SecretString::from(read_text(path)?);
    Ok(text.expose_secret().trim_end().to_owned())
}

fn draw(shape: Shape, path: &Path) -> Result<SecretString, FileError> {
    let mut key = [0; SECRET_SIZE];
    getrandom::fill(&mut key)
        .map_err(|cause| FileError::new("draw random bytes for", path, &cause))?;
    let encoded = STANDARD.encode(key);
    Ok(SecretString::from(match shape {
        Shape::Lithic | Shape::Stripe => format!("whsec_{encoded}\n"),
        Shape::Marqeta => format!("sandbox:{encoded}\n"),
    }))
}
