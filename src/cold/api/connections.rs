//! `/v1/connections`: who makes cards, and the keys of their APIs, which go in and never come out.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::about::{About, Given, PAGED, shape};
use super::body::read;
use super::code::Code;
use super::exchange::{Ask, Reply};
use super::problem::Problem;
use super::query::Page;
use crate::cold::control::Work;
use crate::cold::issuers::IssuerClient;
use crate::cold::seal::SECRET_LEN_MAX;
use crate::cold::store::outward::SealedRow;
use crate::cold::store::{Change, Listed};
use crate::domain::time::Timestamp;

pub(super) const LIST: About = About {
    query: PAGED,
    gives: &[Given::list(shape::<ConnectionShown>)],
    ..About::new("listConnections", "Who makes cards, by name.")
};
pub(super) const ONE: About = About {
    gives: &[Given::ok(shape::<ConnectionShown>)],
    ..About::new("getConnection", "One connection, by its name.")
};

pub(super) const SET_KEY: About = About {
    takes: Some(shape::<NewKey>),
    gives: &[Given::ok(shape::<ConnectionShown>)],
    problems: &[Code::NotFound, Code::BeyondReach, Code::NotSupported],
    ..About::new(
        "setConnectionKey",
        "Seals the key of an issuer's API, which is never shown again.",
    )
};

/// A connection that makes cards. Its key is not here.
#[derive(Serialize, ToSchema)]
#[schema(as = Connection)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectionShown {
    name: String,
    #[schema(pattern = "^(test|live)$")]
    mode: &'static str,
    /// Whether its issuer asks before each purchase.
    decides: bool,
    /// When its key was set here; null where it never was.
    #[schema(format = DateTime)]
    key_set_at: Option<String>,
}

/// A key of an issuer's API.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewConnectionKey)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewKey {
    /// As the issuer shows it.
    #[schema(value_type = String, min_length = 1, max_length = 4096, pattern = "^[!-~]+$")]
    key: Hidden,
}

/// A secret in a body. A complaint about it repeats nothing of it.
struct Hidden(SecretString);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl serde::de::Visitor<'_> for Text {
            type Value = Hidden;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hidden, E> {
                let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
                if text.is_empty() || text.len() > SECRET_LEN_MAX || !printable {
                    let rule = "must be 1 to 4096 printable ASCII characters without spaces";
                    return Err(E::custom(rule));
                }
                Ok(Hidden(SecretString::from(text.to_owned())))
            }

            fn visit_i64<E: serde::de::Error>(self, _number: i64) -> Result<Hidden, E> {
                Err(E::custom("must be a text"))
            }

            fn visit_u64<E: serde::de::Error>(self, _number: u64) -> Result<Hidden, E> {
                Err(E::custom("must be a text"))
            }
        }

        deserializer.deserialize_any(Text)
    }
}

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let Listed { after, limit, .. } = ask.query.listed(&ask.caller)?;
    ask.query.finish()?;
    let sealed = ask.api.store.sealed().await?;
    let mode = ask.caller.mode();
    let all = ask.api.issuers.iter().map(|it| &**it);
    let mut own: Vec<&dyn IssuerClient> = all.filter(|it| it.mode() == mode).collect();
    own.sort_unstable_by_key(|it| it.connection());
    let behind =
        |it: &&dyn IssuerClient| after.as_deref().is_none_or(|after| it.connection() > after);
    let rows = own.into_iter().filter(behind).take(limit).collect();
    let (rows, page) = Page::of(rows, limit, |it| it.connection());
    let data = rows.into_iter().map(|it| shown(it, set_at(it, &sealed)));
    Reply::ok(&page.with(data.collect()))
}

pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let issuer = find(&ask)?;
    let sealed = ask.api.store.sealed().await?;
    Reply::ok(&shown(issuer, set_at(issuer, &sealed)))
}

/// When the connection's key was set here.
fn set_at(issuer: &dyn IssuerClient, sealed: &[SealedRow]) -> Option<Timestamp> {
    let mut rows = sealed.iter();
    let row = rows.find(|row| row.connection == issuer.connection())?;
    Some(row.set_at)
}

fn shown(issuer: &dyn IssuerClient, set_at: Option<Timestamp>) -> ConnectionShown {
    ConnectionShown {
        name: issuer.connection().to_owned(),
        mode: issuer.mode().name(),
        decides: issuer.manner().asks,
        key_set_at: set_at.map(|at| at.rfc3339().to_string()),
    }
}

/// Seals the key, keeps it, and uses it from now on.
pub(super) async fn set_key(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    if !ask.caller.reaches_all() {
        let what = "a key of one customer sets no connection's key";
        return Err(Problem::beyond_reach(what));
    }
    let issuer = find(&ask)?;
    let NewKey { key: Hidden(key) } = read(&ask.body)?;
    if !issuer.manner().takes_key {
        let message =
            "the connection takes no key here: it needs none, or the configuration has it";
        return Err(Problem::not_supported("key", message));
    }
    let keys = ask.api.master_keys.as_ref().ok_or_else(|| {
        let message = "there is no master key to seal it with; `countersign doctor` says why";
        Problem::not_supported("key", message)
    })?;
    let row = keys
        .seal(issuer.connection(), &key, ask.now)
        .map_err(|error| {
            tracing::error!(%error, "a key cannot be sealed");
            Problem::internal()
        })?;
    let reply = Reply::ok(&shown(issuer, Some(ask.now)))?;
    let work = Work {
        batch: vec![Change::Sealed(row)],
        ..Work::default()
    };
    let reply = ask.make(work, reply).await?;
    issuer.set_key(SecretString::from(key.expose_secret().to_owned()));
    Ok(reply)
}

/// The issuer that the path names, where it makes cards for keys of this kind.
pub(super) fn find(ask: &Ask) -> Result<&dyn IssuerClient, Problem> {
    let found = ask.api.issuer_of(&ask.id);
    let found = found.filter(|it| it.mode() == ask.caller.mode());
    found.ok_or_else(Problem::not_found)
}
