//! What people are told of a review, from the rows as they are when it is sent (behaviour 5.13).
//!
//! The one-time link follows from the endpoint, the event and the version of the request, so that a notice
//! that is sent again has the same one. Its keyed hash is kept before it leaves, and its text nowhere.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::Api;
use super::problem::Problem;
use super::purchases::{PurchaseShown, find, shown, spending_lines};
use super::review::{LINK_PATH, agent_name, in_words};
use crate::cold::store::people::User;
use crate::cold::store::purchases::{Purchase, PurchaseState};
use crate::cold::store::review_links::ReviewLink;
use crate::cold::store::webhook::{Channel, Delivery, Webhook, WebhookChange};
use crate::cold::store::{Mode, Scope, StoreError};
use crate::cold::webhooks::message::{Message, harmless};
use crate::cold::webhooks::notice;
use crate::domain::time::Timestamp;

/// Stands before an address of a mailbox.
pub(super) const MAILTO: &str = "mailto:";
/// Characters of a link's text.
const TOKEN_LEN: usize = 43;
/// What is hashed, so that no other token of ours is a link.
const MADE: &str = "review link 1";
const KEPT: &str = "review link kept 1";

/// The kept hash of a link's text; none for what is no such text.
pub(super) fn hash_of(api: &Api, token: &str) -> Option<[u8; 32]> {
    let is_lawful = token.len() == TOKEN_LEN && token.is_ascii();
    is_lawful.then(|| api.secret.digest(KEPT, &[token.as_bytes()]))
}

/// Whoever signs in under this address and may decide for this customer, or for all.
pub(super) async fn person(
    api: &Api,
    (mode, customer_id): (Mode, Option<&str>),
    address: &str,
) -> Result<Option<User>, StoreError> {
    let found = api.store.people().user_called(address.to_owned()).await?;
    Ok(found.filter(|user| {
        let reaches = user.customer_id.is_none() || user.customer_id.as_deref() == customer_id;
        let decides = matches!(user.scope, Scope::Owner | Scope::Reviewer);
        user.disabled_at.is_none() && user.mode == mode && reaches && decides
    }))
}

/// The person behind an endpoint of this channel; none where it is a chat.
///
/// # Errors
/// Where nobody with its address may decide.
pub(super) async fn person_of(api: &Api, webhook: &Webhook) -> Result<Option<User>, Problem> {
    if webhook.channel != Channel::Email {
        return Ok(None);
    }
    let address = webhook.url.strip_prefix(MAILTO).unwrap_or_default();
    let whose = (webhook.mode, webhook.customer_id.as_deref());
    let user = person(api, whose, address).await?;
    user.map(Some).ok_or_else(Problem::not_found)
}

#[derive(Deserialize)]
struct Told {
    data: About,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    request_id: String,
}

/// To whom it goes, where that is a mailbox, and what is said.
///
/// # Errors
/// Why nothing can be said now.
pub(in crate::cold) async fn compose(
    api: &Arc<Api>,
    webhook: &Webhook,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<(String, Message), String> {
    let failed = |problem: Problem| format!("it cannot be written: {}", problem.code());
    let user = person_of(api, webhook).await;
    let user = user.map_err(|_nobody| "nobody with this address may decide here".to_owned())?;
    let to = user.as_ref().map(|user| user.email.clone());
    let message = match &*delivery.kind {
        notice::PENDING_REVIEW => {
            let told: Told = serde_json::from_str(&delivery.body)
                .map_err(|_not_ours| "the event names no request".to_owned())?;
            let row = find(api, &told.data.request_id).await.map_err(failed)?;
            let composed = of_review(api, (webhook, delivery), (row, user), now).await;
            composed.map_err(failed)?
        }
        notice::TEST => Message {
            id: delivery.id.clone(),
            subject: "countersign: a test of notices".to_owned(),
            ..Message::default()
        },
        _ => return Err("people are told of reviews alone".to_owned()),
    };
    Ok((to.unwrap_or_default(), message))
}

async fn of_review(
    api: &Arc<Api>,
    (webhook, delivery): (&Webhook, &Delivery),
    (row, user): (Purchase, Option<User>),
    now: Timestamp,
) -> Result<Message, Problem> {
    let page = format!("{}/reviews/{}", api.public_url, row.id);
    let link = link(api, (webhook, delivery), (&row, user.as_ref()), now).await?;
    let agent = agent_name(api, &row.agent_id).await?;
    let limits = spending_lines(api, &row.agent_id, now).await;
    let asked = row.asked.clone();
    let host = harmless(&row.host);
    let amount = format!("{} {}", row.amount, row.amount.currency);
    let it: PurchaseShown = shown(api, row, now).await?;
    let of_request = it.facts();
    let status = in_words(it.status);
    let joint = if it.status == "pending_review" {
        " "
    } else {
        ": "
    };
    let subject = format!("{amount} at {host}{joint}{status}");
    let mut facts = vec![
        ("Status", status.to_owned()),
        ("Amount", amount),
        ("The card may be used", of_request.card_use.to_owned()),
        ("It is bound to", of_request.bound_to.to_owned()),
        ("Merchant's host", host),
        ("Agent", harmless(&agent)),
    ];
    match limits {
        Some(lines) => facts.extend(lines.into_iter().map(|it| (it.name, it.text))),
        None => facts.push(("Limits", "cannot be told now".to_owned())),
    }
    facts.push(("Asked", of_request.created_at.to_owned()));
    facts.extend(it.review_ends_at.clone().map(|ends| ("Ends", ends)));
    let said = |text: Option<String>| text.unwrap_or_else(|| "not said".to_owned());
    Ok(Message {
        id: delivery.id.clone(),
        subject,
        facts,
        causes: of_request.causes.iter().map(|it| harmless(it)).collect(),
        words: vec![
            ("Page", asked.merchant_url),
            ("Merchant", said(asked.merchant_name)),
            ("What", asked.description),
            ("Why", asked.justification),
            ("Kind", said(asked.category_hint)),
        ],
        page: Some(page),
        link,
    })
}

/// The link that decides the request as it is now, and its end; none where it does not wait, or the endpoint
/// is not told any.
async fn link(
    api: &Api,
    (webhook, delivery): (&Webhook, &Delivery),
    (row, user): (&Purchase, Option<&User>),
    now: Timestamp,
) -> Result<Option<(String, String)>, Problem> {
    let waits = row.state == PurchaseState::PendingReview;
    let Some(ends_at) = row
        .due_at
        .filter(|due| waits && webhook.has_links && *due > now)
    else {
        return Ok(None);
    };
    let version = row.revision.to_string();
    // An endpoint that leads elsewhere by now is told another link.
    let changed = webhook.revision.to_string();
    let parts = [&*webhook.id, &*delivery.id, &*row.id, &*version, &*changed];
    let made = api.secret.digest(MADE, &parts.map(str::as_bytes));
    let token = URL_SAFE_NO_PAD.encode(made);
    let Some(hash) = hash_of(api, &token) else {
        return Ok(None);
    };
    let link = ReviewLink {
        hash,
        purchase_id: row.id.clone(),
        purchase_version: row.revision,
        webhook_id: webhook.id.clone(),
        user_id: user.map(|user| user.id.clone()),
        ends_at,
        used_at: None,
        created_at: now,
    };
    api.store
        .apply(vec![WebhookChange::Link(link).into()])
        .await?;
    let address = format!("{}{LINK_PATH}{token}", api.public_url);
    Ok(Some((address, ends_at.rfc3339().to_string())))
}
