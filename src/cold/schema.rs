//! Schemas of what no struct of ours holds as it is written: policies, which the compiler reads, and
//! words.

use utoipa::openapi::{ObjectBuilder, RefOr, Type, schema::Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::cold::records::DECLINED_BY_ISSUER;
use crate::domain::decision::DeclineReason;

/// The code of a decline reason (behaviour 2.10).
pub(in crate::cold) struct Reason;

impl PartialSchema for Reason {
    fn schema() -> RefOr<Schema> {
        let ours = DeclineReason::ALL.iter().map(|reason| reason.code());
        let codes = ours.chain([DECLINED_BY_ISSUER]);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Why it was declined."))
            .enum_values(Some(codes))
            .into()
    }
}

impl ToSchema for Reason {}

/// What is allowed at one level. A field that is absent says nothing. Amounts are in minor units of
/// the customer's currency.
#[derive(ToSchema)]
#[schema(as = Policy)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(in crate::cold) struct PolicyDocument {
    limits: PolicyLimits,
    expire_after: ExpireAfter,
    /// Minutes from the card's making to its end.
    #[schema(minimum = 1, maximum = 5_256_000)]
    ttl_minutes: u32,
    /// Days of 24 hours from the card's making to its end.
    #[schema(minimum = 1, maximum = 3_650)]
    ttl_days: u32,
    /// From when on the card is good.
    #[schema(format = DateTime)]
    valid_from: String,
    /// Until when the card is good; at the instant it is not.
    #[schema(format = DateTime)]
    valid_until: String,
    active_hours: Hours,
    /// Minutes of pause after an approval.
    #[schema(minimum = 0, maximum = 525_600)]
    cooldown_minutes: u32,
    /// Codes like `5812`, and ranges like `3000-3350`.
    #[schema(max_items = 10_000)]
    allowed_mccs: Vec<String>,
    /// Codes like `5812`, and ranges like `3000-3350`.
    #[schema(max_items = 10_000)]
    blocked_mccs: Vec<String>,
    /// Two letters of ISO 3166-1 each.
    #[schema(max_items = 10_000)]
    allowed_countries: Vec<String>,
    /// Two letters of ISO 3166-1 each.
    #[schema(max_items = 10_000)]
    blocked_countries: Vec<String>,
    /// Names as statements show them, or ids at the merchant's bank.
    #[schema(max_items = 10_000)]
    allowed_merchants: Vec<Merchant>,
    /// Names as statements show them, or ids at the merchant's bank.
    #[schema(max_items = 10_000)]
    blocked_merchants: Vec<Merchant>,
    /// Whether all kinds of allow lists must pass, or any of them.
    #[schema(pattern = "^(all|any)$")]
    r#match: String,
    /// Whether the first approval locks the card to its merchant.
    lock_to_first_merchant: bool,
    /// The highest risk score that passes, from 0 to 99.
    #[schema(minimum = 0, maximum = 99)]
    max_risk_score: u32,
    /// Whether an authorization without a risk score declines.
    require_risk_score: bool,
    /// Whether cash and what is like it passes.
    allow_cash: bool,
    /// Whether a part may be approved where the terminal can take it.
    allow_partial: bool,
    /// Minor units that a fuel pump's status check holds.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    fuel_hold: i64,
    /// What a small first authorization does to a single-use card.
    #[schema(pattern = "^(consume|allow_one_probe)$")]
    probe_policy: String,
    /// Whether linked refunds give budget back.
    refunds_restore: bool,
    /// Whether the same merchant may ask again after a full reversal.
    reauthorize_same_merchant: bool,
    /// Whether each authorization needs an intent.
    require_intent: bool,
    /// What becomes of an authorization that no intent matches.
    #[schema(pattern = "^(decline|flag)$")]
    on_intent_mismatch: String,
    /// Whether intents wait for a human.
    require_approval: bool,
    /// Intents of less than this, in minor units, wait for nobody.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    auto_approve_below: i64,
    /// Whether each authorization needs a fresh attestation.
    require_attestation: bool,
    /// Minutes for which an attestation is fresh.
    #[schema(minimum = 1, maximum = 60)]
    attestation_window_minutes: u32,
    /// On cards alone: the approval in advance of the card's agent that owns the card. Nothing passes where
    /// the agent has no such approval.
    #[schema(min_length = 1, max_length = 64)]
    standing_approval: String,
    /// Of purchase requests, on agents and customers alone: domains that may be bought from, each with
    /// what is below it.
    #[schema(max_items = 10_000)]
    allowed_domains: Vec<String>,
    /// Of purchase requests: domains that nothing is bought from.
    #[schema(max_items = 10_000)]
    blocked_domains: Vec<String>,
    request_limits: RequestLimits,
    on_violation: Violations,
    /// Of purchase requests: minor units by which a charge may be above what was asked for.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    amount_tolerance: i64,
    /// Of purchase requests: what the merchants of domains are called on card networks.
    #[schema(max_items = 10_000)]
    merchant_map: Vec<MerchantMapEntry>,
    /// Of purchase requests, on agents alone: patterns that need no human's word any more.
    #[schema(max_items = 100)]
    standing_approvals: Vec<StandingApprovalEntry>,
    /// What becomes of requests for a card that its amount and first merchant alone would bind.
    #[schema(pattern = "^(allow|review|deny)$")]
    unscoped_requests: String,
    /// Of purchase requests: a card that names alone would bind (no category, no id of the merchant) is for a human
    /// from this amount on, in minor units; 10000 where no level says.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    names_alone_below: i64,
    /// The most that a request may ask for: a card for one purchase, or one that is good until its amount is
    /// spent, at one merchant.
    #[schema(pattern = "^(single|until_spent)$")]
    card_use: String,
    /// Minutes from an approval to the end of its card.
    #[schema(minimum = 20, maximum = 10_080)]
    card_ttl_minutes: u32,
    /// Minutes that a human may take.
    #[schema(minimum = 5, maximum = 1_440)]
    review_ttl_minutes: u32,
}

