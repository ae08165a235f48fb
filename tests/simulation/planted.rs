//! Bugs planted at the seams of the simulator, one at a time; each must be found.

use std::borrow::Cow;

use countersign::domain::card::Key;
use countersign::domain::decision::Decision;
use countersign::domain::lifecycle::MovementKind;
use countersign::hot::pipeline::Waited;
use countersign::ledger::command::Authority;
use countersign::ledger::embedded::io::{Io, IoFault, Storage};
use countersign::ledger::event::{Decided, Event, events_of};

use crate::disk::Disk;
use crate::model::past::{MINUTE_US, Terms};
use crate::world::Twist;

/// Which bug is in the engine's surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    Nothing,
    /// The shell takes every wait for over.
    ReplyBeforeDurable,
    /// After a failed fsync the shell tries again, and believes the second answer.
    RetriedFsync,
    /// The shell reports syncs that never happened.
    NoFsync,
    /// The shell reports syncs of the directory that never happened.
    NoDirectorySync,
    /// Limits are compared with what was spent a moment ago, and the reservation comes after.
    CheckThenReserve,
    /// Recovery brings amounts back and forgets by what the steps are known.
    DedupeLostAtRestart,
    /// Recovery leaves out a record.
    RecordLostAtRestart,
    /// The comparison with a limit lets one minor unit more pass.
    LimitOneAbove,
    /// The comparison with a limit refuses equality.
    LimitOneBelow,
    /// The deadline is not looked at again when the wait is over.
    LateApproval,
    /// An approval that came too late is declined and not taken back.
    NotOverruled,
    /// A poisoned journal counts as durable.
    PoisonIgnored,
    /// A call returns before its change is durable.
    CommandBeforeDurable,
    /// Every count lets one more approval pass.
    CountOneAbove,
    /// A rolling limit begins anew with every calendar window.
    RollingByCalendar,
    /// The cooldown ends a minute early.
    CooldownShort,
    /// An intent covers one minor unit more than it says.
    IntentLoose,
    /// An intent lives a minute too long.
    IntentOverdue,
    /// What awaits a human's word passes without it.
    NobodyAsked,
    /// An attestation is fresh for a minute more.
    AttestationLong,
    /// A risk rule unfreezes in the owner's name.
    RiskRuleAsOwner,
    /// Parts are approved where no policy allows it.
    PartUnasked,
    /// Recovery takes an approved part for the whole.
    PartWholeAtRestart,
    /// Recovery leaves out what was reported.
    ReportLostAtRestart,
    /// Recovery takes what was posted for what was given back.
    PostedAsReleasedAtRestart,
    /// Recovery takes what is disputed for what came back.
    DisputedAsRefundedAtRestart,
    /// A report is acknowledged before it is durable.
    ReportBeforeDurable,
    /// A report that was not taken is acknowledged all the same.
    ReportDropped,
    /// A movement that is told again counts again.
    ReportedTwice,
    /// A hold that was forgotten is never given back.
    NeverLapses,
    /// Every hold ends when a usual one does.
    LongHoldsEndEarly,
}

impl Planted {
    /// All of them.
    pub(crate) const BUGS: [Self; 31] = [
        Self::ReplyBeforeDurable,
        Self::RetriedFsync,
        Self::NoFsync,
        Self::NoDirectorySync,
        Self::CheckThenReserve,
        Self::DedupeLostAtRestart,
        Self::RecordLostAtRestart,
        Self::LimitOneAbove,
        Self::LimitOneBelow,
        Self::LateApproval,
        Self::NotOverruled,
        Self::PoisonIgnored,
        Self::CommandBeforeDurable,
        Self::CountOneAbove,
        Self::RollingByCalendar,
        Self::CooldownShort,
        Self::IntentLoose,
        Self::IntentOverdue,
        Self::NobodyAsked,
        Self::AttestationLong,
        Self::RiskRuleAsOwner,
        Self::PartUnasked,
        Self::PartWholeAtRestart,
        Self::ReportLostAtRestart,
        Self::PostedAsReleasedAtRestart,
        Self::DisputedAsRefundedAtRestart,
        Self::ReportBeforeDurable,
        Self::ReportDropped,
        Self::ReportedTwice,
        Self::NeverLapses,
        Self::LongHoldsEndEarly,
    ];

