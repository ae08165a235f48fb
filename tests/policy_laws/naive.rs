//! The rules as a reader of docs/policy.md would write them down: lists are walked, hours are marked
//! minute by minute in a table of the week, zones are jiff's, names are compared word by word.

use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::decision::DeclineReason as Reason;
use countersign::domain::explanation::RuleField as Field;
use jiff::Timestamp as Instant;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::oracle::{allows, blocks};
use crate::world::{Ask, CREATED_US, Hours, MINUTE_US, Rules, World};

/// What declines: the reason, the field, the level (0 is the card), observed and limit.
pub(crate) type Why = (Reason, Field, Option<usize>, Option<i64>, Option<i64>);

/// A value that won and its level.
pub(crate) type Won<T> = Option<(T, usize)>;

/// One world, with what can be worked out before any request.
pub(crate) struct Naive<'w> {
    pub(crate) world: &'w World,
    hours: Vec<(usize, TimeZone, Box<[bool; 10_080]>)>,
}

/// The lowest level's value, or the tightest.
fn won<T: Clone>(
    world: &World,
    get: impl Fn(&Rules) -> Option<T>,
    is_tighter: impl Fn(&T, &T) -> bool,
) -> Won<T> {
    let mut best: Won<T> = None;
    for (level, rules) in world.levels.iter().enumerate() {
        let Some(value) = get(rules) else {
            continue;
        };
        match &best {
            None => best = Some((value, level)),
            Some(_) if world.overriding => {}
            Some((old, _)) if is_tighter(&value, old) => best = Some((value, level)),
            Some(_) => {}
        }
    }
    best
}

pub(crate) fn smallest<T: Ord + Clone>(world: &World, get: impl Fn(&Rules) -> Option<T>) -> Won<T> {
    won(world, get, |new, old| new < old)
}

pub(crate) fn largest<T: Ord + Clone>(world: &World, get: impl Fn(&Rules) -> Option<T>) -> Won<T> {
    won(world, get, |new, old| new > old)
}

/// The level of a requirement in force.
pub(crate) fn required(world: &World, get: impl Fn(&Rules) -> Option<bool>) -> Option<usize> {
    match largest(world, get) {
        Some((true, level)) => Some(level),
        _ => None,
    }
}

pub(crate) fn allowed(world: &World, get: impl Fn(&Rules) -> Option<bool>) -> bool {
    matches!(smallest(world, get), Some((true, _)))
}

/// The levels whose list is asked.
fn asked(world: &World, has: impl Fn(&Rules) -> bool) -> Vec<usize> {
    let mut levels: Vec<usize> = (0..3).filter(|level| has(&world.levels[*level])).collect();
    if world.overriding {
        levels.truncate(1);
    }
    levels
}

/// Which minutes of a week that begins on Monday are open.
fn week(hours: &Hours) -> Box<[bool; 10_080]> {
    let mut open = Box::new([false; 10_080]);
    for day in 0..7 {
        if !hours.days.is_empty() && !hours.days.contains(&day) {
            continue;
        }
        let mut minute = hours.from;
        while minute % 1_440 != hours.to % 1_440 || minute == hours.from {
            open[(day * 1_440 + minute) % 10_080] = true;
            minute += 1;
        }
    }
    open
}

impl<'w> Naive<'w> {
    pub(crate) fn new(world: &'w World) -> Self {
        let database = TimeZoneDatabase::bundled();
        let hours = asked(world, |rules| rules.hours.is_some());
        let table = |level: usize| {
            let hours = world.levels[level].hours.as_ref().unwrap();
            let zone = database.get(hours.zone.unwrap_or(world.zone)).unwrap();
            (level, zone, week(hours))
        };
        Self {
            world,
            hours: hours.into_iter().map(table).collect(),
        }
    }

    /// The first level that is closed at the instant.
    pub(crate) fn closed_level(&self, at_us: i64) -> Option<usize> {
        let closed = self.hours.iter().find(|hours| !is_open(hours, at_us));
        closed.map(|(level, _, _)| *level)
    }

    /// Whether one level's hours are open.
    pub(crate) fn is_open_at(&self, level: usize, at_us: i64) -> bool {
        self.hours
            .iter()
            .filter(|(at, _, _)| *at == level)
            .all(|hours| is_open(hours, at_us))
    }

    fn spends(ask: &Ask) -> bool {
        [
            AuthorizationKind::Authorization,
            AuthorizationKind::SingleMessage,
        ]
        .contains(&ask.kind)
    }

