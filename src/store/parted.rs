//! Values of any length in rows of a bounded one.
//!
//! sled moves a page of more than 128 KiB out into a file of its own, which it never asks the disk
//! to keep. A page holds up to 17 rows, so no row may be longer than a few KiB. Policies may: their
//! documents go up to 64 KiB. A long value is cut into parts, which lie in a tree of their own, and
//! its row only names them. The row is written when the parts are on the disk, so that a value is
//! there whole or not at all.

use std::collections::HashSet;

use super::{
    StoreError,
    engine::{Engine, Rows, Walk},
    key,
};

/// The longest value that a row holds. 17 of them with their keys, and what is changed before the
/// page is split, stay below 128 KiB.
pub(crate) const ROW_BYTES_MAX: usize = 4_096;

/// What a row begins with.
const WHOLE: u8 = 0;
const PARTS: u8 = 1;

/// The length of a row that only names the parts of its value: the octet before, the digest, the length.
const NAMING_OCTETS: usize = 1 + 16 + 8;

/// How often a value is read again that was replaced while we gathered its parts.
const TRIES_MAX: usize = 16;

/// A tree of such values.
pub(crate) struct Parted {
    name: &'static str,
    heads: Rows,
    parts: Rows,
}

/// Where the parts of one value are: under this name, so many octets in all.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Where {
    name: [u8; 16],
    length: usize,
}

impl Parted {
    /// The tree of this name in an engine.
    pub(crate) fn open(engine: &Engine, name: &'static str) -> Result<Self, StoreError> {
        Ok(Self {
            name,
            heads: engine.rows(name)?,
            parts: engine.rows(PARTS_TREE)?,
        })
    }

