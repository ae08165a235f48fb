//! The rows: every cause of a decline.

use countersign::domain::card::Level;
use countersign::domain::card::Level::{Agent, Card, Customer};

use super::{
    Authority, Course, DEADLINE_US, Engine, Field, IN_TIME, Reason, Rules, Value, Waited, amount,
    json, same,
};

/// A question before the last one, which is approved: its authorization, and how it differs.
type Before = (&'static str, fn(&mut Value));

pub(super) struct Row {
    pub(super) reason: Reason,
    pub(super) level: Option<Level>,
    pub(super) field: Field,
    pub(super) sentence: &'static str,
    pub(super) rules: Rules,
    pub(super) before: &'static [Before],
    /// What agents, risk rules or the machine do before the last question.
    pub(super) prepare: fn(&Engine),
    pub(super) change: fn(&mut Value),
    pub(super) course: Course,
}

/// A row of one policy at one level.
fn ruled(
    reason: Reason,
    level: Level,
    field: Field,
    policy: &'static str,
    sentence: &'static str,
) -> Row {
    let mut rules = Rules::default();
    rules.policies[level as usize] = policy;
    Row {
        reason,
        level: Some(level),
        field,
        sentence,
        rules,
        before: &[],
        prepare: |_| {},
        change: same,
        course: IN_TIME,
    }
}

/// The same with an approval in advance that owns the card.
fn owned(mut row: Row) -> Row {
    row.rules.policies[Agent as usize] = r#""standingApprovals": [{"name": "rent",
        "domain": "example.com", "amountMax": 100000, "totalMax": 500000, "period": "month",
        "countMax": 1, "until": "2027-01-01T00:00:00Z", "cardId": "k"}]"#;
    row
}

/// A row of a field of card, agent or customer itself.
fn own(
    reason: Reason,
    level: Level,
    field: Field,
    own: &'static str,
    sentence: &'static str,
) -> Row {
    let mut row = ruled(reason, level, field, "", sentence);
    row.rules.own[level as usize] = own;
    row
}

/// A row that no document causes.
fn bare(reason: Reason, sentence: &'static str) -> Row {
    Row {
        level: None,
        ..ruled(reason, Card, Field::None, "", sentence)
    }
}

const ONE: &[Before] = &[("first", same)];

impl Row {
    fn after(self, before: &'static [Before]) -> Self {
        Self { before, ..self }
    }

    fn with(self, change: fn(&mut Value)) -> Self {
        Self { change, ..self }
    }

    fn prepared(self, prepare: fn(&Engine)) -> Self {
        Self { prepare, ..self }
    }

    fn of_no_level(self) -> Self {
        let level = None;
        Self { level, ..self }
    }

    /// Of what could not be recorded there is no record, and of what was taken back the last one
    /// says only that it was.
    pub(super) fn is_recorded(&self) -> bool {
        !matches!(
            self.reason,
            Reason::LedgerUnavailable | Reason::DeadlineExceeded | Reason::Overloaded
        )
    }

    pub(super) fn is_frozen_by_risk(&self) -> bool {
        self.reason == Reason::CardFrozenByRisk && self.rules.own == Rules::default().own
    }
}

pub(super) fn rows() -> Vec<Row> {
    let all = [
        standing(),
        places(),
        times(),
        agents(),
        uses(),
        counts(),
        sums(),
        courses(),
    ];
    all.into_iter().flatten().collect()
}

