//! An issuer that is asked over the network: one client, and each issuer's words from its own file.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;

use super::http::{Call, Http};
use super::rules::Rules;
use super::{
    Answer, CardOrder, CardThere, CardsThere, Framed, IssuedCard, IssuerClient, IssuerError,
    Manner, Revealed, Spent, State, lithic, privacy, stripe,
};
use crate::cold::store::Mode;
use crate::config::{CardMaker, CardsConfig, Reveal};
use crate::domain::time::Timestamp;

/// A card is looked for from this long before its order on: clocks differ.
const CLOCKS_DIFFER_US: i64 = 600 * 1_000_000;
/// Pages that are looked through for one card.
const PAGES_MAX: usize = 100;

/// Whose cards are made, beside the key.
pub(super) struct Account {
    pub(super) account: Option<String>,
    pub(super) program: Option<String>,
    pub(super) product: Option<String>,
}

/// See the module.
pub struct RemoteClient {
    connection: String,
    maker: CardMaker,
    mode: Mode,
    account: Account,
    http: Http,
    url: String,
    key: RwLock<Option<SecretString>>,
    /// Whether the configuration has the key.
    is_configured: bool,
    poll: Option<Duration>,
    reveal: Reveal,
    reveals_to_agents: bool,
}

impl RemoteClient {
    /// A client of this account. Without a key it is denied everything.
    #[must_use]
    pub fn new(config: CardsConfig) -> Self {
        Self {
            http: Http::new(&config.url, config.timeout),
            url: config.url,
            connection: config.connection,
            maker: config.maker,
            mode: if config.is_test {
                Mode::Test
            } else {
                Mode::Live
            },
            account: Account {
                account: config.account,
                program: config.program,
                product: config.product,
            },
            is_configured: config.key.is_some(),
            poll: config.poll,
            reveal: config.reveal,
            reveals_to_agents: config.reveals_to_agents,
            key: RwLock::new(config.key),
        }
    }

    /// The header's value. The lock is not held while anything is waited for.
    fn authorization(&self) -> Result<SecretString, IssuerError> {
        let key = self.key.read().unwrap_or_else(PoisonError::into_inner);
        let missing = || IssuerError::Denied("no key is set for this connection".to_owned());
        let key = key.as_ref().ok_or_else(missing)?.expose_secret();
        Ok(SecretString::from(match self.maker {
            CardMaker::Lithic => key.to_owned(),
            CardMaker::Stripe => format!("Bearer {key}"),
            CardMaker::Privacy => format!("api-key {key}"),
        }))
    }

    async fn call(&self, call: Call) -> Result<Bytes, IssuerError> {
        let authorization = self.authorization()?;
        self.http.call(call, &authorization).await
    }

    fn read_card(&self, bytes: &[u8]) -> Result<CardThere, IssuerError> {
        match self.maker {
            CardMaker::Lithic | CardMaker::Privacy => lithic::read_card(bytes),
            CardMaker::Stripe => stripe::read_card(bytes),
        }
    }

    fn read_page(&self, bytes: &[u8]) -> Result<CardsThere, IssuerError> {
        match self.maker {
            CardMaker::Lithic => lithic::read_page(bytes),
            CardMaker::Stripe => stripe::read_page(bytes),
            CardMaker::Privacy => privacy::read_page(bytes),
        }
    }

    async fn find_page(
        &self,
        order: &CardOrder,
        since: Timestamp,
        from: Option<&str>,
    ) -> Result<CardsThere, IssuerError> {
        let call = match self.maker {
            CardMaker::Lithic => lithic::find(order, since),
            CardMaker::Stripe => stripe::find(since, from),
            CardMaker::Privacy => privacy::find(since, from),
        };
        self.read_page(&self.call(call).await?)
    }

    async fn look_for(&self, order: &CardOrder) -> Result<Option<IssuedCard>, IssuerError> {
        let since = order.at.plus_micros(-CLOCKS_DIFFER_US);
        let mut from: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = self.find_page(order, since, from.as_deref()).await?;
            let is_it = |card: &CardThere| card.card_id.as_deref() == Some(&*order.card_id);
            if let Some(card) = page.cards.into_iter().find(is_it) {
                return Ok(Some(issued(order, card)));
            }
            from = match page.next {
                Some(next) => Some(next),
                None => return Ok(None),
            };
        }
        let why = "its list is too long to be looked through";
        Err(IssuerError::Unknown(why.to_owned()))
    }

    async fn numbers<T: DeserializeOwned>(&self, call: Call) -> Result<T, IssuerError> {
        let bytes = self.call(call).await?;
        serde_json::from_slice(&bytes).map_err(lithic::not_understood)
    }
}

fn issued(order: &CardOrder, card: CardThere) -> IssuedCard {
    IssuedCard {
        card_id: card.card_id.unwrap_or_else(|| order.card_id.clone()),
        token: card.token,
        last4: card.last4,
        exp_month: card.exp_month,
        exp_year: card.exp_year,
    }
}

/// A UUID made of the order's key: Lithic wants one, Stripe takes one.
fn idempotency_key(order: &CardOrder) -> String {
    let mut bytes = [0; 16];
    let pairs = order.key.as_bytes().chunks_exact(2);
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let text = std::str::from_utf8(pair).unwrap_or_default();
        *byte = u8::from_str_radix(text, 16).unwrap_or_default();
    }
    let uuid = uuid::Builder::from_random_bytes(bytes).into_uuid();
    uuid.hyphenated().to_string()
}

