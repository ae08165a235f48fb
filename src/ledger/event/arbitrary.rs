//! Any event for tests: every optional field, small numbers that fit a state, and extremes.

use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use crate::domain::amount::{Amount, Minor};
use crate::domain::authorization::AuthorizationKind;
use crate::domain::card::{AgentStatus, CardStatus, CustomerStatus, Key, Level};
use crate::domain::claims::MerchantKeys;
use crate::domain::currency::Currency;
use crate::domain::decision::{Decision, DeclineReason};
use crate::domain::explanation::{Explanation, RuleField};
use crate::domain::hold_time::HoldTime;
use crate::domain::identity::StepIdentity;
use crate::domain::lifecycle::{OnReversal, StandingStatus};
use crate::domain::mcc::Mcc;
use crate::domain::time::Timestamp;
use crate::domain::window::{LocalDay, LocalHour, WindowKind};
use crate::ledger::codec::ExternalId;
use crate::ledger::event::{
    AgentNo, AttestationClass, Booked, CardNo, Decided, DeclinedThere, Event, Facts,
    LockedMerchant, Owner, ShadowVerdict, StandingChange, StateNo,
};
use crate::ledger::intent::{IntentTerms, IntentVerdict};
use crate::ledger::life::{Fact, Told};
use crate::ledger::rolling::SeriesSet;

const TEXTS: [&str; 7] = [
    "",
    "x",
    "\0",
    "CAFÉ \"ÜBER\"\\\n* 12",
    "0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a01",
    "0B1F7C52-6B7A-4C5D-9F51-3B0C5A6F0A01",
    concat!(
        "a text of more than one hundred and twenty-seven bytes, whose length takes two bytes ",
        "to write, as that of a long descriptor would"
    ),
];

fn text() -> impl Strategy<Value = &'static str> {
    select(&TEXTS[..])
}

fn u32s() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..3u32, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

fn u64s() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..4u64, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn i64s() -> impl Strategy<Value = i64> {
    prop_oneof![2 => -3..100i64, 1 => any::<i64>(), 1 => select(vec![i64::MIN, i64::MAX])]
}

fn at() -> impl Strategy<Value = Timestamp> {
    i64s().prop_map(Timestamp::from_micros)
}

fn day() -> impl Strategy<Value = LocalDay> {
    let extremes = select(vec![i32::MIN, i32::MAX]);
    prop_oneof![5 => 20_600..20_605i32, 1 => any::<i32>(), 1 => extremes].prop_map(LocalDay)
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![3 => 0..3u128, 1 => any::<u128>(), 1 => Just(u128::MAX)].prop_map(Key)
}

fn state() -> impl Strategy<Value = StateNo> {
    u32s().prop_map(StateNo)
}

fn minor() -> impl Strategy<Value = Minor> {
    let max = Minor::MAX.get();
    prop_oneof![3 => 0..200i64, 1 => 0..=max, 1 => Just(max)].prop_map(|n| Minor::new(n).unwrap())
}

fn external_id() -> impl Strategy<Value = ExternalId<'static>> {
    text().prop_map(ExternalId::new)
}

fn currency() -> impl Strategy<Value = Currency> {
    select(vec!["AED", "USD", "JPY", "KWD", "ZWG"]).prop_map(|it| Currency::parse(it).unwrap())
}

fn kind() -> impl Strategy<Value = AuthorizationKind> {
    (0..4u8).prop_map(|n| AuthorizationKind::from_number(n).unwrap())
}

fn explanation(reason: DeclineReason) -> impl Strategy<Value = Explanation> {
    let level = option::of(select(&Level::ALL[..]));
    let field = (0..39u8).prop_map(|n| RuleField::from_number(n).unwrap());
    let number = || option::of(i64s());
    let numbers = (number(), number(), number(), option::of(at()));
    (level, field, numbers).prop_map(move |(level, field, numbers)| Explanation {
        reason,
        level,
        field,
        observed: numbers.0,
        limit: numbers.1,
        remaining: numbers.2,
        resets_at: numbers.3,
    })
}

fn decision() -> impl Strategy<Value = (Decision, Option<Explanation>)> {
    let decline = select(&DeclineReason::ALL[..]).prop_flat_map(|reason| {
        option::of(explanation(reason)).prop_map(move |why| (Decision::Decline(reason), why))
    });
    prop_oneof![
        2 => Just((Decision::Approve, None)),
        1 => minor().prop_map(|part| (Decision::ApprovePartial(part), None)),
        2 => decline,
    ]
}

