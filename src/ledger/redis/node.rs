//! The thread of one node of several: has the log take what was offered, and learns what all nodes did.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::RedisError;
use tokio::runtime::{self, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::domain::card::Key;
use crate::ledger::embedded::journal::Position;
use crate::ledger::embedded::store::{Draft, EmbeddedLedger};
use crate::ledger::redis::copy::{Copy, ENTRY_SIZE_MAX};
use crate::ledger::redis::link::{Joint, Pushed, Remote};
use crate::ledger::redis::offers::{Outcome, Request, SharedLog};
use crate::ledger::redis::refusal::{Refusals, is_refusal, is_unknown_function};
use crate::ledger::redis::routes::Routes;
use crate::ledger::redis::wire::{Commands, Generation, Said, bucket_of};
use crate::ledger::shared::{Entry, EntryId, HEAD_SIZE};

mod learning;

/// A draft that was never sent is given up when there is no connection for so long.
const UNSENT_FOR: Duration = Duration::from_millis(250);
/// Before a draft is sent again that was refused while it was in doubt, and how often a draft is sent or a
/// connection waited for: for more than half a minute.
const IN_DOUBT_PAUSE: Duration = Duration::from_millis(100);
const ATTEMPTS: u32 = 300;
/// Before a draft is sent again while another node has a claim on the log.
const CLAIMED_PAUSE: Duration = Duration::from_millis(5);
/// For something more of the log to be learned at the start.
const LEARNED_WITHIN: Duration = Duration::from_secs(120);
/// Keys of one step of a walk through the log.
const WALK_LEN: usize = 1_000;
/// Owners whose logs are read at once, so that what is pushed meanwhile does not wait behind all of them.
const OWNERS_AT_ONCE: usize = 16;
/// Between two attempts to write down what was learned, and how many there are.
const BEHIND_PAUSE: Duration = Duration::from_millis(2);
const BEHIND_ATTEMPTS: u32 = 5_000;
/// Between two looks whether a Redis that had forgotten something was armed.
const LOOKED_AGAIN: Duration = Duration::from_secs(1);

/// Of one entry: no node would keep a longer one.
const EVENTS_SIZE_MAX: usize = ENTRY_SIZE_MAX - HEAD_SIZE;

/// What operators have to know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Redis may have forgotten something: nothing is approved.
    Forgot,
    /// A server of several may have: nothing is approved for the customers whose logs it has.
    ForgotPartly,
    /// This node could not keep what the log says, or does not understand it. It approves nothing until
    /// it is started again; other nodes may go on.
    NotFollowed,
}

/// What a node begins with.
pub struct Begin {
    /// Of the Redis that keeps the log.
    pub remote: Remote,
    /// The ledger that is in it.
    pub generation: Generation,
    /// Another number for every process, so that entries are told apart.
    pub node: u64,
    /// The node's states.
    pub ledger: Arc<EmbeddedLedger>,
    /// Where this node keeps its copy of the log.
    pub copy: PathBuf,
    /// Has the node's journal written.
    pub kick: Box<dyn Fn() + Send>,
    /// Told of trouble that begins (true) or is over.
    pub tell: Box<dyn Fn(Trouble, bool) + Send>,
    /// Counts what Redis refuses.
    pub count: Refusals,
}

/// Starts the thread that speaks with Redis. Everything that is in the log is learned when this
/// returns.
///
/// # Errors
/// Where nothing more is learned for a while, and there is more.
pub fn start(begin: Begin) -> io::Result<SharedLog> {
    let is_known = Arc::<AtomicBool>::default();
    let (log, asked) = SharedLog::of_node(begin.node, &is_known);
    let copy = Copy::begin(&begin.copy, &begin.generation)?;
    let (progress, learned) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name("shared-log".to_owned());
    thread.spawn(move || match runtime() {
        Ok(runtime) => runtime.block_on(run((begin, is_known), copy, asked, progress)),
        Err(error) => tracing::error!(%error, "the thread of the shared log has no runtime"),
    })?;
    let late = |_| io::Error::other("what is in the shared log could not be learned in time");
    loop {
        match learned.recv_timeout(LEARNED_WITHIN).map_err(late)? {
            Progress::Page => {}
            Progress::All => return Ok(log),
            Progress::Astray => {
                return Err(io::Error::other(
                    "a server has a log of it and not its slot: the move of a slot was given up half-way. Move \
                     the slot's keys to the server that has it",
                ));
            }
        }
    }
}

