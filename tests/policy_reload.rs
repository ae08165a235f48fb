//! One snapshot after another: what follows says what its document says, shares what stayed the
//! same, and is measured by the cards that it would decline (behaviour 3.4, 11.3).
#![cfg(test)]

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use countersign::decide::compile::{Builder, CardRow, id_key};
use countersign::decide::document::{
    Before, DocumentContext, DocumentError, read_next_snapshot, read_snapshot,
};
use countersign::decide::past::Past;
use countersign::decide::policy::Policy;
use countersign::decide::snapshot::{CardView, Impact, Snapshot};
use countersign::domain::card::{CardStatus, Usage};
use countersign::domain::currency::Currency;
use countersign::domain::identity::{KeySpace, Keys};
use countersign::domain::time::Timestamp;
use countersign::fingerprint::Fingerprinter;
use proptest::prelude::{ProptestConfig, Strategy, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};

const CONTEXT: DocumentContext<'_> = DocumentContext {
    file: "rules.json",
    connections: &["acme", "beta"],
    version: 7,
};

const NOW: Timestamp = Timestamp::from_secs(1_780_000_000);

fn keys() -> Fingerprinter {
    Fingerprinter::new(1)
}

fn fresh(document: &Value) -> Snapshot {
    read_snapshot(document.to_string().as_bytes(), CONTEXT, &keys()).unwrap()
}

fn next(before: &Snapshot, document: &Value) -> Result<Snapshot, Vec<DocumentError>> {
    let before = Before {
        snapshot: before,
        past: &Past::default(),
    };
    let read = read_next_snapshot(document.to_string().as_bytes(), CONTEXT, &keys(), before);
    read.map_err(|refused| refused.errors)
}

/// A policy in few letters.
fn digest(policy: Option<&Policy>) -> u64 {
    let mut hasher = DefaultHasher::new();
    policy.hash(&mut hasher);
    hasher.finish()
}

/// Everything that a card's decisions can see, but for the positions.
fn told(view: &CardView<'_>) -> String {
    let CardView {
        card,
        agent,
        customer,
        connection,
        ..
    } = view;
    let agent = agent.map(|it| (it.id(), it.key(), it.status(), digest(it.policy())));
    format!(
        "{} {:?} {connection} {:?} {:?} {} {:?} {:?} {agent:?} {} {:?} {:?} {} {:?} {:?} {:?}",
        card.id(),
        card.key(),
        card.status(),
        card.usage(),
        card.is_frozen(),
        card.preset_merchant(),
        digest(card.policy()),
        customer.id(),
        customer.key(),
        customer.status(),
        customer.currency(),
        customer.cascade(),
        digest(customer.policy()),
        customer.zone().windows_at(1_780_000_000),
    )
}

/// What a snapshot says, found in every way there is to find it.
fn contents(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for view in snapshot.cards() {
        let id = view.card.id();
        let text = told(&view);
        for found in [snapshot.card(view.card.key()), snapshot.card_by_id(id)] {
            assert_eq!(told(&found.unwrap()), text);
        }
        assert!(all.insert(format!("card {id}"), text).is_none());
    }
    for agent in snapshot.agents() {
        let id = agent.id();
        assert_eq!(snapshot.agent_by_id(id), Some(agent));
        let owner = snapshot.customer_of(agent).unwrap().id();
        let text = format!("{owner} {:?} {:?}", agent.status(), digest(agent.policy()));
        assert!(all.insert(format!("agent {id}"), text).is_none());
    }
    for customer in snapshot.customers() {
        let id = customer.id();
        assert_eq!(snapshot.customer_by_id(id), Some(customer));
        let text = format!("{:?} {:?}", customer.status(), digest(customer.policy()));
        assert!(all.insert(format!("customer {id}"), text).is_none());
    }
    let counted = snapshot.card_count() + snapshot.agent_count() + snapshot.customer_count();
    assert_eq!(all.len(), counted);
    all
}

// === random worlds ===

const CUSTOMERS: usize = 5;
const AGENTS: usize = 6;
const CARDS: usize = 40;

/// A number per row: absent where it is zero, otherwise which of its forms it has.
#[derive(Clone, Debug)]
struct World {
    customers: Vec<u8>,
    agents: Vec<u8>,
    cards: Vec<u8>,
}

