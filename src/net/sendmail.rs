//! Report mail through the `sendmail` program of this machine, which every MTA brings along.
//!
//! It is called without a shell, as `sendmail -i -oep -f ENVELOPE-SENDER -- MAILBOX`, with the mail on its standard
//! input. What it says with its exit code is read in `judgement`; `program` runs it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use self::judgement::Judgement;
use super::{
    handover::{Accepted, SendError},
    smtp::{Envelope, Mailboxes, Transport},
};
use crate::clock::BoxFuture;

mod judgement;
mod privileges;
mod program;

pub use privileges::{NO_NEW_PRIVILEGES, no_new_privileges};

/// Hands every message to one program.
#[derive(Clone, Debug)]
pub struct SendmailTransport {
    program: PathBuf,
    limit: Duration,
}

impl SendmailTransport {
    /// The program; one attempt ends after `timeout_seconds`.
    #[must_use]
    pub fn new(program: &Path, timeout_seconds: u64) -> Self {
        Self {
            program: program.to_owned(),
            limit: Duration::from_secs(timeout_seconds.max(1)),
        }
    }

    async fn attempt(&self, envelope: &Envelope, message: &[u8]) -> Result<Accepted, SendError> {
        // The recipient comes from somebody's DNS. What is no mailbox might be something else to the program,
        // such as a list of several.
        let mailboxes = Mailboxes::of(envelope)?;
        let arguments = arguments(&mailboxes);
        let judgement = Judgement {
            program: &self.program,
            limit: self.limit,
            no_new_privileges: no_new_privileges(),
        };
        let input = with_local_line_ends(message);
        match program::run(&self.program, &arguments, &input, self.limit).await {
            Ok(ended) => judgement.of(&ended),
            Err(error) => Err(judgement.of_no_start(&error)),
        }
    }
}

impl Transport for SendmailTransport {
    fn send<'a>(
        &'a self,
        envelope: &'a Envelope,
        message: &'a [u8],
    ) -> BoxFuture<'a, Result<Accepted, SendError>> {
        Box::pin(self.attempt(envelope, message))
    }
}

/// `-i`: a line with a dot alone does not end the mail. `-oep`: what is wrong is printed; without it Exim mails it
/// to the envelope sender and says nothing. After `--` a mailbox that begins with `-` is no option.
fn arguments(mailboxes: &Mailboxes) -> [&str; 6] {
    ["-i", "-oep", "-f", mailboxes.from(), "--", mailboxes.to()]
}

/// The message with the line ends of this machine, as programs read mail from standard input; the MTA makes CRLF
/// of them again.
// OURS: Postfix and Exim take CRLF too, but no other program need do so. A signature covers lines that end in CRLF,
// whatever they end in on the way (RFC 6376 s3.4), so it holds.
fn with_local_line_ends(message: &[u8]) -> Vec<u8> {
    let mut local = Vec::with_capacity(message.len());
    let mut rest = message.iter().peekable();
    while let Some(&octet) = rest.next() {
        if octet == b'\r' && rest.peek() == Some(&&b'\n') {
            continue;
        }
        local.push(octet);
    }
    local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_ends_are_those_of_the_machine_and_nothing_else_changes() {
        for (message, expected) in [
            (&b"a\r\n.\r\n\r\nb\r\n"[..], &b"a\n.\n\nb\n"[..]),
            (b"\r\r\n\r", b"\r\n\r"),
            (b"a\nb", b"a\nb"),
            (b"", b""),
        ] {
            assert_eq!(with_local_line_ends(message), expected, "{message:?}");
        }
    }

    #[test]
    fn no_mailbox_becomes_an_option_or_a_second_one() {
        let arguments_for = |to: &str| {
            let envelope = Envelope {
                from: "bounces@sender.test".to_owned(),
                to: to.to_owned(),
            };
            let mailboxes = Mailboxes::of(&envelope).ok()?;
            Some(arguments(&mailboxes).map(str::to_owned))
        };
        for to in [
            "-oQ@a.test",
            "b\u{fc}cher@a.test",
            "\"a, b\"@a.test",
            "|cat@a.test",
        ] {
            let call = ["-i", "-oep", "-f", "bounces@sender.test", "--", to];
            assert_eq!(arguments_for(to), Some(call.map(str::to_owned)), "{to}");
        }
        for to in [
            "a@a.test,b@a.test",
            "a@a.test b@a.test",
            "a",
            "",
            "-t",
            "a@a.test\n-t",
        ] {
            assert_eq!(arguments_for(to), None, "{to}");
        }
    }
}
