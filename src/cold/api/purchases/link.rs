//! The link under which a purchase card is shown (behaviour 5.12): the card, the end, and a keyed hash of
//! both. It is the same text whenever it is asked for, so that nothing of it is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::desk::only;
use super::issue;
use crate::cold::api::Api;
use crate::cold::api::problem::Problem;
use crate::cold::control::Work;
use crate::cold::ids::is_ours;
use crate::cold::store::Card;
use crate::cold::store::purchases::{Purchase, PurchaseState, PurchaseWanted};
use crate::cold::tokens::TokenSecret;
use crate::domain::time::Timestamp;

/// From the approval on.
const OPEN_S: i64 = 20 * 60;
/// Says what is hashed: another token of ours is no link.
const PURPOSE: &str = "view link 1";
/// Longer ones are none.
const LEN_MAX: usize = 200;
/// Where it leads.
pub(in crate::cold::api) const PATH: &str = "/view/";

/// A link whose hash is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cold::api) struct Link {
    pub(in crate::cold::api) card_id: String,
    pub(in crate::cold::api) ends: Timestamp,
}

impl Link {
    /// The one of an approved request.
    pub(super) fn of(row: &Purchase) -> Option<Self> {
        let approved_at = row.terms.order.as_ref()?.at_us;
        let ends_s = Timestamp::from_micros(approved_at)
            .secs()
            .checked_add(OPEN_S)?;
        Some(Self {
            card_id: row.terms.card_id.clone(),
            ends: Timestamp::from_secs(ends_s),
        })
    }

    /// What stands in the address.
    fn token(&self, secret: &TokenSecret) -> String {
        let ends = self.ends.secs().to_string();
        let hash = secret.digest(PURPOSE, &[self.card_id.as_bytes(), ends.as_bytes()]);
        format!("{}.{ends}.{}", self.card_id, URL_SAFE_NO_PAD.encode(hash))
    }

    /// Of what stands in an address. Nothing where a byte of it is not ours.
    pub(in crate::cold::api) fn read(secret: &TokenSecret, token: &str) -> Option<Self> {
        if token.len() > LEN_MAX {
            return None;
        }
        let (card_id, rest) = token.split_once('.')?;
        let (ends, hash) = rest.split_once('.')?;
        let hash = URL_SAFE_NO_PAD.decode(hash).ok()?;
        if !secret.has_made(PURPOSE, &[card_id.as_bytes(), ends.as_bytes()], &hash) {
            return None;
        }
        let ends = Timestamp::from_secs(ends.parse().ok()?);
        let card_id = is_ours(card_id).then(|| card_id.to_owned())?;
        Some(Self { card_id, ends })
    }
}

impl Api {
    /// The link under which the agent sees this card. There is none where the connection does not show
    /// cards to agents: it would open nothing.
    pub(super) fn link_of(&self, row: &Purchase, connection: &str) -> Option<Link> {
        let shows = self.issuer_of(connection)?.manner().reveals_to_agents;
        Link::of(row).filter(|_| shows)
    }

    /// When a card that was just made is to be looked after: one that nobody has looked at until its link
    /// dies is given back then (behaviour 5.6).
    pub(super) fn looked_after(&self, row: &Purchase, card: &Card, ends: Timestamp) -> Timestamp {
        let link = self.link_of(row, &card.connection);
        link.map_or(ends, |link| link.ends.min(ends))
    }

    /// Its address.
    pub(super) fn address_of(&self, link: &Link) -> String {
        format!("{}{PATH}{}", self.public_url, link.token(&self.secret))
    }
}

/// What is kept of a purchase card's being shown: it does not end with its link (behaviour 5.6). Nothing
/// where it was shown before, or is the card of no request.
///
/// # Errors
/// Where it has ended meanwhile.
pub(in crate::cold::api) async fn seen(
    api: &Api,
    card_id: &str,
    now: Timestamp,
) -> Result<Work, Problem> {
    let wanted = PurchaseWanted::OfCard(card_id.to_owned());
    let Some(mut row) = api.store.purchase(wanted).await? else {
        return Ok(Work::default());
    };
    if row.state != PurchaseState::Approved {
        return Err(Problem::card_canceled());
    }
    if row.terms.shown_us.is_some() {
        return Ok(Work::default());
    }
    row.terms.shown_us = Some(now.micros());
    row.due_at = Some(issue::ends(&row, now));
    Ok(only(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str) -> TokenSecret {
        let home = tempfile::tempdir().unwrap();
        TokenSecret::create(&home.path().join(name)).unwrap()
    }

    fn link() -> Link {
        Link {
            card_id: "card_0123456789abcdef0123456789abcdef".to_owned(),
            ends: Timestamp::from_secs(1_800_000_000),
        }
    }

    #[test]
    fn s12_no_byte_of_a_link_can_be_changed() {
        let secret = secret("a");
        let token = link().token(&secret);
        assert_eq!(Link::read(&secret, &token), Some(link()));
        for at in 0..token.len() {
            for byte in 0x20..0x7f_u8 {
                let mut bytes = token.clone().into_bytes();
                if bytes[at] == byte {
                    continue;
                }
                bytes[at] = byte;
                let changed = String::from_utf8(bytes).unwrap();
                assert_eq!(Link::read(&secret, &changed), None, "{changed}");
            }
            assert_eq!(
                Link::read(&secret, token.get(..at).unwrap()),
                None,
                "cut at {at}"
            );
        }
        for behind in ["A", "=", ".", "/"] {
            assert_eq!(Link::read(&secret, &format!("{token}{behind}")), None);
        }
    }

    #[test]
    fn s12_a_link_is_dated_and_signed_by_this_installation_alone() {
        let (secret, other) = (secret("a"), secret("b"));
        let token = link().token(&secret);
        assert_eq!(Link::read(&other, &token), None, "another installation's");
        let (id, hash) = (link().card_id, token.rsplit_once('.').unwrap().1);
        for ends in [
            "1800000001",
            "01800000000",
            "+1800000000",
            "1800000000 ",
            "",
        ] {
            let dated = format!("{id}.{ends}.{hash}");
            assert_eq!(Link::read(&secret, &dated), None, "{dated}");
        }
        // The same parts under another purpose.
        let parts: [&[u8]; 2] = [id.as_bytes(), b"1800000000"];
        let hash = URL_SAFE_NO_PAD.encode(secret.digest("api key", &parts));
        assert_eq!(
            Link::read(&secret, &format!("{id}.1800000000.{hash}")),
            None
        );
    }
}
