//! From the lines of Postfix's log to sessions.
//!
//! A process of Postfix's SMTP client delivers one message to one next hop at a time, tries one mail
//! host after the other, and writes a line where something is worth it. Lines about TLS name the server
//! and not the message, lines about the message name the recipient and only the last server. What
//! joins them is the process: what it said of TLS belongs to the next message it speaks of.
//!
//! A session is counted once: several recipients have it in common, and messages that go down a
//! connection left open (`conn_use=`, `reused`) had it before. A retry in the clear after a failed
//! handshake is the same session.
//!
//! That TLS was done without is said by no line. It follows from the lack of the line that says TLS is
//! up, where Postfix writes that line (`smtp_tls_loglevel` of 1 at least). Whether it does is seen from
//! the log itself: until such a line has come, sessions that seem to be in the clear are held back, and
//! are believed only if it comes soon.

use std::net::IpAddr;

use super::postfix_line::{
    Connection, DaneLack, Delivery, LogLine, Peer, Process, Reported, Said, TlsUsed, Trust,
};
use crate::{clock::Timestamp, recent::Recent};

mod attempts;
mod instance;

use attempts::{Attempt, Attempts, State};
use instance::Instance;

/// A session that the log tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSession {
    /// The recipient domain, or the relay's name where mail goes to a relay on a port of its own; as
    /// Postfix writes it.
    pub domain: String,
    /// The mail host.
    pub mx: Option<String>,
    /// The address that was connected to.
    pub receiving_ip: Option<IpAddr>,
    /// When the log told of it.
    pub at: Timestamp,
    /// How it went.
    pub how: How,
}

/// How a session went, as far as Postfix's log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// TLS was up, and the certificate satisfied the policy that Postfix went by.
    Verified,
    /// TLS was up. The certificate was not asked for, or its name was not.
    Established,
    /// TLS was up. The certificate does not chain to a root that Postfix trusts, which it did not mind.
    Untrusted,
    /// TLS was up, and the certificate did not satisfy the policy, in these words; empty where there
    /// are none.
    NotVerified(String),
    /// The handshake failed, in these words.
    HandshakeFailed(String),
    /// The server was lost after STARTTLS was sent, before it answered.
    LostInStartTls,
    /// TLS was demanded and not offered.
    NotOffered,
    /// TLS was demanded, offered and refused.
    Refused,
    /// Mail was spoken of in the clear, because the server offers or starts no TLS.
    InTheClear,
    /// The mail host was passed over: the policy does not list it.
    NotListed,
    /// The mail host was passed over: its TLSA records could not be looked up.
    TlsaLookupFailed,
    /// The mail host was passed over: DANE was told to be all there is, and it has no TLSA records that can be
    /// used.
    DaneNotToBeHad(DaneLack),
}

/// Joins lines to sessions. Bounded in memory, whatever the lines say.
#[derive(Debug)]
pub struct LogSessions {
    report_sender: Option<String>,
    processes: Recent<ProcessName, Talk>,
    instances: Recent<(String, String), Instance>,
    /// Report mail in the queue.
    reports: Recent<(String, String, String), ()>,
    /// What was last found wrong with a server's certificate.
    troubles: Recent<String, String>,
    doubt: Option<String>,
}

/// Machine, instance and process id.
type ProcessName = (String, String, u32);

const PROCESSES_MAX: usize = 4_096;
const INSTANCES_MAX: usize = 64;
const REPORTS_MAX: usize = 4_096;
const TROUBLES_MAX: usize = 4_096;
/// Of words that are kept.
const WORDS_CHARACTERS_MAX: usize = 256;

/// What one process is about.
#[derive(Debug, Default)]
struct Talk {
    attempts: Attempts,
    /// The message spoken of last.
    queue_id: String,
}

impl LogSessions {
    /// Nothing seen yet. Mail from `report_sender`, the envelope sender of our own report mail, is not
    /// counted.
    // RFC 8460 s5.3: sessions that deliver reports are not to be reported themselves (D6).
    #[must_use]
    pub fn new(report_sender: Option<&str>) -> Self {
        Self {
            report_sender: report_sender.map(str::to_owned),
            processes: Recent::new(PROCESSES_MAX),
            instances: Recent::new(INSTANCES_MAX),
            reports: Recent::new(REPORTS_MAX),
            troubles: Recent::new(TROUBLES_MAX),
            doubt: None,
        }
    }

