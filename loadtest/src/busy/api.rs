//! What has to be there before the first run: a customer, a key, and cards.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

use super::changes::{Client, one_thread};
use crate::child::Child;
use crate::error::Error;
use crate::ids::UUID_SIZE;
use crate::target::Target;

/// Far above what a run spends.
const PER_DAY_MINOR: u64 = 1_000_000_000_000;
/// Connections that make cards.
const MAKERS: usize = 32;

/// An owner and whose cards he makes.
pub(super) struct Owner {
    pub(super) key: String,
    pub(super) customer: String,
}

/// The cards, and what is needed to ask about them.
pub(super) struct Cards {
    /// An owner's.
    pub(super) key: String,
    /// Their ids.
    pub(super) ids: Vec<String>,
    /// The issuer's names of them, in the order in which it made them.
    pub(super) tokens: Vec<[u8; UUID_SIZE]>,
    /// With which the issuer signs.
    pub(super) secret: String,
}

#[derive(Deserialize)]
struct Line {
    card: Made,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    id: String,
    issuer_token: String,
}

/// Makes a customer and an owner's key.
pub(super) fn init(server_bin: &Path, data_dir: &Path) -> Result<Owner, Error> {
    let mut command = Command::new(server_bin);
    command.arg("init").arg("--data-dir").arg(data_dir);
    let output = command.output().map_err(Error::io("run init"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let after = |label: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(label));
        line.map(|rest| rest.trim().to_owned())
    };
    let made = after("owner key").zip(after("customer"));
    let (key, customer) = made.ok_or_else(|| {
        let why = String::from_utf8_lossy(&output.stderr);
        Error::Server(format!("init made no key: {}", why.trim()))
    })?;
    Ok(Owner { key, customer })
}

/// Makes so many cards over the API, each with a limit of its own, and learns how the issuer calls
/// them.
pub(super) fn cards(
    child: &Child,
    owner: &Owner,
    count: u64,
    data_dir: &Path,
) -> Result<Cards, Error> {
    let target = child.api("/v1/agents")?;
    one_thread(make_cards(&target, owner, count))?;
    let sandbox = data_dir.join("sandbox");
    let path = sandbox.join("cards.jsonl");
    let text = fs::read_to_string(&path).map_err(Error::io(format!("read {}", path.display())))?;
    let (mut ids, mut tokens) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let made: Line = serde_json::from_str(line)
            .map_err(|fault| Error::Server(format!("the sandbox's cards: {fault}")))?;
        let token = made.card.issuer_token.as_bytes().try_into();
        tokens.push(token.map_err(|_size| {
            Error::Server("the sandbox's tokens have not the width of the template's".to_owned())
        })?);
        ids.push(made.card.id);
    }
    let path = sandbox.join("secret");
    let secret = fs::read_to_string(&path).map_err(Error::io("read the sandbox's secret"))?;
    Ok(Cards {
        key: owner.key.clone(),
        ids,
        tokens,
        secret: secret.trim_end().to_owned(),
    })
}

/// A card in the generator's terms: limits by day and month on the card, by day on agent and
/// customer.
async fn make_cards(target: &Target, owner: &Owner, count: u64) -> Result<(), Error> {
    let limits = json!({"limits": {"perDay": PER_DAY_MINOR}});
    let agent = json!({"customerId": owner.customer, "policy": limits});
    let mut first = Client::connect(target.address(), &owner.key).await?;
    let agent: Value = first.post("/v1/agents", &agent).await?;
    let customer = format!("/v1/customers/{}", owner.customer);
    let change = json!({"policy": limits}).to_string();
    first.ask("PATCH", &customer, &change).await?;
    let card = json!({
        "customerId": owner.customer,
        "agentId": agent.get("id"),
        "policy": {"limits": {"perDay": PER_DAY_MINOR, "perMonth": PER_DAY_MINOR}},
    });
    let mut makers = tokio::task::JoinSet::new();
    for maker in 0..MAKERS as u64 {
        let (address, key, card) = (target.address(), owner.key.clone(), card.clone());
        makers.spawn_local(async move {
            let mut client = Client::connect(address, &key).await?;
            let own = count / MAKERS as u64 + u64::from(maker < count % MAKERS as u64);
            for _ in 0..own {
                let _made: Value = client.post("/v1/cards", &card).await?;
            }
            Ok::<(), Error>(())
        });
    }
    while let Some(made) = makers.join_next().await {
        made.map_err(|_panic| Error::Server("a maker of cards broke off".to_owned()))??;
    }
    Ok(())
}

/// A name that leads nowhere, whatever resolves it (RFC 6761).
const DOWN: &str = "https://hooks.invalid/";

/// Webhooks that hear of every decision, and whose receivers are down.
pub(super) struct Receivers {
    target: Target,
    key: String,
    ids: Vec<String>,
}

impl Receivers {
    /// Makes them.
    pub(super) fn down(child: &Child, owner: &Owner, count: u64) -> Result<Self, Error> {
        let target = child.api("/v1/webhooks")?;
        let asked = json!({"url": DOWN, "events": ["decision.*"]});
        let ids = one_thread(async {
            let mut client = Client::connect(target.address(), &owner.key).await?;
            let mut ids = Vec::new();
            for _ in 0..count {
                let made: Value = client.post("/v1/webhooks", &asked).await?;
                let id = made.get("id").and_then(Value::as_str);
                let none = || Error::Server("a webhook without an id".to_owned());
                ids.push(id.ok_or_else(none)?.to_owned());
            }
            Ok(ids)
        })?;
        Ok(Self {
            target,
            key: owner.key.clone(),
            ids,
        })
    }

    /// Has them hear of decisions from now on, or of none.
    pub(super) fn hear(&self, enabled: bool) -> Result<(), Error> {
        let change = json!({"enabled": enabled}).to_string();
        one_thread(async {
            let mut client = Client::connect(self.target.address(), &self.key).await?;
            for id in &self.ids {
                client
                    .ask("PATCH", &format!("/v1/webhooks/{id}"), &change)
                    .await?;
            }
            Ok(())
        })
    }

    /// Whether deliveries wait for each of them: else nothing was beside the authorizations.
    pub(super) fn check_that_something_waits(&self) -> Result<(), Error> {
        one_thread(async {
            let mut client = Client::connect(self.target.address(), &self.key).await?;
            for id in &self.ids {
                let path = format!("/v1/webhooks/{id}/deliveries?limit=1");
                let shown = client.ask("GET", &path, "").await?;
                let shown: Value = serde_json::from_slice(shown)
                    .map_err(|fault| Error::Server(format!("{path}: {fault}")))?;
                let rows = shown.get("data").and_then(Value::as_array);
                if rows.is_none_or(Vec::is_empty) {
                    let message = format!("the webhook {id} was told of nothing");
                    return Err(Error::Server(message));
                }
            }
            Ok(())
        })
    }
}
