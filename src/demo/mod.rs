//! `sealpost demo`: the whole of it on one machine, in seconds, without root and without network.
//!
//! A small Internet starts on loopback ([`sealpost_kit::Internet`]): a resolver, policy hosts, mail
//! hosts and a mailbox, as sixteen recipient domains have them, most of them broken in some way. The
//! real daemon runs beside it, this very program as `sealpost serve`. A toy MTA that loads
//! `libsealpost.so` sends one message to each domain. Then midnight passes on the daemon's clock, the
//! operator types `sealpost report send`, and what lands in the mailbox is read, its signatures are
//! verified by a verifier that shares nothing with the signer, and all is compared with the truth,
//! which is known because the kit made it.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use sealpost_kit::{Delivery, Internet, InternetError, Message, Ports};
use tokio::time::timeout;

use crate::clock::{Clock as _, SECONDS_PER_DAY, SystemClock, UtcDay};

mod children;
mod folder;
mod judge;
mod mta;
mod show;

use children::{Commands, Daemon};
use folder::Folder;
use judge::{Judged, Landed, judge};

/// How long the reports may take to land.
const LANDING_SECONDS_MAX: u64 = 30;

/// How long the daemon may take to have counted what it was told.
const COUNTING_SECONDS_MAX: u64 = 30;

/// What can be chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Options {
    /// Print only JSON
    #[arg(long)]
    pub json: bool,
    /// Where the files are kept; it must be empty or missing [default: a new one for temporary files]
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// The toy MTA [default: `sealpost-toy-mta` beside this program, or the package's]
    #[arg(long, value_name = "FILE")]
    pub toy_mta: Option<PathBuf>,
    /// The library it loads [default: `libsealpost.so` beside this program, or the package's]
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
}

/// The demo did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The caller: a program or library is not there.
    #[error(
        "{} is missing; `cargo demo` builds it, and so does \
         `cargo build --release -p sealpost -p sealpost-capi -p sealpost-toy-mta`",
        .0.display()
    )]
    Missing(PathBuf),
    /// The caller: the directory already holds something.
    #[error("{} is not empty; name one that is, or that is missing", .0.display())]
    NotEmpty(PathBuf),
    /// The caller: a unix socket's path has 107 octets at most.
    #[error("{}: the path is too long for the sockets in it; name a shorter one", .0.display())]
    PathTooLong(PathBuf),
    /// The machine: a file cannot be written or read, or a program not started.
    #[error("{}: {reason}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The machine: the small Internet would not start.
    #[error("the small Internet: {0}")]
    Internet(#[from] InternetError),
    /// Us: the daemon did not start, or ended.
    #[error("the daemon {reason}; its log is {}", .log.display())]
    Daemon {
        /// What it did.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
    /// Us: a program did not do what it was called for.
    #[error("{command}: {reason}")]
    Command {
        /// The command line.
        command: String,
        /// What it did instead.
        reason: String,
    },
    /// The machine: no runtime, or no output.
    #[error(transparent)]
    Machine(#[from] io::Error),
}

/// Did every case agree with its truth?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every one.
    Agrees,
    /// At least one did not; which and how has been said.
    Differs,
}

/// Runs the demo. What it found goes to `out`, and what it is doing to `progress`.
///
/// # Errors
/// When it does not come to its end.
pub fn run(
    options: &Options,
    out: &mut dyn Write,
    progress: &mut dyn Write,
) -> Result<Verdict, DemoError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (judged, directory) = runtime.block_on(stage(options, progress))?;
    if options.json {
        writeln!(out, "{}", show::as_json(&judged))?;
    } else {
        write!(out, "{}", show::as_text(&judged, &directory))?;
    }
    for difference in judged.differences() {
        writeln!(progress, "differs: {difference}")?;
    }
    Ok(if judged.agrees() {
        Verdict::Agrees
    } else {
        Verdict::Differs
    })
}

