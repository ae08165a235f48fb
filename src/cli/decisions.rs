//! `countersign decisions`: what a running server has decided, one line each.

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use tokio::time::sleep;

use crate::cli::Exit;
use crate::cli::demo::page::{Ink, Style};
use crate::cli::demo::{Failure, runtime, unwritten};
use crate::cli::typed;
use crate::cold::listing::{ListError, Listed, Listing, Wanted};
use crate::domain::amount::{Amount, Minor};
use crate::domain::currency::Currency;

/// Between two looks for new decisions.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between two attempts at a server that is away.
const RETRY_EVERY: Duration = Duration::from_millis(500);
/// Decisions in one answer.
const PAGE_LEN: usize = 500;
/// The id before all others.
const BEFORE_ALL: &str = "dec_0000000000000000";

const DECISION_WIDTH: usize = 7;
/// The longest code is `transaction_type_not_allowed`.
const REASON_WIDTH: usize = 28;
const AMOUNT_WIDTH: usize = 16;
const CARD_WIDTH: usize = 26;
const LATENCY_WIDTH: usize = 11;

/// Show what a running server has decided.
#[derive(Args, Clone, Debug)]
pub struct DecisionsArguments {
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
    /// Show decisions as they are made, until interrupted
    #[arg(long)]
    follow: bool,
    /// Only of this card: its id in the snapshot
    #[arg(long, value_name = "ID")]
    card: Option<String>,
    /// Only of this issuer connection
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Only of this authorization: the issuer's id of it
    #[arg(long, value_name = "ID")]
    authorization: Option<String>,
    /// How many of the newest are shown first
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
    /// Print the whole records as JSON, one a line
    #[arg(long)]
    json: bool,
}

/// Why showing ends early.
enum Ended {
    Failure(Failure),
    /// Whoever read what is written has gone away.
    Unread,
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            Self::Unread
        } else {
            Self::Failure(unwritten(&error))
        }
    }
}

impl From<ListError> for Ended {
    fn from(error: ListError) -> Self {
        Self::Failure(Failure::other(&error))
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] where the server cannot be asked.
pub fn run(args: &DecisionsArguments, out: &mut dyn Write, style: Style) -> Result<Exit, Failure> {
    let mut shown = Shown {
        json: args.json,
        style,
        out,
    };
    let shown = runtime()?.block_on(async {
        if !args.follow {
            return show_newest(args, &mut shown).await;
        }
        tokio::select! {
            ended = follow(args, &mut shown) => ended,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.map_err(|error| Ended::Failure(Failure::other(&error)))
            }
        }
    });
    match shown {
        Ok(()) | Err(Ended::Unread) => Ok(Exit::Ok),
        Err(Ended::Failure(failure)) => Err(failure),
    }
}

fn wanted(args: &DecisionsArguments) -> Wanted {
    Wanted {
        connection: args.connection.clone(),
        authorization: args.authorization.clone(),
        card: args.card.clone(),
    }
}

async fn show_newest(args: &DecisionsArguments, shown: &mut Shown<'_>) -> Result<(), Ended> {
    let mut listing = Listing::at(args.ops_listen);
    let newest = listing
        .newest(&wanted(args), usize::from(args.limit))
        .await?;
    shown.all(&newest)?;
    if newest.is_empty() {
        note("no such decision is recorded")?;
    }
    Ok(())
}

/// Shows what comes, for as long as somebody reads it. A server that goes away is waited for: its
/// journal goes on where it was, and so does the list.
async fn follow(args: &DecisionsArguments, shown: &mut Shown<'_>) -> Result<(), Ended> {
    let wanted = wanted(args);
    let mut listing = Listing::at(args.ops_listen);
    // First: whatever comes between the two questions is in the answer to the second.
    let mut last = newest_of_all(&mut listing).await?;
    let newest = listing.newest(&wanted, usize::from(args.limit)).await?;
    shown.all(&newest)?;
    if let Some(newest) = newest.last().filter(|newest| newest.id > last) {
        last.clone_from(&newest.id);
    }
    let mut is_away = false;
    loop {
        let fresh = if is_away {
            rejoin(&mut listing, &mut last, &wanted).await
        } else {
            listing.after(&wanted, PAGE_LEN, &last).await
        };
        match fresh {
            Ok(fresh) => {
                if is_away {
                    note("the server is back")?;
                    is_away = false;
                }
                shown.all(&fresh)?;
                if let Some(newest) = fresh.last() {
                    last.clone_from(&newest.id);
                }
                if fresh.len() < PAGE_LEN {
                    sleep(LOOK_EVERY).await;
                }
            }
            Err(ListError::Away(words)) => {
                if !is_away {
                    note(&format!("{words}; waiting for it"))?;
                }
                is_away = true;
                sleep(RETRY_EVERY).await;
            }
            Err(refused @ ListError::Refused(_)) => return Err(refused.into()),
        }
    }
}