    pub(crate) fn expired(&self, ask: &Ask) -> Option<Why> {
        if ask.kind == AuthorizationKind::Credit {
            return None;
        }
        let day_us = 1_440 * MINUTE_US;
        let world = self.world;
        let mut ends = Vec::new();
        if let Some((until, level)) = smallest(world, |rules| rules.valid_until) {
            ends.push((until, level, Field::ValidUntil));
        }
        if let Some((minutes, level)) = smallest(world, |rules| rules.ttl_minutes) {
            ends.push((CREATED_US + minutes * MINUTE_US, level, Field::TtlMinutes));
        }
        if let Some((days, level)) = smallest(world, |rules| rules.ttl_days) {
            ends.push((CREATED_US + days * day_us, level, Field::TtlDays));
        }
        ends.sort_by_key(|(at, _, _)| *at);
        let why = |at, level, field| {
            Some((
                Reason::CardExpired,
                field,
                Some(level),
                Some(ask.at_us),
                Some(at),
            ))
        };
        if let Some((at, level, field)) = ends.first()
            && ask.at_us >= *at
        {
            return why(*at, *level, *field);
        }
        let (from, level) = largest(world, |rules| rules.valid_from)?;
        if ask.at_us < from {
            return why(from, level, Field::ValidFrom);
        }
        None
    }

    /// The amount that an approval reserves.
    pub(crate) fn amount(&self, ask: &Ask) -> i64 {
        let is_status_check = ask.mcc == Some(5_542) && (1..=100).contains(&ask.minor);
        match largest(self.world, |rules| rules.fuel_hold) {
            Some((hold, _)) if is_status_check => hold.max(ask.minor),
            _ => ask.minor,
        }
    }

    pub(crate) fn rule(&self, ask: &Ask) -> Option<Why> {
        if !Self::spends(ask) {
            return None;
        }
        self.cash(ask)
            .or_else(|| self.lists(ask))
            .or_else(|| self.score(ask))
            .or_else(|| self.over_cap(ask))
    }

    fn cash(&self, ask: &Ask) -> Option<Why> {
        let codes = [6_010, 6_011, 4_829, 6_050, 6_051, 6_540, 7_995];
        let code = ask.mcc.filter(|code| codes.contains(code));
        if ask.cash == 0 && code.is_none() {
            return None;
        }
        let word = smallest(self.world, |rules| rules.allow_cash);
        if matches!(word, Some((true, _))) {
            return None;
        }
        let (observed, limit) = if ask.cash > 0 {
            (Some(ask.cash), Some(0))
        } else {
            (code.map(i64::from), None)
        };
        let level = word.map(|(_, level)| level);
        Some((
            Reason::TransactionTypeNotAllowed,
            Field::AllowCash,
            level,
            observed,
            limit,
        ))
    }

    fn lists(&self, ask: &Ask) -> Option<Why> {
        let world = self.world;
        let country = ask
            .country
            .map(|it| i64::from(u16::from_be_bytes(it.as_bytes().try_into().unwrap())));
        let mcc = ask.mcc.map(i64::from);
        let in_ranges = |list: &[(u16, u16)]| {
            ask.mcc.map(|code| {
                list.iter()
                    .any(|(first, last)| (*first..=*last).contains(&code))
            })
        };
        for level in asked(world, |rules| !rules.blocked_countries.is_empty()) {
            let list = &world.levels[level].blocked_countries;
            if ask.country.is_none_or(|country| list.contains(&country)) {
                let field = Field::BlockedCountries;
                return Some((Reason::CountryNotAllowed, field, Some(level), country, None));
            }
        }
        if let Some(level) = self.not_allowed(ask, 0) {
            let field = Field::AllowedCountries;
            return Some((Reason::CountryNotAllowed, field, Some(level), country, None));
        }
        for level in asked(world, |rules| !rules.blocked_mccs.is_empty()) {
            if in_ranges(&world.levels[level].blocked_mccs) != Some(false) {
                return Some((
                    Reason::MccBlocked,
                    Field::BlockedMccs,
                    Some(level),
                    mcc,
                    None,
                ));
            }
        }
        if let Some(level) = self.not_allowed(ask, 1) {
            return Some((
                Reason::MccNotAllowed,
                Field::AllowedMccs,
                Some(level),
                mcc,
                None,
            ));
        }
        for level in asked(world, |rules| !rules.blocked_merchants.is_empty()) {
            let named = |entry: &&str| match entry.strip_prefix("id:") {
                Some(id) => ask.id == Some(id),
                None => blocks(entry, ask.name),
            };
            if world.levels[level].blocked_merchants.iter().any(named) {
                let field = Field::BlockedMerchants;
                return Some((Reason::MerchantBlocked, field, Some(level), None, None));
            }
        }
        let level = self.not_allowed(ask, 2)?;
        Some((
            Reason::MerchantNotAllowed,
            Field::AllowedMerchants,
            Some(level),
            None,
            None,
        ))
    }