/// How far a node has come at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// It has learned some more.
    Page,
    /// It has learned all.
    All,
    /// There is a log that nobody is asked for.
    Astray,
}

fn runtime() -> io::Result<LocalRuntime> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
}

async fn run(
    (begin, is_known): (Begin, Arc<AtomicBool>),
    copy: Copy,
    mut requests: mpsc::Receiver<Request>,
    progress: std::sync::mpsc::Sender<Progress>,
) {
    let commands = Commands::new(&begin.generation);
    let (joint, pushed) = Joint::new(begin.node, begin.count.clone());
    let Pushed {
        mut connected,
        mut messages,
    } = pushed;
    let routes = Routes::begin(begin.remote, &commands, joint);
    let (asks, mut proofs) = mpsc::unbounded_channel();
    let node = Rc::new(Node {
        number: begin.node,
        commands,
        routes,
        ledger: begin.ledger,
        pending: RefCell::default(),
        copy: RefCell::new(copy),
        kick: begin.kick,
        catching: RefCell::default(),
        tell: begin.tell,
        count: begin.count,
        progress,
        has_forgotten: Cell::new(false),
        is_known,
        refusals: Cell::new(0),
        looking: Cell::new(0),
        connected: Cell::new(0),
        learned: Cell::new(0),
        proofs: asks,
    });
    let mut looks_again = interval(LOOKED_AGAIN);
    looks_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(_number) = connected.recv() => node.is_connected(),
            _instant = looks_again.tick(), if node.is_behind() => node.look_again(),
            Some(message) = messages.recv() => {
                node.hear(message).await;
                node.hear_all(&mut messages).await;
            }
            Some(answer) = proofs.recv() => {
                // What was pushed before the answers that prove it, and over which connections they came.
                node.hear_all(&mut messages).await;
                while connected.try_recv().is_ok() {
                    node.is_connected();
                }
                let _gone = answer.send(node.knows_all());
            }
            request = requests.recv() => {
                let Some(request) = request else { return };
                let node = Rc::clone(&node);
                tokio::task::spawn_local(async move { node.serve(request).await });
            }
        }
    }
}

/// The log could not be asked, or what it said could not be kept.
struct Failed;

struct Node {
    /// Its own, which ends the identities of its entries.
    number: u64,
    commands: Commands,
    routes: Routes,
    ledger: Arc<EmbeddedLedger>,
    /// Drafts that were offered, and where their entries are since they were learned.
    pending: RefCell<HashMap<EntryId, Option<Position>>>,
    /// What was learned, as the log has it.
    copy: RefCell<Copy>,
    kick: Box<dyn Fn() + Send>,
    /// Owners whose logs are being read to their end, and whether they have grown meanwhile.
    catching: RefCell<HashMap<Key, bool>>,
    tell: Box<dyn Fn(Trouble, bool) + Send>,
    count: Refusals,
    progress: std::sync::mpsc::Sender<Progress>,
    has_forgotten: Cell<bool>,
    /// What [`SharedLog::is_known`] says.
    is_known: Arc<AtomicBool>,
    /// How often Redis said that it may have forgotten something.
    refusals: Cell<u64>,
    /// How often all is being learned at this moment.
    looking: Cell<u32>,
    /// How many connections were made, and how many before all was learned.
    connected: Cell<u64>,
    learned: Cell<u64>,
    /// Who waits to hear whether all was learned, after every server has answered.
    proofs: mpsc::UnboundedSender<oneshot::Sender<bool>>,
}

impl Node {
    async fn serve(self: &Rc<Self>, request: Request) {
        match request {
            Request::Offer { draft, id, answer } => self.settle(draft, id, answer).await,
            Request::Follow {
                owner,
                claims,
                answer,
            } => {
                let learned = match claims {
                    true => self.claim(owner).await,
                    false => self.catch_up(owner).await,
                };
                let is_learned = learned.is_ok();
                (self.kick)();
                let _gone = answer.send(is_learned);
            }
            Request::Prove { answer } => self.prove(answer).await,
        }
    }

    /// Has the log answer once more: everything that was pushed before has arrived then, if it came all the
    /// while over the same connections.
    async fn prove(&self, answer: oneshot::Sender<bool>) {
        if self.is_heard().await {
            // Without it whoever asks hears that nothing is proved.
            let _over = self.proofs.send(answer);
        }
    }

    fn is_connected(self: &Rc<Self>) {
        self.connected.set(self.connected.get().saturating_add(1));
        self.tell_known();
        tokio::task::spawn_local(Rc::clone(self).look());
    }

