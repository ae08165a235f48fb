//! Messages by e-mail, through the operator's mail server.
//!
//! A message has one part, of text, so that nothing in it is markup. Its head has nothing that an agent
//! wrote; what stands there is encoded by the library.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Mailbox, Message as Mail};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{
    Certificate, CertificateStore, Tls, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use super::message::Message;
use super::send::Outcome;
use crate::config::{MailConfig, MailTls};
use crate::domain::time::Timestamp;

/// One step of the conversation, and all of it.
const STEP_WITHIN: Duration = Duration::from_secs(15);
const SENT_WITHIN: Duration = Duration::from_secs(20);

/// What a server says of a mailbox that it does not have, or that takes no mail (RFC 5321, 7504).
const NO_MAILBOX: [u16; 4] = [550, 551, 553, 556];

/// The client of the mail server.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Address,
}

impl Mailer {
    /// The client of this server. Nothing is connected to yet.
    ///
    /// # Errors
    /// What is wrong with the setting, without its secrets.
    pub fn new(config: &MailConfig) -> Result<Self, String> {
        let from: Address = config.from.parse().map_err(|_no| "from: is no address")?;
        let tls = match config.tls {
            MailTls::None => Tls::None,
            MailTls::StartTls => Tls::Required(tls_of(config)?),
            MailTls::Implicit => Tls::Wrapper(tls_of(config)?),
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&config.host)
            .port(config.port)
            .tls(tls)
            .hello_name(ClientId::Domain(from.domain().to_owned()))
            .timeout(Some(STEP_WITHIN));
        let builder = match &config.login {
            Some((user, password)) => builder.credentials(Credentials::new(
                user.clone(),
                password.expose_secret().to_owned(),
            )),
            None => builder,
        };
        Ok(Self {
            transport: builder.build(),
            from,
        })
    }

    /// Hands the message over to the server.
    pub(super) async fn send(&self, to: &str, message: &Message, at: Timestamp) -> Outcome {
        let mail = match self.mail(to, message, at) {
            Ok(mail) => mail,
            Err(why) => return Outcome::failed(why),
        };
        match timeout(SENT_WITHIN, self.transport.send(mail)).await {
            Ok(Ok(answered)) => Outcome::Taken(u16::from(answered.code())),
            Ok(Err(error)) => judge(
                error.status().map(u16::from),
                super::send::cut(&format!("the mail server: {}", chain(&error))),
            ),
            Err(_elapsed) => Outcome::failed("the mail server has not taken it within 20 s"),
        }
    }

    fn mail(&self, to: &str, message: &Message, at: Timestamp) -> Result<Mail, String> {
        let to: Address = to.parse().map_err(|_no| "it is no address of a mailbox")?;
        let since = Duration::from_micros(u64::try_from(at.micros()).unwrap_or(0));
        let date: SystemTime = UNIX_EPOCH + since;
        let id = format!("<{}@{}>", message.id, self.from.domain());
        let by_program = HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        );
        Mail::builder()
            .from(Mailbox::new(
                Some("countersign".to_owned()),
                self.from.clone(),
            ))
            .to(Mailbox::new(None, to))
            .subject(one_line(&message.subject))
            .date(date)
            .message_id(Some(id))
            .raw_header(by_program)
            .header(MIME_VERSION_1_0)
            .header(ContentType::TEXT_PLAIN)
            .body(message.text())
            .map_err(|error| error.to_string())
    }
}

/// The roots inside, or the operator's own.
fn tls_of(config: &MailConfig) -> Result<TlsParameters, String> {
    let builder = TlsParametersBuilder::new(config.host.clone());
    let builder = match &config.ca {
        None => builder.certificate_store(CertificateStore::WebpkiRoots),
        Some(pem) => {
            let root = Certificate::from_pem(pem);
            let root = root.map_err(|_no| "ca_file: is no certificate in PEM form")?;
            let builder = builder.certificate_store(CertificateStore::None);
            builder.add_root_certificate(root)
        }
    };
    builder.build_rustls().map_err(|error| error.to_string())
}

/// A mailbox that there is not will not be there the next time. Whatever else the server says may end, also
/// where its code is one of those that last: a login, a quota, a policy is mended by somebody.
fn judge(status: Option<u16>, why: String) -> Outcome {
    match status {
        Some(status) if NO_MAILBOX.contains(&status) => Outcome::Refused { status, why },
        status => Outcome::Failed {
            status,
            why,
            after: None,
        },
    }
}

fn one_line(text: &str) -> String {
    let is_end = |char: char| char.is_control() || matches!(char, '\u{2028}' | '\u{2029}');
    text.replace(is_end, " ")
}

fn chain(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cold::webhooks::message::NOT_OURS;

    fn mailer() -> Mailer {
        let config = MailConfig {
            host: "127.0.0.1".to_owned(),
            port: 25,
            tls: MailTls::None,
            login: None,
            from: "notices@pay.example.com".to_owned(),
            ca: None,
        };
        Mailer::new(&config).unwrap()
    }

    #[test]
    fn a_mailbox_that_is_not_there_is_not_tried_again_and_everything_else_is() {
        let judged = |status| judge(status, "said".to_owned());
        for status in NO_MAILBOX {
            let why = "said".to_owned();
            assert_eq!(judged(Some(status)), Outcome::Refused { status, why });
        }
        // No room, a policy, a login, a server that is away.
        for status in [
            Some(421),
            Some(450),
            Some(530),
            Some(535),
            Some(552),
            Some(554),
            None,
        ] {
            assert!(
                matches!(judged(status), Outcome::Failed { .. }),
                "{status:?}"
            );
        }
    }

    #[test]
    fn s8_nothing_of_an_agent_reaches_the_head_or_becomes_markup() {
        let corpus = include_str!("../../../tests/interop/xss.txt").lines();
        let own = [
            "x\r\nBcc: everybody@evil.example\r\n\r\n<h1>y</h1>",
            "\n.\nMAIL FROM:<a@b>",
        ];
        let at = Timestamp::from_secs(1_800_000_000);
        let mut heads = std::collections::BTreeSet::new();
        for words in corpus.chain(own).filter(|it| !it.is_empty()) {
            let message = Message {
                id: "evt_1".to_owned(),
                subject: "10.00 USD at shop.example waits\r\nBcc: a@b".to_owned(),
                words: vec![("What", words.to_owned())],
                ..Message::default()
            };
            let bytes = mailer()
                .mail("ada@example.com", &message, at)
                .unwrap()
                .formatted();
            let text = String::from_utf8(bytes).unwrap();
            let (head, _body) = text.split_once("\r\n\r\n").unwrap();
            // Without it a strict reader shows the body's encoding as it is.
            assert!(head.contains("\r\nMIME-Version: 1.0\r\n"), "{head}");
            // How the body is encoded follows from its letters.
            let head = head
                .lines()
                .filter(|it| !it.starts_with("Content-Transfer-Encoding"));
            heads.insert(head.collect::<Vec<_>>().join("\n"));
        }
        assert_eq!(heads.len(), 1, "{heads:?}");
        let head = heads.first().unwrap();
        assert!(
            head.contains("Content-Type: text/plain; charset=utf-8"),
            "{head}"
        );
        assert!(!head.lines().any(|it| it.starts_with("Bcc")), "{head}");
        assert!(NOT_OURS.is_ascii());
    }
}
