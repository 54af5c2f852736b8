//! The answer: what the MTA must do.

use alloc::{string::String, vec::Vec};

/// What an MTA must do for one recipient domain or MX host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requirement {
    /// The TLS that is demanded.
    pub level: Level,
    /// One line for the MTA's log or deferral: why this level. Printable ASCII without line ends.
    pub reason: String,
    /// Names the exact policy this answer was made from. Echo it in
    /// [`Session::policy`](crate::Session::policy), so that the session is counted under the policy
    /// that was applied even if the domain publishes another one meanwhile.
    pub policy: String,
    /// A policy in `testing` mode, or one that the operator put to `audit`, is evaluated in full and
    /// only reported. The host should then verify without enforcing, and hand over what it saw.
    pub audit: bool,
}

impl Requirement {
    /// An answer without a policy behind it.
    #[must_use]
    pub fn new(level: Level, reason: impl Into<String>) -> Self {
        Self {
            level,
            reason: reason.into(),
            policy: String::new(),
            audit: false,
        }
    }

    /// The same answer, bound to a policy.
    #[must_use]
    pub fn under_policy(mut self, policy: impl Into<String>) -> Self {
        self.policy = policy.into();
        self
    }

    /// The same answer, marked as evaluated and reported but not enforced.
    #[must_use]
    pub const fn audited(mut self) -> Self {
        self.audit = true;
        self
    }
}

/// The TLS that is demanded of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// Opportunistic: TLS if offered, else in the clear.
    May,
    /// TLS without authentication or nothing (DANE with only unusable TLSA records, RFC 7672 s2.2).
    Encrypt,
    /// TLS with a certificate that chains to a trusted root and carries the MX host's name, on an MX
    /// host whose name matches one of the patterns (MTA-STS `enforce`, RFC 8461 s4.1 and s4.2).
    Verify {
        /// The policy's `mx` patterns as A-labels, `*.` at the front of some.
        mx_patterns: Vec<String>,
        /// The name to send as SNI and to find in the certificate: the MX host. Absent when the
        /// question named no MX.
        name: Option<String>,
    },
    /// TLS with a certificate chain that matches one of the TLSA records (RFC 7672), or nothing.
    /// [`Hook::verify`](crate::Hook::verify) says whether one does.
    ///
    /// For a question that named no MX host it says that DANE decides on at least one of the domain's
    /// MX hosts: there are no records and no names then, and each host must be asked about.
    Dane {
        /// The records that a certificate may match.
        tlsa: Vec<Tlsa>,
        /// The TLSA base domain: the name to send as SNI (RFC 7672 s8.1).
        name: Option<String>,
        /// The names of which a certificate below a record of usage 2 must carry one, the base domain
        /// first (RFC 7672 s3.2.2). A record of usage 3 asks for none.
        names: Vec<String>,
    },
    /// The domain's policy excludes this MX host: go on to the next, as if it were unreachable
    /// (RFC 8461 s8.4). Sealpost has counted the failure.
    RefuseMx,
    /// Deliver nothing to this domain now; try again later.
    Defer,
}

/// One TLSA record (RFC 6698 s2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a TLSA record has these four fields by RFC 6698"
)]
pub struct Tlsa {
    /// Certificate usage.
    pub usage: u8,
    /// Selector.
    pub selector: u8,
    /// Matching type.
    pub matching: u8,
    /// Certificate association data.
    pub data: Vec<u8>,
}
