//! How much of the memory it takes what domains publish for DANE: they choose how much.

use super::{DomainDane, HostDane, TlsaPolicy, TlsaRecord};

/// From so many octets on what is known of one host is heavy: a dozen digests are not, nor is one certificate
/// published whole.
const HEAVY_HOST_OCTETS: usize = 4_096;

/// From so many octets on what is known of a domain's hosts is heavy: eight hosts with four digests each are
/// not.
const HEAVY_DOMAIN_OCTETS: usize = 8_192;

/// What a name, with what belongs to it, takes.
const NAME_OCTETS: usize = 32;

impl TlsaPolicy {
    /// About how many octets it takes, with its records' text.
    #[must_use]
    pub fn octets(&self) -> usize {
        let of_record = |record: &TlsaRecord| record.association.len() + size_of::<TlsaRecord>();
        let records: usize = self.set.judged().map(|(record, _)| of_record(record)).sum();
        // Once as octets, once as text.
        3 * records + self.base.as_str().len() + NAME_OCTETS
    }
}

impl HostDane {
    /// About how many octets it takes.
    #[must_use]
    pub fn octets(&self) -> usize {
        let records = self.records().map_or(0, |records| records.octets());
        records + self.host.as_str().len() + NAME_OCTETS
    }

    /// Whether it takes so much that it is not to be held for every domain there is.
    #[must_use]
    pub fn is_heavy(&self) -> bool {
        self.octets() >= HEAVY_HOST_OCTETS
    }
}

impl DomainDane {
    /// About how many octets it takes.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.ranked()
            .iter()
            .map(|ranked| ranked.dane.octets())
            .sum()
    }

    /// Whether it takes so much that it is not to be held for every domain there is.
    #[must_use]
    pub fn is_heavy(&self) -> bool {
        self.octets() >= HEAVY_DOMAIN_OCTETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::dane::{DaneFinding, MxSecurity, TlsaSet};

    fn host(records: u8, octets: usize) -> HostDane {
        let record = |number| TlsaRecord {
            usage: 3,
            selector: 1,
            matching: 1,
            association: vec![number; octets],
        };
        let host: crate::policy::MxHost = "mx1.example.org".parse().unwrap();
        let set = TlsaSet::new((0..records).map(record).collect());
        let policy = TlsaPolicy::new(host.clone(), set, &[]);
        HostDane {
            host,
            mx: MxSecurity::Secure,
            finding: DaneFinding::Records(policy.into()),
        }
    }

    #[test]
    fn g6_what_is_usual_is_light_and_what_fills_a_message_is_heavy() {
        for (records, octets, heavy) in [
            (2, 32, false),
            (4, 64, false),
            (12, 32, false),
            (1, 1_200, false),
            (64, 64, true),
            (4, 2_000, true),
        ] {
            assert_eq!(
                host(records, octets).is_heavy(),
                heavy,
                "{records} of {octets}"
            );
        }
    }
}
