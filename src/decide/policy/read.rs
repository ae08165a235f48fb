//! Reading a policy. Complaints go to the reader; what could not be read is left out.
//!
//! A field that stands somewhere else is refused by its name, never ignored: an owner who wrote
//! `agentMayCreateCards` must not believe that it is in force.

mod requests;

use std::sync::Arc;

use serde_json::value::RawValue;

use super::hours::{ActiveHours, Days};
use super::{LimitField, Lists, OnIntentMismatch, Policy, ProbePolicy, Terms};
use crate::decide::compile::{Zones, parse_instant};
use crate::decide::json::{Fields, Path, Reader};
use crate::decide::merchant_text::list::{EntryRefused, ListKind, MerchantEntry, MerchantList};
use crate::domain::acceptor::{Country, CountrySet};
use crate::domain::mcc::{Mcc, MccSet};
use crate::domain::time::Timestamp;

/// Entries of one list; more is refused.
const LIST_ENTRIES_MAX: usize = 10_000;
/// The largest number of authorizations that a limit can name.
const COUNT_MAX: i64 = 1_000_000_000;
/// A year of minutes, for cooldowns.
const COOLDOWN_MINUTES_MAX: i64 = 525_600;
/// Ten years.
const TTL_DAYS_MAX: i64 = 3_650;
const TTL_MINUTES_MAX: i64 = TTL_DAYS_MAX * 1_440;
const RISK_SCORE_MAX: i64 = 99;
const ATTESTATION_MINUTES_MAX: i64 = 60;

/// The limits that count authorizations: an hour, a day, in all.
const COUNT_LIMITS: [&str; 3] = ["countPerHour", "countPerDay", "countTotal"];

/// What else is known about a name that no policy has here.
fn explain(name: &str) -> Option<String> {
    if name == "agentMayCreateCards" {
        let place = "is no rule of a policy: a customer has it as `fleet.agentMayCreateCards`";
        return Some(place.to_owned());
    }
    let is_amount = LimitField::ALL.iter().any(|field| field.name() == name);
    (is_amount || COUNT_LIMITS.contains(&name)).then(|| "belongs into `limits`".to_owned())
}

/// Reads one policy.
pub(in crate::decide) fn read_policy<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
    zones: &mut Zones,
) -> Option<Policy> {
    let fields = reader.object(raw, path)?;
    let mut form = Form {
        reader,
        fields,
        path,
    };
    let mut policy = Policy::default();
    let mut terms = Terms::default();
    form.limits(&mut policy, &mut terms);
    policy.lock_to_first_merchant = form.flag("lockToFirstMerchant");
    let lists = form.lists();
    form.lifetime(&mut terms);
    form.usage(&mut terms);
    form.intents(&mut terms);
    terms.standing_approval = form.take("standingApproval", requests::read_approval_name);
    terms.requests = form.requests();
    terms.active_hours = form.active_hours(zones);
    let Form { fields, .. } = form;
    fields.finish(reader, path, explain);
    policy.set_lists(lists);
    policy.terms = (terms != Terms::default()).then(|| Arc::new(terms));
    Some(policy)
}

/// An object whose fields are taken by name.
struct Form<'r, 'a, 'p> {
    reader: &'r mut Reader<'a>,
    fields: Fields<'a>,
    path: &'p Path<'p>,
}

