//! What is put into a zone, and what is wrong with it.

use std::{net::IpAddr, str::FromStr as _};

use hickory_proto::{
    rr::{
        Name, RData, RecordType,
        rdata::{A, AAAA, CNAME, MX, NULL, TXT},
    },
    serialize::binary::BinEncodable as _,
};

use crate::{
    dns::{DnsFault, rooted},
    tlsa::Tlsa,
};

/// One zone, as its owner writes it: the records, how it is signed, and what went wrong with that. SOA,
/// NS, DNSKEY and DS come by themselves.
///
/// Names are whole (`mx.ok.test`, not `mx`), with or without a dot at the end and in any case. One that
/// is no name, or that lies outside the zone, is an error when the Internet starts.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Absent where the zone is not signed.
    pub(super) denial: Option<Denial>,
    pub(super) delegation: Delegation,
    pub(super) records: Vec<(String, Value)>,
    /// For all signatures of the zone.
    pub(super) spoilt_zone: Option<SignatureFault>,
    /// For those over one name and type.
    pub(super) spoilt: Vec<(String, String, SignatureFault)>,
    pub(super) failing: Vec<(String, String, DnsFault)>,
}

/// How a zone proves that something does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// By the names before and after it (RFC 4034 s4).
    Nsec,
    /// By the hashes before and after its own (RFC 5155), with no salt and no iteration (RFC 9276).
    Nsec3,
    /// As before, and unsigned delegations are left out (RFC 5155 s6).
    Nsec3OptOut,
    /// By hashes that are made again so many times. Over a certain number nobody need follow that: the
    /// zone then counts as unsigned (RFC 9276 s3.2).
    Nsec3Iterated(u16),
    /// Not at all, though the zone is signed.
    Missing,
}

impl Denial {
    /// How often a hash is made again; nothing where there are no hashes.
    pub(super) fn iterations(self) -> Option<u16> {
        match self {
            Self::Nsec3 | Self::Nsec3OptOut => Some(0),
            Self::Nsec3Iterated(times) => Some(times),
            Self::Nsec | Self::Missing => None,
        }
    }
}

/// What the zone above says of this zone's key (DS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delegation {
    /// It names the key.
    Secure,
    /// There is no DS record, and the zone above proves it.
    Insecure,
    /// It names a key that the zone does not have, as after a roll-over gone wrong.
    OtherKey,
    /// It names a key of an algorithm that nobody knows; such a zone counts as unsigned (RFC 4035 s5.2).
    UnknownAlgorithm,
}

/// What is wrong with a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureFault {
    /// The records were changed after they were signed.
    Altered,
    /// It was valid from 2010 to 2020.
    Expired,
    /// It is valid from 2079.
    NotYetValid,
    /// It is not there.
    Absent,
}

/// One record's value, names still as text.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Address(IpAddr),
    Mx(u16, String),
    Txt(Vec<Vec<u8>>),
    Cname(String),
    Dname(String),
    Tlsa(Tlsa),
}

impl Zone {
    /// A signed zone without records, whose parent says so.
    #[must_use]
    pub fn signed() -> Self {
        Self {
            denial: Some(Denial::Nsec),
            delegation: Delegation::Secure,
            ..Self::unsigned()
        }
    }

    /// An unsigned zone without records, whose parent says so.
    #[must_use]
    pub fn unsigned() -> Self {
        Self {
            denial: None,
            delegation: Delegation::Insecure,
            records: Vec::new(),
            spoilt_zone: None,
            spoilt: Vec::new(),
            failing: Vec::new(),
        }
    }

    /// Denies in another way. Means nothing where the zone is not signed.
    #[must_use]
    pub fn denial(mut self, denial: Denial) -> Self {
        self.denial = self.denial.map(|_| denial);
        self
    }

    /// Has the zone above say something else. `Insecure` on a signed zone makes an island that nobody
    /// can trust; `Secure` on an unsigned one is a zone that lost its signatures. Means nothing for the
    /// root.
    #[must_use]
    pub fn delegation(mut self, delegation: Delegation) -> Self {
        self.delegation = delegation;
        self
    }

    /// Gives a name these addresses, A and AAAA, beside those it has.
    #[must_use]
    pub fn addresses(mut self, name: &str, addresses: &[IpAddr]) -> Self {
        for address in addresses {
            self.add(name, Value::Address(*address));
        }
        self
    }

