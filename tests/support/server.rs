//! The real binary on free ports, and clients of it over plain sockets.
//!
//! Whoever starts a server owns the process: it is ended with the value, and nothing else is.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use countersign::clock::Clock;
use countersign::domain::time::Timestamp;
use countersign::issuer::standard_webhooks::{Secret, sign};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing that is waited for takes this long, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const ANYWHERE: &str = "127.0.0.1:0";
const SECRET: &str = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHMsIDMyIGJ5dGVz";
const OTHER_SECRET: &str = "whsec_YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3RzLCBsb25n";

pub(crate) fn now() -> Timestamp {
    static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::start);
    CLOCK.now()
}

pub(crate) fn millis_since(earlier: Timestamp) -> i64 {
    now().micros_since(earlier) / 1_000
}

/// A zone in which it is about noon, so that no window ends while a test runs.
pub(crate) fn zone_at_noon() -> String {
    let hour = now().secs().rem_euclid(86_400) / 3_600;
    match 12 - hour {
        0 => "UTC".to_owned(),
        // The signs of these names are the other way round.
        ahead if ahead > 0 => format!("Etc/GMT-{ahead}"),
        behind => format!("Etc/GMT+{}", -behind),
    }
}

// === what a server is started with ===

/// The files of one server: they outlive its processes.
pub(crate) struct Home {
    dir: TempDir,
    durability: &'static str,
    ops_listen: String,
}

impl Home {
    /// Two connections, `acme` and `beta`, with secrets of their own; deadlines that a busy machine
    /// does not miss unless `config` says otherwise.
    pub(crate) fn new(durability: &'static str, snapshot: &Value) -> Self {
        Self::with_config(durability, snapshot, "", 5_000)
    }

    pub(crate) fn with_config(
        durability: &'static str,
        snapshot: &Value,
        server_keys: &str,
        deadline_ms: u32,
    ) -> Self {
        // Not on a memory file system, where a sync would cost nothing.
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let home = Self {
            dir,
            durability,
            ops_listen: ANYWHERE.to_owned(),
        };
        home.write("acme.secret", SECRET);
        home.write("beta.secret", OTHER_SECRET);
        home.write("snapshot.json", &snapshot.to_string());
        let issuer = |name: &str| {
            let secret = home.path(&format!("{name}.secret"));
            format!(
                "[[issuer]]\nname = \"{name}\"\nkind = \"lithic\"\nsecrets = [\"file:{}\"]\n\
                 deadline_ms = {deadline_ms}\n",
                secret.display()
            )
        };
        let config = format!(
            "[server]\n{server_keys}\n{}{}",
            issuer("acme"),
            issuer("beta")
        );
        home.write("config.toml", &config);
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Has the server look at its snapshot's file this often; 0 means never.
    pub(crate) fn set_snapshot_poll(&self, poll_ms: u64) {
        let config = fs::read_to_string(self.path("config.toml")).unwrap();
        self.write(
            "config.toml",
            &format!("snapshot_poll_ms = {poll_ms}\n{config}"),
        );
    }

    /// Has the operators' listener where it was, so that a restart is found again.
    pub(crate) fn set_ops_listen(&mut self, address: SocketAddr) {
        self.ops_listen = address.to_string();
    }

    pub(crate) fn set_durability(&mut self, durability: &'static str) {
        self.durability = durability;
    }

    fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let (config, snapshot) = (path("config.toml"), path("snapshot.json"));
        let data_dir = path("data");
        [
            ["--config", &config],
            ["--snapshot", &snapshot],
            ["--data-dir", &data_dir],
            ["--issuer-listen", ANYWHERE],
            ["--listen", ANYWHERE],
            ["--ops-listen", &self.ops_listen],
            ["--durability", self.durability],
        ]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
    }

    /// `countersign serve` with this home's files.
    pub(crate) fn serve(&self) -> Command {
        let mut command = binary();
        command.arg("serve").args(self.arguments());
        command
    }

    /// Starts a server and waits until it is ready.
    pub(crate) fn start(&self) -> Server {
        self.spawn(self.serve())
    }

