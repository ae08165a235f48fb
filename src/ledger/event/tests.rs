//! The journal's words: they come back as they were written, and nothing else is read for them.

use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::Key;
use crate::domain::currency::Currency;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::hold_time::HoldTime;
use crate::domain::identity::StepIdentity;
use crate::domain::lifecycle::MovementKind;
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour};
use crate::ledger::codec::{ExternalId, Malformed, Reader};
use crate::ledger::event::arbitrary::{decided, event};
use crate::ledger::event::{
    AgentNo, AttestationClass, CardNo, Decided, Event, StateNo, decode_fact, encode_fact, events_of,
};
use crate::ledger::life::Fact;

fn bytes_of(events: &[Event<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    events.iter().for_each(|event| event.encode(&mut bytes));
    bytes
}

fn decode(bytes: &[u8]) -> Result<Vec<Event<'_>>, Malformed> {
    events_of(bytes).collect()
}

/// What a reader of damaged bytes is owed: an end, and no event after the damage.
fn read_to_the_end(bytes: &[u8]) {
    let mut failed = false;
    let mut count = 0;
    for event in events_of(bytes) {
        assert!(!failed, "an event after a malformed one");
        failed = event.is_err();
        count += 1;
    }
    assert!(count <= bytes.len() + 1, "more events than bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn events_come_back_from_their_bytes(
        events in proptest::collection::vec(event(), 0..4)
    ) {
        let bytes = bytes_of(&events);
        prop_assert_eq!(decode(&bytes), Ok(events));
    }

    #[test]
    fn c5_damaged_bytes_are_refused_or_read_but_never_panic_or_go_on_for_ever(
        events in proptest::collection::vec(event(), 1..3),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        noise in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = bytes_of(&events);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_to_the_end(&bytes);
        read_to_the_end(&[&bytes[..], &noise[..]].concat());
        read_to_the_end(&noise);
        // A tag that exists, so that the noise reaches the fields.
        for tag in 0..=18 {
            read_to_the_end(&[&[tag, 0], &noise[..]].concat());
        }
    }

    #[test]
    fn c4_a_truncated_event_is_malformed_at_every_length(event in event()) {
        let bytes = bytes_of(std::slice::from_ref(&event));
        for size in 1..bytes.len() {
            prop_assert_eq!(decode(&bytes[..size]), Err(Malformed), "{} bytes", size);
        }
        prop_assert_eq!(decode(&bytes[..0]), Ok(Vec::new()));
    }

    #[test]
    fn what_is_read_from_any_bytes_is_written_as_it_was_read(
        mut decided in decided(),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), 0..8u8), 0..3),
    ) {
        decided.explanation = None;
        let mut bytes = bytes_of(&[Event::Decided(decided)]);
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if let Ok(events) = decode(&bytes) {
            let again = bytes_of(&events);
            // A UUID may have been stored as text: written once, it is a UUID.
            prop_assert_eq!(bytes_of(&decode(&again).unwrap()), again);
        }
    }
}

#[test]
fn an_unknown_tag_or_number_is_malformed() {
    for tag in [0, 17, 255] {
        assert_eq!(decode(&[tag, 0]), Err(Malformed), "{tag}");
    }
    // The flags say that an explanation follows; an approval has none, whatever comes next.
    let mut explained = bytes_of(&[Event::Decided(approval(1, 1))]);
    explained[2] |= 16;
    assert_eq!(decode(&explained), Err(Malformed));
    // A state's number has 32 bits, a part's 16; wider ones are not cut to size.
    let swept = |state: &[u8], part: &[u8]| [&[9], state, part, &[0]].concat();
    let largest = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F];
    assert!(decode(&swept(&largest, &[0xFF, 0xFF, 0x03])).is_ok());
    let wide = [0x80, 0x80, 0x80, 0x80, 0x10];
    assert_eq!(decode(&swept(&wide, &[0])), Err(Malformed));
    assert_eq!(decode(&swept(&[0], &[0x80, 0x80, 0x04])), Err(Malformed));
}

#[test]
fn every_reason_field_and_kind_comes_back() {
    for reason in DeclineReason::ALL {
        for (field, kind) in (0..39).zip((0..4).cycle()) {
            let mut decided = approval(1, 1);
            decided.kind = AuthorizationKind::from_number(kind).unwrap();
            decided.decision = Decision::Decline(reason);
            decided.explanation = Some(Explanation {
                field: RuleField::from_number(field).unwrap(),
                ..Explanation::bare(reason)
            });
            let event = Event::Decided(decided);
            let bytes = bytes_of(std::slice::from_ref(&event));
            assert_eq!(decode(&bytes), Ok(vec![event]));
        }
    }
}

const UUID: &str = "0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a01";

/// An approval as Lithic's messages make it: a UUID, a delivery, no step name.
fn approval(state: u32, card: u32) -> Decided<'static> {
    Decided {
        state: StateNo(state),
        at: Timestamp::from_micros(1_780_000_000_123_456),
        step: StepIdentity {
            authorization: Key(u128::MAX / 3),
            name: None,
            delivery: Some(u64::MAX / 5),
            content: u64::MAX / 7,
        },
        ordinal: 1,
        authorization: ExternalId::new(UUID),
        card: Some(CardNo(card)),
        agent: None,
        kind: AuthorizationKind::Authorization,
        hold_time: HoldTime::Usual,
        amount: Amount {
            minor: Minor::new(123_456).unwrap(),
            currency: Currency::USD,
        },
        decision: Decision::Approve,
        day: LocalDay(20_600),
        hour: LocalHour(494_444),
        consumes: true,
        probes: false,
        intent: None,
        flagged: false,
        stood_in: false,
        attestation: AttestationClass::Unattested,
        locks: None,
        explanation: None,
        card_token: None,
        shadow: None,
        facts: None,
        snapshot_version: 12_345,
        latency_us: 150,
    }
}

#[test]
fn an_approval_takes_at_most_80_bytes() {
    let size = |decided: Decided<'static>| bytes_of(&[Event::Decided(decided)]).len();
    let usual = approval(16_383, 16_383);
    let with_agent = Decided {
        agent: Some(AgentNo(127)),
        ..usual.clone()
    };
    let of_a_million = Decided {
        state: StateNo(999_999),
        ..with_agent.clone()
    };
    let sizes = [usual, with_agent, of_a_million].map(size);
    println!("an approval: {sizes:?} bytes (plain, with an agent, in state 999 999)");
    assert!(sizes[0] <= 80, "{sizes:?}");
}

/// What a dispute is in the journal: a report with one more kind of fact (behaviour 2.13 g).
#[test]
fn a_dispute_is_kind_11_of_what_is_reported() {
    let mut row = Vec::new();
    encode_fact(
        &mut row,
        &Fact {
            id: 0x0102_0304_0506_0708,
            kind: MovementKind::Disputed,
            amount: Minor::new(2_599).unwrap(),
            at: Timestamp::from_micros(i64::MAX),
        },
    );
    let hex: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "08070605040302010bce2800");
    let fact = decode_fact(&mut Reader::new(&row)).unwrap();
    assert_eq!(fact.kind, MovementKind::Disputed);
}
