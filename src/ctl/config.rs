//! `sealpost config`: what is wrong with the file, what can be set, what holds.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde::Serialize;

use super::{
    Context, Format,
    exit::{Exit, Failure},
    screen::{counted, shown},
};
use crate::{
    clock::{Clock as _, SystemClock, UtcDay},
    config::{
        ConfigError, Loaded, Via, explain,
        load::{DEFAULT_PATH, load},
    },
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
        #[arg(long, conflicts_with = "setting")]
        markdown: bool,
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
        Command::Explain { setting, markdown } => {
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
    let result = load(path);
    if format.json {
        let problems = result.as_ref().err().map(problems).unwrap_or_default();
        let warnings = result.as_ref().map(|loaded| loaded.warnings(today));
        context.screen.json(&Checked {
            file: path.display().to_string(),
            ok: result.is_ok(),
            problems,
            warnings: warnings.unwrap_or_default(),
        })?;
        return Ok(if result.is_ok() {
            Exit::Ok
        } else {
            Exit::Config
        });
    }
    let text = amounts_to(&result?, path, today);
    context.screen.text(&text);
    Ok(Exit::Ok)
}

fn problems(error: &ConfigError) -> Vec<CheckedProblem> {
    let ConfigError::Wrong { problems, .. } = error else {
        return vec![CheckedProblem {
            line: None,
            column: None,
            setting: None,
            reason: error.to_string(),
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

/// A good file in words.
fn amounts_to(loaded: &Loaded, path: &Path, today: UtcDay) -> String {
    let config = &loaded.config;
    let mut text = format!("{}: ok\n", shown(&path.display().to_string()));
    let reports = if config.report.enabled {
        let way = match config.deliver.via {
            Via::Relay => format!("through {}", config.deliver.relay),
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
        (
            "operators ask",
            config.control_socket.path.display().to_string(),
        ),
        ("overrides", counted(overrides, "domain")),
    ] {
        let _ = writeln!(text, "  {name:<15}{}", shown(&value));
    }
    for warning in loaded.warnings(today) {
        let _ = writeln!(text, "  warning: {}", shown(&warning));
    }
    text
}
