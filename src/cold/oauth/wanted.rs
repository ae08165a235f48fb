//! What a program asks for at `/oauth/authorize`, judged: first who asks and where the answer goes, then the
//! rest. And what it is told, once the person has answered.

use super::client::{Program, Unknown};
use super::{OAuth, SCOPE};
use crate::cold::api::mcp;
use crate::cold::entry::refused::Refused;
use crate::cold::entry::signed_in::SignedIn;
use crate::cold::store::StoreError;
use crate::cold::web::form::{Form, NoForm};

/// The longest `state`.
const STATE_LEN_MAX: usize = 2_000;
/// Characters of a SHA-256 in base64url.
const CHALLENGE_LEN: usize = 43;

/// What a program asks, once it is known who asks and where the answer goes.
pub(super) struct Wanted {
    pub(super) program: Program,
    pub(super) redirect_uri: String,
    state: Option<String>,
    pub(super) challenge: String,
    pub(super) resource: String,
}

/// Why a program is not answered with a code.
pub(super) enum Refusal {
    /// The person is shown why; the program is told nothing.
    Page(Refused),
    /// Nobody is sent to a program that is not known, or that asks wrongly.
    Unknown(&'static str),
    /// The program is told what the person has answered.
    Told(Told, &'static str, &'static str),
}

/// Where a program waits.
pub(super) struct Told {
    redirect_uri: String,
    state: Option<String>,
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::Page(refused)
    }
}

impl From<NoForm> for Refusal {
    fn from(no_form: NoForm) -> Self {
        Self::Page(no_form.into())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a program could not be looked up");
        Self::Page(Refused::Fault)
    }
}

impl Told {
    /// The program's address with the answer in its query (RFC 6749, RFC 9207).
    pub(super) fn address(&self, more: &[(&str, &str)], issuer: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(more);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", issuer);
        let joint = if self.redirect_uri.contains('?') {
            '&'
        } else {
            '?'
        };
        format!("{}{joint}{}", self.redirect_uri, query.finish())
    }
}

impl Wanted {
    pub(super) fn told(&self) -> Told {
        Told {
            redirect_uri: self.redirect_uri.clone(),
            state: self.state.clone(),
        }
    }

    /// What the page's forms bring back.
    pub(super) fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("response_type", "code".to_owned()),
            ("client_id", self.program.id.clone()),
            ("redirect_uri", self.redirect_uri.clone()),
            ("code_challenge", self.challenge.clone()),
            ("code_challenge_method", "S256".to_owned()),
            ("resource", self.resource.clone()),
            ("scope", SCOPE.to_owned()),
        ];
        fields.extend(self.state.clone().map(|state| ("state", state)));
        fields
    }
}

/// What is asked.
///
/// # Errors
/// What is wrong with it; nobody is sent anywhere before the person has answered.
pub(super) async fn wanted(oauth: &OAuth, who: &SignedIn, form: &Form) -> Result<Wanted, Refusal> {
    let id = form
        .get("client_id")
        .ok_or(Refusal::Unknown("it does not say who it is"))?;
    let found = Program::find(&who.api, &oauth.0.documents, id, &who.user.id, who.now).await;
    let program = found.map_err(|unknown| match unknown {
        Unknown::Why(why) => Refusal::Unknown(why),
        Unknown::Store(error) => error.into(),
    })?;
    let uri = form
        .get("redirect_uri")
        .filter(|uri| program.comes_back_to(uri));
    let uri = uri.ok_or(Refusal::Unknown(
        "it wants the answer at an address that is not its own",
    ))?;
    let wrong = |why| Err(Refusal::Unknown(why));
    if form
        .get("state")
        .is_some_and(|state| state.len() > STATE_LEN_MAX)
    {
        return wrong("its `state` is too long");
    }
    if form.get("response_type") != Some("code") {
        return wrong("its `response_type` is not `code`");
    }
    if form.get("scope").is_some_and(|scope| scope != SCOPE) {
        return wrong("its `scope` is not `agent`, the only one");
    }
    let challenge = form.get("code_challenge").unwrap_or_default();
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_challenge = challenge.len() == CHALLENGE_LEN && challenge.bytes().all(is_part);
    if !is_challenge || form.get("code_challenge_method") != Some("S256") {
        return wrong("it lacks a `code_challenge` of S256 (PKCE)");
    }
    let here = who.base.with(mcp::PATH);
    let resource = form.get("resource").unwrap_or(&here);
    if resource != here {
        return wrong("its `resource` is not the address of the agents' door here");
    }
    Ok(Wanted {
        redirect_uri: uri.to_owned(),
        state: form.get("state").map(str::to_owned),
        challenge: challenge.to_owned(),
        resource: resource.to_owned(),
        program,
    })
}
