//! Report mail on its way out; and [`probe`], which looks at mail hosts and brings nothing.
//!
//! A report says that TLS to a domain fails. Held to the domain's TLS policy, it would fail in the
//! same way and never arrive. So these transports verify nothing: they use TLS where it works, and
//! deliver in the clear where it does not.
// RFC 8460 s3: reports are delivered despite TLS failures, so no policy of the destination applies.
// RFC 8460 s5.3: the sessions that carry reports are not themselves reported. They do not pass the
// hook: nothing below `net` knows it, so no session record can come of them.

use crate::clock::BoxFuture;

pub mod probe;

mod bounded;
mod conversation;
mod mx;
mod relay;
mod session;

pub use mx::{MxTransport, PrivateAddresses};
pub use relay::{BadRelay, RelayTransport};

/// Who a message is from and to: the SMTP envelope, not the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The mailbox that bounces go to.
    pub from: String,
    /// The mailbox it is for.
    pub to: String,
}

/// The next hop took the message and answers for it from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The host and address that took it, for the log.
    pub by: String,
    /// Its words, made safe to show.
    pub reply: String,
    /// How the message travelled there.
    pub channel: Channel,
}

/// How a message travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Under TLS with whatever certificate the host showed.
    Tls,
    /// In the clear.
    Clear,
}

impl Channel {
    /// The word shown to an operator.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Clear => "clear",
        }
    }
}

/// The next hop did not take the message, as far as we know. Every text is made safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The destination's word is final: a 5xx to MAIL, RCPT, DATA or the message, a null MX, or a
    /// domain without a mail host. Whoever publishes the rua must act.
    #[error("{}{reason}", prefix(*.code))]
    Permanent {
        /// The SMTP code, where a host answered.
        code: Option<u16>,
        /// What happened and where.
        reason: String,
    },
    /// It may go better later: a 4xx, a session that broke off, a lookup that failed. Where the
    /// answer to the whole message was lost, the host may have it.
    #[error("{}{reason}", prefix(*.code))]
    Temporary {
        /// The SMTP code, where a host answered.
        code: Option<u16>,
        /// What happened and where.
        reason: String,
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
    fn temporary(reason: impl Into<String>) -> Self {
        Self::Temporary {
            code: None,
            reason: reason.into(),
        }
    }

    /// It will not go better, and no host said so.
    fn permanent(reason: impl Into<String>) -> Self {
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

/// Brings a finished message to its next hop.
pub trait Transport: Send + Sync {
    /// One attempt. The message is lines that end in CRLF, at most 7-bit; not an octet of it is
    /// changed, for it is signed.
    fn send<'a>(
        &'a self,
        envelope: &'a Envelope,
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Accepted, SendError>>;
}

/// The most that is shown of a host's words.
const SHOWN_CHARACTERS_MAX: usize = 300;

/// A host's words, fit for a log line: printable ASCII, one line, cut.
fn shown(text: &str) -> String {
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
