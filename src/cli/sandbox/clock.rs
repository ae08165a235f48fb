//! `countersign sandbox clock`: moves a server's time forward, where it was started for that.

use std::io::Write;

use clap::Args;

use super::ServerArguments;
use crate::cli::Exit;
use crate::cli::demo::{Failure, runtime, unwritten};
use crate::cold::sandbox::files;
use crate::cold::sandbox::time::{Ahead, advance as advance_server};

/// What is moved at once.
const ADVANCE_S_MAX: i64 = 400 * 86_400;

#[derive(Args, Clone, Debug)]
pub(super) struct ClockArguments {
    /// How far, as a number and s, m, h or d: 90s, 15m, 36h, 8d.
    #[arg(long, value_name = "LENGTH", value_parser = length_s)]
    advance: i64,
    #[command(flatten)]
    server: ServerArguments,
}

fn length_s(text: &str) -> Result<i64, String> {
    let wrong =
        || "a length is a number and s, m, h or d, like 36h, of at most 400 days".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let unit_s = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number = text.strip_suffix(unit).ok_or_else(wrong)?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: i64 = number.parse().map_err(|_no_number| wrong())?;
    let length_s = number.checked_mul(unit_s).ok_or_else(wrong)?;
    if is_number && (1..=ADVANCE_S_MAX).contains(&length_s) {
        Ok(length_s)
    } else {
        Err(wrong())
    }
}

/// Moves the time of the server that was started last on the data directory.
pub(super) fn advance(args: &ClockArguments, out: &mut dyn Write) -> Result<Exit, Failure> {
    let server = files::find(&args.server.data_dir).map_err(|e| Failure::other(&e))?;
    let moved = runtime()?.block_on(advance_server(&server, args.advance));
    let Ahead { now, ahead_s } = moved.map_err(|e| Failure::other(&e))?;
    writeln!(
        out,
        "the server's time is {now}, {ahead_s} s ahead of the wall clock"
    )
    .map_err(|cause| unwritten(&cause))?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_a_number_and_a_unit() {
        for (text, length_s) in [
            ("90s", 90),
            ("15m", 900),
            ("36h", 129_600),
            ("8d", 691_200),
            ("400d", ADVANCE_S_MAX),
        ] {
            assert_eq!(length_s_of(text), Some(length_s), "{text}");
        }
        for text in [
            "",
            "h",
            "36",
            "36H",
            "-1h",
            "+1h",
            "1.5h",
            "0s",
            "401d",
            "1 h",
            "99999999999999d",
            "3hh",
        ] {
            assert_eq!(length_s_of(text), None, "{text}");
        }
    }

    fn length_s_of(text: &str) -> Option<i64> {
        length_s(text).ok()
    }
}