fn locked() -> impl Strategy<Value = LockedMerchant<'static>> {
    let keys = (option::of(u64s()), u64s(), option::of(u64s()));
    let mcc = option::of(0..=9_999u16);
    let country = option::of(select(vec![0x4141u16, 0x5553, 0x5A5A]));
    (keys, text(), text(), text(), mcc, country).prop_map(
        |(keys, acquirer_id, acceptor_id, descriptor, mcc, country)| LockedMerchant {
            keys: MerchantKeys {
                strong: keys.0,
                weak: keys.1,
                sub_merchant: keys.2,
            },
            acquirer_id,
            acceptor_id,
            descriptor,
            mcc,
            country,
        },
    )
}

type More = (
    Option<LocalHour>,
    bool,
    Option<Key>,
    bool,
    AttestationClass,
    bool,
);

/// What the first layout of a decided step cannot say: nothing, mostly.
fn more() -> BoxedStrategy<More> {
    let hour = prop_oneof![5 => 494_440..494_450i32, 1 => any::<i32>()].prop_map(LocalHour);
    let class = select(vec![
        AttestationClass::Unattested,
        AttestationClass::Attested,
        AttestationClass::Stale,
    ]);
    let nothing = Just((
        None,
        false,
        None,
        false,
        AttestationClass::Unattested,
        false,
    ));
    let something = (
        option::of(hour),
        any::<bool>(),
        option::of(key()),
        any::<bool>(),
        class,
        any::<bool>(),
    );
    prop_oneof![2 => nothing, 1 => something].boxed()
}

fn terms() -> impl Strategy<Value = IntentTerms> {
    let amounts = (option::of(minor()), option::of(minor()));
    let mccs = proptest::collection::vec(0..=9_999u16, 0..4);
    let of = (
        option::of(currency()),
        option::of(u64s()),
        mccs,
        at(),
        any::<bool>(),
    );
    (amounts, of).prop_map(|(amounts, of)| IntentTerms {
        expected: amounts.0,
        cap: amounts.1,
        currency: of.0,
        merchant: of.1,
        mccs: of
            .2
            .into_iter()
            .map(|it| Mcc::from_number(it).unwrap())
            .collect(),
        expires_at: of.3,
        awaits_approval: of.4,
    })
}

fn series() -> impl Strategy<Value = SeriesSet> {
    let one = (select(&Level::ALL[..]), select(&WindowKind::ALL[..]));
    proptest::collection::vec(one, 0..4).prop_map(|wanted| {
        let mut set = SeriesSet::default();
        wanted
            .into_iter()
            .for_each(|(level, kind)| set.add(level, kind));
        set
    })
}

/// The events of the second version.
fn later() -> BoxedStrategy<Event<'static>> {
    let card = || u32s().prop_map(CardNo);
    let agent = u32s().prop_map(AgentNo);
    let offset = prop_oneof![3 => select(vec![0u16, 1_800, 2_700]), 1 => any::<u16>()];
    prop_oneof![
        (state(), day(), at(), offset).prop_map(|(state, day, day_ends, hour_offset_s)| {
            Event::WindowsOpened {
                state,
                day,
                day_ends,
                hour_offset_s,
            }
        }),
        (state(), option::of(card()), option::of(agent), series()).prop_map(
            |(state, card, agent, series)| Event::RollingOpened {
                state,
                card,
                agent,
                series
            }
        ),
        (state(), card(), at()).prop_map(|(state, card, at)| Event::RiskFrozen { state, card, at }),
        (state(), card(), key(), terms(), at()).prop_map(|(state, card, intent, terms, at)| {
            Event::IntentDeclared {
                state,
                card,
                intent,
                terms,
                at,
            }
        }),
        (state(), key(), select(&IntentVerdict::ALL[..]), at()).prop_map(
            |(state, intent, verdict, at)| Event::IntentSettled {
                state,
                intent,
                verdict,
                at
            }
        ),
        (state(), card(), at()).prop_map(|(state, card, at)| Event::Attested { state, card, at }),
        (state(), card(), key(), at()).prop_map(|(state, card, earmark, at)| Event::Backed {
            state,
            card,
            earmark,
            at,
        }),
        booked().prop_map(Event::Booked),
        (state(), 0..=256u16, text(), at(), any::<bool>()).prop_map(
            |(state, part, connection, cut, is_usual)| Event::Lapsed {
                state,
                part,
                connection,
                cut,
                time: if is_usual {
                    HoldTime::Usual
                } else {
                    HoldTime::Long
                },
            }
        ),
    ]
    .boxed()
}

