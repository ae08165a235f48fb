//! Sentinels, who say which of several servers is the primary.
//!
//! They are asked anew for every connection. Whom they name is asked too whether it is one; what it
//! remembers of the ledger decides as everywhere: a server that took another one's place is not armed.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ProtocolVersion, RedisConnectionInfo, RedisError,
    TlsCertificates, TlsMode,
};
use tokio::sync::Mutex;

use crate::ledger::redis::hosts::{Access, Hosts, Spot, login_of, unlike};
use crate::ledger::redis::link::config;

const OPEN: &str = "redis+sentinel://";
const TLS: &str = "rediss+sentinel://";
/// Where an address names no port.
const PORT: u16 = 26_379;

/// An address `redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]…]/NAME`, or `rediss+sentinel://…` for
/// TLS to sentinels and servers: where sentinels are, and what they call the servers. The user is the servers'.
struct Named {
    is_tls: bool,
    user: RedisConnectionInfo,
    sentinels: Vec<Spot>,
    name: String,
}

impl Named {
    fn read(address: &str) -> Option<Result<Self, RedisError>> {
        let (is_tls, rest) = match address.strip_prefix(OPEN) {
            Some(rest) => (false, rest),
            None => (true, address.strip_prefix(TLS)?),
        };
        Some(Self::read_behind(is_tls, rest))
    }

    fn read_behind(is_tls: bool, rest: &str) -> Result<Self, RedisError> {
        let (login, places) = login_of(rest);
        let (hosts, name) = places
            .split_once('/')
            .filter(|(_, name)| !name.is_empty() && !name.contains(['/', '?', '#']))
            .ok_or_else(|| {
                unlike("must end in the name that sentinels know the servers by: HOST:PORT/NAME")
            })?;
        let wrong = "each sentinel is a HOST or HOST:PORT, with a comma between them";
        let hosts = Hosts::read(login, hosts, PORT, wrong)?;
        Ok(Self {
            is_tls,
            user: hosts.user,
            sentinels: hosts.spots,
            name: name.to_owned(),
        })
    }
}

/// The servers that sentinels look after.
#[derive(Clone)]
pub(super) struct Sentinels {
    client: Arc<Mutex<SentinelClient>>,
    name: String,
    /// How the servers are spoken to.
    pub access: Access,
    /// As it may be shown.
    shown: Arc<str>,
}

impl Sentinels {
    /// Of this address; absent where it is another kind of address. Nothing is sent yet.
    pub(super) fn at(address: &str, root: Option<Vec<u8>>) -> Option<Result<Self, RedisError>> {
        let named = Named::read(address)?;
        Some(named.and_then(|named| Self::of(named, root)))
    }

    fn of(named: Named, root: Option<Vec<u8>>) -> Result<Self, RedisError> {
        let hosts: Vec<String> = named
            .sentinels
            .iter()
            .map(|(host, port)| format!("{host}:{port}"))
            .collect();
        let shown = format!("{}, by the sentinels {}", named.name, hosts.join(", "));
        let sentinels = named.sentinels.into_iter().map(|(host, port)| {
            if named.is_tls {
                ConnectionAddr::TcpTls {
                    host,
                    port,
                    insecure: false,
                    tls_params: None,
                }
            } else {
                ConnectionAddr::Tcp(host, port)
            }
        });
        let primary = SentinelServerType::Master;
        // Without this the kernel keeps small commands back for up to 40 ms.
        let tcp = TcpSettings::default().set_nodelay(true);
        let mut builder = SentinelClientBuilder::new(sentinels, &named.name, primary)?
            .set_client_to_redis_protocol(ProtocolVersion::RESP3)
            .set_client_to_redis_tcp_settings(tcp);
        if let Some(user) = named.user.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = named.user.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if named.is_tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        let access = Access {
            is_tls: named.is_tls,
            user: named.user,
            root,
        };
        if let Some(root) = &access.root {
            let certificates = TlsCertificates {
                client_tls: None,
                root_cert: Some(root.clone()),
            };
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
        Ok(Self {
            client: Arc::new(Mutex::new(builder.build()?)),
            name: named.name,
            access,
            shown: shown.into(),
        })
    }

    /// A connection to whom they call the primary, if it says so too.
    pub(super) async fn connect(
        &self,
        config: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, RedisError> {
        let mut client = self.client.lock().await;
        client.get_async_connection_with_config(config).await
    }

    /// Where the servers are that they know beside the primary, also those that have gone.
    pub(super) async fn replicas(&self) -> Result<Vec<Spot>, RedisError> {
        let mut client = self.client.lock().await;
        let one = client.async_get_sentinel_client().await?;
        let mut connection = one
            .get_multiplexed_async_connection_with_config(&config())
            .await?;
        let mut asks = redis::cmd("SENTINEL");
        let asks = asks.arg("REPLICAS").arg(&self.name);
        let told: Vec<HashMap<String, String>> = asks.query_async(&mut connection).await?;
        let spot = |one: HashMap<String, String>| {
            let port = one.get("port")?.parse().ok()?;
            Some((one.get("ip")?.clone(), port))
        };
        let spots: Option<Vec<Spot>> = told.into_iter().map(spot).collect();
        spots.ok_or_else(|| unlike("a sentinel says of its servers what is not understood"))
    }
}

impl fmt::Display for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(address: &str) -> Result<Named, RedisError> {
        Named::read(address).expect("an address of sentinels")
    }

    #[test]
    fn an_address_names_sentinels_and_what_they_call_the_servers() {
        let named = read("redis+sentinel://me:p%40ss@a:1,b,[::1]:3,[::2]/prod").unwrap();
        let hosts: Vec<_> = named
            .sentinels
            .iter()
            .map(|(host, port)| (&**host, *port))
            .collect();
        assert_eq!(hosts, [("a", 1), ("b", PORT), ("::1", 3), ("::2", PORT)]);
        assert_eq!(named.name, "prod");
        assert_eq!(named.user.username(), Some("me"));
        assert_eq!(named.user.password(), Some("p@ss"));
        assert!(!named.is_tls);
        assert!(read("rediss+sentinel://a:1/prod").unwrap().is_tls);
        assert!(Named::read("redis://a:1").is_none());
    }

    #[test]
    fn an_address_that_is_none_is_refused_and_not_repeated() {
        for wrong in [
            "redis+sentinel://:hunter2@a:1",
            "redis+sentinel://:hunter2@a:1/",
            "redis+sentinel://:hunter2@a:1/prod/0",
            "redis+sentinel://:hunter2@a:1/prod?db=1",
            "redis+sentinel://:hunter2@a:1,/prod",
            "redis+sentinel://:hunter2@,a:1/prod",
            "redis+sentinel://:hunter2@a:port/prod",
            "redis+sentinel://:hunter2@/prod",
        ] {
            let error = read(wrong).err().unwrap_or_else(|| panic!("{wrong}"));
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_is_shown_has_no_password() {
        let sentinels = Sentinels::at("redis+sentinel://:hunter2@a:1,b:2/prod", None);
        let shown = sentinels.unwrap().unwrap().to_string();
        assert_eq!(shown, "prod, by the sentinels a:1, b:2");
    }
}
