//! Names as lists of words, for comparing with the entries of a policy (behaviour 2.14 e).
//!
//! Words for allowing are cut coarsely and words for blocking finely, so that each side errs to
//! decline: `DELTA-PIZZA` is one word for a list that allows and two for a list that blocks.

use super::MerchantText;
use super::buffer::Buffer;
use super::marks::{Mark, strip_mark};
use super::{is_branch_number, normalised};

/// Bytes of a name that lists compare. Networks carry 40; a longer text is nobody's name, so that
/// lists of names decline it.
const NAME_BYTES_MAX: usize = 512;
/// The lengths at which networks and acquirers cut a name. The last word of such a name may be a
/// piece of one.
const CUT_LENGTHS: [usize; 2] = [22, 25];
/// Letters of a piece that may stand for a blocked word.
const PIECE_LEN_MIN: usize = 4;

/// Stands for any branch number.
const NUMBER: &str = "#";

/// What becomes of branch numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// Each becomes [`NUMBER`].
    Marked,
    /// None is there.
    LeftOut,
}

/// Words in their order, as one text with single spaces.
#[derive(Clone, Debug)]
pub(super) struct Words(Buffer);

impl Words {
    fn new() -> Self {
        Self(Buffer::new())
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    fn push(&mut self, word: &str) {
        self.push_as(word, |letter| letter);
    }

    /// Adds a word without its apostrophes, which come and go; nothing where nothing is left.
    fn push_as(&mut self, word: &str, form: impl Fn(char) -> char) {
        let mut letters = word.chars().filter(|char| !is_apostrophe(*char)).peekable();
        if letters.peek().is_none() {
            return;
        }
        if self.0.len() > 0 {
            self.0.push_byte(b' ');
        }
        for letter in letters {
            self.0.push_char(form(letter));
        }
    }
}

/// The first word, the first two, and so on.
pub(super) fn heads(words: &str) -> impl Iterator<Item = &str> {
    let ends = words.match_indices(' ').map(|(at, _)| at);
    let all = ends.chain((!words.is_empty()).then_some(words.len()));
    all.filter_map(move |end| words.get(..end))
}

/// All words, all but the first, and so on.
fn tails(words: &str) -> impl Iterator<Item = &str> {
    let starts = words.match_indices(' ').map(|(at, _)| at + 1);
    let first = (!words.is_empty()).then_some(0);
    let all = first.into_iter().chain(starts);
    all.filter_map(move |start| words.get(start..))
}

/// A name as an allow list compares it: the mark before it, and its words.
#[derive(Clone, Debug)]
pub(super) struct Marked {
    pub(super) mark: Option<&'static Mark>,
    pub(super) words: Words,
}

/// An entry of a list that allows.
pub(super) fn entry_for_allowing(text: &str) -> Marked {
    marked(normalised(text, false).as_str(), Numbers::Marked, false)
}

/// An entry of a list that blocks.
pub(super) fn entry_for_blocking(text: &str) -> Words {
    fine(normalised(text, false).as_str(), Numbers::Marked)
}

/// The words behind the mark. A star is a word, because what follows it is no longer the name.
fn marked(text: &str, numbers: Numbers, is_cut: bool) -> Marked {
    let (mark, rest) = match strip_mark(text) {
        Some((mark, rest)) => (Some(mark), rest),
        None => (None, text),
    };
    let mut words = Words::new();
    let mut all = rest.split(' ').filter(|word| !word.is_empty()).peekable();
    let mut is_first = true;
    while let Some(word) = all.next() {
        let is_last = all.peek().is_none();
        // The first word is all there is of `1800 FLOWERS`.
        let is_number = !is_first && is_branch_number(word.as_bytes());
        is_first = false;
        if !is_number {
            push_pieces(&mut words, word, is_cut && is_last);
        } else if numbers == Numbers::Marked && !(is_cut && is_last) {
            words.push(NUMBER);
        }
    }
    Marked { mark, words }
}

/// The pieces of a word between stars. Where the name was cut behind the last one, that is compared
/// as it stands or not at all: whether `NETFLIX.COM` went on as `NETFLIX.COM.EXAMPLE`, nobody knows.
fn push_pieces(words: &mut Words, word: &str, is_cut: bool) {
    let mut pieces = word.split('*').peekable();
    while let Some(piece) = pieces.next() {
        let is_whole = pieces.peek().is_some() || !is_cut;
        if is_whole || piece.chars().all(char::is_alphanumeric) {
            push_coarse(words, piece);
        }
        if pieces.peek().is_some() {
            words.push("*");
        }
    }
}

/// A word without the punctuation around it. `NETFLIX.COM` is the name and its ending, because
/// owners cannot write a domain into a list of names; any other dot stays inside its word.
fn push_coarse(words: &mut Words, piece: &str) {
    let word = piece.trim_matches(['.', ',', ';', ':', '(', ')', '"', '!']);
    match word.split_once(".COM") {
        Some((name, rest))
            if !name.is_empty()
                && !name.contains('.')
                && (rest.is_empty() || rest.starts_with('/')) =>
        {
            words.push(name);
            words.push(".COM");
            words.push(rest);
        }
        _ => words.push(word),
    }
}

/// Runs of letters and digits.
fn fine(text: &str, numbers: Numbers) -> Words {
    let mut words = Words::new();
    for word in text.split(' ') {
        if is_branch_number(word.as_bytes()) {
            if numbers == Numbers::Marked {
                words.push(NUMBER);
            }
            continue;
        }
        let ends_word = |char| !narrow(char).is_alphanumeric() && !is_apostrophe(char);
        for piece in word.split(ends_word) {
            words.push_as(piece, narrow);
        }
    }
    words
}

fn is_apostrophe(char: char) -> bool {
    matches!(char, '\'' | '\u{2019}' | '`' | '\u{2bc}')
}

/// Full-width letters and digits as their narrow forms.
fn narrow(char: char) -> char {
    match u32::from(char) {
        code @ 0xff01..=0xff5e => char::from_u32(code - 0xfee0).unwrap_or(char),
        _ => char,
    }
}

/// An authorization's name as lists of merchants compare it.
pub(super) struct Name {
    is_comparable: bool,
    is_cut: bool,
    text: MerchantText,
    has_numbers: bool,
}

impl Name {
    pub(super) fn of(descriptor: &str) -> Self {
        let is_comparable = descriptor.len() <= NAME_BYTES_MAX;
        let text = normalised(if is_comparable { descriptor } else { "" }, false);
        let len = descriptor.trim_end().chars().take(NAME_BYTES_MAX).count();
        Self {
            is_comparable,
            is_cut: CUT_LENGTHS.contains(&len),
            has_numbers: {
                let mut words = text.as_str().split(' ');
                words.any(|word| is_branch_number(word.as_bytes()))
            },
            text,
        }
    }

