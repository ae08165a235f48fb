//! How much is logged, and where to.

use std::fmt;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::log_setting;

const VARIABLE: &str = "COUNTERSIGN_LOG";
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// What `COUNTERSIGN_LOG` says is no level and no module.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotALevel(String);

impl fmt::Display for NotALevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(part) = self;
        let levels = LEVELS.join(", ");
        write!(
            f,
            "{VARIABLE}: `{part}` must be one of {levels}, or a module and one of them, such as \
             `countersign::hot=debug`"
        )
    }
}

/// Begins to log to stderr, as much as the variable says.
///
/// # Errors
/// [`NotALevel`]: a mistyped level would be read as the name of a module and silence all others,
/// errors too.
pub(super) fn log_to_stderr() -> Result<(), NotALevel> {
    let text = log_setting(VARIABLE).unwrap_or_default();
    let text = text
        .into_string()
        .map_err(|text| NotALevel(text.to_string_lossy().into_owned()))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter(&text)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(())
}

fn filter(text: &str) -> Result<EnvFilter, NotALevel> {
    let parts = text.split(',').map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    for part in &parts {
        let level = part.rsplit_once('=').map_or(*part, |(_, level)| level);
        if !LEVELS.iter().any(|name| level.eq_ignore_ascii_case(name)) {
            return Err(NotALevel((*part).to_owned()));
        }
    }
    // Modules that are named alone leave the others as they are.
    let names_level = parts.iter().any(|part| !part.contains('='));
    // PostgreSQL says at each start that a table is there already.
    let general = (!names_level).then_some("info,sqlx::postgres::notice=warn");
    let whole: Vec<_> = general.into_iter().chain(parts).collect();
    let whole = whole.join(",");
    EnvFilter::try_new(&whole).map_err(|_malformed| NotALevel(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_modules_are_taken_and_nothing_else() {
        for (text, filter_text) in [
            ("", "sqlx::postgres::notice=warn,info"),
            (" ", "sqlx::postgres::notice=warn,info"),
            ("debug", "debug"),
            ("WARN", "warn"),
            ("off", "off"),
            ("info,countersign::hot=debug", "countersign::hot=debug,info"),
            (
                "countersign::hot=trace",
                "sqlx::postgres::notice=warn,countersign::hot=trace,info",
            ),
        ] {
            assert_eq!(filter(text).unwrap().to_string(), filter_text, "{text:?}");
        }
        for (text, part) in [
            ("infoo", "infoo"),
            ("loud", "loud"),
            ("info,countersign", "countersign"),
            ("countersign=loud", "countersign=loud"),
            ("debug,countersign::hot=", "countersign::hot="),
            ("=info=", "=info="),
        ] {
            let refused = filter(text).unwrap_err();
            assert_eq!(refused, NotALevel(part.to_owned()), "{text:?}");
            assert!(refused.to_string().starts_with("COUNTERSIGN_LOG: `"));
        }
    }
}
