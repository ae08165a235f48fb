//! The compiled rules against the naive ones, on as many requests as POLICY_PAIRS says (hazard F7).

use std::collections::BTreeMap;

use countersign::decide::document::{DocumentContext, read_snapshot};
use countersign::decide::effective::{EffectivePolicy, Value, effective};
use countersign::decide::evaluate::evaluate;
use countersign::decide::snapshot::Snapshot;
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::card::Level;
use countersign::domain::claims::{CardRules, IntentRule, Proposal, ScopeLimits};
use countersign::domain::decision::DeclineReason;
use countersign::domain::explanation::Explanation;
use countersign::domain::time::Timestamp;
use countersign::fingerprint::Fingerprinter;

use crate::dice::{Dice, pair_count};
use crate::naive::{Naive, Why, Won, allowed, largest, required, smallest};
use crate::world::{Ask, MINUTE_US, Rules, World, ask, document, request, world};

/// Requests on one world, because reading a document takes longer than asking its rules.
const ASKS: usize = 100;

pub(crate) fn compiled(world: &World) -> Snapshot {
    let context = DocumentContext {
        file: "law.json",
        connections: &["acme"],
        version: 1,
    };
    let text = document(world);
    read_snapshot(text.as_bytes(), context, &Fingerprinter::new(3))
        .unwrap_or_else(|errors| panic!("{errors:?}\n{text}"))
}

pub(crate) fn propose(snapshot: &Snapshot, ask: &Ask) -> Proposal {
    let card = snapshot.card_by_id("k").unwrap();
    let at = Timestamp::from_micros(ask.at_us);
    evaluate(&card, &request(ask), at, &Fingerprinter::new(3))
}

fn told(why: Option<Explanation>) -> Option<Why> {
    let it = why?;
    let level = it.level.map(|level| level as usize);
    Some((it.reason, it.field, level, it.observed, it.limit))
}

fn check_hours(naive: &Naive<'_>, asked: &Ask, found: Option<Explanation>, dice: &mut Dice) {
    let spends = [
        AuthorizationKind::Authorization,
        AuthorizationKind::SingleMessage,
    ];
    let expected = naive
        .closed_level(asked.at_us)
        .filter(|_| spends.contains(&asked.kind));
    let level = found.and_then(|why| why.level).map(|level| level as usize);
    assert_eq!(level, expected);
    let (Some(why), Some(level)) = (found, level) else {
        return;
    };
    assert_eq!(why.observed, Some(asked.at_us));
    // Hours open within nine days, at once and not a second earlier.
    let opens = why.resets_at.unwrap().micros();
    assert!(opens > asked.at_us && opens <= asked.at_us + 9 * 1_440 * MINUTE_US);
    assert!(naive.is_open_at(level, opens));
    assert!(!naive.is_open_at(level, opens - 1_000_000));
    let between = (opens - asked.at_us) / 1_000_000;
    for _ in 0..4 {
        let at =
            asked.at_us + dice.below(usize::try_from(between).unwrap().max(1)) as i64 * 1_000_000;
        assert!(!naive.is_open_at(level, at), "{at}");
    }
}

fn leveled<T: Copy>(won: Won<T>) -> Option<(T, Level)> {
    won.map(|(value, level)| (value, Level::ALL[level]))
}

fn check_claims(naive: &Naive<'_>, asked: &Ask, found: &Proposal) {
    let world = naive.world;
    let claims = &found.claims;
    let spends = [
        AuthorizationKind::Authorization,
        AuthorizationKind::SingleMessage,
    ]
    .contains(&asked.kind);
    let is_limited = asked.kind != AuthorizationKind::Credit;
    let amount = if spends { naive.amount(asked) } else { 0 };
    assert_eq!(claims.amount.minor.get(), amount);
    let minor = |cap: Option<i64>| cap.and_then(minor_of);
    for (rules, found) in world.levels.iter().zip(claims.limits) {
        let windows = |rolling| {
            rules.windows.map(|window| {
                let window = window.filter(|(_, kind)| *kind == rolling);
                minor(window.map(|(amount, _)| amount))
            })
        };
        let ([per_day, per_week, per_month], [rolling_day, rolling_week, rolling_month]) =
            (windows(false), windows(true));
        let [count_per_hour, count_per_day, count_total] = rules.counts;
        let expected = ScopeLimits {
            per_day,
            per_week,
            per_month,
            total: minor(rules.total),
            rolling_day,
            rolling_week,
            rolling_month,
            count_per_hour,
            count_per_day,
            count_total,
            count_of_period: None,
        };
        let none = ScopeLimits::default();
        assert_eq!(found, if is_limited { expected } else { none });
    }
    let cap = smallest(world, |rules| rules.per_auth);
    let cap = leveled(cap.map(|(cap, level)| (minor_of(cap).unwrap(), level)));
    assert_eq!(claims.per_auth, cap.filter(|_| is_limited));
    assert_eq!(claims.single_use, spends && world.single);
    let lock = required(world, |rules| rules.lock).map(|level| Level::ALL[level]);
    assert_eq!(claims.lock_to_first_merchant, lock.filter(|_| spends));
    check_rules(naive, asked, &claims.rules);
}

