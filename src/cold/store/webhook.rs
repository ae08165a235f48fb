//! Rows of outgoing webhooks: who is told, what, and how often that was tried (behaviour 8.5).
//!
//! A notice is what is told once to each endpoint that wants it. It is kept in the transaction of
//! what it tells of, one delivery for each endpoint, so that neither is there without the other.

use super::Mode;
use super::nodes::LogMark;
use super::review_links::ReviewLink;
use crate::domain::time::Timestamp;

/// What stands before the name under which an endpoint's secrets are sealed. No connection is called
/// so.
const SEALED: &str = "webhook:";

/// The names under which the secrets of an endpoint are sealed: the one that signs, and the one before.
#[must_use]
pub fn sealed_names(webhook_id: &str) -> [String; 2] {
    ["current", "previous"].map(|which| format!("{SEALED}{webhook_id}:{which}"))
}

/// In whose form an endpoint is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// A program's: signed JSON.
    Webhook,
    /// A chat's incoming webhook, whose address is itself the secret.
    Slack,
    /// A person's mailbox.
    Email,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 3] = [Self::Webhook, Self::Slack, Self::Email];

    /// The word in columns and on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Slack => "slack",
            Self::Email => "email",
        }
    }
}

/// One endpoint. Its secrets are sealed elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// Of what it is told.
    pub mode: Mode,
    /// Whose events it is told; of all customers where it is absent.
    pub customer_id: Option<String>,
    /// In whose form it is told.
    pub channel: Channel,
    /// Whether a notice of a review holds a link that decides it once.
    pub has_links: bool,
    /// Where it is; of a chat no more than its server, of a person `mailto:` and the address.
    pub url: String,
    /// What people see.
    pub name: Option<String>,
    /// What it is told of.
    pub kinds: Vec<String>,
    /// Whether it is told anything.
    pub is_enabled: bool,
    /// Why it is told nothing, where that was not its owner's word.
    pub disabled_because: Option<String>,
    /// The end of the time in which the secret of before signs too.
    pub previous_until: Option<Timestamp>,
    /// Since when every attempt was in vain.
    pub failing_since: Option<Timestamp>,
    /// Whether so much waits for it that nothing more is kept.
    pub is_full: bool,
    /// What was not kept for that.
    pub dropped: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts its owner's changes; 0 is a row that is not kept yet.
    pub revision: i64,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is tried when it is due.
    Waiting,
    /// The receiver has taken it.
    Done,
    /// It is tried no more, until somebody replays it.
    Dead,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Done, Self::Dead];

    /// The word in columns and views.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

/// What is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Stands in `webhook-id`, the same however often it is sent.
    pub id: String,
    /// Whose.
    pub mode: Mode,
    /// Whose.
    pub customer_id: String,
    /// What happened, like `card.locked`.
    pub kind: &'static str,
    /// The bytes that are sent.
    pub body: String,
    /// When it was kept.
    pub at: Timestamp,
}

/// One notice on its way to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// To whom.
    pub webhook_id: String,
    /// The notice's.
    pub id: String,
    /// The notice's.
    pub kind: String,
    /// The notice's.
    pub body: String,
    /// How it stands.
    pub state: DeliveryState,
    /// Since when it waits.
    pub created_at: Timestamp,
    /// When it is tried next.
    pub due_at: Timestamp,
    /// How often it was tried since it was last asked for.
    pub attempts: u32,
    /// When it was tried last.
    pub tried_at: Option<Timestamp>,
    /// The status of the last answer, where there was one.
    pub last_status: Option<u16>,
    /// Why the last attempt was in vain.
    pub last_error: Option<String>,
    /// Counts its changes.
    pub version: i64,
}

/// An endpoint for which something waits that is to be tried now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub webhook_id: String,
    /// Whether the last attempts at it were in vain.
    pub is_failing: bool,
}

/// Which deliveries are asked for.
#[derive(Clone, Debug)]
pub enum DeliveriesAsked {
    /// Those to an endpoint that are to be tried now, the longest waiting first.
    Due(String, Timestamp, usize),
    /// The one to an endpoint of this id.
    One(String, String),
    /// Those to an endpoint, newest first.
    Of {
        /// To whom.
        webhook_id: String,
        /// In this state alone.
        state: Option<DeliveryState>,
        /// Behind the one of this id.
        after: Option<String>,
        /// At most this many.
        limit: usize,
    },
}

/// How much waits for one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryCount {
    /// Whose.
    pub webhook_id: String,
    /// Of which state.
    pub state: DeliveryState,
    /// How many.
    pub count: i64,
    /// The oldest one's.
    pub oldest_at: Timestamp,
}

/// Something that an owner wanted to know at once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Alert {
    pub id: String,
    /// What it is about: there is one of each.
    pub name: String,
    pub mode: Mode,
    pub customer_id: String,
    pub card_id: String,
    pub kind: String,
    /// As webhooks are told of it.
    pub body: String,
    pub created_at: Timestamp,
}

/// How far somebody has read the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The segment of the last record that was read.
    pub segment: u64,
    /// The number of that record.
    pub sequence: u64,
}

/// A change of these rows.
#[derive(Clone, Debug)]
pub enum WebhookChange {
    /// As its owner wants it; new where its revision is 0.
    Webhook(Webhook),
    /// It is gone, with its deliveries and its secrets.
    Gone(String),
    /// Something to be told to every endpoint that wants it.
    Told(Notice),
    /// Something to be told to this endpoint, whatever it wants.
    ToldTo(String, Notice),
    /// An alert of whose name there is none.
    Alert(Alert),
    /// What became of an attempt, unless it was asked for anew in between.
    Tried(Delivery),
    /// A delivery is tried anew, from now on.
    Again(Delivery),
    /// Since when every attempt at this endpoint is in vain.
    Failing(String, Option<Timestamp>),
    /// The endpoint is told nothing more, for this reason.
    Disabled(String, String),
    /// Whether more is kept for this endpoint.
    Full(String, bool),
    /// What waited to be tried since before this instant is tried no more.
    TooOld(Timestamp),
    /// Of one endpoint's deliveries in this state, those of before this instant are forgotten, and
    /// all but this many of the newest.
    Forget(String, DeliveryState, Timestamp, i64),
    /// Alerts whose ids are older than this one are shown no more, some of them at a time. Those of
    /// limits without a window stay: they are told once.
    ForgetAlerts(String),
    /// A link that was put into a notice, unless it is there already.
    Link(ReviewLink),
    /// The link with this hash has decided, which it had not before.
    LinkUsed([u8; 32], String, Timestamp),
    /// Links that ended before this instant are forgotten.
    ForgetLinks(Timestamp),
    /// Those that were sent through this endpoint are: it leads elsewhere.
    ForgetLinksOf(String),
    /// The reader of this name has come from here to there.
    Read(String, Mark, Mark),
    /// The reader of this name has come from so many entries of an owner's log to more.
    ReadLog(String, u64, LogMark),
}
