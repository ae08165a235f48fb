//! What must be so whatever the policies are: whoever tightens a policy approves nothing more, order
//! and repetitions say nothing, and what is not allowed is not allowed.

use countersign::decide::snapshot::Snapshot;
use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::card::Level;
use countersign::domain::claims::{CardRules, Claims, ScopeLimits};

use crate::compare::{compiled, propose};
use crate::dice::{Dice, pair_count};
use crate::world::{Ask, Hours, MINUTE_US, Rules, World, ask, world};

/// Requests on one pair of worlds.
const ASKS: usize = 20;

fn passes(snapshot: &Snapshot, asked: &Ask) -> bool {
    let it = propose(snapshot, asked);
    it.standing.is_none() && it.expired.is_none() && it.rule.is_none() && it.hours.is_none()
}

/// A world, what became of it, and both compiled.
struct Pair {
    before: World,
    after: World,
    loose: Snapshot,
    tight: Snapshot,
}

/// Random worlds with a change of each, and some requests on both.
fn for_pairs(
    seed: u64,
    change: impl Fn(World, &mut Dice) -> Option<(World, World)>,
    check: impl Fn(&Pair, &Ask),
) {
    let mut changed_count = 0;
    for at in 0..(pair_count() / 200).max(100) {
        let mut dice = Dice(seed + at as u64);
        let drawn = world(&mut dice);
        let Some((before, after)) = change(drawn, &mut dice) else {
            continue;
        };
        let (loose, tight) = (compiled(&before), compiled(&after));
        let pair = Pair {
            before,
            after,
            loose,
            tight,
        };
        changed_count += 1;
        for _ in 0..ASKS {
            check(&pair, &ask(&mut dice, &pair.before));
        }
    }
    assert!(changed_count > 40, "{changed_count}");
}

impl Pair {
    fn says(&self, asked: &Ask) -> String {
        format!("{:#?} {:#?} {asked:?}", self.before, self.after)
    }

    fn assert_no_looser(&self, asked: &Ask) {
        let was = passes(&self.loose, asked);
        assert!(was || !passes(&self.tight, asked), "{}", self.says(asked));
    }
}

fn lower<T: Ord + Copy>(value: &mut Option<T>, to: T) {
    *value = Some(value.map_or(to, |old| old.min(to)));
}

fn raise<T: Ord + Copy>(value: &mut Option<T>, to: T) {
    *value = Some(value.map_or(to, |old| old.max(to)));
}

/// Makes one rule of one level tighter than it was.
fn tighten(rules: &mut Rules, dice: &mut Dice) {
    const DAY_US: i64 = 1_440 * MINUTE_US;
    match dice.below(26) {
        0 => lower(&mut rules.per_auth, 100),
        1 => rules.windows[dice.below(3)]
            .iter_mut()
            .for_each(|(cap, _)| *cap /= 2),
        2 => lower(&mut rules.total, 500),
        3 => lower(&mut rules.counts[dice.below(3)], 1),
        4 => lower(&mut rules.expire_count, 2),
        5 => lower(&mut rules.expire_spend, 100),
        6 => lower(&mut rules.ttl_minutes, 20_000),
        7 => lower(&mut rules.ttl_days, 10),
        8 => raise(
            &mut rules.valid_from,
            crate::world::CREATED_US + 15 * DAY_US,
        ),
        9 => lower(
            &mut rules.valid_until,
            crate::world::CREATED_US + 30 * DAY_US,
        ),
        10 => raise(&mut rules.cooldown, 10),
        11 => lower(&mut rules.max_score, 40),
        12 => rules.require_score = Some(true),
        13 => rules.allow_cash = Some(false),
        14 => rules.allow_partial = Some(false),
        15 => rules.allow_probe = Some(false),
        16 => rules.require_intent = Some(true),
        17 => rules.flags_mismatch = Some(false),
        18 => rules.require_approval = Some(true),
        19 => lower(&mut rules.approve_below, 50),
        20 => rules.require_attestation = Some(true),
        21 => lower(&mut rules.attestation_minutes, 5),
        22 => rules.lock = Some(true),
        23 => rules.any = Some(false),
        24 => {
            let hours = rules.hours.get_or_insert_with(|| Hours {
                zone: None,
                days: vec![0, 1, 2, 3, 4, 5, 6],
                from: 0,
                to: 1_440,
            });
            // Fewer days, and never none, which would mean all.
            let day = dice.below(7);
            if hours.days.is_empty() {
                hours.days = (0..7).collect();
            }
            if hours.days.len() > 1 {
                hours.days.retain(|it| *it != day);
            }
        }
        _ => block(rules, dice),
    }
}

