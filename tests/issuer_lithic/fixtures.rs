//! Every fixture decodes to the values in this table, and is answered with its reply.

use std::borrow::Cow;

use countersign::domain::acceptor::{CardAcceptor, Country};
use countersign::domain::amount::Minor;
use countersign::domain::authorization::{AuthorizationKind, AuthorizationRequest};
use countersign::domain::decision::Decision;
use countersign::issuer::IssuerKind;

use crate::fixture_files::{acceptor, amount, minor, text};
use crate::support::{FIXTURES, decode, fixture, fixture_names, question};

fn in_portland(descriptor: &'static str, mcc: &str) -> CardAcceptor<'static> {
    let place = ["PORTLAND", "US"];
    acceptor(descriptor, mcc, "ACC000000000002", "400012", place)
}

/// The plain purchase, from which the others differ by what their row says.
fn purchase() -> AuthorizationRequest<'static> {
    AuthorizationRequest {
        authorization: text("0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a01"),
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

fn of(usd: i64) -> AuthorizationRequest<'static> {
    AuthorizationRequest {
        amount: amount(usd, "USD"),
        merchant_amount: Some(amount(usd, "USD")),
        ..purchase()
    }
}

fn in_store(usd: i64) -> AuthorizationRequest<'static> {
    AuthorizationRequest {
        acceptor: in_portland("CORNER MARKET 0042", "5411"),
        card_present: Some(true),
        ..of(usd)
    }
}

fn at_atm(usd: i64) -> AuthorizationRequest<'static> {
    AuthorizationRequest {
        acceptor: in_portland("FIRST BANK ATM 77", "6011"),
        ..in_store(usd)
    }
}

fn expected() -> Vec<(&'static str, AuthorizationRequest<'static>)> {
    let mut rows = purchases();
    rows.extend(special_purchases());
    rows.extend(annotated_purchases());
    rows.extend(other_kinds());
    rows
}

fn purchases() -> Vec<(&'static str, AuthorizationRequest<'static>)> {
    let everything = AuthorizationRequest {
        step: Some(text("0f0e0d0c-0b0a-4908-8706-050403020100")),
        amount: amount(20_845, "USD"),
        merchant_amount: Some(amount(17_250, "EUR")),
        ..purchase()
    };
    let null_optionals = AuthorizationRequest {
        card_present: None,
        risk_score: None,
        ..purchase()
    };
    let of_2021 = AuthorizationRequest {
        risk_score: None,
        acceptor: acceptor(
            "PAPER AND INK 21",
            "5943",
            "ACC000000000021",
            "400021",
            ["PORTLAND", "US"],
        ),
        ..of(2000)
    };
    vec![
        ("purchase", purchase()),
        ("purchase.2021_shape", of_2021),
        ("purchase.absent_optionals", null_optionals.clone()),
        ("purchase.everything", everything),
        ("purchase.null_optionals", null_optionals),
        ("purchase.zero", of(0)),
    ]
}

