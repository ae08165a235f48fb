//! `/v1/customers`: the human owners, each with the rules over all of his agents.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::body::{present, read};
use super::exchange::{Ask, Reply, Tries};
use super::fields::{CascadeWord, CustomerStatus, document, shown_document};
use super::problem::Problem;
use super::query::Page;
use super::text;
use crate::cold::control::{Work, policy};
use crate::cold::ids::draw;
use crate::cold::store::{Card, Change, Customer};
use crate::decide::compile::compile_zone;
use crate::domain::currency::Currency;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewCustomer {
    external_id: Option<String>,
    name: Option<String>,
    status: Option<CustomerStatus>,
    timezone: Option<String>,
    currency: Option<String>,
    cascade: Option<CascadeWord>,
    policy: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CustomerChange {
    #[serde(default, deserialize_with = "present")]
    name: Option<Option<String>>,
    status: Option<CustomerStatus>,
    cascade: Option<CascadeWord>,
    #[serde(default, deserialize_with = "present")]
    policy: Option<Option<Box<RawValue>>>,
}

/// A customer as it is shown. Absent values are null.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CustomerShown {
    id: String,
    external_id: Option<String>,
    name: Option<String>,
    status: CustomerStatus,
    timezone: String,
    currency: String,
    cascade: CascadeWord,
    policy: Option<Box<RawValue>>,
    created_at: String,
}

fn shown(row: Customer) -> Result<CustomerShown, Problem> {
    Ok(CustomerShown {
        id: row.id,
        external_id: row.external_id,
        name: row.name,
        status: row.status.into(),
        timezone: row.timezone,
        currency: row.currency.to_string(),
        cascade: row.cascade.into(),
        policy: shown_document(row.policy)?,
        created_at: row.created_at.rfc3339().to_string(),
    })
}

pub(super) async fn create(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    if !ask.caller.reaches_all() {
        let what = "a key of one customer makes no others";
        return Err(Problem::beyond_reach(what));
    }
    let new: NewCustomer = read(&ask.body)?;
    let external_id = text::external_id(new.external_id)?;
    if let Some(external_id) = &external_id {
        let called = (ask.caller.mode(), external_id.clone());
        if let Some(known) = ask.api.store.customer_called(called.0, called.1).await? {
            return Reply::ok(&shown(known)?);
        }
    }
    let currency = new
        .currency
        .as_deref()
        .map_or(Ok(Currency::USD), Currency::parse);
    let row = Customer {
        id: draw("cus", ask.now),
        mode: ask.caller.mode(),
        external_id,
        name: text::name(new.name, "name")?,
        status: new.status.map(Into::into).unwrap_or_default(),
        timezone: timezone(new.timezone)?,
        currency: currency.map_err(|_unknown| {
            Problem::invalid_field("currency", "must be a currency of ISO 4217")
        })?,
        cascade: new.cascade.map(Into::into).unwrap_or_default(),
        policy: document(new.policy),
        created_at: ask.now,
        revision: 0,
    };
    policy(row.policy.as_deref())?;
    let path = format!("/v1/customers/{}", row.id);
    let reply = Reply::created(path, &shown(row.clone())?)?;
    let work = Work {
        batch: vec![Change::Customer(row)],
        ..Work::default()
    };
    ask.make(work, reply).await
}

fn timezone(name: Option<String>) -> Result<String, Problem> {
    let name = name.unwrap_or_else(|| "UTC".to_owned());
    if compile_zone(&name).is_none() {
        let message = "must be a zone of the IANA database";
        return Err(Problem::invalid_field("timezone", message));
    }
    Ok(name)
}

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let listed = ask.query.listed(&ask.caller)?;
    ask.query.finish()?;
    let limit = listed.limit;
    let rows = ask.api.store.customers(listed).await?;
    let (rows, page) = Page::of(rows, limit, |row| &row.id);
    let data: Result<Vec<_>, _> = rows.into_iter().map(shown).collect();
    Reply::ok(&page.with(data?))
}

pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    Reply::ok(&shown(find(&ask, &ask.id).await?)?)
}

/// The customer of this id, where the caller may know of it.
pub(super) async fn find(ask: &Ask, id: &str) -> Result<Customer, Problem> {
    let found = ask.api.store.customer(id.to_owned()).await?;
    ask.caller.customer(found)
}

/// The customer of a card that the caller may know of.
pub(super) async fn of_card(ask: &Ask, card: &Card) -> Result<Customer, Problem> {
    let found = ask.api.store.customer(card.customer_id.clone()).await?;
    found.ok_or_else(Problem::internal)
}

pub(super) async fn change(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let change: CustomerChange = read(&ask.body)?;
    let name = change
        .name
        .map(|name| text::name(name, "name"))
        .transpose()?;
    let document = change.policy.map(document);
    if let Some(text) = &document {
        policy(text.as_deref())?;
    }
    let mut tries = Tries::default();
    loop {
        let mut row = find(&ask, &ask.id).await?;
        row.name = name.clone().unwrap_or(row.name);
        row.status = change.status.map_or(row.status, Into::into);
        row.cascade = change.cascade.map_or(row.cascade, Into::into);
        row.policy = document.clone().unwrap_or(row.policy);
        let reply = Reply::ok(&shown(row.clone())?)?;
        let work = Work {
            batch: vec![Change::Customer(row)],
            ..Work::default()
        };
        let outcome = ask.make(work, reply).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}
