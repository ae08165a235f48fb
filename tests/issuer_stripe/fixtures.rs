//! Every fixture decodes to the values in this table, and is answered with its reply.

use std::borrow::Cow;

use countersign::domain::acceptor::{CardAcceptor, Country};
use countersign::domain::amount::Minor;
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::decision::Decision;
use countersign::issuer::{IssuerKind, SameBy};

use crate::fixture_files::{acceptor, amount, minor, text};
use crate::support::{FIXTURES, decode, fixture, fixture_names, question};

type Request = AuthorizationRequest<'static>;

fn in_portland(descriptor: &'static str, mcc: &str) -> CardAcceptor<'static> {
    let place = ["Portland", "US"];
    acceptor(descriptor, mcc, "ACC000000000002", "400012", place)
}

/// The plain purchase, from which the others differ by what their row says. Ids are each fixture's
/// own.
fn purchase() -> Request {
    AuthorizationRequest {
        authorization: text(""),
        step: Some(text("0")),
        delivery: None,
        kind: AuthorizationKind::Authorization,
        card_token: text("ic_1QwErTyUiOpAsDfGhJkLzXcV"),
        amount: amount(2599, "USD"),
        cash: Minor::ZERO,
        merchant_amount: Some(amount(2599, "USD")),
        acceptor: acceptor(
            "API HOST GMBH",
            "5734",
            "1234567890",
            "191231",
            ["Berlin", "DE"],
        ),
        partial_approval_capable: false,
        card_present: Some(false),
        merchant_initiated: false,
        risk_score: Some(12),
    }
}

fn of(usd: i64) -> Request {
    AuthorizationRequest {
        amount: amount(usd, "USD"),
        merchant_amount: Some(amount(usd, "USD")),
        ..purchase()
    }
}

fn in_store(usd: i64) -> Request {
    AuthorizationRequest {
        acceptor: in_portland("CORNER MARKET 0042", "5411"),
        card_present: Some(true),
        ..of(usd)
    }
}

fn with_acceptor(request: Request, change: impl FnOnce(&mut CardAcceptor<'static>)) -> Request {
    let mut request = request;
    change(&mut request.acceptor);
    request
}

fn country(letters: &str) -> Option<Country> {
    Some(Country::parse_alpha2(letters).unwrap())
}

fn expected() -> Vec<(&'static str, Request)> {
    let mut rows = purchases();
    rows.extend(steps());
    rows.extend(at_the_till());
    rows
}

fn purchases() -> Vec<(&'static str, Request)> {
    let everything = AuthorizationRequest {
        amount: amount(20_845, "USD"),
        merchant_amount: Some(amount(17_250, "EUR")),
        ..purchase()
    };
    let no_merchant = CardAcceptor {
        acquirer_id: None,
        acceptor_id: None,
        descriptor: text(""),
        mcc: None,
        city: text(""),
        country: None,
    };
    let null_optionals = AuthorizationRequest {
        acceptor: no_merchant,
        card_present: None,
        risk_score: None,
        ..purchase()
    };
    let absent_optionals = AuthorizationRequest {
        merchant_amount: None,
        ..null_optionals.clone()
    };
    let escapes = AuthorizationRequest {
        acceptor: acceptor(
            "CAFÉ \"LE CŒUR\" \\ 東京/店\t№1",
            "5812",
            "ACCé\"7",
            "191231",
            ["\u{1}+81 3 0000 0000", "JP"],
        ),
        ..of(4350)
    };
    let yen = AuthorizationRequest {
        amount: amount(150_000, "JPY"),
        merchant_amount: Some(amount(150_000, "JPY")),
        ..with_acceptor(purchase(), |it| it.country = country("JP"))
    };
    // Two million hundredths of a krona, which has none.
    let krona = AuthorizationRequest {
        amount: amount(150_000, "USD"),
        merchant_amount: Some(amount(20_000, "ISK")),
        ..with_acceptor(purchase(), |it| it.country = country("IS"))
    };
    let multi_currency = AuthorizationRequest {
        merchant_amount: Some(amount(2399, "EUR")),
        ..purchase()
    };
    vec![
        ("purchase", purchase()),
        ("purchase.absent_optionals", absent_optionals),
        ("purchase.escapes", escapes),
        ("purchase.everything", everything),
        ("purchase.krona", krona),
        ("purchase.multi_currency", multi_currency),
        ("purchase.null_optionals", null_optionals),
        ("purchase.test_mode", purchase()),
        ("purchase.yen", yen),
    ]
}

/// Later messages of one authorization, and a verification.
fn steps() -> Vec<(&'static str, Request)> {
    let increment = AuthorizationRequest {
        step: Some(text("1")),
        ..of(500)
    };
    let second_increment = AuthorizationRequest {
        step: Some(text("2")),
        ..of(1)
    };
    let zero = AuthorizationRequest {
        risk_score: None,
        ..of(0)
    };
    vec![
        ("purchase.increment", increment),
        ("purchase.second_increment", second_increment),
        ("purchase.zero", zero),
    ]
}

fn at_the_till() -> Vec<(&'static str, Request)> {
    let cashback = AuthorizationRequest {
        cash: minor(4000),
        ..in_store(6200)
    };
    let controllable = AuthorizationRequest {
        partial_approval_capable: true,
        ..in_store(8800)
    };
    let fuel = AuthorizationRequest {
        acceptor: in_portland("PUMP AND GO 311", "5542"),
        partial_approval_capable: true,
        ..in_store(100)
    };
    let wallet = AuthorizationRequest {
        risk_score: Some(99),
        ..in_store(1875)
    };
    let keyed_in = AuthorizationRequest {
        card_present: None,
        ..purchase()
    };
    let atm = AuthorizationRequest {
        acceptor: in_portland("FIRST BANK ATM 77", "6011"),
        cash: minor(10_300),
        ..in_store(10_300)
    };
    vec![
        ("atm", atm),
        ("purchase.cashback", cashback.clone()),
        ("purchase.cashback_outside", cashback),
        ("purchase.controllable", controllable),
        ("purchase.fuel", fuel),
        ("purchase.keyed_in", keyed_in),
        ("purchase.swipe", in_store(3125)),
        ("purchase.wallet", wallet),
    ]
}

#[test]
fn every_fixture_decodes_to_its_row() {
    let rows = expected();
    FIXTURES.assert_rows(&rows);
    for (name, expected) in rows {
        let body = fixture(name);
        let question = question(body.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let decoded = question.request;
        // Each fixture is its own authorization and event, so that all can be sent to one server.
        let expected = AuthorizationRequest {
            authorization: decoded.authorization.clone(),
            delivery: decoded.delivery.clone(),
            ..expected
        };
        assert_eq!(decoded, expected, "{name}");
        assert!(decoded.authorization.starts_with("iauth_"), "{name}");
        assert!(
            decoded.delivery.as_ref().unwrap().starts_with("evt_"),
            "{name}"
        );
        assert_eq!(question.same_by, SameBy::Purchase);
        assert_eq!(question.form.amount, decoded.amount);
        for text in [&decoded.authorization, &decoded.card_token] {
            assert!(
                matches!(text, Cow::Borrowed(_)),
                "{name}: {text} was copied"
            );
        }
    }
}

#[test]
fn every_fixture_is_another_authorization() {
    FIXTURES.assert_apart(|body| decode(body.as_bytes()).unwrap().authorization.into_owned());
}

#[test]
fn every_fixture_is_answered_with_its_reply() {
    for name in fixture_names() {
        let body = fixture(&name);
        let question = question(body.as_bytes()).unwrap();
        let reply = IssuerKind::Stripe.encode(&question.form, Decision::Approve, None);
        let expected = fixture(&format!("{name}.reply"));
        assert_eq!(reply.body, expected.trim_end().as_bytes(), "{name}");
        assert_eq!(reply.status, 200);
    }
}
