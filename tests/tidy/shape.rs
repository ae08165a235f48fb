//! Sizes, banned words, attributes, and the names of tests.

use crate::Finding;
use crate::source::{SourceFile, matching};
use std::collections::BTreeSet;

const SOURCE_LINES_MAX: usize = 600;
const TEST_LINES_MAX: usize = 1_000;
const FUNCTION_LINES_MAX: usize = 70;

const BANNED_MACROS: [(&str, &str); 3] = [
    ("dbg", "remove it"),
    ("todo", "finish the path or leave it out"),
    ("unimplemented", "finish the path or leave it out"),
];

/// The letters of docs/hazards.md. A test called `p99_…` belongs to no hazard.
const HAZARD_GROUPS: &str = "abcdefghimosw";

pub(crate) fn check(file: &SourceFile) -> Vec<Finding> {
    let ours = file.path.starts_with("src/") || file.path.starts_with("loadtest/src/");
    let mut findings = Vec::new();
    findings.extend(check_size(file));
    findings.extend(check_ignore(file));
    findings.extend(check_expect(file));
    if ours {
        findings.extend(check_functions(file));
        findings.extend(check_words(file));
        if file.path.ends_with("/mod.rs") {
            findings.push(at(
                "mod.rs",
                file,
                1,
                "a module may not be called mod.rs because editors then show twenty files of one \
                 name; write foo.rs beside foo/"
                    .to_owned(),
            ));
        }
    }
    findings
}

fn check_size(file: &SourceFile) -> Option<Finding> {
    let max = if file.is_wholly_test() {
        TEST_LINES_MAX
    } else {
        SOURCE_LINES_MAX
    };
    let count = file.text.lines().count();
    (count > max).then(|| {
        at(
            "size",
            file,
            count,
            format!("the file has {count} lines; at most {max}, so split it"),
        )
    })
}

fn check_functions(file: &SourceFile) -> Vec<Finding> {
    file.functions()
        .into_iter()
        .filter(|f| !f.in_test && f.line_count > FUNCTION_LINES_MAX)
        .map(|f| {
            at(
                "function",
                file,
                f.line,
                format!(
                    "`{}` has {} lines; a function has at most {FUNCTION_LINES_MAX}",
                    f.name, f.line_count
                ),
            )
        })
        .collect()
}

fn check_words(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for comment in &file.comments {
        let body = comment.text.trim_start_matches(['/', '!', '*', ' ']);
        // The currency of no currency is called XXX; as a mark it stands first or before a colon.
        let marked = body.starts_with("XXX") || body.contains("XXX:");
        for (found, word) in [(body.contains("FIXME"), "FIXME"), (marked, "XXX")] {
            if found {
                let text = format!("{word} may not stay; do it or write an issue");
                findings.push(at("words", file, comment.line, text));
            }
        }
    }
    for (index, token) in file.tokens.iter().enumerate() {
        let Some((name, advice)) = BANNED_MACROS.iter().find(|(name, _)| *name == token.text)
        else {
            continue;
        };
        if file.is(index + 1, "!") && file.is_ident(index) {
            let text = format!("{name}! may not stay; {advice}");
            findings.push(at("words", file, token.line, text));
        }
    }
    findings
}

fn check_ignore(file: &SourceFile) -> Vec<Finding> {
    file.attributes()
        .into_iter()
        .filter(|(start, _)| file.is(start + 2, "ignore"))
        .map(|(start, _)| {
            at(
                "ignore",
                file,
                file.tokens[start].line,
                "#[ignore] may not hide a test; assert what happens, with a note, or put the suite \
                 behind scripts/test"
                    .to_owned(),
            )
        })
        .collect()
}

fn check_expect(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (start, close) in file.attributes() {
        for index in start..close {
            if !(file.is(index, "expect") && file.is(index + 1, "(")) {
                continue;
            }
            let end = matching(&file.tokens, index + 1).unwrap_or(close);
            if !(index..end).any(|i| file.is(i, "reason") && file.is(i + 1, "=")) {
                let text = "#[expect] needs a reason = \"…\"".to_owned();
                findings.push(at("expect", file, file.tokens[start].line, text));
            }
        }
    }
    findings
}

/// Tests called `c4_torn_tail…` or `c6_c7_frame…` cite hazards, which must be listed.
pub(crate) fn check_hazard_names(file: &SourceFile, hazards: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for function in file.functions().into_iter().filter(|f| f.is_test) {
        let name = &function.name;
        for id in hazard_ids(name)
            .into_iter()
            .filter(|id| !hazards.contains(id))
        {
            let text = format!("`{name}` cites {id}, which docs/hazards.md lacks");
            findings.push(at("hazards", file, function.line, text));
        }
    }
    findings
}

/// `c8b_second_eio` cites C8b, `c6_c7_frame` C6 and C7, `retry_is_idempotent` none.
pub(crate) fn hazard_ids(name: &str) -> Vec<String> {
    name.split('_').map_while(hazard_id).collect()
}

fn hazard_id(word: &str) -> Option<String> {
    let mut chars = word.chars();
    let group = chars.next().filter(|c| HAZARD_GROUPS.contains(*c))?;
    let rest = chars.as_str();
    let digits = rest.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let numbered = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    (numbered && rest.len() <= digits.len() + 1)
        .then(|| format!("{}{rest}", group.to_ascii_uppercase()))
}

fn at(rule: &'static str, file: &SourceFile, line: usize, text: String) -> Finding {
    Finding {
        rule,
        path: file.path.clone(),
        line,
        text,
    }
}
