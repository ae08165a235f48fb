//! Names of hosts, compared by their labels (behaviour 5.2).
//!
//! What a merchant's address names is read strictly: where two programs could read two hosts out of
//! one text, it is refused, so that nobody is shown one and pays another.

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use unicode_security::MixedScript as _;

/// Bytes of an address; longer is refused.
pub const URL_LEN_MAX: usize = 2_048;

/// A host of at least two labels, as A-labels in lower case, without the dot of the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Box<str>);

/// Why a text names no host that a rule could be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostRefused {
    /// It is no address of a web shop: another scheme, or signs that no address has.
    NoAddress,
    /// It has a user's name before the host, which is how one host is dressed up as another.
    UserName,
    /// It is a number, which names no merchant.
    IpLiteral,
    /// It has one label alone.
    SingleLabel,
    /// It has characters that nobody sees.
    Unseen,
    /// Its letters are of several scripts, or it is no lawful name.
    NoName,
    /// Nobody owns it: names are registered below it.
    PublicSuffix,
}

impl HostRefused {
    /// What is wrong, for whoever wrote it.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::NoAddress => "must be an address like \"https://shop.example.com/item\"",
            Self::UserName => "must have no user name before the host",
            Self::IpLiteral => "must name the host by its domain, not by a number",
            Self::SingleLabel => "must be a whole domain like \"example.com\"",
            Self::Unseen => "must have no characters in its host that are not seen",
            Self::NoName => {
                "must be a lawful domain, each of whose labels is written in one script"
            }
            Self::PublicSuffix => {
                "is a public suffix, below which anybody can register a name; name the domain itself"
            }
        }
    }
}

impl Host {
    /// The host of a merchant's address; the scheme may be left out.
    ///
    /// # Errors
    /// [`HostRefused`] where it has none that rules can be asked about.
    pub fn of_url(text: &str) -> Result<Self, HostRefused> {
        let text = text.trim();
        if text.is_empty() || text.len() > URL_LEN_MAX {
            return Err(HostRefused::NoAddress);
        }
        let is_strange = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        if text.chars().any(is_strange) {
            return Err(HostRefused::NoAddress);
        }
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if is_web(scheme) => rest,
            // Another scheme, or a second address inside the path of one without a scheme.
            Some((before, _)) if !before.contains(['/', '?', '#']) => {
                return Err(HostRefused::NoAddress);
            }
            Some(_) | None => text,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let authority = rest.get(..end).unwrap_or_default();
        if authority.contains('@') {
            return Err(HostRefused::UserName);
        }
        if authority.starts_with('[') {
            return Err(HostRefused::IpLiteral);
        }
        let host = match authority.rsplit_once(':') {
            Some((host, port)) => {
                let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
                Some(host).filter(|_| is_port)
            }
            None => Some(authority),
        };
        Self::of_name(host.ok_or(HostRefused::NoAddress)?)
    }

    /// The host of a rule: a domain, and what is below it.
    ///
    /// # Errors
    /// [`HostRefused`] where it is none, or a public suffix.
    pub fn of_rule(text: &str) -> Result<Self, HostRefused> {
        let host = Self::of_name(text)?;
        match psl::domain_str(&host.0) {
            Some(_) => Ok(host),
            None => Err(HostRefused::PublicSuffix),
        }
    }

    fn of_name(text: &str) -> Result<Self, HostRefused> {
        // The mapping would drop them, and the name that is left would be taken for what was written.
        if text.chars().any(is_unseen) {
            return Err(HostRefused::Unseen);
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        let shown = Uts46::new();
        let name = shown.to_ascii(
            text.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Verify,
        );
        let name = name.map_err(|_unlawful| HostRefused::NoName)?;
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
            || last
                .strip_prefix("0x")
                .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if is_number {
            return Err(HostRefused::IpLiteral);
        }
        if !name.contains('.') {
            return Err(HostRefused::SingleLabel);
        }
        let (unicode, _) = shown.to_unicode(
            name.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
        );
        // A mixture is decided on what the labels say, not on how they are written.
        let is_mixed = |label: &str| !label.is_single_script();
        if unicode.split('.').any(is_mixed) {
            return Err(HostRefused::NoName);
        }
        Ok(Self(name.into()))
    }

    /// The name in A-labels.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this rule covers the host: it is the same, or below it.
    #[must_use]
    pub fn covers(&self, host: &Self) -> bool {
        host.is_within(&self.0)
    }

    /// Whether it is this domain, in A-labels, or below it.
    pub(super) fn is_within(&self, domain: &str) -> bool {
        let before = self.0.strip_suffix(domain);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }
}

/// Whether it is left out of what is shown (Unicode's `Default_Ignorable_Code_Point`).
fn is_unseen(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
}

#[cfg(test)]
mod tests;
