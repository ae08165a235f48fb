//! HTTP that is wrong, strange or hostile, each over a connection of its own (behaviour 11.4; G6).
//! After each, a good request on a new connection is decided as ever.

use serde_json::json;

use crate::server::{
    Client, Home, Response, Server, SnapshotOf, authorization, delivery, now, purchase, signature,
};

pub(crate) const CARD: &str = "card_plain";
const BODY_SIZE_MAX: usize = 256 * 1024;
const HEADERS_SIZE_MAX: usize = 16 * 1024;

pub(crate) fn home() -> Home {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    snapshot.card(CARD, "cus", None, &json!({}));
    let timeouts = "header_timeout_ms = 400\nbody_timeout_ms = 400";
    Home::with_config("relaxed", &snapshot.build(), timeouts, 5_000)
}

/// The proof that what came before did no harm.
pub(crate) fn assert_answers(server: &Server, after: &str) {
    let token = format!("after-{}", now().micros());
    let response = server.client().ask(&authorization(&token, CARD, 100));
    assert_eq!(response.result(), "APPROVED", "after {after}");
}

/// A request to `acme` in its parts, so that each can be replaced.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) line: String,
    pub(crate) content_type: String,
    pub(crate) length: String,
    pub(crate) signature: String,
    pub(crate) more: String,
    pub(crate) body: Vec<u8>,
}

impl Parts {
    pub(crate) fn good(token: &str) -> Self {
        Self::with_body(token, purchase(token, CARD, 100).into_bytes())
    }

    pub(crate) fn with_body(id: &str, body: Vec<u8>) -> Self {
        Self {
            line: "POST /issuers/acme/authorizations HTTP/1.1".to_owned(),
            content_type: "content-type: application/json\r\n".to_owned(),
            length: format!("content-length: {}\r\n", body.len()),
            signature: signature("acme", id, now(), &body),
            more: String::new(),
            body,
        }
    }

    /// The same, the body in chunks of this size.
    pub(crate) fn chunked(mut self, chunk_size: usize) -> Self {
        self.length = "transfer-encoding: chunked\r\n".to_owned();
        let mut chunks = Vec::new();
        for chunk in self.body.chunks(chunk_size) {
            chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            chunks.extend_from_slice(chunk);
            chunks.extend_from_slice(b"\r\n");
        }
        chunks.extend_from_slice(b"0\r\n\r\n");
        self.body = chunks;
        self
    }

    pub(crate) fn head(&self) -> Vec<u8> {
        let Self {
            line,
            content_type,
            length,
            signature,
            more,
            ..
        } = self;
        format!("{line}\r\nhost: x\r\n{content_type}{length}{signature}{more}\r\n").into_bytes()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body.clone()].concat()
    }
}

/// A good request, changed in one place.
fn changed(name: &str, change: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let mut parts = Parts::good(&name.replace(' ', "-"));
    change(&mut parts);
    parts.bytes()
}

fn line(name: &str, line: &str) -> Vec<u8> {
    changed(name, |it| line.clone_into(&mut it.line))
}

