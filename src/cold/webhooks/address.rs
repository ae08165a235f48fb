//! Where a webhook may lead: to the public Internet and nowhere else (S13).
//!
//! A text is judged when an endpoint is made, for the owner's sake; what protects us is that each
//! address is judged again when it is connected to, so that no spelling and no name that is resolved
//! anew leads inside.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::Uri;

use crate::config::PORTS_MAX;

/// Ports of HTTPS: its own, and the one beside it.
const HTTPS_PORTS: [u16; 2] = [443, 8443];
/// The longest address of an endpoint.
const URL_LEN_MAX: usize = 2_000;

/// Where endpoints may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Whether this machine itself may be told, over plain HTTP too and at any port: for trying things out.
    pub loopback: bool,
    /// Ports that may be told beside those of HTTPS; 0 is none.
    pub ports: [u16; PORTS_MAX],
}

impl Reach {
    /// Whether what listens at this port may be told. Others belong to mail, to databases, to whatever else
    /// could be made to listen to a webhook.
    #[must_use]
    pub fn admits_port(self, port: u16) -> bool {
        HTTPS_PORTS.contains(&port) || port != 0 && self.ports.contains(&port)
    }

    /// Whether a connection to this address may be made, at this port.
    #[must_use]
    pub fn admits_at(self, address: SocketAddr) -> bool {
        let is_here = plain(address.ip()).is_loopback();
        self.admits(address.ip()) && (is_here || self.admits_port(address.port()))
    }

    /// Whether a connection to this address may be made.
    #[must_use]
    pub fn admits(self, address: IpAddr) -> bool {
        is_public(address) || self.loopback && plain(address).is_loopback()
    }

    /// Checks the address of an endpoint.
    ///
    /// # Errors
    /// What is wrong with it, for its owner.
    pub fn check(self, url: &str) -> Result<Uri, &'static str> {
        if url.len() > URL_LEN_MAX {
            return Err("must have 2000 bytes at most");
        }
        if !url.bytes().all(|byte| byte.is_ascii_graphic()) || url.contains('#') {
            return Err("must be an address without spaces and without a fragment");
        }
        let begins = |with: &str| {
            let start = url.get(..with.len());
            start.is_some_and(|it| it.eq_ignore_ascii_case(with))
        };
        if begins("mailto:") {
            return Err("must begin with https://; a mailbox is told with `channel` `email`");
        }
        let uri: Uri = url
            .parse()
            .map_err(|_no_uri| "must be an address like https://example.com/hooks")?;
        let host = uri.host().unwrap_or_default();
        if host.is_empty() {
            return Err("must be an address like https://example.com/hooks");
        }
        let authority = uri.authority().map_or("", |it| it.as_str());
        if authority.contains('@') {
            return Err("must hold no user and no password");
        }
        let behind_host = authority.get(host.len()..).unwrap_or_default();
        if !behind_host.is_empty() && uri.port_u16().is_none_or(|port| port == 0) {
            return Err("must have a port from 1 to 65535, or none");
        }
        let literal = literal(host);
        if literal.is_none() && ends_in_a_number(host) {
            return Err("must name a host, or have an address in its usual spelling");
        }
        let is_here = literal.is_some_and(|it| plain(it).is_loopback()) || is_local_name(host);
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if self.loopback && is_here => {}
            Some(_) | None => return Err("must begin with https://"),
        }
        let port = uri.port_u16().unwrap_or(443);
        if !(self.admits_port(port) || self.loopback && is_here) {
            return Err(
                "must have the port 443 or 8443, or one of `webhooks.ports` in the configuration",
            );
        }
        if literal.is_some_and(|it| !self.admits(it)) || is_local_name(host) && !self.loopback {
            return Err("must lead to a public address");
        }
        Ok(uri)
    }
}

fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Whether resolvers may take it for an address of IPv4 in an old spelling: `127.1`, `0x7f000001`. What
/// it leads to is judged when it is connected to, as with every name; nobody needs such a one.
fn ends_in_a_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next();
    let last = last.unwrap_or_default().to_ascii_lowercase();
    let hex = last.strip_prefix("0x");
    let is_hex = hex.is_some_and(|digits| digits.bytes().all(|it| it.is_ascii_hexdigit()));
    is_hex || !last.is_empty() && last.bytes().all(|it| it.is_ascii_digit())
}

