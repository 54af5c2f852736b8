//! `sealpost demo`: the demo on standard output, what it is doing on standard error.

use std::io;

use super::exit::{Exit, Failure};
use crate::demo::{self, Options, Verdict};

pub(super) fn run(options: &Options) -> Result<Exit, Failure> {
    match demo::run(options, &mut io::stdout(), &mut io::stderr()) {
        Ok(Verdict::Agrees) => Ok(Exit::Ok),
        Ok(Verdict::Differs) => Ok(Exit::No),
        Err(error) => Err(Failure::Internal(error.to_string())),
    }
}
