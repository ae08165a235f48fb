use super::*;
use crate::domain::acceptor::Country;
use crate::domain::decision::DeclineReason;
use crate::domain::explanation::RuleField;
use crate::domain::time::Timestamp;

const USD: Context = Context {
    currency: Currency::USD,
};

fn told(reason: DeclineReason, change: impl FnOnce(&mut Explanation)) -> String {
    let mut explanation = Explanation::bare(reason);
    change(&mut explanation);
    explain(&explanation, USD).text
}

fn midnight() -> Option<Timestamp> {
    Some(Timestamp::from_secs(1_780_099_200))
}

/// An explanation that carries these values.
fn carries(
    reason: DeclineReason,
    level: Level,
    field: RuleField,
    numbers: (Option<i64>, Option<i64>, Option<i64>),
) -> Explanation {
    let (observed, limit, remaining) = numbers;
    Explanation {
        observed,
        limit,
        remaining,
        ..Explanation::of_rule(reason, level, field)
    }
}

/// One row for each reason and each field that it can name, in the order of the reasons, with
/// everything that such a decline carries.
#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "a table")]
fn table() -> Vec<(Explanation, &'static str)> {
    use DeclineReason as R;
    use Level::{Agent, Card, Customer};
    use RuleField as F;
    let plain = |reason, field| Explanation { field, ..Explanation::bare(reason) };
    let ends = |it: Explanation| Explanation { resets_at: midnight(), ..it };
    let packed = |code| Some(i64::from(Currency::parse(code).unwrap().packed()));
    let germany = Some(i64::from(Country::parse_alpha2("DE").unwrap().packed()));
    let at = midnight().map(Timestamp::micros);
    let sum = (Some(1_301), Some(5_000), Some(1_300));
    vec![
        (plain(R::CardUnknown, F::IssuerToken), "No card with this token is known on this connection."),
        (carries(R::CardCanceled, Card, F::Status, (Some(2), None, None)), "The card is canceled."),
        (carries(R::CardLocked, Card, F::Status, (Some(1), None, None)), "The card is locked."),
        (ends(carries(R::CardExpired, Agent, F::ValidFrom, (Some(0), at, None))),
            "The agent's rules do not let the card be used before 2026-05-30T00:00:00Z."),
        (carries(R::CardExpired, Card, F::ValidUntil, (at, at, None)),
            "The card's rules let the card expire at 2026-05-30T00:00:00Z."),
        (carries(R::CardExpired, Agent, F::TtlMinutes, (at, at, None)),
            "The agent's rules gave the card a time to live, which ended at 2026-05-30T00:00:00Z."),
        (carries(R::CardExpired, Customer, F::TtlDays, (at, at, None)),
            "The customer's rules gave the card a time to live, which ended at 2026-05-30T00:00:00Z."),
        (carries(R::CardExpired, Card, F::ExpireAfterCount, (Some(5), Some(5), None)),
            "The card's rules let the card expire after 5 authorizations."),
        (carries(R::CardExpired, Agent, F::ExpireAfterSpend, (Some(5_100), Some(5_000), None)),
            "The agent's rules let the card expire once 50.00 USD are spent."),
        (carries(R::CardExpired, Card, F::StandingApproval, (None, None, None)),
            "No approval of the card's agent owns the card."),
        (carries(R::AgentSuspended, Agent, F::Status, (Some(1), None, None)), "The card's agent is paused."),
        (carries(R::CustomerSuspended, Customer, F::Status, (Some(1), None, None)), "The customer is suspended."),
        (carries(R::CardFrozenByRisk, Card, F::Frozen, (Some(1), None, None)),
            "The card is frozen because of a risk."),
        (carries(R::CurrencyNotSupported, Customer, F::Currency, (packed("EUR"), packed("USD"), None)),
            "The authorization is in EUR, and the customer's limits are in USD."),
        (Explanation { observed: Some(2_000), limit: Some(0), ..plain(R::TransactionTypeNotAllowed, F::AllowCash) },
            "Cash is not allowed, and 20.00 USD would be paid out as cash."),
        (carries(R::TransactionTypeNotAllowed, Customer, F::AllowCash, (Some(6_011), None, None)),
            "The customer's rules do not allow cash, and the merchant's MCC 6011 gives out cash."),
        (Explanation { observed: Some(3), ..plain(R::TransactionTypeNotAllowed, F::Kind) },
            "Transactions of the kind `balance_inquiry` are not allowed."),
        (carries(R::CountryNotAllowed, Agent, F::BlockedCountries, (germany, None, None)),
            "The agent's rules block merchants in DE."),
        (carries(R::CountryNotAllowed, Card, F::AllowedCountries, (germany, None, None)),
            "The card's rules allow certain countries only, and DE is none of them."),
        (carries(R::MccBlocked, Agent, F::BlockedMccs, (Some(742), None, None)),
            "The agent's rules block merchants of MCC 0742."),
        (carries(R::MccNotAllowed, Agent, F::AllowedMccs, (Some(5_812), None, None)),
            "The agent's rules allow certain MCCs only, and 5812 is none of them."),
        (carries(R::MerchantBlocked, Agent, F::BlockedMerchants, (None, None, None)),
            "The agent's rules block this merchant."),
        (carries(R::MerchantNotAllowed, Customer, F::AllowedMerchants, (None, None, None)),
            "The customer's rules allow only certain merchants, and this is none of them."),
        (ends(carries(R::OutsideActiveHours, Agent, F::ActiveHours, (Some(0), None, None))),
            "The agent's rules allow purchases at certain hours only, which begin next at 2026-05-30T00:00:00Z."),
        (carries(R::RiskScoreTooHigh, Agent, F::MaxRiskScore, (Some(80), Some(60), None)),
            "The agent's limit on the network's risk score is 60, and it is 80."),
        (carries(R::RiskScoreTooHigh, Card, F::RequireRiskScore, (None, None, None)),
            "The card's rules require a risk score, and the network gave none."),
        (carries(R::AmountOverPerAuth, Agent, F::PerAuth, (Some(6_000), Some(5_000), Some(5_000))),
            "The agent's limit on one authorization is 50.00 USD; this one would come to 60.00 USD."),
        (carries(R::AttestationRequired, Agent, F::RequireAttestation, (Some(40), Some(15), None)),
            "The agent's rules require an attestation that is less than 15 minutes old, and the latest is \
             40 minutes old."),
        (carries(R::IntentRequired, Agent, F::RequireIntent, (None, None, None)),
            "The agent's rules require an intent, and the agent has declared none."),
        (carries(R::IntentPendingApproval, Agent, F::RequireApproval, (None, None, None)),
            "The agent's intent waits for approval."),
        (ends(carries(R::IntentExpired, Agent, F::RequireIntent, (None, None, None))),
            "The agent's intent expired at 2026-05-30T00:00:00Z."),
        (carries(R::IntentMismatch, Agent, F::RequireIntent, (Some(2_500), Some(2_000), None)),
            "The purchase would come to 25.00 USD, and the agent's intents reach 20.00 USD."),
        (carries(R::SingleUseConsumed, Card, F::Usage, (at, None, None)),
            "The card is for one use and was used at 2026-05-30T00:00:00Z."),
        (carries(R::MerchantLockMismatch, Card, F::MerchantLock, (None, None, None)),
            "The card is locked to another merchant."),
        (ends(carries(R::CooldownActive, Card, F::CooldownMinutes, (Some(3), Some(10), None))),
            "The card's rules require a pause of 10 minutes between purchases until 2026-05-30T00:00:00Z."),
        (ends(carries(R::CountLimitReached, Agent, F::CountPerHour, (Some(5), Some(5), Some(0)))),
            "The agent's limit of 5 authorizations an hour is reached until 2026-05-30T00:00:00Z."),
        (ends(carries(R::CountLimitReached, Card, F::CountPerDay, (Some(5), Some(5), Some(0)))),
            "The card's limit of 5 authorizations a day is reached until 2026-05-30T00:00:00Z."),
        (carries(R::CountLimitReached, Customer, F::CountTotal, (Some(9), Some(9), Some(0))),
            "The customer's limit of 9 authorizations in all is reached."),
        (ends(carries(R::CountLimitReached, Card, F::StandingApproval, (Some(2), Some(2), Some(0)))),
            "The card's limit of 2 authorizations a period is reached until 2026-05-30T00:00:00Z."),
        (ends(carries(R::CardLimitExceeded, Card, F::PerDay, sum)),
            "The card's daily limit of 50.00 USD would be exceeded: 37.00 are spent, \
             13.00 remain until 2026-05-30T00:00:00Z."),
        (ends(carries(R::CardLimitExceeded, Card, F::RollingDay, sum)),
            "The card's limit of 50.00 USD in any 24 hours would be exceeded: 37.00 are spent, \
             13.00 remain, and there is room for this one at 2026-05-30T00:00:00Z."),
        (ends(carries(R::AgentLimitExceeded, Agent, F::PerWeek, sum)),
            "The agent's weekly limit of 50.00 USD would be exceeded: 37.00 are spent, \
             13.00 remain until 2026-05-30T00:00:00Z."),
        (carries(R::AgentLimitExceeded, Agent, F::RollingWeek, (Some(6_000), Some(5_000), Some(0))),
            "The agent's limit of 50.00 USD in any 7 days would be exceeded: nothing remains."),
        (ends(carries(R::CustomerLimitExceeded, Customer, F::PerMonth, sum)),
            "The customer's monthly limit of 50.00 USD would be exceeded: 37.00 are spent, \
             13.00 remain until 2026-05-30T00:00:00Z."),
        (carries(R::CustomerLimitExceeded, Customer, F::RollingMonth, sum),
            "The customer's limit of 50.00 USD in any 30 days would be exceeded: 37.00 are spent, 13.00 remain."),
        (carries(R::CustomerLimitExceeded, Customer, F::Total, sum),
            "The customer's total limit of 50.00 USD would be exceeded: 37.00 are spent, 13.00 remain."),
        (carries(R::CustomerLimitExceeded, Customer, F::HeldMax, sum),
            "The customer's limit of 50.00 USD on what is held at one time would be exceeded: 37.00 are held, \
             13.00 remain."),
        (plain(R::LedgerUnavailable, F::None), "The ledger could not take the authorization."),
        (plain(R::DeadlineExceeded, F::None), "The answer could not leave in time, so nothing was approved."),
        (plain(R::Overloaded, F::None), "Too many authorizations were waiting."),
        (plain(R::ConflictingDuplicate, F::None),
            "It contradicts what is known of its authorization: a step that was decided before, or another card; what was decided stands."),
    ]
}

