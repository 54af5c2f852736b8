//! What protected a session, or the lack of it: what an auditor asks for, beside what a report says.

/// How well one session was protected. Each session has one, whatever number of policies it is counted
/// under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protection {
    /// The certificate matched a secure TLSA record (RFC 7672).
    Dane,
    /// The MX host and its certificate satisfied an MTA-STS policy (RFC 8461), enforced or tested.
    Sts,
    /// TLS, with a certificate that no policy vouches for.
    Tls,
    /// None: the mail went in the clear, or would have.
    Clear,
    /// None was needed: a policy kept the mail from going there.
    Refused,
}

impl Protection {
    /// Every one, best first.
    pub const ALL: [Self; 5] = [Self::Dane, Self::Sts, Self::Tls, Self::Clear, Self::Refused];

    /// The word shown to an operator.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dane => "dane",
            Self::Sts => "sts",
            Self::Tls => "tls",
            Self::Clear => "clear",
            Self::Refused => "refused",
        }
    }
}
