//! The command line: `sealpost serve` and the commands that ask the daemon.
//!
//! The daemon owns the store, so the other commands talk to it over its control socket
//! ([`protocol`], [`server`], [`client`]). One file holds one command: its arguments, what it asks,
//! and how it shows the answer. Each that prints data does so as JSON with `--json`.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use serde::{Serialize, de::DeserializeOwned};

pub mod check;
pub mod client;
pub mod control;
pub mod exit;
pub mod protocol;
pub mod server;
pub mod twins;
pub mod wire;

mod alert;
mod audit;
mod bounce;
mod completions;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod dkim;
mod doctor;
mod evidence;
mod explain;
mod man;
mod overrides;
mod page;
mod peer;
mod policy;
mod report;
mod screen;
mod security;
mod serve;
mod sessions;
mod setup;
mod status;
mod store;
mod suppression;
mod words;

use client::Client;
use exit::{EXIT_CODES, Exit, Failure};
use protocol::Request;
use screen::Screen;

use crate::config::{Loaded, load::load_for_command};

/// The sending side of mail transport security: tells the MTA what TLS a recipient domain demands
/// (MTA-STS, RFC 8461; DANE, RFC 7672), counts how it went, and sends each domain its daily report
/// (RFC 8460).
#[derive(Debug, Parser)]
#[command(name = "sealpost", version, after_help = EXIT_CODES, max_term_width = 100)]
struct CommandLine {
    /// The configuration file [default: /etc/sealpost/sealpost.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

// A sentence here would hide all that the arguments themselves say in `--help`.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Check(check::Arguments),
    Status(status::Arguments),
    Evidence(evidence::Arguments),
    Sessions(sessions::Arguments),
    Doctor(doctor::Arguments),
    Explain(explain::Arguments),
    /// The policies that the daemon keeps
    #[command(subcommand)]
    Policy(policy::Command),
    /// The reports: how they stand, what they say, send them now
    #[command(subcommand)]
    Report(report::Command),
    Audit(audit::Arguments),
    /// What is done otherwise for single domains: set it, list it, show it, end it
    #[command(subcommand)]
    Override(overrides::Command),
    /// Destinations to which nothing is sent: list them, explain one, lift it, add one
    #[command(subcommand)]
    Suppression(suppression::Command),
    Bounce(bounce::Arguments),
    /// What you are told without asking: the alerts that hold, and tests of the ways they go
    #[command(subcommand)]
    Alert(alert::Command),
    Page(page::Arguments),
    /// What the daemon holds: a copy of it
    #[command(subcommand)]
    Store(store::Command),
    /// The keys that sign report mail: make them, and see whether receivers can verify with them
    #[command(subcommand)]
    Dkim(dkim::Command),
    /// The configuration file: what is wrong with it, what can be set, what holds
    #[command(subcommand)]
    Config(config::Command),
    /// What the installed MTA needs so that it goes by Sealpost
    #[command(subcommand)]
    Setup(setup::Command),
    Completions(completions::Arguments),
    // For whoever packages us.
    #[command(hide = true)]
    Man(man::Arguments),
    /// The whole of it in a small Internet on this machine, without root and without network
    #[cfg(feature = "demo")]
    Demo(crate::demo::Options),
}

/// How data is shown.
#[derive(Clone, Copy, Debug, Args)]
struct Format {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Runs one command line, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(error) => {
            // `--help` and `--version` come this way too, and go to standard output.
            let help = error.print().is_ok() && !error.use_stderr();
            return if help { Exit::Ok } else { Exit::Usage }.into();
        }
    };
    let mut context = Context {
        config: line.config,
        screen: Screen::standard(),
    };
    let result = match line.command {
        Command::Serve(arguments) => serve::run(&arguments, &mut context),
        Command::Check(arguments) => check::run(&arguments, &mut context),
        Command::Status(arguments) => status::run(&arguments, &mut context),
        Command::Evidence(arguments) => evidence::run(&arguments, &mut context),
        Command::Sessions(arguments) => sessions::run(arguments, &mut context),
        Command::Doctor(arguments) => doctor::run(arguments, &mut context),
        Command::Explain(arguments) => explain::run(&arguments, &mut context),
        Command::Policy(command) => policy::run(command, &mut context),
        Command::Report(command) => report::run(command, &mut context),
        Command::Audit(arguments) => audit::run(&arguments, &mut context),
        Command::Override(command) => overrides::run(command, &mut context),
        Command::Suppression(command) => suppression::run(command, &mut context),
        Command::Alert(command) => alert::run(&command, &mut context),
        Command::Bounce(arguments) => bounce::run(&arguments, &mut context),
        Command::Page(arguments) => page::run(&arguments, &mut context),
        Command::Store(command) => store::run(command, &mut context),
        Command::Dkim(command) => dkim::run(command, &mut context),
        Command::Config(command) => config::run(command, &mut context),
        Command::Setup(command) => setup::run(command, &mut context),
        Command::Completions(arguments) => completions::run(&arguments, &mut context),
        Command::Man(arguments) => man::run(&arguments, &mut context),
        #[cfg(feature = "demo")]
        Command::Demo(options) => demo::run(&options),
    };
    let exit = result.unwrap_or_else(|failure| {
        context.screen.complain(&failure.to_string());
        failure.exit()
    });
    exit.into()
}

/// What every command has at hand.
struct Context {
    config: Option<PathBuf>,
    screen: Screen,
}

impl Context {
    /// The configuration, as far as a command that asks the daemon needs it.
    fn load(&self) -> Result<Loaded, Failure> {
        Ok(load_for_command(self.config.as_deref())?)
    }

    /// Asks the daemon.
    fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, Failure> {
        let socket = self.load()?.config.control_socket.path;
        Ok(Client::connect(&socket)?.ask(request)?)
    }

    /// Shows a value in the format asked for.
    fn show<T: Serialize>(
        &mut self,
        format: Format,
        value: &T,
        as_text: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        if format.json {
            return self.screen.json(value);
        }
        self.screen.text(&as_text(value));
        Ok(())
    }
}

/// `Yes` and `No` as exit codes.
const fn exit_when(yes: bool) -> Exit {
    if yes { Exit::Ok } else { Exit::No }
}
