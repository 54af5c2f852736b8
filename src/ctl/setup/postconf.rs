//! Runs `postconf`, Postfix's own reader and writer of its configuration. Nothing else touches
//! Postfix's files.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::postfix::{Postfix, SmtpService};

/// `postconf`, and which of several Postfix instances it speaks of.
#[derive(Clone, Debug)]
pub(super) struct Postconf {
    program: PathBuf,
    config_directory: Option<PathBuf>,
}

/// Why `postconf` did not do what it was asked. The operator must act.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostconfError {
    /// There is none, or it cannot be run.
    #[error(
        "{program} cannot be run: {source}; is Postfix installed on this host? --postconf says where \
         its postconf is"
    )]
    Start {
        /// The program.
        program: String,
        /// The system's words.
        source: std::io::Error,
    },
    /// It refused.
    #[error("postconf {arguments}: {said}")]
    Refused {
        /// What it was asked.
        arguments: String,
        /// Its words.
        said: String,
    },
}

/// What is read of `main.cf`.
const PARAMETERS: &[&str] = &[
    "compatibility_level",
    "daemon_directory",
    "ignore_mx_lookup_error",
    "mail_owner",
    "mail_version",
    "maillog_file",
    "queue_directory",
    "relayhost",
    "sender_dependent_default_transport_maps",
    "shlib_directory",
    "smtp_dns_resolver_options",
    "smtp_dns_support_level",
    "smtp_enforce_tls",
    "smtp_host_lookup",
    "smtp_tls_CAfile",
    "smtp_tls_CApath",
    "smtp_tls_dane_insecure_mx_policy",
    "smtp_tls_enforce_peername",
    "smtp_tls_enforce_sts_mx_patterns",
    "smtp_tls_loglevel",
    "smtp_tls_per_site",
    "smtp_tls_policy_maps",
    "smtp_tls_security_level",
    "smtp_tlsrpt_enable",
    "smtp_tlsrpt_skip_reused_handshakes",
    "smtp_tlsrpt_socket_name",
    "tls_append_default_CA",
    "tls_required_enable",
];

impl Postconf {
    /// The `postconf` of this name or path, for the instance configured in this directory.
    pub(super) const fn new(program: PathBuf, config_directory: Option<PathBuf>) -> Self {
        Self {
            program,
            config_directory,
        }
    }

    /// The installed Postfix.
    pub(super) fn read(&self) -> Result<Postfix, PostconfError> {
        // What a release does not know it leaves out, with a warning. `-x` puts in what `$name` stands
        // for, and what a default that is an expression comes to.
        let parameters = assignments(&self.ask_for(&["-x"], PARAMETERS)?);
        let is_of_old = is_of_old(parameters.get("compatibility_level"));
        let entries = entries(&self.ask(&["-M"])?, is_of_old);
        let overrides = assignments(&self.ask(&["-x", "-P"])?);
        let services = entries
            .iter()
            .filter(|entry| entry.command == "smtp")
            .map(|entry| SmtpService {
                name: entry.name.clone(),
                chrooted: entry.chrooted,
                overrides: of_service(&overrides, &entry.name),
            })
            .collect();
        Ok(Postfix {
            parameters,
            written: assignments(&self.ask(PARAMETERS)?),
            services,
            entries: entries.into_iter().map(|entry| entry.name).collect(),
        })
    }

    /// What holds for these parameters, with the values of others (`$name`) put in.
    pub(super) fn values(&self, names: &[&str]) -> Result<BTreeMap<String, String>, PostconfError> {
        Ok(assignments(&self.ask_for(&["-x"], names)?))
    }

    /// The directory that was given, where one was.
    pub(super) fn config_directory(&self) -> Option<&Path> {
        self.config_directory.as_deref()
    }

    /// The directory of the instance's configuration.
    pub(super) fn instance(&self) -> Result<String, PostconfError> {
        // Not asked for where it was given: for a second after main.cf was changed `postconf -c` forgets
        // it, and says the default.
        match &self.config_directory {
            Some(directory) => Ok(directory.components().as_path().display().to_string()),
            None => Ok(self.ask(&["-h", "config_directory"])?.trim().to_owned()),
        }
    }

    /// What `main.cf` itself sets, defaults left out.
    pub(super) fn set_in_main(&self) -> Result<BTreeMap<String, String>, PostconfError> {
        Ok(assignments(&self.ask(&["-n"])?))
    }

    /// Sets parameters in `main.cf`, all at once.
    pub(super) fn set(&self, parameters: &[(&str, &str)]) -> Result<(), PostconfError> {
        let assignments: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let names: Vec<&str> = assignments.iter().map(String::as_str).collect();
        self.change(&["-e"], &names)
    }

