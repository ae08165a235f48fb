//! Books what an issuer reports after it has asked, or without asking (behaviour 2.16).

use crate::domain::lifecycle::{BookStatus, Flags, MovementKind, StandingStatus};
use crate::domain::time::Timestamp;
use crate::ledger::authorization::{Authorization, Step};
use crate::ledger::check::windows::Windows;
use crate::ledger::check::{Events, Parties, open, parties};
use crate::ledger::codec::ExternalId;
use crate::ledger::command::{Book, BookAnswer, Refused};
use crate::ledger::event::{AgentNo, Booked, CardNo, DeclinedThere, Event, LockedMerchant};
use crate::ledger::life::{FACTS_MAX, Fact, Life, Told, is_posting, may_be_known};
use crate::ledger::state::State;

/// What the ledger says to a report, before its events have a position in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedBook<'a> {
    /// The answer. Of what was applied, the position is absent until the journal has given one.
    pub answer: BookAnswer,
    /// What has to be recorded.
    pub events: Events<'a>,
}

/// What is new in a report.
struct News {
    facts: Vec<Fact>,
    told: Option<Told>,
}

impl News {
    /// As much of it as is kept of one authorization. Steps are left out first where there is an account,
    /// which counts them.
    fn that_fit(mut self, life: Option<&Life>) -> Result<Self, Refused> {
        let kept = life.map_or(0, |life| life.facts.len());
        let is_new = |fact: &&Fact| life.is_none_or(|life| life.fact(fact.id).is_none());
        let fits = |facts: &[Fact]| kept + facts.iter().filter(is_new).count() <= FACTS_MAX;
        let has_account = self.told.is_some() || life.is_some_and(|it| it.told.is_some());
        if has_account && !fits(&self.facts) {
            self.facts.retain(|fact| !is_step(fact));
        }
        fits(&self.facts).then_some(self).ok_or(Refused)
    }
}

/// Whether it only says that a step was asked for, and how the issuer answered.
fn is_step(fact: &Fact) -> bool {
    matches!(fact.kind, MovementKind::Authorized | MovementKind::Declined)
}

/// Compares a report with the books.
///
/// # Errors
/// [`Refused`] where the state has no number left, or the report brings more than is kept of one
/// authorization.
pub fn book<'a>(state: &State, command: &Book<'a>) -> Result<CheckedBook<'a>, Refused> {
    let known = state.authorization(command.authorization);
    let life = known.and_then(Authorization::life);
    let news = news(known, life, command)?.that_fit(life)?;
    let has_drifted = drifts(state, known, command) && !life.is_some_and(|it| it.has_drifted);
    let learns = known.is_some_and(|known| {
        let longer = known.hold_time().and(command.hold_time) != known.hold_time();
        longer && says_something(command)
    });
    if news.facts.is_empty() && news.told.is_none() && !has_drifted && !learns {
        return Ok(nothing_new(life, command));
    }
    let parties = command.card.map(|card| parties(state, &card)).transpose()?;
    let mut events = match (&parties, command.card) {
        (Some(parties), Some(card)) => open(state, &card, parties),
        _ => Events::default(),
    };
    let mut booked = Booked {
        state: state.no,
        at: command.at,
        authorization: command.authorization,
        external: ExternalId::new(command.external),
        card: card_of(state, known, parties.as_ref(), command),
        agent: agent_of(known, parties.as_ref()),
        day: state.day,
        hour: state.hour,
        currency: command.currency,
        hold_time: command.hold_time,
        facts: news.facts,
        told: news.told,
        refunds_restore: command.terms.refunds_restore,
        on_reversal: command.terms.on_reversal,
        has_drifted,
        consumes: false,
        locks: None,
        declined: None,
    };
    let Foreseen {
        flags: after,
        charges,
        moves,
        declined,
    } = foresee(known, &booked);
    booked.declined = declined.map(|ordinal| DeclinedThere {
        ordinal,
        amount: command.declined,
    });
    // Also where an approval of ours stands: it may turn out not to have left.
    if moves {
        let uses = life.and_then(|life| life.uses.as_deref());
        booked.consumes = command.terms.single_use && !uses.is_some_and(|it| it.consumes);
        let has_locked = uses.is_some_and(|it| it.lock.is_some());
        booked.locks = locked_by(command).filter(|_| !has_locked);
    }
    if charges && booked.card.is_some() {
        charge_now(state, command, &mut booked, &mut events);
    }
    let before = known.and_then(Authorization::books).unwrap_or_default();
    events.done = Some(Event::Booked(booked));
    let answer = BookAnswer {
        status: BookStatus::Applied,
        position: None,
        raised: after.since(before.flags),
    };
    Ok(CheckedBook { answer, events })
}

/// What has to be charged is charged to the windows under way.
fn charge_now<'a>(
    state: &State,
    command: &Book<'a>,
    booked: &mut Booked<'a>,
    events: &mut Events<'a>,
) {
    let windows = Windows::new(state, &command.calendar, command.at);
    (booked.day, booked.hour) = (windows.day, windows.hour);
    let opened = windows.opened(state, &command.calendar);
    events.opened.extend(
        opened.map(|(day, day_ends, hour_offset_s)| Event::WindowsOpened {
            state: state.no,
            day,
            day_ends,
            hour_offset_s,
        }),
    );
}