fn world() -> impl Strategy<Value = World> {
    use proptest::collection::vec;
    // Mostly present, so that most cards have a parent.
    let parents = |count| vec(0_u8..9, count);
    let parts = (parents(CUSTOMERS), parents(AGENTS), vec(0_u8..12, CARDS));
    parts.prop_map(|(customers, agents, cards)| World {
        customers,
        agents,
        cards,
    })
}

fn policy(form: u8) -> Value {
    match form % 4 {
        0 => json!({}),
        1 => json!({"limits": {"perDay": 5_000}}),
        2 => json!({"limits": {"perAuth": 100}, "allowedMccs": ["5812", "3000-3350"]}),
        _ => json!({"allowedMccs": ["5812", "3000-3350"], "blockedMccs": ["7995"]}),
    }
}

impl World {
    fn customer_of_agent(at: usize) -> usize {
        at % CUSTOMERS
    }

    fn is_there(forms: &[u8], at: usize) -> bool {
        forms[at] > 0
    }

    fn render(&self) -> Value {
        let mut rows = json!({"customers": [], "agents": [], "cards": []});
        let mut add = |list: &str, row| rows[list].as_array_mut().unwrap().push(row);
        for (at, form) in self
            .customers
            .iter()
            .enumerate()
            .filter(|(_, form)| **form > 0)
        {
            let status = ["active", "suspended"][usize::from(*form % 3 == 0)];
            let zone = ["UTC", "Etc/GMT-3"][usize::from(*form % 5 == 0)];
            add(
                "customers",
                json!({"id": format!("c{at}"), "status": status, "timezone": zone, "policy": policy(*form)}),
            );
        }
        let agents = self.agents.iter().enumerate();
        for (at, form) in agents.filter(|(at, form)| {
            **form > 0 && Self::is_there(&self.customers, Self::customer_of_agent(*at))
        }) {
            let customer = format!("c{}", Self::customer_of_agent(at));
            let status = ["active", "paused"][usize::from(*form % 3 == 0)];
            add(
                "agents",
                json!({"id": format!("a{at}"), "customerId": customer, "status": status, "policy": policy(*form)}),
            );
        }
        for (at, form) in self.cards.iter().enumerate().filter(|(_, form)| **form > 0) {
            let agent = at % AGENTS;
            let customer = Self::customer_of_agent(agent);
            if !Self::is_there(&self.customers, customer) {
                continue;
            }
            let mut row = card_row(at, *form);
            if Self::is_there(&self.agents, agent) && form % 2 == 0 {
                row["agentId"] = json!(format!("a{agent}"));
            }
            row["customerId"] = json!(format!("c{customer}"));
            add("cards", row);
        }
        rows
    }
}

/// Some forms have another token under the same id, some another id under the same token.
fn card_row(at: usize, form: u8) -> Value {
    let token = if form == 7 {
        format!("other-{at}")
    } else {
        format!("t{at}")
    };
    let id = if form == 8 {
        format!("other-{at}")
    } else {
        format!("k{at}")
    };
    let status = ["active", "locked", "canceled"][usize::from(form) % 3];
    let connection = ["acme", "beta"][at % 2];
    let usage = ["multi", "single"][usize::from(form == 9)];
    json!({"id": id, "connection": connection, "issuerToken": token, "status": status,
           "usage": usage, "frozen": form == 10, "policy": policy(form)})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_follows_says_what_its_document_says(worlds in proptest::collection::vec(world(), 1..6)) {
        let mut before = fresh(&json!({"customers": [], "agents": [], "cards": []}));
        for world in worlds {
            let document = world.render();
            let expected = contents(&fresh(&document));
            let after = next(&before, &document).unwrap();
            prop_assert_eq!(&contents(&after), &expected);
            prop_assert_eq!(after.is_same_as(&before), contents(&before) == expected);
            // Once more, and nothing is new.
            prop_assert!(next(&after, &document).unwrap().is_same_as(&after));
            let impact = before.impact_of(&after, NOW);
            prop_assert_eq!(impact.declining, declined_one_by_one(&before, &after));
            before = after;
        }
    }

    #[test]
    fn a_change_touches_what_it_names_alone(base in world(), at in 0..CARDS, form in 0_u8..12) {
        let base = World { customers: base.customers.iter().map(|form| (*form).max(1)).collect(), ..base };
        let before = fresh(&base.render());
        let mut changed = base;
        changed.cards[at] = form;
        // Without an agent, to keep the row here short.
        changed.cards[at] |= u8::from(form > 0);
        let form = changed.cards[at];
        let expected = contents(&fresh(&changed.render()));
        let keys = keys();
        let mut change = Builder::changing(&before, &keys);
        for id in [format!("k{at}"), format!("other-{at}")] {
            change.remove_card(&id);
        }
        let row = card_row(at, form);
        if form > 0 {
            let text = |name: &str| row[name].as_str().unwrap();
            let like = fresh(&changed.render());
            let view = like.card_by_id(text("id")).unwrap();
            change.add_card(CardRow {
                id: text("id"),
                connection: text("connection"),
                issuer_token: text("issuerToken"),
                customer_id: view.customer.id(),
                agent_id: None,
                usage: view.card.usage(),
                status: view.card.status(),
                frozen: view.card.is_frozen(),
                created_at: None,
                merchant_lock: None,
                policy: view.card.policy().cloned().unwrap_or_default(),
                shadow: None,
            }).unwrap();
        }
        let after = change.finish(8);
        prop_assert_eq!(contents(&after), expected);
    }
}