impl<'a> Form<'_, 'a, '_> {
    fn take<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Reader<'a>, &'a RawValue, &Path<'_>) -> Option<T>,
    ) -> Option<T> {
        let raw = self.fields.take(name)?;
        read(self.reader, raw, &self.path.field(name))
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.take(name, Reader::boolean)
    }

    fn integer<T: TryFrom<i64>>(&mut self, name: &'static str, first: i64, last: i64) -> Option<T> {
        self.take(name, |reader, raw, path| {
            reader.integer(raw, path, first..=last)
        })
    }

    fn word<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.take(name, |reader, raw, path| reader.word(raw, path, words))
    }

    /// An instant to which nothing is to be objected.
    fn instant(
        &mut self,
        name: &'static str,
        objection: impl FnOnce(Timestamp) -> Option<&'static str>,
    ) -> Option<Timestamp> {
        self.take(name, |reader, raw, path| {
            let instant = parse_instant(&reader.text(raw, path)?);
            let message = match instant {
                None => Some("must be an instant like \"2026-05-30T00:00:00Z\""),
                Some(instant) => objection(instant),
            };
            if let Some(message) = message {
                reader.report(raw.get(), path, message);
            }
            instant.filter(|_| message.is_none())
        })
    }

    /// The fields of an object inside this one.
    fn inner(&mut self, name: &'static str, read: impl FnOnce(&mut Form<'_, 'a, '_>)) {
        let Some(raw) = self.fields.take(name) else {
            return;
        };
        let path = self.path.field(name);
        let Some(fields) = self.reader.object(raw, &path) else {
            return;
        };
        let mut form = Form {
            reader: &mut *self.reader,
            fields,
            path: &path,
        };
        read(&mut form);
        let Form { fields, .. } = form;
        fields.finish(self.reader, &path, |_| None);
    }

    fn limits(&mut self, policy: &mut Policy, terms: &mut Terms) {
        self.inner("limits", |form| {
            for field in LimitField::ALL {
                form.limit(field, policy);
            }
            let [per_hour, per_day, total] =
                COUNT_LIMITS.map(|name| form.integer(name, 0, COUNT_MAX));
            terms.count_per_hour = per_hour;
            terms.count_per_day = per_day;
            terms.count_total = total;
        });
    }

    /// A number, or an object that says over which kind of window.
    fn limit(&mut self, field: LimitField, policy: &mut Policy) {
        let cap = self.take(field.name(), |reader, raw, path| {
            if !raw.get().starts_with('{') {
                return Some((reader.minor(raw, path)?, false));
            }
            if !field.has_window() {
                reader.report(raw.get(), path, "must be a number: it has no window");
                return None;
            }
            let mut fields = reader.object(raw, path)?;
            let amount = fields.require(reader, path, "amount");
            let amount = amount.and_then(|raw| reader.minor(raw, &path.field("amount")));
            let window = fields.take("window");
            let words = [("calendar", false), ("rolling", true)];
            let rolling = match window {
                Some(raw) => reader.word(raw, &path.field("window"), &words),
                None => Some(false),
            };
            fields.finish(reader, path, |_| None);
            amount.zip(rolling)
        });
        if let Some((cap, rolling)) = cap {
            policy.set_limit(field, cap, rolling);
        }
    }

    fn lists(&mut self) -> Lists {
        let mut lists = Lists {
            matches_any: self.word("match", &[("all", false), ("any", true)]),
            ..Lists::default()
        };
        for (name, list) in [
            ("allowedMccs", &mut lists.allowed_mccs),
            ("blockedMccs", &mut lists.blocked_mccs),
        ] {
            *list = self.take(name, read_mccs).map(Arc::new);
        }
        for (name, list) in [
            ("allowedCountries", &mut lists.allowed_countries),
            ("blockedCountries", &mut lists.blocked_countries),
        ] {
            *list = self.take(name, read_countries).map(Arc::new);
        }
        for (name, kind, list) in [
            (
                "allowedMerchants",
                ListKind::Allows,
                &mut lists.allowed_merchants,
            ),
            (
                "blockedMerchants",
                ListKind::Blocks,
                &mut lists.blocked_merchants,
            ),
        ] {
            let read = |reader: &mut Reader<'a>, raw, path: &Path<'_>| {
                read_merchants(reader, raw, path, kind)
            };
            *list = self.take(name, read).map(Arc::new);
        }
        lists
    }

    fn lifetime(&mut self, terms: &mut Terms) {
        terms.ttl_minutes = self.integer("ttlMinutes", 1, TTL_MINUTES_MAX);
        terms.ttl_days = self.integer("ttlDays", 1, TTL_DAYS_MAX);
        terms.valid_from = self.instant("validFrom", |_| None);
        let from = terms.valid_from;
        terms.valid_until = self.instant("validUntil", |until| {
            let never = from.is_some_and(|from| until <= from);
            never.then_some("must be later than `validFrom`")
        });
        self.inner("expireAfter", |form| {
            terms.expire_after_count = form.integer("count", 1, COUNT_MAX);
            terms.expire_after_spend = form.take("spend", |reader, raw, path| {
                let spend = reader.minor(raw, path)?;
                if spend.is_zero() {
                    reader.report(raw.get(), path, "must be at least 1");
                }
                (!spend.is_zero()).then_some(spend)
            });
        });
    }

    fn usage(&mut self, terms: &mut Terms) {
        terms.cooldown_minutes = self.integer("cooldownMinutes", 0, COOLDOWN_MINUTES_MAX);
        terms.max_risk_score = self.integer("maxRiskScore", 0, RISK_SCORE_MAX);
        terms.require_risk_score = self.flag("requireRiskScore");
        terms.allow_cash = self.flag("allowCash");
        terms.allow_partial = self.flag("allowPartial");
        terms.fuel_hold = self.take("fuelHold", Reader::minor);
        let words = [
            (ProbePolicy::Consume.name(), ProbePolicy::Consume),
            (
                ProbePolicy::AllowOneProbe.name(),
                ProbePolicy::AllowOneProbe,
            ),
        ];
        terms.probe_policy = self.word("probePolicy", &words);
        terms.refunds_restore = self.flag("refundsRestore");
        terms.reauthorize_same_merchant = self.flag("reauthorizeSameMerchant");
    }

    fn intents(&mut self, terms: &mut Terms) {
        terms.require_intent = self.flag("requireIntent");
        terms.require_approval = self.flag("requireApproval");
        terms.auto_approve_below = self.take("autoApproveBelow", Reader::minor);
        let words = [
            (OnIntentMismatch::Decline.name(), OnIntentMismatch::Decline),
            (OnIntentMismatch::Flag.name(), OnIntentMismatch::Flag),
        ];
        terms.on_intent_mismatch = self.word("onIntentMismatch", &words);
        terms.require_attestation = self.flag("requireAttestation");
        terms.attestation_window_minutes =
            self.integer("attestationWindowMinutes", 1, ATTESTATION_MINUTES_MAX);
    }

    fn active_hours(&mut self, zones: &mut Zones) -> Option<ActiveHours> {
        let mut hours = None;
        self.inner("activeHours", |form| {
            let zone = form.take("timezone", |reader, raw, path| {
                let zone = zones.get(&reader.text(raw, path)?);
                if zone.is_none() {
                    let message = "must be a zone of the IANA database";
                    reader.report(raw.get(), path, message);
                }
                zone
            });
            let days = form.take("days", read_days).unwrap_or(Days::ALL);
            let from = form.minute_of_day("from", NO_LATER, |minute| minute < 1_440);
            let message = "must be a time like \"17:30\", at most \"24:00\", other than `from`";
            let to = form.minute_of_day("to", message, |minute| Some(minute) != from);
            hours = from.zip(to).map(|(from_minute, to_minute)| ActiveHours {
                zone,
                days,
                from_minute,
                to_minute,
            });
        });
        hours
    }

    fn minute_of_day(
        &mut self,
        name: &'static str,
        message: &str,
        is_lawful: impl FnOnce(u16) -> bool,
    ) -> Option<u16> {
        let raw = self.fields.require(self.reader, self.path, name)?;
        let place = self.path.field(name);
        let minute = parse_time(&self.reader.text(raw, &place)?).filter(|it| is_lawful(*it));
        if minute.is_none() {
            self.reader.report(raw.get(), &place, message);
        }
        minute
    }
}

