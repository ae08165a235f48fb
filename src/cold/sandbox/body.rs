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
        "created": created.rfc3339().to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_descriptor_is_one_merchant_and_two_are_two() {
        let id = acceptor_id("CUMULUS HOSTING");
        assert_eq!(id, acceptor_id(" Cumulus Hosting "));
        assert_eq!(id.len(), 15);
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(id, acceptor_id("NIMBUS HOSTING"));
    }
}
