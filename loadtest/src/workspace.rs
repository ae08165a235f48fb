//! A temporary directory that goes when the comparison ends, however it ends.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::ids;

#[derive(Debug)]
pub(crate) struct Workspace {
    path: PathBuf,
    data_dirs: Cell<u64>,
}

impl Workspace {
    pub(crate) fn new(parent: &Path) -> Result<Self, Error> {
        let path = parent.join(format!("countersign-load-{:016x}", ids::fresh_seed()));
        fs::create_dir(&path).map_err(Error::io(format!("create {}", path.display())))?;
        Ok(Self {
            path,
            data_dirs: Cell::new(0),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path.join("countersign.toml")
    }

    pub(crate) fn snapshot(&self) -> PathBuf {
        self.path.join("snapshot.json")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    /// A directory of its own for each process.
    pub(crate) fn fresh_data_dir(&self) -> Result<PathBuf, Error> {
        let number = self.data_dirs.replace(self.data_dirs.get() + 1);
        let path = self.path.join(format!("data-{number}"));
        fs::create_dir(&path).map_err(Error::io(format!("create {}", path.display())))?;
        Ok(path)
    }

    /// Frees the disk early; what is left goes with the workspace.
    pub(crate) fn remove(&self, data_dir: &Path) {
        debug_assert!(data_dir.starts_with(&self.path));
        fs::remove_dir_all(data_dir).unwrap_or_default();
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).unwrap_or_default();
    }
}
