//! Which known name somebody may have meant.

/// A name of more characters is no slip of one that we know.
const NAME_LEN_MAX: usize = 40;

/// The known name that is a slip or two away, if there is one; of several the nearest, and of those
/// the first. Upper and lower case are the same.
pub(super) fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let name = lower(name);
    // In a short name one slip may make another word of it.
    let slips_max = match name.len() {
        0..=2 => 0,
        3..=5 => 1,
        6..=NAME_LEN_MAX => 2,
        _ => return None,
    };
    let near = known.iter().filter_map(|known| {
        let slips = slips_between(&name, &lower(known));
        (slips <= slips_max).then_some((slips, *known))
    });
    near.min_by_key(|(slips, _)| *slips).map(|(_, known)| known)
}

fn lower(name: &str) -> Vec<char> {
    let letters = name.chars().take(NAME_LEN_MAX + 1);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

/// Characters to add, drop, replace or exchange with the next one until both are the same.
fn slips_between(one: &[char], other: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in one.iter().enumerate() {
        let mut next = vec![at + 1];
        for (to, d) in other.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut least = cell(&row, to) + usize::from(c != d);
            least = least.min(cell(&row, to + 1) + 1).min(cell(&next, to) + 1);
            let crossed = |at: usize, to: usize| {
                let (at, to) = (at.checked_sub(1)?, to.checked_sub(1)?);
                let is_crossed = one.get(at) == Some(d) && other.get(to) == Some(c);
                is_crossed.then(|| cell(&before, to) + 1)
            };
            next.push(crossed(at, to).map_or(least, |slips| slips.min(least)));
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_or_two_is_recognised_and_another_word_is_not() {
        let known = ["perAuth", "perDay", "perWeek", "to", "from", "blockedMccs"];
        for (name, meant) in [
            ("perAut", Some("perAuth")),
            ("perauth", Some("perAuth")),
            ("preAuth", Some("perAuth")),
            ("perDay", Some("perDay")),
            ("perDays", Some("perDay")),
            ("blockedMcc", Some("blockedMccs")),
            ("blokcedMcc", Some("blockedMccs")),
            ("form", Some("from")),
            ("on", None),
            ("perMonth", None),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &known), meant, "{name}");
        }
        assert_eq!(nearest(&"perAuth".repeat(9), &known), None);
    }

    #[test]
    fn slips_are_counted() {
        let slips = |one: &str, other: &str| slips_between(&lower(one), &lower(other));
        assert_eq!(slips("", "abc"), 3);
        assert_eq!(slips("abc", ""), 3);
        assert_eq!(slips("abc", "abc"), 0);
        assert_eq!(slips("abc", "acb"), 1);
        assert_eq!(slips("kitten", "sitting"), 3);
    }
}