/// What [`Snapshot::impact_of`] should count, without its short cuts.
fn declined_one_by_one(before: &Snapshot, after: &Snapshot) -> usize {
    let usable = |view: &CardView<'_>| {
        let text = told(view);
        // The statuses stand in the text as their names; nothing else of these worlds does.
        !["Locked", "Canceled", "Paused", "Disabled", "Suspended"]
            .iter()
            .any(|word| text.contains(word))
            && !view.card.is_frozen()
    };
    let now = before.cards().filter(usable);
    let hit = now.filter(|view| !after.card(view.card.key()).is_some_and(|it| usable(&it)));
    hit.count()
}

// === what is shared ===

fn many(cards: usize, change: impl Fn(usize, &mut Value)) -> Value {
    let card = |at: usize| {
        let mut row = json!({"id": format!("k{at}"), "connection": "acme", "issuerToken": format!("t{at}"),
                             "customerId": "c", "policy": {"limits": {"perDay": 100}}});
        change(at, &mut row);
        row
    };
    let rows: Vec<Value> = (0..cards).map(card).filter(|row| !row.is_null()).collect();
    json!({"customers": [{"id": "c"}], "agents": [], "cards": rows})
}

#[test]
fn policies_are_shared_over_versions_and_among_new_cards() {
    let before = fresh(&many(10, |_, _| ()));
    let same = before.card_by_id("k0").unwrap().card.policy().unwrap();
    let renamed = many(13, |at, row| {
        if at == 3 {
            row["status"] = json!("locked");
        }
    });
    let after = next(&before, &renamed).unwrap();
    for at in 0..13 {
        let view = after.card_by_id(&format!("k{at}")).unwrap();
        assert!(std::ptr::eq(view.card.policy().unwrap(), same), "k{at}");
    }
}

#[test]
fn positions_of_rows_that_went_are_filled_again_in_the_version_after() {
    let customers = |ids: &[&str]| {
        let rows: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
        let cards: Vec<Value> = ids
            .iter()
            .map(|id| json!({"id": format!("k-{id}"), "connection": "acme", "issuerToken": id, "customerId": id}))
            .collect();
        json!({"customers": rows, "agents": [], "cards": cards})
    };
    let mut snapshot = Snapshot::empty();
    for round in 0..50 {
        let ids = [
            format!("c{round}"),
            format!("c{}", round + 1),
            "stays".to_owned(),
        ];
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        snapshot = next(&snapshot, &customers(&ids)).unwrap();
        assert_eq!(snapshot.customer_count(), 3);
        for id in &ids {
            let view = snapshot.card_by_id(&format!("k-{id}")).unwrap();
            assert_eq!(view.customer.id(), *id);
        }
    }
    assert!(
        snapshot.customer_room() <= 5,
        "{}",
        snapshot.customer_room()
    );
}

// === cards keep their customers ===