fn special_purchases() -> Vec<(&'static str, AuthorizationRequest<'static>)> {
    let cashback = AuthorizationRequest {
        cash: minor(4000),
        ..in_store(6200)
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
    let event_token = AuthorizationRequest {
        step: Some(text("7c3b2a19-51f0-4b62-9a56-9d8e7f605141")),
        ..purchase()
    };
    let fuel = AuthorizationRequest {
        amount: amount(12_500, "USD"),
        acceptor: in_portland("PUMP AND GO 311", "5542"),
        partial_approval_capable: true,
        ..in_store(100)
    };
    let kosovo_yen = AuthorizationRequest {
        amount: amount(150_000, "JPY"),
        merchant_amount: Some(amount(150_000, "JPY")),
        acceptor: CardAcceptor {
            descriptor: text("PRISHTINA SOFT"),
            country: Some(Country::parse_alpha2("XK").unwrap()),
            ..purchase().acceptor
        },
        ..purchase()
    };
    let multi_currency = AuthorizationRequest {
        merchant_amount: Some(amount(2399, "EUR")),
        ..purchase()
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
        ("purchase.cashback", cashback),
        ("purchase.escapes", escapes),
        ("purchase.event_token", event_token),
        ("purchase.hold_larger", fuel),
        ("purchase.kosovo_yen", kosovo_yen),
        ("purchase.multi_currency", multi_currency),
        ("purchase.partial_capable", partial_capable),
        ("purchase.wallet", wallet),
    ]
}

/// What stands beside the purchase and changes nothing of the question.
fn annotated_purchases() -> Vec<(&'static str, AuthorizationRequest<'static>)> {
    let curacao = AuthorizationRequest {
        acceptor: CardAcceptor {
            country: Some(Country::parse_alpha2("AN").unwrap()),
            ..purchase().acceptor
        },
        ..purchase()
    };
    let fuel_status_check = AuthorizationRequest {
        acceptor: in_portland("PUMP AND GO 311", "5542"),
        partial_approval_capable: true,
        ..in_store(100)
    };
    vec![
        ("purchase.challenge_completed", purchase()),
        ("purchase.challenge_pending", purchase()),
        ("purchase.curacao", curacao),
        ("purchase.fuel_status_check", fuel_status_check),
        ("purchase.name_validation", of(0)),
        (
            "purchase.recurring",
            AuthorizationRequest {
                merchant_initiated: true,
                ..purchase()
            },
        ),
        ("purchase.tags", purchase()),
    ]
}

fn other_kinds() -> Vec<(&'static str, AuthorizationRequest<'static>)> {
    let atm = AuthorizationRequest {
        kind: AuthorizationKind::SingleMessage,
        cash: minor(10_300),
        ..at_atm(10_300)
    };
    let balance_inquiry = AuthorizationRequest {
        kind: AuthorizationKind::BalanceInquiry,
        ..at_atm(0)
    };
    let credit = AuthorizationRequest {
        merchant_initiated: true,
        kind: AuthorizationKind::Credit,
        ..of(1999)
    };
    let financial = AuthorizationRequest {
        kind: AuthorizationKind::SingleMessage,
        ..in_store(3125)
    };
    vec![
        (
            "atm.authorization",
            AuthorizationRequest {
                kind: AuthorizationKind::Authorization,
                ..atm.clone()
            },
        ),
        ("atm", atm),
        ("balance_inquiry", balance_inquiry),
        ("credit", credit.clone()),
        ("credit.financial", credit),
        ("financial", financial),
    ]
}

#[test]
fn every_fixture_decodes_to_its_row() {
    let rows = expected();
    FIXTURES.assert_rows(&rows);
    for (name, expected) in rows {
        let body = fixture(name);
        let decoded = decode(body.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        // Each fixture is its own authorization, so that all can be sent to one server.
        let expected = AuthorizationRequest {
            authorization: decoded.authorization.clone(),
            ..expected
        };
        assert_eq!(decoded, expected, "{name}");
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
fn text_without_escapes_is_borrowed_even_where_it_is_optional() {
    let body = fixture("purchase.event_token");
    let decoded = decode(body.as_bytes()).unwrap();
    let acceptor = &decoded.acceptor;
    let texts = [
        decoded.step.as_ref(),
        acceptor.acceptor_id.as_ref(),
        acceptor.acquirer_id.as_ref(),
        Some(&acceptor.descriptor),
        Some(&acceptor.city),
    ];
    for text in texts {
        assert!(matches!(text, Some(Cow::Borrowed(_))), "{text:?}");
    }
}

#[test]
fn every_fixture_is_answered_with_its_reply() {
    for name in fixture_names() {
        let body = fixture(&name);
        let question = question(body.as_bytes()).unwrap();
        let left = Some(minor(8000));
        let reply = IssuerKind::Lithic.encode(&question.form, Decision::Approve, left);
        let expected = fixture(&format!("{name}.reply"));
        assert_eq!(reply.body, expected.trim_end().as_bytes(), "{name}");
        assert_eq!(reply.status, 200);
        assert_eq!(reply.content_type, "application/json");
        assert!(reply.headers.is_empty());
    }
}
