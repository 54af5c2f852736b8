//! What an MTA tells us about one TLS session.

use core::net::IpAddr;

use crate::ResultType;

/// One TLS session, or one attempt at it. Everything but the domain and the outcome is optional;
/// what is unknown is left out of the report, never invented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session<'a> {
    /// The domain that was asked about in [`Query::domain`](crate::Query::domain).
    pub domain: &'a str,
    /// [`Requirement::policy`](crate::Requirement::policy) of the answer this session went by.
    /// Absent: the policy now in force for the domain.
    pub policy: Option<&'a str>,
    /// The MX host, as named in the MX record.
    pub mx: Option<&'a str>,
    /// What the server called itself in its greeting or EHLO reply. Not trusted.
    pub mx_helo: Option<&'a str>,
    /// The address that was connected to.
    pub receiving_ip: Option<IpAddr>,
    /// Our own address on that connection.
    pub sending_ip: Option<IpAddr>,
    /// When it ended, seconds since 1970-01-01T00:00:00Z. Absent: now.
    pub at_unix_seconds: Option<i64>,
    /// How it went.
    pub outcome: Outcome<'a>,
}

impl<'a> Session<'a> {
    /// A session of which nothing is known but its end.
    #[must_use]
    pub const fn new(domain: &'a str, outcome: Outcome<'a>) -> Self {
        Self {
            domain,
            policy: None,
            mx: None,
            mx_helo: None,
            receiving_ip: None,
            sending_ip: None,
            at_unix_seconds: None,
            outcome,
        }
    }

    /// The session was with this MX host.
    #[must_use]
    pub const fn with_mx(mut self, mx: &'a str) -> Self {
        self.mx = Some(mx);
        self
    }

    /// The session went by the answer that carried this policy.
    #[must_use]
    pub const fn under_policy(mut self, policy: &'a str) -> Self {
        self.policy = Some(policy);
        self
    }
}

/// How a session went: in the RFC's words, or as raw facts that Sealpost classifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// A TLS connection that satisfies the policy was negotiated, whatever SMTP said later.
    Success,
    /// The MTA knows the result type.
    Failure {
        /// The result type of RFC 8460 s4.3.
        result: ResultType,
        /// A short stable code, or the TLS library's words.
        reason: Option<&'a str>,
    },
    /// The MTA knows what it saw.
    Facts(Facts<'a>),
}

/// What an MTA saw of a session. Leave out what it did not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Facts<'a> {
    /// How far STARTTLS went.
    pub starttls: StartTls,
    /// What the MTA's own check of the certificate said.
    pub verification: Verification,
    /// What the MTA's own DANE check of the certificate said (RFC 7672), where it made one.
    pub dane: Verification,
    /// The server's own certificate, DER.
    pub leaf_der: Option<&'a [u8]>,
    /// The further certificates that the server sent, DER, in its order. Absent: not known.
    pub chain_der: Option<&'a [&'a [u8]]>,
    /// The error as the MTA or its TLS library worded it.
    pub error: Option<&'a str>,
}

impl<'a> Facts<'a> {
    /// Facts that begin with how far STARTTLS went.
    #[must_use]
    pub fn new(starttls: StartTls) -> Self {
        Self {
            starttls,
            ..Self::default()
        }
    }

    /// The same facts with the certificate check's answer.
    #[must_use]
    pub const fn with_verification(mut self, verification: Verification) -> Self {
        self.verification = verification;
        self
    }

    /// The same facts with the DANE check's answer.
    #[must_use]
    pub const fn with_dane(mut self, dane: Verification) -> Self {
        self.dane = dane;
        self
    }

    /// The same facts with the further certificates that the server sent, DER.
    #[must_use]
    pub const fn with_chain_der(mut self, chain_der: &'a [&'a [u8]]) -> Self {
        self.chain_der = Some(chain_der);
        self
    }

    /// The same facts with the server's certificate, DER.
    #[must_use]
    pub const fn with_leaf_der(mut self, leaf_der: &'a [u8]) -> Self {
        self.leaf_der = Some(leaf_der);
        self
    }

    /// The same facts with the error's words.
    #[must_use]
    pub const fn with_error(mut self, error: &'a str) -> Self {
        self.error = Some(error);
        self
    }
}

/// How far STARTTLS went on one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StartTls {
    /// The MTA did not see, or does not say. It is then told from the error's words, or the session
    /// is not counted: a connection that failed before EHLO is no TLS failure (RFC 8460 s4.3.4).
    #[default]
    Unknown,
    /// The EHLO reply did not list it.
    NotOffered,
    /// It was listed, and the command was answered with 4xx or 5xx.
    Refused,
    /// The handshake began and failed.
    HandshakeFailed,
    /// TLS was up.
    Established,
}

/// What the MTA's own check of the server's certificate said: trusted root, dates and MX name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verification {
    /// It was not checked, or the MTA does not say.
    #[default]
    Unknown,
    /// Trusted, in date and for the MX host's name.
    Passed,
    /// Not so.
    Failed,
}
