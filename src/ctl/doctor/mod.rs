//! `sealpost doctor`: what goes wrong on this machine without anybody hearing of it.
//!
//! ```text
//! scene     what the examinations look at together: the configuration, the daemon, the MTAs
//! finding   what an examination comes to, and the traps that it looks for
//! access    whether a user comes to a file
//! page      what is shown
//! ```
//!
//! Each examination is a file: its traps with their causes and cures, the facts that were seen, `judge`, which makes
//! findings of facts and is pure, and `examine`, which gathers them. Nothing is changed on the system.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use tokio::time::timeout;

use super::{
    Context, Format,
    exit::{Exit, Failure},
    exit_when,
};
use crate::{
    clock::{BoxFuture, LaboratoryClock},
    config::{load::DEFAULT_PATH, near::nearest},
};

mod access;
mod clock;
mod configuration;
mod daemon;
mod exim;
mod finding;
mod limits;
mod page;
mod postfix;
mod resolver;
mod roots;
mod scene;
mod sender;
mod sessions;
mod signing;
mod sockets;
mod store;
mod way_out;

use finding::{Examined, State, Trap};
use scene::{Named, Scene};

/// What is silently wrong on this machine, why, and what to do
///
/// It looks for each trap that Sealpost can fall into without a word in a log, and says what was seen of it, what it
/// means, and what to do. Nothing is changed, and no mail is sent: the resolvers, the relay and the mail hosts of your own contact are spoken
/// to, and nobody else unless you name him. Run it as root: whoever may see less is told what could not be seen (`?`).
/// It works with the daemon running and without, and takes ten seconds at most.
///
/// Ends with 0 when nothing is in trouble (warnings and what is not known do not count, unless with --strict), with 1
/// when something is.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealpost doctor\n  sealpost doctor postfix sockets\n  sealpost doctor way-out \
                  --mail-host mx1.example.net --mail-host mx2.example.org\n  sealpost doctor --json | jq \
                  '.examinations[].findings[]'"
)]
pub(super) struct Arguments {
    /// The examinations to make, or single traps [default: all]
    #[arg(value_name = "EXAMINATION")]
    wanted: Vec<String>,
    /// List the examinations and the traps that each looks for
    #[arg(long, conflicts_with_all = ["wanted", "strict"])]
    list: bool,
    /// Print all of them with cause and cure as docs/guide/doctor.md has it
    #[arg(long, conflicts_with_all = ["wanted", "strict", "list", "json"])]
    markdown: bool,
    /// End with 1 for warnings too
    #[arg(long)]
    strict: bool,
    /// A mail host outside, to try port 25 with; may be given several times [default: those of your own contact]
    #[arg(long = "mail-host", value_name = "HOST")]
    mail_hosts: Vec<String>,
    /// Postfix's own tool for its configuration
    #[arg(long, value_name = "PROGRAM")]
    postconf: Option<PathBuf>,
    /// The Postfix instance that is configured in this directory [default: Postfix's own]
    #[arg(long, value_name = "DIRECTORY")]
    config_directory: Option<PathBuf>,
    /// Exim's program [default: exim4, else exim]
    #[arg(long, value_name = "PROGRAM")]
    exim: Option<PathBuf>,
    /// Add the seconds that FILE holds to the machine's clock, as the daemon of a laboratory does
    #[arg(long, value_name = "FILE", hide = true)]
    laboratory_clock: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

/// One examination.
struct Examination {
    /// Its name.
    name: &'static str,
    /// What it looks at.
    text: &'static str,
    /// What it looks for.
    traps: &'static [Trap],
    /// Makes it.
    examine: fn(Arc<Scene>) -> BoxFuture<'static, Examined>,
}

macro_rules! examinations {
    ($($module:ident, $name:literal, $text:literal;)*) => {
        /// Every examination, in the order in which one would ask.
        const EXAMINATIONS: &[Examination] = &[$(
            Examination {
                name: $name,
                text: $text,
                traps: $module::TRAPS,
                examine: |scene| Box::pin(async move { $module::examine(&scene).await }),
            },
        )*];
    };
}

examinations! {
    configuration, "configuration", "The configuration file: is it right, and does the daemon go by it?";
    daemon, "daemon", "The daemon: does it run, of this release, and without an alarm?";
    store, "store", "The store: can the daemon write to it, and will it be there tomorrow?";
    clock, "clock", "The clock: is it right, and does somebody keep it so?";
    resolver, "resolver", "The resolver: does it answer, and does anybody validate DNSSEC?";
    sockets, "sockets", "The sockets: does somebody listen, and do the MTAs come to them?";
    postfix, "postfix", "Postfix: does it ask, does it tell, and what keeps it from either?";
    exim, "exim", "Exim: does it ask, does it tell, and can its build do what is needed?";
    sessions, "sessions", "What MTAs ask and tell: is anything lost or missing?";
    limits, "limits", "Limits of the system: the queue of datagrams, open files.";
    signing, "dkim", "The keys that sign reports: readable, secret, and published?";
    sender, "sender", "Who the reports are from: aligned for DMARC, and can anybody answer?";
    way_out, "way-out", "The way out: the relay, and port 25.";
    roots, "roots", "Whom we trust to certify hosts.";
}

/// No examination takes longer.
const TIME_MAX: Duration = Duration::from_secs(9);

pub(super) fn run(arguments: Arguments, context: &mut Context) -> Result<Exit, Failure> {
    if arguments.markdown {
        context.screen.text(&page::markdown(EXAMINATIONS));
        return Ok(Exit::Ok);
    }
    if arguments.list {
        let list = page::list(EXAMINATIONS);
        context.show(arguments.format, &list, page::list_as_text)?;
        return Ok(Exit::Ok);
    }
    let wanted = wanted(&arguments.wanted)?;
    let named = Named {
        postconf: arguments.postconf,
        config_directory: arguments
            .config_directory
            .or_else(|| std::env::var_os("MAIL_CONFIG").map(PathBuf::from)),
        exim: arguments.exim,
        mail_hosts: arguments.mail_hosts,
    };
    let file = context.config.clone();
    let file = file.unwrap_or_else(|| DEFAULT_PATH.into());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .map_err(|error| Failure::Internal(error.to_string()))?;
    let clock = LaboratoryClock::or_system(arguments.laboratory_clock.as_deref());
    let scene = Arc::new(Scene::new(file, named, clock));
    let all = runtime.block_on(examine_all(&scene, &wanted));
    // What hangs, on a dead disk say, must not keep us.
    runtime.shutdown_background();
    let results = page::results(&all);
    let worst = all.iter().map(|(_, examined)| examined.state()).max();
    context.show(arguments.format, &results, page::results_as_text)?;
    let bad = if arguments.strict {
        State::Warning
    } else {
        State::Trouble
    };
    Ok(exit_when(worst.is_none_or(|worst| worst < bad)))
}

/// The examinations of these names, or those that look for the trap of a name; all where none is named.
fn wanted(names: &[String]) -> Result<Vec<&'static Examination>, Failure> {
    if names.is_empty() {
        return Ok(EXAMINATIONS.iter().collect());
    }
    let mut wanted: Vec<&'static Examination> = Vec::new();
    for name in names {
        let found = EXAMINATIONS
            .iter()
            .find(|one| one.name == name || one.traps.iter().any(|trap| trap.name == name));
        match found {
            Some(one) if wanted.iter().any(|there| there.name == one.name) => {}
            Some(one) => wanted.push(one),
            None => {
                let known = EXAMINATIONS.iter().map(|one| one.name);
                let meant = nearest(name, known).map_or_else(
                    || "`sealpost doctor --list` lists them".to_owned(),
                    |meant| format!("did you mean \"{meant}\"?"),
                );
                let text = format!("there is no examination \"{name}\"; {meant}");
                return Err(Failure::Usage(text));
            }
        }
    }
    Ok(wanted)
}

/// Makes these examinations, all at once.
async fn examine_all(
    scene: &Arc<Scene>,
    wanted: &[&'static Examination],
) -> Vec<(&'static Examination, Examined)> {
    let under_way: Vec<_> = wanted
        .iter()
        .map(|one| (*one, tokio::spawn((one.examine)(Arc::clone(scene)))))
        .collect();
    let deadline = tokio::time::Instant::now() + TIME_MAX;
    let mut all = Vec::new();
    for (one, examining) in under_way {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let examined = match timeout(left, examining).await {
            Ok(Ok(examined)) => examined,
            Ok(Err(error)) => Examined::not_seen(error.to_string()),
            Err(_) => Examined::not_seen(format!("it took longer than {} s", TIME_MAX.as_secs())),
        };
        all.push((one, examined));
    }
    all
}

#[cfg(test)]
mod tests;
