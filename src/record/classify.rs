//! From an MTA's words to a result type of RFC 8460 s4.3.
//!
//! MTAs and TLS libraries word the same failure in many ways, and some say only "verification
//! failed". The facts come first: how far STARTTLS went, and what the certificate itself says. The
//! words decide only where these leave it open.

use sealpost_plugin_api::{Facts, ResultType, StartTls, Verification};

use super::certificate::Leaf;
use crate::{clock::Timestamp, policy::MxHost};

/// What became of TLS on one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// TLS was up. The certificate's troubles, if it was looked at; a policy may not care.
    Established {
        /// Empty when nothing was found wrong.
        troubles: Vec<Trouble>,
    },
    /// TLS did not come up.
    Failed(Vec<Trouble>),
    /// The connection failed before TLS could be spoken of, or nothing is known of it
    /// (RFC 8460 s4.3.4): not a session.
    NoSession,
}

/// A result type and its reason code.
pub type Trouble = (ResultType, Option<&'static str>);

/// Classifies facts. `at` is when the session ended, `host` the MX host's name where it is one.
#[must_use]
pub fn classify(facts: &Facts<'_>, host: Option<&MxHost>, at: Timestamp) -> Observed {
    let words = facts.error.map(read_words);
    let starttls = match (facts.starttls, words) {
        (StartTls::Unknown, Some(Words::Tls(step, _))) => step,
        // The certificate was seen, so TLS was under way.
        (StartTls::Unknown, _) if facts.leaf_der.is_some() => StartTls::HandshakeFailed,
        (StartTls::Unknown, _) => match facts.verification {
            Verification::Passed => StartTls::Established,
            Verification::Failed => StartTls::HandshakeFailed,
            _ => return Observed::NoSession,
        },
        (known, _) => known,
    };
    match starttls {
        StartTls::NotOffered => Observed::Failed(vec![(
            ResultType::StarttlsNotSupported,
            Some("starttls-not-offered"),
        )]),
        // OURS: STARTTLS answered with 4xx or 5xx is not supported either (D table).
        StartTls::Refused => Observed::Failed(vec![(
            ResultType::StarttlsNotSupported,
            Some("starttls-refused"),
        )]),
        StartTls::Established => Observed::Established {
            troubles: certificate_troubles(facts, host, at, words, facts.verification),
        },
        _ => {
            let mut troubles = certificate_troubles(facts, host, at, words, Verification::Unknown);
            if troubles.is_empty() {
                troubles.push(match words {
                    Some(Words::Tls(_, trouble)) => trouble,
                    _ if facts.verification == Verification::Failed => NOT_TRUSTED,
                    _ => HANDSHAKE_FAILED,
                });
            }
            Observed::Failed(troubles)
        }
    }
}

/// The handshake failed, and it is not known why.
pub(super) const HANDSHAKE_FAILED: Trouble =
    (ResultType::ValidationFailure, Some("handshake-failed"));
/// An MTA says that a certificate is not trusted, and not why.
pub(super) const NOT_TRUSTED: Trouble = (
    ResultType::CertificateNotTrusted,
    Some("certificate-not-trusted"),
);
const SELF_SIGNED: Trouble = (ResultType::CertificateNotTrusted, Some("self-signed"));
/// A certificate is of a later time.
pub(super) const NOT_YET_VALID: Trouble =
    (ResultType::CertificateNotTrusted, Some("not-yet-valid"));
const UNKNOWN_ISSUER: Trouble = (ResultType::CertificateNotTrusted, Some("unknown-issuer"));
/// A certificate is out of date.
pub(super) const EXPIRED: Trouble = (ResultType::CertificateExpired, None);
const HOST_MISMATCH: Trouble = (ResultType::CertificateHostMismatch, None);

/// What is wrong with the certificate: from itself first, then from the MTA's words.
fn certificate_troubles(
    facts: &Facts<'_>,
    host: Option<&MxHost>,
    at: Timestamp,
    words: Option<Words>,
    verification: Verification,
) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    if let Some(leaf) = facts.leaf_der.and_then(Leaf::from_der) {
        // RFC 8461 s4.2: only the subjectAltName counts. Exim with GnuTLS and others take the common
        // name too, so that even a certificate that passed their check is looked at again (B24).
        if host.is_some_and(|host| !leaf.names(host)) {
            troubles.push(HOST_MISMATCH);
        }
        if verification == Verification::Passed {
            return troubles;
        }
        // RFC 8460 s4.3: one session may fail in several ways at once (D3).
        if leaf.expired(at) {
            troubles.push(EXPIRED);
        }
        // OURS: there is no type for "not yet"; it is a matter of trust (D table).
        if leaf.not_yet_valid(at) {
            troubles.push(NOT_YET_VALID);
        }
        if leaf.self_signed {
            troubles.push(SELF_SIGNED);
        }
    }
    if verification == Verification::Passed {
        return troubles;
    }
    let said = match words {
        Some(Words::Tls(_, trouble)) if concerns_certificate(trouble.0) => Some(trouble),
        _ => None,
    };
    if !troubles.is_empty() {
        // What is wrong with the rest of the chain the certificate itself does not tell. One that is
        // self-signed has no chain.
        let of_chain = said.filter(|trouble| [UNKNOWN_ISSUER, EXPIRED].contains(trouble));
        let new =
            |trouble: &Trouble| !troubles.contains(trouble) && !troubles.contains(&SELF_SIGNED);
        troubles.extend(of_chain.filter(new));
        return troubles;
    }
    match (said, verification) {
        (Some(trouble), _) => vec![trouble],
        // The certificate's own members are in order, so it is the chain that is not trusted.
        (None, Verification::Failed) => vec![NOT_TRUSTED],
        _ => Vec::new(),
    }
}

