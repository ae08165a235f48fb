//! 6.1, 6.2: intents and attestations.

use crate::domain::card::Level;
use crate::domain::claims::IntentRule;
use crate::domain::currency::Currency;
use crate::domain::decision::DeclineReason::{
    AttestationRequired, IntentExpired, IntentMismatch, IntentPendingApproval, IntentRequired,
    SingleUseConsumed,
};
use crate::domain::explanation::RuleField;
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::ledger::check::harness::{
    Ask, Ledger, authorization_key, intent, intent_key, limits, minor,
};
use crate::ledger::command::IntentRefused;
use crate::ledger::event::AttestationClass;
use crate::ledger::intent::{
    INTENT_MCCS_MAX, IntentStatus, IntentTerms, IntentVerdict, OPEN_INTENTS_MAX,
};

const MINUTE: i64 = 60_000_000;

fn rule() -> IntentRule {
    IntentRule {
        level: Level::Agent,
        requires_approval: false,
        auto_approve_below: None,
        flags_mismatch: false,
    }
}

fn now() -> i64 {
    Ask::new(1, 1).at
}

fn mcc(number: u16) -> Mcc {
    Mcc::from_number(number).unwrap()
}

/// A question under a rule; the merchant's leading tokens hash to 7 and 8.
fn under(rule: IntentRule, ask: Ask) -> Ask {
    ask.ruled(|it| {
        it.intent = Some(rule);
        it.merchant_prefixes = vec![7, 8];
        it.mcc = Some(mcc(5812));
    })
}

fn declared(intents: &[(u32, IntentTerms)]) -> Ledger {
    let mut ledger = Ledger::new();
    for (n, terms) in intents {
        assert_eq!(ledger.declare(1, *n, now(), terms), Ok(true));
    }
    ledger
}

fn open(cap: i64) -> IntentTerms {
    intent(cap, now() + 30 * MINUTE)
}

fn awaiting(cap: i64) -> IntentTerms {
    IntentTerms {
        awaits_approval: true,
        ..open(cap)
    }
}

#[test]
fn one_intent_matches_one_authorization_up_to_its_cap_increments_included() {
    let mut ledger = declared(&[(1, open(100))]);
    let ask = |n, amount| under(rule(), Ask::new(n, amount));
    let explanation = ledger.decline(&ask(1, 101));
    assert_eq!(explanation.reason, IntentMismatch);
    assert_eq!(
        (explanation.observed, explanation.limit),
        (Some(101), Some(100))
    );
    assert_eq!(explanation.level, Some(Level::Agent));
    ledger.approve(&ask(1, 60).step(2));
    assert_eq!(ledger.last_decided().intent, Some(intent_key(1)));
    assert_eq!(ledger.intent_status(1, now()), IntentStatus::Matched);
    assert_eq!(
        ledger.reason(&ask(2, 1)),
        Some(IntentRequired),
        "it is taken"
    );
    assert_eq!(ledger.reason(&ask(1, 41).step(3)), Some(IntentMismatch));
    ledger = ledger.recovered();
    let explanation = ledger.decline(&ask(1, 41).step(3));
    assert_eq!(
        (explanation.observed, explanation.limit),
        (Some(101), Some(100))
    );
    ledger.approve(&ask(1, 40).step(4));
}

#[test]
fn of_several_that_match_the_oldest_is_taken() {
    let terms = [open(50), open(100), open(100)];
    let mut ledger = Ledger::new();
    for (n, terms) in (1..).zip(&terms) {
        // Later by the journal, whatever their clocks and keys say.
        assert_eq!(
            ledger.declare(1, 10 - n, now() - i64::from(n), terms),
            Ok(true)
        );
    }
    ledger.approve(&under(rule(), Ask::new(1, 60)));
    assert_eq!(ledger.last_decided().intent, Some(intent_key(8)));
    ledger.approve(&under(rule(), Ask::new(2, 40)));
    assert_eq!(ledger.last_decided().intent, Some(intent_key(9)));
    ledger.approve(&under(rule(), Ask::new(3, 100)));
    assert_eq!(ledger.last_decided().intent, Some(intent_key(7)));
}

