//! `sealpost demo`: the whole of it on one machine.

use std::io;

use super::{
    exit::{Exit, Failure},
    exit_when,
};
use crate::demo::{self, DemoError, Options, Verdict};

/// Runs the demo. Ends with 1 when a case differs from its truth.
pub(super) fn run(options: &Options) -> Result<Exit, Failure> {
    let verdict = demo::run(options, &mut io::stdout(), &mut io::stderr());
    let verdict = verdict.map_err(|error| {
        let words = error.to_string();
        match error {
            DemoError::Missing(_) | DemoError::NotEmpty(_) | DemoError::PathTooLong(_) => {
                Failure::Usage(words)
            }
            _ => Failure::Internal(words),
        }
    })?;
    Ok(exit_when(verdict == Verdict::Agrees))
}
