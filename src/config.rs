//! Configuration: flag > environment > file > default. Unknown keys are errors (behaviour 11.2).
//!
//! Two steps: `file` holds what was typed, this module what is ready to run with. Secrets are read
//! here and leave as types that cannot be printed.

mod alerts;
mod cards;
mod connections;
mod database;
mod file;
mod issuer;
mod ledger;
mod log;
mod mail;
mod mcp;
mod public_url;
mod purchases;
mod roles;
mod secret;
mod stand_in;
mod webhooks;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

pub use self::cards::{CardMaker, CardsConfig, Reveal};
pub use self::database::database_address;
pub(crate) use self::issuer::HOLD_DAYS_DEFAULT;
pub use self::issuer::{HoldDays, IssuerConfig};
pub use self::ledger::{
    LedgerStore, OWN_JOURNAL, SHARED_COPY, SHARED_JOURNAL, SHARED_STAND_IN, journal_of,
};
pub use self::log::log_setting;
pub use self::mail::{MailConfig, MailTls, mail_secret};
pub use self::mcp::McpConfig;
pub use self::purchases::PurchasesConfig;
pub use self::roles::Roles;
pub use self::secret::SecretSource;
pub use self::stand_in::StandInConfig;
pub use self::webhooks::{PORTS_MAX, WebhooksConfig};
use crate::issuer::IssuerKind;
pub use alerts::{AlertsConfig, RISK_KINDS, SHARES, SPIKES, STORMS};

/// When an approval may leave (behaviour 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurabilityLevel {
    /// After fdatasync has returned.
    Strict,
    /// Once the kernel has it; synced within 50 ms.
    Relaxed,
}

impl DurabilityLevel {
    /// The word of the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Relaxed => "relaxed",
        }
    }

    /// The level of this word.
    ///
    /// # Errors
    /// A message for people.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        [Self::Strict, Self::Relaxed]
            .into_iter()
            .find(|level| level.name() == text)
            .ok_or("must be `strict` or `relaxed`")
    }
}

/// A listener's address.
///
/// # Errors
/// A message for people.
pub fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_not_an_address| "not an address with a port, like 127.0.0.1:8700")
}

/// What flags and environment say; absent where they say nothing.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each is the flag of the same name")]
pub struct Overrides {
    pub config: Option<PathBuf>,
    pub snapshot: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub database: Option<SecretString>,
    pub issuer_listen: Option<SocketAddr>,
    pub listen: Option<SocketAddr>,
    pub ops_listen: Option<SocketAddr>,
    pub durability: Option<DurabilityLevel>,
    pub ledger: Option<LedgerStore>,
    pub roles: Option<Roles>,
    pub ledger_ca: Option<PathBuf>,
    pub sandbox: bool,
    pub sandbox_clock: bool,
}

/// Everything that a server starts with.
pub struct Config {
    /// Journal, checkpoints, sandbox state.
    pub data_dir: PathBuf,
    /// The control plane's database; absent where it is a file in the data directory.
    pub database: Option<SecretString>,
    /// Policies; absent where the database has them, or the sandbox writes its own.
    pub snapshot: Option<PathBuf>,
    /// Between two looks at the snapshot's file; absent where nobody looks.
    pub snapshot_poll: Option<Duration>,
    /// For issuers.
    pub issuer_listen: SocketAddr,
    /// For people and agents.
    pub listen: SocketAddr,
    /// Under what people and agents' programs find `listen`; absent where only this machine does.
    pub public_url: Option<String>,
    /// For operators.
    pub ops_listen: SocketAddr,
    /// For an issuer's headers to arrive.
    pub header_timeout: Duration,
    /// For an issuer's body to arrive.
    pub body_timeout: Duration,
    /// Issuers' connections at a time.
    pub connections_max: usize,
    /// When an approval may leave.
    pub durability: DurabilityLevel,
    /// Where holds and limits are kept.
    pub ledger: LedgerStore,
    /// What this node may approve while the ledger that it shares does not answer; absent where that is
    /// nothing.
    pub stand_in: Option<StandInConfig>,
    /// What this process does.
    pub roles: Roles,
    /// For how long decided authorizations are known again, in days.
    pub retention_days: u32,
    /// For how long records of decisions are kept, in days.
    pub records_days: u32,
    /// How many records are found by `/admin`, about; each takes 27 bytes of memory.
    pub records_indexed_max: usize,
    /// Configured connections.
    pub issuers: Vec<IssuerConfig>,
    /// What issuers' keys are sealed under, the one that seals first; none where the data directory
    /// has it.
    pub master_keys: Vec<SecretString>,
    /// Where cards are made.
    pub card_makers: Vec<CardsConfig>,
    /// Whom the agents' door lets in.
    pub mcp: McpConfig,
    /// How much one agent may ask.
    pub purchases: PurchasesConfig,
    /// Outgoing webhooks.
    pub webhooks: WebhooksConfig,
    /// Where notices to people are handed over; absent where there is no mail.
    pub mail: Option<MailConfig>,
    /// When owners are told, and what freezes a card.
    pub alerts: AlertsConfig,
    /// Whether the built-in issuer is one of the connections.
    pub sandbox: bool,
    /// Whether time may be moved forward: every connection is a sandbox.
    pub sandbox_clock: bool,
}