fn minor_of(n: i64) -> Option<countersign::domain::amount::Minor> {
    countersign::domain::amount::Minor::new(n).ok()
}

fn check_rules(naive: &Naive<'_>, asked: &Ask, found: &CardRules) {
    let world = naive.world;
    let kind = asked.kind;
    let spends = ![AuthorizationKind::Credit, AuthorizationKind::BalanceInquiry].contains(&kind);
    if kind == AuthorizationKind::Credit {
        assert_eq!(*found, CardRules::default());
        return;
    }
    assert_eq!(
        found.expire_after_count,
        leveled(smallest(world, |it| it.expire_count))
    );
    let spend = smallest(world, |it| it.expire_spend);
    let spend = spend.map(|(spend, level)| (minor_of(spend).unwrap(), level));
    assert_eq!(found.expire_after_spend, leveled(spend));
    if !spends {
        return;
    }
    let cooldown = largest(world, |it| it.cooldown).filter(|(minutes, _)| *minutes > 0);
    let cooldown = cooldown.map(|(minutes, level)| (minutes * MINUTE_US, level));
    assert_eq!(found.cooldown_us, leveled(cooldown));
    assert_eq!(found.may_probe, naive.may_probe(asked));
    assert_eq!(found.may_approve_part, naive.may_approve_part(asked));
    let window = smallest(world, |it| it.attestation_minutes).map_or(15, |(minutes, _)| minutes);
    let attestation = required(world, |it| it.require_attestation);
    let attestation = attestation.map(|level| (window * MINUTE_US, Level::ALL[level]));
    assert_eq!(found.attestation_us, attestation);
    let approval = required(world, |it| it.require_approval);
    let intent = required(world, |it| it.require_intent).or(approval);
    let below = smallest(world, |it| it.approve_below).map(|(below, _)| below);
    let expected = intent.map(|level| IntentRule {
        level: Level::ALL[level],
        requires_approval: approval.is_some(),
        auto_approve_below: below.and_then(minor_of),
        flags_mismatch: allowed(world, |it| it.flags_mismatch),
    });
    assert_eq!(found.intent, expected);
    assert_eq!(found.mcc.is_some(), intent.is_some() && asked.mcc.is_some());
    let names = intent.is_some() && !asked.name.is_empty();
    assert_eq!(!found.merchant_prefixes.is_empty(), names);
}

/// Field, level and value of everything in force that has one effective value.
fn listed(policy: &EffectivePolicy<'_>) -> Vec<(&'static str, Option<usize>, i64)> {
    let number = |value: &Value<'_>| match value {
        Value::Flag(flag) => Some(i64::from(*flag)),
        Value::Amount(amount) => Some(amount.get()),
        Value::Windowed { amount, rolling } => Some(amount.get() * 2 + i64::from(*rolling)),
        Value::Number(number) => Some(i64::from(*number)),
        Value::Instant(at) => Some(at.micros()),
        Value::Word(word) => Some(word.len() as i64),
        Value::Name(name) => Some(name.len() as i64),
        Value::Mccs(_) | Value::Countries(_) | Value::Merchants(_) | Value::Hours(_) => None,
    };
    let row = |it: &countersign::decide::effective::EffectiveValue<'_>| {
        let level = it.level.map(|level| level as usize);
        Some((it.field, level, number(&it.value)?))
    };
    policy.values().iter().filter_map(row).collect()
}