/// By what a domain's merchant is known on card networks. A card for it is bound to what is said here.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(in crate::cold) struct MerchantMapEntry {
    /// The domain, with everything below it.
    domain: String,
    /// Names as statements show them, and ids at banks.
    #[schema(max_items = 10_000)]
    merchants: Option<Vec<Merchant>>,
    /// Codes and ranges of them.
    #[schema(max_items = 10_000)]
    mccs: Option<Vec<String>>,
}

/// Purchases that are approved in advance. It waives no rule and no limit.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(in crate::cold) struct StandingApprovalEntry {
    /// Names it among the agent's; what it has approved is counted under the name.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// The merchant's domain, with everything below it.
    domain: String,
    /// Minor units, tolerance included; 0 where it is absent.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    amount_min: Option<i64>,
    /// Minor units, tolerance included.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    amount_max: i64,
    /// The last 24 hours, 7 days or 30 days.
    #[schema(pattern = "^(day|week|month)$")]
    period: String,
    /// Requests in a period.
    #[schema(minimum = 1, maximum = 1_000)]
    count_max: i64,
    /// Their amounts together in minor units, tolerances included.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    total_max: Option<i64>,
    /// From this instant on it approves nothing.
    #[schema(format = DateTime)]
    until: String,
    /// The one card that it owns: a multi-use card of the agent whose policy names this approval as
    /// `standingApproval`. It approves no requests then, and its period is the calendar's; `totalMax` has
    /// to be there.
    #[schema(min_length = 1, max_length = 128)]
    card_id: Option<String>,
}

/// Caps on an agent's purchase requests.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(in crate::cold) struct RequestLimits {
    /// Minor units of one request, its tolerance included.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    per_request: i64,
    /// Approved requests of an hour.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    count_per_hour: i64,
    /// Approved requests of a day.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    count_per_day: i64,
}

/// What becomes of a purchase request that breaks a rule of this level: one word for every rule, or one
/// for each.
#[derive(ToSchema)]
#[schema(as = Violations)]
#[serde(untagged)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(in crate::cold) enum Violations {
    /// `deny` or `review`, of every rule that can be named.
    Every(String),
    Each(OnViolation),
}

/// What becomes of a purchase request that breaks a rule of this level: `deny`, where nothing is said.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(in crate::cold) struct OnViolation {
    #[schema(pattern = "^(deny|review)$")]
    allowed_domains: String,
    #[schema(pattern = "^(deny|review)$")]
    blocked_domains: String,
    /// `perRequest` alone.
    #[schema(pattern = "^(deny|review)$")]
    request_limits: String,
    /// Limits over spans of time and counts; never `perAuth`, which the card would meet again.
    #[schema(pattern = "^(deny|review)$")]
    limits: String,
}

/// Caps. Amounts are in minor units of the customer's currency; equal to a cap passes.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(in crate::cold) struct PolicyLimits {
    /// Of one authorization, increments included.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    per_auth: i64,
    /// Of a day.
    per_day: Cap,
    /// Of a week.
    per_week: Cap,
    /// Of a month.
    per_month: Cap,
    /// For ever.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    total: i64,
    /// Approved authorizations of an hour.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    count_per_hour: i64,
    /// Approved authorizations of a day.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    count_per_day: i64,
    /// Approved authorizations for ever.
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    count_total: i64,
}

/// Minor units over the calendar's window, or with the kind of window.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(in crate::cold) enum Cap {
    /// Minor units over the calendar's window.
    Plain(i64),
    Windowed(WindowedCap),
}

/// A cap with its kind of window.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(in crate::cold) struct WindowedCap {
    /// Minor units.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    amount: i64,
    /// By the calendar, or trailing: 24 hours, 7 days or 30 days.
    #[schema(pattern = "^(calendar|rolling)$")]
    #[serde(default)]
    window: String,
}

/// What ends a card.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(in crate::cold) struct ExpireAfter {
    /// Approvals.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    count: i64,
    /// Spending, in minor units.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    spend: i64,
}

/// Hours in which purchases are allowed.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(in crate::cold) struct Hours {
    /// Of the IANA database; the customer's where it is absent.
    #[serde(default)]
    timezone: String,
    /// `mon` to `sun`; every day where it is absent.
    #[serde(default)]
    days: Vec<String>,
    /// Like `09:00`.
    from: String,
    /// Like `17:30`, at most `24:00`; earlier than `from` where it passes midnight.
    to: String,
}

/// A merchant's name, or its id.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(in crate::cold) enum Merchant {
    Name(String),
    Id(MerchantId),
}

/// A merchant by its id at its bank.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "its schema is what it is for")]
pub(in crate::cold) struct MerchantId {
    acceptor_id: String,
}