const NO_LATER: &str = "must be a time like \"09:00\"";

/// `09:00` as minutes since midnight; `24:00` is the end of the day.
fn parse_time(text: &str) -> Option<u16> {
    let &[a, b, b':', c, d] = text.as_bytes() else {
        return None;
    };
    let pair = |tens: u8, ones: u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| u16::from(tens - b'0') * 10 + u16::from(ones - b'0'))
    };
    let (hour, minute) = (pair(a, b)?, pair(c, d)?);
    let lawful = minute < 60 && (hour < 24 || (hour == 24 && minute == 0));
    lawful.then_some(hour * 60 + minute)
}

/// The entries of a list; absent where it is empty, which is no constraint (behaviour 2.14 d).
fn entries<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
) -> Option<Vec<&'a RawValue>> {
    let items = reader.array(raw, path)?;
    if items.len() > LIST_ENTRIES_MAX {
        let message = format!("must have at most {LIST_ENTRIES_MAX} entries");
        reader.report(raw.get(), path, message);
        return None;
    }
    (!items.is_empty()).then_some(items)
}

/// Reads each entry of a list as text.
fn read_texts<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
    message: &str,
    mut take: impl FnMut(&str) -> bool,
) -> bool {
    let Some(items) = entries(reader, raw, path) else {
        return false;
    };
    for (at, item) in items.into_iter().enumerate() {
        let place = path.index(at);
        if let Some(text) = reader.text(item, &place)
            && !take(&text)
        {
            reader.report(item.get(), &place, message);
        }
    }
    true
}

