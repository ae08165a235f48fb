use super::*;
use crate::cold::sandbox::story::{Action, Holder};
use crate::domain::decision::DeclineReason;

fn lines(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Vec<String> {
    let mut out = Vec::new();
    write(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn durations_keep_three_digits() {
    for (us, text) in [
        (0, "0 µs"),
        (999, "999 µs"),
        (1_000, "1.00 ms"),
        (1_239, "1.23 ms"),
        (9_999, "9.99 ms"),
        (12_340, "12.3 ms"),
        (345_600, "345 ms"),
    ] {
        assert_eq!(duration(us), text);
    }
}

#[test]
fn text_of_others_cannot_steer_the_terminal() {
    assert_eq!(
        printable("a\u{1b}[2Jb\nc\u{9b}"),
        "a\u{fffd}[2Jb\u{fffd}c\u{fffd}"
    );
}

#[test]
fn explanations_break_between_words() {
    assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
    assert_eq!(wrapped("a breathtaking b", 5), ["a", "breathtaking", "b"]);
    assert!(wrapped("  ", 5).is_empty());
}

fn outcome(answer: Answer, reason: Option<&str>, explanation: Option<&str>) -> Outcome {
    let decision = if reason.is_none() {
        "approve"
    } else {
        "decline"
    };
    Outcome {
        authorization: "0199-a".to_owned(),
        answer,
        round_trip_us: 1_234,
        record: Some(Record {
            id: "rec_1".to_owned(),
            decision: decision.to_owned(),
            reason: reason.map(str::to_owned),
            explanation: explanation.map(str::to_owned),
            latency_us: Some(87),
        }),
    }
}

const STEP: Step = Step {
    telling: "tries a bundle for 60.00",
    action: Action::Redeliver,
    expected: Expected::Decline(DeclineReason::AmountOverPerAuth),
};

const CHAPTER: Chapter = Chapter {
    holder: Holder::Card("card_research_tools"),
    rules: "at most 50.00 each",
    steps: &[STEP],
};

const WHY: &str = "60.00 USD is above the card's limit of 50.00 USD per authorization; up to \
    50.00 USD would pass, and this sentence goes on.";

#[test]
fn a_chapter_reads_as_aligned_lines() {
    let declined = Answer::Declined("VELOCITY_EXCEEDED".to_owned());
    let declined = outcome(declined, Some("amount_over_per_auth"), Some(WHY));
    let approved = outcome(Answer::Approved, None, None);
    let page = lines(|out| {
        told(out, Style::Plain, &Told::Chapter(&CHAPTER))?;
        told(out, Style::Plain, &Told::Step(&STEP, &declined, true))?;
        told(out, Style::Plain, &Told::Step(&STEP, &approved, false))
    });
    let expected = [
        "",
        "card_research_tools: at most 50.00 each",
        "  tries a bundle for 60.00                             DECLINE  amount_over_per_auth       1.23 ms",
        "      60.00 USD is above the card's limit of 50.00 USD per authorization; up to 50.00 USD would",
        "      pass, and this sentence goes on.",
        "  tries a bundle for 60.00                             APPROVE                             1.23 ms",
        "      ! an empty ledger answers DECLINE  amount_over_per_auth",
    ];
    assert_eq!(page, expected);
    assert!(page.iter().all(|line| line.chars().count() <= WIDTH));
}

#[test]
fn one_purchase_tells_decision_cause_and_time() {
    let declined = Answer::Declined("UNAUTHORIZED_MERCHANT".to_owned());
    let declined = outcome(declined, Some("mcc_blocked"), Some("7801 is blocked."));
    let page = lines(|out| purchase(out, Style::Plain, "5.00 USD at LUCKY\nDICE", &declined));
    let expected = [
        "DECLINE  mcc_blocked  5.00 USD at LUCKY\u{fffd}DICE",
        "      7801 is blocked.",
        "      round trip 1.23 ms, of which 87 µs in the engine",
        "      authorization 0199-a",
    ];
    assert_eq!(page, expected);
}

#[test]
fn without_a_record_the_issuers_word_stands_in() {
    let mut declined = outcome(Answer::Declined("CARD_PAUSED".to_owned()), None, None);
    declined.record = None;
    let page = lines(|out| purchase(out, Style::Plain, "5.00 USD", &declined));
    let expected = [
        "DECLINE  CARD_PAUSED  5.00 USD",
        "      the engine shows no record of it",
        "      round trip 1.23 ms",
        "      authorization 0199-a",
    ];
    assert_eq!(page, expected);
}

#[test]
fn every_telling_and_reason_of_the_story_keeps_its_column() {
    use crate::cold::sandbox::story::STORY;
    for chapter in STORY {
        let heading = chapter.holder.name().len() + 2 + chapter.rules.len();
        assert!(heading <= WIDTH, "{}", chapter.rules);
        for step in chapter.steps {
            assert!(
                step.telling.chars().count() < TELLING_WIDTH,
                "{}",
                step.telling
            );
        }
    }
    let longest = DeclineReason::ALL.map(|reason| reason.code().len());
    assert!(longest.iter().max().unwrap() + "DECLINE  ".len() <= WIDTH);
    for chapter in STORY {
        for step in chapter.steps {
            if let Expected::Decline(reason) = step.expected {
                assert!(
                    reason.code().len() + "DECLINE  ".len() < VERDICT_WIDTH,
                    "{reason:?}"
                );
            }
        }
    }
    const { assert!(2 + TELLING_WIDTH + VERDICT_WIDTH + 10 <= WIDTH) };
}

#[test]
fn the_summary_counts_and_says_whether_all_was_expected() {
    let mut told = Summary {
        approved_count: 9,
        declined_count: 10,
        surprise_count: 0,
        median_round_trip_us: 412,
    };
    let line = lines(|out| summary(out, Style::Plain, &told));
    assert_eq!(
        line,
        [
            "",
            "9 approved, 10 declined; every answer as expected; median round trip 412 µs"
        ]
    );
    told.surprise_count = 1;
    let line = lines(|out| summary(out, Style::Plain, &told));
    assert!(
        line[1].contains("; 1 answer differs from an empty ledger's; "),
        "{line:?}"
    );
}

#[test]
fn colours_come_only_where_they_are_wanted() {
    assert_eq!(Style::Plain.paint(Ink::Red, "DECLINE"), "DECLINE");
    assert_eq!(
        Style::Coloured.paint(Ink::Red, "DECLINE"),
        "\u{1b}[31mDECLINE\u{1b}[0m"
    );
}
