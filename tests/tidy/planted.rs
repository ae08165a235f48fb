//! Each rule is shown failing once on planted text, and passing on the lawful neighbour of it.

use crate::source::SourceFile;
use crate::{apply_exceptions, check_tree, shape};
use std::collections::BTreeMap;

const MANIFEST: &str = "[package]\nname = \"countersign\"\n\n[dependencies]\nserde = \"1\"\n\
                        hyper-util = { version = \"0.1\" }\n\n[dev-dependencies]\nproptest = \"1\"\n";
const BEHAVIOUR: &str = "### 2.4 Identity\n\nText.\n\nHeld by: — · built\n\n### 2.13 Limits\n\n\
                         - **2.13 a** Text.\n  Held by: — · planned\n";
const HAZARDS: &str = "| id | hazard | expected | test |\n|---|---|---|---|\n| C4 | x | y | — |\n";

/// The findings of a small tidy tree into which `path` is planted.
fn planted(path: &str, text: &str) -> Vec<String> {
    planted_all(&[(path, text)])
}

fn planted_all(files: &[(&str, &str)]) -> Vec<String> {
    let mut tree = BTreeMap::from([
        ("Cargo.toml".to_owned(), MANIFEST.to_owned()),
        ("docs/behaviour.md".to_owned(), BEHAVIOUR.to_owned()),
        ("docs/hazards.md".to_owned(), HAZARDS.to_owned()),
    ]);
    tree.extend(
        files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned())),
    );
    check_tree(&tree, &[])
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[track_caller]
fn rejects(path: &str, text: &str, expected: &str) {
    let found = planted(path, text);
    assert!(
        found
            .iter()
            .any(|f| f.starts_with(path) && f.contains(expected)),
        "`{expected}` is not among {found:?}"
    );
}

#[track_caller]
fn accepts(path: &str, text: &str) {
    assert_eq!(planted(path, text), Vec::<String>::new(), "{path}: {text}");
}

#[test]
fn the_empty_tree_is_tidy() {
    assert_eq!(planted_all(&[]), Vec::<String>::new());
}

#[test]
fn hot_and_cold_do_not_meet() {
    rejects(
        "src/hot/server.rs",
        "\nuse crate::cold::api;",
        "server.rs:2: hot may not import cold",
    );
    rejects(
        "src/cold/api.rs",
        "use crate::hot::reply::Reply;",
        "cold may not import hot because",
    );
    rejects(
        "src/hot.rs",
        "fn f() { crate::cold::f(); }",
        "hot may not import cold",
    );
    rejects(
        "src/hot/a/b.rs",
        "use super::super::super::cold::X;",
        "hot may not import cold",
    );
    rejects(
        "src/hot.rs",
        "mod m { use super::super::cold::X; }",
        "hot may not import cold",
    );
    rejects(
        "src/hot.rs",
        "use crate::cold as warm;",
        "hot may not import cold",
    );
    rejects(
        "src/hot.rs",
        "fn f(x: countersign::cold::X) {}",
        "hot may not import cold",
    );
    accepts(
        "src/hot.rs",
        "use crate::seam::Snapshot;\nuse super::domain::Amount;",
    );
    accepts(
        "src/hot/a/b.rs",
        "use super::super::c::X;\nmod tests { use super::super::super::d::X; }",
    );
    accepts(
        "src/hot.rs",
        "// use crate::cold::x\nconst X: &str = \"crate::cold::x\";",
    );
    accepts(
        "src/hot.rs",
        "/* outer /* crate::cold */ crate::cold */ const C: char = '\"';",
    );
    accepts(
        "src/hot.rs",
        "const X: &str = r#\"a \" crate::cold::x\"#; fn f<'a>(x: &'a str) {}",
    );
}

#[test]
fn the_pure_part_imports_downwards_only() {
    rejects(
        "src/decide/evaluate.rs",
        "use crate::ledger::Claims;",
        "decide may not import ledger",
    );
    rejects(
        "src/ledger.rs",
        "use crate::issuer::Kind;",
        "ledger may not import issuer because",
    );
    rejects(
        "src/issuer/lithic.rs",
        "use crate::decide::X;",
        "issuer may not import decide",
    );
    rejects(
        "src/issuer/lithic.rs",
        "use crate::seam::X;",
        "issuer may not import seam",
    );
    rejects(
        "src/domain/amount.rs",
        "use crate::decide::X;",
        "domain may not import decide",
    );
    rejects(
        "src/seam.rs",
        "use crate::hot::X;",
        "seam may not import hot",
    );
    rejects(
        "src/seam.rs",
        "use crate::clock::X;",
        "seam may not import clock",
    );
    rejects("src/hot.rs", "use crate::app::X;", "hot may not import app");
    accepts(
        "src/decide/evaluate.rs",
        "use crate::domain::{Amount, Currency};",
    );
    accepts(
        "src/seam/snapshot.rs",
        "use crate::decide::compile::Policy;\nuse crate::ledger::X;",
    );
    accepts("src/ledger/a.rs", "pub(in crate::ledger) fn f() {}");
}