/// Codes and ranges.
fn read_mccs<'a>(reader: &mut Reader<'a>, raw: &'a RawValue, path: &Path<'_>) -> Option<MccSet> {
    let mut set = MccSet::new();
    let message = "must be an MCC, four digits like \"5812\", or a range like \"3000-3350\"";
    let some = read_texts(reader, raw, path, message, |text| {
        let range = parse_mcc_range(text);
        if let Some((first, last)) = range {
            set.insert_range(first, last);
        }
        range.is_some()
    });
    some.then_some(set)
}

fn parse_mcc_range(text: &str) -> Option<(Mcc, Mcc)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (Mcc::parse(first).ok()?, Mcc::parse(last).ok()?);
    (first <= last).then_some((first, last))
}

fn read_countries<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
) -> Option<CountrySet> {
    let mut set = CountrySet::new();
    let message = "must be the two letters of a country in ISO 3166-1, like \"US\"; the United \
                   Kingdom's are \"GB\"";
    let some = read_texts(reader, raw, path, message, |text| {
        // `UK` would block nothing.
        let country = Country::parse_alpha2(text).filter(|country| country.is_listed());
        if let Some(country) = country {
            set.insert(country);
        }
        country.is_some()
    });
    some.then_some(set)
}

fn read_days<'a>(reader: &mut Reader<'a>, raw: &'a RawValue, path: &Path<'_>) -> Option<Days> {
    let mut places = Vec::new();
    let message = "must be one of: mon, tue, wed, thu, fri, sat, sun";
    let some = read_texts(reader, raw, path, message, |text| {
        let mut named = (0_u8..).zip(Days::NAMES);
        let place = named.find(|(_, name)| *name == text);
        places.extend(place.map(|(place, _)| place));
        place.is_some()
    });
    some.then(|| Days::of(places))
}

/// Names, or objects that hold the merchant's id at its bank.
fn read_merchants<'a>(
    reader: &mut Reader<'a>,
    raw: &'a RawValue,
    path: &Path<'_>,
    kind: ListKind,
) -> Option<MerchantList> {
    let items = entries(reader, raw, path)?;
    let mut read = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let place = path.index(at);
        if item.get().starts_with('{') {
            let mut fields = reader.object(item, &place)?;
            let id = fields.require(reader, &place, "acceptorId");
            let id = id.and_then(|raw| reader.text(raw, &place.field("acceptorId")));
            fields.finish(reader, &place, |_| None);
            read.push(MerchantEntry::AcceptorId(id?.trim().into()));
        } else {
            let text = reader.text(item, &place)?;
            read.push(MerchantEntry::Name(text.into()));
        }
    }
    match MerchantList::compile(kind, read) {
        Ok(list) => Some(list),
        Err((at, why)) => {
            let item = items.get(at).map_or_else(|| raw.get(), |item| item.get());
            reader.report(item, &path.index(at), refusal(kind, why));
            None
        }
    }
}

fn refusal(kind: ListKind, why: EntryRefused) -> &'static str {
    match (why, kind) {
        (EntryRefused::Domain, ListKind::Allows) => {
            "looks like a domain, and card networks name merchants, not domains: domains belong \
             into `allowedDomains`, a rule of purchase requests; write the name as statements show it, or {\"acceptorId\": …}"
        }
        (EntryRefused::Domain, ListKind::Blocks) => {
            "looks like a domain, and card networks name merchants, not domains: domains belong \
             into `allowedDomains` and `blockedDomains`, rules of purchase requests; write the \
             name as statements show it, or {\"acceptorId\": …}"
        }
        (EntryRefused::MarkAlone, _) => {
            "names a payment facilitator and nobody behind it; write the merchant too, like \
             \"SQ *BLUE BOTTLE\""
        }
        (EntryRefused::NoName, _) => "must name a merchant, with at least one letter",
        (EntryRefused::TooLong, _) => "must be at most 128 bytes",
        (EntryRefused::NotAnId, _) => "must be an id of 1 to 128 printable ASCII characters",
    }
}
