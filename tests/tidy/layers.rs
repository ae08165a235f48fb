//! The dependency order, the files in which an external crate may be named, and the places that
//! may read a clock or the environment.

use crate::Finding;
use crate::source::{NamedPath, SourceFile};
use std::collections::BTreeSet;

/// What both paths may import.
const BELOW_THE_PATHS: [&str; 9] = [
    "clock",
    "config",
    "decide",
    "domain",
    "fingerprint",
    "issuer",
    "ledger",
    "seam",
    "telemetry",
];

/// What a layer may import. Its own items are always allowed; `app`, `cli`, `main` and `lib` may
/// import everything.
const ORDER: [(&str, &[&str]); 11] = [
    ("clock", &["domain"]),
    ("cold", &BELOW_THE_PATHS),
    ("config", &["domain", "issuer"]),
    ("decide", &["domain"]),
    ("domain", &[]),
    ("fingerprint", &["domain"]),
    ("hot", &BELOW_THE_PATHS),
    ("issuer", &["domain"]),
    ("ledger", &["domain"]),
    (
        "seam",
        &["decide", "domain", "fingerprint", "issuer", "ledger"],
    ),
    ("telemetry", &["domain"]),
];

const WIRING: [&str; 4] = ["app", "cli", "lib", "main"];

/// An external crate, the places that may name it, and why it is confined. A place is a file, a
/// module (`src/seam` is `src/seam.rs` and all below `src/seam/`), or a prefix ending in `*`.
const CONFINED: [(&str, &[&str], &str); 30] = [
    (
        "argon2",
        &["src/cold/people"],
        "passwords are hashed in one place",
    ),
    (
        "askama",
        &["src/cold/web", "src/cold/entry", "src/cold/oauth"],
        "pages are written in one place",
    ),
    (
        "form_urlencoded",
        &["src/cold/web", "src/cold/entry", "src/cold/oauth"],
        "forms are read and addresses built where pages are",
    ),
    (
        "arc_swap",
        &["src/seam"],
        "the snapshot is published and loaded in one place",
    ),
    ("axum", &["src/cold"], "the hot listener is bare hyper"),
    (
        "chacha20poly1305",
        &["src/cold/seal*"],
        "issuers' keys are sealed in one place",
    ),
    (
        "clap",
        &["src/cli", "src/main.rs"],
        "the command line is parsed in one place",
    ),
    (
        "crc32c",
        &["src/ledger/embedded"],
        "only journal frames carry this checksum",
    ),
    (
        "dashmap",
        &["src/ledger/embedded"],
        "the map by customer belongs to the embedded store",
    ),
    (
        "hmac",
        &["src/issuer", "src/cold/issuers/lithic", "src/cold/tokens"],
        "signatures are made and verified in one place",
    ),
    (
        "hyper",
        &["src/cold", "src/hot"],
        "HTTP ends at the listeners and at the issuer clients",
    ),
    (
        "hyper_rustls",
        &["src/cold/issuers", "src/cold/webhooks"],
        "only issuers and webhooks are asked over TLS",
    ),
    (
        "hyper_util",
        &["src/cold", "src/hot"],
        "HTTP ends at the listeners and at the clients",
    ),
    (
        "jiff",
        &["src/decide/compile*"],
        "zones are compiled into the snapshot",
    ),
    (
        "lettre",
        &["src/cold/webhooks/mail*"],
        "mail is handed over in one place",
    ),
    (
        "mimalloc",
        &["src/main.rs"],
        "the binary chooses the allocator",
    ),
    (
        "prometheus_client",
        &["src/telemetry"],
        "metric names live in one file",
    ),
    (
        "redis",
        &["src/ledger/redis"],
        "the store is replaceable as one module",
    ),
    (
        "rustix",
        &[
            "src/ledger/embedded",
            "src/hot/server.rs",
            "src/app/process.rs",
            "src/cold/doctor",
        ],
        "system calls are made by the journal, the listener, the wiring and the doctor",
    ),
    (
        "ring",
        &["src/cold/audit"],
        "the audit log is signed in one place",
    ),
    (
        "sha2",
        &[
            "src/issuer",
            "src/cold/issuers/lithic",
            "src/cold/tokens",
            "src/cold/audit",
        ],
        "signatures are made and verified in one place",
    ),
    (
        "sqlx",
        &["src/cold/store"],
        "the database is replaceable as one module",
    ),
    (
        "idna",
        &["src/decide/purchase"],
        "names of hosts are compared in one place",
    ),
    (
        "psl",
        &["src/decide/purchase"],
        "names of hosts are compared in one place",
    ),
    (
        "unicode_security",
        &["src/decide/purchase"],
        "names of hosts are compared in one place",
    ),
    (
        "rmcp",
        &["src/cold/api/mcp"],
        "the Model Context Protocol is one door, and the service behind it does not know it",
    ),
    (
        "tower_service",
        &["src/cold/webhooks"],
        "connections are judged in one place",
    ),
    ("toml", &["src/config"], "one module reads the config file"),
    (
        "utoipa",
        &["src/cold"],
        "the API describes itself, and nothing else does",
    ),
    (
        "xxhash_rust",
        &["src/fingerprint.rs"],
        "one hash of ids, under one seed",
    ),
];