#[expect(clippy::too_many_lines, reason = "one line for each field")]
fn check_listing(world: &World, snapshot: &Snapshot) {
    let mut expected = Vec::new();
    let mut add = |field: &'static str, won: Won<i64>| {
        expected.extend(won.map(|(value, level)| (field, Some(level), value)));
    };
    add("limits.perAuth", smallest(world, |it| it.per_auth));
    add("ttlMinutes", smallest(world, |it| it.ttl_minutes));
    add("ttlDays", smallest(world, |it| it.ttl_days));
    add("validFrom", largest(world, |it| it.valid_from));
    add("validUntil", smallest(world, |it| it.valid_until));
    add(
        "expireAfter.count",
        smallest(world, |it| it.expire_count.map(i64::from)),
    );
    add("expireAfter.spend", smallest(world, |it| it.expire_spend));
    add("cooldownMinutes", largest(world, |it| it.cooldown));
    add(
        "maxRiskScore",
        smallest(world, |it| it.max_score.map(i64::from)),
    );
    add("fuelHold", largest(world, |it| it.fuel_hold));
    let one = |level: Option<usize>| level.map(|level| (1, level));
    add("lockToFirstMerchant", one(required(world, |it| it.lock)));
    add(
        "requireRiskScore",
        one(required(world, |it| it.require_score)),
    );
    let approval = required(world, |it| it.require_approval);
    add("requireApproval", one(approval));
    let intent = required(world, |it| it.require_intent).or(approval);
    add("requireIntent", one(intent));
    add(
        "requireAttestation",
        one(required(world, |it| it.require_attestation)),
    );
    if approval.is_some() {
        add("autoApproveBelow", smallest(world, |it| it.approve_below));
    }
    let level = |at: usize| &world.levels[at];
    for at in 0..3 {
        let windows = ["limits.perDay", "limits.perWeek", "limits.perMonth"];
        for (field, window) in windows.into_iter().zip(level(at).windows) {
            let value = window.map(|(amount, rolling)| amount * 2 + i64::from(rolling));
            add(field, value.map(|value| (value, at)));
        }
        add("limits.total", level(at).total.map(|total| (total, at)));
        let counts = [
            "limits.countPerHour",
            "limits.countPerDay",
            "limits.countTotal",
        ];
        for (field, count) in counts.into_iter().zip(level(at).counts) {
            add(field, count.map(|count| (i64::from(count), at)));
        }
        // Both words have three letters; that they are told apart is the table's to say.
        add("match", level(at).any.map(|_| (3, at)));
    }
    let mut or = |field: &'static str, won: Won<i64>, default: i64| {
        let (value, level) = won.map_or((default, None), |(value, level)| (value, Some(level)));
        expected.push((field, level, value));
    };
    let flag = |get: fn(&Rules) -> Option<bool>| smallest(world, |it| get(it).map(i64::from));
    or("allowCash", flag(|it| it.allow_cash), 0);
    or("allowPartial", flag(|it| it.allow_partial), 0);
    let probe = smallest(world, |it| it.allow_probe);
    let probe = probe.map(|(allows, level)| (if allows { 15 } else { 7 }, level));
    or("probePolicy", probe, 7);
    if intent.is_some() {
        let flags = smallest(world, |it| it.flags_mismatch);
        let flags = flags.map(|(flags, level)| (if flags { 4 } else { 7 }, level));
        or("onIntentMismatch", flags, 7);
    }
    if required(world, |it| it.require_attestation).is_some() {
        let window = smallest(world, |it| it.attestation_minutes);
        or("attestationWindowMinutes", window, 15);
    }
    let card = snapshot.card_by_id("k").unwrap();
    let mut found = listed(&effective(&card));
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// How often each reason was the first, and how often there was none.
#[derive(Default)]
struct Seen {
    passed: usize,
    by_reason: BTreeMap<&'static str, usize>,
}

impl Seen {
    fn note(&mut self, proposal: &Proposal) {
        let all = [proposal.expired, proposal.rule, proposal.hours];
        match all.into_iter().flatten().map(|why| why.reason).min() {
            None => self.passed += 1,
            Some(reason) => *self.by_reason.entry(reason.code()).or_default() += 1,
        }
    }
}

#[test]
fn f7_compiled_and_naive_rules_agree() {
    let seed = 0x5eed_0010;
    let count = pair_count().max(10_000);
    let mut seen = Seen::default();
    for at in 0..count / ASKS {
        // Each world has a seed of its own, so that a failing one can be run alone.
        let mut dice = Dice(seed + at as u64);
        let world = world(&mut dice);
        let snapshot = compiled(&world);
        let naive = Naive::new(&world);
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            check_listing(&world, &snapshot);
            for _ in 0..ASKS {
                let asked = ask(&mut dice, &world);
                let found = propose(&snapshot, &asked);
                seen.note(&found);
                let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    assert_eq!(told(found.expired), naive.expired(&asked));
                    assert_eq!(told(found.rule), naive.rule(&asked));
                    check_hours(&naive, &asked, found.hours, &mut dice);
                    check_claims(&naive, &asked, &found);
                }));
                assert!(checked.is_ok(), "{asked:#?}");
            }
        }));
        assert!(
            checked.is_ok(),
            "world {at} of seed {seed:#x}: {}",
            document(&world)
        );
    }
    println!(
        "{count} requests, {} passed, {:?}",
        seen.passed, seen.by_reason
    );
    assert!(seen.passed > count / 20, "{}", seen.passed);
    let stateless = DeclineReason::ALL[8..17]
        .iter()
        .chain([&DeclineReason::CardExpired]);
    for reason in stateless {
        let times = seen.by_reason.get(reason.code()).copied().unwrap_or(0);
        assert!(times > count / 2_000, "{} {times}", reason.code());
    }
}
