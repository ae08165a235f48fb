//! What a reply says about the authorization that it answers.

use std::borrow::Cow;

use serde::Deserialize;

use crate::http::Reply;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    Approved,
    /// The issuer's word for the reason.
    Declined(Cow<'a, str>),
    NotOk(u16),
    /// Not JSON with a `result`.
    Malformed,
    /// The echoed token belongs to another authorization.
    Foreign,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Cow<'a, str>,
    #[serde(borrow, default)]
    token: Option<&'a str>,
}

pub(crate) fn judge<'a>(reply: &Reply<'a>, token: &[u8]) -> Verdict<'a> {
    if reply.status != 200 {
        return Verdict::NotOk(reply.status);
    }
    let Ok(answer) = serde_json::from_slice::<Answer<'a>>(reply.body) else {
        return Verdict::Malformed;
    };
    if answer.token.is_some_and(|echo| echo.as_bytes() != token) {
        return Verdict::Foreign;
    }
    if answer.result == "APPROVED" {
        Verdict::Approved
    } else {
        Verdict::Declined(answer.result)
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, judge};
    use crate::http::Reply;

    #[test]
    fn tells_the_outcomes_apart() {
        let declined = Verdict::Declined("CARD_PAUSED".into());
        let cases = [
            (200, r#"{"result":"APPROVED"}"#, Verdict::Approved),
            (
                200,
                r#"{"token":"mine","result":"APPROVED"}"#,
                Verdict::Approved,
            ),
            (200, r#"{"result":"CARD_PAUSED","token":"mine"}"#, declined),
            (
                200,
                r#"{"result":"APPROVED","token":"theirs"}"#,
                Verdict::Foreign,
            ),
            (200, r#"{"approved":true}"#, Verdict::Malformed),
            (200, "", Verdict::Malformed),
            (503, r#"{"result":"APPROVED"}"#, Verdict::NotOk(503)),
        ];
        for (status, body, verdict) in cases {
            let reply = Reply {
                status,
                body: body.as_bytes(),
            };
            assert_eq!(judge(&reply, b"mine"), verdict, "{status} {body}");
        }
    }
}
