//! A finished day in blocks: runs of rows packed together.
//!
//! While a day runs, each row lies singly, because it changes. When the day has ended its rows are
//! packed into blocks and deleted, which makes the day small, quick to read and quick to forget.
//! A day may be sealed again after late rows came in; each sealing has a number, and one row tells
//! which number holds. Blocks of other numbers are left-overs.

use std::collections::BTreeMap;

use super::{
    StoreError,
    engine::{Engine, Rows, Walk},
    key,
    octets::Unreadable,
};
use crate::{clock::UtcDay, policy::PolicyDomain};

/// How many domains one block holds at most.
const DOMAINS_PER_BLOCK_MAX: usize = 256;

/// The length at which a block is closed. A row is at most about 1.6 KiB, so 19 blocks, the most
/// that a page ever holds, stay below the 128 KiB that keep it within sled's log (see `parted`).
const BLOCK_BYTES: usize = 4_096;

/// The form that this release writes.
const FORM: u8 = 1;

/// Rows by key, as the tree of tallies has them.
pub(crate) type RowMap = BTreeMap<Vec<u8>, Vec<u8>>;

/// The sealed days.
pub(crate) struct Sealed {
    /// Day to the number of the sealing that holds.
    heads: Rows,
    blocks: Rows,
}

impl Sealed {
    /// The sealed days in an engine.
    pub(crate) fn open(engine: &Engine) -> Result<Self, StoreError> {
        Ok(Self {
            heads: engine.rows("sealed-days")?,
            blocks: engine.rows("sealed")?,
        })
    }

    /// The days that are sealed.
    pub(crate) const fn heads(&self) -> &Rows {
        &self.heads
    }

    /// The blocks themselves.
    pub(crate) const fn blocks(&self) -> &Rows {
        &self.blocks
    }

    /// Packs the rows of a day, and makes them hold instead of what was packed before.
    pub(crate) fn replace(
        &self,
        engine: &Engine,
        day: UtcDay,
        rows: &RowMap,
    ) -> Result<(), StoreError> {
        let before = self.generation(day)?;
        let next = before.map_or(1, |number| number.wrapping_add(1));
        // What an earlier attempt under this number may have left.
        self.remove_blocks(day, next)?;
        for (key, block) in pack(day, next, rows) {
            self.blocks.put(&key, &block)?;
        }
        engine.sync()?;
        self.heads.put(&key::day(day), &next.to_be_bytes())?;
        engine.sync()?;
        before.map_or(Ok(()), |number| self.remove_blocks(day, number))
    }

    /// Forgets a day.
    pub(crate) fn forget(&self, engine: &Engine, day: UtcDay) -> Result<(), StoreError> {
        self.heads.remove(&key::day(day))?;
        engine.sync()?;
        self.remove_under(&key::day(day))
    }

    /// Every packed row of a day, or of one domain on it, whose key begins with `prefix` and is wanted.
    pub(crate) fn rows(
        &self,
        day: UtcDay,
        prefix: &[u8],
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<RowMap, Trouble> {
        loop {
            let Some(number) = self.generation(day)? else {
                return Ok(RowMap::new());
            };
            let rows = self.rows_of(day, number, prefix, wanted);
            // The day may have been sealed anew while we read; then our blocks were going away.
            if self.generation(day)? == Some(number) {
                return rows;
            }
        }
    }

    /// The value of one packed row.
    pub(crate) fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        let Some(day) = key::day_of(key) else {
            return Ok(None);
        };
        Ok(self.rows(day, key, &|_| true)?.remove(key))
    }

