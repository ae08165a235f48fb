//! JSON schemas written from the issuers' documentation: what a request may have, and nothing else.

use std::fs;
use std::path::Path;

use boon::{Compiler, SchemaIndex};
use serde_json::Value;

pub(crate) struct Schemas {
    known: boon::Schemas,
    create: SchemaIndex,
    change: SchemaIndex,
}

impl Schemas {
    pub(crate) fn of(issuer: &str) -> Self {
        let mut known = boon::Schemas::new();
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        let mut read = |kind: &str| {
            let name = format!("{issuer}_{kind}.schema.json");
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("fixtures/card_apis")
                .join(&name);
            let text = fs::read_to_string(path).unwrap();
            let url = format!("mem:///{name}");
            let value = serde_json::from_str(&text).unwrap();
            compiler.add_resource(&url, value).unwrap();
            compiler.compile(&url, &mut known).unwrap()
        };
        let (create, change) = (read("create"), read("change"));
        Self {
            known,
            create,
            change,
        }
    }

    pub(crate) fn check(&mut self, kind: &str, body: &Value) -> Result<(), String> {
        let index = if kind == "create" {
            self.create
        } else {
            self.change
        };
        let checked = self.known.validate(body, index);
        checked.map_err(|error| format!("{error:#}"))
    }
}

#[test]
fn a_schema_knows_no_field_that_the_documentation_does_not() {
    for issuer in ["lithic", "stripe", "privacy"] {
        let mut schemas = Schemas::of(issuer);
        let card = serde_json::json!({
            "type": if issuer == "stripe" { "virtual" } else { "MERCHANT_LOCKED" },
            "currency": "usd", "cardholder": "ich_1",
        });
        let own = |fields: &[&str]| {
            let mut card = card.clone();
            let known = card.as_object_mut().unwrap();
            known.retain(|name, _| fields.contains(&&**name));
            card
        };
        let good = match issuer {
            "stripe" => own(&["type", "currency", "cardholder"]),
            _ => own(&["type"]),
        };
        assert_eq!(schemas.check("create", &good), Ok(()));
        let mut bad = good.clone();
        bad["spend_limt"] = serde_json::json!(1);
        assert!(schemas.check("create", &bad).is_err());
        assert!(schemas.check("change", &bad).is_err());
        if issuer != "stripe" {
            let mut open = good;
            open["spend_limit"] = serde_json::json!(0);
            open["spend_limit_duration"] = serde_json::json!("FOREVER");
            assert!(schemas.check("create", &open).is_err(), "0 means no limit");
        }
    }
}
