//! Lithic's authorization bodies, read as the oracle reads them (behaviour 2.3, hazard H2).

use countersign::domain::time::Timestamp;
use countersign::issuer::delivery::{Presented, Unsigned};
use countersign::issuer::standard_webhooks::Verifier;
use countersign::issuer::{Fault, Issuer};

use super::oracle::plain;
use super::reading::reading;

pub(crate) fn run(bytes: &[u8]) {
    let open = Verifier::new(Vec::new(), 300, Unsigned::Accept).unwrap();
    let now = Timestamp::from_secs(1_795_194_000);
    let issuer = Issuer::Lithic(open);
    let verified = issuer.verify(&Presented::default(), bytes, now).unwrap();
    let decoded = issuer.decode(&verified).map(|question| question.request);
    if let Err(cause) = &decoded {
        let reply = issuer.kind().not_understood(cause, bytes);
        assert_eq!(reply.status, 400);
        assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).is_ok());
    }
    let Ok(text) = str::from_utf8(bytes) else {
        assert_eq!(decoded.map_err(|cause| cause.why), Err(Fault::NotJson));
        return;
    };
    if let Some(expected) = reading(text) {
        assert_eq!(decoded.as_ref().ok().map(plain), expected, "{decoded:?}");
    }
}