#[test]
fn amount_currency_merchant_and_category_must_all_match() {
    let cases = [
        (open(60), true),
        (open(59), false),
        (
            IntentTerms {
                cap: None,
                expected: None,
                currency: None,
                ..open(1)
            },
            true,
        ),
        (
            IntentTerms {
                currency: Some(Currency::parse("EUR").unwrap()),
                ..open(60)
            },
            false,
        ),
        (
            IntentTerms {
                merchant: Some(8),
                ..open(60)
            },
            true,
        ),
        (
            IntentTerms {
                merchant: Some(9),
                ..open(60)
            },
            false,
        ),
        (
            IntentTerms {
                mccs: [mcc(5411), mcc(5812)].into(),
                ..open(60)
            },
            true,
        ),
        (
            IntentTerms {
                mccs: [mcc(5411)].into(),
                ..open(60)
            },
            false,
        ),
    ];
    for (terms, matches) in cases {
        let ledger = declared(&[(1, terms.clone())]);
        let reason = ledger.reason(&under(rule(), Ask::new(1, 60)));
        assert_eq!(reason, (!matches).then_some(IntentMismatch), "{terms:?}");
        let unknown = under(rule(), Ask::new(1, 60)).ruled(|it| it.mcc = None);
        let listed = !terms.mccs.is_empty();
        let reason = ledger.reason(&unknown);
        assert_eq!(reason.is_none(), matches && !listed, "{terms:?}");
    }
}

#[test]
fn of_the_causes_the_one_with_the_smaller_number_is_named() {
    let asked = under(rule(), Ask::new(1, 60)).later(MINUTE);
    let gone = intent(60, now() + MINUTE);
    let (wrong, waits) = (open(1), awaiting(60));
    let cases: [(&[&IntentTerms], _); 6] = [
        (&[], IntentRequired),
        (&[&wrong], IntentMismatch),
        (&[&gone], IntentExpired),
        (&[&wrong, &gone], IntentExpired),
        (&[&waits], IntentPendingApproval),
        (&[&gone, &wrong, &waits], IntentPendingApproval),
    ];
    for (terms, reason) in cases {
        let intents: Vec<_> = (1..).zip(terms.iter().map(|it| (*it).clone())).collect();
        let mut ledger = declared(&intents);
        let explanation = ledger.decline(&asked);
        assert_eq!(explanation.reason, reason);
        assert_eq!(explanation.level, Some(Level::Agent));
        if reason == IntentExpired {
            let expired_at = Timestamp::from_micros(now() + MINUTE);
            assert_eq!(explanation.resets_at, Some(expired_at));
        }
        assert_eq!(ledger.totals(), [(0, 0); 3]);
        // One that may match makes good for all others.
        ledger.declare(1, 9, now(), &open(60)).unwrap();
        ledger.approve(&asked.clone().step(2));
        assert_eq!(ledger.last_decided().intent, Some(intent_key(9)));
    }
}

#[test]
fn a_human_approves_unless_the_expected_amount_is_strictly_below_the_threshold() {
    let strict = |below: Option<i64>| IntentRule {
        requires_approval: true,
        auto_approve_below: below.map(minor),
        ..rule()
    };
    let nothing_expected = IntentTerms {
        expected: None,
        cap: None,
        ..open(60)
    };
    let cases = [
        (open(60), None, false),
        (open(60), Some(60), false),
        (open(60), Some(61), true),
        (awaiting(60), Some(61), false),
        (nothing_expected, Some(1_000), false),
    ];
    for (terms, below, passes) in cases {
        let mut ledger = declared(&[(1, terms.clone())]);
        let asked = under(strict(below), Ask::new(1, 60));
        let reason = (!passes).then_some(IntentPendingApproval);
        assert_eq!(ledger.reason(&asked), reason, "{terms:?} below {below:?}");
        assert_eq!(ledger.settle(1, now(), IntentVerdict::Approve), Ok(true));
        assert_eq!(ledger.settle(1, now(), IntentVerdict::Approve), Ok(false));
        assert_eq!(ledger.intent_status(1, now()), IntentStatus::Pending);
        ledger.approve(&asked);
    }
}

