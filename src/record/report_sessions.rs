//! Which sessions carried our own reports, where the MTA that tells of them cannot say so. Pure, but for its lock.
//!
//! A report that an MTA took goes on to its mailbox in a session of that MTA's, with the mailbox's domain. Within
//! some time of the handover one such session is taken for it (`docs/decisions/0012-destinations.md`).

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{clock::Timestamp, policy::PolicyDomain};

/// How many reports are remembered whose sessions have not come. One more is forgotten at once, and its session
/// counted.
const HANDOVERS_MAX: usize = 100_000;

/// How long after it began a session may come to be known of: that of an MTA which says nothing of it is inferred
/// later (`probe.silent_seconds`).
const KNOWN_LATE_SECONDS_MAX: i64 = 3_600;

/// The reports that were handed to an MTA and whose sessions have not come. A restart forgets them.
#[derive(Debug, Default)]
pub struct ReportSessions {
    /// How long after the handover a session may be the report's. 0: none is taken for one.
    window_seconds: i64,
    handovers: Mutex<Handovers>,
}

#[derive(Debug, Default)]
struct Handovers {
    /// When reports were handed over for mailboxes of a domain, oldest first. No list is empty.
    domains: HashMap<PolicyDomain, VecDeque<Timestamp>>,
    held: usize,
}

impl ReportSessions {
    /// Takes sessions for those of reports within so many seconds of the handover; with 0 none ever.
    #[must_use]
    pub fn within(window_seconds: i64) -> Self {
        Self {
            window_seconds,
            handovers: Mutex::default(),
        }
    }

    /// An MTA took a report for a mailbox of this domain.
    pub fn handed_over(&self, domain: &PolicyDomain, at: Timestamp) {
        if self.window_seconds <= 0 {
            return;
        }
        let mut handovers = self.handovers();
        if handovers.held >= HANDOVERS_MAX {
            handovers.forget(|handed_over| self.is_forgotten(handed_over, at));
        }
        if handovers.held >= HANDOVERS_MAX {
            return;
        }
        handovers.held += 1;
        let of_domain = handovers.domains.entry(domain.clone()).or_default();
        of_domain.push_back(at);
    }

    /// How many of so many sessions with the domain, of this time, are those of reports: one for each report,
    /// which it then has had.
    // RFC 8460 s5.3: sessions that carry reports SHOULD NOT be counted, whether they succeed or fail.
    pub fn take(&self, domain: &PolicyDomain, at: Timestamp, sessions: u32) -> u32 {
        if self.window_seconds <= 0 {
            return 0;
        }
        let mut handovers = self.handovers();
        let Some(of_domain) = handovers.domains.get_mut(domain) else {
            return 0;
        };
        let before = of_domain.len();
        let mut taken = 0;
        of_domain.retain(|handed_over| {
            if taken < sessions && self.may_carry(*handed_over, at) {
                taken += 1;
                return false;
            }
            !self.is_forgotten(*handed_over, at)
        });
        let (is_empty, gone) = (of_domain.is_empty(), before - of_domain.len());
        if is_empty {
            handovers.domains.remove(domain);
        }
        handovers.held -= gone;
        taken
    }

    /// Whether a session of this time may carry a report that was handed over then.
    fn may_carry(&self, handed_over: Timestamp, at: Timestamp) -> bool {
        (0..=self.window_seconds).contains(&at.seconds_since(handed_over))
    }

    /// Whether no session that is still to come can be that of a report that was handed over then; also where the clock
    /// was set back as far.
    fn is_forgotten(&self, handed_over: Timestamp, now: Timestamp) -> bool {
        let longest = self.window_seconds.saturating_add(KNOWN_LATE_SECONDS_MAX);
        now.seconds_since(handed_over).saturating_abs() > longest
    }

    fn handovers(&self) -> MutexGuard<'_, Handovers> {
        // Whole at every moment, whatever another thread died of.
        self.handovers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handovers {
    fn forget(&mut self, is_forgotten: impl Fn(Timestamp) -> bool) {
        self.domains.retain(|_, of_domain| {
            of_domain.retain(|handed_over| !is_forgotten(*handed_over));
            !of_domain.is_empty()
        });
        self.held = self.domains.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> PolicyDomain {
        name.parse().unwrap()
    }

    #[test]
    fn d6_f12_one_session_for_each_report_within_the_time_is_left_out() {
        let window = 60;
        // Reports handed over at these times; sessions told at a time, so many; how many are left out.
        for (handed_over, told) in [
            // None was sent.
            (&[][..], &[(100, 1, 0)][..]),
            // Its own session, and not the next.
            (&[100], &[(100, 1, 1), (100, 1, 0)]),
            (&[100], &[(160, 1, 1), (161, 1, 0)]),
            // Too late, and before there was a report.
            (&[100], &[(161, 1, 0)]),
            (&[100], &[(99, 1, 0), (130, 1, 1)]),
            // Never more than reports, whether they are told one by one or together.
            (&[100, 100, 101], &[(110, 5, 3), (110, 1, 0)]),
            (&[100, 100, 101], &[(110, 2, 2), (111, 2, 1)]),
            // Each report has its own time.
            (&[100, 150], &[(170, 2, 1), (170, 1, 0)]),
            // A session that is known of late is of its own time.
            (&[100], &[(700, 1, 0), (120, 1, 1)]),
            (&[100], &[(5_000, 1, 0), (120, 1, 0)]),
        ] {
            let sessions = ReportSessions::within(window);
            let off = ReportSessions::within(0);
            for at in handed_over {
                sessions.handed_over(&domain("example.org"), Timestamp(*at));
                off.handed_over(&domain("example.org"), Timestamp(*at));
            }
            for (at, told, expected) in told {
                let at = Timestamp(*at);
                // Another domain's are its own.
                assert_eq!(sessions.take(&domain("example.net"), at, *told), 0);
                let taken = sessions.take(&domain("example.org"), at, *told);
                assert_eq!(taken, *expected, "{handed_over:?} {at:?}");
                assert_eq!(off.take(&domain("example.org"), at, *told), 0);
            }
        }
    }

    #[test]
    fn g6_what_is_remembered_is_bounded_and_makes_room_in_time() {
        let sessions = ReportSessions::within(60);
        for number in 0..HANDOVERS_MAX + 5 {
            let host = domain(&format!("{}.example", number % 1_000));
            sessions.handed_over(&host, Timestamp(100));
        }
        assert_eq!(sessions.handovers().held, HANDOVERS_MAX);
        let late = domain("late.example");
        assert_eq!(sessions.take(&late, Timestamp(100), 1), 0);
        let later = Timestamp(100 + 60 + KNOWN_LATE_SECONDS_MAX + 1);
        sessions.handed_over(&late, later);
        assert_eq!(sessions.handovers().held, 1);
        assert_eq!(sessions.take(&late, later, 1), 1);
        let handovers = sessions.handovers();
        assert_eq!((handovers.held, handovers.domains.len()), (0, 0));
    }

    #[test]
    fn a_clock_set_back_leaves_out_nothing_for_long() {
        let sessions = ReportSessions::within(60);
        sessions.handed_over(&domain("example.org"), Timestamp(100_000));
        assert_eq!(sessions.take(&domain("example.org"), Timestamp(100), 1), 0);
        assert_eq!(sessions.handovers().held, 0);
    }
}
