//! Documents that are refused, each with the line and the field that are to blame, and those that
//! are taken (behaviour 3.4, 11.3; hazards F1, H1, H2).
#![cfg(test)]

use countersign::decide::document::{
    DocumentContext, DocumentError, DocumentRefused, read_snapshot,
};
use countersign::decide::snapshot::Snapshot;
use countersign::domain::card::{CardStatus, Usage};
use countersign::domain::identity::{KeySpace, Keys};
use countersign::domain::time::Timestamp;
use countersign::fingerprint::Fingerprinter;

/// A document's errors, which are all told.
fn read(text: impl AsRef<[u8]>) -> Result<Snapshot, Vec<DocumentError>> {
    read_many(text).map_err(|refused| {
        assert_eq!(refused.more_count, 0, "{refused}");
        refused.errors
    })
}

fn read_many(text: impl AsRef<[u8]>) -> Result<Snapshot, DocumentRefused> {
    let context = DocumentContext {
        file: "rules.json",
        connections: &["acme", "beta"],
        version: 7,
    };
    read_snapshot(text.as_ref(), context, &Fingerprinter::new(1))
}

/// Changed by each row of the table. Lines 3 and 5 have the customers, 8 and 9 the agents, 12 and 13
/// the cards.
const BASE: &str = r#"{ "schema": 1,
  "customers": [
    {"id": "c1", "timezone": "Europe/Rome", "policy": {"limits": {"perDay": 5000}}},

    {"id": "c2", "currency": "EUR"}
  ],
  "agents": [
    {"id": "a1", "customerId": "c1"},
    {"id": "a2", "customerId": "c2", "policy": {"allowedMccs": ["5812"]}}
  ],
  "cards": [
    {"id": "k1", "connection": "acme", "issuerToken": "t1", "customerId": "c1", "agentId": "a1"},
    {"id": "k2", "connection": "acme", "issuerToken": "t2", "customerId": "c1", "policy": {}}
  ]
}"#;

/// What is replaced, by what, and then: the line, the field, and a part of the message.
type Row = (
    &'static str,
    &'static str,
    usize,
    &'static str,
    &'static str,
);

const NO_INTEGER: &str = "integer number of minor units";
const ELSEWHERE: &str = "is no rule of a policy: a customer has it as `fleet.agentMayCreateCards`";

