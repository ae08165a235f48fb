//! The router on a real socket.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use countersign::clock::Clock;
use countersign::cold::ops::{OpsState, Running, router};
use countersign::cold::policies::{First, Policies, Source, Surroundings};
use countersign::cold::readiness::Readiness;
use countersign::decide::past::Past;
use countersign::domain::card::CardStatus;
use countersign::domain::time::Timestamp;
use countersign::domain::window::WindowKind;
use countersign::ledger::command::{CardRef, Route, SetStanding};
use countersign::ledger::event::Owner;
use countersign::seam::commands::{LedgerPort, ledger_port};
use countersign::seam::snapshot::CurrentSnapshot;
use countersign::telemetry::Telemetry;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::store::{Ask, RULES, Store, directory, rules};

pub(crate) struct Ops {
    address: SocketAddr,
    pub(crate) store: Store,
    pub(crate) snapshots: Arc<CurrentSnapshot>,
    readiness: Arc<Readiness>,
    running: Arc<OnceLock<Running>>,
    telemetry: Arc<Telemetry>,
    port: LedgerPort,
    clock: Clock,
    _runtime: Runtime,
    dir: TempDir,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Ops {
    /// A listener that is not ready: nothing is running yet.
    fn start() -> Self {
        let dir = directory();
        let store = Store::open(dir.path());
        let (port, mut inbox) = ledger_port();
        let (readiness, running) = (Arc::<Readiness>::default(), Arc::default());
        let clock = Clock::start();
        let telemetry = Telemetry::new(["acme"]);
        let state = OpsState {
            noted: Arc::default(),
            time_file: None,
            store: Arc::default(),
            served: Arc::default(),
            readiness: Arc::clone(&readiness),
            running: Arc::clone(&running),
            ledger: port.clone(),
            telemetry: Arc::clone(&telemetry),
            clock,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (ledger, writer) = (Arc::clone(&store.ledger), Arc::clone(&store.writer));
        let address = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            // The hot thread's part.
            runtime.spawn(async move {
                while inbox.serve_one(&ledger).await {
                    writer.kick();
                }
            });
            runtime.spawn(async move { axum::serve(listener, router(state)).await });
            address
        });
        let snapshots = Arc::new(CurrentSnapshot::new(rules(&store.keys)));
        Self {
            address,
            store,
            snapshots,
            readiness,
            running,
            telemetry,
            port,
            clock,
            _runtime: runtime,
            dir,
        }
    }

    pub(crate) fn ready() -> Self {
        let mut ops = Self::start();
        std::fs::write(ops.rules_path(), RULES).unwrap();
        let connections = vec!["acme".to_owned(), "beta".to_owned()];
        let source = Source::new(&ops.rules_path(), connections, &ops.store.keys);
        let first = First::load(&source, &Past::default()).unwrap();
        ops.snapshots = Arc::clone(&first.snapshots);
        let around = Surroundings {
            ledger: ops.port.clone(),
            clock: ops.clock,
            telemetry: Arc::clone(&ops.telemetry),
            readiness: Arc::clone(&ops.readiness),
            watch_every: None,
            confirm_command: "confirm".to_owned(),
        };
        let writer = Arc::clone(&ops.store.writer);
        let running = Running {
            snapshots: Arc::clone(&ops.snapshots),
            records: ops.store.records(),
            keys: ops.store.keys.clone(),
            policies: Policies::start(source, around, first).unwrap(),
            journal: Box::new(move || writer.published()),
            teller: None,
        };
        assert!(ops.running.set(running).is_ok());
        ops.readiness.set_recovered();
        ops
    }

