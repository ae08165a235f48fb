//! Bytes that earlier versions wrote: a tag never changes its layout, so each is read for ever.

use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key, Level};
use crate::domain::claims::MerchantKeys;
use crate::domain::currency::Currency;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::hold_time::HoldTime;
use crate::domain::identity::StepIdentity;
use crate::domain::lifecycle::{MovementKind, OnReversal, StandingStatus};
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour, WindowKind};
use crate::ledger::codec::ExternalId;
use crate::ledger::event::{
    AgentNo, AttestationClass, Booked, CardNo, Decided, DeclinedThere, Event, Facts,
    LockedMerchant, Owner, ShadowVerdict, StandingChange, StateNo, events_of,
};
use crate::ledger::intent::{IntentTerms, IntentVerdict};
use crate::ledger::life::{Fact, Told};
use crate::ledger::rolling::SeriesSet;

const STATE: StateNo = StateNo(300);
const AT: Timestamp = Timestamp::from_micros(1_780_000_000_123_456);

fn minor(n: i64) -> Minor {
    Minor::new(n).unwrap()
}

fn approval() -> Decided<'static> {
    Decided {
        state: STATE,
        at: AT,
        step: StepIdentity {
            authorization: Key(0x0102_0304_0506_0708_090A_0B0C_0D0E_0F10),
            name: None,
            delivery: Some(0x1112_1314_1516_1718),
            content: 0x2122_2324_2526_2728,
        },
        ordinal: 1,
        authorization: ExternalId::new("0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a01"),
        card: Some(CardNo(7)),
        agent: Some(AgentNo(130)),
        kind: AuthorizationKind::Authorization,
        hold_time: HoldTime::Unknown,
        amount: Amount {
            minor: minor(123_456),
            currency: Currency::USD,
        },
        decision: Decision::Approve,
        day: LocalDay(20_600),
        hour: LocalHour(494_444),
        consumes: false,
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

fn locking() -> Decided<'static> {
    Decided {
        consumes: true,
        locks: Some(LockedMerchant {
            keys: MerchantKeys {
                strong: Some(5),
                weak: 6,
                sub_merchant: Some(7),
            },
            acquirer_id: "400001",
            acceptor_id: "CUMULUS00000001",
            descriptor: "CAFÉ 12",
            mcc: Some(5812),
            country: Some(0x5553),
        }),
        ..approval()
    }
}

fn partial() -> Decided<'static> {
    let mut partial = approval();
    partial.step.name = Some(9);
    Decided {
        decision: Decision::ApprovePartial(minor(99)),
        ordinal: 2,
        agent: None,
        authorization: ExternalId::new("txn_4"),
        kind: AuthorizationKind::SingleMessage,
        ..partial
    }
}

fn decline() -> Decided<'static> {
    Decided {
        decision: Decision::Decline(DeclineReason::CardLimitExceeded),
        explanation: Some(Explanation {
            level: Some(Level::Card),
            field: RuleField::PerDay,
            observed: Some(40),
            limit: Some(99),
            remaining: Some(39),
            resets_at: Some(Timestamp::from_secs(1_780_012_800)),
            ..Explanation::bare(DeclineReason::CardLimitExceeded)
        }),
        ..approval()
    }
}

fn unknown() -> Decided<'static> {
    Decided {
        decision: Decision::Decline(DeclineReason::CardUnknown),
        explanation: Some(Explanation {
            field: RuleField::IssuerToken,
            ..Explanation::bare(DeclineReason::CardUnknown)
        }),
        card: None,
        agent: None,
        day: LocalDay(i32::MIN),
        card_token: Some(ExternalId::new("tok_1")),
        ..approval()
    }
}

fn conflict() -> Decided<'static> {
    Decided {
        decision: Decision::Decline(DeclineReason::ConflictingDuplicate),
        explanation: Some(Explanation::bare(DeclineReason::ConflictingDuplicate)),
        ..approval()
    }
}

/// A row of bytes and what it says.
type Row = (&'static str, Event<'static>);

