//! `/login` and `/logout`.

use std::net::IpAddr;

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};

use super::Web;
use super::refused::Refused;
use super::signed_in::{CSRF_FIELD, SignedIn, cookie, csrf_of, session_cookie};
use super::site::Base;
use crate::cold::api::Api;
use crate::cold::audit::{Event, Who};
use crate::cold::control::{Failed, Work};
use crate::cold::ids::draw;
use crate::cold::listen::Peer;
use crate::cold::people::{email, session};
use crate::cold::store::Change;
use crate::cold::store::people::{PeopleChange, User};
use crate::cold::tokens::draw_opaque;
use crate::cold::web::form::{Form, Sender, sender};
use crate::cold::web::{page, redirect, within_reach_of_opener};

/// Where whoever has signed in goes, if he came from nowhere.
const HOME: &str = "/programs";
/// The longest path that somebody is sent back to.
const PATH_LEN_MAX: usize = 8_000;
/// When whoever comes into a crowd may come again, in seconds.
const CROWDED_S: u32 = 5;
/// Said to everybody who does not get in: whether a person is known, nobody learns.
const WRONG: &str = "The address or the password is wrong.";

#[derive(Template)]
#[template(path = "entry/login.html")]
struct LoginPage<'p> {
    csrf: String,
    next: &'p str,
    email: &'p str,
    wrong: &'p str,
}

#[derive(Template)]
#[template(path = "entry/logout.html")]
struct LogoutPage<'p> {
    csrf: &'p str,
    email: &'p str,
}

/// A path of this server and of no other.
pub(super) fn own_path(path: &str) -> Option<&str> {
    let is_plain = path
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_own = path.starts_with('/') && !path.starts_with("//");
    (is_plain && is_own && path.len() <= PATH_LEN_MAX).then_some(path)
}

/// The form.
pub(super) async fn show(
    State(web): State<Web>,
    request: Request<Body>,
) -> Result<Response<Body>, Refused> {
    let query = Form::parse(request.uri().query().unwrap_or_default().as_bytes())?;
    let next = query.get("next").and_then(own_path).unwrap_or(HOME);
    let base = web
        .site()
        .of(request.headers())
        .ok_or(Refused::UnknownHost)?;
    form(&web, &base, next, "", StatusCode::OK)
}

/// A page with the form, and the cookie that it belongs to: another site's form has none of ours.
fn form(
    web: &Web,
    base: &Base,
    next: &str,
    email: &str,
    status: StatusCode,
) -> Result<Response<Body>, Refused> {
    let api = web.api()?;
    let text = draw_opaque("cs_fo_").map_err(|_error| Refused::Fault)?;
    let login = LoginPage {
        csrf: csrf_of(&api, "form", text.expose_secret()),
        next,
        email,
        wrong: if status == StatusCode::OK { "" } else { WRONG },
    };
    Ok(with_cookie(
        within_reach_of_opener(page(status, &login)),
        base,
        form_cookie(base),
        text.expose_secret(),
        3_600,
    ))
}

fn form_cookie(base: &Base) -> &'static str {
    if base.is_secure() {
        "__Host-cs-form"
    } else {
        "cs-form"
    }
}