#[test]
fn the_bottom_modules_know_little() {
    rejects(
        "src/clock.rs",
        "use crate::ledger::X;",
        "clock may not import ledger",
    );
    rejects(
        "src/config/file.rs",
        "use crate::hot::X;",
        "config may not import hot",
    );
    rejects(
        "src/telemetry.rs",
        "use crate::decide::X;",
        "telemetry may not import decide",
    );
    rejects(
        "src/helpers.rs",
        "",
        "`helpers` may not stand at the top of src",
    );
    rejects(
        "src/fingerprint.rs",
        "use crate::ledger::X;",
        "fingerprint may not import ledger",
    );
    rejects(
        "src/decide.rs",
        "use crate::fingerprint::X;",
        "decide may not import fingerprint",
    );
    accepts("src/seam.rs", "use crate::fingerprint::Fingerprinter;");
    accepts("src/config.rs", "use crate::issuer::Kind;");
    accepts("src/app.rs", "use crate::hot::X;\nuse crate::cold::Y;");
    accepts(
        "src/main.rs",
        "use countersign::app::run;\nfn main() { countersign::hot::x(); }",
    );
}

#[test]
fn groups_at_the_root_and_globs_are_rejected() {
    rejects(
        "src/hot.rs",
        "use crate::{cold, seam};",
        "groups may not stand at the root",
    );
    rejects(
        "src/app.rs",
        "use {crate::hot::X, crate::cold::Y};",
        "groups may not stand at the root",
    );
    rejects(
        "src/main.rs",
        "use countersign::{app, hot};",
        "groups may not stand at the root",
    );
    rejects(
        "src/hot.rs",
        "use crate as ours;",
        "may not rename the root",
    );
    rejects(
        "src/hot.rs",
        "use crate::domain::*;",
        "`use crate::domain::*` may not be a glob",
    );
    rejects(
        "src/hot.rs",
        "use crate::domain::{amount::*, mcc};",
        "may not be a glob",
    );
    rejects("src/hot.rs", "use super::*;", "may not be a glob");
    accepts("src/hot.rs", "#[cfg(test)]\nmod tests { use super::*; }");
    accepts("src/hot/tests.rs", "use super::*;");
    accepts("src/hot/server.rs", "use super::{pipeline, reply::Reply};");
    rejects(
        "src/hot.rs",
        "use super::{cold::X, seam::Y};",
        "hot may not import cold",
    );
}

#[test]
fn domain_is_std_only() {
    rejects(
        "src/domain/amount.rs",
        "use serde::Serialize;",
        "domain may not import serde",
    );
    rejects(
        "src/domain.rs",
        "#[derive(serde::Serialize)] struct X;",
        "domain is std only",
    );
    rejects(
        "src/domain.rs",
        "use hyper_util::rt::X;",
        "domain may not import hyper_util",
    );
    accepts(
        "src/domain.rs",
        "use std::fmt;\n#[cfg(test)]\nmod tests { use proptest::any; }",
    );
}

