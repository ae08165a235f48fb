//! When figures are withheld: a fast server that answers wrongly must not look good.

use std::fmt;

use crate::measurement::Measurement;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    RepliesMissing {
        sent: u64,
        replies: u64,
    },
    NotAllSent {
        scheduled: u64,
        sent: u64,
    },
    DuplicateTokens(u64),
    HttpStatus {
        status: u16,
        count: u64,
    },
    Fault {
        text: String,
        count: u64,
    },
    TooFewApproved {
        approved: u64,
        replies: u64,
        percent_min: u64,
    },
    NothingMeasured,
    /// Others had this share of a core.
    Disturbed {
        percent: u64,
    },
}

/// Every rule that the run breaks.
pub(crate) fn refusals(run: &Measurement, approved_percent_min: u64) -> Vec<Refusal> {
    let mut found = Vec::new();
    if run.replies != run.sent {
        found.push(Refusal::RepliesMissing {
            sent: run.sent,
            replies: run.replies,
        });
    }
    if run.sent != run.scheduled {
        found.push(Refusal::NotAllSent {
            scheduled: run.scheduled,
            sent: run.sent,
        });
    }
    if run.duplicate_tokens > 0 {
        found.push(Refusal::DuplicateTokens(run.duplicate_tokens));
    }
    let statuses = run.non_200.iter();
    found.extend(statuses.map(|(&status, &count)| Refusal::HttpStatus { status, count }));
    let faults = run.faults.iter();
    found.extend(faults.map(|(text, &count)| Refusal::Fault {
        text: text.clone(),
        count,
    }));
    if run.approved * 100 < run.replies * approved_percent_min {
        found.push(Refusal::TooFewApproved {
            approved: run.approved,
            replies: run.replies,
            percent_min: approved_percent_min,
        });
    }
    if run.requests_per_second == 0 {
        found.push(Refusal::NothingMeasured);
    }
    found
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RepliesMissing { sent, replies } => {
                write!(out, "{sent} requests were sent and {replies} were answered")
            }
            Self::NotAllSent { scheduled, sent } => {
                write!(out, "{scheduled} requests were due and {sent} were sent")
            }
            Self::DuplicateTokens(count) => {
                write!(
                    out,
                    "{count} requests repeated the token of an earlier authorization"
                )
            }
            Self::HttpStatus { status, count } => {
                write!(out, "{count} replies had the HTTP status {status}")
            }
            Self::Fault { text, count } => write!(out, "{text} ({count} times)"),
            Self::TooFewApproved {
                approved,
                replies,
                percent_min,
            } => {
                write!(
                    out,
                    "{approved} of {replies} were approved, fewer than {percent_min} %"
                )
            }
            Self::Disturbed { percent } => write!(
                out,
                "others had {percent} % of a core; under contention a server with more threads gets \
                 more of it, so no ratio would be fair (--allow-disturbed reports it all the same)"
            ),
            Self::NothingMeasured => write!(out, "no reply arrived within the measured span"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Refusal, refusals};
    use crate::measurement::Measurement;

    fn sound() -> Measurement {
        Measurement {
            scheduled: 1_000,
            sent: 1_000,
            replies: 1_000,
            approved: 900,
            requests_per_second: 500,
            ..Measurement::default()
        }
    }

    #[test]
    fn a_sound_run_is_reported() {
        assert_eq!(refusals(&sound(), 90), []);
    }

    #[test]
    fn each_rule_refuses_on_its_own() {
        let cases = [
            (
                Measurement {
                    replies: 999,
                    ..sound()
                },
                Refusal::RepliesMissing {
                    sent: 1_000,
                    replies: 999,
                },
            ),
            (
                Measurement {
                    scheduled: 1_001,
                    ..sound()
                },
                Refusal::NotAllSent {
                    scheduled: 1_001,
                    sent: 1_000,
                },
            ),
            (
                Measurement {
                    duplicate_tokens: 1,
                    ..sound()
                },
                Refusal::DuplicateTokens(1),
            ),
            (
                Measurement {
                    non_200: [(503, 2)].into(),
                    ..sound()
                },
                Refusal::HttpStatus {
                    status: 503,
                    count: 2,
                },
            ),
            (
                Measurement {
                    faults: [("reset".to_owned(), 3)].into(),
                    ..sound()
                },
                Refusal::Fault {
                    text: "reset".to_owned(),
                    count: 3,
                },
            ),
            (
                Measurement {
                    approved: 899,
                    ..sound()
                },
                Refusal::TooFewApproved {
                    approved: 899,
                    replies: 1_000,
                    percent_min: 90,
                },
            ),
            (
                Measurement {
                    requests_per_second: 0,
                    ..sound()
                },
                Refusal::NothingMeasured,
            ),
        ];
        for (run, refusal) in cases {
            assert_eq!(refusals(&run, 90), [refusal]);
        }
    }

    #[test]
    fn the_share_of_approvals_can_be_changed() {
        let half = Measurement {
            approved: 500,
            ..sound()
        };
        assert_eq!(refusals(&half, 50), []);
        assert_eq!(refusals(&half, 51).len(), 1);
    }
}