/// Decided steps as the first version wrote them.
fn decided_rows() -> Vec<Row> {
    vec![
        (
            concat!(
                "04ac020e4022b58be6520600100f0e0d0c0b0a09080706050403020128272625242322211817",
                "16151413121101000b1f7c526b7a4c5d9f513b0c5a6f0a0107820100a76d80890f00f0c102b9",
                "609601",
            ),
            Event::Decided(approval()),
        ),
        (
            concat!(
                "04ac026e4022b58be6520600100f0e0d0c0b0a09080706050403020128272625242322211817",
                "16151413121101000b1f7c526b7a4c5d9f513b0c5a6f0a0107820100a76d80890f00f0c102b9",
                "60960103060000000000000005000000000000000700000000000000063430303030310f4355",
                "4d554c5553303030303030303108434146c389203132b52dd3aa01",
            ),
            Event::Decided(locking()),
        ),
        (
            concat!(
                "04ac02074022b58be6520600100f0e0d0c0b0a09080706050403020128272625242322210900",
                "0000000000001817161514131211020674786e5f340701a76d80890fffc601f0c102b9609601",
            ),
            Event::Decided(partial()),
        ),
        (
            concat!(
                "04ac021e4022b58be6520600100f0e0d0c0b0a09080706050403020128272625242322211817",
                "16151413121101000b1f7c526b7a4c5d9f513b0c5a6f0a0107820100a76d80890f1bf0c102b9",
                "609601010a0f50c6014e80809eeab0baa906",
            ),
            Event::Decided(decline()),
        ),
        (
            concat!(
                "04ac02924022b58be6520600100f0e0d0c0b0a09080706050403020128272625242322211817",
                "16151413121101000b1f7c526b7a4c5d9f513b0c5a6f0a0100a76d80890f01ffffffff0fb960",
                "960100010006746f6b5f31",
            ),
            Event::Decided(unknown()),
        ),
        (
            concat!(
                "05ac021e4022b58be6520600100f0e0d0c0b0a09080706050403020128272625242322211817",
                "16151413121101000b1f7c526b7a4c5d9f513b0c5a6f0a0107820100a76d80890f21f0c102b9",
                "609601000000",
            ),
            Event::Conflicted(conflict()),
        ),
    ]
}

/// Openings as the first version wrote them.
fn opened_rows() -> Vec<Row> {
    let state = STATE;
    let opened = |owner| Event::StateOpened {
        state,
        key: Key(0xF0F1_F2F3_F4F5_F6F7_F8F9_FAFB_FCFD_FEFF),
        owner,
    };
    vec![
        (
            "01ac02fffefdfcfbfaf9f8f7f6f5f4f3f2f1f000056375735f31",
            opened(Owner::Customer("cus_1")),
        ),
        (
            "01ac02fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0010461636d65",
            opened(Owner::Unattributed("acme")),
        ),
        (
            "02ac02070100000000000000000000000000000006636172645f310461636d65",
            Event::CardOpened {
                state,
                card: CardNo(7),
                key: Key(1),
                id: "card_1",
                connection: "acme",
            },
        ),
        (
            "03ac02820102000000000000000000000000000000056167745f31",
            Event::AgentOpened {
                state,
                agent: AgentNo(130),
                key: Key(2),
                id: "agt_1",
            },
        ),
    ]
}

/// What else the first version wrote.
fn other_rows() -> Vec<Row> {
    let state = STATE;
    let set = |change| Event::StandingSet {
        state,
        change,
        at: AT,
    };
    let card = |status, frozen| set(StandingChange::Card(CardNo(7), status, frozen));
    vec![
        (
            "06ac024d8089a9bbd1b9a906",
            Event::Redelivered {
                state,
                decided_at: 77,
                at: AT,
            },
        ),
        (
            "07ac02030000000000000000000000000000004d8089a9bbd1b9a906",
            Event::Overruled {
                state,
                authorization: Key(3),
                decided_at: 77,
                at: AT,
            },
        ),
        (
            "08ac02000701018089a9bbd1b9a906",
            card(CardStatus::Locked, true),
        ),
        (
            "08ac02000702008089a9bbd1b9a906",
            card(CardStatus::Canceled, false),
        ),
        (
            "08ac02018201018089a9bbd1b9a906",
            set(StandingChange::Agent(AgentNo(130), AgentStatus::Paused)),
        ),
        (
            "08ac020200018089a9bbd1b9a906",
            set(StandingChange::Customer(CustomerStatus::Suspended)),
        ),
        (
            "09ac0280028089a9bbd1b9a906",
            Event::Swept {
                state,
                part: 256,
                cut: AT,
            },
        ),
    ]
}

/// A decided step with everything that the second layout says.
fn more() -> Decided<'static> {
    Decided {
        hour: LocalHour(494_445),
        probes: true,
        intent: Some(Key(0x3132_3334_3536_3738_393A_3B3C_3D3E_3F40)),
        flagged: true,
        attestation: AttestationClass::Stale,
        ..locking()
    }
}

fn series() -> SeriesSet {
    let mut series = SeriesSet::default();
    series.add(Level::Card, WindowKind::Day);
    series.add(Level::Customer, WindowKind::Month);
    series
}

fn terms() -> IntentTerms {
    IntentTerms {
        expected: Some(minor(40)),
        cap: Some(minor(44)),
        currency: Some(Currency::USD),
        merchant: Some(0x4142_4344_4546_4748),
        mccs: [5_411, 5_812].map(|n| Mcc::from_number(n).unwrap()).into(),
        expires_at: AT,
        awaits_approval: true,
    }
}

