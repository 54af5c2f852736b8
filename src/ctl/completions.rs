//! `sealpost completions`: what a shell needs to complete our command lines.

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::{
    CommandLine, Context,
    exit::{Exit, Failure},
};

/// Print what a shell needs to complete commands and options. The Debian package puts it in place for bash, zsh
/// and fish. Needs neither a daemon nor a configuration.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealpost completions bash > /etc/bash_completion.d/sealpost\n  sealpost \
                  completions fish > ~/.config/fish/completions/sealpost.fish"
)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, Failure> {
    context.screen.file(&script(arguments.shell));
    Ok(Exit::Ok)
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    generate(shell, &mut CommandLine::command(), "sealpost", &mut script);
    script
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_is_told_of_every_command() {
        for shell in Shell::value_variants() {
            let script = String::from_utf8(script(*shell)).unwrap();
            let line = CommandLine::command();
            for command in line.get_subcommands().filter(|each| !each.is_hide_set()) {
                let name = command.get_name();
                assert!(script.contains(name), "{shell}: {name}");
            }
        }
    }
}
