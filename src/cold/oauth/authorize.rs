//! `/oauth/authorize`: somebody who has signed in is asked whether a program may act as one agent.
//!
//! Nothing is kept until he says yes: the page's form brings everything back, and it is judged anew.
//! Whatever is wrong before he answers, he is told, and sent nowhere: anybody may register an address,
//! and a link to this server must not lead there by itself.

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use secrecy::ExposeSecret as _;

use super::client::{Program, Unknown};
use super::{AUTHORIZE, DOOR, OAuth, SCOPE, redirect, tokens};
use crate::cold::api::spending_lines;
use crate::cold::audit::{self, Event};
use crate::cold::entry::form::Form;
use crate::cold::entry::page::{Refused, html, redirect as send_to};
use crate::cold::entry::sign_in::keep;
use crate::cold::entry::signed_in::SignedIn;
use crate::cold::ids::{draw, is_id};
use crate::cold::store::grants::{Grant, Token, TokenKind};
use crate::cold::store::people::PeopleChange;
use crate::cold::store::{Agent, Change, Listed, PAGE_LEN_MAX, Scope, StoreError};
use crate::domain::card::AgentStatus;

/// Programs that act as one agent at a time.
const GRANTS_MAX: i64 = 50;
/// The longest `state`.
const STATE_LEN_MAX: usize = 2_000;
/// Characters of a SHA-256 in base64url.
const CHALLENGE_LEN: usize = 43;

/// What a program asks, once it is known who asks and where the answer goes.
struct Wanted {
    program: Program,
    redirect_uri: String,
    state: Option<String>,
    challenge: String,
    resource: String,
}

/// Why a program is not answered with a code.
enum Refusal {
    /// The person is shown why; the program is told nothing.
    Page(Refused),
    /// Nobody is sent to a program that is not known, or that asks wrongly.
    Unknown(&'static str),
    /// The program is told what the person has answered.
    Told(Told, &'static str, &'static str),
}

/// Where a program waits.
struct Told {
    redirect_uri: String,
    state: Option<String>,
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::Page(refused)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a program could not be looked up");
        Self::Page(Refused::Fault)
    }
}

#[derive(Template)]
#[template(path = "entry/unknown_program.html")]
struct UnknownPage {
    why: &'static str,
}

#[derive(Template)]
#[template(path = "entry/which_agent.html")]
struct WhichPage<'p> {
    called: &'p str,
    client_id: &'p str,
    host: &'p str,
    fields: &'p [(&'static str, String)],
    agents: &'p [(String, String)],
}

#[derive(Template)]
#[template(path = "entry/consent.html")]
struct ConsentPage<'p> {
    csrf: &'p str,
    email: &'p str,
    called: &'p str,
    client_id: &'p str,
    host: &'p str,
    agent: &'p str,
    agent_id: &'p str,
    fields: &'p [(&'static str, String)],
    spending: &'p [(String, String)],
    policy: &'p str,
    is_here: bool,
}

/// Asks.
pub(super) async fn show(State(oauth): State<OAuth>, request: Request<Body>) -> Response<Body> {
    let (head, _body) = request.into_parts();
    let who = match SignedIn::of(&oauth.0.web, &head).await {
        Ok(who) => who,
        Err(refused) => return answered(None, Refusal::Page(refused)),
    };
    let shown = async {
        may_bind(&who)?;
        let form = Form::parse(head.uri.query().unwrap_or_default().as_bytes())?;
        let wanted = wanted(&oauth, &who, &form).await?;
        page(&who, &wanted, form.get("agent_id")).await
    };
    match shown.await {
        Ok(page) => page,
        Err(refusal) => answered(Some(&who), refusal),
    }
}

/// Takes the answer.
pub(super) async fn decide(State(oauth): State<OAuth>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let who = match SignedIn::of(&oauth.0.web, &head).await {
        Ok(who) => who,
        Err(refused) => return answered(None, Refusal::Page(refused)),
    };
    let decided = async {
        let form = who.sent(&head, body).await?;
        may_bind(&who)?;
        let wanted = wanted(&oauth, &who, &form).await?;
        match form.get("decision") {
            Some("allow") => allow(&who, wanted, form.get("agent_id").unwrap_or_default()).await,
            Some("deny") => {
                let told = wanted.told();
                Err(Refusal::Told(told, "access_denied", "the person said no"))
            }
            Some(_) | None => Err(Refused::Form.into()),
        }
    };
    match decided.await {
        Ok(page) => page,
        Err(refusal) => answered(Some(&who), refusal),
    }
}

fn answered(who: Option<&SignedIn>, refusal: Refusal) -> Response<Body> {
    match (refusal, who) {
        (Refusal::Page(refused), _) => axum::response::IntoResponse::into_response(refused),
        (Refusal::Unknown(why), _) => html(StatusCode::BAD_REQUEST, &UnknownPage { why }, None),
        (Refusal::Told(told, code, text), Some(who)) => {
            let more = [("error", code), ("error_description", text)];
            send_to(&told.address(&more, who.base.as_str()))
        }
        (Refusal::Told(..), None) => axum::response::IntoResponse::into_response(Refused::Fault),
    }
}

