//! The signals that a server heeds: those that end it, and the one that has it read its snapshot.

use std::io;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, noticed from the moment this is made: a process without it dies of them.
pub struct StopSignals {
    term: Signal,
    interrupt: Signal,
}

impl StopSignals {
    pub(super) fn listen(runtime: &Runtime) -> io::Result<Self> {
        let _entered = runtime.enter();
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the first of them.
    pub(super) async fn received(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGHUP, noticed from the moment this is made: a process without it dies of it.
pub(super) struct HangUps(Signal);

impl HangUps {
    pub(super) fn listen(runtime: &Runtime) -> io::Result<Self> {
        let _entered = runtime.enter();
        signal(SignalKind::hangup()).map(Self)
    }

    /// Has each of them heard. Those that came before are heard as one.
    pub(super) fn hear(mut self, runtime: &Runtime, hear: impl Fn() + Send + 'static) {
        drop(runtime.handle().spawn(async move {
            while self.0.recv().await.is_some() {
                hear();
            }
        }));
    }
}
