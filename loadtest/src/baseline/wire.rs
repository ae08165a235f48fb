//! The fields of Lithic's authorization request that a decision needs, borrowed from the body.

use std::borrow::Cow;

use serde::Deserialize;

/// Text that may hold escapes: borrowed when it has none.
///
/// A struct, because serde borrows a `Cow` only where the field is spelled so: inside an `Option`
/// or behind a type alias it copies, without a word.
#[derive(Debug, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

#[derive(Debug, Deserialize)]
#[expect(
    dead_code,
    reason = "the baseline pays for the parse and uses the token alone"
)]
pub(super) struct AuthorizationRequest<'a> {
    #[serde(borrow)]
    pub(super) token: Text<'a>,
    #[serde(borrow, default)]
    event_token: Option<Text<'a>>,
    #[serde(borrow, default)]
    event_type: Option<Text<'a>>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    amounts: Amounts<'a>,
    cash_amount: i64,
    #[serde(borrow)]
    card: Card<'a>,
    #[serde(borrow)]
    merchant: Merchant<'a>,
    #[serde(default)]
    network_risk_score: Option<u16>,
    #[serde(borrow, default)]
    pos: Option<Pos<'a>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "parsed, not used")]
struct Amounts<'a> {
    #[serde(borrow)]
    cardholder: Amount<'a>,
    #[serde(borrow)]
    merchant: Amount<'a>,
    #[serde(borrow)]
    hold: Option<Amount<'a>>,
    #[serde(borrow)]
    settlement: Option<Amount<'a>>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "parsed, not used")]
struct Amount<'a> {
    amount: i64,
    #[serde(borrow)]
    currency: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "parsed, not used")]
struct Card<'a> {
    #[serde(borrow)]
    token: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "parsed, not used")]
struct Merchant<'a> {
    #[serde(borrow)]
    acceptor_id: Text<'a>,
    #[serde(borrow)]
    acquiring_institution_id: Text<'a>,
    #[serde(borrow)]
    descriptor: Text<'a>,
    #[serde(borrow)]
    city: Text<'a>,
    #[serde(borrow)]
    state: Text<'a>,
    #[serde(borrow)]
    country: Text<'a>,
    #[serde(borrow)]
    mcc: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "parsed, not used")]
struct Pos<'a> {
    #[serde(borrow)]
    entry_mode: EntryMode<'a>,
    #[serde(borrow)]
    terminal: Terminal<'a>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "parsed, not used")]
struct EntryMode<'a> {
    #[serde(borrow)]
    card: Text<'a>,
    #[serde(borrow)]
    pan: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "parsed, not used")]
struct Terminal<'a> {
    partial_approval_capable: bool,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::AuthorizationRequest;
    use crate::authorization::example_body;

    #[test]
    fn borrows_every_text_without_escapes() {
        let (body, token) = example_body();
        let request: AuthorizationRequest<'_> = serde_json::from_slice(&body).unwrap();
        assert_eq!(request.token.0, token);
        let event_type = request.event_type.unwrap();
        for text in [request.token, event_type, request.merchant.mcc] {
            assert!(matches!(text.0, Cow::Borrowed(_)), "{text:?} was copied");
        }
    }
}
