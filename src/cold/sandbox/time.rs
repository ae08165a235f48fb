//! Time that a sandbox has moved forward: kept in the data directory, because the journal's instants
//! stay there, and changed by the server alone.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde::Deserialize;

use super::files::{FileError, Whereabouts, exists, read_text, replace};
use super::{SandboxError, no_response, refused};
use crate::cold::http::Client;

const FILE: &str = "ahead-s";
/// Ten years: what windows and zones are compiled for, about.
const AHEAD_S_MAX: i64 = 3_650 * 86_400;

/// The file that says how far time has been moved.
#[derive(Clone, Debug)]
pub struct TimeFile {
    path: PathBuf,
}

impl TimeFile {
    /// The file in the sandbox's folder.
    #[must_use]
    pub fn in_folder(sandbox: &Path) -> Self {
        Self {
            path: sandbox.join(FILE),
        }
    }

    /// How many seconds time has been moved forward; none where there is no file.
    ///
    /// # Errors
    /// [`FileError`] names the file and what is wrong with it.
    pub fn ahead_s(&self) -> Result<i64, FileError> {
        if !exists(&self.path)? {
            return Ok(0);
        }
        let text = read_text(&self.path)?;
        let seconds = text.trim_end().parse().ok();
        let lawful = seconds.filter(|seconds| (0..=AHEAD_S_MAX).contains(seconds));
        lawful.ok_or_else(|| FileError::new("understand", &self.path, &"no number of seconds"))
    }

    /// Adds to it. The file is replaced before anybody goes by it.
    ///
    /// # Errors
    /// [`FileError`] names the file and what is wrong with it.
    pub fn add_s(&self, seconds: u32) -> Result<i64, FileError> {
        let ahead_s = self.ahead_s()?.saturating_add(i64::from(seconds));
        if ahead_s > AHEAD_S_MAX {
            let why = "time would be more than ten years ahead";
            return Err(FileError::new("write", &self.path, &why));
        }
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)
                .map_err(|cause| FileError::new("create the directory", folder, &cause))?;
        }
        replace(&self.path, format!("{ahead_s}\n").as_bytes(), 0o644)?;
        Ok(ahead_s)
    }
}

/// What a server's time is now.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Ahead {
    /// In UTC.
    pub now: String,
    /// Seconds ahead of the wall clock.
    pub ahead_s: i64,
}

/// Moves the time of a running server forward by so many seconds.
///
/// # Errors
/// [`SandboxError`] where it refuses, or does not answer.
pub async fn advance(server: &Whereabouts, seconds: i64) -> Result<Ahead, SandboxError> {
    let mut client = Client::new(server.ops);
    let at = client.address();
    let request = Request::post(format!("/admin/clock/advance?seconds={seconds}"))
        .body(Full::new(Bytes::new()))
        .map_err(|error| SandboxError::Broken(at, error.to_string()))?;
    let answered = client.send(request).await;
    let answered = answered.map_err(|failure| no_response(at, failure))?;
    if answered.status != StatusCode::OK {
        return Err(refused(at, &answered));
    }
    serde_json::from_slice(&answered.body).map_err(|_shape| SandboxError::Garbage(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_adds_up_and_nonsense_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = TimeFile::in_folder(dir.path());
        assert_eq!(file.ahead_s(), Ok(0));
        assert_eq!(file.add_s(10), Ok(10));
        assert_eq!(file.add_s(86_400), Ok(86_410));
        assert_eq!(file.ahead_s(), Ok(86_410));
        let told = file.add_s(u32::MAX).unwrap_err().to_string();
        assert!(told.contains("ten years"), "{told}");
        for text in ["", "-1", "soon", "99999999999"] {
            fs::write(dir.path().join(FILE), text).unwrap();
            let told = file.ahead_s().unwrap_err().to_string();
            assert!(told.contains("ahead-s`"), "{told}");
        }
    }
}
