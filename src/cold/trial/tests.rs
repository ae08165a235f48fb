use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;
use proptest::{collection, option, prop_assert, prop_assert_eq};

use super::*;
use crate::decide::document::read_alone;
use crate::decide::evaluate::evaluate;
use crate::domain::authorization::AuthorizationKind;
use crate::domain::identity::{KeySpace, StepIdentity};
use crate::fingerprint::Fingerprinter;
use crate::ledger::command::{Overrule, Shadowed};
use crate::ledger::image;

const START_US: i64 = 1_780_000_000_000_000;

/// Documents that differ in every kind of rule, stateless and not.
const DOCUMENTS: [&str; 14] = [
    "{}",
    r#"{"limits": {"perAuth": 500}}"#,
    r#"{"limits": {"perDay": 1500}}"#,
    r#"{"limits": {"perWeek": {"amount": 2000, "window": "rolling"}}}"#,
    r#"{"limits": {"total": 3000}}"#,
    r#"{"limits": {"countPerHour": 2, "countTotal": 6}}"#,
    r#"{"blockedMccs": ["7995"], "allowedCountries": ["US", "GB"]}"#,
    r#"{"allowedMerchants": ["Blue Bottle"]}"#,
    r#"{"lockToFirstMerchant": true}"#,
    r#"{"cooldownMinutes": 5}"#,
    r#"{"maxRiskScore": 50, "allowCash": true}"#,
    r#"{"allowPartial": true, "limits": {"perDay": 1000}}"#,
    r#"{"expireAfter": {"count": 4}, "fuelHold": 900}"#,
    r#"{"requireAttestation": true}"#,
];

/// One purchase of a story.
#[derive(Clone, Debug)]
struct Buy {
    card: usize,
    authorization: u8,
    after_us: i64,
    amount: i64,
    cash: bool,
    shop: usize,
    risk_score: Option<u8>,
    takes_part: bool,
    /// Taken back at once: it left too late.
    is_late: bool,
    kind: AuthorizationKind,
}

const SHOPS: [(&str, u16, &str, Option<&str>); 4] = [
    ("BLUE BOTTLE #12", 5_812, "US", Some("a-1")),
    ("SQ *GRAND CASINO", 7_995, "DE", None),
    ("SHELL OIL 1", 5_542, "US", Some("a-2")),
    ("ATM 7", 6_011, "GB", None),
];
const CARDS: [&str; 4] = ["c-1", "c-2", "c-3", "s-1"];

fn buys() -> impl Strategy<Value = Vec<Buy>> {
    let kinds = prop_oneof![
        8 => Just(AuthorizationKind::Authorization),
        1 => Just(AuthorizationKind::SingleMessage),
        1 => Just(AuthorizationKind::BalanceInquiry),
        1 => Just(AuthorizationKind::Credit),
    ];
    let amount = prop_oneof![1 => Just(0), 1 => Just(100), 6 => 1..900i64];
    let after = prop_oneof![6 => 0..90_000_000i64, 1 => 0..90_000_000_000i64];
    let who = (0..CARDS.len(), any::<u8>(), after);
    let what = (amount, any::<bool>(), 0..SHOPS.len());
    let more = (
        option::of(0..=99u8),
        any::<bool>(),
        select(vec![false, false, false, true]),
        kinds,
    );
    let buy = (who, what, more).prop_map(|(who, what, more)| Buy {
        card: who.0,
        authorization: who.1 % 40,
        after_us: who.2,
        amount: what.0,
        cash: what.1 && what.2 == 3,
        shop: what.2,
        risk_score: more.0,
        takes_part: more.1,
        is_late: more.2,
        kind: more.3,
    });
    collection::vec(buy, 1..40)
}

fn snapshot(keys: &Fingerprinter, documents: [&str; 3]) -> Snapshot {
    let [card, agent, customer] = documents;
    let row = |id: &str, agent: &str, usage: &str| {
        format!(
            r#"{{"id": "{id}", "connection": "acme", "issuerToken": "t-{id}", "customerId": "cus",
               {agent} "usage": "{usage}", "createdAt": "2026-01-01T00:00:00Z", "policy": {}}}"#,
            if id == "c-1" { card } else { "{}" }
        )
    };
    let of_agent = r#""agentId": "agt","#;
    let cards = [
        row("c-1", of_agent, "multi"),
        row("c-2", of_agent, "multi"),
        row("c-3", "", "multi"),
        row("s-1", of_agent, "single"),
    ];
    let text = format!(
        r#"{{"customers": [{{"id": "cus", "timezone": "Europe/Berlin", "currency": "USD", "policy": {customer}}}],
           "agents": [{{"id": "agt", "customerId": "cus", "policy": {agent}}}],
           "cards": [{}]}}"#,
        cards.join(",")
    );
    read_alone(text.as_bytes(), "test", keys).unwrap()
}

