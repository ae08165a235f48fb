//! A card as it is shown. Amounts are in minor units; absent values are null.

use serde::Serialize;
use utoipa::ToSchema;

use super::ledger::SpanSeen;
use crate::cold::ops::policy::PolicyView;
use crate::decide::snapshot::PresetName;
use crate::domain::acceptor::Country;
use crate::domain::amount::Minor;
use crate::domain::card::Level;
use crate::domain::explanation::RuleField;
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::ledger::counters::Sum;
use crate::ledger::state::MerchantLock;

/// One card.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cold::ops) struct CardShown {
    pub(super) id: String,
    pub(super) connection: String,
    /// Whether the snapshot in force has the card. What is null otherwise only the snapshot says.
    pub(super) in_snapshot: bool,
    pub(super) customer_id: String,
    pub(super) customer_status: Option<&'static str>,
    pub(super) agent_id: Option<String>,
    /// The stricter of what the snapshot and what the ledger says.
    pub(super) agent_status: Option<&'static str>,
    pub(super) usage: Option<&'static str>,
    /// The stricter of what the snapshot and what the ledger says.
    pub(super) status: &'static str,
    /// Which of them it is.
    pub(super) status_source: &'static str,
    pub(super) frozen: bool,
    pub(super) currency: Option<String>,
    pub(super) policy: Option<PolicyView>,
    pub(super) limits: Vec<LimitView>,
    pub(super) counts: Vec<CountView>,
    pub(super) holds: Vec<HoldView>,
    /// Whether no hold is left out.
    pub(super) holds_complete: bool,
    pub(super) merchant_lock: Option<MerchantLockView>,
    pub(super) single_use_consumed_at: Option<String>,
}

/// One cap on a sum and where it stands. Amounts are in minor units.
#[derive(Serialize, ToSchema)]
#[schema(as = LimitStanding)]
#[serde(rename_all = "camelCase")]
pub(in crate::cold) struct LimitView {
    /// Where the limit is written.
    #[schema(pattern = "^(card|agent|customer)$")]
    level: &'static str,
    /// Its path in the policy.
    field: Option<&'static str>,
    /// `calendar` or `rolling`; null where the limit is for ever.
    #[schema(pattern = "^(calendar|rolling)$")]
    window: Option<&'static str>,
    /// Minor units. Null on a card that has left the snapshot.
    limit: Option<i64>,
    /// Everything charged in the window, what is held included. Null for a trailing span in which
    /// nothing has been added up yet: the next authorization does it.
    spent: Option<i64>,
    /// The part of it that is on hold; of a trailing span null where it does not follow from the sums that are
    /// kept.
    held: Option<i64>,
    /// What would still pass, in minor units.
    remaining: Option<i64>,
    /// When the window ends; of a trailing one, when its oldest charge leaves it. Null where the
    /// limit is for ever, and where nothing can leave.
    #[schema(format = DateTime)]
    resets_at: Option<String>,
}

impl LimitView {
    /// Minor units; absent where nobody knows.
    pub(in crate::cold) fn remaining(&self) -> Option<i64> {
        self.remaining
    }

    /// Whether so many percent of it are used.
    fn is_over(&self, percent: i64) -> bool {
        let parts = self.limit.zip(self.spent);
        parts.is_some_and(|(limit, spent)| reaches(spent, limit, percent))
    }

    /// The limit and its window, in one word. A trailing span is told once a day.
    fn window_name(&self, now: Timestamp) -> String {
        let day = now.secs().div_euclid(86_400).to_string();
        let window = match (self.window, &self.resets_at) {
            (Some("calendar"), Some(ends)) => ends.clone(),
            (Some(_), _) => day,
            (None, _) => String::new(),
        };
        let (field, limit) = (self.field.unwrap_or_default(), self.limit.unwrap_or(0));
        format!("{}:{field}:{limit}:{window}", self.level)
    }
}

/// Whether so many percent of a limit are used.
fn reaches(used: i64, limit: i64, percent: i64) -> bool {
    limit > 0 && i128::from(used) * 100 >= i128::from(limit) * i128::from(percent)
}

/// A cap of either kind.
#[derive(Serialize)]
#[serde(untagged)]
pub(in crate::cold) enum CapView {
    Sum(LimitView),
    Count(CountView),
}

impl CapView {
    /// Whether so many percent of it are used.
    pub(in crate::cold) fn is_over(&self, percent: i64) -> bool {
        match self {
            Self::Sum(limit) => limit.is_over(percent),
            Self::Count(count) => {
                let limit = count.limit.map(i64::from);
                limit.is_some_and(|limit| reaches(i64::from(count.used), limit, percent))
            }
        }
    }

    /// The cap and its window, in one word.
    pub(in crate::cold) fn window_name(&self, now: Timestamp) -> String {
        match self {
            Self::Sum(limit) => limit.window_name(now),
            Self::Count(count) => {
                let window = count.resets_at.as_deref().unwrap_or_default();
                let (field, limit) = (count.field.unwrap_or_default(), count.limit.unwrap_or(0));
                format!("{}:{field}:{limit}:{window}", count.level)
            }
        }
    }
}

