//! What is sent to Redis, and what its answers mean.

use std::fmt;

use redis::{Cmd, Value};

use crate::domain::card::Key;
use crate::ledger::embedded::store::Draft;
use crate::ledger::redis::copy::Kept;
use crate::ledger::shared::{Entry, EntryId};

/// Owners are spread over so many buckets, for ever: a bucket's record and its owners' logs share a
/// slot.
pub const BUCKETS: u16 = 1_024;
/// The key that names the ledger.
pub const LEDGER: &str = "countersign:ledger";
/// An owner that nobody is: what is read of it says whether the ledger is armed.
pub const NOBODY: Key = Key(0);
/// Entries of one answer at most.
pub const PAGE_LEN: usize = 256;

const SOURCE: &str = include_str!("functions.lua");
/// Digits that a number has in a message.
const DIGITS: usize = 16;
const OWNER_SIZE: usize = 16;

/// One ledger: a Redis holds one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation(pub [u8; 16]);

impl Generation {
    /// Reads what [`fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = (text.len() == 32).then(|| u128::from_str_radix(text, 16))?;
        Some(Self(number.ok()?.to_be_bytes()))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// One act of arming: another number each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term(pub u128);

/// As records have it behind the generation.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{:032x}", self.0)
    }
}

/// The library as Redis takes it: its name carries a hash of its text, so that two versions stand
/// beside each other.
#[must_use]
pub fn library() -> String {
    let name = library_name();
    format!("#!lua name={name}\n{}", SOURCE.replace("NAME", &name))
}

/// The name of the library, with which the names of its functions begin.
#[must_use]
pub fn library_name() -> String {
    // FNV-1a: nobody attacks it, it tells texts of ours apart.
    let hash = SOURCE
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
    format!("countersign_{hash:016x}")
}

/// The key of the record of a bucket.
#[must_use]
pub fn record_key(bucket: u16) -> String {
    format!("countersign:{{{bucket}}}")
}

/// The bucket of an owner.
#[must_use]
pub fn bucket_of(owner: Key) -> u16 {
    let [.., high, low] = owner.0.to_be_bytes();
    u16::from_be_bytes([high, low]) % BUCKETS
}

/// The key of an owner's log.
#[must_use]
pub fn log_key(owner: Key) -> String {
    format!("countersign:{{{}}}:{:032x}", bucket_of(owner), owner.0)
}

/// The owner whose log has this key; absent for any other key.
#[must_use]
pub fn owner_of(key: &[u8]) -> Option<Key> {
    let (_, hex) = str::from_utf8(key).ok()?.rsplit_once(':')?;
    let owner = Key(u128::from_str_radix(hex, 16).ok()?);
    (log_key(owner).as_bytes() == key).then_some(owner)
}

/// The commands of one ledger.
#[derive(Clone, Debug)]
pub struct Commands {
    library: String,
    generation: String,
}

impl Commands {
    /// Of this ledger.
    #[must_use]
    pub fn new(generation: &Generation) -> Self {
        Self {
            library: library_name(),
            generation: generation.to_string(),
        }
    }

    /// Where entries are told as they are appended.
    #[must_use]
    pub fn channel(&self) -> String {
        format!("countersign:{}", self.generation)
    }

    /// The same, of one server of a cluster: what is told there is told to those who are connected to it.
    #[must_use]
    pub fn channel_at(&self, server: &str) -> String {
        format!("countersign:{}:{server}", self.generation)
    }

    /// Appends a draft's entry, which is told in this channel.
    #[must_use]
    pub fn append(&self, draft: &Draft, id: EntryId, channel: &str) -> Cmd {
        let entry = Entry {
            id,
            after: draft.after,
            authorization: draft.authorization,
            events: &draft.events,
        };
        let mut command = self.on_log("append", draft.owner);
        command
            .arg(draft.expected)
            .arg(&draft.after.to_bytes()[..])
            .arg(PAGE_LEN)
            .arg(channel)
            .arg(&draft.owner.0.to_be_bytes()[..])
            .arg(entry.encode());
        command
    }