fn hold_time() -> impl Strategy<Value = HoldTime> {
    (0..3u8).prop_map(|number| HoldTime::from_number(number).unwrap())
}

fn fact() -> impl Strategy<Value = Fact> {
    let kind = (0..11u8).prop_map(|number| Fact::kind_of(number).unwrap());
    let id = prop_oneof![3 => 0..5u64, 1 => u64s()];
    (id, kind, minor(), at()).prop_map(|(id, kind, amount, at)| Fact {
        id,
        kind,
        amount,
        at,
    })
}

fn told() -> impl Strategy<Value = Told> {
    let status = select(vec![
        StandingStatus::Pending,
        StandingStatus::Settled,
        StandingStatus::Voided,
        StandingStatus::Expired,
        StandingStatus::Declined,
        StandingStatus::Closed,
    ]);
    let counts = (0..4u32, 0..4u32, prop_oneof![0..4u32, any::<u32>()]);
    let told = (option::of(minor()), option::of(minor()), option::of(at()));
    let sums = (minor(), minor(), minor());
    (status, counts, told, sums).prop_map(|(status, counts, told, sums)| Told {
        held: sums.0,
        posted: told.0,
        refunded: told.1,
        status,
        revision: counts.2,
        made_at: told.2,
        asks: counts.0,
        approvals: counts.1,
        listed_posted: sums.1,
        listed_refunded: sums.2,
    })
}

fn booked() -> BoxedStrategy<Booked<'static>> {
    let of = (state(), at(), key(), external_id(), currency(), hold_time());
    let card = option::of(u32s().prop_map(CardNo));
    let agent = option::of(u32s().prop_map(AgentNo));
    let place = (card, agent, day(), any::<i32>().prop_map(LocalHour));
    let facts = proptest::collection::vec(fact(), 0..4);
    let said = (facts, option::of(told()));
    let on_reversal = select(vec![
        OnReversal::GiveBack,
        OnReversal::KeepLock,
        OnReversal::KeepUse,
    ]);
    let declined =
        (u32s(), minor()).prop_map(|(ordinal, amount)| DeclinedThere { ordinal, amount });
    let uses = (any::<bool>(), option::of(locked()), option::of(declined));
    let notes = (any::<bool>(), any::<bool>(), on_reversal, uses);
    (of, place, said, notes)
        .prop_map(|(of, place, said, notes)| Booked {
            state: of.0,
            at: of.1,
            authorization: of.2,
            external: of.3,
            currency: of.4,
            hold_time: of.5,
            card: place.0,
            agent: place.1,
            day: place.2,
            hour: place.3,
            facts: said.0,
            told: said.1,
            refunds_restore: notes.0,
            has_drifted: notes.1,
            on_reversal: notes.2,
            consumes: notes.3.0,
            locks: notes.3.1,
            declined: notes.3.2,
        })
        .boxed()
}

fn shadow() -> BoxedStrategy<ShadowVerdict> {
    ([u32s(), u32s(), u32s()], decision())
        .prop_map(|(versions, (decision, _))| ShadowVerdict { versions, decision })
        .boxed()
}

fn facts() -> BoxedStrategy<Facts<'static>> {
    let ids = (option::of(text()), option::of(text()), text()).boxed();
    let codes = (option::of(any::<u16>()), option::of(any::<u16>())).boxed();
    let more = (
        any::<bool>(),
        option::of(any::<bool>()),
        option::of(any::<u8>()),
    );
    (minor(), minor(), ids, codes, more)
        .prop_map(|(amount, cash, ids, codes, more)| Facts {
            amount,
            cash,
            acquirer_id: ids.0,
            acceptor_id: ids.1,
            descriptor: ids.2,
            mcc: codes.0,
            country: codes.1,
            partial_approval_capable: more.0,
            card_present: more.1,
            risk_score: more.2,
        })
        .boxed()
}

/// What the third layout says.
fn wide() -> BoxedStrategy<(Option<ShadowVerdict>, Option<Facts<'static>>)> {
    (option::of(shadow()), option::of(facts())).boxed()
}