const TWO_CUSTOMERS: &str = r#"{"customers": [{"id": "c1"}, {"id": "c2"}], "agents": [],
"cards": [
{"id": "k1", "connection": "acme", "issuerToken": "t1", "customerId": "c1"},
{"id": "k2", "connection": "acme", "issuerToken": "t2", "customerId": "c2"}]}"#;

#[test]
fn a_card_that_would_change_its_customer_is_refused_at_its_line() {
    let keys = keys();
    let owner = keys.key(KeySpace::Customer, &[b"c1"]);
    let used = keys.key(KeySpace::Card, &[b"acme", b"t2"]);
    let mut past = Past::default();
    past.note_owner(used, owner);
    let nobody = Past::default();
    let moved = TWO_CUSTOMERS
        .replace("\"customerId\": \"c1\"", "\"customerId\": \"c2\"")
        .replace("t2", "t3");
    let in_force = fresh(&serde_json::from_str(&moved).unwrap());
    let empty = Snapshot::empty();
    // Used by another one; and another one's in the snapshot in force, used or not.
    let by_the_ledger = Before {
        snapshot: &empty,
        past: &past,
    };
    let by_the_snapshot = Before {
        snapshot: &in_force,
        past: &nobody,
    };
    let cases = [
        (by_the_ledger, 4, "cards[1].customerId"),
        (by_the_snapshot, 3, "cards[0].customerId"),
    ];
    for (before, line, field) in cases {
        let refused =
            read_next_snapshot(TWO_CUSTOMERS.as_bytes(), CONTEXT, &keys, before).unwrap_err();
        let [error] = refused.errors.as_slice() else {
            panic!("{refused:?}");
        };
        assert_eq!((error.line, error.field.as_str()), (Some(line), field));
        assert!(
            error.message.contains("cannot change its customer"),
            "{error}"
        );
    }
}