impl IssuerClient for RemoteClient {
    fn connection(&self) -> &str {
        &self.connection
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn manner(&self) -> Manner {
        Manner {
            reveal: self.reveal,
            reveals_to_agents: self.reveals_to_agents,
            is_remote: true,
            knows_keys: self.maker != CardMaker::Privacy,
            asks: self.maker.asks(),
            ships: self.maker.ships(),
            takes_key: !self.is_configured,
        }
    }

    fn unenforced(&self, rules: &Rules) -> Vec<String> {
        match self.maker {
            CardMaker::Lithic | CardMaker::Stripe => Vec::new(),
            CardMaker::Privacy => privacy::unenforced(rules),
        }
    }

    fn whole_limit(&self, rules: &Rules) -> Option<i64> {
        match self.maker {
            CardMaker::Lithic | CardMaker::Stripe => None,
            CardMaker::Privacy => privacy::whole_limit(rules),
        }
    }

    fn create(&self, order: CardOrder) -> Answer<'_, IssuedCard> {
        Box::pin(async move {
            let key = idempotency_key(&order);
            let call = match self.maker {
                CardMaker::Lithic => lithic::create(&order, &self.account, &key)?,
                CardMaker::Stripe => stripe::create(&order, &self.account, &key),
                CardMaker::Privacy => privacy::create(&order, &self.account)?,
            };
            let bytes = self.call(call).await?;
            Ok(issued(&order, self.read_card(&bytes)?))
        })
    }

    fn find(&self, order: CardOrder) -> Answer<'_, Option<IssuedCard>> {
        Box::pin(async move { self.look_for(&order).await })
    }

    fn set_state(&self, token: String, state: State) -> Answer<'_, ()> {
        Box::pin(async move {
            let call = match self.maker {
                CardMaker::Lithic | CardMaker::Privacy => lithic::set_state(&token, state)?,
                CardMaker::Stripe => stripe::set_state(&token, state),
            };
            self.call(call).await.map(drop)
        })
    }

    fn set_rules(&self, token: String, rules: Rules) -> Answer<'_, ()> {
        Box::pin(async move {
            let call = match self.maker {
                CardMaker::Lithic => lithic::set_rules(&token, &rules)?,
                CardMaker::Stripe => stripe::set_rules(&token, &rules),
                CardMaker::Privacy => privacy::set_rules(&token, &rules)?,
            };
            self.call(call).await.map(drop)
        })
    }

    fn fetch(&self, token: String) -> Answer<'_, Option<CardThere>> {
        Box::pin(async move {
            let call = match self.maker {
                CardMaker::Lithic | CardMaker::Privacy => lithic::fetch(&token),
                CardMaker::Stripe => stripe::fetch(&token),
            };
            match self.call(call).await {
                Ok(bytes) => self.read_card(&bytes).map(Some),
                Err(IssuerError::Refused(why)) if why.starts_with("404") => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn list(&self, from: Option<String>) -> Answer<'_, CardsThere> {
        Box::pin(async move {
            let call = match self.maker {
                CardMaker::Lithic => lithic::list(from.as_deref()),
                CardMaker::Stripe => stripe::list(from.as_deref()),
                CardMaker::Privacy => privacy::list(from.as_deref()),
            };
            self.read_page(&self.call(call).await?)
        })
    }

    fn spent(&self, token: String) -> Answer<'_, Spent> {
        Box::pin(async move {
            if self.maker != CardMaker::Privacy {
                return Err(IssuerError::Unsupported("sums of what it asks us about"));
            }
            let mut sum = Spent {
                minor: 0,
                is_final: true,
            };
            for number in 1..=PAGES_MAX {
                let bytes = self.call(privacy::transactions(&token, number)).await?;
                let (spent, has_more) = privacy::read_spent(&bytes, number)?;
                sum.minor = sum.minor.saturating_add(spent.minor);
                sum.is_final &= spent.is_final;
                if !has_more {
                    return Ok(sum);
                }
            }
            let why = "its list is too long to be looked through";
            Err(IssuerError::Unknown(why.to_owned()))
        })
    }

    fn frame(&self, token: &str, until: Timestamp) -> Result<Framed, IssuerError> {
        match self.maker {
            CardMaker::Lithic => lithic::frame(&self.url, &self.authorization()?, token, until),
            CardMaker::Stripe | CardMaker::Privacy => {
                Err(IssuerError::Unsupported("a page that shows a card"))
            }
        }
    }

    fn reveal(&self, token: String) -> Answer<'_, Revealed> {
        Box::pin(async move {
            let (number, cvv, (name, billing_address)) = match self.maker {
                CardMaker::Lithic | CardMaker::Privacy => {
                    let it: lithic::WireNumber = self.numbers(lithic::fetch(&token)).await?;
                    (it.pan, it.cvv, (None, None))
                }
                CardMaker::Stripe => {
                    let mut it: stripe::WireNumber = self.numbers(stripe::reveal(&token)).await?;
                    let (number, cvc) = (it.number.take(), it.cvc.take());
                    (number, cvc, it.holder())
                }
            };
            let (Some(number), Some(cvv)) = (number, cvv) else {
                return Err(IssuerError::Unsupported("numbers for this account"));
            };
            Ok(Revealed {
                number: SecretString::from(number),
                cvv: SecretString::from(cvv),
                name,
                billing_address,
            })
        })
    }

    fn poll(&self) -> Option<Duration> {
        self.poll
    }

    fn set_key(&self, key: SecretString) {
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }
}
