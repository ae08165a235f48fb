//! The configuration file as it is typed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::mail::MailFile;
use crate::config::secret::SecretSource;
use crate::config::{ConfigError, DATA_DIR_DEFAULT, read_named};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    pub(super) data_dir: Option<PathBuf>,
    /// An address without a password, or where one is.
    pub(super) database: Option<String>,
    pub(super) snapshot: Option<PathBuf>,
    pub(super) snapshot_poll_ms: Option<u64>,
    #[serde(default)]
    pub(super) server: ServerFile,
    #[serde(default)]
    pub(super) ledger: LedgerFile,
    #[serde(default)]
    pub(super) keys: KeysFile,
    #[serde(default)]
    pub(super) mcp: McpFile,
    #[serde(default)]
    pub(super) purchases: PurchasesFile,
    #[serde(default)]
    pub(super) webhooks: WebhooksFile,
    pub(super) mail: Option<MailFile>,
    #[serde(default)]
    pub(super) alerts: AlertsFile,
    #[serde(default)]
    pub(super) risk: RiskFile,
    pub(super) stand_in: Option<StandInFile>,
    #[serde(default)]
    pub(super) issuer: Vec<IssuerFile>,
}

/// Whom the agents' door lets in beside this machine itself.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct McpFile {
    #[serde(default)]
    pub(super) hosts: Vec<String>,
    #[serde(default)]
    pub(super) origins: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertsFile {
    pub(super) limit_share_percent: Option<i64>,
    pub(super) decline_storm_count: Option<i64>,
    pub(super) spend_spike_factor: Option<i64>,
    pub(super) kept_days: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RiskFile {
    pub(super) freeze_on: Option<Vec<String>>,
    pub(super) dry_run: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PurchasesFile {
    pub(super) requests_per_minute_max: Option<u32>,
    pub(super) reviews_waiting_max: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhooksFile {
    pub(super) allow_loopback: Option<bool>,
    #[serde(default)]
    pub(super) ports: Vec<u16>,
    pub(super) backlog_max: Option<i64>,
    pub(super) unread_max: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeysFile {
    /// What issuers' keys are sealed under, the one that seals first.
    #[serde(default)]
    pub(super) master: SecretSources,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerFile {
    pub(super) issuer_listen: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) public_url: Option<String>,
    pub(super) ops_listen: Option<String>,
    pub(super) header_timeout_ms: Option<u64>,
    pub(super) body_timeout_ms: Option<u64>,
    pub(super) connections_max: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LedgerFile {
    pub(super) durability: Option<String>,
    pub(super) retention_days: Option<u32>,
    pub(super) records_days: Option<u32>,
    pub(super) records_indexed_max: Option<usize>,
}

/// What a node may approve while the ledger does not answer. The amount is in major units, as text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StandInFile {
    pub(super) budget: String,
    pub(super) currency: String,
    pub(super) nodes: u32,
}

/// One `[[issuer]]`. Secrets are named here, never written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuerFile {
    pub(super) name: String,
    pub(super) kind: String,
    #[serde(default)]
    pub(super) secrets: SecretSources,
    pub(super) event_secrets: Option<SecretSources>,
    pub(super) hold_days: Option<u32>,
    pub(super) hold_days_long: Option<u32>,
    pub(super) tolerance_s: Option<u32>,
    pub(super) deadline_ms: Option<u32>,
    pub(super) unsigned: Option<String>,
    /// Lithic's scheme.
    pub(super) signature: Option<String>,
    /// What happens to a card that no snapshot has; also by the name that owners know it by.
    #[serde(alias = "unmanagedCards")]
    pub(super) unmanaged_cards: Option<String>,
    /// Stripe's.
    pub(super) livemode: Option<bool>,
    /// Stripe's.
    pub(super) account: Option<String>,
    /// Marqeta's, by name.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, SecretSources>,
    /// Where cards are made.
    pub(super) cards: Option<CardsFile>,
}

/// One `[issuer.cards]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CardsFile {
    pub(super) mode: Option<String>,
    pub(super) url: Option<String>,
    #[serde(default, deserialize_with = "source")]
    pub(super) key: Option<String>,
    pub(super) account: Option<String>,
    pub(super) program: Option<String>,
    pub(super) product: Option<String>,
    pub(super) timeout_ms: Option<u64>,
    pub(super) poll_s: Option<u64>,
    pub(super) reveal: Option<String>,
    pub(super) reveal_to_agents: Option<bool>,
}

/// One place of a secret. What stands there may be the secret itself, so no error repeats it.
pub(super) fn source<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let source = Option::<String>::deserialize(deserializer);
    source.map_err(|_may_hold_a_secret| D::Error::custom("must be `file:PATH` or `env:NAME`"))
}

impl IssuerFile {
    /// All of the connection at this place, each with its key.
    pub(super) fn secret_sources(&self, at: usize) -> Vec<SecretSource> {
        let events = self.event_secrets.as_ref();
        let named = self
            .headers
            .iter()
            .map(|(name, sources)| (format!("headers.{name}"), sources));
        let plain = [
            Some(("secrets", &self.secrets)),
            events.map(|it| ("event_secrets", it)),
        ];
        let plain = plain
            .into_iter()
            .flatten()
            .map(|(key, sources)| (key.to_owned(), sources));
        let connection = &self.name;
        let sources = plain.chain(named).flat_map(|(key, sources)| {
            let place = move |number| format!("{connection}: issuer[{at}].{key}[{number}]");
            let numbered = sources.0.iter().enumerate();
            numbered.map(move |(number, source)| SecretSource::new(place(number), source))
        });
        let key = self.cards.as_ref().and_then(|cards| cards.key.as_ref());
        let place = format!("{connection}: issuer[{at}].cards.key");
        let key = key.map(|source| SecretSource::new(place, source));
        sources.chain(key).collect()
    }
}

/// Where secrets are. What stands in their place may be a secret, so no error repeats it.
#[derive(Debug, Default)]
pub(super) struct SecretSources(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for SecretSources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sources = Vec::<String>::deserialize(deserializer);
        let message = "must be a list of `file:PATH` or `env:NAME`";
        sources
            .map(Self)
            .map_err(|_may_hold_a_secret| D::Error::custom(message))
    }
}

