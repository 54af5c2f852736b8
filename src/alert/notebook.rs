//! Where the board outlives the process: a small file beside the store's own, so that nobody is told again
//! at each restart.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::board::Board;

/// The file in the store's directory.
const FILE: &str = "alerts.json";

/// The version of what is in it. Another one is not read: then everything is told once more.
const VERSION: u32 = 1;

/// More than a board at its bounds takes.
const OCTETS_MAX: u64 = 16 * 1024 * 1024;

/// The file.
#[derive(Clone, Debug)]
pub struct Notebook(PathBuf);

#[derive(Serialize, Deserialize)]
struct Page<B> {
    version: u32,
    board: B,
}

impl Notebook {
    /// The one in this directory.
    #[must_use]
    pub fn within(directory: &Path) -> Self {
        Self(directory.join(FILE))
    }

    /// What was written last; an empty board where there is none.
    ///
    /// # Errors
    /// In words, when there is one that cannot be read.
    pub fn read(&self) -> Result<Board, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", self.0.display());
        let octets = match fs::metadata(&self.0) {
            Ok(about) if about.len() > OCTETS_MAX => return Err(told(&"too long")),
            Ok(_) => fs::read(&self.0).map_err(|error| told(&error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Board::default()),
            Err(error) => return Err(told(&error)),
        };
        let page: Page<Board> = serde_json::from_slice(&octets).map_err(|error| told(&error))?;
        if page.version != VERSION {
            return Err(told(&format!("version {} is not known", page.version)));
        }
        Ok(page.board)
    }

    /// Writes the board: the old one or the new one is there, whatever happens meanwhile.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(&self, board: &Board) -> io::Result<()> {
        let next = self.0.with_extension("json.next");
        let page = Page {
            version: VERSION,
            board,
        };
        let octets = serde_json::to_vec(&page)?;
        let mut file = fs::File::create(&next)?;
        file.write_all(&octets)?;
        file.sync_all()?;
        fs::rename(&next, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alert::{About, Rule, rules::Found},
        clock::Timestamp,
    };

    #[test]
    fn a_board_is_read_as_it_was_written_and_what_is_damaged_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let notebook = Notebook::within(directory.path());
        assert_eq!(notebook.read(), Ok(Board::default()));
        let mut board = Board::default();
        let about = About {
            rule: Rule::Alarm,
            subject: "daemon".to_owned(),
        };
        let mut found = Found::default();
        found.holds.insert(about, "words".to_owned());
        let _changes = board.look(found, Timestamp(7));
        notebook.write(&board).unwrap();
        assert_eq!(notebook.read(), Ok(board));
        for text in ["{", r#"{"version":2,"board":{"alerts":[]}}"#] {
            fs::write(directory.path().join(FILE), text).unwrap();
            assert!(notebook.read().is_err(), "{text}");
        }
    }
}
