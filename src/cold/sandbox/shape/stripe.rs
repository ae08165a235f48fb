//! Stripe Issuing: `issuing_authorization.request` and the ordinary events, authorizations as they
//! stand and single transactions.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ACQUIRER_ID, Said, acceptor_id};
use crate::cold::sandbox::life::{Entry, EntryKind, Life, Status, Verdict};
use crate::domain::acceptor::Country;

const API_VERSION: &str = "2026-10-28.endive";

pub(super) fn question(life: &Life) -> Value {
    let asked = life.entries.last();
    let amount = asked.map_or(0, |entry| entry.amount);
    let before = life.as_of(life.entries.len().saturating_sub(1));
    let details = amount_details(asked.map(|entry| entry.kind));
    let mut object = authorization(&before);
    if let Some(members) = object.as_object_mut() {
        members.insert(
            "pending_request".to_owned(),
            json!({
                "amount": amount,
                "amount_details": details,
                "currency": currency(life),
                "is_amount_controllable": false,
                "merchant_amount": amount,
                "merchant_currency": currency(life),
                "network_risk_score": 10,
            }),
        );
        // The first question knows the card whole, later events by its id.
        members.insert("card".to_owned(), card(life));
        members.insert("status".to_owned(), json!("pending"));
    }
    let id = asked.map_or(life.id.as_str(), |entry| entry.id.as_str());
    envelope(life, id, "issuing_authorization.request", &object)
}

/// At a machine a fee is asked, which tells cash from a purchase.
fn amount_details(kind: Option<EntryKind>) -> Value {
    let fee = if kind == Some(EntryKind::Cash) {
        300
    } else {
        0
    };
    json!({ "atm_fee": if fee > 0 { json!(fee) } else { Value::Null }, "cashback_amount": 0 })
}

/// Captures and refunds are reported by themselves, and show on the authorization as well.
pub(super) fn events(life: &Life) -> Vec<Value> {
    let Some(newest) = life.entries.last() else {
        return Vec::new();
    };
    let is_first = life.entries.len() == 1;
    let transaction = transaction(life, newest).map(|transaction| {
        let id = format!("evt_{}t", newest.id);
        envelope(life, &id, "issuing_transaction.created", &transaction)
    });
    let standing = is_linked(life).then(|| {
        let kind = if is_first {
            "issuing_authorization.created"
        } else {
            "issuing_authorization.updated"
        };
        let id = format!("evt_{}a", newest.id);
        envelope(life, &id, kind, &authorization(life))
    });
    let mut events: Vec<_> = transaction.into_iter().chain(standing).collect();
    if is_first {
        events.reverse();
    }
    events
}

/// A force capture and a refund that Stripe cannot link have no authorization.
fn is_linked(life: &Life) -> bool {
    life.entries.iter().any(|entry| {
        entry.kind.is_step() || matches!(entry.kind, EntryKind::Advice | EntryKind::Reversal)
    })
}

fn envelope(life: &Life, id: &str, kind: &str, object: &Value) -> Value {
    json!({
        "id": if id.starts_with("evt_") { id.to_owned() } else { format!("evt_{id}") },
        "object": "event",
        "api_version": API_VERSION,
        "created": life.created_us / 1_000_000,
        "data": { "object": object },
        "livemode": false,
        "pending_webhooks": 1,
        "request": { "id": null, "idempotency_key": null },
        "type": kind,
    })
}

fn authorization(life: &Life) -> Value {
    let transactions: Vec<_> = life
        .entries
        .iter()
        .filter_map(|entry| transaction(life, entry))
        .collect();
    let history: Vec<_> = life.steps().map(|step| request(life, step)).collect();
    let books = life.books();
    json!({
        "id": life.id,
        "object": "issuing.authorization",
        // Expired, it is what could be captured still.
        "amount": if life.status() == Status::Expired { lapsed(life) } else { books.held },
        "amount_details": { "atm_fee": null, "cashback_amount": 0 },
        "approved": life.is_approved(),
        "authorization_method": "online",
        "balance_transactions": [],
        "card": life.card_token,
        "card_presence": "not_present",
        "cardholder": "ich_sandbox",
        "created": life.created_us / 1_000_000,
        "currency": currency(life),
        "fleet": null,
        "fraud_challenges": null,
        "fuel": null,
        "livemode": false,
        "merchant_amount": books.held,
        "merchant_currency": currency(life),
        "merchant_data": merchant(life),
        "metadata": {},
        "network_data": {
            "acquiring_institution_id": ACQUIRER_ID,
            "system_trace_audit_number": "044101",
            "transaction_id": "576324567890123",
        },
        "pending_request": null,
        "request_history": history,
        "status": status(life),
        "token": null,
        "transactions": transactions,
        "treasury": null,
        "verification_data": {
            "address_line1_check": "not_provided",
            "address_postal_code_check": "not_provided",
            "authentication_exemption": null,
            "cvc_check": "match",
            "expiry_check": "match",
            "postal_code": null,
            "three_d_secure": null,
        },
        "verified_by_fraud_challenge": null,
        "wallet": null,
    })
}

