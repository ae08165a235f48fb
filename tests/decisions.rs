//! One row per reason that the stateless rules can give, in order of precedence.
//!
//! Each row starts from a whole snapshot document and one request, so that reading, compiling and
//! evaluating are tested together. A reason of 2 to 17 that no row shows fails the test.
#![cfg(test)]

#[path = "support/disk.rs"]
#[expect(dead_code, reason = "the journal's tests use the rest")]
mod disk;
#[path = "decisions/path.rs"]
mod path;

use std::borrow::Cow;

use countersign::decide::document::{DocumentContext, read_snapshot};
use countersign::decide::evaluate::evaluate;
use countersign::decide::snapshot::Snapshot;
use countersign::domain::acceptor::{CardAcceptor, Country};
use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::card::Level;
use countersign::domain::claims::Proposal;
use countersign::domain::currency::Currency;
use countersign::domain::decision::DeclineReason;
use countersign::domain::explanation::{Explanation, RuleField};
use countersign::domain::identity::{KeySpace, Keys};
use countersign::domain::mcc::Mcc;
use countersign::domain::time::Timestamp;
use countersign::fingerprint::Fingerprinter;

/// `card_unknown`, the first, is the absence of a card.
fn stateless() -> Vec<DeclineReason> {
    DeclineReason::ALL[1..17].to_vec()
}

/// 2026-05-29T18:30:00Z, a Friday.
const NOW: Timestamp = Timestamp::from_secs(1_780_079_400);

fn keys() -> Fingerprinter {
    Fingerprinter::new(42)
}

/// Fields of one level's object and of its policy, without braces.
#[derive(Clone, Copy)]
struct Fields {
    at: Level,
    own: &'static str,
    policy: &'static str,
}

const fn own(at: Level, own: &'static str) -> Fields {
    let policy = "";
    Fields { at, own, policy }
}

const fn policy(at: Level, policy: &'static str) -> Fields {
    let own = "";
    Fields { at, own, policy }
}

/// A document of one customer, one agent and one card, with these further fields.
fn snapshot(fields: &[Fields]) -> Snapshot {
    let further = |level: Level| {
        let here = || fields.iter().filter(move |fields| fields.at == level);
        let own: String = here()
            .filter(|fields| !fields.own.is_empty())
            .map(|fields| format!(", {}", fields.own))
            .collect();
        let policy: Vec<_> = here()
            .filter(|fields| !fields.policy.is_empty())
            .map(|fields| fields.policy)
            .collect();
        format!(r#"{own}, "policy": {{{}}}"#, policy.join(", "))
    };
    let (card, agent, customer) = (
        further(Level::Card),
        further(Level::Agent),
        further(Level::Customer),
    );
    let document = format!(
        r#"{{"schema": 1,
            "customers": [{{"id": "cus_1" {customer}}}],
            "agents": [{{"id": "agt_1", "customerId": "cus_1" {agent}}}],
            "cards": [{{"id": "card_1", "connection": "acme", "issuerToken": "tok_1",
                        "customerId": "cus_1", "agentId": "agt_1",
                        "createdAt": "2026-05-29T12:00:00Z" {card}}}]}}"#
    );
    let context = DocumentContext {
        file: "snapshot.json",
        connections: &["acme"],
        version: 1,
    };
    read_snapshot(document.as_bytes(), context, &keys()).unwrap()
}

/// A purchase of 20.00 USD at a bookshop.
fn purchase() -> AuthorizationRequest<'static> {
    AuthorizationRequest {
        authorization: Cow::Borrowed("auth_1"),
        step: None,
        delivery: None,
        kind: AuthorizationKind::Authorization,
        card_token: Cow::Borrowed("tok_1"),
        amount: Amount {
            minor: Minor::new(2_000).unwrap(),
            currency: Currency::USD,
        },
        cash: Minor::ZERO,
        merchant_amount: None,
        acceptor: CardAcceptor {
            acquirer_id: Some(Cow::Borrowed("acq_1")),
            acceptor_id: Some(Cow::Borrowed("mid_1")),
            descriptor: Cow::Borrowed("BOOKS & CO #12"),
            mcc: Some(Mcc::parse("5942").unwrap()),
            city: Cow::Borrowed("PORTLAND"),
            country: Country::parse_alpha2("US"),
        },
        partial_approval_capable: false,
        card_present: None,
        merchant_initiated: false,
        risk_score: None,
    }
}

