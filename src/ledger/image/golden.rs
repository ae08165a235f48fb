//! Images that earlier versions wrote stay readable.

use crate::domain::card::{AgentStatus, CardStatus, Level};
use crate::domain::claims::{IntentRule, ScopeLimits};
use crate::domain::currency::Currency;
use crate::domain::window::{LocalDay, LocalHour};
use crate::ledger::check::harness::{Ask, Ledger, TODAY, intent, limits, minor};
use crate::ledger::command::Authority;
use crate::ledger::counters::Counters;
use crate::ledger::image;
use crate::ledger::intent::IntentVerdict;
use crate::ledger::state::State;

/// A state with a bit of everything that the first version knew.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new();
    ledger.approve(&Ask::new(1, 60).single_use().locking());
    ledger.approve(&Ask::new(1, 7).step(2).with(|it| it.at += 1_000_000));
    let second = ledger.approve(&Ask::new(2, 5).on_card(2, None));
    ledger.approve(&Ask::new(3, 0).on_card(3, Some(2)));
    ledger.overrule(2, second);
    ledger.decline(&Ask::new(4, 9).limited(Level::Card, limits(Some(1), None)));
    ledger.ask(&Ask::new(5, 9).with(|it| it.known = (false, false)));
    ledger.approve(&Ask::new(6, 11).with(|it| (it.name, it.delivery) = (Some(3), Some(4))));
    ledger.approve(
        &Ask::new(7, 13)
            .on_day(TODAY + 1)
            .with(|it| it.at += 86_400_000_000),
    );
    ledger
        .set_card(2, Some(CardStatus::Locked), Some(true))
        .unwrap();
    ledger.set_agent(2, AgentStatus::Paused);
    ledger
}

/// The first version's image of [`ledger`].
const FIRST: &str = concat!(
    "010312d249a1c3831f84dbd8e8f83ec12a2e00056375735f31f2c1021a1afe2db601b601f8fb02b6",
    "01b601b601b601f2c102036ac5a3a71de1f9831f0e1149f2ace8730469645f310461636d65f2c102",
    "1a1afe2db601b601f8fb02b601b601b601b601000680809abbd1b9a90635fdb54abd205d900992c6",
    "c93833b1d50165000000000000000100000000000000063430303030310010434146c3892022c39c",
    "424552222031320000036afa6b957a41ba2013248d93716662ab0469645f320461636d65f0c10200",
    "00fe2d0000f8fb020000000001016a2f3483d7a17abd063a09def01fdce20469645f330461636d65",
    "ffffffff0f0000ffffffff0f0000ffffffff0f000000000000029f8d91047ea19677358a5bc8ab26",
    "20120469645f31f2c1021a1afe2db601b601f8fb02b601b601b601b601009fc259f2da01571429a0",
    "d7122be099490469645f32ffffffff0f0000ffffffff0f0000ffffffff0f00000000010735327e38",
    "1a811d2dfda74214b8ec2a0d0200000001000000000000001f00f0c1021e80809abbd1b9a906353b",
    "67ddea62df3cbf15af88348c8b2201010004010000000000000000001af2c1025a8080d598d5bea9",
    "063567462677e1ddc9f0bdbe5e37a6a444030000040100000000000000010000f0c1022880809abb",
    "d1b9a906359c0e14d4419e66e4d33aa9b65f1e7c010000040100000000000000001b00f0c1023c80",
    "809abbd1b9a90635d1d60131a25e03d8e9b6f3351998b30000000001000000000000000100f0c102",
    "4680809abbd1b9a90635fdb54abd205d900992c6c93833b1d5010101040100000000000000000078",
    "f0c1020a80809abbd1b9a90604020000000000000000000ef0c10214808994bcd1b9a90635069fef",
    "8d021fa0cbff323eb5d211eb01010007010000000000000003000000000000000400000000000000",
    "000016f0c1025080809abbd1b9a906",
);

