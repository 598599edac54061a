use std::{cmp::Reverse, collections::BinaryHeap};

/// Longer cycles are shortened by rounding the weights in proportion; a mebibyte of memory.
const MAX_TURNS: u64 = 1 << 18;

/// The order in which weighted endpoints take turns, as indices, one cycle of it.
///
/// The aim is that of nginx's smooth weighted round robin: exact shares over a cycle, and no
/// bursts within it. nginx looks at all endpoints for each pick; here the cycle is computed once,
/// by a rule that is even stricter. With weights `w` of sum `W`, the k-th turn of an endpoint
/// (from zero) must fall into the window from `⌊k·W/w⌋` to `⌈(k+1)·W/w⌉`, and of all whose window
/// is open the one that closes first takes the turn. Earliest deadline first keeps all windows
/// if any order does, and one does (Tijdeman, [*The chairman assignment problem*][paper]), so at
/// any point of the cycle every endpoint is within one turn of its exact share.
///
/// Takes O(turns · log n). Weights are reduced by their greatest common divisor, and rounded (to
/// no less than one) when the cycle would be longer than [`MAX_TURNS`].
///
/// [paper]: https://doi.org/10.1016/0012-365X(80)90269-1
pub(crate) fn turns(weights: impl Iterator<Item = u32>) -> Box<[u32]> {
    let weights = reduced(weights.map(u64::from).collect());
    let cycle: u64 = weights.iter().sum();
    let mut taken = vec![0_u64; weights.len()];
    // (opens, endpoint) and (closes, endpoint); an endpoint is in exactly one of the two until
    // it has had all its turns.
    let mut closed: BinaryHeap<_> = (0..weights.len()).map(|i| Reverse((0, i))).collect();
    let mut open = BinaryHeap::with_capacity(weights.len());
    let mut turns = Vec::with_capacity(usize::try_from(cycle).unwrap_or(0));
    for now in 0..cycle {
        while let Some(&Reverse((opens, i))) = closed.peek()
            && opens <= now
        {
            closed.pop();
            let closes = ((taken[i] + 1) * cycle).div_ceil(weights[i]);
            open.push(Reverse((closes, i)));
        }
        let Some(Reverse((closes, i))) = open.pop() else {
            unreachable!("the open windows of a cycle never run out before its end")
        };
        debug_assert!(closes > now, "a turn came too late");
        turns.push(u32::try_from(i).unwrap_or(u32::MAX));
        taken[i] += 1;
        if taken[i] < weights[i] {
            closed.push(Reverse((taken[i] * cycle / weights[i], i)));
        }
    }
    turns.into()
}

fn reduced(mut weights: Vec<u64>) -> Vec<u64> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    weights.iter_mut().for_each(|w| *w /= divisor);
    let cycle: u64 = weights.iter().sum();
    if cycle > MAX_TURNS {
        for weight in &mut weights {
            *weight = (*weight * MAX_TURNS / cycle).max(1);
        }
    }
    weights
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn letters(weights: &[u32]) -> String {
        turns(weights.iter().copied())
            .iter()
            .map(|i| char::from(b'a' + u8::try_from(*i).unwrap()))
            .collect()
    }

    #[test]
    fn small_cycles() {
        assert_eq!(letters(&[1]), "a");
        assert_eq!(letters(&[7, 7, 7]), "abc");
        assert_eq!(letters(&[2, 1]), "aab");
        assert_eq!(letters(&[3, 1]).len(), 4);
        assert_eq!(letters(&[300, 100]), letters(&[3, 1]));
        assert_eq!(letters(&[]), "");
    }

    #[test]
    fn never_more_than_three_in_a_row_at_three_to_one() {
        let thrice = letters(&[3, 1]).repeat(3);
        assert!(!thrice.contains("aaaa"), "{thrice}");
        let thrice = letters(&[1, 3, 1]).repeat(3);
        assert!(!thrice.contains("bbb"), "{thrice}");
    }

    #[test]
    fn a_huge_cycle_is_shortened_in_proportion() {
        let order = turns([1_000_000, 500_001, 1].into_iter());
        assert!(order.len() <= 1 << 18);
        let count = |n| order.iter().filter(|i| **i == n).count();
        let ratio = count(0) as f64 / count(1) as f64;
        assert!((ratio - 2.0).abs() < 0.001, "{ratio}");
        assert_eq!(count(2), 1);
    }

    #[test]
    fn ten_thousand_weighted_endpoints_are_scheduled() {
        let order = turns((0..10_000).map(|n| n % 100 + 1));
        assert!(order.len() <= (1 << 18) + 10_000);
        let mut seen = vec![false; 10_000];
        order.iter().for_each(|i| seen[*i as usize] = true);
        assert!(seen.into_iter().all(|seen| seen));
    }

    proptest! {
        #[test]
        fn shares_are_exact_and_never_a_turn_off(weights in proptest::collection::vec(1_u32..50, 1..12)) {
            let order = turns(weights.iter().copied());
            let total: u64 = weights.iter().map(|w| u64::from(*w)).sum();
            let mut taken = vec![0_u64; weights.len()];
            for (turn, i) in order.iter().enumerate() {
                taken[*i as usize] += 1;
                let turns = turn as u64 + 1;
                for (taken, weight) in taken.iter().zip(&weights) {
                    // |taken - turns * weight / total| < 1, without fractions.
                    let (exact, taken) = (turns * u64::from(*weight), taken * total);
                    prop_assert!(exact.abs_diff(taken) < total);
                }
            }
            let cycles = total / order.len() as u64;
            for (taken, weight) in taken.iter().zip(&weights) {
                prop_assert_eq!(taken * cycles, u64::from(*weight));
            }
        }
    }
}
