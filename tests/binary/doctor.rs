//! `countersign doctor`: each verdict that can be provoked (behaviour 11.6).

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use crate::http::{CARD, home};
use crate::server::{Home, authorization, binary, said};

const DAY: Duration = Duration::from_secs(86_400);

/// A home whose files are as they should be.
fn healthy() -> Home {
    let home = home();
    for secret in ["acme.secret", "beta.secret"] {
        set_mode(&home.path(secret), 0o400);
    }
    fs::create_dir(home.data_dir()).unwrap();
    set_mode(&home.data_dir(), 0o700);
    home
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn set_age(path: &Path, modified: SystemTime) {
    File::open(path).unwrap().set_modified(modified).unwrap();
}

/// Of the files' own clock.
fn present(home: &Home) -> SystemTime {
    home.write("present", "");
    fs::metadata(home.path("present"))
        .unwrap()
        .modified()
        .unwrap()
}

fn doctor(home: &Home) -> Command {
    let mut command = binary();
    command.arg("doctor").arg("--json");
    for (flag, name) in [
        ("--config", "config.toml"),
        ("--snapshot", "snapshot.json"),
        ("--data-dir", "data"),
    ] {
        command.arg(flag).arg(home.path(name));
    }
    command
}

/// The same behind a shell that sets a limit first.
fn limited(home: &Home, limit: &str) -> Command {
    let inner = doctor(home);
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")])
        .arg(inner.get_program())
        .args(inner.get_args());
    command
}

struct Report {
    exit: Option<i32>,
    said: Value,
}

impl Report {
    fn of(mut command: Command) -> Self {
        let (exit, text) = said(command.output());
        let said = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        Self { exit, said }
    }

    /// Verdicts and what was seen, of this name.
    fn checks(&self, name: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let checks = self.said["checks"].as_array().unwrap().iter();
        let named = checks.filter(|check| check["name"] == name);
        named
            .map(|check| {
                let verdict = text(&check["verdict"]);
                assert_eq!(check["remedy"].is_null(), verdict == "ok", "{check}");
                (verdict, text(&check["seen"]))
            })
            .collect()
    }

    /// How quick the disk is depends on who else uses it.
    fn assert_disk_was_measured(&self) {
        let checks = self.checks("disk");
        let (verdict, seen) = &checks[0];
        assert_ne!(verdict, "fail", "{seen}");
        assert!(seen.contains("fdatasync p50"), "{seen}");
    }

    /// The one check of this name has this verdict and has seen this.
    fn assert(&self, name: &str, verdict: &str, seen: &str) {
        let checks = self.checks(name);
        let [(found, saw)] = checks.as_slice() else {
            panic!("{name}: {checks:?}");
        };
        assert_eq!(found, verdict, "{name}: {saw}");
        assert!(saw.contains(seen), "{name}: {saw}");
    }
}

#[test]
fn a_healthy_home_has_no_failure_and_nothing_is_left_behind() {
    let home = healthy();
    let report = Report::of(limited(&home, "ulimit -c 0"));
    assert_eq!(report.exit, Some(0), "{}", report.said);
    assert_ne!(report.said["verdict"], "fail");
    report.assert("config", "ok", "2 issuer connections");
    report.assert("snapshot", "ok", "cards");
    report.assert("data_dir", "ok", "0700");
    report.assert("journal", "ok", "none yet");
    report.assert_disk_was_measured();
    report.assert("core_dumps", "ok", "none");
    assert_eq!(report.checks("secret").len(), 2);
    for (verdict, seen) in report.checks("secret") {
        assert_eq!(verdict, "ok", "{seen}");
    }
    assert_eq!(fs::read_dir(home.data_dir()).unwrap().count(), 0);
}

#[test]
fn for_people_each_check_is_a_line_and_its_remedy_another() {
    let home = healthy();
    set_mode(&home.data_dir(), 0o755);
    let mut command = doctor(&home);
    let plain: Vec<_> = command
        .get_args()
        .filter(|it| *it != "--json")
        .map(ToOwned::to_owned)
        .collect();
    command = binary();
    let (exit, text) = said(command.args(plain).output());
    assert_eq!(exit, Some(0), "{text}");
    assert!(text.contains("warn  data_dir    "), "{text}");
    assert!(text.contains("\u{2192} chmod 0700 "), "{text}");
}

#[test]
fn it_works_beside_a_running_server_and_knows_it() {
    let home = healthy();
    let server = home.start();
    let report = Report::of(doctor(&home));
    assert_eq!(report.exit, Some(0), "{}", report.said);
    let holder = format!("in use by process {}", server.id());
    report.assert("journal", "ok", &holder);
    assert!(
        server
            .client()
            .ask(&authorization("beside", CARD, 100))
            .is_approval()
    );
    assert!(server.terminate().success());
    Report::of(doctor(&home)).assert("journal", "ok", "not in use");
}

/// Without a flag it looks at what `serve` would start with: the sandbox, in this directory.
#[test]
fn without_flags_it_is_the_sandbox_here() {
    let here = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut command = binary();
    command.args(["doctor", "--json"]).current_dir(here.path());
    let report = Report::of(command);
    assert_eq!(report.exit, Some(0), "{}", report.said);
    report.assert("data_dir", "warn", "countersign-data is not there");
    report.assert_disk_was_measured();
    assert_eq!(
        fs::read_dir(here.path()).unwrap().count(),
        0,
        "it left something"
    );
}

#[test]
fn what_serve_would_refuse_exits_with_2() {
    let home = healthy();
    let good = fs::read_to_string(home.path("config.toml")).unwrap();
    home.write(
        "config.toml",
        &good.replacen("deadline_ms = 5000", "deadline_ms = 0", 1),
    );
    let report = Report::of(doctor(&home));
    assert_eq!(report.exit, Some(2));
    report.assert("config", "fail", "config.toml:8: issuer[0].deadline_ms");
    // The rest is looked at all the same.
    report.assert("data_dir", "ok", "0700");
    assert_eq!(report.checks("secret").len(), 2);

    home.write("config.toml", &good);
    let snapshot = fs::read_to_string(home.path("snapshot.json")).unwrap();
    home.write(
        "snapshot.json",
        &snapshot.replacen("\"schema\":1", "\"schema\":7", 1),
    );
    let report = Report::of(doctor(&home));
    assert_eq!(report.exit, Some(2));
    report.assert("snapshot", "fail", "schema");

    let (exit, _) = said(binary().args(["doctor", "--jason"]).output());
    assert_eq!(exit, Some(2));
}

/// What can be known of a configuration that is wrong is used, and nothing else is judged.
#[test]
fn of_a_wrong_configuration_the_data_directory_is_found_all_the_same() {
    let home = healthy();
    let good = fs::read_to_string(home.path("config.toml")).unwrap();
    let without_flag = |config: &str| {
        home.write("config.toml", config);
        let mut command = binary();
        command.args(["doctor", "--json", "--config"]);
        Report::of({
            command.arg(home.path("config.toml"));
            command
        })
    };
    let data_dir = home.data_dir().display().to_string();
    let named = format!("data_dir = \"{data_dir}\"\nunknown = 1\n{good}");
    let report = without_flag(&named);
    report.assert("config", "fail", "unknown");
    report.assert("data_dir", "ok", &data_dir);
    let report = without_flag(&format!("data_dir = {data_dir}\n{good}"));
    assert_eq!(report.exit, Some(2));
    report.assert("data_dir", "warn", "not looked at");
    assert!(report.checks("disk").is_empty() && report.checks("space").is_empty());
}

#[test]
fn each_warning_about_a_connection_is_a_check_of_its_own() {
    let home = healthy();
    let good = fs::read_to_string(home.path("config.toml")).unwrap();
    let secret = home.path("acme.secret").display().to_string();
    let stripe = format!(
        "[[issuer]]\nname = \"striped\"\nkind = \"stripe\"\nsecrets = [\"file:{secret}\"]\n\
         unsigned = \"accept\"\n"
    );
    home.write("config.toml", &format!("{good}{stripe}"));
    let report = Report::of(doctor(&home));
    report.assert("config", "ok", "3 issuer connections");
    let checks = report.checks("issuer");
    assert_eq!(checks.len(), 2, "{checks:?}");
    for ((verdict, seen), word) in checks.iter().zip(["unsigned", "Stripe decides"]) {
        assert!(verdict == "warn" && seen.starts_with("striped: "), "{seen}");
        assert!(seen.contains(word), "{seen}");
    }
}

#[test]
fn secrets_are_judged_and_never_shown() {
    let home = healthy();
    let secret = home.path("acme.secret");
    let strong = fs::read_to_string(&secret).unwrap();
    let look = |verdict: &str, seen: &str, exit: i32| {
        let report = Report::of(doctor(&home));
        assert_eq!(report.exit, Some(exit), "{}", report.said);
        let (found, saw) = report.checks("secret")[0].clone();
        assert_eq!(found, verdict, "{saw}");
        assert!(
            saw.contains("acme: issuer[0].secrets[0]") && saw.contains(seen),
            "{saw}"
        );
        assert!(
            !report.said.to_string().contains(strong.get(6..20).unwrap()),
            "it is shown"
        );
    };
    look("ok", "mode 0400, 0 days old", 0);
    set_mode(&secret, 0o444);
    look("fail", "anybody on the machine", 1);
    set_mode(&secret, 0o460);
    look("fail", "its group may change it", 1);
    set_mode(&secret, 0o440);
    look("ok", "mode 0440", 0);
    set_age(&secret, present(&home) - 366 * DAY);
    look("warn", "366 days old", 0);
    // 32 bytes that are all the same.
    set_mode(&secret, 0o600);
    home.write(
        "acme.secret",
        "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=",
    );
    look("fail", "weak, worth 1 bytes", 1);
    fs::remove_file(&secret).unwrap();
    look("fail", "cannot be read", 2);
}

#[test]
fn d1_a_clock_that_has_gone_back_behind_the_journal_is_a_failure() {
    let home = healthy();
    fs::create_dir(home.path("data/journal")).unwrap();
    home.write("data/journal/journal-0000000000000001.seg", "");
    let segment = home.path("data/journal/journal-0000000000000001.seg");
    set_age(&segment, present(&home) + DAY);
    let report = Report::of(doctor(&home));
    assert_eq!(report.exit, Some(1));
    report.assert("clock", "fail", "after the present time");
    set_age(&segment, present(&home));
    assert_eq!(Report::of(doctor(&home)).exit, Some(0));
}

#[test]
fn a_data_directory_that_others_can_use_or_that_is_in_memory_is_no_place() {
    let home = healthy();
    for (mode, verdict, exit) in [(0o755, "warn", 0), (0o777, "fail", 1), (0o750, "ok", 0)] {
        set_mode(&home.data_dir(), mode);
        let report = Report::of(doctor(&home));
        assert_eq!(report.exit, Some(exit), "{}", report.said);
        report.assert("data_dir", verdict, &format!("{mode:04o}"));
    }
    let mut elsewhere = doctor(&home);
    elsewhere.arg("--data-dir=/nowhere/at/all");
    let (exit, _) = said(elsewhere.output());
    assert_eq!(exit, Some(2), "the flag stands twice");
    fs::remove_dir(home.data_dir()).unwrap();
    let report = Report::of(doctor(&home));
    report.assert("data_dir", "warn", "is not there");
    report.assert_disk_was_measured();

    let memory = TempDir::new_in("/dev/shm").unwrap();
    let in_memory = memory.path().join("data");
    std::os::unix::fs::symlink(&in_memory, home.data_dir()).unwrap();
    fs::create_dir(&in_memory).unwrap();
    set_mode(&in_memory, 0o700);
    let report = Report::of(doctor(&home));
    assert_eq!(report.exit, Some(1));
    report.assert("disk", "fail", "in memory");
}

#[test]
fn limits_are_those_of_the_process() {
    let home = healthy();
    for (limit, name, verdict, seen) in [
        ("ulimit -n 1000", "open_files", "warn", "1000 at most"),
        (
            "ulimit -Sc unlimited",
            "core_dumps",
            "warn",
            "secrets included",
        ),
        ("ulimit -Sv 900000", "memory", "warn", "878 MiB"),
    ] {
        let report = Report::of(limited(&home, limit));
        assert_eq!(report.exit, Some(0), "{limit}: {}", report.said);
        report.assert(name, verdict, seen);
    }
}

/// The password of the mail server is looked at as every other secret is, its strength excepted.
#[test]
fn s15_a_mail_password_that_others_can_read_is_told() {
    let home = healthy();
    home.write("mail", "short");
    let text = fs::read_to_string(home.path("config.toml")).unwrap();
    let path = home.path("mail");
    let mail = format!(
        "{text}\n[mail]\nhost = \"127.0.0.1\"\ntls = \"none\"\nfrom = \"n@example.com\"\nuser = \"u\"\n\
         password = \"file:{}\"\n",
        path.display()
    );
    home.write("config.toml", &mail);
    let told = |mode: u32| {
        set_mode(&path, mode);
        let checks = Report::of(doctor(&home)).checks("secret");
        let mut of_mail = checks
            .into_iter()
            .filter(|(_, seen)| seen.starts_with("mail.password: "));
        let found = of_mail.next().unwrap();
        assert_eq!(of_mail.next(), None);
        found
    };
    assert_eq!(told(0o400).0, "ok");
    let (verdict, seen) = told(0o444);
    assert_eq!(verdict, "fail");
    assert!(seen.contains("mode 0444"), "{seen}");
}