/// Adds an entry to a list that blocks, or takes one from a list that allows and keeps others.
fn block(rules: &mut Rules, dice: &mut Dice) {
    match dice.below(6) {
        0 => rules.blocked_mccs.push((5_800, 5_900)),
        1 => rules.blocked_countries.push("DE"),
        2 => rules.blocked_merchants.push("blue"),
        3 if rules.allowed_mccs.len() > 1 => drop(rules.allowed_mccs.pop()),
        4 if rules.allowed_countries.len() > 1 => drop(rules.allowed_countries.pop()),
        5 if rules.allowed_merchants.len() > 1 => drop(rules.allowed_merchants.pop()),
        _ => rules.blocked_merchants.push("id:m1"),
    }
}

/// Whether `tight` lets nothing through that `loose` does not.
fn is_no_looser(tight: &Claims, loose: &Claims) -> bool {
    fn cap<T: Ord>(tight: Option<T>, loose: Option<T>) -> bool {
        loose.is_none_or(|loose| tight.is_some_and(|tight| tight <= loose))
    }
    fn value<T>(leveled: Option<(T, Level)>) -> Option<T> {
        leveled.map(|(value, _)| value)
    }
    let limits = |(tight, loose): (&ScopeLimits, &ScopeLimits)| {
        cap(tight.per_day, loose.per_day)
            && cap(tight.per_week, loose.per_week)
            && cap(tight.per_month, loose.per_month)
            && cap(tight.total, loose.total)
            && cap(tight.rolling_day, loose.rolling_day)
            && cap(tight.rolling_week, loose.rolling_week)
            && cap(tight.rolling_month, loose.rolling_month)
            && cap(tight.count_per_hour, loose.count_per_hour)
            && cap(tight.count_per_day, loose.count_per_day)
            && cap(tight.count_total, loose.count_total)
    };
    let (t, l) = (&tight.rules, &loose.rules);
    let intent = match (t.intent, l.intent) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(t), Some(l)) => {
            let below = match (t.auto_approve_below, l.auto_approve_below) {
                (None, _) => true,
                (Some(t), Some(l)) => t <= l,
                // Where none was written, every intent needed a human.
                (Some(_), None) => false,
            };
            let approval = !l.requires_approval || (t.requires_approval && below);
            approval && (!t.flags_mismatch || l.flags_mismatch)
        }
    };
    tight.limits.iter().zip(&loose.limits).all(limits)
        && cap(value(tight.per_auth), value(loose.per_auth))
        && value(t.cooldown_us) >= value(l.cooldown_us)
        && cap(value(t.expire_after_count), value(l.expire_after_count))
        && cap(value(t.expire_after_spend), value(l.expire_after_spend))
        && cap(value(t.attestation_us), value(l.attestation_us))
        && (!t.may_probe || l.may_probe)
        && (!t.may_approve_part || l.may_approve_part)
        && (tight.lock_to_first_merchant.is_some() || loose.lock_to_first_merchant.is_none())
        && intent
}

/// `autoApproveBelow` is the one rule whose absence is tighter than any value of it.
fn opens_approval(before: &World, after: &World) -> bool {
    let has = |world: &World| world.levels.iter().any(|it| it.approve_below.is_some());
    !has(before) && has(after)
}

#[test]
fn f7_whoever_tightens_a_rule_approves_nothing_more() {
    let change = |mut before: World, dice: &mut Dice| {
        before.overriding = false;
        let mut after = before.clone();
        for _ in 0..1 + dice.below(3) {
            tighten(&mut after.levels[dice.below(3)], dice);
        }
        (!opens_approval(&before, &after)).then_some((before, after))
    };
    for_pairs(0x5eed_0020, change, |pair, asked| {
        pair.assert_no_looser(asked);
        let (loose, tight) = (propose(&pair.loose, asked), propose(&pair.tight, asked));
        assert!(
            is_no_looser(&tight.claims, &loose.claims),
            "{}",
            pair.says(asked)
        );
    });
}

