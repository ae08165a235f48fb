//! JSON with positions: every complaint knows its line and its field.
//!
//! serde_json owns the grammar. Values are taken apart one level at a time as raw text that is
//! borrowed from the file, so that a value's place is the distance of two pointers and a complaint
//! about one field does not hide the next. Nothing here descends further than its caller asks, so
//! depth in a hostile file costs no stack.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::spelling::nearest;
use crate::domain::amount::Minor;

/// Complaints that are told in full, for whoever waits for the answer; the others are counted.
pub(super) const PROBLEMS_MAX: usize = 20;
/// Names that are asked for in most objects, at most.
const KNOWN_USUALLY: usize = 16;
/// Fields of one object; more is refused, so that looking for duplicates stays cheap.
const FIELDS_MAX: usize = 128;

/// Where a value stands, as a list on the stack; text is made only for a complaint.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    parent: Option<&'p Self>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Field(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    pub(super) const ROOT: Path<'static> = Path {
        parent: None,
        step: Step::Root,
    };

    pub(super) fn field(&'p self, name: &'p str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Field(name),
        }
    }

    pub(super) fn index(&'p self, at: usize) -> Self {
        Self {
            parent: Some(self),
            step: Step::Index(at),
        }
    }
}

/// As owners write it: `cards[3].policy.limits.perDay`.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}")?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Index(at) => write!(f, "[{at}]"),
            Step::Field(name) => {
                let nested = self.parent.is_some_and(|up| !matches!(up.step, Step::Root));
                write!(f, "{}{}", if nested { "." } else { "" }, printable(name))
            }
        }
    }
}

/// A name from the file, fit to stand in a complaint: short, without control characters.
fn printable(name: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    name.chars().take(64).map(shown).collect()
}

/// One complaint about the text.
pub(super) struct Problem {
    pub(super) offset: usize,
    pub(super) field: String,
    pub(super) message: String,
}

/// A text being read, and the complaints about it so far.
pub(super) struct Reader<'a> {
    text: &'a str,
    problems: Vec<Problem>,
    problems_max: usize,
    /// Complaints beyond those.
    more_count: usize,
    /// Whether something was left out that another complaint is about.
    is_incomplete: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, problems_max: usize) -> Self {
        let problems = Vec::new();
        Self {
            text,
            problems,
            problems_max,
            more_count: 0,
            is_incomplete: false,
        }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn more_count(&self) -> usize {
        self.more_count
    }

    pub(super) fn is_clean(&self) -> bool {
        self.problems.is_empty() && !self.is_incomplete
    }

    /// Says that something was left out only because of what another complaint says.
    pub(super) fn leave_out(&mut self) {
        self.is_incomplete = true;
    }

    /// Complains about `at`, a piece of the text.
    pub(super) fn report(&mut self, at: &str, path: &Path<'_>, message: impl Into<String>) {
        let start = self.text.as_ptr() as usize;
        let offset = (at.as_ptr() as usize).saturating_sub(start);
        self.report_at(offset.min(self.text.len()), path, message);
    }

    pub(super) fn report_at(&mut self, offset: usize, path: &Path<'_>, message: impl Into<String>) {
        if self.problems.len() >= self.problems_max {
            self.more_count = self.more_count.saturating_add(1);
            return;
        }
        self.problems.push(Problem {
            offset,
            field: path.to_string(),
            message: message.into(),
        });
    }

    /// The one JSON value that `piece` of the text consists of.
    pub(super) fn value(&mut self, piece: &'a str, path: &Path<'_>) -> Option<&'a RawValue> {
        match serde_json::from_str::<&RawValue>(piece) {
            Ok(raw) => Some(raw),
            Err(error) => {
                let start = (piece.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
                let inside = offset_of(piece, error.line(), error.column());
                self.report_at(start.saturating_add(inside), path, syntax_message(&error));
                None
            }
        }
    }

    pub(super) fn object(&mut self, raw: &'a RawValue, path: &Path<'_>) -> Option<Fields<'a>> {
        let Ok(Entries(mut entries)) = serde_json::from_str::<Entries<'a>>(raw.get()) else {
            let message = if raw.get().starts_with('{') {
                format!("must be an object of at most {FIELDS_MAX} fields with lawful names")
            } else {
                "must be an object".to_owned()
            };
            self.report(raw.get(), path, message);
            return None;
        };
        let mut at = 0;
        while let Some(entry) = entries.get(at) {
            let mut earlier = entries.iter().take(at);
            if earlier.any(|earlier| earlier.key == entry.key) {
                let place = path.field(&entry.key);
                self.report(entry.place(), &place, "the field stands here twice");
                // Left there, it would be nobody's field and complained about once more.
                entries.remove(at);
            } else {
                at += 1;
            }
        }
        Some(Fields {
            whole: raw.get(),
            entries,
            known: Vec::with_capacity(KNOWN_USUALLY),
        })
    }

    pub(super) fn array(
        &mut self,
        raw: &'a RawValue,
        path: &Path<'_>,
    ) -> Option<Vec<&'a RawValue>> {
        let items = serde_json::from_str(raw.get()).ok();
        if items.is_none() {
            self.report(raw.get(), path, "must be a list");
        }
        items
    }

    pub(super) fn text(&mut self, raw: &'a RawValue, path: &Path<'_>) -> Option<Cow<'a, str>> {
        let text = serde_json::from_str::<Text<'a>>(raw.get()).ok();
        if text.is_none() {
            let is_number = raw
                .get()
                .starts_with(|c: char| c == '-' || c.is_ascii_digit());
            let message = if is_number {
                "must be text, in quotation marks"
            } else {
                "must be text"
            };
            self.report(raw.get(), path, message);
        }
        text.map(|text| text.0)
    }

    pub(super) fn boolean(&mut self, raw: &'a RawValue, path: &Path<'_>) -> Option<bool> {
        match raw.get() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.report(raw.get(), path, "must be true or false");
                None
            }
        }
    }

    /// An integer count of minor units (behaviour 1.3).
    pub(super) fn minor(&mut self, raw: &'a RawValue, path: &Path<'_>) -> Option<Minor> {
        let text = raw.get();
        let message = match text.as_bytes().first() {
            Some(b'0'..=b'9' | b'-') if text.contains(['.', 'e', 'E']) => {
                "must be an integer number of minor units, without decimal point or exponent"
            }
            Some(b'-') => "must not be negative",
            Some(b'0'..=b'9') => match text.parse().map(Minor::new) {
                Ok(Ok(minor)) => return Some(minor),
                _ => "must be at most 2^53 - 1 minor units",
            },
            Some(b'"') => "must be an integer number of minor units, not text",
            _ => "must be an integer number of minor units",
        };
        self.report(text, path, message);
        None
    }

    /// A whole number within a range.
    pub(super) fn integer<T: TryFrom<i64>>(
        &mut self,
        raw: &'a RawValue,
        path: &Path<'_>,
        range: RangeInclusive<i64>,
    ) -> Option<T> {
        let text = raw.get();
        let digits = text.strip_prefix('-').unwrap_or(text);
        let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| range.contains(number));
        let value = number
            .filter(|_| is_integer)
            .and_then(|it| T::try_from(it).ok());
        if value.is_none() {
            let (first, last) = (range.start(), range.end());
            self.report(
                text,
                path,
                format!("must be an integer from {first} to {last}"),
            );
        }
        value
    }

    /// One word of a closed list.
    pub(super) fn word<T: Copy>(
        &mut self,
        raw: &'a RawValue,
        path: &Path<'_>,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = self.text(raw, path)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("must be one of: {}", known.join(", "));
            self.report(raw.get(), path, message);
        }
        found.map(|(_, value)| *value)
    }
}

