//! Documents: links, numbered promises and hazards, and the tests that they name.

use crate::Finding;
use std::collections::{BTreeMap, BTreeSet};

/// Numbers and letters of docs/behaviour.md: `2.13` with `a`, `b`, …
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    pub(crate) letters: BTreeMap<String, BTreeSet<char>>,
}

const STATES: [&str; 3] = ["built", "partly built", "planned"];

// === impl Behaviour ===

impl Behaviour {
    /// `### 2.4 Title` opens a promise, `- **2.13 a** …` one of its parts.
    pub(crate) fn parse(text: &str) -> Self {
        let mut found = Self::default();
        for (number, letter, _) in promises(text) {
            let letters = found.letters.entry(number).or_default();
            letters.extend(letter);
        }
        found
    }
}

fn promises(text: &str) -> Vec<(String, Option<char>, usize)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(title) = line.strip_prefix("### ") {
            let number = title.split(' ').next().unwrap_or("");
            if is_number(number) {
                found.push((number.to_owned(), None, index + 1));
            }
        } else if let Some((label, _)) = line
            .strip_prefix("- **")
            .and_then(|rest| rest.split_once("**"))
            && let Some((number, letter)) = label.split_once(' ')
            && is_number(number)
        {
            found.push((number.to_owned(), letter.chars().next(), index + 1));
        }
    }
    found
}

fn is_number(text: &str) -> bool {
    text.split_once('.').is_some_and(|(section, item)| {
        [section, item]
            .iter()
            .all(|p| !p.is_empty() && p.chars().all(|c| c.is_ascii_digit()))
    })
}

/// Every promise says which test holds it, and whether it is built.
pub(crate) fn check_promises(path: &str, text: &str, functions: &BTreeSet<String>) -> Vec<Finding> {
    let starts = promises(text);
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, (number, letter, line)) in starts.iter().enumerate() {
        if !seen.insert((number.clone(), *letter)) {
            findings.push(at(
                "behaviour",
                path,
                *line,
                format!("{number} is numbered twice"),
            ));
        }
        let next = starts.get(index + 1);
        let until = next.map_or(usize::MAX, |(_, _, l)| *l);
        let parent = next.is_some_and(|(n, l, _)| n == number && l.is_some() && letter.is_none());
        let held: Vec<(usize, &str)> = text
            .lines()
            .enumerate()
            .map(|(i, l)| (i + 1, l.trim()))
            .filter(|(l, _)| *l >= *line && *l < until)
            .filter_map(|(l, t)| t.strip_prefix("Held by:").map(|rest| (l, rest)))
            .collect();
        if held.len() != 1 && !(parent && held.is_empty()) {
            let what = format!("{number} needs one line `Held by: … · built|partly built|planned`");
            findings.push(at("behaviour", path, *line, what));
        }
        for (held_line, rest) in held {
            findings.extend(check_held(path, held_line, rest, functions));
            let own = format!("`behaviour_{}_", number.replace('.', "_"));
            if number.starts_with("5.") && !rest.contains(&own) {
                let what = format!("{number} has no test that begins with its number: {own}…`");
                findings.push(at("behaviour", path, held_line, what));
            }
        }
    }
    findings
}

fn check_held(path: &str, line: usize, rest: &str, functions: &BTreeSet<String>) -> Vec<Finding> {
    let Some((names, state)) = rest.rsplit_once('·') else {
        return vec![at(
            "behaviour",
            path,
            line,
            "`Held by:` lacks ` · state`".to_owned(),
        )];
    };
    let mut findings = check_test_names("behaviour", path, line, names, functions);
    let word = state
        .trim()
        .split(':')
        .next()
        .unwrap_or("")
        .trim_end_matches('.');
    if !STATES.contains(&word) {
        let text = format!("`{word}` is no state; write one of {}", STATES.join(", "));
        findings.push(at("behaviour", path, line, text));
    }
    findings
}

/// Names in backticks must be functions of the tree: `name` or `file::name`.
fn check_test_names(
    rule: &'static str,
    path: &str,
    line: usize,
    text: &str,
    functions: &BTreeSet<String>,
) -> Vec<Finding> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(|name| name.rsplit("::").next().unwrap_or(name))
        .filter(|name| !functions.contains(*name))
        .map(|name| at(rule, path, line, format!("no test is called `{name}`")))
        .collect()
}

/// The ids of docs/hazards.md: the first cell of each row, `| A1 | …`.
pub(crate) fn hazard_ids(text: &str) -> BTreeSet<String> {
    hazard_rows(text).into_iter().map(|(id, _, _)| id).collect()
}

