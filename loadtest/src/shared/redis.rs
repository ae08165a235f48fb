//! The Redis of a run: started by us, asked for its own figures, ended by us.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde::Serialize;

use super::resp::{Line, Value};
use crate::cli::SharedArgs;
use crate::cores;
use crate::error::Error;
use crate::usage::Accounts;
use crate::workspace::Workspace;

const READY_POLL: Duration = Duration::from_millis(20);
const READY_POLLS: u32 = 250;
/// What happens within a call of the function.
const WITHIN: [&str; 5] = ["get", "lindex", "llen", "rpush", "publish"];

pub(super) struct Redis {
    process: Child,
    address: SocketAddr,
}

/// What it says of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Calls {
    pub(super) count: u64,
    /// Of one call, by its `latencystats`.
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) mean_ns: u64,
    /// Of each command within, its mean.
    pub(super) within: Vec<(String, u64)>,
    /// Bytes that came in and went out.
    pub(super) input: u64,
    pub(super) output: u64,
}

impl Redis {
    pub(super) fn start(args: &SharedArgs, workspace: &Workspace) -> Result<Self, Error> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let address = free.and_then(|it| it.local_addr());
        let address = address.map_err(Error::io("find a free port"))?;
        let log = workspace.path().join("redis.log");
        let log = File::create(log).map_err(Error::io("create the log of Redis"))?;
        let append_only = if args.append_only { "yes" } else { "no" };
        let mut command = Command::new(&args.redis_bin);
        command
            .args(["--bind", "127.0.0.1", "--port"])
            .arg(address.port().to_string())
            .args(["--save", "", "--appendonly", append_only])
            .args(["--appendfsync", "always", "--latency-tracking", "yes"])
            .args(["--maxmemory-policy", "noeviction"])
            .current_dir(workspace.fresh_data_dir()?)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null());
        cores::pin_current_thread(args.redis_core)?;
        let spawned = command.spawn();
        cores::pin_current_thread(args.generator_core)?;
        let process = spawned.map_err(Error::io(format!("start {}", args.redis_bin.display())))?;
        let redis = Self { process, address };
        for _ in 0..READY_POLLS {
            thread::sleep(READY_POLL);
            if redis.asks(&["PING"]).is_ok_and(|it| it.text() == "PONG") {
                return Ok(redis);
            }
        }
        Err(Error::Server("Redis does not answer".to_owned()))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub(super) fn accounts(&self) -> Accounts {
        Accounts::of_process(self.process.id()).unwrap_or_default()
    }

    /// One command over a connection of its own.
    pub(super) fn asks(&self, words: &[&str]) -> Result<Value, Error> {
        super::block_on(async {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            Line::to(self.address).await?.ask(&words).await
        })
    }

    /// Its figures begin anew.
    pub(super) fn forget_figures(&self) -> Result<(), Error> {
        self.asks(&["CONFIG", "RESETSTAT"]).map(drop)
    }

    pub(super) fn memory(&self) -> Result<u64, Error> {
        super::block_on(async { memory(&mut Line::to(self.address).await?).await })
    }

    pub(super) fn calls(&self) -> Result<Calls, Error> {
        super::block_on(async { Calls::told(&mut Line::to(self.address).await?).await })
    }

    /// The keys of all logs.
    pub(super) fn logs(&self) -> Result<Vec<String>, Error> {
        let Value::Items(keys) = self.asks(&["KEYS", "countersign:{*}:*"])? else {
            return Ok(Vec::new());
        };
        Ok(keys.iter().map(Value::text).collect())
    }

    /// The sizes of entries of a log, as many as a hundred.
    pub(super) fn entry_sizes(&self, log: &str) -> Result<Vec<u64>, Error> {
        let Value::Items(entries) = self.asks(&["LRANGE", log, "0", "99"])? else {
            return Ok(Vec::new());
        };
        let size = |entry: &Value| {
            if let Value::Text(bytes) = entry {
                return bytes.len() as u64;
            }
            0
        };
        Ok(entries.iter().map(size).collect())
    }
}

/// What it has allocated, in bytes.
pub(super) async fn memory(line: &mut Line) -> Result<u64, Error> {
    let told = line.ask(&[b"INFO", b"memory"]).await?.text();
    Ok(number(&told, "used_memory:"))
}

impl Calls {
    /// The figures since they began.
    pub(super) async fn told(line: &mut Line) -> Result<Self, Error> {
        let told = line.ask(&[b"INFO", b"all"]).await?.text();
        let of = |command: &str, name: &str| {
            let begins = format!("cmdstat_{command}:");
            let line = told.lines().find(|line| line.starts_with(&begins));
            line.map_or(0, |line| thousandths(line, name))
        };
        let latency = told
            .lines()
            .find(|line| line.starts_with("latency_percentiles_usec_fcall:"));
        let latency = |name| latency.map_or(0, |line| thousandths(line, name));
        let within = WITHIN.map(|name| (name.to_owned(), of(name, "usec_per_call=")));
        Ok(Self {
            count: of("fcall", "calls=") / 1_000,
            p50_ns: latency("p50="),
            p99_ns: latency("p99="),
            mean_ns: of("fcall", "usec_per_call="),
            within: within.into(),
            input: number(&told, "total_net_input_bytes:"),
            output: number(&told, "total_net_output_bytes:"),
        })
    }
}

impl Drop for Redis {
    /// It keeps nothing that anybody wants.
    fn drop(&mut self) {
        self.process.kill().unwrap_or_default();
        self.process.wait().map(drop).unwrap_or_default();
    }
}

/// The number behind a name.
fn number(text: &str, name: &str) -> u64 {
    thousandths(text, name) / 1_000
}

/// A number with up to three decimal places behind a name, in thousandths.
fn thousandths(text: &str, name: &str) -> u64 {
    let Some((_, rest)) = text.split_once(name) else {
        return 0;
    };
    let is_part = |char: char| char.is_ascii_digit() || char == '.';
    let digits = rest.split(|char| !is_part(char)).next().unwrap_or_default();
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    let whole: u64 = whole.parse().unwrap_or(0);
    whole * 1_000 + part.parse::<u64>().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::thousandths;

    #[test]
    fn a_number_is_read_behind_its_name_in_thousandths() {
        let line = "cmdstat_fcall:calls=12,usec=340,usec_per_call=28.35,rejected_calls=0";
        assert_eq!(thousandths(line, "calls="), 12_000);
        assert_eq!(thousandths(line, "usec_per_call="), 28_350);
        assert_eq!(thousandths(line, "p50="), 0);
        assert_eq!(thousandths("p50=22.143,p99=1", "p99="), 1_000);
    }
}