/// What the second version added.
fn second_rows() -> Vec<Row> {
    let (state, card) = (STATE, CardNo(7));
    let (series, terms) = (series(), terms());
    vec![
        (
            concat!(
                "0aac026e3b4022b58be6520600100f0e0d0c0b0a090807060504030201282726252423222118",
                "1716151413121101000b1f7c526b7a4c5d9f513b0c5a6f0a0107820100a76d80890f00f0c102",
                "b960960103060000000000000005000000000000000700000000000000063430303030310f43",
                "554d554c5553303030303030303108434146c389203132b52dd3aa0102403f3e3d3c3b3a3938",
                "37363534333231",
            ),
            Event::Decided(more()),
        ),
        (
            "0bac02f0c1028089a9bbd1b9a906880e",
            Event::WindowsOpened {
                state,
                day: LocalDay(20_600),
                day_ends: AT,
                hour_offset_s: 1_800,
            },
        ),
        (
            "0cac0208008102",
            Event::RollingOpened {
                state,
                card: Some(card),
                agent: None,
                series,
            },
        ),
        (
            "0dac02078089a9bbd1b9a906",
            Event::RiskFrozen {
                state,
                card,
                at: AT,
            },
        ),
        (
            concat!(
                "0eac02078089a9bbd1b9a906040000000000000000000000000000001f5058a76d4847464544",
                "43424102a32ab42d8089a9bbd1b9a906",
            ),
            Event::IntentDeclared {
                state,
                card,
                intent: Key(4),
                terms,
                at: AT,
            },
        ),
        (
            "0fac0204000000000000000000000000000000018089a9bbd1b9a906",
            Event::IntentSettled {
                state,
                intent: Key(4),
                verdict: IntentVerdict::Reject,
                at: AT,
            },
        ),
        (
            "10ac02078089a9bbd1b9a906",
            Event::Attested {
                state,
                card,
                at: AT,
            },
        ),
    ]
}

/// What came with the life after the approval.
fn life_rows() -> Vec<Row> {
    vec![
        (
            "15ac02078089a9bbd1b9a90604000000000000000000000000000000",
            Event::Backed {
                state: STATE,
                card: CardNo(7),
                earmark: Key(4),
                at: AT,
            },
        ),
        (
            "12ac0280020461636d658089a9bbd1b9a906",
            Event::Lapsed {
                state: STATE,
                part: 256,
                connection: "acme",
                cut: AT,
                time: HoldTime::Long,
            },
        ),
        (
            concat!(
                "11ac028089a9bbd1b9a906040000000000000000000000000000000869617574685f310800f0",
                "c102d8ad3ca76d07010101030201c801ce2800ce2801070000000000000005ce28fdf6d6c4aec6d6f9ff01",
            ),
            Event::Booked(Booked {
                state: STATE,
                at: AT,
                authorization: Key(4),
                external: ExternalId::Text("iauth_1"),
                card: Some(CardNo(7)),
                agent: None,
                day: LocalDay(20_600),
                hour: LocalHour(494_444),
                currency: Currency::USD,
                hold_time: HoldTime::Unknown,
                facts: vec![Fact {
                    id: 7,
                    kind: MovementKind::Posted { is_last: true },
                    amount: minor(2_599),
                    at: AT,
                }],
                told: Some(Told {
                    held: minor(100),
                    posted: Some(minor(2_599)),
                    refunded: None,
                    status: StandingStatus::Settled,
                    revision: 3,
                    made_at: None,
                    asks: 2,
                    approvals: 1,
                    listed_posted: minor(2_599),
                    listed_refunded: Minor::ZERO,
                }),
                refunds_restore: true,
                on_reversal: OnReversal::KeepLock,
                has_drifted: true,
                consumes: false,
                locks: None,
                declined: None,
            }),
        ),
    ]
}

/// What came with hold times.
fn hold_time_rows() -> Vec<Row> {
    vec![
        (
            "13ac0280020461636d658089a9bbd1b9a906",
            Event::Lapsed {
                state: STATE,
                part: 256,
                connection: "acme",
                cut: AT,
                time: HoldTime::Usual,
            },
        ),
        (
            concat!(
                "04ac020e4022b58be6520600100f0e0d0c0b0a0908070605040302012827262524232221181716151413121101",
                "000b1f7c526b7a4c5d9f513b0c5a6f0a0107820140a76d80890f00f0c102b9609601",
            ),
            Event::Decided(Decided {
                hold_time: HoldTime::Usual,
                ..approval()
            }),
        ),
        (
            concat!(
                "11ac028089a9bbd1b9a906040000000000000000000000000000000869617574685f310000f0c102d8ad3ca76d",
                "100000",
            ),
            Event::Booked(Booked {
                hold_time: HoldTime::Long,
                ..reported()
            }),
        ),
    ]
}

