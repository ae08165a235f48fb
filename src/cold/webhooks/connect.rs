//! Connections to endpoints: an address is judged when it is connected to (S13).
//!
//! A name is resolved once, what it resolves to is judged, and what was judged is connected to, so
//! that nothing can be resolved anew in between. Addresses that are written as such go the same way.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tower_service::Service;

use super::address::{Reach, literal};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried.
const TRIED_MAX: usize = 4;

/// See the module.
#[derive(Clone, Copy)]
pub(super) struct Guarded(pub(super) Reach);

type Connecting = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

impl Service<Uri> for Guarded {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        let reach = self.0;
        Box::pin(async move {
            let connecting = timeout(CONNECT_WITHIN, connect(reach, &uri));
            let late = || io::Error::new(io::ErrorKind::TimedOut, "no connection within 5 s");
            connecting.await.map_err(|_elapsed| late())?
        })
    }
}

async fn connect(reach: Reach, uri: &Uri) -> io::Result<TokioIo<TcpStream>> {
    let host = uri.host().unwrap_or_default();
    let default = if uri.scheme_str() == Some("http") {
        80
    } else {
        443
    };
    let port = uri.port_u16().unwrap_or(default);
    let found: Vec<SocketAddr> = match literal(host) {
        Some(address) => vec![SocketAddr::new(address, port)],
        None => lookup_host((host, port)).await?.collect(),
    };
    connect_to(reach, found).await
}

/// One inside among others outside makes the name suspicious, so all have to be public.
async fn connect_to(reach: Reach, found: Vec<SocketAddr>) -> io::Result<TokioIo<TcpStream>> {
    if !found.iter().all(|it| reach.admits_at(*it)) {
        let why = "it does not lead to a public address, at a port that may be told";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in found.into_iter().take(TRIED_MAX) {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(TokioIo::new(stream));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PORTS_MAX;
    use std::net::TcpListener;

    fn outcome(reach: Reach, uri: &str) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let connected = runtime.block_on(Guarded(reach).call(uri.parse().unwrap()));
        connected.map(drop)
    }

    #[test]
    fn s13_what_is_resolved_is_judged_when_it_is_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let public = Reach {
            loopback: false,
            ports: [0; PORTS_MAX],
        };
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"] {
            let refused = outcome(public, &format!("https://{host}:{port}/")).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{host}");
        }
        let nobody = listener.accept().unwrap_err();
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock, "nobody came");
        let here = Reach {
            loopback: true,
            ports: [0; PORTS_MAX],
        };
        outcome(here, &format!("http://localhost:{port}/")).unwrap();
        listener.accept().unwrap();
    }

    #[test]
    fn s13_a_public_address_is_connected_to_at_ports_that_may_be_told_alone() {
        let public = Reach {
            loopback: false,
            ports: [0; PORTS_MAX],
        };
        let at = |port| SocketAddr::from(([8, 8, 8, 8], port));
        assert!(public.admits_at(at(443)) && public.admits_at(at(8443)));
        for port in [0, 22, 25, 53, 80, 6379] {
            assert!(!public.admits_at(at(port)), "{port}");
        }
        let refused = outcome(public, "https://8.8.8.8:25/").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn s13_a_name_with_one_address_inside_is_not_connected_to_at_all() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = listener.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        let inside = SocketAddr::from(([10, 0, 0, 1], 443));
        let connecting = connect_to(
            Reach {
                loopback: true,
                ports: [0; PORTS_MAX],
            },
            vec![here, inside],
        );
        let refused = runtime.block_on(connecting).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }
}
