//! Bugs planted at the seams of the simulator, one at a time; each must be found.

use std::borrow::Cow;

use countersign::domain::card::Key;
use countersign::hot::pipeline::Waited;
use countersign::ledger::embedded::io::{Io, IoFault, Storage};
use countersign::ledger::event::{Event, events_of};

use crate::disk::Disk;
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
}

impl Planted {
    /// All of them.
    pub(crate) const BUGS: [Self; 12] = [
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
    ];

    /// The laws by which it may show.
    pub(crate) fn laws(self) -> &'static [&'static str] {
        match self {
            Self::Nothing => &[],
            Self::ReplyBeforeDurable | Self::PoisonIgnored => &["I4"],
            Self::RetriedFsync | Self::NoFsync | Self::NoDirectorySync => &["I3", "I4"],
            Self::CheckThenReserve | Self::LimitOneAbove => &["I1"],
            Self::DedupeLostAtRestart => &["I2", "I7", "I8"],
            Self::RecordLostAtRestart => &["I2", "I3", "I7"],
            Self::LimitOneBelow | Self::NotOverruled => &["rules"],
            Self::LateApproval => &["I5"],
        }
    }

    /// What the engine's documents say.
    pub(crate) fn twist(self) -> Twist {
        if self == Self::LimitOneAbove {
            Twist::Raised
        } else if self == Self::LimitOneBelow {
            Twist::Lowered
        } else {
            Twist::Plain
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
            Some(Cow::Owned(under_other_names(payload)))
        } else {
            Some(Cow::Borrowed(payload))
        }
    }
}

/// The same amounts on the same cards, under authorizations that nobody will ask for.
fn under_other_names(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for event in events_of(payload) {
        let mut event = event.unwrap();
        if let Event::Decided(decided) = &mut event {
            let Key(key) = decided.step.authorization;
            decided.step.authorization = Key(!key);
        }
        event.encode(&mut out);
    }
    out
}
