//! The part of an address that names several servers: who connects, and where they are.

use redis::io::tcp::TcpSettings;
use redis::{
    Client, ConnectionAddr, ErrorKind, IntoConnectionInfo as _, ProtocolVersion,
    RedisConnectionInfo, RedisError, TlsCertificates,
};

/// Where a server is: its name or address, and its port.
pub(super) type Spot = (String, u16);

/// How any server of one ledger is spoken to.
#[derive(Clone)]
pub(super) struct Access {
    /// Whether under TLS.
    pub is_tls: bool,
    /// Who connects.
    pub user: RedisConnectionInfo,
    /// Where certificates have to come from, if not from a public root.
    pub root: Option<Vec<u8>>,
}

impl Access {
    /// For connections to the server at this place.
    pub(super) fn client(&self, (host, port): &Spot) -> Result<Client, RedisError> {
        let addr = if self.is_tls {
            ConnectionAddr::TcpTls {
                host: host.clone(),
                port: *port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host.clone(), *port)
        };
        let user = self.user.clone().set_protocol(ProtocolVersion::RESP3);
        // Without this the kernel keeps small commands back for up to 40 ms.
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = addr.into_connection_info()?;
        let info = info.set_redis_settings(user).set_tcp_settings(tcp);
        match &self.root {
            Some(root) if self.is_tls => {
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: Some(root.clone()),
                };
                Client::build_with_tls(info, certificates)
            }
            Some(_) | None => Client::open(info),
        }
    }
}

/// `[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]`, read.
pub(super) struct Hosts {
    /// Who connects.
    pub user: RedisConnectionInfo,
    /// In the order of the address.
    pub spots: Vec<Spot>,
}

impl Hosts {
    /// Reads hosts with a comma between them; `port` is that of a host without one, `wrong` what is said of
    /// what is none.
    pub(super) fn read(
        login: Option<&str>,
        hosts: &str,
        port: u16,
        wrong: &'static str,
    ) -> Result<Self, RedisError> {
        let mut user = RedisConnectionInfo::default();
        let mut spots = Vec::new();
        for host in hosts.split(',') {
            let is_one = !host.is_empty() && !host.contains(['/', '?', '#']);
            // What an address of one server may say, this may say of each.
            let alike = match login {
                Some(login) => format!("redis://{login}@{host}"),
                None => format!("redis://{host}"),
            };
            let info = is_one.then(|| alike.into_connection_info().ok()).flatten();
            let info = info.ok_or_else(|| unlike(wrong))?;
            let ConnectionAddr::Tcp(named, said) = info.addr() else {
                return Err(unlike(wrong));
            };
            spots.push((named.clone(), if has_port(host) { *said } else { port }));
            user = info.redis_settings().clone();
        }
        Ok(Self { user, spots })
    }
}

/// Behind the brackets of an IPv6 address, a colon can only be that of a port.
fn has_port(host: &str) -> bool {
    host.rsplit_once(']')
        .map_or(host, |(_, behind)| behind)
        .contains(':')
}

/// Who connects, apart from the rest of an address.
pub(super) fn login_of(rest: &str) -> (Option<&str>, &str) {
    match rest.rsplit_once('@') {
        Some((login, places)) => (Some(login), places),
        None => (None, rest),
    }
}

/// What is wrong with an address, without repeating it.
pub(super) fn unlike(why: &'static str) -> RedisError {
    let kind = ErrorKind::InvalidClientConfig;
    RedisError::from((kind, "it is no address", why.to_owned()))
}