impl Told {
    /// The program's address with the answer in its query (RFC 6749, RFC 9207).
    fn address(&self, more: &[(&str, &str)], issuer: &str) -> String {
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
    fn told(&self) -> Told {
        Told {
            redirect_uri: self.redirect_uri.clone(),
            state: self.state.clone(),
        }
    }

    /// What the page's forms bring back.
    fn fields(&self) -> Vec<(&'static str, String)> {
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

/// What is asked, judged: first who asks and where the answer goes, then the rest.
async fn wanted(oauth: &OAuth, who: &SignedIn, form: &Form) -> Result<Wanted, Refusal> {
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
    let here = who.base.with(DOOR);
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

/// First which agent, where there are several; then whether.
async fn page(
    who: &SignedIn,
    wanted: &Wanted,
    agent_id: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let agents = agents(who).await?;
    let called = wanted.program.name.as_deref().unwrap_or("without a name");
    let (client_id, fields) = (&*wanted.program.id, wanted.fields());
    let host = redirect::host(&wanted.redirect_uri);
    let chosen = match (agent_id, &*agents) {
        (Some(id), _) => Some(agent(who, id).await?),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    };
    let Some(chosen) = chosen else {
        let agents = { agents.into_iter() }.map(|it| (name(&it).to_owned(), it.id));
        let agents: Vec<_> = agents.collect();
        let page = WhichPage {
            called,
            client_id,
            host: &host,
            fields: &fields,
            agents: &agents,
        };
        return Ok(html(StatusCode::OK, &page, None));
    };
    let spending = spending_lines(&who.api, &chosen.id, who.now).await;
    let page = ConsentPage {
        csrf: &who.csrf,
        email: &who.user.email,
        called,
        client_id,
        host: &host,
        agent: name(&chosen),
        agent_id: &chosen.id,
        fields: &fields,
        spending: &spending,
        policy: chosen.policy.as_deref().unwrap_or("{}"),
        is_here: !wanted.redirect_uri.starts_with("https://"),
    };
    let leads_to = redirect::source(&wanted.redirect_uri);
    Ok(html(StatusCode::OK, &page, Some(&leads_to)))
}

fn name(agent: &Agent) -> &str {
    agent.name.as_deref().unwrap_or(&agent.id)
}

/// Who makes an agent's keys also lets programs act as it: owners.
fn may_bind(who: &SignedIn) -> Result<(), Refusal> {
    match who.user.scope {
        Scope::Owner => Ok(()),
        Scope::Reviewer | Scope::Viewer | Scope::Agent => {
            Err(who.refused("scope_not_allowed", Refused::Forbidden).into())
        }
    }
}

/// The agents at work that the person reaches, newest first.
async fn agents(who: &SignedIn) -> Result<Vec<Agent>, Refusal> {
    let listed = Listed {
        mode: who.caller.mode(),
        customer_id: who.caller.key.customer_id.clone(),
        agent_id: None,
        after: None,
        limit: PAGE_LEN_MAX,
    };
    let mut agents = who.api.store.agents(listed).await?;
    agents.retain(|agent| agent.status == AgentStatus::Active);
    Ok(agents)
}

/// The one of this id, where he reaches it and it is at work.
async fn agent(who: &SignedIn, id: &str) -> Result<Agent, Refusal> {
    let found = match is_id(id) {
        true => who.api.store.agent(id.to_owned()).await?,
        false => None,
    };
    let is_his =
        |agent: &Agent| who.caller.reaches_agent(agent) && agent.status == AgentStatus::Active;
    let none = || who.refused("not_found", Refused::NotFound).into();
    found.filter(is_his).ok_or_else(none)
}

/// The grant and its code, kept together with what the audit log says of it.
async fn allow(who: &SignedIn, wanted: Wanted, agent_id: &str) -> Result<Response<Body>, Refusal> {
    let agent = agent(who, agent_id).await?;
    let people = who.api.store.people();
    if people.count_grants(agent.id.clone(), who.now).await? >= GRANTS_MAX {
        let text = "too many programs act as this agent; end some first";
        return Err(Refusal::Told(wanted.told(), "access_denied", text));
    }
    let told = wanted.told();
    let grant = Grant {
        id: draw("grt", who.now),
        mode: agent.mode,
        user_id: who.user.id.clone(),
        customer_id: agent.customer_id,
        agent_id: agent.id,
        client_id: wanted.program.id.clone(),
        client_name: wanted.program.name,
        resource: wanted.resource,
        created_at: who.now,
        expires_at: who.now.plus_micros(tokens::GRANT_LIFE_US),
        revoked_at: None,
    };
    let end = who.now.plus_micros(tokens::CODE_LIFE_US);
    let issued = tokens::issue(&who.api.secret, TokenKind::Code, &grant.id, end);
    let (code, row) = issued.map_err(|error| {
        tracing::error!(%error, "a code cannot be drawn");
        Refusal::Page(Refused::Fault)
    })?;
    let row = Token {
        challenge: Some(wanted.challenge),
        redirect_uri: Some(wanted.redirect_uri),
        ..row
    };
    let mut batch: Vec<Change> = vec![PeopleChange::Grant(grant).into()];
    batch.push(PeopleChange::Token(row).into());
    if wanted.program.is_registered {
        batch.push(PeopleChange::ClientUsed(wanted.program.id, who.now).into());
    }
    let event = who.event(&format!("POST {AUTHORIZE}"));
    let changes = audit::made(&batch);
    batch.push(Change::Audit(Event { changes, ..event }));
    keep(&who.api, batch).await?;
    let more = [("code", code.expose_secret())];
    Ok(send_to(&told.address(&more, who.base.as_str())))
}
