//! JSON with its members sorted and without white space, as the libraries of two languages write it.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Authorizations nest four deep. Each level is read again for the one above it.
const DEPTH_MAX: usize = 12;
const SIZE_MAX: usize = 64 * 1024;

/// Whose habits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Python's `json.dumps`: everything beyond ASCII is escaped, `1.0` stays `1.0`.
    Ascii,
    /// JavaScript's `JSON.stringify`: text as it is, `1.0` becomes `1`.
    Plain,
}

/// The form of the text; absent for what is no JSON, has a name twice in one object, is larger or
/// deeper than an authorization, or has numbers that the two languages do not write as they read
/// them.
pub(super) fn canonical(text: &str, form: Form) -> Option<Vec<u8>> {
    if text.len() > SIZE_MAX {
        return None;
    }
    let whole: &RawValue = serde_json::from_str(text).ok()?;
    let mut out = String::with_capacity(text.len());
    write_value(whole.get(), form, DEPTH_MAX, &mut out)?;
    Some(out.into_bytes())
}

fn write_value(raw: &str, form: Form, depth: usize, out: &mut String) -> Option<()> {
    match raw.as_bytes().first()? {
        b'{' => write_object(raw, form, depth.checked_sub(1)?, out),
        b'[' => write_list(raw, form, depth.checked_sub(1)?, out),
        b'"' => {
            let text: Cow<'_, str> = serde_json::from_str(raw).ok()?;
            write_text(&text, form, out)
        }
        b't' | b'f' | b'n' => {
            out.push_str(raw);
            Some(())
        }
        _ => write_number(raw, form, out),
    }
}

fn write_object(raw: &str, form: Form, depth: usize, out: &mut String) -> Option<()> {
    let Members(mut members) = serde_json::from_str(raw).ok()?;
    members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let twice = |pair: &[(Cow<'_, str>, &RawValue)]| match pair {
        [(a, _), (b, _)] => a == b,
        _ => false,
    };
    if members.windows(2).any(twice) {
        return None;
    }
    out.push('{');
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_text(name, form, out)?;
        out.push(':');
        write_value(value.get(), form, depth, out)?;
    }
    out.push('}');
    Some(())
}

fn write_list(raw: &str, form: Form, depth: usize, out: &mut String) -> Option<()> {
    let Items(items) = serde_json::from_str(raw).ok()?;
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write_value(item.get(), form, depth, out)?;
    }
    out.push(']');
    Some(())
}

fn write_text(text: &str, form: Form, out: &mut String) -> Option<()> {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(char),
            _ if form == Form::Plain && char > '~' => out.push(char),
            _ => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").ok()?;
                }
            }
        }
    }
    out.push('"');
    Some(())
}

/// Whole numbers as they are; of fractions the zeros at the end go, which is what reading a binary
/// fraction and writing its shortest form does to numbers of at most 15 digits.
fn write_number(raw: &str, form: Form, out: &mut String) -> Option<()> {
    let digits = raw.bytes().filter(u8::is_ascii_digit).count();
    if digits > 15 || raw.contains(['e', 'E']) || raw.starts_with("-0") {
        return None;
    }
    let Some((whole, fraction)) = raw.split_once('.') else {
        out.push_str(raw);
        return Some(());
    };
    let fraction = fraction.trim_end_matches('0');
    out.push_str(whole);
    match (fraction, form) {
        ("", Form::Plain) => {}
        ("", Form::Ascii) => out.push_str(".0"),
        // Small fractions are written with an exponent.
        _ if whole == "0" && fraction.starts_with("0000") => return None,
        _ => {
            out.push('.');
            out.push_str(fraction);
        }
    }
    Some(())
}

/// An object's members in order, values as they are written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A list's items in order, as they are written.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Items(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(text: &str) -> [Option<String>; 2] {
        [Form::Ascii, Form::Plain]
            .map(|form| canonical(text, form).map(|bytes| String::from_utf8(bytes).unwrap()))
    }

    /// Each row was written by `json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))`
    /// of Python 3.11 and by `JSON.stringify` of Node 20 over sorted members.
    #[test]
    fn both_languages_write_it_like_that() {
        let rows = [
            (
                r#"{ "b": 1, "a": [true, null, false] }"#,
                r#"{"a":[true,null,false],"b":1}"#,
                None,
            ),
            (
                r#"{"a":{"z":1,"y":{"x":"w"}}}"#,
                r#"{"a":{"y":{"x":"w"},"z":1}}"#,
                None,
            ),
            (
                r#"[1.0,1.50,0.001,-2.5,100]"#,
                "[1.0,1.5,0.001,-2.5,100]",
                Some("[1,1.5,0.001,-2.5,100]"),
            ),
            (
                r#""\u00e9\/\u0001\u007f\n""#,
                r#""\u00e9/\u0001\u007f\n""#,
                Some("\"é/\\u0001\u{7f}\\n\""),
            ),
            (
                r#"{"é":1,"z":2}"#,
                r#"{"z":2,"\u00e9":1}"#,
                Some(r#"{"z":2,"é":1}"#),
            ),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#, Some("\"😀\"")),
        ];
        for (text, ascii, plain) in rows {
            let expected = [
                Some(ascii.to_owned()),
                Some(plain.unwrap_or(ascii).to_owned()),
            ];
            assert_eq!(both(text), expected, "{text}");
        }
    }

    #[test]
    fn h1_h2_what_has_no_single_form_has_none() {
        let deep = format!("{}{}", "[".repeat(13), "]".repeat(13));
        let large = format!("\"{}\"", "x".repeat(SIZE_MAX));
        let texts = [
            "",
            "{",
            "{}{}",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            "1e5",
            "-0",
            "-0.0",
            "01",
            "1.",
            "0.00001",
            "1234567890123456",
            r#""\ud800""#,
            "NaN",
            &deep,
            &large,
        ];
        for text in texts {
            assert_eq!(both(text), [None, None], "{text}");
        }
        assert!(both(&format!("{}{}", "[".repeat(12), "]".repeat(12)))[0].is_some());
    }
}
