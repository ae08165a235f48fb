//! A server process of ours: started on its core, stopped by us and nobody else.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::process::{Child as Process, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::cores;
use crate::error::Error;
use crate::target::Target;
use crate::workspace::Workspace;

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(20);
const STOP_POLL: Duration = Duration::from_millis(20);
/// How much of a failed server's log is shown.
const LOG_LINES_MAX: usize = 20;

#[derive(Debug)]
pub(crate) struct Child {
    name: &'static str,
    process: Process,
    ready: Ready,
}

/// Whose core is which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) generator: usize,
}

/// What the server says on its one line of standard output.
#[derive(Debug, Default, Deserialize)]
struct Ready {
    issuer: String,
    /// The baselines have none.
    #[serde(default)]
    listen: String,
}

impl Child {
    /// Returns when the server says that it is ready.
    pub(crate) fn start(
        mut command: Command,
        name: &'static str,
        workspace: &Workspace,
        cores: Cores,
    ) -> Result<Self, Error> {
        let log = File::create(workspace.log()).map_err(Error::io("create the server's log"))?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        // The child inherits the core of this thread.
        cores::pin_current_thread(cores.server)?;
        let spawned = command.spawn();
        cores::pin_current_thread(cores.generator)?;
        let doing = format!("start {}", command.get_program().display());
        let process = spawned.map_err(Error::io(doing))?;
        let mut child = Self {
            name,
            process,
            ready: Ready::default(),
        };
        child.ready = child.ready().map_err(|why| {
            let log = log_tail(workspace);
            Error::Server(format!("{name} {why}; the end of its log:\n{log}"))
        })?;
        Ok(child)
    }

    fn ready(&mut self) -> Result<Ready, String> {
        let stdout = self.process.stdout.take().ok_or("has no stdout")?;
        let first = first_line(stdout).recv_timeout(READY_WITHIN);
        let line = first.map_err(|_silence| "did not become ready")?;
        let json = line
            .strip_prefix("ready ")
            .ok_or_else(|| format!("said `{line}`, not that it is ready"))?;
        serde_json::from_str(json).map_err(|fault| format!("said `{line}`: {fault}"))
    }

    pub(crate) fn target(&self, path: &str) -> Result<Target, Error> {
        Target::parse(&format!("{}{path}", self.ready.issuer))
    }

    /// The listener for people and agents.
    pub(crate) fn api(&self, path: &str) -> Result<Target, Error> {
        Target::parse(&format!("{}{path}", self.ready.listen))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to end. A server that has died on the way, or that does not end, is an error.
    pub(crate) fn stop(mut self) -> Result<(), Error> {
        let fail = |why: &str| Error::Server(format!("{} {why}", self.name));
        let waiting = Error::io(format!("wait for {}", self.name));
        if let Some(status) = self.process.try_wait().map_err(waiting)? {
            return Err(fail(&format!("ended during the run: {status}")));
        }
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| fail("has no process id"))?;
        let asking = Error::io(format!("end {}", self.name));
        kill_process(pid, Signal::TERM).map_err(|errno| asking(errno.into()))?;
        for _ in 0..STOP_WITHIN.as_millis() / STOP_POLL.as_millis() {
            let waiting = Error::io(format!("wait for {}", self.name));
            if self.process.try_wait().map_err(waiting)?.is_some() {
                return Ok(());
            }
            thread::sleep(STOP_POLL);
        }
        Err(fail("did not end when asked to"))
    }
}

impl Drop for Child {
    /// Whatever went wrong, nothing of ours stays behind.
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            self.process.kill().unwrap_or_default();
            self.process.wait().map(drop).unwrap_or_default();
        }
    }
}

/// Sends the first line, then reads the rest away, so that the server never blocks on its output.
fn first_line(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Only the first finds a receiver.
            sender.send(line).unwrap_or_default();
        }
    });
    receiver
}

fn log_tail(workspace: &Workspace) -> String {
    let log = std::fs::read_to_string(workspace.log()).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let start = lines.len().saturating_sub(LOG_LINES_MAX);
    lines.get(start..).unwrap_or_default().join("\n")
}
