//! The servers that one process has tried for one message, and what came of each.

use std::{collections::VecDeque, net::IpAddr};

use super::{
    super::postfix_line::{Connection, DaneLack, Delivery, Peer, Reason, Reported, TlsUsed, Trust},
    cut, server,
};
use crate::clock::Timestamp;

/// One server, tried or passed over.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Its name, where a line has it.
    pub(super) host: Option<String>,
    /// Its address.
    pub(super) address: Option<IpAddr>,
    /// What came of it.
    pub(super) state: State,
    /// In which words; empty when there are none.
    pub(super) words: String,
    /// Whether the line about the message has come that goes with the failure.
    settled: bool,
    since: Timestamp,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The certificate was found wanting; whether TLS came up is not said yet.
    Opening,
    /// Postfix told libtlsrpt of it, and what it was is not said yet.
    Reported(Reported),
    /// TLS is up.
    Established(Trust),
    /// TLS is up, and the certificate does not do.
    NotVerified,
    HandshakeFailed,
    LostInStartTls,
    NotOffered,
    Refused,
    /// Mail was spoken of, and nothing was said of TLS but this.
    InTheClear(Option<TlsUsed>),
    /// Passed over by the policy of this domain.
    NotListed(Option<String>),
    /// Passed over on the way to this next hop.
    TlsaLookupFailed(Option<String>),
    /// Passed over on the way to this next hop: it has no TLSA records that can be used.
    DaneNotToBeHad(String, DaneLack),
    /// A connection left open by an earlier message, or one kept in the clear by choice.
    NoSession,
}

/// What one process has tried and not yet told of a message, oldest first.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pending: VecDeque<Attempt>,
    /// The connections that this message's recipients have been told of: server and set-up times.
    told: VecDeque<(String, String)>,
}

const PENDING_MAX: usize = 32;
const TOLD_MAX: usize = 32;
/// The lines about the message come at the end of its delivery, and no delivery takes that long. What
/// is older is of a process that died.
const PENDING_SECONDS_MAX: i64 = 3_600;

impl Attempts {
    /// TLS is about to come up, with this wrong with the certificate.
    pub(super) fn opens(&mut self, peer: &Peer<'_>, words: String, now: Timestamp) {
        self.push(Some(peer), State::Opening, words, now);
    }

    /// TLS came up with the server, or failed.
    pub(super) fn comes_to(&mut self, peer: &Peer<'_>, state: State, now: Timestamp) {
        let opening = self.pending.back_mut().filter(|last| {
            matches!(last.state, State::Opening | State::Reported(_)) && last.is(peer)
        });
        match opening {
            Some(attempt) => attempt.state = state,
            None => self.push(Some(peer), state, String::new(), now),
        }
    }

    /// Postfix has told libtlsrpt how it went with the server.
    pub(super) fn reported(&mut self, peer: &Peer<'_>, reported: Reported, now: Timestamp) {
        if !self.pending.iter().any(|one| one.is(peer)) {
            self.push(Some(peer), State::Reported(reported), String::new(), now);
        }
    }

    /// The words of the handshake that failed last.
    pub(super) fn explain(&mut self, words: &str) {
        let last = self.pending.back_mut();
        if let Some(attempt) = last.filter(|last| last.state == State::HandshakeFailed) {
            // Postfix gives a number where the library has words, which come next.
            if attempt.words.parse::<i32>().is_ok() || attempt.words.is_empty() {
                attempt.words = cut(words);
            }
        }
    }

    /// A mail host was passed over, or is spoken to in the clear by choice. A host with several
    /// addresses is passed over as often, and counts once.
    pub(super) fn passed_over(&mut self, mx: &str, state: State, now: Timestamp) {
        let known = self
            .pending
            .iter()
            .any(|one| one.is_named(mx) && one.state == state);
        if !known {
            self.push(None, state, String::new(), now);
            if let Some(last) = self.pending.back_mut() {
                last.host = Some(mx.to_owned());
            }
        }
    }

