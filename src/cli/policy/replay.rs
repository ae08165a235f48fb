//! `countersign policy replay`: what the decisions of a journal would have been under a document.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::ReplayArguments;
use crate::cli::Exit;
use crate::cli::demo::{Failure, unwritten};
use crate::cli::ledger::{Rebuilt, open, rebuild};
use crate::cold::control::{card_policy, load};
use crate::cold::explain::{Context, explain};
use crate::cold::init::Place;
use crate::cold::records::DecisionId;
use crate::cold::store::{CardLimit, Store};
use crate::cold::trial::{Cast, Changed, Outcome, Question, Trial};
use crate::config::database_address;
use crate::decide::compile::parse_instant;
use crate::decide::past::Past;
use crate::decide::policy::Policy;
use crate::decide::snapshot::Snapshot;
use crate::domain::amount::{Amount, Minor};
use crate::domain::card::Level;
use crate::domain::currency::Currency;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::time::Timestamp;
use crate::fingerprint::Fingerprinter;
use crate::ledger::embedded::recover::examine_whole;
use crate::ledger::event::{AgentNo, Owner};
use crate::ledger::state::State;

/// Bytes of a document; the API takes no more.
const DOCUMENT_SIZE_MAX: u64 = 1 << 20;
/// Rows that are read at a time.
const PAGE_LEN: usize = 1_000;

/// One change, as `--json` prints it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeLine<'c> {
    decision: String,
    at: String,
    card: &'c str,
    change: &'static str,
    amount: i64,
    currency: String,
    recorded: &'static str,
    tried: &'static str,
    reason: Option<&'static str>,
    explanation: Option<String>,
}

/// The last line of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SumLine {
    decisions: u64,
    changed: u64,
    unknown: u64,
    totals: Vec<TotalLine>,
    counters_begin_at: Option<String>,
    counters_are_whole: bool,
    is_cut: bool,
}

#[derive(Serialize)]
struct TotalLine {
    change: &'static str,
    count: u64,
    amount: i64,
    currency: String,
}

pub(super) fn run(args: &ReplayArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let text = document(&args.policy)?;
    let since = instant(args.since.as_deref(), "--since")?;
    let until = instant(args.until.as_deref(), "--until")?;
    let files = open(&args.data_dir)?;
    let Rebuilt { states, seed } = rebuild(&files)?;
    let keys = Fingerprinter::new(seed);
    let (level, id) = args.subject();
    let (snapshot, limit) = match &args.snapshot {
        Some(file) => (file.read_right_with(&keys)?, None),
        None => of_database(args, &keys, (level, id))?,
    };
    let document = compile(&text, limit.as_ref())?;
    let customer = customer_of(&snapshot, level, id).ok_or_else(|| {
        usage(format!(
            "the rules in force have no {} `{id}`",
            level.name()
        ))
    })?;
    let state = states.iter().find(
        |state| matches!(state.owner.as_owner(), Owner::Customer(known) if *known == *customer),
    );
    let outcome = match state {
        None => Outcome::default(),
        Some(state) => {
            let cast = cast(state, &customer);
            let question = Question {
                level,
                id,
                policy: &document,
                from: since,
                to: until,
                after: None,
                limit: usize::MAX,
            };
            let mut trial = Trial::new(&snapshot, &keys, &cast, question);
            let read = examine_whole(&files, |record| {
                trial.take(record.sequence, record.payload);
            });
            read.map_err(|error| Failure::other(&error))?;
            trial.finish()
        }
    };
    let mut out = io::BufWriter::new(out);
    let told = tell(&outcome, args.json, &mut out).and_then(|()| out.flush());
    told.map_err(|error| unwritten(&error))?;
    Ok(if outcome.totals.is_empty() {
        Exit::Ok
    } else {
        Exit::Other
    })
}

fn usage(message: String) -> Failure {
    let exit = Exit::Usage;
    Failure { message, exit }
}

fn document(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let size = fs::metadata(path).map(|it| it.len());
    let size = size.map_err(|error| usage(format!("{shown}: {error}")))?;
    if size > DOCUMENT_SIZE_MAX {
        let message = format!("{shown}: has more than {DOCUMENT_SIZE_MAX} bytes");
        return Err(usage(message));
    }
    fs::read_to_string(path).map_err(|error| usage(format!("{shown}: {error}")))
}

/// The document with the limit that stands beside a card's.
fn compile(text: &str, limit: Option<&CardLimit>) -> Result<Policy, Failure> {
    card_policy(Some(text), limit).map_err(|refused| {
        let faults = refused.faults.into_iter();
        let lines = faults.map(|(field, message)| format!("\n  {field}: {message}"));
        usage(format!("the policy is wrong{}", lines.collect::<String>()))
    })
}

fn instant(text: Option<&str>, flag: &str) -> Result<Option<Timestamp>, Failure> {
    let wrong = || {
        usage(format!(
            "{flag} must be an instant like 2026-05-30T00:00:00Z"
        ))
    };
    let read = |text: &str| parse_instant(text).ok_or_else(wrong);
    text.map(read).transpose()
}

