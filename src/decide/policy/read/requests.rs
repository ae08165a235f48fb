//! The fields of purchase requests (behaviour 4.2, 5).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::{COUNT_MAX, Form, entries, read_mccs, read_merchants};
use crate::decide::compile::parse_instant;
use crate::decide::json::{Fields, Path, Reader};
use crate::decide::merchant_text::list::ListKind;
use crate::decide::purchase::host::Host;
use crate::decide::purchase::merchants::KnownMerchant;
use crate::decide::purchase::standing::{Period, StandingApproval};
use crate::decide::purchase::{CardUse, RequestRule, RequestTerms, Unscoped};
use crate::domain::amount::Minor;
use crate::domain::time::Timestamp;

/// A card is good for twenty minutes at least, and a week at most.
const CARD_TTL_MINUTES: (i64, i64) = (20, 10_080);
/// Approvals in advance of one agent.
const STANDING_MAX: usize = 100;
/// Requests that one of them approves in a period.
const STANDING_COUNT_MAX: i64 = 1_000;
const STANDING_NAME_LEN_MAX: usize = 64;
const CARD_ID_LEN_MAX: usize = 128;
const ON_VIOLATION: &str = "onViolation";
/// Whether a human may waive what was violated.
const VIOLATION_WORDS: [(&str, bool); 2] = [("deny", false), ("review", true)];
/// A human has five minutes at least, and a day at most.
const REVIEW_TTL_MINUTES: (i64, i64) = (5, 1_440);

impl<'a> Form<'_, 'a, '_> {
    /// Absent where nothing is said of requests.
    pub(super) fn requests(&mut self) -> Option<Arc<RequestTerms>> {
        let mut terms = RequestTerms {
            allowed_domains: self.take("allowedDomains", read_domains),
            blocked_domains: self.take("blockedDomains", read_domains),
            amount_tolerance: self.take("amountTolerance", Reader::minor),
            merchant_map: self.take("merchantMap", read_merchant_map),
            standing: self.take("standingApprovals", read_standing),
            unscoped: self.word("unscopedRequests", &Unscoped::ALL.map(|it| (it.name(), it))),
            names_alone_below: self.take("namesAloneBelow", Reader::minor),
            card_use: self.word("cardUse", &CardUse::ALL.map(|it| (it.name(), it))),
            card_ttl_minutes: self.integer(
                "cardTtlMinutes",
                CARD_TTL_MINUTES.0,
                CARD_TTL_MINUTES.1,
            ),
            review_ttl_minutes: self.integer(
                "reviewTtlMinutes",
                REVIEW_TTL_MINUTES.0,
                REVIEW_TTL_MINUTES.1,
            ),
            ..RequestTerms::default()
        };
        self.inner("requestLimits", |form| {
            terms.per_request = form.take("perRequest", Reader::minor);
            terms.count_per_hour = form.integer("countPerHour", 0, COUNT_MAX);
            terms.count_per_day = form.integer("countPerDay", 0, COUNT_MAX);
        });
        terms.reviewable = self.on_violation();
        (terms != RequestTerms::default()).then(|| Arc::new(terms))
    }

    /// One word for every rule, or a word for each; one bit for each rule that a human may waive.
    fn on_violation(&mut self) -> u8 {
        let bit = |rule: RequestRule| 1 << (rule as u8);
        if self.fields.is_text(ON_VIOLATION) {
            let every = RequestRule::ALL.into_iter().map(bit).sum();
            let reviews = self.word(ON_VIOLATION, &VIOLATION_WORDS) == Some(true);
            return if reviews { every } else { 0 };
        }
        let mut reviewable = 0;
        self.inner(ON_VIOLATION, |form| {
            for rule in RequestRule::ALL {
                if form.word(rule.name(), &VIOLATION_WORDS) == Some(true) {
                    reviewable |= bit(rule);
                }
            }
        });
        reviewable
    }
}

/// Domains in one order, each once; absent where the list is empty, which is no constraint.
fn read_domains<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
) -> Option<Arc<[Host]>> {
    let mut hosts = Vec::new();
    for (at, item) in entries(reader, raw, path)?.into_iter().enumerate() {
        let place = path.index(at);
        let Some(text) = reader.text(item, &place) else {
            continue;
        };
        match Host::of_rule(&text) {
            Ok(host) => hosts.push(host),
            Err(refused) => reader.report(item.get(), &place, refused.message()),
        }
    }
    hosts.sort_unstable();
    hosts.dedup();
    Some(hosts.into())
}

/// Entries in the order of their domains, each domain once; absent where there are none.
fn read_merchant_map<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
) -> Option<Arc<[KnownMerchant]>> {
    let mut map = BTreeMap::new();
    for (at, item) in entries(reader, raw, path)?.into_iter().enumerate() {
        let place = path.index(at);
        let Some(known) = read_known(reader, item, &place) else {
            continue;
        };
        let domain = known.domain.clone();
        if map.insert(domain, known).is_some() {
            reader.report(
                item.get(),
                &place.field("domain"),
                "stands in the map twice",
            );
        }
    }
    // What is refused is left out, so that its own complaint is the first.
    reader.is_clean().then(|| map.into_values().collect())
}

