//! Rows of the tables as values. A word or number that this version does not know is a fault, never a
//! default: an unknown status must not become an active card.

use super::alert_settings;
use super::sql::Columns;
use super::versions::versions;
use super::{
    Agent, ApiKey, Attestation, Card, CardLimit, Customer, Fleet, Intent, Mode, ReplyKey, Scope,
    StoreError, StoredReply,
};
use crate::cold::audit::Entry;
use crate::cold::audit::line::Checkpoint;
use crate::decide::policy::{Cascade, LimitField};
use crate::domain::amount::{Amount, Minor};
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Usage};
use crate::domain::currency::Currency;
use crate::domain::time::Timestamp;

pub(super) const MODES: [(&str, Mode); 2] = [("test", Mode::Test), ("live", Mode::Live)];
pub(super) const CASCADES: [Cascade; 2] = [Cascade::Tighten, Cascade::Override];
const CUSTOMER_STATUSES: [CustomerStatus; 2] = [CustomerStatus::Active, CustomerStatus::Suspended];
const AGENT_STATUSES: [AgentStatus; 3] = [
    AgentStatus::Active,
    AgentStatus::Paused,
    AgentStatus::Disabled,
];
const CARD_STATUSES: [CardStatus; 3] =
    [CardStatus::Active, CardStatus::Locked, CardStatus::Canceled];

pub(super) fn cascade_name(cascade: Cascade) -> &'static str {
    match cascade {
        Cascade::Tighten => "tighten",
        Cascade::Override => "override",
    }
}

pub(super) fn usage_name(usage: Usage) -> &'static str {
    match usage {
        Usage::Multi => "multi",
        Usage::Single => "single",
    }
}

pub(super) fn maybe_text(row: &dyn Columns, column: &str) -> Result<Option<String>, StoreError> {
    row.text(column)
}

pub(super) fn maybe_number(row: &dyn Columns, column: &str) -> Result<Option<i64>, StoreError> {
    row.number(column)
}

pub(super) fn text(row: &dyn Columns, column: &str) -> Result<String, StoreError> {
    row.text(column)?.ok_or_else(|| unknown(column))
}

pub(super) fn number(row: &dyn Columns, column: &str) -> Result<i64, StoreError> {
    row.number(column)?.ok_or_else(|| unknown(column))
}

pub(super) fn unknown(column: &str) -> StoreError {
    StoreError::Fault(format!(
        "column `{column}` holds what this version does not know"
    ))
}

pub(super) fn instant(row: &dyn Columns, column: &str) -> Result<Timestamp, StoreError> {
    number(row, column).map(Timestamp::from_micros)
}

pub(super) fn mode(row: &dyn Columns) -> Result<Mode, StoreError> {
    word(row, "mode", MODES)
}

pub(super) fn flag(row: &dyn Columns, column: &str) -> Result<bool, StoreError> {
    Ok(number(row, column)? != 0)
}

