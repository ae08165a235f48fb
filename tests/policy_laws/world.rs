//! Random policies over one card, random requests on it, and the document that says the same.

use std::borrow::Cow;

use countersign::domain::acceptor::{CardAcceptor, Country};
use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::currency::Currency;
use countersign::domain::mcc::Mcc;
use jiff::Timestamp as Instant;
use serde_json::{Map, Value, json};

use crate::dice::Dice;

/// 2026-03-01T00:00:00Z: clocks change in the weeks behind it, on both halves of the globe.
pub(crate) const CREATED_US: i64 = 1_772_323_200_000_000;
pub(crate) const MINUTE_US: i64 = 60_000_000;
pub(crate) const ZONES: [&str; 6] = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
];
pub(crate) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const COUNTRIES: [&str; 3] = ["US", "CA", "DE"];
const CODES: [u16; 7] = [5_541, 5_542, 5_812, 5_942, 6_011, 7_995, 3_000];
const NAMES: [&str; 8] = [
    "BLUE BOTTLE #12",
    "SQ *BLUE BOTTLE",
    "BLUE-BOTTLE",
    "RED BOOKS 1234",
    "THE RED BOOKS",
    "PAYPAL *RED BOOKS AND CAF",
    "NETFLIX.COM",
    "",
];
const ENTRIES: [&str; 10] = [
    "Blue Bottle",
    "SQ *Blue",
    "red",
    "Red Books",
    "PayPal *Red",
    "Netflix",
    "cafe",
    "id:m1",
    "id:m2",
    "the red books",
];

#[derive(Clone, Debug)]
pub(crate) struct Hours {
    pub(crate) zone: Option<&'static str>,
    pub(crate) days: Vec<usize>,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// One level's policy; nothing is set unless it is there, and an empty list is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    pub(crate) per_auth: Option<i64>,
    /// Day, week, month, each with whether it is rolling.
    pub(crate) windows: [Option<(i64, bool)>; 3],
    pub(crate) total: Option<i64>,
    /// By hour, by day, for ever.
    pub(crate) counts: [Option<u32>; 3],
    pub(crate) expire_count: Option<u32>,
    pub(crate) expire_spend: Option<i64>,
    pub(crate) ttl_minutes: Option<i64>,
    pub(crate) ttl_days: Option<i64>,
    pub(crate) valid_from: Option<i64>,
    pub(crate) valid_until: Option<i64>,
    pub(crate) hours: Option<Hours>,
    pub(crate) cooldown: Option<i64>,
    pub(crate) max_score: Option<u8>,
    pub(crate) require_score: Option<bool>,
    pub(crate) allow_cash: Option<bool>,
    pub(crate) allow_partial: Option<bool>,
    pub(crate) fuel_hold: Option<i64>,
    pub(crate) allow_probe: Option<bool>,
    pub(crate) require_intent: Option<bool>,
    pub(crate) flags_mismatch: Option<bool>,
    pub(crate) require_approval: Option<bool>,
    pub(crate) approve_below: Option<i64>,
    pub(crate) require_attestation: Option<bool>,
    pub(crate) attestation_minutes: Option<i64>,
    pub(crate) lock: Option<bool>,
    pub(crate) allowed_mccs: Vec<(u16, u16)>,
    pub(crate) blocked_mccs: Vec<(u16, u16)>,
    pub(crate) allowed_countries: Vec<&'static str>,
    pub(crate) blocked_countries: Vec<&'static str>,
    pub(crate) allowed_merchants: Vec<&'static str>,
    pub(crate) blocked_merchants: Vec<&'static str>,
    pub(crate) any: Option<bool>,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    /// Card, agent, customer.
    pub(crate) levels: [Rules; 3],
    pub(crate) overriding: bool,
    pub(crate) zone: &'static str,
    pub(crate) single: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) kind: AuthorizationKind,
    pub(crate) minor: i64,
    pub(crate) cash: i64,
    pub(crate) mcc: Option<u16>,
    pub(crate) country: Option<&'static str>,
    pub(crate) name: &'static str,
    pub(crate) id: Option<&'static str>,
    pub(crate) partial: bool,
    pub(crate) present: Option<bool>,
    pub(crate) score: Option<u8>,
    pub(crate) at_us: i64,
}

/// Draws the fields of one level. A world has some fields and its levels mostly the same ones, so that
/// levels disagree.
struct Draw<'d> {
    dice: &'d mut Dice,
    /// Says which fields the world has: one in so many.
    fields: u64,
    one_in: usize,
    /// The field that comes next.
    at: u64,
}

