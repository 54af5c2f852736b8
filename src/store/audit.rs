//! The chain of the audit log: each entry carries the digest of the one before, so that none can be changed,
//! left out or put between without every later one showing it.

use ring::digest::{Context, SHA256};

use super::codec;
use crate::observe::audit::AuditEntry;

/// SHA-256 over an entry's number and its bytes, which begin with the digest of the one before.
pub type AuditHash = [u8; 32];

/// An entry as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number, from 1.
    pub number: u64,
    /// The digest of the entry before; zeros for the first.
    pub before: AuditHash,
    /// Its own digest.
    pub hash: AuditHash,
    /// What it says.
    pub entry: AuditEntry,
}

/// Where a chain ends, or where what is kept of it begins behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditLink {
    /// The number of the last entry; 0 where there is none.
    pub number: u64,
    /// Its digest.
    pub hash: AuditHash,
}

/// What is held of the log, as it is shown entry by entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditShown {
    /// First: the last entry that was forgotten.
    Begins(AuditLink),
    /// An entry.
    Record(AuditRecord),
    /// The entry of this number, of which the bytes make no sense.
    Unreadable(u64),
}

impl AuditLink {
    /// The link that an entry's bytes make under its number.
    pub(super) fn of(number: u64, value: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&number.to_be_bytes());
        context.update(value);
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Self { number, hash }
    }

    /// The bytes of an entry that follows, and the link that it makes.
    pub(super) fn followed_by(&self, entry: &AuditEntry) -> (Self, Vec<u8>) {
        let value = codec::write_audit(&self.hash, entry);
        (Self::of(self.number.saturating_add(1), &value), value)
    }
}

/// What bytes under a number show.
pub(super) fn shown(number: u64, value: &[u8]) -> AuditShown {
    match codec::read_audit(value) {
        Ok((before, entry)) => AuditShown::Record(AuditRecord {
            number,
            before,
            hash: AuditLink::of(number, value).hash,
            entry,
        }),
        Err(_) => AuditShown::Unreadable(number),
    }
}

/// Follows a chain and says where it breaks.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    last: AuditLink,
    entries: u64,
    first: Option<u64>,
    broken_at: Option<u64>,
}

impl Chain {
    /// Takes what is shown next.
    pub fn take(&mut self, shown: &AuditShown) {
        match shown {
            AuditShown::Begins(link) => self.last = *link,
            // What was forgotten and is still there: the forgetting was cut off.
            AuditShown::Record(record)
                if record.number <= self.last.number && self.entries == 0 => {}
            AuditShown::Unreadable(number) if *number <= self.last.number && self.entries == 0 => {}
            AuditShown::Record(record) => {
                let follows = record.number == self.last.number.saturating_add(1)
                    && record.before == self.last.hash;
                if !follows {
                    self.broken_at.get_or_insert(record.number);
                }
                self.count(AuditLink {
                    number: record.number,
                    hash: record.hash,
                });
            }
            AuditShown::Unreadable(number) => {
                self.broken_at.get_or_insert(*number);
                self.count(AuditLink {
                    number: *number,
                    hash: [0; 32],
                });
            }
        }
    }

    fn count(&mut self, last: AuditLink) {
        self.entries = self.entries.saturating_add(1);
        self.first.get_or_insert(last.number);
        self.last = last;
    }

    /// Where it ends.
    #[must_use]
    pub const fn last(&self) -> AuditLink {
        self.last
    }

    /// The number of the first entry that is held.
    #[must_use]
    pub const fn first(&self) -> Option<u64> {
        self.first
    }

    /// How many entries are held.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// The first entry that does not follow from the one before, if there is one.
    #[must_use]
    pub const fn broken_at(&self) -> Option<u64> {
        self.broken_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, observe::audit::AuditKind};

    /// The bytes of so many entries, by number.
    fn rows(count: u64) -> Vec<(u64, Vec<u8>)> {
        let mut link = AuditLink::default();
        let mut rows = Vec::new();
        for number in 1..=count {
            let words = format!("entry {number}");
            let entry = AuditEntry::new(Timestamp(7), AuditKind::Reloaded, words);
            let (next, value) = link.followed_by(&entry);
            rows.push((number, value));
            link = next;
        }
        rows
    }

    fn broken_at(begins: AuditLink, rows: &[(u64, Vec<u8>)]) -> Option<u64> {
        let mut chain = Chain::default();
        chain.take(&AuditShown::Begins(begins));
        for (number, value) in rows {
            chain.take(&shown(*number, value));
        }
        chain.broken_at()
    }

    #[test]
    fn whatever_is_done_to_an_entry_the_chain_shows_it() {
        let whole = rows(5);
        let start = AuditLink::default();
        assert_eq!(broken_at(start, &whole), None);
        let mut changed = whole.clone();
        let length = changed[2].1.len();
        changed[2].1[length - 1] ^= 1;
        // It still reads; the one behind it no longer follows.
        assert_eq!(broken_at(start, &changed), Some(4));
        let mut left_out = whole.clone();
        left_out.remove(1);
        assert_eq!(broken_at(start, &left_out), Some(3));
        let mut twice = whole.clone();
        twice.insert(3, whole[2].clone());
        assert_eq!(broken_at(start, &twice), Some(3));
        let mut torn = whole.clone();
        torn[3].1.truncate(10);
        assert_eq!(broken_at(start, &torn), Some(4));
        // The first ones without a word that they were forgotten.
        assert_eq!(broken_at(start, &whole[2..]), Some(3));
    }

    #[test]
    fn what_was_forgotten_is_known_by_its_last_link() {
        let whole = rows(5);
        let (number, value) = &whole[1];
        let begins = AuditLink::of(*number, value);
        assert_eq!(broken_at(begins, &whole[2..]), None);
        // Cut off between the word and the deed.
        assert_eq!(broken_at(begins, &whole), None);
        assert_eq!(broken_at(begins, &whole[3..]), Some(4));
    }
}