/// A signed purchase of exactly this size, filled up in a field that nobody reads.
fn sized(name: &str, size: usize) -> Parts {
    let body = purchase(&name.replace(' ', "-"), CARD, 100);
    let open = body.trim_end().strip_suffix('}').unwrap();
    let frame = r#","filling":""}"#.len();
    let filling = "x".repeat(size - open.len() - frame);
    let body = format!(r#"{open},"filling":"{filling}"}}"#).into_bytes();
    assert_eq!(body.len(), size);
    Parts::with_body(name, body)
}

/// What must come back.
enum Expect {
    Approved,
    /// Our status with our code.
    Refused(u16, &'static str),
    /// A status that comes before anybody of ours has seen the request.
    Status(u16),
}

use Expect::{Approved, Refused, Status};

const NOT_FOUND: Expect = Refused(404, "not_found");
const NOT_POST: Expect = Refused(405, "method_not_allowed");
const NOT_JSON: Expect = Refused(415, "not_json");
const ENCODED: Expect = Refused(415, "content_encoding");
const TOO_LARGE: Expect = Refused(413, "body_too_large");
const HEADERS: Expect = Refused(431, "headers_too_large");

fn assert_row(server: &Server, name: &str, request: &[u8], expect: &Expect) {
    let mut client = server.client();
    // A refusal may come, and close, before all of a large request is sent.
    client.try_send(request);
    let response = client
        .try_response()
        .unwrap_or_else(|| panic!("{name}: closed without an answer"));
    match expect {
        Approved => assert_eq!(response.result(), "APPROVED", "{name}"),
        Refused(status, code) => {
            assert_refused(name, &response, *status, code);
            assert!(client.is_closed(), "{name}: the connection stays open");
        }
        Status(status) => {
            assert_eq!(response.status, *status, "{name}: {}", response.head);
            assert!(client.is_closed(), "{name}: the connection stays open");
        }
    }
    assert_answers(server, name);
}

pub(crate) fn assert_refused(name: &str, response: &Response, status: u16, code: &str) {
    let text = response.text();
    assert_eq!(response.status, status, "{name}: {text}");
    assert_eq!(response.code().as_deref(), Some(code), "{name}: {text}");
    let media_type = response.header("content-type");
    assert_eq!(media_type, Some("application/problem+json"), "{name}");
}

#[test]
fn paths_and_methods_are_ours_to_the_letter() {
    let home = home();
    let server = home.start();
    #[rustfmt::skip]
    let rows = [
        ("unknown connection", "POST /issuers/nobody/authorizations HTTP/1.1", NOT_FOUND),
        ("unknown path", "POST /issuers/acme/authorization HTTP/1.1", NOT_FOUND),
        ("root", "POST / HTTP/1.1", NOT_FOUND),
        ("no connection", "POST /issuers//authorizations HTTP/1.1", NOT_FOUND),
        ("connection alone", "POST /issuers/acme HTTP/1.1", NOT_FOUND),
        ("trailing slash", "POST /issuers/acme/authorizations/ HTTP/1.1", NOT_FOUND),
        ("doubled slash", "POST //issuers/acme/authorizations HTTP/1.1", NOT_FOUND),
        ("upper case path", "POST /Issuers/acme/authorizations HTTP/1.1", NOT_FOUND),
        ("upper case connection", "POST /issuers/ACME/authorizations HTTP/1.1", NOT_FOUND),
        ("upper case end", "POST /issuers/acme/Authorizations HTTP/1.1", NOT_FOUND),
        ("percent", "POST /issuers/%61cme/authorizations HTTP/1.1", NOT_FOUND),
        ("encoded slash", "POST /issuers/acme%2fauthorizations HTTP/1.1", NOT_FOUND),
        ("dots", "POST /issuers/beta/../acme/authorizations HTTP/1.1", NOT_FOUND),
        ("operators' path", "POST /admin/decisions HTTP/1.1", NOT_FOUND),
        ("asterisk", "OPTIONS * HTTP/1.1", NOT_FOUND),
        ("GET", "GET /issuers/acme/authorizations HTTP/1.1", NOT_POST),
        ("PUT", "PUT /issuers/acme/authorizations HTTP/1.1", NOT_POST),
        ("OPTIONS", "OPTIONS /issuers/acme/authorizations HTTP/1.1", NOT_POST),
        ("lower case method", "post /issuers/acme/authorizations HTTP/1.1", NOT_POST),
        ("invented method", "APPROVE /issuers/acme/authorizations HTTP/1.1", NOT_POST),
        ("query", "POST /issuers/acme/authorizations?a=/issuers/beta HTTP/1.1", Approved),
        ("absolute", "POST http://x/issuers/acme/authorizations HTTP/1.1", Approved),
        ("absolute to another", "POST http://acme/issuers/nobody/authorizations HTTP/1.1", NOT_FOUND),
        ("no path", "POST  HTTP/1.1", Status(400)),
        ("no version", "POST /issuers/acme/authorizations", Status(400)),
        ("version 3", "POST /issuers/acme/authorizations HTTP/3.0", Status(400)),
        ("space in path", "POST /issuers/acme /authorizations HTTP/1.1", Status(400)),
    ];
    for (name, request_line, expect) in &rows {
        assert_row(&server, name, &line(name, request_line), expect);
    }
    let response = server.client().ask(&line("allow", rows[15].1));
    assert_eq!(response.header("allow"), Some("POST"), "{}", response.head);
    assert!(server.terminate().success());
}

#[test]
fn types_and_encodings() {
    let home = home();
    let server = home.start();
    #[rustfmt::skip]
    let rows = [
        ("none", "", NOT_JSON),
        ("empty", "content-type: \r\n", NOT_JSON),
        ("text", "content-type: text/plain\r\n", NOT_JSON),
        ("form", "content-type: application/x-www-form-urlencoded\r\n", NOT_JSON),
        ("longer", "content-type: application/jsonx\r\n", NOT_JSON),
        ("suffix", "content-type: application/problem+json\r\n", NOT_JSON),
        ("list", "content-type: application/json, text/plain\r\n", NOT_JSON),
        ("not ASCII", "content-type: application/json\u{e9}\r\n", NOT_JSON),
        ("with charset", "content-type: application/json; charset=utf-8\r\n", Approved),
        ("without space", "content-type: application/json;charset=UTF-8\r\n", Approved),
        ("upper case", "Content-Type: Application/JSON\r\n", Approved),
        ("two", "content-type: application/json\r\ncontent-type: text/plain\r\n", NOT_JSON),
        ("gzip", "content-type: application/json\r\ncontent-encoding: gzip\r\n", ENCODED),
        ("identity", "content-type: application/json\r\ncontent-encoding: identity\r\n", ENCODED),
        ("no encoding", "content-type: application/json\r\ncontent-encoding: \r\n", ENCODED),
    ];
    for (name, headers, expect) in rows {
        let request = changed(name, |it| headers.clone_into(&mut it.content_type));
        assert_row(&server, name, &request, &expect);
    }
    assert!(server.terminate().success());
}

#[test]
fn g6_sizes_pass_up_to_the_limit_and_not_a_byte_more() {
    let home = home();
    let server = home.start();
    let whole = |name: &str, size: usize| sized(name, size).bytes();
    let chunked = |name: &str, size: usize| sized(name, size).chunked(30_000).bytes();
    let announced = |length: &str| {
        changed("announced", |it| {
            it.length = format!("content-length: {length}\r\n");
            it.body.clear();
        })
    };
    let headers = |size: usize, with: &dyn Fn(usize) -> String| {
        changed("headers", |it| {
            // What the rest of the headers has by the engine's count: a colon, a space, two ends.
            let rest = it.head().len() - it.line.len() - 4;
            it.more = with(size - rest);
        })
    };
    let one_line = |size: usize| format!("x-filling: {}\r\n", "x".repeat(size - 13));
    let many_lines = |size: usize| "x-f: 1\r\n".repeat(size / 8);
    #[rustfmt::skip]
    let rows = [
        ("largest body", whole("largest", BODY_SIZE_MAX), Approved),
        ("one byte more", whole("larger", BODY_SIZE_MAX + 1), TOO_LARGE),
        ("largest in chunks", chunked("chunks", BODY_SIZE_MAX), Approved),
        ("one more in chunks", chunked("chunks-1", BODY_SIZE_MAX + 1), TOO_LARGE),
        ("a megabyte", whole("megabyte", 1 << 20), TOO_LARGE),
        ("announced gigabyte", announced("1073741824"), TOO_LARGE),
        ("announced 2^63", announced("9223372036854775808"), TOO_LARGE),
        ("announced 2^64", announced("18446744073709551616"), Status(400)),
        ("largest headers", headers(HEADERS_SIZE_MAX, &one_line), Approved),
        ("one byte more of headers", headers(HEADERS_SIZE_MAX + 1, &one_line), HEADERS),
        ("a line of 32 KiB", headers(32 << 10, &one_line), HEADERS),
        ("a line of 63 KiB", headers(63 << 10, &one_line), HEADERS),
        ("a line of 65 KiB", headers(65 << 10, &one_line), Status(431)),
        ("a line of a megabyte", headers(1 << 20, &one_line), Status(431)),
        ("90 headers", changed("90", |it| it.more = many_lines(90 * 8)), Approved),
        ("1 000 headers", headers(8_000, &many_lines), Status(431)),
        ("10 000 headers", headers(80_000, &many_lines), Status(431)),
    ];
    for (name, request, expect) in &rows {
        assert_row(&server, name, request, expect);
    }
    assert!(server.terminate().success());
}

#[test]
fn g6_lengths_that_lie_or_contradict_each_other() {
    let home = home();
    let server = home.start();
    let length = |name: &str, headers: &str| changed(name, |it| headers.clone_into(&mut it.length));
    let size = purchase("same-length", CARD, 100).len();
    #[rustfmt::skip]
    let rows = [
        ("two that differ", length("a", "content-length: 5\r\ncontent-length: 6\r\n"), Status(400)),
        ("a list", length("b", "content-length: 5, 5\r\n"), Status(400)),
        ("negative", length("c", "content-length: -1\r\n"), Status(400)),
        ("plus", length("d", "content-length: +5\r\n"), Status(400)),
        ("hexadecimal", length("e", "content-length: 0x10\r\n"), Status(400)),
        ("empty value", length("f", "content-length: \r\n"), Status(400)),
        ("identity", length("g", "transfer-encoding: identity\r\n"), Status(400)),
        ("chunked not last", length("h", "transfer-encoding: chunked, gzip\r\n"), Status(400)),
        ("twice the same", length("same-length", &format!("content-length: {size}\r\n").repeat(2)), Approved),
        ("no length at all", length("i", ""), Refused(401, "signature_refused")),
        ("shorter than the body", length("j", "content-length: 10\r\n"), Refused(401, "signature_refused")),
    ];
    for (name, request, expect) in rows {
        if let Refused(status, code) = expect {
            // The rest of the body is no request, and the connection ends with it.
            let mut client = server.client();
            assert_refused(name, &client.ask(&request), status, code);
            let rest = client.try_response();
            assert_eq!(rest.map(|it| it.status), Some(400), "{name}");
            assert!(client.is_closed(), "{name}");
            assert_answers(&server, name);
        } else {
            assert_row(&server, name, &request, &expect);
        }
    }
    assert!(server.terminate().success());
}

#[test]
fn g6_chunked_bodies() {
    let home = home();
    let server = home.start();
    for chunk_size in [1, 7, 1_000, 100_000] {
        let token = format!("chunks-of-{chunk_size}");
        let request = Parts::good(&token).chunked(chunk_size).bytes();
        assert_row(&server, &token, &request, &Approved);
    }
    let body = |name: &str, change: &dyn Fn(String) -> String| {
        let mut parts = Parts::good(name).chunked(100_000);
        parts.body = change(String::from_utf8(parts.body).unwrap()).into_bytes();
        parts.bytes()
    };
    let extension = body("extension", &|it| it.replacen("\r\n", ";name=value\r\n", 1));
    assert_row(&server, "extension", &extension, &Approved);
    let trailer = body("trailer", &|it| {
        it.replace("0\r\n\r\n", "0\r\nx-trailer: 1\r\n\r\n")
    });
    assert_row(&server, "trailer", &trailer, &Approved);
    let broken = Refused(400, "body_incomplete");
    let no_number = body("no-number", &|it| format!("zz{it}"));
    assert_row(&server, "no number", &no_number, &broken);
    let giant = body("giant", &|it| format!("fffffffffffffffff{it}"));
    assert_row(&server, "size beyond 64 bits", &giant, &broken);
    let no_end = body("no-end", &|it| it.replacen("\r\n", "", 1));
    assert_row(&server, "size without end of line", &no_end, &broken);

    let mut endless = server.client();
    let mut parts = Parts::good("endless").chunked(1_000);
    parts.body.clear();
    endless.send(&parts.bytes());
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1_024));
    let sent = (0..1_000_000).take_while(|_| endless.try_send(chunk.as_bytes()));
    let sent = sent.count();
    assert!(sent < 100_000, "{sent} KiB were taken");
    assert_answers(&server, "endless chunks");
    assert!(server.terminate().success());
}

