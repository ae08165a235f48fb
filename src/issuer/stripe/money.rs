//! Stripe's amounts: integers in "the smallest currency unit", which for a few currencies is not the
//! minor unit of ISO 4217.

use crate::domain::amount::{Amount, Minor};
use crate::domain::currency::Currency;
use crate::issuer::wire::refuse;
use crate::issuer::{Fault, NotUnderstood};

/// How many of Stripe's units make one minor unit, or the other way round.
enum Unit {
    Same,
    /// Stripe kept two decimals of currencies that have none any more.
    HundredPerMinor,
    /// Stripe counts whole units where the standard has decimals.
    HundredthOfMinor,
}

/// docs.stripe.com/currencies: ISK and UGX are written with two decimals that are always zero; MGA is
/// listed as zero-decimal.
fn unit(currency: Currency) -> Unit {
    match currency.code().as_str() {
        "ISK" | "UGX" => Unit::HundredPerMinor,
        "MGA" => Unit::HundredthOfMinor,
        _ => Unit::Same,
    }
}

/// The amount that Stripe states, exactly.
pub(super) fn read(
    field: &'static str,
    stated: i64,
    currency: Currency,
) -> Result<Amount, NotUnderstood> {
    if stated < 0 {
        return refuse(field, Fault::Negative);
    }
    let minor = match unit(currency) {
        Unit::Same => Some(stated),
        Unit::HundredPerMinor if stated % 100 != 0 => {
            return refuse(field, Fault::TooManyDecimals);
        }
        Unit::HundredPerMinor => Some(stated / 100),
        Unit::HundredthOfMinor => stated.checked_mul(100),
    };
    match minor.and_then(|minor| Minor::new(minor).ok()) {
        Some(minor) => Ok(Amount { minor, currency }),
        None => refuse(field, Fault::OutOfRange),
    }
}

/// The amount in Stripe's units; never more than ours, where it cannot be said exactly.
pub(super) fn write(amount: Amount) -> i64 {
    let minor = amount.minor.get();
    match unit(amount.currency) {
        Unit::Same => minor,
        // 2^53 times 100 is below 2^63.
        Unit::HundredPerMinor => minor.saturating_mul(100),
        Unit::HundredthOfMinor => minor / 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h6_every_currency_is_read_in_stripes_unit_and_written_back() {
        for currency in Currency::all() {
            let minor_of_500 = match currency.code().as_str() {
                "ISK" | "UGX" => 5,
                "MGA" => 50_000,
                _ => 500,
            };
            let amount = read("amount", 500, currency).unwrap();
            assert_eq!(amount.minor.get(), minor_of_500, "{currency}");
            assert_eq!(write(amount), 500, "{currency}");
        }
    }

    #[test]
    fn h6_what_is_no_whole_minor_unit_is_refused() {
        let isk = Currency::parse("ISK").unwrap();
        assert_eq!(
            read("amount", 550, isk).unwrap_err().why,
            Fault::TooManyDecimals
        );
        let mga = Currency::parse("MGA").unwrap();
        assert_eq!(
            read("amount", i64::MAX / 50, mga).unwrap_err().why,
            Fault::OutOfRange
        );
        // A partial approval is never rounded up.
        let minor = Minor::new(199).unwrap();
        assert_eq!(
            write(Amount {
                minor,
                currency: mga
            }),
            1
        );
    }

    #[test]
    fn h4_amounts_outside_the_range_are_refused() {
        let usd = Currency::USD;
        for (stated, why) in [
            (-1, Fault::Negative),
            (i64::MIN, Fault::Negative),
            (1 << 53, Fault::OutOfRange),
            (i64::MAX, Fault::OutOfRange),
        ] {
            assert_eq!(
                read("amount", stated, usd).unwrap_err(),
                NotUnderstood {
                    field: "amount",
                    why
                }
            );
        }
    }
}
