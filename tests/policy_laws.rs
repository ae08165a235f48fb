//! Laws of the stateless rules on random policies, and a naive evaluator to compare with
//! (hazard F7). Cash and status are left out: the table in decisions.rs has them.
#![cfg(test)]

use std::borrow::Cow;

use countersign::decide::document::{DocumentContext, read_snapshot};
use countersign::decide::effective::{EffectiveValue, Value, effective};
use countersign::decide::evaluate::evaluate;
use countersign::domain::acceptor::CardAcceptor;
use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::card::Level;
use countersign::domain::claims::Proposal;
use countersign::domain::currency::Currency;
use countersign::domain::decision::DeclineReason;
use countersign::domain::mcc::Mcc;
use countersign::domain::time::Timestamp;
use countersign::fingerprint::Fingerprinter;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

/// Codes that lists and requests draw from: few, so that they meet.
const CODES: std::ops::Range<u16> = 5_800..5_810;

#[derive(Clone, Debug, Default)]
struct Rules {
    per_auth: Option<i64>,
    allowed: Vec<(u16, u16)>,
    blocked: Vec<(u16, u16)>,
    lock: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Ask {
    mcc: Option<u16>,
    minor: i64,
}

fn ranges() -> impl Strategy<Value = Vec<(u16, u16)>> {
    let range = (CODES, 0_u16..3).prop_map(|(first, more)| (first, first + more));
    vec(range, 0..4)
}

fn rules() -> impl Strategy<Value = Rules> {
    let parts = (
        option::of(0_i64..50),
        ranges(),
        ranges(),
        any::<Option<bool>>(),
    );
    parts.prop_map(|(per_auth, allowed, blocked, lock)| Rules {
        per_auth,
        allowed,
        blocked,
        lock,
    })
}

/// Rules of card, agent, customer, where most levels say little.
fn levels() -> impl Strategy<Value = [Rules; 3]> {
    let level = || prop_oneof![Just(Rules::default()), rules()];
    [level(), level(), level()]
}

fn ask() -> impl Strategy<Value = Ask> {
    (option::weighted(0.9, CODES), 0_i64..60).prop_map(|(mcc, minor)| Ask { mcc, minor })
}

fn policy_text(rules: &Rules) -> String {
    let list = |ranges: &[(u16, u16)]| {
        let entry = |(first, last): &(u16, u16)| match first == last {
            true => format!("\"{first}\""),
            false => format!("\"{first}-{last}\""),
        };
        ranges.iter().map(entry).collect::<Vec<_>>().join(",")
    };
    let cap = rules.per_auth.map(|cap| format!("\"perAuth\": {cap}"));
    let lock = rules
        .lock
        .map(|lock| format!(", \"lockToFirstMerchant\": {lock}"));
    format!(
        r#"{{"limits": {{{}}}, "allowedMccs": [{}], "blockedMccs": [{}]{}}}"#,
        cap.unwrap_or_default(),
        list(&rules.allowed),
        list(&rules.blocked),
        lock.unwrap_or_default()
    )
}

fn propose([card, agent, customer]: &[Rules; 3], overriding: bool, ask: Ask) -> Proposal {
    let cascade = if overriding { "override" } else { "tighten" };
    let document = format!(
        r#"{{"customers": [{{"id": "c", "cascade": "{cascade}", "policy": {}}}],
            "agents": [{{"id": "a", "customerId": "c", "policy": {}}}],
            "cards": [{{"id": "k", "connection": "acme", "issuerToken": "t", "customerId": "c",
                        "agentId": "a", "policy": {}}}]}}"#,
        policy_text(customer),
        policy_text(agent),
        policy_text(card)
    );
    let context = DocumentContext {
        file: "law.json",
        connections: &["acme"],
        version: 1,
    };
    let keys = Fingerprinter::new(3);
    let snapshot = read_snapshot(document.as_bytes(), context, &keys).unwrap();
    let card = snapshot.card_by_id("k").unwrap();
    let proposal = evaluate(&card, &request(ask), Timestamp::from_secs(0), &keys);
    let shown = effective(&card);
    let cap = shown.of("limits.perAuth").next().cloned();
    let claimed = proposal.claims.per_auth.map(|(cap, level)| EffectiveValue {
        field: "limits.perAuth",
        level: Some(level),
        value: Value::Amount(cap),
    });
    assert_eq!(cap, claimed);
    let lock = shown
        .of("lockToFirstMerchant")
        .next()
        .and_then(|it| it.level);
    assert_eq!(lock, proposal.claims.lock_to_first_merchant);
    proposal
}

