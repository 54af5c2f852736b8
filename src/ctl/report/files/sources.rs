//! Where reports lie: files, mailboxes, directories, standard input.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

use crate::report::read::{Content, MAIL_BYTES_MAX, Mailbox};

/// How deep directories may lie in each other; a link may lead in a circle.
const DIRECTORIES_MAX: usize = 8;

/// How long a packed mailbox may be, unpacked. One that is longer is unpacked first by whoever has it.
const UNPACKED_MAILBOX_BYTES_MAX: u64 = 1 << 30;

/// Where a text came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// What it is called to people: `inbox, mail 3`.
    pub(super) label: String,
    /// The name of the file, where the text is all of it.
    pub(super) name: Option<String>,
    /// Did it lie among others, which may be no reports at all?
    pub(super) is_one_of_many: bool,
}

/// Something that was found.
pub(super) enum Find {
    /// A text: JSON or a mail, packed or not.
    Text {
        /// Where.
        source: Source,
        /// No more than the longest mail and a byte.
        bytes: Vec<u8>,
    },
    /// Something that cannot be read.
    Unreadable {
        /// Where.
        source: Source,
        /// Why, in the system's words.
        reason: String,
    },
}

/// Takes what was found; `false` ends it.
pub(super) type Take<'a> = dyn FnMut(Find) -> bool + 'a;

/// Finds everything at a path, in the order of the names.
pub(super) fn walk(path: &Path, take: &mut Take<'_>) {
    if path == Path::new("-") {
        let source = source("standard input", None, false);
        text(source, BufReader::new(io::stdin().lock()), take);
        return;
    }
    let label = path.display().to_string();
    match fs::metadata(path) {
        Ok(about) if about.is_dir() => {
            let mut found = false;
            directory(path, 0, &mut |find| {
                found = true;
                take(find)
            });
            if !found {
                let reason = "there is no file in it".to_owned();
                let source = source(&label, None, false);
                take(Find::Unreadable { source, reason });
            }
        }
        Ok(_) => {
            file(path, false, take);
        }
        Err(error) => {
            let (source, reason) = (source(&label, None, false), error.to_string());
            take(Find::Unreadable { source, reason });
        }
    }
}

fn source(label: &str, name: Option<String>, is_one_of_many: bool) -> Source {
    Source {
        label: label.to_owned(),
        name,
        is_one_of_many,
    }
}

/// The files of a directory and of those in it; of a Maildir the mails alone.
fn directory(path: &Path, depth: usize, take: &mut Take<'_>) -> bool {
    let is_maildir = ["cur", "new"].iter().all(|name| path.join(name).is_dir());
    let names = if is_maildir {
        Ok(vec![path.join("cur"), path.join("new")])
    } else {
        listed(path)
    };
    let names = match names {
        Ok(names) => names,
        Err(error) => {
            let source = source(&path.display().to_string(), None, false);
            let reason = error.to_string();
            return take(Find::Unreadable { source, reason });
        }
    };
    for name in names {
        let goes_on = match fs::metadata(&name) {
            Ok(about) if about.is_dir() => {
                depth >= DIRECTORIES_MAX || directory(&name, depth + 1, take)
            }
            // A pipe would wait for ever; a link to nowhere is nothing.
            Ok(about) if about.is_file() => file(&name, true, take),
            Ok(_) | Err(_) => true,
        };
        if !goes_on {
            return false;
        }
    }
    true
}

/// What is in a directory, in order, without what is hidden.
fn listed(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            names.push(entry.path());
        }
    }
    names.sort();
    Ok(names)
}

fn file(path: &Path, is_one_of_many: bool, take: &mut Take<'_>) -> bool {
    let label = path.display().to_string();
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let source = source(&label, name, is_one_of_many);
    match File::open(path) {
        Ok(file) => text(source, BufReader::new(file), take),
        Err(error) => {
            let reason = error.to_string();
            take(Find::Unreadable { source, reason })
        }
    }
}

/// A text, or the mails of a mailbox.
fn text(source: Source, mut reader: impl BufRead, take: &mut Take<'_>) -> bool {
    let content = reader.fill_buf().map(Content::of);
    match content {
        Ok(Content::Mbox) => return mailbox(&source, reader, take),
        Ok(_) => {}
        Err(error) => {
            let reason = error.to_string();
            return take(Find::Unreadable { source, reason });
        }
    }
    let bytes_max = u64::try_from(MAIL_BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let read = reader
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes);
    if let Err(error) = read {
        let reason = error.to_string();
        return take(Find::Unreadable { source, reason });
    }
    let mut unpacked = BufReader::new(MultiGzDecoder::new(bytes.as_slice()));
    if unpacked
        .fill_buf()
        .is_ok_and(|begin| Content::of(begin) == Content::Mbox)
    {
        return mailbox(&source, unpacked.take(UNPACKED_MAILBOX_BYTES_MAX), take);
    }
    take(Find::Text { source, bytes })
}

fn mailbox(whole: &Source, reader: impl BufRead, take: &mut Take<'_>) -> bool {
    for (number, mail) in (1_u64..).zip(Mailbox::new(reader)) {
        let source = source(&format!("{}, mail {number}", whole.label), None, true);
        let goes_on = match mail {
            Ok(bytes) => take(Find::Text { source, bytes }),
            Err(error) => {
                let reason = error.to_string();
                take(Find::Unreadable { source, reason });
                return true;
            }
        };
        if !goes_on {
            return false;
        }
    }
    true
}
