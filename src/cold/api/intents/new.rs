//! A new intent: what it expects, read, and what that is to the ledger.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::cold::api::exchange::Ask;
use crate::cold::api::problem::{Fault, Problem};
use crate::cold::api::text;
use crate::cold::ids::{draw, is_id};
use crate::cold::store::{Card, Intent};
use crate::decide::effective::Approval;
use crate::decide::merchant_text::intent_key;
use crate::decide::merchant_text::list::looks_like_domain;
use crate::domain::amount::Minor;
use crate::domain::currency::Currency;
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::ledger::intent::{INTENT_MCCS_MAX, IntentTerms};

const TTL_MINUTES: i64 = 30;
const TTL_MINUTES_MAX: i64 = 1_440;
pub(super) const MINUTE_US: i64 = 60_000_000;
pub(super) const TOLERANCE_PERCENT: u8 = 10;
const PERCENT_MAX: u8 = 100;
/// Bytes of what a declarer adds.
const METADATA_LEN_MAX: usize = 4_096;

/// What is about to be bought.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::cold::api) struct NewIntent {
    /// In words, for people.
    #[schema(min_length = 1, max_length = 1000)]
    purpose: String,
    /// What it is to be called, once on each card; drawn where it is absent. The same intent again is
    /// the same one.
    #[schema(min_length = 1, max_length = 128, pattern = "^[0-9A-Za-z_-]+$")]
    intent_id: Option<String>,
    /// In minor units; absent: any amount.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    expected_amount: Option<i64>,
    /// ISO 4217; the customer's own where an amount is expected and this is absent.
    expected_currency: Option<String>,
    /// The merchant's name as it is on statements, or how it begins.
    #[schema(min_length = 1, max_length = 200)]
    expected_merchant: Option<String>,
    /// Merchant category codes, any of which matches; absent or empty: every one.
    #[schema(max_items = 64)]
    expected_mccs: Option<Vec<String>>,
    /// What an authorization may be above the expected amount, in minor units.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    tolerance: Option<i64>,
    /// The same in percent; 10 where neither is given.
    #[schema(minimum = 0, maximum = 100)]
    tolerance_percent: Option<u8>,
    /// Minutes until it is over; 30 where it is absent.
    #[schema(minimum = 1, maximum = 1440)]
    ttl_minutes: Option<i64>,
    /// Whatever the declarer wants to find again, at most 4096 bytes.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Box<RawValue>>,
}

/// What an intent expects, as it is kept. Amounts are in minor units.
#[derive(Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Expects {
    pub(super) amount: Option<i64>,
    pub(super) currency: Option<String>,
    pub(super) merchant: Option<String>,
    pub(super) mccs: Vec<String>,
    pub(super) tolerance: Option<i64>,
    pub(super) tolerance_percent: Option<u8>,
    pub(super) max_amount: Option<i64>,
}

impl NewIntent {
    /// What it expects, and what that is to the ledger.
    pub(super) fn read(
        &self,
        ask: &Ask,
        own: Currency,
        approval: Approval,
    ) -> Result<(Expects, IntentTerms), Problem> {
        let expected = self.expected_amount.map(|it| minor("expectedAmount", it));
        let expected = expected.transpose()?;
        let mut cap = self.cap(expected)?;
        let awaits_approval = match approval {
            Approval::None => false,
            Approval::All => true,
            Approval::From(least) if expected.is_none_or(|it| it >= least) => true,
            Approval::From(least) => {
                // No tolerance of the declarer's own lifts it to what a human has to approve.
                let most = minor("expectedAmount", least.get().saturating_sub(1))?;
                cap = cap.map(|cap| cap.min(most));
                false
            }
        };
        let wanted = self.expected_currency.as_deref();
        let currency = wanted.map(|code| {
            let unknown = |_unknown| {
                let message = "must be a currency of ISO 4217, for example USD";
                Problem::invalid_field("expectedCurrency", message)
            };
            Currency::parse(code).map_err(unknown)
        });
        // An amount without a currency is one of the customer's own.
        let currency = currency.transpose()?.or_else(|| expected.map(|_| own));
        let mccs = mccs(self.expected_mccs.as_deref().unwrap_or_default())?;
        let merchant = self.expected_merchant.as_deref();
        let merchant = merchant.map(|name| {
            if looks_like_domain(name) {
                let message = "looks like a domain, and card networks name merchants, not domains: write the \
                               name as statements show it";
                return Err(Problem::invalid_field("expectedMerchant", message));
            }
            let key = intent_key(&ask.api.keys, name).filter(|_| text::is_name(name));
            let message = "must be a merchant's name, as it is on statements";
            key.ok_or_else(|| Problem::invalid_field("expectedMerchant", message))
        });
        let terms = IntentTerms {
            expected,
            cap,
            currency,
            merchant: merchant.transpose()?,
            mccs: mccs.clone().into_boxed_slice(),
            expires_at: self.expires_at(ask.now)?,
            awaits_approval,
        };
        let expects = Expects {
            amount: self.expected_amount,
            currency: currency.map(|it| it.to_string()),
            merchant: self.expected_merchant.clone(),
            mccs: mccs.iter().map(ToString::to_string).collect(),
            tolerance: self.tolerance,
            tolerance_percent: self.tolerance_percent,
            max_amount: cap.map(Minor::get),
        };
        Ok((expects, terms))
    }

