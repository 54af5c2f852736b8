//! What is said of a domain's MTA-STS policy, its policy host, and the MX hosts it lists.

use sealpost_plugin_api::ResultType;

use super::{ANY, Row, row};

pub(super) const ROWS: &[Row] = &[
    row(
        ResultType::ValidationFailure,
        &["sts-mx-mismatch"],
        "An MX record names a host that the MTA-STS policy does not list.",
        "A mail host was added or changed, and the policy was not; or the MX records were forged.",
        "If the host is yours, add an \"mx:\" line for it to the policy and change the id in the \
         _mta-sts record. If it is not, take it out of the MX records: it may be an attack.",
    ),
    row(
        ResultType::StsPolicyFetchError,
        &["http-status-3*"],
        "The policy host answered with a redirect, and senders must not follow one.",
        "The web server sends all its visitors to another name, or from http to https in a circle.",
        "Serve the policy itself, with status 200, at https://mta-sts.DOMAIN/.well-known/mta-sts.txt.",
    ),
    row(
        ResultType::StsPolicyFetchError,
        &["http-status-404", "http-status-410"],
        "There is an _mta-sts record, but no policy where it must be.",
        "The file was never put there, or went away when the web site was moved.",
        "Put the policy at https://mta-sts.DOMAIN/.well-known/mta-sts.txt. To leave MTA-STS, first \
         serve a policy with \"mode: none\" and take the record out after its max_age.",
    ),
    row(
        ResultType::StsPolicyFetchError,
        &["http-status-*"],
        "The policy host answered with an error instead of the policy.",
        "The web server is broken or overloaded, or lets in only clients it knows.",
        "Look into the web server's log for /.well-known/mta-sts.txt; it must answer with status 200 \
         to every client.",
    ),
    row(
        ResultType::StsPolicyFetchError,
        &["policy-host-not-resolved"],
        "The policy host's name could not be resolved.",
        "There is no A or AAAA record for mta-sts.DOMAIN, or its name servers do not answer.",
        "Publish an A or AAAA record for mta-sts.DOMAIN, and check that its name servers answer.",
    ),
    row(
        ResultType::StsPolicyFetchError,
        &["policy-host-address-not-public"],
        "The policy host's name leads to an address that is not public.",
        "The record is meant for your own network, and is seen from outside.",
        "Publish a public A or AAAA record for mta-sts.DOMAIN.",
    ),
    row(
        ResultType::StsPolicyFetchError,
        &["policy-host-connection-failed"],
        "No connection to port 443 of the policy host could be made.",
        "No web server listens there, a firewall stands before it, or one of several addresses is out \
         of date.",
        "Check that a web server answers on port 443 of mta-sts.DOMAIN at every address that is \
         published for it.",
    ),
    row(
        ResultType::StsPolicyFetchError,
        &["tls-handshake-failed"],
        "The TLS handshake with the policy host failed.",
        "It speaks no TLS on port 443, or none that is still safe.",
        "Allow TLS 1.2 and TLS 1.3 on the web server of mta-sts.DOMAIN.",
    ),
    row(
        ResultType::StsPolicyFetchError,
        &["http-failed"],
        "What the policy host sent is no HTTP answer, or broke off.",
        "Something other than a web server listens on port 443, or a proxy in front of it gives up.",
        "Check that https://mta-sts.DOMAIN/.well-known/mta-sts.txt can be fetched from anywhere.",
    ),
    row(
        ResultType::StsPolicyFetchError,
        &["policy-fetch-timeout"],
        "The policy host did not answer in time.",
        "A firewall drops the connection, or the web server is overloaded.",
        "Check that port 443 of mta-sts.DOMAIN can be reached from anywhere and answers within a few \
         seconds.",
    ),
    row(
        ResultType::StsPolicyFetchError,
        &["policy-too-long"],
        "The policy is longer than senders take (64 KiB).",
        "The web server serves a page of the site in its place.",
        "Serve only the few lines of the policy.",
    ),
    row(
        ResultType::StsPolicyFetchError,
        &[ANY],
        "There is an _mta-sts record, but the policy could not be fetched.",
        "The policy host is not set up, or cannot be reached from everywhere.",
        "Check that https://mta-sts.DOMAIN/.well-known/mta-sts.txt can be fetched from anywhere, \
         without a redirect and without a login.",
    ),
    row(
        ResultType::StsPolicyInvalid,
        &["policy-media-type"],
        "The policy was not served as text/plain.",
        "The web server does not know the type of the file, or serves an HTML page for every address.",
        "Set the content type of /.well-known/mta-sts.txt to text/plain.",
    ),
    row(
        ResultType::StsPolicyInvalid,
        &["policy-byte-order-mark"],
        "The policy begins with an invisible byte order mark.",
        "The editor that wrote the file put it there.",
        "Save the file as UTF-8 without a byte order mark (BOM), or as plain ASCII.",
    ),
    row(
        ResultType::StsPolicyInvalid,
        &["policy-control-character", "policy-not-a-field"],
        "The policy holds a line that is not of the form \"key: value\".",
        "A colon is missing, or a page was served in place of the policy.",
        "Serve nothing but the policy's lines, with a colon after each key.",
    ),
    row(
        ResultType::StsPolicyInvalid,
        &["policy-version-missing", "policy-version-unknown"],
        "The policy has no line \"version: STSv1\".",
        "The line is missing or written otherwise.",
        "Write exactly \"version: STSv1\"; upper and lower case matter.",
    ),
    row(
        ResultType::StsPolicyInvalid,
        &["policy-mode-missing", "policy-mode-unknown"],
        "The policy has no mode, or one that does not exist.",
        "The line is missing, or the word in it is misspelt.",
        "Write \"mode: enforce\", \"mode: testing\" or \"mode: none\", in lower case.",
    ),
    row(
        ResultType::StsPolicyInvalid,
        &["policy-max-age-missing", "policy-max-age-invalid"],
        "The policy does not say how long it is valid.",
        "The line is missing, or the number in it has a unit.",
        "Write \"max_age:\" and a number of seconds without a unit, such as 604800 for a week.",
    ),
    row(
        ResultType::StsPolicyInvalid,
        &["policy-mx-missing", "policy-mx-invalid"],
        "The policy lists no MX host, or lists something that is no host name.",
        "A host was written by its address, or several in one line.",
        "Write one line \"mx:\" for each MX host, by its name and not by its address; \"*.\" may \
         stand for the first label.",
    ),
    row(
        ResultType::StsPolicyInvalid,
        &[ANY],
        "The policy was fetched and is not valid.",
        "A line is missing or misspelt.",
        "Compare it with the example in RFC 8461, section 3.2: version, mode, mx and max_age, one to \
         a line.",
    ),
    row(
        ResultType::StsWebpkiInvalid,
        &["certificate-expired"],
        "The policy host's certificate has expired, so that the policy could not be trusted.",
        "It was not renewed with the others, for nobody visits mta-sts.DOMAIN with a browser.",
        "Renew the web server's certificate for mta-sts.DOMAIN, and see that this is done by itself.",
    ),
    row(
        ResultType::StsWebpkiInvalid,
        &["certificate-not-yet-valid"],
        "The policy host's certificate becomes valid only at a later time.",
        "The clock of the machine that made the certificate is wrong.",
        "Set the clock, or serve the former certificate until the new one is valid.",
    ),
    row(
        ResultType::StsWebpkiInvalid,
        &["certificate-host-mismatch"],
        "The policy host's certificate is not for the name mta-sts.DOMAIN.",
        "The name was pointed at a web server that has a certificate for the site only.",
        "Get a certificate for mta-sts.DOMAIN; a wildcard for the domain works too.",
    ),
    row(
        ResultType::StsWebpkiInvalid,
        &[
            "certificate-not-trusted",
            "certificate-bad-signature",
            "certificate-malformed",
            "certificate-missing",
            "self-signed*",
            "unknown-issuer*",
        ],
        "The policy host's certificate is not one of a public certificate authority, or its chain is \
         not whole.",
        "The web server serves the certificate it was installed with, or leaves out an intermediate one.",
        "Get a certificate for mta-sts.DOMAIN from a public authority, and serve it with every \
         intermediate certificate.",
    ),
    row(
        ResultType::StsWebpkiInvalid,
        &["certificate-revoked"],
        "The policy host's certificate was revoked by the authority that issued it.",
        "Its key was reported stolen, or the authority made a mistake when it issued it.",
        "Get a new certificate with a new key for mta-sts.DOMAIN.",
    ),
    row(
        ResultType::StsWebpkiInvalid,
        &["certificate-wrong-purpose"],
        "The policy host's certificate was not issued for servers.",
        "It is one for persons, for signing programs, or for clients only.",
        "Get a certificate for mta-sts.DOMAIN whose extended key usage includes server authentication.",
    ),
    row(
        ResultType::StsWebpkiInvalid,
        &[ANY],
        "The policy host's certificate is not valid, so that the policy could not be trusted.",
        "Its name, its dates or its chain are wrong.",
        "Check the web server's certificate for mta-sts.DOMAIN: name, dates, and the chain up to a \
         public authority.",
    ),
];
