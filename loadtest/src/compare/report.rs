//! The comparison as a text for people.

use std::fmt::Write as _;

use super::{Comparison, Round};
use crate::measurement::Measurement;
use crate::report::{milliseconds, ratio, thousands};

/// A server below this was not what limited its run.
const SATURATED_PERCENT: u64 = 90;

pub(super) fn comparison(comparison: &Comparison) -> String {
    let sections = [
        conditions(comparison),
        String::from("\nclosed loop\n"),
        header(),
        comparison
            .rounds
            .iter()
            .enumerate()
            .map(|(index, it)| round(index + 1, it))
            .collect(),
        medians(&comparison.rounds),
        open_loop(comparison),
        doubts(comparison),
    ];
    sections.concat()
}

fn conditions(comparison: &Comparison) -> String {
    let Comparison { machine, disk, .. } = comparison;
    format!(
        "{}, {} cores, Linux {}, TCP {}\n\
         durability {}, {} connections, {} cards, fdatasync p50 {} p99 {} ms\n",
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.tcp_congestion_control,
        comparison.durability,
        comparison.connections,
        comparison.cards,
        milliseconds(disk.fdatasync_p50_ns),
        milliseconds(disk.fdatasync_p99_ns),
    )
}

fn header() -> String {
    format!(
        "{:<6} {:<12} {:>10} {:>9} {:>9} {:>9} {:>9} {:>12} {:>12}\n",
        "round",
        "server",
        "per second",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "server busy",
        "load busy"
    )
}

fn round(number: usize, round: &Round) -> String {
    let Round {
        bare,
        verified,
        countersign,
    } = round;
    let number = number.to_string();
    [
        ("bare", bare),
        ("verified", verified),
        ("countersign", countersign),
    ]
    .map(|(name, run)| row(&number, name, run))
    .concat()
}

fn row(label: &str, name: &str, run: &Measurement) -> String {
    let busy = |usage: Option<crate::usage::Usage>| {
        usage.map_or_else(
            || "?".to_owned(),
            |usage| format!("{} %", usage.busy_percent),
        )
    };
    let latency = run.latency;
    format!(
        "{label:<6} {name:<12} {:>10} {:>9} {:>9} {:>9} {:>9} {:>12} {:>12}\n",
        thousands(run.requests_per_second),
        milliseconds(latency.p50_ns),
        milliseconds(latency.p99_ns),
        milliseconds(latency.p999_ns),
        milliseconds(latency.max_ns),
        busy(run.server),
        busy(run.generator),
    )
}

fn medians(rounds: &[Round]) -> String {
    let throughput = |of: fn(&Round) -> &Measurement| {
        thousands(median(
            rounds.iter().map(|round| of(round).requests_per_second),
        ))
    };
    let against = |of: fn(&Round) -> &Measurement| {
        ratio(median(
            rounds
                .iter()
                .map(|round| permille(&round.countersign, of(round))),
        ))
    };
    let verified: fn(&Round) -> &Measurement = |round| &round.verified;
    let bare: fn(&Round) -> &Measurement = |round| &round.bare;
    format!(
        "\nmedian per second       bare {}   verified {}   countersign {}\n\
         median ratio            countersign / verified {}   countersign / bare {}\n",
        throughput(bare),
        throughput(verified),
        throughput(|round| &round.countersign),
        against(verified),
        against(bare),
    )
}

fn permille(run: &Measurement, floor: &Measurement) -> u64 {
    run.requests_per_second * 1_000 / floor.requests_per_second.max(1)
}

fn open_loop(comparison: &Comparison) -> String {
    let mut text = format!(
        "\nopen loop at half of countersign's capacity, {} per second, from intended send time\n",
        thousands(comparison.open_loop_per_second)
    );
    text.push_str(&header());
    for (subject, run) in &comparison.open_loop {
        text.push_str(&row("open", subject.name(), run));
        // Writing to a string does not fail.
        writeln!(
            text,
            "       of it before the send: p50 {} p99 {} p99.9 {} max {} ms",
            milliseconds(run.send_lag.p50_ns),
            milliseconds(run.send_lag.p99_ns),
            milliseconds(run.send_lag.p999_ns),
            milliseconds(run.send_lag.max_ns),
        )
        .unwrap_or_default();
    }
    text
}

/// What a reader should hold against the figures.
fn doubts(comparison: &Comparison) -> String {
    let closed = comparison.rounds.iter().flat_map(|round| {
        [
            ("bare", &round.bare),
            ("verified", &round.verified),
            ("countersign", &round.countersign),
        ]
    });
    let mut doubts: Vec<String> = closed
        .flat_map(|(name, run)| closed_doubts(name, run))
        .collect();
    for (subject, run) in &comparison.open_loop {
        doubts.extend(disturbance(subject.name(), run));
    }
    doubts.sort();
    doubts.dedup();
    if doubts.is_empty() {
        return String::new();
    }
    format!("\ndoubts\n- {}\n", doubts.join("\n- "))
}

fn closed_doubts(name: &str, run: &Measurement) -> Vec<String> {
    let mut doubts: Vec<String> = disturbance(name, run).into_iter().collect();
    if run
        .server
        .is_some_and(|usage| usage.busy_percent < SATURATED_PERCENT)
    {
        doubts.push(format!(
            "{name} was not kept busy in every round: its figure is a lower bound"
        ));
    }
    if run.cut_short {
        doubts.push(format!(
            "{name} used up the prepared requests: its time was shorter"
        ));
    }
    doubts
}

fn disturbance(name: &str, run: &Measurement) -> Option<String> {
    run.disturbed_percent().map(|_| {
        format!("the machine was not quiet while {name} ran: others had more than 5 % of a core")
    })
}

/// One line while the comparison is under way.
pub(super) fn brief(run: &Measurement) -> String {
    let foreign = run.disturbed_percent().map_or_else(String::new, |share| {
        format!(", others had {share} % of a core")
    });
    format!(
        "{:>8} per second, p99 {} ms{foreign}",
        thousands(run.requests_per_second),
        milliseconds(run.latency.p99_ns)
    )
}

/// The middle value; of an even number, the lower of the two in the middle.
pub(super) fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Measurement, Round, median, medians};

    fn at(requests_per_second: u64) -> Measurement {
        Measurement {
            requests_per_second,
            ..Measurement::default()
        }
    }

    #[test]
    fn the_median_ratio_is_taken_within_rounds() {
        let round = |bare, verified, countersign| Round {
            bare: at(bare),
            verified: at(verified),
            countersign: at(countersign),
        };
        // The machine was slow in the last round, for all three alike.
        let rounds = [
            round(120_000, 80_000, 70_000),
            round(120_000, 80_000, 72_000),
            round(60_000, 40_000, 36_000),
        ];
        let text = medians(&rounds);
        assert!(text.contains("countersign / verified 0.900"), "{text}");
        assert!(text.contains("countersign / bare 0.600"), "{text}");
    }

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert_eq!(median([3, 1, 2].into_iter()), 2);
        assert_eq!(median([4, 1, 2, 3].into_iter()), 2);
        assert_eq!(median([].into_iter()), 0);
    }
}
