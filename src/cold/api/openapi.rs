//! The API's description (OpenAPI 3.1), made from the table of routes and from the types that are
//! read and written; and the pages that show it, without anything from other hosts.

mod viewer;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, Method, Response};
use serde_json::{Map, Value, json};

use super::about::{About, Given, Parameter, ParameterKind, Shape, shape};
use super::code::Code;
use super::problem::Problem;
use super::routes::{Route, routes};
use crate::cold::store::Scope;

/// The command that writes the committed document.
pub const COMMAND: &str = "cargo run -- openapi > docs/openapi.json";

/// What can be wrong with every request: not with one without an id, or that all scopes may make.
const ALWAYS: [Code; 12] = [
    Code::InvalidRequest,
    Code::Unauthorized,
    Code::ScopeNotAllowed,
    Code::TooSlow,
    Code::TooLarge,
    Code::UnsupportedMediaType,
    Code::Internal,
    Code::Busy,
    Code::LedgerUnavailable,
    Code::NotReady,
    Code::StoreUnavailable,
    Code::NotFound,
];
/// What can be wrong with every change.
const OF_CHANGES: [Code; 2] = [Code::Conflict, Code::SnapshotFileRules];
/// What can be wrong with every request that can be repeated under a key.
const OF_POSTS: [Code; 2] = [Code::IdempotencyInProgress, Code::IdempotencyConflict];
/// Members that are left out where there is nothing to say.
const LEFT_OUT: [(&str, &str); 3] = [
    ("Problem", "detail"),
    ("Problem", "errors"),
    ("Leveled", "weak"),
];
/// Of which nothing has to be there.
const OPTIONAL: [&str; 7] = [
    "Policy",
    "PolicyLimits",
    "ExpireAfter",
    "RequestLimits",
    "OnViolation",
    "SpendingSummary",
    "SpendingAggregate",
];
const REF_ANSWER: &str = "#/components/responses/";
const REF: &str = "#/components/schemas/";
/// Nothing is loaded from anywhere, and nothing runs.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
});
static PAGE: LazyLock<String> = LazyLock::new(|| viewer::page(&document()));

/// The document as it is committed and served.
#[must_use]
pub fn text() -> &'static str {
    &TEXT
}

/// A path, its media type and its text.
type Page = (&'static str, &'static str, fn() -> &'static str);

/// Paths that need no key, with their media types and their texts.
pub(super) fn pages() -> [Page; 3] {
    [
        ("/openapi.json", "application/json", text),
        ("/docs", "text/html; charset=utf-8", || &PAGE),
        ("/docs/style.css", "text/css; charset=utf-8", || {
            viewer::STYLE
        }),
    ]
}

pub(super) fn page(kind: &'static str, text: fn() -> &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text()));
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let mut schemas = Map::new();
    let mut written = BTreeSet::new();
    let mut paths = Map::new();
    for route in routes() {
        let operation = operation(route, &mut schemas, &mut written);
        let at = paths
            .entry(route.path)
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(methods) = at {
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    for (path, kind, _) in pages() {
        paths.insert(path.to_owned(), open(path, kind));
    }
    paths.insert(
        "/healthz".to_owned(),
        open("/healthz", "text/plain; charset=utf-8"),
    );
    keep(shape::<Problem>(), &mut schemas);
    let written = reachable(&schemas, written);
    tighten(&mut schemas, &written);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "countersign cards API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Customers, agents and cards, and what is decided on them. Amounts are \
                integers in minor units of their currency: 1234 is 12.34 USD and 1234 JPY.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals(),
            "securitySchemes": {"apiKey": {
                "type": "http", "scheme": "bearer",
                "description": "A key of the form cs_test_… or cs_live_….",
            }},
        },
    });
    plain(&mut document);
    document
}