/// Whether a result type says something of a certificate.
#[must_use]
pub const fn concerns_certificate(result: ResultType) -> bool {
    matches!(
        result,
        ResultType::CertificateExpired
            | ResultType::CertificateHostMismatch
            | ResultType::CertificateNotTrusted
    )
}

/// What an error's words tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    /// How far STARTTLS went, and what failed.
    Tls(StartTls, Trouble),
    /// Nothing about TLS.
    Nothing,
}

/// Reads an error's words: the first line of the table that fits.
fn read_words(error: &str) -> Words {
    // Whoever worded it, the words that matter stand in the first kilobyte.
    let error: String = error
        .chars()
        .take(1_024)
        .collect::<String>()
        .to_ascii_lowercase();
    if is_reply(&error) && !error.contains("tls") {
        return Words::Nothing;
    }
    let found = PHRASES.iter().find(|(phrases, _, _)| {
        phrases
            .iter()
            .any(|phrase| phrase.split('*').all(|part| error.contains(part)))
    });
    found.map_or(Words::Nothing, |(_, step, trouble)| {
        Words::Tls(*step, *trouble)
    })
}

/// Whether the words are a server's refusal, bare or as Exim quotes it.
// RFC 8460 s4.2.1: what a server says of the mail is nothing about TLS, be it of expired
// certificates, untrusted senders or alerts.
fn is_reply(error: &str) -> bool {
    let mut octets = error.bytes();
    let code = matches!(octets.next(), Some(b'4' | b'5'))
        && octets.by_ref().take(2).all(|octet| octet.is_ascii_digit())
        && matches!(octets.next(), Some(b' ' | b'-'));
    code || error.contains("smtp error from remote mail server")
}

/// Phrases of Exim (GnuTLS and OpenSSL builds), Postfix, OpenSSL, GnuTLS, rustls and Node, in lower
/// case; `*` joins parts that must all occur. More telling ones stand first.
const PHRASES: &[(&[&str], StartTls, Trouble)] = &[
    (
        &[
            "did not offer tls",
            "not offer starttls",
            "starttls not offered",
            "was not offered by host",
            "starttls not supported",
            "starttls is not supported",
            "no starttls",
        ],
        StartTls::NotOffered,
        (
            ResultType::StarttlsNotSupported,
            Some("starttls-not-offered"),
        ),
    ),
    (
        &[
            "attempt to start tls failed",
            "refused to start tls",
            "starttls refused",
            "starttls rejected",
            "starttls*454",
            // RFC 3207 s4: the reply 454.
            "tls not available",
        ],
        StartTls::Refused,
        (ResultType::StarttlsNotSupported, Some("starttls-refused")),
    ),
    // Exim with GnuTLS; OpenSSL; Postfix.
    (
        &[
            "certificate differs",
            "no matching dane",
            "no matching tlsa",
            "dane*mismatch",
            "tlsa mismatch",
        ],
        StartTls::HandshakeFailed,
        (ResultType::ValidationFailure, Some("dane-no-match")),
    ),
    (
        &[
            "certificate*has expired",
            "certificate*expired",
            "cert_has_expired",
            "certexpired",
        ],
        StartTls::HandshakeFailed,
        EXPIRED,
    ),
    (
        &[
            "not yet valid",
            "not yet activated",
            "cert_not_yet_valid",
            "notvalidyet",
        ],
        StartTls::HandshakeFailed,
        NOT_YET_VALID,
    ),
    (
        &[
            "hostname mismatch",
            "name mismatch",
            "notvalidforname",
            "not valid for name",
            "altname_invalid",
            "does not match the host",
            "does not match*name",
            "does not match hostname",
            "host name does not match",
        ],
        StartTls::HandshakeFailed,
        HOST_MISMATCH,
    ),
    (
        &[
            "self-signed",
            "self signed",
            "depth_zero_self_signed",
            "self_signed_cert",
        ],
        StartTls::HandshakeFailed,
        SELF_SIGNED,
    ),
    (
        &[
            "unknownissuer",
            "unknown issuer",
            "untrusted issuer",
            "unknown ca",
            "unable to get*issuer",
            "unable to verify the first",
            "unable_to_verify",
            "unable_to_get_issuer",
        ],
        StartTls::HandshakeFailed,
        UNKNOWN_ISSUER,
    ),
    (
        &[
            "certificate verification failed",
            "certificate invalid",
            "certificate verify failed",
            "certificate not verified",
            "not trusted",
            "invalid peer certificate",
            "untrusted",
        ],
        StartTls::HandshakeFailed,
        NOT_TRUSTED,
    ),
    (
        &[
            "unexpected tls packet",
            "wrong version number",
            "wrong_version_number",
            "invalidcontenttype",
            "corrupt message",
            "packet length",
        ],
        StartTls::HandshakeFailed,
        (ResultType::ValidationFailure, Some("not-tls")),
    ),
    (
        &[
            "protocol version",
            "unsupported protocol",
            "unsupported_protocol",
            "no common version",
        ],
        StartTls::HandshakeFailed,
        (ResultType::ValidationFailure, Some("protocol-version")),
    ),
    (
        &["no shared cipher", "no common cipher", "cipher"],
        StartTls::HandshakeFailed,
        (ResultType::ValidationFailure, Some("no-common-cipher")),
    ),
    (
        &[
            "handshake",
            "tls session",
            "tls error",
            "ssl_connect",
            "alert",
        ],
        StartTls::HandshakeFailed,
        (ResultType::ValidationFailure, Some("handshake-failed")),
    ),
];