    /// Takes the next line, and gives the sessions that it completes.
    pub fn take(&mut self, line: &LogLine<'_>, now: Timestamp) -> Vec<LogSession> {
        let mut sessions = Vec::new();
        match &line.said {
            // Its settings may be others now, those of its log among them.
            Said::Started => self.instances.remove(&instance_name(&line.process)),
            Said::Queued { queue_id, sender } => self.queued(&line.process, queue_id, sender),
            Said::Removed { queue_id } => self.reports.remove(&message(&line.process, queue_id)),
            Said::CertificateTrouble { peer, words } => {
                self.trouble(&line.process, peer, words, now);
            }
            // "Look for details earlier in the log."
            Said::ResumedUntrusted { peer } => {
                let earlier = self.troubles.get(&server(peer)).cloned();
                self.trouble(&line.process, peer, &earlier.unwrap_or_default(), now);
            }
            Said::Tls {
                peer,
                trust,
                connection,
            } => {
                self.instance(&line.process)
                    .tls_up(*trust, now, &mut sessions);
                let state = match connection {
                    Connection::New => State::Established(*trust),
                    Connection::Reused => State::NoSession,
                };
                self.talk(&line.process).attempts.comes_to(peer, state, now);
            }
            Said::HandshakeFailed { peer, words } => {
                let attempts = &mut self.talk(&line.process).attempts;
                attempts.comes_to(peer, State::HandshakeFailed, now);
                attempts.explain(words);
            }
            Said::LibraryProblem { words } => self.talk(&line.process).attempts.explain(words),
            Said::NotListed { mx, domain } => {
                let state = State::NotListed(Some((*domain).to_owned()));
                self.talk(&line.process)
                    .attempts
                    .passed_over(mx, state, now);
            }
            Said::TlsaLookupFailed { next_hop, mx } => {
                let state = State::TlsaLookupFailed(Some((*next_hop).to_owned()));
                self.talk(&line.process)
                    .attempts
                    .passed_over(mx, state, now);
            }
            Said::DaneNotToBeHad { next_hop, mx, lack } => {
                let state = State::DaneNotToBeHad((*next_hop).to_owned(), *lack);
                self.talk(&line.process)
                    .attempts
                    .passed_over(mx, state, now);
            }
            Said::OfferNotTaken { mx } => {
                let attempts = &mut self.talk(&line.process).attempts;
                attempts.passed_over(mx, State::NoSession, now);
            }
            Said::Reported { peer, reported } => {
                let attempts = &mut self.talk(&line.process).attempts;
                attempts.reported(peer, *reported, now);
            }
            Said::NotConnected { .. } => {}
            Said::PassedOver { queue_id, reason } => {
                let talk = self.talk(&line.process);
                talk.speaks_of(queue_id);
                talk.attempts.learns(reason, None, now);
            }
            Said::Delivery(delivery) => self.delivered(&line.process, delivery, now, &mut sessions),
        }
        sessions
    }

    /// What was taken so far served to know where the log stands: sessions that are held back from then
    /// are not counted any more.
    pub fn counting_begins(&mut self) {
        self.instances.values_mut().for_each(Instance::forget_held);
    }

    /// An instance whose sessions all seem to be in the clear, so that its log most likely does not say
    /// when TLS is up. Given once for each.
    pub fn doubt(&mut self) -> Option<String> {
        self.doubt.take()
    }

    fn queued(&mut self, process: &Process<'_>, queue_id: &str, sender: &str) {
        let ours = self
            .report_sender
            .as_ref()
            .is_some_and(|ours| ours.eq_ignore_ascii_case(sender));
        let message = message(process, queue_id);
        if ours {
            self.reports.of(message);
        } else {
            self.reports.remove(&message);
        }
    }

    fn trouble(&mut self, process: &Process<'_>, peer: &Peer<'_>, words: &str, now: Timestamp) {
        let words = cut(words);
        if !words.is_empty() {
            self.troubles.of(server(peer)).clone_from(&words);
        }
        // tlsproxy(8) looks at certificates for others, who will not have the words otherwise.
        if process.program == "smtp" {
            self.talk(process).attempts.opens(peer, words, now);
        }
    }

