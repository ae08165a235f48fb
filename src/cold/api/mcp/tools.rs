//! What the tools are, as a model reads it.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use crate::decide::purchase::category;

pub(super) const REQUEST: &str = "request_purchase";
pub(super) const STATUS: &str = "check_status";
pub(super) const SPENDING: &str = "get_spending_summary";
pub(super) const DECLINE: &str = "explain_decline";
pub(super) const CARDS: &str = "list_my_cards";

/// All of them.
pub(super) fn all() -> Vec<Tool> {
    vec![request(), status(), spending(), decline(), cards()]
}

fn object(value: Value) -> Arc<JsonObject> {
    match value {
        Value::Object(fields) => Arc::new(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Arc::default()
        }
    }
}

/// A tool that only looks.
fn looking(
    name: &'static str,
    title: &str,
    about: &'static str,
    takes: Value,
    gives: Value,
) -> Tool {
    let hints = ToolAnnotations::from_raw(None, Some(true), None, None, Some(false));
    Tool::new(name, about, object(takes))
        .with_title(title)
        .with_raw_output_schema(object(gives))
        .with_annotations(hints)
}

fn request() -> Tool {
    let about = "Asks to buy one thing from one merchant. The owner's rules decide at once, or a human \
        does later. The answer's status is `approved` (a card exists for exactly this \
        purchase, to be used once), `denied` (with a reason, and often a suggestion of what would pass) or \
        `pending_review` (no card exists yet: call check_status later with the request_id). It spends \
        nothing by itself. Ask for the final price, shipping and tax included. If a call fails or times \
        out, repeat it with the SAME idempotency_key: that never makes a second purchase.";
    // It sets money aside and has a card made, and what it does can be undone by nobody but the owner.
    let hints = ToolAnnotations::from_raw(None, Some(false), Some(true), Some(false), Some(true));
    Tool::new(REQUEST, about, object(takes_request()))
        .with_title("Request a purchase")
        .with_raw_output_schema(object(outcome()))
        .with_annotations(hints)
}

fn takes_request() -> Value {
    let slugs: Vec<&str> = category::slugs().collect();
    let hint = format!(
        "The kind of shop, one of: {}. It narrows the card to that kind, so name it where you know it; \
         leave it out where none fits. Requests without it often need a human.",
        slugs.join(", ")
    );
    json!({
        "type": "object",
        "properties": {
            "merchant_url": {"type": "string", "maxLength": 2048,
                "description": "The address of the page where it is bought, or the merchant's domain. \
                    The owner's rules look at its domain."},
            "amount": {"type": ["string", "number"],
                "description": "The final price in major units, like \"12.34\"; prefer a string. No \
                    more decimals than the currency has."},
            "description": {"type": "string", "minLength": 1, "maxLength": 1000,
                "description": "What is bought."},
            "justification": {"type": "string", "maxLength": 1000,
                "description": "Why it is needed, for the human who may read it. Empty means that a \
                    human has to decide."},
            "merchant_name": {"type": "string", "maxLength": 200,
                "description": "What the merchant is called. It never changes the decision."},
            "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "default": "USD",
                "description": "The currency of the amount, by its three letters."},
            "category_hint": {"type": "string", "maxLength": 64, "description": hint},
            "card_use": {"type": "string", "enum": ["single", "until_spent"], "default": "single",
                "description": "How often the card may be used. Leave it out for one purchase. Where the \
                    merchant charges in parts, until_spent asks for a card that may be charged several \
                    times by that one merchant, up to the amount in all; owners have to allow it."},
            "idempotency_key": {"type": "string", "minLength": 1, "maxLength": 255,
                "description": "Any text of yours that names this purchase. REUSE the same key when you \
                    retry the same purchase, whatever the answer was: you get the same request, card \
                    and status. Use a new key only for a new purchase."}
        },
        "required": ["merchant_url", "amount", "description", "justification"],
        "additionalProperties": false
    })
}

/// What request_purchase and check_status answer.
fn outcome() -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    json!({
        "type": "object",
        "properties": {
            "status": {"type": "string", "enum": ["approved", "denied", "pending_review", "expired"]},
            "request_id": text("Names the request for check_status."),
            "message": text("One sentence."),
            "reason": text("Why it is denied, or waits: a stable word."),
            "suggestion": text("What would pass."),
            "estimated_wait": text("Until when a human may take."),
            "virtual_card": {
                "type": "object",
                "description": "The card of an approved request. Its number is not here.",
                "properties": {
                    "card_id": text("Names the card."),
                    "last4": text("The last digits of its number."),
                    "scope": {"type": "string", "enum": ["merchant", "category", "amount_only"],
                        "description": "What binds the card beside its amount and its first merchant."},
                    "card_use": {"type": "string", "enum": ["single", "until_spent"],
                        "description": "How often it may be used: once, or until its amount is spent."},
                    "card_expires_at": text("When the card ends."),
                    "view_url": text("Open this page to see the card's number, or POST to it with \
                        Content-Type: application/json where the connection gives the \
                        number out. Pass it on to nobody."),
                    "view_expires_at": text("When that page opens no more: a card that nobody has \
                        looked at by then is canceled.")
                },
                "required": ["card_id", "scope"]
            }
        },
        "required": ["status", "request_id", "message"]
    })
}

