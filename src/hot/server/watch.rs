//! Who is too slow: one look at all connections of a hot thread every tenth of a second.
//!
//! A timer for each request would be armed and disarmed on every one of them. A connection notes
//! what it waits for and since which tick, and the watch ends it when that has taken too long. What
//! it costs: a limit is kept to within a tick.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::hot::server::Limits;
use crate::hot::server::pulse::Pulse;

const TICK: Duration = Duration::from_millis(100);
/// After the word to stop, for requests that were on their way by then.
const LAST_REQUEST_TICKS: u32 = 2;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// For the first byte of a request.
    Idle,
    /// For the rest of its headers.
    Head,
    /// For the rest of its body.
    Body,
    /// For us.
    Deciding,
}

/// What the watch tells a connection to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Go on.
    Serve,
    /// The next answer is the last one: a request may be on its way.
    LastRequest,
    /// Take no further request.
    Drain,
    /// End: the request did not arrive in time.
    TooSlow,
    /// End: no request came for long.
    TooIdle,
}

/// One connection as the watch sees it.
pub(super) struct Watched {
    socket: RefCell<TokioIo<TcpStream>>,
    phase: Cell<Phase>,
    since: Cell<u32>,
    order: Cell<Order>,
    /// A request with an issuer's signature was answered: such a connection may be quiet for long.
    heard_issuer: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    watch: Rc<Watch>,
}

impl Watched {
    /// Enters a phase.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.watch.tick.get());
    }

    /// Notes whether the last request had an issuer's signature.
    pub(super) fn heard(&self, issuer: bool) {
        self.heard_issuer.set(issuer);
    }

    /// Whether the answer under way is the connection's last one.
    pub(super) fn is_last(&self) -> bool {
        self.order.get() != Order::Serve
    }

    /// When a request that is read now must be taken to have arrived.
    pub(super) fn arrival(&self) -> Timestamp {
        self.watch.pulse.arrival()
    }

    /// What to do; and whom to wake when that changes.
    pub(super) fn order(&self, waker: &Waker) -> Order {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        self.order.get()
    }

    fn tell(&self, order: Order) {
        if self.order.replace(order) != order
            && let Some(waker) = self.waker.borrow().as_ref()
        {
            waker.wake_by_ref();
        }
    }

    /// The socket, once nobody else polls it.
    pub(super) fn socket(&self) -> &RefCell<TokioIo<TcpStream>> {
        &self.socket
    }
}

/// The connections of one hot thread.
pub(super) struct Watch {
    tick: Cell<u32>,
    /// The tick at which everything was told to end.
    draining: Cell<Option<u32>>,
    pulse: Pulse,
    connections: RefCell<Vec<Weak<Watched>>>,
}

impl Watch {
    pub(super) fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            tick: Cell::new(0),
            draining: Cell::new(None),
            pulse: Pulse::new(clock),
            connections: RefCell::default(),
        })
    }

    /// Begins to watch a connection.
    pub(super) fn over(self: &Rc<Self>, socket: TcpStream) -> Rc<Watched> {
        let draining = self.draining.get().is_some();
        let order = if draining {
            Order::LastRequest
        } else {
            Order::Serve
        };
        let watched = Rc::new(Watched {
            socket: RefCell::new(TokioIo::new(socket)),
            phase: Cell::new(Phase::Idle),
            since: Cell::new(self.tick.get()),
            order: Cell::new(order),
            heard_issuer: Cell::new(false),
            waker: RefCell::default(),
            watch: Rc::clone(self),
        });
        self.connections.borrow_mut().push(Rc::downgrade(&watched));
        watched
    }

    /// Of the thread.
    pub(super) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Looks around for ever.
    pub(super) async fn run(&self, limits: &Limits) {
        let ticks = |limit: Duration| {
            let ticks = limit.as_millis().div_ceil(TICK.as_millis());
            u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
        };
        let (head, body, idle) = (
            ticks(limits.header_timeout),
            ticks(limits.body_timeout),
            ticks(limits.idle_timeout),
        );
        loop {
            tokio::time::sleep(TICK).await;
            let tick = self.tick.get().wrapping_add(1);
            self.tick.set(tick);
            let draining = self.draining.get();
            let last_chance = draining.is_some_and(|at| tick.wrapping_sub(at) > LAST_REQUEST_TICKS);
            self.each(|connection| {
                let waited = tick.wrapping_sub(connection.since.get());
                let idle = if connection.heard_issuer.get() {
                    idle
                } else {
                    head
                };
                match connection.phase.get() {
                    Phase::Head if waited > head => connection.tell(Order::TooSlow),
                    Phase::Body if waited > body => connection.tell(Order::TooSlow),
                    Phase::Idle if waited > idle => connection.tell(Order::TooIdle),
                    Phase::Head | Phase::Body | Phase::Idle | Phase::Deciding if last_chance => {
                        connection.tell(Order::Drain);
                    }
                    Phase::Head | Phase::Body | Phase::Idle | Phase::Deciding => {}
                }
            });
        }
    }

    /// Tells every connection that its next answer is its last one, and a little later to take no
    /// further request.
    pub(super) fn drain(&self) {
        self.draining.set(Some(self.tick.get()));
        self.each(|connection| {
            if connection.order.get() == Order::Serve {
                connection.tell(Order::LastRequest);
            }
        });
    }

    fn each(&self, act: impl Fn(&Watched)) {
        self.connections
            .borrow_mut()
            .retain(|connection| match connection.upgrade() {
                Some(connection) => {
                    act(&connection);
                    true
                }
                None => false,
            });
    }
}

/// The socket as hyper has it: what it reads tells the watch that a request has begun.
pub(super) struct Stream(pub(super) Rc<Watched>);

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut *self.0.socket.borrow_mut()).poll_read(context, buffer);
        if read.is_ready() && self.0.phase.get() == Phase::Idle {
            self.0.enter(Phase::Head);
        }
        read
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.socket.borrow_mut()).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.socket.borrow_mut()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.socket.borrow_mut()).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.socket.borrow().is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0.socket.borrow_mut()).poll_write_vectored(context, pieces)
    }
}
