//! `sealpost config`: what is wrong with the file, what can be set, what holds.

use std::{
    fmt::Write as _,
    iter,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde::Serialize;

use super::{
    Context, Format,
    exit::{Exit, Failure},
    screen::{counted, shown},
    setup::without_signed_answers,
};
use crate::{
    clock::{Clock as _, SystemClock, UtcDay},
    config::{
        Config, ConfigError, Loaded, Via, explain,
        load::{DEFAULT_PATH, load},
    },
    daemon::parts::publisher,
    report::Submitter,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Name every mistake in the file with line and column, or say what it amounts to
    #[command(after_help = "Example:\n  sealpost config check /etc/sealpost/sealpost.toml")]
    Check {
        /// The file [default: that of --config]
        file: Option<PathBuf>,
        #[command(flatten)]
        format: Format,
    },
    /// What can be set: every setting, one of them, or a section
    #[command(
        after_help = "Examples:\n  sealpost config explain\n  sealpost config explain \
                            policy.when_unknown\n  sealpost config explain deliver"
    )]
    Explain {
        /// The setting or section
        #[arg(value_name = "SETTING")]
        setting: Option<String>,
        /// Print every setting as docs/config.md has it
        #[arg(long, conflicts_with_all = ["setting", "json"])]
        markdown: bool,
        #[command(flatten)]
        format: Format,
    },
    /// The settings that hold, defaults included, as TOML
    Show {
        #[command(flatten)]
        format: Format,
    },
}

pub(super) fn run(command: Command, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        Command::Check { file, format } => {
            let path = file.or_else(|| context.config.clone());
            check(
                path.as_deref().unwrap_or(Path::new(DEFAULT_PATH)),
                format,
                context,
            )
        }
        Command::Explain {
            setting, format, ..
        } if format.json => {
            let described = explain::described(setting.as_deref());
            let described = described.map_err(|error| Failure::Usage(error.to_string()))?;
            context.screen.json(&described)?;
            Ok(Exit::Ok)
        }
        Command::Explain {
            setting, markdown, ..
        } => {
            let text = match setting {
                Some(name) => {
                    explain::one(&name).map_err(|error| Failure::Usage(error.to_string()))?
                }
                None if markdown => explain::markdown(),
                None => explain::list(),
            };
            context.screen.text(&text);
            Ok(Exit::Ok)
        }
        Command::Show { format } => {
            let config = context.load()?.config;
            if format.json {
                context.screen.json(&config)?;
                return Ok(Exit::Ok);
            }
            let text =
                toml::to_string(&config).map_err(|error| Failure::Internal(error.to_string()))?;
            context.screen.text(&text);
            Ok(Exit::Ok)
        }
    }
}

/// What `config check --json` prints.
#[derive(Serialize)]
struct Checked {
    file: String,
    ok: bool,
    /// Mistakes: the daemon does not start with them.
    problems: Vec<CheckedProblem>,
    /// What the daemon says at every start.
    warnings: Vec<String>,
    /// What must be in the DNS for the reports' signatures to be verified.
    dkim_records: Vec<DkimRecord>,
}

