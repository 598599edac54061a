use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
};

/// The keys of requests that were cancelled and may still be answered: a cancellation and an
/// answer can cross.
///
/// Only their hashes are kept, since a client may choose ids as long as it likes. Two that share
/// one are both taken to be late, which costs the other no more than its number.
#[derive(Debug, Default)]
pub(super) struct Late {
    hasher: RandomState,
    hashes: HashSet<u64>,
    /// The same, oldest first. Most servers say nothing more about what was cancelled, so the
    /// oldest make room.
    by_age: VecDeque<u64>,
}

impl Late {
    pub(super) fn contains(&self, key: &[u8]) -> bool {
        !self.hashes.is_empty() && self.hashes.contains(&self.hasher.hash_one(key))
    }

    /// Notes that an answer may come late, and forgets the oldest of `limit`.
    pub(super) fn expect(&mut self, key: &[u8], limit: usize) {
        let hash = self.hasher.hash_one(key);
        if !self.hashes.insert(hash) {
            return;
        }
        self.by_age.push_back(hash);
        if self.by_age.len() > limit
            && let Some(oldest) = self.by_age.pop_front()
        {
            self.hashes.remove(&oldest);
        }
    }

    /// Notes that it has come.
    pub(super) fn came(&mut self, key: &[u8]) {
        let hash = self.hasher.hash_one(key);
        if self.hashes.remove(&hash) {
            self.by_age.retain(|late| *late != hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Late;

    #[test]
    fn what_is_late_is_known_until_it_comes_or_is_the_oldest_of_too_many() {
        let mut late = Late::default();
        for key in ["1", "2", "1", "3"] {
            late.expect(key.as_bytes(), 2);
        }
        assert!(!late.contains(b"1") && late.contains(b"2") && late.contains(b"3"));
        late.came(b"2");
        late.came(b"2");
        assert!(!late.contains(b"2"));
        late.expect(b"4", 2);
        assert!(late.contains(b"3") && late.contains(b"4"));
    }
}
