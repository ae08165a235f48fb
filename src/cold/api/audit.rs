//! `/v1/audit`: the audit log for owners, in order. The whole chain, of both modes, is the operator's
//! to export.

use serde::Serialize;
use serde_json::value::RawValue;

use super::exchange::{Ask, Reply};
use super::problem::Problem;
use crate::cold::audit::line::hex;

#[derive(Serialize)]
struct EntryShown {
    entry: Box<RawValue>,
    hash: String,
}

#[derive(Serialize)]
struct Shown {
    data: Vec<EntryShown>,
    next: Option<String>,
}

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
