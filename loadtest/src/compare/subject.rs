//! The three that are compared, and how each is started.

use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::cli::{CompareArgs, Durability, FleetArgs};
use crate::config;
use crate::error::Error;
use crate::snapshot::Snapshot;
use crate::workspace::Workspace;

/// Public, and worth nothing: it signs invented authorizations on the loopback interface.
pub(super) const SECRET: &str = "bG9hZHRlc3QgbG9hZHRlc3QgbG9hZHRlc3QgbG9hZCE=";
/// Not `COUNTERSIGN_…`: the server reads those as settings.
const SECRET_VARIABLE: &str = "LOADTEST_ISSUER_SECRET";
const CONNECTION: &str = "load";
const ANY_PORT: &str = "127.0.0.1:0";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Subject {
    Bare,
    Verified,
    Countersign,
}

impl Subject {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Verified => "verified",
            Self::Countersign => "countersign",
        }
    }

    pub(super) fn command(
        self,
        args: &CompareArgs,
        workspace: &Workspace,
        data_dir: &Path,
    ) -> Result<Command, Error> {
        match self {
            Self::Bare => baseline(&["baseline", "bare"]),
            Self::Verified => baseline(&["baseline", "verified", "--secret", SECRET]),
            Self::Countersign => Ok(countersign(args, workspace, data_dir)),
        }
    }
}

/// The baselines live in this very binary.
fn baseline(arguments: &[&str]) -> Result<Command, Error> {
    let own = std::env::current_exe().map_err(Error::io("find the path of this binary"))?;
    let mut command = Command::new(own);
    command.args(arguments).args(["--listen", ANY_PORT]);
    Ok(command)
}

fn countersign(args: &CompareArgs, workspace: &Workspace, data_dir: &Path) -> Command {
    let mut command = Command::new(&args.server_bin);
    command
        .arg("serve")
        .arg("--config")
        .arg(workspace.config())
        .arg("--snapshot")
        .arg(workspace.snapshot())
        .arg("--data-dir")
        .arg(data_dir)
        .args([
            "--issuer-listen",
            ANY_PORT,
            "--listen",
            ANY_PORT,
            "--ops-listen",
            ANY_PORT,
        ])
        .args(["--durability", durability(args.durability)])
        .env(SECRET_VARIABLE, SECRET);
    command
}

pub(super) fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Strict => "strict",
        Durability::Relaxed => "relaxed",
    }
}

pub(super) fn path() -> String {
    format!("/issuers/{CONNECTION}/authorizations")
}

pub(super) fn config() -> Result<String, Error> {
    config::config(CONNECTION, &format!("env:{SECRET_VARIABLE}"))
}

pub(super) fn snapshot(fleet: FleetArgs) -> Snapshot {
    Snapshot::new(fleet.fleet(), CONNECTION)
}