/// What a story came to when it happened.
struct Told {
    state: State,
    frames: Vec<(u64, Vec<u8>)>,
    decisions: Vec<Decision>,
}

impl Told {
    fn apply(&mut self, sequence: u64, events: &check::Events<'_>) {
        let mut frame = Vec::new();
        for event in events.iter() {
            event.encode(&mut frame);
            fold(&mut self.state, event, sequence);
        }
        self.frames.push((sequence, frame));
    }

    fn cast(&self) -> Cast {
        let cards = self.state.cards();
        let agents = (0..).map_while(|no| self.state.agent(AgentNo(no)));
        Cast {
            state: self.state.no,
            key: self.state.key,
            customer: "cus".to_owned(),
            cards: cards
                .map(|it| (it.id.clone(), it.connection.clone()))
                .collect(),
            agents: agents.map(|it| it.id.clone()).collect(),
        }
    }

    fn tried(&self, snapshot: &Snapshot, keys: &Fingerprinter, question: Question<'_>) -> Ended {
        let cast = self.cast();
        let mut trial = Trial::new(snapshot, keys, &cast, question);
        for (sequence, frame) in &self.frames {
            trial.take(*sequence, frame);
        }
        let image = image::encode(&trial.state);
        Ended {
            image,
            outcome: trial.finish(),
        }
    }
}

struct Ended {
    image: Vec<u8>,
    outcome: Outcome,
}

/// Has a story happen, as the hot path does it.
fn tell(snapshot: &Snapshot, keys: &Fingerprinter, buys: &[Buy]) -> Told {
    let view = snapshot.card_by_id("c-1").unwrap();
    let key = view.customer.key();
    let mut told = Told {
        state: State::new(StateNo(3), key, Owner::Customer("cus")),
        frames: Vec::new(),
        decisions: Vec::new(),
    };
    let mut at = Timestamp::from_micros(START_US);
    for (sequence, buy) in (1..).zip(buys) {
        at = at.plus_micros(buy.after_us);
        decide_one(&mut told, snapshot, keys, (sequence * 10, buy, at));
    }
    told
}

fn facts(buy: &Buy) -> Facts<'static> {
    let (descriptor, mcc, country, acceptor_id) = SHOPS[buy.shop];
    let minor = |n: i64| Minor::new(n).unwrap();
    Facts {
        amount: minor(buy.amount),
        cash: minor(if buy.cash { buy.amount } else { 0 }),
        acquirer_id: acceptor_id.map(|_| "400001"),
        acceptor_id,
        descriptor,
        mcc: Some(mcc),
        country: Some(Country::parse_alpha2(country).unwrap().packed()),
        partial_approval_capable: buy.takes_part,
        card_present: Some(buy.cash),
        risk_score: buy.risk_score,
    }
}

/// What the issuer asks; not made by what reads records.
fn asked<'a>(
    authorization: &'a str,
    buy: &Buy,
    facts: &Facts<'static>,
) -> AuthorizationRequest<'a> {
    let (descriptor, mcc, country, _) = SHOPS[buy.shop];
    AuthorizationRequest {
        authorization: authorization.into(),
        step: None,
        delivery: None,
        kind: buy.kind,
        card_token: "".into(),
        amount: amount(facts.amount, Currency::USD),
        cash: facts.cash,
        merchant_amount: None,
        acceptor: CardAcceptor {
            acquirer_id: facts.acquirer_id.map(Into::into),
            acceptor_id: facts.acceptor_id.map(Into::into),
            descriptor: descriptor.into(),
            mcc: Mcc::from_number(mcc).ok(),
            city: "".into(),
            country: Country::parse_alpha2(country),
        },
        partial_approval_capable: facts.partial_approval_capable,
        card_present: facts.card_present,
        merchant_initiated: false,
        risk_score: facts.risk_score,
    }
}

