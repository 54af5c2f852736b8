//! Runs a program with a mail on its standard input, in bounded time, and hears what it says. Whatever it does, it
//! does not stay: it and what it started are ended with the attempt.

use std::{
    io,
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStderr, ChildStdin, Command},
    time::timeout,
};

/// Where the program finds others. It gets nothing of our own environment.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The most that is kept of what it says. The rest is read and forgotten, so that it is not held up by us.
const WORDS_BYTES_MAX: usize = 4_096;

/// How long its last words may take after it has ended: what it left running may keep its standard error open,
/// as Exim's does while it delivers.
const LAST_WORDS_MS_MAX: u64 = 500;

/// How long it may take to leave when it is asked to. A program of an MTA removes its unfinished files.
const LEAVING_SECONDS_MAX: u64 = 2;

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal, which was not ours.
    Killed(i32),
    /// By us: its time was over.
    OutOfTime,
}

/// What came of running it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// How.
    pub(super) end: End,
    /// Did it take all of its input?
    pub(super) took_all: bool,
    /// What it said on standard error, the beginning.
    pub(super) words: String,
}

/// Runs it.
///
/// # Errors
/// It cannot be started.
pub(super) async fn run(
    program: &Path,
    arguments: &[&str],
    input: &[u8],
    limit: Duration,
) -> io::Result<Ended> {
    let mut child = command(program, arguments).spawn()?;
    // Dropped before the child is: its id is still its own then.
    let mut group = Group::of(&child);
    let heard = Heard::default();
    let talk = talk(child.stdin.take(), child.stderr.take(), input, &heard);
    tokio::pin!(talk);
    let mut has_talked = false;
    let ending = async {
        tokio::select! {
            status = child.wait() => status,
            () = &mut talk => {
                has_talked = true;
                child.wait().await
            }
        }
    };
    let ended = timeout(limit, ending).await;
    let end = match ended {
        Ok(status) => {
            group.has_ended();
            end_of(status?)
        }
        Err(_elapsed) => {
            group.leave();
            let leaving = Duration::from_secs(LEAVING_SECONDS_MAX);
            if timeout(leaving, child.wait()).await.is_ok() {
                group.has_ended();
            }
            End::OutOfTime
        }
    };
    if end != End::OutOfTime && !has_talked {
        let last_words = Duration::from_millis(LAST_WORDS_MS_MAX);
        let _in_time = timeout(last_words, &mut talk).await;
    }
    let heard = heard.so_far();
    Ok(Ended {
        end,
        took_all: heard.took_all,
        words: String::from_utf8_lossy(&heard.words).into_owned(),
    })
}

/// It inherits nothing: no variables, no directory, and no file, for all of ours are closed when a program is
/// started.
fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn end_of(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Killed(signal.unwrap_or_default()),
    }
}

/// What was heard of it so far.
#[derive(Debug, Default)]
struct Heard(Mutex<SoFar>);

#[derive(Debug, Default)]
struct SoFar {
    words: Vec<u8>,
    took_all: bool,
}

impl Heard {
    fn so_far(&self) -> MutexGuard<'_, SoFar> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives it the input and hears what it says, both at once: it may do either first.
async fn talk(stdin: Option<ChildStdin>, stderr: Option<ChildStderr>, input: &[u8], heard: &Heard) {
    let give = async {
        if let Some(mut stdin) = stdin {
            // One that has read enough closes it; what that means is told by how it ends.
            let given = stdin.write_all(input).await;
            drop(stdin);
            heard.so_far().took_all = given.is_ok();
        }
    };
    let hear = async {
        if let Some(stderr) = stderr {
            hear(stderr, heard).await;
        }
    };
    let ((), ()) = tokio::join!(give, hear);
}

async fn hear(mut stderr: ChildStderr, heard: &Heard) {
    let mut buffer = [0; 1_024];
    while let Ok(length @ 1..) = stderr.read(&mut buffer).await {
        let words = &mut heard.so_far().words;
        let room = WORDS_BYTES_MAX.saturating_sub(words.len());
        words.extend(buffer.iter().take(length.min(room)));
    }
}

/// The program and what it started. Killed when this is dropped before the program has ended.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// The program has ended. What it left running is the MTA's own, which delivers.
    const fn has_ended(&mut self) {
        self.0 = None;
    }

    /// Asks all of them to end.
    fn leave(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // Where it fails there is nobody left.
            let _sent = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
