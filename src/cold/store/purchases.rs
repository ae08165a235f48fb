//! Purchase requests, as rows.

use serde::{Deserialize, Serialize};

use super::rows::{
    MODES, currency, instant, maybe_number, maybe_text, number, text, unknown, word,
};
use super::sql::{BEHIND_ALL, Columns, Statement, most};
use super::{Listed, Mode, StoreError};
use crate::decide::merchant_text::list::MerchantEntry;
use crate::decide::purchase::CardUse;
use crate::domain::amount::{Amount, Minor};
use crate::domain::time::Timestamp;

/// Their table. A key of a caller is unique for its agent, which is how of two requests at a time one
/// is kept.
pub(super) const TABLES: &str = "
CREATE TABLE purchases (
    id TEXT NOT NULL PRIMARY KEY,
    mode TEXT NOT NULL,
    customer_id TEXT NOT NULL REFERENCES customers (id),
    agent_id TEXT NOT NULL REFERENCES agents (id),
    state TEXT NOT NULL,
    called TEXT,
    host TEXT NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    asked TEXT NOT NULL,
    terms TEXT NOT NULL,
    reason TEXT,
    note TEXT,
    decided_by TEXT,
    decided_us INTEGER,
    card_id TEXT,
    due_us INTEGER,
    created_us INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    UNIQUE (agent_id, called)
) STRICT, WITHOUT ROWID;
CREATE INDEX purchases_alike ON purchases (agent_id, host, created_us);
CREATE INDEX purchases_due ON purchases (due_us);
CREATE INDEX purchases_of_card ON purchases (card_id);
";

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurchaseState {
    /// A human decides.
    PendingReview,
    /// It is approved, and its card is being made.
    Issuing,
    /// Its card is there.
    Approved,
    /// It is denied.
    Denied,
    /// It is denied because no card came, and whether there is one is still being found out.
    Withdrawing,
    /// Its card is over.
    Expired,
}

impl PurchaseState {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::PendingReview,
        Self::Issuing,
        Self::Approved,
        Self::Denied,
        Self::Withdrawing,
        Self::Expired,
    ];

    /// The word in the column.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PendingReview => "pending_review",
            Self::Issuing => "issuing",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Withdrawing => "withdrawing",
            Self::Expired => "expired",
        }
    }
}

/// What the agent wrote. Texts are data: no rule looks at them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct PurchaseAsked {
    pub merchant_url: String,
    pub merchant_name: Option<String>,
    pub description: String,
    pub justification: String,
    pub category_hint: Option<String>,
}

/// A rule or a limit that a human may waive, or has waived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// The stable code.
    pub code: String,
    /// One sentence.
    pub text: String,
    /// Whose rule or limit it is; absent where no one level's is broken.
    pub level: Option<String>,
    /// The limit's path, where it is one of the ledger's.
    pub field: Option<String>,
    /// How much it allowed, where it is a cap: minor units, or how many.
    #[serde(default)]
    pub cap: Option<i64>,
}

/// A merchant that a card is bound to, as policies have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BoundTo {
    /// By its name, or how that begins.
    Name(String),
    /// By its id at its bank.
    #[serde(rename_all = "camelCase")]
    AcceptorId {
        /// The id.
        acceptor_id: String,
    },
}

impl From<MerchantEntry> for BoundTo {
    fn from(entry: MerchantEntry) -> Self {
        match entry {
            MerchantEntry::Name(name) => Self::Name(name.into()),
            MerchantEntry::AcceptorId(id) => Self::AcceptorId {
                acceptor_id: id.into(),
            },
        }
    }
}

/// What all attempts at the card have in common, from the approval on: a card that may be there is
/// looked for where it was ordered, since when it was ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderTerms {
    /// When it was approved.
    pub at_us: i64,
    /// The connection that makes the card; absent where there was none then, so that none was asked.
    pub connection: Option<String>,
}

/// What the card will be, and what the decision rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct PurchaseTerms {
    /// The amount with its tolerance, in minor units.
    pub earmark: i64,
    /// Codes and ranges; empty where amount and first merchant alone bind the card.
    pub mccs: Vec<String>,
    /// Names and ids, as policies have them; empty where no map knew the host.
    pub merchants: Vec<BoundTo>,
    /// Whether nothing binds it but names.
    #[serde(default)]
    pub is_weak: bool,
    pub card_ttl_minutes: u32,
    /// Whether the card is good for purchases until the amount is spent, and not for one alone.
    #[serde(default)]
    pub until_spent: bool,
    /// What a reviewer is shown; after an approval, what is waived.
    pub causes: Vec<Broken>,
    /// Counts the earmarks that were asked for.
    pub attempt: u32,
    /// The id that the card has, or will have.
    pub card_id: String,
    /// How the card is ordered; absent until it is approved.
    #[serde(default)]
    pub order: Option<OrderTerms>,
    /// The approval in advance that it rests on; absent where rules or a reviewer approved it.
    #[serde(default)]
    pub standing: Option<String>,
    /// When the card ends, once there is one.
    pub card_expires_us: Option<i64>,
    /// What would have passed.
    pub suggestion: Option<String>,
    /// When the card's number was shown first.
    #[serde(default)]
    pub shown_us: Option<i64>,
}