    /// Gives a name these MX records, preference and host, beside those it has.
    #[must_use]
    pub fn mx(mut self, name: &str, hosts: &[(u16, &str)]) -> Self {
        for (preference, host) in hosts {
            self.add(name, Value::Mx(*preference, (*host).to_owned()));
        }
        self
    }

    /// Gives a name these TXT records, each of one text, beside those it has. A text over 255 octets is
    /// cut into several character-strings.
    #[must_use]
    pub fn txt(mut self, name: &str, texts: &[&str]) -> Self {
        for text in texts {
            let strings = text.as_bytes().chunks(255).map(<[u8]>::to_vec).collect();
            self.add(name, Value::Txt(strings));
        }
        self
    }

    /// Gives a name these TLSA records, beside those it has.
    #[must_use]
    pub fn tlsa(mut self, name: &str, records: &[Tlsa]) -> Self {
        for record in records {
            self.add(name, Value::Tlsa(record.clone()));
        }
        self
    }

    /// Makes a name an alias of another, in this zone or not.
    #[must_use]
    pub fn cname(mut self, name: &str, target: &str) -> Self {
        self.add(name, Value::Cname(target.to_owned()));
        self
    }

    /// Makes every name below this one an alias of the same name below another (RFC 6672).
    #[must_use]
    pub fn dname(mut self, name: &str, target: &str) -> Self {
        self.add(name, Value::Dname(target.to_owned()));
        self
    }

    /// Spoils the signature over the records of one name and type (`MX`, `DNSKEY`, `NSEC`, ...).
    #[must_use]
    pub fn spoil(mut self, name: &str, kind: &str, fault: SignatureFault) -> Self {
        self.spoilt.push((name.to_owned(), kind.to_owned(), fault));
        self
    }

    /// Spoils every signature of the zone.
    #[must_use]
    pub fn spoil_all(mut self, fault: SignatureFault) -> Self {
        self.spoilt_zone = Some(fault);
        self
    }

    /// Makes the server misbehave when it is asked for this name and type. That cannot be written into
    /// a master file.
    #[must_use]
    pub fn fail(mut self, name: &str, kind: &str, fault: DnsFault) -> Self {
        self.failing.push((name.to_owned(), kind.to_owned(), fault));
        self
    }

    fn add(&mut self, name: &str, value: Value) {
        self.records.push((name.to_owned(), value));
    }
}

impl Value {
    pub(super) fn data(&self) -> Result<RData, ZoneError> {
        Ok(match self {
            Self::Address(IpAddr::V4(address)) => RData::A(A(*address)),
            Self::Address(IpAddr::V6(address)) => RData::AAAA(AAAA(*address)),
            Self::Mx(preference, host) => RData::MX(MX::new(*preference, name(host)?)),
            Self::Txt(strings) => {
                RData::TXT(TXT::from_bytes(strings.iter().map(Vec::as_slice).collect()))
            }
            Self::Cname(target) => RData::CNAME(CNAME(name(target)?)),
            Self::Dname(target) => RData::Unknown {
                code: RecordType::DNAME,
                rdata: NULL::with(name(target)?.to_bytes()?),
            },
            Self::Tlsa(record) => RData::TLSA(record.rdata()),
        })
    }
}

/// The zones cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// The test: not a domain name.
    #[error("\"{0}\" is not a domain name")]
    BadName(String),
    /// The test: not a record type.
    #[error("\"{0}\" is not a record type")]
    BadType(String),
    /// The test: the name is not in the zone, or is in a zone below it.
    #[error("{name} does not belong into the zone {zone}")]
    Elsewhere {
        /// The name.
        name: String,
        /// The zone.
        zone: String,
    },
    /// The kit: a value that cannot be put into octets.
    #[error("DNS: {0}")]
    Protocol(#[from] hickory_proto::ProtoError),
    /// The kit or the machine: no key, or no signature.
    #[error("no key can be made, or none signs")]
    Key,
}

/// A name in lower case, from the root on.
pub(super) fn name(text: &str) -> Result<Name, ZoneError> {
    Name::from_str(&rooted(text))
        .map(|name| name.to_lowercase())
        .map_err(|_| ZoneError::BadName(text.to_owned()))
}

pub(super) fn kind(text: &str) -> Result<RecordType, ZoneError> {
    RecordType::from_str(text).map_err(|_| ZoneError::BadType(text.to_owned()))
}
