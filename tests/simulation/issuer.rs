//! The issuer: messages in Lithic's documented shape, signed as it signs them.

use std::rc::Rc;

use countersign::domain::authorization::AuthorizationKind;
use countersign::domain::time::Timestamp;
use countersign::issuer::standard_webhooks::{Secret, SignedHeaders, sign};

use crate::world::{MERCHANTS, card_token};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The connection's secret.
pub(crate) fn secret() -> Secret {
    Secret::from_text(SECRET.to_owned()).unwrap()
}

/// One delivery's content. The same message may be delivered any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Which authorization.
    pub(crate) authorization: u32,
    /// Its event token, where the issuer sends one.
    pub(crate) step: Option<u32>,
    /// The webhook id.
    pub(crate) delivery: u32,
    /// The card's number; above the world's cards it is nobody's.
    pub(crate) card: usize,
    pub(crate) kind: AuthorizationKind,
    pub(crate) amount: i64,
    pub(crate) euros: bool,
    pub(crate) cash: bool,
    pub(crate) merchant: usize,
    /// Whether the terminal can take a part of the amount.
    pub(crate) takes_part: bool,
    /// Not understood.
    pub(crate) garbled: bool,
}

impl Message {
    /// One that asks for nothing.
    pub(crate) fn nothing() -> Self {
        Self {
            authorization: 0,
            step: None,
            delivery: 0,
            card: 0,
            kind: AuthorizationKind::Authorization,
            amount: 0,
            euros: false,
            cash: false,
            merchant: 0,
            takes_part: false,
            garbled: false,
        }
    }

    /// The issuer's id: a UUID for most, some other text for the rest.
    pub(crate) fn token(&self) -> String {
        let number = self.authorization;
        if number % 5 == 4 {
            format!("txn_{number}")
        } else {
            format!("6f1c5a2e-0000-4000-8000-{number:012x}")
        }
    }

    pub(crate) fn webhook_id(&self) -> String {
        format!("msg_{}", self.delivery)
    }

    /// The body that is signed.
    pub(crate) fn body(&self) -> Rc<[u8]> {
        let merchant = &MERCHANTS[self.merchant];
        let currency = if self.euros { "EUR" } else { "USD" };
        let status = match self.kind {
            AuthorizationKind::Authorization => "AUTHORIZATION",
            AuthorizationKind::SingleMessage => "FINANCIAL_AUTHORIZATION",
            AuthorizationKind::Credit => "CREDIT_AUTHORIZATION",
            AuthorizationKind::BalanceInquiry => "BALANCE_INQUIRY",
        };
        let status = if self.garbled { "GARBLED" } else { status };
        let step = self
            .step
            .map(|step| format!(r#""event_token":"evt_{step}","#))
            .unwrap_or_default();
        let (amount, cash) = (self.amount, i64::from(self.cash));
        let body = format!(
            r#"{{"event_type":"card_authorization.approval_request",{step}"token":"{}","status":"{status}","cash_amount":{cash},"amounts":{{"cardholder":{{"amount":{amount},"currency":"{currency}","conversion_rate":"1.000000"}},"merchant":{{"amount":{amount},"currency":"{currency}"}},"hold":null,"settlement":null}},"card":{{"token":"{}","last_four":"4242","state":"OPEN","type":"VIRTUAL"}},"merchant":{{"acceptor_id":"{}","acquiring_institution_id":"{}","descriptor":"{}","mcc":"{}","city":"ONLINE","state":"","country":"USA"}},"pos":{{"terminal":{{"partial_approval_capable":{}}}}},"network":"VISA","network_risk_score":100}}"#,
            self.token(),
            card_token(self.card),
            merchant.acceptor,
            merchant.acquirer,
            merchant.descriptor,
            merchant.mcc,
            self.takes_part,
        );
        Rc::from(body.into_bytes())
    }

    /// The headers of a delivery that is signed at `at`.
    pub(crate) fn signed(&self, body: &[u8], at: Timestamp) -> SignedHeaders {
        sign(&secret(), &self.webhook_id(), at, body)
    }

    /// Whether it asks for money of the card.
    pub(crate) fn spends(&self) -> bool {
        matches!(
            self.kind,
            AuthorizationKind::Authorization | AuthorizationKind::SingleMessage
        )
    }
}
