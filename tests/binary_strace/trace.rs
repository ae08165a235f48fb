//! strace's log, read into calls. The order of its lines is the order of causes: a call's return
//! is written down before its thread goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// One call: the lines at which it was entered and had returned.
pub(crate) struct Call {
    pub(crate) name: String,
    /// Path, or socket with both addresses, as `-yy` tells.
    pub(crate) file: String,
    /// Everything behind the file descriptor, result included.
    rest: Vec<u8>,
    pub(crate) succeeded: bool,
    pub(crate) entered: usize,
    pub(crate) returned: usize,
}

impl Call {
    pub(crate) fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fdatasync" | "fsync") && self.file.ends_with(".seg")
    }

    pub(crate) fn is_journal_write(&self) -> bool {
        self.name.starts_with("pwrite") && self.file.ends_with(".seg")
    }

    /// Whether these bytes are among those written.
    pub(crate) fn has(&self, text: &str) -> bool {
        let wanted = text.as_bytes();
        self.rest.windows(wanted.len()).any(|it| it == wanted)
    }
}

pub(crate) struct Trace {
    pub(crate) calls: Vec<Call>,
}

impl Trace {
    pub(crate) fn parse(log: &str) -> Self {
        let mut calls = Vec::new();
        let mut unfinished: BTreeMap<&str, (usize, String)> = BTreeMap::new();
        for (number, line) in log.lines().enumerate() {
            let (thread, event) = line.split_once(' ').unwrap();
            let event = event.trim_start();
            if let Some(begun) = event.strip_suffix(" <unfinished ...>") {
                unfinished.insert(thread, (number, begun.to_owned()));
            } else if event.starts_with("<...") {
                let (_, end) = event.split_once(" resumed>").unwrap();
                let (entered, begun) = unfinished.remove(thread).unwrap();
                calls.extend(call(&format!("{begun}{end}"), entered, number));
            } else {
                // Signals and exits are no calls.
                calls.extend(call(event, number, number));
            }
        }
        Self { calls }
    }

    /// The journal writes that hold these tokens, which end in `_`; of several the first.
    pub(crate) fn frames<'t>(&self, tokens: &BTreeSet<&'t str>) -> BTreeMap<&'t str, &Call> {
        let mut found = BTreeMap::new();
        for write in self.calls.iter().filter(|it| it.is_journal_write()) {
            for piece in write.rest.split_inclusive(|byte| *byte == b'_') {
                let mut longest = (0..piece.len()).filter_map(|at| {
                    let token = std::str::from_utf8(&piece[at..]).ok()?;
                    tokens.get(token).copied()
                });
                if let Some(token) = longest.next() {
                    found.entry(token).or_insert(write);
                }
            }
        }
        found
    }

    /// What was written to the peer at this address, answer by answer.
    pub(crate) fn answers_to(&self, peer: SocketAddr) -> impl Iterator<Item = &Call> {
        let end = format!("->{peer}]");
        self.calls
            .iter()
            .filter(move |it| it.file.ends_with(&end) && it.has("HTTP/1.1 200"))
    }
}

/// `name(3<file>, …) = result`.
fn call(text: &str, entered: usize, returned: usize) -> Option<Call> {
    let (name, arguments) = text.split_once('(')?;
    let (_, from_file) = arguments.split_once('<')?;
    // A socket is shown as `<TCP:[here->there]>`, and `-xx` shows even paths in hexadecimal.
    let (file, rest) = match from_file.split_once("]>") {
        Some((socket, rest)) if from_file.starts_with("TCP") => (format!("{socket}]"), rest),
        _ => {
            let (path, rest) = from_file.split_once('>')?;
            (String::from_utf8(unescape(path)).ok()?, rest)
        }
    };
    let (_, result) = text.rsplit_once(" = ")?;
    Some(Call {
        name: name.to_owned(),
        file,
        rest: unescape(rest),
        succeeded: !result.starts_with('-'),
        entered,
        returned,
    })
}

/// Turns `\x41` into the byte it stands for.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        let escaped = behind.strip_prefix(b"x").and_then(|it| it.get(..2));
        let byte = escaped
            .filter(|_| *first == b'\\')
            .and_then(|it| u8::from_str_radix(std::str::from_utf8(it).ok()?, 16).ok());
        match byte {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[3..];
            }
            None => bytes.push(*first),
        }
    }
    bytes
}
