//! Under what address people and agents' programs find the server.

use crate::config::ConfigError;
use crate::config::file::ServerFile;

const LEN_MAX: usize = 255;

/// Scheme, host and perhaps a port, in the spelling that browsers use; without a path, since links and
/// cookies are the whole host's.
pub(super) fn read(server: &ServerFile, place: &str) -> Result<Option<String>, ConfigError> {
    let Some(text) = server.public_url.as_deref() else {
        return Ok(None);
    };
    let refused = || {
        let message = "must be an address like \"https://pay.example.com\", with a port or without \
                       and without a path; plain http only for this machine itself";
        Err(ConfigError::new(
            format!("{place}: server.public_url"),
            message,
        ))
    };
    let text = text.trim_end_matches('/').to_ascii_lowercase();
    let Some((scheme, authority)) = text.split_once("://") else {
        return refused();
    };
    let (host, port) = split(authority);
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let is_lawful = !host.is_empty()
        && text.len() <= LEN_MAX
        && host.bytes().all(is_part)
        && (host.starts_with('[') == host.contains(':'))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
        && (scheme == "https" || scheme == "http" && is_here);
    if !is_lawful {
        return refused();
    }
    // Browsers leave out the port that the scheme implies.
    let implied = if scheme == "https" { "443" } else { "80" };
    let port = port.filter(|port| *port != implied);
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    Ok(Some(format!("{scheme}://{host}{port}")))
}

/// The host, and the port behind it.
fn split(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, ServerFile};

    fn read(typed: Option<&str>, place: &str) -> Result<Option<String>, ConfigError> {
        let public_url = typed.map(str::to_owned);
        let server = ServerFile {
            public_url,
            ..ServerFile::default()
        };
        super::read(&server, place)
    }

    #[test]
    fn an_address_for_people_is_read_as_browsers_write_it() {
        for (typed, known) in [
            ("https://pay.example.com", "https://pay.example.com"),
            ("https://Pay.Example.com:443/", "https://pay.example.com"),
            (
                "https://pay.example.com:8443",
                "https://pay.example.com:8443",
            ),
            ("http://localhost:8701", "http://localhost:8701"),
            ("http://[::1]:8701", "http://[::1]:8701"),
        ] {
            assert_eq!(read(Some(typed), "f"), Ok(Some(known.to_owned())));
        }
        assert_eq!(read(None, "f"), Ok(None));
        for typed in [
            "",
            "pay.example.com",
            "http://pay.example.com",
            "https://pay.example.com/app",
            "https://user@pay.example.com",
            "https://:443",
            "https://pay.example.com:0",
            "https://pay.example.com:99999",
            "https://a b",
            "https://a:b:c",
        ] {
            let refused = read(Some(typed), "f").unwrap_err();
            assert_eq!(refused.place, "f: server.public_url", "{typed}");
        }
    }
}