/// The second version's image of [`second`].
const SECOND: &str = concat!(
    "020312d249a1c3831f84dbd8e8f83ec12a2e00056375735f31f4c1021212fe2dc801c801f8fb02c8",
    "01c801c801c80102080808b6ae3c02f4c1020080897ab6ae3c0080e0b68fbbc3a90600036ac5a3a7",
    "1de1f9831f0e1149f2ace8730469645f310461636d65f2c1021a1afe2db601b601f8fb02b601b601",
    "b601b6010206060688ae3c02000680809abbd1b9a90635fdb54abd205d900992c6c93833b1d50165",
    "000000000000000100000000000000063430303030310010434146c3892022c39c42455222203132",
    "0000030502d4b5a51c9c01c0161a02b0db789c01601a8080d598d5bea9065a80809abbd1b9a90650",
    "80809abbd1b9a9060affffffffffffffffff0106808090f6d8c3a90602091e6dbe3e22d05e6182f0",
    "c61e1a8f4e095335ac9b8290fb54986c119ed308866afa6b957a41ba2013248d93716662ab046964",
    "5f320461636d65f0c1020000fe2d0000f8fb020000000000000000d8ad3c00010900ffffffffffff",
    "ffffff0100ffffffffffffffffff0100ffffffffffffffffff0100ffffffffffffffffff01006a2f",
    "3483d7a17abd063a09def01fdce20469645f330461636d65f4c1021212fe2d1212f8fb0212121212",
    "02020202b6ae3c02000000ffffffffffffffffff0100ffffffffffffffffff0100ffffffffffffff",
    "ffff0100ffffffffffffffffff0101d201029f8d91047ea19677358a5bc8ab2620120469645f31f2",
    "c1021a1afe2db601b601f8fb02b601b601b601b6010206060688ae3c0200009fc259f2da01571429",
    "a0d7122be099490469645f32ffffffff0f0000ffffffff0f0000ffffffff0f0000000000000000ff",
    "ffffff0f0000010935327e381a811d2dfda74214b8ec2a0d0200004001000000000000001f00f0c1",
    "021e80809abbd1b9a906d8ad3cc0843d353b67ddea62df3cbf15af88348c8b220101001401000000",
    "0000000000001af2c1025a8080d598d5bea90635215adeffa764cf1149789b2ab1332b0300001001",
    "000000000000000012f4c102d20180e0b68fbbc3a9063567462677e1ddc9f0bdbe5e37a6a4440300",
    "00040100000000000000010000f0c1022880809abbd1b9a906359c0e14d4419e66e4d33aa9b65f1e",
    "7c010000040100000000000000001b00f0c1023c80809abbd1b9a90635d1d60131a25e03d8e9b6f3",
    "351998b30000000001000000000000000100f0c1024680809abbd1b9a90635fdb54abd205d900992",
    "c6c93833b1d5010101140100000000000000000078f0c1020a80809abbd1b9a90604020000000000",
    "000000000ef0c10214808994bcd1b9a90635069fef8d021fa0cbff323eb5d211eb01010057010000",
    "000000000003000000000000000400000000000000000016f0c1025080809abbd1b9a906d8ad3cc0",
    "843d35ec91f0a247a4321e33fc50abf7b9f3010001040100000000000000001b00f4c102be018080",
    "90f6d8c3a906040200000000000000001b00f4c102c80180e5a1f3d8c3a90603091e6dbe3e22d05e",
    "6182f0c61e1a8f4e00808090f6d8c3a90678076464a76d0080898af7d8c3a90600095335ac9b8290",
    "fb54986c119ed3088600808090f6d8c3a9068201075050a76d0080898af7d8c3a906000988fd99f8",
    "e2509848aee85b1d8d82bd00808090f6d8c3a9068c01073c3ca76d0080898af7d8c3a90602",
);

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn an_image_of_the_first_version_is_read_and_counts_what_it_remembers() {
    let bytes = bytes(FIRST);
    let (first, ledger) = (image::decode(&bytes).unwrap(), ledger());
    assert!(first.inherited);
    assert!(image::is_of(&bytes, &ledger.state), "what it says");
    // Nothing was forgotten, so that what it did not say is found too.
    let (day, hour) = (LocalDay(TODAY + 1), LocalHour(494_468));
    let counts = |it: &Counters| {
        let of_windows = [it.count_of_hour(hour), it.count_of_day(day)];
        (of_windows, it.approvals())
    };
    let found = |state: &State| {
        let cards: Vec<_> = state
            .cards
            .iter()
            .map(|it| (counts(&it.counters), it.recent))
            .collect();
        let agents = state.agents.iter().map(|it| counts(&it.counters));
        let agents: Vec<_> = agents.collect();
        (cards, agents, counts(&state.counters))
    };
    assert_eq!(found(&first), found(&ledger.state));
    assert_eq!(counts(&first.counters), ([1, 1], 3));
    assert_eq!(
        (first.hour, first.latest),
        (ledger.state.hour, ledger.state.latest)
    );
    // Written anew it stays comparable with the fold of all events, and with nothing else.
    let again = image::encode(&first);
    assert!(image::decode(&again).unwrap().inherited);
    assert!(image::is_of(&again, &ledger.state));
    let mut other = ledger;
    other.approve(&Ask::new(8, 1));
    assert!(!image::is_of(&again, &other.state));
}

