//! `/v1/customers|agents|cards/{id}/policy/versions`: the rules of a subject as they were, are, and
//! may be one day (behaviour 8.3).
//!
//! The subject's row says what is in force and what is tried out; its revision is what two who change
//! it at a time meet at, so that a version is never made by somebody who has not read the one before.

mod backtest;
mod history;
mod subject;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::about::{About, Given, PAGED, shape};
use super::body::read;
use super::cards::{LimitShown, Nothing};
use super::code::Code;
use super::exchange::{Ask, Reply, Tries};
use super::fields::{CascadeWord, document, shown_document};
use super::problem::Problem;
use super::text;
use crate::cold::control::Work;
use crate::cold::schema::PolicyDocument;
use crate::cold::store::Change;
use crate::cold::store::versions::{
    PolicyVersion, Ruled, ShadowDocument, VersionState, VersionsAsked,
};
pub(super) use history::{Of, patched};
use subject::{Noun, Subject};

/// Drafts that may wait at one subject.
const DRAFTS_MAX: i64 = 32;

/// A document that does not decide yet.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewVersion {
    /// The whole document; null is none at all.
    #[schema(value_type = Option<PolicyDocument>, required = true)]
    #[serde(deserialize_with = "Option::deserialize")]
    policy: Option<Box<RawValue>>,
    /// Why, for whoever reads the history.
    #[schema(min_length = 1, max_length = 1000)]
    reason: Option<String>,
}

/// How a version comes into force.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Activation {
    /// The version that is to be in force now; where another one is, nothing is changed. Where this
    /// is absent, a draft asks for the one on which it is based.
    active_version: Option<u32>,
    /// Why, for whoever reads the history.
    #[schema(min_length = 1, max_length = 1000)]
    reason: Option<String>,
    /// Take rules that nobody holds, where the connection's issuer never asks.
    allow_unenforced: bool,
}

