//! What an approval would need.

use super::{Asked, is_at_most_one};
use crate::decide::merchant_text::{merchant_keys, prefix_keys};
use crate::decide::policy::{OnIntentMismatch, ProbePolicy};
use crate::domain::amount::{Amount, Minor};
use crate::domain::card::{Level, Usage};
use crate::domain::claims::{CardRules, Claims, IntentRule, ScopeLimits};
use crate::domain::identity::Keys;
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;

/// A credit needs nothing; a question about the balance needs the limits, to answer, and takes
/// nothing from them.
pub(super) fn claims(asked: &Asked<'_, '_>, keys: &impl Keys) -> Claims {
    let (card, request) = (asked.card, asked.request);
    let (spends, is_limited) = (asked.spends(), asked.is_limited());
    let zone = card.customer.zone();
    let (day, ends) = zone.windows_at(asked.now.secs());
    let (hour, hour_ends) = zone.hour_at(asked.now.secs());
    let minor = if spends { asked.amount } else { Minor::ZERO };
    Claims {
        amount: Amount {
            minor,
            currency: request.amount.currency,
        },
        day,
        resets_at: ends.map(Timestamp::from_secs),
        hour,
        hour_resets_at: Timestamp::from_secs(hour_ends),
        limits: if is_limited {
            asked.in_force.limits()
        } else {
            [ScopeLimits::default(); 3]
        },
        held_max: card.customer.held_max().filter(|_| is_limited),
        per_auth: asked.per_auth.filter(|_| is_limited),
        single_use: spends && card.card.usage() == Usage::Single,
        lock_to_first_merchant: lock_level(asked).filter(|_| spends),
        preset_lock: card.card.preset_lock().filter(|_| spends),
        merchant: merchant_keys(keys, &request.acceptor),
        rules: if asked.in_force.has_terms() {
            rules(asked, keys)
        } else {
            CardRules::default()
        },
    }
}

/// What depends on the card's past. An end by count or spending is a status of the card, which a
/// question about the balance meets too.
fn rules(asked: &Asked<'_, '_>, keys: &impl Keys) -> CardRules {
    let it = &asked.in_force;
    if !asked.is_limited() {
        return CardRules::default();
    }
    let ends = CardRules {
        expire_after_count: it.expire_after_count(),
        expire_after_spend: it.expire_after_spend(),
        ..CardRules::default()
    };
    if !asked.spends() {
        return ends;
    }
    let is_agreed = asked.is_agreed();
    let intent = intent(asked).filter(|_| !is_agreed);
    let is_bound = intent.is_some();
    CardRules {
        cooldown_us: it.cooldown_us().filter(|_| !is_agreed),
        may_probe: may_probe(asked),
        may_approve_part: may_approve_part(asked),
        attestation_us: it.attestation_us(),
        intent,
        merchant_prefixes: if is_bound {
            prefix_keys(keys, &asked.request.acceptor)
        } else {
            Vec::new()
        },
        mcc: asked.request.acceptor.mcc.filter(|_| is_bound),
        ..ends
    }
}

/// The level that has the first approval lock the card. Where the same merchant may ask again after a
/// reversal, the card has to remember which one that is.
fn lock_level(asked: &Asked<'_, '_>) -> Option<Level> {
    let locks = asked.in_force.lock_to_first_merchant();
    locks.or_else(|| {
        let (same, level) = asked.in_force.reauthorize_same_merchant()?;
        (same && asked.card.card.usage() == Usage::Single).then_some(level)
    })
}

fn intent(asked: &Asked<'_, '_>) -> Option<IntentRule> {
    let level = asked.in_force.intent_level()?;
    let below = asked.in_force.auto_approve_below();
    let on_mismatch = asked.in_force.on_intent_mismatch();
    Some(IntentRule {
        level,
        requires_approval: asked.in_force.require_approval().is_some(),
        auto_approve_below: below.map(|(below, _)| below),
        flags_mismatch: on_mismatch.is_some_and(|(word, _)| word == OnIntentMismatch::Flag),
    })
}

/// A probe is small, at a web shop, and of a category that is known to be neither fuel nor cash
/// (behaviour 2.14 a). What the message does not say is no reason to spare the card.
fn may_probe(asked: &Asked<'_, '_>) -> bool {
    let request = asked.request;
    let is_lawful_mcc = |mcc: Mcc| mcc != Mcc::FUEL_DISPENSER && !mcc.is_cash();
    asked.card.card.usage() == Usage::Single
        && is_at_most_one(request.amount)
        && request.card_present == Some(false)
        && request.cash.is_zero()
        && request.acceptor.mcc.is_some_and(is_lawful_mcc)
        && matches!(
            asked.in_force.probe_policy(),
            Some((ProbePolicy::AllowOneProbe, _))
        )
}

/// Nobody hands out half of the cash that was asked for.
fn may_approve_part(asked: &Asked<'_, '_>) -> bool {
    let request = asked.request;
    request.partial_approval_capable
        && request.cash.is_zero()
        && request.acceptor.mcc.is_some_and(|mcc| !mcc.is_cash())
        && matches!(asked.in_force.allow_partial(), Some((true, _)))
}
