//! One line of Postfix's log, read.
//!
//! Postfix's programs say what they did in lines of text, each with the name and number of the process
//! that says it. A few tell of TLS: that it came up and what the certificate was worth, why it did not,
//! which mail host was passed over, and what became of each recipient. This file knows their words, as
//! Postfix 3.7 to 3.12 word them.
//!
//! Whoever gets or refuses our mail has a say in these lines: a recipient's address, a host name, a
//! server's reply. So a line is read from the left by its structure, and what stands behind the words
//! of another is never searched for ours. Whoever can write to the log itself can say anything.

mod delivery;
mod peer;
mod reason;

pub use delivery::{Delivery, TlsUsed};
pub use peer::Peer;
pub use reason::Reason;

use peer::{host, next_hop_name};

/// The longest line that is read, in octets. Postfix cuts its own at a third of it.
pub const LINE_BYTES_MAX: usize = 16_384;

/// A line, and who said it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// Who said it.
    pub process: Process<'a>,
    /// What it said.
    pub said: Said<'a>,
}

/// A process of Postfix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process<'a> {
    /// The machine, as the log names it; a log may be of several. Empty when the line names none.
    pub machine: &'a str,
    /// `syslog_name`: `postfix`, or what tells one instance or service from another.
    pub instance: &'a str,
    /// The program: `smtp`, `qmgr`.
    pub program: &'a str,
    /// Its process id.
    pub pid: u32,
}

/// What a process said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// Postfix was started, or has read its configuration again.
    Started,
    /// A message is about to be delivered.
    Queued {
        /// The message.
        queue_id: &'a str,
        /// Its envelope sender; empty for a bounce.
        sender: &'a str,
    },
    /// A message has left the queue.
    Removed {
        /// The message.
        queue_id: &'a str,
    },
    /// TLS is up.
    Tls {
        /// With whom.
        peer: Peer<'a>,
        /// What the certificate was worth.
        trust: Trust,
        /// The connection is one of those that an earlier message left open: no new session.
        connection: Connection,
    },
    /// The certificate did not pass. The words are ours where the peer has a say in Postfix's.
    CertificateTrouble {
        /// Whose.
        peer: Peer<'a>,
        /// What was wrong with it.
        words: &'a str,
    },
    /// A TLS session was resumed whose certificate had not passed.
    ResumedUntrusted {
        /// With whom.
        peer: Peer<'a>,
    },
    /// The TLS handshake failed.
    HandshakeFailed {
        /// With whom.
        peer: Peer<'a>,
        /// Why, if Postfix knows: the system's words, or `lost connection`.
        words: &'a str,
    },
    /// What the TLS library has to say of a handshake that failed.
    LibraryProblem {
        /// Its reason: `wrong version number`.
        words: &'a str,
    },
    /// A mail host was passed over, because the domain's policy does not list it.
    NotListed {
        /// The mail host.
        mx: &'a str,
        /// The policy domain.
        domain: &'a str,
    },
    /// A mail host was passed over, because its TLSA records could not be looked up.
    TlsaLookupFailed {
        /// The next hop: the recipient domain or the relay, without brackets and port.
        next_hop: &'a str,
        /// The mail host.
        mx: &'a str,
    },
    /// A mail host was passed over, because `dane-only` holds and it has no TLSA records that Postfix can use.
    DaneNotToBeHad {
        /// The next hop: the recipient domain or the relay, without brackets and port.
        next_hop: &'a str,
        /// The mail host.
        mx: &'a str,
        /// What it lacks.
        lack: DaneLack,
    },
    /// The server offers STARTTLS, and this host is set not to use it with it.
    OfferNotTaken {
        /// The mail host.
        mx: &'a str,
    },
    /// Postfix 3.10 and later has told libtlsrpt of a session.
    Reported {
        /// With whom.
        peer: Peer<'a>,
        /// What it told.
        reported: Reported,
    },
    /// There was no connection.
    NotConnected {
        /// With whom.
        peer: Peer<'a>,
    },
    /// A mail host would not do, and the next is tried.
    PassedOver {
        /// The message.
        queue_id: &'a str,
        /// Why.
        reason: Reason<'a>,
    },
    /// What became of one recipient of a message.
    Delivery(Delivery<'a>),
}

/// What a mail host lacks that `dane-only` demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DaneLack {
    /// TLSA records, below signed MX records and addresses. No other word is said of it.
    Records,
    /// One among them that can be used. Postfix 3.10 and later tells libtlsrpt of it.
    Usable,
}