/// Whatever was locked, canceled or spent would begin anew.
#[test]
fn a_used_card_keeps_its_key_and_a_used_customer_its_currency() {
    let keys = keys();
    let (card, customer) = (
        keys.key(KeySpace::Card, &[b"acme", b"t1"]),
        keys.key(KeySpace::Customer, &[b"c1"]),
    );
    let mut past = Past::default();
    past.note_owner(card, customer);
    past.note_card(id_key(&keys, "k1"), card);
    past.note_currency(customer, Currency::USD);
    let empty = Snapshot::empty();
    let read = |text: &str| {
        let before = Before {
            snapshot: &empty,
            past: &past,
        };
        let read = read_next_snapshot(text.as_bytes(), CONTEXT, &keys, before);
        let fields = read.err().map(|refused| {
            let fields = refused.errors.into_iter().map(|error| error.field);
            fields.collect::<Vec<_>>()
        });
        fields.unwrap_or_default()
    };
    assert_eq!(read(TWO_CUSTOMERS), [""; 0]);
    assert_eq!(read(&TWO_CUSTOMERS.replace("t2", "t3")), [""; 0]);
    let other = TWO_CUSTOMERS.replace("t1", "t3");
    assert_eq!(read(&other), ["cards[0].issuerToken"]);
    let elsewhere = TWO_CUSTOMERS.replacen("acme", "beta", 1);
    assert_eq!(read(&elsewhere), ["cards[0].issuerToken"]);
    let yen = TWO_CUSTOMERS.replace(r#"{"id": "c1"}"#, r#"{"id": "c1", "currency": "JPY"}"#);
    assert_eq!(read(&yen), ["customers[0].currency"]);
    let yen = TWO_CUSTOMERS.replace(r#"{"id": "c2"}"#, r#"{"id": "c2", "currency": "JPY"}"#);
    assert_eq!(read(&yen), [""; 0]);
}

// === how much is hit ===

/// The cards of [`many`], a hundred of them, after which the change of each is looked at.
fn impact(change: impl Fn(usize, &mut Value)) -> Impact {
    let before = fresh(&many(100, |_, _| ()));
    before.impact_of(&next(&before, &many(100, change)).unwrap(), NOW)
}

#[test]
fn f2_more_than_a_tenth_of_the_active_cards_wants_a_humans_word() {
    let lock = |count: usize| {
        move |at: usize, row: &mut Value| {
            if at < count {
                row["status"] = json!("locked");
            }
        }
    };
    let gone = |count: usize| {
        move |at: usize, row: &mut Value| {
            if at < count {
                *row = Value::Null;
            }
        }
    };
    let freeze = |at: usize, row: &mut Value| row["frozen"] = json!(at < 11);
    let rename = |at: usize, row: &mut Value| {
        if at < 11 {
            row["issuerToken"] = json!(format!("new-{at}"));
        }
    };
    assert_eq!(
        impact(|_, _| ()),
        Impact {
            active: 0,
            declining: 0,
            empties: false
        }
    );
    assert!(!impact(lock(10)).wants_confirmation());
    assert_eq!(
        impact(lock(11)),
        Impact {
            active: 100,
            declining: 11,
            empties: false
        }
    );
    assert!(impact(lock(11)).wants_confirmation());
    assert!(!impact(gone(10)).wants_confirmation());
    assert!(impact(gone(11)).wants_confirmation());
    assert!(impact(freeze).wants_confirmation());
    assert!(impact(rename).wants_confirmation());
    assert!(impact(gone(100)).empties);
    let over = |at: usize, row: &mut Value| {
        if at < 11 {
            row["policy"] = json!({"validUntil": "2026-01-01T00:00:00Z"});
        }
    };
    assert!(impact(over).wants_confirmation());
    // New rules that decline more are the owner's business; it is the card that is looked at.
    assert_eq!(
        impact(|_, row| row["policy"] = json!({"allowedMccs": ["5812"]})).declining,
        0
    );
}

#[test]
fn f2_parents_count_for_all_their_cards_and_what_was_locked_before_for_none() {
    let base = r#"{"customers": [{"id": "c", CUSTOMER}], "agents": [{"id": "a", "customerId": "c", AGENT}],
        "cards": [{"id": "k1", "connection": "acme", "issuerToken": "t1", "customerId": "c", "agentId": "a"},
                  {"id": "k2", "connection": "acme", "issuerToken": "t2", "customerId": "c"},
                  {"id": "k3", "connection": "acme", "issuerToken": "t3", "customerId": "c", "status": "locked"}]}"#;
    let with = |customer: &str, agent: &str| -> Value {
        let text = base.replace("CUSTOMER", customer).replace("AGENT", agent);
        serde_json::from_str(&text).unwrap()
    };
    let active = (r#""status": "active""#, r#""status": "active""#);
    let before = fresh(&with(active.0, active.1));
    let cases = [
        (r#""status": "suspended""#, active.1, 2),
        (r#""currency": "EUR""#, active.1, 2),
        (active.0, r#""status": "paused""#, 1),
        (active.0, r#""status": "disabled""#, 1),
        (active.0, active.1, 0),
    ];
    for (customer, agent, declining) in cases {
        let after = next(&before, &with(customer, agent)).unwrap();
        assert_eq!(
            before.impact_of(&after, NOW).declining,
            declining,
            "{customer} {agent}"
        );
    }
    let nothing = json!({"customers": [], "agents": [], "cards": []});
    let locked = fresh(&with(active.0, active.1)).impact_of(&next(&before, &nothing).unwrap(), NOW);
    assert!(locked.empties && locked.wants_confirmation());
}

#[test]
fn a_status_of_a_card_in_a_change_is_that_of_its_row() {
    let before = fresh(&many(3, |_, _| ()));
    let keys = keys();
    let mut change = Builder::changing(&before, &keys);
    let row = CardRow {
        id: "k1",
        connection: "acme",
        issuer_token: "t1",
        customer_id: "c",
        agent_id: None,
        usage: Usage::Multi,
        status: CardStatus::Locked,
        frozen: false,
        created_at: None,
        merchant_lock: None,
        policy: Policy::default(),
        shadow: None,
    };
    change.add_card(row.clone()).unwrap();
    assert_eq!(change.add_card(row).unwrap_err().field, "id");
    let after = change.finish(8);
    assert_eq!(after.version(), 8);
    assert_eq!(
        after.card_by_id("k1").unwrap().card.status(),
        CardStatus::Locked
    );
    assert_eq!(
        before.card_by_id("k1").unwrap().card.status(),
        CardStatus::Active
    );
    assert_eq!(after.card_count(), 3);
}
