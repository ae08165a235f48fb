use super::*;
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
