//! Merchants' names as networks carry them, made comparable (behaviour 2.14 c, e).
//!
//! A descriptor is 22 to 25 characters that the merchant's bank chose. The same shop appears in
//! several spellings and with the number of the branch, so names are normalised before they are
//! compared. Normalising is deliberately coarse: it may call two branches the same merchant, never
//! two names that differ in a word.

mod buffer;
pub mod list;
mod marks;
mod words;

use self::buffer::Buffer;
use self::list::Merchant;
use self::marks::strip_mark;
use self::words::{entry_for_allowing, heads};
use crate::domain::acceptor::{CardAcceptor, Country};
use crate::domain::claims::MerchantKeys;
use crate::domain::identity::{KeySpace, Keys};
use crate::domain::mcc::Mcc;

/// A name in capital letters, single spaces, without invisible characters and branch numbers.
#[derive(Clone, Debug)]
pub struct MerchantText(Buffer);

impl MerchantText {
    /// Normalises a name. Doing so again changes nothing.
    #[must_use]
    pub fn of(name: &str) -> Self {
        normalised(name, true)
    }

    /// The normalised name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The shop that an aggregator's descriptor names: `SQ *BLUE BOTTLE` gives `BLUE BOTTLE`.
    #[must_use]
    pub fn sub_merchant(&self) -> Option<&str> {
        let (mark, shop) = strip_mark(self.as_str())?;
        (mark.is_before_merchants() && !shop.is_empty()).then_some(shop)
    }

    fn push_upper(&mut self, char: char) {
        for upper in char.to_uppercase() {
            self.0.push_char(upper);
        }
    }

    /// Takes the last word away again where it is the number of a branch. The first word stays: it
    /// is all there is of `24 HOUR FITNESS`.
    fn drop_branch_number(&mut self, start: usize) {
        let is_number = self.0.bytes().get(start..).is_some_and(is_branch_number);
        if start > 0 && is_number {
            self.0.truncate(start);
        }
    }

    /// Puts one space behind the last word; returns where the next one starts.
    fn start_word(&mut self) -> usize {
        if self.0.bytes().last().is_some_and(|last| *last != b' ') {
            self.0.push_byte(b' ');
        }
        self.0.len()
    }

    fn trim_end(&mut self) {
        if self.0.bytes().last() == Some(&b' ') {
            self.0.truncate(self.0.len().saturating_sub(1));
        }
    }
}

/// Capital letters, single spaces, nothing invisible; branch numbers stay where lists compare them.
fn normalised(name: &str, drops_numbers: bool) -> MerchantText {
    let mut text = MerchantText(Buffer::new());
    let mut word_start = 0;
    let end_word = |text: &mut MerchantText, start| {
        if drops_numbers {
            text.drop_branch_number(start);
        }
    };
    for char in name.chars() {
        // Printable ASCII first: it is nearly all there is.
        if char.is_ascii_graphic() {
            let upper = u8::try_from(char.to_ascii_uppercase()).unwrap_or(b'?');
            text.0.push_byte(upper);
        } else if char.is_whitespace() || char.is_control() {
            end_word(&mut text, word_start);
            word_start = text.start_word();
        } else if !is_invisible(char) {
            text.push_upper(char);
        }
    }
    end_word(&mut text, word_start);
    text.trim_end();
    text
}

/// `#12`, `#`, or at least three digits. Shorter numbers are names: `PIER 39`, `STUDIO 54`.
fn is_branch_number(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"#").unwrap_or(word);
    let marked = digits.len() < word.len();
    digits.iter().all(u8::is_ascii_digit) && (marked || digits.len() >= 3)
}

/// Characters that nobody sees: zero-width, direction marks, soft hyphen, byte order mark.
fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

/// Hashes of how the merchant's name begins, one for each count of words from one on: an intent
/// names the merchant where its own hash, [`intent_key`], is among them (behaviour 2.14 e, 6.2).
#[must_use]
pub fn prefix_keys(keys: &impl Keys, acceptor: &CardAcceptor<'_>) -> Vec<u64> {
    let merchant = Merchant::of(acceptor);
    let mut hashes = Vec::new();
    for form in merchant.name().for_allowing() {
        let mark = form.mark.map_or("", |mark| mark.name);
        hashes.extend(heads(form.words.as_str()).map(|head| name_key(keys, mark, head)));
    }
    hashes
}

/// The hash of the merchant that an intent expects; absent where the text names none.
#[must_use]
pub fn intent_key(keys: &impl Keys, expected: &str) -> Option<u64> {
    let form = entry_for_allowing(expected);
    let words = form.words.as_str();
    let mark = form.mark.map_or("", |mark| mark.name);
    (!words.is_empty()).then(|| name_key(keys, mark, words))
}

fn name_key(keys: &impl Keys, mark: &str, words: &str) -> u64 {
    let parts: [&[u8]; 3] = [b"p", mark.as_bytes(), words.as_bytes()];
    keys.short(KeySpace::Merchant, &parts)
}

/// The merchant of an authorization as the ledger compares it.
#[must_use]
pub fn merchant_keys(keys: &impl Keys, acceptor: &CardAcceptor<'_>) -> MerchantKeys {
    let ids = (&acceptor.acquirer_id, &acceptor.acceptor_id);
    let strong = match ids {
        (Some(acquirer), Some(acceptor)) => Some(strong_key(keys, acquirer, acceptor)),
        _ => None,
    };
    let name = MerchantText::of(&acceptor.descriptor);
    let shop = name.sub_merchant();
    // Two merchants are not the same for having no name: then their ids must agree.
    let weak = if name.0.bytes().is_empty() {
        let [acquirer, id] = [&acceptor.acquirer_id, &acceptor.acceptor_id]
            .map(|part| part.as_deref().unwrap_or_default().as_bytes());
        let (mcc, country) = place_bytes(acceptor.mcc, acceptor.country);
        keys.short(KeySpace::Merchant, &[b"e", acquirer, id, &mcc, &country])
    } else {
        weak_key_of(keys, &name, acceptor.mcc, acceptor.country)
    };
    MerchantKeys {
        strong,
        weak,
        sub_merchant: shop.map(|shop| keys.short(KeySpace::Merchant, &[b"s", shop.as_bytes()])),
    }
}

/// The key of the network's own identity of a merchant.
pub(super) fn strong_key(keys: &impl Keys, acquirer_id: &str, acceptor_id: &str) -> u64 {
    let parts: [&[u8]; 3] = [b"i", acquirer_id.as_bytes(), acceptor_id.as_bytes()];
    keys.short(KeySpace::Merchant, &parts)
}

/// The key of what a message says about a merchant.
pub(super) fn weak_key(
    keys: &impl Keys,
    descriptor: &str,
    mcc: Option<Mcc>,
    country: Option<Country>,
) -> u64 {
    weak_key_of(keys, &MerchantText::of(descriptor), mcc, country)
}

fn weak_key_of(
    keys: &impl Keys,
    name: &MerchantText,
    mcc: Option<Mcc>,
    country: Option<Country>,
) -> u64 {
    let (mcc, country) = place_bytes(mcc, country);
    keys.short(KeySpace::Merchant, &[b"n", name.0.bytes(), &mcc, &country])
}

/// No code is 65 535 and no packed country is zero, so absence is a value of its own.
fn place_bytes(mcc: Option<Mcc>, country: Option<Country>) -> ([u8; 2], [u8; 2]) {
    let mcc = mcc.map_or(u16::MAX, Mcc::get);
    let country = country.map_or(0, Country::packed);
    (mcc.to_be_bytes(), country.to_be_bytes())
}