fn nothing_new<'a>(life: Option<&Life>, command: &Book<'_>) -> CheckedBook<'a> {
    let is_older = |told: &Told| {
        let known = life.and_then(|life| life.told);
        known.is_some_and(|known| known.is_newer_than(told))
    };
    let status = match life {
        Some(_) if command.told.as_ref().is_some_and(is_older) => BookStatus::Stale,
        Some(_) if says_something(command) => BookStatus::Duplicate,
        _ => BookStatus::Ignored,
    };
    let rests = life.filter(|_| status != BookStatus::Ignored);
    CheckedBook {
        answer: BookAnswer {
            status,
            position: rests.map(|life| life.position),
            raised: Flags::default(),
        },
        events: Events::default(),
    }
}

fn says_something(command: &Book<'_>) -> bool {
    command.told.is_some() || command.facts.iter().any(keeps)
}

fn keeps(fact: &Fact) -> bool {
    fact.kind != MovementKind::Noted
}

fn news(
    known: Option<&Authorization>,
    life: Option<&Life>,
    command: &Book<'_>,
) -> Result<News, Refused> {
    let told = command.told.filter(|told| {
        // The end of something that nobody knows of: a reversal whose original was not found.
        let is_nothing = told.asks == 0
            && told.status == StandingStatus::Declined
            && told.posted.is_none_or(|it| it.is_zero())
            && told.refunded.is_none_or(|it| it.is_zero());
        !(is_nothing && known.is_none())
    });
    let told = told.map(|told| {
        // An end that comes after our decisions is one of all of them, and an old one that comes late is
        // none of what was decided since (behaviour 2.16).
        let covered = match known {
            Some(known) if told.status.is_final() => decided_by(known, told.made_at),
            _ => 0,
        };
        Told {
            asks: told.asks.max(covered),
            ..told
        }
    });
    let told = told.filter(|told| life.is_none_or(|life| life.is_news(told)));
    let mut seen = Life::default();
    let is_long = command.told.is_some() && command.facts.len() > FACTS_MAX;
    let fits = |fact: &&Fact| keeps(fact) && !(is_long && is_step(fact));
    for fact in command.facts.iter().filter(fits) {
        if !seen.learn(*fact) {
            return Err(Refused);
        }
    }
    let news = |fact: Fact| match life {
        Some(life) => life.news(fact),
        None => Some(fact),
    };
    Ok(News {
        facts: seen.facts.into_iter().filter_map(news).collect(),
        told,
    })
}

/// How many steps had been decided when the issuer made an account: all where it does not say when.
fn decided_by(known: &Authorization, made_at: Option<Timestamp>) -> u32 {
    let decided = known.steps().filter(|step| may_be_known(step.at, made_at));
    u32::try_from(decided.count()).unwrap_or(u32::MAX)
}

/// Whether somebody posts whom a lock of the card does not admit: the owner's, or the first
/// merchant's.
fn drifts(state: &State, known: Option<&Authorization>, command: &Book<'_>) -> bool {
    let posts = |fact: &Fact| is_posting(fact.kind);
    let Some(merchant) = command.merchant.filter(|_| command.facts.iter().any(posts)) else {
        return false;
    };
    let preset = command.terms.preset_lock;
    if preset.is_some_and(|lock| !lock.admits(&merchant)) {
        return true;
    }
    let of_card = known.and_then(|known| state.card(known.card()?));
    let card = of_card.or_else(|| state.card_by_key(command.card_key).map(|(_, card)| card));
    card.and_then(|card| card.lock.as_ref())
        .is_some_and(|lock| !lock.keys.is_same_merchant(&merchant))
}

/// The card that the authorization was decided for, else the one that the report names.
fn card_of(
    state: &State,
    known: Option<&Authorization>,
    parties: Option<&Parties<'_>>,
    command: &Book<'_>,
) -> Option<CardNo> {
    let named = parties.map(|parties| parties.card_no);
    let used = || state.card_by_key(command.card_key).map(|(no, _)| no);
    known.and_then(Authorization::card).or(named).or_else(used)
}

/// The agent that asked first, else the one that holds the card now.
fn agent_of(known: Option<&Authorization>, parties: Option<&Parties<'_>>) -> Option<AgentNo> {
    match known.and_then(|known| known.steps().next()) {
        Some(first) => first.agent,
        None => parties.and_then(|parties| parties.agent_no),
    }
}

/// The merchant of the report, where the card is locked to the first.
fn locked_by<'a>(command: &Book<'a>) -> Option<LockedMerchant<'a>> {
    let keys = command.merchant.filter(|_| command.terms.locks_to_first);
    let named = keys.zip(command.acceptor);
    named.map(|(keys, acceptor)| LockedMerchant::of(keys, acceptor))
}

/// What an event will come to.
#[derive(Default)]
struct Foreseen {
    /// The flags after it.
    flags: Flags,
    /// Whether something has to be charged now.
    charges: bool,
    /// Whether money moves.
    moves: bool,
    /// The number of the step that the issuer has declined by itself, where that is news.
    declined: Option<u32>,
}

fn foresee(known: Option<&Authorization>, booked: &Booked<'_>) -> Foreseen {
    let mut after = match known {
        Some(known) => known.clone(),
        None => Authorization::parked(booked.card, booked.at),
    };
    after.begin_life();
    let steps: Vec<Step> = after.steps().collect();
    let Some(life) = after.life_mut() else {
        return Foreseen::default();
    };
    let known_declines = life.declines_there(&steps);
    life.take(booked, &steps);
    let books = life.books(&steps);
    let posts = books.posted.saturating_minus(life.restored(&books));
    let more = posts.saturating_minus(life.charged());
    let from_hold = more.min(life.held());
    let held = life.held().saturating_minus(from_hold);
    let declines = life.declines_there(&steps);
    let decided = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    Foreseen {
        flags: books.flags,
        charges: more > from_hold || books.held > held,
        moves: books.moves(),
        declined: (declines > known_declines).then(|| decided.saturating_add(declines)),
    }
}