    /// The largest amount that still matches.
    fn cap(&self, expected: Option<Minor>) -> Result<Option<Minor>, Problem> {
        let Some(expected) = expected else {
            let given = [
                ("tolerance", self.tolerance.is_some()),
                ("tolerancePercent", self.tolerance_percent.is_some()),
            ];
            return match given.iter().find(|(_, is_given)| *is_given) {
                Some((field, _)) => {
                    let message = "says nothing without `expectedAmount`";
                    Err(Problem::invalid_field(field, message))
                }
                None => Ok(None),
            };
        };
        let over = match (self.tolerance, self.tolerance_percent) {
            (Some(_), Some(_)) => {
                let message = "give this or `tolerance`, not both";
                return Err(Problem::invalid_field("tolerancePercent", message));
            }
            (Some(amount), None) => minor("tolerance", amount)?,
            (None, percent) => {
                let percent = percent.unwrap_or(TOLERANCE_PERCENT);
                if percent > PERCENT_MAX {
                    let message = format!("must be from 0 to {PERCENT_MAX}");
                    return Err(Problem::invalid_field("tolerancePercent", message));
                }
                // Rounded down: whoever allows a tenth of 1.05 allows 10 cents.
                let over = expected.get().saturating_mul(i64::from(percent)) / 100;
                minor("tolerancePercent", over)?
            }
        };
        Ok(Some(expected.saturating_plus(over)))
    }

    fn expires_at(&self, now: Timestamp) -> Result<Timestamp, Problem> {
        let minutes = self.ttl_minutes.unwrap_or(TTL_MINUTES);
        if !(1..=TTL_MINUTES_MAX).contains(&minutes) {
            let message = format!("must be from 1 to {TTL_MINUTES_MAX}");
            return Err(Problem::invalid_field("ttlMinutes", message));
        }
        Ok(now.plus_micros(minutes * MINUTE_US))
    }

    pub(super) fn row(&self, ask: &Ask, card: &Card, expects: &Expects) -> Result<Intent, Problem> {
        let id = draw("int", ask.now);
        let called = self.intent_id.clone().unwrap_or_else(|| id.clone());
        if !is_id(&called) {
            let message = "must be 1 to 128 letters, digits, `_` and `-`";
            return Err(Problem::invalid_field("intentId", message));
        }
        let metadata = self.metadata.as_ref().map(|it| it.get());
        if metadata.is_some_and(|it| !it.starts_with('{') || it.len() > METADATA_LEN_MAX) {
            let message = format!("must be an object of at most {METADATA_LEN_MAX} bytes");
            return Err(Problem::invalid_field("metadata", message));
        }
        Ok(Intent {
            id,
            mode: card.mode,
            card_id: card.id.clone(),
            called,
            purpose: text::words(&self.purpose, "purpose")?,
            expects: written(expects)?,
            metadata: metadata.map(str::to_owned),
            awaits_approval: false,
            expires_at: self.expires_at(ask.now)?,
            decided_by: None,
            decided_at: None,
            note: None,
            created_at: ask.now,
            revision: 0,
        })
    }
}

fn written(expects: &Expects) -> Result<String, Problem> {
    serde_json::to_string(expects).map_err(|error| {
        tracing::error!(%error, "an intent has no JSON form");
        Problem::internal()
    })
}

fn minor(field: &str, amount: i64) -> Result<Minor, Problem> {
    let message = "must be from 0 to 2^53 - 1 minor units";
    Minor::new(amount).map_err(|_out_of_range| Problem::invalid_field(field, message))
}

/// In order, each once: so they are compared.
fn mccs(codes: &[String]) -> Result<Vec<Mcc>, Problem> {
    if codes.len() > INTENT_MCCS_MAX {
        let message = format!("must be {INTENT_MCCS_MAX} codes at most");
        return Err(Problem::invalid_field("expectedMccs", message));
    }
    let codes = codes.iter().enumerate().map(|(at, code)| {
        let fault = |_invalid| {
            let message = "must be an MCC, four digits";
            Problem::invalid(vec![Fault::new(format!("expectedMccs[{at}]"), message)])
        };
        Mcc::parse(code).map_err(fault)
    });
    let mut mccs = codes.collect::<Result<Vec<Mcc>, Problem>>()?;
    mccs.sort_unstable();
    mccs.dedup();
    Ok(mccs)
}
