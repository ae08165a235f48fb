//! `/v1/cards/{id}/attestations`: what an agent says that it is doing with a card (behaviour 6.2).
//!
//! The ledger notes when; what was said is a row.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::about::{About, Given, PAGED, shape};
use super::body::read;
use super::code::Code;
use super::exchange::{Ask, Reply};
use super::intents::of_card;
use super::problem::Problem;
use super::query::Page;
use super::{cards, text};
use crate::cold::control::{CardName, Order, Work};
use crate::cold::ids::{draw, is_id};
use crate::cold::store::{Attestation, Change};
use crate::domain::card::CardStatus;

/// What the agent says.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewAttestation {
    #[schema(min_length = 1, max_length = 1000)]
    statement: String,
    /// The intent of this card that it belongs to.
    intent_id: Option<String>,
}

/// An attestation as it is shown. Absent values are null.
#[derive(Serialize, ToSchema)]
#[schema(as = Attestation)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttestationShown {
    id: String,
    card_id: String,
    statement: String,
    intent_id: Option<String>,
    /// The key that attested.
    attested_by: String,
    #[schema(format = DateTime)]
    created_at: String,
}

impl From<Attestation> for AttestationShown {
    fn from(row: Attestation) -> Self {
        Self {
            id: row.id,
            card_id: row.card_id,
            statement: row.statement,
            intent_id: row.intent,
            attested_by: row.attested_by,
            created_at: row.created_at.rfc3339().to_string(),
        }
    }
}

pub(super) const CREATE: About = About {
    takes: Some(shape::<NewAttestation>),
    gives: &[Given::created(shape::<AttestationShown>)],
    problems: &[Code::CardCanceled],
    ..About::new(
        "attest",
        "Says what the agent is doing with the card, before it spends.",
    )
};
pub(super) const LIST: About = About {
    query: PAGED,
    gives: &[Given::list(shape::<AttestationShown>)],
    ..About::new("listAttestations", "Attestations of the card.")
};

pub(super) async fn create(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let new: NewAttestation = read(&ask.body)?;
    let card = cards::find(&ask, &ask.id).await?;
    if card.status == CardStatus::Canceled {
        return Err(Problem::card_canceled());
    }
    if let Some(called) = &new.intent_id {
        let known = ask.api.store.intent(card.id.clone(), called.clone());
        if !is_id(called) || known.await?.is_none() {
            let message = "names no intent of this card";
            return Err(Problem::invalid_field("intentId", message));
        }
    }
    let row = Attestation {
        id: draw("att", ask.now),
        mode: card.mode,
        card_id: card.id.clone(),
        statement: text::words(&new.statement, "statement")?,
        intent: new.intent_id,
        attested_by: ask.caller.key.id.clone(),
        created_at: ask.now,
    };
    let path = format!("/v1/cards/{}/attestations", card.id);
    let reply = Reply::created(path, &AttestationShown::from(row.clone()))?;
    // The words are kept before they let anything be spent.
    let said = Work {
        batch: vec![Change::Attestation(row)],
        ..Work::default()
    };
    ask.make_part(said, StatusCode::CREATED).await?;
    let attested = Work {
        orders: vec![Order::Attest {
            card: CardName::from(&card),
        }],
        ..Work::default()
    };
    ask.make_last(attested, reply).await
}

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let (_, asked) = of_card(&mut ask).await?;
    let limit = asked.limit;
    let rows = ask.api.store.attestations(asked).await?;
    let (rows, page) = Page::of(rows, limit, |row| &row.id);
    let data = rows.into_iter().map(AttestationShown::from).collect();
    Reply::ok(&page.with(data))
}