/// Reasons 1 to 8.
#[expect(clippy::too_many_lines, reason = "a table")]
fn standing() -> Vec<Row> {
    use Reason::{CardExpired, CardFrozenByRisk};
    vec![
        own(
            Reason::CardUnknown,
            Card,
            Field::IssuerToken,
            "",
            "No card with this token is known on this connection.",
        )
        .of_no_level()
        .with(|body| body["card"]["token"] = json!("another")),
        own(
            Reason::CardCanceled,
            Card,
            Field::Status,
            r#""status": "canceled""#,
            "The card is canceled.",
        ),
        own(
            Reason::CardLocked,
            Card,
            Field::Status,
            r#""status": "locked""#,
            "The card is locked.",
        ),
        ruled(
            CardExpired,
            Card,
            Field::ValidUntil,
            r#""validUntil": "2026-11-20T17:30:00Z""#,
            "The card's rules let the card expire at 2026-11-20T17:30:00Z.",
        ),
        ruled(
            CardExpired,
            Customer,
            Field::ValidFrom,
            r#""validFrom": "2026-11-20T18:30:01+01:00""#,
            "The customer's rules do not let the card be used before 2026-11-20T17:30:01Z.",
        ),
        ruled(
            CardExpired,
            Agent,
            Field::TtlMinutes,
            r#""ttlMinutes": 1440"#,
            "The agent's rules gave the card a time to live, which ended at \
             2026-11-20T17:30:00Z.",
        ),
        ruled(
            CardExpired,
            Card,
            Field::TtlDays,
            r#""ttlDays": 1"#,
            "The card's rules gave the card a time to live, which ended at \
             2026-11-20T17:30:00Z.",
        ),
        ruled(
            CardExpired,
            Card,
            Field::ExpireAfterCount,
            r#""expireAfter": {"count": 1}"#,
            "The card's rules let the card expire after 1 authorization.",
        )
        .after(ONE),
        ruled(
            CardExpired,
            Agent,
            Field::ExpireAfterSpend,
            r#""expireAfter": {"spend": 2599}"#,
            "The agent's rules let the card expire once 25.99 USD are spent.",
        )
        .after(ONE),
        own(
            Reason::AgentSuspended,
            Agent,
            Field::Status,
            r#""status": "paused""#,
            "The card's agent is paused.",
        ),
        own(
            Reason::CustomerSuspended,
            Customer,
            Field::Status,
            r#""status": "suspended""#,
            "The customer is suspended.",
        ),
        own(
            CardFrozenByRisk,
            Card,
            Field::Frozen,
            r#""frozen": true"#,
            "The card is frozen because of a risk.",
        ),
        own(
            CardFrozenByRisk,
            Card,
            Field::Frozen,
            "",
            "The card is frozen because of a risk.",
        )
        .prepared(|engine| engine.freeze(Authority::Risk)),
        own(
            Reason::CurrencyNotSupported,
            Customer,
            Field::Currency,
            r#""currency": "EUR""#,
            "The authorization is in USD, and the customer's limits are in EUR.",
        ),
    ]
}

/// Reasons 9 to 14.
fn places() -> Vec<Row> {
    use Reason::{CountryNotAllowed, TransactionTypeNotAllowed};
    vec![
        ruled(
            TransactionTypeNotAllowed,
            Card,
            Field::AllowCash,
            "",
            "Cash is not allowed, and 5.00 USD would be paid out as cash.",
        )
        .of_no_level()
        .with(|body| body["cash_amount"] = json!(500)),
        ruled(
            TransactionTypeNotAllowed,
            Agent,
            Field::AllowCash,
            r#""allowCash": false"#,
            "The agent's rules do not allow cash, and the merchant's MCC 6011 \
             gives out cash.",
        )
        .with(|body| body["merchant"]["mcc"] = json!("6011")),
        ruled(
            CountryNotAllowed,
            Card,
            Field::BlockedCountries,
            r#""blockedCountries": ["DE"]"#,
            "The card's rules block merchants in DE.",
        ),
        ruled(
            CountryNotAllowed,
            Customer,
            Field::AllowedCountries,
            r#""allowedCountries": ["US"]"#,
            "The customer's rules allow certain countries only, and DE is none of them.",
        ),
        ruled(
            Reason::MccBlocked,
            Agent,
            Field::BlockedMccs,
            r#""blockedMccs": ["7300-7399"]"#,
            "The agent's rules block merchants of MCC 7372.",
        ),
        ruled(
            Reason::MccNotAllowed,
            Card,
            Field::AllowedMccs,
            r#""allowedMccs": ["5812"]"#,
            "The card's rules allow certain MCCs only, and 7372 is none of them.",
        ),
        ruled(
            Reason::MerchantBlocked,
            Customer,
            Field::BlockedMerchants,
            r#""blockedMerchants": ["Host"]"#,
            "The customer's rules block this merchant.",
        ),
        ruled(
            Reason::MerchantNotAllowed,
            Card,
            Field::AllowedMerchants,
            r#""allowedMerchants": ["Host", {"acceptorId": "ACC000000000002"}]"#,
            "The card's rules allow only certain merchants, and this is none of them.",
        ),
    ]
}

