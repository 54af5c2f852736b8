//! `sealpost serve`: the daemon.

use std::path::Path;

use clap::Args;

use super::{
    Context,
    exit::{Exit, Failure},
};
use crate::{
    clock::{Clock as _, SystemClock},
    config::load::{DEFAULT_PATH, load},
    observe::log,
};

/// Run the daemon in the foreground.
///
/// It answers MTAs on the plugin socket and operators on the control socket, keeps policies fresh,
/// counts sessions and sends the reports. It logs to standard error and says to systemd when it is
/// ready. SIGTERM writes what is in memory and ends it; SIGHUP reads the configuration again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sealpost serve --config /etc/sealpost/sealpost.toml")]
pub(super) struct Arguments {}

pub(super) fn run(_arguments: &Arguments, context: &mut Context) -> Result<Exit, Failure> {
    let path = context.config.as_deref().unwrap_or(Path::new(DEFAULT_PATH));
    let loaded = load(path)?;
    let _log =
        log::start(&loaded.config.log).map_err(|error| Failure::Internal(error.to_string()))?;
    for warning in loaded.warnings(SystemClock.now().day()) {
        tracing::warn!("{warning}");
    }
    Err(Failure::Internal("this build has no daemon".to_owned()))
}
