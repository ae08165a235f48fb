//! Under what address people and programs find this server, and whether they mean it.
//!
//! Where it is not told, it is known on this machine alone, by loopback's names: whoever leads another
//! name here (DNS rebinding) gets no page.

use std::net::{Ipv4Addr, SocketAddr};

use axum::http::HeaderMap;
use axum::http::header::HOST;

use crate::cold::web::form::{self, Sender};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// As it is told; absent where it is only here.
    public_url: Option<String>,
    /// Where the listener is.
    listen: SocketAddr,
}

/// The address by which a request has found the server: scheme, host and port, without a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base(String);

impl Base {
    /// The text, as browsers write origins.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// With this path behind it.
    #[must_use]
    pub fn with(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Whether cookies go over TLS alone.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl Site {
    /// A site of this address, or of this listener on this machine.
    #[must_use]
    pub fn new(public_url: Option<String>, listen: SocketAddr) -> Self {
        Self { public_url, listen }
    }

    /// How people and agents reach the listener, as far as we can know: what stands in links.
    #[must_use]
    pub fn address(&self) -> String {
        let here = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.listen.port());
        let is_anywhere = self.listen.ip().is_unspecified();
        let reached = if is_anywhere { here } else { self.listen };
        let url = self.public_url.clone();
        url.unwrap_or_else(|| format!("http://{reached}"))
    }

    /// The address that a request names; none where it means another server.
    #[must_use]
    pub fn of(&self, headers: &HeaderMap) -> Option<Base> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return None;
        };
        let host = host.to_str().ok()?.to_ascii_lowercase();
        self.addresses().find(|base| {
            let authority = base.0.split_once("://").map(|(_, authority)| authority);
            authority == Some(&*host)
        })
    }

    /// Which page has sent a request, as the browser tells it.
    #[must_use]
    pub(in crate::cold) fn sender(&self, headers: &HeaderMap) -> Sender {
        let base = self.of(headers);
        form::sender(headers, base.as_ref().map(Base::as_str))
    }

    /// Whether this is an address of the server with this path.
    #[must_use]
    pub fn is_at(&self, address: &str, path: &str) -> bool {
        self.addresses().any(|base| base.with(path) == address)
    }

    /// The host by which the public address names the server, for the agents' door.
    #[must_use]
    pub fn public_host(&self) -> Option<&str> {
        let (_, authority) = self.public_url.as_deref()?.split_once("://")?;
        Some(authority)
    }

    fn addresses(&self) -> impl Iterator<Item = Base> {
        let public = self.public_url.clone().map(Base);
        let here = self.public_url.is_none().then(|| {
            let port = self.listen.port();
            ["localhost", "127.0.0.1", "[::1]"].map(|host| Base(format!("http://{host}:{port}")))
        });
        public.into_iter().chain(here.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_server_is_found_by_its_own_names_alone() {
        let listen: SocketAddr = "0.0.0.0:8701".parse().unwrap();
        let here = Site::new(None, listen);
        let found = |site: &Site, host| site.of(&headers(&[("host", host)])).map(|base| base.0);
        assert_eq!(
            found(&here, "LOCALHOST:8701").as_deref(),
            Some("http://localhost:8701")
        );
        assert_eq!(
            found(&here, "[::1]:8701").as_deref(),
            Some("http://[::1]:8701")
        );
        for other in ["localhost", "localhost:80", "evil.example:8701", ""] {
            assert_eq!(found(&here, other), None, "{other}");
        }
        let public = Site::new(Some("https://pay.example.com".to_owned()), listen);
        assert_eq!(public.address(), "https://pay.example.com");
        assert_eq!(here.address(), "http://127.0.0.1:8701");
        let near = Site::new(None, "192.0.2.7:8701".parse().unwrap());
        assert_eq!(near.address(), "http://192.0.2.7:8701");
        assert_eq!(
            found(&near, "192.0.2.7:8701"),
            None,
            "in plain HTTP nobody signs in from afar"
        );
        assert_eq!(
            found(&public, "pay.example.com").as_deref(),
            Some("https://pay.example.com")
        );
        assert_eq!(found(&public, "localhost:8701"), None);
        assert_eq!(public.of(&HeaderMap::new()), None);
        assert!(public.is_at("https://pay.example.com/api/mcp", "/api/mcp"));
        assert!(!public.is_at("http://localhost:8701/api/mcp", "/api/mcp"));
    }
}