/// What a certificate was worth to Postfix. What was checked depends on its level for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// There was none.
    Anonymous,
    /// It does not chain to a root that Postfix was given, which at an opportunistic level may be none.
    Untrusted,
    /// It chains to a trusted root. The name was not asked for, or is another.
    Trusted,
    /// It satisfies the policy that Postfix went by, name and all.
    Verified,
}

/// What Postfix has told libtlsrpt of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reported {
    /// That STARTTLS was not offered, or refused.
    WithoutTls,
    /// Anything else.
    Other,
}

/// Whether a connection is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Connection {
    /// It was made for this message.
    New,
    /// An earlier message left it open.
    Reused,
}

/// Reads a line; `None` when it is no line of Postfix that tells anything here.
#[must_use]
pub fn parse(line: &str) -> Option<LogLine<'_>> {
    let (process, message) = header(line)?;
    let said = match process.program {
        "smtp" => smtp(message),
        "tlsproxy" => certificate(message),
        "qmgr" | "oqmgr" | "nqmgr" => qmgr(message),
        "master" => master(message),
        _ => None,
    }?;
    Some(LogLine { process, said })
}

/// How many words may stand before the process: a priority, date, time, zone, machine.
const HEADER_WORDS_MAX: usize = 8;

/// The longest of them is a machine's name.
const HEADER_WORD_BYTES_MAX: usize = 300;

/// The process that speaks, and its words. The first word that ends in a colon is the process: what
/// another program quotes of Postfix comes after its own name.
fn header(line: &str) -> Option<(Process<'_>, &str)> {
    let mut rest = line;
    let mut machine = "";
    for _ in 0..HEADER_WORDS_MAX {
        let (word, after) = rest.trim_start_matches(' ').split_once(' ')?;
        if word.len() > HEADER_WORD_BYTES_MAX {
            return None;
        }
        if let Some(name) = word.strip_suffix(':') {
            let process = process(name, machine)?;
            return Some((process, after.trim_start_matches(' ')));
        }
        machine = word;
        rest = after;
    }
    None
}

/// `postfix-out/smtp[123]`.
fn process<'a>(name: &'a str, machine: &'a str) -> Option<Process<'a>> {
    let (path, pid) = name.strip_suffix(']')?.split_once('[')?;
    let (instance, program) = path.rsplit_once('/')?;
    Some(Process {
        machine,
        instance,
        program,
        pid: pid.parse().ok()?,
    })
}

fn smtp(message: &str) -> Option<Said<'_>> {
    if let Some(warning) = message.strip_prefix("warning: ") {
        return smtp_warning(warning);
    }
    if let Some((queue_id, words)) = with_queue_id(message) {
        return match words.strip_prefix("to=<") {
            Some(fields) => delivery::read(queue_id, fields).map(Said::Delivery),
            None => Some(Said::PassedOver {
                queue_id,
                reason: reason::read(words),
            }),
        };
    }
    tls_up(message)
        .or_else(|| certificate(message))
        .or_else(|| reported(message))
        .or_else(|| {
            let (peer, words) = Peer::before(message.strip_prefix("SSL_connect error to ")?, ": ")?;
            Some(Said::HandshakeFailed { peer, words })
        })
        .or_else(|| {
            let (peer, _) = Peer::before(message.strip_prefix("connect to ")?, ": ")?;
            Some(Said::NotConnected { peer })
        })
        .or_else(|| {
            let mx = message.strip_prefix("Host offered STARTTLS: [")?;
            let mx = host(mx.strip_suffix(']')?)?;
            Some(Said::OfferNotTaken { mx })
        })
}

fn smtp_warning(warning: &str) -> Option<Said<'_>> {
    if let Some(problem) = warning.strip_prefix("TLS library problem: ") {
        let words = library_reason(problem)?;
        return Some(Said::LibraryProblem { words });
    }
    if let Some(names) = warning.strip_prefix("MX name '") {
        let (mx, rest) = names.split_once("' does not match STS MX pattern for '")?;
        return Some(Said::NotListed {
            mx: host(mx)?,
            domain: host(rest.strip_suffix('\'')?)?,
        });
    }
    let about = warning
        .strip_prefix("TLS policy lookup for ")
        .or_else(|| warning.strip_prefix("TLS policy lookup error for "))?;
    let (names, words) = about.split_once(": ")?;
    let (next_hop, mx) = names.split_once('/')?;
    let (next_hop, mx) = (next_hop_name(next_hop)?, host(mx)?);
    if let Some((_, lack)) = NO_DANE.iter().find(|(no_dane, _)| *no_dane == words) {
        let lack = *lack;
        return Some(Said::DaneNotToBeHad { next_hop, mx, lack });
    }
    // The same host, with its port.
    let rest = words.strip_prefix("TLSA lookup error for ")?;
    rest.strip_prefix(mx)?.strip_prefix(':')?;
    Some(Said::TlsaLookupFailed { next_hop, mx })
}

