//! What the mail hosts took down: every session and every message.

use std::{net::IpAddr, sync::Arc};

use tokio::sync::watch;

use crate::mail::{Field, split_message};

/// A message that a mail host took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The mail host, by the name it was set up with.
    pub mx: String,
    /// Did it come over TLS?
    pub tls: bool,
    /// What the client called itself.
    pub helo: String,
    /// The reverse path, without angle brackets; empty for `<>`.
    pub from: String,
    /// The accepted recipients, without angle brackets.
    pub recipients: Vec<String>,
    /// Header and body as sent, without the dots that SMTP adds.
    pub data: Vec<u8>,
}

impl Message {
    /// The value of the first header field of this name, on one line.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let (fields, _) = split_message(&self.data);
        fields.iter().find(|field| field.is(name)).map(Field::text)
    }
}

/// A connection to a mail host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpSession {
    /// The mail host, by the name it was set up with.
    pub mx: String,
    /// Where the client came from.
    pub client: IpAddr,
    /// The server name that the client sent in its TLS handshake.
    pub sni: Option<String>,
    /// Did the TLS handshake succeed? A client that refuses the certificate makes it fail.
    pub tls: bool,
    /// The command lines, without line ends, in order.
    pub commands: Vec<String>,
}

impl SmtpSession {
    /// What the client called itself at last; none where it never did.
    #[must_use]
    pub fn helo(&self) -> Option<&str> {
        self.commands
            .iter()
            .rev()
            .filter_map(|line| line.split_once(' '))
            .find(|(verb, _)| {
                verb.eq_ignore_ascii_case("EHLO") || verb.eq_ignore_ascii_case("HELO")
            })
            .map(|(_, name)| name.trim())
    }

    /// Did the client offer a message? One that only looks at STARTTLS does not, and neither does one
    /// that finds the certificate not good enough.
    #[must_use]
    pub fn offers_mail(&self) -> bool {
        let mut verbs = self
            .commands
            .iter()
            .filter_map(|line| line.split(' ').next());
        verbs.any(|verb| verb.eq_ignore_ascii_case("MAIL"))
    }
}

/// All of it. Shared by the mail hosts that write it and the views that read it.
#[derive(Clone, Debug)]
pub(crate) struct MailLog {
    entries: Arc<watch::Sender<Entries>>,
}

#[derive(Debug, Default)]
struct Entries {
    messages: Vec<Message>,
    sessions: Vec<SmtpSession>,
}

/// Names one session of the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionNumber(usize);

impl MailLog {
    pub(crate) fn new() -> Self {
        Self {
            entries: Arc::new(watch::Sender::new(Entries::default())),
        }
    }

    pub(crate) fn begin(&self, session: SmtpSession) -> SessionNumber {
        let mut number = 0;
        self.entries.send_modify(|entries| {
            number = entries.sessions.len();
            entries.sessions.push(session);
        });
        SessionNumber(number)
    }

    pub(crate) fn note(&self, number: SessionNumber, note: impl FnOnce(&mut SmtpSession)) {
        self.entries.send_modify(|entries| {
            if let Some(session) = entries.sessions.get_mut(number.0) {
                note(session);
            }
        });
    }

    pub(crate) fn keep(&self, message: Message) {
        self.entries
            .send_modify(|entries| entries.messages.push(message));
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.entries.borrow().messages.clone()
    }

    pub(crate) fn sessions(&self) -> Vec<SmtpSession> {
        self.entries.borrow().sessions.clone()
    }

    /// Waits until this many messages match.
    pub(crate) async fn wait_for(
        &self,
        count: usize,
        matches: impl Fn(&Message) -> bool,
    ) -> Vec<Message> {
        let mut receiver = self.entries.subscribe();
        let found = |entries: &Entries| -> Vec<Message> {
            let matching = entries.messages.iter().filter(|message| matches(message));
            matching.cloned().collect()
        };
        // The sender lives in `self`, so this ends only when the messages are there.
        let enough = receiver
            .wait_for(|entries| found(entries).len() >= count)
            .await;
        enough.map(|entries| found(&entries)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_offers_mail_is_told_from_who_only_looks() {
        let session = |commands: &[&str]| SmtpSession {
            mx: "mx.a.test".to_owned(),
            client: IpAddr::from([127, 0, 0, 1]),
            sni: None,
            tls: false,
            commands: commands.iter().map(|line| (*line).to_owned()).collect(),
        };
        let looks = session(&["ehlo probe.test ", "STARTTLS", "QUIT"]);
        assert_eq!(looks.helo(), Some("probe.test"));
        assert!(!looks.offers_mail());
        let offers = session(&["EHLO a.test", "STARTTLS", "HELO b.test", "mail FROM:<>"]);
        assert_eq!(offers.helo(), Some("b.test"));
        assert!(offers.offers_mail());
        assert_eq!(session(&["EHLO"]).helo(), None);
    }
}
