//! `sealpost setup`: what an installed MTA needs so that it goes by Sealpost.

use std::{fmt::Write as _, fs, path::PathBuf};

use clap::Subcommand;
use serde::Serialize;

use super::{
    Context, Format,
    exit::{Exit, Failure},
};

mod before;
mod postconf;
mod postfix;

use before::{Before, Undoable};
use postconf::{Postconf, PostconfError, one_blank};
use postfix::{Change, Machine, Place, Plan, plan};

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
    let postconf = Postconf::new(arguments.postconf, arguments.config_directory);
    let kept = Before::path(&config.store.path);
    if arguments.undo {
        return undo(&postconf, &kept, arguments.format, context);
    }
    let installed = postconf.read().map_err(setup)?;
    let plan = plan(&installed, &config, &machine()).map_err(setup)?;
    if arguments.apply {
        let changes = undoable(&postconf, &plan.changes).map_err(setup)?;
        if !changes.is_empty() {
            let earlier = Before::read(&kept).map_err(setup)?;
            // Shown first: where one of them fails, it is known which were meant.
            context.show(arguments.format, &plan, |plan| as_text(plan, "setting"))?;
            Before::with(earlier, changes).write(&kept).map_err(setup)?;
            apply(&postconf, &plan.changes).map_err(setup)?;
            if !arguments.format.json {
                context
                    .screen
                    .text("Done. It holds from `postfix reload` on.\n");
            }
            return Ok(exit(&plan));
        }
    }
    context.show(arguments.format, &plan, |plan| as_text(plan, "to be set"))?;
    Ok(exit(&plan))
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
    changes
        .iter()
        .map(|change| {
            let before = match change.place {
                Place::Main => postconf.set_in_main(&change.name)?,
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
    for change in changes {
        match change.place {
            Place::Main => postconf.set(&change.name, &change.next)?,
            Place::Master => postconf.add_service(&change.name, &change.next)?,
        }
    }
    Ok(())
}

/// What `--undo` did.
#[derive(Serialize)]
struct Undone {
    /// Back to what it was.
    restored: Vec<String>,
    /// Changed by somebody since, and left alone.
    left_alone: Vec<String>,
}

fn undo(
    postconf: &Postconf,
    kept: &std::path::Path,
    format: Format,
    context: &mut Context,
) -> Result<Exit, Failure> {
    let Some(before) = Before::read(kept).map_err(setup)? else {
        return Err(Failure::Setup(format!(
            "{} is not there: nothing was set by sealpost, or it is undone already",
            kept.display()
        )));
    };
    let mut undone = Undone {
        restored: Vec::new(),
        left_alone: Vec::new(),
    };
    for change in before.changes.iter().rev() {
        let list = if undo_one(postconf, change).map_err(setup)? {
            &mut undone.restored
        } else {
            &mut undone.left_alone
        };
        list.push(change.name.clone());
    }
    Before::forget(kept).map_err(setup)?;
    context.show(format, &undone, |undone| {
        let mut text = String::new();
        for name in &undone.restored {
            text += &format!("{name} is what it was\n");
        }
        for name in &undone.left_alone {
            text += &format!("{name} has been changed since and is left alone\n");
        }
        text + "It holds from `postfix reload` on.\n"
    })?;
    Ok(Exit::Ok)
}

/// Takes one change back, unless somebody has changed it since.
fn undo_one(postconf: &Postconf, change: &Undoable) -> Result<bool, PostconfError> {
    let (name, before) = (&change.name, change.before.as_deref());
    match change.place {
        Place::Main => {
            if postconf.set_in_main(name)?.as_ref() != Some(&change.after) {
                return Ok(false);
            }
            match before {
                Some(value) => postconf.set(name, value)?,
                None => postconf.unset(name)?,
            }
        }
        Place::Master => {
            let there = postconf.service(name)?;
            if there != Some(one_blank(&change.after)) {
                return Ok(false);
            }
            match before {
                Some(entry) => postconf.add_service(name, entry)?,
                None => postconf.remove_service(name)?,
            }
        }
    }
    Ok(true)
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

/// Where distributions keep their trusted roots.
const ROOTS: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

fn machine() -> Machine {
    let resolvers = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let queued = fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").ok();
    Machine {
        roots: ROOTS.iter().map(PathBuf::from).find(|file| file.is_file()),
        local_resolver: resolvers.lines().any(|line| {
            let mut words = line.split_ascii_whitespace();
            words.next() == Some("nameserver")
                && words
                    .next()
                    .and_then(|address| address.parse::<std::net::IpAddr>().ok())
                    .is_some_and(|address| address.is_loopback())
        }),
        datagrams_queued_max: queued.and_then(|text| text.trim().parse().ok()),
    }
}
