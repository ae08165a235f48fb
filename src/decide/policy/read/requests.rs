//! The fields of purchase requests (behaviour 4.2, 5).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::{COUNT_MAX, Form, entries, read_mccs, read_merchants};
use crate::decide::json::{Path, Reader};
use crate::decide::merchant_text::list::ListKind;
use crate::decide::purchase::host::Host;
use crate::decide::purchase::merchants::KnownMerchant;
use crate::decide::purchase::{RequestRule, RequestTerms, Unscoped};

/// A card is good for twenty minutes at least, and a week at most.
const CARD_TTL_MINUTES: (i64, i64) = (20, 10_080);
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
            unscoped: self.word("unscopedRequests", &Unscoped::ALL.map(|it| (it.name(), it))),
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
        self.inner("onViolation", |form| {
            for rule in RequestRule::ALL {
                let words = [("deny", false), ("review", true)];
                if form.word(rule.name(), &words) == Some(true) {
                    terms.reviewable |= 1 << (rule as u8);
                }
            }
        });
        (terms != RequestTerms::default()).then(|| Arc::new(terms))
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
    let domain = domain.and_then(|raw| {
        let place = path.field("domain");
        let text = reader.text(raw, &place)?;
        let host = Host::of_rule(&text);
        host.map_err(|refused| reader.report(raw.get(), &place, refused.message()))
            .ok()
    });
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
