//! The API's description: the committed one, the served one, and what the documents say of both
//! (behaviour 4).

use std::collections::BTreeSet;

use countersign::cold::api::code::Code;
use countersign::cold::api::openapi::{COMMAND, document, text};
use countersign::cold::api::routes::routes;
use countersign::decide::document::read_policy_alone;
use serde_json::Value;

use crate::plane::{Plane, value};

const COMMITTED: &str = include_str!("../../docs/openapi.json");
const API_DOC: &str = include_str!("../../docs/api.md");
const POLICY_DOC: &str = include_str!("../../docs/policy.md");

#[test]
fn the_committed_description_is_that_of_the_code() {
    assert!(
        COMMITTED == text(),
        "docs/openapi.json is not what the code says; rewrite it: {COMMAND}"
    );
}

#[test]
fn the_description_and_its_page_need_no_key_and_nothing_from_other_hosts() {
    let plane = Plane::start();
    let served = plane.ask_with("GET", "/openapi.json", "", "");
    assert_eq!(served.status, 200);
    assert_eq!(value(&served), document());
    for path in ["/docs", "/docs/style.css"] {
        let page = plane.ask_with("GET", path, "", "");
        assert_eq!(page.status, 200, "{path}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        for foreign in ["http:", "https:", "<script", "@import", "url(", "src="] {
            assert!(!page.text().contains(foreign), "{path}: {foreign}");
        }
    }
    let page = plane.ask_with("GET", "/docs", "", "").text();
    for route in routes() {
        assert!(page.contains(route.path), "{}", route.path);
    }
}

/// What an operation must say for a stranger to use it.
#[test]
fn each_operation_says_what_it_takes_gives_and_refuses() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = format!("{method} {path}");
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
            let answers = operation["responses"].as_object().unwrap();
            let is_good = |status: &&String| status.starts_with('2');
            assert!(
                answers.keys().any(|it| is_good(&it)),
                "{name}: no good answer"
            );
            if path.contains("/v1/") {
                for status in ["400", "401", "500", "503"] {
                    assert!(answers.contains_key(status), "{name}: no {status}");
                }
                let takes_body = matches!(&**method, "post" | "patch");
                assert_eq!(operation["requestBody"].is_object(), takes_body, "{name}");
            }
        }
    }
}

/// Every amount says its units, and every member of an object what it is, by its words or its type.
#[test]
fn each_amount_says_its_units() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let about = schema["description"].as_str().unwrap_or_default();
        let has_units = about.to_lowercase().contains("minor units");
        for (member, kind) in schema["properties"].as_object().into_iter().flatten() {
            let own = kind["description"].as_str().unwrap_or_default();
            let is_amount = [
                "amount", "held", "posted", "spent", "refunded", "restored", "fuelHold",
            ]
            .iter()
            .any(|word| member.to_lowercase().contains(&word.to_lowercase()));
            let is_number = kind["type"] == "integer" || kind["type"][0] == "integer";
            if is_amount && is_number {
                let says = has_units || own.to_lowercase().contains("minor unit");
                assert!(says, "{name}.{member} has no units");
            }
        }
    }
}

/// Fields of the table in docs/policy.md.
fn fields_of_the_policy_table() -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    let table = |title: &str| {
        let (_, table) = POLICY_DOC.split_once(title).unwrap();
        table.split_once("\n## ").unwrap().0
    };
    let rows = table("\n## All fields\n").lines();
    let rows = rows.chain(table("\n## Purchase requests\n").lines());
    for row in rows.filter(|line| line.starts_with("| `")) {
        let cell = row.split('|').nth(1).unwrap();
        let mut prefix = String::new();
        for name in cell.split('`').skip(1).step_by(2) {
            let path = match name.rsplit_once('.') {
                Some((outer, _)) => {
                    prefix = format!("{outer}.");
                    name.to_owned()
                }
                None => format!("{prefix}{name}"),
            };
            fields.insert(path);
        }
    }
    fields
}