    /// The laws by which it may show.
    pub(crate) fn laws(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::ReplyBeforeDurable | Self::PoisonIgnored => &["I4"],
            Self::RetriedFsync | Self::NoFsync | Self::NoDirectorySync => &["I3", "I4"],
            Self::CommandBeforeDurable => &["I3"],
            Self::CheckThenReserve | Self::LimitOneAbove | Self::PartUnasked => &["I1"],
            // A sum may decline what the count no longer does, and a month of 31 days what one of 30 would not.
            Self::CountOneAbove | Self::RollingByCalendar => &["I1", "rules"],
            Self::DedupeLostAtRestart => &["I2", "I7", "I8"],
            Self::RecordLostAtRestart => &["I2", "I3", "I7", "rules"],
            Self::PartWholeAtRestart => &["I2", "I7"],
            Self::IntentOverdue => &["I7", "rules"],
            // A report that told of an issuer's own decline had made a record with a number of its own.
            Self::ReportLostAtRestart => &["I3", "I7", "books"],
            Self::PostedAsReleasedAtRestart | Self::DisputedAsRefundedAtRestart => &["I7", "books"],
            Self::ReportBeforeDurable => &["I3"],
            Self::ReportDropped | Self::ReportedTwice | Self::NeverLapses => &["books"],
            Self::LongHoldsEndEarly => &["I8", "books"],
            // Where the journal is poisoned too, the decline that leaves is another one than it ought to be.
            Self::NotOverruled => &["rules", "I6"],
            Self::LimitOneBelow
            | Self::CooldownShort
            | Self::IntentLoose
            | Self::NobodyAsked
            | Self::AttestationLong
            | Self::RiskRuleAsOwner => &["rules"],
            Self::LateApproval => &["I5"],
        }
    }

    /// What the engine's documents say.
    pub(crate) fn twist(self) -> Twist {
        let twists = [
            (Self::LimitOneAbove, Twist::Raised),
            (Self::LimitOneBelow, Twist::Lowered),
            (Self::CountOneAbove, Twist::CountsRaised),
            (Self::RollingByCalendar, Twist::ByCalendar),
            (Self::CooldownShort, Twist::CooldownShort),
            (Self::AttestationLong, Twist::AttestationLong),
            (Self::NobodyAsked, Twist::NobodyAsked),
            (Self::PartUnasked, Twist::PartUnasked),
        ];
        let found = twists.into_iter().find(|(bug, _)| *bug == self);
        found.map_or(Twist::Plain, |(_, twist)| twist)
    }

    /// What the engine is told of an intent.
    pub(crate) fn terms(self, terms: &Terms) -> Terms {
        let mut terms = terms.clone();
        if self == Self::IntentLoose {
            terms.cap = terms.cap.map(|cap| cap + 1);
        } else if self == Self::IntentOverdue {
            terms.expires_at += MINUTE_US;
        }
        terms
    }

    /// In whose name a risk rule's command reaches the engine.
    pub(crate) fn risk_speaks_as(self, freezes: bool) -> Authority {
        if self == Self::RiskRuleAsOwner && !freezes {
            Authority::Owner
        } else {
            Authority::Risk
        }
    }

    /// Through which position a caller takes its command for durable.
    pub(crate) fn reached(self, reached: u64) -> u64 {
        if self == Self::CommandBeforeDurable {
            u64::MAX
        } else {
            reached
        }
    }

    /// What a waiting answer is told.
    pub(crate) fn waited(self, covered: Option<Waited>) -> Option<Waited> {
        let poison_ignored = self == Self::PoisonIgnored && covered == Some(Waited::Poisoned);
        if self == Self::ReplyBeforeDurable || poison_ignored {
            Some(Waited::Durable)
        } else {
            covered
        }
    }

    /// Executes what the journal gave out.
    pub(crate) fn execute(self, disk: &Disk, io: &Io) -> Result<(), IoFault> {
        match (self, io) {
            (Self::NoFsync, Io::Sync { .. }) | (Self::NoDirectorySync, Io::SyncDir) => Ok(()),
            (Self::RetriedFsync, Io::Sync { .. }) => {
                disk.execute(io).or_else(|_again| disk.execute(io))
            }
            _ => disk.execute(io),
        }
    }

    /// What recovery makes of a record.
    pub(crate) fn recovered(self, number: u64, payload: &[u8]) -> Option<Cow<'_, [u8]>> {
        if self == Self::RecordLostAtRestart && number % 7 == 6 {
            None
        } else if self == Self::DedupeLostAtRestart {
            Some(Cow::Owned(changed(payload, |decided| {
                let Key(key) = decided.step.authorization;
                decided.step.authorization = Key(!key);
            })))
        } else if self == Self::ReportLostAtRestart && is_report(payload) {
            None
        } else if self == Self::PostedAsReleasedAtRestart {
            let posted = |kind| matches!(kind, MovementKind::Posted { .. });
            Some(Cow::Owned(retold(payload, posted, MovementKind::Released)))
        } else if self == Self::DisputedAsRefundedAtRestart {
            let refunded = MovementKind::Refunded;
            Some(Cow::Owned(retold(
                payload,
                MovementKind::is_dispute,
                refunded,
            )))
        } else if self == Self::PartWholeAtRestart {
            Some(Cow::Owned(changed(payload, |decided| {
                if matches!(decided.decision, Decision::ApprovePartial(_)) {
                    decided.decision = Decision::Approve;
                }
            })))
        } else {
            Some(Cow::Borrowed(payload))
        }
    }
}

fn is_report(payload: &[u8]) -> bool {
    let mut events = events_of(payload);
    events.any(|event| matches!(event, Ok(Event::Booked(_))))
}

/// The record with what was reported taken for something else.
fn retold(payload: &[u8], wanted: impl Fn(MovementKind) -> bool, as_kind: MovementKind) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events_of(payload) {
        let mut event = event.unwrap();
        if let Event::Booked(booked) = &mut event {
            for fact in &mut booked.facts {
                if wanted(fact.kind) {
                    fact.kind = as_kind;
                }
            }
        }
        event.encode(&mut out);
    }
    out
}

/// The record with its decision changed.
fn changed(payload: &[u8], change: impl Fn(&mut Decided<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events_of(payload) {
        let mut event = event.unwrap();
        if let Event::Decided(decided) = &mut event {
            change(decided);
        }
        event.encode(&mut out);
    }
    out
}