#[test]
fn where_a_mismatch_is_flagged_it_is_approved_and_recorded_on_spend_and_intent() {
    let flags = IntentRule {
        flags_mismatch: true,
        ..rule()
    };
    let mut ledger = Ledger::new();
    // An intent there must be, and one that may be taken.
    let asked = under(flags, Ask::new(1, 60));
    assert_eq!(ledger.reason(&asked), Some(IntentRequired));
    ledger.declare(1, 1, now(), &awaiting(10)).unwrap();
    assert_eq!(ledger.reason(&asked), Some(IntentMismatch));
    ledger.declare(1, 2, now(), &open(10)).unwrap();
    let position = ledger.approve(&asked);
    assert!(ledger.last_decided().flagged);
    assert_eq!(ledger.last_decided().intent, Some(intent_key(2)));
    assert_eq!(ledger.intent_status(2, now()), IntentStatus::Mismatched);
    ledger = ledger.recovered();
    assert!(ledger.overrule(1, position));
    assert_eq!(ledger.intent_status(2, now()), IntentStatus::Pending);
    // An increment that does not keep to the intent, and is taken back.
    ledger.approve(&under(flags, Ask::new(2, 10)));
    assert!(!ledger.last_decided().flagged);
    let more = ledger.approve(&under(flags, Ask::new(2, 1).step(2)));
    assert!(ledger.last_decided().flagged);
    assert_eq!(ledger.intent_status(2, now()), IntentStatus::Mismatched);
    assert!(ledger.overrule(2, more));
    assert_eq!(ledger.intent_status(2, now()), IntentStatus::Matched);
}

#[test]
fn verifications_and_probes_take_no_intent_and_what_is_added_to_a_probe_does() {
    let mut ledger = declared(&[(1, open(5_000))]);
    ledger.approve(&under(rule(), Ask::new(1, 0)));
    let probing = |ask: Ask| ask.single_use().ruled(|it| it.may_probe = true);
    ledger.approve(&probing(under(rule(), Ask::new(2, 100))));
    assert!(ledger.last_decided().probes);
    assert_eq!(ledger.last_decided().intent, None);
    assert_eq!(ledger.intent_status(1, now()), IntentStatus::Pending);
    let added = |amount, content| probing(under(rule(), Ask::new(2, amount).step(content)));
    assert_eq!(ledger.reason(&added(4_901, 2)), Some(IntentMismatch));
    let position = ledger.approve(&added(4_900, 3));
    assert_eq!(ledger.last_decided().intent, Some(intent_key(1)));
    assert!(ledger.overrule(2, position));
    assert_eq!(ledger.intent_status(1, now()), IntentStatus::Pending);
    // A verification asks for no intent, a probe does.
    let mut ledger = Ledger::new();
    assert_eq!(ledger.reason(&under(rule(), Ask::new(1, 0))), None);
    let probe = probing(under(rule(), Ask::new(1, 100)));
    assert_eq!(ledger.reason(&probe), Some(IntentRequired));
    ledger.approve(&Ask::new(9, 1).single_use());
    assert_eq!(
        ledger.reason(&under(rule(), Ask::new(1, 0)).single_use()),
        Some(SingleUseConsumed)
    );
}

