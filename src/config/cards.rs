//! `[issuer.cards]`: where a connection's cards are made, and by which account (behaviour 4.8).

use std::time::Duration;

use secrecy::SecretString;

use super::file::{CardsFile, IssuerFile};
use super::{ConfigError, SANDBOX_NAMES, secret};

/// Who makes cards, by the words of its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the issuer of the same name")]
pub enum CardMaker {
    Lithic,
    Stripe,
    Privacy,
}

impl CardMaker {
    /// The maker of this kind of connection.
    #[must_use]
    pub fn parse(kind: &str) -> Option<Self> {
        [Self::Lithic, Self::Stripe, Self::Privacy]
            .into_iter()
            .find(|it| it.name() == kind)
    }

    /// The word of the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lithic => "lithic",
            Self::Stripe => "stripe",
            Self::Privacy => PRIVACY,
        }
    }

    /// Whether it asks before each purchase. Where it does not, only its own limits hold.
    #[must_use]
    pub fn asks(self) -> bool {
        match self {
            Self::Lithic | Self::Stripe => true,
            Self::Privacy => false,
        }
    }

    /// Whether it makes and sends physical cards.
    #[must_use]
    pub fn ships(self) -> bool {
        match self {
            Self::Lithic | Self::Stripe => true,
            Self::Privacy => false,
        }
    }

    /// Whether it has a page that shows a card.
    #[must_use]
    pub fn frames(self) -> bool {
        match self {
            Self::Lithic => true,
            Self::Stripe | Self::Privacy => false,
        }
    }

    fn url(self, is_test: bool) -> &'static str {
        match (self, is_test) {
            (Self::Lithic, false) => "https://api.lithic.com",
            (Self::Lithic, true) => "https://sandbox.lithic.com",
            (Self::Stripe, _) => "https://api.stripe.com",
            (Self::Privacy, false) => "https://api.privacy.com",
            (Self::Privacy, true) => "https://sandbox.privacy.com",
        }
    }
}

/// The kind of a connection that makes cards and never asks.
pub(super) const PRIVACY: &str = "privacy";

/// How a connection's cards are shown (behaviour 5.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reveal {
    /// To nobody.
    Off,
    /// Their numbers pass through here.
    Details,
    /// On a page of the issuer's, whose number never comes here.
    Frame,
}

/// One account that makes cards.
#[derive(Clone)]
pub struct CardsConfig {
    /// The connection's name.
    pub connection: String,
    /// How it is spoken to.
    pub maker: CardMaker,
    /// Whether its cards are for trying things out.
    pub is_test: bool,
    /// Where its API is: scheme, host and perhaps port, without a slash at the end.
    pub url: String,
    /// Its key, where the configuration has it rather than the database.
    pub key: Option<SecretString>,
    /// Lithic: `account_token`. Stripe: the cardholder, `ich_…`. Privacy: the funding source.
    pub account: Option<String>,
    /// Lithic: `card_program_token`.
    pub program: Option<String>,
    /// What physical cards look like. Lithic: `product_id`. Stripe: `personalization_design`.
    pub product: Option<String>,
    /// For one call, from its first byte to the last of the answer.
    pub timeout: Duration,
    /// Between two looks at what its cards are there; absent where nobody looks.
    pub poll: Option<Duration>,
    /// How its cards are shown.
    pub reveal: Reveal,
    /// To agents, too, their own cards.
    pub reveals_to_agents: bool,
}

const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=120_000;
const TIMEOUT_MS_DEFAULT: u64 = 15_000;
/// 0 switches the looking off.
const POLL_S: std::ops::RangeInclusive<u64> = 1..=86_400;
const POLL_S_DEFAULT: u64 = 300;
const TEXT_LEN_MAX: usize = 200;

/// Every account that makes cards.
pub(super) fn read_all(typed: &[IssuerFile], place: &str) -> Result<Vec<CardsConfig>, ConfigError> {
    let mut found = Vec::new();
    for (at, issuer) in typed.iter().enumerate() {
        let place = format!("{place}: issuer[{at}]");
        if issuer.kind == PRIVACY {
            check_privacy(issuer, typed, at, &place)?;
        }
        if let Some(cards) = &issuer.cards {
            found.push(read(issuer, cards, &place)?);
        }
    }
    Ok(found)
}

