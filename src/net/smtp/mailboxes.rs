//! The two mailboxes of an envelope, checked.

use lettre::Address;

use super::{Envelope, SendError, shown};

/// An envelope that can be put into commands without changing their meaning.
pub(in crate::net) struct Mailboxes {
    from: Address,
    to: Address,
}

impl Mailboxes {
    /// Checks both mailboxes. They come from a configuration and from the DNS.
    pub(in crate::net) fn of(envelope: &Envelope) -> Result<Self, SendError> {
        let parse = |mailbox: &str| {
            // RFC 5321 s4.5.3.1: a path has at most 256 octets with its brackets.
            let one_line = mailbox.len() <= 254 && !mailbox.chars().any(char::is_control);
            mailbox
                .parse::<Address>()
                .ok()
                .filter(|_| one_line)
                .ok_or_else(|| {
                    SendError::permanent(format!("\"{}\" is not a mailbox", shown(mailbox)))
                })
        };
        Ok(Self {
            from: parse(&envelope.from)?,
            to: parse(&envelope.to)?,
        })
    }

    /// Whom a bounce goes to.
    pub(in crate::net) fn from(&self) -> &str {
        self.from.as_ref()
    }

    /// Whom the mail goes to.
    pub(in crate::net) fn to(&self) -> &str {
        self.to.as_ref()
    }

    /// The domain of the mailbox it is for.
    pub(super) fn domain(&self) -> &str {
        self.to.domain()
    }

    /// For MAIL.
    pub(super) fn sender(&self) -> Address {
        self.from.clone()
    }

    /// For RCPT.
    pub(super) fn recipient(&self) -> Address {
        self.to.clone()
    }

    pub(super) fn is_ascii(&self) -> bool {
        self.from().is_ascii() && self.to().is_ascii()
    }
}
