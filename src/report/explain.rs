//! What a failure means and what to do about it, in sentences.
//!
//! RFC 8460 has eleven names for what can go wrong; people who run a mail server need to know what
//! that says of their server. This is the one table of it: the text part of a report, the listing of
//! sessions and the documentation all read it.

use sealpost_plugin_api::ResultType;

use crate::record::Source;

/// What a failure means and what to do about it. Plain ASCII sentences, for the recipient domain's
/// postmaster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Stands in the sentences for the policy domain; whoever shows them may put the domain in its place.
pub const DOMAIN: &str = "DOMAIN";

/// Explains a result type, more closely when its reason code is one that is known here.
#[must_use]
pub fn explain(result: ResultType, reason: Option<&str>) -> Explanation {
    // Postfix says the same in capitals here and there: all-TLSA-records-unusable.
    let reason = Source::unmark(reason.unwrap_or("")).to_ascii_lowercase();
    EXPLANATIONS
        .iter()
        .find(|entry| entry.covers(result, &reason))
        .map_or(UNKNOWN, |entry| entry.explanation)
}

/// One row of the table.
struct Entry {
    result: ResultType,
    /// The reason codes it is about; one that ends in `*` stands for all that begin so. Empty: any.
    reasons: &'static [&'static str],
    explanation: Explanation,
}

impl Entry {
    fn covers(&self, result: ResultType, reason: &str) -> bool {
        self.result == result
            && (self.reasons.is_empty()
                || self
                    .reasons
                    .iter()
                    .any(|code| match code.strip_suffix('*') {
                        Some(beginning) => reason.starts_with(beginning),
                        None => reason == *code,
                    }))
    }
}

const fn entry(
    result: ResultType,
    reasons: &'static [&'static str],
    meaning: &'static str,
    remedy: &'static str,
) -> Entry {
    Entry {
        result,
        reasons,
        explanation: Explanation { meaning, remedy },
    }
}

const UNKNOWN: Explanation = Explanation {
    meaning: "The session failed in a way that this release has no words for.",
    remedy: "Look the result type up in the IANA registry of STARTTLS validation result types.",
};

