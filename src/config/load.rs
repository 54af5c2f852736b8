//! The file, read and judged: every mistake at once, each with its line, column and reason.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{Config, Override, OverrideScope, Via, files, judge::Judge, kind};
use crate::clock::UtcDay;

/// Where the file is unless the operator says otherwise.
pub const DEFAULT_PATH: &str = "/etc/sealpost/sealpost.toml";

/// The longest file that is read. A thousand domains with reasons need a tenth of it.
const FILE_OCTETS_MAX: u64 = 1024 * 1024;

/// A configuration that has been judged and found right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The file it came from; none where the built-in defaults hold.
    pub path: Option<PathBuf>,
    /// The settings; every path in it is absolute or relative to the working directory.
    pub config: Config,
    /// What is done otherwise for single domains, by domain; before them what is done for every other.
    pub overrides: Vec<Override>,
}

/// One mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The character within the line, from 1.
    pub column: usize,
    /// The setting, `policy.https_port`; empty where the file is no TOML.
    pub setting: String,
    /// What is wrong, and where it helps, what to write.
    pub reason: String,
}

/// Why there is no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The operator must act: there is no file.
    #[error(
        "{}: there is no such file. Make one with at least:\n\n{}\n`sealpost config explain` says what \
         else can be set; `--config FILE` names another file.",
        .path.display(), super::explain::MINIMAL_LINES
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The operator must act: the file cannot be read.
    #[error("{}: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The operator must act: what the file says is wrong.
    #[error("{}", listed(.path, .problems))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Every mistake found, in the order of the file. Never empty.
        problems: Vec<Problem>,
    },
}

/// One line for each problem: `FILE:LINE:COLUMN: SETTING: REASON`.
fn listed(path: &Path, problems: &[Problem]) -> String {
    let each = problems
        .iter()
        .map(|problem| format!("{}:{problem}", path.display()));
    each.collect::<Vec<_>>().join("\n")
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: ", self.line, self.column)?;
        if !self.setting.is_empty() {
            write!(formatter, "{}: ", self.setting)?;
        }
        formatter.write_str(&self.reason)
    }
}

/// Reads the configuration of a daemon.
///
/// # Errors
/// When the file is not there, cannot be read, or is wrong; [`ConfigError`] names every mistake.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    read(path, Purpose::Daemon)
}

/// Reads the configuration for a command that talks to the daemon or looks things up: it needs no
/// sender and no keys, and without `path` the default file may be missing.
///
/// # Errors
/// As [`load`], except for what only the daemon needs.
pub fn load_for_command(path: Option<&Path>) -> Result<Loaded, ConfigError> {
    match path {
        Some(path) => read(path, Purpose::Command),
        None => match read(Path::new(DEFAULT_PATH), Purpose::Command) {
            Err(ConfigError::Missing { .. }) => Ok(Loaded::built_in()),
            result => result,
        },
    }
}

impl Loaded {
    /// What holds without a file.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            path: None,
            config: Config::default(),
            overrides: Vec::new(),
        }
    }

    /// What is allowed and yet worth a warning at every start, in sentences.
    #[must_use]
    pub fn warnings(&self, today: UtcDay) -> Vec<String> {
        let mut warnings = self.warnings_of_settings(today);
        warnings.extend(self.way_out_trouble());
        if self.config.report.enabled && self.config.dkim.is_empty() {
            let deliver = &self.config.deliver;
            warnings.push(format!(
                "there is no [[dkim]] key: receivers ignore our reports (RFC 8460 s3) unless {} signs them",
                match deliver.via {
                    Via::Relay | Via::Mx => format!("the relay {}", deliver.relay),
                    Via::Sendmail => "the MTA of deliver.sendmail".to_owned(),
                }
            ));
        }
        let keys = self.config.dkim.iter();
        warnings.extend(keys.filter_map(|dkim| files::too_open(&dkim.key)));
        warnings
    }

    /// The same but for what is said of the keys and of the way out.
    #[must_use]
    pub fn warnings_of_settings(&self, today: UtcDay) -> Vec<String> {
        let mut warnings = Vec::new();
        let config = &self.config;
        if !config.report.enabled {
            warnings.push("report.enabled is false: no domain gets a report".to_owned());
        }
        if config.policy.allow_private_addresses {
            warnings.push(
                "policy.allow_private_addresses is true: a recipient domain can steer requests into \
                 this network"
                    .to_owned(),
            );
        }
        if config.policy.https_port != 443 {
            warnings.push(format!(
                "policy.https_port is {}: no policy host outside a laboratory answers there",
                config.policy.https_port
            ));
        }
        if config.deliver.https_allow_private_addresses {
            warnings.push(
                "deliver.https_allow_private_addresses is true: whoever publishes a rua can steer requests \
                 into this network"
                    .to_owned(),
            );
        }
        for each in &self.overrides {
            if let Some(until) = each.until.filter(|until| *until < today) {
                warnings.push(format!(
                    "the override of {} ended with {until} and does nothing any more",
                    each.scope
                ));
            } else if each.scope == OverrideScope::EveryOther {
                let until = each.until.map(|day| format!(" through {day}"));
                warnings.push(format!(
                    "[domain.\"*\"] puts every domain to audit{}: nothing is enforced but where a domain has an \
                     override of its own",
                    until.unwrap_or_default()
                ));
            }
        }
        warnings
    }

    /// Why no report can leave by mail now, as far as this machine knows it without trying.
    #[must_use]
    pub fn way_out_trouble(&self) -> Option<String> {
        let deliver = &self.config.deliver;
        let is_used = self.config.report.enabled && deliver.via == Via::Sendmail;
        let why = is_used.then(|| files::not_runnable(&deliver.sendmail))??;
        Some(format!("no report can be sent: deliver.sendmail: {why}"))
    }
}

