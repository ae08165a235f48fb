//! Who is too slow: one look at all connections of a hot thread every tenth of a second.
//!
//! A timer for each request would be armed and disarmed on every one of them. A connection notes
//! what it waits for and since which tick, and the watch ends it when that has taken too long. What
//! it costs: a limit is kept to within a tick.
//!
//! Strangers, which are connections on which no issuer has signed yet, come last: one that is told
//! again and again that its signature is wrong waits longer and longer for that word, and where
//! there is no seat left the stranger that was there first gives up its own.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::hot::server::Limits;
use crate::hot::server::doorbell::Doorbell;
use crate::hot::server::pulse::Pulse;

const TICK: Duration = Duration::from_millis(100);
/// The longest that a stranger waits for the word that it is refused.
const PAUSE_TICKS_MAX: u32 = 10;
/// After the word to stop, for requests that were on their way by then.
const LAST_REQUEST_TICKS: u32 = 2;

/// Bytes that are read at a time before hyper reads: a whole request, body included, so that hyper's own
/// buffer need not grow for it.
const PIECE: usize = 8_192;

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
    doorbell: Doorbell,
    phase: Cell<Phase>,
    /// When the first byte of the request under way was there.
    begun: Cell<Timestamp>,
    /// When the bytes that were read last were there; before the first ones, when it was accepted.
    fed: Cell<Timestamp>,
    since: Cell<u32>,
    order: Cell<Order>,
    /// A request with an issuer's signature was answered: such a connection may be quiet for long.
    heard_issuer: Cell<bool>,
    /// Requests that were refused for their signature, while no issuer was heard.
    refusals: Cell<u32>,
    pause_ends: Cell<u32>,
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
        if issuer {
            self.refusals.set(0);
        }
    }

    /// Waits before a refusal is said: not at all the first time, then longer and longer.
    pub(super) async fn pause(&self) {
        let refusals = self.refusals.get();
        self.refusals.set(refusals.saturating_add(1));
        let now = self.watch.tick.get();
        let ends = now.wrapping_add(refusals.min(PAUSE_TICKS_MAX));
        self.pause_ends.set(ends);
        poll_fn(|_woken_by_the_watch| {
            let left = ends.wrapping_sub(self.watch.tick.get());
            let over = left == 0 || left > PAUSE_TICKS_MAX || self.is_last();
            if over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Whether the answer under way is the connection's last one.
    pub(super) fn is_last(&self) -> bool {
        self.order.get() != Order::Serve
    }

    /// When the first byte of the request that is asked about must be taken to have arrived.
    pub(super) fn arrival(&self) -> Timestamp {
        match self.phase.get() {
            // Behind another one, in the same bytes.
            Phase::Idle => self.fed.get(),
            Phase::Head | Phase::Body | Phase::Deciding => self.begun.get(),
        }
    }

    /// How long the thread lets whoever wants a turn at `now` wait for it, in microseconds.
    pub(super) fn behind_us(&self, now: Timestamp) -> i64 {
        self.watch.pulse.is_alive(now);
        self.watch.pulse.behind_us(now)
    }

    /// Bytes were read that the runtime saw at `rung`; absent where it did not have to wait for them.
    fn feed(&self, rung: Option<Timestamp>) {
        let seen = rung.unwrap_or_else(|| self.watch.clock.now());
        let fed = self.watch.pulse.arrival(seen);
        self.fed.set(fed);
        if self.phase.get() == Phase::Idle {
            self.begun.set(fed);
            self.enter(Phase::Head);
        }
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
        if self.order.replace(order) != order {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Whether it may be asked to make room.
    fn is_idle_stranger(&self) -> bool {
        let pauses = self.pause_ends.get().wrapping_sub(self.watch.tick.get());
        let waits = self.phase.get() != Phase::Deciding || (1..=PAUSE_TICKS_MAX).contains(&pauses);
        waits && !self.heard_issuer.get() && self.order.get() == Order::Serve
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
    clock: Clock,
    pulse: Pulse,
    connections: RefCell<Vec<Weak<Watched>>>,
}

impl Watch {
    pub(super) fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            tick: Cell::new(0),
            draining: Cell::new(None),
            clock,
            pulse: Pulse::new(clock),
            connections: RefCell::default(),
        })
    }

    /// Begins to watch a connection that was accepted then.
    pub(super) fn over(self: &Rc<Self>, socket: TcpStream, accepted: Timestamp) -> Rc<Watched> {
        let draining = self.draining.get().is_some();
        let order = if draining {
            Order::LastRequest
        } else {
            Order::Serve
        };
        let watched = Rc::new(Watched {
            socket: RefCell::new(TokioIo::new(socket)),
            doorbell: Doorbell::rung_at(self.clock, accepted),
            phase: Cell::new(Phase::Idle),
            begun: Cell::new(accepted),
            fed: Cell::new(accepted),
            since: Cell::new(self.tick.get()),
            order: Cell::new(order),
            heard_issuer: Cell::new(false),
            refusals: Cell::new(0),
            pause_ends: Cell::new(0),
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
                if connection.pause_ends.get() == tick {
                    connection.wake();
                }
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

    /// Ends the connection that is here longest without having shown an issuer's signature. Whether
    /// there is one.
    pub(super) fn make_room(&self) -> bool {
        let connections = self.connections.borrow();
        let mut alive = connections.iter().filter_map(Weak::upgrade);
        let stranger = alive.find(|connection| connection.is_idle_stranger());
        if let Some(stranger) = &stranger {
            stranger.tell(Order::TooIdle);
        }
        stranger.is_some()
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
pub(super) struct Stream {
    watched: Rc<Watched>,
    /// Read from the socket, not yet by hyper.
    ahead: Vec<u8>,
}

impl Stream {
    pub(super) fn new(watched: Rc<Watched>) -> Self {
        let ahead = Vec::new();
        Self { watched, ahead }
    }

    /// Reads what is there and keeps it for hyper; all that is kept. It has not grown where the peer
    /// sends no more.
    pub(super) fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let mut piece = [MaybeUninit::uninit(); PIECE];
        let mut buffer = ReadBuf::uninit(&mut piece);
        let read = self.poll_socket(context, buffer.unfilled());
        read.map_ok(|()| {
            self.ahead.extend_from_slice(buffer.filled());
            self.ahead.as_slice()
        })
    }

    /// Bytes that were read and that hyper has not seen.
    pub(super) fn ahead_size(&self) -> usize {
        self.ahead.len()
    }

    fn poll_socket(
        &self,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let watched = &self.watched;
        let rung = watched.doorbell.rung();
        let waker = watched.doorbell.waker(context.waker());
        let mut context = Context::from_waker(waker);
        let read = Pin::new(&mut *watched.socket.borrow_mut()).poll_read(&mut context, buffer);
        if read.is_ready() {
            watched.feed(rung);
        }
        read
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return self.poll_socket(context, buffer);
        }
        let seen = self.ahead.len().min(buffer.remaining());
        let rest = self.ahead.split_off(seen);
        buffer.put_slice(&self.ahead);
        self.ahead = rest;
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.watched.socket.borrow_mut()).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.watched.socket.borrow_mut()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.watched.socket.borrow_mut()).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.watched.socket.borrow().is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.watched.socket.borrow_mut()).poll_write_vectored(context, pieces)
    }
}
