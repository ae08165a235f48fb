//! Whether a log is the one that was written.

use std::fmt;

use serde::Deserialize;

use super::line::{Line, hex};
use super::signer::{Witness, covered};
use super::{BEFORE_ALL, hash};

/// What is wrong, and with which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Altered {
    /// From 1 on; one behind the last where the end is missing.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Altered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for Altered {}

/// What was found in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Entries.
    pub entry_count: i64,
    /// Signed checkpoints.
    pub checkpoint_count: usize,
    /// The last entry that a checkpoint covers: behind it a cut would not be seen.
    pub covered: i64,
}

#[derive(Deserialize)]
struct Numbered {
    seq: i64,
}

/// Reads a log line by line.
pub struct Verifier<'a> {
    witness: &'a Witness,
    found: Verified,
    line: usize,
    hash: [u8; 32],
}

impl<'a> Verifier<'a> {
    /// Before the first line.
    #[must_use]
    pub fn new(witness: &'a Witness) -> Self {
        Self {
            witness,
            found: Verified::default(),
            line: 0,
            hash: BEFORE_ALL,
        }
    }

    /// The next line.
    ///
    /// # Errors
    /// [`Altered`] where it cannot stand here.
    pub fn take(&mut self, line: &Line) -> Result<(), Altered> {
        self.line += 1;
        let outcome = match line {
            Line::Entry(text, hash) => self.entry(text, *hash),
            Line::Checkpoint(text, signature) => self.checkpoint(text, signature),
        };
        outcome.map_err(|why| Altered {
            line: self.line,
            why,
        })
    }

    /// The next line out of a table, and whether the columns beside its text agree with it.
    ///
    /// # Errors
    /// [`Altered`] where they do not, or it cannot stand here.
    pub fn take_row(&mut self, line: &Line, agrees: bool) -> Result<(), Altered> {
        self.take(line)?;
        if agrees {
            return Ok(());
        }
        let seq = self.found.entry_count;
        Err(Altered {
            line: self.line,
            why: format!("the columns beside entry {seq} do not say what it says"),
        })
    }

    /// The next line with its end, as it stands in a file.
    ///
    /// # Errors
    /// [`Altered`] where it is none, or cannot stand here.
    pub fn take_bytes(&mut self, bytes: &[u8]) -> Result<(), Altered> {
        let text = bytes.strip_suffix(b"\n");
        let text = text.and_then(|bytes| std::str::from_utf8(bytes).ok());
        match text.and_then(Line::read) {
            Some(line) => self.take(&line),
            None => Err(Altered {
                line: self.line + 1,
                why: "is no whole line of an audit log".to_owned(),
            }),
        }
    }

    /// Behind the last line.
    ///
    /// # Errors
    /// [`Altered`] where the end is missing.
    pub fn finish(self) -> Result<Verified, Altered> {
        let (line, found) = (self.line + 1, self.found);
        match self.witness.noted.last_key_value() {
            Some((seq, _)) if found.covered < *seq => Err(Altered {
                line,
                why: format!(
                    "the log ends at entry {}, its checkpoints at {}; a signed checkpoint covers \
                     entry {seq}",
                    found.entry_count, found.covered
                ),
            }),
            Some(_) | None => Ok(found),
        }
    }

    fn entry(&mut self, text: &str, said: [u8; 32]) -> Result<(), String> {
        let expected = self.found.entry_count + 1;
        let Numbered { seq } =
            serde_json::from_str(text).map_err(|_other| "is no entry".to_owned())?;
        if seq != expected {
            return Err(format!("entry {seq} stands where {expected} belongs"));
        }
        self.hash = hash(&self.hash, text);
        if self.hash != said {
            return Err(format!(
                "the hash of entry {seq} is not that of its content"
            ));
        }
        let noted = self.witness.noted.get(&seq);
        if noted.is_some_and(|known| *known != hex(&self.hash)) {
            return Err(format!("entry {seq} is not the one that was signed"));
        }
        self.found.entry_count = seq;
        Ok(())
    }

    fn checkpoint(&mut self, text: &str, signature: &[u8; 64]) -> Result<(), String> {
        let covered = covered(&self.witness.key, text, signature)
            .ok_or_else(|| "the checkpoint was not signed so".to_owned())?;
        let (here, before) = (self.found.entry_count, self.found.covered);
        if covered.seq != here || covered.seq <= before {
            let seq = covered.seq;
            return Err(format!(
                "the checkpoint of entry {seq} stands behind {here}"
            ));
        }
        if covered.previous != before {
            let previous = covered.previous;
            return Err(format!(
                "the checkpoint before it is not {previous} but {before}"
            ));
        }
        if covered.hash != hex(&self.hash) {
            return Err(format!("entry {here} is not the one that was signed"));
        }
        self.found.covered = here;
        self.found.checkpoint_count += 1;
        Ok(())
    }
}

/// A whole log as it stands in a file.
///
/// # Errors
/// [`Altered`] names the first line that is wrong.
pub fn verify(log: &[u8], witness: &Witness) -> Result<Verified, Altered> {
    let mut verifier = Verifier::new(witness);
    let lines = log.split_inclusive(|byte| *byte == b'\n');
    for line in lines {
        verifier.take_bytes(line)?;
    }
    verifier.finish()
}
