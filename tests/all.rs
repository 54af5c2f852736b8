//! One test binary for everything that goes through more than one module.

#[cfg(test)]
mod mta;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod skipped;