#[test]
fn every_reason_has_its_sentence() {
    let table = table();
    for (why, expected) in &table {
        assert_eq!(explain(why, USD).text, *expected);
    }
    let mut reasons: Vec<_> = table.iter().map(|(why, _)| why.reason).collect();
    assert!(reasons.is_sorted());
    reasons.dedup();
    assert_eq!(reasons, DeclineReason::ALL);
    for field in RuleField::ALL {
        assert!(table.iter().any(|(why, _)| why.field == field), "{field:?}");
    }
}

#[test]
fn a_decline_that_carries_nothing_is_one_plain_sentence_all_the_same() {
    for reason in DeclineReason::ALL {
        let text = told(reason, |_| {});
        assert!(text.ends_with('.') && !text.contains("  "), "{text}");
        assert_eq!(text.matches(". ").count(), 0, "one sentence: {text}");
    }
}

#[test]
fn sentences_fit_what_is_known() {
    use DeclineReason as Reason;
    let cases = [
        (
            told(Reason::CardLimitExceeded, |it| {
                it.field = RuleField::Total;
                (it.limit, it.remaining) = (Some(5_000), Some(0));
            }),
            "The card's total limit of 50.00 USD would be exceeded: nothing remains.",
        ),
        (
            told(Reason::AmountOverPerAuth, |it| {
                it.level = Some(Level::Card);
                (it.observed, it.limit, it.remaining) = (Some(6_000), Some(5_000), Some(1_300));
            }),
            "The card's limit on one authorization is 50.00 USD, of which 13.00 remain; this one \
             would come to 60.00 USD.",
        ),
        (
            told(Reason::TransactionTypeNotAllowed, |it| {
                it.field = RuleField::AllowCash;
                it.observed = Some(6_011);
            }),
            "Cash is not allowed, and the merchant's MCC 6011 gives out cash.",
        ),
        (
            told(Reason::CountryNotAllowed, |it| {
                it.level = Some(Level::Card);
                it.field = RuleField::BlockedCountries;
            }),
            "The card's rules block certain countries, and the merchant names none.",
        ),
        (
            told(Reason::CountryNotAllowed, |it| {
                it.level = Some(Level::Agent);
                it.field = RuleField::AllowedCountries;
            }),
            "The agent's rules allow certain countries only, and the merchant names none.",
        ),
        (
            told(Reason::AttestationRequired, |it| {
                it.level = Some(Level::Card);
                it.limit = Some(15);
            }),
            "The card's rules require an attestation, and there is none for this purchase.",
        ),
        (
            told(Reason::AttestationRequired, |it| {
                it.level = Some(Level::Card);
                (it.observed, it.limit) = (Some(2), Some(1));
            }),
            "The card's rules require an attestation that is less than 1 minute old, and the \
             latest is 2 minutes old.",
        ),
        (
            told(Reason::MccBlocked, |it| it.level = Some(Level::Customer)),
            "The customer's rules block certain MCCs, and the merchant names none.",
        ),
    ];
    for (said, expected) in cases {
        assert_eq!(said, expected);
    }
}

