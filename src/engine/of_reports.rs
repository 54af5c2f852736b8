//! Which of the sessions that come to be known are left out, because they may have carried our own reports.

use super::Engine;
use crate::{clock::Timestamp, policy::PolicyDomain};

/// What is known of what a session carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    /// Nothing: it may be one of our reports.
    Unknown,
    /// Mail: who tells of it leaves out our reports.
    Mail,
}

impl Engine {
    /// How many of so many sessions with the domain, of this time, are not counted, because a report of ours is to
    /// travel there. They are counted as that here.
    pub(super) fn of_reports(
        &self,
        domain: &PolicyDomain,
        at: Timestamp,
        sessions: u32,
        carried: Carried,
    ) -> u32 {
        let of_reports = match carried {
            Carried::Unknown => self.report_sessions.take(domain, at, sessions),
            Carried::Mail => 0,
        };
        if of_reports > 0 {
            tracing::debug!(%domain, sessions = of_reports, "sessions of our own reports are not counted");
            self.counters.sessions_of_reports.add(of_reports.into());
        }
        of_reports
    }
}
