//! In whose form an endpoint is told, and where that leads.

use secrecy::SecretString;

use super::{check_url, master_keys};
use crate::cold::api::exchange::Ask;
use crate::cold::api::notices::{MAILTO, person};
use crate::cold::api::problem::Problem;
use crate::cold::people::email;
use crate::cold::store::webhook::{Channel, Webhook, sealed_names};
use crate::cold::store::{Batch, Change};
use crate::cold::webhooks::notice::{KINDS_DEFAULT, KINDS_OF_PEOPLE, PENDING_REVIEW};

/// What is shown of a chat's address behind its server.
const HIDDEN: &str = "/***";

pub(super) fn read(word: Option<&str>) -> Result<Channel, Problem> {
    let Some(word) = word else {
        return Ok(Channel::Webhook);
    };
    let known = Channel::ALL.into_iter().find(|it| it.name() == word);
    let message = "must be `webhook`, `slack` or `email`";
    known.ok_or_else(|| Problem::invalid_field("channel", message))
}

/// What it is told of: people of reviews alone.
pub(super) fn kinds(channel: Channel, named: Option<Vec<String>>) -> Result<Vec<String>, Problem> {
    let of = |kinds: &[&str]| kinds.iter().map(|&it| it.to_owned()).collect();
    match (channel, named) {
        (Channel::Webhook, named) => Ok(named.unwrap_or_else(|| of(&KINDS_DEFAULT))),
        (Channel::Slack | Channel::Email, None) => Ok(of(&[PENDING_REVIEW])),
        (Channel::Slack | Channel::Email, Some(named)) => {
            let is_other = |kind: &String| !KINDS_OF_PEOPLE.contains(&&**kind);
            match named.iter().position(is_other) {
                None => Ok(named),
                Some(at) => Err(Problem::invalid_field(
                    &format!("events[{at}]"),
                    "chats and people are told of `purchase.pending_review` alone",
                )),
            }
        }
    }
}

/// Whether its notices decide, where that is said.
pub(super) fn has_links(channel: Channel, said: Option<bool>) -> Result<Option<bool>, Problem> {
    if channel == Channel::Webhook && said == Some(true) {
        let message = "a program that is told decides with a key of its own";
        return Err(Problem::invalid_field("oneTimeLinks", message));
    }
    Ok(said)
}

/// Refuses what is not signed and so has no secret that could be exchanged.
pub(super) fn check_signed(row: &Webhook) -> Result<(), Problem> {
    match row.channel {
        Channel::Webhook => Ok(()),
        Channel::Slack | Channel::Email => {
            let message = "what goes to chats and people is not signed";
            Err(Problem::not_supported("channel", message))
        }
    }
}

/// Lets it lead to this address. What is to be sealed is given back.
pub(super) async fn lead(ask: &Ask, row: &mut Webhook, url: String) -> Result<Batch, Problem> {
    match row.channel {
        Channel::Webhook => {
            check_url(ask, &url)?;
            row.url = url;
            Ok(Batch::new())
        }
        Channel::Slack => {
            let uri = check_url(ask, &url)?;
            if url.ends_with(HIDDEN) {
                let message = "is what is shown of it: send the whole address, or none";
                return Err(Problem::invalid_field("url", message));
            }
            let server = uri.authority().map_or("", |it| it.as_str());
            let scheme = uri.scheme_str().unwrap_or_default();
            row.url = format!("{scheme}://{server}{HIDDEN}");
            let [name, _] = sealed_names(&row.id);
            let sealed = master_keys(ask)?.seal(&name, &SecretString::from(url), ask.now);
            let sealed = sealed.map_err(|error| {
                tracing::error!(%error, "the address of a chat");
                Problem::internal()
            })?;
            Ok(vec![Change::Sealed(sealed)])
        }
        Channel::Email => {
            if !ask.api.has_mail {
                let message = "the server has no mail server: its operator sets `[mail]`";
                return Err(Problem::not_supported("channel", message));
            }
            // A scheme has no case.
            let parted = url.split_at_checked(MAILTO.len());
            let address = parted.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(MAILTO));
            let address = address.and_then(|(_, address)| email(address));
            let address = address.ok_or_else(|| {
                Problem::invalid_field("url", "must be like mailto:ada@example.com")
            })?;
            let whose = (row.mode, row.customer_id.as_deref());
            if person(&ask.api, whose, &address).await?.is_none() {
                let message = "must be the address of somebody who signs in here and may decide for \
                               this customer: `countersign user add`";
                return Err(Problem::invalid_field("url", message));
            }
            row.url = format!("{MAILTO}{address}");
            Ok(Batch::new())
        }
    }
}