#[test]
fn external_crates_stay_in_their_places() {
    for (path, text, name) in [
        ("src/hot/pipeline.rs", "use arc_swap::ArcSwap;", "arc_swap"),
        ("src/hot/server.rs", "use axum::Router;", "axum"),
        ("src/app.rs", "use clap::Parser;", "clap"),
        ("src/ledger/check.rs", "use crc32c::crc32c;", "crc32c"),
        ("src/ledger/fold.rs", "use dashmap::DashMap;", "dashmap"),
        ("src/hot/server.rs", "use hmac::Mac;", "hmac"),
        ("src/seam.rs", "use hyper::Request;", "hyper"),
        ("src/app.rs", "use hyper_util::rt::TokioIo;", "hyper_util"),
        ("src/decide/evaluate.rs", "use jiff::Zoned;", "jiff"),
        ("src/lib.rs", "use mimalloc::MiMalloc;", "mimalloc"),
        (
            "src/hot.rs",
            "use prometheus_client::registry::Registry;",
            "prometheus_client",
        ),
        ("src/seam.rs", "fn f() { redis::cmd(\"GET\"); }", "redis"),
        ("src/hot.rs", "fn f() { rustix::fs::fsync(x); }", "rustix"),
        ("src/cold/api.rs", "use sha2::Sha256;", "sha2"),
        ("src/app.rs", "fn f() { toml::from_str(x); }", "toml"),
        ("src/hot.rs", "use xxhash_rust::xxh3::Xxh3;", "xxhash_rust"),
    ] {
        rejects(path, text, &format!("may not import {name} because"));
    }
    accepts("src/seam/snapshot.rs", "use arc_swap::ArcSwap;");
    accepts("src/seam.rs", "use arc_swap::ArcSwap;");
    accepts("src/decide/compile_zone.rs", "use jiff::Zoned;");
    accepts("src/cli/sandbox.rs", "use clap::Parser;");
    accepts("src/cold/doctor.rs", "use rustix::fs::statvfs;");
    accepts(
        "src/ledger.rs",
        "mod redis;\nuse redis::Store;\nfn f() { redis::f(); }",
    );
    accepts("src/hot/tests.rs", "use hmac::Mac;");
}

#[test]
fn only_the_clock_reads_time() {
    rejects(
        "src/hot.rs",
        "fn f() { Instant::now(); }",
        "hot may not read the time",
    );
    rejects(
        "src/app.rs",
        "fn f() { std::time::SystemTime::now(); }",
        "app may not read the time",
    );
    rejects(
        "src/cold.rs",
        "fn f() { tokio::time::Instant::now(); }",
        "cold may not read the time",
    );
    rejects(
        "src/hot/tests.rs",
        "fn f() { x.map(Instant::now); }",
        "hot may not read the time",
    );
    accepts("src/clock.rs", "fn f() { Instant::now(); }");
    accepts(
        "src/hot.rs",
        "use std::time::Instant;\nfn f(now: Instant) {}",
    );
}

#[test]
fn only_the_edge_reads_the_environment() {
    rejects(
        "src/hot.rs",
        "use std::env;",
        "hot may not read the environment",
    );
    rejects(
        "src/issuer.rs",
        "use std::{env, fmt};",
        "issuer may not read the environment",
    );
    rejects(
        "src/app.rs",
        "fn f() { std::env::var(\"A\"); }",
        "app may not read the environment",
    );
    accepts("src/config/file.rs", "use std::env;");
    accepts("src/main.rs", "fn f() { std::env::args(); }");
    accepts("src/hot.rs", "const V: &str = env!(\"CARGO_PKG_VERSION\");");
}

#[test]
fn the_hot_path_parses_typed() {
    rejects(
        "src/hot.rs",
        "use serde_json::Value;",
        "hot may not import serde_json::Value",
    );
    rejects(
        "src/issuer.rs",
        "fn f(v: serde_json::Value) {}",
        "issuer may not import serde_json",
    );
    accepts("src/cold.rs", "use serde_json::Value;");
    accepts("src/issuer/tests.rs", "use serde_json::Value;");
}

#[test]
fn the_pure_part_does_no_io() {
    rejects(
        "src/decide/evaluate.rs",
        "use tokio::sync::X;",
        "decide may not import tokio",
    );
    rejects(
        "src/ledger/check.rs",
        "use std::fs::File;",
        "ledger may not import std::fs",
    );
    rejects(
        "src/ledger.rs",
        "fn f() { std::thread::spawn(g); }",
        "may not import std::thread",
    );
    rejects(
        "src/issuer.rs",
        "use std::{net::IpAddr, fmt};",
        "issuer may not import std::net",
    );
    rejects(
        "src/ledger/embedded/journal.rs",
        "use std::fs;",
        "ledger may not import std::fs",
    );
    accepts("src/ledger/embedded/files.rs", "use std::fs;");
    accepts("src/ledger/embedded/writer.rs", "use std::thread;");
    accepts("src/ledger/redis/client.rs", "use tokio::net::TcpStream;");
    accepts(
        "src/ledger.rs",
        "#[cfg(test)]\nmod tests { use std::thread; }",
    );
}

#[test]
fn a_module_file_under_cfg_test_counts_as_tests() {
    let parent = ("src/ledger.rs", "#[cfg(test)]\npub(crate) mod contract;");
    let child = ("src/ledger/contract.rs", "use std::thread;");
    assert_eq!(planted_all(&[parent, child]), Vec::<String>::new());
    assert_eq!(planted_all(&[child]).len(), 1);
}

