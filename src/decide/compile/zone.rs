//! Zones of the IANA database as tables of offsets, and instants as documents write them.
//!
//! The database is the one that is built into the program, so that every node has the same.

use std::sync::LazyLock;

use jiff::Timestamp as Instant;
use jiff::tz::TimeZoneDatabase;

use crate::domain::time::Timestamp;
use crate::domain::window::ZoneTable;

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// 2100-01-01T00:00:00Z. Behind it the last offset stays in force.
const LAST_CHANGE_S: i64 = 4_102_444_800;

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