fn with_cookie(
    mut response: Response<Body>,
    base: &Base,
    name: &str,
    value: &str,
    life_s: i64,
) -> Response<Body> {
    let secure = if base.is_secure() { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; Max-Age={life_s}; HttpOnly; SameSite=Lax{secure}");
    if let Ok(mut value) = HeaderValue::from_str(&text) {
        value.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

/// Signs somebody in.
pub(super) async fn sign_in(
    State(web): State<Web>,
    request: Request<Body>,
) -> Result<Response<Body>, Refused> {
    let api = web.api()?;
    let (head, body) = request.into_parts();
    let base = web.site().of(&head.headers).ok_or(Refused::UnknownHost)?;
    if sender(&head.headers, Some(base.as_str())) != Sender::Ours {
        return Err(Refused::Form);
    }
    let form_text = cookie(&head.headers, form_cookie(&base))
        .ok_or(Refused::Form)?
        .to_owned();
    let sent = Form::read(&head.headers, body).await?;
    let given = sent.get(CSRF_FIELD).unwrap_or_default();
    if !api
        .secret
        .is_same(given, &csrf_of(&api, "form", &form_text))
    {
        return Err(Refused::Form);
    }
    let peer = head.extensions.get::<Peer>().map(|Peer(address)| *address);
    let next = sent.get("next").and_then(own_path).unwrap_or(HOME);
    let typed = sent.get("email").unwrap_or_default();
    let now = api.clock.now();
    let event = Event {
        at: now,
        mode: None,
        who: Who::Nobody,
        action: "POST /login".to_owned(),
        changes: Vec::new(),
        from: peer.map(|it| it.to_string()),
        request_id: Some(draw("req", now)),
        outcome: "wrong_password".to_owned(),
    };
    let address = email(typed);
    if let Err(after_s) = may_try(&web, &api, address.as_deref(), peer.map(|it| it.ip())) {
        let outcome = "too_many_requests".to_owned();
        api.control.noted().attempt(Event { outcome, ..event });
        return Err(Refused::TooOften(after_s));
    }
    let password = SecretString::from(sent.get("password").unwrap_or_default().to_owned());
    let let_in = match known(&web, &api, address, password).await? {
        None => None,
        Some(user) => let_in(&api, &base, &user, event.clone(), next).await?,
    };
    if let Some(response) = let_in {
        return Ok(response);
    }
    api.control.noted().attempt(event);
    form(&web, &base, next, typed, StatusCode::UNAUTHORIZED)
}

/// Counts an attempt, of a person that may not be known, from an address.
fn may_try(web: &Web, api: &Api, email: Option<&str>, from: Option<IpAddr>) -> Result<(), u32> {
    let now = api.clock.now();
    let from = from.map(|it| it.to_string()).unwrap_or_default();
    web.0.by_address.take(&from, now)?;
    web.0.by_person.take(email.unwrap_or_default(), now)
}

/// Whose password it is.
async fn known(
    web: &Web,
    api: &Api,
    email: Option<String>,
    password: SecretString,
) -> Result<Option<User>, Refused> {
    let found = match email {
        Some(email) => api.store.people().user_called(email).await,
        None => Ok(None),
    };
    let found = found.map_err(|error| {
        tracing::error!(%error, "a person could not be looked up");
        Refused::Fault
    })?;
    let hash = found.as_ref().map(|user| &user.password);
    let is_his = web.0.passwords.is(password, hash).await;
    let is_his = is_his.map_err(|_crowded| Refused::TooOften(CROWDED_S))?;
    Ok(found.filter(|user| is_his && user.disabled_at.is_none()))
}

/// A new session, whatever the browser had before. None where he has another password by now, or may
/// not come in any more.
async fn let_in(
    api: &Api,
    base: &Base,
    user: &User,
    event: Event,
    next: &str,
) -> Result<Option<Response<Body>>, Refused> {
    let begun = session::begin(&api.secret, user, api.clock.now());
    let (text, row) = begun.map_err(|_error| Refused::Fault)?;
    let event = Event {
        mode: Some(user.mode),
        who: Who::key(&user.id, user.scope),
        outcome: "200".to_owned(),
        ..event
    };
    let session = PeopleChange::Session(row, user.password_at);
    let work = Work {
        batch: vec![session.into(), Change::Audit(event)],
        ..Work::default()
    };
    match api.control.make(work).await {
        Ok(()) => {}
        Err(Failed::Conflict) => return Ok(None),
        Err(error) => {
            tracing::error!(?error, "somebody could not be let in");
            return Err(Refused::Fault);
        }
    }
    let life_s = session::LIFE_US / 1_000_000;
    let name = session_cookie(base);
    let response = with_cookie(redirect(next), base, name, text.expose_secret(), life_s);
    let response = with_cookie(response, base, form_cookie(base), "", 0);
    Ok(Some(response))
}

/// The button that signs out.
pub(super) async fn show_out(
    State(web): State<Web>,
    request: Request<Body>,
) -> Result<Response<Body>, Refused> {
    let (head, _body) = request.into_parts();
    let who = SignedIn::of(&web, &head).await?;
    let out = LogoutPage {
        csrf: &who.csrf,
        email: &who.user.email,
    };
    Ok(page(StatusCode::OK, &out))
}

/// Ends the session.
pub(super) async fn sign_out(
    State(web): State<Web>,
    request: Request<Body>,
) -> Result<Response<Body>, Refused> {
    let (head, body) = request.into_parts();
    let who = SignedIn::of(&web, &head).await?;
    who.sent(&head, body).await?;
    let over = PeopleChange::SignedOut(who.session.hash);
    who.keep(vec![over.into()], "POST /logout").await?;
    let response = redirect("/login");
    Ok(with_cookie(
        response,
        &who.base,
        session_cookie(&who.base),
        "",
        0,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_server() {
        for own in [
            "/",
            "/programs",
            "/oauth/authorize?client_id=https://a.example/x&b=%5C",
        ] {
            assert_eq!(own_path(own), Some(own));
        }
        let foreign = [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nset-cookie: x",
            "javascript:alert(1)",
            "/ä",
        ];
        for foreign in foreign {
            assert_eq!(own_path(foreign), None, "{foreign}");
        }
        assert_eq!(own_path(&format!("/{}", "a".repeat(PATH_LEN_MAX))), None);
    }
}
