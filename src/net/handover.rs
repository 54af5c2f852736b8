//! What comes of handing a report over, to a mail host or to a report host.

use std::{
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::timeout;

/// The next hop took the report and answers for it from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The host and address that took it, for the log.
    pub by: String,
    /// Its words, made safe to show.
    pub reply: String,
    /// How the report travelled there.
    pub channel: Channel,
}

/// How a report travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Under TLS, with the certificate of the host that was meant.
    Verified,
    /// Under TLS with whatever certificate the host showed.
    Tls,
    /// In the clear.
    Clear,
    /// Not at all yet: a program of this machine has it.
    Program,
}

impl Channel {
    /// The word shown to an operator.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verified => "verified-tls",
            Self::Tls => "tls",
            Self::Clear => "clear",
            Self::Program => "program",
        }
    }
}

/// The next hop did not take the report, as far as we know. Every text is made safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The destination's word is final: a 5xx to MAIL, RCPT, DATA or the message, a 4xx of HTTP, a null
    /// MX, or a domain without a mail host. Whoever publishes the rua must act.
    #[error("{}{reason}", prefix(*.code))]
    Permanent {
        /// The SMTP code or HTTP status, where a host answered.
        code: Option<u16>,
        /// What happened and where.
        reason: String,
    },
    /// It may go better later: a 4xx of SMTP, a 5xx of HTTP, a session that broke off, a lookup that
    /// failed. Where the answer to the whole report was lost, the host may have it.
    #[error("{}{reason}", prefix(*.code))]
    Temporary {
        /// The SMTP code or HTTP status, where a host answered.
        code: Option<u16>,
        /// What happened and where.
        reason: String,
        /// How long the host wants to be left alone, where it said so (RFC 9110 s10.2.3).
        retry_after_seconds: Option<u64>,
    },
    /// No connection to any host. The network's trouble, or that of the relay's operator.
    #[error("{reason}")]
    Unreachable {
        /// What happened and where.
        reason: String,
    },
}

impl SendError {
    /// It may go better later, and no host said so.
    pub(crate) fn temporary(reason: impl Into<String>) -> Self {
        Self::Temporary {
            code: None,
            reason: reason.into(),
            retry_after_seconds: None,
        }
    }

    /// It will not go better, and no host said so.
    pub(crate) fn permanent(reason: impl Into<String>) -> Self {
        Self::Permanent {
            code: None,
            reason: reason.into(),
        }
    }
}

/// `550 `, or nothing.
fn prefix(code: Option<u16>) -> String {
    code.map(|code| format!("{code} ")).unwrap_or_default()
}

/// What an attempt waits for, so that it can be named when the time is over.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<String>);

impl Waiting {
    /// From now on it waits for this.
    pub(super) fn for_what(&self, what: impl Into<String>) {
        *self.held() = what.into();
    }

    /// Does the work of an attempt within its time.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, SendError>> + Send,
    ) -> Result<T, SendError> {
        timeout(limit, work)
            .await
            .unwrap_or_else(|_elapsed| Err(self.not_done_within(limit)))
    }

    /// The time is over.
    pub(super) fn not_done_within(&self, limit: Duration) -> SendError {
        SendError::temporary(format!(
            "not done within {} s, while waiting for {}",
            limit.as_secs(),
            self.held()
        ))
    }

    fn held(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The most that is shown of a host's words.
const SHOWN_CHARACTERS_MAX: usize = 300;

/// A host's words, fit for a log line: printable ASCII, one line, cut.
pub(super) fn shown(text: &str) -> String {
    let shown: String = text
        .chars()
        .map(|character| match character {
            ' '..='~' => character,
            _ if character.is_whitespace() || character.is_control() => ' ',
            _ => '?',
        })
        .take(SHOWN_CHARACTERS_MAX)
        .collect();
    shown.trim().to_owned()
}

#[cfg(test)]
impl Accepted {
    /// An answer like any other.
    pub(crate) fn for_test() -> Self {
        Self {
            by: "mx.example [127.0.0.1]".to_owned(),
            reply: "250 ok".to_owned(),
            channel: Channel::Tls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g3_a_hosts_words_are_one_printable_line_of_bounded_length() {
        assert_eq!(
            shown("no\r\nX-Evil: \u{1b}[31m\u{202e}b\u{fc}cher\0"),
            "no  X-Evil:  [31m?b?cher"
        );
        assert_eq!(shown(&"a".repeat(5_000)).len(), SHOWN_CHARACTERS_MAX);
    }
}
