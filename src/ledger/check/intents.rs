//! Intents and attestations: what an authorization finds of them, and the commands that make them.

use crate::domain::card::{Key, Level};
use crate::domain::claims::IntentRule;
use crate::domain::decision::DeclineReason;
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::time::Timestamp;
use crate::ledger::check::verdict::Verdict;
use crate::ledger::check::{Events, open, parties};
use crate::ledger::command::{Attest, DeclareIntent, IntentRefused, Refused, SettleIntent};
use crate::ledger::event::{AttestationClass, Event};
use crate::ledger::intent::{
    Candidate, Fate, INTENT_MCCS_MAX, Intent, IntentVerdict, OPEN_INTENTS_MAX,
};
use crate::ledger::state::State;

const MINUTE_US: i64 = 60_000_000;
/// For how long an attestation is fresh where no policy requires one, for the record.
const ATTESTATION_US: i64 = 15 * MINUTE_US;

/// What the intents of a card say to one step.
#[derive(Default)]
pub(super) struct Matching {
    /// The intent that an approval takes.
    pub(super) takes: Option<Key>,
    /// Whether an approval does not keep to an intent.
    pub(super) is_flagged: bool,
    /// Reasons 19 to 22.
    pub(super) refusal: Option<Explanation>,
}

impl Matching {
    fn refused(refusal: Explanation) -> Self {
        Self {
            refusal: Some(refusal),
            ..Self::default()
        }
    }
}

impl Verdict<'_> {
    /// What the step's record says of the agent's word.
    pub(super) fn attestation(&self) -> AttestationClass {
        let attested_at = self.parties.card.and_then(|card| card.attested_at());
        let window_us = self.claims.rules.attestation_us;
        let window_us = window_us.map_or(ATTESTATION_US, |(window_us, _)| window_us);
        match attested_at.map(|at| self.command.at.micros_since(at)) {
            None => AttestationClass::Unattested,
            Some(age_us) if (0..window_us).contains(&age_us) => AttestationClass::Attested,
            Some(_) => AttestationClass::Stale,
        }
    }

    /// Reason 18, in minutes. An increment adds to what was attested (behaviour 2.14 h).
    pub(super) fn attestation_required(&self) -> Option<Explanation> {
        let (window_us, level) = self.claims.rules.attestation_us?;
        if self.is_increment() || self.attestation() == AttestationClass::Attested {
            return None;
        }
        let attested_at = self.parties.card.and_then(|card| card.attested_at());
        let age = attested_at.map(|at| self.command.at.micros_since(at).max(0) / MINUTE_US);
        Some(Explanation {
            observed: age,
            limit: Some(window_us / MINUTE_US),
            ..Explanation::of_rule(
                DeclineReason::AttestationRequired,
                level,
                RuleField::RequireAttestation,
            )
        })
    }

    /// Which intent the step keeps to, or why it may not pass (behaviour 6.2).
    pub(super) fn matching(&self) -> Matching {
        let Some(rule) = &self.claims.rules.intent else {
            return Matching::default();
        };
        if self.is_increment() && !self.adds_to_probe() {
            return self.kept_by_increment(rule);
        }
        let open = self
            .parties
            .card
            .map_or(&[][..], |card| card.open_intents());
        let find = |key: &Key| Some((*key, self.state.intent(*key)?));
        let mut open = open.iter().filter_map(find).peekable();
        if open.peek().is_none() {
            let reason = DeclineReason::IntentRequired;
            let field = RuleField::RequireIntent;
            return Matching::refused(Explanation::of_rule(reason, rule.level, field));
        }
        let open: Vec<(Key, &Intent)> = open.collect();
        self.choose(rule, &open)
    }

    /// The oldest that matches; the cause where none may be taken.
    fn choose(&self, rule: &IntentRule, open: &[(Key, &Intent)]) -> Matching {
        let now = self.command.at;
        let candidate = self.candidate();
        let is_usable = |it: &Intent| it.is_live(now) && !it.awaits(rule);
        let mut usable = open.iter().filter(|(_, it)| is_usable(it));
        if let Some((key, _)) = usable.clone().find(|(_, it)| it.admits(&candidate)) {
            return Matching {
                takes: Some(*key),
                ..Matching::default()
            };
        }
        let mut matching = open.iter().filter(|(_, it)| it.admits(&candidate));
        if matching.clone().any(|(_, it)| it.is_live(now)) {
            let reason = DeclineReason::IntentPendingApproval;
            let field = RuleField::RequireApproval;
            return Matching::refused(Explanation::of_rule(reason, rule.level, field));
        }
        if let Some((_, expired)) = matching.next_back() {
            let reason = DeclineReason::IntentExpired;
            return Matching::refused(Explanation {
                resets_at: Some(expired.terms.expires_at),
                ..Explanation::of_rule(reason, rule.level, RuleField::RequireIntent)
            });
        }
        if rule.flags_mismatch
            && let Some((key, _)) = usable.next()
        {
            return Matching {
                takes: Some(*key),
                is_flagged: true,
                refusal: None,
            };
        }
        let largest = open.iter().filter_map(|(_, it)| it.terms.cap).max();
        Matching::refused(self.mismatch(rule.level, largest.map(|cap| cap.get())))
    }

    /// An increment needs no intent of its own, but keeps to its authorization's.
    fn kept_by_increment(&self, rule: &IntentRule) -> Matching {
        let taken = self.state.intent_of(self.command.step.authorization);
        let Some(cap) = taken.and_then(|(_, intent)| intent.terms.cap) else {
            return Matching::default();
        };
        if self.candidate().amount <= cap {
            return Matching::default();
        }
        if rule.flags_mismatch {
            return Matching {
                is_flagged: true,
                ..Matching::default()
            };
        }
        Matching::refused(self.mismatch(rule.level, Some(cap.get())))
    }

    fn mismatch(&self, level: Level, limit: Option<i64>) -> Explanation {
        let reason = DeclineReason::IntentMismatch;
        Explanation {
            observed: Some(self.candidate().amount.get()),
            limit,
            ..Explanation::of_rule(reason, level, RuleField::RequireIntent)
        }
    }

    /// All steps together are compared with the intent.
    fn candidate(&self) -> Candidate<'_> {
        let held = self.known.map(|known| known.total());
        Candidate {
            amount: held.unwrap_or_default().saturating_plus(self.amount()),
            currency: self.claims.amount.currency,
            rules: &self.claims.rules,
        }
    }
}

