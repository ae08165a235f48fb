//! One authorization on both sides, and whether they say the same.

use serde::Serialize;

use super::ours::OurDecision;
use crate::domain::amount::Minor;
use crate::domain::currency::Currency;
use crate::domain::lifecycle::{MovementKind, StandingStatus};
use crate::issuer::listed::Listed;

/// What kind of difference it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Money there that we know nothing of.
    MissingHere,
    /// Money here that the issuer's list does not have.
    MissingThere,
    /// Another amount on hold, posted or refunded.
    Amount,
    /// Over there and not here, or the other way round.
    State,
}

impl Class {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MissingHere => "missing here",
            Self::MissingThere => "missing there",
            Self::Amount => "amount",
            Self::State => "state",
        }
    }
}

/// One side. Amounts are in minor units; absent where that side does not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Books {
    /// In that side's words.
    pub state: &'static str,
    /// On hold.
    pub held: Option<i64>,
    /// Posted in all.
    pub posted: Option<i64>,
    /// Given back after posting.
    pub refunded: Option<i64>,
}

/// What nothing explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What kind it is.
    pub class: Class,
    /// The issuer's id of the authorization; of money without one, of the movement.
    pub authorization: String,
    /// ISO 4217; absent where only we know it and do not say.
    pub currency: Option<String>,
    /// Absent where it is missing here.
    pub here: Option<Books>,
    /// Absent where it is missing there.
    pub there: Option<Books>,
}

/// What our server tells of an authorization.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Here {
    pub(super) approved: i64,
    pub(super) currency: Option<Currency>,
    pub(super) outcome: Option<Outcome>,
}

/// What has become of it here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) state: State,
    pub(super) held: i64,
    pub(super) posted: i64,
    pub(super) refunded: i64,
}

/// Our word for where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Closed,
    Expired,
    Reversed,
    Declined,
}

impl State {
    const ALL: [Self; 5] = [
        Self::Open,
        Self::Closed,
        Self::Expired,
        Self::Reversed,
        Self::Declined,
    ];

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == text)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Expired => "expired",
            Self::Reversed => "reversed",
            Self::Declined => "declined",
        }
    }
}

impl Here {
    /// Adds one step. The outcome is the authorization's, and stands beside each of them.
    pub(super) fn take(&mut self, decision: &OurDecision) {
        self.approved = self.approved.saturating_add(decision.approved_amount);
        self.currency = self.currency.or(decision.currency);
        self.outcome = self.outcome.or(decision.outcome);
    }

    /// Where nothing was reported, it stands as it was decided.
    fn standing(&self) -> Outcome {
        self.outcome.unwrap_or(Outcome {
            state: if self.approved > 0 {
                State::Open
            } else {
                State::Declined
            },
            held: self.approved,
            posted: 0,
            refunded: 0,
        })
    }

    pub(super) fn has_money(&self) -> bool {
        let Outcome {
            held,
            posted,
            refunded,
            ..
        } = self.standing();
        held != 0 || posted != 0 || refunded != 0
    }

    fn books(&self) -> Books {
        let Outcome {
            state,
            held,
            posted,
            refunded,
        } = self.standing();
        Books {
            state: state.name(),
            held: Some(held),
            posted: Some(posted),
            refunded: Some(refunded),
        }
    }
}

/// What the issuer's list says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct There {
    currency: Option<Currency>,
    status: Option<StandingStatus>,
    held: Option<i64>,
    posted: Option<i64>,
    refunded: Option<i64>,
    /// Whether it is told as a whole; single movements beside that say nothing new.
    is_account: bool,
}

impl There {
    pub(super) fn take(&mut self, listed: &Listed<'_>) {
        let observation = &listed.observation;
        self.currency = observation.currency;
        if let Some(standing) = &observation.standing {
            *self = Self {
                currency: observation.currency,
                status: Some(standing.status),
                held: Some(standing.held.get()),
                posted: standing.posted.map(Minor::get),
                refunded: standing.refunded.map(Minor::get),
                is_account: true,
            };
            return;
        }
        if self.is_account {
            return;
        }
        for movement in &observation.movements {
            let amount = movement.amount.get();
            match movement.kind {
                MovementKind::Posted { .. } | MovementKind::AuthorizedAndPosted => {
                    let posted = self.posted.unwrap_or(0);
                    self.posted = Some(posted.saturating_add(amount));
                }
                MovementKind::Refunded => {
                    let refunded = self.refunded.unwrap_or(0);
                    self.refunded = Some(refunded.saturating_add(amount));
                }
                MovementKind::Authorized
                | MovementKind::Declined
                | MovementKind::Replaced
                | MovementKind::Released
                | MovementKind::Expired
                | MovementKind::RefundReversed
                | MovementKind::Noted
                | MovementKind::Disputed => {}
            }
        }
    }

    pub(super) fn has_money(&self) -> bool {
        let amounts = [self.held, self.posted, self.refunded];
        amounts.into_iter().flatten().any(|amount| amount != 0)
    }

    fn books(&self) -> Books {
        Books {
            state: match self.status {
                None => "not told",
                Some(StandingStatus::Pending) => "pending",
                Some(StandingStatus::Settled) => "settled",
                Some(StandingStatus::Voided) => "voided",
                Some(StandingStatus::Expired) => "expired",
                Some(StandingStatus::Declined) => "declined",
                Some(StandingStatus::Closed) => "closed",
            },
            held: self.held,
            posted: self.posted,
            refunded: self.refunded,
        }
    }