/// A connection that nobody asks over has a name, an account, and nothing that verifies questions.
fn check_privacy(
    issuer: &IssuerFile,
    all: &[IssuerFile],
    at: usize,
    place: &str,
) -> Result<(), ConfigError> {
    let fault = |key: &str, message: &str| Err(ConfigError::new(format!("{place}.{key}"), message));
    let lawful = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let name = &issuer.name;
    if name.is_empty() || name.len() > 40 || !name.chars().all(lawful) {
        return fault("name", "must be 1 to 40 characters of a-z, 0-9 and `-`");
    }
    if SANDBOX_NAMES.contains(&name.as_str()) {
        return fault("name", "is a name of the built-in issuer");
    }
    let is_taken = |(other_at, other): (usize, &IssuerFile)| other_at != at && other.name == *name;
    if all.iter().enumerate().any(is_taken) {
        return fault("name", "used twice");
    }
    if issuer.cards.is_none() {
        return fault(
            "cards",
            "is missing: this issuer asks nothing, it only makes cards",
        );
    }
    let unused = [
        ("secrets", !issuer.secrets.0.is_empty()),
        ("event_secrets", issuer.event_secrets.is_some()),
        ("deadline_ms", issuer.deadline_ms.is_some()),
        ("tolerance_s", issuer.tolerance_s.is_some()),
        ("unsigned", issuer.unsigned.is_some()),
        ("hold_days", issuer.hold_days.is_some()),
        ("hold_days_long", issuer.hold_days_long.is_some()),
        ("signature", issuer.signature.is_some()),
        ("livemode", issuer.livemode.is_some()),
        ("account", issuer.account.is_some()),
        ("headers", !issuer.headers.is_empty()),
    ];
    match unused.into_iter().find(|(_, is_set)| *is_set) {
        Some((key, _)) => fault(key, "has no effect here: this issuer asks no questions"),
        None => Ok(()),
    }
}

fn read(issuer: &IssuerFile, cards: &CardsFile, place: &str) -> Result<CardsConfig, ConfigError> {
    let fault =
        |key: &str, message: String| Err(ConfigError::new(format!("{place}.cards{key}"), message));
    let Some(maker) = CardMaker::parse(&issuer.kind) else {
        let message = "cards are made at `lithic`, `stripe` and `privacy`";
        return fault("", message.to_owned());
    };
    let is_test = match cards.mode.as_deref() {
        Some("test") => true,
        None | Some("live") => false,
        Some(_) => return fault(".mode", "must be `live` or `test`".to_owned()),
    };
    let url = match cards.url.as_deref() {
        None => maker.url(is_test).to_owned(),
        Some(url) if is_url(url) => url.to_owned(),
        Some(_) => {
            let message = "must be https://HOST, or http://127.0.0.1:PORT for trying things out, \
                           without a path";
            return fault(".url", message.to_owned());
        }
    };
    check_account(maker, cards, place)?;
    let timeout_ms = cards.timeout_ms.unwrap_or(TIMEOUT_MS_DEFAULT);
    if !TIMEOUT_MS.contains(&timeout_ms) {
        let (least, most) = (TIMEOUT_MS.start(), TIMEOUT_MS.end());
        let message = format!("must lie between {least} and {most}");
        return fault(".timeout_ms", message);
    }
    let poll_s = cards.poll_s.unwrap_or(POLL_S_DEFAULT);
    if poll_s != 0 && !POLL_S.contains(&poll_s) {
        let (least, most) = (POLL_S.start(), POLL_S.end());
        return fault(
            ".poll_s",
            format!("must lie between {least} and {most}, or be 0"),
        );
    }
    let (reveal, reveals_to_agents) = shown(maker, cards, place)?;
    Ok(CardsConfig {
        reveal,
        reveals_to_agents,
        connection: issuer.name.clone(),
        maker,
        is_test,
        url,
        key: key(cards, place)?,
        account: cards.account.clone(),
        program: cards.program.clone(),
        product: cards.product.clone(),
        timeout: Duration::from_millis(timeout_ms),
        poll: (poll_s != 0).then(|| Duration::from_secs(poll_s)),
    })
}

