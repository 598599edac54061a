/// Points of one endpoint of weight one, while all fit.
///
/// An endpoint's share of the keys is off by about `1/√512`, four in a hundred of itself.
const POINTS: f64 = 512.0;

/// Points of all endpoints together; above 512 endpoints of weight one each gets fewer.
/// Two mebibytes, and half a one for the index.
const MAX_POINTS: f64 = (1 << 18) as f64;

/// Endpoints on a circle of hashes; a key belongs to the next point at or after its own hash.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    /// (hash, endpoint), ascending. Half of a hash tells enough points apart, in half of the cache.
    points: Box<[(u32, u32)]>,
    /// For the top bits of a hash, the first point that is not before all such hashes.
    first: Box<[u32]>,
    shift: u32,
}

impl Ring {
    /// A ring of endpoints by id and weight. Their order does not matter.
    pub(crate) fn new(endpoints: &[(&str, u32)]) -> Self {
        let total: f64 = endpoints.iter().map(|(_, weight)| f64::from(*weight)).sum();
        // A change of the total changes few numbers of points, and each by one: no cliff at
        // which half of the keys would move.
        let unit = POINTS.min(MAX_POINTS / total.max(1.0));
        let mut points = Vec::new();
        for (index, (id, weight)) in endpoints.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let origin = hash_key(id.as_bytes());
            let count = (f64::from(*weight) * unit).max(1.0) as u64;
            points.extend((1..=count).map(|n| (place(mix(origin ^ mix(n))), index)));
        }
        points.sort_unstable();
        // A few points to a bucket are next to one another.
        let bits = points.len().max(4).ilog2() - 1;
        let shift = u32::BITS - bits;
        let mut first = Vec::with_capacity(1 << bits);
        let mut next = 0;
        for bucket in 0..1_u32 << bits {
            while points.get(next).is_some_and(|p| p.0 >> shift < bucket) {
                next += 1;
            }
            first.push(u32::try_from(next).unwrap_or(u32::MAX));
        }
        Self {
            points: points.into(),
            first: first.into(),
            shift,
        }
    }

    /// The endpoints in the order in which they would own `key`, with repetitions.
    pub(crate) fn owners(&self, key: u64) -> impl Iterator<Item = usize> {
        let hash = place(mix(key));
        let bucket = (hash >> self.shift) as usize;
        let mut start = self.first.get(bucket).map_or(0, |first| *first as usize);
        let is_before = |point: &&(u32, u32)| point.0 < hash;
        // Four at a time: where among the next few it is, is what no processor can foresee.
        while let Some(next) = self.points.get(start..).and_then(<[_]>::first_chunk::<4>) {
            let passed = next.iter().filter(is_before).count();
            start += passed;
            if passed < next.len() {
                break;
            }
        }
        start += self.points[start..].iter().take_while(is_before).count();
        let (before, after) = self.points.split_at(start);
        after.iter().chain(before).map(|point| point.1 as usize)
    }
}

/// Where on the ring a hash is.
#[inline]
fn place(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// The hash of a session id, user name or the like, to pick an endpoint by.
///
/// The same on every machine and in every version: FNV-1a, mixed.
///
/// ```
/// let key = bartizan_balance::hash_key(b"session-17");
/// assert_eq!(key, bartizan_balance::hash_key(b"session-17"));
/// assert_ne!(key, bartizan_balance::hash_key(b"session-18"));
/// ```
///
/// Not for hash tables: whoever chooses the bytes can choose the hash.
#[must_use]
pub fn hash_key(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(fnv)
}

/// The finaliser of splitmix64: every bit of the input moves half of the bits of the output.
#[inline]
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ring(endpoints: &[(String, u32)]) -> Ring {
        let endpoints: Vec<_> = endpoints.iter().map(|(id, w)| (&**id, *w)).collect();
        Ring::new(&endpoints)
    }

    fn equal(n: usize) -> Vec<(String, u32)> {
        (0..n).map(|n| (format!("http://10.0.0.{n}"), 1)).collect()
    }

    fn owner<'a>(ring: &Ring, endpoints: &'a [(String, u32)], key: u64) -> &'a str {
        &endpoints[ring.owners(key).next().unwrap()].0
    }

    /// The fraction of 20,000 keys whose owner changes when endpoint `gone` leaves.
    fn moved(endpoints: &[(String, u32)], gone: usize) -> f64 {
        let mut left = endpoints.to_vec();
        left.remove(gone);
        let (before, after) = (ring(endpoints), ring(&left));
        let keys = 0..20_000;
        let moved = keys
            .filter(|key| owner(&before, endpoints, *key) != owner(&after, &left, *key))
            .count();
        moved as f64 / 20_000.0
    }

    #[test]
    fn one_leaving_moves_its_own_share_of_the_keys() {
        for n in [2, 3, 5, 10, 100] {
            for gone in 0..n.min(5) {
                let moved = moved(&equal(n), gone);
                assert!(moved <= 1.0 / n as f64 + 0.05, "{n}: {moved}");
            }
        }
    }

    #[test]
    fn nor_does_it_move_more_where_points_are_scarce() {
        for n in [512, 513, 1_024, 10_000] {
            let moved = moved(&equal(n), n / 2);
            assert!(moved <= 1.0 / n as f64 + 0.05, "{n}: {moved}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let many: Vec<_> = equal(10_000);
        assert!(ring(&many).points.len() <= 1 << 18);
        let heavy: Vec<_> = equal(10)
            .into_iter()
            .map(|(id, _)| (id, 1_000_000))
            .collect();
        assert!(ring(&heavy).points.len() <= (1 << 18) + 10);
    }

    #[test]
    fn shares_follow_the_weights() {
        let mut endpoints = equal(3);
        endpoints[1].1 = 2;
        let ring = ring(&endpoints);
        let mine = (0..40_000)
            .filter(|key| owner(&ring, &endpoints, *key) == endpoints[1].0)
            .count();
        let share = mine as f64 / 40_000.0;
        assert!((share - 0.5).abs() < 0.04, "{share}");
    }

    #[test]
    fn an_empty_ring_owns_nothing() {
        assert_eq!(Ring::new(&[]).owners(7).next(), None);
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_search_finds(n in 1_usize..40, key in any::<u64>()) {
            let ring = ring(&equal(n));
            let hash = place(mix(key));
            let search = ring.points.partition_point(|p| p.0 < hash) % ring.points.len();
            prop_assert_eq!(ring.owners(key).next(), Some(ring.points[search].1 as usize));
            prop_assert_eq!(ring.owners(key).count(), ring.points.len());
        }

        #[test]
        fn the_order_of_endpoints_does_not_matter(seed in any::<u64>(), key in any::<u64>()) {
            let endpoints = equal(12);
            let mut shuffled = endpoints.clone();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            prop_assert_eq!(
                owner(&ring(&endpoints), &endpoints, key),
                owner(&ring(&shuffled), &shuffled, key)
            );
        }
    }
}