/// A version as it is shown. Absent values are null.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyVersion)]
#[serde(rename_all = "camelCase")]
pub(super) struct VersionShown {
    /// From 1 on; never given twice.
    version: u32,
    #[schema(pattern = "^(draft|shadow|active|retired|deleted)$")]
    state: &'static str,
    /// The rules as they were written.
    #[schema(value_type = Option<PolicyDocument>)]
    policy: Option<Box<RawValue>>,
    /// Of a customer's version that was in force: the cascade that went with it.
    cascade: Option<CascadeWord>,
    /// Of a card's version that was in force: the limit that stood beside it.
    limits: Option<LimitShown>,
    /// The version that was in force when this one was written.
    based_on: Option<u32>,
    /// The version whose rules this one brings back.
    restores: Option<u32>,
    /// The key that wrote it; null where its subject was made with it.
    made_by: Option<String>,
    /// Why.
    reason: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// When it came into force.
    #[schema(format = DateTime)]
    active_at: Option<String>,
    /// When it was in force, or tried out, no more.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

#[derive(Serialize)]
struct List {
    data: Vec<VersionShown>,
    next: Option<String>,
}

/// The routes of one noun.
macro_rules! of_noun {
    ($module:ident $noun:ident $word:literal) => {
        pub(super) mod $module {
            use super::{
                About, Activation, Ask, Code, Given, NewVersion, Nothing, Noun, PAGED, Problem,
                Reply, VersionShown, backtest, shape,
            };

            pub(in crate::cold::api) const LIST: About = About {
                query: PAGED,
                gives: &[Given::list(shape::<VersionShown>)],
                ..About::new(
                    concat!("list", $word, "PolicyVersions"),
                    "What the rules were, are, and may be.",
                )
            };
            pub(in crate::cold::api) const ONE: About = About {
                gives: &[Given::ok(shape::<VersionShown>)],
                ..About::new(concat!("get", $word, "PolicyVersion"), "One version.")
            };
            pub(in crate::cold::api) const CREATE: About = About {
                takes: Some(shape::<NewVersion>),
                gives: &[Given::created(shape::<VersionShown>)],
                problems: &[Code::TooManyDrafts],
                ..About::new(
                    concat!("draft", $word, "PolicyVersion"),
                    "Writes a draft, which decides nothing.",
                )
            };
            pub(in crate::cold::api) const SHADOW: About = About {
                takes: Some(shape::<Nothing>),
                gives: &[Given::ok(shape::<VersionShown>)],
                problems: &[Code::VersionState],
                ..About::new(
                    concat!("shadow", $word, "PolicyVersion"),
                    "Tries a version out: evaluated and recorded, not enforced.",
                )
            };
            pub(in crate::cold::api) const ACTIVATE: About = About {
                takes: Some(shape::<Activation>),
                gives: &[Given::ok(shape::<VersionShown>)],
                problems: &[
                    Code::CardCanceled,
                    Code::NoRoomForCard,
                    Code::NotEnforced,
                    Code::StaleVersion,
                    Code::VersionState,
                ],
                ..About::new(
                    concat!("activate", $word, "PolicyVersion"),
                    "Puts a draft or shadow in force when the call returns.",
                )
            };
            pub(in crate::cold::api) const ROLL_BACK: About = About {
                gives: &[Given::created(shape::<VersionShown>)],
                ..About {
                    id: concat!("rollBack", $word, "PolicyVersion"),
                    summary: "Brings the rules of an earlier version back, as a new one in force.",
                    ..ACTIVATE
                }
            };
            pub(in crate::cold::api) const BACKTEST: About = About {
                takes: Some(shape::<backtest::Backtest>),
                gives: &[Given {
                    about: "What would have changed, oldest first.",
                    ..Given::ok(shape::<backtest::BacktestShown>)
                }],
                ..About::new(
                    concat!("backtest", $word, "PolicyVersion"),
                    "Replays recorded decisions under a version, which changes nothing.",
                )
            };
            pub(in crate::cold::api) const DELETE: About = About {
                gives: &[Given::ok(shape::<VersionShown>)],
                problems: &[Code::VersionState],
                ..About::new(
                    concat!("delete", $word, "PolicyVersion"),
                    "Throws a draft away, or ends the trial of a shadow.",
                )
            };

            pub(in crate::cold::api) async fn list(ask: Ask) -> Result<Reply, Problem> {
                super::list(ask, Noun::$noun).await
            }
            pub(in crate::cold::api) async fn one(ask: Ask) -> Result<Reply, Problem> {
                super::one(ask, Noun::$noun).await
            }
            pub(in crate::cold::api) async fn create(ask: Ask) -> Result<Reply, Problem> {
                super::create(ask, Noun::$noun).await
            }
            pub(in crate::cold::api) async fn shadow(ask: Ask) -> Result<Reply, Problem> {
                super::shadow(ask, Noun::$noun).await
            }
            pub(in crate::cold::api) async fn activate(ask: Ask) -> Result<Reply, Problem> {
                super::activate(ask, Noun::$noun).await
            }
            pub(in crate::cold::api) async fn roll_back(ask: Ask) -> Result<Reply, Problem> {
                super::roll_back(ask, Noun::$noun).await
            }
            pub(in crate::cold::api) async fn backtest(ask: Ask) -> Result<Reply, Problem> {
                backtest::backtest(ask, Noun::$noun).await
            }
            pub(in crate::cold::api) async fn delete(ask: Ask) -> Result<Reply, Problem> {
                super::delete(ask, Noun::$noun).await
            }
        }
    };
}
of_noun!(customer_versions Customer "Customer");
of_noun!(agent_versions Agent "Agent");
of_noun!(card_versions Card "Card");

fn shown(row: PolicyVersion) -> Result<VersionShown, Problem> {
    let instant = |at: crate::domain::time::Timestamp| at.rfc3339().to_string();
    Ok(VersionShown {
        version: row.number,
        state: row.state.name(),
        policy: shown_document(row.ruled.policy)?,
        cascade: row.ruled.cascade.map(Into::into),
        limits: row.ruled.limit.map(LimitShown::new),
        based_on: row.based_on,
        restores: row.restores,
        made_by: row.made_by,
        reason: row.reason,
        created_at: instant(row.created_at),
        active_at: row.active_at.map(instant),
        ended_at: row.ended_at.map(instant),
    })
}

async fn list(mut ask: Ask, noun: Noun) -> Result<Reply, Problem> {
    let before = ask.query.take("cursor")?.map(|text| text.parse().ok());
    let unknown = || Problem::invalid_field("cursor", "is none that was given out");
    let before = before
        .map(|number| number.ok_or_else(unknown))
        .transpose()?;
    let limit = ask.query.limit()?;
    ask.query.finish()?;
    let subject = Subject::find(&ask, noun).await?;
    let asked = VersionsAsked {
        subject_id: subject.id().to_owned(),
        before,
        limit: limit + 1,
    };
    let mut rows = ask.api.store.policy_versions(asked).await?;
    if rows.is_empty() && before.is_none() {
        rows.push(subject.only_version());
    }
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| has_more);
    let next = last.map(|row| row.number.to_string());
    let data: Result<Vec<_>, _> = rows.into_iter().map(shown).collect();
    Reply::ok(&List { data: data?, next })
}

async fn one(ask: Ask, noun: Noun) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let subject = Subject::find(&ask, noun).await?;
    Reply::ok(&shown(subject.version(&ask).await?)?)
}

async fn create(ask: Ask, noun: Noun) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let new: NewVersion = read(&ask.body)?;
    let reason = reason(new.reason)?;
    let policy = document(new.policy);
    let mut tries = Tries::default();
    loop {
        let mut subject = Subject::find(&ask, noun).await?;
        subject.check(policy.as_deref())?;
        let drafts = ask.api.store.count_drafts(subject.id().to_owned()).await?;
        if drafts >= DRAFTS_MAX {
            return Err(Problem::too_many_drafts(DRAFTS_MAX));
        }
        let batch = subject.begun();
        let row = PolicyVersion {
            state: VersionState::Draft,
            ruled: Ruled {
                policy: policy.clone(),
                ..Ruled::default()
            },
            reason: reason.clone(),
            active_at: None,
            ..subject.next_version(&ask)
        };
        let path = format!("{}/policy/versions/{}", noun.path(subject.id()), row.number);
        let reply = Reply::created(path, &shown(row.clone())?)?;
        let outcome = keep(&ask, batch, subject, (row, None), reply).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}

