//! What a run tells: a trace to read, its hash, counters of what it met, and why it failed.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

/// Something that must never be.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// Which invariant: `I1` to `I8`, or another word of docs/simulation.md.
    pub(crate) law: &'static str,
    pub(crate) text: String,
}

/// Fails unless the condition holds.
macro_rules! hold {
    ($condition:expr, $law:expr, $($text:tt)+) => {
        if !$condition {
            return Err($crate::trace::Violation { law: $law, text: format!($($text)+) });
        }
    };
}
pub(crate) use hold;

/// Lines for people where they are wanted, and a hash of all of them in any case.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
    scratch: String,
}

impl Trace {
    pub(crate) fn new(keeps_lines: bool) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            lines: keeps_lines.then(Vec::new),
            scratch: String::new(),
        }
    }

    pub(crate) fn note(&mut self, line: fmt::Arguments<'_>) {
        self.scratch.clear();
        self.scratch.write_fmt(line).unwrap();
        for byte in self.scratch.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(self.scratch.clone());
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn take_lines(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}

/// How often each kind of thing happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    pub(crate) fn hit(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub(crate) fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.0 {
            writeln!(f, "{count:>12}  {what}")?;
        }
        Ok(())
    }
}
