//! The doctor: looks at what a server stands on, and says what is wrong and what to do (behaviour
//! 11.6). It changes nothing, and works beside a running server.

mod clock;
mod data_dir;
mod disk;
mod limits;
mod master;
mod secrets;

pub use data_dir::InUse;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::clock::Clock;
use crate::cold::policies::read_whole;
use crate::cold::webhooks::mail::Mailer;
use crate::config::{Config, ConfigError, SecretSource};
use crate::decide::document::{DocumentContext, DocumentRefused, read_snapshot};
use crate::fingerprint::Fingerprinter;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and something should be done.
    Warn,
    /// It does not work, or will not hold.
    Fail,
}

impl Verdict {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What one look came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: a short stable word.
    pub name: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do; absent where nothing needs to be done.
    pub remedy: Option<String>,
}

impl Check {
    fn ok(name: &'static str, seen: impl Into<String>) -> Self {
        Self {
            name,
            verdict: Verdict::Ok,
            seen: seen.into(),
            remedy: None,
        }
    }

    fn warn(name: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Warn,
            remedy: Some(remedy.into()),
            ..Self::ok(name, seen)
        }
    }

    fn fail(name: &'static str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Fail,
            remedy: Some(remedy.into()),
            ..Self::ok(name, seen)
        }
    }
}

/// What the doctor is given: what `serve` would start with, or why it would not.
pub struct Patient {
    /// The configuration.
    pub config: Result<Config, ConfigError>,
    /// Where its secrets are, as far as the file can be read.
    pub secrets: Vec<SecretSource>,
    /// Where the password of the mail server is.
    pub mail_secret: Option<SecretSource>,
    /// Where the journal would be; nothing where that cannot be known.
    pub data_dir: Option<PathBuf>,
}

/// Everything that was looked at, in a fixed order, and whether configuration and snapshot are right.
pub struct Findings {
    /// The checks.
    pub checks: Vec<Check>,
    /// Whether `serve` would take the configuration and the snapshot.
    pub is_usable: bool,
}

/// Looks at everything. Takes about two seconds.
#[must_use]
pub fn examine(patient: &Patient, clock: Clock) -> Findings {
    let config = patient.config.as_ref();
    let mut checks = configuration(config);
    checks.extend(config.ok().and_then(snapshot));
    checks.extend(config.ok().and_then(mail));
    let is_usable = checks.iter().all(|check| check.verdict != Verdict::Fail);
    checks.extend(secrets::checks(&patient.secrets, clock.now()));
    checks.extend({ patient.mail_secret.iter() }.map(|it| secrets::of_mail(it, clock.now())));
    let data_dir = patient.data_dir.as_deref();
    let budget_ms = config
        .ok()
        .and_then(|config| config.issuers.iter().map(|issuer| issuer.deadline_ms).min());
    checks.push(clock::check(clock, data_dir));
    match data_dir {
        Some(data_dir) => {
            checks.extend(data_dir::checks(data_dir));
            checks.extend(master::check(data_dir, config.ok()));
            checks.push(disk::check(clock, data_dir, budget_ms));
        }
        None => checks.push(data_dir::unknown()),
    }
    checks.extend(limits::checks(
        config.ok().map(|config| config.connections_max),
    ));
    Findings { checks, is_usable }
}

/// Where notices to people go, and whether their links lead anywhere.
fn mail(config: &Config) -> Option<Check> {
    const NAME: &str = "mail";
    let mail = config.mail.as_ref()?;
    let seen = format!("{}:{}, from {}", mail.host, mail.port, mail.from);
    if let Err(why) = Mailer::new(mail) {
        return Some(Check::fail(NAME, why, "mend it; `serve` refuses it too"));
    }
    if config.public_url.is_none() {
        let seen = format!("{seen}; links in notices lead to this machine alone");
        return Some(Check::warn(NAME, seen, "set server.public_url"));
    }
    Some(Check::ok(NAME, seen))
}

/// The configuration as a whole, and each thing about a connection that the operator should know.
fn configuration(config: Result<&Config, &ConfigError>) -> Vec<Check> {
    const NAME: &str = "config";
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            let remedy = "mend it; `serve` refuses it too";
            return vec![Check::fail(NAME, error.to_string(), remedy)];
        }
    };
    let seen = match config.issuers.len() {
        1 => "1 issuer connection".to_owned(),
        count => format!("{count} issuer connections"),
    };
    let warned = config.issuers.iter().flat_map(|issuer| {
        let remedy = format!("see docs/issuers/{}.md", issuer.issuer.kind().name());
        let warnings = issuer.warnings.iter();
        warnings.map(move |it| Check::warn("issuer", format!("{}: {it}", issuer.name), &*remedy))
    });
    [Check::ok(NAME, seen)].into_iter().chain(warned).collect()
}

/// The snapshot, where the configuration names one; the sandbox makes its own.
fn snapshot(config: &Config) -> Option<Check> {
    const NAME: &str = "snapshot";
    let path = config.snapshot.as_deref()?;
    let mut names: Vec<&str> = config.issuers.iter().map(|issuer| &*issuer.name).collect();
    let silent = config.card_makers.iter().filter(|it| !it.maker.asks());
    names.extend(silent.map(|it| &*it.connection));
    if config.sandbox {
        names.extend(crate::config::SANDBOX_NAMES);
    }
    Some(match read(path, &names) {
        Ok(cards) => Check::ok(NAME, format!("{}: {cards} cards", path.display())),
        Err(why) => Check::fail(NAME, why, "mend it; `serve` refuses it too"),
    })
}

fn read(path: &Path, connections: &[&str]) -> Result<usize, String> {
    let file = path.display().to_string();
    let bytes = read_whole(path).map_err(|why| format!("{file}: {why}"))?;
    let context = DocumentContext {
        file: &file,
        connections,
        version: 1,
    };
    let snapshot = read_snapshot(&bytes, context, &Fingerprinter::new(0));
    match snapshot {
        Ok(snapshot) => Ok(snapshot.card_count()),
        Err(DocumentRefused { errors, more_count }) => {
            let first = errors.first().map(ToString::to_string).unwrap_or_default();
            let more = errors.len().saturating_sub(1).saturating_add(more_count);
            let more = if more == 0 {
                String::new()
            } else {
                format!(", and {more} more")
            };
            Err(format!("{first}{more}"))
        }
    }
}
