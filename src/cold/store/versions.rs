//! The versions that rules have had: what customers, agents and cards were ruled by, are ruled by,
//! and may be ruled by one day (behaviour 8.3).
//!
//! The row of a customer, agent or card says which version is in force, and which is tried out; the
//! history stands beside it. A subject whose rules were never changed has no history: its one
//! version, number 1, is the row itself.

use super::rows::{CASCADES, cascade_name, instant, limit, maybe_text, mode, number, text, word};
use super::sql::{Columns, Statement, most};
use super::{CardLimit, Mode, StoreError};
use crate::decide::policy::Cascade;
use crate::domain::time::Timestamp;

/// Their tables.
pub(super) const TABLES: &str = "
CREATE TABLE policy_versions (
    subject_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    mode TEXT NOT NULL,
    state TEXT NOT NULL,
    policy TEXT,
    cascade_kind TEXT,
    limit_amount INTEGER,
    limit_currency TEXT,
    limit_interval TEXT,
    based_on INTEGER,
    restores INTEGER,
    made_by TEXT,
    reason TEXT,
    created_us INTEGER NOT NULL,
    active_us INTEGER,
    ended_us INTEGER,
    PRIMARY KEY (subject_id, number)
) STRICT, WITHOUT ROWID;
ALTER TABLE customers ADD COLUMN version_active INTEGER NOT NULL DEFAULT 1;
ALTER TABLE customers ADD COLUMN version_last INTEGER NOT NULL DEFAULT 1;
ALTER TABLE customers ADD COLUMN shadow_version INTEGER;
ALTER TABLE customers ADD COLUMN shadow_policy TEXT;
ALTER TABLE agents ADD COLUMN version_active INTEGER NOT NULL DEFAULT 1;
ALTER TABLE agents ADD COLUMN version_last INTEGER NOT NULL DEFAULT 1;
ALTER TABLE agents ADD COLUMN shadow_version INTEGER;
ALTER TABLE agents ADD COLUMN shadow_policy TEXT;
ALTER TABLE cards ADD COLUMN version_active INTEGER NOT NULL DEFAULT 1;
ALTER TABLE cards ADD COLUMN version_last INTEGER NOT NULL DEFAULT 1;
ALTER TABLE cards ADD COLUMN shadow_version INTEGER;
ALTER TABLE cards ADD COLUMN shadow_policy TEXT;
";

/// Where a subject's rules stand in their history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The number of the version in force.
    pub active: u32,
    /// The highest number that was given.
    pub last: u32,
    /// What is tried out.
    pub shadow: Option<ShadowDocument>,
}

/// A document that is tried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowDocument {
    /// The number of its version.
    pub version: u32,
    /// As its owner wrote it; absent where no rules at all are tried out.
    pub policy: Option<String>,
}

impl Default for Versions {
    /// Of something new.
    fn default() -> Self {
        Self {
            active: 1,
            last: 1,
            shadow: None,
        }
    }
}

/// What has become of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionState {
    /// It waits.
    Draft,
    /// It is evaluated and recorded, and not enforced.
    Shadow,
    /// It is in force.
    Active,
    /// It was in force, or tried out.
    Retired,
    /// It was a draft, and was thrown away: only its number is left.
    Deleted,
}

impl VersionState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Draft,
        Self::Shadow,
        Self::Active,
        Self::Retired,
        Self::Deleted,
    ];

    /// The word in columns and on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Shadow => "shadow",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Deleted => "deleted",
        }
    }
}

/// What a version rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruled {
    /// The document as its owner wrote it.
    pub policy: Option<String>,
    /// A customer's way to make one value of several levels'; absent of others, and of drafts.
    pub cascade: Option<Cascade>,
    /// A card's one limit beside its policy; absent of drafts.
    pub limit: Option<CardLimit>,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyVersion {
    /// The customer, agent or card.
    pub subject_id: String,
    /// From 1 on; never given twice.
    pub number: u32,
    /// The subject's.
    pub mode: Mode,
    /// What has become of it.
    pub state: VersionState,
    /// What it rules.
    pub ruled: Ruled,
    /// The version that was in force when it was written.
    pub based_on: Option<u32>,
    /// The version whose rules it brings back.
    pub restores: Option<u32>,
    /// The key that wrote it; absent where the subject was made with it.
    pub made_by: Option<String>,
    /// Why, in its writer's words.
    pub reason: Option<String>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it came into force.
    pub active_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Which versions of a subject are asked for, newest first; deleted ones are not among them.
#[derive(Clone, Debug)]
pub struct VersionsAsked {
    /// The subject.
    pub subject_id: String,
    /// Behind this number.
    pub before: Option<u32>,
    /// At most this many.
    pub limit: usize,
}

pub(super) fn versions(row: &dyn Columns) -> Result<Versions, StoreError> {
    let shadow = match row.number("shadow_version")? {
        None => None,
        Some(version) => Some(ShadowDocument {
            version: small("shadow_version", version)?,
            policy: maybe_text(row, "shadow_policy")?,
        }),
    };
    Ok(Versions {
        active: small("version_active", number(row, "version_active")?)?,
        last: small("version_last", number(row, "version_last")?)?,
        shadow,
    })
}

fn small(column: &str, number: i64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|_too_large| super::rows::unknown(column))
}