#[test]
fn g6_endless_chunks_are_told_that_it_is_enough() {
    let home = home();
    let server = home.start();
    let mut client = server.client();
    let mut parts = Parts::good("endless").chunked(1_000);
    parts.body.clear();
    client.send(&parts.bytes());
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1_024));
    // Exactly what is needed to be over the limit, so that nothing unread resets the connection.
    for _ in 0..=BODY_SIZE_MAX / 1_024 {
        client.send(chunk.as_bytes());
    }
    assert_refused("endless", &client.response(), 413, "body_too_large");
    assert!(client.is_closed());
    assert_answers(&server, "endless chunks");
    assert!(server.terminate().success());
}

/// Where both lengths are given the chunks count (RFC 9112, 6.3) and the connection ends after the
/// answer: what stands behind the body is never read as a request.
#[test]
fn g6_nothing_is_smuggled_behind_two_lengths() {
    let home = home();
    let server = home.start();
    let lengths = [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 100000\r\n",
    ];
    for (at, lengths) in lengths.into_iter().enumerate() {
        let smuggled = format!("smuggled-{at}");
        let mut parts = Parts::good(&format!("carrier-{at}")).chunked(1_000);
        lengths.clone_into(&mut parts.length);
        let mut client = server.client();
        client.send(&[parts.bytes(), authorization(&smuggled, CARD, 1)].concat());
        assert!(client.response().is_approval());
        assert!(
            client.try_response().is_none(),
            "a second answer: {lengths}"
        );
        let path = format!("/admin/decisions?connection=acme&authorization={smuggled}");
        assert_eq!(server.admin(&path)["decisions"], json!([]), "{lengths}");
        assert_answers(&server, lengths);
    }
    assert!(server.terminate().success());
}

