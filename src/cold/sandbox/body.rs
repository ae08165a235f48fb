//! The question in Lithic's documented shape, with every member that the document requires.
//!
//! There is no `event_token`: only programs in a trial get one, so that the sandbox's steps are told
//! apart as ordinary ones are, by delivery and content (behaviour 2.5).

use serde_json::{Value, json};

use super::Purchase;
use crate::domain::time::Timestamp;

/// One merchant's bank for all merchants.
const ACQUIRER_ID: &str = "400001";

/// The body that asks for `purchase` under the token `authorization`.
pub(super) fn approval_request(
    purchase: &Purchase,
    authorization: &str,
    created: Timestamp,
) -> Vec<u8> {
    let minor = purchase.amount.minor.get();
    let currency = purchase.amount.currency.to_string();
    let body = json!({
        "event_type": "card_authorization.approval_request",
        "token": authorization,
        "status": "AUTHORIZATION",
        "created": rfc3339(created),
        "transaction_initiator": "CARDHOLDER",
        "network": "VISA",
        "network_risk_score": 100,
        "amount": minor,
        "authorization_amount": minor,
        "merchant_amount": minor,
        "settled_amount": 0,
        "acquirer_fee": 0,
        "cash_amount": 0,
        "merchant_currency": currency,
        "cardholder_currency": currency,
        "amounts": {
            "cardholder": { "amount": minor, "currency": currency, "conversion_rate": "1.000000" },
            "merchant": { "amount": minor, "currency": currency },
            "hold": null,
            "settlement": null,
        },
        "avs": { "address": null, "zipcode": null, "address_on_file_match": "NOT_PRESENT" },
        "name_validation": null,
        "service_location": null,
        "card": card(purchase),
        "merchant": merchant(purchase),
        "pos": point_of_sale(),
        "token_info": null,
    });
    body.to_string().into_bytes()
}

fn card(purchase: &Purchase) -> Value {
    json!({
        "token": purchase.card_token,
        "last_four": "4242",
        "memo": "sandbox",
        "spend_limit": 0,
        "spend_limit_duration": "TRANSACTION",
        "state": "OPEN",
        "type": "VIRTUAL",
        "tags": {},
    })
}

fn merchant(purchase: &Purchase) -> Value {
    json!({
        "acceptor_id": acceptor_id(&purchase.merchant),
        "acquiring_institution_id": ACQUIRER_ID,
        "descriptor": purchase.merchant,
        "mcc": purchase.mcc.to_string(),
        "city": "ONLINE",
        "state": "",
        "country": purchase.country.as_str(),
        "postal_code": null,
        "street_address": null,
        "phone_number": null,
    })
}

/// A purchase in a web shop, as agents make them.
fn point_of_sale() -> Value {
    json!({
        "entry_mode": {
            "card": "NOT_PRESENT",
            "cardholder": "ELECTRONIC_ORDER",
            "pan": "CREDENTIAL_ON_FILE",
            "pin_entered": false,
        },
        "terminal": {
            "attended": false,
            "card_retention_capable": false,
            "on_premise": false,
            "operator": "CARDHOLDER",
            "partial_approval_capable": false,
            "pin_capability": "NOT_CAPABLE",
            "type": "ECOMMERCE",
            "acceptor_terminal_id": null,
        },
    })
}

/// The merchant's id at its bank: 15 characters that the descriptor alone decides (FNV-1a), so that
/// one name is one merchant in every process and for ever. Case and surrounding space say nothing.
fn acceptor_id(descriptor: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in descriptor.trim().to_uppercase().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    format!("SBX{:012X}", hash >> 16)
}

/// RFC 3339 in UTC with microseconds, by the calendar arithmetic of the proleptic Gregorian year
/// that begins in March.
fn rfc3339(at: Timestamp) -> String {
    let seconds = at.secs();
    let micros = at.micros().rem_euclid(1_000_000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::compile::parse_instant;

    #[test]
    fn instants_are_written_as_documents_write_them() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (1_795_204_860, "2026-11-20T20:01:00.000000Z"),
            (-1, "1969-12-31T23:59:59.000000Z"),
        ] {
            assert_eq!(rfc3339(Timestamp::from_secs(secs)), text);
        }
        for days in (-40_000..80_000).step_by(13) {
            let at = Timestamp::from_micros(days * 86_400_000_000 + 61_000_007);
            assert_eq!(parse_instant(&rfc3339(at)), Some(at));
        }
    }

    #[test]
    fn one_descriptor_is_one_merchant_and_two_are_two() {
        let id = acceptor_id("CUMULUS HOSTING");
        assert_eq!(id, acceptor_id(" Cumulus Hosting "));
        assert_eq!(id.len(), 15);
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(id, acceptor_id("NIMBUS HOSTING"));
    }
}
