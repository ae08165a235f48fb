use super::*;

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

/// One row for each reason, in the order of their numbers, with everything that such a decline can
/// carry; `bare` below is what is said where it carries nothing.
#[test]
#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_reason_has_its_sentence() {
    use DeclineReason as Reason;
    let numbers = |observed, limit, remaining| move |it: &mut Explanation| {
        it.level = Some(Level::Agent);
        (it.observed, it.limit, it.remaining) = (observed, limit, remaining);
    };
    let of = |number: i64| numbers(Some(number), None, None);
    let bare = |_: &mut Explanation| {};
    let packed = |code| i64::from(Currency::parse(code).unwrap().packed());
    let limit = |field| move |it: &mut Explanation| {
        it.field = field;
        (it.observed, it.limit, it.remaining) = (Some(1_301), Some(5_000), Some(1_300));
        it.resets_at = midnight();
    };
    let table = [
        (told(Reason::CardUnknown, bare), "No card with this token is known on this connection."),
        (told(Reason::CardCanceled, bare), "The card is canceled."),
        (told(Reason::CardLocked, bare), "The card is locked."),
        (told(Reason::CardExpired, bare), "The card has expired."),
        (told(Reason::AgentSuspended, of(1)), "The card's agent is paused."),
        (told(Reason::CustomerSuspended, bare), "The customer is suspended."),
        (told(Reason::CardFrozenByRisk, bare), "The card is frozen because of a risk."),
        (told(Reason::CurrencyNotSupported, numbers(Some(packed("EUR")), Some(packed("USD")), None)),
            "The authorization is in EUR, and the customer's limits are in USD."),
        (told(Reason::TransactionTypeNotAllowed, |it| {
            it.field = RuleField::AllowCash;
            (it.observed, it.limit) = (Some(2_000), Some(0));
        }), "Cash is not allowed, and 20.00 USD would be paid out as cash."),
        (told(Reason::CountryNotAllowed, of(i64::from(Country::parse_alpha2("DE").unwrap().packed()))),
            "The agent's rules do not allow merchants in DE."),
        (told(Reason::MccBlocked, of(742)), "The agent's rules block merchants of category 0742."),
        (told(Reason::MccNotAllowed, of(5_812)),
            "The agent's rules allow certain categories only, and 5812 is none of them."),
        (told(Reason::MerchantBlocked, of(0)), "The agent's rules block this merchant."),
        (told(Reason::MerchantNotAllowed, of(0)),
            "The agent's rules allow only certain merchants, and this is none of them."),
        (told(Reason::OutsideActiveHours, of(0)),
            "The agent's rules allow purchases at certain hours only, and it is none of them."),
        (told(Reason::RiskScoreTooHigh, numbers(Some(80), Some(60), None)),
            "The agent's limit on the network's risk score is 60, and it is 80."),
        (told(Reason::AmountOverPerAuth, numbers(Some(6_000), Some(5_000), Some(5_000))),
            "The agent's limit on one authorization is 50.00 USD; this one would come to 60.00 USD."),
        (told(Reason::AttestationRequired, of(0)),
            "The agent's rules require an attestation, and there is none for this purchase."),
        (told(Reason::IntentRequired, of(0)),
            "The agent's rules require an intent, and the agent has declared none."),
        (told(Reason::IntentPendingApproval, bare), "The agent's intent waits for approval."),
        (told(Reason::IntentExpired, bare), "The agent's intent has expired."),
        (told(Reason::IntentMismatch, bare), "The purchase does not match the agent's intent."),
        (told(Reason::SingleUseConsumed, |it| it.observed = midnight().map(Timestamp::micros)),
            "The card is for one use and was used at 2026-05-30T00:00:00Z."),
        (told(Reason::MerchantLockMismatch, bare), "The card is locked to another merchant."),
        (told(Reason::CooldownActive, |it| {
            it.level = Some(Level::Card);
            it.resets_at = midnight();
        }), "The card's rules require a pause between purchases until 2026-05-30T00:00:00Z."),
        (told(Reason::CountLimitReached, numbers(Some(5), Some(5), Some(0))),
            "The agent's limit of 5 authorizations is reached."),
        (told(Reason::CardLimitExceeded, limit(RuleField::PerDay)),
            "The card's daily limit of 50.00 USD would be exceeded: 37.00 are spent, \
             13.00 remain until 2026-05-30T00:00:00Z."),
        (told(Reason::AgentLimitExceeded, limit(RuleField::PerWeek)),
            "The agent's weekly limit of 50.00 USD would be exceeded: 37.00 are spent, \
             13.00 remain until 2026-05-30T00:00:00Z."),
        (told(Reason::CustomerLimitExceeded, limit(RuleField::PerMonth)),
            "The customer's monthly limit of 50.00 USD would be exceeded: 37.00 are spent, \
             13.00 remain until 2026-05-30T00:00:00Z."),
        (told(Reason::LedgerUnavailable, bare), "The ledger could not take the authorization."),
        (told(Reason::DeadlineExceeded, bare),
            "The answer could not leave in time, so nothing was approved."),
        (told(Reason::Overloaded, bare), "Too many authorizations were waiting."),
        (told(Reason::ConflictingDuplicate, bare),
            "A step that was decided before came again with another content; its first decision \
             stands."),
    ];
    assert_eq!(table.len(), DeclineReason::ALL.len());
    for (said, expected) in table {
        assert_eq!(said, expected);
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
            "Cash is not allowed, and the merchant's category 6011 gives out cash.",
        ),
        (
            told(Reason::MccBlocked, |it| it.level = Some(Level::Customer)),
            "The customer's rules block certain categories, and the merchant names none.",
        ),
    ];
    for (said, expected) in cases {
        assert_eq!(said, expected);
    }
    let mut yen = Explanation::bare(Reason::CardLimitExceeded);
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
        (Reason::SingleUseConsumed, Level::Card, RuleField::Usage, 0, text("1970-01-01T00:00:00.000000Z")),
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