#[test]
fn b5_an_overruled_authorization_returns_its_intent_in_its_place() {
    let mut ledger = declared(&[(1, open(60)), (2, open(60))]);
    let first = ledger.approve(&under(rule(), Ask::new(1, 60)));
    ledger.declare(1, 3, now(), &open(60)).unwrap();
    assert!(ledger.overrule(1, first));
    assert_eq!(ledger.state.intent_of(authorization_key(1)), None);
    let keys = [1, 2, 3].map(intent_key);
    assert_eq!(ledger.card(1).open_intents(), keys);
    let image = ledger.image();
    let again = ledger.approve(&under(rule(), Ask::new(2, 60)));
    assert_eq!(ledger.last_decided().intent, Some(intent_key(1)));
    assert!(ledger.overrule(2, again));
    assert_ne!(ledger.image(), image, "authorization 2 is remembered");
    assert_eq!(ledger.card(1).open_intents(), keys);
    // One that lies between others returns between them.
    let mut ledger = declared(&[(1, open(10)), (2, open(60)), (3, open(10))]);
    let taken = ledger.approve(&under(rule(), Ask::new(1, 60)));
    assert_eq!(ledger.last_decided().intent, Some(intent_key(2)));
    assert!(ledger.overrule(1, taken));
    assert_eq!(ledger.card(1).open_intents(), keys);
}

#[test]
fn an_intent_is_declared_once_and_settled_once() {
    let mut ledger = declared(&[(1, open(60)), (2, open(60))]);
    assert_eq!(ledger.declare(1, 1, now() + 9, &open(60)), Ok(false));
    assert_eq!(
        ledger.declare(1, 1, now(), &open(61)),
        Err(IntentRefused::Conflict)
    );
    assert_eq!(
        ledger.declare(2, 1, now(), &open(60)),
        Err(IntentRefused::Conflict)
    );
    assert_eq!(
        ledger.settle(9, now(), IntentVerdict::Cancel),
        Err(IntentRefused::Unknown)
    );
    assert_eq!(ledger.settle(1, now(), IntentVerdict::Cancel), Ok(true));
    assert_eq!(ledger.settle(1, now(), IntentVerdict::Cancel), Ok(false));
    assert_eq!(
        ledger.settle(1, now(), IntentVerdict::Approve),
        Err(IntentRefused::Closed)
    );
    assert_eq!(ledger.intent_status(1, now()), IntentStatus::Canceled);
    assert_eq!(ledger.settle(2, now(), IntentVerdict::Reject), Ok(true));
    assert_eq!(ledger.settle(2, now(), IntentVerdict::Reject), Ok(false));
    assert_eq!(ledger.intent_status(2, now()), IntentStatus::Rejected);
    assert_eq!(
        ledger.reason(&under(rule(), Ask::new(1, 60))),
        Some(IntentRequired)
    );
    // A declared one stays what it was when it is declared again.
    assert_eq!(ledger.declare(1, 2, now(), &open(60)), Ok(false));
    assert_eq!(ledger.intent_status(2, now()), IntentStatus::Rejected);
    assert_eq!(ledger.declare(1, 3, now(), &open(60)), Ok(true));
    let over = now() + 30 * MINUTE;
    assert_eq!(
        ledger.settle(3, over, IntentVerdict::Approve),
        Err(IntentRefused::Closed)
    );
    assert_eq!(ledger.intent_status(3, over), IntentStatus::Expired);
    assert_eq!(ledger.intent_status(3, over - 1), IntentStatus::Pending);
}

#[test]
fn only_so_many_intents_wait_on_a_card_and_expired_ones_make_room() {
    let mut ledger = Ledger::new();
    let max = u32::try_from(OPEN_INTENTS_MAX).unwrap();
    for n in 0..max {
        let terms = if n < 2 {
            intent(60, now() + MINUTE)
        } else {
            open(60)
        };
        assert_eq!(ledger.declare(1, n, now(), &terms), Ok(true));
    }
    assert_eq!(
        ledger.declare(1, max, now(), &open(60)),
        Err(IntentRefused::TooMany)
    );
    assert_eq!(
        ledger.declare(2, max + 9, now(), &open(60)),
        Ok(true),
        "another card"
    );
    assert_eq!(ledger.declare(1, max, now() + MINUTE, &open(60)), Ok(true));
    assert_eq!(ledger.card(1).open_intents().len(), OPEN_INTENTS_MAX - 1);
    assert_eq!(
        ledger.intent_status(0, now() + MINUTE),
        IntentStatus::Expired
    );
}

