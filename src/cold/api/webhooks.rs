//! `/v1/webhooks`: endpoints that are told what happened (behaviour 8.5). A secret is shown once, when
//! it is made.

mod channel;
mod deliveries;

use hyper::Uri;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::about::{About, Given, PAGED, shape};
use super::body::{present, read};
use super::code::Code;
use super::exchange::{Ask, Reply};
use super::problem::Problem;
use super::query::Page;
use super::{customers, text};
use crate::cold::control::Work;
use crate::cold::ids::draw;
use crate::cold::seal::MasterKeys;
use crate::cold::store::webhook::{Channel, Webhook, WebhookChange, sealed_names};
use crate::cold::store::{Batch, Change};
use crate::cold::webhooks::notice::is_wanted;
use crate::cold::webhooks::secrets;
use crate::domain::time::Timestamp;

pub(super) use deliveries::{DELIVERIES, REPLAY, TEST, deliveries, replay, test};

/// Webhooks of one mode.
const WEBHOOKS_MAX: usize = 64;
/// Kinds that one webhook names.
const KINDS_MAX: usize = 32;
/// For how long a secret signs beside the one that takes its place, in hours.
const OVERLAP_HOURS: std::ops::RangeInclusive<i64> = 0..=168;
const OVERLAP_HOURS_DEFAULT: i64 = 24;
const HOUR_US: i64 = 3_600 * 1_000_000;

/// A new webhook.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewWebhook {
    /// In whose form it is told: a program's (`webhook`, signed), a chat's (`slack`), a person's (`email`).
    #[schema(pattern = "^(webhook|slack|email)$", default = "webhook")]
    channel: Option<String>,
    /// Where it is: an https address that leads to the public Internet. Of `slack` it is a secret that is
    /// never shown again; of `email` it is `mailto:` and the address of somebody who signs in here and may decide.
    #[schema(min_length = 9, max_length = 2000)]
    url: String,
    /// Whether a notice of a review holds a link that decides it once, without signing in: by default an
    /// e-mail does, and a chat, where everybody sees it, does not.
    one_time_links: Option<bool>,
    /// What it is told of: kinds, or families as `card.*`; where it is absent, everything but approvals, and people
    /// `purchase.pending_review` alone.
    #[schema(min_items = 1, max_items = 32)]
    events: Option<Vec<String>>,
    /// Whose events it is told; those of all customers in the maker's reach where it is absent.
    customer_id: Option<String>,
    /// What people see.
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
}

/// What becomes of a webhook; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WebhookUpdate {
    #[schema(min_length = 9, max_length = 2000)]
    url: Option<String>,
    #[schema(min_items = 1, max_items = 32)]
    events: Option<Vec<String>>,
    one_time_links: Option<bool>,
    /// Null takes it away.
    #[schema(value_type = Option<String>)]
    #[serde(default, deserialize_with = "present")]
    name: Option<Option<String>>,
    /// Whether it is told anything.
    enabled: Option<bool>,
}

/// Another secret.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rotation {
    /// For how long the secret of before signs too, in hours.
    #[schema(minimum = 0, maximum = 168, default = 24)]
    overlap_hours: Option<i64>,
}

/// A webhook as it is shown. Absent values are null.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
#[serde(rename_all = "camelCase")]
pub(super) struct WebhookShown {
    id: String,
    #[schema(pattern = "^(test|live)$")]
    mode: &'static str,
    /// Whose events it is told; null where it is told those of all.
    customer_id: Option<String>,
    #[schema(pattern = "^(webhook|slack|email)$")]
    channel: &'static str,
    /// Of a chat no more than its server.
    url: String,
    one_time_links: bool,
    name: Option<String>,
    /// What it is told of.
    events: Vec<String>,
    /// Whether it is told anything.
    enabled: bool,
    /// Why it was disabled, where that was not its owner's word.
    disabled_because: Option<String>,
    /// Since when every attempt is in vain.
    #[schema(format = DateTime)]
    failing_since: Option<String>,
    /// Whether so much waits for it that nothing more is kept.
    backlog_full: bool,
    /// Events that were not kept for that.
    dropped: i64,
    /// The secret that was just made; null whenever else.
    secret: Option<String>,
    /// Until when the secret of before signs too.
    #[schema(format = DateTime)]
    previous_secret_until: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
}