fn decide_one(
    told: &mut Told,
    snapshot: &Snapshot,
    keys: &Fingerprinter,
    (sequence, buy, at): (u64, &Buy, Timestamp),
) {
    let id = CARDS[buy.card];
    let view = snapshot.card_by_id(id).unwrap();
    // An authorization stays with its card.
    let authorization = format!("{id}-{}", buy.authorization);
    let facts = facts(buy);
    let request = asked(&authorization, buy, &facts);
    let proposal = evaluate(&view, &request, at, keys);
    let card = CardRef {
        key: view.card.key(),
        id: view.card.id(),
        connection: view.connection,
        agent: view.agent.map(|agent| AgentRef {
            key: agent.key(),
            id: agent.id(),
        }),
    };
    let key = keys.key(KeySpace::Authorization, &[authorization.as_bytes()]);
    let command = Authorize {
        at,
        step: StepIdentity {
            authorization: key,
            name: None,
            delivery: None,
            content: sequence,
        },
        authorization: &authorization,
        kind: buy.kind,
        amount: request.amount,
        card: Some(card),
        card_key: card.key,
        card_token: "",
        acceptor: &request.acceptor,
        proposal: Some(&proposal),
        shadow: None::<Shadowed<'_>>,
        facts: Some(facts),
        snapshot_version: 1,
        latency_us: 2,
    };
    let Checked { answer, events } = check::authorize(&told.state, &command).unwrap();
    assert_eq!(answer.novelty, Novelty::New);
    told.apply(sequence, &events);
    told.decisions.push(answer.decision);
    let overrule = Overrule {
        authorization: key,
        decided_at: sequence,
        at,
    };
    let undone = buy.is_late.then(|| check::overrule(&told.state, &overrule));
    if let Some(events) = undone.flatten() {
        told.apply(sequence + 1, &events);
    }
}

fn question<'q>(level: Level, policy: &'q Policy) -> Question<'q> {
    Question {
        level,
        id: ["c-1", "agt", "cus"][level as usize],
        policy,
        from: None,
        to: None,
        after: None,
        limit: 1_000,
    }
}

fn policy_of(snapshot: &Snapshot, level: Level) -> Policy {
    let view = snapshot.card_by_id("c-1").unwrap();
    let [card, agent, customer] = view.policies();
    let of_level = match level {
        Level::Card => card,
        Level::Agent => agent,
        Level::Customer => customer,
    };
    of_level.cloned().unwrap_or_default()
}

