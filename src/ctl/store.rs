//! `sealpost store`: a copy of what the daemon holds.

use std::path::{PathBuf, absolute};

use clap::{Args, Subcommand};

use super::{
    Context, Format,
    exit::{Exit, Failure},
    protocol::Request,
    screen::{counted, shown},
    wire::StoreCopied,
};

/// The store is a directory that the daemon writes to all the time, so that no other program can copy it:
/// docs/guide/backup.md.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Copy the store of the running daemon into a new directory
    ///
    /// It is there whole or not at all, and a daemon can be started from it. Sessions are counted meanwhile.
    /// The daemon writes it, as its own user: by the units that are handed out it may do so below
    /// /var/lib/sealpost. What is there is never written over.
    #[command(after_help = "Example:\n  sealpost store copy /var/lib/sealpost/copy")]
    Copy(Copied),
}

#[derive(Debug, Args)]
pub(super) struct Copied {
    /// The directory to make
    directory: PathBuf,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(command: Command, context: &mut Context) -> Result<Exit, Failure> {
    let Command::Copy(Copied { directory, format }) = command;
    let directory = absolute(&directory)
        .map_err(|error| Failure::Usage(format!("{}: {error}", directory.display())))?;
    let Some(directory) = directory.to_str().map(str::to_owned) else {
        let message = format!("{}: a name that is no UTF-8", directory.display());
        return Err(Failure::Usage(message));
    };
    let copied: StoreCopied = context.ask(Request::StoreCopy { directory })?;
    context.show(format, &copied, as_text)?;
    Ok(Exit::Ok)
}

fn as_text(copied: &StoreCopied) -> String {
    format!(
        "The store is copied to {}: {}, {} MiB.\n",
        shown(&copied.directory),
        counted(copied.rows, "row"),
        copied.octets.div_ceil(1024 * 1024)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_in_one_line_and_nothing_reaches_the_terminal_unescaped() {
        let copied = StoreCopied {
            directory: "/var/lib/sealpost/\u{1b}[2J".to_owned(),
            rows: 1,
            octets: 1,
        };
        assert_eq!(
            as_text(&copied),
            "The store is copied to /var/lib/sealpost/\\u{1b}[2J: 1 row, 1 MiB.\n"
        );
    }
}
