use std::sync::Mutex;

use super::*;
use crate::cold::issuers::rules::Rules;
use crate::cold::issuers::{Answer, CardThere, CardsThere, IssuedCard, Manner, Revealed};
use crate::cold::store::{Mode, sqlite};
use crate::config::Reveal;
use crate::domain::time::Timestamp;
use crate::fingerprint::Fingerprinter;
use crate::seam::commands::ledger_port;

#[test]
fn pauses_double_up_to_an_hour_and_differ() {
    assert_eq!(pause_us(1, 0), 500_000);
    assert_eq!(pause_us(1, 500_000), 1_000_000);
    assert_eq!(pause_us(3, 0), 2_000_000);
    for attempts in 1..200 {
        for chance in [0, 1, u64::MAX] {
            let pause = pause_us(attempts, chance);
            assert!((500_000..=PAUSE_US_MAX).contains(&pause), "{attempts}");
        }
    }
    let days = (1..=ATTEMPTS_MAX).map(|it| pause_us(it, 0)).sum::<u64>() / 86_400_000_000;
    assert_eq!(days, 1, "an issuer that is away for a day is told");
}

/// An issuer that has one card, made for the order of this key.
struct OneCard {
    key: &'static str,
    told: Mutex<Vec<(String, State)>>,
    is_away: bool,
}

fn answer<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl IssuerClient for OneCard {
    fn connection(&self) -> &str {
        "acme"
    }

    fn mode(&self) -> Mode {
        Mode::Test
    }

    fn manner(&self) -> Manner {
        Manner {
            reveal: Reveal::Off,
            reveals_to_agents: false,
            is_remote: true,
            knows_keys: true,
            asks: true,
            ships: false,
            takes_key: false,
        }
    }

    fn unenforced(&self, _rules: &Rules) -> Vec<String> {
        Vec::new()
    }

    fn whole_limit(&self, _rules: &Rules) -> Option<i64> {
        None
    }

    fn spent(&self, _token: String) -> Answer<'_, crate::cold::issuers::Spent> {
        panic!("an outbox asks for no sums")
    }

    fn create(&self, _order: CardOrder) -> Answer<'_, IssuedCard> {
        panic!("an order that nobody came back for is not made again")
    }

    fn find(&self, order: CardOrder) -> Answer<'_, Option<IssuedCard>> {
        if self.is_away {
            let away = IssuerError::Unavailable("away".to_owned());
            return Box::pin(std::future::ready(Err(away)));
        }
        answer((order.key == self.key).then(|| IssuedCard {
            card_id: order.card_id,
            token: "tok".to_owned(),
            last4: None,
            exp_month: None,
            exp_year: None,
        }))
    }

    fn set_state(&self, token: String, state: State) -> Answer<'_, ()> {
        self.told.lock().unwrap().push((token, state));
        answer(())
    }

    fn set_rules(&self, _token: String, _rules: Rules) -> Answer<'_, ()> {
        answer(())
    }

    fn fetch(&self, _token: String) -> Answer<'_, Option<CardThere>> {
        answer(None)
    }

    fn list(&self, _from: Option<String>) -> Answer<'_, CardsThere> {
        answer(CardsThere::default())
    }

    fn reveal(&self, _token: String) -> Answer<'_, Revealed> {
        let none = IssuerError::Unsupported("numbers");
        Box::pin(std::future::ready(Err(none)))
    }

    fn poll(&self) -> Option<Duration> {
        None
    }

    fn set_key(&self, _key: secrecy::SecretString) {}
}

fn order_row(key: &str) -> OutboxRow {
    let at = Timestamp::from_secs(1);
    let order = CardOrder {
        key: key.to_owned(),
        card_id: "card_1".to_owned(),
        at,
        rules: Rules::default(),
        is_paused: false,
        request: None,
        shipping: None,
        aside: None,
    };
    OutboxRow {
        id: OutboxRow::id_of_order(key),
        payload: serde_json::to_string(&order).unwrap(),
        ..OutboxRow::of_card(Errand::Order, "card_1", "acme", at)
    }
}

#[tokio::test]
async fn b9_an_order_that_nobody_came_back_for_is_closed_where_it_was_made() {
    for (key, is_away, closed, left) in [
        ("made", false, 1, 0),
        ("never made", false, 0, 0),
        ("made", true, 0, 1),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = sqlite::open(&dir.path().join("control.db")).await.unwrap();
        let around = Around {
            store: Arc::clone(&store),
            clock: Clock::start(),
            bell: Arc::default(),
            telemetry: Telemetry::new([]),
            readiness: Arc::default(),
            stands: Stands {
                store: Arc::clone(&store),
                ledger: ledger_port().0,
                keys: Fingerprinter::new(7),
            },
        };
        let issuer = OneCard {
            key: "made",
            told: Mutex::default(),
            is_away,
        };
        store
            .apply(vec![Change::Outbox(order_row(key))])
            .await
            .unwrap();
        let now = around.clock.now();
        let due = OutboxAsked::Due("acme".to_owned(), now, 10);
        for row in store.outbox(due).await.unwrap() {
            assert!(around.attempt(row, &issuer).await);
        }
        let told = issuer.told.lock().unwrap().clone();
        assert_eq!(told.len(), closed, "{key}");
        assert!(
            told.iter()
                .all(|it| *it == ("tok".to_owned(), State::Closed))
        );
        let all = OutboxAsked::All(String::new(), 10);
        let rows = store.outbox(all).await.unwrap();
        assert_eq!(rows.len(), left, "{key}");
        assert!(rows.iter().all(|row| row.attempts == 1 && row.due_at > now));
    }
}
