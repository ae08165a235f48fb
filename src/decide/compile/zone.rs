//! Zones of the IANA database as tables of offsets, and instants as documents write them.
//!
//! The database is the one that is built into the program, so that every node has the same.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use jiff::Timestamp as Instant;
use jiff::tz::TimeZoneDatabase;

use crate::domain::time::Timestamp;
use crate::domain::window::ZoneTable;

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// 2100-01-01T00:00:00Z. Behind it the last offset stays in force.
const LAST_CHANGE_S: i64 = 4_102_444_800;

/// A zone with its name, which stands for it.
#[derive(Clone, Debug)]
pub struct Zone {
    name: Box<str>,
    table: ZoneTable,
}

impl Zone {
    /// The name in the IANA database, as it was written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The offsets.
    #[must_use]
    pub fn table(&self) -> &ZoneTable {
        &self.table
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// Zones that were compiled before, each once.
#[derive(Debug, Default)]
pub struct Zones(HashMap<Box<str>, Arc<Zone>>);

impl Zones {
    /// The zone of a name; absent where no zone has it.
    pub fn get(&mut self, name: &str) -> Option<Arc<Zone>> {
        if let Some(zone) = self.0.get(name) {
            return Some(Arc::clone(zone));
        }
        let zone = Arc::new(Zone {
            name: name.into(),
            table: compile_zone(name)?,
        });
        self.0.insert(name.into(), Arc::clone(&zone));
        Some(zone)
    }
}

/// The offsets of a zone from 1970 to 2100; absent where no zone has the name.
#[must_use]
pub fn compile_zone(name: &str) -> Option<ZoneTable> {
    let zone = DATABASE.get(name).ok()?;
    let first_offset_s = zone.to_offset(Instant::UNIX_EPOCH).seconds();
    let mut offset_s = first_offset_s;
    let mut changes = Vec::new();
    for change in zone.following(Instant::UNIX_EPOCH) {
        let from_s = change.timestamp().as_second();
        if from_s >= LAST_CHANGE_S {
            break;
        }
        if change.offset().seconds() != offset_s {
            offset_s = change.offset().seconds();
            changes.push((from_s, offset_s));
        }
    }
    Some(ZoneTable::new(first_offset_s, changes))
}

/// The instant of an RFC 3339 text: `2026-05-30T00:00:00Z`.
#[must_use]
pub fn parse_instant(text: &str) -> Option<Timestamp> {
    // jiff reads more than RFC 3339: spaces, missing seconds, zone names in brackets.
    let shape: Vec<u8> = text
        .bytes()
        .map(|byte| if byte.is_ascii_digit() { b'0' } else { byte })
        .collect();
    if !shape.starts_with(b"0000-00-00T00:00:00") || text.contains('[') {
        return None;
    }
    let instant: Instant = text.parse().ok()?;
    Some(Timestamp::from_micros(instant.as_microsecond()))
}