fn reason(text: Option<String>) -> Result<Option<String>, Problem> {
    text.map(|text| text::words(&text, "reason")).transpose()
}

fn work(batch: Vec<Change>) -> Work {
    Work {
        batch,
        ..Work::default()
    }
}

/// Keeps a version, new where it was in no state before, and its subject with it.
async fn keep(
    ask: &Ask,
    mut batch: Vec<Change>,
    subject: Subject,
    (row, before): (PolicyVersion, Option<VersionState>),
    reply: Reply,
) -> Result<Reply, Problem> {
    batch.push(Change::PolicyVersion(row, before));
    batch.push(subject.into_change());
    ask.make(work(batch), reply).await
}

async fn shadow(ask: Ask, noun: Noun) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let Nothing {} = read(&ask.body)?;
    let mut tries = Tries::default();
    loop {
        let mut subject = Subject::find(&ask, noun).await?;
        let mut row = subject.version(&ask).await?;
        let before = row.state;
        if !matches!(before, VersionState::Draft | VersionState::Retired) {
            return Err(Problem::version_state(before, "draft or retired"));
        }
        subject.check(row.ruled.policy.as_deref())?;
        let batch = Vec::from_iter(subject.unshadow(&ask).await?);
        row.state = VersionState::Shadow;
        row.ended_at = None;
        subject.versions_mut().shadow = Some(ShadowDocument {
            version: row.number,
            policy: row.ruled.policy.clone(),
        });
        let reply = Reply::ok(&shown(row.clone())?)?;
        let outcome = keep(&ask, batch, subject, (row, Some(before)), reply).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}

async fn activate(ask: Ask, noun: Noun) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let wanted: Activation = read(&ask.body)?;
    let reason = reason(wanted.reason)?;
    let mut tries = Tries::default();
    loop {
        let mut subject = Subject::find(&ask, noun).await?;
        let mut row = subject.version(&ask).await?;
        let before = row.state;
        if !matches!(before, VersionState::Draft | VersionState::Shadow) {
            return Err(Problem::version_state(before, "draft or shadow"));
        }
        subject.refuse_stale(wanted.active_version.or(row.based_on))?;
        let change = |subject: &mut Subject| subject.set_policy(row.ruled.policy.clone());
        let batch = subject
            .put_in_force(&ask, wanted.allow_unenforced, change)
            .await?;
        if before == VersionState::Shadow {
            subject.versions_mut().shadow = None;
        }
        subject.versions_mut().active = row.number;
        row.state = VersionState::Active;
        row.ruled = subject.ruled();
        row.active_at = Some(ask.now);
        row.reason = reason.clone().or(row.reason);
        let reply = Reply::ok(&shown(row.clone())?)?;
        let outcome = keep(&ask, batch, subject, (row, Some(before)), reply).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}

async fn roll_back(ask: Ask, noun: Noun) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let wanted: Activation = read(&ask.body)?;
    let reason = reason(wanted.reason)?;
    let mut tries = Tries::default();
    loop {
        let mut subject = Subject::find(&ask, noun).await?;
        let old = subject.version(&ask).await?;
        if old.state != VersionState::Retired {
            return Err(Problem::version_state(old.state, "retired"));
        }
        subject.refuse_stale(wanted.active_version)?;
        let change = |subject: &mut Subject| subject.restore(&old);
        let batch = subject
            .put_in_force(&ask, wanted.allow_unenforced, change)
            .await?;
        let row = PolicyVersion {
            ruled: subject.ruled(),
            restores: Some(old.number),
            reason: reason.clone(),
            ..subject.next_version(&ask)
        };
        subject.versions_mut().active = row.number;
        let path = format!("{}/policy/versions/{}", noun.path(subject.id()), row.number);
        let reply = Reply::created(path, &shown(row.clone())?)?;
        let outcome = keep(&ask, batch, subject, (row, None), reply).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}

async fn delete(ask: Ask, noun: Noun) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let mut tries = Tries::default();
    loop {
        let mut subject = Subject::find(&ask, noun).await?;
        let mut row = subject.version(&ask).await?;
        let before = row.state;
        match before {
            // Records name what was tried out, so that it stays.
            VersionState::Shadow => {
                row.state = VersionState::Retired;
                row.ended_at = Some(ask.now);
                subject.versions_mut().shadow = None;
            }
            VersionState::Draft => {
                row.state = VersionState::Deleted;
                row.ended_at = Some(ask.now);
                row.ruled = Ruled::default();
                row.reason = None;
            }
            VersionState::Active | VersionState::Retired | VersionState::Deleted => {
                return Err(Problem::version_state(before, "draft or shadow"));
            }
        }
        let reply = Reply::ok(&shown(row.clone())?)?;
        let outcome = keep(&ask, Vec::new(), subject, (row, Some(before)), reply).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}