    /// Reads an owner's log from this entry on, counted from zero, which follows `after`.
    #[must_use]
    pub fn read(&self, owner: Key, (from, after): (u64, EntryId)) -> Cmd {
        let mut command = self.on_log("read", owner);
        command.arg(from).arg(&after.to_bytes()[..]).arg(PAGE_LEN);
        command
    }

    /// The same, and for a short while the log takes entries of this node only.
    #[must_use]
    pub fn claim(&self, owner: Key, (from, after): (u64, EntryId), node: u64) -> Cmd {
        let mut command = self.on_log("claim", owner);
        command.arg(from).arg(&after.to_bytes()[..]).arg(PAGE_LEN);
        command.arg(&node.to_le_bytes()[..]);
        command
    }

    /// Puts an entry that a node has kept back at its place.
    #[must_use]
    pub fn mend(&self, kept: &Kept, entry: &Entry<'_>) -> Cmd {
        let mut command = self.on_log("mend", kept.owner);
        command
            .arg(kept.number)
            .arg(&entry.after.to_bytes()[..])
            .arg(&kept.entry[..]);
        command
    }

    fn on_log(&self, function: &str, owner: Key) -> Cmd {
        let mut command = self.function(function);
        command
            .arg(2)
            .arg(record_key(bucket_of(owner)))
            .arg(log_key(owner))
            .arg(&self.generation);
        command
    }

    /// Looks whether a bucket's server is armed for it.
    #[must_use]
    pub fn look(&self, bucket: u16) -> Cmd {
        let mut command = self.function("look");
        // With a key that never is: a server that is still being given the slot answers that it lacks one, and
        // does not look for a record that has not come yet.
        let nothing = format!("{}:nothing", record_key(bucket));
        command.arg(2).arg(record_key(bucket)).arg(nothing);
        command
            .arg(&self.generation)
            .arg(0)
            .arg(&EntryId::NONE.to_bytes());
        command
    }

    /// `found`, or one of the three steps of arming, on what a server has, for a term that never was before.
    #[must_use]
    pub fn arms(&self, function: &str, term: Term, keys: &[String]) -> Cmd {
        let mut command = self.function(function);
        command.arg(0).arg(&self.generation).arg(term.to_string());
        command.arg(keys);
        command
    }

    /// `restore` on what a server has.
    #[must_use]
    pub fn restore(&self, keys: &[String]) -> Cmd {
        let mut command = self.function("restore");
        command.arg(0).arg(&self.generation).arg(keys);
        command
    }

    /// Has a server forget that it was armed, if it was for this term.
    #[must_use]
    pub fn close(&self, term: Term) -> Cmd {
        let mut command = close();
        command.arg(&self.generation).arg(term.to_string());
        command
    }

    /// What `standing` says of a server that is armed for this term.
    #[must_use]
    pub fn armed_for(&self, term: Term) -> Vec<u8> {
        format!("{}{term}", self.generation).into_bytes()
    }

    fn function(&self, name: &str) -> Cmd {
        let mut command = redis::cmd("FCALL");
        command.arg(format!("{}_{name}", self.library));
        command
    }
}

/// Says what keys of a server hold.
#[must_use]
pub fn survey(keys: &[String]) -> Cmd {
    let mut command = redis::cmd("FCALL");
    command.arg(format!("{}_survey", library_name()));
    command.arg(0).arg(keys);
    command
}

/// Has a server forget that it was armed, also a replica.
#[must_use]
pub fn close() -> Cmd {
    let mut command = redis::cmd("FCALL_RO");
    command.arg(format!("{}_close", library_name())).arg(0);
    command
}

/// What a server is armed for.
#[must_use]
pub fn standing(library: &str) -> Cmd {
    let mut command = redis::cmd("FCALL_RO");
    command.arg(format!("{library}_standing")).arg(0);
    command
}

/// What an answer of `append` or `read` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The log has taken the entry.
    Appended,
    /// The entries from the place that was asked for on, as many as one answer holds.
    Newer(Vec<Vec<u8>>),
    /// Another node has a claim on the log for a short while. Nothing was appended.
    Claimed,
    /// Redis may have forgotten something; it says this until people have looked.
    Forgot,
    /// Nothing that the functions say.
    Nonsense,
}

