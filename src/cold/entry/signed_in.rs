//! Who looks at a page.
//!
//! A page's handler begins with [`SignedIn::of`]: it gives whoever has a session that is in force, or
//! the answer that sends him to sign in. `caller` is what the services behind the API take: it reaches
//! what a key of the same scope and customer does. Before a handler changes anything it calls
//! [`SignedIn::sent`], which takes the form only where the browser names this origin and the form
//! holds the session's token; a page puts that token, `csrf`, in a hidden field of the same name.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Web;
use super::refused::Refused;
use super::site::Base;
use crate::cold::api::{Api, Caller};
use crate::cold::audit::{self, Event, Who};
use crate::cold::control::Work;
use crate::cold::ids::{draw, is_id};
use crate::cold::listen::Peer;
use crate::cold::people::session::{self, Present};
use crate::cold::store::people::{PeopleChange, Session, User};
use crate::cold::store::{Batch, Change, Listed, Scope};
use crate::cold::web::form::{Form, Sender, sender};
use crate::domain::time::Timestamp;

/// The field in which a form gives back the session's token.
pub(in crate::cold) const CSRF_FIELD: &str = "csrf";

/// Somebody with a session that is in force, and the request that he has sent.
pub(in crate::cold) struct SignedIn {
    /// What the pages work with.
    pub(in crate::cold) api: Arc<Api>,
    /// What he reaches, for the services of the API.
    pub(in crate::cold) caller: Caller,
    /// Who he is.
    pub(in crate::cold) user: User,
    pub(in crate::cold) session: Session,
    /// For the hidden field of every form.
    pub(in crate::cold) csrf: String,
    /// By what address he has found us.
    pub(in crate::cold) base: Base,
    pub(in crate::cold) now: Timestamp,
    from: Option<String>,
    /// What he asks for, as the route has it: what stands in the path may be any text.
    asked: String,
}

impl SignedIn {
    /// Whoever has sent a request with this head.
    ///
    /// # Errors
    /// [`Refused`], which sends him to sign in where he has no session that is in force.
    pub(in crate::cold) async fn of(web: &Web, head: &Parts) -> Result<Self, Refused> {
        let api = web.api()?;
        let headers = &head.headers;
        let base = web.site().of(headers).ok_or(Refused::UnknownHost)?;
        let now = api.clock.now();
        let out = || Refused::SignIn(back_to(&head.method, &head.uri));
        let text = cookie(headers, session_cookie(&base)).ok_or_else(out)?;
        let hash = session::hash_of(&api.secret, text);
        let present = session::present(&*api.store, hash, now).await;
        let present = present.map_err(|error| {
            tracing::error!(%error, "a session could not be read");
            Refused::Fault
        })?;
        let Present {
            user,
            session,
            is_news,
        } = present.ok_or_else(out)?;
        if is_news {
            seen(&api, &session, now).await;
        }
        let from = head.extensions.get::<Peer>();
        Ok(Self {
            asked: format!("{} {}", head.method, route_of(head.uri.path())),
            caller: Caller::of_user(&user),
            csrf: csrf_of(&api, "csrf", text),
            from: from.map(|Peer(address)| address.to_string()),
            api,
            user,
            session,
            base,
            now,
        })
    }

    /// The form of a request that changes something.
    ///
    /// # Errors
    /// [`Refused::Form`] where another page has sent it, or it lacks the session's token.
    pub(in crate::cold) async fn sent(&self, head: &Parts, body: Body) -> Result<Form, Refused> {
        if sender(&head.headers, Some(self.base.as_str())) != Sender::Ours {
            return Err(self.refused("foreign_origin", Refused::Form));
        }
        let form = Form::read(&head.headers, body).await;
        let form = form.map_err(|no_form| self.refused("no_form", no_form.into()))?;
        let given = form.get(CSRF_FIELD).unwrap_or_default();
        if !self.api.secret.is_same(given, &self.csrf) {
            return Err(self.refused("csrf_token", Refused::Form));
        }
        Ok(form)
    }

