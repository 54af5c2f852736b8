//! What is said of the TLSA records of an MX host. [`DOMAIN`](super::DOMAIN) is here the TLSA base
//! domain: the host, or what it is an alias of.

use sealpost_plugin_api::ResultType;

use super::{ANY, Row, row};

pub(super) const ROWS: &[Row] = &[
    row(
        ResultType::ValidationFailure,
        &["dane-no-match"],
        "The server's certificate matches none of the TLSA records of this MX host.",
        "The certificate was renewed with a new key, and the record is still that of the old one. Seldom \
         it is an attack.",
        "Publish the TLSA record of the certificate that is served now at _25._tcp.DOMAIN, beside the old \
         one. The next time, publish the new record before the certificate changes, by at least the \
         record's time to live (TTL), and take the old one out afterwards; or keep the key when the \
         certificate is renewed, and a \"3 1 1\" record stays right.",
    ),
    row(
        ResultType::CertificateHostMismatch,
        &["dane-name-mismatch"],
        "The server's certificate comes from an authority that a TLSA record names (usage 2), and it is \
         not for this MX host.",
        "The certificate was issued for another name of the machine. With usage 2 the name is compared.",
        "Have the authority issue a certificate whose subject alternative names list the MX host \
         DOMAIN. Or publish a record of usage 3 (\"3 1 1\") for the certificate itself: with that no name \
         is compared.",
    ),
    row(
        ResultType::TlsaInvalid,
        &["all-tlsa-records-unusable"],
        "There are TLSA records for this MX host, and none of them can be used for mail. The mail went \
         encrypted, but nothing vouched for the server.",
        "The records have usage 0 or 1, which do not count for mail; or their digest is cut off or of \
         another length than the matching type says.",
        "Look at the records at _25._tcp.DOMAIN, and publish one with usage 3 (\"3 1 1\" is the common \
         choice) or 2.",
    ),
    row(
        ResultType::TlsaInvalid,
        &[ANY],
        "None of the TLSA records of this MX host is valid.",
        "They have a usage that does not count for mail, or a digest of the wrong length.",
        "Check that each record at _25._tcp.DOMAIN has a usage of 2 or 3, a known selector and matching \
         type, and a digest of the right length.",
    ),
    row(
        ResultType::DnssecInvalid,
        &["tlsa-bogus"],
        "The DNSSEC signatures of the TLSA records of this MX host are wrong. They may be forged, so the \
         mail waits.",
        "The signatures have expired, or the keys were changed and the DS record at the parent was not.",
        "Check _25._tcp.DOMAIN with a DNSSEC analyser. The denial that there is a record must be signed \
         too.",
    ),
    row(
        ResultType::DnssecInvalid,
        &["tlsa-lookup-failed"],
        "The TLSA records of this MX host could not be looked up. Whether there are any cannot be told, \
         and an attacker could be why, so the mail waits.",
        "DNSSEC signatures are broken, a load balancer or firewall does not know the type TLSA, or the \
         name servers cannot be reached.",
        "Ask every name server of the zone for the TLSA records at _25._tcp.DOMAIN. Each must answer, if \
         only that there are none.",
    ),
    row(
        ResultType::DnssecInvalid,
        &[ANY],
        "The DNSSEC signatures of the MX host's records could not be verified.",
        "Signatures have expired, or a DS record does not match the keys.",
        "Check the zone of DOMAIN with a DNSSEC analyser.",
    ),
    row(
        ResultType::DaneRequired,
        &["no-usable-tlsa-records"],
        "{We have|The sender has} agreed to deliver to this domain with DANE only, and this MX host cannot \
         be had with it.",
        "It has no TLSA record that can be used, or DNSSEC does not vouch for its name: a DS record at \
         one of the parents is gone, or the host is new and has no record yet.",
        "Sign the zone of the domain and that of the MX host, and publish a TLSA record (\"3 1 1\") at \
         _25._tcp. and the host's name. Or tell {us|the sender} that DANE is no longer meant to be \
         demanded.",
    ),
    row(
        ResultType::DaneRequired,
        &[ANY],
        "{We have|The sender has} agreed to deliver to this domain with DANE only, and found no usable TLSA \
         records.",
        "DANE was given up, or the zone is no longer signed.",
        "Publish TLSA records in a signed zone for every MX host, or tell {us|the sender} that DANE is no \
         longer meant to be demanded.",
    ),
];