impl Said {
    /// Reads an answer.
    #[must_use]
    pub fn of(answer: Value) -> Self {
        let Value::Array(items) = answer else {
            return Self::Nonsense;
        };
        let mut items = items.into_iter().map(bytes);
        match items.next().flatten().as_deref() {
            Some(b"appended") => Self::Appended,
            Some(b"claimed") => Self::Claimed,
            Some(b"unarmed" | b"lost") => Self::Forgot,
            Some(b"newer") => items
                .collect::<Option<_>>()
                .map_or(Self::Nonsense, Self::Newer),
            _ => Self::Nonsense,
        }
    }
}

pub(super) fn bytes(item: Value) -> Option<Vec<u8>> {
    if let Value::BulkString(bytes) = item {
        Some(bytes)
    } else {
        None
    }
}

/// An entry as it is told to everybody: whose log, its number, its bytes.
#[must_use]
pub fn told(message: &[u8]) -> Option<(Key, u64, &[u8])> {
    let (owner, rest) = message.split_at_checked(OWNER_SIZE)?;
    let (number, entry) = rest.split_at_checked(DIGITS)?;
    let owner = Key(u128::from_be_bytes(owner.try_into().ok()?));
    let number = str::from_utf8(number).ok()?.parse().ok()?;
    Some((owner, number, entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e11_a_bucket_and_its_logs_share_a_tag_that_no_id_enters() {
        for n in [0, 1, 1_023, 1_024, u128::MAX] {
            let key = log_key(Key(n));
            let record = record_key(bucket_of(Key(n)));
            assert!(key.starts_with(&format!("{record}:")), "{key}");
            assert_eq!(owner_of(key.as_bytes()), Some(Key(n)));
        }
        assert_eq!(bucket_of(Key(1_025)), 1);
        for other in [LEDGER, "countersign:{7}", "countersign:{7}:xyz", "a:1", ""] {
            assert_eq!(owner_of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn e14_an_answer_that_the_functions_do_not_give_is_nonsense() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let said = |items: Vec<Value>| Said::of(Value::Array(items));
        assert_eq!(said(vec![text("appended")]), Said::Appended);
        assert_eq!(said(vec![text("claimed")]), Said::Claimed);
        assert_eq!(said(vec![text("unarmed")]), Said::Forgot);
        assert_eq!(said(vec![text("lost")]), Said::Forgot);
        let newer = said(vec![text("newer"), text("a"), text("b")]);
        assert_eq!(newer, Said::Newer(vec![b"a".to_vec(), b"b".to_vec()]));
        for nonsense in [
            Value::Nil,
            Value::Okay,
            Value::Int(-1),
            text("appended"),
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![text("approved")]),
            Value::Array(vec![text("newer"), Value::Array(vec![text("a")])]),
            Value::Array(vec![text("newer"), Value::Nil]),
        ] {
            assert_eq!(Said::of(nonsense.clone()), Said::Nonsense, "{nonsense:?}");
        }
    }

    #[test]
    fn a_message_is_read_as_the_function_writes_it() {
        let mut message = Key(77).0.to_be_bytes().to_vec();
        message.extend_from_slice(b"0000000000000012entry");
        assert_eq!(told(&message), Some((Key(77), 12, &b"entry"[..])));
        assert_eq!(told(&message[..31]), None);
        message[20] = b'x';
        assert_eq!(told(&message), None);
    }

    #[test]
    fn names_carry_the_hash_of_the_text() {
        let name = library_name();
        assert!(library().starts_with(&format!("#!lua name={name}\n")));
        assert!(library().contains(&format!("'{name}_append'")));
        let generation = Generation([7; 16]);
        assert_eq!(Generation::parse(&generation.to_string()), Some(generation));
        assert_eq!(Generation::parse("07"), None);
        assert_eq!(Generation::parse(&"x".repeat(32)), None);
    }
}
