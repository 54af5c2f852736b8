//! `sealpost setup`: what an installed MTA needs so that it goes by Sealpost.

use std::{
    env,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde::Serialize;

use super::{
    Context, Format,
    exit::{Exit, Failure},
};
use crate::clock::{Clock as _, SystemClock};

mod asked;
mod before;
mod installed;
mod machine;
mod plan;
mod postconf;
mod postfix;

pub(super) use asked::without_signed_answers;
use before::{Before, Undoable};
pub(super) use installed::{Installed, Lack, NotSeen};
use machine::Machine;
pub(super) use plan::About;
use plan::{Change, Place, Plan, plan};
use postconf::{Postconf, PostconfError, one_blank};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// What to set in the installed Postfix so that it asks Sealpost and tells it its sessions
    #[command(
        after_help = "Examples:\n  sealpost setup postfix\n  sealpost setup postfix --apply\n  \
                      sealpost setup postfix --undo\n\nNothing is changed without --apply. What was \
                      there before is kept beside the store\nand comes back with --undo; what has been \
                      changed since is left alone."
    )]
    Postfix(PostfixArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct PostfixArguments {
    /// Set it, with `postconf -e`, after showing it
    #[arg(long, conflicts_with = "undo")]
    apply: bool,
    /// Go back to what held before
    #[arg(long)]
    undo: bool,
    /// Postfix's own tool for its configuration
    #[arg(long, value_name = "PROGRAM", default_value = "postconf")]
    postconf: PathBuf,
    /// The instance that is configured in this directory [default: Postfix's own]
    #[arg(long, value_name = "DIRECTORY")]
    config_directory: Option<PathBuf>,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(command: Command, context: &mut Context) -> Result<Exit, Failure> {
    let Command::Postfix(arguments) = command;
    let config = context.load()?.config;
    // postconf(1): the same by the environment.
    let directory = arguments
        .config_directory
        .or_else(|| env::var_os("MAIL_CONFIG").map(PathBuf::from));
    let postconf = Postconf::new(arguments.postconf, directory);
    let kept = Before::path(&config.store.path);
    if arguments.undo {
        return undo(&postconf, &kept, arguments.format, context);
    }
    let installed = postconf.read().map_err(setup)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Internal(error.to_string()))?;
    let today = SystemClock.now().day();
    let machine = runtime.block_on(Machine::look(&installed, &config.dns, today));
    let plan = plan(&installed, &config, &machine).map_err(setup)?;
    if !arguments.apply || plan.changes.is_empty() {
        context.show(arguments.format, &plan, |plan| as_text(plan, "to be set"))?;
        return Ok(exit(&plan));
    }
    let changes = undoable(&postconf, &plan.changes).map_err(setup)?;
    let instance = postconf.instance().map_err(setup)?;
    let mut before = Before::read(&kept).map_err(setup)?;
    before.add(&instance, changes);
    before.write(&kept).map_err(setup)?;
    // Shown first: where one of them fails, it is known which were meant.
    context.show(arguments.format, &plan, |plan| as_text(plan, "setting"))?;
    apply(&postconf, &plan.changes).map_err(setup)?;
    if !arguments.format.json {
        let done = format!("Done. {}", holds_from(&postconf));
        context.screen.text(&done);
    }
    Ok(exit(&plan))
}

/// When what was set takes effect.
fn holds_from(postconf: &Postconf) -> String {
    let of_instance = postconf
        .config_directory()
        .map(|directory| format!("-c {} ", directory.display()))
        .unwrap_or_default();
    format!("It holds from `postfix {of_instance}reload` on.\n")
}

/// A trap that only the operator can mend is a no.
fn exit(plan: &Plan) -> Exit {
    if plan.traps.iter().any(|trap| trap.stops) {
        Exit::No
    } else {
        Exit::Ok
    }
}

fn setup(error: impl std::error::Error) -> Failure {
    Failure::Setup(error.to_string())
}

fn undoable(postconf: &Postconf, changes: &[Change]) -> Result<Vec<Undoable>, PostconfError> {
    let main = postconf.set_in_main()?;
    changes
        .iter()
        .map(|change| {
            let before = match change.place {
                Place::Main => main.get(&change.name).cloned(),
                Place::Master => postconf.service(&change.name)?,
            };
            Ok(Undoable {
                place: change.place,
                name: change.name.clone(),
                before,
                after: change.next.clone(),
            })
        })
        .collect()
}

fn apply(postconf: &Postconf, changes: &[Change]) -> Result<(), PostconfError> {
    // A service before main.cf sends mail to it.
    for change in changes.iter().filter(|one| one.place == Place::Master) {
        postconf.add_service(&change.name, &change.next)?;
    }
    // All at once: for a second after each change of main.cf, postconf waits before it reads it.
    let of_main = changes.iter().filter(|one| one.place == Place::Main);
    let parameters: Vec<(&str, &str)> = of_main
        .map(|change| (change.name.as_str(), change.next.as_str()))
        .collect();
    postconf.set(&parameters)
}

/// What `--undo` did.
#[derive(Default, Serialize)]
struct Undone {
    /// Back to what it was.
    restored: Vec<String>,
    /// Changed by somebody since, and left alone.
    left_alone: Vec<String>,
}

fn undo(
    postconf: &Postconf,
    kept: &Path,
    format: Format,
    context: &mut Context,
) -> Result<Exit, Failure> {
    let instance = postconf.instance().map_err(setup)?;
    let mut before = Before::read(kept).map_err(setup)?;
    let Some(changes) = before.take(&instance) else {
        return Err(Failure::Setup(format!(
            "{} knows of nothing that sealpost has set in {instance}, or it is undone already",
            kept.display()
        )));
    };
    let undone = take_back(postconf, &changes).map_err(setup)?;
    before.write(kept).map_err(setup)?;
    context.show(format, &undone, |undone| {
        let mut text = String::new();
        for name in &undone.restored {
            text += &format!("{name} is what it was\n");
        }
        for name in &undone.left_alone {
            text += &format!("{name} has been changed since and is left alone\n");
        }
        text + &holds_from(postconf)
    })?;
    Ok(Exit::Ok)
}

/// Takes changes back, but those that somebody has changed since. What was not set in the end, because
/// setting failed half way, is what it was.
fn take_back(postconf: &Postconf, changes: &[Undoable]) -> Result<Undone, PostconfError> {
    let main = postconf.set_in_main()?;
    let mut undone = Undone::default();
    let (mut set, mut unset, mut services) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        let (there, after) = match change.place {
            Place::Main => (main.get(&change.name).cloned(), change.after.clone()),
            Place::Master => (postconf.service(&change.name)?, one_blank(&change.after)),
        };
        let is_back = there == change.before;
        if !is_back && there != Some(after) {
            undone.left_alone.push(change.name.clone());
            continue;
        }
        undone.restored.push(change.name.clone());
        match (change.place, &change.before) {
            _ if is_back => {}
            (Place::Main, Some(value)) => set.push((change.name.as_str(), value.as_str())),
            (Place::Main, None) => unset.push(change.name.as_str()),
            (Place::Master, _) => services.push(change),
        }
    }
    postconf.set(&set)?;
    postconf.unset(&unset)?;
    // After main.cf sends no more mail to them.
    for change in services {
        match &change.before {
            Some(entry) => postconf.add_service(&change.name, entry)?,
            None => postconf.remove_service(&change.name)?,
        }
    }
    Ok(undone)
}

fn as_text(plan: &Plan, what: &str) -> String {
    let mut text = format!("Postfix {}\n", plan.version);
    if plan.changes.is_empty() {
        text += "All is set.\n";
    } else {
        let _written = writeln!(text, "\n{what}:");
    }
    for change in &plan.changes {
        let line = match change.place {
            Place::Main => format!("{} = {}", change.name, change.next),
            Place::Master => change.next.clone(),
        };
        let _written = write!(text, "\n  # {}\n  {line}\n", change.why);
        if !change.now.is_empty() {
            let _written = writeln!(text, "  # now: {}", change.now);
        }
    }
    if !plan.traps.is_empty() {
        text += "\nto be known:\n";
    }
    for trap in &plan.traps {
        let mark = if trap.stops { "!" } else { "-" };
        let lines: Vec<&str> = trap.text.lines().collect();
        let _written = writeln!(text, "  {mark} {}", lines.join("\n      "));
    }
    text
}