fn read_known<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
) -> Option<KnownMerchant> {
    let mut fields = reader.object(raw, path)?;
    let domain = fields.require(reader, path, "domain");
    let (names, codes) = (fields.take("merchants"), fields.take("mccs"));
    fields.finish(reader, path, |_| None);
    let domain = domain.and_then(|raw| read_domain(reader, raw, &path.field("domain")));
    let merchants = names
        .and_then(|raw| read_merchants(reader, raw, &path.field("merchants"), ListKind::Allows));
    let mccs = codes.and_then(|raw| read_mccs(reader, raw, &path.field("mccs")));
    let is_bound = merchants.is_some() || mccs.is_some();
    if !is_bound && reader.is_clean() {
        reader.report(raw.get(), path, "must have `merchants` or `mccs`");
    }
    Some(KnownMerchant {
        domain: domain?,
        merchants: merchants.map(Arc::new),
        mccs: mccs.map(Arc::new),
    })
}

/// Approvals in advance in the order of their names, each name once; absent where there are none.
fn read_standing<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
) -> Option<Arc<[StandingApproval]>> {
    let mut known = BTreeMap::new();
    let items = entries(reader, raw, path)?;
    if items.len() > STANDING_MAX {
        let message = format!("must have at most {STANDING_MAX} entries");
        reader.report(raw.get(), path, message);
        return None;
    }
    for (at, item) in items.into_iter().enumerate() {
        let place = path.index(at);
        let Some(approval) = read_approval(reader, item, &place) else {
            continue;
        };
        let is_taken = |it: &StandingApproval| it.card_id == approval.card_id;
        if approval.card_id.is_some() && known.values().any(is_taken) {
            let message = "is another approval's card";
            reader.report(item.get(), &place.field("cardId"), message);
        }
        if known.insert(approval.name.clone(), approval).is_some() {
            reader.report(item.get(), &place.field("name"), "stands there twice");
        }
    }
    reader.is_clean().then(|| known.into_values().collect())
}

fn read_approval<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
) -> Option<StandingApproval> {
    let mut fields = reader.object(raw, path)?;
    let name = read_name(reader, &mut fields, path);
    let domain = fields
        .require(reader, path, "domain")
        .and_then(|raw| read_domain(reader, raw, &path.field("domain")));
    let amount_max = fields
        .require(reader, path, "amountMax")
        .and_then(|raw| reader.minor(raw, &path.field("amountMax")));
    let least = fields.take("amountMin");
    let amount_min = least.and_then(|raw| reader.minor(raw, &path.field("amountMin")));
    let period = fields.require(reader, path, "period").and_then(|raw| {
        let words = Period::ALL.map(|it| (it.name(), it));
        reader.word(raw, &path.field("period"), &words)
    });
    let count_max = fields
        .require(reader, path, "countMax")
        .and_then(|raw| reader.integer(raw, &path.field("countMax"), 1..=STANDING_COUNT_MAX));
    let most = fields.take("totalMax");
    let total_max = most.and_then(|raw| reader.minor(raw, &path.field("totalMax")));
    let own = fields.take("cardId");
    let card_id = own.and_then(|raw| read_card_id(reader, raw, &path.field("cardId")));
    if own.is_some() && most.is_none() {
        let message = "is missing: what its own card may spend in a period";
        reader.report(raw.get(), &path.field("totalMax"), message);
    }
    let until = fields
        .require(reader, path, "until")
        .and_then(|raw| read_until(reader, raw, &path.field("until")));
    fields.finish(reader, path, |_| None);
    let amount_min = amount_min.unwrap_or(Minor::ZERO);
    if amount_max.is_some_and(|most| most < amount_min) {
        let message = "must not be less than `amountMin`";
        reader.report(raw.get(), &path.field("amountMax"), message);
    }
    Some(StandingApproval {
        name: name?,
        domain: domain?,
        amount_min,
        amount_max: amount_max?,
        period: period?,
        count_max: count_max?,
        total_max,
        until: until?,
        card_id,
    })
}

fn read_name<'a>(
    reader: &mut Reader<'a>,
    fields: &mut Fields<'a>,
    path: &Path<'_>,
) -> Option<Box<str>> {
    let raw = fields.require(reader, path, "name")?;
    read_approval_name(reader, raw, &path.field("name"))
}

/// The name of an approval in advance.
pub(super) fn read_approval_name<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    place: &Path<'_>,
) -> Option<Box<str>> {
    let text = reader.text(raw, place)?;
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if !is_plain || !(1..=STANDING_NAME_LEN_MAX).contains(&text.len()) {
        let message = format!("must be 1 to {STANDING_NAME_LEN_MAX} printable ASCII characters");
        reader.report(raw.get(), place, message);
        return None;
    }
    Some(text.into())
}

fn read_card_id<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
) -> Option<Box<str>> {
    let text = reader.text(raw, path)?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || !(1..=CARD_ID_LEN_MAX).contains(&text.len()) {
        let message = format!("must be the id of a card, of 1 to {CARD_ID_LEN_MAX} characters");
        reader.report(raw.get(), path, message);
        return None;
    }
    Some(text.into())
}

fn read_domain<'a>(reader: &mut Reader<'a>, raw: &'a RawValue, path: &Path<'_>) -> Option<Host> {
    let text = reader.text(raw, path)?;
    let host = Host::of_rule(&text);
    host.map_err(|refused| reader.report(raw.get(), path, refused.message()))
        .ok()
}

fn read_until<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
) -> Option<Timestamp> {
    let instant = parse_instant(&reader.text(raw, path)?);
    if instant.is_none() {
        let message = "must be an instant like \"2026-05-30T00:00:00Z\"";
        reader.report(raw.get(), path, message);
    }
    instant
}
