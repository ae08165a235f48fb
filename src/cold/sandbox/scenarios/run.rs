//! Plays acts one after the other, and keeps what the issuer knows.

use std::fmt;

use super::{Act, Sum};
use crate::cold::sandbox::SandboxError;
use crate::cold::sandbox::files::FileError;
use crate::cold::sandbox::keep::Keep;
use crate::cold::sandbox::life::{Entry, EntryKind, Life, Verdict};
use crate::cold::sandbox::new_id;
use crate::cold::sandbox::player::{Answered, Message, Player, WindowBooks};
use crate::cold::sandbox::shape::{Said, Shape};
use crate::domain::amount::{AMOUNT_MINOR_MAX, Amount};
use crate::domain::time::Timestamp;

/// More than any play card's limit on one authorization.
const TOO_MUCH: i64 = 1_000_000_000;

/// With what a scenario is played.
#[derive(Clone, Debug)]
pub struct Setting {
    /// In whose words.
    pub shape: Shape,
    /// The card's id in the snapshot; absent where that has no such card, and so no books of it.
    pub card: Option<String>,
    /// The issuer's token of the card.
    pub card_token: String,
    /// What the scenario's parts are parts of.
    pub amount: Amount,
    /// The merchant's name.
    pub merchant: String,
    /// Four digits.
    pub mcc: String,
    /// Three letters.
    pub country: String,
}

/// One delivery and its answer.
#[derive(Clone, Debug)]
pub struct Step {
    /// What was sent, in a few words.
    pub what: String,
    /// The body as it was sent.
    pub body: String,
    /// What came back.
    pub answered: Answered,
    /// The card's books after it.
    pub after: WindowBooks,
}

/// What was played.
#[derive(Debug)]
pub struct Played {
    /// Each delivery, in order.
    pub steps: Vec<Step>,
    /// The authorizations, in the order in which they began.
    pub lives: Vec<Life>,
}

/// What an act cannot be done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unplayable {
    /// There is no question to ask again, or nothing to report.
    NothingThere,
    /// The sum of its amounts is beyond the largest amount.
    TooLarge,
}

/// Why a scenario stopped.
#[derive(Debug)]
pub enum PlayError {
    /// An answer did not come.
    Sandbox(SandboxError),
    /// What the issuer knows cannot be kept.
    Keep(FileError),
    /// The act does not fit what was played before it.
    Unplayable(Unplayable),
}

impl fmt::Display for PlayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sandbox(error) => error.fmt(f),
            Self::Keep(error) => error.fmt(f),
            Self::Unplayable(Unplayable::NothingThere) => {
                f.write_str("there is no authorization yet that this could happen to")
            }
            Self::Unplayable(Unplayable::TooLarge) => {
                f.write_str("the amount is beyond the largest amount")
            }
        }
    }
}

impl std::error::Error for PlayError {}

impl From<SandboxError> for PlayError {
    fn from(error: SandboxError) -> Self {
        Self::Sandbox(error)
    }
}

impl From<FileError> for PlayError {
    fn from(error: FileError) -> Self {
        Self::Keep(error)
    }
}

/// A scenario under way.
pub struct Stage<'p> {
    player: &'p mut Player,
    keep: &'p Keep,
    setting: Setting,
    lives: Vec<Life>,
    steps: Vec<Step>,
    question: Option<Message>,
    last: Vec<Message>,
    kept_back: Option<Vec<Message>>,
}

impl<'p> Stage<'p> {
    /// An empty stage.
    #[must_use]
    pub fn new(player: &'p mut Player, keep: &'p Keep, setting: Setting) -> Self {
        Self {
            player,
            keep,
            setting,
            lives: Vec::new(),
            steps: Vec::new(),
            question: None,
            last: Vec::new(),
            kept_back: None,
        }
    }

    /// A stage on which this authorization has been played before.
    #[must_use]
    pub fn with(mut self, life: Life) -> Self {
        self.lives.push(life);
        self
    }