pub(super) const CREATE: About = About {
    takes: Some(shape::<NewWebhook>),
    gives: &[Given::created(shape::<WebhookShown>)],
    problems: &[Code::NotFound, Code::NotSupported, Code::TooManyWebhooks],
    ..About::new(
        "createWebhook",
        "Makes a webhook; its secret is in this answer and in no other.",
    )
};
pub(super) const LIST: About = About {
    query: PAGED,
    gives: &[Given::list(shape::<WebhookShown>)],
    ..About::new("listWebhooks", "Webhooks, without their secrets.")
};
pub(super) const ONE: About = About {
    gives: &[Given::ok(shape::<WebhookShown>)],
    ..About::new("getWebhook", "One webhook, without its secret.")
};
pub(super) const CHANGE: About = About {
    takes: Some(shape::<WebhookUpdate>),
    gives: &[Given::ok(shape::<WebhookShown>)],
    ..About::new("updateWebhook", "Changes a webhook, or enables it again.")
};
pub(super) const REMOVE: About = About {
    gives: &[Given::ok(shape::<WebhookShown>)],
    ..About::new(
        "removeWebhook",
        "Removes a webhook with everything that waits for it.",
    )
};
pub(super) const ROTATE: About = About {
    takes: Some(shape::<Rotation>),
    gives: &[Given::ok(shape::<WebhookShown>)],
    problems: &[Code::NotSupported],
    ..About::new(
        "rotateWebhookSecret",
        "Makes another secret, which is in this answer alone; for a while both sign.",
    )
};

fn shown(row: Webhook, secret: Option<&SecretString>) -> WebhookShown {
    let instant = |at: Timestamp| at.rfc3339().to_string();
    WebhookShown {
        id: row.id,
        mode: row.mode.name(),
        customer_id: row.customer_id,
        channel: row.channel.name(),
        url: row.url,
        one_time_links: row.has_links,
        name: row.name,
        events: row.kinds,
        enabled: row.is_enabled,
        disabled_because: row.disabled_because,
        failing_since: row.failing_since.map(instant),
        backlog_full: row.is_full,
        dropped: row.dropped,
        secret: secret.map(|it| it.expose_secret().to_owned()),
        previous_secret_until: row.previous_until.map(instant),
        created_at: instant(row.created_at),
    }
}

fn kinds(named: Option<Vec<String>>) -> Result<Option<Vec<String>>, Problem> {
    let Some(mut kinds) = named else {
        return Ok(None);
    };
    if !(1..=KINDS_MAX).contains(&kinds.len()) {
        let message = format!("must have 1 to {KINDS_MAX} elements");
        return Err(Problem::invalid_field("events", message));
    }
    if let Some(at) = kinds.iter().position(|kind| !is_wanted(kind)) {
        let message =
            "is no kind of event, like `decision.declined`, and no family of them, like `card.*`";
        return Err(Problem::invalid_field(&format!("events[{at}]"), message));
    }
    kinds.sort_unstable();
    kinds.dedup();
    Ok(Some(kinds))
}

fn check_url(ask: &Ask, url: &str) -> Result<Uri, Problem> {
    let checked = ask.api.reach.check(url);
    checked.map_err(|message| Problem::invalid_field("url", message))
}

/// What secrets are sealed with.
fn master_keys(ask: &Ask) -> Result<&MasterKeys, Problem> {
    ask.api.master_keys.as_deref().ok_or_else(|| {
        let message = "there is no master key to seal a secret with; `countersign doctor` says why";
        Problem::not_supported("secret", message)
    })
}

/// Draws a secret and seals it; of a rotation, the one of before beside it.
async fn new_secret(ask: &Ask, row: &Webhook) -> Result<(SecretString, Batch), Problem> {
    let keys = master_keys(ask)?;
    let internal = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "a webhook's secret");
        Problem::internal()
    };
    let secret = secrets::draw().map_err(|error| internal(&error))?;
    let [current, _] = sealed_names(&row.id);
    let before = match row.revision {
        0 => None,
        _ => ask.api.store.sealed_as(current).await?,
    };
    let rows = secrets::seal(keys, &row.id, &secret, before.as_ref(), ask.now);
    let rows = rows.map_err(|error| internal(&error))?;
    Ok((secret, rows.into_iter().map(Change::Sealed).collect()))
}