/// The rules that a server on the data directory would have in force, and the limit beside the card's.
fn of_database(
    args: &ReplayArguments,
    keys: &Fingerprinter,
    (level, id): (Level, &str),
) -> Result<(Snapshot, Option<CardLimit>), Failure> {
    let address = args.database.clone().map(database_address).transpose();
    let address = address.map_err(|error| usage(error.to_string()))?;
    let place = Place::of(&args.data_dir, address.as_ref());
    if !place.is_named() {
        let message = "there is no database in the data directory; name the rules with --snapshot";
        return Err(usage(message.to_owned()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::other(&error))?;
    runtime.block_on(async {
        let store = place.look().await;
        let store = store.map_err(|error| Failure::other(&error))?;
        let connections = connections(&*store).await?;
        let empty = Snapshot::empty();
        let loaded = load(&*store, &connections, keys, (&empty, 1), &Past::default()).await;
        let card = match level {
            Level::Card => store.card(id.to_owned()).await,
            Level::Agent | Level::Customer => Ok(None),
        };
        let closed = store.close().await;
        closed.map_err(|error| Failure::other(&error))?;
        let card = card.map_err(|error| Failure::other(&error))?;
        let loaded = loaded.map_err(|error| Failure::other(&error))?;
        Ok((loaded, card.and_then(|row| row.limit)))
    })
}

/// The connections that cards name: who reads rules alone need not know whether they are configured.
async fn connections(store: &dyn Store) -> Result<Vec<String>, Failure> {
    let mut names = BTreeSet::new();
    let mut after = String::new();
    loop {
        let rows = store.all_cards(after, PAGE_LEN).await;
        let rows = rows.map_err(|error| Failure::other(&error))?;
        let Some(last) = rows.last() else {
            return Ok(names.into_iter().collect());
        };
        after = last.id.clone();
        names.extend(rows.into_iter().map(|row| row.connection));
    }
}

fn customer_of(snapshot: &Snapshot, level: Level, id: &str) -> Option<String> {
    let customer = match level {
        Level::Card => snapshot.card_by_id(id)?.customer,
        Level::Agent => snapshot.customer_of(snapshot.agent_by_id(id)?)?,
        Level::Customer => snapshot.customer_by_id(id)?,
    };
    Some(customer.id().to_owned())
}

fn cast(state: &State, customer: &str) -> Cast {
    let cards = state.cards();
    let agents = (0..).map_while(|no| state.agent(AgentNo(no)));
    Cast {
        state: state.no,
        key: state.key,
        customer: customer.to_owned(),
        cards: cards
            .map(|card| (card.id.clone(), card.connection.clone()))
            .collect(),
        agents: agents.map(|agent| agent.id.clone()).collect(),
    }
}

fn word(decision: Decision) -> &'static str {
    match decision {
        Decision::Approve => "approve",
        Decision::ApprovePartial(_) => "partial",
        Decision::Decline(reason) => reason.code(),
    }
}

fn tell(outcome: &Outcome, is_json: bool, out: &mut dyn Write) -> io::Result<()> {
    for changed in &outcome.changed {
        let line = ChangeLine::new(changed);
        if is_json {
            writeln!(out, "{}", json(&line)?)?;
        } else {
            let amount = changed.amount;
            write!(out, "{}  {}  {}  ", line.at, line.decision, line.card)?;
            writeln!(out, "{amount}  {} -> {}", line.recorded, line.tried)?;
        }
    }
    let sum = SumLine::new(outcome);
    if is_json {
        return writeln!(out, "{}", json(&sum)?);
    }
    for ((kind, currency), total) in &outcome.totals {
        let amount = shown_amount(total.amount, currency);
        writeln!(out, "{:<20} {:>8}  {amount}", kind.name(), total.count)?;
    }
    writeln!(
        out,
        "{} decisions, {} changed, {} not known",
        sum.decisions, sum.changed, sum.unknown
    )?;
    match &sum.counters_begin_at {
        Some(at) if !sum.counters_are_whole => writeln!(
            out,
            "counters begin at {at}: what was spent before is in no record any more"
        )?,
        _ => {}
    }
    if sum.is_cut {
        writeln!(
            out,
            "there were more decisions than one replay goes through"
        )?;
    }
    Ok(())
}

fn json(line: &impl Serialize) -> io::Result<String> {
    serde_json::to_string(line).map_err(io::Error::other)
}

fn shown_amount(minor: i64, currency: &str) -> String {
    let amount = Currency::parse(currency).ok().zip(Minor::new(minor).ok());
    match amount {
        Some((currency, minor)) => Amount { minor, currency }.to_string(),
        None => format!("{minor} {currency}"),
    }
}

impl<'c> ChangeLine<'c> {
    fn new(changed: &'c Changed) -> Self {
        let currency = changed.amount.currency;
        let reason = match changed.tried {
            Decision::Decline(reason) => Some(reason),
            Decision::Approve | Decision::ApprovePartial(_) => None,
        };
        let explained = changed.explanation.as_ref();
        Self {
            decision: DecisionId(changed.sequence).to_string(),
            at: changed.at.rfc3339().to_string(),
            card: &changed.card,
            change: changed.kind.name(),
            amount: changed.amount.minor.get(),
            currency: currency.to_string(),
            recorded: word(changed.recorded),
            tried: word(changed.tried),
            reason: reason.map(DeclineReason::code),
            explanation: explained.map(|it| explain(it, Context { currency }).text),
        }
    }
}

impl SumLine {
    fn new(outcome: &Outcome) -> Self {
        let counts = outcome.totals.values().map(|total| total.count);
        let totals = outcome.totals.iter();
        Self {
            decisions: outcome.decision_count,
            changed: counts.fold(0, u64::saturating_add),
            unknown: outcome.unknown_count,
            totals: totals
                .map(|((kind, currency), total)| TotalLine {
                    change: kind.name(),
                    count: total.count,
                    amount: total.amount,
                    currency: currency.clone(),
                })
                .collect(),
            counters_begin_at: outcome.begins_at.map(|at| at.rfc3339().to_string()),
            counters_are_whole: outcome.is_whole,
            is_cut: outcome.is_cut,
        }
    }
}
