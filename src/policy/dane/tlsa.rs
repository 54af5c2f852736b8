//! TLSA records (RFC 6698), and which of them a mail client can use (RFC 7671, RFC 7672).

use std::fmt;

use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use super::certificate::Authority;
use crate::policy::certificate::{is_certificate, is_public_key};

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
    records: Vec<Judged>,
}

/// A record, and what was found of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Judged {
    record: TlsaRecord,
    usability: Usability,
    published: Option<Published>,
}

/// An authority that a record holds whole, so that a server need not send it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Published {
    /// Its certificate, read once for all the chains that are held against it.
    Authority(Authority<'static>),
    /// Its key. Under what name it signs is not known.
    Key,
}

/// How many records of one name are read, and how many octets they may have together.
// OURS: nobody needs as many as go into a message of the DNS, and each is held for as long as its host is known
// (docs/decisions/0011-dane.md).
const RECORDS_MAX: usize = 64;
const OCTETS_MAX: usize = 8_192;

/// There are more records of a name than anybody reads, or longer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{records} TLSA records of {octets} octets, where {RECORDS_MAX} of {OCTETS_MAX} octets are read"
)]
pub struct TooLarge {
    /// How many there are.
    pub records: usize,
    /// How many octets they have together.
    pub octets: usize,
}

const SHA256_OCTETS: usize = 32;
const SHA512_OCTETS: usize = 64;

impl TlsaSet {
    /// Reads the records of an answer, unless there are too many.
    ///
    /// # Errors
    /// When they are more than are read, or too long.
    pub fn read(records: Vec<TlsaRecord>) -> Result<Self, TooLarge> {
        let octets = records.iter().map(|record| record.association.len()).sum();
        if records.len() > RECORDS_MAX || octets > OCTETS_MAX {
            let records = records.len();
            return Err(TooLarge { records, octets });
        }
        Ok(Self::new(records))
    }

    /// Records of an answer that are not too many. None is left out: what cannot be used is in the report too.
    #[must_use]
    pub fn new(mut records: Vec<TlsaRecord>) -> Self {
        records.sort();
        records.dedup();
        let mut judged: Vec<Judged> = records
            .into_iter()
            .map(|record| Judged {
                usability: judge(&record).map_or_else(Usability::Unusable, |()| Usability::Usable),
                published: None,
                record,
            })
            .collect();
        // RFC 7671 s9: of digests the strongest only; what is published whole stays. In their order,
        // the last of a usage and selector that can be used is the strongest.
        let mut strongest = None;
        for of in judged.iter_mut().rev() {
            if of.usability != Usability::Usable {
                continue;
            }
            let record = &of.record;
            let kind = (record.usage, record.selector);
            match strongest {
                Some((same, matching)) if same == kind => {
                    if record.matching != 0 && record.matching < matching {
                        of.usability = Usability::PassedOver;
                    }
                }
                _ => strongest = Some((kind, record.matching)),
            }
        }
        for of in &mut judged {
            if of.usability == Usability::Usable {
                of.published = published(&of.record);
            }
        }
        Self { records: judged }
    }

    /// Every record with what can be done with it, in order.
    pub fn judged(&self) -> impl Iterator<Item = (&TlsaRecord, Usability)> {
        self.records.iter().map(|of| (&of.record, of.usability))
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
            .map(|of| of.record.to_string())
            .collect();
        strings.sort();
        strings
    }

    /// The authorities that are published whole, with their records.
    pub(super) fn published(&self) -> impl Iterator<Item = (&TlsaRecord, &Published)> {
        self.records
            .iter()
            .filter_map(|of| Some((&of.record, of.published.as_ref()?)))
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
    let digest = |expected| {
        if found == expected {
            Ok(())
        } else {
            Err(Unusable::DigestLength { expected, found })
        }
    };
    match record.matching {
        0 => whole(record),
        1 => digest(SHA256_OCTETS),
        2 => digest(SHA512_OCTETS),
        unknown => Err(Unusable::Matching(unknown)),
    }
}

/// What is published whole must be what it is said to be.
fn whole(record: &TlsaRecord) -> Result<(), Unusable> {
    let octets = record.association.as_slice();
    if record.selector == 1 {
        return if is_public_key(octets) {
            Ok(())
        } else {
            Err(Unusable::NotAKey)
        };
    }
    // OURS: of a server's own certificate no more is asked than of one that a server shows, since a
    // record that cannot be used lowers what is demanded. An authority is to be read whole.
    let readable = record.usage == 3 || X509Certificate::from_der(octets).is_ok();
    if readable && is_certificate(octets) {
        Ok(())
    } else {
        Err(Unusable::NotACertificate)
    }
}

fn published(record: &TlsaRecord) -> Option<Published> {
    match (record.usage, record.selector, record.matching) {
        (2, 0, 0) => Authority::from_certificate(&record.association)
            .map(|authority| Published::Authority(authority.to_owned())),
        (2, 1, 0) => Some(Published::Key),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