    /// The value at a key.
    pub(crate) fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        for _ in 0..TRIES_MAX {
            let Some(head) = self.heads.value(key)? else {
                return Ok(None);
            };
            match self.join(key, &head) {
                // Its parts may be gone because it was just replaced.
                Err(Trouble::Torn) if self.heads.value(key)?.as_ref() != Some(&head) => {}
                joined => return joined.map(Some),
            }
        }
        Err(Trouble::Torn)
    }

    /// Writes a value and syncs as far as its wholeness needs; the caller syncs at the end.
    pub(crate) fn put(&self, engine: &Engine, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let before = self.heads.value(key)?;
        let head = if value.len() <= ROW_BYTES_MAX {
            [&[WHOLE], value].concat()
        } else {
            let name = self.name_of(key, value);
            for (number, part) in (0_u32..).zip(value.chunks(ROW_BYTES_MAX)) {
                self.parts.put(&part_key(name, number), part)?;
            }
            engine.sync()?;
            let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
            [&[PARTS], name.as_slice(), &length.to_be_bytes()].concat()
        };
        if before.as_ref() == Some(&head) {
            return Ok(());
        }
        self.heads.put(key, &head)?;
        self.drop_parts(engine, before.as_deref())
    }

    /// Removes a value.
    pub(crate) fn remove(&self, engine: &Engine, key: &[u8]) -> Result<(), StoreError> {
        let before = self.heads.value(key)?;
        self.heads.remove(key)?;
        self.drop_parts(engine, before.as_deref())
    }

    /// Shows every value whose key begins so; one that is damaged is shown as its trouble.
    pub(crate) fn walk(
        &self,
        prefix: &[u8],
        mut show: impl FnMut(&[u8], Result<Vec<u8>, Trouble>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let below = key::behind(prefix);
        self.heads.walk(prefix, below.as_deref(), |key, head| {
            match self.join(key, head) {
                Err(Trouble::Torn) => match self.value(key) {
                    Ok(Some(value)) => show(key, Ok(value))?,
                    Ok(None) => {}
                    Err(trouble) => show(key, Err(trouble))?,
                },
                Err(Trouble::Store(error)) => return Err(error),
                Ok(value) => show(key, Ok(value))?,
            }
            Ok(Walk::On)
        })
    }

    /// The keys that begin so.
    pub(crate) fn keys(&self, prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut keys = Vec::new();
        let below = key::behind(prefix);
        self.heads.walk(prefix, below.as_deref(), |key, _| {
            keys.push(key.to_vec());
            Ok(Walk::On)
        })?;
        Ok(keys)
    }

    /// How many octets the row of a value of this length takes beside its key; parts are rows of their own.
    pub(crate) const fn row_octets(value_octets: usize) -> usize {
        if value_octets <= ROW_BYTES_MAX {
            value_octets.saturating_add(1)
        } else {
            NAMING_OCTETS
        }
    }

    /// The rows themselves, for whoever only needs keys in order.
    pub(crate) const fn heads(&self) -> &Rows {
        &self.heads
    }

    /// The parts of every such tree.
    pub(crate) const fn parts(&self) -> &Rows {
        &self.parts
    }

    fn join(&self, key: &[u8], head: &[u8]) -> Result<Vec<u8>, Trouble> {
        match head {
            [WHOLE, value @ ..] => Ok(value.to_vec()),
            [PARTS, ..] => {
                let place = place_of(head).ok_or(Trouble::Torn)?;
                let mut value = Vec::new();
                let below = key::behind(&place.name);
                self.parts.walk(&place.name, below.as_deref(), |_, part| {
                    value.extend_from_slice(part);
                    Ok(Walk::On)
                })?;
                // The name is a digest: what is joined is what was cut, or it is not taken.
                if value.len() == place.length && self.name_of(key, &value) == place.name {
                    Ok(value)
                } else {
                    Err(Trouble::Torn)
                }
            }
            _ => Err(Trouble::Torn),
        }
    }

    /// Two rows never share parts: the tree's name and the key go into the digest.
    fn name_of(&self, key: &[u8], value: &[u8]) -> [u8; 16] {
        key::digest(&[self.name.as_bytes(), key, value])
    }

    fn drop_parts(&self, engine: &Engine, before: Option<&[u8]>) -> Result<(), StoreError> {
        let Some(place) = before.and_then(place_of) else {
            return Ok(());
        };
        // What named them must be gone from the disk before they are.
        engine.sync()?;
        let mut keys = Vec::new();
        let below = key::behind(&place.name);
        self.parts.walk(&place.name, below.as_deref(), |key, _| {
            keys.push(key.to_vec());
            Ok(Walk::On)
        })?;
        keys.iter().try_for_each(|key| self.parts.remove(key))
    }
}

/// The tree where every part lies.
pub(crate) const PARTS_TREE: &str = "parts";

/// Removes parts that no row names: what a crash between parts and row left behind.
pub(crate) fn sweep(engine: &Engine, trees: &[&Parted]) -> Result<(), StoreError> {
    let parts = engine.rows(PARTS_TREE)?;
    if parts.first(&[], None)?.is_none() {
        return Ok(());
    }
    let mut named = HashSet::new();
    for tree in trees {
        tree.heads.walk(&[], None, |_, head| {
            named.extend(place_of(head).map(|place| place.name));
            Ok(Walk::On)
        })?;
    }
    let mut orphans = Vec::new();
    parts.walk(&[], None, |key, _| {
        let name: Option<&[u8; 16]> = key.first_chunk();
        if name.is_none_or(|name| !named.contains(name)) {
            orphans.push(key.to_vec());
        }
        Ok(Walk::On)
    })?;
    orphans.iter().try_for_each(|key| parts.remove(key))
}

/// Why a value could not be had.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The engine's error.
    Store(StoreError),
    /// This value is damaged; others need not be.
    Torn,
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

fn place_of(head: &[u8]) -> Option<Where> {
    let (&PARTS, behind) = head.split_first()? else {
        return None;
    };
    let (name, behind) = behind.split_first_chunk::<16>()?;
    let length = u64::from_be_bytes(*behind.first_chunk::<8>()?);
    Some(Where {
        name: *name,
        length: usize::try_from(length).ok()?,
    })
}

fn part_key(name: [u8; 16], number: u32) -> Vec<u8> {
    [name.as_slice(), &number.to_be_bytes()].concat()
}
