//! Figures in words: integers all the way, a decimal point only in the last step.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fmt::Write as _;

use crate::latency::Quantiles;
use crate::measurement::Measurement;

/// The text of one run.
pub(crate) fn run(run: &Measurement) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &dyn Display| {
        // Writing to a string does not fail.
        writeln!(text, "{name:<22}{value}").unwrap_or_default();
    };
    if run.offered_per_second > 0 {
        row(
            "offered",
            &format!("{} /s", thousands(run.offered_per_second)),
        );
    }
    row(
        "throughput",
        &format!("{} /s", thousands(run.requests_per_second)),
    );
    row(
        "measured span",
        &format!("{} ms{}", run.window_ms, cut_short(run)),
    );
    row("connections", &run.connections);
    row("sent / replies", &format!("{} / {}", run.sent, run.replies));
    row("approved", &run.approved);
    row("declined", &counts(&run.declined));
    row("latency", &quantiles(&run.latency));
    row("of it before the send", &quantiles(&run.send_lag));
    if let Some(usage) = run.generator {
        let text = format!(
            "{} % busy, {} % waiting",
            usage.busy_percent, usage.waiting_percent
        );
        row("generator", &text);
    }
    row("seed", &run.seed);
    text
}

fn cut_short(run: &Measurement) -> &'static str {
    if run.cut_short {
        " (the prepared requests were used up)"
    } else {
        ""
    }
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return "0".to_owned();
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    parts.join(", ")
}

fn quantiles(quantiles: &Quantiles) -> String {
    let Quantiles {
        p50_ns,
        p99_ns,
        p999_ns,
        max_ns,
    } = *quantiles;
    let [p50, p99, p999, max] = [p50_ns, p99_ns, p999_ns, max_ns].map(milliseconds);
    format!("p50 {p50}  p99 {p99}  p99.9 {p999}  max {max} ms")
}

/// Nanoseconds as milliseconds with three decimals.
pub(crate) fn milliseconds(ns: u64) -> String {
    let us = ns.div_ceil(1_000);
    format!("{}.{:03}", us / 1_000, us % 1_000)
}

/// Parts in a thousand as a ratio.
/// With one decimal place.
pub(crate) fn microseconds(ns: u64) -> String {
    format!("{}.{}", ns / 1_000, ns % 1_000 / 100)
}

pub(crate) fn ratio(permille: u64) -> String {
    format!("{}.{:03}", permille / 1_000, permille % 1_000)
}

/// Digits in groups of three.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{milliseconds, ratio, thousands};

    #[test]
    fn writes_numbers_for_people() {
        assert_eq!(milliseconds(999), "0.001");
        assert_eq!(milliseconds(1_234_567), "1.235");
        assert_eq!(ratio(873), "0.873");
        assert_eq!(ratio(1_042), "1.042");
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(123_456), "123 456");
        assert_eq!(thousands(1_000_000), "1 000 000");
    }
}
