//! What a node approves in the place of a shared log that does not answer, and how the log takes it
//! afterwards (decision 0042).

use crate::domain::authorization::AuthorizationKind;
use crate::domain::claims::Claims;
use crate::domain::decision::Decision;
use crate::domain::identity::{Recognition, StepIdentity};
use crate::domain::window::Calendar;
use crate::ledger::authorization::{Authorization, Step};
use crate::ledger::check::windows::{Windows, offset_of, resets_at};
use crate::ledger::check::{Checked, Events, authorize, open, parties};
use crate::ledger::command::{Authorize, Refused, Route};
use crate::ledger::event::{Decided, Event};
use crate::ledger::fold::fold;
use crate::ledger::stand_in::StoodIn;
use crate::ledger::state::{CardState, State};

/// What a node may approve by itself, by what it knows of the customer and what it has approved so before;
/// absent where the log has to be asked.
///
/// # Errors
/// [`Refused`] where the command contradicts the state.
pub fn stand_in<'a>(
    state: &State,
    route: Route<'a>,
    unbooked: &[StoodIn<'_>],
    command: &Authorize<'a>,
) -> Result<Option<StoodIn<'a>>, Refused> {
    let alone = alone(state, route, command)?;
    if alone.is_none() || unbooked.is_empty() {
        return Ok(alone);
    }
    let mut with_them = state.sums();
    // None of them asks for a position; those of the log are smaller.
    for (stood_in, position) in unbooked.iter().zip(u64::MAX / 2..) {
        for event in book(&with_them, stood_in)?.iter() {
            fold(&mut with_them, event, position);
        }
    }
    let again = alone_of(&with_them, route, command)?;
    // A trailing sum that is not kept yet is walked for, over what is not there.
    let is_whole = |(_, events): &(_, Events<'_>)| {
        let mut opened = events.opened.iter();
        !opened.any(|it| matches!(it, Event::RollingOpened { .. }))
    };
    Ok(again.filter(is_whole).map(|(stood_in, _)| stood_in))
}

fn alone<'a>(
    state: &State,
    route: Route<'a>,
    command: &Authorize<'a>,
) -> Result<Option<StoodIn<'a>>, Refused> {
    Ok(alone_of(state, route, command)?.map(|(stood_in, _)| stood_in))
}

/// By the state alone; and the other events of its decision.
fn alone_of<'a>(
    state: &State,
    route: Route<'a>,
    command: &Authorize<'a>,
) -> Result<Option<(StoodIn<'a>, Events<'a>)>, Refused> {
    let (Some(card), Some(proposal)) = (command.card, command.proposal) else {
        return Ok(None);
    };
    let is_known = state.authorization(command.step.authorization).is_some();
    let used = state.card_by_key(card.key).map(|(_, used)| used);
    if is_known || command.kind != AuthorizationKind::Authorization {
        return Ok(None);
    }
    if command.amount.minor.is_zero() || is_bound(&proposal.claims, used) {
        return Ok(None);
    }
    let Checked { answer, mut events } = authorize(state, command)?;
    let Some(Event::Decided(mut decided)) = events.done.take() else {
        return Ok(None);
    };
    let is_plain = !(decided.consumes || decided.probes || decided.flagged)
        && decided.intent.is_none()
        && decided.locks.is_none();
    if answer.decision != Decision::Approve || !is_plain {
        return Ok(None);
    }
    let calendar = proposal.claims.calendar();
    (decided.day, decided.hour) = (calendar.day, calendar.hour);
    decided.stood_in = true;
    let [day_ends, ..] = calendar.resets_at;
    let stood_in = StoodIn {
        owner: route,
        card,
        day_ends,
        hour_offset_s: offset_of(&calendar),
        decided,
    };
    Ok(Some((stood_in, events)))
}

/// Whether something depends on the card's next use that one node cannot know alone: that it is the only one,
/// or the first, or the one that was declared, attested or asked for.
fn is_bound(claims: &Claims, used: Option<&CardState>) -> bool {
    let is_locked = used.is_some_and(|card| card.lock.is_some());
    let awaits_lock = claims.lock_to_first_merchant.is_some() && !is_locked;
    let asks = claims.rules.intent.is_some() || claims.rules.attestation_us.is_some();
    let is_meant = used.is_some_and(|it| !it.open_intents().is_empty() || it.backing().is_some());
    claims.single_use || awaits_lock || asks || is_meant
}

/// Has the log take what a node approved in its place, whatever the limits say by now. Where the state has
/// approved the same step, that is confirmed, as a redelivery confirms it: nobody takes it back then.
///
/// # Errors
/// [`Refused`] where the authorization stands on another card by now, or the state has no number left.
pub fn book<'a>(state: &State, stood_in: &StoodIn<'a>) -> Result<Events<'a>, Refused> {
    let mut decided = stood_in.decided.clone();
    let known = state.authorization(decided.step.authorization);
    let same = known.and_then(|known| same_step(known, &decided.step));
    if let Some(step) = same.filter(|step| step.decision.is_approval()) {
        return Ok(Events::only(Event::Redelivered {
            state: state.no,
            decided_at: step.position,
            at: decided.at,
        }));
    }
    let parties = parties(state, &stood_in.card)?;
    let on = known.and_then(Authorization::card);
    if on.is_some_and(|on| on != parties.card_no) {
        return Err(Refused);
    }
    if let Some(declined) = same {
        let authorization = decided.step.authorization;
        decided.step = StepIdentity {
            authorization,
            name: declined.stored.name,
            delivery: declined.stored.delivery,
            content: declined.stored.content,
        };
    }
    let calendar = calendar(stood_in);
    let windows = Windows::new(state, &calendar, decided.at);
    let steps = known.map_or(0, |known| known.steps().count());
    decided.state = state.no;
    decided.ordinal = u32::try_from(steps.saturating_add(1)).unwrap_or(u32::MAX);
    decided.card = Some(parties.card_no);
    decided.agent = parties.agent_no;
    (decided.day, decided.hour) = (windows.day, windows.hour);
    let mut events = open(state, &stood_in.card, &parties);
    let opened = windows.opened(state, &calendar);
    events.opened.extend(
        opened.map(|(day, day_ends, hour_offset_s)| Event::WindowsOpened {
            state: state.no,
            day,
            day_ends,
            hour_offset_s,
        }),
    );
    events.done = Some(Event::Decided(decided));
    Ok(events)
}

/// The step that was approved, where somebody else has decided it: an approval rather than a decline.
fn same_step(known: &Authorization, asked: &StepIdentity) -> Option<Step> {
    let is_same = |step: &Step| asked.recognise(&step.stored) == Recognition::Same;
    let approved = |step: &Step| is_same(step) && step.decision.is_approval();
    known
        .steps()
        .find(approved)
        .or_else(|| known.steps().find(is_same))
}

/// The windows that were under way.
fn calendar(stood_in: &StoodIn<'_>) -> Calendar {
    let Decided { day, hour, .. } = stood_in.decided;
    Calendar {
        day,
        resets_at: [stood_in.day_ends; 3],
        hour,
        hour_resets_at: resets_at(hour, stood_in.hour_offset_s),
    }
}

#[cfg(test)]
mod tests;
