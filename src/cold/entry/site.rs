//! Under what address people and programs find this server, and whether they mean it.
//!
//! Where it is not told, it is known on this machine alone, by loopback's names: whoever leads another
//! name here (DNS rebinding) gets no page.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// As it is told; absent where it is only here.
    public_url: Option<String>,
    port: u16,
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
    /// A site of this address, or of this port on this machine.
    #[must_use]
    pub fn new(public_url: Option<String>, port: u16) -> Self {
        Self { public_url, port }
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
            let port = self.port;
            ["localhost", "127.0.0.1", "[::1]"].map(|host| Base(format!("http://{host}:{port}")))
        });
        public.into_iter().chain(here.into_iter().flatten())
    }
}

/// Whether a form was sent by one of our own pages, as the browser says. A browser that keeps the
/// origin to itself says at least whether it is the same one.
#[must_use]
pub(in crate::cold) fn is_own(base: &Base, headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (Some(origin), None) => origin.to_str().unwrap_or_default(),
        (None, _) => "null",
        (Some(_), Some(_)) => return false,
    };
    let site = headers.get("sec-fetch-site").map(|it| it.as_bytes());
    match origin {
        "null" => site == Some(b"same-origin"),
        origin => origin == base.0 && site.is_none_or(|site| site == b"same-origin"),
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
        let here = Site::new(None, 8701);
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
        let public = Site::new(Some("https://pay.example.com".to_owned()), 8701);
        assert_eq!(
            found(&public, "pay.example.com").as_deref(),
            Some("https://pay.example.com")
        );
        assert_eq!(found(&public, "localhost:8701"), None);
        assert_eq!(public.of(&HeaderMap::new()), None);
        assert!(public.is_at("https://pay.example.com/api/mcp", "/api/mcp"));
        assert!(!public.is_at("http://localhost:8701/api/mcp", "/api/mcp"));
    }

    #[test]
    fn a_form_is_ours_where_the_browser_says_so() {
        let base = Base("https://pay.example.com".to_owned());
        let own = "https://pay.example.com";
        for ours in [
            headers(&[("origin", own)]),
            headers(&[("origin", own), ("sec-fetch-site", "same-origin")]),
            headers(&[("origin", "null"), ("sec-fetch-site", "same-origin")]),
            headers(&[("sec-fetch-site", "same-origin")]),
        ] {
            assert!(is_own(&base, &ours), "{ours:?}");
        }
        for foreign in [
            headers(&[]),
            headers(&[("origin", "null")]),
            headers(&[("origin", "https://evil.example")]),
            headers(&[("origin", "http://pay.example.com")]),
            headers(&[("origin", "https://pay.example.com.evil.example")]),
            headers(&[("origin", own), ("sec-fetch-site", "cross-site")]),
            headers(&[("origin", "null"), ("sec-fetch-site", "same-site")]),
        ] {
            assert!(!is_own(&base, &foreign), "{foreign:?}");
        }
        let mut two = headers(&[("origin", own)]);
        two.append("origin", HeaderValue::from_static(own));
        assert!(!is_own(&base, &two));
    }
}