/// Reasons 15 to 17.
fn times() -> Vec<Row> {
    use Reason::{AmountOverPerAuth, OutsideActiveHours, RiskScoreTooHigh};
    vec![
        ruled(
            OutsideActiveHours,
            Agent,
            Field::ActiveHours,
            r#""activeHours": {"timezone": "Europe/Berlin", "from": "08:00", "to": "18:30"}"#,
            "The agent's rules allow purchases at certain hours only, which begin next \
             at 2026-11-21T07:00:00Z.",
        ),
        ruled(
            RiskScoreTooHigh,
            Agent,
            Field::MaxRiskScore,
            r#""maxRiskScore": 11"#,
            "The agent's limit on the network's risk score is 11, and it is 12.",
        ),
        ruled(
            RiskScoreTooHigh,
            Card,
            Field::RequireRiskScore,
            r#""requireRiskScore": true"#,
            "The card's rules require a risk score, and the network gave none.",
        )
        .with(|body| body["network_risk_score"] = Value::Null),
        ruled(
            AmountOverPerAuth,
            Customer,
            Field::PerAuth,
            r#""limits": {"perAuth": 2598}"#,
            "The customer's limit on one authorization is 25.98 USD; this one would \
             come to 25.99 USD.",
        ),
        ruled(
            AmountOverPerAuth,
            Agent,
            Field::PerAuth,
            r#""limits": {"perAuth": 5000}"#,
            "The agent's limit on one authorization is 50.00 USD, of which 24.01 \
             remain; this one would come to 50.01 USD.",
        )
        .after(&[("last", same)])
        .with(|body| amount(body, 2_402)),
    ]
}

/// Reasons 18 to 22, which wait for an agent's or a human's word.
fn agents() -> Vec<Row> {
    let intent = r#""requireIntent": true"#;
    let approval = r#""requireApproval": true, "autoApproveBelow": 2599"#;
    let attested = r#""requireAttestation": true"#;
    let briefly = r#""requireAttestation": true, "attestationWindowMinutes": 5"#;
    let required = Reason::AttestationRequired;
    vec![
        ruled(
            required,
            Card,
            Field::RequireAttestation,
            attested,
            "The card's rules require an attestation, and there is none for this purchase.",
        ),
        ruled(
            required,
            Customer,
            Field::RequireAttestation,
            briefly,
            "The customer's rules require an attestation that is less than 5 minutes \
             old, and the latest is 5 minutes old.",
        )
        .prepared(|engine| engine.attest(5)),
        ruled(
            Reason::IntentRequired,
            Agent,
            Field::RequireIntent,
            intent,
            "The agent's rules require an intent, and the agent has declared none.",
        ),
        ruled(
            Reason::IntentPendingApproval,
            Customer,
            Field::RequireApproval,
            approval,
            "The agent's intent waits for approval.",
        )
        .prepared(|engine| engine.declare(2_599, 30)),
        ruled(
            Reason::IntentExpired,
            Card,
            Field::RequireIntent,
            intent,
            "The agent's intent expired at 2026-11-20T17:30:00Z.",
        )
        .prepared(|engine| engine.declare(2_599, 10)),
        ruled(
            Reason::IntentMismatch,
            Card,
            Field::RequireIntent,
            intent,
            "The purchase would come to 25.99 USD, and the agent's intents reach 25.98 USD.",
        )
        .prepared(|engine| engine.declare(2_598, 30)),
    ]
}

/// Reasons 23 to 25.
fn uses() -> Vec<Row> {
    let other_merchant = |body: &mut Value| {
        body["merchant"]["acceptor_id"] = json!("ACC000000000002");
        body["merchant"]["descriptor"] = json!("OTHER HOST");
    };
    vec![
        own(
            Reason::SingleUseConsumed,
            Card,
            Field::Usage,
            r#""usage": "single""#,
            "The card is for one use and was used at 2026-11-20T17:20:00Z.",
        )
        .after(ONE),
        ruled(
            Reason::MerchantLockMismatch,
            Customer,
            Field::MerchantLock,
            r#""lockToFirstMerchant": true"#,
            "The card is locked to another merchant.",
        )
        .after(ONE)
        .with(other_merchant),
        ruled(
            Reason::CooldownActive,
            Agent,
            Field::CooldownMinutes,
            r#""cooldownMinutes": 11"#,
            "The agent's rules require a pause of 11 minutes between purchases until \
             2026-11-20T17:31:00Z.",
        )
        .after(ONE),
    ]
}

/// Reason 26.
fn counts() -> Vec<Row> {
    let reached = Reason::CountLimitReached;
    vec![
        ruled(
            reached,
            Card,
            Field::CountPerHour,
            r#""limits": {"countPerHour": 1}"#,
            "The card's limit of 1 authorization an hour is reached until \
             2026-11-20T18:00:00Z.",
        )
        .after(ONE),
        ruled(
            reached,
            Agent,
            Field::CountPerDay,
            r#""limits": {"countPerDay": 1}"#,
            "The agent's limit of 1 authorization a day is reached until \
             2026-11-21T00:00:00Z.",
        )
        .after(ONE),
        ruled(
            reached,
            Customer,
            Field::CountTotal,
            r#""limits": {"countTotal": 2}"#,
            "The customer's limit of 2 authorizations in all is reached.",
        )
        .after(&[("first", same), ("second", same)]),
        owned(
            ruled(
                reached,
                Card,
                Field::StandingApproval,
                r#""standingApproval": "rent""#,
                "The card's limit of 1 authorization a period is reached until \
                 2026-12-01T00:00:00Z.",
            )
            .after(ONE),
        ),
    ]
}

