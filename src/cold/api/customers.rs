//! `/v1/customers`: the human owners, each with the rules over all of his agents.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::about::{About, Given, PAGED, shape};
use super::alert_settings::checked;
use super::body::{present, read};
use super::code::Code;
use super::exchange::{Ask, Reply, Tries};
use super::fields::{CascadeWord, CustomerStatus, document, shown_document};
use super::fleet::FleetWord;
use super::problem::Problem;
use super::query::Page;
use super::{text, versions};
use crate::cold::control::{Order, Work, policy};
use crate::cold::ids::draw;
use crate::cold::schema::PolicyDocument;
use crate::cold::store::alert_settings::AlertSettings;
use crate::cold::store::outward::Errand;
use crate::cold::store::versions::Versions;
use crate::cold::store::{Card, Change, Customer, Fleet};
use crate::decide::compile::compile_zone;
use crate::domain::currency::Currency;

/// A new customer.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewCustomer {
    /// Your own name of it; a second customer of this name is not made.
    #[schema(pattern = "^[ -~]{1,128}$")]
    external_id: Option<String>,
    /// What people see.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    status: Option<CustomerStatus>,
    /// The zone in which days begin, of the IANA database; `UTC` where it is absent.
    timezone: Option<String>,
    /// The currency of all limits, of ISO 4217; `USD` where it is absent.
    currency: Option<String>,
    cascade: Option<CascadeWord>,
    fleet: Option<FleetWord>,
    /// What it wants of alerts where that is not what the server is told.
    alerts: Option<AlertSettings>,
    /// The rules over all of the customer's agents and cards.
    #[schema(value_type = Option<PolicyDocument>)]
    policy: Option<Box<RawValue>>,
}

/// What becomes of a customer; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CustomerChange {
    /// Null takes it away.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    #[serde(default, deserialize_with = "present")]
    name: Option<Option<String>>,
    status: Option<CustomerStatus>,
    cascade: Option<CascadeWord>,
    /// Replaces all of it; null takes every cap and permission away.
    #[schema(value_type = Option<FleetWord>)]
    #[serde(default, deserialize_with = "present")]
    fleet: Option<Option<FleetWord>>,
    /// Replaces all of it; null leaves everything as the server is told. Looked at within two seconds.
    #[schema(value_type = Option<AlertSettings>)]
    #[serde(default, deserialize_with = "present")]
    alerts: Option<Option<AlertSettings>>,
    /// Replaces the whole document; null takes it away.
    #[schema(value_type = Option<PolicyDocument>)]
    #[serde(default, deserialize_with = "present")]
    policy: Option<Option<Box<RawValue>>>,
}

/// A customer as it is shown. Absent values are null.
#[derive(Serialize, ToSchema)]
#[schema(as = Customer)]
#[serde(rename_all = "camelCase")]
pub(super) struct CustomerShown {
    id: String,
    /// Its owner's own name of it.
    external_id: Option<String>,
    /// What people see.
    name: Option<String>,
    status: CustomerStatus,
    /// The zone in which days begin.
    timezone: String,
    /// The currency of all limits.
    currency: String,
    cascade: CascadeWord,
    /// What its agents may have and do.
    fleet: FleetWord,
    /// What it wants of alerts where that is not what the server is told.
    alerts: Option<AlertSettings>,
    /// The rules over all of the customer's agents and cards.
    #[schema(value_type = Option<PolicyDocument>)]
    policy: Option<Box<RawValue>>,
    #[schema(format = DateTime)]
    created_at: String,
}

pub(super) const CREATE: About = About {
    takes: Some(shape::<NewCustomer>),
    gives: &[
        Given::created(shape::<CustomerShown>),
        Given::known(shape::<CustomerShown>),
    ],
    problems: &[Code::BeyondReach],
    ..About::new(
        "createCustomer",
        "Makes a customer. Only a key that reaches all customers may.",
    )
};
pub(super) const LIST: About = About {
    query: PAGED,
    gives: &[Given::list(shape::<CustomerShown>)],
    ..About::new("listCustomers", "Customers.")
};
pub(super) const ONE: About = About {
    gives: &[Given::ok(shape::<CustomerShown>)],
    ..About::new("getCustomer", "One customer.")
};
pub(super) const CHANGE: About = About {
    takes: Some(shape::<CustomerChange>),
    gives: &[Given::ok(shape::<CustomerShown>)],
    ..About::new(
        "changeCustomer",
        "Changes a customer, in force when the call returns.",
    )
};

fn shown(row: Customer) -> Result<CustomerShown, Problem> {
    Ok(CustomerShown {
        id: row.id,
        external_id: row.external_id,
        name: row.name,
        status: row.status.into(),
        timezone: row.timezone,
        currency: row.currency.to_string(),
        cascade: row.cascade.into(),
        fleet: FleetWord::of(row.fleet),
        alerts: row.alerts,
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
        fleet: fleet(new.fleet)?,
        alerts: checked(new.alerts)?,
        policy: document(new.policy),
        versions: Versions::default(),
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

fn fleet(word: Option<FleetWord>) -> Result<Fleet, Problem> {
    word.map(FleetWord::read)
        .transpose()
        .map(Option::unwrap_or_default)
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
    let mut data = Vec::with_capacity(rows.len());
    for row in rows {
        data.push(shown_in_force(&ask, row).await?);
    }
    Reply::ok(&page.with(data))
}

/// With the status that is in force: what the ledger was told may be stricter than the row.
async fn shown_in_force(ask: &Ask, mut row: Customer) -> Result<CustomerShown, Problem> {
    row.status = ask.api.standing_of_customer(&row).await?;
    shown(row)
}

pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let row = find(&ask, &ask.id).await?;
    Reply::ok(&shown_in_force(&ask, row).await?)
}

/// The customer of this id, where the caller may know of it.
pub(super) async fn find(ask: &Ask, id: &str) -> Result<Customer, Problem> {
    let found = ask.api.store.customer(text::id(id)?).await?;
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
    let caps = change.fleet.map(fleet).transpose()?;
    let alerts = change.alerts.map(checked).transpose()?;
    let mut tries = Tries::default();
    loop {
        let mut row = find(&ask, &ask.id).await?;
        let before = versions::Of::from(&row);
        row.name = name.clone().unwrap_or(row.name);
        row.status = change.status.map_or(row.status, Into::into);
        row.cascade = change.cascade.map_or(row.cascade, Into::into);
        row.fleet = caps.unwrap_or(row.fleet);
        row.alerts = alerts.clone().unwrap_or(row.alerts);
        row.policy = document.clone().unwrap_or(row.policy);
        let after = versions::Of::from(&row);
        let mut batch = versions::patched(&ask, &before, after, &mut row.versions).await?;
        let mut in_force = row.clone();
        if change.status.is_none() {
            // What is shown beside the change is no reason not to make it.
            let stands = ask.api.standing_of_customer(&row).await;
            in_force.status = stands.unwrap_or(row.status);
        }
        let reply = Reply::ok(&shown(in_force)?)?;
        let order = change.status.map(|_| Order::Customer {
            customer_id: row.id.clone(),
            status: row.status,
        });
        if order.is_some() {
            let owner = (&*row.id, row.mode);
            batch.extend(ask.api.told_of_owner(Errand::Customer, owner, ask.now));
        }
        batch.push(Change::Customer(row));
        let work = Work {
            batch,
            orders: order.into_iter().collect(),
            ..Work::default()
        };
        let outcome = ask.make(work, reply).await;
        if !tries.again(&outcome) {
            return outcome;
        }
    }
}
