//! Marqeta: the funding request of the Gateway, and webhooks of single transactions. Amounts are JSON
//! numbers in major units, written digit by digit.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{ACQUIRER_ID, Said, acceptor_id};
use crate::cold::sandbox::life::{Entry, EntryKind, Life, Verdict};
use crate::domain::amount::Amount;
use crate::domain::time::Timestamp;

/// No text that a command takes has control characters in it.
const MARK: char = '\u{1}';
/// How JSON writes the beginning of a text with the mark.
const MARK_WRITTEN: &str = "\"\\u0001";
const USER: &str = "5a4db0c5-0000-4000-8000-0000000000bb";

pub(super) fn question(life: &Life) -> Value {
    let Some(asked) = life.entries.last() else {
        return Value::Null;
    };
    let mut body = transaction(life, asked, true);
    let at_machine = matches!(asked.kind, EntryKind::Cash | EntryKind::Inquiry);
    let more = json!({
        "acquirer": {
            "institution_id_code": ACQUIRER_ID,
            "retrieval_reference_number": "608999460001",
            "system_trace_audit_number": "460001",
        },
        "fraud": { "network": { "transaction_risk_score": 10 } },
        "pos": {
            "pan_entry_mode": if at_machine { "CHIP" } else { "MANUAL" },
            "card_holder_presence": at_machine,
            "card_presence": at_machine,
            "partial_approval_capable": false,
            "pin_present": at_machine,
        },
        "transaction_metadata": { "payment_channel": if at_machine { "ATM" } else { "ECOMMERCE" } },
    });
    merge(&mut body, more);
    body
}

pub(super) fn webhook(life: &Life) -> Value {
    let newest: Vec<_> = life
        .entries
        .last()
        .map(|entry| transaction(life, entry, false))
        .into_iter()
        .collect();
    json!({ "transactions": newest })
}

pub(super) fn listed(life: &Life) -> Vec<Value> {
    let at = |count| life.as_of(count);
    (1..=life.entries.len())
        .map(at)
        .filter_map(|life| {
            let newest = life.entries.last()?;
            Some(transaction(&life, newest, false))
        })
        .collect()
}

/// The transaction of one entry. Its funding has a token of its own; the first one's names the
/// authorization.
fn transaction(life: &Life, entry: &Entry, is_question: bool) -> Value {
    let first = life.entries.first();
    let is_first = first.is_some_and(|first| first.id == entry.id) && first_names(life);
    let method = method(life, entry);
    let funding_token = if is_first {
        life.id.clone()
    } else {
        format!("{}-funding", entry.id)
    };
    let amount = number(life, entry.amount);
    let mut funding = json!({
        "token": funding_token,
        "method": method,
        "user_token": USER,
        "acting_user_token": USER,
        "amount": amount,
    });
    let mut body = json!({
        "type": transaction_type(entry),
        "state": state(entry, is_question),
        "identifier": "1203",
        "token": entry.id,
        "user_token": USER,
        "acting_user_token": USER,
        "card_token": life.card_token,
        "amount": amount,
        "request_amount": amount,
        "currency_code": life.currency,
        "network": "VISA",
        "subnetwork": "VISANET",
        "created_time": rfc3339(entry.at_us),
        "user_transaction_time": rfc3339(entry.at_us),
        "response": response(entry.verdict),
        "card_acceptor": merchant(life),
    });
    if !is_first && first_names(life) {
        merge(
            &mut funding,
            json!({ "original_jit_funding_token": life.id }),
        );
        let preceding = first.map(|first| first.id.clone());
        merge(
            &mut body,
            json!({ "preceding_related_transaction_token": preceding }),
        );
    }
    if matches!(entry.kind, EntryKind::Clearing | EntryKind::LastClearing) {
        let is_final = entry.kind == EntryKind::LastClearing;
        merge(&mut body, json!({ "is_final_clearing": is_final }));
    }
    let gives_back = matches!(
        entry.kind,
        EntryKind::Reversal | EntryKind::Expiry | EntryKind::Refund | EntryKind::Advice
    );
    let order_name = if gives_back {
        "gpa_order_unload"
    } else {
        "gpa_order"
    };
    let order = order(life, entry, is_question, &funding);
    merge(&mut body, json!({ order_name: order }));
    body
}

/// The money that the transaction loads, or gives back.
fn order(life: &Life, entry: &Entry, is_question: bool, funding: &Value) -> Value {
    let amount = number(life, entry.amount);
    json!({
        "token": format!("{}-order", entry.id),
        "amount": amount,
        "currency_code": life.currency,
        "state": state(entry, is_question),
        "transaction_token": entry.id,
        "funding": funded(&amount, entry.verdict, is_question),
        "jit_funding": funding,
    })
}

/// Whether the first entry began the authorization: a force capture and a refund alone begin none.
fn first_names(life: &Life) -> bool {
    life.entries
        .first()
        .is_some_and(|first| first.kind.is_step() || first.kind == EntryKind::Advice)
}

