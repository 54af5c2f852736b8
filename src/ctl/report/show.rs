//! `sealpost report show`: what was sent to a domain, as the daemon knows it; or what the reports in files
//! say, of any sender.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    super::{Context, Format, exit::Exit, exit::Failure, protocol::Request, wire::ReportView},
    files, report_as_text,
};
use crate::{clock::UtcDay, policy::PolicyDomain};

/// What was sent to a domain for a day, or what the reports in files say
///
/// With a DOMAIN: asks the daemon for the deliveries of that domain's report, and for the report.
///
/// With FILES: reads reports of any sender, as JSON or as mails, packed or not, from files, ZIP archives,
/// mailboxes (mbox), Maildirs, directories and standard input (-). Shows what they say, what the failures mean,
/// who signed the mails, and what a report does not do as RFC 8460 asks. Several are summed up. The
/// daemon is not needed. The keys of signatures are asked of the DNS, by the resolvers of the
/// configuration or else of /etc/resolv.conf, unless --offline.
///
/// A name that is a domain and of a file here is the file.
///
/// Ends with 1 when a file could not be read, and with --strict when a report has findings.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sealpost report show example.org --day 2026-11-24\n  \
                  sealpost report show google.com!example.org!1795478400!1795564799.json.gz\n  \
                  sealpost report show ~/Maildir --json | jq .totals\n  \
                  sealpost report show --strict --offline report.eml"
)]
pub(in crate::ctl) struct Arguments {
    /// A recipient domain; or files, directories, or - for standard input
    #[arg(required = true, value_name = "DOMAIN|FILE")]
    what: Vec<OsString>,
    /// Of a domain: the UTC day that the report covers, as 2026-11-24 [default: yesterday]
    #[arg(long, value_name = "DAY")]
    day: Option<UtcDay>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    format: Format,
}

/// How files are read.
#[derive(Debug, Args)]
pub(super) struct Reading {
    /// Of files: show every report by itself, not only their sums
    #[arg(long)]
    pub(super) each: bool,
    /// Of files: end with 1 when a report does not do as RFC 8460 asks
    #[arg(long)]
    pub(super) strict: bool,
    /// Of files: ask the DNS for nothing; signatures are judged by --keys alone
    #[arg(long)]
    pub(super) offline: bool,
    /// Of files: TXT records of DKIM keys, as JSON: {"SELECTOR._domainkey.DOMAIN": "v=DKIM1; ..."}
    #[arg(long, value_name = "FILE")]
    pub(super) keys: Option<PathBuf>,
}

impl Reading {
    /// The first option that was given.
    const fn given(&self) -> Option<&'static str> {
        match (self.each, self.strict, self.offline, &self.keys) {
            (true, ..) => Some("--each"),
            (_, true, ..) => Some("--strict"),
            (_, _, true, _) => Some("--offline"),
            (.., Some(_)) => Some("--keys"),
            _ => None,
        }
    }
}

pub(super) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, Failure> {
    match asked(&arguments.what, Path::exists)? {
        Asked::Domain(domain) => {
            if let Some(option) = arguments.reading.given() {
                return Err(Failure::Usage(format!(
                    "{option} is for files, and {domain} is no file here"
                )));
            }
            let report: ReportView = context.ask(Request::ReportShow {
                day: arguments.day.map(|day| day.to_string()),
                domain: domain.to_string(),
            })?;
            context.show(arguments.format, &report, report_as_text)?;
            Ok(Exit::Ok)
        }
        Asked::Files(_) if arguments.day.is_some() => Err(Failure::Usage(
            "--day is for a domain; a file is shown whole".to_owned(),
        )),
        Asked::Files(files) => files::show(&files, &arguments.reading, arguments.format, context),
    }
}

/// What is to be shown.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Domain(PolicyDomain),
    Files(Vec<PathBuf>),
}

/// A domain, or files: what exists or can only be a file is one.
fn asked(what: &[OsString], exists: impl Fn(&Path) -> bool) -> Result<Asked, Failure> {
    let is_file = |name: &OsString| {
        let text = name.to_string_lossy();
        text == "-" || exists(Path::new(name)) || can_only_be_a_file(&text)
    };
    if what.iter().all(is_file) {
        return Ok(Asked::Files(what.iter().map(PathBuf::from).collect()));
    }
    let others = what.iter().filter(|name| !is_file(name));
    let other = others.map(|name| name.to_string_lossy()).next();
    let other = other.unwrap_or_default();
    let Ok(domain) = other.parse::<PolicyDomain>() else {
        return Err(Failure::Usage(format!(
            "\"{other}\" is neither a file here nor a domain"
        )));
    };
    if what.len() > 1 {
        return Err(Failure::Usage(format!(
            "\"{other}\" is no file here; a domain is shown by itself"
        )));
    }
    Ok(Asked::Domain(domain))
}

/// `report.json` would be a domain too, and nobody means it.
fn can_only_be_a_file(text: &str) -> bool {
    const ENDINGS: [&str; 7] = [".json", ".gz", ".zip", ".eml", ".mbox", ".mbx", ".txt"];
    text.contains(['/', '!']) || ENDINGS.iter().any(|ending| text.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exists_or_can_only_be_a_file_is_one() {
        let here = |path: &Path| path == Path::new("inbox") || path == Path::new("a.example");
        let ask = |names: &[&str]| {
            let names: Vec<OsString> = names.iter().map(OsString::from).collect();
            asked(&names, here)
        };
        let files = |names: &[&str]| Ok(Asked::Files(names.iter().map(PathBuf::from).collect()));
        assert_eq!(ask(&["inbox", "a.example"]), files(&["inbox", "a.example"]));
        assert_eq!(ask(&["-"]), files(&["-"]));
        for missing in [
            "report.json",
            "dir/inbox2",
            "a!b!1!2.json.gz",
            "x.eml",
            "reports.zip",
        ] {
            assert_eq!(ask(&[missing]), files(&[missing]));
        }
        let domain = ask(&["B.Example."]);
        assert_eq!(domain, Ok(Asked::Domain("b.example".parse().unwrap())));
        for (names, said) in [
            (
                &["no domain"][..],
                "\"no domain\" is neither a file here nor a domain",
            ),
            (&["inbox", "b.example"], "\"b.example\" is no file here"),
            (&["b.example", "c.example"], "\"b.example\" is no file here"),
        ] {
            let error = ask(names).unwrap_err();
            assert!(error.to_string().starts_with(said), "{error}");
            assert_eq!(error.exit(), Exit::Usage);
        }
    }
}
