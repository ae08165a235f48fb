//! The wire between the program and its database, and what can go wrong on it just when a card is
//! committed.

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use crate::database::Database;
use crate::pg::PgServer;
use crate::server::find;

/// The answer that is kept with a card has it; marks of readers, which are committed too, have not.
const OF_CARD: &[u8] = b"expMonth";

/// What happens to the next COMMIT that is meant, once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It arrives; then the wire breaks.
    HangsUp,
    /// It arrives; nothing comes back, and nothing breaks.
    Swallows,
    /// It waits until [`Wire::lets_go`] or [`Wire::loses`].
    Holds,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Nothing,
    Waits,
    Goes,
    Lost,
}

struct State {
    armed: Fault,
    /// What the transaction has sent before.
    of: &'static [u8],
    held: Held,
    is_cut: bool,
    sockets: Vec<TcpStream>,
}

/// See the module.
pub(crate) struct Wire {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Wire {
    /// A fresh database of the server: its address over the wire, the address itself, and the wire.
    pub(crate) fn to(server: &PgServer) -> (Database, String, Self) {
        let direct = server.fresh_database();
        let port = direct.rsplit([':', '/']).nth(1).unwrap().to_owned();
        let wire = Self::before(port.parse().unwrap());
        let address = direct.replace(&format!(":{port}/"), &format!(":{}/", wire.port));
        (Database { address }, direct, wire)
    }

    fn before(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State {
            armed: Fault::None,
            of: OF_CARD,
            held: Held::Nothing,
            is_cut: false,
            sockets: Vec::new(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Where the server is away, so is the wire's end.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)) {
                    join(client, server, &shared);
                }
            }
        });
        Self { port, shared: own }
    }

    /// The next COMMIT of a card fares so.
    pub(crate) fn arm(&self, fault: Fault) {
        self.arm_for(OF_CARD, fault);
    }

    /// The next COMMIT of a transaction that has sent these bytes fares so.
    pub(crate) fn arm_for(&self, of: &'static [u8], fault: Fault) {
        let mut state = self.shared.lock();
        state.of = of;
        state.armed = fault;
    }

    /// Whether a COMMIT waits.
    pub(crate) fn holds(&self) -> bool {
        self.shared.lock().held == Held::Waits
    }

    fn held_becomes(&self, held: Held) {
        let mut state = self.shared.lock();
        assert!(state.held == Held::Waits, "no COMMIT waits");
        state.held = held;
        drop(state);
        self.shared.changed.notify_all();
    }

    /// The COMMIT that waits arrives, whoever waits for its answer still.
    pub(crate) fn lets_go(&self) {
        self.held_becomes(Held::Goes);
    }

    /// The COMMIT that waits never arrives: the wire breaks instead.
    pub(crate) fn loses(&self) {
        self.held_becomes(Held::Lost);
    }

    /// Breaks every connection, and lets none through.
    pub(crate) fn cut(&self) {
        let mut state = self.shared.lock();
        state.is_cut = true;
        for socket in state.sockets.drain(..) {
            // Where the other side has closed it, it is closed.
            drop(socket.shutdown(Shutdown::Both));
        }
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.shared.lock().is_cut = false;
    }
}

fn join(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) {
    let mut state = shared.lock();
    if state.is_cut {
        return;
    }
    for socket in [&client, &server] {
        state.sockets.push(socket.try_clone().unwrap());
    }
    drop(state);
    let fault = Arc::new(Mutex::new(Fault::None));
    let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let answered = Arc::clone(&fault);
    thread::spawn(move || {
        pass(back.0, back.1, &|_bytes| match *answered.lock().unwrap() {
            Fault::HangsUp => Passed::Ends,
            Fault::Swallows => Passed::IsLost,
            Fault::None | Fault::Holds => Passed::Goes,
        });
    });
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let is_meant = Cell::new(false);
        pass(client, server, &|bytes| {
            let of = shared.lock().of;
            is_meant.set(is_meant.get() || find(bytes, of).is_some());
            let is_commit = find(bytes, b"COMMIT").is_some();
            if !(is_commit && is_meant.replace(false)) {
                return Passed::Goes;
            }
            let mut state = shared.lock();
            let armed = std::mem::replace(&mut state.armed, Fault::None);
            *fault.lock().unwrap() = armed;
            if armed != Fault::Holds {
                return Passed::Goes;
            }
            state.held = Held::Waits;
            let waits = |state: &mut State| state.held == Held::Waits;
            let state = shared.changed.wait_while(state, waits).unwrap();
            if state.held == Held::Lost {
                Passed::Ends
            } else {
                Passed::Goes
            }
        });
    });
}

enum Passed {
    Goes,
    IsLost,
    Ends,
}

/// Passes bytes on until one side ends, or what comes ends it: then both are closed.
fn pass(mut from: TcpStream, mut to: TcpStream, judge: &dyn Fn(&[u8]) -> Passed) {
    let mut bytes = [0; 65_536];
    while let Ok(size) = from.read(&mut bytes) {
        if size == 0 {
            break;
        }
        match judge(&bytes[..size]) {
            Passed::Goes if to.write_all(&bytes[..size]).is_ok() => {}
            Passed::IsLost => {}
            Passed::Goes | Passed::Ends => break,
        }
    }
    // Where the other side has closed them, they are closed.
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
