//! What merchants with a domain are called on card networks (behaviour 5.6).
//!
//! Card networks carry no domains. An owner's map says by which names, ids and categories a domain's
//! merchant asks for money; of merchants that everybody knows, a starter set has the names.

use std::sync::Arc;

use super::host::Host;
use crate::decide::merchant_text::list::{MerchantEntry, MerchantList};
use crate::domain::mcc::MccSet;

/// One entry of a merchant map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KnownMerchant {
    /// Whose: this domain, and everything below it.
    pub domain: Host,
    /// Names as statements show them, and ids at banks; absent where categories alone bind.
    pub merchants: Option<Arc<MerchantList>>,
    /// Its categories; absent where names and ids alone bind.
    pub mccs: Option<Arc<MccSet>>,
}

/// Domains and how the names of their merchants begin on statements.
const STARTER: &[(&str, &[&str])] = &[
    ("adobe.com", &["Adobe"]),
    ("airbnb.com", &["Airbnb"]),
    ("amazon.com", &["Amazon", "AMZN", "AMZN Mktp"]),
    ("apple.com", &["Apple"]),
    ("bestbuy.com", &["Best Buy"]),
    ("booking.com", &["Booking"]),
    ("doordash.com", &["DoorDash", "DD DoorDash"]),
    ("dropbox.com", &["Dropbox"]),
    ("ebay.com", &["eBay"]),
    ("etsy.com", &["Etsy"]),
    ("expedia.com", &["Expedia"]),
    ("github.com", &["GitHub"]),
    ("google.com", &["Google"]),
    ("homedepot.com", &["Home Depot", "The Home Depot"]),
    ("ikea.com", &["IKEA"]),
    ("microsoft.com", &["Microsoft", "MSFT"]),
    ("netflix.com", &["Netflix"]),
    ("spotify.com", &["Spotify"]),
    ("staples.com", &["Staples"]),
    ("target.com", &["Target"]),
    ("uber.com", &["Uber"]),
    ("walmart.com", &["Walmart", "WM Supercenter"]),
];

/// The entry of the most specific domain that covers the host; of the same domain the one that comes
/// first.
pub(super) fn known<'s>(
    maps: impl Iterator<Item = &'s KnownMerchant>,
    host: &Host,
) -> Option<&'s KnownMerchant> {
    let mut best: Option<&KnownMerchant> = None;
    for entry in maps.filter(|entry| entry.domain.covers(host)) {
        let is_closer = |it: &KnownMerchant| entry.domain.as_str().len() > it.domain.as_str().len();
        if best.is_none_or(is_closer) {
            best = Some(entry);
        }
    }
    best
}

/// The names of a merchant of the starter set; empty where it has none for the host.
pub(super) fn starter(host: &Host) -> Vec<MerchantEntry> {
    let found = STARTER.iter().find(|(domain, _)| host.is_within(domain));
    let names = found.map_or(&[][..], |(_, names)| names);
    let entry = |name: &&str| MerchantEntry::Name((*name).into());
    names.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::merchant_text::list::ListKind;

    /// Behaviour 5.6.
    #[test]
    fn the_starter_set_can_be_written_into_a_policy() {
        let mut domains: Vec<&str> = Vec::new();
        for (domain, names) in STARTER {
            assert_eq!(Host::of_rule(domain).unwrap().as_str(), *domain);
            let names = names.iter().map(|name| MerchantEntry::Name((*name).into()));
            let list = MerchantList::compile(ListKind::Allows, names);
            assert!(
                list.is_ok_and(|list| !list.entries().is_empty()),
                "{domain}"
            );
            domains.push(domain);
        }
        assert!(domains.is_sorted() && domains.len() > 20, "{domains:?}");
        domains.dedup();
        assert_eq!(domains.len(), STARTER.len());
    }

    /// Behaviour 5.2, 5.6.
    #[test]
    fn the_starter_set_goes_by_labels() {
        let names = |host: &str| starter(&Host::of_url(host).unwrap()).len();
        assert_eq!(names("https://www.amazon.com/dp/1"), names("amazon.com"));
        assert_ne!(names("amazon.com"), 0);
        assert_eq!(names("evilamazon.com"), 0);
        assert_eq!(names("amazon.com.evil.net"), 0);
    }
}
