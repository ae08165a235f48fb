//! Merchants' names as networks carry them, made comparable (behaviour 2.14 c, e).
//!
//! A descriptor is 22 to 25 characters that the merchant's bank chose. The same shop appears in
//! several spellings and with the number of the branch, so names are normalised before they are
//! compared. Normalising is deliberately coarse: it may call two branches the same merchant, never
//! two names that differ in a word.

use crate::domain::acceptor::{CardAcceptor, Country};
use crate::domain::claims::MerchantKeys;
use crate::domain::identity::{KeySpace, Keys};
use crate::domain::mcc::Mcc;

/// Bytes of a normalised name that are kept without allocating. Networks carry at most 40
/// characters of name; what is longer takes the slow road, not another rule.
const INLINE_BYTES: usize = 160;

/// Payment facilitators that put their own mark before the name of the shop. The mark says who
/// processes, not who sells, so two shops behind one mark are two merchants. Short on purpose:
/// behind the `*` of a marketplace (`AMZN Mktp US*2X4`) stands an order, not a shop.
const AGGREGATORS: &[&str] = &[
    "SQ *",     // Square
    "PAYPAL *", // PayPal
    "PP*",      // PayPal, short form
    "TST*",     // Toast
    "SP *",     // Shopify, older form
    "SP ",      // Shopify
    "IZ *",     // Zettle
    "SUMUP *",  // SumUp
];

/// A name in capital letters, single spaces, without invisible characters and branch numbers.
#[derive(Clone, Debug)]
pub struct MerchantText {
    inline: [u8; INLINE_BYTES],
    len: usize,
    /// The whole text where it is longer than `inline`.
    long: Vec<u8>,
}

impl MerchantText {
    /// Normalises a name. Doing so again changes nothing.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let mut text = Self {
            inline: [0; INLINE_BYTES],
            len: 0,
            long: Vec::new(),
        };
        let mut word_start = 0;
        for char in name.chars() {
            // Printable ASCII first: it is nearly all there is.
            if char.is_ascii_graphic() {
                text.push_ascii(char);
            } else if char.is_whitespace() || char.is_control() {
                text.end_word(word_start);
                word_start = text.start_word();
            } else if !is_invisible(char) {
                text.push_upper(char);
            }
        }
        text.end_word(word_start);
        text.trim_end();
        text
    }

    /// The normalised name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// The shop that an aggregator's descriptor names: `SQ *BLUE BOTTLE` gives `BLUE BOTTLE`.
    #[must_use]
    pub fn sub_merchant(&self) -> Option<&str> {
        let text = self.as_str();
        let shop = AGGREGATORS
            .iter()
            .find_map(|mark| strip_mark(text, mark))?
            .trim_start_matches([' ', '*']);
        (!shop.is_empty()).then_some(shop)
    }

    fn bytes(&self) -> &[u8] {
        if self.long.is_empty() {
            self.inline.get(..self.len).unwrap_or_default()
        } else {
            &self.long
        }
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if !self.long.is_empty() {
            self.long.extend_from_slice(bytes);
        } else if let Some(free) = self.inline.get_mut(self.len..end) {
            free.copy_from_slice(bytes);
            self.len = end;
        } else {
            self.long = [self.bytes(), bytes].concat();
        }
    }

    fn push_ascii(&mut self, char: char) {
        let byte = u8::try_from(char.to_ascii_uppercase()).unwrap_or(b'?');
        match self.inline.get_mut(self.len) {
            Some(free) if self.long.is_empty() => {
                *free = byte;
                self.len += 1;
            }
            _ => self.push(&[byte]),
        }
    }

    fn push_upper(&mut self, char: char) {
        for upper in char.to_uppercase() {
            let mut buffer = [0; 4];
            self.push(upper.encode_utf8(&mut buffer).as_bytes());
        }
    }

    fn truncate(&mut self, len: usize) {
        if self.long.is_empty() {
            self.len = self.len.min(len);
        } else {
            // The long text never shrinks back to nothing: the first word stays in it.
            self.long.truncate(len);
        }
    }

    /// Takes the last word away again where it is the number of a branch. The first word stays: it
    /// is all there is of `24 HOUR FITNESS`.
    fn end_word(&mut self, start: usize) {
        let is_number = self.bytes().get(start..).is_some_and(is_branch_number);
        if start > 0 && is_number {
            self.truncate(start);
        }
    }

    /// Puts one space behind the last word; returns where the next one starts.
    fn start_word(&mut self) -> usize {
        if self.bytes().last().is_some_and(|last| *last != b' ') {
            self.push(b" ");
        }
        self.len()
    }

    fn trim_end(&mut self) {
        if self.bytes().last() == Some(&b' ') {
            self.truncate(self.len().saturating_sub(1));
        }
    }
}

/// What is left behind an aggregator's mark. A mark with a star may have a space before it or not.
fn strip_mark<'t>(text: &'t str, mark: &str) -> Option<&'t str> {
    let Some(name) = mark.strip_suffix('*') else {
        return text.strip_prefix(mark);
    };
    text.strip_prefix(name.trim_end())?
        .trim_start_matches(' ')
        .strip_prefix('*')
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
    MerchantKeys {
        strong,
        weak: weak_key_of(keys, &name, acceptor.mcc, acceptor.country),
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
    // No code is 65 535 and no packed country is zero, so absence is a value of its own.
    let mcc = mcc.map_or(u16::MAX, Mcc::get).to_be_bytes();
    let country = country.map_or(0, Country::packed).to_be_bytes();
    keys.short(KeySpace::Merchant, &[b"n", name.bytes(), &mcc, &country])
}
