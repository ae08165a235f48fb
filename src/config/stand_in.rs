//! `[stand_in]`: what a node may approve while the ledger that it shares does not answer (behaviour 3.1).

use super::file::StandInFile;
use super::{ConfigError, LedgerStore};
use crate::domain::amount::{Amount, Minor};
use crate::domain::currency::Currency;

/// A small budget of each node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandInConfig {
    /// What one node may have approved that the ledger does not have yet.
    pub budget: Amount,
    /// How many nodes there are at most.
    pub nodes: u32,
    /// What all of them may overspend together.
    pub most: Amount,
}

const NODES_MAX: u32 = 1_000;

pub(super) fn read(
    typed: Option<&StandInFile>,
    ledger: &LedgerStore,
    place: &str,
) -> Result<Option<StandInConfig>, ConfigError> {
    let Some(typed) = typed else {
        return Ok(None);
    };
    let refuse = |key: &str, message: String| {
        Err(ConfigError::new(format!("{place}: stand_in{key}"), message))
    };
    if matches!(ledger, LedgerStore::Embedded) {
        let message = "is for nodes that share a ledger (--ledger redis://HOST:PORT); one that has its own \
                       always has an answer";
        return refuse("", message.to_owned());
    }
    let Ok(currency) = Currency::parse(&typed.currency) else {
        return refuse(".currency", "must be a currency like \"USD\"".to_owned());
    };
    let budget = match Amount::parse_major(&typed.budget, currency) {
        Ok(budget) if !budget.minor.is_zero() => budget,
        Ok(_) => {
            let message = "must be more than nothing; without [stand_in] nothing is approved";
            return refuse(".budget", message.to_owned());
        }
        Err(error) => return refuse(".budget", error.to_string()),
    };
    if !(1..=NODES_MAX).contains(&typed.nodes) {
        return refuse(".nodes", format!("must lie between 1 and {NODES_MAX}"));
    }
    let most = budget.minor.get().checked_mul(i64::from(typed.nodes));
    let Some(most) = most.and_then(|most| Minor::new(most).ok()) else {
        return refuse(".budget", "is too much for so many nodes".to_owned());
    };
    Ok(Some(StandInConfig {
        budget,
        nodes: typed.nodes,
        most: Amount {
            minor: most,
            currency,
        },
    }))
}
