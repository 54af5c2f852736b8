//! `sealpost dkim`: the keys that sign report mail.

use clap::Subcommand;

use super::{
    Context,
    exit::{Exit, Failure},
};

mod check;
mod keygen;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make keys to sign report mail with, and print the records to publish
    ///
    /// Writes one file for each key, which only its owner may read, and nothing over a file that is
    /// there. Prints the TXT records for the DNS and the sections for the configuration file.
    #[command(
        after_help = "Examples:\n  sealpost dkim keygen\n  sealpost dkim keygen --algorithm rsa --bits 4096 \
                      --selector tlsrpt2027 --directory /etc/sealpost"
    )]
    Keygen(keygen::Arguments),
    /// Whether receivers can verify the reports' signatures: what the DNS publishes of each key
    ///
    /// Looks up the record of each key of the configuration, and the DMARC record that receivers go
    /// by. Ends with 1 where a receiver could not verify a report.
    #[command(after_help = "Example:\n  sealpost dkim check")]
    Check(check::Arguments),
}

pub(super) fn run(command: Command, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        Command::Keygen(arguments) => keygen::run(&arguments, context),
        Command::Check(arguments) => check::run(&arguments, context),
    }
}
