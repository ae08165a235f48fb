//! Rolling limits and limits on numbers of approvals as operators see them.

use std::sync::Arc;

use countersign::domain::time::Timestamp;
use serde_json::{Value, json};

use crate::router::Ops;
use crate::store::{Ask, RULES};

const MINUTE_US: i64 = 60_000_000;

/// The usual rules with the first customer in this zone.
fn rules_in(zone: &str) -> String {
    let from = r#"{"id": "cus_1", "currency""#;
    assert!(RULES.contains(from));
    let to = format!(r#"{{"id": "cus_1", "timezone": "{zone}", "currency""#);
    RULES.replace(from, &to)
}

/// The usual rules with these policies of card, agent and customer instead of theirs.
fn rules() -> String {
    let policies = [
        (
            r#"{"limits": {"perAuth": 4000, "perDay": 5000, "total": 70000}, "allowedMccs": ["5812", "3000-3350"]}"#,
            r#"{"limits": {"perDay": {"amount": 5000, "window": "rolling"}, "countPerHour": 3},
                "expireAfter": {"count": 4, "spend": 6000}}"#,
        ),
        (
            r#"{"lockToFirstMerchant": true, "limits": {"perWeek": 800000}}"#,
            r#"{"limits": {"perWeek": {"amount": 800000, "window": "rolling"}, "countPerDay": 2}}"#,
        ),
        (
            r#"{"limits": {"perMonth": 900000}, "blockedMccs": ["7995"]}"#,
            r#"{"limits": {"perMonth": {"amount": 900000, "window": "rolling"}, "countTotal": 9}}"#,
        ),
        (
            r#""currency": "USD"}
  ],
  "agents""#,
            r#""currency": "USD", "policy": {"limits": {"perDay": {"amount": 7, "window": "rolling"}}}}
  ],
  "agents""#,
        ),
    ];
    let mut rules = RULES.to_owned();
    for (from, to) in policies {
        assert!(rules.contains(from), "{from}");
        rules = rules.replace(from, to);
    }
    rules
}

fn reloaded(ops: &Ops, rules: String) {
    std::fs::write(ops.rules_path(), rules).unwrap();
    assert_eq!(ops.post("/admin/reload").status, 200);
}

/// When a charge leaves a span of so many days: with the whole bucket that holds it.
fn leaves(at: Timestamp, days: i64) -> String {
    let width = days * MINUTE_US;
    let leaves = (at.micros().div_euclid(width) + 1_441) * width;
    let leaves = Timestamp::from_micros(leaves);
    leaves.rfc3339_seconds().to_string()
}

fn rolling(level: &str, field: &str, limit: i64, spent: Option<i64>, resets_at: &Value) -> Value {
    json!({
        "level": level, "field": field, "window": "rolling", "limit": limit, "spent": spent,
        "held": spent, "remaining": spent.map(|spent| limit - spent), "resetsAt": resets_at,
    })
}

fn count(level: &str, field: &str, limit: u32, used: u32, resets_at: &Value) -> Value {
    json!({
        "level": level, "field": field, "limit": limit, "used": used,
        "remaining": limit - used, "resetsAt": resets_at,
    })
}

#[test]
fn rolling_limits_and_counts_are_shown_with_what_is_left_of_them() {
    let ops = Ops::ready();
    let at = ops.clock().now();
    ops.authorize(Ask {
        at,
        minor: 1_000,
        ..ops.ask()
    });
    reloaded(&ops, rules());
    let spend_of_card = |spent: i64| {
        json!({
            "level": "card", "field": "expireAfter.spend", "window": null, "limit": 6_000,
            "spent": spent, "held": spent, "remaining": 6_000 - spent, "resetsAt": null,
        })
    };
    // Until the first authorization under it nobody has added up what its span holds.
    let shown = ops.get("/admin/cards/crd_1").json();
    let never = Value::Null;
    let expected = json!([
        rolling("card", "limits.perDay", 5_000, None, &never),
        rolling("agent", "limits.perWeek", 800_000, None, &never),
        rolling("customer", "limits.perMonth", 900_000, None, &never),
        spend_of_card(1_000),
    ]);
    assert_eq!(shown["limits"], expected);

    ops.authorize(Ask {
        at,
        minor: 700,
        authorization: "auth_2",
        ..ops.ask()
    });
    let shown = ops.get("/admin/cards/crd_1").json();
    let leaves = |days| json!(leaves(at, days));
    let expected = json!([
        rolling("card", "limits.perDay", 5_000, Some(1_700), &leaves(1)),
        rolling("agent", "limits.perWeek", 800_000, Some(1_700), &leaves(7)),
        rolling(
            "customer",
            "limits.perMonth",
            900_000,
            Some(1_700),
            &leaves(30)
        ),
        spend_of_card(1_700),
    ]);
    assert_eq!(shown["limits"], expected);

    // The clock may have come to the next hour or day since.
    let snapshot = Arc::clone(&ops.snapshots.load());
    let view = snapshot.card_by_id("crd_1").unwrap();
    let zone = view.customer.zone();
    let now = ops.clock().now().secs();
    let of_hour = u32::from(zone.hour_at(now).0 == zone.hour_at(at.secs()).0) * 2;
    let of_day = u32::from(zone.day_at(now) == zone.day_at(at.secs())) * 2;
    let ends = |second| json!(Timestamp::from_secs(second).rfc3339_seconds().to_string());
    let (_, hour_ends) = zone.hour_at(now);
    let (_, [day_ends, ..]) = zone.windows_at(now);
    let expected = json!([
        count("card", "limits.countPerHour", 3, of_hour, &ends(hour_ends)),
        count("agent", "limits.countPerDay", 2, of_day, &ends(day_ends)),
        count("customer", "limits.countTotal", 9, 2, &never),
        count("card", "expireAfter.count", 4, 2, &never),
    ]);
    assert_eq!(shown["counts"], expected);
}

#[test]
fn a_rolling_limit_over_what_was_never_used_has_all_its_room() {
    let ops = Ops::ready();
    reloaded(&ops, rules());
    let shown = ops.get("/admin/cards/crd_2").json();
    let expected = json!([rolling(
        "customer",
        "limits.perDay",
        7,
        Some(0),
        &Value::Null
    )]);
    assert_eq!(shown["limits"], expected);
    assert_eq!(shown["counts"], json!([]));
}

/// From one end of the calendar to the other it is always a later day.
#[test]
fn d6_a_day_that_goes_on_after_its_zone_moved_east_is_shown_as_it_is_charged() {
    let ops = Ops::ready();
    reloaded(&ops, rules_in("Pacific/Pago_Pago"));
    let at = ops.clock().now();
    ops.authorize(Ask {
        at,
        minor: 1_000,
        ..ops.ask()
    });
    let before = ops.get("/admin/cards/crd_1").json();
    let of_day = |shown: &Value| shown["limits"][0].clone();
    assert_eq!(of_day(&before)["spent"], 1_000);
    reloaded(&ops, rules_in("Pacific/Kiritimati"));
    let after = ops.get("/admin/cards/crd_1").json();
    assert_eq!(of_day(&after), of_day(&before));
}
