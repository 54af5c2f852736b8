//! The lines that clients write on the plugin socket, as values.
//! `docs/plugin-socket.md` is their specification. Pure.

use std::{net::IpAddr, time::Duration};

use sealpost_plugin_api::{
    Facts, Outcome, Presented, Query, ResultType, Session, StartTls, Verification, Verified,
};

pub use super::plugin_fields::LineError;
use super::plugin_fields::{Pairs, positional};

/// The longest line that is taken, its end not counted: room for certificates of 48 kB in base64. What
/// mail hosts send has three to ten.
pub const LINE_BYTES_MAX: usize = 65_536;

/// The most certificates of one chain. A judge looks at no more.
const CERTIFICATES_MAX: usize = 16;

/// What one line asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Is the daemon there?
    Ping,
    /// Answer what came before and close.
    Quit,
    /// What TLS does the domain demand, or (with an MX host) may this host be used?
    Policy(Question),
    /// Does what a server showed satisfy what was demanded?
    Verify(Box<Shown>),
    /// How one session went.
    Session(Box<ToldSession>),
}

/// `POLICY` and `MX`: a question to the hook, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The recipient domain as addressed.
    pub domain: String,
    /// The MX host about to be connected to.
    pub mx: Option<String>,
    /// The port about to be connected to, where it is not that of mail hosts.
    pub port: Option<u16>,
    /// How long the client is ready to wait.
    pub deadline: Option<Duration>,
}

impl Question {
    /// The question as the hook takes it. No client waits longer than `deadline_max`.
    #[must_use]
    pub fn query(&self, deadline_max: Duration) -> Query<'_> {
        let deadline = self.deadline.unwrap_or(deadline_max).min(deadline_max);
        let mut query = Query::new(&self.domain).with_deadline(deadline);
        query.mx = self.mx.as_deref();
        query.port = self.port;
        query
    }
}

/// `VERIFY`: [`Presented`], owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The recipient domain as addressed.
    pub domain: String,
    /// The MX host.
    pub mx: String,
    /// The policy token of the answer about this MX host; empty where the client has none.
    pub policy: String,
    /// The server's certificates, DER, its own first: as many as are looked at.
    pub chain_der: Vec<Vec<u8>>,
    /// Whether there were more.
    pub is_cut: bool,
}

impl Shown {
    /// Has them judged. What the first of them satisfy they all do; that these do not says nothing of all.
    pub fn judged(&self, judge: impl FnOnce(&Presented<'_>) -> Verified) -> Verified {
        match self.hand_to(judge) {
            Verified::Failed { .. } if self.is_cut => {
                Verified::Unknown("more certificates than are looked at".to_owned())
            }
            verified => verified,
        }
    }

    /// Hands it on as the hook takes it.
    pub fn hand_to<T>(&self, judge: impl FnOnce(&Presented<'_>) -> T) -> T {
        let chain: Vec<&[u8]> = self.chain_der.iter().map(Vec::as_slice).collect();
        judge(&Presented::new(
            &self.domain,
            &self.mx,
            &self.policy,
            &chain,
        ))
    }
}

/// `SESSION`: what an MTA tells of one session, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldSession {
    /// The recipient domain as addressed.
    pub domain: String,
    /// The policy token of the answer the session went by.
    pub policy: Option<String>,
    /// The MX host.
    pub mx: Option<String>,
    /// What the server called itself.
    pub mx_helo: Option<String>,
    /// The address connected to.
    pub receiving_ip: Option<IpAddr>,
    /// Our own address.
    pub sending_ip: Option<IpAddr>,
    /// When it ended, seconds since 1970.
    pub at_unix_seconds: Option<i64>,
    /// How it ended.
    pub ending: Ending,
}

/// How a told session ended: [`Outcome`], owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// TLS that satisfies the policy was negotiated.
    Success,
    /// The MTA knows the result type.
    Failure {
        /// Of RFC 8460 s4.3.
        result: ResultType,
        /// A code or words.
        reason: Option<String>,
    },
    /// The MTA knows what it saw.
    Facts {
        /// How far STARTTLS went.
        starttls: StartTls,
        /// What its check of the certificate said.
        verification: Verification,
        /// What its DANE check of the certificate said.
        dane: Verification,
        /// The server's certificate, DER.
        leaf_der: Option<Vec<u8>>,
        /// The further certificates that the server sent, DER; absent where that is not known.
        chain_der: Option<Vec<Vec<u8>>>,
        /// The error's words.
        error: Option<String>,
    },
}

