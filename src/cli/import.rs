//! `countersign import`: takes over the cards that an issuer had before.

use std::io::Write;
use std::net::SocketAddr;

use clap::Args;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::cli::Exit;
use crate::cli::demo::{Failure, runtime, unwritten};
use crate::cli::typed;
use crate::cold::ask::Api;

/// Take over the cards that an issuer had before; without --apply only count them.
#[derive(Args, Clone, Debug)]
pub struct ImportArguments {
    /// The connection whose cards they are
    #[arg(long, value_name = "NAME")]
    connection: String,
    /// The customer who gets them
    #[arg(long, value_name = "ID")]
    customer: String,
    /// The agent who gets them
    #[arg(long, value_name = "ID")]
    agent: Option<String>,
    /// Take them over
    #[arg(long)]
    apply: bool,
    /// Take rules of agent and customer that nobody enforces, where the connection's issuer never asks
    #[arg(long)]
    allow_unenforced: bool,
    /// The server's listener for people and agents [default: 127.0.0.1:8701]
    #[arg(
        long,
        env = "COUNTERSIGN_LISTEN",
        value_name = "ADDRESS",
        value_parser = typed::address,
        default_value = "127.0.0.1:8701",
        hide_default_value = true
    )]
    listen: SocketAddr,
    /// An owner's key
    #[arg(
        long,
        env = "COUNTERSIGN_KEY",
        value_name = "KEY",
        hide_env_values = true
    )]
    key: SecretString,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireWanted<'a> {
    customer_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<&'a str>,
    dry_run: bool,
    allow_unenforced: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOutcome {
    dry_run: bool,
    found: usize,
    known: usize,
    passed_over: usize,
    imported: usize,
    cards: Vec<WireCard>,
}

#[derive(Deserialize)]
struct WireCard {
    id: Option<String>,
    last4: Option<String>,
    status: String,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where the server refuses, or cannot be asked.
pub fn run(arguments: &ImportArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let lawful = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !arguments.connection.chars().all(lawful) {
        return Err(Failure {
            message: "--connection: no name of a connection".to_owned(),
            exit: Exit::Usage,
        });
    }
    let wanted = WireWanted {
        customer_id: &arguments.customer,
        agent_id: arguments.agent.as_deref(),
        dry_run: !arguments.apply,
        allow_unenforced: arguments.allow_unenforced,
    };
    let body = serde_json::to_vec(&wanted).map_err(|error| Failure::other(&error))?;
    let api = Api {
        listen: arguments.listen,
        key: arguments.key.clone(),
    };
    let path = format!("/v1/connections/{}/import", arguments.connection);
    let answered = runtime()?.block_on(api.post(&path, body));
    let answered = answered.map_err(|why| Failure::other(&why))?;
    let outcome: WireOutcome =
        serde_json::from_slice(&answered).map_err(|error| Failure::other(&error))?;
    tell(&outcome, out).map_err(|error| unwritten(&error))?;
    Ok(Exit::Ok)
}

fn tell(outcome: &WireOutcome, out: &mut dyn Write) -> std::io::Result<()> {
    for card in &outcome.cards {
        let id = card.id.as_deref().unwrap_or("not yet");
        let last4 = card.last4.as_deref().unwrap_or("????");
        writeln!(out, "{last4}  {:<8}  {id}", card.status)?;
    }
    let done = if outcome.dry_run {
        "would be taken over with --apply"
    } else {
        "taken over"
    };
    writeln!(
        out,
        "{} cards there: {} known, {} passed over, {} {done}",
        outcome.found, outcome.known, outcome.passed_over, outcome.imported
    )
}