/// The sentence of a syntax error without serde_json's own place, which is that of a piece.
fn syntax_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let sentence = text.split(" at line ").next().unwrap_or_default();
    format!("not JSON: {sentence}")
}

/// The offset of a line and column (both from one) of `piece`.
fn offset_of(piece: &str, line: usize, column: usize) -> usize {
    let before: usize = piece
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let offset = before.saturating_add(column.saturating_sub(1));
    offset.min(piece.len())
}

/// The fields of an object that nobody has asked for yet.
pub(super) struct Fields<'a> {
    whole: &'a str,
    entries: Vec<Entry<'a>>,
    /// The names that somebody has asked for, and so those that are known.
    known: Vec<&'static str>,
}

struct Entry<'a> {
    key: Cow<'a, str>,
    value: &'a RawValue,
}

impl Entry<'_> {
    /// A piece of the text by which the entry can be found.
    fn place(&self) -> &str {
        match &self.key {
            Cow::Borrowed(key) => key,
            Cow::Owned(_) => self.value.get(),
        }
    }
}

impl<'a> Fields<'a> {
    /// The field's value, where it stands there.
    pub(super) fn take(&mut self, name: &'static str) -> Option<&'a RawValue> {
        self.known.push(name);
        let at = self.entries.iter().position(|entry| entry.key == name)?;
        Some(self.entries.swap_remove(at).value)
    }

    /// Whether the field stands there as a text. It is not taken.
    pub(super) fn is_text(&self, name: &str) -> bool {
        let found = self.entries.iter().find(|entry| entry.key == name);
        found.is_some_and(|entry| entry.value.get().starts_with('"'))
    }

    /// The field's value, where it stands there and is not null.
    pub(super) fn take_unless_null(&mut self, name: &'static str) -> Option<&'a RawValue> {
        self.take(name).filter(|raw| raw.get() != "null")
    }

    /// The field's value; its absence is a complaint.
    pub(super) fn require(
        &mut self,
        reader: &mut Reader<'a>,
        path: &Path<'_>,
        name: &'static str,
    ) -> Option<&'a RawValue> {
        let value = self.take(name);
        if value.is_none() {
            reader.report(self.whole, &path.field(name), "is missing");
        }
        value
    }

    /// Complains about every field that is left; `explain` may know more about a name.
    pub(super) fn finish(
        self,
        reader: &mut Reader<'a>,
        path: &Path<'_>,
        explain: impl Fn(&str) -> Option<String>,
    ) {
        for entry in &self.entries {
            let message = explain(&entry.key).unwrap_or_else(|| {
                let meant = nearest(&entry.key, &self.known);
                meant.map_or_else(
                    || "unknown field".to_owned(),
                    |name| format!("unknown field; did you mean `{name}`?"),
                )
            });
            reader.report(entry.place(), &path.field(&entry.key), message);
        }
    }
}

/// An object's fields in the order of the text, duplicates included.
struct Entries<'a>(Vec<Entry<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor).map(Entries)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Vec<Entry<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(12);
        while let Some((Text(key), value)) = map.next_entry()? {
            if entries.len() >= FIELDS_MAX {
                return Err(A::Error::custom("too many fields"));
            }
            entries.push(Entry { key, value });
        }
        Ok(entries)
    }
}

/// One field of an object that was read before; without complaints.
pub(super) fn find_field<'a>(raw: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    let Entries(entries) = serde_json::from_str::<Entries<'a>>(raw.get()).ok()?;
    let found = entries.into_iter().find(|entry| entry.key == name)?;
    Some(found.value)
}

/// Text, borrowed where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