#[test]
fn files_and_functions_stay_short() {
    let long_file = "// line\n".repeat(601);
    rejects(
        "src/hot.rs",
        &long_file,
        "the file has 601 lines; at most 600",
    );
    rejects("loadtest/src/main.rs", &long_file, "at most 600");
    accepts("src/hot/tests.rs", &long_file);
    rejects("tests/flow.rs", &"// line\n".repeat(1_001), "at most 1000");

    let body = |lines: usize| format!("fn long(x: [u8; 2]) {{\n{}}}\n", "    f();\n".repeat(lines));
    rejects("src/hot.rs", &body(69), "hot.rs:1: `long` has 71 lines");
    accepts("src/hot.rs", &body(68));
    accepts(
        "src/hot.rs",
        &format!("#[cfg(test)]\nmod tests {{\n{}}}", body(90)),
    );
    accepts("tests/flow.rs", &body(90));
    rejects("src/hot/mod.rs", "", "may not be called mod.rs");
}

#[test]
fn banned_words_do_not_stay() {
    rejects(
        "src/hot.rs",
        &format!("// {}: later", concat!("FIX", "ME")),
        "may not stay",
    );
    rejects("src/hot.rs", "// XXX why", "XXX may not stay");
    rejects("src/hot.rs", "fn f() { todo!() }", "todo! may not stay");
    rejects(
        "src/hot.rs",
        "fn f() { unimplemented!() }",
        "unimplemented! may not stay",
    );
    rejects("src/hot.rs", "fn f() { dbg!(1); }", "dbg! may not stay");
    accepts(
        "src/hot.rs",
        "// Currencies such as XXX and XTS.\nconst X: &str = \"XXX\";",
    );
}

#[test]
fn attributes_say_why() {
    rejects(
        "tests/flow.rs",
        "#[test]\n#[ignore]\nfn f() {}",
        "flow.rs:2: #[ignore] may not hide",
    );
    rejects(
        "src/hot.rs",
        "#[ignore = \"slow\"]\nfn f() {}",
        "#[ignore] may not hide",
    );
    rejects(
        "src/hot.rs",
        "#[expect(dead_code)]\nfn f() {}",
        "#[expect] needs a reason",
    );
    rejects(
        "src/hot.rs",
        "#![expect(dead_code)]",
        "#[expect] needs a reason",
    );
    accepts(
        "src/hot.rs",
        "#[expect(dead_code, reason = \"because\")]\nfn f() { x.expect(\"y\"); }",
    );
}

#[test]
fn fixtures_are_named_and_answered() {
    let found = |files: &[&str]| {
        planted_all(&files.iter().map(|f| (*f, "{}")).collect::<Vec<_>>()).join("\n")
    };
    assert!(found(&["fixtures/lithic/Auth.json"]).contains("lower case"));
    assert!(found(&["fixtures/lithic/auth.a.b.json"]).contains("<kind>[.<twist>].json"));
    assert!(found(&["fixtures/lithic/auth.xml"]).contains("a fixture is a .json file"));
    assert!(
        found(&["fixtures/lithic/auth.cash.json"]).contains("auth.cash.reply.json` is missing")
    );
    assert!(found(&["fixtures/lithic/auth.reply.json"]).contains("this reply has no message"));
    assert_eq!(
        found(&[
            "fixtures/lithic/auth.json",
            "fixtures/lithic/auth.reply.json"
        ]),
        ""
    );
    assert_eq!(
        found(&[
            "fixtures/lithic/event.clearing.json",
            "fixtures/snapshot/Any.name"
        ]),
        ""
    );
}

#[test]
fn links_lead_somewhere() {
    rejects(
        "docs/a.md",
        "see [b](b.md)",
        "a.md:1: `b.md` does not exist",
    );
    rejects("docs/a.md", "[b](../../b.md)", "leaves the repository");
    rejects(
        "docs/a.md",
        "[b](behaviour.md#24-nothing)",
        "has no heading for `#24-nothing`",
    );
    rejects("docs/a.md", "[b]: b.md", "`b.md` does not exist");
    accepts(
        "docs/a.md",
        "[b](behaviour.md#24-identity), [c](../docs/), [d](https://example.com)",
    );
    accepts(
        "docs/a.md",
        "# A\n[a](#a)\n```\n[b](b.md)\n```\n`[b](b.md)`",
    );
}

