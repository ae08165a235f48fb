//! Lists of merchants as policies have them, compiled (behaviour 2.14 d, e).

use super::words::{Name, entry_for_allowing, entry_for_blocking, heads};
use crate::domain::acceptor::CardAcceptor;

/// Bytes of an entry.
const ENTRY_BYTES_MAX: usize = 128;

/// What a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListKind {
    /// Only what it names passes.
    Allows,
    /// What it names does not pass.
    Blocks,
}

/// One entry as its owner wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MerchantEntry {
    /// A name, or how it begins.
    Name(Box<str>),
    /// The merchant's id at its bank.
    AcceptorId(Box<str>),
}

/// Why an entry is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryRefused {
    /// Nothing in it is a letter.
    NoName,
    /// A host or an address of the web.
    Domain,
    /// The mark of a facilitator with nobody behind it.
    MarkAlone,
    /// Longer than 128 bytes.
    TooLong,
    /// An id that is empty or has other characters than visible ASCII.
    NotAnId,
}

/// A name in the form in which it is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Listed {
    /// The facilitator's mark; empty without one and in lists that block.
    mark: &'static str,
    words: Box<str>,
}

/// A compiled list. Order and repetitions of its entries do not matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MerchantList {
    kind: ListKind,
    entries: Box<[MerchantEntry]>,
    names: Box<[Listed]>,
    /// Words of the longest name.
    words_max: usize,
}

impl MerchantList {
    /// Compiles entries.
    ///
    /// # Errors
    /// The first entry that is refused, and why.
    pub fn compile(
        kind: ListKind,
        entries: impl IntoIterator<Item = MerchantEntry>,
    ) -> Result<Self, (usize, EntryRefused)> {
        let mut all = Vec::new();
        let mut names = Vec::new();
        for (at, entry) in entries.into_iter().enumerate() {
            match &entry {
                MerchantEntry::Name(text) => {
                    names.push(listed(kind, text).map_err(|why| (at, why))?);
                }
                MerchantEntry::AcceptorId(id) if !is_id(id) => {
                    return Err((at, EntryRefused::NotAnId));
                }
                MerchantEntry::AcceptorId(_) => {}
            }
            all.push(entry);
        }
        all.sort_unstable();
        all.dedup();
        names.sort_unstable();
        names.dedup();
        let words = names.iter().map(|name| name.words.split(' ').count());
        Ok(Self {
            kind,
            words_max: words.max().unwrap_or(0),
            entries: all.into(),
            names: names.into(),
        })
    }

    /// The entries as written, in alphabetical order, names first.
    #[must_use]
    pub fn entries(&self) -> &[MerchantEntry] {
        &self.entries
    }

    /// Whether the list names the merchant.
    #[must_use]
    pub fn names(&self, merchant: &Merchant<'_>) -> bool {
        if merchant.id.is_some_and(|id| self.has_id(id)) {
            return true;
        }
        if self.names.is_empty() {
            return false;
        }
        if !merchant.name.is_comparable() {
            // Declined by either kind: a name that cannot be compared is no reason to approve.
            return self.kind == ListKind::Blocks;
        }
        match self.kind {
            ListKind::Allows => self.has_head_of(&merchant.name),
            ListKind::Blocks => merchant.name.has_occurrence(
                self.words_max,
                |words| self.has("", words),
                |words| self.has_completion(words),
            ),
        }
    }

    fn has_id(&self, id: &str) -> bool {
        let wanted = |entry: &MerchantEntry| match entry {
            MerchantEntry::Name(_) => std::cmp::Ordering::Less,
            MerchantEntry::AcceptorId(known) => (**known).cmp(id),
        };
        self.entries.binary_search_by(wanted).is_ok()
    }

    fn has_head_of(&self, name: &Name) -> bool {
        name.for_allowing().any(|form| {
            let mark = form.mark.map_or("", |mark| mark.name);
            heads(form.words.as_str())
                .take(self.words_max)
                .any(|head| self.has(mark, head))
        })
    }

    fn has(&self, mark: &str, words: &str) -> bool {
        let at = self
            .names
            .binary_search_by(|known| (known.mark, &*known.words).cmp(&(mark, words)));
        at.is_ok()
    }

    /// Whether a name is `words` with its last word longer.
    fn has_completion(&self, words: &str) -> bool {
        let first = self.names.partition_point(|known| &*known.words < words);
        let from = self.names.get(first..).unwrap_or_default();
        from.iter()
            .map_while(|known| known.words.strip_prefix(words))
            .any(|rest| !rest.is_empty() && !rest.contains(' '))
    }
}

fn listed(kind: ListKind, text: &str) -> Result<Listed, EntryRefused> {
    if text.len() > ENTRY_BYTES_MAX {
        return Err(EntryRefused::TooLong);
    }
    if looks_like_domain(text) {
        return Err(EntryRefused::Domain);
    }
    let has_letter = |words: &str| words.chars().any(char::is_alphabetic);
    match kind {
        ListKind::Blocks => {
            let words = entry_for_blocking(text);
            let words = words.as_str();
            has_letter(words)
                .then(|| Listed {
                    mark: "",
                    words: words.into(),
                })
                .ok_or(EntryRefused::NoName)
        }
        ListKind::Allows => {
            let form = entry_for_allowing(text);
            let words = form.words.as_str();
            match form.mark {
                Some(_) if words.is_empty() => Err(EntryRefused::MarkAlone),
                _ if !has_letter(words) => Err(EntryRefused::NoName),
                mark => Ok(Listed {
                    mark: mark.map_or("", |mark| mark.name),
                    words: words.into(),
                }),
            }
        }
    }
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= ENTRY_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether it is one word with labels and dots, as hosts, mail addresses and addresses of the web have them.
#[must_use]
pub fn looks_like_domain(text: &str) -> bool {
    let text = text.trim();
    if text.contains("://") {
        return true;
    }
    // `APPLE.COM/BILL 866-712-7753` is how a statement puts it.
    if text.contains(char::is_whitespace) {
        return false;
    }
    let host = text.split(['/', '?', '#', ':', '\\']).next();
    let host = host.and_then(|host| host.rsplit('@').next()).unwrap_or("");
    let host = host.strip_prefix("*.").unwrap_or(host);
    let is_dot = |char| matches!(char, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}');
    let host = host.strip_suffix(is_dot).unwrap_or(host);
    let is_label = |label: &str| {
        let lawful = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_');
        !label.is_empty() && label.chars().all(lawful)
    };
    let last = host.rsplit(is_dot).next().unwrap_or_default();
    let is_ending = last.chars().count() >= 2
        && (last.chars().all(char::is_alphabetic) || last.to_ascii_lowercase().starts_with("xn--"));
    host.contains(is_dot) && host.split(is_dot).all(is_label) && is_ending
}

/// The merchant of an authorization, ready to be compared with lists.
pub struct Merchant<'r> {
    id: Option<&'r str>,
    name: Name,
}

impl<'r> Merchant<'r> {
    /// The merchant that a message names.
    #[must_use]
    pub fn of(acceptor: &'r CardAcceptor<'_>) -> Self {
        let id = acceptor.acceptor_id.as_deref().map(str::trim);
        Self {
            id: id.filter(|id| !id.is_empty()),
            name: Name::of(&acceptor.descriptor),
        }
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }
}