/// Reasons 27 to 29.
#[expect(clippy::too_many_lines, reason = "a table")]
fn sums() -> Vec<Row> {
    use Reason::{AgentLimitExceeded, CardLimitExceeded, CustomerLimitExceeded};
    let rolling_day = r#""limits": {"perDay": {"amount": 5197, "window": "rolling"}}"#;
    let rolling_week = r#""limits": {"perWeek": {"amount": 5197, "window": "rolling"}}"#;
    let rolling_month = r#""limits": {"perMonth": {"amount": 5197, "window": "rolling"}}"#;
    let day = r#""limits": {"perDay": 5000}"#;
    let week = r#""limits": {"perWeek": 5197}"#;
    let month = r#""limits": {"perMonth": 5197}"#;
    let total = r#""limits": {"total": 2599}"#;
    vec![
        ruled(
            CardLimitExceeded,
            Card,
            Field::PerDay,
            day,
            "The card's daily limit of 50.00 USD would be exceeded: 25.99 are spent, \
             24.01 remain until 2026-11-21T00:00:00Z.",
        )
        .after(ONE),
        ruled(
            CardLimitExceeded,
            Card,
            Field::RollingDay,
            rolling_day,
            "The card's limit of 51.97 USD in any 24 hours would be exceeded: 25.99 are \
             spent, 25.98 remain, and there is room for this one at \
             2026-11-21T17:21:00Z.",
        )
        .after(ONE),
        ruled(
            CardLimitExceeded,
            Card,
            Field::Total,
            total,
            "The card's total limit of 25.99 USD would be exceeded: nothing remains.",
        )
        .after(ONE)
        .with(|body| amount(body, 1)),
        ruled(
            AgentLimitExceeded,
            Agent,
            Field::PerWeek,
            week,
            "The agent's weekly limit of 51.97 USD would be exceeded: 25.99 are spent, \
             25.98 remain until 2026-11-23T00:00:00Z.",
        )
        .after(ONE),
        ruled(
            AgentLimitExceeded,
            Agent,
            Field::RollingWeek,
            rolling_week,
            "The agent's limit of 51.97 USD in any 7 days would be exceeded: 25.99 are \
             spent, 25.98 remain, and there is room for this one at \
             2026-11-27T17:25:00Z.",
        )
        .after(ONE),
        ruled(
            CustomerLimitExceeded,
            Customer,
            Field::PerMonth,
            month,
            "The customer's monthly limit of 51.97 USD would be exceeded: 25.99 are \
             spent, 25.98 remain until 2026-12-01T00:00:00Z.",
        )
        .after(ONE),
        ruled(
            CustomerLimitExceeded,
            Customer,
            Field::RollingMonth,
            rolling_month,
            "The customer's limit of 51.97 USD in any 30 days would be exceeded: 25.99 \
             are spent, 25.98 remain, and there is room for this one at \
             2026-12-20T17:30:00Z.",
        )
        .after(ONE),
    ]
}

/// Reasons 30 to 33, which no document causes.
fn courses() -> Vec<Row> {
    const STEP_ONE: &[Before] = &[("last", |body| body["event_token"] = json!("step_1"))];
    let late = Course {
        begun_after_us: DEADLINE_US + 1,
        ..IN_TIME
    };
    let in_vain = Course {
        waited: Waited::TimedOut,
        ..IN_TIME
    };
    vec![
        bare(
            Reason::LedgerUnavailable,
            "The ledger could not take the authorization.",
        )
        .prepared(|engine| engine.ledger.poison()),
        Row {
            course: in_vain,
            ..bare(
                Reason::DeadlineExceeded,
                "The answer could not leave in time, so nothing was approved.",
            )
        },
        Row {
            course: late,
            ..bare(Reason::Overloaded, "Too many authorizations were waiting.")
        },
        bare(
            Reason::ConflictingDuplicate,
            "It contradicts what is known of its authorization: a step that was decided before, or another card; what was decided stands.",
        )
        .after(STEP_ONE)
        .with(|body| {
            body["event_token"] = json!("step_1");
            amount(body, 2_598);
        }),
    ]
}
