//! Identifiers that look random and are a function of a seed and an index.

use crate::clock;

/// Characters of a UUID.
pub(crate) const UUID_SIZE: usize = 36;
const HEX: &[u8; 16] = b"0123456789abcdef";
/// Where the hyphens of a UUID stand, counted in hex digits.
const HYPHEN_BEFORE: [usize; 4] = [8, 12, 16, 20];

/// What an identifier is for; it keeps the sequences of one seed apart.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(crate) enum Domain {
    Authorization = 1,
    WebhookId = 2,
    Card = 3,
    Choice = 4,
}

/// A UUID of version 4 in text. Two indexes of one seed and domain give two UUIDs, save for a
/// collision in 122 bits, which the check for duplicates would report.
pub(crate) fn uuid(seed: u64, domain: Domain, index: u64) -> [u8; UUID_SIZE] {
    let high = mix(seed, domain, index) & !0xf000 | 0x4000;
    let low = mix(!seed, domain, index) & (u64::MAX >> 2) | (1 << 63);
    let digits = u128::from(high) << 64 | u128::from(low);
    let mut text = [b'-'; UUID_SIZE];
    let mut places = text.iter_mut();
    for digit in 0..32 {
        if HYPHEN_BEFORE.contains(&digit) {
            places.next();
        }
        let value = (digits >> (124 - 4 * digit)) & 0xf;
        if let (Some(place), Ok(value)) = (places.next(), usize::try_from(value)) {
            *place = HEX.get(value).copied().unwrap_or(b'0');
        }
    }
    text
}

/// A number in `0..bound`, evenly enough for bounds far below 2^64.
pub(crate) fn choose(seed: u64, index: u64, salt: u64, bound: u64) -> u64 {
    mix(seed.rotate_left(17) ^ salt, Domain::Choice, index) % bound.max(1)
}

/// A seed that no other run has.
pub(crate) fn fresh_seed() -> u64 {
    finish(clock::saturating_ns(clock::unix_now()) ^ u64::from(std::process::id()) << 48)
}

/// splitmix64 over the three.
fn mix(seed: u64, domain: Domain, index: u64) -> u64 {
    finish(finish(seed ^ (domain as u64) << 56).wrapping_add(index))
}

fn finish(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{Domain, uuid};

    #[test]
    fn writes_version_4_uuids() {
        for index in 0..1_000 {
            let text = String::from_utf8(uuid(7, Domain::Card, index).to_vec()).unwrap();
            let groups: Vec<usize> = text.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12], "{text}");
            assert_eq!(text.as_bytes()[14], b'4');
            assert!(b"89ab".contains(&text.as_bytes()[19]), "{text}");
        }
    }

    #[test]
    fn differs_by_index_domain_and_seed() {
        let mut seen = HashSet::new();
        for index in 0..2_000 {
            for domain in [Domain::Authorization, Domain::WebhookId, Domain::Card] {
                for seed in 0..3 {
                    assert!(seen.insert(uuid(seed, domain, index)));
                }
            }
        }
    }
}
