//! Where a program's user may be sent back to, and whether an address is the one that was registered.
//!
//! Over TLS anywhere; in plain HTTP to this machine alone; or a scheme of the program's own, which is a
//! domain turned round and so has a dot (RFC 8252, 7.1).
//! What is asked for has to be what was registered, byte by byte; only the port of an address of
//! loopback is free, since a program on a desk takes whichever it gets.

use std::net::Ipv6Addr;

use hyper::Uri;

use crate::cold::api::looks_like_a_card_number;

/// The longest address.
pub(super) const LEN_MAX: usize = 2_000;
/// Schemes that browsers act on themselves: nobody's own.
const NOBODYS: [&str; 16] = [
    "about",
    "blob",
    "chrome",
    "data",
    "file",
    "filesystem",
    "ftp",
    "intent",
    "javascript",
    "mailto",
    "resource",
    "tel",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];
/// The longest scheme of a program.
const SCHEME_LEN_MAX: usize = 100;

/// Whether a program's user may be sent there.
pub(super) fn is_lawful(text: &str) -> bool {
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\\#\"<>".contains(&byte));
    if text.len() > LEN_MAX || !is_plain {
        return false;
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    match scheme {
        "https" => of_web(text).is_some(),
        "http" => of_web(text).is_some_and(|uri| is_loopback(&uri)),
        own => is_own_scheme(own) && rest.starts_with('/'),
    }
}

/// Whether a program may name these, and no more than so many: there are some, each is lawful, and in none
/// stands a card's number, which would be kept and shown.
pub(super) fn may_be_kept(uris: &[String], most: usize) -> bool {
    let is_fit = |uri: &String| is_lawful(uri) && !looks_like_a_card_number(uri);
    (1..=most).contains(&uris.len()) && uris.iter().all(is_fit)
}

/// An address of the web, without a user in it.
fn of_web(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let host = uri.host()?;
    let behind = authority.get(host.len()..).unwrap_or_default();
    let has_port = uri.port_u16().is_some_and(|port| port != 0);
    let is_whole = behind.is_empty() || has_port;
    (is_host(host) && !authority.contains('@') && is_whole).then_some(uri)
}

/// A name or an address, of nothing that could make it look like another.
fn is_host(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    match literal {
        Some(literal) => literal.parse::<Ipv6Addr>().is_ok(),
        None => {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
            !host.is_empty() && host.bytes().all(is_part)
        }
    }
}

fn is_loopback(uri: &Uri) -> bool {
    matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"))
}

fn is_own_scheme(scheme: &str) -> bool {
    let is_part =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    let begins = scheme.starts_with(|first: char| first.is_ascii_lowercase());
    let is_short = scheme.len() <= SCHEME_LEN_MAX;
    let has_dot = scheme.contains('.');
    begins && is_short && has_dot && scheme.bytes().all(is_part) && !NOBODYS.contains(&scheme)
}

/// Whether it is the registered address.
pub(super) fn is_same(registered: &str, asked: &str) -> bool {
    is_lawful(asked) && (registered == asked || is_same_but_for_the_port(registered, asked))
}

fn is_same_but_for_the_port(registered: &str, asked: &str) -> bool {
    let (Some(registered), Some(asked)) = (of_web(registered), of_web(asked)) else {
        return false;
    };
    let is_plain = |uri: &Uri| uri.scheme_str() == Some("http") && is_loopback(uri);
    is_plain(&registered)
        && is_plain(&asked)
        && registered.host() == asked.host()
        && registered.path_and_query() == asked.path_and_query()
}

/// What a page that leads there has to name in its policy: the origin, or the scheme.
pub(super) fn source(text: &str) -> String {
    let (scheme, web) = (scheme_of(text), shown_of_web(text));
    match web.as_ref().and_then(Uri::authority) {
        // Policies know no literals of IPv6.
        Some(authority) if !authority.as_str().contains('[') => format!("{scheme}://{authority}"),
        Some(_) | None => format!("{scheme}:"),
    }
}

/// What people are shown of it.
pub(super) fn host(text: &str) -> String {
    match shown_of_web(text).as_ref().and_then(Uri::authority) {
        Some(authority) => authority.to_string(),
        None => format!("a program on your device ({}:)", scheme_of(text)),
    }
}

fn scheme_of(text: &str) -> &str {
    text.split(':').next().unwrap_or_default()
}

/// The same as [`of_web`], of the web's own schemes alone.
fn shown_of_web(text: &str) -> Option<Uri> {
    of_web(text).filter(|_| matches!(scheme_of(text), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_sent_back_over_tls_or_to_this_machine_or_by_a_scheme_of_their_own() {
        for lawful in [
            "https://app.example.com/callback",
            "https://app.example.com:8443/callback?x=1",
            "http://127.0.0.1:33418/callback",
            "http://localhost/callback",
            "http://[::1]:5000/",
            "com.example.app:/callback",
            "com.example.editor://plugin/oauth/callback",
        ] {
            assert!(is_lawful(lawful), "{lawful}");
        }
        let long = format!("https://app.example.com/{}", "a".repeat(LEN_MAX));
        for unlawful in [
            "",
            "callback",
            "http://app.example.com/callback",
            "http://127.0.0.1.evil.example/callback",
            "https://user@app.example.com/",
            "https://app.example.com/#fragment",
            "https://app.example.com:/",
            "https:///callback",
            "javascript://x/%0aalert(1)",
            "javascript:/alert(1)",
            "data:/text/html,x",
            "JavaScript:/x",
            "mailto:ada@example.com",
            "com.example.editor:callback",
            "editor://plugin.example/oauth/callback",
            "https://app.example.com_evil/",
            "https://app!example.com/",
            "https://[::1/",
            "https://[v1.x]/",
            "https://app.example.com/\r\nx: y",
            "https://app.example.com/ b",
            &long,
        ] {
            assert!(!is_lawful(unlawful), "{unlawful}");
        }
    }

    #[test]
    fn an_address_is_the_registered_one_byte_by_byte_but_for_loopbacks_port() {
        let web = "https://app.example.com/callback";
        assert!(is_same(web, web));
        for other in [
            "https://app.example.com/callback/",
            "https://app.example.com/callback?x",
            "https://APP.example.com/callback",
            "https://app.example.com:443/callback",
            "https://app.example.com/Callback",
            "http://app.example.com/callback",
        ] {
            assert!(!is_same(web, other), "{other}");
        }
        let here = "http://127.0.0.1:1/callback?a=b";
        assert!(is_same(here, "http://127.0.0.1:65535/callback?a=b"));
        assert!(is_same(here, "http://127.0.0.1/callback?a=b"));
        for other in [
            "http://localhost:1/callback?a=b",
            "http://127.0.0.1:1/callback",
            "http://127.0.0.1:1/other?a=b",
            "https://127.0.0.1:1/callback?a=b",
            "http://127.0.0.1:1@evil.example/callback?a=b",
        ] {
            assert!(!is_same(here, other), "{other}");
        }
    }

    #[test]
    fn a_policy_names_where_a_form_leads() {
        assert_eq!(
            source("https://app.example.com:8443/cb?x"),
            "https://app.example.com:8443"
        );
        assert_eq!(source("http://127.0.0.1:5/cb"), "http://127.0.0.1:5");
        assert_eq!(source("http://[::1]:5/cb"), "http:");
        assert_eq!(source("com.editor://x/cb"), "com.editor:");
        assert_eq!(host("https://app.example.com/cb"), "app.example.com");
        let device = "a program on your device";
        for own in ["com.editor", "http.com.editor", "https.com.editor"] {
            let shown = host(&format!("{own}://bank.example.com/cb"));
            assert_eq!(shown, format!("{device} ({own}:)"));
        }
    }
}