impl Draw<'_> {
    fn some<T>(&mut self, make: impl FnOnce(&mut Dice) -> T) -> Option<T> {
        self.at += 1;
        let is_there = Dice(self.fields ^ self.at).one_in(self.one_in);
        let is_set = is_there && !self.dice.one_in(3);
        is_set.then(|| make(self.dice))
    }

    fn flag(&mut self) -> Option<bool> {
        self.some(|dice| dice.one_in(2))
    }

    fn of<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        self.some(|dice| from[dice.below(from.len())])
    }

    fn list<T: Copy>(&mut self, from: &[T]) -> Vec<T> {
        let list = self.some(|dice| {
            let mut list = vec![from[dice.below(from.len())]];
            for item in from {
                if dice.one_in(3) {
                    list.push(*item);
                }
            }
            list
        });
        list.unwrap_or_default()
    }
}

const RANGES: [(u16, u16); 5] = [
    (5_541, 5_542),
    (5_812, 5_812),
    (5_942, 5_942),
    (3_000, 5_900),
    (5_900, 9_999),
];

fn hours(dice: &mut Dice) -> Hours {
    let mut days: Vec<usize> = (0..7).filter(|_| !dice.one_in(4)).collect();
    if dice.one_in(3) {
        days.clear();
    }
    let from = dice.below(24) * 60 + [0, 15, 30][dice.below(3)];
    let mut to = dice.below(25) * 60;
    if from == to {
        to += 30;
    }
    Hours {
        zone: dice.one_in(2).then(|| dice.pick(&ZONES)),
        days,
        from,
        to: to.min(1_440),
    }
}

fn rules(dice: &mut Dice, fields: u64, one_in: usize) -> Rules {
    let mut draw = Draw {
        dice,
        fields,
        one_in,
        at: 0,
    };
    let it = &mut draw;
    let windows = [(); 3].map(|()| it.some(|dice| (1 + dice.below(9_000) as i64, dice.one_in(2))));
    Rules {
        per_auth: it.of(&[0, 99, 100, 5_000, 20_000]),
        windows,
        total: it.of(&[0, 10_000]),
        counts: [(); 3].map(|()| it.of(&[0, 1, 5])),
        expire_count: it.of(&[1, 7]),
        expire_spend: it.of(&[1, 700]),
        ttl_minutes: it.of(&[1, 60, 30_000, 80_000]),
        ttl_days: it.of(&[1, 20, 50]),
        valid_from: it.some(|dice| CREATED_US + dice.below(20) as i64 * 1_440 * MINUTE_US),
        valid_until: it.some(|dice| CREATED_US + (20 + dice.below(40) as i64) * 1_440 * MINUTE_US),
        hours: it.some(hours),
        cooldown: it.of(&[0, 1, 30]),
        max_score: it.of(&[0, 40, 98, 99]),
        require_score: it.flag(),
        allow_cash: it.flag(),
        allow_partial: it.flag(),
        fuel_hold: it.of(&[0, 50, 7_500, 12_500]),
        allow_probe: it.flag(),
        require_intent: it.flag(),
        flags_mismatch: it.flag(),
        require_approval: it.flag(),
        approve_below: it.of(&[0, 100, 5_000]),
        require_attestation: it.flag(),
        attestation_minutes: it.of(&[1, 15, 60]),
        lock: it.flag(),
        allowed_mccs: it.list(&RANGES),
        blocked_mccs: it.list(&RANGES),
        allowed_countries: it.list(&COUNTRIES),
        blocked_countries: it.list(&COUNTRIES),
        allowed_merchants: it.list(&ENTRIES),
        blocked_merchants: it.list(&ENTRIES),
        any: it.flag(),
    }
}

pub(crate) fn world(dice: &mut Dice) -> World {
    let fields = dice.next();
    let one_in = [3, 8, 15, 30][dice.below(4)];
    let levels = [(); 3].map(|()| {
        if dice.one_in(4) {
            Rules::default()
        } else {
            rules(dice, fields, one_in)
        }
    });
    World {
        levels,
        overriding: dice.one_in(3),
        zone: dice.pick(&ZONES),
        single: dice.one_in(2),
    }
}

