//! `countersign sandbox`: asks a running server as an issuer would, and plays what becomes of it.

mod clock;
mod transactions;
mod trigger;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use self::clock::ClockArguments;
use self::transactions::TransactionsArguments;
use self::trigger::{Happening, LifeArguments, TriggerArguments};
use super::Exit;
use super::demo::page::{self, Style};
use super::demo::{self, Failure, runtime, sandbox_at, unwritten};
use crate::clock::Clock;
use crate::cold::sandbox::cards::Cards;
use crate::cold::sandbox::files::{self, Whereabouts};
use crate::cold::sandbox::keep::Keep;
use crate::cold::sandbox::life::{EntryKind, Verdict};
use crate::cold::sandbox::{Alpha3, Answer, Outcome, Purchase};
use crate::config::SANDBOX_NAME;
use crate::domain::amount::Amount;
use crate::domain::currency::Currency;
use crate::domain::mcc::Mcc;

/// Bytes of an issuer's id.
const ID_SIZE_MAX: usize = 128;
/// Bytes of a merchant's name; networks cut it long before.
const MERCHANT_SIZE_MAX: usize = 512;
/// Cards that a hint names.
const NAMED_CARDS_MAX: usize = 12;

/// Ask a running server as an issuer would.
#[derive(Args, Clone, Debug)]
pub struct SandboxArguments {
    #[command(subcommand)]
    command: SandboxCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum SandboxCommand {
    /// Ask for one purchase, and print the decision and its reason.
    Authorize(AuthorizeArguments),
    /// Play a story of purchases with the demo cards.
    Demo(DemoArguments),
    /// Play a whole life of an authorization, in the words of one of three issuers.
    Trigger(TriggerArguments),
    /// The merchant claims its money.
    Clear(ClearArguments),
    /// A hold is given back, whole or in part.
    Reverse(LifeArguments),
    /// A hold lapses.
    Expire(LifeArguments),
    /// The merchant asks for more.
    Increment(LifeArguments),
    /// The merchant gives money back.
    Refund(LifeArguments),
    /// The network tells another total than was asked for.
    Advice(LifeArguments),
    /// Show the sandbox's own list of transactions, as an issuer's interface would.
    Transactions(TransactionsArguments),
    /// Move the server's time forward.
    Clock(ClockArguments),
}

#[derive(Args, Clone, Debug)]
struct ClearArguments {
    #[command(flatten)]
    life: LifeArguments,
    /// Further clearings will follow: the rest of the hold stays.
    #[arg(long)]
    more_to_come: bool,
}

#[derive(Args, Clone, Debug)]
struct AuthorizeArguments {
    /// The card: its id in the snapshot, or the issuer's token of it.
    #[arg(long, value_parser = visible_id)]
    card: String,
    /// How much, in decimal major units: 12.34.
    #[arg(long)]
    amount: String,
    /// The merchant's MCC, four digits (ISO 18245).
    #[arg(long, value_parser = mcc)]
    mcc: Mcc,
    /// The merchant's name as it will stand on the statement.
    #[arg(long, value_parser = merchant)]
    merchant: String,
    /// The currency of the amount (ISO 4217).
    #[arg(long, default_value = "USD", value_parser = currency)]
    currency: Currency,
    /// The merchant's country, three letters (ISO 3166-1).
    #[arg(long, default_value = "USA", value_parser = country)]
    country: Alpha3,
    /// Add the amount to this authorization of the same card.
    #[arg(long, value_name = "AUTHORIZATION", value_parser = visible_id)]
    increment_of: Option<String>,
    #[command(flatten)]
    server: ServerArguments,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
struct DemoArguments {
    #[command(flatten)]
    server: ServerArguments,
}

#[derive(Args, Clone, Debug)]
struct ServerArguments {
    /// The data directory of the running server [default: ./countersign-data]
    #[arg(
        long,
        value_name = "DIR",
        env = "COUNTERSIGN_DATA_DIR",
        default_value = "./countersign-data",
        hide_default_value = true
    )]
    data_dir: PathBuf,
}

