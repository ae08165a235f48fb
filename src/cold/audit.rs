//! The audit log (behaviour 8.1): who changed what, when, from where, and how it ended; also what was
//! tried and refused.
//!
//! Each entry's hash covers the one before it, so that nothing can be altered, taken out, put in or
//! moved without every later hash being wrong. Whoever can write the table can compute hashes too, so
//! checkpoints over the chain are signed, with a key that is not in the database, and kept in a file
//! beside it as well: a log that was written anew, or cut, does not agree with them. What was written
//! after the last checkpoint can be cut without a trace; that is at most a minute's.
//!
//! An entry names objects and digests of documents. It has no secret, no card number and no text that
//! a caller chose.

pub mod export;
pub mod line;
pub mod noted;
pub mod signer;
pub mod verify;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::cold::store::access::AccessRequest;
use crate::cold::store::grants::Grant;
use crate::cold::store::outward::SealedRow;
use crate::cold::store::people::PeopleChange;
use crate::cold::store::purchases::Purchase;
use crate::cold::store::versions::PolicyVersion;
use crate::cold::store::webhook::WebhookChange;
use crate::cold::store::{Card, Change, Mode, Scope};
use crate::domain::time::Timestamp;

/// What the first entry follows.
pub const BEFORE_ALL: [u8; 32] = [0; 32];
/// Says what is hashed, so that no hash of something else can stand for an entry.
const ENTRY: &[u8] = b"countersign audit entry 1\n";

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A command, on the machine itself.
    CommandLine,
    /// An API key.
    Key {
        /// Which.
        id: String,
        /// What it may do.
        scope: &'static str,
    },
    /// Somebody without a key that is in force.
    Nobody,
    /// Whoever reaches the operators' listener.
    Operator,
    /// The server itself: what follows from the passing of time, or from an earlier request.
    Server,
    /// The issuer of this connection: what has become of its cards there.
    Issuer(String),
    /// A rule that watches for risk.
    RiskRule,
}

impl Who {
    /// A key.
    #[must_use]
    pub fn key(id: &str, scope: Scope) -> Self {
        Self::Key {
            id: id.to_owned(),
            scope: scope.name(),
        }
    }

    fn text(&self) -> WhoText<'_> {
        let (id, kind, scope) = match self {
            Self::CommandLine => (None, "commandLine", None),
            Self::Key { id, scope } => (Some(&**id), kind_of_key(id), Some(*scope)),
            Self::Nobody => (None, "nobody", None),
            Self::Operator => (None, "operator", None),
            Self::Server => (None, "server", None),
            Self::Issuer(connection) => (Some(&**connection), "issuer", None),
            Self::RiskRule => (None, "riskRule", None),
        };
        WhoText { id, kind, scope }
    }
}

/// What opened the door: an id says by its prefix what it names.
fn kind_of_key(id: &str) -> &'static str {
    match id.split_once('_') {
        Some(("usr", _)) => "user",
        Some(("grt", _)) => "grant",
        // Whoever had the link to the card of this purchase request, or one out of a chat's notice.
        Some(("preq" | "wh", _)) => "link",
        Some(_) | None => "key",
    }
}

/// One object that was made or changed, as it is from then on. Absent values are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    card_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frozen: Option<bool>,
    id: String,
    kind: &'static str,
    /// Amount, currency and interval of the limit beside the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<String>,
    /// The policy's document itself may hold anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// Of a version of rules: its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    what: &'static str,
}

/// What happened, before it has its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was asked for.
    pub at: Timestamp,
    /// Whose objects it concerns; absent where that is not known.
    pub mode: Option<Mode>,
    /// Who.
    pub who: Who,
    /// Method and path, or the command.
    pub action: String,
    /// What is changed by it.
    pub changes: Vec<Made>,
    /// The caller's address; absent for commands.
    pub from: Option<String>,
    /// Stands on the answer too.
    pub request_id: Option<String>,
    /// The answer's status, or why it was refused.
    pub outcome: String,
}

impl Event {
    /// Something that a command has done on the machine itself.
    #[must_use]
    pub fn of_command(at: Timestamp, action: &str, changes: Vec<Made>, outcome: &str) -> Self {
        Self {
            at,
            mode: None,
            who: Who::CommandLine,
            action: action.to_owned(),
            changes,
            from: None,
            request_id: None,
            outcome: outcome.to_owned(),
        }
    }
}

/// An entry with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// From 1 on, without a gap.
    pub seq: i64,
    /// As [`Event::mode`].
    pub mode: Option<String>,
    /// JSON in canonical form (RFC 8785).
    pub text: String,
    /// Over the one before and the text.
    pub hash: [u8; 32],
}

impl Entry {
    /// Whether the columns beside the text say what it says.
    #[must_use]
    pub fn agrees(&self) -> bool {
        serde_json::from_str::<Columns>(&self.text)
            .is_ok_and(|text| text.seq == self.seq && text.mode == self.mode)
    }
}