    /// The same, where the command is `serve` behind some tool that keeps the process id.
    pub(crate) fn spawn(&self, mut command: Command) -> Server {
        raise_descriptor_limit();
        let log = self.path("stderr.log");
        let stderr = File::options().create(true).append(true).open(&log);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr.unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let ready = first_line(&mut child);
        let Some(ready) = ready.strip_prefix("ready ") else {
            drop(child.kill());
            let status = child.wait();
            let log = fs::read_to_string(&log).unwrap_or_default();
            panic!("not ready: {ready:?}, {status:?}\n{log}");
        };
        let ready: Value = serde_json::from_str(ready).unwrap();
        let address = |name: &str| {
            let url = ready[name].as_str()?;
            url.strip_prefix("http://")?.parse().ok()
        };
        let ops = address("ops").unwrap();
        Server {
            // Of a process that answers no issuers nobody asks for it.
            issuer: address("issuer").unwrap_or(ops),
            ops,
            ready,
            child,
        }
    }

    /// Runs `serve`, which must refuse to: its exit code and what it said on stderr.
    pub(crate) fn refused(&self) -> (Option<i32>, String) {
        self.refused_with(&[])
    }

    /// The same, with these flags.
    pub(crate) fn refused_with(&self, flags: &[&str]) -> (Option<i32>, String) {
        let mut command = self.serve();
        command.args(flags);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        // A server that starts after all would never end by itself.
        let line = first_line(&mut child);
        if line.starts_with("ready ") {
            drop(child.kill());
        }
        let output = child.wait_with_output();
        assert!(!line.starts_with("ready "), "it started: {line}");
        said(output)
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.path("data")
    }
}

pub(crate) fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_countersign"))
}

pub(crate) fn said(output: std::io::Result<Output>) -> (Option<i32>, String) {
    let output = output.unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    text.push_str(std::str::from_utf8(&output.stderr).unwrap());
    (output.status.code(), text)
}

/// Tests open a thousand connections, and so does the server, which inherits this.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = maximum;
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
}

fn first_line(child: &mut Child) -> String {
    let stdout = child.stdout.take().unwrap();
    let (told, told_of) = mpsc::channel();
    // Reads on for the life of the process, so that it never writes into a closed pipe.
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            drop(told.send(line));
        }
    });
    told_of.recv_timeout(PATIENCE).unwrap_or_default()
}

// === a running server ===

/// A child process that answers.
pub(crate) struct Server {
    pub(crate) issuer: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) ready: Value,
    child: Child,
}

impl Server {
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// kill -9, and the end of the process.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and how the process ended.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let since = now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                now().micros_since(since) < i64::try_from(PATIENCE.as_micros()).unwrap(),
                "the server does not end"
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.issuer)
    }

    /// An answer of the operators' listener that must be a 200.
    pub(crate) fn admin(&self, path: &str) -> Value {
        let mut client = Client::connect(self.ops);
        client.send(format!("GET {path} HTTP/1.1\r\nhost: ops\r\n\r\n").as_bytes());
        let response = client.response();
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        serde_json::from_slice(&response.body).unwrap()
    }
}

impl Server {
    /// The same as text.
    pub(crate) fn admin_text(&self, path: &str) -> String {
        let mut client = Client::connect(self.ops);
        client.send(format!("GET {path} HTTP/1.1\r\nhost: ops\r\n\r\n").as_bytes());
        let response = client.response();
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.text()
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// An order to the operators' listener.
    /// Its resident memory.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    }

    pub(crate) fn post(&self, path: &str) -> Response {
        let mut client = Client::connect(self.ops);
        client.send(
            format!("POST {path} HTTP/1.1\r\nhost: ops\r\ncontent-length: 0\r\n\r\n").as_bytes(),
        );
        client.response()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A stopped process takes a SIGKILL as well; one that has ended is only waited for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

// === a client ===

/// One connection. HTTP/1.1 by hand, so that it can be wrong on purpose.
pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn is_approval(&self) -> bool {
        self.result() == "APPROVED"
    }

    /// What Lithic reads.
    pub(crate) fn result(&self) -> String {
        assert_eq!(self.status, 200, "{} {}", self.head, self.text());
        let body: Value = serde_json::from_slice(&self.body).unwrap();
        body["result"].as_str().unwrap().to_owned()
    }

    /// The stable code of a problem document.
    pub(crate) fn code(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body["code"].as_str()?.to_owned())
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.stream.local_addr().unwrap()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Whether all of it was taken.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Says that nothing more will be sent; answers are still read.
    pub(crate) fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    pub(crate) fn response(&mut self) -> Response {
        self.try_response().expect("the connection was closed")
    }

    /// The next response; absent where the connection ends before it does. Interim responses are
    /// responses here.
    pub(crate) fn try_response(&mut self) -> Option<Response> {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut response = Response {
            status,
            head,
            body: Vec::new(),
        };
        let length = response.header("content-length").unwrap_or("0");
        let length: usize = length.parse().unwrap();
        while self.unread.len() < length {
            self.fill()?;
        }
        response.body = self.unread.drain(..length).collect();
        Some(response)
    }

    /// Whether the peer has closed: nothing more comes, and no response did.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.unread.is_empty() && self.fill().is_none()
    }

    /// Whether nothing has come within this time.
    pub(crate) fn is_silent_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut byte = [0];
        let silent = self.unread.is_empty()
            && self.stream.peek(&mut byte).is_err_and(|error| {
                matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
            });
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    }