/// The id of the newest decision of any kind.
async fn newest_of_all(listing: &mut Listing) -> Result<String, ListError> {
    let newest = listing.newest(&Wanted::default(), 1).await?;
    let id = newest.into_iter().next().map(|newest| newest.id);
    Ok(id.unwrap_or_else(|| BEFORE_ALL.to_owned()))
}

/// What has come since. A server whose newest decision is older than the last one shown has another
/// journal, which is shown from its start.
async fn rejoin(
    listing: &mut Listing,
    last: &mut String,
    wanted: &Wanted,
) -> Result<Vec<Listed>, ListError> {
    // Ids are of one length, so they stand in the order of their numbers.
    if newest_of_all(listing).await? < *last {
        BEFORE_ALL.clone_into(last);
    }
    listing.after(wanted, PAGE_LEN, last).await
}

fn note(words: &str) -> io::Result<()> {
    writeln!(io::stderr(), "countersign: {words}")
}

/// Where decisions are written, and how.
struct Shown<'o> {
    json: bool,
    style: Style,
    out: &'o mut dyn Write,
}

impl Shown<'_> {
    fn all(&mut self, decisions: &[Listed]) -> io::Result<()> {
        for decision in decisions {
            if self.json {
                writeln!(self.out, "{}", decision.json)?;
            } else {
                writeln!(self.out, "{}", line(decision, self.style))?;
            }
        }
        self.out.flush()
    }
}

/// `2026-05-29T12:00:00.001Z  DECLINE  amount_over_per_auth  60.00 USD  card_1  67 µs`, in columns.
fn line(decision: &Listed, style: Style) -> String {
    let at = match decision
        .at
        .split_at_checked("2026-05-29T12:00:00.001".len())
    {
        Some((at, _micros)) => format!("{at}Z"),
        None => decision.at.clone(),
    };
    let (word, ink) = match decision.decision.as_str() {
        "approve" => ("APPROVE", Ink::Green),
        "partial" => ("PARTIAL", Ink::Yellow),
        _ => ("DECLINE", Ink::Red),
    };
    let word = style.paint(ink, &format!("{word:DECISION_WIDTH$}"));
    let reason = decision.reason.as_deref().unwrap_or("");
    let card = decision.card.as_deref().unwrap_or("(unknown card)");
    let amount = amount(decision);
    let latency = format!("{} µs", decision.latency_us);
    format!(
        "{at}  {word}  {reason:REASON_WIDTH$}  {amount:>AMOUNT_WIDTH$}  {card:CARD_WIDTH$}  \
         {latency:>LATENCY_WIDTH$}"
    )
}

/// In major units, as people write amounts; of a currency that this version does not know, in minor.
fn amount(decision: &Listed) -> String {
    let parts = Currency::parse(&decision.currency)
        .ok()
        .zip(Minor::new(decision.amount).ok());
    match parts {
        Some((currency, minor)) => format!("{} {currency}", Amount { minor, currency }),
        None => format!("{} minor {}", decision.amount, decision.currency),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(reason: Option<&str>, card: Option<&str>, currency: &str) -> Listed {
        Listed {
            id: BEFORE_ALL.to_owned(),
            at: "2026-05-29T12:00:00.001234Z".to_owned(),
            connection: Some("acme".to_owned()),
            card: card.map(str::to_owned),
            amount: 123_456,
            currency: currency.to_owned(),
            decision: if reason.is_some() {
                "decline"
            } else {
                "approve"
            }
            .to_owned(),
            reason: reason.map(str::to_owned),
            latency_us: 67,
            json: String::new(),
        }
    }

    #[test]
    fn a_line_has_its_columns_where_the_others_have_them() {
        let lines = [
            line(&listed(None, Some("card_1"), "USD"), Style::Plain),
            line(
                &listed(Some("transaction_type_not_allowed"), None, "JPY"),
                Style::Plain,
            ),
            line(
                &listed(Some("mcc_blocked"), Some("card_research_tools"), "KWD"),
                Style::Plain,
            ),
        ];
        let expected = [
            "2026-05-29T12:00:00.001Z  APPROVE                                     1234.56 USD  card_1                            67 µs",
            "2026-05-29T12:00:00.001Z  DECLINE  transaction_type_not_allowed        123456 JPY  (unknown card)                    67 µs",
            "2026-05-29T12:00:00.001Z  DECLINE  mcc_blocked                        123.456 KWD  card_research_tools               67 µs",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_no_failure() {
        let broken = io::Error::from(ErrorKind::BrokenPipe);
        assert!(matches!(Ended::from(broken), Ended::Unread));
        let full = io::Error::from(ErrorKind::StorageFull);
        assert!(matches!(Ended::from(full), Ended::Failure(_)));
    }
}