impl ToldSession {
    /// Whether the server's whole chain was handed over, which is then judged.
    #[must_use]
    pub fn has_chain(&self) -> bool {
        match &self.ending {
            Ending::Facts { chain_der, .. } => {
                chain_der.as_ref().is_some_and(|all| !all.is_empty())
            }
            Ending::Success | Ending::Failure { .. } => false,
        }
    }

    /// Hands the session on as the hook takes it.
    pub fn hand_to<T>(&self, recorder: impl FnOnce(&Session<'_>) -> T) -> T {
        let further: Option<Vec<&[u8]>> = match &self.ending {
            Ending::Facts { chain_der, .. } => chain_der
                .as_ref()
                .map(|chain| chain.iter().map(Vec::as_slice).collect()),
            Ending::Success | Ending::Failure { .. } => None,
        };
        let mut session = Session::new(&self.domain, self.ending.outcome(further.as_deref()));
        session.policy = self.policy.as_deref();
        session.mx = self.mx.as_deref();
        session.mx_helo = self.mx_helo.as_deref();
        session.receiving_ip = self.receiving_ip;
        session.sending_ip = self.sending_ip;
        session.at_unix_seconds = self.at_unix_seconds;
        recorder(&session)
    }
}

impl Ending {
    fn outcome<'a>(&'a self, further: Option<&'a [&'a [u8]]>) -> Outcome<'a> {
        match self {
            Self::Success => Outcome::Success,
            Self::Failure { result, reason } => Outcome::Failure {
                result: *result,
                reason: reason.as_deref(),
            },
            Self::Facts {
                starttls,
                verification,
                dane,
                leaf_der,
                chain_der: _,
                error,
            } => {
                let facts = Facts::new(*starttls);
                let mut facts = facts.with_verification(*verification).with_dane(*dane);
                facts.leaf_der = leaf_der.as_deref();
                facts.chain_der = further;
                facts.error = error.as_deref();
                Outcome::Facts(facts)
            }
        }
    }
}

/// Reads one line without its end.
///
/// # Errors
/// Names the field that is wrong.
pub fn parse(line: &[u8]) -> Result<Request, LineError> {
    let mut fields = line.split(|byte| *byte == b'\t');
    match fields.next().unwrap_or_default() {
        b"PING" => Ok(Request::Ping),
        b"QUIT" => Ok(Request::Quit),
        b"POLICY" => {
            let domain = positional("domain", fields.next())?;
            question(domain, None, &Pairs::read(fields, &[])?)
        }
        b"MX" => {
            let domain = positional("domain", fields.next())?;
            let mx = positional("mx", fields.next())?;
            question(domain, Some(mx), &Pairs::read(fields, &[])?)
        }
        b"SESSION" => {
            let domain = positional("domain", fields.next())?;
            told_session(domain, &Pairs::read(fields, &["chain"])?)
                .map(|told| Request::Session(Box::new(told)))
        }
        b"VERIFY" => {
            let domain = positional("domain", fields.next())?;
            let mx = positional("mx", fields.next())?;
            shown(domain, mx, &Pairs::read(fields, &["cert"])?)
        }
        _ => Err(LineError::new(
            "request",
            "not one of PING, POLICY, MX, VERIFY, SESSION, QUIT",
        )),
    }
}

fn question(domain: String, mx: Option<String>, pairs: &Pairs<'_>) -> Result<Request, LineError> {
    let deadline = pairs.parsed("deadline-ms", "not a number of milliseconds", |text| {
        text.parse().ok().map(Duration::from_millis)
    })?;
    let port = pairs.parsed("port", "not a port from 1 to 65535", |text| {
        text.parse().ok().filter(|port| *port != 0)
    })?;
    Ok(Request::Policy(Question {
        domain,
        mx,
        port,
        deadline,
    }))
}

fn shown(domain: String, mx: String, pairs: &Pairs<'_>) -> Result<Request, LineError> {
    if pairs.begins_with_nothing("cert") {
        let problem = "empty: the next is not the server's own certificate";
        return Err(LineError::new("cert", problem));
    }
    let mut chain_der = pairs.certificates("cert")?;
    let is_cut = chain_der.len() > CERTIFICATES_MAX;
    chain_der.truncate(CERTIFICATES_MAX);
    Ok(Request::Verify(Box::new(Shown {
        domain,
        mx,
        policy: pairs.name("policy")?.unwrap_or_default(),
        chain_der,
        is_cut,
    })))
}

