//! TLSA records, by which a domain says in signed DNS what certificate its mail host shows (RFC 6698;
//! RFC 7672 for mail).

use std::{fmt, num::ParseIntError, str::FromStr};

use hickory_proto::rr::rdata;
use ring::digest::{SHA256, digest};

use crate::authority::{Authority, Leaf};

/// One TLSA record. It is held as on the wire, so that one that no client can use can be made too.
///
/// It is written as a report writes it: `3 1 1 8C75...`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tlsa {
    /// Certificate usage. 2: an authority of one's own; 3: the certificate itself. Mail knows no other.
    pub usage: u8,
    /// 0: of the certificate; 1: of its public key.
    pub selector: u8,
    /// 0: the thing itself; 1: its SHA-256; 2: its SHA-512.
    pub matching: u8,
    /// What it is compared with.
    pub data: Vec<u8>,
}

/// The text is no TLSA record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no TLSA record: it is three numbers below 256 and an even number of hexadecimal digits"
)]
pub struct TlsaError(String);

impl Tlsa {
    /// `3 1 1`: the record that this certificate matches, whoever issued it.
    #[must_use]
    pub fn of_key(certificate: &Leaf) -> Self {
        Self::end_entity_key(certificate.public_key_sha256())
    }

    /// `2 0 1`: the record that every certificate matches which this authority issues and which is for the
    /// right name.
    #[must_use]
    pub fn of_authority(authority: &Authority) -> Self {
        Self {
            usage: 2,
            selector: 0,
            matching: 1,
            data: digest(&SHA256, &authority.ca_der()).as_ref().to_vec(),
        }
    }

    /// `3 1 1` with a digest that is no key's.
    #[must_use]
    pub fn of_no_key() -> Self {
        Self::end_entity_key([0xAB; 32])
    }

    /// `2 1 1` with a digest that is no authority's.
    #[must_use]
    pub fn of_no_authority() -> Self {
        Self {
            usage: 2,
            ..Self::end_entity_key([0xCD; 32])
        }
    }

    /// `3 1 9`: a matching type that does not exist, so that no client can use it (RFC 7671 s4.1).
    #[must_use]
    pub fn unusable() -> Self {
        Self {
            matching: 9,
            ..Self::of_no_key()
        }
    }

    fn end_entity_key(digest: [u8; 32]) -> Self {
        Self {
            usage: 3,
            selector: 1,
            matching: 1,
            data: digest.to_vec(),
        }
    }

    pub(crate) fn rdata(&self) -> rdata::TLSA {
        rdata::TLSA::new(
            self.usage.into(),
            self.selector.into(),
            self.matching.into(),
            self.data.clone(),
        )
    }
}

impl fmt::Display for Tlsa {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            usage,
            selector,
            matching,
            data,
        } = self;
        write!(formatter, "{usage} {selector} {matching} ")?;
        data.iter()
            .try_for_each(|octet| write!(formatter, "{octet:02X}"))
    }
}

impl FromStr for Tlsa {
    type Err = TlsaError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || TlsaError(text.to_owned());
        match text.split_ascii_whitespace().collect::<Vec<_>>().as_slice() {
            [usage, selector, matching, data] => Ok(Self {
                usage: usage.parse().map_err(|_| error())?,
                selector: selector.parse().map_err(|_| error())?,
                matching: matching.parse().map_err(|_| error())?,
                data: octets(data).ok_or_else(error)?,
            }),
            _ => Err(error()),
        }
    }
}

fn octets(digits: &str) -> Option<Vec<u8>> {
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let octet = |pair: &[u8]| -> Option<Result<u8, ParseIntError>> {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.len() == 2)?;
        Some(u8::from_str_radix(pair, 16))
    };
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| octet(pair)?.ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_is_written() {
        for text in ["3 1 1 8C75F00D", "2 0 2 00", "255 255 255 FF"] {
            assert_eq!(text.parse::<Tlsa>().unwrap().to_string(), text);
        }
        assert_eq!(
            " 3  1 1 8c75f00d ".parse::<Tlsa>().unwrap().to_string(),
            "3 1 1 8C75F00D"
        );
        for text in [
            "",
            "3 1 1",
            "3 1 1 8C7",
            "3 1 256 00",
            "3 1 1 +1",
            "3 1 1 00 00",
            "3 1 1 é",
        ] {
            assert!(text.parse::<Tlsa>().is_err(), "{text}");
        }
    }
}