fn mcc(text: &str) -> Result<Mcc, String> {
    Mcc::parse(text).map_err(|_not_four_digits| "an MCC is four digits, like 5812".to_owned())
}

fn currency(text: &str) -> Result<Currency, String> {
    Currency::parse(text)
        .map_err(|_unknown| "a currency is one of ISO 4217's codes, like USD".to_owned())
}

fn country(text: &str) -> Result<Alpha3, String> {
    Alpha3::parse(text).ok_or_else(|| "a country is three letters, like USA".to_owned())
}

fn merchant(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("a merchant has a name".to_owned());
    }
    if text.len() > MERCHANT_SIZE_MAX || text.contains(char::is_control) {
        return Err(format!(
            "a merchant's name has up to {MERCHANT_SIZE_MAX} bytes and no control characters"
        ));
    }
    Ok(text.to_owned())
}

fn visible_id(text: &str) -> Result<String, String> {
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > ID_SIZE_MAX || !is_visible {
        return Err("an id is 1 to 128 visible ASCII characters".to_owned());
    }
    Ok(text.to_owned())
}

/// Runs the command. A decline is an answer: the exit code tells only whether there is one.
///
/// # Errors
/// [`Failure`] where there is none.
pub fn run(args: &SandboxArguments, out: &mut dyn Write, style: Style) -> Result<Exit, Failure> {
    match &args.command {
        SandboxCommand::Authorize(args) => authorize(args, out, style),
        SandboxCommand::Demo(args) => play_story(args, out, style),
        SandboxCommand::Trigger(args) => trigger::trigger(args, out, style),
        SandboxCommand::Clear(args) => {
            let is_last = !args.more_to_come;
            trigger::happen(&args.life, Happening::Clear { is_last }, out, style)
        }
        SandboxCommand::Reverse(args) => trigger::happen(args, Happening::Reverse, out, style),
        SandboxCommand::Expire(args) => trigger::happen(args, Happening::Expire, out, style),
        SandboxCommand::Increment(args) => trigger::happen(args, Happening::Increment, out, style),
        SandboxCommand::Refund(args) => trigger::happen(args, Happening::Refund, out, style),
        SandboxCommand::Advice(args) => trigger::happen(args, Happening::Advise, out, style),
        SandboxCommand::Transactions(args) => transactions::list(args, out),
        SandboxCommand::Clock(args) => clock::advance(args, out),
    }
}

fn authorize(
    args: &AuthorizeArguments,
    out: &mut dyn Write,
    style: Style,
) -> Result<Exit, Failure> {
    let amount = Amount::parse_major(&args.amount, args.currency)
        .map_err(|why| Failure::usage(&format!("--amount `{}`: {why}", args.amount)))?;
    let server = files::find(&args.server.data_dir).map_err(|e| Failure::other(&e))?;
    let cards = Cards::read(&server.snapshot, SANDBOX_NAME).map_err(|e| Failure::other(&e))?;
    let purchase = Purchase {
        card_token: cards.token_of(&args.card).unwrap_or(&args.card).to_owned(),
        amount,
        mcc: args.mcc,
        merchant: args.merchant.clone(),
        country: args.country.clone(),
        increment_of: args.increment_of.clone(),
    };
    let mut sandbox = sandbox_at(&server);
    let asking = sandbox.authorize(&purchase);
    let (outcome, _delivery) = runtime()?
        .block_on(asking)
        .map_err(|e| Failure::other(&e))?;
    keep(&server, &purchase, &outcome)?;
    let written = if args.json {
        write_json(out, &purchase, &outcome)
    } else {
        page::purchase(out, style, &telling(args, &purchase), &outcome)
            .and_then(|()| hint(out, style, args, &cards))
    };
    written.map_err(|cause| unwritten(&cause))?;
    Ok(Exit::Ok)
}

