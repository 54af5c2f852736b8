//! Whether an instance's log says when TLS is up, and what depends on that.

use std::collections::VecDeque;

use super::{super::postfix_line::Trust, LogSession};
use crate::clock::Timestamp;

/// What is known of one instance's log.
#[derive(Debug, Default)]
pub(super) struct Instance {
    /// It says when TLS is up.
    tells_of_tls: bool,
    /// It has roots to check certificates with.
    has_roots: bool,
    /// Sessions in the clear since it last said that TLS was up.
    clear_since: u32,
    /// Sessions in the clear that are believed if it says that TLS is up.
    held: VecDeque<LogSession>,
    /// The operator has heard of that.
    doubted: bool,
}

impl Instance {
    /// So many sessions in the clear in a row, and we no longer believe that it says when TLS is up.
    pub(super) const CLEAR_IN_A_ROW_MAX: u32 = 200;
    pub(super) const HELD_MAX: usize = 256;
    const HELD_SECONDS: i64 = 600;
    /// So many held back, and the operator hears of it.
    const HELD_OF_DOUBT: usize = 50;

    /// TLS is up, and it says so: what was held back is believed.
    pub(super) fn tls_up(&mut self, trust: Trust, now: Timestamp, sessions: &mut Vec<LogSession>) {
        self.tells_of_tls = true;
        self.has_roots |= trust == Trust::Trusted;
        self.clear_since = 0;
        let recent = |one: &LogSession| now.seconds_since(one.at) <= Self::HELD_SECONDS;
        sessions.extend(self.held.drain(..).filter(recent));
    }

    /// Gives a session that seems to be in the clear, if it can be believed.
    pub(super) fn seems_clear(&mut self, session: LogSession) -> Option<LogSession> {
        self.clear_since = self.clear_since.saturating_add(1);
        if self.clear_since > Self::CLEAR_IN_A_ROW_MAX {
            self.tells_of_tls = false;
        }
        if self.tells_of_tls {
            return Some(session);
        }
        if self.held.len() == Self::HELD_MAX {
            self.held.pop_front();
        }
        self.held.push_back(session);
        None
    }

    /// Whether it has roots to check certificates with.
    pub(super) const fn has_roots(&self) -> bool {
        self.has_roots
    }

    /// What is held back is not counted any more.
    pub(super) fn forget_held(&mut self) {
        self.held.clear();
    }

    /// Whether so much is held back that the operator is to hear of it. True once.
    pub(super) fn begins_to_be_doubted(&mut self) -> bool {
        let begins = !self.doubted && self.held.len() == Self::HELD_OF_DOUBT;
        self.doubted |= begins;
        begins
    }
}
