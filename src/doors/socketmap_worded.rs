//! Replies that were worded before. A policy in force is asked for again and again, and its wording
//! is the same until the engine gives another answer.

use std::{
    collections::HashMap,
    hash::BuildHasherDefault,
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    netstring,
    socketmap_reply::{self, Asked, Reply, TellsPostfix},
    socketmap_request::MapName,
};
use crate::{
    hook::{Answer, Asker},
    quick_hash::QuickHasher,
};

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
    pub(super) fn of(answer: &Answer, asked: Asked) -> Self {
        Self::new(&socketmap_reply::reply(answer, asked), asked.map)
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

/// By the answer's place in memory, which is its own as long as the entry holds the answer, and which
/// nobody outside chooses.
type Kept = HashMap<(usize, Asked), (Arc<Answer>, Arc<Worded>), BuildHasherDefault<QuickHasher>>;

/// What the replies of one generation may come to, with what each costs besides.
const GENERATION_OCTETS_MAX: usize = 8 * 1_024 * 1_024;

/// What an entry costs besides its reply.
const ENTRY_OCTETS: usize = 512;

impl Wordings {
    /// The wording of this answer.
    pub(super) fn of(&self, answer: &Arc<Answer>, asked: Asked) -> Arc<Worded> {
        let key = (Arc::as_ptr(answer).addr(), asked);
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, worded)) = generations.young.get(&key) {
            return Arc::clone(worded);
        }
        let (answer, worded) = generations
            .old
            .remove(&key)
            .unwrap_or_else(|| (Arc::clone(answer), Arc::new(Worded::of(answer, asked))));
        generations.keep(key, answer, Arc::clone(&worded));
        worded
    }
}

impl Generations {
    fn keep(&mut self, key: (usize, Asked), answer: Arc<Answer>, worded: Arc<Worded>) {
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
    use crate::doors::{socketmap_reply::DaneOnly, socketmap_request::NextHop};

    fn asked(map: MapName) -> Asked {
        Asked {
            map,
            next_hop: NextHop::Domain,
            dane_only: DaneOnly::Told,
        }
    }

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
            for asked in MapName::ALL.map(asked) {
                for answer in [&one, &two] {
                    let worded = wordings.of(answer, asked);
                    assert_eq!(worded.octets, Worded::of(answer, asked).octets);
                }
            }
        }
        let first = wordings.of(&one, asked(MapName::Query));
        assert!(Arc::ptr_eq(
            &first,
            &wordings.of(&one, asked(MapName::Query))
        ));
    }

    #[test]
    fn g6_what_is_kept_is_bounded() {
        let wordings = Wordings::default();
        let favourite = answer("favourite.test");
        let first = wordings.of(&favourite, asked(MapName::Query));
        let long = "a".repeat(10_000);
        for number in 0..4_000 {
            // One after another may get the same place in memory, were the answer not held.
            let mx = format!("{number}{long}");
            let worded = wordings.of(&answer(&mx), asked(MapName::Query));
            let prefix = format!("match={number}aaaa");
            assert!(String::from_utf8_lossy(&worded.octets).contains(&prefix));
            assert!(Arc::ptr_eq(
                &first,
                &wordings.of(&favourite, asked(MapName::Query))
            ));
        }
        let generations = wordings.0.lock().unwrap();
        let held = generations.young.values().chain(generations.old.values());
        let octets: usize = held.map(|(_, worded)| worded.octets.len()).sum();
        assert!(octets <= 2 * GENERATION_OCTETS_MAX + 200_000, "{octets}");
    }
}
