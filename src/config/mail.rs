//! The operator's mail server, through which people are told.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

use super::file::source;
use super::{ConfigError, SecretSource, read_root, secret};

/// How the conversation with the server is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// It begins in the open and goes on under TLS, or not at all.
    StartTls,
    /// Under TLS from the first byte on.
    Implicit,
    /// Not at all: on this machine alone.
    None,
}

/// `[mail]`: where notices to people are handed over.
pub struct MailConfig {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub tls: MailTls,
    /// As whom, where it asks.
    pub login: Option<(String, SecretString)>,
    /// From whom notices come.
    pub from: String,
    /// The root of its certificate in PEM form, where that is none of the public ones.
    pub ca: Option<Vec<u8>>,
}

/// As it is typed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MailFile {
    host: String,
    port: Option<u16>,
    tls: Option<String>,
    user: Option<String>,
    #[serde(default, deserialize_with = "source")]
    password: Option<String>,
    from: String,
    ca_file: Option<PathBuf>,
}

impl MailFile {
    /// Where the password is.
    pub(super) fn secret_source(&self) -> Option<SecretSource> {
        let password = self.password.as_deref();
        password.map(|source| SecretSource::new("mail.password".to_owned(), source))
    }
}

/// Where the password of the mail server is; none where the file has none.
///
/// # Errors
/// [`ConfigError`] where the file cannot be read.
pub fn mail_secret(path: Option<&Path>) -> Result<Option<SecretSource>, ConfigError> {
    let Some(path) = path else {
        return Ok(None);
    };
    let (typed, _) = super::file::read(path)?;
    Ok(typed.mail.as_ref().and_then(MailFile::secret_source))
}

pub(super) fn read(
    typed: Option<MailFile>,
    place: &str,
) -> Result<Option<MailConfig>, ConfigError> {
    let Some(typed) = typed else {
        return Ok(None);
    };
    let refused = |key: &str, message: &str| Err(wrong(place, key, message));
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
    let is_literal = typed.host.parse::<std::net::Ipv6Addr>().is_ok();
    if typed.host.contains(':') && !is_literal {
        return refused(
            "host",
            "must be a name or an address alone: `port` is a key of its own",
        );
    }
    if !(1..=255).contains(&typed.host.len()) || !typed.host.bytes().all(is_part) {
        return refused("host", "must be the name or the address of a server");
    }
    let is_here = matches!(&*typed.host, "localhost" | "127.0.0.1" | "::1");
    let tls = match typed.tls.as_deref() {
        None | Some("starttls") => MailTls::StartTls,
        Some("implicit") => MailTls::Implicit,
        Some("none") if is_here => MailTls::None,
        Some("none") => {
            return refused(
                "tls",
                "`none` only for a server on this machine: notices hold links that decide",
            );
        }
        Some(_) => return refused("tls", "must be `starttls`, `implicit` or `none`"),
    };
    let default = if tls == MailTls::Implicit { 465 } else { 587 };
    let port = typed.port.unwrap_or(default);
    if port == 0 {
        return refused("port", "must lie between 1 and 65535");
    }
    if !is_address(&typed.from) {
        return refused("from", "must be an address like notices@example.com");
    }
    let login = login(typed.user, typed.password, place)?;
    let ca = ca(typed.ca_file.as_deref(), tls, place)?;
    Ok(Some(MailConfig {
        host: typed.host,
        port,
        tls,
        login,
        from: typed.from,
        ca,
    }))
}

fn wrong(place: &str, key: &str, message: &str) -> ConfigError {
    ConfigError::new(format!("{place}: mail.{key}"), message)
}

