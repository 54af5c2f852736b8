//! A hash that costs next to nothing, for what is asked with every question.
//!
//! Whoever chooses what is hashed can make it collide. So it serves where that harms nobody but them:
//! to choose a shard, to mark what was seen, and for places in memory, which nobody chooses.

use std::hash::Hasher;

/// Multiplies and folds, eight octets at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QuickHasher(u64);

/// 2^64 by the golden ratio.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for QuickHasher {
    fn write(&mut self, octets: &[u8]) {
        let (eights, rest) = octets.as_chunks();
        for eight in eights {
            self.write_u64(u64::from_le_bytes(*eight));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.write_u64(u64::from_le_bytes(last) ^ ((rest.len() as u64) << 56));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        let product = (self.0 ^ number ^ MULTIPLIER).wrapping_mul(MULTIPLIER);
        // What is spread best is above.
        self.0 = product ^ (product >> 32);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number.cast_unsigned() as u64);
    }

    fn finish(&self) -> u64 {
        self.0.wrapping_mul(MULTIPLIER).rotate_left(32)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        hash::{BuildHasher as _, BuildHasherDefault},
    };

    use super::*;

    #[test]
    fn names_are_told_apart_and_spread_evenly() {
        let hash = |text: &str| BuildHasherDefault::<QuickHasher>::default().hash_one(text);
        let names = (0..100_000).map(|number| format!("d{number}.example"));
        let hashes: Vec<u64> = names.map(|name| hash(&name)).collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
        for shards in [16, 128] {
            let mut held = vec![0; shards];
            for hash in &hashes {
                held[usize::try_from(*hash).unwrap() % shards] += 1;
            }
            let even = hashes.len() / shards;
            assert!(
                held.iter()
                    .all(|held| (even * 8 / 10..even * 12 / 10).contains(held))
            );
        }
        for (one, other) in [
            ("", "\0"),
            ("a", "a\0"),
            ("ab", "ba"),
            ("12345678", "12345678\0"),
        ] {
            assert_ne!(hash(one), hash(other));
        }
    }
}