#[cfg(test)]
mod tests {
    use sealpost_kit::{Authority, Flaw};

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn check(facts: &Facts<'_>, expected: &str) {
        let host = "mx1.example.org".parse().unwrap();
        let shown = |troubles: Vec<Trouble>| {
            let mut shown = String::new();
            for (result, reason) in troubles {
                shown += &format!(" {result}/{}", reason.unwrap_or("-"));
            }
            shown
        };
        let found = match classify(facts, Some(&host), NOW) {
            Observed::NoSession => "none".to_owned(),
            Observed::Established { troubles } => format!("up{}", shown(troubles)),
            Observed::Failed(troubles) => format!("failed{}", shown(troubles)),
        };
        assert_eq!(found, expected, "{facts:?}");
    }

    #[test]
    fn d_the_words_of_mtas_and_libraries_become_result_types() {
        for (words, expected) in [
            // Exim with GnuTLS
            (
                "a TLS session is required, but the server did not offer TLS support",
                "failed starttls-not-supported/starttls-not-offered",
            ),
            (
                "a TLS session is required, but an attempt to start TLS failed",
                "failed starttls-not-supported/starttls-refused",
            ),
            (
                "TLS session: (certificate verification failed): certificate invalid",
                "failed certificate-not-trusted/certificate-not-trusted",
            ),
            (
                "TLS session: (gnutls_handshake): An unexpected TLS packet was received.",
                "failed validation-failure/not-tls",
            ),
            // Postfix
            (
                "TLS is required, but was not offered by host mx1.example.org[192.0.2.1]",
                "failed starttls-not-supported/starttls-not-offered",
            ),
            (
                "TLS is required, but host mx1 refused to start TLS: 454 not now",
                "failed starttls-not-supported/starttls-refused",
            ),
            (
                "server certificate verification failed for mx1: certificate has expired",
                "failed certificate-expired/-",
            ),
            (
                "Cannot start TLS: handshake failure",
                "failed validation-failure/handshake-failed",
            ),
            // OpenSSL and Node
            ("CERT_HAS_EXPIRED", "failed certificate-expired/-"),
            (
                "DEPTH_ZERO_SELF_SIGNED_CERT",
                "failed certificate-not-trusted/self-signed",
            ),
            (
                "ERR_TLS_CERT_ALTNAME_INVALID",
                "failed certificate-host-mismatch/-",
            ),
            (
                "unable to get local issuer certificate",
                "failed certificate-not-trusted/unknown-issuer",
            ),
            (
                "ERR_SSL_WRONG_VERSION_NUMBER",
                "failed validation-failure/not-tls",
            ),
            // rustls
            (
                "invalid peer certificate: certificate expired: verification time 1 (UNIX)",
                "failed certificate-expired/-",
            ),
            (
                "invalid peer certificate: UnknownIssuer",
                "failed certificate-not-trusted/unknown-issuer",
            ),
            (
                "invalid peer certificate: certificate not valid for name \"mx1.example.org\"",
                "failed certificate-host-mismatch/-",
            ),
            // RFC 8460 s4.3.4: TCP and SMTP trouble is no TLS failure.
            ("Connection refused", "none"),
            ("421 too many connections", "none"),
            ("", "none"),
        ] {
            check(&Facts::default().with_error(words), expected);
        }
    }