#[test]
fn expecting_100_continue_is_answered_before_the_body_and_not_for_a_refusal() {
    let home = home();
    let server = home.start();
    let mut parts = Parts::good("expecting");
    "expect: 100-continue\r\n".clone_into(&mut parts.more);
    let mut client = server.client();
    assert_eq!(client.ask(&parts.head()).status, 100);
    assert!(client.ask(&parts.body).is_approval());

    "content-length: 1000000\r\n".clone_into(&mut parts.length);
    let mut client = server.client();
    assert_refused(
        "expecting",
        &client.ask(&parts.head()),
        413,
        "body_too_large",
    );
    assert!(client.is_closed());
    assert!(server.terminate().success());
}

#[test]
fn g6_pipelined_requests_are_answered_in_order() {
    let home = home();
    let server = home.start();
    let mut requests = Vec::new();
    for n in 0..20 {
        let card = if n % 2 == 0 { CARD } else { "card_of_nobody" };
        requests.extend_from_slice(&authorization(&format!("pipelined-{n}"), card, 100));
    }
    let mut client = server.client();
    client.send(&requests);
    for n in 0..20 {
        let expected = if n % 2 == 0 {
            "APPROVED"
        } else {
            "CARD_PAUSED"
        };
        assert_eq!(client.response().result(), expected, "request {n}");
    }
    // A refusal in the middle ends the line: what follows may not be what it seems.
    let refused = changed("refused", |it| it.content_type.clear());
    let behind = authorization("behind", CARD, 100);
    client.send(&[authorization("before", CARD, 100), refused, behind].concat());
    assert!(client.response().is_approval());
    assert_eq!(client.response().status, 415);
    assert!(client.try_response().is_none());
    assert!(server.terminate().success());
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let home = home();
    let server = home.start();
    let old = |name: &str| line(name, "POST /issuers/acme/authorizations HTTP/1.0");
    let mut client = server.client();
    assert!(client.ask(&old("old")).is_approval());
    assert!(client.is_closed());
    let chunked = String::from_utf8(Parts::good("old-chunks").chunked(1_000).bytes()).unwrap();
    let chunked = chunked.replacen("HTTP/1.1", "HTTP/1.0", 1);
    assert_row(&server, "chunks of 1.0", chunked.as_bytes(), &Status(400));
    assert!(server.terminate().success());
}

