//! A second reading of docs/policy.md, written as dully as can be: lists of words, no sorting, no
//! buffers. The compiled lists are compared with it on random names (behaviour 2.14 e).

/// Marks with a star, then those that a space may follow.
const STARRED: [&str; 19] = [
    "SQ",
    "PAYPAL",
    "PYPL",
    "PP",
    "TST",
    "IZ",
    "ZETTLE_",
    "SUMUP",
    "IN",
    "WPY",
    "EB",
    "FS",
    "DRI",
    "2CO.COM",
    "PADDLE.NET",
    "KLARNA",
    "AMZ",
    "GOOGLE",
    "SP",
];

pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for char in name.chars() {
        let hidden = "\u{ad}\u{61c}\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{202a}\u{202b}\
            \u{202c}\u{202d}\u{202e}\u{2060}\u{2061}\u{2062}\u{2063}\u{2064}\u{feff}";
        if hidden.contains(char) {
            continue;
        }
        if char.is_whitespace() || char.is_control() {
            words.push(String::new());
        } else {
            words.last_mut().unwrap().extend(char.to_uppercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn is_branch(word: &str) -> bool {
    match word.strip_prefix('#') {
        Some(digits) => digits.chars().all(|char| char.is_ascii_digit()),
        None => word.len() >= 3 && word.chars().all(|char| char.is_ascii_digit()),
    }
}

fn bare(word: &str) -> String {
    let kept = word
        .chars()
        .filter(|char| !"'\u{2019}`\u{2bc}".contains(*char));
    kept.collect()
}

fn narrow(char: char) -> char {
    let code = u32::from(char);
    if (0xff01..=0xff5e).contains(&code) {
        char::from_u32(code - 0xfee0).unwrap()
    } else {
        char
    }
}

fn is_trimmed(char: char) -> bool {
    ".,;:()\"!".contains(char)
}

/// The mark, and the words behind it.
pub(crate) fn without_mark(name: &str) -> (Option<&'static str>, Vec<String>) {
    let text = words(name).join(" ");
    for mark in STARRED {
        let Some(rest) = text.strip_prefix(mark) else {
            continue;
        };
        let rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix('*') {
            return (Some(mark), words(rest.trim_start_matches(['*', ' '])));
        }
        if mark == "SP" && text.starts_with("SP ") {
            return (Some(mark), words(rest.trim_start_matches(['*', ' '])));
        }
    }
    (None, words(name))
}

fn is_cut(name: &str) -> bool {
    let length = name.trim_end().chars().count();
    length == 22 || length == 25
}

/// The words of a name without its last one, and that one as it stands where it is plain.
fn coarse_of_cut(all: &[String], leave_out: bool) -> Vec<String> {
    let Some((last, before)) = all.split_last() else {
        return Vec::new();
    };
    let mut result = coarse(before, leave_out);
    if !before.is_empty() && is_branch(last) {
        return result;
    }
    let (whole, last) = match last.rsplit_once('*') {
        Some((whole, last)) => (format!("{whole}*"), last),
        None => (String::new(), last.as_str()),
    };
    // Not the first word of a name, so that nothing else changes: a word that is none stands first.
    let with_first: Vec<String> = ["-".to_owned(), whole].into_iter().collect();
    result.extend(coarse(&with_first, leave_out).into_iter().skip(1));
    if !last.is_empty() && last.chars().all(char::is_alphanumeric) {
        result.push(last.to_owned());
    }
    result
}

/// The words of a name for allowing; branch numbers as `#`, or left out.
pub(crate) fn coarse(all: &[String], leave_out: bool) -> Vec<String> {
    let mut result = Vec::new();
    for (at, word) in all.iter().enumerate() {
        if at > 0 && is_branch(word) {
            if !leave_out {
                result.push("#".to_owned());
            }
            continue;
        }
        let mut pieces = Vec::new();
        let mut piece = String::new();
        for char in word.chars() {
            if char == '*' {
                pieces.push(std::mem::take(&mut piece));
                pieces.push("*".to_owned());
            } else {
                piece.push(char);
            }
        }
        pieces.push(piece);
        for piece in pieces {
            let piece = if piece == "*" {
                piece
            } else {
                piece.trim_matches(is_trimmed).to_owned()
            };
            let dots = piece.matches('.').count();
            let head = piece.split('/').next().unwrap();
            let name = head.strip_suffix(".COM");
            match name {
                Some(name) if !name.is_empty() && !name.contains('.') && dots >= 1 => {
                    result.push(bare(name));
                    result.push(".COM".to_owned());
                    result.push(bare(piece.strip_prefix(head).unwrap()));
                }
                _ => result.push(bare(&piece)),
            }
        }
    }
    result.retain(|word| !word.is_empty());
    result
}

/// The words of a name for blocking.
fn fine(all: &[String], leave_out: bool) -> Vec<String> {
    let mut result = Vec::new();
    for word in all {
        if is_branch(word) {
            if !leave_out {
                result.push("#".to_owned());
            }
            continue;
        }
        let mut piece = String::new();
        for char in bare(word).chars().map(narrow) {
            if char.is_alphanumeric() {
                piece.push(char);
            } else {
                result.push(std::mem::take(&mut piece));
            }
        }
        result.push(piece);
    }
    result.retain(|word| !word.is_empty());
    result
}

pub(crate) fn allows(entry: &str, name: &str) -> bool {
    let (entry_mark, entry) = without_mark(entry);
    let words_of = if is_cut(name) { coarse_of_cut } else { coarse };
    let (mark, name) = without_mark(name);
    let entry = coarse(&entry, false);
    let begins = |words: Vec<String>| words.len() >= entry.len() && words[..entry.len()] == entry;
    mark == entry_mark && (begins(words_of(&name, false)) || begins(words_of(&name, true)))
}

pub(crate) fn blocks(entry: &str, name: &str) -> bool {
    let entry = fine(&words(entry), false);
    let is_cut = is_cut(name);
    [false, true].into_iter().any(|leave_out| {
        let all = fine(&words(name), leave_out);
        let stands_at = |at: usize| {
            let here = &all[at..];
            let whole = here.len() >= entry.len() && here[..entry.len()] == entry;
            let last = here.len() - 1;
            let piece = is_cut
                && here.len() == entry.len()
                && here[..last] == entry[..last]
                && here[last].chars().count() >= 4
                && entry[last].starts_with(&here[last]);
            whole || piece
        };
        (0..all.len()).any(stands_at)
    })
}