/// A state with a bit of everything that the second version added.
fn second() -> Ledger {
    let mut ledger = ledger();
    let at = Ask::new(1, 1).at + 2 * 86_400_000_000;
    ledger
        .declare(1, 1, at, &intent(50, at + 1_000_000))
        .unwrap();
    ledger
        .declare(1, 2, at, &intent(40, at + 1_000_000))
        .unwrap();
    ledger
        .declare(1, 3, at, &intent(30, at + 1_000_000))
        .unwrap();
    ledger.settle(3, at, IntentVerdict::Cancel).unwrap();
    ledger.attest(1, at);
    ledger.freeze(2, false, Authority::Owner).unwrap();
    ledger.freeze(2, true, Authority::Risk).unwrap();
    let ask = |n, amount| Ask::new(n, amount).on_day(TODAY + 2).with(|it| it.at = at);
    let limits = ScopeLimits {
        rolling_day: Some(minor(100)),
        rolling_month: Some(minor(100)),
        ..ScopeLimits::default()
    };
    let rule = IntentRule {
        level: Level::Card,
        requires_approval: false,
        auto_approve_below: None,
        flags_mismatch: true,
    };
    let intended = |ask: Ask| {
        ask.ruled(|it| it.intent = Some(rule))
            .limited(Level::Card, limits)
    };
    ledger.ask(&intended(ask(20, 45)));
    ledger.ask(&intended(ask(20, 45)).step(2).later(-3_000_000));
    let probe = ask(21, 9).single_use().ruled(|it| it.may_probe = true);
    ledger.approve(&probe.on_card(3, None).later(-4_000_000_000));
    ledger
}

#[test]
fn an_image_of_the_second_version_is_read_and_written_alike() {
    let state = image::decode(&bytes(SECOND)).unwrap();
    let written: String = image::encode(&state)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(written, SECOND);
    let mut grown = second().state;
    assert!(image::is_of(&bytes(SECOND), &grown), "what it says");
    assert_eq!(grown.currency, Some(Currency::USD));
    let with_currency = image::encode(&grown);
    grown.currency = None;
    assert_eq!(image::encode(&grown), bytes(SECOND));
    // The currency is a bit and its letters; the versions before knew no such bit.
    let read = image::decode(&with_currency).unwrap();
    assert_eq!(read.currency, Some(Currency::USD));
    assert_eq!(with_currency.len(), bytes(SECOND).len() + 2);
    grown.currency = Currency::parse("EUR").ok();
    assert!(!image::is_of(&with_currency, &grown));
}