pub(super) async fn create(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let new: NewWebhook = read(&ask.body)?;
    let channel = channel::read(new.channel.as_deref())?;
    let kinds = channel::kinds(channel, kinds(new.events)?)?;
    let customer_id = match new.customer_id {
        Some(id) => Some(customers::find(&ask, &id).await?.id),
        None => ask.caller.key.customer_id.clone(),
    };
    let all = ask.api.store.all_webhooks().await?;
    let own = all.iter().filter(|it| it.mode == ask.caller.mode());
    if own.count() >= WEBHOOKS_MAX {
        return Err(Problem::of(Code::TooManyWebhooks));
    }
    let has_links = channel::has_links(channel, new.one_time_links)?;
    let mut row = Webhook {
        id: draw("wh", ask.now),
        mode: ask.caller.mode(),
        customer_id,
        channel,
        has_links: has_links.unwrap_or(channel == Channel::Email),
        url: String::new(),
        name: text::name(new.name, "name")?,
        kinds,
        is_enabled: true,
        disabled_because: None,
        previous_until: None,
        failing_since: None,
        is_full: false,
        dropped: 0,
        created_at: ask.now,
        revision: 0,
    };
    let mut batch = channel::lead(&ask, &mut row, new.url).await?;
    let mut secret = None;
    if channel == Channel::Webhook {
        let (drawn, sealed) = new_secret(&ask, &row).await?;
        batch.extend(sealed);
        secret = Some(drawn);
    }
    batch.push(WebhookChange::Webhook(row.clone()).into());
    let path = format!("/v1/webhooks/{}", row.id);
    // What is kept for a repetition is without the secret.
    let kept = Reply::created(path, &shown(row.clone(), None))?;
    let made = make(&ask, batch, kept).await?;
    made.showing(&shown(row, secret.as_ref()))
}

async fn make(ask: &Ask, batch: Batch, reply: Reply) -> Result<Reply, Problem> {
    let work = Work {
        batch,
        ..Work::default()
    };
    ask.make(work, reply).await
}

/// The webhook that the path names.
async fn find(ask: &Ask) -> Result<Webhook, Problem> {
    let found = ask.api.store.webhook(text::id(&ask.id)?).await?;
    ask.caller.webhook(found)
}

pub(super) async fn list(mut ask: Ask) -> Result<Reply, Problem> {
    let listed = ask.query.listed(&ask.caller)?;
    ask.query.finish()?;
    let limit = listed.limit;
    let rows = ask.api.store.webhooks(listed).await?;
    let (rows, page) = Page::of(rows, limit, |row| &row.id);
    let data = rows.into_iter().map(|row| shown(row, None)).collect();
    Reply::ok(&page.with(data))
}

pub(super) async fn one(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    Reply::ok(&shown(find(&ask).await?, None))
}

pub(super) async fn change(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let update: WebhookUpdate = read(&ask.body)?;
    let mut row = find(&ask).await?;
    let mut batch = match update.url {
        Some(url) => {
            let before = row.url.clone();
            let mut batch = channel::lead(&ask, &mut row, url).await?;
            // Whoever was told before decides nothing any more. Of a chat not all of the address is seen here.
            if row.channel == Channel::Slack || row.url != before {
                batch.push(WebhookChange::ForgetLinksOf(row.id.clone()).into());
            }
            batch
        }
        None => Batch::new(),
    };
    if let Some(named) = kinds(update.events)? {
        row.kinds = channel::kinds(row.channel, Some(named))?;
    }
    if let Some(has_links) = channel::has_links(row.channel, update.one_time_links)? {
        row.has_links = has_links;
    }
    if let Some(name) = update.name {
        row.name = text::name(name, "name")?;
    }
    if let Some(is_enabled) = update.enabled {
        if is_enabled && !row.is_enabled {
            row.failing_since = None;
        }
        row.is_enabled = is_enabled;
        row.disabled_because = None;
    }
    let reply = Reply::ok(&shown(row.clone(), None))?;
    batch.push(WebhookChange::Webhook(row).into());
    make(&ask, batch, reply).await
}

pub(super) async fn remove(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let mut row = find(&ask).await?;
    row.is_enabled = false;
    let gone = WebhookChange::Gone(row.id.clone());
    let reply = Reply::ok(&shown(row, None))?;
    make(&ask, vec![gone.into()], reply).await
}

pub(super) async fn rotate(ask: Ask) -> Result<Reply, Problem> {
    ask.query.finish()?;
    let rotation: Rotation = read(&ask.body)?;
    let hours = rotation.overlap_hours.unwrap_or(OVERLAP_HOURS_DEFAULT);
    if !OVERLAP_HOURS.contains(&hours) {
        let message = "must be a number of hours from 0 to 168";
        return Err(Problem::invalid_field("overlapHours", message));
    }
    let mut row = find(&ask).await?;
    channel::check_signed(&row)?;
    let (secret, mut batch) = new_secret(&ask, &row).await?;
    row.previous_until = Some(ask.now.plus_micros(hours * HOUR_US));
    batch.push(WebhookChange::Webhook(row.clone()).into());
    let kept = Reply::ok(&shown(row.clone(), None))?;
    let made = make(&ask, batch, kept).await?;
    made.showing(&shown(row, Some(&secret)))
}
