//! What a funding request asks for: `jit_funding.method`.

use crate::domain::authorization::AuthorizationKind as Kind;

/// A method that waits for an answer. All others inform of what has happened, go to the webhook
/// endpoint and are not understood here.
#[derive(Clone, Copy)]
pub(super) struct Method {
    pub(super) kind: Kind,
    /// Whether the whole amount comes out as cash or what is as good as cash.
    pub(super) all_cash: bool,
    /// Whether it asks for no money at all.
    pub(super) zero: bool,
    /// Whether it adds to an earlier request.
    pub(super) increment: bool,
}

const PURCHASE: Method = Method {
    kind: Kind::Authorization,
    all_cash: false,
    zero: false,
    increment: false,
};

impl Method {
    /// Absent for a method that does not wait for an answer, and for one that nobody knows.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let single = Self {
            kind: Kind::SingleMessage,
            ..PURCHASE
        };
        Some(match name {
            "pgfs.authorization"
            | "pgfs.authorization.cashback"
            | "pgfs.pindebit.authorization" => PURCHASE,
            "pgfs.authorization.incremental" => Self {
                increment: true,
                ..PURCHASE
            },
            "pgfs.authorization.quasi.cash" => Self {
                all_cash: true,
                ..PURCHASE
            },
            "pgfs.authorization.account_verification" | "pgfs.product.inquiry" => Self {
                zero: true,
                ..PURCHASE
            },
            "pgfs.auth_plus_capture" | "pgfs.pindebit" | "pgfs.pindebit.cashback" => single,
            "pgfs.atm.withdrawal" | "pgfs.pindebit.atm.withdrawal" | "pgfs.pindebit.quasi.cash" => {
                Self {
                    all_cash: true,
                    ..single
                }
            }
            "pgfs.balanceinquiry" | "pgfs.pindebit.balanceinquiry" => Self {
                kind: Kind::BalanceInquiry,
                zero: true,
                ..PURCHASE
            },
            "pgfs.refund.authorization"
            | "pgfs.original.credit.authorization"
            | "pgfs.original.credit.auth_plus_capture" => Self {
                kind: Kind::Credit,
                ..PURCHASE
            },
            _ => return None,
        })
    }
}
