//! `/v1/audit`: the audit log for owners, in order. The whole chain, of both modes, is the operator's
//! to export.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::about::{About, Given, PAGED, shape};
use super::code::Code;
use super::exchange::{Ask, Reply};
use super::problem::Problem;
use crate::cold::audit::line::hex;

/// One entry with its hash.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditLine)]
pub(super) struct EntryShown {
    /// What happened; its bytes as they stand are what is hashed.
    #[schema(value_type = EntryShape)]
    entry: Box<RawValue>,
    /// SHA-256 over the hash of the entry before and this entry.
    hash: String,
}

/// What happened. Members stand in the order of their names.
#[derive(ToSchema)]
#[schema(as = AuditEntry, rename_all = "camelCase")]
#[expect(dead_code, reason = "describes what `cold::audit` writes")]
struct EntryShape {
    /// Method and path, or the command.
    action: String,
    #[schema(format = DateTime)]
    at: String,
    /// Each object that was made or changed, as it is from then on.
    changes: Vec<serde_json::Value>,
    /// The caller's address and port; null of commands.
    from: Option<String>,
    /// `test` or `live`; null where it is not known.
    mode: Option<String>,
    /// The answer's status, or the code of why it was refused.
    outcome: String,
    /// The `X-Request-Id` of the answer.
    request_id: Option<String>,
    /// From 1 on, without a gap.
    seq: i64,
    /// Who: `kind` is `key`, `operator`, `commandLine`, `server` or `nobody`; a key has `id` and `scope`.
    who: serde_json::Value,
}

#[derive(Serialize)]
struct Shown {
    data: Vec<EntryShown>,
    next: Option<String>,
}

pub(super) const LIST: About = About {
    query: PAGED,
    gives: &[Given {
        about: "One page, oldest first.",
        ..Given::list(shape::<EntryShown>)
    }],
    problems: &[Code::BeyondReach],
    ..About::new(
        "listAudit",
        "The audit log: who changed what, and what was refused.",
    )
};

/// Entries behind the cursor, oldest first. Of a key that reaches one customer alone nothing is shown:
/// entries tell of all of them.
pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let after = ask.query.take("cursor")?;
    let limit = ask.query.limit()?;
    ask.query.finish()?;
    if !ask.caller.reaches_all() {
        let what = "the audit log tells of all customers, and the key reaches one";
        return Err(Problem::beyond_reach(what));
    }
    let after: i64 = match after {
        None => 0,
        Some(text) => text
            .parse()
            .map_err(|_no_number| Problem::invalid_field("cursor", "is none that was given out"))?,
    };
    let store = &ask.api.store;
    let mut entries = store
        .audit_entries(after, Some(ask.caller.mode()), limit + 1)
        .await?;
    let is_last = entries.len() <= limit;
    entries.truncate(limit);
    let last = entries.last().filter(|_| !is_last);
    let next = last.map(|entry| entry.seq.to_string());
    let shown = |text: String, hash: [u8; 32]| {
        let entry = RawValue::from_string(text).map_err(|error| {
            tracing::error!(%error, "an entry of the audit log is no JSON");
            Problem::internal()
        })?;
        let hash = hex(&hash);
        Ok(EntryShown { entry, hash })
    };
    let data = entries.into_iter().map(|it| shown(it.text, it.hash));
    let data = data.collect::<Result<Vec<_>, Problem>>()?;
    Reply::ok(&Shown { data, next })
}