/// What the file says, and its text.
pub(super) fn read(path: &Path) -> Result<(ConfigFile, String), ConfigError> {
    let text = read_text(path)?;
    let typed = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(&text, span.start));
        ConfigError::new(format!("{}:{line}", path.display()), error.message())
    })?;
    Ok((typed, text))
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    String::from_utf8(read_named(path)?)
        .map_err(|_bytes| ConfigError::new(path.display().to_string(), "not UTF-8"))
}

/// The data directory of a file that may be wrong otherwise; nothing where it is no TOML.
pub(super) fn data_dir(path: &Path) -> Option<PathBuf> {
    let table: toml::Table = read_text(path).ok()?.parse().ok()?;
    match table.get("data_dir") {
        None => Some(PathBuf::from(DATA_DIR_DEFAULT)),
        Some(named) => named.as_str().map(PathBuf::from),
    }
}

/// The line, from one, of a key like `issuer[0].secrets[1]`, or of as much of it as is there.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut table = Some(root.get_ref());
    let mut start = None;
    for part in key.split('.') {
        let mut words = part.split('[');
        let name = words.next().unwrap_or_default();
        let entry = table.and_then(|table| table.iter().find(|(key, _)| key.get_ref() == name));
        let Some((key, mut value)) = entry else {
            break;
        };
        start = Some(key.span().start);
        for word in words {
            let index: Option<usize> = word.trim_end_matches(']').parse().ok();
            let item = index.and_then(|index| item(value.get_ref(), index));
            let Some(item) = item else {
                return start.map(|start| line_at(text, start));
            };
            start = Some(item.span().start);
            value = item;
        }
        table = if let DeValue::Table(inner) = value.get_ref() {
            Some(inner)
        } else {
            None
        };
    }
    start.map(|start| line_at(text, start))
}

fn item<'v, 'i>(value: &'v DeValue<'i>, index: usize) -> Option<&'v Spanned<DeValue<'i>>> {
    if let DeValue::Array(items) = value {
        items.get(index)
    } else {
        None
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or_default();
    before.matches('\n').count() + 1
}
