//! The log door: follows the file that Postfix's lines go to, and tells the hook of the sessions in
//! them.
//!
//! A log is turned: renamed and made anew, or copied and cut short. It may not be there yet, and a line
//! may be half written. This file sees to that; [`postfix_line`] reads lines,
//! [`postfix_log_sessions`](super::postfix_log_sessions) joins them,
//! [`postfix_log_told`](super::postfix_log_told) tells of them.
//!
//! What the file holds when we start was counted by whoever ran before us, so that is not counted again.
//! Its end is read all the same: a delivery may be under way whose first lines are there. Lines written
//! while nobody follows are lost.

use std::{
    io::{self, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{
    fs::{self, File},
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    line_reader::{Input, Lines},
    postfix_line::{self, LINE_BYTES_MAX},
    postfix_log_sessions::LogSessions,
    postfix_log_told::{Checks, is_wanted, tell},
};
use crate::{
    clock::Clock,
    config::{PostfixLogConfig, PostfixLogTake},
    hook::AsyncHook,
    observe::Counters,
};

/// How often it is looked whether the log has grown.
const LOOK: Duration = Duration::from_millis(250);

/// How much is read at once.
const CHUNK_BYTES: usize = 65_536;

/// How much of what is there at the start is read to know where the log stands.
const BEFORE_BYTES_MAX: u64 = 1_048_576;

/// How long the last lines may take when the daemon stops.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(3);

/// A follower of Postfix's log.
pub struct PostfixLog {
    path: PathBuf,
    reader: Reader,
    open: Option<OpenLog>,
    /// The file that was there when we started, and where it ended.
    before: Option<((u64, u64), u64)>,
    /// The trouble that was logged last, so that it is logged once.
    trouble: String,
}

/// What becomes of the lines.
struct Reader {
    take: PostfixLogTake,
    checks: Checks,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    hook: Arc<dyn AsyncHook>,
    sessions: LogSessions,
}

/// The file that is read.
struct OpenLog {
    file: File,
    /// Device and inode: another file of the same name has others.
    identity: (u64, u64),
    position: u64,
    lines: Lines,
}

/// Whether sessions are told, or only taken note of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counting {
    NotYet,
    On,
}

impl PostfixLog {
    /// Follows the file of this configuration: what is written to it from now on is counted.
    /// `report_sender` is the envelope sender of our own report mail, which is not.
    #[must_use]
    pub fn new(
        config: &PostfixLogConfig,
        report_sender: Option<&str>,
        checks: Checks,
        hook: Arc<dyn AsyncHook>,
        counters: Arc<Counters>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            path: config.path.clone(),
            reader: Reader {
                take: config.take,
                checks,
                counters,
                clock,
                hook,
                sessions: LogSessions::new(report_sender),
            },
            open: None,
            before: std::fs::metadata(&config.path)
                .ok()
                .filter(std::fs::Metadata::is_file)
                .map(|found| (identity(&found), found.len())),
            trouble: String::new(),
        }
    }

    /// Follows the log until `shutdown` turns true (or its sender is gone), then reads what is there.
    pub async fn follow(mut self, mut shutdown: watch::Receiver<bool>) {
        let begun = self.begin().await;
        self.note(begun);
        tracing::info!(path = %self.path.display(), take = ?self.reader.take, "Postfix's log is followed");
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => break,
                _ = looks.tick() => {}
            }
            tokio::select! {
                biased;
                // What a read has given is taken at once, so nothing is lost when it is given up.
                _ = shutdown.wait_for(|stop| *stop) => break,
                looked = self.look() => self.note(looked),
            }
        }
        // A read that was given up may have met the end before the last lines came, and says so to
        // whoever reads next.
        let last = async {
            self.look().await?;
            self.look().await
        };
        match timeout(LAST_LINES_WITHIN, last).await {
            Ok(looked) => self.note(looked),
            Err(_elapsed) => tracing::warn!("the last lines of Postfix's log were not all read"),
        }
    }

    /// Opens the file where it is, and takes note of what was there before us without counting it.
    async fn begin(&mut self) -> io::Result<()> {
        let Some(mut log) = OpenLog::open(&self.path).await? else {
            return Ok(());
        };
        let (_, end) = self
            .before
            .filter(|(identity, _)| *identity == log.identity)
            .unwrap_or_default();
        let from = end.saturating_sub(BEFORE_BYTES_MAX);
        log.position = log.file.seek(SeekFrom::Start(from)).await?;
        // The first line is most likely cut in two, and then it is understood as none.
        while log.read(end.saturating_sub(log.position)).await? > 0 {
            self.reader.take_lines(&mut log.lines, Counting::NotYet);
        }
        self.reader.sessions.counting_begins();
        self.open = Some(log);
        Ok(())
    }

    /// Reads what is new, in this file and in the one that has taken its place.
    async fn look(&mut self) -> io::Result<()> {
        if self.open.is_none() {
            self.open = OpenLog::open(&self.path).await?;
        }
        let Some(log) = &mut self.open else {
            return Ok(());
        };
        log.read_to_end(&mut self.reader).await?;
        let found = match fs::metadata(&self.path).await {
            Ok(found) => found,
            // Between its renaming and its making anew.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if identity(&found) == log.identity {
            if found.len() < log.position {
                tracing::info!(path = %self.path.display(), "Postfix's log was cut short");
                log.lines = Lines::new(LINE_BYTES_MAX);
                log.position = log.file.seek(SeekFrom::Start(0)).await?;
                log.read_to_end(&mut self.reader).await?;
            }
            return Ok(());
        }
        // Whoever writes goes on with the old file until it is told of the new one. Once there is
        // something in the new one, the old one is complete.
        if found.len() > 0
            && let Some(next) = OpenLog::open(&self.path).await?
        {
            log.read_to_end(&mut self.reader).await?;
            tracing::info!(path = %self.path.display(), "Postfix's log was turned");
            *log = next;
            log.read_to_end(&mut self.reader).await?;
        }
        Ok(())
    }

    /// Logs a trouble once, and that it is over.
    fn note(&mut self, looked: io::Result<()>) {
        let trouble = looked.map_or_else(|error| error.to_string(), |()| String::new());
        if trouble != self.trouble {
            let path = self.path.display();
            if trouble.is_empty() {
                tracing::info!(%path, "Postfix's log can be read again");
            } else {
                tracing::error!(%path, error = trouble, "postfix_log.path cannot be read");
            }
            self.trouble = trouble;
        }
    }
}

