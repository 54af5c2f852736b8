//! What every value of the store is made of: its form's number, then numbers, times, texts and
//! addresses one after the other.
//!
//! What is read may be damaged: every length is checked against what is there, and nothing panics.

use std::net::IpAddr;

use crate::clock::Timestamp;

/// The form that this release writes, of every value.
const FORM: u8 = 1;

/// The bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} cannot be read")]
pub(crate) struct Unreadable(pub(crate) &'static str);

/// Puts a value together.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new() -> Self {
        Self(vec![FORM])
    }

    /// The value.
    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn octet(&mut self, octet: u8) {
        self.0.push(octet);
    }

    pub(super) fn octets(&mut self, octets: &[u8]) {
        self.0.extend_from_slice(octets);
    }

    pub(super) fn number(&mut self, number: u64) {
        self.octets(&number.to_be_bytes());
    }

    pub(super) fn time(&mut self, time: Timestamp) {
        self.octets(&time.0.to_be_bytes());
    }

    /// Nothing here comes near four thousand million; what did would be cut, not wrapped.
    pub(super) fn length(&mut self, length: usize) {
        self.octets(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.length(text.len());
        self.octets(text.as_bytes());
    }

    pub(super) fn texts(&mut self, texts: &[String]) {
        self.length(texts.len());
        texts.iter().for_each(|text| self.text(text));
    }

    pub(super) fn text_or_none(&mut self, text: Option<&str>) {
        self.octet(u8::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    pub(super) fn time_or_none(&mut self, time: Option<Timestamp>) {
        self.octet(u8::from(time.is_some()));
        self.time(time.unwrap_or_default());
    }

    pub(super) fn address_or_none(&mut self, address: Option<IpAddr>) {
        match address {
            None => self.octet(0),
            Some(IpAddr::V4(four)) => {
                self.octet(4);
                self.octets(&four.octets());
            }
            Some(IpAddr::V6(six)) => {
                self.octet(6);
                self.octets(&six.octets());
            }
        }
    }
}

/// Takes a value apart.
pub(super) struct Reader<'a> {
    left: &'a [u8],
    what: Unreadable,
}

impl<'a> Reader<'a> {
    pub(super) fn new(value: &'a [u8], what: Unreadable) -> Result<Self, Unreadable> {
        let mut reader = Self { left: value, what };
        if reader.octet()? == FORM {
            Ok(reader)
        } else {
            Err(what)
        }
    }

    /// The error of a value that says what cannot be.
    pub(super) const fn unreadable(&self) -> Unreadable {
        self.what
    }

    pub(super) fn octets(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, left) = self.left.split_at_checked(count).ok_or(self.what)?;
        self.left = left;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Unreadable> {
        let (taken, left) = self.left.split_first_chunk().ok_or(self.what)?;
        self.left = left;
        Ok(taken)
    }

    pub(super) fn octet(&mut self) -> Result<u8, Unreadable> {
        self.array().map(|[octet]| *octet)
    }

    pub(super) fn number(&mut self) -> Result<u64, Unreadable> {
        self.array().map(|octets| u64::from_be_bytes(*octets))
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, Unreadable> {
        self.array()
            .map(|octets| Timestamp(i64::from_be_bytes(*octets)))
    }

    pub(super) fn length(&mut self) -> Result<usize, Unreadable> {
        let length = self.array().map(|octets| u32::from_be_bytes(*octets))?;
        usize::try_from(length).map_err(|_| self.what)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Unreadable> {
        let length = self.length()?;
        std::str::from_utf8(self.octets(length)?).map_err(|_| self.what)
    }

    /// The vector grows with what is really there, not with the count that is claimed.
    pub(super) fn texts(&mut self) -> Result<Vec<String>, Unreadable> {
        let count = self.length()?;
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(self.text()?.to_owned());
        }
        Ok(texts)
    }

    pub(super) fn text_or_none(&mut self) -> Result<Option<String>, Unreadable> {
        let present = self.octet()?;
        let text = self.text()?;
        match present {
            0 if text.is_empty() => Ok(None),
            1 => Ok(Some(text.to_owned())),
            _ => Err(self.what),
        }
    }

    pub(super) fn time_or_none(&mut self) -> Result<Option<Timestamp>, Unreadable> {
        let present = self.octet()?;
        let time = self.time()?;
        match present {
            0 => Ok(None),
            1 => Ok(Some(time)),
            _ => Err(self.what),
        }
    }

    pub(super) fn address_or_none(&mut self) -> Result<Option<IpAddr>, Unreadable> {
        match self.octet()? {
            0 => Ok(None),
            4 => Ok(Some(IpAddr::from(*self.array::<4>()?))),
            6 => Ok(Some(IpAddr::from(*self.array::<16>()?))),
            _ => Err(self.what),
        }
    }

    /// Nothing may be left over.
    pub(super) const fn end(&self) -> Result<(), Unreadable> {
        if self.left.is_empty() {
            Ok(())
        } else {
            Err(self.what)
        }
    }
}
