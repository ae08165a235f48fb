//! `/oauth/token` and `/oauth/revoke`: programs come for tokens, and give them back (RFC 6749, 7009).
//!
//! A code and a refresh token are good once. Whoever brings one a second time, or brings a code that he
//! cannot have asked for, may have stolen it: everything of its grant ends.

use axum::body::Body;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::answer::{Error, json};
use super::{OAuth, REVOKE, SCOPE, TOKEN, address, counted, tokens};
use crate::cold::api::Api;
use crate::cold::audit::{self, Event, Who};
use crate::cold::control::{Failed, Work};
use crate::cold::ids::draw;
use crate::cold::store::grants::{Grant, Token, TokenKind};
use crate::cold::store::people::PeopleChange;
use crate::cold::store::{Batch, Change, Scope};
use crate::cold::tokens::challenge_of;
use crate::cold::web::form::Form;
use crate::domain::time::Timestamp;

#[derive(Serialize)]
struct Issued<'t> {
    access_token: &'t str,
    token_type: &'static str,
    expires_in: i64,
    refresh_token: &'t str,
    scope: &'static str,
}

/// One request of a program.
struct Asked<'a> {
    api: &'a Api,
    head: &'a Parts,
    form: Form,
    now: Timestamp,
}

/// Gives tokens for a code, or for a refresh token.
pub(super) async fn exchange(
    State(oauth): State<OAuth>,
    request: Request<Body>,
) -> Result<Response<Body>, Error> {
    let (head, body) = request.into_parts();
    let api = oauth.0.web.api()?;
    let (who, now) = (counted(&head), api.clock.now());
    let limit = &oauth.0.tokens;
    limit.has_room(&who, now).map_err(Error::TooOften)?;
    let exchanged = async {
        let asked = asked(&oauth, &api, &head, body).await?;
        match asked.form.get("grant_type") {
            Some("authorization_code") => asked.redeem().await,
            Some("refresh_token") => asked.refresh().await,
            Some(_) | None => {
                let text = "authorization_code or refresh_token";
                Err(Error::Wrong("unsupported_grant_type", text))
            }
        }
    };
    let exchanged = exchanged.await;
    // Many programs may share an address: those that are let in take nothing from each other.
    if exchanged.is_err() {
        limit.take(&who, now).map_err(Error::TooOften)?;
    }
    exchanged
}

/// Ends the grant of a token. Of what is not known, or is another program's, nothing is said.
pub(super) async fn revoke(
    State(oauth): State<OAuth>,
    request: Request<Body>,
) -> Result<Response<Body>, Error> {
    let (head, body) = request.into_parts();
    let api = oauth.0.web.api()?;
    let taken = oauth.0.tokens.take(&counted(&head), api.clock.now());
    taken.map_err(Error::TooOften)?;
    let asked = asked(&oauth, &api, &head, body).await?;
    let text = asked.form.get("token");
    let text = text.ok_or(Error::Wrong("invalid_request", "token is missing"))?;
    for kind in [TokenKind::Refresh, TokenKind::Access] {
        let Some(found) = asked.found(kind, text).await? else {
            continue;
        };
        let (_, grant) = found;
        if asked.form.get("client_id") == Some(&*grant.client_id) {
            let who = Who::key(&grant.id, Scope::Agent);
            asked.end(grant, who, REVOKE, "200").await?;
        }
    }
    Ok(json(StatusCode::OK, &()))
}

async fn asked<'a>(
    oauth: &OAuth,
    api: &'a Api,
    head: &'a Parts,
    body: Body,
) -> Result<Asked<'a>, Error> {
    oauth
        .0
        .web
        .site()
        .of(&head.headers)
        .ok_or(Error::UnknownHost)?;
    let now = api.clock.now();
    let form = Form::read(&head.headers, body).await?;
    Ok(Asked {
        api,
        head,
        form,
        now,
    })
}

fn invalid(text: &'static str) -> Error {
    Error::Wrong("invalid_grant", text)
}

const UNKNOWN: &str = "it is unknown, expired, used or revoked";