#[test]
fn a_mismatch_says_no_more_than_is_known() {
    let of = |limit| {
        told(DeclineReason::IntentMismatch, |it| {
            (it.observed, it.limit) = (Some(2_000), limit);
        })
    };
    assert_eq!(
        of(Some(2_000)),
        "The purchase matches none of the agent's intents: its merchant, its MCC or its \
         currency is another."
    );
    assert_eq!(
        of(None),
        "The purchase matches none of the agent's intents."
    );
}

#[test]
fn amounts_are_shown_with_the_digits_of_their_currency() {
    let mut yen = Explanation::bare(DeclineReason::CardLimitExceeded);
    (yen.limit, yen.remaining) = (Some(5_000), Some(1_300));
    let currency = Currency::parse("JPY").unwrap();
    assert_eq!(
        explain(&yen, Context { currency }).text,
        "The card's limit of 5000 JPY would be exceeded: 3700 are spent, 1300 remain."
    );
}

#[test]
fn values_are_shown_in_the_terms_of_their_field() {
    use DeclineReason as Reason;
    let number = Shown::Number;
    let text = |text: &str| Shown::Text(text.to_owned());
    let packed = i64::from(Currency::EUR.packed());
    let germany = i64::from(Country::parse_alpha2("DE").unwrap().packed());
    let instant = || text("1970-01-01T00:00:00.000000Z");
    #[rustfmt::skip]
    let cases = [
        (Reason::CardLocked, Level::Card, RuleField::Status, 1, text("locked")),
        (Reason::AgentSuspended, Level::Agent, RuleField::Status, 2, text("disabled")),
        (Reason::CustomerSuspended, Level::Customer, RuleField::Status, 1, text("suspended")),
        (Reason::CardFrozenByRisk, Level::Card, RuleField::Frozen, 1, text("true")),
        (Reason::CurrencyNotSupported, Level::Customer, RuleField::Currency, packed, text("EUR")),
        (Reason::CurrencyNotSupported, Level::Customer, RuleField::Currency, -1, number(-1)),
        (Reason::TransactionTypeNotAllowed, Level::Card, RuleField::Kind, 3, text("balance_inquiry")),
        (Reason::TransactionTypeNotAllowed, Level::Card, RuleField::AllowCash, 6_011, text("6011")),
        (Reason::MccBlocked, Level::Card, RuleField::BlockedMccs, 42, text("0042")),
        (Reason::MccNotAllowed, Level::Card, RuleField::AllowedMccs, 5_812, text("5812")),
        (Reason::AmountOverPerAuth, Level::Card, RuleField::PerAuth, 5_000, number(5_000)),
        (Reason::CardLimitExceeded, Level::Card, RuleField::PerDay, 5_000, number(5_000)),
        (Reason::SingleUseConsumed, Level::Card, RuleField::Usage, 0, instant()),
        (Reason::CardExpired, Level::Card, RuleField::TtlMinutes, 0, instant()),
        (Reason::CardExpired, Level::Agent, RuleField::TtlDays, 0, instant()),
        (Reason::CardExpired, Level::Card, RuleField::ValidFrom, 0, instant()),
        (Reason::CardExpired, Level::Card, RuleField::ValidUntil, 0, instant()),
        (Reason::CardExpired, Level::Card, RuleField::ExpireAfterCount, 5, number(5)),
        (Reason::CardExpired, Level::Card, RuleField::ExpireAfterSpend, 5_000, number(5_000)),
        (Reason::OutsideActiveHours, Level::Card, RuleField::ActiveHours, 0, instant()),
        (Reason::CountryNotAllowed, Level::Card, RuleField::BlockedCountries, germany, text("DE")),
        (Reason::CountryNotAllowed, Level::Card, RuleField::AllowedCountries, germany, text("DE")),
        (Reason::CountryNotAllowed, Level::Card, RuleField::AllowedCountries, 7, number(7)),
        (Reason::RiskScoreTooHigh, Level::Card, RuleField::MaxRiskScore, 80, number(80)),
        (Reason::CooldownActive, Level::Card, RuleField::CooldownMinutes, 3, number(3)),
        (Reason::AttestationRequired, Level::Card, RuleField::RequireAttestation, 40, number(40)),
        (Reason::CountLimitReached, Level::Card, RuleField::CountPerDay, 5, number(5)),
    ];
    for (reason, level, field, value, expected) in cases {
        let mut it = Explanation::of_rule(reason, level, field);
        it.observed = Some(value);
        let explained = explain(&it, USD);
        assert_eq!(explained.observed, Some(expected), "{field:?}");
        assert_eq!(explained.level, Some(level.name()));
        assert_eq!(explained.field, field.path());
    }
    let mut cash = Explanation::bare(Reason::TransactionTypeNotAllowed);
    cash.field = RuleField::AllowCash;
    (cash.observed, cash.limit) = (Some(2_000), Some(0));
    let explained = explain(&cash, USD);
    assert_eq!(
        (explained.observed, explained.limit),
        (Some(number(2_000)), Some(number(0)))
    );
    assert_eq!(explained.level, None);
}
