//! What a server's own certificate says, without its chain: dates, names, who signed it.
//!
//! An MTA that only says "verification failed" often hands over the certificate. From it alone one
//! can tell an expired or misnamed certificate; whether its chain is trusted only the MTA knows.

use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use crate::{clock::Timestamp, policy::MxHost};

/// The longest certificate that is looked at, in octets of DER.
pub const LEAF_OCTETS_MAX: usize = 32_768;

/// The server's own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    not_before: Timestamp,
    not_after: Timestamp,
    names: Vec<String>,
    /// Its issuer is its subject.
    pub self_signed: bool,
}

impl Leaf {
    /// Reads DER; `None` when it is not a certificate or longer than [`LEAF_OCTETS_MAX`].
    #[must_use]
    pub fn from_der(der: &[u8]) -> Option<Self> {
        if der.len() > LEAF_OCTETS_MAX {
            return None;
        }
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok().flatten();
        // RFC 8461 s4.2: only DNS-IDs of the subjectAltName count, never the common name.
        let names = names.map_or_else(Vec::new, |extension| {
            let all = extension.value.general_names.iter();
            all.filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect()
        });
        Some(Self {
            not_before: Timestamp(certificate.validity().not_before.timestamp()),
            not_after: Timestamp(certificate.validity().not_after.timestamp()),
            names,
            self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
        })
    }

    /// It had expired by then.
    #[must_use]
    pub fn expired(&self, at: Timestamp) -> bool {
        at > self.not_after
    }

    /// It was not valid yet.
    #[must_use]
    pub fn not_yet_valid(&self, at: Timestamp) -> bool {
        at < self.not_before
    }

    /// The moment nearest to this one at which it is in date.
    #[must_use]
    pub fn nearest_in_date(&self, at: Timestamp) -> Timestamp {
        at.max(self.not_before).min(self.not_after)
    }

    /// One of its names is the MX host's.
    // RFC 9525 s6.3: "*" stands for exactly one whole label, the left-most.
    #[must_use]
    pub fn names(&self, host: &MxHost) -> bool {
        let host = host.as_str();
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| {
            name.strip_prefix("*.").map_or(name == host, |below| {
                // A wildcard over a whole top-level domain names nobody.
                below.contains('.') && parent == Some(below)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use sealpost_kit::{Authority, Flaw};

    use super::*;

    #[test]
    fn g3_no_certificate_makes_a_panic() {
        let authority = Authority::new().unwrap();
        let good = authority.issue(&["mx1.example.org", "*.example.org"]);
        let good = good.unwrap();
        let bad = authority.issue_flawed(&["mx1.example.org"], Flaw::SelfSigned);
        let bad = bad.unwrap();
        let host: MxHost = "mx1.example.org".parse().unwrap();
        assert!(Leaf::from_der(good.der()).unwrap().names(&host));
        let mut read = 0;
        for der in sealpost_kit::mutations(19, &[good.der(), bad.der()]) {
            if let Some(leaf) = Leaf::from_der(&der) {
                read += 1;
                let at = Timestamp(1_800_000_000);
                let _said = (leaf.names(&host), leaf.expired(at), leaf.not_yet_valid(at));
            }
        }
        assert!(read > 0, "every change was refused");
    }
}