/// Under `override` a level that begins to speak takes another's place; one that goes on speaking can
/// only tighten what it said.
#[test]
fn f7_overriding_a_block_that_is_added_to_a_list_approves_nothing_more() {
    let change = |mut before: World, dice: &mut Dice| {
        before.overriding = true;
        before.levels[dice.below(3)]
            .blocked_mccs
            .push((5_500, 5_541));
        let mut after = before.clone();
        for level in &mut after.levels {
            if !level.blocked_mccs.is_empty() {
                level.blocked_mccs.push((5_000, 9_999));
            }
            if !level.blocked_merchants.is_empty() {
                level.blocked_merchants.push("books");
            }
            if level.per_auth.is_some() {
                lower(&mut level.per_auth, 10);
            }
        }
        Some((before, after))
    };
    for_pairs(0x5eed_0030, change, Pair::assert_no_looser);
}

#[test]
fn order_and_duplicates_of_lists_do_not_matter() {
    fn shuffle<T: Clone>(list: &mut Vec<T>) {
        list.extend_from_within(..);
        list.reverse();
    }
    let change = |before: World, _: &mut Dice| {
        let mut after = before.clone();
        for rules in &mut after.levels {
            shuffle(&mut rules.allowed_mccs);
            shuffle(&mut rules.blocked_mccs);
            shuffle(&mut rules.allowed_countries);
            shuffle(&mut rules.blocked_countries);
            shuffle(&mut rules.allowed_merchants);
            shuffle(&mut rules.blocked_merchants);
            if let Some(hours) = &mut rules.hours {
                shuffle(&mut hours.days);
            }
        }
        Some((before, after))
    };
    for_pairs(0x5eed_0040, change, |pair, asked| {
        let (one, other) = (propose(&pair.loose, asked), propose(&pair.tight, asked));
        assert_eq!(one, other, "{}", pair.says(asked));
    });
}

fn spends(asked: &Ask) -> bool {
    [
        AuthorizationKind::Authorization,
        AuthorizationKind::SingleMessage,
    ]
    .contains(&asked.kind)
}

#[test]
fn disjoint_allow_lists_allow_nothing() {
    let change = |before: World, dice: &mut Dice| {
        let mut after = before.clone();
        after.overriding = false;
        let at = dice.below(3);
        for (level, ranges) in [(at, (5_000, 5_811)), ((at + 1) % 3, (5_812, 9_999))] {
            after.levels[level].allowed_mccs = vec![ranges];
            after.levels[level].any = None;
        }
        Some((before, after))
    };
    for_pairs(0x5eed_0050, change, |pair, asked| {
        let refused = propose(&pair.tight, asked).rule.is_some();
        assert_eq!(refused, spends(asked), "{}", pair.says(asked));
    });
}

#[test]
fn tightening_is_never_looser_than_any_level() {
    let change = |mut before: World, dice: &mut Dice| {
        before.overriding = false;
        // What one level allows alone is cash, which other levels may take away.
        let mut alone = before.clone();
        let level = dice.below(3);
        for (at, rules) in alone.levels.iter_mut().enumerate() {
            if at != level {
                *rules = Rules {
                    allow_cash: rules.allow_cash,
                    ..Rules::default()
                };
            }
        }
        Some((alone, before))
    };
    for_pairs(0x5eed_0060, change, Pair::assert_no_looser);
}

#[test]
fn f1_a_policy_that_says_nothing_declines_cash_alone() {
    let change = |before: World, _: &mut Dice| {
        let mut silent = before.clone();
        silent.levels = Default::default();
        Some((before, silent))
    };
    for_pairs(0x5eed_0070, change, |pair, asked| {
        let found = propose(&pair.tight, asked);
        let is_cash = asked.cash > 0 || matches!(asked.mcc, Some(6_011 | 7_995));
        assert_eq!(found.rule.is_some(), spends(asked) && is_cash, "{asked:?}");
        assert!(found.expired.is_none() && found.hours.is_none());
        assert_eq!(found.claims.rules, CardRules::default());
        assert_eq!(found.claims.limits, [ScopeLimits::default(); 3]);
    });
}