    /// Takes parameters out of `main.cf`, all at once.
    pub(super) fn unset(&self, names: &[&str]) -> Result<(), PostconfError> {
        self.change(&["-X"], names)
    }

    /// Adds an entry to `master.cf`.
    pub(super) fn add_service(&self, name: &str, entry: &str) -> Result<(), PostconfError> {
        self.change(&["-M", "-e"], &[&format!("{name}={entry}")])
    }

    /// The entry of `master.cf` of this name, as one line with single blanks.
    pub(super) fn service(&self, name: &str) -> Result<Option<String>, PostconfError> {
        let said = self.ask(&["-M"])?;
        let found = said.lines().find(|line| {
            let mut words = line.split_ascii_whitespace();
            matches!((words.next(), words.next()), (Some(service), Some(kind))
                if format!("{service}/{kind}") == name)
        });
        Ok(found.map(one_blank))
    }

    /// Takes an entry out of `master.cf`.
    pub(super) fn remove_service(&self, name: &str) -> Result<(), PostconfError> {
        self.change(&["-M", "-X"], &[name])
    }

    /// Changes these, where there are any: without one `postconf` would complain.
    fn change(&self, options: &[&str], what: &[&str]) -> Result<(), PostconfError> {
        if what.is_empty() {
            return Ok(());
        }
        self.ask_for(options, what).map(drop)
    }

    fn ask_for(&self, options: &[&str], names: &[&str]) -> Result<String, PostconfError> {
        self.ask(&[options, names].concat())
    }

    fn ask(&self, arguments: &[&str]) -> Result<String, PostconfError> {
        let mut command = Command::new(&self.program);
        if let Some(directory) = &self.config_directory {
            command.arg("-c").arg(directory);
        }
        let output = command
            .args(arguments)
            .output()
            .map_err(|source| PostconfError::Start {
                program: self.program.display().to_string(),
                source,
            })?;
        let Output {
            status,
            stdout,
            stderr,
        } = output;
        if !status.success() {
            return Err(PostconfError::Refused {
                arguments: arguments.join(" "),
                said: String::from_utf8_lossy(&stderr).trim().to_owned(),
            });
        }
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    }
}

/// A line of words with one blank between them.
pub(super) fn one_blank(line: &str) -> String {
    line.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// `name = value` lines.
fn assignments(said: &str) -> BTreeMap<String, String> {
    said.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

/// An entry of `master.cf`.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    chrooted: bool,
    command: String,
}

/// postfix.org, COMPATIBILITY_README: at level 0 the defaults are those before Postfix 3.0.
fn is_of_old(compatibility_level: Option<&String>) -> bool {
    compatibility_level.is_some_and(|level| level.split('.').next() == Some("0"))
}

// master(5): service type private unpriv chroot wakeup maxproc command. chroot is "n" where it is not
// said, and was "y" before Postfix 3.0.
fn entries(said: &str, is_of_old: bool) -> Vec<Entry> {
    said.lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            Some(Entry {
                name: format!("{}/{}", words.first()?, words.get(1)?),
                chrooted: matches!((*words.get(4)?, is_of_old), ("y", _) | ("-", true)),
                command: (*words.get(7)?).to_owned(),
            })
        })
        .collect()
}

/// Of `smtp/unix/parameter = value` lines those of one service.
fn of_service(overrides: &BTreeMap<String, String>, service: &str) -> Vec<(String, String)> {
    overrides
        .iter()
        .filter_map(|(name, value)| {
            let parameter = name.strip_prefix(service)?.strip_prefix('/')?;
            Some((parameter.to_owned(), value.clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postconf_says_is_read() {
        let said = "smtp       inet  n       -       y       -       -       smtpd\n\
                    smtp       unix  -       -       y       -       -       smtp\n\
                    relay      unix  -       -       -       -       -       smtp -o x=y\n\
                    \n";
        assert!(entries(said, true).iter().all(|entry| entry.chrooted));
        assert!(is_of_old(Some(&"0".to_owned())) && !is_of_old(Some(&"3.9".to_owned())));
        let entries = entries(said, false);
        let names: Vec<(&str, bool, &str)> = entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.chrooted, entry.command.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                ("smtp/inet", true, "smtpd"),
                ("smtp/unix", true, "smtp"),
                ("relay/unix", false, "smtp"),
            ]
        );
        let overrides = assignments("relay/unix/syslog_name = a=b\nrelay2/unix/x = 1\n");
        assert_eq!(
            of_service(&overrides, "relay/unix"),
            [("syslog_name".to_owned(), "a=b".to_owned())]
        );
        assert_eq!(one_blank(" a \t b  c\n"), "a b c");
    }
}