/// One purchase request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of the same name")]
pub struct Purchase {
    pub id: String,
    pub mode: Mode,
    pub customer_id: String,
    pub agent_id: String,
    pub state: PurchaseState,
    /// The agent's idempotency key.
    pub called: Option<String>,
    /// The merchant's host, in A-labels.
    pub host: String,
    pub amount: Amount,
    pub asked: PurchaseAsked,
    pub terms: PurchaseTerms,
    /// Why it is denied: a stable code.
    pub reason: Option<String>,
    /// The same in a sentence, or a reviewer's words.
    pub note: Option<String>,
    /// The key that approved or denied it; absent where rules did.
    pub decided_by: Option<String>,
    pub decided_at: Option<Timestamp>,
    /// The card, once it is kept.
    pub card_id: Option<String>,
    /// When it has to be looked at again.
    pub due_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub revision: i64,
}

impl Purchase {
    /// How often its card may be used.
    #[must_use]
    pub fn card_use(&self) -> CardUse {
        if self.terms.until_spent {
            CardUse::UntilSpent
        } else {
            CardUse::Single
        }
    }
}

/// Which request is asked for.
#[derive(Clone, Debug)]
pub enum PurchaseWanted {
    /// The one of this id.
    One(String),
    /// The one that the agent calls so.
    Called(String, String),
    /// The latest like this one, not denied, made since an instant.
    Alike {
        /// Whose.
        agent_id: String,
        /// Where.
        host: String,
        /// How much.
        amount: Amount,
        /// Since when.
        since: Timestamp,
    },
    /// The one whose card it is.
    OfCard(String),
}

/// By which the ones that wait are counted.
pub(super) const IN_REVIEW: &str = "
CREATE INDEX purchases_in_review ON purchases (agent_id) WHERE state = 'pending_review';
";

/// By which those that their agent gave up are counted.
pub(super) const GIVEN_UP: &str = "
CREATE INDEX purchases_given_up ON purchases (agent_id, decided_us) WHERE reason = 'given_up_by_agent';
";

/// Which approval in advance has answered it, by which its requests are counted.
pub(super) const STANDING: &str = "
ALTER TABLE purchases ADD COLUMN standing TEXT;
CREATE INDEX purchases_in_advance ON purchases (agent_id, standing, decided_us)
    WHERE standing IS NOT NULL;
";

/// Requests that an approval in advance has answered.
#[derive(Clone, Debug)]
pub struct InAdvance {
    /// Whose.
    pub agent_id: String,
    /// The approval's name.
    pub name: String,
    /// Approved later than this.
    pub since: Timestamp,
}

pub(super) fn one(wanted: PurchaseWanted) -> Statement {
    match wanted {
        PurchaseWanted::One(id) => Statement::of("SELECT * FROM purchases WHERE id = $1").bind(id),
        PurchaseWanted::Called(agent_id, called) => {
            Statement::of("SELECT * FROM purchases WHERE agent_id = $1 AND called = $2")
                .bind(agent_id)
                .bind(called)
        }
        PurchaseWanted::Alike {
            agent_id,
            host,
            amount,
            since,
        } => Statement::of(
            "SELECT * FROM purchases WHERE agent_id = $1 AND host = $2 AND created_us > $3
                AND amount = $4 AND currency = $5 AND state <> 'denied' AND state <> 'withdrawing'
             ORDER BY id DESC LIMIT 1",
        )
        .bind(agent_id)
        .bind(host)
        .bind(since.micros())
        .bind(amount.minor.get())
        .bind(amount.currency.to_string()),
        PurchaseWanted::OfCard(card_id) => {
            Statement::of("SELECT * FROM purchases WHERE card_id = $1").bind(card_id)
        }
    }
}

pub(super) fn list(listed: Listed, state: Option<PurchaseState>) -> Statement {
    Statement::of(
        "SELECT * FROM purchases WHERE mode = $1 AND id < $2 AND ($3 = '' OR customer_id = $3)
            AND ($4 = '' OR agent_id = $4) AND ($5 = '' OR state = $5) ORDER BY id DESC LIMIT $6",
    )
    .bind(listed.mode.name())
    .bind(listed.after.unwrap_or_else(|| BEHIND_ALL.to_owned()))
    .bind(listed.customer_id.unwrap_or_default())
    .bind(listed.agent_id.unwrap_or_default())
    .bind(state.map_or("", PurchaseState::name))
    .bind(most(listed.limit))
}

