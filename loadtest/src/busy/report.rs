//! The figures for people.

use std::fmt::Write as _;

use super::{Report, Round, Run};
use crate::compare::median;
use crate::report::{milliseconds, ratio, thousands};

/// One round in a line.
pub(super) fn brief(round: &Round) -> String {
    let Round { idle, busy } = round;
    let beside = match &busy.changes {
        Some(changes) => format!("{} changes a second", thousands(changes.per_second)),
        None => "receivers that are down".to_owned(),
    };
    format!(
        "{} /s alone, {} /s beside {beside}",
        thousands(idle.authorizations.requests_per_second),
        thousands(busy.authorizations.requests_per_second),
    )
}

/// Everything.
pub(super) fn text(report: &Report) -> String {
    let asked_for = thousands(report.changes_per_second.unwrap_or(0));
    let beside = match report.receivers_down {
        Some(count) => format!("{count} webhooks for every decision, whose receivers are down"),
        None => format!("{asked_for} changes of cards a second asked for"),
    };
    let cards = thousands(report.cards);
    let mut text = format!("{}, {cards} cards, {beside}\n\n", report.durability);
    text.push_str(
        "| round | authorizations/s | hot µs a request | p50, p99 ms | other threads of the server \
         | generator: busy, waiting | changes/s | their p50, p99 ms | their client |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (at, round) in report.rounds.iter().enumerate() {
        for (name, run) in [("alone", &round.idle), ("beside", &round.busy)] {
            row(&mut text, &format!("{} {name}", at + 1), run);
        }
    }
    let part = |idle: u64, busy: u64| busy * 1_000 / idle.max(1);
    let throughput = report.rounds.iter().map(|round| {
        let of = |run: &Run| run.authorizations.requests_per_second;
        part(of(&round.idle), of(&round.busy))
    });
    let cost = report.rounds.iter().map(|round| {
        let (idle, busy) = (&round.idle, &round.busy);
        part(idle.hot_ns_per_request, busy.hot_ns_per_request)
    });
    // Writing to a string does not fail.
    write!(
        text,
        "\nmedian of the rounds, beside / alone: throughput {}, processor time of the hot threads \
         for a request {}\n",
        ratio(median(throughput)),
        ratio(median(cost))
    )
    .unwrap_or_default();
    text
}

fn row(text: &mut String, name: &str, run: &Run) {
    let measured = &run.authorizations;
    let generator = measured.generator.unwrap_or_default();
    let changes = run.changes.as_ref().map_or_else(
        || "| - | - | - |".to_owned(),
        |changes| {
            format!(
                "| {} | {}, {} | {} % |",
                thousands(changes.per_second),
                milliseconds(changes.latency.p50_ns),
                milliseconds(changes.latency.p99_ns),
                changes.client_percent
            )
        },
    );
    writeln!(
        text,
        "| {name} | {} | {} | {}, {} | {} % | {} %, {} % {changes}",
        thousands(measured.requests_per_second),
        milliseconds(run.hot_ns_per_request * 1_000),
        milliseconds(measured.latency.p50_ns),
        milliseconds(measured.latency.p99_ns),
        run.other_percent,
        generator.busy_percent,
        generator.waiting_percent,
    )
    .unwrap_or_default();
}
