//! What is said of mail hosts: STARTTLS, certificates, the handshake.

use sealpost_plugin_api::ResultType;

use super::{ANY, Row, row};

pub(super) const ROWS: &[Row] = &[
    row(
        ResultType::StarttlsNotSupported,
        &["starttls-refused"],
        "The mail server offered STARTTLS and then refused to start it.",
        "Its certificate or key file is missing or unreadable, or it had reached a limit.",
        "Look into the server's log for why TLS could not start.",
    ),
    row(
        ResultType::StarttlsNotSupported,
        &["in-the-clear"],
        "Mail went in the clear. The log of the mail server that delivers does not say whether TLS was \
         offered.",
        "The mail server does not offer STARTTLS on port 25.",
        "Look from outside your network whether the server's answer to EHLO lists STARTTLS, and switch \
         TLS on where it does not.",
    ),
    row(
        ResultType::StarttlsNotSupported,
        &["starttls-not-offered", ANY],
        "The mail server did not offer STARTTLS, so that mail could only have been sent in the clear.",
        "TLS is off on port 25 of this server; or something on the way to the server takes STARTTLS \
         out, which a firewall with SMTP inspection does, and an attacker.",
        "Switch on TLS on port 25 of this server. If it is on, look from outside your network whether \
         the answer to EHLO lists STARTTLS, and ask whoever runs the firewall.",
    ),
    row(
        ResultType::CertificateHostMismatch,
        &["hostname-mismatch", "ip-address-mismatch", ANY],
        "The server's certificate is not for the name of the MX host.",
        "It was issued for the web site, or for another name of the same machine; or the server has the \
         right one and serves another by default.",
        "Get a certificate that lists the MX host name among its subject alternative names (the \
         common name does not count), and serve it when a client asks for that name (SNI).",
    ),
    row(
        ResultType::CertificateExpired,
        &["certificate-has-expired", "certificate-expired", ANY],
        "The server's certificate, or one it was issued with, has expired.",
        "It was not renewed; or it was, and the mail server has not read the new file.",
        "Renew the certificate and reload the mail server. See that the renewal does both by itself.",
    ),
    row(
        ResultType::CertificateNotTrusted,
        &[
            "self-signed",
            "self-signed-certificate",
            "certificate-self-signed*",
        ],
        "The server's certificate is signed by itself. Anyone could make one like it.",
        "The server still serves the certificate it was installed with.",
        "Get a certificate from a public certificate authority, and have the mail server serve it.",
    ),
    row(
        ResultType::CertificateNotTrusted,
        &[
            "not-yet-valid",
            "certificate-not-yet-valid",
            "certificate-is-not-yet-valid",
        ],
        "The server's certificate becomes valid only at a later time.",
        "The clock of the machine that made the certificate is wrong, or the new one was put in place too \
         early.",
        "Set the clock, or serve the former certificate until the new one is valid.",
    ),
    row(
        ResultType::CertificateNotTrusted,
        &[
            "unknown-issuer*",
            "unknown-ca*",
            "unable-to-get-issuer-certificate",
            "unable-to-get-local-issuer-certificate",
            "unable-to-verify-the-first-certificate",
            "self-signed-certificate-in-certificate-chain",
        ],
        "No way leads from the server's certificate to an authority that is publicly trusted.",
        "The server leaves out an intermediate certificate; or the authority is a private one.",
        "Serve the whole chain: the certificate first, then every intermediate one. If the authority \
         is a private one, get a certificate from a public one.",
    ),
    row(
        ResultType::CertificateNotTrusted,
        &["certificate-revoked"],
        "The server's certificate was revoked by the authority that issued it.",
        "Its key was reported stolen, or the authority made a mistake when it issued it.",
        "Get a new certificate with a new key, and find out why the old one was revoked.",
    ),
    row(
        ResultType::CertificateNotTrusted,
        &[
            "certificate-wrong-purpose",
            "unsupported-certificate-purpose",
            "unsuitable-certificate-purpose",
        ],
        "The server's certificate was not issued for servers.",
        "It is one for persons, for signing programs, or for clients only.",
        "Get a certificate whose extended key usage includes server authentication.",
    ),
    row(
        ResultType::CertificateNotTrusted,
        &[
            "ee-certificate-key-too-weak",
            "ca-certificate-key-too-weak",
            "ca-md-too-weak",
            "ca-signature-digest-algorithm-too-weak",
        ],
        "A key or a signature in the server's certificate chain is too weak to be relied on.",
        "The certificate is an old one: RSA of less than 2048 bits, or a signature with SHA-1 or MD5.",
        "Make a new key (ECDSA P-256, or RSA of 2048 bits or more) and get a new certificate for it.",
    ),
    row(
        ResultType::CertificateNotTrusted,
        &[
            "invalid-ca-certificate",
            "invalid-non-ca-certificate-has-ca-markings",
            "certificate-chain-too-long",
            "path-length-constraint-exceeded",
            "key-usage-does-not-include-certificate-signing",
            "subject-issuer-mismatch",
            "authority-and-*",
            "unhandled-critical-extension",
            "invalid-or-inconsistent-certificate-extension",
            "permitted-subtree-violation",
            "excluded-subtree-violation",
            "name-constraints-*",
            "unsupported-name-constraint-type",
            "unsupported-or-invalid-name-constraint-syntax",
        ],
        "The server's certificate chain breaks a rule that an authority in it is bound by.",
        "The chain holds certificates of a private authority, or ones that do not belong together.",
        "Serve the certificate with exactly the intermediate ones that came with it. If that is so \
         already, show the reason code to the authority.",
    ),
    row(
        ResultType::CertificateNotTrusted,
        &[
            "certificate-malformed",
            "certificate-bad-signature",
            "certificate-signature-failure",
            "unable-to-decrypt-certificate-s-signature",
            "unable-to-decode-issuer-public-key",
            "issuer-certificate-doesn-t-have-a-public-key",
            "format-error-in-certificate-s-*",
        ],
        "A certificate that the server serves is damaged, or its signature is wrong.",
        "The file was cut off or put together by hand; seldom it is an attack.",
        "Put the files in place again as the authority gave them.",
    ),
    row(
        ResultType::CertificateNotTrusted,
        &["certificate-not-trusted", "certificate-rejected", ANY],
        "The server's certificate does not lead to an authority that is publicly trusted.",
        "The chain is not whole, the authority is a private one, or a certificate in the chain has \
         expired.",
        "Serve a certificate of a public authority, with every intermediate certificate, and without \
         ones that are expired or signed by themselves.",
    ),
    row(
        ResultType::ValidationFailure,
        &["protocol-version*", "tls-version*", "no-common-version*"],
        "The server speaks no version of TLS that is still safe.",
        "Its settings, or its TLS library, are from before 2018.",
        "Allow TLS 1.2 and TLS 1.3 on port 25 of this server.",
    ),
    row(
        ResultType::ValidationFailure,
        &["no-common-cipher*"],
        "The server and {we|the sender} share no cipher.",
        "Its list of ciphers was narrowed too far, or the kind of its key fits none of them.",
        "Go back to the default list of ciphers of your mail server's TLS library.",
    ),
    row(
        ResultType::ValidationFailure,
        &["not-tls"],
        "The server agreed to start TLS, and what it sent then was not TLS.",
        "A firewall with SMTP inspection stands in between, or a proxy that does not know STARTTLS.",
        "Test STARTTLS on port 25 from outside your network, and switch SMTP inspection off.",
    ),
    row(
        ResultType::ValidationFailure,
        &[
            "handshake-failed*",
            "tls-handshake*",
            "handshake*",
            "tls-alert*",
        ],
        "The TLS handshake broke off before the connection was secure.",
        "The server cannot read its key, shares no cipher with its clients, or ran out of time; or a \
         firewall meddles with TLS.",
        "Look into the server's log at the time of the failure, and test STARTTLS on port 25 from outside \
         your network.",
    ),
    row(
        ResultType::ValidationFailure,
        &["mta-gave-no-detail"],
        "A TLS session failed, and the mail server that delivers did not say how.",
        "The TLS handshake failed.",
        "Look into the server's log for TLS errors on port 25 on that day.",
    ),
    row(
        ResultType::ValidationFailure,
        &[ANY],
        "The TLS connection could not be set up as the policy demands.",
        "The reason code is what the mail server that delivers saw.",
        "Look into the server's log for TLS errors on port 25, and test it with a TLS checker.",
    ),
];