#[test]
fn an_intent_may_list_so_many_categories_and_not_one_more() {
    let mut ledger = Ledger::new();
    let listing = |count: usize| {
        let all = (1..9_999).map(mcc).take(count);
        IntentTerms {
            mccs: all.collect(),
            ..open(60)
        }
    };
    assert_eq!(listing(INTENT_MCCS_MAX).mccs.len(), INTENT_MCCS_MAX);
    assert_eq!(
        ledger.declare(1, 1, now(), &listing(INTENT_MCCS_MAX + 1)),
        Err(IntentRefused::Refused)
    );
    assert_eq!(
        ledger.declare(1, 1, now(), &listing(INTENT_MCCS_MAX)),
        Ok(true)
    );
}

/// What became of each intent is in the image, also of those whose authorization is forgotten.
#[test]
fn the_fate_of_every_intent_comes_back_from_an_image() {
    let flags = IntentRule {
        flags_mismatch: true,
        ..rule()
    };
    let mut ledger = declared(&[(1, open(60)), (2, intent(10, i64::MAX))]);
    ledger.approve(&under(rule(), Ask::new(1, 60)));
    ledger.approve(&under(flags, Ask::new(2, 60)));
    assert!(ledger.sweep(0, now() + 1));
    for n in [3, 4, 5, 6] {
        assert_eq!(ledger.declare(1, n, now(), &open(60)), Ok(true));
    }
    ledger.approve(&under(rule(), Ask::new(3, 60)));
    ledger.settle(4, now(), IntentVerdict::Reject).unwrap();
    ledger.settle(5, now(), IntentVerdict::Cancel).unwrap();
    assert_eq!(ledger.declare(1, 7, now(), &awaiting(60)), Ok(true));
    assert_eq!(ledger.declare(1, 8, now(), &awaiting(60)), Ok(true));
    ledger.settle(8, now(), IntentVerdict::Approve).unwrap();
    let of = |ledger: &Ledger| [1, 2, 3, 4, 5, 6, 7, 8].map(|n| ledger.intent_status(n, now()));
    use IntentStatus::{Canceled, Matched, Mismatched, Pending, PendingApproval, Rejected};
    let expected = [
        Matched,
        Mismatched,
        Matched,
        Rejected,
        Canceled,
        Pending,
        PendingApproval,
        Pending,
    ];
    assert_eq!(of(&ledger), expected);
    let recovered = ledger.recovered();
    assert_eq!(of(&recovered), expected);
    assert_eq!(recovered.image(), ledger.image());
}

/// Nobody checks that an intent ends after it was declared.
#[test]
fn b6_an_intent_that_was_over_at_once_is_forgotten_only_when_its_declaration_is_old() {
    let mut ledger = declared(&[(1, intent(60, now() - 1))]);
    assert!(!ledger.sweep(0, now()));
    assert!(ledger.sweep(0, now() + 1));
}

#[test]
fn b6_a_sweep_forgets_intents_that_are_over_unless_their_authorization_is_remembered() {
    let mut ledger = declared(&[(1, open(60)), (2, open(60)), (3, open(60))]);
    ledger.approve(&under(rule(), Ask::new(1, 60)));
    ledger.settle(2, now(), IntentVerdict::Cancel).unwrap();
    let over = now() + 30 * MINUTE;
    ledger.approve(&Ask::new(1, 1).step(2).later(31 * MINUTE));
    assert!(!ledger.sweep(0, over), "all end at that instant");
    assert!(ledger.sweep(0, over + 1));
    assert!(ledger.state.intent(intent_key(1)).is_some());
    assert!(ledger.state.intent(intent_key(2)).is_none());
    assert!(ledger.state.intent(intent_key(3)).is_none());
    assert_eq!(ledger.card(1).open_intents(), []);
    assert!(!ledger.sweep(0, over + 1), "a second time");
    assert!(ledger.sweep(0, i64::MAX));
    assert!(ledger.state.intent(intent_key(1)).is_none());
    assert_eq!(
        ledger.declare(1, 1, now(), &open(60)),
        Ok(true),
        "nobody knows it any more"
    );
}

