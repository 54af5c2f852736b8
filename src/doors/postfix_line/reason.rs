//! Why a server would not do, or what it said of a recipient.
//!
//! Postfix's own words come first, the server's after them. Only the first are looked at.

use super::peer::{Peer, host};

/// Why a server would not do, or that it was talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    /// Mail was spoken of: the server took it, refused it, or was lost over it. So TLS was up by then,
    /// or was done without. Absent: Postfix does not say with whom.
    Talked(Option<Peer<'a>>),
    /// TLS was demanded and not offered.
    NotOffered(Peer<'a>),
    /// TLS was demanded and offered, and STARTTLS was refused.
    Refused(Peer<'a>),
    /// The server was lost after STARTTLS was sent, before it answered.
    LostInStartTls(Peer<'a>),
    /// The handshake failed.
    HandshakeFailed,
    /// TLS was up, and the certificate did not satisfy what was demanded.
    NotVerified,
    /// The TLSA records of this mail host could not be looked up.
    TlsaLookupFailed(&'a str),
    /// Anything else: a server that was not reached, or lost before mail was spoken of.
    Other,
}

/// Reads the words.
pub(super) fn read(words: &str) -> Reason<'_> {
    tls(words)
        .or_else(|| talked(words))
        .or_else(|| lost(words))
        .unwrap_or(Reason::Other)
}

fn tls(words: &str) -> Option<Reason<'_>> {
    match words {
        "Cannot start TLS: handshake failure" => return Some(Reason::HandshakeFailed),
        "Server certificate not verified" => return Some(Reason::NotVerified),
        _ => {}
    }
    if let Some(mx) = words.strip_prefix("TLSA lookup error for ") {
        let (mx, _port) = mx.rsplit_once(':')?;
        return host(mx).map(Reason::TlsaLookupFailed);
    }
    if let Some(words) = words.strip_prefix("TLS is required, but ") {
        if let Some(peer) = words.strip_prefix("was not offered by host ") {
            return Some(Reason::NotOffered(Peer::whole(peer)?));
        }
        let (peer, _reply) = Peer::before(words.strip_prefix("host ")?, " refused to start TLS: ")?;
        return Some(Reason::Refused(peer));
    }
    // 3.11 and later.
    let words = words.strip_prefix("Sender requested REQUIRETLS, but ")?;
    if let Some(peer) = words.strip_prefix("TLS service was not offered by host ") {
        return Some(Reason::NotOffered(Peer::whole(peer)?));
    }
    if let Some(words) = words.strip_prefix("host ") {
        let (peer, _reply) = Peer::before(words, " refused to start TLS: ")?;
        return Some(Reason::Refused(peer));
    }
    [
        "no matching server certificate",
        "no trusted server certificate",
    ]
    .iter()
    .any(|start| words.starts_with(start))
    .then_some(Reason::NotVerified)
}

/// `host mx.example.org[192.0.2.1] said: 450 4.2.0 Later (in reply to RCPT TO command)`.
fn talked(words: &str) -> Option<Reason<'_>> {
    let words = words.strip_prefix("Protocol error: ").unwrap_or(words);
    let (peer, _reply) = Peer::before(words.strip_prefix("host ")?, " said: ")?;
    // Postfix says so of commands of mail only; what it says of a greeting or EHLO is
    // `refused to talk to me`.
    Some(Reason::Talked(Some(peer)))
}

fn lost(words: &str) -> Option<Reason<'_>> {
    let (peer, doing) = match words.strip_prefix("lost connection with ") {
        Some(rest) => Peer::before(rest, " while ")?,
        None => Peer::before(
            words.strip_prefix("conversation with ")?,
            " timed out while ",
        )?,
    };
    if doing == "receiving the STARTTLS response" {
        return Some(Reason::LostInStartTls(peer));
    }
    doing
        .starts_with("sending ")
        .then_some(Reason::Talked(Some(peer)))
}