/// Instants at which something could change, and any other.
fn instant(dice: &mut Dice, world: &World) -> i64 {
    let level = &world.levels[dice.below(3)];
    let day_us = 1_440 * MINUTE_US;
    let any_day = CREATED_US + dice.below(60) as i64 * day_us;
    let edge = match dice.below(6) {
        0 => level.ttl_minutes.map(|n| CREATED_US + n * MINUTE_US),
        1 => level.ttl_days.map(|n| CREATED_US + n * day_us),
        2 => level.valid_from,
        3 => level.valid_until,
        4 => level.hours.as_ref().map(|hours| {
            let minute = if dice.one_in(2) { hours.from } else { hours.to };
            let offset = [-300, 0, 60, 330, 660, 780][dice.below(6)];
            any_day + (minute as i64 - offset) * MINUTE_US
        }),
        _ => None,
    };
    match edge {
        Some(edge) => edge - 1 + dice.below(3) as i64,
        None => any_day + dice.below(86_400) as i64 * 1_000_000,
    }
}

pub(crate) fn ask(dice: &mut Dice, world: &World) -> Ask {
    let kinds = [
        AuthorizationKind::Authorization,
        AuthorizationKind::SingleMessage,
        AuthorizationKind::Credit,
        AuthorizationKind::BalanceInquiry,
    ];
    let kind = if dice.one_in(8) {
        kinds[dice.below(4)]
    } else {
        kinds[0]
    };
    let minor = [0, 1, 99, 100, 101, 5_000, 5_001, 12_500][dice.below(8)];
    Ask {
        kind,
        minor: if kind == AuthorizationKind::BalanceInquiry {
            0
        } else {
            minor
        },
        cash: if dice.one_in(12) { 50 } else { 0 },
        mcc: (!dice.one_in(12)).then(|| CODES[dice.below(CODES.len())]),
        country: (!dice.one_in(12)).then(|| dice.pick(&COUNTRIES)),
        name: dice.pick(&NAMES),
        id: (!dice.one_in(4)).then(|| dice.pick(&["m1", "m2", "m3"])),
        partial: dice.one_in(2),
        present: [None, Some(true), Some(false), Some(false)][dice.below(4)],
        score: [None, Some(0), Some(40), Some(41), Some(99)][dice.below(5)],
        at_us: instant(dice, world),
    }
}

pub(crate) fn request(ask: &Ask) -> AuthorizationRequest<'static> {
    AuthorizationRequest {
        authorization: Cow::Borrowed("x"),
        step: None,
        delivery: None,
        kind: ask.kind,
        card_token: Cow::Borrowed("t"),
        amount: Amount {
            minor: Minor::new(ask.minor).unwrap(),
            currency: Currency::USD,
        },
        cash: Minor::new(ask.cash).unwrap(),
        merchant_amount: None,
        acceptor: CardAcceptor {
            acquirer_id: None,
            acceptor_id: ask.id.map(Cow::Borrowed),
            descriptor: Cow::Borrowed(ask.name),
            mcc: ask.mcc.and_then(|code| Mcc::from_number(code).ok()),
            city: Cow::Borrowed(""),
            country: ask.country.and_then(Country::parse_alpha2),
        },
        partial_approval_capable: ask.partial,
        card_present: ask.present,
        merchant_initiated: false,
        risk_score: ask.score,
    }
}