/// The issuer uses an id again when its authorization is forgotten.
#[test]
fn a_forgotten_authorization_keeps_its_intent_and_another_of_its_id_returns_its_own() {
    for restarts in [false, true] {
        let mut ledger = declared(&[(1, open(60)), (2, intent(60, i64::MAX))]);
        ledger.approve(&under(rule(), Ask::new(1, 60)));
        assert!(ledger.sweep(0, now() + 1));
        let again = ledger.approve(&under(rule(), Ask::new(1, 60)).later(MINUTE));
        assert_eq!(ledger.last_decided().intent, Some(intent_key(2)));
        if restarts {
            ledger = ledger.recovered();
        }
        assert!(ledger.overrule(1, again));
        assert_eq!(ledger.intent_status(1, now()), IntentStatus::Matched);
        assert_eq!(ledger.intent_status(2, now()), IntentStatus::Pending);
        assert_eq!(ledger.card(1).open_intents(), [intent_key(2)]);
    }
}

// ---- attestations ----

#[test]
fn an_attestation_is_fresh_for_its_window_and_each_spend_is_classed() {
    let attested = |ask: Ask| ask.ruled(|it| it.attestation_us = Some((5 * MINUTE, Level::Card)));
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 1));
    assert_eq!(
        ledger.last_decided().attestation,
        AttestationClass::Unattested
    );
    let explanation = ledger.decline(&attested(Ask::new(2, 1)));
    assert_eq!(explanation.reason, AttestationRequired);
    assert_eq!(explanation.field, RuleField::RequireAttestation);
    assert_eq!((explanation.observed, explanation.limit), (None, Some(5)));
    ledger.attest(1, now());
    ledger = ledger.recovered();
    let ask = |n, micros| attested(Ask::new(n, 1).later(micros));
    // Before the spend, not after it.
    assert_eq!(ledger.reason(&ask(3, -1)), Some(AttestationRequired));
    ledger.approve(&ask(3, 0));
    assert_eq!(
        ledger.last_decided().attestation,
        AttestationClass::Attested
    );
    ledger.approve(&ask(4, 5 * MINUTE - 1));
    let explanation = ledger.decline(&ask(5, 6 * MINUTE + 1));
    assert_eq!(
        (explanation.observed, explanation.limit),
        (Some(6), Some(5))
    );
    // Where none is required the record says how it was, by a quarter of an hour.
    ledger.approve(&Ask::new(6, 1).later(15 * MINUTE - 1));
    assert_eq!(
        ledger.last_decided().attestation,
        AttestationClass::Attested
    );
    ledger.approve(&Ask::new(7, 1).later(15 * MINUTE));
    assert_eq!(ledger.last_decided().attestation, AttestationClass::Stale);
    assert_eq!(
        ledger.reason(&attested(Ask::new(8, 0)).later(9 * MINUTE)),
        None
    );
    assert_eq!(
        ledger.reason(&ask(9, 0).on_card(2, None)),
        Some(AttestationRequired)
    );
}

#[test]
fn intents_outrank_consumption_and_limits_and_the_cap_outranks_intents() {
    let mut ledger = declared(&[(1, open(60))]);
    ledger.approve(&Ask::new(9, 1).single_use());
    let asked = |amount| {
        let ask = under(rule(), Ask::new(1, amount).single_use());
        ask.limited(Level::Card, limits(Some(0), None))
    };
    assert_eq!(ledger.reason(&asked(61)), Some(IntentMismatch));
    assert_eq!(ledger.reason(&asked(60)), Some(SingleUseConsumed));
    let capped = ledger.reason(&asked(61).capped(60)).unwrap();
    assert_eq!(capped.number(), 17);
}
