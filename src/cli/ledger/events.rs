//! Events of a journal as lines for people: a kind, and what it says as `name=value`.
//!
//! Hashes are shown as they are compared, in hexadecimal; a state's card and agent by the numbers that
//! they were opened with.

use std::fmt::{Display, Write as _};

use crate::domain::acceptor::Country;
use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{Key, Level};
use crate::domain::currency::Currency;
use crate::domain::decision::Decision;
use crate::domain::explanation::Explanation;
use crate::domain::hold_time::HoldTime;
use crate::domain::lifecycle::{MovementKind, OnReversal};
use crate::domain::time::Timestamp;
use crate::domain::window::WindowKind;
use crate::ledger::event::{
    AgentNo, AttestationClass, Booked, CardNo, Decided, Event, Facts, Owner, StandingChange,
};
use crate::ledger::intent::{IntentTerms, IntentVerdict};
use crate::ledger::rolling::SeriesSet;

fn lapsed(
    line: &mut Line,
    event: &Event<'_>,
    (part, on, cut): (u16, &str, Timestamp),
    time: HoldTime,
) {
    line.begin("lapsed", event).put("part", part);
    line.put("connection", on);
    line.put("before", cut.rfc3339());
    line.maybe("hold_time", hold_word(time));
}

fn hold_word(time: HoldTime) -> Option<&'static str> {
    match time {
        HoldTime::Unknown => None,
        HoldTime::Usual => Some("usual"),
        HoldTime::Long => Some("long"),
    }
}

/// The event in one line.
pub(super) fn line(event: &Event<'_>) -> String {
    let mut line = Line(String::new());
    match event {
        Event::StateOpened { .. } | Event::CardOpened { .. } | Event::AgentOpened { .. } => {
            line.opened(event);
        }
        Event::Decided(decided) => line.decided("decided", event, decided),
        Event::Conflicted(decided) => line.decided("conflicted", event, decided),
        Event::Redelivered { decided_at, at, .. } => {
            line.begin("redelivered", event).at(*at);
            line.put("decided_at", decided_at);
        }
        Event::Overruled {
            authorization,
            decided_at,
            at,
            ..
        } => {
            line.begin("overruled", event).at(*at);
            line.key("authorization_key", *authorization);
            line.put("decided_at", decided_at);
        }
        Event::StandingSet { change, at, .. } => {
            line.begin("status_set", event).at(*at).standing(*change);
        }
        Event::Swept { part, cut, .. } => {
            line.begin("swept", event).put("part", part);
            line.put("before", cut.rfc3339());
        }
        Event::Lapsed {
            part,
            connection,
            cut,
            time,
            ..
        } => lapsed(&mut line, event, (*part, connection, *cut), *time),
        Event::WindowsOpened {
            day,
            day_ends,
            hour_offset_s,
            ..
        } => {
            line.begin("windows_opened", event).put("day", day.0);
            line.put("day_ends", day_ends.rfc3339());
            line.put("hour_offset_s", hour_offset_s);
        }
        Event::RollingOpened {
            card,
            agent,
            series,
            ..
        } => {
            line.begin("rolling_opened", event).whose(*card, *agent);
            line.series(*series);
        }
        Event::RiskFrozen { card, at, .. } => {
            line.begin("risk_frozen", event).at(*at).put("card", card.0);
        }
        Event::IntentDeclared { .. }
        | Event::IntentSettled { .. }
        | Event::Attested { .. }
        | Event::Backed { .. } => line.for_agent(event),
        Event::Booked(booked) => line.booked(event, booked),
    }
    line.0
}

/// A decision in one word.
fn said(decision: Decision) -> &'static str {
    match decision {
        Decision::Approve => "approve",
        Decision::ApprovePartial(_) => "partial",
        Decision::Decline(reason) => reason.code(),
    }
}

struct Line(String);

impl Line {
    fn begin(&mut self, word: &str, event: &Event<'_>) -> &mut Self {
        self.0.push_str(word);
        self.put("state", event.state().0)
    }

    fn put(&mut self, name: &str, value: impl Display) -> &mut Self {
        // Writing to a text does not fail.
        let _written = write!(self.0, " {name}={value}");
        self
    }