/// How many of an agent's wait for a human, or were given up by it since an instant.
pub(super) fn in_review(agent_id: String, given_up_since: Timestamp) -> Statement {
    Statement::of(
        "SELECT (SELECT COUNT(*) FROM purchases WHERE agent_id = $1 AND state = 'pending_review')
            + (SELECT COUNT(*) FROM purchases
                WHERE agent_id = $1 AND reason = 'given_up_by_agent' AND decided_us > $2) AS number",
    )
    .bind(agent_id)
    .bind(given_up_since.micros())
}

pub(super) fn in_advance(asked: InAdvance, limit: usize) -> Statement {
    Statement::of(
        "SELECT * FROM purchases WHERE agent_id = $1 AND standing = $2 AND decided_us > $3
            AND state IN ('issuing', 'approved', 'expired', 'withdrawing')
         ORDER BY decided_us DESC LIMIT $4",
    )
    .bind(asked.agent_id)
    .bind(asked.name)
    .bind(asked.since.micros())
    .bind(most(limit))
}

pub(super) fn due(now: Timestamp, limit: usize) -> Statement {
    Statement::of("SELECT * FROM purchases WHERE due_us <= $1 ORDER BY due_us LIMIT $2")
        .bind(now.micros())
        .bind(most(limit))
}

pub(super) fn row(row: &dyn Columns) -> Result<Purchase, StoreError> {
    let minor = Minor::new(number(row, "amount")?).map_err(|_out_of_range| unknown("amount"))?;
    let json = |column| text(row, column);
    Ok(Purchase {
        id: text(row, "id")?,
        mode: word(row, "mode", MODES)?,
        customer_id: text(row, "customer_id")?,
        agent_id: text(row, "agent_id")?,
        state: word(row, "state", PurchaseState::ALL.map(|it| (it.name(), it)))?,
        called: maybe_text(row, "called")?,
        host: text(row, "host")?,
        amount: Amount {
            minor,
            currency: currency(row, "currency")?,
        },
        asked: serde_json::from_str(&json("asked")?).map_err(|_malformed| unknown("asked"))?,
        terms: serde_json::from_str(&json("terms")?).map_err(|_malformed| unknown("terms"))?,
        reason: maybe_text(row, "reason")?,
        note: maybe_text(row, "note")?,
        decided_by: maybe_text(row, "decided_by")?,
        decided_at: maybe_number(row, "decided_us")?.map(Timestamp::from_micros),
        card_id: maybe_text(row, "card_id")?,
        due_at: maybe_number(row, "due_us")?.map(Timestamp::from_micros),
        created_at: instant(row, "created_us")?,
        revision: number(row, "revision")?,
    })
}

pub(super) fn put(row: Purchase) -> Statement {
    let sql = if row.revision == 0 {
        "INSERT INTO purchases (mode, customer_id, agent_id, state, called, host, amount, currency,
            asked, terms, reason, note, decided_by, decided_us, card_id, due_us, created_us, standing,
            id, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
            $19, $20 + 1)"
    } else {
        "UPDATE purchases SET mode = $1, customer_id = $2, agent_id = $3, state = $4, called = $5,
            host = $6, amount = $7, currency = $8, asked = $9, terms = $10, reason = $11, note = $12,
            decided_by = $13, decided_us = $14, card_id = $15, due_us = $16, created_us = $17,
            standing = $18, revision = revision + 1
         WHERE id = $19 AND revision = $20"
    };
    // Structs of texts and numbers always have a JSON form.
    let asked = serde_json::to_string(&row.asked).unwrap_or_default();
    let terms = serde_json::to_string(&row.terms).unwrap_or_default();
    Statement::of(sql)
        .bind(row.mode.name())
        .bind(row.customer_id)
        .bind(row.agent_id)
        .bind(row.state.name())
        .bind(row.called)
        .bind(row.host)
        .bind(row.amount.minor.get())
        .bind(row.amount.currency.to_string())
        .bind(asked)
        .bind(terms)
        .bind(row.reason)
        .bind(row.note)
        .bind(row.decided_by)
        .bind(row.decided_at.map(Timestamp::micros))
        .bind(row.card_id)
        .bind(row.due_at.map(Timestamp::micros))
        .bind(row.created_at.micros())
        .bind(row.terms.standing)
        .bind(row.id)
        .bind(row.revision)
}
