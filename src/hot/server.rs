//! The issuers' listener: sockets in, decisions out. A shell around the pipeline.
//!
//! One acceptor hands connections to the hot threads in turn, because issuers keep few connections
//! and the kernel's own balancing by hash spreads few badly. Each hot thread is a single-threaded
//! runtime; a connection stays on its thread for life.

mod agreement;
mod connection;
mod crowd;
mod doorbell;
mod events;
mod exchange;
mod pulse;
mod stand_in;
mod watch;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, watch as flag};

use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::hot::durability::{Progress, WaitingRoom};
use crate::hot::pipeline::{Connection, Pipeline};
use crate::ledger::redis::offers::SharedLog;
use crate::ledger::redis::stand_in::StandIn;
use crate::seam::commands::LedgerInbox;
use crate::telemetry::Telemetry;
use crowd::{Pace, Seat, Seats};
use watch::Watch;

/// What one listener may be asked to hold at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a body.
    pub body_size_max: usize,
    /// Bytes of all headers.
    pub headers_size_max: usize,
    /// For the headers to arrive.
    pub header_timeout: Duration,
    /// For the body to arrive.
    pub body_timeout: Duration,
    /// Between two requests of one connection.
    pub idle_timeout: Duration,
    /// Connections of the process at a time; for one more, a stranger has to go or it is closed.
    pub connections_max: usize,
    /// For requests in flight to end at shutdown.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_size_max: 256 * 1024,
            headers_size_max: 16 * 1024,
            header_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(300),
            connections_max: 12_000,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// What every hot thread shares.
pub struct Shared {
    /// Decides.
    pub pipeline: Pipeline,
    /// The configured connections by name.
    pub connections: HashMap<Box<str>, Connection>,
    /// How far the journal has come.
    pub progress: Arc<Progress>,
    /// The clock.
    pub clock: Clock,
    /// Counters.
    pub telemetry: Arc<Telemetry>,
    /// Bounds.
    pub limits: Limits,
    /// Kicks the journal's writer, once there is one.
    pub kick: KickCell,
    /// The log that several nodes share; empty where this one has its counters for itself.
    pub log: std::sync::OnceLock<Arc<SharedLog>>,
    /// What this node approves while that log does not answer; empty where it approves nothing then.
    pub stand_in: std::sync::OnceLock<Arc<StandIn>>,
    /// Told, by a short stable word, why nothing will be approved any more.
    pub alarm: Alarm,
}

/// Kicks the journal's writer.
pub type Kick = Box<dyn Fn() + Send + Sync>;

/// Makes a reason known to operators.
pub type Alarm = Box<dyn Fn(&'static str) + Send + Sync>;

/// A place for the writer's kick, empty until recovery is done.
pub type KickCell = std::sync::OnceLock<Kick>;

/// Connections that the kernel may hold until they are accepted; it takes less where
/// `net.core.somaxconn` says so. A short queue loses connections in a burst: the kernel drops what does
/// not fit, its peer believes to be connected, and is reset when it sends. A long one holds requests
/// that nobody knows to be late yet: this many are accepted in some fifteen milliseconds.
const BACKLOG_MAX: u16 = 256;
/// How long the kernel is given at shutdown to tell of one of them.
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);