/// Whose cards are made, in texts that the issuer has given out.
fn check_account(maker: CardMaker, cards: &CardsFile, place: &str) -> Result<(), ConfigError> {
    let fault =
        |key: &str, message: String| Err(ConfigError::new(format!("{place}.cards{key}"), message));
    let texts = [
        (".account", &cards.account),
        (".program", &cards.program),
        (".product", &cards.product),
    ];
    for (key, text) in texts {
        let is_bad = |text: &String| {
            let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
            text.is_empty() || text.len() > TEXT_LEN_MAX || !printable
        };
        if text.as_ref().is_some_and(is_bad) {
            let message = format!("must be 1 to {TEXT_LEN_MAX} printable characters");
            return fault(key, message);
        }
    }
    if cards.program.is_some() && maker != CardMaker::Lithic {
        return fault(".program", "is for kind = \"lithic\" only".to_owned());
    }
    if cards.product.is_some() && !maker.ships() {
        let message = "has no effect here: this issuer makes no physical cards";
        return fault(".product", message.to_owned());
    }
    if maker == CardMaker::Stripe && cards.account.is_none() {
        let message = "is missing: the cardholder of the cards, ich_…";
        return fault(".account", message.to_owned());
    }
    Ok(())
}

/// How cards are shown, and whether to agents.
fn shown(maker: CardMaker, cards: &CardsFile, place: &str) -> Result<(Reveal, bool), ConfigError> {
    let fault =
        |key: &str, message: &str| Err(ConfigError::new(format!("{place}.cards{key}"), message));
    let reveal = match cards.reveal.as_deref() {
        None | Some("off") => Reveal::Off,
        Some("details") => Reveal::Details,
        Some("frame") if maker.frames() => Reveal::Frame,
        Some("frame") => {
            let message = "cannot be `frame`: no page of this issuer is known that shows a card; \
                           `lithic` has one";
            return fault(".reveal", message);
        }
        Some(_) => return fault(".reveal", "must be `off`, `details` or `frame`"),
    };
    let to_agents = cards.reveal_to_agents.unwrap_or(false);
    if to_agents && reveal == Reveal::Off {
        let message = "has no effect without reveal = \"details\" or \"frame\"";
        return fault(".reveal_to_agents", message);
    }
    Ok((reveal, to_agents))
}

/// Its key, where the configuration names it.
fn key(cards: &CardsFile, place: &str) -> Result<Option<SecretString>, ConfigError> {
    let key = cards.key.as_deref().map(|source| {
        let trimmed = |text: String| {
            let key = text.trim();
            let printable = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
            printable
                .then(|| SecretString::from(key.to_owned()))
                .ok_or("must be printable characters on one line")
        };
        secret::read(source, trimmed)
            .map_err(|message| ConfigError::new(format!("{place}.cards.key"), message))
    });
    key.transpose()
}

/// Plain HTTP shows the key to the whole way, so that it is for this machine alone.
fn is_url(url: &str) -> bool {
    let is_host = |host: &str| {
        let lawful = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        !host.is_empty() && host.bytes().all(lawful)
    };
    let loopback = ["127.0.0.1", "[::1]", "localhost"];
    match url.split_once("://") {
        Some(("https", host)) => is_host(host),
        Some(("http", host)) => {
            let at = loopback.iter().find_map(|it| host.strip_prefix(it));
            at.is_some_and(|port| port.is_empty() || port.starts_with(':')) && is_host(host)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Behaviour 5.12.
    #[test]
    fn a_frame_is_refused_where_the_issuer_has_none() {
        let cards = |reveal: &str| CardsFile {
            reveal: Some(reveal.to_owned()),
            reveal_to_agents: Some(true),
            ..CardsFile::default()
        };
        let read = |maker, reveal: &str| shown(maker, &cards(reveal), "issuer[0]");
        let framed = read(CardMaker::Lithic, "frame").ok();
        assert_eq!(framed, Some((Reveal::Frame, true)));
        for maker in [CardMaker::Stripe, CardMaker::Privacy] {
            let refused = read(maker, "frame").err().unwrap().to_string();
            assert!(refused.contains("issuer[0].cards.reveal"), "{refused}");
            assert_eq!(read(maker, "details").ok(), Some((Reveal::Details, true)));
        }
        assert!(
            read(CardMaker::Lithic, "off").is_err(),
            "nothing is shown to agents then"
        );
        assert!(read(CardMaker::Lithic, "page").is_err());
    }
}
