//! Pages for people, on the listener of people and agents (behaviour 7.1, 7.2).
//!
//! Everything is HTML that a browser shows without scripts. A page comes from a template that escapes
//! whatever it shows; `signed_in::SignedIn` says who looks at it, and no form changes anything
//! without this server's own origin and the session's token in it.

pub(in crate::cold) mod form;
pub(in crate::cold) mod page;
mod programs;
pub(in crate::cold) mod sign_in;
pub(in crate::cold) mod signed_in;
pub(in crate::cold) mod site;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::cold::api::{Api, PerMinute, Served};
use crate::cold::people::password::Passwords;
use page::Refused;
use site::Site;

/// Attempts to sign in as one person, and from one address, in a minute.
const ATTEMPTS_A_PERSON: u32 = 5;
const ATTEMPTS_AN_ADDRESS: u32 = 20;

/// What all pages work with.
#[derive(Clone)]
pub struct Web(Arc<Inner>);

struct Inner {
    served: Served,
    site: Site,
    passwords: Passwords,
    by_person: PerMinute,
    by_address: PerMinute,
}

impl Web {
    /// Pages of this site.
    ///
    /// # Errors
    /// Where the system gives no randomness.
    pub fn new(served: &Served, site: Site) -> io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            served: Served::clone(served),
            site,
            passwords: Passwords::new()?,
            by_person: PerMinute::new(ATTEMPTS_A_PERSON),
            by_address: PerMinute::new(ATTEMPTS_AN_ADDRESS),
        })))
    }

    /// Where this server is for people.
    pub(in crate::cold) fn site(&self) -> &Site {
        &self.0.site
    }

    /// The API, once the server has started on a database.
    pub(in crate::cold) fn api(&self) -> Result<Arc<Api>, Refused> {
        let served = self.0.served.get().ok_or(Refused::NotReady)?;
        served.as_ref().map(Arc::clone).ok_or(Refused::NotReady)
    }
}

/// The pages by which people come and go.
pub(in crate::cold) fn router(web: Web) -> Router {
    Router::new()
        .route("/login", get(sign_in::show).post(sign_in::sign_in))
        .route("/logout", get(sign_in::show_out))
        .route("/logout", post(sign_in::sign_out))
        .route("/programs", get(programs::show))
        .route("/programs/{id}/revoke", post(programs::revoke))
        .route("/assets/entry.css", get(page::style))
        .with_state(web)
}