    /// What a line about the message says; `delivery` where it is the last word on a recipient.
    pub(super) fn learns(
        &mut self,
        reason: &Reason<'_>,
        delivery: Option<&Delivery<'_>>,
        now: Timestamp,
    ) {
        let relay = delivery.and_then(|delivery| delivery.relay);
        if delivery.is_some_and(|delivery| self.is_told(delivery)) {
            return;
        }
        match *reason {
            Reason::Talked(Some(peer)) => {
                let used = delivery.and_then(|delivery| delivery.tls);
                let elsewise = matches!(used, Some(TlsUsed::ClearByChoice | TlsUsed::Other));
                if !elsewise && !self.pending.iter().any(|one| one.is(&peer)) {
                    let peer = relay.unwrap_or(peer);
                    self.push(Some(&peer), State::InTheClear(used), String::new(), now);
                }
            }
            Reason::NotOffered(peer) => self.comes_to(&peer, State::NotOffered, now),
            Reason::Refused(peer) => self.comes_to(&peer, State::Refused, now),
            Reason::LostInStartTls(peer) => self.comes_to(&peer, State::LostInStartTls, now),
            Reason::HandshakeFailed => {
                self.settles(relay, State::HandshakeFailed, now, |state| {
                    matches!(state, State::HandshakeFailed | State::Reported(_))
                });
            }
            Reason::NotVerified => self.settles(relay, State::NotVerified, now, |state| {
                matches!(
                    state,
                    State::Established(_) | State::Opening | State::Reported(_)
                )
            }),
            Reason::TlsaLookupFailed(mx) => {
                let lookup = |one: &Attempt| matches!(one.state, State::TlsaLookupFailed(_));
                if !self.pending.iter().any(lookup) {
                    self.passed_over(mx, State::TlsaLookupFailed(None), now);
                }
            }
            Reason::Talked(None) | Reason::Other => {}
        }
    }

    /// What was tried up to this line about a recipient.
    pub(super) fn finished(
        &mut self,
        delivery: &Delivery<'_>,
        now: Timestamp,
    ) -> impl Iterator<Item = Attempt> + use<> {
        if let Some(relay) = delivery.relay
            && !self.is_told(delivery)
        {
            if self.told.len() == TOLD_MAX {
                self.told.pop_front();
            }
            self.told
                .push_back((server(&relay), delivery.set_up.to_owned()));
        }
        let pending = std::mem::take(&mut self.pending);
        pending
            .into_iter()
            .filter(move |one| now.seconds_since(one.since) <= PENDING_SECONDS_MAX)
    }

    /// The process turns to another message.
    pub(super) fn next_message(&mut self) {
        self.told.clear();
    }

    /// Whether the connection of this recipient has been told of, with an earlier recipient or message.
    fn is_told(&self, delivery: &Delivery<'_>) -> bool {
        delivery.connection == Connection::Reused
            || delivery.relay.is_some_and(|relay| {
                let name = server(&relay);
                self.told
                    .iter()
                    .any(|(server, set_up)| *server == name && set_up == delivery.set_up)
            })
    }

    /// The line about the message that goes with an attempt's failure. Where TLS was another process's
    /// work, or Postfix does not log it, it is the first that is heard of the attempt.
    fn settles(
        &mut self,
        relay: Option<Peer<'_>>,
        to: State,
        now: Timestamp,
        goes_with: impl Fn(&State) -> bool,
    ) {
        let found = self.pending.iter_mut().rev().find(|one| {
            !one.settled
                && goes_with(&one.state)
                && relay.as_ref().is_none_or(|relay| one.is(relay))
        });
        if let Some(attempt) = found {
            // Postfix concludes the same: it trusts the certificate, so it is the name.
            if attempt.state == State::Established(Trust::Trusted) && attempt.words.is_empty() {
                "hostname mismatch".clone_into(&mut attempt.words);
            }
            attempt.state = to;
            attempt.settled = true;
            return;
        }
        self.push(relay.as_ref(), to, String::new(), now);
        if let Some(last) = self.pending.back_mut() {
            last.settled = true;
        }
    }

    fn push(&mut self, peer: Option<&Peer<'_>>, state: State, words: String, since: Timestamp) {
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back(Attempt {
            host: peer.map(|peer| peer.host.to_owned()),
            address: peer.map(|peer| peer.address),
            state,
            words,
            settled: false,
            since,
        });
    }
}

impl Attempt {
    /// The server's name in [`LogSessions::troubles`](super::LogSessions).
    pub(super) fn server(&self) -> Option<String> {
        Some(server(&Peer {
            host: self.host.as_deref()?,
            address: self.address?,
            port: None,
        }))
    }

    fn is(&self, peer: &Peer<'_>) -> bool {
        self.is_named(peer.host) && self.address.is_none_or(|address| address == peer.address)
    }

    fn is_named(&self, host: &str) -> bool {
        self.host
            .as_ref()
            .is_some_and(|own| own.eq_ignore_ascii_case(host))
    }
}
