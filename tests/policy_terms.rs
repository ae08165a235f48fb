//! What single fields of policies mean at their edges: life times, hours, lists, scores, cash, fuel,
//! and what an approval would need (behaviour 2.6, 2.13, 2.14, 6.2; hazards D9, H10).
#![cfg(test)]

use std::borrow::Cow;

use countersign::decide::document::{DocumentContext, read_snapshot};
use countersign::decide::effective::{book_terms, of_level};
use countersign::decide::evaluate::evaluate;
use countersign::decide::merchant_text::intent_key;
use countersign::decide::snapshot::CardView;
use countersign::domain::acceptor::{CardAcceptor, Country};
use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::card::Level;
use countersign::domain::claims::{CardRules, IntentRule, Proposal};
use countersign::domain::currency::Currency;
use countersign::domain::decision::DeclineReason;
use countersign::domain::explanation::{Explanation, RuleField};
use countersign::domain::lifecycle::{BookTerms, OnReversal};
use countersign::domain::mcc::Mcc;
use countersign::domain::time::Timestamp;
use countersign::fingerprint::Fingerprinter;

/// Policies of card, agent and customer, and what surrounds them.
#[derive(Clone, Copy)]
struct Rules {
    policies: [&'static str; 3],
    card: &'static str,
    customer: &'static str,
}

const SILENT: Rules = Rules {
    policies: ["", "", ""],
    card: r#""createdAt": "2026-05-01T00:00:00Z""#,
    customer: r#""timezone": "UTC""#,
};

fn on_card(policy: &'static str) -> Rules {
    levels([policy, "", ""])
}

fn levels(policies: [&'static str; 3]) -> Rules {
    Rules { policies, ..SILENT }
}

fn overriding(policies: [&'static str; 3]) -> Rules {
    Rules {
        policies,
        customer: r#""cascade": "override""#,
        ..SILENT
    }
}

fn keys() -> Fingerprinter {
    Fingerprinter::new(9)
}

fn ask(rules: Rules, request: &AuthorizationRequest<'_>, now: &str) -> Proposal {
    with_card(rules, |card| evaluate(card, request, instant(now), &keys()))
}

fn with_card<T>(rules: Rules, see: impl FnOnce(&CardView<'_>) -> T) -> T {
    let [card, agent, customer] = rules.policies;
    let document = format!(
        r#"{{"customers": [{{"id": "c", "policy": {{{customer}}}, {}}}],
            "agents": [{{"id": "a", "customerId": "c", "policy": {{{agent}}}}}],
            "cards": [{{"id": "k", "connection": "acme", "issuerToken": "t", "customerId": "c",
                        "agentId": "a", "policy": {{{card}}}, {}}}]}}"#,
        rules.customer, rules.card
    );
    let context = DocumentContext {
        file: "terms.json",
        connections: &["acme"],
        version: 1,
    };
    let snapshot = read_snapshot(document.as_bytes(), context, &keys()).unwrap();
    see(&snapshot.card_by_id("k").unwrap())
}

fn instant(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_micros(at.as_microsecond())
}

/// 5.00 USD at a bookshop on the web.
fn purchase() -> AuthorizationRequest<'static> {
    AuthorizationRequest {
        authorization: Cow::Borrowed("x"),
        step: None,
        delivery: None,
        kind: AuthorizationKind::Authorization,
        card_token: Cow::Borrowed("t"),
        amount: Amount {
            minor: minor(500),
            currency: Currency::USD,
        },
        cash: Minor::ZERO,
        merchant_amount: None,
        acceptor: CardAcceptor {
            acquirer_id: Some(Cow::Borrowed("acq")),
            acceptor_id: Some(Cow::Borrowed("mid")),
            descriptor: Cow::Borrowed("SQ *Blue Bottle #12 Oakland"),
            mcc: Mcc::parse("5942").ok(),
            city: Cow::Borrowed(""),
            country: Country::parse_alpha2("US"),
        },
        partial_approval_capable: true,
        card_present: Some(false),
        merchant_initiated: false,
        risk_score: Some(40),
    }
}

fn with(change: impl FnOnce(&mut AuthorizationRequest<'static>)) -> AuthorizationRequest<'static> {
    let mut request = purchase();
    change(&mut request);
    request
}

fn minor(n: i64) -> Minor {
    Minor::new(n).unwrap()
}

fn mcc(code: &str) -> Option<Mcc> {
    Mcc::parse(code).ok()
}

const NOON: &str = "2026-05-29T12:00:00Z";

fn rule(rules: Rules, request: &AuthorizationRequest<'_>) -> Option<(DeclineReason, Level)> {
    let why = ask(rules, request, NOON).rule?;
    Some((why.reason, why.level?))
}

fn rules_of(rules: Rules, request: &AuthorizationRequest<'_>) -> CardRules {
    ask(rules, request, NOON).claims.rules
}

#[test]
fn d9_at_the_instant_of_its_end_a_card_has_expired_and_before_its_beginning_too() {
    let until = on_card(r#""validUntil": "2026-05-30T00:00:00Z""#);
    let from = on_card(r#""validFrom": "2026-05-30T00:00:00Z""#);
    let minutes = on_card(r#""ttlMinutes": 41760"#);
    let days = levels(["", "", r#""ttlDays": 29"#]);
    let end = "2026-05-30T00:00:00Z";
    for (rules, field, level) in [
        (until, RuleField::ValidUntil, Level::Card),
        (minutes, RuleField::TtlMinutes, Level::Card),
        (days, RuleField::TtlDays, Level::Customer),
    ] {
        let before = "2026-05-29T23:59:59.999999Z";
        assert_eq!(ask(rules, &purchase(), before).expired, None, "{field:?}");
        for now in [end, "2026-05-30T00:00:00.000001Z", "2030-01-01T00:00:00Z"] {
            let expected = Explanation {
                observed: Some(instant(now).micros()),
                limit: Some(instant(end).micros()),
                ..Explanation::of_rule(DeclineReason::CardExpired, level, field)
            };
            assert_eq!(ask(rules, &purchase(), now).expired, Some(expected));
        }
    }
    assert_eq!(ask(from, &purchase(), end).expired, None);
    let early = ask(from, &purchase(), "2026-05-29T23:59:59.999999Z")
        .expired
        .unwrap();
    assert_eq!(
        (early.field, early.resets_at),
        (RuleField::ValidFrom, Some(instant(end)))
    );
}

#[test]
fn d9_of_several_ends_the_earliest_is_named_and_overriding_the_lowest_of_each_field() {
    let both = on_card(r#""ttlMinutes": 60, "ttlDays": 1, "validUntil": "2026-05-01T02:00:00Z""#);
    let named = |rules, now| ask(rules, &purchase(), now).expired.map(|why| why.field);
    assert_eq!(named(both, "2026-05-01T00:59:59Z"), None);
    assert_eq!(named(both, NOON), Some(RuleField::TtlMinutes));
    let days = [r#""ttlDays": 2"#, r#""ttlDays": 3"#, r#""ttlDays": 1"#];
    assert_eq!(
        named(levels(days), "2026-05-02T00:00:00Z"),
        Some(RuleField::TtlDays)
    );
    let overridden = Rules {
        card: SILENT.card,
        ..overriding(days)
    };
    assert_eq!(named(overridden, "2026-05-02T23:59:59Z"), None);
    assert_eq!(
        named(overridden, "2026-05-03T00:00:00Z"),
        Some(RuleField::TtlDays)
    );
    let starts = levels([
        r#""validFrom": "2026-05-10T00:00:00Z""#,
        r#""validFrom": "2026-05-12T00:00:00Z""#,
        "",
    ]);
    assert_eq!(
        named(starts, "2026-05-11T00:00:00Z"),
        Some(RuleField::ValidFrom)
    );
    assert_eq!(named(starts, "2026-05-12T00:00:00Z"), None);
}

/// Rules, now, whether the hours are open, and when they open again.
fn check_hours(hours: &'static str, customer: &'static str, table: &[(&str, Option<&str>)]) {
    let rules = Rules {
        policies: [hours, "", ""],
        customer,
        ..SILENT
    };
    for (now, opens) in table {
        let why = ask(rules, &purchase(), now).hours;
        let expected = opens.map(|opens| Explanation {
            observed: Some(instant(now).micros()),
            resets_at: Some(instant(opens)),
            ..Explanation::of_rule(
                DeclineReason::OutsideActiveHours,
                Level::Card,
                RuleField::ActiveHours,
            )
        });
        assert_eq!(why, expected, "{hours} {now}");
    }
}

#[test]
fn hours_are_half_open_and_belong_to_their_day() {
    // 2026-05-29 is a Friday.
    check_hours(
        r#""activeHours": {"days": ["mon", "fri"], "from": "09:00", "to": "17:30"}"#,
        r#""timezone": "UTC""#,
        &[
            ("2026-05-29T08:59:59.999999Z", Some("2026-05-29T09:00:00Z")),
            ("2026-05-29T09:00:00Z", None),
            ("2026-05-29T17:29:59.999999Z", None),
            ("2026-05-29T17:30:00Z", Some("2026-06-01T09:00:00Z")),
            ("2026-05-30T12:00:00Z", Some("2026-06-01T09:00:00Z")),
            ("2026-06-01T12:00:00Z", None),
            ("2026-06-01T20:00:00Z", Some("2026-06-05T09:00:00Z")),
        ],
    );
}

#[test]
fn hours_over_midnight_belong_to_the_day_on_which_they_began() {
    check_hours(
        r#""activeHours": {"days": ["fri"], "from": "22:00", "to": "06:00"}"#,
        r#""timezone": "UTC""#,
        &[
            ("2026-05-29T05:00:00Z", Some("2026-05-29T22:00:00Z")),
            ("2026-05-29T22:00:00Z", None),
            ("2026-05-30T05:59:59Z", None),
            ("2026-05-30T06:00:00Z", Some("2026-06-05T22:00:00Z")),
            ("2026-05-30T22:30:00Z", Some("2026-06-05T22:00:00Z")),
        ],
    );
    check_hours(
        r#""activeHours": {"from": "18:00", "to": "00:00"}"#,
        r#""timezone": "UTC""#,
        &[
            ("2026-05-29T00:00:00Z", Some("2026-05-29T18:00:00Z")),
            ("2026-05-29T23:59:59Z", None),
        ],
    );
}

#[test]
fn d4_hours_follow_the_clock_of_their_zone_and_else_of_the_customer() {
    let berlin = r#""activeHours": {"timezone": "Europe/Berlin", "from": "02:00", "to": "03:00"}"#;
    // On 2026-03-29 02:00 to 03:00 does not exist; on 2026-10-25 it comes twice.
    check_hours(
        berlin,
        r#""timezone": "Asia/Tokyo""#,
        &[
            ("2026-03-28T01:30:00Z", None),
            ("2026-03-29T00:59:59Z", Some("2026-03-30T00:00:00Z")),
            ("2026-03-29T01:00:00Z", Some("2026-03-30T00:00:00Z")),
            ("2026-10-25T00:30:00Z", None),
            ("2026-10-25T01:30:00Z", None),
            ("2026-10-25T02:00:00Z", Some("2026-10-26T01:00:00Z")),
        ],
    );
    let of_customer = r#""activeHours": {"from": "09:00", "to": "17:00"}"#;
    check_hours(
        of_customer,
        r#""timezone": "Asia/Tokyo""#,
        &[
            ("2026-05-29T00:00:00Z", None),
            ("2026-05-29T08:00:00Z", Some("2026-05-30T00:00:00Z")),
        ],
    );
    // The clock is set back into hours that were over: they are open once more.
    check_hours(
        r#""activeHours": {"timezone": "Europe/Berlin", "from": "02:15", "to": "02:30"}"#,
        r#""timezone": "UTC""#,
        &[
            ("2026-10-25T00:40:00Z", Some("2026-10-25T01:15:00Z")),
            ("2026-10-25T01:20:00Z", None),
        ],
    );
}

#[test]
fn every_levels_hours_are_asked_and_overriding_the_lowest_alone() {
    let day = r#""activeHours": {"from": "09:00", "to": "17:00"}"#;
    let evening = r#""activeHours": {"from": "16:00", "to": "20:00"}"#;
    let level = |rules, now| ask(rules, &purchase(), now).hours.and_then(|why| why.level);
    let both = [day, "", evening];
    assert_eq!(level(levels(both), NOON), Some(Level::Customer));
    assert_eq!(
        level(levels(both), "2026-05-29T18:00:00Z"),
        Some(Level::Card)
    );
    assert_eq!(level(levels(both), "2026-05-29T16:30:00Z"), None);
    assert_eq!(level(overriding(both), NOON), None);
    assert_eq!(
        level(overriding(["", day, evening]), "2026-05-29T18:00:00Z"),
        Some(Level::Agent)
    );
}

#[test]
fn h10_what_is_absent_fails_allow_lists_and_passes_block_lists_of_merchants_alone() {
    let cases = [
        (r#""allowedCountries": ["US"]"#, true),
        (r#""blockedCountries": ["CA"]"#, true),
        (r#""allowedMccs": ["5942"]"#, true),
        (r#""blockedMccs": ["5812"]"#, true),
        (
            r#""allowedMerchants": ["SQ *BLUE BOTTLE", {"acceptorId": "mid"}]"#,
            true,
        ),
        (
            r#""blockedMerchants": ["RED", {"acceptorId": "dim"}]"#,
            false,
        ),
        (r#""maxRiskScore": 1"#, false),
        (r#""requireRiskScore": true"#, true),
    ];
    for (policy, declines) in cases {
        let mute = with(|it| {
            it.acceptor.mcc = None;
            it.acceptor.country = None;
            it.acceptor.descriptor = Cow::Borrowed(" ");
            it.acceptor.acceptor_id = None;
            it.risk_score = None;
        });
        assert_eq!(rule(on_card(policy), &mute).is_some(), declines, "{policy}");
        if policy != r#""maxRiskScore": 1"# {
            assert_eq!(rule(on_card(policy), &purchase()), None, "{policy}");
        }
    }
}

#[test]
fn a_block_beats_an_allow_of_its_kind() {
    let cases = [
        (
            r#""allowedCountries": ["US"], "blockedCountries": ["US"]"#,
            DeclineReason::CountryNotAllowed,
        ),
        (
            r#""allowedMccs": ["5942"], "blockedMccs": ["5942"]"#,
            DeclineReason::MccBlocked,
        ),
        (
            r#""allowedMerchants": ["SQ *BLUE"], "blockedMerchants": ["bottle"]"#,
            DeclineReason::MerchantBlocked,
        ),
    ];
    for (policy, reason) in cases {
        assert_eq!(
            rule(on_card(policy), &purchase()),
            Some((reason, Level::Card))
        );
        let any: &'static str = format!(r#"{policy}, "match": "any""#).leak();
        assert_eq!(rule(on_card(any), &purchase()), Some((reason, Level::Card)));
    }
}

#[test]
fn several_kinds_of_allow_list_must_all_pass_unless_their_level_is_content_with_any() {
    let lists = |country, mcc, merchant, word| -> &'static str {
        format!(
            r#""allowedCountries": ["{country}"], "allowedMccs": ["{mcc}"],
               "allowedMerchants": ["{merchant}"], "match": "{word}""#
        )
        .leak()
    };
    let (yes, no) = (("US", "5942", "SQ *BLUE"), ("CA", "5812", "RED"));
    let reasons = [
        DeclineReason::CountryNotAllowed,
        DeclineReason::MccNotAllowed,
        DeclineReason::MerchantNotAllowed,
    ];
    for bits in 0..8 {
        let pick = |at: u8| bits >> at & 1 == 1;
        let country = if pick(0) { yes.0 } else { no.0 };
        let mcc = if pick(1) { yes.1 } else { no.1 };
        let merchant = if pick(2) { yes.2 } else { no.2 };
        let all = rule(on_card(lists(country, mcc, merchant, "all")), &purchase());
        let first = (0..3)
            .find(|at| !pick(*at))
            .map(|at| reasons[usize::from(at)]);
        assert_eq!(all.map(|why| why.0), first, "{bits:03b}");
        let any = rule(on_card(lists(country, mcc, merchant, "any")), &purchase());
        let expected = (bits == 0).then_some(DeclineReason::CountryNotAllowed);
        assert_eq!(any.map(|why| why.0), expected, "{bits:03b}");
    }
    // One level's "any" says nothing about another level.
    let any = r#""allowedMccs": ["5942"], "allowedMerchants": ["RED"], "match": "any""#;
    let none = r#""allowedMerchants": ["RED"]"#;
    assert_eq!(rule(levels([any, "", ""]), &purchase()), None);
    let reason = DeclineReason::MerchantNotAllowed;
    assert_eq!(
        rule(levels([any, none, ""]), &purchase()),
        Some((reason, Level::Agent))
    );
    assert_eq!(rule(overriding([any, none, ""]), &purchase()), None);
    // Overriding, a kind that a lower level speaks about is not the higher level's any more.
    let lower = r#""allowedMccs": ["5942"]"#;
    assert_eq!(
        rule(overriding([lower, "", any]), &purchase()),
        Some((reason, Level::Customer))
    );
}

#[test]
fn a_score_equal_to_the_cap_passes_and_the_tightest_cap_holds() {
    let scored = |score| with(|it| it.risk_score = score);
    let caps = levels([r#""maxRiskScore": 60"#, r#""maxRiskScore": 40"#, ""]);
    assert_eq!(rule(caps, &scored(Some(40))), None);
    let high = (DeclineReason::RiskScoreTooHigh, Level::Agent);
    assert_eq!(rule(caps, &scored(Some(41))), Some(high));
    assert_eq!(rule(caps, &scored(None)), None);
    let required = levels([
        "",
        r#""requireRiskScore": false"#,
        r#""requireRiskScore": true"#,
    ]);
    let missing = (DeclineReason::RiskScoreTooHigh, Level::Customer);
    assert_eq!(rule(required, &scored(None)), Some(missing));
    assert_eq!(rule(required, &scored(Some(99))), None);
    let lifted = overriding([
        "",
        r#""requireRiskScore": false"#,
        r#""requireRiskScore": true"#,
    ]);
    assert_eq!(rule(lifted, &scored(None)), None);
}

#[test]
fn cash_needs_a_level_that_allows_it_and_none_that_forbids_it() {
    let allow = r#""allowCash": true"#;
    let forbid = r#""allowCash": false"#;
    let atm = with(|it| it.acceptor.mcc = mcc("6011"));
    let cashback = with(|it| it.cash = minor(100));
    for request in [&atm, &cashback] {
        let why = ask(SILENT, request, NOON).rule.unwrap();
        assert_eq!(
            (why.reason, why.level),
            (DeclineReason::TransactionTypeNotAllowed, None)
        );
        assert_eq!(rule(on_card(allow), request), None);
        assert_eq!(rule(levels(["", "", allow]), request), None);
        let level = rule(levels([allow, "", forbid]), request).map(|why| why.1);
        assert_eq!(level, Some(Level::Customer));
        assert_eq!(rule(overriding([allow, "", forbid]), request), None);
    }
    for code in ["6010", "6011", "4829", "6050", "6051", "6540", "7995"] {
        let request = with(|it| it.acceptor.mcc = mcc(code));
        assert!(ask(SILENT, &request, NOON).rule.is_some(), "{code}");
        assert_eq!(rule(on_card(allow), &request), None, "{code}");
    }
}

#[test]
fn a_status_check_at_a_pump_reserves_the_largest_fuel_hold() {
    let holds = levels([r#""fuelHold": 7500"#, r#""fuelHold": 12500"#, ""]);
    let pump = |minor_units, currency| {
        with(|it| {
            it.acceptor.mcc = mcc("5542");
            it.amount.minor = minor(minor_units);
            it.amount.currency = currency;
        })
    };
    let reserved = |rules, request: &AuthorizationRequest<'_>| {
        ask(rules, request, NOON).claims.amount.minor.get()
    };
    let usd = Currency::USD;
    let table = [
        (0, 0),
        (1, 12_500),
        (100, 12_500),
        (101, 101),
        (17_500, 17_500),
    ];
    for (asked, expected) in table {
        assert_eq!(reserved(holds, &pump(asked, usd)), expected, "{asked}");
    }
    assert_eq!(reserved(SILENT, &pump(100, usd)), 100);
    assert_eq!(reserved(overriding(holds.policies), &pump(100, usd)), 7_500);
    let shop = with(|it| it.amount.minor = minor(100));
    assert_eq!(reserved(holds, &shop), 100);
    // One yen is 1.00, and one dinar has a thousand parts.
    for (code, at_most_one) in [("JPY", 1), ("KWD", 1_000)] {
        let currency = Currency::parse(code).unwrap();
        assert_eq!(reserved(holds, &pump(at_most_one, currency)), 12_500);
        assert_eq!(
            reserved(holds, &pump(at_most_one + 1, currency)),
            at_most_one + 1
        );
    }
    // What is reserved has to fit the cap.
    let capped = levels([r#""fuelHold": 5001, "limits": {"perAuth": 5000}"#, "", ""]);
    let why = ask(capped, &pump(100, usd), NOON).rule.unwrap();
    assert_eq!(
        (why.reason, why.observed),
        (DeclineReason::AmountOverPerAuth, Some(5_001))
    );
}

#[test]
fn a_probe_is_small_at_a_web_shop_and_of_a_known_lawful_category() {
    let probing = Rules {
        card: r#""usage": "single""#,
        ..on_card(r#""probePolicy": "allow_one_probe", "allowCash": true"#)
    };
    let small = || with(|it| it.amount.minor = minor(100));
    let may = |rules, request: &AuthorizationRequest<'_>| rules_of(rules, request).may_probe;
    assert!(may(probing, &small()));
    assert!(may(probing, &with(|it| it.amount.minor = minor(1))));
    type Change = fn(&mut AuthorizationRequest<'static>);
    let changes: [Change; 8] = [
        |it| it.amount.minor = minor(101),
        |it| it.amount.minor = Minor::ZERO,
        |it| it.acceptor.mcc = mcc("5542"),
        |it| it.acceptor.mcc = mcc("6011"),
        |it| it.acceptor.mcc = None,
        |it| it.card_present = Some(true),
        |it| it.card_present = None,
        |it| it.cash = minor(1),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut request = small();
        change(&mut request);
        assert!(!may(probing, &request), "{at}");
    }
    let multi = on_card(r#""probePolicy": "allow_one_probe""#);
    assert!(!may(multi, &small()));
    let forbidden = Rules {
        policies: [
            r#""probePolicy": "allow_one_probe""#,
            "",
            r#""probePolicy": "consume""#,
        ],
        ..probing
    };
    assert!(!may(forbidden, &small()));
    let silent = Rules {
        policies: [r#""cooldownMinutes": 1"#, "", ""],
        ..probing
    };
    assert!(!may(silent, &small()));
}

#[test]
fn h8_a_part_may_be_approved_where_policy_and_terminal_say_so_and_no_cash_is_paid() {
    let partial = on_card(r#""allowPartial": true, "allowCash": true"#);
    let may = |rules, request: &AuthorizationRequest<'_>| rules_of(rules, request).may_approve_part;
    assert!(may(partial, &purchase()));
    assert!(!may(on_card(r#""cooldownMinutes": 1"#), &purchase()));
    let forbidden = levels([r#""allowPartial": true"#, r#""allowPartial": false"#, ""]);
    assert!(!may(forbidden, &purchase()));
    assert!(!may(
        partial,
        &with(|it| it.partial_approval_capable = false)
    ));
    assert!(!may(partial, &with(|it| it.cash = minor(1))));
    assert!(!may(partial, &with(|it| it.acceptor.mcc = mcc("6011"))));
    assert!(!may(partial, &with(|it| it.acceptor.mcc = None)));
    let inquiry = with(|it| it.kind = AuthorizationKind::BalanceInquiry);
    assert!(!may(partial, &inquiry));
}

#[test]
fn counters_are_claimed_at_their_level_in_their_kind_of_window() {
    let card = r#""limits": {"perDay": {"amount": 10, "window": "rolling"}, "perWeek": 20,
        "perMonth": {"amount": 30}, "total": 40, "countPerHour": 1, "countTotal": 0}"#;
    let agent = r#""limits": {"perMonth": {"amount": 50, "window": "rolling"}, "countPerDay": 2,
        "perWeek": {"amount": 60, "window": "rolling"}, "perDay": {"amount": 70, "window": "calendar"}}"#;
    for rules in [levels([card, agent, ""]), overriding([card, agent, ""])] {
        let [card, agent, customer] = ask(rules, &purchase(), NOON).claims.limits;
        assert_eq!((card.per_day, card.rolling_day), (None, Some(minor(10))));
        assert_eq!((card.per_week, card.rolling_week), (Some(minor(20)), None));
        assert_eq!(
            (card.per_month, card.rolling_month),
            (Some(minor(30)), None)
        );
        assert_eq!(card.total, Some(minor(40)));
        let counts = (card.count_per_hour, card.count_per_day, card.count_total);
        assert_eq!(counts, (Some(1), None, Some(0)));
        assert_eq!(
            (agent.per_month, agent.rolling_month),
            (None, Some(minor(50)))
        );
        assert_eq!(
            (agent.per_week, agent.rolling_week),
            (None, Some(minor(60)))
        );
        assert_eq!((agent.per_day, agent.rolling_day), (Some(minor(70)), None));
        assert_eq!((agent.count_per_day, agent.count_total), (Some(2), None));
        assert_eq!(customer, Default::default());
    }
}

#[test]
fn what_depends_on_the_past_is_folded_to_the_tightest_or_the_lowest() {
    let loose = r#""cooldownMinutes": 5, "expireAfter": {"count": 9, "spend": 900},
        "requireAttestation": true, "attestationWindowMinutes": 60"#;
    let tight = r#""cooldownMinutes": 7, "expireAfter": {"count": 3, "spend": 300},
        "requireAttestation": false, "attestationWindowMinutes": 10"#;
    let minutes = |n: i64| n * 60_000_000;
    let tightened = rules_of(levels([loose, "", tight]), &purchase());
    assert_eq!(tightened.cooldown_us, Some((minutes(7), Level::Customer)));
    assert_eq!(tightened.expire_after_count, Some((3, Level::Customer)));
    assert_eq!(
        tightened.expire_after_spend,
        Some((minor(300), Level::Customer))
    );
    assert_eq!(tightened.attestation_us, Some((minutes(10), Level::Card)));
    let overridden = rules_of(overriding(["", loose, tight]), &purchase());
    assert_eq!(overridden.cooldown_us, Some((minutes(5), Level::Agent)));
    assert_eq!(overridden.expire_after_count, Some((9, Level::Agent)));
    assert_eq!(overridden.attestation_us, Some((minutes(60), Level::Agent)));
    let silent = rules_of(on_card(r#""requireAttestation": true"#), &purchase());
    assert_eq!(silent.attestation_us, Some((minutes(15), Level::Card)));
    let lifted = rules_of(
        overriding([r#""cooldownMinutes": 0"#, "", tight]),
        &purchase(),
    );
    assert_eq!(lifted.cooldown_us, None);
    let inquiry = with(|it| it.kind = AuthorizationKind::BalanceInquiry);
    let asked = rules_of(levels([loose, "", tight]), &inquiry);
    let expected = CardRules {
        expire_after_count: tightened.expire_after_count,
        expire_after_spend: tightened.expire_after_spend,
        ..CardRules::default()
    };
    assert_eq!(asked, expected);
    let credit = with(|it| it.kind = AuthorizationKind::Credit);
    assert_eq!(
        rules_of(levels([loose, "", tight]), &credit),
        CardRules::default()
    );
}

/// What a reversal gives back concerns cards that are used up by a purchase, and their lock.
#[test]
fn what_follows_an_authorization_is_what_the_policies_say() {
    const SINGLE: &str = r#""usage": "single""#;
    let again = r#""reauthorizeSameMerchant": true, "refundsRestore": true"#;
    let never = r#""reauthorizeSameMerchant": false, "refundsRestore": false"#;
    use OnReversal::{GiveBack, KeepLock, KeepUse};
    for (policies, card, refunds_restore, on_reversal, locks) in [
        (["", "", ""], SINGLE, false, GiveBack, None),
        (["", again, ""], SINGLE, true, KeepLock, Some(Level::Agent)),
        (["", never, ""], SINGLE, false, KeepUse, None),
        (["", never, again], SINGLE, false, KeepUse, None),
        (["", again, ""], r#""usage": "multi""#, true, GiveBack, None),
        (
            ["", never, ""],
            r#""usage": "multi""#,
            false,
            GiveBack,
            None,
        ),
    ] {
        let rules = Rules {
            card,
            ..levels(policies)
        };
        let expected = BookTerms {
            refunds_restore,
            on_reversal,
            preset_lock: None,
            single_use: card.contains("single"),
            locks_to_first: locks.is_some(),
        };
        assert_eq!(with_card(rules, book_terms), expected, "{policies:?}");
        let claims = ask(rules, &purchase(), "2026-05-20T12:00:00Z").claims;
        assert_eq!(claims.lock_to_first_merchant, locks, "{policies:?} {card}");
    }
}

#[test]
fn what_one_level_says_for_itself_is_its_own() {
    let rules = levels([
        r#""maxRiskScore": 10"#,
        r#""maxRiskScore": 20"#,
        r#""maxRiskScore": 30"#,
    ]);
    with_card(rules, |card| {
        for (level, policy) in Level::ALL.into_iter().zip(card.policies()) {
            let own = of_level(level, policy);
            let levels: Vec<_> = own.of("maxRiskScore").map(|it| it.level).collect();
            assert_eq!(levels, [Some(level)]);
        }
    });
}

#[test]
fn an_intent_is_asked_for_with_everything_it_is_compared_with() {
    let below = |n| Some(minor(n));
    let rules = rules_of(
        levels([
            r#""requireIntent": true, "onIntentMismatch": "flag""#,
            r#""requireApproval": true, "autoApproveBelow": 5000"#,
            r#""autoApproveBelow": 2000"#,
        ]),
        &purchase(),
    );
    let expected = IntentRule {
        level: Level::Card,
        requires_approval: true,
        auto_approve_below: below(2_000),
        flags_mismatch: true,
    };
    assert_eq!(rules.intent, Some(expected));
    assert_eq!(rules.mcc, mcc("5942"));
    for (expected, names) in [
        ("sq *blue bottle", true),
        ("SQ* Blue", true),
        ("SQ *Blue Bottle Oakland", true),
        ("SQ *Blue Bottle #99", true),
        ("Blue Bottle", false),
        ("SQ *Blue Bottle Berkeley", false),
        ("SQ *Bottle", false),
        ("SQ *", false),
    ] {
        let key = intent_key(&keys(), expected);
        let found = key.is_some_and(|key| rules.merchant_prefixes.contains(&key));
        assert_eq!(found, names, "{expected}");
    }
    // Approval is of an intent, so that it requires one.
    let approved = rules_of(levels(["", "", r#""requireApproval": true"#]), &purchase());
    let expected = IntentRule {
        level: Level::Customer,
        requires_approval: true,
        auto_approve_below: None,
        flags_mismatch: false,
    };
    assert_eq!(approved.intent, Some(expected));
    let declines = levels([
        r#""requireIntent": true, "onIntentMismatch": "flag""#,
        "",
        r#""onIntentMismatch": "decline""#,
    ]);
    assert!(
        !rules_of(declines, &purchase())
            .intent
            .unwrap()
            .flags_mismatch
    );
    let silent = rules_of(
        on_card(r#""autoApproveBelow": 1, "cooldownMinutes": 1"#),
        &purchase(),
    );
    assert_eq!((silent.intent, silent.mcc), (None, None));
    assert!(silent.merchant_prefixes.is_empty());
}
