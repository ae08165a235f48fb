//! JSON bodies: read strictly, complained about by field, compared in canonical form.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::problem::{Fault, Problem};
use super::text::looks_like_a_card_number;

/// Reads a body; an unknown, repeated, missing or ill-typed field is a 400 that names it. An empty
/// body is one without fields.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    // A list would be taken for the fields in their order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::invalid_field("", "the body must be a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let message = sentence(error.inner());
        let field = match (&*path, quoted(&message)) {
            // These two name a field inside what the path names.
            (_, Some(name)) if path == "." || path == "?" => name.to_owned(),
            (_, Some(name)) if !path.ends_with(name) => format!("{path}.{name}"),
            ("." | "?", None) => String::new(),
            _ => path,
        };
        Problem::invalid(vec![Fault::new(field, message)])
    })?;
    let rest = reader.end();
    rest.map_err(|error| Problem::invalid(vec![Fault::new("", sentence(&error))]))?;
    Ok(read)
}

/// The complaint without the place, which counts lines of what a machine wrote.
fn sentence(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let sentence = text.split(" at line ").next().unwrap_or_default();
    // It repeats values, and what is told is kept for a repetition.
    if looks_like_a_card_number(sentence) {
        return "is of another type, and looks like a card number".to_owned();
    }
    let words = [
        ("expected a sequence", "expected a list"),
        ("expected i64", "expected a whole number"),
        ("expected u8", "expected a small whole number"),
    ];
    let mut sentence = plain_kind(sentence);
    for (of_the_reader, plain) in words {
        sentence = sentence.replace(of_the_reader, plain);
    }
    sentence
}

/// The same without the names of our types: a caller knows objects.
fn plain_kind(sentence: &str) -> String {
    if sentence.starts_with("data did not match any variant of ") {
        return "is of no kind that is taken here".to_owned();
    }
    let kinds = [
        "struct ",
        "tuple struct ",
        "newtype struct ",
        "enum ",
        "unit struct ",
    ];
    let named = sentence.rsplit_once("expected ");
    match named.filter(|(_, kind)| kinds.iter().any(|it| kind.starts_with(it))) {
        Some((found, _)) => format!("{found}expected an object"),
        None => sentence.replace("expected a map", "expected an object"),
    }
}

/// The field that a complaint is about, where it names one itself.
fn quoted(message: &str) -> Option<&str> {
    let starts = ["unknown field `", "missing field `", "duplicate field `"];
    let rest = starts
        .iter()
        .find_map(|start| message.strip_prefix(start))?;
    rest.split('`').next()
}

/// A field that may be absent, which leaves what is there, or null, which takes it away.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

/// A form of the body that two bodies share where JCS (RFC 8785) writes them alike: order of fields,
/// white space, escapes and spelling of numbers say nothing. Empty for what is no JSON.
pub(super) fn canonical(bytes: &[u8]) -> Vec<u8> {
    let mut form = Vec::new();
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        write(&value, &mut form);
    }
    form
}

fn write(value: &Value, form: &mut Vec<u8>) {
    match value {
        Value::Null => form.push(b'n'),
        Value::Bool(false) => form.push(b'f'),
        Value::Bool(true) => form.push(b't'),
        // JCS knows numbers as doubles, and two of them are written alike where they are equal.
        Value::Number(number) => {
            let bits = number.as_f64().unwrap_or_default().to_bits();
            let is_zero = bits << 1 == 0;
            form.push(b'#');
            form.extend(if is_zero { 0 } else { bits }.to_be_bytes());
        }
        Value::String(text) => write_text(text, form),
        Value::Array(items) => {
            form.push(b'[');
            items.iter().for_each(|item| write(item, form));
            form.push(b']');
        }
        Value::Object(fields) => {
            // The map sorts them, by whatever order: it is the same for both bodies.
            form.push(b'{');
            for (name, value) in fields {
                write_text(name, form);
                write(value, form);
            }
            form.push(b'}');
        }
    }
}

fn write_text(text: &str, form: &mut Vec<u8>) {
    form.push(b'"');
    form.extend((text.len() as u64).to_be_bytes());
    form.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only read")]
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only read")]
        amount: i64,
    }

    fn complaint(body: &str) -> String {
        let problem = read::<Outer>(body.as_bytes()).unwrap_err();
        String::from_utf8(problem.body()).unwrap()
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        for (body, field) in [
            (r#"{"x":1}"#, "x"),
            (r#"{"inner":{"amount":1,"x":1}}"#, "inner.x"),
            (r#"{"inner":{}}"#, "inner.amount"),
            (r#"{"inner":{"amount":1.5}}"#, "inner.amount"),
            (r#"{"inner":{"amount":1},"inner":null}"#, "inner"),
            ("[]", ""),
            ("{", ""),
            ("{} {}", ""),
        ] {
            let expected = format!(r#""errors":[{{"field":"{field}","#);
            let complaint = complaint(body);
            assert!(complaint.contains(&expected), "{body}: {complaint}");
        }
    }

    #[test]
    fn a_body_is_an_object_and_complaints_are_in_plain_words() {
        for body in ["[]", "[{\"amount\":1}]", " [null]", "5", "\"x\"", "null"] {
            assert!(complaint(body).contains("must be a JSON object"), "{body}");
        }
        let number = complaint(r#"{"inner":{"amount":"1"}}"#);
        assert!(number.contains("expected a whole number"), "{number}");
        for body in [r#"{"inner":5}"#, r#"{"inner":"x"}"#, r#"{"inner":true}"#] {
            let complaint = complaint(body);
            assert!(complaint.contains("expected an object"), "{complaint}");
            assert!(complaint.contains(r#""field":"inner""#), "{complaint}");
            assert!(!complaint.contains("Inner"), "{complaint}");
            assert!(!complaint.contains("struct"), "{complaint}");
        }
    }

    #[test]
    fn bodies_are_the_same_where_jcs_writes_them_alike() {
        let same = |a: &str, b: &str| canonical(a.as_bytes()) == canonical(b.as_bytes());
        assert!(same(
            r#"{"a":1,"b":[true,null]}"#,
            "{ \"b\": [true, null],\n \"a\": 1.0 }"
        ));
        assert!(same(r#"{"a":"é"}"#, r#"{"a":"\u00e9"}"#));
        assert!(same("[0]", "[-0.0]"));
        assert!(!same(r#"{"a":1}"#, r#"{"a":2}"#));
        assert!(!same(r#"{"a":"1"}"#, r#"{"a":1}"#));
        assert!(!same(r#"["ab","c"]"#, r#"["a","bc"]"#));
        assert!(!same(r#"{"a":{}}"#, r#"{"a":[]}"#));
    }
}