    /// What others have chosen: quoted, so that no space or control character of it is ours.
    fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.put(name, format_args!("\"{}\"", text.escape_default()))
    }

    fn key(&mut self, name: &str, key: Key) -> &mut Self {
        self.put(name, format_args!("{:032x}", key.0))
    }

    fn at(&mut self, at: Timestamp) -> &mut Self {
        self.put("at", at.rfc3339())
    }

    fn money(&mut self, name: &str, minor: Minor, currency: Currency) -> &mut Self {
        self.put(
            name,
            format_args!("{}{currency}", Amount { minor, currency }),
        )
    }

    fn flag(&mut self, name: &str, is_set: bool) -> &mut Self {
        if is_set {
            self.put(name, true);
        }
        self
    }

    /// `name=value` where there is one.
    fn maybe(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.put(name, value),
            None => self,
        }
    }

    /// A state, a card or an agent.
    fn opened(&mut self, event: &Event<'_>) {
        if let Event::StateOpened { key, owner, .. } = event {
            self.begin("state_opened", event).key("key", *key);
            match owner {
                Owner::Customer(id) => self.text("customer", id),
                Owner::Unattributed(connection) => self.text("unknown_cards_of", connection),
            };
        } else if let Event::CardOpened {
            card,
            key,
            id,
            connection,
            ..
        } = event
        {
            self.begin("card_opened", event).put("card", card.0);
            self.key("key", *key).text("id", id);
            self.text("connection", connection);
        } else if let Event::AgentOpened { agent, key, id, .. } = event {
            self.begin("agent_opened", event).put("agent", agent.0);
            self.key("key", *key).text("id", id);
        }
    }

    /// An intent, what became of it, or an attestation.
    fn for_agent(&mut self, event: &Event<'_>) {
        if let Event::IntentDeclared {
            card,
            intent,
            terms,
            at,
            ..
        } = event
        {
            self.begin("intent_declared", event).at(*at);
            self.put("card", card.0).key("intent", *intent);
            self.terms(terms);
        } else if let Event::IntentSettled {
            intent,
            verdict,
            at,
            ..
        } = event
        {
            self.begin("intent_settled", event).at(*at);
            self.key("intent", *intent);
            self.put("verdict", verdict_word(*verdict));
        } else if let Event::Attested { card, at, .. } = event {
            self.begin("attested", event).at(*at).put("card", card.0);
        } else if let Event::Backed {
            card, earmark, at, ..
        } = event
        {
            self.begin("backed", event).at(*at).put("card", card.0);
            self.key("earmark", *earmark);
        }
    }

    fn whose(&mut self, card: Option<CardNo>, agent: Option<AgentNo>) -> &mut Self {
        self.maybe("card", card.map(|card| card.0));
        self.maybe("agent", agent.map(|agent| agent.0))
    }

    fn decided(&mut self, word: &str, event: &Event<'_>, it: &Decided<'_>) {
        let currency = it.amount.currency;
        self.begin(word, event).at(it.at).whose(it.card, it.agent);
        self.text("authorization", &it.authorization.to_string());
        self.key("authorization_key", it.step.authorization);
        self.put("step", it.ordinal).put("kind", kind_word(it.kind));
        self.money("amount", it.amount.minor, currency);
        match it.decision {
            Decision::Approve => self.put("decision", "approve"),
            Decision::ApprovePartial(part) => self
                .put("decision", "partial")
                .money("approved", part, currency),
            Decision::Decline(reason) => {
                self.put("decision", "decline").put("reason", reason.code())
            }
        };
        if it.card.is_some() {
            self.put("day", it.day.0).put("hour", it.hour.0);
        }
        self.maybe("hold_time", hold_word(it.hold_time));
        self.flag("consumes", it.consumes).flag("probes", it.probes);
        self.flag("flagged", it.flagged);
        self.flag("stood_in", it.stood_in);
        if let Some(intent) = it.intent {
            self.key("intent", intent);
        }
        let attestation = match it.attestation {
            AttestationClass::Unattested => None,
            AttestationClass::Attested => Some("attested"),
            AttestationClass::Stale => Some("stale"),
        };
        self.maybe("attestation", attestation);
        if let Some(merchant) = &it.locks {
            self.text("locks_to", merchant.descriptor);
        }
        if let Some(explanation) = &it.explanation {
            self.explanation(explanation);
        }
        if let Some(token) = &it.card_token {
            self.text("card_token", &token.to_string());
        }
        if let Some(shadow) = &it.shadow {
            let [card, agent, customer] = shadow.versions;
            self.put("shadow", format_args!("{card}/{agent}/{customer}"));
            self.put("shadow_decision", said(shadow.decision));
        }
        if let Some(facts) = &it.facts {
            self.facts(facts, currency);
        }
        self.put("snapshot", it.snapshot_version);
        self.put("latency_us", it.latency_us);
    }

    /// What was asked, where it is not said already.
    fn facts(&mut self, it: &Facts<'_>, currency: Currency) {
        self.text("merchant", it.descriptor).maybe("mcc", it.mcc);
        let country = it.country.and_then(Country::from_packed);
        self.maybe("country", country.map(|it| String::from_iter(it.letters())));
        self.maybe("score", it.risk_score);
        if !it.cash.is_zero() {
            self.money("cash", it.cash, currency);
        }
    }

    fn explanation(&mut self, it: &Explanation) {
        self.maybe("level", it.level.map(Level::name));
        self.maybe("field", it.field.path());
        self.maybe("observed", it.observed).maybe("limit", it.limit);
        self.maybe("remaining", it.remaining);
        self.maybe("resets_at", it.resets_at.map(Timestamp::rfc3339));
    }

    fn standing(&mut self, change: StandingChange) {
        match change {
            StandingChange::Card(card, status, is_frozen) => {
                self.put("card", card.0).put("status", status.name());
                self.put("frozen", is_frozen);
            }
            StandingChange::Agent(agent, status) => {
                self.put("agent", agent.0).put("status", status.name());
            }
            StandingChange::Customer(status) => {
                self.put("of", "customer").put("status", status.name());
            }
        }
    }

    fn series(&mut self, series: SeriesSet) {
        for level in Level::ALL {
            for kind in WindowKind::ALL {
                if series.contains(level, kind) {
                    let span = match kind {
                        WindowKind::Day => "24h",
                        WindowKind::Week => "7d",
                        WindowKind::Month => "30d",
                    };
                    self.put("series", format_args!("{}.{span}", level.name()));
                }
            }
        }
    }

    fn terms(&mut self, it: &IntentTerms) {
        self.maybe("expected_minor", it.expected.map(Minor::get));
        self.maybe("cap_minor", it.cap.map(Minor::get));
        self.maybe("currency", it.currency);
        if let Some(merchant) = it.merchant {
            self.put("merchant", format_args!("{merchant:016x}"));
        }
        for mcc in &it.mccs {
            self.put("mcc", mcc);
        }
        self.put("expires_at", it.expires_at.rfc3339());
        self.flag("awaits_approval", it.awaits_approval);
    }

    fn booked(&mut self, event: &Event<'_>, it: &Booked<'_>) {
        self.begin("booked", event)
            .at(it.at)
            .whose(it.card, it.agent);
        self.text("authorization", &it.external.to_string());
        self.key("authorization_key", it.authorization);
        self.maybe("hold_time", hold_word(it.hold_time));
        for fact in &it.facts {
            self.put("fact", format_args!("{:016x}", fact.id));
            self.put("what", movement_word(fact.kind));
            self.money("amount", fact.amount, it.currency);
        }
        if let Some(declined) = it.declined {
            self.put("declined_step", declined.ordinal);
            self.money("declined", declined.amount, it.currency);
        }
        if let Some(told) = &it.told {
            self.money("held", told.held, it.currency);
            self.maybe("posted_minor", told.posted.map(Minor::get));
            self.maybe("refunded_minor", told.refunded.map(Minor::get));
            self.put("revision", told.revision);
        }
        self.put("day", it.day.0).put("hour", it.hour.0);
        self.flag("refunds_restore", it.refunds_restore);
        self.put("on_reversal", reversal_word(it.on_reversal));
        self.flag("has_drifted", it.has_drifted);
    }
}