fn hazard_rows(text: &str) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let id = cells.get(1).copied().unwrap_or("");
        let numbered = id.chars().nth(1).is_some_and(|c| c.is_ascii_digit());
        if line.starts_with('|') && numbered {
            let test = cells.iter().rev().nth(1).copied().unwrap_or("");
            found.push((id.to_owned(), index + 1, test.to_owned()));
        }
    }
    found
}

pub(crate) fn check_hazards(path: &str, text: &str, functions: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for (id, line, test) in hazard_rows(text) {
        findings.extend(check_test_names("hazards", path, line, &test, functions));
        if !seen.insert(id.clone()) {
            findings.push(at("hazards", path, line, format!("{id} is listed twice")));
        }
    }
    findings
}

/// `behaviour 2.4`, `behaviour.md 2.13 d` in code must exist in docs/behaviour.md.
pub(crate) fn check_citations(path: &str, text: &str, behaviour: &Behaviour) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (number, letter) in citations(line) {
            let Some(letters) = behaviour.letters.get(&number) else {
                let text = format!("behaviour {number} is cited, but docs/behaviour.md lacks it");
                findings.push(at("citations", path, index + 1, text));
                continue;
            };
            // Without lettered parts a following letter is a word: `behaviour 2.4 a retry …`.
            if let Some(letter) = letter
                && !letters.is_empty()
                && !letters.contains(&letter)
            {
                let text = format!("behaviour {number} has no part {letter}");
                findings.push(at("citations", path, index + 1, text));
            }
        }
    }
    findings
}

fn citations(line: &str) -> Vec<(String, Option<char>)> {
    let mut found = Vec::new();
    for piece in line.split("behaviour").skip(1) {
        let rest = piece.strip_prefix(".md").unwrap_or(piece);
        let rest = rest.strip_prefix('`').unwrap_or(rest);
        let Some(rest) = rest.strip_prefix(' ') else {
            continue;
        };
        let number: String = rest
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '.')
            .collect();
        let number = number.trim_end_matches('.');
        if !is_number(number) {
            continue;
        }
        let after = rest.get(number.len()..).unwrap_or("");
        let mut chars = after.strip_prefix(' ').unwrap_or(after).chars();
        let letter = chars.next().filter(char::is_ascii_lowercase);
        let alone = !chars.next().is_some_and(char::is_alphanumeric);
        found.push((number.to_owned(), letter.filter(|_| alone)));
    }
    found
}

/// Relative links lead to a file or folder of the tree, and their anchors to a heading.
pub(crate) fn check_links(path: &str, text: &str, tree: &BTreeMap<String, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, target) in links(text) {
        let elsewhere = ["http://", "https://", "mailto:"]
            .iter()
            .any(|p| target.starts_with(p));
        if elsewhere {
            continue;
        }
        let (file, anchor) = target.split_once('#').unwrap_or((target.as_str(), ""));
        let Some(full) = resolve(path, file) else {
            findings.push(at(
                "links",
                path,
                line,
                format!("`{target}` leaves the repository"),
            ));
            continue;
        };
        let folder = format!("{full}/");
        let known = full.is_empty()
            || tree.contains_key(&full)
            || tree.keys().any(|p| p.starts_with(&folder));
        if !known {
            findings.push(at(
                "links",
                path,
                line,
                format!("`{target}` does not exist"),
            ));
        } else if !anchor.is_empty()
            && full.ends_with(".md")
            && tree.get(&full).is_some_and(|t| !has_anchor(t, anchor))
        {
            let text = format!("`{full}` has no heading for `#{anchor}`");
            findings.push(at("links", path, line, text));
        }
    }
    findings
}

fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            continue;
        }
        if fenced {
            continue;
        }
        // Outside inline code only: every second piece between backticks.
        let prose: String = line.split('`').step_by(2).collect();
        for piece in prose.split("](").skip(1) {
            let target = piece.split([')', ' ']).next().unwrap_or("");
            found.push((index + 1, target.to_owned()));
        }
        if let Some((_, target)) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "))
        {
            found.push((index + 1, target.trim().to_owned()));
        }
    }
    found
}

/// The path of a link from the root of the repository; none if it climbs out.
fn resolve(from: &str, link: &str) -> Option<String> {
    if link.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn has_anchor(text: &str, anchor: &str) -> bool {
    text.lines()
        .filter(|l| l.starts_with('#'))
        .map(|l| slug(l.trim_start_matches('#').trim()))
        .any(|s| s == anchor)
}

fn slug(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

fn at(rule: &'static str, path: &str, line: usize, text: String) -> Finding {
    Finding {
        rule,
        path: path.to_owned(),
        line,
        text,
    }
}