fn maybe_small(row: &dyn Columns, column: &str) -> Result<Option<u32>, StoreError> {
    let number = row.number(column)?;
    number.map(|number| small(column, number)).transpose()
}

pub(super) fn version(row: &dyn Columns) -> Result<PolicyVersion, StoreError> {
    let maybe_instant = |column| {
        let number = row.number(column)?;
        Ok::<_, StoreError>(number.map(Timestamp::from_micros))
    };
    let cascade = match maybe_text(row, "cascade_kind")? {
        None => None,
        Some(_) => Some(word(
            row,
            "cascade_kind",
            CASCADES.map(|it| (cascade_name(it), it)),
        )?),
    };
    Ok(PolicyVersion {
        subject_id: text(row, "subject_id")?,
        number: small("number", number(row, "number")?)?,
        mode: mode(row)?,
        state: word(row, "state", VersionState::ALL.map(|it| (it.name(), it)))?,
        ruled: Ruled {
            policy: maybe_text(row, "policy")?,
            cascade,
            limit: limit(row)?,
        },
        based_on: maybe_small(row, "based_on")?,
        restores: maybe_small(row, "restores")?,
        made_by: maybe_text(row, "made_by")?,
        reason: maybe_text(row, "reason")?,
        created_at: instant(row, "created_us")?,
        active_at: maybe_instant("active_us")?,
        ended_at: maybe_instant("ended_us")?,
    })
}

pub(super) fn asked(asked: VersionsAsked) -> Statement {
    let sql = "SELECT * FROM policy_versions
         WHERE subject_id = $1 AND number < $2 AND state <> 'deleted'
         ORDER BY number DESC LIMIT $3";
    Statement::of(sql)
        .bind(asked.subject_id)
        .bind(asked.before.map_or(i64::MAX, i64::from))
        .bind(most(asked.limit))
}

pub(super) fn one(subject_id: String, number: u32) -> Statement {
    let sql = "SELECT * FROM policy_versions WHERE subject_id = $1 AND number = $2";
    Statement::of(sql).bind(subject_id).bind(i64::from(number))
}

pub(super) fn drafts(subject_id: String) -> Statement {
    let sql = "SELECT COUNT(*) AS number FROM policy_versions
         WHERE subject_id = $1 AND state = 'draft'";
    Statement::of(sql).bind(subject_id)
}

/// A new version, or one that is what it was no more: then it has to be in the state in which its
/// author has read it.
pub(super) fn put(row: PolicyVersion, before: Option<VersionState>) -> Statement {
    let sql = if before.is_none() {
        "INSERT INTO policy_versions (state, policy, cascade_kind, limit_amount, limit_currency,
            limit_interval, based_on, restores, made_by, reason, created_us, active_us, ended_us,
            mode, subject_id, number)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
    } else {
        "UPDATE policy_versions SET state = $1, policy = $2, cascade_kind = $3, limit_amount = $4,
            limit_currency = $5, limit_interval = $6, based_on = $7, restores = $8, made_by = $9,
            reason = $10, created_us = $11, active_us = $12, ended_us = $13, mode = $14
         WHERE subject_id = $15 AND number = $16 AND state = $17"
    };
    let limit = row.ruled.limit;
    let statement = Statement::of(sql)
        .bind(row.state.name())
        .bind(row.ruled.policy)
        .bind(row.ruled.cascade.map(cascade_name))
        .bind(limit.map(|limit| limit.amount.minor.get()))
        .bind(limit.map(|limit| limit.amount.currency.to_string()))
        .bind(limit.map(|limit| limit.interval.name()))
        .bind(row.based_on.map(i64::from))
        .bind(row.restores.map(i64::from))
        .bind(row.made_by)
        .bind(row.reason)
        .bind(row.created_at.micros())
        .bind(row.active_at.map(Timestamp::micros))
        .bind(row.ended_at.map(Timestamp::micros))
        .bind(row.mode.name())
        .bind(row.subject_id)
        .bind(i64::from(row.number));
    match before {
        None => statement,
        Some(state) => statement.bind(state.name()),
    }
}

/// The columns of [`Versions`] at the end of a subject's statement.
pub(super) fn bind(statement: Statement, versions: Versions) -> Statement {
    let (version, policy) = match versions.shadow {
        None => (None, None),
        Some(shadow) => (Some(i64::from(shadow.version)), shadow.policy),
    };
    statement
        .bind(i64::from(versions.active))
        .bind(i64::from(versions.last))
        .bind(version)
        .bind(policy)
}