    /// Whether the text can be a name at all.
    pub(super) fn is_comparable(&self) -> bool {
        self.is_comparable
    }

    /// With branch numbers, and without where there are some.
    fn forms(&self) -> impl Iterator<Item = Numbers> {
        let without = self.has_numbers.then_some(Numbers::LeftOut);
        [Numbers::Marked].into_iter().chain(without)
    }

    /// What an entry that allows has to be a head of.
    pub(super) fn for_allowing(&self) -> impl Iterator<Item = Marked> + '_ {
        self.forms()
            .map(|numbers| marked(self.text.as_str(), numbers, self.is_cut))
    }

    /// Whether the words of an entry occur: `is_entry` knows whole entries, `completes` whether an
    /// entry is the given words with the last one longer.
    pub(super) fn has_occurrence(
        &self,
        words_max: usize,
        is_entry: impl Fn(&str) -> bool,
        completes: impl Fn(&str) -> bool,
    ) -> bool {
        self.forms().any(|numbers| {
            let words = fine(self.text.as_str(), numbers);
            let words = words.as_str();
            let last = words.rsplit(' ').next().unwrap_or_default();
            let is_piece = self.is_cut && last.chars().count() >= PIECE_LEN_MIN;
            tails(words).any(|tail| {
                heads(tail).take(words_max).any(&is_entry) || (is_piece && completes(tail))
            })
        })
    }
}
