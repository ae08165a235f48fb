//! The snapshot document, as JSON and as JSON lines: refused whole with places, or taken whole
//! (behaviour 3.4, 11.3; hazard F1).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use countersign::decide::document::{DocumentContext, DocumentRefused, read_snapshot};
use countersign::decide::evaluate::evaluate;
use countersign::decide::snapshot::{CardView, Snapshot};
use countersign::domain::acceptor::{CardAcceptor, Country};
use countersign::domain::amount::{Amount, Minor};
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::claims::Proposal;
use countersign::domain::currency::Currency;
use countersign::domain::decision::DeclineReason;
use countersign::domain::mcc::Mcc;
use countersign::domain::time::Timestamp;
use countersign::fingerprint::Fingerprinter;
use serde::Deserialize;
use serde_json::value::RawValue;

const PROBLEMS_MAX: usize = 20;
const NOW_S: i64 = 1_795_194_000;

fn read(bytes: &[u8]) -> Result<Snapshot, DocumentRefused> {
    let context = DocumentContext {
        file: "snapshot.json",
        connections: &["acme", "beta", "sandbox"],
        version: 7,
    };
    read_snapshot(bytes, context, &Fingerprinter::new(1))
}

pub(crate) fn run(bytes: &[u8]) {
    match read(bytes) {
        Ok(snapshot) => {
            check_taken(bytes, &snapshot);
            for card in snapshot.cards() {
                check_card(&card);
            }
        }
        Err(refused) => check_refused(bytes, &refused),
    }
}

fn check_refused(bytes: &[u8], refused: &DocumentRefused) {
    let DocumentRefused { errors, more_count } = refused;
    assert!((1..=PROBLEMS_MAX).contains(&errors.len()), "{errors:?}");
    assert!(
        *more_count == 0 || errors.len() == PROBLEMS_MAX,
        "{errors:?}"
    );
    let lines = bytes.split(|byte| *byte == b'\n').count();
    for error in errors {
        let line = error.line.unwrap_or_default();
        assert!((1..=lines).contains(&line), "{error}");
        assert!(!error.message.is_empty());
        let text = error.to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    customers: Vec<&'a RawValue>,
    #[serde(borrow)]
    agents: Vec<&'a RawValue>,
    #[serde(borrow)]
    cards: Vec<&'a RawValue>,
}

/// Nothing was left out, and the other spelling says the same.
fn check_taken(bytes: &[u8], snapshot: &Snapshot) {
    let text = str::from_utf8(bytes).unwrap();
    let counts = [
        snapshot.customer_count(),
        snapshot.agent_count(),
        snapshot.card_count(),
    ];
    let Ok(document) = serde_json::from_str::<Document<'_>>(text) else {
        // JSON lines: each line but an empty one or the schema's is a row.
        let rows = text.split('\n').map(str::trim_ascii);
        let rows = rows.filter(|line| !line.is_empty()).map(|line| {
            let row: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(line).unwrap();
            assert_eq!(row.len(), 1, "{line}");
            row.into_keys().next().unwrap()
        });
        let kinds: Vec<_> = rows.filter(|kind| kind != "schema").collect();
        let of = |name| kinds.iter().filter(|kind| *kind == name).count();
        assert_eq!(counts, [of("customer"), of("agent"), of("card")]);
        assert_eq!(counts.iter().sum::<usize>(), kinds.len());
        return;
    };
    let rows = [&document.customers, &document.agents, &document.cards];
    assert_eq!(counts, rows.map(Vec::len));
    if counts == [0; 3] {
        return;
    }
    let mut lines = String::new();
    for (kind, rows) in ["customer", "agent", "card"].iter().zip(rows) {
        for row in rows {
            let row = row.get().replace(['\n', '\r'], " ");
            writeln!(lines, "{{\"{kind}\":{row}}}").unwrap();
        }
    }
    let other = read(lines.as_bytes()).unwrap_or_else(|errors| panic!("{errors:?}\n{lines}"));
    assert_eq!(described(snapshot), described(&other));
}

/// Everything about every card, in the order of their keys.
fn described(snapshot: &Snapshot) -> BTreeMap<u128, String> {
    let cards = snapshot.cards().map(|view| {
        let customer = view.customer;
        let of_customer = (
            customer.id(),
            customer.status(),
            customer.currency(),
            customer.cascade(),
            customer.policy(),
            customer.zone().windows_at(NOW_S),
        );
        let text = format!("{:?} {:?} {of_customer:?}", view.card, view.agent);
        (view.card.key().0, text)
    });
    cards.collect()
}

/// One purchase in the card's currency.
fn ask(
    kind: AuthorizationKind,
    minor: i64,
    mcc: u16,
    currency: Currency,
) -> AuthorizationRequest<'static> {
    AuthorizationRequest {
        authorization: Cow::Borrowed("a"),
        step: None,
        delivery: None,
        kind,
        card_token: Cow::Borrowed("t"),
        amount: Amount {
            minor: Minor::new(minor).unwrap(),
            currency,
        },
        cash: Minor::ZERO,
        merchant_amount: None,
        acceptor: CardAcceptor {
            acquirer_id: None,
            acceptor_id: None,
            descriptor: Cow::Borrowed("SQ *BLUE BOTTLE"),
            mcc: Mcc::from_number(mcc).ok(),
            city: Cow::Borrowed("Oakland"),
            country: Country::parse_alpha3("USA"),
        },
        partial_approval_capable: false,
        card_present: Some(false),
        merchant_initiated: false,
        risk_score: Some(50),
    }
}

/// Whatever the rules: more money never passes where less does not, a block always blocks, and
/// money back is never stopped.
fn check_card(card: &CardView<'_>) {
    let keys = Fingerprinter::new(1);
    let currency = card.customer.currency();
    let propose = |kind, minor, mcc| -> Proposal {
        let now = Timestamp::from_secs(NOW_S);
        evaluate(card, &ask(kind, minor, mcc, currency), now, &keys)
    };
    let refuses = |it: &Proposal| it.standing.is_some() || it.rule.is_some();
    for mcc in [5_812, 5_734, 7_995, 6_011] {
        let amounts = [0, 1, 5_000, 20_000, Minor::MAX.get()];
        let purchases = amounts.map(|minor| propose(AuthorizationKind::Authorization, minor, mcc));
        let refused: Vec<bool> = purchases.iter().map(refuses).collect();
        assert!(refused.is_sorted(), "more money passed: {refused:?}");
        let blocked = card.policies().into_iter().flatten().any(|policy| {
            let code = Mcc::from_number(mcc).unwrap();
            let blocked = policy.lists().and_then(|it| it.blocked_mccs.as_deref());
            blocked.is_some_and(|set| set.contains(code))
        });
        let tightens = card.customer.cascade() == Default::default();
        if blocked && tightens {
            assert!(refused.iter().all(|it| *it), "{mcc} is blocked and passed");
        }
        assert!(!refuses(&propose(AuthorizationKind::Credit, 100, mcc)));
    }
    let other = [Currency::USD, Currency::EUR]
        .into_iter()
        .find(|it| *it != currency);
    let now = Timestamp::from_secs(NOW_S);
    let asked = ask(AuthorizationKind::Authorization, 1, 5_812, other.unwrap());
    let foreign = evaluate(card, &asked, now, &keys);
    let reason = foreign.rule.map(|it| it.reason);
    assert!(reason == Some(DeclineReason::CurrencyNotSupported) || foreign.standing.is_some());
}
