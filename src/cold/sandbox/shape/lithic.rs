//! Lithic: the question of Auth Stream Access, and `card_transaction.updated` with the whole
//! transaction.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ACQUIRER_ID, Said, acceptor_id};
use crate::cold::sandbox::life::{Entry, EntryKind, Life, Status, Verdict};
use crate::domain::time::Timestamp;

pub(super) fn question(life: &Life) -> Value {
    let newest = life.entries.last();
    let kind = newest.map_or(EntryKind::Authorization, |entry| entry.kind);
    let minor = newest.map_or(0, |entry| entry.amount);
    let at = newest.map_or(life.created_us, |entry| entry.at_us);
    let currency = &life.currency;
    let cash = if kind == EntryKind::Cash { minor } else { 0 };
    json!({
        "event_type": "card_authorization.approval_request",
        "token": life.id,
        "status": status_of(kind),
        "created": rfc3339(at),
        "transaction_initiator": "CARDHOLDER",
        "network": "VISA",
        "network_risk_score": 100,
        "amount": minor,
        "authorization_amount": minor,
        "merchant_amount": minor,
        "settled_amount": 0,
        "acquirer_fee": 0,
        "cash_amount": cash,
        "merchant_currency": currency,
        "cardholder_currency": currency,
        "amounts": {
            "cardholder": { "amount": minor, "currency": currency, "conversion_rate": "1.000000" },
            "merchant": { "amount": minor, "currency": currency },
            "hold": null,
            "settlement": null,
        },
        "avs": { "address": null, "zipcode": null, "address_on_file_match": "NOT_PRESENT" },
        "name_validation": null,
        "service_location": null,
        "card": card(&life.card_token),
        "merchant": merchant(life),
        "pos": point_of_sale(kind),
        "token_info": null,
    })
}

fn status_of(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Financial | EntryKind::Cash => "FINANCIAL_AUTHORIZATION",
        EntryKind::Inquiry => "BALANCE_INQUIRY",
        EntryKind::Authorization
        | EntryKind::Increment
        | EntryKind::Advice
        | EntryKind::Reversal
        | EntryKind::Expiry
        | EntryKind::Clearing
        | EntryKind::LastClearing
        | EntryKind::Refund => "AUTHORIZATION",
    }
}

fn card(token: &str) -> Value {
    json!({
        "token": token,
        "last_four": "4242",
        "memo": "sandbox",
        "spend_limit": 0,
        "spend_limit_duration": "TRANSACTION",
        "state": "OPEN",
        "type": "VIRTUAL",
        "tags": {},
    })
}

fn merchant(life: &Life) -> Value {
    json!({
        "acceptor_id": acceptor_id(&life.merchant),
        "acquiring_institution_id": ACQUIRER_ID,
        "descriptor": life.merchant,
        "mcc": life.mcc,
        "city": "ONLINE",
        "state": "",
        "country": life.country,
        "postal_code": null,
        "street_address": null,
        "phone_number": null,
    })
}

/// A purchase in a web shop, as agents make them; cash comes out of a machine.
fn point_of_sale(kind: EntryKind) -> Value {
    let at_machine = matches!(kind, EntryKind::Cash | EntryKind::Inquiry);
    let pick = |machine: &'static str, shop: &'static str| if at_machine { machine } else { shop };
    json!({
        "entry_mode": {
            "card": pick("PRESENT", "NOT_PRESENT"),
            "cardholder": pick("PRESENT", "ELECTRONIC_ORDER"),
            "pan": pick("ICC", "CREDENTIAL_ON_FILE"),
            "pin_entered": at_machine,
        },
        "terminal": {
            "attended": false,
            "card_retention_capable": false,
            "on_premise": at_machine,
            "operator": "CARDHOLDER",
            "partial_approval_capable": false,
            "pin_capability": pick("CAPABLE", "NOT_CAPABLE"),
            "type": pick("ATM", "ECOMMERCE"),
            "acceptor_terminal_id": null,
        },
    })
}

pub(super) fn transaction_updated(life: &Life) -> Value {
    let mut body = transaction(life);
    if let Some(members) = body.as_object_mut() {
        members.insert("event_type".to_owned(), json!("card_transaction.updated"));
    }
    body
}