impl Reader {
    fn take_lines(&mut self, lines: &mut Lines, counting: Counting) {
        let now = self.clock.now();
        while let Some(input) = lines.take() {
            let Input::Line(line) = input else {
                self.counters.postfix_log_lines_too_long.count();
                continue;
            };
            let line = String::from_utf8_lossy(&line);
            let Some(line) = postfix_line::parse(&line) else {
                continue;
            };
            self.counters.postfix_log_lines.count();
            let sessions = self.sessions.take(&line, now);
            if counting == Counting::On {
                for session in sessions.iter().filter(|one| is_wanted(&one.how, self.take)) {
                    tracing::debug!(?session, "told by Postfix's log");
                    tell(&*self.hook, session, self.checks);
                }
            }
        }
        if let Some(instance) = self.sessions.doubt() {
            tracing::warn!(
                %instance,
                "Postfix's log does not say when TLS is up, so that sessions in the clear cannot be \
                 told from others and are not counted: set smtp_tls_loglevel = 1"
            );
        }
    }
}

impl OpenLog {
    /// The file, from its beginning; `None` where there is none yet.
    async fn open(path: &PathBuf) -> io::Result<Option<Self>> {
        // A pipe would keep whoever opens it waiting.
        match fs::metadata(path).await {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Err(io::Error::other("it is no regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let file = File::open(path).await?;
        let identity = identity(&file.metadata().await?);
        Ok(Some(Self {
            file,
            identity,
            position: 0,
            lines: Lines::new(LINE_BYTES_MAX),
        }))
    }

    /// Reads and takes what there is.
    async fn read_to_end(&mut self, reader: &mut Reader) -> io::Result<()> {
        while self.read(u64::MAX).await? > 0 {
            reader.take_lines(&mut self.lines, Counting::On);
        }
        Ok(())
    }

    /// Reads at most so many octets; 0 at the end.
    async fn read(&mut self, bytes_max: u64) -> io::Result<u64> {
        let room = self.lines.room();
        room.reserve(CHUNK_BYTES);
        let read = (&mut self.file).take(bytes_max).read_buf(room).await?;
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        self.position = self.position.saturating_add(read);
        Ok(read)
    }
}

fn identity(found: &std::fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}