/// The running listener.
pub struct HotServer {
    address: Option<SocketAddr>,
    stop: flag::Sender<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl HotServer {
    /// Binds, and serves on `threads` hot threads. The first of them also runs the commands that
    /// come through `inbox`. Without an address nobody is served, and commands run all the same.
    ///
    /// # Errors
    /// Where the address cannot be bound or a thread cannot be started.
    pub fn start(
        address: Option<SocketAddr>,
        threads: usize,
        shared: &Arc<Shared>,
        inbox: LedgerInbox,
    ) -> io::Result<Self> {
        let listener = address.map(listen).transpose()?;
        let address = listener.as_ref().map(std::net::TcpListener::local_addr);
        let address = address.transpose()?;
        let (stop, stopped) = flag::channel(false);
        let mut handles = Vec::new();
        let mut feeds = Vec::new();
        let mut inbox = Some(inbox);
        for number in 0..threads.max(1) {
            let (feed, fed) = mpsc::unbounded_channel();
            feeds.push(feed);
            let worker = Worker {
                number,
                shared: Arc::clone(shared),
                inbox: inbox.take(),
            };
            handles.push(spawn(&format!("hot-{number}"), move |runtime| {
                worker.run(runtime, fed)
            })?);
        }
        let acceptor = Acceptor {
            feeds,
            stopped,
            clock: shared.clock,
            seats: Seats::new(shared.limits.connections_max),
        };
        handles.push(spawn("accept", move |runtime| {
            acceptor.run(runtime, listener)
        })?);
        Ok(Self {
            address,
            stop,
            threads: Mutex::new(handles),
        })
    }

    /// Where it listens, if it does.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Takes no more connections, lets requests in flight end, and returns when all have.
    pub fn drain(&self) {
        self.stop.send_replace(true);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a hot thread had panicked");
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    // The standard library has asked for 128.
    rustix::net::listen(&listener, i32::from(BACKLOG_MAX))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Starts a thread with a runtime of its own, on which tasks stay: nothing of theirs is shared.
fn spawn(
    name: &str,
    body: impl FnOnce(&LocalRuntime) + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let (started, outcome) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            match runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default())
            {
                Ok(runtime) => {
                    // The starter waits for this word, so it is there.
                    let _there = started.send(Ok(()));
                    body(&runtime);
                }
                Err(error) => {
                    let _there = started.send(Err(error));
                }
            }
        })?;
    outcome
        .recv()
        .map_err(|_gone| io::Error::other("the thread ended at once"))??;
    Ok(thread)
}

/// A connection on its way from the acceptor to its hot thread.
struct Newcomer {
    stream: std::net::TcpStream,
    accepted: Timestamp,
    seat: Seat,
}

struct Acceptor {
    feeds: Vec<mpsc::UnboundedSender<Newcomer>>,
    stopped: flag::Receiver<bool>,
    clock: Clock,
    seats: Arc<Seats>,
}

impl Acceptor {
    fn run(mut self, runtime: &LocalRuntime, listener: Option<std::net::TcpListener>) {
        runtime.block_on(async {
            let Some(listener) = listener else {
                // Hot threads learn of the shutdown when this ends.
                let _stopped = self.stopped.wait_for(|stop| *stop).await;
                return;
            };
            match TcpListener::from_std(listener) {
                Ok(listener) => self.accept(&listener).await,
                Err(error) => tracing::error!(%error, "the issuers' listener cannot be polled"),
            }
        });
    }

    async fn accept(&mut self, listener: &TcpListener) {
        let mut turn = 0usize;
        let mut pace = Pace::new(self.clock.now());
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = self.stopped.wait_for(|stop| *stop) => break,
            };
            if !self.hand_over(turn, accepted).await {
                return;
            }
            turn = turn.wrapping_add(1);
            let wait_us = pace.accepted(self.clock.now());
            if let Ok(wait_us @ 1..) = u64::try_from(wait_us) {
                tokio::time::sleep(Duration::from_micros(wait_us)).await;
            }
        }
        // Whom the kernel has accepted in our name may have sent a request.
        for _ in 0..BACKLOG_MAX {
            let waiting = tokio::time::timeout(BACKLOG_PAUSE, listener.accept()).await;
            let Ok(accepted) = waiting else { return };
            if !self.hand_over(turn, accepted).await {
                return;
            }
            turn = turn.wrapping_add(1);
        }
    }

    /// Gives the connection to the hot thread whose turn it is. Whether there still is one.
    async fn hand_over(&self, turn: usize, accepted: io::Result<(TcpStream, SocketAddr)>) -> bool {
        match accepted.and_then(|(stream, _)| stream.into_std()) {
            Ok(stream) => {
                let newcomer = Newcomer {
                    stream,
                    accepted: self.clock.now(),
                    seat: self.seats.take(),
                };
                let feed = turn
                    .checked_rem(self.feeds.len())
                    .and_then(|at| self.feeds.get(at));
                feed.is_some_and(|feed| feed.send(newcomer).is_ok())
            }
            Err(error) => {
                // Out of descriptors: without a pause the loop would spin.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
                true
            }
        }
    }
}

