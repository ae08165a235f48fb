//! The style that matters is executed: this test reads the source tree and fails with
//! `file:line: what may not be, because …`.
//!
//! `layers` holds the dependency order and the lawful places of external crates, `shape` sizes and
//! words, `docs` the numbered promises and hazards, `tree` fixtures and strings that may stand
//! nowhere. The rules are pure functions over text; `planted` shows each of them failing once.

#![cfg(test)]

#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/planted.rs"]
mod planted;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/tree.rs"]
mod tree;

use crate::source::SourceFile;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

/// `(rule, path)` pairs that are let through. The length is part of the type: an exception is a
/// change to this line, seen in review. Add one only with a comment that says why.
const EXCEPTIONS: [(&str, &str); 0] = [];

/// Never read: what tools write and what git owns.
const SKIPPED: [&str; 8] = [
    ".git",
    ".pytest_cache",
    ".venv",
    "__pycache__",
    "countersign-data",
    "node_modules",
    "target",
    ".cargo",
];

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Finding {
    path: String,
    line: usize,
    rule: &'static str,
    text: String,
}

// === impl Finding ===

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {} [{}]",
            self.path, self.line, self.text, self.rule
        )
    }
}

#[test]
fn the_tree_is_tidy() {
    let tree = read_tree();
    assert!(tree.contains_key("Cargo.toml"), "the tree was not read");
    let findings = check_tree(&tree, &EXCEPTIONS);
    let report: Vec<String> = findings.iter().map(Finding::to_string).collect();
    assert!(
        report.is_empty(),
        "\n{}\n{} findings",
        report.join("\n"),
        report.len()
    );
}

#[test]
fn the_exception_list_keeps_its_length() {
    assert_eq!(
        EXCEPTIONS.len(),
        0,
        "an exception was added or removed; say why and count again"
    );
}

/// All rules over all files; `tree` maps a path from the root to the text.
fn check_tree(tree: &BTreeMap<String, String>, exceptions: &[(&str, &str)]) -> Vec<Finding> {
    let files = parse_sources(tree);
    let functions = function_names(tree, &files);
    let dependencies = tree
        .get("Cargo.toml")
        .map(|t| tree::dependencies(t))
        .unwrap_or_default();
    let mut findings = tree::check_fixtures(tree);

    let behaviour = tree.get("docs/behaviour.md");
    let hazards = tree.get("docs/hazards.md");
    if let Some(text) = behaviour {
        findings.extend(docs::check_promises("docs/behaviour.md", text, &functions));
    }
    if let Some(text) = hazards {
        findings.extend(docs::check_hazards("docs/hazards.md", text, &functions));
    }
    for file in &files {
        findings.extend(layers::check(file, &dependencies));
        findings.extend(shape::check(file));
        if let Some(text) = hazards {
            findings.extend(shape::check_hazard_names(file, &docs::hazard_ids(text)));
        }
        if let Some(text) = behaviour
            && !file.path.starts_with("tests/tidy")
        {
            let numbers = docs::Behaviour::parse(text);
            findings.extend(docs::check_citations(&file.path, &file.text, &numbers));
        }
    }
    for (path, text) in tree {
        findings.extend(tree::check_strings(path, text));
        if path.ends_with(".md") {
            findings.extend(docs::check_links(path, text, tree));
        }
        if path.ends_with("Cargo.lock") {
            findings.extend(tree::check_lock(path, text));
        }
    }
    apply_exceptions(findings, exceptions)
}

/// Drops what is excepted, and complains about an exception that excepts nothing.
fn apply_exceptions(mut findings: Vec<Finding>, exceptions: &[(&str, &str)]) -> Vec<Finding> {
    for (rule, path) in exceptions {
        let before = findings.len();
        findings.retain(|f| !(f.rule == *rule && f.path == *path));
        if findings.len() == before {
            findings.push(Finding {
                path: (*path).to_owned(),
                line: 1,
                rule: "exceptions",
                text: format!("the exception for `{rule}` is not needed; remove it"),
            });
        }
    }
    findings.sort();
    findings
}

fn parse_sources(tree: &BTreeMap<String, String>) -> Vec<SourceFile> {
    let mut files: Vec<SourceFile> = tree
        .iter()
        .filter(|(path, _)| path.ends_with(".rs"))
        .map(|(path, text)| SourceFile::parse(path, text))
        .collect();
    let test_modules: Vec<String> = files.iter().flat_map(SourceFile::test_modules).collect();
    for file in &mut files {
        let below = |module: &String| {
            file.path
                .strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if test_modules.iter().any(below) {
            file.mark_whole_file_as_test();
        }
    }
    files
}

/// Functions that a document may name: Rust's, and `def` in Python suites.
fn function_names(tree: &BTreeMap<String, String>, files: &[SourceFile]) -> BTreeSet<String> {
    let python = tree
        .iter()
        .filter(|(path, _)| path.ends_with(".py"))
        .flat_map(|(_, text)| {
            text.lines().filter_map(|line| {
                let rest = line
                    .trim_start()
                    .trim_start_matches("async ")
                    .strip_prefix("def ")?;
                rest.split_once('(').map(|(name, _)| name.to_owned())
            })
        });
    files
        .iter()
        .flat_map(SourceFile::functions)
        .map(|f| f.name)
        .chain(python)
        .collect()
}

fn read_tree() -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    read_folder(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut tree);
    tree
}

fn read_folder(folder: &Path, prefix: &str, tree: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            read_folder(&entry.path(), &format!("{path}/"), tree);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            tree.insert(path, text);
        } else {
            // Binary files have a name and no lines.
            tree.insert(path, String::new());
        }
    }
}
