//! The authorizations that the sandbox knows, one file each, so that a later command plays on where
//! an earlier one stopped.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::files::{FileError, read_text, replace};
use super::life::Life;
use super::shape::Shape;

const FOLDER: &str = "authorizations";
/// Older ones are forgotten: the sandbox is for trying things.
const KEPT_MAX: usize = 2_000;
/// Of a directory that somebody else has filled.
const LISTED_MAX: usize = 100_000;

/// The sandbox's memory, in its folder of the data directory.
pub struct Keep {
    folder: PathBuf,
}

impl Keep {
    /// The memory in the sandbox's folder.
    #[must_use]
    pub fn in_folder(sandbox: &Path) -> Self {
        Self {
            folder: sandbox.join(FOLDER),
        }
    }

    /// Keeps the authorization as it stands, and forgets the oldest where there are too many.
    ///
    /// # Errors
    /// [`FileError`] names the file and what is wrong with it.
    pub fn put(&self, life: &Life) -> Result<(), FileError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(|cause| FileError::new("create the directory", &self.folder, &cause))?;
        let path = self.path_of(&life.id);
        let text =
            serde_json::to_string(life).map_err(|cause| FileError::new("write", &path, &cause))?;
        replace(&path, text.as_bytes(), 0o600)?;
        for (path, _) in self.paths()?.into_iter().skip(KEPT_MAX) {
            fs::remove_file(&path).map_err(|cause| FileError::new("remove", &path, &cause))?;
        }
        Ok(())
    }

    /// The authorization of this id; without one, the newest. Nothing where there is none.
    ///
    /// # Errors
    /// [`FileError`] names the file and what is wrong with it.
    pub fn find(&self, id: Option<&str>) -> Result<Option<Life>, FileError> {
        for (path, _) in self.paths()? {
            let is_wanted = id.is_none_or(|id| path == self.path_of(id));
            if is_wanted {
                return read(&path).map(Some);
            }
        }
        Ok(None)
    }

    /// All that are known in this shape, newest first, one after the other.
    ///
    /// # Errors
    /// [`FileError`] names the file and what is wrong with it; so does each item.
    pub fn all(
        &self,
        shape: Shape,
    ) -> Result<impl Iterator<Item = Result<Life, FileError>>, FileError> {
        let lives = self.paths()?.into_iter().map(|(path, _)| read(&path));
        let of_shape = move |life: &Result<Life, FileError>| {
            life.as_ref().map_or(true, |it| it.shape == shape)
        };
        Ok(lives.filter(of_shape))
    }

    /// Ids are visible ASCII, but a file's name may not have every one of those in it.
    fn path_of(&self, id: &str) -> PathBuf {
        let lawful = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name: String = id
            .chars()
            .map(|c| if lawful(c) { c } else { '.' })
            .collect();
        self.folder.join(format!("{name}.json"))
    }

    /// The files, newest first.
    fn paths(&self) -> Result<Vec<(PathBuf, SystemTime)>, FileError> {
        let fail = |cause: std::io::Error| FileError::new("read", &self.folder, &cause);
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(fail(cause)),
        };
        let mut paths = Vec::new();
        for entry in entries.take(LISTED_MAX) {
            let path = entry.map_err(fail)?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "json")
            {
                let modified = fs::metadata(&path).and_then(|metadata| metadata.modified());
                paths.push((path, modified.map_err(fail)?));
            }
        }
        // Ids that grow with time tell apart what was written at one tick of the file system's clock.
        paths.sort_by(|(a, at), (b, bt)| (bt, b).cmp(&(at, a)));
        Ok(paths)
    }
}

fn read(path: &Path) -> Result<Life, FileError> {
    let text = read_text(path)?;
    serde_json::from_str(&text).map_err(|cause| FileError::new("understand", path, &cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(id: &str, shape: Shape) -> Life {
        Life {
            shape,
            id: id.to_owned(),
            card_token: "c".to_owned(),
            currency: "USD".to_owned(),
            merchant: "m".to_owned(),
            mcc: "5734".to_owned(),
            country: "USA".to_owned(),
            created_us: 0,
            is_asked: true,
            entries: Vec::new(),
        }
    }

    #[test]
    fn what_was_put_is_found_and_the_newest_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::in_folder(dir.path());
        assert_eq!(keep.find(None), Ok(None));
        assert_eq!(keep.find(Some("a/../b")), Ok(None));
        for (id, shape) in [
            ("a1", Shape::Lithic),
            ("a2", Shape::Stripe),
            ("../a3", Shape::Lithic),
        ] {
            keep.put(&life(id, shape)).unwrap();
        }
        assert_eq!(keep.find(Some("a1")), Ok(Some(life("a1", Shape::Lithic))));
        assert_eq!(keep.find(Some("../a3")).unwrap().unwrap().id, "../a3");
        let ids = |shape| -> Vec<String> {
            let all = keep.all(shape).unwrap();
            all.map(|life| life.unwrap().id).collect()
        };
        assert_eq!(ids(Shape::Stripe), ["a2"]);
        assert_eq!(ids(Shape::Lithic).len(), 2);
        fs::write(dir.path().join("authorizations/a1.json"), "{").unwrap();
        let told = keep.find(Some("a1")).unwrap_err().to_string();
        assert!(told.contains("a1.json"), "{told}");
    }
}
