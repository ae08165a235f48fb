//! Words of the wire for values of the domain, both ways.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::problem::Problem;
use crate::decide::policy::{Cascade, LimitField};
use crate::domain::card;

/// One word of a closed list, with the domain's value for it.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident is $domain:ty: $($variant:ident),+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
        #[serde(rename_all = "lowercase")]
        pub(super) enum $name { $($variant),+ }

        impl From<$name> for $domain {
            fn from(word: $name) -> Self {
                match word { $($name::$variant => Self::$variant),+ }
            }
        }

        impl From<$domain> for $name {
            fn from(value: $domain) -> Self {
                match value { $(<$domain>::$variant => Self::$variant),+ }
            }
        }
    };
}

words!(
    /// A customer's status.
    CustomerStatus is card::CustomerStatus: Active, Suspended
);
words!(
    /// An agent's status.
    AgentStatus is card::AgentStatus: Active, Paused, Disabled
);
words!(
    /// How many authorizations a card is for.
    Usage is card::Usage: Single, Multi
);
words!(
    /// How the values of the levels become one.
    CascadeWord is Cascade: Tighten, Override
);

/// What a card's one limit is over (behaviour 4.1).
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Interval {
    PerAuthorization,
    Daily,
    Weekly,
    Monthly,
    AllTime,
}

impl Interval {
    pub(super) fn field(self) -> LimitField {
        match self {
            Self::PerAuthorization => LimitField::PerAuth,
            Self::Daily => LimitField::PerDay,
            Self::Weekly => LimitField::PerWeek,
            Self::Monthly => LimitField::PerMonth,
            Self::AllTime => LimitField::Total,
        }
    }

    pub(super) fn of(field: LimitField) -> Self {
        match field {
            LimitField::PerAuth => Self::PerAuthorization,
            LimitField::PerDay => Self::Daily,
            LimitField::PerWeek => Self::Weekly,
            LimitField::PerMonth => Self::Monthly,
            LimitField::Total => Self::AllTime,
        }
    }
}

/// A document as it was written.
pub(super) fn document(raw: Option<Box<RawValue>>) -> Option<String> {
    raw.map(|raw| raw.get().to_owned())
}

/// A document as it is shown again.
pub(super) fn shown_document(text: Option<String>) -> Result<Option<Box<RawValue>>, Problem> {
    let raw = text.map(RawValue::from_string).transpose();
    raw.map_err(|error| {
        tracing::error!(%error, "a stored policy is no JSON");
        Problem::internal()
    })
}
