//! How people and agents reach the pages.

use crate::config::ConfigError;
use crate::config::file::WebFile;

const LEN_MAX: usize = 300;

/// Scheme and host, perhaps a port, without a slash at the end. A page tells a card's number, so that it
/// travels over TLS unless it stays on this machine.
pub(super) fn public_url(typed: WebFile, place: &str) -> Result<Option<String>, ConfigError> {
    let Some(typed) = typed.public_url else {
        return Ok(None);
    };
    let url = typed.strip_suffix('/').unwrap_or(&typed);
    if is_lawful(url) {
        return Ok(Some(url.to_owned()));
    }
    let message = "must be like \"https://pay.example.com\", with a port or without and no path; http:// is for \
                   this machine alone, because card numbers pass";
    Err(ConfigError::new(
        format!("{place}: web.public_url"),
        message,
    ))
}

fn is_lawful(url: &str) -> bool {
    let Some((scheme, authority)) = url.split_once("://") else {
        return false;
    };
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-.[]:".contains(&byte);
    let is_authority =
        !authority.is_empty() && url.len() <= LEN_MAX && authority.bytes().all(is_part);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    let is_safe = scheme == "https" || (scheme == "http" && is_here);
    is_authority && is_port && !host.is_empty() && is_safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Option<String>, ConfigError> {
        let public_url = Some(url.to_owned());
        public_url_of(WebFile { public_url })
    }

    fn public_url_of(typed: WebFile) -> Result<Option<String>, ConfigError> {
        public_url(typed, "f")
    }

    #[test]
    fn a_public_address_is_one_that_numbers_may_pass() {
        assert_eq!(public_url_of(WebFile::default()).unwrap(), None);
        for (typed, read_as) in [
            ("https://pay.example.com", "https://pay.example.com"),
            (
                "https://pay.example.com:8443/",
                "https://pay.example.com:8443",
            ),
            ("http://localhost:8701", "http://localhost:8701"),
            ("http://[::1]:8701", "http://[::1]:8701"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(read(typed).unwrap().as_deref(), Some(read_as));
        }
        for typed in [
            "",
            "https://",
            "https://:443",
            "pay.example.com",
            "ftp://pay.example.com",
            "http://pay.example.com",
            "http://localhost.example.com",
            "https://pay.example.com/path",
            "https://user@pay.example.com",
            "https://pay.example.com:x",
            "https://pay example.com",
            "https://pay.example.com?x",
        ] {
            let refused = read(typed).unwrap_err();
            assert_eq!(refused.place, "f: web.public_url", "{typed}");
        }
    }
}
