//! `countersign doctor`: says what is wrong with what a server stands on, and what to do.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::Exit;
use crate::cli::demo::Failure;
use crate::clock::Clock;
use crate::cold::doctor::{Check, Findings, Patient, Verdict, examine};
use crate::config::{Config, Overrides, data_dir, mail_secret, secret_sources};

/// Flags of `doctor`: those of `serve` that matter to it.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Configuration file (TOML)
    #[arg(long, env = "COUNTERSIGN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Cards and policies (JSON, or JSON lines)
    #[arg(long, env = "COUNTERSIGN_SNAPSHOT", value_name = "FILE")]
    snapshot: Option<PathBuf>,
    /// Where the journal lives [default: ./countersign-data]
    #[arg(long, env = "COUNTERSIGN_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'c> {
    verdict: Verdict,
    checks: &'c [Check],
}

/// Looks, and tells.
///
/// # Errors
/// [`Failure`] where nothing can be written.
pub fn run(arguments: &DoctorArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let clock = Clock::start();
    let overrides = Overrides {
        config: arguments.config.clone(),
        snapshot: arguments.snapshot.clone(),
        data_dir: arguments.data_dir.clone(),
        ..Overrides::default()
    };
    let patient = Patient {
        config: Config::load(overrides),
        // What is wrong with the file is told with the configuration.
        secrets: secret_sources(arguments.config.as_deref()).unwrap_or_default(),
        mail_secret: mail_secret(arguments.config.as_deref()).unwrap_or_default(),
        data_dir: data_dir(arguments.data_dir.as_deref(), arguments.config.as_deref()),
    };
    let Findings { checks, is_usable } = examine(&patient, clock);
    let verdict = checks.iter().map(|check| check.verdict).max();
    let verdict = verdict.unwrap_or(Verdict::Ok);
    if arguments.json {
        let report = Report {
            verdict,
            checks: &checks,
        };
        let text = serde_json::to_string_pretty(&report).map_err(|it| Failure::other(&it))?;
        writeln!(out, "{text}").map_err(|error| Failure::other(&error))?;
    } else {
        tell(&checks, out).map_err(|error| Failure::other(&error))?;
    }
    Ok(match verdict {
        _ if !is_usable => Exit::Usage,
        Verdict::Fail => Exit::Other,
        Verdict::Ok | Verdict::Warn => Exit::Ok,
    })
}

fn tell(checks: &[Check], out: &mut dyn Write) -> std::io::Result<()> {
    for check in checks {
        let Check {
            name,
            verdict,
            seen,
            remedy,
        } = check;
        writeln!(out, "{:<4}  {name:<10}  {seen}", verdict.word())?;
        if let Some(remedy) = remedy {
            writeln!(out, "                  \u{2192} {remedy}")?;
        }
    }
    Ok(())
}
