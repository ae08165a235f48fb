//! The corpus of hostile and ordinary names: each row says whether an entry names a merchant.

use std::borrow::Cow;

use countersign::decide::merchant_text::list::{ListKind, Merchant, MerchantEntry, MerchantList};
use countersign::domain::acceptor::CardAcceptor;

const CORPUS: &str = include_str!("corpus.tsv");

pub(crate) fn acceptor(descriptor: &str, id: Option<&str>) -> CardAcceptor<'static> {
    CardAcceptor {
        acquirer_id: None,
        acceptor_id: id.map(|id| Cow::Owned(id.to_owned())),
        descriptor: Cow::Owned(descriptor.to_owned()),
        mcc: None,
        city: Cow::Borrowed(""),
        country: None,
    }
}

pub(crate) fn list(kind: ListKind, entries: &[&str]) -> MerchantList {
    let entry = |text: &&str| match text.strip_prefix("id:") {
        Some(id) => MerchantEntry::AcceptorId(id.into()),
        None => MerchantEntry::Name((*text).into()),
    };
    let compiled = MerchantList::compile(kind, entries.iter().map(entry));
    compiled.unwrap_or_else(|why| panic!("{entries:?}: {why:?}"))
}

/// Whether a list of one entry names the merchant.
pub(crate) fn names(kind: ListKind, entry: &str, descriptor: &str, id: Option<&str>) -> bool {
    list(kind, &[entry]).names(&Merchant::of(&acceptor(descriptor, id)))
}

/// `\u{200b}`, `\t`, `\n` and `\\` as the characters that they stand for.
fn unescaped(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        result.push_str(before);
        let mut chars = after.chars();
        rest = match chars.next() {
            Some('u') => {
                let braced = after.strip_prefix("u{").unwrap();
                let (code, behind) = braced.split_once('}').unwrap();
                let code = u32::from_str_radix(code, 16).unwrap();
                result.push(char::from_u32(code).unwrap());
                behind
            }
            Some('t') => {
                result.push('\t');
                chars.as_str()
            }
            Some('n') => {
                result.push('\n');
                chars.as_str()
            }
            other => {
                assert_eq!(other, Some('\\'), "{text}");
                result.push('\\');
                chars.as_str()
            }
        };
    }
    result + rest
}

struct Row {
    line: usize,
    kind: ListKind,
    entry: String,
    descriptor: String,
    id: Option<String>,
    is_named: bool,
}

fn rows() -> Vec<Row> {
    let lines = CORPUS.lines().enumerate();
    let rows = lines.filter(|(_, line)| !line.starts_with('#'));
    let row = |(at, line): (usize, &str)| {
        let fields: Vec<_> = line.split('\t').collect();
        let (kind, entry, descriptor, expected, id) = match fields[..] {
            [kind, entry, descriptor, expected] => (kind, entry, descriptor, expected, None),
            [kind, entry, descriptor, expected, id] => {
                (kind, entry, descriptor, expected, Some(id))
            }
            _ => panic!("line {}: {line}", at + 1),
        };
        Row {
            line: at + 1,
            kind: match kind {
                "allow" => ListKind::Allows,
                "block" => ListKind::Blocks,
                _ => panic!("line {}: {kind}", at + 1),
            },
            entry: unescaped(entry),
            descriptor: unescaped(descriptor),
            id: id.map(unescaped),
            is_named: match expected {
                "match" => true,
                "miss" => false,
                _ => panic!("line {}: {expected}", at + 1),
            },
        }
    };
    rows.map(row).collect()
}

#[test]
fn m5_m7_every_row_of_the_corpus_is_as_it_says() {
    let rows = rows();
    let mut wrong = Vec::new();
    for row in &rows {
        let found = names(row.kind, &row.entry, &row.descriptor, row.id.as_deref());
        if found != row.is_named {
            wrong.push(format!(
                "line {}: {:?} {:?} against {:?} {:?}: {found}",
                row.line, row.kind, row.entry, row.descriptor, row.id
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let named = rows.iter().filter(|row| row.is_named).count();
    assert!(rows.len() >= 900 && named > 300 && rows.len() - named > 300);
}

/// Beside all other entries of the corpus an entry says what it says alone: a list names a merchant
/// where one of its entries does.
#[test]
fn a_list_names_whom_one_of_its_entries_names() {
    let rows = rows();
    for kind in [ListKind::Allows, ListKind::Blocks] {
        let of_kind = || rows.iter().filter(|row| row.kind == kind);
        let entries: Vec<&str> = of_kind().map(|row| row.entry.as_str()).collect();
        let alone: Vec<_> = entries.iter().map(|entry| list(kind, &[entry])).collect();
        let whole = list(kind, &entries);
        for row in of_kind().step_by(5) {
            let acceptor = acceptor(&row.descriptor, row.id.as_deref());
            let merchant = Merchant::of(&acceptor);
            let any = alone.iter().any(|list| list.names(&merchant));
            assert_eq!(whole.names(&merchant), any, "line {}", row.line);
        }
    }
}