const LIMIT: &str = r#"{"perDay": 5000}"#;
const EMPTY: &str = r#""policy": {}"#;
const LIMITS: &str = "customers[0].policy.limits";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // The document.
    (r#""schema": 1,"#, r#""schema": 2,"#, 1, "schema", "must be 1"),
    (r#""schema": 1,"#, r#""schema": "1","#, 1, "schema", "must be 1"),
    (r#""schema": 1,"#, r#""schema": 1, "schema": 1,"#, 1, "schema", "twice"),
    (r#""schema": 1,"#, r#""extra": 1,"#, 1, "extra", "unknown field"),
    (r#""agents": ["#, r#""agent": ["#, 7, "agent", "unknown field"),
    ("  ]\n}", "  ]\n} {}", 15, "", "not JSON"),
    ("  ]\n}", "  ]\n", 15, "", "not JSON"),
    ("  ]\n}", "  ],\n}", 15, "", "not JSON"),
    // Rows.
    (r#"{"id": "c2", "currency": "EUR"}"#, "7", 5, "customers[1]", "must be an object"),
    (r#"{"id": "c2","#, "{", 5, "customers[1].id", "is missing"),
    (r#"{"id": "c2","#, r#"{"id": 2,"#, 5, "customers[1].id", "must be text"),
    (r#"{"id": "c2","#, r#"{"id": "","#, 5, "customers[1].id", "1 to 128"),
    (r#"{"id": "c2","#, r#"{"id": "c\u0000","#, 5, "customers[1].id", "printable"),
    (r#"{"id": "c2","#, r#"{"id": "cé","#, 5, "customers[1].id", "printable"),
    (r#"{"id": "c2","#, r#"{"id": "c1","#, 5, "customers[1].id", "another customer"),
    (r#"{"id": "c2","#, r#"{"id": "\u00631","#, 5, "customers[1].id", "another customer"),
    (r#"{"id": "c2","#, r#"{"id": "c2", "i\u0064": "x","#, 5, "customers[1].id", "twice"),
    (r#""currency": "EUR""#, r#""currency": "XXX""#, 5, "customers[1].currency", "ISO 4217"),
    (r#""currency": "EUR""#, r#""currency": null"#, 5, "customers[1].currency", "must be text"),
    (r#""currency": "EUR""#, r#""status": "Active""#, 5, "customers[1].status", "one of: active"),
    (r#""currency": "EUR""#, r#""cascade": "loosen""#, 5, "customers[1].cascade", "one of"),
    (r#""currency": "EUR""#, r#""limits": {}"#, 5, "customers[1].limits", "unknown field"),
    (r#""currency": "EUR""#, r#""timezone": "Mars/Base""#, 5, "customers[1].timezone", "IANA"),
    (r#""currency": "EUR""#, r#""timezone": """#, 5, "customers[1].timezone", "IANA"),
    (r#""customerId": "c2", "#, r#""customerId": "c9", "#, 9, "agents[1].customerId", "no customer"),
    (r#"{"id": "a2""#, r#"{"id": "a1""#, 9, "agents[1].id", "another agent"),
    (r#""a1", "customerId": "c1"}"#, r#""a1", "customerId": "c2"}"#, 12, "cards[0].agentId", "another"),
    (r#""agentId": "a1""#, r#""agentId": "a9""#, 12, "cards[0].agentId", "no agent"),
    (r#""acme", "issuerToken": "t2""#, r#""aqme", "issuerToken": "t2""#, 13, "cards[1].connection", "no issuer"),
    (r#""issuerToken": "t2", "#, "", 13, "cards[1].issuerToken", "is missing"),
    (r#""t2""#, r#""t1""#, 13, "cards[1].issuerToken", "another card"),
    (r#"{"id": "k2""#, r#"{"id": "k1""#, 13, "cards[1].id", "another card"),
    (EMPTY, r#""frozen": "true""#, 13, "cards[1].frozen", "true or false"),
    (EMPTY, r#""usage": "once""#, 13, "cards[1].usage", "one of: single, multi"),
    (EMPTY, r#""status": "closed""#, 13, "cards[1].status", "one of: active, locked"),
    (EMPTY, r#""createdAt": "yesterday""#, 13, "cards[1].createdAt", "instant"),
    (EMPTY, r#""createdAt": "2026-05-30 00:00:00Z""#, 13, "cards[1].createdAt", "instant"),
    (EMPTY, r#""createdAt": "2026-02-30T00:00:00Z""#, 13, "cards[1].createdAt", "instant"),
    (EMPTY, r#""createdAt": "2026-05-30T00:00:00""#, 13, "cards[1].createdAt", "instant"),
    (EMPTY, r#""createdAt": 1780000000"#, 13, "cards[1].createdAt", "must be text"),
    (EMPTY, r#""merchantLock": true"#, 13, "cards[1].merchantLock", "must be an object"),
    (EMPTY, r#""merchantLock": {"acquirerId": "1"}"#, 13, "cards[1].merchantLock.acceptorId", "missing"),
    (EMPTY, r#""merchantLock": {"descriptor": "A", "mcc": "5812"}"#, 13, "cards[1].merchantLock.country", "missing"),
    (EMPTY, r#""merchantLock": {"descriptor": " ", "mcc": "5812", "country": "US"}"#, 13, "cards[1].merchantLock.descriptor", "name a merchant"),
    (EMPTY, r#""merchantLock": {"descriptor": "A", "mcc": "812", "country": "US"}"#, 13, "cards[1].merchantLock.mcc", "an MCC"),
    (EMPTY, r#""merchantLock": {"descriptor": "A", "mcc": "5812", "country": "USA"}"#, 13, "cards[1].merchantLock.country", "two letters"),
    (EMPTY, r#""merchantLock": {"acquirerId": "1", "acceptorId": "2", "mcc": "5812"}"#, 13, "cards[1].merchantLock.mcc", "unknown field"),
    // Policies.
    (EMPTY, r#""policy": []"#, 13, "cards[1].policy", "must be an object"),
    (EMPTY, r#""policy": {"blockedMcc": []}"#, 13, "cards[1].policy.blockedMcc", "did you mean `blockedMccs`?"),
    (EMPTY, r#""policy": {"perAuth": 1}"#, 13, "cards[1].policy.perAuth", "belongs into `limits`"),
    (EMPTY, r#""policy": {"countTotal": 1}"#, 13, "cards[1].policy.countTotal", "belongs into `limits`"),
    (EMPTY, r#""policy": {"agentMayCreateCards": true}"#, 13, "cards[1].policy.agentMayCreateCards", ELSEWHERE),
    (EMPTY, r#""policy": {"onViolation": true}"#, 13, "cards[1].policy.onViolation", "must be an object"),
    (EMPTY, r#""policy": {"onViolation": "ask"}"#, 13, "cards[1].policy.onViolation", "one of: deny, review"),
    (EMPTY, r#""policy": {"onViolation": {"limits": "ask"}}"#, 13, "cards[1].policy.onViolation.limits", "must be"),
    (EMPTY, r#""policy": {"onViolation": {"perDay": "deny"}}"#, 13, "cards[1].policy.onViolation.perDay", "unknown field"),
    (EMPTY, r#""policy": {"requestLimits": {"perDay": 1}}"#, 13, "cards[1].policy.requestLimits.perDay", "unknown field"),
    (EMPTY, r#""policy": {"requestLimits": {"perRequest": 1.5}}"#, 13, "cards[1].policy.requestLimits.perRequest", "minor units"),
    (EMPTY, r#""policy": {"amountTolerance": -1}"#, 13, "cards[1].policy.amountTolerance", "must not be negative"),
    (EMPTY, r#""policy": {"merchantMap": [{"domain": "a.com"}]}"#, 13, "cards[1].policy.merchantMap[0]", "`merchants` or `mccs`"),
    (EMPTY, r#""policy": {"merchantMap": [{"mccs": ["5812"]}]}"#, 13, "cards[1].policy.merchantMap[0].domain", "is missing"),
    (EMPTY, r#""policy": {"merchantMap": [{"domain": "co.uk", "mccs": ["5812"]}]}"#, 13, "cards[1].policy.merchantMap[0].domain", "public suffix"),
    (EMPTY, r#""policy": {"merchantMap": [{"domain": "a.com", "merchants": ["a.com/x"]}]}"#, 13, "cards[1].policy.merchantMap[0].merchants[0]", "looks like a domain"),
    (EMPTY, r#""policy": {"merchantMap": [{"domain": "a.com", "mccs": ["58"]}]}"#, 13, "cards[1].policy.merchantMap[0].mccs[0]", "must be an MCC"),
    (EMPTY, r#""policy": {"merchantMap": [{"domain": "a.com", "mccs": ["5812"]}, {"domain": "A.com.", "mccs": ["5812"]}]}"#, 13, "cards[1].policy.merchantMap[1].domain", "twice"),
    (EMPTY, r#""policy": {"merchantMap": [{"domain": "a.com", "mccs": ["5812"], "mcc": "1"}]}"#, 13, "cards[1].policy.merchantMap[0].mcc", "unknown field"),
    (EMPTY, r#""policy": {"standingApprovals": true}"#, 13, "cards[1].policy.standingApprovals", "must be"),
    (EMPTY, r#""policy": {"standingApprovals": [{"domain": "a.com", "amountMax": 5, "period": "day", "countMax": 1, "until": "2030-01-01T00:00:00Z"}]}"#, 13, "cards[1].policy.standingApprovals[0].name", "is missing"),
    (EMPTY, r#""policy": {"standingApprovals": [{"name": "a", "domain": "a.com", "amountMax": 5, "period": "day", "until": "2030-01-01T00:00:00Z"}]}"#, 13, "cards[1].policy.standingApprovals[0].countMax", "is missing"),
    (EMPTY, r#""policy": {"standingApprovals": [{"name": "a", "domain": "a.com", "amountMax": 5, "period": "day", "countMax": 1}]}"#, 13, "cards[1].policy.standingApprovals[0].until", "is missing"),
    (EMPTY, r#""policy": {"standingApprovals": [{"name": "a", "domain": "a.com", "amountMax": 5, "period": "day", "countMax": 1001, "until": "2030-01-01T00:00:00Z"}]}"#, 13, "cards[1].policy.standingApprovals[0].countMax", "from 1 to 1000"),
    (EMPTY, r#""policy": {"standingApprovals": [{"name": "a", "domain": "co.uk", "amountMax": 5, "period": "day", "countMax": 1, "until": "2030-01-01T00:00:00Z"}]}"#, 13, "cards[1].policy.standingApprovals[0].domain", "public suffix"),
    (EMPTY, r#""policy": {"standingApprovals": [{"name": "a", "domain": "a.com", "amountMax": 5, "period": "year", "countMax": 1, "until": "2030-01-01T00:00:00Z"}]}"#, 13, "cards[1].policy.standingApprovals[0].period", "must be"),
    (EMPTY, r#""policy": {"standingApprovals": [{"name": "a", "domain": "a.com", "amountMax": 5, "period": "day", "countMax": 1, "until": "tomorrow"}]}"#, 13, "cards[1].policy.standingApprovals[0].until", "must be an instant"),
    (EMPTY, r#""policy": {"standingApprovals": [{"name": "a", "domain": "a.com", "amountMax": 5, "period": "day", "countMax": 1, "until": "2030-01-01T00:00:00Z", "amountMin": 6}]}"#, 13, "cards[1].policy.standingApprovals[0].amountMax", "less than `amountMin`"),
    (EMPTY, r#""policy": {"standingApprovals": [{"name": "a", "domain": "a.com", "amountMax": 5, "period": "day", "countMax": 1, "until": "2030-01-01T00:00:00Z"}, {"name": "a", "domain": "a.com", "amountMax": 5, "period": "day", "countMax": 1, "until": "2030-01-01T00:00:00Z"}]}"#, 13, "cards[1].policy.standingApprovals[1].name", "twice"),
    (EMPTY, r#""policy": {"standingApprovals": [{"name": "a", "domain": "a.com", "amountMax": 5, "period": "day", "countMax": 1, "until": "2030-01-01T00:00:00Z", "per": 1}]}"#, 13, "cards[1].policy.standingApprovals[0].per", "unknown field"),
    (EMPTY, r#""policy": {"standingApprovals": [{"name": "", "domain": "a.com", "amountMax": 5, "period": "day", "countMax": 1, "until": "2030-01-01T00:00:00Z"}]}"#, 13, "cards[1].policy.standingApprovals[0].name", "must be 1 to 64"),
    (EMPTY, r#""policy": {"standingApprovals": [{"name": "a", "domain": "a.com", "amountMax": 5, "period": "day", "countMax": 1, "until": "2030-01-01T00:00:00Z", "cardId": "k"}]}"#, 13, "cards[1].policy.standingApprovals[0].totalMax", "is missing"),
    (EMPTY, r#""policy": {"standingApprovals": [{"name": "a", "domain": "a.com", "amountMax": 5, "totalMax": 5, "period": "day", "countMax": 1, "until": "2030-01-01T00:00:00Z", "cardId": ""}]}"#, 13, "cards[1].policy.standingApprovals[0].cardId", "must be the id"),
    (EMPTY, r#""policy": {"standingApprovals": [{"name": "a", "domain": "a.com", "amountMax": 5, "totalMax": 5, "period": "day", "countMax": 1, "until": "2030-01-01T00:00:00Z", "cardId": "k"}, {"name": "b", "domain": "a.com", "amountMax": 5, "totalMax": 5, "period": "day", "countMax": 1, "until": "2030-01-01T00:00:00Z", "cardId": "k"}]}"#, 13, "cards[1].policy.standingApprovals[1].cardId", "another approval's"),
    (EMPTY, r#""policy": {"standingApproval": ""}"#, 13, "cards[1].policy.standingApproval", "must be 1 to 64"),
    (r#""allowedMccs": ["5812"]"#, r#""standingApproval": "a""#, 9, "agents[1].policy.standingApproval", "on cards alone"),
    (EMPTY, r#""policy": {"unscopedRequests": "no"}"#, 13, "cards[1].policy.unscopedRequests", "must be"),
    (EMPTY, r#""policy": {"cardUse": "multi"}"#, 13, "cards[1].policy.cardUse", "must be"),
    (EMPTY, r#""policy": {"cardTtlMinutes": 19}"#, 13, "cards[1].policy.cardTtlMinutes", "from 20 to 10080"),
    (EMPTY, r#""policy": {"reviewTtlMinutes": 1441}"#, 13, "cards[1].policy.reviewTtlMinutes", "from 5 to 1440"),
    (r#""allowedMccs": ["5812"]"#, r#""allowedDomains": ["co.uk"]"#, 9, "agents[1].policy.allowedDomains[0]", "public suffix"),
    (r#""allowedMccs": ["5812"]"#, r#""blockedDomains": ["a.com", "10.0.0.1"]"#, 9, "agents[1].policy.blockedDomains[1]", "not by a number"),
    (EMPTY, r#""policy": {"allowedDomains": ["a.com"]}"#, 13, "cards[1].policy.allowedDomains", "it stands on agents"),
    (EMPTY, r#""policy": {"limits": {"total": 5}, "cardTtlMinutes": 60}"#, 13, "cards[1].policy.cardTtlMinutes", "it stands on agents"),
    (EMPTY, r#""policy": {"limits": 5}"#, 13, "cards[1].policy.limits", "must be an object"),
    (EMPTY, r#""policy": {"limits": null}"#, 13, "cards[1].policy.limits", "must be an object"),
    (EMPTY, r#""policy": {"lockToFirstMerchant": 1}"#, 13, "cards[1].policy.lockToFirstMerchant", "true"),
    (EMPTY, r#""policy": {"blockedMccs": "5812"}"#, 13, "cards[1].policy.blockedMccs", "must be a list"),
    (EMPTY, r#""policy": {"blockedMccs": null}"#, 13, "cards[1].policy.blockedMccs", "must be a list"),
    (r#"["5812"]"#, r#"["5812", 5813]"#, 9, "agents[1].policy.allowedMccs[1]", "must be text, in quotation marks"),
    (r#"["5812"]"#, "[\n\"581\"]", 10, "agents[1].policy.allowedMccs[0]", "an MCC"),
    (r#"["5812"]"#, r#"["3350-3000"]"#, 9, "agents[1].policy.allowedMccs[0]", "range"),
    (r#"["5812"]"#, r#"["3000-3350-1"]"#, 9, "agents[1].policy.allowedMccs[0]", "range"),
    (LIMIT, r#"{"perDay": 50.00}"#, 3, "customers[0].policy.limits.perDay", "without decimal point"),
    (LIMIT, r#"{"perDay": 5e3}"#, 3, "customers[0].policy.limits.perDay", "without decimal point"),
    (LIMIT, r#"{"perDay": 1e400}"#, 3, "customers[0].policy.limits.perDay", NO_INTEGER),
    (LIMIT, r#"{"perDay": "5000"}"#, 3, "customers[0].policy.limits.perDay", "not text"),
    (LIMIT, r#"{"perDay": -1}"#, 3, "customers[0].policy.limits.perDay", "negative"),
    (LIMIT, r#"{"perDay": -0}"#, 3, "customers[0].policy.limits.perDay", "negative"),
    (LIMIT, r#"{"perDay": null}"#, 3, "customers[0].policy.limits.perDay", NO_INTEGER),
    (LIMIT, r#"{"perDay": 9007199254740992}"#, 3, "customers[0].policy.limits.perDay", "2^53 - 1"),
    (LIMIT, r#"{"perDay": 99999999999999999999}"#, 3, "customers[0].policy.limits.perDay", "2^53 - 1"),
    (LIMIT, r#"{"perDay": 05000}"#, 3, "", "not JSON"),
    (LIMIT, r#"{"perDay": 5, "perDay": 6}"#, 3, "customers[0].policy.limits.perDay", "twice"),
    (LIMIT, r#"{"perday": 5}"#, 3, "customers[0].policy.limits.perday", "unknown field; did you mean `perDay`?"),
    (LIMIT, "{\n\n\"perDay\": 0.1}", 5, "customers[0].policy.limits.perDay", NO_INTEGER),
    (LIMIT, r#"{"perAuth": {"amount": 5}}"#, 3, "customers[0].policy.limits.perAuth", "has no window"),
    (LIMIT, r#"{"total": {"amount": 5, "window": "rolling"}}"#, 3, "customers[0].policy.limits.total", "has no window"),
    (LIMIT, r#"{"perDay": {"window": "rolling"}}"#, 3, "customers[0].policy.limits.perDay.amount", "is missing"),
    (LIMIT, r#"{"perDay": {"amount": 0.5}}"#, 3, "customers[0].policy.limits.perDay.amount", NO_INTEGER),
    (LIMIT, r#"{"perDay": {"amount": 5, "window": "daily"}}"#, 3, "customers[0].policy.limits.perDay.window", "one of: calendar, rolling"),
    (LIMIT, r#"{"perDay": {"amount": 5, "span": 1}}"#, 3, "customers[0].policy.limits.perDay.span", "unknown field"),
    (LIMIT, r#"{"countPerDay": -1}"#, 3, "customers[0].policy.limits.countPerDay", "from 0 to 1000000000"),
    (LIMIT, r#"{"countPerHour": 1.0}"#, 3, "customers[0].policy.limits.countPerHour", "an integer from 0"),
    (LIMIT, r#"{"countTotal": "5"}"#, 3, "customers[0].policy.limits.countTotal", "an integer from 0"),
    (LIMIT, r#"{"countTotal": 99999999999999999999}"#, 3, "customers[0].policy.limits.countTotal", "an integer from 0"),
    (LIMIT, r#"{"countPerWeek": 5}"#, 3, "customers[0].policy.limits.countPerWeek", "unknown field"),
];

/// The same, for fields inside the policy of the second card: the fields, the field to blame inside
/// the policy, and a part of the message.
#[rustfmt::skip]
const POLICY_ROWS: &[(&str, &str, &str)] = &[
    (r#""cooldownMinutes": -1"#, "cooldownMinutes", "from 0 to 525600"),
    (r#""cooldownMinutes": 525601"#, "cooldownMinutes", "from 0 to 525600"),
    (r#""cooldownMinutes": 1e2"#, "cooldownMinutes", "an integer"),
    (r#""cooldownMinutes": null"#, "cooldownMinutes", "an integer"),
    (r#""ttlMinutes": 0"#, "ttlMinutes", "from 1 to 5256000"),
    (r#""ttlDays": 0"#, "ttlDays", "from 1 to 3650"),
    (r#""ttlDays": 3651"#, "ttlDays", "from 1 to 3650"),
    (r#""ttlDays": true"#, "ttlDays", "an integer"),
    (r#""validFrom": "2026-05-30""#, "validFrom", "an instant"),
    (r#""validFrom": 1780000000"#, "validFrom", "must be text"),
    (r#""validUntil": "never""#, "validUntil", "an instant"),
    (r#""validFrom": "2026-05-30T00:00:00Z", "validUntil": "2026-05-30T00:00:00Z""#, "validUntil", "later than `validFrom`"),
    (r#""validUntil": "2026-05-30T01:00:00+02:00", "validFrom": "2026-05-30T00:00:00Z""#, "validUntil", "later than `validFrom`"),
    (r#""expireAfter": 5"#, "expireAfter", "must be an object"),
    (r#""expireAfter": {"count": 0}"#, "expireAfter.count", "from 1 to"),
    (r#""expireAfter": {"spend": 0}"#, "expireAfter.spend", "at least 1"),
    (r#""expireAfter": {"spend": 1.5}"#, "expireAfter.spend", NO_INTEGER),
    (r#""expireAfter": {"days": 5}"#, "expireAfter.days", "unknown field"),
    (r#""activeHours": []"#, "activeHours", "must be an object"),
    (r#""activeHours": {"from": "09:00"}"#, "activeHours.to", "is missing"),
    (r#""activeHours": {"to": "09:00"}"#, "activeHours.from", "is missing"),
    (r#""activeHours": {"from": "9:00", "to": "17:00"}"#, "activeHours.from", "a time like"),
    (r#""activeHours": {"from": "24:00", "to": "17:00"}"#, "activeHours.from", "a time like"),
    (r#""activeHours": {"from": "09:60", "to": "17:00"}"#, "activeHours.from", "a time like"),
    (r#""activeHours": {"from": "09:00", "to": "24:01"}"#, "activeHours.to", "a time like"),
    (r#""activeHours": {"from": "09:00", "to": "09:00"}"#, "activeHours.to", "other than `from`"),
    (r#""activeHours": {"from": "09:00", "to": 17}"#, "activeHours.to", "must be text"),
    (r#""activeHours": {"from": "09:00", "to": "17:00", "timezone": "Mars/Base"}"#, "activeHours.timezone", "IANA"),
    (r#""activeHours": {"from": "09:00", "to": "17:00", "days": ["Mon"]}"#, "activeHours.days[0]", "one of: mon"),
    (r#""activeHours": {"from": "09:00", "to": "17:00", "days": "mon"}"#, "activeHours.days", "must be a list"),
    (r#""activeHours": {"from": "09:00", "to": "17:00", "on": []}"#, "activeHours.on", "unknown field"),
    (r#""maxRiskScore": 100"#, "maxRiskScore", "from 0 to 99"),
    (r#""maxRiskScore": -1"#, "maxRiskScore", "from 0 to 99"),
    (r#""requireRiskScore": "yes""#, "requireRiskScore", "true or false"),
    (r#""allowCash": 1"#, "allowCash", "true or false"),
    (r#""allowPartial": null"#, "allowPartial", "true or false"),
    (r#""fuelHold": -5"#, "fuelHold", "negative"),
    (r#""fuelHold": "100""#, "fuelHold", "not text"),
    (r#""probePolicy": "allow""#, "probePolicy", "one of: consume, allow_one_probe"),
    (r#""requireIntent": 0"#, "requireIntent", "true or false"),
    (r#""onIntentMismatch": "warn""#, "onIntentMismatch", "one of: decline, flag"),
    (r#""requireApproval": []"#, "requireApproval", "true or false"),
    (r#""autoApproveBelow": 1.5"#, "autoApproveBelow", NO_INTEGER),
    (r#""requireAttestation": {}"#, "requireAttestation", "true or false"),
    (r#""attestationWindowMinutes": 0"#, "attestationWindowMinutes", "from 1 to 60"),
    (r#""attestationWindowMinutes": 61"#, "attestationWindowMinutes", "from 1 to 60"),
    (r#""match": "some""#, "match", "one of: all, any"),
    (r#""allowedCountries": ["USA"]"#, "allowedCountries[0]", "two letters"),
    (r#""blockedCountries": ["US", "UK"]"#, "blockedCountries[1]", "United Kingdom's are \"GB\""),
    (r#""blockedCountries": "US""#, "blockedCountries", "must be a list"),
    (r#""allowedMerchants": {"acceptorId": "1"}"#, "allowedMerchants", "must be a list"),
    (r#""allowedMerchants": ["BLUE BOTTLE", "amazon.com"]"#, "allowedMerchants[1]", "`allowedDomains`, a rule of purchase requests"),
    (r#""blockedMerchants": ["https://evil.example/x"]"#, "blockedMerchants[0]", "`blockedDomains`, rules of purchase requests"),
    (r#""allowedMerchants": [" "]"#, "allowedMerchants[0]", "at least one letter"),
    (r#""allowedMerchants": ["12345"]"#, "allowedMerchants[0]", "at least one letter"),
    (r#""allowedMerchants": ["SQ *"]"#, "allowedMerchants[0]", "nobody behind it"),
    (r#""allowedMerchants": [7]"#, "allowedMerchants[0]", "must be text"),
    (r#""allowedMerchants": [{"acceptorId": ""}]"#, "allowedMerchants[0]", "an id of 1 to 128"),
    (r#""allowedMerchants": [{"acceptorId": "a b"}]"#, "allowedMerchants[0]", "an id of 1 to 128"),
    (r#""allowedMerchants": [{"name": "X"}]"#, "allowedMerchants[0].acceptorId", "is missing"),
    (r#""allowedMerchants": [{"acceptorId": "1", "mcc": "5812"}]"#, "allowedMerchants[0].mcc", "unknown field"),
];

#[test]
fn f1_bad_documents_are_refused_whole_with_line_and_field() {
    assert!(read(BASE).is_ok());
    for (at, (old, new, line, field, message)) in ROWS.iter().enumerate() {
        assert_eq!(
            BASE.matches(old).count(),
            1,
            "row {at} replaces nothing, or two things"
        );
        let errors = read(BASE.replacen(old, new, 1)).unwrap_err();
        let first = &errors[0];
        let found = (first.file.as_str(), first.line, first.field.as_str());
        assert_eq!(
            found,
            ("rules.json", Some(*line), *field),
            "row {at}: {new}: {errors:?}"
        );
        assert!(
            first.message.contains(message),
            "row {at}: {}",
            first.message
        );
    }
    assert!(ROWS.iter().any(|row| row.3.starts_with(LIMITS)));
    assert!(ROWS.len() >= 40);
}

#[test]
fn f1_values_that_no_field_of_a_policy_can_have_are_refused_by_its_name() {
    for (text, field, message) in POLICY_ROWS {
        let policy = format!(r#""policy": {{{text}}}"#);
        let errors = read(BASE.replace(EMPTY, &policy)).unwrap_err();
        let place = format!("cards[1].policy.{field}");
        let found = (errors[0].line, errors[0].field.as_str());
        assert_eq!(found, (Some(13), place.as_str()), "{text}: {errors:?}");
        assert!(errors[0].message.contains(message), "{text}: {errors:?}");
    }
    let long = format!(
        r#""policy": {{"allowedMerchants": ["{}"]}}"#,
        "M".repeat(129)
    );
    let errors = read(BASE.replace(EMPTY, &long)).unwrap_err();
    assert!(
        errors[0].message.contains("at most 128 bytes"),
        "{errors:?}"
    );
}

#[test]
fn a_time_to_live_needs_to_know_when_the_card_was_made() {
    let ttl = |field: &str| format!(r#""policy": {{"{field}": 5}}"#);
    let of_agent = r#"{"id": "a1", "customerId": "c1"}"#;
    let of_card = r#""createdAt": "2026-05-30T00:00:00Z""#;
    for (level, field, line, card) in [
        ("card", "ttlDays", 13, 1),
        ("agent", "ttlMinutes", 12, 0),
        ("customer", "ttlDays", 12, 0),
    ] {
        let text = match level {
            "card" => BASE.replace(EMPTY, &ttl(field)),
            "agent" => {
                let agent = format!(r#"{{"id": "a1", "customerId": "c1", {}}}"#, ttl(field));
                BASE.replace(of_agent, &agent)
            }
            _ => BASE.replace(r#""policy": {"limits": {"perDay": 5000}}"#, &ttl(field)),
        };
        let errors = read(&text).unwrap_err();
        let place = format!("cards[{card}].createdAt");
        let found = (errors[0].line, errors[0].field.as_str());
        assert_eq!(found, (Some(line), place.as_str()), "{errors:?}");
        let message = format!("is missing, and `{field}` of the {level}'s policy needs it");
        assert_eq!(errors[0].message, message);
        let made = text
            .replace(
                r#""issuerToken": "t1","#,
                &format!(r#""issuerToken": "t1", {of_card},"#),
            )
            .replace(
                r#""issuerToken": "t2","#,
                &format!(r#""issuerToken": "t2", {of_card},"#),
            );
        assert!(read(made).is_ok());
    }
}

#[test]
fn a_field_that_stands_elsewhere_is_told_its_place() {
    let policy = r#""policy": {"agentMayCreateCards": 1}"#;
    let errors = read(BASE.replace(EMPTY, policy)).unwrap_err();
    let place = "cards[1].policy.agentMayCreateCards";
    assert_eq!((errors.len(), errors[0].field.as_str()), (1, place));
    assert_eq!(errors[0].message, ELSEWHERE);
}

#[test]
fn f1_texts_that_are_no_document_are_refused() {
    let cases: [(&[u8], usize, &str); 14] = [
        (b"{\"schema\": 1}", 1, "is missing"),
        (b"{\"schema\": 1}\n", 1, "no rows"),
        (
            b"{\"schema\": 2}\n{\"customer\": {\"id\": \"c\"}}",
            1,
            "must be 1",
        ),
        (b"", 1, "empty"),
        (b" \n\t\n", 1, "empty"),
        (b"{}", 1, "is missing"),
        (b"[]", 1, "must be an object"),
        (b"null", 1, "must be an object"),
        (b"{\n\"cards\"", 2, "not JSON"),
        (b"{\"a\":\n\xff}", 2, "not UTF-8"),
        (b"\xef\xbb\xbf{}", 1, "byte order mark"),
        (b"// note\n{}", 1, "not JSON"),
        (b"{\"customers\": NaN}", 1, "not JSON"),
        (b"{\"customer\": {\"id\"", 1, "not JSON"),
    ];
    for (text, line, message) in cases {
        let errors = read(text).unwrap_err();
        assert_eq!(errors[0].line, Some(line), "{errors:?}");
        assert!(errors[0].message.contains(message), "{errors:?}");
    }
}

/// What operators copy from their page has to work.
#[test]
fn the_snapshot_in_the_operators_page_is_taken() {
    let page = include_str!("../docs/operations.md");
    let (_, rest) = page.split_once("```json\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let snapshot = read(example).unwrap();
    assert_eq!((snapshot.customer_count(), snapshot.card_count()), (1, 1));
}

#[test]
fn f1_a_truncated_document_is_refused_at_every_byte() {
    for end in 0..BASE.len() {
        assert!(read(&BASE.as_bytes()[..end]).is_err(), "{end}");
    }
}

#[test]
fn h1_depth_and_breadth_are_refused_without_harm() {
    let deep = format!("{{\"x\": {}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    assert!(read(deep).is_err());
    let broad: String = (0..100_000).map(|n| format!("\"f{n}\": 1,")).collect();
    let policy = format!("\"policy\": {{{broad} \"z\": 1}}");
    let errors = read(BASE.replace(EMPTY, &policy)).unwrap_err();
    assert_eq!(errors[0].field, "cards[1].policy");
    let same = format!("\"policy\": {{{} \"a\": 1}}", "\"a\": 1,".repeat(100));
    let refused = read_many(BASE.replace(EMPTY, &same)).unwrap_err();
    // A hundred repetitions, and one name that nobody knows.
    assert_eq!((refused.errors.len(), refused.more_count), (20, 81));
    let name = format!("\"policy\": {{\"{}\\u001b[31m\": 1}}", "n".repeat(100_000));
    let errors = read(BASE.replace(EMPTY, &name)).unwrap_err();
    assert!(errors[0].field.len() < 100);
}

#[test]
fn many_errors_are_listed_in_order_and_not_all_of_them() {
    let two = BASE
        .replace(LIMIT, r#"{"perDay": 0.5, "perWeek": "1"}"#)
        .replace("EUR", "XYZ");
    let errors = read(two).unwrap_err();
    let places: Vec<_> = errors
        .iter()
        .map(|error| (error.line, error.field.as_str()))
        .collect();
    let expected = [
        (Some(3), "customers[0].policy.limits.perDay"),
        (Some(3), "customers[0].policy.limits.perWeek"),
        (Some(5), "customers[1].currency"),
    ];
    assert_eq!(places, expected);
    let shown = "rules.json:5: customers[1].currency: must be a currency of ISO 4217";
    assert_eq!(errors[2].to_string(), shown);

    // Four things are wrong with each.
    let lines = "{\"card\": {\"id\": 1}}\n".repeat(1_000);
    let refused = read_many(lines).unwrap_err();
    assert_eq!((refused.errors.len(), refused.more_count), (20, 3_980));
    let said = refused.to_string();
    assert_eq!(said.lines().count(), 21);
    assert!(said.ends_with("\nand 3980 more"), "{said}");
}

/// Each place that is wrong is told, and nothing that only follows from it.
fn assert_told(text: &str, expected: &[(usize, &str, &str)]) {
    let errors = read(text).unwrap_err();
    let told: Vec<_> = errors
        .iter()
        .map(|it| (it.line.unwrap(), it.field.as_str(), it.message.as_str()))
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn a_parent_that_is_refused_says_nothing_about_its_children() {
    let zone = "must be a zone of the IANA database";
    assert_told(
        &BASE.replace("Europe/Rome", "Rome"),
        &[(3, "customers[0].timezone", zone)],
    );
    let first = r#"{"id": "a1", "customerId": "c1"}"#;
    for (agent, message) in [
        (
            r#"{"id": "a1", "customerId": "c9"}"#,
            "no customer has this id",
        ),
        (
            r#"{"id": "a1", "customerId": 7}"#,
            "must be text, in quotation marks",
        ),
    ] {
        let place = (8, "agents[0].customerId", message);
        assert_told(&BASE.replace(first, agent), &[place]);
    }
    // What is wrong with a child itself is told all the same.
    let both = BASE
        .replace("Europe/Rome", "Rome")
        .replace(EMPTY, r#""usage": 1"#);
    let usage = "must be text, in quotation marks";
    let expected = [
        (3, "customers[0].timezone", zone),
        (13, "cards[1].usage", usage),
    ];
    assert_told(&both, &expected);
}

#[test]
fn a_field_that_stands_twice_is_one_error() {
    let twice = BASE.replace(EMPTY, r#""policy": {"limits": {"perDay": 1, "perDay": 2}}"#);
    let place = "cards[1].policy.limits.perDay";
    assert_told(&twice, &[(13, place, "the field stands here twice")]);
}

#[test]
fn json_lines_without_a_parent_above_say_that_parents_come_first() {
    let (customer, rest) = LINES.split_once('\n').unwrap();
    let late = format!("{rest}{customer}\n");
    let message = "no customer has this id in the lines above; parents come first";
    // The card's agent was refused, and that is said once.
    let expected = [
        (1, "agent.customerId", message),
        (3, "card.customerId", message),
    ];
    assert_told(&late, &expected);
}

const LINES: &str = r#"{"customer": {"id": "c1"}}
{"agent": {"id": "a1", "customerId": "c1"}}

{"card": {"id": "k1", "connection": "acme", "issuerToken": "t1", "customerId": "c1", "agentId": "a1"}}
{"customer": {"id": "c2"}}
{"card": {"id": "k2", "connection": "beta", "issuerToken": "t1", "customerId": "c2"}}
"#;

#[test]
fn json_lines_say_the_same_as_a_document() {
    for text in [
        LINES.to_owned(),
        LINES.replace('\n', "\r\n"),
        format!("{{\"schema\": 1}}\n{LINES}"),
        LINES.trim_end().to_owned(),
    ] {
        let snapshot = read(text).unwrap();
        let counts = (
            snapshot.customer_count(),
            snapshot.agent_count(),
            snapshot.card_count(),
        );
        assert_eq!(counts, (2, 1, 2));
        assert_eq!(snapshot.version(), 7);
    }
}

#[test]
fn json_lines_are_refused_at_their_line() {
    let cases = [
        (
            r#"{"customer": {"id": "c2"}}"#,
            r#"{"customer": {"id": "c3"}}"#,
            6,
            "card.customerId",
        ),
        (
            r#"{"customer": {"id": "c2"}}"#,
            r#"{"customer": {"id": "c2"}"#,
            5,
            "",
        ),
        (
            r#"{"customer": {"id": "c2"}}"#,
            r#"{"client": {"id": "c2"}}"#,
            5,
            "",
        ),
        (r#"{"customer": {"id": "c2"}}"#, r#"{"schema": 1}"#, 5, ""),
        (r#""c2"}}"#, r#""c2"}, "card": {}}"#, 5, "card"),
        (r#""k2""#, r#""k1""#, 6, "card.id"),
    ];
    for (old, new, line, field) in cases {
        let errors = read(LINES.replacen(old, new, 1)).unwrap_err();
        assert_eq!(
            (errors[0].line, errors[0].field.as_str()),
            (Some(line), field),
            "{errors:?}"
        );
    }
    let children_first: Vec<_> = LINES.lines().rev().collect();
    assert!(read(children_first.join("\n")).is_err());
}

#[test]
fn rows_keep_what_they_say_and_can_be_found() {
    let card = r#""policy": {}, "usage": "single", "status": "locked", "frozen": true,
        "createdAt": "2026-05-30T02:00:00.5+02:00", "agentId": null, "merchantLock": null"#;
    let snapshot = read(BASE.replace(EMPTY, card)).unwrap();
    let key = Fingerprinter::new(1).key(KeySpace::Card, &[b"acme", b"t2"]);
    let found = snapshot.card(key).unwrap();
    assert_eq!(
        (found.card.id(), found.connection, found.card.key()),
        ("k2", "acme", key)
    );
    assert_eq!(found.card.usage(), Usage::Single);
    assert_eq!(found.card.status(), CardStatus::Locked);
    assert!(found.card.is_frozen() && found.agent.is_none() && found.card.policy().is_none());
    let created = Timestamp::from_micros(1_780_099_200_500_000);
    assert_eq!(found.card.created_at(), Some(created));
    assert_eq!(snapshot.card_by_id("k1").unwrap().agent.unwrap().id(), "a1");
    assert_eq!(
        snapshot
            .customer_by_id("c2")
            .unwrap()
            .currency()
            .to_string(),
        "EUR"
    );
    let agent = snapshot.agent_by_id("a2").unwrap();
    assert_eq!(snapshot.customer_of(agent).unwrap().id(), "c2");
    for id in ["", "k", "k9", "t1"] {
        assert!(snapshot.card_by_id(id).is_none());
        assert!(snapshot.customer_by_id(id).is_none() && snapshot.agent_by_id(id).is_none());
    }
}

#[test]
fn every_card_of_many_is_found_by_token_and_by_id() {
    let mut text = "{\"customer\": {\"id\": \"c\"}}\n".to_owned();
    let count = 20_000;
    for n in 0..count {
        let policy = n % 3;
        text += &format!(
            r#"{{"card": {{"id": "k{n}", "connection": "acme", "issuerToken": "t{n}", "customerId":
            "c", "policy": {{"limits": {{"total": {policy}}}, "allowedMccs": ["5812"]}}}}}}"#
        )
        .replace('\n', " ");
        text.push('\n');
    }
    let snapshot = read(&text).unwrap();
    assert_eq!(snapshot.card_count(), count);
    assert_eq!(snapshot.cards().count(), count);
    let keys = Fingerprinter::new(1);
    let by_token = |connection: &str, n: usize| {
        let token = format!("t{n}");
        snapshot.card(keys.key(KeySpace::Card, &[connection.as_bytes(), token.as_bytes()]))
    };
    for n in 0..count {
        let id = format!("k{n}");
        assert_eq!(by_token("acme", n).unwrap().card.id(), id);
        assert_eq!(snapshot.card_by_id(&id).unwrap().card.id(), id);
        assert!(by_token("beta", n).is_none());
        assert!(by_token("acme", n + count).is_none());
    }
    // Equal policies are one, and unequal ones share their lists.
    let policy = |n| by_token("acme", n).unwrap().card.policy().unwrap();
    assert!(std::ptr::eq(policy(0), policy(3)) && !std::ptr::eq(policy(0), policy(1)));
    let lists = |n| policy(n).lists().unwrap();
    assert!(std::ptr::eq(lists(0), lists(1)));
}

/// What takes room in memory is there once, whatever else the policies differ in.
#[test]
fn what_policies_have_in_common_is_there_once() {
    let mut text = "{\"customer\": {\"id\": \"c\"}}\n".to_owned();
    for n in 0..4 {
        let country = ["US", "CA"][n % 2];
        let lists = format!(
            r#""allowedMccs": ["5812"], "blockedMccs": ["5812"], "allowedCountries": ["{country}"],
            "blockedCountries": ["US"], "blockedMerchants": ["Casino"],
            "allowedMerchants": ["Blue", "{country}x"]"#
        );
        let terms = r#""cooldownMinutes": 5, "activeHours": {"timezone": "Asia/Tokyo", "from": "09:00", "to": "17:00"}"#;
        text += &format!(
            r#"{{"card": {{"id": "k{n}", "connection": "acme", "issuerToken": "t{n}", "customerId":
            "c", "policy": {{"limits": {{"total": {n}}}, {lists}, {terms}}}}}}}"#
        )
        .replace('\n', " ");
        text.push('\n');
    }
    let snapshot = read(&text).unwrap();
    let policy = |n: usize| {
        let card = snapshot.card_by_id(&format!("k{n}")).unwrap();
        card.card.policy().unwrap()
    };
    assert!(std::ptr::eq(
        policy(0).terms().unwrap(),
        policy(1).terms().unwrap()
    ));
    let (one, other) = (policy(0).lists().unwrap(), policy(1).lists().unwrap());
    assert!(std::ptr::eq(one, policy(2).lists().unwrap()) && !std::ptr::eq(one, other));
    let mccs = [one, other].map(|it| (it.allowed_mccs.as_deref(), it.blocked_mccs.as_deref()));
    for found in mccs.into_iter().flat_map(|(a, b)| [a, b]) {
        assert!(std::ptr::eq(found.unwrap(), mccs[0].0.unwrap()));
    }
    let countries = [
        &one.blocked_countries,
        &other.blocked_countries,
        &one.allowed_countries,
    ];
    for found in countries {
        assert!(std::ptr::eq(
            found.as_deref().unwrap(),
            countries[0].as_deref().unwrap()
        ));
    }
    let [first, second] = [one, other].map(|it| it.blocked_merchants.as_deref().unwrap());
    assert!(std::ptr::eq(first, second));
}

#[test]
fn f6_the_files_of_examples_are_taken() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/snapshots");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let read = read(std::fs::read(&path).unwrap());
        assert_eq!(
            read.is_err(),
            name.starts_with("refused."),
            "{name}: {read:?}"
        );
        count += 1;
    }
    assert_eq!(count, 5);
}

/// Cards need not belong to agents.
#[test]
fn a_document_without_agents_is_one() {
    let document = r#"{"customers": [{"id": "c"}], "cards": [
        {"id": "k", "connection": "acme", "issuerToken": "t", "customerId": "c", "usage": "multi",
         "status": "active", "createdAt": "2026-01-01T00:00:00Z"}]}"#;
    let loaded = read(document).unwrap();
    assert_eq!((loaded.card_count(), loaded.agent_count()), (1, 0));
}