#[test]
fn every_field_of_a_policy_is_described() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let members = |name: &str| -> Vec<String> {
        let properties = schemas[name]["properties"].as_object().unwrap();
        properties.keys().cloned().collect()
    };
    let mut described = BTreeSet::new();
    for member in members("Policy") {
        match &*member {
            "limits" => described.extend(
                members("PolicyLimits")
                    .iter()
                    .map(|it| format!("limits.{it}")),
            ),
            "expireAfter" => {
                described.extend(
                    members("ExpireAfter")
                        .iter()
                        .map(|it| format!("expireAfter.{it}")),
                );
            }
            "requestLimits" => {
                described.extend(
                    members("RequestLimits")
                        .iter()
                        .map(|it| format!("requestLimits.{it}")),
                );
            }
            _ => {
                described.insert(member);
            }
        }
    }
    assert_eq!(described, fields_of_the_policy_table());
    // Each is a field that the reader knows: what it objects to is the value.
    for field in described {
        let document = match field.split_once('.') {
            Some((outer, inner)) => format!("{{\"{outer}\":{{\"{inner}\":[[]]}}}}"),
            None => format!("{{\"{field}\":[[]]}}"),
        };
        let errors = read_policy_alone(&document, "policy.json").unwrap_err();
        assert!(
            errors[0].field.starts_with(&field),
            "{field}: {}",
            errors[0]
        );
        assert!(
            errors[0].message.starts_with("must be"),
            "{field}: {}",
            errors[0]
        );
    }
}

#[test]
fn every_code_stands_in_the_documents_table() {
    let (_, errors) = API_DOC.split_once("\n## Errors\n").unwrap();
    let mut told = BTreeSet::new();
    for row in errors.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = row.split('|').skip(1);
        let codes = cells.next().unwrap();
        let status: u16 = cells.next().unwrap().trim().parse().unwrap();
        for code in codes.split('`').skip(1).step_by(2) {
            told.insert((code.to_owned(), status));
        }
    }
    let known = Code::ALL
        .iter()
        .map(|code| (code.name().to_owned(), code.status()));
    assert_eq!(told, known.collect());
}

/// `/v1/{agents,cards}/{id}` is two.
fn alternatives(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else {
        return vec![path.to_owned()];
    };
    let (words, after) = rest.split_once('}').unwrap();
    if !words.contains(',') {
        return vec![path.to_owned()];
    }
    let words = words.split(',');
    words.map(|word| format!("{before}{word}{after}")).collect()
}

#[test]
fn the_documents_table_of_routes_is_that_of_the_code() {
    let (_, rest) = API_DOC.split_once("\n## Routes\n").unwrap();
    let (table, _) = rest.split_once("\n**").unwrap();
    let mut told = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (method, path) = cells[1].trim_matches('`').split_once(' ').unwrap();
        let scopes = match cells[2] {
            "all" => "owner, reviewer, viewer, agent",
            scopes => scopes,
        };
        // `/v1/cards[/{id}]` is two.
        for path in match path.split_once('[') {
            Some((list, one)) => vec![
                list.to_owned(),
                format!("{list}{}", one.trim_end_matches(']')),
            ],
            None => vec![path.split('?').next().unwrap().to_owned()],
        } {
            for path in alternatives(&path) {
                told.insert((method.to_owned(), path, scopes.to_owned()));
            }
        }
    }
    let known = routes().iter().map(|route| {
        let scopes: Vec<_> = route.scopes.iter().map(|scope| scope.name()).collect();
        (
            route.method.to_string(),
            route.path.to_owned(),
            scopes.join(", "),
        )
    });
    assert_eq!(told, known.collect());
}

/// Nothing refers to what is not there.
#[test]
fn every_reference_of_the_description_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(
                    members
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                members.values().for_each(|it| references(it, found));
            }
            Value::Array(items) => items.iter().for_each(|it| references(it, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for reference in found {
        let place = reference.trim_start_matches('#');
        assert!(document.pointer(place).is_some(), "{reference}");
    }
}
