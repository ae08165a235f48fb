//! Images come back as they were written, and are of one state.

use super::{Format, authorization, life, put_authorization};
use crate::domain::card::Level;
use crate::domain::claims::{IntentRule, ScopeLimits};
use crate::domain::decision::Decision;
use crate::domain::hold_time::HoldTime;
use crate::domain::lifecycle::{MovementKind, StandingStatus};
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour};
use crate::ledger::authorization::Authorization;
use crate::ledger::check::harness::{Ask, Ledger, authorization_key, intent, limits, minor};
use crate::ledger::codec::{Malformed, Reader};
use crate::ledger::event::{AgentNo, CardNo};
use crate::ledger::image;
use crate::ledger::life::{FACTS_MAX, Fact, Life, Place, Portion, Told, Uses};

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
    written.learn_hold_time(HoldTime::Long);
    let mut bytes = Vec::new();
    put_authorization(&mut bytes, &written, Format::Second);
    let read = |bytes: &[u8]| authorization(&mut Reader::new(bytes), Format::Second);
    assert_eq!(read(&bytes), Ok(written));
    for unknown in [0x18, 0x20, 0x80] {
        let mut bytes = bytes.clone();
        bytes[1] |= unknown;
        assert_eq!(read(&bytes), Err(Malformed));
    }
}

#[test]
fn a_life_comes_back_with_its_flags_and_the_first_of_all_agents() {
    for (has_drifted, has_lapsed) in [(false, false), (true, false), (false, true)] {
        let portion = |agent: Option<u32>| Portion {
            held: minor(1),
            posted: minor(2),
            place: Place {
                day: LocalDay(3),
                hour: LocalHour(4),
                at: Timestamp::from_micros(5),
                agent: agent.map(AgentNo),
            },
        };
        let written = Life {
            has_drifted,
            has_lapsed,
            portions: [None, Some(0), Some(7)].map(portion).to_vec(),
            uses: Some(Box::new(Uses {
                consumes: has_drifted,
                consumed_at: has_lapsed.then(|| Timestamp::from_secs(9)),
                lock: None,
            })),
            ..Life::default()
        };
        let mut bytes = Vec::new();
        life::put(&mut bytes, &written);
        assert_eq!(life::read(&mut Reader::new(&bytes)), Ok(written));
    }
}

#[test]
fn an_account_comes_back_with_what_it_tells_and_leaves_out() {
    for (posted, made_at) in [(None, None), (Some(0), Some(8)), (Some(6), None)] {
        for refunded in [None, Some(0), Some(7)] {
            let written = Life {
                told: Some(Told {
                    held: minor(5),
                    posted: posted.map(minor),
                    refunded: refunded.map(minor),
                    status: StandingStatus::Pending,
                    revision: 1,
                    made_at: made_at.map(Timestamp::from_secs),
                    asks: 2,
                    approvals: 3,
                    listed_posted: minor(8),
                    listed_refunded: minor(9),
                }),
                ..Life::default()
            };
            let mut bytes = Vec::new();
            life::put(&mut bytes, &written);
            let mut reader = Reader::new(&bytes);
            assert_eq!(life::read(&mut reader), Ok(written));
            assert!(reader.is_empty());
        }
    }
}

#[test]
fn the_facts_of_a_life_are_in_the_order_of_their_ids_and_so_many_at_most() {
    let read = |ids: &[u64]| {
        let fact = |id: &u64| Fact {
            id: *id,
            kind: MovementKind::Refunded,
            amount: minor(1),
            at: Timestamp::from_micros(5),
        };
        let written = Life {
            facts: ids.iter().map(fact).collect(),
            ..Life::default()
        };
        let mut bytes = Vec::new();
        life::put(&mut bytes, &written);
        life::read(&mut Reader::new(&bytes)).map(|life| life == written)
    };
    let full: Vec<u64> = (0..u64::try_from(FACTS_MAX).unwrap()).collect();
    assert_eq!(read(&full), Ok(true));
    let more = [full.as_slice(), &[u64::MAX]].concat();
    assert_eq!(read(&more), Err(Malformed));
    assert_eq!(read(&[1, 2]), Ok(true));
    assert_eq!(read(&[2, 1]), Err(Malformed));
    assert_eq!(read(&[1, 1]), Err(Malformed));
}

#[test]
fn a_lock_on_a_merchant_without_a_strong_key_comes_back() {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 1).locking().with(|it| {
        it.claims.merchant.strong = None;
    }));
    let lock = ledger.card(1).lock.as_ref().unwrap();
    assert_eq!(lock.keys.strong, None);
    assert_eq!(ledger.recovered().card(1).lock.as_ref(), Some(lock));
}