fn ask(snapshot: &Snapshot, request: &AuthorizationRequest<'_>) -> Proposal {
    let keys = keys();
    let names = [b"acme".as_slice(), request.card_token.as_bytes()];
    let card = snapshot.card(keys.key(KeySpace::Card, &names)).unwrap();
    evaluate(&card, request, NOW, &keys)
}

/// What the caller would see without a ledger: the smallest number (behaviour 2.10).
fn first(proposal: &Proposal) -> Option<Explanation> {
    let all = [
        proposal.standing,
        proposal.expired,
        proposal.rule,
        proposal.hours,
    ];
    all.into_iter().flatten().min_by_key(|why| why.reason)
}

type Change = fn(&mut AuthorizationRequest<'_>);

struct Row {
    reason: DeclineReason,
    level: Option<Level>,
    field: RuleField,
    fields: Option<Fields>,
    change: Change,
}

fn same(_: &mut AuthorizationRequest<'_>) {}

fn euros(request: &mut AuthorizationRequest<'_>) {
    request.amount.currency = Currency::EUR;
}

fn with_cash(request: &mut AuthorizationRequest<'_>) {
    request.cash = Minor::new(1).unwrap();
}

fn cash_machine(request: &mut AuthorizationRequest<'_>) {
    request.acceptor.mcc = Mcc::parse("6011").ok();
}

fn without_mcc(request: &mut AuthorizationRequest<'_>) {
    request.acceptor.mcc = None;
}

fn without_country(request: &mut AuthorizationRequest<'_>) {
    request.acceptor.country = None;
}

fn risky(request: &mut AuthorizationRequest<'_>) {
    request.risk_score = Some(51);
}

const BLOCKED: &str = r#""blockedMccs": ["5000-5941", "5942"]"#;
const ALLOWED: &str = r#""allowedMccs": ["5943", "3000-3350"]"#;
const CAPPED: &str = r#""limits": {"perAuth": 1999}"#;

/// A row whose cause is a field of the object itself.
fn status(reason: DeclineReason, at: Level, text: &'static str) -> Row {
    let frozen = reason == DeclineReason::CardFrozenByRisk;
    Row {
        reason,
        level: Some(at),
        field: if frozen {
            RuleField::Frozen
        } else {
            RuleField::Status
        },
        fields: Some(own(at, text)),
        change: same,
    }
}

/// A row whose cause is a field of a policy.
fn ruled(at: Level, text: &'static str, change: Change) -> Row {
    let field = text.split('"').nth(1).unwrap();
    let (reason, field) = match field {
        "validFrom" => (DeclineReason::CardExpired, RuleField::ValidFrom),
        "validUntil" => (DeclineReason::CardExpired, RuleField::ValidUntil),
        "ttlMinutes" => (DeclineReason::CardExpired, RuleField::TtlMinutes),
        "ttlDays" => (DeclineReason::CardExpired, RuleField::TtlDays),
        "allowCash" => (
            DeclineReason::TransactionTypeNotAllowed,
            RuleField::AllowCash,
        ),
        "blockedCountries" => (
            DeclineReason::CountryNotAllowed,
            RuleField::BlockedCountries,
        ),
        "allowedCountries" => (
            DeclineReason::CountryNotAllowed,
            RuleField::AllowedCountries,
        ),
        "blockedMccs" => (DeclineReason::MccBlocked, RuleField::BlockedMccs),
        "allowedMccs" => (DeclineReason::MccNotAllowed, RuleField::AllowedMccs),
        "blockedMerchants" => (DeclineReason::MerchantBlocked, RuleField::BlockedMerchants),
        "allowedMerchants" => (
            DeclineReason::MerchantNotAllowed,
            RuleField::AllowedMerchants,
        ),
        "activeHours" => (DeclineReason::OutsideActiveHours, RuleField::ActiveHours),
        "maxRiskScore" => (DeclineReason::RiskScoreTooHigh, RuleField::MaxRiskScore),
        "requireRiskScore" => (DeclineReason::RiskScoreTooHigh, RuleField::RequireRiskScore),
        "limits" => (DeclineReason::AmountOverPerAuth, RuleField::PerAuth),
        other => panic!("{other}"),
    };
    Row {
        reason,
        level: Some(at),
        field,
        fields: Some(policy(at, text)),
        change,
    }
}

/// A row whose cause is the request.
fn asked(reason: DeclineReason, fields: Option<Fields>, change: Change) -> Row {
    let by_currency = reason == DeclineReason::CurrencyNotSupported;
    Row {
        reason,
        level: by_currency.then_some(Level::Customer),
        field: if by_currency {
            RuleField::Currency
        } else {
            RuleField::AllowCash
        },
        fields,
        change,
    }
}

/// In order of precedence; where several rows have one reason, each shows another cause.
fn rows() -> Vec<Row> {
    use DeclineReason as R;
    use Level::{Agent, Card, Customer};
    let yen = Some(own(Customer, r#""currency": "JPY""#));
    vec![
        status(R::CardCanceled, Card, r#""status": "canceled""#),
        status(R::CardLocked, Card, r#""status": "locked""#),
        ruled(Card, r#""validUntil": "2026-05-29T18:30:00Z""#, same),
        ruled(Agent, r#""ttlMinutes": 390"#, same),
        ruled(
            Customer,
            r#""validFrom": "2026-05-29T18:30:00.000001Z""#,
            same,
        ),
        status(R::AgentSuspended, Agent, r#""status": "paused""#),
        status(R::AgentSuspended, Agent, r#""status": "disabled""#),
        status(R::CustomerSuspended, Customer, r#""status": "suspended""#),
        status(R::CardFrozenByRisk, Card, r#""frozen": true"#),
        asked(R::CurrencyNotSupported, None, euros),
        asked(R::CurrencyNotSupported, yen, same),
        asked(R::TransactionTypeNotAllowed, None, with_cash),
        asked(R::TransactionTypeNotAllowed, None, cash_machine),
        ruled(Customer, r#""allowCash": false"#, cash_machine),
        ruled(Card, r#""blockedCountries": ["CA", "us"]"#, same),
        ruled(Agent, r#""blockedCountries": ["CA"]"#, without_country),
        ruled(Card, r#""allowedCountries": ["CA", "MX"]"#, same),
        ruled(Customer, r#""allowedCountries": ["US"]"#, without_country),
        ruled(Card, BLOCKED, same),
        ruled(Agent, BLOCKED, same),
        ruled(Customer, BLOCKED, same),
        ruled(Card, BLOCKED, without_mcc),
        ruled(Card, ALLOWED, same),
        ruled(Agent, ALLOWED, same),
        ruled(Customer, ALLOWED, same),
        ruled(Card, ALLOWED, without_mcc),
        ruled(Card, r#""blockedMerchants": ["Books"]"#, same),
        ruled(
            Agent,
            r#""blockedMerchants": [{"acceptorId": "mid_1"}]"#,
            same,
        ),
        ruled(Card, r#""allowedMerchants": ["BOOKS & COMPANY"]"#, same),
        ruled(
            Agent,
            r#""allowedMerchants": ["OOKS & CO", "BOOKS &AMP"]"#,
            same,
        ),
        ruled(
            Customer,
            r#""allowedMerchants": [{"acceptorId": "mid_2"}]"#,
            same,
        ),
        ruled(
            Card,
            r#""activeHours": {"from": "09:00", "to": "18:30"}"#,
            same,
        ),
        ruled(
            Agent,
            r#""activeHours": {"days": ["sat"], "from": "00:00", "to": "24:00"}"#,
            same,
        ),
        ruled(Card, r#""maxRiskScore": 50"#, risky),
        ruled(Customer, r#""requireRiskScore": true"#, same),
        ruled(Card, CAPPED, same),
        ruled(Agent, CAPPED, same),
        ruled(Customer, CAPPED, same),
    ]
}

#[test]
fn every_reason_has_its_row_and_rows_stand_in_order() {
    let mut last = None;
    let mut shown = Vec::new();
    for (at, row) in rows().into_iter().enumerate() {
        let mut request = purchase();
        (row.change)(&mut request);
        let proposal = ask(&snapshot(row.fields.as_slice()), &request);
        let found = first(&proposal).map(|why| (why.reason, why.level, why.field));
        assert_eq!(found, Some((row.reason, row.level, row.field)), "row {at}");
        assert!(
            last <= Some(row.reason.number()),
            "row {at} is out of order"
        );
        last = Some(row.reason.number());
        shown.push(row.reason);
    }
    shown.dedup();
    assert_eq!(shown, stateless());
}

#[test]
fn f1_the_base_of_all_rows_is_approved() {
    let proposal = ask(&snapshot(&[]), &purchase());
    assert_eq!(first(&proposal), None);
}

/// Every pair of rows that can stand in one document and one request: the earlier reason wins.
#[test]
fn where_two_rules_apply_the_earlier_number_wins() {
    let mut pairs = 0;
    for earlier in rows() {
        for later in rows().into_iter().filter(|row| row.reason > earlier.reason) {
            if collide(&earlier, &later) {
                continue;
            }
            let fields: Vec<_> = earlier.fields.into_iter().chain(later.fields).collect();
            let mut request = purchase();
            (later.change)(&mut request);
            (earlier.change)(&mut request);
            let proposal = ask(&snapshot(&fields), &request);
            let found = first(&proposal).map(|why| why.reason);
            assert_eq!(
                found,
                Some(earlier.reason),
                "before {}",
                later.reason.code()
            );
            pairs += 1;
        }
    }
    assert!(pairs > 500, "{pairs}");
}

/// Whether both rows write the same field of the same level. Changes of a request never collide:
/// the earlier row's is made last.
fn collide(one: &Row, other: &Row) -> bool {
    let name = |row: &Row| {
        let fields = row.fields?;
        let text = if fields.own.is_empty() {
            fields.policy
        } else {
            fields.own
        };
        Some((fields.at, text.split_once(':')?.0))
    };
    name(one).is_some() && name(one) == name(other)
}

#[test]
fn a_status_and_a_rule_are_both_proposed() {
    let snapshot = snapshot(&[own(Level::Card, r#""status": "locked""#)]);
    let mut request = purchase();
    euros(&mut request);
    let proposal = ask(&snapshot, &request);
    let reasons = [proposal.standing, proposal.rule].map(|why| why.map(|why| why.reason));
    let expected = [
        Some(DeclineReason::CardLocked),
        Some(DeclineReason::CurrencyNotSupported),
    ];
    assert_eq!(reasons, expected);
}

#[test]
fn a9_equal_to_the_cap_passes_and_one_more_does_not() {
    let snapshot = snapshot(&[policy(Level::Card, CAPPED)]);
    for (minor, over) in [(0, false), (1_998, false), (1_999, false), (2_000, true)] {
        let mut request = purchase();
        request.amount.minor = Minor::new(minor).unwrap();
        let rule = ask(&snapshot, &request).rule;
        assert_eq!(rule.is_some(), over, "{minor}");
    }
    let rule = ask(&snapshot, &purchase()).rule.unwrap();
    let numbers = (rule.observed, rule.limit, rule.remaining);
    assert_eq!(numbers, (Some(2_000), Some(1_999), Some(1_999)));
}

#[test]
fn of_several_caps_the_tightest_is_named_and_overriding_the_lowest() {
    let fields = [
        policy(Level::Card, r#""limits": {"perAuth": 1800}"#),
        policy(Level::Agent, r#""limits": {"perAuth": 1500}"#),
        policy(Level::Customer, r#""limits": {"perAuth": 1500}"#),
    ];
    let cap = |fields: &[Fields]| {
        let rule = ask(&snapshot(fields), &purchase()).rule.unwrap();
        (rule.level, rule.limit)
    };
    assert_eq!(cap(&fields), (Some(Level::Agent), Some(1_500)));
    let override_cascade = own(Level::Customer, r#""cascade": "override""#);
    let overriding = [fields.as_slice(), &[override_cascade]].concat();
    assert_eq!(cap(&overriding), (Some(Level::Card), Some(1_800)));
    let without_card: Vec<_> = overriding.into_iter().skip(1).collect();
    assert_eq!(cap(&without_card), (Some(Level::Agent), Some(1_500)));
}

#[test]
fn h5_a_verification_of_zero_meets_every_rule() {
    for row in rows()
        .into_iter()
        .filter(|row| row.reason != DeclineReason::AmountOverPerAuth)
    {
        let mut request = purchase();
        (row.change)(&mut request);
        request.amount.minor = Minor::ZERO;
        let proposal = ask(&snapshot(row.fields.as_slice()), &request);
        assert_eq!(first(&proposal).map(|why| why.reason), Some(row.reason));
        assert!(proposal.claims.amount.minor.is_zero());
    }
}

#[test]
fn money_back_meets_no_rule_and_a_balance_inquiry_the_status_alone() {
    let single = own(Level::Card, r#""usage": "single""#);
    let limits = r#""limits": {"perDay": 5, "perAuth": 4}, "lockToFirstMerchant": true"#;
    for row in rows() {
        if row.fields.is_some_and(|fields| fields.policy == CAPPED) {
            continue;
        }
        let mut fields = vec![single, policy(Level::Card, limits)];
        fields.extend(row.fields);
        let mut request = purchase();
        (row.change)(&mut request);
        let snapshot = snapshot(&fields);

        request.kind = AuthorizationKind::Credit;
        let credit = ask(&snapshot, &request);
        assert_eq!(first(&credit), None);
        assert!(
            credit
                .claims
                .limits
                .iter()
                .all(|limits| limits.per_day.is_none())
        );
        assert_eq!(credit.claims.per_auth, None);

        request.kind = AuthorizationKind::BalanceInquiry;
        let inquiry = ask(&snapshot, &request);
        // Nor is it answered in a currency that is not the customer's.
        let elsewhere = DeclineReason::CurrencyNotSupported;
        let rule = (row.reason == elsewhere).then_some(elsewhere);
        assert_eq!(inquiry.rule.map(|it| it.reason), rule);
        let by_status = row.reason <= DeclineReason::CardFrozenByRisk || rule.is_some();
        assert_eq!(
            first(&inquiry).is_some(),
            by_status,
            "{}",
            row.reason.code()
        );
        assert_eq!(inquiry.claims.limits[0].per_day, Minor::new(5).ok());
        request.amount.currency = Currency::parse("KWD").unwrap();
        let found = ask(&snapshot, &request).rule.map(|it| it.reason);
        assert_eq!(found, Some(elsewhere));

        for claims in [credit.claims, inquiry.claims] {
            assert!(claims.amount.minor.is_zero());
            assert!(!claims.single_use);
            assert_eq!(claims.lock_to_first_merchant, None);
            assert_eq!(claims.preset_lock, None);
        }
    }
}

#[test]
fn lists_tighten_at_every_level_and_overriding_the_lowest_alone_counts() {
    let books = r#""allowedMccs": ["5942"], "blockedMccs": ["5812"]"#;
    let travel = r#""allowedMccs": ["3000-3350"], "blockedMccs": ["5942"]"#;
    let fields = [policy(Level::Card, books), policy(Level::Customer, travel)];
    let rule = ask(&snapshot(&fields), &purchase()).rule.unwrap();
    assert_eq!(
        (rule.reason, rule.level),
        (DeclineReason::MccBlocked, Some(Level::Customer))
    );

    let override_cascade = own(Level::Customer, r#""cascade": "override""#);
    let overriding = [fields.as_slice(), &[override_cascade]].concat();
    assert_eq!(ask(&snapshot(&overriding), &purchase()).rule, None);

    // An empty list is no constraint, so it overrides nothing.
    let empty = policy(Level::Card, r#""allowedMccs": [], "blockedMccs": []"#);
    let overriding = [empty, policy(Level::Customer, travel), override_cascade];
    let rule = ask(&snapshot(&overriding), &purchase()).rule.unwrap();
    assert_eq!(rule.reason, DeclineReason::MccBlocked);
}

#[test]
fn counters_of_all_levels_are_claimed_in_either_cascade() {
    let of_level = [
        policy(Level::Card, r#""limits": {"perDay": 1, "total": 2}"#),
        policy(Level::Agent, r#""limits": {"perDay": 3, "perWeek": 4}"#),
        policy(Level::Customer, r#""limits": {"perMonth": 5, "perDay": 0}"#),
    ];
    for cascade in [r#""cascade": "tighten""#, r#""cascade": "override""#] {
        let fields = [of_level.as_slice(), &[own(Level::Customer, cascade)]].concat();
        let [card, agent, customer] = ask(&snapshot(&fields), &purchase()).claims.limits;
        let some = |minor| Minor::new(minor).ok();
        assert_eq!(
            (card.per_day, card.total, card.per_month),
            (some(1), some(2), None)
        );
        assert_eq!(
            (agent.per_day, agent.per_week, agent.total),
            (some(3), some(4), None)
        );
        assert_eq!((customer.per_day, customer.per_month), (some(0), some(5)));
    }
}

#[test]
fn the_first_merchant_locks_where_a_level_says_so() {
    let on = r#""lockToFirstMerchant": true"#;
    let off = r#""lockToFirstMerchant": false"#;
    let lock = |fields: &[Fields]| {
        ask(&snapshot(fields), &purchase())
            .claims
            .lock_to_first_merchant
    };
    assert_eq!(lock(&[]), None);
    assert_eq!(lock(&[policy(Level::Card, off)]), None);
    let card_off = [policy(Level::Card, off), policy(Level::Customer, on)];
    assert_eq!(lock(&card_off), Some(Level::Customer));
    let override_cascade = own(Level::Customer, r#""cascade": "override""#);
    assert_eq!(
        lock(&[card_off.as_slice(), &[override_cascade]].concat()),
        None
    );
    assert_eq!(
        lock(&[policy(Level::Customer, on), override_cascade]),
        Some(Level::Customer)
    );
}

#[test]
fn a_preset_lock_admits_its_merchant_alone() {
    let locks = [
        r#""merchantLock": {"acquirerId": "acq_1", "acceptorId": "mid_1"}"#,
        r#""merchantLock": {"descriptor": "books & co", "mcc": "5942", "country": "us"}"#,
    ];
    for (at, lock) in locks.into_iter().enumerate() {
        let snapshot = snapshot(&[own(Level::Card, lock)]);
        let claims = ask(&snapshot, &purchase()).claims;
        assert!(
            claims.preset_lock.unwrap().admits(&claims.merchant),
            "{lock}"
        );
        let mut other = purchase();
        other.acceptor.acceptor_id = (at == 1).then_some(Cow::Borrowed("mid_1"));
        other.acceptor.mcc = Mcc::parse("5812").ok();
        let claims = ask(&snapshot, &other).claims;
        assert!(
            !claims.preset_lock.unwrap().admits(&claims.merchant),
            "{lock}"
        );
    }
}

#[test]
fn d3_windows_follow_the_customers_zone() {
    let day_of = |zone: &'static str| {
        let claims = ask(&snapshot(&[own(Level::Customer, zone)]), &purchase()).claims;
        (claims.day.0, claims.resets_at.map(Timestamp::secs))
    };
    let (day, hour) = (86_400, 3_600);
    let friday = NOW.secs().div_euclid(day);
    let in_utc = [friday + 1, friday + 3, friday + 3].map(|at| at * day);
    assert_eq!(
        day_of(r#""timezone": "UTC""#),
        (i32::try_from(friday).unwrap(), in_utc)
    );
    // At 18:30 UTC it is Saturday 02:30 in Singapore.
    let (saturday, resets_at) = day_of(r#""timezone": "Asia/Singapore""#);
    assert_eq!(i64::from(saturday), friday + 1);
    let in_singapore = [friday + 2, friday + 3, friday + 3].map(|at| at * day - 8 * hour);
    assert_eq!(resets_at, in_singapore);
}