    fn delivered(
        &mut self,
        process: &Process<'_>,
        delivery: &Delivery<'_>,
        now: Timestamp,
        sessions: &mut Vec<LogSession>,
    ) {
        let ours = self
            .reports
            .get(&message(process, delivery.queue_id))
            .is_some();
        let talk = self.talk(process);
        talk.speaks_of(delivery.queue_id);
        talk.attempts.learns(&delivery.reason, Some(delivery), now);
        let attempts = talk.attempts.finished(delivery, now);
        if ours {
            return;
        }
        let domain = policy_domain(delivery);
        for attempt in attempts {
            self.tell(process, attempt, domain, now, sessions);
        }
    }

    /// Makes a session of an attempt, if it was one and its domain is known.
    fn tell(
        &mut self,
        process: &Process<'_>,
        attempt: Attempt,
        domain: Option<&str>,
        now: Timestamp,
        sessions: &mut Vec<LogSession>,
    ) {
        let mut domain = domain.map(str::to_owned);
        let mut certain = true;
        let instance = self.instance(process);
        let how = match attempt.state {
            State::Established(Trust::Verified) => How::Verified,
            // OURS: without a root that anything chains to, nothing is trusted, and that is ours to
            // mend (G9).
            State::Established(Trust::Untrusted) if instance.has_roots() => How::Untrusted,
            State::Established(_) => How::Established,
            State::NotVerified if attempt.words.is_empty() => {
                let earlier = attempt
                    .server()
                    .and_then(|server| self.troubles.get(&server));
                How::NotVerified(earlier.cloned().unwrap_or_default())
            }
            State::NotVerified => How::NotVerified(attempt.words),
            State::HandshakeFailed => How::HandshakeFailed(attempt.words),
            State::LostInStartTls => How::LostInStartTls,
            State::NotOffered => How::NotOffered,
            // Postfix 3.11 tells of a refusal that it did not mind.
            State::Refused | State::Reported(Reported::WithoutTls) => How::Refused,
            State::InTheClear(used) => {
                certain = used == Some(TlsUsed::Clear);
                How::InTheClear
            }
            State::NotListed(named) => {
                domain = named.or(domain);
                How::NotListed
            }
            State::TlsaLookupFailed(named) => {
                domain = named.or(domain);
                How::TlsaLookupFailed
            }
            State::DaneNotToBeHad(named, lack) => {
                domain = Some(named);
                How::DaneNotToBeHad(lack)
            }
            State::Opening | State::Reported(Reported::Other) | State::NoSession => return,
        };
        let Some(domain) = domain else {
            return;
        };
        let session = LogSession {
            domain,
            mx: attempt.host,
            receiving_ip: attempt.address,
            at: now,
            how,
        };
        if certain {
            sessions.push(session);
        } else {
            let instance = self.instance(process);
            sessions.extend(instance.seems_clear(session));
            if instance.begins_to_be_doubted() {
                self.doubt = Some(process.instance.to_owned());
            }
        }
    }

    fn talk(&mut self, process: &Process<'_>) -> &mut Talk {
        self.processes.of((
            process.machine.to_owned(),
            process.instance.to_owned(),
            process.pid,
        ))
    }

    fn instance(&mut self, process: &Process<'_>) -> &mut Instance {
        self.instances.of(instance_name(process))
    }
}

impl Talk {
    fn speaks_of(&mut self, queue_id: &str) {
        if self.queue_id != queue_id {
            queue_id.clone_into(&mut self.queue_id);
            self.attempts.next_message();
        }
    }
}

/// The domain whose session it is. A mail host listens on port 25; on any other it is a relay that was
/// configured, and its name the next hop (RFC 8460 s1.1).
fn policy_domain<'a>(delivery: &Delivery<'a>) -> Option<&'a str> {
    match delivery.relay {
        Some(relay) if relay.port.is_some_and(|port| port != 25) => Some(relay.host),
        _ => delivery.domain,
    }
}

/// The instance that a process is of. A service may have a name of its own behind the instance's:
/// `postfix/relay/smtp`.
fn instance_name(process: &Process<'_>) -> (String, String) {
    let instance = process.instance.split('/').next().unwrap_or_default();
    (process.machine.to_owned(), instance.to_owned())
}

fn message(process: &Process<'_>, queue_id: &str) -> (String, String, String) {
    let (machine, instance) = instance_name(process);
    (machine, instance, queue_id.to_owned())
}

/// A server's name in [`LogSessions::troubles`].
fn server(peer: &Peer<'_>) -> String {
    format!("{}[{}]", peer.host.to_ascii_lowercase(), peer.address)
}

fn cut(words: &str) -> String {
    words.chars().take(WORDS_CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests;
