//! A node that is behind the log does not acknowledge reports that it cannot place: they come again.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::changes::{TOLD, TOLD_CARD, event, fixture};
use super::{Machine, founded};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::redis::RedisServer;
use crate::server::{Home, Server, SnapshotOf, authorization};

const AMOUNT: u64 = 2_599;
/// Milliseconds of an answer: what is learned after a new connection takes several of them.
const LATE: u64 = 150;

fn snapshot(has_card: bool) -> Value {
    let mut snapshot = SnapshotOf::default();
    snapshot.customer("cus", &json!({}));
    if has_card {
        let policy = json!({"limits": {"perDay": 1_000_000_000}});
        snapshot.card(TOLD_CARD, "cus", None, &policy);
    }
    snapshot.build()
}

/// A node whose connection can be cut, and one that goes on.
struct Field {
    _redis: RedisServer,
    proxy: FaultProxy,
    _machine: Machine,
    _home: Home,
    cut: Server,
    well: Server,
}

impl Field {
    /// Something was approved that the node that is cut was not told of.
    fn new(has_card: bool) -> Self {
        let redis = founded(&[]);
        let proxy = FaultProxy::start(redis.port());
        let home = Home::new("relaxed", &snapshot(has_card));
        let mut command = home.serve();
        command.args(["--ledger", &proxy.url()]);
        let cut = home.spawn(command);
        let machine = Machine::new(&redis, &snapshot(true));
        let well = machine.start();
        proxy.set(Fault::Refused);
        let asked = authorization(TOLD, TOLD_CARD, AMOUNT);
        assert!(well.client().ask(&asked).is_approval());
        Self {
            _redis: redis,
            proxy,
            _machine: machine,
            _home: home,
            cut,
            well,
        }
    }

    /// What the node that was cut says as soon as it says anything.
    fn says_at_last(&self, body: &str) -> String {
        for _ in 0..1_000 {
            let response = event(&self.cut, body);
            if response.status == 200 {
                let said: Value = serde_json::from_slice(&response.body).unwrap();
                return said["status"].as_str().unwrap().to_owned();
            }
            assert_eq!(response.status, 503, "{}", response.text());
            thread::sleep(Duration::from_millis(5));
        }
        panic!("it never catches up");
    }
}

#[test]
fn a_report_without_a_card_is_not_lost_by_a_node_that_does_not_know_its_authorization() {
    let field = Field::new(true);
    let dispute = fixture("dispute");
    let response = event(&field.cut, &dispute);
    assert_eq!(response.status, 503, "{}", response.text());
    field.proxy.set(Fault::None);
    assert_eq!(field.says_at_last(&dispute), "applied");
    // What nobody knows is ignored, by a node that knows everything.
    let stranger = dispute.replace(TOLD, "00000000-0000-4000-8000-000000000000");
    assert_eq!(field.says_at_last(&stranger), "ignored");
}

#[test]
fn the_end_of_nothing_is_not_ignored_by_a_node_that_does_not_know_its_beginning() {
    let field = Field::new(true);
    let nothing = fixture("return_not_found").replace("0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0afb", TOLD);
    assert!(nothing.contains(TOLD));
    let response = event(&field.cut, &nothing);
    assert_eq!(response.status, 503, "{}", response.text());
    field.proxy.set(Fault::None);
    assert_ne!(field.says_at_last(&nothing), "ignored");
}

#[test]
fn a_node_that_is_catching_up_books_nothing_at_nobody_that_is_a_customers() {
    let field = Field::new(false);
    let cleared = fixture("cleared_partly");
    assert_eq!(event(&field.cut, &cleared).status, 503);
    field.proxy.set(Fault::Late(LATE));
    assert_eq!(field.says_at_last(&cleared), "applied");
    let path = format!("/admin/authorizations/acme/{TOLD}");
    assert_eq!(field.well.admin(&path)["outcome"]["posted"], 1_000);
}
