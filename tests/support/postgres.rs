//! A real PostgreSQL server on a free port, with a data directory of its own.
//!
//! It is started by a shell that waits for its own input to end: whoever starts it holds the other
//! end, so that the server ends with the test process, however that ends. PostgreSQL refuses to run
//! as root, so that root runs it as another user.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// A secret: it may be found nowhere.
pub(crate) const PASSWORD: &str = "pg-canary-5f1c9b2e77d0";
const SUPERUSER: &str = "keeper";
/// Whom root runs it as, the first that is there.
const USERS: [&str; 2] = ["postgres", "nobody"];
/// Ends the server at once when the input ends, as a crash does, and takes the data away unless told
/// to keep it: nobody else does where the test process is killed.
const SHELL: &str = r#"dir=$1; shift; "$@" >&2 & pid=$!; echo "$pid"; read -r word
kill -QUIT "$pid"; wait "$pid"; [ "$word" = keep ] || rm -rf -- "$dir""#;

/// A running server, or one that was stopped.
pub(crate) struct PgServer {
    dir: TempDir,
    port: u16,
    shell: Option<Child>,
}

/// One that all tests of the process share; each has a database of its own in it.
static SHARED: LazyLock<PgServer> = LazyLock::new(PgServer::start);
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// The address of a new, empty database in the shared server.
pub(crate) fn fresh_database() -> String {
    SHARED.fresh_database()
}

/// The directory of the programs, of the newest version that is installed.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql");
    let versions = versions.expect("install the package `postgresql`; scripts/test does");
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    versions.pop().unwrap().join("bin")
}

fn user() -> Option<(u32, u32, &'static str)> {
    if !rustix::process::getuid().is_root() {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let id_of = |name: &str| {
        let line = accounts
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2).map(|it| it.parse().unwrap());
        Some((numbers.next()?, numbers.next()?))
    };
    let mut found = USERS
        .iter()
        .filter_map(|name| id_of(name).map(|(user, group)| (user, group, *name)));
    Some(found.next().unwrap())
}

/// A program of PostgreSQL, as a user that is not root.
fn program(name: &str) -> Vec<String> {
    let path = programs().join(name).display().to_string();
    let Some((user, group, _)) = user() else {
        return vec![path];
    };
    vec![
        "setpriv".to_owned(),
        format!("--reuid={user}"),
        format!("--regid={group}"),
        "--clear-groups".to_owned(),
        path,
    ]
}

fn run(words: &[String], arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(&words[0])
        .args(&words[1..])
        .args(arguments)
        .env("PGPASSWORD", PASSWORD)
        .current_dir("/")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?} {arguments:?}: {errors}");
    output.stdout
}

impl PgServer {
    /// Starts one with an empty data directory.
    pub(crate) fn start() -> Self {
        // Where a user without rights may go, wherever the tree is.
        let dir = TempDir::new().unwrap();
        let password = dir.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        let everybody = fs::Permissions::from_mode(0o711);
        fs::set_permissions(dir.path(), everybody).unwrap();
        if let Some((user, group, _)) = user() {
            for path in [dir.path(), &password] {
                chown(path, Some(user), Some(group)).unwrap();
            }
        }
        let data = dir.path().join("data").display().to_string();
        let password = password.display().to_string();
        run(
            &program("initdb"),
            &[
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                // In which texts are ordered otherwise than by their bytes.
                "--locale-provider=icu",
                "--icu-locale=en",
                "--no-sync",
                "--pgdata",
                &data,
                "--pwfile",
                &password,
                "--username",
                SUPERUSER,
            ],
        );
        let mut server = Self {
            dir,
            port: 0,
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
        panic!("no PostgreSQL server: {}", server.log());
    }

    /// Where the data is.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Starts it on what is there: whether it answers.
    pub(crate) fn run_again(&mut self) -> bool {
        let (data, port) = (self.data().display().to_string(), self.port.to_string());
        let sockets = self.dir.path().display().to_string();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"));
        let mut shell = Command::new("sh")
            .args(["-c", SHELL, "sh"])
            .arg(self.dir.path())
            .args(program("postgres"))
            .args(["-D", &data, "-p", &port, "-k", &sockets])
            // What a killed process has written is there without it; only a power loss is not met.
            .args(["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"])
            .args(["-c", "max_connections=400", "-c", "log_statement=none"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.unwrap())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        let server: u32 = first.trim().parse().unwrap();
        self.shell = Some(shell);
        for _ in 0..600 {
            let ready = Command::new(programs().join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &port])
                .status();
            if ready.unwrap().success() {
                return true;
            }
            if !Path::new(&format!("/proc/{server}")).exists() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        self.crash();
        false
    }

    /// Ends it at once; what was in flight is lost.
    pub(crate) fn crash(&mut self) {
        if let Some(mut shell) = self.shell.take() {
            let mut input = shell.stdin.take().unwrap();
            input.write_all(b"keep\n").unwrap();
            drop(input);
            shell.wait().unwrap();
        }
    }

    /// The address of a database.
    pub(crate) fn address(&self, database: &str) -> String {
        let port = self.port;
        format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{port}/{database}")
    }

    /// The address of a new, empty database.
    pub(crate) fn fresh_database(&self) -> String {
        let name = format!("plane_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.address(&name)
    }

    /// Runs statements, as whoever restores a dump does.
    pub(crate) fn sql(&self, database: &str, statements: &str) -> Vec<u8> {
        let address = self.address(database);
        sql(&address, statements)
    }
}

/// Runs statements in the database of this address: what they say, without ornament.
pub(crate) fn sql(address: &str, statements: &str) -> Vec<u8> {
    let psql = programs().join("psql").display().to_string();
    let mut child = Command::new(psql)
        .args([address, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(statements.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{statements}");
    output.stdout
}

/// Everything that the database of this address holds, as text.
pub(crate) fn dump(address: &str) -> Vec<u8> {
    let pg_dump = programs().join("pg_dump").display().to_string();
    let dumped = run(&[pg_dump], &["--inserts", "--no-owner", address]);
    let text = String::from_utf8(dumped).unwrap();
    // Newer versions of the program put a random word into the first and the last line.
    let is_row = |line: &&str| !line.contains("restrict ");
    let lines: Vec<&str> = text.lines().filter(is_row).collect();
    lines.join("\n").into_bytes()
}

impl Drop for PgServer {
    fn drop(&mut self) {
        self.crash();
    }
}