    /// Whether our state is what this status comes to.
    fn agrees_with(&self, here: &Outcome) -> bool {
        let is_empty = here.held == 0 && here.posted == 0;
        match self.status {
            None => true,
            Some(StandingStatus::Pending) => here.state == State::Open,
            Some(StandingStatus::Settled) => {
                matches!(here.state, State::Open | State::Closed | State::Expired)
            }
            Some(StandingStatus::Voided) => here.state == State::Reversed,
            Some(StandingStatus::Expired) => here.state == State::Expired,
            // What we declined ourselves is over as well, in whatever word.
            Some(StandingStatus::Declined) => here.state == State::Declined || is_empty,
            Some(StandingStatus::Closed) => here.state == State::Closed,
        }
    }
}

impl Difference {
    /// Ours alone.
    pub(super) fn missing_there(authorization: String, here: Here) -> Self {
        Self {
            class: Class::MissingThere,
            authorization,
            currency: here.currency.map(|currency| currency.to_string()),
            here: Some(here.books()),
            there: None,
        }
    }

    /// What the two do not say alike; nothing where they agree.
    pub(super) fn between(id: &str, here: Option<Here>, there: There) -> Option<Self> {
        let difference = |class, here: Option<Here>| Self {
            class,
            authorization: id.to_owned(),
            currency: there.currency.map(|currency| currency.to_string()),
            here: here.map(|here| here.books()),
            there: Some(there.books()),
        };
        let Some(ours) = here else {
            return Some(difference(Class::MissingHere, None));
        };
        let standing = ours.standing();
        if !there.agrees_with(&standing) {
            return Some(difference(Class::State, here));
        }
        let same = |theirs: Option<i64>, ours: i64| theirs.is_none_or(|it| it == ours);
        let agrees = same(there.held, standing.held)
            && same(there.posted, standing.posted)
            && same(there.refunded, standing.refunded);
        (!agrees).then(|| difference(Class::Amount, here))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(status: StandingStatus, [held, posted, refunded]: [i64; 3]) -> There {
        There {
            currency: Some(Currency::USD),
            status: Some(status),
            held: Some(held),
            posted: Some(posted),
            refunded: Some(refunded),
            is_account: true,
        }
    }

    fn here(approved: i64, outcome: Option<(State, [i64; 3])>) -> Here {
        let outcome = outcome.map(|(state, [held, posted, refunded])| Outcome {
            state,
            held,
            posted,
            refunded,
        });
        Here {
            approved,
            currency: None,
            outcome,
        }
    }

    /// Theirs, ours, the class of the difference.
    type Row = (
        (StandingStatus, [i64; 3]),
        (i64, Option<(State, [i64; 3])>),
        Option<Class>,
    );

    #[test]
    fn i13_each_difference_has_its_class() {
        use StandingStatus::{Closed, Declined, Expired, Pending, Settled, Voided};
        #[rustfmt::skip]
        let rows: &[Row] = &[
            ((Pending, [5, 0, 0]), (5, None), None),
            ((Pending, [5, 0, 0]), (5, Some((State::Open, [5, 0, 0]))), None),
            ((Pending, [6, 0, 0]), (5, None), Some(Class::Amount)),
            ((Pending, [5, 0, 0]), (0, None), Some(Class::State)),
            ((Pending, [5, 0, 0]), (5, Some((State::Reversed, [0, 0, 0]))), Some(Class::State)),
            ((Settled, [0, 5, 0]), (5, None), Some(Class::Amount)),
            ((Settled, [0, 5, 0]), (5, Some((State::Closed, [0, 5, 0]))), None),
            ((Settled, [0, 5, 2]), (5, Some((State::Closed, [0, 5, 1]))), Some(Class::Amount)),
            ((Settled, [2, 3, 0]), (5, Some((State::Open, [2, 3, 0]))), None),
            ((Settled, [0, 5, 0]), (5, Some((State::Expired, [0, 5, 0]))), None),
            ((Voided, [0, 0, 0]), (5, None), Some(Class::State)),
            ((Voided, [0, 0, 0]), (5, Some((State::Reversed, [0, 0, 0]))), None),
            ((Voided, [0, 0, 0]), (5, Some((State::Expired, [0, 0, 0]))), Some(Class::State)),
            ((Expired, [0, 0, 0]), (5, Some((State::Open, [5, 0, 0]))), Some(Class::State)),
            ((Declined, [0, 0, 0]), (0, None), None),
            ((Declined, [0, 0, 0]), (0, Some((State::Closed, [0, 0, 0]))), None),
            ((Declined, [0, 0, 0]), (5, None), Some(Class::State)),
            ((Closed, [0, 5, 0]), (5, Some((State::Closed, [0, 5, 0]))), None),
            ((Closed, [0, 5, 0]), (5, Some((State::Open, [1, 5, 0]))), Some(Class::State)),
        ];
        for ((status, theirs), (approved, outcome), class) in rows {
            let found = Difference::between(
                "a",
                Some(here(*approved, *outcome)),
                there(*status, *theirs),
            );
            assert_eq!(
                found.map(|it| it.class),
                *class,
                "{status:?} {theirs:?} {outcome:?}"
            );
        }
        let found = Difference::between("a", None, there(Settled, [0, 5, 0])).unwrap();
        assert_eq!((found.class, found.here), (Class::MissingHere, None));
    }
}
