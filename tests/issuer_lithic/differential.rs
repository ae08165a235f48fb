//! The decoder against a second, slow one that walks a tree (H2: both agree on every input).

use crate::reading::reading;
use crate::support::{FIXTURES, decode};
use crate::two_readers::{Readers, differential_tests};

/// Names that mean something somewhere.
const NAMES: [&str; 23] = [
    "acquirer_fee",
    "amount",
    "amounts",
    "card",
    "cardholder",
    "cardholder_currency",
    "cash_amount",
    "cashback",
    "currency",
    "entry_mode",
    "event_token",
    "event_type",
    "hold",
    "merchant",
    "merchant_amount",
    "merchant_currency",
    "network_risk_score",
    "partial_approval_capable",
    "pos",
    "status",
    "terminal",
    "token",
    "transaction_initiator",
];

const TEXTS: [&str; 25] = [
    "MERCHANT",
    "",
    " ",
    "a",
    "AUTHORIZATION",
    "FINANCIAL_AUTHORIZATION",
    "CREDIT_AUTHORIZATION",
    "FINANCIAL_CREDIT_AUTHORIZATION",
    "BALANCE_INQUIRY",
    "card_authorization.approval_request",
    "USD",
    "eur",
    "JPY",
    "XXX",
    "5542",
    "6011",
    "0000",
    "12A4",
    "USA",
    "QZZ",
    "PRESENT",
    "NOT_PRESENT",
    "é\"\\\n\u{0}",
    "\u{202e}\u{1b}[0m",
    "2599",
];

const READERS: Readers = Readers {
    fixtures: FIXTURES,
    decode,
    reading,
    texts: &TEXTS,
};

differential_tests!(READERS, NAMES);

#[test]
fn h3_each_value_replaced_is_read_as_the_oracle_reads_it() {
    let (understood, refused) = READERS.replace_each_value(&[
        "purchase.everything",
        "credit",
        "balance_inquiry",
        "purchase.2021_shape",
    ]);
    assert!(
        understood > 2000 && refused > 2000,
        "{understood} {refused}"
    );
}