struct Worker {
    number: usize,
    shared: Arc<Shared>,
    inbox: Option<LedgerInbox>,
}

impl Worker {
    fn run(mut self, runtime: &LocalRuntime, fed: mpsc::UnboundedReceiver<Newcomer>) {
        let kicking = Arc::clone(&self.shared);
        let kick = Box::new(move || {
            if let Some(kick) = kicking.kick.get() {
                kick();
            }
        });
        let room = WaitingRoom::new(&self.shared.progress, self.number, self.shared.clock, kick);
        let watch = Watch::new(self.shared.clock);
        let inbox = self.inbox.take();
        runtime.spawn_local({
            let watch = Rc::clone(&watch);
            async move { watch.pulse().beat().await }
        });
        runtime.spawn_local({
            let (watch, limits) = (Rc::clone(&watch), self.shared.limits);
            async move { watch.run(&limits).await }
        });
        runtime.spawn_local({
            let room = Rc::clone(&room);
            async move { room.wake_covered().await }
        });
        runtime.spawn_local({
            let room = Rc::clone(&room);
            async move { room.wake_overdue().await }
        });
        runtime.spawn_local({
            let room = Rc::clone(&room);
            async move { room.kick_when_wanted().await }
        });
        if let Some(inbox) = inbox {
            runtime.spawn_local(stand_in::book_all(Arc::clone(&self.shared)));
            runtime.spawn_local(serve_commands(
                Arc::clone(&self.shared),
                Rc::clone(&room),
                inbox,
            ));
        }
        runtime.block_on(self.serve(room, watch, fed));
    }

    async fn serve(
        self,
        room: Rc<WaitingRoom>,
        watch: Rc<Watch>,
        mut fed: mpsc::UnboundedReceiver<Newcomer>,
    ) {
        let open = Rc::new(());
        while let Some(newcomer) = fed.recv().await {
            let Newcomer {
                stream,
                accepted,
                seat,
            } = newcomer;
            if seat.is_beyond() && !watch.make_room() {
                self.shared.telemetry.count_turned_away();
                continue;
            }
            let Ok(stream) = TcpStream::from_std(stream) else {
                continue;
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
            // At once, so that it can be asked to make room for the next one of the same burst.
            let watched = watch.over(stream, accepted);
            let served = connection::serve(watched, Arc::clone(&self.shared), Rc::clone(&room));
            let guard = Rc::clone(&open);
            tokio::task::spawn_local(async move {
                served.await;
                drop((guard, seat));
            });
        }
        // The acceptor has gone away: that is how a hot thread learns of the shutdown.
        watch.drain();
        self.drained(&open).await;
    }

    async fn drained(&self, open: &Rc<()>) {
        let all_closed = async {
            while Rc::strong_count(open) > 1 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(self.shared.limits.drain_timeout, all_closed)
            .await
            .is_err()
        {
            let left = Rc::strong_count(open).saturating_sub(1);
            tracing::warn!(
                left,
                "connections were still open when the time to drain was over"
            );
        }
    }
}

/// Runs commands of the cold side, one between two turns of the thread's requests.
async fn serve_commands(shared: Arc<Shared>, room: Rc<WaitingRoom>, mut inbox: LedgerInbox) {
    loop {
        let Some(core) = shared.pipeline.core() else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        if !inbox.serve_one(&core.ledger).await {
            return;
        }
        room.want_kick();
        tokio::task::yield_now().await;
    }
}
