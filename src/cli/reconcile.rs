//! `countersign reconcile`: an issuer's list of transactions held against our books.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::Exit;
use crate::cli::demo::{Failure, runtime, unwritten};
use crate::cold::reconcile::{Books, Difference, Task, Totals, reconcile};
use crate::cold::sandbox::files;
use crate::domain::amount::{Amount, Minor};
use crate::domain::currency::Currency;
use crate::domain::time::Timestamp;

const CLASS_WIDTH: usize = 13;

/// Hold an issuer's list of transactions against our books.
#[derive(Args, Clone, Debug)]
pub struct ReconcileArguments {
    /// The issuer connection that the list is of.
    #[arg(long, value_name = "NAME")]
    connection: String,
    /// The list: transactions as Lithic lists them, or authorizations and transactions as Stripe
    /// does; an array, pages, or JSON lines.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The running server's listener for operators: 127.0.0.1:8702 or http://127.0.0.1:8702.
    #[arg(
        long,
        env = "COUNTERSIGN_OPS_LISTEN",
        value_name = "URL",
        default_value = "127.0.0.1:8702",
        value_parser = address
    )]
    ops: SocketAddr,
    /// Instead of --ops: the data directory of a running server with a sandbox.
    #[arg(long, value_name = "DIR", conflicts_with = "ops")]
    data_dir: Option<PathBuf>,
    /// The list covers what was made since then [default: its first element].
    #[arg(long, value_name = "TIME", value_parser = instant)]
    since: Option<Timestamp>,
    /// The list covers what was made until then [default: its last element].
    #[arg(long, value_name = "TIME", value_parser = instant)]
    until: Option<Timestamp>,
    /// Print one line of JSON for each difference, and one with the totals.
    #[arg(long)]
    json: bool,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let authority = text.strip_prefix("http://").unwrap_or(text);
    let parsed = authority.trim_end_matches('/').parse();
    parsed.map_err(|_no_address| {
        "an address with a port, like 127.0.0.1:8702 or http://127.0.0.1:8702".to_owned()
    })
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text)
        .ok_or_else(|| "an instant like 2026-11-20T17:00:00Z (RFC 3339)".to_owned())
}

/// Runs the command. The exit code is 1 where something is not explained.
///
/// # Errors
/// [`Failure`] where one of the sides cannot be read.
pub fn run(args: &ReconcileArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let ops = match &args.data_dir {
        Some(data_dir) => files::find(data_dir).map_err(|e| Failure::other(&e))?.ops,
        None => args.ops,
    };
    let task = Task {
        ops,
        connection: args.connection.clone(),
        from: args.from.clone(),
        since: args.since,
        until: args.until,
    };
    let mut tell = |difference: &Difference| {
        if args.json {
            write_json(out, difference)
        } else {
            writeln!(out, "{}", line(difference))
        }
    };
    let totals = runtime()?
        .block_on(reconcile(&task, &mut tell))
        .map_err(|e| Failure::other(&e))?;
    let written = if args.json {
        write_json(out, &JsonTotals { totals: &totals })
    } else {
        writeln!(out, "{}", summary(&totals))
    };
    written.map_err(|cause| unwritten(&cause))?;
    Ok(if totals.differences() == 0 {
        Exit::Ok
    } else {
        Exit::Other
    })
}

#[derive(Serialize)]
struct JsonTotals<'t> {
    totals: &'t Totals,
}

fn write_json(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)
}

/// `amount         0199…  here closed: held 0.00, posted 25.99, …; there settled: …`
fn line(difference: &Difference) -> String {
    let currency = difference.currency.as_deref();
    let known = currency.and_then(|code| Currency::parse(code).ok());
    let side = |name: &str, books: &Option<Books>| match books {
        None => format!("{name} nothing"),
        Some(books) => {
            let told = [
                ("held", books.held),
                ("posted", books.posted),
                ("refunded", books.refunded),
            ];
            let told = told.into_iter().filter_map(|(word, minor)| {
                let amount = shown(minor?, known);
                Some(format!("{word} {amount}"))
            });
            let told: Vec<_> = told.collect();
            format!("{name} {}: {}", books.state, told.join(", "))
        }
    };
    format!(
        "{:CLASS_WIDTH$}  {}  {}; {}{}",
        difference.class.name(),
        printable(&difference.authorization),
        side("here", &difference.here),
        side("there", &difference.there),
        currency.map_or_else(String::new, |currency| format!(" ({currency})")),
    )
}

/// In major units where the currency is known, else in minor ones.
fn shown(minor: i64, currency: Option<Currency>) -> String {
    match (currency, Minor::new(minor)) {
        (Some(currency), Ok(minor)) => Amount { minor, currency }.to_string(),
        _ => format!("{minor} minor units"),
    }
}

/// What others wrote must not steer the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn summary(totals: &Totals) -> String {
    let differences = match totals.differences() {
        0 => "no difference".to_owned(),
        1 => "1 difference".to_owned(),
        n => format!("{n} differences"),
    };
    format!(
        "{differences}: {} missing here, {} missing there, {} amount, {} state\n\
         explained: {} agree, {} declined there without us, {} here without money, {} outside the \
         list's time",
        totals.missing_here,
        totals.missing_there,
        totals.amount,
        totals.state,
        totals.agree,
        totals.declined_there,
        totals.without_money,
        totals.outside,
    )
}
