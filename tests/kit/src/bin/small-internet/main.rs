//! The small Internet as a program, for tests that are not written in Rust and for real MTAs.
//!
//! ```text
//! small-internet --directory DIR [--dns-port N] [--https-port N] [--smtp-port N]
//!                [--cases demo|postfix] [--ipv6 ADDRESS]
//! ```
//!
//! A port that is not given is one of the operating system's choice. DNS (UDP and TCP) and the policy
//! hosts are on 127.0.0.1; the mail hosts are on 127.0.25.1 and on, all on one port.
//!
//! The recipient domains are those of the demo, or those that real Postfix is held to, and real Exim where
//! they have DANE (`sealpost_kit::Cases`). A mail host that has an IPv6 address only has the one given, which the
//! machine must have (`ip address add fd00:25::1/128 dev lo`); without it that domain is left out.
//!
//! It writes into DIR, which it makes where it is missing:
//!
//! - `ca.pem`: the root that issues every good certificate, of policy hosts and of mail hosts;
//! - `rsa.pem`, `ed25519.pem`: the DKIM keys of the sending domain, named as their selectors;
//! - `cases.json`: the recipient domains, each with its truth (`sealpost_kit::Case`);
//! - `internet.json`: `{"dns":"127.0.0.1:53","https_port":443,"smtp_port":25,"sender_domain":
//!   "sender.test","rua":"tlsrpt@reports.test","selectors":["rsa","ed25519"]}`.
//!
//! Then it prints `ready`, and answers each line of standard input with one line of JSON:
//!
//! - `inbox`: writes the mail for the rua into `DIR/inbox/1.eml` and on, and answers
//!   `[{"file","mx","tls","from","dkim":"pass" or why not,"domain":the TLS-Report-Domain field,
//!   "subject","report":the JSON of the report}]`; where a message is no report mail, `"error"` says
//!   why in place of the last three;
//! - `messages`: every message that a mail host took, the inbox's included:
//!   `[{"mx","tls","from","recipients","subject"}]`;
//! - `sessions`: every connection to a mail host:
//!   `[{"mx","client","helo","sni","tls","mail":was a message offered,"commands":[...]}]`;
//! - `wait COUNT`: waits until so many messages are in the inbox, for a minute at most, and answers
//!   `{"inbox":how many there are}`;
//! - `asked NAME TYPE`: how often the DNS was asked for this: `{"times"}`;
//! - `issue NAME`: writes a good certificate for NAME and its key into `DIR/NAME.pem`, for a server of
//!   the test's own, and answers `{"file"}`;
//! - `mx DOMAIN HOST...`: these are the domain's MX from now on, the first preferred;
//! - `txt NAME [TEXT]`: NAME has this TXT record, or none;
//! - `address NAME [ADDRESS...]`: NAME has these addresses, A and AAAA;
//! - `tlsa NAME HOST`: NAME (`_25._tcp.HOST`) has the TLSA record `3 1 1` of the key that a mail host
//!   shows now;
//! - `tlsa NAME [USAGE SELECTOR MATCHING DATA]`: NAME has this TLSA record, or none;
//! - `cname NAME TARGET`: NAME is an alias of TARGET from now on;
//! - `sign ZONE`, `unsign ZONE`: the DNS says of all in this zone that it is authentic, or does not;
//! - `fault NAME servfail|refused|silence|bogus|none`: how the DNS answers for NAME, whatever is asked for;
//! - `remove NAME`: the DNS has nothing of NAME any more;
//! - `policy DOMAIN ID MODE [MX...]`: the domain's MTA-STS policy and its record;
//! - `behave HOST BEHAVIOUR`: what a mail host does from the next connection on: `correct`,
//!   `big-ehlo`, `no-starttls`, `refuses-starttls`, `handshake-rubbish`, `closes-at-handshake`, `knows-no-recipient` or
//!   `refuses-recipients`;
//! - `certificate HOST NAME [FLAW]`: a mail host shows a certificate for NAME from the next connection
//!   on, a good one or `expired`, `not-yet-valid`, `common-name-only`, `self-signed` or
//!   `unknown-authority`; all from `mx` on are answered with `{"done":true}`;
//! - `quit`, or the end of the input: ends the program, without an answer.
//!
//! A line that is none of these is answered with `{"error":"..."}`.

mod answers;
mod changes;

use std::{
    fs,
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use sealpost_kit::{Cases, Internet, Setup};
use serde_json::json;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _said = writeln!(io::stderr(), "small-internet: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse(std::env::args().skip(1))?;
    let directory = &options.directory;
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let internet = Internet::start_with(options.setup).await?;
    write_files(directory, &internet)?;
    say("ready")?;
    let mut commands = lines_of_stdin();
    while let Some(line) = commands.recv().await {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if words == ["quit"] {
            break;
        }
        let answer = match answers::to(directory, &internet, &words).await? {
            Some(answer) => answer,
            None => changes::make(&internet, &line, &words)
                .map_or_else(|error| json!({"error": error}), |()| json!({"done": true})),
        };
        say(&answer.to_string())?;
    }
    Ok(())
}

struct Options {
    directory: PathBuf,
    setup: Setup,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut directory = None;
        let mut setup = Setup::default();
        while let Some(flag) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("{flag} needs a value"))?;
            let wrong = |error: &dyn std::fmt::Display| format!("{flag} {value}: {error}");
            let port = || value.parse().map_err(|error| wrong(&error));
            match flag.as_str() {
                "--directory" => directory = Some(PathBuf::from(&value)),
                "--dns-port" => setup.ports.dns = port()?,
                "--https-port" => setup.ports.https = port()?,
                "--smtp-port" => setup.ports.smtp = port()?,
                "--cases" => {
                    setup.cases = match value.as_str() {
                        "demo" => Cases::Demo,
                        "postfix" => Cases::Postfix,
                        _ => return Err(wrong(&"it is demo or postfix")),
                    }
                }
                "--ipv6" => {
                    let address = value.parse().map_err(|error| wrong(&error))?;
                    setup.ipv6 = Some(address);
                }
                _ => return Err(format!("{flag} is not an option")),
            }
        }
        let directory = directory.ok_or("--directory DIR is needed")?;
        Ok(Self { directory, setup })
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Standard input is read on a thread of its own, so that a blocked read holds up nothing, not even
/// the end of the program.
fn lines_of_stdin() -> tokio::sync::mpsc::Receiver<String> {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn write_files(directory: &Path, internet: &Internet) -> io::Result<()> {
    fs::write(directory.join("ca.pem"), internet.authority.ca_pem())?;
    for selector in internet.selectors() {
        let file = directory.join(format!("{}.pem", selector.name));
        fs::write(file, &selector.key.private_pem)?;
    }
    let cases = serde_json::to_string_pretty(internet.cases())?;
    fs::write(directory.join("cases.json"), cases)?;
    let selectors: Vec<&str> = internet
        .selectors()
        .iter()
        .map(|selector| selector.name.as_str())
        .collect();
    let world = json!({
        "dns": internet.dns.address().to_string(),
        "https_port": internet.policy_hosts.address().port(),
        "smtp_port": internet.mx_hosts.port(),
        "sender_domain": internet.sender_domain(),
        "rua": internet.inbox.mailbox(),
        "selectors": selectors,
    });
    fs::write(directory.join("internet.json"), world.to_string())
}