/// Why a configuration is refused: where, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file and line, the flag or the variable.
    pub place: String,
    /// What is wrong with it.
    pub message: String,
}

impl ConfigError {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            message: message.into(),
        }
    }
}

impl ConfigError {
    /// With the line of the file's key that it is about, where there is one.
    fn with_line(mut self, file: &str, text: &str) -> Self {
        let key = self.place.strip_prefix(file);
        let key = key.and_then(|rest| rest.strip_prefix(": "));
        if let Some((key, line)) = key.and_then(|key| Some((key, file::line_of(text, key)?))) {
            self.place = format!("{file}:{line}: {key}");
        }
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// An authorization is known again for at least this long: the longest life of a hold (31 days)
/// and a day of redeliveries.
const RETENTION_DAYS_MIN: u32 = 32;
const RETENTION_DAYS_MAX: u32 = 3_650;
/// The sandbox's own.
pub const SANDBOX_DEADLINE_MS: u32 = 300;
/// A year and a month: who looks back over a year finds all of it.
const RECORDS_DAYS_DEFAULT: u32 = 400;
const RECORDS_INDEXED: std::ops::RangeInclusive<usize> = 100_000..=1_000_000_000;
const RECORDS_INDEXED_DEFAULT: usize = 10_000_000;
/// 0 switches the looking off.
const SNAPSHOT_POLL_MS: std::ops::RangeInclusive<u64> = 50..=3_600_000;
const SNAPSHOT_POLL_MS_DEFAULT: u64 = 1_000;
/// Below this an honest sender on a bad line would be refused; above, the slow hold on too long.
const READ_TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=60_000;
const READ_TIMEOUT_MS_DEFAULT: u64 = 5_000;

impl Config {
    /// Reads the file that the overrides name, if any, and puts the overrides above it.
    ///
    /// # Errors
    /// [`ConfigError`] names file and key, flag or variable.
    pub fn load(overrides: Overrides) -> Result<Self, ConfigError> {
        let Some(path) = overrides.config.clone() else {
            return Self::above(file::ConfigFile::default(), "", overrides);
        };
        let (typed, text) = file::read(&path)?;
        let place = path.display().to_string();
        Self::above(typed, &place, overrides).map_err(|error| error.with_line(&place, &text))
    }

    /// Puts the overrides above what the file of this name says.
    fn above(
        typed: file::ConfigFile,
        place: &str,
        overrides: Overrides,
    ) -> Result<Self, ConfigError> {
        let sandbox = overrides.sandbox || typed.issuer.is_empty();
        let address = |flag: Option<SocketAddr>, typed: Option<&str>, key: &str, default: u16| {
            listen_address(flag, typed, &format!("{place}: server.{key}"), default)
        };
        let server = &typed.server;
        let timeout = |typed, key: &str| read_timeout(typed, &format!("{place}: {key}"));
        let issuers = issuer::issuers(&typed.issuer, place)?;
        let data_dir = or_default(overrides.data_dir.or(typed.data_dir));
        let database = database::address(overrides.database, typed.database.as_deref(), place)?;
        let ledger = ledger::store(overrides.ledger, overrides.ledger_ca)?;
        Ok(Self {
            connections_max: connections::max(
                server.connections_max,
                budget_ms(&issuers, sandbox),
                hot_threads(),
                &format!("{place}: server.connections_max"),
            )?,
            header_timeout: timeout(server.header_timeout_ms, "server.header_timeout_ms")?,
            body_timeout: timeout(server.body_timeout_ms, "server.body_timeout_ms")?,
            issuer_listen: address(
                overrides.issuer_listen,
                server.issuer_listen.as_deref(),
                "issuer_listen",
                8700,
            )?,
            listen: address(overrides.listen, server.listen.as_deref(), "listen", 8701)?,
            public_url: public_url::read(server, place)?,
            ops_listen: address(
                overrides.ops_listen,
                server.ops_listen.as_deref(),
                "ops_listen",
                8702,
            )?,
            durability: durability(overrides.durability, &typed.ledger, place)?,
            retention_days: retention(&typed.ledger, place)?,
            records_days: records_days(&typed.ledger, place)?,
            records_indexed_max: records_indexed_max(&typed.ledger, place)?,
            snapshot_poll: snapshot_poll(typed.snapshot_poll_ms, place)?,
            issuers,
            master_keys: master_keys(&typed.keys.master, place)?,
            mcp: mcp::access(typed.mcp, place)?,
            card_makers: cards::read_all(&typed.issuer, place)?,
            purchases: purchases::read(&typed.purchases, place)?,
            webhooks: webhooks::read(&typed.webhooks, place)?,
            mail: mail::read(typed.mail, place)?,
            alerts: alerts::read(&typed.alerts, &typed.risk, place)?,
            snapshot: snapshot(
                overrides.snapshot,
                typed.snapshot,
                sandbox || database.is_some(),
                &data_dir,
            )?,
            database,
            data_dir,
            roles: overrides.roles.unwrap_or_default(),
            stand_in: stand_in::read(typed.stand_in.as_ref(), &ledger, place)?,
            ledger,
            sandbox,
            sandbox_clock: overrides.sandbox_clock,
        })
        .and_then(|config: Self| check(&config, place).map(|()| config))
    }
}

/// Whether its parts go together.
fn check(config: &Config, place: &str) -> Result<(), ConfigError> {
    check_listeners(config, place)?;
    check_names(config, place)?;
    check_sandbox_clock(config)?;
    ledger::check(config)?;
    roles::check(config)
}

/// The built-in issuer has its names where it is on.
fn check_names(config: &Config, place: &str) -> Result<(), ConfigError> {
    let mut issuers = config.issuers.iter().enumerate();
    let is_taken = |issuer: &IssuerConfig| SANDBOX_NAMES.contains(&&*issuer.name);
    match issuers.find(|(_, issuer)| config.sandbox && is_taken(issuer)) {
        Some((at, issuer)) => Err(ConfigError {
            place: format!("{place}: issuer[{at}].name"),
            message: format!("`{}` is a name of the built-in issuer", issuer.name),
        }),
        None => Ok(()),
    }
}

fn or_default(data_dir: Option<PathBuf>) -> PathBuf {
    data_dir.unwrap_or_else(|| PathBuf::from(DATA_DIR_DEFAULT))
}

/// The shortest budget of all connections.
fn budget_ms(issuers: &[IssuerConfig], sandbox: bool) -> u32 {
    let budgets_ms = issuers.iter().map(|issuer| issuer.deadline_ms);
    let all = budgets_ms.chain(sandbox.then_some(SANDBOX_DEADLINE_MS));
    all.min().unwrap_or(SANDBOX_DEADLINE_MS)
}

fn master_keys(
    sources: &file::SecretSources,
    place: &str,
) -> Result<Vec<SecretString>, ConfigError> {
    let whole = |text: String| Ok::<_, std::convert::Infallible>(SecretString::from(text));
    let read = |(at, source): (usize, &String)| {
        secret::read(source, whole)
            .map_err(|message| ConfigError::new(format!("{place}: keys.master[{at}]"), message))
    };
    sources.0.iter().enumerate().map(read).collect()
}

/// Where the secrets of a configuration file are; none where there is no file.
///
/// # Errors
/// [`ConfigError`] where the file cannot be read.
pub fn secret_sources(path: Option<&Path>) -> Result<Vec<SecretSource>, ConfigError> {
    let Some(path) = path else {
        return Ok(Vec::new());
    };
    let (typed, _) = file::read(path)?;
    Ok(typed
        .issuer
        .iter()
        .enumerate()
        .flat_map(|(at, issuer)| issuer.secret_sources(at))
        .collect())
}

/// How many threads answer issuers: one for each core.
#[must_use]
pub fn hot_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Nobody's real money may be decided by a time that somebody has made up.
fn check_sandbox_clock(config: &Config) -> Result<(), ConfigError> {
    let real = |issuer: &&IssuerConfig| issuer.issuer.kind() != IssuerKind::Sandbox;
    match config.issuers.iter().find(real) {
        Some(issuer) if config.sandbox_clock => Err(ConfigError::new(
            "--sandbox-clock",
            format!(
                "the connection `{}` is of kind {}: time can be moved only where every connection is \
                 a sandbox",
                issuer.name,
                issuer.issuer.kind().name()
            ),
        )),
        _ => Ok(()),
    }
}

/// Where the journal would be: as the flag says, or the file, or else the default. Nothing where the
/// file cannot be read that far.
#[must_use]
pub fn data_dir(flag: Option<&Path>, file: Option<&Path>) -> Option<PathBuf> {
    match (flag, file) {
        (Some(flag), _) => Some(flag.to_owned()),
        (None, Some(file)) => file::data_dir(file),
        (None, None) => Some(PathBuf::from(DATA_DIR_DEFAULT)),
    }
}

/// Two listeners on one address: the second would find it taken, as if by somebody else.
fn check_listeners(config: &Config, place: &str) -> Result<(), ConfigError> {
    let listeners = [
        ("server.issuer_listen", config.issuer_listen),
        ("server.listen", config.listen),
        ("server.ops_listen", config.ops_listen),
    ];
    for (at, (key, address)) in listeners.into_iter().enumerate() {
        let earlier = listeners.iter().take(at);
        let mut same = earlier.filter(|(_, it)| it.port() != 0 && meet(*it, address));
        if let Some((other, _)) = same.next() {
            let message = format!("{address} is the address of {other} already");
            let place = if place.is_empty() {
                key.to_owned()
            } else {
                format!("{place}: {key}")
            };
            return Err(ConfigError::new(place, message));
        }
    }
    Ok(())
}

/// Whether both want the same port of an interface.
fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    let is_one_family = one.is_ipv4() == other.is_ipv4();
    one.port() == other.port() && (one.ip() == other.ip() || is_any && is_one_family)
}

fn listen_address(
    flag: Option<SocketAddr>,
    typed: Option<&str>,
    place: &str,
    default_port: u16,
) -> Result<SocketAddr, ConfigError> {
    match (flag, typed) {
        (Some(address), _) => Ok(address),
        (None, Some(text)) => {
            parse_address(text).map_err(|message| ConfigError::new(place, message))
        }
        (None, None) => Ok(SocketAddr::from(([127, 0, 0, 1], default_port))),
    }
}

fn read_timeout(typed: Option<u64>, place: &str) -> Result<Duration, ConfigError> {
    let millis = typed.unwrap_or(READ_TIMEOUT_MS_DEFAULT);
    if READ_TIMEOUT_MS.contains(&millis) {
        return Ok(Duration::from_millis(millis));
    }
    let (least, most) = (READ_TIMEOUT_MS.start(), READ_TIMEOUT_MS.end());
    let message = format!("must lie between {least} and {most}");
    Err(ConfigError::new(place, message))
}

fn durability(
    flag: Option<DurabilityLevel>,
    ledger: &file::LedgerFile,
    place: &str,
) -> Result<DurabilityLevel, ConfigError> {
    match (flag, ledger.durability.as_deref()) {
        (Some(level), _) => Ok(level),
        (None, Some(text)) => DurabilityLevel::parse(text)
            .map_err(|message| ConfigError::new(format!("{place}: ledger.durability"), message)),
        (None, None) => Ok(DurabilityLevel::Strict),
    }
}

fn retention(ledger: &file::LedgerFile, place: &str) -> Result<u32, ConfigError> {
    let days = ledger.retention_days.unwrap_or(45);
    if (RETENTION_DAYS_MIN..=RETENTION_DAYS_MAX).contains(&days) {
        return Ok(days);
    }
    let message = format!(
        "must lie between {RETENTION_DAYS_MIN} (the life of a hold and a day of redeliveries) \
         and {RETENTION_DAYS_MAX}"
    );
    Err(ConfigError::new(
        format!("{place}: ledger.retention_days"),
        message,
    ))
}

/// Records outlive the authorizations that they tell of.
fn records_days(ledger: &file::LedgerFile, place: &str) -> Result<u32, ConfigError> {
    let least = retention(ledger, place)?;
    let days = ledger.records_days;
    let days = days.unwrap_or_else(|| RECORDS_DAYS_DEFAULT.max(least));
    if (least..=RETENTION_DAYS_MAX).contains(&days) {
        return Ok(days);
    }
    let message = format!("must lie between retention_days ({least}) and {RETENTION_DAYS_MAX}");
    Err(ConfigError::new(
        format!("{place}: ledger.records_days"),
        message,
    ))
}

fn records_indexed_max(ledger: &file::LedgerFile, place: &str) -> Result<usize, ConfigError> {
    let count = ledger.records_indexed_max;
    let count = count.unwrap_or(RECORDS_INDEXED_DEFAULT);
    if RECORDS_INDEXED.contains(&count) {
        return Ok(count);
    }
    let (least, most) = (RECORDS_INDEXED.start(), RECORDS_INDEXED.end());
    let message = format!("must lie between {least} and {most}");
    Err(ConfigError::new(
        format!("{place}: ledger.records_indexed_max"),
        message,
    ))
}

fn snapshot_poll(typed: Option<u64>, place: &str) -> Result<Option<Duration>, ConfigError> {
    let millis = typed.unwrap_or(SNAPSHOT_POLL_MS_DEFAULT);
    if millis == 0 {
        return Ok(None);
    }
    if SNAPSHOT_POLL_MS.contains(&millis) {
        return Ok(Some(Duration::from_millis(millis)));
    }
    let (least, most) = (SNAPSHOT_POLL_MS.start(), SNAPSHOT_POLL_MS.end());
    let message = format!("must lie between {least} and {most}, or be 0 for never");
    Err(ConfigError::new(
        format!("{place}: snapshot_poll_ms"),
        message,
    ))
}

fn snapshot(
    flag: Option<PathBuf>,
    typed: Option<PathBuf>,
    has_rules: bool,
    data_dir: &Path,
) -> Result<Option<PathBuf>, ConfigError> {
    let path = flag.or(typed);
    if path.is_none() && !has_rules && !data_dir.join(CONTROL_DATABASE).exists() {
        let message = "issuers are configured, so a snapshot of cards and policies is needed, or a \
                       database, which `countersign init` makes";
        return Err(ConfigError::new("--snapshot", message));
    }
    Ok(path)
}

/// Where the journal lives unless something else is said.
pub const DATA_DIR_DEFAULT: &str = "countersign-data";

/// The control plane's database, in the data directory.
pub const CONTROL_DATABASE: &str = "control/control.db";

/// The name of the built-in issuer's connection.
pub const SANDBOX_NAME: &str = "sandbox";
/// The names of all its connections, in Lithic's, Stripe's and Marqeta's words.
pub const SANDBOX_NAMES: [&str; 3] = [SANDBOX_NAME, "sandbox-stripe", "sandbox-marqeta"];

/// Reads a whole file that the operator named.
///
/// # Errors
/// [`ConfigError`] names the file.
pub fn read_named(path: &Path) -> Result<Vec<u8>, ConfigError> {
    std::fs::read(path).map_err(|error| {
        let place = path.display().to_string();
        ConfigError::new(place, format!("cannot be read: {}", in_full(path, &error)))
    })
}

/// How a certificate begins in PEM form.
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Reads a root certificate, as its file has it.
fn read_root(path: &Path) -> Result<Vec<u8>, String> {
    let pem = read_named(path).map_err(|error| error.to_string())?;
    // What reads it takes a text without any for an empty list.
    if !pem.windows(PEM.len()).any(|it| it == PEM) {
        return Err("is no certificate in PEM form".to_owned());
    }
    Ok(pem)
}

/// What went wrong with a file, and which one that is where its path depends on where the process
/// was started.
#[must_use]
pub fn in_full(path: &Path, error: &std::io::Error) -> String {
    match std::path::absolute(path) {
        Ok(full) if full != path => format!("{error} ({})", full.display()),
        Ok(_) | Err(_) => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