/// The address that a host is written as, where it is one.
#[must_use]
pub fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

/// An address of IPv4 in IPv6's clothes as what it is.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
    }
}

/// Whether the address is one of the public Internet.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// IANA's registry of special-purpose addresses, and multicast.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = match (a, b, c) {
        // "This network"; private; loopback; multicast, reserved and broadcast.
        (0 | 10 | 127 | 224.., ..) => true,
        // Shared by carriers (CGNAT).
        (100, 64..=127, _) => true,
        // Link-local, with the clouds' metadata.
        (169, 254, _) => true,
        (172, 16..=31, _) | (192, 168, _) => true,
        // IETF protocols, documentation, 6to4 relays, benchmarks.
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..=19, _) => true,
        (198, 51, 100) | (203, 0, 113) => true,
        // Alibaba's metadata is in 100.64/10, Azure's platform is here.
        (168, 63, 129) => true,
        _ => false,
    };
    !is_special
}

/// Of IPv6 only global unicast (2000::/3) is public, without what is tunnelled, documentation and
/// benchmarks.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_unicast = first & 0xe000 == 0x2000;
    let is_special = match (first, second) {
        // Teredo, benchmarks, ORCHID and whatever else IETF's protocols use.
        (0x2001, 0x0000..=0x01ff) => true,
        (0x2001, 0x0db8) | (0x3fff, 0x0000..=0x0fff) => true,
        // 6to4 leads to any address of IPv4.
        (0x2002, _) => true,
        _ => false,
    };
    is_unicast && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: Reach = Reach {
        loopback: false,
        ports: [0; PORTS_MAX],
    };
    const HERE: Reach = Reach {
        loopback: true,
        ports: [0; PORTS_MAX],
    };

    #[test]
    fn s13_no_special_address_is_public_in_any_spelling() {
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:a9fe:a9fe",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let address: IpAddr = inside.parse().unwrap();
            assert!(!is_public(address), "{inside}");
            assert!(!PUBLIC.admits(address), "{inside}");
            let is_loopback = plain(address).is_loopback();
            assert_eq!(HERE.admits(address), is_loopback, "{inside}");
        }
        for outside in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2001:4860:4860::8888",
            "2606:4700::1111",
        ] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn s13_an_endpoint_is_an_https_address_outside() {
        for good in [
            "https://example.com",
            "https://example.com:8443/hooks?x=1",
            "https://8.8.8.8/",
            "https://[2606:4700::1111]/x",
            "https://[2606:4700::1111]:8443/x",
            "https://1.example/",
            "https://0x.example/",
        ] {
            assert!(PUBLIC.check(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "/hooks",
            "http://example.com/",
            "ftp://example.com/",
            "https://",
            "https://user:secret@example.com/",
            "https://example.com/#x",
            "https://example.com/ x",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://example.com:25/",
            "https://example.com:80/",
            "https://example.com:8444/",
            "https://8.8.8.8:6379/",
            "https://[2606:4700::1111]:22/",
            "https://example.com:0/",
            "https://example.com:/",
            "https://example.com:65536/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0X7F.1/",
            "https://127.1/",
            "https://example.1./",
        ] {
            assert!(PUBLIC.check(bad).is_err(), "{bad}");
        }
        for here in [
            "http://127.0.0.1:80/x",
            "http://localhost/",
            "https://[::1]/",
        ] {
            assert!(HERE.check(here).is_ok(), "{here}");
        }
        let more = Reach {
            ports: std::array::from_fn(|at| if at == 0 { 9443 } else { 0 }),
            ..PUBLIC
        };
        assert!(more.check("https://example.com:9443/").is_ok());
        assert!(more.check("https://example.com:9444/").is_err());
        assert!(HERE.check("https://127.0.0.1:9/").is_ok());
        for elsewhere in [
            "https://example.com:9/",
            "http://example.com/",
            "https://10.0.0.1/",
            "http://10.0.0.1/",
        ] {
            assert!(HERE.check(elsewhere).is_err(), "{elsewhere}");
        }
    }
}