/// The pure part, and the shells inside it that may do I/O.
const PURE: [&str; 4] = ["src/decide", "src/domain", "src/issuer", "src/ledger"];
const SHELLS: [&str; 3] = [
    "src/ledger/embedded/files",
    "src/ledger/embedded/writer",
    "src/ledger/redis",
];

/// What the hot path runs through.
const TYPED: [&str; 5] = [
    "src/decide",
    "src/hot",
    "src/issuer",
    "src/ledger",
    "src/seam",
];

const CLOCK_PLACES: [&str; 1] = ["src/clock.rs"];
const ENV_PLACES: [&str; 3] = ["src/config", "src/cli", "src/main.rs"];

pub(crate) fn check(file: &SourceFile, dependencies: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !file.path.starts_with("src/") {
        return findings;
    }
    let locals = file.local_names();
    for path in file.paths() {
        findings.extend(check_shape(file, &path));
        findings.extend(check_direction(file, &path));
        findings.extend(check_external(file, &path, dependencies, &locals));
        findings.extend(check_effects(file, &path));
    }
    findings.extend(check_known(file));
    findings
}

fn check_known(file: &SourceFile) -> Option<Finding> {
    let layer = file.layer();
    if WIRING.contains(&layer) || allowed(layer).is_some() {
        return None;
    }
    Some(file_finding(
        "direction",
        file,
        1,
        format!(
            "`{layer}` may not stand at the top of src because it has no place in the dependency \
             order; add it to ORDER in tests/tidy/layers.rs or move it below a layer"
        ),
    ))
}

/// Groups at the root and globs hide what is imported.
fn check_shape(file: &SourceFile, path: &NamedPath) -> Option<Finding> {
    if !path.in_use {
        return None;
    }
    let head = path.segment(0);
    // Groups below `super` are read member by member.
    let opens_root = ["crate", "countersign", "{"].contains(&head)
        && path.segments.last().is_some_and(|s| s == "{");
    if opens_root {
        return Some(file_finding(
            "imports",
            file,
            path.line,
            format!(
                "`use {}` groups may not stand at the root because they hide the target; write one \
                 `use` per module",
                path.segments.join("::")
            ),
        ));
    }
    let glob = path.segments.last().is_some_and(|s| s == "*");
    let own_tests = path.in_test && path.segments == ["super", "*"];
    if glob && !own_tests {
        return Some(file_finding(
            "imports",
            file,
            path.line,
            format!(
                "`use {}` may not be a glob because readers cannot see what it brings; only tests \
                 may write `use super::*`",
                path.segments.join("::")
            ),
        ));
    }
    if path.segments == ["crate"] || path.segments == ["super"] {
        return Some(file_finding(
            "imports",
            file,
            path.line,
            format!("`use {head} as …` may not rename the root because it hides the target"),
        ));
    }
    None
}

/// The layer that a path leads to, if it leaves the file's own layer.
fn target<'a>(file: &SourceFile, path: &'a NamedPath) -> Option<&'a str> {
    let found = match path.segment(0) {
        "crate" | "countersign" => path.segment(1),
        "super" => {
            let ups = path.segments.iter().take_while(|s| *s == "super").count();
            let depth = file.module_path().len() + path.inline_depth;
            if ups < depth {
                return None;
            }
            path.segment(ups)
        }
        _ => return None,
    };
    (found != file.layer() && !["", "{", "*"].contains(&found)).then_some(found)
}

fn allowed(layer: &str) -> Option<&'static [&'static str]> {
    ORDER
        .iter()
        .find(|(name, _)| *name == layer)
        .map(|(_, may)| *may)
}

fn check_direction(file: &SourceFile, path: &NamedPath) -> Option<Finding> {
    let layer = file.layer();
    let to = target(file, path)?;
    if WIRING.contains(&layer) {
        return None;
    }
    let may = allowed(layer)?;
    if may.contains(&to) {
        return None;
    }
    Some(file_finding(
        "direction",
        file,
        path.line,
        format!("{layer} may not import {to} because {}", reason(layer, to)),
    ))
}

