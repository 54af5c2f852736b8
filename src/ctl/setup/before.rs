//! What held before `sealpost setup postfix --apply`, kept so that it can be undone.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::postfix::Place;

/// What was set, in order, and what held before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    /// The shape of this file.
    version: u32,
    /// What was set.
    pub(super) changes: Vec<Undoable>,
}

/// One thing that was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Undoable {
    /// Where.
    pub(super) place: Place,
    /// The parameter, or the entry.
    pub(super) name: String,
    /// What stood in the file before; absent where nothing did.
    pub(super) before: Option<String>,
    /// What was set. Where something else stands there now, somebody has changed it since.
    pub(super) after: String,
}

/// The shape of the file that this release writes.
const VERSION: u32 = 1;

/// Why the file cannot be read or written. The operator must act.
#[derive(Debug, thiserror::Error)]
pub(super) enum BeforeError {
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's words.
        source: io::Error,
    },
    /// It is none that this release can read.
    #[error("{path} is none of ours, or of a later release: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl Before {
    /// The file beside the store.
    pub(super) fn path(store: &Path) -> PathBuf {
        store.with_file_name("postfix-before.json")
    }

    /// What held before; nothing where nothing was set.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, BeforeError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(problem(path, source)),
        };
        let unreadable = |reason: String| BeforeError::Unreadable {
            path: path.display().to_string(),
            reason,
        };
        let before: Self =
            serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        if before.version != VERSION {
            return Err(unreadable(format!("it has version {}", before.version)));
        }
        Ok(Some(before))
    }

    /// Adds what is about to be set. What an earlier set-up found stays what held before.
    pub(super) fn with(earlier: Option<Self>, changes: Vec<Undoable>) -> Self {
        let mut all = earlier.map_or_else(Vec::new, |earlier| earlier.changes);
        for change in changes {
            let same = |one: &&mut Undoable| one.place == change.place && one.name == change.name;
            match all.iter_mut().find(same) {
                // Nobody touched it in between: undoing goes back to the first.
                Some(first) if change.before.as_ref() == Some(&first.after) => {
                    first.after = change.after;
                }
                Some(first) => *first = change,
                None => all.push(change),
            }
        }
        Self {
            version: VERSION,
            changes: all,
        }
    }

    /// Writes it, before anything is set.
    pub(super) fn write(&self, path: &Path) -> Result<(), BeforeError> {
        let text = serde_json::to_string_pretty(self).map_err(|error| BeforeError::Unreadable {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        let new = path.with_extension("new");
        let written = || {
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, path)
        };
        written().map_err(|source| problem(path, source))
    }

    /// Takes the file away, when all is undone.
    pub(super) fn forget(path: &Path) -> Result<(), BeforeError> {
        fs::remove_file(path).map_err(|source| problem(path, source))
    }
}

fn problem(path: &Path, source: io::Error) -> BeforeError {
    BeforeError::Io {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: Option<&str>, after: &str) -> Undoable {
        Undoable {
            place: Place::Main,
            name: "smtp_tls_policy_maps".to_owned(),
            before: before.map(str::to_owned),
            after: after.to_owned(),
        }
    }

    #[test]
    fn a_second_set_up_goes_back_to_what_held_before_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = Before::path(&directory.path().join("deep/store"));
        assert_eq!(Before::read(&path).unwrap(), None);
        let first = Before::with(None, vec![change(None, "a")]);
        first.write(&path).unwrap();
        let read = Before::read(&path).unwrap();
        assert_eq!(read.as_ref(), Some(&first));
        let second = Before::with(read, vec![change(Some("a"), "b")]);
        assert_eq!(second.changes, [change(None, "b")]);
        // Somebody has set it by hand in between: that is what held before.
        let third = Before::with(Some(second), vec![change(Some("mine"), "c")]);
        assert_eq!(third.changes, [change(Some("mine"), "c")]);
        fs::write(&path, "{\"version\":2,\"changes\":[]}").unwrap();
        let error = Before::read(&path).unwrap_err().to_string();
        assert!(error.contains("it has version 2"), "{error}");
    }
}