fn told_session(domain: String, pairs: &Pairs<'_>) -> Result<ToldSession, LineError> {
    let address = |text: &str| text.parse().ok();
    Ok(ToldSession {
        domain,
        policy: pairs.name("policy")?,
        mx: pairs.name("mx")?,
        mx_helo: pairs.text("helo"),
        receiving_ip: pairs.parsed("receiving-ip", "not an IP address", address)?,
        sending_ip: pairs.parsed("sending-ip", "not an IP address", address)?,
        at_unix_seconds: pairs.parsed("at", "not a number of seconds since 1970", |text| {
            text.parse().ok()
        })?,
        ending: ending(pairs)?,
    })
}

/// What an MTA may tell of what it saw.
const FACTS: [&str; 6] = ["starttls", "verified", "dane", "cert", "chain", "error"];

fn ending(pairs: &Pairs<'_>) -> Result<Ending, LineError> {
    let success = pairs.parsed("outcome", "the only outcome is `success`", |text| {
        (text == "success").then_some(())
    })?;
    let result: Option<ResultType> =
        pairs.parsed("result", "not a result type of RFC 8460 s4.3", |text| {
            text.parse().ok()
        })?;
    let reason = pairs.text("reason");
    let facts = facts(pairs)?;
    if reason.is_some() && result.is_none() {
        return Err(LineError::new("reason", "goes with `result` only"));
    }
    match (success, result, facts) {
        (Some(()), None, None) => Ok(Ending::Success),
        (None, Some(result), None) => Ok(Ending::Failure { result, reason }),
        (None, None, Some(facts)) => Ok(facts),
        (None, None, None) if pairs.names_any(&FACTS) => Ok(Ending::NOTHING_SEEN),
        (None, None, None) => Err(LineError::new(
            "outcome",
            "missing: give outcome, result, or what was seen (starttls, verified, dane, cert, \
             chain, error)",
        )),
        _ => Err(LineError::new(
            "outcome",
            "give one of outcome, result, and what was seen (starttls, verified, dane, cert, \
             chain, error)",
        )),
    }
}

/// What the MTA saw; nothing where it has nothing to tell.
fn facts(pairs: &Pairs<'_>) -> Result<Option<Ending>, LineError> {
    const CHECKED: &str = "not passed, failed, yes, no, 1 or 0";
    let starttls = pairs.parsed(
        "starttls",
        "not one of not-offered, refused, handshake-failed, established",
        starttls_of,
    )?;
    let verification = pairs.parsed("verified", CHECKED, verification_of)?;
    let dane = pairs.parsed("dane", CHECKED, verification_of)?;
    // Of several certificates in PEM it is the first: a chain begins with the leaf.
    let leaf_der = pairs.certificates("cert")?.into_iter().next();
    let chain_der = further(pairs)?;
    if chain_der.is_some() && leaf_der.is_none() {
        return Err(LineError::new("chain", "goes with `cert` only"));
    }
    let seen = Ending::Facts {
        starttls: starttls.unwrap_or_default(),
        verification: verification.unwrap_or_default(),
        dane: dane.unwrap_or_default(),
        leaf_der,
        chain_der,
        error: pairs.text("error"),
    };
    Ok((seen != Ending::NOTHING_SEEN).then_some(seen))
}

impl Ending {
    /// An MTA that says it saw nothing.
    const NOTHING_SEEN: Self = Self::Facts {
        starttls: StartTls::Unknown,
        verification: Verification::Unknown,
        dane: Verification::Unknown,
        leaf_der: None,
        chain_der: None,
        error: None,
    };
}

/// The certificates after the server's own. `none` says that it sent no others, which is more than not
/// to know. So is a part of them: of more than are looked at nothing is known.
fn further(pairs: &Pairs<'_>) -> Result<Option<Vec<Vec<u8>>>, LineError> {
    if pairs.is_only("chain", b"none") {
        return Ok(Some(Vec::new()));
    }
    let chain = pairs.certificates("chain")?;
    let is_whole = !chain.is_empty() && chain.len() < CERTIFICATES_MAX;
    Ok(is_whole.then_some(chain))
}

fn starttls_of(word: &str) -> Option<StartTls> {
    match word {
        "not-offered" => Some(StartTls::NotOffered),
        "refused" => Some(StartTls::Refused),
        "handshake-failed" => Some(StartTls::HandshakeFailed),
        "established" => Some(StartTls::Established),
        _ => None,
    }
}

/// `1` and `0` are what Exim's `$tls_out_certificate_verified` holds, `yes` its `$tls_out_dane`.
fn verification_of(word: &str) -> Option<Verification> {
    match word {
        "passed" | "yes" | "1" => Some(Verification::Passed),
        "failed" | "no" | "0" => Some(Verification::Failed),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
