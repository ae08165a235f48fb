//! What is typed, or stands in the environment, as values; and complaints that name which of both.

use std::convert::Infallible;
use std::net::SocketAddr;

use clap::Command;
use clap::error::{ContextKind, ContextValue};

use crate::config::{DurabilityLevel, LedgerStore, parse_address};

/// A listener's address.
pub(super) fn address(text: &str) -> Result<SocketAddr, &'static str> {
    parse_address(text)
}

/// A level of durability.
pub(super) fn durability(text: &str) -> Result<DurabilityLevel, &'static str> {
    DurabilityLevel::parse(text)
}

/// A ledger store. Nothing is refused here, where it would be repeated.
pub(super) fn ledger(text: &str) -> Result<LedgerStore, Infallible> {
    Ok(LedgerStore::parse(text))
}

/// The same complaint; about a value that came from the environment it names the variable, because
/// nobody has typed the flag. `typed` is the command line.
pub(super) fn by_variable(
    mut error: clap::Error,
    command: &Command,
    typed: impl IntoIterator<Item = String>,
) -> clap::Error {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let flag = argument.split_whitespace().next().unwrap_or_default();
    let is_flag = |word: &str| word.split('=').next() == Some(flag);
    let Some(name) = flag.strip_prefix("--") else {
        return error;
    };
    if !typed.into_iter().any(|word| is_flag(&word))
        && let Some(variable) = variable_of(command, name)
    {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

/// The variable of a flag, of whatever command; all flags of one name have the same.
fn variable_of(command: &Command, flag: &str) -> Option<String> {
    let mut arguments = command.get_arguments();
    let own = arguments.find(|it| it.get_long() == Some(flag) && it.get_env().is_some());
    let own = own.and_then(|it| it.get_env()?.to_str().map(str::to_owned));
    let mut below = command.get_subcommands();
    own.or_else(|| below.find_map(|it| variable_of(it, flag)))
}