/// So that a later command can play on.
fn keep(server: &Whereabouts, purchase: &Purchase, outcome: &Outcome) -> Result<(), Failure> {
    let keep = Keep::in_folder(&server.folder);
    let now = Clock::start_ahead(server.ahead_us).now();
    let mut life = match &purchase.increment_of {
        None => purchase.begin(&outcome.authorization, now),
        Some(first) => match keep.find(Some(first)).map_err(|e| Failure::other(&e))? {
            Some(mut life) => {
                life.entries.push(purchase.entry(EntryKind::Increment, now));
                life
            }
            // Asked for by somebody else.
            None => return Ok(()),
        },
    };
    if let Some(newest) = life.entries.last_mut() {
        match &outcome.answer {
            Answer::Approved => {}
            Answer::PartlyApproved(part) => newest.amount = part.get(),
            Answer::Declined(_) => newest.verdict = Verdict::Declined,
        }
    }
    keep.put(&life).map_err(|e| Failure::other(&e))
}

fn telling(args: &AuthorizeArguments, purchase: &Purchase) -> String {
    let Purchase {
        amount,
        mcc,
        merchant,
        country,
        ..
    } = purchase;
    let currency = amount.currency;
    let card = &args.card;
    let added = if purchase.increment_of.is_some() {
        " more"
    } else {
        ""
    };
    let country = country.as_str();
    format!("{amount} {currency}{added} at {merchant} (MCC {mcc}, {country}) with {card}")
}

/// A card that the snapshot lacks was asked for as an issuer's token: most often it is a slip.
fn hint(
    out: &mut dyn Write,
    style: Style,
    args: &AuthorizeArguments,
    cards: &Cards,
) -> std::io::Result<()> {
    if cards.token_of(&args.card).is_some() || cards.has_token(&args.card) {
        return Ok(());
    }
    let known: Vec<&str> = cards.ids().take(NAMED_CARDS_MAX).collect();
    let known = if known.is_empty() {
        "no card".to_owned()
    } else {
        known.join(", ")
    };
    let text = format!("the snapshot has no such card on the sandbox; it has {known}");
    page::note(out, style, &text)
}

/// The amounts are minor units, as everywhere in records.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonOutcome<'a> {
    authorization: &'a str,
    decision: Option<&'a str>,
    reason: Option<&'a str>,
    explanation: Option<&'a str>,
    result: &'a str,
    amount: i64,
    approved_amount: i64,
    currency: String,
    round_trip_us: i64,
    latency_us: Option<i64>,
}

fn write_json(out: &mut dyn Write, purchase: &Purchase, outcome: &Outcome) -> std::io::Result<()> {
    let record = outcome.record.as_ref();
    let amount = purchase.amount.minor.get();
    let (result, approved_amount) = match &outcome.answer {
        Answer::Approved => ("APPROVED", amount),
        Answer::PartlyApproved(part) => ("APPROVED", part.get()),
        Answer::Declined(result) => (result.as_str(), 0),
    };
    let json = JsonOutcome {
        authorization: &outcome.authorization,
        decision: record.map(|record| record.decision.as_str()),
        reason: record.and_then(|record| record.reason.as_deref()),
        explanation: record.and_then(|record| record.explanation.as_deref()),
        result,
        amount,
        approved_amount,
        currency: purchase.amount.currency.to_string(),
        round_trip_us: outcome.round_trip_us,
        latency_us: record.and_then(|record| record.latency_us),
    };
    serde_json::to_writer(&mut *out, &json)?;
    writeln!(out)
}

fn play_story(args: &DemoArguments, out: &mut dyn Write, style: Style) -> Result<Exit, Failure> {
    let server = files::find(&args.server.data_dir).map_err(|e| Failure::other(&e))?;
    let summary = demo::play(&server, out, style)?;
    if summary.surprise_count > 0 {
        writeln!(
            out,
            "This ledger is not empty, or its snapshot was edited: limits remember what was bought \
             today,\nand a single-use card stays used. `countersign demo` plays the story on an \
             empty one."
        )
        .map_err(|cause| unwritten(&cause))?;
    }
    Ok(Exit::Ok)
}
