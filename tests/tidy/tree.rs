//! Rules on the tree as a whole: names of fixtures, strings that may stand nowhere, the lock file.

use crate::Finding;
use std::collections::{BTreeMap, BTreeSet};

/// Folders under fixtures/ that hold issuers' messages.
const ISSUERS: [&str; 7] = [
    "adyen", "highnote", "lithic", "marqeta", "privacy", "sandbox", "stripe",
];

/// Kinds of fixture that are events: the issuer expects no decision, so there is no reply file.
const EVENT_KINDS: [&str; 2] = ["event", "transaction"];

/// Written in two halves, so that this file does not contain them.
const BANNED: [(&str, &str, &str); 13] = [
    ("../", "shared", "it is not part of the project"),
    ("/wo", "rk/", "it is a path of one machine"),
    ("/ro", "ot/.", "it is a path of one machine"),
    ("artifac", "tory", "the tree names no registry"),
    ("files.python", "hosted.org", "the tree names no registry"),
    ("index.", "crates.io", "the tree names no registry"),
    ("index", "-url", "the tree names no registry"),
    ("index", "_url", "the tree names no registry"),
    ("proxy.go", "lang.org", "the tree names no registry"),
    ("pypi", ".org", "the tree names no registry"),
    ("registry.", "npmjs.org", "the tree names no registry"),
    ("replace", "-with", "the tree names no registry"),
    ("static.", "crates.io", "the tree names no registry"),
];

const LOCK_SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

pub(crate) fn check_strings(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") {
            let text = "a merge was committed without being resolved".to_owned();
            findings.push(at("strings", path, index + 1, text));
        }
    }
    for (head, tail, why) in BANNED {
        let word = format!("{head}{tail}");
        for (index, line) in text.lines().enumerate() {
            if line.contains(&word) {
                let text = format!("`{word}` may not stand in the tree because {why}");
                findings.push(at("strings", path, index + 1, text));
            }
        }
    }
    findings
}

pub(crate) fn check_lock(path: &str, text: &str) -> Vec<Finding> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.starts_with("source = ") && *line != LOCK_SOURCE)
        .map(|(index, line)| {
            at(
                "lock",
                path,
                index + 1,
                format!("`{line}` is not the public registry"),
            )
        })
        .collect()
}

/// `fixtures/<issuer>/<kind>[.<twist>].json`, each with `<same>.reply.json` or listed as event.
pub(crate) fn check_fixtures(tree: &BTreeMap<String, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in tree.keys() {
        let mut parts = path.split('/');
        let (root, issuer) = (parts.next(), parts.next().unwrap_or(""));
        if root != Some("fixtures") || !ISSUERS.contains(&issuer) || path.ends_with(".md") {
            continue;
        }
        let name = parts.collect::<Vec<_>>().join("/");
        findings.extend(check_fixture(path, &name, tree));
    }
    findings
}

fn check_fixture(path: &str, name: &str, tree: &BTreeMap<String, String>) -> Option<Finding> {
    let Some(stem) = name.strip_suffix(".json") else {
        return Some(at(
            "fixtures",
            path,
            1,
            "a fixture is a .json file".to_owned(),
        ));
    };
    let sibling = |suffix: &str| path.strip_suffix(suffix).unwrap_or(path).to_owned();
    if stem.ends_with(".reply") {
        let message = format!("{}.json", sibling(".reply.json"));
        return (!tree.contains_key(&message)).then(|| {
            at(
                "fixtures",
                path,
                1,
                format!("this reply has no message `{message}`"),
            )
        });
    }
    let parts: Vec<&str> = stem.split('.').collect();
    let word = |p: &&str| {
        !p.is_empty()
            && p.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
    };
    if parts.len() > 2 || !parts.iter().all(word) {
        let text = "a fixture is called <kind>[.<twist>].json, lower case".to_owned();
        return Some(at("fixtures", path, 1, text));
    }
    let kind = parts.first().copied().unwrap_or("");
    let reply = format!("{}.reply.json", sibling(".json"));
    (!EVENT_KINDS.contains(&kind) && !tree.contains_key(&reply)).then(|| {
        let text = format!(
            "`{reply}` is missing; an event's kind is listed in EVENT_KINDS of tests/tidy/tree.rs"
        );
        at("fixtures", path, 1, text)
    })
}

/// Names of `[dependencies]` as Rust writes them.
pub(crate) fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim_end() == "[dependencies]";
        } else if inside && let Some((name, _)) = line.split_once('=') {
            let name = name.split('.').next().unwrap_or(name).trim();
            if !name.starts_with('#') && !name.is_empty() {
                found.insert(name.replace('-', "_"));
            }
        }
    }
    found
}

fn at(rule: &'static str, path: &str, line: usize, text: String) -> Finding {
    Finding {
        rule,
        path: path.to_owned(),
        line,
        text,
    }
}
