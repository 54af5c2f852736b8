//! The names RFC 8460 gives to what can go wrong.

use core::{fmt, str::FromStr};

/// A result type of RFC 8460 s4.3: how a session failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ResultType {
    /// The MX offered no STARTTLS, or refused to start it (s4.3.1).
    StarttlsNotSupported,
    /// The certificate does not carry the name that the policy demands (s4.3.1).
    CertificateHostMismatch,
    /// The certificate, or one of its chain, has expired (s4.3.1).
    CertificateExpired,
    /// The certificate does not chain to a trusted root, is self-signed, or not yet valid (s4.3.1).
    CertificateNotTrusted,
    /// Anything else; always with a reason code (s4.3.1).
    ValidationFailure,
    /// No TLSA record of the set is valid (s4.3.2.1).
    TlsaInvalid,
    /// The resolver returned no valid records (s4.3.2.1).
    DnssecInvalid,
    /// DANE was mandatory and there was no usable TLSA record (s4.3.2.1).
    DaneRequired,
    /// The policy could not be retrieved (s4.3.2.2).
    StsPolicyFetchError,
    /// The policy was retrieved and is not valid (s4.3.2.2).
    StsPolicyInvalid,
    /// The policy host's certificate is not valid (s4.3.2.2).
    StsWebpkiInvalid,
}

impl ResultType {
    /// Every result type, in the order of RFC 8460 s4.3.
    pub const ALL: [Self; 11] = [
        Self::StarttlsNotSupported,
        Self::CertificateHostMismatch,
        Self::CertificateExpired,
        Self::CertificateNotTrusted,
        Self::ValidationFailure,
        Self::TlsaInvalid,
        Self::DnssecInvalid,
        Self::DaneRequired,
        Self::StsPolicyFetchError,
        Self::StsPolicyInvalid,
        Self::StsWebpkiInvalid,
    ];

    /// The name in the IANA registry, as a report carries it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StarttlsNotSupported => "starttls-not-supported",
            Self::CertificateHostMismatch => "certificate-host-mismatch",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateNotTrusted => "certificate-not-trusted",
            Self::ValidationFailure => "validation-failure",
            Self::TlsaInvalid => "tlsa-invalid",
            Self::DnssecInvalid => "dnssec-invalid",
            Self::DaneRequired => "dane-required",
            Self::StsPolicyFetchError => "sts-policy-fetch-error",
            Self::StsPolicyInvalid => "sts-policy-invalid",
            Self::StsWebpkiInvalid => "sts-webpki-invalid",
        }
    }

    /// Was it the policy, rather than an MX host, that failed?
    #[must_use]
    pub const fn concerns_policy(self) -> bool {
        matches!(
            self,
            Self::StsPolicyFetchError | Self::StsPolicyInvalid | Self::StsWebpkiInvalid
        )
    }
}

impl fmt::Display for ResultType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The name is not one of RFC 8460 s4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownResultType;

impl fmt::Display for UnknownResultType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a result type of RFC 8460 s4.3")
    }
}

impl core::error::Error for UnknownResultType {}

impl FromStr for ResultType {
    type Err = UnknownResultType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|result| result.name() == name)
            .ok_or(UnknownResultType)
    }
}
