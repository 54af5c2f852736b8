//! The names that a server's certificate carries, and those it is to carry.

use x509_parser::{certificate::X509Certificate, extensions::GeneralName};

use super::constraints::Constraints;
use crate::policy::MxHost;

/// The tag of a DNS name among the alternative names (RFC 5280 s4.2.1.6).
const DNS_NAME_TAG: u32 = 2;

/// The names of a server's certificate that count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CountedNames<'c> {
    /// The DNS names among its alternative names.
    Dns(Vec<&'c str>),
    /// Its common names, as there is no DNS name.
    Common(Vec<&'c str>),
}

impl<'c> CountedNames<'c> {
    /// Reads them; nothing counts where the alternative names cannot be read.
    // RFC 7672 s3.2.3: the common name counts only where there is no DNS name among the alternative names.
    pub(super) fn of(certificate: &'c X509Certificate<'_>) -> Self {
        let Ok(alternative) = certificate.subject_alternative_name() else {
            return Self::Dns(Vec::new());
        };
        let mut dns_names = Vec::new();
        let mut has_dns_name = false;
        for name in alternative
            .iter()
            .flat_map(|extension| &extension.value.general_names)
        {
            match name {
                GeneralName::DNSName(name) => {
                    has_dns_name = true;
                    dns_names.push(*name);
                }
                // One that is no text is a DNS name too, and nobody's.
                GeneralName::Invalid(tag, _) if tag.0 == DNS_NAME_TAG => has_dns_name = true,
                _ => {}
            }
        }
        if has_dns_name {
            return Self::Dns(dns_names);
        }
        let common_names = certificate.subject().iter_common_name();
        Self::Common(common_names.filter_map(|name| name.as_str().ok()).collect())
    }

    /// Whether one of them is one of the reference names.
    // OURS: any of several common names will do, as it does for OpenSSL.
    pub(super) fn include_one_of(&self, references: &[MxHost]) -> bool {
        let (Self::Dns(names) | Self::Common(names)) = self;
        let is_one = |name: &&str| references.iter().any(|reference| is(name, reference));
        names.iter().any(is_one)
    }

    /// Whether the constraints on DNS names of the authorities above let these names stand. What is among
    /// the alternative names is held to them by rustls-webpki.
    // OURS: where a common name counts as a DNS name it is held to what is said of DNS names, as by OpenSSL:
    // an authority that may only speak for one domain must not speak for another by leaving a field out.
    pub(super) fn are_within(&self, constraints: &[&Constraints]) -> bool {
        let Self::Common(names) = self else {
            return true;
        };
        let might_be_dns = |name: &&&str| name.contains('.') && !name.contains([' ', '/', '@']);
        let mut names = names.iter().filter(might_be_dns);
        names.all(|name| constraints.iter().all(|of| of.admit(name)))
    }
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
