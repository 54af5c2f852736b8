//! What is known of many names, held in memory, bounded, and read on every delivery.
//!
//! Mail goes to few domains often and to many domains once, and spam to domains without end (G6).
//! Two generations hold it: what is asked for moves to the younger one, and when that is half of the
//! bound the older one is dropped. That forgets the least recently asked without a list to keep in
//! order at each question.

use std::{
    borrow::Borrow,
    collections::HashMap,
    hash::{BuildHasher as _, Hash, RandomState},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What is remembered of each key. It is recalled by the key, or by what the key borrows as and hashes
/// like.
#[derive(Debug)]
pub(super) struct Memory<K, V> {
    /// Several, so that deliveries at once do not wait for each other.
    shards: Vec<Mutex<Generations<K, V>>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, Arc<V>>,
    old: HashMap<K, Arc<V>>,
    /// How many the young one may hold.
    young_max: usize,
}

/// How many parts the memory has.
const SHARDS: usize = 16;

impl<K: Clone + Eq + Hash, V> Memory<K, V> {
    /// Room for so many keys.
    pub(super) fn new(keys_max: usize) -> Self {
        let young_max = keys_max.div_ceil(SHARDS).div_ceil(2).max(1);
        let shard = || {
            Mutex::new(Generations {
                young: HashMap::new(),
                old: HashMap::new(),
                young_max,
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn recall<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.recall_of(key, Arc::clone)
    }

    /// What `take` takes of what is remembered of the key.
    pub(super) fn recall_of<Q, T>(&self, key: &Q, take: impl Fn(&Arc<V>) -> T) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard(key)?.recall(key, take)
    }

    /// What is remembered of the key, made if there is nothing: all who ask at once get the same.
    pub(super) fn recall_or(&self, key: &K, make: impl FnOnce() -> V) -> Arc<V> {
        let Some(mut shard) = self.shard(key) else {
            return Arc::new(make());
        };
        if let Some(remembered) = shard.recall(key, Arc::clone) {
            return remembered;
        }
        let made = Arc::new(make());
        shard.remember(key.clone(), Arc::clone(&made));
        made
    }

    pub(super) fn remember(&self, key: &K, remembered: Arc<V>) {
        if let Some(mut shard) = self.shard(key) {
            shard.remember(key.clone(), remembered);
        }
    }

    pub(super) fn forget(&self, key: &K) {
        if let Some(mut shard) = self.shard(key) {
            shard.young.remove(key);
            shard.old.remove(key);
        }
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> Option<MutexGuard<'_, Generations<K, V>>> {
        let number = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).ok()?;
        // A panic of another thread while it held the lock leaves maps that are still whole.
        let shard = self.shards.get(number)?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K: Clone + Eq + Hash, V> Generations<K, V> {
    fn recall<Q, T>(&mut self, key: &Q, take: impl Fn(&Arc<V>) -> T) -> Option<T>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(remembered) = self.young.get(key) {
            return Some(take(remembered));
        }
        let (key, remembered) = self.old.remove_entry(key)?;
        let taken = take(&remembered);
        self.remember(key, remembered);
        Some(taken)
    }

    fn remember(&mut self, key: K, remembered: Arc<V>) {
        if self.young.len() >= self.young_max && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, remembered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g6_memory_is_bounded_and_keeps_what_is_asked_for() {
        let memory = Memory::new(1_600);
        let favourite = 0;
        for number in 0..20_000 {
            memory.remember(&number, Arc::new(number));
            assert!(memory.recall(&favourite).is_some(), "lost after {number}");
        }
        let held = |shard: &Mutex<Generations<i32, i32>>| {
            let shard = shard.lock().unwrap();
            shard.young.len() + shard.old.len()
        };
        let held: usize = memory.shards.iter().map(held).sum();
        assert!(held <= 1_600, "{held}");
        memory.forget(&favourite);
        assert!(memory.recall(&favourite).is_none());
        assert_eq!(*memory.recall_or(&favourite, || 7), 7);
        assert_eq!(*memory.recall_or(&favourite, || 8), 7);
    }
}
