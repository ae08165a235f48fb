//! The log out of a database, line by line.

use super::line::Line;
use crate::cold::store::{Store, StoreError};

/// Rows that are read at a time.
const PAGE_LEN: usize = 1_000;

/// Gives every line in turn: entries in order, each checkpoint behind the entry that it covers; and
/// whether the columns beside its text say what it says.
///
/// # Errors
/// Those of the store, and what `take` says.
pub async fn export<E: From<StoreError>>(
    store: &dyn Store,
    mut take: impl FnMut(Line, bool) -> Result<(), E>,
) -> Result<(), E> {
    let (mut after, mut signed) = (0, 0);
    let mut checkpoints = store.audit_checkpoints(signed, PAGE_LEN).await?.into_iter();
    let mut next = checkpoints.next();
    loop {
        let entries = store.audit_entries(after, None, PAGE_LEN).await?;
        let is_last = entries.len() < PAGE_LEN;
        for entry in entries {
            after = entry.seq;
            take(Line::from(&entry), entry.agrees())?;
            while let Some(checkpoint) = next.take_if(|it| it.seq <= after) {
                signed = checkpoint.seq;
                take(Line::from(&checkpoint), true)?;
                next = checkpoints.next();
                if next.is_none() {
                    checkpoints = store.audit_checkpoints(signed, PAGE_LEN).await?.into_iter();
                    next = checkpoints.next();
                }
            }
        }
        if is_last {
            break;
        }
    }
    // Of entries that are not there: whoever verifies finds them.
    next.map_or(Ok(()), |checkpoint| take(Line::from(&checkpoint), true))
}
