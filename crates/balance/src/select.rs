use std::ops::Range;

use bartizan_clock::Clock;

use crate::{
    Tried,
    cursor::Cursor,
    set::{Entry, Plan, Set},
};

/// How many times a random or rotating choice is repeated when it falls on an endpoint that
/// must not be used, before all are looked at in order. With half of them usable, the least that
/// is not answered by using all, one pick in 65,536 gets there.
const DRAWS: usize = 16;

/// How many times the second of two choices is drawn until it is not the first.
const REDRAWS: usize = 6;

/// Of more endpoints than this not all are compared, each has one lane for all threads, and each
/// thread takes turns by itself.
pub(crate) const MANY: usize = 64;

/// How many are compared then. The best of a few at random is nearly as good as the best of all
/// (Mitzenmacher, *The Power of Two Choices in Randomized Load Balancing*), and a pick among ten
/// thousand must not take ten thousand looks.
const SOME: usize = 4;

/// Scores within this many points of the best are as good as the best.
const BAND: u8 = 10;

/// Which endpoints a pick may choose.
#[derive(Clone, Copy)]
pub(crate) struct Admit<'a> {
    /// Only those that are neither ejected nor unhealthy.
    pub(crate) usable_only: bool,
    pub(crate) tried: Option<&'a Tried>,
}

impl Admit<'_> {
    #[inline]
    fn is_everyone(&self) -> bool {
        !self.usable_only && self.tried.is_none()
    }

    #[inline]
    fn admits<T>(&self, entry: &Entry<T>) -> bool {
        let endpoint = &entry.endpoint;
        (!self.usable_only || endpoint.is_usable())
            && !self.tried.is_some_and(|tried| tried.contains(endpoint))
    }
}

/// What else a strategy may go by.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) key: Option<u64>,
    pub(crate) clock: Clock,
}

impl<T> Set<T> {
    /// The index of the endpoint that the strategy chooses among those admitted.
    #[inline]
    pub(crate) fn select(&self, admit: Admit<'_>, cursor: &Cursor, call: Call) -> Option<usize> {
        let next = |turns| cursor.next(turns, self.entries.len() <= MANY);
        match &self.plan {
            Plan::RoundRobin => self.rotate(admit, || next(self.entries.len())),
            Plan::Turns(turns) => self.rotate(admit, || turns[next(turns.len())] as usize),
            Plan::Random => self.rotate(admit, || below(self.entries.len())),
            Plan::P2c => self.better_of_two(admit, |a, b| b.occupancy().is_below(a.occupancy())),
            Plan::P2cPeakEwma => self.better_of_two(admit, |a, b| b.costs_less(a)),
            Plan::LeastConnections => self.least(admit, self.compared(), |_| true),
            Plan::HealthBased => self.healthiest(admit, self.compared(), call),
            Plan::Ring(ring) => match call.key {
                Some(key) => ring.owners(key).find(|i| admit.admits(&self.entries[*i])),
                None => self.rotate(admit, || below(self.entries.len())),
            },
        }
    }

    /// The first admitted one of what `next` says.
    #[inline]
    fn rotate(&self, admit: Admit<'_>, mut next: impl FnMut() -> usize) -> Option<usize> {
        let index = next();
        if admit.is_everyone() || admit.admits(self.entries.get(index)?) {
            return Some(index);
        }
        // Each unsuitable turn is followed by a new one, not by the neighbour, who would then
        // serve for two.
        (1..DRAWS)
            .map(|_| next())
            .find(|index| admit.admits(&self.entries[*index]))
            .or_else(|| self.first_from(below(self.entries.len()), admit))
    }

    /// The one of two random endpoints that is better: the second if `second_is_better`.
    #[inline]
    fn better_of_two(
        &self,
        admit: Admit<'_>,
        second_is_better: impl Fn(&Entry<T>, &Entry<T>) -> bool,
    ) -> Option<usize> {
        let count = self.entries.len();
        let (first, second) = if count < 2 { (0, 0) } else { two_below(count) };
        let (first, second) = if admit.is_everyone() {
            (first, second)
        } else {
            let draw = || self.rotate(admit, || below(count));
            let first = draw()?;
            let mut second = first;
            // Where few are admitted the same one comes up often, and one is no choice: of two, it
            // would send the worse one every fourth call.
            for _ in 0..REDRAWS {
                second = draw()?;
                if second != first {
                    break;
                }
            }
            (first, second)
        };
        let (a, b) = (self.entries.get(first)?, self.entries.get(second)?);
        Some(if first != second && second_is_better(a, b) {
            second
        } else {
            first
        })
    }

    /// The endpoints that are compared: all of a few, some of many from a random one on.
    fn compared(&self) -> Range<usize> {
        let count = self.entries.len();
        if count <= MANY {
            return 0..count;
        }
        let start = below(count);
        start..start + SOME
    }

    /// The endpoints of a range that may go once around.
    fn among(&self, range: Range<usize>) -> impl Iterator<Item = (usize, &Entry<T>)> {
        let indices = range.map(|index| index % self.entries.len());
        indices.map(|index| (index, &self.entries[index]))
    }

    /// One of those with the least calls in flight, at random; any if none that is compared may be
    /// chosen.
    fn least(
        &self,
        admit: Admit<'_>,
        range: Range<usize>,
        also: impl Fn(&Entry<T>) -> bool,
    ) -> Option<usize> {
        let mut best = None;
        let mut equals = 1;
        for (index, entry) in self.among(range.clone()) {
            if !admit.admits(entry) || !also(entry) {
                continue;
            }
            let occupancy = entry.occupancy();
            match best {
                Some((_, least)) if occupancy.equals(least) => {
                    // Reservoir sampling: the k-th equal one replaces the others with 1/k.
                    equals += 1;
                    if below(equals) == 0 {
                        best = Some((index, occupancy));
                    }
                }
                Some((_, least)) if !occupancy.is_below(least) => {}
                _ => {
                    equals = 1;
                    best = Some((index, occupancy));
                }
            }
        }
        match best {
            Some((index, _)) => Some(index),
            None => self.first_from(range.start, admit),
        }
    }

    fn healthiest(&self, admit: Admit<'_>, range: Range<usize>, call: Call) -> Option<usize> {
        let admitted = || {
            let compared = self.among(range.clone()).map(|(_, entry)| entry);
            compared.filter(|entry| admit.admits(entry))
        };
        if admitted().all(|entry| entry.endpoint.score.is_perfect()) {
            return self.least(admit, range, |_| true);
        }
        let now = call.clock.now();
        let points = |entry: &Entry<T>| entry.endpoint.score.points(now);
        let best = admitted().map(points).max().unwrap_or_default();
        self.least(admit, range, |entry| {
            points(entry).saturating_add(BAND) >= best
        })
    }

    fn first_from(&self, start: usize, admit: Admit<'_>) -> Option<usize> {
        let count = self.entries.len();
        (start..count)
            .chain(0..start)
            .find(|index| admit.admits(&self.entries[*index]))
    }
}

/// A random number below `count`, uniform to within `count / 2³²`.
#[inline]
fn below(count: usize) -> usize {
    scale(fastrand::u64(..) as u32, count)
}

/// Two different random numbers below `count`, which is at least two.
#[inline]
fn two_below(count: usize) -> (usize, usize) {
    let random = fastrand::u64(..);
    let first = scale(random as u32, count);
    let second = scale((random >> 32) as u32, count - 1);
    (first, second + usize::from(second >= first))
}

#[inline]
fn scale(random: u32, count: usize) -> usize {
    ((u64::from(random) * count as u64) >> 32) as usize
}
