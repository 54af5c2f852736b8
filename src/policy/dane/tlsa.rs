//! TLSA records (RFC 6698), and which of them a mail client can use (RFC 7671, RFC 7672).

use std::fmt;

/// One TLSA record (RFC 6698 s2.1), as published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlsaRecord {
    /// What the record says of the certificate: 2, an authority of the domain's own (DANE-TA); 3, the
    /// certificate itself (DANE-EE). 0 and 1 mean the public authorities, and nothing in mail.
    pub usage: u8,
    /// Which part of the certificate is meant: 0, all of it; 1, its public key.
    pub selector: u8,
    /// How that part is compared: 0, itself; 1, its SHA-256; 2, its SHA-512.
    pub matching: u8,
    /// What it is compared with.
    pub association: Vec<u8>,
}

impl fmt::Display for TlsaRecord {
    /// As a report has it (RFC 8460 s4.4): `3 1 1 8C75F00D...`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            usage,
            selector,
            matching,
            association,
        } = self;
        write!(formatter, "{usage} {selector} {matching} ")?;
        association
            .iter()
            .try_for_each(|octet| write!(formatter, "{octet:02X}"))
    }
}

/// Why a record cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Unusable {
    /// RFC 7672 s3.1.3: usages 0 and 1 mean nothing in mail; others do not exist.
    #[error("certificate usage {0} means nothing in mail")]
    Usage(u8),
    /// There is no such selector.
    #[error("selector {0} does not exist")]
    Selector(u8),
    /// There is no such matching type.
    #[error("matching type {0} does not exist")]
    Matching(u8),
    /// A digest has one length only.
    #[error("a digest of {found} octets where {expected} are needed")]
    DigestLength {
        /// The length of the digest that the matching type names.
        expected: usize,
        /// The length of what is published.
        found: usize,
    },
    /// The whole certificate is published, and it is none.
    #[error("what is published is no certificate")]
    NotACertificate,
    /// The whole public key is published, and it is none.
    #[error("what is published is no public key")]
    NotAKey,
}

/// What can be done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Usability {
    /// A certificate may match it.
    Usable,
    /// It could be used, and a stronger digest of the same usage and selector stands beside it
    /// (RFC 7671 s9): only that one counts.
    PassedOver,
    /// It cannot.
    Unusable(Unusable),
}

/// The TLSA records of one name, each once and in order, so that the order in which the DNS happened to
/// give them makes no difference (C21).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsaSet {
    records: Vec<(TlsaRecord, Usability)>,
}

const SHA256_OCTETS: usize = 32;
const SHA512_OCTETS: usize = 64;

impl TlsaSet {
    /// Reads the records of an answer. None is left out: what cannot be used is in the report too.
    #[must_use]
    pub fn new(mut records: Vec<TlsaRecord>) -> Self {
        records.sort();
        records.dedup();
        let judged: Vec<(TlsaRecord, Usability)> = records
            .into_iter()
            .map(|record| {
                let usability =
                    judge(&record).map_or_else(Usability::Unusable, |()| Usability::Usable);
                (record, usability)
            })
            .collect();
        let strongest = |of: &TlsaRecord| {
            judged
                .iter()
                .filter(|(other, usability)| {
                    *usability == Usability::Usable
                        && (other.usage, other.selector) == (of.usage, of.selector)
                })
                .map(|(other, _)| other.matching)
                .max()
        };
        let records = judged
            .iter()
            .map(|(record, usability)| {
                // RFC 7671 s9: of digests the strongest only; what is published whole stays.
                let weaker = *usability == Usability::Usable
                    && record.matching != 0
                    && strongest(record) > Some(record.matching);
                let usability = if weaker {
                    Usability::PassedOver
                } else {
                    *usability
                };
                (record.clone(), usability)
            })
            .collect();
        Self { records }
    }

    /// Every record with what can be done with it, in order.
    pub fn judged(&self) -> impl Iterator<Item = (&TlsaRecord, Usability)> {
        self.records
            .iter()
            .map(|(record, usability)| (record, *usability))
    }

    /// The records that a certificate may match.
    pub fn usable(&self) -> impl Iterator<Item = &TlsaRecord> {
        self.judged()
            .filter(|(_, usability)| *usability == Usability::Usable)
            .map(|(record, _)| record)
    }

    /// Whether there is one that a certificate may match (RFC 7672 s2.2).
    #[must_use]
    pub fn has_usable(&self) -> bool {
        self.usable().next().is_some()
    }

    /// The records as a report has them, sorted.
    #[must_use]
    pub fn strings(&self) -> Vec<String> {
        let mut strings: Vec<String> = self
            .records
            .iter()
            .map(|(record, _)| record.to_string())
            .collect();
        strings.sort();
        strings
    }
}

fn judge(record: &TlsaRecord) -> Result<(), Unusable> {
    if !matches!(record.usage, 2 | 3) {
        return Err(Unusable::Usage(record.usage));
    }
    if record.selector > 1 {
        return Err(Unusable::Selector(record.selector));
    }
    let found = record.association.len();
    match record.matching {
        0 => Ok(()),
        1 if found == SHA256_OCTETS => Ok(()),
        2 if found == SHA512_OCTETS => Ok(()),
        1 => Err(Unusable::DigestLength {
            expected: SHA256_OCTETS,
            found,
        }),
        2 => Err(Unusable::DigestLength {
            expected: SHA512_OCTETS,
            found,
        }),
        unknown => Err(Unusable::Matching(unknown)),
    }
}