fn reason(layer: &str, to: &str) -> &'static str {
    let pure = ["decide", "ledger", "issuer"];
    match (layer, to) {
        ("hot", "cold") | ("cold", "hot") => {
            "hot and cold never import each other; what both need passes through seam"
        }
        (_, "app" | "cli" | "main") => "only the wiring knows the wiring",
        ("domain", _) => "domain is the vocabulary and imports nothing of ours",
        ("clock", _) => "the clock knows domain only",
        ("config", _) => "config knows domain and issuer at most",
        ("fingerprint", _) => "fingerprint knows domain only",
        ("telemetry", _) => "telemetry knows domain only",
        (from, other) if pure.contains(&from) && pure.contains(&other) => {
            "decide, ledger and issuer never import each other; hot and seam join them"
        }
        ("decide" | "ledger" | "issuer", _) => {
            "the pure part takes everything as arguments and imports domain only"
        }
        ("seam", _) => "seam joins domain, decide, ledger and issuer and knows nothing above them",
        _ => {
            "the dependency order is domain, then decide, ledger, issuer, then seam, then hot, cold"
        }
    }
}

fn check_external(
    file: &SourceFile,
    path: &NamedPath,
    dependencies: &BTreeSet<String>,
    locals: &BTreeSet<String>,
) -> Option<Finding> {
    let head = path.segment(0);
    if path.in_test || (!path.in_use && locals.contains(head)) {
        return None;
    }
    // `use redis::Store` beside `mod redis;` names the module.
    if path.in_use && declares(file, head) {
        return None;
    }
    if file.layer() == "domain" && dependencies.contains(head) {
        return Some(file_finding(
            "crates",
            file,
            path.line,
            format!("domain may not import {head} because domain is std only"),
        ));
    }
    let (name, places, why) = CONFINED.iter().find(|(name, _, _)| *name == head)?;
    if stands_in(&file.path, places) {
        return None;
    }
    Some(file_finding(
        "crates",
        file,
        path.line,
        format!(
            "{} may not import {name} because {why} (lawful: {})",
            file.layer(),
            places.join(", ")
        ),
    ))
}

fn declares(file: &SourceFile, name: &str) -> bool {
    (0..file.tokens.len()).any(|i| file.is(i, "mod") && file.is(i + 1, name))
}

fn stands_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|place| match place.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path
            .strip_prefix(place)
            .is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/')),
    })
}

/// Clock, environment, sockets, files, threads.
fn check_effects(file: &SourceFile, path: &NamedPath) -> Option<Finding> {
    let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
    let reads_clock = segments
        .windows(2)
        .any(|w| w == ["Instant", "now"] || w == ["SystemTime", "now"]);
    if reads_clock && !stands_in(&file.path, &CLOCK_PLACES) {
        return Some(file_finding(
            "clock",
            file,
            path.line,
            format!(
                "{} may not read the time because only src/clock.rs does",
                file.layer()
            ),
        ));
    }
    let reads_env = segments.starts_with(&["std", "env"]);
    if reads_env && !stands_in(&file.path, &ENV_PLACES) {
        return Some(file_finding(
            "environment",
            file,
            path.line,
            format!(
                "{} may not read the environment because only config, cli and main do",
                file.layer()
            ),
        ));
    }
    let untyped = segments.starts_with(&["serde_json", "Value"]);
    if untyped && !path.in_test && stands_in(&file.path, &TYPED) {
        return Some(file_finding(
            "typed",
            file,
            path.line,
            format!(
                "{} may not import serde_json::Value because the hot path parses typed, borrowed",
                file.layer()
            ),
        ));
    }
    let effect = match segments.as_slice() {
        ["tokio", ..] => "tokio",
        ["std", "fs", ..] => "std::fs",
        ["std", "net", ..] => "std::net",
        ["std", "thread", ..] => "std::thread",
        _ => return None,
    };
    let pure = stands_in(&file.path, &PURE) && !stands_in(&file.path, &SHELLS);
    if path.in_test || !pure {
        return None;
    }
    Some(file_finding(
        "purity",
        file,
        path.line,
        format!(
            "{} may not import {effect} because the pure part does no I/O; its shells are \
             src/ledger/embedded/{{files,writer}} and src/ledger/redis",
            file.layer()
        ),
    ))
}

fn file_finding(rule: &'static str, file: &SourceFile, line: usize, text: String) -> Finding {
    Finding {
        rule,
        path: file.path.clone(),
        line,
        text,
    }
}
