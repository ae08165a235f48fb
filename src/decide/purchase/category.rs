//! Kinds of shops that a request can name, as the categories that card networks know (ISO 18245).
//!
//! A starter set. A hint narrows what the card is good for and never widens it (behaviour 5.6).

use crate::domain::mcc::{Mcc, MccSet};

/// A slug and its ranges of codes, both ends included.
type Category = (&'static str, &'static [(u16, u16)]);

const CATEGORIES: &[Category] = &[
    ("advertising", &[(7311, 7311)]),
    ("airlines", &[(3000, 3350), (4511, 4511)]),
    ("books", &[(5192, 5192), (5942, 5942)]),
    ("car_rental", &[(3351, 3500), (7512, 7512)]),
    (
        "clothing",
        &[
            (5611, 5611),
            (5621, 5621),
            (5631, 5631),
            (5641, 5641),
            (5651, 5651),
            (5661, 5661),
            (5691, 5691),
            (5699, 5699),
        ],
    ),
    (
        "computer_services",
        &[(4816, 4816), (7372, 7372), (7374, 7374), (7379, 7379)],
    ),
    ("digital_goods", &[(5815, 5818)]),
    (
        "education",
        &[
            (8211, 8211),
            (8220, 8220),
            (8241, 8241),
            (8244, 8244),
            (8249, 8249),
            (8299, 8299),
        ],
    ),
    ("electronics", &[(5045, 5045), (5722, 5722), (5732, 5732)]),
    ("furniture", &[(5021, 5021), (5712, 5714), (5718, 5719)]),
    (
        "groceries",
        &[
            (5411, 5411),
            (5422, 5422),
            (5441, 5441),
            (5451, 5451),
            (5462, 5462),
            (5499, 5499),
        ],
    ),
    (
        "hardware",
        &[(5200, 5200), (5211, 5211), (5231, 5231), (5251, 5251)],
    ),
    ("lodging", &[(3501, 3999), (7011, 7011)]),
    (
        "marketplaces",
        &[
            (5262, 5262),
            (5310, 5311),
            (5331, 5331),
            (5399, 5399),
            (5964, 5964),
            (5969, 5969),
        ],
    ),
    (
        "office_supplies",
        &[(5044, 5044), (5111, 5111), (5943, 5943)],
    ),
    ("pharmacies", &[(5122, 5122), (5912, 5912)]),
    ("restaurants", &[(5811, 5812), (5814, 5814)]),
    ("shipping", &[(4215, 4215)]),
    (
        "software",
        &[(5045, 5045), (5734, 5734), (5817, 5818), (7372, 7372)],
    ),
    ("subscriptions", &[(4899, 4899), (5815, 5815), (5968, 5968)]),
    ("taxis", &[(4121, 4121)]),
    ("telecom", &[(4812, 4812), (4814, 4814)]),
    ("toys", &[(5945, 5945)]),
    ("trains", &[(4011, 4011), (4112, 4112)]),
];

/// The slugs that are known, in the order of the alphabet.
pub fn slugs() -> impl Iterator<Item = &'static str> {
    CATEGORIES.iter().map(|(slug, _)| *slug)
}

/// The codes of a slug; absent where it is unknown.
#[must_use]
pub fn mccs(slug: &str) -> Option<MccSet> {
    let (_, ranges) = CATEGORIES.iter().find(|(known, _)| *known == slug)?;
    let mut set = MccSet::new();
    for (first, last) in *ranges {
        let ends = Mcc::from_number(*first)
            .ok()
            .zip(Mcc::from_number(*last).ok());
        if let Some((first, last)) = ends {
            set.insert_range(first, last);
        }
    }
    Some(set)
}

/// The ranges of what every set has, as policies write them: `5812` or `3000-3350`.
#[must_use]
pub fn common_ranges(of: &MccSet, allowed: &[&MccSet], blocked: &[&MccSet]) -> Vec<String> {
    let is_in = |number: u16| {
        Mcc::from_number(number).is_ok_and(|mcc| {
            of.contains(mcc)
                && allowed.iter().all(|set| set.contains(mcc))
                && !blocked.iter().any(|set| set.contains(mcc))
        })
    };
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for number in (0..10_000).filter(|number| is_in(*number)) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            Some(_) | None => ranges.push((number, number)),
        }
    }
    let written = ranges.into_iter().map(|(first, last)| {
        if first == last {
            format!("{first:04}")
        } else {
            format!("{first:04}-{last:04}")
        }
    });
    written.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Behaviour 5.6.
    #[test]
    fn a_hint_is_what_its_slug_and_the_allow_lists_have_in_common() {
        let airlines = mccs("airlines").unwrap();
        assert_eq!(common_ranges(&airlines, &[], &[]), ["3000-3350", "4511"]);
        let mut own = MccSet::new();
        own.insert_range(Mcc::parse("3300").unwrap(), Mcc::parse("4000").unwrap());
        let mut blocked = MccSet::new();
        blocked.insert_range(Mcc::parse("3340").unwrap(), Mcc::parse("3349").unwrap());
        assert_eq!(
            common_ranges(&airlines, &[&own], &[&blocked]),
            ["3300-3339", "3350"]
        );
        assert!(common_ranges(&mccs("books").unwrap(), &[&own], &[]).is_empty());
        assert!(mccs("Airlines").is_none() && mccs("anything").is_none());
        assert!(slugs().all(|slug| !common_ranges(&mccs(slug).unwrap(), &[], &[]).is_empty()));
    }
}