    fn knows_all(&self) -> bool {
        let is_followed = self.catching.borrow().is_empty() && !self.ledger.is_poisoned();
        self.learned.get() == self.connected.get() && !self.has_forgotten.get() && is_followed
    }

    /// Says to hot threads whether a Redis that does not answer may be stood in for.
    fn tell_known(&self) {
        let is_known = !self.is_behind() && !self.ledger.is_poisoned();
        self.is_known.store(is_known, Ordering::SeqCst);
    }

    fn is_behind(&self) -> bool {
        self.has_forgotten.get() || self.learned.get() != self.connected.get()
    }

    async fn settle(self: &Rc<Self>, draft: Draft, id: EntryId, answer: oneshot::Sender<Outcome>) {
        self.pending.borrow_mut().insert(id, None);
        let outcome = self.agree(&draft, id).await;
        self.pending.borrow_mut().remove(&id);
        // Whoever asked may have gone.
        let _gone = answer.send(outcome);
    }

    /// Offers a draft until it is known what became of it. Sent again it is known by its identity, so
    /// that it is in the log once at most.
    async fn agree(self: &Rc<Self>, draft: &Draft, id: EntryId) -> Outcome {
        if draft.events.len() > EVENTS_SIZE_MAX {
            tracing::error!("an entry would be too long for the shared log");
            return Outcome::Unavailable;
        }
        let command = |channel: &str| self.commands.append(draft, id, channel);
        let bucket = bucket_of(draft.owner);
        let mut in_doubt = false;
        let mut broken = 0;
        for _ in 0..ATTEMPTS {
            let called = self.routes.call(bucket, broken, UNSENT_FOR, &command);
            let Some((number, answer)) = called.await else {
                if in_doubt {
                    continue;
                }
                return Outcome::Unavailable;
            };
            match answer.map(Said::of) {
                Ok(Said::Nonsense) => {
                    tracing::warn!("Redis gave an answer that is none");
                    (in_doubt, broken) = (true, number);
                    self.routes.is_broken(broken);
                }
                Ok(Said::Claimed) => sleep(CLAIMED_PAUSE).await,
                // It may have been taken before that, and other nodes may give it back.
                Ok(Said::Forgot) if in_doubt => self.has_forgotten_doubtful().await,
                Ok(said) => return self.conclude(draft, id, said).await,
                Err(error) if is_unknown_function(&error) => {
                    if !in_doubt {
                        return self.conclude(draft, id, Said::Forgot).await;
                    }
                    self.has_forgotten_doubtful().await;
                }
                Err(error) if is_refusal(&error) => {
                    self.is_refused(&error, number);
                    if !in_doubt {
                        return Outcome::Unavailable;
                    }
                    sleep(IN_DOUBT_PAUSE).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "a command to Redis is in doubt");
                    (in_doubt, broken) = (true, number);
                    self.routes.is_broken(broken);
                }
            }
        }
        tracing::error!("what became of a decision in the shared log is unknown");
        Outcome::Unavailable
    }

    /// Redis may have forgotten whether it took an entry, until it is armed again.
    async fn has_forgotten_doubtful(&self) {
        self.refused();
        sleep(IN_DOUBT_PAUSE).await;
    }

    /// Redis does nothing of what it is sent over this connection.
    fn is_refused(&self, error: &RedisError, link: u64) {
        tracing::warn!(%error, "Redis refuses a command");
        let refusal = self.count.of(error);
        if refusal.is_elsewhere() {
            self.routes.is_broken(link);
        }
    }

    async fn conclude(self: &Rc<Self>, draft: &Draft, id: EntryId, said: Said) -> Outcome {
        let own = Entry {
            id,
            after: draft.after,
            authorization: draft.authorization,
            events: &draft.events,
        };
        let learned = match said {
            Said::Appended => self
                .learn(draft.owner, draft.expected, &own)
                .await
                .map(|_| ()),
            Said::Newer(entries) => self.learn_page(draft.owner, draft.expected, &entries).await,
            Said::Forgot => {
                self.refused();
                Err(Failed)
            }
            Said::Claimed | Said::Nonsense => Err(Failed),
        };
        if learned.is_err() {
            return Outcome::Unavailable;
        }
        match self.pending.borrow().get(&id).copied().flatten() {
            Some(position) => Outcome::Taken(position),
            None => Outcome::Newer,
        }
    }
}

#[cfg(test)]
mod tests;
