//! A failure in a datagram of libtlsrpt: its number, and the words of Postfix and OpenSSL beside it,
//! as a result type of RFC 8460 s4.3 with its reason. Pure.

use std::net::IpAddr;

use sealpost_plugin_api::ResultType;
use serde::Deserialize;

use super::tlsrpt_datagram::{Malformed, Text};
use crate::{
    policy::{MxHost, PolicyType},
    record::Failure,
    record::untrusted::{harmless, reason_code},
};

/// The reason code where an MTA says only that it failed.
pub(super) const NO_DETAIL: &str = "mta-gave-no-detail";

/// The reason code of TLSA records that none of the certificates matches.
const DANE_NO_MATCH: &str = "dane-no-match";

/// An element of a policy's `failure-details`. Its `a`, further information, is at most a link.
#[derive(Debug, Deserialize)]
pub(super) struct WireFailure<'a> {
    /// The result type.
    c: u64,
    /// Our address.
    #[serde(borrow)]
    s: Option<Text<'a>>,
    /// The MX host.
    #[serde(borrow)]
    n: Option<Text<'a>>,
    /// What it called itself: its whole answer to EHLO, or the name alone.
    #[serde(borrow)]
    h: Option<Text<'a>>,
    /// Its address.
    #[serde(borrow)]
    r: Option<Text<'a>>,
    /// The reason.
    #[serde(borrow)]
    f: Option<Text<'a>>,
}

/// Whom a session was with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Met {
    mx: Option<String>,
    receiving_ip: Option<IpAddr>,
}

impl Met {
    /// Is it not told?
    pub(super) const fn is_nobody(&self) -> bool {
        self.mx.is_none() && self.receiving_ip.is_none()
    }
}

impl WireFailure<'_> {
    /// Whom the session was with, and how it failed under a policy of this type.
    pub(super) fn read(&self, policy_type: PolicyType) -> Result<(Met, Failure), Malformed> {
        let told = self.f.as_ref().and_then(|words| reason_code(&words.0));
        let (result, reason) = match self.c {
            201 => (ResultType::StarttlsNotSupported, told),
            202 => (ResultType::CertificateHostMismatch, told),
            // OURS: under "tlsa" nothing is trusted but the records, so that without a reason this says
            // that none of them matches (docs/decisions/0010-postfix.md).
            203 if policy_type == PolicyType::Tlsa && told.is_none() => (
                ResultType::ValidationFailure,
                Some(DANE_NO_MATCH.to_owned()),
            ),
            203 => (ResultType::CertificateNotTrusted, told),
            204 => (ResultType::CertificateExpired, told),
            205 => general(told),
            301 => (ResultType::StsPolicyFetchError, told),
            302 => (ResultType::StsPolicyInvalid, told),
            303 => (ResultType::StsWebpkiInvalid, told),
            304 => (ResultType::TlsaInvalid, told),
            305 => (ResultType::DnssecInvalid, told),
            306 => (ResultType::DaneRequired, told),
            other => return Err(Malformed::FailureCode(other)),
        };
        let met = Met {
            mx: self.n.as_ref().and_then(host),
            receiving_ip: self.r.as_ref().and_then(address),
        };
        let failure = if result.concerns_policy() {
            // D12: no MX host had a part in it.
            Failure {
                reason,
                ..Failure::of_policy(result, "")
            }
        } else {
            Failure {
                result,
                mx: met.mx.clone(),
                mx_helo: self.h.as_ref().and_then(|answer| helo(&answer.0)),
                receiving_ip: met.receiving_ip,
                sending_ip: self.s.as_ref().and_then(address),
                reason,
            }
        };
        Ok((met, failure))
    }
}

