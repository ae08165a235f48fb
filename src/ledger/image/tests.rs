//! Images come back as they were written, and are of one state.

use super::{Format, authorization, put_authorization};
use crate::domain::card::Level;
use crate::domain::claims::{IntentRule, ScopeLimits};
use crate::domain::decision::Decision;
use crate::domain::time::Timestamp;
use crate::ledger::authorization::Authorization;
use crate::ledger::check::harness::{Ask, Ledger, authorization_key, intent, limits, minor};
use crate::ledger::codec::{Malformed, Reader};
use crate::ledger::event::CardNo;
use crate::ledger::image;
use crate::ledger::life::Life;

#[test]
fn an_image_is_of_its_state_alone() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60));
    let image = ledger.image();
    assert!(image::is_of(&image, &ledger.state));
    assert!(!image::is_of(&[], &ledger.state));
    ledger.approve(&Ask::new(2, 1));
    assert!(!image::is_of(&image, &ledger.state));
}

#[test]
fn the_trailing_sums_of_every_span_come_back() {
    let limits = ScopeLimits {
        rolling_day: Some(minor(100)),
        rolling_week: Some(minor(100)),
        rolling_month: Some(minor(100)),
        ..ScopeLimits::default()
    };
    let mut ledger = Ledger::new();
    for level in Level::ALL {
        let n = level as u32;
        ledger.approve(&Ask::new(n, 7).limited(level, limits));
    }
    let recovered = ledger.recovered();
    assert_eq!(recovered.card(1).rolling, ledger.card(1).rolling);
    assert_eq!(recovered.agent(1).rolling, ledger.agent(1).rolling);
    assert_eq!(recovered.state.rolling, ledger.state.rolling);
    assert!(recovered.state.rolling.is_some());
}

#[test]
fn approvals_in_part_and_flagged_ones_come_back() {
    let mut ledger = Ledger::new();
    let small = limits(Some(40), None);
    let part = Ask::new(1, 60).limited(Level::Card, small);
    let answer = ledger.ask(&part.ruled(|it| it.may_approve_part = true));
    assert_eq!(answer.decision, Decision::ApprovePartial(minor(40)));
    let terms = intent(1, i64::MAX);
    ledger.declare(1, 1, Ask::new(1, 1).at, &terms).unwrap();
    let rule = IntentRule {
        level: Level::Card,
        requires_approval: false,
        auto_approve_below: None,
        flags_mismatch: true,
    };
    ledger.approve(&Ask::new(2, 9).ruled(|it| it.intent = Some(rule)));
    assert!(ledger.last_decided().flagged);
    let recovered = ledger.recovered();
    for n in [1, 2] {
        let key = authorization_key(n);
        let found = recovered.state.authorization(key);
        assert_eq!(found, ledger.state.authorization(key));
    }
}

#[test]
fn an_authorization_has_the_flags_that_are_known_and_no_others() {
    let mut written = Authorization::parked(Some(CardNo(3)), Timestamp::from_secs(9));
    written.set_life(Life::default());
    written.set_under_lock(true);
    let mut bytes = Vec::new();
    put_authorization(&mut bytes, &written, Format::Second);
    let read = |bytes: &[u8]| authorization(&mut Reader::new(bytes), Format::Second);
    assert_eq!(read(&bytes), Ok(written));
    for unknown in [8, 0x80] {
        let mut bytes = bytes.clone();
        bytes[1] |= unknown;
        assert_eq!(read(&bytes), Err(Malformed));
    }
}