/// Things that are no HTTP/1: closed, with or without a status, never with a decision.
#[test]
fn g6_other_protocols_are_turned_away() {
    let home = home();
    let server = home.start();
    let http2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let tls: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n";
    let noise: Vec<u8> = (0..=255).cycle().take(4_096).collect();
    let spaced = changed("spaced", |it| it.more = "x-name : 1\r\n".to_owned());
    let nul = changed("nul", |it| it.more = "x-name: a\0b\r\n".to_owned());
    let folded = changed("folded", |it| it.more = "x-name: a\r\n b\r\n".to_owned());
    #[rustfmt::skip]
    let rows: [(&str, &[u8]); 6] = [
        ("HTTP/2", http2),
        ("TLS", tls),
        ("noise", &noise),
        ("space before the colon", &spaced),
        ("NUL in a header", &nul),
        ("folded header", &folded),
    ];
    for (name, bytes) in rows {
        let mut client = server.client();
        client.send(bytes);
        let status = client.try_response().map(|it| it.status);
        assert!(status.is_none_or(|it| it == 400), "{name}: {status:?}");
        assert!(client.is_closed(), "{name}");
        assert_answers(&server, name);
    }
    assert!(server.terminate().success());
}

#[test]
fn answers_are_whole_and_keep_the_connection() {
    let home = home();
    let server = home.start();
    let mut client: Client = server.client();
    for n in 0..50 {
        let response = client.ask(&authorization(&format!("kept-{n}"), CARD, 100));
        assert!(response.is_approval());
        assert_eq!(response.header("content-type"), Some("application/json"));
        assert_eq!(response.header("connection"), None);
    }
    // One that is not understood, and one that is not the issuer's, leave it open as well: both
    // were read to their end.
    let response = client.ask(&delivery("no-json", b"no JSON"));
    assert_eq!(response.status, 400);
    let stranger = changed("stranger", |it| it.signature.clear());
    assert_eq!(client.ask(&stranger).status, 401);
    assert!(
        client
            .ask(&authorization("kept-last", CARD, 100))
            .is_approval()
    );
    assert!(server.terminate().success());
}
