//! Every fixture decodes to the values in this table, and is answered with its reply.

use std::borrow::Cow;

use countersign::domain::acceptor::CardAcceptor;
use countersign::domain::amount::Minor;
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::decision::Decision;
use countersign::domain::mcc::Mcc;
use countersign::issuer::{IssuerKind, SameBy};

use crate::fixture_files::{acceptor, amount, minor, text};
use crate::support::{FIXTURES, decode, fixture, fixture_names, question};

type Request = AuthorizationRequest<'static>;
type Row = (&'static str, Request);

fn in_portland(descriptor: &'static str, mcc: &str) -> CardAcceptor<'static> {
    let place = ["PORTLAND", "US"];
    acceptor(descriptor, mcc, "ACC000000000002", "400012", place)
}

/// The plain purchase, from which the others differ by what their row says. Ids are each fixture's
/// own.
fn purchase() -> Request {
    AuthorizationRequest {
        authorization: text(""),
        step: None,
        delivery: None,
        kind: AuthorizationKind::Authorization,
        card_token: text("5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142"),
        amount: amount(2599, "USD"),
        cash: Minor::ZERO,
        merchant_amount: Some(amount(2599, "USD")),
        acceptor: acceptor(
            "API HOST GMBH",
            "7372",
            "ACC000000000001",
            "191231",
            ["BERLIN", "DE"],
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

fn single(request: Request) -> Request {
    AuthorizationRequest {
        kind: AuthorizationKind::SingleMessage,
        ..request
    }
}

fn chips() -> Request {
    let mut request = of(5000);
    request.cash = minor(5000);
    request.acceptor.descriptor = text("CHIPS AND MORE");
    request.acceptor.mcc = Mcc::parse("7399").ok();
    request
}

fn expected() -> Vec<Row> {
    let mut rows = amounts();
    rows.extend(shapes());
    rows.extend(at_the_till());
    rows.extend(other_kinds());
    rows
}

/// How much, in which currency.
fn amounts() -> Vec<Row> {
    let in_currency = |count, code| AuthorizationRequest {
        amount: amount(count, code),
        merchant_amount: Some(amount(count, code)),
        ..purchase()
    };
    let multi_currency = AuthorizationRequest {
        merchant_amount: Some(amount(2399, "EUR")),
        ..purchase()
    };
    vec![
        ("purchase", purchase()),
        ("purchase.dinar", in_currency(1005, "KWD")),
        ("purchase.exponent", of(10_000)),
        ("purchase.increment", of(500)),
        ("purchase.multi_currency", multi_currency),
        ("purchase.one_decimal", of(1530)),
        ("purchase.verification", of(0)),
        ("purchase.whole", of(20_000)),
        ("purchase.yen", in_currency(150_000, "JPY")),
        ("purchase.zero", of(0)),
        ("verification.product_inquiry", of(0)),
    ]
}

/// What is there, and what is not.
fn shapes() -> Vec<Row> {
    let everything = AuthorizationRequest {
        amount: amount(20_845, "USD"),
        merchant_amount: Some(amount(17_250, "EUR")),
        ..purchase()
    };
    let nothing = CardAcceptor {
        acquirer_id: None,
        acceptor_id: None,
        descriptor: text(""),
        mcc: None,
        city: text(""),
        country: None,
    };
    let absent_optionals = AuthorizationRequest {
        acceptor: nothing,
        card_present: None,
        risk_score: None,
        merchant_amount: None,
        ..purchase()
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
    vec![
        ("purchase.absent_optionals", absent_optionals.clone()),
        ("purchase.business", purchase()),
        ("purchase.escapes", escapes),
        ("purchase.everything", everything),
        ("purchase.null_optionals", absent_optionals),
        ("purchase.outer_user", purchase()),
        ("purchase.second_model", purchase()),
    ]
}

fn at_the_till() -> Vec<Row> {
    let cashback = AuthorizationRequest {
        cash: minor(4000),
        ..in_store(6200)
    };
    let partial_capable = AuthorizationRequest {
        partial_approval_capable: true,
        ..in_store(8800)
    };
    let wallet = AuthorizationRequest {
        risk_score: Some(99),
        ..in_store(1875)
    };
    vec![
        ("financial", single(in_store(3125))),
        ("financial.pindebit", single(in_store(3125))),
        ("financial.pindebit_cashback", single(cashback.clone())),
        ("financial.pindebit_quasi_cash", single(chips())),
        ("purchase.cashback", cashback),
        ("purchase.partial_capable", partial_capable),
        ("purchase.pindebit", in_store(3125)),
        ("purchase.quasi_cash", chips()),
        ("purchase.wallet", wallet),
    ]
}

fn other_kinds() -> Vec<Row> {
    let at_atm = |usd| AuthorizationRequest {
        acceptor: in_portland("FIRST BANK ATM 77", "6011"),
        ..in_store(usd)
    };
    let atm = AuthorizationRequest {
        cash: minor(10_300),
        ..single(at_atm(10_300))
    };
    let balance_inquiry = AuthorizationRequest {
        kind: AuthorizationKind::BalanceInquiry,
        ..at_atm(0)
    };
    let credit = AuthorizationRequest {
        kind: AuthorizationKind::Credit,
        ..of(1999)
    };
    vec![
        ("atm", atm.clone()),
        ("atm.pindebit", atm),
        ("balance_inquiry", balance_inquiry.clone()),
        ("balance_inquiry.pindebit", balance_inquiry),
        ("credit", credit.clone()),
        ("credit.original", credit.clone()),
        ("credit.unload", credit),
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
        // Each fixture is its own message, so that all can be sent to one server.
        let expected = AuthorizationRequest {
            authorization: decoded.authorization.clone(),
            step: decoded.step.clone(),
            delivery: decoded.delivery.clone(),
            ..expected
        };
        assert_eq!(decoded, expected, "{name}");
        assert_eq!(question.same_by, SameBy::Purchase);
        assert_eq!(question.form.amount, decoded.amount);
        let first = decoded.step.as_ref() == Some(&decoded.authorization);
        assert_eq!(first, name != "purchase.increment", "{name}");
        assert!(matches!(decoded.card_token, Cow::Borrowed(_)), "{name}");
    }
}

/// An increment has a token of its own and belongs to the first message's (behaviour 2.5).
#[test]
fn b3_an_increment_names_the_authorization_that_it_adds_to() {
    let (first, increment) = (fixture("purchase"), fixture("purchase.increment"));
    let first = decode(first.as_bytes()).unwrap();
    let increment = decode(increment.as_bytes()).unwrap();
    assert_eq!(increment.authorization, first.authorization);
    assert_ne!(increment.step, first.step);
    assert_ne!(increment.delivery, first.delivery);
}

#[test]
fn every_fixture_is_another_message() {
    FIXTURES.assert_apart(|body| decode(body.as_bytes()).unwrap().step.unwrap().into_owned());
}

#[test]
fn every_fixture_is_answered_with_its_reply() {
    for name in fixture_names() {
        let body = fixture(&name);
        let question = question(body.as_bytes()).unwrap();
        let left = Some(minor(8000));
        let reply = IssuerKind::Marqeta.encode(&question.form, Decision::Approve, left);
        let expected = fixture(&format!("{name}.reply"));
        let text = String::from_utf8_lossy(&reply.body);
        assert_eq!(text, expected.trim_end(), "{name}");
        assert_eq!(
            (reply.status, reply.content_type),
            (200, "application/json")
        );
        assert!(reply.headers.is_empty());
    }
}