/// A policy as its owner would write it.
#[expect(clippy::too_many_lines, reason = "one line for each field")]
pub(crate) fn policy(rules: &Rules) -> Value {
    let mut map = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            map.insert(name.to_owned(), value);
        }
    };
    let instant = |us: i64| json!(Instant::from_microsecond(us).unwrap().to_string());
    let time = |minute: usize| format!("{:02}:{:02}", minute / 60, minute % 60);
    let ranges = |list: &[(u16, u16)]| {
        let entry = |(first, last): &(u16, u16)| match first == last {
            true => format!("{first}"),
            false => format!("{first}-{last}"),
        };
        json!(list.iter().map(entry).collect::<Vec<_>>())
    };
    let merchants = |list: &[&str]| {
        let entry = |text: &&str| match text.strip_prefix("id:") {
            Some(id) => json!({"acceptorId": id}),
            None => json!(text),
        };
        json!(list.iter().map(entry).collect::<Vec<_>>())
    };
    set("limits", Some(limits(rules)));
    let mut ends = Map::new();
    if let Some(count) = rules.expire_count {
        ends.insert("count".to_owned(), json!(count));
    }
    if let Some(spend) = rules.expire_spend {
        ends.insert("spend".to_owned(), json!(spend));
    }
    set("expireAfter", (!ends.is_empty()).then(|| json!(ends)));
    set("ttlMinutes", rules.ttl_minutes.map(|it| json!(it)));
    set("ttlDays", rules.ttl_days.map(|it| json!(it)));
    set("validFrom", rules.valid_from.map(instant));
    set("validUntil", rules.valid_until.map(instant));
    let hours = rules.hours.as_ref().map(|hours| {
        let days: Vec<_> = hours.days.iter().map(|day| DAYS[*day]).collect();
        let mut all = json!({"days": days, "from": time(hours.from), "to": time(hours.to)});
        if let Some(zone) = hours.zone {
            all["timezone"] = json!(zone);
        }
        all
    });
    set("activeHours", hours);
    set("cooldownMinutes", rules.cooldown.map(|it| json!(it)));
    set("maxRiskScore", rules.max_score.map(|it| json!(it)));
    set("requireRiskScore", rules.require_score.map(|it| json!(it)));
    set("allowCash", rules.allow_cash.map(|it| json!(it)));
    set("allowPartial", rules.allow_partial.map(|it| json!(it)));
    set("fuelHold", rules.fuel_hold.map(|it| json!(it)));
    let probe = |allows| json!(if allows { "allow_one_probe" } else { "consume" });
    set("probePolicy", rules.allow_probe.map(probe));
    set("requireIntent", rules.require_intent.map(|it| json!(it)));
    let mismatch = |flags| json!(if flags { "flag" } else { "decline" });
    set("onIntentMismatch", rules.flags_mismatch.map(mismatch));
    set(
        "requireApproval",
        rules.require_approval.map(|it| json!(it)),
    );
    set("autoApproveBelow", rules.approve_below.map(|it| json!(it)));
    set(
        "requireAttestation",
        rules.require_attestation.map(|it| json!(it)),
    );
    let window = rules.attestation_minutes.map(|it| json!(it));
    set("attestationWindowMinutes", window);
    set("lockToFirstMerchant", rules.lock.map(|it| json!(it)));
    set("allowedMccs", Some(ranges(&rules.allowed_mccs)));
    set("blockedMccs", Some(ranges(&rules.blocked_mccs)));
    set("allowedCountries", Some(json!(rules.allowed_countries)));
    set("blockedCountries", Some(json!(rules.blocked_countries)));
    set(
        "allowedMerchants",
        Some(merchants(&rules.allowed_merchants)),
    );
    set(
        "blockedMerchants",
        Some(merchants(&rules.blocked_merchants)),
    );
    set(
        "match",
        rules.any.map(|any| json!(if any { "any" } else { "all" })),
    );
    Value::Object(map)
}

fn limits(rules: &Rules) -> Value {
    let mut map = Map::new();
    if let Some(cap) = rules.per_auth {
        map.insert("perAuth".to_owned(), json!(cap));
    }
    let names = ["perDay", "perWeek", "perMonth"];
    for (name, window) in names.into_iter().zip(rules.windows) {
        if let Some((amount, rolling)) = window {
            let value = match (rolling, amount % 2 == 0) {
                (true, _) => json!({"amount": amount, "window": "rolling"}),
                (false, true) => json!({"amount": amount, "window": "calendar"}),
                (false, false) => json!(amount),
            };
            map.insert(name.to_owned(), value);
        }
    }
    if let Some(total) = rules.total {
        map.insert("total".to_owned(), json!(total));
    }
    let names = ["countPerHour", "countPerDay", "countTotal"];
    for (name, count) in names.into_iter().zip(rules.counts) {
        if let Some(count) = count {
            map.insert(name.to_owned(), json!(count));
        }
    }
    Value::Object(map)
}

/// The whole document of a world.
pub(crate) fn document(world: &World) -> String {
    let [card, agent, customer] = world.levels.each_ref().map(policy);
    let created = Instant::from_microsecond(CREATED_US).unwrap().to_string();
    json!({
        "customers": [{
            "id": "c", "timezone": world.zone, "policy": customer,
            "cascade": if world.overriding { "override" } else { "tighten" },
        }],
        "agents": [{"id": "a", "customerId": "c", "policy": agent}],
        "cards": [{
            "id": "k", "connection": "acme", "issuerToken": "t", "customerId": "c", "agentId": "a",
            "usage": if world.single { "single" } else { "multi" }, "createdAt": created,
            "policy": card,
        }],
    })
    .to_string()
}
