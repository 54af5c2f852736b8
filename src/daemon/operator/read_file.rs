//! Whether the configuration file is still the one that the daemon goes by.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The file that was read, and what it was then.
#[derive(Debug, Default)]
pub(super) struct ReadFile {
    path: PathBuf,
    mark: Option<Mark>,
    /// The sections whose changes are taken up at the next start.
    pub(super) waits_for_restart: Vec<String>,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    inode: u64,
    octets: u64,
    modified_seconds: i64,
    modified_nanoseconds: i64,
}

impl ReadFile {
    /// The file as it is now. `None`: the built-in defaults hold, and there is none.
    pub(super) fn of(path: Option<&Path>) -> Self {
        let path = path.unwrap_or(Path::new("")).to_owned();
        Self {
            mark: Mark::of(&path),
            path,
            waits_for_restart: Vec::new(),
        }
    }

    /// Is it another now? Nothing where that cannot be seen.
    pub(super) fn has_changed(&self) -> Option<bool> {
        let (then, now) = (self.mark?, Mark::of(&self.path)?);
        Some(then != now)
    }
}

impl Mark {
    fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        Some(Self {
            inode: file.ino(),
            octets: file.len(),
            modified_seconds: file.mtime(),
            modified_nanoseconds: file.mtime_nsec(),
        })
    }
}
