//! A real Redis on a free port, with a directory of its own.
//!
//! It is started by a shell that waits for its own input to end: whoever starts it holds the other
//! end, so that the server ends with the test process, however that ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

const SHELL: &str =
    r#"redis-server "$@" >&2 & pid=$!; echo $pid > pid; read -r word; kill -9 "$pid"; wait "$pid""#;

/// A running server, or one that was stopped.
pub(crate) struct RedisServer {
    dir: TempDir,
    port: u16,
    more: Vec<String>,
    /// Of a sentinel, which writes into its file.
    config: Option<String>,
    shell: Option<Child>,
}

impl RedisServer {
    /// Starts one that is empty, with these settings beside its own.
    pub(crate) fn start(more: &[&str]) -> Self {
        Self::begin(more, None)
    }

    /// Starts a sentinel with this configuration.
    pub(crate) fn sentinel(config: &str) -> Self {
        Self::begin(&[], Some(config))
    }

    fn begin(more: &[&str], config: Option<&str>) -> Self {
        let dir = TempDir::new().unwrap();
        let config = config.map(|text| {
            let path = dir.path().join("sentinel.conf");
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        });
        let mut server = Self {
            dir,
            port: 0,
            more: more.iter().map(|&word| word.to_owned()).collect(),
            config,
            shell: None,
        };
        for _ in 0..5 {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            server.port = listener.local_addr().unwrap().port();
            drop(listener);
            if server.run_again() {
                return server;
            }
        }
        panic!("no Redis: install the package `redis-server`; scripts/test does");
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts it on what it has written: whether it answers.
    pub(crate) fn run_again(&mut self) -> bool {
        let port = self.port.to_string();
        let mut words = match &self.config {
            // A file comes first.
            Some(config) => vec![config.as_str(), "--sentinel"],
            None => vec!["--save", ""],
        };
        words.extend(["--port", &port, "--bind", "127.0.0.1"]);
        words.extend(["--daemonize", "no", "--loglevel", "warning"]);
        let shell = Command::new("sh")
            .args(["-c", SHELL, "sh"])
            .args(words)
            .args(&self.more)
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.shell = Some(shell.unwrap());
        let answers = || {
            thread::sleep(Duration::from_millis(20));
            let pong = self.connect().and_then(|stream| ask(stream, &["PING"]));
            pong.is_some_and(|answer| answer == "+PONG")
        };
        (0..250).any(|_| answers())
    }

    /// Ends it as kill -9 does.
    pub(crate) fn crash(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            drop(shell.stdin.take());
            shell.wait().unwrap();
        }
    }

    /// Has it stand still.
    pub(crate) fn signal_stop(&self) {
        self.signal("STOP");
    }

    /// Has it go on.
    pub(crate) fn signal_continue(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        // Its own number: the shell that started it does not stand still.
        let pid = std::fs::read_to_string(self.dir.path().join("pid")).unwrap();
        let sent = Command::new("kill").args(["-s", name, pid.trim()]).status();
        assert!(sent.unwrap().success(), "{name}");
    }

    fn connect(&self) -> Option<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.port)).ok()
    }

    /// Runs a command: the first line of the answer, or the text that it announces.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        ask(self.connect().unwrap(), words).unwrap()
    }

    /// A connection that stays.
    pub(crate) fn line(&self) -> Line {
        Line(BufReader::new(self.connect().unwrap()))
    }

    /// Where it keeps its files.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Every command that it is sent from now on, until what is returned is dropped or stopped.
    pub(crate) fn monitor(&self) -> BufReader<TcpStream> {
        let mut stream = self.connect().unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut lines = BufReader::new(stream);
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        assert_eq!(first, "+OK\r\n");
        lines
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.crash();
    }
}

/// A connection to a server.
pub(crate) struct Line(BufReader<TcpStream>);

impl Line {
    /// Runs a command, as [`RedisServer::ask`] does.
    pub(crate) fn ask(&mut self, words: &[&str]) -> String {
        self.send(words).unwrap();
        self.answer().unwrap()
    }

    /// Sends a command and does not wait for its answer.
    pub(crate) fn send(&mut self, words: &[&str]) -> Option<()> {
        let mut request = vec![format!("*{}\r\n", words.len())];
        let texts = words
            .iter()
            .map(|word| format!("${}\r\n{word}\r\n", word.len()));
        request.extend(texts);
        self.0.get_mut().write_all(request.concat().as_bytes()).ok()
    }

    /// Runs a command that is answered with an array of texts.
    pub(crate) fn list(&mut self, words: &[&str]) -> Vec<String> {
        self.send(words).unwrap();
        let head = self.answer().unwrap();
        let count = head.strip_prefix('*').unwrap_or_else(|| panic!("{head}"));
        let each = (0..count.parse().unwrap()).map(|_| self.answer().unwrap());
        each.collect()
    }

    /// Sends a command as it is; the first word of the array that it answers with.
    pub(crate) fn call(&mut self, command: &[u8]) -> String {
        let word = self.word(command);
        assert!(!word.starts_with('-'), "{word}");
        word
    }

    /// The same, or an error.
    pub(crate) fn word(&mut self, command: &[u8]) -> String {
        self.0.get_mut().write_all(command).unwrap();
        let head = self.answer().unwrap();
        let Some(count) = head.strip_prefix('*') else {
            return head;
        };
        let words = (0..count.parse().unwrap()).map(|_| self.answer().unwrap());
        words.collect::<Vec<_>>().swap_remove(0)
    }

    fn answer(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok()?;
        let line = line.trim_end().to_owned();
        match line.strip_prefix('$') {
            Some(size) if size != "-1" => {
                let mut text = vec![0; size.parse::<usize>().ok()? + 2];
                self.0.read_exact(&mut text).ok()?;
                text.truncate(text.len() - 2);
                Some(String::from_utf8_lossy(&text).into_owned())
            }
            _ => Some(line),
        }
    }
}

fn ask(stream: TcpStream, words: &[&str]) -> Option<String> {
    let mut line = Line(BufReader::new(stream));
    line.send(words)?;
    line.answer()
}
