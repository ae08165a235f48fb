//! `/oauth/authorize`: somebody who has signed in is asked whether a program may act as one agent.
//!
//! Nothing is kept until he says yes: the page's form brings everything back, and it is judged anew.
//! Whatever is wrong before he answers, he is told, and sent nowhere: anybody may register an address,
//! and a link to this server must not lead there by itself.

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use secrecy::ExposeSecret as _;

use super::wanted::{Refusal, Wanted, wanted};
use super::{AUTHORIZE, OAuth, redirect, tokens};
use crate::cold::api::{SpendingLine, spending_lines};
use crate::cold::entry::refused::Refused;
use crate::cold::entry::signed_in::SignedIn;
use crate::cold::ids::{draw, is_id};
use crate::cold::store::grants::{Grant, Token, TokenKind};
use crate::cold::store::people::PeopleChange;
use crate::cold::store::{Agent, Batch, PAGE_LEN_MAX, Scope};
use crate::cold::web::form::Form;
use crate::cold::web::{self, called, page_leading_to, shown_words, within_reach_of_opener};
use crate::domain::card::AgentStatus;

/// Programs that act as one agent at a time.
const GRANTS_MAX: i64 = 50;
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
    spending: &'p [SpendingLine],
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
        (Refusal::Page(refused), _) => refused.into_response(),
        (Refusal::Unknown(why), _) => web::page(StatusCode::BAD_REQUEST, &UnknownPage { why }),
        (Refusal::Told(told, code, text), Some(who)) => {
            let more = [("error", code), ("error_description", text)];
            web::redirect(&told.address(&more, who.base.as_str()))
        }
        (Refusal::Told(..), None) => Refused::Fault.into_response(),
    }
}

/// First which agent, where there are several; then whether.
async fn page(
    who: &SignedIn,
    wanted: &Wanted,
    agent_id: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let agents = agents(who).await?;
    let called = called(wanted.program.name.as_deref());
    let (client_id, fields) = (shown_words(&wanted.program.id), wanted.fields());
    let host = redirect::host(&wanted.redirect_uri);
    let chosen = match (agent_id, &*agents) {
        (Some(id), _) => Some(agent(who, id).await?),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    };
    let Some(chosen) = chosen else {
        let agents = { agents.into_iter() }.map(|it| (name(&it), it.id));
        let agents: Vec<_> = agents.collect();
        let which = WhichPage {
            called: &called,
            client_id: &client_id,
            host: &host,
            fields: &fields,
            agents: &agents,
        };
        let page = web::page(StatusCode::OK, &which);
        return Ok(within_reach_of_opener(page));
    };
    let spending = limits(who, &chosen).await?;
    let consent = ConsentPage {
        csrf: &who.csrf,
        email: &who.user.email,
        called: &called,
        client_id: &client_id,
        host: &host,
        agent: &name(&chosen),
        agent_id: &chosen.id,
        fields: &fields,
        spending: &spending,
        policy: &shown_words(chosen.policy.as_deref().unwrap_or("{}")),
        is_here: !wanted.redirect_uri.starts_with("https://"),
    };
    let leads_to = redirect::source(&wanted.redirect_uri);
    let page = page_leading_to(&leads_to, StatusCode::OK, &consent);
    Ok(within_reach_of_opener(page))
}

/// What the agent may spend. Nobody says yes where that cannot be told.
async fn limits(who: &SignedIn, agent: &Agent) -> Result<Vec<SpendingLine>, Refused> {
    let lines = spending_lines(&who.api, &agent.id, who.now).await;
    lines.ok_or_else(|| who.refused("limits_unknown", Refused::LimitsUnknown))
}

fn name(agent: &Agent) -> String {
    shown_words(agent.name.as_deref().unwrap_or(&agent.id))
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
    let listed = who.listed(&Form::default(), PAGE_LEN_MAX);
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
    let _shown = limits(who, &agent).await?;
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
    let mut batch: Batch = vec![PeopleChange::Grant(grant).into()];
    batch.push(PeopleChange::Token(row).into());
    if wanted.program.is_registered {
        batch.push(PeopleChange::ClientUsed(wanted.program.id, who.now).into());
    }
    who.keep(batch, &format!("POST {AUTHORIZE}")).await?;
    let more = [("code", code.expose_secret())];
    Ok(web::redirect(&told.address(&more, who.base.as_str())))
}