    /// The first level that is refused by the name of this kind: 0 countries, 1 categories, 2
    /// merchants.
    fn not_allowed(&self, ask: &Ask, kind: usize) -> Option<usize> {
        let has: [fn(&Rules) -> bool; 3] = [
            |rules| !rules.allowed_countries.is_empty(),
            |rules| !rules.allowed_mccs.is_empty(),
            |rules| !rules.allowed_merchants.is_empty(),
        ];
        for level in 0..3 {
            let rules = &self.world.levels[level];
            let kinds: Vec<usize> = (0..3)
                .filter(|kind| asked(self.world, has[*kind]).contains(&level))
                .collect();
            if !kinds.contains(&kind) || allowed_by(rules, ask, kind) {
                continue;
            }
            if rules.any != Some(true) {
                return Some(level);
            }
            let none = kinds.iter().all(|kind| !allowed_by(rules, ask, *kind));
            if none && kinds[0] == kind {
                return Some(level);
            }
        }
        None
    }

    fn score(&self, ask: &Ask) -> Option<Why> {
        let reason = Reason::RiskScoreTooHigh;
        match ask.score {
            None => {
                let level = required(self.world, |rules| rules.require_score)?;
                Some((reason, Field::RequireRiskScore, Some(level), None, None))
            }
            Some(score) => {
                let (cap, level) = smallest(self.world, |rules| rules.max_score)?;
                let numbers = (Some(i64::from(score)), Some(i64::from(cap)));
                (score > cap).then_some((
                    reason,
                    Field::MaxRiskScore,
                    Some(level),
                    numbers.0,
                    numbers.1,
                ))
            }
        }
    }

    fn over_cap(&self, ask: &Ask) -> Option<Why> {
        let (cap, level) = smallest(self.world, |rules| rules.per_auth)?;
        let amount = self.amount(ask);
        let (reason, field) = (Reason::AmountOverPerAuth, Field::PerAuth);
        (amount > cap).then_some((reason, field, Some(level), Some(amount), Some(cap)))
    }

    pub(crate) fn may_probe(&self, ask: &Ask) -> bool {
        let cash = [6_010, 6_011, 4_829, 6_050, 6_051, 6_540, 7_995, 5_542];
        self.world.single
            && Self::spends(ask)
            && (1..=100).contains(&ask.minor)
            && ask.present == Some(false)
            && ask.cash == 0
            && ask.mcc.is_some_and(|code| !cash.contains(&code))
            && allowed(self.world, |rules| rules.allow_probe)
    }

    pub(crate) fn may_approve_part(&self, ask: &Ask) -> bool {
        let cash = [6_010, 6_011, 4_829, 6_050, 6_051, 6_540, 7_995];
        Self::spends(ask)
            && ask.partial
            && ask.cash == 0
            && ask.mcc.is_some_and(|code| !cash.contains(&code))
            && allowed(self.world, |rules| rules.allow_partial)
    }
}

fn is_open((_, zone, week): &(usize, TimeZone, Box<[bool; 10_080]>), at_us: i64) -> bool {
    let local = zone.to_datetime(Instant::from_microsecond(at_us).unwrap());
    let day = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap();
    let minute =
        usize::try_from(local.hour()).unwrap() * 60 + usize::try_from(local.minute()).unwrap();
    week[day * 1_440 + minute]
}

fn allowed_by(rules: &Rules, ask: &Ask, kind: usize) -> bool {
    match kind {
        0 => ask
            .country
            .is_some_and(|country| rules.allowed_countries.contains(&country)),
        1 => ask.mcc.is_some_and(|code| {
            let mut ranges = rules.allowed_mccs.iter();
            ranges.any(|(first, last)| (*first..=*last).contains(&code))
        }),
        _ => rules
            .allowed_merchants
            .iter()
            .any(|entry| match entry.strip_prefix("id:") {
                Some(id) => ask.id == Some(id),
                None => !ask.name.is_empty() && allows(entry, ask.name),
            }),
    }
}
