//! Requests chosen and signed before the clock starts.

use std::collections::HashSet;

use crate::authorization::{Press, Recipe, Variables};
use crate::error::Error;
use crate::ids::UUID_SIZE;

#[derive(Debug)]
pub(crate) struct Prepared {
    press: Press,
    requests: Vec<Variables>,
}

impl Prepared {
    pub(crate) fn new(recipe: &Recipe<'_>, count: u64) -> Result<Self, Error> {
        let press = Press::new(recipe)?;
        let mut requests = Vec::new();
        usize::try_from(count)
            .map_err(|fault| fault.to_string())
            .and_then(|count| {
                requests
                    .try_reserve_exact(count)
                    .map_err(|fault| fault.to_string())
            })
            .map_err(|fault| Error::Usage(format!("{count} prepared requests: {fault}")))?;
        let mut scratch = Vec::new();
        for index in 0..count {
            let Some(request) = press.sign(recipe, index, &mut scratch) else {
                return Err(Error::Usage("the request template is broken".to_owned()));
            };
            requests.push(request);
        }
        Ok(Self { press, requests })
    }

    pub(crate) fn count(&self) -> u64 {
        self.requests.len() as u64
    }

    /// Replaces the buffer by request `index` and returns its token; `None` past the last one.
    pub(crate) fn write(&self, index: u64, buffer: &mut Vec<u8>) -> Option<[u8; UUID_SIZE]> {
        let request = self.requests.get(usize::try_from(index).ok()?)?;
        self.press.write(request, buffer)?;
        Some(request.token)
    }

    /// How many of the first `sent` requests repeat the token of an earlier one.
    pub(crate) fn duplicates(&self, sent: u64) -> u64 {
        let mut seen = HashSet::new();
        let sent = self
            .requests
            .iter()
            .take(usize::try_from(sent).unwrap_or(usize::MAX));
        sent.filter(|request| !seen.insert(request.token)).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::{Prepared, Recipe};
    use crate::signature::Key;

    #[test]
    fn a_repeated_token_is_found_once_it_was_sent() {
        let key = Key::from_secret("c2VjcmV0").unwrap();
        let recipe = Recipe {
            host: "h",
            path: "/",
            key: &key,
            cards: &crate::fleet::card_tokens(10),
            seed: 1,
        };
        let mut prepared = Prepared::new(&recipe, 100).unwrap();
        assert_eq!(prepared.duplicates(100), 0);
        prepared.requests[70] = prepared.requests[30];
        assert_eq!(prepared.duplicates(70), 0);
        assert_eq!(prepared.duplicates(71), 1);
    }
}