    /// So many rows of what he reaches, behind the one that a page's query names.
    pub(in crate::cold) fn listed(&self, query: &Form, limit: usize) -> Listed {
        Listed {
            mode: self.caller.mode(),
            customer_id: self.caller.key.customer_id.clone(),
            agent_id: None,
            after: { query.get("after") }
                .filter(|id| is_id(id))
                .map(str::to_owned),
            limit,
        }
    }

    /// Whether he may stop what runs, and decide on what waits: whoever may stop a card may do either.
    pub(in crate::cold) fn may_stop(&self) -> bool {
        match self.user.scope {
            Scope::Owner | Scope::Reviewer => true,
            Scope::Viewer | Scope::Agent => false,
        }
    }

    /// Whether he may do what widens what an agent can do.
    pub(in crate::cold) fn is_owner(&self) -> bool {
        self.user.scope == Scope::Owner
    }

    /// Keeps what he changes, together with what the audit log says of it.
    ///
    /// # Errors
    /// [`Refused::Fault`] where it was not kept.
    pub(in crate::cold) async fn keep(
        &self,
        mut batch: Batch,
        action: &str,
    ) -> Result<(), Refused> {
        let changes = audit::made(&batch);
        let event = self.event(action);
        batch.push(Change::Audit(Event { changes, ..event }));
        let work = Work {
            batch,
            ..Work::default()
        };
        let made = self.api.control.make(work).await;
        made.map_err(|error| {
            tracing::error!(?error, "a page's change was not made");
            Refused::Fault
        })
    }

    /// What the audit log says of a change that he makes.
    pub(in crate::cold) fn event(&self, action: &str) -> Event {
        Event {
            at: self.now,
            mode: Some(self.user.mode),
            who: Who::key(&self.user.id, self.user.scope),
            action: action.to_owned(),
            changes: Vec::new(),
            from: self.from.clone(),
            request_id: Some(draw("req", self.now)),
            outcome: "200".to_owned(),
        }
    }

    /// Tells the audit log that something was refused, and why.
    pub(in crate::cold) fn refused(&self, why: &str, refused: Refused) -> Refused {
        let event = self.event(&self.asked);
        self.api.control.noted().attempt(Event {
            outcome: why.to_owned(),
            ..event
        });
        refused
    }
}

/// That it cannot be written down that a session was used ends it early, and nothing else.
async fn seen(api: &Api, session: &Session, now: Timestamp) {
    let work = Work {
        batch: vec![PeopleChange::Seen(session.hash, now).into()],
        ..Work::default()
    };
    if let Err(error) = api.control.make(work).await {
        tracing::warn!(?error, "it was not written down that a session was used");
    }
}

/// The cookie of a session. By its prefix browsers keep it to this host and to TLS.
pub(in crate::cold) fn session_cookie(base: &Base) -> &'static str {
    if base.is_secure() {
        "__Host-cs-session"
    } else {
        "cs-session"
    }
}

/// A cookie's value, where it is there once.
pub(in crate::cold) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(COOKIE).iter();
    let pairs = all
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(';'));
    let named = pairs.filter_map(|pair| pair.trim().split_once('='));
    let mut found = named.filter(|(known, _)| *known == name);
    match (found.next(), found.next()) {
        (Some((_, value)), None) => Some(value),
        (None | Some(_), _) => None,
    }
}

/// What a form has to hold beside a cookie of this text.
pub(in crate::cold) fn csrf_of(api: &Api, purpose: &str, text: &str) -> String {
    URL_SAFE_NO_PAD.encode(api.secret.digest(purpose, &[text.as_bytes()]))
}

/// The route of a page's path. What stands in the place of an id may be any text, and is not repeated.
fn route_of(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        [page, _, verb] => format!("/{page}/{{id}}/{verb}"),
        [page, _] if *page != "oauth" => format!("/{page}/{{id}}"),
        _ => path.to_owned(),
    }
}

fn back_to(method: &Method, uri: &Uri) -> String {
    let path = uri.path_and_query().map_or("/", |it| it.as_str());
    // A form of a page stands below it, and is not sent again by looking there.
    let is_form = *method == Method::POST && path.matches('/').count() > 2;
    let above = path.rsplit_once('/').map_or("/", |(above, _)| above);
    let path = if is_form { above } else { path };
    super::sign_in::own_path(path).unwrap_or("/").to_owned()
}