impl Asked<'_> {
    /// The row of a text of this kind, and its grant.
    async fn found(&self, kind: TokenKind, text: &str) -> Result<Option<(Token, Grant)>, Error> {
        let people = self.api.store.people();
        let Some(hash) = tokens::hash_of(&self.api.secret, kind, text) else {
            return Ok(None);
        };
        let Some(row) = people.token(hash).await? else {
            return Ok(None);
        };
        let grant = people.grant(row.grant_id.clone()).await?;
        Ok(grant.filter(|_| row.kind == kind).map(|grant| (row, grant)))
    }

    async fn redeem(&self) -> Result<Response<Body>, Error> {
        let code = self.form.get("code").unwrap_or_default();
        let found = self.found(TokenKind::Code, code).await?;
        let (row, grant) = found.ok_or_else(|| invalid(UNKNOWN))?;
        self.check_unused(&row, &grant, "code_reused").await?;
        let verifier = self.form.get("code_verifier").unwrap_or_default();
        let challenge = challenge_of(verifier).unwrap_or_default();
        let is_his = self.form.get("client_id") == Some(&*grant.client_id)
            && self.form.get("redirect_uri") == row.redirect_uri.as_deref()
            && (self.api.secret).is_same(&challenge, row.challenge.as_deref().unwrap_or_default());
        if !is_his {
            // Whoever has the code without the rest may have stolen it; it is good for nobody now.
            self.end(grant, Who::Nobody, TOKEN, "code_of_another")
                .await?;
            return Err(invalid("the code belongs to another request"));
        }
        self.check_rest(&grant).await?;
        self.issue(row, grant).await
    }

    async fn refresh(&self) -> Result<Response<Body>, Error> {
        let text = self.form.get("refresh_token").unwrap_or_default();
        let found = self.found(TokenKind::Refresh, text).await?;
        let (row, grant) = found.ok_or_else(|| invalid(UNKNOWN))?;
        self.check_unused(&row, &grant, "refresh_reused").await?;
        if self.form.get("client_id") != Some(&*grant.client_id) {
            self.end(grant, Who::Nobody, TOKEN, "refresh_of_another")
                .await?;
            return Err(invalid("the token belongs to another program"));
        }
        self.check_rest(&grant).await?;
        self.issue(row, grant).await
    }

    /// What was used once already ends everything that came of it.
    async fn check_unused(
        &self,
        row: &Token,
        grant: &Grant,
        why: &'static str,
    ) -> Result<(), Error> {
        if row.used_at.is_some() {
            self.end(grant.clone(), Who::Nobody, TOKEN, why).await?;
            return Err(invalid(UNKNOWN));
        }
        let is_over = row.expires_at <= self.now
            || grant.expires_at <= self.now
            || grant.revoked_at.is_some();
        if is_over {
            return Err(invalid(UNKNOWN));
        }
        Ok(())
    }

    /// Scope and address, and that person and agent are still there to act for.
    async fn check_rest(&self, grant: &Grant) -> Result<(), Error> {
        if self.form.get("scope").is_some_and(|scope| scope != SCOPE) {
            return Err(Error::Wrong("invalid_scope", "the only scope is agent"));
        }
        let resource = self.form.get("resource");
        if resource.is_some_and(|resource| resource != grant.resource) {
            let text = "resource must be the address that was asked for";
            return Err(Error::Wrong("invalid_target", text));
        }
        let people = self.api.store.people();
        let user = people.user(grant.user_id.clone()).await?;
        // A new password ends what was allowed under the one before.
        let is_in = user.is_some_and(|user| user.stands_for(grant.created_at));
        let is_at_work = self.api.is_at_work(&grant.agent_id).await;
        if is_in && is_at_work.ok_or(Error::Fault)? {
            return Ok(());
        }
        Err(invalid(
            "the agent is not at work, or who allowed it is gone",
        ))
    }

    /// The next two, in place of the row.
    async fn issue(&self, used: Token, grant: Grant) -> Result<Response<Body>, Error> {
        let end = |life_us| self.now.plus_micros(life_us).min(grant.expires_at);
        let secret = &self.api.secret;
        let issue = |kind, life_us| tokens::issue(secret, kind, &grant.id, end(life_us));
        let (access, access_row) = issue(TokenKind::Access, tokens::ACCESS_LIFE_US)?;
        let (refresh, refresh_row) = issue(TokenKind::Refresh, tokens::REFRESH_LIFE_US)?;
        let who = Who::key(&grant.id, Scope::Agent);
        let batch = vec![
            PeopleChange::Used(used.hash, self.now).into(),
            PeopleChange::Token(access_row).into(),
            PeopleChange::Token(refresh_row).into(),
        ];
        match self.keep(batch, who, &grant, TOKEN, "200").await {
            Ok(()) => {}
            // Another one has come with it in this very moment.
            Err(Failed::Conflict) => {
                self.end(grant, Who::Nobody, TOKEN, "used_twice_at_once")
                    .await?;
                return Err(invalid(UNKNOWN));
            }
            Err(failed) => return Err(failed.into()),
        }
        let issued = Issued {
            access_token: access.expose_secret(),
            token_type: "Bearer",
            expires_in: tokens::ACCESS_LIFE_US / 1_000_000,
            refresh_token: refresh.expose_secret(),
            scope: SCOPE,
        };
        Ok(json(StatusCode::OK, &issued))
    }

    /// Ends a grant with all its tokens.
    async fn end(
        &self,
        grant: Grant,
        who: Who,
        path: &str,
        outcome: &'static str,
    ) -> Result<(), Error> {
        if grant.revoked_at.is_some() {
            return Ok(());
        }
        let batch = vec![PeopleChange::Revoked(grant.clone(), self.now).into()];
        Ok(self.keep(batch, who, &grant, path, outcome).await?)
    }

    async fn keep(
        &self,
        mut batch: Batch,
        who: Who,
        grant: &Grant,
        path: &str,
        outcome: &str,
    ) -> Result<(), Failed> {
        batch.push(Change::Audit(Event {
            at: self.now,
            mode: Some(grant.mode),
            who,
            action: format!("POST {path} {}", grant.id),
            changes: audit::made(&batch),
            from: address(self.head),
            request_id: Some(draw("req", self.now)),
            outcome: outcome.to_owned(),
        }));
        let work = Work {
            batch,
            ..Work::default()
        };
        self.api.control.make(work).await
    }
}
