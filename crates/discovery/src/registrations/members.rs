use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bartizan_clock::Instant;

use crate::Entry;

/// The instances of one service, in the order in which they came, each found by its id without
/// a search.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// By numbers that grow, so that no other moves when one leaves.
    by_number: BTreeMap<u64, Member>,
    numbers: HashMap<Arc<str>, u64>,
    next: u64,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) entry: Entry,
    pub(super) ttl: Option<(Duration, Instant)>,
}

impl Members {
    pub(super) fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    pub(super) fn get(&self, id: &str) -> Option<&Member> {
        self.by_number.get(self.numbers.get(id)?)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.by_number.get_mut(self.numbers.get(id)?)
    }

    /// Adds one to the end, or in the place of that with its id, which is returned then.
    pub(super) fn put(&mut self, member: Member) -> Option<Member> {
        let number = self.numbers.entry(Arc::clone(member.entry.instance.id()));
        let number = *number.or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.by_number.insert(number, member)
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        let number = self.numbers.remove(id)?;
        self.by_number.remove(&number)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.by_number.values().map(|it| &it.entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instance;

    fn member(id: &str, weight: u32) -> Member {
        let instance = Instance::new("http://a").unwrap().with_id(id).unwrap();
        let instance = instance.with_weight(weight).unwrap();
        Member {
            entry: instance.into(),
            ttl: None,
        }
    }

    fn shown(members: &Members) -> Vec<(&str, u32)> {
        let instances = members.entries().map(|it| &it.instance);
        instances.map(|it| (&**it.id(), it.weight())).collect()
    }

    #[test]
    fn they_stay_in_the_order_in_which_they_came() {
        let mut members = Members::default();
        for id in ["c", "a", "b"] {
            assert!(members.put(member(id, 1)).is_none());
        }
        assert_eq!(
            members.put(member("a", 2)).unwrap().entry.instance.weight(),
            1
        );
        assert_eq!(shown(&members), [("c", 1), ("a", 2), ("b", 1)]);
        members.remove("c").unwrap();
        assert!(members.remove("c").is_none() && members.get("c").is_none());
        members.put(member("c", 3));
        assert_eq!(shown(&members), [("a", 2), ("b", 1), ("c", 3)]);
        members.get_mut("b").unwrap().ttl = Some((Duration::ZERO, Instant::from_nanos(1)));
        assert!(members.remove("b").unwrap().ttl.is_some());
        assert!(members.get_mut("b").is_none());
    }

    #[test]
    fn one_that_is_gone_is_forgotten() {
        let mut members = Members::default();
        for _ in 0..3 {
            members.put(member("a", 1));
            assert!(!members.is_empty());
            members.remove("a");
        }
        assert!(members.is_empty() && members.numbers.is_empty());
    }
}