/// As whom, and with which password.
fn login(
    user: Option<String>,
    password: Option<String>,
    place: &str,
) -> Result<Option<(String, SecretString)>, ConfigError> {
    let refused = |key: &str, message: &str| Err(wrong(place, key, message));
    match (user, password) {
        (None, None) => Ok(None),
        (Some(user), Some(password)) => {
            let text = secret::text_of(&password);
            let text = text.map_err(|why| wrong(place, "password", &why))?;
            let text = text.trim_end_matches(['\r', '\n']);
            if user.is_empty() {
                return refused("user", "is empty");
            }
            if text.is_empty() {
                return refused("password", "is empty");
            }
            Ok(Some((user, SecretString::from(text))))
        }
        (Some(_), None) => refused("password", "is missing beside `user`"),
        (None, Some(_)) => refused("user", "is missing beside `password`"),
    }
}

/// The root certificate, as the file has it.
fn ca(ca_file: Option<&Path>, tls: MailTls, place: &str) -> Result<Option<Vec<u8>>, ConfigError> {
    let refused = |key: &str, message: &str| Err(wrong(place, key, message));
    match ca_file {
        None => Ok(None),
        Some(_) if tls == MailTls::None => refused("ca_file", "is of no use without TLS"),
        Some(path) => {
            let read = read_root(path);
            let pem = read.map_err(|message| wrong(place, "ca_file", &message))?;
            Ok(Some(pem))
        }
    }
}

/// An address without a name before it.
fn is_address(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_graphic() && !b"<>()[],;:\"\\@".contains(&byte);
    text.len() <= 254
        && text.split_once('@').is_some_and(|(name, host)| {
            let parts = [name, host];
            parts
                .iter()
                .all(|it| !it.is_empty() && it.bytes().all(is_part))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Option<MailConfig>, ConfigError> {
        read(Some(toml::from_str(text).unwrap()), "f")
    }

    #[test]
    fn a_mail_server_is_spoken_to_under_tls_unless_it_is_here() {
        let read = |more: &str| read_text(&format!("from = \"n@example.com\"\n{more}"));
        let far = read("host = \"mail.example.com\"").unwrap().unwrap();
        assert_eq!((far.port, far.tls), (587, MailTls::StartTls));
        let far = read("host = \"mail.example.com\"\ntls = \"implicit\"")
            .unwrap()
            .unwrap();
        assert_eq!((far.port, far.tls), (465, MailTls::Implicit));
        let here = read("host = \"127.0.0.1\"\nport = 25\ntls = \"none\"")
            .unwrap()
            .unwrap();
        assert_eq!((here.port, here.tls), (25, MailTls::None));
        for (more, place) in [
            ("host = \"mail.example.com\"\ntls = \"none\"", "f: mail.tls"),
            (
                "host = \"mail.example.com\"\ntls = \"maybe\"",
                "f: mail.tls",
            ),
            ("host = \"a b\"", "f: mail.host"),
            ("host = \"a\"\nport = 0", "f: mail.port"),
            ("host = \"a:25\"", "f: mail.host"),
            (
                "host = \"a\"\nuser = \"u\"\npassword = \"file:/dev/null\"",
                "f: mail.password",
            ),
            ("host = \"a\"\nca_file = \"/dev/null\"", "f: mail.ca_file"),
            (
                "host = \"a\"\nca_file = \"/dev/nothing\"",
                "f: mail.ca_file",
            ),
            ("host = \"a\"\nuser = \"u\"", "f: mail.password"),
            ("host = \"a\"\npassword = \"env:X\"", "f: mail.user"),
            (
                "host = \"a\"\nuser = \"u\"\npassword = \"hunter2\"",
                "f: mail.password",
            ),
        ] {
            let refused = read(more).err().unwrap();
            assert_eq!(refused.place, place, "{more}");
            assert!(!refused.message.contains("hunter2"));
        }
        for from in [
            "",
            "n",
            "a@b@c",
            "N <n@example.com>",
            "n@example.com\\r\\nBcc: x@y",
        ] {
            let text = format!("host = \"a\"\nfrom = \"{from}\"");
            assert_eq!(
                read_text(&text).err().unwrap().place,
                "f: mail.from",
                "{from}"
            );
        }
    }
}