/// Why `dane-only` keeps mail from a host, as Postfix words it; at the level `dane` it warns of none of these.
const NO_DANE: [(&str, DaneLack); 3] = [
    ("non DNSSEC destination", DaneLack::Records),
    ("no TLSA records found", DaneLack::Records),
    ("TLSA records unusable", DaneLack::Usable),
];

/// OpenSSL's reason of `error:0A00010B:SSL routines::wrong version number:file.c:354:`. What follows it
/// may be data of the peer.
fn library_reason(problem: &str) -> Option<&str> {
    let reason = problem.strip_prefix("error:")?.split(':').nth(3)?;
    (!reason.is_empty()).then_some(reason)
}

fn tls_up(message: &str) -> Option<Said<'_>> {
    let (trust, rest) = message.split_once(" TLS connection ")?;
    let trust = match trust {
        "Anonymous" => Trust::Anonymous,
        "Untrusted" => Trust::Untrusted,
        "Trusted" => Trust::Trusted,
        "Verified" => Trust::Verified,
        _ => return None,
    };
    let (connection, rest) = match rest.strip_prefix("established to ") {
        Some(rest) => (Connection::New, rest),
        None => (Connection::Reused, rest.strip_prefix("reused to ")?),
    };
    let (peer, _) = Peer::before(rest, ": ")?;
    Some(Said::Tls {
        peer,
        trust,
        connection,
    })
}

/// `TLSRPT: status=failure, domain=example.org, receiving_mx=mx.example.org[192.0.2.1], failure_type=...`
fn reported(message: &str) -> Option<Said<'_>> {
    let (_status, rest) = message
        .strip_prefix("TLSRPT: status=")?
        .split_once(", domain=")?;
    let (_domain, rest) = rest.split_once(", receiving_mx=")?;
    let (peer, rest) = Peer::read(rest)?;
    let reported = if rest.starts_with(", failure_type=starttls_not_supported") {
        Reported::WithoutTls
    } else {
        Reported::Other
    };
    Some(Said::Reported { peer, reported })
}

/// What the check of a certificate says.
fn certificate(message: &str) -> Option<Said<'_>> {
    let failed = ["", "server ", "CA "].iter().find_map(|whose| {
        let rest = message.strip_prefix(whose)?;
        rest.strip_prefix("certificate verification failed for ")
    });
    if let Some(rest) = failed {
        let (peer, words) = Peer::before(rest, ": ")?;
        // The issuer's name is the peer's to choose.
        let words = if words.starts_with("untrusted issuer") {
            "untrusted issuer"
        } else {
            words
        };
        return Some(Said::CertificateTrouble { peer, words });
    }
    let (peer, words) = Peer::before(message, ": ")?;
    words
        .starts_with("re-using session with untrusted ")
        .then_some(Said::ResumedUntrusted { peer })
}

fn qmgr(message: &str) -> Option<Said<'_>> {
    let (queue_id, words) = with_queue_id(message)?;
    if words == "removed" {
        return Some(Said::Removed { queue_id });
    }
    let (sender, rest) = delivery::address(words.strip_prefix("from=<")?)?;
    rest.starts_with(", size=")
        .then_some(Said::Queued { queue_id, sender })
}

fn master(message: &str) -> Option<Said<'_>> {
    ["daemon started -- version ", "reload -- version "]
        .iter()
        .any(|words| message.starts_with(words))
        .then_some(Said::Started)
}

/// `6A3259B2607: `, or `4gXyZ16bcdfz1Xq: ` with `enable_long_queue_ids`: ten digits and consonants for
/// the time, a `z`, more of them for the file.
fn with_queue_id(message: &str) -> Option<(&str, &str)> {
    let (id, words) = message.split_once(": ")?;
    let short = id
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    let vowel = |byte: u8| matches!(byte.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u');
    let long = id.as_bytes().get(10) == Some(&b'z')
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() && !vowel(byte));
    ((5..=32).contains(&id.len()) && (short || long)).then_some((id, words))
}

#[cfg(test)]
mod tests;
