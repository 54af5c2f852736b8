//! What held before `sealpost setup postfix --apply`, kept so that it can be undone.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::plan::Place;

/// What was set, and what held before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    /// The shape of this file.
    version: u32,
    /// In each Postfix instance, by the directory of its configuration: what was set, in order.
    instances: BTreeMap<String, Vec<Undoable>>,
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

    /// What held before; empty where nothing was set.
    pub(super) fn read(path: &Path) -> Result<Self, BeforeError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    version: VERSION,
                    instances: BTreeMap::new(),
                });
            }
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
        Ok(before)
    }

    /// Adds what is about to be set in an instance. What an earlier set-up found stays what held before.
    pub(super) fn add(&mut self, instance: &str, changes: Vec<Undoable>) {
        let all = self.instances.entry(instance.to_owned()).or_default();
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
    }

    /// Takes out what was set in an instance, in order.
    pub(super) fn take(&mut self, instance: &str) -> Option<Vec<Undoable>> {
        self.instances.remove(instance)
    }

    /// Writes it, before anything is set; with nothing in it the file goes.
    pub(super) fn write(&self, path: &Path) -> Result<(), BeforeError> {
        if self.instances.is_empty() {
            return fs::remove_file(path).map_err(|source| problem(path, source));
        }
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
        let mut before = Before::read(&path).unwrap();
        assert_eq!(before.take("/etc/postfix"), None);
        before.add("/etc/postfix", vec![change(None, "a")]);
        before.add("/etc/postfix-out", vec![change(Some("x"), "a")]);
        before.write(&path).unwrap();
        assert_eq!(Before::read(&path).unwrap(), before);
        before.add("/etc/postfix", vec![change(Some("a"), "b")]);
        assert_eq!(before.instances["/etc/postfix"], [change(None, "b")]);
        // Somebody has set it by hand in between: that is what held before.
        before.add("/etc/postfix", vec![change(Some("mine"), "c")]);
        let taken = before.take("/etc/postfix");
        assert_eq!(taken, Some(vec![change(Some("mine"), "c")]));
        // Each instance for itself; the file goes with the last.
        before.write(&path).unwrap();
        let mut before = Before::read(&path).unwrap();
        assert_eq!(before.take("/etc/postfix"), None);
        let other = before.take("/etc/postfix-out");
        assert_eq!(other, Some(vec![change(Some("x"), "a")]));
        before.write(&path).unwrap();
        assert!(!path.exists());
        fs::write(&path, "{\"version\":2,\"instances\":{}}").unwrap();
        let error = Before::read(&path).unwrap_err().to_string();
        assert!(error.contains("it has version 2"), "{error}");
    }
}