#[test]
fn citations_exist() {
    rejects(
        "src/hot.rs",
        "// behaviour 9.9",
        "behaviour 9.9 is cited, but",
    );
    rejects(
        "tests/flow.rs",
        "// docs/behaviour.md 2.13 z",
        "behaviour 2.13 has no part z",
    );
    accepts(
        "src/hot.rs",
        "// behaviour 2.4 a retry; behaviour.md 2.13 a, `behaviour 2.13a`",
    );
}

#[test]
fn promises_name_their_tests() {
    let text = |held: &str| format!("### 2.4 Identity\n\nText.\n\n{held}\n");
    rejects(
        "docs/behaviour.md",
        &text(""),
        "2.4 needs one line `Held by:",
    );
    rejects(
        "docs/behaviour.md",
        &text("Held by: `gone` · built"),
        "no test is called `gone`",
    );
    rejects(
        "docs/behaviour.md",
        &text("Held by: — · nearly"),
        "`nearly` is no state",
    );
    rejects("docs/behaviour.md", &text("Held by: —"), "lacks ` · state`");
    rejects(
        "docs/behaviour.md",
        &text("Held by: — · built\n### 2.4 B"),
        "2.4 is numbered twice",
    );
    rejects(
        "docs/behaviour.md",
        "### 5.1 Input\n\nText.\n\nHeld by: — · built\n",
        "5.1 has no test that begins with its number",
    );
    let held = text("Held by: `flow::real` · partly built: no retries");
    assert_eq!(
        planted_all(&[
            ("docs/behaviour.md", &held),
            ("tests/flow.rs", "fn real() {}")
        ]),
        Vec::<String>::new()
    );
}

#[test]
fn hazards_are_listed_and_named() {
    let row = |line: &str| format!("{HAZARDS}{line}\n");
    rejects(
        "docs/hazards.md",
        &row("| C4 | x | y | — |"),
        "C4 is listed twice",
    );
    rejects(
        "docs/hazards.md",
        &row("| C5 | x | y | `gone` |"),
        "no test is called `gone`",
    );
    rejects(
        "tests/flow.rs",
        "#[test]\nfn c99_torn() {}",
        "flow.rs:2: `c99_torn` cites C99",
    );
    rejects(
        "src/hot.rs",
        "#[tokio::test]\npub async fn a1_race() {}",
        "`a1_race` cites A1",
    );
    accepts(
        "tests/flow.rs",
        "#[test]\nfn c4_torn() {}\nfn h1_server() {}\n#[test]\nfn p99_x() {}",
    );
    rejects(
        "tests/flow.rs",
        "#[test]\nfn c4_c98_torn() {}",
        "`c4_c98_torn` cites C98",
    );
    assert_eq!(shape::hazard_ids("c8b_d4_second_eio"), ["C8b", "D4"]);
    assert_eq!(shape::hazard_ids("c_plain"), Vec::<String>::new());
}

#[test]
fn strings_of_one_machine_do_not_stand() {
    rejects(
        "docs/a.md",
        concat!("see ../", "shared/x"),
        "it is not part of the project",
    );
    rejects(
        "scripts/test",
        concat!("cd /wo", "rk/main"),
        "it is a path of one machine",
    );
    rejects(
        "scripts/test",
        concat!("pip install --index", "-url x"),
        "names no registry",
    );
    rejects(
        "Cargo.lock",
        "source = \"registry+https://example.com\"",
        "not the public registry",
    );
    rejects(
        "docs/a.md",
        "a\n<<<<<<< HEAD\nb",
        "a.md:2: a merge was committed",
    );
    accepts("docs/a.md", "a shared framework/works");
}

#[test]
fn an_exception_must_be_needed() {
    let finding = |path: &str| crate::Finding {
        path: path.to_owned(),
        line: 3,
        rule: "size",
        text: "long".to_owned(),
    };
    let excepted = apply_exceptions(vec![finding("a"), finding("b")], &[("size", "a")]);
    assert_eq!(excepted, vec![finding("b")]);
    let unused = apply_exceptions(Vec::new(), &[("size", "a")]);
    assert!(unused[0].to_string().contains("is not needed; remove it"));
}

#[test]
fn paths_survive_line_breaks_and_nesting() {
    let text = "use crate::domain::{\n    amount::{Amount, self},\n    mcc as code,\n};";
    let file = SourceFile::parse("src/hot.rs", text);
    let paths: Vec<String> = file.paths().iter().map(|p| p.segments.join("::")).collect();
    let expected = [
        "crate::domain::amount::Amount",
        "crate::domain::amount::self",
        "crate::domain::mcc",
    ];
    assert_eq!(paths, expected);
}
