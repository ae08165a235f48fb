//! The figures for people.

use std::fmt::Write as _;

use super::{Exactness, Report, Run};
use crate::compare::median;
use crate::report::{microseconds, milliseconds, ratio, thousands};

/// Everything that was measured.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    if !report.rounds.is_empty() {
        throughput(&mut text, report);
    }
    if let Some((countersign, floor)) = &report.alone {
        text.push_str("\none client that waits for each answer:\n");
        for (name, run) in [("countersign", countersign), ("floor", floor)] {
            let latency = &run.latency;
            line(
                &mut text,
                &format!(
                    "{name}: p50 {}, p99 {} ms, {} /s",
                    milliseconds(latency.p50_ns),
                    milliseconds(latency.p99_ns),
                    thousands(run.per_second)
                ),
            );
        }
    }
    if let Some(growth) = &report.growth {
        line(
            &mut text,
            &format!(
                "memory of Redis, entries of {} bytes: {} bytes for a log with its first entry, {} for each \
                 entry after it",
                growth.entry_size, growth.first, growth.more
            ),
        );
    }
    for rebuild in &report.rebuilds {
        line(&mut text, &rebuild.line());
    }
    if !report.exactness.is_empty() {
        exactness(&mut text, &report.exactness);
    }
    text
}

fn throughput(text: &mut String, report: &Report) {
    let sync = if report.append_only {
        "appendfsync always"
    } else {
        "nothing written"
    };
    line(
        text,
        &format!(
            "{} connections, {} cards of {} customers, Redis: {sync}\n",
            report.connections,
            thousands(report.cards),
            thousands(report.customers)
        ),
    );
    text.push_str(
        "| nodes | who | decisions/s | p50, p99 ms | Redis µs | nodes µs | generator | calls | call: p50, p99, \
         mean µs | bytes in, out | entry | memory |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for round in &report.rounds {
        row(text, round.nodes, "countersign", &round.countersign);
        row(text, round.nodes, "floor", &round.floor);
    }
    let most = report.rounds.iter().map(|it| it.nodes).max().unwrap_or(0);
    for nodes in 1..=most {
        let of = || report.rounds.iter().filter(move |it| it.nodes == nodes);
        let ours = median(of().map(|it| it.countersign.per_second));
        let part = of().map(|it| it.countersign.per_second * 1_000 / it.floor.per_second.max(1));
        line(
            text,
            &format!(
                "\n{nodes} nodes, median: {} /s, {} of the floor",
                thousands(ours),
                ratio(median(part))
            ),
        );
    }
    if let Some(round) = report.rounds.last() {
        text.push_str("\nwithin a call, mean µs:");
        for (name, ns) in &round.countersign.calls.within {
            write!(text, " {name} {}", microseconds(*ns)).unwrap_or_default();
        }
        text.push('\n');
    }
}

fn row(text: &mut String, nodes: u64, who: &str, run: &Run) {
    let calls = &run.calls;
    // Figures of calls are those of the same span as the decisions, nearly.
    let count = calls.count.max(1);
    line(
        text,
        &format!(
            "| {nodes} | {who} | {} | {}, {} | {} | {} | {} % | {} | {}, {}, {} | {}, {} | {} | {} |",
            thousands(run.per_second),
            milliseconds(run.latency.p50_ns),
            milliseconds(run.latency.p99_ns),
            microseconds(run.redis_ns),
            microseconds(run.nodes_ns),
            run.generator_percent,
            ratio(calls.count * 1_000 / run.decisions.max(1)),
            microseconds(calls.p50_ns),
            microseconds(calls.p99_ns),
            microseconds(calls.mean_ns),
            calls.input / count,
            calls.output / count,
            run.entry_size,
            run.redis_bytes,
        ),
    );
}

fn exactness(text: &mut String, all: &[Exactness]) {
    text.push_str(
        "\n| who | room | asked | approved | too many |\n| --- | --- | --- | --- | --- |\n",
    );
    for one in all {
        line(
            text,
            &format!(
                "| {} | {} | {} | {} | {} |",
                one.who,
                thousands(one.room),
                thousands(one.asked),
                thousands(one.approved),
                one.approved.saturating_sub(one.room)
            ),
        );
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    writeln!(text, "{line}").unwrap_or_default();
}
