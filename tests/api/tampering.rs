//! Ten thousand alterations of an audit log, by chance and with care: each is found (behaviour 8.1).

use countersign::cold::audit::line::Line;
use countersign::cold::audit::signer::{Signer, Witness};
use countersign::cold::audit::verify::verify;
use countersign::cold::audit::{self, BEFORE_ALL, Event, Who, hash};
use countersign::cold::store::Mode;
use countersign::domain::time::Timestamp;
use tempfile::TempDir;

use crate::dice::Dice;

const ENTRIES: i64 = 40;
const ALTERATIONS: usize = 10_000;

fn event(at: i64) -> Event {
    Event {
        at: Timestamp::from_micros(1_800_000_000_000_000 + at * 1_000),
        mode: (at % 3 == 0).then_some(Mode::Test),
        who: if at % 2 == 0 {
            Who::Operator
        } else {
            Who::Nobody
        },
        action: format!("POST /v1/cards/card_{at}/freeze"),
        changes: Vec::new(),
        from: Some("127.0.0.1:9".to_owned()),
        request_id: Some(format!("req_{at}")),
        outcome: "200".to_owned(),
    }
}

/// A log whose last line is a checkpoint, and what it is held against.
fn written(folder: &TempDir) -> (Vec<Line>, Witness) {
    let signer = Signer::open(folder.path()).unwrap();
    let (mut lines, mut before, mut signed) = (Vec::new(), BEFORE_ALL, 0);
    for seq in 1..=ENTRIES {
        let entry = audit::entry(&event(seq), seq, &before);
        before = entry.hash;
        lines.push(Line::from(&entry));
        if seq % 8 == 0 {
            let checkpoint = signer.sign(&entry, signed, event(seq).at).unwrap();
            signer.note(&checkpoint).unwrap();
            lines.push(Line::from(&checkpoint));
            signed = seq;
        }
    }
    (lines, Witness::read(folder.path()).unwrap())
}

fn text(lines: &[Line]) -> Vec<u8> {
    let lines: String = lines.iter().map(|line| line.write() + "\n").collect();
    lines.into_bytes()
}

/// As somebody does who knows how hashes are made: all later ones fit again.
fn chained_again(lines: &mut [Line]) {
    let mut before = BEFORE_ALL;
    for line in lines {
        if let Line::Entry(text, known) = line {
            *known = hash(&before, text);
            before = *known;
        }
    }
}

fn altered_rows(lines: &[Line], dice: &mut Dice) -> Vec<u8> {
    let mut lines = lines.to_vec();
    let pick = |dice: &mut Dice, len: usize| dice.below(len);
    let at = pick(dice, lines.len());
    match dice.below(6) {
        0 => drop(lines.remove(at)),
        1 => {
            let other = pick(dice, lines.len());
            lines.swap(at, other);
        }
        2 => {
            let line = lines[pick(dice, lines.len())].clone();
            lines.insert(at, line);
        }
        3 => lines.truncate(at),
        4 => {
            let line = lines.remove(at);
            let to = pick(dice, lines.len() + 1);
            lines.insert(to, line);
        }
        _ => {
            if let Line::Entry(text, _) = &mut lines[at] {
                *text = text.replace("200", "403");
            }
        }
    }
    if dice.below(2) == 0 {
        chained_again(&mut lines);
    }
    text(&lines)
}

fn altered_bytes(log: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut log = log.to_vec();
    let at = dice.below(log.len());
    let byte = u8::try_from(dice.below(256)).unwrap();
    match dice.below(4) {
        0 => log[at] = byte,
        1 => log[at] ^= 1 << dice.below(8),
        2 => drop(log.remove(at)),
        _ => log.insert(at, byte),
    }
    if dice.below(8) == 0 {
        log.truncate(at);
    }
    log
}

#[test]
fn s17_ten_thousand_alterations_of_the_audit_log_are_all_found() {
    let folder = tempfile::tempdir().unwrap();
    let (lines, witness) = written(&folder);
    let log = text(&lines);
    let found = verify(&log, &witness).unwrap();
    assert_eq!((found.entry_count, found.covered), (ENTRIES, ENTRIES));
    let mut dice = Dice(17);
    let mut altered_count = 0;
    while altered_count < ALTERATIONS {
        let altered = match dice.below(2) {
            0 => altered_rows(&lines, &mut dice),
            _ => altered_bytes(&log, &mut dice),
        };
        if altered == log {
            continue;
        }
        altered_count += 1;
        let told = verify(&altered, &witness);
        assert!(
            told.is_err(),
            "number {altered_count} was not found: {}",
            String::from_utf8_lossy(&altered)
        );
    }
}

/// Whoever has the database alone writes everything anew, and the server goes on and signs it.
#[test]
fn s17_what_is_written_anew_is_found_though_the_server_signs_what_follows() {
    for claimed in [0, ENTRIES] {
        let folder = tempfile::tempdir().unwrap();
        let (mut lines, _) = written(&folder);
        lines.retain(|line| matches!(line, Line::Entry(..)));
        if let Line::Entry(text, _) = &mut lines[3] {
            *text = text.replace("200", "403");
        }
        chained_again(&mut lines);
        let Some(Line::Entry(_, before)) = lines.last() else {
            panic!("no entry");
        };
        let next = audit::entry(&event(ENTRIES + 1), ENTRIES + 1, before);
        let signer = Signer::open(folder.path()).unwrap();
        let checkpoint = signer.sign(&next, claimed, event(ENTRIES + 1).at).unwrap();
        signer.note(&checkpoint).unwrap();
        lines.extend([Line::from(&next), Line::from(&checkpoint)]);
        let witness = Witness::read(folder.path());
        let is_found = witness.is_err_and(|_| claimed == 0)
            || verify(&text(&lines), &Witness::read(folder.path()).unwrap()).is_err();
        assert!(is_found, "signed over {claimed}");
    }
}

#[test]
fn s17_a_log_of_another_key_is_found() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (lines, _) = written(&folder);
    let (_, witness) = written(&other);
    assert!(verify(&text(&lines), &witness).is_err());
}
