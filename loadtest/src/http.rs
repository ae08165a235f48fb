//! The little of HTTP/1.1 that a load generator needs: where a message ends, and its status.
//!
//! Bodies come by `content-length`; anything else is a fault and ends the run, because a generator
//! that guesses reports figures about something else.

use std::fmt;

/// Larger than any reply of ours by far.
const BODY_SIZE_MAX: usize = 64 * 1024;
const HEAD_END: &[u8] = b"\r\n\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    StatusLine,
    ContentLength,
    TransferEncoding,
    BytesAfterReply,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::StatusLine => "malformed status line",
            Self::ContentLength => "missing, malformed or huge content-length",
            Self::TransferEncoding => "transfer-encoding instead of content-length",
            Self::BytesAfterReply => "bytes after the end of the reply",
        })
    }
}

/// A whole reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// `None` as long as bytes are missing.
pub(crate) fn reply(bytes: &[u8]) -> Result<Option<Reply<'_>>, Fault> {
    let Some(message) = message(bytes)? else {
        return Ok(None);
    };
    let status = status(message.first_line)?;
    if message.rest.is_empty() {
        Ok(Some(Reply {
            status,
            body: message.body,
        }))
    } else {
        Err(Fault::BytesAfterReply)
    }
}

/// A message split where its parts end.
pub(crate) struct Message<'a> {
    first_line: &'a [u8],
    pub(crate) body: &'a [u8],
    pub(crate) rest: &'a [u8],
}

/// `None` as long as bytes are missing.
pub(crate) fn message(bytes: &[u8]) -> Result<Option<Message<'_>>, Fault> {
    let Some(head_size) = head_size(bytes) else {
        return Ok(None);
    };
    let (head, after) = bytes.split_at(head_size);
    let mut lines = head.split(|byte| *byte == b'\n');
    let first_line = lines.next().unwrap_or_default();
    let body_size = body_size(lines)?;
    Ok(after
        .split_at_checked(body_size)
        .map(|(body, rest)| Message {
            first_line,
            body,
            rest,
        }))
}

/// Bytes up to and with the blank line.
fn head_size(bytes: &[u8]) -> Option<usize> {
    let end = bytes
        .windows(HEAD_END.len())
        .position(|window| window == HEAD_END)?;
    Some(end + HEAD_END.len())
}

fn body_size<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<usize, Fault> {
    let mut size = Err(Fault::ContentLength);
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"content-length") {
            size = number(value.strip_prefix(b":").unwrap_or(value).trim_ascii());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err(Fault::TransferEncoding);
        }
    }
    size
}

fn number(digits: &[u8]) -> Result<usize, Fault> {
    let parsed = str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok());
    parsed
        .filter(|size| *size <= BODY_SIZE_MAX)
        .ok_or(Fault::ContentLength)
}

/// The three digits of `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Result<u16, Fault> {
    let digits = line
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    let text = digits
        .and_then(|digits| str::from_utf8(digits).ok())
        .ok_or(Fault::StatusLine)?;
    text.parse().map_err(|_not_a_number| Fault::StatusLine)
}

#[cfg(test)]
mod tests {
    use super::{Fault, Reply, reply};

    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
        Content-Length:  21 \r\ndate: Fri, 20 Nov 2026 19:00:00 GMT\r\n\r\n{\"result\":\"APPROVED\"}";

    #[test]
    fn reads_a_reply_that_arrives_in_any_two_pieces() {
        for cut in 0..WHOLE.len() {
            assert_eq!(reply(&WHOLE[..cut]), Ok(None), "cut at {cut}");
        }
        let body = br#"{"result":"APPROVED"}"#;
        assert_eq!(reply(WHOLE), Ok(Some(Reply { status: 200, body })));
    }

    #[test]
    fn reads_a_reply_without_a_body() {
        let bytes = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(
            reply(bytes),
            Ok(Some(Reply {
                status: 401,
                body: b""
            }))
        );
    }

    #[test]
    fn names_what_it_does_not_understand() {
        let cases: [(&[u8], Fault); 6] = [
            (b"HTTP/1.1 200 OK\r\n\r\n", Fault::ContentLength),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
                Fault::ContentLength,
            ),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 70000\r\n\r\n",
                Fault::ContentLength,
            ),
            (
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                Fault::TransferEncoding,
            ),
            (
                b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
                Fault::StatusLine,
            ),
            (
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP",
                Fault::BytesAfterReply,
            ),
        ];
        for (bytes, fault) in cases {
            assert_eq!(reply(bytes), Err(fault));
        }
    }
}