fn operation(
    route: &Route,
    schemas: &mut Map<String, Value>,
    written: &mut BTreeSet<String>,
) -> Value {
    let about = &route.about;
    let scopes: Vec<_> = route.scopes.iter().map(|scope| scope.name()).collect();
    let mut parameters: Vec<Value> = about.query.iter().map(parameter).collect();
    let parts = route.path.split('/');
    let names = parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    parameters.extend(names.map(
        |name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}),
    ));
    if route.method == Method::POST {
        parameters.push(
            json!({"name": "Idempotency-Key", "in": "header", "required": false,
            "description": "The same request under the same key is carried out once.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255}}),
        );
    }
    let mut answers = Map::new();
    for given in about.gives {
        answers.insert(given.status.to_string(), good(given, route, schemas));
    }
    for (status, codes) in problems(route) {
        let reference = format!("{REF_ANSWER}{}", name_of(&codes));
        answers.insert(status.to_string(), json!({"$ref": reference}));
    }
    let mut operation = json!({
        "operationId": about.id,
        "summary": about.summary,
        "description": format!("Scopes: {}.", scopes.join(", ")),
        "x-scopes": scopes,
        "security": [{"apiKey": []}],
        "parameters": parameters,
        "responses": answers,
    });
    if let (Some(takes), Value::Object(members)) = (about.takes, &mut operation) {
        let shape = takes();
        written.insert(shape.name.clone());
        let schema = reference(&shape);
        keep(shape, schemas);
        let is_needed = is_needed(&schema, schemas);
        members.insert(
            "requestBody".to_owned(),
            json!({"required": is_needed,
            "content": {"application/json": {"schema": schema}}}),
        );
    }
    operation
}

/// Whether a body without fields is none that will do.
fn is_needed(schema: &Value, schemas: &Map<String, Value>) -> bool {
    let name = schema["$ref"].as_str().unwrap_or_default();
    let named = schemas.get(name.trim_start_matches(REF));
    named.is_some_and(|named| {
        named["required"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    })
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.kind {
        ParameterKind::Id => json!({"type": "string", "minLength": 1, "maxLength": 256}),
        ParameterKind::Limit => {
            json!({"type": "integer", "minimum": 1, "maximum": 200, "default": 50})
        }
        ParameterKind::Instant => json!({"type": "string", "format": "date-time"}),
    };
    json!({"name": parameter.name, "in": "query", "required": false,
        "description": parameter.about, "schema": schema})
}

fn good(given: &Given, route: &Route, schemas: &mut Map<String, Value>) -> Value {
    let shape = (given.body)();
    let mut schema = reference(&shape);
    keep(shape, schemas);
    if given.is_list {
        schema = json!({"type": "object", "additionalProperties": false,
        "required": ["data", "next"],
        "properties": {
            "data": {"type": "array", "maxItems": 200, "items": schema},
            "next": {"type": ["string", "null"],
                "description": "The `cursor` of the page behind this one; null on the last."},
        }});
    }
    let mut headers = Map::new();
    if given.status == 201 {
        headers.insert(
            "Location".to_owned(),
            json!({"description": "Its path.", "schema": {"type": "string"}}),
        );
    }
    if route.method == Method::POST {
        headers.insert(
            "Idempotent-Replayed".to_owned(),
            json!({
            "description": "`true` where it is the answer of an earlier request.",
            "schema": {"type": "string"}}),
        );
    }
    json!({"description": given.about, "headers": headers,
        "content": {"application/json": {"schema": schema}}})
}

/// What can be wrong, by status.
fn problems(route: &Route) -> Vec<(u16, Vec<Code>)> {
    let About { problems, .. } = &route.about;
    let is_change = route.method != Method::GET && !route.about.id.starts_with("evaluate");
    let has_id = route.path.contains("{id}");
    let mut codes: Vec<Code> = ALWAYS
        .into_iter()
        .filter(|code| *code != Code::NotFound || has_id)
        .filter(|code| *code != Code::ScopeNotAllowed || route.scopes.len() < Scope::ALL.len())
        .chain(problems.iter().copied())
        .collect();
    if is_change {
        codes.extend(OF_CHANGES);
    }
    if route.method == Method::POST {
        codes.extend(OF_POSTS);
    }
    let mut by_status: Vec<(u16, Vec<Code>)> = Vec::new();
    for code in Code::ALL.iter().filter(|code| codes.contains(code)) {
        match by_status.last_mut() {
            Some((status, known)) if *status == code.status() => known.push(*code),
            _ => by_status.push((code.status(), vec![*code])),
        }
    }
    by_status
}

/// What goes wrong in the same ways is described once.
fn name_of(codes: &[Code]) -> String {
    let names: Vec<_> = codes.iter().map(|code| code.name()).collect();
    names.join(".")
}

/// Every answer that is a problem, by its name.
fn refusals() -> Map<String, Value> {
    let each = routes().iter().flat_map(problems);
    each.map(|(status, codes)| (name_of(&codes), problem(status, &codes)))
        .collect()
}

fn problem(status: u16, codes: &[Code]) -> Value {
    let names: Vec<_> = codes.iter().map(|code| code.name()).collect();
    let lines: Vec<_> = codes
        .iter()
        .map(|code| format!("`{}`: {}.", code.name(), code.title()))
        .collect();
    let mut headers = Map::new();
    if status == 503 || status == 409 {
        headers.insert(
            "Retry-After".to_owned(),
            json!({
            "description": "Seconds after which to ask again, where that can help.",
            "schema": {"type": "integer"}}),
        );
    }
    if status == 401 {
        headers.insert(
            "WWW-Authenticate".to_owned(),
            json!({"description": "`Bearer`.", "schema": {"type": "string"}}),
        );
    }
    json!({"description": lines.join(" "), "headers": headers,
    "content": {"application/problem+json": {"schema": {
        "allOf": [{"$ref": format!("{REF}Problem")}],
        "properties": {"status": {"const": status}, "code": {"enum": names}},
    }}}})
}

/// A path that needs no key.
fn open(path: &str, kind: &str) -> Value {
    let (id, summary) = match path {
        "/openapi.json" => ("getOpenApi", "This document."),
        "/docs" => ("getDocs", "This document as a page."),
        "/docs/style.css" => ("getDocsStyle", "The page's style."),
        _ => ("getHealth", "Whether the listener answers."),
    };
    let media = kind.split(';').next().unwrap_or(kind);
    let schema = if media == "application/json" {
        "object"
    } else {
        "string"
    };
    json!({"get": {
        "operationId": id, "summary": summary, "x-scopes": [], "security": [],
        "responses": {"200": {"description": "It.",
            "content": {media: {"schema": {"type": schema}}}}},
    }})
}

fn reference(shape: &Shape) -> Value {
    json!({"$ref": format!("{REF}{}", shape.name)})
}

fn keep(shape: Shape, schemas: &mut Map<String, Value>) {
    for (name, schema) in shape.all {
        let schema = serde_json::to_value(schema).unwrap_or_default();
        schemas.entry(name).or_insert(schema);
    }
}

/// The schemas that these refer to, and they themselves.
fn reachable(schemas: &Map<String, Value>, from: BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<String> = from.into_iter().collect();
    while let Some(name) = open.pop() {
        if found.insert(name.clone())
            && let Some(schema) = schemas.get(&name)
        {
            references(schema, &mut open);
        }
    }
    found
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(name) = members.get("$ref").and_then(Value::as_str) {
                found.push(name.trim_start_matches(REF).to_owned());
            }
            members.values().for_each(|it| references(it, found));
        }
        Value::Array(items) => items.iter().for_each(|it| references(it, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What is only shown holds every member, null where there is nothing, and no other.
fn tighten(schemas: &mut Map<String, Value>, written: &BTreeSet<String>) {
    for name in OPTIONAL {
        if let Some(Value::Object(schema)) = schemas.get_mut(name) {
            schema.remove("required");
        }
    }
    for (name, schema) in schemas
        .iter_mut()
        .filter(|(name, _)| !written.contains(*name))
    {
        let Some(properties) = schema["properties"].as_object() else {
            continue;
        };
        let is_optional = OPTIONAL.contains(&&**name);
        let is_there =
            |member: &&String| !is_optional && !LEFT_OUT.contains(&(&**name, &***member));
        let required: Vec<_> = properties.keys().filter(is_there).cloned().collect();
        schema["required"] = json!(required);
        schema["additionalProperties"] = json!(false);
    }
}

/// Words in place of patterns of words, and no keywords that JSON Schema does not know.
fn plain(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(plain);
            // A value may be of several of the kinds that are named.
            if let Some(kinds) = members.remove("oneOf") {
                members.insert("anyOf".to_owned(), kinds);
            }
            let is_nullable = members.get("type").is_some_and(Value::is_array);
            let pattern = members.get("pattern").and_then(Value::as_str);
            let words = pattern
                .and_then(|it| it.strip_prefix("^("))
                .and_then(|it| it.strip_suffix(")$"));
            if let Some(words) = words {
                let words = words.split('|').map(Value::from);
                let nothing = is_nullable.then_some(Value::Null);
                let words: Vec<Value> = words.chain(nothing).collect();
                members.remove("pattern");
                members.insert("enum".to_owned(), Value::Array(words));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
