//! A TCP proxy that does to connections what networks do.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What happens to what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It passes.
    None,
    /// What is under way and every new connection go dead: nothing passes any more, and nobody is told.
    HalfOpen,
    /// Answers come so late, in milliseconds.
    Late(u64),
    /// What is sent arrives; before its answer the connection is cut.
    CutAfterSending,
    /// Instead of answers something comes that is none.
    Garbage,
    /// Connections are closed as soon as they are made.
    Refused,
    /// What is sent does not arrive, and this is the answer, an error of the protocol.
    Says(&'static str),
}

const HALF_OPEN: u64 = 1 << 32;
const CUT: u64 = 2 << 32;
const GARBAGE: u64 = 3 << 32;
const REFUSED: u64 = 4 << 32;

const SAYS: u64 = 5 << 32;

struct Shared {
    /// The port of the server.
    server: AtomicU16,
    said: Mutex<&'static str>,
    /// Both ends of everything that was ever joined.
    joined: Mutex<Vec<TcpStream>>,
    /// A fault, or by how much answers are late.
    fault: AtomicU64,
    connections: AtomicU32,
    is_over: AtomicBool,
}

/// A proxy before one server, until it is dropped.
pub(crate) struct FaultProxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl FaultProxy {
    pub(crate) fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: AtomicU16::new(server),
            said: Mutex::new(""),
            joined: Mutex::default(),
            fault: AtomicU64::new(0),
            connections: AtomicU32::new(0),
            is_over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for near in listener.incoming() {
                if serving.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let near = near.unwrap();
                serving.connections.fetch_add(1, Ordering::SeqCst);
                if serving.fault.load(Ordering::SeqCst) == REFUSED {
                    continue;
                }
                // A server that is not there refuses.
                let server = serving.server.load(Ordering::SeqCst);
                if let Ok(far) = TcpStream::connect(("127.0.0.1", server)) {
                    join(&serving, &near, &far);
                }
            }
        });
        Self { shared, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(crate) fn set(&self, fault: Fault) {
        let number = match fault {
            Fault::None => 0,
            Fault::Late(millis) => millis,
            Fault::HalfOpen => HALF_OPEN,
            Fault::CutAfterSending => CUT,
            Fault::Garbage => GARBAGE,
            Fault::Refused => REFUSED,
            Fault::Says(what) => {
                *self.shared.said.lock().unwrap() = what;
                SAYS
            }
        };
        self.shared.fault.store(number, Ordering::SeqCst);
    }

    /// New connections go to this server.
    pub(crate) fn lead_to(&self, server: u16) {
        self.shared.server.store(server, Ordering::SeqCst);
    }

    /// Cuts all connections.
    pub(crate) fn cut(&self) {
        for stream in self.shared.joined.lock().unwrap().drain(..) {
            // It may be over already.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections that were made to it, until now.
    pub(crate) fn connections(&self) -> u32 {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes whoever accepts.
        drop(TcpStream::connect(self.address));
    }
}

fn join(shared: &Arc<Shared>, near: &TcpStream, far: &TcpStream) {
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let both = [near, far].map(|it| it.try_clone().unwrap());
    shared.joined.lock().unwrap().extend(both);
    let is_dead = Arc::new(AtomicBool::new(false));
    for (from, to, is_answer) in [(near, far, false), (far, near, true)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let (shared, is_dead) = (Arc::clone(shared), Arc::clone(&is_dead));
        thread::spawn(move || {
            pass(&shared, &is_dead, (&from, &to), is_answer);
            if !is_dead.load(Ordering::SeqCst) {
                drop(from.shutdown(Shutdown::Both));
                drop(to.shutdown(Shutdown::Both));
            }
        });
    }
}

/// Passes what comes, until one end is over.
fn pass(
    shared: &Shared,
    is_dead: &AtomicBool,
    (mut from, mut to): (&TcpStream, &TcpStream),
    is_answer: bool,
) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(size @ 1..) = from.read(&mut bytes) {
        let fault = shared.fault.load(Ordering::SeqCst);
        if fault == HALF_OPEN {
            is_dead.store(true, Ordering::SeqCst);
        }
        if is_dead.load(Ordering::SeqCst) {
            continue;
        }
        let passed = match fault {
            SAYS if !is_answer => {
                let calls = bytes[..size].windows(5).filter(|it| it == b"FCALL");
                let said = format!("-{}\r\n", shared.said.lock().unwrap());
                from.write_all(said.repeat(calls.count().max(1)).as_bytes())
            }
            CUT | REFUSED if is_answer => return,
            GARBAGE if is_answer => to.write_all(b"!? nobody says this\r\n*9\r\n"),
            _ => {
                if is_answer && fault < HALF_OPEN {
                    thread::sleep(Duration::from_millis(fault));
                }
                to.write_all(&bytes[..size])
            }
        };
        if passed.is_err() {
            return;
        }
    }
}