    #[test]
    fn d1_what_a_server_says_of_the_mail_is_nothing_about_tls() {
        for (words, expected) in [
            ("550 5.7.1 refused: untrusted sender", "none"),
            ("554-alert: your certificate has expired", "none"),
            (
                "SMTP error from remote mail server after RCPT TO:<a@example.org>: 550 alert",
                "none",
            ),
            (
                "454 4.7.0 TLS not available due to temporary reason",
                "failed starttls-not-supported/starttls-refused",
            ),
        ] {
            check(&Facts::default().with_error(words), expected);
        }
        let refused = Facts::new(StartTls::Established).with_error("550 certificate expired");
        check(&refused, "up");
    }

    #[test]
    fn d_the_certificate_itself_tells_what_the_words_do_not() {
        let authority = Authority::new().unwrap();
        let good = authority.issue(&["mx1.example.org"]).unwrap();
        let wildcard = authority.issue(&["*.example.org"]).unwrap();
        let other = authority
            .issue(&["mx2.example.org", "*.mx1.example.org"])
            .unwrap();
        let flawed = |flaw| authority.issue_flawed(&["mx1.example.org"], flaw).unwrap();
        // What Exim says of an expired, a self-signed and an unknown issuer's certificate alike.
        let words = "TLS session: (certificate verification failed): certificate invalid";
        for (leaf, expected) in [
            (&good, "certificate-not-trusted/certificate-not-trusted"),
            (&wildcard, "certificate-not-trusted/certificate-not-trusted"),
            (&other, "certificate-host-mismatch/-"),
            (&flawed(Flaw::Expired), "certificate-expired/-"),
            (
                &flawed(Flaw::NotYetValid),
                "certificate-not-trusted/not-yet-valid",
            ),
            (
                &flawed(Flaw::SelfSigned),
                "certificate-not-trusted/self-signed",
            ),
            (
                &flawed(Flaw::UnknownAuthority),
                "certificate-not-trusted/certificate-not-trusted",
            ),
            (&flawed(Flaw::CommonNameOnly), "certificate-host-mismatch/-"),
        ] {
            let facts = Facts::default().with_error(words).with_leaf_der(leaf.der());
            check(&facts, &format!("failed {expected}"));
            let facts = Facts::new(StartTls::Established)
                .with_verification(Verification::Failed)
                .with_leaf_der(leaf.der());
            check(&facts, &format!("up {expected}"));
        }
        check(
            &Facts::new(StartTls::Established).with_leaf_der(good.der()),
            "up",
        );
        check(
            &Facts::new(StartTls::Established)
                .with_verification(Verification::Passed)
                .with_leaf_der(other.der()),
            "up certificate-host-mismatch/-",
        );
    }

    #[test]
    fn d3_the_words_add_what_the_certificate_itself_does_not_tell() {
        let authority = Authority::new().unwrap();
        let flawed = |flaw| authority.issue_flawed(&["mx1.example.org"], flaw).unwrap();
        let unknown = "unable to get local issuer certificate";
        for (leaf, words, expected) in [
            (
                flawed(Flaw::WrongName),
                unknown,
                "certificate-host-mismatch/- certificate-not-trusted/unknown-issuer",
            ),
            (
                flawed(Flaw::WrongName),
                "certificate has expired",
                "certificate-host-mismatch/- certificate-expired/-",
            ),
            (
                flawed(Flaw::Expired),
                "certificate has expired",
                "certificate-expired/-",
            ),
            // Nothing is above a self-signed one, and the name is in the certificate for us to read.
            (
                flawed(Flaw::SelfSigned),
                unknown,
                "certificate-not-trusted/self-signed",
            ),
            (
                flawed(Flaw::Expired),
                "hostname mismatch",
                "certificate-expired/-",
            ),
        ] {
            let facts = Facts::default().with_error(words).with_leaf_der(leaf.der());
            check(&facts, &format!("failed {expected}"));
        }
    }

    #[test]
    fn g3_a_certificate_that_is_none_is_passed_over() {
        for der in [&b""[..], b"\x30\x82\xff\xff", &[0x30; 40_000]] {
            check(
                &Facts::new(StartTls::HandshakeFailed).with_leaf_der(der),
                "failed validation-failure/handshake-failed",
            );
        }
    }
}
