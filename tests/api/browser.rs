//! A browser, as far as pages without scripts need one: it keeps cookies, says where a form comes from,
//! and sends forms back as they were written. The real one plays in tests/interop.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Stdio;

use crate::plane::Plane;
use crate::server::{Client, Response, binary, said};

/// A browser that looks at one server.
pub(crate) struct Browser {
    at: SocketAddr,
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn new(plane: &Plane) -> Self {
        Self {
            at: plane.listen(),
            cookies: BTreeMap::new(),
        }
    }

    /// Where it is, as browsers write it.
    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.at.port())
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send("GET", path, "", "")
    }

    /// Sends a form, from this server's own page.
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Response {
        let origin = self.origin();
        self.post_from(Some(&origin), path, fields)
    }

    /// The same from a page of this origin, or of none.
    pub(crate) fn post_from(
        &mut self,
        origin: Option<&str>,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Response {
        let origin = origin.map(|it| format!("origin: {it}\r\n"));
        let kind = "content-type: application/x-www-form-urlencoded\r\n";
        let headers = format!("{kind}{}", origin.unwrap_or_default());
        self.send("POST", path, &headers, &encoded(fields))
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Response {
        let cookies: Vec<String> = { self.cookies.iter() }
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = match cookies.is_empty() {
            true => String::new(),
            false => format!("cookie: {}\r\n", cookies.join("; ")),
        };
        let (host, length) = (self.at, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{cookies}{headers}content-length: \
             {length}\r\n\r\n{body}"
        );
        let response = Client::connect(self.at).ask(request.as_bytes());
        for line in response.head.lines() {
            let Some((name, text)) = line.split_once(": ") else {
                continue;
            };
            if name.eq_ignore_ascii_case("set-cookie") {
                let pair = text.split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                if value.is_empty() {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        response
    }

    /// Signs in; the answer.
    pub(crate) fn sign_in(&mut self, email: &str, password: &str) -> Response {
        let page = self.get("/login");
        assert_eq!(page.status, 200, "{}", page.text());
        let csrf = field(&page, "csrf");
        let fields = [("csrf", &*csrf), ("email", email), ("password", password)];
        self.post("/login", &fields)
    }
}

/// The value of a page's hidden field.
pub(crate) fn field(page: &Response, name: &str) -> String {
    let text = page.text();
    let start = format!("name=\"{name}\" value=\"");
    let (_, rest) = text
        .split_once(&start)
        .unwrap_or_else(|| panic!("no {name}: {text}"));
    let (value, _) = rest.split_once('"').unwrap();
    // What a template escapes.
    {
        [
            ("&#38;", "&"),
            ("&#34;", "\""),
            ("&#39;", "'"),
            ("&#60;", "<"),
            ("&#62;", ">"),
        ]
    }
    .iter()
    .fold(value.to_owned(), |text, (from, to)| text.replace(from, to))
}

pub(crate) fn encoded(fields: &[(&str, &str)]) -> String {
    let pairs = { fields.iter() }.map(|(name, value)| format!("{name}={}", percent(value)));
    pairs.collect::<Vec<_>>().join("&")
}

pub(crate) fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let each = text.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    each.collect()
}

/// `countersign user` with these words, and this on its standard input; its exit code and what it said.
pub(crate) fn user(plane: &Plane, words: &[&str], stdin: &str) -> (Option<i32>, String) {
    let ops = plane.server().ops.to_string();
    let mut command = binary();
    command.arg("user").args(words).args(["--ops-listen", &ops]);
    command.arg("--data-dir").arg(plane.home.data_dir());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(stdin.as_bytes())
        .unwrap();
    said(child.wait_with_output())
}

/// Somebody of this scope who has this password; what the command said.
pub(crate) fn person(plane: &Plane, email: &str, scope: &str, password: &str) -> String {
    let words = ["add", "--email", email, "--scope", scope];
    let (status, said) = user(plane, &words, password);
    assert_eq!(status, Some(0), "{said}");
    said
}