/// A record of a conflict says nothing that the first layout cannot say.
fn conflicted(mut decided: Decided<'static>) -> Event<'static> {
    decided.hour = Decided::utc_hour(decided.at);
    (decided.probes, decided.flagged, decided.intent) = (false, false, None);
    decided.stood_in = false;
    decided.attestation = AttestationClass::Unattested;
    (decided.shadow, decided.facts) = (None, None);
    Event::Conflicted(decided)
}

/// Boxed, as trees of this many fields overflow a test's stack otherwise.
pub(in crate::ledger) fn decided() -> BoxedStrategy<Decided<'static>> {
    let step = (key(), option::of(u64s()), option::of(u64s()), u64s());
    let step = step.prop_map(|(authorization, name, delivery, content)| StepIdentity {
        authorization,
        name,
        delivery,
        content,
    });
    let amount = (minor(), currency()).prop_map(|(minor, currency)| Amount { minor, currency });
    let parties = (
        option::of(u32s().prop_map(CardNo)),
        option::of(u32s().prop_map(AgentNo)),
        option::of(external_id()),
    );
    let asked = (state(), at(), step, u32s(), external_id(), kind(), amount).boxed();
    let locks = option::of(locked());
    let said = (decision(), day(), any::<bool>(), locks, hold_time()).boxed();
    (asked, parties, said, more(), wide(), u64s(), u32s())
        .prop_map(
            |(asked, parties, said, more, wide, snapshot_version, latency_us)| Decided {
                state: asked.0,
                at: asked.1,
                step: asked.2,
                ordinal: asked.3,
                authorization: asked.4,
                card: parties.0,
                agent: parties.1,
                kind: asked.5,
                hold_time: said.4,
                amount: asked.6,
                decision: said.0.0,
                day: said.1,
                hour: more.0.unwrap_or_else(|| Decided::utc_hour(asked.1)),
                consumes: said.2,
                probes: more.1,
                intent: more.2,
                flagged: more.3,
                stood_in: more.5,
                attestation: more.4,
                locks: said.3,
                explanation: said.0.1,
                card_token: parties.2,
                shadow: wide.0,
                facts: wide.1,
                snapshot_version,
                latency_us,
            },
        )
        .boxed()
}

fn standing() -> impl Strategy<Value = StandingChange> {
    let card = select(vec![
        CardStatus::Active,
        CardStatus::Locked,
        CardStatus::Canceled,
    ]);
    let agent = select(vec![
        AgentStatus::Active,
        AgentStatus::Paused,
        AgentStatus::Disabled,
    ]);
    prop_oneof![
        (u32s(), card, any::<bool>()).prop_map(|(no, status, frozen)| StandingChange::Card(
            CardNo(no),
            status,
            frozen
        )),
        (u32s(), agent).prop_map(|(no, status)| StandingChange::Agent(AgentNo(no), status)),
        select(vec![CustomerStatus::Active, CustomerStatus::Suspended])
            .prop_map(StandingChange::Customer),
    ]
}

/// Any event of any kind.
pub(in crate::ledger) fn event() -> BoxedStrategy<Event<'static>> {
    let owner = prop_oneof![
        text().prop_map(Owner::Customer),
        text().prop_map(Owner::Unattributed)
    ];
    prop_oneof![
        1 => (state(), key(), owner)
            .prop_map(|(state, key, owner)| Event::StateOpened { state, key, owner }),
        3 => (state(), u32s(), key(), text(), text()).prop_map(
            |(state, card, key, id, connection)| Event::CardOpened {
                state,
                card: CardNo(card),
                key,
                id,
                connection,
            }
        ),
        3 => (state(), u32s(), key(), text()).prop_map(|(state, agent, key, id)| {
            Event::AgentOpened {
                state,
                agent: AgentNo(agent),
                key,
                id,
            }
        }),
        8 => decided().prop_map(Event::Decided),
        1 => decided().prop_map(conflicted),
        6 => later(),
        1 => (state(), u64s(), at())
            .prop_map(|(state, decided_at, at)| Event::Redelivered { state, decided_at, at }),
        4 => (state(), key(), u64s(), at()).prop_map(
            |(state, authorization, decided_at, at)| Event::Overruled {
                state,
                authorization,
                decided_at,
                at,
            }
        ),
        2 => (state(), standing(), at())
            .prop_map(|(state, change, at)| Event::StandingSet { state, change, at }),
        2 => (state(), select(vec![0u16, 1, 255, 256, 257, u16::MAX]), at())
            .prop_map(|(state, part, cut)| Event::Swept { state, part, cut }),
    ]
    .boxed()
}