/// Amounts of the transaction are below zero where money leaves the card.
pub(super) fn transaction(life: &Life) -> Value {
    let books = life.books();
    let currency = &life.currency;
    let net = books.refunded.saturating_sub(books.posted);
    let hold = books.held.saturating_neg();
    let total = net.saturating_add(hold);
    let updated = life
        .entries
        .last()
        .map_or(life.created_us, |entry| entry.at_us);
    json!({
        "token": life.id,
        "account_token": "5a4db0c5-0000-4000-8000-0000000000aa",
        "card_token": life.card_token,
        "financial_account_token": null,
        "status": status(life),
        "result": if life.status() == Status::Declined { result(life.entries.last()) } else { "APPROVED" },
        "network": "VISA",
        "network_risk_score": 100,
        "created": rfc3339(life.created_us),
        "updated": rfc3339(updated),
        "authorization_code": "071234",
        "acquirer_fee": 0,
        "acquirer_reference_number": null,
        "merchant_currency": currency,
        "amounts": {
            "cardholder": { "amount": total, "currency": currency, "conversion_rate": "1.000000" },
            "hold": { "amount": hold, "currency": currency },
            "merchant": { "amount": total, "currency": currency },
            "settlement": { "amount": net, "currency": currency },
        },
        "avs": null,
        "cardholder_authentication": null,
        "token_info": null,
        "service_location": null,
        "tags": {},
        "merchant": merchant(life),
        "pos": null,
        "events": life.entries.iter().map(|entry| event(life, entry)).collect::<Vec<_>>(),
    })
}

fn status(life: &Life) -> &'static str {
    match life.status() {
        Status::Pending => "PENDING",
        Status::Settled | Status::Closed => "SETTLED",
        Status::Reversed => "VOIDED",
        Status::Expired => "EXPIRED",
        Status::Declined => "DECLINED",
    }
}

fn event(life: &Life, entry: &Entry) -> Value {
    let is_credit = matches!(
        entry.kind,
        EntryKind::Refund | EntryKind::Reversal | EntryKind::Expiry
    );
    let money = json!({ "amount": entry.amount, "currency": life.currency });
    let moves = matches!(
        entry.kind,
        EntryKind::Clearing | EntryKind::LastClearing | EntryKind::Refund
    );
    let settlement = if moves { money.clone() } else { Value::Null };
    json!({
        "token": entry.id,
        "type": event_type(entry.kind),
        "result": result(Some(entry)),
        "detailed_results": [detailed_result(entry.verdict)],
        "rule_results": [],
        "effective_polarity": if is_credit { "CREDIT" } else { "DEBIT" },
        "amounts": {
            "cardholder": {
                "amount": entry.amount, "currency": life.currency, "conversion_rate": "1.000000",
            },
            "merchant": money,
            "settlement": settlement,
        },
        "account_type": null,
        "created": rfc3339(entry.at_us),
        "network_info": {
            "acquirer": { "acquirer_reference_number": null, "retrieval_reference_number": "647468" },
            "visa": null,
            "mastercard": null,
            "amex": null,
        },
    })
}

fn event_type(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Authorization | EntryKind::Increment => "AUTHORIZATION",
        EntryKind::Financial | EntryKind::Cash => "FINANCIAL_AUTHORIZATION",
        EntryKind::Inquiry => "BALANCE_INQUIRY",
        EntryKind::Advice => "AUTHORIZATION_ADVICE",
        EntryKind::Reversal => "AUTHORIZATION_REVERSAL",
        EntryKind::Expiry => "AUTHORIZATION_EXPIRY",
        EntryKind::Clearing | EntryKind::LastClearing => "CLEARING",
        EntryKind::Refund => "RETURN",
    }
}

fn result(entry: Option<&Entry>) -> &'static str {
    match entry.map(|entry| entry.verdict) {
        None | Some(Verdict::Approved | Verdict::StoodIn) => "APPROVED",
        Some(Verdict::Declined) => "USER_TRANSACTION_LIMIT",
        Some(Verdict::DeclinedThere) => "ACCOUNT_PAUSED",
        Some(Verdict::TimedOut) => "UNKNOWN_HOST_TIMEOUT",
    }
}

fn detailed_result(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approved | Verdict::StoodIn => "APPROVED",
        Verdict::Declined => "CARD_SPEND_LIMIT_EXCEEDED",
        Verdict::DeclinedThere => "ACCOUNT_PAUSED",
        Verdict::TimedOut => "CUSTOMER_ASA_TIMEOUT",
    }
}

#[derive(Deserialize)]
struct Reply {
    result: String,
    approved_amount: Option<i64>,
}

pub(super) fn read_answer(status: u16, body: &[u8]) -> Option<Said> {
    if status != 200 {
        return None;
    }
    let reply: Reply = serde_json::from_slice(body).ok()?;
    Some(if reply.result == "APPROVED" {
        Said::Approved(reply.approved_amount)
    } else {
        Said::Declined(reply.result)
    })
}

fn rfc3339(us: i64) -> String {
    Timestamp::from_micros(us).rfc3339().to_string()
}
