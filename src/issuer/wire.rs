//! What the issuers' JSON has in common: texts and objects that borrow from the body, one parse, and
//! the name of the field at fault.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::{Fault, NotUnderstood};

/// Issuers' ids are UUIDs or of that size; longer ones than this are nobody's.
const ID_SIZE_MAX: usize = 128;

/// Text that is borrowed unless it has escapes. A bare `Option<Cow<str>>` would always be owned.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A JSON object. A derived struct alone would take an array of its fields' values as well.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

const NOT_JSON: NotUnderstood = NotUnderstood {
    field: "body",
    why: Fault::NotJson,
};

/// Reads one JSON object that fills the whole body. `paths` are all that a fault can be found at: a
/// path is looked up there rather than passed on, so that no text of the body reaches an answer or
/// a log.
pub(super) fn parse<'a, T: Deserialize<'a>>(
    body: &'a [u8],
    paths: &[&'static str],
) -> Result<T, NotUnderstood> {
    let text = str::from_utf8(body).map_err(|_not_utf8| NOT_JSON)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let parsed = Object::<T>::deserialize(&mut json);
    parsed
        .and_then(|Object(request)| json.end().map(|()| request))
        .map_err(|_named_below| diagnose::<T>(text, paths))
}

/// Finds the fault again, this time keeping count of where it is. Costs a second parse, which only
/// an authentic sender can cause.
#[cold]
fn diagnose<'a, T: Deserialize<'a>>(text: &'a str, paths: &[&'static str]) -> NotUnderstood {
    let mut json = serde_json::Deserializer::from_str(text);
    let error = match serde_path_to_error::deserialize::<_, Object<T>>(&mut json) {
        Err(error) if error.inner().is_data() => error,
        Ok(_) | Err(_) => return NOT_JSON,
    };
    let message = error.inner().to_string();
    let container = without_indices(&error.path().to_string());
    let (why, member) = if let Some(rest) = message.strip_prefix("missing field ") {
        (Fault::Missing, rest.split('`').nth(1))
    } else if let Some(rest) = message.strip_prefix("duplicate field ") {
        (Fault::Repeated, rest.split('`').nth(1))
    } else if message.starts_with("invalid value: integer") {
        (Fault::OutOfRange, None)
    } else {
        (Fault::WrongType, None)
    };
    let path = match (container.as_str(), member) {
        (".", Some(member)) => member.to_owned(),
        (_, None) => container,
        (_, Some(member)) => format!("{container}.{member}"),
    };
    let known = paths.iter().find(|known| **known == path);
    NotUnderstood {
        field: known.copied().unwrap_or("body"),
        why,
    }
}

/// `events[3].token` as `events[].token`: which one is nobody's business.
fn without_indices(path: &str) -> String {
    let mut pieces = path.split('[');
    let mut known = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        known.push('[');
        known.push_str(piece.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    known
}

pub(super) fn refuse<T>(field: &'static str, why: Fault) -> Result<T, NotUnderstood> {
    Err(NotUnderstood { field, why })
}

/// An id: visible ASCII of a bounded length.
pub(super) fn id<'a>(field: &'static str, text: Text<'a>) -> Result<Cow<'a, str>, NotUnderstood> {
    let visible = text.0.bytes().all(|byte| byte.is_ascii_graphic());
    if text.0.is_empty() || text.0.len() > ID_SIZE_MAX || !visible {
        return refuse(field, Fault::NotAnId);
    }
    Ok(text.0)
}

/// A blank id is none: two merchants without an id are not one merchant.
pub(super) fn not_blank(text: Text<'_>) -> Option<Cow<'_, str>> {
    (!text.0.trim().is_empty()).then_some(text.0)
}
