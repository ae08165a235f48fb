//! Pages for people, on the listener of people and agents (behaviour 7.1, 7.2).
//!
//! `cold::web` makes the pages and reads the forms; `signed_in::SignedIn` says who looks at a page, and no
//! form changes anything without this server's own origin and the session's token in it.

mod programs;
pub(in crate::cold) mod refused;
mod sign_in;
pub(in crate::cold) mod signed_in;
pub mod site;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::cold::api::{Api, Served};
use crate::cold::people::password::Passwords;
use crate::cold::per_minute::PerMinute;
use refused::Refused;
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
        .with_state(web)
}
