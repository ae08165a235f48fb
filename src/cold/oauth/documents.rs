//! Programs that describe themselves in a document at an address that is their id (client id metadata
//! documents). It is read when somebody who has signed in is asked, by the guarded client of webhooks:
//! public addresses alone, no redirect followed, little and quickly.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::client::Program;
use super::redirect;
use crate::cold::api::{is_name, looks_like_a_card_number};
use crate::cold::per_minute::PerMinute;
use crate::cold::webhooks::address::Reach;
use crate::cold::webhooks::fetch::Fetcher;
use crate::domain::time::Timestamp;

/// Documents that are remembered, and for how long.
const KNOWN_MAX: usize = 100;
const KNOWN_US: i64 = 300_000_000;
/// What one person has fetched in a minute.
const FETCHES_A_MINUTE: u32 = 10;
const REDIRECTS_MAX: usize = 20;

/// See the module.
pub(super) struct Documents {
    fetcher: Fetcher,
    reach: Reach,
    fetches: PerMinute,
    known: Mutex<HashMap<String, (Timestamp, Program)>>,
}

/// What we read of one; what else is in it is passed over.
#[derive(Deserialize)]
struct WireDocument {
    client_id: String,
    client_name: Option<String>,
    redirect_uris: Vec<String>,
}

/// Whether an id is an address.
pub(super) fn is_address(id: &str) -> bool {
    id.starts_with("https://") || id.starts_with("http://")
}

impl Documents {
    pub(super) fn new(reach: Reach) -> Self {
        Self {
            fetcher: Fetcher::new(reach),
            reach,
            fetches: PerMinute::new(FETCHES_A_MINUTE),
            known: Mutex::default(),
        }
    }

    /// The program of this address; none, with why, where there is none.
    pub(super) async fn program(
        &self,
        id: &str,
        for_whom: &str,
        now: Timestamp,
    ) -> Result<Program, &'static str> {
        self.check(id)?;
        if let Some(known) = self.remembered(id, now) {
            return Ok(known);
        }
        let often = |_after_s| "too many programs were looked up; try again in a minute";
        self.fetches.take(for_whom, now).map_err(often)?;
        let text = self.fetcher.json(id).await.map_err(|why| {
            tracing::info!(%why, "a program's document could not be read");
            "its document cannot be read"
        })?;
        let program = program(id, &text)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| now.micros_since(*at) < KNOWN_US);
        if known.len() < KNOWN_MAX {
            known.insert(id.to_owned(), (now, program.clone()));
        }
        Ok(program)
    }

    /// An id of this kind is an address with a path, in the one spelling that it has.
    fn check(&self, id: &str) -> Result<(), &'static str> {
        let wrong = "its id is no address of a document";
        let uri = self.reach.check(id).map_err(|_why| wrong)?;
        let has_dots = uri.path().split('/').any(|part| matches!(part, "." | ".."));
        let is_plain = uri.path() != "/" && uri.query().is_none() && !has_dots;
        if !is_plain || looks_like_a_card_number(id) {
            return Err(wrong);
        }
        Ok(())
    }

    fn remembered(&self, id: &str, now: Timestamp) -> Option<Program> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, program) = known.get(id)?;
        (now.micros_since(*at) < KNOWN_US).then(|| program.clone())
    }
}

fn program(id: &str, text: &[u8]) -> Result<Program, &'static str> {
    let document: WireDocument =
        serde_json::from_slice(text).map_err(|_error| "its document is not understood")?;
    if document.client_id != id {
        return Err("its document belongs to another address");
    }
    let uris = document.redirect_uris;
    if !redirect::may_be_kept(&uris, REDIRECTS_MAX) {
        return Err("its document names an address to come back to that is not lawful, or none");
    }
    Ok(Program {
        id: id.to_owned(),
        name: { document.client_name }
            .filter(|name| is_name(name) && !looks_like_a_card_number(name)),
        redirect_uris: uris,
        is_registered: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PORTS_MAX;

    const ID: &str = "https://app.example.com/client.json";

    #[test]
    fn a_document_is_that_of_its_own_address() {
        let uris = r#""redirect_uris": ["https://app.example.com/cb"]"#;
        let of = |id: &str, uris: &str| {
            let text =
                format!(r#"{{"client_id": "{id}", "client_name": "An app", "x": 1, {uris}}}"#);
            program(ID, text.as_bytes())
        };
        let app = of(ID, uris).unwrap();
        assert_eq!(app.name.as_deref(), Some("An app"));
        assert_eq!(app.redirect_uris, ["https://app.example.com/cb"]);
        assert!(of("https://evil.example/client.json", uris).is_err());
        assert!(of(ID, r#""redirect_uris": []"#).is_err());
        assert!(of(ID, r#""redirect_uris": ["http://app.example.com/cb"]"#).is_err());
        let number = r#""redirect_uris": ["https://app.example.com/4000001234567899"]"#;
        assert!(of(ID, number).is_err(), "it would be kept and shown");
        assert!(program(ID, b"<html>").is_err());
    }

    #[test]
    fn s13_an_id_is_a_public_address_with_a_path() {
        let documents = Documents::new(Reach {
            loopback: false,
            ports: [0; PORTS_MAX],
        });
        assert!(documents.check(ID).is_ok());
        for wrong in [
            "http://app.example.com/client.json",
            "https://127.0.0.1/client.json",
            "https://localhost/client.json",
            "https://169.254.169.254/latest",
            "https://app.example.com/",
            "https://app.example.com",
            "https://app.example.com/a/../client.json",
            "https://app.example.com/client.json?x=1",
            "https://user@app.example.com/client.json",
        ] {
            assert!(documents.check(wrong).is_err(), "{wrong}");
        }
    }
}