/// A report that says nothing.
fn reported() -> Booked<'static> {
    Booked {
        state: STATE,
        at: AT,
        authorization: Key(4),
        external: ExternalId::Text("iauth_1"),
        card: None,
        agent: None,
        day: LocalDay(20_600),
        hour: LocalHour(494_444),
        currency: Currency::USD,
        hold_time: HoldTime::Unknown,
        facts: Vec::new(),
        told: None,
        refunds_restore: false,
        on_reversal: OnReversal::GiveBack,
        has_drifted: false,
        consumes: false,
        locks: None,
        declined: None,
    }
}

/// What came with records of what issuers decline by themselves.
fn declined_rows() -> Vec<Row> {
    let bytes = concat!(
        "11ac028089a9bbd1b9a906040000000000000000000000000000000869617574685f310000f0c102d8ad3ca76d",
        "80000001ce28",
    );
    let event = Event::Booked(Booked {
        declined: Some(DeclinedThere {
            ordinal: 1,
            amount: minor(2_599),
        }),
        ..reported()
    });
    vec![(bytes, event)]
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What versions of policies added.
fn wide_rows() -> Vec<Row> {
    let facts = Facts {
        amount: minor(1),
        cash: minor(2),
        acquirer_id: Some("400001"),
        acceptor_id: Some("CUMULUS"),
        descriptor: "CAFÉ 12",
        mcc: Some(5_812),
        country: Some(0x5553),
        partial_approval_capable: true,
        card_present: Some(true),
        risk_score: Some(42),
    };
    let bare = Facts {
        acquirer_id: None,
        acceptor_id: None,
        mcc: None,
        country: None,
        partial_approval_capable: false,
        card_present: Some(false),
        risk_score: None,
        ..facts
    };
    let shadow = |decision| ShadowVerdict {
        versions: [300, 0, 1],
        decision,
    };
    vec![
        (
            concat!(
                "14ac026e3b034022b58be6520600100f0e0d0c0b0a0908070605040302012827262524232221",
                "181716151413121101000b1f7c526b7a4c5d9f513b0c5a6f0a0107820100a76d80890f00f0c1",
                "02b960960103060000000000000005000000000000000700000000000000063430303030310f",
                "43554d554c5553303030303030303108434146c389203132b52dd3aa0102403f3e3d3c3b3a39",
                "3837363534333231ac020001ff12ff020408434146c389203132063430303030310743554d55",
                "4c5553b42dd3aa012a",
            ),
            Event::Decided(Decided {
                shadow: Some(shadow(Decision::ApprovePartial(minor(9)))),
                facts: Some(facts),
                ..more()
            }),
        ),
        (
            concat!(
                "14ac020e00024022b58be6520600100f0e0d0c0b0a0908070605040302012827262524232221",
                "181716151413121101000b1f7c526b7a4c5d9f513b0c5a6f0a0107820100a76d80890f00f0c1",
                "02b960960120020408434146c389203132",
            ),
            Event::Decided(Decided {
                facts: Some(bare),
                ..approval()
            }),
        ),
        (
            concat!(
                "14ac020e00014022b58be6520600100f0e0d0c0b0a0908070605040302012827262524232221",
                "181716151413121101000b1f7c526b7a4c5d9f513b0c5a6f0a0107820100a76d80890f00f0c1",
                "02b9609601ac0200010b",
            ),
            Event::Decided(Decided {
                shadow: Some(shadow(Decision::Decline(DeclineReason::MccBlocked))),
                ..approval()
            }),
        ),
    ]
}

/// What a node approved in the place of a shared log.
fn stood_in_rows() -> Vec<Row> {
    vec![(
        concat!(
            "0aac020e404022b58be6520600100f0e0d0c0b0a090807060504030201282726252423222118",
            "1716151413121101000b1f7c526b7a4c5d9f513b0c5a6f0a0107820100a76d80890f00f0c102",
            "b9609601",
        ),
        Event::Decided(Decided {
            stood_in: true,
            ..approval()
        }),
    )]
}

#[test]
fn what_every_version_wrote_is_read_and_written_alike() {
    let rows = [
        opened_rows(),
        decided_rows(),
        other_rows(),
        second_rows(),
        life_rows(),
        wide_rows(),
        hold_time_rows(),
        declined_rows(),
        stood_in_rows(),
    ];
    for (golden, event) in rows.into_iter().flatten() {
        let mut written = Vec::new();
        event.encode(&mut written);
        let stored = bytes(golden);
        let read: Result<Vec<_>, _> = events_of(&stored).collect();
        assert_eq!(read, Ok(vec![event.clone()]));
        assert_eq!(hex(&written), golden, "{event:?}");
    }
}
