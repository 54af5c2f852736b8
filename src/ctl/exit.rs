//! How a command ends: the exit codes, and the failures behind them.

use std::process::ExitCode;

use super::{
    client::ClientError,
    protocol::{Refusal, RefusalKind},
};
use crate::config::ConfigError;

/// The exit code of a command, by sysexits(3) where that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or yes.
    Ok = 0,
    /// Done, and the answer is no: not found, not deliverable, an alarm, a report not sent.
    No = 1,
    /// The command line makes no sense (`EX_USAGE`).
    Usage = 64,
    /// The daemon cannot be reached (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// Something went wrong inside (`EX_SOFTWARE`).
    Internal = 70,
    /// Not now: the caller is to try again (`EX_TEMPFAIL`), as an MTA does whose pipe ends so.
    TryAgain = 75,
    /// The configuration is wrong (`EX_CONFIG`).
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What `sealpost --help` says of them.
pub(crate) const EXIT_CODES: &str = "Exit codes:
   0  done, or yes
   1  done, and the answer is no: not found, not deliverable, an alarm, a report not sent
  64  the command line makes no sense
  69  the daemon cannot be reached
  70  something went wrong inside
  75  not now, try again: how `sealpost bounce` tells the MTA that the daemon cannot be reached
  78  the configuration is wrong";

/// Why a command could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The operator must act.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The operator must act: the settings cannot be put to use on this machine.
    #[error("{0}")]
    Setup(String),
    /// The daemon does not answer, or refuses.
    #[error(transparent)]
    Daemon(#[from] ClientError),
    /// The caller must act.
    #[error("{0}")]
    Usage(String),
    /// Nobody can act but us.
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    /// The exit code that tells a script.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) | Self::Setup(_) => Exit::Config,
            Self::Usage(_) => Exit::Usage,
            Self::Daemon(
                ClientError::NotRunning { .. }
                | ClientError::NotPermitted { .. }
                | ClientError::NoAnswer { .. },
            ) => Exit::Unavailable,
            Self::Daemon(ClientError::Refused(refusal)) => exit_of(refusal),
            Self::Daemon(ClientError::NotUnderstood { .. }) | Self::Internal(_) => Exit::Internal,
        }
    }
}

const fn exit_of(refusal: &Refusal) -> Exit {
    match refusal.kind {
        RefusalKind::NotFound => Exit::No,
        RefusalKind::BadRequest => Exit::Usage,
        RefusalKind::NotAllowed | RefusalKind::Busy => Exit::Unavailable,
        RefusalKind::Trouble => Exit::Internal,
    }
}