fn documents() -> impl Strategy<Value = [&'static str; 3]> {
    [
        select(&DOCUMENTS[..]),
        select(&DOCUMENTS[..]),
        select(&DOCUMENTS[..]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// 8.3: what is in force is what decided, to the last counter.
    #[test]
    fn a_trial_of_what_was_in_force_changes_nothing(documents in documents(), buys in buys()) {
        let keys = Fingerprinter::new(7);
        let snapshot = snapshot(&keys, documents);
        let told = tell(&snapshot, &keys, &buys);
        for level in Level::ALL {
            let policy = policy_of(&snapshot, level);
            let ended = told.tried(&snapshot, &keys, question(level, &policy));
            prop_assert_eq!(&ended.outcome.changed, &[]);
            prop_assert_eq!(&ended.outcome.totals, &BTreeMap::new());
            prop_assert_eq!(ended.outcome.unknown_count, 0);
            prop_assert!(ended.image == image::encode(&told.state), "{:?}", level);
        }
    }

    /// 8.3: where nothing follows a decision, a trial comes to what the same purchases come to where
    /// the document is in force.
    #[test]
    fn a_trial_says_what_would_have_happened(
        documents in documents(),
        other in select(&DOCUMENTS[..]),
        level in select(&Level::ALL[..]),
        buys in buys(),
    ) {
        let keys = Fingerprinter::new(7);
        // What comes later to an approval that was none is left out, and so are second steps, and
        // cards that the document does not rule: those are as they were recorded.
        let ruled: &[usize] = match level {
            Level::Card => &[0],
            Level::Agent => &[0, 1, 3],
            Level::Customer => &[0, 1, 2, 3],
        };
        let buys = (0..).zip(buys).map(|(at, buy)| Buy {
            card: ruled[buy.card % ruled.len()],
            authorization: at,
            is_late: false,
            ..buy
        });
        let buys: Vec<Buy> = buys.collect();
        let before = snapshot(&keys, documents);
        let mut changed = documents;
        changed[level as usize] = other;
        let after = snapshot(&keys, changed);
        let (told, would) = (tell(&before, &keys, &buys), tell(&after, &keys, &buys));
        let policy = policy_of(&after, level);
        let ended = told.tried(&before, &keys, question(level, &policy));
        let mut expected = Vec::new();
        for (at, (was, is)) in (1..).zip(told.decisions.iter().zip(&would.decisions)) {
            let differs = was != is && (was.is_approval() || is.is_approval());
            if differs {
                expected.push((at * 10, *was, *is));
            }
        }
        let found = ended.outcome.changed.iter();
        let found: Vec<_> = found.map(|it| (it.sequence, it.recorded, it.tried)).collect();
        prop_assert_eq!(found, expected);
        let of_all = ended.outcome.totals.values().map(|total| total.count).sum::<u64>();
        prop_assert_eq!(of_all, ended.outcome.changed.len() as u64);
    }
}

/// A story of purchases of 400 each at the first shop, a minute apart.
fn plain(count: u8) -> Vec<Buy> {
    let buy = |at| Buy {
        card: 0,
        authorization: at,
        after_us: 60_000_000,
        amount: 400,
        cash: false,
        shop: 0,
        risk_score: None,
        takes_part: false,
        is_late: false,
        kind: AuthorizationKind::Authorization,
    };
    (0..count).map(buy).collect()
}

fn total(outcome: &Outcome, kind: Kind) -> (u64, i64) {
    let total = outcome.totals.get(&(kind, "USD".to_owned()));
    total.map_or((0, 0), |total| (total.count, total.amount))
}

#[test]
fn pages_go_on_behind_the_last_change_and_totals_are_of_all() {
    let keys = Fingerprinter::new(7);
    let snapshot = snapshot(&keys, ["{}"; 3]);
    let told = tell(&snapshot, &keys, &plain(7));
    let policy = policy_of(
        &self::snapshot(&keys, [DOCUMENTS[1], "{}", DOCUMENTS[2]]),
        Level::Customer,
    );
    let mut asked = Question {
        limit: 2,
        ..question(Level::Customer, &policy)
    };
    let mut seen = Vec::new();
    loop {
        let outcome = told.tried(&snapshot, &keys, asked).outcome;
        assert_eq!(total(&outcome, Kind::ApproveToDecline), (4, 1_600));
        assert_eq!((outcome.decision_count, outcome.unknown_count), (7, 0));
        seen.extend(outcome.changed.iter().map(|it| it.sequence));
        if !outcome.has_more {
            break;
        }
        asked.after = seen.last().copied();
    }
    assert_eq!(seen, [40, 50, 60, 70]);
}

#[test]
fn before_its_time_a_document_decides_nothing_and_what_was_spent_counts() {
    let keys = Fingerprinter::new(7);
    let snapshot = snapshot(&keys, ["{}"; 3]);
    let told = tell(&snapshot, &keys, &plain(6));
    let policy = policy_of(
        &self::snapshot(&keys, ["{}", "{}", DOCUMENTS[2]]),
        Level::Customer,
    );
    let minute = |n: i64| Some(Timestamp::from_micros(START_US + n * 60_000_000));
    let asked = Question {
        from: minute(3),
        to: minute(6),
        ..question(Level::Customer, &policy)
    };
    let outcome = told.tried(&snapshot, &keys, asked).outcome;
    // 800 were spent before; one of 400 fits into 1500, and the last is not asked.
    assert_eq!(outcome.decision_count, 3);
    assert_eq!(total(&outcome, Kind::ApproveToDecline), (2, 800));
}

#[test]
fn what_cannot_be_asked_again_counts_as_it_was_and_is_said() {
    let keys = Fingerprinter::new(7);
    let snapshot = snapshot(&keys, ["{}"; 3]);
    let mut told = tell(&snapshot, &keys, &plain(3));
    for (_, frame) in &mut told.frames {
        let events: Vec<_> = events_of(frame).map(Result::unwrap).collect();
        let mut without = Vec::new();
        for mut event in events {
            if let Event::Decided(decided) = &mut event {
                decided.facts = None;
            }
            event.encode(&mut without);
        }
        *frame = without;
    }
    let policy = policy_of(
        &self::snapshot(&keys, [DOCUMENTS[1], "{}", "{}"]),
        Level::Card,
    );
    let outcome = told
        .tried(&snapshot, &keys, question(Level::Card, &policy))
        .outcome;
    assert_eq!((outcome.decision_count, outcome.unknown_count), (3, 3));
    assert!(outcome.totals.is_empty() && !outcome.is_whole);
    // A customer whose first frame is there has whole counters.
    let mut first = Vec::new();
    let opened = Event::StateOpened {
        state: told.state.no,
        key: told.state.key,
        owner: Owner::Customer("cus"),
    };
    opened.encode(&mut first);
    told.frames.insert(0, (1, first));
    let outcome = told
        .tried(&snapshot, &keys, question(Level::Card, &policy))
        .outcome;
    assert!(outcome.is_whole);
}

#[test]
fn what_was_declined_whoever_ruled_stays_declined() {
    let mut trial_of = DeclineReason::ALL
        .iter()
        .filter(|reason| is_of_standing(Decision::Decline(**reason)));
    let first_two = [trial_of.next(), trial_of.next()];
    let expected = [DeclineReason::CardUnknown, DeclineReason::CardCanceled];
    assert_eq!(first_two, expected.each_ref().map(Some));
    assert_eq!(trial_of.count(), 4);
    assert!(!is_of_standing(Decision::Approve));
}
