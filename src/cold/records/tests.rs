use super::*;

fn record() -> DecisionRecord {
    DecisionRecord {
        id: DecisionId(1).to_string(),
        at: String::new(),
        connection: Some("acme".to_owned()),
        authorization: "auth_1".to_owned(),
        step: 1,
        card: None,
        agent: None,
        customer: None,
        amount: 0,
        approved_amount: 0,
        currency: String::new(),
        decision: "approve",
        reason: None,
        explanation: None,
        shadow: None,
        attestation: "unattested",
        stand_in: false,
        snapshot_version: 1,
        latency_us: 1,
        deliveries: 1,
    }
}

/// What the index finds by hash is compared by name: two names can share a hash.
#[test]
fn a_record_with_another_name_is_not_admitted() {
    let (any, other) = (Filter::default(), Some("other"));
    let card = Some("crd_1");
    let cases = [
        (any, true),
        (
            Filter {
                connection: Some("acme"),
                ..any
            },
            true,
        ),
        (
            Filter {
                connection: other,
                ..any
            },
            false,
        ),
        (
            Filter {
                authorization: Some("auth_1"),
                ..any
            },
            true,
        ),
        (
            Filter {
                authorization: other,
                ..any
            },
            false,
        ),
        (Filter { card, ..any }, false),
    ];
    for (filter, expected) in cases {
        assert_eq!(filter.admits(&record()), expected, "{filter:?}");
    }
    let with_card = DecisionRecord {
        card: card.map(str::to_owned),
        ..record()
    };
    assert!(Filter { card, ..any }.admits(&with_card));
    assert!(!Filter { card: other, ..any }.admits(&with_card));
}

#[test]
fn ids_and_cursors_are_read_as_they_are_written() {
    for number in [0, 1, 0xabc, u64::MAX] {
        let id = DecisionId(number);
        assert_eq!(DecisionId::parse(&id.to_string()), Some(id));
        let cursor = Cursor(number);
        assert_eq!(Cursor::parse(&cursor.text()), Some(cursor));
    }
    assert_eq!(DecisionId(0xabc).to_string(), "dec_0000000000000abc");
    for strange in [
        "",
        "dec_",
        "dec_abc",
        "dec_0000000000000ABC",
        "dec_+000000000000abc",
    ] {
        assert_eq!(DecisionId::parse(strange), None, "{strange}");
    }
}
