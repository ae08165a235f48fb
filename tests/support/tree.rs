//! JSON as it stands: members in order, duplicates kept, numbers as they are written.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Deeper trees are not read.
const DEPTH_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number that is not written as a signed integer of 64 bits.
    Number(String),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
    /// Written as it stands; never read.
    Raw(&'static str),
}

/// Members or items in order, each as it is written.
struct Pieces<T>(Vec<T>);

struct PiecesVisitor<T>(PhantomData<T>);

impl<'de> Deserialize<'de> for Pieces<(String, &'de RawValue)> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PiecesVisitor::<(String, &'de RawValue)>(PhantomData))
    }
}

impl<'de> Visitor<'de> for PiecesVisitor<(String, &'de RawValue)> {
    type Value = Pieces<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Pieces(members))
    }
}

impl<'de> Deserialize<'de> for Pieces<&'de RawValue> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(PiecesVisitor::<&'de RawValue>(PhantomData))
    }
}

impl<'de> Visitor<'de> for PiecesVisitor<&'de RawValue> {
    type Value = Pieces<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Pieces(items))
    }
}

impl Tree {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let whole: &RawValue = serde_json::from_str(text).ok()?;
        Self::read(whole, 0)
    }

    fn read(raw: &RawValue, depth: usize) -> Option<Self> {
        let text = raw.get();
        if depth > DEPTH_MAX {
            return None;
        }
        Some(match text.as_bytes()[0] {
            b'n' => Self::Null,
            b't' | b'f' => Self::Bool(text == "true"),
            b'"' => Self::Text(serde_json::from_str(text).ok()?),
            b'[' => {
                let Pieces(items) = serde_json::from_str::<Pieces<&RawValue>>(text).ok()?;
                let items = items.into_iter().map(|item| Self::read(item, depth + 1));
                Self::List(items.collect::<Option<_>>()?)
            }
            b'{' => {
                let Pieces(members) =
                    serde_json::from_str::<Pieces<(String, &RawValue)>>(text).ok()?;
                let members = members
                    .into_iter()
                    .map(|(name, value)| Some((name, Self::read(value, depth + 1)?)));
                Self::Object(members.collect::<Option<_>>()?)
            }
            _ => match text.parse() {
                Ok(integer) if text != "-0" => Self::Integer(integer),
                _ => Self::Number(text.to_owned()),
            },
        })
    }

    /// How many values there are, this one included.
    pub(crate) fn size(&self) -> usize {
        1 + match self {
            Self::List(items) => items.iter().map(Self::size).sum(),
            Self::Object(members) => members.iter().map(|(_, value)| value.size()).sum(),
            Self::Null
            | Self::Bool(_)
            | Self::Integer(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Raw(_) => 0,
        }
    }

    /// The value at `index`, counted from the root in order of appearance.
    pub(crate) fn at(&mut self, index: usize) -> Option<&mut Self> {
        let mut left = index;
        self.descend(&mut left)
    }

    fn descend(&mut self, left: &mut usize) -> Option<&mut Self> {
        if *left == 0 {
            return Some(self);
        }
        *left -= 1;
        match self {
            Self::List(items) => items.iter_mut().find_map(|item| item.descend(left)),
            Self::Object(members) => members
                .iter_mut()
                .find_map(|(_, value)| value.descend(left)),
            Self::Null
            | Self::Bool(_)
            | Self::Integer(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Raw(_) => None,
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Number(text) => f.write_str(text),
            Self::Text(text) => f.write_str(&serde_json::to_string(text).unwrap()),
            Self::Raw(text) => f.write_str(text),
            Self::List(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if at == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Object(members) => {
                f.write_str("{")?;
                for (at, (name, value)) in members.iter().enumerate() {
                    let name = serde_json::to_string(name).unwrap();
                    write!(f, "{}{name}:{value}", if at == 0 { "" } else { "," })?;
                }
                f.write_str("}")
            }
        }
    }
}
