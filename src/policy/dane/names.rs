//! The names that a server's certificate carries, and those it is to carry.

use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

use crate::policy::MxHost;

/// Whether a certificate carries one of the reference names.
// RFC 7672 s3.2.3: the common name counts only where there is no DNS name among the alternative names.
pub(super) fn carries_one(certificate: &X509Certificate<'_>, references: &[MxHost]) -> bool {
    let is_one = |name: &str| references.iter().any(|reference| is(name, reference));
    let Ok(alternative) = certificate.subject_alternative_name() else {
        return false;
    };
    let mut dns_names = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        })
        .peekable();
    if dns_names.peek().is_some() {
        return dns_names.any(is_one);
    }
    // OURS: any of several common names will do, as it does for OpenSSL.
    let mut common_names = certificate.subject().iter_common_name();
    common_names.any(|name| name.as_str().is_ok_and(is_one))
}

/// Whether a name of a certificate is this host's.
// RFC 7672 s3.2.3: "*" stands for the whole first label, and for one label only.
fn is(name: &str, reference: &MxHost) -> bool {
    let host = reference.as_str();
    let Some(below) = name.strip_prefix("*.") else {
        return name.eq_ignore_ascii_case(host);
    };
    // A wildcard over a whole top-level domain names nobody.
    below.contains('.')
        && host
            .split_once('.')
            .is_some_and(|(_, parent)| below.eq_ignore_ascii_case(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c13_a_wildcard_is_the_whole_first_label_and_one_label() {
        for (name, host, expected) in [
            ("mx.example.org", "mx.example.org", true),
            ("MX.Example.ORG", "mx.example.org", true),
            ("*.example.org", "mx.example.org", true),
            ("*.EXAMPLE.org", "mx.example.org", true),
            ("*.example.org", "a.mx.example.org", false),
            ("*.example.org", "example.org", false),
            ("m*.example.org", "mx.example.org", false),
            ("*x.example.org", "mx.example.org", false),
            ("mx.*.org", "mx.example.org", false),
            ("*.*.org", "mx.example.org", false),
            ("*.org", "example.org", false),
            ("*", "localhost", false),
            ("*", "example.org", false),
            (".example.org", "mx.example.org", false),
            ("mx.example.org.", "mx.example.org", false),
            ("mx.example.org\0", "mx.example.org", false),
            ("", "mx.example.org", false),
        ] {
            assert_eq!(is(name, &host.parse().unwrap()), expected, "{name} {host}");
        }
    }
}
