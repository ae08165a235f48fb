//! Why a decline happened, as values; the sentence is made when somebody reads it (behaviour 2.12).

use super::card::Level;
use super::decision::DeclineReason;
use super::time::Timestamp;

/// The rule that declined, by the name of its field in the policy or the object it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub enum RuleField {
    None = 0,
    IssuerToken = 1,
    Status = 2,
    Frozen = 3,
    Currency = 4,
    Kind = 5,
    AllowCash = 6,
    BlockedMccs = 7,
    AllowedMccs = 8,
    PerAuth = 9,
    PerDay = 10,
    PerWeek = 11,
    PerMonth = 12,
    Total = 13,
    Usage = 14,
    MerchantLock = 15,
    CountPerHour = 16,
    CountPerDay = 17,
    CountTotal = 18,
    RollingDay = 19,
    RollingWeek = 20,
    RollingMonth = 21,
    ExpireAfterCount = 22,
    ExpireAfterSpend = 23,
    CooldownMinutes = 24,
    TtlMinutes = 25,
    TtlDays = 26,
    ValidFrom = 27,
    ValidUntil = 28,
    ActiveHours = 29,
    MaxRiskScore = 30,
    RequireRiskScore = 31,
    BlockedCountries = 32,
    AllowedCountries = 33,
    BlockedMerchants = 34,
    AllowedMerchants = 35,
    RequireAttestation = 36,
    RequireIntent = 37,
    RequireApproval = 38,
    HeldMax = 39,
    StandingApproval = 40,
}

impl RuleField {
    /// Every field, in order of its number.
    pub const ALL: [Self; 41] = [
        Self::None,
        Self::IssuerToken,
        Self::Status,
        Self::Frozen,
        Self::Currency,
        Self::Kind,
        Self::AllowCash,
        Self::BlockedMccs,
        Self::AllowedMccs,
        Self::PerAuth,
        Self::PerDay,
        Self::PerWeek,
        Self::PerMonth,
        Self::Total,
        Self::Usage,
        Self::MerchantLock,
        Self::CountPerHour,
        Self::CountPerDay,
        Self::CountTotal,
        Self::RollingDay,
        Self::RollingWeek,
        Self::RollingMonth,
        Self::ExpireAfterCount,
        Self::ExpireAfterSpend,
        Self::CooldownMinutes,
        Self::TtlMinutes,
        Self::TtlDays,
        Self::ValidFrom,
        Self::ValidUntil,
        Self::ActiveHours,
        Self::MaxRiskScore,
        Self::RequireRiskScore,
        Self::BlockedCountries,
        Self::AllowedCountries,
        Self::BlockedMerchants,
        Self::AllowedMerchants,
        Self::RequireAttestation,
        Self::RequireIntent,
        Self::RequireApproval,
        Self::HeldMax,
        Self::StandingApproval,
    ];

    /// The field of a number read back from storage.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The field's path as owners write it.
    #[must_use]
    pub fn path(self) -> Option<&'static str> {
        Some(match self {
            Self::None => return None,
            Self::IssuerToken => "issuerToken",
            Self::Status => "status",
            Self::Frozen => "frozen",
            Self::Currency => "currency",
            Self::Kind => "kind",
            Self::AllowCash => "allowCash",
            Self::BlockedMccs => "blockedMccs",
            Self::AllowedMccs => "allowedMccs",
            Self::PerAuth => "limits.perAuth",
            Self::PerDay | Self::RollingDay => "limits.perDay",
            Self::PerWeek | Self::RollingWeek => "limits.perWeek",
            Self::PerMonth | Self::RollingMonth => "limits.perMonth",
            Self::Total => "limits.total",
            Self::Usage => "usage",
            Self::MerchantLock => "lockToFirstMerchant",
            Self::CountPerHour => "limits.countPerHour",
            Self::CountPerDay => "limits.countPerDay",
            Self::CountTotal => "limits.countTotal",
            Self::ExpireAfterCount => "expireAfter.count",
            Self::ExpireAfterSpend => "expireAfter.spend",
            Self::CooldownMinutes => "cooldownMinutes",
            Self::TtlMinutes => "ttlMinutes",
            Self::TtlDays => "ttlDays",
            Self::ValidFrom => "validFrom",
            Self::ValidUntil => "validUntil",
            Self::ActiveHours => "activeHours",
            Self::MaxRiskScore => "maxRiskScore",
            Self::RequireRiskScore => "requireRiskScore",
            Self::BlockedCountries => "blockedCountries",
            Self::AllowedCountries => "allowedCountries",
            Self::BlockedMerchants => "blockedMerchants",
            Self::AllowedMerchants => "allowedMerchants",
            Self::RequireAttestation => "requireAttestation",
            Self::RequireIntent => "requireIntent",
            Self::RequireApproval => "requireApproval",
            Self::HeldMax => "fleet.heldMax",
            Self::StandingApproval => "standingApproval",
        })
    }
}

/// What was seen, as a number whose meaning the field tells: minor units, a category code, a
/// packed currency or country.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The one cause, by precedence.
    pub reason: DeclineReason,
    /// Where the rule stands; absent where it is nobody's policy.
    pub level: Option<Level>,
    /// Which rule.
    pub field: RuleField,
    /// What the authorization brought.
    pub observed: Option<i64>,
    /// What the rule allows.
    pub limit: Option<i64>,
    /// What would still have passed, in minor units.
    pub remaining: Option<i64>,
    /// When the limit's window ends.
    pub resets_at: Option<Timestamp>,
}

impl Explanation {
    /// An explanation with nothing but its cause.
    #[must_use]
    pub fn bare(reason: DeclineReason) -> Self {
        Self {
            reason,
            level: None,
            field: RuleField::None,
            observed: None,
            limit: None,
            remaining: None,
            resets_at: None,
        }
    }

    /// An explanation that names its rule.
    #[must_use]
    pub fn of_rule(reason: DeclineReason, level: Level, field: RuleField) -> Self {
        Self {
            level: Some(level),
            field,
            ..Self::bare(reason)
        }
    }
}