    /// Plays the acts, one after the other. What was played until then is told also where one of them
    /// does not come to its end.
    pub async fn play(mut self, acts: &[Act]) -> (Played, Result<(), PlayError>) {
        let mut ended = Ok(());
        for act in acts {
            ended = self.act(*act).await;
            if ended.is_err() {
                break;
            }
        }
        let played = Played {
            steps: self.steps,
            lives: self.lives,
        };
        (played, ended)
    }

    async fn act(&mut self, act: Act) -> Result<(), PlayError> {
        match act {
            Act::Ask(kind, sum) => {
                let amount = self.sum(sum)?;
                self.ask(kind, amount).await?;
                self.report().await
            }
            Act::AskTooMuch(kind) => {
                self.ask(kind, TOO_MUCH).await?;
                self.report().await
            }
            Act::AskThen(verdict) => self.ask_then(verdict).await,
            Act::AskAgain => self.ask_again().await,
            Act::StandIn => {
                // Lithic tells of it as an advice, the others as an authorization.
                let kind = match self.setting.shape {
                    Shape::Lithic => EntryKind::Advice,
                    Shape::Stripe | Shape::Marqeta => EntryKind::Authorization,
                };
                let amount = self.sum(Sum::Part(100))?;
                self.enter(kind, amount, Verdict::StoodIn);
                self.report().await
            }
            Act::Plan => {
                let amount = self.sum(Sum::Part(100))?;
                self.enter(EntryKind::Authorization, amount, Verdict::Approved);
                self.question = self.lives.last().map(Message::question);
                Ok(())
            }
            Act::AskPlanned => self.ask_planned().await,
            Act::Happen(kind, sum) => {
                let amount = self.sum(sum)?;
                self.enter(kind, amount, Verdict::Approved);
                self.report().await
            }
            Act::ClearLast(sum) => self.clear_last(sum).await,
            Act::KeepBack => {
                self.kept_back = Some(Vec::new());
                Ok(())
            }
            Act::ReportReversed => {
                let messages = self.kept_back.take().unwrap_or_default();
                for message in messages.iter().rev() {
                    self.deliver(message).await?;
                }
                Ok(())
            }
            Act::Repeat => {
                for message in self.last.clone() {
                    self.deliver(&message).await?;
                }
                Ok(())
            }
            Act::AnotherPurchase => {
                let life = self.begin();
                self.lives.push(life);
                Ok(())
            }
        }
    }

    fn sum(&self, sum: Sum) -> Result<i64, PlayError> {
        let whole = self.setting.amount.minor.get();
        let minor = match sum {
            Sum::Minor(minor) => Some(minor),
            Sum::Part(percent) => whole.checked_mul(percent).map(|it| it / 100),
        };
        let lawful = |minor: &i64| (0..=AMOUNT_MINOR_MAX).contains(minor);
        let minor = minor.filter(lawful);
        minor.ok_or(PlayError::Unplayable(Unplayable::TooLarge))
    }

    fn begin(&self) -> Life {
        let now = self.player.now();
        let id = id_of(self.setting.shape, "iauth_", now);
        let setting = &self.setting;
        Life {
            shape: setting.shape,
            id,
            card_token: setting.card_token.clone(),
            currency: setting.amount.currency.to_string(),
            merchant: setting.merchant.clone(),
            mcc: setting.mcc.clone(),
            country: setting.country.clone(),
            created_us: now.micros(),
            is_asked: false,
            entries: Vec::new(),
        }
    }

    fn enter(&mut self, kind: EntryKind, amount: i64, verdict: Verdict) {
        let now = self.player.now();
        let entry = Entry {
            id: id_of(self.setting.shape, "", now),
            kind,
            amount,
            verdict,
            at_us: now.micros(),
        };
        if self.lives.is_empty() {
            let life = self.begin();
            self.lives.push(life);
        }
        if let Some(life) = self.lives.last_mut() {
            life.entries.push(entry);
        }
    }

    fn newest_mut(&mut self) -> Option<&mut Entry> {
        self.lives.last_mut()?.entries.last_mut()
    }