/// How long the gateway took, and whether that was too long.
fn funded(amount: &Value, verdict: Verdict, is_question: bool) -> Value {
    let mut funding = json!({ "amount": amount });
    if !is_question {
        let timed_out = verdict == Verdict::TimedOut;
        let log = json!({
            "duration": if timed_out { 3_001 } else { 12 },
            "timed_out": timed_out,
            "message": if timed_out { "Gateway timed out" } else { "Approved or declined" },
        });
        merge(&mut funding, json!({ "gateway_log": log }));
    }
    funding
}

fn transaction_type(entry: &Entry) -> &'static str {
    match entry.kind {
        EntryKind::Authorization if entry.verdict == Verdict::StoodIn => "authorization.standin",
        EntryKind::Authorization => "authorization",
        EntryKind::Financial => "auth_plus_capture",
        EntryKind::Cash => "authorization.atm.withdrawal",
        EntryKind::Inquiry => "balanceinquiry",
        EntryKind::Increment => "authorization.incremental",
        EntryKind::Advice => "authorization.advice",
        EntryKind::Reversal => "authorization.reversal",
        EntryKind::Expiry => "authorization.reversal.issuerexpiration",
        EntryKind::Clearing | EntryKind::LastClearing => "authorization.clearing",
        EntryKind::Refund => "refund",
    }
}

fn method(life: &Life, entry: &Entry) -> &'static str {
    match entry.kind {
        EntryKind::Authorization if entry.verdict == Verdict::StoodIn => {
            "pgfs.authorization.standin"
        }
        EntryKind::Authorization => "pgfs.authorization",
        EntryKind::Financial => "pgfs.auth_plus_capture",
        EntryKind::Cash => "pgfs.atm.withdrawal",
        EntryKind::Inquiry => "pgfs.balanceinquiry",
        EntryKind::Increment => "pgfs.authorization.incremental",
        EntryKind::Advice | EntryKind::Reversal | EntryKind::Expiry => {
            "pgfs.authorization.reversal"
        }
        EntryKind::Clearing | EntryKind::LastClearing if first_names(life) => {
            "pgfs.authorization.capture"
        }
        EntryKind::Clearing | EntryKind::LastClearing => "pgfs.force_capture",
        EntryKind::Refund => "pgfs.refund",
    }
}

fn state(entry: &Entry, is_question: bool) -> &'static str {
    let completes = matches!(
        entry.kind,
        EntryKind::Cash
            | EntryKind::Financial
            | EntryKind::Clearing
            | EntryKind::LastClearing
            | EntryKind::Refund
            | EntryKind::Inquiry
    );
    match entry.verdict {
        _ if is_question => "PENDING",
        Verdict::Declined | Verdict::DeclinedThere | Verdict::TimedOut => "DECLINED",
        Verdict::Approved | Verdict::StoodIn if completes => "COMPLETION",
        Verdict::Approved | Verdict::StoodIn => "PENDING",
    }
}

fn response(verdict: Verdict) -> Value {
    let (code, memo) = match verdict {
        Verdict::Approved | Verdict::StoodIn => ("0000", "Approved or completed successfully"),
        Verdict::Declined => ("1834", "Gateway declined"),
        Verdict::DeclinedThere => ("1016", "Not sufficient funds"),
        Verdict::TimedOut => ("1911", "Gateway timed out"),
    };
    json!({ "code": code, "memo": memo })
}

fn merchant(life: &Life) -> Value {
    json!({
        "mid": acceptor_id(&life.merchant),
        "mcc": life.mcc,
        "name": life.merchant,
        "city": "ONLINE",
        "state": "",
        "postal_code": "",
        "country": life.country,
    })
}

/// An amount in major units. A text with this mark in front is written as a number, digit by digit:
/// no binary fraction comes near it.
fn number(life: &Life, minor: i64) -> Value {
    Value::String(format!("{MARK}{}", life.major(minor)))
}

/// The JSON of a value of this file, with its amounts as numbers.
pub(super) fn written(value: &Value) -> String {
    let text = value.to_string();
    let mut pieces = text.split(MARK_WRITTEN);
    let mut written = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (amount, rest) = piece.split_once('"').unwrap_or((piece, ""));
        written.push_str(amount);
        written.push_str(rest);
    }
    written
}

fn merge(into: &mut Value, more: Value) {
    if let (Some(members), Value::Object(more)) = (into.as_object_mut(), more) {
        members.extend(more);
    }
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    jit_funding: Funding<'a>,
}

#[derive(Deserialize)]
struct Funding<'a> {
    #[serde(borrow)]
    amount: Option<&'a RawValue>,
    decline_reason: Option<String>,
}

pub(super) fn read_answer(life: &Life, status: u16, body: &[u8]) -> Option<Said> {
    let Reply { jit_funding } = serde_json::from_slice(body).ok()?;
    match (status, jit_funding.decline_reason) {
        (402, reason) => Some(Said::Declined(
            reason.unwrap_or_else(|| "declined".to_owned()),
        )),
        (200, None) => {
            let asked = life.entries.last().map_or(0, |entry| entry.amount);
            let stated = Amount::parse_major(jit_funding.amount?.get(), life.currency()).ok()?;
            let minor = stated.minor.get();
            Some(Said::Approved((minor < asked).then_some(minor)))
        }
        _ => None,
    }
}

fn rfc3339(us: i64) -> String {
    Timestamp::from_micros(us).rfc3339().to_string()
}
