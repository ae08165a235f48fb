//! The document as one page: made once, without scripts, and with one style of our own.

use std::fmt::Write as _;

use serde_json::{Map, Value};

pub(super) const STYLE: &str = "\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem;color:#1d232b;background:#fff}
h1,h2{line-height:1.2}
code,pre{font:14px/1.4 ui-monospace,monospace}
pre{overflow:auto;background:#f4f5f7;padding:.75rem;border-radius:4px}
details{border:1px solid #d5d9df;border-radius:4px;margin:.4rem 0;padding:.4rem .75rem}
summary{cursor:pointer}
summary b{display:inline-block;min-width:4.5rem;font:600 14px ui-monospace,monospace}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;border-top:1px solid #d5d9df;padding:.3rem .5rem .3rem 0}
@media(prefers-color-scheme:dark){body{color:#e3e6ea;background:#15181c}pre{background:#1f242b}
details,td,th{border-color:#39414b}a{color:#8ab4f8}}
";

/// The page.
pub(super) fn page(document: &Value) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>countersign cards API</title><link rel=\"stylesheet\" href=\"/docs/style.css\">\
         </head><body>",
    );
    let info = &document["info"];
    add(&mut page, "h1", text(&info["title"]));
    add(&mut page, "p", text(&info["description"]));
    page.push_str("<p><a href=\"/openapi.json\">openapi.json</a></p><h2>Calls</h2>");
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in members(methods) {
            call(&mut page, document, (path, method), operation);
        }
    }
    page.push_str("<h2>Objects</h2>");
    for (name, schema) in members(place(document, "/components/schemas")) {
        object(&mut page, name, schema);
    }
    page.push_str("</body></html>\n");
    page
}

fn call(page: &mut String, document: &Value, (path, method): (&str, &str), operation: &Value) {
    let id = text(&operation["operationId"]);
    let _infallible = write!(
        page,
        "<details id=\"{}\"><summary><b>{}</b><code>{}</code> {}</summary>",
        escaped(id),
        escaped(&method.to_ascii_uppercase()),
        escaped(path),
        escaped(text(&operation["summary"])),
    );
    add(page, "p", text(&operation["description"]));
    page.push_str("<table>");
    for parameter in items(&operation["parameters"]) {
        let place = format!("{} in {}", text(&parameter["name"]), text(&parameter["in"]));
        let about = text(&parameter["description"]);
        row(page, &place, about, &parameter["schema"]);
    }
    let body = place(operation, "/requestBody/content/application~1json/schema");
    if !body.is_null() {
        row(page, "body", "", body);
    }
    for (status, answer) in members(&operation["responses"]) {
        let answer = match text(&answer["$ref"]).strip_prefix('#') {
            Some(place) => document.pointer(place).unwrap_or(answer),
            None => answer,
        };
        let contents = members(&answer["content"]).next();
        let (kind, content) = contents.map_or(("", &Value::Null), |(kind, it)| (kind.as_str(), it));
        let about = format!("{} ({kind})", text(&answer["description"]));
        row(page, status, &about, &content["schema"]);
    }
    page.push_str("</table></details>");
}

fn object(page: &mut String, name: &str, schema: &Value) {
    let _infallible = write!(
        page,
        "<details id=\"schema-{0}\"><summary><code>{0}</code> {1}</summary>",
        escaped(name),
        escaped(text(&schema["description"])),
    );
    let needed: Vec<&str> = items(&schema["required"]).map(text).collect();
    if schema["properties"].is_object() {
        page.push_str("<table>");
        for (member, kind) in members(&schema["properties"]) {
            let is_needed = needed.contains(&member.as_str());
            let mark = if is_needed { "" } else { " (may be absent)" };
            let about = format!("{}{mark}", text(&kind["description"]));
            row(page, member, &about, kind);
        }
        page.push_str("</table>");
    } else {
        add(page, "pre", &shown(schema));
    }
    page.push_str("</details>");
}

fn row(page: &mut String, name: &str, about: &str, schema: &Value) {
    page.push_str("<tr><td>");
    add(page, "code", name);
    page.push_str("</td><td>");
    page.push_str(&escaped(about));
    page.push_str("</td><td>");
    match text(&schema["$ref"]).rsplit_once('/') {
        Some((_, name)) => {
            let name = escaped(name);
            let _infallible = write!(page, "<a href=\"#schema-{name}\">{name}</a>");
        }
        None => add(page, "code", &shown(schema)),
    }
    page.push_str("</td></tr>");
}

/// A schema without its words.
fn shown(schema: &Value) -> String {
    match schema {
        Value::Object(members) => {
            let mut rest = members.clone();
            rest.remove("description");
            Value::Object(rest).to_string()
        }
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            schema.to_string()
        }
    }
}

fn add(page: &mut String, tag: &str, content: &str) {
    let _infallible = write!(page, "<{tag}>{}</{tag}>", escaped(content));
}

/// What stands there; null where nothing does.
fn place<'v>(value: &'v Value, path: &str) -> &'v Value {
    value.pointer(path).unwrap_or(&Value::Null)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}