    /// Asks, and enters what was decided.
    async fn ask(&mut self, kind: EntryKind, amount: i64) -> Result<(), PlayError> {
        self.enter(kind, amount, Verdict::Approved);
        let Some(life) = self.lives.last_mut() else {
            return Err(PlayError::Unplayable(Unplayable::NothingThere));
        };
        life.is_asked = true;
        let question = Message::question(life);
        self.question = Some(question.clone());
        let answered = self.deliver(&question).await?;
        if let Some(newest) = self.newest_mut() {
            match answered {
                Answered::Said(Said::Declined(_)) => newest.verdict = Verdict::Declined,
                Answered::Said(Said::Approved(Some(part))) => newest.amount = part,
                Answered::Said(Said::Approved(None)) | Answered::Took(_) => {}
            }
        }
        self.keep()
    }

    /// The issuer does otherwise than it was told.
    async fn ask_then(&mut self, verdict: Verdict) -> Result<(), PlayError> {
        let amount = self.sum(Sum::Part(100))?;
        self.ask(EntryKind::Authorization, amount).await?;
        if let Some(newest) = self.newest_mut()
            && newest.verdict == Verdict::Approved
        {
            newest.verdict = verdict;
        }
        self.report().await
    }

    async fn ask_again(&mut self) -> Result<(), PlayError> {
        let question = self.question.clone();
        let question = question.ok_or(PlayError::Unplayable(Unplayable::NothingThere))?;
        self.deliver(&question).await.map(drop)
    }

    /// What was decided about it comes after what has happened to it: nothing is reported anew.
    async fn ask_planned(&mut self) -> Result<(), PlayError> {
        let question = self.question.clone();
        let question = question.ok_or(PlayError::Unplayable(Unplayable::NothingThere))?;
        self.deliver(&question).await?;
        if let Some(life) = self.lives.last_mut() {
            life.is_asked = true;
        }
        self.keep()
    }

    /// Lithic has no last clearing: what is left of the hold is reversed. The others say it in the
    /// clearing.
    async fn clear_last(&mut self, sum: Sum) -> Result<(), PlayError> {
        let amount = self.sum(sum)?;
        if self.setting.shape != Shape::Lithic {
            self.enter(EntryKind::LastClearing, amount, Verdict::Approved);
            return self.report().await;
        }
        self.enter(EntryKind::Clearing, amount, Verdict::Approved);
        self.report().await?;
        let left = self.lives.last().map_or(0, |life| life.books().held);
        if left > 0 {
            self.enter(EntryKind::Reversal, left, Verdict::Approved);
            self.report().await?;
        }
        Ok(())
    }

    /// Reports the newest entry, or keeps the report back.
    async fn report(&mut self) -> Result<(), PlayError> {
        self.keep()?;
        let reports = self.lives.last().map(Message::reports).unwrap_or_default();
        if let Some(kept_back) = &mut self.kept_back {
            kept_back.extend(reports);
            return Ok(());
        }
        for message in &reports {
            self.deliver(message).await?;
        }
        self.last = reports;
        Ok(())
    }

    fn keep(&self) -> Result<(), PlayError> {
        match self.lives.last() {
            Some(life) => self.keep.put(life).map_err(PlayError::Keep),
            None => Ok(()),
        }
    }

    async fn deliver(&mut self, message: &Message) -> Result<Answered, PlayError> {
        let answered = self.player.deliver(message).await?;
        let after = match &self.setting.card {
            Some(card) => self.player.books(card).await?,
            None => WindowBooks::default(),
        };
        self.steps.push(Step {
            after,
            what: message.what.clone(),
            body: message.body.clone(),
            answered: answered.clone(),
        });
        Ok(answered)
    }
}

/// An id as the issuer would write it, growing with time.
fn id_of(shape: Shape, prefix: &str, now: Timestamp) -> String {
    let id = new_id(now);
    match shape {
        Shape::Lithic | Shape::Marqeta => id,
        Shape::Stripe => format!("{prefix}{}", id.replace('-', "")),
    }
}