/// Declares an intent; nothing where it was declared already.
///
/// # Errors
/// [`IntentRefused`] where its key is in use otherwise, or too many wait on the card.
pub fn declare<'a>(
    state: &State,
    command: &DeclareIntent<'a>,
) -> Result<Events<'a>, IntentRefused> {
    let parties = parties(state, &command.card)?;
    let terms = command.terms;
    if let Some(known) = state.intent(command.intent) {
        let same = known.card == parties.card_no && known.terms == *terms;
        return if same {
            Ok(Events::default())
        } else {
            Err(IntentRefused::Conflict)
        };
    }
    let at = command.at;
    let is_live = |key: &&Key| state.intent(**key).is_some_and(|it| it.is_live(at));
    let open_intents = parties.card.map_or(&[][..], |card| card.open_intents());
    if open_intents.iter().filter(is_live).count() >= OPEN_INTENTS_MAX {
        return Err(IntentRefused::TooMany);
    }
    if terms.mccs.len() > INTENT_MCCS_MAX {
        return Err(IntentRefused::Refused);
    }
    let mut events = open(state, &command.card, &parties);
    events.done = Some(Event::IntentDeclared {
        state: state.no,
        card: parties.card_no,
        intent: command.intent,
        terms: terms.clone(),
        at,
    });
    Ok(events)
}

/// Approves, rejects or withdraws an open intent; nothing where that was done already.
///
/// # Errors
/// [`IntentRefused`] where there is no such intent, or it is not open any more.
pub fn settle(state: &State, command: &SettleIntent) -> Result<Events<'static>, IntentRefused> {
    let intent = state.intent(command.intent).ok_or(IntentRefused::Unknown)?;
    let is_done = match command.verdict {
        IntentVerdict::Approve => intent.approved && intent.fate == Fate::Open,
        IntentVerdict::Reject => intent.fate == Fate::Rejected,
        IntentVerdict::Cancel => intent.fate == Fate::Canceled,
    };
    if is_done {
        return Ok(Events::default());
    }
    if intent.fate != Fate::Open || !intent.is_live(command.at) {
        return Err(IntentRefused::Closed);
    }
    Ok(Events::only(Event::IntentSettled {
        state: state.no,
        intent: command.intent,
        verdict: command.verdict,
        at: command.at,
    }))
}

/// Notes that the agent attested what it is doing.
///
/// # Errors
/// [`Refused`] where numbers are used up.
pub fn attest<'a>(state: &State, command: &Attest<'a>) -> Result<Events<'a>, Refused> {
    let parties = parties(state, &command.card)?;
    let mut events = open(state, &command.card, &parties);
    events.done = Some(Event::Attested {
        state: state.no,
        card: parties.card_no,
        at: command.at,
    });
    Ok(events)
}

/// Whether a sweep of the named part would forget any intent.
pub(super) fn any_over(state: &State, part: u16, cut: Timestamp) -> bool {
    let intents = state.intents.as_deref();
    intents.is_some_and(|intents| intents.any_over(part, cut))
}