    fn rows_of(
        &self,
        day: UtcDay,
        number: u32,
        prefix: &[u8],
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> Result<RowMap, Trouble> {
        let all = [key::day(day), number.to_be_bytes().to_vec()].concat();
        let at_prefix = key::block(day, number, prefix);
        let end = key::behind(&at_prefix);
        // The block before the first that begins with the prefix may end with such rows.
        let just_behind = [at_prefix.as_slice(), &[0]].concat();
        let from = self
            .blocks
            .last(&all, Some(&just_behind))?
            .map_or(at_prefix, |(key, _)| key);
        let mut rows = RowMap::new();
        let mut torn = false;
        self.blocks.walk(&from, end.as_deref(), |key, block| {
            torn |= unpack(day, key, block, |key, value| {
                if key.starts_with(prefix) && wanted(key) {
                    rows.insert(key.to_vec(), value.to_vec());
                }
            })
            .is_err();
            Ok(Walk::On)
        })?;
        if torn {
            return Err(Trouble::Torn);
        }
        Ok(rows)
    }

    fn generation(&self, day: UtcDay) -> Result<Option<u32>, StoreError> {
        let value = self.heads.value(&key::day(day))?;
        Ok(value.and_then(|value| {
            value
                .first_chunk()
                .map(|octets| u32::from_be_bytes(*octets))
        }))
    }

    fn remove_blocks(&self, day: UtcDay, number: u32) -> Result<(), StoreError> {
        self.remove_under(&[key::day(day), number.to_be_bytes().to_vec()].concat())
    }

    fn remove_under(&self, prefix: &[u8]) -> Result<(), StoreError> {
        let mut keys = Vec::new();
        let below = key::behind(prefix);
        self.blocks.walk(prefix, below.as_deref(), |key, _| {
            keys.push(key.to_vec());
            Ok(Walk::On)
        })?;
        keys.iter().try_for_each(|key| self.blocks.remove(key))
    }
}

/// Why packed rows could not be had.
pub(crate) use super::parted::Trouble;

/// Cuts a day's rows into blocks, each with its key.
fn pack(day: UtcDay, number: u32, rows: &RowMap) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (key, value) in rows {
        let domain = key::domain_of(key);
        if open
            .as_ref()
            .is_some_and(|block| block.is_full(domain.as_ref()))
        {
            blocks.extend(open.take().map(|block| (block.key, block.bytes)));
        }
        open.get_or_insert_with(|| Block::beginning_with(day, number, key))
            .add(key, value, domain);
    }
    blocks.extend(open.map(|block| (block.key, block.bytes)));
    blocks
}

/// A block that is being filled.
struct Block {
    key: Vec<u8>,
    bytes: Vec<u8>,
    previous: Vec<u8>,
    domain: Option<PolicyDomain>,
    domains: usize,
}

impl Block {
    fn beginning_with(day: UtcDay, number: u32, first_row: &[u8]) -> Self {
        Self {
            key: key::block(day, number, first_row),
            bytes: vec![FORM],
            previous: key::day(day),
            domain: None,
            domains: 0,
        }
    }

    fn is_full(&self, next: Option<&PolicyDomain>) -> bool {
        self.bytes.len() >= BLOCK_BYTES
            || (self.domains == DOMAINS_PER_BLOCK_MAX && self.domain.as_ref() != next)
    }

    /// A row is what its key has in common with the one before, the rest, and the value.
    fn add(&mut self, key: &[u8], value: &[u8], domain: Option<PolicyDomain>) {
        let common = key
            .iter()
            .zip(&self.previous)
            .take_while(|(one, other)| one == other)
            .count();
        let rest = key.get(common..).unwrap_or_default();
        for length in [common, rest.len(), value.len()] {
            // Keys and values of tallies are far shorter than 64 KiB.
            let length = u16::try_from(length).unwrap_or(u16::MAX);
            self.bytes.extend_from_slice(&length.to_be_bytes());
        }
        self.bytes.extend_from_slice(rest);
        self.bytes.extend_from_slice(value);
        self.previous = key.to_vec();
        if domain != self.domain {
            self.domains += 1;
            self.domain = domain;
        }
    }
}