/// The value whose word stands in the column.
pub(super) fn word<T: Copy>(
    row: &dyn Columns,
    column: &str,
    known: impl IntoIterator<Item = (&'static str, T)>,
) -> Result<T, StoreError> {
    let text = text(row, column)?;
    let mut known = known.into_iter();
    let found = known.find(|(word, _)| *word == text);
    found.map(|(_, value)| value).ok_or_else(|| unknown(column))
}

pub(super) fn currency(row: &dyn Columns, column: &str) -> Result<Currency, StoreError> {
    Currency::parse(&text(row, column)?).map_err(|_unknown| unknown(column))
}

fn hash(row: &dyn Columns, column: &str) -> Result<[u8; 32], StoreError> {
    let bytes = row.bytes(column)?;
    bytes.try_into().map_err(|_size| unknown(column))
}

pub(super) fn customer(row: &dyn Columns) -> Result<Customer, StoreError> {
    Ok(Customer {
        id: text(row, "id")?,
        mode: word(row, "mode", MODES)?,
        external_id: maybe_text(row, "external_id")?,
        name: maybe_text(row, "name")?,
        status: word(row, "status", CUSTOMER_STATUSES.map(|it| (it.name(), it)))?,
        timezone: text(row, "timezone")?,
        currency: currency(row, "currency")?,
        cascade: word(
            row,
            "cascade_kind",
            CASCADES.map(|it| (cascade_name(it), it)),
        )?,
        fleet: Fleet {
            agents_max: maybe_number(row, "agents_max")?,
            cards_per_agent_max: maybe_number(row, "cards_per_agent_max")?,
            held_max: maybe_number(row, "held_max")?
                .map(Minor::new)
                .transpose()
                .map_err(|_out_of_range| unknown("held_max"))?,
            agent_may_create_cards: number(row, "agent_may_create_cards")? != 0,
        },
        alerts: alert_settings::of_row(row)?,
        policy: maybe_text(row, "policy")?,
        versions: versions(row)?,
        created_at: instant(row, "created_us")?,
        revision: number(row, "revision")?,
    })
}

/// The number that a statement counts.
pub(super) fn count(row: &dyn Columns) -> Result<i64, StoreError> {
    number(row, "number")
}

pub(super) fn agent(row: &dyn Columns) -> Result<Agent, StoreError> {
    Ok(Agent {
        id: text(row, "id")?,
        mode: word(row, "mode", MODES)?,
        customer_id: text(row, "customer_id")?,
        external_id: maybe_text(row, "external_id")?,
        name: maybe_text(row, "name")?,
        status: word(row, "status", AGENT_STATUSES.map(|it| (it.name(), it)))?,
        policy: maybe_text(row, "policy")?,
        versions: versions(row)?,
        created_at: instant(row, "created_us")?,
        revision: number(row, "revision")?,
    })
}

pub(super) fn card(row: &dyn Columns) -> Result<Card, StoreError> {
    let usages = [Usage::Multi, Usage::Single];
    let small = |column| -> Result<Option<u16>, StoreError> {
        let number = maybe_number(row, column)?.map(u16::try_from).transpose();
        number.map_err(|_too_large| unknown(column))
    };
    let month = small("exp_month")?.map(u8::try_from).transpose();
    Ok(Card {
        id: text(row, "id")?,
        mode: word(row, "mode", MODES)?,
        customer_id: text(row, "customer_id")?,
        agent_id: maybe_text(row, "agent_id")?,
        connection: text(row, "connection")?,
        issuer_token: text(row, "issuer_token")?,
        is_physical: number(row, "is_physical")? != 0,
        usage: word(row, "usage", usages.map(|it| (usage_name(it), it)))?,
        status: word(row, "status", CARD_STATUSES.map(|it| (it.name(), it)))?,
        is_frozen: number(row, "is_frozen")? != 0,
        last4: maybe_text(row, "last4")?,
        exp_month: month.map_err(|_too_large| unknown("exp_month"))?,
        exp_year: small("exp_year")?,
        limit: limit(row)?,
        label: maybe_text(row, "label")?,
        policy: maybe_text(row, "policy")?,
        versions: versions(row)?,
        created_at: instant(row, "created_us")?,
        revision: number(row, "revision")?,
    })
}

pub(super) fn limit(row: &dyn Columns) -> Result<Option<CardLimit>, StoreError> {
    let Some(amount) = maybe_number(row, "limit_amount")? else {
        return Ok(None);
    };
    let minor = Minor::new(amount).map_err(|_out_of_range| unknown("limit_amount"))?;
    let amount = Amount {
        minor,
        currency: currency(row, "limit_currency")?,
    };
    let interval = word(
        row,
        "limit_interval",
        LimitField::ALL.map(|it| (it.name(), it)),
    )?;
    Ok(Some(CardLimit { amount, interval }))
}

pub(super) fn api_key(row: &dyn Columns) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: text(row, "id")?,
        mode: word(row, "mode", MODES)?,
        scope: word(row, "scope", Scope::ALL.map(|it| (it.name(), it)))?,
        customer_id: maybe_text(row, "customer_id")?,
        agent_id: maybe_text(row, "agent_id")?,
        name: maybe_text(row, "name")?,
        created_at: instant(row, "created_us")?,
        revoked_at: maybe_number(row, "revoked_us")?.map(Timestamp::from_micros),
        revision: number(row, "revision")?,
    })
}

pub(super) fn entry(row: &dyn Columns) -> Result<Entry, StoreError> {
    Ok(Entry {
        seq: number(row, "seq")?,
        mode: maybe_text(row, "mode")?,
        text: text(row, "entry")?,
        hash: hash(row, "hash")?,
    })
}

pub(super) fn checkpoint(row: &dyn Columns) -> Result<Checkpoint, StoreError> {
    let signature = row.bytes("signature")?.try_into();
    Ok(Checkpoint {
        seq: number(row, "seq")?,
        text: text(row, "checkpoint")?,
        signature: signature.map_err(|_size| unknown("signature"))?,
    })
}

/// The one number that was asked for.
pub(super) fn seq(row: &dyn Columns) -> Result<i64, StoreError> {
    number(row, "seq")
}

pub(super) fn intent(row: &dyn Columns) -> Result<Intent, StoreError> {
    Ok(Intent {
        id: text(row, "id")?,
        mode: word(row, "mode", MODES)?,
        card_id: text(row, "card_id")?,
        called: text(row, "called")?,
        purpose: text(row, "purpose")?,
        expects: text(row, "expects")?,
        metadata: maybe_text(row, "metadata")?,
        awaits_approval: number(row, "awaits_approval")? != 0,
        expires_at: instant(row, "expires_us")?,
        decided_by: maybe_text(row, "decided_by")?,
        decided_at: maybe_number(row, "decided_us")?.map(Timestamp::from_micros),
        note: maybe_text(row, "note")?,
        created_at: instant(row, "created_us")?,
        revision: number(row, "revision")?,
    })
}

pub(super) fn attestation(row: &dyn Columns) -> Result<Attestation, StoreError> {
    Ok(Attestation {
        id: text(row, "id")?,
        mode: word(row, "mode", MODES)?,
        card_id: text(row, "card_id")?,
        statement: text(row, "statement")?,
        intent: maybe_text(row, "intent")?,
        attested_by: text(row, "attested_by")?,
        created_at: instant(row, "created_us")?,
    })
}

pub(super) fn reply(row: &dyn Columns) -> Result<StoredReply, StoreError> {
    let status = u16::try_from(number(row, "status")?);
    Ok(StoredReply {
        key: ReplyKey {
            api_key_id: text(row, "api_key_id")?,
            idempotency_key: text(row, "idempotency_key")?,
        },
        fingerprint: hash(row, "fingerprint")?,
        status: status.map_err(|_too_large| unknown("status"))?,
        body: row.bytes("body")?,
        is_problem: number(row, "is_problem")? != 0,
        at: instant(row, "at_us")?,
    })
}
