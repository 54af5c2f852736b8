//! What was seen lately, by its key, in bounded memory.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, mem};

/// Values by their keys in two generations: when the younger is full it becomes the older, and what was
/// the older is forgotten. What is asked for stays young.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    generation_max: usize,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Holds at most twice so many.
    pub(crate) fn new(generation_max: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            generation_max,
        }
    }

    /// Works with the value of this key; a new one where there is none.
    pub(crate) fn with<T>(&mut self, key: &K, work: impl FnOnce(&mut V) -> T) -> T
    where
        K: Clone,
        V: Default,
    {
        // Most are young, and are found at once.
        match self.young.get_mut(key) {
            Some(value) => work(value),
            None => work(self.of(key.clone())),
        }
    }

    /// The value of this key; a new one where there is none.
    pub(crate) fn of(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let kept = self.old.remove(&key);
        if self.young.len() >= self.generation_max && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        let value = self.young.entry(key).or_default();
        if let Some(kept) = kept {
            *value = kept;
        }
        value
    }

    /// The value of this key, if it is not forgotten.
    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Forgets it.
    pub(crate) fn remove<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// How many values there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Every value.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.young.values_mut().chain(self.old.values_mut())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g3_what_is_not_asked_for_is_forgotten_first_and_never_too_much_is_kept() {
        let mut recent: Recent<u32, u32> = Recent::new(10);
        for number in 0..1_000 {
            *recent.of(number) = number;
            recent.with(&5_000, |count| *count += 1);
            assert!(recent.len() <= 20);
        }
        assert_eq!(recent.get(&5_000), Some(&1_000));
        assert_eq!(recent.get(&999), Some(&999));
        assert_eq!(recent.get(&900), None);
        recent.remove(&999);
        assert_eq!(recent.get(&999), None);
    }
}
