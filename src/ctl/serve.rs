//! `sealpost serve`: the daemon.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{
    Context,
    exit::{Exit, Failure},
    setup::without_signed_answers,
};
use crate::{
    clock::LaboratoryClock,
    config::{
        Config, Via,
        load::{DEFAULT_PATH, load},
    },
    daemon,
    net::{
        activation::Activated,
        sendmail::{NO_NEW_PRIVILEGES, no_new_privileges},
    },
    observe::log,
};

/// Run the daemon in the foreground.
///
/// It answers MTAs on the plugin socket and operators on the control socket, keeps policies fresh,
/// counts sessions and sends the reports. It logs to standard error and says to systemd when it is
/// ready. SIGTERM writes what is in memory and ends it; SIGHUP reads the configuration again: overrides,
/// policy.when_unknown, dane.audit, dane.insecure_mx and log.level hold from then on, and the log names each
/// section in which something else has changed and needs a restart.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sealpost serve --config /etc/sealpost/sealpost.toml")]
pub(super) struct Arguments {
    /// Add the seconds that FILE holds to the machine's clock. For laboratories, where a day must
    /// end at will
    #[arg(long, value_name = "FILE", hide = true)]
    laboratory_clock: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, context: &mut Context) -> Result<Exit, Failure> {
    let path = context.config.as_deref().unwrap_or(Path::new(DEFAULT_PATH));
    let loaded = load(path)?;
    let log = log::start(&loaded.config.log).map_err(|error| Failure::Setup(error.to_string()))?;
    if let Some(file) = &arguments.laboratory_clock {
        tracing::warn!(file = %file.display(), "the clock is a laboratory's");
    }
    let clock = LaboratoryClock::or_system(arguments.laboratory_clock.as_deref());
    for warning in loaded.warnings(clock.now().day()) {
        tracing::warn!("{warning}");
    }
    if loaded.config.deliver.via == Via::Sendmail && no_new_privileges() {
        tracing::warn!("deliver.via is \"sendmail\": {NO_NEW_PRIVILEGES}");
    }
    look_at_postfix(&loaded.config)?;
    // Before the runtime, for that starts threads.
    let activated = Activated::take().map_err(|error| Failure::Setup(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Internal(error.to_string()))?;
    let ended = runtime.block_on(daemon::run(loaded, clock, &log, activated));
    // Blocking work that hangs must not keep a stopped daemon alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    ended.map_err(|error| Failure::Setup(error.to_string()))?;
    Ok(Exit::Ok)
}

/// Says in the log where Postfix cannot do what it may be told. Nobody waits for that: `postconf` takes its time
/// when main.cf has just been written.
fn look_at_postfix(config: &Config) -> Result<(), Failure> {
    let config = config.clone();
    let looks = std::thread::Builder::new().name("postconf".to_owned());
    let looking = looks.spawn(move || {
        if let Some(warning) = without_signed_answers(&config) {
            tracing::warn!("{warning}");
        }
    });
    looking.map_err(|error| Failure::Internal(error.to_string()))?;
    Ok(())
}