async fn stage(
    options: &Options,
    progress: &mut dyn Write,
) -> Result<(Judged, PathBuf), DemoError> {
    let programs = Programs::find(options)?;
    let folder = Folder::new(options.directory.as_deref())?;
    writeln!(progress, "files: {}", folder.root().display())?;
    let internet = Internet::start(Ports::default()).await?;
    folder.set_up(&internet)?;
    let domains = internet.cases().len();
    writeln!(
        progress,
        "the small Internet is up: {domains} recipient domains"
    )?;
    // The daemon's day begins at noon, so that midnight cannot come between two messages. It is the day
    // before, so that it ends in the past: a verifier refuses a signature from the future
    // (RFC 6376 s3.5, t=).
    let day = SystemClock.now().day().previous();
    folder.set_clock(day.first_second().plus_seconds(SECONDS_PER_DAY / 2))?;
    let daemon = Daemon::start(&programs.sealpost, &folder).await?;
    writeln!(progress, "the daemon is ready")?;

    let deliveries = mta::send_to_all(&programs, &folder, &internet).await?;
    writeln!(progress, "the toy MTA has sent one message to each")?;

    let commands = Commands::new(&programs.sealpost, &folder);
    let expected = internet.cases().iter().map(|case| case.sessions).sum();
    wait_until_counted(&commands, day, expected).await?;
    // RFC 8460 s4.1: a report covers a whole UTC day, so the day must end first.
    folder.set_clock(day.next().first_second().plus_seconds(60))?;
    let flags = ["report", "send", "--day", &day.to_string(), "--json"];
    let sent = commands.run(&flags).await?;
    writeln!(
        progress,
        "the day is over; its reports are sent ({})",
        sent.ended()
    )?;
    let wanted = internet.cases().iter().filter(|case| case.report.is_some());
    let in_time = internet.inbox.wait_for(wanted.count());
    let landing = timeout(Duration::from_secs(LANDING_SECONDS_MAX), in_time).await;
    if landing.is_err() {
        writeln!(
            progress,
            "not every report has landed in {LANDING_SECONDS_MAX} s"
        )?;
    }
    daemon.stop().await?;
    let landed = landed(&internet, &folder)?;
    let judged = judge(internet.cases(), &deliveries, landed);
    Ok((judged, folder.root().to_owned()))
}

/// The programs that play a part.
struct Programs {
    sealpost: PathBuf,
    toy_mta: PathBuf,
    library: PathBuf,
}

impl Programs {
    fn find(options: &Options) -> Result<Self, DemoError> {
        let sealpost = std::env::current_exe()?;
        // Where cargo builds them, or else where the package has them: /usr/lib/sealpost beside /usr/bin.
        let beside = |name: &str| {
            let built = sealpost.with_file_name(name);
            let above = sealpost.parent().and_then(Path::parent);
            let packaged = above.map(|above| above.join("lib/sealpost").join(name));
            packaged
                .filter(|packaged| !built.exists() && packaged.exists())
                .unwrap_or(built)
        };
        let present = |path: PathBuf| {
            if path.is_file() {
                Ok(path)
            } else {
                Err(DemoError::Missing(path))
            }
        };
        let toy_mta = options.toy_mta.clone();
        let library = options.library.clone();
        Ok(Self {
            toy_mta: present(toy_mta.unwrap_or_else(|| beside("sealpost-toy-mta")))?,
            library: present(library.unwrap_or_else(|| beside("libsealpost.so")))?,
            sealpost,
        })
    }
}

/// A session is told of in a moment and counted a moment later.
async fn wait_until_counted(
    commands: &Commands,
    day: UtcDay,
    expected: u64,
) -> Result<(), DemoError> {
    let counting = async {
        while commands.sessions_counted(day).await? < expected {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    };
    let limit = Duration::from_secs(COUNTING_SECONDS_MAX);
    // When the time is up the reports are sent all the same: they show what is missing.
    timeout(limit, counting).await.unwrap_or(Ok(()))
}

/// Reads and keeps every message of the mailbox.
fn landed(internet: &Internet, folder: &Folder) -> Result<Vec<Landed>, DemoError> {
    let mut landed = Vec::new();
    for (number, message) in (1..).zip(internet.inbox.messages()) {
        landed.push(read_one(internet, folder, number, &message)?);
    }
    Ok(landed)
}

fn read_one(
    internet: &Internet,
    folder: &Folder,
    number: usize,
    message: &Message,
) -> Result<Landed, DemoError> {
    let dkim = internet.dkim_verdict(message);
    let read = Landed::read(message, internet.inbox.mailbox(), dkim);
    let name = read.domain().map_or_else(
        || format!("{number}"),
        |domain| domain.replace(|letter: char| !is_plain(letter), "_"),
    );
    let file = folder.keep_report(&name, &message.data, read.json())?;
    Ok(read.kept_in(file))
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-')
}

/// One message's way, as the toy MTA tells it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
struct Delivered {
    domain: String,
    delivered: Delivery,
    mx: Option<String>,
    reason: String,
}

fn file_error(path: &Path, error: &dyn std::fmt::Display) -> DemoError {
    DemoError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}
