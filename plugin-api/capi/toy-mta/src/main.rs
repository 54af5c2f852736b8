//! A toy MTA: it loads `libsealpost.so` as a C host would, and sends one message to each recipient.
//!
//! ```text
//! sealpost-toy-mta --library libsealpost.so --socket plugin.sock --dns 127.0.0.1:53 --smtp-port 25
//!                  --ca ca.pem --from a@sender.test --to b@one.test --to c@two.test
//! ```
//!
//! For each recipient it prints one line of JSON:
//! `{"domain":...,"delivered":"tls-verified"|"tls"|"plain"|"deferred","mx":...,"reason":...}`.
//!
//! It shows an MTA author the whole of what a host does with the library, and nothing more: it has no
//! queue and tries each mail host once. Under DANE it has the certificates judged by Sealpost in the midst
//! of the handshake. [`library`] is the seam; [`delivery`] is what is done with the answers.

mod abi;
mod delivery;
mod library;
mod lookup;
mod smtp;
mod verifier;

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use crate::{delivery::Sender, library::Library, lookup::Resolver, verifier::Roots};

/// One recipient after another: an MTA that forks would do this once in each of its processes.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _said = writeln!(io::stderr(), "sealpost-toy-mta: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse(std::env::args().skip(1))?;
    let sender = Sender {
        library: Arc::new(Library::load(&options.library, &options.socket)?),
        resolver: Resolver::new(options.dns)?,
        roots: Roots::read(&options.ca)?,
        smtp_port: options.smtp_port,
        from: options.from,
    };
    for recipient in &options.to {
        let outcome = sender.deliver(recipient).await;
        let mut out = io::stdout().lock();
        writeln!(out, "{}", outcome.to_json())?;
        out.flush()?;
    }
    Ok(())
}

struct Options {
    library: PathBuf,
    socket: PathBuf,
    dns: SocketAddr,
    smtp_port: u16,
    ca: PathBuf,
    from: String,
    to: Vec<String>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut library, mut socket, mut dns) = (None, None, None);
        let (mut ca, mut from, mut to) = (None, None, Vec::new());
        let mut smtp_port = 25;
        while let Some(flag) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("{flag} needs a value"))?;
            let bad = |error: &dyn std::fmt::Display| format!("{flag} {value}: {error}");
            match flag.as_str() {
                "--library" => library = Some(PathBuf::from(value)),
                "--socket" => socket = Some(PathBuf::from(value)),
                "--ca" => ca = Some(PathBuf::from(value)),
                "--dns" => dns = Some(value.parse().map_err(|error| bad(&error))?),
                "--smtp-port" => smtp_port = value.parse().map_err(|error| bad(&error))?,
                "--from" => from = Some(mailbox(&flag, value)?),
                "--to" => to.push(mailbox(&flag, value)?),
                _ => return Err(format!("{flag} is not an option")),
            }
        }
        if to.is_empty() {
            return Err("--to ADDRESS is needed".to_owned());
        }
        Ok(Self {
            library: library.ok_or("--library PATH is needed")?,
            socket: socket.ok_or("--socket PATH is needed")?,
            dns: dns.ok_or("--dns ADDRESS:PORT is needed")?,
            ca: ca.ok_or("--ca FILE is needed")?,
            from: from.ok_or("--from ADDRESS is needed")?,
            smtp_port,
            to,
        })
    }
}

/// An address that can stand between angle brackets in an SMTP command.
fn mailbox(flag: &str, value: String) -> Result<String, String> {
    let plain = value
        .chars()
        .all(|character| character.is_ascii_graphic() && !matches!(character, '<' | '>'));
    match value.rsplit_once('@') {
        Some((local, domain)) if plain && !local.is_empty() && !domain.is_empty() => Ok(value),
        _ => Err(format!("{flag} {value:?}: not an address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_ascii_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_checked_and_named() {
        let whole = "--library l --socket s --dns 127.0.0.1:53 --ca c --from a@b --to c@d --to e@f";
        let options = parse(whole).unwrap();
        assert_eq!(options.to, ["c@d", "e@f"]);
        assert_eq!(options.smtp_port, 25);
        for (line, expected) in [
            ("--library", "--library needs a value"),
            ("--lib x", "--lib is not an option"),
            ("--dns 127.0.0.1", "--dns 127.0.0.1: "),
            ("--to nobody", "--to \"nobody\": not an address"),
            ("--to a<b@c", "--to \"a<b@c\": not an address"),
            ("--to a@b", "--library PATH is needed"),
            ("--library l", "--to ADDRESS is needed"),
        ] {
            let error = parse(line).err().unwrap();
            assert!(error.starts_with(expected), "{line}: {error}");
        }
    }
}