/// `validation-failure` as Postfix says it also of certificates, with OpenSSL's words as the reason.
// RFC 8460 s4.3.1: unknown authorities, name constraints and errors of the chain are
// certificate-not-trusted; validation-failure is what has no type of its own, and says why.
fn general(told: Option<String>) -> (ResultType, Option<String>) {
    let Some(reason) = told else {
        return (ResultType::ValidationFailure, Some(NO_DETAIL.to_owned()));
    };
    let words = reason.to_ascii_lowercase().replace('_', "-");
    let found = OPENSSL_WORDS
        .iter()
        .find(|(phrases, _)| phrases.contains(&words.as_str()));
    let result = found.map_or(ResultType::ValidationFailure, |(_, result)| *result);
    (result, Some(reason))
}

/// What OpenSSL calls its errors of verification (X509_verify_cert_error_string(3), 1.1 and 3), in
/// lower case with `-` between words.
const OPENSSL_WORDS: &[(&[&str], ResultType)] = &[
    (
        &[
            "self-signed-certificate",
            "self-signed-certificate-in-certificate-chain",
            "unable-to-get-issuer-certificate",
            "unable-to-get-local-issuer-certificate",
            "unable-to-verify-the-first-certificate",
            "certificate-is-not-yet-valid",
            "certificate-not-trusted",
            "certificate-rejected",
            "certificate-revoked",
            "certificate-chain-too-long",
            "certificate-signature-failure",
            "unable-to-decrypt-certificate-s-signature",
            "unable-to-decode-issuer-public-key",
            "issuer-certificate-doesn-t-have-a-public-key",
            "format-error-in-certificate-s-notbefore-field",
            "format-error-in-certificate-s-notafter-field",
            "invalid-ca-certificate",
            "invalid-non-ca-certificate-has-ca-markings",
            "path-length-constraint-exceeded",
            "unsupported-certificate-purpose",
            "unsuitable-certificate-purpose",
            "subject-issuer-mismatch",
            "authority-and-subject-key-identifier-mismatch",
            "authority-and-issuer-serial-number-mismatch",
            "key-usage-does-not-include-certificate-signing",
            "unhandled-critical-extension",
            "invalid-or-inconsistent-certificate-extension",
            "permitted-subtree-violation",
            "excluded-subtree-violation",
            "name-constraints-minimum-and-maximum-not-supported",
            "unsupported-name-constraint-type",
            "unsupported-or-invalid-name-constraint-syntax",
            "ee-certificate-key-too-weak",
            "ca-certificate-key-too-weak",
            "ca-md-too-weak",
            "ca-signature-digest-algorithm-too-weak",
        ],
        ResultType::CertificateNotTrusted,
    ),
    (&["certificate-has-expired"], ResultType::CertificateExpired),
    (
        &["hostname-mismatch", "ip-address-mismatch"],
        ResultType::CertificateHostMismatch,
    ),
];

/// The name of an MX host; what is none is made harmless and stays to be seen.
fn host(text: &Text<'_>) -> Option<String> {
    match text.0.parse::<MxHost>() {
        Ok(host) => Some(host.to_string()),
        Err(_) => harmless(&text.0),
    }
}

/// An address; what is none is left out.
fn address(text: &Text<'_>) -> Option<IpAddr> {
    let address: IpAddr = text.0.parse().ok()?;
    Some(address.to_canonical())
}

/// What the host called itself.
// RFC 8460 s4.4: receiving-mx-helo is the name in the answer to HELO or EHLO. Postfix gives the whole
// answer, with its codes and line ends (RFC 5321 s4.2.1); others give the name.
fn helo(answer: &str) -> Option<String> {
    let line = answer.lines().next()?;
    let name = match line.split_at_checked(3) {
        Some((code, rest)) if code.bytes().all(|octet| octet.is_ascii_digit()) => {
            match rest.as_bytes().first() {
                None | Some(b' ' | b'-') => rest.get(1..).unwrap_or_default(),
                // A name may begin with digits.
                Some(_) => line,
            }
        }
        _ => line,
    };
    harmless(name.split_whitespace().next()?)
}