fn request(ask: Ask) -> AuthorizationRequest<'static> {
    AuthorizationRequest {
        authorization: Cow::Borrowed("x"),
        step: None,
        delivery: None,
        kind: AuthorizationKind::SingleMessage,
        card_token: Cow::Borrowed("t"),
        amount: Amount {
            minor: Minor::new(ask.minor).unwrap(),
            currency: Currency::USD,
        },
        cash: Minor::ZERO,
        merchant_amount: None,
        acceptor: CardAcceptor {
            acquirer_id: None,
            acceptor_id: None,
            descriptor: Cow::Borrowed("SHOP"),
            mcc: ask.mcc.and_then(|code| Mcc::from_number(code).ok()),
            city: Cow::Borrowed(""),
            country: None,
        },
        partial_approval_capable: false,
        card_present: None,
        risk_score: None,
    }
}

fn passes(levels: &[Rules; 3], overriding: bool, ask: Ask) -> bool {
    let proposal = propose(levels, overriding, ask);
    proposal.standing.is_none() && proposal.rule.is_none()
}

/// The rules as a reader of the behaviour would write them down.
fn naive(levels: &[Rules; 3], overriding: bool, ask: Ask) -> Option<(DeclineReason, Level)> {
    let asked = |speaks: fn(&Rules) -> bool| {
        let speaking = levels
            .iter()
            .zip(Level::ALL)
            .filter(move |(rules, _)| speaks(rules));
        speaking.take(if overriding { 1 } else { 3 })
    };
    let within = |ranges: &[(u16, u16)]| {
        let code = ask.mcc?;
        Some(
            ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&code)),
        )
    };
    let blocking = asked(|rules| !rules.blocked.is_empty())
        .find(|(rules, _)| within(&rules.blocked) != Some(false));
    if let Some((_, level)) = blocking {
        return Some((DeclineReason::MccBlocked, level));
    }
    let closed = asked(|rules| !rules.allowed.is_empty())
        .find(|(rules, _)| within(&rules.allowed) != Some(true));
    if let Some((_, level)) = closed {
        return Some((DeclineReason::MccNotAllowed, level));
    }
    let caps = asked(|rules| rules.per_auth.is_some());
    let (cap, level) = caps.min_by_key(|(rules, _)| rules.per_auth)?;
    (Some(ask.minor) > cap.per_auth).then_some((DeclineReason::AmountOverPerAuth, level))
}

proptest! {
    #[test]
    fn f7_compiled_and_naive_rules_agree(levels in levels(), overriding: bool, ask in ask()) {
        let rule = propose(&levels, overriding, ask).rule;
        let found = rule.and_then(|why| Some((why.reason, why.level?)));
        prop_assert_eq!(found, naive(&levels, overriding, ask));
    }

    #[test]
    fn an_empty_policy_declines_nothing(overriding: bool, ask in ask()) {
        prop_assert!(passes(&Default::default(), overriding, ask));
    }

    #[test]
    fn adding_a_block_never_approves(
        levels in levels(), overriding: bool, ask in ask(), at in 0_usize..3, code in CODES,
    ) {
        // Overriding, a first list at a lower level takes the higher one's place; that is its use.
        let mut more = levels.clone();
        more[at].blocked.push((code, code));
        if !overriding || !levels[at].blocked.is_empty() {
            prop_assert!(passes(&levels, overriding, ask) || !passes(&more, overriding, ask));
        }
    }

    #[test]
    fn lowering_a_cap_never_approves_more(
        levels in levels(), overriding: bool, ask in ask(), at in 0_usize..3, cap in 0_i64..50,
    ) {
        let mut lower = levels.clone();
        let old = lower[at].per_auth;
        if !overriding || old.is_some() {
            lower[at].per_auth = Some(old.map_or(cap, |old| old.min(cap)));
            prop_assert!(passes(&levels, overriding, ask) || !passes(&lower, overriding, ask));
        }
    }

    #[test]
    fn order_and_duplicates_of_lists_do_not_matter(
        levels in levels(), overriding: bool, ask in ask(),
    ) {
        let mut shuffled = levels.clone();
        for rules in &mut shuffled {
            for list in [&mut rules.allowed, &mut rules.blocked] {
                list.extend_from_within(..);
                list.reverse();
            }
        }
        let rule = propose(&levels, overriding, ask).rule;
        prop_assert_eq!(rule, propose(&shuffled, overriding, ask).rule);
    }

    #[test]
    fn disjoint_allow_lists_allow_nothing(
        levels in levels(), ask in ask(), pair in 0_usize..3,
    ) {
        let mut disjoint = levels;
        disjoint[pair].allowed = vec![(5_800, 5_804)];
        disjoint[(pair + 1) % 3].allowed = vec![(5_805, 5_812)];
        prop_assert!(!passes(&disjoint, false, ask));
    }

    #[test]
    fn tightening_is_never_looser_than_any_level(levels in levels(), ask in ask()) {
        if passes(&levels, false, ask) {
            for at in 0..3 {
                let mut alone: [Rules; 3] = Default::default();
                alone[at] = levels[at].clone();
                prop_assert!(passes(&alone, false, ask));
            }
            prop_assert!(passes(&levels, true, ask));
        }
    }
}