fn kind_word(kind: AuthorizationKind) -> &'static str {
    match kind {
        AuthorizationKind::Authorization => "authorization",
        AuthorizationKind::SingleMessage => "single_message",
        AuthorizationKind::Credit => "credit",
        AuthorizationKind::BalanceInquiry => "balance_inquiry",
    }
}

fn verdict_word(verdict: IntentVerdict) -> &'static str {
    match verdict {
        IntentVerdict::Approve => "approve",
        IntentVerdict::Reject => "reject",
        IntentVerdict::Cancel => "cancel",
    }
}

fn movement_word(kind: MovementKind) -> &'static str {
    match kind {
        MovementKind::Authorized => "authorized",
        MovementKind::AuthorizedAndPosted => "authorized_and_posted",
        MovementKind::Declined => "declined",
        MovementKind::Replaced => "replaced",
        MovementKind::Released => "released",
        MovementKind::Expired => "expired",
        MovementKind::Posted { is_last: false } => "posted",
        MovementKind::Posted { is_last: true } => "posted_last",
        MovementKind::Refunded => "refunded",
        MovementKind::RefundReversed => "refund_reversed",
        MovementKind::Noted => "noted",
        MovementKind::Disputed => "disputed",
    }
}

fn reversal_word(on_reversal: OnReversal) -> &'static str {
    match on_reversal {
        OnReversal::GiveBack => "give_back",
        OnReversal::KeepLock => "keep_lock",
        OnReversal::KeepUse => "keep_use",
    }
}
