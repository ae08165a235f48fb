use super::*;

/// What a file of these keys comes to, without issuers and so with the sandbox.
fn load(text: &str) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("countersign.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(Overrides {
        config: Some(path),
        ..Overrides::default()
    })
}

#[test]
fn what_is_absent_has_its_default() {
    let config = load("").unwrap();
    assert_eq!(config.snapshot_poll, Some(Duration::from_secs(1)));
    assert_eq!((config.retention_days, config.records_days), (45, 400));
    assert_eq!(config.records_indexed_max, 10_000_000);
    assert_eq!(config.purchases.requests_per_minute_max, 600);
    assert_eq!(config.purchases.reviews_waiting_max, 1_000);
    assert_eq!(config.webhooks.ports, [0; PORTS_MAX]);
}

#[test]
fn what_agents_may_ask_and_where_webhooks_lead_have_bounds() {
    let asks = load("[purchases]\nrequests_per_minute_max = 1\nreviews_waiting_max = 1000000");
    let asks = asks.unwrap().purchases;
    assert_eq!(
        (asks.requests_per_minute_max, asks.reviews_waiting_max),
        (1, 1_000_000)
    );
    for key in ["requests_per_minute_max", "reviews_waiting_max"] {
        for wrong in ["0", "1000001"] {
            let error = load(&format!("[purchases]\n{key} = {wrong}"));
            let error = error.err().unwrap();
            assert!(
                error.place.ends_with(&format!("purchases.{key}")),
                "{error}"
            );
        }
    }
    let ports = load("[webhooks]\nports = [9443, 10443]")
        .unwrap()
        .webhooks
        .ports;
    assert_eq!(ports.get(..3), Some(&[9443, 10443, 0][..]));
    let many = vec!["9443"; PORTS_MAX + 1].join(", ");
    for wrong in ["0", &many] {
        let error = load(&format!("[webhooks]\nports = [{wrong}]"));
        let error = error.err().unwrap();
        assert!(error.place.ends_with("webhooks.ports"), "{error}");
    }
}

#[test]
fn alerts_are_kept_as_long_as_records_or_for_a_month_at_least_or_for_ever() {
    let days = |alerts: &str| load(&format!("[alerts]\n{alerts}")).map(|it| it.alerts.kept_days);
    assert_eq!(days("").unwrap(), 400);
    assert_eq!(days("kept_days = 32").unwrap(), 32);
    assert_eq!(days("kept_days = 0").unwrap(), 0);
    for wrong in ["kept_days = 31", "kept_days = 3651", "kept_days = -1"] {
        let error = days(wrong).unwrap_err();
        assert!(error.place.ends_with("alerts.kept_days"), "{error}");
    }
}

#[test]
fn records_are_kept_at_least_as_long_as_authorizations() {
    let days = |ledger: &str| load(&format!("[ledger]\n{ledger}")).map(|it| it.records_days);
    assert_eq!(days("records_days = 45").unwrap(), 45);
    assert_eq!(days("retention_days = 500").unwrap(), 500);
    assert_eq!(days("retention_days = 90\nrecords_days = 90").unwrap(), 90);
    for refused in [
        "records_days = 44",
        "records_days = 3651",
        "retention_days = 90\nrecords_days = 89",
    ] {
        let error = days(refused).unwrap_err();
        assert!(error.place.ends_with("ledger.records_days"), "{error}");
        assert!(error.message.contains("retention_days"), "{error}");
    }
}

#[test]
fn numbers_outside_their_bounds_are_refused_by_their_key() {
    let poll = |millis: &str| load(&format!("snapshot_poll_ms = {millis}"));
    assert_eq!(poll("0").unwrap().snapshot_poll, None);
    assert_eq!(
        poll("50").unwrap().snapshot_poll,
        Some(Duration::from_millis(50))
    );
    let indexed = |count: &str| load(&format!("[ledger]\nrecords_indexed_max = {count}"));
    assert_eq!(indexed("100000").unwrap().records_indexed_max, 100_000);
    for (refused, key) in [
        (poll("49"), "snapshot_poll_ms"),
        (poll("3600001"), "snapshot_poll_ms"),
        (indexed("99999"), "ledger.records_indexed_max"),
        (indexed("1000000001"), "ledger.records_indexed_max"),
    ] {
        let Err(error) = refused else {
            panic!("{key} is not refused");
        };
        assert!(error.place.ends_with(key), "{error}");
    }
}

#[test]
fn i9_holds_live_a_week_or_a_month_and_the_long_ones_never_shorter() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let head = format!(
        "snapshot = \"cards.json\"\n[[issuer]]\nname = \"acme\"\nkind = \"lithic\"\nsecrets = [\"file:{}\"]\n",
        secret.display()
    );
    let days = |text: &str| {
        let config = load(&format!("{head}{text}"))?;
        let HoldDays { usual, long } = config.issuers[0].hold_days;
        Ok::<_, ConfigError>((usual, long))
    };
    for (text, expected) in [
        ("", (7, 31)),
        ("hold_days = 1", (1, 31)),
        ("hold_days = 40", (40, 40)),
        ("hold_days_long = 7", (7, 7)),
        ("hold_days = 3\nhold_days_long = 3650", (3, 3_650)),
    ] {
        assert_eq!(days(text).unwrap(), expected, "{text}");
    }
    for (text, key) in [
        ("hold_days = 0", "hold_days"),
        ("hold_days = 3651", "hold_days"),
        ("hold_days_long = 6", "hold_days_long"),
        ("hold_days = 9\nhold_days_long = 8", "hold_days_long"),
        ("hold_days_long = 3651", "hold_days_long"),
    ] {
        let error = days(text).unwrap_err();
        assert!(error.place.ends_with(&format!(".{key}")), "{error}");
    }
}

#[test]
fn a_key_is_found_in_its_line_or_as_much_of_it_as_is_there() {
    let text = "snapshot = \"a\"\n\n[server]\nlisten = \"x\"\n\n[[issuer]]\nname = \"a\"\n\
                secrets = [\n  \"env:A\",\n  \"env:B\",\n]\n\n[[issuer]]\nname = \"b\"\n\
                headers = { x-key = [\"env:C\"] }\n";
    for (key, line) in [
        ("snapshot", Some(1)),
        ("server.listen", Some(4)),
        ("server.ops_listen", Some(3)),
        ("issuer[0].name", Some(7)),
        ("issuer[0].secrets[1]", Some(10)),
        ("issuer[0].deadline_ms", Some(6)),
        ("issuer[1].headers.x-key[0]", Some(15)),
        ("issuer[2].name", Some(6)),
        ("ledger.durability", None),
    ] {
        assert_eq!(file::line_of(text, key), line, "{key}");
    }
    assert_eq!(file::line_of("[server", "server"), None);
}

#[test]
fn listeners_meet_where_they_want_one_port_of_one_interface() {
    for (one, other, expected) in [
        ("127.0.0.1:1", "127.0.0.1:1", true),
        ("127.0.0.1:1", "127.0.0.1:2", false),
        ("127.0.0.1:1", "127.0.0.2:1", false),
        ("0.0.0.0:1", "127.0.0.2:1", true),
        ("127.0.0.2:1", "0.0.0.0:1", true),
        ("[::]:1", "127.0.0.2:1", false),
        ("[::1]:1", "[::]:1", true),
    ] {
        let met = meet(parse_address(one).unwrap(), parse_address(other).unwrap());
        assert_eq!(met, expected, "{one} {other}");
    }
    let any = load("[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\"\n");
    assert!(any.is_ok());
}
