//! One HTTP message per merchant with the places of its variable fields.

use super::merchant::Merchant;
use crate::error::Error;
use crate::ids::UUID_SIZE;
use crate::signature::SIGNATURE_SIZE;

pub(super) const AMOUNT_SIZE: usize = 4;
pub(super) const RISK_SIZE: usize = 3;
const BODY: &str = include_str!("template.json");

/// What all requests of a run have in common.
pub(super) struct Constants<'a> {
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) created: &'a str,
    pub(super) timestamp: &'a str,
}

/// The places at which one value stands.
#[derive(Debug)]
pub(super) struct Field {
    size: usize,
    at: Vec<usize>,
}

impl Field {
    /// Overwrites every place. The value has the width of the field.
    pub(super) fn put(&self, request: &mut [u8], value: &[u8]) {
        debug_assert_eq!(value.len(), self.size);
        for at in &self.at {
            if let Some(place) = request.get_mut(*at..*at + self.size) {
                place.copy_from_slice(value);
            }
        }
    }

    /// Finds a marker, padded with hyphens to the width of the field.
    fn find(text: &str, marker: &str, size: usize) -> Result<Self, Error> {
        let padded = format!("{marker:-<size$}");
        let at: Vec<usize> = text.match_indices(&padded).map(|(at, _)| at).collect();
        if at.is_empty() {
            return Err(Error::Usage(format!(
                "the request template lacks `{padded}`"
            )));
        }
        Ok(Self { size, at })
    }
}

#[derive(Debug)]
pub(super) struct Template {
    text: String,
    body_at: usize,
    pub(super) token: Field,
    pub(super) card: Field,
    pub(super) amounts: Field,
    pub(super) risk_score: Field,
    pub(super) webhook_id: Field,
    pub(super) signature: Field,
}

impl Template {
    pub(super) fn new(constants: &Constants<'_>, merchant: &Merchant) -> Result<Self, Error> {
        let body = body(constants, merchant);
        let head = head(constants, body.len());
        let text = format!("{head}{body}");
        let find = |marker, size| Field::find(&text, marker, size);
        Ok(Self {
            body_at: head.len(),
            token: find("@TOKEN", UUID_SIZE)?,
            card: find("@CARD", UUID_SIZE)?,
            amounts: find("@AMT", AMOUNT_SIZE)?,
            risk_score: find("@RS", RISK_SIZE)?,
            webhook_id: find("@ID", UUID_SIZE)?,
            signature: find("@SIGNATURE", SIGNATURE_SIZE)?,
            text,
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    pub(super) fn body_at(&self) -> usize {
        self.body_at
    }
}

fn body(constants: &Constants<'_>, merchant: &Merchant) -> String {
    let place = merchant.place;
    // The file is broken into lines for its readers; the wire has none.
    BODY.replace('\n', "")
        .replace("@CREATED", constants.created)
        .replace("@ACCEPTOR", &merchant.acceptor_id)
        .replace("@ACQUIRER", &merchant.acquirer_id)
        .replace("@DESCRIPTOR", &merchant.descriptor)
        .replace("@MCC", merchant.mcc)
        .replace("@CITY", place.city)
        .replace("@COUNTRY", place.country)
        .replace("@POSTAL", place.postal_code)
        .replace("@STATE", place.state)
        .replace("@STREET", place.street)
        .replace("@PHONE", place.phone)
}

fn head(constants: &Constants<'_>, body_size: usize) -> String {
    let Constants {
        host,
        path,
        timestamp,
        ..
    } = constants;
    let marker = |name: &str, size: usize| format!("{name:-<size$}");
    format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\naccept: */*\r\n\
         user-agent: countersign-loadtest\r\ncontent-type: application/json\r\n\
         content-length: {body_size}\r\nwebhook-id: {id}\r\nwebhook-timestamp: {timestamp}\r\n\
         webhook-signature: v1,{signature}\r\n\r\n",
        id = marker("@ID", UUID_SIZE),
        signature = marker("@SIGNATURE", SIGNATURE_SIZE),
    )
}