/// One cap on a number of approvals and where it stands.
#[derive(Serialize, ToSchema)]
#[schema(as = CountStanding)]
#[serde(rename_all = "camelCase")]
pub(in crate::cold) struct CountView {
    /// Where the limit is written.
    #[schema(pattern = "^(card|agent|customer)$")]
    level: &'static str,
    /// Its path in the policy.
    field: Option<&'static str>,
    /// Null on a card that has left the snapshot.
    limit: Option<u32>,
    /// Approved authorizations in the window.
    used: u32,
    /// How many would still pass.
    remaining: Option<u32>,
    /// Null where the limit is for ever.
    #[schema(format = DateTime)]
    resets_at: Option<String>,
}

/// One authorization that holds something.
#[derive(Serialize)]
pub(super) struct HoldView {
    pub(super) authorization: String,
    pub(super) amount: i64,
    /// When its first step arrived.
    pub(super) at: String,
    pub(super) steps: usize,
}

/// The merchant that a card is locked to.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = MerchantLock)]
#[serde(rename_all = "camelCase")]
pub(in crate::cold) struct MerchantLockView {
    /// `first_use`, or `preset` where the card was made with it: then ids or texts alone are named.
    #[schema(pattern = "^(first_use|preset)$")]
    source: &'static str,
    acquirer_id: Option<String>,
    acceptor_id: Option<String>,
    descriptor: Option<String>,
    mcc: Option<String>,
    country: Option<String>,
}

impl LimitView {
    /// A calendar's window, which has an end, or a whole life.
    pub(super) fn new(
        level: Level,
        field: RuleField,
        cap: Option<Minor>,
        sum: Sum,
        ends: Option<Timestamp>,
    ) -> Self {
        let has_end = !matches!(
            field,
            RuleField::Total | RuleField::ExpireAfterSpend | RuleField::HeldMax
        );
        Self {
            level: level.name(),
            field: field.path(),
            window: has_end.then_some("calendar"),
            limit: cap.map(Minor::get),
            spent: Some(sum.spent.get()),
            held: Some(sum.held.get()),
            remaining: cap.map(|cap| cap.saturating_minus(sum.spent).get()),
            resets_at: ends.map(|at| at.rfc3339_seconds().to_string()),
        }
    }

    /// A trailing span, which was `seen` unless it is not kept yet, of a scope with `all` this.
    pub(super) fn rolling(
        level: Level,
        field: RuleField,
        cap: Minor,
        (seen, all): (Option<SpanSeen>, Sum),
    ) -> Self {
        let frees_at = seen.and_then(|seen| seen.frees_at);
        Self {
            level: level.name(),
            field: field.path(),
            window: Some("rolling"),
            limit: Some(cap.get()),
            spent: seen.map(|seen| seen.spent.get()),
            held: seen.and_then(|seen| seen.held(all)).map(Minor::get),
            remaining: seen.map(|seen| cap.saturating_minus(seen.spent).get()),
            resets_at: frees_at.map(|at| at.rfc3339_seconds().to_string()),
        }
    }
}

impl CountView {
    pub(super) fn new(
        level: Level,
        field: RuleField,
        cap: Option<u32>,
        used: u32,
        ends: Option<Timestamp>,
    ) -> Self {
        Self {
            level: level.name(),
            field: field.path(),
            limit: cap,
            used,
            remaining: cap.map(|cap| cap.saturating_sub(used)),
            resets_at: ends.map(|at| at.rfc3339_seconds().to_string()),
        }
    }
}

impl MerchantLockView {
    pub(in crate::cold) fn first_use(lock: &MerchantLock) -> Self {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mcc = lock.mcc.and_then(|number| Mcc::from_number(number).ok());
        let country = lock.country.and_then(Country::from_packed);
        Self {
            source: "first_use",
            acquirer_id: text(&lock.acquirer_id),
            acceptor_id: text(&lock.acceptor_id),
            descriptor: text(&lock.descriptor),
            mcc: mcc.map(|mcc| mcc.to_string()),
            country: country.map(|country| country.letters().iter().collect()),
        }
    }

    pub(super) fn preset(named: &PresetName) -> Self {
        let source = "preset";
        match named {
            PresetName::Ids {
                acquirer_id,
                acceptor_id,
            } => Self {
                source,
                acquirer_id: Some(acquirer_id.to_string()),
                acceptor_id: Some(acceptor_id.to_string()),
                ..Self::default()
            },
            PresetName::Text {
                descriptor,
                mcc,
                country,
            } => Self {
                source,
                descriptor: Some(descriptor.to_string()),
                mcc: Some(mcc.to_string()),
                country: Some(country.letters().iter().collect()),
                ..Self::default()
            },
        }
    }
}