/// For each result type the closer rows first, the one for any reason last.
const EXPLANATIONS: &[Entry] = &[
    entry(
        ResultType::StarttlsNotSupported,
        &["starttls-refused*"],
        "The mail server offered STARTTLS and then refused to start it.",
        "Look into the server's log for why TLS could not start: often its certificate or key file \
         is missing or unreadable, or a limit of connections was reached.",
    ),
    entry(
        ResultType::StarttlsNotSupported,
        &[],
        "The mail server did not offer STARTTLS, so that mail could only have been sent in the clear.",
        "Switch on TLS on port 25 of this server. If it is on, something between us and the server \
         takes STARTTLS out: a firewall with SMTP inspection, or an attacker.",
    ),
    entry(
        ResultType::CertificateHostMismatch,
        &["dane-name-mismatch*"],
        "The server's certificate comes from an authority that a TLSA record names (usage 2), and it is \
         not for this MX host.",
        "Have the authority issue a certificate whose subject alternative names list the MX host \
         DOMAIN. Or publish a record of usage 3 (\"3 1 1\") for the certificate itself: with that no name \
         is compared.",
    ),
    entry(
        ResultType::CertificateHostMismatch,
        &[],
        "The server's certificate is not for the name of the MX host.",
        "Get a certificate that lists the MX host name among its subject alternative names (the \
         common name does not count), and serve it when a client asks for that name (SNI).",
    ),
    entry(
        ResultType::CertificateExpired,
        &[],
        "The server's certificate, or one it was issued with, has expired.",
        "Renew the certificate, and reload the mail server: a renewed file that the server has not \
         read again is the usual cause.",
    ),
    entry(
        ResultType::CertificateNotTrusted,
        &["self-signed*", "certificate-self-signed*"],
        "The server's certificate is signed by itself. Anyone could make one like it.",
        "Get a certificate from a public certificate authority. If you have one, the server still \
         serves the certificate it was installed with.",
    ),
    entry(
        ResultType::CertificateNotTrusted,
        &["not-yet-valid*", "certificate-not-yet-valid"],
        "The server's certificate becomes valid only at a later time.",
        "Check the clock of the machine that made the certificate, or serve the former one until \
         the new one is valid.",
    ),
    entry(
        ResultType::CertificateNotTrusted,
        &["unknown-issuer*", "unknown-ca*"],
        "The server's certificate was issued by an authority that is not publicly trusted, or the \
         server leaves out an intermediate certificate.",
        "Serve the whole chain: the certificate first, then every intermediate one. If the authority \
         is a private one, get a certificate from a public one.",
    ),
    entry(
        ResultType::CertificateNotTrusted,
        &["certificate-revoked"],
        "The server's certificate was revoked by the authority that issued it.",
        "Get a new certificate with a new key, and find out why the old one was revoked.",
    ),
    entry(
        ResultType::CertificateNotTrusted,
        &["certificate-wrong-purpose"],
        "The server's certificate was not issued for servers.",
        "Get a certificate whose extended key usage includes server authentication.",
    ),
    entry(
        ResultType::CertificateNotTrusted,
        &[],
        "The server's certificate does not lead to an authority that is publicly trusted.",
        "Serve a certificate of a public authority, with every intermediate certificate, and without \
         ones that are expired or signed by itself.",
    ),
    entry(
        ResultType::ValidationFailure,
        &["sts-mx-mismatch*"],
        "An MX record names a host that the MTA-STS policy does not list.",
        "If the host is yours, add an \"mx:\" line for it to the policy and change the id in the \
         _mta-sts record. If it is not, take it out of the MX records: it may be an attack.",
    ),
    entry(
        ResultType::ValidationFailure,
        &["dane-no-match*"],
        "The server's certificate matches none of the TLSA records of this MX host. Most likely it was \
         renewed with a new key and the record is still that of the old one; seldom it is an attack.",
        "Publish the TLSA record of the certificate that is served now at _25._tcp.DOMAIN, beside the old \
         one. The next time, publish the new record before the certificate changes, by at least the \
         record's time to live (TTL), and take the old one out afterwards; or keep the key when the \
         certificate is renewed, and a \"3 1 1\" record stays right.",
    ),
    entry(
        ResultType::ValidationFailure,
        &["tls-version*", "protocol-version*", "no-common-version*"],
        "The server speaks no version of TLS that is still safe.",
        "Allow TLS 1.2 and TLS 1.3 on port 25 of this server.",
    ),
    entry(
        ResultType::ValidationFailure,
        &["tls-handshake*", "handshake*", "tls-alert*"],
        "The TLS handshake broke off before the connection was secure.",
        "Look into the server's log at the time of the failure. Usual causes are ciphers that no \
         client shares, a broken key file, and firewalls that meddle with TLS.",
    ),
    entry(
        ResultType::ValidationFailure,
        &[],
        "The TLS connection could not be set up as the policy demands.",
        "Look into the server's log for TLS errors on port 25, and test it with a TLS checker; the \
         reason above is what our side saw.",
    ),
    entry(
        ResultType::TlsaInvalid,
        &["all-unusable*", "all-tlsa-records-unusable*"],
        "There are TLSA records for this MX host, and none of them can be used for mail. The mail went \
         encrypted, but nothing vouched for the server.",
        "Look at the records at _25._tcp.DOMAIN. Usages 0 and 1 do not count for mail: publish usage 3 \
         (\"3 1 1\" is the common choice) or 2. If the usage is right, the digest is cut off or of \
         another length than its matching type says.",
    ),
    entry(
        ResultType::TlsaInvalid,
        &[],
        "None of the TLSA records of this MX host is valid.",
        "Check that each record has a usage of 2 or 3, a known selector and matching type, and a \
         digest of the right length.",
    ),
    entry(
        ResultType::DnssecInvalid,
        &["tlsa-bogus*"],
        "The DNSSEC signatures of the TLSA records of this MX host are wrong. They may be forged, so the \
         mail waits.",
        "Check _25._tcp.DOMAIN with a DNSSEC analyser. Most likely its signatures have expired, or the keys \
         were changed and the DS record at the parent was not; the denial that there is a record \
         must be signed too.",
    ),
    entry(
        ResultType::DnssecInvalid,
        &["tlsa-lookup-failed*"],
        "The TLSA records of this MX host could not be looked up. Whether there are any cannot be told, \
         and an attacker could be why, so the mail waits.",
        "Ask every name server of the zone for the TLSA records at _25._tcp.DOMAIN. Each must answer, if \
         only that there are none. Usual causes are broken DNSSEC signatures, load balancers and \
         firewalls that do not know the type TLSA, and name servers that cannot be reached.",
    ),
    entry(
        ResultType::DnssecInvalid,
        &[],
        "The DNSSEC signatures of the MX host's records could not be verified.",
        "Check the zone with a DNSSEC analyser: expired signatures and a DS record that does not \
         match the keys are the usual causes.",
    ),
    entry(
        ResultType::DaneRequired,
        &["no-usable-tlsa-records*"],
        "We have agreed to deliver to this domain with DANE only, and this MX host cannot be had with \
         it: it has no TLSA record that can be used, or DNSSEC does not vouch for its name.",
        "Sign the zone of the domain and that of the MX host, and publish a TLSA record (\"3 1 1\") at \
         _25._tcp. and the host's name. If there is one, check that the DS records at both parents are \
         still there. Or tell us that DANE is no longer meant to be demanded.",
    ),
    entry(
        ResultType::DaneRequired,
        &[],
        "We have agreed to deliver to this domain with DANE only, and found no usable TLSA records.",
        "Publish TLSA records in a signed zone for every MX host, or tell us that DANE is no longer \
         meant to be demanded.",
    ),
    entry(
        ResultType::StsPolicyFetchError,
        &["http-status-3*"],
        "The policy host answered with a redirect, and senders must not follow one.",
        "Serve the policy itself, with status 200, at https://mta-sts.DOMAIN/.well-known/mta-sts.txt.",
    ),
    entry(
        ResultType::StsPolicyFetchError,
        &["http-status-404*", "http-status-410*"],
        "There is an _mta-sts record, but no policy where it must be.",
        "Put the policy at https://mta-sts.DOMAIN/.well-known/mta-sts.txt. To leave MTA-STS, first \
         serve a policy with \"mode: none\" and take the record out after its max_age.",
    ),
    entry(
        ResultType::StsPolicyFetchError,
        &["http-status-*"],
        "The policy host answered with an error instead of the policy.",
        "Look into the web server's log for /.well-known/mta-sts.txt; it must answer with status 200 \
         to every client.",
    ),
    entry(
        ResultType::StsPolicyFetchError,
        &["policy-host-not-resolved"],
        "The policy host's name could not be resolved.",
        "Publish an A or AAAA record for mta-sts.DOMAIN, and check that its name servers answer.",
    ),
    entry(
        ResultType::StsPolicyFetchError,
        &["policy-host-address-not-public"],
        "The policy host's name leads to an address that is not public.",
        "Publish a public A or AAAA record for mta-sts.DOMAIN.",
    ),
    entry(
        ResultType::StsPolicyFetchError,
        &["policy-host-connection-failed"],
        "No connection to port 443 of the policy host could be made.",
        "Check that a web server answers on port 443 of mta-sts.DOMAIN at every address that is \
         published for it, and that no firewall stands before it.",
    ),
    entry(
        ResultType::StsPolicyFetchError,
        &["tls-handshake-failed"],
        "The policy host speaks no TLS on port 443, or none that is still safe.",
        "Allow TLS 1.2 and TLS 1.3 on the web server of mta-sts.DOMAIN.",
    ),
    entry(
        ResultType::StsPolicyFetchError,
        &["policy-fetch-timeout"],
        "The policy host did not answer in time.",
        "Check that port 443 of mta-sts.DOMAIN can be reached from anywhere and answers within a few \
         seconds.",
    ),
    entry(
        ResultType::StsPolicyFetchError,
        &["policy-too-long"],
        "The policy is longer than senders take (64 KiB).",
        "Serve only the few lines of the policy, not a page.",
    ),
    entry(
        ResultType::StsPolicyFetchError,
        &[],
        "There is an _mta-sts record, but the policy could not be fetched.",
        "Check that https://mta-sts.DOMAIN/.well-known/mta-sts.txt can be fetched from anywhere, \
         without a redirect and without a login.",
    ),
    entry(
        ResultType::StsPolicyInvalid,
        &["policy-media-type"],
        "The policy was not served as text/plain.",
        "Set the content type of /.well-known/mta-sts.txt to text/plain. Some web hosts serve an \
         HTML page for every address.",
    ),
    entry(
        ResultType::StsPolicyInvalid,
        &["policy-byte-order-mark"],
        "The policy begins with an invisible byte order mark.",
        "Save the file as UTF-8 without a byte order mark (BOM), or as plain ASCII.",
    ),
    entry(
        ResultType::StsPolicyInvalid,
        &["policy-control-character", "policy-not-a-field"],
        "The policy holds a line that is not of the form \"key: value\".",
        "Serve nothing but the policy's lines, with a colon after each key.",
    ),
    entry(
        ResultType::StsPolicyInvalid,
        &["policy-version-*"],
        "The policy has no line \"version: STSv1\".",
        "Write exactly \"version: STSv1\"; upper and lower case matter.",
    ),
    entry(
        ResultType::StsPolicyInvalid,
        &["policy-mode-*"],
        "The policy has no mode, or one that does not exist.",
        "Write \"mode: enforce\", \"mode: testing\" or \"mode: none\", in lower case.",
    ),
    entry(
        ResultType::StsPolicyInvalid,
        &["policy-max-age-*"],
        "The policy does not say how long it is valid.",
        "Write \"max_age:\" and a number of seconds without a unit, such as 604800 for a week.",
    ),
    entry(
        ResultType::StsPolicyInvalid,
        &["policy-mx-*"],
        "The policy lists no MX host, or lists something that is no host name.",
        "Write one line \"mx:\" for each MX host, by its name and not by its address; \"*.\" may \
         stand for the first label.",
    ),
    entry(
        ResultType::StsPolicyInvalid,
        &[],
        "The policy was fetched and is not valid.",
        "Compare it with the example in RFC 8461, section 3.2: version, mode, mx and max_age, one to \
         a line.",
    ),
    entry(
        ResultType::StsWebpkiInvalid,
        &["certificate-expired"],
        "The policy host's certificate has expired, so that the policy could not be trusted.",
        "Renew the web server's certificate for mta-sts.DOMAIN.",
    ),
    entry(
        ResultType::StsWebpkiInvalid,
        &["certificate-host-mismatch"],
        "The policy host's certificate is not for the name mta-sts.DOMAIN.",
        "Get a certificate for mta-sts.DOMAIN; a wildcard for the domain works too.",
    ),
    entry(
        ResultType::StsWebpkiInvalid,
        &["certificate-not-trusted", "self-signed*", "unknown-issuer*"],
        "The policy host's certificate is not from a public certificate authority.",
        "Get a certificate for mta-sts.DOMAIN from a public authority, and serve it with every \
         intermediate certificate.",
    ),
    entry(
        ResultType::StsWebpkiInvalid,
        &[],
        "The policy host's certificate is not valid, so that the policy could not be trusted.",
        "Check the web server's certificate for mta-sts.DOMAIN: name, dates, and the chain up to a \
         public authority.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_type_is_explained_with_and_without_a_known_reason() {
        for result in ResultType::ALL {
            let general = explain(result, None);
            assert_ne!(general, UNKNOWN, "{result}");
            assert_eq!(explain(result, Some("never heard of")), general, "{result}");
        }
    }

    #[test]
    fn every_row_can_be_reached_by_each_of_its_reasons() {
        for entry in EXPLANATIONS {
            for code in entry.reasons {
                let reason = code.replace('*', "");
                assert_eq!(
                    explain(entry.result, Some(&reason)),
                    entry.explanation,
                    "{code}"
                );
            }
        }
    }

    #[test]
    fn a_known_reason_is_explained_more_closely() {
        for (result, reason, word) in [
            (
                ResultType::ValidationFailure,
                "sts-mx-mismatch",
                "MX record",
            ),
            (
                ResultType::ValidationFailure,
                "policy:sts-mx-mismatch",
                "MX record",
            ),
            (
                ResultType::StarttlsNotSupported,
                "probe:starttls-refused",
                "refused to start",
            ),
            (
                ResultType::CertificateNotTrusted,
                "self-signed",
                "by itself",
            ),
            (
                ResultType::CertificateNotTrusted,
                "not-yet-valid",
                "later time",
            ),
            (
                ResultType::StsPolicyFetchError,
                "http-status-404",
                "no policy",
            ),
            (
                ResultType::StsPolicyFetchError,
                "http-status-301",
                "redirect",
            ),
            (ResultType::StsPolicyFetchError, "http-status-503", "error"),
            (ResultType::StsPolicyInvalid, "policy-mx-missing", "MX host"),
        ] {
            let meaning = explain(result, Some(reason)).meaning;
            assert!(meaning.contains(word), "{reason}: {meaning}");
        }
    }

    #[test]
    fn d11_each_way_to_fail_by_tlsa_records_is_explained_with_its_cause() {
        for (result, reason, word) in [
            (
                ResultType::ValidationFailure,
                "dane-no-match",
                "was renewed",
            ),
            (
                ResultType::ValidationFailure,
                "probe:dane-no-match",
                "was renewed",
            ),
            (
                ResultType::CertificateHostMismatch,
                "dane-name-mismatch",
                "usage 2",
            ),
            (
                ResultType::CertificateNotTrusted,
                "probe:not-yet-valid",
                "later time",
            ),
            (
                ResultType::TlsaInvalid,
                "all-tlsa-records-unusable",
                "none of them can be used",
            ),
            (
                ResultType::TlsaInvalid,
                "all-TLSA-records-unusable",
                "none of them can be used",
            ),
            (ResultType::DnssecInvalid, "tlsa-bogus", "are wrong"),
            (
                ResultType::DnssecInvalid,
                "policy:tlsa-lookup-failed",
                "could not be looked up",
            ),
            (
                ResultType::DaneRequired,
                "policy:no-usable-tlsa-records",
                "with DANE only",
            ),
        ] {
            let explanation = explain(result, Some(reason));
            assert!(
                explanation.meaning.contains(word),
                "{reason}: {explanation:?}"
            );
            assert_ne!(explanation, explain(result, None), "{reason}");
        }
    }

    #[test]
    fn sentences_are_ascii_and_do_not_begin_a_line_with_from() {
        for entry in EXPLANATIONS {
            for text in [entry.explanation.meaning, entry.explanation.remedy] {
                assert!(text.is_ascii() && text.ends_with('.'), "{text}");
                assert!(!text.contains("From ") && !text.contains("  "), "{text}");
            }
        }
    }
}
