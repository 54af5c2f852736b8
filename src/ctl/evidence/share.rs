//! A part of all sessions, in percent.

use std::fmt;

use super::super::wire::ProtectedSessions;

/// A share in hundredths of a percent, 10 000 at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share(u32);

impl Share {
    /// A part of all. One session in the clear among millions is what an auditor looks for: it never reads as
    /// none, and what is not all never as all.
    pub(super) fn of(part: u64, all: u64) -> Self {
        if part == 0 || all == 0 {
            return Self(0);
        }
        if part >= all {
            return Self(10_000);
        }
        let hundredths = u128::from(part) * 10_000 / u128::from(all);
        Self(u32::try_from(hundredths).map_or(9_999, |cut| cut.clamp(1, 9_999)))
    }

    /// The same for a program.
    pub(super) fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Share {
    /// `12.34`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// The shares of DANE, MTA-STS, TLS, clear and refused.
pub(super) fn shares(protected: &ProtectedSessions) -> [Share; 5] {
    let [sessions, parts @ ..] = protected.numbers();
    parts.map(|part| Share::of(part, sessions))
}