/// Shows every row of a block.
fn unpack(
    day: UtcDay,
    block_key: &[u8],
    block: &[u8],
    mut show: impl FnMut(&[u8], &[u8]),
) -> Result<(), Unreadable> {
    const WHAT: Unreadable = Unreadable("a sealed block");
    let Some((&FORM, mut left)) = block.split_first() else {
        return Err(WHAT);
    };
    let mut key = key::day(day);
    let mut first = true;
    while !left.is_empty() {
        let (common, rest, value) = take_row(&mut left).ok_or(WHAT)?;
        if common > key.len() {
            return Err(WHAT);
        }
        key.truncate(common);
        key.extend_from_slice(rest);
        // The block's own key says what its first row is: a check that costs nothing.
        let behind = key.get(4..).unwrap_or_default();
        if first && block_key.get(8..) != Some(behind) {
            return Err(WHAT);
        }
        first = false;
        show(&key, value);
    }
    Ok(())
}

fn take_row<'a>(left: &mut &'a [u8]) -> Option<(usize, &'a [u8], &'a [u8])> {
    let mut length = || {
        let (octets, behind) = left.split_first_chunk::<2>()?;
        *left = behind;
        Some(usize::from(u16::from_be_bytes(*octets)))
    };
    let (common, rest, value) = (length()?, length()?, length()?);
    let (rest, behind) = left.split_at_checked(rest)?;
    let (value, behind) = behind.split_at_checked(value)?;
    *left = behind;
    Some((common, rest, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::Fingerprint,
        store::{Counted, TallyKey, codec},
    };

    const DAY: UtcDay = UtcDay(20_000);

    fn rows(domains: usize) -> RowMap {
        let mut rows = RowMap::new();
        for number in 0..domains {
            for counted in [Counted::Successes, Counted::Failures] {
                let row = TallyKey {
                    day: DAY,
                    domain: format!("d{number}.example").parse().unwrap(),
                    policy: Fingerprint([u8::try_from(number % 251).unwrap(); 16]),
                    counted,
                };
                let value = codec::write_tally(&row, number as u64);
                rows.insert(key::tally(&row), value);
            }
        }
        rows
    }

    #[test]
    fn what_is_packed_is_unpacked_and_blocks_stay_short() {
        for domains in [0, 1, 3, 5_000] {
            let rows = rows(domains);
            let blocks = pack(DAY, 1, &rows);
            let mut back = RowMap::new();
            for (key, block) in &blocks {
                assert!(block.len() < BLOCK_BYTES + 1_600);
                unpack(DAY, key, block, |key, value| {
                    back.insert(key.to_vec(), value.to_vec());
                })
                .unwrap();
            }
            assert_eq!(back, rows, "{domains} domains in {} blocks", blocks.len());
        }
    }

    #[test]
    fn a_damaged_block_is_refused_or_read_but_never_panics() {
        let blocks = pack(DAY, 1, &rows(20));
        let (key, block) = &blocks[0];
        for place in 0..block.len() {
            let _cut = unpack(DAY, key, &block[..place], |_, _| {}).is_ok();
            for change in [0x01, 0x80, 0xff] {
                let mut damaged = block.clone();
                damaged[place] ^= change;
                let _changed = unpack(DAY, key, &damaged, |_, _| {}).is_ok();
            }
        }
        assert!(unpack(DAY, key, &[], |_, _| {}).is_err());
        assert!(unpack(DAY, &key[..9], block, |_, _| {}).is_err());
    }

    #[test]
    fn a_block_with_several_changes_is_refused_or_read_but_never_panics() {
        let blocks = pack(DAY, 1, &rows(20));
        let (key, block) = &blocks[0];
        for bytes in sealpost_kit::mutations(17, &[block]) {
            let mut octets = 0;
            let _read = unpack(DAY, key, &bytes, |key, value| {
                octets += key.len() + value.len();
            })
            .is_ok();
            let rows_max = bytes.len() / 6;
            assert!(octets <= bytes.len() * (1 + rows_max), "{octets}");
            let _other_key = unpack(DAY, &bytes, block, |_, _| {}).is_ok();
        }
    }
}