#[derive(Deserialize)]
struct Columns {
    seq: i64,
    mode: Option<String>,
}

/// In the order of names, which makes the form canonical: all values are texts and small integers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryText<'a> {
    action: &'a str,
    at: String,
    changes: &'a [Made],
    from: Option<&'a str>,
    mode: Option<&'static str>,
    outcome: &'a str,
    request_id: Option<&'a str>,
    seq: i64,
    who: WhoText<'a>,
}

#[derive(Serialize)]
struct WhoText<'a> {
    id: Option<&'a str>,
    kind: &'static str,
    scope: Option<&'static str>,
}

/// The entry of this number that follows the one with this hash.
#[must_use]
pub fn entry(event: &Event, seq: i64, before: &[u8; 32]) -> Entry {
    let mode = event.mode.map(Mode::name);
    let text = EntryText {
        action: &event.action,
        at: event.at.rfc3339().to_string(),
        changes: &event.changes,
        from: event.from.as_deref(),
        mode,
        outcome: &event.outcome,
        request_id: event.request_id.as_deref(),
        seq,
        who: event.who.text(),
    };
    // A struct of texts and integers always has a JSON form.
    let text = serde_json::to_string(&text).unwrap_or_default();
    let hash = hash(before, &text);
    let mode = mode.map(str::to_owned);
    Entry {
        seq,
        mode,
        text,
        hash,
    }
}

/// The hash of an entry behind another one.
#[must_use]
pub fn hash(before: &[u8; 32], text: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(ENTRY);
    hasher.update(before);
    hasher.update(text.as_bytes());
    hasher.finalize().into()
}

/// What a batch makes and changes.
#[must_use]
pub fn made(batch: &[Change]) -> Vec<Made> {
    batch.iter().filter_map(one).collect()
}

fn one(change: &Change) -> Option<Made> {
    let what = made_or_changed;
    let policy = |text: &Option<String>| text.as_deref().map(digest);
    Some(match change {
        Change::Customer(row) => Made {
            id: row.id.clone(),
            kind: "customer",
            policy_sha256: policy(&row.policy),
            status: Some(row.status.name()),
            what: what(row.revision),
            ..Made::default()
        },
        Change::Agent(row) => Made {
            customer_id: Some(row.customer_id.clone()),
            id: row.id.clone(),
            kind: "agent",
            policy_sha256: policy(&row.policy),
            status: Some(row.status.name()),
            what: what(row.revision),
            ..Made::default()
        },
        Change::Card(row) => card(row),
        Change::ApiKey(row, _) | Change::ApiKeyChanged(row) => Made {
            agent_id: row.agent_id.clone(),
            customer_id: row.customer_id.clone(),
            id: row.id.clone(),
            kind: "apiKey",
            scope: Some(row.scope.name()),
            what: match row.revoked_at {
                Some(_) => "revoked",
                None => what(row.revision),
            },
            ..Made::default()
        },
        Change::Intent(row) => Made {
            card_id: Some(row.card_id.clone()),
            id: row.id.clone(),
            kind: "intent",
            what: what(row.revision),
            ..Made::default()
        },
        Change::Attestation(row) => Made {
            card_id: Some(row.card_id.clone()),
            id: row.id.clone(),
            kind: "attestation",
            what: "made",
            ..Made::default()
        },
        Change::Access(row) => access(row),
        Change::Purchase(row) => purchase(row),
        Change::PolicyVersion(row, _) => policy_version(row),
        Change::Sealed(row) => sealed(row, "set"),
        Change::Webhooks(change) => return webhook(change),
        Change::People(change) => return people(change),
        // What follows from the changes beside them, and what is told elsewhere.
        Change::Reply(_)
        | Change::Outbox(_)
        | Change::OutboxTried(_)
        | Change::OutboxDone(..)
        | Change::Origin(_)
        | Change::SetAside(_)
        | Change::Audit(_)
        | Change::Ledger(..)
        | Change::Checkpoint(_) => return None,
    })
}

/// What was sealed, and what was done with it.
#[must_use]
pub fn sealed(row: &SealedRow, what: &'static str) -> Made {
    Made {
        id: row.connection.clone(),
        kind: match row.connection.starts_with("webhook:") {
            true => "webhookSecret",
            false => "issuerKey",
        },
        what,
        ..Made::default()
    }
}

/// A master key by its name, which stands beside what it wraps, and what was done with it.
#[must_use]
pub fn master_key(id: &str, what: &'static str) -> Made {
    Made {
        id: id.to_owned(),
        kind: "masterKey",
        what,
        ..Made::default()
    }
}

/// A journal by its name, and what it is to the database from then on.
#[must_use]
pub fn ledger(journal: &str, what: &'static str) -> Made {
    Made {
        id: journal.to_owned(),
        kind: "ledger",
        what,
        ..Made::default()
    }
}

