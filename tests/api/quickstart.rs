//! docs/quickstart.md, played: its marked blocks in one shell, with the built program's server.

use std::process::Command;

use crate::plane::Plane;

const TEXT: &str = include_str!("../../docs/quickstart.md");

/// The blocks behind the mark, in order.
fn blocks() -> String {
    let mut script = String::from("set -eu\n");
    for part in TEXT.split("<!-- quickstart -->\n```sh\n").skip(1) {
        let (block, _) = part.split_once("```").unwrap();
        script.push_str(block);
    }
    script
}

#[test]
fn the_quickstart_leads_to_a_card_that_declines_rightly() {
    let plane = Plane::start();
    let played = Command::new("sh")
        .arg("-c")
        .arg(blocks())
        .env("API", format!("http://{}", plane.listen()))
        .env("COUNTERSIGN_KEY", &plane.owner)
        .output()
        .unwrap();
    let said = String::from_utf8(played.stdout).unwrap();
    let errors = String::from_utf8_lossy(&played.stderr);
    assert!(played.status.success(), "{said}\n{errors}");
    let lines: Vec<&str> = said.lines().collect();
    let [fits, over, blocked, frozen, stopped, policy] = lines[..] else {
        panic!("{said}\n{errors}");
    };
    for (line, expected) in [
        (fits, r#""decision":"approve""#),
        (over, r#""reason":"amount_over_per_auth""#),
        (blocked, r#""reason":"mcc_blocked""#),
        (frozen, r#""status":"frozen""#),
        (stopped, r#""reason":"card_frozen_by_risk""#),
        (policy, r#""level":"agent""#),
    ] {
        assert!(line.contains(expected), "{expected}: {line}");
    }
}
