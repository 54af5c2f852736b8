//! The trait itself and the question asked through it.

use core::time::Duration;

use crate::{Presented, Requirement, Session, Verified};

/// What an MTA calls. Implemented by Sealpost's engine (in process) and by any stand-in.
///
/// Both methods may be called from any thread. An implementation keeps no state that a `fork` of
/// the host would break; hosts that fork use `libsealpost.so`, which is a client of the daemon.
pub trait Hook: Send + Sync {
    /// What TLS does this recipient domain (and, when named, this MX host) demand?
    ///
    /// Answers within [`Query::deadline`]. Call it once before the MX lookup, to know the domain's
    /// level, and once for each MX host about to be connected to: an MX outside the domain's policy
    /// is answered with [`Level::RefuseMx`](crate::Level::RefuseMx), and **that refusal is itself a
    /// failed session which Sealpost counts when it gives it**. A host must not report it again.
    fn policy(&self, query: &Query<'_>) -> Requirement;

    /// Does the certificate chain that a server shows satisfy what was demanded of it?
    ///
    /// For hosts whose TLS library does no DANE, and for all that want one judge. Called during or
    /// after the handshake; answers at once, without waiting for anybody. What was presented may be told
    /// again with the session ([`Facts::chain_der`](crate::Facts::chain_der)).
    fn verify(&self, presented: &Presented<'_>) -> Verified;

    /// How did one TLS session, or one attempt at it, go?
    ///
    /// One call for each connection, not for each message or recipient. Returns at once: the session
    /// is put into a bounded queue, and when that is full it is dropped and counted as dropped.
    ///
    /// No call for a connection that carried a report, which is mail from the report's own sender that says
    /// `TLS-Required: No` (RFC 8460 s5.3). The host sends that without asking; told of it, Sealpost would
    /// report each report in its turn.
    fn session(&self, session: &Session<'_>);
}

/// One question to [`Hook::policy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Query<'a> {
    /// The recipient domain as addressed, or the smart host's domain where mail goes through one
    /// (RFC 8461 s3.4). U-labels and upper case are accepted. Address literals have no policy.
    pub domain: &'a str,
    /// The MX host about to be connected to: the name in the MX record, not its CNAME target.
    pub mx: Option<&'a str>,
    /// The port that will be connected to, where it is not that of mail hosts: TLSA records belong to a
    /// port (RFC 7672 s2.2.3).
    pub port: Option<u16>,
    /// How long the host is ready to wait. Past it the answer is made from what is cached.
    pub deadline: Duration,
}

impl<'a> Query<'a> {
    /// The time a host waits for an answer unless it says otherwise.
    pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(20);

    /// A question about a whole domain.
    #[must_use]
    pub const fn new(domain: &'a str) -> Self {
        Self {
            domain,
            mx: None,
            port: None,
            deadline: Self::DEADLINE_DEFAULT,
        }
    }

    /// The same question about one MX host.
    #[must_use]
    pub const fn with_mx(mut self, mx: &'a str) -> Self {
        self.mx = Some(mx);
        self
    }

    /// The same question about another port.
    #[must_use]
    pub const fn with_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The same question with another deadline.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}