/// The TXT record of one key.
#[derive(Serialize)]
struct DkimRecord {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct CheckedProblem {
    line: Option<usize>,
    column: Option<usize>,
    setting: Option<String>,
    reason: String,
}

fn check(path: &Path, format: Format, context: &mut Context) -> Result<Exit, Failure> {
    let today = SystemClock.now().day();
    let checked = load(path).map_err(Failure::from).and_then(|loaded| {
        let records = dkim_records(&loaded)?;
        Ok((loaded, records))
    });
    if !format.json {
        let (loaded, records) = checked?;
        context.screen.text(&amounts_to(
            &loaded,
            &records,
            path,
            &warnings(&loaded, today),
        ));
        return Ok(Exit::Ok);
    }
    let (exit, problems, warnings, dkim_records) = match checked {
        Ok((loaded, records)) => (Exit::Ok, Vec::new(), warnings(&loaded, today), records),
        Err(failure) => (Exit::Config, problems(&failure), Vec::new(), Vec::new()),
    };
    context.screen.json(&Checked {
        file: path.display().to_string(),
        ok: problems.is_empty(),
        problems,
        warnings,
        dkim_records,
    })?;
    Ok(exit)
}

/// What the daemon says at every start.
fn warnings(loaded: &Loaded, today: UtcDay) -> Vec<String> {
    let mut warnings = loaded.warnings(today);
    warnings.extend(without_signed_answers(&loaded.config));
    warnings
}

/// The records of the keys. A key that the daemon would not start with is a mistake here.
fn dkim_records(loaded: &Loaded) -> Result<Vec<DkimRecord>, Failure> {
    let publisher = publisher(&loaded.config).map_err(|error| Failure::Setup(error.to_string()))?;
    let domain = publisher.submitter.as_ref().map(Submitter::domain);
    let records = domain.into_iter().flat_map(|domain| {
        publisher.keys.iter().map(|key| DkimRecord {
            name: key.record_name(domain),
            value: key.public_record(),
        })
    });
    Ok(records.collect())
}

fn problems(failure: &Failure) -> Vec<CheckedProblem> {
    let Failure::Config(ConfigError::Wrong { problems, .. }) = failure else {
        return vec![CheckedProblem {
            line: None,
            column: None,
            setting: None,
            reason: failure.to_string(),
        }];
    };
    let each = problems.iter().map(|problem| CheckedProblem {
        line: Some(problem.line),
        column: Some(problem.column),
        setting: Some(problem.setting.clone()).filter(|name| !name.is_empty()),
        reason: problem.reason.clone(),
    });
    each.collect()
}

/// Where Postfix asks for policies.
fn asked_by_postfix(config: &Config) -> String {
    let path = config.socketmap.path.display().to_string();
    let addresses = config.socketmap.listen.iter().map(ToString::to_string);
    list(iter::once(path).chain(addresses))
}

/// Where Postfix tells how its sessions went.
fn told_by_postfix(config: &Config) -> String {
    let paths = [&config.tlsrpt_socket.path, &config.postfix_log.path];
    list(paths.map(|path| path.display().to_string()).into_iter())
}

/// Those that are not empty.
fn list(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.filter(|one| !one.is_empty()).collect();
    if all.is_empty() {
        return "nowhere".to_owned();
    }
    all.join(", ")
}

/// A good file in words.
fn amounts_to(loaded: &Loaded, records: &[DkimRecord], path: &Path, warnings: &[String]) -> String {
    let config = &loaded.config;
    let mut text = format!("{}: ok\n", shown(&path.display().to_string()));
    let reports = if config.report.enabled {
        let way = match config.deliver.via {
            Via::Relay => format!("through {}", config.deliver.relay),
            Via::Sendmail => format!("through the program {}", config.deliver.sendmail.display()),
            Via::Mx => "straight to each rua's MX".to_owned(),
        };
        let selectors: Vec<&str> = config
            .dkim
            .iter()
            .map(|dkim| dkim.selector.as_str())
            .collect();
        let signed = if selectors.is_empty() {
            "unsigned".to_owned()
        } else {
            format!("signed by {}", selectors.join(", "))
        };
        format!(
            "from {} ({}), {signed}, {way}",
            config.sender.contact, config.sender.organization
        )
    } else {
        "none".to_owned()
    };
    let resolver = if config.dns.servers.is_empty() {
        "those of /etc/resolv.conf".to_owned()
    } else {
        let servers: Vec<String> = config.dns.servers.iter().map(ToString::to_string).collect();
        servers.join(", ")
    };
    let overrides = u64::try_from(loaded.overrides.len()).unwrap_or(u64::MAX);
    for (name, value) in [
        ("reports", reports),
        ("resolvers", resolver),
        ("store", config.store.path.display().to_string()),
        ("MTAs ask", config.plugin_socket.path.display().to_string()),
        ("Postfix asks", asked_by_postfix(config)),
        ("Postfix tells", told_by_postfix(config)),
        (
            "operators ask",
            config.control_socket.path.display().to_string(),
        ),
        ("overrides", counted(overrides, "domain")),
    ] {
        let _ = writeln!(text, "  {name:<15}{}", shown(&value));
    }
    for warning in warnings {
        let _ = writeln!(text, "  warning: {}", shown(warning));
    }
    if !records.is_empty() {
        text.push_str("\nReceivers verify the reports by these TXT records; publish them:\n");
    }
    for record in records {
        let _ = writeln!(
            text,
            "\n  {}\n  {}",
            shown(&record.name),
            shown(&record.value)
        );
    }
    text
}
