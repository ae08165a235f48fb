//! The ledger against a naive model of it: the same random commands to both, in lock-step, and
//! after each the same decision, the same sums, the same locks.
//!
//! A failing sequence is shrunk and printed, and its seed is added to
//! `tests/ledger_model/regressions.txt`, which `cargo test --test ledger_model` replays first.

#[cfg(test)]
#[path = "ledger_model/after.rs"]
mod after;
#[cfg(test)]
#[path = "ledger_model/booking.rs"]
mod booking;
#[cfg(test)]
#[path = "ledger_model/calendar.rs"]
mod calendar;
#[cfg(test)]
#[path = "ledger_model/commands.rs"]
mod commands;
#[cfg(test)]
#[path = "ledger_model/earmarks.rs"]
mod earmarks;
#[cfg(test)]
#[path = "ledger_model/intents.rs"]
mod intents;
#[cfg(test)]
#[path = "ledger_model/laws.rs"]
mod laws;
#[cfg(test)]
#[path = "support/lives.rs"]
mod lives;
#[cfg(test)]
#[path = "ledger_model/lockstep.rs"]
mod lockstep;
#[cfg(test)]
#[path = "ledger_model/model.rs"]
mod model;
#[cfg(test)]
#[path = "ledger_model/sheet.rs"]
mod sheet;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

    use crate::commands::case;
    use crate::lockstep::Lockstep;

    const CASES: u32 = 1_024;

    #[test]
    fn i1_i7_i10_the_ledger_decides_and_counts_as_the_model_does() {
        let regressions = FileFailurePersistence::Direct("tests/ledger_model/regressions.txt");
        let mut runner = TestRunner::new(Config {
            failure_persistence: Some(Box::new(regressions)),
            source_file: Some(file!()),
            ..Config::with_cases(CASES)
        });
        let seen = RefCell::new(BTreeMap::new());
        let outcome = runner.run(&case(), |case| {
            let mut lockstep = Lockstep::new(&case);
            for command in &case.commands {
                lockstep.step(command);
            }
            lockstep.finish();
            for (what, count) in lockstep.seen {
                *seen.borrow_mut().entry(what).or_insert(0u32) += count;
            }
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("{failure}");
        }
        let seen = seen.into_inner();
        println!("{seen:#?}");
        // A model test that never gets anywhere interesting proves nothing.
        for what in Lockstep::WORTH_SEEING {
            let count = seen.get(*what).copied().unwrap_or_default();
            assert!(count >= CASES / 256, "{what} happened {count} times only");
        }
    }
}