/// Who reads the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The daemon: everything must be there.
    Daemon,
    /// A command: it signs and sends nothing.
    Command,
}

fn read(path: &Path, purpose: Purpose) -> Result<Loaded, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let text = match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ConfigError::Missing {
                path: path.to_owned(),
            });
        }
        Err(error) => return Err(unreadable(files::reason(&error))),
        Ok(about) if about.is_dir() => return Err(unreadable("it is a directory".to_owned())),
        Ok(about) if about.len() > FILE_OCTETS_MAX => {
            return Err(unreadable("it is longer than 1 MiB".to_owned()));
        }
        Ok(_) => std::fs::read(path).map_err(|error| unreadable(files::reason(&error)))?,
    };
    let text = String::from_utf8(text).map_err(|error| {
        let octet = error.utf8_error().valid_up_to();
        unreadable(format!("it is not UTF-8: octet {octet} is none"))
    })?;
    let directory = path.parent().unwrap_or(Path::new(""));
    parse(&text, directory, purpose).map_or_else(
        |problems| {
            Err(ConfigError::Wrong {
                path: path.to_owned(),
                problems,
            })
        },
        |(config, overrides)| {
            Ok(Loaded {
                path: Some(path.to_owned()),
                config,
                overrides,
            })
        },
    )
}

/// The text of a file whose paths are relative to `directory`.
fn parse(
    text: &str,
    directory: &Path,
    purpose: Purpose,
) -> Result<(Config, Vec<Override>), Vec<Problem>> {
    let mut judge = Judge::of(text, directory, purpose);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        judge.complain(
            error.span().unwrap_or(0..0),
            "",
            error.message().replace('\n', ", "),
        );
    }
    let table = table.get_ref();
    judge.sections(table);
    if !judge.is_content() {
        return judge.verdict();
    }
    let mut config: Config = match toml::from_str(text) {
        Ok(config) => config,
        Err(error) => {
            let reason = error.message().replace('\n', ", ");
            judge.complain(error.span().unwrap_or(0..0), "", reason);
            return judge.verdict();
        }
    };
    if purpose == Purpose::Daemon {
        judge.whole(&config, table);
    }
    if !judge.is_content() {
        return judge.verdict();
    }
    resolve_paths(&mut config, directory);
    let overrides = overrides(&config);
    Ok((config, overrides))
}

/// Paths are relative to the file, wherever the program is started.
fn resolve_paths(config: &mut Config, directory: &Path) {
    let paths = config.policy.extra_roots.iter_mut().chain([
        &mut config.dane.trust_anchor,
        &mut config.store.path,
        &mut config.plugin_socket.path,
        &mut config.socketmap.path,
        &mut config.tlsrpt_socket.path,
        &mut config.postfix_log.path,
        &mut config.deliver.sendmail,
        &mut config.control_socket.path,
        &mut config.page.path,
        &mut config.page.token_file,
        &mut config.metrics.path,
    ]);
    for path in paths.chain(config.dkim.iter_mut().map(|dkim| &mut dkim.key)) {
        *path = files::resolve(path, directory);
    }
}

/// The overrides in their checked form. What could not be one was found by the judge before.
fn overrides(config: &Config) -> Vec<Override> {
    let checked = config.domain.iter().filter_map(|(name, each)| {
        Some(Override {
            scope: kind::scope(name).ok()?,
            mode: each.mode,
            until: match &each.until {
                Some(until) => Some(kind::day(until).ok()?),
                None => None,
            },
        })
    });
    let mut overrides: Vec<_> = checked.collect();
    overrides.sort_by(|one, other| one.scope.cmp(&other.scope));
    overrides
}

#[cfg(test)]
mod tests;
