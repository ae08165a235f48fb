//! The amounts of one request: all that is stated, checked, as one claim on the card.

use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::AuthorizationKind;
use crate::domain::currency::Currency;
use crate::domain::mcc::Mcc;
use crate::issuer::lithic::wire::{Amounts, Authorization, Money};
use crate::issuer::wire::{Object, refuse};
use crate::issuer::{Fault, NotUnderstood};

/// What the request asks of the card.
pub(super) struct Asked {
    /// The cardholder's amount or the hold, whichever is larger (behaviour 2.6).
    pub(super) reserved: Amount,
    /// The part that comes out as cash.
    pub(super) cash: Minor,
    /// The merchant's amount, where its currency is known.
    pub(super) merchant: Option<Amount>,
    cardholder: Minor,
    has_acquirer_fee: bool,
}

impl Asked {
    /// Reads `amounts`, or in its absence the deprecated members that stood in its place in 2021.
    pub(super) fn read(
        wire: &Authorization<'_>,
        kind: AuthorizationKind,
    ) -> Result<Self, NotUnderstood> {
        let (cardholder, hold, merchant) = match &wire.amounts {
            Some(Object(amounts)) => structured(amounts, kind)?,
            None => flat(wire, kind)?,
        };
        let (cash_field, cash) = match (wire.cash_amount, wire.cashback) {
            (Some(cash), _) => ("cash_amount", cash),
            (None, cashback) => ("cashback", cashback.unwrap_or_default()),
        };
        Ok(Self {
            reserved: Amount {
                minor: cardholder.minor.max(hold),
                currency: cardholder.currency,
            },
            cash: minor(cash_field, cash, kind)?,
            merchant,
            cardholder: cardholder.minor,
            has_acquirer_fee: wire.acquirer_fee.is_some_and(|fee| fee != 0),
        })
    }

    /// Whether approving a part would take exactly that part from the card. Lithic reads
    /// `approved_amount` without the acquirer's fee, refuses it for cash, and refuses more than the
    /// cardholder's amount except at fuel dispensers. Where one of these is in play the whole is
    /// approved or nothing.
    pub(super) fn partial_is_exact(&self, kind: AuthorizationKind, mcc: Option<Mcc>) -> bool {
        let purchase = match kind {
            AuthorizationKind::Authorization | AuthorizationKind::SingleMessage => true,
            AuthorizationKind::Credit | AuthorizationKind::BalanceInquiry => false,
        };
        let within_amount =
            self.reserved.minor == self.cardholder || mcc == Some(Mcc::FUEL_DISPENSER);
        purchase && self.cash.is_zero() && !self.has_acquirer_fee && within_amount
    }
}

/// Cardholder's amount, hold, merchant's amount.
type Stated = (Amount, Minor, Option<Amount>);

fn structured(amounts: &Amounts<'_>, kind: AuthorizationKind) -> Result<Stated, NotUnderstood> {
    let Object(cardholder) = &amounts.cardholder;
    let Ok(currency) = Currency::parse(&cardholder.currency.0) else {
        return refuse("amounts.cardholder.currency", Fault::Unknown);
    };
    let cardholder = Amount {
        minor: minor("amounts.cardholder.amount", cardholder.amount, kind)?,
        currency,
    };
    let hold = match &amounts.hold {
        Some(Object(hold)) => held(hold, currency, kind)?,
        None => Minor::ZERO,
    };
    let merchant = match &amounts.merchant {
        Some(Object(Money { amount, currency })) => {
            informative("amounts.merchant.amount", *amount, &currency.0, kind)?
        }
        None => None,
    };
    Ok((cardholder, hold, merchant))
}

fn held(
    hold: &Money<'_>,
    billing: Currency,
    kind: AuthorizationKind,
) -> Result<Minor, NotUnderstood> {
    if Currency::parse(&hold.currency.0) != Ok(billing) {
        return refuse("amounts.hold.currency", Fault::OtherCurrency);
    }
    minor("amounts.hold.amount", hold.amount, kind)
}

fn flat(wire: &Authorization<'_>, kind: AuthorizationKind) -> Result<Stated, NotUnderstood> {
    let Some(amount) = wire.amount else {
        return refuse("amounts", Fault::Missing);
    };
    let Some(code) = &wire.cardholder_currency else {
        return refuse("cardholder_currency", Fault::Missing);
    };
    let Ok(currency) = Currency::parse(&code.0) else {
        return refuse("cardholder_currency", Fault::Unknown);
    };
    let cardholder = Amount {
        minor: minor("amount", amount, kind)?,
        currency,
    };
    let merchant = match (wire.merchant_amount, &wire.merchant_currency) {
        (Some(amount), Some(code)) => informative("merchant_amount", amount, &code.0, kind)?,
        _ => None,
    };
    Ok((cardholder, Minor::ZERO, merchant))
}

/// The merchant's amount decides nothing, and its currency need not be one that we know. A machine that
/// is asked for a balance may ask for a fee.
fn informative(
    field: &'static str,
    stated: i64,
    code: &str,
    kind: AuthorizationKind,
) -> Result<Option<Amount>, NotUnderstood> {
    let is_inquiry = kind == AuthorizationKind::BalanceInquiry;
    let kind = if is_inquiry {
        AuthorizationKind::Authorization
    } else {
        kind
    };
    let minor = minor(field, stated, kind)?;
    let currency = Currency::parse(code).ok();
    Ok(currency.map(|currency| Amount { minor, currency }))
}

/// Lithic's sign: above zero where money leaves the card, below where it comes back. Documents
/// disagree on credits, so that either sign is taken there: a credit reserves nothing.
fn minor(
    field: &'static str,
    stated: i64,
    kind: AuthorizationKind,
) -> Result<Minor, NotUnderstood> {
    let magnitude = match kind {
        AuthorizationKind::Authorization | AuthorizationKind::SingleMessage if stated < 0 => {
            return refuse(field, Fault::Negative);
        }
        AuthorizationKind::BalanceInquiry if stated != 0 => return refuse(field, Fault::NotZero),
        AuthorizationKind::Credit => stated.checked_abs(),
        AuthorizationKind::Authorization
        | AuthorizationKind::SingleMessage
        | AuthorizationKind::BalanceInquiry => Some(stated),
    };
    magnitude
        .and_then(|magnitude| Minor::new(magnitude).ok())
        .ok_or(NotUnderstood {
            field,
            why: Fault::OutOfRange,
        })
}