fn lapsed(life: &Life) -> i64 {
    let expiry = |entry: &&Entry| entry.kind == EntryKind::Expiry;
    life.entries
        .iter()
        .rfind(expiry)
        .map_or(0, |entry| entry.amount)
}

fn status(life: &Life) -> &'static str {
    let books = life.books();
    match life.status() {
        Status::Pending => "pending",
        Status::Settled if books.held > 0 => "pending",
        Status::Settled | Status::Closed | Status::Declined => "closed",
        Status::Reversed => "reversed",
        Status::Expired => "expired",
    }
}

fn request(life: &Life, step: &Entry) -> Value {
    json!({
        "amount": step.amount,
        "amount_details": { "atm_fee": null, "cashback_amount": 0 },
        "approved": step.verdict.counts(),
        "authorization_code": "S90563",
        "created": step.at_us / 1_000_000,
        "currency": currency(life),
        "merchant_amount": step.amount,
        "merchant_currency": currency(life),
        "network_risk_score": 10,
        "reason": reason(step.verdict),
        "reason_message": null,
        "requested_at": step.at_us / 1_000_000,
    })
}

fn reason(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approved => "webhook_approved",
        Verdict::Declined => "webhook_declined",
        Verdict::DeclinedThere => "insufficient_funds",
        Verdict::TimedOut => "webhook_timeout",
        Verdict::StoodIn => "network_fallback",
    }
}

/// Captures are below zero, refunds above. A single message is captured as soon as it is approved.
fn transaction(life: &Life, entry: &Entry) -> Option<Value> {
    let (kind, amount) = match entry.kind {
        EntryKind::Clearing | EntryKind::LastClearing => ("capture", entry.amount.saturating_neg()),
        EntryKind::Cash | EntryKind::Financial if entry.verdict.counts() => {
            ("capture", entry.amount.saturating_neg())
        }
        EntryKind::Refund => ("refund", entry.amount),
        EntryKind::Cash
        | EntryKind::Financial
        | EntryKind::Authorization
        | EntryKind::Increment
        | EntryKind::Inquiry
        | EntryKind::Advice
        | EntryKind::Reversal
        | EntryKind::Expiry => return None,
    };
    let authorization = is_linked(life).then_some(&life.id);
    Some(json!({
        "id": format!("ipi_{}", entry.id),
        "object": "issuing.transaction",
        "amount": amount,
        "amount_details": { "atm_fee": null, "cashback_amount": 0 },
        "authorization": authorization,
        "balance_transaction": "txn_sandbox",
        "card": life.card_token,
        "cardholder": "ich_sandbox",
        "created": entry.at_us / 1_000_000,
        "currency": currency(life),
        "dispute": null,
        "livemode": false,
        "merchant_amount": amount,
        "merchant_currency": currency(life),
        "merchant_data": merchant(life),
        "metadata": {},
        "network_data": null,
        "token": null,
        "type": kind,
        "wallet": null,
    }))
}

fn merchant(life: &Life) -> Value {
    json!({
        "category": "miscellaneous",
        "category_code": life.mcc,
        "city": "ONLINE",
        "country": alpha2(&life.country),
        "name": life.merchant,
        "network_id": acceptor_id(&life.merchant),
        "postal_code": null,
        "state": null,
        "tax_id": null,
        "terminal_id": "99999999",
        "url": null,
    })
}

fn card(life: &Life) -> Value {
    json!({
        "id": life.card_token,
        "object": "issuing.card",
        "brand": "Visa",
        "cardholder": { "id": "ich_sandbox", "object": "issuing.cardholder", "status": "active" },
        "currency": currency(life),
        "exp_month": 11,
        "exp_year": 2031,
        "last4": "4242",
        "livemode": false,
        "metadata": {},
        "status": "active",
        "type": "virtual",
    })
}

fn alpha2(alpha3: &str) -> Option<String> {
    Country::parse_alpha3(alpha3).map(|country| country.letters().iter().collect())
}

fn currency(life: &Life) -> String {
    life.currency.to_ascii_lowercase()
}

#[derive(Deserialize)]
struct Reply {
    approved: bool,
    amount: Option<i64>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    countersign_reason: Option<String>,
}

pub(super) fn read_answer(status: u16, body: &[u8]) -> Option<Said> {
    if status != 200 {
        return None;
    }
    let reply: Reply = serde_json::from_slice(body).ok()?;
    Some(if reply.approved {
        Said::Approved(reply.amount)
    } else {
        let reason = reply.metadata.countersign_reason;
        Said::Declined(reason.unwrap_or_else(|| "declined".to_owned()))
    })
}

/// The list of authorizations has their transactions in them; what belongs to none has a list of its
/// own, whose elements stand here beside them.
pub(super) fn listed(life: &Life) -> Vec<Value> {
    if is_linked(life) {
        return vec![authorization(life)];
    }
    let alone = life.entries.iter();
    alone.filter_map(|entry| transaction(life, entry)).collect()
}
