//! `countersign outbox`: what issuers are still to be told, and what is told no more told again.

use std::io::{self, Write};
use std::net::SocketAddr;

use clap::{Args, Subcommand};
use serde::Deserialize;

use crate::cli::Exit;
use crate::cli::demo::{Failure, runtime, unwritten};
use crate::cli::typed;
use crate::cold::ask::ask_operators;

/// What issuers are still to be told.
#[derive(Args, Clone, Debug)]
pub struct OutboxArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// Show what waits, and what is tried no more
    List(Where),
    /// Tell the issuer again
    Replay {
        #[command(flatten)]
        place: Where,
        /// Only this row; else every one that is tried no more
        #[arg(long, value_name = "ID")]
        id: Option<String>,
    },
}

#[derive(Args, Clone, Debug)]
struct Where {
    /// The server's listener for operators [default: 127.0.0.1:8702]
    #[arg(
        long,
        env = "COUNTERSIGN_OPS_LISTEN",
        value_name = "ADDRESS",
        value_parser = typed::address,
        default_value = "127.0.0.1:8702",
        hide_default_value = true
    )]
    ops_listen: SocketAddr,
}

#[derive(Deserialize)]
struct WirePage {
    rows: Vec<WireRow>,
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRow {
    id: String,
    connection: String,
    state: String,
    since: String,
    attempts: u32,
    last_error: Option<String>,
}

#[derive(Deserialize)]
struct WireReplayed {
    replayed: usize,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where the server cannot be asked.
pub fn run(arguments: &OutboxArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let written = match &arguments.action {
        Action::List(place) => list(place.ops_listen, out)?,
        Action::Replay { place, id } => replay(place.ops_listen, id.as_deref(), out)?,
    };
    written.map_err(|error| unwritten(&error))?;
    Ok(Exit::Ok)
}

fn asked<T: serde::de::DeserializeOwned>(
    ops: SocketAddr,
    is_order: bool,
    path: &str,
) -> Result<T, Failure> {
    let body = runtime()?.block_on(ask_operators(ops, is_order, path));
    let body = body.map_err(|why| Failure::other(&why))?;
    serde_json::from_slice(&body).map_err(|error| Failure::other(&error))
}

fn list(ops: SocketAddr, out: &mut dyn Write) -> Result<io::Result<()>, Failure> {
    let mut path = "/admin/outbox".to_owned();
    loop {
        let page: WirePage = asked(ops, false, &path)?;
        for row in &page.rows {
            let written = writeln!(
                out,
                "{:<8} {} at {}, since {}, tried {} times: {}",
                row.state,
                row.id,
                row.connection,
                row.since,
                row.attempts,
                row.last_error.as_deref().unwrap_or("not yet"),
            );
            if written.is_err() {
                return Ok(written);
            }
        }
        match page.next {
            // Ids are words of ours and hexadecimal digits.
            Some(next) => path = format!("/admin/outbox?cursor={next}"),
            None => return Ok(Ok(())),
        }
    }
}

fn replay(
    ops: SocketAddr,
    id: Option<&str>,
    out: &mut dyn Write,
) -> Result<io::Result<()>, Failure> {
    let lawful = |c: char| c.is_ascii_alphanumeric() || "_:-".contains(c);
    if id.is_some_and(|id| !id.chars().all(lawful)) {
        return Err(Failure {
            message: "--id: no id of a row".to_owned(),
            exit: Exit::Usage,
        });
    }
    let id = id.map(|id| format!("?id={id}")).unwrap_or_default();
    let replayed: WireReplayed = asked(ops, true, &format!("/admin/outbox/replay{id}"))?;
    Ok(writeln!(out, "{} to be told again", replayed.replayed))
}