fn purchase(row: &Purchase) -> Made {
    Made {
        agent_id: Some(row.agent_id.clone()),
        card_id: row.card_id.clone(),
        customer_id: Some(row.customer_id.clone()),
        id: row.id.clone(),
        kind: "purchaseRequest",
        status: Some(row.state.name()),
        what: made_or_changed(row.revision),
        ..Made::default()
    }
}

fn access(row: &AccessRequest) -> Made {
    Made {
        agent_id: Some(row.agent_id.clone()),
        customer_id: Some(row.customer_id.clone()),
        id: row.id.clone(),
        kind: "accessRequest",
        status: Some(row.state.name()),
        what: made_or_changed(row.revision),
        ..Made::default()
    }
}

fn policy_version(row: &PolicyVersion) -> Made {
    Made {
        id: row.subject_id.clone(),
        kind: "policyVersion",
        policy_sha256: row.ruled.policy.as_deref().map(digest),
        version: Some(row.number),
        what: row.state.name(),
        ..Made::default()
    }
}

/// What its owner does with an endpoint; what becomes of deliveries is told by them.
fn webhook(change: &WebhookChange) -> Option<Made> {
    let made = |id: &str, what| Made {
        id: id.to_owned(),
        kind: "webhook",
        what,
        ..Made::default()
    };
    match change {
        WebhookChange::Webhook(row) => Some(Made {
            customer_id: row.customer_id.clone(),
            status: Some(if row.is_enabled {
                "enabled"
            } else {
                "disabled"
            }),
            ..made(&row.id, made_or_changed(row.revision))
        }),
        WebhookChange::Gone(id) => Some(made(id, "removed")),
        WebhookChange::ToldTo(id, _) => Some(made(id, "tested")),
        WebhookChange::Again(row) => Some(made(&row.webhook_id, "replayed")),
        WebhookChange::Disabled(id, _) => Some(made(id, "disabled")),
        WebhookChange::LinkUsed(_, id, _) => Some(Made {
            kind: "reviewLink",
            ..made(id, "used")
        }),
        WebhookChange::Told(_)
        | WebhookChange::Alert(_)
        | WebhookChange::Tried(_)
        | WebhookChange::Failing(..)
        | WebhookChange::Full(..)
        | WebhookChange::TooOld(_)
        | WebhookChange::Forget(..)
        | WebhookChange::ForgetAlerts(_)
        | WebhookChange::Link(_)
        | WebhookChange::ForgetLinks(_)
        | WebhookChange::ForgetLinksOf(_)
        | WebhookChange::Read(..)
        | WebhookChange::ReadLog(..) => None,
    }
}

/// People, and what they have allowed; sessions are told by what opens and ends them.
fn people(change: &PeopleChange) -> Option<Made> {
    Some(match change {
        PeopleChange::User(row) => Made {
            customer_id: row.customer_id.clone(),
            id: row.id.clone(),
            kind: "user",
            scope: Some(row.scope.name()),
            status: Some(match row.disabled_at {
                Some(_) => "disabled",
                None => "active",
            }),
            what: made_or_changed(row.revision),
            ..Made::default()
        },
        PeopleChange::Grant(row) => grant(row, "made"),
        PeopleChange::Revoked(row, _) => grant(row, "revoked"),
        PeopleChange::Client(row) => Made {
            id: row.id.clone(),
            kind: "oauthClient",
            what: "made",
            ..Made::default()
        },
        PeopleChange::Session(..)
        | PeopleChange::Seen(..)
        | PeopleChange::SignedOut(_)
        | PeopleChange::RoomForClient(_)
        | PeopleChange::ClientUsed(..)
        | PeopleChange::Token(_)
        | PeopleChange::Used(..)
        | PeopleChange::Swept(..) => return None,
    })
}

fn grant(row: &Grant, what: &'static str) -> Made {
    Made {
        agent_id: Some(row.agent_id.clone()),
        customer_id: Some(row.customer_id.clone()),
        id: row.id.clone(),
        kind: "grant",
        what,
        ..Made::default()
    }
}

fn card(row: &Card) -> Made {
    Made {
        agent_id: row.agent_id.clone(),
        customer_id: Some(row.customer_id.clone()),
        frozen: Some(row.is_frozen),
        id: row.id.clone(),
        kind: "card",
        limit: row.limit.map(|limit| {
            let (amount, interval) = (limit.amount, limit.interval.name());
            format!("{} {} {interval}", amount.minor.get(), amount.currency)
        }),
        policy_sha256: row.policy.as_deref().map(digest),
        status: Some(row.status.name()),
        what: made_or_changed(row.revision),
        ..Made::default()
    }
}

fn made_or_changed(revision: i64) -> &'static str {
    if revision == 0 { "made" } else { "changed" }
}

fn digest(text: &str) -> String {
    line::hex(&Sha256::digest(text.as_bytes()))
}