    /// The snapshot's file, beside the journal.
    pub(crate) fn rules_path(&self) -> PathBuf {
        self.dir.path().join("rules.json")
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    pub(crate) fn post(&self, path: &str) -> Reply {
        self.request("POST", path)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request("GET", path)
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Reply {
        self.request_with(method, path, "")
    }

    pub(crate) fn request_with(&self, method: &str, path: &str, headers: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: ops\r\n{headers}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        Reply {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn ask(&self) -> Ask<'_> {
        Ask {
            at: self.clock.now(),
            ..Ask::default()
        }
    }

    pub(crate) fn authorize(&self, ask: Ask<'_>) -> u64 {
        let snapshot = Arc::clone(&self.snapshots.load());
        self.store.authorize(&snapshot, ask).position
    }
}

#[test]
fn readiness_follows_recovery_and_names_its_reasons() {
    let ops = Ops::start();
    let healthy = ops.get("/healthz");
    assert_eq!((healthy.status, healthy.body.as_str()), (200, "ok"));
    let starting = ops.get("/readyz");
    assert_eq!(starting.status, 503);
    let reasons = json!(["no_snapshot", "recovering"]);
    let expected =
        json!({"recovered": false, "snapshotVersion": null, "reasons": reasons, "warnings": []});
    assert_eq!(starting.json(), expected);
    for path in [
        "/admin/decisions",
        "/admin/decisions/dec_0000000000000001",
        "/admin/cards/crd_1",
    ] {
        let refused = ops.get(path);
        assert_eq!(refused.status, 503, "{path}");
        assert_eq!(refused.json()["code"], "not_ready", "{path}");
    }

    let ops = Ops::ready();
    let ready = ops.get("/readyz");
    assert_eq!(ready.status, 200);
    let expected = json!({"recovered": true, "snapshotVersion": 1, "reasons": [], "warnings": []});
    assert_eq!(ready.json(), expected);
    ops.readiness.set_reason("journal_poisoned");
    assert_eq!(
        ops.get("/readyz").json()["reasons"],
        json!(["journal_poisoned"])
    );
    assert_eq!(ops.get("/readyz").status, 503);
    ops.readiness.clear_reason("journal_poisoned");
    assert_eq!(ops.get("/readyz").status, 200);
}

#[test]
fn every_answer_forbids_keeping_and_sniffing() {
    let ops = Ops::ready();
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/admin/decisions",
        "/admin/cards/x",
        "/nowhere",
    ] {
        let head = ops.get(path).head;
        assert!(head.contains("cache-control: no-store"), "{path}: {head}");
        assert!(
            head.contains("x-content-type-options: nosniff"),
            "{path}: {head}"
        );
    }
    let metrics = ops.get("/metrics");
    assert!(
        metrics
            .head
            .contains("content-type: application/openmetrics-text"),
        "{}",
        metrics.head
    );
    assert!(
        metrics.body.contains("countersign_snapshot_version"),
        "{}",
        metrics.body
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_not_understood_is_refused_by_its_name() {
    let ops = Ops::ready();
    let long = format!("/admin/decisions?card={}", "x".repeat(300));
    let cases = [
        (
            "/admin/decisions?colour=red",
            400,
            "invalid_parameter",
            "colour",
        ),
        (
            "/admin/decisions?card=a&card=b",
            400,
            "invalid_parameter",
            "card",
        ),
        ("/admin/decisions?card=", 400, "invalid_parameter", "card"),
        (long.as_str(), 400, "invalid_parameter", "card"),
        (
            "/admin/decisions?limit=0",
            400,
            "invalid_parameter",
            "limit",
        ),
        (
            "/admin/decisions?limit=-1",
            400,
            "invalid_parameter",
            "limit",
        ),
        (
            "/admin/decisions?limit=x",
            400,
            "invalid_parameter",
            "limit",
        ),
        (
            "/admin/decisions?cursor=12",
            400,
            "invalid_parameter",
            "cursor",
        ),
        (
            "/admin/decisions?cursor=000000000000000G",
            400,
            "invalid_parameter",
            "cursor",
        ),
        (
            "/admin/decisions?after=12",
            400,
            "invalid_parameter",
            "after",
        ),
        (
            "/admin/decisions?after=dec_0000000000000001&cursor=0000000000000001",
            400,
            "invalid_parameter",
            "after",
        ),
        (
            "/admin/decisions/dec_0000000000000001?verbose=1",
            400,
            "invalid_parameter",
            "verbose",
        ),
        (
            "/admin/cards/crd_1?verbose=1",
            400,
            "invalid_parameter",
            "verbose",
        ),
        (
            "/admin/decisions/dec_0000000000000001",
            404,
            "not_found",
            "",
        ),
        ("/admin/decisions/dec_1", 404, "not_found", ""),
        ("/admin/decisions/1", 404, "not_found", ""),
        ("/admin/cards/crd_9", 404, "not_found", ""),
        ("/nowhere", 404, "not_found", ""),
    ];
    for (path, status, code, parameter) in cases {
        let reply = ops.get(path);
        assert_eq!(reply.status, status, "{path}");
        assert!(
            reply
                .head
                .contains("content-type: application/problem+json"),
            "{path}"
        );
        let problem = reply.json();
        assert_eq!(problem["code"], code, "{path}");
        assert_eq!(problem["status"], status, "{path}");
        let named = problem["parameter"].as_str().unwrap_or("");
        assert_eq!(named, parameter, "{path}");
    }
    let method = ops.request("DELETE", "/admin/cards/crd_1");
    assert_eq!(
        (method.status, &method.json()["code"]),
        (405, &json!("method_not_allowed"))
    );
}

#[test]
fn decisions_are_listed_newest_first_and_in_pages() {
    let ops = Ops::ready();
    let mut ids = Vec::new();
    for n in 0..3 {
        let authorization = format!("auth {n}");
        let ask = Ask {
            authorization: &authorization,
            minor: 100,
            ..ops.ask()
        };
        ids.insert(0, format!("dec_{:016x}", ops.authorize(ask)));
    }
    let first = ops.get("/admin/decisions?limit=2&connection=acme").json();
    let shown = |page: &Value| -> Vec<String> {
        let decisions = page["decisions"].as_array().unwrap().iter();
        decisions
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(shown(&first), ids[..2]);
    let cursor = first["next"].as_str().unwrap();
    let second = ops
        .get(&format!(
            "/admin/decisions?limit=2&connection=acme&cursor={cursor}"
        ))
        .json();
    assert_eq!(shown(&second), ids[2..]);
    assert_eq!(second["next"], Value::Null);
    let one = ops.get(&format!("/admin/decisions/{}", ids[0])).json();
    assert_eq!(one, first["decisions"][0]);
    let found = ops.get("/admin/decisions?authorization=auth%201").json();
    assert_eq!(shown(&found), ids[1..2]);
    assert_eq!(
        ops.get("/admin/decisions?card=crd_2").json(),
        json!({"decisions": [], "next": null})
    );
}

/// A policy with these values in force and nothing else.
fn policy(values: &Value) -> Value {
    let by_default = |value: Value| json!({"value": value, "level": null});
    let mut all = json!({
        "cascade": "tighten", "perAuth": null, "ttlMinutes": null, "ttlDays": null,
        "validFrom": null, "validUntil": null, "expireAfterCount": null,
        "expireAfterSpend": null, "cooldownMinutes": null, "lockToFirstMerchant": null,
        "maxRiskScore": null, "requireRiskScore": null, "allowCash": by_default(json!(false)),
        "allowPartial": by_default(json!(false)), "fuelHold": null,
        "probePolicy": by_default(json!("consume")), "refundsRestore": null,
        "reauthorizeSameMerchant": null, "requireIntent": null,
        "onIntentMismatch": null, "requireApproval": null, "autoApproveBelow": null,
        "requireAttestation": null, "attestationWindowMinutes": null, "allowedMccs": [],
        "blockedMccs": [], "allowedMerchants": [], "blockedMerchants": [],
        "allowedCountries": [], "blockedCountries": [], "match": [], "activeHours": [],
    });
    for (key, value) in values.as_object().unwrap() {
        assert!(all.get(key).is_some(), "{key}");
        all[key] = value.clone();
    }
    all
}

#[test]
#[expect(clippy::too_many_lines, reason = "one answer in full")]
fn a_card_shows_its_policy_its_limits_and_its_holds() {
    let ops = Ops::ready();
    let at = ops.clock.now();
    ops.authorize(Ask { at, ..ops.ask() });
    ops.authorize(Ask {
        at,
        step: "more",
        content: 2,
        minor: 500,
        ..ops.ask()
    });
    ops.authorize(Ask {
        at,
        authorization: "auth_2",
        minor: 2_000,
        ..ops.ask()
    });
    ops.authorize(Ask {
        at,
        authorization: "declined",
        minor: 3_000,
        ..ops.ask()
    });
    // A question about the card alone is approved and holds nothing.
    ops.authorize(Ask {
        at,
        minor: 0,
        ..Ask::on("crd_1", "verification")
    });
    let snapshot = Arc::clone(&ops.snapshots.load());
    let late = Ask {
        at,
        authorization: "late",
        minor: 700,
        ..ops.ask()
    };
    let decided_at = ops.authorize(late);
    ops.store.overrule(&snapshot, late, decided_at);

    let shown = ops.get("/admin/cards/crd_1").json();
    let view = snapshot.card_by_id("crd_1").unwrap();
    let zone = view.customer.zone();
    let ends = |kind: WindowKind| {
        let second = zone.start_of(kind.next_start(zone.day_at(at.secs())));
        Timestamp::from_secs(second).rfc3339_seconds().to_string()
    };
    let limit = |level, field, limit: i64, resets_at: Option<WindowKind>| {
        json!({
            "level": level, "field": field, "window": resets_at.map(|_| "calendar"),
            "limit": limit, "spent": 3_500, "held": 3_500,
            "remaining": limit - 3_500, "resetsAt": resets_at.map(ends),
        })
    };
    let instant = at.rfc3339().to_string();
    let expected = json!({
        "id": "crd_1",
        "connection": "acme",
        "inSnapshot": true,
        "customerId": "cus_1",
        "customerStatus": "active",
        "agentId": "agt_1",
        "agentStatus": "active",
        "usage": "multi",
        "status": "active",
        "statusSource": "snapshot",
        "frozen": false,
        "currency": "USD",
        "policy": policy(&json!({
            "perAuth": {"value": 4_000, "level": "card"},
            "allowedMccs": [{"value": ["3000-3350", "5812"], "level": "card"}],
            "blockedMccs": [{"value": ["7995"], "level": "customer"}],
            "lockToFirstMerchant": {"value": true, "level": "agent"},
        })),
        "limits": [
            limit("card", "limits.perDay", 5_000, Some(WindowKind::Day)),
            limit("card", "limits.total", 70_000, None),
            limit("agent", "limits.perWeek", 800_000, Some(WindowKind::Week)),
            limit("customer", "limits.perMonth", 900_000, Some(WindowKind::Month)),
        ],
        "counts": [],
        "holds": [
            {"authorization": "auth_2", "amount": 2_000, "at": instant, "steps": 1},
            {"authorization": "auth_1", "amount": 1_500, "at": instant, "steps": 2},
        ],
        "holdsComplete": true,
        "merchantLock": {
            "source": "first_use", "acquirerId": "acq_1", "acceptorId": "shop_1",
            "descriptor": "COFFEE SHOP", "mcc": "5812", "country": "IT",
        },
        "singleUseConsumedAt": null,
    });
    assert_eq!(shown, expected);
}

#[test]
fn a_card_that_was_never_used_and_a_status_of_the_ledger_are_shown() {
    let ops = Ops::ready();
    let fresh = ops.get("/admin/cards/crd_3").json();
    let expected = json!({
        "id": "crd_3",
        "connection": "acme",
        "inSnapshot": true,
        "customerId": "cus_2",
        "customerStatus": "active",
        "agentId": null,
        "agentStatus": null,
        "usage": "single",
        "status": "locked",
        "statusSource": "snapshot",
        "frozen": false,
        "currency": "USD",
        "policy": policy(&json!({})),
        "limits": [],
        "counts": [],
        "holds": [],
        "holdsComplete": true,
        "merchantLock": {
            "source": "preset", "acquirerId": "aq", "acceptorId": "ac",
            "descriptor": null, "mcc": null, "country": null,
        },
        "singleUseConsumedAt": null,
    });
    assert_eq!(fresh, expected);

    let snapshot = Arc::clone(&ops.snapshots.load());
    let view = snapshot.card_by_id("crd_3").unwrap();
    let card = CardRef {
        key: view.card.key(),
        id: view.card.id(),
        connection: view.connection,
        agent: None,
    };
    let route = Route {
        key: view.customer.key(),
        owner: Owner::Customer(view.customer.id()),
    };
    let status = Some(CardStatus::Canceled);
    let command = SetStanding::Card {
        card,
        status,
        frozen: Some(true),
    };
    let set = ops
        .store
        .ledger
        .set_standing(&route, &command, ops.clock.now());
    assert!(set.unwrap().is_some());
    let shown = ops.get("/admin/cards/crd_3").json();
    assert_eq!(shown["status"], "canceled");
    assert_eq!(shown["statusSource"], "ledger");
    assert_eq!(shown["frozen"], true);
}

#[test]
fn a_clock_that_made_no_step_is_not_confirmed() {
    let ops = Ops::ready();
    let refused = ops.request("POST", "/admin/clock/confirm");
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (409, &json!("clock_in_step"))
    );
    let parameter = ops.request("POST", "/admin/clock/confirm?force=true");
    assert_eq!(parameter.status, 400);
    let method = ops.request("GET", "/admin/clock/confirm");
    assert_eq!(method.status, 405);
}
