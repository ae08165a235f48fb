//! The address of an issuer's endpoint.

use std::net::SocketAddr;

use crate::error::Error;

/// `http://ADDRESS:PORT/PATH`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    address: SocketAddr,
    host: String,
    path: String,
}

impl Target {
    /// Loopback only: the bodies are invented, and nobody else's server is to be loaded with them.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        let refuse = |why: &str| Error::Usage(format!("target `{url}`: {why}"));
        let rest = url
            .strip_prefix("http://")
            .ok_or_else(|| refuse("it begins with http://"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let address: SocketAddr = host
            .replace("localhost:", "127.0.0.1:")
            .parse()
            .map_err(|_fault| refuse("the host is an IP address and a port"))?;
        if !address.ip().is_loopback() {
            return Err(refuse("only loopback addresses are loaded"));
        }
        Ok(Self {
            address,
            host: host.to_owned(),
            path: format!("/{path}"),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn takes_an_address_apart() {
        let target = Target::parse("http://127.0.0.1:43121/issuers/acme/authorizations").unwrap();
        assert_eq!(target.address(), "127.0.0.1:43121".parse().unwrap());
        assert_eq!(target.host(), "127.0.0.1:43121");
        assert_eq!(target.path(), "/issuers/acme/authorizations");
        assert_eq!(Target::parse("http://localhost:1").unwrap().path(), "/");
    }

    #[test]
    fn refuses_what_is_not_on_this_machine() {
        for url in [
            "https://127.0.0.1:1/",
            "http://192.0.2.1:80/",
            "http://example.com/",
            "x",
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
