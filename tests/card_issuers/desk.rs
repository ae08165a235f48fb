//! A server whose cards are made at a played issuer.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::far_side::{FarSide, KEY, Speech};
use crate::plane::{Plane, request};
use crate::server::{binary, millis_since, now, purchase, said, signature};

pub(crate) const APPROVED: &str = "APPROVED";
const PATIENCE_MS: i64 = 30_000;

pub(crate) struct Desk {
    pub(crate) plane: Plane,
    pub(crate) far: FarSide,
}

impl Desk {
    pub(crate) fn start(speech: Speech) -> Self {
        Self::with(speech, "key = \"file:")
    }

    /// With this as the beginning of the line that tells where the key is; nothing where it has none.
    pub(crate) fn with(speech: Speech, key: &str) -> Self {
        let mut desk = Self {
            plane: Plane::initialised(),
            far: FarSide::start(speech),
        };
        let home = &desk.plane.home;
        home.write("far.key", KEY);
        let key = if key.is_empty() {
            String::new()
        } else {
            format!("{key}{}\"\n", home.path("far.key").display())
        };
        let secret = match speech {
            Speech::Lithic => format!(
                "secrets = [\"file:{}\"]\n",
                home.path("acme.secret").display()
            ),
            Speech::Stripe => {
                home.write("stripe.secret", "whsec_0123456789abcdef0123456789abcdef");
                format!(
                    "secrets = [\"file:{}\"]\n",
                    home.path("stripe.secret").display()
                )
            }
            Speech::Privacy => String::new(),
        };
        let account = match speech {
            Speech::Stripe => "account = \"ich_1\"\n",
            Speech::Lithic | Speech::Privacy => "",
        };
        // A busy machine does not miss it.
        let deadline = match speech {
            Speech::Lithic => "deadline_ms = 5000\n",
            Speech::Stripe => "deadline_ms = 1400\n",
            Speech::Privacy => "",
        };
        let config = format!(
            "[[issuer]]\nname = \"acme\"\nkind = \"{}\"\n{secret}{deadline}[issuer.cards]\nmode = \"test\"\n\
             url = \"http://{}\"\ntimeout_ms = 1500\npoll_s = 1\n{key}{account}",
            speech.name(),
            desk.far.address
        );
        home.write("plane.toml", &config);
        desk.restart();
        desk
    }

    pub(crate) fn restart(&mut self) {
        let config = self.plane.home.path("plane.toml").display().to_string();
        self.plane.restart_with(&["--config", &config]);
    }

    /// A purchase with the card at Lithic, as it asks about it: the result in its words.
    pub(crate) fn buy(&self, card: &str, amount: u64) -> String {
        self.buy_with(&self.far.token_of(card), amount)
    }

    pub(crate) fn buy_with(&self, token: &str, amount: u64) -> String {
        let id = format!("buy-{}", now().micros());
        let body = purchase(&id, token, amount);
        let signed = signature("acme", &id, now(), body.as_bytes());
        let request = request("POST", "/issuers/acme/authorizations", &signed, &body);
        self.plane
            .server()
            .client()
            .ask(request.as_bytes())
            .result()
    }

    /// `countersign import` for the first customer.
    pub(crate) fn import(&self, flags: &[&str]) -> (Option<i32>, String) {
        let mut command = binary();
        command
            .args(["import", "--connection", "acme", "--customer"])
            .arg(&self.plane.customer)
            .args(["--listen", &self.plane.listen().to_string()])
            .env("COUNTERSIGN_KEY", &self.plane.owner);
        said(command.args(flags).output())
    }

    /// Waits for what the server does by itself.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&FarSide) -> bool) {
        let since = now();
        while !is_so(&self.far) {
            assert!(
                millis_since(since) < PATIENCE_MS,
                "{what}: {:?}",
                self.far.cards()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for a card to have this status here.
    pub(crate) fn until_status(&self, card: &str, status: &str) {
        self.until(status, |_| {
            self.plane.get(&format!("/v1/cards/{card}"))["status"] == json!(status)
        });
    }
}

/// The files below a folder that have this text in them.
pub(crate) fn files_with(folder: impl AsRef<Path>, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.as_ref().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if crate::server::find(&fs::read(&path).unwrap(), text.as_bytes()).is_some() {
                found.push(path.display().to_string());
            }
        }
    }
    found
}
