//! The small Internet as a program, for tests that are not written in Rust and for real MTAs.
//!
//! ```text
//! small-internet --directory DIR [--dns-port N] [--https-port N] [--smtp-port N]
//! ```
//!
//! A port that is not given is one of the operating system's choice. DNS (UDP and TCP) and the policy
//! hosts are on 127.0.0.1; the mail hosts are on 127.0.25.1 and on, all on one port.
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
//!   `[{"mx","client","sni","tls","commands":[...]}]`;
//! - `wait COUNT`: waits until so many messages are in the inbox, for a minute at most, and answers
//!   `{"inbox":how many there are}`;
//! - `mx DOMAIN HOST`: HOST is the domain's only MX from now on;
//! - `cname NAME TARGET`: NAME is an alias of TARGET from now on;
//! - `behave HOST BEHAVIOUR`: what a mail host does from the next connection on: `correct`,
//!   `no-starttls`, `refuses-starttls`, `handshake-rubbish`, `closes-at-handshake` or
//!   `refuses-recipients`;
//! - `certificate HOST NAME [FLAW]`: a mail host shows a certificate for NAME from the next connection
//!   on, a good one or `expired`, `not-yet-valid`, `common-name-only`, `self-signed` or
//!   `unknown-authority`; these four are answered with `{"done":true}`;
//! - `quit`, or the end of the input: ends the program, without an answer.
//!
//! A line that is none of these is answered with `{"error":"..."}`.

use std::{
    fs,
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use sealpost_kit::{Flaw, Internet, Message, MxBehaviour, Ports, ReportMail};
use serde_json::{Value, json};

/// How long `wait` waits at most.
const WAIT_SECONDS_MAX: u64 = 60;

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
    let internet = Internet::start(options.ports).await?;
    write_files(directory, &internet)?;
    say("ready")?;
    let mut commands = lines_of_stdin();
    while let Some(line) = commands.recv().await {
        let answer = match line.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
            ["quit"] => break,
            ["inbox"] => inbox(directory, &internet)?,
            ["messages"] => messages(&internet),
            ["sessions"] => sessions(&internet),
            ["wait", count] => wait(&internet, count).await,
            ["mx", domain, host] => {
                internet.dns.set_mx(domain, &[(10, *host)]);
                json!({"done": true})
            }
            ["cname", name, target] => {
                internet.dns.set_cname(name, target);
                json!({"done": true})
            }
            ["behave", host, behaviour] => behave(&internet, host, behaviour),
            ["certificate", host, name, flaw @ ..] if flaw.len() <= 1 => {
                certificate(&internet, host, name, flaw.first().copied())
            }
            _ => json!({"error": format!("not a command: {line}")}),
        };
        say(&answer.to_string())?;
    }
    Ok(())
}

struct Options {
    directory: PathBuf,
    ports: Ports,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut directory = None;
        let mut ports = Ports::default();
        while let Some(flag) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("{flag} needs a value"))?;
            let port = || {
                value
                    .parse()
                    .map_err(|error| format!("{flag} {value}: {error}"))
            };
            match flag.as_str() {
                "--directory" => directory = Some(PathBuf::from(value)),
                "--dns-port" => ports.dns = port()?,
                "--https-port" => ports.https = port()?,
                "--smtp-port" => ports.smtp = port()?,
                _ => return Err(format!("{flag} is not an option")),
            }
        }
        let directory = directory.ok_or("--directory DIR is needed")?;
        Ok(Self { directory, ports })
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

fn inbox(directory: &Path, internet: &Internet) -> io::Result<Value> {
    let folder = directory.join("inbox");
    fs::create_dir_all(&folder)?;
    let mut list = Vec::new();
    for (number, message) in (1..).zip(internet.inbox.messages()) {
        let number: u64 = number;
        let file = folder.join(format!("{number}.eml"));
        fs::write(&file, &message.data)?;
        let mut entry = json!({
            "file": file.to_string_lossy(),
            "mx": message.mx,
            "tls": message.tls,
            "from": message.from,
            "dkim": internet.dkim_verdict(&message).err().unwrap_or_else(|| "pass".to_owned()),
        });
        let report = report_of(&message);
        if let (Some(entry), Value::Object(report)) = (entry.as_object_mut(), report) {
            entry.extend(report);
        }
        list.push(entry);
    }
    Ok(Value::Array(list))
}

fn report_of(message: &Message) -> Value {
    let mail = match ReportMail::parse(&message.data) {
        Ok(mail) => mail,
        Err(error) => return json!({"error": error.to_string()}),
    };
    match serde_json::from_slice::<Value>(&mail.json) {
        Ok(report) => json!({
            "domain": mail.field("TLS-Report-Domain"),
            "subject": mail.field("Subject"),
            "report": report,
        }),
        Err(error) => json!({"error": format!("the report is no JSON: {error}")}),
    }
}

fn messages(internet: &Internet) -> Value {
    let messages = internet.mx_hosts.messages();
    let list = messages.iter().map(|message| {
        json!({
            "mx": message.mx,
            "tls": message.tls,
            "from": message.from,
            "recipients": message.recipients,
            "subject": message.field("Subject"),
        })
    });
    list.collect()
}

fn sessions(internet: &Internet) -> Value {
    let sessions = internet.mx_hosts.sessions();
    let list = sessions.iter().map(|session| {
        json!({
            "mx": session.mx,
            "client": session.client.to_string(),
            "sni": session.sni,
            "tls": session.tls,
            "commands": session.commands,
        })
    });
    list.collect()
}

fn behave(internet: &Internet, host: &str, behaviour: &str) -> Value {
    let behaviour = match behaviour {
        "correct" => MxBehaviour::Correct,
        "no-starttls" => MxBehaviour::NoStartTls,
        "refuses-starttls" => MxBehaviour::RefusesStartTls,
        "handshake-rubbish" => MxBehaviour::HandshakeRubbish,
        "closes-at-handshake" => MxBehaviour::ClosesAtHandshake,
        "refuses-recipients" => MxBehaviour::RefusesRecipients(550),
        _ => return json!({"error": format!("not a behaviour: {behaviour}")}),
    };
    internet.mx_hosts.set_behaviour(host, behaviour);
    json!({"done": true})
}

fn certificate(internet: &Internet, host: &str, name: &str, flaw: Option<&str>) -> Value {
    let authority = &internet.authority;
    let issued = match flaw {
        None => authority.issue(&[name]),
        Some("expired") => authority.issue_flawed(&[name], Flaw::Expired),
        Some("not-yet-valid") => authority.issue_flawed(&[name], Flaw::NotYetValid),
        Some("common-name-only") => authority.issue_flawed(&[name], Flaw::CommonNameOnly),
        Some("self-signed") => authority.issue_flawed(&[name], Flaw::SelfSigned),
        Some("unknown-authority") => authority.issue_flawed(&[name], Flaw::UnknownAuthority),
        Some(flaw) => return json!({"error": format!("not a flaw: {flaw}")}),
    };
    match issued {
        Ok(leaf) => internet.mx_hosts.set_certificate(host, leaf),
        Err(error) => return json!({"error": error.to_string()}),
    }
    json!({"done": true})
}

async fn wait(internet: &Internet, count: &str) -> Value {
    let Ok(count) = count.parse() else {
        return json!({"error": format!("not a number: {count}")});
    };
    let limit = Duration::from_secs(WAIT_SECONDS_MAX);
    let _in_time = tokio::time::timeout(limit, internet.inbox.wait_for(count)).await;
    json!({"inbox": internet.inbox.messages().len()})
}