    /// Reads some more; absent at the end of the stream, in whatever way it ended.
    fn fill(&mut self) -> Option<()> {
        let mut piece = [0; 8 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => None,
            Ok(size) => {
                self.unread.extend_from_slice(&piece[..size]);
                Some(())
            }
            Err(error) => {
                let late = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(!late, "no answer within {PATIENCE:?}");
                None
            }
        }
    }

    pub(crate) fn ask(&mut self, request: &[u8]) -> Response {
        self.send(request);
        self.response()
    }
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|it| it == wanted)
}

// === authorizations ===

/// Lithic's request for a purchase of this amount: the fixture with other ids.
pub(crate) fn purchase(token: &str, card: &str, amount: u64) -> String {
    const FIXTURE: &str = include_str!("../../fixtures/lithic/purchase.json");
    with_names(FIXTURE, token, card, amount)
}

/// One of Lithic's fixtures about another authorization, card and amount. The amount comes first: in
/// the names of the others, which are random, its digits may stand by chance.
pub(crate) fn with_names(fixture: &str, token: &str, card: &str, amount: u64) -> String {
    fixture
        .replace("2599", &amount.to_string())
        .replace("0b1f7c52-6b7a-4c5d-9f51-3b0c5a6f0a01", token)
        .replace("5a0f2c1e-9d34-4b7e-8f7c-2f6f1c9e4142", card)
}

/// The three signature headers, signed just then.
pub(crate) fn signature(connection: &str, id: &str, at: Timestamp, body: &[u8]) -> String {
    let text = if connection == "beta" {
        OTHER_SECRET
    } else {
        SECRET
    };
    let secret = Secret::from_text(text.to_owned()).unwrap();
    let signed = sign(&secret, id, at, body);
    format!(
        "webhook-id: {}\r\nwebhook-timestamp: {}\r\nwebhook-signature: {}\r\n",
        signed.id, signed.timestamp, signed.signature
    )
}

/// A whole request to `acme`, signed under this delivery's id.
pub(crate) fn delivery(id: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /issuers/acme/authorizations HTTP/1.1\r\nhost: countersign\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n{}\r\n",
        body.len(),
        signature("acme", id, now(), body),
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// A whole request for a purchase; the delivery is called as the authorization.
pub(crate) fn authorization(token: &str, card: &str, amount: u64) -> Vec<u8> {
    delivery(token, purchase(token, card, amount).as_bytes())
}

// === snapshots ===

/// Grows customer by customer, agent by agent, card by card.
#[derive(Default)]
pub(crate) struct SnapshotOf {
    customers: Vec<Value>,
    agents: Vec<Value>,
    cards: Vec<Value>,
}

impl SnapshotOf {
    pub(crate) fn customer(&mut self, id: &str, policy: &Value) {
        let zone = zone_at_noon();
        let customer = json!({"id": id, "timezone": zone, "currency": "USD", "policy": policy});
        self.customers.push(customer);
    }

    pub(crate) fn agent(&mut self, id: &str, customer: &str, policy: &Value) {
        self.agents
            .push(json!({"id": id, "customerId": customer, "policy": policy}));
    }

    /// A card of `acme` whose token is its id.
    pub(crate) fn card(&mut self, id: &str, customer: &str, agent: Option<&str>, policy: &Value) {
        let mut card = json!({
            "id": id, "connection": "acme", "issuerToken": id, "customerId": customer,
            "usage": "multi", "policy": policy,
        });
        if let Some(agent) = agent {
            card["agentId"] = json!(agent);
        }
        self.cards.push(card);
    }

    pub(crate) fn single_use_card(&mut self, id: &str, customer: &str) {
        self.card(id, customer, None, &json!({}));
        let last = self.cards.last_mut().unwrap();
        last["usage"] = json!("single");
    }

    pub(crate) fn build(self) -> Value {
        json!({
            "schema": 1, "customers": self.customers, "agents": self.agents, "cards": self.cards,
        })
    }
}

/// The segments of a server's journal, in order.
pub(crate) fn segments(data_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data_dir.join("journal")).unwrap();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .collect();
    found.sort();
    found
}