fn status() -> Tool {
    let about = "Tells what became of a purchase request of yours: pending_review (a human has not decided \
        yet), approved (the card exists), denied (with the reason) or expired (the card is over). Waiting \
        some minutes between two calls is enough.";
    let takes = json!({
        "type": "object",
        "properties": {"request_id": {"type": "string", "maxLength": 128,
            "description": "The request_id that request_purchase answered."}},
        "required": ["request_id"],
        "additionalProperties": false
    });
    let mut gives = outcome();
    let of_card = [
        (
            "last4",
            "The last digits of the card's number, where it is approved.",
        ),
        (
            "view_url",
            "Open this page to see the card's number, where it is approved. Pass it on to nobody.",
        ),
        (
            "card_expires_at",
            "When the card ends, where it is approved.",
        ),
    ];
    if let Some(Value::Object(known)) = gives.get_mut("properties") {
        for (name, about) in of_card {
            let field = json!({"type": "string", "description": about});
            known.insert(name.to_owned(), field);
        }
    }
    looking(STATUS, "Check a purchase request", about, takes, gives)
}

fn nothing() -> Value {
    json!({"type": "object", "properties": {}, "additionalProperties": false})
}

fn spending() -> Tool {
    let about = "Tells what you have spent and have left. Only limits that the owner has set appear. Money \
        that is set aside for approved requests counts as spent. `user_aggregate` is over all agents of \
        the owner: a request has to fit both.";
    let amount = json!({"type": ["string", "null"]});
    let window = json!({
        "type": "object",
        "properties": {"spent": {"type": "string"}, "limit": {"type": "string"},
            "remaining": {"type": "string"}, "resets_at": amount},
        "required": ["spent", "limit", "remaining"]
    });
    let gives = json!({
        "type": "object",
        "properties": {
            "currency": {"type": "string"},
            "user_aggregate": {
                "type": "object",
                "properties": {"daily": window, "weekly": window, "monthly": window}
            }
        },
        "additionalProperties": amount,
        "required": ["currency"]
    });
    looking(
        SPENDING,
        "See what is left to spend",
        about,
        nothing(),
        gives,
    )
}

fn decline() -> Tool {
    let about = "Explains why a card of yours was declined: the latest decline, or the latest of one card. \
        Read it before you try again; the same purchase again is declined again.";
    let takes = json!({
        "type": "object",
        "properties": {"card_id": {"type": "string", "maxLength": 128,
            "description": "Of this card alone."}},
        "additionalProperties": false
    });
    let gives = json!({
        "type": "object",
        "properties": {
            "found": {"type": "boolean", "description": "Whether there is a decline to explain."},
            "decision_id": {"type": "string"},
            "card_id": {"type": "string"},
            "at": {"type": "string"},
            "reason": {"type": "string", "description": "A stable word."},
            "message": {"type": "string", "description": "One sentence."},
            "resets_at": {"type": "string", "description": "When the limit has room again."}
        },
        "required": ["found", "message"]
    });
    looking(DECLINE, "Explain a decline", about, takes, gives)
}

fn cards() -> Tool {
    let about = "Lists your cards, newest first. No card number is ever here.";
    let takes = json!({
        "type": "object",
        "properties": {"cursor": {"type": "string", "maxLength": 128,
            "description": "The `next` of the answer before."}},
        "additionalProperties": false
    });
    let gives = json!({
        "type": "object",
        "properties": {
            "cards": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "card_id": {"type": "string"},
                        "last4": {"type": ["string", "null"]},
                        "status": {"type": "string", "enum": ["active", "locked", "frozen", "canceled"]},
                        "usage": {"type": "string", "enum": ["single", "multi"]},
                        "created_at": {"type": "string"}
                    },
                    "required": ["card_id", "status", "usage", "created_at"]
                }
            },
            "next": {"type": ["string", "null"]}
        },
        "required": ["cards", "next"]
    });
    looking(CARDS, "List my cards", about, takes, gives)
}
