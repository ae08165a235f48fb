//! The servers that countersign is compared with: the floor of what HTTP costs on this machine.
//!
//! `raw` reads and writes bytes without HTTP and shows the ceiling of the generator. `bare` is
//! hyper alone. `verified` is hyper, HMAC and a typed parse, and nothing else: the irreducible cost
//! of answering an issuer. None of them decides, keeps or checks anything.

mod answer;
mod http;
mod raw;
mod wire;

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::error::Error;
use crate::output;
use crate::signature::Key;
use answer::Answerer;

/// What a baseline does with a request.
pub(crate) enum Kind {
    Raw,
    Bare,
    Verified { secret: String },
}

/// Serves until the process is ended.
pub(crate) fn serve(kind: Kind, listen: SocketAddr) -> Result<(), Error> {
    let runtime = current_thread_runtime()?;
    let answerer = match kind {
        Kind::Raw => None,
        Kind::Bare => Some(Answerer::Bare),
        Kind::Verified { secret } => Some(Answerer::Verified(Key::from_secret(&secret)?)),
    };
    runtime.block_on(async {
        let listener = TcpListener::bind(listen)
            .await
            .map_err(Error::io(format!("listen on {listen}")))?;
        let bound = listener
            .local_addr()
            .map_err(Error::io("read the bound address"))?;
        output::line(&format!(r#"ready {{"issuer":"http://{bound}"}}"#))?;
        match answerer {
            None => raw::accept(listener, runtime.handle()).await,
            Some(answerer) => http::accept(listener, runtime.handle(), answerer).await,
        }
    })
}

fn current_thread_runtime() -> Result<Runtime, Error> {
    Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(Error::io("start the runtime"))
}
