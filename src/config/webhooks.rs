//! `[webhooks]`: what events are told to.

use super::ConfigError;
use super::file::WebhooksFile;

/// Ports that can be added to those of HTTPS.
pub const PORTS_MAX: usize = 16;
const COUNTS: std::ops::RangeInclusive<i64> = 10..=10_000_000;
const COUNT_DEFAULT: i64 = 100_000;

/// Where events may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhooksConfig {
    /// Whether they may lead to this machine itself, over plain HTTP too: for trying things out.
    pub allow_loopback: bool,
    /// Ports that they may lead to beside 443 and 8443; 0 is none.
    pub ports: [u16; PORTS_MAX],
    /// How many deliveries may wait for one of them.
    pub backlog_max: i64,
    /// How many records of decisions may wait to be looked at before operators are warned.
    pub unread_max: i64,
}

pub(super) fn read(typed: &WebhooksFile, place: &str) -> Result<WebhooksConfig, ConfigError> {
    let count = |typed: Option<i64>, name: &str| {
        let count = typed.unwrap_or(COUNT_DEFAULT);
        if COUNTS.contains(&count) {
            return Ok(count);
        }
        let (least, most) = (COUNTS.start(), COUNTS.end());
        let message = format!("must lie between {least} and {most}");
        Err(ConfigError::new(
            format!("{place}: webhooks.{name}"),
            message,
        ))
    };
    let backlog_max = count(typed.backlog_max, "backlog_max")?;
    let unread_max = count(typed.unread_max, "unread_max")?;
    let mut ports = [0; PORTS_MAX];
    if typed.ports.len() > PORTS_MAX || typed.ports.contains(&0) {
        let message = format!("must have at most {PORTS_MAX} entries, each from 1 to 65535");
        let place = format!("{place}: webhooks.ports");
        return Err(ConfigError::new(place, message));
    }
    for (slot, port) in ports.iter_mut().zip(&typed.ports) {
        *slot = *port;
    }
    Ok(WebhooksConfig {
        allow_loopback: typed.allow_loopback.unwrap_or(false),
        ports,
        backlog_max,
        unread_max,
    })
}
