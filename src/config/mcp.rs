//! Whom the agents' door lets in.

use crate::config::ConfigError;
use crate::config::file::McpFile;

/// More are refused: each request is compared with all of them.
const NAMES_MAX: usize = 100;

/// Whom the agents' door lets in beside whoever names this machine itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McpConfig {
    /// Names by which agents' programs may call the server.
    pub hosts: Vec<String>,
    /// Web pages that may call it from a browser.
    pub origins: Vec<String>,
}

pub(super) fn access(typed: McpFile, place: &str) -> Result<McpConfig, ConfigError> {
    Ok(McpConfig {
        hosts: hosts(typed.hosts, place)?,
        origins: origins(typed.origins, place)?,
    })
}

/// Names, each with a port or without.
fn hosts(hosts: Vec<String>, place: &str) -> Result<Vec<String>, ConfigError> {
    let is_host = |it: &str| {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
        !it.is_empty() && it.len() <= 255 && it.bytes().all(is_part)
    };
    let message = "must be a name like \"pay.example.com\", with a port or without";
    check(hosts, &format!("{place}: mcp.hosts"), message, is_host)
}

/// Origins as browsers write them, always with the port that they mean.
fn origins(origins: Vec<String>, place: &str) -> Result<Vec<String>, ConfigError> {
    let is_origin = |it: &str| {
        let rest = it
            .strip_prefix("https://")
            .or_else(|| it.strip_prefix("http://"));
        rest.and_then(|rest| rest.rsplit_once(':'))
            .is_some_and(|(host, port)| {
                let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-.[]:".contains(&byte);
                !host.is_empty() && host.bytes().all(is_part) && port.parse::<u16>().is_ok()
            })
    };
    let message = "must be an origin with its port, like \"https://app.example.com:443\"";
    check(
        origins,
        &format!("{place}: mcp.origins"),
        message,
        is_origin,
    )
}

fn check(
    names: Vec<String>,
    place: &str,
    message: &str,
    is_lawful: impl Fn(&str) -> bool,
) -> Result<Vec<String>, ConfigError> {
    if names.len() > NAMES_MAX {
        let message = format!("has more than {NAMES_MAX} entries");
        return Err(ConfigError::new(place, message));
    }
    match names.iter().position(|name| !is_lawful(name)) {
        Some(at) => Err(ConfigError::new(format!("{place}[{at}]"), message)),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_are_read_as_they_are_compared() {
        let one = |name: &str| vec![name.to_owned()];
        for host in [
            "pay.example.com",
            "pay.example.com:8443",
            "10.0.0.5",
            "[::1]:80",
        ] {
            assert!(hosts(one(host), "f").is_ok(), "{host}");
        }
        for host in ["", "https://pay.example.com", "a b", "a/b"] {
            assert!(hosts(one(host), "f").is_err(), "{host}");
        }
        assert!(origins(one("https://app.example.com:443"), "f").is_ok());
        for origin in [
            "https://app.example.com",
            "app.example.com:443",
            "https://:443",
            "null",
            "*",
        ] {
            let refused = origins(one(origin), "f").unwrap_err();
            assert_eq!(refused.place, "f: mcp.origins[0]", "{origin}");
        }
        assert!(hosts(vec!["a".to_owned(); NAMES_MAX + 1], "f").is_err());
    }
}
