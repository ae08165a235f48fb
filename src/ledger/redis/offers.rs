//! The end of the shared log on hot threads: drafts are offered, and owners take turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};

use crate::domain::card::Key;
use crate::ledger::embedded::journal::Position;
use crate::ledger::embedded::store::Draft;
use crate::ledger::shared::EntryId;

/// Drafts that may wait to be sent; more are refused.
const WAITING_MAX: usize = 16_384;
/// Owners take turns by so many locks, so that few wait for a stranger.
const TURNS: usize = 4_096;

/// What became of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The log has taken it; the node's journal has it at this position.
    Taken(Position),
    /// The log has taken others before. The node has learned them: decide again.
    Newer,
    /// Nothing is known to have been taken.
    Unavailable,
}

/// The right to offer a draft for an owner: one at a time in a node, because the second would be decided
/// on a state without the first.
pub struct Turn {
    owner: Key,
    _held: OwnedMutexGuard<()>,
}

impl Turn {
    /// For whom.
    #[must_use]
    pub fn owner(&self) -> Key {
        self.owner
    }
}

/// What is asked of the node's thread.
pub(super) enum Request {
    /// To have the log take a draft.
    Offer {
        draft: Draft,
        id: EntryId,
        answer: oneshot::Sender<Outcome>,
    },
    /// To learn what the log has of an owner, and, where it claims, to have it take nobody else's entries for
    /// a short while. Whether that is all learned.
    Follow {
        owner: Key,
        claims: bool,
        answer: oneshot::Sender<bool>,
    },
    /// To find out whether all that was in the log has been learned.
    Prove { answer: oneshot::Sender<bool> },
}

/// The end that offers drafts.
pub struct SharedLog {
    requests: mpsc::Sender<Request>,
    turns: Box<[Arc<Mutex<()>>]>,
    node: u64,
    offered: AtomicU64,
    is_known: Arc<AtomicBool>,
}

impl SharedLog {
    /// The end of a node with this number, and the other one.
    pub(super) fn of_node(
        node: u64,
        is_known: &Arc<AtomicBool>,
    ) -> (Self, mpsc::Receiver<Request>) {
        let (requests, asked) = mpsc::channel(WAITING_MAX);
        let log = Self {
            requests,
            turns: (0..TURNS).map(|_| Arc::default()).collect(),
            node,
            offered: AtomicU64::new(0),
            is_known: Arc::clone(is_known),
        };
        (log, asked)
    }

    /// Whether this node knew all of the log when it was last able to ask, and no Redis that it reached since may
    /// have forgotten anything. While that is so, one that does not answer may be stood in for (decision 0042).
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.is_known.load(Ordering::SeqCst)
    }

    fn lock_of(&self, owner: Key) -> Arc<Mutex<()>> {
        let [.., high, low] = owner.0.to_be_bytes();
        let at = usize::from(u16::from_be_bytes([high, low])) % TURNS;
        self.turns.get(at).map(Arc::clone).unwrap_or_default()
    }

    /// The turn of an owner, if nobody has it.
    #[must_use]
    pub fn try_turn(&self, owner: Key) -> Option<Turn> {
        let held = self.lock_of(owner).try_lock_owned().ok()?;
        Some(Turn { owner, _held: held })
    }

    /// The turn of an owner, after those who asked before.
    pub async fn turn(&self, owner: Key) -> Turn {
        let held = self.lock_of(owner).lock_owned().await;
        Turn { owner, _held: held }
    }

    /// Offers a draft. Whoever does not wait for the outcome must ask for it later: the log may take
    /// the draft all the same.
    #[must_use]
    pub fn offer(&self, draft: Draft) -> oneshot::Receiver<Outcome> {
        let (answer, answered) = oneshot::channel();
        let count = self.offered.fetch_add(1, Ordering::Relaxed);
        let id = EntryId(u128::from(self.node) << 64 | u128::from(count));
        // Where the queue is full the sender is dropped, which says so.
        let _full = self.requests.try_send(Request::Offer { draft, id, answer });
        answered
    }

    /// Has this node learn what the log of an owner has by now. Whether it did.
    pub async fn follow(&self, owner: Key) -> bool {
        self.learn(owner, false).await
    }

    /// The same, and has the log take no entry of another node for a short while, so that whoever has the turn
    /// of the owner comes first. Where another node was first with that, this node only learns.
    pub async fn claim(&self, turn: &Turn) -> bool {
        self.learn(turn.owner, true).await
    }

    async fn learn(&self, owner: Key, claims: bool) -> bool {
        let (answer, answered) = oneshot::channel();
        let request = Request::Follow {
            owner,
            claims,
            answer,
        };
        // The same.
        let _full = self.requests.try_send(request);
        answered.await.unwrap_or(false)
    }

    /// Whether this node has learned everything that was in the log of any owner when it was asked. Not
    /// while it is cut off, nor until it has caught up.
    pub async fn knows_all(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        // The same.
        let _full = self.requests.try_send(Request::Prove { answer });
        answered.await.unwrap_or(false)
    }
}
