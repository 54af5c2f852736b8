//! Replies that were worded before. A policy in force is asked for again and again, and its wording
//! is the same until the engine gives another answer.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    netstring,
    socketmap_reply::{self, Reply, TellsPostfix},
    socketmap_request::MapName,
};
use crate::hook::{Answer, Asker};

/// A reply, ready to be sent.
#[derive(Debug)]
pub(super) struct Worded {
    /// The netstring.
    pub(super) octets: Box<[u8]>,
    /// What it comes to.
    pub(super) told: TellsPostfix,
    /// Who was given it, if anything is to be expected of them.
    pub(super) asker: Option<Asker>,
}

impl Worded {
    /// Makes a netstring of a reply for this map.
    pub(super) fn new(reply: &Reply, map: MapName) -> Self {
        Self {
            octets: netstring::of(&reply.text).into(),
            told: reply.told,
            asker: reply.asker(map),
        }
    }

    /// What a reply that makes mail wait gives as the reason.
    pub(super) fn reason(&self) -> String {
        let text = String::from_utf8_lossy(&self.octets);
        let reason = text.split_once(' ').map_or("", |(_, reason)| reason);
        reason.trim_end_matches(',').to_owned()
    }

    /// Words an answer.
    pub(super) fn of(answer: &Answer, map: MapName) -> Self {
        Self::new(&socketmap_reply::reply(answer, map), map)
    }
}

/// The wordings of answers that the hook gives more than once. Bounded: two generations, the older
/// forgotten when the younger is full.
#[derive(Debug, Default)]
pub(super) struct Wordings(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: Kept,
    old: Kept,
    young_octets: usize,
}

/// By the answer's place in memory, which is its own as long as the entry holds the answer.
type Kept = HashMap<(usize, MapName), (Arc<Answer>, Arc<Worded>), BuildHasherDefault<Places>>;

/// Spreads places in memory, and what is a hash already. Nobody outside chooses those, so it need not
/// be a good hash.
#[derive(Debug, Default)]
pub(super) struct Places(u64);

impl Hasher for Places {
    fn write(&mut self, octets: &[u8]) {
        octets
            .iter()
            .for_each(|octet| self.write_u64((*octet).into()));
    }

    fn write_u64(&mut self, number: u64) {
        // The multiplier is 2^64 by the golden ratio; what is spread best ends up above.
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_usize(number.cast_unsigned());
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// What the replies of one generation may come to, with what each costs besides.
const GENERATION_OCTETS_MAX: usize = 8 * 1_024 * 1_024;

/// What an entry costs besides its reply.
const ENTRY_OCTETS: usize = 512;

impl Wordings {
    /// The wording of this answer.
    pub(super) fn of(&self, answer: &Arc<Answer>, map: MapName) -> Arc<Worded> {
        let key = (Arc::as_ptr(answer).addr(), map);
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, worded)) = generations.young.get(&key) {
            return Arc::clone(worded);
        }
        let (answer, worded) = generations
            .old
            .remove(&key)
            .unwrap_or_else(|| (Arc::clone(answer), Arc::new(Worded::of(answer, map))));
        generations.keep(key, answer, Arc::clone(&worded));
        worded
    }
}

impl Generations {
    fn keep(&mut self, key: (usize, MapName), answer: Arc<Answer>, worded: Arc<Worded>) {
        if self.young_octets >= GENERATION_OCTETS_MAX {
            self.old = mem::take(&mut self.young);
            self.young_octets = 0;
        }
        self.young_octets += worded.octets.len() + ENTRY_OCTETS;
        self.young.insert(key, (answer, worded));
    }
}

#[cfg(test)]
mod tests {
    use sealpost_plugin_api::{Level, Requirement};

    use super::*;

    fn answer(mx: &str) -> Arc<Answer> {
        let level = Level::Verify {
            mx_patterns: vec![mx.to_owned()],
            name: None,
        };
        Arc::new(Answer::bare(Requirement::new(level, "")))
    }

    #[test]
    fn each_answer_and_map_has_its_own_wording() {
        let wordings = Wordings::default();
        let (one, two) = (answer("a.test"), answer("b.test"));
        for _ in 0..2 {
            for map in MapName::ALL {
                for answer in [&one, &two] {
                    let worded = wordings.of(answer, map);
                    assert_eq!(worded.octets, Worded::of(answer, map).octets);
                }
            }
        }
        let first = wordings.of(&one, MapName::Query);
        assert!(Arc::ptr_eq(&first, &wordings.of(&one, MapName::Query)));
    }

    #[test]
    fn g6_what_is_kept_is_bounded() {
        let wordings = Wordings::default();
        let favourite = answer("favourite.test");
        let first = wordings.of(&favourite, MapName::Query);
        let long = "a".repeat(10_000);
        for number in 0..4_000 {
            // One after another may get the same place in memory, were the answer not held.
            let mx = format!("{number}{long}");
            let worded = wordings.of(&answer(&mx), MapName::Query);
            let prefix = format!("match={number}aaaa");
            assert!(String::from_utf8_lossy(&worded.octets).contains(&prefix));
            assert!(Arc::ptr_eq(
                &first,
                &wordings.of(&favourite, MapName::Query)
            ));
        }
        let generations = wordings.0.lock().unwrap();
        let held = generations.young.values().chain(generations.old.values());
        let octets: usize = held.map(|(_, worded)| worded.octets.len()).sum();
        assert!(octets <= 2 * GENERATION_OCTETS_MAX + 200_000, "{octets}");
    }
}
